"""What declarations and files become: the tree of a file. Knows nothing of parse states."""

from __future__ import annotations

import dataclasses
import datetime
import keyword
from typing import Any, NamedTuple

from flowlang import syntax
from flowlang.parser import literals
from flowlang.parser.expressions import Parts, between
from flowlang.parser.mistakes import DECLARATIONS
from flowlang.parser.protocols import Protocols
from flowlang.parser.statements import Doc, Opening
from flowlang.parser.tokens import Token
from flowlang.source import START, Span

PLAYS = "plays"
"""The word of a header line that may be said of each session."""

BROKEN_HEADER = ""
"""The word of a header line that could not be read."""

MOST_RETRIES = 1000
SHORTEST, LONGEST = datetime.timedelta(milliseconds=100), datetime.timedelta(days=30)
"""How often a header may have a failing step tried again, and how far apart."""

_REMEDIES = ("on transient", "on failure")


class Header(NamedTuple):
    """A header line of a flow: its keyword and what it says."""

    word: str
    value: Any
    span: Span


class ParameterList(NamedTuple):
    found: tuple[syntax.Parameter, ...]
    span: Span


class BrokenItem(NamedTuple):
    """A declaration that could not be read, and the names that it would have declared."""

    names: tuple[str, ...]
    span: Span


class PrivateItem(NamedTuple):
    """A declaration for this file alone."""

    declaration: syntax.Declaration


def _name(token: Token) -> syntax.Name:
    return syntax.Name(token.text, token.span)


def _has_gap(lines: Parts) -> bool:
    """Whether a line could not be read. What uses the rest would be blamed for missing it."""
    return any(isinstance(line, syntax.Broken) for line in lines)


