"""At which line of a TOML text each key stands. Knows no key; reads only what `tomllib` took."""

from __future__ import annotations

import re
import tomllib

Path = tuple[str, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*")
_TABLE = re.compile(rf"\s*\[\[?{_KEY.pattern}\]\]?")
_SKIPPED = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|.', re.DOTALL
)


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1 on, of every table and key of a TOML text, by the names on the way to it;
    within a table that is written in one line, that line. The text must be one that is TOML."""
    found: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _statements(text):
        header = _TABLE.match(statement)
        if header is not None and statement.lstrip().startswith("["):
            table = _names(header[1])
            _note(found, (), table, number)
            continue
        key = _KEY.match(statement)
        if key is not None and statement[key.end() : key.end() + 1] == "=":
            names = _names(key[1])
            _note(found, table, names, number)
            value = tomllib.loads(statement.strip())
            for name in names:
                value = value[name]
            _note_within(found, (*table, *names), value, number)
    return found


def _note(found: dict[Path, int], table: Path, names: Path, number: int) -> None:
    for count in range(1, len(names) + 1):
        found.setdefault((*table, *names[:count]), number)


def _note_within(found: dict[Path, int], path: Path, value: object, number: int) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            found.setdefault((*path, name), number)
            _note_within(found, (*path, name), inner, number)


def _names(key: str) -> Path:
    """The parts of a dotted key, without quotes."""
    value: object = tomllib.loads(f"{key} = 0")
    names = []
    while isinstance(value, dict):
        [(name, value)] = value.items()
        names.append(name)
    return tuple(names)


def _statements(text: str) -> list[tuple[int, str]]:
    """The statements with the lines that they begin in: texts and arrays may have several lines."""
    found: list[tuple[int, str]] = []
    number, begun, depth = 1, 1, 0
    parts: list[str] = []
    has_key = False
    for token in _SKIPPED.finditer(text):
        part = token[0]
        if part == "\n" and (depth == 0 or not has_key):
            found.append((begun, "".join(parts)))
            parts, begun, depth, has_key = [], number + 1, 0, False
        elif not part.startswith("#"):
            parts.append(part)
            has_key = has_key or part == "="
            if has_key:
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(part, 0)
        number += part.count("\n")
    found.append((begun, "".join(parts)))
    return [(line, statement) for line, statement in found if statement.strip()]
