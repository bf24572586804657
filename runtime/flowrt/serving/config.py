"""Reading `node.toml` and the environment: every key checked, every value with where it is from.

Looks at no other file: whether those that are named are there and fit is the business of `checks`.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import functools
import json
import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from flowrt.serving.lines import lines_of
from flowrt.serving.settings import Check, Settings
from flowrt.serving.troubles import Refused, Trouble, nearest

FILE = "node.toml"
PREFIX = "FLOWRT_"
OTHERS = {"FLOWRT_PASSPHRASE", "FLOWRT_URL", "FLOWRT_TOKEN", "FLOWRT_TOKEN_FILE", "FLOWRT_CA"}
"""What of the environment is no key of the file."""

MAX_BYTES = 1 << 20

Keys = tuple[str, ...]

DEFAULT = "default"

HIDDEN = "***"
"""Stands for a value that is shown to nobody."""

_SECRET = re.compile(r"token|secret|passw|passphrase|credential|api_?key", re.IGNORECASE)


class Value(NamedTuple):
    """One value as it counts: where it is, what it is, and where it comes from."""

    keys: Keys
    value: Any
    source: str

    @property
    def is_secret(self) -> bool:
        """Whether it is shown to nobody."""
        return self.value is not None and any(map(_is_secret, self.keys[-1:]))

    @property
    def shown(self) -> Any:
        """The value as anybody may see it."""
        return HIDDEN if self.is_secret else _hidden_within(self.value)


@dataclasses.dataclass(frozen=True)
class Config:
    """A node's configuration. `sources` has where each key that was given comes from."""

    path: Path
    settings: Settings
    sources: Mapping[Keys, str]
    warnings: tuple[Trouble, ...] = ()

    @property
    def folder(self) -> Path:
        """What the files of the configuration are relative to."""
        return self.path.parent

    def file(self, name: str) -> Path:
        """A file that the configuration names."""
        return Path(os.path.normpath(self.folder / name))

    def place(self, *keys: str) -> str:
        """Where a key is written, or the nearest of those around it that is."""
        for count in range(len(keys), 0, -1):
            found = self.sources.get(keys[:count])
            if found is not None:
                return found
        return str(self.path)

    def trouble(self, keys: str, cause: str, remedy: str = "", *, warns: bool = False) -> Trouble:
        """A trouble with the key that is named with dots; names with dots in them are quoted by
        whoever has such."""
        return Trouble(self.place(*keys.split(".")), keys, cause, remedy, warns)

    def values(self) -> Iterator[Value]:
        """All values, those that nobody gave as well, in the order of the page that tells of
        them."""
        yield from _values(self.settings, (), self.sources)


def read(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration of the file, or of `node.toml` in the folder, that `path` is.

    Raises:
        Refused: it cannot be read, or keys or values are wrong; all of them are told at once.
    """
    environment = os.environ if environment is None else environment
    if path.is_dir():
        path = path / FILE
    text = _text(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused([_syntax(path, str(error))]) from None
    except RecursionError:
        cause = "lists or tables lie too deep in each other"
        raise Refused([Trouble(str(path), "", cause)]) from None
    reading = _Reading(path, lines_of(text), environment)
    settings = reading.taken(Settings, table, ())
    reading.environment_left()
    wrong = sorted((t for t in reading.troubles if not t.warns), key=_order)
    if wrong or settings is None:
        raise Refused(wrong)
    return Config(path, settings, reading.sources, tuple(reading.troubles))


def _order(trouble: Trouble) -> tuple[str, int]:
    """By file, then by line."""
    place, _, line = trouble.place.rpartition(":")
    return (place, int(line)) if line.isdigit() else (trouble.place, 0)


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        remedy = "make a party with `flowctl init`, or a network with `flowctl network new`"
        raise Refused([Trouble(str(path), "", "there is no such file", remedy)]) from None
    except OSError as error:
        raise Refused([Trouble(str(path), "", f"it cannot be read: {error.strerror}")]) from None
    if len(data) > MAX_BYTES:
        raise Refused([Trouble(str(path), "", f"it is larger than {MAX_BYTES} bytes")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        cause, remedy = "this is not UTF-8", "write the file again as UTF-8"
        raise Refused([Trouble(f"{path}:{line}", "", cause, remedy)]) from None


def _syntax(path: Path, message: str) -> Trouble:
    """What tomllib says, with its line as a place."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", message, re.DOTALL)
    place = f"{path}:{found[2]}" if found else str(path)
    cause = found[1] if found else message.replace(" (at end of document)", " at the end")
    return Trouble(place, "", f"this is not TOML: {cause[:1].lower()}{cause[1:]}")


