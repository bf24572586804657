"""Values of declared types from JSON data, the way `plain` writes them; each type's schema.

What the schema allows is read, and nothing else is. Knows no route and no flow.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from flowrt.core import opaque
from flowrt.core.arithmetic import DECIMAL_DIGITS, INT_MAX, INT_MIN
from flowrt.core.flow import FlowError, Party, Pending, Session

DEEPEST = 40
"""How deep values of recursive types may hang."""

_DECIMAL = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,37})?")
_LONGEST_DECIMAL = DECIMAL_DIGITS + 1
"""With a point, or a minus: what is shorter has no more digits than a Decimal may have."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_HEX = re.compile(r"([0-9a-f]{2})*")
_H, _M, _S = "[0-9]{1,8}H", "[0-9]{1,9}M", r"[0-9]{1,11}(\.[0-9]{1,6})?S"
_TIME = f"T({_H}({_M})?({_S})?|{_M}({_S})?|{_S})"
_DURATION = re.compile(f"-?P([0-9]{{1,6}}D({_TIME})?|{_TIME})")
_MOMENT = re.compile(
    r"(000[2-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])"
    r"-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)

MOST_PARTY = 256
"""The longest name of a party (`flowrt.ledger.identity.names`)."""


class NotFitting(Exception):
    """JSON data that is no value of the wanted type; says where and what is wanted there."""


def read(kind: Any, data: Any, where: str) -> Any:
    """The value of a declared type that `data` writes. `where` is what it is called in complaints.
    Raises NotFitting."""
    return _read(kind, data, where, 0)


def read_fields(
    kind: Any, data: Any, where: str, *, leaving: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields of a record or message by name. Raises NotFitting."""
    return _fields(kind, data, where, 0, leaving)


def _read(kind: Any, data: Any, where: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise NotFitting(f"{where} is nested too deep")
    kind, optional = bare(kind)
    if data is None:
        if optional or kind in (None, types.NoneType, Any, object):
            return None
        raise NotFitting(f"{where} is missing: {wanted(kind)}")
    if kind in TEXTS:
        if type(data) is not str:
            raise NotFitting(f"{where} is not {wanted(kind)}")
        return _text(kind, data, where)
    if kind is bool or kind is int:
        # 5.0 is the same number as 5 in JSON.
        if type(data) is float and kind is int and data.is_integer():
            data = int(data)
        if type(data) is not kind or (kind is int and not INT_MIN <= data <= INT_MAX):
            raise NotFitting(f"{where} is not {wanted(kind)}")
        return data
    if kind in (Any, object, None, types.NoneType):
        raise NotFitting(f"{where} is nothing that can be given")
    origin = typing.get_origin(kind)
    if origin is tuple or origin is list:
        if type(data) is not list:
            raise NotFitting(f"{where} is not a list")
        item = typing.get_args(kind)[0]
        return tuple(_read(item, one, f"{where}[{n}]", depth + 1) for n, one in enumerate(data))
    if _is_map(origin):
        if type(data) is not dict:
            raise NotFitting(f"{where} is not an object")
        of, to = typing.get_args(kind)
        return {
            _key(of, name, where): _read(to, one, f"{where}[{_short(name)}]", depth + 1)
            for name, one in data.items()
        }
    if origin in (typing.Union, types.UnionType):
        return _case(typing.get_args(kind), data, where, depth)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if is_case(kind):
            return _case((kind,), data, where, depth)
        return _made(kind, _fields(kind, data, where, depth, ()), where)
    return _opaque(kind, data, where)


TEXTS = frozenset({str, Party, bytes, decimal.Decimal, datetime.datetime, datetime.timedelta})


def _text(kind: Any, data: str, where: str) -> Any:
    try:
        if kind is str:
            data.encode()
            return data
        if kind is Party:
            data.encode()
            fits = 0 < len(data) <= MOST_PARTY
            return Party(data) if fits else _refuse(kind, where)
        if kind is bytes:
            return bytes.fromhex(data) if _HEX.fullmatch(data) else _refuse(kind, where)
        if kind is decimal.Decimal:
            fits = len(data) <= _LONGEST_DECIMAL and _DECIMAL.fullmatch(data) is not None
            return decimal.Decimal(data) if fits else _refuse(kind, where)
        shape = _MOMENT if kind is datetime.datetime else _DURATION
        return msgspec.convert(data, kind) if shape.fullmatch(data) else _refuse(kind, where)
    except (ValueError, OverflowError, decimal.InvalidOperation):
        return _refuse(kind, where)


def _refuse(kind: Any, where: str) -> typing.NoReturn:
    raise NotFitting(f"{where} is not {wanted(kind)}")


def _key(kind: Any, name: str, where: str) -> Any:
    kind, _ = bare(kind)
    if kind is int:
        if not _WHOLE.fullmatch(name):
            raise NotFitting(f"{where}: each name is a whole number")
        return int(name)
    return _text(kind, name, f"a name of {where}") if kind in TEXTS else name


def _fields(
    kind: Any, data: Any, where: str, depth: int, leaving: tuple[str, ...]
) -> dict[str, Any]:
    if type(data) is not dict:
        raise NotFitting(f"{where} is not an object")
    declared = {one.name: one for one in fields_of(kind) if one.name not in leaving}
    for name in data:
        if name not in declared:
            known = ", ".join(declared) or "nothing"
            raise NotFitting(f"{where} has {known}; `{_short(name)}` is none of them")
    found: dict[str, Any] = {}
    for name, field in declared.items():
        if name in data:
            found[name] = _read(field.type, data[name], f"{where}.{name}", depth + 1)
        elif field.required:
            raise NotFitting(f"{where}.{name} is missing: {wanted(field.type)}")
    return found


def _case(kinds: tuple[Any, ...], data: Any, where: str, depth: int) -> Any:
    cases = {one.__struct_config__.tag: one for one in kinds if is_case(one)}
    name = data if type(data) is str else next(iter(data), "") if type(data) is dict else ""
    found = cases.get(name)
    fields: Any = {}
    if found is not None and type(data) is dict:
        fields = data[name] if len(data) == 1 else None
    if found is None or fields is None or bool(found.__struct_fields__) != (type(data) is dict):
        raise NotFitting(f"{where} is none of {', '.join(map(str, cases))}, with its fields")
    return _made(found, _fields(found, fields, f"{where}.{name}", depth, ()), where)


def _made(kind: Any, fields: dict[str, Any], where: str) -> Any:
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        raise NotFitting(f"{where}: {error}") from None


def _opaque(kind: Any, data: Any, where: str) -> Any:
    if type(data) is not str or not _HEX.fullmatch(data) or not isinstance(kind, type):
        raise NotFitting(f"{where} is not {wanted(kind)}")
    try:
        return opaque.from_plain(kind, bytes.fromhex(data))
    except (TypeError, ValueError) as error:
        raise NotFitting(f"{where}: {error}") from None


def _short(name: str) -> str:
    return ascii(name[:60])[1:-1]


# --- what a type is ---------------------------------------------------------------------------


def bare(kind: Any) -> tuple[Any, bool]:
    """`T` of `T | None`, of an annotated type or a new type; and whether it may be None."""
    optional = False
    while True:
        if typing.get_origin(kind) is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif typing.get_origin(kind) in (typing.Union, types.UnionType):
            parts = [one for one in typing.get_args(kind) if one is not types.NoneType]
            optional = optional or len(parts) < len(typing.get_args(kind))
            if len(parts) > 1:
                return typing.Union[tuple(parts)], optional  # noqa: UP007  # a runtime value
            kind = parts[0]
        elif isinstance(kind, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
            kind = kind.__value__
        else:
            return kind, optional


def is_case(kind: Any) -> bool:
    """Whether it is one case of an enum."""
    return (
        isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and isinstance(kind.__struct_config__.tag, str)
    )


def _is_map(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


@functools.cache
def fields_of(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a record with their types; looking at a class's types takes long."""
    return msgspec.structs.fields(kind)


def wanted(kind: Any) -> str:
    """What is wanted, in words."""
    kind, _ = bare(kind)
    if kind in _WORDS:
        return _WORDS[kind]
    origin = typing.get_origin(kind)
    if origin is tuple:
        return "a list"
    if _is_map(origin) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return "an object"
    return "a value of its type"


_WORDS: Mapping[Any, str] = {
    str: "a text",
    Party: f"a party's name, 1 to {MOST_PARTY} characters",
    bytes: "bytes as lower-case hex digits",
    decimal.Decimal: 'a decimal as text, such as "12.50"',
    datetime.datetime: 'a time as text, such as "2026-01-31T12:00:00Z"',
    datetime.timedelta: 'a duration as text, such as "P2DT3H" or "PT90S"',
    bool: "true or false",
    int: "a whole number of 64 bits",
}


# --- schemas ----------------------------------------------------------------------------------


class Schemas:
    """JSON Schemas (2020-12) of declared types; records and enums are told once, by name."""

    def __init__(self, prefix: str = "#/$defs/") -> None:
        self.parts: dict[str, Any] = {}
        self._prefix = prefix
        self._names: dict[Any, str] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type."""
        kind, optional = bare(kind)
        found = self._of(kind)
        if optional and found:
            return {"anyOf": [found, {"type": "null"}]}
        return found

    def _of(self, kind: Any) -> dict[str, Any]:
        simple = _SIMPLE.get(kind) if _is_hashable(kind) else None
        if simple is not None:
            return dict(simple)
        if kind in (None, types.NoneType):
            return {"type": "null"}
        origin = typing.get_origin(kind)
        if origin is tuple or origin is list:
            return {"type": "array", "items": self.of(typing.get_args(kind)[0])}
        if _is_map(origin):
            of, to = typing.get_args(kind)
            names = {"pattern": f"^{_WHOLE.pattern}$"} if bare(of)[0] is int else None
            found = {"type": "object", "additionalProperties": self.of(to)}
            return found | ({"propertyNames": names} if names else {})
        if origin in (typing.Union, types.UnionType):
            return self._enum(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._enum(kind) if is_case(kind) else self.record(kind)
        if isinstance(kind, type) and issubclass(kind, FlowError):
            return {"type": "object"}
        if isinstance(kind, type) and hasattr(kind, "from_flow"):
            return dict(_SIMPLE[bytes]) | {"description": f"{kind.__name__}, as its bytes in hex"}
        return {}

    def record(self, kind: Any, *, leaving: tuple[str, ...] = ()) -> dict[str, Any]:
        """The schema of a record, without some of its fields."""
        if leaving:
            return self._object(kind, leaving)
        if kind not in self._names:
            self._names[kind] = self._free(kind.__qualname__, kind)
            self.parts[self._names[kind]] = {}
            self.parts[self._names[kind]] = self._object(kind, ())
        return {"$ref": f"{self._prefix}{self._names[kind]}"}

    def _free(self, wish: str, kind: Any) -> str:
        module = str(getattr(kind, "__module__", "")).removesuffix("_flow").rpartition(".")[2]
        for name in (wish, f"{module}.{wish}", *(f"{wish}-{n}" for n in range(2, 10_000))):
            if name not in self.parts:
                return name
        raise AssertionError("too many types of one name")

    def _object(self, kind: Any, leaving: tuple[str, ...]) -> dict[str, Any]:
        fields = [one for one in fields_of(kind) if one.name not in leaving]
        found: dict[str, Any] = {
            "type": "object",
            "properties": {one.name: self.of(one.type) for one in fields},
            "required": [one.name for one in fields if one.required],
            "additionalProperties": False,
        }
        about = (kind.__doc__ or "").strip()
        if about and not leaving and not is_case(kind):
            found["description"] = about
        return found

    def _enum(self, kind: Any) -> dict[str, Any]:
        if kind not in self._names:
            cases = typing.get_args(kind) or (kind,)
            home = cases[0]
            tag = home.__struct_config__.tag
            wish = (
                home.__qualname__.removesuffix(f"_{tag}") if len(cases) > 1 else home.__qualname__
            )
            self._names[kind] = self._free(wish, home)
            self.parts[self._names[kind]] = {}
            self.parts[self._names[kind]] = {"oneOf": [self._case(one) for one in cases]}
        return {"$ref": f"{self._prefix}{self._names[kind]}"}

    def _case(self, kind: Any) -> dict[str, Any]:
        tag = kind.__struct_config__.tag
        if not kind.__struct_fields__:
            return {"const": tag}
        return {
            "type": "object",
            "properties": {tag: self._object(kind, ())},
            "required": [tag],
            "additionalProperties": False,
        }


def _is_hashable(kind: Any) -> bool:
    try:
        hash(kind)
    except TypeError:
        return False
    return True


_SIMPLE: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": INT_MIN, "maximum": INT_MAX},
    Party: {"type": "string", "minLength": 1, "maxLength": MOST_PARTY, "description": "a party"},
    bytes: {"type": "string", "pattern": f"^{_HEX.pattern}$", "description": "bytes in hex"},
    decimal.Decimal: {
        "type": "string",
        "pattern": f"^{_DECIMAL.pattern}$",
        "maxLength": _LONGEST_DECIMAL,
        "description": "a decimal",
    },
    datetime.datetime: {
        "type": "string",
        "format": "date-time",
        "pattern": f"^{_MOMENT.pattern}$",
    },
    datetime.timedelta: {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
    Session: {"type": "string", "description": "the peer of a session"},
    Pending: {"type": "integer"},
}
