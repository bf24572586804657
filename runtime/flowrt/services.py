"""The author's Python bound to a node: found by name, checked when it opens, run inside a step.

It lends an operation the running transaction and takes it back; it never begins or ends one.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import functools
import importlib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from flowrt.core.flow import Flow, FlowError, Operation, Party, ServiceKey, normal, typed
from flowrt.core.values import Ending, decode, encode, writable
from flowrt.store import Store
from flowrt.store.statements import Refused, only_reads

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

OUTSIDE = ("external", "once")
"""The kinds of operation that run outside of a step."""


_M = TypeVar("_M", bound=Callable[..., Any])


def gathers(method: _M) -> _M:
    """Marks the method of an external operation whose calls wait for each other and are done
    together, such as entries in a database of its own. They do not count against
    `Limits.operations`, which would keep such batches small, but against a bound of their own."""
    method.gathers = True  # type: ignore[attr-defined]
    return method


class Watcher(NamedTuple):
    """Sees what steps call of the author's Python, for tests: `operation(name, method, *arguments)`
    calls an operation, `function(target)` hears of a function that a flow of some node calls."""

    operation: Callable[..., Any]
    function: Callable[[str], None]


watcher: Watcher | None = None
"""Sees the calls of all nodes of this process, while a test has set it."""


class ServiceMissing(Exception):
    """A node cannot open: a service or function that its flows use is absent or does not fit."""


class StepTx:
    """The running step's transaction, as an operation sees it (`rt.Tx`). One for each node.

    The first statement of a step that may write opens a savepoint, so that a step which fails
    undoes only itself.
    """

    def __init__(self, me: Party, store: Store) -> None:
        self.me = me
        self.flow_id = 0
        self.incarnation = b""
        self.now_us = 0
        self._now = (0, _EPOCH)
        self._store = store
        self._begun = False
        self._refused: Refused | None = None
        self._depth = 0
        self._read_only = True
        self.known: dict[str, Any] = {}
        """What services remember of their tables (`rt.Tx.known`)."""
        self.notices: dict[tuple[str, bytes], None] = {}
        """The events that were told in this step, and not taken yet."""
        self.events = Events({}, ())

    @property
    def now(self) -> datetime.datetime:
        """The step's time, in UTC."""
        if self._now[0] != self.now_us:
            self._now = (self.now_us, _EPOCH + datetime.timedelta(microseconds=self.now_us))
        return self._now[1]

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement of a service; its rows."""
        if not self._depth:
            raise RuntimeError(
                "this transaction is over: a service may use `tx` only while its operation runs"
            )
        if not self._begun and not self._read_only and not only_reads(sql):
            self._store.savepoint()
            self._begun = True
        try:
            return self._store.execute(sql, parameters, read_only=self._read_only)
        except Refused as error:
            self._refused = error
            raise

    def lives(self, flow_id: int) -> bool:
        """Whether a flow was at rest here at the last commit (`rt.Tx.lives`)."""
        return self._store.load(flow_id) is not None

    def happened(self, event: str, *arguments: object) -> None:
        """Say that what an event asks for with these arguments is so now (`rt.Tx.happened`). The
        event is named as `recorded`, or `Vault.recorded` where two services have one of that name.

        Raises:
            RuntimeError: no operation runs, or it is a `read` operation, which makes nothing so.
            TypeError: there is no such event, or it takes other arguments.
        """
        if not self._depth or self._read_only:
            raise RuntimeError("only a `write` operation, or `setup`, says what has happened")
        found = self.events.notice(event, arguments)
        if found is not None:
            self.notices[found] = None

    def take_notices(self) -> list[tuple[str, bytes]]:
        """The events that were told and not taken yet: name and bytes of the arguments."""
        found = list(self.notices)
        self.notices.clear()
        return found

    def enter(self, read_only: bool) -> bool:
        """Lend the transaction to an operation; returns what `leave` must be given."""
        outer = self._read_only
        self._read_only = read_only or (self._depth > 0 and outer)
        self._depth += 1
        return outer

    def leave(self, outer: bool) -> None:
        """Take it back. Raises Refused again if the operation has caught it: a step that tried what
        it may not do must not go on as if it had worked."""
        self._depth -= 1
        self._read_only = outer
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    def forget(self) -> None:
        """The transaction is gone, whatever a step was doing in it."""
        self.known.clear()
        self.notices.clear()
        self._begun = False
        self._refused = None
        self._depth = 0
        self._read_only = True

    def finish(self, keep: bool) -> None:
        """End of the step: keep what its operations wrote, or undo it."""
        if not keep:
            self.known.clear()
            self.notices.clear()
        if self._begun:
            self._begun = False
            if keep:
                self._store.release()
            else:
                self._store.rollback()


class Reading:
    """What services have committed, for reading from outside of steps (`rt.Tx`): the same `read`
    operations work with it. Used between turns, never in one, where it would see what is not
    committed yet."""

    flow_id = 0

    def __init__(
        self, me: Party, store: Store, clock: Callable[[], int], incarnation: bytes = b""
    ) -> None:
        self.me = me
        self.incarnation = incarnation
        self._store = store
        self._clock = clock

    @property
    def now(self) -> datetime.datetime:
        """The node's time, in UTC."""
        return _EPOCH + datetime.timedelta(microseconds=self._clock())

    @property
    def known(self) -> dict[str, Any]:
        """Nothing: what is read here is read anew each time (`rt.Tx.known`)."""
        return {}

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement that reads; its rows. Raises Refused for another."""
        return self._store.execute(sql, parameters, read_only=True)

    def lives(self, flow_id: int) -> bool:
        """Whether a flow is at rest here."""
        return self._store.load(flow_id) is not None

    def happened(self, event: str, *arguments: object) -> None:
        """Raises RuntimeError: who only reads makes nothing so."""
        raise RuntimeError("only a `write` operation, or `setup`, says what has happened")


def bind(keys: Iterable[ServiceKey[Any]], objects: Mapping[str, object]) -> dict[str, Any]:
    """The services that the flows use, ready to be called by generated code, by qualified name.

    `objects` may name a service by its qualified name, or by its short one where that is clear.

    Raises:
        ServiceMissing: naming every service, operation and parameter that does not fit.
    """
    wanted = list(keys)
    problems: list[str] = []
    bound: dict[str, Any] = {}
    used: set[str] = set()
    for key in wanted:
        name, found = _find(key, wanted, objects)
        if name is None:
            problems.append(
                f"service {key.name} is not bound; pass services={{'{_short(key.name)}': …}} "
                f"with an object that has {_methods(key)}"
            )
            continue
        used.add(name)
        wrong = [w for operation in key.operations for w in _misfits(key, operation, found)]
        problems += wrong
        if not wrong:
            bound[key.name] = _bound(key, found)
    for name in objects.keys() - used:
        known = ", ".join(sorted(key.name for key in wanted)) or "none"
        problems.append(f"no flow of this node uses a service {name}; they use: {known}")
    if problems:
        raise ServiceMissing("\n".join(problems))
    return bound


def find_functions(flows: Iterable[type[Flow[Any]]]) -> None:
    """Import the Python functions that the flows call, so that a missing one is found now.

    Raises:
        ServiceMissing: naming every function that cannot be imported, and why.
    """
    problems: dict[str, str] = {}
    for flow in flows:
        for target in flow.functions:
            module, _, name = target.partition(":")
            try:
                found = getattr(importlib.import_module(module), name)
            except (ImportError, AttributeError) as error:
                problems[target] = f"{flow.__name__} calls the Python function {target}: {error}"
                continue
            if not callable(found):
                problems[target] = f"{flow.__name__} calls {target}, which is not a function"
            elif watcher is not None:
                watcher.function(target)
    if problems:
        raise ServiceMissing("\n".join(problems.values()))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _find(
    key: ServiceKey[Any], wanted: list[ServiceKey[Any]], objects: Mapping[str, object]
) -> tuple[str | None, object]:
    if key.name in objects:
        return key.name, objects[key.name]
    short = _short(key.name)
    alone = sum(_short(other.name) == short for other in wanted) == 1
    if alone and short in objects:
        return short, objects[short]
    return None, None


def _methods(key: ServiceKey[Any]) -> str:
    return ", ".join(map(_wanted, key.operations))


def _wanted(operation: Operation) -> str:
    """An operation as its method is to be written."""
    first = "key" if operation.kind in OUTSIDE else "tx"
    return f"{operation.name}({', '.join((first, *operation.parameters))})"


def _misfits(key: ServiceKey[Any], operation: Operation, found: object) -> list[str]:
    method = getattr(found, operation.name, None)
    function = getattr(method, "__func__", None)
    if isinstance(method, types.MethodType) and isinstance(function, types.FunctionType):
        problem = _method_misfit(function, type(found).__name__, operation)
    else:
        problem = _misfit(method, type(found).__name__, operation, 0)
    return [] if problem is None else [f"service {key.name}: {problem}"]


@functools.lru_cache(maxsize=4096)
def _method_misfit(function: types.FunctionType, kind: str, operation: Operation) -> str | None:
    """Looked up once for a class's method, however many nodes a process opens."""
    return _misfit(function, kind, operation, 1)


