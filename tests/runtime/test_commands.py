"""A flow and whoever started it: commands, messages, what is given back, the end."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flowrt.core import flow as rt
from flowrt.core.flow import Came, Choose, Late, Receive, ReceiveEach, Return, Sleep
from flowrt.core.session import UNREAD
from flowrt.node import Bounced, Node, NodeStopped, NotAccepted
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.crashes import CRASHES, FAULTS, Power, World, every_crash
from tests.runtime.hand_flow import ERRORS, Refused
from tests.runtime.plays import play, plays


class Add(rt.Message, frozen=True, array_like=True, gc=False):
    wire: ClassVar[str] = "t.Add"
    count: rt.Int


class Stop(rt.Message, frozen=True, array_like=True, gc=False):
    wire: ClassVar[str] = "t.Stop"
    how: str = ""


class Total(rt.Message, frozen=True, array_like=True, gc=False):
    wire: ClassVar[str] = "t.Total"
    count: rt.Int


class Owned(rt.State, frozen=True, array_like=True, gc=False):
    """A flow with an owner: its owner's session is the last field."""

    n: rt.Int = 0
    count: rt.Int = 0
    boss: rt.Session = rt.Session(0)


def owned(name: str, *parts: Any, **declared: Any) -> type[rt.Flow[Any]]:
    own = {
        "owner": True,
        "commands": (Add, Stop),
        "Start": Owned,
        "States": Owned,
        "errors": ERRORS,
    }
    return play(name, *parts, **{**own, **declared})


BOSS = rt.Session(0)


def counting() -> type[rt.Flow[Any]]:
    """Adds up what it is told and says the sum, until it is told to stop."""

    def waits(run: Any, at_: Owned) -> Any:
        return Choose(Owned(1, at_.count), (BOSS,))

    def takes(run: Any, at_: Owned) -> Any:
        if run.chosen(Came(BOSS, Add), Came(BOSS, Stop)) == 0:
            count = at_.count + run.received(Add).count
            run.send(BOSS, Total(count))
            return Choose(Owned(1, count), (BOSS,))
        how = run.received(Stop).how
        if how == "refuse":
            raise Refused("as told")
        if how == "timeout":
            raise rt.Timeout
        return Return(at_.count)

    return owned("t.Count", waits, takes)


def once(kind: type[rt.Message] = Add) -> type[rt.Flow[Any]]:
    """Waits for one message of one kind."""
    return owned(
        "t.Once",
        lambda run, s: Receive(Owned(1), BOSS),
        lambda run, s: Return(run.received(kind).count),
    )


def module(*flows: type[rt.Flow[Any]]) -> Any:
    made = plays(*flows)
    made.Add, made.Stop, made.Total = Add, Stop, Total  # type: ignore[attr-defined]
    return made


def world(*flows: type[rt.Flow[Any]], power: Power | None = None, **how: Any) -> World:
    made = World(power=power, **how)
    made.add("alice", [module(*flows)])
    return made


