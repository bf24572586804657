"""Tells hypothesis about generated classes when it is loaded. Costs nothing until it is asked.

The entry point `hypothesis` of this package: `from_type(trade_flow.Order)` works by itself.
"""

from __future__ import annotations

import sys
from typing import Any


def register() -> None:
    """Let `hypothesis.strategies.from_type` find strategies for declared types."""
    from hypothesis.strategies._internal import types

    # The only door that also lets classes in which are made later, as those of modules imported
    # after hypothesis are. tests/testing/test_strategies.py tells if it closes.
    doors = getattr(types, "_global_extra_lookup", None)
    if doors is not None:
        doors["flowrt.core.flow"] = _resolve


def _resolve(kind: Any) -> Any:
    """The strategy of a declared type, or None for what is none of ours."""
    flow = sys.modules["flowrt.core.flow"]
    if kind in (flow.Int, flow.Timestamp) or (
        isinstance(kind, type)
        and issubclass(kind, flow.Value | flow.FlowError)
        and kind not in (flow.Value, flow.Message)
    ):
        from flowrt.testing.strategies import values_of

        return values_of(kind)
    return None
