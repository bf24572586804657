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
import hashlib
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

import msgspec

from flowrt.core.declared import Value
from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger import merkle
from flowrt.ledger.keys import COMPOSITE, PublicKey
from flowrt.ledger.problems import SignaturesMissing, Unreadable
from flowrt.ledger.signatures import PLATFORM as PLATFORM
from flowrt.ledger.signatures import BatchProof as BatchProof
from flowrt.ledger.signatures import GoodSignatures as GoodSignatures
from flowrt.ledger.signatures import TransactionSignature as TransactionSignature
from flowrt.ledger.signatures import sign as sign
from flowrt.ledger.signatures import sign_all as sign_all
from flowrt.ledger.states import CommandData, State
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef, TimeWindow

FORMAT: Final = 1

INPUTS, OUTPUTS, COMMANDS, ATTACHMENTS, NOTARY, WINDOW, SIGNERS, REFERENCES, PARAMETERS = range(9)
GROUPS: Final = 9

MAX_BYTES = 512 * 1024
"""The largest transaction, without its signatures."""

MAX_COMPONENTS = 10_000
"""The most components of one group, and the most inputs and references together."""

MAX_COMMANDS = 256
MAX_ATTACHMENTS = 16
MAX_SIGNATURES = 128
"""The most signatures of a transaction, signers of a command and keys that must sign."""

MAX_SIGNED_BYTES = MAX_BYTES + 128 * 1024
"""The largest transaction with its signatures."""

KNOWN = 1024
KNOWN_BYTES = 4096
"""So many transactions, of so many bytes at most, are read once and known by their bytes then: one
passes through several steps, each of which reads it. What is known so is what the bytes say; that
it is signed or accepted never is."""

KNOWN_COMPONENT_BYTES = 512
"""So with components, of which many transactions have the same: who notarises, who signs."""

SALT_BYTES = 32

NOTARY_CHANGE: Final = "ledger.NotaryChange"
"""The schema of the command of a transaction that moves states to another notary, unchanged."""

MAX_PARTY_NAME = 256

_MOST = {
    INPUTS: MAX_COMPONENTS,
    OUTPUTS: MAX_COMPONENTS,
    COMMANDS: MAX_COMMANDS,
    ATTACHMENTS: MAX_ATTACHMENTS,
    NOTARY: 1,
    WINDOW: 1,
    SIGNERS: MAX_COMMANDS,
    REFERENCES: MAX_COMPONENTS,
    PARAMETERS: 1,
}
"""How many components each group has at most."""

# Names are ASCII, so that none looks like another; \Z, as $ would allow a line's end.
SchemaName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,199}\Z")]
ContractName: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,199}_v[1-9][0-9]{0,5}\Z")
]
Version: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=999_999)]
OutputNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=MAX_COMPONENTS)]


class Output(Value, frozen=True, array_like=True, gc=False):
    """A state as it is written: its schema and bytes, the contract that judges it (a versioned
    name), the notary that guards it. `encumbrance` is the number of an output without which it
    cannot be spent."""

    schema: SchemaName
    version: Version
    data: bytes
    contract: ContractName
    notary: Identity
    encumbrance: OutputNumber | None = None

    @property
    def contract_version(self) -> tuple[str, int]:
        """The contract's name and its version."""
        return _versioned(self.contract)


@functools.lru_cache(maxsize=256)
def _versioned(contract: str) -> tuple[str, int]:
    name, _, version = contract.rpartition("_v")
    return name, int(version)


class Command(Value, frozen=True, array_like=True, gc=False):
    """A command as it is written. Who must sign for it stands apart, in the group of signers."""

    schema: SchemaName
    version: Version
    data: bytes


class StateAndRef(Value, frozen=True, array_like=True, gc=False):
    """An output together with its name."""

    flow_never_changes: ClassVar = True

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
    SIGNERS: Annotated[
        tuple[PublicKey, ...], msgspec.Meta(min_length=1, max_length=MAX_SIGNATURES)
    ],
    REFERENCES: StateRef,
    PARAMETERS: bytes,
}


_CALLED = (
    "input", "output", "command", "attachment", "notary", "time window", "list of signers",
    "reference", "hash of the network's parameters",
)  # fmt: skip
"""What one component of each group is called."""

# What could make a line of a log look like another: controls, and marks that turn or hide text.
_NOT_IN_NAMES = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)


def component(group: int, data: bytes) -> Any:
    """The value of one component. Raises Unreadable unless `data` are its canonical bytes."""
    return (_known_component if len(data) <= KNOWN_COMPONENT_BYTES else _component)(group, data)