def _misfit(method: Any, kind: str, operation: Operation, own: int) -> str | None:
    """Why an operation cannot be called, if it cannot; `own` values come before the first one."""
    wanted = _wanted(operation)
    if not callable(method):
        return f"{kind} has no operation {wanted}"
    if inspect.iscoroutinefunction(method) and operation.kind not in OUTSIDE:
        return f"{kind}.{operation.name} is async; an operation is not"
    called = method
    if operation.kind in OUTSIDE and _wants_progress(method):
        called = functools.partial(method, progress=None)
    if _takes.__wrapped__(called, own + 1 + len(operation.parameters)):
        return None
    signature = inspect.signature(method)
    if own:
        signature = signature.replace(parameters=[*signature.parameters.values()][own:])
    return f"{kind}.{operation.name}{signature} should be {wanted}"


def _wants_progress(method: Callable[..., Any]) -> bool:
    """Whether an external operation says how far it is: it has a parameter `progress` that is given
    by name."""
    try:
        found = inspect.signature(method).parameters.get("progress")
    except (TypeError, ValueError):
        return False
    return found is not None and found.kind is inspect.Parameter.KEYWORD_ONLY


def _can_take(method: Callable[..., Any], count: int) -> bool:
    """Whether something can be called with so many values; looked up once for a class's method."""
    function = getattr(method, "__func__", None)
    if isinstance(method, types.MethodType) and isinstance(function, types.FunctionType):
        return _takes(function, 1 + count)
    return _takes.__wrapped__(method, count)


