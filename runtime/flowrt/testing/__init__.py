"""What authors test their flows with. Loads nothing until it is asked for: hypothesis is slow.

from flowrt.testing import conversations, protocol_machine, values_of, walk
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "arguments_of": "strategies",
    "conversations": "conversation",
    "Conversation": "conversation",
    "protocol_machine": "machine",
    "ProtocolMachine": "machine",
    "values_of": "strategies",
    "walk": "walking",
    "Walk": "walking",
}

__all__ = [
    "Conversation",
    "ProtocolMachine",
    "Walk",
    "arguments_of",
    "conversations",
    "protocol_machine",
    "values_of",
    "walk",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
