"""`test` blocks, as written: what is set up, what is done, what is expected."""

from __future__ import annotations

from typing import Literal, TypeAlias

from flowlang.source import Span
from flowlang.syntax.expressions import Attribute, Call, Expr, Name, node
from flowlang.syntax.statements import Broken

ANYTHING = "_"
"""The name in an expected value that any value fits."""


@node
class Throws:
    """`throws NotEnough(3)`; without brackets, `call` is None and any fields fit."""

    error: Name
    call: Call | None
    span: Span


@node
class Operation:
    """`Register.pay(3, _)`; without brackets, `call` is None and any arguments fit."""

    callee: Attribute
    call: Call | None
    span: Span


@node
class Mock:
    """`Register.owner(_) -> seller then throws Gone()`. The last answer is given ever again."""

    operation: Operation
    answers: tuple[Expr | Throws, ...]
    span: Span


@node
class Mocks:
    """`at seller:` and what its services answer."""

    party: Name
    mocks: tuple[Mock, ...]
    span: Span


@node
class Begin:
    """`start trade = Buyer(price=3) at buyer`."""

    name: Name | None
    call: Call
    party: Name
    span: Span


@node
class Answer:
    """`answer "approver" at seller with Approval(true) by "ann"`."""

    role: str
    role_span: Span
    party: Name
    value: Expr
    by: str
    span: Span


@node
class Command:
    """`command trade: Cancel()`, from the flow's owner."""

    started: Name
    message: Expr
    span: Span


@node
class After:
    """`after 2d`."""

    time: Expr
    span: Span


@node
class Restart:
    """`restart seller`."""

    party: Name
    span: Span


@node
class Outcome:
    """`returns 3`, `returns` (whatever it is), `throws E` or `waits`."""

    kind: Literal["returns", "throws", "waits"]
    value: Expr | None
    error: Throws | None
    span: Span


@node
class ExpectOutcome:
    """`expect trade returns 3`."""

    started: Name
    outcome: Outcome
    span: Span


@node
class ExpectFlow:
    """`expect Seller at seller returns none`."""

    flow: Name
    party: Name
    outcome: Outcome
    span: Span


@node
class ExpectMail:
    """`expect trade says Paid(20)`: the next of what it says to its owner."""

    started: Name
    message: Expr
    span: Span


@node
class ExpectCalls:
    """`expect 2 Register.pay(3) at seller`; `count` is 1 where nothing is said, 0 for `no`."""

    count: int
    operation: Operation
    party: Name
    span: Span


@node
class SentMessage:
    """`buyer -> seller: Order(3)`; the name alone is a message with any fields."""

    sender: Name
    receiver: Name
    message: Expr
    span: Span


@node
class ExpectMessages:
    """`expect messages:` with all that were sent so far, or `expect no messages`."""

    messages: tuple[SentMessage, ...]
    span: Span


Line: TypeAlias = (
    Mocks
    | Begin
    | Answer
    | Command
    | After
    | Restart
    | ExpectOutcome
    | ExpectFlow
    | ExpectMail
    | ExpectCalls
    | ExpectMessages
    | Broken
)


@node
class Test:
    """`test "name":`. `parties_span` is the place of its line `parties`, if it has one."""

    name: str
    name_span: Span
    parties: tuple[Name, ...]
    parties_span: Span | None
    lines: tuple[Line, ...]
    broken: bool
    span: Span
