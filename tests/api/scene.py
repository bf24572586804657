"""A node with its interface, and users who ask it, without a socket. Knows no assertion."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Coroutine
from types import ModuleType
from typing import Any

import httpx

from flowrt.api.access import Access, Role, User, digest_of
from flowrt.api.app import App, Offer
from flowrt.node import Node
from flowrt.store import Store
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import compiled

PROGRAM = '''
"""A desk where much can be asked."""

enum Mood:
    Glad
    Sad(why: Text)

record Line:
    sku: Text
    count: Int
    price: Decimal?

record Question:
    text: Text

record Verdict:
    yes: Bool
    mood: Mood? = none

message More:
    amount: Int

message Total:
    amount: Int

error TooMuch(amount: Int): "{amount} is too much"

service Desk:
    write put(text: Text) -> Int

flow Orders(lines: List[Line], by: Map[Text, Decimal], day: Timestamp, nap: Duration, code: Bytes,
        whom: Party, mood: Mood) -> List[Line]:
    """Take an order as it is."""
    startable by rpc
    steps:
        TAKING(count: Int) "Taking {count} lines"
    step TAKING(lines.size)
    return lines

flow Counts(most: Int = 10) -> Int:
    """Count what the owner says."""
    startable by rpc as owner
    key "counts {most}"
    steps:
        COUNTING(total: Int) "At {total}"
    var total = 0
    while total < most:
        step COUNTING(total)
        receive more: More from owner:
            require more.amount < 1000 else TooMuch(more.amount)
        total = total + more.amount
        send Total(total) to owner
    return total

flow Asks(text: Text = "may we?") -> Text:
    startable by rpc
    try:
        let said = ask "boss": Question(text) -> Verdict within 1h
        return "{said.by} said {said.value.yes}"
    catch TaskExpired:
        return "nobody"

flow Waits() -> Int:
    startable by rpc
    sleep 1h
    return 1

flow Fails(text: Text) -> Int:
    startable by rpc
    try:
        checkpoint
        return Desk.put(text)
    catch TooMuch as much:
        return 0 - 1

flow Ticks() -> Text:
    startable by rpc, schedule
    return "ticked"

flow Inner() -> Int:
    sleep 1h
    return 1

schedule Hourly = Ticks() every "0 * * * *" in "UTC"
'''

NOW_US = 1_800_000_000_000_000


class Desk:
    """A desk that is closed for some."""

    def put(self, tx: Any, text: str) -> int:
        if text.startswith("bad"):
            raise ValueError(f"the desk cannot take {text}")
        return len(text)


_PROGRAM: list[ModuleType] = []


def program() -> ModuleType:
    """The program above, compiled once."""
    if not _PROGRAM:
        _PROGRAM.append(compiled(PROGRAM))
    return _PROGRAM[0]


ROLES = {
    "trader": Role(["start *.Counts", "start *.Orders", "start *.Asks", "send own", "kill own"]),
    "boss": Role(["answer boss"]),
    "nobody": Role([]),
}
USERS = {
    "ann": ["admin"],
    "tom": ["trader"],
    "tim": ["trader"],
    "vic": ["viewer"],
    "olga": ["operator"],
    "bob": ["boss"],
    "bea": ["boss"],
    "nil": ["nobody"],
}


def token_of(user: str) -> str:
    """A user's token."""
    return f"the-token-of-{user}-{'x' * 20}"


def users() -> dict[str, User]:
    """All of them, with tokens."""
    return {name: User(roles, digest_of(token_of(name))) for name, roles in USERS.items()}


class Scene:
    """A node, its interface, and who asks."""

    def __init__(self, node: Node, app: App, scene_users: dict[str, User]) -> None:
        self.node = node
        self.app = app
        self.users = scene_users
        self.now_us = NOW_US
        self.name = program().__name__.removesuffix("_flow")
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost"
        )

    async def ask(
        self, user: str | None, method: str, path: str, body: Any = None, **how: Any
    ) -> httpx.Response:
        """One request."""
        headers = dict(how.pop("headers", {}))
        if user is not None:
            headers.setdefault("Authorization", f"Bearer {token_of(user)}")
        if body is not None:
            how["json"] = body
        return await self._client.request(method, path, headers=headers, **how)

    async def start(self, user: str, flow: str, **arguments: Any) -> int:
        """Start a flow of the program; its id."""
        body = {"flow": f"{self.name}.{flow}", "arguments": arguments}
        answer = await self.ask(user, "POST", "/v1/flows", body)
        assert answer.status_code in (200, 201), answer.text
        found: int = answer.json()["id"]
        await self.rest()
        return found

    async def rest(self) -> None:
        """Until the node has nothing to do at once."""
        while self.node.next_due() == 0:
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self._client.aclose()
        await self.node.close()


@contextlib.asynccontextmanager
async def scene(store: Store | None = None, offer: Offer | None = None) -> AsyncIterator[Scene]:
    """One that is closed at the end."""
    made: list[Scene] = []
    node = await Node.open(
        "alice",
        store=store or MemoryStore(),
        network=MemoryNetwork(),
        modules=[program()],
        services={"Desk": Desk()},
        clock=lambda: made[0].now_us if made else NOW_US,
    )
    known = users()
    access = Access(known, ROLES, lambda: datetime.date(2026, 11, 22))
    made.append(Scene(node, App(node, access, offer), known))
    try:
        yield made[0]
    finally:
        await made[0].close()


def play(work: Callable[[Scene], Coroutine[Any, Any, None]], **how: Any) -> None:
    """Run a test's story in a scene."""

    async def whole() -> None:
        async with scene(**how) as on:
            await work(on)

    asyncio.run(whole())
