"""A bank, a seller, a buyer and a notary who trade commercial paper for cash. Knows no test."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flowrt.core.flow import FlowError, Party
from flowrt.core.registry import unversioned
from flowrt.core.values import StackFrame
from flowrt.finance import cash, obligation, paper
from flowrt.finance.cash import Cash
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.finance.paper import CommercialPaper
from flowrt.finance.trading import TradeDesk, TradeRules
from flowrt.handle import StillRunning
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.ledger.transactions import SignedTransaction
from flowrt.stdlib.finance import cash_flow, money_flow, trade_flow
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from flowrt.stdlib.ledger.vault_flow import StateQuery
from tests.ledger.played import program
from tests.runtime.crashes import Power, Start, World

ALICE, BOB, CAROL, BANK, NOTARY = map(Party, ("alice", "bob", "carol", "bank", "notary"))
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
PROGRAM = """
use ledger.core: SignedTransaction
use ledger.parts: Amount, StateRef
use ledger.notary: NotariseTransaction
use finance.trade: AgreeOnSale, ReceiveOffer, Sell, SellAndSettle, SignaturesKept
use ledger.finality: Finality, Kept, ReceiveFinality, Unsealed
use ledger.transactions: NotSealed
use ledger.vault: Vault

flow Share(signed: SignedTransaction, parties: List[Party]) -> SignedTransaction:
    startable by rpc
    open Take with each parties as talks
    return subflow Finality(signed, talks)

flow Take() -> SignedTransaction:
    responds to Share as talk
    return subflow ReceiveFinality(talk)

flow Lock(refs: List[StateRef]):
    startable by rpc
    Vault.reserve(refs)
    hold "keeps them"

flow SellTo(buyer: Party, asset: StateRef, price: Amount) -> SignedTransaction:
    startable by rpc
    open Cheat with buyer as talk
    return subflow Sell(talk, asset, price)

flow Cheat():
    responds to SellTo as talk
    let sale = subflow ReceiveOffer(talk)
    let signed = subflow AgreeOnSale(talk, sale)
    send Unsealed(signed) to talk
    receive kept: Kept from talk unchecked
    send NotSealed("we do not want it", []) to talk
    subflow NotariseTransaction(signed)

flow SellToWhomHurries(buyer: Party, asset: StateRef, price: Amount) -> SignedTransaction:
    startable by rpc
    open Hurry with buyer as talk
    return subflow SellAndSettle(talk, asset, price)

flow Hurry() -> SignedTransaction:
    responds to SellToWhomHurries as talk
    let sale = subflow ReceiveOffer(talk)
    let signed = subflow AgreeOnSale(talk, sale)
    subflow NotariseTransaction(signed)
    send SignaturesKept() to talk
    return signed

flow Enter(signed: SignedTransaction):
    startable by rpc
    Vault.record(signed)

flow Attach(content: Bytes) -> Bytes:
    startable by rpc
    return Vault.attach(content)
