"""A pair on nodes, in memory: every letter waits until it is wanted, each party has a clock.

Plays the run of a misfit, which must end as the check claims, and random schedules of pairs that
fit, which must end well.
"""

from __future__ import annotations

import contextlib
import datetime
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any
from unittest import mock

from flowlang import codegen
from flowlang.machine import Module
from flowlang.protocol.pairs import Misfit
from flowrt.core import session as sessions
from flowrt.core.flow import FlowError
from flowrt.core.flow import Party as RuntimeParty
from flowrt.core.incoming import Incoming
from flowrt.core.values import (
    Checkpoint,
    Data,
    Invite,
    Letter,
    OnAny,
    OnMessage,
    SessionState,
    decode_frame,
)
from flowrt.node import Node
from flowrt.peers.outbox import unpack
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.transport import Receiver
from tests.programs.machine import load
from tests.protocol.following import ANOTHER, THROWS, NotPlayable, Play, follow
from tests.protocol.tree import Pair

LEFT, RIGHT = "alice", "bob"
SIDES = (LEFT, RIGHT)
START = 1_000_000_000_000_000
SECOND = 1_000_000
MICROSECOND = datetime.timedelta(microseconds=1)
MOST_TURNS = 3_000
BUSY = 12


class Wrong(AssertionError):
    """It went otherwise than was said."""


def loaded(modules: Sequence[Module]) -> list[ModuleType]:
    """The generated Python of a pair."""
    return [load(codegen.generate(one), f"{one.module}_flow") for one in modules]


