"""The channel of tests/examples/small_channel: its end, whoever stops, crashes, cheats."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flowrt.core.flow import FlowError, Party
from tests.examples.loaded import loaded
from tests.runtime.crashes import HOUR_US, Member, Power, World, every_crash

COINS, DEPOSIT = 1_500, 100
BOB = Party("bob")
PARTIES = ("alice", "bob")
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in PARTIES}
PUBLIC = {name: key.public_key().public_bytes_raw() for name, key in KEYS.items()}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with loaded("small_channel", "channel", tmp_path_factory.mktemp("channel")) as found:
        yield found


class Street(World):
    """Alice pays bob as her application says: `wanted` are the totals, one after the other, and a
    finish behind them if it is to finish."""

    def __init__(
        self,
        app: SimpleNamespace,
        wanted: list[int],
        *,
        finish: bool = True,
        deposit: int = DEPOSIT,
        wallet: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(reload=True, **options)
        self.app = app
        self.ledger = app.ledger.Ledger(PUBLIC, self.now)
        self.wanted = wanted
        self.finish = finish
        self.away: dict[str, Member] = {}
        wallet = wallet or app.wallet.Wallet
        for name in PARTIES:
            coins = COINS if name == "alice" else 0
            kind = app.wallet.Wallet if name == "bob" else wallet
            self.add(
                name,
                [app.flow],
                lambda name=name, coins=coins, kind=kind: {  # type: ignore[misc]
                    "Wallet": kind(KEYS[name], PUBLIC, coins),
                    "Ledger": self.ledger,
                },
            )
        hours = datetime.timedelta(hours=24)
        self.channel = self.start(
            "alice", app.flow.Channel_v1, payee=BOB, deposit=deposit, open_for=hours
        )

    def now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.now_us / 1_000_000, datetime.UTC)

    def run(self, horizon_us: int = 48 * HOUR_US, limit: int = 100_000) -> None:
        super().run(horizon_us, limit)

    def tick(self) -> bool:
        return super().tick() or ("alice" in self.members and self._command())

    def _command(self) -> bool:
        """What the application does when all is quiet: say what is not done yet, even if it was
        said before, because nobody knows what a crash took."""
        handle = self.handle(self.channel)
        if handle.outcome is not None or not (self.wanted or self.finish):
            return False
        if self.node("alice").flows()[0].state != "AwaitPayOrFinishOrSettled":
            return False
        flow = self.app.flow
        paid = max(self.balances(), default=0)
        due = [total for total in self.wanted if total > paid]
        if not due and not self.finish:
            return False
        message = flow.Pay(due[0]) if due else flow.Finish()
        self.node("alice").submit_command(handle.id, message)
        return True

    def balances(self) -> list[int]:
        """What alice's application has heard, from the beginning."""
        heard, number = [], 0
        while True:
            number, letter = self.node("alice").mail(self.channel.id, number)
            if letter is None or isinstance(letter, Exception):
                return heard
            heard.append(letter.paid)  # type: ignore[attr-defined]
            number += 1

    def leave(self, party: str) -> None:
        """From now on the party hears and does nothing."""
        self.away[party] = self.members.pop(party)

    def come_back(self) -> None:
        self.members |= self.away
        self.away.clear()

    def coins(self) -> tuple[int, int]:
        return tuple(  # type: ignore[return-value]
            self.rows(name, "SELECT units FROM wallet_coins")[0][0] for name in PARTIES
        )

    def story(self) -> Any:
        """What may not depend on any crash."""
        divided = [division.to_payee for division in self.ledger.divisions.values()]
        return (
            self.result(self.channel),
            self.coins(),
            divided,
            self.residue(),
            self.balances()[-1:],
        )


def test_many_payments_are_one_division(app: SimpleNamespace) -> None:
    with Street(app, [10, 30, 60]) as world:
        world.run()
        assert world.balances() == [10, 30, 60]
        assert world.story()[:3] == (40, (1_440, 60), [60])
        assert world.node("bob").handle(1).result_now() == 60
        labels = [event.label for event in world.node("bob").progress(1)]
        assert labels[:4] == ["Looking at the refund", "0 received", "10 received", "30 received"]


