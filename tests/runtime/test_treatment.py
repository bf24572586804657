"""What a person does with a patient: looks at it, changes a variable, throws an error in."""

from __future__ import annotations

import asyncio
import decimal
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.core.flow import INT_MAX, INT_MIN, Party, SessionEnded
from flowrt.core.values import decode
from flowrt.handle import Bounced, NotAccepted, StillRunning
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.clinic import BOB, Clinic
from tests.runtime.written import compiled

PROGRAM = compiled("""
message Order:
    n: Int

message Answer:
    n: Int

record Line:
    sku: Text
    price: Decimal

record Question:
    text: Text

record Opinion:
    n: Int

error OutOfStock(sku: Text): "no {sku} left"
error Unused: "nobody throws this"

service Shop:
    write book(n: Int, lines: List[Line]) -> Int
    external once ship(n: Int) -> Int

flow Buyer(seller: Party, how: Text) -> Text:
    startable by rpc
    let lines = [Line("tea", 12.50)]
    var n = 0
    open Seller with seller as line
    try:
        if how == "message":
            receive a: Answer from line unchecked
            n = Shop.book(a.n, lines)
        if how == "choice":
            receive from line:
                case Answer as b unchecked:
                    n = Shop.book(b.n, lines)
                case timeout 1d:
                    n = 2
        if how == "sleep":
            sleep 1h
            n = Shop.book(n, lines)
        if how == "checkpoint":
            checkpoint
            n = Shop.book(n, lines)
        if how == "hold":
            hold "look at it"
            n = Shop.book(n, lines)
        if how == "await":
            n = await Shop.ship(n)
        if how == "people":
            let asked = ask "clerk": Question("?") -> Opinion
            n = Shop.book(asked.value.n, lines)
        if how == "subflow":
            n = subflow Inner(line)
        return "well {n}"
    catch OutOfStock:
        n = n + 1
    send Order(9) to line
    receive last: Answer from line unchecked
    return "caught, {last.n}"

flow Inner(line: Session) -> Int:
    receive a: Answer from line unchecked
    let n = Shop.book(a.n, [])
    return n

flow Seller():
    responds to Buyer as line
    send Answer(1) to line
    receive o: Order from line unchecked
    send Answer(o.n) to line

flow Alone(n: Int) -> Int:
    startable by rpc
    let booked = Shop.book(n, [])
    return booked

flow Talks() -> Int:
    startable by rpc as boss
    var sum = 0
    try:
        receive o: Order from boss unchecked
        sum = Shop.book(o.n, [])
    catch OutOfStock:
        sum = -1
    receive p: Order from boss unchecked
    return sum + p.n
""")


class Shop:
    """Fails for every number in `wrong`."""

    def __init__(self) -> None:
        self.wrong: set[int] = {0, 1, 13}
        self.booked: list[tuple[int, Any]] = []

    def book(self, tx: Any, n: int, lines: Any) -> int:
        if n in self.wrong:
            raise ValueError(f"{n} is wrong")
        self.booked.append((n, lines))
        return n

    def ship(self, key: str, n: int) -> int:
        raise ValueError("the carrier has lost it")


HOW = ["message", "choice", "sleep", "checkpoint", "hold", "await", "subflow"]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(params=["memory", "sqlite"])
def clinic(request: pytest.FixtureRequest, shop: Shop, tmp_path: Path) -> Any:
    folder = tmp_path if request.param == "sqlite" else None
    with Clinic(PROGRAM, {"Shop": shop}, folder) as made:
        yield made


def admitted(clinic: Clinic, how: str) -> int:
    """A buyer in the hospital, after that kind of wait."""
    flow_id = clinic.start(PROGRAM.Buyer_v1, seller=BOB, how=how)
    clinic.pass_time(hours=2)
    assert [one.flow_id for one in clinic.alice.hospital()] == [flow_id]
    return flow_id


# --- looking -------------------------------------------------------------------------------------


def test_a_view_shows_all_that_is_known_as_json(clinic: Clinic) -> None:
    flow_id = admitted(clinic, "subflow")
    view = clinic.alice.patient(flow_id)
    outer, inner = view.frames
    assert outer.flow.endswith("Buyer_v1")
    assert outer.variables["line"] == "bob"
    assert inner.variables == {}, "only what is needed further on is kept"
    assert view.event.endswith("Answer of bob")
    assert view.cause == "ValueError: 1 is wrong"
    assert "is wrong" in view.trace
    assert view.commands == ("retry", "kill", "throw"), "no variable there may be changed"
    assert [name.rpartition(".")[2] for name in view.errors] == ["OutOfStock", "Unused"]
    shown = json.loads(msgspec.json.encode(view))
    assert shown["frames"][1]["place"] == view.place
    with pytest.raises(KeyError):
        clinic.alice.patient(flow_id + 1)


