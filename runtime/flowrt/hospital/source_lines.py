"""Where in a `.flow` file an error was raised: generated code carries the lines beside it.

Reads generated files, and knows no flow.
"""

from __future__ import annotations

import linecache
import re
from types import TracebackType

_LINE = re.compile(r"\s*# (\S+\.flow:\d+)(?:\s|$)")


def place_of(error: BaseException) -> str:
    """The `.flow` file and line whose statement raised the error, the innermost flow's; "" if its
    generated file is not there to be read."""
    found = ""
    at: TracebackType | None = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_name == "step" and code.co_filename.endswith("_flow.py"):
            lines = linecache.getlines(code.co_filename, at.tb_frame.f_globals)
            found = _above(lines, code.co_firstlineno, at.tb_lineno) or found
        at = at.tb_next
    return found


def _above(lines: list[str], first: int, line: int) -> str:
    """The nearest line of the source that is named at a line of generated code, or above it."""
    for number in range(min(line, len(lines)), first, -1):
        named = _LINE.match(lines[number - 1])
        if named is not None:
            return named[1]
    return ""
