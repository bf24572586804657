"""A Python type as authors write them, for programs of these tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Stamp:
    """A number from 0 to 99, kept as one byte."""

    number: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < 100:
            raise ValueError("a stamp has a number from 0 to 99")

    def to_flow(self) -> bytes:
        return bytes([self.number])

    @classmethod
    def from_flow(cls, data: bytes) -> Stamp:
        [number] = data
        return cls(number)

    @classmethod
    def flow_examples(cls) -> Iterator[Stamp]:
        """What strategies draw."""
        return (cls(number) for number in range(100))
