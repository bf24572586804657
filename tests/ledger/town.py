"""A small network for tests of who is who: its root, its operator, its parties, their databases."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from flowrt.core.flow import Party
from flowrt.ledger.identity.certificates import Authority, Usage
from flowrt.ledger.identity.directory import Network
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.identity.networkmap import (
    Entry,
    NetworkMap,
    NotaryEntry,
    Parameters,
    entry,
    publish,
)
from flowrt.ledger.identity.signing import Keys
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.states import Rulebook
from flowrt.services import StepTx, set_up
from flowrt.store.memory import MemoryStore

SINCE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)
NOW_US = 1_800_000_000_000_000
NOW = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=NOW_US)


class Town:
    """A network whose secrets the test has."""

    def __init__(self, *parties: str, seed: str = "town", notaries: Iterable[str] = ()) -> None:
        self.secrets = KeyStore.derive(f"{seed} root".encode())
        self.root = Authority.root("O=Town, C=GB", self.secrets.identity(), SINCE, UNTIL)
        self.operator_key = self.secrets.identity(1)
        self.operator = self.root.certify(
            "CN=Operator, O=Town, C=GB", self.operator_key.public, SINCE, UNTIL, Usage.OPERATOR
        )
        self.stores = {name: KeyStore.derive(f"{seed} {name}".encode()) for name in parties}
        self.notaries = tuple(NotaryEntry(name) for name in notaries)
        self.map = self.publish(1)

    def certify(self, name: str, key: PublicKey) -> tuple[bytes, ...]:
        return self.root.certify(name, key, SINCE, UNTIL)

    def entry(self, name: str, number: int = 0) -> Entry:
        """The party's entry, with its identity key of that number."""
        return entry(self.certify(name, self.stores[name].identity(number).public), (f"at {name}",))

    def publish(
        self,
        serial: int,
        entries: Iterable[Entry] | None = None,
        notaries: Iterable[NotaryEntry] | None = None,
        **parameters: Any,
    ) -> NetworkMap:
        chosen = [self.entry(name) for name in self.stores] if entries is None else entries
        listed = self.notaries if notaries is None else tuple(notaries)
        rules = Parameters(notaries=listed, **parameters)
        return publish(
            self.root.certificate, self.operator, self.operator_key, serial, chosen, rules
        )

    def services(self, name: str, rulebook: Rulebook | None = None) -> dict[str, object]:
        network = Network(self.map)
        return {"Network": network, "Keys": Keys(self.stores[name], network, rulebook)}


class Desk:
    """One party's services with a transaction of their own, without a node."""

    def __init__(self, town: Town, name: str, **network: Any) -> None:
        self.town = town
        self.name = name
        self.store = MemoryStore()
        self.store.open(name)
        self.network_limits = network
        self.restart()

    def restart(self) -> None:
        """A new process on the same database."""
        self.tx = StepTx(Party(self.name), self.store)
        self.tx.now_us, self.tx.flow_id = NOW_US, 7
        self.network = Network(self.town.map, **self.network_limits)
        self.keys = Keys(self.town.stores[self.name], self.network)
        set_up({"Network": self.network, "Keys": self.keys}, self.tx)
        self.begin()

    def begin(self) -> None:
        self.tx.enter(read_only=False)

    def end(self, keep: bool = True) -> None:
        """The step ends: with a commit, or undone."""
        self.tx.leave(True)
        self.tx.finish(keep)
        self.begin()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.tx.execute(sql)
