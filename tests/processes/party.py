"""One process: a party's node on its store, its end of the supervisor's network, and its clients.

It is forked with everything imported. It ends with 0 if it was asked to close, with `STOPPED` if
its node stopped by itself, with `SHUT` if it could not open; the reason stands in its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import logging
import os
import resource
import socket
import sqlite3
import struct
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import flowrt.store.sqlite
from flowrt.core.flow import FlowError, Party
from flowrt.node import Handle, NodeStopped, NotStartable
from flowrt.store import StoreError
from tests.processes import planted
from tests.processes.points import CHECKPOINTING, OPENING, Books, Outside, Stage, StagedNetwork

STOPPED = 3
SHUT = 4

BUSY_S = 0.3
"""How long a process of these tests waits for another's lock; the product waits longer."""

ROUND_S = 0.02
"""How often a person looks into the hospital."""

_LENGTH = struct.Struct(">H")


@dataclasses.dataclass(frozen=True)
class Life:
    """What a process is to be. `plant` names a defect of `planted`; `bytes_of_a_file` is how long
    any file of its may become (0: as long as the disk has room)."""

    party: str
    path: Path
    module: ModuleType
    point: str = ""
    count: int = 1
    plant: str = ""
    bytes_of_a_file: int = 0


def packed(peer: str, data: bytes) -> bytes:
    """A packet with a name: whom it is for, or whom it is from."""
    name = peer.encode()
    return b"P" + _LENGTH.pack(len(name)) + name + data


def unpacked(message: bytes) -> tuple[str, bytes]:
    (length,) = _LENGTH.unpack_from(message, 1)
    start = 1 + _LENGTH.size
    return message[start : start + length].decode(), message[start + length :]


def said(content: dict[str, Any]) -> bytes:
    """Anything that is no packet."""
    return b"J" + json.dumps(content).encode()


def live(life: Life, line: socket.socket, log: Path) -> NoReturn:
    """Be that process, until it ends."""
    with log.open("wb", buffering=0) as errors:
        os.dup2(errors.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    flowrt.store.sqlite.BUSY_SECONDS = BUSY_S
    if life.bytes_of_a_file:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.bytes_of_a_file, most))
    code = 1
    try:
        code = asyncio.run(_Process(life, line).run())
    except BaseException:
        traceback.print_exc()
    os._exit(code)


