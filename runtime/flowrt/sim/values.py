"""Values of the language drawn from a tape: for every declared type, 0 being the smallest.

Knows types and tapes, no world.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import functools
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from flowrt.core import flow as rt
from flowrt.sim.tape import Tape

INTS = (0, 1, 2, 3, 5, 7, 10, 25, 100, 1_000, 50_000, 1_000_000, -1, -2, -100, 2**31, 2**63 - 1)
TEXTS = ("", "a", "b", "tea", "x1", "order-1", "order-2", "two words", "ä€", "EUR", "a" * 40)
DECIMALS = ("0", "1", "2", "0.5", "9.99", "12.5", "100", "1000", "-1", "0.001", "1E9", "-0.01")
BYTES = (b"", b"\0", b"key", b"\xca\xfe", bytes(32), b"\xff" * 40)
MINUTES = (0, 1, 5, 60, 90, 1_440, 2_880, 10_080, 43_200, 525_600)
"""Of durations; 0 is the smallest and -1 comes last."""

SECONDS = (0, 1, 60, 3_600, 86_400, 2_592_000, -3_600)
"""Of times, counted from when the world began."""

SIZES = (0, 1, 2, 3, 1, 2)
"""Of lists and maps."""

DEEP = 6
"""In values nested so deep everything is the smallest, so that each value ends."""


class Unknown(Exception):
    """The type is not one that values can be made up for; says which, and what to do."""


@functools.cache
def fields_of(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a class. (Kept, because looking at a class's types takes long.)"""
    return msgspec.structs.fields(kind)


@dataclasses.dataclass
class Draw:
    """Draws the parts of one value: `label` names it on the tape.

    `parties` are who is meant where a Party is wanted, the first of them first. `turn` moves what
    is drawn on by so many places, so that who asks again and again hears something else in the end.
    """

    tape: Tape
    label: str
    parties: Sequence[rt.Party]
    start_us: int = 0
    rate: float = 0.7
    turn: int = 0

    def some(self, n: int) -> int:
        """A choice of range(n)."""
        return (self.tape.draw(self.label, n, self.rate) + self.turn) % n

    def value(self, kind: Any, depth: int = 0) -> Any:
        """A value of a declared type: a generated class, or what fields are annotated with.

        Raises:
            Unknown: a Python type whose class gives no examples.
        """
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            return self._basic(inner[0])
        if origin in (types.UnionType, typing.Union):
            return self._one_of(inner, depth)
        if origin is tuple:
            return tuple([self.value(inner[0], depth + 1) for _ in range(self._size(depth))])
        if origin in (collections.abc.Mapping, dict):
            size = range(self._size(depth))
            pairs = [(self.value(inner[0], DEEP), self.value(inner[1], depth + 1)) for _ in size]
            return dict(pairs)
        if isinstance(kind, type) and issubclass(kind, rt.Value) and kind is not rt.Party:
            return self._made(kind, depth)
        if isinstance(kind, type) and issubclass(kind, rt.FlowError):
            return self.error(kind, depth)
        return self._basic(kind)

    def arguments(self, fields: Sequence[msgspec.structs.FieldInfo]) -> dict[str, Any]:
        """What a flow is started with, by name; a default is the smallest."""
        found = {}
        for field in fields:
            is_left = not field.required and not self.tape.draw(self.label, 2, self.rate / 2)
            if not is_left:
                found[field.name] = self.value(field.type)
        return found

    def error(self, kind: type[rt.FlowError], depth: int = 0) -> rt.FlowError:
        """A declared error with its fields."""
        if issubclass(kind, rt.BuiltinError) or kind is rt.FlowError:
            return rt.Timeout() if kind is rt.FlowError else kind()
        fields = fields_of(kind.Fields)
        return kind(*[self.value(field.type, depth + 1) for field in fields])

    def _made(self, kind: type[rt.Value], depth: int) -> Any:
        fields = fields_of(kind)
        return kind(*[self.value(field.type, depth + 1) for field in fields])

    def _one_of(self, cases: Sequence[Any], depth: int) -> Any:
        """None first, then the cases of an enum as they are declared; deep down, the smallest."""
        ordered = sorted(cases, key=lambda one: one is not types.NoneType)
        if depth >= DEEP:
            plain = [one for one in ordered if not getattr(one, "__struct_fields__", ())]
            return self.value((plain or ordered)[0], depth + 1)
        return self.value(ordered[self.some(len(ordered))], depth + 1)

    def _size(self, depth: int) -> int:
        return SIZES[self.some(len(SIZES))] if depth < DEEP else 0

    def _basic(self, kind: Any) -> Any:
        if kind in (None, types.NoneType):
            return None
        if kind is bool:
            return bool(self.some(2))
        if kind is int:
            return INTS[self.some(len(INTS))]
        if kind is str:
            return TEXTS[self.some(len(TEXTS))]
        if kind is bytes:
            return BYTES[self.some(len(BYTES))]
        if kind is decimal.Decimal:
            return rt.normal(decimal.Decimal(DECIMALS[self.some(len(DECIMALS))]))
        if kind is datetime.timedelta:
            return datetime.timedelta(minutes=MINUTES[self.some(len(MINUTES))])
        if kind is datetime.datetime:
            seconds = SECONDS[self.some(len(SECONDS))]
            return _EPOCH + datetime.timedelta(microseconds=self.start_us, seconds=seconds)
        if kind is rt.Party:
            return self.parties[self.some(len(self.parties))]
        return self._opaque(kind)

    def _opaque(self, kind: Any) -> Any:
        examples = getattr(kind, "flow_examples", None)
        if examples is None:
            name = getattr(kind, "__name__", repr(kind))
            raise Unknown(
                f"values of {name} cannot be made up; give the class a static method "
                "`flow_examples()` that returns some, or give the real services"
            )
        found = list(examples())
        return found[self.some(len(found))]


_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
