"""Defects to be planted, by room. Each is a mistake that somebody could make."""

from __future__ import annotations

from tests.planted.defects import (
    compiler,
    engine,
    events,
    ledger,
    lineage,
    node,
    roles,
    session,
    store,
)
from tests.planted.planting import Defect

DEFECTS: tuple[Defect, ...] = (
    *session.DEFECTS,
    *engine.DEFECTS,
    *node.DEFECTS,
    *store.DEFECTS,
    *events.DEFECTS,
    *lineage.DEFECTS,
    *ledger.DEFECTS,
    *compiler.DEFECTS,
    *roles.DEFECTS,
)