@functools.lru_cache(maxsize=1024)
def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many values."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True  # A builtin without a signature: the first call will show.
    return True


def wants_ends(
    keys: Iterable[ServiceKey[Any]], objects: Mapping[str, object]
) -> dict[str, tuple[str, Callable[..., object]]]:
    """The services that have a method `flow_ended`: name and method, by qualified name.

    Raises:
        ServiceMissing: it does not take a transaction and the id of a flow.
    """
    wanted = list(keys)
    found: dict[str, tuple[str, Callable[..., object]]] = {}
    for key in wanted:
        _, service = _find(key, wanted, objects)
        method = getattr(service, "flow_ended", None)
        if method is None:
            continue
        if not callable(method) or not _can_take(method, 2):
            kind = type(service).__name__
            raise ServiceMissing(
                f"service {key.name}: {kind}.flow_ended should be flow_ended(tx, flow_id)"
            )
        found[key.name] = (key.name, method)
    return found


class External:
    """An operation that runs outside of a step: called with its key and arguments, it gives the
    bytes of its result, or something to await that gives them."""

    def __init__(self, name: str, operation: Operation, method: Callable[..., Any]) -> None:
        self.name = name
        self.once = operation.kind == "once"
        self.is_async = inspect.iscoroutinefunction(method)
        self.gathers = self.is_async and getattr(method, "gathers", False)
        self.method = method
        self.operation = operation

    def reporting(self, progress: Callable[..., None]) -> External:
        """The same, with something to say how far it is, if its method wants `progress`."""
        if not _wants_progress(self.method):
            return self
        found = copy.copy(self)
        found.method = functools.partial(self.method, progress=progress)
        return found

    def arguments(self, detail: bytes) -> tuple[Any, ...]:
        """The arguments again, from the checkpoint."""
        kinds = self.operation.kinds
        values: tuple[Any, ...] = decode(types.GenericAlias(tuple, kinds), detail)
        return values

    def result(self, value: Any) -> bytes:
        """The bytes of what it returned. Raises TypeError if that is not as declared."""
        return encode(typed(self.name, self.operation.result, value))


