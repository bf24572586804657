"""Objects that stand in for services: a method for each operation. Knows not what they answer."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from flowrt.core.flow import Operation, ServiceKey


def stand_in(key: ServiceKey[Any], method: Callable[[Operation], Callable[..., Any]]) -> object:
    """What can be bound as this service. `method` gives for an operation a function that is called
    as the author's would be: with the transaction or the key, then with the arguments."""
    made = types.SimpleNamespace()
    for operation in key.operations:
        setattr(made, operation.name, method(operation))
    return made


def short(name: str) -> str:
    """The last part of a qualified name, as one writes it in the module itself."""
    return name.rpartition(".")[2]
