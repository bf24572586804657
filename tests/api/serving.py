"""A served node in a thread of its own, for clients that block. Knows no assertion."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import threading
from collections.abc import Iterator
from typing import Any

from flowrt.api.server import ApiConfig, Server, serve
from flowrt.node import Node
from flowrt.store import Store
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.api.scene import ROLES, Desk, program, users


class Served:
    """A node and its interface on a socket, until `close`."""

    def __init__(self, store: Store | None = None, **config: Any) -> None:
        self._store = store or MemoryStore()
        self._config: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "users": users(),
            "roles": ROLES,
            "today": lambda: datetime.date(2026, 11, 22),
            **config,
        }
        self.node: Any = None
        self.server: Any = None
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._failed: list[Exception] = []
        self._thread = threading.Thread(target=self._run, args=(ready,))
        self._thread.start()
        ready.wait()
        if self._failed:
            self._thread.join()
            raise self._failed[0]

    @property
    def url(self) -> str:
        found: Server = self.server
        return found.url

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._open())
        except Exception as error:
            self._failed.append(error)
        finally:
            ready.set()
        if not self._failed:
            self.loop.run_forever()
            self.loop.run_until_complete(self._shut())
        self.loop.close()

    async def _open(self) -> None:
        self.node = await Node.open(
            "alice",
            store=self._store,
            network=MemoryNetwork(),
            modules=[program()],
            services={"Desk": Desk()},
        )
        try:
            self.server = await serve(self.node, ApiConfig(**self._config))
        except Exception:
            await self.node.close()
            raise

    async def _shut(self) -> None:
        await self.server.close()
        await self.node.close()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


@contextlib.contextmanager
def served(**how: Any) -> Iterator[Served]:
    """One that is closed at the end."""
    made = Served(**how)
    try:
        yield made
    finally:
        made.close()
