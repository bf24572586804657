"""What people see of a demo while it runs: plain lines, or the flows' progress as trees.

Knows what was told, and nothing of processes and audits.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Protocol

from flowlang.demo.tally import PARTIES, Tally

if TYPE_CHECKING:
    # At run time only a terminal needs it, and only then is it imported.
    from rich.console import RenderableType


class View(Protocol):
    """Shows a day while it happens."""

    def fact(self, day: Tally, fact: dict[str, Any]) -> None:
        """The worker told something; `day` has it already."""
        ...

    def killed(self, day: Tally) -> None:
        """The worker was killed."""
        ...


class Silence:
    """Shows nothing: for `--json`."""

    def fact(self, day: Tally, fact: dict[str, Any]) -> None:
        pass

    def killed(self, day: Tally) -> None:
        pass


class Lines:
    """Plain lines, for logs and simple terminals."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._shown = 0

    def fact(self, day: Tally, fact: dict[str, Any]) -> None:
        if fact["tell"] == "opened" and day.kills:
            self._print(
                f"  started again: {of(fact['in_flight'], 'trade')} in flight then, "
                f"{of(fact['flows'], 'flow')} to go on"
            )
        elif day.over >= self._shown + 10:
            self._shown = day.over
            self._print(f"{day.over} of {day.trades} trades have ended")

    def killed(self, day: Tally) -> None:
        self._print(f"killed the worker (kill -9, number {day.killed})")

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class Trees:
    """The progress trees of the flows under way, drawn by rich in a terminal."""

    ROWS = 8
    """So many flows of a party are drawn, each in three lines at most."""

    def __init__(self, update: Any) -> None:
        self._update = update
        self._flows: dict[str, dict[int, list[str]]] = {party: {} for party in PARTIES}

    def fact(self, day: Tally, fact: dict[str, Any]) -> None:
        if fact["tell"] == "opened":
            for party, moves in fact["moves"].items():
                self._flows[party].clear()
                self._move(self._flows[party], moves)
        if fact["tell"] == "commit":
            self._move(self._flows[fact["party"]], fact["moves"])
        self._update(self.drawn(day))

    def killed(self, day: Tally) -> None:
        self._update(self.drawn(day))

    @staticmethod
    def _move(flows: dict[int, list[str]], moves: list[Any]) -> None:
        for flow_id, depth, label, outcome in moves:
            if outcome is not None:
                flows.pop(flow_id, None)
                continue
            labels = flows.setdefault(flow_id, [])
            del labels[depth:]
            labels += [""] * (depth - len(labels))
            labels.append(label)

    def drawn(self, day: Tally) -> RenderableType:
        """The picture of this moment."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text
        from rich.tree import Tree

        table = Table(box=None, expand=True, pad_edge=False)
        for party in PARTIES:
            table.add_column(party, ratio=1, no_wrap=True, overflow="ellipsis")
        columns = []
        for party in PARTIES:
            trees = []
            for labels in list(self._flows[party].values())[: self.ROWS]:
                # The library's flows lie deep: what it is about, and what happens just now.
                named = [label for label in labels if label] or ["…"]
                shown = [*named[:1], *named[1:][-2:]]
                tree = branch = Tree(Text(shown[0]), guide_style="dim")
                for label in shown[1:]:
                    branch = branch.add(Text(label, style="cyan"))
                trees.append(tree)
            columns.append(Group(*trees))
        table.add_row(*columns)
        kills = ", ".join(str(kill.in_flight) for kill in day.kills) or "none yet"
        status = (
            f"{day.over} of {day.trades} trades ended"
            f"  ·  killed {day.killed} of {day.kills_due} times  ·  in flight then: {kills}"
        )
        return Group(Text(status, style="bold"), Text(), table)


def of(count: int, noun: str) -> str:
    """So many of them, in words."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
