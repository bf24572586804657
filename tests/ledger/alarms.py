"""Alarms: states that want a flow started, whatever it is; and what such flows note. For tests."""

from __future__ import annotations

import datetime
import sys

from flowrt.core.flow import Int, Party, Timestamp, Tx
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.node import Ledger
from flowrt.ledger.states import (
    CommandData,
    ScheduledActivity,
    State,
    command,
    contract,
    state,
)
from flowrt.ledger.transactions import LedgerTransaction, SignedTransaction
from flowrt.stdlib.ledger.parts_flow import StateRef


@command("alarms.Set")
class Set(CommandData, frozen=True, array_like=True, gc=False):
    pass


@state("alarms.Alarm", contract="alarms.Alarm")
class Alarm(State, frozen=True, array_like=True, gc=False):
    owner: PublicKey
    at: Timestamp
    flow: str
    value: Int

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)

    def next_activity(self, ref: StateRef, me: Party) -> ScheduledActivity | None:
        if self.flow == "nothing":
            return None
        if self.flow == "an error":
            raise ZeroDivisionError("this alarm is broken")
        if self.flow == "a text":
            return "tomorrow"  # type: ignore[return-value]
        if self.flow == "no zone":
            return ScheduledActivity(datetime.datetime(2030, 1, 1), "alarms.Ring", {})
        named = {"value": self.value} if self.value >= 0 else {"valeu": "seven"}
        return ScheduledActivity(self.at, self.flow, named)


@contract("alarms.Alarm")
def anything_goes(transaction: LedgerTransaction) -> None:
    pass


RULES = sys.modules[__name__]

PROGRAM = '''
"""Alarms."""

use ledger.core: SignedTransaction
use ledger.finality: Finality
use ledger.parts: StateRef
use ledger.vault: Overdue, Vault

service Alarms:
    write build(times: List[Timestamp], flow_name: Text, value: Int) -> SignedTransaction
    write stop(ref: StateRef) -> SignedTransaction
    write ring(ref: StateRef, value: Int)

flow Make(times: List[Timestamp], flow_name: Text, value: Int = 7) -> Bytes:
    startable by rpc
    let made = subflow Finality(Alarms.build(times, flow_name, value), [])
    return made.id

flow Stop(ref: StateRef):
    startable by rpc
    let ignored_made = subflow Finality(Alarms.stop(ref), [])

flow Ring(ref: StateRef, value: Int):
    startable by schedule
    Alarms.ring(ref, value)

error Broken: "this alarm is broken"

service Mood:
    read is_broken() -> Bool

flow Rattle(ref: StateRef, value: Int):
    startable by schedule
    require not Mood.is_broken() else Broken()
    Alarms.ring(ref, value)

flow Late(most: Int) -> List[Overdue]:
    startable by rpc
    return Vault.overdue(most)

flow Again(ref: StateRef) -> Bool:
    startable by rpc
    return Vault.schedule_again(ref)

flow Silent(ref: StateRef, value: Int):
    startable by rpc
    Alarms.ring(ref, value)

flow Alone(ref: StateRef, value: Int):
    startable by schedule
    key "one at a time"
    Alarms.ring(ref, value)
    sleep 10m
'''


class Mood:
    """Whether alarms are broken."""

    is_it = True

    def is_broken(self, tx: Tx) -> bool:
        return self.is_it


class Alarms:
    """The service of the tests' flows."""

    def __init__(self, ledger: Ledger, notary: Party) -> None:
        self._ledger = ledger
        self._notary = notary

    def setup(self, tx: Tx) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS rung (number INTEGER, value INTEGER)")

    def build(
        self, tx: Tx, times: tuple[datetime.datetime, ...], flow_name: str, value: int
    ) -> SignedTransaction:
        me = self._ledger.keys.me(tx).key
        builder = TransactionBuilder(self._ledger.network.identity(tx, self._notary))
        for at in times:
            builder.make(Alarm(me, at, flow_name, value))
        return self._signed(tx, builder)

    def stop(self, tx: Tx, ref: StateRef) -> SignedTransaction:
        return self._signed(tx, TransactionBuilder().use(self._ledger.vault.state(tx, ref)))

    def ring(self, tx: Tx, ref: StateRef, value: int) -> None:
        tx.execute("INSERT INTO rung VALUES (?, ?)", (ref.index, value))

    def _signed(self, tx: Tx, builder: TransactionBuilder) -> SignedTransaction:
        me = self._ledger.keys.me(tx).key
        built = SignedTransaction(builder.command(Set(), me).build(self._ledger.keys.salt(tx)))
        return self._ledger.keys.sign(tx, built)
