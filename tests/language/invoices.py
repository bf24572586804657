"""The Python that the running programs name: a class with a codec, and functions."""

from __future__ import annotations

import decimal
import functools


@functools.total_ordering
class Invoice:
    """A number and what is to be paid; the smaller sum is less."""

    def __init__(self, number: str, total: decimal.Decimal) -> None:
        self.number = number
        self.total = total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Invoice) and self.to_flow() == other.to_flow()

    def __hash__(self) -> int:
        return hash(self.to_flow())

    def __lt__(self, other: Invoice) -> bool:
        return self.total < other.total

    def __str__(self) -> str:
        return f"invoice {self.number} of {self.total}"

    def to_flow(self) -> bytes:
        return f"{self.number}={self.total}".encode()

    @classmethod
    def from_flow(cls, data: bytes) -> Invoice:
        number, _, total = data.decode().partition("=")
        return cls(number, decimal.Decimal(total))


def issue(number: str, total: decimal.Decimal) -> Invoice:
    return Invoice(number, total)


def total(amounts: tuple[int, ...], extra: int) -> int:
    return sum(amounts) + extra


def is_sound(text: str) -> bool:
    return text.isalpha()


def same(number: int) -> int:
    return number
