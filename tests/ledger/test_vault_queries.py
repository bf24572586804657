"""Questions to the vault: every filter, order, page, sum; updates; what an old vault answers."""

from __future__ import annotations

import asyncio
import datetime
import sys
import types
from decimal import Decimal
from pathlib import Path

import pytest

from flowrt.ledger.keys import PublicKey
from flowrt.ledger.states import Rulebook, State, state, upgrade
from flowrt.ledger.vault import tables, updates
from flowrt.ledger.vault.queries import BadQuery
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from flowrt.stdlib.ledger.vault_flow import StateQuery, Total
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from tests.ledger import coins
from tests.ledger.coins import (
    BANK,
    ISSUERS,
    MINT,
    NOTARY,
    OTHER_NOTARY,
    OURS,
    THEIRS,
    Deed,
    Move,
    Rig,
    deed,
    give,
    issue,
    refs,
)

EUR = issue(1, [5, 3, 9])
USD = issue(2, [4], currency="USD", issuer=ISSUERS[2], owner=OURS[1], notary=OTHER_NOTARY)
THEIRS_ = issue(3, [7], owner=THEIRS[0], issuer=ISSUERS[1])
DEED = deed(4, b"d" * 16)
GONE = give(5, [EUR.transaction.output(2)], THEIRS[0])
SECOND = datetime.timedelta(seconds=1)
BEGIN = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def rig() -> Rig:
    made = Rig(MemoryStore())
    for at, transaction in enumerate((EUR, USD, THEIRS_, DEED, GONE)):
        made.tx.now_us = (at + 1) * 1_000_000
        made.do("record_visible", transaction, flow=8)
    made.do("flow_ended", 8)
    made.do("reserve", (refs(EUR)[0],), flow=2)
    return made


def found(rig: Rig, **query: object) -> list[StateRef]:
    asked = {"relevant": None, **query}
    return [one.state.ref for one in rig.do("states", StateQuery(**asked)).states]  # type: ignore[arg-type]


a, b, c = refs(EUR)
(usd,), (theirs,), (one_deed,), (gone,) = map(refs, (USD, THEIRS_, DEED, GONE))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [a, b, usd, theirs, one_deed, gone]),
        ({"relevant": True}, [a, b, usd, one_deed]),
        ({"relevant": False}, [theirs, gone]),
        ({"consumed": True}, [c]),
        ({"consumed": None}, [a, b, c, usd, theirs, one_deed, gone]),
        ({"schemas": ("coins.Deed",)}, [one_deed]),
        ({"schemas": ("coins.Deed", "coins.Coin"), "currencies": ("USD",)}, [usd]),
        ({"contracts": ("coins.Deed",)}, [one_deed]),
        ({"contracts": ("coins.Deed_v1", "coins.Coin")}, [a, b, usd, theirs, one_deed, gone]),
        ({"contracts": ("coins.Coin", "coins.Deed_v1"), "currencies": ("USD",)}, [usd]),
        ({"contracts": ("coins.Coin_v2",)}, []),
        ({"notaries": ("other",)}, [usd]),
        ({"owners": (THEIRS[0].public,)}, [theirs, gone]),
        ({"issuers": (ISSUERS[1],)}, [theirs]),
        ({"issued_by": (BANK.public,)}, [a, b, theirs, gone]),
        ({"issued_by": (MINT.public,), "issuers": (ISSUERS[1],)}, [usd, theirs]),
        ({"linear_ids": (b"d" * 16,)}, [one_deed]),
        ({"locked": True}, [a]),
        ({"locked": False, "currencies": ("EUR",)}, [b, theirs, gone]),
        ({"at_least": 5}, [a, theirs, gone]),
        ({"at_least": 4, "at_most": 5}, [a, usd]),
        ({"recorded_since": BEGIN + 3 * SECOND}, [theirs, one_deed, gone]),
        ({"recorded_before": BEGIN + 2 * SECOND}, [a, b]),
        ({"descending": True}, [gone, one_deed, theirs, usd, b, a]),
        ({"sort": "units"}, [b, usd, a, theirs, gone]),
        ({"sort": "units", "descending": True}, [gone, theirs, a, usd, b]),
        ({"sort": "currency"}, [a, b, theirs, gone, usd]),
        ({"sort": "linear"}, [one_deed]),
        ({"sort": "consumed", "consumed": None}, [c]),
        ({"schemas": ("'; DROP TABLE ledger_state --",)}, []),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_filters_and_orders(
    rig: Rig, query: dict[str, object], expected: list[StateRef], size: int
) -> None:
    seen: list[StateRef] = []
    after = None
    while True:
        asked = {"relevant": None, "size": size, "after": after, **query}
        page = rig.do("states", StateQuery(**asked))  # type: ignore[arg-type]
        seen += [one.state.ref for one in page.states]
        after = page.next_
        if after is None:
            break
    assert seen == expected


