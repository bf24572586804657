"""The rules of cash, one by one, and what random transactions make of them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from flowrt.finance.cash import NAME, Cash, Exit, Issue, Move
from flowrt.ledger.keys import all_of, composite
from flowrt.ledger.states import FungibleState, OwnableState
from flowrt.ledger.transactions import SignedCommand
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer
from tests.ledger.finance_dsl import (
    ALICE,
    AT_MEGA,
    AT_MINI,
    BOB,
    CHARLIE,
    MEGA,
    MINI,
    Do,
    Given,
    Thing,
    coin,
    given,
)

IN = coin(1000, ALICE)
OUT = coin(1000, BOB)
ELSEWHERE = Issuer(MEGA, b"\x03")
"""Another account at the same issuer."""


def test_cash_is_ownable_and_fungible() -> None:
    assert isinstance(IN, OwnableState)
    assert isinstance(IN, FungibleState)
    assert IN.participants() == (ALICE,)
    assert IN.with_owner(BOB) == (Move(), OUT)
    assert IN.with_amount(Amount(7, "USD"), BOB) == coin(7, BOB)


# --- CS-234: the cases of Corda's CashTests ---------------------------------------------------


def test_cs_234_trivial() -> None:
    this = given(IN)
    this.makes(coin(2000, BOB)).says(Move(), ALICE).fails_with("the amounts balance")
    this.makes(OUT).says(Do(), ALICE).fails_with("there is a move command")
    this.makes(OUT).says(Move(), BOB).fails_with("the owners of the inputs have signed")
    this.makes(OUT, coin(1000, BOB, AT_MINI)).says(Move(), ALICE).fails_with(
        "at least one cash input"
    )
    this.makes(OUT).says(Move(), ALICE).accepts()


def test_cs_234_two_owners_move_at_once() -> None:
    this = given(IN, coin(1000, BOB)).makes(OUT, OUT).says(Move(), ALICE)
    this.fails_with("the owners of the inputs have signed")
    this.says(Move(), BOB).accepts()


def test_cs_234_nothing_is_moved_into_existence() -> None:
    given(Thing()).makes(OUT).says(Move(), MINI).fails_with(
        "there is at least one cash input for this group"
    )


def test_cs_234_issue() -> None:
    Given().makes(OUT).says(Issue(), ALICE).fails_with("output states are issued by a command sign")
    Given().makes(coin(1000, ALICE, Issuer(MINI, b"\x0c\x22"))).says(Issue(), MINI).accepts()


def test_cs_234_an_issue_adds_to_what_there_is() -> None:
    at_issuer = coin(1000, MEGA)
    this = given(at_issuer).makes(coin(2000, ALICE))
    this.says(Move(), MEGA).fails_with("the amounts balance")
    this.says(Issue(), MEGA).accepts()


def test_cs_234_an_issue_takes_no_coin_without_its_owner() -> None:
    """Corda accepts the first of these."""
    this = given(IN).makes(coin(2000, BOB)).says(Issue(), MEGA)
    this.fails_with("the owners of the inputs have signed")
    this.says(Move(), ALICE).accepts()
    given(IN).makes(coin(2000, BOB)).says(Issue(), MEGA, ALICE).accepts()


def test_cs_234_an_issue_lowers_nothing_and_issues_something() -> None:
    given(IN).makes(coin(500, ALICE)).says(Issue(), MEGA).fails_with("more than the inputs")
    given(IN).makes(IN).says(Issue(), MEGA).fails_with("output values sum to more than the inputs")
    given(IN).says(Issue(), MEGA).fails_with("output values sum to more than the inputs")


def test_cs_234_there_is_a_single_issue() -> None:
    this = Given().makes(OUT).says(Issue(), MEGA)
    this.says(Issue(), MEGA).fails_with("there is only one issue command")
    this.accepts()


def test_cs_234_several_are_issued_at_once() -> None:
    this = Given().makes(OUT, coin(5, BOB, ELSEWHERE), coin(7, BOB, AT_MEGA, "EUR"))
    this.says(Issue(), MEGA).accepts()
    this.makes(coin(9, BOB, AT_MINI)).says(Issue(), MEGA).fails_with("issued by a command signer")
    this.makes(coin(9, BOB, AT_MINI)).says(Issue(), MEGA, MINI).accepts()


def test_cs_234_merge_and_split() -> None:
    quarter, half = coin(250, ALICE), coin(500, ALICE)
    given(IN).makes(*[quarter] * 4).says(Move(), ALICE).accepts()
    given(*[quarter] * 4).makes(half, half).says(Move(), ALICE).accepts()
    given(half, half).makes(IN).says(Move(), ALICE).accepts()


def test_cs_234_zero_amounts() -> None:
    """W23."""
    given(IN, coin(0, ALICE)).makes(IN).says(Move(), ALICE).fails_with("no input is of zero")
    given(IN).makes(IN, coin(0, ALICE)).says(Move(), ALICE).fails_with("no output is of zero")
    Given().makes(coin(0, ALICE)).says(Issue(), MEGA).fails_with("no output is of zero")


def test_amounts_below_zero() -> None:
    """W23."""
    given(IN).makes(coin(1500, BOB), coin(-500, ALICE)).says(Move(), ALICE).fails_with("no output")
    given(IN, coin(-1, ALICE)).makes(coin(999, BOB)).says(Move(), ALICE).fails_with("no input")
    this = given(IN).makes(coin(1100, ALICE)).says(Move(), ALICE)
    this.says(Exit(Amount(-100, "USD"), AT_MEGA), ALICE, MEGA).fails_with("no exit is of zero")


def test_cs_234_mismatches() -> None:
    move = (Move(), ALICE)
    given(IN).makes(coin(1000, BOB, AT_MINI)).says(*move).fails_with("the amounts balance")
    given(IN).makes(coin(500, BOB, AT_MEGA), coin(500, BOB, ELSEWHERE)).says(*move).fails_with(
        "the amounts balance"
    )
    given(IN).makes(coin(800, BOB), coin(200, BOB, AT_MEGA, "GBP")).says(*move).fails_with(
        "the amounts balance"
    )
    given(IN, coin(150, BOB, AT_MEGA, "GBP")).makes(coin(1150, BOB)).says(*move).fails_with(
        "the amounts balance"
    )
    given(IN, coin(1000, ALICE, AT_MINI)).makes(OUT).says(*move).fails_with("the amounts balance")
    this = given(IN, coin(1000, ALICE, ELSEWHERE)).makes(coin(2000, BOB, ELSEWHERE))
    this.says(*move).fails_with("for reference 01")


def test_cs_234_exit() -> None:
    this = given(coin(1000, MEGA)).makes(coin(800, MEGA))
    wrong = this.says(Exit(Amount(100, "USD"), AT_MEGA), MEGA)
    wrong.says(Move(), MEGA).fails_with("the amounts balance")
    right = this.says(Exit(Amount(200, "USD"), AT_MEGA), MEGA)
    right.fails_with("there is a move command")
    right.says(Move(), MEGA).accepts()
    given(coin(9, MEGA)).says(Exit(Amount(9, "USD"), AT_MEGA), MEGA).says(Move(), MEGA).accepts()


def test_cs_234_exit_of_several_issuers() -> None:
    this = (
        given(coin(1000, MEGA), coin(1000, MINI, AT_MINI))
        .makes(coin(800, MEGA, AT_MINI), coin(800, MINI))
        .says(Move(), MEGA, MINI)
    )
    this.fails_with("the amounts balance")
    one = this.says(Exit(Amount(200, "USD"), AT_MEGA), MEGA)
    one.fails_with("the amounts balance")
    one.says(Exit(Amount(200, "USD"), AT_MINI), MINI).accepts()


def test_cs_234_exit_of_cash_that_its_issuer_does_not_hold() -> None:
    this = given(IN).makes(coin(800, BOB)).says(Move(), ALICE)
    leaving = Exit(Amount(200, "USD"), AT_MEGA)
    this.says(leaving, MEGA).fails_with("the amounts balance")
    this.says(leaving, ALICE).fails_with("the amounts balance")
    this.says(leaving, ALICE, MEGA).accepts()


def test_an_exit_that_stands_there_twice_counts_as_none() -> None:
    leaving = (Exit(Amount(200, "USD"), AT_MEGA), ALICE, MEGA)
    this = given(IN).says(Move(), ALICE).says(*leaving).says(*leaving)
    this.makes(coin(800, BOB)).fails_with("the amounts balance")
    this.makes(coin(600, BOB)).fails_with("the amounts balance")
    this.makes(OUT).accepts()


def test_an_exit_of_another_reference_or_currency_does_not_count() -> None:
    this = given(IN).makes(coin(800, BOB)).says(Move(), ALICE)
    for amount, issuer in (
        (Amount(200, "USD"), ELSEWHERE),
        (Amount(200, "EUR"), AT_MEGA),
        (Amount(200, "USD"), AT_MINI),
    ):
        this.says(Exit(amount, issuer), ALICE, MEGA, MINI).fails_with("the amounts balance")


def test_cs_234_several_issuers() -> None:
    this = given(IN, coin(1000, ALICE, AT_MINI)).says(Move(), ALICE)
    this.makes(coin(2000, BOB)).fails_with("the amounts balance")
    this.makes(OUT, OUT).fails_with("the amounts balance")
    this.makes(OUT, coin(1000, BOB, AT_MINI)).accepts()


def test_cs_234_two_currencies_change_hands() -> None:
    this = given(IN, coin(658, BOB, AT_MINI, "GBP"))
    this = this.makes(OUT, coin(658, ALICE, AT_MINI, "GBP"))
    this.says(Move(), ALICE, BOB).accepts()
    this.says(Move(), ALICE).fails_with("the owners of the inputs have signed")


def test_cs_234_what_can_be_merged() -> None:
    assert coin(5, MEGA).token == coin(2, MINI).token
    for other in (coin(5, MEGA, AT_MINI), coin(5, MEGA, ELSEWHERE), coin(5, MEGA, AT_MEGA, "GBP")):
        assert other.token != coin(5, MEGA).token


# --- what Corda has no test for ---------------------------------------------------------------


def test_a_sum_that_no_amount_can_hold() -> None:
    most = coin(2**63 - 1, BOB)
    Given().makes(most).says(Issue(), MEGA).accepts()
    Given().makes(most, coin(1, BOB)).says(Issue(), MEGA).fails_with("more than an amount can be")
    given(coin(2**63 - 1, ALICE), coin(1, ALICE)).makes(most, coin(1, BOB)).says(
        Move(), ALICE
    ).fails_with("more than an amount can be")


@pytest.mark.parametrize("currency", ["", "EU", "EUR ", "eur", "us$", "ЕUR", "E" * 13, "EU1"])
def test_what_only_looks_like_a_currency_is_not_issued(currency: str) -> None:
    """W23."""
    this = Given().makes(coin(5, BOB, AT_MEGA, currency)).says(Issue(), MEGA)
    this.fails_with("a currency has three to twelve capital letters")


def test_composite_owners_and_issuers() -> None:
    both = all_of((ALICE, BOB))
    either = composite([(1, ALICE), (1, BOB)], threshold=1)
    this = given(coin(1000, both)).makes(OUT)
    this.says(Move(), both).accepts()
    this.says(Move(), ALICE, BOB).accepts()
    this.says(Move(), ALICE).fails_with("the owners of the inputs have signed")
    this = given(coin(1000, either)).makes(OUT)
    this.says(Move(), BOB).accepts()
    this.says(Move(), CHARLIE).fails_with("the owners of the inputs have signed")
    at_either = Issuer(either, b"")
    Given().makes(coin(5, CHARLIE, at_either)).says(Issue(), BOB).accepts()
    Given().makes(coin(5, CHARLIE, at_either)).says(Issue(), CHARLIE).fails_with("command signer")


# --- random transactions ----------------------------------------------------------------------

PEOPLE = (ALICE, BOB, CHARLIE)
TOKENS = ((AT_MEGA, "USD"), (AT_MEGA, "EUR"), (ELSEWHERE, "USD"), (AT_MINI, "USD"))
KEYS = (*PEOPLE, MEGA, MINI)


def oracle(this: Given) -> bool:
    """Whether the cash of a transaction is right, told another way: unit by unit, token by token,
    without a group. Slow, and shares nothing with the contract."""
    issues = [said for said in this.commands if isinstance(said.value, Issue)]
    movers = {who for said in this.commands if isinstance(said.value, Move) for who in said.signers}
    if len(issues) > 1:
        return False
    ins = [found for found in this.ins if isinstance(found, Cash)]
    outs = [found for found in this.outs if isinstance(found, Cash)]
    if any(found.amount.units < 1 for found in outs):
        return False
    for token in {(c.issuer.key, c.issuer.reference, c.amount.currency) for c in (*ins, *outs)}:
        mine = [c for c in ins if (c.issuer.key, c.issuer.reference, c.amount.currency) == token]
        theirs = [c for c in outs if (c.issuer.key, c.issuer.reference, c.amount.currency) == token]
        change = sum(c.amount.units for c in theirs) - sum(c.amount.units for c in mine)
        owners = {c.owner for c in mine}
        if issues:
            agreed = movers | set(issues[0].signers)
            if change <= 0 or token[0] not in issues[0].signers or not owners <= agreed:
                return False
            continue
        counted = [
            said.value.amount.units
            for said in this.commands
            if isinstance(said.value, Exit)
            and (said.value.issuer.key, said.value.issuer.reference) == token[:2]
            and said.value.amount.currency == token[2]
            and owners | {token[0]} <= set(said.signers)
        ]
        bad = any(
            said.value.amount.units < 1
            and (said.value.issuer.key, said.value.issuer.reference) == token[:2]
            and said.value.amount.currency == token[2]
            for said in this.commands
            if isinstance(said.value, Exit)
        )
        if bad or not mine or any(c.amount.units < 1 for c in mine):
            return False
        if -change != (counted[0] if len(counted) == 1 else 0):
            return False
        if not owners <= movers or not movers:
            return False
    return True


coins = st.builds(
    lambda units, owner, token: coin(units, owner, *token),
    st.integers(-1, 4),
    st.sampled_from(PEOPLE),
    st.sampled_from(TOKENS),
)
signers = st.sets(st.sampled_from(KEYS), min_size=1).map(lambda found: tuple(sorted(found)))
commands = st.builds(
    SignedCommand,
    st.one_of(
        st.just(Move()),
        st.just(Issue()),
        st.builds(
            lambda units, token: Exit(Amount(units, token[1]), token[0]),
            st.integers(-1, 4),
            st.sampled_from(TOKENS),
        ),
    ),
    signers,
)
anything = st.builds(
    lambda ins, outs, said: Given(tuple(ins), tuple(outs), tuple(said)),
    st.lists(coins, max_size=4),
    st.lists(coins, max_size=4),
    st.lists(commands, max_size=4),
)


@st.composite
def right(draw: st.DrawFn) -> Given:
    """A transaction that should be accepted: each token's coins are dealt again, some leave."""
    this = Given()
    exits = draw(st.booleans())
    for issuer, currency in draw(st.sets(st.sampled_from(TOKENS), min_size=1, max_size=3)):
        ins = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
        owners = draw(st.lists(st.sampled_from(PEOPLE), min_size=len(ins), max_size=len(ins)))
        used = [coin(n, who, issuer, currency) for n, who in zip(ins, owners, strict=True)]
        left = sum(ins)
        this = this.uses(*used)
        if exits and draw(st.booleans()):
            gone = draw(st.integers(1, left))
            left -= gone
            this = this.says(Exit(Amount(gone, currency), issuer), *{*owners, issuer.key})
        while left:
            part = draw(st.integers(1, left))
            left -= part
            this = this.makes(coin(part, draw(st.sampled_from(PEOPLE)), issuer, currency))
    return this.says(Move(), *{found.owner for found in this.ins})


