"""Declarations and files, as written."""

from __future__ import annotations

import datetime
from typing import Literal, TypeAlias

from flowlang.source import Span
from flowlang.syntax.expressions import Call, Expr, Name, TypeRef, node
from flowlang.syntax.protocols import Plays, Protocol
from flowlang.syntax.statements import Block, Bound
from flowlang.syntax.tests import Test

# --- declarations -----------------------------------------------------------------------------


@node
class Used:
    name: str
    span: Span


@node
class Use:
    """`use shop.orders: Order, Line`."""

    module: str
    module_span: Span
    names: tuple[Used, ...]
    span: Span


@node
class Field:
    name: str
    type: TypeRef
    default: Expr | None
    span: Span


@node
class Record:
    kind: Literal["record", "message"]
    name: str
    name_span: Span
    doc: str | None
    fields: tuple[Field, ...]
    span: Span


@node
class Parameter:
    name: str
    type: TypeRef
    untrusted: bool
    default: Expr | None
    span: Span


@node
class EnumCase:
    """`Approved(by: Text)`; a case without fields has no brackets."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    span: Span


@node
class Enum:
    name: str
    name_span: Span
    doc: str | None
    cases: tuple[EnumCase, ...]
    span: Span


@node
class Opaque:
    """`type Invoice = python "shop.invoices:Invoice":`, with what flows may see of the class."""

    name: str
    name_span: Span
    doc: str | None
    target: str
    target_span: Span
    fields: tuple[Field, ...]
    ordered: bool
    span: Span


@node
class Error:
    """`text` is what a person reads; it may mention the fields. `family` is the error behind `is`,
    with which this one can be caught too."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    family: Name | None
    text: Expr | None
    span: Span


@node
class Function:
    """`target` is `module:function` in Python."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    result: TypeRef
    target: str
    target_span: Span
    span: Span


@node
class Operation:
    """`once` says of an `external` operation that it runs at most once."""

    kind: Literal["read", "write", "event", "external"]
    once: bool
    name: str
    parameters: tuple[Parameter, ...]
    result: TypeRef | None
    span: Span


@node
class Service:
    name: str
    name_span: Span
    doc: str | None
    operations: tuple[Operation, ...]
    span: Span


@node
class ProgressStep:
    """`DOWNLOADING(done: Int) "{done} bytes" tracks F`. The label mentions the parameters."""

    name: str
    parameters: tuple[Parameter, ...]
    label: Expr
    tracks: Name | None
    span: Span


@node
class Responds:
    """`responds to F as s`; with a `role`, `flow` names the protocol that it is of."""

    flow: Name
    role: Name | None
    name: str
    name_span: Span
    span: Span


@node
class Remedy:
    """`on transient retry 5 every 10s then end`: `cause` is `transient` or `failure`, `every` 0 if
    nothing is retried."""

    cause: str
    retries: int
    every: datetime.timedelta
    ends: bool
    span: Span


@node
class Flow:
    """`owner` is the session of `startable by rpc as owner`, `key` the business key, `remedies`
    what is done when a step fails. `broken` says that part of it could not be read: what follows
    from a gap is not reported."""

    name: str
    name_span: Span
    doc: str | None
    parameters: tuple[Parameter, ...]
    result: TypeRef | None
    untrusted_result: bool
    version: int
    responds: Responds | None
    startable: tuple[str, ...]
    owner: Bound | None
    key: Expr | None
    remedies: tuple[Remedy, ...]
    steps: tuple[ProgressStep, ...]
    body: Block
    broken: bool
    span: Span
    plays: tuple[Plays, ...] = ()


@node
class Schedule:
    """`schedule Nightly = Netting(book="main") every "0 18 * * MON-FRI" in "Europe/London"`.

    `cron` and `zone` are the texts as written, with their places.
    """

    name: str
    name_span: Span
    call: Call
    cron: str
    cron_span: Span
    zone: str
    zone_span: Span
    span: Span


Declaration: TypeAlias = (
    Record | Enum | Opaque | Error | Function | Service | Flow | Schedule | Protocol
)


@node
class File:
    """`broken_names` are the names of declarations that could not be read, `private` those of
    declarations that only this file may use. `tests` are no declarations: nothing names them."""

    doc: str | None
    uses: tuple[Use, ...]
    declarations: tuple[Declaration, ...]
    broken_names: frozenset[str]
    private: frozenset[str] = frozenset()
    tests: tuple[Test, ...] = ()
