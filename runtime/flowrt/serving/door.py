"""The HTTP interface of a served node: from its configuration to `flowrt.api`.

Imported only for nodes that have one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from flowrt.api.access import Access, AccessWrong
from flowrt.api.app import Offer
from flowrt.api.server import ApiConfig, CannotServe, Server, Tls, serve
from flowrt.node import Node
from flowrt.notices.telling import Teller, finished
from flowrt.serving.apps import App
from flowrt.serving.config import Config
from flowrt.serving.party import passphrase_of
from flowrt.serving.troubles import Refused
from flowrt.store.copies import copy
from flowrt.store.linkbook import Links
from flowrt.transport.tls import TlsNetwork

BACKUPS: Final = "backups"
"""The folder of a party in which copies lie that were asked for by HTTP."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Door:
    """The interface, open."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def url(self) -> str:
        """Where it is."""
        return self._server.url

    async def close(self) -> None:
        """Take no more requests."""
        await self._server.close()

    @property
    def access(self) -> Access:
        """Who may do what, as it is at any time."""
        return self._server.app.access

    def take_users(self, config: Config) -> None:
        """Users and roles as they are written now. Raises Refused: they stay as they were."""
        self._server.app.access.replace(access_of(config))


def access_of(config: Config) -> Access:
    """The users and roles of a configuration. Raises Refused."""
    import datetime

    settings = config.settings
    try:
        return Access(settings.users, settings.roles, datetime.date.today)
    except AccessWrong as error:
        raise Refused([config.trouble("users", str(error))]) from None


async def opened(
    config: Config,
    node: Node,
    network: TlsNetwork,
    apps: Sequence[App],
    tellers: Sequence[Teller] = (),
    links: Links | None = None,
) -> Door:
    """Open it. Raises Refused."""
    http = config.settings.http
    assert http is not None
    access_of(config)
    tls = None
    if http.tls is not None:
        key = config.file(http.tls.key)
        secret = passphrase_of(config) if b"ENCRYPTED" in key.read_bytes() else None
        authority = config.file(http.tls.client_ca) if http.tls.client_ca is not None else None
        tls = Tls(config.file(http.tls.certificate), key, authority, secret)

    def figures() -> Mapping[str, int | float | Mapping[str, int]]:
        return dataclasses.asdict(network.figures())

    copying = asyncio.Lock()

    async def backup(name: str) -> None:
        # One at a time: two of one name would be written into the same file.
        async with copying:
            await finished(asyncio.to_thread(_copied, config, name))

    offer = Offer(
        hosts=http.hosts,
        origins=http.origins,
        apps=[(app.name, app.version) for app in apps],
        backup=backup,
        wire=figures,
        notices=lambda: {one.name: dataclasses.asdict(one.figures) for one in tellers},
        links=links,
    )
    settings = config.settings
    try:
        server = await serve(
            node, ApiConfig(http.listen, settings.users, settings.roles, tls, offer)
        )
    except CannotServe as error:
        raise Refused([config.trouble("http.listen", str(error))]) from None
    return Door(server)


def _copied(config: Config, name: str) -> None:
    """A copy of the store under a name in the party's folder of backups."""
    folder = config.folder / BACKUPS
    if not _NAME.fullmatch(name):
        raise ValueError("a backup's name has letters, digits and . _ - alone")
    folder.mkdir(mode=0o700, exist_ok=True)
    to: Path = folder / name
    if to.exists():
        raise FileExistsError(str(to))
    copy(config.file(config.settings.store), to)
