"""The loop around the core: a batch of events, one commit, then what is told. Knows no event loop.

It takes every event that is ready, steps each flow, writes all of it in one transaction, and only
then tells: frames, acknowledgements, results, progress, log lines. Law: commit, send, acknowledge.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import logging
import traceback
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from flowrt.core import engine
from flowrt.core.engine import BEGIN, RESUME, RETRY, Arrival, Commit, NotTaken, Opened
from flowrt.core.flow import Party
from flowrt.core.hospital import Patient
from flowrt.core.registry import Registry
from flowrt.core.session import NEW, Peer, invite
from flowrt.core.values import (
    Ack,
    BadBytes,
    Checkpoint,
    Invite,
    Letter,
    Reject,
    decode,
    decode_checkpoint,
    decode_frame,
    encode,
    writable,
)
from flowrt.handle import Handle, NodeStopped
from flowrt.outbox import Outbox, packed_ack, unpack
from flowrt.services import StepTx, bind, find_functions, set_up
from flowrt.store import Batch, CommitFailed, OutcomeUnknown, Store, StoreError, Unwritable
from flowrt.transport import Network
from flowrt.turn import Job, Packet, Turn

BATCH = 512
"""How many events one transaction takes at most."""

LIVE = 8192
"""How many decoded flows are kept between their steps; the others are in the store alone."""

ATTEMPTS = 4
"""How often in a row the store may be in trouble before the node stops."""

MAX_CAUSE = 4000
MAX_TRACE = 20_000
"""How much of an error's text and of its traceback (its end) the hospital keeps."""

_LOG = logging.getLogger("flowrt.node")
_FLOW_LOG = logging.getLogger("flowrt.flow")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}


