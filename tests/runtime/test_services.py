"""The author's Python bound to a node: what refuses the start, and what an operation may do."""

from __future__ import annotations

import sqlite3
import sys
import threading
import types
import typing
from typing import Any
from unittest import mock

import pytest

from flowrt.core import flow as rt
from flowrt.node import Node
from flowrt.services import ServiceMissing, StepTx, bind, find_functions, set_up
from flowrt.store import Batch
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.statements import Refused
from flowrt.transport.memory import MemoryNetwork
from tests.runtime import greet_v1_flow, greet_v2_flow, hand_flow, plays
from tests.runtime.book import Book, written
from tests.runtime.crashes import START_US, World
from tests.runtime.plays import At, at, play

DESK: rt.ServiceKey[Any] = rt.ServiceKey(
    "shop.Desk",
    rt.Operation("price", "read", ("kind",), rt.Int),
    rt.Operation("sell", "write", ("kind", "count"), None),
)


class Desk:
    def price(self, tx: rt.Tx, kind: str) -> int:
        return 7

    def sell(self, tx: rt.Tx, kind: str, count: int) -> None: ...


def refusal(objects: dict[str, Any], *keys: rt.ServiceKey[Any]) -> str:
    with pytest.raises(ServiceMissing) as caught:
        bind(keys or (DESK,), objects)
    return str(caught.value)


# --- what must fit when a node opens -------------------------------------------------------------


def test_a_service_is_named_in_full_or_in_short() -> None:
    for name in ("shop.Desk", "Desk"):
        bound = bind([DESK], {name: Desk()})
        assert set(bound) == {"shop.Desk"}
        assert set(vars(bound["shop.Desk"])) == {"price", "sell"}


def test_a_short_name_that_two_services_have_names_neither() -> None:
    other = rt.ServiceKey[Any]("bank.Desk")
    text = refusal({"Desk": Desk()}, DESK, other)
    assert "service shop.Desk is not bound" in text
    assert "service bank.Desk is not bound" in text
    assert bind([DESK, other], {"shop.Desk": Desk(), "bank.Desk": object()})


def test_a_missing_service_is_named_with_what_it_must_have() -> None:
    assert refusal({}) == (
        "service shop.Desk is not bound; pass services={'Desk': …} "
        "with an object that has price(tx, kind), sell(tx, kind, count)"
    )


def test_a_missing_operation_is_named() -> None:
    class Half:
        def price(self, tx: rt.Tx, kind: str) -> int:
            return 1

    assert refusal({"Desk": Half()}) == (
        "service shop.Desk: Half has no operation sell(tx, kind, count)"
    )


def test_an_operation_with_other_parameters_is_named_with_both() -> None:
    class Wrong(Desk):
        def price(self, tx: rt.Tx) -> int:  # type: ignore[override]
            return 1

        def sell(self, tx: rt.Tx, kind: str, count: int, *, quick: bool) -> None: ...  # type: ignore[override]

    text = refusal({"Desk": Wrong()})
    assert "Wrong.price(tx: 'rt.Tx') -> 'int' should be price(tx, kind)" in text
    assert "should be sell(tx, kind, count)" in text


def test_an_operation_may_take_more_if_it_need_not_be_given() -> None:
    class Generous(Desk):
        def price(self, tx: rt.Tx, kind: str, currency: str = "EUR", *rest: object) -> int:
            return 1

    assert bind([DESK], {"Desk": Generous()})


def test_what_is_not_a_method_is_not_an_operation() -> None:
    class Odd(Desk):
        price = 7  # type: ignore[assignment]

    assert "has no operation price(tx, kind)" in refusal({"Desk": Odd()})


def test_an_async_operation_is_refused() -> None:
    class Eager(Desk):
        async def price(self, tx: rt.Tx, kind: str) -> int:  # type: ignore[override]
            return 1

    assert "Eager.price is async; an operation is not" in refusal({"Desk": Eager()})


def test_the_class_instead_of_an_object_is_refused() -> None:
    assert "should be price(tx, kind)" in refusal({"Desk": Desk})


def test_a_service_that_no_flow_uses_is_a_mistake_that_is_named() -> None:
    text = refusal({"Desk": Desk(), "Dekk": Desk()})
    assert text == "no flow of this node uses a service Dekk; they use: shop.Desk"


