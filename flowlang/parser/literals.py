"""What numbers, texts, bytes, durations and docstrings say, from how they are written.

Every function returns the value, or a `Wrong` that says what is wrong and how far into the literal.
"""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Literal, NamedTuple

INT_MOST = 2**63 - 1
DECIMAL_DIGITS = 38
LONGEST = datetime.timedelta(days=36525)
_UNITS = {
    "ms": datetime.timedelta(milliseconds=1),
    "s": datetime.timedelta(seconds=1),
    "m": datetime.timedelta(minutes=1),
    "h": datetime.timedelta(hours=1),
    "d": datetime.timedelta(days=1),
}
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_INT = re.compile(_DIGITS)
_DECIMAL = re.compile(rf"{_DIGITS}\.{_DIGITS}")
_DURATION = re.compile(rf"({_DIGITS})(ms|s|m|h|d)")
_HEX = re.compile(r"0x((?:[0-9A-Fa-f]{2})+)")
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "{": "{", "}": "}"}
_ESCAPE = re.compile(r"\\(?:([ntr\"\\{}])|u\{([0-9A-Fa-f]{1,6})\})")
_BYTE_ESCAPE = re.compile(r"\\(?:([ntr\"\\])|x([0-9A-Fa-f]{2}))")


class Wrong(NamedTuple):
    """A mistake in a literal: `offset` and `length` are its place, 0 for the whole."""

    code: str
    message: str
    hint: str | None
    offset: int = 0
    length: int = 0


class Hole(NamedTuple):
    """Where an expression stands in a text: offsets of what is between the braces, up to the `:` of
    its format if it has one. `after` is the offset behind the closing brace."""

    start: int
    end: int
    after: int
    format: str | None = None


class Number(NamedTuple):
    kind: Literal["Int", "Decimal", "Duration", "Bytes"]
    value: int | decimal.Decimal | datetime.timedelta | bytes


def number(text: str) -> Number | Wrong:
    """`1_000`, `12.50`, `250ms`, `0xCAFE`: the type's name and the value.

    The Int one beyond the largest is allowed: the smallest Int is written with it.
    """
    if _INT.fullmatch(text):
        return _int(text)
    if _DECIMAL.fullmatch(text):
        return _decimal(text)
    if match := _DURATION.fullmatch(text):
        return _duration(match[1], match[2])
    if match := _HEX.fullmatch(text):
        return Number("Bytes", bytes.fromhex(match[1]))
    return _not_a_number(text)


def _int(text: str) -> Number | Wrong:
    digits = text.replace("_", "")
    if len(digits) > 1 and digits[0] == "0":
        if digits.strip("0"):
            return Wrong(
                "F020",
                "a number does not begin with 0",
                f"write {digits.lstrip('0')}" if len(digits) < 30 else None,
            )
        return Wrong("F020", "a number does not begin with 0", "write 0")
    if len(digits) > 19 or int(digits) > INT_MOST + 1:
        return too_large_int()
    return Number("Int", int(digits))


def too_large_int() -> Wrong:
    return Wrong(
        "F021",
        f"this Int is too large: {INT_MOST:,} is the most".replace(",", "_"),
        "an Int has 64 bits; a Decimal has 38 digits",
    )


def _decimal(text: str) -> Number | Wrong:
    digits = text.replace("_", "")
    if (
        len(digits.replace(".", "").lstrip("0")) > DECIMAL_DIGITS
        or len(digits) > 2 * DECIMAL_DIGITS
    ):
        return Wrong(
            "F022", f"this Decimal has more than {DECIMAL_DIGITS} digits", "write fewer digits"
        )
    return Number("Decimal", decimal.Decimal(digits))


def _duration(digits: str, unit: str) -> Number | Wrong:
    count = digits.replace("_", "")
    if len(count) > 16 or int(count) * (_UNITS[unit] / _UNITS["ms"]) > LONGEST / _UNITS["ms"]:
        return Wrong("F023", "this duration is longer than 100 years", "36525d is the longest")
    return Number("Duration", int(count) * _UNITS[unit])


def _not_a_number(text: str) -> Wrong:
    shown = text if len(text) <= 30 else f"{text[:20]}…"
    whole = f"`{shown}` is not a number"
    if text[:2] in ("0x", "0X"):
        return Wrong(
            "F020",
            f"`{shown}` is not a value of bytes",
            "after `0x` stand pairs of digits 0-9 and A-F, such as 0xCAFE",
        )
    if re.fullmatch(r"[0-9_.]+[eE][0-9]*", text):
        return Wrong(
            "F020", whole, "there are no exponents: write all digits, such as 100000 or 0.001"
        )
    if re.fullmatch(r"(?:[0-9]+(?:ms|s|m|h|d)){2,}", text):
        sum_ = " + ".join(re.findall(r"[0-9]+(?:ms|s|m|h|d)", text))
        return Wrong("F020", f"`{shown}` is not a duration", f"add the parts: {sum_}")
    if re.fullmatch(r"[0-9]+\.[0-9]+(?:ms|s|m|h|d)", text):
        return Wrong(
            "F020",
            f"`{shown}` is not a duration",
            "a duration is a whole number of ms, s, m, h or d, such as 1500ms",
        )
    if re.fullmatch(r"[0-9][0-9_]*(?:\.[0-9_]+)?", text):
        return Wrong("F020", whole, "put `_` only between digits, such as 1_000")
    return Wrong("F020", whole, "a number ends in digits, or in ms, s, m, h or d for a duration")


