"""Defects of events and of the ends that services hear of."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "events"
_STEPPING = "flowrt.stepping:Stepping"

DEFECTS = (
    defect(
        "nobody hears what has happened",
        _ROOM,
        "who waits for an event is not stepped when it is told",
        "L",
        (f"{_STEPPING}._notify", "        if waits:\n", "        if False:\n"),
    ),
    defect(
        "waits of the same batch are overlooked",
        _ROOM,
        "an event is told to those in the store, not to those who began to wait in this batch",
        "L",
        (f"{_STEPPING}._notify", " | turn.batch.waits.get(key, {})", ""),
    ),
    defect(
        "a wait outlives its deadline",
        _ROOM,
        "the row of a wait stays when nobody waits any more",
        "I16",
        (
            "flowrt.core.incoming:Incoming._drop",
            "call.kind == EVENT and call.done is None",
            "call.kind == EVENT and call.done is not None",
        ),
    ),
    defect(
        "what services say when they are set up is lost",
        _ROOM,
        "who waits for what came about while the node was down is not looked at",
        "L",
        (f"{_STEPPING}._set_up_for", "self._make_ready(flow_id, batch)", "pass"),
    ),
    defect(
        "an end is not told",
        _ROOM,
        "services do not hear of the ends of flows",
        "J5",
        (
            f"{_STEPPING}._write",
            "self._endings.tell(flow_id, outcome.flow, self._tx, batch)",
            "pass",
        ),
    ),
)
