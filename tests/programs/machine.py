"""Runs a compiled program on nodes, with or without crashes, and reports what can be seen of it.

Everything is deterministic: nodes take turns in one thread, time is a number. A crash drops the
node's object; what was committed stays in its store's bytes.
"""

from __future__ import annotations

import datetime
import decimal
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import msgspec

from flowrt.core.flow import FlowError, SessionEnded
from flowrt.core.flow import Party as RuntimeParty
from flowrt.core.registry import Registry
from flowrt.core.values import Data, Invite, Letter, decode, decode_frame
from flowrt.node import Node
from flowrt.store import Batch
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.programs.desk import Desk, Functions
from tests.programs.language import owner, people
from tests.programs.language.pythons import Weight
from tests.programs.reference import HOSTS
from tests.programs.seen import Conversation, Ending, Flown, Seen, seen
from tests.programs.world import START

STRANGER = "zed"
ROUNDS = 3
"""So often is sent again what a crash may have lost: questions, answers, then frames."""

MOST_TURNS = 20_000
MAIN = 1
"""The number of the first flow of alice."""


class Crash(BaseException):
    """The process is gone: nothing in it may handle this."""


def load(text: str, name: str) -> ModuleType:
    """Generated Python as a module, importable under that name."""
    package = name.rpartition(".")[0]
    if package:
        parent = sys.modules.setdefault(package, ModuleType(package))
        parent.__path__ = []
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)
    return module


class RecordingStore(MemoryStore):
    """Keeps every frame that was committed, and crashes its process where the world wants it."""

    def __init__(self, disk: MemoryDisk, world: Nodes, party: str) -> None:
        super().__init__(disk)
        self.world = world
        self.party = party

    def commit(self, batch: Batch) -> None:
        # Where only acknowledgements are written down, a crash shows nothing that others do not.
        matters = bool(batch.flows)
        if matters:
            self.world.before_commit()
        super().commit(batch)
        self.world.frames += [(self.party, peer, frame) for _, peer, frame in batch.outbox]
        if matters:
            self.world.after_commit()


