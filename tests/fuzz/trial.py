"""One text through the whole compiler: nothing but diagnostics may come out, and in little time."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flowlang import codegen
from flowlang.compiler import compile_modules, remarks
from flowlang.diagnostics import Diagnostic, as_text
from flowlang.formatter import formatted
from flowlang.parser import decode
from flowlang.source import Source
from tests.test_codes import MONEY

SECONDS = 2.0
"""Of the processor's time, for one text."""
_HUNG = 20


class Hangs(Exception):
    """A text takes very long."""


def judge(data: bytes, reached: Counter[str] | None = None) -> str | None:
    """What is wrong with how the compiler takes these bytes; None if nothing is. `reached` counts
    how far the texts come."""
    begun = time.process_time()
    try:
        with _ended_after(_HUNG):
            far = _through(data)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if reached is not None:
        reached[far] += 1
    seconds = time.process_time() - begun
    return f"takes {seconds:.1f} s" if seconds > SECONDS else None


def _through(data: bytes) -> str:
    """How far these bytes come. What is written for them is Python, and allowed: `generate`
    parses its own text and looks at all of it. Every third text is formatted, too."""
    source = decode("shop.flow", "shop", data)
    if isinstance(source, Diagnostic):
        as_text(source, {})
        return "bytes"
    made = compile_modules(["shop"], {"shop": source, "money": MONEY}.get, lambda: ["money"])
    for found in (*made.diagnostics, *remarks(made)):
        text = as_text(found, made.sources)
        assert found.message, text
        assert found.span.line >= 1, text
        assert found.span.column >= 1, text
        assert (found.span.line, found.span.column) <= (found.span.end_line, found.span.end_column)
    for module in made.modules.values():
        if module.module != "money":
            codegen.generate(module)
    if any(found.code < "F2" for found in made.diagnostics):
        return "text"  # The formatter reads it by the same parser, and refuses it.
    if len(data) % 3 == 0:
        _written(source)
    return "program" if "shop" in made.modules else "tree"


def _written(source: Source) -> None:
    done = formatted(source)
    if done.text is not None:
        again = formatted(Source("shop.flow", "shop", done.text))
        assert again.text == done.text, "formatted twice, it is another text"


@contextmanager
def _ended_after(seconds: int) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise Hangs(f"more than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def smallest(data: bytes, found: str) -> bytes:
    """The same trouble in fewer lines, as far as cutting finds it."""
    sort = found.partition(":")[0].partition(" ")[0]
    size = max(1, data.count(b"\n") // 2)
    deadline = time.monotonic() + 30
    while size:
        lines = data.splitlines(keepends=True)
        for start in range(0, len(lines), size):
            shorter = b"".join(lines[:start] + lines[start + size :])
            trouble = judge(shorter) if time.monotonic() < deadline else None
            if trouble is not None and trouble.partition(":")[0].partition(" ")[0] == sort:
                data = shorter
                break
        else:
            size //= 2
    return data
