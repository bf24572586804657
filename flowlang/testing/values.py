"""Values of a test: made from its plan, compared with what came. Knows no test."""

from __future__ import annotations

import datetime
import decimal
import importlib
from collections.abc import Mapping
from typing import Any, assert_never

from flowlang import standard
from flowlang.testing import plan
from flowrt.core import flow as core
from flowrt.core.flow import Party, normal


class Unmade(Exception):
    """A value of a test cannot be made: its text says why."""


def class_of(module: str, name: str) -> Any:
    """A generated class; a built-in error has no module."""
    if not module:
        return getattr(core, name)
    return getattr(importlib.import_module(standard.imported_as(module)), name)


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
