"""A flow as an explicit state machine, and a module of them: plain data, to and from JSON.

The centre of the house: everything before it works towards this value, everything after it (code,
diagrams, checks) reads nothing else. Names in it are the author's; the code generator makes them
safe for Python. It decides nothing and prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, assert_never

import msgspec

from flowlang.types import Type

FORMAT = 1


class Place(msgspec.Struct, frozen=True):
    """Where in the source: the line (from 1) and that line's text without its indentation."""

    line: int
    text: str


# --- expressions: resolved and typed ------------------------------------------------------------


class Const(msgspec.Struct, frozen=True, tag_field="node", tag="const"):
    """`type` is a built-in type's name or "none". Decimals and timestamps are written as text,
    bytes as hex, durations as whole milliseconds."""

    type: str
    value: str | int | bool | None


class Var(msgspec.Struct, frozen=True, tag_field="node", tag="var"):
    name: str


class Get(msgspec.Struct, frozen=True, tag_field="node", tag="get"):
    """A field of a record or error, `name` of a Party."""

    value: Expr
    name: str


class Some(msgspec.Struct, frozen=True, tag_field="node", tag="some"):
    """An optional variable or field where the author's tests have shown that it is not `none`."""

    value: Expr


class IsCase(msgspec.Struct, frozen=True, tag_field="node", tag="is_case"):
    """Whether a value of an enum is one of these cases (qualified); `others` are those it has
    besides."""

    value: Expr
    cases: tuple[str, ...]
    others: tuple[str, ...]


class Cased(msgspec.Struct, frozen=True, tag_field="node", tag="cased"):
    """A value of an enum that a test has shown to be that case; `others` are those that the enum
    has besides."""

    value: Expr
    case: str
    others: tuple[str, ...]


class Update(msgspec.Struct, frozen=True, tag_field="node", tag="update"):
    """A copy of a record or message with other values in these fields, computed in this order."""

    value: Expr
    changes: tuple[tuple[str, Expr], ...]


class Compute(msgspec.Struct, frozen=True, tag_field="node", tag="compute"):
    """What a function of the runtime's library gives; a value that is asked something comes
    first."""

    function: str
    arguments: tuple[Expr, ...]


class New(msgspec.Struct, frozen=True, tag_field="node", tag="new"):
    """A record, message, case of an enum or error by its qualified name; all arguments, in declared
    order."""

    type: str
    arguments: tuple[Expr, ...]


class Arithmetic(msgspec.Struct, frozen=True, tag_field="node", tag="arithmetic"):
    """`+ - * // %`; `type` is the built-in type (or "List") of the left operand."""

    operator: str
    type: str
    left: Expr
    right: Expr


class Compare(msgspec.Struct, frozen=True, tag_field="node", tag="compare"):
    """`== != < <= > >= in`. "in" looks into a list or among a map's keys."""

    operator: str
    left: Expr
    right: Expr


class Logic(msgspec.Struct, frozen=True, tag_field="node", tag="logic"):
    operator: Literal["and", "or"]
    left: Expr
    right: Expr


class Not(msgspec.Struct, frozen=True, tag_field="node", tag="not"):
    value: Expr


class Negate(msgspec.Struct, frozen=True, tag_field="node", tag="negate"):
    type: str
    value: Expr


class Item(msgspec.Struct, frozen=True, tag_field="node", tag="item"):
    """`values[index]` of a list, or `values[key]` of a map where `map` is true."""

    values: Expr
    index: Expr
    map: bool


class Earlier(msgspec.Struct, frozen=True, tag_field="node", tag="earlier"):
    """The earlier of two Timestamps."""

    left: Expr
    right: Expr


class Keys(msgspec.Struct, frozen=True, tag_field="node", tag="keys"):
    """The keys of a map as a list, in their order."""

    value: Expr


class Items(msgspec.Struct, frozen=True, tag_field="node", tag="items"):
    items: tuple[Expr, ...]


