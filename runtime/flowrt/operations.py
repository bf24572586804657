"""External operations under way: which run, which run again, which nobody knows the end of.

They are recorded in checkpoints before they run, so after a restart they are begun again with the
same key: at least once; those that may run only once are not, nor are those that three processes
in a row did not outlive. Keeps nothing durable itself.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, NamedTuple, TypeAlias

from flowrt.core.engine import writable
from flowrt.core.flow import FlowError
from flowrt.core.hospital import one_line, text_of
from flowrt.core.values import BadBytes, CallState, Ending, decode, encode
from flowrt.peers.fair import FairQueue
from flowrt.reports import Reports
from flowrt.services import External
from flowrt.store import Store
from flowrt.store.marks import DEADLY

RETRY_US = tuple(1_000_000 * seconds for seconds in (1, 2, 4, 8, 16, 32, 60, 60, 60))
"""How long after each failure an operation is tried again; after the last its flow needs help."""

GATHERED = 4_096
"""How many calls of operations that are done together run at a time."""

ORDINARY, TOGETHER, SUSPECTED = "ordinary", "together", "suspected"
"""What calls wait in line for: those that are done together (`gathers`) have a line of their own,
and so have those that would be deadly if they ended one process more. Of these one runs at a time,
so that what it does is not laid to the others."""

ENDS_ITS_PROCESS = "EndsItsProcess"
"""How the cause of a patient begins whose operation is deadly, as with steps that are."""

_LOG = logging.getLogger("flowrt.operations")


Key: TypeAlias = tuple[int, int]
"""A call: its flow and its number there."""


class Wanted(NamedTuple):
    """An operation to be run: whose, which of its calls, which operation, its arguments; under
    which incarnation of the store, if that is another one by now."""

    flow_id: int
    number: int
    what: str
    detail: bytes
    under: bytes = b""


class Operations:
    """The external operations of one node. `ended` and `lost` are told how a call ended, and that
    one needs a person; `perform` runs a function outside of everything and tells what came of it.
    At most `at_once` run at a time, and `GATHERED` of those that are done together (`gathers`); the
    others wait for their turn. `store` is told which are under way, so that the next process knows
    which this one did not outlive (`deaths`).

    A call is known from `see_to` until its end is committed (`settled`), so that nothing is begun
    again that this process has begun: neither while it runs, nor while its end is on its way to the
    store, nor when the node went back to its store in between.
    """

    def __init__(
        self,
        services: Mapping[str, Any],
        ended: Callable[[int, int, Ending], None],
        lost: Callable[[int, int, str], None],
        perform: Callable[
            [External, tuple[Any, ...], Callable[[Any, Exception | None], None]], None
        ],
        clock: Callable[[], int],
        reports: Reports,
        store: Store,
        at_once: int = 64,
    ) -> None:
        self._at_once = {ORDINARY: at_once, TOGETHER: GATHERED, SUSPECTED: 1}
        self._running = dict.fromkeys(self._at_once, 0)
        self._is_beginning = False
        self._waiting: dict[str, FairQueue[int, tuple[External, Wanted, int]]] = {
            line: FairQueue() for line in self._at_once
        }
        self._services = services
        self._ended = ended
        self._lost = lost
        self._perform = perform
        self._clock = clock
        self._reports = reports
        self._known: dict[Key, int] = {}
        self._begun = 0
        self._failures: dict[Key, int] = {}
        self._again: list[tuple[int, int, Wanted]] = []
        self._allowed: set[Key] = set()
        self._store = store
        self._under_way: set[Key] = set()
        self._deadly: set[Key] = set()
        self.deaths: dict[Key, int] = {}
        """How many processes in a row each call has ended."""
        self.incarnation = b""

    def __len__(self) -> int:
        """How many calls are under way."""
        return len(self._known)

    def allow(self, flow_id: int, numbers: Iterable[int]) -> None:
        """These calls have surely not run yet, or a person wants them run again."""
        for number in numbers:
            self._allowed.add((flow_id, number))
            self._failures.pop((flow_id, number), None)

    def settled(self, flow_id: int, number: int) -> None:
        """The call's end is committed, or nobody waits for it any more."""
        key = (flow_id, number)
        self._known.pop(key, None)
        self._failures.pop(key, None)
        self._allowed.discard(key)
        self._reports.forget(flow_id, number)
        if key in self._deadly:
            self._deadly.discard(key)  # What is committed is that it waits for a person.
        else:
            self._outlived(key)

    def stop(self) -> None:
        """The process leaves in good order what is under way, or somebody else has the store."""
        for key in self._under_way:
            self._store.end_call(key, outlived=False)
        self._under_way.clear()

    def _outlived(self, key: Key) -> None:
        """Nothing that it has ended counts any more."""
        if key in self._under_way or key in self.deaths:
            self._under_way.discard(key)
            self.deaths.pop(key, None)
            self._store.end_call(key, outlived=True)

    def pause(self, flow_ids: Set[int]) -> None:
        """These flows are in the hospital: what failed is not tried again until they are out."""
        for _, begun, wanted in self._again:
            key = (wanted.flow_id, wanted.number)
            if wanted.flow_id in flow_ids and self._known.get(key) == begun:
                del self._known[key]
        self._again = [one for one in self._again if one[2].flow_id not in flow_ids]
        heapq.heapify(self._again)

    def see_to(self, wanted: Wanted) -> None:
        """Run it, unless that is under way."""
        key = (wanted.flow_id, wanted.number)
        if key in self._known:
            return
        self._begun += 1
        self._known[key] = self._begun
        found = self._external(wanted.what)
        if found is None:
            self._lost(*key, f"{wanted.what} is not an operation of this node")
        elif self.deaths.get(key, 0) >= DEADLY and key not in self._allowed:
            self._deadly.add(key)
            self._lost(
                *key,
                f"{ENDS_ITS_PROCESS}: {self.deaths[key]} processes in a row have ended while "
                f"{wanted.what} ran: killed, out of memory, or by a fault in native code. It runs "
                "again only when a person says so",
            )
        elif found.once and key not in self._allowed:
            self._lost(
                *key,
                f"it is not known whether {wanted.what} has run, and it may run only once; "
                "a retry runs it again",
            )
        else:
            self._allowed.discard(key)
            self._begin(found, wanted, self._begun)

    def next_due(self) -> int | None:
        """When an operation is to be tried again (microseconds)."""
        return self._again[0][0] if self._again else None

    def try_again(self, now_us: int) -> None:
        """Run what failed and is due."""
        while self._again and self._again[0][0] <= now_us:
            _, begun, wanted = heapq.heappop(self._again)
            found = self._external(wanted.what)
            if found is not None and self._is_known(wanted, begun):
                self._begin(found, wanted, begun)

    def _is_known(self, wanted: Wanted, begun: int) -> bool:
        """Whether somebody waits for what was begun as number `begun`."""
        return self._known.get((wanted.flow_id, wanted.number)) == begun

    def _external(self, what: str) -> External | None:
        service, _, operation = what.rpartition(".")
        found = getattr(self._services.get(service), operation, None)
        return found if isinstance(found, External) else None

    def _begin(self, found: External, wanted: Wanted, begun: int) -> None:
        line = TOGETHER if found.gathers else ORDINARY
        if self.deaths.get((wanted.flow_id, wanted.number), 0) >= DEADLY - 1:
            line = SUSPECTED
        self._waiting[line].append(wanted.flow_id, (found, wanted, begun))
        self._run_more()

    def _run_more(self) -> None:
        if self._is_beginning:
            return  # One that ends at once makes room for the next in the loop below.
        self._is_beginning = True
        try:
            for line, waiting in self._waiting.items():
                while waiting and self._running[line] < self._at_once[line]:
                    _, (found, wanted, begun) = waiting.popleft()
                    if self._is_known(wanted, begun):  # Somebody still waits for it.
                        self._run(found, wanted, begun, line)
        finally:
            self._is_beginning = False

    def _run(self, found: External, wanted: Wanted, begun: int, line: str) -> None:
        # The same over retries and restarts, and no other call of any flow of this store has it.
        incarnation = wanted.under or self.incarnation
        key = f"{incarnation.hex()}-{wanted.flow_id}-{wanted.number}"
        try:
            arguments = (key, *found.arguments(wanted.detail))
        except BadBytes as error:
            text = f"{wanted.what} takes other arguments now: {error}"
            self._lost(wanted.flow_id, wanted.number, text)
            return

        def done(value: Any, error: Exception | None) -> None:
            self._running[line] -= 1
            self._outlived(call)
            if self._is_known(wanted, begun):
                self._done(found, wanted, begun, value, error)
            self._run_more()

        def progress(label: object = "", done: object = None) -> None:
            if self._is_known(wanted, begun):
                self._reports.say(wanted.flow_id, wanted.number, wanted.what, label, done)

        call = wanted[:2]
        self._running[line] += 1
        self._under_way.add(call)
        self._store.begin_call(call)
        self._perform(found.reporting(progress), arguments, done)

    def _done(
        self, found: External, wanted: Wanted, begun: int, value: Any, error: Exception | None
    ) -> None:
        try:
            ending = _ending_of(found, value, error)
        except Exception as wrong:
            self._failed(found, wanted, begun, wrong)
        else:
            self._ended(wanted.flow_id, wanted.number, ending)

    def _failed(self, found: External, wanted: Wanted, begun: int, error: Exception) -> None:
        key = (wanted.flow_id, wanted.number)
        self._reports.forget(*key)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        cause = f"{wanted.what} failed: {text_of(error)}"
        about = {"flow_id": wanted.flow_id}
        _LOG.warning("flow %d: %s", wanted.flow_id, one_line(cause), extra=about)
        if found.once or failures > len(RETRY_US):
            times = "" if found.once else f" ({failures} times)"
            self._lost(*key, cause + times)
        else:
            due_us = self._clock() + RETRY_US[failures - 1]
            heapq.heappush(self._again, (due_us, begun, wanted))


def _ending_of(found: External, value: Any, error: Exception | None) -> Ending:
    """What came of an operation: its result or a declared error. Raises what is neither."""
    if error is None:
        return Ending(found.result(value))
    if not isinstance(error, FlowError) or error.builtin:
        raise error
    fields = encode(error.fields())
    decode(error.Fields, fields)  # What cannot be read again is no declared error.
    return Ending(fields, error.wire, writable(str(error)))


def wanted_of(flow_id: int, calls: Iterable[CallState]) -> list[Wanted]:
    """What must be run for these calls."""
    return [Wanted(flow_id, call.number, call.what, call.detail, call.under) for call in calls]
