"""Services that want to know when a flow ends: which, of which flows, and who was not told yet.

What `flow_ended(tx, flow_id)` writes commits with the end. An end stands, whatever a service makes
of it: one that fails is undone alone, and is told again when the node opens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from flowrt.core.flow import Flow, ServiceKey
from flowrt.core.hospital import one_line, text_of
from flowrt.core.waiting import wait_key
from flowrt.services import StepTx, wants_ends
from flowrt.store import Batch, Store, Unwritable

_LOG = logging.getLogger("flowrt.node")

Told: TypeAlias = tuple[str, Callable[[StepTx, int], object]]
"""A service's name, and its method."""


UNTOLD = -1
"""The number of a wait that is no flow's: a service was not told of that flow's end."""


class Endings:
    """Who of a node's services is told of which flow's end: of those whose class, or that of a
    subflow, could have used it."""

    def __init__(
        self,
        classes: Mapping[str, type[Flow[Any]]],
        keys: Iterable[ServiceKey[Any]],
        services: Mapping[str, object],
    ) -> None:
        self._all = wants_ends(keys, services)
        self._of: dict[str, tuple[Told, ...]] = {}
        for name in classes if self._all else ():
            used = _services_of(name, classes)
            self._of[name] = _once([self._all[one] for one in used if one in self._all])

    def __bool__(self) -> bool:
        return bool(self._all)

    def tell(self, flow_id: int, flow: str, tx: StepTx, batch: Batch) -> None:
        """A flow of that versioned name has ended; of one that is not installed everybody is told,
        who could have been used. Raises Unwritable."""
        for told in self._of.get(flow, _once(self._all.values())):
            if not _tell(told, flow_id, tx):
                batch.waits.setdefault(_key(told), {})[flow_id, UNTOLD] = True

    def tell_again(self, store: Store, tx: StepTx, batch: Batch) -> None:
        """Tell what could not be told before. Raises Unwritable."""
        for told in _once(self._all.values()):
            for wait in store.waiting(_key(told)):
                if _tell(told, wait[0], tx):
                    batch.waits.setdefault(_key(told), {})[wait] = False


def _services_of(name: str, classes: Mapping[str, type[Flow[Any]]]) -> list[str]:
    """The services that a flow and its subflows use."""
    seen: dict[str, None] = {}
    waiting = [name]
    while waiting:
        at = waiting.pop()
        if at not in seen and at in classes:
            seen[at] = None
            waiting += classes[at].subflows
    return sorted({key.name for one in seen for key in classes[one].services})


def _once(found: Iterable[Told]) -> tuple[Told, ...]:
    """Each method once, though its object is bound as several services."""
    return tuple({told[1]: told for told in found}.values())


def _key(told: Told) -> bytes:
    return wait_key("flow_ended", told[0].encode())


def _tell(told: Told, flow_id: int, tx: StepTx) -> bool:
    """False if the service failed, and must be told again."""
    name, method = told
    tx.flow_id = flow_id
    try:
        outer = tx.enter(read_only=False)
        try:
            method(tx, flow_id)
        finally:
            tx.leave(outer)
    except Unwritable:
        raise  # The store's trouble, not this service's.
    except Exception as error:
        tx.finish(keep=False)
        text = one_line(text_of(error))
        _LOG.exception("%s.flow_ended failed for flow %d: %s", name, flow_id, text)
        return False
    tx.finish(keep=True)
    return True
