"""The letter of credit of examples/letter_of_credit: paid, sent back, waived, cancelled; people who
answer and people who do not; what the contracts refuse."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.finance import cash
from flowrt.finance.cash import Cash
from flowrt.ledger.keys import ED25519, SigningKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.transactions import LedgerTransaction, SignedCommand
from flowrt.stdlib.ledger.core_flow import TimeWindowInvalid
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, TimeWindow
from tests.examples.ledgered import DAY_US, LedgerWorld
from tests.examples.loaded import loaded
from tests.runtime.crashes import START_US, Power, every_crash

PARTIES = ("buyer", "seller", "bank", "adviser")
SUM = 2_400_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def day(number: int) -> datetime.datetime:
    return EPOCH + datetime.timedelta(microseconds=START_US + number * DAY_US)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with loaded("letter_of_credit", "letter", tmp_path_factory.mktemp("letter")) as found:
        yield found


class Port(LedgerWorld):
    """The four, and a letter that is good for 90 days; the goods are to be shipped in 60."""

    def __init__(self, app: SimpleNamespace, money: int = SUM + 100, **options: Any) -> None:
        def own(local: Any, ledger: Any) -> dict[str, object]:
            return {"Credit": app.desk.Credit(ledger, local.notary)}

        self.app = app
        self.flow = app.flow
        super().__init__(PARTIES, (cash, app.credit), app.flow, own, **options)
        if money:
            self.give("bank", money)
        self.terms = app.flow.Terms(
            Party("seller"),
            Party("adviser"),
            Amount(SUM, "EUR"),
            self.money,
            "40 bales of wool",
            day(60),
            day(90),
        )

    def apply(self, **changed: Any) -> Any:
        terms = self.terms
        for name, value in changed.items():
            terms = type(terms)(*(value if f == name else getattr(terms, f) for f in FIELDS))
        return self.start("buyer", self.flow.Apply_v1, bank=Party("bank"), terms=terms)

    def letter(self) -> bytes:
        """A letter that is granted."""
        applying = self.apply()
        self.answer("bank", "credit officer", self.flow.CreditDecision_Grant())
        found: bytes = self.result(applying)
        return found

    def present(self, letter: bytes) -> bytes:
        """Ship the goods and present the bill; its number."""
        bill: bytes = self.do(
            "seller", self.flow.Ship_v1, letter=letter, vessel="MV Ceres", paper=b"picture"
        )
        presenting = self.start("seller", self.flow.Present_v1, letter=letter, bill=bill)
        self.answer("adviser", "documents desk", self.flow.PapersSeen_Complete())
        self.result(presenting)
        return bill

    def holders(self, letter: bytes) -> set[str]:
        return {name for name in PARTIES if self.vault(name, "linear", letter) is not None}

    def owner(self, bill: bytes) -> str:
        [owner] = {name for name in PARTIES if self.vault(name, "linear", bill) is not None}
        return owner

    def story(self) -> Any:
        """From the application to the payment."""
        letter = self.letter()
        assert self.holders(letter) == set(PARTIES)
        bill = self.present(letter)
        asked = self.answer("bank", "document examiner", self.flow.Verdict_Conforming())
        self.nothing_is_left()
        return (
            asked.noticed,
            self.holders(letter),
            self.owner(bill),
            self.cash("buyer", "seller", "bank"),
        )


FIELDS = ("seller", "adviser", "amount", "money", "goods", "ship_by", "expires")
PAID = ((), set(), "buyer", (0, SUM, 100))


def test_the_letter_is_issued_and_paid_whoever_crashes_in_between(app: SimpleNamespace) -> None:
    with Port(app, restless=True) as world:
        assert world.story() == PAID
        assert sum(member.crashes for member in world.members.values()) > 35


@pytest.mark.campaign
def test_the_same_with_a_crash_at_every_commit(app: SimpleNamespace) -> None:
    def build(power: Power) -> Port:
        return Port(app, power=power)

    for power, seen in every_crash(build, Port.story):
        assert seen == PAID, power


def test_the_bank_declines_or_nobody_decides(app: SimpleNamespace) -> None:
    with Port(app, money=0) as world:
        applying = world.apply()
        world.answer("bank", "credit officer", app.flow.CreditDecision_Decline("no credit"))
        assert world.ends(applying, app.flow.Declined).why == "no credit"  # type: ignore[attr-defined]
        applying = world.apply()
        world.run(3 * DAY_US)
        world.ends(applying, app.flow.NobodyDecided)
        world.ends(world.apply(amount=Amount(0, "EUR")), app.flow.NotAsAgreed)
        world.ends(world.apply(expires=day(-1)), app.flow.NotAsAgreed)
        world.ends(world.apply(goods=""), app.flow.NotAsAgreed)
        world.nothing_is_left()


def test_nobody_ships_in_time_and_the_letter_is_cancelled(app: SimpleNamespace) -> None:
    with Port(app, restless=True) as world:
        letter = world.letter()
        shipping = world.start(
            "seller", app.flow.Ship_v1, letter=letter, vessel="MV Ceres", paper=b"picture"
        )
        world.until(89)
        assert world.holders(letter) == set(PARTIES)
        world.until(90)
        assert world.holders(letter) == set()
        bill = world.result(shipping)
        assert world.owner(bill) == "seller"
        presenting = world.start("seller", app.flow.Present_v1, letter=letter, bill=bill)
        world.ends(presenting, app.flow.NoSuchLetter)
        assert world.cash("seller", "bank") == (0, SUM + 100)
        world.nothing_is_left()


def test_documents_come_too_late_while_the_bank_is_away(app: SimpleNamespace) -> None:
    with Port(app) as world:
        letter = world.letter()
        bill = world.do("seller", app.flow.Ship_v1, letter=letter, vessel="V", paper=b"picture")
        world.now_us = START_US + 88 * DAY_US
        presenting = world.start("seller", app.flow.Present_v1, letter=letter, bill=bill)
        world.run()
        [task] = world.node("adviser").tasks("documents desk")
        # Nobody of the bank moves while the adviser takes his time.
        bank = world.leave("bank")
        world.now_us = START_US + 90 * DAY_US + 1
        world.node("adviser").submit_answer(
            task.flow_id, task.number, app.flow.PapersSeen_Complete(), by="kim"
        )
        world.ends(presenting, TimeWindowInvalid)
        world.back(bank)
        assert world.holders(letter) == set()
        world.nothing_is_left()


def test_the_papers_are_not_there(app: SimpleNamespace) -> None:
    with Port(app) as world:
        letter = world.letter()
        bill = world.do("seller", app.flow.Ship_v1, letter=letter, vessel="V", paper=b"picture")
        presenting = world.start("seller", app.flow.Present_v1, letter=letter, bill=bill)
        world.answer("adviser", "documents desk", app.flow.PapersSeen_Incomplete("one of two"))
        world.ends(presenting, app.flow.PapersMissing)
        presenting = world.start("seller", app.flow.Present_v1, letter=letter, bill=bill)
        world.run(4 * DAY_US)
        world.ends(presenting, app.flow.PapersNotSeen)


@pytest.mark.parametrize("buyer", ["waives", "insists", "is away"])
def test_goods_that_were_shipped_late(app: SimpleNamespace, buyer: str) -> None:
    with Port(app) as world:
        letter = world.letter()
        world.now_us = START_US + 61 * DAY_US
        bill = world.present(letter)
        verdict = app.flow.Verdict_Discrepant("a day late")
        asked = world.answer("bank", "document examiner", verdict)
        assert asked.noticed == ("shipped on 2024-01-14, not by 2024-01-13",)
        if buyer == "is away":
            world.run(5 * DAY_US)
        else:
            said = (
                app.flow.WaiverDecision_Waive
                if buyer == "waives"
                else app.flow.WaiverDecision_Insist
            )
            assert world.answer("buyer", "buyer", said()).why == "a day late"
        if buyer == "waives":
            assert (world.owner(bill), world.cash("seller")) == ("buyer", (SUM,))
        else:
            # The letter is there as before; its time ends.
            assert (world.owner(bill), world.cash("seller")) == ("seller", (0,))
            assert world.holders(letter) == set(PARTIES)
            world.until(90)
            assert world.holders(letter) == set()
        world.nothing_is_left()


def test_documents_that_nobody_examines_are_paid_for(app: SimpleNamespace) -> None:
    with Port(app) as world:
        bill = world.present(world.letter())
        world.run(6 * DAY_US)
        assert (world.owner(bill), world.cash("seller")) == ("buyer", (SUM,))
        world.nothing_is_left()


def test_a_bank_without_money_waits_for_it(app: SimpleNamespace) -> None:
    with Port(app, money=5) as world:
        bill = world.present(world.letter())
        world.answer("bank", "document examiner", app.flow.Verdict_Conforming())
        [patient] = world.node("bank").hospital()
        assert "no money" in patient.cause
        world.give("bank", SUM)
        world.node("bank").submit_retry(patient.flow_id, by="kim", reason="money is there")
        world.run()
        assert (world.owner(bill), world.cash("seller", "bank")) == ("buyer", (SUM, 5))
        world.nothing_is_left()


# --- the contracts --------------------------------------------------------------------------------

KEYS = {
    name: SigningKey(ED25519, bytes([number]) * 32).public
    for number, name in enumerate((*PARTIES, "mint"))
}
WINDOW = TimeWindow(None, day(90))
OVER = TimeWindow(day(90), None)


@dataclasses.dataclass
class Deal:
    """A transaction that the contracts accept; each part can be changed."""

    inputs: list[Any]
    outputs: list[Any]
    commands: list[tuple[Any, tuple[str, ...]]]
    references: tuple[Any, ...] = ()
    window: TimeWindow | None = None
    attachments: tuple[bytes, ...] = ()

    def judge(self, app: SimpleNamespace) -> None:
        commands = tuple(
            SignedCommand(value, tuple(KEYS[name] for name in by)) for value, by in self.commands
        )
        transaction = LedgerTransaction(
            bytes(32),
            tuple(self.inputs),
            tuple(self.outputs),
            commands,
            self.references,
            None,
            self.window,
            dict.fromkeys(self.attachments, b""),
        )
        credit = app.credit
        states = [type(state) for state in (*self.inputs, *self.outputs)]
        for kind, verify in (
            (credit.LetterOfCredit, credit.verify_letter),
            (credit.BillOfLading, credit.verify_bill),
            (Cash, cash.verify),
        ):
            if kind in states:
                verify(transaction)


def parts(app: SimpleNamespace) -> SimpleNamespace:
    credit = app.credit
    money = Issuer(KEYS["mint"], b"\x01")
    letter = credit.LetterOfCredit(
        b"L", *(KEYS[name] for name in PARTIES), Amount(SUM, "EUR"), money, "wool", day(60), day(90)
    )
    bill = credit.BillOfLading(b"B", KEYS["seller"], "wool", "V", day(1), bytes(32))
    presented = letter.with_bill(b"B")
    return SimpleNamespace(
        letter=letter,
        bill=bill,
        presented=presented,
        sold=bill.with_owner(KEYS["buyer"])[1],
        coin=lambda who, units=SUM: Cash(KEYS[who], Amount(units, "EUR"), money),
        c=credit,
    )


def issue(p: Any) -> Deal:
    return Deal([], [p.letter], [(p.c.Issue(), ("bank",))])


def ship(p: Any) -> Deal:
    return Deal([], [p.bill], [(p.c.Ship(), ("seller",))], attachments=(bytes(32),))


def present(p: Any) -> Deal:
    by = ("seller", "adviser")
    return Deal([p.letter], [p.presented], [(p.c.Present(), by)], (p.bill,), WINDOW)


def send_back(p: Any) -> Deal:
    return Deal([p.presented], [p.letter], [(p.c.Return(), ("bank",))])


def cancel(p: Any) -> Deal:
    return Deal([p.letter], [], [(p.c.Cancel(), ("bank",))], window=OVER)


def honour(p: Any) -> Deal:
    return Deal(
        [p.presented, p.bill, p.coin("bank")],
        [p.sold, p.coin("seller")],
        [
            (p.c.Honour(), ("bank",)),
            (p.c.Move(), ("seller",)),
            (cash.Move(p.c.LETTER), ("bank",)),
        ],
    )


GOOD = (issue, ship, present, send_back, cancel, honour)


@pytest.mark.parametrize("make", GOOD)
def test_what_the_contracts_accept(app: SimpleNamespace, make: Any) -> None:
    deal = make(parts(app))
    deal.judge(app)
    for number, (value, by) in enumerate(deal.commands):
        for missing in by:
            left = tuple(name for name in by if name != missing) or ("mint",)
            commands = [*deal.commands]
            commands[number] = (value, left)
            with pytest.raises(LedgerError):
                dataclasses.replace(deal, commands=commands).judge(app)


def _changed(deal: Deal, **changed: Any) -> Deal:
    return dataclasses.replace(deal, **changed)


BAD = {
    "a letter of nothing": lambda p: _changed(
        issue(p),
        outputs=[
            p.letter.__class__(
                *[Amount(0, "EUR") if n == 5 else v for n, v in enumerate(_values(p.letter))]
            )
        ],
    ),
    "a letter with a bill": lambda p: _changed(issue(p), outputs=[p.presented]),
    "two letters": lambda p: _changed(issue(p), outputs=[p.letter, p.letter]),
    "no picture": lambda p: _changed(ship(p), attachments=()),
    "the bill twice": lambda p: _changed(ship(p), outputs=[p.bill, p.bill]),
    "no bill": lambda p: _changed(present(p), references=()),
    "somebody else's bill": lambda p: _changed(present(p), references=(p.sold,)),
    "at any time": lambda p: _changed(present(p), window=None),
    "a day too late": lambda p: _changed(present(p), window=TimeWindow(None, day(91))),
    "documents twice": lambda p: _changed(present(p), inputs=[p.presented]),
    "nothing to send back": lambda p: _changed(send_back(p), inputs=[p.letter]),
    "sent back and kept": lambda p: _changed(send_back(p), outputs=[p.presented]),
    "cancelled too early": lambda p: _changed(cancel(p), window=TimeWindow(day(89), None)),
    "cancelled at any time": lambda p: _changed(cancel(p), window=None),
    "cancelled while examined": lambda p: _changed(cancel(p), inputs=[p.presented]),
    "the goods stay": lambda p: _changed(honour(p), outputs=[p.bill, p.coin("seller")]),
    "the bill vanishes": lambda p: _changed(honour(p), outputs=[p.coin("seller")]),
    "too little": lambda p: _changed(
        honour(p), outputs=[p.sold, p.coin("seller", SUM - 1), p.coin("bank", 1)]
    ),
    "its own money": lambda p: _changed(
        honour(p),
        inputs=[p.presented, p.bill, p.coin("seller")],
        commands=[*honour(p).commands[:2], (cash.Move(p.c.LETTER), ("seller",))],
    ),
    "money for something else": lambda p: _changed(
        honour(p), commands=[*honour(p).commands[:2], (cash.Move(), ("bank",))]
    ),
    "no documents": lambda p: _changed(honour(p), inputs=[p.letter, *honour(p).inputs[1:]]),
    "no command": lambda p: _changed(honour(p), commands=honour(p).commands[1:]),
}


def _values(state: Any) -> tuple[Any, ...]:
    return tuple(getattr(state, name) for name in state.__struct_fields__)


@pytest.mark.parametrize("why", BAD)
def test_what_the_contracts_refuse(app: SimpleNamespace, why: str) -> None:
    with pytest.raises(LedgerError):
        BAD[why](parts(app)).judge(app)


def test_the_demo(
    app: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.trade, "SOON", datetime.timedelta(milliseconds=700))
    found = asyncio.run(app.trade.show())
    assert found == {"buyer": 0, "seller": SUM, "bank": 5_000_000 - SUM, "goods": "buyer"}
    assert "the letter is cancelled" in capsys.readouterr().out
