"""What a step is lent, and what it decides. Computes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from flowrt.core.flow import Party, Tx
from flowrt.core.progress import ProgressEvent
from flowrt.core.registry import Registry
from flowrt.core.values import Bounce, Content, Data, Ending, Letter, SessionState

Mail: TypeAlias = Content | Bounce
"""What an owner hears of its flow: messages, the end, and what of its own could not be taken."""


class Congested(Exception):
    """More waits for a peer than may: the step is put off until the peer has taken some of it."""


READS_ON = 8
"""How many waits one step passes at most because a message is there already: it goes on where a
commit would change nothing but the flow's own row."""


class World:
    """What the node lends to a step: names, time, a secret, services. Set anew for every batch.

    `key` is 32 random bytes that no one else knows: ids of sessions and errors are derived from it.
    `tx` is the running transaction, made when a service first asks for it. `new_flow` gives the id
    of a flow to be started, `lookup` the outcome of one that has ended, `holder` the living flow of
    a name and a business key, `has_room` whether more may be said to a peer, `asked` how an event
    of a service ended, by its name and the bytes of its arguments, None as long as it is not so.
    `running` is what a step runs as, if somebody watches it. `reads_on` is how many waits a step
    may pass for which a message is there already; it counts down.
    """

    __slots__ = (
        "asked",
        "has_room",
        "holder",
        "key",
        "lookup",
        "me",
        "new_flow",
        "now_us",
        "reads_on",
        "registry",
        "running",
        "services",
        "tx",
    )

    def __init__(
        self, me: Party, registry: Registry, key: bytes, services: Mapping[str, Any], tx: Tx
    ) -> None:
        self.me = me
        self.registry = registry
        self.key = key
        self.services = services
        self.tx = tx
        self.now_us = 0
        self.reads_on = 0
        self.new_flow: Callable[[], int] = _no_flow
        self.lookup: Callable[[int], Outcome | None] = _no_outcome
        self.holder: Callable[[str, str], int | None] = _no_holder
        self.asked: Callable[[str, bytes], Ending | None] = _nothing_known
        self.has_room: Callable[[str], bool] = _has_room
        self.running: Callable[..., Any] | None = None

    def secret(self, flow_id: int, number: int, purpose: bytes = b"session") -> bytes:
        """16 bytes that nobody can guess and that no other flow and number gets."""
        text = b"%s:%d:%d" % (purpose, flow_id, number)
        return hashlib.blake2b(text, key=self.key, digest_size=16).digest()


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a flow ended: `value` are the bytes of its result, or, where `error` names one, of its
    error: (fields, error id, peer's name or none, text).
    """

    flow: str
    value: bytes
    error: str | None = None


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A new session, to be invited: the node numbers the invitation. `messages` tells what the
    opener knows of its role's messages, where it opened one with a role."""

    session: SessionState
    flow: str
    initiator: str
    version: int
    messages: str = ""


class Started(msgspec.Struct, frozen=True, gc=False):
    """A new flow: its versioned name, its start, when it begins (microseconds; 0: at once)."""

    flow_id: int
    flow: str
    start: Any
    due_us: int


class Task(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A question to people, as long as it is open.

    `role` is who may answer, `flow` the versioned name of the flow that asks. `asked` and `answer`
    name the types of question and answer, `value` are the question's bytes. `since_us` and `due_us`
    are microseconds since 1970, `due_us` 0 if there is no deadline. `claimed` is who alone may
    answer it, since `claimed_us`; "" if nobody has claimed it.
    """

    flow_id: int
    number: int
    role: str
    flow: str
    asked: str
    value: bytes
    answer: str
    since_us: int
    due_us: int
    claimed: str = ""
    claimed_us: int = 0


class More:
    """What few steps decide.

    `mail` is what goes to the flow's owner, numbered; `requested` are the external operations that
    this step began and those that a person lets run again, `dropped` calls that nobody waits for
    any more, `starts` the new flows, `follows` the flows whose end it wants to hear of; `tasks`
    questions to people by number, None for those that are over; `waits` the events that the flow
    begins or ceases to wait for, by number: the event's name, the bytes of its arguments, which.
    """

    __slots__ = ("dropped", "follows", "mail", "requested", "starts", "tasks", "waits")

    def __init__(self) -> None:
        self.mail: list[tuple[int, Mail]] = []
        self.requested: list[int] = []
        self.dropped: list[int] = []
        self.follows: list[int] = []
        self.starts: list[Started] = []
        self.tasks: dict[int, Task | None] = {}
        self.waits: dict[int, tuple[str, bytes, bool]] = {}


class Commit:
    """What one step decided. All of it becomes durable at once, with the others of its batch.

    `outbox` are frames and new sessions in their order; `due_us` is None, or when the flow goes on
    by itself (0: at once); `ran` says that the flow took a step, not only something in; `gone` that
    nothing of it is left but its outcome. `rest` is what few steps have.
    """

    __slots__ = ("due_us", "gone", "held", "logs", "moves", "outbox", "outcome", "ran", "rest")

    def __init__(self) -> None:
        self.outbox: list[tuple[str, Letter | Opened]] = []
        self.rest: More | None = None
        self.logs: list[tuple[str, str]] = []
        self.moves: list[ProgressEvent] = []
        self.outcome: Outcome | None = None
        self.due_us: int | None = None
        self.ran = False
        self.gone = False
        self.held: str | None = None

    @property
    def more(self) -> More:
        """The rest, to be added to."""
        if self.rest is None:
            self.rest = More()
        return self.rest

    def post(self, session: SessionState, letter: Letter) -> None:
        """What a session says: to a peer over the wire, to the flow's owner as mail."""
        if session.secret:
            self.outbox.append((session.peer, letter))
        else:
            self.more.mail.append((letter.seq, letter.content))

    def bounce(self, session: SessionState, content: Data, reason: str) -> None:
        """Give back to the flow's owner what it sent."""
        self.more.mail.append((session.sent, Bounce(content.name, content.body, reason)))
        session.sent += 1


def _no_flow() -> int:
    raise LookupError("nobody here can start a flow")


def _nothing_known(what: str, detail: bytes) -> Ending | None:
    raise LookupError(f"nobody here knows {what}")


def _no_outcome(flow_id: int) -> Outcome | None:
    return None


def _has_room(peer: str) -> bool:
    return True


def _no_holder(name: str, key: str) -> int | None:
    return None
