"""Finality in two phases: all have it or nobody, and who is left in between finds out."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.ledger.notary.requests import Claim
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger import finality_flow as finality
from flowrt.stdlib.ledger.finality_flow import RecoverTransaction_v1, Sealed, Unsealed
from flowrt.stdlib.ledger.parts_flow import StateRef
from tests.ledger.market import ALICE, BOB, CAROL, DAY_US, Market
from tests.runtime.crashes import Power, Start, World, every_crash

HALF_A_MINUTE = datetime.timedelta(seconds=30)


def begun(market: Market) -> StateRef:
    """A deal of alice's alone."""
    return StateRef(market.do("alice", "Start", words="tea"), 0)


def settle(market: Market, *told: Any, before: StateRef | None = None, **more: Any) -> Start:
    return market.start(
        "alice",
        "Settle",
        signers=more.pop("signers", ()),
        told=told,
        before=begun(market) if before is None else before,
        patience=HALF_A_MINUTE,
    )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("validating", [False, True])
def test_cs_180_all_have_it_in_the_end(kind: str, validating: bool, tmp_path: Path) -> None:
    folder = tmp_path if kind == "sqlite" else None
    with Market("alice", "bob", "carol", folder=folder, validating=validating) as market:
        id = market.end(settle(market, BOB, CAROL, signers=(BOB,)))
        assert {"alice", "bob", "carol"} <= market.has(id)
        market.nothing_is_left()


def test_what_needs_no_notary_is_recorded_and_sent() -> None:
    with Market("alice", "bob") as market:
        id = market.do("alice", "Agree", others=(BOB,), words="tea")
        assert market.has(id) == {"alice", "bob"}
        assert not any(isinstance(what, Unsealed | Sealed) for _, what in market.said)
        market.nothing_is_left()


def test_cs_181_who_takes_part_must_be_told() -> None:
    with Market("alice", "bob") as market:
        with pytest.raises(finality.NotCovered) as found:
            market.end(settle(market, signers=(BOB,)))
        assert found.value.who == BOB
        market.nothing_is_left()


def test_nobody_is_told_twice_and_nobody_tells_himself() -> None:
    with Market("alice", "bob") as market:
        before = begun(market)
        for told in ((BOB, BOB), (ALICE,)):
            with pytest.raises(finality.IllegalSession):
                market.end(settle(market, *told, before=before))


def used_up(market: Market, ref: StateRef) -> None:
    """Have the notary's book say that something else has used it up."""
    notary = market.local.identity("notary")
    other = Claim(b"x" * 32, (ref,), (), None, None, notary, "mallory", b"", False)
    kept: Any = market.local.ledgers["notary"].notaries
    kept._notary.desk.decide([other])


def test_a_conflict_reaches_all_and_nothing_is_recorded() -> None:
    with Market("alice", "bob", "carol") as market:
        ref = begun(market)
        used_up(market, ref)
        with pytest.raises(core.NotaryConflict) as found:
            market.end(settle(market, BOB, CAROL, before=ref, signers=(BOB,)))
        assert [one.ref for one in found.value.conflicts] == [ref]
        for name in ("bob", "carol"):
            told = market.ended(name, "deals.Told")
            assert isinstance(told, core.NotaryConflict)
            assert told.conflicts == found.value.conflicts
        market.nothing_is_left()


