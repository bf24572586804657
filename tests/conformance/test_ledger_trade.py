"""The two-party trade, as Corda's TwoPartyTradeFlowTests ask it: cash for commercial paper."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowrt.ledger.vault.service import Vault
from flowrt.stdlib.finance.trade_flow import (
    Settling_ByBuyer,
    Settling_BySeller,
    Settling_Together,
)
from flowrt.stdlib.ledger.core_flow import ContractRejected, InsufficientBalance
from flowrt.stdlib.ledger.parts_flow import Amount, StateRef
from flowrt.stdlib.ledger.vault_flow import StateQuery
from tests.ledger.trades import BOB, TradeTown, play

WAYS = (Settling_Together(), Settling_ByBuyer(), Settling_BySeller())


@pytest.fixture(params=["memory", "files"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TradeTown]:
    made = TradeTown(tmp_path if request.param == "files" else None)
    yield made
    made.close()


@pytest.mark.parametrize("pseudonymous", [False, True], ids=["named", "pseudonymous"])
@pytest.mark.parametrize("settling", WAYS, ids=["together", "by buyer", "by seller"])
def test_cs_170_cash_for_commercial_paper(
    town: TradeTown, settling: Any, pseudonymous: bool
) -> None:
    town.coins(50_000, 60_000, 90_000)
    asset = town.paper()
    selling = town.offer(asset, 100_000, settling=settling, pseudonymous=pseudonymous)
    town.world.run()
    sold = town.result(selling)
    assert town.answer().id == sold.id
    assert (town.balance("alice"), town.balance("bob")) == (100_000, 100_000)
    assert (town.owned("alice"), town.owned("bob")) == (0, 1)
    known = {town.local.key(name) for name in town.local.parties}
    owners = {found.owner for found in states(town, sold)}
    assert owners.isdisjoint(known) if pseudonymous else owners <= known
    town.nothing_is_left()


def states(town: TradeTown, signed: Any) -> list[Any]:
    rules = town.local.rules
    return [
        rules.read_state(one.schema, one.version, one.data) for one in signed.transaction.outputs
    ]


def test_cs_171_all_cash_is_locked_by_somebody_else(town: TradeTown) -> None:
    town.coins(50_000, 60_000)
    asset = town.paper()
    town.world.start("bob", play().Lock_v1, refs=town.purse("bob"))
    town.world.run()
    selling = town.offer(asset)
    town.world.run()
    with pytest.raises(InsufficientBalance) as caught:
        town.result(selling)
    bought = town.answer()
    assert isinstance(bought, InsufficientBalance)
    assert caught.value.missing == bought.missing == Amount(100_000, "EUR")
    # The flow that locks the cash is all that is left, and the paper may be sold to another.
    assert [living for living, _, _ in town.world.residue().values()] == [0, 0, 1, 0]
    assert town.ask("alice", "states", StateQuery(locked=True)).states == ()


def test_cs_172_shutdown_and_restore(town: TradeTown) -> None:
    town.coins(50_000, 60_000)
    asset = town.paper()
    before = recorded(town, "bob")
    selling = town.offer(asset)
    town.until("bob", "CollectSignatures_v1")
    assert len(town.world.node("bob").flows()) == 1
    town.world.crash("bob")
    assert len(town.world.node("bob").flows()) == 1
    town.world.run()
    sold = town.result(selling)
    assert town.answer().id == sold.id
    after = recorded(town, "bob")
    assert after[: len(before)] == before
    assert after[-1] == sold.id
    town.nothing_is_left()


def recorded(town: TradeTown, who: str) -> list[bytes]:
    """What somebody has recorded, in order."""
    vault: Vault = town.local.ledgers[who].vault
    updates = vault.updates(town.world.node(who).reading())
    return [update.transaction.id for update in iter(updates.next_now, None)]


def test_cs_173_dependencies_of_the_asset_and_of_the_cash_are_resolved(town: TradeTown) -> None:
    content = b"General terms and conditions. " * 1_000
    digest = town.do("bank", play().Attach_v1, content=content)
    town.pay(BOB, 50_000, 60_000)
    asset = town.paper(attach=digest)
    paid = recorded(town, "bob")
    assert asset.transaction not in paid
    assert recorded(town, "alice") == [asset.transaction]
    selling = town.offer(asset)
    town.world.run()
    sold = town.result(selling)
    # The buyer has got the paper's issue, and the file that belongs to it, byte for byte.
    assert recorded(town, "bob") == [*paid, asset.transaction, sold.id]
    assert town.ask("bob", "attachment", digest) == content
    assert hashlib.sha256(content).digest() == digest
    # The seller has got where the cash comes from, the oldest first.
    got = recorded(town, "alice")
    assert set(got) == {asset.transaction, sold.id, *paid}
    for place, id in enumerate(got):
        found = town.ask("alice", "transaction", id)
        assert set(found.transaction.dependencies) <= set(got[:place])


def test_cs_174_what_is_recorded_comes_in_order(town: TradeTown) -> None:
    town.pay(BOB, 110_000)
    asset = town.paper()
    coins = recorded(town, "bob")
    assert len(coins) == 2
    selling = town.offer(asset)
    town.world.run()
    # Her paper, where his cash comes from, the trade; the flow's result says which one it made.
    sold = town.result(selling).id
    assert recorded(town, "alice") == [asset.transaction, *coins, sold]
    assert recorded(town, "bob") == [*coins, asset.transaction, sold]


def test_cs_176_a_paper_that_was_issued_without_a_time_window(town: TradeTown) -> None:
    town.coins(110_000)
    wrong = town.issuing(1, window=False)
    # The seller's node does not look: a contract that it has changed, say.
    town.local.ledgers["alice"].vault._checker._good.put(wrong.id, (town.local.key("alice"),), 2)
    town.do("alice", play().Enter_v1, signed=wrong)
    selling = town.offer(StateRef(wrong.id, 0))
    town.world.run()
    with pytest.raises(ContractRejected):
        town.result(selling)
    bought = town.answer()
    assert isinstance(bought, ContractRejected)
    assert (bought.contract, bought.why) == (
        "finance.CommercialPaper_v1",
        "issuances have a time window with an end",
    )
    assert not town.ask("bob", "has", wrong.id)
    assert town.balance("bob") == 110_000
    town.nothing_is_left()
