"""What flows ask of each other about the history of transactions, and how much of it they may.

Owns what was asked for and what was given to whom, in two tables of the node's own database, a
flow's rows as long as it lives. Knows no session; what a transaction means the vault says, which
also keeps those that are not verified yet.

Who asks goes level by level, from the transaction back to what was issued, and asks for twice as
many levels each time, so that a chain of thousands takes few questions; whoever answers says what
was asked for first, so that every transaction names one that was wanted. Who answers gives only
what it has offered, and what that rests on, each once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from flowrt.core.flow import Party, Tx
from flowrt.ledger.memory import Holders, holders
from flowrt.ledger.merkle import HASH_BYTES, sha256
from flowrt.ledger.transactions import SignedTransaction
from flowrt.stdlib.ledger.core_flow import (
    IllegalRequest,
    TooLarge,
    UnknownTransaction,
    WrongTransaction,
)
from flowrt.stdlib.ledger.transactions_flow import Supplied, Wanted

MOST_ASKED: Final = 500
"""The most ids in one question, and transactions in one answer."""

ANSWER_BYTES: Final = 512 * 1024
"""How large an answer grows, unless its first transaction is larger: half of what a message may."""

MOST_ALONG: Final = 16
"""The most transactions that are given before they are asked for."""

ALONG_BYTES: Final = 32 * 1024
"""How many bytes those have at most, all together."""

_SCHEMA = (
    # What a flow has asked for, in that order, and whether it is there.
    """CREATE TABLE IF NOT EXISTS ledger_asked (flow INTEGER NOT NULL, id BLOB NOT NULL,
        number INTEGER NOT NULL, is_here INTEGER NOT NULL, size INTEGER NOT NULL,
        PRIMARY KEY (flow, id)) WITHOUT ROWID""",
    """CREATE INDEX IF NOT EXISTS ledger_asked_next ON ledger_asked (flow, is_here, number)""",
    # What may still be given to whom, how often; `offer` stands for the peer and what was offered.
    """CREATE TABLE IF NOT EXISTS ledger_offered (flow INTEGER NOT NULL, offer BLOB NOT NULL,
        id BLOB NOT NULL, times INTEGER NOT NULL,
        PRIMARY KEY (flow, offer, id)) WITHOUT ROWID""",
    # Who was to have a transaction and was not reached.
    """CREATE TABLE IF NOT EXISTS ledger_owed (id BLOB NOT NULL, party TEXT NOT NULL,
        PRIMARY KEY (id, party)) WITHOUT ROWID""",
    # The attachments that it has asked for and that are not there yet.
    """CREATE TABLE IF NOT EXISTS ledger_attachment_asked (flow INTEGER NOT NULL, id BLOB NOT NULL,
        PRIMARY KEY (flow, id)) WITHOUT ROWID""",
)


class Vault(Protocol):
    """What this needs of a vault."""

    def has(self, tx: Tx, id: bytes, /) -> bool: ...

    def transaction(self, tx: Tx, id: bytes, /) -> SignedTransaction: ...

    def record(self, tx: Tx, transaction: SignedTransaction, /) -> None: ...

    def keep(self, tx: Tx, transaction: SignedTransaction, /) -> None: ...

    def record_kept(self, tx: Tx, most: int, /) -> int: ...

    def forget_kept(self, tx: Tx, /) -> None: ...

    def attachment(self, tx: Tx, hash: bytes, /) -> bytes | None: ...

    def fetch(self, tx: Tx, content: bytes, /) -> bytes: ...

    def shares(self, tx: Tx, hash: bytes, /) -> bool: ...


class Backchain:
    """The service `ledger.transactions.Backchain` of one node.

    `transactions` and `size` bound what one flow may fetch before it is verified: how many, and
    their bytes. A `discreet` node asks for the whole history each time, also for what it has, so
    that nobody learns from its questions what that is.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        transactions: int = 10_000,
        size: int = 64 * 1024 * 1024,
        discreet: bool = False,
    ) -> None:
        self._vault = vault
        self._most = transactions
        self._most_bytes = size
        self._is_discreet = discreet

    def setup(self, tx: Tx) -> None:
        for statement in _SCHEMA:
            tx.execute(statement)
        for (flow_id,) in tx.execute(
            "SELECT flow FROM ledger_asked UNION SELECT flow FROM ledger_offered"
        ):
            if not tx.lives(flow_id):
                self.flow_ended(tx, flow_id)

    # --- asking -------------------------------------------------------------------------------

    def begin(self, tx: Tx, ids: Sequence[bytes], attachments: Sequence[bytes]) -> Wanted:
        """The first question of a flow that needs these transactions and attachments; an empty one
        if it has them. What it has fetched before and not verified is forgotten. Raises
        WrongTransaction."""
        if any(len(id) != HASH_BYTES for id in (*ids, *attachments)):
            raise WrongTransaction(b"", b"")
        if not self._is_discreet and all(self._vault.has(tx, id) for id in ids):
            if all(self._vault.shares(tx, id) for id in attachments):
                return Wanted((), 0, None)
        self._forget(tx, tx.flow_id)
        self._vault.forget_kept(tx)
        self._ask(tx, ids)
        self._ask_attachments(tx, attachments)
        return self._question(tx)

    def along(self, tx: Tx, offered: Sequence[bytes]) -> tuple[SignedTransaction, ...]:
        """What is offered, to be given before anybody asks: all of it, or nothing where that is
        more than a few transactions or not small."""
        if len(offered) > MOST_ALONG or not all(self._vault.has(tx, id) for id in offered):
            return ()
        found = tuple(self._vault.transaction(tx, id) for id in offered)
        return found if sum(len(one.to_flow()) for one in found) <= ALONG_BYTES else ()

    def accept(
        self,
        tx: Tx,
        ids: Sequence[bytes],
        attachments: Sequence[bytes],
        along: Sequence[SignedTransaction],
    ) -> bool:
        """Whether these transactions and attachments are in the vault, now that those of them that
        were given along are verified and recorded. False if something else is missing: then nothing
        is recorded, and all of it is to be asked for. Who is discreet asks for all of it always.

        Raises what the vault objects to in the first transaction that is not valid.
        """
        if self._is_discreet or any(len(id) != HASH_BYTES for id in (*ids, *attachments)):
            return False
        missing = [id for id in dict.fromkeys(ids) if not self._vault.has(tx, id)]
        if len(along) > MOST_ALONG or len(missing) > min(len(along), self._most):
            return False
        given = {one.id: one for one in along}
        found = [given[id] for id in missing if id in given]
        if len(found) < len(missing) or sum(len(one.to_flow()) for one in found) > min(
            ALONG_BYTES, self._most_bytes
        ):
            return False
        under = (id for one in found for id in one.transaction.dependencies)
        if not all(self._vault.has(tx, id) for id in under):
            return False
        files = (id for one in found for id in one.transaction.attachments)
        if not all(self._vault.shares(tx, id) for id in (*attachments, *files)):
            return False
        for one in found:
            self._vault.record(tx, one)
        return True

    def take(self, tx: Tx, supplied: Supplied) -> Wanted:
        """Keep what the other side gave, and the next question; an empty one if nothing is missing.

        Raises:
            UnknownTransaction: nothing was given.
            WrongTransaction: something was given that was not asked for, and on which nothing rests
                that was.
            TooLarge: more was given than was asked for, or the history is longer or larger than is
                allowed here.
        """
        given = supplied.transactions
        first = next(iter(self._next(tx, 1)), None)
        if first is None:
            self._take_attachment(tx, supplied.attachment)
            return self._question(tx)
        if not given:
            raise UnknownTransaction(first)
        if len(given) > MOST_ASKED:
            raise TooLarge(f"an answer of {len(given)} transactions")
        for transaction in given:
            rows = tx.execute(
                "SELECT is_here FROM ledger_asked WHERE flow = ? AND id = ?",
                (tx.flow_id, transaction.id),
            )
            if rows and not rows[0][0]:
                self._take(tx, transaction)
            # What came along with others, and was not needed, is passed over.
            elif not rows and not self._vault.has(tx, transaction.id):
                raise WrongTransaction(first, transaction.id)
        count, size = tx.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM ledger_asked WHERE flow = ?",
            (tx.flow_id,),
        )[0]
        if count > self._most or size > self._most_bytes:
            raise TooLarge(
                f"a history of {count} transactions and {size} bytes; here it may have "
                f"{self._most} and {self._most_bytes}"
            )
        return self._question(tx)

    def verify(self, tx: Tx, most: int) -> int:
        """Verify and record so many of those that were fetched, oldest first, and say how many are
        left. Raises what the vault objects to in the first that is not valid."""
        left = self._vault.record_kept(tx, most)
        if not left:
            self._forget(tx, tx.flow_id)
        return left

    def _ask(self, tx: Tx, ids: Iterable[bytes]) -> None:
        _asking(tx).add(tx.flow_id)
        for id in ids:
            if self._is_discreet or not self._vault.has(tx, id):
                tx.execute(
                    "INSERT INTO ledger_asked SELECT ?, ?, count(*), 0, 0 FROM ledger_asked "
                    "WHERE flow = ? ON CONFLICT DO NOTHING",
                    (tx.flow_id, id, tx.flow_id),
                )

    def _take(self, tx: Tx, transaction: SignedTransaction) -> None:
        self._vault.keep(tx, transaction)
        tx.execute(
            "UPDATE ledger_asked SET is_here = 1, size = ? WHERE flow = ? AND id = ?",
            (len(transaction.to_flow()), tx.flow_id, transaction.id),
        )
        self._ask(tx, transaction.transaction.dependencies)
        self._ask_attachments(tx, transaction.transaction.attachments)

    def _ask_attachments(self, tx: Tx, ids: Iterable[bytes]) -> None:
        for id in ids:
            _asking(tx).add(tx.flow_id)
            if not self._vault.shares(tx, id) or self._is_discreet:
                tx.execute(
                    "INSERT INTO ledger_attachment_asked VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (tx.flow_id, id),
                )

    def _next_attachment(self, tx: Tx) -> bytes | None:
        rows = tx.execute(
            "SELECT id FROM ledger_attachment_asked WHERE flow = ? LIMIT 1", (tx.flow_id,)
        )
        return rows[0][0] if rows else None

    def _take_attachment(self, tx: Tx, content: bytes | None) -> None:
        id = self._next_attachment(tx)
        if id is None:
            return
        if content is None:
            raise UnknownTransaction(id)
        given = self._vault.fetch(tx, content)
        if given != id:
            raise WrongTransaction(id, given)
        tx.execute(
            "DELETE FROM ledger_attachment_asked WHERE flow = ? AND id = ?", (tx.flow_id, id)
        )

    def _next(self, tx: Tx, most: int) -> tuple[bytes, ...]:
        rows = tx.execute(
            "SELECT id FROM ledger_asked WHERE flow = ? AND is_here = 0 ORDER BY number LIMIT ?",
            (tx.flow_id, most),
        )
        return tuple(row[0] for row in rows)

    def _question(self, tx: Tx) -> Wanted:
        """What is missing, and as much again as there is already."""
        ids = self._next(tx, MOST_ASKED)
        if not ids:
            return Wanted((), 0, self._next_attachment(tx))
        (here,) = tx.execute(
            "SELECT count(*) FROM ledger_asked WHERE flow = ? AND is_here = 1", (tx.flow_id,)
        )[0]
        return Wanted(ids, min(MOST_ASKED, len(ids) + here), None)

    # --- answering ----------------------------------------------------------------------------

    def supply(
        self, tx: Tx, to: Party, times: int, offered: Sequence[bytes], wanted: Wanted
    ) -> Supplied:
        """What was `wanted` of what was `offered` and what that rests on: as much as fits.

        `times` is in how many sessions this was offered to the same party.

        Raises:
            IllegalRequest: something was not offered, or was given so often already.
            TooLarge: more is asked for than anybody may.
            UnknownTransaction: it was offered, but is not recorded here.
        """
        if wanted.attachment is None and not 0 < len(wanted.ids) <= wanted.most <= MOST_ASKED:
            raise TooLarge(f"a question about {len(wanted.ids)} transactions and {wanted.most}")
        offer = _offer_to(to, offered)
        if not tx.execute(
            "SELECT 1 FROM ledger_offered WHERE flow = ? AND offer = ? LIMIT 1", (tx.flow_id, offer)
        ):
            self._offer(tx, offer, offered, times)
        if wanted.attachment is not None:
            return self._supply_attachment(tx, offer, wanted.attachment)
        for id in wanted.ids:
            if not self._may(tx, offer, id):
                raise IllegalRequest(id[:HASH_BYTES])
        given: list[SignedTransaction] = []
        size = 0
        queue = deque(dict.fromkeys(wanted.ids))
        seen = set(queue)
        while queue and len(given) < wanted.most:
            transaction = self._vault.transaction(tx, queue.popleft())
            size += len(transaction.to_flow())
            if given and size > ANSWER_BYTES:
                break
            given.append(transaction)
            under = transaction.transaction.dependencies
            self._offer(tx, offer, (*under, *transaction.transaction.attachments), times)
            self._count(tx, offer, transaction.id)
            for id in under:
                if id not in seen and self._may(tx, offer, id):
                    seen.add(id)
                    queue.append(id)
        return Supplied(tuple(given), None)

    def offer_anew(self, tx: Tx, to: Party, offered: Sequence[bytes]) -> None:
        """In a new session this is offered to a party as if it never was: what he was given in an
        earlier one of this flow he may ask for again."""
        if tx.flow_id in _offering(tx):
            tx.execute(
                "DELETE FROM ledger_offered WHERE flow = ? AND offer = ?",
                (tx.flow_id, _offer_to(to, offered)),
            )

    def _supply_attachment(self, tx: Tx, offer: bytes, id: bytes) -> Supplied:
        if not self._may(tx, offer, id):
            raise IllegalRequest(id[:HASH_BYTES])
        content = self._vault.attachment(tx, id)
        if content is None:
            raise UnknownTransaction(id)
        self._count(tx, offer, id)
        return Supplied((), content)

    @staticmethod
    def _count(tx: Tx, offer: bytes, id: bytes) -> None:
        tx.execute(
            "UPDATE ledger_offered SET times = times - 1 WHERE flow = ? AND offer = ? AND id = ?",
            (tx.flow_id, offer, id),
        )

    @staticmethod
    def _offer(tx: Tx, offer: bytes, ids: Iterable[bytes], times: int) -> None:
        _offering(tx).add(tx.flow_id)
        for id in ids:
            tx.execute(
                "INSERT INTO ledger_offered VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (tx.flow_id, offer, id, times),
            )

    @staticmethod
    def _may(tx: Tx, offer: bytes, id: bytes) -> bool:
        return bool(
            tx.execute(
                "SELECT 1 FROM ledger_offered "
                "WHERE flow = ? AND offer = ? AND id = ? AND times > 0",
                (tx.flow_id, offer, id),
            )
        )

    # --- who is still to be told --------------------------------------------------------------

    def owe(self, tx: Tx, id: bytes, whom: Party) -> None:
        """Remember that somebody was to have a transaction: he may ask for it."""
        tx.execute("INSERT INTO ledger_owed VALUES (?, ?) ON CONFLICT DO NOTHING", (id, whom.name))

    def owes(self, tx: Tx, id: bytes, whom: Party) -> bool:
        """Whether he was to have it, and has not taken it yet."""
        return bool(
            tx.execute("SELECT 1 FROM ledger_owed WHERE id = ? AND party = ?", (id, whom.name))
        )

    def paid(self, tx: Tx, id: bytes, whom: Party) -> None:
        """Forget that."""
        tx.execute("DELETE FROM ledger_owed WHERE id = ? AND party = ?", (id, whom.name))

    # --- forgetting ---------------------------------------------------------------------------

    def flow_ended(self, tx: Tx, flow_id: int) -> None:
        """Nothing of a flow's is kept when it has ended."""
        self._forget(tx, flow_id)
        if flow_id in _offering(tx):
            _offering(tx).discard(flow_id)
            tx.execute("DELETE FROM ledger_offered WHERE flow = ?", (flow_id,))

    @staticmethod
    def _forget(tx: Tx, flow_id: int) -> None:
        if flow_id in _asking(tx):
            _asking(tx).discard(flow_id)
            tx.execute("DELETE FROM ledger_asked WHERE flow = ?", (flow_id,))
            tx.execute("DELETE FROM ledger_attachment_asked WHERE flow = ?", (flow_id,))


def _asking(tx: Tx) -> Holders:
    """The flows that may have asked for something."""
    last = (
        "SELECT max(flow) FROM (SELECT max(flow) AS flow FROM ledger_asked UNION ALL "
        "SELECT max(flow) FROM ledger_attachment_asked)"
    )
    return holders(tx, "ledger_asked", last)


def _offering(tx: Tx) -> Holders:
    """The flows that may have offered something."""
    return holders(tx, "ledger_offered", "SELECT max(flow) FROM ledger_offered")


def _offer_to(to: Party, offered: Sequence[bytes]) -> bytes:
    """What stands for a party and what was offered to it."""
    return sha256(b"offer", to.name.encode(), *sorted(offered))[:16]