def test_cs_184_an_observer_that_is_away_holds_up_nobody_and_hears_of_it_later() -> None:
    with Market("alice", "bob", "carol") as market:
        ref = begun(market)
        market.world.network.down = {"carol"}
        started = settle(market, BOB, CAROL, before=ref)
        market.world.run(40_000_000)
        assert "bob" in market.has(_latest(market))
        market.world.run(10 * DAY_US // 24)
        market.world.network.down = set()
        market.world.run(DAY_US)
        assert market.end(started) == _latest(market)
        assert market.has(_latest(market)) >= {"alice", "bob", "carol"}
        market.nothing_is_left()


def _latest(market: Market) -> bytes:
    rows = market.world.rows("alice", "SELECT id FROM ledger_transaction ORDER BY number DESC")
    return bytes(rows[0][0])


def until(market: Market, holds: Callable[[], bool]) -> None:
    """Go on in small steps until something holds."""
    for _ in range(1_000):
        if holds():
            return
        if not market.world.tick():
            market.world.now_us += 1_000_000
    raise AssertionError("it never comes true")


def left_in_flight(market: Market, is_used_up: bool = False) -> tuple[StateRef, bytes]:
    """Bob has it in flight, and alice's flow is killed before the notary is asked."""
    ref = begun(market)
    market.world.network.down = {"notary"}
    started = settle(market, BOB, before=ref, signers=(BOB,))
    until(market, lambda: bool(market.vault("bob", "in_flight", 1)))
    id = market.vault("bob", "in_flight", 1)[0].id_
    market.world.run(5_000_000)
    market.world.node("alice").submit_kill(started.id, by="ops", reason="gone")
    if is_used_up:
        used_up(market, ref)
    market.world.network.down = set()
    market.world.run(DAY_US)
    return ref, id


def test_cs_184_who_was_left_asks_and_it_stays_in_flight_if_nobody_knows() -> None:
    with Market("alice", "bob") as market:
        _, id = left_in_flight(market)
        assert isinstance(market.ended("bob", "deals.Told"), core.NotNotarised)
        assert market.vault("bob", "is_in_flight", id)
        # It is finished by whoever wants it finished, and the other finds out.
        for name, peer, finish in (("bob", ALICE, True), ("alice", BOB, False)):
            found = market.do(name, RecoverTransaction_v1, transaction=id, peer=peer, finish=finish)
            assert found.id == id
            assert name in market.has(id)


def test_who_was_left_forgets_it_if_the_notary_refuses_it() -> None:
    with Market("alice", "bob") as market:
        _, id = left_in_flight(market, is_used_up=True)
        if market.vault("bob", "is_in_flight", id):
            with pytest.raises(core.NotaryConflict):
                market.do("bob", RecoverTransaction_v1, transaction=id, peer=ALICE, finish=True)
        assert not market.vault("bob", "is_in_flight", id)
        assert not market.has(id)


def test_who_lost_a_transaction_gets_it_from_another_who_takes_part() -> None:
    with Market("alice", "bob", "carol") as market:
        id = market.do("alice", "Agree", others=(BOB,), words="tea")
        with pytest.raises(core.UnknownTransaction):
            market.do("carol", RecoverTransaction_v1, transaction=id, peer=BOB, finish=False)
        assert market.has(id) == {"alice", "bob"}


def test_waiting_for_a_transaction_ends_when_it_is_recorded() -> None:
    with Market("alice", "bob") as market:
        with Market("alice", "bob") as same:
            id = same.do("alice", "Agree", others=(BOB,), words="tea")
        waiting = market.start("bob", "Wait", wanted=id)
        market.world.run()
        assert not market.has(id)
        assert market.do("alice", "Agree", others=(BOB,), words="tea") == id
        assert market.end(waiting) == id
        assert market.do("alice", "Wait", wanted=id) == id


def test_finality_survives_a_crash_at_every_commit() -> None:
    def build(power: Power) -> World:
        market = Market("alice", "bob", power=power)
        settle(market, BOB, signers=(BOB,))
        power.market = market  # type: ignore[attr-defined]
        return market.world

    def observe(world: World) -> set[str]:
        power: Any = world.power
        market: Market = power.market
        market.nothing_is_left()
        return market.has(_latest(market))

    for power, seen in every_crash(build, observe):
        assert seen == {"alice", "bob"}, power


def test_another_transaction_than_the_expected_one_is_refused() -> None:
    """Alice collects bob's signature for one deal, and hands out another."""
    with Market("alice", "bob") as market:
        market.do("alice", "Cheat", other=BOB)
        assert isinstance(market.ended("bob", "deals.Cheated"), core.WrongTransaction)
        assert market.rows("bob", "ledger_transaction") == 0
        market.nothing_is_left()


def test_a_seal_that_is_none_leaves_it_in_flight_until_the_notary_is_asked() -> None:
    with Market("alice", "bob") as market:
        ref = begun(market)
        assert market.do("alice", "Forge", other=BOB, before=ref) == "sent"
        assert isinstance(market.ended("bob", "deals.Forged"), core.NotNotarised)
        assert len(market.vault("bob", "in_flight", 10)) == 1
