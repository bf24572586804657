"""Programs spoiled at random: by words, by lines, by bytes. Knows nothing of what they mean."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.programs.generator import seeded

ROOT = Path(__file__).parent.parent.parent
_WORD = re.compile(r'"(?:[^"\\\n]|\\.)*"|\w+|[ \t]+|\n|->|[=!<>]=|//|.', re.S)
_ODD = [
    "", "\n", "\n    ", "\n\n", "\t", "(", ")", "[", "]", "{", "}", ":", ",", ".", "=", "==",
    "->", "?", "@", "#", "\"", "\"\"\"", "\"{", "}\"", "\\", "'", "`", ";", "&&", "!", "_", "__x",
    "é", "\u202e", "\u0000", "\r", "\ufeff", "9" * 400, "1.5", "0x", "0xF", "1e9", "30s", "30",
    "b\"x\"", "-", "+", "none", "true", "x" * 70, "List[", "Map[Text, ", "(" * 60, "[" * 120,
    "not " * 80, "1 + " * 80, "if true:\n" * 5, "\"{\"{x}\"}\"", "\"{x:.2}\"", "\U0001f600",
    "else:", "elif x:", "catch E:", "case A:", "private ",
]  # fmt: skip


_SORTS = [
    re.compile(pattern)
    for pattern in (
        r'"',
        r"[A-Z][A-Z_0-9]+$",
        r"[A-Z]",
        r"[a-z_]",
        r"\d",
        r"[-+*/%<>=!]",
        r"[(\[{]",
    )
]
"""Words of one sort are often taken for each other without the text becoming unreadable."""
_FENCE = re.compile(r"^```flow(?: right)?\n(.*?)^```$", re.M | re.S)
_LARGEST = 5_000
"""Characters; of larger programs a spoiled one costs more than it teaches."""


def corpus() -> list[str]:
    """Every program of the repository that is small enough to be tried often, those in its pages,
    and some random ones; those that are right several times, for they lead further."""
    paths = [path for path in _paths() if "language" in path.parts]
    wrong = [path.read_bytes().decode("utf-8", errors="replace") for path in paths]
    random_ones = [seeded(number).text for number in range(60)]
    return [text for text in wrong + random_ones + 4 * written() if len(text) < _LARGEST]


def written() -> list[str]:
    """The programs of the repository and its pages that are meant to be right, or nearly."""
    paths = [path for path in _paths() if "language" not in path.parts]
    found = [path.read_bytes().decode("utf-8", errors="replace") for path in paths]
    for folder in ("docs", "flowlang/codes"):
        for path in sorted((ROOT / folder).glob("*.md")):
            found += _FENCE.findall(path.read_text(encoding="utf-8"))
    return found


def _paths() -> list[Path]:
    folders = ("examples", "tests", "flowlang")
    return [path for name in folders for path in sorted((ROOT / name).rglob("*.flow"))]


class Spoiler:
    """Makes one spoiled program for each number, the same whenever it is asked."""

    def __init__(self, programs: Sequence[str]) -> None:
        self._programs = programs
        self._words = sorted({word for text in programs for word in _WORD.findall(text)})
        self._lines = sorted({line for text in programs for line in text.split("\n")})
        self._alike = [[w for w in self._words if sort.match(w)] for sort in _SORTS]

    def spoiled(self, number: int) -> bytes:
        """A program with one to six things wrong in it."""
        choose = random.Random(number)
        text = choose.choice(self._programs)
        if choose.random() < 0.4:  # It can often be read, so that the passes behind see it.
            for _ in range(choose.choice((1, 1, 2, 3))):
                text = self._by_sort(choose, text)
            return text.encode("utf-8", errors="replace")
        ways: list[Callable[[random.Random, str], str]] = [
            self._by_word, self._by_word, self._by_word, self._by_line, self._by_part,
        ]  # fmt: skip
        for _ in range(choose.choice((1, 1, 1, 2, 2, 3, 4, 6))):
            text = choose.choice(ways)(choose, text)
        data = text.encode("utf-8", errors="replace")
        return self._by_byte(choose, data) if choose.random() < 0.15 else data

    def _by_word(self, choose: random.Random, text: str) -> str:
        words = _WORD.findall(text)
        if not words:
            return choose.choice(self._words)
        at = choose.randrange(len(words))
        other = choose.choice(_ODD) if choose.random() < 0.3 else choose.choice(self._words)
        match choose.randrange(6):
            case 0:
                del words[at]
            case 1:
                words[at] = other
            case 2:
                words.insert(at, other)
            case 3:
                words.insert(at, words[at])
            case 4:
                to = choose.randrange(len(words))
                words[at], words[to] = words[to], words[at]
            case _:
                words[at] = choose.choice(words)
        return "".join(words)

    def _by_sort(self, choose: random.Random, text: str) -> str:
        """One word becomes another of its sort, of this program or of any."""
        words = _WORD.findall(text)
        places = [at for at, word in enumerate(words) if not word.isspace()]
        if not places:
            return text
        at = choose.choice(places)
        sort = next((n for n, sort in enumerate(_SORTS) if sort.match(words[at])), None)
        if sort is None:
            return text
        near = [word for word in words if _SORTS[sort].match(word)]
        words[at] = choose.choice(near if choose.random() < 0.6 else self._alike[sort])
        return "".join(words)

    def _by_line(self, choose: random.Random, text: str) -> str:
        lines = text.split("\n")
        at = choose.randrange(len(lines))
        match choose.randrange(7):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, choose.choice(self._lines))
            case 2:
                lines[at] = " " * choose.randrange(12) + lines[at].lstrip()
            case 3:
                to = choose.randrange(len(lines))
                lines.insert(to, lines.pop(at))
            case 4:
                lines[at : at + 2] = [" ".join(lines[at : at + 2])]
            case 5:
                end = at + choose.randrange(1, 12)
                lines[at:end] = lines[at:end] * choose.choice((2, 2, 3, 30))
            case _:
                end = at + choose.randrange(1, 12)
                lines[at:end] = ["    " + line for line in lines[at:end]]
        return "\n".join(lines)

    def _by_part(self, choose: random.Random, text: str) -> str:
        """Cut off, or joined with a part of another."""
        at = choose.randrange(len(text) + 1)
        other = choose.choice(self._programs)
        start = choose.randrange(len(other) + 1)
        match choose.randrange(4):
            case 0:
                return text[:at]
            case 1:
                return text[at:]
            case 2:
                return text[:at] + other[start:]
            case _:
                return text[:at] + other[start : start + choose.randrange(200)] + text[at:]

    def _by_byte(self, choose: random.Random, data: bytes) -> bytes:
        found = bytearray(data or b"x")
        for _ in range(choose.choice((1, 1, 2, 5))):
            at = choose.randrange(len(found))
            match choose.randrange(4):
                case 0:
                    found[at] = choose.randrange(256)
                case 1:
                    found.insert(at, choose.randrange(256))
                case 2:
                    found[at] ^= 1 << choose.randrange(8)
                case _:
                    found[at : at + choose.randrange(20)] = b"?"
        return bytes(found)
