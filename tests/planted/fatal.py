"""A story of its own: steps that end their process whenever they run, subflows that show steps; and
the defects that only it can see. Not among the others, so that their seeds stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowrt.core.flow import Tx
from flowrt.sim import Violation, World
from flowrt.sim.disk import Crash
from tests.planted.planting import defect
from tests.planted.stories import ALICE, BOB, Story, program

MOST = 30
"""So many processes do not end in one step, whatever else goes wrong."""

TEXT = """
service Native:
    write call(what: Text) -> Int
    external ring(what: Text) -> Int

flow Outer() -> Int:
    startable by rpc
    steps:
        CALLING "Calling"
    step CALLING
    let n = subflow Inner()
    sleep 1s
    return n

flow Inner() -> Int:
    steps:
        INSIDE "Inside"
    step INSIDE
    sleep 1s
    return Native.call("inside")

message Please:
    what: Text

flow Calls(what: Text) -> Int:
    startable by rpc
    checkpoint
    let n = Native.call(what)
    return n

flow Rings(what: Text) -> Int:
    startable by rpc
    let n = await Native.ring(what)
    return n

flow Asks(other: Party, what: Text) -> Int:
    startable by rpc
    open Answers with other as line
    send Please(what) to line
    return 1

flow Answers():
    responds to Asks as line
    receive p: Please from line unchecked
    let n = Native.call(p.what)
"""


class Native:
    """Code of another language. The world outside counts what it ends, over all processes."""

    def __init__(self, story: Fatal) -> None:
        self.story = story

    def call(self, tx: Tx, what: str) -> int:
        if what == "fatal":
            self.story.deaths += 1
            if self.story.deaths > MOST:
                raise Violation("L", f"{MOST} processes have ended in steps, one after the other")
            raise Crash
        return len(what)

    def ring(self, key: str, what: str) -> int:
        if what == "fatal":
            self.story.rings += 1
            if self.story.rings > MOST:
                raise Violation("L", f"{MOST} processes have ended in one operation")
            raise Crash
        return len(what)


class Fatal(Story):
    """Some flows go well, and some end their process."""

    name = "fatal"
    ill = True

    def __init__(self) -> None:
        super().__init__()
        self.flows = program(TEXT)
        self.deaths = self.rings = 0

    def _services(self, party: str) -> Callable[[], Mapping[str, object]]:
        return lambda: {"Native": Native(self)}

    def build(self, world: World) -> None:
        self.people(world)
        self.start(world, ALICE, "Calls", 3, what="tea")
        self.fatal: Any = self.start(world, ALICE, "Calls", 0, what="fatal")
        self.start(world, ALICE, "Asks", 1, other=BOB, what="fatal")
        self.start(world, ALICE, "Asks", 1, other=BOB, what="harmless")
        self.start(world, BOB, "Calls", 6, what="coffee")
        self.start(world, BOB, "Outer", 6)
        self.start(world, BOB, "Rings", 3, what="tea")
        self.start(world, ALICE, "Rings", 0, what="fatal")

    def judge(self, world: World) -> None:
        super().judge(world)
        causes = {
            party: [patient.cause for patient in world.node(party).patients()]
            for party in ("alice", "bob")
        }
        for party, count in (("alice", 2), ("bob", 1)):
            found = causes[party]
            if [cause[:16] for cause in found] != ["EndsItsProcess: "] * count:
                raise Violation("J2", f"the patients of {party}: {found}")


DEFECTS = (
    defect(
        "steps are not marked",
        "node",
        "what is under way is not noted before it runs",
        "L",
        ("flowrt.stepping:Stepping._step", "self._store.mark(job.mark)", "pass"),
    ),
    defect(
        "ends are not counted",
        "store",
        "of the processes that a step has ended only the last one counts",
        "L",
        ("flowrt.store.marks:Marks.opened", "found.get(number, 0) + 1", "1"),
    ),
    defect(
        "invitations have no mark",
        "node",
        "the first step of a flow that a peer invited is known by its flow's number alone, which "
        "is another one each time",
        "L, J2",
        ("flowrt.turn:Job.__init__", "mark_of(asker) if asker else flow_id", "id(self) >> 4"),
    ),
    defect(
        "calls' ends are not counted",
        "node",
        "an operation is begun again by itself, although three processes have ended in it",
        "L",
        ("flowrt.operations:Operations.see_to", "self.deaths.get(key, 0) >= DEADLY", "False"),
    ),
    defect(
        "calls are not marked",
        "node",
        "that an operation is under way is not noted before it runs",
        "L",
        ("flowrt.operations:Operations._run", "self._store.begin_call(call)", "pass"),
    ),
    defect(
        "subflow's end is not told",
        "engine",
        "the tracker still shows the steps of a subflow that has ended",
        "I14",
        ("flowrt.core.step:StepRun._over", 'self._moved(name, depth, "", detail=detail)', "pass"),
    ),
)