def test_all_that_is_wrong_is_said_at_once() -> None:
    other = rt.ServiceKey[Any]("bank.Vault", rt.Operation("open", "read", (), None))
    text = refusal({"Desk": object(), "Typo": Desk()}, DESK, other)
    assert len(text.splitlines()) == 4


def test_a_builtin_whose_parameters_nobody_knows_is_taken_as_it_is() -> None:
    key = rt.ServiceKey[Any]("shop.Raw", rt.Operation("get", "read", ("key",), None))
    assert bind([key], {"Raw": types.SimpleNamespace(get=max)})


def test_the_node_does_not_open_without_its_services() -> None:
    store = MemoryStore()
    with pytest.raises(ServiceMissing, match=r"service hand\.Journal is not bound"):
        Node.create("alice", store=store, network=MemoryNetwork(), modules=[hand_flow])
    assert store.disk.party is None, "the store was not touched"


def test_a_function_that_cannot_be_imported_is_named() -> None:
    def calling(*targets: str) -> type[rt.Flow[Any]]:
        return play("t.A", functions=targets)

    find_functions([calling("math:floor", "os.path:join")])
    with pytest.raises(ServiceMissing) as caught:
        find_functions(
            [calling("no_such_module_here:f", "math:no_such_function", "math:pi", "math:")]
        )
    lines = str(caught.value).splitlines()
    assert "no_such_module_here" in lines[0]
    assert "math:no_such_function" in lines[1]
    assert lines[2] == "A calls math:pi, which is not a function"
    assert len(lines) == 4


# --- two versions of one service's callers -------------------------------------------------------


class Manners:
    def greeting(self, tx: rt.Tx) -> str:
        return "hello"

    def farewell(self, tx: rt.Tx, name: str) -> str:
        return f"bye {name}"


def test_two_versions_share_a_service_though_each_knows_other_operations() -> None:
    for modules in ([greet_v1_flow, greet_v2_flow], [greet_v2_flow, greet_v1_flow]):
        with World(reload=True) as world:
            world.add("alice", modules, lambda: {"Manners": Manners()})
            old = world.start("alice", greet_v1_flow.Greeter_v1, name="ann")
            new = world.start("alice", greet_v2_flow.Greeter_v2, name="ben")
            world.tick()
            world.crash("alice")
            world.run()
            assert world.result(old) == "v1: hello ann"
            assert world.result(new) == "v2: hello bye ben"


def test_a_service_must_have_what_any_version_calls() -> None:
    class Old:
        def greeting(self, tx: rt.Tx) -> str:
            return ""

    with pytest.raises(ServiceMissing, match=r"Old has no operation farewell\(tx, name\)"):
        World().add("alice", [greet_v1_flow, greet_v2_flow], lambda: {"Manners": Old()})


# --- an operation's transaction ------------------------------------------------------------------


def opened(*objects: object) -> tuple[MemoryStore, StepTx]:
    store = MemoryStore()
    store.open("alice")
    return store, StepTx(rt.Party("alice"), store)


KEY = rt.ServiceKey[Any](
    "t.S",
    rt.Operation("look", "read", (), typing.Any),
    rt.Operation("act", "write", (), typing.Any),
    rt.Operation("told", "read", (), rt.Int),
)


def bound(**operations: Any) -> Any:
    missing = {name: (lambda tx: None) for name in ("look", "act", "told")}
    service = types.SimpleNamespace(**{**missing, **operations})
    return bind([KEY], {"t.S": service})["t.S"]


def test_it_knows_who_and_when_and_for_whom() -> None:
    _, tx = opened()
    tx.now_us, tx.flow_id = START_US, 42
    seen = bound(act=lambda tx: [tx.me.name, tx.now.isoformat(), tx.flow_id]).act(tx)
    assert seen == ["alice", "2023-11-14T22:13:20+00:00", 42]


def test_it_ends_with_its_operation() -> None:
    _, tx = opened()
    kept = []
    bound(look=lambda tx: kept.append(tx)).look(tx)
    with pytest.raises(RuntimeError, match="only while its operation runs"):
        kept[0].execute("SELECT 1")


def test_a_read_inside_a_write_reads_and_a_write_inside_a_read_too() -> None:
    """An operation that calls another service's: what the outer one may not, the inner may not."""
    store, tx = opened()

    def writes(tx: rt.Tx) -> Any:
        return tx.execute("CREATE TABLE t (x)")

    inner = bound(act=writes)
    with pytest.raises(Refused, match="read"):
        bound(look=lambda tx: inner.act(tx)).look(tx)
    tx.finish(keep=False)
    bound(act=lambda tx: inner.act(tx)).act(tx)
    tx.finish(keep=True)
    store.commit(Batch(0, 1, 1))


