"""`flowc run`: one flow among parties in this process. It knows the runtime; no pass does.

Every party that an argument names gets a node with its store; messages go through memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from flowlang.arguments import NotAValue, value_of
from flowrt.core.flow import Flow, FlowError, Message, Party
from flowrt.core.flow import written as written_as
from flowrt.core.progress import ProgressEvent
from flowrt.core.registry import NotRegistrable
from flowrt.core.values import plain as plain
from flowrt.node import Node, NodeStopped, NotAccepted, NotStartable
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


def arguments_of(
    flow: type[Flow[Any]], written: Sequence[str], modules: Sequence[ModuleType] = ()
) -> dict[str, Any]:
    """`key=value` words as the flow's typed arguments. Raises CannotRun, naming the argument."""
    if "rpc" not in flow.startable:
        raise CannotRun(f"{flow.__name__} is not `startable by rpc`")
    # A parameter that Python could not take as it is called has an underscore more.
    fields = {one.name.rstrip("_"): one for one in msgspec.structs.fields(flow.Start)}
    if flow.owner:
        fields.popitem()  # The session with whoever starts it, which its node opens.
    given: dict[str, Any] = {}
    for word in written:
        key, equals, value = word.partition("=")
        if not equals:
            raise CannotRun(f"`{word}` is not an argument; write key=value")
        if key not in fields:
            known = ", ".join(fields) or "none"
            raise CannotRun(f"{flow.__name__} has no parameter `{key}`; it has: {known}")
        given[fields[key].name] = _argument(key, value, fields[key].type, modules)
    missing = [k for k, field in fields.items() if field.name not in given and field.required]
    if missing:
        raise CannotRun(f"missing: {', '.join(f'{key}=…' for key in missing)}")
    return given


def _argument(key: str, value: str, kind: Any, modules: Sequence[ModuleType]) -> Any:
    """A value as the language writes it; else as JSON or plain text."""
    try:
        return value_of(value, kind, modules)
    except NotAValue as error:
        try:
            return msgspec.json.decode(value.encode(), type=kind)
        except msgspec.MsgspecError:
            raise CannotRun(f"{key}={value}: {error}") from None


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
    sent: Sequence[str] = (),
    answers: Sequence[str] = (),
    hear: Callable[[int, str, Message], None] = lambda flow_id, party, message: None,
) -> dict[str, Any]:
    """Start the flow as `own` and wait for its end; `tell` hears its progress. `sent` are messages
    from its owner, `hear` hears what it says to that; `answers` (`role=value`) are given, in this
    order, to whoever asks that role.

    Returns:
        Plain data: `flow`, `id`, and either `result` or `error` with its fields.

    Raises:
        CannotRun: arguments, services or stores do not fit.
    """
    arguments = arguments_of(flow, written, modules)
    parties = list(dict.fromkeys([*parties_in(arguments, own), *extra_parties]))
    try:
        async with nodes_of(parties, modules, services, folder) as nodes:
            handle: Any = await nodes[own].start(flow, **arguments)
            listening = asyncio.create_task(_listen(own, handle, tell))
            hearing = asyncio.create_task(_hear(own, handle, flow, hear))
            people = _People(list(nodes.values()), answers, modules)
            trouble = asyncio.create_task(people.answer())
            result = asyncio.create_task(handle.result())
            sending = asyncio.create_task(_send(handle, flow, sent, modules))
            helpers = {listening, hearing, trouble, result, sending}
            try:
                waiting = {result, trouble, sending}
                while not (result.done() or trouble.done()):
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    if sending.done():
                        sending.result()  # Says what is wrong with a message.
                        waiting.discard(sending)
                if not result.done():
                    raise CannotRun(trouble.result())
                await listening
            finally:
                for task in helpers:
                    task.cancel()
            return {"flow": flow.versioned(), "id": handle.id} | _outcome(result)
    except (NotRegistrable, NotStartable, ServiceMissing, StoreError) as error:
        raise CannotRun(str(error)) from None


async def _listen(own: str, handle: Any, tell: Callable[[int, str, ProgressEvent], None]) -> None:
    async for event in handle.progress():
        tell(handle.id, own, event)


async def _hear(
    own: str, handle: Any, flow: type[Flow[Any]], hear: Callable[[int, str, Message], None]
) -> None:
    """Everything that a flow says to its owner."""
    with contextlib.suppress(FlowError, NodeStopped):
        while flow.owner:
            hear(handle.id, own, await handle.receive())


async def _send(
    handle: Any, flow: type[Flow[Any]], sent: Sequence[str], modules: Sequence[ModuleType]
) -> None:
    """What the owner sends, one after the other."""
    for text in sent:
        name = text.partition("(")[0].strip()
        kind = next((kind for kind in flow.commands if kind.__name__ == name), None)
        if kind is None:
            known = ", ".join(kind.__name__ for kind in flow.commands) or "nothing"
            raise CannotRun(f"--send {text}: {flow.__name__} takes from its owner: {known}")
        try:
            await handle.send(value_of(text if "(" in text else f"{text}()", kind, modules))
        except (NotAValue, NotAccepted) as error:
            raise CannotRun(f"--send {text}: {error}") from None


class _People:
    """Whoever answers the questions that come up, as far as the answers reach."""

    def __init__(
        self, nodes: Sequence[Node], answers: Sequence[str], modules: Sequence[ModuleType]
    ) -> None:
        self._nodes = nodes
        self._modules = modules
        self._answers: list[tuple[str, str]] = []
        for answer in answers:
            role, equals, value = answer.partition("=")
            if not equals:
                raise CannotRun(f"--answer {answer}: write role=value")
            self._answers.append((role, value))

    async def answer(self) -> str:
        """Answer until a question has no answer left, or a flow is in the hospital; says which."""
        while True:
            for node in self._nodes:
                for patient in node.hospital():
                    return (
                        f"flow {patient.flow_id} of {node.party.name} is in the hospital at "
                        f"{patient.place}: {patient.cause}"
                    )
                for task in node.tasks():
                    given = next((one for one in self._answers if one[0] == task.role), None)
                    if given is None:
                        return (
                            f"flow {task.flow_id} of {node.party.name} asks {task.role}: "
                            f"{shown(task.question)}; answer with --answer '{task.role}=…'"
                        )
                    self._answers.remove(given)
                    try:
                        value = value_of(given[1], task.answer, self._modules)
                        await node.answer(task.flow_id, task.number, value, by=task.role)
                    except (NotAValue, NotAccepted, TypeError) as error:
                        return f"--answer {given[0]}={given[1]}: {error}"
            await asyncio.sleep(0.05)


def shown(value: Any) -> str:
    """A value on one line, as an author would write it."""
    if isinstance(value, msgspec.Struct) and not isinstance(value, Party):
        fields = [f"{name}={shown(getattr(value, name))}" for name in value.__struct_fields__]
        return f"{type(value).__name__.rpartition('_')[2]}({', '.join(fields)})"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    return written_as(value)


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
