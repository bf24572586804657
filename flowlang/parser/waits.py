"""What statements about sessions, time and others become: nodes of the tree. Knows no meaning."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from flowlang import syntax
from flowlang.parser.expressions import Parts, between
from flowlang.parser.statements import Body, Opening, Statements
from flowlang.parser.tokens import Token
from flowlang.source import Span


class ReceiveEnd(NamedTuple):
    """What stands at the end of a `receive`: its block of checks, or `unchecked`."""

    checks: Body | None
    end: Span


class FlowCall(NamedTuple):
    """`F(args)`, and the bracket at its end."""

    call: syntax.Call
    end: Token


class CaseName(NamedTuple):
    """`as x` or `as x unchecked` in a case."""

    name: syntax.Bound
    unchecked: bool


class Waits(Statements):
    """Builds what a flow says to others, and what it waits for."""

    # --- sessions -----------------------------------------------------------------------------

    def counterpart(self, parts: Parts) -> tuple[syntax.Name, syntax.Name | None]:
        """A flow; or a protocol and one of its roles."""
        first, last = parts[0], parts[-1]
        role = syntax.Name(last.text, last.span) if len(parts) > 1 else None
        return syntax.Name(first.text, first.span), role

    def open(self, parts: Parts) -> syntax.Open:
        return self._open(parts, parts[3], each=False)

    def open_each(self, parts: Parts) -> syntax.Open:
        return self._open(parts, parts[4], each=True)

    def _open(self, parts: Parts, party: syntax.Expr, *, each: bool) -> syntax.Open:
        start, (flow, role), name = parts[0], parts[1], parts[-2]
        return syntax.Open(
            flow,
            role,
            party,
            each,
            self._declared(name),
            name.span,
            between(start.span, name.span),
        )

    def send_to(self, parts: Parts) -> syntax.Send:
        start, value, _, session = parts
        return syntax.Send(value, session, False, between(start.span, session.span))

    def send_to_each(self, parts: Parts) -> syntax.Send:
        start, value, _, _, sessions = parts
        return syntax.Send(value, sessions, True, between(start.span, sessions.span))

    def send(self, parts: Parts) -> syntax.Send:
        sent: syntax.Send = parts[0]
        return sent

    def close(self, parts: Parts) -> syntax.Close:
        return syntax.Close(parts[1], False, between(parts[0].span, parts[1].span))

    def close_each(self, parts: Parts) -> syntax.Close:
        return syntax.Close(parts[2], True, between(parts[0].span, parts[2].span))

    # --- receiving ----------------------------------------------------------------------------

    def receive(self, parts: Parts) -> syntax.Receive:
        return self._receive(parts, each=False)

    def receive_each(self, parts: Parts) -> syntax.Receive:
        return self._receive(parts, each=True)

    def _receive(self, parts: Parts, *, each: bool) -> syntax.Receive:
        start, name, type_ = parts[0], parts[1], parts[3]
        session, state, deadline, end = parts[-4:]
        return syntax.Receive(
            self._declared(name),
            name.span,
            type_,
            session,
            each,
            deadline,
            None if end.checks is None else self._checks(end.checks, name),
            None,
            state,
            between(start.span, end.end),
        )

    def send_then_receive(self, parts: Parts) -> syntax.Statement:
        sent: syntax.Send = parts[0]
        received: syntax.Receive | syntax.Choice = parts[2]
        span = between(sent.span, received.span)
        return dataclasses.replace(received, send=sent, span=span)

    def no_state(self, parts: Parts) -> None:
        return None

    def state(self, parts: Parts) -> str:
        name: str = parts[1].text
        return name

    def no_deadline(self, parts: Parts) -> None:
        return None

    def deadline(self, parts: Parts) -> syntax.Deadline:
        start, duration = parts[:2]
        discard = len(parts) == 4
        last = parts[3] if discard else duration
        return syntax.Deadline(duration, discard, between(start.span, last.span))

    def checked(self, parts: Parts) -> ReceiveEnd:
        return ReceiveEnd(parts[0], self._body_end(parts[0]))

    def unchecked(self, parts: Parts) -> ReceiveEnd:
        return ReceiveEnd(None, parts[0].span)

    def _checks(self, body: Body, name: Token) -> syntax.Block:
        if body.present:
            return self._block(body)
        place = body.opening.colon or body.opening.end
        colon = "" if body.opening.colon else "end the line with `:` and "
        self._mistakes.add(
            "F103",
            place.span,
            f"nothing is said about how `{name.text}` is checked",
            f"{colon}write the checks in a block below it, "
            "or take the message as it comes with `unchecked` at the end of the line",
        )
        self.broken_lines.add(place.line)
        return (syntax.Broken((), (), place.span),)

    # --- choices ------------------------------------------------------------------------------

    def choice_from(self, parts: Parts) -> syntax.Choice:
        start, _, session, state, opening = parts[:5]
        return self._choice(start, session, state, opening, parts[5:])

    def choice(self, parts: Parts) -> syntax.Choice:
        start, state, opening = parts[:3]
        return self._choice(start, None, state, opening, parts[3:])

    def _choice(
        self,
        start: Token,
        session: syntax.Expr | None,
        state: str | None,
        opening: Opening,
        rest: Parts,
    ) -> syntax.Choice:
        cases = tuple(self._lines(opening, rest, "its cases"))
        span = between(start.span, self._end(opening, list(cases)))
        return syntax.Choice(session, cases, None, state, span)

    def message_case(self, parts: Parts) -> syntax.MessageCase:
        start, kind, value, body = parts
        return self._message_case(start, kind, None, False, value, None, body)

    def message_case_from(self, parts: Parts) -> syntax.MessageCase:
        start, kind, body = parts[0], parts[1], parts[-1]
        if len(parts) == 6:
            return self._message_case(start, kind, parts[3], False, parts[4], None, body)
        return self._message_case(start, kind, parts[4], True, parts[5], parts[6], body)

    def _message_case(
        self,
        start: Token,
        kind: Token,
        session: syntax.Expr | None,
        any: bool,
        value: CaseName | None,
        sender: CaseName | None,
        body: Body,
    ) -> syntax.MessageCase:
        return syntax.MessageCase(
            syntax.TypeRef(kind.text, (), False, kind.span),
            session,
            any,
            value.name if value else None,
            value is not None and value.unchecked,
            sender.name if sender else None,
            self._block(body),
            between(start.span, self._body_end(body)),
        )

    def ended_case(self, parts: Parts) -> syntax.EndedCase:
        start, body = parts[0], parts[-1]
        any = len(parts) == 7
        sender: CaseName | None = parts[5] if any else None
        return syntax.EndedCase(
            parts[-3] if any else parts[3] if len(parts) == 5 else None,
            any,
            sender.name if sender else None,
            self._block(body),
            between(start.span, self._body_end(body)),
        )

    def done_case(self, parts: Parts) -> syntax.DoneCase:
        start, kind, pending, value, body = parts
        return syntax.DoneCase(
            kind.text,
            syntax.Name(pending.text, pending.span),
            value.name if value else None,
            self._block(body),
            between(start.span, self._body_end(body)),
        )

    def timeout_case(self, parts: Parts) -> syntax.TimeoutCase:
        start, _, duration, body = parts
        span = between(start.span, self._body_end(body))
        return syntax.TimeoutCase(duration, self._block(body), span)

    def case_broken(self, parts: Parts) -> syntax.BrokenCase:
        wreck: syntax.Broken = parts[-1]
        return syntax.BrokenCase((wreck,), between(parts[0].span, wreck.span))

    def no_name(self, parts: Parts) -> None:
        return None

    def case_name(self, parts: Parts) -> CaseName:
        name: Token = parts[1]
        return CaseName(syntax.Bound(self._declared(name), name.span), len(parts) == 3)

    def case_by(self, parts: Parts) -> CaseName:
        return self.case_name(parts)

    # --- time ---------------------------------------------------------------------------------

    def within(self, parts: Parts) -> syntax.Within:
        start, duration, body = parts
        span = between(start.span, self._body_end(body))
        return syntax.Within(duration, self._block(body), span)

    def wait_until(self, parts: Parts) -> syntax.WaitUntil:
        return syntax.WaitUntil(parts[2], between(parts[0].span, parts[2].span))

    # --- effects ------------------------------------------------------------------------------

    def effect_statement(self, parts: Parts) -> syntax.EffectStatement:
        return syntax.EffectStatement(parts[0], parts[0].span)

    def flow_call(self, parts: Parts) -> FlowCall:
        name, last = parts[0], parts[-1]
        arguments = tuple(parts[2]) if len(parts) > 3 else ()
        callee = syntax.Name(name.text, name.span)
        call = syntax.Call(callee, arguments, between(name.span, last.span))
        self._nest(call, callee, *[argument.value for argument in arguments])
        return FlowCall(call, last)

    def subflow(self, parts: Parts) -> syntax.Subflow:
        start, called = parts
        return syntax.Subflow(called.call, between(start.span, called.end.span))

    def start(self, parts: Parts) -> syntax.Start:
        start, called = parts[:2]
        at: syntax.Expr | None = parts[3] if len(parts) == 4 else None
        span = between(start.span, at.span if at else called.end.span)
        return syntax.Start(called.call, at, span)

    def await_one(self, parts: Parts) -> syntax.Await:
        return syntax.Await(parts[1], False, between(parts[0].span, parts[1].span))

    def await_each(self, parts: Parts) -> syntax.Await:
        return syntax.Await(parts[2], True, between(parts[0].span, parts[2].span))

    def ask(self, parts: Parts) -> syntax.Ask:
        start, role, _, question, _, answer = parts[:6]
        deadline: syntax.Expr | None = parts[7] if len(parts) == 8 else None
        span = between(start.span, (deadline or answer).span)
        return syntax.Ask(role, question, answer, deadline, span)

    def pending(self, parts: Parts) -> syntax.Pending:
        start, effect = parts
        return syntax.Pending(effect, between(start.span, effect.span))
