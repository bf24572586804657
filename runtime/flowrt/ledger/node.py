"""What makes a node one of a ledger: its keys, the network, its vault, its way to notaries.

Puts the services together that the library's flows use; holds nothing itself and knows no store.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from flowrt.core.flow import Tx
from flowrt.core.registry import Registry
from flowrt.ledger.backchain import Backchain
from flowrt.ledger.identity.directory import Network
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.identity.networkmap import NetworkMap
from flowrt.ledger.identity.signing import RECOVERED, Keys
from flowrt.ledger.notary.service import Notaries, Notary
from flowrt.ledger.signatures import GoodSignatures
from flowrt.ledger.states import Rulebook
from flowrt.ledger.vault.service import Vault
from flowrt.stdlib.ledger import (
    core_flow,
    finality_flow,
    identities_flow,
    keys_flow,
    network_flow,
    notary_change_flow,
    notary_flow,
    signatures_flow,
    transactions_flow,
    vault_flow,
)
from flowrt.stdlib.ledger.core_flow import NotaryUnknown
from flowrt.stdlib.ledger.parts_flow import Identity

MODULES: tuple[ModuleType, ...] = (
    core_flow,
    finality_flow,
    identities_flow,
    keys_flow,
    network_flow,
    notary_change_flow,
    notary_flow,
    signatures_flow,
    transactions_flow,
    vault_flow,
)
"""The library's modules: what others start at a node by them, it answers."""


GOOD_SIGNATURES = 65_536
"""How many signatures a node remembers as good."""


class Ledger:
    """The services of one node, made anew for each process.

    rules = Rulebook([cash, paper])
    ledger = Ledger(KeyStore.open(path, passphrase), map, rules)
    modules = ledger.modules(trade_flow)
    node = await Node.open(
        "alice", modules=modules, services={**ledger.services(modules), "Desk": desk}, …
    )

    Attributes:
        keys, network, vault, notaries, backchain: the services, also for an author's own, which
            call their methods with their step's transaction.
    """

    def __init__(
        self,
        keys: KeyStore,
        map_: NetworkMap,
        rules: Rulebook,
        *,
        notary: Notary | None = None,
        history: int = 10_000,
        history_bytes: int = 64 * 1024 * 1024,
        discreet: bool = False,
        recovered: int = RECOVERED,
    ) -> None:
        """`notary` makes it a notary's node. One flow fetches a history of at most so many
        transactions and bytes; `discreet` asks for all of it each time, so that nobody learns from
        the questions what this node has. `recovered`: how many pseudonyms are made between two
        backups of its database, at most."""
        self.rules = rules
        self.network = Network(map_)
        # What one of the services found good, or has signed itself, the others need not verify.
        good = GoodSignatures(GOOD_SIGNATURES)
        self.keys = Keys(keys, self.network, rules, good, recovered)
        self._notaries: set[Identity] = set()
        self.vault = Vault(rules, self.keys.is_ours, self._knows_notary, good)
        self.notaries = Notaries(self.keys, notary, rules, good)
        self.backchain = Backchain(
            self.vault, transactions=history, size=history_bytes, discreet=discreet
        )

    @staticmethod
    def modules(*own: ModuleType) -> tuple[ModuleType, ...]:
        """All modules of a node: the library's, and its own."""
        return (*MODULES, *(module for module in own if module not in MODULES))

    def services(self, modules: Iterable[ModuleType] | Registry) -> dict[str, object]:
        """Those of the ledger's services that the modules use, by name, as `Node.open` wants
        them."""
        known = modules if isinstance(modules, Registry) else Registry(modules)
        used = {key.name for key in known.services()}
        return {name: found for name, found in self._named().items() if name in used}

    def _named(self) -> dict[str, object]:
        return {
            "ledger.network.Network": self.network,
            "ledger.keys.Keys": self.keys,
            "ledger.vault.Vault": self.vault,
            "ledger.notary.Notaries": self.notaries,
            "ledger.transactions.Backchain": self.backchain,
        }

    def _knows_notary(self, tx: Tx, notary: Identity) -> bool:
        """Whether the network has, or had, a notary of this name and key. What was one stays known,
        so it is looked up once."""
        if notary in self._notaries:
            return True
        try:
            self.network.is_validating(tx, notary.party)
        except NotaryUnknown:
            return False
        if self.network.party_of(tx, notary.key) != notary.party:
            return False
        self._notaries.add(notary)
        return True
