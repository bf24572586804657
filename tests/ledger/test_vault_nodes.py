"""The vault at a node: what flows wait for, what ends with them, what is read from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrt.core.flow import FlowKilled
from flowrt.handle import StillRunning
from flowrt.ledger.vault.service import Vault
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import StateRef
from flowrt.stdlib.ledger.vault_flow import StateQuery
from flowrt.store.statements import Refused
from tests.ledger.coins import OUR_KEYS, RULES, THEIRS, give, issue, refs
from tests.ledger.market import program
from tests.runtime.crashes import Start, World

PROGRAM = program(
    '''"""Flows that hold, wait for and record things of the vault."""

use ledger.core: SignedTransaction, StatesUnavailable
use ledger.parts: StateRef
use ledger.vault: Vault

flow Hold(refs: List[StateRef], fails: Bool):
    startable by rpc
    Vault.reserve(refs)
    sleep 1h
    require not fails else StatesUnavailable(refs)

flow Take(transaction: SignedTransaction):
    startable by rpc
    Vault.record(transaction)

flow Watch(id: Bytes) -> Int:
    startable by rpc
    let found = await Vault.recorded(id)
    return found.inputs.size

flow WatchUse(ref: StateRef) -> Bytes:
    startable by rpc
    return await Vault.consumed(ref)
''',
    "holding",
)
COIN = issue(1, [5, 6])
USE = give(2, [COIN.transaction.output(0)], THEIRS[0])


class Owner:
    """A node with a vault, in a world."""

    def __init__(self, folder: Path | None) -> None:
        self.world = World(folder=folder, reload=True)
        self.vaults: list[Vault] = []
        self.world.add("alice", [PROGRAM], self._services)

    def _services(self) -> dict[str, object]:
        self.vaults.append(Vault(RULES, lambda _, key: key in OUR_KEYS))
        return {"Vault": self.vaults[-1]}

    def start(self, name: str, **arguments: object) -> Start:
        started = self.world.start("alice", getattr(PROGRAM, f"{name}_v1"), **arguments)
        self.world.run(horizon_us=0)
        return started

    def locked(self) -> list[StateRef]:
        reading = self.world.node("alice").reading()
        page = self.vaults[-1].states(reading, StateQuery(locked=True))
        return [one.state.ref for one in page.states]


@pytest.fixture(params=["memory", "sqlite"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    made = Owner(None if request.param == "memory" else tmp_path)
    yield made
    made.world.close()


def test_who_waits_for_a_transaction_hears_of_it(owner: Owner) -> None:
    world = owner.world
    watch = owner.start("Watch", id_=COIN.id)
    use = owner.start("WatchUse", ref=refs(COIN)[0])
    world.crash("alice")
    owner.start("Take", transaction=COIN)
    assert world.result(watch) == 0
    with pytest.raises(StillRunning):
        world.result(use)
    world.crash("alice")
    owner.start("Take", transaction=USE)
    assert world.result(use) == USE.id
    assert world.result(owner.start("Watch", id_=USE.id)) == 1
    assert world.result(owner.start("WatchUse", ref=refs(COIN)[0])) == USE.id


@pytest.mark.parametrize("end", ["return", "error", "kill"])
def test_reservations_end_with_the_flow(owner: Owner, end: str) -> None:
    world = owner.world
    owner.start("Take", transaction=COIN)
    assert owner.locked() == []  # What it recorded was its own until it ended.
    hold = owner.start("Hold", refs=tuple(refs(COIN)), fails=end == "error")
    world.crash("alice")
    assert owner.locked() == refs(COIN)
    with pytest.raises(core.StatesUnavailable):
        world.result(owner.start("Hold", refs=(refs(COIN)[1],), fails=False))
    if end == "kill":
        node = world.node("alice")
        [flow] = node.flows()
        node.submit_kill(flow.id, by="ann", reason="a test")
        world.run(horizon_us=0)
        with pytest.raises(FlowKilled):
            world.result(hold)
    else:
        world.now_us += 3_600_000_000
        world.run()
        if end == "error":
            with pytest.raises(core.StatesUnavailable):
                world.result(hold)
    assert owner.locked() == []


def test_what_a_node_reads_between_steps_it_cannot_write(owner: Owner) -> None:
    reading = owner.world.node("alice").reading()
    with pytest.raises(Refused):
        reading.execute("DELETE FROM ledger_state")
    with pytest.raises(RuntimeError):
        reading.happened("Vault.recorded", COIN.id)
    assert reading.now.year == owner.world.node("alice").reading().now.year
    assert not reading.lives(7)
