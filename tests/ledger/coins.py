"""Coins and deeds, and a vault in a store of its own: what the tests of the vault play with."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flowrt.core.flow import Party, Tx
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import ED25519, PublicKey, SigningKey
from flowrt.ledger.states import (
    CommandData,
    Rulebook,
    State,
    command,
    contract,
    require,
    state,
)
from flowrt.ledger.transactions import (
    LedgerTransaction,
    SignedTransaction,
    StateAndRef,
    Transaction,
    sign,
)
from flowrt.ledger.vault.service import Vault
from flowrt.services import Events, Reading, StepTx
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, Issuer, StateRef
from flowrt.store import Batch, Store


@command("coins.Issue")
class Issue(CommandData, frozen=True, array_like=True, gc=False):
    pass


@command("coins.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    pass


@state("coins.Coin", contract="coins.Coin")
class Coin(State, frozen=True, array_like=True, gc=False):
    """So much owed by an issuer."""

    issuer: Issuer
    amount: Amount
    owner: PublicKey

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)

    def with_owner(self, owner: PublicKey) -> tuple[CommandData, State]:
        return Move(), Coin(self.issuer, self.amount, owner)

    def with_amount(self, amount: Amount, owner: PublicKey) -> State:
        return Coin(self.issuer, amount, owner)


@state("coins.Deed", contract="coins.Deed")
class Deed(State, frozen=True, array_like=True, gc=False):
    """One thing, in its forms. Its first version does not say who owns it."""

    linear_id: bytes
    holder: PublicKey

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.holder,)


@contract("coins.Coin")
def coins(tx: LedgerTransaction) -> None:
    """Coins are issued, or moved with equal sums by issuer."""

    def sums(states: Sequence[Coin]) -> dict[tuple[Issuer, str], int]:
        found: dict[tuple[Issuer, str], int] = {}
        for one in states:
            group = one.issuer, one.amount.currency
            found[group] = found.get(group, 0) + one.amount.units
        return found

    made, used = tx.outputs_of(Coin), tx.inputs_of(Coin)
    require(all(coin.amount.units > 0 for coin in made), "a coin is worth something")
    if tx.commands_of(Issue):
        require(not used, "an issue uses nothing up")
        require({c.issuer.key for c in made} <= tx.signers_of(Issue), "the issuer signs")
        return
    require({coin.owner for coin in used} <= tx.signers_of(Move), "the owners sign")
    require(sums(made) == sums(used), "sums stay the same")


@contract("coins.Coin", version=2)
def coins_2(tx: LedgerTransaction) -> None:
    """The same."""
    coins(tx)


@contract("coins.Deed")
def deeds(tx: LedgerTransaction) -> None:
    """Whoever signs may do with deeds what he likes."""


RULES = Rulebook([sys.modules[__name__]])


def key(name: str) -> SigningKey:
    """A key that belongs to a name."""
    return SigningKey(ED25519, hashlib.sha256(name.encode()).digest())


NOTARY_KEY, OTHER_NOTARY_KEY = key("notary"), key("other notary")
NOTARY = Identity(Party("notary"), NOTARY_KEY.public)
OTHER_NOTARY = Identity(Party("other"), OTHER_NOTARY_KEY.public)
BANK, MINT = key("bank"), key("mint")
ISSUERS = (Issuer(BANK.public, b"1"), Issuer(BANK.public, b"2"), Issuer(MINT.public, b""))
OURS = [key(f"ours {number}") for number in range(4)]
THEIRS = [key(f"theirs {number}") for number in range(4)]
_KEYS = {k.public: k for k in (*OURS, *THEIRS, BANK, MINT, NOTARY_KEY, OTHER_NOTARY_KEY)}
OUR_KEYS = {k.public for k in OURS}


def signed(built: Transaction, *, without: PublicKey | None = None) -> SignedTransaction:
    """The transaction with all signatures that it needs."""
    wanted = sorted(built.required_keys - {without})
    return SignedTransaction(built, [sign(built.id, _KEYS[one]) for one in wanted])


def salt(number: int) -> bytes:
    return hashlib.sha256(b"salt %d" % number).digest()


def issue(
    number: int,
    units: Sequence[int],
    *,
    owner: SigningKey = OURS[0],
    issuer: Issuer = ISSUERS[0],
    currency: str = "EUR",
    notary: Identity = NOTARY,
    version: int = 1,
) -> SignedTransaction:
    """A transaction that issues coins; `number` tells it from others."""
    builder = TransactionBuilder(notary)
    for one in units:
        builder.make(Coin(issuer, Amount(one, currency), owner.public), contract_version=version)
    builder.command(Issue(), issuer.key)
    return signed(builder.build(salt(number)))


def deed(
    number: int, linear_id: bytes, before: StateAndRef | None = None, holder: SigningKey = OURS[0]
) -> SignedTransaction:
    """A transaction that makes a deed, or the next form of it."""
    builder = TransactionBuilder(NOTARY)
    if before is not None:
        builder.use(before)
    builder.make(Deed(linear_id, holder.public)).command(Move(), holder.public)
    return signed(builder.build(salt(number)))


def give(number: int, coins: Sequence[StateAndRef], to: SigningKey) -> SignedTransaction:
    """A transaction that gives whole coins to somebody."""
    builder = TransactionBuilder()
    builder.use(*coins)
    for found in coins:
        coin = RULES.read_state(found.output.schema, found.output.version, found.output.data)
        assert isinstance(coin, Coin)
        move, moved = coin.with_owner(to.public)
        builder.make(moved).command(move, coin.owner)
    return signed(builder.build(salt(number)))


def refs(transaction: SignedTransaction) -> list[StateRef]:
    return [StateRef(transaction.id, at) for at in range(len(transaction.transaction.outputs))]


class Rig:
    """A vault in a store, and steps of flows in it."""

    def __init__(
        self, store: Store, rules: Rulebook = RULES, make: Callable[..., Vault] = Vault
    ) -> None:
        self.store = store
        self.rules = rules
        self.make = make
        self.alive: set[int] = set()
        self.open()

    def open(self) -> None:
        """Open the store, again after a crash: what is not committed is gone."""
        opened = self.store.open("alice")
        self.counters = opened.next_flow, opened.next_outbox
        self.tx = StepTx(Party("alice"), self.store)
        self.tx.now_us = 1_000_000
        self.vault = self.make(self.rules, lambda _, one: one in OUR_KEYS)
        self.tx.events = Events({}, (self.vault,))
        with self.step(0):
            self.vault.setup(self.tx)
        self.commit()

    @contextmanager
    def step(self, flow: int, *, keep: bool = True, read_only: bool = False) -> Iterator[Tx]:
        """A step of a flow; undone if it fails, or is not to be kept."""
        self.tx.flow_id = flow
        outer = self.tx.enter(read_only)
        try:
            yield self.tx
        except BaseException:
            self.tx.leave(outer)
            self.tx.finish(keep=False)
            raise
        self.tx.leave(outer)
        self.tx.finish(keep=keep)

    def do(self, name: str, *values: Any, flow: int = 1, keep: bool = True) -> Any:
        """One operation in a step of its own."""
        with self.step(flow, keep=keep) as tx:
            return getattr(self.vault, name)(tx, *values)

    def do_sql(self, sql: str) -> list[tuple[Any, ...]]:
        return self.store.execute(sql, (), read_only=True)

    def commit(self, ended: Sequence[int] = ()) -> None:
        """Commit what was done; flows that were seen are alive, those that ended are not."""
        batch = Batch(self.tx.now_us, *self.counters)
        batch.flows.update(dict.fromkeys(self.alive, (b"-", None)))
        batch.flows.update(dict.fromkeys(ended))
        self.store.commit(batch)
        self.tx.take_notices()

    def crash(self) -> None:
        self.store.abandon()
        self.store.close()
        self.tx.forget()
        self.open()

    def reading(self) -> Reading:
        return Reading(Party("alice"), self.store, lambda: self.tx.now_us)