"""


@functools.cache
def play() -> Any:
    """The flows that a town has besides those of the library."""
    return program(PROGRAM)


class TradeTown:
    """A network in which `alice` sells papers of the bank, and `bob` and `carol` buy them.

    Attributes:
        rules: what each buys and sells; a test may put others in.
    """

    def __init__(
        self,
        folder: Path | None = None,
        power: Power | None = None,
        *,
        validating: bool = False,
        reload: bool = True,
        lie: Callable[[TradeDesk, TradeTown], Any] | None = None,
    ) -> None:
        """`lie` makes what the buyer has in place of an honest `Trades`."""
        self.world = World(folder=folder, power=power, reload=reload)
        self.local = LocalNetwork(
            ("bank", "alice", "bob"),
            [cash, obligation, paper],
            folder=folder,
            clock=lambda: self.world.now_us,
            validating=validating,
        )
        self._lie = lie
        self.lies: dict[str, Any] = {}
        self.rules: dict[str, TradeRules] = {
            name: TradeRules(paper.NAME, Amount(110_000, "EUR")) for name in self.local.parties
        }
        modules = Ledger.modules(cash_flow, money_flow, trade_flow, play())
        for name in self.local.parties:
            own = functools.partial(self._own, name)
            services = functools.partial(self.local.services, name, modules, own)
            self.world.add(name, modules, services)

    def _own(self, name: str, ledger: Ledger) -> dict[str, object]:
        desk: Any = TradeDesk(ledger.keys, ledger.vault, ledger.rules)
        if name == "bob" and self._lie is not None:
            desk = self.lies[name] = self._lie(desk, self)
        return {
            "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
            "finance.cash.Treasury": Treasury(otherwise=None),
            "finance.trade.Trades": desk,
            "finance.trade.Trading": _Current(self, name),
        }

    # --- what happens -----------------------------------------------------------------------------

    def do(self, who: str, flow: Any, /, **arguments: Any) -> Any:
        started = self.world.start(who, flow, **arguments)
        self.world.run()
        return self.result(started)

    def result(self, started: Start) -> Any:
        try:
            return self.world.result(started)
        except StillRunning:
            ill = {name: self.world.node(name).hospital() for name in self.local.parties}
            raise AssertionError(ill) from None

    def coins(self, *units: int, owner: str = "bob", reference: bytes = b"") -> None:
        """Coins that the bank issues to somebody, each with a transaction of its own."""
        bank = self.local.key("bank")
        for number, count in enumerate(units):
            builder = TransactionBuilder(self.local.identity("notary"))
            builder.make(Cash(self.local.key(owner), Amount(count, "EUR"), Issuer(bank, reference)))
            builder.command(cash.Issue(), bank)
            signed = builder.sign(
                [self.local.keys["bank"].identity()], bytes([number, 99 + len(reference)] * 16)
            )
            self.do("bank", play().Share_v1, signed=signed, parties=(Party(owner),))

    def result_of(self, started: Start) -> Any:
        """The same of a flow that has still to run."""
        self.world.run()
        return self.result(started)

    def pay(self, who: Party, *units: int) -> None:
        """Coins of the bank that it pays to somebody."""
        sums = tuple(Amount(count, "EUR") for count in units)
        self.do("bank", cash_flow.CashIssue_v1, sums=sums, reference=b"", notary=NOTARY)
        for amount in sums:
            self.do("bank", cash_flow.CashPayment_v1, payee=who, amount=amount)

    @property
    def now(self) -> datetime.datetime:
        return EPOCH + datetime.timedelta(microseconds=self.world.now_us)

    def issuing(
        self, *numbers: int, window: bool = True, owner: str = "alice", attach: bytes = b""
    ) -> SignedTransaction:
        """Papers of the bank for somebody, who has not got them yet."""
        bank = self.local.key("bank")
        builder = TransactionBuilder(self.local.identity("notary")).command(paper.Issue(), bank)
        for number in numbers:
            made = CommercialPaper(
                Issuer(bank, bytes([number])),
                self.local.key(owner),
                Amount(120_000, "EUR"),
                Issuer(bank, b""),
                self.now + 30 * DAY,
            )
            builder.make(made)
        if window:
            builder.around(self.now, DAY)
        if attach:
            builder.attach(attach)
        salt = bytes([numbers[0]]) * 32
        return builder.sign([self.local.keys["bank"].identity()], salt)

    def papers(self, *numbers: int, owner: str = "alice", attach: bytes = b"") -> list[StateRef]:
        """Papers of the bank that somebody owns."""
        signed = self.issuing(*numbers, owner=owner, attach=attach)
        shared = self.do("bank", play().Share_v1, signed=signed, parties=(Party(owner),))
        return [StateRef(shared.id, index) for index in range(len(numbers))]

    def paper(self, **more: Any) -> StateRef:
        """A paper of the bank that somebody owns."""
        return self.papers(1, **more)[0]

    def offer(self, asset: StateRef, units: int = 100_000, **more: Any) -> Start:
        """Alice offers an asset to Bob."""
        arguments = {"buyer": BOB, "asset": asset, "price": Amount(units, "EUR"), **more}
        return self.world.start("alice", trade_flow.OfferTrade_v1, **arguments)

    def answer(self, who: str = "bob") -> Any:
        """What came of the flow by which somebody answered an offer or a request: its result, or
        the error that ended it."""
        node = self.world.node(who)
        names = ("finance.trade.TakeOffer_v1", "finance.trade.TakeRequest_v1")
        ended = [flow for flow in self._ended(who) if flow[1] in names]
        assert len(ended) == 1, ended
        try:
            return node.handle(ended[0][0]).result_now()
        except FlowError as error:
            return error

    def _ended(self, who: str) -> list[tuple[int, str]]:
        store = self.world.members[who].store
        assert store is not None
        return [(row[0], row[1]) for batch in store.batches for row in batch.outcomes]

    def until(self, who: str, flow: str) -> None:
        """Go on until a flow of somebody rests in this subflow."""
        store = self.world.members[who].store
        assert store is not None
        begun = len(store.batches)
        while True:
            for batch in store.batches[begun:]:
                written = [value for value in batch.flows.values() if value is not None]
                if any(flow.encode() in checkpoint for checkpoint, _ in written):
                    return
            assert self.world.tick(), f"{who} never runs {flow}"

    def commits(self) -> dict[str, int]:
        """How many batches each has written."""
        stores = {name: member.store for name, member in self.world.members.items()}
        return {name: len(store.batches) for name, store in stores.items() if store is not None}

    def resting_states(self, since: dict[str, int]) -> list[tuple[str, int]]:
        """Each state in which a flow of anybody waited, from those batches on, and its bytes. What
        goes on at once does not wait."""
        found = []
        for name, begun in since.items():
            store, registry = self.world.members[name].store, self.world.node(name).registry
            assert store is not None
            rows = [row for batch in store.batches[begun:] for row in batch.flows.values()]
            for data, due in (row for row in rows if row is not None):
                if due != 0:
                    found.append((_state(registry.checkpoint(data).frames), len(data)))
        return found

    # --- what there is ----------------------------------------------------------------------------

    def ask(self, who: str, operation: str, *arguments: Any) -> Any:
        reading = self.world.node(who).reading()
        return getattr(self.local.ledgers[who].vault, operation)(reading, *arguments)

    def balance(self, who: str) -> int:
        return int(self.ask(who, "spendable", "EUR"))

    def owned(self, who: str) -> int:
        """How many papers somebody owns."""
        return len(self.ask(who, "states", StateQuery(schemas=(paper.NAME,))).states)

    def purse(self, who: str) -> tuple[StateRef, ...]:
        """The coins of somebody."""
        found = self.ask(who, "states", StateQuery(schemas=(cash.NAME,))).states
        return tuple(one.state.ref for one in found)

    def nothing_is_left(self) -> None:
        assert set(self.world.residue().values()) == {(0, 0, 0)}, self.world.residue()
        for name in self.local.parties:
            assert self.ask(name, "in_flight", 10) == (), name
            locked = self.ask(name, "states", StateQuery(locked=True)).states
            assert locked == (), name

    def close(self) -> None:
        self.world.close()


def _state(frames: Sequence[StackFrame]) -> str:
    """The flow, its innermost subflow, and what that waits for, without what tells versions."""
    names = [unversioned(frame.flow).rpartition(".")[2] for frame in (frames[0], frames[-1])]
    return "_".join([*dict.fromkeys(names), type(frames[-1].state).__name__])


class _Current:
    """What a town's rules say now."""

    def __init__(self, town: TradeTown, name: str) -> None:
        self._town = town
        self._name = name

    def wanted(self, tx: Any) -> Any:
        return self._town.rules[self._name].wanted(tx)

    def limit(self, tx: Any, asset: Any) -> Any:
        return self._town.rules[self._name].limit(tx, asset)

    def sells(self, tx: Any, asset: Any, price: Any, buyer: Any) -> Any:
        return self._town.rules[self._name].sells(tx, asset, price, buyer)
