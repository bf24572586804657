"""Values of a test: made from its plan, compared with what came, shown. Knows no test."""

from __future__ import annotations

import datetime
import decimal
import importlib
import json
from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from flowlang.testing import plan
from flowrt.core import flow as core
from flowrt.core.flow import FlowError, Party, normal, written

MOST = 60
"""Characters of a value that are shown in a diagram."""


class Unmade(Exception):
    """A value of a test cannot be made: its text says why."""


def class_of(module: str, name: str) -> Any:
    """A generated class; a built-in error has no module."""
    if not module:
        return getattr(core, name)
    return getattr(importlib.import_module(f"{module}_flow"), name)


def made(value: plan.Value) -> Any:
    """The Python value. Raises Unmade."""
    match value:
        case plan.Written(value=found):
            return normal(found) if isinstance(found, decimal.Decimal) else found
        case plan.PartyNamed(name=name):
            return Party(name)
        case plan.ListOf(items=items):
            return tuple(made(item) for item in items)
        case plan.MapOf(entries=entries):
            return {made(key): made(found) for key, found in entries}
        case plan.Made(module=module, name=name, fields=fields):
            given = {field: made(found) for field, found in fields or ()}
            return class_of(module, name)(**given)
        case plan.Time(text=text):
            moment = datetime.datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        case plan.Computed(target=target, arguments=arguments):
            return _computed(target, [made(argument) for argument in arguments])
        case plan.Anything():
            raise Unmade("`_` is no value")
        case _:
            assert_never(value)


def _computed(target: str, arguments: list[Any]) -> Any:
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)(*arguments)
    except Exception as error:
        raise Unmade(f"{target} fails: {type(error).__name__}: {error}") from error


def fits(value: plan.Value, given: Any) -> bool:
    """Whether what came is what is expected. Raises Unmade."""
    match value:
        case plan.Anything():
            return True
        case plan.ListOf(items=items):
            same = isinstance(given, tuple | list) and len(items) == len(given)
            return same and all(map(fits, items, given))
        case plan.MapOf(entries=entries):
            if not isinstance(given, Mapping) or len(entries) != len(given):
                return False
            return all(_has(given, made(key), found) for key, found in entries)
        case plan.Made(module=module, name=name, fields=fields):
            kind = class_of(module, name)
            if not (isinstance(given, kind) if fields is None else type(given) is kind):
                return False
            return all(fits(found, getattr(given, field)) for field, found in fields or ())
        case _:
            wanted = made(value)
            return type(wanted) is type(given) and bool(wanted == given)


def _has(given: Mapping[Any, Any], key: Any, value: plan.Value) -> bool:
    return key in given and fits(value, given[key])


def shown(value: Any) -> str:
    """A value on one line, as an author would write it."""
    if isinstance(value, FlowError):
        fields = ", ".join(
            f"{name}={shown(getattr(value, name))}" for name in value.Fields.__struct_fields__
        )
        return f"{type(value).__name__}({fields})"
    if isinstance(value, msgspec.Struct) and not isinstance(value, Party):
        name = type(value).__name__.replace("_", ".", 1).rstrip("_")
        names = value.__struct_fields__
        if not names and isinstance(type(value).__struct_config__.tag, str):
            return name
        return f"{name}({', '.join(f'{one}={shown(getattr(value, one))}' for one in names)})"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{shown(k)}: {shown(v)}' for k, v in value.items())}}}"
    return written(value)


def brief(value: Any) -> str:
    """A value for a diagram: cut short if it is long."""
    text = shown(value)
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"