def test_what_is_found_is_told_whole(rig: Rig) -> None:
    page = rig.do("states", StateQuery(consumed=None, size=3))
    first, _, third = page.states
    assert first.state == EUR.transaction.output(0)
    assert (first.relevant, first.recorded, first.locked_by) == (True, BEGIN + SECOND, 2)
    assert (third.consumed_by, third.locked_by) == (GONE.id, None)


@pytest.mark.parametrize(
    "query",
    [
        StateQuery(sort="colour"),
        StateQuery(size=0),
        StateQuery(size=1001),
        StateQuery(after=b"?"),
        StateQuery(sort="units", after=b"\x93\xa8recorded\x01\x01"),
        StateQuery(schemas=("x",) * 1001),
        StateQuery(contracts=("x",) * 1001),
        StateQuery(issuers=(ISSUERS[0],) * 1001),
    ],
)
def test_a_query_that_means_nothing_is_refused(rig: Rig, query: StateQuery) -> None:
    with pytest.raises(BadQuery):
        rig.do("states", query)


def test_sums(rig: Rig) -> None:
    everything = StateQuery(relevant=None)
    assert rig.do("totals", StateQuery(), ()) == (Total(None, None, None, None, 4, Decimal(12)),)
    assert rig.do("totals", everything, ("currency",)) == (
        Total(None, None, None, None, 1, Decimal(0)),
        Total("EUR", None, None, None, 4, Decimal(24)),
        Total("USD", None, None, None, 1, Decimal(4)),
    )
    by_two = rig.do("totals", StateQuery(schemas=("coins.Coin",)), ("notary", "owner"))
    assert {(t.notary, t.owner): t.units for t in by_two} == {
        ("notary", OURS[0].public): Decimal(8),
        ("other", OURS[1].public): Decimal(4),
    }
    by_issuer = rig.do("totals", everything, ("issuer",))
    assert {t.issuer: t.count for t in by_issuer} == {
        None: 1,
        ISSUERS[0]: 3,
        ISSUERS[1]: 1,
        ISSUERS[2]: 1,
    }
    for wrong in (("colour",), ("owner", "owner")):
        with pytest.raises(BadQuery):
            rig.do("totals", everything, wrong)


def test_sums_are_exact_beyond_64_bits() -> None:
    rig = Rig(MemoryStore())
    rig.do("record", issue(1, [2**63 - 1, 2**63 - 1, 2**63 - 1]))
    [total] = rig.do("totals", StateQuery(), ("currency",))
    assert total.units == Decimal(3 * (2**63 - 1))
    assert rig.do("spendable", "EUR") == Decimal(3 * (2**63 - 1))


def test_updates_are_read_in_pages_and_go_on_where_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(updates, "PAGE", 3)
    rig = Rig(MemoryStore())
    made = [issue(number, [number + 1]) for number in range(10)]
    for one in made:
        rig.do("record", one)
    rig.commit()
    reader = rig.vault.updates(rig.reading())
    seen = []
    for _ in range(4):
        found = reader.next_now()
        assert found is not None
        assert len(reader) < 3
        seen.append(found)
    reader = rig.vault.updates(rig.reading(), reader.position)
    while (found := reader.next_now()) is not None:
        seen.append(found)
    assert [one.transaction for one in seen] == made
    assert [one.produced for one in seen] == [(one.transaction.output(0),) for one in made]


async def _follow() -> None:
    rig = Rig(MemoryStore())
    reader = rig.vault.updates(rig.reading())
    coin = issue(1, [5])

    async def read() -> list[bytes]:
        return [one.transaction.id async for one in reader]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    rig.do("record", issue(2, [6]), keep=False)  # Undone: nobody hears of it.
    await asyncio.sleep(0)
    rig.do("record", coin)
    rig.commit()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reader.close()
    assert await reading == [coin.id]


def test_who_waits_for_updates_is_told() -> None:
    asyncio.run(_follow())


# --- old vaults ---------------------------------------------------------------------------------