class _Reading:
    """One file being read: what was wrong so far, and where each value comes from."""

    def __init__(
        self, path: Path, lines: Mapping[Keys, int], environment: Mapping[str, str]
    ) -> None:
        self.troubles: list[Trouble] = []
        self.sources: dict[Keys, str] = {}
        self._path = path
        self._lines = lines
        self._environment = environment
        self._used: set[str] = set()
        self._could: set[str] = set()

    def taken(self, kind: Any, table: object, keys: Keys) -> Any:
        """A table as the class that it is to be; None if something is wrong."""
        if not isinstance(table, dict):
            self._wrong(keys, f"this is a table, not {_shown(table)}", _as_table(keys))
            return None
        fields = {field.name: field for field in dataclasses.fields(kind)}
        rest = next((name for name, field in fields.items() if field.metadata.get("rest")), None)
        hints = _hints(kind)
        given: dict[str, Any] = {}
        bad = False
        more = {name: value for name, value in table.items() if name not in fields or name == rest}
        if rest is not None:
            given[rest] = more
            for name in more:
                self._from_file((*keys, name))
        else:
            for name in more:
                bad = True
                self._wrong((*keys, name), "there is no such key", nearest(name, fields))
        for name, field in fields.items():
            if name == rest:
                continue
            at = (*keys, name)
            is_there, value = self._found(table, hints[name], at)
            if is_there:
                found = self._value(hints[name], value, at)
                bad = bad or found is _BAD
                given[name] = found
            elif field.default is field.default_factory is dataclasses.MISSING:
                bad = True
                self._wrong(at, "this key is needed", _example(at), place=self._place(keys))
        if bad:
            return _BAD if keys else None
        try:
            return kind(**given)
        except ValueError as error:
            # Of limits, the text names the one that is wrong.
            named = next((name for name in given if f" {name} " in str(error)), None)
            self._wrong(keys if named is None else (*keys, named), str(error))
            return _BAD

    def _found(self, table: Mapping[str, Any], hint: Any, at: Keys) -> tuple[bool, Any]:
        """Whether a key is given, and its value; the environment comes before the file."""
        inner, _ = _of(hint)
        if dataclasses.is_dataclass(inner):
            names = self._variables(inner, at)
            self._could |= names
            # A table that is left out is there if the environment gives a key of it.
            given = at[-1] in table or any(name in self._environment for name in names)
            return given, table.get(at[-1], {})
        if typing.get_origin(inner) is not collections.abc.Mapping:
            variable = _variable(at)
            self._could.add(variable)
            if variable in self._environment:
                self._used.add(variable)
                self.sources[at] = f"environment {variable}"
                if at[-1] in table:
                    self.sources[at] += f" over {self._written(at)}"
                return True, _Text(self._environment[variable])
        return at[-1] in table, table.get(at[-1])

    def _variables(self, kind: Any, at: Keys) -> set[str]:
        found: set[str] = set()
        for name, hint in _hints(kind).items():
            inner, _ = _of(hint)
            if dataclasses.is_dataclass(inner):
                found |= self._variables(inner, (*at, name))
            elif typing.get_origin(inner) is not collections.abc.Mapping:
                found.add(_variable((*at, name)))
        return found

    def _value(self, hint: Any, value: Any, at: Keys) -> Any:
        inner, checks = _of(hint)
        if at not in self.sources:
            self._from_file(at)
        if dataclasses.is_dataclass(inner):
            return self.taken(inner, value, at)
        if typing.get_origin(inner) is collections.abc.Mapping:
            return self._named(typing.get_args(inner)[1], value, at)
        try:
            if isinstance(value, _Text):
                if typing.get_origin(inner) is tuple:
                    value = [part.strip() for part in str(value).split(",") if part.strip()]
                found = msgspec.convert(_plain(value), inner, strict=False)
            else:
                found = msgspec.convert(value, inner)
        except msgspec.ValidationError as error:
            self._wrong(at, _said(str(error), inner, value))
            return _BAD
        for check in checks:
            cause = check.find(found) if isinstance(found, str) else ""
            if cause:
                self._wrong(at, f"{cause}, not {_shown(value, at)}")
                return _BAD
        return found

    def _named(self, hint: Any, value: Any, at: Keys) -> Any:
        """A table whose keys are names."""
        if not isinstance(value, dict):
            self._wrong(at, f"this is a table, not {_shown(value)}", _as_table(at))
            return _BAD
        found = {name: self._value(hint, inner, (*at, name)) for name, inner in value.items()}
        return _BAD if _BAD in found.values() else found

    def environment_left(self) -> None:
        """Say which variables mean nothing: a misspelt one must not be passed over."""
        for name in sorted(self._environment):
            if name.startswith(PREFIX) and name not in self._could | OTHERS:
                remedy = nearest(name, self._could | OTHERS)
                if not remedy.startswith("did"):
                    remedy = "it is passed over"
                self.troubles.append(
                    Trouble(f"environment {name}", "", "this means nothing here", remedy, True)
                )
        if "FLOW_CRASH_AT" in self._environment:
            cause = "a node crashes on order in its tests alone"
            self.troubles.append(
                Trouble("environment FLOW_CRASH_AT", "", cause, "it is passed over", True)
            )

    def _from_file(self, keys: Keys) -> None:
        self.sources[keys] = self._written(keys)

    def _written(self, keys: Keys) -> str:
        for count in range(len(keys), 0, -1):
            if keys[:count] in self._lines:
                return f"{self._path}:{self._lines[keys[:count]]}"
        return str(self._path)

    def _place(self, keys: Keys) -> str:
        return self.sources.get(keys) or self._written(keys)

    def _wrong(self, keys: Keys, cause: str, remedy: str = "", place: str = "") -> None:
        source = place or self._place(keys)
        self.troubles.append(Trouble(source, _dotted(keys), cause, remedy))