class Entries(msgspec.Struct, frozen=True, tag_field="node", tag="entries"):
    entries: tuple[tuple[Expr, Expr], ...]


class Text(msgspec.Struct, frozen=True, tag_field="node", tag="text"):
    """An interpolated text: its parts, each written as the language writes it."""

    parts: tuple[Expr, ...]


class Builtin(msgspec.Struct, frozen=True, tag_field="node", tag="builtin_value"):
    name: Literal["me", "now", "flow_id"]


class Received(msgspec.Struct, frozen=True, tag_field="node", tag="received"):
    """The message, of this type, that the case which was chosen is about."""

    type: str


class Outcome(msgspec.Struct, frozen=True, tag_field="node", tag="outcome"):
    """What came of the pending call that the case which was chosen is about."""

    type: Type | None


class Reply(msgspec.Struct, frozen=True, tag_field="node", tag="reply"):
    """What somebody answered, with the type of that name, where a case about it was chosen."""

    type: str


class Sender(msgspec.Struct, frozen=True, tag_field="node", tag="sender"):
    """The session that the case which was chosen is about."""


class Peer(msgspec.Struct, frozen=True, tag_field="node", tag="peer"):
    session: Expr


class Version(msgspec.Struct, frozen=True, tag_field="node", tag="version"):
    """The version of the flow at a session's other end."""

    session: Expr


class About(msgspec.Struct, frozen=True, tag_field="node", tag="about"):
    """What any error tells of itself: its text, who sent it, the id by which logs know it."""

    value: Expr
    what: Literal["text", "peer", "id"]


class Shared(msgspec.Struct, frozen=True, tag_field="node", tag="shared"):
    """A field that each of several errors has, of the one that was caught."""

    value: Expr
    name: str


class Size(msgspec.Struct, frozen=True, tag_field="node", tag="size"):
    value: Expr


class Divide(msgspec.Struct, frozen=True, tag_field="node", tag="divide"):
    """`divide(x, y, places, ROUNDING)`."""

    left: Expr
    right: Expr
    places: Expr
    rounding: str


class ToDecimal(msgspec.Struct, frozen=True, tag_field="node", tag="to_decimal"):
    """`decimal(n)` of an Int."""

    value: Expr


class CallFunction(msgspec.Struct, frozen=True, tag_field="node", tag="function"):
    """`target` is the `module:function` in Python that is behind the name."""

    name: str
    target: str
    arguments: tuple[Expr, ...]


class CallOperation(msgspec.Struct, frozen=True, tag_field="node", tag="operation"):
    service: str
    operation: str
    arguments: tuple[Expr, ...]


class Answered(msgspec.Struct, frozen=True, tag_field="node", tag="answered"):
    """A part of what `ask` brought: what was answered, by whom, and when."""

    value: Expr
    part: Literal["value", "by", "at"]


class StartFlow(msgspec.Struct, frozen=True, tag_field="node", tag="start"):
    """Starts another flow (qualified name and version), maybe later; the value is its id."""

    flow: str
    version: int
    arguments: tuple[Expr, ...]
    at: Expr | None


class Request(msgspec.Struct, frozen=True, tag_field="node", tag="request"):
    """Begins an external operation. The value of this and of the next three is not what comes of
    it, but that it is pending."""

    service: str
    operation: str
    arguments: tuple[Expr, ...]


class Follow(msgspec.Struct, frozen=True, tag_field="node", tag="follow"):
    """Begins to wait for the end of a flow."""

    id: Expr


class FollowEach(msgspec.Struct, frozen=True, tag_field="node", tag="follow_each"):
    """Begins to wait for the end of each flow of a list."""

    ids: Expr


class AskFor(msgspec.Struct, frozen=True, tag_field="node", tag="ask"):
    """Begins to ask people; `asked` and `answer` are the qualified names of the types of what they
    are asked and of what they answer with."""

    role: Expr
    asked: str
    question: Expr
    answer: str
    within: Expr | None