class _Net:
    """Holds back letters, by party and session; all else arrives at once."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, bytes], deque[tuple[str, bytes, bool]]] = {}
        self.said: dict[tuple[str, bytes], int] = {}
        self.names: dict[tuple[str, bytes], list[str]] = {}
        self.invited: dict[bytes, str] = {}
        self.opened: dict[bytes, str] = {}
        self._now: deque[tuple[str, str, bytes]] = deque()
        self._receivers: dict[str, Receiver] = {}
        self._seen: set[tuple[str, str, bytes]] = set()

    def join(self, party: str, receive: Receiver) -> _Place:
        self._receivers[party] = receive
        return _Place(self, party)

    def post(self, sender: str, receiver: str, data: bytes) -> None:
        packet = unpack(data)
        assert packet is not None
        # Not the whole packet: sent again it bears a later mark of its store.
        written = packet[1]
        frame = decode_frame(written)
        if not isinstance(frame, Invite | Letter):
            self._now.append((sender, receiver, data))
            return
        if (sender, receiver, written) in self._seen:
            return  # It is sent again because its time has come: it is still on its way.
        self._seen.add((sender, receiver, written))
        if isinstance(frame, Invite):
            self.invited[frame.secret] = receiver
            self.opened[frame.secret] = frame.flow.rpartition(".")[2]
        content = frame.content if isinstance(frame, Letter) else frame.first
        if isinstance(frame, Letter) and type(content).__name__ in ("Data", "End", "Failure"):
            key = receiver, frame.secret
            is_data = isinstance(content, Data)
            self.said[key] = self.said.get(key, 0) + is_data
            if isinstance(content, Data):
                self.names.setdefault(key, []).append(content.name)
            self.held.setdefault(key, deque()).append((sender, data, is_data))
        else:
            self._now.append((sender, receiver, data))

    def pump(self) -> bool:
        moved = bool(self._now)
        while self._now:
            sender, receiver, data = self._now.popleft()
            self._receivers[receiver](sender, data)
        return moved

    def waiting(self) -> list[tuple[str, bytes]]:
        return [key for key, letters in self.held.items() if letters]

    def deliver(self, key: tuple[str, bytes]) -> None:
        sender, data, _ = self.held[key].popleft()
        self._receivers[key[0]](sender, data)


class _Place:
    def __init__(self, net: _Net, party: str) -> None:
        self._net = net
        self._party = party

    def send(self, peer: str, data: bytes) -> None:
        self._net.post(self._party, peer, data)

    def close(self) -> None:
        pass


class _Another(FlowError):
    """what no flow of a pair names"""

    wire = "test.Another"


class Desk:
    """Answers as it is told."""

    def __init__(
        self, party: str, answer: Callable[[str, int], Any], error: type[FlowError]
    ) -> None:
        self._party = party
        self._answer = answer
        self._error = error

    def says(self, tx: Any, site: int) -> bool:
        found = self._answer(self._party, site)
        if found == THROWS:
            raise self._error
        if found == ANOTHER:
            raise _Another
        return bool(found)


class Stage:
    """Two parties, or with a group one more, on which the flows of a pair run."""

    def __init__(
        self,
        pair: Pair,
        modules: Sequence[ModuleType],
        answer: Callable[[str, int], bool],
        members: int = 1,
    ) -> None:
        self.net = _Net()
        self.now = dict.fromkeys((LEFT, RIGHT, "carol")[: 1 + members], START)
        self.disks = {party: MemoryDisk() for party in self.now}
        self.wakes = True
        # Whose node takes its turns only when it is told to.
        self.slow = ""
        self.thrown: list[tuple[str, str]] = []
        self.threw: list[tuple[str, str, set[bytes]]] = []
        self.read: dict[tuple[str, bytes], int] = {}
        self.names: dict[tuple[str, bytes], list[str]] = {}
        self._touched: set[bytes] = set()
        self.nodes: dict[str, Node] = {}
        self._pair = pair
        self._main = vars(modules[-1])["Left_v1"]
        error = vars(modules[0])["Oops"]
        asks = any(getattr(kind, "services", ()) for kind in vars(modules[-1]).values())
        for party in self.now:
            self.nodes[party] = Node.create(
                party,
                store=MemoryStore(self.disks[party]),
                network=self.net,
                modules=modules[-1:],
                services={"Desk": Desk(party, answer, error)} if asks else {},
                clock=lambda party=party: self.now[party],
                key=party.encode().ljust(32, b"."),
            )

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Notes what receives throw, and what is read."""
        with contextlib.ExitStack() as stack:
            for name in ("received", "received_each", "chosen"):
                stack.enter_context(mock.patch.object(Incoming, name, self._noting(name)))
            real = sessions.read

            def read(session: SessionState) -> object:
                content = real(session)
                self._touched.add(session.secret)
                if isinstance(content, Data):
                    other = self._owner(session)
                    self.read[other] = self.read.get(other, 0) + 1
                    self.names.setdefault(other, []).append(content.name)
                return content

            stack.enter_context(mock.patch.object(sessions, "read", read))
            yield

    def _owner(self, session: SessionState) -> tuple[str, bytes]:
        party = self.net.invited[session.secret] if session.peer == LEFT else LEFT
        return party, session.secret

    def _noting(self, name: str) -> Callable[..., Any]:
        real = getattr(Incoming, name)
        thrown = self.thrown

        def noted(incoming: Incoming, *arguments: Any) -> Any:
            checkpoint = incoming._checkpoint
            waited = incoming._waited.sessions if incoming._waited is not None else ()
            given = incoming._given
            self._touched = set() if given is None or given[0] is None else {given[0].secret}
            try:
                return real(incoming, *arguments)
            except FlowError as error:
                name, what = checkpoint.frames[0].flow.rpartition(".")[2], type(error).__name__
                thrown.append((name, what))
                # Where none was read, what is waited for was over before.
                about = self._touched or {
                    one.secret for one in checkpoint.sessions if one.id in waited
                }
                for secret in about:
                    peers = {one.peer for one in checkpoint.sessions if one.secret == secret}
                    party = self.net.invited.get(secret, "") if peers == {LEFT} else LEFT
                    self.threw.append((party, what, {secret}))
                raise

        return noted

    def start(self, *, backwards: bool = False, refused: bool = False) -> None:
        """The first flow begins; with its peers `backwards`, the last of whom has no time for it
        where it is `refused`."""
        if self._pair.group:
            peers = tuple(RuntimeParty(party) for party in self.now if party != LEFT)
            if refused:
                self.nodes[peers[-1].name].submit_draining(True, by="an operator")
                self.settle()
            if backwards:
                peers = peers[::-1]
                self.nodes = dict(reversed(self.nodes.items()))
            self.nodes[LEFT].submit(self._main, peers=peers)
            if self.slow == LEFT:
                # It has others to serve, which have no peers.
                for _ in range(BUSY):
                    self.nodes[LEFT].submit(self._main, peers=())
        else:
            self.nodes[LEFT].submit(self._main, peer=RuntimeParty(RIGHT))
        self.settle()

    def settle(self) -> None:
        """Until nothing moves by itself. Who sleeps is waked."""
        for _ in range(MOST_TURNS):
            moved = self.net.pump()
            for party, node in self.nodes.items():
                if party == self.slow:
                    continue
                due = node.next_due()
                if due is not None and due <= self.now[party]:
                    moved = node.turn() or moved
                elif self.wakes and self._sleeps(node):
                    self.now[party] += SECOND
                    moved = True
            if not moved:
                return
        raise TooLong

    @staticmethod
    def _sleeps(node: Node) -> bool:
        return any(view.waits == "time" for view in node.flows())

    def late(self, party: str) -> None:
        """The time of whatever waits there is over."""
        dues = [view.due for view in self.nodes[party].flows() if view.due is not None]
        if not dues:
            raise Wrong(f"nothing that {party} waits for has a deadline: {self.flows()}")
        micros = (min(dues) - datetime.datetime.fromtimestamp(0, datetime.UTC)) / MICROSECOND
        self.now[party] = max(self.now[party], int(micros))
        self.settle()

    def deliver(self, key: tuple[str, bytes]) -> None:
        self.net.deliver(key)
        self.settle()

    def slip(self, key: tuple[str, bytes]) -> None:
        """A letter arrives, and something else before the node looks at it."""
        self.net.deliver(key)

    def is_ready(self, party: str) -> bool:
        """Whether a node has something to do."""
        due = self.nodes[party].next_due()
        return due is not None and due <= self.now[party]

    def step(self, party: str) -> None:
        """A slow node takes one event: a flow's, if one can go on."""
        self.nodes[party].turn(1)
        self.settle()

    def take(self, party: str) -> None:
        """A slow node takes what has arrived first, and lets one flow go on."""
        self.nodes[party].turn(2)
        self.settle()

    def wake(self, party: str) -> None:
        """Who sleeps there has slept enough."""
        self.now[party] += SECOND
        self.settle()

    def sleeping(self) -> list[str]:
        return [party for party, node in self.nodes.items() if self._sleeps(node)]

    def is_limited(self, party: str) -> bool:
        """Whether time can be over for something that waits there."""
        return any(
            view.due is not None and view.waits != "time" for view in self.nodes[party].flows()
        )

    def kill(self, party: str) -> None:
        """An operator there ends all flows."""
        for view in self.nodes[party].flows():
            self.nodes[party].submit_kill(view.id, by="an operator", reason="a test")
        self.settle()

    def _resting(self, party: str) -> Iterator[Checkpoint]:
        node = self.nodes[party]
        for data, _ in self.disks[party].flows.values():
            yield node.registry.checkpoint(data)

    def is_over(self, party: str, secret: bytes) -> bool:
        """Whether no flow there will read any more of a session."""
        return not any(
            session.secret == secret and not session.closed
            for checkpoint in self._resting(party)
            if checkpoint.frames
            for session in checkpoint.sessions
        )

    def rests_on(self, party: str, secret: bytes) -> bool:
        """Whether a flow there waits for a message of a session, and for nothing else."""
        for checkpoint in self._resting(party):
            waiting = checkpoint.waiting
            numbers = {one.id for one in checkpoint.sessions if one.secret == secret}
            if isinstance(waiting, OnMessage) and waiting.session in numbers:
                return True
            if isinstance(waiting, OnAny) and numbers & set(waiting.sessions):
                return not waiting.due_us
        return False

    def failed(self) -> set[tuple[str, str]]:
        """Who ended with which error."""
        return {
            (party, error or "")
            for party, disk in self.disks.items()
            for _, error, _ in disk.outcomes.values()
        }

    def flows(self) -> dict[str, str]:
        """How each flow ended: its error, "" if none; of one that did not, the state."""
        found = {}
        for party, disk in self.disks.items():
            for flow, error, _ in disk.outcomes.values():
                found[f"{party} {flow.rpartition('.')[2]}"] = error or ""
            for view in self.nodes[party].flows():
                what = "hospital" if view.in_hospital else f"rests in {view.state}"
                found[f"{party} {view.flow.rpartition('.')[2]}"] = what
        return found

    def unread(self, party: str) -> int:
        """Messages to a party that no flow of it read."""
        return sum(
            count - self.read.get(key, 0) for key, count in self.net.said.items() if key[0] == party
        )


