"""All that a generated flow may import: values, states, errors, steps, what a running step may do.

This module is the contract between generated code and the engine. It computes only: it knows no
store, wire, clock or thread, and nothing here may change without a new `CONTRACT` number.
"""

from __future__ import annotations

import datetime
import typing
from collections.abc import Awaitable, Sequence
from collections.abc import Mapping as Mapping
from typing import Annotated, Any, ClassVar, Generic, NewType, TypeAlias, TypeVar

import msgspec

from flowrt.core.arithmetic import DECIMAL_DIGITS as DECIMAL_DIGITS
from flowrt.core.arithmetic import INT_MAX as INT_MAX
from flowrt.core.arithmetic import INT_MIN as INT_MIN
from flowrt.core.arithmetic import ROUNDINGS as ROUNDINGS
from flowrt.core.arithmetic import all_finite as all_finite
from flowrt.core.arithmetic import checked as checked
from flowrt.core.arithmetic import decimal_add as decimal_add
from flowrt.core.arithmetic import decimal_multiply as decimal_multiply
from flowrt.core.arithmetic import decimal_subtract as decimal_subtract
from flowrt.core.arithmetic import divide as divide
from flowrt.core.arithmetic import entry as entry
from flowrt.core.arithmetic import finite as finite
from flowrt.core.arithmetic import floor_div as floor_div
from flowrt.core.arithmetic import frozen as frozen
from flowrt.core.arithmetic import has_decimal as has_decimal
from flowrt.core.arithmetic import item as item
from flowrt.core.arithmetic import modulo as modulo
from flowrt.core.arithmetic import normal as normal
from flowrt.core.arithmetic import shifted as shifted
from flowrt.core.arithmetic import some as some
from flowrt.core.arithmetic import text as text
from flowrt.core.arithmetic import typed as typed
from flowrt.core.arithmetic import written as written
from flowrt.core.declared import BUILTIN_ERRORS as BUILTIN_ERRORS
from flowrt.core.declared import BuiltinError as BuiltinError
from flowrt.core.declared import Fault as Fault
from flowrt.core.declared import FlowError as FlowError
from flowrt.core.declared import FlowFailed as FlowFailed
from flowrt.core.declared import FlowKilled as FlowKilled
from flowrt.core.declared import InvariantBroken as InvariantBroken
from flowrt.core.declared import Malformed as Malformed
from flowrt.core.declared import Message as Message
from flowrt.core.declared import Party as Party
from flowrt.core.declared import SessionEnded as SessionEnded
from flowrt.core.declared import SessionRejected as SessionRejected
from flowrt.core.declared import State as State
from flowrt.core.declared import TaskExpired as TaskExpired
from flowrt.core.declared import Timeout as Timeout
from flowrt.core.declared import UnexpectedFlowEnd as UnexpectedFlowEnd
from flowrt.core.declared import UnexpectedMessage as UnexpectedMessage
from flowrt.core.declared import Value as Value
from flowrt.core.declared import invariant as invariant
from flowrt.core.waits import Answer as Answer
from flowrt.core.waits import Arm as Arm
from flowrt.core.waits import Await as Await
from flowrt.core.waits import Call as Call
from flowrt.core.waits import Came as Came
from flowrt.core.waits import Checkpoint as Checkpoint
from flowrt.core.waits import Choose as Choose
from flowrt.core.waits import Done as Done
from flowrt.core.waits import Ended as Ended
from flowrt.core.waits import Hold as Hold
from flowrt.core.waits import Late as Late
from flowrt.core.waits import Receive as Receive
from flowrt.core.waits import ReceiveEach as ReceiveEach
from flowrt.core.waits import Return as Return
from flowrt.core.waits import Sleep as Sleep
from flowrt.core.waits import Step as Step
from flowrt.core.waits import Wait as Wait
from flowrt.core.waits import WaitUntil as WaitUntil
from flowrt.core.waits import earlier as earlier

CONTRACT = 2
"""Generated code carries the number that it was made for; the registry refuses any other."""

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
M = TypeVar("M", bound="Message")


Int: TypeAlias = Annotated[int, msgspec.Meta(ge=INT_MIN, le=INT_MAX)]
"""A 64-bit integer; a value outside is refused when it is decoded."""

Timestamp: TypeAlias = Annotated[datetime.datetime, msgspec.Meta(tz=True)]
"""A moment, as a field holds it; one without a zone, which nothing can be compared with, is refused
when it is decoded."""

Session = NewType("Session", int)
"""A conversation, as a flow holds it: a small number that means nothing outside its own flow."""

Eventually: TypeAlias = T | Awaitable[T]
"""What an external operation gives: a value, or the promise of one."""

Pending = NewType("Pending", int)
"""Something begun and not awaited yet, as a flow holds it: a number within its own flow."""