Beginning: TypeAlias = StartFlow | Request | Follow | FollowEach | AskFor
"""What is begun in a step and goes on after it."""

Expr: TypeAlias = (
    Const
    | Var
    | Get
    | Some
    | IsCase
    | Cased
    | Update
    | Compute
    | New
    | Arithmetic
    | Compare
    | Logic
    | Not
    | Negate
    | Item
    | Earlier
    | Keys
    | Items
    | Entries
    | Text
    | Builtin
    | Received
    | Outcome
    | Reply
    | Sender
    | Peer
    | Version
    | About
    | Shared
    | Size
    | Divide
    | ToDecimal
    | CallFunction
    | CallOperation
    | Answered
    | Beginning
)


# --- actions: what happens between waits ---------------------------------------------------------


class Assign(msgspec.Struct, frozen=True, tag_field="node", tag="assign"):
    name: str
    value: Expr
    place: Place


class Open(msgspec.Struct, frozen=True, tag_field="node", tag="open"):
    """A session with the responder `flow` (qualified); `block` is the depth that owns it."""

    name: str
    flow: str
    party: Expr
    block: int
    place: Place


class Send(msgspec.Struct, frozen=True, tag_field="node", tag="send"):
    session: Expr
    value: Expr
    place: Place


class Close(msgspec.Struct, frozen=True, tag_field="node", tag="close"):
    session: Expr
    place: Place


class Leave(msgspec.Struct, frozen=True, tag_field="node", tag="leave"):
    """End the sessions that this flow opened in blocks nested deeper than `block`."""

    block: int


class Progress(msgspec.Struct, frozen=True, tag_field="node", tag="progress"):
    """`values` are those of a step that has some, by name, in declared order."""

    step: str
    label: Expr | None
    values: tuple[tuple[str, Expr], ...]
    place: Place


class Log(msgspec.Struct, frozen=True, tag_field="node", tag="log"):
    level: str
    text: Expr
    place: Place


class Do(msgspec.Struct, frozen=True, tag_field="node", tag="do"):
    """An operation called for what it does."""

    value: Expr
    place: Place


class Require(msgspec.Struct, frozen=True, tag_field="node", tag="require"):
    condition: Expr
    error: Expr
    place: Place


class Throw(msgspec.Struct, frozen=True, tag_field="node", tag="throw"):
    """`error` is a `New` error or a variable that holds a caught one."""

    error: Expr
    place: Place


class Return(msgspec.Struct, frozen=True, tag_field="node", tag="return"):
    value: Expr | None
    place: Place


class If(msgspec.Struct, frozen=True, tag_field="node", tag="if"):
    branches: tuple[tuple[Expr, tuple[Action, ...]], ...]
    otherwise: tuple[Action, ...]
    place: Place


class While(msgspec.Struct, frozen=True, tag_field="node", tag="while"):
    condition: Expr
    body: tuple[Action, ...]
    place: Place


class For(msgspec.Struct, frozen=True, tag_field="node", tag="for"):
    """Over a list's items, or over a map's keys where `map` is true (in the keys' order)."""

    name: str
    values: Expr
    map: bool
    body: tuple[Action, ...]
    place: Place


class Break(msgspec.Struct, frozen=True, tag_field="node", tag="break"):
    place: Place


class Continue(msgspec.Struct, frozen=True, tag_field="node", tag="continue"):
    place: Place


class CatchBlock(msgspec.Struct, frozen=True):
    errors: tuple[str, ...]
    name: str | None
    body: tuple[Action, ...]
    place: Place


class Try(msgspec.Struct, frozen=True, tag_field="node", tag="try"):
    """Around actions that never wait; the body's sessions deeper than `block` end when caught."""

    body: tuple[Action, ...]
    catches: tuple[CatchBlock, ...]
    block: int
    place: Place