# --- changing ------------------------------------------------------------------------------------


def test_a_changed_variable_is_tried_and_stays(clinic: Clinic, shop: Shop) -> None:
    flow_id = clinic.start(PROGRAM.Alone_v1, n=13)
    alice = clinic.alice
    assert "retry_with" in alice.patient(flow_id).commands
    alice.submit_change(flow_id, {"n": 1}, by="ann", reason="a slip of the pen")
    clinic.rest()
    assert alice.patient(flow_id).frames[0].variables == {"n": 1}, (
        "it stays, though that failed too"
    )
    clinic.crash("alice")
    clinic.alice.submit_change(flow_id, {"n": 7}, by="bea", reason="of mine, too")
    clinic.rest()
    assert clinic.result(flow_id) == 7
    assert clinic.alice.hospital() == []
    rows = [row for _, entries in clinic.stores["alice"].audit() for row in decode(list, entries)]
    assert [row[4] for row in rows if len(row) > 4] == [
        ["ann", "a slip of the pen", "n=1"],
        ["bea", "of mine, too", "n=7"],
    ]


def test_records_and_lists_are_changed_as_values(clinic: Clinic, shop: Shop) -> None:
    flow_id = admitted(clinic, "message")
    shop.wrong.clear()
    line = PROGRAM.Line("nut", decimal.Decimal("0.1"))
    shown = clinic.alice.patient(flow_id).frames[0].variables["lines"]
    assert shown == [{"sku": "tea", "price": "12.5"}]
    clinic.alice.submit_change(flow_id, {"lines": (line, line)}, by="ann", reason="two")
    clinic.rest()
    assert clinic.result(flow_id) == "well 1"
    assert shop.booked == [(1, (line, line))]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"m": 1}, r"flow \d+ at written_\d+\.flow:\d+ has no variable m to be changed; it has: n"),
        ({"n": "1"}, r"n is not what the \.flow file declares"),
        ({"n": 1 << 63}, r"n is not what the \.flow file declares"),
        ({"n": None}, r"n is not what the \.flow file declares"),
        ({"n": float("nan")}, r"n is not what the \.flow file declares"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    clinic: Clinic, values: dict[str, object], said: str
) -> None:
    flow_id = clinic.start(PROGRAM.Alone_v1, n=13)
    before = clinic.stores["alice"].load(flow_id)
    with pytest.raises(TypeError, match=said):
        clinic.alice.submit_change(flow_id, values, by="ann", reason="why")
    clinic.rest()
    assert clinic.stores["alice"].load(flow_id) == before


@given(value=st.one_of(st.integers(INT_MIN, INT_MAX), st.text(), st.none(), st.binary()))
def test_only_what_the_engine_would_decode_is_taken(value: object) -> None:
    with Clinic(PROGRAM, {"Shop": Shop()}) as clinic:
        flow_id = clinic.start(PROGRAM.Alone_v1, n=13)
        try:
            clinic.alice.submit_change(flow_id, {"n": value}, by="ann", reason="why")
        except TypeError:
            assert type(value) is not int
            return
        clinic.rest()
        assert type(value) is int
        if value in (0, 1, 13):
            assert clinic.alice.patient(flow_id).frames[0].variables == {"n": value}
        else:
            assert clinic.result(flow_id) == value


def test_sessions_are_not_to_be_changed(clinic: Clinic) -> None:
    flow_id = admitted(clinic, "message")
    with pytest.raises(TypeError, match="no variable line to be changed; it has: how, lines, n"):
        clinic.alice.submit_change(flow_id, {"line": 3}, by="ann", reason="why")


def test_a_flow_that_has_moved_on_is_not_changed() -> None:
    async def run() -> None:
        shop = Shop()
        node = await Node.open(
            "alice",
            store=MemoryStore(),
            network=MemoryNetwork(),
            modules=[PROGRAM],
            services={"Shop": shop},
        )
        handle = await node.start(PROGRAM.Alone_v1, n=13)
        shop.wrong.clear()
        first = asyncio.create_task(node.retry_with(handle.id, by="ann", reason="x", n=5))
        second = asyncio.create_task(node.retry_with(handle.id, {"n": 6}, by="bea", reason="y"))
        await first
        with pytest.raises(NotAccepted, match="has ended"):
            await second
        assert await handle.result() == 5
        with pytest.raises(KeyError):
            await node.retry_with(handle.id, by="ann", reason="x", n=5)
        held = await node.start(PROGRAM.Buyer_v1, seller=Party("alice"), how="hold")
        while not node.hospital():
            await asyncio.sleep(0)
        out_of_stock = PROGRAM.OutOfStock("tea")
        await node.throw(held.id, out_of_stock, by="ann", reason="sold")
        assert await held.result() == "caught, 1"
        await node.close()

    asyncio.run(run())


