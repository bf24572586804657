"""External operations: recorded before they run, at least once with one key, or at most once."""

from __future__ import annotations

import asyncio
import collections
import datetime
import decimal
import itertools
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.flow import Await, Choose, Done, Late, Return, Sleep
from flowrt.limits import Limits
from flowrt.node import Node, StillRunning
from flowrt.operations import RETRY_US
from flowrt.services import gathers
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.crashes import CRASHES, FAULTS, HOUR_US, Power, World, every_crash
from tests.runtime.hand_flow import ERRORS, Refused
from tests.runtime.plays import At, at, play, plays

KINDS = (rt.Int,)


def key(kind: str = "external", kinds: tuple[Any, ...] = KINDS, result: Any = int) -> Any:
    names = tuple(f"a{n}" for n in range(len(kinds)))
    return rt.ServiceKey("t.Post", rt.Operation("ship", kind, names, result, kinds))


def shipping(kind: str = "external", until: float | None = None) -> type[rt.Flow[Any]]:
    """Ships what its `count` says and returns what that gave."""
    post = key(kind)

    def first(run: Any, at_: At) -> Any:
        late = None if until is None else run.now + datetime.timedelta(seconds=until)
        return Await(at(1), (run.request(post, "ship", at_.count),), late)

    def then(run: Any, at_: At) -> Any:
        try:
            return Return(run.outcome(int))
        except Refused as error:
            return Return(f"refused: {error.why}")
        except rt.Timeout:
            return Sleep(at(2), datetime.timedelta(hours=2))

    return play("t.Ship", first, then, lambda r, s: Return("late"), services=(post,), errors=ERRORS)


class Post:
    """Ships, and remembers with which keys; fails as it is told."""

    def __init__(self, *failures: Any) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[str, int]] = []

    def ship(self, key: str, count: int) -> int:
        self.calls.append((key, count))
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, BaseException):
                raise failure
            return failure  # type: ignore[no-any-return]
        return count * 2


class SlowPost(Post):
    async def ship(self, key: str, count: int) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().ship(key, count)


def world(post: Post, *flows: type[rt.Flow[Any]], power: Power | None = None, **how: Any) -> World:
    made = World(power=power, **how)
    made.add("alice", [plays(*flows)], lambda: {"Post": post})
    return made


