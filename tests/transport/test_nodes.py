"""Nodes over TLS: said again at once, through restarts, and no faster than they are taken."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
from pathlib import Path

import pytest

from flowrt.core.flow import Party
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.contracts.test_transports import talk
from tests.transport.certified import QUICK, Cable, Town, until
from tests.transport.test_tls import play


def test_a_node_says_again_at_once_what_is_under_way_when_a_peer_is_reached() -> None:
    network = MemoryNetwork()
    alice = Node.create(
        "alice", store=MemoryStore(), network=network, modules=[talk()], clock=lambda: 0
    )
    alice.submit(talk().Asker_v1, whom=Party("bob"), rounds=1, ballast=b"")
    while alice.turn() or network.pump():
        pass
    bob = Node.create("bob", store=MemoryStore(), network=network, modules=[talk()])
    assert not network.pump()
    assert alice._transport.up is not None
    alice._transport.up("carol")
    assert not network.pump()
    alice._transport.up("bob")
    assert network.pump()
    assert len(bob._inbound) == 1
    alice._stop(RuntimeError("the end"))
    alice._transport.up("bob")
    assert not network.pump(), "who has stopped says nothing"


def test_conversations_go_on_after_each_side_was_restarted(tmp_path: Path) -> None:
    """Both ends in turn: another process on the same database, at another address. No wait of the
    outbox is as short as this test."""

    async def test(town: Town) -> None:
        networks = {name: town.network(name) for name in ("alice", "bob")}
        nodes: dict[str, Node] = {}

        async def start(name: str) -> None:
            await networks[name].listen()
            town.known[name] = [networks[name].address or ""]
            nodes[name] = await Node.open(
                name,
                store=SqliteStore(tmp_path / f"{name}.db"),
                network=networks[name],
                modules=[talk()],
            )

        await start("alice")
        await start("bob")
        for name in ("alice", "bob"):
            other = "bob" if name == "alice" else "alice"
            handle = await nodes[name].start(
                talk().Asker_v1, whom=Party(other), rounds=40, ballast=b"x" * 1000
            )
        for name in ("alice", "bob", "alice"):
            before = nodes[name]._commits
            await until(lambda n=name, b=before: nodes[n]._commits > b + 8)  # type: ignore[misc]
            await nodes[name].close()
            await networks[name].close(0)
            networks[name] = town.network(name)
            await start(name)
        for name in ("alice", "bob"):
            handle = nodes[name].handle(1)
            assert await handle.result() == tuple(round * 1001 for round in range(40))
        await until(lambda: not any(node.flows() for node in nodes.values()))
        for name in ("alice", "bob"):
            await nodes[name].close()
            await networks[name].close()

    play(test, tmp_path)


def test_a_node_is_sent_no_more_than_it_takes(tmp_path: Path) -> None:
    """Nothing is dropped, though it lets only three packets wait."""

    async def test(town: Town) -> None:
        limits = dataclasses.replace(QUICK, resend_s=60)
        async with town.open("alice", "bob", limits=limits) as networks:
            alice, bob = [
                await Node.open(
                    network.party,
                    store=MemoryStore(),
                    network=network,
                    modules=[talk()],
                    limits=Limits(inbound=3),
                )
                for network in networks
            ]
            ask = {"whom": Party("bob"), "rounds": 3, "ballast": b"x" * 1000}
            handles = [await alice.start(talk().Asker_v1, **ask) for _ in range(40)]
            for handle in handles:
                assert await handle.result() == (0, 1001, 2002)
            for network in networks:
                assert network.figures().packets_dropped == 0
            assert networks[1].figures().held_back > 0
            await alice.close()
            await bob.close()

    play(test, tmp_path)


async def _survive(town: Town, seed: int) -> None:
    """Conversations both ways over cables that are cut after some bytes, again and again."""
    chance = random.Random(seed)
    async with contextlib.AsyncExitStack() as stack:
        networks = await stack.enter_async_context(town.open("alice", "bob"))
        cables = []
        for network in networks:
            cable = await stack.enter_async_context(Cable(network).laid())
            town.known[network.party] = [cable.address]
            cables.append(cable)
        nodes = [
            await Node.open(network.party, store=MemoryStore(), network=network, modules=[talk()])
            for network in networks
        ]
        handles = []
        for node, whom in zip(nodes, ("bob", "alice"), strict=True):
            for _ in range(5):
                ask = {"whom": Party(whom), "rounds": 10, "ballast": chance.randbytes(3000)}
                handles.append(await node.start(talk().Asker_v1, **ask))
        for _ in range(12):
            cable = chance.choice(cables)
            cable.left = chance.choice((1, 100, 3_000, 40_000))
            before = sum(node._commits for node in nodes)

            def has_moved(cable: Cable = cable, before: int = before) -> bool:
                moved = sum(node._commits for node in nodes) > before + 6
                return moved or cable.left == -1 or not any(node.flows() for node in nodes)

            await until(has_moved)
            if chance.random() < 0.2:
                cable.cut()
        for cable in cables:
            cable.left = -1
        for handle in handles:
            assert await handle.result() == tuple(round * 1001 for round in range(10))
        await until(lambda: not any(node.flows() or len(node._outbox) for node in nodes))
        for node in nodes:
            await node.close()


@pytest.mark.parametrize("seed", range(4))
def test_conversations_over_cables_that_are_cut(tmp_path: Path, seed: int) -> None:
    play(lambda town: _survive(town, seed), tmp_path)


@pytest.mark.campaign
def test_many_conversations_over_cables_that_are_cut(tmp_path: Path) -> None:
    for seed in range(1000, 1000 + int(os.environ.get("FLOW_CABLES", "200"))):
        folder = tmp_path / str(seed)
        folder.mkdir()
        play(lambda town, seed=seed: _survive(town, seed), folder)  # type: ignore[misc]
