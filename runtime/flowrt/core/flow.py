"""All that a generated flow may import: values, states, errors, steps, what a running step may do.

This module is the contract between generated code and the engine. It computes only: it knows no
store, wire, clock or thread, and nothing here may change without a new `CONTRACT` number.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Mapping as Mapping
from typing import Annotated, Any, ClassVar, Generic, NewType, TypeAlias, TypeVar

import msgspec

from flowrt.core import opaque
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

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1
DECIMAL_DIGITS = 38

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


# --- values -----------------------------------------------------------------------------------


class Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of records and messages: immutable, compared by content, bytes without field names."""


class Message(Value, frozen=True, array_like=True, gc=False):
    """A value that may cross the wire. `wire` is its qualified name, which is its tag there."""

    wire: ClassVar[str] = ""


class Party(Value, frozen=True, array_like=True, gc=False):
    """One who takes part: known by `name`, authenticated by the transport."""

    name: str


class State(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of the states of generated flows: the variables that the rest of the flow still needs.

    `place` is the `.flow` file and line at which the flow rests in this state.
    """

    place: ClassVar[str] = ""


# --- what goes wrong --------------------------------------------------------------------------


class Fault(Exception):
    """Arithmetic or an index went wrong. In a block of checks the peer is blamed (`Malformed`);
    anywhere else it is the flow's own bug and the flow goes to the hospital."""


class FlowError(Exception):
    """Base of every declared error: an outcome, which travels to counterparties and can be caught.

    Attributes:
        error_id: names this failure in the logs of both sides; empty until the engine sees it.
        peer: who sent it, or None when it was thrown here.
    """

    wire: ClassVar[str] = "FlowError"
    builtin: ClassVar[bool] = False
    Fields: ClassVar[type[Value]] = Value
    error_id: str = ""
    peer: Party | None = None

    def fields(self) -> Value:
        """The declared fields, as the value that travels or is kept."""
        names = self.Fields.__struct_fields__
        return self.Fields(*[getattr(self, name) for name in names])

    def field(self, name: str) -> Any:
        """A field that each of the errors that were caught together has."""
        return getattr(self, name)


class _Reason(Value, frozen=True, array_like=True, gc=False):
    reason: str = ""


class BuiltinError(FlowError):
    """Base of the errors that the runtime itself throws; peers see only their id."""

    builtin = True
    Fields = _Reason

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or type(self).__doc__ or "")


class SessionRejected(BuiltinError):
    """the counterparty did not accept the session"""

    wire = "SessionRejected"


class SessionEnded(BuiltinError):
    """the counterparty ended the session"""

    wire = "SessionEnded"


class UnexpectedFlowEnd(BuiltinError):
    """the counterparty's flow failed; its own log has the details under the same id"""

    wire = "UnexpectedFlowEnd"


class UnexpectedMessage(BuiltinError):
    """a message of another type arrived than this flow waits for"""

    wire = "UnexpectedMessage"


class Malformed(BuiltinError):
    """a message could not be read or checked"""

    wire = "Malformed"


class Timeout(BuiltinError):
    """what was waited for did not come in time"""

    wire = "Timeout"


class TaskExpired(BuiltinError):
    """nobody answered the question in time"""

    wire = "TaskExpired"


class FlowFailed(BuiltinError):
    """a flow that was started here failed"""

    wire = "FlowFailed"


BUILTIN_ERRORS: Mapping[str, type[BuiltinError]] = {
    error.wire: error for error in BuiltinError.__subclasses__()
}


def invariant(holds: object, message: str) -> None:
    """Stop this step when our own rules are broken; unlike `assert` it stays on under `-O`."""
    if not holds:
        raise InvariantBroken(message)


