"""Somebody who changes what his node says: whatever he likes, message by message. And what his
victims are left with. Knows no flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from flowrt.core.declared import FlowError
from flowrt.core.values import Data, End, Invite, Letter, decode_frame, encode
from flowrt.ledger.transactions import SignedTransaction
from flowrt.peers.outbox import unpack
from tests.ledger.market import DAY_US, Market

HERE = (
    "ledger_kept", "ledger_need", "ledger_keeping", "ledger_asked", "ledger_offered",
    "ledger_attachment_asked", "ledger_attachment_fetched",
)  # fmt: skip
"""Tables in which nothing is left when all flows have ended."""

Change = Callable[[str, bytes], "tuple[str, bytes] | None"]
"""The name and body of a message -> those that are sent in its place; None: nothing more comes, as
the session ends."""


class Mallory:
    """A party of a market, whose messages go through `change` before anybody hears them."""

    def __init__(self, market: Market, party: str = "alice") -> None:
        self.market = market
        self.party = party
        self.change: Change | None = None
        self.names: list[str] = []
        """What was said since `listen`, by its wire name."""
        self.bodies: list[bytes] = []
        self._sent: dict[tuple[str, int], bytes] = {}
        self._outcomes = dict.fromkeys(market.local.parties, 0)
        self._onward, market._send = market._send, self._send

    def _send(self, sender: str, receiver: str, data: bytes) -> None:
        found = unpack(data)
        assert found is not None
        number, content = found
        # Acknowledgements have no number, and no two of them are the same.
        if sender == self.party and number:
            if (receiver, number) not in self._sent:
                head = data[: len(data) - len(content)]
                self._sent[receiver, number] = head + self._changed(content)
            data = self._sent[receiver, number]
        self._onward(sender, receiver, data)

    def _changed(self, content: bytes) -> bytes:
        frame = decode_frame(content)
        if isinstance(frame, Invite) and frame.first is not None:
            said = self._said(frame.first)
            return encode(msgspec.structs.replace(frame, first=said))
        if isinstance(frame, Letter) and isinstance(frame.content, Data):
            said = self._said(frame.content)
            return encode(msgspec.structs.replace(frame, content=said or End()))
        return content

    def _said(self, said: Data) -> Data | None:
        self.names.append(said.name)
        self.bodies.append(said.body)
        if self.change is None:
            return said
        other = self.change(said.name, said.body)
        return None if other is None else Data(*other)

    def hang_up(self) -> None:
        """End all that he runs himself; whoever waits for him is told that by his node."""
        node = self.market.world.node(self.party)
        for one in node.flows():
            node.submit_kill(one.id, by="mallory", reason="enough")
        self.market.world.run()

    # --- what is left ---

    def listen(self) -> None:
        """Forget what was said and what has ended so far."""
        self.names.clear()
        self.bodies.clear()
        for name in self._outcomes:
            self.endings(name)

    def endings(self, party: str) -> list[FlowError | None]:
        """How the flows of a party ended since this was last asked: their errors. That none is
        anything but a declared error is asserted."""
        node = self.market.world.node(party)
        found: list[FlowError | None] = []
        last = self._outcomes[party]
        for id in range(last + 1, last + 40):
            if node._store.outcome(id) is None:
                continue
            self._outcomes[party] = id
            outcome = node.handle(id).outcome
            assert outcome is not None
            try:
                node.unpack(outcome)
            except FlowError as error:
                found.append(error)
            else:
                found.append(None)
        return found

    def rest(self) -> None:
        """Let all honest flows come to their end, for days if they must."""
        for turn in range(12):
            self.market.world.run()
            if turn == 2:
                self.hang_up()
            others = [name for name in self.market.local.parties if name != self.party]
            for name in others:
                patients = self.market.world.node(name).hospital()
                assert not patients, (name, patients)
            if not any(self.market.world.node(name).flows() for name in others):
                break
            self.market.world.now_us += DAY_US
        else:
            raise AssertionError("an honest flow is stuck")
        for name in others:
            for table in HERE:
                assert not self.market.rows(name, table), (name, table)

    def tables(self, party: str) -> Mapping[str, list[Any]]:
        """All that the party's ledger has on disk."""
        world = self.market.world
        names = world.rows(party, "SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: sorted(world.rows(party, f"SELECT * FROM {name}"), key=repr)
            for (name,) in names
            if name.startswith("ledger_")
        }

    def believed(self, party: str) -> set[bytes]:
        """The ids of what a party has recorded. That all of it is signed is asserted."""
        found = set()
        for id, status, signed in self.market.world.rows(
            party, "SELECT id, status, signed FROM ledger_transaction"
        ):
            transaction = SignedTransaction.from_flow(signed)
            assert transaction.id == id
            if status:
                transaction.check_signatures()
                found.add(id)
        return found
