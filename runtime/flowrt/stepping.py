"""One event for one flow, stepped into the batch: loading, failing, and all that must be written.

Commits nothing and tells nobody: the loop does.
"""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import msgspec

from flowrt.core import engine, tasklog
from flowrt.core.commit import READS_ON, More, Started
from flowrt.core.engine import (
    RESUME,
    Again,
    Arrival,
    CallEnded,
    Change,
    Command,
    Commit,
    End,
    FlowEnded,
    Followed,
    Happened,
    Kill,
    Lost,
    NotTaken,
    Opened,
    Outcome,
    Pause,
    Throw,
    Told,
)
from flowrt.core.flow import FlowFailed, Party, State
from flowrt.core.hospital import (
    HELD,
    LOST,
    PAUSED,
    UNLOADABLE,
    Patient,
    one_line,
    text_of,
)
from flowrt.core.progress import IN_HOSPITAL
from flowrt.core.registry import Registry, unversioned
from flowrt.core.session import NEW, NOTHING, Peer, Standing, invite, is_full, standing
from flowrt.core.values import (
    CHECKPOINT_FORMAT,
    ONCE,
    BadBytes,
    Checkpoint,
    Invite,
    Letter,
    OnCommit,
    StackFrame,
    decode,
    decode_checkpoint,
    encode,
)
from flowrt.core.waiting import call_of, is_outside, runs_outside, wait_key
from flowrt.endings import Endings
from flowrt.events import (
    BY_A_PERSON,
    BY_SOMEBODY,
    CODE,
    ENDS_A_CALL,
    STALE,
    WAITS_FOR_ITS_TURN,
)
from flowrt.handle import NotAccepted, NotStartable
from flowrt.hospital.admission import Admission, EndsItsProcess
from flowrt.hospital.ward import Ward
from flowrt.limits import Limits
from flowrt.operations import wanted_of
from flowrt.peers.quotas import Quotas, moved
from flowrt.policies import Policy
from flowrt.services import Events, StepTx, bind, find_functions
from flowrt.store import Batch, Store, StoreError, Unwritable
from flowrt.store.marks import DEADLY
from flowrt.turn import ERRORS, Job, Turn

LARGE = 16_384
"""A flow of more bytes is not kept decoded between its steps."""

MAX_CAUSE = 4000
MAX_TRACE = 20_000
"""How much of an error's text and of its traceback (its end) the hospital keeps."""

_LOG = logging.getLogger("flowrt.node")


_Child: TypeAlias = tuple[int, tuple[bytes, int | None], tuple[str, str]]
"""A flow that a step starts: its id, its row, its name and business key."""


