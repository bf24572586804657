"""A command with commands, as flowctl and flowc both are: what a misspelt one meant, wrong usage as
data, and how a run ends that cannot print, or that a bug ends. Knows no command.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import IO, Any, ClassVar

import click

from flowrt.cli import printing


class Commands(click.Group):
    """The group of all commands of a program; each program says the rest for itself."""

    unwritable: ClassVar[frozenset[int]] = frozenset(
        {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
    )
    """The numbers of errors by which what is written does not arrive."""

    def wants_json(self) -> bool:
        """Whether what was typed asks for data, also where it could not be read."""
        return printing.wants_json()

    def nearest(self, name: str, known: Iterable[str]) -> str | None:
        """The known name that was probably meant."""
        import difflib

        near = difflib.get_close_matches(name, list(known), 1)
        return near[0] if near else None

    def tells(self, error: Exception) -> bool:
        """Print what a command raises for its user to read; False if this is not such."""
        return False

    def undone(self, error: OSError) -> str | None:
        """What to tell of an operating system that refused; None if only a bug gets there."""
        if error.errno in self.unwritable and error.filename is None:
            return f"cannot write: {error.strerror}"
        return None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if not self.wants_json():
                raise
            printing.print_json({"ok": False, "message": error.format_message()})
            sys.exit(error.exit_code)
        except Exception as error:
            if not self.tells(error):
                raise
            sys.exit(1)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = self.nearest(args[0], self.list_commands(ctx))
            if near and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean `{near}`?", ctx) from None
            raise

    def run(self, program: str, arguments: Sequence[str] | None, bug: str) -> None:
        """Run what was typed, and exit: 0 fine, 1 something is wrong, 2 wrong usage, 70 a bug, of
        which `bug` is said. Never shows a traceback for a user's mistake."""
        try:
            self.main(args=list(arguments) if arguments is not None else None, prog_name=program)
        except BrokenPipeError:
            _write_no_more(sys.stdout)
            sys.exit(1)
        except Exception as error:
            if isinstance(error, OSError) and (told := self.undone(error)) is not None:
                if error.filename is None:
                    _write_no_more(sys.stdout)
                _tell(told)
                sys.exit(1)
            click.echo(traceback.format_exc(), err=True)
            click.echo(f"{program}: {bug}", err=True)
            sys.exit(70)


def _tell(told: str) -> None:
    """Where printing fails this may not arrive either."""
    try:
        click.echo(f"error: {told}", err=True)
    except OSError:
        _write_no_more(sys.stderr)


def _write_no_more(stream: IO[str]) -> None:
    """What is left in a buffer goes nowhere: Python would fail once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
