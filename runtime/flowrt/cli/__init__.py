"""flowctl, the command of who runs nodes and uses them: arguments, exit codes, printing.

Everything slow is imported by the command that needs it. Exit codes: 0 fine, 1 something is wrong,
2 wrong usage, 70 our bug.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Sequence
from typing import Final

import click

from flowrt.cli.group import Commands
from flowrt.cli.printing import print_refused

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


class _Flowctl(Commands):
    """flowctl's commands: imported late, refused with troubles."""

    unwritable = Commands.unwritable | {errno.EROFS}

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

    def tells(self, error: Exception) -> bool:
        from flowrt.serving.troubles import Refused

        if isinstance(error, Refused):
            print_refused(error)
        return isinstance(error, Refused)

    def undone(self, error: OSError) -> str | None:
        if error.errno not in self.unwritable and error.filename is None:
            return None
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


@click.group(cls=_Flowctl, context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run parties' nodes: make them, serve them, use and look after them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `flowctl`. Never shows a traceback for a user's mistake."""
    commands.run("flowctl", arguments, "this is a bug of flowctl; please report it")
