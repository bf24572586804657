"""Transactions: their parts, their bytes, their id, and who signed. Judges nothing.

A transaction is a list of groups of components, each component canonical MessagePack (see
docs/wire-format.md). Its id is the root of a Merkle tree over a tree for each group; each component
is hashed with a nonce that is made from the transaction's secret salt, so that parts can be shown
without giving away the rest. The order of groups is Corda's. Different from there: leaves, nodes
and groups are hashed with different prefixes, and a group's hash tells how many components it has,
so that who is shown a part knows whether it is all of the group.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from flowrt.core.declared import Value
from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger import merkle
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.problems import BadProof, SignaturesMissing, Unreadable
from flowrt.ledger.states import CommandData, State
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef, TimeWindow

FORMAT: Final = 1

INPUTS, OUTPUTS, COMMANDS, ATTACHMENTS, NOTARY, WINDOW, SIGNERS, REFERENCES, PARAMETERS = range(9)
GROUPS: Final = 9

MAX_BYTES = 512 * 1024
"""The largest transaction, without its signatures."""

MAX_COMPONENTS = 10_000
"""The most components of one group."""

MAX_SIGNATURES = 128
SALT_BYTES = 32
PLATFORM: Final = 1
"""The version of the rules under which a signature is given; part of what is signed."""

_SIGNED = b"flowlang transaction signature\x00"


class Output(Value, frozen=True, array_like=True, gc=False):
    """A state as it is written: its schema and bytes, the contract that judges it (a versioned
    name), the notary that guards it. `encumbrance` is the number of an output without which it
    cannot be spent."""

    schema: str
    version: int
    data: bytes
    contract: str
    notary: Identity
    encumbrance: int | None = None


class Command(Value, frozen=True, array_like=True, gc=False):
    """A command as it is written. Who must sign for it stands apart, in the group of signers."""

    schema: str
    version: int
    data: bytes


class StateAndRef(Value, frozen=True, array_like=True, gc=False):
    """An output together with its name."""

    ref: StateRef
    output: Output

    @property
    def kind(self) -> str:
        """The name of the state's schema."""
        return self.output.schema

    @property
    def notary(self) -> Identity:
        return self.output.notary


_KINDS: dict[int, Any] = {
    INPUTS: StateRef,
    OUTPUTS: Output,
    COMMANDS: Command,
    ATTACHMENTS: bytes,
    NOTARY: Identity,
    WINDOW: TimeWindow,
    SIGNERS: tuple[PublicKey, ...],
    REFERENCES: StateRef,
    PARAMETERS: bytes,
}


def component(group: int, data: bytes) -> Any:
    """The value of one component. Raises Unreadable unless `data` are its canonical bytes."""
    try:
        found = decode(_KINDS[group], data)
    except BadBytes as error:
        raise Unreadable(f"a component of group {group}: {error}") from None
    if encode(found) != data:
        raise Unreadable(f"a component of group {group} is not in canonical form")
    if group in (INPUTS, REFERENCES):
        _check_ref(found)
    if group in (ATTACHMENTS, PARAMETERS) and len(found) != merkle.HASH_BYTES:
        raise Unreadable(f"a hash of {len(found)} bytes")
    if group == WINDOW and found.since and found.until and found.since >= found.until:
        raise Unreadable("a time window that ends before it begins")
    return found


def _check_ref(ref: StateRef) -> None:
    if len(ref.transaction) != merkle.HASH_BYTES or not 0 <= ref.index < MAX_COMPONENTS:
        raise Unreadable("a reference to no possible state")


def nonce(salt: bytes, group: int, index: int) -> bytes:
    """What a component is hashed with; 32 bytes."""
    return merkle.sha256(b"\x04", salt, bytes([group]), index.to_bytes(4, "big"))


def group_hash(group: int, count: int, root: bytes) -> bytes:
    """The leaf that stands for a group in the upper tree. An absent group has count 0."""
    return merkle.leaf(bytes([group]) + count.to_bytes(4, "big") + root)


