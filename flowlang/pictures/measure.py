"""How wide texts are in a picture, and how they are broken and shortened. Draws nothing.

A picture names generic font families only, so the widths are those of the widest fonts that are
common (DejaVu, Verdana): in any other one a text is narrower than the room that it was given.
"""

from __future__ import annotations

import unicodedata

_WIDTHS = {
    0.32: "'IJijl",
    0.36: " ,./:;\\|",
    0.4: "()-[]ft",
    0.45: "!r",
    0.5: '"*_`',
    0.55: "?csz",
    0.6: "FLkvxy",
    0.65: "$0123456789EPSTYabdeghnopqu{}",
    0.7: "ABCKRVXZ",
    0.75: "NU",
    0.8: "&DGHOQ",
    0.85: "#+<=>^w~",
    0.9: "M",
    1.0: "%@Wm…—",
    0.84: "→←×▶",
}
_WIDTH = {character: width for width, characters in _WIDTHS.items() for character in characters}

BOLD = 1.13
"""Bold letters are so much wider than others."""

_MONOSPACED = 0.61


def width(text: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
    """The width of a text in letters of `size`, in the unit of `size`; rather too much."""
    ems = sum(_monospaced(c) if mono else _proportional(c) for c in text)
    return ems * size * (BOLD if bold and not mono else 1)


def is_certain(text: str) -> bool:
    """Whether no common font has the text wider than `width` says."""
    return all(character in _WIDTH for character in text)


def _proportional(character: str) -> float:
    return _WIDTH.get(character) or _foreign(character)


def _monospaced(character: str) -> float:
    return _MONOSPACED if character in _WIDTH else max(_MONOSPACED, _foreign(character))


def _foreign(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.3 if ord(character) > 0xFFFF else 1.05
    return 0.85 if ord(character) < 0x250 else 1.1


def shortened(
    text: str, room: float, size: float, *, bold: bool = False, mono: bool = False
) -> str:
    """The text, or its beginning and `…`, so that it fits."""
    if width(text, size, bold=bold, mono=mono) <= room:
        return text
    taken = width("…", size, bold=bold, mono=mono)
    for number, character in enumerate(text):
        taken += width(character, size, bold=bold, mono=mono)
        if taken > room:
            return text[:number].rstrip() + "…"
    return text


def broken(
    text: str, room: float, size: float, *, most: int, bold: bool = False, mono: bool = False
) -> list[str]:
    """The text in at most `most` lines that fit, broken between words where that can be."""
    lines: list[str] = []
    words = text.split()
    while words:
        if len(lines) == most - 1:
            return [*lines, shortened(" ".join(words), room, size, bold=bold, mono=mono)]
        line = words.pop(0)
        while words and width(f"{line} {words[0]}", size, bold=bold, mono=mono) <= room:
            line = f"{line} {words.pop(0)}"
        lines.append(shortened(line, room, size, bold=bold, mono=mono))
    return lines


def columns(text: str) -> int:
    """The columns that a terminal takes for a text: wide characters take two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
