"""What a counterparty may try while a transaction is made final, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowrt.core.declared import FlowError
from flowrt.core.values import encode
from flowrt.ledger.local import NotaryEntry
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.finality_flow import (
    GiveUpTransaction_v1,
    RecoverTransaction_v1,
    Sealed,
)
from flowrt.stdlib.ledger.network_flow import AcceptMap_v1
from flowrt.stdlib.ledger.parts_flow import StateRef
from flowrt.stdlib.ledger.transactions_flow import NotSealed, Wanted
from tests.ledger.market import ALICE, BOB, CAROL, DAY_US, Market
from tests.ledger.tampering import Mallory

WHOLE = "ledger.notary.ValidationRequest"
NOTARISED = "ledger.notary.Notarised"
WANTED = "ledger.transactions.Wanted"
SUPPLIED = "ledger.transactions.Supplied"
SEALED = "ledger.finality.Sealed"
UNSEALED = "ledger.finality.Unsealed"
REQUEST = "ledger.notary.NotarisationRequest"
LIE = ("ledger.transactions.NotSealed", encode(NotSealed("I gave it up", ())))


@pytest.fixture
def market() -> Iterator[Market]:
    with Market("alice", "bob", "carol") as made:
        yield made


def deal(market: Market, by: str = "alice", words: str = "tea") -> StateRef:
    """A deal of one party's alone."""
    return StateRef(market.do(by, "Start", words=words), 0)


def latest(market: Market, party: str) -> bytes:
    """What the party has recorded, or keeps in flight, last."""
    rows = market.world.rows(party, "SELECT id FROM ledger_transaction ORDER BY number DESC")
    return bytes(rows[0][0])


def test_who_is_told_that_nothing_was_sealed_asks_the_notary(market: Market) -> None:
    """Alice has it notarised, and says that she gave it up."""
    mallory = Mallory(market)
    mallory.change = lambda name, body: LIE if name == SEALED else (name, body)
    market.start("alice", "AgreeAgain", others=(BOB,), before=deal(market), words="again")
    mallory.rest()
    assert market.has(latest(market, "alice")) >= {"alice", "bob"}
    assert market.vault("bob", "in_flight", 9) == ()


def test_who_is_told_of_a_conflict_that_is_none_asks_the_notary(market: Market) -> None:
    ref = deal(market)
    invented = core.Conflict(ref, bytes(32), core.Use_Input())
    lie = (LIE[0], encode(NotSealed("used up", (invented,))))
    mallory = Mallory(market)
    mallory.change = lambda name, body: lie if name == SEALED else (name, body)
    market.start("alice", "AgreeAgain", others=(BOB,), before=ref, words="again")
    mallory.rest()
    assert "bob" in market.has(latest(market, "alice"))


def test_who_refuses_and_has_it_notarised_himself_is_found_out(market: Market) -> None:
    """Carol, who is only told, takes it, refuses it, and goes to the notary with it."""
    mallory = Mallory(market, "carol")
    started = market.start("alice", "Settle", signers=(), told=(CAROL,), before=deal(market))
    mallory.change = lambda name, body: None if name.endswith("Kept") else (name, body)
    market.world.network.down = {"notary"}
    market.world.run(3_000_000)
    id = latest(market, "carol")
    assert market.vault("carol", "is_in_flight", id)
    market.world.network.down = set()
    with pytest.raises(FlowError):
        market.end(started)
    assert market.vault("alice", "is_in_flight", id) or "alice" in market.has(id)
    market.do("carol", RecoverTransaction_v1, transaction=id, peer=BOB, finish=True)
    found = market.do("alice", RecoverTransaction_v1, transaction=id, peer=CAROL, finish=False)
    assert found.id == id
    assert "alice" in market.has(id)


def test_what_was_notarised_behind_ones_back_is_not_called_given_up(market: Market) -> None:
    """Bob has it notarised as soon as he has it, and delivers it by another way, as the history of
    what he shows; then he says that he keeps it. Carol is told the truth."""
    market.world.network.down = {"carol"}
    started = market.start("alice", "Settle", signers=(), told=(BOB, CAROL), before=deal(market))
    market.world.run(1_000_000)
    id = latest(market, "bob")
    market.do("bob", RecoverTransaction_v1, transaction=id, peer=CAROL, finish=True)
    market.do("bob", "ShowStates", whom=ALICE, refs=(StateRef(id, 0),))
    assert "alice" in market.has(id)
    market.world.network.down = set()
    assert market.end(started) == id
    market.world.run(DAY_US)
    assert market.has(id) >= {"alice", "bob", "carol"}


