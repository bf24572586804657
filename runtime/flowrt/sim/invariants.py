"""What must hold in every world, whatever goes wrong: looked at with each commit, and at the end.

The names are those of docs/reliability.md. It reads disks and what steps did; it changes nothing.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

from flowrt.core import session as sessions
from flowrt.core.flow import Message
from flowrt.core.hospital import UNLOADABLE, Patient
from flowrt.core.lineage import LATER, Lineage, life_of
from flowrt.core.progress import END as END_OF_FLOW
from flowrt.core.progress import TROUBLE, WELL, ProgressEvent, path_of
from flowrt.core.registry import Registry
from flowrt.core.session import Peer
from flowrt.core.values import (
    EVENT,
    FLOW,
    TASK,
    Ack,
    BadBytes,
    Checkpoint,
    Content,
    Data,
    End,
    Failure,
    Invite,
    Letter,
    OnAcceptance,
    OnAny,
    OnMessage,
    OnSettling,
    OnTime,
    SessionState,
    decode,
    decode_checkpoint,
    decode_frame,
)
from flowrt.core.waiting import can_go_on, find, is_outside, is_over, is_undecided
from flowrt.peers.outbox import unpack_marked
from flowrt.sim.expecting import belong, is_expected
from flowrt.sim.granted import Granted
from flowrt.sim.host import Host, Started
from flowrt.sim.kept import missing
from flowrt.sim.treated import Treated
from flowrt.sim.violation import Violation
from flowrt.sim.watch import Record
from flowrt.store import Batch
from flowrt.store.chain import Broken, verify
from flowrt.store.memory import MemoryStore

COMMAND = 4
"""How the audit trail writes an owner's command."""

End_ = tuple[str, int]
"""One end of a conversation: the party and its flow."""


class Conversation:
    """What both ends of one session said and read, in order. `read` counts what was read by the
    other; `may_drop` are the ends that have said that they drop what comes late. `lost` is what an
    end said whose store has gone back behind that; who has read of it (`of`: which end, and whether
    what is lost) may read nothing of what is said instead."""

    __slots__ = ("lost", "may_drop", "of", "read", "said")

    def __init__(self) -> None:
        self.lost: dict[End_, list[Content]] = {}
        self.of: dict[End_, set[tuple[End_, bool]]] = {}
        self.said: dict[End_, list[Content]] = {}
        self.read: dict[End_, int] = {}
        self.may_drop: set[End_] = set()


