"""Runs one small program on nodes in one thread, and tells in a readable form what could be seen.

A program is a flow `Main` at alice, startable by rpc, and whom it talks to at bob, carol and dave.
Main's parameters are parties of these names, `parties` for all three, or what its script gives.
A script, a Python file beside the program, may have

    ARGUMENTS = {"count": 3}                    # of Main, beside the parties
    HOURS = 1                                   # how long it is watched, if not for 30 days
    STRANGERS = ("dave",)                       # who does not have the program
    def services(program, outside): ...         # by name; made once, so what they keep is abroad
    def answer(program, task): ...              # what somebody answers, None for nobody
    def commands(program): ...                  # what the owner sends, one at each rest

With `crashes` the process of a party dies before each of its commits, and after it when it was
tried again; nothing of it but its store stays. Time passes where nothing else can happen. Knows no
program and judges nothing.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import json
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import msgspec

from flowrt.core.flow import FlowError, Party, Tx
from flowrt.core.progress import ProgressEvent
from flowrt.core.values import (
    Checkpoint,
    Data,
    End,
    Failure,
    Invite,
    Letter,
    Reject,
    decode,
    decode_frame,
)
from flowrt.handle import Bounced
from flowrt.node import Node
from flowrt.store.memory import MemoryDisk
from tests.runtime.crashes import HOUR_US, Crash, Member, Power, World

PARTIES = ("alice", "bob", "carol", "dave")
MOST_ROUNDS = 2_000
UNKNOWN = "it is not known whether"
"""How the hospital's entry begins that only a crash makes."""


class Journal:
    """A service that writes down what it is told; its subclasses have the operations."""

    def setup(self, tx: Tx) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS journal (flow INTEGER, line TEXT)")

    def write(self, tx: Tx, line: str) -> None:
        """One line, part of the step."""
        tx.execute("INSERT INTO journal VALUES (?, ?)", (tx.flow_id, line))


class Outside:
    """What is beyond the nodes: no crash undoes it, and a key is known when it comes again."""

    def __init__(self) -> None:
        self.done: dict[str, str] = {}

    def do(self, key: str, line: str) -> None:
        """Something happens, once."""
        assert self.done.setdefault(key, line) == line


class Flickering(Power):
    """The power of one party: each commit fails, and its second trial is the process's last.
    `calm` are the next commits that nothing befalls."""

    def __init__(self, *, flickers: bool) -> None:
        super().__init__()
        self.flickers = flickers
        self.opening = False
        self.calm = 0
        self._is_second = False

    def commit(self, write: Callable[[], None], abandon: Callable[[], None]) -> None:
        self.commits += 1
        if not self.flickers or self.opening or self.calm:
            write()
            self.calm = max(0, self.calm - 1)
            return
        self._is_second = not self._is_second
        self.failures += 1
        if not self._is_second:
            write()
        raise Crash


