"""The loop around the core: a batch of events, one commit, then what is told. Knows no event loop.

It takes every event that is ready, steps each flow, writes all of it in one transaction, and only
then tells: frames, acknowledgements, results, progress, log lines. Law: commit, send, acknowledge.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import inspect
import itertools
import logging
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import msgspec

from flowrt.agenda import Agenda
from flowrt.core import engine
from flowrt.core.engine import AGAIN, BEGIN, RESUME, Arrival, CallEnded, End, Lost
from flowrt.core.hospital import AGAIN as TRIED
from flowrt.core.hospital import Patient, one_line
from flowrt.core.registry import Registry
from flowrt.core.session import Peer
from flowrt.core.values import (
    DRAINING,
    MAX_ACKS,
    QUOTA,
    Ack,
    BadBytes,
    Checkpoint,
    Ending,
    Invite,
    Letter,
    Recall,
    Recalled,
    Reject,
    decode,
    decode_frame,
    encode,
    is_invitation,
)
from flowrt.handle import Handle, NodeStopped, NotAccepted
from flowrt.limits import Limits
from flowrt.operations import Operations
from flowrt.peers.inbound import Inbound
from flowrt.peers.outbox import packed_ack, unpack_marked
from flowrt.peers.reception import Reception, Responders, Versions
from flowrt.policies import Policy
from flowrt.reports import Reports
from flowrt.retention import AT_ONCE, Keeping, Retention
from flowrt.services import External, set_up
from flowrt.store import Batch, CommitFailed, OutcomeUnknown, Store, StoreError, Unwritable
from flowrt.timers import NEAREST, Timers
from flowrt.transport import Network
from flowrt.turn import Appointed, Deed, Firing, Job, Packet, Severing, Turn, log_errors

BATCH = 512
"""How many events one transaction takes at most."""

LIVE = 8192
"""How many decoded flows are kept between their steps; the others are in the store alone, as are
those of more than `LARGE` bytes."""

MOST_READY = 4096
"""When so many events wait for their turn, no more flows are woken because their time has come."""

ATTEMPTS = 4
"""How often in a row the store may be in trouble before the node stops."""

_LOG = logging.getLogger("flowrt.node")
_FLOW_LOG = logging.getLogger("flowrt.flow")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}


class Asked:
    """A flow that somebody wants under a name of his own, and that is not committed yet."""

    __slots__ = ("digest", "handle", "told")

    def __init__(
        self, handle: Handle[Any], digest: bytes, told: asyncio.Future[None] | None
    ) -> None:
        self.handle = handle
        self.digest = digest
        self.told = told


Item: TypeAlias = "Job | Firing | Appointed | Deed | Severing | Packet"
"""What a turn takes: an event for a flow, a schedule that is due, what a store has lost, what a
peer sent."""


class Loop(Agenda):
    """One party's flows, stepped batch by batch. `turn` does whatever is ready."""

    def __init__(
        self,
        party: str,
        store: Store,
        network: Network,
        modules: Iterable[ModuleType] | Registry,
        services: Mapping[str, object],
        clock: Callable[[], int],
        key: bytes,
        batch: int,
        reload: bool,
        policy: Policy | None = None,
        limits: Limits | None = None,
        responders: Responders | None = None,
        accepts: Versions | None = None,
        retention: Retention | None = None,
        window: int = NEAREST,
    ) -> None:
        super().__init__(party, store, modules, services, clock, key, policy, limits)
        limits = self._quotas.limits
        self._reception = Reception(self.registry, responders, accepts)
        self._limit = batch
        self._reload = reload
        if reload:
            self._large = -1
        self._ready: collections.deque[Job | Firing | Appointed | Deed] = collections.deque()
        self._inbound = Inbound(limits)
        self._handles: weakref.WeakValueDictionary[int, Handle[Any]] = weakref.WeakValueDictionary()
        self._world.has_room = self._outbox.has_room
        self._timers = Timers(store.due, window)
        self._keeping = Keeping(retention)
        self._reports = Reports(self._has_news)
        self._operations = Operations(
            self._world.services,
            self._operation_ended,
            self._lost,
            self._perform,
            clock,
            self._reports,
            store,
            limits.operations,
        )
        # What refused batches took, each part to be taken again by itself; what was refused alone,
        # and why, and whether those who heard of an end are suspected first; how often in a row
        # something was refused.
        self._again: collections.deque[list[Item]] = collections.deque()
        self._suspect: tuple[Item, StoreError, bool] | None = None
        self._refusals = 0
        self._refused_after: StoreError | None = None
        self._taking: Turn | None = None
        self._stopped: Exception | None = None
        self._severings: collections.deque[Severing] = collections.deque()
        self._asked: dict[str, Asked] = {}
        self._draining = False
        try:
            self._open_store()
            self._set_up(services)
            self._transport = network.join(party, self._received)
            self._transport.up = self._reached
        except BaseException:
            store.close()  # A store that stays open may keep a lock.
            raise
        self._outbox.refill(self._transport, self._clock())

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
        self._world.lookup = functools.partial(self._outcome_of, turn)
        self._world.holder = functools.partial(self._holder, turn)
        try:
            self._take_all(turn, self._limit if limit is None else limit)
            self._store.mark(0)
            self._commit(turn)
        except (OutcomeUnknown, CommitFailed) as error:
            self._recover(turn, error)
        except StoreError as error:
            stopped = NodeStopped(f"{self.party.name}: {error}")
            stopped.__cause__ = error
            self._stop(stopped)
            self.refuse_if_stopped()
        else:
            self._tell(turn)
        self._taking = None
        return True

    def _has_work(self) -> bool:
        return bool(
            self._ready
            or self._inbound
            or self._again
            or self._suspect
            or self._severings
            or self._severed is not None
            or self._outbox.has_settled
        )

    def _take_all(self, turn: Turn, limit: int) -> None:
        """Step whatever is ready, up to `limit` events; while a refused batch is searched, only a
        part of that."""
        if self._suspect is not None:
            item, error, followers = self._suspect
            turn.taken.append(item)
            self._refused = None if followers else error
            self._refused_after = error
            self._take(item, turn)
            self._refused = self._refused_after = None
            return
        if self._again:
            turn.taken += self._again.popleft()
            for item in turn.taken:
                self._take(item, turn)
            return
        if self._severed is not None or self._severings:
            # By itself: each of its flows must be stepped with it, and none before or after.
            own = self._severed is not None
            severing = Severing("", b"", b"") if own else self._severings.popleft()
            turn.taken.append(severing)
            self._take(severing, turn)
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
        times = [
            self._timers.next_due(),
            self._ward.visits.next_due(),
            self._outbox.next_due(),
            None if self._draining else self._next_start(),
            self._operations.next_due(),
            self._reports.next_due(),
            self._keeping.next_due(),
        ]
        return min((time for time in times if time is not None), default=None)

    def _due(self, now_us: int) -> None:
        room = MOST_READY - len(self._ready)
        if room > 0:
            for flow_id in self._timers.take_due(now_us, room):
                self._ready.append(Job(flow_id, RESUME))
        for flow_id in self._ward.visits.take_due(now_us):
            self._visit(flow_id, now_us)
        if not self._draining:
            self._ready.extend(self._starts_due(now_us, room))
        self._operations.try_again(now_us)
        if self._suspect is None and not self._again:
            self._forget_old(now_us)
        for flow_id, event in self._reports.take_due(now_us):
            handle = self._handles.get(flow_id)
            if handle is not None:
                handle.reported(event)
        self._outbox.send_again(self._transport, now_us)

    def _forget_old(self, now_us: int) -> None:
        """Forget some of what is too old. If the store cannot do that now, it is tried again."""
        before = self._keeping.too_old(now_us)
        if before is None:
            return
        try:
            self._keeping.forgot(now_us, max(self._store.purge(before[0], AT_ONCE, before[1])))
        except StoreError as error:
            _LOG.warning("%s: nothing old was forgotten: %s", self.party.name, error)

    def _visit(self, flow_id: int, now_us: int) -> None:
        """Have a patient tried again, or ended, if its time has come."""
        known = self._ward.get(flow_id)
        if known is None or not known.next:
            return
        if known.next_us > now_us:
            self._ward.visits.set(known.next_us, flow_id)
            return
        self._ready.append(Job(flow_id, AGAIN if known.next == TRIED else End(known.cause)))

    def _take(self, item: Item, turn: Turn) -> None:
        """One event, and those that follow from it in the same transaction. What the store refused
        before is not tried again, but fails: the event itself, or what follows."""
        if type(item) is Job:
            self._step(item, turn)
        elif type(item) is Firing:
            self._fire(item.schedule, turn)
        elif type(item) is Appointed:
            self._keep(item, turn)
        elif type(item) is Deed:
            self._do(item, turn)
        elif type(item) is Severing:
            self._sever(item, turn)
        else:
            assert isinstance(item, tuple)
            self._read(*item, turn)
        # Who started a flow that has ended hears of it in the same transaction.
        if turn.endings:
            turn.had_endings = True
            self._refused = self._refused_after
            while turn.endings:
                self._step(turn.endings.popleft(), turn)
            self._refused = None

    def _do(self, item: Deed, turn: Turn) -> None:
        try:
            item.act(turn)
        except NotAccepted as reason:
            if item.waiter is not None:
                turn.refused.append((item.waiter, reason))
            return
        if item.waiter is not None:
            turn.waiters.append(item.waiter)

    def _read(self, peer: str, data: bytes, turn: Turn) -> None:
        """One packet from the network."""
        packet = unpack_marked(data)
        if packet is None:
            return
        outbox_id, mark, content = packet
        turn.mark = mark
        now_us = self._world.now_us
        if is_invitation(content) and not self._quotas.may_invite(peer, now_us):
            self._quotas.refuse(peer, "more invitations than are looked at")
            return
        try:
            frame = decode_frame(content)
        except BadBytes as error:
            self._quotas.refuse(peer, "unreadable frame", str(error))
            return
        if type(frame) is Recall:
            self._recall(peer, mark, frame.mark)
        elif type(frame) is Recalled:
            severing = self._answered(peer, mark, frame)
            if severing is not None:
                self._severings.append(severing)
        elif not self._is_known(peer, mark):
            return
        elif type(frame) is Letter:
            self._step(Job(frame.to_flow, Arrival(peer, frame), outbox_id=outbox_id), turn)
        elif type(frame) is Ack:
            if self._is_of_ours(peer, frame.mark):
                self._outbox.acknowledged(peer, frame.ids)
            turn.acknowledge(peer, outbox_id)
        else:
            assert isinstance(frame, Invite)
            self._invited(peer, frame, outbox_id, turn)

    def _invited(self, peer: str, invitation: Invite, outbox_id: int, turn: Turn) -> None:
        known = self._peer(peer)
        quotas, me = self._quotas, self.party.name
        if not quotas.may_invite(peer, self._world.now_us):
            return
        if not self._outbox.may_answer(peer) or not quotas.has_room(known, invitation):
            quotas.refuse(peer, "an invitation waits until what is here is taken")
            return
        welcome = known.welcome(invitation)
        if welcome is None:
            return
        turn.acknowledge(peer, outbox_id)
        if not welcome:
            return
        quotas.invited(peer, self._world.now_us)
        turn.batch.peers[peer] = b""
        found = self._reception.answer(invitation)
        if self._draining:
            found = Reject(f"{me} is draining: it takes no new sessions", "", DRAINING)
        elif quotas.is_crowded(known) and not isinstance(found, Reject):
            text = f"{known.sessions} sessions of {peer} are open at {me}: refused by quota"
            found = Reject(text, "", QUOTA)
            quotas.rejected(peer)
        if isinstance(found, Reject):
            error_id = self._world.secret(self._next_outbox, 0, b"reject")[:8].hex()
            content = msgspec.structs.replace(found, error_id=error_id)
            text = one_line(found.reason)
            about = {"party": me, "peer": peer, "error_id": error_id}
            _LOG.info("%s rejects %s: %s (%s)", me, peer, text, error_id, extra=about)
            letter = Letter(
                invitation.from_flow, invitation.from_session, invitation.secret, 0, content
            )
            turn.answers.add(self._next_outbox)
            self._enqueue(turn, peer, encode(letter))
            return
        flow_id = self._new_flow()
        name = self.registry.names[found]

        checkpoint, confirmation = engine.respond(name, found, invitation, peer, flow_id)
        made = [checkpoint]

        def make() -> Checkpoint:
            if made:
                return made.pop()
            return engine.respond(name, found, invitation, peer, flow_id)[0]

        turn.answers.add(self._next_outbox)
        self._enqueue(turn, peer, encode(confirmation))
        asker = b"%s %s %d" % (peer.encode(), invitation.incarnation, invitation.number)
        self._step(Job(flow_id, BEGIN, make, asker=asker), turn)

    # --- commit, then tell ---

    def _commit(self, turn: Turn) -> None:
        batch = turn.batch
        batch.next_flow = self._next_flow
        batch.next_outbox = self._next_outbox
        batch.settled = self._outbox.take_settled()
        if turn.audit:
            batch.audit = encode(turn.audit)
        if (
            turn.audit
            or batch.settled
            or batch.outbox
            or batch.peers
            or batch.patients
            or batch.schedules
            or turn.diaries
        ):
            # What is written may rest on what these have said.
            for name in (*batch.peers, *self._heard):
                batch.peers[name] = encode(self._peers[name])
            self._store.commit(batch)
            self._commits += 1
            self._heard.clear()
            self._set_mark()
        else:
            self._store.abandon()  # Services were asked, and an open transaction locks others out.
            self._tx.known.clear()

    def _tell(self, turn: Turn) -> None:
        now_us = turn.batch.now_us
        self._refusals = 0
        self._suspect = None
        for act in turn.after:
            act()
        if turn.batch.severed is not None:
            self._severed = turn.batch.severed or None
        for name in turn.asked:
            self._asked.pop(name, None)
        for outbox_id, peer, frame in turn.batch.outbox:
            is_answer = outbox_id in turn.answers
            self._outbox.send(outbox_id, peer, frame, self._transport, now_us, is_answer)
        self._outbox.refill(self._transport, now_us)
        mark = self._outbox.mark
        for key, ids in turn.acks.items():
            for at in range(0, len(ids), MAX_ACKS):
                packet = packed_ack(ids[at : at + MAX_ACKS], mark, turn.held[key])
                self._transport.send(key[0], packet)
        for flow_id in turn.resumed:
            self._ready.append(Job(flow_id, RESUME))
        for flow_id, _ in turn.settled:
            self._timers.unpin(flow_id)
        for timer in turn.timers:
            self._timers.set(*timer)
        for flow_id in turn.gone:
            self._timers.forget(flow_id)
            self._gone[flow_id] = None
        for visit in turn.visits:
            self._ward.visits.set(*visit)
        for flow_id in turn.discharged:
            about = {"party": self.party.name, "flow_id": flow_id}
            text = "%s: flow %d is discharged from the hospital"
            _LOG.info(text, self.party.name, flow_id, extra=about)
        self._ready.extend(turn.later)
        for waiter in turn.waiters:
            if not waiter.done():
                waiter.set_result(None)
        for waiter, reason in turn.refused:
            if not waiter.done():
                waiter.set_exception(reason)
        for flow_id, reason in turn.unstarted:
            handle = self._handles.pop(flow_id, None)
            if handle is not None:
                handle.refused(reason)
        for name, due_us in turn.fired:
            self._schedules.fired(name, due_us)
        for flow_id, move in turn.moves:
            handle = self._handles.get(flow_id)
            if handle is not None:
                handle.moved(move)
        for flow_id in {flow_id for flow_id, _, _ in turn.batch.mail}:
            handle = self._handles.get(flow_id)
            if handle is not None:
                handle.mailed()
        for flow_id, outcome in turn.ended:
            handle = self._handles.pop(flow_id, None)
            if handle is not None:
                handle.ended(outcome)
        log_errors(self.party.name, turn)
        for flow_id, level, text in turn.logs:
            _FLOW_LOG.log(
                _LEVELS[level],
                "%s",
                one_line(text),
                extra={"party": self.party.name, "flow_id": flow_id},
            )
        if self._reload:
            self._live.clear()
        _shorten(self._live)
        _shorten(self._gone)
        self._run_operations(turn)

    def _run_operations(self, turn: Turn) -> None:
        """Begin what was recorded; last of all, because an operation may take its time."""
        operations = self._operations
        for flow_id, number in turn.settled:
            operations.settled(flow_id, number)
        for flow_id, numbers in turn.allowed:
            operations.allow(flow_id, numbers)
        if turn.paused:
            operations.pause(turn.paused)
        over = set(turn.settled)
        for wanted in turn.wanted:
            # A later event of this batch may have ended it, or brought its flow to the hospital.
            if wanted[:2] not in over and wanted.flow_id not in turn.paused:
                operations.see_to(wanted)

    # --- the store: opening, and when it refuses ---

    def _open_store(self) -> None:
        opened = self._store.open(self.party.name)
        self._incarnation = opened.incarnation
        self._draining = opened.draining
        self._ended = opened.ended
        self._commits = opened.commits
        self._next_flow = opened.next_flow
        self._next_outbox = opened.next_outbox
        self._peers = {name: decode(Peer, known) for name, known in opened.peers.items()}
        self._begin_life(opened)
        self._ward.load(decode(Patient, patient) for patient in self._store.patients())
        self._outbox.load(self._store.outbox())
        self._timers.clear()
        self._operations.incarnation = opened.incarnation
        self._operations.deaths = dict(opened.calls)
        self._tx.incarnation = self._outside_steps.incarnation = opened.incarnation
        self._appointed.clear()
        changed = self._schedules.load(self._store.schedules(), self._clock())
        if changed:
            now_us = self._clock()
            batch = Batch(now_us, self._next_flow, self._next_outbox)
            batch.schedules.update(changed)
            self._store.commit(batch)
            self._commits += 1
            self._set_mark()

    def _set_up(self, services: Mapping[str, object]) -> None:
        """Let the services make their tables, in a transaction of their own."""
        if services:
            self._tx.now_us = self._clock()
            set_up(services, self._tx)
            batch = Batch(self._tx.now_us, self._next_flow, self._next_outbox)
            self._set_up_for(batch)
            self._store.commit(batch)
            self._commits += 1
            self._set_mark()

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
        self._store.mark(0)
        self._tx.forget()
        commits, next_flow = self._commits, self._next_flow
        started = [
            job
            for job in self._ready
            if type(job) is Deed or (type(job) is Job and job.event is not RESUME)
        ]
        self._live.clear()
        self._ready.clear()
        self._ready.extend(started)
        blameless = isinstance(error, Unwritable | OutcomeUnknown)
        try:
            self._open_store()
            written = self._commits != commits
            alone = self._suspect is not None and not self._suspect[2]
            hopeless = self._refusals >= ATTEMPTS if blameless else alone
            if hopeless and not written:
                raise error
        except StoreError as worse:
            text = f"{self.party.name}: the store cannot be written: {worse}"
            self._stop(NodeStopped(f"{text}; nothing that was acknowledged is lost"))
            self.refuse_if_stopped()
        self._next_flow = max(self._next_flow, next_flow)  # Some are promised to waiting starts.
        self._outbox.refill(self._transport, self._clock())
        taken = turn.taken
        if written:
            self._tell(turn)
        elif blameless:
            if self._suspect is None:
                self._again.appendleft(taken)
        elif len(taken) > 1:
            self._again.extendleft((taken[len(taken) // 2 :], taken[: len(taken) // 2]))
        else:
            # First who heard of a flow's end, then the flow that ended.
            self._suspect = (taken[0], error, turn.had_endings and self._suspect is None)

    # --- what runs outside ---

    def _operation_ended(self, flow_id: int, number: int, ending: Ending) -> None:
        self._ready.append(Job(flow_id, CallEnded(number, ending)))
        self._wake()

    def _lost(self, flow_id: int, number: int, cause: str) -> None:
        self._ready.append(Job(flow_id, Lost(number, cause)))
        self._wake()

    def _perform(
        self,
        work: External,
        arguments: tuple[Any, ...],
        done: Callable[[Any, Exception | None], None],
    ) -> None:
        """Run an external operation. Without an event loop: here and now."""
        try:
            value = work.method(*arguments)
            if inspect.isawaitable(value):
                value = asyncio.run(_awaited(value))
        except Exception as error:
            done(None, error)
        else:
            done(value, None)

    # --- from outside ---

    def _received(self, peer: str, data: bytes) -> bool:
        if self._stopped is not None:
            return True
        if self._inbound.append((peer, data)):
            self._wake()
            return True
        self._quotas.refuse(peer, "more packets than may wait, or too large ones, are not taken")
        return False

    def _reached(self, peer: str) -> None:
        """A peer that was away is back, or what was under way to it is lost: say it again now."""
        if self._stopped is None:
            self._outbox.send_to(peer, self._transport, self._clock())
            self._wake()

    def _wake(self) -> None:
        """Something is ready: whoever drives the loop may want to know."""

    def _has_news(self) -> None:
        """The same, said from any thread."""
        self._wake()

    def refuse_if_stopped(self) -> None:
        """Raise NodeStopped if the node does nothing any more."""
        if self._stopped is not None:
            raise self._stopped

    def _stop(self, reason: Exception) -> None:
        if self._stopped is not None:
            return
        self._stopped = reason
        self._transport.close()
        self._store.mark(0)
        self._operations.stop()
        self._store.close()
        taken = self._taking.taken if self._taking is not None else ()
        for job in (*self._ready, *itertools.chain(*self._again), *taken):
            if type(job) not in (Job, Deed):
                continue
            if job.waiter is not None and not job.waiter.done():
                job.waiter.set_exception(reason)
        for handle in list(self._handles.values()):
            handle.wake(reason)


def _shorten(known: dict[int, Any]) -> None:
    """Forget who came first, until as many are left as may be."""
    for flow_id in list(itertools.islice(known, max(0, len(known) - LIVE))):
        del known[flow_id]


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value
