"""Time, other flows, people and what leaves the node, compiled and run on nodes: what comes when,
what fails, what nobody answers; and that no crash changes any of it."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowrt.core.flow import FlowError
from flowrt.node import Node
from tests.runtime.crashes import HOUR_US, Power, World, every_crash

PROGRAM = """
record Purchase:
    sku: Text

record Approval:
    approved: Bool
    note: Text? = none

error Lost(order: Text): "lost {order}"

service Carrier:
    external ship(order: Text, n: Int) -> Text
    external once pay(sum: Int) -> Int

flow Ship(order: Text, n: Int) -> Text:
    startable by rpc
    try:
        let label = await Carrier.ship(order, n)
        let paid = await Carrier.pay(n)
        return "{label} for {paid}"
    catch Lost:
        return await Carrier.ship("instead", n)

flow Part(n: Int) -> Int:
    sleep 1s * n
    require n != 13 else Lost("13")
    return n * 2

flow Parts(ns: List[Int]) -> List[Int]:
    startable by rpc
    var ids: List[FlowId[Int]] = []
    for n in ns:
        let id = start Part(n)
        ids = ids + [id]
    let doubled = await each ids
    return doubled + [ids.size]

flow Later(pause: Duration) -> List[Bool]:
    startable by rpc
    let day = now + pause
    let id = start Part(1) at day
    let n = await id
    let first = now >= day + 1s
    wait until day + 10m
    let second = now >= day + 10m
    wait until day
    return [n == 2, first, second]

flow Quiet(n: Int):
    log info "{n}"

flow Alone(n: Int) -> Int:
    startable by rpc
    let quiet = start Quiet(n)
    await quiet
    start Part(n)
    return n

flow Buy(sku: Text) -> Text:
    startable by rpc
    try:
        let a = ask "buyer": Purchase(sku) -> Approval within 2m
        require a.at <= now else Lost(sku)
        if a.note != none:
            return "{a.by} says {a.note}, {a.value.approved}"
        return "{a.by} says {a.approved}"
    catch TaskExpired:
        return "nobody says anything"

flow Race(sku: Text) -> Text:
    startable by rpc
    let approval = pending ask "buyer": Purchase(sku) -> Approval
    let label = pending await Carrier.ship(sku, 1)
    let part = start Part(5)
    let done = pending await part
    var said = "nobody"
    var parts = 0
    while parts < 3:
        receive:
            case answer approval as a:
                said = a.by
                parts = parts + 1
            case result label as l:
                parts = parts + l.size // l.size
            case result done as doubled:
                parts = parts + doubled // 10
            case timeout 3m:
                return "{said}, then nothing"
    return "{said}, all {parts}"

flow Limited(n: Int) -> Text:
    startable by rpc
    let id = start Part(n)
    try:
        within 20s:
            let m = await id
            return "{m}"
    catch Timeout:
        return "late"
    catch FlowFailed:
        return "failed"

flow Nightly(book: Text, n: Int):
    startable by schedule
    let label = await Carrier.ship(book, n)

schedule Nights = Nightly("main", n=2) every "30 1 * * *" in "Europe/London"
"""


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    made = compile_modules(["others"], {"others": Source("others.flow", "others", PROGRAM)}.get)
    assert not made.diagnostics, "".join(as_text(d, made.sources) for d in made.diagnostics)
    loaded = ModuleType("others_flow")
    sys.modules[loaded.__name__] = loaded
    text = generate(made.modules["others"])
    exec(compile(text, "others_flow.py", "exec"), loaded.__dict__)
    yield loaded
    del sys.modules[loaded.__name__]


class Abroad:
    """What is beyond the nodes, and no crash undoes: what was asked of it, by which key."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.shipped: dict[str, tuple[str, int]] = {}
        self.calls = 0
        self.paid: list[int] = []
        self.broken = 0

    def ship(self, key: str, order: str, n: int) -> str:
        self.calls += 1
        assert self.shipped.setdefault(key, (order, n)) == (order, n)
        if self.broken:
            self.broken -= 1
            raise ConnectionError("the line is dead")
        if order == "lost":
            raise self.module.Lost(order)
        return f"{order} {n}"

    def pay(self, key: str, sum_: int) -> int:
        self.paid.append(sum_)
        return sum_


class Peopled(World):
    """A world in which somebody answers questions, once nothing else is to be done."""

    def __init__(self, module: ModuleType, **options: Any) -> None:
        super().__init__(**options)
        self.module = module
        self.abroad = Abroad(module)
        self.add("alice", [module], lambda: {"Carrier": self.abroad})

    def tick(self) -> bool:
        return super().tick() or any(map(self._answer, [self.node("alice")]))

    def _answer(self, node: Node) -> bool:
        for task in node.tasks("buyer"):
            assert isinstance(task.question, self.module.Purchase)
            if task.question.sku != "nothing":
                note = "fine" if task.question.sku == "bolt" else None
                approval = task.answer(approved=task.question.sku != "nut", note=note)
                node.submit_answer(task.flow_id, task.number, approval, by="carol")
                return True
        return False


