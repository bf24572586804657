"""A moment of a conversation: who takes part, where each stands in its flow, which letters are
under way. Moves nobody by itself; two moments that are alike have the same key."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Literal, NamedTuple, TypeAlias

from flowlang import syntax, types


class Run(NamedTuple):
    """In a block, before the statement `at`."""

    block: syntax.Block
    at: int


class Catching(NamedTuple):
    node: syntax.Try


class Limit(NamedTuple):
    node: syntax.Within


class Round(NamedTuple):
    """In a loop: on top it stands before its next round."""

    node: syntax.While | syntax.For


class Once(NamedTuple):
    """In a loop over sessions, which are drawn as one."""

    node: syntax.For


@dataclasses.dataclass(frozen=True, eq=False)
class Code:
    """The checked file of a flow, compared by identity."""

    checked: types.Checked


class Called(NamedTuple):
    """In a subflow. `returns` says that its result is returned at once."""

    name: str
    code: Code
    returns: bool


class Waiting(NamedTuple):
    """At a wait for messages. `decided` says that a message will come, and nothing else."""

    node: syntax.Receive | syntax.Choice
    decided: bool


Frame: TypeAlias = Run | Catching | Limit | Round | Once | Called | Waiting


class Held(NamedTuple):
    """A session that a variable names."""

    session: Hashable
    owned: bool


class Trouble(NamedTuple):
    """An error: its qualified name, what else it can be caught as, whether it came from a peer."""

    name: str
    families: tuple[str, ...]
    foreign: bool


class Letter(NamedTuple):
    kind: Literal["data", "end", "error"]
    name: str
    trouble: Trouble | None = None


@dataclasses.dataclass
class Taker:
    """One who takes part. Variables are by the depth of subflows and what declares them."""

    key: Hashable
    lane: str
    flow: str
    stack: list[Frame]
    held: dict[tuple[int, types.Variable], Held | Trouble]

    @property
    def depth(self) -> int:
        return sum(1 for frame in self.stack if isinstance(frame, Called))

    @property
    def checked(self) -> types.Checked:
        return next(f.code.checked for f in reversed(self.stack) if isinstance(f, Called))


@dataclasses.dataclass
class Line:
    """A session: who has its two ends (None: somebody who is not followed), and what is under way
    to each. `lanes` are where they are drawn; `each` says that it stands for many."""

    ends: tuple[Hashable | None, Hashable | None]
    lanes: tuple[str, str]
    each: bool
    under_way: tuple[tuple[Letter, ...], tuple[Letter, ...]] = ((), ())
    open: tuple[bool, bool] = (True, True)


class Scene:
    """Takers in the order in which they came, and the sessions between them."""

    def __init__(self) -> None:
        self.takers: dict[Hashable, Taker] = {}
        self.lines: dict[Hashable, Line] = {}

    def copy(self) -> Scene:
        new = Scene()
        new.takers = {
            key: dataclasses.replace(taker, stack=list(taker.stack), held=dict(taker.held))
            for key, taker in self.takers.items()
        }
        new.lines = {key: dataclasses.replace(line) for key, line in self.lines.items()}
        return new

    def key(self) -> Hashable:
        """Equal for moments from which the same can happen."""
        return (
            tuple((t.key, tuple(t.stack), frozenset(t.held.items())) for t in self.takers.values()),
            frozenset(
                (key, line.ends, line.under_way, line.open) for key, line in self.lines.items()
            ),
        )

    def side(self, taker: Taker, session: Hashable) -> int:
        """Which end of a session the taker has."""
        return 0 if self.lines[session].ends[0] == taker.key else 1

    def peer(self, taker: Taker, session: Hashable) -> Taker | None:
        """Who has the other end, if that one is followed and still there."""
        line = self.lines[session]
        other = line.ends[1 - self.side(taker, session)]
        return self.takers.get(other) if other is not None else None

    def is_unknown(self, taker: Taker, session: Hashable) -> bool:
        """Whether anything may come: from who is not followed, and from the others where one stands
        for many."""
        line = self.lines[session]
        other = line.ends[1 - self.side(taker, session)]
        return other is None or (line.each and other not in self.takers)

    def inbox(self, taker: Taker, session: Hashable) -> tuple[Letter, ...]:
        return self.lines[session].under_way[self.side(taker, session)]

    def take(self, taker: Taker, session: Hashable) -> Letter:
        """The first letter, taken away."""
        line, side = self.lines[session], self.side(taker, session)
        letter, *rest = line.under_way[side]
        both = [*line.under_way]
        both[side] = tuple(rest)
        line.under_way = (both[0], both[1])
        return letter

    def put(self, taker: Taker, session: Hashable, letter: Letter) -> bool:
        """A letter from the taker to the other end; False if nobody is there to read it."""
        line, side = self.lines[session], self.side(taker, session)
        if line.ends[1 - side] is None:
            return True
        if not line.open[1 - side] or self.peer(taker, session) is None:
            return False
        both = [*line.under_way]
        both[1 - side] = (*both[1 - side], letter)
        line.under_way = (both[0], both[1])
        return True

    def close(self, taker: Taker, session: Hashable, letter: Letter) -> bool:
        """The taker's end closes, and says so to the other; False if nobody hears it."""
        line = self.lines.get(session)
        if line is None or taker.key not in line.ends:
            return False
        side = self.side(taker, session)
        if not line.open[side]:
            return False
        heard = self.put(taker, session, letter)
        both = [*line.open]
        both[side] = False
        line.open = (both[0], both[1])
        if not line.open[1 - side] or self.peer(taker, session) is None:
            del self.lines[session]
        return heard

    def sessions(self, taker: Taker) -> list[Hashable]:
        """All sessions of which the taker has an open end, in order."""
        return [
            key
            for key, line in self.lines.items()
            if taker.key in line.ends and line.open[self.side(taker, key)]
        ]

    def leave(self, taker: Taker) -> None:
        """The taker is gone; what nobody holds any more is forgotten."""
        self.takers.pop(taker.key, None)
        for key, line in list(self.lines.items()):
            if not any(end in self.takers for end in line.ends if end is not None):
                del self.lines[key]
