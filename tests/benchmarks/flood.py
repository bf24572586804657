"""A peer that floods a node at ten times what it is granted, and what honest conversations notice.

The code runs in a process of its own, behind what the benchmarks share.
"""

from __future__ import annotations

FLOOD = """
import itertools, random
from flowrt.core.values import End, Invite, Letter, encode

# What a node grants that faces strangers; the flood is ten times as much of everything.
LIMITS = Limits(sessions=100, invitations_per_s=100, invitations_at_once=100, unread=200,
                unread_bytes=1 << 20, inbound=1_000, inbound_bytes=1 << 20, outbox=1_000)
EVERY_S = 0.01

def packets(count):
    name, initiator = bench.Answerer_v1.name, bench.Asker_v1.name
    for number in range(count):
        secret = number.to_bytes(16, "big")
        row = number.to_bytes(8, "big")
        yield row + encode(Invite(number, b"mallorys", name, initiator, 1, 1, 0, secret, None))
        yield row + encode(Letter(random.randrange(5_000), 0, secret, 1, End()))
        yield row + secret * 50

async def main(folder, conversations):
    alice, bob = await nodes(folder, "alice", "bob", limits=LIMITS)
    network = alice._transport.network
    mallory = network.join("mallory", lambda sender, data: None)
    async def honest():
        times = []
        for n in range(conversations):
            begun = time.perf_counter()
            handle = await alice.start(bench.Asker_v1, whom=Party("bob"), rounds=10)
            assert await handle.result() == 90
            times.append((time.perf_counter() - begun) * 1000)
        times.sort()
        return times[len(times) // 2], times[len(times) * 99 // 100]
    await honest()
    quiet = await honest()
    made = itertools.cycle(list(packets(20_000)))
    stop = False
    async def flood():
        per_turn = int(10 * LIMITS.invitations_per_s * 3 * EVERY_S)
        while not stop:
            for _ in range(per_turn):
                mallory.send("bob", next(made))
            await asyncio.sleep(EVERY_S)
    flooding = asyncio.create_task(flood())
    await asyncio.sleep(1)
    loud = await honest()
    stop = True
    await flooding
    print(*quiet, *loud)
    await alice.close(); await bob.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3])))
"""
