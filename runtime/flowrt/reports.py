"""How far external operations are, as they say it themselves: the newest word of each, told now and
then.

Operations may speak from any thread and as often as they like: what is kept is one word for each
that is under way, and nobody is told more often than five times a second. Nothing of it is durable.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from flowrt.core.progress import OVER, REPORT, Detail, ProgressEvent
from flowrt.core.values import MAX_TEXT, writable

PAUSE_US = 200_000
"""So long nobody is told of an operation after he was."""


class _Word(NamedTuple):
    operation: str
    label: str
    done: float | None


class Reports:
    """What the operations of one node say. `wake` is called when there is news, from any thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._words: dict[tuple[int, int], _Word] = {}
        self._news: dict[tuple[int, int], int] = {}
        self._told_us: dict[tuple[int, int], int] = {}
        self._over: list[tuple[int, int]] = []

    def __len__(self) -> int:
        """How many words are kept."""
        return len(self._words)

    def say(self, flow_id: int, call: int, operation: str, label: object, done: object) -> None:
        """An operation says how far it is."""
        key = (flow_id, call)
        word = _Word(operation, writable(str(label))[:MAX_TEXT], _part(done))
        with self._lock:
            is_news = key not in self._news
            self._words[key] = word
            self._news[key] = self._told_us.get(key, -PAUSE_US) + PAUSE_US
        if is_news:
            self._wake()

    def forget(self, flow_id: int, call: int) -> None:
        """It is not under way any more."""
        key = (flow_id, call)
        with self._lock:
            self._news.pop(key, None)
            if self._words.pop(key, None) is not None and self._told_us.pop(key, None) is not None:
                self._over.append(key)

    def next_due(self) -> int | None:
        """When somebody is to be told (microseconds)."""
        with self._lock:
            return 0 if self._over else min(self._news.values(), default=None)

    def take_due(self, now_us: int) -> Iterator[tuple[int, ProgressEvent]]:
        """Whose readers are to be told what, now."""
        with self._lock:
            over, self._over = self._over, []
            due = [key for key, at_us in self._news.items() if at_us <= now_us]
            words = [(key, self._words[key]) for key in due]
            for key in due:
                del self._news[key]
                self._told_us[key] = now_us
        for flow_id, call in over:
            yield (
                flow_id,
                ProgressEvent(-1, "", 0, (), "", detail=Detail(REPORT, 0, OVER, call=call)),
            )
        for key, word in words:
            yield key[0], _event(key[1], word)

    def of(self, flow_id: int) -> list[ProgressEvent]:
        """The newest words of a flow's operations."""
        with self._lock:
            found = [(key[1], word) for key, word in self._words.items() if key[0] == flow_id]
        return [_event(call, word) for call, word in found]


def _event(call: int, word: _Word) -> ProgressEvent:
    detail = Detail(REPORT, done=word.done, call=call)
    return ProgressEvent(-1, word.operation, 0, (), word.label, detail=detail)


def _part(done: object) -> float | None:
    """A part of the whole; None for what is no number."""
    if isinstance(done, bool) or not isinstance(done, int | float) or math.isnan(done):
        return None
    return float(min(max(done, 0), 1))
