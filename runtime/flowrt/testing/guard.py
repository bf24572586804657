"""Watches authors' Python where it must only compute: who reads the clock, draws random numbers,
opens files or sockets, starts threads, or answers otherwise for equal arguments is named.

It knows what a step calls, and no flow. It lets everything happen and tells at the end, because an
exception inside a step would only bring its flow to the hospital.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import linecache
import opcode
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import msgspec

from flowrt import services
from flowrt.core.flow import Flow, FlowError
from flowrt.core.values import encode
from flowrt.loop import Loop

FUNCTION, OPERATION = "function", "operation"

CLOCK, CHANCE, FILE, SOCKET, THREAD, PROCESS, DATABASE, ARGUMENTS, ANSWER = (
    "reads the clock",
    "draws random numbers",
    "uses files",
    "uses sockets",
    "starts a thread",
    "starts a process",
    "opens a database",
    "changes its arguments",
    "answers equal arguments differently",
)

_WHY = {
    FUNCTION: "a function of a flow only computes: a step may run again, and must come to the same",
    OPERATION: "an operation inside a step sees only the step's transaction: whatever else it does "
    "is not undone with the step, and done again when the step runs again",
}
_OUTSIDE = "make it an `external` operation of a service, and pass on what that returns"
_INSTEAD = {
    (FUNCTION, CLOCK): "give it the time as a parameter, and pass `now`",
    (FUNCTION, FILE): "read what it needs when its module is imported, or " + _OUTSIDE,
    (FUNCTION, ARGUMENTS): "change a copy, and return that",
    (
        FUNCTION,
        ANSWER,
    ): "compute from parameters alone; what changes belongs into a service's tables",
    (OPERATION, CLOCK): "use `tx.now`, the step's time",
    (OPERATION, FILE): "keep it in a table with `tx.execute`, or make it an `external` operation",
    (OPERATION, DATABASE): "use `tx.execute`, which commits with the step",
}

_CLOCKS = frozenset(
    f"{name}{unit}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    for unit in ("", "_ns")
) | {"clock_gettime", "clock_gettime_ns", "localtime", "ctime", "sleep"}
_NOW = frozenset({"now", "utcnow", "today"})
_THREADS = frozenset({"start_new_thread", "start_new", "start_joinable_thread"})

_EVENTS = {
    "open": FILE, "os.listdir": FILE, "os.scandir": FILE, "os.remove": FILE, "os.rename": FILE,
    "os.mkdir": FILE, "os.rmdir": FILE, "os.truncate": FILE, "os.link": FILE, "os.symlink": FILE,
    "subprocess.Popen": PROCESS, "os.system": PROCESS, "os.exec": PROCESS, "os.fork": PROCESS,
    "os.posix_spawn": PROCESS, "os.spawn": PROCESS, "os.forkpty": PROCESS,
    "sqlite3.connect": DATABASE,
}  # fmt: skip
"""Python's audit events, and what each means. Those of sockets all begin alike."""

_PASSED_OVER = ("importlib", "logging", "warnings", "zoneinfo", "linecache", "traceback")
"""Modules of Python that may do all that on behalf of pure code: it imports, logs, warns."""

_STANDARD = tuple(
    str(Path(found))
    for name in ("stdlib", "platstdlib")
    if (found := sysconfig.get_path(name)) is not None
)
_PACKAGES = ("site-packages", "dist-packages")


class Impure(AssertionError):
    """Author's Python did what it must not do where a step calls it; says who, what, where, why,
    and what to do instead."""


@dataclasses.dataclass(frozen=True)
class Misuse:
    """One thing that was done: `who` is the function (`module:name`) or the operation
    (`Service.operation`), `what` the sort of misuse, `call` what was called, `file` and `line` the
    author's line."""

    who: str
    kind: str
    what: str
    call: str
    file: str
    line: int

    def text(self) -> str:
        """What people read."""
        written = linecache.getline(self.file, self.line).strip()
        instead = _INSTEAD.get((self.kind, self.what), _OUTSIDE)
        place = f"  {Path(self.file).name}:{self.line}: {written}\n" if self.line else ""
        return (
            f"{self.kind} {self.who} {self.what}: {self.call}\n{place}"
            f"  why not: {_WHY[self.kind]}\n  instead: {instead}"
        )


