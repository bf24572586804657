"""docs/sessions.md says what becomes of every message in every state; so does the node.

The page's tables are the source: each of their cells is played on a node, and none may be missing.
"""

from __future__ import annotations

import itertools
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from flowrt.core.flow import Party
from flowrt.core.lineage import Lineage
from flowrt.core.session import INVITED, OPEN, OVER, WINDOW
from flowrt.core.values import (
    DRAINING,
    NO_RESPONDER,
    QUOTA,
    UNKNOWN_FLOW,
    VERSION,
    Ack,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Frame,
    Invite,
    Letter,
    Reject,
    SessionState,
    decode_frame,
    encode,
)
from flowrt.handle import NodeStopped
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.peers.outbox import frame_of, packed_ack
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import compiled

PAGE = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text()

PROGRAM = """
message Word:
    text: Text

flow Talk(other: Party, waits: Bool, closes: Bool) -> Text:
    startable by rpc
    open Reply with other as s
    if waits:
        sleep 1s
    if closes:
        close s
        sleep 10d
        return "slept"
    try:
        receive word: Word from s unchecked
        log info word.text
        return "reads"
    catch SessionEnded:
        if waits:
            throw SessionEnded("over")
    sleep 10d
    return "slept"

flow Reply():
    responds to Talk as s
    receive word: Word from s unchecked
    log info word.text
"""

SECRET = bytes(range(16))
CONTENTS: dict[str, Content] = {
    "confirm": Confirm(70, 0, 1),
    "reject": Reject("no", "id"),
    "data": Data("WORD", encode(("hello",))),
    "end": End(),
    "error": Failure("x.Wrong", b"", "id"),
}
HOWS = ("in order", "repeated", "ahead", "too far ahead", "of another peer", "of another secret")
STATES = ("invited", "open", "open, elsewhere", "over", "closed early", "closed", "no flow")


class Cell(NamedTuple):
    message: str
    how: str
    state: str
    says: str


def table(head: str) -> list[list[str]]:
    """The rows of the page's table that begins with that cell."""
    found: list[list[str]] = []
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line.startswith(f"| {head} |"):
            found.append([cell.strip() for cell in line[1:-1].split("|")])
            next(lines)
            for row in itertools.takewhile(lambda one: one.startswith("|"), lines):
                found.append([cell.strip() for cell in row[1:-1].split("|")])
    return found


PROGRAMS = compiled(PROGRAM)
WORD = Data(PROGRAMS.Word.wire, encode(PROGRAMS.Word(text="hello")))
CONTENTS["data"] = WORD