def bytes_of(text: str) -> bytes | Wrong:
    """`b"…"` with `\\xNN` and the simple escapes."""
    made = bytearray()
    position, end = 2, len(text) - 1
    while position < end:
        if text[position] == "\\":
            match = _BYTE_ESCAPE.match(text, position, end)
            if match is None:
                return _bad_escape(text, position, '`\\n \\t \\r \\" \\\\` and `\\xNN`')
            made += _SIMPLE[match[1]].encode() if match[1] else bytes.fromhex(match[2])
            position = match.end()
            continue
        if not text[position].isascii():
            message = f"`{text[position]}` is not a byte"
            return Wrong("F018", message, "write its bytes as `\\xNN`", position, 1)
        made.append(ord(text[position]))
        position += 1
    return bytes(made)


def parts_of(text: str) -> list[str | Hole] | Wrong:
    """A text's parts, with a Hole for each `{expression}`."""
    body = text[1:-1]
    if "\\" not in body and "{" not in body and "}" not in body:
        return [body] if body else []
    parts: list[str | Hole] = []
    plain: list[str] = []
    position, end = 1, len(text) - 1
    while position < end:
        character = text[position]
        if character == "\\":
            unescaped = _escaped(text, position, end)
            if isinstance(unescaped, Wrong):
                return unescaped
            piece, position = unescaped
            plain.append(piece)
        elif character == "{":
            hole = _hole(text, position, end)
            if isinstance(hole, Wrong):
                return hole
            if plain:
                parts.append("".join(plain))
                plain = []
            parts.append(hole)
            position = hole.after
        elif character == "}":
            return Wrong(
                "F019",
                "this `}` has no `{` before it",
                "a brace in a text is written `\\}`",
                position,
                1,
            )
        else:
            stop = _next_special(text, position, end)
            plain.append(text[position:stop])
            position = stop
    if plain:
        parts.append("".join(plain))
    return parts


_SPECIAL = re.compile(r"[\\{}]")


def _next_special(text: str, position: int, end: int) -> int:
    match = _SPECIAL.search(text, position, end)
    return match.start() if match else end


def _escaped(text: str, position: int, end: int) -> tuple[str, int] | Wrong:
    match = _ESCAPE.match(text, position, end)
    if match is None:
        return _bad_escape(text, position, '`\\n \\t \\r \\" \\\\ \\{ \\}` and `\\u{1F600}`')
    if match[1]:
        return _SIMPLE[match[1]], match.end()
    code = int(match[2], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        length = match.end() - position
        return Wrong(
            "F018",
            f"U+{code:04X} is not a character",
            "write the number of a Unicode character, such as `\\u{1F600}`",
            position,
            length,
        )
    return chr(code), match.end()


def _bad_escape(text: str, position: int, known: str) -> Wrong:
    shown = text[position : position + 2]
    return Wrong(
        "F018",
        f"`{shown}` is not an escape",
        f"there are {known}; a backslash itself is `\\\\`",
        position,
        2,
    )


def _hole(text: str, position: int, end: int) -> Hole | Wrong:
    depth = inner = 0
    colon: int | None = None
    for index in range(position, end):
        if text[index] == "{":
            depth += 1
        elif text[index] in "([":
            inner += 1
        elif text[index] in ")]":
            inner -= 1
        elif text[index] == ":" and depth == 1 and inner == 0 and colon is None:
            colon = index
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                if not text[position + 1 : colon or index].strip():
                    return Wrong(
                        "F019",
                        "there is no expression between these braces",
                        "braces in a text are written `\\{` and `\\}`",
                        position,
                        index + 1 - position,
                    )
                if colon is None:
                    return Hole(position + 1, index, index + 1)
                return Hole(position + 1, colon, index + 1, text[colon + 1 : index])
    return Wrong(
        "F019",
        "this `{` has no `}` in the text",
        '`{` begins an expression, which cannot have a `"`; a brace itself is written `\\{`',
        position,
        1,
    )


def doc_of(text: str) -> str:
    """A docstring's text, without its margin and the blank lines around it."""
    lines = text[3:-3].replace("\r\n", "\n").expandtabs(4).split("\n")
    margins = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(margins, default=0)
    lines = [lines[0].strip()] + [line[margin:].rstrip() for line in lines[1:]]
    return "\n".join(lines).strip("\n").rstrip()