@pytest.fixture(params=["memory", "sqlite"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "sqlite" else None


def heard(handle: Any) -> list[Any]:
    """All that a handle has to say now, and how it ends."""
    found: list[Any] = []
    while True:
        try:
            message = handle.receive_now()
        except Bounced as error:
            found.append((error.message, error.reason))
            continue
        except rt.FlowError as error:
            return [*found, error]
        if message is None:
            return found
        found.append(message)


def test_commands_and_messages_in_order(folder: Path | None) -> None:
    flow = counting()
    with world(flow, folder=folder, reload=True) as on:
        start = on.start("alice", flow)
        node = on.node("alice")
        told = [node.submit_command(start.id, Add(n)) for n in (1, 2, 3)]
        on.run()
        assert [one.result(0) for one in told] == [None] * 3
        assert heard(on.handle(start)) == [Total(1), Total(3), Total(6)]
        assert heard(on.handle(start)) == [], "each is heard once"
        on.crash("alice")
        assert heard(on.handle(start)) == [Total(1), Total(3), Total(6)], "a new handle hears all"
        on.node("alice").submit_command(start.id, Stop())
        on.run()
        assert on.result(start) == 6
        assert type(heard(on.handle(start))[-1]) is rt.SessionEnded


@pytest.mark.parametrize("kind", [*CRASHES, *FAULTS])
def test_commands_are_durable_once_they_are_told(kind: str) -> None:
    flow = counting()

    def build(power: Power) -> World:
        made = world(flow, power=power)
        made.start("alice", flow)
        return made

    def observe(on: World) -> Any:
        start = on.starts[0]
        for n in (1, 10, 100):
            for _ in range(3):
                node = on.node("alice")
                told = node.submit_command(start.id, Add(n))
                on.run()
                if told.done():
                    assert told.exception() is None
                    break
        said = heard(on.handle(start))
        sums = [b.count - a.count for a, b in zip([Total(0), *said], said, strict=False)]
        # A command that nobody confirmed may have been taken: who sends again says so himself.
        assert sorted(set(sums)) == [1, 10, 100]
        assert sums == sorted(sums)
        on.node("alice").submit_command(start.id, Stop())
        on.run()
        if on.outcome(start) is None:
            on.node("alice").submit_command(start.id, Stop())
            on.run()
        return on.result(start) == said[-1].count, on.residue()

    for power, seen in every_crash(build, observe, kinds=(kind,)):
        assert seen == (True, {"alice": (0, 0, 0)}), power


@pytest.mark.parametrize("reload", [False, True])
def test_what_does_not_fit_now_goes_back_and_harms_nobody(reload: bool) -> None:
    flow = once()
    with world(flow, reload=reload) as on:
        start = on.start("alice", flow)
        node = on.node("alice")
        for message in (Stop("a"), Stop("b"), Add(4)):
            node.submit_command(start.id, message)
        on.run()
        first, second, end = heard(on.handle(start))
        assert first == (Stop("a"), "the flow waits for t.Add")
        assert second[0] == Stop("b")
        assert type(end) is rt.SessionEnded
        assert on.result(start) == 4


def test_a_choice_gives_back_what_no_case_takes() -> None:
    waits = lambda run, s: Choose(Owned(1), (BOSS,), (), datetime.timedelta(hours=1))  # noqa: E731

    def takes(run: Any, at_: Owned) -> Any:
        assert run.chosen(Came(BOSS, Add), Late()) == 0
        return Return(run.received(Add).count)

    flow = owned("t.F", waits, takes)
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run(0)
        before = on.node("alice").next_due()
        on.node("alice").submit_command(start.id, Stop("a"))
        on.run(0)
        assert heard(on.handle(start)) == [(Stop("a"), "the flow does not wait for it now")]
        assert on.node("alice").next_due() == before, "it waits on, until the same time"
        on.node("alice").submit_command(start.id, Add(1))
        on.run(0)
        assert on.result(start) == 1


def test_a_misfit_takes_nothing_from_the_others_of_a_group() -> None:
    """One from a peer and one from the owner: the peer's must not be read and lost."""
    opened = rt.Session(1)

    def first(run: Any, at_: Owned) -> Any:
        run.send(run.open("t.B", rt.Party("alice"), 0), Add(1))
        return ReceiveEach(Owned(1), (opened, BOSS))

    def then(run: Any, at_: Owned) -> Any:
        return Return(str([message.count for message in run.received_each(Add)]))

    def answers(run: Any, at_: Any) -> Any:
        run.send(rt.Session(0), Add(run.received(Add).count + 5))
        return Return(None)

    flow = owned("t.A", first, then)
    responder = play(
        "t.B", lambda run, s: Receive(type(s)(n=1), rt.Session(0)), answers, responds_to="t.A"
    )
    with world(flow, responder) as on:
        start = on.start("alice", flow)
        on.run(0)
        on.node("alice").submit_command(start.id, Stop("x"))
        on.run(0)
        on.node("alice").submit_command(start.id, Add(2))
        on.run(0)
        assert on.result(start) == "[6, 2]"


def test_what_is_unread_at_the_end_goes_back() -> None:
    flow = once()
    with world(flow) as on:
        start = on.start("alice", flow)
        told = [on.node("alice").submit_command(start.id, Add(n)) for n in (1, 2, 3)]
        on.run()
        assert all(one.done() and one.exception() is None for one in told)
        assert heard(on.handle(start))[:-1] == [
            (Add(2), "the flow has ended"),
            (Add(3), "the flow has ended"),
        ]


def test_what_is_not_accepted() -> None:
    flow, sleeper = counting(), owned("t.Close", *closing())
    plain = play("t.Plain", lambda run, s: Sleep(s, datetime.timedelta(days=1)))
    with world(flow, sleeper, plain) as on:
        one, closed, other = [on.start("alice", kind) for kind in (flow, sleeper, plain)]
        on.run(0)
        node = on.node("alice")

        def refused(flow_id: int, message: rt.Message) -> str:
            told = node.submit_command(flow_id, message)
            on.run(0)
            with pytest.raises(NotAccepted) as error:
                told.result(0)
            return str(error.value)

        assert "never takes t.Total from its owner, but Add, Stop" in refused(one.id, Total(1))
        assert "has closed" in refused(closed.id, Add(1))
        assert "has no session with its owner" in refused(other.id, Add(1))
        assert "flow 99 has ended" in refused(99, Add(1))
        with pytest.raises(NotAccepted, match="larger"):
            node.submit_command(one.id, Stop("x" * (1 << 20)))
        for wrong in (Add("three"), Add(2**70), Stop(None)):  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="is not what the"):
                node.submit_command(one.id, wrong)
        with pytest.raises(TypeError, match="is not a message"):
            node.submit_command(one.id, 5)  # type: ignore[arg-type]
        node.submit_command(one.id, Stop())
        on.run(0)
        assert "has ended" in refused(one.id, Add(1))
        assert node.hospital() == []


def closing() -> Any:
    def closes(run: Any, at_: Owned) -> Any:
        run.send(BOSS, Total(1))
        run.close(BOSS)
        return Sleep(Owned(1), datetime.timedelta(days=1))

    return closes, lambda run, s: Return(1)


def test_the_last_word_is_said_whenever_somebody_asks() -> None:
    flow = owned("t.Close", *closing())
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run(0)
        handle = on.handle(start)
        assert handle.receive_now() == Total(1)
        for _ in range(3):
            with pytest.raises(rt.SessionEnded):
                handle.receive_now()


@pytest.mark.parametrize(
    ("how", "kind"), [("refuse", Refused), ("timeout", rt.UnexpectedFlowEnd), ("", rt.SessionEnded)]
)
def test_how_the_flow_ended_is_told(how: str, kind: type[rt.FlowError]) -> None:
    flow = counting()
    with world(flow) as on:
        start = on.start("alice", flow)
        on.node("alice").submit_command(start.id, Stop(how))
        on.run()
        (end,) = heard(on.handle(start))
        assert type(end) is kind
        if how == "refuse":
            assert end.why == "as told"


def test_a_body_that_cannot_be_read_goes_back() -> None:
    """As after a change of the message's fields under the same name."""

    class Older(rt.Message, frozen=True, array_like=True, gc=False):
        wire: ClassVar[str] = "t.Add"
        text: str

    flow = once()
    with world(flow) as on:
        start = on.start("alice", flow)
        on.node("alice").submit_command(start.id, Older("five"))
        on.run()
        ((message, reason),) = heard(on.handle(start))
        assert message is None, "nor can its owner read it any more"
        assert "t.Add could not be read" in reason
        on.node("alice").submit_command(start.id, Add(5))
        on.run()
        assert on.result(start) == 5


def test_what_is_owed_by_an_owner_goes_back() -> None:
    def waits(run: Any, at_: Owned) -> Any:
        return Receive(Owned(1), BOSS, run.now, discard=True)

    def late(run: Any, at_: Owned) -> Any:
        with pytest.raises(rt.Timeout):
            run.received(Add)
        return Receive(Owned(2), BOSS)

    flow = owned("t.F", waits, late, lambda run, s: Return(run.received(Add).count))
    with world(flow, reload=True) as on:
        start = on.start("alice", flow)
        on.run(0)
        for n in (1, 2):
            on.node("alice").submit_command(start.id, Add(n))
        on.run(0)
        assert on.result(start) == 2
        assert heard(on.handle(start))[0] == (Add(1), "the flow does not wait for it any more")


def test_nothing_grows_with_each_command() -> None:
    flow = counting()
    with world(flow) as on:
        start = on.start("alice", flow)
        sizes = []
        for _ in range(3):
            for _ in range(300):
                on.node("alice").submit_command(start.id, Add(0))
                on.node("alice").turn()
            on.run(0)
            node = on.node("alice")
            (flow_view,) = node.flows()
            sizes.append((flow_view.checkpoint_bytes, len(node._timers), len(node._ready)))
        assert sizes[1] == sizes[2]


def test_commands_during_a_nap_do_not_add_timers_and_are_not_without_end() -> None:
    flow = owned("t.Nap", *napping())
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run(0)
        node = on.node("alice")
        told = [node.submit_command(start.id, Add(n)) for n in range(UNREAD + 5)]
        on.run(0)
        assert len(node._timers) == 1
        assert [one.exception() is None for one in told] == [True] * UNREAD + [False] * 5
        assert "not read" in str(told[-1].exception())
        on.run(2 * 86_400_000_000)
        assert on.result(start) == 0


def napping() -> Any:
    def wakes(run: Any, at_: Owned) -> Any:
        run.woken()
        return Receive(Owned(2), BOSS)

    nap = datetime.timedelta(days=1)
    return (
        lambda run, s: Sleep(Owned(1), nap),
        wakes,
        lambda run, s: Return(run.received(Add).count),
    )


def test_deadlines_that_never_pass_cost_one_timer() -> None:
    """A message a second, each with two days' time."""

    def waits(run: Any, at_: Owned) -> Any:
        return Choose(Owned(1), (BOSS,), (), datetime.timedelta(days=2))

    def takes(run: Any, at_: Owned) -> Any:
        run.chosen(Came(BOSS, Add), Late())
        run.received(Add)
        return Sleep(Owned(2), datetime.timedelta(seconds=1))

    def again(run: Any, at_: Owned) -> Any:
        run.woken()
        return waits(run, at_)

    flow = owned("t.F", waits, takes, again)
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run(0)
        for _ in range(300):
            on.node("alice").submit_command(start.id, Add(0))
            on.run(2_000_000)
        assert len(on.node("alice")._timers) < 80
        assert on.node("alice").hospital() == []


def test_the_owners_session_is_not_given_at_the_start() -> None:
    from flowrt.node import NotStartable

    flow = counting()
    with world(flow) as on, pytest.raises(NotStartable, match="`boss` is not given"):
        on.node("alice").submit(flow, boss=0)  # type: ignore[arg-type]


def test_in_an_event_loop() -> None:
    flow = counting()

    async def test() -> None:
        disk = MemoryDisk()

        async def opened() -> Node:
            return await Node.open(
                "alice", store=MemoryStore(disk), network=MemoryNetwork(), modules=[module(flow)]
            )

        node = await opened()
        handle = await node.start(flow)
        listens = asyncio.create_task(handle.receive())
        await asyncio.sleep(0)
        await handle.send(Add(2))
        assert await listens == Total(2)
        with pytest.raises(NotAccepted):
            await handle.send(Total(1))
        waits = asyncio.create_task(handle.receive())
        await asyncio.sleep(0)
        await node.close()
        with pytest.raises(NodeStopped):
            await waits
        with pytest.raises(NodeStopped):
            await handle.send(Add(1))
        node = await opened()
        again = node.handle(handle.id)
        assert await again.receive() == Total(2)
        both = [asyncio.create_task(again.receive()) for _ in range(2)]
        await asyncio.sleep(0)
        await again.send(Add(3))
        await again.send(Stop("refuse"))
        found = await asyncio.gather(*both, return_exceptions=True)
        assert found[0] == Total(5)
        assert isinstance(found[1], Refused)
        with pytest.raises(Refused):
            await again.result()
        await node.close()

    asyncio.run(asyncio.wait_for(test(), 20))
