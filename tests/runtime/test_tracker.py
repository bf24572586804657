"""The tree of a flow's progress: what hangs where, its rows and index, and that every reader of the
events has the same one; what operations report; how much a reader keeps in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt import streams
from flowrt.core import flow as rt
from flowrt.core.engine import BEGIN, RESUME
from flowrt.core.progress import BEGUN, ProgressEvent, path_of
from flowrt.core.tracker import TreeView, tree_of
from flowrt.core.values import decode, encode
from flowrt.node import Node
from flowrt.reports import PAUSE_US, Reports
from flowrt.store.memory import MemoryStore
from flowrt.streams import KEPT, Stream
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.clinic import Clinic
from tests.runtime.plays import Actor, At, at, play
from tests.runtime.written import compiled

NAMES = ("A", "B", "C")
STEPS = tuple(rt.ProgressStep(name, name.lower()) for name in NAMES)


# --- any sequence of steps, subflows, errors and rests -------------------------------------------


class Drawn:
    """A tree as one would draw it while watching: what hangs under each step, by its position."""

    def __init__(self) -> None:
        self.at = -1
        self.labels = ["a", "b", "c"]
        self.under: dict[int, Drawn] = {}

    def move(self, step: int, label: str) -> None:
        if step < self.at:
            self.under = {at: one for at, one in self.under.items() if not step <= at <= self.at}
        self.at = step
        self.labels[step] = label

    def rows(self, depth: int = 0) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        for step in range(-1, 3):
            if step >= 0:
                found.append((depth, self.labels[step]))
            if step in self.under:
                found += self.under[step].rows(depth + 1)
        return found


Act = Any
"""A step and its label, "rest", or a subflow: its acts, and whether it throws in the end."""


def programs() -> st.SearchStrategy[list[Act]]:
    simple = st.one_of(
        st.tuples(st.integers(0, 2), st.sampled_from("xyz")), st.just("rest"), st.just("rest")
    )
    return st.recursive(
        st.lists(simple, max_size=5),
        lambda below: st.lists(
            st.one_of(simple, st.tuples(st.just("call"), below, st.booleans())), max_size=6
        ),
        max_leaves=20,
    )


class Made:
    """A flow that does such acts, and draws what it does."""

    def __init__(self, todo: list[Act]) -> None:
        self.flows: list[Any] = []
        self.root = Drawn()
        self._drawn = [self.root]
        self.flow = self._flow(todo, throws=False)

    def _flow(self, todo: list[Act], throws: bool) -> Any:
        segments: list[list[Act]] = [[]]
        for act in todo:
            segments[-1].append(act)
            if act == "rest" or act[0] == "call":
                segments.append([])
        calls: dict[int, Any] = {}

        def part(run: Any, state: At) -> Any:
            n = state.n
            if n - 1 in calls:
                self._drawn.pop()
                with contextlib.suppress(rt.Timeout):
                    run.result(calls[n - 1])
            for act in segments[n]:
                if act == "rest":
                    return rt.Checkpoint(at(n + 1))
                if act[0] == "call":
                    drawn = self._drawn[-1]
                    drawn.under[drawn.at] = Drawn()
                    self._drawn.append(drawn.under[drawn.at])
                    return rt.Call(at(n + 1), calls[n], at(0))
                run.at(NAMES[act[0]], act[1])
                self._drawn[-1].move(*act)
            if throws:
                raise rt.Timeout
            return rt.Return(None)

        for n, segment in enumerate(segments):
            if segment and segment[-1][0] == "call":
                calls[n] = self._flow(segment[-1][1], segment[-1][2])
        name = f"t.F{len(self.flows)}"
        flow = play(name, *[part] * len(segments), steps=STEPS)
        self.flows.append(flow)
        return flow


def seen(view: TreeView) -> list[tuple[int, str]]:
    assert (view.rows[0].label, view.rows[-1].label) == ("Starting", "Done")
    return [(row.depth, row.label) for row in view.rows[1:-1]]


@given(programs())
def test_any_sequence_gives_the_tree_that_one_would_draw(todo: list[Act]) -> None:
    made = Made(todo)
    actor = Actor(made.flow, *made.flows)
    classes = {flow.versioned(): flow for flow in made.flows}
    events: list[ProgressEvent] = []
    follower = tree_of(made.flow.versioned(), classes, ())
    before = 0
    while not actor.checkpoint.moves or actor.checkpoint.frames:
        commit = actor.go(RESUME if before else BEGIN)
        assert commit is not None
        told = [decode(ProgressEvent, encode(move)) for move in commit.moves]
        events += told
        assert [event.number for event in events] == list(range(len(events)))
        for event in told:
            follower.apply(event)
        fresh = tree_of(made.flow.versioned(), classes, events).view()
        assert follower.view() == fresh, "who follows has what who asks has"
        assert seen(fresh) == made.root.rows()
        if commit.outcome is None:
            names = actor.registry.step_names
            assert fresh.path == path_of(actor.checkpoint.frames, names), "as it is at rest"
            assert fresh.index >= 0
        before += 1
        if commit.outcome is not None:
            break
    assert follower.view().index == len(follower.view().rows) - 1
    for event in events:
        follower.apply(event)
    assert follower.view() == fresh, "what was taken before changes nothing"


# --- rows and their numbers ----------------------------------------------------------------------

TEXT = """
service Carrier:
    external ship(what: Text) -> Text
    write book(what: Text) -> Int

