"""What is decided of a program before its flows are written: declarations, flows' faces, room left.

Holds the state of one generation; writes no statement.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections.abc import Sequence

from tests.programs import language, scripts
from tests.programs.choices import Choices, chance, pick
from tests.programs.kinds import (
    BOOL,
    BYTES,
    DECIMAL,
    DURATION,
    ENUM,
    INT,
    PAIR_SHAPE,
    PARTY,
    PLAIN,
    PYTHON_ERRORS,
    TEXT,
    Field,
    Kind,
    Shape,
    list_of,
    optional,
)

STRANGER = Kind("Stranger")
"""A Party that runs none of the flows; never used where an ordinary party is wanted."""

STEERING = Shape("message", "Go", (Field("more", BOOL), Field("number", INT, "0")))

_FIELD_NAMES = ("n", "text", "flag", "by", "from", "end", "args", "wire", "class")
_DEFAULTS = {INT: "7", TEXT: '"none given"', BOOL: "true", optional(INT): "none"}


@dataclasses.dataclass(eq=False)
class Talk:
    """One session while a flow with it is written: what is still to be said, and who speaks next.

    `after` is who speaks after `remaining`. `quota` is how many more items the current block may
    play (None: as many as it likes). A `dropped` session is never used again. `depth` counts the
    repetitions and choices that are being played.
    """

    name: str
    role: int
    remaining: tuple[scripts.Item, ...]
    after: int | None
    calm: bool
    borrowed: bool = False
    quota: int | None = None
    dropped: bool = False
    depth: int = 0

    def turn(self) -> int | None:
        """Who speaks next; joined messages are on their way already."""
        for item in self.remaining:
            if not (isinstance(item, scripts.Say) and item.joined):
                return scripts.speaker(item)
        return self.after

    def held(self) -> bool:
        """Whether our side may fail or leave now without meeting a peer that is about to send."""
        return self.dropped or self.turn() in (None, self.role)

    def rest_turn(self, count: int) -> int | None:
        """Who speaks after the next `count` items."""
        return dataclasses.replace(self, remaining=self.remaining[count:]).turn()


@dataclasses.dataclass(eq=False)
class Plan:
    """One flow to be written. `may_throw` allows errors to leave it; `counter` is the parameter
    with which it may call itself; `serves` is the loop that it plays by calling itself; `headers`
    are further lines of its head. What is `untrusted` is the result; one that is
    `owned` has a session with who started it."""

    name: str
    index: int
    may_throw: bool
    parameters: list[tuple[str, Kind]] = dataclasses.field(default_factory=list)
    result: Kind | None = None
    talk: Talk | None = None
    responds_to: str | None = None
    counter: str | None = None
    serves: scripts.Repeat | None = None
    defaults: dict[str, str] = dataclasses.field(default_factory=dict)
    crowd: int = 0
    size: int = 3
    untrusted: bool = False
    owned: bool = False
    headers: list[str] = dataclasses.field(default_factory=list)
    text: str = ""


@dataclasses.dataclass(eq=False)
class Responder:
    plan: Plan
    script: scripts.Script


class Book:
    """One program in the making. `declared` are declarations by name besides its records, messages
    and errors, each able to mention those before it; `plain` is what fields may be."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.limits = 0
        self.room = 3 + choices.below(11)
        self.plans: list[Plan] = []
        self.waiting: list[Plan] = []
        self.responders: dict[str, list[Responder]] = {}
        self.shapes: dict[str, Shape] = {}
        self.declared: dict[str, str] = {"Decision": ENUM}
        self.plain: list[Kind] = [*PLAIN]
        for entry in language.declarations():
            entry.prepare(self)
        thrown = [shape for called in language.called().values() for shape in called.throws]
        for shape in (PAIR_SHAPE, *PYTHON_ERRORS, *thrown, STEERING):
            self.shapes[shape.name] = shape
        self._add("record", "Item", 3, self.plain)
        kinds = (*self.plain, Kind("Item"))
        self._add("message", "Ask", 3, kinds)
        self._add("message", "Reply", 3, (*kinds, Kind("Ask")))
        self.messages = ["Ask", "Reply"]
        self.shapes["Mischief"] = Shape("error", "Mischief", ())
        self.shapes["Trouble"] = Shape("error", "Trouble", (), self._family("Mischief"))
        self._add("error", "Oops", 2, (INT, *self.plain), self._family("Trouble"))
        self._add("error", "Refused", 2, kinds, self._family("Trouble", "Mischief"))
        self.errors = ["Oops", "Refused"]
        self.kinds: tuple[Kind, ...] = (*kinds, Kind("Ask"))

    def _family(self, *names: str) -> str | None:
        return pick(self.choices, (None, *names, *names))

    def in_family(self, error: str, family: str) -> bool:
        """Whether a `catch` of the second takes the first."""
        if family in (error, "FlowError"):
            return True
        above = self.shapes[error].family if error in self.shapes else None
        return above is not None and self.in_family(above, family)

    def _add(
        self,
        sort: str,
        name: str,
        most: int,
        kinds: Sequence[Kind],
        family: str | None = None,
    ) -> None:
        fields: list[Field] = []
        # The text of an error mentions its fields as variables, whose names cannot be keywords.
        pool = _FIELD_NAMES[:3] if sort == "error" else _FIELD_NAMES
        for _ in range(1 + self.choices.below(most)):
            kind = pick(self.choices, kinds)
            default = _DEFAULTS.get(kind)
            if default is not None and not chance(self.choices, 30):
                default = None
            if default is None:
                fields = [field._replace(default=None) for field in fields]
            start = self.choices.below(len(pool))
            taken = {field.name for field in fields}
            names = [n for n in pool[start:] + pool if n not in taken]
            fields.append(Field(names[0], kind, default))
        self.shapes[name] = Shape(sort, name, tuple(fields), family)

    def plan(self, stem: str, *, may_throw: bool, size: int) -> Plan:
        """A new flow, to be written after the ones that are already waiting."""
        index = len(self.plans)
        name = stem if not index else f"{stem}{index}"
        made = Plan(name, index, may_throw, size=size)
        self.plans.append(made)
        self.waiting.append(made)
        return made

    def responder(self, initiator: str, *, calm: bool) -> Responder:
        """A new responder to this flow, and what the two say to each other."""
        script = scripts.script(self.choices, self.messages, STEERING.name, calm=calm)
        plan = self.plan("Answer", may_throw=not calm, size=1 + self.choices.below(6))
        plan.responds_to = initiator
        plan.talk = Talk("", scripts.RESPONDER, script.items, None, calm)
        if self.choices.below(3):
            plan.result = pick(self.choices, self.kinds)
        made = Responder(plan, script)
        self.responders.setdefault(initiator, []).append(made)
        return made

    def subflow(self, *, may_throw: bool, stem: str = "Part") -> Plan:
        """A new flow to be called, or started."""
        plan = self.plan(stem, may_throw=may_throw, size=1 + self.choices.below(7))
        for _ in range(self.choices.below(3)):
            kind = pick(self.choices, self.kinds)
            plan.parameters.append((f"p{len(plan.parameters) + 1}", kind))
        if chance(self.choices, 70):
            plan.parameters.append(("party", PARTY))
        if chance(self.choices, 30):
            plan.defaults["extra"] = "4"
            plan.parameters.append(("extra", INT))
        if self.choices.below(3):
            plan.result = pick(self.choices, self.kinds)
        return plan


Argument = int | str | bool | bytes | decimal.Decimal | datetime.timedelta | tuple[int, ...] | None

ARGUMENTS: dict[Kind, tuple[Argument, ...]] = {
    INT: (0, 1, 3, -5, 12, 100),
    TEXT: ("", "a", "né", 'q"{x}'),
    BOOL: (False, True),
    DECIMAL: (decimal.Decimal("0"), decimal.Decimal("12.5"), decimal.Decimal("-0.125")),
    list_of(INT): ((), (1,), (3, 1, 2)),
    optional(INT): (None, 4, 0),
    BYTES: (b"", b"\x00\xff"),
    DURATION: (datetime.timedelta(0), datetime.timedelta(seconds=90)),
}
"""What the main flow may be started with."""
