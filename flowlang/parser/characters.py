"""Which characters a source may have, and what to say about the others. Knows no token."""

from __future__ import annotations

import re
import unicodedata

from flowlang.parser.mistakes import NAME_LENGTH, Mistakes
from flowlang.source import Span

# Controls other than line ends and tabs; marks that change the order in which text is shown; line
# ends that only some programs take for one; halves of characters.
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff]|\r(?!\n)"
)
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def readable(text: str, mistakes: Mistakes) -> tuple[str, set[int]]:
    """`text` with a blank for every character that may not be in a source, each of which is a
    mistake; and the lines of these."""
    damaged: set[int] = set()
    returns = False  # a file with other line ends has many, and one mistake
    line, line_start, position = 1, 0, 0
    for match in _REFUSED.finditer(text):
        start = match.start()
        line += text.count("\n", position, start)
        line_start = max(line_start, text.rfind("\n", 0, start) + 1)
        position = start
        damaged.add(line)
        column = start - line_start + 1
        if match.group() == "\r" and returns:
            continue
        returns = returns or match.group() == "\r"
        mistakes.add("F011", Span(line, column, line, column + 1), *_refused(match.group()))
    return (_REFUSED.sub(" ", text) if damaged else text), damaged


def _refused(character: str) -> tuple[str, str]:
    code = f"U+{ord(character):04X}"
    if character in _DIRECTION:
        message = f"{code} changes the direction in which text is shown; it may stand nowhere"
        return message, f"remove it; in a text it can be written `\\u{{{code[2:]}}}`"
    if "\ud800" <= character <= "\udfff":
        return f"{code} is half a character", "save the file as UTF-8"
    if character == "\r":
        return "a carriage return (U+000D) stands alone here", "end lines with a line feed"
    message = f"the control character {code} may not stand in a source"
    return message, f"remove it; in a text it can be written `\\u{{{code[2:]}}}`"


def wrong_name(name: str) -> tuple[str, str, str] | None:
    """What is wrong with a name: code, message, hint."""
    shown = name if len(name) <= 40 else f"{name[:20]}…"
    if not name.isascii():
        odd = next(character for character in name if not character.isascii())
        title = unicodedata.name(odd, "a character without a name")
        message = f"`{shown}` has the character `{odd}` (U+{ord(odd):04X}, {title})"
        return "F015", message, "names are of the letters A-Z and a-z, digits and `_`"
    if name.startswith("_"):
        return "F016", f"the name `{shown}` begins with `_`", "begin names with a letter"
    if "__" in name:
        return "F016", f"the name `{shown}` has two `_` in a row", "put one `_` between words"
    if len(name) > NAME_LENGTH:
        message = f"this name has {len(name):,} letters; {NAME_LENGTH} is the most"
        return "F017", message, "choose a shorter name"
    return None


def unknown_character(found: str) -> tuple[str, str | None]:
    """The sentence for a character that means nothing here, and what was meant perhaps."""
    if found == "\\":
        return "`\\` means nothing outside a text", None
    if found in "“”„«»":
        return f"`{found}` means nothing here", 'a text is written in straight quotes: "…"'
    if found == "'":
        return "`'` means nothing here", 'a text is written in double quotes: "…"'
    if found.isascii():
        return f"`{found}` means nothing in this language", _MEANT.get(found)
    title = unicodedata.name(found[0], "a character without a name")
    message = f"`{found[0]}` (U+{ord(found[0]):04X}, {title}) cannot stand outside a text"
    if found[0].isspace():
        return message, "use an ordinary space"
    return message, None


_MEANT = {
    "&": "for “both”, write `and`",
    "|": "for “either”, write `or`",
    "~": "for “not”, write `not`",
    "`": 'a text is written in double quotes: "…"',
    "$": None,
}
