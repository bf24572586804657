"""Transactions and states handed over with their history, and what is refused while they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import StateRef
from flowrt.stdlib.ledger.transactions_flow import Supplied, Wanted
from tests.ledger.market import BOB, Market, program
from tests.runtime.crashes import Power, World, every_crash

BASE = """
use ledger.core: SignedTransaction
use ledger.transactions: Resolved, SentTransaction, Supplied, Wanted
use ledger.vault: Vault

service Deals:
    write grow(count: Int, wide: Int, spoiled: Int, how: Text) -> Bytes

flow Grow(count: Int, wide: Int = 1, spoiled: Int = -1, how: Text = "") -> Bytes:
    startable by rpc
    return Deals.grow(count, wide, spoiled, how)
"""

LIAR = (
    BASE
    + """
flow Show(whom: Party, shown: Bytes, other: List[Bytes]):
    startable by rpc
    open See with whom as talk
    send SentTransaction(Vault.transaction(shown)) to talk
    var given: List[SignedTransaction] = []
    for one in other:
        given = given + [Vault.transaction(one)]
    receive from talk:
        case Wanted:
            send Supplied(given, none) to talk
        case Resolved:
            pass

flow See():
    responds to Show as talk
    receive ignored_sent: SentTransaction from talk unchecked
"""
)

GREEDY = (
    BASE
    + """
flow Show(whom: Party, shown: Bytes):
    startable by rpc
    open See with whom as talk
    send SentTransaction(Vault.transaction(shown)) to talk

flow See() -> Int:
    responds to Show as talk
    receive sent: SentTransaction from talk unchecked
    var got = 0
    for ids in [QUESTIONS]:
        send Wanted(ids, 1, none) to talk then receive supplied: Supplied from talk unchecked
        got = got + supplied.transactions.size
    send Resolved() to talk
    return got