def _component(group: int, data: bytes) -> Any:
    try:
        found = decode(_KINDS[group], data)
        canonical = encode(found) == data
    except BadBytes as error:
        raise Unreadable(f"not a transaction's {_CALLED[group]}: {error}") from None
    if not canonical:
        raise Unreadable(f"a transaction's {_CALLED[group]} is not in canonical form")
    if group in (INPUTS, REFERENCES):
        if len(found.transaction) != merkle.HASH_BYTES or not 0 <= found.index < MAX_COMPONENTS:
            raise Unreadable("a reference to no possible state")
    elif group == OUTPUTS:
        _check_name(found.notary.party.name)
    elif group == NOTARY:
        _check_name(found.party.name)
    elif group == WINDOW:
        _check_window(found)
    elif group == SIGNERS:
        if any(low >= high for low, high in itertools.pairwise(key.encoded for key in found)):
            raise Unreadable("the signers of a command stand once each, in rising order")
    elif group in (ATTACHMENTS, PARAMETERS):
        if len(found) != merkle.HASH_BYTES:
            raise Unreadable(f"a hash has {merkle.HASH_BYTES} bytes, not {len(found)}")
    return found


_known_component = functools.lru_cache(maxsize=KNOWN)(_component)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_PARTY_NAME or _NOT_IN_NAMES.search(name):
        raise Unreadable(
            f"a party's name has 1 to {MAX_PARTY_NAME} characters, none of which is hidden"
        )


def _check_window(window: TimeWindow) -> None:
    if window.since is None and window.until is None:
        raise Unreadable("a time window has a beginning or an end")
    if window.since is not None and window.until is not None and window.since >= window.until:
        raise Unreadable("a time window ends after it begins")


def nonce(salt: bytes, group: int, index: int) -> bytes:
    """What a component is hashed with; 32 bytes."""
    return merkle.sha256(b"\x04", salt, bytes([group]), index.to_bytes(4, "big"))


def group_hash(group: int, count: int, root: bytes) -> bytes:
    """The leaf that stands for a group in the upper tree. An absent group has count 0."""
    return merkle.leaf(bytes([group]) + count.to_bytes(4, "big") + root)


def leaves_of(salt: bytes, group: int, components: Sequence[bytes]) -> list[bytes]:
    """The leaves of a group's tree: `merkle.leaf(nonce(…) + data)`, written out as it runs most."""
    prefix = b"\x04" + salt + bytes([group])
    return [
        hashlib.sha256(
            b"\x00" + hashlib.sha256(prefix + index.to_bytes(4, "big")).digest() + data
        ).digest()
        for index, data in enumerate(components)
    ]


_ABSENT = [group_hash(group, 0, merkle.root(())) for group in range(GROUPS)]
"""What stands for each group that a transaction does not have."""


class Transaction:
    """A transaction as it is signed: immutable, whatever it says (Corda: WireTransaction)."""

    def __init__(self, groups: Mapping[int, Sequence[bytes]], salt: bytes) -> None:
        """From the bytes of its components by group. Raises Unreadable for what has no canonical
        form or is too large; `flowrt.ledger.verifying` says whether it makes sense."""
        if type(salt) is not bytes or len(salt) != SALT_BYTES:
            raise Unreadable(f"a salt has {SALT_BYTES} bytes")
        self.salt = salt
        self.groups: dict[int, tuple[bytes, ...]] = {
            group: tuple(groups[group]) for group in sorted(groups) if groups[group]
        }
        for group, components in self.groups.items():
            if group not in _MOST:
                raise Unreadable(f"a transaction has no group {group}")
            if len(components) > _MOST[group]:
                raise Unreadable(
                    f"a transaction has at most {_MOST[group]} times {_CALLED[group]}, "
                    f"not {len(components)}"
                )
        self.encoded = _ENCODER.encode((FORMAT, salt, tuple(self.groups.items())))
        if len(self.encoded) > MAX_BYTES:
            raise Unreadable(f"a transaction of {len(self.encoded)} bytes; {MAX_BYTES} at most")

    @classmethod
    def from_bytes(cls, data: bytes) -> Transaction:
        """The transaction again. Raises Unreadable for any other bytes, also inside components."""
        if len(data) > MAX_BYTES:
            raise Unreadable(f"a transaction of {len(data)} bytes; {MAX_BYTES} at most")
        return _read(data) if len(data) <= KNOWN_BYTES else cls._parsed(data)

    @classmethod
    def _parsed(cls, data: bytes) -> Transaction:
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
        return merkle.root(self.group_leaves)

    @functools.cached_property
    def group_leaves(self) -> tuple[bytes, ...]:
        """What stands for each group in the upper tree."""
        return tuple([self.group_leaf(group) for group in range(GROUPS)])

    def group_leaf(self, group: int) -> bytes:
        """What stands for one group in the upper tree."""
        components = self.groups.get(group)
        if components is None:
            return _ABSENT[group]
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

    @property
    def changes_notary(self) -> bool:
        """Whether it says that it moves states to another notary, which `verifying` then judges."""
        return any(command.schema == NOTARY_CHANGE for command in self.commands)

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


@functools.lru_cache(maxsize=KNOWN)
def _read(data: bytes) -> Transaction:
    built = _built.pop(data, None)
    return Transaction._parsed(data) if built is None else built


_built: dict[bytes, Transaction] = {}
"""What was built in this process and not read yet, by its bytes."""


