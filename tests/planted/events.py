"""Flows wait for what is put on a shelf, and hold places there while they live: story and judge.

Knows no defect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from flowrt.core.flow import Party, Tx
from flowrt.sim import Violation, World
from tests.planted.stories import Story
from tests.runtime.written import compiled

TEXT = """
message Wish:
    n: Int
message Gift:
    n: Int

service Shelf:
    write put(n: Int)
    write hold_place(n: Int)
    event there(n: Int) -> Int

flow Put(n: Int) -> Int:
    startable by rpc
    Shelf.hold_place(n)
    checkpoint
    Shelf.put(n)
    return n

flow Take(n: Int) -> Int:
    startable by rpc
    Shelf.hold_place(n)
    let found = await Shelf.there(n)
    sleep 10ms
    return found

flow Either(n: Int) -> Int:
    startable by rpc
    let first = pending await Shelf.there(n)
    let never = pending await Shelf.there(n + 1000)
    receive:
        case result first as found:
            return found
        case result never as found:
            return 0 - found

flow Never(n: Int) -> Text:
    startable by rpc
    Shelf.hold_place(n)
    try:
        within 50ms:
            await Shelf.there(n + 1000)
    catch Timeout:
        return "never"
    return "at last"

flow Ask(whom: Party, n: Int) -> Int:
    startable by rpc
    open Answer with whom as talk
    send Wish(n) to talk then receive gift: Gift from talk unchecked
    return gift.n

flow Answer():
    responds to Ask as talk
    receive wish: Wish from talk:
        require wish.n >= 0 else Unasked()
    Shelf.hold_place(wish.n)
    let found = await Shelf.there(wish.n)
    send Gift(found) to talk

error Unasked: "nothing is wished"
"""

ALICE, BOB = Party("alice"), Party("bob")
COUNT = 4

_made: list[ModuleType] = []


class Shelf:
    """What is there, in the node's tables or `elsewhere`, and who holds a place."""

    def __init__(self, elsewhere: set[int]) -> None:
        self.elsewhere = elsewhere

    def setup(self, tx: Tx) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS shelf (n INTEGER PRIMARY KEY)")
        tx.execute("CREATE TABLE IF NOT EXISTS place (flow INTEGER, n INTEGER)")
        for n in sorted(self.elsewhere):
            tx.happened("there", n)

    def put(self, tx: Tx, n: int) -> None:
        tx.execute("INSERT INTO shelf VALUES (?)", (n,))
        tx.happened("there", n)

    def hold_place(self, tx: Tx, n: int) -> None:
        tx.execute("INSERT INTO place VALUES (?, ?)", (tx.flow_id, n))

    def there(self, tx: Tx, n: int) -> int | None:
        is_there = n in self.elsewhere or tx.execute("SELECT 1 FROM shelf WHERE n = ?", (n,))
        return n if is_there else None

    def flow_ended(self, tx: Tx, flow_id: int) -> None:
        tx.execute("DELETE FROM place WHERE flow = ?", (flow_id,))


class Events(Story):
    """Some wait before it is so, some after; some things come about by a flow, some elsewhere."""

    name = "events"

    def __init__(self) -> None:
        super().__init__()
        if not _made:
            _made.append(compiled(TEXT))
        self.flows = _made[0]
        self.elsewhere: dict[str, set[int]] = {"alice": set(), "bob": set()}

    def _services(self, party: str) -> Callable[[], Mapping[str, object]]:
        return lambda: {"Shelf": Shelf(self.elsewhere[party])}

    def build(self, world: World) -> None:
        self.people(world)
        draw = world.tape.uniform
        for n in range(COUNT):
            when_us = 10_000 * draw("events when", 60)
            for party, peer in ((ALICE, BOB), (BOB, ALICE)):
                if (n + len(party.name)) % 3:
                    world.promise(when_us, lambda p=party, n=n: self._put(world, p, n))
                else:
                    world.promise(when_us, lambda p=party, n=n: self._happen(world, p, n))
                late_us = 10_000 * draw("events late", 60)
                world.promise(late_us, lambda p=party, o=peer, n=n: self._wait(world, p, o, n))

    def _wait(self, world: World, party: Party, peer: Party, n: int) -> None:
        self.start(world, party, "Take", n, n=n)
        self.start(world, party, "Either", n, n=n)
        self.start(world, party, "Ask", n, whom=peer, n=n)
        self.start(world, party, "Never", "never", n=n)

    def _put(self, world: World, party: Party, n: int) -> None:
        self.start(world, party, "Put", n, n=n)

    def _happen(self, world: World, party: Party, n: int) -> None:
        """It is so, and is told: to the process that is there, or to the next."""
        self.elsewhere[party.name].add(n)
        node = world.hosts[party.name].node
        if node is not None:
            node.submit_happened("there", n)

    def judge(self, world: World) -> None:
        super().judge(world)
        for party in (ALICE, BOB):
            held = world.rows(party.name, "SELECT flow, n FROM place")
            if held:
                raise Violation("J5", f"{party.name} has places of flows that have ended: {held}")
            there: Any = world.rows(party.name, "SELECT n FROM shelf ORDER BY n")
            wanted = [(n,) for n in range(COUNT) if (n + len(party.name)) % 3]
            if there != wanted:
                raise Violation("J5", f"{party.name} has on its shelf {there}")
