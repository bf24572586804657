"""A store that was restored from an older backup: by itself, by its peers, and what comes then."""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowrt.core.flow import Party, SessionRejected, UnexpectedFlowEnd
from flowrt.core.lineage import LATER, LIVES, OWN, STRANGE, Lineage, life_after, life_of
from flowrt.core.values import Ack, Confirm, Letter, decode_frame, is_invitation
from flowrt.handle import NodeStopped
from flowrt.node import Node
from flowrt.peers.outbox import frame_of
from flowrt.store import Batch, RestoredFromBackup, Store, StoreError
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from flowrt.turn import Turn
from tests.runtime.written import compiled

PROGRAM = compiled("""
message Ask:
    number: Int
    left: Int
message Answer:
    number: Int

flow Asks(other: Party, times: Int) -> Int:
    startable by rpc
    var sum = 0
    var asked = 0
    open Answers with other as line
    while asked < times:
        send Ask(asked, times - asked - 1) to line then receive answer: Answer from line:
            require answer.number >= 0 else Unfair()
        sum = sum + answer.number
        asked = asked + 1
        sleep 1s
    return sum

error Unfair: "no"

service Outside:
    external pay(amount: Int) -> Int

flow Pays() -> Int:
    startable by rpc
    let first = await Outside.pay(1)
    let second = await Outside.pay(2)
    return first + second

flow Answers() -> Int:
    responds to Asks as line
    var sum = 0
    var left = 1
    while left > 0:
        receive asked: Ask from line:
            require asked.number >= 0 else Unfair()
            require asked.left >= 0 else Unfair()
        left = asked.left
        sum = sum + asked.number
        send Answer(asked.number) to line
    return sum
""")

ALICE, BOB = "alice", "bob"


class Outside:
    """What a key was used for, in order; it works as soon as it `is_there`."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.is_there = False

    def pay(self, key: str, amount: int) -> int:
        self.keys.append(key)
        if not self.is_there:
            raise ConnectionError("nobody is there")
        return amount


class Parties:
    """Two parties with stores that can go back."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.network = MemoryNetwork()
        self.outside = Outside()
        self.now_us = 1_800_000_000_000_000
        self.disks = {party: MemoryDisk() for party in (ALICE, BOB)}
        self.nodes: dict[str, Node] = {}
        for party in self.disks:
            self.open(party)

    def store(self, party: str) -> Store:
        if self.folder is None:
            return MemoryStore(self.disks[party])
        return SqliteStore(self.folder / f"{party}.db")

    def open(self, party: str) -> Node:
        node = self.nodes[party] = Node.create(
            party,
            store=self.store(party),
            network=self.network,
            modules=[PROGRAM],
            services={"Outside": self.outside},
            clock=lambda: self.now_us,
            reload=True,
        )
        return node

    def close(self, party: str) -> None:
        self.nodes[party]._stop(NodeStopped("closed"))

    def back_up(self, party: str) -> object:
        """A copy of the store as it is now, taken while it is open."""
        if self.folder is None:
            return copy.deepcopy(self.disks[party])
        target = self.folder / "backup.db"
        target.unlink(missing_ok=True)
        store = self.nodes[party]._store
        assert isinstance(store, SqliteStore)
        store._open_db.execute("VACUUM INTO ?", (str(target),))
        return target

    def restore(self, party: str, backup: object, *, mark_too: bool) -> None:
        """Bring the backup back; `mark_too`: what stands beside the store is lost as well."""
        self.close(party)
        if isinstance(backup, MemoryDisk):
            backup.beside = None if mark_too else self.disks[party].beside
            self.disks[party] = backup
            return
        assert self.folder is not None
        path = self.folder / f"{party}.db"
        for end in ("-wal", "-shm", *(("-mark",) if mark_too else ())):
            Path(f"{path}{end}").unlink(missing_ok=True)
        shutil.copy(str(backup), path)

    def make_anew(self, party: str) -> None:
        """Lose its store, and all that stands beside it."""
        self.close(party)
        self.disks[party] = MemoryDisk()
        if self.folder is not None:
            for path in self.folder.glob(f"{party}.db*"):
                path.unlink()
        self.open(party)

    def run(self, seconds: int = 3) -> None:
        for _ in range(20 * seconds):
            for _ in range(50):
                moved = False
                for node in self.nodes.values():
                    due = node.next_due() if node._stopped is None else None
                    if due is not None and due <= self.now_us:
                        with contextlib.suppress(NodeStopped):
                            moved |= node.turn()
                if not (moved | bool(self.network.pump())):
                    break
            self.now_us += 50_000

    def finish(self) -> None:
        for party, node in self.nodes.items():
            if node._stopped is None:
                self.close(party)