Play = Callable[..., Any]


@pytest.fixture
def play(module: ModuleType) -> Play:
    """Runs a flow at alice, once without and once with each crash that there can be; says how it
    ended, which is the same every time."""

    def run(flow: str, *, crashes: bool = True, **arguments: Any) -> Any:
        def build(power: Power) -> World:
            world = Peopled(module, power=power, reload=True)
            world.start("alice", getattr(module, flow), **arguments)
            return world

        def observe(world: World) -> Any:
            assert world.residue() == {"alice": (0, 0, 0)}
            (start,) = world.starts
            try:
                return world.result(start)
            except FlowError as error:
                return type(error).__name__, str(error)

        ends = []
        for _, end in every_crash(build, observe):
            ends.append(end)
            if not crashes:
                break
        assert all(end == ends[0] for end in ends), ends
        return ends[0]

    return run


def test_an_operation_gives_its_result_or_throws(play: Play, module: ModuleType) -> None:
    # What may run only once is another matter when it crashes: see below.
    assert play("Ship_v1", crashes=False, order="bolt", n=3) == "bolt 3 for 3"
    assert play("Ship_v1", order="lost", n=3) == "instead 3"


def test_an_operation_runs_again_under_its_key_until_it_succeeds(module: ModuleType) -> None:
    with Peopled(module, reload=True) as world:
        world.abroad.broken = 5
        start = world.start("alice", module.Ship_v1, order="bolt", n=3)
        world.run()
        assert world.result(start) == "bolt 3 for 3"
        assert world.abroad.calls == 6
        assert list(world.abroad.shipped.values()) == [("bolt", 3)]


def test_what_may_run_once_runs_at_most_once(module: ModuleType) -> None:
    def build(power: Power) -> World:
        world = Peopled(module, power=power, reload=True)
        world.start("alice", module.Ship_v1, order="bolt", n=3)
        return world

    def observe(world: World) -> tuple[int, int]:
        assert isinstance(world, Peopled)
        return len(world.abroad.paid), len(world.node("alice").hospital())

    seen = {end for _, end in every_crash(build, observe)}
    assert seen >= {(1, 0), (1, 1)}
    assert all(paid <= 1 for paid, _ in seen)


def test_the_flows_that_were_started_give_their_results_in_order(play: Play) -> None:
    assert play("Parts_v1", ns=(3, 1, 2)) == (6, 2, 4, 3)
    assert play("Parts_v1", ns=()) == (0,)
    name, text = play("Parts_v1", ns=(3, 13, 30))
    assert name == "FlowFailed"
    assert "Lost" in text


def test_a_flow_starts_later_and_a_moment_is_waited_for(play: Play) -> None:
    pause = datetime.timedelta(minutes=10)
    assert play("Later_v1", pause=pause) == (True, True, True)
    assert play("Later_v1", pause=-pause) == (True, True, True)


def test_a_flow_without_a_result_is_waited_for(play: Play) -> None:
    assert play("Alone_v1", n=4) == 4


@pytest.mark.parametrize(
    ("sku", "said"),
    [
        ("bolt", "carol says fine, true"),
        ("nut", "carol says false"),
        ("nothing", "nobody says anything"),
    ],
)
def test_somebody_answers_or_nobody(play: Play, sku: str, said: str) -> None:
    assert play("Buy_v1", sku=sku) == said


@pytest.mark.parametrize(
    ("sku", "said"), [("bolt", "carol, all 3"), ("nothing", "nobody, then nothing")]
)
def test_what_is_pending_comes_in_any_order(play: Play, sku: str, said: str) -> None:
    assert play("Race_v1", sku=sku) == said


@pytest.mark.parametrize(("n", "said"), [(5, "10"), (13, "failed"), (30, "late")])
def test_the_end_of_a_flow_comes_within_a_deadline_or_not(play: Play, n: int, said: str) -> None:
    assert play("Limited_v1", n=n) == said


def test_a_schedule_starts_its_flow_by_the_clock_of_its_zone(module: ModuleType) -> None:
    (schedule,) = module.SCHEDULES
    assert (schedule.name, schedule.flow) == ("others.Nights", module.Nightly_v1)
    with Peopled(module, reload=True) as world:
        world.run(3 * 24 * HOUR_US)
        assert list(world.abroad.shipped.values()) == [("main", 2)] * 3
        assert world.residue() == {"alice": (0, 0, 0)}
