"""Values as an author would write them in the language. Knows no flow and no world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from flowrt.core.flow import FlowError, Party, written

MOST = 60
"""Characters of a value that are shown in a diagram."""


def shown(value: Any) -> str:
    """A value on one line. What does not print is escaped."""
    if isinstance(value, FlowError):
        return _call(type(value).__name__, value.fields())
    if isinstance(value, msgspec.Struct) and not isinstance(value, Party):
        name = type(value).__name__.replace("_", ".", 1).rstrip("_")
        is_case = isinstance(type(value).__struct_config__.tag, str)
        return name if is_case and not value.__struct_fields__ else _call(name, value)
    if isinstance(value, str):
        return f'"{value.translate(_MARKS)}"' if value.isprintable() else f'"{_escaped(value)}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{shown(k)}: {shown(v)}' for k, v in value.items())}}}"
    return written(value)


def brief(value: Any, most: int = MOST) -> str:
    """The same, at most so many characters of it."""
    return cut(shown(value), most)


def cut(text: str, most: int = MOST) -> str:
    """`text`, at most so many characters of it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _call(name: str, fields: msgspec.Struct) -> str:
    given = [f"{one}={shown(getattr(fields, one))}" for one in fields.__struct_fields__]
    return f"{name}({', '.join(given)})"


_MARKS = {ord('"'): '\\"', ord("\\"): "\\\\"}
_ESCAPES = _MARKS | {10: "\\n", 13: "\\r", 9: "\\t"}


def _escaped(text: str) -> str:
    return "".join([_ESCAPES.get(ord(c)) or (c if c.isprintable() else _code(c)) for c in text])


def _code(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 256 else f"\\u{{{code:x}}}"
