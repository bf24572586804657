"""A notary's book against a simple model: batches, retries, windows, crashes, several workers."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import multiprocessing
import os
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.core.flow import Party
from flowrt.ledger.keys import ED25519, SigningKey
from flowrt.ledger.notary.desk import Answer, Desk
from flowrt.ledger.notary.judging import (
    Accepted,
    Conflicting,
    NotAccepted,
    OutsideWindow,
    hash_of,
    name_of,
)
from flowrt.ledger.notary.requests import Claim
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef, TimeWindow
from flowrt.store import StoreError
from flowrt.store.files import Files
from flowrt.store.uniqueness import UniquenessFile, UniquenessMemory
from tests.runtime.conftest import MEMORY, tmp_path

__all__ = ["tmp_path"]

KEY = SigningKey(ED25519, bytes(32))
NOTARY = Identity(Party("notary"), KEY.public)
START = datetime.datetime(2027, 1, 15, 8, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)


def ref(number: int) -> StateRef:
    return StateRef(hashlib.sha256(b"state %d" % number).digest(), number % 7)


def claim(
    inputs: Sequence[int] = (),
    references: Sequence[int] = (),
    window: TimeWindow | None = None,
    salt: int = 0,
    again: bool = False,
) -> Claim:
    """The claim of a transaction; what it names is part of its id, as it is in real ones."""
    names = repr((sorted(inputs), sorted(references), window, salt))
    return Claim(
        transaction=hashlib.sha256(names.encode()).digest(),
        inputs=tuple(map(ref, sorted(inputs))),
        references=tuple(map(ref, sorted(references))),
        window=window,
        parameters=None,
        notary=NOTARY,
        requester="alice",
        proof=b"",
        again=again,
    )


class Clock:
    def __init__(self) -> None:
        self.minutes = 0

    def __call__(self) -> datetime.datetime:
        return START + self.minutes * MINUTE


class Model:
    """The rules again, over dictionaries and with the time in minutes."""

    def __init__(self) -> None:
        self.used: dict[StateRef, bytes] = {}
        self.accepted: set[bytes] = set()

    def judge(self, one: Claim, now: datetime.datetime) -> Any:
        if one.transaction in self.accepted:
            return "accepted"
        others = {
            (found, hashlib.sha256(self.used[found]).digest(), found in one.inputs)
            for found in (*one.inputs, *one.references)
            if found in self.used
        }
        if others:
            return others
        since = one.window.since if one.window else None
        until = one.window.until if one.window else None
        if one.again:
            return "outside" if until and now >= until else "not accepted"
        if (since and now < since) or (until and now >= until):
            return "outside"
        self.used.update(dict.fromkeys(one.inputs, one.transaction))
        self.accepted.add(one.transaction)
        return "accepted"


def told(answer: Answer) -> Any:
    verdict = answer.verdict
    if isinstance(verdict, Conflicting):
        return {(used.ref, used.by, used.is_input) for used in verdict.states}
    return {Accepted: "accepted", NotAccepted: "not accepted", OutsideWindow: "outside"}[
        type(verdict)
    ]


@st.composite
def windows(draw: st.DrawFn) -> TimeWindow | None:
    times = sorted(draw(st.sets(st.integers(0, 12), min_size=2, max_size=2)))
    since, until = (START + minutes * MINUTE for minutes in times)
    return draw(
        st.sampled_from(
            [None, TimeWindow(since, until), TimeWindow(None, until), TimeWindow(since, None)]
        )
    )


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    states = draw(st.sets(st.integers(0, 7), max_size=4))
    inputs = {state for state in states if draw(st.booleans())}
    window = draw(windows())
    if not states and window is None:
        window = TimeWindow(START, None)
    return claim(
        sorted(inputs), sorted(states - inputs), window, again=draw(st.integers(0, 9)) == 0
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(claims(), max_size=6)), max_size=8),
    st.booleans(),
)
def test_answers_what_the_model_answers(
    batches: list[tuple[int, list[Claim]]], on_disk: bool
) -> None:
    """Whatever comes in what batches, retries of all that came before among it; the book of the
    file is opened anew for each batch, by one of two desks."""
    clock, model, seen = Clock(), Model(), []
    memory = UniquenessMemory()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        for minutes, batch in batches:
            clock.minutes += minutes
            batch = [*batch, *seen[::3]]
            seen += batch
            book = UniquenessFile(Path(folder) / "book.db", "notary") if on_disk else memory
            answers = Desk(book, KEY, clock).decide(batch)
            book.close()
            assert list(map(told, answers)) == [model.judge(one, clock()) for one in batch]
            for one, answer in zip(batch, answers, strict=True):
                assert (answer.signature is not None) == isinstance(answer.verdict, Accepted)
                if answer.signature is not None:
                    assert answer.signature.by == KEY.public
                    answer.signature.check(one.transaction)


def test_one_signature_for_a_batch_and_one_answer_for_equal_requests() -> None:
    first, second = claim([1]), claim([2])
    answers = Desk(UniquenessMemory(), KEY, Clock()).decide([first, second, first])
    signatures = [answer.signature for answer in answers]
    assert all(signatures)
    assert signatures[0] == signatures[2]
    assert len({signature.data for signature in signatures if signature}) == 1
    assert [s.batch.size for s in signatures if s and s.batch] == [2, 2, 2]


def test_a_retry_succeeds_though_a_reference_was_used_up_and_the_window_is_over() -> None:
    """What Corda's own test (CS-218) shows to fail there."""
    clock = Clock()
    desk = Desk(UniquenessMemory(), KEY, clock)
    until = TimeWindow(None, START + MINUTE)
    both, only_refers = claim([1], [2], until), claim((), [2], until)
    assert [told(a) for a in desk.decide([both, only_refers])] == ["accepted"] * 2
    assert told(desk.decide([claim([2])])[0]) == "accepted"
    clock.minutes = 5
    assert [told(a) for a in desk.decide([both, only_refers])] == ["accepted"] * 2
    [late] = desk.decide([claim((), [2], until, salt=1)])
    assert told(late) == {(ref(2), hash_of(claim([2]).transaction), False)}


