"""What all commands of flowctl print alike: JSON, troubles, tables. Knows no node."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from flowrt.serving.troubles import Refused, Trouble

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")

PARTY = click.argument("party", type=click.Path(path_type=Path), default=Path())
"""A party's folder, or its `node.toml`."""


def wants_json() -> bool:
    """Whether what was typed asks for JSON, also where it could not be read."""
    return "--json" in sys.argv


def print_json(value: Any) -> None:
    """One JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def told(trouble: Trouble) -> dict[str, Any]:
    """A trouble as JSON has it."""
    return {
        "severity": "warning" if trouble.warns else "error",
        "place": trouble.place,
        "key": trouble.key,
        "cause": trouble.cause,
        "remedy": trouble.remedy,
    }


def print_troubles(troubles: Iterable[Trouble]) -> None:
    """Each in one line, on stderr."""
    for trouble in troubles:
        click.echo(f"{'warning' if trouble.warns else 'error'}: {trouble.text}", err=True)


def print_refused(error: Refused) -> None:
    """Why nothing was done."""
    if wants_json():
        print_json({"ok": False, "troubles": [told(trouble) for trouble in error.troubles]})
    else:
        print_troubles(error.troubles)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns under their heads, in capitals, as wide as they need to be."""
    lines = [tuple(heads), *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def counted(number: int, noun: str) -> str:
    """`1 flow`, `2 flows`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