def test_what_it_may_not_do_fails_the_step_even_if_it_does_not_care() -> None:
    _, tx = opened()

    def sly(tx: rt.Tx) -> int:
        try:
            tx.execute("COMMIT")
        except Refused:
            return 1
        return 2

    with pytest.raises(Refused, match="COMMIT"):
        bound(told=sly).told(tx)
    assert bound(told=lambda tx: 3).told(tx) == 3, "the next one starts anew"


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 2**63, [1]])
def test_a_result_of_another_type_is_the_services_mistake_by_name(value: object) -> None:
    _, tx = opened()
    with pytest.raises(TypeError, match=r"t\.S\.told did not return what the \.flow file declares"):
        bound(told=lambda tx: value).told(tx)


def test_an_error_of_an_operation_passes_through() -> None:
    _, tx = opened()

    def fails(tx: rt.Tx) -> None:
        raise hand_flow.Refused("no")

    with pytest.raises(hand_flow.Refused):
        bound(act=fails).act(tx)
    with pytest.raises(RuntimeError):
        tx.execute("SELECT 1")


def test_a_step_that_used_no_service_has_nothing_to_undo() -> None:
    store, tx = opened()
    tx.finish(keep=True)
    tx.finish(keep=False)
    assert store.disk.tables is None


# --- making tables -------------------------------------------------------------------------------


def test_tables_are_made_once_when_the_node_opens_and_kept() -> None:
    seen: list[Any] = []

    class Maker(Book):
        def setup(self, tx: rt.Tx) -> None:
            super().setup(tx)
            seen.append((tx.me.name, tx.now, tx.flow_id))

    with World() as world:
        world.add("alice", [hand_flow], lambda: {"Journal": Maker()})
        world.crash("alice")
        assert [(name, flow) for name, _, flow in seen] == [("alice", 0)] * 2
        assert seen[0][1].year == 2023, "the node's clock, not 1970"
        start = world.start("alice", hand_flow.Teller_v1, first="a", second="b")
        world.run()
        assert world.result(start) == 2
        assert written(world, "alice") == ["a", "b"]


def test_a_node_whose_tables_cannot_be_made_does_not_open_and_keeps_no_lock(
    tmp_path: typing.Any,
) -> None:
    class Clumsy(Book):
        def setup(self, tx: rt.Tx) -> None:
            tx.execute("CREATE TABLE half (x)")
            tx.execute("CREATE TABLE half (x)")

    world = World(folder=tmp_path)
    with pytest.raises(Exception, match="already exists"):
        world.add("alice", [hand_flow], lambda: {"Journal": Clumsy()})
    world.members["alice"].services = lambda: {"Journal": Book()}
    with world:
        world.node("alice")
        assert world.rows("alice", "SELECT name FROM sqlite_master WHERE name = 'half'") == []


def test_a_service_need_not_make_tables() -> None:
    _, tx = opened()
    set_up({"a": object(), "b": types.SimpleNamespace(setup=None)}, tx)


def test_services_may_see_the_step_before_them_in_the_same_batch() -> None:
    def counts(run: Any, state: At) -> Any:
        journal = run.service(hand_flow.JOURNAL)
        journal.put(run.tx, "x")
        return rt.Return(journal.count(run.tx))

    flow = play("t.Counts", counts, services=(hand_flow.JOURNAL,))

    class Total(Book):
        def count(self, tx: rt.Tx) -> int:
            ((count,),) = tx.execute("SELECT count(*) FROM book")
            return int(count)

    with World() as world:
        world.add("alice", [plays.plays(flow)], lambda: {"Journal": Total()})
        starts = [world.start("alice", flow) for _ in range(5)]
        world.node("alice").turn()
        assert [world.result(start) for start in starts] == [1, 2, 3, 4, 5]
    assert at(0) == At()


def test_a_disk_may_be_forgotten_by_any_thread() -> None:
    """Garbage is collected in whichever thread needs memory, not where the node was."""
    disks = [MemoryDisk()]
    MemoryStore(disks[0]).savepoint()
    db = disks[0].tables
    assert db is not None
    failures: list[object] = []
    with mock.patch.object(sys, "unraisablehook", failures.append):
        thread = threading.Thread(target=disks.clear)
        thread.start()
        thread.join()
    assert failures == []
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")