class Room:
    """Alice's node, one flow that talks with bob, who is played here; mallory is beside them."""

    def __init__(self, state: str, **options: Any) -> None:
        self.now_us = 1_800_000_000_000_000
        self.network = MemoryNetwork()
        self.heard: list[tuple[str, Frame]] = []
        for peer in ("bob", "mallory"):
            self.network.join(peer, lambda _, data, peer=peer: self._hear(peer, data))
        self.disk = MemoryDisk()
        self.node = Node.create(
            "alice",
            store=MemoryStore(self.disk),
            network=self.network,
            modules=[PROGRAMS],
            clock=lambda: self.now_us,
            key=bytes(32),
            reload=True,
            **options,
        )
        self._rows = itertools.count(1)
        self.flow_id, self.number, self.secret, self.expected = 1, 0, bytes(16), 0
        if state == "answers":
            self._is_invited()
        elif state != "alone":
            self._invites(state)

    def _invites(self, state: str) -> None:
        """A flow of alice's that has invited bob, or more."""
        flags = {
            "invited": (False, False),
            "open": (False, False),
            "busy": (True, False),
            "over": (False, False),
            "closed early": (False, True),
            "closed": (True, True),
            "no flow": (False, False),
        }[state]
        self.node.submit(PROGRAMS.Talk_v1, other=Party("bob"), waits=flags[0], closes=flags[1])
        self.run()
        [invitation] = [frame for _, frame in self.heard if isinstance(frame, Invite)]
        self.secret = invitation.secret
        if state not in ("invited", "closed early"):
            self.deliver(Confirm(70, 0, 1), 0)
            self.expected = 1
        if state == "over":
            self.deliver(End(), 1)
            self.expected = 2
        if state == "closed":
            self.now_us += 2_000_000
            self.run()
        if state == "no flow":
            self.deliver(WORD, 1)
            assert not self.disk.flows
        self.heard.clear()

    def _is_invited(self) -> None:
        """A flow of alice's that bob has invited."""
        self.secret = bytes(range(16))
        name = PROGRAMS.Reply_v1.name
        asked = Invite(0, b"bobsbobs", name, PROGRAMS.Talk_v1.name, 1, 70, 0, self.secret, None)
        self.packet("bob", asked)
        self.expected = 1
        self.heard.clear()

    def _hear(self, peer: str, data: bytes) -> None:
        self.heard.append((peer, decode_frame(frame_of(data))))

    def packet(self, peer: str, frame: Frame) -> int:
        row = next(self._rows)
        self.network._send(peer, "alice", struct.pack(">Q", row) + encode(frame))
        self.run()
        return row

    def run(self) -> None:
        while self.network.pump() or self.node.turn():
            pass

    def deliver(self, content: Content, seq: int, peer: str = "bob", secret: bytes = b"") -> int:
        return self.packet(
            peer, Letter(self.flow_id, self.number, secret or self.secret, seq, content)
        )

    def session(self) -> SessionState | None:
        row = self.disk.flows.get(self.flow_id)
        if row is None:
            return None
        found = self.node.registry.checkpoint(row[0]).sessions
        return found[0] if found else None

    def comes(self, message: str, how: str) -> str:
        """What becomes of a message, in the words of the page."""
        before, was = self.disk.flows.get(self.flow_id), self.session()
        seq = self.expected + {"repeated": -1, "ahead": 5, "too far ahead": WINDOW}.get(how, 0)
        peer = "mallory" if how == "of another peer" else "bob"
        secret = bytes(15) + b"x" if how == "of another secret" else b""
        self.heard.clear()
        row = self.deliver(CONTENTS[message], seq, peer, secret)
        told = [(to, frame) for to, frame in self.heard if not isinstance(frame, Ack)]
        assert all(to == "bob" for to, _ in told), "what is answered is for the peer alone"
        acked = [n for to, f in self.heard if isinstance(f, Ack) and to == peer for n in f.ids]
        after, now = self.disk.flows.get(self.flow_id), self.session()
        if row not in acked:
            assert (before, told) == (after, [])
            return "refused"
        says = [type(f.content).__name__ for _, f in told if isinstance(f, Letter)]
        if before == after:
            assert not says
            return "dropped"
        ended = self.disk.outcomes.get(self.flow_id)
        if ended is not None:
            return f"throws {ended[1]}" if ended[1] else "read"
        if "End" in says:
            return "opens, and says its end"
        if was is not None and was.status == INVITED and now is not None and now.status == OPEN:
            return "opens"
        if now is not None and was is not None and len(now.inbox) > len(was.inbox):
            return "kept"
        if now is not None and now.status == OVER:
            return "throws SessionEnded"
        return "counted" if now is not None else "forgets the session"


# --- letters -------------------------------------------------------------------------------------


ROOMS = {"open": ("open", "answers"), "open, elsewhere": ("busy",)}
"""How a state of the page is brought about, if not by its own name."""


def cells() -> list[Cell]:
    head, *rows = table("message")
    return [
        Cell(message, row[1], state, says)
        for row in rows
        for message in row[0].split(", ")
        for state, says in zip(head[2:], row[2:], strict=True)
    ]


