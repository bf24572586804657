"""A test as plain data: what is set up, done and expected. Knows no syntax tree and runs nothing.

Values are trees too: those of generated classes are made when a test runs, by name.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from typing import Literal, TypeAlias

# --- values -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Written:
    """A literal, as its Python value."""

    value: int | decimal.Decimal | bool | str | bytes | datetime.timedelta | None


@dataclasses.dataclass(frozen=True)
class PartyNamed:
    name: str


@dataclasses.dataclass(frozen=True)
class Anything:
    """`_`: any value fits."""


@dataclasses.dataclass(frozen=True)
class ListOf:
    items: tuple[Value, ...]


@dataclasses.dataclass(frozen=True)
class MapOf:
    entries: tuple[tuple[Value, Value], ...]


@dataclasses.dataclass(frozen=True)
class Made:
    """A value of a generated class: a record, a message, an enum's case, an error. `fields` is None
    where any fields fit."""

    module: str
    name: str
    fields: tuple[tuple[str, Value], ...] | None


@dataclasses.dataclass(frozen=True)
class Time:
    """`timestamp("…")`, as written."""

    text: str


@dataclasses.dataclass(frozen=True)
class Computed:
    """What an author's function gives: `module:function`."""

    target: str
    arguments: tuple[Value, ...]


Value: TypeAlias = Written | PartyNamed | Anything | ListOf | MapOf | Made | Time | Computed

# --- lines ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a line stands, and what it says."""

    line: int
    column: int
    text: str


@dataclasses.dataclass(frozen=True)
class Operation:
    """`service` is qualified; `arguments` is None where any fit."""

    service: str
    name: str
    arguments: tuple[Value, ...] | None


@dataclasses.dataclass(frozen=True)
class Mock:
    """`answers` in order, each a value or an error that is thrown (True)."""

    party: str
    operation: Operation
    answers: tuple[tuple[bool, Value], ...]


@dataclasses.dataclass(frozen=True)
class FlowNamed:
    """A flow's class: `Seller_v1` of `shop.trade`."""

    module: str
    name: str

    @property
    def shown(self) -> str:
        """As its author calls it."""
        return self.name.rpartition("_v")[0]


@dataclasses.dataclass(frozen=True)
class Start:
    place: Place
    name: str | None
    flow: FlowNamed
    party: str
    arguments: tuple[tuple[str, Value], ...]


@dataclasses.dataclass(frozen=True)
class Answer:
    place: Place
    role: str
    party: str
    value: Value
    by: str


@dataclasses.dataclass(frozen=True)
class Command:
    place: Place
    started: str
    message: Value


@dataclasses.dataclass(frozen=True)
class After:
    place: Place
    time: Value


@dataclasses.dataclass(frozen=True)
class Restart:
    place: Place
    party: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`value` is None where whatever was returned fits."""

    kind: Literal["returns", "throws", "waits"]
    value: Value | None


@dataclasses.dataclass(frozen=True)
class ExpectOutcome:
    place: Place
    started: str
    outcome: Outcome


@dataclasses.dataclass(frozen=True)
class ExpectFlow:
    place: Place
    flow: FlowNamed
    party: str
    outcome: Outcome


@dataclasses.dataclass(frozen=True)
class ExpectMail:
    place: Place
    started: str
    message: Value


@dataclasses.dataclass(frozen=True)
class ExpectCalls:
    place: Place
    count: int
    operation: Operation
    party: str


@dataclasses.dataclass(frozen=True)
class Sent:
    place: Place
    sender: str
    receiver: str
    message: Value


@dataclasses.dataclass(frozen=True)
class ExpectMessages:
    place: Place
    messages: tuple[Sent, ...]


Step: TypeAlias = (
    Start
    | Answer
    | Command
    | After
    | Restart
    | ExpectOutcome
    | ExpectFlow
    | ExpectMail
    | ExpectCalls
    | ExpectMessages
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """One test. `file` is shown to people, `module` is what it tests."""

    file: str
    module: str
    name: str
    place: Place
    parties: tuple[str, ...]
    mocks: tuple[Mock, ...]
    steps: tuple[Step, ...]
