"""A thousand payments through one channel, and the payer's process ends in the middle; then a
channel whose payee is gone, and the money comes back.

flowc compile channel.flow && python pay.py
"""

from __future__ import annotations

import asyncio
import datetime
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import channel_flow
from channel_flow import Balance, Channel_v1, Finish, Pay
from deposits import Deposits

from flowrt.core.flow import Party
from flowrt.finance import cash
from flowrt.finance.currencies import shown
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.handle import Handle
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

PAYER, PAYEE, MINT = "reader", "newspaper", "mint"
MODULES: tuple[ModuleType, ...] = (channel_flow, cash_flow)
PAYMENTS, PRICE, DEPOSIT, COINS = 1_000, 3, 5_000, 8_000
DAY = datetime.timedelta(days=1)
ACCOUNT = b"\x01"


class Clock:
    """A clock that can be set forward."""

    def __init__(self) -> None:
        self._ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self._ahead

    def forward(self, by: datetime.timedelta) -> None:
        self._ahead += by // datetime.timedelta(microseconds=1)


class Street:
    """A reader, a newspaper, a mint that issues their money, a notary; databases in a folder."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.local = LocalNetwork(
            (PAYER, PAYEE, MINT), (cash,), seed="channel", folder=folder, clock=self.clock
        )
        self.money = Issuer(self.local.key(MINT), ACCOUNT)

    async def open(self, *names: str) -> None:
        """Open the nodes of these, or of all, as new processes would."""
        await self.local.open(*MODULES, own=self._own, only=names or None)

    async def leave(self, name: str) -> None:
        """A party's process ends."""
        await self.local.nodes.pop(name).close()

    async def give(self, units: int) -> None:
        """The reader gets money."""
        amount = Amount(units, "EUR")
        await self.local.run(
            MINT,
            cash_flow.CashIssue_v1,
            sums=(amount,),
            reference=ACCOUNT,
            notary=self.local.notary,
        )
        await self.local.run(
            MINT,
            cash_flow.CashPayment_v1,
            payee=Party(PAYER),
            amount=amount,
            purpose="an account",
            pseudonymous=True,
            issuers=(),
        )

    async def channel(self) -> Handle[Amount]:
        """A channel for a day."""
        return await self.local.nodes[PAYER].start(
            Channel_v1,
            payee=Party(PAYEE),
            deposit=Amount(DEPOSIT, "EUR"),
            money=self.money,
            open_for=DAY,
        )

    def cash(self, name: str) -> int:
        """What a party can spend."""
        reading = self.local.nodes[name].reading()
        return int(self.local.ledgers[name].vault.spendable(reading, "EUR"))

    def _own(self, ledger: Ledger) -> Mapping[str, object]:
        return {
            "Deposits": Deposits(ledger, [self.money]),
            "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
            "finance.cash.Treasury": Treasury(otherwise=None),
        }


async def show(folder: Path, payments: int = PAYMENTS) -> Mapping[str, int]:
    """Who has what in the end."""
    street = Street(folder)
    nodes = street.local.nodes
    await street.open()
    await street.give(COINS)
    print(f"{PAYER} has {euros(COINS)}, and locks {euros(DEPOSIT)} in a channel")
    channel = await street.channel()
    for number in range(1, payments + 1):
        await channel.send(Pay(number * PRICE))
        balance = await channel.receive()
        assert isinstance(balance, Balance)
        if number % (payments // 4) == 0:
            size = max(flow.checkpoint_bytes for flow in nodes[PAYER].flows())
            paid, left = euros(balance.paid), euros(balance.left)
            print(f"{number:5} payments: {paid} paid, {left} left; {size} bytes at rest")
        if number == payments // 2:
            print(f"{PAYER}'s process ends, and a new one opens its database")
            await street.leave(PAYER)
            await street.open(PAYER)
            channel = nodes[PAYER].handle(channel.id)
            for _ in range(number):
                await channel.receive()  # A new handle hears everything from the beginning.
    await channel.send(Finish())
    back = await channel.result()
    await quiet(street)
    print(f"closed: one transaction of {payments} payments; {euros(back.units)} came back")
    tell(street)

    await street.give(DEPOSIT)
    print(f"another channel, of {euros(DEPOSIT)}; {PAYEE}'s process ends for good")
    channel = await street.channel()
    await channel.send(Pay(PRICE))
    await channel.receive()
    await street.leave(PAYEE)
    street.clock.forward(DAY)
    for node in nodes.values():
        node.turn()  # The clock was set: nobody noticed that.
    back = await channel.result()
    print(f"a day later: the refund is sealed, {euros(back.units)} came back")
    found = tell(street)
    await street.local.close()
    return found


async def quiet(street: Street) -> None:
    """Wait until no flow is under way."""
    still = 0
    while still < 5:
        await asyncio.sleep(0.02)
        still = still + 1 if not any(n.flows() for n in street.local.nodes.values()) else 0


def tell(street: Street) -> Mapping[str, int]:
    """Say who has what."""
    found = {name: street.cash(name) for name in (PAYER, PAYEE) if name in street.local.nodes}
    for name, units in found.items():
        print(f"    {name:10} {euros(units)}")
    return found


def euros(units: int) -> str:
    return shown(Amount(units, "EUR"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(show(Path(name)))
