"""The world of the processes: it forks them, routes what they send, asks as clients do, and counts.

Who speaks is known from the line that a process was given when it was forked, never from what it
says. What clients asked and were told, and which effects were accepted, stands here, outside of all
that is killed. It judges nothing.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import gc
import json
import os
import random
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.processes import syscalls
from tests.processes.party import STOPPED, Life, live, packed, said, unpacked

PARTIES = ("anna", "bert")

PATIENCE_S = 30.0
"""How long a world may take to come to rest."""

POLL_S = 0.002

ONCE = "it is not known whether"
"""What the hospital says of an operation that may run only once and was interrupted."""

DEADLY = "processes in a row have ended while "
"""What it says of an operation that was under way at so many kills that it may be their cause."""


class Unexpected(AssertionError):
    """A process ended as none should; with what it said last."""


@dataclasses.dataclass
class Order:
    """What a client asked for, and what it was told: under which ids its flow was started, that
    it is not there though it was started, and how it ended, each as often as it was told. `points`
    are where processes died meanwhile."""

    name: str
    buyer: str
    seller: str
    count: int
    started: list[int] = dataclasses.field(default_factory=list)
    missing: int = 0
    ended: list[str] = dataclasses.field(default_factory=list)
    points: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Effect:
    """What came from outside operations of one kind for one order: how often it was tried, how
    often a person had it tried again, and the answer of each key, which never changes."""

    tries: int = 0
    retries: int = 0
    accepted: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Death:
    """A process that ended: where, of what (a signal, or minus its exit code), with how many orders
    under way."""

    party: str
    point: str
    by: int
    orders: int


class Process:
    """A process of a party, and the supervisor's end of its line."""

    def __init__(self, life: Life, pid: int, line: socket.socket, log: Path) -> None:
        self.life = life
        self.pid = pid
        self.line = line
        self.log = log
        self.begun = time.monotonic()
        self.is_open = False
        self.is_stopped = False
        self.ended: int | None = None
        self.taken_over_by: Process | None = None
        self.must_stop = float("inf")
        self._unsaid: collections.deque[bytes] = collections.deque()

    def kill(self, by: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, while it lives."""
        if self.ended is None:
            os.kill(self.pid, by)

    def carry(self, packet: bytes) -> None:
        """Bring it a packet; lost if it does not listen, as on any network."""
        with contextlib.suppress(OSError):
            self.line.send(packet, socket.MSG_DONTWAIT)

    def say(self, content: dict[str, Any]) -> None:
        """Say what is no packet: it hears all of that, in order, as long as it lives."""
        self._unsaid.append(said(content))
        self.go_on_saying()

    def go_on_saying(self) -> None:
        """Say what its line had no room for."""
        with contextlib.suppress(OSError):
            while self._unsaid:
                self.line.send(self._unsaid[0], socket.MSG_DONTWAIT)
                self._unsaid.popleft()


class Supervisor:
    """Two parties in a folder. `keep` is how likely a packet is kept for a party that is down,
    `repeat` how likely it comes twice."""

    def __init__(
        self,
        folder: Path,
        module: ModuleType,
        *,
        seed: int = 0,
        plant: str = "",
        keep: float = 1.0,
        repeat: float = 0.0,
    ) -> None:
        self.folder = folder
        self.module = module
        self.plant = plant
        self.random = random.Random(seed)
        self.keep = keep
        self.repeat = repeat
        self.processes: dict[str, Process] = {}
        self.orders: dict[str, Order] = {}
        self.effects: dict[tuple[str, str], Effect] = collections.defaultdict(Effect)
        self.deaths: list[Death] = []
        self.patients: list[str] = []
        self._all: list[Process] = []
        self._held: dict[str, list[bytes]] = {party: [] for party in PARTIES}
        self.paths = {party: folder / f"{party}.db" for party in PARTIES}
        # What is loaded by now stays, so that a child's collector does not copy all of it.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        """End every process."""
        for process in self._all:
            if process.ended is None:
                process.kill()
                os.waitpid(process.pid, 0)
                process.ended = signal.SIGKILL
            process.line.close()

    # --- processes ---

    def start(self, party: str, point: str = "", count: int = 1, **more: Any) -> Process:
        """A new process of a party; it is to meet the point the `count`th time."""
        life = Life(party, self.paths[party], self.module, point, count, self.plant, **more)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log = self.folder / f"{party}.{len(self._all)}.log"
        pid = os.fork()
        if pid == 0:
            # It must not hold the others' lines.
            for other in self._all:
                other.line.close()
            ours.close()
            live(life, theirs, log)
        theirs.close()
        process = Process(life, pid, ours, log)
        self._all.append(process)
        self.processes[party] = process
        return process

    def living(self, party: str) -> Process | None:
        """A party's process that is open and runs."""
        process = self.processes.get(party)
        if process is None or process.ended is not None or not process.is_open:
            return None
        return process if not process.is_stopped else None

    def reap(self) -> list[Process]:
        """Who ended since it was asked last."""
        ended = []
        for process in self._all:
            if process.ended is not None:
                continue
            pid, status = os.waitpid(process.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if not pid:
                continue
            if os.WIFSTOPPED(status):
                process.is_stopped = True
            elif os.WIFCONTINUED(status):
                process.is_stopped = False
            else:
                self._read(process)  # It may have said something last.
                code = os.waitstatus_to_exitcode(status)
                process.ended = -code
                self._died(process)
                ended.append(process)
        return ended

    def _died(self, process: Process) -> None:
        under_way = [order for order in self.orders.values() if not order.ended]
        assert process.ended is not None
        killed = process.ended in syscalls.DEATHS
        point = process.life.point
        death = Death(process.life.party, point, process.ended, len(under_way))
        self.deaths.append(death)
        if killed:
            for order in under_way:
                order.points.add(point)

    # --- lines ---

    def turn(self) -> None:
        """Take what the processes said, for a moment at most."""
        lines = {process.line: process for process in self._all if process.ended is None}
        for process in lines.values():
            process.go_on_saying()
        ready, _, _ = select.select(list(lines), [], [], POLL_S)
        for line in ready:
            self._read(lines[line])

    def until(self, reached: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        """Go on until that is so. Raises Unexpected if it takes too long, or a process dies that
        was to meet no point."""
        give_up = time.monotonic() + patience_s
        while not reached():
            self.turn()
            for process in self.reap():
                if not process.life.point:
                    raise Unexpected(
                        f"{process.life.party} ended: {process.ended}\n{_log(process)}"
                    )
            if time.monotonic() > give_up:
                left = [order for order in self.orders.values() if not order.ended]
                logs = [_log(process) for process in self.processes.values()]
                raise Unexpected(f"{what}: not after {patience_s:g} s; {left}\n{logs}")

    def _read(self, process: Process) -> None:
        while True:
            try:
                message = process.line.recv(1 << 20, socket.MSG_DONTWAIT)
            except (BlockingIOError, ConnectionResetError):
                return
            if not message:
                return
            if message[:1] == b"P":
                self._route(process.life.party, *unpacked(message))
            else:
                self._told(process, json.loads(message[1:]))

    def _route(self, sender: str, receiver: str, data: bytes) -> None:
        message = packed(sender, data)
        process = self.living(receiver)
        if process is not None:
            process.carry(message)
            if self.random.random() < self.repeat:
                process.carry(message)
        elif self.random.random() < self.keep:
            self._held[receiver].append(message)

    def _told(self, process: Process, told: dict[str, Any]) -> None:
        match told["tell"]:
            case "open":
                process.is_open = True
                held, self._held[process.life.party] = self._held[process.life.party], []
                for message in held:
                    process.carry(message)
                for order in self.orders.values():
                    if order.buyer == process.life.party and not order.ended:
                        self.ask(order, process)
            case "started":
                self.orders[told["order"]].started.append(told["flow"])
            case "missing":
                self.orders[told["order"]].missing += 1
            case "ended":
                self.orders[told["order"]].ended.append(told["end"])
            case "patient":
                self._decide(process, told)
            case "call":
                value = self._effect(told)
                process.say({"ask": "take", "number": told["number"], "value": value})

    def _decide(self, process: Process, told: dict[str, Any]) -> None:
        """The person at the hospital: what may run only once is tried again, because that does no
        harm here, and so is what only happened to be under way when processes were killed; whatever
        else brings a flow there is not as it should be."""
        if ONCE in told["cause"] or DEADLY in told["cause"]:
            self.effects["stamp", told["order"]].retries += "Outside.stamp" in told["cause"]
            process.say({"ask": "retry", "flow": told["flow"]})
        else:
            self.patients.append(f"{told['order']}: {told['cause']}")

    def _effect(self, told: dict[str, Any]) -> str:
        effect = self.effects[told["operation"], told["order"]]
        effect.tries += 1
        text = f"{told['operation']}:{told['order']}:{told['value']}:{len(effect.accepted) + 1}"
        return effect.accepted.setdefault(told["key"], text)

    # --- clients ---

    def order(self, buyer: str, count: int | None = None, process: Process | None = None) -> Order:
        """A client of `buyer` wants something, and asks `process` for it, or whoever lives."""
        name = f"order-{len(self.orders) + 1}"
        seller = next(party for party in PARTIES if party != buyer)
        if count is None:
            # 13 are not sold: some flows end with an error.
            count = self.random.randint(1, 20)
        order = self.orders[name] = Order(name, buyer, seller, count)
        process = process or self.living(buyer)
        if process is not None:
            self.ask(order, process)
        return order

    def ask(self, order: Order, process: Process) -> None:
        """Ask a process for an order, as its client does once for each process. Who was told that
        it is started does not ask for a start again."""
        about = {
            "seller": order.seller,
            "order": order.name,
            "count": order.count,
            "known": bool(order.started),
        }
        process.say({"ask": "buy", **about})

    def under_way(self) -> int:
        """How many orders have not ended, as far as their clients know."""
        return sum(not order.ended for order in self.orders.values())

    # --- the end ---

    def rest(self, is_quiet: Callable[[Path], bool], patience_s: float = PATIENCE_S) -> bool:
        """Nobody dies any more: every party is started again, every order comes to its end, and
        nothing is left on its way. False if that does not come."""
        self.keep = 1.0
        for process in self._all:
            process.kill()
            self.wait(process)
        for party in PARTIES:
            self.start(party)
        self.until(lambda: all(map(self.living, PARTIES)), "opening")
        give_up = time.monotonic() + patience_s
        while self.under_way() or not all(map(is_quiet, self.paths.values())):
            if time.monotonic() > give_up:
                return False
            self.turn()
        return True

    def stop(self) -> None:
        """Ask every party to close."""
        for party in PARTIES:
            process = self.processes[party]
            process.say({"ask": "close"})
            self.wait(process)
            if process.ended != 0:
                raise Unexpected(f"{party} did not close: {process.ended}\n{_log(process)}")

    def wait(self, process: Process) -> None:
        """Until a process has ended, whose end is near."""
        give_up = time.monotonic() + PATIENCE_S
        while process.ended is None:
            self.turn()
            self.reap()
            if time.monotonic() > give_up:
                raise Unexpected(f"{process.life.party} does not end\n{_log(process)}")

    def log(self, process: Process) -> str:
        """What a process has written for people."""
        return _log(process)

    def zombies(self) -> Iterator[Process]:
        """Processes that live though another of their party was started since."""
        for process in self._all:
            if process.ended is None and self.processes[process.life.party] is not process:
                yield process


def _log(process: Process) -> str:
    return process.log.read_text(errors="replace")


def stopped_by_itself(process: Process) -> bool:
    """Whether its node stopped, and the process with it."""
    return process.ended == -STOPPED


__all__ = ["PARTIES", "Death", "Effect", "Order", "Process", "Supervisor", "Unexpected"]
