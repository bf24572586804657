"""Statements, as written."""

from __future__ import annotations

from typing import Literal, TypeAlias

from flowlang.source import Span
from flowlang.syntax.expressions import (
    Argument,
    Call,
    Constant,
    Effect,
    Expr,
    Name,
    TypeRef,
    node,
)

# --- statements -------------------------------------------------------------------------------

Block: TypeAlias = "tuple[Statement, ...]"


@node
class Let:
    """`let x = …` and, where `mutable`, `var x = …`; `type` is the written one, if any."""

    name: str
    name_span: Span
    type: TypeRef | None
    value: Expr | Effect
    mutable: bool
    span: Span


@node
class Assign:
    name: str
    name_span: Span
    value: Expr | Effect
    span: Span


@node
class If:
    """`branches` are the `if` and its `elif`s, in order."""

    branches: tuple[tuple[Expr, Block], ...]
    otherwise: Block | None
    span: Span


@node
class Binding:
    """A name that a pattern gives to a part of what it matches."""

    name: str
    span: Span


@node
class AnyPattern:
    """`_`: whatever was not matched before."""

    span: Span


@node
class ValuePattern:
    """A value written out; `none` too."""

    value: Constant
    span: Span


@node
class CasePattern:
    """`Approved(by)`: a case of an enum, by its short name. `bindings` are None for `Approved`
    alone, which looks at no field; one of them is None where `_` stands."""

    name: str
    name_span: Span
    bindings: tuple[Binding | None, ...] | None
    span: Span


Pattern: TypeAlias = AnyPattern | ValuePattern | CasePattern


@node
class MatchCase:
    """`case A, B:` and its block."""

    patterns: tuple[Pattern, ...]
    body: Block
    span: Span


@node
class Match:
    """`broken` says that a case could not be read."""

    value: Expr
    cases: tuple[MatchCase, ...]
    broken: bool
    span: Span


@node
class While:
    condition: Expr
    body: Block
    span: Span


@node
class For:
    name: str
    name_span: Span
    values: Expr
    body: Block
    span: Span


@node
class Break:
    span: Span


@node
class Continue:
    span: Span


@node
class Return:
    value: Expr | Effect | None
    span: Span


@node
class Pass:
    span: Span


@node
class Open:
    """`open F with party as s` and, for `each`, `open F with each parties as ss`; with a `role`,
    `flow` names the protocol that it is of."""

    flow: Name
    role: Name | None
    party: Expr
    each: bool
    name: str
    name_span: Span
    span: Span


@node
class Send:
    """`send e to s` and, for `each`, `send e to each ss`."""

    value: Expr
    session: Expr
    each: bool
    span: Span


@node
class Deadline:
    """`within 30s` behind a `receive`, and with `discard` `within 30s then discard`."""

    duration: Expr
    discard: bool
    span: Span


@node
class Receive:
    """`receive x: T from s:` + checks, or `unchecked` (then `checks` is None); for `each`,
    `receive xs: T from each ss:`.

    `send` is what a `send … then receive …` sends first; `state` is the name given by `@name`.
    """

    name: str
    name_span: Span
    type: TypeRef
    session: Expr
    each: bool
    deadline: Deadline | None
    checks: Block | None
    send: Send | None
    state: str | None
    span: Span


@node
class Bound:
    """A name that a case gives to what came."""

    name: str
    span: Span


@node
class MessageCase:
    """`case T as x:` and, across sessions, `case T from s as x:`, `case T from any ss as x by s:`.

    `session` is None in a choice of one session; `sender` is the name behind `by`, which only a
    case for `any` session has.
    """

    type: TypeRef
    session: Expr | None
    any: bool
    value: Bound | None
    unchecked: bool
    sender: Bound | None
    body: Block
    span: Span


@node
class EndedCase:
    """`case ended:` and, across sessions, `case ended from s:`, `case ended from any ss by s:`."""

    session: Expr | None
    any: bool
    sender: Bound | None
    body: Block
    span: Span


@node
class DoneCase:
    """`case answer t as a:` of a pending `ask`, `case result c as r:` of a pending `await`."""

    kind: Literal["answer", "result"]
    pending: Name
    value: Bound | None
    body: Block
    span: Span


@node
class TimeoutCase:
    """`case timeout 30s:`."""

    duration: Expr
    body: Block
    span: Span


@node
class BrokenCase:
    """A case that could not be read, as a statement that could not."""

    body: Block
    span: Span


Case: TypeAlias = MessageCase | EndedCase | DoneCase | TimeoutCase | BrokenCase


@node
class Choice:
    """`receive from s:` + cases by type of message, and `receive:` + cases across sessions (then
    `session` is None). `send` and `state` as in `Receive`."""

    session: Expr | None
    cases: tuple[Case, ...]
    send: Send | None
    state: str | None
    span: Span


@node
class Close:
    """`close s`, or `close each ss`."""

    session: Expr
    each: bool
    span: Span


@node
class Within:
    """`within 2d:` + block."""

    duration: Expr
    body: Block
    span: Span


@node
class WaitUntil:
    """`wait until t`."""

    time: Expr
    span: Span


@node
class EffectStatement:
    """An effect alone on its line."""

    effect: Effect
    span: Span


@node
class Catch:
    """`catch E, F as e:`; `name` is None where the error itself is not wanted."""

    errors: tuple[Name, ...]
    name: str | None
    name_span: Span | None
    body: Block
    span: Span


@node
class Try:
    body: Block
    catches: tuple[Catch, ...]
    span: Span


@node
class Throw:
    """`error` is a call of a declared error, or the name of a caught one."""

    error: Expr
    span: Span


@node
class Require:
    condition: Expr
    error: Expr
    span: Span


@node
class StepTo:
    """`step NAME`, `step NAME: "label"` and `step NAME(done, total)`."""

    name: str
    name_span: Span
    label: Expr | None
    arguments: tuple[Argument, ...]
    span: Span


@node
class Sleep:
    duration: Expr
    span: Span


@node
class Checkpoint:
    span: Span


@node
class Log:
    level: Literal["debug", "info", "warn"]
    text: Expr
    span: Span


@node
class Hold:
    reason: Expr
    span: Span


@node
class CallStatement:
    """A service's operation, called for what it does."""

    call: Call
    span: Span


@node
class Broken:
    """A statement that could not be read. `names` are the names it mentions, so that later lines
    are not blamed for using them; `body` is the block below it, if it had one."""

    names: tuple[str, ...]
    body: Block
    span: Span


Statement: TypeAlias = (
    Let
    | Assign
    | If
    | Match
    | While
    | For
    | Break
    | Continue
    | Return
    | Pass
    | Open
    | Send
    | Receive
    | EffectStatement
    | Try
    | Throw
    | Require
    | StepTo
    | Sleep
    | WaitUntil
    | Checkpoint
    | Log
    | Hold
    | CallStatement
    | Within
    | Choice
    | Close
    | Broken
)
