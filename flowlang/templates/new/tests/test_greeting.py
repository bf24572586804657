"""The greeting, among two parties in memory. Compile first: `flowc compile .`"""

import asyncio

import pytest
from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork

import greeting_flow


async def greet(name: str) -> str:
    network = MemoryNetwork()
    alice, bob = [
        await Node.open(party, store=MemoryStore(), network=network, modules=[greeting_flow])
        for party in ("alice", "bob")
    ]
    try:
        handle = await alice.start(greeting_flow.Greet_v1, whom=Party("bob"), name=name)
        return await handle.result()
    finally:
        await alice.close()
        await bob.close()


def test_the_answer_knows_the_name():
    assert asyncio.run(greet("World")) == "Hello World, this is bob."


def test_an_empty_name_is_refused_by_the_other_side():
    with pytest.raises(greeting_flow.NobodyNamed):
        asyncio.run(greet(""))
