"""What each reduction of the grammar becomes: a node of the tree. Knows nothing of parse states.

One method for each rule (or its alias) of `grammar/flow.lark`; it gets the parts of the rule, every
token included. What the grammar accepts and the language does not is said here.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

from flowlang import syntax
from flowlang.diagnostics import closest
from flowlang.parser import literals
from flowlang.parser.mistakes import DECLARATIONS, EXPRESSION_DEPTH, Mistakes
from flowlang.parser.table import Table
from flowlang.parser.tokens import Token
from flowlang.source import START, Span

Parts: TypeAlias = list[Any]
HoleReader: TypeAlias = Callable[[int, int, int, int], "syntax.Expr | None"]
"""Reads the expression between two offsets of the text, the first at a line and column."""


class Doc(NamedTuple):
    text: str
    span: Span


class Opening(NamedTuple):
    """The end of a header line: its `:` if there is one, and where the line ends."""

    colon: Token | None
    end: Token


class Body(NamedTuple):
    """The block below a header; None where there is none. `end` is the last place of it."""

    opening: Opening
    lines: Parts
    present: bool


class Header(NamedTuple):
    """A header line of a flow: its keyword and what it says."""

    word: str
    value: Any
    span: Span


class Branches(NamedTuple):
    """An `if` and its `elif`s so far."""

    first: Token
    found: list[tuple[syntax.Expr, syntax.Block]]
    end: Span


class ReceiveEnd(NamedTuple):
    state: str | None
    checks: Body | None
    end: Span


class BrokenItem(NamedTuple):
    """A declaration that could not be read, and what it would have declared."""

    names: tuple[str, ...]
    span: Span


def between(first: Span, last: Span) -> Span:
    return Span(first[0], first[1], last[2], last[3])


def word(token: Token) -> str:
    """A token as a person would call it."""
    return f"`{token.text}`"


# Values that other languages write so; none of them may be a name here.
_OTHERWISE = {
    "None": "none",
    "null": "none",
    "nil": "none",
    "NULL": "none",
    "undefined": "none",
    "True": "true",
    "TRUE": "true",
    "False": "false",
    "FALSE": "false",
}
_ALONE = ("break", "continue", "pass", "return", "checkpoint")


class Builder:
    """The nodes of one file."""

    def __init__(
        self, table: Table, mistakes: Mistakes, read_hole: HoleReader, damaged: set[int]
    ) -> None:
        self._mistakes = mistakes
        self._read_hole = read_hole
        self._reserved = frozenset(table.reserved)
        self._depths: dict[object, int] = {}
        self._too_deep: set[int] = set()
        self._smallest: dict[object, Span] = {}
        """The places of literals that only a `-` before them makes an Int."""
        self.broken_lines = set(damaged)
        """Where something could not be read."""

    # --- lists --------------------------------------------------------------------------------

    def none_yet(self, parts: Parts) -> Parts:
        return []

    def first(self, parts: Parts) -> Parts:
        return [parts[0]]

    def more(self, parts: Parts) -> Parts:
        items: Parts = parts[0]
        items.append(parts[-1])
        return items

    # --- a file -------------------------------------------------------------------------------

    def file(self, parts: Parts) -> syntax.File:
        doc: str | None = None
        uses: list[syntax.Use] = []
        declarations: list[syntax.Declaration] = []
        broken: list[str] = []
        for number, item in enumerate(parts[0]):
            if isinstance(item, Doc):
                if number == 0:
                    doc = item.text
                else:
                    self._misplaced_doc(item)
            elif isinstance(item, syntax.Use):
                if declarations:
                    self._late_use(item)
                uses.append(item)
            elif isinstance(item, BrokenItem):
                broken += item.names
            elif len(declarations) < DECLARATIONS:
                declarations.append(item)
            else:
                self._too_many(item)
                broken.append(item.name)
        for span in self._smallest.values():
            self._literal_is_wrong(literals.too_large_int(), span)
        if not declarations and not broken and not self._mistakes.found:
            self._nothing_here(uses)
        return syntax.File(doc, tuple(uses), tuple(declarations), frozenset(broken))

    def _too_many(self, item: syntax.Declaration) -> None:
        if "F033" not in {found.code for found in self._mistakes.found}:
            self._mistakes.add(
                "F033",
                item.name_span,
                f"this file has more than {DECLARATIONS:,} declarations",
                "split it into several files and `use` one from the other",
            )

    def _late_use(self, item: syntax.Use) -> None:
        self._mistakes.add(
            "F140",
            item.span,
            "`use` lines stand at the top of the file, before everything that is declared",
            "move this line up",
        )

    def _nothing_here(self, uses: list[syntax.Use]) -> None:
        self._mistakes.add(
            "F190",
            uses[0].span if uses else START,
            "nothing is declared in this file",
            "a file has messages, records, errors, services and flows, such as "
            '`flow Hello() -> Text:` and, indented below it, `return "hello"`',
        )

    def use(self, parts: Parts) -> syntax.Use:
        start, path, _, names, _ = parts
        modules: list[Token] = path
        used = tuple(syntax.Used(name.text, name.span) for name in names)
        module = ".".join(token.text for token in modules)
        module_span = between(modules[0].span, modules[-1].span)
        return syntax.Use(module, module_span, used, between(start.span, used[-1].span))

    def broken_item(self, parts: Parts) -> BrokenItem:
        broken: Token = parts[0] if parts[0].kind == "BROKEN" else parts[1]
        return BrokenItem(tuple(broken.text.split()), broken.span)

    def opening(self, parts: Parts) -> Opening:
        return Opening(parts[0], parts[1])

    def opening_without_colon(self, parts: Parts) -> Opening:
        return Opening(None, parts[0])

    def doc_line(self, parts: Parts) -> Doc:
        return Doc(literals.doc_of(parts[0].text), parts[0].span)

    def broken_line(self, parts: Parts) -> syntax.Broken:
        return self._broken(parts[0], ())

    def _misplaced_doc(self, doc: Doc) -> None:
        self._mistakes.add(
            "F141",
            doc.span,
            "a docstring stands first in a file, flow, message, record or service",
            "begin other remarks with `#`",
        )

    def _declared(self, name: Token) -> str:
        if name.text in _OTHERWISE:
            self._mistakes.add(
                "F113",
                name.span,
                f"`{name.text}` cannot be a name: it is how other languages write "
                f"`{_OTHERWISE[name.text]}`",
                "choose another name",
            )
        return name.text

    # --- declarations -------------------------------------------------------------------------

    def record(self, parts: Parts) -> syntax.Record:
        start, name, opening = parts[:3]
        lines = self._lines(opening, parts[3:], f"`{start.text}`", "its fields")
        doc, fields = self._doc_and(lines)
        found = tuple(field for field in fields if isinstance(field, syntax.Field))
        return syntax.Record(
            start.text,
            self._declared(name),
            name.span,
            doc,
            found,
            between(start.span, self._end(opening, lines)),
        )

    def field(self, parts: Parts) -> syntax.Field:
        name: Token = parts[0]
        type_: syntax.TypeRef = parts[2]
        default: syntax.Expr | None = parts[4] if len(parts) == 6 else None
        end = default.span if default else type_.span
        return syntax.Field(name.text, type_, default, between(name.span, end))

    def error(self, parts: Parts) -> syntax.Error:
        start, name = parts[:2]
        parameters: tuple[syntax.Parameter, ...] = ()
        text: syntax.Expr | None = None
        for part in parts[2:]:
            if isinstance(part, ParameterList):
                parameters = part.found
            elif isinstance(part, syntax.Constant | syntax.Interpolation):
                text = part
        end = parts[-2].span
        return syntax.Error(
            self._declared(name), name.span, parameters, text, between(start.span, end)
        )

    def function(self, parts: Parts) -> syntax.Function:
        start, name, parameters, _, result, _, _, text, _ = parts
        target = literals.parts_of(text.text)
        return syntax.Function(
            self._declared(name),
            name.span,
            parameters.found,
            result,
            self._target(text, target),
            text.span,
            between(start.span, text.span),
        )

    def _target(self, text: Token, parts: list[str | literals.Hole] | literals.Wrong) -> str:
        if isinstance(parts, literals.Wrong):
            self._literal_is_wrong(parts, text.span)
            return ""
        target = "".join(part for part in parts if isinstance(part, str))
        plain = len(parts) == 1 and isinstance(parts[0], str)
        module, colon, function = target.partition(":")
        names = [*module.split("."), function]
        fine = [name.isascii() and name.isidentifier() for name in names]
        if plain and colon and all(fine) and not any(map(keyword.iskeyword, names)):
            return target
        message = f"{text.text} does not name a Python function"
        taken = next((name for name in names if keyword.iskeyword(name)), None)
        if plain and colon and all(fine) and taken:
            message = f"{text.text} does not name a Python function: `{taken}` is a word of Python"
        self._mistakes.add(
            "F701",
            text.span,
            message if len(text.text) < 80 else "this text does not name a Python function",
            'write the module, a colon and the function, such as "shop.prices:total"',
        )
        return ""

    def service(self, parts: Parts) -> syntax.Service:
        start, name, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "`service`", "its operations")
        doc, operations = self._doc_and(lines)
        found = tuple(line for line in operations if isinstance(line, syntax.Operation))
        span = between(start.span, self._end(opening, lines))
        return syntax.Service(self._declared(name), name.span, doc, found, span)

    def operation(self, parts: Parts) -> syntax.Operation:
        kind, name, parameters = parts[:3]
        result = parts[4] if len(parts) == 6 else None
        end = result.span if result else parameters.span
        return syntax.Operation(
            kind.text, name.text, parameters.found, result, between(kind.span, end)
        )

    def parameters(self, parts: Parts) -> ParameterList:
        found = tuple(parts[1]) if len(parts) > 2 else ()
        return ParameterList(found, between(parts[0].span, parts[-1].span))

    def parameter(self, parts: Parts) -> syntax.Parameter:
        name, type_ = parts[0], parts[-1]
        return syntax.Parameter(name.text, type_, len(parts) == 4, between(name.span, type_.span))

    def type_name(self, parts: Parts) -> syntax.TypeRef:
        name: Token = parts[0]
        if len(parts) == 1:
            return syntax.TypeRef(name.text, (), False, name.span)
        return syntax.TypeRef(name.text, (), True, between(name.span, parts[1].span))

    def type_generic(self, parts: Parts) -> syntax.TypeRef:
        name, last = parts[0], parts[-1]
        span = between(name.span, last.span)
        return syntax.TypeRef(name.text, tuple(parts[2]), last.kind == "QMARK", span)

    # --- flows --------------------------------------------------------------------------------

    def flow(self, parts: Parts) -> syntax.Flow:
        start, name, parameters = parts[:3]
        typed = isinstance(parts[3], Token)  # the arrow
        result: syntax.TypeRef | None = parts[4] if typed else None
        rest = parts[5:] if typed else parts[3:]
        opening: Opening = rest[0]
        lines = self._lines(opening, rest[1:], "`flow`", "what it does")
        span = between(start.span, self._end(opening, lines))
        doc, body = self._doc_and(lines)
        headers, statements = self._headers(body)
        if opening.colon and lines and not statements:
            self._no_statements(name)
        for parameter in parameters.found:
            self._variable(parameter)
        return syntax.Flow(
            self._declared(name),
            name.span,
            doc,
            parameters.found,
            result,
            headers.get("version", 1),
            headers.get("responds"),
            headers.get("startable", ()),
            headers.get("steps", ()),
            tuple(statements),
            any(span.line <= line <= span.end_line for line in self.broken_lines),
            span,
        )

    def _variable(self, parameter: syntax.Parameter) -> None:
        if parameter.name in self._reserved:
            line, column = parameter.span[:2]
            self._mistakes.add(
                "F111",
                Span(line, column, line, column + len(parameter.name)),
                f"`{parameter.name}` is a word of the language, so it cannot be a variable",
                "choose another name",
            )

    def _no_statements(self, name: Token) -> None:
        self._mistakes.add(
            "F142",
            name.span,
            f"the flow `{name.text}` does nothing: it has no statement",
            "write what it does below its header lines, or `pass`",
        )

    def _headers(self, lines: list[Any]) -> tuple[dict[str, Any], list[syntax.Statement]]:
        headers: dict[str, Any] = {}
        places: dict[str, Span] = {}
        statements: list[syntax.Statement] = []
        for line in lines:
            if not isinstance(line, Header):
                statements.append(line)
                continue
            if line.word in places:
                self._mistakes.add(
                    "F144",
                    line.span,
                    f"`{line.word}` is said twice in this flow",
                    "keep one of the two lines",
                    note=("it is said here first", places[line.word]),
                )
                continue
            if statements and not isinstance(statements[-1], syntax.Broken):
                self._mistakes.add(
                    "F143",
                    line.span,
                    f"`{line.word}` belongs at the top of the flow, before its first statement",
                    "move this line up",
                )
            headers[line.word] = line.value
            places[line.word] = line.span
        return headers, statements

    def version(self, parts: Parts) -> Header:
        start, token = parts[:2]
        span = between(start.span, token.span)
        value = self._number(token)
        if value.kind == "Int" and isinstance(value.value, int) and 1 <= value.value < 2**31:
            return Header("version", value.value, span)
        if value.value is not None:
            self._mistakes.add(
                "F145", token.span, "a version is a whole number, from 1 on", "write `version 1`"
            )
        return Header("version", 1, span)

    def responds(self, parts: Parts) -> Header:
        start, _, flow, _, name, _ = parts
        span = between(start.span, name.span)
        node = syntax.Responds(
            syntax.Name(flow.text, flow.span), self._declared(name), name.span, span
        )
        return Header("responds", node, span)

    def startable(self, parts: Parts) -> Header:
        ways: list[Token] = parts[2]
        span = between(parts[0].span, ways[-1].span)
        return Header("startable", tuple(way.text for way in ways), span)

    def steps(self, parts: Parts) -> Header:
        start, opening = parts[:2]
        lines = self._lines(opening, parts[2:], "`steps`", "the steps")
        found = tuple(line for line in lines if isinstance(line, syntax.ProgressStep))
        return Header("steps", found, start.span)

    def progress_step(self, parts: Parts) -> syntax.ProgressStep:
        name, label = parts[:2]
        tracks = syntax.Name(parts[3].text, parts[3].span) if len(parts) == 5 else None
        text = self.text([label])
        if isinstance(text, syntax.Interpolation):
            self._mistakes.add(
                "F146",
                label.span,
                "the label of a step is fixed where the step is declared",
                f'a label that changes is said when the step begins: `step {name.text}: "…"`',
            )
        plain = text.value if isinstance(text, syntax.Constant) else ""
        assert isinstance(plain, str)
        span = between(name.span, parts[-2].span)
        return syntax.ProgressStep(name.text, plain, tracks, span)

    # --- blocks -------------------------------------------------------------------------------

    def body(self, parts: Parts) -> Body:
        return Body(parts[0], parts[2], True)

    def body_missing(self, parts: Parts) -> Body:
        return Body(parts[0], [], False)

    def _lines(self, opening: Opening, rest: Parts, of: str, what: str) -> list[Any]:
        """The lines between INDENT and DEDENT in `rest`; says so when there are none."""
        self._check_opening(opening, of, what, bool(rest))
        return rest[1] if rest else []

    def _check_opening(self, opening: Opening, of: str, what: str, present: bool) -> None:
        if opening.colon is None:
            self._mistakes.add("F101", opening.end.span, "expected `:` at the end of this line")
        elif not present:
            self._mistakes.add(
                "F102",
                opening.colon.span,
                f"expected an indented block below this line, with {what}",
                None,
            )
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

    def _block(self, body: Body, of: str) -> syntax.Block:
        """The statements of a block; a missing one is a gap."""
        self._check_opening(body.opening, of, "what is done then", body.present)
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
        branch = (condition, self._block(body, "`if`"))
        return Branches(start, [branch], self._body_end(body))

    def if_more(self, parts: Parts) -> Branches:
        branches, _, condition, body = parts
        branch = (condition, self._block(body, "`elif`"))
        return Branches(branches.first, [*branches.found, branch], self._body_end(body))

    def if_broken(self, parts: Parts) -> Branches:
        # The branch stays a branch, so that what it declares is not declared beside it as well.
        branches, _, wreck = parts
        branch = (syntax.Constant("Bool", True, wreck.span), (wreck,))
        return Branches(branches.first, [*branches.found, branch], wreck.span)

    def if_statement(self, parts: Parts) -> syntax.If:
        branches: Branches = parts[0]
        otherwise: syntax.Block | None = None
        end = branches.end
        if len(parts) == 3:
            otherwise, end = self._tail(parts[2], "`else`")
        return syntax.If(tuple(branches.found), otherwise, between(branches.first.span, end))

    def _tail(self, part: Body | syntax.Broken, of: str) -> tuple[syntax.Block, Span]:
        if isinstance(part, Body):
            return self._block(part, of), self._body_end(part)
        return (part,), part.span

    def while_statement(self, parts: Parts) -> syntax.While:
        start, condition, body = parts
        span = between(start.span, self._body_end(body))
        return syntax.While(condition, self._block(body, "`while`"), span)

    def for_statement(self, parts: Parts) -> syntax.For:
        start, name, _, values, body = parts
        return syntax.For(
            self._declared(name),
            name.span,
            values,
            self._block(body, "`for`"),
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

    def open(self, parts: Parts) -> syntax.Open:
        start, flow, _, party, _, name, _ = parts
        return syntax.Open(
            syntax.Name(flow.text, flow.span),
            party,
            self._declared(name),
            name.span,
            between(start.span, name.span),
        )

    def send(self, parts: Parts) -> syntax.Send:
        start, value, _, session = parts[:4]
        return syntax.Send(value, session, between(start.span, session.span))

    def receive(self, parts: Parts) -> syntax.Receive:
        return self._receive(parts, None)

    def send_then_receive(self, parts: Parts) -> syntax.Receive:
        sent = self.send(parts)
        received: syntax.Receive = parts[5]
        return syntax.Receive(
            received.name,
            received.name_span,
            received.type,
            received.session,
            received.checks,
            sent,
            received.state,
            between(sent.span, received.span),
        )

    def _receive(self, parts: Parts, sent: syntax.Send | None) -> syntax.Receive:
        start, name, _, type_, _, session, end = parts
        checks = None if end.checks is None else self._checks(end.checks, name)
        return syntax.Receive(
            self._declared(name),
            name.span,
            type_,
            session,
            checks,
            sent,
            end.state,
            between(start.span, end.end),
        )

    def _checks(self, body: Body, name: Token) -> syntax.Block:
        if body.present:
            return self._block(body, "`receive`")
        place = body.opening.colon or body.opening.end
        self._mistakes.add(
            "F103",
            place.span,
            f"nothing is said about how `{name.text}` is checked",
            "end the line with `:` and write the checks in a block below it, "
            "or take the message as it comes with `unchecked` at the end of the line",
        )
        self.broken_lines.add(place.line)
        return (syntax.Broken((), (), place.span),)

    def checked(self, parts: Parts) -> ReceiveEnd:
        body: Body = parts[-1]
        state = parts[1].text if len(parts) == 3 else None
        return ReceiveEnd(state, body, self._body_end(body))

    def unchecked(self, parts: Parts) -> ReceiveEnd:
        state = parts[1].text if len(parts) == 4 else None
        return ReceiveEnd(state, None, parts[-2].span)

    def subflow(self, parts: Parts) -> syntax.Subflow:
        start, name, last = parts[0], parts[1], parts[-1]
        arguments = tuple(parts[3]) if len(parts) > 4 else ()
        callee = syntax.Name(name.text, name.span)
        call = syntax.Call(callee, arguments, between(name.span, last.span))
        self._nest(call, callee, *[argument.value for argument in arguments])
        return syntax.Subflow(call, between(start.span, last.span))

    def subflow_statement(self, parts: Parts) -> syntax.SubflowStatement:
        return syntax.SubflowStatement(parts[0], parts[0].span)

    def try_statement(self, parts: Parts) -> syntax.Try:
        start, body = parts[:2]
        found = self._block(body, "`try`")
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
            self._block(body, "`catch`"),
            between(start.span, self._body_end(body)),
        )

    def catch_broken(self, parts: Parts) -> syntax.Catch:
        start, wreck = parts
        return syntax.Catch((), None, None, (wreck,), between(start.span, wreck.span))

    def throw(self, parts: Parts) -> syntax.Throw:
        return syntax.Throw(parts[1], between(parts[0].span, parts[1].span))

    def require(self, parts: Parts) -> syntax.Require:
        start, condition, _, error, _ = parts
        return syntax.Require(condition, error, between(start.span, error.span))

    def step_to(self, parts: Parts) -> syntax.StepTo:
        start, name = parts[:2]
        label = parts[3] if len(parts) == 5 else None
        end = label.span if label else name.span
        return syntax.StepTo(name.text, name.span, label, between(start.span, end))

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
        names: tuple[str, ...] = ()
        if isinstance(value, syntax.Name):
            names = (value.name,)
            meant = closest(value.name, _ALONE)
            if meant:
                self._mistakes.add(
                    "F110",
                    value.span,
                    f"`{value.name}` is not a statement",
                    f"did you mean `{meant}`?",
                )
        if not (names and meant):
            self._mistakes.add(
                "F148",
                value.span,
                "this value is not used for anything",
                "give it a name with `let`, `return` it, or remove the line",
            )
        self.broken_lines.add(value.span.line)
        return syntax.Broken(names, (), value.span)

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
        self, broken: syntax.Broken, names: tuple[str, ...], body: syntax.Block, end: Span
    ) -> syntax.Broken:
        # Each block keeps to itself what it declares, so it is a broken statement of its own.
        first = syntax.Broken(broken.names, broken.body, broken.span)
        tail = syntax.Broken(names, body, end)
        return syntax.Broken((*broken.names, *names), (first, tail), between(broken.span, end))

    def broken_tail(self, parts: Parts) -> syntax.Broken:
        body, end = self._tail(parts[2], word(parts[1]))
        return self._with_tail(parts[0], (), body, end)

    def broken_elif(self, parts: Parts) -> syntax.Broken:
        body, end = self._tail(parts[3], "`elif`")
        return self._with_tail(parts[0], (), body, end)

    def broken_catch(self, parts: Parts) -> syntax.Broken:
        body, end = self._tail(parts[-1], "`catch`")
        names = (parts[4].text,) if len(parts) == 6 else ()
        return self._with_tail(parts[0], names, body, end)

    # --- expressions --------------------------------------------------------------------------

    def interpolated(self, parts: Parts) -> syntax.Expr:
        return cast(syntax.Expr, parts[0])

    def _nest(self, node: syntax.Expr, *parts: syntax.Expr) -> bool:
        """Notes how deep `node` is; False, and a mistake, when that is too deep."""
        depths = self._depths
        depth = 1 + max([depths.get(part, 1) for part in parts], default=0)
        if depth <= EXPRESSION_DEPTH:
            depths[node] = depth
            return True
        span = node.span
        if span.line not in self._too_deep:
            self._too_deep.add(span.line)
            self._mistakes.add(
                "F032",
                Span(span.line, span.column, span.line, span.column + 1),
                f"this expression has more than {EXPRESSION_DEPTH} operations one inside another",
                "give a part of it a name with `let`, then go on with the name; "
                "a long sum is better made in a loop",
            )
        return False

    def binary(self, parts: Parts) -> syntax.Expr:
        left, operator, right = parts
        node = syntax.Binary(operator.text, left, right, between(left.span, right.span))
        return node if self._nest(node, left, right) else left

    def unary(self, parts: Parts) -> syntax.Expr:
        operator, operand = parts
        span = between(operator.span, operand.span)
        if operator.kind == "MINUS" and self._smallest.pop(operand, None):
            return syntax.Constant("Int", -operand.value, span)
        node = syntax.Unary("-" if operator.kind == "MINUS" else "not", operand, span)
        return node if self._nest(node, operand) else operand

    def attribute(self, parts: Parts) -> syntax.Expr:
        value, _, name = parts
        node = syntax.Attribute(value, name.text, name.span, between(value.span, name.span))
        return node if self._nest(node, value) else value

    def index(self, parts: Parts) -> syntax.Expr:
        value, _, index, last = parts
        node = syntax.Index(value, index, between(value.span, last.span))
        return node if self._nest(node, value, index) else value

    def call(self, parts: Parts) -> syntax.Expr:
        callee, last = parts[0], parts[-1]
        arguments = tuple(parts[2]) if len(parts) > 3 else ()
        span = between(callee.span, last.span)
        if not isinstance(callee, syntax.Name | syntax.Attribute):
            self._mistakes.add(
                "F149",
                callee.span,
                "only something with a name can be called",
                "call a declared record, message, error, function or operation by its name",
            )
            return cast(syntax.Expr, callee)
        node = syntax.Call(callee, arguments, span)
        fits = self._nest(node, callee, *[argument.value for argument in arguments])
        return node if fits else callee

    def argument(self, parts: Parts) -> syntax.Argument:
        return syntax.Argument(None, parts[0], parts[0].span)

    def named_argument(self, parts: Parts) -> syntax.Argument:
        name, _, value = parts
        return syntax.Argument(name.text, value, between(name.span, value.span))

    def name_value(self, parts: Parts) -> syntax.Expr:
        name: Token = parts[0]
        meant = _OTHERWISE.get(name.text)
        if meant is None:
            return syntax.Name(name.text, name.span)
        self._mistakes.add(
            "F112", name.span, f"`{name.text}` is written `{meant}`", f"write `{meant}`"
        )
        if meant == "none":
            return syntax.Constant("none", None, name.span)
        return syntax.Constant("Bool", meant == "true", name.span)

    def true(self, parts: Parts) -> syntax.Expr:
        return syntax.Constant("Bool", True, parts[0].span)

    def false(self, parts: Parts) -> syntax.Expr:
        return syntax.Constant("Bool", False, parts[0].span)

    def none(self, parts: Parts) -> syntax.Expr:
        return syntax.Constant("none", None, parts[0].span)

    def parenthesised(self, parts: Parts) -> syntax.Expr:
        # The parentheses belong to the value's place, so that a caret is under all of it.
        value = parts[1]
        span = between(parts[0].span, parts[2].span)
        fields = {name: getattr(value, name) for name in value.__slots__}
        made: syntax.Expr = type(value)(**{**fields, "span": span})
        if value in self._depths:
            self._depths[made] = self._depths[value]
        if value in self._smallest:
            self._smallest[made] = self._smallest.pop(value)
        return made

    def list_literal(self, parts: Parts) -> syntax.Expr:
        items = tuple(parts[1]) if len(parts) > 2 else ()
        node = syntax.ListLiteral(items, between(parts[0].span, parts[-1].span))
        return node if self._nest(node, *items) else items[0]

    def map_literal(self, parts: Parts) -> syntax.Expr:
        entries = tuple(parts[1]) if len(parts) > 2 else ()
        node = syntax.MapLiteral(entries, between(parts[0].span, parts[-1].span))
        inner = [part for entry in entries for part in entry]
        return node if self._nest(node, *inner) else inner[0]

    def entry(self, parts: Parts) -> tuple[syntax.Expr, syntax.Expr]:
        return parts[0], parts[2]

    # --- literals -----------------------------------------------------------------------------

    def number(self, parts: Parts) -> syntax.Expr:
        return self._number(parts[0])

    def _number(self, token: Token) -> syntax.Constant:
        """The value; None in it when it was wrong."""
        found = literals.number(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
            return syntax.Constant("none", None, token.span)
        kind, value = found
        node = syntax.Constant(cast(Any, kind), value, token.span)
        if value == literals.INT_MOST + 1 and kind == "Int":
            self._smallest[node] = token.span
        return node

    def bytes(self, parts: Parts) -> syntax.Expr:
        token: Token = parts[0]
        found = literals.bytes_of(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
            found = b""
        return syntax.Constant("Bytes", found, token.span)

    def text(self, parts: Parts) -> syntax.Expr:
        token: Token = parts[0]
        found = literals.parts_of(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
            return syntax.Constant("Text", "", token.span)
        if all(isinstance(part, str) for part in found):
            return syntax.Constant("Text", "".join(cast(list[str], found)), token.span)
        pieces: list[str | syntax.Expr] = []
        for part in found:
            if isinstance(part, str):
                pieces.append(part)
                continue
            column = token.column + part.start
            start, end = token.start + part.start, token.start + part.end
            value = self._read_hole(start, end, token.line, column)
            if value is not None:
                pieces.append(value)
        node = syntax.Interpolation(tuple(pieces), token.span)
        inner = [piece for piece in pieces if not isinstance(piece, str)]
        if self._nest(node, *inner):
            return node
        return syntax.Constant("Text", "", token.span)

    def _literal_is_wrong(self, wrong: literals.Wrong, span: Span) -> None:
        place = span
        if wrong.length:
            column = span.column + wrong.offset
            place = Span(span.line, column, span.line, column + wrong.length)
        self._mistakes.add(wrong.code, place, wrong.message, wrong.hint)


class ParameterList(NamedTuple):
    found: tuple[syntax.Parameter, ...]
    span: Span
