"""flowctl, the command of who runs nodes and uses them: arguments, exit codes, printing.

Everything slow is imported by the command that needs it. Exit codes: 0 fine, 1 something is wrong,
2 wrong usage, 70 our bug.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import click

from flowrt.cli.printing import print_json, print_refused, wants_json

COMMANDS: Final = {
    "init": "flowrt.cli.parties:init",
    "up": "flowrt.cli.parties:up",
    "config": "flowrt.cli.parties:config",
    "apps": "flowrt.cli.parties:apps",
    "user": "flowrt.cli.users:user",
    "keys": "flowrt.cli.keys:keys",
    "backup": "flowrt.cli.backups:backup",
    "restore": "flowrt.cli.backups:restore",
    "network": "flowrt.cli.networks:network",
    "start": "flowrt.cli.flows:start",
    "send": "flowrt.cli.flows:send",
    "result": "flowrt.cli.flows:result",
    "watch": "flowrt.cli.watching:watch",
    "list": "flowrt.cli.flows:list_flows",
    "show": "flowrt.cli.flows:show",
    "dump": "flowrt.cli.flows:dump",
    "hospital": "flowrt.cli.operating:hospital",
    "retry": "flowrt.cli.flows:retry",
    "repair": "flowrt.cli.flows:repair",
    "throw": "flowrt.cli.flows:throw",
    "kill": "flowrt.cli.flows:kill",
    "pause": "flowrt.cli.flows:pause",
    "resume": "flowrt.cli.flows:resume",
    "tasks": "flowrt.cli.people:tasks",
    "answer": "flowrt.cli.people:answer",
    "claim": "flowrt.cli.people:claim",
    "release": "flowrt.cli.people:release",
    "delegate": "flowrt.cli.people:delegate",
    "expire": "flowrt.cli.people:expire",
    "schedule": "flowrt.cli.operating:schedule",
    "drain": "flowrt.cli.operating:drain",
    "versions": "flowrt.cli.operating:versions",
    "peers": "flowrt.cli.operating:peers",
    "audit": "flowrt.cli.operating:audit",
    "completion": "flowrt.cli.completing:completion",
}
"""Where each command is; it is imported when it is asked for."""


class _Flowctl(click.Group):
    """A group whose commands are imported late, and that knows what a misspelt one meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        found = getattr(importlib.import_module(module), name)
        assert isinstance(found, click.Command)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        from flowrt.serving.troubles import Refused

        try:
            return super().invoke(ctx)
        except Refused as error:
            print_refused(error)
            sys.exit(1)
        except click.UsageError as error:
            if not wants_json():
                raise
            print_json({"ok": False, "message": error.format_message()})
            sys.exit(error.exit_code)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            if near and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean `{near[0]}`?", ctx) from None
            raise


@click.group(cls=_Flowctl, context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run parties' nodes: make them, serve them, use and look after them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `flowctl`. Never shows a traceback for a user's mistake."""
    try:
        commands.main(args=list(arguments) if arguments is not None else None, prog_name="flowctl")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in _DISK and error.filename is None:
            _bug()
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{error.strerror}", err=True)
        sys.exit(1)
    except Exception:
        _bug()


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def _bug() -> None:
    click.echo(traceback.format_exc(), err=True)
    click.echo("flowctl: this is a bug of flowctl; please report it", err=True)
    sys.exit(70)
