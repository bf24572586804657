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

from flowlang import standard
from flowlang.arguments import NotAValue, value_of
from flowlang.diagnostics import closest
from flowrt.core.flow import Flow, FlowError, Message, Party
from flowrt.core.flow import written as written_as
from flowrt.core.progress import ProgressEvent
from flowrt.core.registry import NotRegistrable
from flowrt.core.values import BadBytes, decode, encode, writable
from flowrt.core.values import plain as plain
from flowrt.node import Node, NodeStopped, NotAccepted, NotStartable, TaskView
from flowrt.services import ServiceMissing
from flowrt.store import Store, StoreError
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

Services = Callable[[str], Mapping[str, object]]
"""Gives a party's services, from its name."""


MAX_PARTY = 100


class CannotRun(Exception):
    """The flow cannot be run so; the message says what to change."""


class WrongUsage(CannotRun):
    """What was written on the command line does not fit: nothing was run."""


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
            found.append(importlib.import_module(standard.imported_as(module)))
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
    near = closest(name, startable)
    meant = f"; did you mean `{near}`?" if near else ""
    raise WrongUsage(
        f"there is no flow `{name}` in this file{meant}; flows that can be started: {known}"
    )


def arguments_of(
    flow: type[Flow[Any]],
    written: Sequence[str],
    modules: Sequence[ModuleType] = (),
    *,
    partly: bool = False,
) -> dict[str, Any]:
    """`key=value` words as the flow's typed arguments; with `partly` some may be missing. Raises
    CannotRun, naming the argument."""
    if "rpc" not in flow.startable:
        raise WrongUsage(f"{flow.__name__} is not `startable by rpc`")
    # A parameter that Python could not take as it is called has an underscore more.
    fields = {one.name.rstrip("_"): one for one in msgspec.structs.fields(flow.Start)}
    if flow.owner:
        fields.popitem()  # The session with whoever starts it, which its node opens.
    given: dict[str, Any] = {}
    for word in written:
        key, equals, value = word.partition("=")
        if not equals:
            raise WrongUsage(f"`{writable(word)}` is not an argument; write key=value")
        if key not in fields:
            known = ", ".join(fields) or "none"
            raise WrongUsage(f"{flow.__name__} has no parameter `{writable(key)}`; it has: {known}")
        if fields[key].name in given:
            raise WrongUsage(f"{key}=… is given twice")
        given[fields[key].name] = _argument(key, value, fields[key].type, modules)
    missing = [k for k, field in fields.items() if field.name not in given and field.required]
    if missing and not partly:
        raise WrongUsage(f"missing: {', '.join(f'{key}=…' for key in missing)}")
    return given


def _argument(key: str, value: str, kind: Any, modules: Sequence[ModuleType]) -> Any:
    """A value as the language writes it; else as JSON or plain text."""
    try:
        return value_of(value, kind, modules)
    except NotAValue as error:
        try:
            return decode(kind, encode(msgspec.json.decode(value.encode(), type=kind)))
        except (msgspec.MsgspecError, BadBytes, ValueError, OverflowError, RecursionError):
            raise WrongUsage(f"{writable(key)}={writable(value)}: {error}") from None


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
            bound = _services_of(party, services)
            store: Store = SqliteStore(folder / f"{party}.db") if folder else MemoryStore()
            nodes[party] = await Node.open(
                party,
                store=store,
                network=network,
                modules=modules,
                services=bound,
            )
        yield nodes
    finally:
        for node in nodes.values():
            await node.close()


def _services_of(party: str, services: Services | None) -> Mapping[str, object] | None:
    try:
        return services(party) if services is not None else None
    except Exception as error:
        raise CannotRun(
            f"the function of --services fails for {party}: {type(error).__name__}: {error}"
        ) from error


def check_party(name: str) -> str:
    """The name, if a party may be called so here, where it may become the name of a file too."""
    if not name or len(name) > MAX_PARTY or not name.isprintable():
        raise WrongUsage(
            f"a party's name has 1 to {MAX_PARTY} characters that can be printed, not {name!a}"
        )
    if name.startswith(".") or "/" in name or "\\" in name:
        raise WrongUsage(f"a party's name is no path, as {name} is")
    return name