class _Bad:
    """Stands for a value that was found wrong."""


_BAD: Any = _Bad()


class _Text(str):
    """A text of the environment, which may stand for a value of another type."""

    __slots__ = ()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, _Text) else value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _of(hint: Any) -> tuple[Any, tuple[Check, ...]]:
    """A type without `None` and without its checks, and the checks."""
    checks: tuple[Check, ...] = ()
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        [hint] = inner
    if typing.get_origin(hint) is typing.Annotated:
        hint, *found = typing.get_args(hint)
        checks = tuple(check for check in found if isinstance(check, Check))
    return hint, checks


def _variable(keys: Keys) -> str:
    return PREFIX + "_".join(keys).upper()


_TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
    "date": "a day",
    "datetime": "a time",
}


def _said(message: str, hint: Any, value: Any) -> str:
    """What msgspec says, in the words of this file."""
    found = re.match(r"Expected `([a-z | ]+)`, got `([a-z]+)`(?: - at `(.*)`)?$", message)
    if found:
        wanted = " or ".join(_TYPES.get(part, part) for part in found[1].split(" | "))
        if found[2] == "float":
            return f"this is {wanted}, not {_shown(value)}"
        where = "each of the list" if found[3] else "this"
        return f"{where} is {wanted}, not {_TYPES.get(found[2], found[2])}"
    if message.startswith("Invalid enum value"):
        choices = " or ".join(f'"{one}"' for one in typing.get_args(hint))
        return f"this is {choices}, not {_shown(value)}"
    return f"{message[:1].lower()}{message[1:]}".replace("`", "")


def _is_secret(key: str) -> bool:
    return bool(_SECRET.search(key)) and not key.endswith("_file")


def _hidden_within(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _is_secret(key) else _hidden_within(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden_within(inner) for inner in value]
    return value


def _shown(value: Any, keys: Keys = ()) -> str:
    if any(map(_is_secret, keys[-1:])):
        return "this"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    text = json.dumps(_plain(value), ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _as_table(keys: Keys) -> str:
    return f"write [{_dotted(keys)}] on a line of its own, and its keys below"


def _example(keys: Keys) -> str:
    if keys == ("name",):
        return 'write `name = "alice"` at the top'
    return f"write `{keys[-1]} = …`"


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def _dotted(keys: Keys) -> str:
    return ".".join(key if _BARE.fullmatch(key) else json.dumps(key) for key in keys)


dotted = _dotted
"""The names on the way to a key as TOML has them."""


def _values(settings: Any, keys: Keys, sources: Mapping[Keys, str]) -> Iterator[Value]:
    for field in dataclasses.fields(settings):
        at = (*keys, field.name)
        value = getattr(settings, field.name)
        if field.metadata.get("rest"):
            for name, inner in value.items():
                yield Value((*keys, name), inner, sources.get((*keys, name), DEFAULT))
        elif dataclasses.is_dataclass(value):
            yield from _values(value, at, sources)
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                if dataclasses.is_dataclass(inner):
                    yield from _values(inner, (*at, name), sources)
                else:
                    yield Value((*at, name), inner, sources.get((*at, name), DEFAULT))
        else:
            yield Value(at, value, sources.get(at, DEFAULT))
