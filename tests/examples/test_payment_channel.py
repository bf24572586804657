"""The payment channel of examples/payment_channel: its end, whoever stops, crashes, cheats."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowrt.core.flow import FlowError, Party
from flowrt.finance import cash
from flowrt.ledger.keys import ED25519, SigningKey
from flowrt.stdlib.ledger.core_flow import InsufficientBalance
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, Issuer, StateRef, TimeWindow
from flowrt.stdlib.ledger.vault_flow import StateQuery
from tests.examples.ledgered import DAY_US, LedgerWorld
from tests.examples.loaded import loaded
from tests.runtime.crashes import HOUR_US, START_US, Power, every_crash

COINS, DEPOSIT = 1_500, 100
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with loaded("payment_channel", "channel", tmp_path_factory.mktemp("channel")) as found:
        yield found


Lies = Callable[[str, Any, dict[str, object]], None]


class Street(LedgerWorld):
    """The reader pays the newspaper as its application says: `wanted` are the totals, one after the
    other, and a finish behind them if it is to finish. `lie` may put other services in place."""

    def __init__(
        self,
        app: SimpleNamespace,
        wanted: list[int],
        *,
        finish: bool = True,
        lie: Lies | None = None,
        coins: int = COINS,
        **options: Any,
    ) -> None:
        def own(local: Any, ledger: Any) -> dict[str, object]:
            money = Issuer(local.key("mint"), b"\x01")
            found: dict[str, object] = {"Deposits": app.deposits.Deposits(ledger, [money])}
            if lie is not None:
                [name] = [name for name, one in local.ledgers.items() if one is ledger]
                lie(name, ledger, found)
            return found

        self.app = app
        self.flow = app.flow
        self.wanted = wanted
        self.finish = finish
        self.channel: Any = None
        super().__init__(("reader", "newspaper"), (cash,), app.flow, own, **options)
        self.give("reader", coins)
        self.channel = self.open()

    def open(self, units: int = DEPOSIT, hours: int = 24, money: Issuer | None = None) -> Any:
        return self.start(
            "reader",
            self.flow.Channel_v1,
            payee=Party("newspaper"),
            deposit=Amount(units, "EUR"),
            money=money or self.money,
            open_for=datetime.timedelta(hours=hours),
        )

    def tick(self) -> bool:
        return super().tick() or (self.channel is not None and self._command())

    def _command(self) -> bool:
        """What the application does when all is quiet: say what is not done yet, even if it was
        said before, because nobody knows what a crash took."""
        if "reader" not in self.members or not (self.wanted or self.finish):
            return False
        handle = self.handle(self.channel)
        if handle.outcome is not None:
            return False
        [state] = [one.state for one in self.node("reader").flows() if one.id == handle.id]
        if state != "AwaitPayOrFinishOrSettled":
            return False
        paid = max(self.balances(), default=0)
        due = [total for total in self.wanted if total > paid]
        if not due and not self.finish:
            return False
        message = self.flow.Pay(due[0]) if due else self.flow.Finish()
        self.node("reader").submit_command(handle.id, message)
        return True

    def balances(self) -> list[int]:
        """What the reader's application has heard, from the beginning."""
        heard, number = [], 0
        while True:
            number, letter = self.node("reader").mail(self.channel.id, number)
            if letter is None or isinstance(letter, Exception):
                return heard
            heard.append(letter.paid)  # type: ignore[attr-defined]
            number += 1

    def transactions(self) -> int:
        """How many transactions of a channel the reader has: those with a part of both."""
        page = self.vault("reader", "states", StateQuery(consumed=None, size=100))
        shared = [one for one in page.states if one.locked_by is None and self.is_shared(one)]
        used = {one.consumed_by for one in shared} - {None}
        return len(shared) + len(used)

    def is_shared(self, found: Any) -> bool:
        return len(self.vault("reader", "read", found.state.ref).owner.leaves) == 2

    def story(self) -> Any:
        """What may not depend on any crash."""
        self.run(48 * HOUR_US)
        self.nothing_is_left()
        return (
            self.result(self.channel).units,
            self.cash("reader", "newspaper"),
            self.transactions(),
            self.balances()[-1:],
        )


def test_many_payments_are_two_transactions_whoever_crashes(app: SimpleNamespace) -> None:
    with Street(app, [10, 30, 60], restless=True) as world:
        assert world.story() == (40, (COINS - 60, 60), 2, [60])
        assert sum(member.crashes for member in world.members.values()) > 15
        labels = [event.label for event in world.node("newspaper").progress(1)]
        assert "30 received" in labels


@pytest.mark.campaign
@pytest.mark.parametrize("finish", [True, False])
def test_a_crash_at_any_commit_changes_nothing(app: SimpleNamespace, finish: bool) -> None:
    def build(power: Power) -> Street:
        return Street(app, [10, 60], finish=finish, power=power)

    for power, seen in every_crash(build, Street.story):
        assert seen == (40, (COINS - 60, 60), 2, [60]), power


