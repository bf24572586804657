"""What OpenTelemetry is told of flows: spans of two parties, in one trace where both want it."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.tracing import Tracing, shared_context
from flowrt.transport.memory import MemoryNetwork
from flowrt.turn import Turn
from tests.runtime.written import compiled

PROGRAM = """
record Item:
    name: Text

message Offer:
    item: Item

message Price:
    sum: Int

error TooDear(text: Text): "{text}"

service Post:
    external ship(name: Text) -> Int
    read weigh(name: Text) -> Int

flow Buy(shop: Party, item: Text) -> Int:
    startable by rpc
    steps:
        ASKING "Asking"
        SHIPPING "Shipping"
    step ASKING: "Asking for {item}"
    open Sell with shop as talk
    send Offer(Item(item)) to talk
    receive price: Price from talk:
        require price.sum < 1000 else TooDear("the canary costs {price.sum}")
    step SHIPPING
    return subflow Ship(item)

flow Ship(item: Text) -> Int:
    steps:
        PACKING "Packing"
    step PACKING: "Packing {item}"
    return await Post.ship(item)

flow Sell():
    responds to Buy as talk
    receive offer: Offer from talk unchecked
    send Price(offer.item.name.size) to talk

flow Leaves(first: Party, other: Party):
    startable by rpc
    open Lingers with first as one
    open Lingers with other as two
    send Price(1) to one
    send Price(2) to two
    sleep 1h

flow Lingers():
    responds to Leaves as talk
    receive price: Price from talk unchecked
    receive more: Price from talk unchecked

flow Weighs(item: Text) -> Int:
    startable by rpc
    checkpoint
    let found = Post.weigh(item)
    checkpoint
    return found

flow Delegates():
    startable by rpc
    start Naps()

flow Naps():
    startable by rpc
    steps:
        NAPPING "Napping"
    step NAPPING
    sleep 1h
"""

SECRET = "canary"


class Post:
    async def ship(self, key: str, name: str) -> int:
        await asyncio.sleep(0)
        return len(name)

    def weigh(self, tx: Any, name: str) -> int:
        self.weighed += 1
        if self.weighed == 1:
            raise ValueError(f"{name} is too heavy")
        return len(name)

    weighed = 0


_MADE: list[ModuleType] = []


def program() -> Any:
    if not _MADE:
        _MADE.append(compiled(PROGRAM))
    return _MADE[0]


class Seen:
    """A party's spans, in memory."""

    def __init__(self, party: str, peers: Iterable[str] = (), **how: Any) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        ticks = itertools.count(1_800_000_000_000_000, 1000)
        self.tracing = Tracing(party, provider, [*peers], clock=lambda: next(ticks), **how)

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name.rpartition(".")[2]: span for span in self.exporter.get_finished_spans()}


async def opened(
    party: str, network: MemoryNetwork, seen: Seen | None, disk: MemoryDisk | None = None
) -> Node:
    return await Node.open(
        party, store=MemoryStore(disk), network=network, modules=[program()],
        services={"Post": Post()}, observer=seen.tracing if seen is not None else None,
    )  # fmt: skip


def traded(alice: Seen, bob: Seen, item: str = SECRET) -> None:
    async def trade() -> None:
        network = MemoryNetwork()
        nodes = [await opened("alice", network, alice), await opened("bob", network, bob)]
        try:
            handle = await nodes[0].start(program().Buy_v1, shop=Party("bob"), item=item)
            await handle.result()
            while len(nodes[1].flows()) or len(nodes[0].flows()):
                await asyncio.sleep(0)
        finally:
            for node in nodes:
                await node.close()

    asyncio.run(trade())


def above(span: ReadableSpan, spans: dict[str, ReadableSpan]) -> str:
    """The name of the span under which it is; "" for none of these."""
    known = {one.context.span_id: name for name, one in spans.items()}
    return known.get(span.parent.span_id, "") if span.parent is not None else ""