class Seen:
    """What was seen so far: `misuses`, each once, in order; `calls` counts those watched."""

    def __init__(self) -> None:
        self.misuses: list[Misuse] = []
        self.calls = 0

    def add(self, misuse: Misuse) -> None:
        """Keep it, unless the same was seen at the same line."""
        if misuse not in self.misuses:
            self.misuses.append(misuse)

    def check(self) -> None:
        """Raises Impure, naming everything that was seen, if anything was."""
        if self.misuses:
            raise Impure("\n".join(misuse.text() for misuse in self.misuses))


class _Call:
    """A call under way that is watched: whose, and the frame from which on it is the author's."""

    __slots__ = ("frame", "is_ours", "kind", "seen", "who")

    def __init__(self, seen: Seen, who: str, kind: str, frame: FrameType) -> None:
        self.seen = seen
        self.who = who
        self.kind = kind
        self.frame = frame
        self.is_ours = False


class _Running(threading.local):
    call: _Call | None = None


_running = _Running()
_watches = 0
_is_hooked = False


@contextlib.contextmanager
def watching(*watched: Loop | ModuleType) -> Iterator[Seen]:
    """Watch what steps call in this process until the block is left.

    Operations of services are watched on every node; Python functions are those of the given nodes
    and generated modules, and of nodes that are opened meanwhile. Leaving the block checks.

    Raises:
        Impure: something was seen. If the block raises another exception, what was seen is added
            to it as a note.
    """
    global _watches
    _hook()
    seen = Seen()
    answers: dict[tuple[str, bytes], bytes] = {}
    replaced: dict[str, tuple[Any, str, Any]] = {}

    def operation(who: str, method: Callable[..., Any], *arguments: Any) -> Any:
        return _watched(seen, who, OPERATION, method, arguments)

    def function(target: str) -> None:
        if target not in replaced:
            module, _, name = target.partition(":")
            home = importlib.import_module(module)
            replaced[target] = (home, name, getattr(home, name))
            setattr(home, name, _pure(seen, target, getattr(home, name), answers))

    before = services.watcher
    services.watcher = services.Watcher(operation, function)
    _watches += 1
    try:
        for flow in _flows(watched):
            for target in flow.functions:
                function(target)
        yield seen
    except BaseException as error:
        if seen.misuses:
            error.add_note("\n".join(misuse.text() for misuse in seen.misuses))
        raise
    finally:
        _watches -= 1
        services.watcher = before
        for home, name, found in replaced.values():
            setattr(home, name, found)
    seen.check()


def _flows(watched: Iterable[Loop | ModuleType]) -> Iterator[type[Flow[Any]]]:
    for one in watched:
        if isinstance(one, Loop):
            yield from one.registry.classes.values()
            continue
        for value in vars(one).values():
            if isinstance(value, type) and issubclass(value, Flow) and value is not Flow:
                yield value


# --- a call that is watched -----------------------------------------------------------------------