def test_every_pair_is_decided_once() -> None:
    pairs = [cell[:3] for cell in cells()]
    assert sorted(pairs) == sorted(itertools.product(CONTENTS, HOWS, STATES))
    words = {row[0] for row in table("what becomes of it")[1:]}
    said = {re.sub("throws .*", "throws …", cell.says) for cell in cells()}
    assert said - {"—"} == words
    assert [row[0] for row in table("state")[1:]] == list(STATES)
    assert [row[0] for row in table("how it arrives")[1:]] == list(HOWS)


@pytest.mark.parametrize("message", CONTENTS)
def test_every_letter_in_every_state(message: str) -> None:
    for cell in cells():
        if cell.message != message or cell.says == "—":
            continue
        for state in ROOMS.get(cell.state, (cell.state,)):
            room = Room(state)
            assert room.comes(cell.message, cell.how) == cell.says, (cell, state)


def test_what_a_dash_says_cannot_be() -> None:
    for cell in cells():
        if cell.says == "—":
            assert cell.how == "repeated"
            assert Room(cell.state).expected == 0


# --- invitations and acknowledgements ------------------------------------------------------------


REPLY = PROGRAMS.Reply_v1.name
TALK = PROGRAMS.Talk_v1.name
INVITATION = Invite(0, b"bobsbobs", REPLY, TALK, 1, 70, 0, SECRET, None)


def like(**changes: Any) -> Invite:
    return msgspec.structs.replace(INVITATION, **changes)


def _many_are_there(room: Room) -> Invite:
    room.packet("bob", like(number=2))
    room.packet("bob", like(number=3))
    return like(number=4)


def _is_repeated(room: Room) -> Invite:
    room.packet("bob", INVITATION)
    return INVITATION


def _is_otherwise(room: Room) -> Invite:
    room.packet("bob", INVITATION)
    return like(first=WORD, secret=bytes(16), from_flow=71)


def _drains(room: Room) -> Invite:
    room.node.submit_draining(True, by="ann")
    room.run()
    return INVITATION


def _too_soon(room: Room) -> Invite:
    for number in range(6):
        room.packet("bob", like(number=number, flow="nothing.AtAll"))
    return like(number=6)


def _nothing_is_acknowledged(room: Room) -> Invite:
    for number in range(8):
        room.packet("bob", like(number=number, flow="nothing.AtAll"))
    return like(number=8)


def _is_unread(room: Room) -> Invite:
    room.packet("bob", like(number=7))
    for ahead in (3, 4, 5):
        room.packet("bob", Letter(1, 0, SECRET, ahead, WORD))
    return like(first=WORD)


def _is_crowded(room: Room) -> Invite:
    room.packet("bob", like(number=7))
    room.packet("bob", like(number=8))
    return INVITATION


NOTHING = "nothing: it comes again"
INVITATIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "new": (INVITATION, {}),
    "new, with a first message": (like(first=WORD), {}),
    "repeated": (_is_repeated, {}),
    "repeated number, other contents": (_is_otherwise, {}),
    "later than one that is missing": (like(number=5), {}),
    "4096 later ones are there, and it is not the missing one": (_many_are_there, {}),
    "of a flow that is not here": (like(flow="nothing.AtAll"), {}),
    "of something that is no flow": (like(flow=PROGRAMS.Word.wire), {}),
    "of a flow that responds to nobody": (like(flow=TALK), {}),
    "of a flow that responds to another": (like(initiator="nothing.AtAll"), {}),
    "from a version that is not accepted": (INVITATION, {"accepts": {TALK: (2, 3)}}),
    "of a peer with as many sessions as it may have": (
        _is_crowded,
        {"limits": Limits(sessions=2)},
    ),
    "to a node that drains": (_drains, {}),
    "too soon after too many": (
        _too_soon,
        {"limits": Limits(invitations_at_once=6, invitations_per_s=1)},
    ),
    "of a peer who does not acknowledge what waits for it": (
        _nothing_is_acknowledged,
        {"limits": Limits(window=8)},
    ),
    "with a first message, of a peer whose messages nobody reads": (
        _is_unread,
        {"limits": Limits(unread=3)},
    ),
    "that cannot be read": (like(number=-1), {}),
}
KINDS = {
    UNKNOWN_FLOW: "rejected: unknown flow",
    NO_RESPONDER: "rejected: no responder",
    VERSION: "rejected: version, with those that are",
    QUOTA: "rejected: quota",
    DRAINING: "rejected: draining",
}


