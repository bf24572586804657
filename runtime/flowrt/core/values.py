"""Canonical bytes of values, of what travels, of a flow at rest: the decoder of wire and store.

Everything is decoded into declared types, after a limit on its size; nothing here builds an object
by a name that it was sent.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from flowrt.core import opaque
from flowrt.core.flow import INT_MAX, FlowError, Int, Malformed, Message, Party, State, written
from flowrt.core.lineage import MOST_MARK_BYTES

MAX_FRAME_BYTES = 1 << 20
"""The largest frame that is sent or read."""

MAX_TEXT = 500
"""How much is kept of a text that a peer wrote."""

MAX_ACKS = 4096
"""How many rows one frame acknowledges; those of a full frame would fill 16 times its size."""

MAX_VERSIONS = 64
"""How many versions a rejection lists."""

MAX_FAMILIES = 64
"""How many families of an error are told to the peer."""

CHECKPOINT_FORMAT = 1

M = TypeVar("M", bound=Message)


# --- what travels -----------------------------------------------------------------------------

Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)]
"""A count, or a row's key at the other side: what a store's integer can hold."""

Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=1000)]
Reason: TypeAlias = Annotated[str, msgspec.Meta(max_length=4000)]
Shapes: TypeAlias = Annotated[str, msgspec.Meta(max_length=100_000)]
ErrorId: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
Secret: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Incarnation: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]


class Data(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=0):
    """A message: its qualified name and its canonical bytes."""

    name: Name
    body: bytes


class Confirm(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The responder runs: where it is reached, and its flow's version."""

    flow: Number
    session: Number
    version: Number


class End(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Nothing more will come."""


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The sender's flow, or the part that owned the session, ended with an error.

    `name` and `fields` are those of a declared error thrown there; all other failures are named
    `UnexpectedFlowEnd` and disclose only their id. `families` are what the error is one of, the
    nearest first, for a receiver that does not know it.
    """

    name: Name
    fields: bytes
    error_id: ErrorId
    families: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_FAMILIES)] = ()


class Reject(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """The invitation was not accepted: why in words, and as one of the kinds below. `versions` are
    those of the initiator's flow that are answered, where it has another."""

    reason: Reason
    error_id: ErrorId
    kind: Number = 0
    versions: Annotated[tuple[Number, ...], msgspec.Meta(max_length=MAX_VERSIONS)] = ()


OTHER, UNKNOWN_FLOW, NO_RESPONDER, VERSION, QUOTA, DRAINING = range(6)
"""Why an invitation is rejected: there is no such flow; it does not respond to that one; not to
that version of it; the peer has as many sessions as it may; nothing new is taken now."""


Content = Data | Confirm | End | Failure | Reject


class Invite(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=0):
    """Asks a party to run the responder `flow` for `initiator`.

    `number` counts the sender's invitations to this party since its store (`incarnation`) was made.
    The session is known to both by `secret`; `first` is the first message, if it was ready. Where
    `flow` and `initiator` are roles of a protocol, `messages` tells what the initiator knows of
    its messages (see `shapes`).
    """

    number: Number
    incarnation: Incarnation
    flow: Name
    initiator: Name
    version: Number
    from_flow: Number
    from_session: Number
    secret: Secret
    first: Data | None
    messages: Shapes = ""


class Letter(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Content number `seq` of one direction of a session, to the receiver's own address."""

    to_flow: Number
    to_session: Number
    secret: Secret
    seq: Number
    content: Content


MarkBytes: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=MOST_MARK_BYTES)]