def messages_of(
    flow: type[Flow[Any]], sent: Sequence[str], modules: Sequence[ModuleType]
) -> list[Message]:
    """What the owner is to send, from `Pay(5)` and such. Raises WrongUsage."""
    found: list[Message] = []
    for text in sent:
        name = text.partition("(")[0].strip()
        kind = next((kind for kind in flow.commands if kind.__name__ == name), None)
        if kind is None:
            known = ", ".join(kind.__name__ for kind in flow.commands) or "nothing"
            raise WrongUsage(f"--send {text}: {flow.__name__} takes from its owner: {known}")
        try:
            found.append(value_of(text if "(" in text else f"{text}()", kind, modules))
        except NotAValue as error:
            raise WrongUsage(f"--send {text}: {error}") from None
    return found


def answers_of(answers: Sequence[str]) -> list[tuple[str, str]]:
    """`role=value` words, in pairs. Raises WrongUsage."""
    found = []
    for answer in answers:
        role, equals, value = answer.partition("=")
        if not equals:
            raise WrongUsage(f"--answer {answer}: write role=value")
        found.append((role, value))
    return found


def find_services(target: str) -> Services:
    """The function `module:function` that gives a party's services. Raises CannotRun."""
    module, _, name = target.partition(":")
    if not module or not name:
        raise WrongUsage(f"--services {target}: write MODULE:FUNCTION")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise WrongUsage(f"--services {target}: {error}") from None
    if not callable(found):
        raise WrongUsage(f"--services {target}: this is not a function")
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
    messages = messages_of(flow, sent, modules)
    given = answers_of(answers)
    parties = list(dict.fromkeys([*parties_in(arguments, own), *extra_parties]))
    for party in parties:
        check_party(party)
    try:
        async with nodes_of(parties, modules, services, folder) as nodes:
            people = _People(list(nodes.values()), given, modules)
            handle: Any = await nodes[own].start(flow, **arguments)
            listening = asyncio.create_task(_listen(own, handle, tell))
            hearing = asyncio.create_task(_hear(own, handle, flow, hear))
            trouble = asyncio.create_task(people.answer())
            result = asyncio.create_task(handle.result())
            sending = asyncio.create_task(_send(handle, messages))
            helpers = {listening, hearing, trouble, result, sending}
            try:
                waiting = {result, trouble, sending}
                while not (result.done() or trouble.done()):
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    if sending.done():
                        sending.result()  # Says why a message was not taken.
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


async def _send(handle: Any, messages: Sequence[Message]) -> None:
    """What the owner sends, one after the other."""
    for message in messages:
        try:
            await handle.send(message)
        except NotAccepted as error:
            raise CannotRun(f"--send {shown(message)}: {error}") from None


class _People:
    """Whoever answers the questions that come up, as far as the answers reach. What earlier runs
    have left in the stores, questions and flows in the hospital, is left as it is."""

    def __init__(
        self,
        nodes: Sequence[Node],
        answers: Sequence[tuple[str, str]],
        modules: Sequence[ModuleType],
    ) -> None:
        self._nodes = nodes
        self._modules = modules
        self._answers = list(answers)
        self._left: set[tuple[str, int]] = set()
        for node in nodes:
            ids = [one.flow_id for one in node.hospital()]
            ids += [one.flow_id for one in node.tasks()]
            self._left |= {(node.party.name, flow_id) for flow_id in ids}

    async def answer(self) -> str:
        """Answer until a question has no answer left, or a flow is in the hospital; says which."""
        while True:
            for node in self._nodes:
                for patient in node.hospital():
                    if (node.party.name, patient.flow_id) not in self._left:
                        return (
                            f"flow {patient.flow_id} of {node.party.name} is in the hospital at "
                            f"{patient.place}: {patient.cause}"
                        )
                for task in node.tasks():
                    if (node.party.name, task.flow_id) not in self._left:
                        trouble = await self._answer(node, task)
                        if trouble is not None:
                            return trouble
            await asyncio.sleep(0.05)

    async def _answer(self, node: Node, task: TaskView) -> str | None:
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
        return None


def printable(text: str) -> str:
    """A text that comes from a peer, without what would paint the terminal."""
    return "".join([c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text])


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
