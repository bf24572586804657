"""What `node.flows()` tells of flows that wait for other things than one message."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.flow import Await, Choose, Receive, ReceiveEach, Sleep, WaitUntil
from tests.runtime.crashes import World
from tests.runtime.plays import at, play, plays

DAY = datetime.timedelta(days=1)
POST: Any = rt.ServiceKey("t.Post", rt.Operation("ship", "external", ("n",), int, (rt.Int,)))
NOTHING = play("t.Nothing", lambda run, s: Sleep(s, DAY))


class Post:
    def ship(self, key: str, n: int) -> int:
        raise OSError("never")


def opened(run: Any, *parties: str) -> tuple[rt.Session, ...]:
    return tuple(run.open("t.B", rt.Party(party), 0) for party in parties)


def ask(run: Any) -> rt.Pending:
    pending: rt.Pending = run.ask("boss", "t.Q", 1, "t.A")
    return pending


WAITS: dict[str, tuple[Any, str, str | None]] = {
    "message": (lambda run: Receive(at(1), *opened(run, "bob")), "a message", "bob"),
    "message in time": (
        lambda run: Receive(at(1), *opened(run, "bob"), run.now + DAY),
        "a message",
        "bob",
    ),
    "each": (
        lambda run: ReceiveEach(at(1), opened(run, "dave", "bob", "bob")),
        "messages of each",
        "bob, dave",
    ),
    "choice": (
        lambda run: Choose(at(1), opened(run, "bob", "dave"), (ask(run),), DAY),
        "a message or an answer by boss or time",
        "bob, dave",
    ),
    "operation": (
        lambda run: Await(at(1), (run.request(POST, "ship", 1),)),
        "t.Post.ship",
        None,
    ),
    "flow": (lambda run: Await(at(1), (run.follow(run.start(NOTHING, at(0))),)), "flow 2", None),
    "task": (lambda run: Await(at(1), (ask(run),), run.now + DAY), "an answer by boss", None),
    "sleep": (lambda run: Sleep(at(1), DAY), "time", None),
    "sleep in time": (lambda run: Sleep(at(1), DAY, run.now + DAY / 2), "time", None),
    "until": (lambda run: WaitUntil(at(1), run.now + DAY), "time", None),
}


@pytest.mark.parametrize("what", WAITS)
def test_for_what_and_for_whom(what: str) -> None:
    wait, waits, peer = WAITS[what]
    flow = play("t.F", lambda run, s: wait(run), services=(POST,), tasks={"t.Q": int, "t.A": int})
    world = World()
    world.add("alice", [plays(flow, NOTHING)], lambda: {"Post": Post()})
    with world as on:
        start = on.start("alice", flow)
        on.run(0)
        found = next(one for one in on.node("alice").flows() if one.id == start.id)
        assert (found.waits, found.peer, found.in_hospital) == (waits, peer, False)
        assert found.flow == "t.F_v1"