class Check(msgspec.Struct, frozen=True, tag_field="node", tag="check"):
    """The block of checks of a received value: a fault in it is the peer's (`Malformed`)."""

    body: tuple[Action, ...]
    place: Place


Action: TypeAlias = (
    Assign
    | Open
    | Send
    | Close
    | Leave
    | Progress
    | Log
    | Do
    | Require
    | Throw
    | Return
    | If
    | While
    | For
    | Break
    | Continue
    | Try
    | Check
)


# --- states and transitions --------------------------------------------------------------------
#
# A wait's `until` is the moment at which it ends with `Timeout`; None where nothing limits it.


class AwaitMessage(msgspec.Struct, frozen=True, tag_field="node", tag="message"):
    """Rests until the session has something; `name` takes it, as the message `type`. Where
    `discard` is true, a message that comes too late is dropped."""

    session: Expr
    type: str
    name: str
    until: Expr | None = None
    discard: bool = False


class AwaitSubflow(msgspec.Struct, frozen=True, tag_field="node", tag="subflow"):
    """Runs another flow (qualified name and version) inside this one; `name` takes its result."""

    flow: str
    version: int
    arguments: tuple[Expr, ...]
    name: str | None
    until: Expr | None = None


class AwaitResult(msgspec.Struct, frozen=True, tag_field="node", tag="result"):
    """Rests until what `call` began is done; `name` takes what it gives, a `type`."""

    call: Expr
    type: Type | None
    name: str | None
    until: Expr | None = None


class AwaitResults(msgspec.Struct, frozen=True, tag_field="node", tag="results"):
    """Rests until all of the flows that `calls` follows are done; `name` takes a list of what they
    give, each a `type`."""

    calls: Expr
    type: Type | None
    name: str | None
    until: Expr | None = None


class AwaitAnswer(msgspec.Struct, frozen=True, tag_field="node", tag="answer"):
    """Rests until somebody answered; `name` takes that, with an answer of `type` (qualified)."""

    call: Expr
    type: str
    name: str | None
    until: Expr | None = None


class AwaitCheckpoint(msgspec.Struct, frozen=True, tag_field="node", tag="checkpoint"):
    pass


class AwaitTime(msgspec.Struct, frozen=True, tag_field="node", tag="sleep"):
    duration: Expr
    until: Expr | None = None


class AwaitMoment(msgspec.Struct, frozen=True, tag_field="node", tag="moment"):
    time: Expr
    until: Expr | None = None


class AwaitOperator(msgspec.Struct, frozen=True, tag_field="node", tag="hold"):
    reason: Expr


class AwaitEach(msgspec.Struct, frozen=True, tag_field="node", tag="each"):
    """Rests until each session of a list has something; `name` takes it, as a list of the message
    `type` in the sessions' order. Where it is `optional` an item may be none."""

    sessions: Expr
    type: str
    name: str
    optional: bool
    until: Expr | None = None
    discard: bool = False


class Came(msgspec.Struct, frozen=True, tag_field="arm", tag="came"):
    """A message of this type from the session, or where `any` is true from one of a list."""

    session: Expr
    any: bool
    type: str


class Ended(msgspec.Struct, frozen=True, tag_field="arm", tag="ended"):
    """The end of the session, or where `any` is true of one of a list."""

    session: Expr
    any: bool


class Done(msgspec.Struct, frozen=True, tag_field="arm", tag="done"):
    """What was begun and is pending is done, well or not."""

    call: Expr


class Late(msgspec.Struct, frozen=True, tag_field="arm", tag="late"):
    """The time that the wait allows has passed."""


Arm: TypeAlias = Came | Ended | Done | Late
"""One thing that a choice waits for."""


class AwaitChoice(msgspec.Struct, frozen=True, tag_field="node", tag="choice"):
    """Rests until one of the arms happens; `timeout` is the Duration that the arm `Late` allows.
    What happened is then told apart by the state's `Choose`."""

    arms: tuple[Arm, ...]
    timeout: Expr | None
    until: Expr | None = None