class Play(World):
    """The parties of one program, and the people around them."""

    def __init__(self, program: ModuleType, script: Mapping[str, Any], *, crashes: bool) -> None:
        super().__init__(reload=crashes)
        self.program = program
        self.script = script
        self.outside = Outside()
        self.frames: list[tuple[str, str, bytes]] = []
        self.patients: dict[tuple[str, int, str], None] = {}
        self.powers = {party: Flickering(flickers=crashes) for party in PARTIES}
        make = script.get("services")
        services = make(program, self.outside) if make else {}
        for party in PARTIES:
            hosts = party not in script.get("STRANGERS", ())
            self.add(party, [program] if hosts else [], lambda: services)
        send = script.get("commands")
        self.commands = list(send(program)) if send else []
        self.main = self.start("alice", program.Main_v1, **self._arguments())

    def _arguments(self) -> dict[str, Any]:
        given = {party: Party(party) for party in PARTIES}
        all_given = {**given, "parties": tuple(map(Party, PARTIES[1:]))}
        all_given |= self.script.get("ARGUMENTS", {})
        wanted = self.program.Main_v1.Start.__struct_fields__
        return {name: all_given[name] for name in wanted if name in all_given}

    def see_through(self) -> None:
        """Go on until nothing can happen any more, or the time of the play is over."""
        end_us = self.now_us + self.script.get("HOURS", 30 * 24) * HOUR_US
        for _ in range(MOST_ROUNDS):
            while self.tick():
                pass
            if self._command() or self._answer() or self._release():
                continue
            due = [node.next_due() for node in map(self.node, self.members)]
            times = [time for time in due if time is not None]
            if not times or min(times) > end_us:
                return
            self.now_us = max(self.now_us, min(times))
        raise AssertionError("the play has no end")

    def _open(self, member: Member) -> None:
        self.power = power = self.powers[member.name]
        power.opening = True
        super()._open(member)
        power.opening = False

    def _crashed(self, member: Member) -> None:
        """Who has something to say to the party that is gone says it again at once: its own pause
        before that would make the play another one."""
        super()._crashed(member)
        for other in self.members.values():
            disk = other.disk
            if other is not member and isinstance(disk, MemoryDisk) and disk.outbox:
                self._keep(other)
                super()._crashed(other)

    def _guarded(self, party: str, act: Callable[[Node], bool]) -> bool:
        member = self.members[party]
        self.node(party)
        store = member.store
        moved = super()._guarded(party, act)
        if store is not None:
            self._take(party, store.batches)
        return moved

    def _keep(self, member: Member) -> None:
        if member.store is not None:
            self._take(member.name, member.store.batches)

    def _take(self, party: str, batches: list[Any]) -> None:
        for batch in batches:
            self.frames += [(party, peer, frame) for _, peer, frame in batch.outbox]
        batches.clear()

    # --- people ---

    def _command(self) -> bool:
        """The owner's next command; again, if the process died before it was committed."""
        if not self.commands or self.outcome(self.main) is not None:
            return False
        message = self.commands.pop(0)
        while True:
            before = self._commanded()
            told = self.node("alice").submit_command(self.main.id, message)
            self._guarded("alice", lambda node: node.turn())
            if told.done() or self._commanded() != before:
                return True

    def _commanded(self) -> int:
        """How many commands have reached the flow; -1 if it has ended."""
        self.node("alice")
        store = self.members["alice"].store
        assert store is not None
        data = store.load(self.main.id)
        if data is None:
            return -1
        sessions = decode(Checkpoint, data).sessions
        (owner,) = [session for session in sessions if not session.secret]
        return owner.expected + len(owner.inbox)

    def _answer(self) -> bool:
        answer = self.script.get("answer")
        for party in PARTIES if answer else ():
            for task in self.node(party).tasks():
                assert answer is not None
                found = answer(self.program, task)
                if found is not None:
                    self.node(party).submit_answer(task.flow_id, task.number, found, by="erin")
                    return True
        return False

    def _release(self) -> bool:
        """What an operator does with a flow that admitted itself, or may have run something."""
        found = False
        for party in PARTIES:
            node = self.node(party)
            for patient in node.hospital():
                if not patient.cause.startswith(UNKNOWN):
                    self.patients[party, patient.flow_id, patient.cause] = None
                if patient.cause.startswith(UNKNOWN):
                    self.powers[party].calm = 2  # What may run once has to end well some day.
                if patient.cause.startswith(("hold: ", UNKNOWN)):
                    node.submit_retry(patient.flow_id)
                    found = True
        return found


# --- what was seen ------------------------------------------------------------------------------


def told(program: ModuleType, script: Mapping[str, Any], *, crashes: bool) -> str:
    """What was seen of the program: each flow, who runs it, how it ended, and what it did."""
    with Play(program, script, crashes=crashes) as play:
        play.see_through()
        for member in play.members.values():
            play._keep(member)
        flows = [text for party in PARTIES for text in sorted(_flows(play, party))]
        abroad = [f"outside: {line}" for line in sorted(play.outside.done.values())]
        return "\n".join([*flows, *abroad]) + "\n"


def _flows(play: Play, party: str) -> Iterator[str]:
    conversations = _conversations(play)
    disk = play.members[party].disk
    assert isinstance(disk, MemoryDisk)
    for flow_id in range(1, disk.next_flow):
        try:
            handle = play.node(party).handle(flow_id)
        except KeyError:
            continue  # A number that a crash has used up.
        name, end = _end(play, party, flow_id, handle)
        lines = [f"{party}, {name}: {end}"]
        lines += [f"hospital: {cause}" for cause in _causes(play, party, flow_id)]
        lines += map(_move, filter(_is_move, play.node(party).progress(flow_id)))
        lines += [f"log {level}: {text}" for level, text in _logs(disk, flow_id)]
        lines += [f"wrote: {line}" for line in _written(disk, flow_id)]
        lines += conversations.get((party, flow_id), [])
        if play.program.Main_v1.owner and (party, flow_id) == ("alice", play.main.id):
            lines += [f"to its owner: {one}" for one in _mail(handle)]
        yield "\n    ".join(lines)


def _end(play: Play, party: str, flow_id: int, handle: Any) -> tuple[str, str]:
    if handle.outcome is None:
        view = next(one for one in play.node(party).flows() if one.id == flow_id)
        name = view.flow.rpartition(".")[2]
        return name, "in the hospital" if view.in_hospital else f"waits for {view.waits}"
    name = handle.outcome.flow.rpartition(".")[2]
    try:
        return name, shown(handle.result_now())
    except FlowError as error:
        fields = error.fields()
        text = shown(fields) if not error.builtin else f"({shown(_reason(error))})"
        peer = "" if error.peer is None else f", from {error.peer.name}"
        return name, f"{type(error).__name__}{text[text.index('(') :]}{peer}"