@pytest.fixture(params=["memory", "sqlite"])
def parties(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parties]:
    made = Parties(tmp_path if request.param == "sqlite" else None)
    yield made
    made.finish()


def asks(parties: Parties, times: int = 10) -> int:
    flow_id = parties.nodes[ALICE].submit(PROGRAM.Asks_v1, other=Party(BOB), times=times).id
    parties.run()
    return flow_id


def test_who_opens_an_older_file_beside_a_newer_mark_is_refused(parties: Parties) -> None:
    asks(parties)
    backup = parties.back_up(ALICE)
    parties.run()
    parties.restore(ALICE, backup, mark_too=False)
    for _ in range(2):
        with pytest.raises(RestoredFromBackup, match=r"had committed \d+ batches, and holds"):
            parties.open(ALICE)


def test_a_file_of_before_the_last_opening_is_refused(parties: Parties) -> None:
    asks(parties)
    backup = parties.back_up(ALICE)
    parties.close(ALICE)
    parties.open(ALICE)
    parties.restore(ALICE, backup, mark_too=False)
    with pytest.raises(RestoredFromBackup, match="opened later than it knows"):
        parties.open(ALICE)


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_a_peer_that_knows_more_stops_who_went_back(parties: Parties, who: str) -> None:
    flow = asks(parties)
    backup = parties.back_up(who)
    parties.run()
    other = BOB if who == ALICE else ALICE
    known = told(parties, other, flow)
    parties.restore(who, backup, mark_too=True)
    node = parties.open(who)
    parties.run(seconds=8)
    with pytest.raises(NodeStopped, match=f"{other} knows of commits that it does not hold") as why:
        node.refuse_if_stopped()
    assert isinstance(why.value.__cause__, RestoredFromBackup)
    with pytest.raises(RestoredFromBackup, match=f"{other} knows of commits"):
        parties.open(who)
    assert told(parties, other, flow) == known, "nothing was taken from who went back"


