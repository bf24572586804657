"""The rules of commercial paper, one by one."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from flowrt.finance import cash, obligation
from flowrt.finance.paper import NAME, CommercialPaper, Issue, Move, Redeem
from flowrt.ledger.keys import all_of
from flowrt.ledger.states import OwnableState
from flowrt.ledger.transactions import SignedCommand
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer
from tests.ledger.finance_dsl import (
    ALICE,
    AT_MEGA,
    AT_MINI,
    BOB,
    CHARLIE,
    DAY,
    MEGA,
    MINI,
    NOW,
    Given,
    coin,
    given,
)

MATURES = NOW + 7 * DAY
PAY = cash.Move(NAME)


def paper(
    owner=MEGA, number=b"\x7b", units=1000, matures=MATURES, payable_in=AT_MEGA, issuer=MEGA
) -> CommercialPaper:
    return CommercialPaper(Issuer(issuer, number), owner, Amount(units, "USD"), payable_in, matures)


ISSUED = Given().makes(paper()).says(Issue(), MEGA).around(NOW)
REDEEMED = (
    given(paper(ALICE), coin(1200, MEGA))
    .makes(coin(1000, ALICE), coin(200, MEGA))
    .says(PAY, MEGA)
    .says(Redeem(), ALICE)
    .around(NOW + 8 * DAY)
)


def test_paper_is_ownable() -> None:
    assert isinstance(paper(), OwnableState)
    assert paper(ALICE).participants() == (ALICE,)
    assert paper().with_owner(ALICE) == (Move(), paper(ALICE))


# --- CS-233: the cases of Corda's CommercialPaperTests ----------------------------------------


def test_cs_233_lifecycle() -> None:
    ISSUED.accepts()
    sold = (
        given(paper(), coin(900, ALICE))
        .makes(coin(900, MEGA), paper(ALICE))
        .says(cash.Move(), ALICE)
        .says(Move(), MEGA)
    )
    sold.accepts()
    REDEEMED.accepts()
    short = dataclasses.replace(REDEEMED, outs=(coin(700, ALICE), coin(500, MEGA)))
    short.fails_with("the received amount equals the face value")
    REDEEMED.around(NOW + 2 * DAY).fails_with("the paper must have matured")
    REDEEMED.makes(paper(ALICE)).fails_with("the paper must be destroyed")


def test_cs_233_wrong_signer_of_an_issue() -> None:
    Given().makes(paper()).says(Issue(), MINI).around(NOW).fails_with("issued by a command signer")


@pytest.mark.parametrize("units", [0, -1])
def test_cs_233_face_value_of_zero_or_less(units: int) -> None:
    this = Given().makes(paper(units=units)).says(Issue(), MEGA).around(NOW)
    this.fails_with("the face value is above zero")


def test_cs_233_maturity_in_the_past() -> None:
    this = Given().makes(paper(matures=NOW - 10 * DAY)).says(Issue(), MEGA).around(NOW)
    this.fails_with("the maturity date is not in the past")
    at_the_end = ISSUED.within(NOW, MATURES)
    at_the_end.fails_with("the maturity date is not in the past")
    ISSUED.within(NOW, MATURES - datetime.timedelta(microseconds=1)).accepts()


def test_cs_233_an_issue_does_not_replace_a_paper() -> None:
    this = given(paper()).makes(paper()).says(Issue(), MEGA).around(NOW)
    this.fails_with("an issue does not replace a paper")


def test_cs_233_issue_move_redeem() -> None:
    """Corda's test with services; the flows' part of it is in the tests of the trade."""
    ISSUED.accepts()
    given(paper()).makes(paper(ALICE)).says(Move(), MEGA).accepts()
    REDEEMED.around(NOW + 3 * DAY).fails_with("the paper must have matured")
    REDEEMED.around(NOW + 30 * DAY).accepts()


# --- each rule of its own ---------------------------------------------------------------------


def test_an_issue_needs_an_end_of_its_window() -> None:
    this = Given().makes(paper()).says(Issue(), MEGA)
    this.fails_with("issuances have a time window")
    this.within(NOW, None).fails_with("issuances have a time window with an end")
    this.within(None, NOW).accepts()


def test_one_paper_is_issued_once() -> None:
    ISSUED.makes(paper(ALICE)).fails_with("there is exactly one output of each paper")
    ISSUED.makes(paper(number=b"\x7c")).accepts()


def test_a_move_changes_the_owner_and_nothing_else() -> None:
    this = given(paper()).says(Move(), MEGA)
    this.fails_with("the state is propagated")
    this.makes(paper(ALICE)).accepts()
    for other in (
        paper(ALICE, number=b"\x01"),
        paper(ALICE, units=1001),
        paper(ALICE, matures=MATURES - DAY),
        paper(ALICE, payable_in=AT_MINI),
        paper(ALICE, issuer=MINI),
    ):
        this.makes(other).fails_with("the state is propagated")
    this.makes(paper(ALICE), paper(BOB)).fails_with("the state is propagated")
    given(paper()).makes(paper(ALICE)).says(Move(), ALICE).fails_with("signed by the owner")
    given(paper(), paper()).makes(paper(ALICE)).says(Move(), MEGA).fails_with("exactly one input")


def test_nothing_is_moved_into_existence() -> None:
    Given().makes(paper()).says(Move(), MEGA).fails_with("exactly one input of each paper")


def test_there_is_exactly_one_command() -> None:
    this = given(paper()).makes(paper(ALICE))
    this.fails_with("exactly one command")
    this.says(Move(), MEGA).says(Redeem(), MEGA).fails_with("exactly one command")
    this.says(Move(), MEGA).says(Move(), MEGA).fails_with("exactly one command")


def test_a_redemption_needs_a_beginning_of_its_window() -> None:
    REDEEMED.within(None, NOW + 9 * DAY).fails_with("redemptions have a time window")
    REDEEMED.within(MATURES, None).accepts()
    early = MATURES - datetime.timedelta(microseconds=1)
    REDEEMED.within(early, None).fails_with("the paper must have matured")


def test_a_redemption_is_signed_by_the_owner() -> None:
    said = (SignedCommand(Redeem(), (MEGA,)),)
    this = dataclasses.replace(REDEEMED, commands=REDEEMED.commands[:1] + said)
    this.fails_with("the transaction is signed by the owner of the paper")


def test_a_paper_of_composite_owners() -> None:
    both = all_of((ALICE, BOB))
    this = given(paper(both)).makes(paper(CHARLIE))
    this.says(Move(), both).accepts()
    this.says(Move(), ALICE, BOB).accepts()
    this.says(Move(), ALICE).fails_with("signed by the owner")


@pytest.mark.parametrize(
    "outs",
    [
        (coin(1000, BOB), coin(200, MEGA)),
        (coin(1000, ALICE), coin(100, ALICE), coin(100, MEGA)),
        (coin(1000, ALICE, AT_MINI), coin(200, MEGA)),
    ],
    ids=["to somebody else", "too much", "of another issuer"],
)
def test_a_redemption_pays_exactly(outs) -> None:
    dataclasses.replace(REDEEMED, outs=outs).judge_only(NAME, "equals the face value")


def test_no_payment_redeems_two_papers() -> None:
    """Corda accepts this: it looks at each paper alone."""
    this = REDEEMED.uses(paper(ALICE, number=b"\x7c"))
    this.fails_with("the received amount equals the face value")
    enough = this.uses(coin(1000, MINI)).makes(coin(1000, ALICE))
    enough = dataclasses.replace(
        enough, commands=(*enough.commands[1:], SignedCommand(PAY, (MEGA, MINI)))
    )
    enough.accepts()


def test_no_payment_counts_for_something_else_too() -> None:
    for settles in ("", obligation.NAME):
        said = (SignedCommand(cash.Move(settles), (MEGA,)), REDEEMED.commands[1])
        this = dataclasses.replace(REDEEMED, commands=said)
        this.fails_with(f"all cash of the transaction moves for {NAME}")
    issued = (SignedCommand(cash.Issue(), (MEGA,)), REDEEMED.commands[1])
    this = given(paper(ALICE)).makes(coin(1000, ALICE)).around(NOW + 8 * DAY)
    dataclasses.replace(this, commands=issued).fails_with("who is paid gets cash that moves")
    both = (*issued, SignedCommand(PAY, (MEGA,)))
    dataclasses.replace(this, commands=both).fails_with("who is paid gets cash that moves")


def test_who_is_paid_brings_no_cash() -> None:
    this = given(paper(ALICE), coin(1000, ALICE)).makes(coin(1000, ALICE))
    this = this.says(PAY, ALICE).says(Redeem(), ALICE).around(NOW + 8 * DAY)
    this.fails_with("who is paid brings no cash")


# --- random transactions ----------------------------------------------------------------------


def oracle(this: Given) -> bool:
    """Whether the papers of a transaction are right, told another way: paper by paper, looking for
    what became of it. Slow, and shares nothing with the contract."""
    said = [c for c in this.commands if isinstance(c.value, Issue | Move | Redeem)]
    if len(said) != 1:
        return False
    act, signed = said[0].value, said[0].signers
    ins = [p for p in this.ins if isinstance(p, CommercialPaper)]
    outs = [p for p in this.outs if isinstance(p, CommercialPaper)]

    def alike(one: CommercialPaper, other: CommercialPaper) -> bool:
        return one == CommercialPaper(
            other.issuance, one.owner, other.face_value, other.payable_in, other.matures
        )

    for some in (ins, outs):
        if any(alike(a, b) for n, a in enumerate(some) for b in some[n + 1 :]):
            return False
    if isinstance(act, Issue):
        if ins or this.time is None or this.time.until is None:
            return False
        return all(
            p.issuance.key in signed and p.face_value.units > 0 and this.time.until < p.matures
            for p in outs
        )
    if any(p.owner not in signed for p in ins):
        return False
    if isinstance(act, Move):
        return len(ins) == len(outs) and all(any(alike(i, o) for o in outs) for i in ins)
    if outs or this.time is None or this.time.since is None:
        return False
    if any(this.time.since < p.matures for p in ins):
        return False
    coins_out = [c for c in this.outs if isinstance(c, cash.Cash)]
    for owner in {p.owner for p in ins}:
        got = [(c.issuer, c.amount.currency) for c in coins_out if c.owner == owner]
        due = [(p.payable_in, p.face_value.currency) for p in ins if p.owner == owner]
        for token in {*got, *due}:
            paid = sum(
                c.amount.units
                for c in coins_out
                if c.owner == owner and (c.issuer, c.amount.currency) == token
            )
            owed = sum(
                p.face_value.units
                for p in ins
                if p.owner == owner and (p.payable_in, p.face_value.currency) == token
            )
            if paid != owed or (token in got) != (token in due):
                return False
        if any(isinstance(c, cash.Cash) and c.owner == owner for c in this.ins):
            return False
    moves = [c.value.settles for c in this.commands if isinstance(c.value, cash.Move)]
    if any(isinstance(c.value, cash.Issue) for c in this.commands):
        return False
    return bool(moves) and all(settles == NAME for settles in moves)


papers = st.builds(
    paper,
    st.sampled_from([ALICE, BOB]),
    st.sampled_from([b"\x01", b"\x02"]),
    st.sampled_from([0, 1, 1, 2]),
    st.sampled_from([MATURES, MATURES + DAY]),
    st.sampled_from([AT_MEGA, AT_MINI]),
)
coins = st.builds(
    coin,
    st.integers(1, 2),
    st.sampled_from([ALICE, BOB, CHARLIE]),
    st.sampled_from([AT_MEGA, AT_MINI]),
)
said = st.builds(
    SignedCommand,
    st.sampled_from([Issue(), Move(), Redeem(), PAY, PAY, cash.Move()]),
    st.sets(st.sampled_from([ALICE, BOB, MEGA]), min_size=1).map(lambda k: tuple(sorted(k))),
)
times = st.sampled_from([NOW, MATURES, MATURES + DAY, MATURES + 2 * DAY])


@st.composite
def transactions(draw: st.DrawFn) -> Given:
    """Half of them nearly right: what is used is moved or paid, and then one thing may be wrong."""
    ins = draw(st.lists(papers, max_size=2))
    act = draw(st.sampled_from([Issue(), Move(), Redeem(), None]))
    since = draw(times)
    this = Given().within(since, since + DAY / 2)
    everybody = (ALICE, BOB, MEGA)
    if act is None:
        this = this.uses(*ins).makes(*draw(st.lists(papers | coins, max_size=3)))
        this = this.uses(*draw(st.lists(coins, max_size=1)))
        return dataclasses.replace(this, commands=tuple(draw(st.lists(said, max_size=3))))
    if isinstance(act, Issue):
        this = this.makes(*ins)
    else:
        this = this.uses(*ins)
    if isinstance(act, Move):
        this = this.makes(*[p.with_owner(draw(st.sampled_from([ALICE, CHARLIE])))[1] for p in ins])
    if isinstance(act, Redeem):
        this = this.makes(*[coin(p.face_value.units, p.owner, p.payable_in) for p in ins])
        this = this.says(PAY, CHARLIE)
    this = this.says(act, *everybody)
    if draw(st.booleans()):
        part = draw(st.sampled_from(["ins", "outs", "commands"]))
        kept = list(getattr(this, part))
        if kept and draw(st.booleans()):
            del kept[draw(st.integers(0, len(kept) - 1))]
        else:
            kept.append(draw(said if part == "commands" else papers | coins))
        this = dataclasses.replace(this, **{part: tuple(kept)})
    return this


@settings(max_examples=200, deadline=None)
@drawn(transactions())
def test_whatever_is_drawn_is_judged_as_by_the_oracle(this: Given) -> None:
    assert this.is_accepted(NAME) == oracle(this)
