"""A thousand payments through one channel, and the payer's process ends in the middle.

flowc compile channel.flow && python pay.py
"""

from __future__ import annotations

import asyncio
import datetime
import tempfile
from pathlib import Path

import channel_flow
from channel_flow import Balance, Channel_v1, Finish, Pay
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger import Ledger
from wallet import Wallet

from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

PAYER, PAYEE = Party("reader"), Party("newspaper")
PAYMENTS, PRICE, DEPOSIT, COINS = 1_000, 3, 5_000, 8_000
DAY = datetime.timedelta(days=1)


class World:
    """Two parties' nodes on databases in a folder, a network between them, and the ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = MemoryNetwork()
        self._keys = {party: Ed25519PrivateKey.generate() for party in (PAYER, PAYEE)}
        self._public = {
            party.name: key.public_key().public_bytes_raw() for party, key in self._keys.items()
        }
        self.ledger = Ledger(self._public, lambda: datetime.datetime.now(datetime.UTC))

    async def node(self, party: Party) -> Node:
        """The party's node, as a new process would open it."""
        coins = COINS if party == PAYER else 0
        return await Node.open(
            party.name,
            store=SqliteStore(self._folder / f"{party.name}.db"),
            network=self._network,
            modules=[channel_flow],
            services={
                "Wallet": Wallet(self._keys[party], self._public, coins),
                "Ledger": self.ledger,
            },
        )


async def show(folder: Path, payments: int = PAYMENTS) -> tuple[int, int]:
    """Open a channel, pay, settle; what came back and what the payee got."""
    world = World(folder)
    payee, payer = await world.node(PAYEE), await world.node(PAYER)
    channel = await payer.start(Channel_v1, payee=PAYEE, deposit=DEPOSIT, open_for=DAY)
    print(f"{PAYER.name} locks {DEPOSIT} of its {COINS} coins")
    for number in range(1, payments + 1):
        await channel.send(Pay(number * PRICE))
        balance = await channel.receive()
        assert isinstance(balance, Balance)
        if number % (payments // 4) == 0:
            size = payer.flows()[0].checkpoint_bytes
            print(f"{number:5} payments: {balance.paid} paid, {balance.left} left; {size} bytes")
        if number == payments // 2:
            print(f"{PAYER.name}'s process ends, and a new one opens its database")
            await payer.close()
            payer = await world.node(PAYER)
            channel = payer.handle(channel.id)
            for _ in range(number):
                await channel.receive()  # A new handle hears everything from the beginning.
    await channel.send(Finish())
    back = await channel.result()
    got = await payee.handle(1).result()
    print(f"{len(world.ledger.divisions)} division in the ledger: {PAYEE.name} {got}, back {back}")
    await payer.close()
    await payee.close()
    return back, got


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(show(Path(name)))