flow One(fails: Bool):
    startable by rpc
    steps:
        ONE "one"
        TWO "two" tracks Child
        THREE "three"
    checkpoint
    step ONE
    checkpoint
    step TWO
    checkpoint
    try:
        subflow Child(fails)
    catch TimedOut:
        log info "caught"
    checkpoint
    step THREE
    checkpoint
    step ONE
    sleep 1h
    step THREE

error TimedOut

flow Child(fails: Bool):
    steps:
        AYY "ayy"
        BEE "bee"
        SEA "sea"
    step AYY
    checkpoint
    step BEE
    checkpoint
    if fails:
        throw TimedOut()
    step SEA
    checkpoint

flow Ships(what: Text) -> Text:
    startable by rpc
    steps:
        SHIPPING "Shipping"
        BOOKING "Booking"
    step SHIPPING
    let found = await Carrier.ship(what)
    step BOOKING
    let n = Carrier.book(what)
    return found

flow Later():
    startable by rpc
    start Child(fails=false) at now + 1d
"""
PROGRAM = compiled(TEXT)


class Carrier:
    def __init__(self) -> None:
        self.wrong: list[Exception] = []
        self.said: list[tuple[str, float | None]] = []

    def ship(self, key: str, what: str, *, progress: Any) -> str:
        for word in self.said:
            progress(*word)
        return what

    def book(self, tx: Any, what: str) -> int:
        if self.wrong:
            raise self.wrong.pop(0)
        return 1


def indexes(fails: bool) -> list[tuple[int, str]]:
    """Each tree's index and the label there, after every event."""
    with Clinic(PROGRAM, {"Carrier": Carrier()}) as clinic:
        flow_id = clinic.start(PROGRAM.One_v1, fails=fails)
        clinic.pass_time(hours=2)
        tree = clinic.alice.tree(flow_id, from_the_beginning=True)
        found = [(tree.view().index, "")]
        for event in clinic.alice.moves(flow_id, 0, -1):
            tree.apply(event)
            view = tree.view()
            assert [row.seen for row in view.rows].index("current") == view.index
            found.append((view.index, view.rows[view.index].label))
        assert tree.view() == clinic.alice.tracker(flow_id)
        return found


def test_rows_are_numbered_through_the_whole_tree() -> None:
    # Starting 0, one 1, two 2, its subflow 3 to 5, three 6, Done 7: declared, so there at once.
    assert indexes(fails=False) == [
        (0, ""),
        (1, "one"),
        (2, "two"),
        (2, "two"),  # The subflow begins, and is at no step yet.
        (3, "ayy"),
        (4, "bee"),
        (5, "sea"),
        (5, "sea"),  # It is over.
        (6, "three"),
        (1, "one"),  # Back: what hung under the steps between is as it was declared.
        (6, "three"),
        (7, "Done"),
    ]


def test_a_subflow_that_fails_stays_where_it_was() -> None:
    assert indexes(fails=True)[4:9] == [
        (3, "ayy"),
        (4, "bee"),
        (4, "bee"),
        (6, "three"),
        (1, "one"),
    ]


def test_a_flow_that_waits_for_its_time_has_not_begun() -> None:
    with Clinic(PROGRAM, {"Carrier": Carrier()}) as clinic:
        clinic.start(PROGRAM.Later_v1)
        (waiting,) = clinic.alice.flows()
        view = clinic.alice.tracker(waiting.id)
        assert (view.index, view.number, [row.seen for row in view.rows]) == (-1, 0, ["ahead"] * 5)
        with pytest.raises(KeyError):
            clinic.alice.tracker(99)


def test_a_flow_whose_class_is_gone_shows_what_it_told() -> None:
    with Clinic(PROGRAM, {"Carrier": Carrier()}) as clinic:
        flow_id = clinic.start(PROGRAM.One_v1, fails=False)
        events = clinic.alice.moves(flow_id, 0, -1)
        tree = tree_of("x.One_v1", {}, events)
        assert [row.label for row in tree.view().rows][:3] == ["Starting", "one", "two"]


# --- trouble -------------------------------------------------------------------------------------