class Nodes:
    """Three parties that run the program, and one that runs nothing.

    With `crashes` every commit is tried twice: the process dies before the first, and again right
    after the second, with nothing told to anybody. `batch` is how many events one commit takes;
    `text` is the program as it was written.
    """

    def __init__(
        self, modules: Sequence[ModuleType], *, text: str, crashes: bool, batch: int
    ) -> None:
        self.lines = text.splitlines()
        self.registry = Registry(modules[-1:])
        self.generated = {name: kind for module in modules for name, kind in vars(module).items()}
        self.crashes = crashes
        self.batch = batch
        self.now = START
        # Frames overtake each other and come twice, where crashes send them again anyway.
        noise = 0.25 if crashes else 0.0
        self.network = MemoryNetwork(seed=batch, repeat=noise, reorder=noise)
        self.frames: list[tuple[str, str, bytes]] = []
        self.disks = {party: MemoryDisk() for party in (*HOSTS, STRANGER)}
        self.nodes: dict[str, Node] = {}
        self.opening = False
        self.failed_once = False
        self.crashed = 0
        self.lost = 0
        self.functions = Functions(self.generated)
        flows = [kind for kind in self.generated.values() if hasattr(kind, "services")]
        self.services: Mapping[str, object] = {}
        if any(flow.services for flow in flows):
            self.services = {"Desk": Desk(self.generated)}
        for party in self.disks:
            self.open(party)

    # --- opening and crashing ---

    def open(self, party: str) -> None:
        """A new process for this party, on what its store has."""
        self.opening = True
        hosts = party != STRANGER
        self.nodes[party] = Node.create(
            party,
            store=RecordingStore(self.disks[party], self, party),
            network=self.network,
            modules=self.registry if hosts else [],
            services=self.services if hosts else {},
            clock=lambda: self.now,
            key=party.encode().ljust(32, b"."),
            batch=self.batch,
            reload=self.crashes,
        )
        self.opening = False

    def before_commit(self) -> None:
        if self.crashes and not self.opening and not self.failed_once:
            self.failed_once = True
            raise Crash

    def after_commit(self) -> None:
        if self.crashes and not self.opening:
            self.failed_once = False
            raise Crash

    def crash(self, party: str) -> None:
        """What this process had in memory is lost. Where its commit was lost too, peers with
        something unacknowledged crash as well, so that they send it again without waiting."""
        self.crashed += 1
        self.open(party)
        self.lost = ROUNDS
        if self.failed_once:
            for other, disk in self.disks.items():
                if disk.outbox and other != party:
                    self.open(other)

    # --- the loop ---

    def run(self, arguments: Mapping[str, object]) -> Seen:
        """Start `Main` at alice and go on until nothing moves any more."""
        turns = 0
        while True:
            turns += 1
            if turns > MOST_TURNS:
                raise AssertionError("the nodes do not come to rest")
            self.start_once(arguments)
            moved = False
            for party in self.disks:
                moved = self.turn(party) or moved
            # No more than a node takes at once: what a crash finds untaken comes again only later,
            # and programs can tell the time.
            moved = self.network.pump(self.batch) or moved
            if not moved and not self.wait():
                return self.seen()

    def start_once(self, arguments: Mapping[str, object]) -> None:
        disk, node = self.disks["alice"], self.nodes["alice"]
        if disk.next_flow == 1 and node.next_due() != 0:
            node.submit(self.generated["Main_v1"], **arguments)

    def turn(self, party: str) -> bool:
        node = self.nodes[party]
        due = node.next_due()
        if due is None or due > self.now:
            return False
        try:
            return node.turn()
        except Crash:
            self.crash(party)
            return True

    def wait(self) -> bool:
        """Nothing goes on by itself: call people, then operators, then let time pass. What else has
        a time are frames that would be sent again; nobody sees that."""
        if self.lost and any(len(node._outbox) for node in self.nodes.values()):
            self.send_again()
            return True
        self.lost = 0
        told = [self.answer(), self.command()]
        return any(told) or self.release() or self.advance_clock()

    def send_again(self) -> None:
        """What was lost with a process is sent again without waiting: programs can tell the time.
        So is what peers asked each other of their stores."""
        self.lost -= 1
        for node in self.nodes.values():
            node._asked_us.clear()
            node._recalled_by.clear()
            for peer in self.disks:
                node._outbox.send_to(peer, node._transport, self.now)

    def command(self) -> bool:
        """What the owner says where `Main` waits for him."""
        node = self.nodes["alice"]
        for view in node.flows():
            if view.id == MAIN and not view.in_hospital and view.waits == "a message":
                line = self.lines[int(view.place.rpartition(":")[2]) - 1]
                given = owner.command(
                    line, len(self.journal(self.disks["alice"], MAIN)), self.generated
                )
                if given is not None:
                    node.submit_command(MAIN, given)
                    return True
        return False

    def answer(self) -> bool:
        """What people do with questions. What they were told is lost if the node crashes then, so
        they are asked again."""
        found = False
        for node in self.nodes.values():
            for task in node.tasks():
                given = people.answer(task)
                if given is not None:
                    node.submit_answer(task.flow_id, task.number, given, by=people.CLERK)
                    found = True
        return found

    def advance_clock(self) -> bool:
        due = [time for node in self.nodes.values() if (time := node.next_due()) is not None]
        if due:
            self.now = max(self.now, min(due))
        return bool(due)

    def release(self) -> bool:
        """What an operator does with a flow that admitted itself."""
        found = False
        for node in self.nodes.values():
            for patient in node.hospital():
                if patient.cause.startswith("hold: "):
                    node.submit_retry(patient.flow_id)
                    found = True
        return found

    # --- what was seen ---

    def seen(self) -> Seen:
        talks = self.conversations()
        flows = []
        for party in HOSTS:
            living = [view.id for view in self.nodes[party].flows()]
            for flow_id in range(1, self.disks[party].next_flow):
                if flow_id not in living and flow_id not in self.disks[party].outcomes:
                    continue  # The step that would have started it failed.
                found = talks.get((party, flow_id), [])
                if (party, flow_id) == ("alice", MAIN) and self.generated["Main_v1"].owner:
                    told = Conversation(party, "owner", (), self.mail(party, flow_id))
                    found = [*found, told]
                flows.append(self.flown(party, flow_id, found))
        return seen(flows)

    def flown(self, party: str, flow_id: int, talks: list[Conversation]) -> Flown:
        disk, node = self.disks[party], self.nodes[party]
        name, ending = self.ending(party, flow_id)
        moves = [
            (_short(event.flow), event.path, event.label)
            for event in node.progress(flow_id)
            if event.is_move
        ]
        return Flown(
            party,
            name,
            ending,
            tuple(self.journal(disk, flow_id)),
            tuple(self.logs(disk, flow_id)),
            tuple(moves),
            tuple(talks),
        )

    def ending(self, party: str, flow_id: int) -> tuple[str, Ending]:
        disk, node = self.disks[party], self.nodes[party]
        outcome = disk.outcomes.get(flow_id)
        if outcome is None:
            view = next(view for view in node.flows() if view.id == flow_id)
            name = view.flow.removesuffix("_v1")
            return _short(name), Ending("hospital" if view.in_hospital else "waiting")
        name = _short(outcome[0].removesuffix("_v1"))
        try:
            return name, Ending("returned", plain(node.handle(flow_id).result_now()))
        except FlowError as error:
            kind = _short(error.wire)
            value = kind if error.builtin else _fields(kind, error.fields())
            peer = None if error.peer is None else error.peer.name
            return name, Ending("failed", value, peer)

    def journal(self, disk: MemoryDisk, flow_id: int) -> list[str]:
        if disk.tables is None:
            return []
        rows = disk.tables.execute(
            "SELECT line FROM journal WHERE flow = ? ORDER BY rowid", (flow_id,)
        )
        return [line for (line,) in rows]

    def logs(self, disk: MemoryDisk, flow_id: int) -> list[tuple[str, str]]:
        lines = []
        for _, row in disk.audit:
            for entry in msgspec.msgpack.decode(row):
                if entry[0] == flow_id and len(entry) > 3:
                    lines += [(level, text) for level, text in entry[3]]
        return lines

    def conversations(self) -> dict[tuple[str, int], list[Conversation]]:
        """What was committed to be sent, by initiator. A session is known by its secret."""
        invitations: dict[bytes, tuple[str, str, Invite]] = {}
        said: dict[tuple[bytes, bool], dict[int, Data]] = {}
        for sender, receiver, data in self.frames:
            frame = decode_frame(data)
            if isinstance(frame, Invite):
                invitations[frame.secret] = (sender, receiver, frame)
                if frame.first is not None:
                    said.setdefault((frame.secret, True), {})[0] = frame.first
            elif isinstance(frame, Letter) and isinstance(frame.content, Data):
                initiator, responder, invitation = invitations[frame.secret]
                asks = sender == initiator
                if initiator == responder:
                    answer = (invitation.from_flow, invitation.from_session)
                    asks = (frame.to_flow, frame.to_session) != answer
                said.setdefault((frame.secret, asks), {})[frame.seq] = frame.content
        talks: dict[tuple[str, int], list[Conversation]] = {}
        for sender, receiver, invitation in sorted(
            invitations.values(), key=lambda found: found[2].from_session
        ):
            talks.setdefault((sender, invitation.from_flow), []).append(
                Conversation(
                    receiver,
                    _short(invitation.flow),
                    self.messages(said.get((invitation.secret, True), {})),
                    self.messages(said.get((invitation.secret, False), {})),
                )
            )
        return talks

    def mail(self, party: str, flow_id: int) -> tuple[object, ...]:
        """The messages to the owner. What else is in his mail depends on crashes."""
        found: list[object] = []
        number = 0
        while True:
            number, letter = self.nodes[party].mail(flow_id, number)
            if letter is None or isinstance(letter, SessionEnded):
                return tuple(found)
            if isinstance(letter, msgspec.Struct):
                found.append(plain(letter))
            number += 1

    def messages(self, numbered: dict[int, Data]) -> tuple[object, ...]:
        found = []
        for _, data in sorted(numbered.items()):
            kind = self.generated[_short(data.name)]
            found.append(plain(decode(kind, data.body)))
        return tuple(found)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _fields(name: str, value: msgspec.Struct) -> tuple[object, ...]:
    return (name, *[plain(getattr(value, field)) for field in value.__struct_fields__])


_MICROSECOND = datetime.timedelta(microseconds=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def plain(value: object) -> object:
    """As the reference interpreter's `plain` writes the same value."""
    match value:
        case decimal.Decimal():
            return ("Decimal", str(value))  # As it is: a Decimal is kept in one form.
        case RuntimeParty():
            return ("Party", value.name)
        case datetime.timedelta():
            return ("Duration", value // _MICROSECOND)
        case datetime.datetime():
            return ("Timestamp", (value - _EPOCH) // _MICROSECOND)
        case Weight():
            return ("Weight", value.grams, value.unit)
        case msgspec.Struct():
            return _fields(type(value).__name__.replace("_", "."), value)
        case Mapping():
            return ("Map", tuple(sorted((plain(k), plain(v)) for k, v in value.items())))
        case tuple() | list():
            return ("List", *[plain(part) for part in value])
    return value
