"""Authors' Python that is not pure is named: who, what, where, why not, what instead."""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.source import Source
from flowrt.sim import World as SimWorld
from flowrt.testing import guard
from flowrt.testing.guard import Impure, watching
from tests.runtime import impure
from tests.runtime.crashes import World

TEXT = """
function fun({parameter}) -> Int = python "tests.runtime.impure:{target}"

service Desk:
    read look(n: Int) -> Int
    write keep(n: Int)
    external ship(n: Int) -> Int

flow Try({parameter}) -> Int:
    startable by rpc
    let a = fun(n)
    let b = Desk.look(a)
    Desk.keep(b)
    return await Desk.ship(b)
"""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No old world is swept up in a thread that a misuse starts: its tables belong to this one."""
    impure.COUNTS.clear()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@functools.cache
def module(target: str, kind: str = "Int") -> ModuleType:
    name = f"guarded_{target}"
    source = Source(f"{name}.flow", name, TEXT.format(target=target, parameter=f"n: {kind}"))
    made = compile_modules([name], {name: source}.get, lambda: [name])
    assert not made.diagnostics
    found = ModuleType(f"{name}_flow")
    sys.modules[found.__name__] = found
    exec(compile(generate(made.modules[name]), f"{name}_flow.py", "exec"), vars(found))
    return found


def run(target: str, n: Any = 1, kind: str = "Int", **desk: Any) -> World:
    found = module(target, kind)
    world = World()
    world.add("alice", [found], lambda: {"Desk": impure.Desk(**desk)})
    world.start("alice", found.Try_v1, n=n)
    world.run()
    return world


def named(target: str, n: Any = 1, kind: str = "Int", **desk: Any) -> str:
    """What is told about a flow that calls this."""
    with pytest.raises(Impure) as caught, watching():
        run(target, n, kind, **desk).close()
    return str(caught.value)


MISUSES = {
    "clock": "reads the clock: time.time",
    "clock_by_another_name": "reads the clock: time.time",
    "now": "reads the clock: datetime.now",
    "today": "reads the clock: date.today",
    "gmtime": "reads the clock: time.gmtime",
    "sleeps": "reads the clock: time.sleep",
    "chance": "draws random numbers: random.getrandbits",
    "chance_unseeded": "draws random numbers: random.Random() without a seed",
    "urandom": "draws random numbers: os.urandom",
    "secret": "draws random numbers: os.urandom",
    "unique": "draws random numbers: os.urandom",
    "file": "uses files: open '",
    "folder": "uses files: os.listdir '/'",
    "temporary": "uses files: ",
    "network": "uses sockets: socket.__new__",
    "thread": "starts a thread: threading.Thread.start",
    "process": "starts a process: subprocess.Popen '",
    "database": "opens a database: sqlite3.connect ':memory:'",
    "by_a_helper": "reads the clock: time.monotonic",
}


@pytest.mark.parametrize("name", MISUSES)
def test_a_function_that_does_more_than_compute_is_named(name: str) -> None:
    told = named(name)
    assert f"function tests.runtime.impure:{name} {MISUSES[name]}" in told
    assert "  impure.py:" in told
    assert "why not: a function of a flow only computes" in told
    assert "  instead: " in told


@pytest.mark.parametrize("name", [name for name in MISUSES if name != "by_a_helper"])
@pytest.mark.parametrize("operation", ["look", "keep"])
def test_an_operation_inside_a_step_that_does_more_is_named(name: str, operation: str) -> None:
    which = "misuse" if operation == "look" else "write"
    told = named("computes", **{which: getattr(impure, name)})
    assert f".Desk.{operation} {MISUSES[name]}" in told
    assert "why not: an operation inside a step sees only the step's transaction" in told


def test_the_whole_text() -> None:
    line = next(
        number
        for number, text in enumerate(Path(impure.FILE).read_text().splitlines(), 1)
        if "the_time()" in text
    )
    assert named("clock_by_another_name") == (
        "function tests.runtime.impure:clock_by_another_name reads the clock: time.time\n"
        f"  impure.py:{line}: return n + int(the_time()) * 0\n"
        "  why not: a function of a flow only computes: a step may run again, and must come to the "
        "same\n"
        "  instead: give it the time as a parameter, and pass `now`"
    )


DIFFERENT = {
    "counts": "answers equal arguments differently: 2 and 3",
    "raises_differently": "answers equal arguments differently: ['ValueError', '1'] and",
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_function_that_answers_differently_is_named(name: str) -> None:
    assert f"function tests.runtime.impure:{name} {DIFFERENT[name]}" in named(name)


def test_a_function_that_answers_differently_later_is_named() -> None:
    with watching() as seen:
        run("sometimes").close()
        assert seen.misuses == []
        run("sometimes").close()
        told, seen.misuses = seen.misuses, []
    (misuse,) = told
    assert (misuse.what, misuse.call) == ("answers equal arguments differently", "1 and 2")


def test_a_function_that_changes_its_arguments_is_named() -> None:
    with watching(module("changes", "List[Int]")) as seen:
        impure.changes([1])
        told, seen.misuses = seen.misuses, []
    (misuse,) = told
    assert (misuse.what, misuse.call) == ("changes its arguments", "they were [[1]]")
    assert "instead: change a copy, and return that" in misuse.text()


@pytest.mark.parametrize("name", ["computes", "imports"])
def test_what_may_be_done_is_not_named(name: str) -> None:
    """Seeds, fixed moments, logging, imports; and external operations may do anything."""
    with watching() as seen:
        world = run(name)
        assert world.result(world.starts[0]) == {"computes": 4, "imports": 1}[name]
        world.close()
    assert seen.misuses == []
    assert seen.calls == 4  # The function twice, and the two operations of the step.


def test_a_declared_error_is_an_answer() -> None:
    with watching() as seen, run("refuses"):
        pass
    assert seen.misuses == []


def test_nothing_is_watched_afterwards() -> None:
    with watching(module("clock")) as seen:
        pass
    assert impure.clock.__name__ == "clock"
    run("clock").close()
    assert (seen.calls, seen.misuses, guard._watches) == (0, [], 0)
    assert sys.getprofile() is None


def test_a_node_that_was_open_before_is_watched_too() -> None:
    world = run("clock")
    with watching(world.node("alice")) as seen:
        world.start("alice", module("clock", "Int").Try_v1, n=2)
        world.run()
        told, seen.misuses = seen.misuses, []
    assert [misuse.who for misuse in told] == ["tests.runtime.impure:clock"]
    world.close()


def goes_wrong() -> None:
    with watching():
        run("clock").close()
        raise KeyError("a name")


def test_what_was_seen_is_told_with_what_else_went_wrong() -> None:
    with pytest.raises(KeyError) as caught:
        goes_wrong()
    (note,) = caught.value.__notes__
    assert note.startswith("function tests.runtime.impure:clock reads the clock")


def test_each_misuse_is_told_once() -> None:
    with watching() as seen:
        for n in range(5):
            run("clock", n).close()
        told, seen.misuses = seen.misuses, []
    assert len(told) == 1


def test_another_thread_is_not_watched() -> None:
    found: list[int] = []
    with watching() as seen:
        one = threading.Thread(target=lambda: found.append(impure.chance(1)))
        one.start()
        one.join()
    assert (found, seen.misuses) == ([1], [])


def test_the_guard_needs_no_hypothesis() -> None:
    assert "hypothesis" not in Path(guard.__file__).read_text()


def test_a_world_from_a_seed_is_watched_through_its_crashes() -> None:
    with watching() as seen:
        with SimWorld() as world:
            world.add("alice", [module("clock", "Int")], services={"Desk": impure.Desk()})
            started = world.start("alice", module("clock", "Int").Try_v1, n=3)
            world.crash("alice")
            world.run()
            assert world.result(started) == 3
        told, seen.misuses = seen.misuses, []
    assert [misuse.call for misuse in told] == ["time.time"]
