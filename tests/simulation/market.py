"""What the ledger's world trades beside cash: things, which have one owner; and who means harm.

The contract and the service of `market.flow`; services of a party that cheats in every way that
its own keys, what it was told and what it overhears allow. Judges nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from flowrt.core.flow import Party, Tx
from flowrt.finance.cash import NAME, Cash, Move
from flowrt.finance.desk import CashDesk, coins_of
from flowrt.ledger.backchain import Backchain
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity.claims import Pseudonym
from flowrt.ledger.identity.signing import Keys
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.node import Ledger
from flowrt.ledger.notary.requests import RequestProof
from flowrt.ledger.notary.service import Notaries
from flowrt.ledger.signatures import sign
from flowrt.ledger.states import CommandData, Rulebook, State, command, contract, require, state
from flowrt.ledger.transactions import LedgerTransaction, SignedTransaction, StateAndRef
from flowrt.ledger.vault.service import Vault
from flowrt.stdlib.ledger.core_flow import InsufficientBalance
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from flowrt.stdlib.ledger.transactions_flow import Supplied, Wanted
from flowrt.stdlib.ledger.vault_flow import StateQuery

CURRENCY = "EUR"

FORGED = 77
"""Who means harm pays this sum without good signatures, whatever else it does."""


@command("market.Make")
class Make(CommandData, frozen=True, array_like=True, gc=False):
    pass


@command("market.Hand")
class Hand(CommandData, frozen=True, array_like=True, gc=False):
    pass


@state("market.Thing", contract="market.Thing")
class Thing(State, frozen=True, array_like=True, gc=False):
    """Something that there is once."""

    owner: PublicKey
    name: str

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)


@contract("market.Thing")
def things(tx: LedgerTransaction) -> None:
    """Whose it was has signed; nothing appears but what is made, and nothing vanishes."""
    before, after = tx.inputs_of(Thing), tx.outputs_of(Thing)
    if tx.commands_of(Make):
        require(not before, "what is made was not there before")
        return
    require([one.name for one in before] == [one.name for one in after], "things are handed on")
    require({one.owner for one in before} <= tx.signers_of(Hand), "whose it was has signed")


RULES = sys.modules[__name__]


class Market:
    """The service of `market.flow`, of one node. `errors` are the program's."""

    def __init__(
        self, ledger: Ledger, rules: Rulebook, errors: Any, agreed: set[tuple[str, int, bytes]]
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._errors = errors
        self._agreed = agreed

    def make(self, tx: Tx, name: str, notary: Party) -> SignedTransaction:
        me = self._ledger.keys.me(tx).key
        builder = TransactionBuilder(self._ledger.network.identity(tx, notary))
        return self._signed(tx, builder.make(Thing(me, name)).command(Make(), me))

    def to_sell(self, tx: Tx) -> StateRef:
        """A thing of ours that nobody else sells now."""
        query = StateQuery(schemas=("market.Thing",), locked=False, size=1)
        for found in self._ledger.vault.states(tx, query).states:
            self._ledger.vault.reserve(tx, (found.state.ref,))
            return found.state.ref
        raise self._errors.NothingToSell

    def thing(self, tx: Tx, offered: Sequence[StateAndRef]) -> StateAndRef:
        if len(offered) != 1 or offered[0].kind != "market.Thing":
            raise self._errors.NotAgreed("no thing is offered")
        return offered[0]

    def swap(self, tx: Tx, thing: StateAndRef, price: Amount, to: PublicKey) -> SignedTransaction:
        keys = self._ledger.keys
        me = keys.me(tx).key
        old = self._read(thing)
        builder = TransactionBuilder(thing.notary).use(thing).make(Thing(me, old.name))
        builder.command(Hand(), old.owner)
        self._ledger.vault.spend(tx, builder, [(to, price)], lambda: keys.fresh(tx), schema=NAME)
        return self._signed(tx, builder)

    def agrees(
        self,
        tx: Tx,
        transaction: SignedTransaction,
        thing: StateRef,
        price: Amount,
        to: PublicKey,
    ) -> bool:
        """Whether it takes nothing of ours but the thing, and pays the price to that key."""
        keys, vault = self._ledger.keys, self._ledger.vault
        for ref in transaction.inputs:
            used = self._rules.read_state(*_written(vault.state(tx, ref)))
            if ref != thing and any(keys.is_ours(tx, key) for key in used.participants()):
                return False
        paid = [coin.amount for coin in coins_of(transaction) if coin.owner == to]
        fair = thing in transaction.inputs and paid == [price]
        if fair:
            self._agreed.add((tx.me.name, tx.flow_id, transaction.id))
        return fair

    def _read(self, found: StateAndRef) -> Thing:
        thing = self._rules.read_state(*_written(found))
        assert isinstance(thing, Thing)
        return thing

    def _signed(self, tx: Tx, builder: TransactionBuilder) -> SignedTransaction:
        built = SignedTransaction(builder.build(self._ledger.keys.salt(tx)))
        return self._ledger.keys.sign(tx, built)


def _written(found: StateAndRef) -> tuple[str, int, bytes]:
    return found.output.schema, found.output.version, found.output.data


# --- who means harm -------------------------------------------------------------------------------

HONEST, STOPS_AFTER, LIES, STOPS_BEFORE, AT_ONCE = range(5)
"""What is done about finality: nothing bad; the notary is asked and nobody told; what was
notarised is said not to be; nothing is notarised; it is notarised before anybody has it."""

CHEAT = """

error Cheated: "no fair play"

service Mischief:
    read mode() -> Int

private flow Cheat(transaction: SignedTransaction, talk: Session) -> SignedTransaction:
    let mode = Mischief.mode()
    if mode == 0:
        return subflow Finality(transaction, [talk])
    if mode == 4:
        let early = subflow NotariseTransaction(transaction)
        log info "{early.size}"
    send Unsealed(transaction) to talk
    let offered = rests_on(transaction)
    var left = 1
    while left > 0:
        receive from talk:
            case Wanted as wanted:
                require wanted.most <= 500 else Cheated()
                send Backchain.supply(talk.peer, 1, offered, wanted) to talk
            case Kept:
                pass
            case AwaitsSeal:
                left = 0
    if mode == 3:
        return transaction
    let seal = subflow NotariseTransaction(transaction)
    log info "{seal.size}"
    if mode == 2:
        send NotSealed("it was refused", []) to talk
    return transaction
"""

CHEAT_USES = """use ledger.finality: AwaitsSeal, Kept, Unsealed
use ledger.core: rests_on
use ledger.notary: NotariseTransaction
use ledger.transactions: Backchain, NotSealed, Wanted
"""


class Overheard:
    """What everybody has said, as far as somebody might overhear it, and the tape's dice."""

    def __init__(self, draw: Callable[[str, int], int]) -> None:
        self.draw = draw
        self.claims: list[Pseudonym] = []
        self.proofs: list[RequestProof] = []
        self.keys: list[PublicKey] = []
        self.transactions: dict[bytes, SignedTransaction] = {}
        self.mischief = 0
        self.checked: set[tuple[str, int, bytes]] = set()
        self.agreed: set[tuple[str, int, bytes]] = set()
        """What honest flows have found valid, and what they wanted: (party, flow, id)."""

    def does(self, what: str, of: int = 4) -> bool:
        """Whether harm is done here."""
        done = self.draw(f"mischief {what}", of) == 1
        self.mischief += done
        return done

    def one(self, what: str, of: Sequence[Any]) -> Any:
        return of[self.draw(f"mischief {what} which", len(of))]


class Mischief:
    def __init__(self, heard: Overheard) -> None:
        self._heard = heard

    def mode(self, tx: Tx) -> int:
        mode = self._heard.draw("mischief mode", 8)
        mode = mode if mode <= AT_ONCE else HONEST
        self._heard.mischief += mode != HONEST
        return mode


class HonestKeys(Keys):
    """What an honest party shows can be overheard."""

    heard: Overheard

    def claim(self, tx: Tx, key: PublicKey) -> Pseudonym:
        made = super().claim(tx, key)
        self.heard.claims.append(made)
        self.heard.keys.append(key)
        return made


class HonestNotaries(Notaries):
    heard: Overheard

    def prove(self, tx: Any, transaction: SignedTransaction) -> RequestProof:
        made = super().prove(tx, transaction)
        self.heard.proofs.append(made)
        return made


class HonestVault(Vault):
    heard: Overheard

    def check(self, tx: Tx, transaction: SignedTransaction) -> SignedTransaction:
        found = super().check(tx, transaction)
        self.heard.checked.add((tx.me.name, tx.flow_id, found.id))
        return found


class HonestBackchain(Backchain):
    given: Callable[[Sequence[bytes], Sequence[bytes]], None]

    def along(self, tx: Tx, offered: Sequence[bytes]) -> tuple[SignedTransaction, ...]:
        found = super().along(tx, offered)
        self.given(offered, [one.id for one in found])
        return found

    def supply(
        self, tx: Tx, to: Party, times: int, offered: Sequence[bytes], wanted: Wanted
    ) -> Supplied:
        found = super().supply(tx, to, times, offered, wanted)
        self.given(offered, [one.id for one in found.transactions])
        return found


class ForgedKeys(Keys):
    """Claims keys of others."""

    heard: Overheard

    def claim(self, tx: Tx, key: PublicKey) -> Pseudonym:
        made = super().claim(tx, key)
        if self.heard.claims and self.heard.does("claim", 3):
            other = self.heard.one("claim", self.heard.claims)
            if self.heard.draw("mischief claim signed", 2):
                return other
            return Pseudonym(
                made.network, made.party, made.identity, other.key, made.by_identity, other.by_key
            )
        return made


class ForgedNotaries(Notaries):
    """Shows a notary what others have signed."""

    heard: Overheard

    def prove(self, tx: Any, transaction: SignedTransaction) -> RequestProof:
        if self.heard.proofs and self.heard.does("proof", 8):
            return self.heard.one("proof", self.heard.proofs)
        return super().prove(tx, transaction)


class ForgedBackchain(Backchain):
    """Asks for what was not offered, and gives what was not asked for."""

    heard: Overheard

    def begin(self, tx: Tx, ids: Sequence[bytes], files: Sequence[bytes]) -> Wanted:
        wanted = super().begin(tx, ids, files)
        if self.heard.transactions and self.heard.does("wanted", 4):
            return Wanted((self.heard.one("wanted", [*self.heard.transactions]),), 1, None)
        return wanted

    def along(self, tx: Tx, offered: Sequence[bytes]) -> tuple[SignedTransaction, ...]:
        given = super().along(tx, offered)
        if given and self.heard.does("along", 6):
            bad = self.heard.one("along", [*self.heard.transactions.values()])
            if self.heard.draw("mischief along kind", 2):
                bad = SignedTransaction(given[0].transaction)
            return (bad, *given[1:])
        return given

    def supply(
        self, tx: Tx, to: Party, times: int, offered: Sequence[bytes], wanted: Wanted
    ) -> Supplied:
        given = super().supply(tx, to, times, offered, wanted)
        if given.transactions and self.heard.does("supply", 6):
            bad = self.heard.one("supply", [*self.heard.transactions.values()])
            if self.heard.draw("mischief supply kind", 2):
                bad = SignedTransaction(given.transactions[0].transaction)
            return Supplied((bad, *given.transactions[1:]), None)
        return given


class ForgedCash(CashDesk):
    """Pays with coins that are used up, with more than there is, and without signing."""

    def __init__(self, ledger: Ledger, heard: Overheard, rules: Rulebook) -> None:
        super().__init__(ledger.keys, ledger.network, ledger.vault)
        self._ledger = ledger
        self._heard = heard
        self._rules = rules

    def pay(
        self, tx: Tx, to: PublicKey, amount: Amount, issuers: Sequence[Issuer]
    ) -> SignedTransaction:
        heard = self._heard
        forges = amount.units == FORGED
        if not forges and not heard.does("pay", 2):
            return super().pay(tx, to, amount, issuers)
        keys, vault = self._ledger.keys, self._ledger.vault
        query = StateQuery(schemas=(NAME,), consumed=None)
        found = vault.states(tx, query).states
        # Unsigned, or under a signature of something else.
        kind = 3 + heard.draw("mischief forged", 2) if forges else heard.draw("mischief kind", 6)
        if forges:
            found = tuple(one for one in found if one.consumed_by is None)
            heard.mischief += 1
        # Those that are used up, or about to be, for who spends twice.
        twice = [one for one in found if one.consumed_by is not None or one.locked_by is not None]
        coins = [one.state for one in (twice if kind in (0, 5) and twice else found)]
        if not coins:
            raise InsufficientBalance(amount)
        first = heard.one("coin", coins)
        old = self._rules.read_state(*_written(first))
        assert isinstance(old, Cash)
        units = old.amount.units + (1_000_000 if kind == 1 else 0)
        owner = to if kind != 2 or not heard.keys else heard.one("payee", heard.keys)
        builder = TransactionBuilder(first.notary).use(first).command(Move(), old.owner)
        builder.make(Cash(owner, Amount(units, old.amount.currency), old.issuer))
        built = SignedTransaction(builder.build(keys.salt(tx)))
        if kind == 3:
            return built
        signed = keys.sign(tx, built)
        if kind == 4 and heard.transactions:
            # A signature of its own, of something else.
            other = heard.one("signed", [*heard.transactions])
            mine = keys._signing_key(tx, old.owner)
            assert mine is not None
            good = sign(other, mine)
            return SignedTransaction(built.transaction, (good,))
        return signed