@pytest.fixture(params=["memory", "sqlite"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "sqlite" else None


@pytest.mark.parametrize("post", [Post, SlowPost])
def test_it_runs_after_the_commit_and_its_result_comes_back(
    post: type[Post], folder: Path | None
) -> None:
    flow, made = shipping(), post()
    with world(made, flow, folder=folder, reload=True) as on:
        start = on.start("alice", flow, count=4)
        on.run()
        assert on.result(start) == 8
        assert len(made.calls) == 1
        assert len(on.node("alice")._operations) == 0


@pytest.mark.parametrize("kind", [*CRASHES, *FAULTS])
def test_at_least_once_with_one_key_whatever_befalls_a_commit(kind: str) -> None:
    flow = shipping()
    posts: list[Post] = []

    def build(power: Power) -> World:
        posts.append(Post(OSError("the wire")))
        made = world(posts[-1], flow, power=power)
        made.start("alice", flow, count=4)
        return made

    def observe(on: World) -> Any:
        return on.result(on.starts[0]), on.residue()

    for power, seen in every_crash(build, observe, kinds=(kind,), twice=True):
        assert seen == (8, {"alice": (0, 0, 0)}), power
        calls = posts[-1].calls
        assert len(calls) >= 2
        assert len({key for key, _ in calls}) == 1, power
        if kind in FAULTS:
            assert len(calls) == 2, f"{power}: the process knows what it has begun"


@pytest.mark.parametrize("kind", [*CRASHES, *FAULTS])
def test_once_is_never_twice(kind: str) -> None:
    flow = shipping("once")
    posts: list[Post] = []

    def build(power: Power) -> World:
        posts.append(Post())
        made = world(posts[-1], flow, power=power)
        made.start("alice", flow, count=4)
        return made

    def observe(on: World) -> Any:
        before = len(posts[-1].calls)
        ill = [patient.cause for patient in on.node("alice").hospital()]
        if ill:
            assert "it is not known whether t.Post.ship has run" in ill[0]
            on.node("alice").submit_retry(on.starts[0].id)
            on.run()
            assert len(posts[-1].calls) == before + 1
        return before, len(ill), on.result(on.starts[0]), on.residue()

    seen = collections.Counter()
    for power, (calls, ill, result, residue) in every_crash(build, observe, kinds=(kind,)):
        assert (result, residue) == (8, {"alice": (0, 0, 0)}), power
        assert calls <= 1, power
        assert calls == 1 or ill, power
        seen[ill] += 1
    if kind in FAULTS:
        assert not seen[1], "the process lives, and knows how it ended"
    else:
        assert seen[1]


def test_a_failing_operation_is_tried_again_later_and_later() -> None:
    flow, post = shipping(), Post(*[OSError(str(n)) for n in range(5)])
    with world(post, flow) as on:
        start = on.start("alice", flow, count=4)
        times = []
        while on.handle(start).outcome is None:
            before = len(post.calls)
            while on.tick():
                pass
            times += [on.now_us] * (len(post.calls) - before)
            on.now_us = on.node("alice").next_due() or on.now_us
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps == list(RETRY_US[:5])
        assert on.node("alice").hospital() == []


def test_one_that_never_works_needs_a_person_and_a_retry_begins_anew() -> None:
    flow, post = shipping(), Post(*[OSError(f"no \ud800 {n}\nforged") for n in range(10)])
    with world(post, flow) as on:
        start = on.start("alice", flow, count=4)
        on.run()
        (patient,) = on.node("alice").hospital()
        assert "t.Post.ship failed: OSError: no" in patient.cause
        assert "(10 times)" in patient.cause
        assert len(post.calls) == 10
        on.crash("alice")
        on.run()
        assert len(post.calls) == 10, "a flow in the hospital runs nothing"
        on.node("alice").submit_retry(start.id)
        on.run()
        assert on.result(start) == 8
        assert on.residue() == {"alice": (0, 0, 0)}
        assert len({key for key, _ in post.calls}) == 1


def test_a_declared_error_is_typed_and_caught() -> None:
    flow, post = shipping(), Post(Refused("too heavy"))
    with world(post, flow, reload=True) as on:
        start = on.start("alice", flow, count=4)
        on.run()
        assert on.result(start) == "refused: too heavy"


@pytest.mark.parametrize(
    "wrong",
    ["text", 2**70, None, Refused(why=object()), Refused(why=5), rt.Timeout("mine")],  # type: ignore[arg-type]
)
def test_what_is_not_declared_is_a_failure(wrong: Any) -> None:
    flow, post = shipping(), Post(wrong)
    if wrong is None:
        post.ship = lambda key, count: (
            None if post.calls.append((key, count)) or len(post.calls) < 2 else 8
        )  # type: ignore
    with world(post, flow) as on:
        start = on.start("alice", flow, count=4)
        on.run()
        assert on.result(start) == 8
        assert len(post.calls) == 2


class Box(rt.Value, frozen=True, array_like=True, gc=False):
    name: str
    inside: tuple[Box, ...] = ()


VALUES: list[tuple[Any, Any]] = [
    (rt.Int, -(2**63)),
    (decimal.Decimal, decimal.Decimal("12.5")),
    (bool, True),
    (str, 'ü\0"\n'),
    (bytes, b"\xff\0"),
    (rt.Timestamp, datetime.datetime(2026, 1, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
    (datetime.timedelta, datetime.timedelta(days=-1, microseconds=7)),
    (rt.Party, rt.Party("bob")),
    (tuple[rt.Int, ...], (1, 2)),
    (dict[rt.Int, str], {3: "c", 1: "a"}),
    (dict[str, decimal.Decimal], {"b": decimal.Decimal(2)}),
    (str | None, None),
    (Box, Box("a", (Box("b"),))),
]


def test_arguments_and_results_of_every_type_survive() -> None:
    post = key(kinds=tuple(kind for kind, _ in VALUES), result=tuple[rt.Int, str])
    values = [value for _, value in VALUES]
    seen: list[Any] = []

    class Taker:
        def ship(self, key: str, *given: Any) -> tuple[int, str]:
            seen.append(list(given))
            return (len(given), "all")

    def first(run: Any, at_: At) -> Any:
        return Await(at(1), (run.request(post, "ship", *values),))

    def then(run: Any, at_: At) -> Any:
        return Return(str(run.outcome(tuple[rt.Int, str])))

    flow = play("t.Many", first, then, services=(post,))
    with world(Taker(), flow, reload=True) as on:  # type: ignore[arg-type]
        start = on.start("alice", flow)
        on.run()
        assert on.result(start) == f"({len(values)}, 'all')"
    assert seen == [values]


def test_nothing_to_give_and_nothing_to_get() -> None:
    post = key(kinds=(), result=None)

    class Bell:
        def ship(self, key: str) -> None:
            return None

    def first(run: Any, at_: At) -> Any:
        return Await(at(1), (run.request(post, "ship"),))

    flow = play("t.Ring", first, lambda run, s: Return(run.outcome(None)), services=(post,))
    with world(Bell(), flow) as on:  # type: ignore[arg-type]
        start = on.start("alice", flow)
        on.run()
        assert on.result(start) is None


def test_giving_up_ends_its_retries_and_brings_nobody_to_the_hospital() -> None:
    flow, post = shipping(until=10), Post(*[OSError("never")] * 100)
    with world(post, flow) as on:
        start = on.start("alice", flow, count=4)
        on.run(HOUR_US)
        assert on.node("alice").hospital() == []
        assert len(post.calls) == 4, "at 0, 1, 3 and 7 seconds"
        assert len(on.node("alice")._operations) == 0
        on.run(2 * HOUR_US)
        assert on.result(start) == "late"


def both(kind: str) -> type[rt.Flow[Any]]:
    post = key(kind)

    def first(run: Any, at_: At) -> Any:
        calls = tuple(run.request(post, "ship", count) for count in (3, 4))
        return Await(at(1), calls)

    def then(run: Any, at_: At) -> Any:
        return Return(str(run.outcomes(int)))

    return play("t.Both", first, then, services=(post,))


@pytest.mark.parametrize("kind", ["external", "once"])
def test_two_of_one_flow_that_end_together_run_once_each(kind: str) -> None:
    flow, post = both(kind), Post()
    with world(post, flow) as on:
        start = on.start("alice", flow)
        on.run()
        assert on.result(start) == "(6, 8)"
        assert sorted(count for _, count in post.calls) == [3, 4]
        assert len({key for key, _ in post.calls}) == 2


@pytest.mark.parametrize("kind", ["external", "once"])
@pytest.mark.parametrize("batch", [1, 2, 512])
def test_two_of_one_flow_in_batches_of_any_size(kind: str, batch: int) -> None:
    flow, post = both(kind), Post()
    with world(post, flow, batch=batch) as on:
        starts = [on.start("alice", flow) for _ in range(20)]
        on.run()
        assert {on.result(start) for start in starts} == {"(6, 8)"}
        assert len(post.calls) == 40
        assert len({key for key, _ in post.calls}) == 40


def test_two_of_one_flow_and_one_needs_a_person() -> None:
    flow, post = both("external"), Post()
    broken = {3}

    def ship(key: str, count: int) -> int:
        post.calls.append((key, count))
        if count in broken:
            raise OSError("down")
        return count * 2

    post.ship = ship  # type: ignore[method-assign]
    with world(post, flow) as on:
        start = on.start("alice", flow)
        on.run()
        assert len(on.node("alice").hospital()) == 1
        broken.clear()
        on.node("alice").submit_retry(start.id)
        on.run()
        assert on.result(start) == "(6, 8)"
        assert on.residue() == {"alice": (0, 0, 0)}
        assert sum(count == 4 for _, count in post.calls) == 1


def test_a_retry_for_another_reason_runs_nothing_again_that_may_run_once() -> None:
    """A flow whose step fails while its operation runs, and whose process dies then."""
    post_key = key("once")
    broken = [True]

    def first(run: Any, at_: At) -> Any:
        call = run.request(post_key, "ship", 4)
        wait = datetime.timedelta(seconds=1)
        return Choose(at(1, count=call), (), (call,), wait)

    def then(run: Any, at_: At) -> Any:
        if run.chosen(Done(rt.Pending(at_.count)), Late()) == 0:
            return Return(run.outcome(int))
        if broken:
            raise ZeroDivisionError
        return Await(at(2), (rt.Pending(at_.count),))

    flow = play(
        "t.Ship", first, then, lambda run, s: Return(run.outcome(int)), services=(post_key,)
    )
    begun: list[int] = []

    class Hanging:
        """Begins, and does not come back before the process dies."""

        def ship(self, key: str, count: int) -> int:
            begun.append(count)
            return count

    with world(Hanging(), flow) as on:  # type: ignore[arg-type]
        node = on.node("alice")
        start = on.start("alice", flow)
        node._operations._perform = lambda work, arguments, done: begun.append(1)
        on.run()
        assert "ZeroDivisionError" in node.hospital()[0].cause
        assert begun == [1]
        broken.clear()
        on.crash("alice")
        on.node("alice").submit_retry(start.id)
        on.run()
        assert "it is not known whether" in on.node("alice").hospital()[0].cause
        assert begun == [1]
        on.node("alice").submit_retry(start.id)
        on.run()
        assert on.result(start) == 4
        assert begun == [1, 4]


def test_an_operation_of_a_flow_that_has_ended_is_forgotten() -> None:
    post_key = key()

    def first(run: Any, at_: At) -> Any:
        run.request(post_key, "ship", 1)
        return rt.Checkpoint(at(1))

    flow = play("t.Ship", first, lambda run, s: Return("gone"), services=(post_key,))
    post = Post(*[OSError("never")] * 100)
    with world(post, flow) as on:
        start = on.start("alice", flow)
        on.run()
        assert on.result(start) == "gone"
        assert len(post.calls) == 1
        assert len(on.node("alice")._operations) == 0
        assert on.residue() == {"alice": (0, 0, 0)}


def test_an_operation_whose_parameters_have_changed_needs_a_person() -> None:
    flow, post = shipping(), Post(OSError("wait"))
    other_key = key(kinds=(str,))
    later = play(
        "t.Ship",
        lambda run, s: Return(None),
        lambda run, s: Return(run.outcome(int)),
        services=(other_key,),
    )
    with world(post, flow) as on:
        on.start("alice", flow, count=4)
        while on.tick():
            pass
        on.members["alice"].modules = [plays(later)]
        on.crash("alice")
        on.run()
        assert "takes other arguments now" in on.node("alice").hospital()[0].cause


def test_many_are_written_together() -> None:
    flow, post = shipping(), Post()
    with world(post, flow) as on:
        starts = [on.start("alice", flow, count=n) for n in range(200)]
        on.run()
        assert [on.result(start) for start in starts] == [2 * n for n in range(200)]
        assert on.power.commits < 10


# --- in an event loop ----------------------------------------------------------------------------


def async_world(test: Callable[[Callable[..., Any]], Any]) -> None:
    disk, network = MemoryDisk(), MemoryNetwork()
    nodes: list[Node] = []

    async def opened(flow: type[rt.Flow[Any]], service: object, **options: Any) -> Node:
        services: Mapping[str, object] = {"Post": service}
        node = await Node.open(
            "alice",
            store=MemoryStore(disk),
            network=network,
            modules=[plays(flow)],
            services=services,
            **options,
        )
        nodes.append(node)
        return node

    async def runs() -> None:
        try:
            await test(opened)
        finally:
            for node in nodes:
                await node.close()

    asyncio.run(asyncio.wait_for(runs(), 20))


@pytest.mark.parametrize("post", [Post, SlowPost])
@pytest.mark.parametrize("kind", ["external", "once"])
def test_in_an_event_loop(post: type[Post], kind: str) -> None:
    flow, made = shipping(kind), post()

    async def test(opened: Any) -> None:
        node = await opened(flow, made)
        handles = [await node.start(flow, count=n) for n in range(50)]
        assert [await handle.result() for handle in handles] == [2 * n for n in range(50)]
        assert len(made.calls) == 50

    async_world(test)


def test_a_node_that_is_closed_meanwhile_begins_again_with_the_same_key() -> None:
    flow = shipping()
    begun: list[str] = []
    cleaned: list[str] = []

    class Stuck:
        async def ship(self, key: str, count: int) -> int:
            begun.append(key)
            if len(begun) > 1:
                return count
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(key)
            raise AssertionError

    async def test(opened: Any) -> None:
        node = await opened(flow, Stuck())
        handle = await node.start(flow, count=4)
        while not begun:
            await asyncio.sleep(0)
        await node.close()
        assert cleaned == begun
        again = await opened(flow, Stuck())
        assert await again.handle(handle.id).result() == 4
        assert len(set(begun)) == 1

    async_world(test)


def test_an_operation_that_cancels_itself_has_failed() -> None:
    flow = shipping("once")

    class Cancelling:
        async def ship(self, key: str, count: int) -> int:
            raise asyncio.CancelledError

    async def test(opened: Any) -> None:
        node = await opened(flow, Cancelling())
        handle = await node.start(flow, count=4)
        while not node.hospital():
            await asyncio.sleep(0)
        assert "cancelled" in node.hospital()[0].cause
        with pytest.raises(StillRunning):
            handle.result_now()

    async_world(test)


def test_a_plain_method_may_give_something_to_await() -> None:
    flow, slow = shipping(), SlowPost()
    wrapped = types.SimpleNamespace(ship=lambda key, count: slow.ship(key, count))

    async def test(opened: Any) -> None:
        node = await opened(flow, wrapped)
        assert await (await node.start(flow, count=4)).result() == 8

    async_world(test)
    with world(wrapped, flow) as on:  # type: ignore[arg-type]
        start = on.start("alice", flow, count=5)
        on.run()
        assert on.result(start) == 10


def test_calls_that_are_done_together_are_not_kept_apart_by_the_limit() -> None:
    """All of them wait at once, though only two others of the node may run at a time."""
    flow = shipping()
    waiting: list[asyncio.Future[None]] = []

    class Gathering:
        @gathers
        async def ship(self, key: str, count: int) -> int:
            mine = asyncio.get_running_loop().create_future()
            waiting.append(mine)
            if len(waiting) == 20:
                for one in waiting:
                    one.set_result(None)
            await mine
            return count

    async def test(opened: Any) -> None:
        node = await opened(flow, Gathering(), limits=Limits(operations=2))
        handles = [await node.start(flow, count=n) for n in range(20)]
        assert [await handle.result() for handle in handles] == list(range(20))

    async_world(test)