def test_more_than_the_deposit_is_not_paid(app: SimpleNamespace) -> None:
    with Street(app, [10], finish=False) as world:
        world.run(HOUR_US)
        for total in (DEPOSIT + 1, 10, -5):
            world.node("reader").submit_command(world.channel.id, app.flow.Pay(total))
        world.finish = True
        world.run()
        assert world.balances() == [10, 10, 10, 10]
        assert world.cash("reader", "newspaper") == (COINS - 10, 10)


def test_all_of_the_deposit_is_paid(app: SimpleNamespace) -> None:
    with Street(app, [DEPOSIT]) as world:
        assert world.story() == (0, (COINS - DEPOSIT, DEPOSIT), 2, [DEPOSIT])


def test_a_reader_who_stops_has_paid_what_was_paid(app: SimpleNamespace) -> None:
    with Street(app, [10, 30], finish=False) as world:
        world.run(HOUR_US)
        gone = world.leave("reader")
        world.run(48 * HOUR_US)
        assert world.cash("newspaper") == (30,)
        # The rest was made for it, and is handed over when it is back.
        world.back(gone)
        assert world.story()[:3] == (70, (COINS - 30, 30), 2)


def test_an_owner_who_says_nothing_more_pays_what_was_paid(app: SimpleNamespace) -> None:
    with Street(app, [10], finish=False, restless=True) as world:
        assert world.story() == (90, (COINS - 10, 10), 2, [10])


def test_a_newspaper_that_stops_gets_nothing_and_the_deposit_comes_back(
    app: SimpleNamespace,
) -> None:
    with Street(app, [10, 30], finish=False) as world:
        world.run(HOUR_US)
        gone = world.leave("newspaper")
        world.wanted.append(50)
        assert world.cash("reader") == (COINS - DEPOSIT,)
        world.run(48 * HOUR_US)
        assert world.result(world.channel) == Amount(DEPOSIT, "EUR")
        assert world.cash("reader") == (COINS,)
        # Its claim is worth nothing any more, and it is told why.
        world.back(gone)
        world.run(HOUR_US)
        assert world.cash("reader", "newspaper") == (COINS, 0)
        world.nothing_is_left()


def test_where_nothing_was_paid_all_comes_back(app: SimpleNamespace) -> None:
    with Street(app, []) as world:
        assert world.story()[:3] == (DEPOSIT, (COINS, 0), 2)


def test_a_newspaper_that_never_answers_costs_nothing(app: SimpleNamespace) -> None:
    with Street(app, [10]) as world:
        gone = world.leave("newspaper")
        world.run(HOUR_US)
        with pytest.raises(FlowError, match="did not come in time"):
            world.result(world.channel)
        assert world.cash("reader") == (COINS,)
        world.back(gone)
        world.run(2 * HOUR_US)
        world.nothing_is_left()


def test_terms_that_are_refused(app: SimpleNamespace) -> None:
    with Street(app, []) as world:
        stranger = Issuer(world.local.key("reader"), b"\x01")
        for opening in (
            world.open(units=0),
            world.open(hours=2),
            world.open(money=stranger),
        ):
            world.ends(opening, app.flow.BadTerms)
        world.ends(world.open(units=COINS + 1), InsufficientBalance)


# --- who is gone with what the other needs --------------------------------------------------------


def test_who_claimed_and_went_away_is_waited_for(app: SimpleNamespace) -> None:
    with Street(app, [10]) as world:
        while not world.cash("newspaper")[0]:
            assert world.tick()
        gone = world.leave("newspaper")
        # The refund is refused: the coin was used up, and only the newspaper knows by what.
        world.run(25 * HOUR_US)
        [view] = world.node("reader").flows()
        assert view.flow.endswith("Channel_v1")
        world.back(gone)
        assert world.story()[:3] == (90, (COINS - 10, 10), 2)


def test_who_claimed_and_never_tells_is_shown_to_people(app: SimpleNamespace) -> None:
    with Street(app, [10]) as world:
        while not world.cash("newspaper")[0]:
            assert world.tick()
        gone = world.leave("newspaper")
        world.run(72 * HOUR_US)
        [patient] = world.node("reader").hospital()
        assert "does not say how much" in patient.cause
        world.back(gone)
        world.node("reader").submit_retry(patient.flow_id, by="kim", reason="they are back")
        assert world.story()[:3] == (90, (COINS - 10, 10), 2)


def test_a_reader_whose_clock_is_fast_waits_for_the_notarys(app: SimpleNamespace) -> None:
    with Street(app, [10], finish=False) as world:
        world.run(HOUR_US)
        world.leave("newspaper")
        world.local._clock = lambda: world.now_us - 600_000_000
        world.run(START_US + DAY_US + 300_000_000 - world.now_us)
        assert world.outcome(world.channel) is None
        world.run(HOUR_US)
        assert world.result(world.channel).units == DEPOSIT
        assert world.now_us >= START_US + DAY_US + 600_000_000


