"""Waits for events are as they should be: each in the store, none of nobody, none for what is so.

It reads a disk and asks the node's services; it changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from flowrt.core.values import CallState, Checkpoint
from flowrt.core.waiting import open_events, wait_key
from flowrt.sim.host import Host
from flowrt.sim.violation import Violation
from flowrt.store.memory import MemoryDisk


def is_expected(host: Host, flow_id: int, call: CallState) -> None:
    """A flow rests for this event. Raises Violation."""
    name = f"flow {flow_id} of {host.name} waits for {call.what}"
    if (flow_id, call.number) not in host.disk.waits.get(wait_key(call.what, call.detail), ()):
        raise Violation("I15", f"{name}, and nobody will tell it")
    if host.node is not None and _is_so(host, call):
        raise Violation("L", f"{name}, which is so")


def _is_so(host: Host, call: CallState) -> bool:
    assert host.node is not None
    tx = host.node._tx
    event = tx.events.named(call.what)
    if event is None or not inspect.ismethod(event.method):
        return False  # What stands in for a service knows no facts.
    try:
        return tx.events.ask(tx, call.what, call.detail) is not None
    except Exception:
        return False  # Trouble with a service is the world's.
    finally:
        tx.finish(keep=False)
        host.node._store.abandon()


def belong(party: str, disk: MemoryDisk, living: Mapping[int, Checkpoint]) -> None:
    """Every wait in the store is a living flow's. Raises Violation."""
    for key, waits in disk.waits.items():
        for flow_id, number in waits:
            if number < 0 or (flow_id in disk.flows and flow_id not in living):
                continue
            calls = open_events(living[flow_id]) if flow_id in living else []
            if all(c.number != number or wait_key(c.what, c.detail) != key for c in calls):
                raise Violation("I16", f"wait {number} of flow {flow_id} of {party} is nobody's")
