"""Where flows are kept: what every store offers, and what one transaction holds. Knows no flow.

A store writes a `Batch` whole or not at all, and has it on disk when `commit` returns. Everything
in it is bytes and small numbers; what they mean, the core knows.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from flowrt.store.chain import Link


class StoreError(Exception):
    """The store cannot be used as asked; the message says why and what to do."""


class RestoredFromBackup(StoreError):
    """The store has gone back behind what it told others: nothing goes on from it until somebody
    says so (`accept_restore`)."""


class Fenced(StoreError):
    """Another process has opened this store since: this one may not write any more."""


class CommitFailed(StoreError):
    """The transaction was refused for what is in it: nothing of it is in the store."""


class Unwritable(CommitFailed):
    """The transaction was refused for the store's own reasons, such as a full disk or somebody
    else's lock: nothing of it is in the store, and it is nobody's fault."""


class OutcomeUnknown(StoreError):
    """The commit may or may not have happened: reload from the store before doing anything."""


@dataclasses.dataclass(slots=True)
class Batch:
    """One transaction.

    `flows`: by flow id, checkpoint and due time (microseconds; 0: ready; None: waits), None to
    delete. `outbox`: (id, peer, frame) to add; `settled`: ids to delete. `peers`: what is
    remembered of each.
    `outcomes`: (flow id, flow, error or None, value). `moves`: (flow id, number, progress event).
    `patients`: hospital entry by flow id, None to delete. `mail`: (flow id, number, content) for a
    flow's owner. `tasks`: open questions by (flow id, number), None to delete. `schedules`: by
    name, None to delete. `keys`: the living flow by (name, business key), None to delete.
    `waits`: by the key of an event, whether a flow waits for it, by (flow id, number).
    `clients`: (flow id, digest of what was asked) by the client's name for it. `draining`: whether
    the node takes nothing new, None if that stays as it is. `severed`: up to which flow the
    sessions that a restore has lost are ended; 0 for all there are, None if that stays as it is.
    `audit`: one row for the whole batch.
    """

    now_us: int
    next_flow: int
    next_outbox: int
    flows: dict[int, tuple[bytes, int | None] | None] = dataclasses.field(default_factory=dict)
    outbox: list[tuple[int, str, bytes]] = dataclasses.field(default_factory=list)
    settled: list[int] = dataclasses.field(default_factory=list)
    peers: dict[str, bytes] = dataclasses.field(default_factory=dict)
    outcomes: list[tuple[int, str, str | None, bytes]] = dataclasses.field(default_factory=list)
    moves: list[tuple[int, int, bytes]] = dataclasses.field(default_factory=list)
    patients: dict[int, bytes | None] = dataclasses.field(default_factory=dict)
    mail: list[tuple[int, int, bytes]] = dataclasses.field(default_factory=list)
    tasks: dict[tuple[int, int], bytes | None] = dataclasses.field(default_factory=dict)
    schedules: dict[str, bytes | None] = dataclasses.field(default_factory=dict)
    keys: dict[tuple[str, str], int | None] = dataclasses.field(default_factory=dict)
    waits: dict[bytes, dict[tuple[int, int], bool]] = dataclasses.field(default_factory=dict)
    clients: dict[str, tuple[int, bytes]] = dataclasses.field(default_factory=dict)
    draining: bool | None = None
    severed: int | None = None
    audit: bytes = b""


class Row(typing.NamedTuple):
    """A living flow in its store. `due_us` is 0 if it goes on at once, None if it waits for
    somebody; `since_s` is when it was written, in seconds since 1970."""

    flow_id: int
    checkpoint: bytes
    due_us: int | None
    since_s: int


class Ended(typing.NamedTuple):
    """A flow that has ended: its versioned name, the name of its error or None, and when
    (microseconds since 1970)."""

    flow_id: int
    flow: str
    error: str | None
    at_us: int


class Purged(typing.NamedTuple):
    """How much was forgotten: flows that had ended, entries of the audit trail."""

    flows: int
    entries: int


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """What a node needs to go on: who it is, its counters, whom it knows.

    `incarnation` names this store since it was created; `commits` counts the batches that were
    written since then, so that it shows whether one of unknown outcome was. `ended`: how many
    processes in a row have ended while this was under way (see `mark`), and `calls` the same of
    calls of external operations (see `begin_call`). `secret` is the store's
    own, for its marks; `lives` are its last ones, (name, commits at the beginning), the present one
    last. Where a restore was accepted, `former` is the incarnation before, and `severed` the flow
    up to which the sessions of that are ended, None if all are. What there may be many of, flows,
    times and frames, is read later, a part at a time.
    """

    party: str
    incarnation: bytes
    epoch: int
    commits: int
    next_flow: int
    next_outbox: int
    peers: dict[str, bytes]
    draining: bool = False
    ended: dict[int, int] = dataclasses.field(default_factory=dict)
    secret: bytes = b""
    lives: list[tuple[bytes, int]] = dataclasses.field(default_factory=list)
    former: bytes = b""
    severed: int | None = None
    calls: dict[tuple[int, int], int] = dataclasses.field(default_factory=dict)


class Store(typing.Protocol):
    """Memory and SQLite follow it, and pass one suite of tests (tests/contracts)."""

    def open(self, party: str) -> Opened:
        """Claim the store for this process; who had it before can no longer commit. Opened again,
        without `close`, it goes back to what is committed.

        Raises:
            Fenced: opened again, and another process has claimed it in between.
            RestoredFromBackup: it knows less than it did, or was told so (`refuse`).
            StoreError: another party's store, a newer format, not a store at all, out of order.
        """
        ...

    def refuse(self, reason: str) -> None:
        """Write down that the store has gone back: it is not opened any more. Raises as
        `commit`."""
        ...

    def accept_restore(self, party: str) -> None:
        """Let a store that has gone back be opened again, as a new incarnation: its frames that
        wait to be sent are gone, and with the next opening all sessions end. Not while it is open.
        Raises as `open`."""
        ...

    def holding(self, part: bytes) -> list[int]:
        """The ids of all living flows whose checkpoints hold these bytes somewhere."""
        ...

    def load(self, flow_id: int) -> bytes | None:
        """The committed checkpoint of a living flow."""
        ...

    def due(self, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        """(due time, flow id) of the flows that go on by themselves, in that order (0: at once):
        those that follow `after`, at most `limit`."""
        ...

    def flows(self, after: int = -1) -> Iterator[Row]:
        """Every living flow with a larger id than `after`, by id."""
        ...

    def outbox(self) -> Iterator[tuple[int, str, int]]:
        """(number, peer, bytes of the frame) of every row of the outbox, by number."""
        ...

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """(number, frame) of these rows of the outbox, by number; of at most 256 at once."""
        ...

    def outcome(self, flow_id: int) -> tuple[str, str | None, bytes] | None:
        """(flow, error or None, value) of a flow that ended."""
        ...

    def moves(self, flow_id: int, start: int = 0, limit: int = -1) -> list[bytes]:
        """A flow's progress events, in order, from number `start` on, at most `limit` (-1: all)."""
        ...

    def patients(self) -> list[bytes]:
        """The hospital's entries, by flow id."""
        ...

    def mail(self, flow_id: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        """(number, content) of what a flow said to its owner, from number `start` on, at most
        `limit`."""
        ...

    def tasks(self, after: tuple[int, int] = (-1, 0)) -> Iterator[bytes]:
        """Every open question, by flow id and number; those alone that come after these."""
        ...

    def task(self, flow_id: int, number: int) -> bytes | None:
        """That question, if it is open."""
        ...

    def holder(self, name: str, key: str) -> int | None:
        """The living flow of that name and business key."""
        ...

    def waiting(self, key: bytes) -> list[tuple[int, int]]:
        """(flow id, number) of the waits for that event, in order."""
        ...

    def client(self, client: str) -> tuple[int, bytes] | None:
        """(flow id, digest) of what was asked for under that name."""
        ...

    def client_of(self, flow_id: int) -> str | None:
        """Under which name somebody asked for that flow; None if nobody named it."""
        ...

    def flows_of(self, prefix: str, after: int, limit: int) -> list[int]:
        """The ids, above `after`, of flows that were asked for under names that begin so (names
        of what was sent to flows are not among them), at most `limit`."""
        ...

    def outcomes(self, after: int, limit: int) -> list[Ended]:
        """Flows that ended and are not purged, with larger ids than `after`, at most `limit`."""
        ...

    def count(self) -> tuple[int, int]:
        """How many flows live, and of how many that ended the outcome is kept. It looks at every
        row."""
        ...

    def links(self, after: int, limit: int) -> list[Link]:
        """Rows of the audit trail with larger numbers than `after`, at most `limit`."""
        ...

    def purge(self, before_us: int, limit: int, audit_us: int | None = None) -> Purged:
        """Forget, in a transaction of its own, at most `limit` flows that ended before that time,
        with their progress, mail and client's name, and as many entries of the audit trail, from
        its beginning up to the first that is not before `audit_us` (as the flows, if None).

        Raises as `commit`, and StoreError if a batch is under way."""
        ...

    def schedules(self) -> dict[str, bytes]:
        """What is remembered of each schedule, by name."""
        ...

    def audit(self) -> Iterator[tuple[int, bytes]]:
        """(time, entries) of every committed batch, oldest first."""
        ...

    def chain(self) -> tuple[bytes, Iterator[Link]]:
        """The audit trail with its digests, oldest first, and the digest that it follows."""
        ...

    def savepoint(self) -> None:
        """Begin a service's work within this batch; undone by `rollback`, kept by `release`.
        Raises Unwritable if nobody may write now."""
        ...

    def release(self) -> None: ...

    def rollback(self) -> None: ...

    def execute(
        self, sql: str, parameters: Sequence[Any], *, read_only: bool
    ) -> list[tuple[Any, ...]]:
        """A service's statement, in the running transaction. Raises Unwritable if the store cannot
        run it now, Refused if the service may not, and else what the database says."""
        ...

    def commit(self, batch: Batch) -> None:
        """Write the batch, and what services wrote since the last one, durably.

        Raises:
            Fenced, CommitFailed: nothing was written.
            OutcomeUnknown: all of it or nothing was.
        """
        ...

    def mark(self, number: int) -> None:
        """What is under way from now on; 0: nothing is. The next process to open the store is told,
        if this one ends meanwhile. It costs next to nothing, and is not durable."""
        ...

    def forgive(self, number: int) -> None:
        """That number has ended no process this time, or will not be begun again."""
        ...

    def begin_call(self, call: tuple[int, int]) -> None:
        """An external operation is under way from now on, too: its flow and its number there. The
        next process is told as for `mark`."""
        ...

    def end_call(self, call: tuple[int, int], outlived: bool) -> None:
        """It is not under way any more. If this process has `outlived` it, or nobody will begin it
        again, what it ended before counts no more."""
        ...

    def abandon(self) -> None:
        """Undo what services wrote since the last commit."""
        ...

    def close(self) -> None:
        """Let go of it. Committed work stays."""
        ...


SENT = "\x01"
"""Names of what clients have sent begin so: no name of a flow does."""

APART = 1 << 32
"""How far the numbers of outbox rows leap where a restore is accepted: what peers still say of rows
that were lost must not be taken for the new ones."""


def gone_back(name: str, why: str) -> RestoredFromBackup:
    """The refusal to go on, and what to do."""
    return RestoredFromBackup(
        f"{name} was restored from an older backup: {why}. What was committed since is not in it, "
        "and others rely on that. Bring the newer file back; or, if it is lost, call the store's "
        "accept_restore(party): its sessions then end with errors on both sides, and all else goes "
        "on from the backup"
    )


Beside: typing.TypeAlias = tuple[bytes, bytes, int]
"""What is written beside a store after each commit: incarnation, life, commits."""


def is_behind(beside: Beside | None, opened: Opened) -> str | None:
    """Why a store, as it was found, is older than what was written beside it; None if it is not.
    One that is a backup, and was accepted as that, is not."""
    if beside is None or beside[0] == opened.former:
        return None
    incarnation, life, commits = beside
    if incarnation != opened.incarnation:
        return "what stands beside it is of another store, or of a later one"
    lives = opened.lives
    if lives and life < lives[0][0]:
        return None  # Of long ago: nothing can have been written there since.
    ends = [began for _, began in lives[1:]] + [opened.commits]
    for (name, _), end in zip(lives, ends, strict=False):
        if name == life:
            return f"it had committed {commits} batches, and holds {end}" if commits > end else None
    return "it was opened later than it knows"