class _Process:
    def __init__(self, life: Life, line: socket.socket) -> None:
        self._life = life
        self._line = line
        self._stage = Stage(life.point, life.count)
        self._network = StagedNetwork(self._carry, self._stage)
        self._calls: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)
        self._clients: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def run(self) -> int:
        life, stage = self._life, self._stage
        stage.watch(life.path)
        services = {"Books": Books(stage), "Outside": Outside(self._call, stage)}
        try:
            self._node = await planted.NODES[life.plant].open(
                life.party,
                store=planted.STORES[life.plant](life.path, stage),
                network=self._network,
                modules=[life.module],
                services=services,
            )
        except StoreError as error:
            print(f"{life.party} cannot open: {error}", file=sys.stderr)
            return SHUT
        stage.reached(OPENING[1])
        self._tell({"tell": "open"})
        asyncio.get_running_loop().add_reader(self._line, self._hear)
        nurse = asyncio.ensure_future(self._nurse())
        stopped = asyncio.ensure_future(self._node.stopped())
        closing = asyncio.ensure_future(self._closing.wait())
        if stage.point == CHECKPOINTING[1]:
            asyncio.get_running_loop().call_later(0.005 * life.count, self._closing.set)
        await asyncio.wait((stopped, closing, nurse), return_when=asyncio.FIRST_COMPLETED)
        if nurse.done():
            nurse.result()
        nurse.cancel()
        if stopped.done():
            await asyncio.sleep(0)  # Whoever waits for something is told first.
            print(f"{life.party} stops: {stopped.result()}", file=sys.stderr)
            return STOPPED
        await self._node.close()
        return 0

    # --- the line to the supervisor ---

    def _send(self, message: bytes) -> None:
        self._line.sendall(message)

    def _tell(self, content: dict[str, Any]) -> None:
        self._send(said(content))

    def _carry(self, peer: str, data: bytes) -> None:
        self._send(packed(peer, data))

    def _hear(self) -> None:
        while True:
            try:
                message = self._line.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if not message:
                os._exit(1)  # The supervisor is gone.
            if message[:1] == b"P":
                self._network.receive(*unpacked(message))
            else:
                self._asked(json.loads(message[1:]))

    def _asked(self, asked: dict[str, Any]) -> None:
        if asked["ask"] == "buy":
            task = asyncio.ensure_future(
                self._serve(asked["seller"], asked["order"], asked["count"], asked["known"])
            )
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        elif asked["ask"] == "retry":
            task = asyncio.ensure_future(self._retry(asked["flow"]))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        elif asked["ask"] == "take":
            answer = self._calls.pop(asked["number"])
            if not answer.done():  # Its node may have stopped meanwhile.
                answer.set_result(asked["value"])
        else:
            self._closing.set()

    async def _call(self, key: str, operation: str, order: str, value: int) -> str:
        number = next(self._numbers)
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        what = {"key": key, "operation": operation, "order": order, "value": value}
        self._tell({"tell": "call", "number": number, **what})
        return await answer

    # --- the clients ---

    async def _serve(self, seller: str, order: str, count: int, known: bool) -> None:
        """What one client hears. It comes again after each restart. If it was told before that its
        flow is started, that flow must be there; else it looks first whether it is."""
        about = {"order": order}
        with contextlib.suppress(NodeStopped):
            handle = self._found(order)
            if handle is None and known:
                self._tell({"tell": "missing", **about})
                return
            if handle is None:
                try:
                    handle = await self._node.start(
                        self._life.module.Buy_v1, seller=Party(seller), order=order, count=count
                    )
                except NotStartable:
                    return  # Asked twice at once; the first has it.
            self._tell({"tell": "started", "flow": handle.id, **about})
            try:
                end = await handle.result()
            except FlowError as error:
                end = type(error).__name__
            self._tell({"tell": "ended", "flow": handle.id, "end": end, **about})

    # --- the person who looks after the hospital ---

    async def _nurse(self) -> None:
        """Tell of each patient, once for each time that it is admitted."""
        known: set[tuple[int, int]] = set()
        with contextlib.suppress(NodeStopped):
            while True:
                for one in self._node.hospital():
                    if (one.flow_id, one.since_us) not in known:
                        known.add((one.flow_id, one.since_us))
                        order = self._order_of(one.flow_id)
                        about = {"flow": one.flow_id, "order": order, "cause": one.cause}
                        self._tell({"tell": "patient", **about})
                await asyncio.sleep(ROUND_S)
        await asyncio.Event().wait()

    async def _retry(self, flow_id: int) -> None:
        with contextlib.suppress(NodeStopped, KeyError):
            await self._node.retry(flow_id)

    def _order_of(self, flow_id: int) -> str:
        sql = "SELECT name FROM books WHERE flow = ?"
        with contextlib.closing(sqlite3.connect(f"file:{self._life.path}?mode=ro", uri=True)) as db:
            found = db.execute(sql, (flow_id,)).fetchone()
        return found[0] if found is not None else ""

    def _found(self, order: str) -> Handle[Any] | None:
        living = self._node.find(self._life.module.Buy_v1, order)
        if living is not None:
            return living
        with contextlib.closing(sqlite3.connect(f"file:{self._life.path}?mode=ro", uri=True)) as db:
            found = db.execute(
                "SELECT flow FROM books WHERE name = ? AND what = 'asked'", (order,)
            ).fetchone()
        return self._node.handle(found[0]) if found is not None else None


__all__ = ["SHUT", "STOPPED", "Life", "live", "packed", "said", "unpacked"]
