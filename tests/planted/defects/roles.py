"""Defects of roles: who answers for one, and what its messages look like."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "roles"
_REGISTRY = "flowrt.core.registry:Registry"
_SHAPES = "flowrt.core.shapes"

DEFECTS = (
    defect(
        "nobody answers for a role",
        _ROOM,
        "a role that is asked for is looked up as if it were a flow",
        "J4",
        (f"{_REGISTRY}._answers", "next(iter(self._by_role.get(flow, ())), flow)", "flow"),
    ),
    defect(
        "the initiator answers itself",
        _ROOM,
        "a flow that responds to a role is found for that role, not for the other one",
        "J4",
        (f"{_REGISTRY}.add", "and role != flow.responds_to", "and role == flow.responds_to"),
    ),
    defect(
        "any message will do",
        _ROOM,
        "a message with other fields at the other side is noticed only when it comes",
        "J4",
        (f"{_SHAPES}:_difference", "place = _misfit(sender, receiver)", "place = None"),
    ),
)