# --- cheats ---------------------------------------------------------------------------------------


class Forger:
    """Keys that sign a claim with another key than that of the channel, from the second one on."""

    def __init__(self, honest: Any) -> None:
        self._honest = honest
        self._claims = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def sign_with(self, tx: Any, transaction: Any, keys: Any) -> Any:
        self._claims += 1
        other = [self._honest.me(tx).key]
        return self._honest.sign_with(tx, transaction, other if self._claims == 2 else keys)


def test_a_forged_claim_is_not_taken(app: SimpleNamespace) -> None:
    def lie(name: str, ledger: Any, services: dict[str, object]) -> None:
        if name == "reader":
            services["ledger.keys.Keys"] = Forger(ledger.keys)

    with Street(app, [10, 30], lie=lie) as world:
        # What was good before is claimed.
        assert world.story()[:3] == (90, (COINS - 10, 10), 2)


@pytest.mark.parametrize("what", ["amount", "payer"])
def test_a_deposit_that_is_not_what_was_agreed(app: SimpleNamespace, what: str) -> None:
    class Liar(app.deposits.Deposits):  # type: ignore[name-defined,misc]
        def lock(self, tx: Any, payer: Any, payee: Any, amount: Any, *rest: Any) -> Any:
            if what == "payer":
                return super().lock(tx, payee, payee, amount, *rest)
            found = super().lock(tx, payer, payee, Amount(amount.units - 1, "EUR"), *rest)
            values = [getattr(found.deposit, name) for name in found.deposit.__struct_fields__]
            values[1] = amount
            return type(found)(found.transaction, type(found.deposit)(*values))

    def lie(name: str, ledger: Any, services: dict[str, object]) -> None:
        if name == "reader":
            services["Deposits"] = Liar(ledger, [])

    with Street(app, [10], lie=lie) as world:
        world.run(48 * HOUR_US)
        [refused] = [
            world.node("newspaper").handle(number)
            for number in (1, 2)
            if isinstance(_error(world, number), (app.flow.NotFunded, app.flow.BadTerms))
        ]
        assert refused is not None
        assert world.cash("newspaper") == (0,)


def _error(world: Street, number: int) -> Exception | None:
    try:
        world.node("newspaper").handle(number).result_now()
    except (FlowError, KeyError) as error:
        return error
    return None


def test_what_nobody_asked_for_is_not_taken(app: SimpleNamespace) -> None:
    with Street(app, []) as world:
        world.run(HOUR_US)
        world.give("reader", 7)
        *_, own = world.vault("reader", "states", StateQuery()).states
        telling = world.start(
            "reader", app.flow.Tell_v1, id_=own.state.ref.transaction, other=Party("newspaper")
        )
        world.run()
        world.result(telling)
        assert isinstance(_error(world, 2), app.flow.NotAsked)
        assert not world.vault("newspaper", "has", own.state.ref.transaction)


# --- the splits -----------------------------------------------------------------------------------


def test_at_no_time_is_a_claim_good_and_the_refund_too(app: SimpleNamespace) -> None:
    payer, payee, mint, notary = (
        SigningKey(ED25519, bytes([number]) * 32).public for number in range(1, 5)
    )
    ends = EPOCH + datetime.timedelta(days=20_000)
    deposit = app.flow.Deposit(
        StateRef(bytes(32), 1),
        Amount(DEPOSIT, "EUR"),
        Issuer(mint, b"\x01"),
        Identity(Party("notary"), notary),
        payer,
        payee,
        ends,
        bytes(32),
    )
    refund, claims = app.splits.refund(deposit), [app.splits.claim(deposit, n) for n in (1, 30)]
    assert refund.transaction.window == TimeWindow(ends, None)
    assert {one.transaction.window for one in claims} == {TimeWindow(None, ends)}
    assert {one.inputs for one in (refund, *claims)} == {(deposit.coin,)}
    assert len({one.id for one in (refund, *claims)}) == 3
    # Each side makes the same transaction from the same facts.
    assert app.splits.claim(deposit, 30).id == claims[1].id
    both = app.splits.owner_of(payer, payee)
    assert both == app.splits.owner_of(payee, payer)
    assert not both.is_fulfilled_by({payer})
    assert both.is_fulfilled_by({payer, payee})


def test_the_demo(app: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asyncio.run(app.pay.show(tmp_path, payments=8))
    assert found == {"reader": 8_000 - 24 + 5_000}
    out = capsys.readouterr().out
    assert "one transaction of 8 payments; 49.76 EUR came back" in out
    assert "the refund is sealed, 50.00 EUR came back" in out
