"""Defects of the compiler: what a state keeps, what is caught where, how long a wait may last."""

from __future__ import annotations

from tests.simulation.planting import defect

_ROOM = "compiler"
_LIVE = "flowlang.cfg.liveness"

DEFECTS = (
    defect(
        "loop forgets",
        _ROOM,
        "what only a later round of a loop needs is not kept",
        "hospital",
        (f"{_LIVE}:needed", "if found != needs[name]:", "if found != needs[name] and not needs[name]:"),
    ),
    defect(
        "handler forgets",
        _ROOM,
        "what only the handler of an error needs is not kept",
        "hospital",
        (f"{_LIVE}:_block_needs", "live = _next_needs(block.next, needs) | caught", "live = _next_needs(block.next, needs)\n    caught = NOTHING"),
    ),
    defect(
        "wait forgets",
        _ROOM,
        "what a wait itself needs is not kept",
        "hospital",
        (f"{_LIVE}:_next_needs", "return needs[target] | _all_read(walk.wait_expressions(wait))", "return needs[target]"),
    ),
)
