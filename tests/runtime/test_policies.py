"""What is done with failing steps: policies, retries that survive restarts, what flows say."""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.core.flow import FlowKilled, Remedy, UnexpectedFlowEnd
from flowrt.core.hospital import FAILED, LOST
from flowrt.core.values import decode
from flowrt.handle import StillRunning
from flowrt.hospital import ward
from flowrt.hospital.source_lines import place_of
from flowrt.policies import (
    End,
    Failure,
    Retry,
    Transient,
    Wait,
    backed_off,
    decided,
    default,
    is_transient,
    own,
)
from tests.runtime.clinic import BOB, START_US, Clinic
from tests.runtime.written import compiled

PROGRAM = compiled("""
message Order:
    n: Int

message Answer:
    n: Int

service Shop:
    write book(what: Text) -> Int
    external ship(what: Text) -> Int
    external once pay(what: Text) -> Int

flow Plain(what: Text) -> Int:
    startable by rpc
    let first = Shop.book(what)
    checkpoint
    let second = Shop.book("{what} again")
    return first + second

flow Patient(what: Text) -> Int:
    startable by rpc
    on transient retry 3 every 10s then end
    on failure retry 2 every 1m
    let n = Shop.book(what)
    return n

flow Outer(what: Text) -> Int:
    startable by rpc
    on failure end
    let n = subflow Patient(what)
    return n

flow Ship(what: Text) -> Int:
    startable by rpc
    on failure retry 7 every 1s then end
    let n = await Shop.ship(what)
    return n

flow Pay(what: Text) -> Int:
    startable by rpc
    let n = await Shop.pay(what)
    return n

flow Ask(seller: Party, n: Int) -> Int:
    startable by rpc
    open Reply with seller as line
    send Order(n) to line
    receive a: Answer from line unchecked
    return a.n

flow Reply():
    responds to Ask as line
    receive o: Order from line unchecked
    let n = Shop.book("order {o.n}")
    send Answer(n) to line
""")


