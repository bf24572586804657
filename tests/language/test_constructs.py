"""Every construct of the language is met by a program that runs and by one that misuses it.

A construct is an alternative of the grammar, or a row of `ROWS`: what the grammar does not tell
apart. A program of `runs` meets what it contains. A misuse, an `F….flow` or a file of `misuses`,
meets what one of its diagnostics is about: it begins on the diagnostic's line, or has a word there,
or is short and contains that line. A file of `misuses` has many mistakes, one on each line that
says `# wrong`; `UPDATE_EXPECT=1` writes their texts anew.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowlang import parser
from flowlang.diagnostics import as_text
from flowlang.parser.builder import Builder
from flowlang.parser.driver import BoundRule
from flowlang.parser.table import STARTS, Rule, Table, _grammar, load_table
from flowlang.parser.tokens import Token
from flowlang.source import Source
from tests.test_codes import compiled, said

HERE = Path(__file__).parent
MISUSES = HERE / "misuses"
UPDATE = bool(os.environ.get("UPDATE_EXPECT"))
SHORT = 3
"""How many lines a construct may have to be what a diagnostic in its middle is about."""

READ_TO_BE_REFUSED = frozenset(
    {
        "body: opening",
        "declaration: SERVICE name opening",
        "declaration: ENUM name opening",
        "declaration: TYPE name EQUAL PYTHON TEXT only_colon",
        "only_colon: COLON NEWLINE",
        "flow: FLOW name parameters opening",
        "flow: FLOW name parameters ARROW result opening",
        "flow_line: STEPS opening",
        "test: TEST TEXT opening",
        "test_line: AT name opening",
        "test_line: EXPECT MESSAGES opening",
        "statement: MATCH expr opening",
        "statement: TRY body",
        "pattern: name LPAR RPAR",
        "receive: RECEIVE FROM expr state opening",
        "receive: RECEIVE state opening",
        "protocol_body: opening",
        "protocol: PROTOCOL name opening",
    }
)
"""What is read so that one can say what is wrong with it: it never runs."""

LATER = frozenset({"MIGRATE"})
"""Words of constructs that are not there yet."""

HARMLESS = frozenset(
    {
        *("items", "interpolated", "file", "name", "reserved", "any_name"),
        *("state: ", "deadline: ", "case_name: ", "case_by: "),
        "field_line: PASS NEWLINE",
        "test_line: EXPECT NO MESSAGES NEWLINE",
        "statement: TRY body catches",  # Its misuse is that of a `catch`.
    }
)
"""Rules and alternatives that nobody can misuse by themselves."""

_TYPES = [
    "Int",
    "Decimal",
    "Bool",
    "Text",
    "Bytes",
    "Timestamp",
    "Duration",
    "Party",
    "Session",
    "FlowId",
    "List",
    "Map",
]
_ASKED = [
    "first",
    "last",
    "reversed",
    "sorted",
    "slice",
    "append",
    "contains",
    "index_of",
    "min",
    "max",
    "sum",
    "join",
    "keys",
    "values",
    "get",
    "put",
    "remove",
    "upper",
    "lower",
    "trim",
    "starts_with",
    "ends_with",
    "replace",
    "split",
    "days",
    "hours",
    "minutes",
    "seconds",
    "milliseconds",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "weekday",
    "size",
    "name",
    "peer",
    "version",
    "by",
    "at",
    "value",
    "text",
    "id",
]
_CALLED = ["int", "decimal", "text", "abs", "min", "max", "round", "divide", "timestamp"]
_ROUNDED = ["UP", "DOWN", "HALF_UP", "HALF_DOWN", "HALF_EVEN", "CEILING", "FLOOR"]
_ERRORS = [
    "SessionRejected",
    "SessionEnded",
    "UnexpectedFlowEnd",
    "UnexpectedMessage",
    "Malformed",
    "Timeout",
    "TaskExpired",
    "FlowFailed",
    "FlowError",
]

ROWS: dict[str, str] = {
    **{f"type {name}": rf"\b{name}\b" for name in _TYPES},
    **{f"what a value is asked: {name}": rf"\.{name}\b" for name in _ASKED},
    **{f"built-in function {name}": rf"\b{name}\(" for name in _CALLED},
    **{f"built-in error {name}": rf"\bcatch .*\b{name}\b" for name in _ERRORS},
    **{
        f"operator {sign}": rf" {re.escape(sign)} "
        for sign in ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "//", "%"]
    },
    **{f"duration in {unit}": rf"\b\d+{unit}\b" for unit in ["ms", "s", "m", "h", "d"]},
    **{f"value {name}": rf"\b{name}\b" for name in ("me", "now", "flow_id")},
    "a way of rounding": rf"\b({'|'.join(_ROUNDED)})\b",
    "a format": r"\{[^}]*:[<>^,.0-9a-z]+\}",
    "an escape": r'"[^"]*\\[nrt"\\{}u]',
    "bytes in hexadecimal": r"\b0x[0-9A-F]+",
    "an optional type": r"\w\?",
    "a negative pattern": r"case .*-\d",
    "narrowing": r"(if|require) .*!= none",
    "the empty list": r"= \[\]",
    "the empty map": r"= \{\}",
    "an error of a family": r"^error .* is ",
    "an untrusted parameter": r"\(.*: untrusted ",
    "an untrusted result": r"-> untrusted ",
    "an ordered Python type": r"^    ordered$",
    "a step that tracks": r" tracks ",
    "throw of a caught error": r"throw [a-z]\w*$",
    "several caught errors": r"catch \w+, ",
    "a state with a name": r"@\w+",
    "a session passed to a subflow": r"subflow \w+\(.*(talk|owner|left)",
    "sessions passed in a list": r"subflow \w+\(.*\[.*(talk|owner|left)",
    "a tail call with a session": r"return subflow \w+\(talk",
    "a subflow right of let": r"let \w+ = subflow",
    "a subflow right of var": r"var \w+ = subflow",
    "a subflow right of =": r"^ +\w+ = subflow",
    "a subflow after return": r"return subflow",
    "await of a service": r"await [A-Z]\w*\.",
    "await of an id": r"await [a-z]",
    "a role that is worked out": r"ask [^\"]|ask \"\w+\" \+|ask 5",
    "who starts it: rpc": r"startable by .*rpc",
    "who starts it: schedule": r"startable by .*schedule",
}


class Met(NamedTuple):
    """A construct that a text contains, the lines where it stands, and those of its own words."""

    construct: str
    first: int
    last: int
    words: frozenset[int] = frozenset()


class Meetings:
    """Reads texts with the parser itself, and notes which alternatives of the grammar it took."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.met: list[Met] = []
        self._names = _alternatives()
        monkeypatch.setattr(parser, "bound", self._bound)

    def in_text(self, text: str) -> list[Met]:
        """What a text contains."""
        self.met = []
        parser.parse(Source("shop.flow", "shop", text))
        return self.met + list(_in_lines(text))

    def _bound(self, made: Table, builder: Builder) -> list[BoundRule]:
        return [
            (rule.size, rule.origin, self._noting(rule, name, builder))
            for rule, name in zip(made.rules, self._names, strict=True)
        ]

    def _noting(self, rule: Rule, name: str, builder: Builder) -> Callable[[list[Any]], Any]:
        act = getattr(builder, rule.action) if rule.action else _only

        def note(parts: list[Any]) -> Any:
            lines = [line for part in parts for line in _lines(part)]
            if lines or not parts:
                words = frozenset(part.line for part in parts if isinstance(part, Token))
                self.met.append(Met(name, min(lines, default=0), max(lines, default=0), words))
            return act(parts)

        return note