def test_a_seal_over_another_transaction_is_none(market: Market) -> None:
    """W55: a signature that is good, for another transaction."""
    """The notary's own signature, of something else: it is asked itself."""
    first = market.do("alice", "AgreeAgain", others=(BOB,), before=deal(market), words="first")
    notary = {market.local.key("notary")}
    other = tuple(
        one for one in market.vault("alice", "transaction", first).signatures if one.by in notary
    )
    mallory = Mallory(market)
    mallory.change = lambda name, body: (name, encode(Sealed(other)) if name == SEALED else body)
    market.start("alice", "AgreeAgain", others=(BOB,), before=deal(market), words="again")
    mallory.rest()
    assert market.has(latest(market, "alice")) >= {"alice", "bob"}


def test_a_seal_that_is_withheld_is_fetched_from_the_notary(market: Market) -> None:
    mallory = Mallory(market)
    mallory.change = lambda name, body: None if name == SEALED else (name, body)
    market.start("alice", "AgreeAgain", others=(BOB,), before=deal(market), words="again")
    mallory.rest()
    assert market.has(latest(market, "alice")) >= {"alice", "bob"}


def test_one_state_is_not_paid_to_two(market: Market) -> None:
    """The same state, to bob and to carol, at once, past alice's own vault."""
    with Market("alice", "bob", "carol", believing="alice") as town:
        ref = deal(town)
        starts = [
            town.start("alice", "AgreeAgain", others=(whom,), before=ref, words=whom.name)
            for whom in (BOB, CAROL)
        ]
        ended: list[object] = []
        for start in starts:
            try:
                ended.append(town.end(start))
            except core.LedgerRefusal as error:
                ended.append(error)
        town.world.run(3 * DAY_US)
        sealed = [one for one in ended if isinstance(one, bytes)]
        assert len(sealed) == 1
        [id] = sealed
        assert len(town.has(id) & {"bob", "carol"}) == 1
        for name in ("bob", "carol"):
            used = town.world.rows(name, "SELECT count(*) FROM ledger_transaction WHERE status = 1")
            assert used[0][0] <= 2
            assert not town.world.node(name).hospital()
            assert town.vault(name, "in_flight", 9) == ()


def test_who_hangs_up_anywhere_leaves_nobody_stuck() -> None:
    """At each message of the whole deal, one after the other: it is final for both, or in flight
    with who has signed it, or it never was."""
    seen = set()
    with Market("alice", "bob") as market:
        mallory = Mallory(market)
        for at in range(40):
            ref = deal(market, words=f"deal {at}")
            mallory.listen()

            def change(name: str, body: bytes, at: int = at) -> tuple[str, bytes] | None:
                return None if len(mallory.names) > at else (name, body)

            mallory.change = change
            market.start("alice", "AgreeAgain", others=(BOB,), before=ref, words="again")
            mallory.rest()
            if len(mallory.names) <= at:
                break
            seen.add(mallory.names[at])
            assert mallory.believed("bob") <= mallory.believed("alice")
    assert {UNSEALED, SEALED, "ledger.signatures.Proposal"} <= seen


def unasked(name: str, body: bytes) -> tuple[str, bytes] | None:
    """The notary is not asked."""
    return None if name == REQUEST else (name, body)


def left_in_flight(market: Market) -> bytes:
    """Alice and bob have signed it, and alice's flow is killed before the notary is asked."""
    mallory = Mallory(market)
    mallory.change = unasked
    started = market.start("alice", "Settle", signers=(BOB,), told=(BOB,), before=deal(market))
    market.world.run(3_000_000)
    market.world.node("alice").submit_kill(started.id, by="ops", reason="gone")
    market.world.run(1_000_000)
    mallory.change = None
    market.world.run(600_000_000)
    [waiting] = market.vault("alice", "in_flight", 9)
    return waiting.id_


def test_people_who_give_up_free_what_it_holds(market: Market) -> None:
    """And are given it instead, if it is notarised after all."""
    id = left_in_flight(market)
    assert market.do("alice", GiveUpTransaction_v1, transaction=id) is None
    assert market.vault("alice", "in_flight", 9) == ()
    market.do("bob", RecoverTransaction_v1, transaction=id, peer=ALICE, finish=True)
    found = market.do("alice", RecoverTransaction_v1, transaction=id, peer=BOB, finish=False)
    assert found.id == id
    assert market.do("alice", GiveUpTransaction_v1, transaction=id).id == id


