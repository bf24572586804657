"""`flowc run`: one flow among parties in this process. It knows the runtime; no pass does.

Every party that an argument names gets a node with its store; messages go through memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from flowrt.core.flow import Flow, FlowError, Party
from flowrt.core.progress import ProgressEvent
from flowrt.core.registry import NotRegistrable
from flowrt.core.values import plain
from flowrt.node import Node, NotStartable
from flowrt.services import ServiceMissing
from flowrt.store import Store, StoreError
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

Services = Callable[[str], Mapping[str, object]]
"""Gives a party's services, from its name."""


class CannotRun(Exception):
    """The flow cannot be run so; the message says what to change."""


@contextlib.contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Generated modules and the author's Python can be imported within this block."""
    added = [str(folder) for folder in folders]
    sys.path[:0] = added
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


def import_generated(modules: Sequence[str]) -> list[ModuleType]:
    """The Python modules of compiled `.flow` modules. Raises CannotRun."""
    found = []
    for module in modules:
        try:
            found.append(importlib.import_module(f"{module}_flow"))
        except Exception as error:
            raise CannotRun(
                f"the Python that `{module}` uses cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
    return found


def find_flow(modules: Sequence[ModuleType], name: str) -> type[Flow[Any]]:
    """The flow of that name (`Seller`, or one version of it: `Seller_v1`) in the first module."""
    flows = {
        value.__name__: value
        for value in vars(modules[0]).values()
        if isinstance(value, type) and issubclass(value, Flow) and value is not Flow
        if value.__module__ == modules[0].__name__
    }
    versions = [flow for flow in flows.values() if flow.name.rpartition(".")[2] == name]
    if name in flows:
        return flows[name]
    if versions:
        return max(versions, key=lambda flow: flow.version)
    startable = [f.name.rpartition(".")[2] for f in flows.values() if "rpc" in f.startable]
    known = ", ".join(sorted(startable)) or "none"
    raise CannotRun(f"there is no flow `{name}` in this file; flows that can be started: {known}")


def arguments_of(flow: type[Flow[Any]], written: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as the flow's typed arguments. Raises CannotRun, naming the argument."""
    if "rpc" not in flow.startable:
        raise CannotRun(f"{flow.__name__} is not `startable by rpc`")
    wanted = {field.encode_name: field.type for field in msgspec.structs.fields(flow.Start)}
    given: dict[str, Any] = {}
    for word in written:
        key, equals, value = word.partition("=")
        if not equals:
            raise CannotRun(f"`{word}` is not an argument; write key=value")
        if key not in wanted:
            known = ", ".join(wanted) or "none"
            raise CannotRun(f"{flow.__name__} has no parameter `{key}`; it has: {known}")
        given[key] = _argument(key, value, wanted[key])
    missing = [key for key in wanted if key not in given]
    if missing:
        raise CannotRun(f"missing: {', '.join(f'{key}=…' for key in missing)}")
    return given


def _argument(key: str, value: str, kind: Any) -> Any:
    if kind is Party:
        return Party(value)
    if kind is str:
        return value
    if kind is bytes:
        return bytes.fromhex(value.removeprefix("0x"))
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as plain:
        try:
            return msgspec.json.decode(value.encode(), type=kind)
        except msgspec.MsgspecError:
            raise CannotRun(f"{key}={value}: {plain}") from None


def parties_in(arguments: Mapping[str, Any], own: str) -> list[str]:
    """Our own party and every other that the arguments name, however deep."""
    found = {own: None}

    def look(value: Any) -> None:
        if isinstance(value, Party):
            found[value.name] = None
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                look(getattr(value, name))
        elif isinstance(value, Mapping):
            for entry in value.values():
                look(entry)
        elif isinstance(value, tuple | list):
            for item in value:
                look(item)

    for argument in arguments.values():
        look(argument)
    return list(found)


@contextlib.asynccontextmanager
async def nodes_of(
    parties: Sequence[str],
    modules: Sequence[ModuleType],
    services: Services | None,
    folder: Path | None,
) -> AsyncIterator[dict[str, Node]]:
    """An open node for each party, on one memory network; stores in `folder` if there is one."""
    network = MemoryNetwork()
    nodes: dict[str, Node] = {}
    try:
        for party in parties:
            store: Store = SqliteStore(folder / f"{party}.db") if folder else MemoryStore()
            nodes[party] = await Node.open(
                party,
                store=store,
                network=network,
                modules=modules,
                services=services(party) if services else None,
            )
        yield nodes
    finally:
        for node in nodes.values():
            await node.close()


def find_services(target: str) -> Services:
    """The function `module:function` that gives a party's services. Raises CannotRun."""
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CannotRun(f"--services {target}: {error}") from None
    if not callable(found):
        raise CannotRun(f"--services {target}: this is not a function")
    return found  # type: ignore[no-any-return]  # what it gives is checked when a node opens


async def run(
    modules: Sequence[ModuleType],
    flow: type[Flow[Any]],
    *,
    own: str,
    written: Sequence[str],
    extra_parties: Sequence[str],
    services: Services | None,
    folder: Path | None,
    tell: Callable[[int, str, ProgressEvent], None],
) -> dict[str, Any]:
    """Start the flow as `own` and wait for its end; `tell` hears its progress.

    Returns:
        Plain data: `flow`, `id`, and either `result` or `error` with its fields.

    Raises:
        CannotRun: arguments, services or stores do not fit.
    """
    arguments = arguments_of(flow, written)
    parties = list(dict.fromkeys([*parties_in(arguments, own), *extra_parties]))
    try:
        async with nodes_of(parties, modules, services, folder) as nodes:
            handle: Any = await nodes[own].start(flow, **arguments)
            listening = asyncio.create_task(_listen(own, handle, tell))
            patient = asyncio.create_task(_admitted(list(nodes.values())))
            result = asyncio.create_task(handle.result())
            await asyncio.wait({result, patient}, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                for task in (listening, result):
                    task.cancel()
                raise CannotRun(patient.result())
            patient.cancel()
            await listening
            return {"flow": flow.versioned(), "id": handle.id} | _outcome(result)
    except (NotRegistrable, NotStartable, ServiceMissing, StoreError) as error:
        raise CannotRun(str(error)) from None


async def _listen(own: str, handle: Any, tell: Callable[[int, str, ProgressEvent], None]) -> None:
    async for event in handle.progress():
        tell(handle.id, own, event)


async def _admitted(nodes: Sequence[Node]) -> str:
    """Waits until a flow of any party is in the hospital; says why."""
    while True:
        for node in nodes:
            for patient in node.hospital():
                return (
                    f"flow {patient.flow_id} of {node.party.name} is in the hospital at "
                    f"{patient.place}: {patient.cause}"
                )
        await asyncio.sleep(0.05)


def _outcome(result: asyncio.Task[Any]) -> dict[str, Any]:
    try:
        return {"result": plain(result.result())}
    except FlowError as error:
        fields = {n: plain(getattr(error, n)) for n in error.Fields.__struct_fields__}
        peer = error.peer.name if error.peer else None
        return {
            "error": {
                "name": error.wire,
                "text": str(error),
                "fields": fields,
                "id": error.error_id,
                "peer": peer,
            }
        }
