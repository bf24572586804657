"""Choices, groups and deadlines, compiled and run on nodes: what comes first, who does not answer,
what comes too late; and that no crash changes any of it."""

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
from flowrt.core.flow import FlowError, Party
from tests.runtime.crashes import Power, World, every_crash

BOB, CAROL, DAVE = (Party(name) for name in ("bob", "carol", "dave"))
PARTIES = ("alice", "bob", "carol", "dave")

PROGRAM = '''
message Ask:
    """Answer `n`, after a nap: with a bid, from 900 with a refusal, at 0 by ending, below 0 with an
    error."""
    n: Int
    nap: Duration

message Bid:
    price: Int

message No:
    why: Text

error Bad(n: Int): "bad {n}"

flow Serve(s: Session):
    while true:
        receive from s:
            case Ask as asked unchecked:
                sleep asked.nap
                if asked.n == 0:
                    return
                require asked.n > 0 else Bad(asked.n)
                if asked.n < 900:
                    send Bid(asked.n) to s
                else:
                    send No("{asked.n}") to s
            case ended:
                return

flow One(who: Party, n: Int, nap: Duration) -> Text:
    startable by rpc
    open OneServed with who as s
    send Ask(n, nap) to s then receive from s:
        case Bid as bid:
            require bid.price * 9223372036854775807 != 0 else Bad(bid.price)
            return "bid {bid.price}"
        case No as no unchecked:
            return "no {no.why}"
        case ended:
            return "ended"
        case timeout 1m:
            return "late"

flow OneServed():
    responds to One as s
    subflow Serve(s)

flow Limited(who: Party, nap: Duration) -> Int:
    startable by rpc
    open LimitedServed with who as s
    var got = 0
    try:
        within 1m:
            within 2m:
                while true:
                    subflow Bidding(s, nap)
                    got = got + 1
    catch Timeout:
        sleep 1s
        return got

flow Bidding(s: Session, nap: Duration):
    send Ask(1, nap) to s then receive bid: Bid from s within 50s unchecked
    sleep 1s

flow LimitedServed():
    responds to Limited as s
    subflow Serve(s)

flow Twice(who: Party, nap: Duration, drop: Bool) -> Text:
    startable by rpc
    open TwiceServed with who as s
    var said = "in time"
    try:
        if drop:
            send Ask(1, nap) to s then receive bid: Bid from s within 30s then discard unchecked
        else:
            send Ask(1, nap) to s then receive bid: Bid from s within 30s unchecked
    catch Timeout:
        said = "late"
    send Ask(2, 1s) to s then receive bid: Bid from s unchecked
    return "{said}, then {bid.price}"

flow TwiceServed():
    responds to Twice as s
    subflow Serve(s)

flow Each(parties: List[Party], ns: List[Int]) -> List[Int]:
    startable by rpc
    open EachServed with each parties as ss
    var i = 0
    for s in ss:
        send Ask(ns[i], 10s * (ns[i] % 100)) to s
        i = i + 1
    receive bids: Bid from each ss within 1m:
        for bid in bids:
            require bid.price != 3 else Bad(3)
    var prices: List[Int] = []
    for bid in bids:
        prices = prices + [bid.price]
    send Ask(5, 1s) to each ss then receive more: Bid from each ss unchecked
    return prices + [more.size]

flow EachServed():
    responds to Each as s
    subflow Serve(s)

flow Some(parties: List[Party], ns: List[Int]) -> List[Int]:
    startable by rpc
    open SomeServed with each parties as ss
    var i = 0
    for s in ss:
        send Ask(ns[i], 10s * (ns[i] % 100)) to s
        i = i + 1
    receive bids: Bid? from each ss within 45s then discard:
        for bid in bids:
            if bid != none:
                require bid.price != 3 else Bad(3)
    var prices: List[Int] = []
    for bid in bids:
        if bid == none:
            prices = prices + [-1]
        else:
            prices = prices + [bid.price]
    send Ask(6, 1m) to each ss then receive more: Bid? from each ss unchecked
    for bid in more:
        if bid == none:
            prices = prices + [-2]
        else:
            prices = prices + [bid.price]
    return prices

flow SomeServed():
    responds to Some as s
    subflow Serve(s)

flow First(parties: List[Party], naps: List[Duration]) -> Text:
    startable by rpc
    open FirstServed with each parties as ss
    open FirstServed with parties[0] as extra
    send Ask(9, 25s) to extra
    var i = 0
    for s in ss:
        send Ask(i + 1, naps[i]) to s
        i = i + 1
    var told = ""
    while i > 0:
        receive:
            case Bid from any ss as bid by s:
                require bid.price > 0 else Bad(bid.price)
                told = told + "{s.peer} {bid.price}, "
                send Ask(0, 1m) to s
            case Bid from extra as bid:
                require bid.price == 9 else Bad(bid.price)
                told = told + "extra, "
                close extra
            case ended from any ss by s:
                i = i - 1
                told = told + "end of {s.peer}, "
            case timeout 1h:
                throw Bad(1)
    return told

flow FirstServed():
    responds to First as s
    subflow Serve(s)
'''


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    """The program, compiled and imported."""
    made = compile_modules(["talks"], {"talks": Source("talks.flow", "talks", PROGRAM)}.get)
    assert not made.diagnostics, "\n".join(as_text(d, made.sources) for d in made.diagnostics)
    found = ModuleType("talks_flow")
    before = sys.modules.get("talks_flow")  # Another test's program of that name.
    sys.modules["talks_flow"] = found
    exec(compile(generate(made.modules["talks"]), "talks_flow.py", "exec"), found.__dict__)
    yield found
    del sys.modules["talks_flow"]
    if before is not None:
        sys.modules["talks_flow"] = before


