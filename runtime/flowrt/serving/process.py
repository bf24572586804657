"""A node as a process: everything opened in order, served until it is told to end, closed in order.

The only part of serving that has an event loop. What is printed goes to `say`, one line at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowrt.node import Node, NodeStopped
from flowrt.notices.links import Desk
from flowrt.notices.telling import Teller
from flowrt.serving import checks
from flowrt.serving.assembly import Assembly, assemble
from flowrt.serving.config import Config, read
from flowrt.serving.files import locked
from flowrt.serving.party import passphrase_of
from flowrt.serving.troubles import Refused, Trouble, refused
from flowrt.store import RestoredFromBackup, StoreError
from flowrt.store.copies import Look, copy
from flowrt.store.linkbook import Links
from flowrt.store.sqlite import SqliteStore
from flowrt.store.upgrades import FORMAT
from flowrt.transport.credentials import BadCredentials, Credentials
from flowrt.transport.peers import Directory, FixedDirectory, MapDirectory
from flowrt.transport.tls import ListenFailed, TlsNetwork

if TYPE_CHECKING:
    from flowrt.serving.door import Door

GRACE_S: Final = 5.0
"""How long what is written to peers and clients may take to leave when the node ends."""

LINKS: Final = "links.db"
"""The file of a party in which links are that answer questions."""

Say = Callable[[str], None]

_LOG = logging.getLogger("flowrt.serving")


@dataclasses.dataclass
class Parts:
    """What was found good, ready to be opened."""

    config: Config
    credentials: Credentials
    assembly: Assembly
    look: Look | None
    warnings: tuple[Trouble, ...] = ()


def inspected(
    config: Config,
    *,
    accept_clock: bool = False,
    new_store: bool = False,
) -> tuple[Parts | None, list[Trouble]]:
    """All that can be known before anything is opened: the parts, unless something is wrong, and
    all troubles, warnings too."""
    troubles: list[Trouble] = list(config.warnings)
    troubles += checks.files(config)
    unreadable = any(not trouble.warns for trouble in troubles)
    troubles += checks.doors(config)
    wrong, found = checks.store(config, accept_clock=accept_clock, new_store=new_store)
    troubles += wrong
    credentials, assembly = None, None
    if not unreadable:
        with _kept(troubles):
            passphrase = passphrase_of(config)
            with _kept(troubles):
                badge, credentials = checks.badge(config, passphrase)
                troubles += checks.times(config, badge)
            with _kept(troubles):
                troubles += checks.map_fits(config)
            with _kept(troubles):
                assembly = assemble(config, passphrase)
                troubles += assembly.warnings
    if any(not trouble.warns for trouble in troubles):
        return None, troubles
    assert credentials is not None
    assert assembly is not None
    return Parts(config, credentials, assembly, found, tuple(troubles)), troubles


@contextlib.contextmanager
def _kept(troubles: list[Trouble]) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        # One file may keep several things from being found.
        troubles += [trouble for trouble in error.troubles if trouble not in troubles]


class Served:
    """A node that is open.

    Attributes:
        node, network: its own.
        address, http: where it is reached; no `http` if it has no such interface.
    """

    def __init__(self, parts: Parts, network: TlsNetwork, node: Node) -> None:
        self.parts = parts
        self.network = network
        self.node = node
        self.address = network.address or ""
        self.http = ""
        self.door: Door | None = None
        self.tellers: list[Teller] = []
        self.links: Links | None = None
        config = parts.config
        self._shown = config.file(config.settings.tls.certificate).read_bytes()

    @classmethod
    async def open(cls, parts: Parts) -> Served:
        """Open everything: first the door to other parties, so that who finds it taken has
        disturbed nobody; then the store. Raises Refused."""
        config, settings = parts.config, parts.config.settings
        try:
            network = TlsNetwork(
                parts.credentials,
                directory_of(config, parts.assembly),
                settings.listen.address,
                settings.wire,
            )
            await network.listen()
        except ListenFailed as error:
            raise Refused([config.trouble("listen.address", str(error))]) from None
        try:
            if parts.assembly.desk is not None:
                from flowrt.serving.ledgers import open_book

                open_book(config, parts.assembly.desk)
            node = await _opened(parts, network)
        except BaseException:
            await network.close(0)
            parts.assembly.close()
            raise
        served = cls(parts, network, node)
        notifiers = parts.assembly.notifiers
        served.tellers = [
            Teller(name, node, notifier, config.file(f"{name}.notices.db"))
            for name, notifier in notifiers.items()
        ]
        try:
            if any(hasattr(one, "attach") for one in notifiers.values()):
                served.links = Links(config.file(LINKS))
            if settings.http is not None:
                await served._open_door()
        except BaseException:
            await served.close()
            raise
        served._tell()
        return served

    def _tell(self) -> None:
        """Begin to tell of tasks."""
        for notifier in self.parts.assembly.notifiers.values():
            if hasattr(notifier, "attach"):
                assert self.door is not None  # Or the configuration was refused.
                assert self.links is not None
                notifier.attach(Desk(self.node, self.door.access, self.links))
        for teller in self.tellers:
            teller.start()

    async def _open_door(self) -> None:
        from flowrt.serving.door import opened

        parts = self.parts
        self.door = await opened(
            parts.config, self.node, self.network, parts.assembly.apps, self.tellers, self.links
        )
        self.http = self.door.url

    async def close(self, grace_s: float = GRACE_S) -> None:
        """Close in order: nobody comes in any more, the node rests, what was said leaves."""
        if self.door is not None:
            await self.door.close()
        for teller in self.tellers:
            await teller.close()
        if self.links is not None:
            self.links.close()
        await self.node.close()
        await self.network.close(grace_s)
        self.parts.assembly.close()

    @property
    def line(self) -> str:
        """That it serves, in one line."""
        settings = self.parts.config.settings
        found = [f"{settings.name} serves {self.address}"]
        if self.http:
            found.append(self.http)
        found.append(_count(len(settings.apps), "app"))
        flows = self.parts.look.flows if self.parts.look is not None else 0
        found.append(f"{_count(flows, 'flow')} resumed")
        return ", ".join(found)

    async def take_certificate(self) -> bool:
        """Show the TLS certificate that the configuration's files have, if it is another one than
        that which is shown; whether it is. Raises Refused: it stays as it was."""
        config = self.parts.config
        pem = config.file(config.settings.tls.certificate).read_bytes()
        if pem == self._shown:
            return False
        passphrase = passphrase_of(config)
        _, credentials = await asyncio.to_thread(checks.badge, config, passphrase)
        try:
            self.network.renew(credentials)
        except BadCredentials as error:
            raise Refused([config.trouble("tls", str(error))]) from None
        self._shown = pem
        return True

    async def take_map(self) -> int | None:
        """Take the map in the configuration's file, if it is newer than the one that is in force;
        its number, or None if it is not.

        Raises:
            Refused: the file is no map of this network, or the node does not take it.
        """
        ledger = self.parts.assembly.ledger
        if ledger is None:
            return None
        from flowrt.serving.ledgers import map_of
        from flowrt.stdlib.ledger.network_flow import AcceptMap_v1, MapNotAccepted

        found = await asyncio.to_thread(map_of, self.parts.config)
        if found.serial <= ledger.network.newest.serial:
            return None
        name = f"flowrt map {found.serial} {found.digest.hex()[:16]}"
        handle = await self.node.start_once(name, AcceptMap_v1, map_=found.data)
        try:
            serial: int = await handle.result()
        except MapNotAccepted as error:
            raise refused(self.parts.config.place("ledger", "map"), str(error)) from None
        # The flow's step has read it; connections ask the service outside of steps.
        ledger.network.current(self.node.reading())
        return serial


def directory_of(config: Config, assembly: Assembly) -> Directory:
    """Whom the node knows: with a ledger those in its map, at the addresses that the configuration
    has for them, or else the map; without one those of the configuration."""
    fixed = FixedDirectory({n: [peer.address] for n, peer in config.settings.peers.items()})
    if assembly.ledger is None:
        return fixed
    network = assembly.ledger.network
    return _Both(fixed, MapDirectory(lambda: network.newest))


class _Both:
    """The map says who takes part; the configuration may know better where somebody is reached."""

    def __init__(self, fixed: Directory, by_map: Directory) -> None:
        self._fixed = fixed
        self._map = by_map

    def knows(self, name: str) -> bool:
        return self._map.knows(name)

    def addresses(self, name: str) -> Sequence[str]:
        return self._fixed.addresses(name) or self._map.addresses(name)


async def _opened(parts: Parts, network: TlsNetwork) -> Node:
    config, settings = parts.config, parts.config.settings
    try:
        return await Node.open(
            settings.name,
            store=SqliteStore(config.file(settings.store)),
            network=network,
            **parts.assembly.options(config),
        )
    except RestoredFromBackup as error:
        remedy = "or accept what is lost: `flowctl restore --accept`"
        raise Refused([config.trouble("store", str(error), remedy)]) from None
    except StoreError as error:
        raise Refused([config.trouble("store", str(error))]) from None
    except Exception as error:
        # What is left are services whose tables cannot be made, and flows that do not fit.
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        _LOG.debug("the node cannot be opened", exc_info=True)
        raise Refused([config.trouble("apps", cause)]) from None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# --- until it is told to end ------------------------------------------------------------------


def serve(
    config: Config, say: Say, warn: Say, *, accept_clock: bool = False, new_store: bool = False
) -> int:
    """Serve a party until SIGTERM or SIGINT; the exit code. A second signal ends it at once. For
    `accept_clock` and `new_store` see `checks.store`.

    Raises:
        Refused: something is wrong; nothing was begun.
    """
    os.umask(0o077)
    with locked(config.folder):
        parts, troubles = inspected(config, accept_clock=accept_clock, new_store=new_store)
        if parts is None:
            raise Refused([trouble for trouble in troubles if not trouble.warns])
        for trouble in parts.warnings:
            warn(f"warning: {trouble.text}")
        told = keep_aside(config, parts.look)
        if told:
            say(told)
        return asyncio.run(_serve(parts, say, warn))


def keep_aside(config: Config, found: Look | None) -> str:
    """Keep a copy of a store of an older format before it is opened, which changes it; what was
    done, for people, or nothing. Raises Refused."""
    if found is None or not found.is_old:
        return ""
    path = config.file(config.settings.store)
    aside = Path(f"{path}.format{found.format}")
    if not aside.exists():
        try:
            copy(path, aside)
        except StoreError as error:
            raise Refused([config.trouble("store", str(error))]) from None
    return (
        f"{path} is upgraded from format {found.format} to {FORMAT}; "
        f"as it was it is kept as {aside.name}"
    )


async def _serve(parts: Parts, say: Say, warn: Say) -> int:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    reread = asyncio.Event()

    def end() -> None:
        if told.is_set():
            os._exit(128 + signal.SIGTERM)
        told.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        loop.add_signal_handler(signal.SIGHUP, reread.set)
    served = await Served.open(parts)
    try:
        # What is there now stays, so nobody need look through it again.
        gc.freeze()
        gc.enable()
        say(served.line)
        tasks: dict[str, asyncio.Task[Any]] = {
            "told": asyncio.create_task(told.wait()),
            "stopped": asyncio.create_task(served.node.stopped()),
            "reread": asyncio.create_task(_reread(served, reread, warn)),
        }
        try:
            await asyncio.wait(
                (tasks["told"], tasks["stopped"]), return_when=asyncio.FIRST_COMPLETED
            )
            if told.is_set():
                return 0
            reason: NodeStopped = await tasks["stopped"]
            warn(f"error: {reason}{_remedy(reason)}")
            return 1
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
    finally:
        await served.close()


async def _reread(served: Served, reread: asyncio.Event, warn: Say) -> None:
    """Whenever SIGHUP comes, take what may be taken while the node runs: users, a TLS certificate,
    a newer map."""
    while True:
        await reread.wait()
        reread.clear()
        try:
            if served.door is not None:
                served.door.take_users(read(served.parts.config.path))
            if await served.take_certificate():
                _LOG.info("the TLS certificate is new")
            serial = await served.take_map()
        except OSError as error:
            warn(f"warning: {error.filename}: it cannot be read: {error.strerror}")
        except Refused as error:
            for trouble in error.troubles:
                warn(f"warning: {trouble.text}; it stays as it was")
        except NodeStopped:
            return
        else:
            if serial is not None:
                _LOG.info("network map %d is in force", serial)


def _remedy(reason: NodeStopped) -> str:
    if isinstance(reason.__cause__, RestoredFromBackup):
        return "; bring the newer store back, or accept what is lost: `flowctl restore --accept`"
    return ""
