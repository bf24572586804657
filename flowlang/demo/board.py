"""What people see of trades between processes: a row for each kill, and on a terminal, below them,
how each party is and how many trades are settled.

Knows what was told, and nothing of processes.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Protocol

from flowlang.demo.tally import PARTIES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


@dataclasses.dataclass(frozen=True)
class Kill:
    """One SIGKILL: of whom, with how many trades settled and under way; after how many seconds the
    party served again, with how many flows that went on."""

    party: str
    settled: int
    flying: int
    away_s: float
    resumed: int


class Board:
    """How things are.

    Attributes:
        states: for each party that was started what it does, and its process.
    """

    def __init__(self, trades: int, kills_due: int) -> None:
        self.trades = trades
        self.kills_due = kills_due
        self.settled = 0
        self.flying = 0
        self.killed: collections.Counter[str] = collections.Counter()
        self.kills: list[Kill] = []
        self.states: dict[str, tuple[str, int | None]] = {}

    @property
    def left(self) -> int:
        """How many trades are not settled yet."""
        return self.trades - self.settled


class View(Protocol):
    """Shows it while it happens."""

    def said(self, line: str) -> None:
        """A party serves for the first time, and says so."""
        ...

    def changed(self, board: Board) -> None:
        """Something is another."""
        ...

    def killed(self, kill: Kill) -> None:
        """A party was killed, and serves again."""
        ...


class Quiet:
    """Shows nothing: for `--json`."""

    def said(self, line: str) -> None:
        pass

    def changed(self, board: Board) -> None:
        pass

    def killed(self, kill: Kill) -> None:
        pass


HEAD = f"{'SETTLED':>7}  {'KILLED':<6}  {'UNDER WAY':>9}  {'BACK AFTER':>10}  {'FLOWS RESUMED':>13}"


def row(kill: Kill) -> str:
    """A kill, below `HEAD`."""
    return (
        f"{kill.settled:>7}  {kill.party:<6}  {kill.flying:>9}  "
        f"{f'{kill.away_s:.1f} s':>10}  {kill.resumed:>13}"
    )


class Rows:
    """Plain lines, for logs and simple terminals."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._headed = False

    def said(self, line: str) -> None:
        self._print(line)

    def changed(self, board: Board) -> None:
        pass

    def killed(self, kill: Kill) -> None:
        if not self._headed:
            self._headed = True
            self._print(HEAD)
        self._print(row(kill))

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class Drawn(Rows):
    """The same lines on a terminal, and below them how things are, in place."""

    def __init__(self, console: Console, shown: Live) -> None:
        super().__init__(console.file)
        self._console = console
        self._live = shown

    def _print(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text, style="bold" if text == HEAD else ""))

    def changed(self, board: Board) -> None:
        self._live.update(drawn(board), refresh=True)


@contextlib.contextmanager
def live() -> Iterator[View]:
    """A view on this terminal, until it is left."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, transient=True) as shown:
        yield Drawn(console, shown)


STYLES = {"serving": "green", "starting": "yellow", "killed": "bold red"}


def drawn(board: Board) -> RenderableType:
    """The picture of this moment."""
    from rich.console import Group
    from rich.text import Text

    rows = [
        Text(
            f"{board.settled} of {board.trades} trades settled, {board.flying} under way; "
            f"{board.killed.total()} of {board.kills_due} kills",
            style="bold",
        )
    ]
    for name in PARTIES:
        state, process = board.states.get(name, ("", None))
        where = f"process {process}" if process is not None else ""
        rows.append(
            Text.assemble(f"  {name:<6}  ", (f"{state:<8}", STYLES.get(state, "")), f"  {where}")
        )
    return Group(Text(), *rows)
