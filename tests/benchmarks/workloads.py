"""The workloads as programs: each runs in a process of its own, and prints its figures.

Arguments: the folder of the compiled flows, one for stores, numbers.
"""

from __future__ import annotations

SHARED = """
import asyncio, resource, sqlite3, sys, time
sys.path.insert(0, sys.argv[1])
from flowrt.core.flow import Party
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
import bench_flow as bench

# As many sessions with one peer, and so many begun at once, nobody grants by default.
MANY = Limits(sessions=10**7, invitations_per_s=1e6, invitations_at_once=10**7,
              unread=10**7, outbox=10**7, outbox_bytes=1 << 34, window=8192)

async def nodes(folder, *parties, **options):
    network = MemoryNetwork()
    return [await Node.open(party, store=SqliteStore(folder + "/" + party + ".db"),
            network=network, modules=[bench], **options) for party in parties]

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def percentiles(times):
    times = sorted(times)
    print(times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000)
"""

W1 = """
async def main(folder, flows, concurrency):
    [node] = await nodes(folder, "alice")
    begun = time.perf_counter()
    left = iter(range(flows))
    async def worker():
        for n in left:
            handle = await node.start(bench.Three_v1, n=n)
            assert await handle.result() == n
    await asyncio.gather(*[worker() for _ in range(concurrency)])
    seconds = time.perf_counter() - begun
    from flowrt.core.values import decode
    steps = {}
    for _, entries in node._store.audit():
        for entry in decode(list, entries):
            steps[entry[0]] = steps.get(entry[0], 0) + 1
    assert len(steps) == flows and set(steps.values()) == {4}, "four commits a flow"
    print(flows / seconds)
    await node.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""

LATENCY = """
async def main(folder, flows):
    [node] = await nodes(folder, "alice")
    times = []
    for n in range(flows):
        begun = time.perf_counter()
        await (await node.start(bench.Three_v1, n=n)).result()
        times.append(time.perf_counter() - begun)
    percentiles(times)
    await node.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3])))
"""

STEP_ALONE = """
async def main(folder, flows):
    # From the call that starts a flow to the commit of its first step, on a node that does nothing
    # else meanwhile.
    [node] = await nodes(folder, "alice")
    times = []
    for n in range(flows):
        begun = time.perf_counter()
        handle = await node.start(bench.Three_v1, n=n)
        times.append(time.perf_counter() - begun)
        await handle.result()
    percentiles(times)
    await node.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3])))
"""

W2 = """
async def main(folder, flows):
    alice, bob = await nodes(folder, "alice", "bob")
    begun = time.perf_counter()
    async def one():
        handle = await alice.start(bench.Asker_v1, whom=Party("bob"), rounds=10)
        assert await handle.result() == 90
    await asyncio.gather(*[one() for _ in range(flows)])
    while len(alice._outbox) or len(bob._outbox) or bob.flows():
        await asyncio.sleep(0.001)
    print(flows * 20 / (time.perf_counter() - begun))
    await alice.close(); await bob.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3])))
"""

HALF_LOAD = """
async def main(folder, rate, seconds):
    # What a step takes from the moment when it was due to begin, be it that the node was busy then.
    [node] = await nodes(folder, "alice")
    times, running = [], set()
    async def one(due):
        handle = await node.start(bench.Three_v1, n=1)
        times.append(time.perf_counter() - due)
        await handle.result()
    begun = time.perf_counter()
    n = 0
    while (now := time.perf_counter()) < begun + seconds:
        while begun + n / rate <= now:
            task = asyncio.create_task(one(begun + n / rate))
            running.add(task)
            task.add_done_callback(running.discard)
            n += 1
        await asyncio.sleep(0)
    await asyncio.gather(*running)
    await node.close()
    percentiles(times[len(times) // 10:])
    db = sqlite3.connect(folder + "/raw.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, due INTEGER, data BLOB)")
    times = []
    for n in range(4000):
        begun = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO row VALUES (?, 0, ?)", (n, b"x" * 60))
        db.execute("COMMIT")
        times.append(time.perf_counter() - begun)
    percentiles(times)
asyncio.run(main(sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
"""

W3_MAKE = """
async def main(folder, flows):
    alice, bob = await nodes(folder, "alice", "bob", limits=MANY)
    left = iter(range(flows))
    async def worker():
        for n in left:
            while len(alice._outbox) > 2_000:  # Bob must keep up, or the file grows by what waits.
                await asyncio.sleep(0.001)
            await alice.start(bench.Waiter_v1, whom=Party("bob"), first=f"customer {n:05}",
                second="EUR and USD", count=n, total=100 * n, blob=n.to_bytes(32, "big"))
    async def rest():
        while len(alice._outbox) or len(bob._outbox) or alice._has_work() or bob._has_work():
            await asyncio.sleep(0.005)
    # What is kept for flows that are used again is full after the first of them.
    few = min(flows // 2, 20_000)
    left = iter(range(few))
    await asyncio.gather(*[worker() for _ in range(512)])
    await rest()
    before, begun = resident(), time.perf_counter()
    left = iter(range(few, flows))
    await asyncio.gather(*[worker() for _ in range(512)])
    await rest()
    print((flows - few) / (time.perf_counter() - begun), (resident() - before) / (flows - few))
    last = alice.flows(after=flows - 100)
    assert len(last) == 100 and all(view.state == "AwaitGo" for view in last)
    await alice.close(); await bob.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3])))
"""

W3_OPEN = """
async def main(folder, flows):
    alice, bob = await nodes(folder, "alice", "bob", limits=MANY)
    await (await alice.start(bench.Three_v1, n=1)).result()
    print(resident() / 2**20)
    await alice.close(); await bob.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3])))
"""

W3_RESUME = """
async def main(folder, flows):
    later = lambda: time.time_ns() // 1000 + 2 * 86_400_000_000
    alice, bob = await nodes(folder, "alice", "bob", limits=MANY, clock=later)
    begun = time.perf_counter()
    assert await alice.handle(1).result() > 0
    print(time.time(), flush=True)
    store = alice._store
    while (next(store.flows(), None) or next(bob._store.flows(), None)
            or len(alice._outbox) or len(bob._outbox)):
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - begun
    for n in range(1, flows + 1):
        assert store.outcome(n)[1] is None
    print(flows / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    await alice.close(); await bob.close()
asyncio.run(main(sys.argv[2], int(sys.argv[3])))
"""

W4 = """
async def main(folder):
    [node] = await nodes(folder, "alice")
    await (await node.start(bench.Three_v1, n=1)).result()
    print(time.time())
    await node.close()
asyncio.run(main(sys.argv[2]))
"""
