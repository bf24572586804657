"""What a compiled flow shows to who starts it: its parameters, its owner's messages, its result,
its errors, as JSON Schemas; and the version of what serves it. Asks no node and serves nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from flowrt.api.bodies import ErrorType, FlowType, MessageType, Types
from flowrt.api.reading import Schemas
from flowrt.core.flow import Flow
from flowrt.core.registry import AnyFlow, Registry


@functools.cache
def version() -> str:
    """The version of the package that this is."""
    import importlib.metadata  # brings `email` and `zipfile`, which a node's start needs not

    return importlib.metadata.version("flowlang-dsl")


def started_by_http(registry: Registry, name: str) -> AnyFlow | None:
    """The newest version of the flow of that name, or that version of it, if it is one that may be
    started from outside at all."""
    kind = registry.newest(name) or registry.classes.get(name)
    return kind if kind is not None and "rpc" in kind.startable else None


def startable(registry: Registry, may: Callable[[str], bool]) -> list[AnyFlow]:
    """The flows that can be started from outside and that `may` lets through, by name."""
    names = sorted({kind.name for kind in registry.names if "rpc" in kind.startable})
    found = [started_by_http(registry, name) for name in names if may(name)]
    return [kind for kind in found if kind is not None]


def parameters(kind: AnyFlow, schemas: Schemas) -> dict[str, Any]:
    """The JSON Schema of what a flow is started with."""
    own = (kind.Start.__struct_fields__[-1],) if kind.owner else ("",)
    found = schemas.record(kind.Start, leaving=own)
    found.pop("description", None)
    return found


def flow_type(kind: AnyFlow, schemas: Schemas) -> FlowType:
    """One flow as it is shown."""
    return FlowType(
        kind.name,
        kind.version,
        inspect.cleandoc(kind.__doc__ or ""),
        parameters(kind, schemas),
        schemas.of(kind.Result),
        kind.owner,
        [MessageType(one.wire, schemas.of(one)) for one in kind.commands] if kind.owner else [],
        [
            ErrorType(name, inspect.cleandoc(error.__doc__ or ""), schemas.of(error.Fields))
            for name, error in sorted(kind.errors.items())
            if not error.builtin
        ],
    )


def types_of(kinds: Iterable[type[Flow[Any]]]) -> Types:
    """All of them, and the types that they name."""
    schemas = Schemas("#/definitions/")
    flows = [flow_type(kind, schemas) for kind in kinds]
    return Types(flows, schemas.parts)
