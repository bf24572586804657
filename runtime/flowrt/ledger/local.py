"""A whole network in one process: parties, a notary, the map that names them. For tests, examples
and benchmarks: every secret comes from one seed, so it is no secret, and worlds repeat.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from flowrt.core.flow import Flow, Party
from flowrt.core.hospital import Patient
from flowrt.ledger.identity.certificates import Authority, Usage
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.identity.networkmap import (
    NetworkMap,
    NotaryEntry,
    Parameters,
    entry,
    publish,
)
from flowrt.ledger.identity.signing import RECOVERED
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.node import Ledger
from flowrt.ledger.notary.desk import Desk, utc_now
from flowrt.ledger.notary.service import Notary
from flowrt.ledger.states import Rulebook
from flowrt.node import Node
from flowrt.stdlib.ledger.parts_flow import Identity
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.store.uniqueness import Book, UniquenessFile, UniquenessMemory
from flowrt.transport.memory import MemoryNetwork

if TYPE_CHECKING:
    from flowrt.sim import World

R = TypeVar("R")

SINCE: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
UNTIL: Final = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)
"""When the certificates of a local network are good."""

Clock = Callable[[], int]
"""The time in microseconds since 1970."""


LOOK_S: Final = 0.1
"""How often `LocalNetwork.run` looks into the hospitals, in seconds."""


class Stuck(Exception):
    """A flow waits for a person, and nobody is there."""


class LocalNetwork:
    """Parties and their notary.

    Attributes:
        map: the network map of all of them; `publish` makes a newer one.
        network: what carries messages between the nodes that `open` opens.
        nodes: those nodes, by name.
    """

    def __init__(
        self,
        parties: Iterable[str],
        rules: Iterable[ModuleType] = (),
        *,
        notary: str = "notary",
        validating: bool = False,
        seed: str = "local",
        folder: Path | None = None,
        clock: Clock | None = None,
        discreet: bool = False,
        history: int = 10_000,
        recovered: int = RECOVERED,
    ) -> None:
        """`rules` are modules with states and contracts. Stores are SQLite files in `folder`, or
        in memory without it. `clock` is the machine's if it is not given; a `discreet` network is
        one of nodes that ask for whole histories; `history` bounds what one flow fetches;
        `recovered` are the pseudonyms that a node takes for its own whose database went back."""
        self.notary = Party(notary)
        self.rules = Rulebook(rules)
        self._names = (*dict.fromkeys(parties), notary)
        self._validating = validating
        self._folder = folder
        self._clock = clock
        self._options: dict[str, Any] = {
            "discreet": discreet,
            "history": history,
            "recovered": recovered,
        }
        secrets = KeyStore.derive(f"{seed} network".encode())
        self._root = Authority.root("O=Local network", secrets.identity(), SINCE, UNTIL)
        self._operator = secrets.identity(1)
        self._certified = self._root.certify(
            "CN=Operator, O=Local network", self._operator.public, SINCE, UNTIL, Usage.OPERATOR
        )
        self.keys = {name: KeyStore.derive(f"{seed} {name}".encode()) for name in self._names}
        self.map = self.publish(1)
        self.network = MemoryNetwork()
        self.nodes: dict[str, Node] = {}
        self.ledgers: dict[str, Ledger] = {}
        self._book: Book = (
            UniquenessMemory()
            if folder is None
            else UniquenessFile(folder / f"{notary}.book.db", notary)
        )

    # --- who is there -------------------------------------------------------------------------

    @property
    def parties(self) -> tuple[str, ...]:
        """The names of all, the notary's last."""
        return self._names

    def key(self, name: str) -> PublicKey:
        """A party's well-known key."""
        return self.keys[name].identity().public

    def identity(self, name: str) -> Identity:
        """A party under its well-known key."""
        return Identity(Party(name), self.key(name))

    def publish(self, serial: int, notaries: Sequence[NotaryEntry] | None = None) -> NetworkMap:
        """A map of all parties under that number, with other notaries if they are given."""
        entries = [
            entry(self._root.certify(name, self.key(name), SINCE, UNTIL)) for name in self._names
        ]
        if notaries is None:
            notaries = [NotaryEntry(self.notary.name, self._validating)]
        parameters = Parameters(notaries=tuple(notaries))
        return publish(
            self._root.certificate, self._certified, self._operator, serial, entries, parameters
        )

    # --- their nodes --------------------------------------------------------------------------

    def ledger(self, name: str) -> Ledger:
        """A party's ledger, made anew for a new process. The notary's book stays."""
        notary = None
        if name == self.notary.name:
            notary = Notary(
                self.identity(name),
                Desk(self._book, self.keys[name].identity(), self._now),
                is_validating=self._validating,
            )
        made = Ledger(self.keys[name], self.map, self.rules, notary=notary, **self._options)
        self.ledgers[name] = made
        return made

    def services(
        self,
        name: str,
        modules: Iterable[ModuleType],
        own: Callable[[Ledger], Mapping[str, object]] | None = None,
    ) -> dict[str, object]:
        """All services of a party's new process: the ledger's, and those that `own` makes with
        it."""
        ledger = self.ledger(name)
        return {**ledger.services(modules), **(own(ledger) if own is not None else {})}

    async def open(
        self,
        *modules: ModuleType,
        own: Callable[[Ledger], Mapping[str, object]] | None = None,
        only: Iterable[str] | None = None,
        **options: Any,
    ) -> Self:
        """Open all nodes in this event loop, or `only` some: with the library, these modules, and
        the services that `own` makes for each. `options` are those of `Node.open`."""
        for name in only or self._names:
            ledger = self.ledger(name)
            installed = ledger.modules(*modules)
            store = (
                MemoryStore() if self._folder is None else SqliteStore(self._folder / f"{name}.db")
            )
            self.nodes[name] = await Node.open(
                name,
                store=store,
                network=self.network,
                modules=installed,
                services={**ledger.services(installed), **(own(ledger) if own else {})},
                clock=self._clock,
                **options,
            )
        return self

    def join(
        self,
        world: World,
        *modules: ModuleType,
        own: Callable[[Ledger], Mapping[str, object]] | None = None,
    ) -> Self:
        """Let all parties live in a simulated world instead, by its notary's clock: each with the
        library, these modules, and the services that `own` makes for each of its processes. Returns
        at once; the world runs them."""
        self._clock = lambda: world.hosts[self.notary.name].clock()
        installed = Ledger.modules(*modules)
        for name in self._names:
            make = functools.partial(self.services, name, installed, own)
            world.add(name, installed, make)
        return self

    async def run(self, party: str, flow: type[Flow[R]], /, **arguments: Any) -> R:
        """Have a party start a flow, and wait for its result.

        Raises:
            FlowError: the declared error that ended it.
            Stuck: some flow of some party has come to its hospital meanwhile and waits for a
                person, so the result might never come.
        """
        before = {(name, one.flow_id) for name, one in self._waiting()}
        handle = await self.nodes[party].start(flow, **arguments)
        result = asyncio.ensure_future(handle.result())
        try:
            while not (await asyncio.wait({result}, timeout=LOOK_S))[0]:
                found = [
                    f"{name}: {one.flow} ({one.line or one.place}): {one.cause}"
                    for name, one in self._waiting()
                    if (name, one.flow_id) not in before
                ]
                if found:
                    raise Stuck("in the hospital: " + "; ".join(found))
            return result.result()
        finally:
            result.cancel()

    def _waiting(self) -> list[tuple[str, Patient]]:
        """Who waits for a person, at whom."""
        return [
            (name, one)
            for name, node in self.nodes.items()
            for one in node.hospital()
            if not one.next_us
        ]

    async def close(self) -> None:
        """Stop all nodes; what is in files stays."""
        for node in self.nodes.values():
            await node.close()
        self.nodes.clear()
        self._book.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _now(self) -> datetime.datetime:
        if self._clock is None:
            return utc_now()
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
            microseconds=self._clock()
        )
