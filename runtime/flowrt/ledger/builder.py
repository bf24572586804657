"""Building a transaction: what it uses up, what it makes, who must sign. Judges nothing.

A builder is filled and then signed once; what comes out of it no longer changes.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterable

from flowrt.core.values import encode
from flowrt.ledger import transactions as wire
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.merkle import HASH_BYTES
from flowrt.ledger.problems import BadStructure
from flowrt.ledger.states import CommandData, State, schema_of
from flowrt.ledger.transactions import (
    Command,
    Output,
    SignedTransaction,
    StateAndRef,
    Transaction,
    sign,
)
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef, TimeWindow


class TransactionBuilder:
    """Collects the parts of a transaction that `notary` guards; None where nothing is used up."""

    def __init__(self, notary: Identity | None = None) -> None:
        """Raises TypeError for a notary without its key, such as a Party."""
        if notary is not None:
            _check(notary, Identity, "network.identity(tx, party) gives a notary's")
        self.notary = notary
        self._inputs: dict[StateRef, StateAndRef] = {}
        self._references: dict[StateRef, StateAndRef] = {}
        self._outputs: list[Output] = []
        self._commands: list[tuple[Command, set[PublicKey]]] = []
        self._attachments: list[bytes] = []
        self._window: TimeWindow | None = None
        self._parameters: bytes | None = None

    def use(self, *states: StateAndRef) -> TransactionBuilder:
        """Use these states up. Raises BadStructure if one is guarded by another notary, or referred
        to."""
        for found in states:
            _check(found, StateAndRef, "vault.state(tx, ref) gives it")
            self._guard(found, self._references)
            self._inputs[found.ref] = found
        return self

    def refer_to(self, *states: StateAndRef) -> TransactionBuilder:
        """Show these states to the contracts, not used up. Raises BadStructure as `use`."""
        for found in states:
            _check(found, StateAndRef, "vault.state(tx, ref) gives it")
            self._guard(found, self._inputs)
            self._references[found.ref] = found
        return self

    def make(
        self, state: State, *, contract_version: int = 1, encumbrance: int | None = None
    ) -> TransactionBuilder:
        """Make a state, judged by that version of its contract. Raises BadStructure if the builder
        has no notary, which every state needs."""
        if self.notary is None:
            raise BadStructure("a state needs a notary: TransactionBuilder(notary)")
        schema = schema_of(type(state))
        self._outputs.append(
            Output(
                schema.name,
                schema.version,
                _written(state),
                f"{schema.contract}_v{contract_version}",
                self.notary,
                encumbrance,
            )
        )
        return self

    def command(self, value: CommandData, *signers: PublicKey) -> TransactionBuilder:
        """Say what is done, and who must sign for it. An equal command is there once, signed by the
        signers of all. Raises BadStructure if nobody does."""
        schema = schema_of(type(value))
        for key in signers:
            _check(key, PublicKey, "keys sign; an Identity has one")
        if not signers:
            raise BadStructure(f"nobody signs for {schema.name}: name one key or more")
        raw = Command(schema.name, schema.version, _written(value))
        for known, keys in self._commands:
            if known == raw:
                keys.update(signers)
                return self
        self._commands.append((raw, set(signers)))
        return self

    def within(
        self, since: datetime.datetime | None, until: datetime.datetime | None
    ) -> TransactionBuilder:
        """It may be notarised from `since` on and before `until`. Raises BadStructure for times
        without a time zone, for none, and for a window that ends before it begins."""
        for time in (since, until):
            if time is not None and time.utcoffset() is None:
                raise BadStructure("a time window is given in UTC: datetime(…, tzinfo=UTC)")
        if (since is None and until is None) or (since and until and since >= until):
            raise BadStructure("a time window has a beginning or an end, and ends after it begins")
        self._window = TimeWindow(since, until)
        return self

    def around(self, at: datetime.datetime, tolerance: datetime.timedelta) -> TransactionBuilder:
        """It may be notarised within `tolerance` of `at`: clocks differ, and signing takes time."""
        return self.within(at - tolerance, at + tolerance)

    def attach(self, digest: bytes) -> TransactionBuilder:
        """Attach the file whose SHA-256 this is, once. Raises BadStructure if it cannot be one."""
        if len(digest) != HASH_BYTES:
            raise BadStructure(f"a SHA-256 has {HASH_BYTES} bytes, not {len(digest)}")
        if digest not in self._attachments:
            self._attachments.append(digest)
        return self

    def under(self, parameters: bytes) -> TransactionBuilder:
        """Made under the network's parameters whose SHA-256 this is."""
        self._parameters = parameters
        return self

    def build(self, salt: bytes | None = None) -> Transaction:
        """The transaction. `salt` (32 secret bytes, chosen by chance if not given) hides the parts
        that are not shown, so it must not be used twice. Raises Unreadable if it is too large."""
        groups = {
            wire.INPUTS: [encode(ref) for ref in self._inputs],
            wire.OUTPUTS: [encode(output) for output in self._outputs],
            wire.COMMANDS: [encode(command) for command, _ in self._commands],
            wire.SIGNERS: [encode(tuple(sorted(keys))) for _, keys in self._commands],
            wire.ATTACHMENTS: [encode(digest) for digest in self._attachments],
            wire.NOTARY: _one(self.notary),
            wire.WINDOW: _one(self._window),
            wire.REFERENCES: [encode(ref) for ref in self._references],
            wire.PARAMETERS: _one(self._parameters),
        }
        salt = secrets.token_bytes(wire.SALT_BYTES) if salt is None else salt
        return wire.built(Transaction(groups, salt))

    def sign(self, keys: Iterable[SigningKey], salt: bytes | None = None) -> SignedTransaction:
        """The transaction with its first signatures."""
        built = self.build(salt)
        return SignedTransaction(built, (sign(built.id, key) for key in keys))

    def _guard(self, found: StateAndRef, others: dict[StateRef, StateAndRef]) -> None:
        if found.ref in others:
            raise BadStructure("a state is used up, or referred to: not both")
        if self.notary is None:
            self.notary = found.notary
        if found.notary != self.notary:
            raise BadStructure(
                f"the state is guarded by {found.notary.party.name}, the transaction by "
                f"{self.notary.party.name}: change the notary first"
            )


def _check(found: object, kind: type, remedy: str) -> None:
    if not isinstance(found, kind):
        raise TypeError(f"{kind.__name__} is wanted, not {type(found).__name__}: {remedy}")


def _written(value: State | CommandData) -> bytes:
    try:
        return encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        kind = type(value).__name__
        raise BadStructure(f"this {kind} cannot be written: {error}") from None


def _one(value: object) -> list[bytes]:
    return [] if value is None else [encode(value)]
