"""What tests have seen: what there is, what steps tell, and what processes hand to each other."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from flowlang.compiler import Compilation, compile_modules
from flowlang.source import Source
from flowlang.testing.tally import Line, Tally
from flowrt.sim.history import Began, Rested

ROOT = Path(__file__).parent.parent.parent
LOOP = """\
flow Main(n: Int) -> Int:
    startable by rpc
    if n > 3:
        sleep 1h
    let deep = subflow Deep(n)
    sleep 2h
    return deep

flow Deep(n: Int) -> Int:
    if n > 0:
        return subflow Deep(n - 1)
    if n < 0:
        checkpoint
    return n
"""


def compiled(text: str) -> Compilation:
    made = compile_modules(["shop"], {"shop": Source("shop.flow", "shop", text)}.get)
    assert not made.diagnostics
    return made


@pytest.fixture
def tally() -> Tally:
    found = Tally()
    found.know(compiled(LOOP).modules.values(), {"shop": "shop.flow"})
    return found


def line(tally: Tally, name: str) -> Line:
    return next(one for one in tally.lines() if one.name == name)


def step(before: str, after: str) -> Rested:
    """A step of Main from a state to a state; "" before its beginning and after its end."""
    paths = [((("shop.Main_v1", state),) if state else ()) for state in (before, after)]
    return Rested(0, "ann", 1, *paths)


def states(tally: Tally) -> list[str]:
    return [name for name in tally.data()["known"]["shop.Main_v1"][3] if name != "Start"]


def test_nothing_was_seen(tally: Tally) -> None:
    assert line(tally, "Main").states == (0, 4)
    assert (line(tally, "Main").ways[0], tally.percent()) == (0, 0.0)


def test_a_subflow_that_never_rested_was_run_all_the_same(tally: Tally) -> None:
    """The step goes from the beginning to the second sleep, through a subflow that runs itself."""
    [first, deep, second] = states(tally)
    tally.see([Began(0, "ann", 1, "shop.Main_v1"), step("", second)])
    assert line(tally, "Main").states == (3, 4)
    assert line(tally, "Main").missing == (
        f"never rests in {first} (line 4)",
        f"never goes from {second} to its end",
    )
    assert line(tally, "Deep").seen > 0
    tally.see([step("", first), step(first, second), step(second, "")])
    assert line(tally, "Main").missing == ()
    assert deep != second


def test_what_was_seen_before_it_was_known(tally: Tally) -> None:
    late = Tally()
    late.see([step("", states(tally)[2]), step(states(tally)[2], "")])
    assert late.lines() == []
    late.know(compiled(LOOP).modules.values(), {})
    assert line(late, "Main").states == (3, 4)


def test_processes_hand_on_plain_data(tally: Tally) -> None:
    first, _, second = states(tally)
    tally.see([step("", first)])
    other = Tally()
    other.see([step(first, second)])
    whole = Tally()
    for one in (tally, other):
        whole.add(json.loads(json.dumps(one.data())))
    tally.see([step(first, second)])
    assert whole.lines() == tally.lines()
    assert whole.table() == tally.table()
    assert msgspec.json.encode(whole.data()) == msgspec.json.encode(tally.data())


def test_what_is_said_to_an_owner_is_no_message_between_parties() -> None:
    text = (ROOT / "tests" / "examples" / "small_channel" / "channel.flow").read_text()
    found = Tally()
    found.know(compiled(text).modules.values(), {})
    messages = found.data()["known"]["shop.PayOnCommand_v1"][5]
    assert sorted({name for _, name, _ in messages}) == ["Finish", "Payment", "Received", "Settled"]
    assert ["received", "Finish", "AwaitPayOrFinish"] not in messages