# --- throwing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_an_error_is_thrown_where_the_flow_rests_and_caught_there(
    clinic: Clinic, shop: Shop, how: str
) -> None:
    flow_id = admitted(clinic, how)
    clinic.crash("alice")
    error = PROGRAM.OutOfStock("tea")
    clinic.alice.submit_throw(flow_id, error, by="ann", reason="there is none")
    clinic.pass_time(hours=1)
    # Where the flow waited for a message, that one is passed over: the next one answers the order.
    expected = "caught, 9" if how in ("message", "choice", "subflow") else "caught, 1"
    assert clinic.result(flow_id) == expected
    assert clinic.alice.hospital() == []
    assert shop.booked == []
    assert [len(list(store.flows())) for store in clinic.stores.values()] == [0, 0]


def test_a_question_to_people_is_taken_back(clinic: Clinic) -> None:
    flow_id = clinic.start(PROGRAM.Buyer_v1, seller=BOB, how="people")
    clinic.alice.submit_pause(flow_id, by="ann", reason="no clerk is there")
    clinic.rest()
    assert len(clinic.alice.tasks()) == 1
    clinic.alice.submit_throw(flow_id, PROGRAM.OutOfStock("tea"), by="ann", reason="no clerk")
    clinic.rest()
    assert clinic.alice.tasks() == []
    assert clinic.result(flow_id) == "caught, 1"


def test_an_error_that_nobody_catches_ends_the_flow_and_reaches_the_peer(clinic: Clinic) -> None:
    flow_id = clinic.start(PROGRAM.Alone_v1, n=13)
    clinic.alice.submit_throw(flow_id, PROGRAM.OutOfStock("tea"), by="ann", reason="none")
    clinic.rest()
    with pytest.raises(PROGRAM.OutOfStock, match="no tea left"):
        clinic.result(flow_id)
    buyer = admitted(clinic, "message")
    clinic.alice.submit_throw(buyer, PROGRAM.Unused(), by="ann", reason="none")
    clinic.rest()
    with pytest.raises(PROGRAM.Unused):
        clinic.result(buyer)
    with pytest.raises(PROGRAM.Unused):
        clinic.result(1, "bob")


def test_an_error_that_the_flow_could_never_name_is_refused(clinic: Clinic) -> None:
    other = compiled('error Foreign: "not from here"\n\nflow F():\n    throw Foreign()\n')
    flow_id = clinic.start(PROGRAM.Alone_v1, n=13)
    for error, name in ((other.Foreign(), "Foreign"), (SessionEnded(), "SessionEnded")):
        with pytest.raises(
            TypeError, match=rf"could never name the error .*{name}; it knows: .*Out"
        ):
            clinic.alice.submit_throw(flow_id, error, by="ann", reason="why")
    with pytest.raises(TypeError, match="OutOfStock is not what the"):
        clinic.alice.submit_throw(flow_id, PROGRAM.OutOfStock(3), by="ann", reason="why")
    with pytest.raises(KeyError):
        clinic.alice.submit_throw(99, PROGRAM.OutOfStock("x"), by="ann", reason="why")
    clinic.rest()
    assert clinic.alice.patient(flow_id).cause == "ValueError: 13 is wrong"


def test_an_owners_message_that_is_passed_over_goes_back(clinic: Clinic) -> None:
    flow_id = clinic.start(PROGRAM.Talks_v1)
    for n in (13, 5):
        clinic.alice.submit_command(flow_id, PROGRAM.Order(n))
    clinic.rest()
    clinic.alice.submit_throw(flow_id, PROGRAM.OutOfStock("tea"), by="ann", reason="poison")
    clinic.rest()
    assert clinic.result(flow_id) == 4
    with pytest.raises(Bounced, match="passed it over") as bounced:
        clinic.alice.handle(flow_id).receive_now()
    assert bounced.value.message == PROGRAM.Order(13)


def test_a_step_that_fails_after_the_throw_is_undone_with_it(clinic: Clinic, shop: Shop) -> None:
    flow_id = clinic.start(PROGRAM.Talks_v1)
    clinic.alice.submit_command(flow_id, PROGRAM.Order(13))
    clinic.rest()
    clinic.alice.submit_throw(flow_id, PROGRAM.OutOfStock("x" * 9), by="ann", reason="poison")
    clinic.rest()
    with pytest.raises(StillRunning):
        clinic.result(flow_id)
    assert clinic.alice.hospital() == []
    clinic.alice.submit_command(flow_id, PROGRAM.Order(INT_MIN))
    clinic.rest()
    (patient,) = clinic.alice.patients()
    assert patient.cause.startswith("Fault")