Play = Callable[..., Any]


@pytest.fixture
def play(module: ModuleType) -> Play:
    """Runs a flow at alice, once without and once with each crash that there can be; says how it
    ended, which must be the same."""

    def build(power: Power, flow: str, arguments: dict[str, Any]) -> World:
        world = World(power=power, reload=True)
        for party in PARTIES:
            world.add(party, [module])
        world.start("alice", getattr(module, f"{flow}_v1"), **arguments)
        return world

    def observe(world: World) -> Any:
        left = world.residue()
        assert all(rest == (0, 0, 0) for rest in left.values()), left
        try:
            return world.result(world.starts[0])
        except FlowError as error:
            return f"{type(error).__name__}: {error}"

    def run(flow: str, **arguments: Any) -> Any:
        ends = list(every_crash(lambda power: build(power, flow, arguments), observe))
        for power, end in ends:
            assert end == ends[0][1], power
        return ends[0][1]

    return run


def seconds(number: int) -> datetime.timedelta:
    return datetime.timedelta(seconds=number)


# --- one of several things ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "nap", "end"),
    [
        (1, 30, "bid 1"),
        (950, 30, "no 950"),
        (0, 30, "ended"),
        (1, 90, "late"),
        (-5, 30, "Bad: bad -5"),
        (0, 90, "late"),
    ],
)
def test_whatever_comes_first_has_its_case(play: Play, n: int, nap: int, end: str) -> None:
    assert play("One", who=BOB, n=n, nap=seconds(nap)) == end


def test_a_fault_in_the_checks_of_a_case_is_the_peers(play: Play) -> None:
    end = play("One", who=BOB, n=2, nap=seconds(1))
    assert end == "Malformed: the result does not fit into a 64-bit Int"


def test_the_first_of_several_sessions_by_arrival(play: Play) -> None:
    told = play("First", parties=(BOB, CAROL), naps=(seconds(15), seconds(8)))
    assert told == "carol 2, bob 1, extra, end of carol, end of bob, "


# --- deadlines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("nap", "got"), [(20, 2), (8, 6), (55, 0), (90, 0)])
def test_a_deadline_over_several_waits_and_subflows(play: Play, nap: int, got: int) -> None:
    assert play("Limited", who=BOB, nap=seconds(nap)) == got


@pytest.mark.parametrize(
    ("nap", "drop", "end"),
    [
        (5, True, "in time, then 2"),
        (5, False, "in time, then 2"),
        (45, True, "late, then 2"),
        (45, False, "late, then 1"),
    ],
)
def test_what_comes_too_late_is_dropped_or_comes_next(
    play: Play, nap: int, drop: bool, end: str
) -> None:
    assert play("Twice", who=BOB, nap=seconds(nap), drop=drop) == end


# --- groups -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ns", "end"),
    [
        ((4, 1, 2), (4, 1, 2, 3)),
        ((5, 3, 1), "Bad: bad 3"),
        ((5, 7, 1), "Timeout: "),
        ((5, 0, 1), "SessionEnded: "),
        ((5, 901, 1), "UnexpectedMessage: "),
        ((), (0,)),
    ],
)
def test_one_message_from_each(play: Play, ns: tuple[int, ...], end: Any) -> None:
    parties = (BOB, CAROL, DAVE)[: len(ns)]
    found = play("Each", parties=parties, ns=ns)
    assert found == end or str(found).startswith(str(end))


@pytest.mark.parametrize(
    ("ns", "end"),
    [
        ((4, 1, 2), (4, 1, 2, 6, 6, 6)),
        ((4, 5, 2), (4, -1, 2, 6, 6, 6)),
        ((4, 0, 2), "SessionEnded: "),
        ((4, -99, 2), "SessionEnded: "),
        ((), ()),
    ],
)
def test_some_of_a_group_do_not_answer(play: Play, ns: tuple[int, ...], end: Any) -> None:
    """A send says so where it is known already that nobody reads it."""
    found = play("Some", parties=(BOB, CAROL, DAVE)[: len(ns)], ns=ns)
    assert found == end or str(found).startswith(str(end))
