"""The service `Swaps`: the swaps in a node's vault, and the transactions that take them on. Judges
nothing: the contract and the vault do.
"""

from __future__ import annotations

from swap_flow import Fixed, SwapOver, Terms
from swap_flow import Swap as Shown
from swaps import SWAP, Agree, Fix, Swap

from flowrt.core.flow import Party, Tx
from flowrt.finance import cash
from flowrt.finance.cash import Cash
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.node import Ledger
from flowrt.ledger.states import State
from flowrt.ledger.transactions import SignedTransaction, StateAndRef
from flowrt.stdlib.ledger.parts_flow import Amount, StateRef


class Swaps:
    """The swaps of one node. Those that we propose are guarded by `notary`."""

    def __init__(self, ledger: Ledger, notary: Party) -> None:
        self._keys = ledger.keys
        self._network = ledger.network
        self._vault = ledger.vault
        self._rules = ledger.rules
        self._notary = notary

    def swap(self, tx: Tx, ref: StateRef) -> Shown:
        return _shown(self._find(tx, ref)[1])

    def swap_in(self, tx: Tx, transaction: SignedTransaction) -> Shown | None:
        count = len(transaction.transaction.outputs)
        made = (self._read(transaction.transaction.output(index)) for index in range(count))
        return next((_shown(one) for one in made if isinstance(one, Swap)), None)

    def debtor(self, tx: Tx, ref: StateRef, rate: int) -> Party:
        swap = self._find(tx, ref)[1]
        return (swap.holder if swap.owed(rate) < 0 else swap.payer).party

    def settles(self, tx: Tx, transaction: SignedTransaction) -> Fixed | None:
        """The contract has accepted it: the rate is what the oracle signs, and all that is owed is
        paid. So what is left to look at is that it takes no other state of ours."""
        found = [self._read(self._vault.state(tx, ref)) for ref in transaction.transaction.inputs]
        swaps = [state for state in found if isinstance(state, Swap)]
        fixes = [
            command
            for raw in transaction.transaction.commands
            if isinstance(
                command := self._rules.read_command(raw.schema, raw.version, raw.data), Fix
            )
        ]
        if len(swaps) != 1 or len(fixes) != 1:
            return None
        others = [state for state in found if not isinstance(state, Swap)]
        if any(not isinstance(state, Cash) or self._is_ours(tx, state.owner) for state in others):
            return None
        return Fixed(swaps[0].payer.party, swaps[0].holder.party, fixes[0].rate)

    def agree(self, tx: Tx, terms: Terms) -> SignedTransaction:
        swap = Swap(
            self._keys.salt(tx)[:16],
            self._network.identity(tx, terms.payer),
            self._network.identity(tx, terms.holder),
            self._network.identity(tx, terms.oracle),
            terms.index,
            terms.notional,
            terms.money,
            terms.fixed,
            terms.begins,
            terms.dates,
        )
        builder = TransactionBuilder(self._network.identity(tx, self._notary)).make(swap)
        return self._signed(tx, builder.command(Agree(), *swap.participants()))

    def settle(self, tx: Tx, ref: StateRef, rate: int) -> SignedTransaction:
        found, swap = self._find(tx, ref)
        builder = TransactionBuilder().use(found)
        goes_on = swap.after()
        if goes_on is not None:
            builder.make(goes_on)
        fix = Fix(swap.index, swap.due, rate)
        builder.command(fix, *swap.participants(), swap.oracle.key)
        owed = swap.owed(rate)
        if owed:
            payee = swap.holder if owed > 0 else swap.payer
            amount = Amount(abs(owed), swap.notional.currency)
            self._vault.spend(
                tx,
                builder,
                [(payee.key, amount)],
                lambda: self._keys.fresh(tx),
                [swap.money],
                schema=cash.NAME,
                moving=cash.Move(SWAP),
            )
        return self._signed(tx, builder)

    def _find(self, tx: Tx, ref: StateRef) -> tuple[StateAndRef, Swap]:
        """A swap whose date is not over. Raises SwapOver, UnknownTransaction."""
        found = self._vault.state(tx, ref)
        swap = self._read(found)
        if not isinstance(swap, Swap) or self._vault.consumer(tx, ref) is not None:
            raise SwapOver(ref)
        return found, swap

    def _read(self, found: StateAndRef) -> State:
        output = found.output
        return self._rules.read_state(output.schema, output.version, output.data)

    def _is_ours(self, tx: Tx, key: PublicKey) -> bool:
        return self._keys.is_ours(tx, key)

    def _signed(self, tx: Tx, builder: TransactionBuilder) -> SignedTransaction:
        built = SignedTransaction(builder.build(self._keys.salt(tx)))
        return self._keys.sign(tx, built)


def _shown(swap: Swap) -> Shown:
    terms = Terms(
        swap.payer.party,
        swap.holder.party,
        swap.oracle.party,
        swap.index,
        swap.notional,
        swap.money,
        swap.fixed,
        swap.begins,
        swap.dates,
    )
    return Shown(swap.number, terms, swap.done, swap.due)
