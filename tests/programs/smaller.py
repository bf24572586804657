"""Makes the text of a failing program smaller while it goes on failing. Knows only indentation.

It cuts the text, not the generator's decisions: a decision that goes changes the meaning of all
that follow, while a line that goes leaves the other lines as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

TAILS = ("elif ", "else:", "catch ")


def smaller(text: str, fails: Callable[[str], bool], seconds: float = 60.0) -> str:
    """The smallest text found in that time that still fails. `fails` says False for anything that
    is no program any more."""
    end = time.monotonic() + seconds
    found = True
    while found:
        found = False
        for candidate in _candidates(text.splitlines()):
            if time.monotonic() > end:
                return text
            shorter = "\n".join(candidate) + "\n"
            if shorter != text and fails(shorter):
                text, found = shorter, True
                break
    return text


def _candidates(lines: list[str]) -> Iterator[list[str]]:
    """Texts with something left out, the largest cuts first."""
    cuts = sorted(set(_cuts(lines)), key=lambda cut: cut[0] - cut[1])
    for start, end in cuts:
        yield lines[:start] + lines[end:]
        if not lines[start].strip().startswith(TAILS):
            indent = _indent(lines[start])
            yield [*lines[:start], " " * indent + "pass", *lines[end:]]
    for start in range(len(lines)):
        end = _below(lines, start)
        if end > start + 1:
            rest = _chain(lines, start)
            # A block without what is around it.
            yield lines[:start] + [line[4:] for line in lines[start + 1 : end]] + lines[rest:]


def _cuts(lines: list[str]) -> Iterator[tuple[int, int]]:
    """A line with the lines below it; a whole `if` or `try`; one of their parts."""
    for start, line in enumerate(lines):
        if line.strip():
            yield start, _below(lines, start)
            yield start, _chain(lines, start)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _below(lines: list[str], start: int) -> int:
    """Where the block that belongs to this line ends."""
    end = start + 1
    while end < len(lines) and (
        not lines[end].strip() or _indent(lines[end]) > _indent(lines[start])
    ):
        end += 1
    return end


def _chain(lines: list[str], start: int) -> int:
    """Where the last `else` or `catch` that belongs to this line ends."""
    end = _below(lines, start)
    while (
        end < len(lines)
        and _indent(lines[end]) == _indent(lines[start])
        and lines[end].strip().startswith(TAILS)
    ):
        end = _below(lines, end)
    return end
