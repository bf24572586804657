"""A node as an application meets it: starting, waiting, watching, asking, closing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import gc
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.registry import NotRegistrable
from flowrt.core.values import decode
from flowrt.node import Handle, Node, NodeStopped, NotStartable, StillRunning
from flowrt.store import StoreError
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime import hand_flow as hand
from tests.runtime import plays
from tests.runtime.book import Book
from tests.runtime.crashes import START_US, CrashingStore, Power
from tests.runtime.plays import At, at, play

ALICE, BOB = rt.Party("alice"), rt.Party("bob")

Test = Callable[..., Awaitable[None]]


def run(test: Test) -> Callable[..., None]:
    """An async test, in a loop of its own that may not take long."""

    def runs(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(test(**fixtures), 20))

    runs.__name__ = test.__name__
    runs.__doc__ = test.__doc__
    import inspect

    runs.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return runs


class Street:
    """Nodes of one network in this event loop, closed at the end."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.disks: dict[str, MemoryDisk] = {}
        self.nodes: list[Node] = []

    async def open(
        self, party: str, *modules: types.ModuleType, power: Power | None = None
    ) -> Node:
        store = MemoryStore(self.disks.setdefault(party, MemoryDisk()))
        own = modules or (hand,)
        node = await Node.open(
            party,
            store=CrashingStore(store, power or Power()),
            network=self.network,
            modules=own,
            services={"Journal": Book()} if hand in own else {},
        )
        self.nodes.append(node)
        return node


@contextlib.asynccontextmanager
async def street() -> AsyncIterator[Street]:
    made = Street()
    try:
        yield made
    finally:
        for node in made.nodes:
            await node.close()


# --- starting ------------------------------------------------------------------------------------


@run
async def test_a_flow_is_started_and_its_result_awaited() -> None:
    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob")
        handle = await alice.start(hand.Asker_v1, to=BOB, rounds=3)
        assert handle.id == 1
        assert repr(handle) == "<Handle of flow 1 on alice>"
        total: int = await handle.result()
        assert total == 12
        assert handle.result_now() == 12


@run
async def test_a_start_returns_when_its_first_step_is_committed() -> None:
    async with street() as on:
        alice = await on.open("alice")
        handle = await alice.start(hand.Holder_v1, reason="wait")
        assert on.disks["alice"].flows[handle.id]
        (patient,) = alice.hospital()
        assert patient.flow_id == handle.id


@run
async def test_many_at_once() -> None:
    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob")
        handles = await asyncio.gather(
            *[alice.start(hand.Asker_v1, to=BOB, rounds=n % 4) for n in range(300)]
        )
        results = await asyncio.gather(*[handle.result() for handle in handles])
        assert results == [(n % 4) * (n % 4 + 1) for n in range(300)]
        assert len(on.disks["alice"].audit) < 60, "together, not one by one"


@run
async def test_the_error_that_ended_a_flow_is_raised_typed() -> None:
    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob")
        handle = await alice.start(hand.Hasty_v1, to=BOB, words=1)
        with pytest.raises(hand.TooMuch) as caught:
            await handle.result()
        assert (caught.value.limit, caught.value.given) == (1, 2)
        assert len(caught.value.error_id) == 16
        with pytest.raises(hand.TooMuch):
            handle.result_now()


@run
async def test_an_error_that_the_flow_itself_cannot_name_is_typed_all_the_same() -> None:
    """It came from a subflow of another module, which the node knows."""

    def throws(run: Any, state: At) -> Any:
        raise hand.Refused("deep down")

    inner = play("t.Inner", throws, errors=hand.ERRORS)
    outer = play(
        "t.Outer",
        lambda run, state: rt.Call(at(1), inner, at(0)),
        lambda run, state: run.result(inner),
    )
    async with street() as on:
        alice = await on.open("alice", plays.plays(inner, outer))
        with pytest.raises(hand.Refused, match="deep down"):
            await (await alice.start(outer)).result()


class Typed_v1(rt.Flow[str]):  # noqa: N801
    contract = 2
    name = "typed.Typed"
    version = 1
    startable = ("rpc",)

    def __init__(
        self, *, flow: int, self_: str, price: decimal.Decimal, names: tuple[str, ...]
    ) -> None:
        rt.refuse_call(Typed_v1, flow=flow, self_=self_, price=price, names=names)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        flow: rt.Int
        self_: str
        price: decimal.Decimal
        names: tuple[str, ...]
        when: rt.Timestamp | None = None
        prices: tuple[decimal.Decimal, ...] = ()
        rates: rt.Mapping[str, decimal.Decimal | None] | None = None

    States = Start
    Result = str

    @classmethod
    def step(cls, state: Start, run: rt.Run) -> rt.Step[str]:
        return rt.Return(rt.text(state.flow, state.self_, state.price, *state.names))