class Stepping:
    """One party's flows and what a step of one needs."""

    def __init__(
        self,
        party: str,
        store: Store,
        modules: Iterable[ModuleType] | Registry,
        services: Mapping[str, object],
        clock: Callable[[], int],
        key: bytes,
        policy: Policy | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._quotas = Quotas(party, limits or Limits())
        self.party = Party(party)
        self.registry = modules if isinstance(modules, Registry) else Registry(modules)
        self._clock = clock
        self._store = store
        self._live: dict[int, Checkpoint] = {}
        self._large = LARGE
        self._gone: dict[int, None] = {}
        """Flows that ended lately: a peer's last words come when nobody is there any more."""
        self._unloadable: set[int] = set()
        self._ward = Ward()
        self._incarnation = b""
        self._commits = 0
        self._next_flow = 1
        self._next_outbox = 1
        self._peers: dict[str, Peer] = {}
        self._ended: dict[int, int] = {}
        self._refused: StoreError | None = None
        self._before: Standing = NOTHING
        self._by = ""
        """Who is behind the event that is taken, where the event itself does not say it."""
        find_functions(self.registry.classes.values())
        bound = bind(self.registry.services(), services)
        self._tx = StepTx(self.party, store)
        self._world = engine.World(self.party, self.registry, key, bound, self._tx)
        self._tx.events = Events(bound, services.values())
        self._endings = Endings(self.registry.classes, self.registry.services(), services)
        self._tells_ends = bool(self._endings)
        self._world.new_flow = self._new_flow
        self._world.asked = functools.partial(self._tx.events.ask, self._tx)
        self._admission = Admission(party, self._world, self._ward, policy)

    def _new_flow(self) -> int:
        flow_id = self._next_flow
        self._next_flow = flow_id + 1
        return flow_id

    def _peer(self, name: str) -> Peer:
        known = self._peers.get(name)
        if known is None:
            known = self._peers[name] = Peer(0, [])
        return known

    def _step(self, job: Job, turn: Turn) -> None:
        flow_id = job.flow_id
        event = job.event
        if type(event) is Told:
            self._notify(event.what, event.detail, turn)
            if job.waiter is not None:
                turn.waiters.append(job.waiter)
            return
        peer = event.peer if type(event) is Arrival else ""
        checkpoint = self._checkpoint(job, turn)
        if job.waiter is not None:
            turn.waiters.append(job.waiter)
        if type(event) in ENDS_A_CALL:
            turn.settled.append((flow_id, event.number))  # type: ignore[union-attr]  # as just looked at
        if checkpoint is None:
            if type(event) is Kill and flow_id in self._unloadable:
                self._bury(flow_id, event, turn)
                return
            if type(event) is Followed:
                self._follow_the_dead(flow_id, event.follower, turn)
            if type(event) is Happened and flow_id in self._unloadable:
                self._make_ready(flow_id, turn.batch)
            if peer and flow_id not in self._unloadable:
                turn.acknowledge(peer, job.outbox_id)
            self._refuse(job, f"flow {flow_id} has ended", turn)
            return
        if type(event) is Command:
            refusal = self._refusal(checkpoint, event)
            if refusal is not None:
                self._refuse(job, refusal, turn)
                return
        if (type(event) is Again or type(event) is End) and not (
            self._admission.is_due(flow_id, turn)
        ):
            return
        run = self._may_run(flow_id, event, turn)
        if not run and event is RESUME:
            turn.resumed[flow_id] = None
            return
        if not run and type(event) in WAITS_FOR_ITS_TURN:
            if job.waiter is not None:
                turn.waiters.remove(job.waiter)
            turn.later.append(job)
            return
        is_new = job.make is not None and flow_id not in turn.batch.flows
        self._before = NOTHING if is_new else standing(checkpoint)
        known = self._peers.get(peer) if peer else None
        # Who has nothing unread here may send one message more, whatever the limits are.
        if (
            known is not None
            and known.unread
            and not self._quotas.takes(known, checkpoint, event.letter, run)  # type: ignore[union-attr]  # it came from a peer
        ):
            self._quotas.refuse(peer, "a message that no flow reads now is not taken")
            return
        if job.check is not None:
            reason = job.check(turn)
            if reason is not None:
                self._refuse(job, reason, turn)
                return
        tx = self._tx
        tx.flow_id = flow_id
        self._by = job.by
        if self._refused is not None:
            self._fail(job, self._refused, turn)
            return
        if job.make is not None and not self._claim(job, checkpoint, turn):
            return
        if job.client is not None:
            name, digest = job.client
            turn.batch.clients[name] = (flow_id, digest)
            turn.asked.append(name)
        if type(event) is Lost:
            self._lose(job, event, checkpoint, turn)
            return
        if type(event) is Again:
            self._ward.visited(flow_id)
        elif type(event) in BY_A_PERSON:
            self._ward.begin_anew(flow_id)
        elif type(event) is Pause and self._gives_up(job, event, checkpoint, turn):
            return
        if run and self._is_deadly(job):
            self._fail(job, EndsItsProcess(self._ended.pop(job.mark)), turn)
            return
        world = self._world
        world.reads_on = READS_ON
        while True:
            commit = None
            may_read_on = world.reads_on
            try:
                self._store.mark(job.mark)
                commit = engine.advance(checkpoint, flow_id, event, world, run=run)
                if commit is not None:
                    frames = self._frames(flow_id, commit, turn) if commit.outbox else ()
                    rest = commit.rest
                    started = self._started(flow_id, rest.starts) if rest is not None else ()
                    is_cured = self._admission.is_cured(flow_id, checkpoint, commit)
                    self._admission.tells(event, checkpoint, commit, is_cured)
                    data = b"" if commit.gone else encode(checkpoint)
                break
            except NotTaken:
                return
            except Unwritable:
                raise  # The store's trouble, not this flow's.
            except Exception as error:
                tx.finish(keep=False)
                if commit is not None:
                    self._uninvite(commit)
                if world.reads_on < may_read_on:
                    # Of a step that has read on, only what failed shall fail.
                    world.reads_on = 0
                    self._live.pop(flow_id, None)
                    anew = self._checkpoint(job, turn)
                    if anew is not None:
                        checkpoint = anew
                        continue
                self._fail(job, error, turn)
                return
        tx.finish(keep=True)
        if self._ended and self._ended.pop(job.mark, 0):
            self._store.forgive(job.mark)
        if peer:
            turn.acknowledge(peer, job.outbox_id)
        if commit is None:
            due_us = engine.due(checkpoint, self._world.now_us) if event is RESUME else None
            if due_us:
                # The clock was set back since it rang.
                turn.timers.append((due_us, flow_id, runs_outside(checkpoint)))
            if event is RESUME and not checkpoint.admitted:
                self._want(flow_id, checkpoint, turn)
            if type(event) in STALE:
                self._refuse(job, STALE[type(event)], turn)
            return
        if type(event) is Arrival and isinstance(event.letter.content, ERRORS):
            turn.heard.append((flow_id, peer, event.letter.to_session, event.letter.content))
        if commit.held is not None:
            cause = f"hold: {commit.held}"
            self._admission.admit(flow_id, checkpoint, commit, cause, "", turn, HELD)
        elif type(event) is Pause:
            cause = engine.writable(f"paused by {event.by}: {event.reason}")[:MAX_CAUSE]
            self._admission.admit(flow_id, checkpoint, commit, cause, "", turn, PAUSED)
        elif is_cured:
            self._admission.discharge(flow_id, turn)
        for receiver, frame in frames:
            self._enqueue(turn, receiver, frame)
        for child, row, key in started:
            turn.batch.flows[child] = row
            if key[1]:
                turn.batch.keys[key] = child
            if row[1]:
                turn.timers.append((row[1], child, False))
            else:
                turn.resumed[child] = None
        self._write(flow_id, checkpoint, commit, data, event, turn)
        if tx.notices:
            self._notify_all(turn)

    @staticmethod
    def _may_run(flow_id: int, event: engine.Event, turn: Turn) -> bool:
        """Whether the flow may go on in this batch: one step a commit, for what a flow did in this
        batch is not committed yet. What only was put into its inbox is no step."""
        if type(event) is Arrival:
            return flow_id not in turn.ran
        return flow_id not in turn.batch.flows and type(event) is not Followed

    def _notify_all(self, turn: Turn) -> None:
        """What has happened in a step is told to who waits for it."""
        for what, detail in self._tx.take_notices():
            self._notify(what, detail, turn)

    def _notify(self, what: str, detail: bytes, turn: Turn) -> None:
        """An event is so: who waits for it asks again, in this transaction."""
        key = wait_key(what, detail)
        found = dict.fromkeys(self._store.waiting(key), True) | turn.batch.waits.get(key, {})
        for (flow_id, number), waits in found.items():
            if waits:
                turn.endings.append(Job(flow_id, Happened(number)))

    def _make_ready(self, flow_id: int, batch: Batch) -> None:
        """Have a flow looked at when the node opens: it asks for what it waits for."""
        data = self._store.load(flow_id)
        if data is not None:
            batch.flows[flow_id] = (data, 0)

    def _set_up_for(self, batch: Batch) -> None:
        """Services that failed when a flow ended are told again; who waits for what services said
        when they were set up is ready."""
        self._endings.tell_again(self._store, self._tx, batch)
        for what, detail in self._tx.take_notices():
            for flow_id, _ in self._store.waiting(wait_key(what, detail)):
                self._make_ready(flow_id, batch)

    def _is_deadly(self, job: Job) -> bool:
        """Whether the step would end its process again. What runs none of the flow's own code is
        no danger."""
        if self._ended.get(job.mark, 0) < DEADLY or type(job.event) in (Kill, End, Pause):
            return False
        self._store.forgive(job.mark)
        return True

    def _claim(self, job: Job, checkpoint: Checkpoint, turn: Turn) -> bool:
        """Take the business key of a new flow; if another lives under it, refuse to start."""
        key = checkpoint.extra.key if checkpoint.extra is not None else ""
        if not key:
            return True
        name = self.registry.classes[checkpoint.frames[0].flow].name
        living = self._holder(turn, name, key)
        if living is None or living == job.flow_id:
            turn.batch.keys[name, key] = job.flow_id
            return True
        self._live.pop(job.flow_id, None)
        if job.client is not None:
            turn.asked.append(job.client[0])
        reason = NotStartable(f"{name} {key} lives already: it is flow {living}")
        turn.unstarted.append((job.flow_id, reason))
        _LOG.warning("%s: %s", self.party.name, one_line(str(reason)))
        if job.waiter is not None:
            turn.waiters.remove(job.waiter)
            turn.refused.append((job.waiter, reason))
        return False

    def _holder(self, turn: Turn, name: str, key: str) -> int | None:
        """The living flow of that name and business key, in this batch or before."""
        if (name, key) in turn.batch.keys:
            return turn.batch.keys[name, key]
        return self._store.holder(name, key)

    def _gives_up(self, job: Job, event: Pause, checkpoint: Checkpoint, turn: Turn) -> bool:
        """Leave a patient that would be tried again by itself to a person."""
        flow_id = job.flow_id
        known = self._ward.get(flow_id)
        if known is None or not known.next:
            return False
        written = turn.batch.patients.get(flow_id)
        rows = [written] if written is not None else self._store.patients()
        patients = [decode(Patient, row) for row in rows]
        patient = next(one for one in patients if one.flow_id == flow_id)
        patient = msgspec.structs.replace(patient, next="", next_us=0)
        commit = engine.admit(checkpoint, event, self._world)
        self._ward.admit(patient)
        turn.batch.patients[flow_id] = encode(patient)
        self._admission.tell(checkpoint, commit, IN_HOSPITAL, "is in the hospital", patient)
        self._write(flow_id, checkpoint, commit, encode(checkpoint), event, turn)
        return True

    def _refusal(self, checkpoint: Checkpoint, event: Command) -> str | None:
        """Why the flow cannot take this from its owner; None if it can."""
        if not checkpoint.frames:
            return "the flow has ended"
        flow = self.registry.classes[checkpoint.frames[0].flow]
        if not flow.owner:
            return f"{flow.__name__} has no session with its owner"
        if all(kind.wire != event.content.name for kind in flow.commands):
            known = ", ".join(kind.__name__ for kind in flow.commands) or "nothing"
            return f"{flow.__name__} never takes {event.content.name} from its owner, but {known}"
        session = next((s for s in checkpoint.sessions if not s.secret and not s.closed), None)
        if session is None:
            return "the flow has closed its owner's session"
        if is_full(session, event.content):
            return "the flow has not read what it was sent before; send again later"
        return None

    def _refuse(self, job: Job, reason: str, turn: Turn) -> None:
        """Tell who waits that it was not taken. Others do not need to know: a flow that ended has
        no use for a timer or an answer."""
        if job.client is not None:
            turn.asked.append(job.client[0])
        if job.waiter is not None and type(job.event) in (Command, CallEnded, Change, Throw):
            turn.waiters.remove(job.waiter)
            turn.refused.append((job.waiter, NotAccepted(reason)))

    def _started(self, flow_id: int, starts: list[Started]) -> list[_Child]:
        """The rows of the flows that a step starts."""
        rows: list[_Child] = []
        for one in starts:
            kind = self.registry.classes[one.flow]
            child = engine.begin(one.flow, kind, one.start, flow_id, one.due_us)
            key = (kind.name, kind.key(one.start))
            rows.append((one.flow_id, (encode(child), one.due_us), key))
        return rows

    def _outcome_of(self, turn: Turn, flow_id: int) -> Outcome | None:
        """How a flow ended, in this batch or before."""
        for ended, outcome in turn.ended:
            if ended == flow_id:
                return outcome
        found = self._store.outcome(flow_id)
        return Outcome(found[0], found[2], found[1]) if found is not None else None

    def _want(self, flow_id: int, checkpoint: Checkpoint, turn: Turn) -> None:
        """Have the operations run that the flow waits for."""
        if checkpoint.extra is not None:
            turn.wanted += wanted_of(flow_id, filter(is_outside, checkpoint.extra.calls))

    def _follow_the_dead(self, flow_id: int, follower: int, turn: Turn) -> None:
        """Who wants to hear of a flow's end that is not there must not wait for ever."""
        if flow_id in self._unloadable:
            return
        outcome = self._outcome_of(turn, flow_id)
        if outcome is None:
            nothing = (None, "", None, f"there is no flow {flow_id} here")
            outcome = Outcome("", encode(nothing), FlowFailed.wire)
        turn.endings.append(Job(follower, FlowEnded(flow_id, outcome)))

    def _lose(self, job: Job, event: Lost, checkpoint: Checkpoint, turn: Turn) -> None:
        """Something that the flow began needs a person; unless it waits for that no more."""
        call = call_of(checkpoint, event.number)
        if call is None or call.done is not None:
            return
        commit = engine.admit(checkpoint, event, self._world)
        cause = engine.writable(event.cause)[:MAX_CAUSE]
        once = call.kind == ONCE
        self._admission.admit(job.flow_id, checkpoint, commit, cause, "", turn, LOST, once=once)
        self._write(job.flow_id, checkpoint, commit, encode(checkpoint), event, turn)

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
            data = self._store.load(flow_id) if flow_id not in self._gone else None
        else:
            data = written[0] if isinstance(written, tuple) else None
        if data is None:
            return None
        try:
            checkpoint = self.registry.checkpoint(data)
        except (BadBytes, KeyError) as error:
            self._cannot_load(flow_id, error, turn)
            return None
        self._live[flow_id] = checkpoint
        return checkpoint

    def _cannot_load(self, flow_id: int, error: Exception, turn: Turn) -> None:
        if flow_id in self._unloadable:
            return
        self._unloadable.add(flow_id)
        name, cause = "?", str(error)
        if isinstance(error, KeyError):
            name = str(error.args[0])
            cause = f"{name} is not installed"
        cause = f"cannot be loaded: {cause}"
        now_us = self._world.now_us
        patient = Patient(flow_id, name, "?", "", cause, now_us, "", UNLOADABLE)
        self._ward.admit(patient)
        turn.batch.patients[flow_id] = encode(patient)
        text = one_line(cause)
        about = {"party": self.party.name, "flow_id": flow_id}
        _LOG.error("%s: flow %d %s", self.party.name, flow_id, text, extra=about)

    def _bury(self, flow_id: int, event: Kill, turn: Turn) -> None:
        """End a flow that cannot be loaded. Its sessions can be read without its class; if not
        even that, only its end is written, and its peers are told nothing."""
        if flow_id in turn.batch.flows:
            return
        data = self._store.load(flow_id)
        if data is None:
            return
        try:
            checkpoint = decode_checkpoint(data, lambda name: Any)
        except BadBytes:
            checkpoint = Checkpoint(CHECKPOINT_FORMAT, [StackFrame("?", State())], OnCommit(), [])
        self._before = standing(checkpoint)
        commit = engine.advance(checkpoint, flow_id, event, self._world)
        self._unloadable.discard(flow_id)
        self._admission.discharge(flow_id, turn)
        if commit is None:
            return
        for peer, frame in self._frames(flow_id, commit, turn):
            self._enqueue(turn, peer, frame)
        self._write(flow_id, checkpoint, commit, encode(checkpoint), event, turn)

    def _fail(self, job: Job, error: Exception, turn: Turn) -> None:
        """The step raised: its flow stays where it was, in the hospital."""
        flow_id = job.flow_id
        # Subflows that began in the step are gone with it, and have their say all the same.
        failed = self._live.pop(flow_id, None)
        remedies = self._admission.remedies(failed) if failed is not None else {}
        checkpoint = self._checkpoint(job, turn)
        if checkpoint is None:
            return
        if error is self._refused:
            # It may be what its tracker says that the store has already.
            checkpoint.moves = max(checkpoint.moves, len(self._store.moves(flow_id)))
        try:
            commit = engine.admit(checkpoint, job.event, self._world)
            encode(checkpoint)
        except Exception as spoiled:
            # Damaged bytes that could be read all the same: they stay as they are.
            self._live.pop(flow_id, None)
            self._cannot_load(flow_id, spoiled, turn)
            return
        cause = engine.writable(text_of(error))[:MAX_CAUSE]
        trace = engine.writable("".join(traceback.format_exception(error)))[-MAX_TRACE:]
        self._admission.admit(
            flow_id, checkpoint, commit, cause, trace, turn, error=error, remedies=remedies
        )
        if type(job.event) is Arrival:
            turn.acknowledge(job.event.peer, job.outbox_id)
        for peer, frame in self._frames(flow_id, commit, turn):
            self._enqueue(turn, peer, frame)
        self._write(flow_id, checkpoint, commit, encode(checkpoint), job.event, turn)

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
                    self._peer(peer).incarnation(self._incarnation),
                    item.flow,
                    item.initiator,
                    item.version,
                    flow_id,
                    item.messages,
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
        if commit.ran or checkpoint.admitted or type(event) is not Arrival:
            turn.ran.add(flow_id)
        after = NOTHING if commit.gone else standing(checkpoint)
        if after is not self._before:
            self._count(self._before, after, turn)
        if commit.gone:
            batch.flows[flow_id] = None
            self._live.pop(flow_id, None)
            turn.gone.append(flow_id)
        else:
            due_us = commit.due_us
            # Somebody must see to its operations after a restart: then it is ready at once.
            wants = not checkpoint.admitted and runs_outside(checkpoint)
            batch.flows[flow_id] = (data, 0 if wants else due_us)
            if wants:
                self._want(flow_id, checkpoint, turn)
            if due_us == 0:
                turn.resumed[flow_id] = None
            elif due_us is not None:
                turn.timers.append((due_us, flow_id, wants))
            if len(data) > self._large:
                self._live.pop(flow_id, None)
        outcome = commit.outcome
        if outcome is not None:
            batch.outcomes.append((flow_id, outcome.flow, outcome.error, outcome.value))
            turn.ended.append((flow_id, outcome))
            if self._tells_ends:
                self._endings.tell(flow_id, outcome.flow, self._tx, batch)
                self._notify_all(turn)
            if checkpoint.extra is not None and checkpoint.extra.key:
                name = unversioned(outcome.flow)
                batch.keys[name, checkpoint.extra.key] = None
            extra = checkpoint.extra
            for follower in (extra.parent, *extra.followers) if extra is not None else ():
                if follower:
                    turn.endings.append(Job(follower, FlowEnded(flow_id, outcome)))
        for move in commit.moves:
            batch.moves.append((flow_id, move.number, encode(move)))
            turn.moves.append((flow_id, move))
        if commit.rest is not None:
            _write_rest(flow_id, commit.rest, turn)
        entry: tuple[Any, ...] = (flow_id, checkpoint.steps, CODE[type(event)])
        if commit.logs:
            turn.logs += [(flow_id, level, text) for level, text in commit.logs]
            entry += (commit.logs,)
        if type(event) in BY_SOMEBODY:
            said = engine.writable(getattr(event, "shown", ""))
            if not commit.logs:
                entry += ([],)
            note = (engine.writable(event.by), engine.writable(event.reason), said)  # type: ignore[union-attr]  # as just looked at
            entry += (note,)
        elif self._by:
            # Of a question whose time somebody ended, why.
            why = event.ending.text if isinstance(event, engine.CallEnded) else ""
            entry += ((self._by, why, ""),) if commit.logs else ([], (self._by, why, ""))
        if commit.rest is not None and commit.rest.tasks:
            entry += ([], None)[len(entry) - 3 :]
            entry += (tasklog.of_step(commit.rest.tasks, event),)
        turn.audit.append(entry)

    def _count(self, before: Standing, after: Standing, turn: Turn) -> None:
        """Keep in the peers' rows what flows hold of them."""
        for name, (sessions, messages, size) in moved(before, after).items():
            peer = self._peer(name)
            # What an older version of the store has not counted is not taken away either.
            peer.sessions = max(0, peer.sessions + sessions)
            peer.unread = max(0, peer.unread + messages)
            peer.unread_bytes = max(0, peer.unread_bytes + size)
            turn.batch.peers[name] = b""

    def _enqueue(self, turn: Turn, peer: str, frame: bytes) -> None:
        outbox_id = self._next_outbox
        self._next_outbox = outbox_id + 1
        turn.batch.outbox.append((outbox_id, peer, frame))


def _write_rest(flow_id: int, rest: More, turn: Turn) -> None:
    batch = turn.batch
    batch.mail += [(flow_id, number, encode(mail)) for number, mail in rest.mail]
    for number, (what, detail, waits) in rest.waits.items():
        batch.waits.setdefault(wait_key(what, detail), {})[flow_id, number] = waits
    for number, task in rest.tasks.items():
        batch.tasks[flow_id, number] = encode(task) if task is not None else None
    if rest.requested:
        turn.allowed.append((flow_id, rest.requested))
    turn.settled += [(flow_id, number) for number in rest.dropped]
    turn.endings += [Job(other, Followed(flow_id)) for other in rest.follows]
