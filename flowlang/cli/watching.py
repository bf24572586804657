"""`--watch`: the same again whenever a file changes, until Ctrl-C. Knows not what is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import click

from flowlang.cli.printing import print_trouble
from flowlang.project import FileTrouble, file_digest, sources_below

WATCH = click.option("--watch", "watched", is_flag=True, help="Again on every change; Ctrl-C ends.")
PAUSE = 0.3
"""Seconds between two looks at the files."""

Act = Callable[[], tuple[int, Sequence[str]]]
"""Does the work; gives an exit code, and the files that it depended on."""


def pause() -> None:
    """Until the files are looked at again."""
    time.sleep(PAUSE)


def watch(act: Act, paths: Sequence[Path]) -> NoReturn:
    """Do it now and after every change of what `paths` name or the work depended on; at Ctrl-C,
    flowc ends with 0."""
    try:
        while True:
            depends = _once(act)
            before = _seen(paths, depends)
            click.echo("Waiting for a change; Ctrl-C ends.", err=True)
            while _seen(paths, depends) == before:
                pause()
    except KeyboardInterrupt:
        click.echo(err=True)
        sys.exit(0)


def _once(act: Act) -> Sequence[str]:
    try:
        return act()[1]
    except FileTrouble as trouble:
        print_trouble(trouble)
        return (trouble.path,)


def _seen(paths: Sequence[Path], depends: Sequence[str]) -> dict[str, str | None]:
    """Every file that matters, with the digest of its content."""
    try:
        files = [str(path) for path in sources_below(paths)]
    except FileTrouble:
        files = []
    return {name: file_digest(Path(name)) for name in (*files, *depends)}