class InvariantBroken(Exception):
    """The engine or a generated class broke its own rule. Never the user's mistake."""


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

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; returns its rows (empty for a write)."""
        ...


class Operation(msgspec.Struct, frozen=True):
    """One operation of a service: `kind` is "read", "write", "external" (at least once, outside of
    the step) or "once" (at most once); `result` is its Python type."""

    name: str
    kind: str
    parameters: tuple[str, ...]
    result: Any
    kinds: tuple[Any, ...] = ()
    """Of an external operation, the Python types of its parameters."""


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


class Run(typing.Protocol):
    """What a running step may see and do. The engine makes one; generated code uses it."""

    me: Party
    flow_id: int
    tx: Tx

    @property
    def now(self) -> datetime.datetime:
        """The time of this step, in UTC: constant within it."""
        ...

    def open(self, flow: str, party: Party, block: int) -> Session:
        """A new session with the responder `flow` at `party`, opened at nesting depth `block`.
        The invitation leaves when this step commits."""
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
        """Begin an external operation: it runs once this step is committed."""
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


# --- arithmetic and text, as the language defines them ------------------------------------------

_EXACT = decimal.Context(
    prec=DECIMAL_DIGITS,
    Emin=-999,
    Emax=999,
    traps=[
        decimal.Inexact,
        decimal.InvalidOperation,
        decimal.DivisionByZero,
        decimal.Overflow,
    ],
)


def checked(value: int) -> int:
    """`value`, if it fits into 64 bits; a `Fault` otherwise."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Fault("the result does not fit into a 64-bit Int")