def leaves_of(salt: bytes, group: int, components: Sequence[bytes]) -> list[bytes]:
    """The leaves of a group's tree."""
    return [merkle.leaf(nonce(salt, group, index) + data) for index, data in enumerate(components)]


T = TypeVar("T")


class Transaction:
    """A transaction as it is signed: immutable, whatever it says (Corda: WireTransaction)."""

    def __init__(self, groups: Mapping[int, Sequence[bytes]], salt: bytes) -> None:
        """From the bytes of its components by group. Raises Unreadable for what has no canonical
        form or is too large; `flowrt.ledger.verifying` says whether it makes sense."""
        if len(salt) != SALT_BYTES:
            raise Unreadable(f"a salt has {SALT_BYTES} bytes")
        self.salt = salt
        self.groups: dict[int, tuple[bytes, ...]] = {
            group: tuple(groups[group]) for group in sorted(groups) if groups[group]
        }
        for group, components in self.groups.items():
            if group not in _KINDS or len(components) > MAX_COMPONENTS:
                raise Unreadable(
                    f"no transaction has {len(components)} components in group {group}"
                )
        self.encoded = encode([FORMAT, salt, [[g, list(c)] for g, c in self.groups.items()]])
        if len(self.encoded) > MAX_BYTES:
            raise Unreadable(f"a transaction of {len(self.encoded)} bytes; {MAX_BYTES} at most")

    @classmethod
    def from_bytes(cls, data: bytes) -> Transaction:
        """The transaction again. Raises Unreadable for any other bytes, also inside components."""
        if len(data) > MAX_BYTES:
            raise Unreadable(f"a transaction of {len(data)} bytes; {MAX_BYTES} at most")
        try:
            form, salt, groups = _WIRE.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Unreadable(f"not a transaction: {error}") from None
        if form != FORMAT:
            raise Unreadable(f"a transaction of format {form}; {FORMAT} is known here")
        found = cls(dict(groups), salt)
        if found.encoded != data:
            raise Unreadable("a transaction that is not in canonical form")
        found.parts  # noqa: B018 - reads every component, so that a bad one is refused here
        return found

    @functools.cached_property
    def id(self) -> bytes:
        """32 bytes: the root over all groups."""
        return merkle.root(
            [self.group_leaf(group) for group in range(GROUPS)],
        )

    def group_leaf(self, group: int) -> bytes:
        """What stands for one group in the upper tree."""
        components = self.groups.get(group, ())
        leaves = leaves_of(self.salt, group, components)
        return group_hash(group, len(leaves), merkle.root(leaves))

    @functools.cached_property
    def parts(self) -> dict[int, tuple[Any, ...]]:
        """The components of each present group as values."""
        return {
            group: tuple(component(group, data) for data in components)
            for group, components in self.groups.items()
        }

    @property
    def inputs(self) -> tuple[StateRef, ...]:
        return self.parts.get(INPUTS, ())

    @property
    def references(self) -> tuple[StateRef, ...]:
        return self.parts.get(REFERENCES, ())

    @property
    def outputs(self) -> tuple[Output, ...]:
        return self.parts.get(OUTPUTS, ())

    @property
    def commands(self) -> tuple[Command, ...]:
        return self.parts.get(COMMANDS, ())

    @property
    def signers(self) -> tuple[tuple[PublicKey, ...], ...]:
        """Who must sign for each command."""
        return self.parts.get(SIGNERS, ())

    @property
    def attachments(self) -> tuple[bytes, ...]:
        """SHA-256 of each."""
        return self.parts.get(ATTACHMENTS, ())

    @property
    def notary(self) -> Identity | None:
        found: tuple[Identity, ...] = self.parts.get(NOTARY, ())
        return found[0] if found else None

    @property
    def window(self) -> TimeWindow | None:
        found: tuple[TimeWindow, ...] = self.parts.get(WINDOW, ())
        return found[0] if found else None

    @property
    def parameters(self) -> bytes | None:
        """The hash of the network's parameters, where they are named."""
        found: tuple[bytes, ...] = self.parts.get(PARAMETERS, ())
        return found[0] if found else None

    @property
    def needs_notary(self) -> bool:
        """Whether it counts only with the notary's signature: it uses up, refers or has a time."""
        return bool(self.inputs or self.references or self.window)

    @functools.cached_property
    def required_keys(self) -> frozenset[PublicKey]:
        """All who must sign: for commands, and the notary if it is needed."""
        keys = {key for signers in self.signers for key in signers}
        if self.needs_notary and self.notary is not None:
            keys.add(self.notary.key)
        return frozenset(keys)

    @functools.cached_property
    def dependencies(self) -> tuple[bytes, ...]:
        """The ids of the transactions whose outputs it names, each once, in rising order."""
        return tuple(sorted({ref.transaction for ref in (*self.inputs, *self.references)}))

    def output(self, index: int) -> StateAndRef:
        """Output number `index` with its name. Raises IndexError."""
        if not 0 <= index < len(self.outputs):
            raise IndexError(f"the transaction has {len(self.outputs)} outputs, no number {index}")
        return StateAndRef(StateRef(self.id, index), self.outputs[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transaction) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)