def _watched(
    seen: Seen, who: str, kind: str, method: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    """Call it; whatever it does meanwhile that it must not is seen."""
    outer = _running.call
    if outer is not None and kind is FUNCTION:
        return method(*arguments)  # It is called by what is watched already.
    seen.calls += 1
    before = sys.getprofile()
    _running.call = _Call(seen, who, kind, sys._getframe())
    sys.setprofile(_profile)
    try:
        return method(*arguments)
    finally:
        sys.setprofile(before)
        _running.call = outer


def _pure(
    seen: Seen, target: str, function: Callable[..., Any], answers: dict[tuple[str, bytes], bytes]
) -> Callable[..., Any]:
    """The function, called twice each time: it must answer the same, and change nothing."""

    def run(*arguments: Any) -> Any:
        if _running.call is not None:
            return function(*arguments)
        code = getattr(function, "__code__", None)
        place = (code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else ("", 0)
        given = _bytes(arguments)
        result, error = _tried(seen, target, function, arguments)
        if _bytes(arguments) != given:
            call = f"they were {_short(given)}"
            seen.add(Misuse(target, FUNCTION, ARGUMENTS, call, *place))
        else:
            answer = _bytes(_told(result, error))
            again = _bytes(_told(*_tried(seen, target, function, arguments)))
            earlier = answers.setdefault((target, given), answer)
            if not answer == again == earlier:
                both = (answer, again) if again != answer else (earlier, answer)
                call = " and ".join(map(_short, both))
                seen.add(Misuse(target, FUNCTION, ANSWER, call, *place))
        if error is not None:
            raise error
        return result

    return run


def _tried(
    seen: Seen, target: str, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Any, Exception | None]:
    try:
        return _watched(seen, target, FUNCTION, function, arguments), None
    except Exception as error:
        return None, error


def _told(result: Any, error: Exception | None) -> Any:
    """What a call came to, so that it can be compared."""
    if error is None:
        return result
    fields = error.fields() if isinstance(error, FlowError) else str(error)
    return (type(error).__name__, fields)


def _bytes(value: Any) -> bytes:
    """A value for comparison; of what has no bytes, its text without its address."""
    try:
        return encode(value)
    except Exception:
        return f"{type(value).__name__}".encode()


def _short(data: bytes) -> str:
    try:
        text = repr(msgspec.msgpack.decode(data))
    except msgspec.MsgspecError:
        text = repr(data)
    return text if len(text) <= 60 else f"{text[:60]}…"


# --- what it does meanwhile -----------------------------------------------------------------------


def _profile(frame: FrameType, event: str, argument: Any) -> None:
    if event == "c_call":
        found = _called(frame, argument)
    elif event == "call" and frame.f_code is _SEED and frame.f_locals.get("a") is None:
        found = (CHANCE, "random.Random() without a seed")
    else:
        return
    if found is not None:
        _saw(frame, *found)


_SEED = random.Random.seed.__code__


def _called(frame: FrameType, builtin: Any) -> tuple[str, str] | None:
    """What a call of a function that is written in C means, and its name."""
    name = getattr(builtin, "__name__", "")
    owner = getattr(builtin, "__self__", None)
    if owner is time and (name in _CLOCKS or (name == "gmtime" and _has_no_arguments(frame))):
        return CLOCK, f"time.{name}"
    if name in _NOW and isinstance(owner, type) and owner.__module__ != "builtins":
        return CLOCK, f"{owner.__name__}.{name}"
    if owner is random._inst:  # The one that nobody has seeded.
        return CHANCE, f"random.{name}"
    if name in ("urandom", "getrandom"):
        return CHANCE, f"os.{name}"
    if name in _THREADS:
        return THREAD, "threading.Thread.start"
    return None


def _has_no_arguments(frame: FrameType) -> bool:
    code = frame.f_code.co_code
    called = opcode.opname[code[frame.f_lasti]]
    return called.startswith("CALL") and code[frame.f_lasti + 1] == 0


def _hook() -> None:
    """Hear Python's audit events from now on; they cannot be left again."""
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches or _running.call is None:
        return
    what = SOCKET if event.startswith("socket.") else _EVENTS.get(event)
    if what is None:
        return
    first = arguments[0] if arguments and event != "socket.__new__" else None
    shown = f"{event} {first!r}" if isinstance(first, str | bytes) else event
    _saw(sys._getframe(1), what, shown)


def _saw(frame: FrameType, what: str, call: str) -> None:
    """Keep it, with the author's line, unless it was done on behalf of an import or a log."""
    running = _running.call
    if running is None or running.is_ours:
        return
    running.is_ours = True  # Finding the line must not be seen in its turn.
    try:
        found = _author(frame, running.frame)
        if found is not None:
            running.seen.add(Misuse(running.who, running.kind, what, call, *found))
    finally:
        running.is_ours = False


def _author(frame: FrameType | None, end: FrameType) -> tuple[str, int] | None:
    """The innermost line that is neither Python's own nor an installed package's; None if the call
    is to be passed over."""
    nearest: tuple[str, int] | None = None
    outermost = ("", 0)
    while frame is not None and frame is not end:
        file = frame.f_code.co_filename
        name = frame.f_globals.get("__name__", "")
        if file.startswith("<frozen importlib") or name.partition(".")[0] in _PASSED_OVER:
            return None
        if name.partition(".")[0] == "flowrt":
            return None  # Our own store, called through `tx`.
        outermost = (file, frame.f_lineno)
        if nearest is None and not _is_installed(file):
            nearest = outermost
        frame = frame.f_back
    return nearest or outermost


def _is_installed(file: str) -> bool:
    return file.startswith(("<frozen", *_STANDARD)) or any(part in file for part in _PACKAGES)