def test_a_flow_its_steps_subflows_operations_and_sessions() -> None:
    alice, bob = Seen("alice"), Seen("bob")
    traded(alice, bob)
    spans = alice.spans()
    assert {name: above(span, spans) for name, span in spans.items()} == {
        "Buy": "",
        "ASKING": "Buy",
        "Sell": "ASKING",
        "SHIPPING": "Buy",
        "Ship": "SHIPPING",
        "PACKING": "Ship",
        "ship": "PACKING",
    }
    buy = spans["Buy"]
    assert buy.parent is None
    assert dict(buy.attributes or {}) == {
        "flowrt.flow.name": buy.name,
        "flowrt.flow.version": 1,
        "flowrt.flow.id": 1,
        "flowrt.party": "alice",
    }
    session = spans["Sell"]
    assert (session.kind, spans["ship"].kind) == (SpanKind.CLIENT, SpanKind.CLIENT)
    said = dict(session.attributes or {})
    assert (said["flowrt.peer"], said["flowrt.session"]) == ("bob", 0)
    assert said["flowrt.responder.version"] == 1
    for span in spans.values():
        assert span.context.trace_id == buy.context.trace_id
        assert span.status.status_code is StatusCode.UNSET
        assert span.start_time <= span.end_time
        assert buy.start_time <= span.start_time
        assert span.end_time <= buy.end_time
    assert not alice.tracing._flows
    assert not alice.tracing._told


def test_between_parties_a_trace_is_shared_only_if_both_want_it() -> None:
    for ours, theirs in itertools.product(((), ("bob",)), ((), ("alice",))):
        alice, bob = Seen("alice", ours), Seen("bob", theirs)
        traded(alice, bob)
        buy, sell = alice.spans()["Buy"], bob.spans()["Sell"]
        assert sell.kind is SpanKind.SERVER
        assert dict(sell.attributes or {})["flowrt.peer"] == "alice"
        is_shared = buy.context.trace_id == sell.context.trace_id
        assert is_shared == bool(ours and theirs)
        assert (sell.parent is None) == (not theirs)


def test_an_error_is_named_and_not_told() -> None:
    alice, bob = Seen("alice"), Seen("bob")
    with pytest.raises(Exception, match="the canary costs"):
        traded(alice, bob, SECRET * 200)
    buy, session = alice.spans()["Buy"], alice.spans()["Sell"]
    assert buy.status.status_code is StatusCode.ERROR
    assert (buy.status.description or "").endswith("TooDear")
    assert dict(buy.attributes or {})["error.type"] == buy.status.description
    assert session.end_time is not None


def test_no_span_has_an_argument_a_label_or_a_text() -> None:
    for item in (SECRET, SECRET * 200):
        alice, bob = Seen("alice", ["bob"]), Seen("bob", ["alice"])
        try:
            traded(alice, bob, item)
        except Exception:
            assert item != SECRET
        for span in (*alice.spans().values(), *bob.spans().values()):
            assert SECRET not in span.to_json()
            assert SECRET.encode().hex() not in span.to_json()


def test_a_flow_that_has_ended_and_puts_its_sessions_away_is_none_that_was_resumed() -> None:
    alice = Seen("alice")

    async def ends_before_its_peers_are_there() -> None:
        network = MemoryNetwork()
        nodes = [await opened("alice", network, alice)]
        bob, carol = Party("bob"), Party("carol")
        handle = await nodes[0].start(program().Leaves_v1, first=bob, other=carol)
        await nodes[0].kill(handle.id, by="ann", reason="over")
        assert len(alice.exporter.get_finished_spans()) == 3
        for name in ("bob", "carol"):
            seen = Seen(name)
            nodes.append(await opened(name, network, seen))
            nodes[0]._reached(name)
            while not seen.exporter.get_finished_spans():
                await asyncio.sleep(0)
            assert not alice.tracing._flows
        for node in nodes:
            await node.close()

    asyncio.run(ends_before_its_peers_are_there())
    assert not alice.tracing._is_broken
    assert len(alice.exporter.get_finished_spans()) == 3


def test_a_flow_goes_on_in_its_trace_after_its_process_was_killed() -> None:
    """What was open is lost; with shared traces what comes later is found in the same one."""
    disk, killed, later = MemoryDisk(), Seen("alice", ["bob"]), Seen("alice", ["bob"])

    async def two_lives() -> None:
        node = await opened("alice", MemoryNetwork(), killed, disk)
        await node.start(program().Naps_v1)
        node.observer = None
        await node.close()
        node = await opened("alice", MemoryNetwork(), later, disk)
        await node.kill(1, by="ann", reason="canary")
        while node.flows():
            await asyncio.sleep(0)
        await node.close()

    asyncio.run(two_lives())
    assert not killed.spans()
    nap = later.spans()["Naps"]
    assert dict(nap.attributes or {})["flowrt.resumed"] is True
    assert nap.status.status_code is StatusCode.ERROR
    expected = shared_context("alice", disk.incarnation, 1)
    assert nap.context.trace_id == expected.trace_id
    assert SECRET not in nap.to_json()