def _only(parts: list[Any]) -> Any:
    return parts[0]


def _lines(part: Any) -> Iterator[int]:
    """The first and last lines of what the parser made of something."""
    if isinstance(part, list | tuple) and not hasattr(part, "kind"):
        for one in part:
            yield from _lines(one)
    span = getattr(part, "span", None)
    if span is not None:
        yield span.line
        yield span.end_line


def _in_lines(text: str) -> Iterator[Met]:
    for number, line in enumerate(text.splitlines(), 1):
        written = line.partition(" #")[0].rstrip()
        for name, search in _searches():
            if search(written):
                yield Met(name, number, number)


@functools.cache
def _searches() -> list[tuple[str, Callable[[str], object]]]:
    return [(name, re.compile(pattern).search) for name, pattern in ROWS.items()]


@functools.cache
def _alternatives() -> list[str]:
    """The alternatives of the grammar in the order of the parser's table."""
    from lark import Lark

    lark = Lark(_grammar(), parser="lalr", lexer="basic", start=list(STARTS))
    rules = lark.rules
    found = [(str(rule.origin.name), len(rule.expansion)) for rule in rules]
    assert found == [(rule.origin, rule.size) for rule in load_table().rules]
    return [
        f"{rule.origin.name}: {' '.join(str(symbol.name) for symbol in rule.expansion)}"
        for rule in rules
    ]


def constructs() -> list[str]:
    """Every alternative of the language, and every row."""
    return [
        name
        for name in [*_alternatives(), *ROWS]
        if not LATER & set(name.split()) and not re.search(r"BROKEN|wreck|broken", name)
    ]


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> Meetings:
    return Meetings(monkeypatch)


def test_every_construct_runs(meetings: Meetings) -> None:
    """Together with the programs' texts, which say what each does when it runs."""
    met: set[str] = set()
    for path in (HERE / "runs").glob("*.flow"):
        met |= {one.construct for one in meetings.in_text(path.read_text())}
    assert not (
        missing := [name for name in constructs() if name not in met | READ_TO_BE_REFUSED]
    ), "\n".join(missing)
    assert met & READ_TO_BE_REFUSED == set()


def test_every_construct_is_misused(meetings: Meetings) -> None:
    met: set[str] = set()
    for path in [*HERE.glob("F*.flow"), *MISUSES.glob("*.flow")]:
        text = path.read_text()
        lines = [one.span.line for one in said(compiled(text, path.name), path.name[:4])]
        found = meetings.in_text(text)
        met |= {one.construct for one in found for line in lines if _is_about(one, line)}
    harmless = {name for name in constructs() if {name, name.partition(":")[0]} & HARMLESS}
    assert not (missing := [name for name in constructs() if name not in met | harmless]), (
        "\n".join(missing)
    )


def _is_about(met: Met, line: int) -> bool:
    if met.first == line or line in met.words:
        return True
    return met.first < line <= met.last < met.first + SHORT


@pytest.mark.parametrize("name", sorted(path.stem for path in MISUSES.glob("*.flow")))
def test_each_line_that_is_wrong_is_told_once(name: str) -> None:
    path = MISUSES / f"{name}.flow"
    text = path.read_text()
    made = compiled(text, path.name)
    found = "\n".join(as_text(one, made.sources) for one in made.diagnostics)
    expected = path.with_suffix(".txt")
    if UPDATE:
        expected.write_text(found)
    assert found == expected.read_text()
    wrong = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# wrong")]
    assert [one.span.line for one in made.diagnostics] == wrong
