"""The vault, case by case: recording, flights, downloads, reservations, upgrades of schemas."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import composite
from flowrt.ledger.transactions import SignedTransaction, sign
from flowrt.ledger.vault import kept
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import Amount, StateRef
from flowrt.stdlib.ledger.vault_flow import StateQuery
from flowrt.store import Store
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from tests.ledger.coins import (
    ISSUERS,
    NOTARY,
    NOTARY_KEY,
    OTHER_NOTARY,
    OURS,
    RULES,
    THEIRS,
    Coin,
    Issue,
    Rig,
    deed,
    give,
    issue,
    refs,
    salt,
    signed,
)


@pytest.fixture(params=["memory", "sqlite"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    store: Store = (
        MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "alice.db")
    )
    made = Rig(store)
    yield made
    store.close()


def found(rig: Rig, **query: object) -> list[StateRef]:
    page = rig.do("states", StateQuery(**query))  # type: ignore[arg-type]
    return [one.state.ref for one in page.states]


def test_what_is_ours_is_kept_and_recording_again_does_nothing(rig: Rig) -> None:
    ours, theirs = issue(1, [5, 7]), issue(2, [9], owner=THEIRS[0])
    for _ in range(2):
        rig.do("record", ours)
        rig.do("record", theirs)
    assert found(rig) == refs(ours)
    assert rig.do("transaction", theirs.id) == theirs
    assert rig.do("state", refs(theirs)[0]).ref == refs(theirs)[0]
    assert rig.do("recorded", ours.id) == ours
    assert rig.do("recorded", b"?" * 32) is None


def test_observers_keep_all_states_and_some_keep_none(rig: Rig) -> None:
    seen, bare = issue(1, [5], owner=THEIRS[0]), issue(2, [6])
    rig.do("record_visible", seen)
    rig.do("record_bare", bare)
    assert found(rig) == []
    assert found(rig, relevant=None) == refs(seen)
    assert found(rig, relevant=False) == refs(seen)
    moved = give(3, [rig.do("state", refs(bare)[0])], OURS[1])
    rig.do("record", moved)
    assert found(rig) == refs(moved)
    assert rig.do("consumer", refs(bare)[0]) is None  # It has no row.


def test_a_transaction_comes_after_what_it_depends_on(rig: Rig) -> None:
    coin = issue(1, [5], owner=THEIRS[0])
    moved = give(2, [coin.transaction.output(0)], OURS[0])
    with pytest.raises(core.UnknownTransaction):
        rig.do("record", moved)
    assert not rig.do("has", moved.id)
    rig.do("record", coin)
    rig.do("record", moved)
    assert found(rig) == refs(moved)


def test_what_is_not_good_is_refused_before_anything_is_written(rig: Rig) -> None:
    coin = issue(1, [5, 6])
    rig.do("record", coin)
    before = rig.store.execute("SELECT count(*), sum(lock) FROM ledger_state", (), read_only=True)
    unsigned = SignedTransaction(coin.transaction)
    forged = issue(3, [1])
    forged = SignedTransaction(forged.transaction, issue(4, [1]).signatures)
    builder = TransactionBuilder(NOTARY).use(coin.transaction.output(0))
    builder.make(Coin(ISSUERS[0], Amount(50, "EUR"), OURS[0].public))
    builder.command(Issue(), ISSUERS[0].key)
    more = signed(builder.build(salt(5)))
    other = SignedTransaction(issue(6, [5]).transaction)
    for wrong, error in (
        (SignedTransaction(other.transaction), core.SignaturesMissing),
        (forged, core.BadSignature),
        (more, core.ContractRejected),
    ):
        for operation in ("record", "record_in_flight"):
            with pytest.raises(error):
                rig.do(operation, wrong)
        assert rig.do("transaction", coin.id) == coin
    rig.do("record", unsigned)  # Recorded before, with its signatures.
    after = rig.store.execute("SELECT count(*), sum(lock) FROM ledger_state", (), read_only=True)
    assert before == after


def test_a_state_is_used_up_once(rig: Rig) -> None:
    coin = issue(1, [5])
    one = give(2, [coin.transaction.output(0)], THEIRS[0])
    two = give(3, [coin.transaction.output(0)], THEIRS[1])
    rig.do("record", coin)
    rig.do("record", one)
    with pytest.raises(core.TransactionInvalid, match="used up by"):
        rig.do("record", two)
    with pytest.raises(core.StatesUnavailable) as refused:
        rig.do("record_in_flight", two)
    assert refused.value.refs == tuple(refs(coin))
    assert rig.do("consumed", refs(coin)[0]) == one.id
    assert found(rig) == []
    assert found(rig, consumed=True) == refs(coin)


def test_two_phases(rig: Rig) -> None:
    coin = issue(1, [5, 6])
    rig.do("record", coin)
    rig.do("flow_ended", 1)
    moved = give(2, [coin.transaction.output(0)], OURS[1])
    partial = signed(moved.transaction, without=NOTARY.key)
    rig.do("record_in_flight", partial)
    rig.do("record_in_flight", partial)
    assert rig.do("is_in_flight", moved.id)
    assert not rig.do("has", moved.id)
    assert [one.id_ for one in rig.do("in_flight", 10)] == [moved.id]
    assert found(rig, locked=True) == [refs(coin)[0]]
    assert rig.do("spendable", "EUR") == 6
    with pytest.raises(core.StatesUnavailable):
        rig.do("reserve", (refs(coin)[0],))
    with pytest.raises(core.SignaturesMissing):
        rig.do("finalise", moved.id, ())
    with pytest.raises(core.UnknownTransaction):
        rig.do("finalise", b"?" * 32, ())
    rig.do("forget_in_flight", moved.id)
    rig.do("forget_in_flight", moved.id)
    assert rig.do("spendable", "EUR") == 11
    rig.do("record_in_flight", partial)
    rig.do("finalise", moved.id, (sign(moved.id, NOTARY_KEY),))
    rig.do("finalise", moved.id, ())
    rig.do("forget_in_flight", moved.id)  # It is recorded: nothing to forget.
    assert rig.do("transaction", moved.id) == moved
    assert found(rig) == [refs(coin)[1], refs(moved)[0]]


def test_of_two_in_flight_the_second_holds_on_when_the_first_is_forgotten(rig: Rig) -> None:
    coin = issue(1, [5])
    rig.do("record", coin)
    rig.do("release")
    one = give(2, [coin.transaction.output(0)], THEIRS[0])
    two = give(3, [coin.transaction.output(0)], THEIRS[1])
    for moved in (one, two):
        rig.do("record_in_flight", signed(moved.transaction, without=NOTARY.key))
    rig.do("forget_in_flight", one.id)
    assert rig.do("spendable", "EUR") == 0
    rig.do("forget_in_flight", two.id)
    assert rig.do("spendable", "EUR") == 5


def test_the_notary_decides_for_another_than_the_one_in_flight(rig: Rig) -> None:
    coin = issue(1, [5])
    rig.do("record", coin)
    one = give(2, [coin.transaction.output(0)], THEIRS[0])
    two = give(3, [coin.transaction.output(0)], THEIRS[1])
    rig.do("record_in_flight", signed(one.transaction, without=NOTARY.key))
    rig.do("record", two)
    [state] = rig.do("states", StateQuery(consumed=True)).states
    assert (state.consumed_by, state.locked_by) == (two.id, None)
    with pytest.raises(core.TransactionInvalid, match="used up by"):
        rig.do("finalise", one.id, (sign(one.id, NOTARY_KEY),))
    rig.do("forget_in_flight", one.id)
    assert rig.do("in_flight", 10) == ()
    assert found(rig, locked=True, consumed=None) == []


def test_resolution_completes_one_in_flight(rig: Rig) -> None:
    coin = issue(1, [5])
    rig.do("record", coin)
    moved = give(2, [coin.transaction.output(0)], OURS[1])
    rig.do("record_in_flight", signed(moved.transaction, without=NOTARY.key))
    later = give(3, [moved.transaction.output(0)], OURS[2])
    assert rig.do("missing", later) == (moved.id,)
    rig.do("record", moved)
    assert rig.do("missing", later) == ()
    assert rig.do("in_flight", 10) == ()
    assert found(rig) == refs(moved)


def chain(length: int) -> list[SignedTransaction]:
    made = [issue(1, [5])]
    while len(made) < length:
        made.append(give(len(made) + 1, [made[-1].transaction.output(0)], OURS[len(made) % 4]))
    return made


def test_a_chain_is_downloaded_from_its_end_and_recorded_from_its_beginning(rig: Rig) -> None:
    made = chain(60)
    [last, *others] = reversed(made)
    rig.do("keep", last)
    for one in others:
        assert rig.do("wanted", 10) == (one.id,)
        rig.do("keep", one)
        rig.do("keep", one)
    assert rig.do("wanted", 10) == ()
    assert rig.do("record_kept", 0) == 60
    left = 60
    while left:
        now = rig.do("record_kept", 25)
        assert now == max(0, left - 25)
        left = now
    assert found(rig) == refs(last)
    for table in ("kept", "need"):
        assert not rig.do_sql(f"SELECT 1 FROM ledger_{table}")


def test_downloads_are_of_one_flow_and_go_with_it(rig: Rig) -> None:
    coin, moved, _ = chain(3)
    rig.do("keep", moved, flow=1)
    assert rig.do("missing", moved, flow=1) == (coin.id,)
    assert rig.do("wanted", 10, flow=2) == ()
    with pytest.raises(core.UnknownTransaction):
        rig.do("record_kept", 10, flow=1)
    rig.do("record", coin, flow=2)
    assert rig.do("record_kept", 10, flow=1) == 0  # Another flow has recorded what was missing.
    rig.do("keep", issue(9, [1]), flow=3)
    rig.do("flow_ended", 3)
    assert rig.do("record_kept", 10, flow=3) == 0
    assert not rig.do_sql("SELECT 1 FROM ledger_kept")


def test_of_a_chain_with_a_fault_only_what_is_before_it_is_recorded(rig: Rig) -> None:
    one, two, three = chain(3)
    faulty = signed(two.transaction, without=NOTARY.key)
    for transaction in (three, faulty, one):
        rig.do("keep", transaction)
    assert rig.do("record_kept", 1) == 2
    with pytest.raises(core.SignaturesMissing):
        rig.do("record_kept", 10)
    assert [rig.do("has", t.id) for t in (one, two, three)] == [True, False, False]


def test_downloads_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    for number in range(2):
        rig.do("keep", issue(number, [1]))
    with pytest.raises(core.TooLarge):
        rig.do("keep", issue(5, [1]))
    monkeypatch.setattr(kept, "MOST", 10)
    monkeypatch.setattr(kept, "MOST_BYTES", 100)
    with pytest.raises(core.TooLarge):
        rig.do("keep", issue(6, [1]))


def test_attachments(rig: Rig) -> None:
    content = b"terms and conditions"
    digest = hashlib.sha256(content).digest()
    builder = TransactionBuilder(NOTARY).make(Coin(ISSUERS[0], Amount(5, "EUR"), OURS[0].public))
    builder.command(Issue(), ISSUERS[0].key).attach(digest)
    transaction = signed(builder.build(salt(1)))
    assert rig.do("missing_attachments", transaction) == (digest,)
    with pytest.raises(core.TransactionInvalid, match="attachment"):
        rig.do("check", transaction)
    assert rig.do("attach", content) == digest
    assert rig.do("attach", content) == digest
    assert rig.do("attachment", digest) == content
    assert rig.do("attachment", b"?") is None
    rig.do("record", transaction)
    with pytest.raises(core.TooLarge):
        rig.do("attach", b"x" * 600_000)


def test_reservations(rig: Rig) -> None:
    coin, theirs = issue(1, [1, 2, 3, 4]), issue(2, [5], owner=THEIRS[0])
    rig.do("record", coin, flow=9)
    rig.do("record_visible", theirs, flow=9)
    a, b, c, d = refs(coin)
    assert found(rig, locked=True) == refs(coin)  # What a flow records for us is its own first.
    assert rig.do("spendable", "EUR", flow=9) == 10
    assert rig.do("spendable", "EUR", flow=1) == 0
    rig.do("flow_ended", 9)
    assert rig.do("spendable", "EUR", flow=1) == 10
    rig.do("reserve", (a, b, a), flow=1)
    rig.do("reserve", (b, a), flow=1)
    unknown = StateRef(b"?" * 32, 0)
    with pytest.raises(core.StatesUnavailable) as refused:
        rig.do("reserve", (b, c, unknown, StateRef(coin.id, 1 << 14)), flow=2)
    assert refused.value.refs == (b, unknown, StateRef(coin.id, 1 << 14))
    rig.do("reserve", (c,), flow=2)
    rig.do("release_some", (a, c), flow=1)
    rig.do("reserve", (a,), flow=2)
    rig.do("release", flow=2)
    assert found(rig, locked=True) == [b]
    with pytest.raises(core.TooLarge):
        rig.do("reserve", (a,) * 20_000)
    rig.alive = {1, 2}
    rig.do("reserve", (c,), flow=2)
    rig.commit()
    rig.alive = {2}
    rig.commit(ended=[1])
    rig.crash()  # Flow 1 ended and left its reservation; flow 2 is still there.
    assert found(rig, locked=True) == [c]
    assert d in found(rig, locked=False)


def test_a_composite_owner_is_ours_if_our_keys_are_enough(rig: Rig) -> None:
    enough = composite([(1, OURS[0].public), (1, THEIRS[0].public)], 1)
    both = composite([(1, OURS[0].public), (1, THEIRS[0].public)], 2)
    builder = TransactionBuilder(NOTARY)
    for owner in (enough, both):
        builder.make(Coin(ISSUERS[0], Amount(5, "EUR"), owner))
    transaction = signed(builder.command(Issue(), ISSUERS[0].key).build(salt(1)))
    rig.do("record", transaction)
    assert found(rig) == refs(transaction)
    assert rig.do("spendable", "EUR") == 5


def test_an_encumbered_coin_is_not_spent(rig: Rig) -> None:
    builder = TransactionBuilder(NOTARY)
    for other in (1, 0):
        coin = Coin(ISSUERS[0], Amount(5, "EUR"), OURS[0].public)
        builder.make(coin, encumbrance=other)
    rig.do("record", signed(builder.command(Issue(), ISSUERS[0].key).build(salt(1))))
    assert rig.do("spendable", "EUR") == 0


def test_linear_states(rig: Rig) -> None:
    first = deed(1, b"d" * 16)
    second = deed(2, b"d" * 16, first.transaction.output(0))
    assert rig.do("linear", b"d" * 16) is None
    rig.do("record", first)
    assert rig.do("linear", b"d" * 16).ref == refs(first)[0]
    rig.do("record", second)
    assert rig.do("linear", b"d" * 16).ref == refs(second)[0]
    assert found(rig, linear_ids=(b"d" * 16,), consumed=None) == refs(first) + refs(second)


def test_a_notary_that_nobody_knows_is_not_believed(rig: Rig) -> None:
    from flowrt.ledger.vault.service import Vault

    rig.vault = Vault(RULES, lambda _, one: True, lambda _, notary: notary == NOTARY)
    rig.do("record", issue(1, [5]))
    with pytest.raises(core.TransactionInvalid, match="no notary"):
        rig.do("record", issue(2, [5], notary=OTHER_NOTARY))