class TooLong(Exception):
    """The flows go on and on."""


# --- the run of a misfit --------------------------------------------------------------------------


def replay(pair: Pair, modules: Sequence[ModuleType], misfit: Misfit) -> str:
    """Play the run of a misfit; what it ended in. Raises Wrong, following.NotPlayable."""
    play = follow(pair, misfit)
    answers = {party: list(play.answers[side]) for side, party in enumerate(SIDES)}

    def answer(party: str, site: int) -> Any:
        if not answers[party]:
            return False
        wanted, cell = answers[party][0]
        if wanted != site:
            raise Wrong(f"{party} asks at {site}, not at {wanted}")
        del answers[party][0]
        return cell.value if cell.value is not None else False

    stage = Stage(pair, modules, answer)
    with stage.watched():
        stage.start()
        _act(stage, play)
        for _ in range(300):
            waiting = stage.net.waiting()
            if not waiting:
                break
            stage.deliver(waiting[0])
    late = sum(what == "late" for _, what in play.acts)
    if sum(error == "Timeout" for _, error in stage.thrown) > late:
        raise NotPlayable("a deadline over several waits stays over")
    return _claimed(stage, misfit)


def _act(stage: Stage, play: Play) -> None:
    for side, what in play.acts:
        party = SIDES[side]
        if what == "late":
            stage.late(party)
            continue
        keys = [key for key in stage.net.waiting() if key[0] == party]
        if not keys:
            raise Wrong(f"nothing is on its way to {party}: {stage.flows()}")
        stage.deliver(keys[0])


