"""A source text and places in it. Knows neither files nor what the text means."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of source: lines and columns count from 1; the end column is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


START = Span(1, 1, 1, 1)


@dataclasses.dataclass(frozen=True)
class Source:
    """One `.flow` file's text.

    `name` is shown to people (`shop/orders.flow`); `module` is how others `use` it (`shop.orders`).
    """

    name: str
    module: str
    text: str

    def line(self, number: int) -> str:
        """The source line `number`, without its end; empty beyond the last one."""
        lines = self._lines
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""

    @functools.cached_property
    def _lines(self) -> list[str]:
        # Every statement asks for its line: to look for them each time is quadratic.
        return self.text.split("\n")