def _reason(error: FlowError) -> str:
    """A built-in error's reason, without the id that its log has."""
    return str(getattr(error, "reason", ""))


def _causes(play: Play, party: str, flow_id: int) -> list[str]:
    return [cause for (one, number, cause) in play.patients if (one, number) == (party, flow_id)]


def _is_move(event: ProgressEvent) -> bool:
    return event.is_move


def _move(event: ProgressEvent) -> str:
    values = "".join(f", {name}={value}" for name, value in event.values.items())
    return f"step {' / '.join(event.path)}: {event.label}{values}"


def _logs(disk: MemoryDisk, flow_id: int) -> Iterator[tuple[str, str]]:
    for _, row in disk.audit:
        for entry in msgspec.msgpack.decode(row):
            if entry[0] == flow_id and len(entry) > 3:
                yield from ((level, _one_line(text)) for level, text in entry[3])


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r")


def _written(disk: MemoryDisk, flow_id: int) -> list[str]:
    if disk.tables is None:
        return []
    tables = disk.tables.execute("SELECT name FROM sqlite_master WHERE name = 'journal'").fetchall()
    sql = "SELECT line FROM journal WHERE flow = ? ORDER BY rowid"
    return [line for (line,) in disk.tables.execute(sql, (flow_id,))] if tables else []


def _mail(handle: Any) -> Iterator[str]:
    while True:
        try:
            message = handle.receive_now()
        except Bounced as bounced:
            yield f"{shown(bounced.message)} came back"
        except FlowError as error:
            yield f"{type(error).__name__}"
            return
        else:
            if message is None:
                return
            yield shown(message)


def _conversations(play: Play) -> dict[tuple[str, int], list[str]]:
    """What was said in the sessions that a flow opened, each direction in its order. Where an end
    is said, or an error, is seen too. A session is known by its secret."""
    invitations: dict[bytes, tuple[str, str, Invite]] = {}
    said: dict[bytes, dict[bool, dict[int, str]]] = collections.defaultdict(
        lambda: {True: {}, False: {}}
    )
    for sender, receiver, data in play.frames:
        frame = decode_frame(data)
        if isinstance(frame, Invite):
            invitations[frame.secret] = (sender, receiver, frame)
            if frame.first is not None:
                said[frame.secret][True][0] = _content(play.program, frame.first)
        elif isinstance(frame, Letter):
            initiator, responder, invitation = invitations[frame.secret]
            asks = sender == initiator
            if initiator == responder:
                home = (invitation.from_flow, invitation.from_session)
                asks = (frame.to_flow, frame.to_session) != home
            said[frame.secret][asks][frame.seq] = _content(play.program, frame.content)
    lines: dict[tuple[str, int], list[str]] = {}
    for sender, receiver, one in sorted(invitations.values(), key=lambda i: i[2].from_session):
        name = one.flow.rpartition(".")[2]
        there, back = (
            [text for _, text in sorted(said[one.secret][asks].items()) if text]
            for asks in (True, False)
        )
        found = lines.setdefault((sender, one.from_flow), [])
        found.append(f"with {receiver}, {name}:")
        found += [f"    > {text}" for text in there]
        found += [f"    < {text}" for text in back]
    return lines


def _content(program: ModuleType, content: object) -> str:
    """A letter's content in a line; nothing for a confirmation."""
    match content:
        case Data(name=name, body=body):
            return shown(decode(getattr(program, name.rpartition(".")[2]), body))
        case End():
            return "end"
        case Failure(name=name):
            return f"error {name.rpartition('.')[2]}"
        case Reject():
            return "rejected"
    return ""


def shown(value: Any) -> str:
    """A value, much as one would write it in a program."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bytes() | decimal.Decimal() | int():
            return str(value)
        case Party():
            return value.name
        case datetime.timedelta():
            return f"{value.total_seconds():g}s"
        case datetime.datetime():
            return value.isoformat()
        case msgspec.Struct():
            fields = value.__struct_fields__
            inside = ", ".join(f"{name}={shown(getattr(value, name))}" for name in fields)
            return f"{type(value).__name__.replace('_', '.', 1)}({inside})"
        case Mapping():
            inside = ", ".join(f"{shown(key)}: {shown(one)}" for key, one in value.items())
            return f"{{{inside}}}"
        case tuple():
            return f"[{', '.join(map(shown, value))}]"
    return str(value)
