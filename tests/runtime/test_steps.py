"""Progress steps with values: what is told of them, what is a move, what a crash changes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from flowlang import cli
from flowrt.core.progress import ProgressEvent
from flowrt.core.values import decode_checkpoint
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import ALICE, Stage, compiled

LOADING = """
record Part:
    name: Text
    price: Decimal
    tags: List[Bytes]

flow Load(total: Int):
    startable by rpc
    steps:
        LOADING(done: Int, total: Int) "{done} of {total}"
        BUSY(part: Part, who: List[Party], names: Map[Int, Duration]) "Busy"
    var done = 0
    while done < total:
        done = done + 1
        step LOADING(done // 2, total)
        checkpoint
    step BUSY(Part("hull", 2.50, [b"x"]), [me], {1: 90s})
    subflow Untracked(3)

flow Untracked(left: Int):
    steps:
        CLOSING(left: Int?) "{left} left"
    step CLOSING(none)
    step CLOSING(left)
"""


def told(event: ProgressEvent) -> tuple[Any, ...]:
    return event.path, event.label, event.values


@pytest.mark.parametrize("crashes", [False, True])
def test_values_are_told_with_the_label(crashes: bool) -> None:
    program = compiled(LOADING)
    stage = Stage(program, ALICE, crashes=crashes)
    flow_id = stage.start(program.Load_v1, total=4)
    stage.result(flow_id)
    part = {"name": "hull", "price": "2.5", "tags": ["78"]}
    busy = {"part": part, "who": ["alice"], "names": {"1": "PT90S"}}
    assert [told(event) for event in stage.nodes["alice"].progress(flow_id)] == [
        (("LOADING",), "0 of 4", {"done": 0, "total": 4}),
        # The same values again are no move, also where a crash lies between.
        (("LOADING",), "1 of 4", {"done": 1, "total": 4}),
        (("LOADING",), "2 of 4", {"done": 2, "total": 4}),
        (("BUSY",), "Busy", busy),
        # A subflow that no step tracks hangs under the step that its caller is at.
        (("BUSY", "CLOSING"), "none left", {"left": None}),
        (("BUSY", "CLOSING"), "3 left", {"left": 3}),
        ((), "", {}),
    ]


def test_what_is_told_is_plain_data() -> None:
    program = compiled(LOADING)
    stage = Stage(program, ALICE)
    flow_id = stage.start(program.Load_v1, total=1)
    stage.result(flow_id)
    events = stage.nodes["alice"].progress(flow_id)
    assert json.loads(json.dumps([event.values for event in events])) == [e.values for e in events]


def test_the_live_stream_has_them() -> None:
    program = compiled(LOADING)

    async def labels() -> list[dict[str, Any]]:
        node = await Node.open(
            "alice", store=MemoryStore(), network=MemoryNetwork(), modules=[program]
        )
        handle = await node.start(program.Load_v1, total=1)
        found = [event.values async for event in handle.progress()]
        await node.close()
        return found

    assert {"done": 0, "total": 1} in asyncio.run(labels())


def test_flowc_run_prints_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("load.flow").write_text(LOADING)
    with pytest.raises(SystemExit):
        cli.main(["run", "load.flow", "Load", "--as", "alice", "total=1", "--json"])
    printed = capsys.readouterr()
    first = json.loads(printed.err.splitlines()[0])
    assert (first["party"], first["flow"], first["path"]) == ("alice", "load.Load", ["LOADING"])
    assert first["values"] == {"done": 0, "total": 1}
    assert json.loads(printed.out)["flow"] == "load.Load_v1"


def test_a_step_without_values_costs_its_number_alone() -> None:
    program = compiled(
        "flow Plain():\n    startable by rpc\n    steps:\n"
        '        ONE "One"\n        TWO(n: Int) "Two"\n'
        "    step ONE\n    checkpoint\n    step TWO(7)\n    sleep 1s\n"
    )
    stage = Stage(program, ALICE)
    flow_id = stage.start(program.Plain_v1)
    states = stage.nodes["alice"].registry.states_of
    assert decode_checkpoint(stage.disks["alice"].flows[flow_id][0], states).frames[0].step == 0
    before = len(stage.disks["alice"].flows[flow_id][0])
    stage.turn("alice")
    assert len(stage.disks["alice"].flows[flow_id][0]) < before + 24


def test_a_label_that_cannot_be_computed_sends_the_flow_to_the_hospital() -> None:
    program = compiled(
        "flow Ratio(of: Int):\n    startable by rpc\n    steps:\n"
        '        AT(n: Int) "{100 // n} %"\n    step AT(of)\n'
    )
    stage = Stage(program, ALICE)
    stage.start(program.Ratio_v1, of=0)
    (patient,) = stage.nodes["alice"].hospital()
    assert "division by zero" in patient.cause


def test_an_argument_is_computed_once() -> None:
    class Counter:
        count = 0

        def draw(self, tx: Any) -> int:
            self.count += 1
            return self.count

    program = compiled(
        "service Counter:\n    write draw() -> Int\n\nflow Count():\n    startable by rpc\n"
        '    steps:\n        AT(n: Int, m: Int) "{n} {n} {m}"\n'
        "    step AT(m=Counter.draw(), n=Counter.draw())\n"
    )
    stage = Stage(program, ALICE, services={"Counter": Counter()})
    flow_id = stage.start(program.Count_v1)
    (event, _) = stage.nodes["alice"].progress(flow_id)
    assert sorted(event.values.values()) == [1, 2]
    assert event.label == "{n} {n} {m}".format(**event.values)
