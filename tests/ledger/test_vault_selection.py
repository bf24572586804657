"""Which coins are taken: against all the choices there are, and as corda's own tests have it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.transactions import Transaction
from flowrt.ledger.vault import selection
from flowrt.stdlib.ledger.core_flow import InsufficientBalance, TooLarge
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, Issuer
from flowrt.store.memory import MemoryStore
from tests.ledger.coins import (
    ISSUERS,
    NOTARY,
    OTHER_NOTARY,
    OURS,
    RULES,
    THEIRS,
    Coin,
    Rig,
    issue,
    refs,
    salt,
    signed,
)

US, THEM = OURS[0].public, THEIRS[0].public


def with_coins(units: Sequence[int], issuer: Issuer = ISSUERS[0], number: int = 0) -> Rig:
    rig = Rig(MemoryStore())
    add(rig, units, issuer, number)
    return rig


def add(
    rig: Rig,
    units: Sequence[int],
    issuer: Issuer = ISSUERS[0],
    number: int = 0,
    notary: Identity = NOTARY,
) -> None:
    rig.do("record", issue(number, units, issuer=issuer, notary=notary))
    rig.do("release")


def paid(
    rig: Rig, *payments: tuple[PublicKey, int], issuers: Sequence[Issuer] | None = None
) -> tuple[Transaction, list[int], list[tuple[PublicKey, int]]]:
    """The transaction that pays, the units of the coins that it uses up, and what it makes."""
    builder = TransactionBuilder()
    due = [(owner, Amount(units, "EUR")) for owner, units in payments]
    with rig.step(1) as tx:
        keys = rig.vault.spend(tx, builder, due, lambda: OURS[1].public, issuers)
        assert keys == (US,)
        built = builder.build(salt(99))
        used = [rig.vault.state(tx, ref) for ref in built.inputs]
    coins = [RULES.read_state(o.output.schema, o.output.version, o.output.data) for o in used]
    made = [RULES.read_state(o.schema, o.version, o.data) for o in built.outputs]
    rig.do("check", signed(built))
    return (
        built,
        [coin.amount.units for coin in coins if isinstance(coin, Coin)],
        [(coin.owner, coin.amount.units) for coin in made if isinstance(coin, Coin)],
    )


def test_an_exact_coin_is_taken_and_there_is_no_change() -> None:
    _, used, made = paid(with_coins([100, 500, 700]), (THEM, 500))
    assert (used, made) == ([500], [(THEM, 500)])


def test_coins_of_one_transaction_that_are_exact_together() -> None:
    _, used, made = paid(with_coins([300, 200]), (THEM, 500))
    assert (sorted(used), made) == ([200, 300], [(THEM, 500)])


def test_the_last_coin_is_the_smallest_that_will_do() -> None:
    _, used, made = paid(with_coins([10, 9, 2, 3]), (THEM, 12))
    assert (sorted(used), made) == ([2, 10], [(THEM, 12)])


def test_change_goes_to_a_fresh_key() -> None:
    _, used, made = paid(with_coins([1000, 301]), (THEM, 1000 + 200))
    assert sorted(used) == [301, 1000]
    assert made == [(THEM, 1200), (OURS[1].public, 101)]
    _, used, made = paid(with_coins([10_000, 301]), (THEM, 100))
    assert (used, made) == ([301], [(THEM, 100), (OURS[1].public, 201)])


def test_many_issuers_each_make_an_output_and_one_gives_change() -> None:
    rig = with_coins([5])
    add(rig, [6], ISSUERS[1], 1)
    add(rig, [7], ISSUERS[2], 2)
    built, used, made = paid(rig, (THEM, 9), (THEIRS[1].public, 7))
    assert sorted(used) == [5, 6, 7]
    assert sum(units for owner, units in made if owner == THEM) == 9
    assert sum(units for owner, units in made if owner == THEIRS[1].public) == 7
    assert sum(units for owner, units in made if owner == OURS[1].public) == 2
    assert len(made) == 5
    assert len(built.commands) == 1
    assert built.notary == NOTARY


def test_coins_of_two_versions_of_a_contract_make_coins_of_the_newer() -> None:
    rig = with_coins([5])
    rig.do("record", issue(1, [6], issuer=ISSUERS[1], version=2))
    rig.do("release")
    built, used, _ = paid(rig, (THEM, 11))
    assert sorted(used) == [5, 6]
    assert {output.contract for output in built.outputs} == {"coins.Coin_v2"}


def test_more_than_fits_into_32_bits() -> None:
    _, used, made = paid(with_coins([10_000_000_000, 2**62]), (THEM, 2**61))
    assert used == [2**62]
    assert made[0] == (THEM, 2**61)


def test_only_the_issuers_that_will_do() -> None:
    rig = with_coins([50, 60])
    add(rig, [5, 6], ISSUERS[1], 1)
    _, used, _ = paid(rig, (THEM, 6), issuers=[ISSUERS[1]])
    assert used == [6]
    with pytest.raises(InsufficientBalance) as refused:
        paid(rig, (THEM, 60), issuers=[ISSUERS[1], ISSUERS[2]])
    assert refused.value.missing == Amount(55, "EUR")  # 6 is in the first transaction.


def test_one_notary_pays_all_of_it() -> None:
    rig = with_coins([5, 5])
    add(rig, [9], number=1, notary=OTHER_NOTARY)
    built, used, _ = paid(rig, (THEM, 9))
    assert (used, built.notary) == ([9], OTHER_NOTARY)
    with pytest.raises(InsufficientBalance) as refused:
        paid(rig, (THEM, 12))
    assert refused.value.missing == Amount(2, "EUR")
    builder = TransactionBuilder(OTHER_NOTARY)
    with pytest.raises(InsufficientBalance), rig.step(1) as tx:
        rig.vault.spend(tx, builder, [(THEM, Amount(1, "EUR"))], lambda: US)


def test_what_is_taken_is_not_taken_again_until_it_is_released() -> None:
    rig = with_coins([5, 5])
    paid(rig, (THEM, 5))
    paid(rig, (THEM, 5))
    for flow in (1, 2):
        assert rig.do("spendable", "EUR", flow=flow) == 0
    with pytest.raises(InsufficientBalance):
        paid(rig, (THEM, 1))
    rig.do("release")
    paid(rig, (THEM, 10))


def test_what_a_flow_has_reserved_is_its_own_to_spend_and_nobody_elses() -> None:
    rig = with_coins([5, 7])
    rig.do("reserve", tuple(refs(issue(0, [5, 7]))[:1]), flow=2)
    assert rig.do("spendable", "EUR", flow=2) == 12
    _, used, _ = paid(rig, (THEM, 4))
    assert used == [7]
    rig.do("flow_ended", 1)
    rig.do("reserve", tuple(refs(issue(0, [5, 7]))[:1]), flow=2)
    rig.do("flow_ended", 2)
    rig.do("reserve", tuple(refs(issue(0, [5, 7]))[:1]), flow=1)
    _, used, _ = paid(rig, (THEM, 5))
    assert used == [5]


@pytest.mark.parametrize("units", [0, -1, 2**63])
def test_a_sum_that_cannot_be_paid_is_refused(units: int) -> None:
    rig = with_coins([5])
    with pytest.raises((ValueError, TooLarge)), rig.step(1) as tx:
        rig.vault.spend(tx, TransactionBuilder(), [(THEM, Amount(units, "EUR"))], lambda: US)
    assert rig.do("spendable", "EUR") == 5


def test_a_sum_of_too_many_coins_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_COINS", 3)
    rig = with_coins([1, 1, 1, 1])
    with pytest.raises(TooLarge):
        paid(rig, (THEM, 4))
    with pytest.raises(InsufficientBalance):
        paid(rig, (THEM, 5))
    paid(rig, (THEM, 3))


def test_a_currency_that_is_refused_leaves_the_others_free() -> None:
    rig = with_coins([5])
    payments = [(THEM, Amount(5, "EUR")), (THEM, Amount(1, "USD"))]
    with pytest.raises(InsufficientBalance), rig.step(1) as tx:
        rig.vault.spend(tx, TransactionBuilder(), payments, lambda: US)
    assert rig.do("spendable", "EUR") == 5


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    own=st.sets(st.integers(0, 7)),
    others=st.sets(st.integers(0, 7)),
    wanted=st.integers(1, 60),
)
def test_against_all_choices(
    units: list[int], own: set[int], others: set[int], wanted: int
) -> None:
    rig = with_coins(units)
    names = refs(issue(0, units))
    for flow, which in ((1, own), (2, others - own)):
        rig.do("reserve", tuple(names[at] for at in which if at < len(units)), flow=flow)
    free = [one for at, one in enumerate(units) if at not in others - own]
    enough = [
        some
        for count in range(len(free) + 1)
        for some in itertools.combinations(free, count)
        if sum(some) >= wanted
    ]
    if not enough:
        with pytest.raises(InsufficientBalance) as refused:
            paid(rig, (THEM, wanted))
        assert refused.value.missing == Amount(wanted - sum(free), "EUR")
        return
    _, used, made = paid(rig, (THEM, wanted))
    assert len(used) == min(map(len, enough))
    assert all(sum(used) - one < wanted for one in used)
    assert sum(one for _, one in made) == sum(used)
    assert sum(one for owner, one in made if owner == THEM) == wanted
    if wanted in free:
        assert used == [wanted]


def test_pages_of_coins_are_as_good_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [number % 7 + 1 for number in range(50)]
    whole = paid(with_coins(units), (THEM, 150))[1]
    monkeypatch.setattr(selection, "_PAGE", 3)
    assert paid(with_coins(units), (THEM, 150))[1] == whole


def test_only_coins_of_a_schema() -> None:
    rig = with_coins([50])
    due = [(THEM, Amount(5, "EUR"))]
    with rig.step(1) as tx:
        with pytest.raises(InsufficientBalance) as caught:
            rig.vault.spend(
                tx, TransactionBuilder(), due, lambda: OURS[1].public, schema="coins.Other"
            )
        assert caught.value.missing == Amount(5, "EUR")
        builder = TransactionBuilder()
        rig.vault.spend(tx, builder, due, lambda: OURS[1].public, schema="coins.Coin")
        assert len(builder.build(salt(99)).inputs) == 1


def test_what_is_paid_to_nobody_makes_no_output() -> None:
    rig = with_coins([50])
    builder = TransactionBuilder()
    due = [(None, Amount(20, "EUR"))]
    with rig.step(1) as tx:
        rig.vault.spend(tx, builder, due, lambda: OURS[1].public)
    (change,) = builder.build(salt(99)).outputs
    found = RULES.read_state(change.schema, change.version, change.data)
    assert isinstance(found, Coin)
    assert (found.owner, found.amount.units) == (OURS[1].public, 30)