Wait: TypeAlias = (
    AwaitMessage
    | AwaitEach
    | AwaitChoice
    | AwaitSubflow
    | AwaitResult
    | AwaitResults
    | AwaitAnswer
    | AwaitCheckpoint
    | AwaitTime
    | AwaitMoment
    | AwaitOperator
)


class Goto(msgspec.Struct, frozen=True, tag_field="node", tag="goto"):
    target: str


class Branch(msgspec.Struct, frozen=True, tag_field="node", tag="branch"):
    condition: Expr
    then: str
    otherwise: str
    place: Place


class Choose(msgspec.Struct, frozen=True, tag_field="node", tag="choose"):
    """Go on where the arm that happened leads: to the target at the same place."""

    arms: tuple[Arm, ...]
    targets: tuple[str, ...]
    place: Place


class Suspend(msgspec.Struct, frozen=True, tag_field="node", tag="suspend"):
    """Rest until `wait` is over; then the state `target` goes on."""

    wait: Wait
    target: str
    place: Place


class End(msgspec.Struct, frozen=True, tag_field="node", tag="end"):
    """The actions before it already returned or threw."""


Next: TypeAlias = Goto | Branch | Choose | Suspend | End


def targets(following: Next) -> tuple[str, ...]:
    """The states to which it leads; for a wait, the one that goes on afterwards."""
    match following:
        case Goto(target=target) | Suspend(target=target):
            return (target,)
        case Branch(then=then, otherwise=otherwise):
            return (then, otherwise)
        case Choose(targets=found):
            return found
        case End():
            return ()
        case _:
            assert_never(following)


def retargeted(following: Next, names: Mapping[str, str]) -> Next:
    """The same with other names of the targets; a target that `names` does not have stays."""
    match following:
        case Goto(target=target) | Suspend(target=target):
            return msgspec.structs.replace(following, target=names.get(target, target))
        case Branch(then=then, otherwise=otherwise):
            return msgspec.structs.replace(
                following, then=names.get(then, then), otherwise=names.get(otherwise, otherwise)
            )
        case Choose(targets=found):
            return msgspec.structs.replace(
                following, targets=tuple(names.get(target, target) for target in found)
            )
        case End():
            return following
        case _:
            assert_never(following)


class Handler(msgspec.Struct, frozen=True):
    """Where an error thrown in a block goes: to the block `target`, with the error in `name`."""

    errors: tuple[str, ...]
    name: str | None
    target: str


class State(msgspec.Struct, frozen=True):
    """A stretch of the flow that runs without waiting.

    Where `awaits` is given the flow rests here, its variables `keeps` in the checkpoint, until that
    wait is over (`tag` is the state's number in the checkpoint); otherwise it is only a place where
    ways meet. The state "Start" keeps the parameters. `handlers` are tried in order, innermost
    first. Where `checks` is true the stretch belongs to a block of checks, as in `Check`. `place`
    is the statement that waits, or with which the stretch begins.
    """

    name: str
    tag: int | None
    awaits: Wait | None
    keeps: tuple[str, ...]
    actions: tuple[Action, ...]
    next: Next
    handlers: tuple[Handler, ...]
    place: Place
    checks: bool = False


class Variable(msgspec.Struct, frozen=True):
    """A variable or parameter; only a parameter has a default, and only some do."""

    name: str
    type: Type
    default: Expr | None = None


class ProgressStep(msgspec.Struct, frozen=True):
    """`values` are what a move to the step shows; `label` then has their names in braces."""

    name: str
    label: str
    tracks: str | None
    values: tuple[Variable, ...] = ()


