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


def corpus() -> list[str]:
    """Every program of the repository that is small enough to be tried often, and some random
    ones."""
    found = []
    for folder in ("examples", "tests", "flowlang"):
        for path in sorted((ROOT / folder).rglob("*.flow")):
            text = path.read_bytes().decode("utf-8", errors="replace")
            if len(text) < 12_000:
                found.append(text)
    return found + [seeded(number).text for number in range(40)]


class Spoiler:
    """Makes one spoiled program for each number, the same whenever it is asked."""

    def __init__(self, programs: Sequence[str]) -> None:
        self._programs = programs
        self._words = sorted({word for text in programs for word in _WORD.findall(text)})
        self._lines = sorted({line for text in programs for line in text.split("\n")})

    def spoiled(self, number: int) -> bytes:
        """A program with one to six things wrong in it."""
        choose = random.Random(number)
        text = choose.choice(self._programs)
        by_words: list[Callable[[random.Random, str], str]] = [
            self._by_word, self._by_word, self._by_word, self._by_line, self._by_part,
        ]  # fmt: skip
        for _ in range(choose.choice((1, 1, 1, 2, 2, 3, 4, 6))):
            text = choose.choice(by_words)(choose, text)
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
