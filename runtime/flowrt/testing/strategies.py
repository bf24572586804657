"""Strategies for values of the language: for every declared type, smallest first. Knows no node.

Whatever is drawn is encoded and decoded without a change, and a running flow accepts it.
"""

from __future__ import annotations

import collections.abc
import contextvars
import datetime
import decimal
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from flowrt.core import flow as rt
from flowrt.core import opaque

PARTIES = tuple(map(rt.Party, ("alice", "bob", "carol", "dave")))
"""Who is meant where a Party is wanted and nobody says which there are."""

_INT = st.integers(rt.INT_MIN, rt.INT_MAX)
_MOST = 10**rt.DECIMAL_DIGITS - 1

_TEXT = st.text(st.characters(codec="utf-8"))

# As far as a duration can be written out. With more, a sum with a time leaves the calendar, and a
# flow cannot be blamed for that.
_LONGEST = datetime.timedelta(days=36525)
_DURATION = st.one_of(
    st.integers(0, 90).map(lambda days: datetime.timedelta(days=days)),
    st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=3)),
    st.timedeltas(-_LONGEST, _LONGEST),
)
_TIMESTAMP = st.datetimes(
    datetime.datetime(1970, 1, 1), datetime.datetime(2199, 12, 31), timezones=st.just(datetime.UTC)
)

EXTREMES: Mapping[Any, SearchStrategy[Any]] = {
    rt.Int: st.sampled_from([0, -1, rt.INT_MAX, rt.INT_MIN]) | _INT,
    rt.Timestamp: st.sampled_from(
        [one.replace(tzinfo=datetime.UTC) for one in (datetime.datetime.max, datetime.datetime.min)]
    )
    | st.datetimes(timezones=st.just(datetime.UTC)),
    datetime.timedelta: st.sampled_from(
        [datetime.timedelta(0), datetime.timedelta.max, datetime.timedelta.min]
    )
    | st.timedeltas(),
}
"""For `given`: numbers and times at their bounds, which any sum takes beyond them."""

_under_way: contextvars.ContextVar[tuple[Any, ...]] = contextvars.ContextVar(
    "_under_way", default=()
)
"""The types whose strategy is being made: one of them within itself is left for later."""


def values_of(
    kind: Any,
    *,
    parties: Sequence[rt.Party] = PARTIES,
    given: Mapping[Any, SearchStrategy[Any]] | None = None,
) -> SearchStrategy[Any]:
    """Values of a declared type: a generated class, an enum, or what fields are annotated with.

    Args:
        kind: such as `trade_flow.Order`, `trade_flow.Decision`, `tuple[int, ...]`, `str | None`.
        parties: who is drawn where a Party is wanted.
        given: strategies for some types, wherever these occur; what is said to hypothesis with
            `register_type_strategy` for a Python type counts as well.

    Raises:
        InvalidArgument: the type is not one of the language, or a Python type of which hypothesis
            cannot make values.
    """
    return _of(kind, tuple(parties), given or {})


def arguments_of(
    flow: type[rt.Flow[Any]],
    named: Mapping[str, SearchStrategy[Any]] | None = None,
    *,
    parties: Sequence[rt.Party] = PARTIES,
    given: Mapping[Any, SearchStrategy[Any]] | None = None,
) -> SearchStrategy[dict[str, Any]]:
    """The arguments with which a flow can be started, by name.

    Those in `named` are drawn from there, all others by their types.
    """
    fields = {field.name: field for field in starting_fields(flow)}
    named = named or {}
    unknown = named.keys() - fields.keys()
    if unknown:
        raise InvalidArgument(
            f"{flow.__name__} has no parameter {', '.join(sorted(unknown))}; "
            f"it has: {', '.join(fields) or 'none'}"
        )
    return st.fixed_dictionaries(
        {
            name: named[name] if name in named else _of(field.type, tuple(parties), given or {})
            for name, field in fields.items()
        }
    )


def starting_fields(flow: type[rt.Flow[Any]]) -> list[msgspec.structs.FieldInfo]:
    """The parameters of a flow, but for sessions: those its node opens."""
    fields = msgspec.structs.fields(flow.Start)
    return [field for field in fields if field.type is not rt.Session]


# --- by type ------------------------------------------------------------------------------------


