"""Blocks and what lives across their cuts, seen through the machines that they become."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterator, Mapping

import pytest

from flowlang import cfg, machine, syntax, walk
from flowlang.cfg import liveness
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowlang.types import shown
from tests.programs.choices import Seeded
from tests.programs.generator import LIBRARY, generate

DECLARED = """
record Line:
    sku: Text
    count: Int

message Ask:
    n: Int
    note: Text? = none

message Answer:
    n: Int

error Refused(given: Int): "refused {given}"
error Busy

service Desk:
    read limit() -> Int
    write note(text: Text)

"""


def module(text: str, **others: str) -> machine.Module:
    """The machines of a program, which is module `t`."""
    sources = {name: Source(f"{name}.flow", name, dented(body)) for name, body in others.items()}
    sources["t"] = Source("t.flow", "t", dented(text))
    made = compile_modules(["t"], sources.get)
    assert not made.diagnostics, "\n".join(as_text(d, made.sources) for d in made.diagnostics)
    return made.modules["t"]


def dented(text: str) -> str:
    return textwrap.dedent(text).strip() + "\n"


def flow(text: str) -> machine.Machine:
    """The machine of the first flow of a program."""
    return module(DECLARED + dented(text)).machines[0]


def outline(made: machine.Machine) -> list[str]:
    """Each state in a line: what it keeps, where it goes, who catches there."""
    lines = []
    for state in made.states:
        number = "" if state.tag is None else f" #{state.tag}"
        keeps = f" keeps {' '.join(state.keeps)}" if state.keeps else ""
        catches = "".join(f" ({handler.target})" for handler in state.handlers)
        goes = " ".join(machine.targets(state.next)) or "end"
        lines.append(f"{state.name}{number}{keeps}{catches} -> {goes}")
    return lines


def keeps(made: machine.Machine) -> dict[str, list[str]]:
    return {state.name: list(state.keeps) for state in made.states if state.awaits is not None}


def actions(state: machine.State) -> list[str]:
    return [type(action).__name__ for action in state.actions]


# --- cutting --------------------------------------------------------------------------------------


def test_a_flow_that_never_waits_is_one_state() -> None:
    made = flow("""
        flow Sum(lines: List[Line]) -> Int:
            var sum = 0
            for line in lines:
                if line.count > 10:
                    break
                sum = sum + line.count
            return sum
        """)
    assert outline(made) == ["Start #0 keeps lines -> end"]
    assert actions(made.states[0]) == ["Assign", "For", "Return"]


def test_each_wait_is_a_state_named_after_it() -> None:
    made = flow("""
        flow All(s: Session):
            receive first: Ask from s unchecked
            subflow Other()
            checkpoint
            sleep 5m
            hold "stop"
            receive second: Ask from s unchecked
            send Answer(first.n) to s then receive third: Ask from s @third_one unchecked

        flow Other():
            checkpoint
        """)
    assert outline(made) == [
        "Start #0 keeps s -> AwaitAsk",
        "AwaitAsk #1 keeps s -> InOther",
        "InOther #2 keeps s first -> Checkpoint",
        "Checkpoint #3 keeps s first -> Asleep",
        "Asleep #4 keeps s first -> Held",
        "Held #5 keeps s first -> AwaitAsk2",
        "AwaitAsk2 #6 keeps s first -> ThirdOne",
        "ThirdOne #7 -> end",
    ]


def test_a_choice_keeps_its_sessions_and_goes_one_way_for_each_case() -> None:
    made = flow("""
        flow All(s: Session, ss: List[Session]) -> Int:
            var best = 0
            receive:
                case Ask from s as asked unchecked:
                    best = asked.n
                    sleep 5m
                case Answer from any ss as answer by who:
                    let double = answer.n * 2
                    require double > 3 else Busy()
                    send Ask(double) to who
                case ended from s:
                    return 0
                case timeout 5m:
                    throw Busy()
            return best
        """)
    assert keeps(made) == {"AwaitAskOrAnswer": ["s", "ss", "best"], "Asleep": ["best"]}
    chosen = made.state("AwaitAskOrAnswer").next
    assert isinstance(chosen, machine.Choose)
    ways = [made.state(name) for name in chosen.targets]
    assert [actions(way) for way in ways] == [
        ["Assign", "Assign"],
        ["Assign", "Assign", "Check", "Send"],
        ["Return"],
        ["Throw"],
    ]


def test_a_deadline_is_kept_for_later_waits_and_the_inner_one_is_no_later() -> None:
    made = flow("""
        flow All(s: Session, ss: List[Session]):
            within 2d:
                try:
                    within 1h:
                        receive a: Ask from s unchecked
                    receive b: Ask? from each ss within 5s then discard unchecked
                catch Timeout:
                    checkpoint
            sleep 1s
        """)
    assert keeps(made) == {
        "AwaitAsk": ["ss", "deadline"],
        "AwaitEachAsk": [],
        "Checkpoint": [],
        "Asleep": [],
    }
    waits = {state.name: state.awaits for state in made.states}
    each, asleep = waits["AwaitEachAsk"], waits["Asleep"]
    assert isinstance(each, machine.AwaitEach)
    assert isinstance(each.until, machine.Earlier)
    assert each.until.left == machine.Var("deadline")
    assert each.optional
    assert each.discard
    assert isinstance(asleep, machine.AwaitTime)
    assert asleep.until is None


def test_a_name_that_an_author_gave_stays_as_it_is() -> None:
    made = flow("""
        flow All(s: Session):
            receive a: Ask from s unchecked
            receive b: Ask from s @await_ask unchecked
        """)
    assert [state.name for state in made.states] == ["Start", "AwaitAsk2", "AwaitAsk"]


def test_a_loop_that_waits_goes_in_a_circle() -> None:
    made = flow("""
        flow Loop(s: Session, lines: List[Line]):
            for line in lines:
                if line.count == 0:
                    continue
                receive a: Ask from s unchecked
                if a.n == 0:
                    break
            Desk.note("done")
        """)
    assert outline(made) == [
        "Start #0 keeps s lines -> loop_20",
        "loop_20 -> body_20 join_26",
        "body_20 -> loop_20 join_23",
        "join_23 -> AwaitAsk",
        "AwaitAsk #1 keeps s lines line_index -> join_26 loop_20",
        "join_26 -> end",
    ]


def test_a_list_that_may_change_is_held_by_the_loop() -> None:
    made = flow("""
        flow Loop(prices: Map[Text, Int]):
            var line_items = [1, 2]
            for line in line_items:
                checkpoint
                line_items = []
            for sku in prices:
                checkpoint
        """)
    assert keeps(made) == {
        "Checkpoint": ["prices", "line_items_2", "line_index"],
        "Checkpoint2": ["sku_items", "sku_index"],
    }
    assert machine.Keys(machine.Var("prices")) in [
        action.value
        for state in made.states
        for action in state.actions
        if isinstance(action, machine.Assign)
    ]


def test_while_true_has_no_way_out_but_break() -> None:
    made = flow("""
        flow Loop(s: Session):
            while true:
                receive a: Ask from s unchecked
                if a.n == 0:
                    return
        """)
    assert outline(made) == [
        "Start #0 keeps s -> loop_20",
        "loop_20 -> AwaitAsk",
        "AwaitAsk #1 keeps s -> loop_20",
    ]


def test_what_never_waits_is_taken_apart_only_for_a_break() -> None:
    made = flow("""
        flow Loop(s: Session, n: Int):
            while n > 0:
                if n == 5:
                    if n == 6:
                        Desk.note("six")
                    else:
                        break
                if n == 7:
                    Desk.note("seven")
                checkpoint
        """)
    states = {state.name: state for state in made.states}
    assert actions(states["then_23"]) == ["Do"]
    assert actions(states["join_26"]) == ["If"]


def test_a_subflows_result_is_returned() -> None:
    made = flow("""
        flow Outer() -> Int:
            return subflow Inner(1)

        flow Inner(n: Int) -> Int:
            checkpoint
            return n
        """)
    assert outline(made) == ["Start #0 -> InInner", "InInner #1 -> end"]
    state = made.state("InInner")
    assert state.awaits == machine.AwaitSubflow("t.Inner", 1, (machine.Const("Int", 1),), "result")
    assert isinstance(state.actions[0], machine.Return)
    assert state.actions[0].value == machine.Var("result")


def test_checks_follow_what_they_check() -> None:
    made = flow("""
        flow One(s: Session):
            receive a: Ask from s:
                require a.n > 0 else Busy()
            receive b: Ask from s unchecked
        """)
    assert [actions(state) for state in made.states] == [[], ["Check"], ["Return"]]


def test_a_statement_that_nests_too_deeply_is_cut_into_blocks() -> None:
    deep = "\n".join("    " * n + f"if n == {n}:" for n in range(1, 40))
    made = flow(f'flow Deep(n: Int):\n{deep}\n{"    " * 40}Desk.note("x")\n')

    def depth(inner: tuple[machine.Action, ...]) -> int:
        nested = [depth(body) for action in inner for body in walk.bodies(action)]
        return max(nested, default=-1) + 1

    assert max(depth(state.actions) for state in made.states) <= 10
    assert len(made.states) > 20
    assert [state.tag for state in made.states].count(None) == len(made.states) - 1


def test_checks_that_nest_too_deeply_still_blame_the_peer() -> None:
    deep = "\n".join("    " * n + f"if a.n > {n}:" for n in range(2, 30))
    made = flow(
        f"flow Deep(s: Session):\n    receive a: Ask from s:\n{deep}\n"
        f'{"    " * 30}throw Busy()\n    Desk.note("fine")\n'
    )
    among = {state.name for state in made.states if state.checks}
    assert "AwaitAsk" not in among
    assert len(among) > 10
    last = [state for state in made.states if "Do" in actions(state)]
    assert [state.checks for state in last] == [False]


# --- errors ---------------------------------------------------------------------------------------


def test_every_block_of_a_try_knows_its_handlers_innermost_first() -> None:
    made = flow("""
        flow Tries(s: Session):
            try:
                receive a: Ask from s unchecked
                try:
                    receive b: Ask from s unchecked
                catch Busy:
                    checkpoint
                receive c: Ask from s unchecked
            catch Refused as e:
                log info "{e.given}"
            checkpoint
        """)
    assert outline(made) == [
        "Start #0 keeps s -> try_21",
        "try_21 (catch_27) -> AwaitAsk",
        "AwaitAsk #1 keeps s (catch_27) -> try_23",
        "try_23 (catch_24) (catch_27) -> AwaitAsk2",
        "AwaitAsk2 #2 keeps s (catch_24) (catch_27) -> join_26",
        "catch_24 (catch_27) -> Checkpoint",
        "Checkpoint #3 keeps s (catch_27) -> join_26",
        "join_26 (catch_27) -> AwaitAsk3",
        "AwaitAsk3 #4 (catch_27) -> join_29",
        "catch_27 -> join_29",
        "join_29 -> Checkpoint2",
        "Checkpoint2 #5 -> end",
    ]
    assert made.state("AwaitAsk").handlers == (machine.Handler(("t.Refused",), "e", "catch_27"),)


def test_what_a_handler_needs_is_kept_at_every_wait_of_its_try() -> None:
    made = flow("""
        flow Tries(s: Session):
            let text = "a"
            var tries = 0
            try:
                tries = 1
                receive a: Ask from s unchecked
                tries = 2
                receive b: Ask from s unchecked
            catch Busy:
                Desk.note("{text} {tries}")
            checkpoint
        """)
    assert keeps(made) == {
        "AwaitAsk": ["s", "text", "tries"],
        "AwaitAsk2": ["text", "tries"],
        "Checkpoint": [],
    }


def test_a_wait_that_fails_leaves_the_old_value_to_the_handler() -> None:
    made = flow("""
        flow Tries():
            var n = 1
            try:
                n = subflow Inner()
            catch Busy:
                pass
            Desk.note("{n}")

        flow Inner() -> Int:
            checkpoint
            return 1
        """)
    assert keeps(made) == {"InInner": ["n"]}


def test_the_same_try_without_a_wait_stays_one_action() -> None:
    made = flow("""
        flow Tries(n: Int):
            var text = "a"
            try:
                text = "b"
                require n > 0 else Busy()
            catch Busy, Refused:
                Desk.note(text)
            checkpoint
        """)
    assert outline(made) == ["Start #0 keeps n -> Checkpoint", "Checkpoint #1 -> end"]
    assert actions(made.states[0]) == ["Assign", "Try"]


# --- variables ------------------------------------------------------------------------------------


def test_a_state_keeps_what_the_rest_needs_in_order_of_declaration() -> None:
    made = flow("""
        flow Keeps(s: Session, unused: Int, z: Int, a: Int):
            let early = a + 1
            let late = z + 1
            receive first: Ask from s unchecked
            receive second: Ask from s unchecked
            Desk.note("{late} {second.n} {z} {first.n}")
        """)
    assert keeps(made) == {
        "AwaitAsk": ["s", "z", "late"],
        "AwaitAsk2": ["z", "late", "first"],
    }
    assert made.states[0].keeps == ("s", "unused", "z", "a")


def test_what_is_overwritten_is_not_kept() -> None:
    made = flow("""
        flow Keeps(n: Int):
            var a = 1
            var b = 2
            checkpoint
            a = 3
            if n > 0:
                b = 4
            else:
                Desk.note("{b}")
                b = 5
            Desk.note("{a} {b}")
        """)
    assert keeps(made) == {"Checkpoint": ["n", "b"]}


def test_what_a_loop_needs_in_its_next_round_is_kept() -> None:
    made = flow("""
        flow Keeps(n: Int):
            var sum = 0
            var round = 0
            var last = 0
            while round < n:
                Desk.note("{last}")
                checkpoint
                let now_here = round * 2
                sum = sum + now_here
                last = now_here
                round = round + 1
        """)
    assert keeps(made) == {"Checkpoint": ["n", "sum", "round"]}


def test_two_variables_of_one_name_are_two() -> None:
    made = flow("""
        flow Twice(n: Int):
            if n > 0:
                let x = 1
                checkpoint
                Desk.note("{x}")
            else:
                let x = "text"
                let x_2 = "y"
                checkpoint
                Desk.note("{x} {x_2}")
        """)
    assert keeps(made) == {"Checkpoint": ["x"], "Checkpoint2": ["x_3", "x_2"]}
    assert {variable.name: shown(variable.type) for variable in made.variables} == {
        "n": "Int",
        "x": "Int",
        "x_3": "Text",
        "x_2": "Text",
    }


def test_an_optional_that_was_tested_is_marked() -> None:
    made = flow("""
        flow Optional(a: Ask, n: Int?):
            if n != none and a.note != none:
                Desk.note("{n + 1} {a.note.size}")
        """)
    action = made.states[0].actions[0]
    assert isinstance(action, machine.If)
    [(_, (do,))] = action.branches
    assert isinstance(do, machine.Do)
    found = [at for at in walk.within(do.value) if isinstance(at, machine.Some)]
    assert set(found) == {
        machine.Some(machine.Var("n")),
        machine.Some(machine.Get(machine.Var("a"), "note")),
    }


# --- sessions -------------------------------------------------------------------------------------

SIDES = """
flow Other():
    responds to Opens as s
    checkpoint
