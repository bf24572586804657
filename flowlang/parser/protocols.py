"""What the lines of protocols become: nodes of the tree. Knows no meaning."""

from __future__ import annotations

from typing import Any, NamedTuple

from flowlang import syntax
from flowlang.parser.expressions import Parts, between
from flowlang.parser.statements import Opening
from flowlang.parser.tests import Tests
from flowlang.parser.tokens import Token
from flowlang.source import Span


class _Body(NamedTuple):
    """A block of a protocol's lines, and where it ends."""

    lines: syntax.Lines
    end: Span


class _Chain(NamedTuple):
    """A choice under way: who decides, what it has so far."""

    start: Token
    at: syntax.Name
    branches: tuple[tuple[syntax.Lines, Span], ...]
    end: Span


def _name(token: Token) -> syntax.Name:
    return syntax.Name(token.text, token.span)


class Protocols(Tests):
    """Builds who sends what to whom."""

    def exchange(self, parts: Parts) -> syntax.Exchange:
        sender, _, receiver, _, message, _ = parts
        span = between(sender.span, message.span)
        return syntax.Exchange(_name(sender), _name(receiver), _name(message), span)

    def choice_first(self, parts: Parts) -> _Chain:
        start, _, at, body = parts
        place = between(start.span, at.span)
        return _Chain(start, _name(at), ((body.lines, place),), body.end)

    def choice_more(self, parts: Parts) -> _Chain:
        chain, word, body = parts
        found: _Chain = chain
        return found._replace(branches=(*found.branches, (body.lines, word.span)), end=body.end)

    def choice_of_protocol(self, parts: Parts) -> syntax.ProtocolChoice:
        chain: _Chain = parts[0]
        span = between(chain.start.span, chain.end)
        return syntax.ProtocolChoice(chain.at, chain.branches, span)

    def repeat(self, parts: Parts) -> syntax.Repeat:
        start, name, body = parts
        span = between(start.span, body.end)
        return syntax.Repeat(name.text, name.span, body.lines, span)

    def again(self, parts: Parts) -> syntax.Again:
        start, name, _ = parts
        return syntax.Again(_name(name), between(start.span, name.span))

    def finish(self, parts: Parts) -> syntax.Finish:
        return syntax.Finish(parts[0].span)

    def include(self, parts: Parts) -> syntax.Include:
        start, protocol, _, roles, last, _ = parts
        taken = tuple(_name(role) for role in roles)
        return syntax.Include(_name(protocol), taken, between(start.span, last.span))

    def protocol_body(self, parts: Parts) -> _Body:
        opening: Opening = parts[0]
        lines: list[Any] = self._lines(opening, parts[1:], "who sends what to whom")
        return _Body(self._said(lines), self._end(opening, lines))

    def protocol_body_missing(self, parts: Parts) -> _Body:
        opening: Opening = parts[0]
        self._lines(opening, [], "who sends what to whom")
        return _Body((), opening.end.span)

    def _said(self, lines: list[Any]) -> syntax.Lines:
        """The lines without those that could not be read, and without what is no line."""
        _, body = self._doc_and(lines)
        return tuple(line for line in body if not isinstance(line, syntax.Broken))
