"""What statements and blocks become: nodes of the tree. Knows no declaration.

What the grammar accepts and the language does not (a header without `:`, a `try` without `catch`)
is said here, so that the tree stays whole.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flowlang import syntax
from flowlang.diagnostics import closest
from flowlang.parser import literals
from flowlang.parser.expressions import OTHERWISE, Expressions, Parts, between
from flowlang.parser.tokens import Token
from flowlang.source import Span

_ALONE = ("break", "continue", "pass", "return", "checkpoint")


class Doc(NamedTuple):
    text: str
    span: Span


class Opening(NamedTuple):
    """The end of a header line: its `:` if there is one, and where the line ends."""

    colon: Token | None
    end: Token


class Body(NamedTuple):
    """The block below a header, not `present` if there is none."""

    opening: Opening
    lines: Parts
    present: bool


class Branches(NamedTuple):
    """An `if` and its `elif`s so far."""

    first: Token
    found: list[tuple[syntax.Expr, syntax.Block]]
    end: Span


class Statements(Expressions):
    """Builds what a flow does."""

    # --- blocks -------------------------------------------------------------------------------

    def opening(self, parts: Parts) -> Opening:
        return Opening(parts[0], parts[1])

    def opening_without_colon(self, parts: Parts) -> Opening:
        return Opening(None, parts[0])

    def doc_line(self, parts: Parts) -> Doc:
        return Doc(literals.doc_of(parts[0].text), parts[0].span)

    def body(self, parts: Parts) -> Body:
        return Body(parts[0], parts[2], True)

    def body_missing(self, parts: Parts) -> Body:
        return Body(parts[0], [], False)

    def _lines(self, opening: Opening, rest: Parts, what: str) -> list[Any]:
        """The lines between INDENT and DEDENT in `rest`; says so when there are none."""
        self._check_opening(opening, what, bool(rest))
        return rest[1] if rest else []

    def _check_opening(self, opening: Opening, what: str, present: bool) -> None:
        if opening.colon is None:
            self._mistakes.add("F101", opening.end.span, "expected `:` at the end of this line")
        elif not present:
            message = "expected an indented block below this line"
            if what:
                message += f", with {what}"
            hint = "indent what belongs to it by four more" + ("" if what else ", or write `pass`")
            self._mistakes.add("F102", opening.colon.span, message, hint)
        if not present:
            self.broken_lines.add(opening.end.line)

    def _doc_and(self, lines: list[Any]) -> tuple[str | None, list[Any]]:
        """A block's docstring and its other lines."""
        doc = lines[0].text if lines and isinstance(lines[0], Doc) else None
        rest = []
        for number, line in enumerate(lines):
            if not isinstance(line, Doc):
                rest.append(line)
            elif number:
                self._misplaced_doc(line)
        return doc, rest

    def _block(self, body: Body) -> syntax.Block:
        """The statements of a block; a missing one is a gap."""
        self._check_opening(body.opening, "", body.present)
        if not body.present:
            return (syntax.Broken((), (), body.opening.end.span),)
        return self._statements(body.lines)

    def _statements(self, lines: Parts) -> syntax.Block:
        for line in lines:
            if isinstance(line, Doc):
                self._misplaced_doc(line)
        return tuple([line for line in lines if not isinstance(line, Doc)])

    def _end(self, opening: Opening, lines: list[Any]) -> Span:
        last: Span = lines[-1].span if lines else (opening.colon or opening.end).span
        return last

    def _body_end(self, body: Body) -> Span:
        if body.lines:
            span: Span = body.lines[-1].span
            return span
        return (body.opening.colon or body.opening.end).span

    def _misplaced_doc(self, doc: Doc) -> None:
        self._mistakes.add(
            "F141",
            doc.span,
            "a docstring stands first in a file, flow, message, record or service",
            "begin other remarks with `#`",
        )

    def _declared(self, name: Token) -> str:
        if name.text in OTHERWISE:
            self._mistakes.add(
                "F113",
                name.span,
                f"`{name.text}` cannot be a name: it is how other languages write "
                f"`{OTHERWISE[name.text]}`",
                "choose another name",
            )
        return name.text

    # --- statements ---------------------------------------------------------------------------

    def let(self, parts: Parts) -> syntax.Let:
        kind, name, _, value, _ = parts
        return syntax.Let(
            self._declared(name),
            name.span,
            None,
            value,
            kind.kind == "VAR",
            between(kind.span, value.span),
        )

    def let_typed(self, parts: Parts) -> syntax.Let:
        kind, name, _, type_, _, value, _ = parts
        return syntax.Let(
            self._declared(name),
            name.span,
            type_,
            value,
            kind.kind == "VAR",
            between(kind.span, value.span),
        )

    def assign(self, parts: Parts) -> syntax.Assign:
        name, _, value, _ = parts
        return syntax.Assign(name.text, name.span, value, between(name.span, value.span))

    def if_first(self, parts: Parts) -> Branches:
        start, condition, body = parts
        branch = (condition, self._block(body))
        return Branches(start, [branch], self._body_end(body))

    def if_more(self, parts: Parts) -> Branches:
        branches: Branches = parts[0]
        condition, body = parts[2:]
        branch = (condition, self._block(body))
        branches.found.append(branch)
        return branches._replace(end=self._body_end(body))

    def if_broken(self, parts: Parts) -> Branches:
        # The branch stays a branch, so that what it declares is not declared beside it as well.
        branches: Branches = parts[0]
        wreck: syntax.Broken = parts[2]
        branch = (syntax.Constant("Bool", True, wreck.span), (wreck,))
        branches.found.append(branch)
        return branches._replace(end=wreck.span)

    def if_statement(self, parts: Parts) -> syntax.If:
        branches: Branches = parts[0]
        otherwise: syntax.Block | None = None
        end = branches.end
        if len(parts) == 3:
            otherwise, end = self._tail(parts[2])
        return syntax.If(tuple(branches.found), otherwise, between(branches.first.span, end))

    def _tail(self, part: Body | syntax.Broken) -> tuple[syntax.Block, Span]:
        if isinstance(part, Body):
            return self._block(part), self._body_end(part)
        return (part,), part.span

    def while_statement(self, parts: Parts) -> syntax.While:
        start, condition, body = parts
        span = between(start.span, self._body_end(body))
        return syntax.While(condition, self._block(body), span)

    def for_statement(self, parts: Parts) -> syntax.For:
        start, name, _, values, body = parts
        return syntax.For(
            self._declared(name),
            name.span,
            values,
            self._block(body),
            between(start.span, self._body_end(body)),
        )

    def break_statement(self, parts: Parts) -> syntax.Break:
        return syntax.Break(parts[0].span)

    def continue_statement(self, parts: Parts) -> syntax.Continue:
        return syntax.Continue(parts[0].span)

    def pass_statement(self, parts: Parts) -> syntax.Pass:
        return syntax.Pass(parts[0].span)

    def checkpoint(self, parts: Parts) -> syntax.Checkpoint:
        return syntax.Checkpoint(parts[0].span)

    def return_nothing(self, parts: Parts) -> syntax.Return:
        return syntax.Return(None, parts[0].span)

    def return_value(self, parts: Parts) -> syntax.Return:
        return syntax.Return(parts[1], between(parts[0].span, parts[1].span))

    def try_statement(self, parts: Parts) -> syntax.Try:
        start, body = parts[:2]
        found = self._block(body)
        if len(parts) == 3:
            catches = tuple(parts[2])
            return syntax.Try(found, catches, between(start.span, catches[-1].span))
        if body.present:
            self._mistakes.add(
                "F147",
                start.span,
                "this `try` catches nothing",
                "write `catch SomeError:` and a block below it",
            )
        return syntax.Try(found, (), between(start.span, self._body_end(body)))

    def catch(self, parts: Parts) -> syntax.Catch:
        start, errors, body = parts[0], parts[1], parts[-1]
        name: Token | None = parts[3] if len(parts) == 5 else None
        return syntax.Catch(
            tuple(syntax.Name(token.text, token.span) for token in errors),
            self._declared(name) if name else None,
            name.span if name else None,
            self._block(body),
            between(start.span, self._body_end(body)),
        )

    def catch_broken(self, parts: Parts) -> syntax.Catch:
        start, wreck = parts
        return syntax.Catch((), None, None, (wreck,), between(start.span, wreck.span))

    # --- match --------------------------------------------------------------------------------

    def match_statement(self, parts: Parts) -> syntax.Match:
        start, value, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "its cases")
        cases = tuple(line for line in lines if isinstance(line, syntax.MatchCase))
        broken = len(cases) < len(lines) or not lines or any(not case.patterns for case in cases)
        span = between(start.span, self._end(opening, lines))
        return syntax.Match(value, cases, broken, span)

    def match_case(self, parts: Parts) -> syntax.MatchCase:
        start, patterns, body = parts
        found = self._block(body)
        span = between(start.span, self._body_end(body))
        # A pattern that is wrong is a gap: nothing is said about what it would have matched.
        known = () if None in patterns else tuple(patterns)
        return syntax.MatchCase(known, found, span)

    def match_case_broken(self, parts: Parts) -> syntax.MatchCase:
        start, wreck = parts
        return syntax.MatchCase((), (wreck,), between(start.span, wreck.span))

    def pattern_any(self, parts: Parts) -> syntax.AnyPattern:
        return syntax.AnyPattern(parts[0].span)

    def pattern_case(self, parts: Parts) -> syntax.CasePattern:
        name: Token = parts[0]
        if len(parts) == 1:
            return syntax.CasePattern(name.text, name.span, None, name.span)
        slots = tuple(parts[2]) if len(parts) == 4 else ()
        if not slots:
            self._mistakes.add(
                "F152",
                between(parts[1].span, parts[-1].span),
                "these brackets hold nothing",
                f"write `case {name.text}:`, which looks at no field",
            )
        span = between(name.span, parts[-1].span)
        return syntax.CasePattern(name.text, name.span, slots or None, span)

    def slot(self, parts: Parts) -> syntax.Binding | None:
        token: Token = parts[0]
        if token.kind == "WILDCARD":
            return None
        return syntax.Binding(self._declared(token), token.span)

    def _pattern(self, value: syntax.Expr) -> syntax.Pattern | None:
        if isinstance(value, syntax.Constant):
            return syntax.ValuePattern(value, value.span)
        self._mistakes.add(
            "F155",
            value.span,
            "a text in a `case` is fixed, and shows no values",
            "compare with `if` instead",
        )
        return None

    def pattern_value(self, parts: Parts) -> syntax.Pattern | None:
        return self._pattern(parts[0])

    def pattern_number(self, parts: Parts) -> syntax.Pattern | None:
        number = self.number([parts[-1]])
        if not isinstance(number, syntax.Constant):
            return None
        if len(parts) == 1:
            return self._pattern(number)
        self._smallest.pop(number, None)
        span = between(parts[0].span, number.span)
        if isinstance(number.value, bytes | str | bool | None):
            message = "only a number has a `-` before it"
            self._mistakes.add("F155", span, message, "remove the `-`")
            return None
        return self._pattern(syntax.Constant(number.kind, -number.value, span))

    def pattern_bytes(self, parts: Parts) -> syntax.Pattern | None:
        return self._pattern(self.bytes(parts))

    def pattern_true(self, parts: Parts) -> syntax.Pattern | None:
        return self._pattern(self.true(parts))

    def pattern_false(self, parts: Parts) -> syntax.Pattern | None:
        return self._pattern(self.false(parts))

    def pattern_none(self, parts: Parts) -> syntax.Pattern | None:
        return self._pattern(self.none(parts))

    def throw(self, parts: Parts) -> syntax.Throw:
        return syntax.Throw(parts[1], between(parts[0].span, parts[1].span))

    def require(self, parts: Parts) -> syntax.Require:
        start, condition, _, error, _ = parts
        return syntax.Require(condition, error, between(start.span, error.span))

    def step_to(self, parts: Parts) -> syntax.StepTo:
        start, name = parts[:2]
        label = parts[3] if len(parts) == 5 else None
        end = label.span if label else name.span
        return syntax.StepTo(name.text, name.span, label, (), between(start.span, end))

    def step_with(self, parts: Parts) -> syntax.StepTo:
        start, name, last = parts[0], parts[1], parts[-2]
        arguments = tuple(parts[3]) if len(parts) > 5 else ()
        span = between(start.span, last.span)
        return syntax.StepTo(name.text, name.span, None, arguments, span)

    def sleep(self, parts: Parts) -> syntax.Sleep:
        return syntax.Sleep(parts[1], between(parts[0].span, parts[1].span))

    def log(self, parts: Parts) -> syntax.Log:
        start, level, text, _ = parts
        return syntax.Log(level.text, text, between(start.span, text.span))

    def hold(self, parts: Parts) -> syntax.Hold:
        return syntax.Hold(parts[1], between(parts[0].span, parts[1].span))

    def value_alone(self, parts: Parts) -> syntax.Statement:
        value: syntax.Expr = parts[0]
        if isinstance(value, syntax.Call):
            return syntax.CallStatement(value, value.span)
        name = value.name if isinstance(value, syntax.Name) else ""
        meant = closest(name, _ALONE)
        if meant:
            hint = f"did you mean `{meant}`?"
            self._mistakes.add("F110", value.span, f"`{name}` is not a statement", hint)
        else:
            self._mistakes.add(
                "F148",
                value.span,
                "this value is not used for anything",
                "give it a name with `let`, `return` it, or remove the line",
            )
        self.broken_lines.add(value.span.line)
        return syntax.Broken((name,) if name else (), (), value.span)

    def _not_yet(self, span: Span, what: str) -> None:
        message = f"{what} is not part of the language yet"
        self._mistakes.add("F199", span, message, "say it with what there is")

    # --- what could not be read ---------------------------------------------------------------

    def _broken(self, token: Token, body: syntax.Block) -> syntax.Broken:
        span = between(token.span, body[-1].span) if body else token.span
        self.broken_lines.add(token.line)
        return syntax.Broken(tuple(token.text.split()), body, span)

    def wreck(self, parts: Parts) -> syntax.Broken:
        body = self._statements(parts[3]) if len(parts) == 5 else ()
        return self._broken(parts[0], body)

    def broken(self, parts: Parts) -> syntax.Broken:
        broken: syntax.Broken = parts[0]
        return broken

    def _with_tail(
        self, broken: syntax.Broken, names: tuple[str, ...], part: Body | syntax.Broken
    ) -> syntax.Broken:
        # Each block keeps to itself what it declares, so it is a broken statement of its own.
        body, end = self._tail(part)
        first = syntax.Broken(broken.names, broken.body, broken.span)
        tail = syntax.Broken(names, body, end)
        return syntax.Broken((*broken.names, *names), (first, tail), between(broken.span, end))

    def broken_tail(self, parts: Parts) -> syntax.Broken:
        return self._with_tail(parts[0], (), parts[2])

    def broken_elif(self, parts: Parts) -> syntax.Broken:
        return self._with_tail(parts[0], (), parts[3])

    def broken_catch(self, parts: Parts) -> syntax.Broken:
        names = (parts[4].text,) if len(parts) == 6 else ()
        return self._with_tail(parts[0], names, parts[-1])

    def broken_line(self, parts: Parts) -> syntax.Broken:
        return self._broken(parts[0], ())