@state("coins.Deed", version=2, contract="coins.Deed")
class NewDeed(State, frozen=True, array_like=True, gc=False):
    """A deed is worth something now, and can be owned."""

    linear_id: bytes
    owner: PublicKey
    issuer: Issuer
    amount: Amount

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)

    def with_owner(self, owner: PublicKey) -> tuple[Move, NewDeed]:
        return Move(), NewDeed(self.linear_id, owner, self.issuer, self.amount)

    def with_amount(self, amount: Amount, owner: PublicKey) -> NewDeed:
        return NewDeed(self.linear_id, owner, self.issuer, amount)


@upgrade(Deed, NewDeed)
def with_worth(old: Deed) -> NewDeed:
    return NewDeed(old.linear_id, old.holder, ISSUERS[0], Amount(10, "GBP"))


NEW_RULES = Rulebook([coins, sys.modules[__name__]])


def _check_old(rig: Rig) -> None:
    assert found(rig, currencies=("GBP",)) == []
    rig.rules = NEW_RULES
    rig.crash()
    assert found(rig, currencies=("GBP",), owners=(OURS[0].public,)) == [one_deed]
    assert rig.do("spendable", "GBP") == 10
    assert rig.do("linear", b"d" * 16) == DEED.transaction.output(0)
    assert found(rig, schemas=("coins.Coin",)) == [a, b, c]
    rig.crash()  # Once is enough.
    assert found(rig, currencies=("GBP",)) == [one_deed]
    rig.rules = Rulebook([types.ModuleType("nothing")])
    rig.crash()  # What is not installed any more is found by what was known of it.
    assert found(rig, currencies=("GBP",)) == [one_deed]


def test_columns_of_old_states_are_made_again_for_a_newer_version() -> None:
    rig = Rig(MemoryStore())
    for transaction in (EUR, DEED):
        rig.do("record", transaction, flow=8)
    rig.do("flow_ended", 8)
    rig.commit()
    _check_old(rig)


OLD = Path(__file__).parent / "old" / "vault_1.sql"


def test_a_vault_that_was_kept_is_read(tmp_path: Path) -> None:
    """The rows of a vault as its first version wrote them: EUR, DEED, and GONE in flight."""
    rig = Rig(SqliteStore(tmp_path / "alice.db"))
    with rig.step(0) as tx:
        for name in ("transaction", "kind", "notary", "issuer", "state"):
            tx.execute(f"DROP TABLE ledger_{name}")
        for statement in OLD.read_text().split(";\n"):
            if statement.strip():
                tx.execute(statement)
    rig.commit()
    assert rig.do("transaction", EUR.id) == EUR
    assert [one.id_ for one in rig.do("in_flight", 5)] == [GONE.id]
    assert found(rig, locked=True) == [c]
    _check_old(rig)
    rig.rules = NEW_RULES
    rig.crash()
    rig.do("finalise", GONE.id, GONE.signatures)
    assert rig.do("transaction", GONE.id) == GONE
    rig.store.close()


def test_a_vault_of_a_newer_version_is_not_touched() -> None:
    rig = Rig(MemoryStore())
    with rig.step(0) as tx:
        tx.execute("UPDATE ledger_vault SET version = ?", (tables.VERSION + 1,))
    rig.commit()
    with pytest.raises(tables.VaultNewer, match="install a newer one"):
        rig.crash()


def test_an_old_layout_is_brought_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(MemoryStore())
    newer = tables.VERSION + 1
    monkeypatch.setattr(tables, "VERSION", newer)
    monkeypatch.setitem(tables.UPGRADES, newer - 1, "CREATE TABLE ledger_new (x INTEGER); ")
    rig.crash()
    assert rig.do_sql("SELECT version FROM ledger_vault") == [(newer,)]
    assert rig.do_sql("SELECT count(*) FROM ledger_new") == [(0,)]


def kept() -> str:
    """The rows that `old/vault_1.sql` has: `python -m tests.ledger.test_vault_queries`."""
    rig = Rig(MemoryStore())
    for transaction in (EUR, DEED):
        rig.do("record", transaction, flow=8)
    rig.do("flow_ended", 8)
    partial = coins.signed(GONE.transaction, without=NOTARY.key)
    rig.do("record_in_flight", partial)
    rig.commit()
    assert rig.store.disk.tables is not None  # type: ignore[attr-defined]
    lines = list(rig.store.disk.tables.iterdump())  # type: ignore[attr-defined]
    tables_ = ("transaction", "in_flight", "kind", "notary", "issuer", "state")
    wanted = [line for line in lines if any(f"ledger_{name}" in line for name in tables_)]
    return "\n".join(wanted) + "\n"


if __name__ == "__main__":
    OLD.parent.mkdir(exist_ok=True)
    OLD.write_text(kept())
