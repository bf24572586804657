"""A thousand worlds, two thousand in a campaign: random programs and the examples' flows, with
everything that goes wrong."""

from __future__ import annotations

import itertools

import pytest

from flowrt.sim import Violation, campaign, play
from tests.simulation import ledger, programs, stories

EACH, EACH_OF_CAMPAIGN = 50, 100
"""Worlds of each example."""

LEDGER = 10
"""Worlds of the ledger."""

RESTORED = 12
"""And so many in which a disk goes back."""

PROGRAMS, WORLDS, WORLDS_OF_CAMPAIGN = 100, 7, 16
CHUNKS = 10


def hold(figures: campaign.Figures) -> None:
    assert not figures.violated, figures.as_text()


@pytest.mark.parametrize("kind", [stories.Trade, stories.Channel, stories.Loan, stories.Purchase])
@pytest.mark.parametrize(
    "worlds", [EACH, pytest.param(EACH_OF_CAMPAIGN, marks=pytest.mark.campaign)]
)
def test_the_examples_keep_their_promises(kind: type, worlds: int) -> None:
    hold(campaign.run([kind()], worlds, processes=1))


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize(
    "worlds", [WORLDS, pytest.param(WORLDS_OF_CAMPAIGN, marks=pytest.mark.campaign)]
)
def test_programs_do_what_the_reference_says(chunk: int, worlds: int) -> None:
    found = list(itertools.islice(programs.stories(chunk * 1_000), PROGRAMS // CHUNKS))
    figures = campaign.run(found, worlds * len(found), first=chunk * 1_000, processes=1)
    hold(figures)
    assert 2 * sum(story.made.expected is not None for story in found) >= len(found)
    assert figures.most_in_flight >= 4
    assert len(figures.troubles) > 25


def test_the_ledger_is_right_in_every_world() -> None:
    figures = campaign.run([ledger.Town()], LEDGER, processes=1)
    hold(figures)
    assert figures.outcomes["finance.cash.CashPayment_v1", ""] > LEDGER // 2
    assert figures.outcomes["market.Buy_v1", ""] > 0


def test_the_ledger_is_right_when_a_disk_goes_back() -> None:
    figures = campaign.run([ledger.RestoredTown()], RESTORED, processes=1)
    hold(figures)
    assert figures.outcomes["ledger.finality.RecoverTransaction_v1", ""] > 0


# --- the judges can be unhappy --------------------------------------------------------------------


def test_money_that_nobody_asks_for_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.RestoredTown, "fetch", lambda town, world: False)
    played = (play(ledger.RestoredTown(), seed).violation for seed in range(RESTORED))
    assert any(one is not None and one.invariant == "L13" for one in played)


def violations(story: object, worlds: int) -> list[str]:
    found = [play(story, seed).violation for seed in range(worlds)]  # type: ignore[arg-type]
    return [f"{one.invariant}: {one.text}" for one in found if one is not None]


def test_a_program_that_does_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    story = next(
        story
        for story in programs.stories()
        if story.made.expected and any(flown.journal for flown in story.made.expected.flows)
    )
    monkeypatch.setattr(programs.Desk, "note", lambda desk, tx, line: None)
    [first, *_] = violations(programs.ProgramStory(story.number), 5)
    assert first.startswith("I7: ")
    assert "only in the expected run" in first


def test_a_notary_that_seals_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.Trade()
    register = story.app.register.Register

    def careless(self: object, tx: object, sealed: object) -> None:
        [row] = tx.execute("SELECT count(*) FROM register_sealed")  # type: ignore[attr-defined]
        transaction = sealed.transaction  # type: ignore[attr-defined]
        made = register.__dict__["_enter"].__globals__
        tx.execute(  # type: ignore[attr-defined]
            "INSERT INTO register_sealed VALUES (?, ?)",
            (b"%d" % row[0] + made["id_of"](transaction), made["to_bytes"](sealed)),
        )

    monkeypatch.setattr(register, "_enter", careless)
    assert violations(story, 40)


def test_a_wallet_that_pays_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.Channel()
    wallet = story.app.wallet.Wallet
    take_out = wallet.take_out

    def twice(self: object, tx: object, division: object) -> int:
        take_out(self, tx, division)
        return int(take_out(self, tx, division))

    monkeypatch.setattr(wallet, "take_out", twice)
    assert any(one.startswith("I10") for one in violations(story, 20))


def test_a_lender_that_keeps_what_it_held_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.Loan()
    treasury = story.app.treasury.Treasury
    monkeypatch.setattr(treasury, "release", lambda self, tx, units: None)
    assert any("holds" in one for one in violations(story, 20))


def test_a_shop_that_does_not_ship_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.Purchase()
    warehouse = story.app.warehouse
    monkeypatch.setattr(
        warehouse.Warehouse, "ship", lambda self, tx, sku, count, to: tx.now + warehouse.TWO_WEEKS
    )
    assert any(one.startswith("I8") for one in violations(story, 20))


# --- campaigns ------------------------------------------------------------------------------------


class Canary(stories.Purchase):
    """Not right in one world of a hundred."""

    name = "canary"

    def judge(self, world: object) -> None:
        if world.tape.seed % 100 == 17:  # type: ignore[attr-defined]
            raise Violation("canary", "it sings")


def test_a_campaign_finds_what_is_seldom() -> None:
    figures = campaign.run([Canary()], 300, processes=2)
    assert figures.worlds == 300
    assert sorted((one.seed, one.invariant) for one in figures.violations) == [
        (17, "canary"),
        (117, "canary"),
        (217, "canary"),
    ]
    assert "canary, seed 117: canary: it sings" in figures.as_text()


def test_a_campaign_is_the_same_in_any_number_of_processes() -> None:
    one, two = [campaign.run([stories.Purchase()], 120, processes=n) for n in (1, 2)]
    for figures in (one, two):
        figures.seconds = 1.0
    assert one.as_json() == two.as_json()


def test_cells_that_never_happened_are_named() -> None:
    figures = campaign.one(stories.Purchase(), 1)
    wanted = [("crash", "nobody"), ("commit crash before", "Reject")]
    assert figures.missing(wanted) == wanted
    text = figures.as_text(wanted)
    assert "never: crash, nobody" in text
    assert "cells                             0 of 2" in text
    assert len(set(campaign.sometimes())) == len(campaign.sometimes()) > 120