class Machine(msgspec.Struct, frozen=True):
    """One flow. `parameters` includes the session of a responder or with the `owner`, last;
    `commands` are the messages that it may receive from its owner; `key` is its business key, made
    of the parameters. `variables` has the type of
    every name in it; `block` of a session counts from 0, the flow's own body. `families` has, for
    each error of a family that the file knows, its families, the nearest first."""

    name: str
    version: int
    doc: str | None
    parameters: tuple[Variable, ...]
    result: Type | None
    responds_to: str | None
    startable: tuple[str, ...]
    steps: tuple[ProgressStep, ...]
    variables: tuple[Variable, ...]
    states: tuple[State, ...]
    place: Place
    families: dict[str, tuple[str, ...]] = {}
    owner: str | None = None
    commands: tuple[str, ...] = ()
    key: Expr | None = None

    def state(self, name: str) -> State:
        """The state of that name; KeyError if there is none."""
        for state in self.states:
            if state.name == name:
                return state
        raise KeyError(name)


# --- a module of them ---------------------------------------------------------------------------


class Field(msgspec.Struct, frozen=True):
    name: str
    type: Type
    default: Expr | None = None


class Record(msgspec.Struct, frozen=True):
    kind: Literal["record", "message"]
    name: str
    doc: str | None
    fields: tuple[Field, ...]
    place: Place


class Case(msgspec.Struct, frozen=True):
    """One case of an enum, by its qualified name: `shop.Decision.Approved`."""

    name: str
    fields: tuple[Field, ...]
    place: Place


class Enum(msgspec.Struct, frozen=True):
    name: str
    doc: str | None
    cases: tuple[Case, ...]
    place: Place


class Opaque(msgspec.Struct, frozen=True):
    """A type that is a class in Python: `target` is `module:Class`."""

    name: str
    doc: str | None
    target: str
    place: Place


class Error(msgspec.Struct, frozen=True):
    """`text` mentions the fields as variables. `family` is the error that it is one of."""

    name: str
    fields: tuple[Field, ...]
    text: Expr | None
    place: Place
    family: str | None = None


class Function(msgspec.Struct, frozen=True):
    name: str
    parameters: tuple[Variable, ...]
    result: Type
    target: str
    place: Place


class Operation(msgspec.Struct, frozen=True):
    """`external` ones leave the node, at least once; those that are `once` at most once."""

    name: str
    kind: Literal["read", "write", "external", "once"]
    parameters: tuple[Variable, ...]
    result: Type | None


class Service(msgspec.Struct, frozen=True):
    name: str
    doc: str | None
    operations: tuple[Operation, ...]
    place: Place


class Schedule(msgspec.Struct, frozen=True):
    """Starts the flow (qualified name and version) whenever `cron` says so in the time zone."""

    name: str
    flow: str
    version: int
    arguments: tuple[Expr, ...]
    cron: str
    zone: str
    place: Place


class Module(msgspec.Struct, frozen=True):
    """What one `.flow` file becomes. `uses` maps each used module to the short names taken from it,
    and `used_errors` are those of them that are errors, qualified; `digest` is the SHA-256 of the
    source, as hex. All other names are qualified."""

    format: int
    module: str
    source: str
    digest: str
    doc: str | None
    uses: dict[str, tuple[str, ...]]
    used_errors: tuple[str, ...]
    records: tuple[Record, ...]
    errors: tuple[Error, ...]
    functions: tuple[Function, ...]
    services: tuple[Service, ...]
    machines: tuple[Machine, ...]
    enums: tuple[Enum, ...] = ()
    opaques: tuple[Opaque, ...] = ()
    schedules: tuple[Schedule, ...] = ()


def to_json(module: Module) -> bytes:
    """The module as indented JSON, the same bytes for the same module."""
    return msgspec.json.format(msgspec.json.encode(module), indent=2) + b"\n"


def from_json(data: bytes) -> Module:
    """The module again. Raises `msgspec.ValidationError` for anything else."""
    return msgspec.json.decode(data, type=Module)
