"""The session with a flow's owner: commands from the application, messages back to it."""

from __future__ import annotations

import asyncio
from types import ModuleType

import pytest

from flowrt.core import flow as rt
from flowrt.handle import NotAccepted
from flowrt.node import Node, NotStartable
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import ALICE, Stage, compiled

PAYING = """
message PayMore:
    amount: Int

message Stop:
    reason: Text

message Ask:
    what: Text

message Status:
    paid: Int
    by: Text

error TooMuch(amount: Int): "{amount} is too much"

flow Pay(most: Int) -> Int:
    startable by rpc as owner
    var paid = 0
    while paid < most:
        receive from owner:
            case PayMore as more:
                require more.amount < 100 else TooMuch(more.amount)
                paid = paid + more.amount
                send Status(paid, owner.peer.name) to owner
            case Stop:
                break
    return subflow Close(paid, [owner])

flow Close(paid: Int, all: List[Session]) -> Int:
    for session in all:
        receive last: Ask from session unchecked
        send Status(paid, last.what) to session
    return paid
"""


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return compiled(PAYING)


def test_the_class_says_what_its_owner_may_send(program: ModuleType) -> None:
    flow = program.Pay_v1
    assert flow.owner
    assert {kind.__name__ for kind in flow.commands} == {"PayMore", "Stop", "Ask"}
    assert flow.Start.__struct_fields__ == ("most", "owner")
    assert not program.Close_v1.owner
    assert program.Close_v1.commands == ()


def test_commands_and_answers(program: ModuleType) -> None:
    async def talk() -> list[object]:
        node = await Node.open(
            "alice", store=MemoryStore(), network=MemoryNetwork(), modules=[program]
        )
        handle = await node.start(program.Pay_v1, most=50)
        heard = []
        for amount in (20, 40):
            await handle.send(program.PayMore(amount))
            heard.append(await handle.receive())
        with pytest.raises(NotAccepted):
            await handle.send(program.Status(1, "me"))
        await handle.send(program.Ask("how"))
        heard += [await handle.receive(), await handle.result()]
        await node.close()
        return heard

    status = program.Status
    assert asyncio.run(talk()) == [
        status(20, "alice"),
        status(60, "alice"),
        status(60, "how"),
        60,
    ]


def test_an_owners_command_is_checked_like_any_message(program: ModuleType) -> None:
    async def talk() -> None:
        node = await Node.open(
            "alice", store=MemoryStore(), network=MemoryNetwork(), modules=[program]
        )
        handle = await node.start(program.Pay_v1, most=50)
        await handle.send(program.PayMore(500))
        with pytest.raises(program.TooMuch):
            await handle.result()
        await node.close()

    asyncio.run(talk())


def test_the_session_is_not_an_argument(program: ModuleType) -> None:
    stage = Stage(program, ALICE)
    with pytest.raises(NotStartable, match="`owner` is not given"):
        stage.start(program.Pay_v1, most=1, owner=3)


def test_a_business_key_is_made_of_the_arguments() -> None:
    made = compiled(
        "record Order:\n    number: Text\n    lines: Int\n\n"
        "flow Deliver(order: Order, whom: Party):\n    startable by rpc\n"
        '    key "{order.number} for {whom}"\n    pass\n\n'
        "flow Return(number: Text):\n    startable by rpc\n    key number\n    pass\n"
    )
    start = made.Deliver_v1.Start(made.Order("A1", 2), rt.Party("bob"))
    assert made.Deliver_v1.key(start) == "A1 for bob"
    assert made.Return_v1.key(made.Return_v1.Start("R7")) == "R7"
