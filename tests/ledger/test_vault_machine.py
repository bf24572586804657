"""The vault against a model of dictionaries: steps that are undone, crashes, flows that end."""

from __future__ import annotations

import copy
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.transactions import SignedTransaction, sign
from flowrt.ledger.vault.updates import Update
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from flowrt.stdlib.ledger.vault_flow import StateQuery
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from tests.ledger.coins import (
    ISSUERS,
    NOTARY,
    NOTARY_KEY,
    OUR_KEYS,
    OURS,
    RULES,
    THEIRS,
    Coin,
    Rig,
    issue,
    salt,
    signed,
)

FLOWS = st.integers(1, 3)
KEEP = st.integers(0, 4).map(bool)


@dataclasses.dataclass
class Row:
    """A state of the model."""

    coin: Coin
    consumed: bytes | None = None
    lock: int = 0
    picked: bool = False


@dataclasses.dataclass
class Model:
    """What the vault should hold."""

    recorded: dict[bytes, SignedTransaction] = dataclasses.field(default_factory=dict)
    flights: dict[bytes, SignedTransaction] = dataclasses.field(default_factory=dict)
    states: dict[StateRef, Row] = dataclasses.field(default_factory=dict)
    history: list[tuple[bytes, list[StateRef], list[StateRef]]] = dataclasses.field(
        default_factory=list
    )

    def record(self, transaction: SignedTransaction, flow: int, visible: bool) -> None:
        if transaction.id in self.recorded:
            return
        self.flights.pop(transaction.id, None)
        self.recorded[transaction.id] = transaction
        used = [ref for ref in transaction.inputs if ref in self.states]
        for ref in used:
            self.states[ref] = Row(self.states[ref].coin, transaction.id)
        made = []
        for at, output in enumerate(transaction.transaction.outputs):
            coin = RULES.read_state(output.schema, output.version, output.data)
            assert isinstance(coin, Coin)
            ours = coin.owner in OUR_KEYS
            if ours or visible:
                made.append(StateRef(transaction.id, at))
                self.states[made[-1]] = Row(coin, lock=flow if ours else 0)
        used.sort(key=lambda ref: (ref.transaction, ref.index))
        self.history.append((transaction.id, made, used))

    @property
    def waiting(self) -> set[StateRef]:
        return {ref for one in self.flights.values() for ref in one.inputs}

    def unconsumed(self) -> dict[StateRef, Row]:
        return {ref: row for ref, row in self.states.items() if row.consumed is None}

    def spendable(self, flow: int) -> dict[StateRef, Row]:
        return {
            ref: row
            for ref, row in self.unconsumed().items()
            if row.coin.owner in OUR_KEYS
            and ref not in self.waiting
            and (row.lock == 0 or (row.lock == flow and not row.picked))
        }

    def sums(self) -> dict[tuple[Issuer, str], int]:
        found: dict[tuple[Issuer, str], int] = {}
        for row in self.unconsumed().values():
            group = row.coin.issuer, row.coin.amount.currency
            found[group] = found.get(group, 0) + row.coin.amount.units
        return found


