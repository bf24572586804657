"""The swap of examples/interest_rate_swap: date by date to its end; who is away, who has no money,
an oracle that is asked to sign too much."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.finance import cash
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.filtered import filtered
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import Rulebook
from flowrt.ledger.transactions import COMMANDS, SIGNERS, LedgerTransaction, SignedCommand
from flowrt.ledger.transactions import SignedTransaction as Signed
from flowrt.stdlib.ledger.parts_flow import Amount, StateRef
from tests.examples.ledgered import DAY_US, LedgerWorld
from tests.examples.loaded import loaded
from tests.runtime.crashes import START_US, Power, every_crash

INDEX = "EURIBOR 6M"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def day(number: int) -> datetime.datetime:
    return EPOCH + datetime.timedelta(microseconds=START_US + number * DAY_US)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with loaded("interest_rate_swap", "swap", tmp_path_factory.mktemp("swap")) as found:
        yield found


class Pit(LedgerWorld):
    """Two sides, who have 1,000 each, and an oracle; 3.6 % on 10,000 for 100 days at a time."""

    def __init__(self, app: SimpleNamespace, dates: int = 2, **options: Any) -> None:
        def own(local: Any, ledger: Any) -> dict[str, object]:
            return {
                "Swaps": app.book.Swaps(ledger, local.notary),
                "Rates": app.oracle.Rates(ledger, [INDEX]),
            }

        self.app, self.flow = app, app.flow
        super().__init__(("payer", "holder", "oracle"), (cash, app.swaps), app.flow, own, **options)
        for name in ("payer", "holder"):
            self.give(name, 1_000)
        self.terms = app.flow.Terms(
            *map(Party, ("payer", "holder", "oracle")),
            INDEX,
            Amount(10_000, "EUR"),
            self.money,
            36_000,
            day(0),
            tuple(day(100 * (number + 1)) for number in range(dates)),
        )

    def agree(self) -> StateRef:
        agreeing = self.start("payer", self.flow.Agree_v1, terms=self.terms)
        self.answer("holder", "swaps desk", self.flow.SwapDecision_Take())
        found: StateRef = self.result(agreeing)
        return found

    def publish(self, number: int, rate: int) -> None:
        self.do("oracle", self.flow.PublishRate_v1, index=INDEX, date=day(100 * number), rate=rate)

    def both(self) -> tuple[int, ...]:
        return self.cash("payer", "holder")

    def story(self) -> Any:
        """To the end of the swap."""
        self.agree()
        seen = []
        for number, rate in ((1, 26_000), (2, 46_000)):
            self.until(100 * number)
            self.publish(number, rate)
            seen.append(self.both())
        self.nothing_is_left()
        return seen, self.rows("payer", "SELECT count(*) FROM ledger_scheduled")


SETTLED = ([(972, 1_028), (1_000, 1_000)], [(0,)])
"""1 % of 10,000 for 100 of 360 days are 27.78."""


def test_a_swap_goes_from_date_to_date_whoever_crashes(app: SimpleNamespace) -> None:
    with Pit(app, restless=True) as world:
        assert world.story() == SETTLED
        assert sum(member.crashes for member in world.members.values()) > 40


@pytest.mark.campaign
def test_the_same_with_a_crash_at_every_commit(app: SimpleNamespace) -> None:
    def build(power: Power) -> Pit:
        return Pit(app, power=power)

    for power, seen in every_crash(build, Pit.story):
        assert seen == SETTLED, power


def test_nobody_waits_in_between(app: SimpleNamespace) -> None:
    """Between two dates there is no flow: only the state."""
    with Pit(app) as world:
        ref = world.agree()
        world.nothing_is_left()
        world.until(99)
        world.nothing_is_left()
        assert world.vault("holder", "consumer", ref) is None


@pytest.mark.parametrize("away", ["payer", "holder", "oracle"])
def test_one_side_is_away_for_weeks_and_catches_up(app: SimpleNamespace, away: str) -> None:
    with Pit(app) as world:
        ref = world.agree()
        gone = world.leave(away)
        for number in (1, 2):
            world.until(100 * number)
            if away != "oracle":
                world.publish(number, (26_000, 46_000)[number - 1])
        world.until(221)
        assert away in ("payer", "oracle") or world.vault("payer", "consumer", ref) is None
        world.back(gone)
        if away == "oracle":
            world.publish(1, 26_000)
            world.publish(2, 46_000)
        world.run(DAY_US)
        assert world.both() == (1_000, 1_000)
        consumed = [world.vault(name, "consumer", ref) is not None for name in ("payer", "holder")]
        assert consumed == [True, True]
        world.nothing_is_left()
        assert world.rows("payer", "SELECT count(*) FROM ledger_scheduled") == [(0,)]


def test_equal_rates_settle_without_money_and_a_debtor_without_money_waits(
    app: SimpleNamespace,
) -> None:
    with Pit(app) as world:
        world.agree()
        world.until(100)
        world.publish(1, 36_000)
        assert world.both() == (1_000, 1_000)
        world.until(200)
        world.publish(2, 500_000)  # 46.4 % for 100 days are 1,288.89.
        assert world.both() == (1_000, 1_000)
        world.give("holder", 5_000)
        world.run(2 * DAY_US)
        assert world.both() == (2_289, 4_711)
        world.nothing_is_left()


def test_the_desk_does_not_want_it(app: SimpleNamespace) -> None:
    with Pit(app) as world:
        agreeing = world.start("payer", app.flow.Agree_v1, terms=world.terms)
        world.answer("holder", "swaps desk", app.flow.SwapDecision_Leave("too long"))
        world.ends(agreeing, app.flow.NotWanted)
        agreeing = world.start("payer", app.flow.Agree_v1, terms=world.terms)
        world.run(2 * DAY_US)
        world.ends(agreeing, app.flow.NotWanted)
        other = world.start("oracle", app.flow.Agree_v1, terms=world.terms)
        world.ends(other, app.flow.NotAsAgreed)
        world.nothing_is_left()


def test_a_rate_is_published_once_and_only_for_what_is_known(app: SimpleNamespace) -> None:
    with Pit(app) as world:
        world.publish(1, 26_000)
        again = {"index": INDEX, "date": day(100), "rate": 1}
        start = world.start("oracle", app.flow.PublishRate_v1, **again)
        world.ends(start, app.flow.AlreadyPublished)
        again["index"] = "LIBOR"
        start = world.start("oracle", app.flow.PublishRate_v1, **again)
        world.ends(start, app.flow.NoSuchIndex)


# --- the oracle -----------------------------------------------------------------------------------


def test_what_an_oracle_sees_and_what_it_does_not_sign(app: SimpleNamespace) -> None:
    with Pit(app) as world:
        ref = world.agree()
        world.publish(1, 26_000)
        node, ledger = world.node("oracle"), world.local.ledgers["oracle"]
        rates = app.oracle.Rates(ledger, [INDEX])
        oracle, payer = world.local.key("oracle"), world.local.key("payer")
        fix = app.swaps.Fix(INDEX, day(100), 26_000)
        state = world.vault("payer", "state", ref)

        def built(*commands: Any) -> Signed:
            builder = TransactionBuilder().use(state)
            for value, *signers in commands:
                builder.command(value, *signers)
            return Signed(builder.build(bytes(32)))

        good = built((fix, payer, oracle), (app.swaps.Agree(), payer))
        parts = app.oracle.fixing_shown(good)
        assert [sorted(parts.groups[group]) for group in (COMMANDS, SIGNERS)] == [[0], [0, 1]]
        assert {group for group in parts.groups if parts.groups[group]} == {COMMANDS, SIGNERS}
        [signature] = rates.sign(node.reading(), parts)
        assert signature.by == oracle

        def refused(transaction: Signed, shown: Any = None) -> str:
            with pytest.raises(app.flow.NotSigned) as found:
                rates.sign(node.reading(), shown or app.oracle.fixing_shown(transaction))
            return str(found.value)

        other = app.swaps.Fix(INDEX, day(100), 26_001)
        assert "not the rate" in refused(built((other, payer, oracle)))
        later = app.swaps.Fix(INDEX, day(200), 26_000)
        assert "not the rate" in refused(built((later, payer, oracle)))
        assert "something else" in refused(built((fix, payer, oracle), (cash.Move(), oracle)))
        assert "nothing needs" in refused(built((fix, payer)))
        hidden = filtered(good.transaction, lambda group, _: group == SIGNERS)
        assert "something else" in refused(good, hidden)
        unsaid = filtered(good.transaction, lambda group, _: group == COMMANDS)
        assert "hidden" in refused(good, unsaid)


# --- the contract ---------------------------------------------------------------------------------


def test_what_the_contract_refuses(app: SimpleNamespace) -> None:
    with Pit(app, dates=2) as world:
        s, local = app.swaps, world.local
        ref = world.agree()
        found = world.vault("payer", "state", ref).output
        swap: Any = Rulebook([s]).read_state(found.schema, found.version, found.data)
        payer, holder, oracle, mint = map(local.key, ("payer", "holder", "oracle", "mint"))
        coin = lambda key, units, issuer=world.money: cash.Cash(  # noqa: E731
            key, Amount(units, "EUR"), issuer
        )
        fix = s.Fix(INDEX, day(100), 26_000)
        all_three = (payer, holder, oracle)
        moved = SignedCommand(cash.Move(s.SWAP), (payer,))

        def judge(**changed: Any) -> None:
            parts: dict[str, Any] = {
                "inputs": (swap, coin(payer, 1_000)),
                "outputs": (swap.after(), coin(holder, 28), coin(payer, 972)),
                "commands": (SignedCommand(fix, all_three), moved),
            }
            parts |= changed
            s.verify(
                LedgerTransaction(
                    bytes(32), references=(), notary=None, window=None, attachments={}, **parts
                )
            )

        judge()
        for missing in all_three:
            left = tuple(key for key in all_three if key != missing)
            with pytest.raises(LedgerError, match="signed"):
                judge(commands=(SignedCommand(fix, left), moved))
        late = s.Fix(INDEX, day(200), 26_000)
        with pytest.raises(LedgerError, match="is due"):
            judge(commands=(SignedCommand(late, all_three), moved))
        with pytest.raises(LedgerError, match="goes on"):
            judge(outputs=(coin(holder, 28),))
        with pytest.raises(LedgerError, match="payer pays 28"):
            judge(outputs=(swap.after(), coin(holder, 27)))
        other = type(world.money)(mint, b"other")
        with pytest.raises(LedgerError, match="payer pays 28"):
            judge(outputs=(swap.after(), coin(holder, 28, other)))
        with pytest.raises(LedgerError, match="other money"):
            judge(inputs=(swap, coin(holder, 1_000)))
        with pytest.raises(LedgerError, match="nothing else"):
            judge(commands=(SignedCommand(fix, all_three), SignedCommand(cash.Move(), (payer,))))
        agreed = (SignedCommand(s.Agree(), (payer,)),)
        with pytest.raises(LedgerError, match="both sides have signed"):
            judge(inputs=(), outputs=(swap,), commands=agreed)
        values = [getattr(swap, name) for name in swap.__struct_fields__]
        values[9] = (day(100), day(100))
        both = (SignedCommand(s.Agree(), (payer, holder)),)
        with pytest.raises(LedgerError, match="dates follow"):
            judge(inputs=(), outputs=(s.Swap(*values),), commands=both)


def test_the_demo(app: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    seen = asyncio.run(app.years.show())
    first = 1_516_667  # 0.3 % of 10,000,000.00 for 182 days
    assert seen[0] == (10_000_000 - first, 10_000_000 + first)
    assert seen[1] == seen[0]
    assert all(sum(both) == 20_000_000 for both in seen)
    assert "nobody pays" in capsys.readouterr().out