@pytest.mark.parametrize("name", INVITATIONS)
def test_every_invitation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrt.core.session.AHEAD", 2)
    made, options = INVITATIONS[name]
    room = Room("alone", **options)
    invitation = made(room) if callable(made) else made
    flows, known = set(room.disk.flows), room.disk.peers.get("bob")
    room.heard.clear()
    row = room.packet("bob", invitation)
    acked = any(isinstance(f, Ack) and row in f.ids for _, f in room.heard)
    letters = [f for _, f in room.heard if isinstance(f, Letter)]
    # The one that waits for the flow's end is not acknowledged by bob; nothing else is said.
    said = [letter.content for letter in letters if letter.to_flow == invitation.from_flow]
    started = set(room.disk.flows) - flows
    found = [entry for entry in room.disk.outcomes if entry not in flows]
    if started or found:
        [confirm] = [one for one in said if isinstance(one, Confirm)]
        assert confirm.version == PROGRAMS.Reply_v1.version
        word = "the responder's newest version starts; its confirmation carries its version"
        if invitation.number:
            word = "as a new one"
        if invitation.first is not None:
            word = "the same, and the message is in its inbox"
    elif said:
        [reject] = said
        assert isinstance(reject, Reject)
        assert reject.error_id
        assert reject.versions == ((2, 3) if reject.kind == VERSION else ())
        word = KINDS[reject.kind]
    else:
        assert acked or room.disk.peers.get("bob") == known
        word = "nothing" if acked or name == "that cannot be read" else NOTHING
    page = {row[0]: row[1:] for row in table("invitation")[1:]}
    assert page[name] == ["yes" if acked else "no", word]


def test_every_invitation_of_the_page_is_played() -> None:
    assert [row[0] for row in table("invitation")[1:]] == list(INVITATIONS)


def test_every_acknowledgement() -> None:
    room = Room("invited")
    [number] = room.disk.outbox
    page = {row[0]: row[1] for row in table("acknowledgement")[1:]}
    gone, nothing = "the row is deleted with the next commit", "nothing"
    cases = {
        "of a row that never was": ("bob", number + 1000, nothing),
        "of a row that went to another peer": ("mallory", number, nothing),
        "of a row that went to this peer": ("bob", number, gone),
        "the same again": ("bob", number, nothing),
    }
    for name, (peer, row, word) in cases.items():
        before = dict(room.disk.outbox)
        room.network._send(peer, "alice", packed_ack([row]))
        room.run()
        changed = room.disk.outbox != before
        assert (changed, page[name]) == (word == gone, word), name
    back = (
        "the store has gone back: nothing is deleted, and the node refuses to go on, as with Recall"
    )
    other = "nothing: it is of a store that was before this one"
    room = Room("invited")
    marks = {
        "with a mark that the store does not know": (Lineage(bytes(16), [(bytes(5), 0)]), other),
        "with a mark that is ahead of the store": (room.node._lineage, back),
    }
    for name, (lineage, word) in marks.items():
        before = dict(room.disk.outbox)
        assert list(before) == [number]
        room.network._send("bob", "alice", packed_ack([number], held=lineage.mark(1000)))
        if word == other:
            room.run()
        else:
            with pytest.raises(NodeStopped, match="bob knows of commits"):
                room.run()
        assert (room.disk.outbox, page[name]) == (before, word), name
    assert set(page) == {*cases, *marks}
