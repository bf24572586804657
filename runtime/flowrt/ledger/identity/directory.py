"""The service `Network`: who takes part, and whose a key is. Holds no private key.

It goes by the newest map, and by the register, which has what was learned.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Final

from flowrt.core.flow import Party, Tx
from flowrt.core.values import decode, encode
from flowrt.ledger.identity import register
from flowrt.ledger.identity.certificates import CertificateRefused
from flowrt.ledger.identity.claims import Pseudonym
from flowrt.ledger.identity.networkmap import MapRefused, NetworkMap, NotaryEntry, Stale
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import BadSignature, LedgerError
from flowrt.stdlib.ledger.core_flow import NotaryUnknown, TooLarge, UnknownParty
from flowrt.stdlib.ledger.network_flow import MapNotAccepted, NetworkParameters, PseudonymRefused
from flowrt.stdlib.ledger.parts_flow import Identity

MOST_PSEUDONYMS: Final = 1_000_000
"""How many pseudonyms of one party a node learns, unless it is told otherwise: about 100 MB."""

REMEMBERED: Final = 4096
"""How many claims are remembered as good, so that none is checked twice in a row."""


class Network:
    """The network as one node knows it."""

    def __init__(self, map_: NetworkMap, *, most_pseudonyms: int = MOST_PSEUDONYMS) -> None:
        """`map_` is the map to begin with; where the node's database has a newer one, that counts.
        Its root is the one thing that is trusted without proof."""
        self._known = map_
        self._first = map_
        # Nobody but this process replaces the map in the database, so it is read once; after it was
        # replaced, in a step that may still be undone, it is asked for each time.
        self._is_replaced = self._is_read = False
        self._most_pseudonyms = most_pseudonyms
        self._good: collections.OrderedDict[bytes, None] = collections.OrderedDict()

    def setup(self, tx: Tx) -> None:
        """Make the tables, and take the map if it is newer than the one that is there. Raises
        LedgerError if the database is another network's, or the map may not replace that one."""
        register.set_up(tx)
        row = register.newest_map(tx)
        if row is None:
            self._take(tx, self._first)
        else:
            # Raises MapRefused if the map that is kept is under another root than ours.
            try:
                self._first.check_succeeds(self.current(tx))
            except Stale:
                return
            self._take(tx, self._first)

    @property
    def name(self) -> bytes:
        """The fingerprint of the network's root."""
        return self._first.network

    def current(self, tx: Tx) -> NetworkMap:
        """The newest map, as of this step."""
        if self._is_read:
            return self._known
        row = register.newest_map(tx)
        if row is None:
            raise LedgerError("there is no network map: the service was not set up")
        if row.digest != self._known.digest:
            if row.digest == self._first.digest:
                self._known = self._first
            else:
                self._known = NetworkMap(register.map_bytes(tx), self._first.root)
        self._is_read = not self._is_replaced
        return self._known

    @property
    def newest(self) -> NetworkMap:
        """The newest map that a step has seen: for connections, which ask outside of steps."""
        return self._known

    # --- parties ---

    def identity(self, tx: Tx, of: Party) -> Identity:
        """A party that is in the map and certified now, with its key. Raises UnknownParty."""
        key = self.current(tx).key(of.name, tx.now)
        if key is None:
            raise UnknownParty(of.name)
        return Identity(of, key)

    def parties(self, tx: Tx) -> tuple[Party, ...]:
        """All who are in the map and certified now, by name."""
        found = self.current(tx)
        return tuple(Party(name) for name in found.entries if found.key(name, tx.now) is not None)

    def addresses(self, tx: Tx, of: Party) -> tuple[str, ...]:
        """Where a party is reached; what they mean is the transport's business. Raises
        UnknownParty."""
        self.identity(tx, of)
        return self.current(tx).entries[of.name].addresses

    def party_of(self, tx: Tx, key: PublicKey) -> Party | None:
        """Whose a key is: a well-known one of this or an older map, or a pseudonym that was
        learned, or one of ours."""
        found = register.holder(tx, key)
        return Party(found.party) if found is not None else None

    # --- notaries and parameters ---

    def notaries(self, tx: Tx) -> tuple[Party, ...]:
        """The notaries of the map, in its order, that are certified now."""
        found = self.current(tx)
        return tuple(Party(name) for name in found.notaries if found.key(name, tx.now) is not None)

    def is_notary(self, tx: Tx, who: Party) -> bool:
        """Whether the map lists a notary, certified now. One that was delisted is none."""
        found = self.current(tx)
        return who.name in found.notaries and found.key(who.name, tx.now) is not None

    def is_validating(self, tx: Tx, notary: Party) -> bool:
        """Whether a notary sees whole transactions; of a delisted one, how it was. Raises
        NotaryUnknown."""
        return self._notary(tx, notary).validating

    def workers(self, tx: Tx, notary: Party) -> tuple[Party, ...]:
        """The nodes that answer for a notary; of a delisted one, those that did. Raises
        NotaryUnknown."""
        found = self._notary(tx, notary)
        return tuple(map(Party, found.workers or (found.name,)))

    def parameters(self, tx: Tx) -> NetworkParameters:
        """The rules that all parties keep now."""
        found = self.current(tx).parameters
        return NetworkParameters(
            found.hash, found.version, found.minimum_platform, found.max_transaction_bytes
        )

    def knows_parameters(self, tx: Tx, digest: bytes) -> bool:
        """Whether these were the network's parameters, now or in an older map."""
        return register.parameters(tx, digest) is not None

    def _notary(self, tx: Tx, notary: Party) -> NotaryEntry:
        found = self.current(tx).notaries.get(notary.name)
        if found is None:
            data = register.notary(tx, notary.name)
            if data is None:
                raise NotaryUnknown(notary.name)
            found = decode(NotaryEntry, data)
        return found

    # --- pseudonyms ---

    def proves(self, tx: Tx, claim: Pseudonym, of: Party) -> bool:
        """Whether a claim is true: it is `of`'s in this network, by its key of now, both keys have
        signed, and the key is nobody else's."""
        return claim.party == of and self._objection(tx, claim) is None

    def unproven(self, tx: Tx, keys: Sequence[PublicKey], of: Party) -> tuple[PublicKey, ...]:
        """Those of the keys that are not known as `of`'s, in their order. Whether one of them is
        known as somebody else's, `of` cannot tell by it."""
        found = ((key, register.holder(tx, key)) for key in keys)
        return tuple(key for key, holder in found if holder is None or holder.party != of.name)

    def learn(self, tx: Tx, claim: Pseudonym) -> None:
        """Keep whose a pseudonym is. Learning one again changes nothing.

        Raises:
            PseudonymRefused: the claim is not true.
            TooLarge: the party has claimed too many.
        """
        objection = self._objection(tx, claim)
        if objection is not None:
            raise PseudonymRefused(claim.party, objection)
        if register.holder(tx, claim.key) is not None:
            return
        if register.learned(tx, claim.party.name) >= self._most_pseudonyms:
            raise TooLarge(f"more than {self._most_pseudonyms} pseudonyms of {claim.party.name}")
        register.keep(tx, claim.key, claim.party.name, register.PSEUDONYM)
        register.count_learned(tx, claim.party.name)

    def _objection(self, tx: Tx, claim: Pseudonym) -> str | None:
        """Why a claim is not true; None if it is."""
        if claim.network != self.name:
            return "it is about another network"
        # A key that was rotated may be in wrong hands: only the one of now makes claims.
        if self.current(tx).key(claim.party.name, tx.now) != claim.identity:
            return "it is not by the party's key in the network map"
        found = register.holder(tx, claim.key)
        if found is not None and found.party != claim.party.name:
            return "the key is known as somebody else's"
        data = claim.to_flow()
        if data not in self._good:
            try:
                claim.check()
            except BadSignature:
                return "a signature under it is not good"
            self._good[data] = None
            if len(self._good) > REMEMBERED:
                self._good.popitem(last=False)
        return None

    # --- a new map ---

    def accept(self, tx: Tx, data: bytes) -> int:
        """Take a new map in the place of the one that is there; its serial number. What older maps
        told of keys, notaries and parameters stays known. Raises MapNotAccepted, which leaves all
        as it was."""
        try:
            found = NetworkMap(data, self._first.root)
            found.operator.check_time(tx.now)
            found.check_succeeds(self.current(tx))
            self._is_replaced = True
            self._take(tx, found)
        except (MapRefused, CertificateRefused) as error:
            raise MapNotAccepted(str(error)) from None
        return found.serial

    def _take(self, tx: Tx, found: NetworkMap) -> None:
        self._is_read = False
        newcomers = []
        for name in found.entries:
            certified = found.certified(name)
            assert certified is not None
            known = register.holder(tx, certified.key)
            if known is not None and known.party != name:
                # Whose a learned pseudonym is, only its holder said; the map is certified.
                if known.kind == register.WELL_KNOWN or known.number is not None:
                    raise MapRefused(f"the key of {name} was {known.party}'s")
                newcomers.append((certified.key, name))
            elif known is None or (known.kind != register.WELL_KNOWN and known.number is None):
                newcomers.append((certified.key, name))
        for key, name in newcomers:
            register.keep(tx, key, name, register.WELL_KNOWN)
        for notary in found.notaries.values():
            register.keep_notary(tx, notary.name, found.serial, encode(notary))
        register.keep_parameters(tx, found.parameters.hash, found.serial, encode(found.parameters))
        register.replace_map(tx, found.serial, found.digest, int(tx.now.timestamp()), found.data)