def built(transaction: Transaction) -> Transaction:
    """The same, known now when its bytes are read: who built it gets it back, with its id and its
    parts, unless reading would refuse them."""
    if len(transaction.encoded) <= KNOWN_BYTES:
        try:
            transaction.parts  # noqa: B018 - reads every component, as `_parsed` does
        except Unreadable:
            return transaction
        if len(_built) >= KNOWN:
            _built.clear()
        _built[transaction.encoded] = transaction
    return transaction


_ENCODER = msgspec.msgpack.Encoder()
_WIRE = msgspec.msgpack.Decoder(tuple[int, bytes, tuple[tuple[int, tuple[bytes, ...]], ...]])


# --- signed ---------------------------------------------------------------------------------------


_Signed = tuple[
    bytes, Annotated[tuple[TransactionSignature, ...], msgspec.Meta(max_length=MAX_SIGNATURES)]
]


class SignedTransaction:
    """A transaction and the signatures that it has so far, in order of their keys. A value: adding
    a signature makes another one."""

    __slots__ = ("_encoded", "_signers", "signatures", "transaction")
    flow_never_changes: Final = True

    def __init__(
        self, transaction: Transaction, signatures: Iterable[TransactionSignature] = ()
    ) -> None:
        """Of two signatures by one key the first is kept. Raises Unreadable for too many, and for
        one by a composite key, whose leaves sign."""
        by_key: dict[PublicKey, TransactionSignature] = {}
        for signature in signatures:
            by_key.setdefault(signature.by, signature)
            if signature.by.scheme == COMPOSITE:
                raise Unreadable("a composite key signs by its leaves")
        if len(by_key) > MAX_SIGNATURES:
            raise Unreadable(f"more than {MAX_SIGNATURES} signatures")
        self.transaction = transaction
        self.signatures = (
            tuple([by_key[key] for key in sorted(by_key)])
            if len(by_key) > 1
            else tuple(by_key.values())
        )
        self._signers = frozenset(by_key)
        self._encoded: bytes | None = None

    @property
    def id(self) -> bytes:
        return self.transaction.id

    @property
    def id_(self) -> bytes:
        """The same, as generated code names the field `id`, which Python has built in."""
        return self.id

    @property
    def notary(self) -> Identity | None:
        return self.transaction.notary

    @property
    def inputs(self) -> tuple[StateRef, ...]:
        return self.transaction.inputs

    @property
    def signers(self) -> frozenset[PublicKey]:
        """Whose signatures are there; whether they are good is not said."""
        return self._signers

    def plus(self, *signatures: TransactionSignature) -> SignedTransaction:
        """With these as well."""
        return SignedTransaction(self.transaction, (*self.signatures, *signatures))

    def missing(self, without: Collection[PublicKey] = ()) -> tuple[PublicKey, ...]:
        """Required keys that have not signed, but for those of `without`, in order."""
        signers = self._signers
        left = self.transaction.required_keys.difference(signers, without)
        if not left:
            return ()
        return tuple([key for key in sorted(left) if not key.is_fulfilled_by(signers)])

    def check_signatures(
        self, without: Collection[PublicKey] = (), memory: GoodSignatures | None = None
    ) -> None:
        """That all required keys but those of `without` have signed, and that every signature that
        is there is good. `memory` is its owner's, who then checks none twice.

        Raises:
            SignaturesMissing: before any signature is looked at.
            BadSignature: one that is not good, or BadProof, of a batch that does not have the id.
        """
        missing = self.missing(without)
        if missing:
            raise SignaturesMissing(tuple(key.text for key in missing), self.id.hex())
        for signature in self.signatures:
            signature.check(self.id, memory)

    def to_flow(self) -> bytes:
        """Its canonical bytes, which are also those on the wire."""
        if self._encoded is None:
            self._encoded = encode((self.transaction.encoded, self.signatures))
        return self._encoded

    @classmethod
    def from_flow(cls, data: bytes) -> SignedTransaction:
        """The transaction again. Raises Unreadable unless these are its canonical bytes."""
        if len(data) > MAX_SIGNED_BYTES:
            raise Unreadable(
                f"a signed transaction of {len(data)} bytes; {MAX_SIGNED_BYTES} at most"
            )
        return _read_signed(data) if len(data) <= KNOWN_BYTES else cls._parsed(data)

    @classmethod
    def _parsed(cls, data: bytes) -> SignedTransaction:
        try:
            encoded, signatures = decode(_Signed, data)
        except BadBytes as error:
            raise Unreadable(f"not a signed transaction: {error}") from None
        found = cls(Transaction.from_bytes(encoded), signatures)
        if found.to_flow() != data:
            raise Unreadable("a signed transaction that is not in canonical form")
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SignedTransaction):
            return NotImplemented
        return (self.transaction, self.signatures) == (other.transaction, other.signatures)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"SignedTransaction({self.id.hex()[:16]}, {len(self.signatures)} signatures)"


@functools.lru_cache(maxsize=KNOWN)
def _read_signed(data: bytes) -> SignedTransaction:
    return SignedTransaction._parsed(data)


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