def test_trouble_is_told_by_its_type_and_place() -> None:
    seen = Seen("alice")

    async def weighing() -> None:
        node = await opened("alice", MemoryNetwork(), seen)
        handle = await node.start(program().Weighs_v1, item=SECRET)
        while not node.hospital():
            await asyncio.sleep(0)
        await node.retry(handle.id, by="ann", reason="lifted")
        assert await handle.result() == len(SECRET)
        await node.close()

    asyncio.run(weighing())
    [span] = seen.exporter.get_finished_spans()
    trouble, well = span.events
    said = dict(trouble.attributes or {})
    assert (said["exception.type"], said["flowrt.state"]) == ("ValueError", "in hospital")
    assert str(said["flowrt.place"]).rpartition(":")[2].isdigit()
    assert (trouble.name, well.name) == ("flowrt.trouble", "flowrt.well")
    assert SECRET not in span.to_json()


def test_a_flow_that_another_started_links_to_it() -> None:
    seen = Seen("alice")

    async def delegating() -> None:
        node = await opened("alice", MemoryNetwork(), seen)
        await node.start(program().Delegates_v1)
        while 1 not in seen.tracing._over or 2 not in seen.tracing._flows:
            await asyncio.sleep(0)
        await node.close()

    asyncio.run(delegating())
    spans = seen.spans()
    [link] = spans["Naps"].links
    assert link.context.span_id == spans["Delegates"].context.span_id


def test_an_invitation_under_another_incarnation_links_to_the_trace_that_the_peer_makes() -> None:
    """Since a peer has lost its store it is invited under another incarnation."""
    seen, disk = Seen("alice", ["bob"]), MemoryDisk()

    class Since:
        def told(self, turn: Turn, incarnation: bytes) -> None:
            seen.tracing.told(turn, b"another.")

        def close(self) -> None:
            seen.tracing.close()

    async def invite() -> None:
        node = await opened("alice", MemoryNetwork(), None, disk)
        node.observer = Since()
        await node.start(program().Buy_v1, shop=Party("bob"), item=SECRET)
        await node.close()

    asyncio.run(invite())
    [link] = seen.spans()["Sell"].links
    assert link.context == shared_context("alice", disk.incarnation, 1)


def test_what_is_open_when_the_node_closes_is_told_as_unfinished() -> None:
    seen = Seen("alice", most=3)

    async def napping() -> None:
        node = await opened("alice", MemoryNetwork(), seen)
        for _ in range(5):
            await node.start(program().Naps_v1)
        assert len(seen.tracing._flows) == 3
        assert len(seen.exporter.get_finished_spans()) == 4
        await node.close()

    asyncio.run(napping())
    found = seen.exporter.get_finished_spans()
    assert len(found) == 10
    assert all(dict(span.attributes or {})["flowrt.unfinished"] for span in found)


def test_a_mistake_of_tracing_ends_the_tracing_and_no_flow(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = Seen("alice"), Seen("bob")
    monkeypatch.setattr(Tracing, "_begin", lambda *_: 1 / 0)
    traded(alice, bob)
    assert not alice.spans()
    assert caplog.text.count("are not traced any more") == 2


def test_a_provider_that_fails_at_the_end_keeps_no_node_open(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen("alice")

    async def napping() -> None:
        node = await opened("alice", MemoryNetwork(), seen)
        await node.start(program().Naps_v1)
        monkeypatch.setattr(Tracing, "_forget", lambda *_: 1 / 0)
        await node.close()
        await node.stopped()

    asyncio.run(napping())
    assert caplog.text.count("are not told as unfinished") == 1


def test_a_node_without_it_loads_nothing_of_it() -> None:
    code = "import sys, flowrt.node, flowrt.serving.assembly; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.startswith(("opentelemetry", "flowrt.tracing"))}