# --- services ---------------------------------------------------------------------------------


class Tx(typing.Protocol):
    """A service operation's view of its node: the running step's transaction.

    What `execute` writes commits with the step or not at all. A `read` operation's `Tx` refuses
    writes, and no operation may end the transaction or touch the engine's own tables.
    """

    @property
    def me(self) -> Party: ...

    @property
    def now(self) -> datetime.datetime: ...

    @property
    def flow_id(self) -> int: ...

    @property
    def known(self) -> dict[str, Any]:
        """For what a service remembers of its tables, under names of its own, so that it need not
        ask again. Emptied whenever anything is undone; who writes a table brings it up to date."""
        ...

    @property
    def incarnation(self) -> bytes:
        """Names the store. It is another one when the store was made anew, or was accepted though
        it had gone back to an older state: what others were told since is not known here then."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; returns its rows (empty for a write)."""
        ...

    def lives(self, flow_id: int) -> bool:
        """Whether a flow of that id was at rest here at the last commit: it has not ended. For
        `setup`, which puts right what flows left that are no more."""
        ...

    def happened(self, event: str, *arguments: object) -> None:
        """Say that what `event` asks for with these arguments is so now: with this transaction the
        flows that wait for it ask again, and go on."""
        ...


class Operation(msgspec.Struct, frozen=True):
    """One operation of a service: `kind` is "read", "write", "external" (at least once, outside of
    the step), "once" (at most once) or "event" (None until it is so); `result` is its Python
    type."""

    name: str
    kind: str
    parameters: tuple[str, ...]
    result: Any
    kinds: tuple[Any, ...] = ()
    """Of an external operation or an event, the Python types of its parameters."""


class ServiceKey(Generic[S]):
    """A service as a flow names it. `S` is the generated protocol that its object follows."""

    def __init__(self, name: str, *operations: Operation) -> None:
        self.name = name
        self.operations = operations

    def __repr__(self) -> str:
        return f"ServiceKey({self.name!r})"


# --- progress ---------------------------------------------------------------------------------


class ProgressStep(msgspec.Struct, frozen=True):
    """A declared progress step. `tracks` is the qualified name of the subflow that it follows."""

    name: str
    label: str
    tracks: str | None = None


# --- flows ------------------------------------------------------------------------------------


class Remedy(msgspec.Struct, frozen=True):
    """What is done when a step of a flow fails: it is tried again `retries` times, each `every_us`
    (microseconds) or a little more after the one before; then it waits for a person, or its flow
    ends if `ends`."""

    retries: int = 0
    every_us: int = 0
    ends: bool = False


class Run(typing.Protocol):
    """What a running step may see and do. The engine makes one; generated code uses it."""

    me: Party
    flow_id: int
    tx: Tx

    @property
    def now(self) -> datetime.datetime:
        """The time of this step, in UTC: constant within it."""
        ...

    def open(self, flow: str, party: Party, block: int, plays: str = "") -> Session:
        """A new session with the responder `flow` at `party`, opened at nesting depth `block`.
        The invitation leaves when this step commits. Where `plays` names a role of a protocol, that
        this flow has, `flow` is the other one, for which somebody answers there."""
        ...

    def send(self, session: Session, message: Message) -> None:
        """Queue `message`; it leaves when this step commits. Throws only what is already at the
        head of the session's committed inbox: its end, an error or a rejection."""
        ...

    def received(self, kind: type[M]) -> M:
        """What the flow waited for, as `kind`. Throws the peer's error, `SessionEnded`,
        `SessionRejected`, `UnexpectedMessage`, `Malformed` or `Timeout`."""
        ...

    def received_each(self, kind: type[M]) -> tuple[M, ...]:
        """One message of each session, in the sessions' order. Throws as `received` does, for the
        first that went wrong."""
        ...

    def received_some(self, kind: type[M]) -> tuple[M | None, ...]:
        """One message of each session, in the sessions' order; None for each that gave none."""
        ...

    def chosen(self, *arms: Arm) -> int:
        """The number of the arm that happened; of several, the one that happened first. Throws
        what happened and is no arm, and `Timeout`."""
        ...

    def sender(self) -> Session:
        """The session that the chosen arm is about."""
        ...

    def woken(self) -> None:
        """Throws `Timeout` if the flow was waked by a deadline, not by its own timer."""
        ...

    def close(self, session: Session) -> None:
        """End one session."""
        ...

    def version(self, session: Session) -> int:
        """The version of the flow at the other end; a `Fault` before it is known."""
        ...

    def start(
        self, flow: type[Flow[Any]], start: State, at: datetime.datetime | None = None
    ) -> int:
        """A new, independent flow, at once or at a time; its id."""
        ...

    def request(self, key: ServiceKey[Any], operation: str, *arguments: object) -> Pending:
        """Begin an external operation: it runs once this step is committed; or to wait for an
        event."""
        ...

    def follow(self, flow_id: int) -> Pending:
        """Begin to wait for a flow that was started here."""
        ...

    def ask(
        self,
        role: str,
        asked: str,
        question: object,
        answer: str,
        within: datetime.timedelta | None = None,
    ) -> Pending:
        """Begin a task for people who hold `role`. `asked` and `answer` are the qualified names of
        the question's and the answer's type."""
        ...

    def outcome(self, kind: Any) -> Any:
        """What the awaited call gave, as `kind`; throws its error."""
        ...

    def outcomes(self, kind: Any) -> tuple[Any, ...]:
        """What the awaited calls gave, in their order; throws the first error."""
        ...

    def answer(self, kind: Any) -> Answer[Any]:
        """What was answered; throws `TaskExpired`."""
        ...

    def result(self, flow: type[Flow[R]]) -> R:
        """What the subflow returned; throws the error that ended it."""
        ...

    def leave(self, block: int) -> None:
        """End every session that this frame opened at a nesting depth greater than `block`."""
        ...

    def peer(self, session: Session) -> Party:
        """The party at the other end."""
        ...

    def at(self, step: str, label: str | None = None, values: Any = None) -> None:
        """Move the progress tracker to `step`; `values`, by name, are what it declares."""
        ...

    def log(self, level: str, text: str) -> None:
        """One line, written once when this step commits. `level` is debug, info or warn."""
        ...

    def service(self, key: ServiceKey[S]) -> S:
        """The object bound to this service on this node."""
        ...

    def tick(self) -> None:
        """Count one turn of a loop; a step that takes too many fails, so that no node hangs."""
        ...


