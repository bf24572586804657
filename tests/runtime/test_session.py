"""The session automaton: every state, every content, every number it can come with."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.core import session as sessions
from flowrt.core.session import (
    AHEAD,
    INCARNATIONS,
    NEW,
    OPEN,
    OVER,
    UNREAD,
    UNREAD_BYTES,
    WINDOW,
    Peer,
)
from flowrt.core.values import (
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Invite,
    Reject,
    SessionState,
    decode,
    encode,
)

SECRET = bytes(range(16))

CONTENTS: dict[str, Content] = {
    "confirm": Confirm(70, 3, 2),
    "data": Data("a.M", b"body"),
    "end": End(),
    "failure": Failure("a.E", b"", "id"),
    "reject": Reject("no", "id"),
}


def a_session(state: str) -> SessionState:
    """A session that is in that state; `expected` is 1 where something has come, else 0."""
    session = SessionState(4, "bob", SECRET, NEW, 0, 0, 0, 0)
    if state == "new":
        return session
    sessions.invite(session, 0, b"12345678", "a.B", "a.A", 1, 9)
    sessions.say(session, Data("a.M", b"waits"))
    if state == "invited":
        return session
    sessions.take(session, 0, Confirm(70, 3, 2))
    if state == "over":
        sessions.take(session, 1, End())
        sessions.read(session)
    if state == "closed":
        sessions.say(session, End())
        session.closed = True
    return session


def shape(session: SessionState) -> tuple[object, ...]:
    return (session.status, session.expected, list(session.inbox), list(session.unsent))


# --- the table -----------------------------------------------------------------------------------

NUMBERS = {"expected": 0, "repeated": -1, "ahead": 5, "last of the window": WINDOW - 1}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("state", ["new", "invited", "open", "over", "closed"])
def test_too_far_ahead_is_not_taken_and_changes_nothing(state: str, content: str) -> None:
    session = a_session(state)
    before = shape(session)
    for seq in (session.expected + WINDOW, session.expected + 10**6, 2**63 - 1):
        taken, freed = sessions.take(session, seq, CONTENTS[content])
        # What nobody will read any more may be forgotten, whatever its number.
        assert taken == (state == "over")
        assert freed == []
        assert shape(session) == before


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("state", ["open", "over", "closed"])
def test_what_was_taken_before_is_taken_again_and_changes_nothing(state: str, content: str) -> None:
    session = a_session(state)
    before = shape(session)
    assert sessions.take(session, session.expected - 1, CONTENTS[content]) == (True, [])
    assert shape(session) == before


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("state", ["new", "invited", "open", "closed"])
@pytest.mark.parametrize("ahead", [1, 5, WINDOW - 1])
def test_what_comes_early_is_kept_unread_and_once(state: str, content: str, ahead: int) -> None:
    session = a_session(state)
    before = shape(session)
    seq = session.expected + ahead
    assert sessions.take(session, seq, CONTENTS[content]) == (True, [])
    assert sessions.take(session, seq, CONTENTS[content]) == (True, [])
    assert sessions.head(session) is None
    assert session.inbox == [(seq, CONTENTS[content], 0)]
    assert shape(session)[:2] == before[:2]


@pytest.mark.parametrize("content", CONTENTS)
def test_nothing_is_kept_when_the_session_is_over(content: str) -> None:
    session = a_session("over")
    for ahead in (0, 1, 5):
        assert sessions.take(session, session.expected + ahead, CONTENTS[content]) == (True, [])
    assert session.inbox == []
    assert (session.status, session.expected) == (OVER, 2)


def test_expected_in_invited() -> None:
    session = a_session("invited")
    taken, freed = sessions.take(session, 0, CONTENTS["confirm"])
    assert taken
    assert (session.status, session.peer_flow, session.peer_session) == (OPEN, 70, 3)
    assert session.version == 2
    assert [(letter.seq, letter.content) for letter in freed] == [(1, Data("a.M", b"waits"))]
    assert (freed[0].to_flow, freed[0].to_session, freed[0].secret) == (70, 3, SECRET)
    assert session.unsent == []
    assert sessions.head(session) is None, "a confirmation is not for the flow to read"

    session = a_session("invited")
    assert sessions.take(session, 0, CONTENTS["reject"]) == (True, [])
    assert sessions.head(session) == CONTENTS["reject"]
    assert session.unsent == [], "nobody is there to be told"

    for content in ("data", "end", "failure"):
        session = a_session("invited")
        assert sessions.take(session, 0, CONTENTS[content]) == (True, [])
        refusal = sessions.head(session)
        assert type(refusal) is Reject, "a peer that breaks the protocol has rejected us"
        assert "neither" in refusal.reason
        assert session.unsent == []


@pytest.mark.parametrize("state", ["open", "closed"])
def test_expected_in_open(state: str) -> None:
    for content in ("data", "end", "failure", "reject"):
        session = a_session(state)
        assert sessions.take(session, 1, CONTENTS[content]) == (True, [])
        assert sessions.head(session) == CONTENTS[content]
        assert (session.status, session.expected) == (OPEN, 2)
    session = a_session(state)
    assert sessions.take(session, 1, Confirm(666, 6, 6)) == (True, [])
    assert sessions.head(session) is None
    assert (session.peer_flow, session.peer_session, session.version) == (70, 3, 2)
    assert session.expected == 2


@pytest.mark.parametrize("last", ["end", "failure", "reject"])
def test_after_the_peers_last_word_nothing_is_kept(last: str) -> None:
    session = a_session("open")
    sessions.take(session, 3, Data("a.M", b"behind it"))
    sessions.take(session, 1, Data("a.M", b"before it"))
    sessions.take(session, 2, CONTENTS[last])
    for seq in (3, 4, 60):
        assert sessions.take(session, seq, CONTENTS["data"]) == (True, [])
    held = [content for _, content, _ in session.inbox]
    assert held == [Data("a.M", b"before it"), CONTENTS[last]]
    assert sessions.read(session) == Data("a.M", b"before it")
    assert session.status == OPEN
    assert sessions.read(session) == CONTENTS[last]
    assert (session.status, session.inbox) == (OVER, [])


def test_a_last_word_that_came_early_waits_for_what_is_before_it() -> None:
    session = a_session("open")
    sessions.take(session, 2, End())
    assert sessions.head(session) is None
    sessions.take(session, 1, Data("a.M", b"first"))
    assert sessions.read(session) == Data("a.M", b"first")
    assert sessions.read(session) == End()


def test_data_that_overtook_the_confirmation_is_read_after_it() -> None:
    session = a_session("invited")
    assert sessions.take(session, 1, Data("a.M", b"fast")) == (True, [])
    assert sessions.head(session) is None
    taken, freed = sessions.take(session, 0, CONTENTS["confirm"])
    assert taken
    assert len(freed) == 1
    assert sessions.read(session) == Data("a.M", b"fast")


def test_who_may_speak() -> None:
    session = a_session("open")
    assert sessions.is_for(session, "bob", SECRET)
    assert not sessions.is_for(session, "mallory", SECRET)
    assert not sessions.is_for(session, "bob", bytes(16))
    assert not sessions.is_for(session, "bob", SECRET[:-1])
    assert not sessions.is_for(session, "bo", SECRET)


# --- our own direction ---------------------------------------------------------------------------


def test_the_first_message_goes_with_the_invitation_and_the_rest_waits() -> None:
    session = SessionState(4, "bob", SECRET, NEW, 0, 0, 0, 0)
    for word in (b"1", b"2", b"3"):
        assert sessions.say(session, Data("a.M", word)) is None
    sessions.say(session, End())
    invitation = sessions.invite(session, 7, b"12345678", "a.B", "a.A", 3, 9)
    assert invitation == Invite(7, b"12345678", "a.B", "a.A", 3, 9, 4, SECRET, Data("a.M", b"1"))
    assert sessions.say(session, Data("a.M", b"4")) is None
    _, freed = sessions.take(session, 0, Confirm(70, 3, 2))
    assert [letter.seq for letter in freed] == [1, 2, 3, 4]
    contents = [letter.content for letter in freed]
    assert contents == [Data("a.M", b"2"), Data("a.M", b"3"), End(), Data("a.M", b"4")]
    after = sessions.say(session, Data("a.M", b"5"))
    assert after is not None
    assert after.seq == 5


@pytest.mark.parametrize("content", [End(), Failure("E", b"", "id")])
def test_only_a_message_goes_with_the_invitation(content: Content) -> None:
    session = SessionState(4, "bob", SECRET, NEW, 0, 0, 0, 0)
    sessions.say(session, content)
    assert sessions.invite(session, 0, b"12345678", "a.B", "a.A", 1, 9).first is None
    assert session.unsent == [content]


def test_nothing_is_said_when_it_is_over() -> None:
    session = a_session("over")
    sent = session.sent
    assert sessions.say(session, End()) is None
    assert (session.sent, session.unsent) == (sent, [])


def test_the_responders_end_begins_with_the_first_message() -> None:
    invitation = Invite(0, b"12345678", "a.B", "a.A", 3, 9, 4, SECRET, Data("a.M", b"1"))
    session = sessions.accept(invitation, "alice", 0)
    assert sessions.is_for(session, "alice", SECRET)
    assert (session.peer_flow, session.peer_session, session.version) == (9, 4, 3)
    assert sessions.read(session) == Data("a.M", b"1")
    assert sessions.take(session, 0, Data("a.M", b"again")) == (True, [])
    sessions.take(session, 1, Data("a.M", b"2"))
    assert sessions.read(session) == Data("a.M", b"2")
    assert sessions.letter(session, End()).seq == 0


# --- any order, any repetition -------------------------------------------------------------------


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Content], list[int]]:
    """What a responder said, and the numbers as they arrive: everything at least once, in any
    order, nothing further ahead than the window until the rest has come."""
    count = draw(st.integers(0, 12))
    words: list[Content] = [Data("a.M", b"%d" % n) for n in range(count)]
    last = draw(st.sampled_from([End(), Failure("E", b"", "id"), None]))
    said = [Confirm(70, 3, 2), *words, *([last] if last else [])]
    numbers = list(range(len(said)))
    order = draw(st.permutations(numbers + draw(st.lists(st.sampled_from(numbers), max_size=20))))
    return said, order


@given(arrivals(), st.randoms())
def test_any_order_and_any_repetition_delivers_exactly_what_was_said(
    stream: tuple[list[Content], list[int]], chance: random.Random
) -> None:
    said, order = stream
    session = a_session("invited")
    got: list[Content] = []
    freed = []
    for number in order:
        taken, letters = sessions.take(session, number, said[number])
        assert taken
        freed += letters
        if chance.random() < 0.5 and sessions.head(session) is not None:
            got.append(sessions.read(session))
        session = decode(SessionState, encode(session))
    while sessions.head(session) is not None:
        got.append(sessions.read(session))
    assert got == said[1:]
    assert len(freed) == 1
    assert session.inbox == []


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(WINDOW, 400))
def test_a_stream_longer_than_the_window_comes_through_when_it_is_sent_again(
    seed: int, count: int
) -> None:
    chance = random.Random(seed)
    session = a_session("open")
    left = {n: Data("a.M", b"%d" % n) for n in range(1, count + 1)}
    got: list[Content] = []
    while left:
        for number in chance.sample(sorted(left), len(left)):
            if chance.random() < 0.3:
                continue  # Lost; the peer keeps it until we have it.
            taken, _ = sessions.take(session, number, left[number])
            if taken:
                del left[number]
            assert len(session.inbox) <= WINDOW
            while sessions.head(session) is not None:
                got.append(sessions.read(session))
    assert got == [Data("a.M", b"%d" % n) for n in range(1, count + 1)]


# --- how much an inbox holds ---------------------------------------------------------------------


def test_a_peer_that_nobody_listens_to_must_wait() -> None:
    session = a_session("open")
    for seq in range(1, UNREAD + 1):
        assert sessions.take(session, seq, Data("a.M", b""))[0]
    assert not sessions.take(session, UNREAD + 1, Data("a.M", b""))[0]
    assert len(session.inbox) == UNREAD
    assert sessions.take(session, UNREAD, Data("a.M", b""))[0], "this one is held already"
    sessions.read(session)
    assert sessions.take(session, UNREAD + 1, Data("a.M", b""))[0]


def test_large_messages_wait_sooner() -> None:
    session = a_session("open")
    large = bytes(1 << 20)
    taken = 0
    while sessions.take(session, taken + 1, Data("a.M", large))[0]:
        taken += 1
    assert taken == UNREAD_BYTES >> 20
    assert not sessions.take(session, taken + 1, Failure("E", large, ""))[0]
    sessions.read(session)
    assert sessions.take(session, taken + 1, Data("a.M", large))[0]


def test_what_fills_a_gap_is_taken_always() -> None:
    """Or a full inbox that cannot be read would stay full for ever."""
    session = a_session("open")
    large = bytes(1 << 20)
    ahead = 2
    while sessions.take(session, ahead, Data("a.M", large))[0]:
        ahead += 1
    assert sessions.head(session) is None
    assert sessions.take(session, 1, Data("a.M", large))[0]
    assert sessions.head(session) is not None


# --- invitations ---------------------------------------------------------------------------------


def an_invitation(number: int, incarnation: bytes = b"12345678") -> Invite:
    return Invite(number, incarnation, "a.B", "a.A", 1, 9, 4, SECRET, None)


def test_an_invitation_is_new_once() -> None:
    peer = Peer()
    assert peer.welcome(an_invitation(0)) is True
    assert peer.welcome(an_invitation(0)) is False
    assert peer.welcome(an_invitation(1)) is True
    assert peer.welcome(an_invitation(0)) is False


@given(
    st.integers(1, 60).flatmap(
        lambda count: st.permutations(list(range(count)) + [n for n in range(count) if n % 3 == 0])
    )
)
def test_any_order_welcomes_each_once_and_leaves_a_number(order: list[int]) -> None:
    peer = Peer()
    welcomed = []
    for number in order:
        if peer.welcome(an_invitation(number)):
            welcomed.append(number)
        peer = decode(Peer, encode(peer))
    assert sorted(welcomed) == list(range(max(order) + 1))
    assert len(peer.seen) == 1
    assert (peer.seen[0].low, peer.seen[0].above) == (max(order) + 1, [])


def test_nothing_grows_with_the_number_of_invitations() -> None:
    peer = Peer()
    for number in range(1000):
        peer.welcome(an_invitation(number))
    assert len(encode(peer)) < 30


def test_only_so_many_may_overtake_a_missing_one_which_is_welcome_always() -> None:
    peer = Peer()
    for number in range(1, AHEAD + 1):
        assert peer.welcome(an_invitation(number)) is True
    assert peer.welcome(an_invitation(AHEAD + 1)) is None
    assert peer.welcome(an_invitation(2**63 - 1)) is None
    assert peer.welcome(an_invitation(1)) is False
    assert peer.welcome(an_invitation(0)) is True
    assert peer.seen[0].low == AHEAD + 1
    assert peer.welcome(an_invitation(AHEAD + 1)) is True


def test_a_store_made_anew_is_another_incarnation_with_numbers_of_its_own() -> None:
    peer = Peer()
    assert peer.welcome(an_invitation(0, b"old-life")) is True
    assert peer.welcome(an_invitation(0, b"new-life")) is True
    assert peer.welcome(an_invitation(0, b"old-life")) is False
    assert peer.welcome(an_invitation(1, b"old-life")) is True


def test_the_incarnations_in_use_last_are_remembered() -> None:
    peer = Peer()
    names = [b"life %03d" % n for n in range(INCARNATIONS + 5)]
    for name in names:
        assert peer.welcome(an_invitation(0, name)) is True
    assert len(peer.seen) == INCARNATIONS
    for name in names[-INCARNATIONS:]:
        assert peer.welcome(an_invitation(0, name)) is False


def test_the_incarnation_in_use_is_never_the_one_forgotten() -> None:
    peer = Peer()
    for number in range(3 * INCARNATIONS):
        assert peer.welcome(an_invitation(number, b"the good")) is True
        assert peer.welcome(an_invitation(0, b"late %03d" % number)) is True
    assert peer.welcome(an_invitation(0, b"the good")) is False


def test_our_own_invitations_are_counted() -> None:
    peer = Peer()
    assert [peer.next_number() for _ in range(3)] == [0, 1, 2]
    assert decode(Peer, encode(peer)).next_number() == 3
