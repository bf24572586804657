"""Nodes over TLS: said again at once, through restarts, and no faster than they are taken."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flowrt.core.flow import Party
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.contracts.test_transports import talk
from tests.transport.certified import QUICK, Town, until
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
            handles = [await alice.start(talk().Asker_v1, **ask) for _ in range(100)]
            for handle in handles:
                assert await handle.result() == (0, 1001, 2002)
            for network in networks:
                assert network.figures().packets_dropped == 0
            assert networks[1].figures().held_back > 0
            await alice.close()
            await bob.close()

    play(test, tmp_path)
