"""`python -m flowrt.cli` is `flowctl`."""

from flowrt.cli import main

main()
