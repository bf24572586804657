"""What an author's service and tests are lent: transactions as objects, first signatures, a network
that says who is stuck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.handle import StillRunning
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.local import LocalNetwork, Stuck
from flowrt.ledger.node import Ledger
from flowrt.ledger.problems import UnknownSchema
from flowrt.ledger.states import Rulebook
from flowrt.sim import World
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import StateRef
from tests.ledger import deals
from tests.ledger.market import BOB, Market
from tests.ledger.played import program

MODULE = program("""
use ledger.core: SignedTransaction
use ledger.finality: Finality

service Desk:
    write make(words: Text) -> SignedTransaction

flow Make(words: Text) -> Bytes:
    startable by rpc
    let made = Desk.make(words)
    let final = subflow Finality(made, [])
    return final.id

flow Ask(whom: Party) -> Text:
    startable by rpc
    open Answer with whom as talk
    receive said: Said from talk unchecked
    return said.words

message Said:
    words: Text

flow Answer():
    responds to Ask as talk
    let made = Desk.make("boom")
    send Said("{made.id}") to talk
""")


class Desk:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def make(self, tx: Any, words: str) -> Any:
        keys, network = self.ledger.keys, self.ledger.network
        me = keys.me(tx)
        builder = TransactionBuilder(network.identity(tx, network.notaries(tx)[0]))
        if words == "boom":
            return keys.sign(tx, builder.build(bytes(32)))
        builder.make(deals.Deal(words, 0, (me.key,)))
        return keys.build(tx, builder.command(deals.Agree(), me.key))


def own(ledger: Ledger) -> dict[str, object]:
    return {"Desk": Desk(ledger)}


def local() -> LocalNetwork:
    return LocalNetwork(["alice", "bob"], [deals.RULES])


def test_a_network_gives_results_errors_and_who_is_stuck() -> None:
    async def story() -> None:
        async with await local().open(MODULE, own=own) as network:
            id = await network.run("alice", MODULE.Make_v1, words="tea")
            vault, tx = network.ledgers["alice"].vault, network.nodes["alice"].reading()
            assert vault.read(tx, StateRef(id, 0)).words == "tea"
            with pytest.raises(core.ContractRejected, match="nonsense"):
                await network.run("alice", MODULE.Make_v1, words="nonsense")
            with pytest.raises(Stuck, match=r"bob: .*Answer_v1 \(.*\): .*Keys.build"):
                await network.run("alice", MODULE.Ask_v1, whom=BOB)
            # Whoever was there before does not count again.
            assert await network.run("bob", MODULE.Make_v1, words="milk")

    asyncio.run(story())


def test_a_network_in_a_simulated_world() -> None:
    with World() as world:
        network = local().join(world, MODULE, own=own)
        making = world.start("alice", MODULE.Make_v1, words="tea")
        asking = world.start("alice", MODULE.Ask_v1, whom=BOB)
        world.run()
        world.crash("alice")
        ref = StateRef(world.result(making), 0)
        vault = network.ledgers["alice"].vault
        assert vault.read(world.node("alice").reading(), ref).words == "tea"
        with pytest.raises(StillRunning, match=r"in the hospital: bob: .*Answer_v1"):
            world.result(asking)


def test_a_transaction_with_all_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with Market("alice", "bob") as market:
        id = market.do("alice", "Agree", others=(BOB,), words="tea")
        ref = StateRef(id, 0)
        again = market.do("alice", "AgreeAgain", others=(BOB,), before=ref, words="milk")
        signed = market.vault("bob", "transaction", again)
        whole = market.vault("bob", "resolved", signed)
        assert [deal.words for deal in whole.inputs_of(deals.Deal)] == ["tea"]
        assert [deal.words for deal in whole.outputs_of(deals.Deal)] == ["milk"]
        assert whole.signers_of(deals.Agree) == {market.local.key(one) for one in ("alice", "bob")}
        with pytest.raises(core.UnknownTransaction):
            market.vault("bob", "read", StateRef(bytes(32), 0))
        unknown = TransactionBuilder().use(signed.transaction.output(0))
        unknown.make(deals.Deal("x", 0, ())).command(deals.Agree(), market.local.key("bob"))
        stranger = unknown.sign([], bytes(32))
        assert market.vault("bob", "resolved", stranger).inputs
        with Market("carol") as other, pytest.raises(core.UnknownTransaction):
            other.vault("carol", "resolved", stranger)

        def unread(*_: object) -> None:
            raise UnknownSchema("no state deals.Deal is installed")

        monkeypatch.setattr(Rulebook, "read_state", unread)
        with pytest.raises(core.TransactionInvalid, match=r"no state deals\.Deal"):
            market.vault("bob", "read", ref)
        with pytest.raises(core.TransactionInvalid, match=r"no state deals\.Deal"):
            market.vault("bob", "resolved", signed)


def test_what_a_builder_is_given_by_mistake() -> None:
    network = local()
    notary: Any = network.notary
    with pytest.raises(TypeError, match=r"Identity is wanted, not Party: network\.identity"):
        TransactionBuilder(notary)
    ref: Any = StateRef(bytes(32), 0)
    for wrong in (TransactionBuilder().use, TransactionBuilder().refer_to):
        with pytest.raises(TypeError, match=r"StateAndRef is wanted, not StateRef: vault\.state"):
            wrong(ref)
    signer: Any = network.identity("alice")
    with pytest.raises(TypeError, match="PublicKey is wanted, not Identity"):
        TransactionBuilder(network.identity("notary")).command(deals.Agree(), signer)
    assert Party("notary") == notary