def test_failures_retries_and_the_hospital_are_events_with_cause_and_place() -> None:
    carrier = Carrier()
    carrier.wrong = [ConnectionError("the line is down"), ValueError("no such sku")]
    with Clinic(PROGRAM, {"Carrier": carrier}) as clinic:
        flow_id = clinic.start(PROGRAM.Ships_v1, what="tea")
        first = clinic.alice.tracker(flow_id).trouble
        assert first is not None
        assert (first.state, first.cause, first.tries) == (
            "retrying",
            "ConnectionError: the line is down",
            1,
        )
        assert first.next_us > clinic.now_us
        assert first.place.endswith(f":{_line('await Carrier.ship')}")
        clinic.crash("alice")
        clinic.pass_time(minutes=1)
        then = clinic.alice.tracker(flow_id).trouble
        assert then is not None
        assert (then.state, then.cause) == ("in hospital", "ValueError: no such sku")
        clinic.crash("alice")
        assert clinic.alice.tracker(flow_id).trouble == then, "also after a restart"
        assert clinic.alice.tracker(flow_id).path == ("SHIPPING",), "its step has not passed"
        clinic.alice.submit_retry(flow_id)
        clinic.rest()
        view = clinic.alice.tracker(flow_id)
        assert (view.trouble, view.outcome) == (None, "done")
        kinds = [event.kind for event in clinic.alice.progress(flow_id)]
        assert kinds == ["position", "trouble", "trouble", "position", "end"]


def test_paused_and_well_again_are_told() -> None:
    with Clinic(PROGRAM, {"Carrier": Carrier()}) as clinic:
        flow_id = clinic.start(PROGRAM.One_v1, fails=False)
        clinic.alice.submit_pause(flow_id, by="ann", reason="lunch")
        clinic.rest()
        trouble = clinic.alice.tracker(flow_id).trouble
        assert trouble is not None
        assert (trouble.state, trouble.cause) == ("paused", "lunch")
        clinic.alice.submit_resume(flow_id)
        clinic.rest()
        assert clinic.alice.tracker(flow_id).trouble is None
        assert clinic.alice.progress(flow_id)[-1].kind == "well"


def test_what_fails_for_ever_leaves_few_events() -> None:
    from flowrt.policies import Retry

    carrier = Carrier()
    carrier.wrong = [ConnectionError("down") for _ in range(300)]
    policy = lambda failure: Retry(1.0)  # noqa: E731
    with Clinic(PROGRAM, {"Carrier": carrier}, policy=policy) as clinic:
        flow_id = clinic.start(PROGRAM.Ships_v1, what="tea")
        clinic.pass_time(seconds=400)
        events = clinic.alice.progress(flow_id)
        tries = [e.detail.tries for e in events if e.kind == "trouble" and e.detail is not None]
        assert tries == [*range(1, 11), 16, 32, 64, 128, 256]


def test_a_tree_and_its_events_are_data_for_json() -> None:
    carrier = Carrier()
    carrier.wrong = [ValueError("no such sku")]
    with Clinic(PROGRAM, {"Carrier": carrier}) as clinic:
        flow_id = clinic.start(PROGRAM.Ships_v1, what="tea")
        tree = json.loads(msgspec.json.encode(clinic.alice.tracker(flow_id)))
        assert tree["rows"][1] == {
            "depth": 0,
            "label": "Shipping",
            "step": "SHIPPING",
            "flow": PROGRAM.Ships_v1.name,
            "seen": "current",
        }
        assert tree["trouble"]["state"] == "in hospital"
        (event,) = [e for e in clinic.alice.progress(flow_id) if e.kind == "trouble"]
        said = json.loads(json.dumps(event.plain()))
        assert (said["kind"], said["cause"]) == ("trouble", "ValueError: no such sku")


def _line(text: str) -> int:
    return next(n for n, line in enumerate(TEXT.splitlines(), 1) if text in line)


# --- streams -------------------------------------------------------------------------------------


def moved(number: int) -> ProgressEvent:
    return ProgressEvent(number, "t.A", 0, ("A",), str(number))


def test_a_reader_that_never_reads_keeps_a_few_events_and_misses_none() -> None:
    written: list[ProgressEvent] = []
    asked: list[tuple[int, int]] = []

    def read(start: int, limit: int) -> list[ProgressEvent]:
        asked.append((start, limit))
        return written[start : start + limit]

    stream = Stream(read)
    for number in range(10_000):
        written.append(moved(number))
        stream.moved(written[-1])
        assert len(stream) <= KEPT
    assert asked == []
    found = [stream.next_now() for _ in range(10_000)]
    assert [event.number for event in found if event is not None] == list(range(10_000))
    assert stream.next_now() is None
    assert len(asked) <= 10_000 // streams.PAGE + 1