class Invariants:
    """The judge of one world. Every method raises Violation."""

    def __init__(self, hosts: dict[str, Host], registries: dict[str, Registry]) -> None:
        self._hosts = hosts
        self._registries = registries
        self._steps: dict[tuple[str, int], int] = {}
        self._moves: dict[tuple[str, int], int] = {}
        self._paths: dict[tuple[str, int], tuple[str, ...]] = {}
        self._troubled: set[tuple[str, int]] = set()
        self._talks: dict[bytes, Conversation] = {}
        self._acked: set[tuple[str, int]] = set()
        # To whom a row went, and what it said: by its party, its number, the life of the store.
        self._rows: dict[tuple[str, int, bytes], tuple[str, bytes]] = {}
        self._began: set[tuple[str, int]] = set()
        self._outcomes: dict[tuple[str, int], tuple[str, str | None, bytes]] = {}
        self._wards: dict[str, Treated] = {}
        self._copies: dict[str, tuple[Any, ...]] = {}
        self._granted: defaultdict[str, Granted] = defaultdict(Granted)

    # --- a disk that is replaced by an older copy ---

    def remember(self, party: str) -> None:
        """The party's disk is copied now."""
        reads = [
            (secret, end, number)
            for secret, talk in self._talks.items()
            for end, number in talk.read.items()
            if end[0] == party
        ]
        known = (self._steps, self._moves, self._paths, self._outcomes)
        said = [
            (secret, end, len(words))
            for secret, talk in self._talks.items()
            for end, words in talk.said.items()
            if end[0] == party
        ]
        mine = [{key: one[key] for key in one if key[0] == party} for one in known]
        began = {key for key in self._began if key[0] == party}
        acked = {key for key in self._acked if key[0] == party}
        ward = copy.deepcopy(self._wards.get(party))
        self._copies[party] = (
            reads,
            said,
            *mine,
            {key for key in self._troubled if key[0] == party},
            began,
            (acked, self._hosts[party].disk.next_outbox),
            ward,
            copy.deepcopy(self._granted[party]),
        )

    def go_back(self, party: str) -> None:
        """The party's disk is that copy. What it had said, its peers may still read; but who has
        read what it has lost may read nothing of what it says instead."""
        reads, said, *mine, troubled, began, (acked, behind), ward, granted = self._copies[party]
        self._granted[party] = copy.deepcopy(granted)
        for talk in self._talks.values():
            for end in [end for end in talk.read if end[0] == party]:
                del talk.read[end]
        for secret, end, number in reads:
            self._talks[secret].read[end] = number
        kept = {(secret, end): number for secret, end, number in said}
        for secret, talk in self._talks.items():
            for end in [end for end in talk.said if end[0] == party]:
                words, number = talk.said.pop(end), kept.get((secret, end), 0)
                talk.lost[end] = words
                talk.said[end] = words[:number]
                for reader, count in talk.read.items():
                    if reader != end and count > number:
                        talk.of[reader] = {(end, True)}
                    else:
                        talk.of.pop(reader, None)
        known: tuple[dict[tuple[str, int], Any], ...] = (
            self._steps,
            self._moves,
            self._paths,
            self._outcomes,
        )
        for one, old in zip(known, mine, strict=True):
            for key in [key for key in one if key[0] == party]:
                del one[key]
            one.update(old)
        self._troubled = {key for key in self._troubled if key[0] != party} | troubled
        self._began = {key for key in self._began if key[0] != party} | began
        # What was taken since of rows that the copy holds is taken; later numbers it gives anew.
        still = {key for key in self._acked if key[0] != party or key[1] < behind}
        self._acked = still | acked
        self._wards.pop(party, None)
        if ward is not None:
            self._wards[party] = ward

    # --- with each commit ---

    def written(self, host: Host, batch: Batch) -> None:
        """I16: what is committed is on the disk, all of it."""
        lost = missing(host.disk, batch)
        if lost is not None:
            text = f"{host.name} has committed {lost}, and its disk does not hold it"
            raise Violation("I16", text)

    def committed(self, host: Host, records: list[Record], batch: Batch) -> None:
        """A batch is on the disk."""
        party = host.name
        if batch.audit:
            self._steps_are_in_order(host, decode(list[tuple[Any, ...]], batch.audit))
        for flow_id, flow, error, value in batch.outcomes:
            if (party, flow_id) in self._outcomes:
                raise Violation("I4", f"flow {flow_id} of {party} ended a second time")
            self._outcomes[party, flow_id] = (flow, error, value)
        for flow_id, _, data in batch.moves:
            event = decode(ProgressEvent, data)
            number, known = event.number, self._moves.get((party, flow_id), 0)
            if number != known:
                raise Violation("I14", f"flow {flow_id} of {party} moves to {number}, not {known}")
            self._moves[party, flow_id] = known + 1
            self._paths[party, flow_id] = event.path
            if event.kind == TROUBLE:
                self._troubled.add((party, flow_id))
            elif event.kind in (WELL, END_OF_FLOW):
                self._troubled.discard((party, flow_id))
        for number, peer, _ in batch.outbox:
            if peer not in self._hosts:
                self._acked.add((party, number))  # Strangers may say what they like of their own.
        severed = any(other.accepted for other in self._hosts.values())
        for number in batch.settled if not severed else ():
            if (party, number) not in self._acked:
                raise Violation("I6", f"{party} forgets row {number}, which nobody has taken")
        touched: set[str] = set()
        for flow_id, row in batch.flows.items():
            checkpoint = self._decoded(host, row[0]) if row is not None else None
            if row is not None and row[1] != 0 and checkpoint is not None:
                self._is_looked_at(host, flow_id, checkpoint, row[1])
            if row is None or checkpoint is not None:
                touched |= self._granted[party].holds(flow_id, checkpoint)
        for peer in sorted(touched):
            self._granted[party].judge(peer, host)
        ward = self._wards.get(party)
        if ward is None:
            ward = self._wards[party] = Treated(party, host.registry.classes.values())
        ward.committed(batch, {record.flow_id for record in records})
        for record in records:
            if record.began:
                if (party, record.flow_id) in self._began:
                    raise Violation("I2", f"flow {record.flow_id} of {party} began twice")
                self._began.add((party, record.flow_id))
            if record.said or record.dropping:
                self._hear(party, record)

    def _is_looked_at(
        self, host: Host, flow_id: int, checkpoint: Checkpoint, due_us: int | None
    ) -> None:
        """I13: who waits for a time is looked at by then."""
        if checkpoint.frames:
            self._is_shown(host, flow_id, checkpoint)
        if checkpoint.admitted:
            return
        waiting = checkpoint.waiting
        times: list[int] = []
        if type(waiting) is OnTime:
            times = [waiting.due_us]
        elif type(waiting) is OnAcceptance:
            times = [waiting.until_us]
        elif type(waiting) is OnAny:
            extra = checkpoint.extra
            calls = extra.calls if extra is not None else []
            asked = [call.due_us for call in calls if call.number in waiting.calls]
            times = [waiting.due_us, waiting.until_us, *asked]
        first_us = min(filter(None, times), default=None)
        if first_us is not None and (due_us is None or due_us > first_us):
            text = f"flow {flow_id} of {host.name} rests until {first_us}, and is due at {due_us}"
            raise Violation("I13", text)

    def _steps_are_in_order(self, host: Host, entries: list[tuple[Any, ...]]) -> None:
        for flow_id, step, code, *_ in entries:
            if not flow_id:
                continue  # What the node did, and no flow.
            key = (host.name, flow_id)
            last = self._steps.get(key, 0)
            if step != last + 1:
                raise Violation(
                    "I2", f"step {step} of flow {flow_id} of {host.name} follows step {last}"
                )
            self._steps[key] = step
            if code == COMMAND:
                host.commands[flow_id] = host.commands.get(flow_id, 0) + 1

    def _hear(self, party: str, record: Record) -> None:
        """I1: what a flow reads is what its peer said: all of it, once, in order."""
        me = (party, record.flow_id)
        for secret in record.dropping:
            self._talk(secret).may_drop.add(me)
        for sent, _, _, secret, peer, content, _ in record.said:
            talk = self._talk(secret)
            if sent:
                talk.said.setdefault(me, []).append(content)
                self._tells_no_more(party, content)
                continue
            if peer not in self._hosts:
                continue
            severed = self._hosts[party].accepted or self._hosts[peer].accepted
            if severed and type(content) is Failure and not content.fields:
                continue  # A store has lost the session: nobody has said so.
            if talk.lost or self._hosts[peer].accepted:
                self._hear_of_two(talk, me, peer, content)
                continue
            other = next((end for end in talk.said if end != me and end[0] == peer), None)
            said = talk.said[other] if other is not None else []
            index = talk.read.get(me, 0)
            while index < len(said) and said[index] != content and me in talk.may_drop:
                index += 1
            if index >= len(said) or said[index] != content:
                wanted = said[index] if index < len(said) else "nothing more"
                raise Violation(
                    "I1", f"flow {me[1]} of {party} reads {content}, and {peer} said {wanted}"
                )
            talk.read[me] = index + 1

    def _hear_of_two(self, talk: Conversation, me: End_, peer: str, content: Content) -> None:
        """The same where a store went back: of what was said before and instead, one from its
        beginning to its end."""
        index = talk.read.get(me, 0)
        spoken = [((end, False), words) for end, words in talk.said.items()]
        spoken += [((end, True), words) for end, words in talk.lost.items()]
        fitting = {
            which
            for which, words in spoken
            if which[0] != me and which[0][0] == peer and words[index : index + 1] == [content]
        }
        fitting &= talk.of.get(me, fitting)
        if not fitting:
            text = f"flow {me[1]} of {me[0]} reads {content}, and {peer} said nothing of the kind"
            raise Violation("I1", text)
        talk.of[me] = fitting
        talk.read[me] = index + 1

    def _tells_no_more(self, party: str, content: Content) -> None:
        """I19: a counterparty learns the fields of declared errors, and of others nothing."""
        if type(content) is not Failure or not content.fields:
            return
        if content.name not in self._registries[party].errors:
            raise Violation("I19", f"{party} tells its peer more than the name of {content.name}")

    def _talk(self, secret: bytes) -> Conversation:
        found = self._talks.get(secret)
        if found is None:
            found = self._talks[secret] = Conversation()
        return found

    # --- with each turn ---

    def turned(self, host: Host) -> None:
        """A process has done all that was ready, and rests until its alarm: no flow may be due
        before that, except one that cannot be loaded. Rows that are ready at once say so for a new
        process only."""
        if host.node is None:
            return
        self._granted[host.name].in_memory(host)
        unloadable = host.node._unloadable
        rows = host.disk.flows.items()
        dues = [due for flow_id, (_, due) in rows if due and flow_id not in unloadable]
        due_us = host.node.next_due()
        if dues and (due_us is None or due_us > min(dues)):
            raise Violation("L", f"a flow of {host.name} is due at {min(dues)}, and nobody looks")

    def told(self, host: Host, starts: list[Started]) -> None:
        """I4: nobody is told of an end that is not written."""
        for started in starts:
            handle = started.handle
            if started.host is not host or handle is None or handle.outcome is None:
                continue
            if host.disk_lost:
                continue
            if started.outcome is None:
                raise Violation("I4", f"{started} was told of its end, and it is not written")

    def begins(self, host: Host, key: str) -> None:
        """I3: nothing runs outside of a step that is not recorded before."""
        _, flow_id, number = key.rsplit("-", 2)
        row = host.disk.flows.get(int(flow_id))
        checkpoint = self._decoded(host, row[0]) if row is not None else None
        if row is not None and checkpoint is None:
            return
        calls = checkpoint.extra.calls if checkpoint is not None and checkpoint.extra else []
        if all(call.number != int(number) for call in calls):
            raise Violation("I3", f"{host.name} runs {key}, which no flow has asked for")

    # --- with each packet ---

    def sent(self, sender: str, receiver: str, data: bytes) -> None:
        """I5: nothing leaves that is not committed. I6: nothing is acknowledged that is not."""
        host = self._hosts.get(sender)
        packet = unpack_marked(data)
        if host is None or packet is None:
            return
        number, mark, content = packet
        if number:
            self._rows[sender, number, life_of(mark)] = receiver, content
            if host.disk.outbox.get(number) != (receiver, content) and (
                (sender, number) not in self._acked
            ):
                raise Violation("I5", f"{sender} sends row {number}, which its store does not hold")
            return
        frame = decode_frame(content)
        other = self._hosts.get(receiver)
        if type(frame) is not Ack or other is None:
            return
        for row in frame.ids:
            if (receiver, row) in self._acked:
                continue
            # Who went back gives the number to another row: the mark says which is meant.
            present = other.disk.outbox.get(row)
            held = self._rows.get((receiver, row, life_of(frame.mark))) if frame.mark else present
            if held is not None and held[0] == sender:
                if not self._holds(host, receiver, held[1]):
                    raise Violation(
                        "I6",
                        f"{sender} acknowledges row {row} of {receiver}, and its store has it not: "
                        f"{decode_frame(held[1])}",
                    )
                if held == present:
                    self._acked.add((receiver, row))

    def _holds(self, host: Host, sender: str, content: bytes) -> bool:
        """Whether a store has taken what a frame says, or will never need it."""
        frame = decode_frame(content)
        if type(frame) is Invite:
            known = host.disk.peers.get(sender)
            seen = decode(Peer, known).seen if known is not None else []
            return any(
                one.incarnation == frame.incarnation and one.has(frame.number) for one in seen
            )
        if type(frame) is not Letter:
            return True
        row = host.disk.flows.get(frame.to_flow)
        if row is None:
            return True
        checkpoint = self._decoded(host, row[0])
        session = find(checkpoint, frame.to_session) if checkpoint is not None else None
        if session is None or session.secret != frame.secret or is_over(session):
            return True
        if frame.seq < session.expected or any(seq == frame.seq for seq, _, _ in session.inbox):
            return True
        return bool(session.inbox) and type(session.inbox[-1][1]) is not Data

    def _decoded(self, host: Host, data: bytes) -> Checkpoint | None:
        try:
            return decode_checkpoint(data, self._registries[host.name].states_of)
        except (BadBytes, KeyError):
            return None

    # --- at the end ---

    def at_rest(self, starts: list[Started], roots: set[tuple[str, int]]) -> None:
        """Nothing more happens by itself. `roots` are the flows that nobody's flow started."""
        for started in starts:
            if started.is_done and started.handle is not None:
                self._is_told(started)
        wanted = {(started.party, started.id) for started in starts if started.is_done}
        whole = {name for name, host in self._hosts.items() if not host.disk_lost}
        for party, flow_id in {root for root in roots - wanted if root[0] in whole}:
            raise Violation("I22", f"flow {flow_id} of {party} was started by nobody")
        for host in self._hosts.values():
            if host.went_back and not host.refused:
                self._is_unknown(host)
            if not host.refused:
                self._rests(host)

    def _is_unknown(self, host: Host) -> None:
        """B3: who went back, and goes on, has lost nothing on which a peer's store rests."""
        disk = host.disk
        lineage = Lineage(disk.secret, disk.lives)
        for name, other in self._hosts.items():
            known = other.disk.peers.get(host.name)
            mark = decode(Peer, known).mark if known is not None else b""
            if mark and lineage.judge(mark, disk.commits) == LATER:
                text = f"{host.name} goes on from a backup, and {name} knows what it has lost"
                raise Violation("B3", text)

    def _is_told(self, started: Started) -> None:
        """I4: what a client is told is what is written."""
        assert started.handle is not None
        told = started.handle.outcome
        if started.host is not None and started.host.disk_lost:
            return  # It may have lost what it told.
        if told is not None and told != started.outcome:
            raise Violation("I4", f"{started} was told {told}, and {started.outcome} is written")

    def _rests(self, host: Host) -> None:
        disk, party = host.disk, host.name
        patients = set(disk.patients)
        if party in self._wards:
            self._wards[party].rests()
        self._granted[party].rests(host)
        living: dict[int, Checkpoint] = {}
        for flow_id, (data, _) in disk.flows.items():
            checkpoint = self._decoded(host, data)
            if checkpoint is None:
                continue
            living[flow_id] = checkpoint
            if checkpoint.admitted and flow_id not in patients:
                raise Violation("I16", f"flow {flow_id} of {party} is held, and no patient")
            if not checkpoint.admitted and flow_id not in patients:
                self._is_explained(host, flow_id, checkpoint)
        for flow_id in patients:
            if flow_id not in disk.flows:
                raise Violation("I16", f"patient {flow_id} of {party} is no living flow")
        for flow_id, number in disk.tasks:
            calls = living[flow_id].extra if flow_id in living else None
            if calls is None or all(c.number != number or c.kind != TASK for c in calls.calls):
                raise Violation("I16", f"task {number} of flow {flow_id} of {party} is nobody's")
        belong(party, disk, living)
        for (name, key), flow_id in disk.keys.items():
            if flow_id not in disk.flows:
                raise Violation("I16", f"{name} {key} of {party} is held by flow {flow_id}, gone")
        for number, (peer, frame) in disk.outbox.items():
            if peer in self._hosts and not self._hosts[peer].refused:
                raise Violation(
                    "I16", f"{party} still has row {number} for {peer}: {decode_frame(frame)}"
                )

        try:
            verify(*MemoryStore(disk).chain())
        except Broken as error:
            raise Violation("I20", f"{party}: {error}") from None

    def _is_shown(self, host: Host, flow_id: int, checkpoint: Checkpoint) -> None:
        """I14: who has read a flow's events knows where it rests, and whether it is in trouble."""
        key = (host.name, flow_id)
        path = path_of(checkpoint.frames, self._registries[host.name].step_names)
        if self._paths.get(key, ()) != path:
            told = self._paths.get(key, ())
            raise Violation("I14", f"flow {flow_id} of {host.name} is at {path}, and told {told}")
        row = host.disk.patients.get(flow_id)
        is_ill = row is not None and decode(Patient, row).kind != UNLOADABLE
        if is_ill != (key in self._troubled):
            word = "is a patient" if is_ill else "is well"
            raise Violation("I14", f"flow {flow_id} of {host.name} {word}, and told otherwise")

    # --- liveness ---

    def _is_explained(self, host: Host, flow_id: int, checkpoint: Checkpoint) -> None:
        """A flow that rests for ever waits for something that can still come."""
        name = f"flow {flow_id} of {host.name}"
        if can_go_on(checkpoint, host.clock()):
            raise Violation("L", f"{name} could go on, and does not: {checkpoint.waiting}")
        waiting = checkpoint.waiting
        awaited: tuple[int, ...] = ()
        if type(waiting) is OnMessage:
            awaited = (waiting.session,)
        elif type(waiting) is OnAny:
            awaited = waiting.sessions
            if waiting.due_us or waiting.until_us:
                return
        elif type(waiting) in (OnAcceptance, OnSettling):
            awaited = tuple([s.id for s in checkpoint.sessions if is_undecided(s)])
        for number in awaited:
            session = find(checkpoint, number)
            if session is not None and session.secret:
                self._may_be_heard(name, host, flow_id, session)
        calls = waiting.calls if type(waiting) is OnAny else ()
        for call in checkpoint.extra.calls if checkpoint.extra is not None else ():
            if call.number not in calls or call.done is not None:
                continue
            if is_outside(call):
                raise Violation("L", f"{name} waits for {call.what}, which nobody runs")
            if call.kind == FLOW and call.target not in host.disk.flows:
                raise Violation("L", f"{name} waits for flow {call.target}, which has ended")
            if call.kind == TASK and (flow_id, call.number) not in host.disk.tasks:
                raise Violation("I15", f"{name} waits for an answer that nobody is asked for")
            if call.kind == EVENT:
                is_expected(host, flow_id, call)

    def _may_be_heard(self, name: str, host: Host, flow_id: int, session: SessionState) -> None:
        other = self._hosts.get(session.peer)
        if other is None or other.refused or is_over(session) or sessions.head(session) is not None:
            return
        if is_undecided(session):
            raise Violation("L", f"{name} invited {session.peer}, and never heard of it")
        if session.peer_flow not in other.disk.flows:
            raise Violation(
                "I8", f"{name} waits for flow {session.peer_flow} of {session.peer}, which ended"
            )


def summary(content: Content, kind: type[Message] | None) -> str:
    """A content in a few words."""
    if type(content) is Data:
        return kind.__name__ if kind is not None else content.name
    if type(content) is Failure:
        return f"fails with {content.name}"
    return "ends" if type(content) is End else type(content).__name__