class Ack(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The sender's store holds these of the receiver's outbox rows. `mark` is the last of the
    receiver's marks with which they came: a store that went back numbers other rows the same, and
    knows by it which are meant. Empty if they came without one."""

    ids: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_ACKS)]
    mark: MarkBytes = b""


class Recall(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The last that the sender knows of the receiver's store. It takes nothing that comes from
    another life of that store until it knows that this one is in its past."""

    mark: MarkBytes


class Recalled(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """What the sender makes of a mark that the receiver has told it: it is of its own past, or,
    where it begins `anew`, nothing of that is left. `knows` says whether the sender knows the
    receiver's present life."""

    mark: MarkBytes
    anew: bool
    knows: bool


Frame = Invite | Letter | Ack | Recall | Recalled


class Bounce(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """What an owner sent and the flow could not take, back to it."""

    name: Name
    body: bytes
    reason: Reason


NAMED = 2

GIVEN = -1
"""The block of the session to which a flow was invited: no block of its own opened it."""


class SessionState(msgspec.Struct, array_like=True, gc=False):
    """One end of a session, inside its flow's checkpoint.

    `expected` and `sent` count what was taken and given in each direction. `inbox` holds what has
    arrived and was not read, in order of `seq`, gaps included, with the flow's count of commits
    when it came. `unsent` waits for the confirmation. `frame` and `block` say which subflow and
    which block of it own the session. `closed` is 0, 1, or NAMED where the flow itself has closed
    it and may still ask who was there. The session with a flow's owner has no `secret`.
    """

    id: int
    peer: str
    secret: bytes
    status: int
    sent: Number
    expected: Number
    frame: int
    block: int
    peer_flow: Number = 0
    peer_session: Number = 0
    version: Number = 0
    closed: int = 0
    inbox: list[tuple[Number, Content, int]] = []
    unsent: list[Content] = []


# --- a flow at rest ---------------------------------------------------------------------------


class OnMessage(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=0):
    session: int


class OnCommit(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Nothing to wait for: goes on as soon as it is committed."""


class OnTime(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    due_us: Int


class OnOperator(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    reason: str


class OnAcceptance(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """The flow returned `result`; its invitations are not all accepted yet. `until_us` is the
    deadline over it, 0 if there is none."""

    result: bytes
    until_us: Int = 0


class OnSettling(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """The outcome is written; what it still owes to unconfirmed sessions is not sent yet."""


class OnAny(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """For several things: messages of `sessions`, ends of `calls`, a time.

    `kind` says what is enough: ANY of them, EACH (or one failure), SOME (each has said something).
    `due_us` is the wait's own time and `until_us` the deadline over it, 0 where there is none.
    """

    sessions: tuple[int, ...] = ()
    calls: tuple[int, ...] = ()
    kind: int = 0
    due_us: Int = 0
    until_us: Int = 0
    discard: bool = False


ANY, EACH, SOME = range(3)

Waiting = OnMessage | OnCommit | OnTime | OnOperator | OnAcceptance | OnSettling | OnAny


class Ending(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a call ended: the bytes of its value, or, where `error` names one, that error's fields.
    `by` and `at_us` say who answered a task, and when."""

    value: bytes
    error: str | None = None
    text: str = ""
    by: str = ""
    at_us: int = 0


class CallState(msgspec.Struct, array_like=True, gc=False):
    """Something that the flow began: an external operation, a flow, a task for people, the wait for
    an event of a service.

    `what` is the operation's qualified name, or the task's role; `detail` its arguments, or the
    task's question (a `Question`); `target` the flow that is followed; `due_us` a task's deadline;
    `frame` the depth of the subflow that began it. `done` is its end, `came` the flow's count of
    commits when that came. A `lost` operation runs again only when a person says so. `under` is the
    incarnation that its key names, if not that of its store: an older one, of which the store was a
    backup.
    """

    number: Number
    kind: int
    frame: int
    what: str = ""
    detail: bytes = b""
    target: Int = 0
    due_us: Int = 0
    done: Ending | None = None
    came: int = 0
    lost: bool = False
    under: bytes = b""


OPERATION, ONCE, FLOW, TASK, EVENT = range(5)


class Question(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A task's question: the bytes of a value of the type named `asked`; `answer` names the
    answer's."""

    asked: str
    value: bytes
    answer: str


class Extra(msgspec.Struct, array_like=True, gc=False):
    """What few flows have. `deadlines` are those of frames: (depth, microseconds). `owed` counts
    the messages to be dropped, by session; 0 for one whose
    messages the flow has stopped waiting for. `parent` is the flow that started this one, or 0;
    `followers` are the others that wait for its end; `key` is its business key, or ""."""

    calls: list[CallState] = []
    next_call: Number = 0
    deadlines: list[tuple[int, Int]] = []
    owed: dict[int, Number] = {}
    parent: Number = 0
    followers: list[Number] = []
    key: str = ""


class StepWithValues(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A progress step that shows values: a digest tells whether they are still the same."""

    number: int
    digest: bytes


class StackFrame(msgspec.Struct, array_like=True, gc=False):
    """A flow or subflow under way: its versioned name, its state, its current progress step (-1
    before the first)."""

    flow: str
    state: State
    step: int | StepWithValues = -1


class Checkpoint(msgspec.Struct, array_like=True, gc=False):
    """All that a flow needs to go on. `steps` counts its commits, `moves` its progress events."""

    format: int
    frames: list[StackFrame]
    waiting: Waiting
    sessions: list[SessionState]
    next_session: Number = 0
    steps: Number = 0
    moves: Number = 0
    admitted: bool = False
    extra: Extra | None = None


class _RawFrame(msgspec.Struct, array_like=True, gc=False):
    flow: str
    state: msgspec.Raw
    step: int | StepWithValues = -1


class _RawCheckpoint(msgspec.Struct, array_like=True, gc=False):
    format: int
    frames: list[_RawFrame]
    waiting: Waiting
    sessions: list[SessionState]
    next_session: Number = 0
    steps: Number = 0
    moves: Number = 0
    admitted: bool = False
    extra: Extra | None = None


class BadBytes(Exception):
    """Bytes that are not what they should be: damaged, or of another version."""


_DECODING = (msgspec.MsgspecError, RecursionError, ValueError)
"""What decoding raises: msgspec leaves UTF-8's errors, which are ValueErrors, as they are."""


# --- codecs -----------------------------------------------------------------------------------


def _unknown_to_msgspec(value: object) -> object:
    if isinstance(value, FlowError):
        forget_where(value)
        peer = value.peer.name if value.peer is not None else None
        return (value.fields(), value.error_id, peer, value.wire)
    return opaque.to_plain(value)


def forget_where(error: FlowError) -> None:
    """Let go of the Python frames through which an error came. A state that keeps the error is in
    one of them, and Python's collector does not look into states (`gc=False`): neither would ever
    be freed."""
    error.__traceback__ = error.__context__ = error.__cause__ = None


class _KeptError(msgspec.Struct, array_like=True):
    fields: msgspec.Raw | list[Any]
    error_id: str
    peer: str | None
    wire: str = ""


def _known_to_us(kind: type, plain: Any) -> object:
    if issubclass(kind, FlowError):
        kept = msgspec.convert(plain, _KeptError)
        precise = _one_of(kind, kept.wire)
        fields = msgspec.convert(kept.fields, precise.Fields, dec_hook=_known_to_us)
        return error_of(precise, fields, kept.error_id, kept.peer)
    return opaque.from_plain(kind, plain)


def _one_of(kind: type[FlowError], wire: str) -> type[FlowError]:
    """The error of that name which `kind` is or is a family of. These are declared classes, those
    of modules that were imported; of two alike the latest."""
    if kind.wire == wire or not wire:
        return kind
    waiting = [kind]
    while waiting:
        at = waiting.pop()
        if at.wire == wire:
            return at
        waiting += at.__subclasses__()
    raise ValueError(f"no error {wire} is known here that is a {kind.wire}")


def families_of(error: FlowError) -> tuple[str, ...]:
    """The declared errors that an error is one of, the nearest first."""
    above = type(error).__mro__[1:]
    names = [kind.wire for kind in above if issubclass(kind, FlowError) and kind is not FlowError]
    return tuple(names[:MAX_FAMILIES])


def error_of(kind: type[FlowError], fields: object, error_id: str, peer: str | None) -> FlowError:
    """The error again, from its fields and from where it came."""
    error = kind(*[getattr(fields, name) for name in kind.Fields.__struct_fields__])
    error.error_id = error_id
    error.peer = Party(peer) if peer is not None else None
    return error


def writable(text: str) -> str:
    """`text` with lone surrogates, which an author's Python can make, written out: no encoder takes
    them, and a text that people read is not worth a flow."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> Any:
    """A value of the language as JSON data: records as objects, enums as `{case: fields}` or, where
    there are none, the case's name; bytes as hex, parties as names, decimals, times and durations
    as text; values of Python's classes as their bytes, errors as `{name: fields}`."""
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, Party):
        return value.name
    if isinstance(value, msgspec.Struct):
        case = type(value).__struct_config__.tag
        if isinstance(case, str):  # A value of an enum, as its case and the fields of that.
            fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
            return {case: fields} if fields else case
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return written(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, FlowError):
        return {value.wire: plain(value.fields())}
    if hasattr(type(value), "to_flow"):
        return plain(opaque.to_plain(value))
    return msgspec.to_builtins(value)


_ENCODER = msgspec.msgpack.Encoder(order="deterministic", enc_hook=_unknown_to_msgspec)
_ENCODER_AS_IT_IS = msgspec.msgpack.Encoder()
_FRAME: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
_CHECKPOINT = msgspec.msgpack.Decoder(_RawCheckpoint)


def encode(value: object) -> bytes:
    """Canonical bytes of any value of the language, frame or checkpoint."""
    try:
        return _ENCODER.encode(value)
    except TypeError:
        # The encoder cannot order maps with Int keys. Whatever else it refused is refused again.
        plain = msgspec.to_builtins(
            value, builtin_types=(bytes, datetime.datetime), enc_hook=_unknown_to_msgspec
        )
        return _ENCODER_AS_IT_IS.encode(_ordered(plain))


def _ordered(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _ordered(plain[key]) for key in sorted(plain)}
    if isinstance(plain, list | tuple):
        return [_ordered(item) for item in plain]
    return plain


@functools.cache
def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """The decoder of a declared type, made once."""
    return msgspec.msgpack.Decoder(kind, dec_hook=_known_to_us)


def decode(kind: Any, data: bytes) -> Any:
    """The value of type `kind` in `data`. Raises BadBytes for anything else."""
    try:
        return decoder(kind).decode(data)
    except (*_DECODING, TypeError) as error:
        raise BadBytes(str(error)) from None


def decode_foreign(kind: Any, data: bytes) -> Any:
    """The value of type `kind` that a peer wrote: its times as a reload gives them, in UTC, in
    whatever zone they came. Raises BadBytes, also for times that UTC's calendar does not have."""
    value = decode(kind, data)
    if not _holds_times(kind):
        return value
    try:
        return decode(kind, encode(value))
    except OverflowError:
        raise BadBytes("a time lies outside of the years 1 to 9999") from None


@functools.cache
def _holds_times(kind: Any) -> bool:
    """Whether a value of the type may hold a moment, however deep."""
    seen: set[Any] = set()
    waiting = [kind]
    while waiting:
        at = waiting.pop()
        if at is datetime.datetime:
            return True
        if at in seen:
            continue
        seen.add(at)
        waiting += typing.get_args(at)
        if isinstance(at, type) and issubclass(at, msgspec.Struct):
            waiting += [field.type for field in msgspec.structs.fields(at)]
    return False


def decode_message(kind: type[M], data: bytes) -> M:
    """A message that was received. Throws `Malformed`, to be caught by the flow or not."""
    try:
        message: M = decode_foreign(kind, data)
    except BadBytes as error:
        raise Malformed(f"{kind.wire} could not be read: {error}"[:MAX_TEXT]) from None
    return message


def is_invitation(data: bytes) -> bool:
    """Whether a frame seems to be an invitation, from its first bytes: an array that begins with
    that tag."""
    return len(data) > 1 and data[1] == 0 and 0x90 <= data[0] <= 0x9F


def decode_frame(data: bytes) -> Frame:
    """What a peer sent. Raises BadBytes."""
    if len(data) > MAX_FRAME_BYTES:
        raise BadBytes(f"a frame of {len(data)} bytes is larger than {MAX_FRAME_BYTES}")
    try:
        return _FRAME.decode(data)
    except _DECODING as error:
        raise BadBytes(str(error)) from None


def decode_checkpoint(data: bytes, states_of: Any) -> Checkpoint:
    """A checkpoint; `states_of(versioned name)` gives the union of that flow's states.

    Raises BadBytes when the bytes are damaged or of another format; what `states_of` raises for
    a flow that is not installed passes through.
    """
    try:
        raw = _CHECKPOINT.decode(data)
    except _DECODING as error:
        raise BadBytes(f"the checkpoint cannot be read: {error}") from None
    if raw.format != CHECKPOINT_FORMAT:
        raise BadBytes(
            f"the checkpoint has format {raw.format}, this is {CHECKPOINT_FORMAT}; "
            "open the store with the version that wrote it"
        )
    frames = [
        StackFrame(frame.flow, decode(states_of(frame.flow), frame.state), frame.step)
        for frame in raw.frames
    ]
    return Checkpoint(
        raw.format,
        frames,
        raw.waiting,
        raw.sessions,
        raw.next_session,
        raw.steps,
        raw.moves,
        raw.admitted,
        raw.extra,
    )