class Shop:
    """Fails as it is told: `wrong` has, by what is asked for, what is raised, first things first;
    None for what works, the last for ever."""

    def __init__(self) -> None:
        self.wrong: dict[str, list[Exception | None]] = {}
        self.asked: list[str] = []

    def _do(self, what: str) -> int:
        self.asked.append(what)
        found = self.wrong.get(what, [None])
        error = found.pop(0) if len(found) > 1 else found[0]
        if error is not None:
            raise error
        return len(what)

    def book(self, tx: Any, what: str) -> int:
        return self._do(what)

    def ship(self, key: str, what: str) -> int:
        return self._do(what)

    def pay(self, key: str, what: str) -> int:
        return self._do(what)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(params=["memory", "sqlite"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "sqlite" else None


@pytest.fixture
def clinic(shop: Shop, folder: Path | None) -> Any:
    with Clinic(PROGRAM, {"Shop": shop}, folder) as made:
        yield made


def test_what_passes_is_tried_again_with_back_off_and_then_discharged(
    clinic: Clinic, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.wrong["tea"] = [ConnectionError("down"), TimeoutError(), Transient("soon"), None]
    tried: list[float] = []
    with caplog.at_level(logging.INFO, "flowrt.node"):
        flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
        for count in (1, 2, 3):
            view = clinic.alice.patient(flow_id)
            assert view.tries == count
            assert view.next_try is not None
            wait_s = view.next_try.timestamp() - clinic.now_us / 1e6
            assert 2 ** (count - 1) <= wait_s <= 1.5 * 2 ** (count - 1)
            tried.append(wait_s)
            clinic.crash("alice")
            before = len(shop.asked)
            clinic.pass_time(seconds=wait_s - 0.001)
            assert len(shop.asked) == before, "not before its time, though the process is a new one"
            assert "discharged" not in caplog.text
            clinic.pass_time(seconds=0.01)
            assert len(shop.asked) == before + 1 + (count == 3)
    assert clinic.result(flow_id) == 3 + 9
    assert clinic.alice.hospital() == []
    assert caplog.text.count(f"flow {flow_id} is discharged") == 1
    assert len({wait % 1 for wait in tried}) == 3, "each with a jitter of its own"


def test_after_five_tries_a_person_is_needed_and_begins_anew(clinic: Clinic, shop: Shop) -> None:
    shop.wrong["tea"] = [ConnectionError("down")]
    flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
    clinic.pass_time(days=1)
    assert len(shop.asked) == 6
    view = clinic.alice.patient(flow_id)
    assert (view.tries, view.next_try) == (5, None)
    clinic.alice.submit_retry(flow_id)
    clinic.rest()
    assert clinic.alice.patient(flow_id).tries == 1
    shop.wrong.clear()
    clinic.pass_time(minutes=1)
    assert clinic.result(flow_id) == 12


def test_going_on_begins_the_count_anew(clinic: Clinic, shop: Shop) -> None:
    down = ConnectionError("down")
    shop.wrong["tea"] = [down, down, down, down, None]
    shop.wrong["tea again"] = [down, down, down, down, None]
    flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
    clinic.pass_time(days=1)
    assert clinic.result(flow_id) == 12
    assert len(shop.asked) == 10


def test_a_bug_waits_for_a_person(clinic: Clinic, shop: Shop) -> None:
    shop.wrong["tea"] = [ZeroDivisionError("bug"), None]
    flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
    clinic.pass_time(days=9)
    assert shop.asked == ["tea"]
    view = clinic.alice.patient(flow_id)
    assert (view.tries, view.next_try, view.cause) == (0, None, "ZeroDivisionError: bug")
    clinic.alice.submit_retry(flow_id)
    clinic.rest()
    assert clinic.result(flow_id) == 12


def test_what_a_flow_says_itself(clinic: Clinic, shop: Shop) -> None:
    shop.wrong["tea"] = [ConnectionError("down")]
    shop.wrong["nut"] = [KeyError("bug")]
    tea = clinic.start(PROGRAM.Patient_v1, what="tea")
    nut = clinic.start(PROGRAM.Patient_v1, what="nut")
    outer = clinic.start(PROGRAM.Outer_v1, what="nut")
    clinic.pass_time(seconds=9.9)
    assert shop.asked.count("tea") == 1, "never sooner than it says"
    clinic.pass_time(hours=1)
    assert shop.asked.count("tea") == 4
    with pytest.raises(FlowKilled, match="its step failed, and its policy ends it: Connection"):
        clinic.result(tea)
    assert [view.tries for view in clinic.alice.patients()] == [2, 2]
    for flow_id in (nut, outer):  # The subflow says something of its own, so that counts.
        with pytest.raises(StillRunning):
            clinic.result(flow_id)


def test_the_nodes_policy_comes_first_and_an_end_reaches_the_peer(
    shop: Shop, folder: Path | None
) -> None:
    seen: list[Failure] = []

    def policy(failure: Failure) -> End | None:
        seen.append(failure)
        return End() if "order" in failure.cause else None

    shop.wrong["order 3"] = [ValueError("no such order")]
    with Clinic(PROGRAM, {"Shop": shop}, folder, policy) as clinic:
        flow_id = clinic.start(PROGRAM.Ask_v1, seller=BOB, n=3)
        with pytest.raises(UnexpectedFlowEnd) as caught:
            clinic.result(flow_id)
        (failure,) = seen
        assert (failure.kind, failure.peer, failure.tries) == (FAILED, "alice", 0)
        assert clinic.bob.hospital() == []
        with pytest.raises(FlowKilled, match="no such order") as ended:
            clinic.result(1, "bob")
        assert caught.value.error_id == ended.value.error_id != "", "both sides can name it"
        assert "no such order" not in str(caught.value), "and one side alone knows why"


@pytest.mark.parametrize(
    "wrong", [lambda _: 7, lambda _: 1 / 0, lambda _: Retry(-1.0), lambda _: Retry(float("nan"))]
)
def test_a_broken_policy_leaves_it_to_a_person(
    shop: Shop, wrong: Callable[[Failure], Any], caplog: pytest.LogCaptureFixture
) -> None:
    shop.wrong["tea"] = [ConnectionError("down")]
    with Clinic(PROGRAM, {"Shop": shop}, None, wrong) as clinic:
        flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
        assert clinic.alice.patient(flow_id).next_try is None
        assert "the policy of the hospital failed" in caplog.text


def test_a_policy_that_always_tries_again_lets_others_work(shop: Shop) -> None:
    shop.wrong["tea"] = [ValueError("bug")]
    with Clinic(PROGRAM, {"Shop": shop}, None, lambda _: Retry(0)) as clinic:
        flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
        clinic.pass_time(seconds=1)
        assert clinic.alice.patient(flow_id).tries == 101
        assert clinic.result(clinic.start(PROGRAM.Plain_v1, what="nut")) == 12


def test_a_lost_operation(clinic: Clinic, shop: Shop) -> None:
    shop.wrong["tea"] = [OSError("the carrier is broken")]
    flow_id = clinic.start(PROGRAM.Ship_v1, what="tea")
    clinic.pass_time(days=1)
    assert len(shop.asked) == 10, "it has tries of its own; the flow's are for its steps"
    with pytest.raises(FlowKilled, match="the carrier is broken"):
        clinic.result(flow_id)


def test_nobody_but_a_person_repeats_what_may_run_once(shop: Shop) -> None:
    shop.wrong["tea"] = [ConnectionError("in the middle"), None]
    seen: list[Failure] = []

    def policy(failure: Failure) -> Retry:
        seen.append(failure)
        return Retry(1)

    with Clinic(PROGRAM, {"Shop": shop}, None, policy) as clinic:
        flow_id = clinic.start(PROGRAM.Pay_v1, what="tea")
        clinic.pass_time(days=1)
        assert shop.asked == ["tea"]
        assert [(one.kind, one.once) for one in seen] == [(LOST, True)]
        clinic.alice.submit_retry(flow_id)
        clinic.rest()
        assert clinic.result(flow_id) == 3
        assert clinic.alice.hospital() == []


def test_a_pause_ends_the_retries_and_a_kill_the_flow(clinic: Clinic, shop: Shop) -> None:
    shop.wrong["tea"] = [ConnectionError("down"), ConnectionError("down"), None]
    flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
    assert "pause" in clinic.alice.patient(flow_id).commands
    clinic.alice.submit_pause(flow_id, by="ann", reason="wait for the morning")
    clinic.pass_time(days=1)
    assert shop.asked == ["tea"]
    view = clinic.alice.patient(flow_id)
    assert (view.kind, view.next_try, "pause" in view.commands) == (FAILED, None, False)
    clinic.alice.submit_retry(flow_id)
    clinic.rest()
    clinic.alice.submit_kill(flow_id, by="ann", reason="enough")
    clinic.pass_time(days=1)
    assert shop.asked == ["tea", "tea"]
    with pytest.raises(FlowKilled, match="killed by ann: enough"):
        clinic.result(flow_id)
    assert clinic.alice.hospital() == []


def test_a_poison_message_stops_nobody_else(clinic: Clinic, shop: Shop) -> None:
    shop.wrong["order 13"] = [ConnectionError("poison")]
    bad = clinic.start(PROGRAM.Ask_v1, seller=BOB, n=13)
    good = [clinic.start(PROGRAM.Ask_v1, seller=BOB, n=n) for n in range(5)]
    assert [clinic.result(flow_id) for flow_id in good] == [7] * 5
    clinic.pass_time(days=1)
    # Once as the step that began read on, and then the step of its own, which is tried again.
    assert shop.asked.count("order 13") == 1 + 6
    assert len(clinic.bob._outbox) == len(clinic.alice._outbox) == 0
    (patient,) = clinic.bob.patients()
    assert patient.peer == "alice"
    assert patient.event.endswith("Order of alice")
    with pytest.raises(StillRunning):
        clinic.result(bad)


def test_a_peer_cannot_fill_the_hospital(
    clinic: Clinic, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ward, "BEDS", 3)
    for n in range(10):
        shop.wrong[f"order {n}"] = [ValueError("x" * 100_000)]
    asked = [clinic.start(PROGRAM.Ask_v1, seller=BOB, n=n) for n in range(10)]
    patients = clinic.bob.hospital()
    assert len(patients) == 3
    assert max(len(one.cause) for one in patients) <= 4000
    assert max(len(one.trace) for one in patients) <= 20_000
    ended = [flow_id for flow_id in asked if clinic.alice.handle(flow_id).outcome is not None]
    assert len(ended) == 7, "the others are told"
    shop.wrong.clear()
    clinic.crash("bob")
    for patient in patients:
        clinic.bob.submit_retry(patient.flow_id)
    clinic.rest()
    assert clinic.bob.hospital() == []
    shop.wrong["order 11"] = [ValueError("bug")]
    clinic.start(PROGRAM.Ask_v1, seller=BOB, n=11)
    assert len(clinic.bob.hospital()) == 1, "beds that are free again are used again"


def test_the_line_that_failed_is_found_in_the_generated_file(tmp_path: Path) -> None:
    path = tmp_path / "shop_flow.py"
    path.write_text(
        "class F:\n"
        "    def step(self):\n"
        "        # shop.flow:7  let x = 1\n"
        "        x = 1\n"
        "        # shop.flow:8  fail()\n"
        "        raise ValueError(x)\n"
    )
    room: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), room)
    with pytest.raises(ValueError, match="1") as caught:
        room["F"]().step()
    assert place_of(caught.value) == "shop.flow:8"
    assert place_of(ValueError()) == ""


# --- verdicts by themselves ----------------------------------------------------------------------

CAUSES = [
    (ConnectionResetError(), True),
    (TimeoutError(), True),
    (Transient("x"), True),
    (OSError(errno.ENETUNREACH, "x"), True),
    (OSError(errno.ENOSPC, "x"), False),
    (FileNotFoundError(errno.ENOENT, "x"), False),
    (ValueError("x"), False),
    (sqlite3.OperationalError("x"), False),
]


@pytest.mark.parametrize(("error", "passes"), CAUSES)
def test_which_causes_pass(error: Exception, passes: bool) -> None:
    assert is_transient(error) is passes
    outer = RuntimeError("later")
    outer.__cause__ = error
    assert is_transient(outer) is passes, "what it came from counts"
    error.__cause__ = None
    looped = RuntimeError("a circle")
    looped.__context__ = outer
    outer.__context__ = looped
    assert is_transient(looped) is passes
    looped.__suppress_context__ = True
    assert not is_transient(looped)


def test_a_locked_database_passes(tmp_path: Path) -> None:
    first = sqlite3.connect(tmp_path / "x.db")
    second = sqlite3.connect(tmp_path / "x.db", timeout=0)
    first.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError) as caught:
        second.execute("BEGIN EXCLUSIVE")
    assert is_transient(caught.value)
    first.close()
    second.close()