"""
)


def asked(market: Market) -> int:
    return len([what for _, what in market.said if isinstance(what, Wanted)])


def given(market: Market) -> int:
    return sum(len(what.transactions) for _, what in market.said if isinstance(what, Supplied))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_cs_200_a_history_is_recorded_and_the_transaction_itself_is_not(
    kind: str, tmp_path: Path
) -> None:
    with Market("alice", "bob", folder=tmp_path if kind == "sqlite" else None) as market:
        last = market.do("alice", "Grow", count=40)
        shown = market.start("alice", "Show", whom=BOB, shown=last)
        market.end(shown)
        ids = [row[0] for row in market.world.rows("alice", "SELECT id FROM ledger_transaction")]
        assert len(ids) == 40
        assert {id for id in ids if "bob" in market.has(id)} == set(ids) - {last}
        market.nothing_is_left()


def test_cs_200_states_bring_the_transactions_that_made_them() -> None:
    with Market("alice", "bob") as market:
        last = market.do("alice", "Grow", count=4, wide=3)
        refs = (StateRef(last, 0), StateRef(last, 2))
        market.do("alice", "ShowStates", whom=BOB, refs=refs)
        assert market.has(last) == {"alice", "bob"}
        assert market.vault("bob", "state", refs[1]).output.schema == "deals.Deal"
        market.nothing_is_left()


def test_cs_202_attachments_come_along() -> None:
    with Market("alice", "bob") as market:
        last = market.do("alice", "Grow", count=3, how="attached")
        market.do("alice", "Show", whom=BOB, shown=last)
        # The last is that of the transaction itself, which nobody has recorded.
        assert market.rows("bob", "ledger_attachment") == 2
        market.nothing_is_left()


def test_cs_202_only_what_is_missing_is_asked_for_and_often_nothing() -> None:
    with Market("alice", "bob") as market:
        last = market.do("alice", "Grow", count=10)
        market.do("alice", "Show", whom=BOB, shown=last)
        assert asked(market) > 0
        market.said.clear()
        market.do("alice", "Show", whom=BOB, shown=last)
        assert asked(market) == 0


def test_a_discreet_node_asks_for_everything_again() -> None:
    with Market("alice", "bob", discreet=True) as market:
        last = market.do("alice", "Grow", count=10)
        market.do("alice", "Show", whom=BOB, shown=last)
        first, told = asked(market), given(market)
        market.said.clear()
        market.do("alice", "Show", whom=BOB, shown=last)
        assert (asked(market), given(market)) == (first, told)
        assert told == 9
        market.nothing_is_left()


def test_questions_grow_so_a_long_history_takes_few() -> None:
    with Market("alice", "bob") as market:
        last = market.do("alice", "Grow", count=300)
        market.do("alice", "Show", whom=BOB, shown=last)
        assert asked(market) <= 10
        assert given(market) == 299


@pytest.mark.parametrize(
    ("how", "error"), [("unsealed", core.SignaturesMissing), ("nonsense", core.ContractRejected)]
)
def test_cs_201_what_is_wrong_in_a_history_is_found_and_nothing_after_it_recorded(
    how: str, error: type[Exception]
) -> None:
    with Market("alice", "bob", believing="alice") as market:
        last = market.do("alice", "Grow", count=8, spoiled=3, how=how)
        with pytest.raises(error):
            market.do("alice", "Show", whom=BOB, shown=last)
        assert market.rows("bob", "ledger_transaction") == 3
        market.nothing_is_left()


def test_a_history_longer_than_a_node_takes_is_refused() -> None:
    with Market("alice", "bob", history=20) as market:
        last = market.do("alice", "Grow", count=30)
        with pytest.raises(core.TooLarge):
            market.do("alice", "Show", whom=BOB, shown=last)
        assert market.rows("bob", "ledger_transaction") == 0
        market.nothing_is_left()


def test_what_was_not_asked_for_is_refused() -> None:
    liar = program(LIAR)
    with Market("alice", "bob", modules={"alice": (liar,)}) as market:
        grow = liar.Grow_v1
        last = market.do("alice", grow, count=3, wide=1, spoiled=-1, how="")
        other = market.do("alice", grow, count=2, wide=1, spoiled=-1, how="")
        for given, error in (
            ((other,), core.WrongTransaction),
            ((), core.UnknownTransaction),
        ):
            market.start("alice", liar.Show_v1, whom=BOB, shown=last, other=given)
            assert isinstance(market.ended("bob", "deals.See"), error)
        assert market.rows("bob", "ledger_transaction") == 0
        market.nothing_is_left()


def test_only_what_was_offered_is_given_and_each_once() -> None:
    with Market("alice", "bob") as market:
        last = market.do("alice", "Grow", count=3)
        foreign = market.do("alice", "Grow", count=1)
        rows = market.world.rows("alice", "SELECT id FROM ledger_transaction ORDER BY number")
        below = rows[1][0]
    for questions, error in (
        ((foreign,), foreign),  # Never offered.
        ((last,), last),  # It has that already.
        ((below, below), below),  # Once is enough.
    ):
        text = ", ".join(f"[0x{one.hex()}]" for one in questions)
        greedy = program(GREEDY.replace("[QUESTIONS]", f"[{text}]"))
        with Market("alice", "bob", modules={"bob": (greedy,)}) as market:
            assert market.do("alice", "Grow", count=3) == last
            market.do("alice", "Grow", count=1)
            with pytest.raises(core.IllegalRequest) as found:
                market.do("alice", "Show", whom=BOB, shown=last)
            assert found.value.id_ == error
            market.nothing_is_left()


def test_a_history_survives_a_crash_at_every_commit() -> None:
    def build(power: Power) -> World:
        market = Market("alice", "bob", power=power)
        last = market.do("alice", "Grow", count=4)
        market.start("alice", "Show", whom=BOB, shown=last)
        power.market = market  # type: ignore[attr-defined]
        return market.world

    def observe(world: World) -> int:
        power: Any = world.power
        power.market.nothing_is_left()
        return int(power.market.rows("bob", "ledger_transaction"))

    for power, seen in every_crash(build, observe):
        assert seen == 3, power
