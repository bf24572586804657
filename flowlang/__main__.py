"""`python -m flowlang` is `flowc` in this environment."""

from flowlang.cli import main

main()