class Event:
    """An operation that is asked whether something is so: within a step it gives a value, or None
    as long as it is not."""

    def __init__(self, name: str, operation: Operation, method: Callable[..., Any]) -> None:
        self.name = name
        self.operation = operation
        self.method = method

    def detail(self, arguments: Sequence[object]) -> bytes:
        """The canonical bytes of arguments. Raises TypeError if they are not as declared."""
        plain = tuple([_normal(argument) for argument in arguments])
        kinds = types.GenericAlias(tuple, self.operation.kinds)
        if len(plain) != len(self.operation.kinds):
            raise TypeError(f"{self.name} takes {len(self.operation.kinds)} values")
        return encode(typed(f"who says that {self.name} happened", kinds, plain))

    def ask(self, tx: StepTx, detail: bytes) -> Ending | None:
        """How it ended: its value, or a declared error; None if it is not so."""
        kinds = self.operation.kinds
        arguments = decode(types.GenericAlias(tuple, kinds), detail)
        outer = tx.enter(read_only=True)
        try:
            if watcher is None:
                value = self.method(tx, *arguments)
            else:
                value = watcher.operation(self.name, self.method, tx, *arguments)
        except FlowError as error:
            if error.builtin:
                raise
            fields = encode(error.fields())
            decode(error.Fields, fields)  # What cannot be read again is no declared error.
            return Ending(fields, error.wire, writable(str(error)))
        finally:
            tx.leave(outer)
        if self.operation.result is None:
            return Ending(encode(None)) if typed(self.name, bool | None, value) else None
        if value is None:
            return None
        return Ending(encode(typed(self.name, self.operation.result, value)))


def _normal(value: object) -> object:
    """A value as generated code has it."""
    if isinstance(value, decimal.Decimal):
        return normal(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC)
    return value


class Events:
    """The events that the flows of a node ask for, by name."""

    def __init__(self, bound: Mapping[str, Any], objects: Iterable[object]) -> None:
        self._objects = tuple(objects)
        self._by_name: dict[str, list[Event]] = {}
        for service in bound.values():
            for found in vars(service).values():
                if isinstance(found, Event):
                    parts = found.name.split(".")
                    for name in {".".join(parts[at:]) for at in range(len(parts))}:
                        self._by_name.setdefault(name, []).append(found)

    def named(self, name: str) -> Event | None:
        """The event of that name; None if no flow of this node asks for it. Raises TypeError."""
        found = self._by_name.get(name, [])
        if len(found) > 1:
            several = " and ".join(one.name for one in found)
            raise TypeError(f"{name} may be {several}: write more of the name")
        if not found and not any(hasattr(o, name.rpartition(".")[2]) for o in self._objects):
            raise TypeError(f"no service of this node has an event {name}")
        return found[0] if found else None

    def notice(self, name: str, arguments: Sequence[object]) -> tuple[str, bytes] | None:
        """An event that is so: its qualified name and the bytes of its arguments; None if no flow
        of this node asks for it. Raises TypeError."""
        found = self.named(name)
        return None if found is None else (found.name, found.detail(arguments))

    def ask(self, tx: StepTx, what: str, detail: bytes) -> Ending | None:
        """How an event ended; None if it is not so. Raises what its method raises."""
        found = next((one for one in self._by_name.get(what, ()) if one.name == what), None)
        if found is None:
            raise LookupError(f"{what} is not an event of this node")
        return found.ask(tx, detail)


class _Bound:
    """A service as generated code calls it: each operation guarded."""


def _bound(key: ServiceKey[Any], found: object) -> _Bound:
    bound = _Bound()
    for operation in key.operations:
        method = getattr(found, operation.name)
        if operation.kind in OUTSIDE:
            outside = External(f"{key.name}.{operation.name}", operation, method)
            setattr(bound, operation.name, outside)
            continue
        if operation.kind == "event":
            event = Event(f"{key.name}.{operation.name}", operation, method)
            setattr(bound, operation.name, event)
            continue
        setattr(bound, operation.name, _guarded(key.name, operation, method))
    return bound


def _guarded(service: str, operation: Operation, method: Callable[..., Any]) -> Callable[..., Any]:
    what = f"{service}.{operation.name}"
    read_only = operation.kind == "read"
    result = operation.result

    def run(tx: StepTx, *arguments: Any) -> Any:
        outer = tx.enter(read_only)
        try:
            if watcher is None:
                value = method(tx, *arguments)
            else:
                value = watcher.operation(what, method, tx, *arguments)
        finally:
            tx.leave(outer)
        return typed(what, result, value)

    return run


def set_up(objects: Mapping[str, object], tx: StepTx) -> None:
    """Let each service that has a `setup(tx)` make its tables. The caller commits."""
    for service in objects.values():
        setup = getattr(service, "setup", None)
        if setup is not None:
            outer = tx.enter(read_only=False)
            try:
                setup(tx)
            finally:
                tx.leave(outer)
    tx.finish(keep=True)