_WIRE = msgspec.msgpack.Decoder(tuple[int, bytes, tuple[tuple[int, tuple[bytes, ...]], ...]])


# --- signatures -------------------------------------------------------------------------------


class BatchProof(Value, frozen=True, array_like=True, gc=False):
    """That an id is number `index` of `size` ids that were signed together, by their root."""

    index: int
    size: int
    hashes: tuple[bytes, ...]


class TransactionSignature(Value, frozen=True, array_like=True, gc=False):
    """`by` signed a transaction's id, alone or as one of a batch, under the rules `platform`."""

    by: PublicKey
    data: bytes
    platform: int = PLATFORM
    batch: BatchProof | None = None

    def check(self, transaction: bytes) -> None:
        """Raises BadSignature, BadProof unless it is a signature of the transaction of this id."""
        self.by.verify(self.data, _to_sign(self.root(transaction), self.platform, self.by.scheme))

    def root(self, transaction: bytes) -> bytes:
        """What was signed: the id, or the root of the batch that has it. Raises BadProof."""
        if self.batch is None:
            return transaction
        if not 1 < self.batch.size <= 1 << 20:
            raise BadProof("a batch of signatures has two to a million")
        leaf = merkle.leaf(transaction)
        return merkle.root_from(self.batch.size, {self.batch.index: leaf}, self.batch.hashes)


def sign(transaction: bytes, key: SigningKey) -> TransactionSignature:
    """The signature of the transaction of this id."""
    data = key.sign(_to_sign(transaction, PLATFORM, key.public.scheme))
    return TransactionSignature(key.public, data)


def sign_all(transactions: Sequence[bytes], key: SigningKey) -> list[TransactionSignature]:
    """A signature for each of the ids, made by signing once."""
    if len(transactions) == 1:
        return [sign(transactions[0], key)]
    leaves = [merkle.leaf(id) for id in transactions]
    data = key.sign(_to_sign(merkle.root(leaves), PLATFORM, key.public.scheme))
    return [
        TransactionSignature(
            key.public,
            data,
            PLATFORM,
            BatchProof(index, len(leaves), merkle.hidden(leaves, {index})),
        )
        for index in range(len(leaves))
    ]


def _to_sign(root: bytes, platform: int, scheme: int) -> bytes:
    return _SIGNED + encode([root, platform, scheme])


