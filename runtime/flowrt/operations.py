"""External operations under way: which run, which run again, which nobody knows the end of.

They are recorded in checkpoints before they run, so after a restart they are begun again with the
same key: at least once; those that may run only once are not. Keeps nothing durable itself.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flowrt.core.flow import FlowError
from flowrt.core.values import BadBytes, CallState, Ending, encode
from flowrt.services import External

RETRY_US = tuple(1_000_000 * seconds for seconds in (1, 2, 4, 8, 16, 32, 60, 60, 60))
"""How long after each failure an operation is tried again; after the last its flow needs help."""

_LOG = logging.getLogger("flowrt.operations")


class Wanted(NamedTuple):
    """An operation to be run: whose, which of its calls, which operation, its arguments."""

    flow_id: int
    number: int
    what: str
    detail: bytes


class Operations:
    """The external operations of one node. `ended` and `lost` are told how a call ended, and that
    one needs a person; `perform` runs a function outside of everything and tells what came of it.
    """

    def __init__(
        self,
        services: Mapping[str, Any],
        ended: Callable[[int, int, Ending], None],
        lost: Callable[[int, str], None],
        perform: Callable[
            [External, tuple[Any, ...], Callable[[Any, Exception | None], None]], None
        ],
        clock: Callable[[], int],
    ) -> None:
        self._services = services
        self._ended = ended
        self._lost = lost
        self._perform = perform
        self._clock = clock
        self._failures: dict[tuple[int, int], int] = {}
        self._running: dict[tuple[int, int], None] = {}
        self._again: list[tuple[int, Wanted]] = []
        self._allowed: set[tuple[int, int]] = set()
        self.incarnation = b""

    def forget(self) -> None:
        """What was begun is begun again from the store."""
        self._running.clear()
        self._again.clear()

    def allow(self, flow_id: int, numbers: Iterable[int]) -> None:
        """These calls have surely not run yet, or a person wants them run again."""
        for number in numbers:
            self._allowed.add((flow_id, number))
            self._failures.pop((flow_id, number), None)

    def see_to(self, wanted: Wanted) -> None:
        """Run it, unless it runs already or waits to be run again."""
        key = (wanted.flow_id, wanted.number)
        if key in self._running:
            return
        found = self._external(wanted.what)
        if found is None:
            self._lost(wanted.flow_id, f"{wanted.what} is not an operation of this node")
        elif found.once and key not in self._allowed:
            self._lost(
                wanted.flow_id,
                f"it is not known whether {wanted.what} has run, and it may run only once; "
                "a retry runs it again",
            )
        else:
            self._running[key] = None
            self._allowed.discard(key)
            self._begin(found, wanted)

    def next_due(self) -> int | None:
        """When an operation is to be tried again (microseconds)."""
        return self._again[0][0] if self._again else None

    def try_again(self, now_us: int) -> None:
        """Run what failed and is due."""
        while self._again and self._again[0][0] <= now_us:
            _, wanted = heapq.heappop(self._again)
            found = self._external(wanted.what)
            if found is not None:
                self._begin(found, wanted)

    def _external(self, what: str) -> External | None:
        service, _, operation = what.rpartition(".")
        found = getattr(self._services.get(service), operation, None)
        return found if isinstance(found, External) else None

    def _begin(self, found: External, wanted: Wanted) -> None:
        # The same over retries and restarts, and no other call of any flow of this store has it.
        key = f"{self.incarnation.hex()}-{wanted.flow_id}-{wanted.number}"
        try:
            arguments = (key, *found.arguments(wanted.detail))
        except BadBytes as error:
            del self._running[wanted.flow_id, wanted.number]
            self._lost(wanted.flow_id, f"{wanted.what} takes other arguments now: {error}")
            return

        def done(value: Any, error: Exception | None) -> None:
            self._done(found, wanted, value, error)

        self._perform(found, arguments, done)

    def _done(self, found: External, wanted: Wanted, value: Any, error: Exception | None) -> None:
        key = (wanted.flow_id, wanted.number)
        if key not in self._running:
            return  # The node went back to its store in between: it is begun again from there.
        if error is None:
            try:
                ending = Ending(found.result(value))
            except Exception as wrong:
                error = wrong
        if isinstance(error, FlowError) and not error.builtin:
            ending = Ending(encode(error.fields()), error.wire, str(error))
        elif error is not None:
            self._failed(found, wanted, error)
            return
        del self._running[key]
        self._failures.pop(key, None)
        self._ended(wanted.flow_id, wanted.number, ending)

    def _failed(self, found: External, wanted: Wanted, error: Exception) -> None:
        key = (wanted.flow_id, wanted.number)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        cause = f"{wanted.what} failed: {type(error).__name__}: {error}"
        _LOG.warning("flow %d: %s", wanted.flow_id, cause)
        if found.once or failures > len(RETRY_US):
            del self._running[key]
            times = "" if found.once else f" ({failures} times)"
            self._lost(wanted.flow_id, cause + times)
        else:
            due_us = self._clock() + RETRY_US[failures - 1]
            heapq.heappush(self._again, (due_us, wanted))


def wanted_of(flow_id: int, calls: Iterable[CallState]) -> list[Wanted]:
    """What must be run for these calls."""
    return [Wanted(flow_id, call.number, call.what, call.detail) for call in calls]