TYPED = types.ModuleType("typed_flow")
TYPED.Typed_v1 = Typed_v1  # type: ignore[attr-defined]
Typed_v1.__module__ = "typed_flow"
GOOD: dict[str, Any] = {
    "flow": 1,
    "self_": "s",
    "price": decimal.Decimal("2.50"),
    "names": ("a", "b"),
}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"flow": "1"}, "Expected `int`, got `str` - at `flow`"),
        ({"flow": True}, "Expected `int`, got `bool`"),
        ({"flow": 1.0}, "Expected `int`, got `float`"),
        ({"flow": 2**63}, "<= 9223372036854775807"),
        ({"flow": 2**70}, "Typed_v1: "),
        ({"self_": b"s"}, "got `bytes`"),
        ({"self_": "\ud800"}, "surrogates not allowed"),
        ({"price": 2.5}, "this is float, but Decimal is wanted"),
        ({"price": decimal.Decimal("NaN")}, "must be a number"),
        ({"price": object()}, "this is object, but Decimal is wanted"),
        ({"prices": (decimal.Decimal(1), 0.1)}, "this is float, but Decimal is wanted"),
        ({"prices": [decimal.Decimal("Infinity")]}, "must be a number"),
        ({"rates": {"a": decimal.Decimal(1), "b": 2.5}}, "this is float, but Decimal is wanted"),
        ({"rates": {"a": decimal.Decimal("1e99")}}, "exponent"),
        ({"names": ["a", 1]}, "Expected `str`, got `int` - at `names[1]`"),
        ({"names": ("a", object())}, "object is not a value of the flow language"),
        ({"names": {"a": 1}}, "Expected `array`, got `object`"),
        ({"names": None}, "Expected `array`, got `None` - at `names`"),
        ({"when": datetime.datetime(2026, 1, 1)}, "Expected `datetime` with a timezone"),
        ({"nobody": 1}, "Unexpected keyword argument 'nobody'"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_arguments_are_checked_before_anything_starts(wrong: dict[str, Any], says: str) -> None:
    node = Node.create("alice", store=MemoryStore(), network=MemoryNetwork(), modules=[TYPED])
    with pytest.raises(NotStartable) as caught:
        node.submit(Typed_v1, **{**GOOD, **wrong})
    assert str(caught.value).startswith("Typed_v1: ")
    assert says in str(caught.value)
    assert not node.turn()


def test_missing_and_positional_arguments_are_refused() -> None:
    node = Node.create("alice", store=MemoryStore(), network=MemoryNetwork(), modules=[TYPED])
    for missing in ("flow", "names"):
        given = {name: value for name, value in GOOD.items() if name != missing}
        with pytest.raises(NotStartable, match=f"Missing required argument '{missing}'"):
            node.submit(Typed_v1, **given)
    with pytest.raises(NotStartable, match="Typed_v1 takes named arguments only"):
        node.submit(typing.cast(Any, Typed_v1), 1, "s")
    handle = node.submit(Typed_v1, **GOOD)
    node.turn()
    assert handle.result_now() == "1s2.5ab"


def test_only_what_may_be_started_from_outside_is() -> None:
    node = Node.create(
        "alice",
        store=MemoryStore(),
        network=MemoryNetwork(),
        modules=[hand],
        services={"Journal": Book()},
    )
    with pytest.raises(NotStartable, match="Bid_v1 is not `startable by rpc`"):
        node.submit(typing.cast(Any, hand.Bid_v1), to=BOB, price=1)
    with pytest.raises(NotStartable, match="is not a flow of this node; pass its module"):
        node.submit(Typed_v1, **GOOD)
    for other in (print, "hand.Asker", None):
        with pytest.raises(NotStartable, match="is not a flow of this node"):
            node.submit(typing.cast(Any, other))


def test_calling_a_flows_class_says_how_it_is_started() -> None:
    with pytest.raises(TypeError) as caught:
        hand.Asker_v1(to=BOB, rounds=3)
    assert str(caught.value) == (
        "Asker_v1 runs inside a node, not by calling it; "
        "start it with: handle = await node.start(Asker_v1, to=…, rounds=…)"
    )


def test_a_result_that_is_not_there_yet_says_so() -> None:
    node = Node.create("alice", store=MemoryStore(), network=MemoryNetwork(), modules=[TYPED])
    handle = node.submit(Typed_v1, **GOOD)
    assert handle.outcome is None
    with pytest.raises(StillRunning, match="flow 1 has not ended"):
        handle.result_now()


def test_what_cannot_run_does_not_open() -> None:
    for modules, error in (([types], NotRegistrable),):
        with pytest.raises(error):
            Node.create("alice", store=MemoryStore(), network=MemoryNetwork(), modules=modules)
    store = MemoryStore()
    Node.create("alice", store=store, network=MemoryNetwork(), modules=[TYPED])
    with pytest.raises(StoreError, match="belongs to party alice"):
        Node.create("bob", store=MemoryStore(store.disk), network=MemoryNetwork(), modules=[TYPED])


# --- handles -------------------------------------------------------------------------------------


@run
async def test_a_handle_is_found_again_by_its_id() -> None:
    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob")
        first = await alice.start(hand.Asker_v1, to=BOB, rounds=2)
        assert alice.handle(first.id) is first
        assert await alice.handle(first.id).result() == 6
        assert await alice.handle(first.id).result() == 6
        for unknown in (99, 0, -1):
            with pytest.raises(KeyError):
                alice.handle(unknown)


@run
async def test_a_handle_that_nobody_keeps_is_forgotten_and_made_anew() -> None:
    async with street() as on:
        alice = await on.open("alice")
        flow_id = (await alice.start(hand.Holder_v1, reason="x")).id
        gc.collect()
        assert flow_id not in alice._handles
        waits = asyncio.ensure_future(alice.handle(flow_id).result())
        await asyncio.sleep(0)
        await alice.retry(flow_id)
        assert await waits == "went on"


@run
async def test_handles_go_on_after_a_restart() -> None:
    async with street() as on:
        alice = await on.open("alice")
        held = (await alice.start(hand.Holder_v1, reason="x")).id
        done = await alice.start(hand.Teller_v1, first="a", second="b")
        await done.result()
        await alice.close()
        alice = await on.open("alice")
        assert await alice.handle(done.id).result() == 2
        waits = alice.handle(held)
        assert waits.outcome is None
        await alice.retry(held)
        assert await waits.result() == "went on"


@run
async def test_several_wait_for_one_result_and_one_gives_up() -> None:
    async with street() as on:
        alice = await on.open("alice")
        handle = await alice.start(hand.Holder_v1, reason="x")
        waiting = [asyncio.ensure_future(handle.result()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await alice.retry(handle.id)
        assert await waiting[0] == await waiting[2] == "went on"
        assert waiting[1].cancelled()


# --- watching ------------------------------------------------------------------------------------


async def paths(handle: Handle[Any]) -> list[tuple[int, tuple[str, ...], str, bool]]:
    return [
        (event.number, event.path, event.label, event.done) async for event in handle.progress()
    ]


HAGGLING = [
    (0, ("FIRST",), "First offer", False),
    (2, ("FIRST", "BIDDING"), "Offering 12", False),
    (4, ("AGAIN",), "after 12 is over 10", False),
    (6, ("AGAIN", "BIDDING"), "Offering 10", False),
    (8, (), "", True),
]


@run
async def test_progress_is_told_from_the_beginning_to_early_and_late_readers() -> None:
    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob")
        handle = await alice.start(hand.Bidder_v1, to=BOB, price=12)
        early = [asyncio.ensure_future(paths(handle)) for _ in range(2)]
        assert await handle.result() == 10
        assert await early[0] == await early[1] == HAGGLING
        assert await paths(handle) == HAGGLING, "late"
        await alice.close()
        alice = await on.open("alice")
        assert await paths(alice.handle(handle.id)) == HAGGLING, "after a restart"


@run
async def test_progress_of_a_flow_that_lives_through_a_restart() -> None:
    async with street() as on:
        alice = await on.open("alice")
        nap = datetime.timedelta(milliseconds=30)
        handle = await alice.start(hand.Napper_v1, naps=1, length=nap)
        seen = []
        stream = handle.progress()
        seen.append((await anext(stream)).number)
        closing = asyncio.ensure_future(alice.close())
        with pytest.raises(NodeStopped):
            await anext(stream)
        await closing
        assert seen == [0]
        alice = await on.open("alice")
        assert [event[:2] for event in await paths(alice.handle(handle.id))] == [
            (0, ("NAPPING",)),
            (1, ("AWAKE",)),
            (2, ()),
        ]


@run
async def test_who_stops_watching_costs_nothing() -> None:
    async with street() as on:
        alice = await on.open("alice")
        handle = await alice.start(hand.Teller_v1, first="a", second="b")
        stream = handle.progress()
        assert (await anext(stream)).path == ("ONE",)
        await stream.aclose()  # type: ignore[attr-defined]
        assert handle._streams == []
        assert await handle.result() == 2


@run
async def test_a_reader_that_is_slow_misses_nothing() -> None:
    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob")
        handle = await alice.start(hand.Bidder_v1, to=BOB, price=12)
        seen = []
        async for event in handle.progress():
            seen.append(event.number)
            await asyncio.sleep(0.001)
        assert seen == [0, 2, 4, 6, 8]


# --- timers in the event loop --------------------------------------------------------------------


@run
async def test_a_nap_takes_its_time() -> None:
    async with street() as on:
        alice = await on.open("alice")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        nap = datetime.timedelta(milliseconds=20)
        handle = await alice.start(hand.Napper_v1, naps=2, length=nap)
        assert await handle.result() == 2
        assert loop.time() - begun >= 0.04


@run
async def test_a_due_flow_of_an_earlier_life_goes_on_when_the_node_opens() -> None:
    async with street() as on:
        alice = await on.open("alice")
        nap = datetime.timedelta(milliseconds=10)
        flow_id = (await alice.start(hand.Napper_v1, naps=1, length=nap)).id
        await alice.close()
        await asyncio.sleep(0.02)
        alice = await on.open("alice")
        assert await alice.handle(flow_id).result() == 1


@run
async def test_who_comes_while_a_batch_is_written_goes_into_the_next_one() -> None:
    """Behind the loop's turn of a busy node there is always a place for who has come meanwhile: the
    second flow begins in the batch in which the first one goes on."""
    async with street() as on:
        alice = await on.open("alice")
        first = await alice.start(hand.Teller_v1, first="one", second="two")
        second = await asyncio.create_task(
            alice.start(hand.Teller_v1, first="three", second="four")
        )
        assert [await first.result(), await second.result()] == [2, 2]
        rows = [decode(list[Any], entries) for _, entries in alice._store.audit()]
        batches = [[entry[0] for entry in row] for row in rows]
        assert batches[:2] == [[first.id], [first.id, second.id]]


@run
async def test_a_clock_that_is_set_forward_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrt.node.NAP_S", 0.005)
    now_us = [START_US]
    alice = await Node.open(
        "alice",
        store=MemoryStore(),
        network=MemoryNetwork(),
        modules=[hand],
        services={"Journal": Book()},
        clock=lambda: now_us[0],
    )
    handle = await alice.start(hand.Napper_v1, naps=1, length=datetime.timedelta(hours=3))
    now_us[0] += 4 * 3_600_000_000
    assert await handle.result() == 1
    await alice.close()


@run
async def test_what_gets_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrt.peers.outbox.RESEND_US", (5_000,))
    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob")
        on.network.down.add("bob")
        handle = await alice.start(hand.Asker_v1, to=BOB, rounds=1)
        await asyncio.sleep(0.01)
        on.network.down.clear()
        assert await handle.result() == 2


# --- the hospital --------------------------------------------------------------------------------


@run
async def test_a_retry_returns_when_it_is_committed_and_says_who_is_not_ill() -> None:
    async with street() as on:
        alice = await on.open("alice")
        handle = await alice.start(hand.Teller_v1, first="bug", second="b")
        (patient,) = alice.hospital()
        await alice.retry(handle.id)
        assert alice.hospital()[0].since_us >= patient.since_us
        book = alice._world.services["hand.Journal"]
        assert book is not None
        with pytest.raises(KeyError):
            await alice.retry(99)


@run
async def test_a_retry_of_a_flow_that_cannot_be_loaded_returns() -> None:
    async with street() as on:
        alice = await on.open("alice")
        held = (await alice.start(hand.Holder_v1, reason="x")).id
        await alice.close()
        alice = await on.open("alice", TYPED)
        await alice.retry(held)
        (patient,) = alice.hospital()
        assert patient.cause == "cannot be loaded: hand.Holder_v1 is not installed"
        await alice.retry(held)


# --- closing and stopping ------------------------------------------------------------------------


@run
async def test_closing_tells_everybody_who_waits() -> None:
    async with street() as on:
        alice = await on.open("alice")
        handle = await alice.start(hand.Holder_v1, reason="x")
        waiting = [
            asyncio.ensure_future(handle.result()),
            asyncio.ensure_future(paths(handle)),
            asyncio.ensure_future(alice.start(hand.Holder_v1, reason="y")),
        ]
        await asyncio.sleep(0)
        late = asyncio.ensure_future(alice.start(hand.Holder_v1, reason="too late"))
        await alice.close()
        await alice.close()
        found = await asyncio.gather(*waiting, late, return_exceptions=True)
        assert isinstance(found[0], NodeStopped)
        assert isinstance(found[1], NodeStopped)
        for start in found[2:]:
            assert isinstance(start, NodeStopped | Handle)
        for act in (
            lambda: alice.start(hand.Holder_v1, reason="z"),
            lambda: alice.retry(handle.id),
            handle.result,
            lambda: paths(handle),
        ):
            with pytest.raises(NodeStopped, match="the node of alice was closed"):
                await act()
        for ask in (alice.flows, alice.hospital, lambda: alice.handle(12345), alice.turn):
            with pytest.raises(NodeStopped):
                ask()
        alice._received("bob", b"late packet")


@run
async def test_a_result_that_is_known_is_known_after_closing_too() -> None:
    async with street() as on:
        alice = await on.open("alice")
        handle = await alice.start(hand.Teller_v1, first="a", second="b")
        await handle.result()
        await alice.close()
        assert await handle.result() == 2


@run
async def test_who_waits_for_a_node_to_stop_hears_why() -> None:
    async with street() as on:
        alice, bob = await on.open("alice"), await on.open("bob")
        waiting = [asyncio.ensure_future(alice.stopped()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        await alice.close()
        for found in (*await asyncio.gather(*waiting), await alice.stopped()):
            assert str(found) == "the node of alice was closed"
        assert not bob._stopped


@run
async def test_a_node_that_stops_because_its_store_has_another_owner_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with street() as on:
        store = SqliteStore(tmp_path / "alice.db")
        services = {"Journal": Book()}
        alice = await Node.open(
            "alice", store=store, network=on.network, modules=[hand], services=services
        )
        on.nodes.append(alice)
        other = SqliteStore(tmp_path / "alice.db")
        other.open("alice")
        start = asyncio.ensure_future(alice.start(hand.Holder_v1, reason="x"))
        reason = str(await alice.stopped())
        other.close()
        assert reason == (
            f"alice: {tmp_path}/alice.db was opened by another process; this one stops"
        )
        assert caplog.messages[-1] == reason
        with pytest.raises(NodeStopped, match="opened by another process"):
            await start


@pytest.mark.parametrize("kind", ["refused", "unknown, not done"])
def test_a_store_that_is_lost_for_good_stops_the_node_and_nobody_waits_for_ever(kind: str) -> None:
    async def scene() -> None:
        async with street() as on:
            power = Power((3, kind), for_good=True)
            alice = await on.open("alice", power=power)
            handle = await alice.start(hand.Holder_v1, reason="x")
            waiting = [
                asyncio.ensure_future(handle.result()),
                asyncio.ensure_future(paths(handle)),
                *[
                    asyncio.ensure_future(alice.start(hand.Teller_v1, first="a", second="b"))
                    for _ in range(3)
                ],
                asyncio.ensure_future(alice.retry(handle.id)),
            ]
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(one) for one in found] == [NodeStopped] * 6
            assert "the store cannot be written" in str(found[0])
            power.heal()
            alice = await on.open("alice")
            await alice.retry(handle.id)
            assert await alice.handle(handle.id).result() == "went on"
            assert len(on.disks["alice"].outcomes) == 1, "what was refused was not started"

    run(scene)()


@pytest.mark.parametrize("kind", ["refused", "unknown, done", "unknown, not done"])
def test_one_refusal_goes_unnoticed(kind: str) -> None:
    """Also when nothing else happens: the node wakes itself for what it must do again."""

    async def scene() -> None:
        for number in range(2, 6):
            async with street() as on:
                alice = await on.open("alice", power=Power((number, kind)))
                handle = await alice.start(hand.Teller_v1, first="a", second="b")
                assert await handle.result() == 2
                assert [event[0] for event in await paths(handle)] == [0, 1, 2]

    run(scene)()


@run
async def test_a_step_that_no_commit_takes_goes_to_the_hospital_and_its_start_returns() -> None:
    async with street() as on:
        alice = await on.open("alice")
        handle = await alice.start(hand.Teller_v1, first="orphan", second="b")
        (patient,) = alice.hospital()
        assert (patient.flow_id, "FOREIGN KEY" in patient.cause) == (handle.id, True)


@run
async def test_our_own_mistake_stops_the_node_and_tells_who_waits() -> None:
    async with street() as on:
        alice = await on.open("alice")
        held = await alice.start(hand.Holder_v1, reason="x")

        def broken(*_: Any) -> None:
            raise RuntimeError("ours")

        alice._commit = broken  # type: ignore[method-assign]
        start = asyncio.ensure_future(alice.start(hand.Holder_v1, reason="y"))
        found = await asyncio.gather(held.result(), start, return_exceptions=True)
        assert [str(error) for error in found] == ["alice: RuntimeError: ours"] * 2


# --- two versions --------------------------------------------------------------------------------


@run
async def test_a_flow_that_was_begun_by_an_old_version_ends_in_it() -> None:
    def first(version: str) -> list[Any]:
        return [
            lambda run, state: rt.Hold(at(1), "wait"),
            lambda run, state: rt.Return(version),
        ]

    old = play("t.A", *first("old"))
    new = play("t.A", *first("new"), version=2)
    async with street() as on:
        alice = await on.open("alice", plays.plays(old))
        begun = (await alice.start(old)).id
        await alice.close()
        alice = await on.open("alice", plays.plays(old, new))
        late = await alice.start(new)
        for flow_id in (begun, late.id):
            await alice.retry(flow_id)
        assert await alice.handle(begun).result() == "old"
        assert await late.result() == "new"


@run
async def test_the_newest_responder_answers_and_older_conversations_go_on() -> None:
    def answers(version: str) -> Any:
        return play(
            "hand.Right",
            lambda run, state: rt.Receive(at(1, state.s), state.s),
            lambda run, state: (
                (run.received(hand.Note) and run.send(state.s, hand.Note(version)))
                or rt.Return(None)
            ),
            version=int(version[1:]),
            responds_to="hand.Left",
        )

    async with street() as on:
        alice = await on.open("alice")
        await on.open("bob", plays.plays(answers("v1"), answers("v3"), answers("v2")))
        handle = await alice.start(hand.Left_v1, to=BOB)
        assert await handle.result() == "v3"


# --- views ---------------------------------------------------------------------------------------


@run
async def test_living_flows_are_seen_as_they_rest(tmp_path: Path) -> None:
    async with street() as on:
        alice = await on.open("alice")
        on.network.down.add("bob")
        await alice.start(hand.Asker_v1, to=BOB, rounds=1)
        await alice.start(hand.Notifier_v1, to=BOB, texts=("x",), flow="hand.Listener")
        await alice.start(hand.Hasty_v1, to=BOB, words=1)
        await alice.start(hand.Holder_v1, reason="look")
        views = [(view.flow, view.state, view.waits, view.peer) for view in alice.flows()]
        assert views == [
            ("hand.Asker_v1", "AwaitReply", "a message", "bob"),
            ("hand.Notifier_v1", "Start", "acceptance of its invitations", None),
            ("", "ended", "confirmations", None),
            ("hand.Holder_v1", "Held", "an operator: look", None),
        ]
        assert [view.in_hospital for view in alice.flows()] == [False, False, False, True]
        assert all(0 < view.checkpoint_bytes < 200 for view in alice.flows())
        assert tmp_path.is_dir()


def test_the_clock_is_the_one_that_was_given() -> None:
    seen = []
    flow = play("t.Clock", lambda run, state: seen.append(run.now) or rt.Return(None))
    node = Node.create(
        "alice",
        store=MemoryStore(),
        network=MemoryNetwork(),
        modules=[plays.plays(flow)],
        clock=lambda: START_US,
    )
    node.submit(flow)
    node.turn()
    assert seen[0] == datetime.datetime.fromtimestamp(START_US / 1e6, datetime.UTC)
