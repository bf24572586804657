"""Protocols, as written: who sends what to whom, in which order."""

from __future__ import annotations

from typing import TypeAlias

from flowlang.source import Span
from flowlang.syntax.expressions import Name, node


@node
class Exchange:
    """`seller -> buyer: TradeInfo`."""

    sender: Name
    receiver: Name
    message: Name
    span: Span


@node
class ProtocolChoice:
    """`choice at buyer:` and the blocks behind it and behind each `or:`; each has the place of the
    line that begins it."""

    at: Name
    branches: tuple[tuple[Lines, Span], ...]
    span: Span


@node
class Repeat:
    """`repeat name:`; what is not told to go on ends it."""

    name: str
    name_span: Span
    body: Lines
    span: Span


@node
class Again:
    """`continue name`."""

    repeat: Name
    span: Span


@node
class Finish:
    """`end`: nothing more is said on this way."""

    span: Span


@node
class Include:
    """`include Finality(buyer, seller)`: that protocol's lines, its roles taken by these."""

    protocol: Name
    roles: tuple[Name, ...]
    span: Span


ProtocolLine: TypeAlias = Exchange | ProtocolChoice | Repeat | Again | Finish | Include
Lines: TypeAlias = tuple[ProtocolLine, ...]


@node
class Protocol:
    """`protocol Trade:`; its roles are the names in its lines, in the order of the text. `broken`
    says that a line could not be read."""

    name: str
    name_span: Span
    doc: str | None
    lines: Lines
    broken: bool
    span: Span


@node
class Plays:
    """`plays Trade.buyer on trade`."""

    protocol: Name
    role: Name
    session: Name
    span: Span