def floor_div(left: int, right: int) -> int:
    """Whole division, rounding down."""
    if right == 0:
        raise Fault("division by zero")
    return checked(left // right)


def modulo(left: int, right: int) -> int:
    """What `floor_div` leaves over; it has the sign of `right`."""
    if right == 0:
        raise Fault("division by zero")
    return left % right


def _exact(operation: Callable[[], decimal.Decimal]) -> decimal.Decimal:
    try:
        return normal(operation())
    except decimal.DecimalException:
        raise Fault(f"the result needs more than {DECIMAL_DIGITS} decimal digits") from None


def normal(value: decimal.Decimal) -> decimal.Decimal:
    """The one way to write a Decimal: no trailing zeros, no exponent above zero, no minus zero."""
    if not value:
        return decimal.Decimal(0)
    value = value.normalize(_EXACT)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return value.quantize(1, context=_EXACT)
    return value


def decimal_add(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    """Exact sum; a `Fault` when it does not fit."""
    return _exact(lambda: _EXACT.add(left, right))


def decimal_subtract(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    """Exact difference; a `Fault` when it does not fit."""
    return _exact(lambda: _EXACT.subtract(left, right))


def decimal_multiply(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    """Exact product; a `Fault` when it does not fit."""
    return _exact(lambda: _EXACT.multiply(left, right))


ROUNDINGS: Mapping[str, str] = {
    "UP": decimal.ROUND_UP,
    "DOWN": decimal.ROUND_DOWN,
    "HALF_UP": decimal.ROUND_HALF_UP,
    "HALF_DOWN": decimal.ROUND_HALF_DOWN,
    "HALF_EVEN": decimal.ROUND_HALF_EVEN,
    "CEILING": decimal.ROUND_CEILING,
    "FLOOR": decimal.ROUND_FLOOR,
}


def divide(
    left: decimal.Decimal, right: decimal.Decimal, places: int, rounding: str
) -> decimal.Decimal:
    """`left / right` to `places` decimal places, rounded once, as `rounding` (a key of
    `ROUNDINGS`) says."""
    if not right:
        raise Fault("division by zero")
    if not 0 <= places < DECIMAL_DIGITS:
        raise Fault(f"a Decimal has 0 to {DECIMAL_DIGITS - 1} decimal places")
    # Work in whole numbers: rounding a rounded quotient would round twice.
    numerator, denominator = left.as_integer_ratio()
    top, bottom = right.as_integer_ratio()
    above = numerator * bottom * 10**places
    below = denominator * top
    if below < 0:
        above, below = -above, -below
    whole, rest = divmod(above, below)
    wide = decimal.Context(prec=400)
    exact = decimal.Decimal(whole)
    if rest:
        # A digit on the right side of one half is all that any rounding mode looks at.
        twice = 2 * rest
        tail = "0.5" if twice == below else "0.25" if twice < below else "0.75"
        exact = wide.add(exact, decimal.Decimal(tail))
    rounded = exact.quantize(decimal.Decimal(1), ROUNDINGS[rounding], wide)
    return _exact(lambda: _EXACT.create_decimal(wide.scaleb(rounded, -places)))


def finite(*values: decimal.Decimal | None) -> None:
    """Refuse what is not a number, or is too large: called when a value is decoded."""
    for value in values:
        if value is None:
            continue
        if not isinstance(value, decimal.Decimal):
            raise TypeError(f"this is {type(value).__name__}, but Decimal is wanted")
        _, digits, exponent = value.as_tuple() if len(str(value)) < 100 else (0, (), "long")
        if not isinstance(exponent, int) or len(digits) > DECIMAL_DIGITS:
            raise ValueError("a Decimal must be a number of at most 38 digits")
        if not -DECIMAL_DIGITS <= exponent <= DECIMAL_DIGITS:
            raise ValueError("a Decimal's exponent must lie between -38 and 38")


def all_finite(kind: Any, value: Any) -> None:
    """Refuse what an encoder would let pass for a Decimal, on its own or inside lists, maps and
    optional ones; records look after themselves. Other mistakes are left to the decoder."""
    if kind is decimal.Decimal:
        finite(value)
        return
    inner = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        if value is not None and has_decimal(kind):
            all_finite(inner[0], value)
    elif isinstance(value, list | tuple) and len(inner) == 2 and inner[1] is Ellipsis:
        if has_decimal(inner[0]):
            for item in value:
                all_finite(inner[0], item)
    elif isinstance(value, Mapping) and len(inner) == 2 and has_decimal(inner[1]):
        for item in value.values():
            all_finite(inner[1], item)


@functools.cache
def has_decimal(kind: Any) -> bool:
    """Whether the type mentions Decimal itself."""
    return kind is decimal.Decimal or any(has_decimal(part) for part in typing.get_args(kind))


def shifted(operation: Callable[[], T]) -> T:
    """A sum of times or durations; a `Fault` when it leaves the calendar."""
    try:
        return operation()
    except OverflowError:
        raise Fault("the time is out of range") from None


def item(values: Sequence[T], index: int) -> T:
    """`values[index]`; a `Fault` unless 0 <= index < size."""
    if 0 <= index < len(values):
        return values[index]
    raise Fault(f"index {index} is outside a list of {len(values)}")


def entry(values: Mapping[Any, T], key: object) -> T:
    """`values[key]`; a `Fault` when the key is absent."""
    try:
        return values[key]
    except KeyError:
        raise Fault("the map has no such key") from None


def some(value: T | None) -> T:
    """`value`, which the author's tests have shown not to be none where Python cannot see them."""
    if value is None:
        raise InvariantBroken("a value is none that was tested not to be")
    return value


def text(*parts: object) -> str:
    """The parts, written as the language writes them, one after the other."""
    return "".join([part if type(part) is str else written(part) for part in parts])


def written(value: object) -> str:
    """How one value reads in a text: `true`, `12.5`, `bob`, `2d3h`, `0xcafe`, `none`."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "none"
    if isinstance(value, decimal.Decimal):
        return format(normal(value), "f")
    if isinstance(value, Party):
        return value.name
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value)


def _duration(value: datetime.timedelta) -> str:
    rest = round(value.total_seconds() * 1000)
    if rest == 0:
        return "0s"
    sign, rest = ("-", -rest) if rest < 0 else ("", rest)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)


def typed(what: str, kind: Any, value: T) -> T:
    """`value` as it will be after every reload, if it has the declared type: lists are tuples, and
    nothing is shared with the code that made it. Otherwise says which Python broke its promise.

    Raises:
        TypeError: the author's Python returned something else than the `.flow` file declares.
    """
    try:
        all_finite(kind, value)
        again: T = _reader(kind).decode(_WRITER.encode(value))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"{what} did not return what the .flow file declares: {error}") from None
    return again


_WRITER = msgspec.msgpack.Encoder(enc_hook=opaque.to_plain)


@functools.cache
def _reader(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, dec_hook=opaque.from_plain)


def frozen(values: Iterable[T]) -> tuple[T, ...]:
    """A list of the language, which is a tuple in Python."""
    return tuple(values)
