"""The `Ledger` service: a public chain that is none, in the memory of this process.

It does what channels need of a real one: it is there whatever happens to the parties, it takes a
division only with both signatures and not before its time, and only the first one counts. Asked
again under the same key it gives the same answer.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import TypeVar

from channel_flow import Division, Lock, Signed
from divisions import is_valid

T = TypeVar("T")


class Ledger:
    """One ledger for all parties. `public` are their keys, `now` is its clock."""

    def __init__(self, public: Mapping[str, bytes], now: Callable[[], datetime.datetime]) -> None:
        self._public = public
        self._now = now
        self._answers: dict[str, object] = {}
        self.locks: dict[str, Lock] = {}
        self.divisions: dict[str, Division] = {}

    def enter(self, key: str, lock: Lock) -> None:
        self._once(key, lambda: self._enter(lock))

    def holds(self, key: str, lock: Lock) -> bool:
        return self.locks.get(lock.number) == lock and lock.number not in self.divisions

    def publish(self, key: str, signed: Signed) -> Division:
        return self._once(key, lambda: self._publish(signed))

    def division(self, key: str, lock: Lock) -> Division | None:
        return self.divisions.get(lock.number)

    def _once(self, key: str, act: Callable[[], T]) -> T:
        if key not in self._answers:
            self._answers[key] = act()
        return self._answers[key]  # type: ignore[return-value]

    def _enter(self, lock: Lock) -> None:
        if self.locks.setdefault(lock.number, lock) != lock:
            raise ValueError(f"there is another lock {lock.number}")

    def _publish(self, signed: Signed) -> Division:
        division, lock = signed.division, signed.division.lock
        if self.locks.get(lock.number) != lock or not 0 <= division.to_payee <= lock.units:
            raise ValueError("it divides what is not there")
        if division.valid_from is not None and self._now() < division.valid_from:
            raise ValueError("it is not valid yet")
        for by, signature in ((lock.payer, signed.by_payer), (lock.payee, signed.by_payee)):
            if not is_valid(self._public, signature, by, division):
                raise ValueError(f"{by.name} has not signed it")
        return self.divisions.setdefault(lock.number, division)
