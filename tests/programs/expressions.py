"""Random well-typed expressions over what is in scope. Writes no statements.

Every text and list holds at most one variable of its own kind, so that values in loops grow slowly.
Divisors and indexes are safe in most cases: a fault ends a program early and hides the rest of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.programs import language
from tests.programs.choices import Choices, chance, pick, weighted
from tests.programs.kinds import (
    BOOL,
    BYTES,
    DECIMAL,
    DURATION,
    FLOW_ID,
    INT,
    PAIR,
    PARTY,
    SHOWN,
    TEXT,
    TIMESTAMP,
    Kind,
    list_of,
    map_of,
    optional,
)
from tests.programs.names import Names, Readable

OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, ATOM = range(8)
"""How tightly an expression binds."""

COMPARED = (INT, DECIMAL, TEXT, DURATION, TIMESTAMP)


class Expr(NamedTuple):
    text: str
    level: int = ATOM
    untrusted: bool = False


@dataclasses.dataclass(frozen=True)
class Where:
    """What the place of an expression allows: untrusted parts, calls of services that read (1) or
    write (2), quotes (not within an interpolation), and how often to risk a fault, in percent."""

    untrusted: bool = False
    calls: int = 2
    quotes: bool = True
    risk: int = 6
    literal: bool = True
    """Whether a bare literal will do; where something must be read it will not."""


def join(level: int, operator: str, left: Expr, right: Expr) -> Expr:
    """A binary expression with no more parentheses than it needs."""
    first = left.text if left.level >= level else f"({left.text})"
    second = right.text if right.level > level else f"({right.text})"
    return Expr(f"{first} {operator} {second}", level, left.untrusted or right.untrusted)


def compare(operator: str, left: Expr, right: Expr) -> Expr:
    """Comparisons do not chain, so both sides bind tighter."""
    first = left.text if left.level > COMPARISON else f"({left.text})"
    second = right.text if right.level > COMPARISON else f"({right.text})"
    return Expr(f"{first} {operator} {second}", COMPARISON, left.untrusted or right.untrusted)


def atom(value: Expr) -> str:
    return value.text if value.level == ATOM else f"({value.text})"


class Expressions:
    """Makes expressions of a wanted kind."""

    def __init__(self, choices: Choices, names: Names) -> None:
        self.choices = choices
        self.names = names

    # --- the one door ---

    def of(self, kind: Kind, depth: int = 2, where: Where | None = None) -> Expr:
        """An expression of that kind; depth 0 is a literal or something that is read."""
        where = where or Where()
        options: list[tuple[int, Callable[[], Expr]]] = []
        readable = self.readable(kind, where)
        if where.literal or not readable:
            options.append((3, lambda: self.literal(kind, depth, where)))
        if readable:
            options.append((8, lambda: self.read(pick(self.choices, readable))))
        if depth > 0:
            inner = dataclasses.replace(where, literal=True)
            composites = self._composites(kind, depth - 1, inner)
            composites += language.ways(self, kind, depth - 1, inner)
            shape = self.names.shapes.get(kind.name)
            if shape is not None and shape.sort not in ("error", "python") and where.quotes:
                if self.readable(kind, inner):
                    composites.append((2, lambda: self._changed(kind, depth - 1, inner)))
            if composites:
                options.append((5, lambda: weighted(self.choices, composites)()))
        return weighted(self.choices, options)()

    def readable(self, kind: Kind, where: Where) -> list[Readable]:
        """What is in scope of that kind; an optional is also satisfied by its item."""
        kinds = {kind, kind.items[0]} if kind.name == "Optional" else {kind}
        return [
            found
            for found in self.names.readables()
            if found.kind in kinds and (where.untrusted or not found.untrusted)
        ]

    def read(self, found: Readable) -> Expr:
        return Expr(found.text, ATOM, found.untrusted)

    def _composites(
        self, kind: Kind, depth: int, where: Where
    ) -> list[tuple[int, Callable[[], Expr]]]:
        match kind:
            case Kind("Int"):
                return self._int(depth, where)
            case Kind("Bool"):
                return [(1, lambda: self.condition(depth, where))]
            case Kind("Text"):
                return self._text(depth, where)
            case Kind("Decimal"):
                return self._decimal(depth, where)
            case Kind("Bytes"):
                return [(1, lambda: self._joined(BYTES, depth, where))]
            case Kind("Duration"):
                return self._duration(depth, where)
            case Kind("Timestamp"):
                return self._time(depth, where)
            case Kind("List") if where.quotes:
                return self._list(kind, depth, where)
            case Kind("Map") if where.quotes:
                return self._map(kind, depth, where)
            case Kind("Decision") if where.quotes:
                return [
                    (2, lambda: self.decision(depth, where)),
                    (1, lambda: self.call("decide", INT, depth, where)),
                ]
            case Kind("Optional", (item,)):
                return self._optional(item, depth, where)
            case Kind("Pair") if where.quotes:
                return self._pair(depth, where)
        return []

    # --- literals and constructions ---

    def literal(self, kind: Kind, depth: int, where: Where) -> Expr:
        """A value written out, or constructed from simpler ones."""
        choices = self.choices
        known = language.literals().get(kind)
        if known is not None:
            return known(self, depth, where)
        if kind.items and kind.name != "Optional":
            return self._collection(kind, depth, where)
        match kind.name:
            case "Int":
                return Expr(pick(choices, ("0", "1", "2", "3", "5", "7", "10", "1_000", "64")))
            case "Bool":
                return Expr(pick(choices, ("true", "false")))
            case "Text" if where.quotes:
                return Expr(pick(choices, _TEXTS))
            case "Text":
                return Expr("me.name")
            case "Decimal":
                return Expr(pick(choices, ("0.0", "1.5", "2.0", "0.25", "10.00", "99.99")))
            case "Bytes":
                return Expr(pick(choices, ("0x00", "0xCAFE", *_BYTES[: 3 if where.quotes else 0])))
            case "Duration":
                return Expr(pick(choices, ("1s", "250ms", "30s", "5m", "2h", "3d")))
            case "Party":
                return Expr("me")
            case "Timestamp" if where.quotes and chance(choices, 30):
                return Expr(pick(choices, _MOMENTS))
            case "Timestamp":
                return Expr("now")
            case "Decision":
                return self.decision(depth, where)
            case "FlowId":
                return Expr("flow_id")
            case "Optional" if depth == 0 or chance(choices, 50):
                return Expr("none")
            case "Optional":
                return self.of(kind.items[0], depth - 1, where)
        return self.construct(kind, depth, where)

    def _collection(self, kind: Kind, depth: int, where: Where) -> Expr:
        """A list or map; never an empty one, whose type only its place would tell."""
        item = kind.items[-1]
        count = 1 + self.choices.below(3)
        values = [self.of(item, max(0, depth - 1), where) for _ in range(count)]
        untrusted = any(value.untrusted for value in values)
        if kind.name == "List":
            return Expr(f"[{', '.join(value.text for value in values)}]", ATOM, untrusted)
        keys = _KEYS[kind.items[0]]
        entries = ", ".join(
            f"{key}: {value.text}" for key, value in zip(keys, values, strict=False)
        )
        return Expr(f"{{{entries}}}", ATOM, untrusted)

    def construct(self, kind: Kind, depth: int, where: Where, flag: bool | None = None) -> Expr:
        """A record, message or error; `flag` is a value for its first field."""
        shape = self.names.shapes[kind.name]
        named = where.calls < 2 and chance(self.choices, 25)
        parts: list[tuple[str, Expr]] = []
        for at, field in enumerate(shape.fields):
            if at == 0 and flag is not None:
                parts.append((field.name, Expr("true" if flag else "false")))
            elif field.default is not None and chance(self.choices, 40):
                named = True  # What comes after an argument that was left out must be named.
            else:
                value = self.of(field.kind, max(0, depth - 1), where)
                parts.append((field.name, value))
        untrusted = any(value.untrusted for _, value in parts)
        if named:
            # Only where nothing is called for its effect, for the order of that is not fixed.
            if where.calls < 2 and chance(self.choices, 50):
                parts.reverse()
            text = ", ".join(f"{name}={value.text}" for name, value in parts)
        else:
            text = ", ".join(value.text for _, value in parts)
        return Expr(f"{kind.name}({text})", ATOM, untrusted)

    # --- numbers ---

    def _int(self, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        def number() -> Expr:
            return self.of(INT, depth, where)

        options: list[tuple[int, Callable[[], Expr]]] = [
            (6, lambda: join(SUM, "+", number(), number())),
            (4, lambda: join(SUM, "-", number(), number())),
            (3, lambda: join(PRODUCT, "*", number(), self._small())),
            (2, lambda: join(PRODUCT, "//", number(), self._divisor(where))),
            (2, lambda: join(PRODUCT, "%", number(), self._divisor(where))),
            (1, lambda: self._negative(number())),
            (1, lambda: Expr(f"abs({self._small().text} - 2)")),
            (1, lambda: self._two("min", INT, depth, where)),
            (1, lambda: self._two("max", INT, depth, where)),
            (2, lambda: self._asked(DURATION, DURATION_PARTS, depth, where)),
            (1, lambda: self._asked(TIMESTAMP, TIMESTAMP_PARTS, depth, where)),
        ]
        if where.quotes:
            options += [
                (2, lambda: self._asked(list_of(INT), ("sum()",), depth, where)),
                (1, lambda: self._plus(depth, where)),
                (2, lambda: self._item(depth, where)),
                (1, lambda: self._entry(depth, where)),
            ]
            options.append((1, lambda: self.call("half", INT, depth, where)))
        if where.calls >= 1:
            options.append((2, lambda: Expr("Desk.count()")))
        if where.calls >= 2 and where.quotes:
            options.append((2, lambda: self.call("Desk.take", INT, depth, where)))
        if where.risk > 0:
            options.append((2, lambda: self._risk(depth, where)))
        return options

    def _risk(self, depth: int, where: Where) -> Expr:
        """What may overflow, divide by zero or miss an index; mostly something harmless instead."""
        readable = self.readable(INT, where)
        if not readable or not chance(self.choices, where.risk * 4):
            return self.of(INT, depth, where)
        # Not with a literal, which the compiler would work out and refuse.
        number = self.read(pick(self.choices, readable))
        lists = self.readable(list_of(INT), where)
        sort = self.choices.below(3 if lists else 2)
        if sort == 2:
            found = pick(self.choices, lists)
            return Expr(f"{found.text}[{number.text}]", ATOM, found.untrusted or number.untrusted)
        if sort == 1:
            return join(PRODUCT, "//", Expr("100"), number)
        return join(SUM, "+", Expr("9_223_372_036_854_775_800"), number)

    def _two(self, function: str, kind: Kind, depth: int, where: Where) -> Expr:
        """`min(a, b)` or `max(a, b)`."""
        left, right = self.of(kind, depth, where), self.of(kind, min(depth, 1), where)
        text = f"{function}({left.text}, {right.text})"
        return Expr(text, ATOM, left.untrusted or right.untrusted)

    def _asked(self, kind: Kind, ways: Sequence[str], depth: int, where: Where) -> Expr:
        """What a value of that kind gives when it is asked something."""
        value = self.of(kind, min(depth, 1), where)
        return Expr(f"{atom(value)}.{pick(self.choices, ways)}", ATOM, value.untrusted)

    def _plus(self, depth: int, where: Where) -> Expr:
        """A Python function whose second parameter has a default."""
        inner = dataclasses.replace(where, untrusted=False)
        value = self.of(INT, depth, inner)
        more = pick(self.choices, ("", ", 5", ", by=7"))
        return Expr(f"plus({value.text}{more})", ATOM)

    def _small(self) -> Expr:
        return Expr(pick(self.choices, ("2", "3", "1", "0", "10")))

    def _divisor(self, where: Where) -> Expr:
        return Expr(pick(self.choices, ("2", "3", "10", "7", "(-3)")))

    def _negative(self, value: Expr) -> Expr:
        inner = value.text if value.level > SIGN else f"({value.text})"
        return Expr(f"-{inner}", SIGN, value.untrusted)

    def _item(self, depth: int, where: Where) -> Expr:
        count = 1 + self.choices.below(3)
        values = [self.of(INT, min(depth, 1), where) for _ in range(count)]
        index = join(PRODUCT, "%", self.of(INT, depth, where), Expr(str(count)))
        untrusted = index.untrusted or any(value.untrusted for value in values)
        return Expr(f"[{', '.join(v.text for v in values)}][{index.text}]", ATOM, untrusted)

    def _entry(self, depth: int, where: Where) -> Expr:
        values = [self.of(INT, min(depth, 1), where) for _ in range(2)]
        key = pick(self.choices, ('"k"', '"é"'))
        untrusted = any(value.untrusted for value in values)
        return Expr(f'{{"k": {values[0].text}, "é": {values[1].text}}}[{key}]', ATOM, untrusted)

    def call(
        self, callee: str, kind: Kind, depth: int, where: Where, *, any_: bool = False
    ) -> Expr:
        """A call with one argument of this kind; untrusted values pass only to `any_` callee."""
        inner = dataclasses.replace(where, untrusted=where.untrusted and any_)
        argument = self.of(kind, depth, inner)
        return Expr(f"{callee}({argument.text})", ATOM, argument.untrusted)

    def _decimal(self, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        def number() -> Expr:
            return self.of(DECIMAL, depth, where)

        options: list[tuple[int, Callable[[], Expr]]] = [
            (4, lambda: join(SUM, "+", number(), number())),
            (3, lambda: join(SUM, "-", number(), number())),
            (
                2,
                lambda: join(
                    PRODUCT, "*", number(), Expr(pick(self.choices, ("2.0", "0.5", "1.25")))
                ),
            ),
            (1, lambda: self._negative(number())),
            (1, lambda: self._rounded(depth, where)),
            (1, lambda: self._two("min", DECIMAL, depth, where)),
            (1, lambda: self.call("abs", DECIMAL, depth, where, any_=True)),
        ]
        if where.risk:
            options.append((1, lambda: self._large(depth, where)))
        return options

    def _rounded(self, depth: int, where: Where) -> Expr:
        value = self.of(DECIMAL, depth, where)
        places = pick(self.choices, ("2", "0", "1", "4"))
        way = pick(self.choices, ("HALF_EVEN", "UP", "DOWN", "HALF_UP", "CEILING", "FLOOR"))
        return Expr(f"round({value.text}, {places}, {way})", ATOM, value.untrusted)

    def _large(self, depth: int, where: Where) -> Expr:
        readable = self.readable(DECIMAL, where)
        if not readable or not chance(self.choices, where.risk * 5):
            return self.of(DECIMAL, depth, where)
        number = self.read(pick(self.choices, readable))
        return join(SUM, "+", Expr("99999999999999999999999999999999999.999"), number)

    def _duration(self, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        def span() -> Expr:
            return self.of(DURATION, depth, where)

        options: list[tuple[int, Callable[[], Expr]]] = [
            (3, lambda: join(SUM, "+", span(), span())),
            (2, lambda: join(SUM, "-", span(), span())),
            (2, lambda: join(PRODUCT, "*", span(), self._small())),
            (1, lambda: self._negative(span())),
            (1, lambda: self.call("abs", DURATION, depth, where, any_=True)),
        ]
        times = self.readable(TIMESTAMP, where)
        if times:
            options.append((6, lambda: Expr(f"now - {pick(self.choices, times).text}", SUM)))
        return options

    def _time(self, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        def sum_of(operator: str) -> Expr:
            left, right = self.of(TIMESTAMP, 0, where), self.of(DURATION, depth, where)
            return join(SUM, operator, left, right)

        return [(1, lambda: sum_of("+")), (1, lambda: sum_of("-"))]

    # --- texts, lists, records ---

    def _text(self, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        if not where.quotes:
            return []
        short = dataclasses.replace(where, calls=min(where.calls, 1))
        options: list[tuple[int, Callable[[], Expr]]] = [
            (4, lambda: self.interpolation(where, texts=1)),
            (2, lambda: join(SUM, "+", Expr('"+"'), self.of(TEXT, depth, where))),
            (1, lambda: self.call("shout", TEXT, depth, where)),
            (3, lambda: self._asked(TEXT, TEXT_WAYS, depth, where)),
            (1, lambda: self._asked(list_of(TEXT), ('join("-")',), depth, where)),
            (1, lambda: self.call("text", INT, depth, where, any_=True)),
        ]
        if where.calls >= 1:
            options.append((1, lambda: self.call("Desk.label_of", INT, depth, short, any_=True)))
        return options

    def interpolation(self, where: Where, *, texts: int = 3) -> Expr:
        """A text of up to three shown values, at most `texts` of which may be long."""
        inner = dataclasses.replace(where, quotes=False, literal=False, calls=min(where.calls, 1))
        parts: list[Expr] = []
        for _ in range(1 + self.choices.below(3)):
            shown = [
                found
                for found in self.names.readables()
                if found.kind in SHOWN and (where.untrusted or not found.untrusted)
            ]
            if shown and not chance(self.choices, 20):
                part = self.read(pick(self.choices, shown))
                kind = next(found.kind for found in shown if found.text == part.text)
            else:
                kind = pick(self.choices, (INT, BOOL, DECIMAL, DURATION))
                part = self.of(kind, 1, inner)
            if kind in (TEXT, BYTES, optional(TEXT)):
                if texts == 0:
                    continue
                texts -= 1
            formats = FORMATS.get(kind)
            if formats is not None and chance(self.choices, 30):
                part = part._replace(text=f"{part.text}:{pick(self.choices, formats)}")
            parts.append(part)
        words = pick(self.choices, ("", "is ", "«", "\\{", "\\n"))
        text = words + " ".join(f"{{{part.text}}}" for part in parts)
        return Expr(f'"{text}"', ATOM, any(part.untrusted for part in parts))

    def _joined(self, kind: Kind, depth: int, where: Where) -> Expr:
        return join(SUM, "+", self.of(kind, depth, where), self._short(kind, where))

    def _short(self, kind: Kind, where: Where) -> Expr:
        if kind == BYTES:
            return self.literal(BYTES, 0, where)
        item = kind.items[0]
        value = self.of(item, 0, where)
        return Expr(f"[{value.text}]", ATOM, value.untrusted)

    def _list(self, kind: Kind, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        item = kind.items[0]
        ways = ["reversed()", "slice(0, 3)", "slice(1, 9)", "slice(-1, 2)"]
        if item in (INT, TEXT):
            ways.append("sorted()")
        options: list[tuple[int, Callable[[], Expr]]] = [
            (3, lambda: self._joined(kind, depth, where)),
            (2, lambda: self._asked(kind, ways, depth, where)),
            (1, lambda: self._append(kind, depth, where)),
        ]
        if kind == list_of(TEXT):
            split = ('split(" ")', 'split("a")', "split(me.name)")
            options.append((1, lambda: self._asked(TEXT, split, depth, where)))
            options.append((1, lambda: self._asked(map_of(TEXT, INT), ("keys",), depth, where)))
        if kind == list_of(INT):
            options.append((1, lambda: self._asked(map_of(TEXT, INT), ("values",), depth, where)))
        return options

    def _append(self, kind: Kind, depth: int, where: Where) -> Expr:
        values = self.of(kind, min(depth, 1), where)
        item = self.of(kind.items[0], 0, where)
        text = f"{atom(values)}.append({item.text})"
        return Expr(text, ATOM, values.untrusted or item.untrusted)

    def _map(self, kind: Kind, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        key = pick(self.choices, _KEYS[kind.items[0]])

        def put() -> Expr:
            values = self.of(kind, min(depth, 1), where)
            value = self.of(kind.items[1], 0, where)
            text = f"{atom(values)}.put({key}, {value.text})"
            return Expr(text, ATOM, values.untrusted or value.untrusted)

        return [(2, put), (1, lambda: self._asked(kind, (f"remove({key})",), depth, where))]

    def _changed(self, kind: Kind, depth: int, where: Where) -> Expr:
        """A copy with other values in one or two fields."""
        value = self.read(pick(self.choices, self.readable(kind, where)))
        fields = list(self.names.shapes[kind.name].fields)
        changes = []
        for _ in range(min(len(fields), 1 + self.choices.below(2))):
            field = fields.pop(self.choices.below(len(fields)))
            new = self.of(field.kind, min(depth, 1), where)
            changes.append(f"{field.name} = {new.text}")
            value = value._replace(untrusted=value.untrusted or new.untrusted)
        return value._replace(text=f"({value.text} with {', '.join(changes)})")

    def decision(self, depth: int, where: Where) -> Expr:
        """A case of the enum."""
        inner = dataclasses.replace(where, literal=True)
        sort = self.choices.below(4)
        if sort == 1:
            number = self.of(INT, depth, inner)
            return Expr(f"Decision.Counted({number.text})", ATOM, number.untrusted)
        if sort >= 2 and where.quotes:
            by = self.of(TEXT, 0, inner)
            level = ("", ", 7", f", level={self._small().text}")[self.choices.below(3)]
            return Expr(f"Decision.Approved({by.text}{level})", ATOM, by.untrusted)
        return Expr("Decision.Pending")

    def _optional(
        self, item: Kind, depth: int, where: Where
    ) -> list[tuple[int, Callable[[], Expr]]]:
        options: list[tuple[int, Callable[[], Expr]]] = [
            (2, lambda: self.of(item, depth, where)),
        ]
        if item == INT and where.quotes:
            ways = ("first", "max()", "last", "min()", "max()", "index_of(3)")
            numbers = ('"12"', '"-7"', '"x"', '"1_0"', '"99999999999999999999"', "1.5", "2.0")
            options += [
                (2, lambda: self._asked(list_of(INT), ways, depth, where)),
                (1, lambda: self._asked(map_of(TEXT, INT), ('get("k")',), depth, where)),
                (1, lambda: Expr(f"int({pick(self.choices, numbers)})")),
            ]
        return options

    def _pair(self, depth: int, where: Where) -> list[tuple[int, Callable[[], Expr]]]:
        return [(1, lambda: self.call("swap", PAIR, depth, where))]

    def _membership_asked(self, depth: int, where: Where) -> Expr:
        """Whether something holds of a text, a list or a map."""
        kind, ways = pick(
            self.choices,
            (
                (TEXT, ('starts_with("a")', 'ends_with("é")', 'contains("o")')),
                (list_of(INT), ("contains(3)",)),
                (map_of(TEXT, INT), ('contains("k")',)),
            ),
        )
        return self._asked(kind, ways, depth, where)

    # --- conditions ---

    def condition(self, depth: int, where: Where | None = None) -> Expr:
        """A Bool that says something about what is in scope."""
        where = where or Where()
        options: list[tuple[int, Callable[[], Expr]]] = [
            (8, lambda: self._comparison(depth, where)),
            (3, lambda: self._equality(depth, where)),
        ]
        if depth > 0:
            options += [
                (2, lambda: self._logic("and", AND, depth, where)),
                (2, lambda: self._logic("or", OR, depth, where)),
                (2, lambda: self._not(depth, where)),
            ]
        if where.quotes:
            options.append((1, lambda: self._membership(depth, where)))
            options.append((1, lambda: self._membership_asked(depth, where)))
            options.append((1, lambda: self.call("fits", INT, depth, where, any_=True)))
        if where.calls >= 1:
            options.append((2, lambda: self.call("Desk.coin", INT, depth, where)))
        return weighted(self.choices, options)()

    def moving(self, kind: Kind, where: Where) -> Expr:
        """Something that the compiler cannot work out: comparing two written values is refused."""
        readable = self.readable(kind, where)
        if readable:
            return self.read(pick(self.choices, readable))
        return Expr("now.second") if kind == INT else self.of(kind, 0, where)

    def _comparison(self, depth: int, where: Where) -> Expr:
        present = [kind for kind in COMPARED if self.readable(kind, where)] or [INT]
        kind = pick(self.choices, present)
        if kind == TEXT and not where.quotes:
            kind = INT
        operator = pick(self.choices, ("<", "<=", ">", ">="))
        return compare(operator, self.moving(kind, where), self.of(kind, depth, where))

    def _equality(self, depth: int, where: Where) -> Expr:
        operator = pick(self.choices, ("==", "!="))
        found = [r for r in self.names.readables() if where.untrusted or not r.untrusted]
        found = [r for r in found if where.quotes and r.kind.name != "Session"]
        if not found:
            return compare(operator, Expr("flow_id"), Expr("flow_id"))
        left = pick(self.choices, found)
        if left.kind.name == "Optional" and chance(self.choices, 60):
            return compare(operator, self.read(left), Expr("none"))
        # The other side is simple: comparing must not call for an effect or need a type.
        simple = dataclasses.replace(where, calls=0)
        return compare(operator, self.read(left), self.of(left.kind, min(depth, 1), simple))

    def _logic(self, operator: str, level: int, depth: int, where: Where) -> Expr:
        return join(
            level, operator, self.condition(depth - 1, where), self.condition(depth - 1, where)
        )

    def _not(self, depth: int, where: Where) -> Expr:
        inner = self.condition(depth - 1, where)
        text = inner.text if inner.level >= NOT else f"({inner.text})"
        return Expr(f"not {text}", NOT, inner.untrusted)

    def _membership(self, depth: int, where: Where) -> Expr:
        kind = pick(self.choices, (list_of(INT), list_of(TEXT)))
        item = self.of(kind.items[0], 0, where)
        return compare("in", item, self.of(kind, 0, where))

    def bare(self, kind: Kind) -> bool:
        """Whether an expression of this kind may be a text that no `let` can infer a type from."""
        return kind.name == "Optional" or kind in (BOOL, FLOW_ID, PARTY)


DURATION_PARTS = ("seconds", "days", "hours", "minutes", "milliseconds")
TIMESTAMP_PARTS = ("year", "month", "day", "hour", "minute", "second", "weekday")
TEXT_WAYS = (
    "upper()", "lower()", "trim()", "slice(0, 2)", "slice(1, 5)", 'replace("a", "bc")',
    'replace("é", "")',
)  # fmt: skip
FORMATS: dict[Kind, tuple[str, ...]] = {
    INT: (",", "5", "05", "<4", "^7", ">12,"),
    DECIMAL: (".2", ",", ">12,.1", ".0", "010.3", "<9"),
    TEXT: ("6", ">6", "^5"),
    DURATION: ("s", "ms", "clock", "h", "m", "d"),
    TIMESTAMP: ("date", "time", "minute"),
}
_MOMENTS = (
    'timestamp("2026-01-31T12:00:00Z")',
    'timestamp("2024-02-29T23:59:59.25+01:00")',
    'timestamp("1999-12-31T23:30-05:30")',
)
_TEXTS = ('""', '"a"', '"é☃"', '"two words"', '"\\"quoted\\" \\{brace\\}"', '"it\'s"', '"\\n"')
_BYTES = ('b"raw"', 'b"\\x00\\xff"', 'b"\\""')
_KEYS: dict[Kind, tuple[str, ...]] = {TEXT: ('"k"', '"é"', '""'), INT: ("1", "2", "30")}