class Loop:
    """One party's flows, stepped batch by batch. `turn` does whatever is ready."""

    def __init__(
        self,
        party: str,
        store: Store,
        network: Network,
        modules: Iterable[ModuleType],
        services: Mapping[str, object],
        clock: Callable[[], int],
        key: bytes,
        batch: int,
        reload: bool,
    ) -> None:
        self.party = Party(party)
        self.registry = Registry(modules)
        self._clock = clock
        self._limit = batch
        self._reload = reload
        self._store = store
        self._ready: collections.deque[Job] = collections.deque()
        self._inbound: collections.deque[tuple[str, bytes]] = collections.deque()
        self._live: dict[int, Checkpoint] = {}
        self._handles: weakref.WeakValueDictionary[int, Handle[Any]] = weakref.WeakValueDictionary()
        self._outbox = Outbox()
        self._timers: list[tuple[int, int]] = []
        self._unloadable: set[int] = set()
        self._patients: set[int] = set()
        self._incarnation = b""
        self._commits = 0
        self._next_flow = 1
        self._next_outbox = 1
        self._peers: dict[str, Peer] = {}
        # What refused batches took, each part to be taken again by itself; what was refused alone,
        # and why; how often in a row something was refused.
        self._again: collections.deque[list[Job | Packet]] = collections.deque()
        self._suspect: tuple[Job | Packet, StoreError] | None = None
        self._refused: StoreError | None = None
        self._refusals = 0
        self._taking: Turn | None = None
        self._stopped: Exception | None = None
        find_functions(self.registry.classes.values())
        bound = bind(self.registry.services(), services)
        self._tx = StepTx(self.party, store)
        self._world = engine.World(self.party, self.registry, key, bound, self._tx)
        try:
            self._open_store()
            self._set_up(services)
            self._transport = network.join(party, self._received)
        except BaseException:
            store.close()  # A store that stays open may keep a lock.
            raise
        self._outbox.send_all(self._transport, self._clock())

    # --- one turn: a batch of steps, one commit ---

    def turn(self, limit: int | None = None) -> bool:
        """Take what is ready, at most `limit` events, in one transaction. False if nothing was.

        Raises:
            NodeStopped: the node has stopped, or stops now because its store cannot go on.
        """
        self.refuse_if_stopped()
        now_us = self._clock()
        self._due(now_us)
        if not self._has_work():
            return False
        self._world.now_us = now_us
        self._tx.now_us = now_us
        turn = self._taking = Turn(Batch(now_us, 0, 0))
        try:
            self._take_all(turn, self._limit if limit is None else limit)
            self._commit(turn)
        except (OutcomeUnknown, CommitFailed) as error:
            self._recover(turn, error)
        except StoreError as error:
            self._stop(NodeStopped(f"{self.party.name}: {error}"))
            self.refuse_if_stopped()
        else:
            self._tell(turn)
        self._taking = None
        return True

    def _has_work(self) -> bool:
        return bool(
            self._ready or self._inbound or self._again or self._suspect or self._outbox.has_settled
        )

    def _take_all(self, turn: Turn, limit: int) -> None:
        """Step whatever is ready, up to `limit` events; while a refused batch is searched, only a
        part of that."""
        if self._suspect is not None:
            item, self._refused = self._suspect
            turn.taken.append(item)
            self._take(item, turn)
            self._refused = None
            return
        if self._again:
            turn.taken += self._again.popleft()
            for item in turn.taken:
                self._take(item, turn)
            return
        inbound, ready = self._inbound, self._ready
        while limit > 0 and (inbound or ready):
            limit -= 1
            # In turns, so that a peer who never stops sending does not stop our own flows.
            item = inbound.popleft() if inbound and (limit % 2 or not ready) else ready.popleft()
            turn.taken.append(item)
            self._take(item, turn)

    def next_due(self) -> int | None:
        """When `turn` will have something to do though nothing arrives (microseconds; 0: now)."""
        if self._has_work():
            return 0
        times = [self._timers[0][0] if self._timers else None, self._outbox.next_due()]
        return min((time for time in times if time is not None), default=None)

    def _due(self, now_us: int) -> None:
        while self._timers and self._timers[0][0] <= now_us:
            _, flow_id = heapq.heappop(self._timers)
            self._ready.append(Job(flow_id, RESUME))
        self._outbox.send_again(self._transport, now_us)

    def _take(self, item: Job | Packet, turn: Turn) -> None:
        if type(item) is Job:
            self._step(item, turn)
        else:
            assert isinstance(item, tuple)
            self._read(*item, turn)

    def _read(self, peer: str, data: bytes, turn: Turn) -> None:
        """One packet from the network."""
        packet = unpack(data)
        if packet is None:
            return
        outbox_id, content = packet
        try:
            frame = decode_frame(content)
        except BadBytes as error:
            text = _one_line(str(error))
            _LOG.warning("%s: unreadable frame from %s: %s", self.party.name, peer, text)
            return
        if type(frame) is Letter:
            self._step(Job(frame.to_flow, Arrival(peer, frame), outbox_id=outbox_id), turn)
        elif type(frame) is Ack:
            self._outbox.acknowledged(peer, frame.ids)
        else:
            assert isinstance(frame, Invite)
            self._invited(peer, frame, outbox_id, turn)

    def _invited(self, peer: str, invitation: Invite, outbox_id: int, turn: Turn) -> None:
        known = self._peer(peer)
        welcome = known.welcome(invitation)
        if welcome is None:
            return
        turn.acknowledge(peer, outbox_id)
        if not welcome:
            return
        turn.batch.peers[peer] = b""
        found = self.registry.responder(invitation.flow, invitation.initiator)
        if isinstance(found, str):
            error_id = self._world.secret(self._next_outbox, 0, b"reject")[:8].hex()
            content = Reject(found, error_id)
            text = _one_line(found)
            _LOG.info("%s rejects %s: %s (%s)", self.party.name, peer, text, error_id)
            letter = Letter(
                invitation.from_flow, invitation.from_session, invitation.secret, 0, content
            )
            self._enqueue(turn, peer, encode(letter))
            return
        flow_id = self._next_flow
        self._next_flow = flow_id + 1
        name = self.registry.names[found]

        def make() -> Checkpoint:
            return engine.respond(name, found, invitation, peer, flow_id)[0]

        confirmation = engine.respond(name, found, invitation, peer, flow_id)[1]
        self._enqueue(turn, peer, encode(confirmation))
        self._step(Job(flow_id, BEGIN, make), turn)

    def _peer(self, name: str) -> Peer:
        known = self._peers.get(name)
        if known is None:
            known = self._peers[name] = Peer(0, [])
        return known

    # --- one step ---

    def _step(self, job: Job, turn: Turn) -> None:
        flow_id = job.flow_id
        event = job.event
        peer = event.peer if type(event) is Arrival else ""
        checkpoint = self._checkpoint(job, turn)
        if job.waiter is not None:
            turn.waiters.append(job.waiter)
        if checkpoint is None:
            if peer and flow_id not in self._unloadable:
                turn.acknowledge(peer, job.outbox_id)
            return
        # One step a commit: what a flow did in this batch is not committed yet.
        run = flow_id not in turn.batch.flows
        if not run and event is RESUME:
            turn.resumed[flow_id] = None
            return
        if not run and event is RETRY:
            if job.waiter is not None:
                turn.waiters.remove(job.waiter)
            turn.later.append(job)
            return
        tx = self._tx
        tx.flow_id = flow_id
        if self._refused is not None:
            self._fail(job, self._refused, turn)
            return
        commit = None
        try:
            commit = engine.advance(checkpoint, flow_id, event, self._world, run=run)
            if commit is not None:
                frames = self._frames(flow_id, commit, turn) if commit.outbox else ()
                data = b"" if commit.gone else encode(checkpoint)
        except NotTaken:
            return
        except Unwritable:
            raise  # The store's trouble, not this flow's.
        except Exception as error:
            tx.finish(keep=False)
            if commit is not None:
                self._uninvite(commit)
            self._fail(job, error, turn)
            return
        tx.finish(keep=True)
        if peer:
            turn.acknowledge(peer, job.outbox_id)
        if commit is None:
            due_us = engine.due(checkpoint, self._world.now_us) if event is RESUME else None
            if due_us:
                turn.timers.append((due_us, flow_id))  # The clock was set back since it rang.
            return
        if commit.held is not None:
            self._admitted(flow_id, checkpoint, f"hold: {commit.held}", "", turn)
        elif flow_id in self._patients and not checkpoint.admitted:
            self._patients.discard(flow_id)
            turn.batch.patients[flow_id] = None
        for receiver, frame in frames:
            self._enqueue(turn, receiver, frame)
        self._write(flow_id, checkpoint, commit, data, event, turn)

    def _checkpoint(self, job: Job, turn: Turn) -> Checkpoint | None:
        """The flow to step: from memory, from this batch, from the store; None if it is gone or
        cannot be loaded."""
        flow_id = job.flow_id
        found = self._live.get(flow_id)
        if found is not None:
            return found
        written = turn.batch.flows.get(flow_id, 0)
        if written == 0:
            if job.make is not None:
                checkpoint = self._live[flow_id] = job.make()
                return checkpoint
            data = self._store.load(flow_id)
        else:
            data = written[0] if isinstance(written, tuple) else None
        if data is None:
            return None
        try:
            checkpoint = decode_checkpoint(data, self.registry.states_of)
        except (BadBytes, KeyError) as error:
            self._cannot_load(flow_id, error, turn)
            return None
        self._live[flow_id] = checkpoint
        return checkpoint

    def _cannot_load(self, flow_id: int, error: Exception, turn: Turn) -> None:
        if flow_id in self._unloadable:
            return
        self._unloadable.add(flow_id)
        self._patients.add(flow_id)
        name, cause = "?", str(error)
        if isinstance(error, KeyError):
            name = str(error.args[0])
            cause = f"{name} is not installed"
        patient = Patient(flow_id, name, "?", "", f"cannot be loaded: {cause}", self._world.now_us)
        turn.batch.patients[flow_id] = encode(patient)
        text = _one_line(cause)
        _LOG.error("%s: flow %d cannot be loaded: %s", self.party.name, flow_id, text)

    def _fail(self, job: Job, error: Exception, turn: Turn) -> None:
        """The step raised: its flow stays where it was, in the hospital."""
        flow_id = job.flow_id
        self._live.pop(flow_id, None)
        checkpoint = self._checkpoint(job, turn)
        if checkpoint is None:
            return
        commit = engine.admit(checkpoint, job.event, self._world)
        cause = writable(_text_of(error))[:MAX_CAUSE]
        trace = writable("".join(traceback.format_exception(error)))[-MAX_TRACE:]
        self._admitted(flow_id, checkpoint, cause, trace, turn)
        if type(job.event) is Arrival:
            turn.acknowledge(job.event.peer, job.outbox_id)
        for peer, frame in self._frames(flow_id, commit, turn):
            self._enqueue(turn, peer, frame)
        data = encode(checkpoint)
        self._write(flow_id, checkpoint, commit, data, job.event, turn)

    def _admitted(
        self, flow_id: int, checkpoint: Checkpoint, cause: str, trace: str, turn: Turn
    ) -> None:
        frame = checkpoint.frames[-1]
        state = type(frame.state)
        patient = Patient(
            flow_id, frame.flow, state.__name__, state.place, cause, self._world.now_us, trace
        )
        self._patients.add(flow_id)
        turn.batch.patients[flow_id] = encode(patient)
        _LOG.error(
            "%s: flow %d (%s at %s) is in the hospital: %s",
            self.party.name,
            flow_id,
            frame.flow,
            state.place,
            _one_line(cause),
        )

    def _frames(self, flow_id: int, commit: Commit, turn: Turn) -> list[tuple[str, bytes]]:
        """(peer, frame) of what leaves with a step; new sessions are invited and numbered."""
        frames = []
        for peer, item in commit.outbox:
            frame: Letter | Invite
            if type(item) is Opened:
                turn.batch.peers[peer] = b""
                frame = invite(
                    item.session,
                    self._peer(peer).next_number(),
                    self._incarnation,
                    item.flow,
                    item.initiator,
                    item.version,
                    flow_id,
                )
            else:
                assert type(item) is Letter
                frame = item
            frames.append((peer, encode(frame)))
        return frames

    def _uninvite(self, commit: Commit) -> None:
        """The step counts for nothing after all, because its state cannot be written: its numbers
        are free again, or the peers would wait for those invitations for ever."""
        for peer, item in commit.outbox:
            if type(item) is Opened and item.session.status != NEW:
                self._peers[peer].invited -= 1

    def _write(
        self,
        flow_id: int,
        checkpoint: Checkpoint,
        commit: Commit,
        data: bytes,
        event: engine.Event,
        turn: Turn,
    ) -> None:
        """Put a step's commit into the batch; what leaves with it is there already."""
        batch = turn.batch
        if commit.gone:
            batch.flows[flow_id] = None
            self._live.pop(flow_id, None)
        else:
            due_us = commit.due_us
            batch.flows[flow_id] = (data, due_us)
            if due_us == 0:
                turn.resumed[flow_id] = None
            elif due_us is not None and (commit.ran or type(event) is not Arrival):
                turn.timers.append((due_us, flow_id))
        outcome = commit.outcome
        if outcome is not None:
            batch.outcomes.append((flow_id, outcome.flow, outcome.error, outcome.value))
            turn.ended.append((flow_id, outcome))
        for move in commit.moves:
            batch.moves.append((flow_id, move.number, encode(move)))
            turn.moves.append((flow_id, move))
        if commit.logs:
            turn.logs += [(flow_id, level, text) for level, text in commit.logs]
            turn.audit.append((flow_id, checkpoint.steps, _CODE[type(event)], commit.logs))
        else:
            turn.audit.append((flow_id, checkpoint.steps, _CODE[type(event)]))

    def _enqueue(self, turn: Turn, peer: str, frame: bytes) -> None:
        outbox_id = self._next_outbox
        self._next_outbox = outbox_id + 1
        turn.batch.outbox.append((outbox_id, peer, frame))

    # --- commit, then tell ---

    def _commit(self, turn: Turn) -> None:
        batch = turn.batch
        batch.next_flow = self._next_flow
        batch.next_outbox = self._next_outbox
        for name in batch.peers:
            batch.peers[name] = encode(self._peers[name])
        batch.settled = self._outbox.take_settled()
        if turn.audit:
            batch.audit = encode(turn.audit)
        if turn.audit or batch.settled or batch.outbox or batch.peers or batch.patients:
            self._store.commit(batch)
            self._commits += 1

    def _tell(self, turn: Turn) -> None:
        now_us = turn.batch.now_us
        self._refusals = 0
        self._suspect = None
        for outbox_id, peer, frame in turn.batch.outbox:
            self._outbox.send(outbox_id, peer, frame, self._transport, now_us)
        for peer, ids in turn.acks.items():
            self._transport.send(peer, packed_ack(ids))
        for flow_id in turn.resumed:
            self._ready.append(Job(flow_id, RESUME))
        for timer in turn.timers:
            heapq.heappush(self._timers, timer)
        self._ready.extend(turn.later)
        for waiter in turn.waiters:
            if not waiter.done():
                waiter.set_result(None)
        for flow_id, move in turn.moves:
            handle = self._handles.get(flow_id)
            if handle is not None:
                handle.moved(move)
        for flow_id, outcome in turn.ended:
            handle = self._handles.pop(flow_id, None)
            if handle is not None:
                handle.ended(outcome)
        for flow_id, level, text in turn.logs:
            _FLOW_LOG.log(
                _LEVELS[level],
                "%s",
                _one_line(text),
                extra={"party": self.party.name, "flow_id": flow_id},
            )
        if self._reload:
            self._live.clear()
        while len(self._live) > LIVE:
            del self._live[next(iter(self._live))]

    # --- the store: opening, and when it refuses ---

    def _open_store(self) -> None:
        opened = self._store.open(self.party.name)
        self._incarnation = opened.incarnation
        self._commits = opened.commits
        self._next_flow = opened.next_flow
        self._next_outbox = opened.next_outbox
        self._peers = {name: decode(Peer, known) for name, known in opened.peers.items()}
        self._patients = {decode(Patient, patient).flow_id for patient in self._store.patients()}
        self._outbox.load(opened.outbox)
        for flow_id, due_us in opened.due:
            if due_us == 0:
                self._ready.append(Job(flow_id, RESUME))
            else:
                self._timers.append((due_us, flow_id))
        heapq.heapify(self._timers)

    def _set_up(self, services: Mapping[str, object]) -> None:
        """Let the services make their tables, in a transaction of their own."""
        if services:
            self._tx.now_us = self._clock()
            set_up(services, self._tx)
            self._store.commit(Batch(self._tx.now_us, self._next_flow, self._next_outbox))
            self._commits += 1

    def _recover(self, turn: Turn, error: StoreError) -> None:
        """The commit was refused, or nobody knows: what is in memory is worth nothing now.

        Go back to the store; if it has the batch after all, tell it. If not, take the same events
        again: all of them when it was the store's trouble; else half of them and then the others,
        so that the one that spoils its batch is found. One that is refused alone is its own flow's
        trouble, and goes to the hospital. If even that cannot be written, or the store's trouble
        does not pass, the node stops.
        """
        _LOG.error("%s: a batch of %d was refused: %s", self.party.name, len(turn.taken), error)
        self._refusals += 1
        self._tx.forget()
        commits, next_flow = self._commits, self._next_flow
        started = [job for job in self._ready if job.event is not RESUME]
        self._live.clear()
        self._ready.clear()
        self._ready.extend(started)
        self._timers.clear()
        blameless = isinstance(error, Unwritable | OutcomeUnknown)
        try:
            self._open_store()
            written = self._commits != commits
            hopeless = self._refusals >= ATTEMPTS if blameless else self._suspect is not None
            if hopeless and not written:
                raise error
        except StoreError as worse:
            self._stop(NodeStopped(f"{self.party.name}: the store cannot be written: {worse}"))
            self.refuse_if_stopped()
        self._next_flow = max(self._next_flow, next_flow)  # Some are promised to waiting starts.
        self._outbox.send_all(self._transport, self._clock())
        taken = turn.taken
        if written:
            self._tell(turn)
        elif blameless:
            if self._suspect is None:
                self._again.appendleft(taken)
        elif len(taken) > 1:
            self._again.extendleft((taken[len(taken) // 2 :], taken[: len(taken) // 2]))
        else:
            self._suspect = (taken[0], error)

    # --- from outside ---

    def _received(self, peer: str, data: bytes) -> None:
        if self._stopped is None:
            self._inbound.append((peer, data))
            self._wake()

    def _wake(self) -> None:
        """Something is ready: whoever drives the loop may want to know."""

    def refuse_if_stopped(self) -> None:
        """Raise NodeStopped if the node does nothing any more."""
        if self._stopped is not None:
            raise self._stopped

    def _stop(self, reason: Exception) -> None:
        if self._stopped is not None:
            return
        self._stopped = reason
        self._transport.close()
        self._store.close()
        taken = self._taking.taken if self._taking is not None else ()
        for job in (*self._ready, *itertools.chain(*self._again), *taken):
            if type(job) is Job and job.waiter is not None and not job.waiter.done():
                job.waiter.set_exception(reason)
        for handle in list(self._handles.values()):
            handle.wake(reason)


_CODE: dict[type, int] = {engine.Begin: 0, engine.Resume: 1, Arrival: 2, engine.Retry: 3}
"""Events as the audit trail writes them."""


def _text_of(error: Exception) -> str:
    """An error's type and text, though the text is made by an author's Python too."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _one_line(text: str) -> str:
    """A text that cannot forge a second log line."""
    return "".join([c if c.isprintable() else f"\\x{ord(c):02x}" for c in text])