def _claimed(stage: Stage, misfit: Misfit) -> str:
    """The failure, if it is the one that is claimed."""
    name = ("Left_v1", "Right0_v1")[misfit.side]
    flows = stage.flows()
    thrown = {error for flow, error in stage.thrown if flow == name}
    if misfit.code in ("P201", "P202", "P210") and "UnexpectedMessage" in thrown:
        return "a message was not taken"
    if misfit.code == "P203" and "SessionEnded" in thrown:
        return "the other side had ended"
    if misfit.code == "P204":
        if stage.unread(SIDES[misfit.side]):
            return "nobody read it"
        if any(error == "SessionEnded" for error in flows.values()):
            return "the sender heard of the end first"
    if misfit.code == "P205" and len([w for w in flows.values() if w.startswith("rests")]) == 2:
        return "both wait"
    raise Wrong(f"{misfit.code} was claimed at {name}; {flows}, thrown {stage.thrown}")


# --- random schedules -----------------------------------------------------------------------------


def schedule(pair: Pair, modules: Sequence[ModuleType], text: str, seed: int) -> bool:
    """Run a pair that fits, in a random order. False if it was not seen to the end. Raises Wrong
    where that goes wrong."""
    draw = random.Random(seed)
    calls = 0

    def answer(party: str, site: int) -> Any:
        nonlocal calls
        calls += 1
        return calls < 40 and draw.random() < 0.5

    members = draw.choice((1, 2)) if pair.group else 1
    stage = Stage(pair, modules, answer, members)
    with stage.watched():
        try:
            stage.start()
            for _ in range(150):
                choices: list[tuple[Callable[..., None], Any]] = [
                    (stage.deliver, key) for key in stage.net.waiting()
                ]
                is_timed = [party for party in stage.nodes if _is_limited(stage.nodes[party])]
                if not choices or draw.random() < 0.15:
                    choices += [(stage.late, party) for party in is_timed]
                if not choices:
                    break
                do, what = draw.choice(choices)
                do(what)
            else:
                return False
        except TooLong:
            return False
    _went_well(stage, text)
    return True


def _is_limited(node: Node) -> bool:
    return any(view.due is not None for view in node.flows())


def _went_well(stage: Stage, text: str) -> None:
    flows = stage.flows()
    story = f"{flows}, thrown {stage.thrown}"
    if any(error == "UnexpectedMessage" for _, error in stage.thrown):
        raise Wrong(f"a message was not taken: {story}")
    for flow, how in flows.items():
        if how.startswith("rests") or how == "hospital":
            raise Wrong(f"{flow} {how}: {story}")
        if how == "UnexpectedMessage":
            raise Wrong(story)
        name = flow.partition(" ")[2]
        # Who goes on after the other side has failed finds the session ended.
        if (
            set(flows.values()) <= {"", "SessionEnded"}
            and how == "SessionEnded"
            and (name, how) in stage.thrown
            and "close" not in text
        ):
            raise Wrong(f"the other side had ended: {story}")
    if "close" in text or "discard" in text or any(flows.values()):
        return
    for party in stage.nodes:
        if stage.unread(party):
            raise Wrong(f"{party} left {stage.unread(party)} messages unread: {story}")
