"""`python -m tests.museum add NAME`: keep what this release writes."""

from __future__ import annotations

import argparse

from tests.museum.look import PIECES, play, unpacked
from tests.museum.write import write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.museum", description=__doc__)
    parser.add_argument("command", choices=["add"])
    parser.add_argument("name", help="the release, and what is special, as 0.1.0-format4")
    name = parser.parse_args().name
    folder = PIECES / name
    if folder.exists():
        parser.error(f"{folder} is there: a piece is never changed")
    write(folder)
    with unpacked(folder) as scratch:
        seen = play(folder, scratch)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {len(seen.results)} flows, {size} bytes")


main()