class Flow(Generic[R_co]):
    """Base of generated flows. A subclass is never instantiated: the engine calls `step`."""

    contract: ClassVar[int] = 0
    name: ClassVar[str] = ""
    """Qualified name without the version, such as `trade.Seller`."""
    version: ClassVar[int] = 0
    source: ClassVar[str] = ""
    responds_to: ClassVar[str | None] = None
    roles: ClassVar[Mapping[str, Any]] = {}
    """Of each role that it has in a session with another role: the messages that it may send, and
    those that it may receive."""
    startable: ClassVar[tuple[str, ...]] = ()
    owner: ClassVar[bool] = False
    """Whether it has a session with whoever started it: the last field of `Start`."""
    commands: ClassVar[tuple[type[Message], ...]] = ()
    """The messages that it can receive from its owner."""
    tasks: ClassVar[Mapping[str, Any]] = {}
    """The types of what it asks people, and of their answers, by qualified name."""
    starts: ClassVar[tuple[str, ...]] = ()
    """Versioned names of the flows that it starts."""
    steps: ClassVar[tuple[ProgressStep, ...]] = ()
    services: ClassVar[tuple[ServiceKey[Any], ...]] = ()
    functions: ClassVar[tuple[str, ...]] = ()
    """`module:function` of every Python function that the flow calls."""
    remedies: ClassVar[Mapping[str, Remedy]] = {}
    """What it says of its failing steps: of "transient" causes, and of any "failure"."""
    subflows: ClassVar[tuple[str, ...]] = ()
    """Versioned names of the flows that it calls."""
    errors: ClassVar[Mapping[str, type[FlowError]]] = {}
    """Declared errors by wire name: those that this flow's module can name."""
    Start: ClassVar[type[State]] = State
    States: ClassVar[Any] = State
    Result: ClassVar[Any] = None

    @classmethod
    def step(cls, at: Any, run: Run) -> Step[Any]:
        """Go on from the state `at` to the next wait, or to the end."""
        raise InvariantBroken(f"{cls.__name__} has no steps: it was not generated")

    @classmethod
    def key(cls, at: Any) -> str:
        """The business key of a flow that starts at `at`; "" if it has none."""
        return ""

    @classmethod
    def versioned(cls) -> str:
        """The name under which checkpoints know this class, such as `trade.Seller_v1`."""
        return f"{cls.name}_v{cls.version}"


class Schedule(msgspec.Struct, frozen=True):
    """Starts `flow` from `start` whenever `cron` says so, by the clock of `zone`."""

    name: str
    flow: type[Flow[Any]]
    start: State
    cron: str
    zone: str


def refuse_call(flow: type[Flow[Any]], /, **arguments: object) -> typing.NoReturn:
    """Say how a flow is started to who called its class."""
    names = "".join(f", {name}=…" for name in arguments)
    raise TypeError(
        f"{flow.__name__} runs inside a node, not by calling it; "
        f"start it with: handle = await node.start({flow.__name__}{names})"
    )