def test_what_was_signed_stays_in_flight_though_the_other_side_gave_it_up(market: Market) -> None:
    """Bob finds out by himself that it is not notarised; alice has it notarised then."""
    id = left_in_flight(market)
    assert market.vault("bob", "is_in_flight", id)
    market.do("alice", RecoverTransaction_v1, transaction=id, peer=CAROL, finish=True)
    market.do("bob", RecoverTransaction_v1, transaction=id, peer=ALICE, finish=False)
    assert market.has(id) >= {"alice", "bob"}


def test_who_has_signed_may_finish_what_the_other_side_leaves_undone(market: Market) -> None:
    """Alice never asks the notary; bob, who was handed it with all signatures, does."""
    mallory = Mallory(market)
    mallory.change = unasked
    market.start("alice", "AgreeAgain", others=(BOB,), before=deal(market), words="again")
    market.world.run(2_000_000)
    id = latest(market, "bob")
    with pytest.raises(core.NotNotarised):
        market.do("bob", RecoverTransaction_v1, transaction=id, peer=CAROL, finish=False)
    assert market.do("bob", RecoverTransaction_v1, transaction=id, peer=CAROL, finish=True).id == id
    assert "bob" in market.has(id)


def strike_off(market: Market, name: str) -> None:
    assert market.do(name, AcceptMap_v1, map_=newer_map(market)) == 2


def newer_map(market: Market) -> bytes:
    return market.local.publish(2, [NotaryEntry("carol", False)]).data


def test_a_notary_that_is_struck_off_seals_nothing_new(market: Market) -> None:
    """What waits for it stays in flight, and people can give it up."""
    id = left_in_flight(market)
    strike_off(market, "bob")
    with pytest.raises(core.NotaryUnknown):
        market.do("bob", RecoverTransaction_v1, transaction=id, peer=ALICE, finish=True)
    with pytest.raises(core.NotNotarised):
        market.do("bob", RecoverTransaction_v1, transaction=id, peer=ALICE, finish=False)
    assert market.vault("bob", "is_in_flight", id)
    assert market.do("bob", GiveUpTransaction_v1, transaction=id) is None
    assert market.vault("bob", "in_flight", 9) == ()


def test_what_it_sealed_before_it_was_struck_off_counts(market: Market) -> None:
    """Though alice withholds the seal."""
    mallory = Mallory(market)
    mallory.change = lambda name, body: LIE if name == SEALED else (name, body)
    market.start("alice", "AgreeAgain", others=(BOB,), before=deal(market), words="again")
    for _ in range(200):
        if SEALED in mallory.names or not market.world.tick():
            break
    market.world.node("bob").submit(AcceptMap_v1, map_=newer_map(market))
    mallory.rest()
    assert market.has(latest(market, "alice")) >= {"alice", "bob"}
    assert market.ask("bob", "network", "notaries") == (CAROL,)


def test_a_notary_that_lost_what_it_was_given_is_given_it_again() -> None:
    """What it asks for twice is not taken for a refusal of the transaction."""
    with Market("alice", validating=True) as market:
        id = market.do("alice", "Grow", count=3)
        mallory = Mallory(market)
        said = []

        def lose(name: str, body: bytes) -> tuple[str, bytes] | None:
            said.append(name)
            return None if said.count(SUPPLIED) == 1 and name == SUPPLIED else (name, body)

        mallory.change = lose
        ref = StateRef(id, 0)
        market.do("alice", "AgreeAgain", others=(), before=ref, words="again")
        assert said.count(WHOLE) == 2
        market.nothing_is_left()


def test_who_gets_another_answer_than_a_seal_looks_before_it_is_forgotten(market: Market) -> None:
    """It is notarised; what went wrong after that is no refusal."""
    ref = deal(market)
    mallory = Mallory(market, "notary")
    question = WANTED, encode(Wanted((bytes(32),), 1, None))
    said = []

    def ask(name: str, body: bytes) -> tuple[str, bytes]:
        said.append(name)
        return question if said == [NOTARISED] else (name, body)

    mallory.change = ask
    id = market.do("alice", "AgreeAgain", others=(), before=ref, words="again")
    assert said == [NOTARISED, NOTARISED]
    assert market.vault("alice", "consumer", ref) == id
    assert market.vault("alice", "in_flight", 9) == ()