@settings(max_examples=120, deadline=None)
@drawn(anything)
def test_whatever_is_drawn_is_judged_as_by_the_oracle(this: Given) -> None:
    assert this.is_accepted(NAME) == oracle(this)


@settings(max_examples=40, deadline=None)
@drawn(right())
def test_cash_that_is_dealt_again_is_accepted(this: Given) -> None:
    assert oracle(this)
    this.accepts()


@settings(max_examples=120, deadline=None)
@drawn(right(), st.data())
def test_one_change_of_what_was_accepted_is_judged_as_by_the_oracle(
    this: Given, data: st.DataObject
) -> None:
    changed = mutated(this, data)
    assert changed.is_accepted(NAME) == oracle(changed)


@settings(max_examples=120, deadline=None)
@drawn(right(), st.data())
def test_nothing_but_an_issue_or_exit_changes_a_sum(this: Given, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        this = mutated(this, data)
    assume(this.is_accepted(NAME))

    def sums(states: tuple[object, ...]) -> Counter[object]:
        found: Counter[object] = Counter()
        for state in states:
            assert isinstance(state, Cash)
            found[state.token] += state.amount.units
        return found

    moving = {
        token for token in TOKENS if not any(token_of(said) == token for said in this.commands)
    }
    if not any(isinstance(said.value, Issue) for said in this.commands):
        before, after = sums(this.ins), sums(this.outs)
        assert {t: before[t] for t in moving} == {t: after[t] for t in moving}


def token_of(said: SignedCommand) -> object:
    if isinstance(said.value, Exit):
        return (said.value.issuer, said.value.amount.currency)
    return None


def mutated(this: Given, data: st.DataObject) -> Given:
    """The transaction with one thing changed: a coin, a command, a signer; one more or one less."""
    ins, outs, said = list(this.ins), list(this.outs), list(this.commands)
    where = data.draw(st.sampled_from(["ins", "outs", "commands"]))
    act = data.draw(st.sampled_from(["drop", "twice", "change"]))
    pool: list = {"ins": ins, "outs": outs, "commands": said}[where]
    if not pool:
        pool.append(data.draw(commands if where == "commands" else coins))
        return Given(tuple(ins), tuple(outs), tuple(said))
    at = data.draw(st.integers(0, len(pool) - 1))
    if act == "drop":
        del pool[at]
    elif act == "twice":
        pool.append(pool[at])
    elif where == "commands":
        old = pool[at]
        keys = set(old.signers) ^ {data.draw(st.sampled_from(KEYS))}
        pool[at] = (
            data.draw(commands) if not keys else SignedCommand(old.value, tuple(sorted(keys)))
        )
    else:
        old = pool[at]
        issuer, currency = data.draw(st.sampled_from(TOKENS))
        pool[at] = data.draw(
            st.sampled_from(
                [
                    coin(old.amount.units + 1, old.owner, *old.token),
                    coin(old.amount.units - 1, old.owner, *old.token),
                    coin(-old.amount.units, old.owner, *old.token),
                    coin(old.amount.units, data.draw(st.sampled_from(PEOPLE)), *old.token),
                    coin(old.amount.units, old.owner, issuer, currency),
                ]
            )
        )
    return Given(tuple(ins), tuple(outs), tuple(said))