# --- the file -----------------------------------------------------------------------------------


def test_the_log_has_every_request_and_forgets_the_oldest(tmp_path: Path) -> None:
    book = UniquenessFile(tmp_path / "book.db", "notary", logged=10)
    desk = Desk(book, KEY, Clock())
    desk.decide([claim([1]), claim([1, 2]), claim([1], again=True)])
    newest, oldest = book.requests()
    assert (newest.outcome, oldest.outcome) == ("Conflicting", "Accepted")
    assert (oldest.requester, oldest.by) == ("alice", hash_of(claim([1]).transaction))
    for number in range(3, 200):
        desk.decide([claim([number])])
    assert len(book.requests()) <= 10 + 64
    assert told(desk.decide([claim([1])])[0]) == "accepted"
    book.close()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("UPDATE book SET owner = 'mallory'", "is the book of mallory, not of notary"),
        ("PRAGMA user_version = 99", "has format 99, this program writes 1"),
        ("PRAGMA application_id = 7", "is a database, but not a notary's book"),
    ],
)
def test_another_file_is_refused_and_left_alone(tmp_path: Path, spoil: str, says: str) -> None:
    path = tmp_path / "book.db"
    UniquenessFile(path, "notary").close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(spoil)
    with pytest.raises(StoreError, match=says):
        UniquenessFile(path, "notary")


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    path.write_bytes(b"dear diary" * 500)
    with pytest.raises(StoreError, match=r"cannot be opened as a notary's book"):
        UniquenessFile(path, "notary")
    assert path.read_bytes() == b"dear diary" * 500


def test_a_book_that_was_loaded_knows_what_was_used_up(tmp_path: Path) -> None:
    book = UniquenessFile(tmp_path / "book.db", "notary")
    book.load(sorted((name_of(ref(n)), hash_of(claim([n]).transaction)) for n in range(100)))
    desk = Desk(book, KEY, Clock())
    assert [told(a) for a in desk.decide([claim([5]), claim([5, 200])])] == [
        "accepted",
        {(ref(5), hash_of(claim([5]).transaction), True)},
    ]
    book.close()


# --- crashes ------------------------------------------------------------------------------------


