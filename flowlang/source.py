"""A source text and places in it. Knows neither files nor what the text means."""

from __future__ import annotations

import dataclasses
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
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""
