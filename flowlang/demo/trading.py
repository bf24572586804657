"""Trades between the parties of a town, and who is killed meanwhile: the plan, drawn by chance, and
how it is carried out through the nodes' HTTP interfaces.

Knows nothing of databases and nothing of how it is shown.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import functools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from flowlang.demo.board import Board, Kill, View
from flowlang.demo.report import Check
from flowlang.demo.tally import PARTIES
from flowlang.demo.town import Town, resumed

AT_ONCE = 8
"""How many trades are under way at a time."""

STALLED_S = 90.0
"""For how long no trade may be settled before the demo gives up."""

CALM_S = 60.0
"""How long what is still said after the last trade may take."""

RESERVE = 4
"""With fewer trades left than this and a quarter of the kills that are due, a party is killed at
once, so that each kill finds trades under way."""

UNASKED = 15_000_000
"""Up to 150,000.00 euros the buyer's treasury need not be asked."""

COIN = 12_000_000
"""What a coin of the buyer's is worth, in cents; no price is higher."""

PERCENT = 95
"""Of its face value, what the buyer pays for a paper."""

T = TypeVar("T")


class TradingFailed(Exception):
    """A trade ended otherwise than it had to, or not at all; the message says how."""


@dataclasses.dataclass(frozen=True)
class Order:
    """A paper that the seller issues, and sells for that price."""

    order: str
    serial: str
    face: int
    price: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to happen, all of it by chance from a seed."""

    orders: tuple[Order, ...]
    victims: tuple[str, ...]

    @classmethod
    def drawn(cls, chance: random.Random, trades: int, kills: int) -> Plan:
        """So many orders, and who is killed one after the other: each about as often."""
        orders = []
        for number in range(1, trades + 1):
            face = chance.randrange(8_000_000, COIN)
            serial = f"C-{number:04}"
            orders.append(Order(f"order-{number:04}", serial, face, face * PERCENT // 100))
        rounds = [chance.sample(PARTIES, len(PARTIES)) for _ in range(kills // len(PARTIES) + 1)]
        victims = [name for one in rounds for name in one]
        return cls(tuple(orders), tuple(victims[:kills]))


class Day:
    """Trades under way at the parties of a town, and who is killed meanwhile."""

    def __init__(self, town: Town, plan: Plan, chance: random.Random, view: View) -> None:
        from flowrt.client import connect

        self.board = Board(len(plan.orders), len(plan.victims))
        self.checks: list[Check] = []
        self.transactions: dict[str, str] = {}
        self.took: list[float] = []
        self._town = town
        self._plan = plan
        self._chance = chance
        self._view = view
        self._clients = {
            name: connect(place.url, token=place.token) for name, place in town.places.items()
        }
        self._room = asyncio.Semaphore(AT_ONCE)
        self._moved = asyncio.Condition()
        self._alive = time.monotonic()

    async def close(self) -> None:
        """Ask nobody any more."""
        for client in self._clients.values():
            await client.close()

    @property
    def issued(self) -> int:
        """All the money there is. A trade reserves less than its price and a coin together."""
        return COIN * (len(self._plan.orders) + 2 * AT_ONCE)

    async def hold(self) -> None:
        """Until all trades are settled, all kills done that found one, and nothing waits any more.

        Raises:
            TradingFailed, TownFailed: something other than a kill went wrong.
        """
        await _together(self._watch(), self._whole())

    async def _whole(self) -> None:
        await self._open()
        await _together(self._kill_all(), *map(self._settle, self._plan.orders), all_of=True)
        # The last flows of the buyer may end a little later than the seller's.
        waits = Check("nothing waits at any node", await self._waiting())
        same = Check("both nodes tell of each trade once", await self._told_otherwise())
        self.checks = [same, waits]

    async def _open(self) -> None:
        """Serve all parties; then money for the buyer."""
        await _together(*map(self._first, PARTIES), all_of=True)
        coin = {"units": COIN, "currency": "EUR"}
        count = self.issued // COIN
        for number, first in enumerate(range(0, count, 50), 1):
            sums = [coin] * min(50, count - first)
            given = {"sums": sums, "reference": "01", "notary": "notary"}
            await self._ran("buyer", "finance.cash.CashIssue", f"cash {number}", given)

    async def _first(self, name: str) -> None:
        self._view.said(await self._served(name))

    async def _settle(self, order: Order) -> None:
        async with self._room:
            began = time.monotonic()
            async with self._told():
                self.board.flying += 1
            face = {"units": order.face, "currency": "EUR"}
            given: dict[str, Any] = {"serial": order.serial, "face": face, "notary": "notary"}
            await self._ran("seller", "papers.IssuePaper", order.serial, given)
            prices = [{"units": order.price, "currency": "EUR"}]
            given = {"order": order.order, "buyer": "buyer", "serial": order.serial}
            given["prices"] = prices
            found = await self._ran("seller", "trade.Seller", order.order, given)
            self.transactions[order.order] = found["transaction"]
            self.took.append(time.monotonic() - began)
            self._alive = time.monotonic()
            async with self._told():
                self.board.flying -= 1
                self.board.settled += 1

    async def _ran(self, party: str, flow: str, name: str, arguments: dict[str, Any]) -> Any:
        """Start a flow and wait for its result, asking again while its party is away: under the
        same name it is the same flow."""
        from flowrt.client import ClientError, FlowFailed

        async def ask() -> Any:
            handle = await self._clients[party].start(flow, name, **arguments)
            return await handle.result()

        try:
            return await self._again(ask)
        except FlowFailed as error:
            raise TradingFailed(
                f"{name}: {flow} at {party} ended with {error.name}: {error}"
            ) from None
        except ClientError as error:
            raise TradingFailed(f"{name}: {flow} at {party}: {error}") from None

    async def _again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What is asked, asked until somebody answers. Who asks in vain is stopped by `_watch`."""
        from flowrt.client import Unavailable, Unreachable

        while True:
            with contextlib.suppress(Unavailable, Unreachable):
                return await ask()
            await asyncio.sleep(0.05)

    # --- who is killed ----------------------------------------------------------------------------

    async def _kill_all(self) -> None:
        board, chance = self.board, self._chance
        for number, victim in enumerate(self._plan.victims):
            due = len(self._plan.victims) - number
            # The kills are spread over the trades that are left.
            mark = board.settled + chance.random() * board.left / (due + 1)
            pause, away = chance.random() * 0.2, chance.random() * 0.3
            async with self._moved:
                await self._moved.wait_for(functools.partial(self._is_time, mark, due))
            # A moment later, but while there are trades that it can hit.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause), self._moved:
                    await self._moved.wait_for(functools.partial(self._are_few, due))
            if not board.left:
                return
            await self._kill(victim, away)

    def _is_time(self, mark: float, due: int) -> bool:
        under_way = bool(self.board.flying) and self.board.settled >= mark
        return under_way or self._are_few(due)

    def _are_few(self, due: int) -> bool:
        """Whether so few trades are left that none must be waited for."""
        board = self.board
        few = board.left <= RESERVE + due // 4
        return not board.left or (bool(board.flying) and few)

    async def _kill(self, victim: str, away_s: float) -> None:
        flying, settled = self.board.flying, self.board.settled
        self._town.kill(victim)
        began = time.monotonic()
        self.board.killed[victim] += 1
        self._show(victim, "killed")
        await asyncio.sleep(away_s)
        line = await self._served(victim)
        away = round(time.monotonic() - began, 2)
        kill = Kill(victim, settled, flying, away, resumed(line))
        self.board.kills.append(kill)
        self._view.killed(kill)
        self._alive = time.monotonic()

    async def _served(self, name: str) -> str:
        self._show(name, "starting")
        line = await self._town.serve(name)
        self._show(name, "serving")
        return line

    async def _watch(self) -> None:
        """Raises when nothing more can come of it."""
        while True:
            self._town.check()
            if time.monotonic() - self._alive > STALLED_S:
                raise TradingFailed(f"for {STALLED_S:g} s no trade was settled")
            await asyncio.sleep(0.2)

    # --- what is shown ----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        async with self._moved:
            yield
            self._moved.notify_all()
        self._view.changed(self.board)

    def _show(self, name: str, state: str) -> None:
        self.board.states[name] = (state, self._town.process(name))
        self._view.changed(self.board)

    # --- what is left -----------------------------------------------------------------------------

    async def _waiting(self) -> list[str]:
        """What is under way still at any party, a while after the last trade."""
        until = time.monotonic() + CALM_S
        while True:
            wrong = [one for name in PARTIES for one in await self._waits(name)]
            if not wrong or time.monotonic() > until:
                return wrong
            await asyncio.sleep(0.1)

    async def _waits(self, name: str) -> list[str]:
        client = self._clients[name]
        counts = (await self._again(client.node)).counts
        found = {
            "flow is alive": counts.living,
            "flow is in the hospital": counts.hospital,
            "message waits for a peer": counts.outbox,
            "question waits for people": len(await self._again(client.tasks)),
        }
        return [f"{name}: {count} × {what}" for what, count in found.items() if count]

    async def _told_otherwise(self) -> list[str]:
        """What the nodes say otherwise than that each trade is done, once at each side."""
        wrong = []
        due = collections.Counter(self.transactions.values())
        for name, flow in (("seller", "trade.Seller"), ("buyer", "trade.Buyer")):
            client = self._clients[name]
            ended = [one async for one in client.flows(state="ended", flow=flow)]
            results = [await client.handle(one.id).outcome() for one in ended]
            wrong += [f"{name}: {flow} {one.id} {one.outcome}" for one in results if one.error]
            told = collections.Counter(
                str(one.result["transaction"]) for one in results if one.error is None
            )
            for transaction in due | told:
                if told[transaction] != 1 or due[transaction] != 1:
                    times = f"{told[transaction]} times instead of {due[transaction]}"
                    wrong.append(f"{name}: {transaction[:16]} was the end of a trade {times}")
        return wrong


async def _together(*parts: Coroutine[Any, Any, None], all_of: bool = False) -> None:
    """Until the first of them ends, or all; none goes on when one has failed."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    how = asyncio.FIRST_EXCEPTION if all_of else asyncio.FIRST_COMPLETED
    try:
        done, _ = await asyncio.wait(tasks, return_when=how)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