def acknowledged(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """What bob acknowledges to alice from now on: the row, and the packet."""
    found: list[tuple[int, bytes]] = []
    send = parties.network._send

    def note(sender: str, receiver: str, data: bytes) -> None:
        frame = decode_frame(frame_of(data))
        if sender == BOB and isinstance(frame, Ack):
            found.extend((row, data) for row in frame.ids)
        send(sender, receiver, data)

    monkeypatch.setattr(parties.network, "_send", note)
    return found


def test_an_old_acknowledgement_does_not_delete_a_row_that_has_its_number_anew(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks(parties)
    backup = parties.back_up(ALICE)
    found = acknowledged(parties, monkeypatch)
    parties.run()
    parties.restore(ALICE, backup, mark_too=True)
    node = parties.open(ALICE)
    row = node._next_outbox
    [late] = [packet for number, packet in found if number == row]
    node.submit(PROGRAM.Asks_v1, other=Party(BOB), times=1)
    assert node.turn()
    assert row in {number for number, _, _ in node._store.outbox()}
    assert node._received(BOB, late)
    with pytest.raises(NodeStopped, match="bob knows of commits that it does not hold"):
        node.turn()
    with pytest.raises(RestoredFromBackup):
        parties.open(ALICE)


def test_an_acknowledgement_of_a_row_that_the_backup_holds_deletes_it(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = parties.nodes[ALICE]
    node.submit(PROGRAM.Asks_v1, other=Party(BOB), times=2)
    assert node.turn()
    [(row, _, _)] = node._store.outbox()
    backup = parties.back_up(ALICE)
    found = acknowledged(parties, monkeypatch)
    parties.network.pump()
    parties.nodes[BOB].turn()
    [late] = [packet for number, packet in found if number == row]
    parties.restore(ALICE, backup, mark_too=True)
    node = parties.open(ALICE)
    assert node._received(BOB, late)
    while node.turn():
        pass
    assert row not in {number for number, _, _ in node._store.outbox()}


def test_an_acknowledgement_tells_of_each_life_by_itself() -> None:
    lives = [Lineage(b"secret", [(life_after(epoch, b"it"), 0)]) for epoch in (1, 2)]
    turn = Turn(Batch(0, 1, 1))
    for lineage, count, row in ((0, 4, 5), (1, 7, 6), (0, 3, 4), (1, 9, 5)):
        turn.mark = lives[lineage].mark(count)
        turn.acknowledge(BOB, row)
    keys = [(BOB, life_of(lineage.mark(0))) for lineage in lives]
    assert turn.acks == dict(zip(keys, ([5, 4], [6, 5]), strict=True))
    assert turn.held == {keys[0]: lives[0].mark(4), keys[1]: lives[1].mark(9)}


def told(parties: Parties, party: str, flow: int) -> object:
    """What a party's flow has made of what it read."""
    dumped = parties.nodes[party].dump(flow if party == ALICE else 1)
    return dumped["frames"][0]["variables"]["sum_"]


def test_who_lost_nothing_that_others_know_goes_on(parties: Parties) -> None:
    flow = asks(parties)
    parties.restore(ALICE, parties.back_up(ALICE), mark_too=True)
    parties.open(ALICE)
    parties.run(seconds=20)
    assert parties.nodes[ALICE].handle(flow).result_now() == 45
    assert parties.nodes[BOB].flows() == []


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_an_accepted_restore_ends_the_sessions_on_both_sides(parties: Parties, who: str) -> None:
    flow = asks(parties)
    backup = parties.back_up(who)
    parties.run()
    parties.restore(who, backup, mark_too=False)
    with pytest.raises(RestoredFromBackup):
        parties.open(who)
    parties.store(who).accept_restore(who)
    node = parties.open(who)
    parties.run(seconds=20)
    with pytest.raises(UnexpectedFlowEnd):
        parties.nodes[ALICE].handle(flow).result_now()
    for party, one in parties.nodes.items():
        assert (one.flows(), one.patients(), len(one._outbox)) == ([], [], 0), party
    assert any(entry[2] == 101 for entry in entries(node))
    # And they talk anew, over restarts.
    again = asks(parties, 3)
    parties.close(who)
    parties.open(who)
    parties.run(seconds=20)
    assert parties.nodes[ALICE].handle(again).result_now() == 3
    assert parties.nodes[BOB].flows() == []


def packets(parties: Parties, party: str) -> list[bytes]:
    """All that reaches a party from now on."""
    place, heard = parties.network._places[party], []  # type: ignore[var-annotated]
    receive = place.receive

    def both(sender: str, data: bytes) -> None:
        heard.append(data)
        receive(sender, data)

    place.receive = both  # type: ignore[method-assign]
    return heard


@pytest.mark.parametrize("speaks", [True, False])
def test_a_late_invitation_of_a_peer_that_was_forgotten_begins_nothing(
    parties: Parties, speaks: bool
) -> None:
    backup = parties.back_up(BOB)
    heard = packets(parties, BOB)
    asks(parties, 2)
    [late, *_] = [data for data in heard if is_invitation(frame_of(data))]
    parties.restore(BOB, backup, mark_too=True)
    parties.store(BOB).accept_restore(BOB)
    bob = parties.open(BOB)
    if speaks:
        parties.nodes[ALICE].greet()
        parties.run()
    parties.nodes[ALICE]._transport.send(BOB, late)
    parties.run()
    assert (bob.flows(), parties.nodes[ALICE].flows()) == ([], [])
    again = asks(parties, 3)
    parties.run(seconds=10)
    assert parties.nodes[ALICE].handle(again).result_now() == 3


@pytest.mark.parametrize("knew", [True, False])
def test_two_who_both_went_back_talk_anew(parties: Parties, knew: bool) -> None:
    if knew:
        asks(parties, 1)
    backups = {}
    for party in (ALICE, BOB):
        backup = parties.back_up(party)
        if isinstance(backup, Path):
            backup = backup.rename(backup.with_name(f"{party}.backup"))
        backups[party] = backup
    asks(parties, 2)
    for party, backup in backups.items():
        parties.restore(party, backup, mark_too=True)
        parties.store(party).accept_restore(party)
    for party in backups:
        parties.open(party)
    parties.run(seconds=5)
    again = asks(parties, 3)
    parties.run(seconds=20)
    assert parties.nodes[ALICE].handle(again).result_now() == 3
    assert parties.nodes[BOB].flows() == []


def entries(node: Node) -> list[tuple[object, ...]]:
    import msgspec

    return [one for _, data in node._store.audit() for one in msgspec.msgpack.decode(data)]


def test_an_operation_under_way_keeps_its_key_and_later_ones_have_others(
    parties: Parties,
) -> None:
    flow = parties.nodes[ALICE].submit(PROGRAM.Pays_v1).id
    parties.run(seconds=2)
    backup = parties.back_up(ALICE)
    parties.run(seconds=2)
    parties.restore(ALICE, backup, mark_too=True)
    parties.store(ALICE).accept_restore(ALICE)
    parties.open(ALICE)
    parties.outside.is_there = True
    parties.run(seconds=10)
    assert parties.nodes[ALICE].handle(flow).result_now() == 3
    *before, first, second = parties.outside.keys
    assert set(before) == {first}, "what may have run is not done a second time"
    assert first.partition("-")[0] != second.partition("-")[0]


def test_a_store_that_was_made_anew_ends_the_sessions_of_the_old_one(parties: Parties) -> None:
    flow = asks(parties)
    parties.make_anew(BOB)
    parties.run(seconds=20)
    with pytest.raises((UnexpectedFlowEnd, SessionRejected)):
        parties.nodes[ALICE].handle(flow).result_now()
    again = asks(parties, 3)
    parties.run(seconds=10)
    assert parties.nodes[ALICE].handle(again).result_now() == 3


def test_an_invitation_that_waits_is_answered_by_the_new_store(parties: Parties) -> None:
    asks(parties, 1)
    parties.run()
    parties.close(BOB)
    flow = asks(parties, 3)
    parties.make_anew(BOB)
    parties.run(seconds=30)
    assert parties.nodes[ALICE].handle(flow).result_now() == 3
    assert parties.nodes[BOB].flows() == []


def test_an_invitation_that_the_old_store_has_answered_is_not_sent_to_the_new_one(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of the old one came; what confirms the session, and that it was asked, did not."""
    asks(parties, 1)
    parties.run()
    send, lost = parties.network._send, []

    def lose(sender: str, receiver: str, data: bytes) -> None:
        frame = decode_frame(frame_of(data))
        is_confirmed = isinstance(frame, Letter) and isinstance(frame.content, Confirm)
        if is_confirmed or (sender == BOB and isinstance(frame, Ack)):
            lost.append(data)
        else:
            send(sender, receiver, data)

    monkeypatch.setattr(parties.network, "_send", lose)
    flow = asks(parties, 3)
    parties.run(seconds=1)  # Past the moment at which it is asked again.
    assert lost
    monkeypatch.undo()
    parties.make_anew(BOB)
    new = parties.nodes[BOB].submit(PROGRAM.Asks_v1, other=Party(ALICE), times=2)
    parties.run(seconds=30)
    assert new.result_now() == 1
    with pytest.raises(SessionRejected, match="has lost what its store knew"):
        parties.nodes[ALICE].handle(flow).result_now()
    assert parties.nodes[BOB].flows() == [], "nobody was asked a second time"


def test_a_mark_that_nobody_made_stops_nobody(parties: Parties) -> None:
    flow = asks(parties)
    bob = parties.nodes[BOB]
    mark = bob._peers[ALICE].mark
    for place in range(len(mark)):
        forged = bytearray(mark)
        forged[place] ^= 1
        bob._transport.send(ALICE, said(bob, bytes(forged)))
    bob._transport.send(ALICE, said(bob, mark[:-1] + b"\xff\xff\xff"))
    parties.run(seconds=20)
    assert parties.nodes[ALICE].handle(flow).result_now() == 45


def said(node: Node, mark: bytes) -> bytes:
    from flowrt.core.values import Recall
    from flowrt.peers.outbox import packed_word

    return packed_word(Recall(mark), node._outbox.mark)


def test_a_mark_is_written_with_what_rests_on_it_and_not_alone(parties: Parties) -> None:
    asks(parties)
    bob = parties.nodes[BOB]
    commits = bob._commits
    alice = parties.nodes[ALICE]
    alice.greet()
    parties.network.pump()
    bob.turn()
    assert bob._commits == commits


def test_a_store_that_is_gone_beside_its_mark_is_not_made_anew(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "alice.db")
    store.open(ALICE)
    store.close()
    (tmp_path / "alice.db").unlink()
    with pytest.raises(StoreError, match=r"its mark alice\.db-mark is there: bring the file back"):
        store.open(ALICE)


def test_a_spoiled_mark_beside_a_store_says_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "alice.db")
    store.open(ALICE)
    store.commit(Batch(1, 2, 2))
    store.close()
    beside = tmp_path / "alice.db-mark"
    data = bytearray(beside.read_bytes())
    data[20] ^= 64
    beside.write_bytes(data)
    assert store.open(ALICE).commits == 1
    store.close()


def test_a_restore_is_accepted_only_of_a_closed_store_of_that_party(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "alice.db")
    with pytest.raises(StoreError, match="is not there"):
        store.accept_restore(ALICE)
    store.open(ALICE)
    with pytest.raises(StoreError, match="close its node first"):
        store.accept_restore(ALICE)
    store.close()
    with pytest.raises(StoreError, match="belongs to party alice"):
        store.accept_restore(BOB)


# --- marks ----------------------------------------------------------------------------------------


def lives(*began: int) -> list[tuple[bytes, int]]:
    return [(life_after(epoch, b"xx"), count) for epoch, count in enumerate(began, 1)]


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (lambda: Lineage(b"s", lives(0)).mark(9), OWN),
        (lambda: Lineage(b"s", lives(0)).mark(10), OWN),
        (lambda: Lineage(b"s", lives(0)).mark(11), LATER),
        (lambda: Lineage(b"s", lives(0, 10)).mark(20), OWN),
        (lambda: Lineage(b"s", lives(0, 10)).mark(21), LATER),
        (lambda: Lineage(b"s", lives(0, 10, 15)).mark(15), LATER),
        (lambda: Lineage(b"s", [(life_after(2, b"xy"), 0)]).mark(12), LATER),
        (lambda: Lineage(b"t", lives(0)).mark(9), STRANGE),
        (lambda: b"", STRANGE),
        (lambda: bytes(99), STRANGE),
    ],
)
def test_what_a_store_makes_of_a_mark(make: Callable[[], bytes], verdict: int) -> None:
    assert Lineage(b"s", lives(0, 10)).judge(make(), 20) == verdict


def test_of_a_life_that_is_forgotten_it_is_known_when_it_had_ended() -> None:
    old = Lineage(b"s", lives(0))
    many = [(life_after(epoch, b"xx"), 10 * epoch) for epoch in range(5, 5 + LIVES)]
    assert Lineage(b"s", many).judge(old.mark(50), 9_999) == OWN
    assert Lineage(b"s", many).judge(old.mark(51), 9_999) == LATER
    assert Lineage(b"s", many[1:]).judge(old.mark(1), 9_999) == LATER