class Spoilt(Files):
    """A disk that fails at statement number `at`, before or after it is carried out."""

    def __init__(self, at: int, after: bool) -> None:
        self.left, self.after = at, after
        self.failed = False

    def connect(
        self, path: Path, busy_seconds: float, any_thread: bool = False
    ) -> sqlite3.Connection:
        disk = self

        class Failing(sqlite3.Connection):
            def _do(self, sql: str, run: Callable[[], Any]) -> Any:
                if sql == "ROLLBACK":
                    return run()
                disk.left -= 1
                if disk.left == 0:
                    disk.failed = True
                    if disk.after:
                        run()
                    raise sqlite3.OperationalError("disk I/O error")
                return run()

            def execute(self, sql: str, *rest: Any) -> Any:
                return self._do(sql, lambda: super(Failing, self).execute(sql, *rest))

            def executemany(self, sql: str, *rest: Any) -> Any:
                return self._do(sql, lambda: super(Failing, self).executemany(sql, *rest))

        return sqlite3.connect(path, isolation_level=None, factory=Failing)


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_between_any_two_writes_leaves_all_or_nothing(tmp_path: Path, after: bool) -> None:
    """And asking again gives what would have been answered, whichever it was."""
    batch = [claim([1, 2], [9]), claim([2, 3]), claim((), [9]), claim([4])]
    whole = ["accepted", {(ref(2), hash_of(batch[0].transaction), True)}, "accepted", "accepted"]
    outcomes = set()
    for at in range(1, 200):
        path = tmp_path / f"{at}.db"
        disk = Spoilt(at, after)
        with contextlib.suppress(StoreError, sqlite3.Error):
            book = UniquenessFile(path, "notary", files=disk)
            try:
                Desk(book, KEY, Clock()).decide(batch)
            finally:
                book.close()
        again = UniquenessFile(path, "notary")
        desk = Desk(again, KEY, Clock())
        entered = [told(a) for a in desk.decide([claim([1, 2], [9], again=True)])]
        entered += [told(a) for a in desk.decide([claim([4], again=True)])]
        assert entered in (["accepted"] * 2, ["not accepted"] * 2)
        outcomes.add(entered[0])
        assert list(map(told, desk.decide(batch))) == whole
        again.close()
        if not disk.failed:
            break
    else:
        pytest.fail("the batch never came through")
    assert outcomes == {"accepted", "not accepted"}


# --- several workers ----------------------------------------------------------------------------


def _work(path: Path, worker: int, rounds: int, say: Callable[[list[bytes]], None]) -> None:
    """Claim the same states as everybody else, in batches, each claim another transaction."""
    book = UniquenessFile(path, "notary")
    desk = Desk(book, KEY, Clock())
    for number in range(rounds):
        batch = [claim([5 * number + k, 5 * number + k + 1], salt=worker) for k in range(5)]
        answers = desk.decide(batch)
        say(
            [
                one.transaction
                for one, a in zip(batch, answers, strict=True)
                if a.signature is not None
            ]
        )
    book.close()


def _winners(signed: list[bytes], workers: int, rounds: int) -> None:
    """Of all that was signed no two use up one state, and every state has somebody."""
    inputs = {
        one.transaction: one.inputs
        for worker in range(workers)
        for number in range(rounds)
        for k in range(5)
        for one in [claim([5 * number + k, 5 * number + k + 1], salt=worker)]
    }
    used = [found for id in set(signed) for found in inputs[id]]
    assert len(used) == len(set(used)), "two transactions were signed that use up one state"
    assert used


def test_two_workers_in_threads_never_sign_a_conflict(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    signed: list[bytes] = []
    threads = [
        threading.Thread(target=_work, args=(path, worker, 10, signed.extend))
        for worker in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with contextlib.closing(UniquenessFile(path, "notary")) as book:
        assert len(book.requests()) == 3 * 10 * 5, "nobody was turned away"
    _winners(signed, 3, 10)


def _in_a_process(path: Path, worker: int, rounds: int, out: int) -> None:
    def say(ids: list[bytes]) -> None:
        os.write(out, b"".join(ids))

    _work(path, worker, rounds, say)


def test_two_workers_in_processes_never_sign_a_conflict_though_one_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "book.db"
    UniquenessFile(path, "notary").close()
    context = multiprocessing.get_context("fork")
    pipes = [os.pipe() for _ in range(2)]
    workers = [
        context.Process(target=_in_a_process, args=(path, number, 30, out))
        for number, (_, out) in enumerate(pipes)
    ]
    for process in workers:
        process.start()
    first, out = pipes[0]
    begun = os.read(first, 32 * 5)  # The first worker has signed: now it dies in the middle.
    assert workers[0].pid is not None
    os.kill(workers[0].pid, signal.SIGKILL)
    for process in workers:
        process.join()
    signed = begun
    for read, out in pipes:
        os.close(out)
        with os.fdopen(read, "rb") as rest:
            signed += rest.read()
    assert workers[1].exitcode == 0
    ids = [signed[at : at + 32] for at in range(0, len(signed), 32)]
    _winners(ids, 2, 30)
    book = UniquenessFile(path, "notary")
    claims_by_id = {
        one.transaction: one
        for worker in range(2)
        for number in range(30)
        for k in range(5)
        for one in [claim([5 * number + k, 5 * number + k + 1], salt=worker)]
    }
    answers = Desk(book, KEY, Clock()).decide([claims_by_id[id] for id in ids])
    book.close()
    assert {told(answer) for answer in answers} == {"accepted"}