class Builder(Protocols):
    """Builds one file."""

    # --- a file -------------------------------------------------------------------------------

    def file(self, parts: Parts) -> syntax.File:
        doc: str | None = None
        uses: list[syntax.Use] = []
        declarations: list[syntax.Declaration] = []
        broken: list[str] = []
        private: set[str] = set()
        tests: list[syntax.tests.Test] = []
        for number, item in enumerate(parts[0]):
            if isinstance(item, PrivateItem):
                item = item.declaration
                private.add(item.name)
            if isinstance(item, Doc):
                if number == 0:
                    doc = item.text
                else:
                    self._misplaced_doc(item)
            elif isinstance(item, syntax.tests.Test):
                tests.append(item)
            elif isinstance(item, syntax.Use):
                if declarations or tests:
                    self._late_use(item)
                uses.append(item)
            elif isinstance(item, BrokenItem):
                broken += item.names
            elif len(declarations) < DECLARATIONS:
                declarations.append(item)
            else:
                self._too_many(item)
                broken.append(item.name)
        self._refuse_wild()
        for span in self._smallest.values():
            self._literal_is_wrong(literals.too_large_int(), span)
        if not (declarations or broken or tests or self._mistakes.found or self.broken_lines):
            self._nothing_here(uses)
        names = frozenset(self.unknown_names).union(broken)
        return syntax.File(
            doc, tuple(uses), tuple(declarations), names, frozenset(private), tuple(tests)
        )

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

    def private(self, parts: Parts) -> PrivateItem | BrokenItem:
        item: syntax.Declaration | BrokenItem = parts[1]
        return item if isinstance(item, BrokenItem) else PrivateItem(item)

    def broken_item(self, parts: Parts) -> BrokenItem:
        broken: Token = parts[0] if parts[0].kind == "BROKEN" else parts[1]
        return BrokenItem(tuple(broken.text.split()), broken.span)

    # --- declarations -------------------------------------------------------------------------

    def record(self, parts: Parts) -> syntax.Record | BrokenItem:
        start, name, opening = parts[:3]
        if start.kind == "MESSAGE" and opening.colon is None and len(parts) == 3:
            # One that says nothing but its name needs no block.
            span = between(start.span, name.span)
            return syntax.Record(start.text, self._declared(name), name.span, None, (), span)
        lines = self._lines(opening, parts[3:], "its fields")
        span = between(start.span, self._end(opening, lines))
        doc, fields = self._doc_and(lines)
        declared = self._declared(name)
        if not lines or _has_gap(lines):
            return BrokenItem((declared,), span)
        found = tuple(field for field in fields if isinstance(field, syntax.Field))
        return syntax.Record(start.text, declared, name.span, doc, found, span)

    def field(self, parts: Parts) -> syntax.Field:
        name: Token = parts[0]
        type_: syntax.TypeRef = parts[2]
        default: syntax.Expr | None = parts[4] if len(parts) == 6 else None
        end = default.span if default else type_.span
        return syntax.Field(name.text, type_, default, between(name.span, end))

    def error_head(self, parts: Parts) -> syntax.Error:
        start, name = parts[:2]
        parameters: tuple[syntax.Parameter, ...] = ()
        if len(parts) > 2 and isinstance(parts[2], ParameterList):
            parameters = parts[2].found
        family: syntax.Name | None = None
        if isinstance(parts[-2], Token) and parts[-2].kind == "IS":
            family = syntax.Name(parts[-1].text, parts[-1].span)
        span = between(start.span, parts[-1].span)
        return syntax.Error(self._declared(name), name.span, parameters, family, None, span)

    def error(self, parts: Parts) -> syntax.Error:
        head: syntax.Error = parts[0]
        if len(parts) == 2:
            return head
        text: syntax.Expr = parts[2]
        return dataclasses.replace(head, text=text, span=between(head.span, text.span))

    def schedule(self, parts: Parts) -> syntax.Schedule:
        start, name, _, flow = parts[:4]
        cron, _, zone, _ = parts[-4:]
        last = parts[-6 if parts[-6].kind == "RPAR" else -5]
        arguments = tuple(parts[5]) if isinstance(parts[5], list) else ()
        callee = syntax.Name(flow.text, flow.span)
        call = syntax.Call(callee, arguments, between(flow.span, last.span))
        self._nest(call, callee, *[argument.value for argument in arguments])
        return syntax.Schedule(
            self._declared(name),
            name.span,
            call,
            self._plain(cron, "* * * * *"),
            cron.span,
            self._plain(zone, "UTC"),
            zone.span,
            between(start.span, zone.span),
        )

    def _plain(self, token: Token, otherwise: str) -> str:
        """A text that may not have holes; `otherwise`, of which nothing is said, where it has."""
        text = self.text([token])
        if isinstance(text, syntax.Constant) and isinstance(text.value, str):
            return text.value
        self._mistakes.add(
            "F175",
            token.span,
            "the times of a schedule are fixed, so this text shows no values",
            "write it out, without braces",
        )
        return otherwise

    def function(self, parts: Parts) -> syntax.Function:
        start, name, parameters, _, result, _, _, text, _ = parts
        target = literals.parts_of(text.text)
        return syntax.Function(
            self._declared(name),
            name.span,
            parameters.found,
            result,
            self._target(text, target, "function", "shop.prices:total"),
            text.span,
            between(start.span, text.span),
        )

    def _target(
        self,
        text: Token,
        parts: list[str | literals.Hole] | literals.Wrong,
        what: str,
        example: str,
    ) -> str:
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
        message = f"{text.text} does not name a Python {what}"
        taken = next((name for name in names if keyword.iskeyword(name)), None)
        if plain and colon and all(fine) and taken:
            message = f"{message}: `{taken}` is a word of Python"
        self._mistakes.add(
            "F720",
            text.span,
            message if len(text.text) < 80 else f"this text does not name a Python {what}",
            f'write the module, a colon and the {what}, such as "{example}"',
        )
        return ""

    def enum(self, parts: Parts) -> syntax.Enum | BrokenItem:
        start, name, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "its cases")
        span = between(start.span, self._end(opening, lines))
        doc, cases = self._doc_and(lines)
        declared = self._declared(name)
        if not cases or _has_gap(lines):
            if lines and not _has_gap(lines):
                message = f"the enum `{declared}` has no case"
                self._mistakes.add("F151", name.span, message, "write its cases, one on each line")
            return BrokenItem((declared,), span)
        return syntax.Enum(declared, name.span, doc, tuple(cases), span)

    def enum_case(self, parts: Parts) -> syntax.EnumCase:
        name, *rest = parts[:-1]
        parameters: ParameterList | None = rest[0] if rest else None
        if parameters is not None and not parameters.found:
            self._mistakes.add(
                "F152",
                parameters.span,
                "a case without fields has no brackets",
                f"write `{name.text}` alone",
            )
        for one in parameters.found if parameters is not None else ():
            if one.untrusted:
                self._mistakes.add(
                    "F153",
                    one.span,
                    "only a parameter is declared `untrusted`",
                    f"write `{one.name}: {one.type.name}`",
                )
        found = parameters.found if parameters is not None else ()
        span = between(name.span, parameters.span) if parameters is not None else name.span
        return syntax.EnumCase(self._declared(name), name.span, found, span)

    def opaque(self, parts: Parts) -> syntax.Opaque | BrokenItem:
        start, name, _, _, text = parts[:5]
        span = between(start.span, text.span)
        lines: list[Any] = []
        if isinstance(parts[5], Opening):
            lines = self._lines(parts[5], parts[6:], "what flows may see of it")
            span = between(start.span, self._end(parts[5], lines))
        doc, seen = self._doc_and(lines)
        declared = self._declared(name)
        if _has_gap(lines) or (isinstance(parts[5], Opening) and not lines):
            return BrokenItem((declared,), span)
        fields = tuple(one for one in seen if isinstance(one, syntax.Field))
        target = self._target(text, literals.parts_of(text.text), "class", "shop.invoices:Invoice")
        said = [one for one in seen if not isinstance(one, syntax.Field)]
        for again in said[1:]:
            message = f"`{again.text}` is declared twice"
            note = ("it is declared here first", said[0].span)
            self._mistakes.add("F207", again.span, message, "remove one of them", note=note)
        ordered = bool(said)
        return syntax.Opaque(declared, name.span, doc, target, text.span, fields, ordered, span)

    def part_word(self, parts: Parts) -> Token | syntax.Broken:
        word: Token = parts[0]
        if word.text == "ordered":
            return word
        self._mistakes.add(
            "F154",
            word.span,
            f"`{word.text}` is no word about a Python class",
            "write `name: Type` for what flows may see, or `ordered` if `<` compares it",
        )
        return self._broken(word, ())

    def protocol(self, parts: Parts) -> syntax.Protocol | BrokenItem:
        start, name, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "who sends what to whom")
        span = between(start.span, self._end(opening, lines))
        doc, body = self._doc_and(lines)
        declared = self._declared(name)
        if not lines:
            return BrokenItem((declared,), span)
        broken = any(span.line <= line <= span.end_line for line in self.broken_lines)
        said = self._said(body)
        return syntax.Protocol(declared, name.span, doc, said, broken, span)

    def service(self, parts: Parts) -> syntax.Service | BrokenItem:
        start, name, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "its operations")
        span = between(start.span, self._end(opening, lines))
        doc, operations = self._doc_and(lines)
        declared = self._declared(name)
        if not lines or _has_gap(lines):
            return BrokenItem((declared,), span)
        return syntax.Service(declared, name.span, doc, tuple(operations), span)

    def operation_head(self, parts: Parts) -> syntax.Operation:
        start, name, parameters = parts[0], parts[-2], parts[-1]
        span = between(start.span, parameters.span)
        once = len(parts) == 4
        return syntax.Operation(start.text, once, name.text, parameters.found, None, span)

    def operation(self, parts: Parts) -> syntax.Operation:
        head: syntax.Operation = parts[0]
        if len(parts) == 2:
            return head
        result: syntax.TypeRef = parts[2]
        return dataclasses.replace(head, result=result, span=between(head.span, result.span))

    def parameters(self, parts: Parts) -> ParameterList:
        found = tuple(parts[1]) if len(parts) > 2 else ()
        return ParameterList(found, between(parts[0].span, parts[-1].span))

    def parameter(self, parts: Parts) -> syntax.Parameter:
        name: Token = parts[0]
        untrusted = isinstance(parts[2], Token)
        type_: syntax.TypeRef = parts[3 if untrusted else 2]
        default: syntax.Expr | None = parts[-1] if len(parts) > 4 else None
        span = between(name.span, (default or type_).span)
        return syntax.Parameter(name.text, type_, untrusted, default, span)

    def type_name(self, parts: Parts) -> syntax.TypeRef:
        name: Token = parts[0]
        if len(parts) == 1:
            return syntax.TypeRef(name.text, (), False, name.span)
        return syntax.TypeRef(name.text, (), True, between(name.span, parts[1].span))

    def type_role(self, parts: Parts) -> syntax.TypeRef:
        name, _, role = parts
        span = between(name.span, role.span)
        return syntax.TypeRef(name.text, (), False, span, _name(role))

    def type_generic(self, parts: Parts) -> syntax.TypeRef:
        name, last = parts[0], parts[-1]
        span = between(name.span, last.span)
        return syntax.TypeRef(name.text, tuple(parts[2]), last.kind == "QMARK", span)

    # --- flows --------------------------------------------------------------------------------

    def flow(self, parts: Parts) -> syntax.Flow | BrokenItem:
        start, name, parameters = parts[:3]
        typed = isinstance(parts[3], Token)  # the arrow
        result, untrusted = parts[4] if typed else (None, False)
        rest = parts[5:] if typed else parts[3:]
        opening: Opening = rest[0]
        lines = self._lines(opening, rest[1:], "what it does")
        span = between(start.span, self._end(opening, lines))
        doc, body = self._doc_and(lines)
        headers, statements = self._headers(body)
        ways, owner = headers.get("startable", ((), None))
        if opening.colon and lines and not statements and BROKEN_HEADER not in headers:
            self._no_statements(name)
        for parameter in parameters.found:
            self._variable(parameter)
        declared = self._declared(name)
        if BROKEN_HEADER in headers:
            return BrokenItem((declared,), span)
        return syntax.Flow(
            declared,
            name.span,
            doc,
            parameters.found,
            result,
            untrusted,
            headers.get("version", 1),
            headers.get("responds"),
            ways,
            owner,
            headers.get("key"),
            tuple(headers[word] for word in _REMEDIES if word in headers),
            headers.get("steps", ()),
            tuple(statements),
            any(span.line <= line <= span.end_line for line in self.broken_lines),
            span,
            headers.get(PLAYS, ()),
        )

    def result(self, parts: Parts) -> tuple[syntax.TypeRef, bool]:
        return parts[-1], len(parts) == 2

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
            if line.word == PLAYS:
                line = line._replace(value=(*headers.get(PLAYS, ()), line.value))
            elif line.word in places and line.word != BROKEN_HEADER:
                self._mistakes.add(
                    "F144",
                    line.span,
                    f"`{line.word}` is said twice in this flow",
                    "keep one of the two lines",
                    note=("it is said here first", places[line.word]),
                )
                continue
            read = [one for one in statements if not isinstance(one, syntax.Broken)]
            if read and line.word != BROKEN_HEADER:
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
        found = literals.number(token.text)
        number = 1
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
        elif isinstance(found.value, int) and 1 <= found.value < 2**31:
            number = found.value
        else:
            message = "a version is a whole number, from 1 on"
            self._mistakes.add("F145", token.span, message, "write `version 1`")
        return Header("version", number, between(start.span, token.span))

    def responds(self, parts: Parts) -> Header:
        start, _, (flow, role), _, name, _ = parts
        span = between(start.span, name.span)
        node = syntax.Responds(flow, role, self._declared(name), name.span, span)
        return Header("responds", node, span)

    def plays(self, parts: Parts) -> Header:
        start, protocol, _, role, _, session, _ = parts
        span = between(start.span, session.span)
        return Header(PLAYS, syntax.Plays(_name(protocol), _name(role), _name(session), span), span)

    def startable(self, parts: Parts) -> Header:
        ways: list[Token] = parts[2]
        owner: syntax.Bound | None = None
        last: Token = ways[-1] if len(parts) == 4 else parts[4]
        span = between(parts[0].span, last.span)
        if len(parts) == 6:
            owner = syntax.Bound(self._declared(parts[4]), parts[4].span)
        first: dict[str, Span] = {}
        for way in ways:
            if way.text in first:
                message = f"`{way.text}` is said twice in this line"
                note = ("it is said here first", first[way.text])
                self._mistakes.add("F144", way.span, message, "keep one of the two", note=note)
            first.setdefault(way.text, way.span)
        return Header("startable", (tuple(first), owner), span)

    def business_key(self, parts: Parts) -> Header:
        span = between(parts[0].span, parts[1].span)
        return Header("key", parts[1], span)

    def on_failure(self, parts: Parts) -> Header:
        start, cause, remedy = parts[:3]
        retries, every, last = remedy
        span = between(start.span, last.span)
        node = syntax.Remedy(cause.text, retries, every, last.kind == "END", span)
        return Header(f"on {cause.text}", node, span)

    def remedy(self, parts: Parts) -> tuple[int, datetime.timedelta, Token]:
        """How often a step is tried again, how far apart, and the last word of the line."""
        if len(parts) == 1:
            return 0, datetime.timedelta(0), parts[0]
        times: Token = parts[1]
        pause: Token = parts[3]
        retries, every = 1, datetime.timedelta(seconds=1)
        found = literals.number(times.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, times.span)
        elif isinstance(found.value, int) and 1 <= found.value <= MOST_RETRIES:
            retries = found.value
        else:
            self._mistakes.add(
                "F643",
                times.span,
                f"a step is tried again 1 to {MOST_RETRIES} times, not `{times.text}`",
                "write a whole number: `retry 5 every 10s`",
            )
        apart = literals.number(pause.text)
        if isinstance(apart, literals.Wrong):
            self._literal_is_wrong(apart, pause.span)
        elif isinstance(apart.value, datetime.timedelta) and (SHORTEST <= apart.value <= LONGEST):
            every = apart.value
        else:
            self._mistakes.add(
                "F644",
                pause.span,
                f"`{pause.text}` is no time between two tries: it is a duration from 100ms to 30d",
                "write it with its unit: `retry 5 every 10s`",
            )
        return retries, every, parts[-1]

    def steps(self, parts: Parts) -> Header:
        start, opening = parts[:2]
        lines = self._lines(opening, parts[2:], "the steps")
        found = tuple(map(self._step_of, lines))
        return Header("steps", found, start.span)

    def _step_of(self, line: syntax.ProgressStep | syntax.Broken) -> syntax.ProgressStep:
        """A line of `steps:`; one that could not be read still declares its first word."""
        if isinstance(line, syntax.ProgressStep):
            return line
        label = syntax.Constant("Text", "", line.span)
        return syntax.ProgressStep((*line.names, "")[0], (), label, None, line.span)

    def broken_header(self, parts: Parts) -> Header:
        self.broken_lines.add(parts[1].line)
        return Header(BROKEN_HEADER, None, parts[1].span)

    def progress_step(self, parts: Parts) -> syntax.ProgressStep:
        name: Token = parts[0]
        parameters: tuple[syntax.Parameter, ...] = ()
        if isinstance(parts[1], ParameterList):
            parameters = parts[1].found
        label: Token = next(part for part in parts[1:] if isinstance(part, Token))
        tracked = parts[-3].kind == "TRACKS" if isinstance(parts[-3], Token) else False
        tracks = syntax.Name(parts[-2].text, parts[-2].span) if tracked else None
        text = self.text([label])
        if isinstance(text, syntax.Interpolation) and not parameters:
            self._mistakes.add(
                "F146",
                label.span,
                "a label shows the values of its step, and this step has none",
                f"declare them: `{name.text}(x: Int) …`; or say the label when the step begins:"
                f' `step {name.text}: "…"`',
            )
        span = between(name.span, parts[-2].span)
        return syntax.ProgressStep(name.text, parameters, text, tracks, span)