"""


def test_leaving_a_block_ends_its_sessions() -> None:
    made = flow(
        dented("""
        flow Opens(p: Party, n: Int):
            open Other with p as first
            if n > 0:
                open Other with p as second
                send Ask(n) to second
            while n > 1:
                open Other with p as third
                if n == 3:
                    break
                if n == 4:
                    continue
                if n == 5:
                    return
            if n > 2:
                send Ask(n) to first
        """)
        + SIDES
    )
    [start] = made.states
    text = [_written(action) for action in walk.each(start.actions)]
    assert text == [
        "Open 0", "If", "Open 1", "Send", "Leave 0", "While", "Open 1", "If", "Leave 0", "Break",
        "If", "Leave 0", "Continue", "If", "Return", "Leave 0", "If", "Send", "Return",
    ]  # fmt: skip


def _written(action: machine.Action) -> str:
    name = type(action).__name__
    return f"{name} {action.block}" if isinstance(action, machine.Open | machine.Leave) else name


def test_a_handler_first_ends_the_sessions_of_its_try() -> None:
    made = flow(
        dented("""
        flow Opens(p: Party):
            while true:
                try:
                    open Other with p as s
                    receive a: Ask from s unchecked
                    break
                catch Busy:
                    pass
                try:
                    checkpoint
                catch Busy:
                    Desk.note("none is open")
        """)
        + SIDES
    )
    written = {state.name: [_written(action) for action in state.actions] for state in made.states}
    assert written["AwaitAsk"] == ["Leave 0"]
    assert written["catch_25"] == ["Leave 1"]
    assert written["catch_29"] == ["Do"]


def test_a_handler_without_a_wait_does_so_too() -> None:
    made = flow(
        dented("""
        flow Opens(p: Party):
            try:
                open Other with p as s
                throw Busy()
            catch Busy:
                pass
        """)
        + SIDES
    )
    action = made.states[0].actions[0]
    assert isinstance(action, machine.Try)
    assert action.block == 0
    assert [_written(inner) for inner in action.catches[0].body] == ["Leave 0"]


# --- the whole module -----------------------------------------------------------------------------


def test_constants_have_one_form() -> None:
    made = flow("""
        flow Constants() -> Bool:
            let a = 12.50
            let b = -0.0
            let c = 1500ms
            let d = b"\\x00a"
            let e = -3
            return b"a" == b"b"
        """)
    values = [a.value for a in made.states[0].actions if isinstance(a, machine.Assign)]
    assert values == [
        machine.Const("Decimal", "12.5"),
        machine.Const("Decimal", "0"),
        machine.Const("Duration", 1500),
        machine.Const("Bytes", "0061"),
        machine.Const("Int", -3),
    ]
    last = made.states[0].actions[-1]
    assert isinstance(last, machine.Return)
    assert last.value == machine.Const("Bool", False)


def test_what_is_left_out_of_a_call_is_the_default_where_the_record_is_declared() -> None:
    made = module(
        """
        use shop.money: Amount

        flow One() -> Amount:
            return Amount(currency="EUR")
        """,
        **{
            "shop.money": """
            record Amount:
                currency: Text
                value: Decimal = 1.50
                signs: List[Text] = ["€", "c"]
            """
        },
    )
    returned = made.machines[0].states[0].actions[0]
    assert isinstance(returned, machine.Return)
    assert returned.value == machine.New(
        "shop.money.Amount",
        (
            machine.Const("Text", "EUR"),
            machine.Const("Decimal", "1.5"),
            machine.Items((machine.Const("Text", "€"), machine.Const("Text", "c"))),
        ),
    )
    assert made.uses == {"shop.money": ("Amount",)}
    assert made.used_errors == ()


SEEDS = range(30)


@functools.cache
def compiled(seed: int) -> tuple[machine.Module, cfg.Cfg]:
    """A random program, as a module, and the blocks of its first flow."""
    program = generate(Seeded(seed))
    sources = {"program": Source("program.flow", "program", program.text)}
    if program.library is not None:
        sources[LIBRARY] = Source("library.flow", LIBRARY, program.library)
    made = compile_modules(["program"], sources.get)
    assert not made.diagnostics
    checked = made.checked["program"]
    first = next(one for one in checked.file.declarations if isinstance(one, syntax.Flow))
    return made.modules["program"], cfg.build(first, checked, made.checked)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_programs_go_through_json_and_come_out_the_same(seed: int) -> None:
    made, _ = compiled(seed)
    data = machine.to_json(made)
    assert machine.from_json(data) == made
    assert machine.to_json(machine.from_json(data)) == data
    assert machine.to_json(compiled.__wrapped__(seed)[0]) == data


@pytest.mark.parametrize("seed", SEEDS)
def test_states_are_reached_and_named_once(seed: int) -> None:
    for made in compiled(seed)[0].machines:
        names = [state.name for state in made.states]
        assert len(set(names)) == len(names)
        tags = [state.tag for state in made.states if state.tag is not None]
        assert tags == list(range(len(tags)))
        reached = {"Start"}
        todo = ["Start"]
        while todo:
            state = made.state(todo.pop())
            for target in (*machine.targets(state.next), *(h.target for h in state.handlers)):
                if target not in reached:
                    reached.add(target)
                    todo.append(target)
        assert reached == set(names)


# --- liveness, worked out again -------------------------------------------------------------------


class Points:
    """The same flow as single points that read, write, and lead to others: no structure is left,
    and what is needed is found by walking forwards from each wait, for each variable alone."""

    def __init__(self, made: machine.Machine) -> None:
        self.reads: list[frozenset[str]] = []
        self.writes: list[str | None] = []
        self.leads: list[list[int]] = []
        self.heads: dict[str, int] = {}
        for state in made.states:
            self.heads[state.name] = self.point()
        for state in made.states:
            self.state(state)

    def point(self, reads: frozenset[str] = frozenset(), writes: str | None = None) -> int:
        self.reads.append(reads)
        self.writes.append(writes)
        self.leads.append([])
        return len(self.reads) - 1

    def state(self, state: machine.State) -> None:
        handlers = []
        for handler in walk.effective(state.handlers):
            taken = self.point(writes=handler.name)
            self.leads[taken].append(self.heads[handler.target])
            handlers.append(taken)
        at = self.heads[state.name]
        self.leads[at] += handlers
        if state.awaits is not None:
            delivered = self.point(writes=walk.delivered(state.awaits))
            self.leads[at].append(delivered)
            at = delivered
            self.leads[at] += handlers
        end = self.sequence(state.actions, at, handlers, None, None)
        if end is None:
            return
        last = self.point(
            frozenset[str]().union(*[walk.reads(e) for e in walk.ending_expressions(state)])
        )
        self.leads[end].append(last)
        self.leads[last] += handlers
        self.leads[last] += [self.heads[target] for target in machine.targets(state.next)]

    def sequence(
        self,
        body: tuple[machine.Action, ...],
        at: int,
        handlers: list[int],
        broken: int | None,
        continued: int | None,
    ) -> int | None:
        """Points for the actions after `at`; the last one, or None if the end is not reached."""
        for action in body:
            reads = frozenset[str]().union(*[walk.reads(e) for e in walk.expressions(action)])
            here = self.point(reads)
            self.leads[at].append(here)
            self.leads[here] += handlers
            match action:
                case machine.Assign(name=name) | machine.Open(name=name):
                    done = self.point(writes=name)
                    self.leads[here].append(done)
                    self.leads[done] += handlers
                    at = done
                case machine.Throw() | machine.Return():
                    return None
                case machine.Break():
                    assert broken is not None
                    self.leads[here].append(broken)
                    return None
                case machine.Continue():
                    assert continued is not None
                    self.leads[here].append(continued)
                    return None
                case machine.If() | machine.Check():
                    after = self.point()
                    for inner in walk.bodies(action):
                        self.close(self.sequence(inner, here, handlers, broken, continued), after)
                    at = after
                    self.leads[at] += handlers
                case machine.While() | machine.For():
                    after = self.point()
                    if not (
                        isinstance(action, machine.While)
                        and action.condition == machine.Const("Bool", True)
                    ):
                        self.leads[here].append(after)
                    first = here
                    head = here
                    if isinstance(action, machine.For):
                        # The list is read once, before the first round.
                        head = self.point()
                        self.leads[here] = [head, *handlers]
                        self.leads[head].append(after)
                        first = self.point(writes=action.name)
                        self.leads[head].append(first)
                    self.close(self.sequence(action.body, first, handlers, after, head), head)
                    at = after
                    self.leads[at] += handlers
                case machine.Try():
                    after = self.point()
                    taken = []
                    for catch in action.catches:
                        caught = self.point(writes=catch.name)
                        taken.append(caught)
                        end = self.sequence(catch.body, caught, handlers, broken, continued)
                        self.close(end, after)
                    self.leads[here] += taken
                    inner_handlers = [*taken, *handlers]
                    end = self.sequence(action.body, here, inner_handlers, broken, continued)
                    self.close(end, after)
                    at = after
                    self.leads[at] += handlers
                case _:
                    at = here
        return at

    def close(self, end: int | None, after: int) -> None:
        if end is not None:
            self.leads[end].append(after)

    def needed(self, state: str) -> set[str]:
        """The variables of which some way from the state reads the value that they have there."""
        names = frozenset[str]().union(*self.reads)
        return {name for name in names if self.is_read(self.heads[state], name)}

    def is_read(self, start: int, name: str) -> bool:
        seen = {start}
        todo = [start]
        while todo:
            at = todo.pop()
            if name in self.reads[at]:
                return True
            if self.writes[at] == name:
                continue
            for target in self.leads[at]:
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        return False


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_keeps_exactly_what_some_way_from_it_reads(seed: int) -> None:
    for made in compiled(seed)[0].machines:
        points = Points(made)
        for state in made.states:
            if state.awaits is not None:
                assert set(state.keeps) == points.needed(state.name), state.name


def test_liveness_is_the_same_in_whatever_order_blocks_stand() -> None:
    for seed in range(10):
        _, blocks = compiled(seed)
        found: Mapping[str, frozenset[str]] = liveness.needed(blocks.blocks)
        turned = liveness.needed(tuple(_turned(blocks)))
        assert found == turned


def _turned(made: cfg.Cfg) -> Iterator[cfg.Block]:
    yield from reversed(made.blocks)