REMEDIES = st.builds(Remedy, st.integers(0, 9), st.integers(100_000, 10**9), st.booleans())
FAILURES = st.builds(
    Failure,
    flow_id=st.just(1),
    flow=st.just("t.F_v1"),
    state=st.just("Start"),
    place=st.just("t.flow:1"),
    kind=st.sampled_from([FAILED, LOST]),
    cause=st.just("why"),
    error=st.sampled_from([ConnectionError(), ValueError(), None]),
    once=st.booleans(),
    tries=st.integers(0, 200),
    peer=st.just(""),
    remedies=st.dictionaries(st.sampled_from(["transient", "failure"]), REMEDIES),
    chance=st.floats(0, 1, exclude_max=True),
)
VERDICTS = st.one_of(
    st.none(), st.just(Wait()), st.just(End()), st.builds(Retry, st.floats(0, 10**6))
)


@given(FAILURES, VERDICTS)
def test_every_verdict_keeps_to_its_limits(failure: Failure, said: Any) -> None:
    verdict = decided(lambda _: said, failure)
    if said is not None:
        assert verdict == (Wait() if failure.once and isinstance(said, Retry) else said)
        return
    if not isinstance(verdict, Retry):
        return
    assert not failure.once
    assert failure.kind == FAILED
    remedy = failure.remedies.get("transient") if failure.is_transient else None
    remedy = remedy or failure.remedies.get("failure")
    if remedy is not None:
        assert own(failure) == verdict
        assert failure.tries < remedy.retries
        assert remedy.every_us / 1e6 <= verdict.after_s <= 1.1 * remedy.every_us / 1e6
    else:
        assert default(failure) == verdict == Retry(backed_off(failure))
        assert failure.is_transient
        assert failure.tries < 5
        assert 2**failure.tries <= verdict.after_s < 1.5 * 2**failure.tries


def test_who_did_what_is_in_the_audit_trail(clinic: Clinic, shop: Shop) -> None:
    shop.wrong["tea"] = [ValueError("bug"), None]
    flow_id = clinic.start(PROGRAM.Plain_v1, what="tea")
    clinic.alice.submit_retry(flow_id, by="ann", reason="mended")
    clinic.rest()
    rows = [row for _, entries in clinic.stores["alice"].audit() for row in decode(list, entries)]
    assert [row[4] for row in rows if len(row) > 4] == [["ann", "mended", ""]]
    assert clinic.now_us == START_US