class SignedTransaction:
    """A transaction and the signatures that it has so far, in order of their keys. A value: adding
    a signature makes another one."""

    __slots__ = ("signatures", "transaction")

    def __init__(
        self, transaction: Transaction, signatures: Iterable[TransactionSignature] = ()
    ) -> None:
        """Of two signatures by one key the first is kept. Raises Unreadable for too many."""
        by_key: dict[PublicKey, TransactionSignature] = {}
        for signature in signatures:
            by_key.setdefault(signature.by, signature)
        if len(by_key) > MAX_SIGNATURES:
            raise Unreadable(f"more than {MAX_SIGNATURES} signatures")
        self.transaction = transaction
        self.signatures = tuple(by_key[key] for key in sorted(by_key))

    @property
    def id(self) -> bytes:
        return self.transaction.id

    @property
    def notary(self) -> Identity | None:
        return self.transaction.notary

    @property
    def inputs(self) -> tuple[StateRef, ...]:
        return self.transaction.inputs

    @property
    def signers(self) -> frozenset[PublicKey]:
        """Whose signatures are there; whether they are good is not said."""
        return frozenset(signature.by for signature in self.signatures)

    def plus(self, *signatures: TransactionSignature) -> SignedTransaction:
        """With these as well."""
        return SignedTransaction(self.transaction, (*self.signatures, *signatures))

    def missing(self, without: Collection[PublicKey] = ()) -> tuple[PublicKey, ...]:
        """Required keys that have not signed, but for those of `without`, in order."""
        signers = self.signers
        return tuple(
            key
            for key in sorted(self.transaction.required_keys)
            if key not in without and not key.is_fulfilled_by(signers)
        )

    def check_signatures(self, without: Collection[PublicKey] = ()) -> None:
        """That all required keys but those of `without` have signed, and that every signature that
        is there is good.

        Raises:
            SignaturesMissing: before any signature is looked at.
            BadSignature: one that is not good, or BadProof, of a batch that does not have the id.
        """
        missing = self.missing(without)
        if missing:
            raise SignaturesMissing(tuple(key.text for key in missing), self.id.hex())
        for signature in self.signatures:
            signature.check(self.id)

    def to_flow(self) -> bytes:
        """Its canonical bytes, which are also those on the wire."""
        return encode([self.transaction.encoded, self.signatures])

    @classmethod
    def from_flow(cls, data: bytes) -> SignedTransaction:
        """The transaction again. Raises Unreadable."""
        try:
            encoded, signatures = decode(tuple[bytes, tuple[TransactionSignature, ...]], data)
        except BadBytes as error:
            raise Unreadable(f"not a signed transaction: {error}") from None
        return cls(Transaction.from_bytes(encoded), signatures)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SignedTransaction):
            return NotImplemented
        return (self.transaction, self.signatures) == (other.transaction, other.signatures)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"SignedTransaction({self.id.hex()[:16]}, {len(self.signatures)} signatures)"


# --- as contracts see it ----------------------------------------------------------------------

St = TypeVar("St", bound=State)
Cm = TypeVar("Cm", bound=CommandData)


@dataclasses.dataclass(frozen=True)
class SignedCommand:
    """A command and who must sign for it."""

    value: CommandData
    signers: tuple[PublicKey, ...]


@dataclasses.dataclass(frozen=True)
class LedgerTransaction:
    """A transaction with everything that it names: what a contract judges."""

    id: bytes
    inputs: tuple[State, ...]
    outputs: tuple[State, ...]
    commands: tuple[SignedCommand, ...]
    references: tuple[State, ...]
    notary: Identity | None
    window: TimeWindow | None
    attachments: Mapping[bytes, bytes]

    def inputs_of(self, kind: type[St]) -> list[St]:
        return [state for state in self.inputs if isinstance(state, kind)]

    def outputs_of(self, kind: type[St]) -> list[St]:
        return [state for state in self.outputs if isinstance(state, kind)]

    def commands_of(self, kind: type[Cm]) -> list[SignedCommand]:
        return [command for command in self.commands if isinstance(command.value, kind)]

    def signers_of(self, kind: type[CommandData]) -> frozenset[PublicKey]:
        """All who must sign for commands of a kind."""
        return frozenset(key for command in self.commands_of(kind) for key in command.signers)