def test_a_reader_that_keeps_up_asks_the_store_once() -> None:
    asked: list[int] = []

    def read(start: int, limit: int) -> list[ProgressEvent]:
        asked.append(start)
        return []

    stream = Stream(read)
    for number in range(1000):
        stream.moved(moved(number))
        event = stream.next_now()
        assert event is not None
        assert event.number == number
    assert asked == []


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 30))
def test_whatever_is_read_when_each_event_comes_once(reads: list[int], start: int) -> None:
    written = [moved(number) for number in range(start)]
    stream = Stream(lambda first, limit: written[first : first + limit])
    found = []
    for count in [*reads, 10_000]:
        for _ in range(50):
            written.append(moved(len(written)))
            stream.moved(written[-1])
        for _ in range(count):
            event = stream.next_now()
            if event is None:
                break
            found.append(event.number)
    assert found == list(range(len(written)))


def test_reports_that_nobody_reads_are_replaced_and_counted() -> None:
    stream = Stream(lambda first, limit: [])
    said = Reports(lambda: None)
    for part in range(1000):
        said.say(1, 7, "x.Carrier.ship", f"{part}", part / 1000)
        for flow_id, event in said.take_due(part * PAUSE_US):
            assert flow_id == 1
            stream.reported(event)
    assert (len(stream), stream.dropped) == (1, 999)
    event = stream.next_now()
    assert event is not None
    assert (event.label, event.flow, event.kind) == ("999", "x.Carrier.ship", "report")
    assert stream.next_now() is None


def test_reports_are_told_now_and_then_and_only_the_newest_is_kept() -> None:
    woken: list[int] = []
    said = Reports(lambda: woken.append(1))
    for part in range(1000):
        said.say(1, 7, "ship", f"{part}", part)
    assert (len(said), len(woken)) == (1, 1)
    assert [event.label for _, event in said.take_due(5)] == ["999"]
    said.say(1, 7, "ship", "later", float("nan"))
    assert list(said.take_due(6)) == []
    assert said.next_due() == 5 + PAUSE_US
    ((_, event),) = said.take_due(5 + PAUSE_US)
    assert event.detail is not None
    assert (event.label, event.detail.done) == ("later", None)
    said.forget(1, 7)
    ((_, over),) = said.take_due(0)
    assert over.detail is not None
    assert (over.detail.state, len(said), said.next_due()) == ("over", 0, None)


def test_an_operation_says_how_far_it_is_from_its_thread() -> None:
    async def run() -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()

        class Slow(Carrier):
            def ship(self, key: str, what: str, *, progress: Any) -> str:
                progress("packing", 0.25)
                asyncio.run_coroutine_threadsafe(told.wait(), loop).result(60)
                return what

        node = await Node.open(
            "alice",
            store=MemoryStore(),
            network=MemoryNetwork(),
            modules=[PROGRAM],
            services={"Carrier": Slow()},
        )
        handle = await node.start(PROGRAM.Ships_v1, what="tea")
        kinds = []
        async for change in handle.track(history=True):
            event, tree = change.event, change.tree
            kinds.append(event.kind if event is not None else "")
            if event is not None and event.kind == "report" and tree.reports:
                (report,) = tree.reports
                assert (report.label, report.done) == ("packing", 0.25)
                assert report.operation.endswith(".Carrier.ship")
                assert node.tracker(handle.id).reports == tree.reports, "who asks sees it too"
                told.set()
        assert tree.outcome == "done"
        assert tree.reports == ()
        assert kinds[:3] == ["", "position", "report"]
        assert kinds[-2:] == ["position", "end"]
        assert len(node._reports) == 0
        await node.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_who_begins_to_watch_late_has_the_same_tree() -> None:
    async def run() -> None:
        node = await Node.open(
            "alice",
            store=MemoryStore(),
            network=MemoryNetwork(),
            modules=[PROGRAM],
            services={"Carrier": Carrier()},
        )
        handle = await node.start(PROGRAM.Ships_v1, what="tea")
        await handle.result()
        now = [change async for change in handle.track()]
        all_of_it = [change async for change in handle.track(history=True)]
        assert [change.event for change in now] == [None]
        assert now[-1].tree == all_of_it[-1].tree == node.tracker(handle.id)
        assert len(all_of_it) == 1 + now[-1].tree.number
        await node.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_subflow_begins_before_it_moves() -> None:
    with Clinic(PROGRAM, {"Carrier": Carrier()}) as clinic:
        flow_id = clinic.start(PROGRAM.One_v1, fails=False)
        events = clinic.alice.moves(flow_id, 0, -1)
        kinds = [event.kind for event in events]
        assert kinds.index(BEGUN) + 1 == next(n for n, e in enumerate(events) if e.depth and n > 2)
        assert events == clinic.alice.moves(flow_id, 0, 3) + clinic.alice.moves(flow_id, 3, 99)