def test_a_crash_at_any_commit_changes_nothing(app: SimpleNamespace) -> None:
    def build(power: Power) -> Street:
        return Street(app, [10, 60], power=power)

    stories = [(power, world) for power, world in every_crash(build, Street.story)]
    assert len(stories) > 30
    for power, story in stories:
        assert story == stories[0][1], power


def test_more_than_the_deposit_is_not_paid(app: SimpleNamespace) -> None:
    with Street(app, [10], finish=False) as world:
        world.run(HOUR_US)
        for total in (DEPOSIT + 1, 10, -5):
            world.node("alice").submit_command(world.channel.id, app.flow.Pay(total))
        world.finish = True
        world.run()
        assert world.balances() == [10, 10, 10, 10]
        assert world.coins() == (1_490, 10)


def test_a_payer_who_stops_has_paid_what_was_paid(app: SimpleNamespace) -> None:
    with Street(app, [10, 30], finish=False) as world:
        world.run(HOUR_US)
        world.leave("alice")
        world.run()
        assert [one.to_payee for one in world.ledger.divisions.values()] == [30]
        world.come_back()
        world.run()
        assert world.story()[:3] == (70, (1_470, 30), [30])


def test_an_owner_who_says_nothing_more_pays_what_was_paid(app: SimpleNamespace) -> None:
    def build(power: Power) -> Street:
        return Street(app, [10], finish=False, power=power)

    for power, story in every_crash(build, Street.story):
        assert story[:3] == (90, (1_490, 10), [10]), power


def test_a_payee_who_stops_gets_nothing_after_that(app: SimpleNamespace) -> None:
    with Street(app, [10, 30], finish=False) as world:
        world.run(HOUR_US)
        world.leave("bob")
        world.wanted.append(50)
        world.run()
        assert world.result(world.channel) == DEPOSIT
        assert [one.to_payee for one in world.ledger.divisions.values()] == [0]
        # It wakes up when the refund is in the ledger: the first one counts, and both know it.
        world.come_back()
        world.run()
        assert world.coins() == (COINS, 0)


def test_a_payee_who_never_answers_costs_nothing(app: SimpleNamespace) -> None:
    with Street(app, [10]) as world:
        world.leave("bob")
        world.run()
        with pytest.raises(FlowError, match="did not come in time"):
            world.result(world.channel)
        world.come_back()
        assert world.coins() == (COINS, 0)
        assert world.ledger.locks == {}


def test_who_has_not_enough_opens_no_channel(app: SimpleNamespace) -> None:
    with Street(
        app, [10], wallet=lambda key, public, _: app.wallet.Wallet(key, public, 5)
    ) as world:
        world.run()
        with pytest.raises(app.flow.NotEnough):
            world.result(world.channel)
        assert world.ledger.locks == {}


def test_a_forged_claim_is_not_taken(app: SimpleNamespace) -> None:
    class Forger(app.wallet.Wallet):  # type: ignore[name-defined,misc]
        def sign(self, tx: Any, division: Any) -> bytes:
            signature: bytes = super().sign(tx, division)
            return bytes(64) if division.to_payee == 30 else signature

    with Street(app, [10, 30], wallet=Forger) as world:
        world.run()
        assert [one.to_payee for one in world.ledger.divisions.values()] == [10]
        assert world.coins() == (1_490, 10)


def test_a_thousand_payments_keep_no_more_than_one(app: SimpleNamespace) -> None:
    with Street(app, [], finish=False, deposit=1_000) as world:
        world.run(HOUR_US)
        alice, bob = world.node("alice"), world.node("bob")
        sizes = []
        for total in range(1, 1_001):
            alice.submit_command(world.channel.id, app.flow.Pay(total))
            while world.tick():
                pass
            sizes.append((alice.flows()[0].checkpoint_bytes, bob.flows()[0].checkpoint_bytes))
        # Numbers take more bytes when they are larger; nothing else grows.
        assert all(last <= first + 16 for first, last in zip(sizes[1], sizes[-1], strict=True))
        world.finish = True
        world.run()
        assert world.coins() == (500, 1_000)