def _of(
    kind: Any, parties: tuple[rt.Party, ...], given: Mapping[Any, SearchStrategy[Any]]
) -> SearchStrategy[Any]:
    if kind in given:
        return given[kind]
    basic = _basic(kind, parties)
    if basic is not None:
        return basic
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _of(inner[0], parties, given)
    if origin in (types.UnionType, typing.Union):
        # None is the smallest, and the cases of an enum come as they are declared.
        ordered = sorted(inner, key=lambda one: one is not types.NoneType)
        return st.one_of([_of(one, parties, given) for one in ordered])
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return st.lists(_of(inner[0], parties, given), max_size=6).map(tuple)
    if origin is collections.abc.Mapping or origin is dict:
        keys, values = (_of(one, parties, given) for one in inner)
        return st.dictionaries(keys, values, max_size=5)
    if origin is rt.Answer:
        return _answers(_of(inner[0], parties, given))
    if isinstance(kind, type):
        return _class(kind, parties, given)
    raise InvalidArgument(f"{kind!r} is no type of the flow language")


def _basic(kind: Any, parties: tuple[rt.Party, ...]) -> SearchStrategy[Any] | None:
    """What is built into the language."""
    match kind:
        case None | types.NoneType:
            return st.none()
        case rt.Timestamp | datetime.datetime:
            return _TIMESTAMP
        case rt.Int:
            return _INT
        case rt.Party:
            return st.sampled_from(parties)
    if not isinstance(kind, type):
        return None
    simple: dict[type, SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: _INT,
        str: _TEXT,
        bytes: st.binary(max_size=40),
        decimal.Decimal: decimals(),
        datetime.timedelta: _DURATION,
    }
    return simple.get(kind)


def decimals(most: int = _MOST, places: int = rt.DECIMAL_DIGITS) -> SearchStrategy[decimal.Decimal]:
    """Decimals as the language writes them, most of them short: at most `most` of the last of
    `places` decimal places."""
    short = st.builds(_decimal, st.integers(-(10**6), 10**6), st.integers(0, 2))
    if most < 10**6 or places < 2:
        return st.builds(_decimal, st.integers(-most, most), st.integers(0, places))
    return short | st.builds(_decimal, st.integers(-most, most), st.integers(0, places))


def _decimal(digits: int, places: int) -> decimal.Decimal:
    sign = 1 if digits < 0 else 0
    return rt.normal(decimal.Decimal((sign, tuple(map(int, str(abs(digits)))), -places)))


def _answers(values: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.builds(
        rt.Answer,
        values,
        st.sampled_from(["ann", "ben"]),
        _TIMESTAMP,
    )


def _class(
    kind: type, parties: tuple[rt.Party, ...], given: Mapping[Any, SearchStrategy[Any]]
) -> SearchStrategy[Any]:
    if kind in _under_way.get():
        return st.deferred(lambda: _of(kind, parties, given))
    token = _under_way.set((*_under_way.get(), kind))
    try:
        if issubclass(kind, rt.Value) and kind not in (rt.Value, rt.Message):
            return st.builds(kind, **_fields(kind, parties, given))
        if issubclass(kind, rt.FlowError):
            return _error(kind, parties, given)
    finally:
        _under_way.reset(token)
    if hasattr(kind, "to_flow"):
        return _opaque(kind)
    raise InvalidArgument(f"{kind.__name__} is no type of the flow language")


def _fields(
    kind: type[msgspec.Struct],
    parties: tuple[rt.Party, ...],
    given: Mapping[Any, SearchStrategy[Any]],
) -> dict[str, SearchStrategy[Any]]:
    return {field.name: _of(field.type, parties, given) for field in msgspec.structs.fields(kind)}


def _error(
    kind: type[rt.FlowError],
    parties: tuple[rt.Party, ...],
    given: Mapping[Any, SearchStrategy[Any]],
) -> SearchStrategy[rt.FlowError]:
    if kind is rt.FlowError:
        return st.sampled_from([rt.SessionEnded, rt.Timeout]).map(lambda error: error())
    if issubclass(kind, rt.BuiltinError):
        return st.builds(kind)
    return st.builds(kind, **_fields(kind.Fields, parties, given))


def _opaque(kind: type) -> SearchStrategy[Any]:
    """Values of an author's class: its own examples, or what hypothesis knows or guesses."""
    examples = getattr(kind, "flow_examples", None)
    if examples is not None:
        return st.sampled_from(list(examples()))
    return st.from_type(kind).filter(_is_kept)


def _is_kept(value: object) -> bool:
    """Whether it comes back as it was, which the class promises for all that it makes."""
    try:
        return bool(opaque.from_plain(type(value), opaque.to_plain(value)) == value)
    except (TypeError, ValueError):
        return False
