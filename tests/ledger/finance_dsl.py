"""Transactions for tests of contracts, written as they are told: given, and what comes of it."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import sys
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.core.values import encode
from flowrt.finance import cash, obligation, paper
from flowrt.finance.cash import Cash
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import ED25519, PublicKey, SigningKey
from flowrt.ledger.problems import ContractRejected
from flowrt.ledger.states import (
    CommandData,
    Rulebook,
    State,
    command,
    contract,
    schema_of,
    state,
)
from flowrt.ledger.transactions import LedgerTransaction, Output, SignedCommand, StateAndRef
from flowrt.ledger.verifying import verify
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, Issuer, StateRef, TimeWindow


def key(name: str) -> PublicKey:
    return SigningKey(ED25519, hashlib.sha256(name.encode()).digest()).public


ALICE, BOB, CHARLIE, MEGA, MINI = map(key, ("alice", "bob", "charlie", "mega", "mini"))
NOTARY = Identity(Party("Notary"), key("notary"))
NOW = datetime.datetime(2027, 1, 15, 8, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
AT_MEGA = Issuer(MEGA, b"\x01")
AT_MINI = Issuer(MINI, b"\x01")


@state("test.Thing", contract="test.Thing")
class Thing(State, frozen=True, array_like=True, gc=False):
    """Something that has nothing to do with money."""

    def participants(self) -> tuple[PublicKey, ...]:
        return ()


@command("test.Thing.Do")
class Do(CommandData, frozen=True, array_like=True, gc=False):
    """Something else is done."""


@contract("test.Thing")
def anything_goes(transaction: LedgerTransaction) -> None:
    pass


def registered() -> Rulebook:
    return Rulebook([cash, paper, obligation, sys.modules[__name__]])


def coin(units: int, owner: PublicKey, issuer: Issuer = AT_MEGA, currency: str = "USD") -> Cash:
    return Cash(owner, Amount(units, currency), issuer)


@dataclasses.dataclass(frozen=True)
class Given:
    """A transaction that is being told; each method gives another one."""

    ins: tuple[State, ...] = ()
    outs: tuple[State, ...] = ()
    commands: tuple[SignedCommand, ...] = ()
    time: TimeWindow | None = None

    def uses(self, *states: State) -> Given:
        return dataclasses.replace(self, ins=(*self.ins, *states))

    def makes(self, *states: State) -> Given:
        return dataclasses.replace(self, outs=(*self.outs, *states))

    def says(self, value: CommandData, *signers: PublicKey) -> Given:
        said = SignedCommand(value, tuple(sorted(signers)))
        return dataclasses.replace(self, commands=(*self.commands, said))

    def within(self, since: Any, until: Any) -> Given:
        return dataclasses.replace(self, time=TimeWindow(since, until))

    def around(self, at: datetime.datetime) -> Given:
        return self.within(at - DAY / 24, at + DAY / 24)

    # --- what comes of it

    def accepts(self) -> None:
        """Every contract accepts it, also when it has crossed the wire."""
        self.judge()
        values = [encode(said.value) for said in self.commands]
        if len(set(values)) == len(values):  # A builder joins commands that are equal.
            self.on_the_wire()

    def fails_with(self, why: str) -> None:
        with pytest.raises(ContractRejected) as caught:
            self.judge()
        assert why in caught.value.why

    def judge_only(self, name: str, why: str) -> None:
        """One contract alone refuses it."""
        with pytest.raises(ContractRejected) as caught:
            self.judge(name)
        assert why in caught.value.why

    def is_accepted(self, *names: str) -> bool:
        """Whether these contracts accept it; all of them if none is named."""
        try:
            self.judge(*names)
        except ContractRejected:
            return False
        return True

    def judge(self, *names: str) -> None:
        seen = LedgerTransaction(
            b"\x07" * 32, self.ins, self.outs, self.commands, (), NOTARY, self.time, {}
        )
        used = {schema_of(type(found)).contract for found in (*self.ins, *self.outs)}
        for name in names or sorted(used):
            RULES.judge(f"{name}_v1", seen)

    def on_the_wire(self) -> None:
        builder = TransactionBuilder(NOTARY)
        outputs: dict[StateRef, Output] = {}
        for number, found in enumerate(self.ins):
            schema = schema_of(type(found))
            ref = StateRef(b"\x01" * 32, number)
            outputs[ref] = Output(
                schema.name, schema.version, encode(found), f"{schema.contract}_v1", NOTARY
            )
            builder.use(StateAndRef(ref, outputs[ref]))
        for found in self.outs:
            builder.make(found)
        for said in self.commands:
            builder.command(said.value, *said.signers)
        if self.time is not None:
            builder.within(self.time.since, self.time.until)
        verify(builder.build(b"\x02" * 32), outputs.__getitem__, RULES, {})


def given(*states: State) -> Given:
    return Given().uses(*states)


RULES = registered()
