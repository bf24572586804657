"""A transaction of which only parts are shown, and the proof that they are parts of it.

What a notary sees that is not to know the rest, and who is asked to sign for one fact alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from flowrt.core.declared import Value
from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger import merkle
from flowrt.ledger.problems import BadProof, Unreadable
from flowrt.ledger.signatures import Hash
from flowrt.ledger.transactions import (
    GROUPS,
    INPUTS,
    MAX_BYTES,
    MAX_COMPONENTS,
    NOTARY,
    PARAMETERS,
    REFERENCES,
    WINDOW,
    OutputNumber,
    Transaction,
    component,
    group_hash,
    leaves_of,
    nonce,
)

FOR_NOTARY = (INPUTS, REFERENCES, WINDOW, NOTARY, PARAMETERS)
"""What a notary must see to judge who used up what, and when."""


class Shown(Value, frozen=True, array_like=True, gc=False):
    """One component that is shown: its number in the group, its nonce, its bytes."""

    index: OutputNumber
    nonce: Hash
    data: bytes


class ShownGroup(Value, frozen=True, array_like=True, gc=False):
    """A group of `count` components of which some are shown; `hidden` stands for the others."""

    group: Annotated[int, msgspec.Meta(ge=0, lt=GROUPS)]
    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_COMPONENTS)]
    shown: tuple[Shown, ...]
    hidden: tuple[Hash, ...]


class _Wire(Value, frozen=True, array_like=True, gc=False):
    id: Hash
    groups: Annotated[tuple[ShownGroup, ...], msgspec.Meta(min_length=1, max_length=GROUPS)]
    hidden: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=GROUPS)]


class FilteredTransaction:
    """Parts of the transaction `id`. One that exists is proved: its parts lead to that id."""

    __slots__ = ("_encoded", "_wire", "groups")
    flow_never_changes: Final = True

    def __init__(self, wire: _Wire) -> None:
        """Raises BadProof, Unreadable."""
        _prove(wire)
        self._read(wire)

    @classmethod
    def _taken(cls, wire: _Wire) -> FilteredTransaction:
        """What was just taken out of a whole transaction needs no proof."""
        found = cls.__new__(cls)
        found._read(wire)
        return found

    def _read(self, wire: _Wire) -> None:
        self._wire = wire
        self._encoded: bytes | None = None
        self.groups: dict[int, dict[int, Any]] = {}
        for group in wire.groups:
            self.groups[group.group] = {
                one.index: component(group.group, one.data) for one in group.shown
            }

    @property
    def id(self) -> bytes:
        return self._wire.id

    def all_of(self, group: int) -> tuple[Any, ...]:
        """All components of a group. Raises BadProof if some are hidden, or all are."""
        for found in self._wire.groups:
            if found.group == group:
                if len(found.shown) != found.count:
                    raise BadProof(f"components of group {group} are hidden")
                return tuple(self.groups[group][index] for index in range(found.count))
        raise BadProof(f"group {group} is hidden")

    def to_flow(self) -> bytes:
        """Its canonical bytes."""
        if self._encoded is None:
            self._encoded = encode(self._wire)
        return self._encoded

    @classmethod
    def from_flow(cls, data: bytes) -> FilteredTransaction:
        """The parts again. Raises Unreadable, BadProof."""
        if len(data) > MAX_BYTES:
            raise Unreadable(f"{len(data)} bytes; {MAX_BYTES} at most")
        try:
            wire = decode(_Wire, data)
        except BadBytes as error:
            raise Unreadable(f"not a filtered transaction: {error}") from None
        if encode(wire) != data:
            raise Unreadable("a filtered transaction that is not in canonical form")
        found = cls(wire)
        found._encoded = data
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilteredTransaction) and self._wire == other._wire

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"FilteredTransaction({self.id.hex()[:16]})"


def filtered(transaction: Transaction, wanted: Callable[[int, Any], bool]) -> FilteredTransaction:
    """Of a transaction the components for which `wanted(group, value)`; of a group that has none,
    nothing but its hash. Groups that are absent are shown to be absent."""
    groups: list[ShownGroup] = []
    for group in range(GROUPS):
        components = transaction.groups.get(group, ())
        values = transaction.parts.get(group, ())
        chosen = {index for index, value in enumerate(values) if wanted(group, value)}
        if components and not chosen:
            continue
        shown = tuple(
            Shown(index, nonce(transaction.salt, group, index), components[index])
            for index in sorted(chosen)
        )
        hidden: tuple[bytes, ...] = ()
        if len(chosen) < len(components):
            leaves = leaves_of(transaction.salt, group, components)
            hidden = merkle.hidden(leaves, chosen)
        groups.append(ShownGroup(group, len(components), shown, hidden))
    hidden = merkle.hidden(transaction.group_leaves, {group.group for group in groups})
    return FilteredTransaction._taken(_Wire(transaction.id, tuple(groups), hidden))


def for_notary(transaction: Transaction) -> FilteredTransaction:
    """What a notary that does not validate is shown."""
    return filtered(transaction, lambda group, _: group in FOR_NOTARY)


def _prove(wire: _Wire) -> None:
    upper: dict[int, bytes] = {}
    for group in wire.groups:
        numbers = [one.index for one in group.shown]
        if numbers != sorted(set(numbers)) or not 0 <= group.count <= MAX_COMPONENTS:
            raise BadProof("components of a group out of order, twice, or too many")
        if group.group in upper or not 0 <= group.group < GROUPS:
            raise BadProof("a group twice, or not one of a transaction's")
        if group.count and not numbers:
            raise BadProof(f"group {group.group} shows nothing")
        if any(len(one.nonce) != merkle.HASH_BYTES for one in group.shown):
            raise BadProof("a nonce of another length")
        known = {one.index: merkle.leaf(one.nonce + one.data) for one in group.shown}
        root = merkle.root_from(group.count, known, group.hidden)
        upper[group.group] = group_hash(group.group, group.count, root)
    if list(upper) != sorted(upper) or not upper:
        raise BadProof("groups out of order, or none")
    if merkle.root_from(GROUPS, upper, wire.hidden) != wire.id:
        raise BadProof("the parts do not lead to the transaction's id")
