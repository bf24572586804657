"""The world in which the reference interpreter runs flows: parties, sessions, steps, time.

A step's effects are kept until it waits, so that a fault undoes the step. Knows no statement: what
a flow does it learns from a generator that yields where the flow waits.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Generator, Iterable
from typing import NamedTuple

from flowlang import syntax
from tests.programs.arithmetic import Faulted, Made, Value, plain
from tests.programs.seen import Conversation, Ending, Flown, Seen, seen

BUILT_IN = frozenset(
    (
        "SessionRejected",
        "SessionEnded",
        "UnexpectedFlowEnd",
        "UnexpectedMessage",
        "Malformed",
        "Timeout",
        "TaskExpired",
        "FlowFailed",
    )
)
START = 1_700_000_000_000_000
"""The time at which every world begins, in microseconds."""

MOST_STEPS = 3000
MOST_STATEMENTS = 50_000


class TooLong(Exception):
    """A program that takes too many steps to be run many times."""


class Race(Exception):
    """A program whose outcome depends on timing: a mistake of whoever wrote it."""


class Thrown(Exception):
    """An error of the language on its way. `peer` is who sent it, if it came from outside."""

    def __init__(self, error: Made, peer: str | None = None) -> None:
        super().__init__(error.name)
        self.error = error
        self.peer = peer
        self.waits = 0  # How often the flow had waited when it was caught.
        self.fields: frozenset[str] = frozenset()  # Those that the `catch` which took it knows.

    @property
    def built_in(self) -> bool:
        return self.error.name in BUILT_IN


def built_in(name: str, peer: str | None = None) -> Thrown:
    return Thrown(Made(name, ()), peer)


# --- sessions ---------------------------------------------------------------------------------


class Letter(NamedTuple):
    """`kind` is message, end, failure or rejection."""

    kind: str
    value: Made | None = None


@dataclasses.dataclass(eq=False)
class Session:
    """One end of a session. `sent` are the messages that were really sent; `rejected` says that a
    rejection came which nobody has read. So many messages are `unwanted` when they come; those that
    the flow waits for now are `wanted`."""

    owner: Run
    peer: str
    responder: str
    opened: bool = False
    other: Session | None = None
    inbox: collections.deque[Letter] = dataclasses.field(default_factory=collections.deque)
    sent: list[Made] = dataclasses.field(default_factory=list)
    heard: bool = False
    over: bool = False
    closed: bool = False
    rejected: bool = False
    unwanted: int = 0
    wanted: frozenset[str] = frozenset()


# --- flows under way --------------------------------------------------------------------------


class Wait(NamedTuple):
    """What a flow waits for: a letter of a session, a time, a person, anything that `ready` can
    tell, whichever is first; or (nothing of these) its commit. A `deadline` may end it sooner."""

    session: Session | None = None
    due: int | None = None
    person: bool = False
    ready: Callable[[], bool] | None = None
    deadline: int | None = None


COMMITTED = Wait()


@dataclasses.dataclass(eq=False)
class Begun:
    """Something that was begun and comes to its end by itself: a question, a call, another flow.
    `end` tells what came of it, or raises that; `due` is when it is over without an end."""

    done: Callable[[], bool]
    end: Callable[[], Value]
    due: int | None = None
    taken: bool = False

    def wait(self) -> Wait:
        return Wait(ready=self.done, due=self.due)


class Leaving(NamedTuple):
    """That a block is being left: by break, continue or return."""

    how: str
    value: Value = None


Steps = Generator[Wait, None, "Leaving | None"]


@dataclasses.dataclass(eq=False)
class Frame:
    """A flow or subflow under way. `open` are the sessions that it must end, `invited` all that it
    ever opened."""

    flow: syntax.Flow
    values: dict[str, Value]
    open: list[Session] = dataclasses.field(default_factory=list)
    invited: list[Session] = dataclasses.field(default_factory=list)
    step: str | None = None
    shown: dict[str, Value] = dataclasses.field(default_factory=dict)
    around: list[str] = dataclasses.field(default_factory=list)


class Effect(NamedTuple):
    """What a step does to the world when it is committed. With `act`, that; `kind` is then only a
    word for readers."""

    kind: str
    session: Session | None = None
    what: object = None
    act: Callable[[World, Run], None] | None = None


@dataclasses.dataclass(eq=False)
class Run:
    """A flow of a party, with its subflows."""

    party: str
    flow: syntax.Flow
    frames: list[Frame] = dataclasses.field(default_factory=list)
    pending: list[Effect] = dataclasses.field(default_factory=list)
    journal: list[str] = dataclasses.field(default_factory=list)
    logs: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    moves: list[tuple[str, tuple[str, ...], str]] = dataclasses.field(default_factory=list)
    sessions: list[Session] = dataclasses.field(default_factory=list)
    steps: Generator[Wait, None, None] | None = None
    waiting: Wait = COMMITTED
    ending: Ending | None = None
    result: Value = None
    owner: Session | None = None
    waits: int = 0
    unsure: bool = False
    """Whether an acceptance may or may not have ended a step since the last certain commit."""

    def rows(self) -> int:
        """How many lines the flow has in the journal, those of the running step included."""
        return len(self.journal) + sum(effect.kind == "journal" for effect in self.pending)


Begin = Callable[["World", Run, dict[str, Value], Session | None], Generator[Wait, None, None]]
"""Makes the steps of a new run, from its arguments and the session that it responds to."""


class World:
    """Parties, their flows, and time. `newest_first` runs the same program in another order."""

    def __init__(
        self,
        files: Iterable[syntax.File],
        hosts: Iterable[str],
        begin: Begin,
        *,
        newest_first: bool,
    ) -> None:
        declarations = [declaration for file in files for declaration in file.declarations]
        self.declared = {declaration.name: declaration for declaration in declarations}
        self.hosts = frozenset(hosts)
        self.begin = begin
        self.newest_first = newest_first
        self.runs: list[Run] = []
        self.outside: list[Callable[[], bool]] = []
        """What is to be done by people, once nothing goes on by itself. Each tells whether it did
        anything."""
        self.now = START
        self.steps = 0
        self.statements = 0
        self.unsure = False
        self.counts: collections.Counter[str] = collections.Counter()

    # --- the loop ---

    def start(self, party: str, name: str, arguments: dict[str, Value]) -> Run:
        flow = self.declared[name]
        assert isinstance(flow, syntax.Flow)
        run = Run(party, flow)
        run.steps = self.begin(self, run, arguments, None)
        self.runs.append(run)
        return run

    def go(self) -> None:
        """Until nothing moves any more."""
        while True:
            run = self._next()
            if run is not None:
                self._step(run)
            elif not self._call_people() and not self._call_operators():
                if not self._advance_clock():
                    return

    def _next(self) -> Run | None:
        runs = reversed(self.runs) if self.newest_first else self.runs
        for run in runs:
            if run.ending is None and self._ready(run.waiting):
                return run
        return None

    def _ready(self, wait: Wait) -> bool:
        return self.is_ready(wait) or (wait.deadline is not None and wait.deadline <= self.now)

    def is_ready(self, wait: Wait) -> bool:
        """Whether what is waited for is there, whatever the deadline."""
        if wait.session is not None and wait.session.inbox:
            return True
        if wait.ready is not None and wait.ready():
            return True
        if wait.due is not None:
            return wait.due <= self.now
        return wait == COMMITTED

    def _advance_clock(self) -> bool:
        waits = [run.waiting for run in self.runs if run.ending is None]
        due = [wait.due for wait in waits if wait.due is not None]
        due += [wait.deadline for wait in waits if wait.deadline is not None]
        if due:
            self.now = max(self.now, min(due))
        return bool(due)

    def _call_people(self) -> bool:
        return sum(act() for act in self.outside) > 0

    def _call_operators(self) -> bool:
        held = [run for run in self.runs if run.ending is None and run.waiting.person]
        for run in held:
            run.waiting = COMMITTED
        return bool(held)

    def _step(self, run: Run) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooLong
        assert run.steps is not None
        try:
            run.waiting = next(run.steps)
        except StopIteration:
            pass
        except Faulted:
            self.counts["ended in the hospital"] += 1
            self.unsure = self.unsure or run.unsure
            run.pending.clear()
            run.ending = Ending("hospital")
            return
        self._commit(run)
        if run.ending is None:
            run.waits += 1
            self.counts.update(_places(run))

    def _commit(self, run: Run) -> None:
        for effect in run.pending:
            session = effect.session
            if effect.act is not None:
                effect.act(self, run)
                continue
            match effect.kind:
                case "journal":
                    run.journal.append(str(effect.what))
                case "log":
                    run.logs.append(effect.what)  # type: ignore[arg-type]
                case "move":
                    run.moves.append(effect.what)  # type: ignore[arg-type]
                case "open":
                    assert session is not None
                    self._invite(session)
                case _:
                    assert session is not None
                    assert isinstance(effect.what, Letter)
                    if effect.what.value is not None and effect.kind == "message":
                        session.sent.append(effect.what.value)
                    if session.other is not None:
                        self._deliver(session.other, effect.what)
        run.pending.clear()
        run.unsure = False

    def _deliver(self, session: Session, letter: Letter) -> None:
        if session.unwanted and letter.kind == "message":
            session.unwanted -= 1
            self.counts["a late message was dropped"] += 1
            return
        session.inbox.append(letter)

    def _invite(self, session: Session) -> None:
        session.opened = True
        session.owner.sessions.append(session)
        if session.peer not in self.hosts:
            session.rejected = True
            session.inbox.append(Letter("rejection"))
            return
        flow = self.declared[session.responder]
        assert isinstance(flow, syntax.Flow)
        run = Run(session.peer, flow)
        answer = Session(run, session.owner.party, session.responder, True, session)
        session.other = answer
        run.steps = self.begin(self, run, {}, answer)
        self.runs.append(run)

    # --- what was seen ---

    def seen(self) -> Seen:
        return seen([self._flown(run) for run in self.runs])

    def _flown(self, run: Run) -> Flown:
        talks = [
            Conversation(
                session.peer,
                session.responder,
                tuple(plain(message) for message in session.sent),
                tuple(plain(m) for m in session.other.sent) if session.other else (),
            )
            for session in run.sessions
        ]
        if run.owner is not None:
            told = tuple(plain(message) for message in run.owner.sent)
            talks.append(Conversation(run.party, "owner", (), told))
        return Flown(
            run.party,
            run.flow.name,
            run.ending or Ending("waiting"),
            tuple(run.journal),
            tuple(run.logs),
            tuple(run.moves),
            tuple(talks),
        )


def _places(run: Run) -> set[str]:
    """Where a flow waits, for the count of what happened."""
    around = {f"waited in {place}" for frame in run.frames for place in frame.around}
    if len(run.frames) > 1:
        around.add("waited in subflow")
    if run.frames and run.frames[0].flow.responds is not None:
        around.add("waited in responder")
    return around
