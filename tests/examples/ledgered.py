"""Parties of an example on a ledger: a world on a local network, people who answer, money.

Flows are read from their bytes for every step. A `restless` world ends a process whenever its flows
have gone on, so that each of them is at rest in a crash wherever it waits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from flowrt.core.flow import Party
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer
from tests.runtime.crashes import HOUR_US, START_US, Member, Start, World

DAY_US = 24 * HOUR_US
ACCOUNT = b"\x01"


class LedgerWorld(World):
    """`parties`, a mint that issues money, a notary. `modules` are what some have in place of
    `flow`, `library` what all have beside it."""

    def __init__(
        self,
        parties: Sequence[str],
        rules: Sequence[ModuleType],
        flow: ModuleType,
        own: Callable[[LocalNetwork, Ledger], Mapping[str, object]],
        *,
        restless: bool = False,
        modules: Mapping[str, ModuleType] | None = None,
        library: Sequence[ModuleType] = (),
        **options: Any,
    ) -> None:
        super().__init__(reload=True, **options)
        self.is_restless = False
        self._known: dict[str, list[tuple[int, str]]] = {}
        self._own = own
        self.local = LocalNetwork((*parties, "mint"), rules, clock=lambda: self.now_us)
        for name in self.local.parties:
            installed = Ledger.modules((modules or {}).get(name, flow), *library, cash_flow)
            services = functools.partial(self.local.services, name, installed, self._services)
            self.add(name, installed, services)
        self.money = Issuer(self.local.key("mint"), ACCOUNT)
        self.is_restless = restless

    def _services(self, ledger: Ledger) -> Mapping[str, object]:
        return {
            "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
            "finance.cash.Treasury": Treasury(otherwise=None),
            **self._own(self.local, ledger),
        }

    def give(self, name: str, *units: int) -> None:
        """Cash from the mint."""
        sums = tuple(Amount(count, "EUR") for count in units)
        self.do(
            "mint", cash_flow.CashIssue_v1, sums=sums, reference=ACCOUNT, notary=self.local.notary
        )
        for amount in sums:
            self.do(
                "mint",
                cash_flow.CashPayment_v1,
                payee=Party(name),
                amount=amount,
                purpose="",
                pseudonymous=False,
                issuers=(),
            )

    def do(self, party: str, flow: Any, /, **arguments: Any) -> Any:
        """Run a flow to its end, within an hour."""
        start = self.start(party, flow, **arguments)
        self.run()
        return self.result(start)

    def until(self, number: int) -> None:
        """Let it be that day, counted from the beginning."""
        self.now_us = max(self.now_us, START_US + number * DAY_US)
        self.run()

    def leave(self, party: str) -> Member:
        """The party's process ends, and there is no other until it is `back`."""
        gone = self.members[party]
        self._crashed(gone)
        del self.members[party]
        return gone

    def back(self, gone: Member) -> None:
        self.members[gone.name] = gone
        self.node(gone.name)
        self.run()

    def answer(self, party: str, role: str, answer: object) -> Any:
        """Answer the question that people of the role are asked; the question."""
        self.run()
        [task] = self.node(party).tasks(role)
        # An answer whose commit crashed is nothing: who gave it, and was not told, gives it again.
        while task in self.node(party).tasks(role):
            self.node(party).submit_answer(task.flow_id, task.number, answer, by="kim")
            self.run()
        return task.question

    def ends(self, start: Start, kind: type[Exception]) -> Exception:
        """Assert that a flow ended with such an error."""
        self.run()
        try:
            found = self.result(start)
        except kind as error:
            return error
        raise AssertionError(f"it gave {found}")

    def vault(self, party: str, operation: str, *arguments: Any) -> Any:
        node = self.node(party)
        return getattr(self.local.ledgers[party].vault, operation)(node.reading(), *arguments)

    def cash(self, *parties: str) -> tuple[int, ...]:
        return tuple(int(self.vault(name, "spendable", "EUR")) for name in parties)

    def nothing_is_left(self) -> None:
        """Assert that all flows have ended."""
        self.run()
        assert set(self.residue().values()) == {(0, 0, 0)}, self.residue()
        for name in self.local.parties:
            assert self.vault(name, "in_flight", 10) == (), name

    def tick(self) -> bool:
        moved = super().tick()
        if self.is_restless and moved:
            known = {
                name: [(one.id, one.state) for one in self.node(name).flows()]
                for name in self.members
            }
            names = [name for name in self.members if known[name] != self._known.get(name)]
            # Who crashed speaks again with all others: that alone is no reason to crash.
            self._known = known
            if names:
                self.crash(names[-1])
        return moved