class Machine(RuleBasedStateMachine):
    """On the memory store."""

    def __init__(self) -> None:
        super().__init__()
        self.folder: str | None = None
        self.rig = Rig(self.store())
        self.rig.alive = {1, 2, 3}
        self.rig.commit()
        self.now, self.safe = Model(), Model()
        self.number = 0
        self.open_payments: list[SignedTransaction] = []
        self.read: list[Update] = []
        self.updates = self.rig.vault.updates(self.rig.reading())
        self.walk: tuple[bytes | None, list[StateRef], set[StateRef]] | None = None

    def store(self) -> Any:
        return MemoryStore()

    def teardown(self) -> None:
        self.rig.store.close()
        if self.folder is not None:
            shutil.rmtree(self.folder)

    def take(self, keep: bool, change: Any) -> None:
        """What was done is kept in the model, if it is in the vault."""
        if keep:
            change(self.now)

    @initialize()
    def begin(self) -> None:
        for number in range(2):
            self.issue(1, [3, 5, 5, 8], OURS[number], ISSUERS[number], True, False)

    @rule(
        flow=FLOWS,
        units=st.lists(st.integers(1, 9), min_size=1, max_size=3),
        owner=st.sampled_from([*OURS, THEIRS[0]]),
        issuer=st.sampled_from(ISSUERS),
        keep=KEEP,
        visible=st.booleans(),
    )
    def issue(
        self, flow: int, units: list[int], owner: Any, issuer: Issuer, keep: bool, visible: bool
    ) -> None:
        self.number += 1
        made = issue(self.number, units, owner=owner, issuer=issuer)
        self.rig.do("record_visible" if visible else "record", made, flow=flow, keep=keep)
        self.take(keep, lambda model: model.record(made, flow, visible))

    @rule(
        flow=FLOWS, units=st.integers(1, 30), parts=st.integers(1, 2), keep=KEEP, ours=st.booleans()
    )
    def pay(self, flow: int, units: int, parts: int, keep: bool, ours: bool) -> None:
        """A payment is made; it is notarised later, or never."""
        self.number += 1
        free = self.now.spendable(flow)
        builder = TransactionBuilder(NOTARY)
        owner = OURS[3].public if ours else THEIRS[1].public
        due: list[tuple[PublicKey, Amount]] = [(owner, Amount(units, "EUR"))] * parts
        has = sum(row.coin.amount.units for row in free.values())
        if has < units * parts:
            with pytest.raises(core.InsufficientBalance) as refused, self.rig.step(flow) as tx:
                self.rig.vault.spend(tx, builder, due, lambda: OURS[2].public)
            assert refused.value.missing.units == units * parts - has
            return
        with self.rig.step(flow, keep=keep) as tx:
            keys = self.rig.vault.spend(tx, builder, due, lambda: OURS[2].public)
            built = builder.build(salt(-self.number))
        assert set(built.inputs) <= free.keys()
        assert set(keys) <= OUR_KEYS
        self.open_payments.append(signed(built))

        def picked(model: Model) -> None:
            for ref in built.inputs:
                row = model.states[ref]
                model.states[ref] = Row(row.coin, None, flow, True)

        self.take(keep, picked)

    @precondition(lambda self: self.open_payments)
    @rule(data=st.data(), flow=FLOWS, keep=KEEP)
    def notarise(self, data: st.DataObject, flow: int, keep: bool) -> None:
        """One of the payments is recorded, or is refused since another one was first."""
        one = data.draw(st.sampled_from(self.open_payments))
        if any(ref not in self.now.states for ref in one.inputs):
            with pytest.raises(core.UnknownTransaction):
                self.rig.do("record", one, flow=flow, keep=keep)
            return
        used = [self.now.states[ref].consumed for ref in one.inputs]
        if any(by not in (None, one.id) for by in used):
            with pytest.raises(core.TransactionInvalid):
                self.rig.do("record", one, flow=flow, keep=keep)
            return
        before, is_new = self.now.sums(), one.id not in self.now.recorded
        self.rig.do("record", one, flow=flow, keep=keep)
        self.take(keep, lambda model: model.record(one, flow, False))
        gone = {group: units - self.now.sums().get(group, 0) for group, units in before.items()}
        given = [
            coin
            for output in one.transaction.outputs
            if isinstance(
                coin := RULES.read_state(output.schema, output.version, output.data), Coin
            )
            and coin.owner not in OUR_KEYS
        ]
        if keep and is_new:
            assert sum(gone.values()) == sum(coin.amount.units for coin in given)

    @precondition(lambda self: self.open_payments)
    @rule(data=st.data(), flow=FLOWS, keep=KEEP)
    def fly(self, data: st.DataObject, flow: int, keep: bool) -> None:
        one = data.draw(st.sampled_from(self.open_payments))
        partial = signed(one.transaction, without=NOTARY.key)
        if one.id in self.now.recorded or one.id in self.now.flights:
            self.rig.do("record_in_flight", partial, flow=flow, keep=keep)
            return
        if any(ref not in self.now.states for ref in one.inputs):
            with pytest.raises(core.UnknownTransaction):
                self.rig.do("record_in_flight", partial, flow=flow, keep=keep)
            return
        used = tuple(ref for ref in one.inputs if self.now.states[ref].consumed is not None)
        if used:
            with pytest.raises(core.StatesUnavailable) as refused:
                self.rig.do("record_in_flight", partial, flow=flow, keep=keep)
            assert refused.value.refs == used
            return
        self.rig.do("record_in_flight", partial, flow=flow, keep=keep)
        self.take(keep, lambda model: model.flights.update({one.id: partial}))

    @precondition(lambda self: self.now.flights)
    @rule(data=st.data(), flow=FLOWS, keep=KEEP, agreed=st.booleans())
    def land(self, data: st.DataObject, flow: int, keep: bool, agreed: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.now.flights)))
        one = self.now.flights[id]
        if not agreed:
            self.rig.do("forget_in_flight", id, flow=flow, keep=keep)
            self.take(keep, lambda model: model.flights.pop(id))
            return
        signature = sign(id, NOTARY_KEY)
        if any(self.now.states[ref].consumed is not None for ref in one.inputs):
            with pytest.raises(core.TransactionInvalid):
                self.rig.do("finalise", id, (signature,), flow=flow, keep=keep)
            return
        self.rig.do("finalise", id, (signature,), flow=flow, keep=keep)
        self.take(keep, lambda model: model.record(one.plus(signature), flow, False))

    @precondition(lambda self: self.now.states)
    @rule(data=st.data(), flow=FLOWS, keep=KEEP)
    def reserve(self, data: st.DataObject, flow: int, keep: bool) -> None:
        names = sorted(self.now.states, key=lambda ref: (ref.transaction, ref.index))
        wanted = tuple(data.draw(st.lists(st.sampled_from(names), max_size=4)))
        taken = [
            ref
            for ref in dict.fromkeys(wanted)
            if self.now.states[ref].consumed is not None
            or ref in self.now.waiting
            or self.now.states[ref].lock not in (0, flow)
        ]
        if taken:
            with pytest.raises(core.StatesUnavailable) as refused:
                self.rig.do("reserve", wanted, flow=flow, keep=keep)
            assert refused.value.refs == tuple(taken)
            return
        self.rig.do("reserve", wanted, flow=flow, keep=keep)

        def reserved(model: Model) -> None:
            for ref in wanted:
                if not model.states[ref].lock:
                    model.states[ref] = Row(model.states[ref].coin, None, flow)

        self.take(keep, reserved)

    @rule(flow=FLOWS, keep=KEEP, ended=st.booleans())
    def release(self, flow: int, keep: bool, ended: bool) -> None:
        if ended:
            self.rig.do("flow_ended", flow, flow=99, keep=keep)
        else:
            self.rig.do("release", flow=flow, keep=keep)

        def released(model: Model) -> None:
            for ref, row in model.states.items():
                if row.lock == flow:
                    model.states[ref] = Row(row.coin, row.consumed)

        self.take(keep, released)

    @rule()
    def commit(self) -> None:
        self.rig.commit()
        self.safe = copy.deepcopy(self.now)

    @rule()
    def crash(self) -> None:
        self.rig.crash()
        self.now = copy.deepcopy(self.safe)
        self.walk = None
        position = self.updates.position
        self.updates = self.rig.vault.updates(self.rig.reading(), position)

    @rule()
    def follow(self) -> None:
        """Whoever reads updates reads what is committed, each once."""
        self.commit()
        while (update := self.updates.next_now()) is not None:
            self.read.append(update)
        told = [
            (one.transaction.id, [s.ref for s in one.produced], [s.ref for s in one.consumed])
            for one in self.read
        ]
        assert told == self.now.history

    @rule(size=st.integers(1, 4))
    def page(self, size: int) -> None:
        """A page more of a walk that began at some time; whoever was there all the time is in it
        once."""
        after, seen, there = self.walk or (None, [], set(self.now.unconsumed()))
        query = StateQuery(relevant=None, size=size, sort="units", after=after)
        found = self.rig.do("states", query)
        seen = seen + [one.state.ref for one in found.states]
        there &= self.now.unconsumed().keys()
        self.walk = (found.next_, seen, there) if found.next_ is not None else None
        if self.walk is None:
            assert len(set(seen)) == len(seen)
            assert there <= set(seen)

    @invariant()
    def agrees(self) -> None:
        query = StateQuery(relevant=None, consumed=None, size=1000)
        found = {one.state.ref: one for one in self.rig.do("states", query).states}
        assert found.keys() == self.now.states.keys()
        for ref, row in self.now.states.items():
            seen = found[ref]
            lock = 0 if ref in self.now.waiting else row.lock or None
            assert seen.consumed_by == row.consumed
            assert seen.locked_by == (None if row.consumed else lock)
        for flow in (1, 2):
            has = sum(row.coin.amount.units for row in self.now.spendable(flow).values())
            assert self.rig.do("spendable", "EUR", flow=flow) == has
        totals = self.rig.do("totals", StateQuery(relevant=None), ("issuer", "currency"))
        assert {(t.issuer, t.currency): t.units for t in totals} == self.now.sums()
        assert {one.id_ for one in self.rig.do("in_flight", 100)} == self.now.flights.keys()


class OnDisk(Machine):
    """On SQLite."""

    def store(self) -> Any:
        memory = Path("/dev/shm")
        self.folder = tempfile.mkdtemp(dir=memory if memory.is_dir() else None)
        return SqliteStore(Path(self.folder) / "alice.db")


TestVault = Machine.TestCase
TestVault.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestVaultOnDisk = OnDisk.TestCase
TestVaultOnDisk.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)
