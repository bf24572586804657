"""The types that generated programs use, and the declarations that they may mention.

Knows how to write them down; knows nothing of flows.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple


class Kind(NamedTuple):
    """A type: a built-in or declared one by name, or List, Map or Optional of `items`."""

    name: str
    items: tuple[Kind, ...] = ()

    def __str__(self) -> str:
        if self.name == "Optional":
            return f"{self.items[0]}?"
        if self.items:
            return f"{self.name}[{', '.join(str(item) for item in self.items)}]"
        return self.name


INT = Kind("Int")
BOOL = Kind("Bool")
TEXT = Kind("Text")
DECIMAL = Kind("Decimal")
BYTES = Kind("Bytes")
DURATION = Kind("Duration")
TIMESTAMP = Kind("Timestamp")
PARTY = Kind("Party")
SESSION = Kind("Session")
FLOW_ID = Kind("FlowId")
PAIR = Kind("Pair")
DECISION = Kind("Decision")


def list_of(kind: Kind) -> Kind:
    return Kind("List", (kind,))


def map_of(key: Kind, value: Kind) -> Kind:
    return Kind("Map", (key, value))


def optional(kind: Kind) -> Kind:
    return Kind("Optional", (kind,))


PLAIN = (
    INT,
    TEXT,
    BOOL,
    DECIMAL,
    list_of(INT),
    optional(INT),
    PAIR,
    BYTES,
    DURATION,
    list_of(TEXT),
    map_of(TEXT, INT),
    optional(TEXT),
    map_of(INT, TEXT),
    optional(PAIR),
    list_of(PAIR),
    TIMESTAMP,
    PARTY,
    map_of(TEXT, PAIR),
    list_of(list_of(INT)),
    DECISION,
    optional(DECISION),
)
"""What fields, parameters and variables may be, the simplest first; a program's records besides."""

SHOWN = frozenset(
    {INT, TEXT, BOOL, DECIMAL, BYTES, DURATION, TIMESTAMP, PARTY, optional(INT), optional(TEXT)}
)
"""What an interpolated text may hold."""


TYPES = "program_types"
"""The module in which generated programs look for Python's types."""


class Field(NamedTuple):
    name: str
    kind: Kind
    default: str | None = None


@dataclasses.dataclass(frozen=True)
class Shape:
    """A record, message, error or type of Python; `family` is the one that an error is in."""

    sort: str
    name: str
    fields: tuple[Field, ...]
    family: str | None = None

    @property
    def kind(self) -> Kind:
        return Kind(self.name)

    def text(self) -> str:
        """The declaration as an author writes it."""
        if self.sort == "error":
            fields = ", ".join(
                f"{f.name}: {f.kind}" + ("" if f.default is None else f" = {f.default}")
                for f in self.fields
            )
            shown = "".join(f" {{{f.name}}}" for f in self.fields if f.kind in SHOWN)
            brackets = f"({fields})" if self.fields else ""
            family = "" if self.family is None else f" is {self.family}"
            return f'error {self.name}{brackets}{family}: "{self.name.lower()}{shown}"\n'
        head, tail = f"{self.sort} {self.name}", ""
        if self.sort == "python":
            head, tail = f'type {self.name} = python "{TYPES}:{self.name}"', "    ordered\n"
        lines = [f"{head}:"]
        for field in self.fields:
            default = "" if field.default is None else f" = {field.default}"
            lines.append(f"    {field.name}: {field.kind}{default}")
        return "\n".join(lines) + "\n" + tail


PAIR_SHAPE = Shape("record", "Pair", (Field("left", INT), Field("right", INT)))

CASES: dict[str, tuple[Field, ...]] = {
    "Approved": (Field("by", TEXT), Field("level", INT, "1")),
    "Counted": (Field("n", INT),),
    "Pending": (),
}
"""The cases of the enum that programs use."""

ENUM = """\
enum Decision:
    Approved(by: Text, level: Int = 1)
    Counted(n: Int)
    Pending
"""

PYTHON_ERRORS = (
    Shape("error", "Picky", (Field("given", INT),)),
    Shape("error", "Taken", (Field("number", INT),)),
)
"""What the Python function `picky` and the operation `claim` throw."""

FUNCTIONS = """\
function half(n: Int) -> Int = python "program_functions:half"
function shout(words: Text) -> Text = python "program_functions:shout"
function fits(n: untrusted Int) -> Bool = python "program_functions:fits"
function picky(n: Int) -> Int = python "program_functions:picky"
function swap(pair: Pair) -> Pair = python "program_functions:swap"
function plus(n: Int, by: Int = 3) -> Int = python "program_functions:plus"
function decide(n: Int) -> Decision = python "program_functions:decide"
"""

SERVICE = """\
service Desk:
    read coin(n: Int) -> Bool
    read count() -> Int
    read label_of(n: untrusted Int) -> Text
    write note(line: untrusted Text)
    write take(n: Int) -> Int
    write claim(n: Int) -> Pair
"""
