"""Generated Python: how it reads, that tools find nothing wrong with it, and that it does what it
says whatever authors write."""

from __future__ import annotations

import decimal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from flowlang import codegen, machine
from flowlang.codegen.allowed import verify
from flowlang.compiler import Compilation, compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowrt.core import flow as rt
from tests.programs import python

HOSTILE = Path(__file__).parent / "hostile"


def compiled(text: str, name: str = "t") -> Compilation:
    source = Source(f"{name}.flow", name, textwrap.dedent(text).strip() + "\n")
    made = compile_modules([name], {name: source}.get)
    assert not made.diagnostics, "\n".join(as_text(d, made.sources) for d in made.diagnostics)
    return made


def generated(text: str, name: str = "t") -> str:
    return codegen.generate(compiled(text, name).modules[name])


@pytest.fixture
def imported() -> Iterator[Any]:
    """Imports the Python of a program, until the test is over."""
    names = []

    def load(text: str, name: str = "t_flow") -> ModuleType:
        module = ModuleType(name)
        names.append(name)
        sys.modules[name] = module
        exec(compile(text, f"{name}.py", "exec"), module.__dict__)
        return module

    yield load
    for name in names:
        del sys.modules[name]


class Recorder:
    """A node's run for flows that only compute, wait at checkpoints, and tell one service."""

    me = rt.Party("me")
    flow_id = 7
    tx = None

    def __init__(self) -> None:
        self.noted: list[Any] = []
        self.turns = 0
        self.left: list[int] = []

    def service(self, _: object) -> Recorder:
        return self

    def note(self, _: object, value: Any) -> None:
        self.noted.append(value)

    def twice(self, _: object, value: int) -> int:
        self.noted.append(value)
        return value * 2

    def tick(self) -> None:
        self.turns += 1

    def woken(self) -> None:
        """Nobody sets a deadline here, nor throws anything in."""

    def leave(self, block: int) -> None:
        self.left.append(block)

    def run(self, flow: Any, *arguments: object) -> Any:
        """What the flow returns."""
        state = flow.Start(*arguments)
        while True:
            step = flow.step(state, self)
            if isinstance(step, rt.Return):
                return step.value
            data = msgspec.msgpack.encode(step.state)
            state = msgspec.msgpack.decode(data, type=flow.States)


DESK = """
error Busy

service Desk:
    write note(n: Int)
    read twice(n: Int) -> Int

"""

# --- how it reads ---------------------------------------------------------------------------------

TRADE = '''
"""Goods for money."""

message Offer:
    """What is for sale."""
    goods: Text
    price: Int
    fee: Decimal = 0.50

message Answer:
    text: Text

error TooDear(price: Int): "too dear: {price}"

service Desk:
    """What the owner decides."""
    read limit(goods: untrusted Text) -> Int

flow Seller(buyer: Party, price: Int) -> Int:
    """Asks less and less."""
    startable by rpc
    steps:
        OFFERING "Offering"
    var now_asked = price
    while now_asked > 0:
        try:
            step OFFERING
            open Buyer with buyer as trade
            send Offer("tea", now_asked) to trade then receive answer: Answer from trade unchecked
            log info "{answer.text}"
            return now_asked
        catch TooDear as refused:
            log info "{refused.price} refused"
        now_asked = now_asked - 10
    return 0

flow Buyer():
    responds to Seller as trade
    receive offer: Offer from trade:
        require offer.price <= Desk.limit(offer.goods) else TooDear(offer.price)
    send Answer("done") to trade
'''

TRADE_PYTHON = Path(__file__).parent / "trade.txt"


def test_a_trade_as_python() -> None:
    """The whole text, to be read by whoever changes it. It is not a `.py` file, because no tool
    is to touch it."""
    assert generated(TRADE, "trade") == TRADE_PYTHON.read_text()


def test_the_same_machine_gives_the_same_text() -> None:
    made = compiled(TRADE, "trade").modules["trade"]
    again = machine.from_json(machine.to_json(made))
    assert codegen.generate(made) == codegen.generate(again)


def test_the_contract_is_the_runtimes() -> None:
    assert codegen.CONTRACT == rt.CONTRACT
    assert "\n# flowc: contract 2, module t, sha256 " in generated(DESK + "flow F():\n    pass\n")


# --- tools find nothing ---------------------------------------------------------------------------


def test_hostile_names_and_texts_are_clean(tmp_path: Path) -> None:
    """A module with names that Python, the runtime or the generator need for themselves."""

    def load(name: str) -> Source | None:
        path = HOSTILE.joinpath(*name.split(".")).with_suffix(".flow")
        return Source(f"{name}.flow", name, path.read_text()) if path.exists() else None

    made = compile_modules(["names"], load)
    assert not made.diagnostics
    for name, module in made.modules.items():
        python.write(tmp_path / "project", name, codegen.generate(module))
    (tmp_path / "project" / "names_functions.py").write_text(
        "def f(x: str) -> int | None:\n    return len(x)\n\n\n"
        "def many(a: str, b: int, c: object) -> tuple[int, ...]:\n    return (b,)\n"
    )
    (tmp_path / "project" / "shop" / "prices.py").write_text(
        "import decimal\n\n\n"
        "def price_of(name: str) -> decimal.Decimal:\n    return decimal.Decimal(len(name))\n"
    )
    assert python.complaints(tmp_path) == ""


def _nested(levels: int, head: str, leaf: str) -> str:
    lines = ["    " * (n + 1) + head.format(n=n) for n in range(levels)]
    return "\n".join([*lines, "    " * (levels + 1) + leaf]) + "\n"


def _tries(levels: int, leaf: str) -> str:
    lines = ["    " * (n + 1) + "try:" for n in range(levels)]
    lines.append("    " * (levels + 1) + leaf)
    for n in reversed(range(levels)):
        lines += ["    " * (n + 1) + f"catch Busy as e{n}:", "    " * (n + 2) + f"Desk.note({n})"]
    return "\n".join(lines) + "\n"


def _grown(start: str, step: str, count: int) -> str:
    for n in range(count):
        start = step.format(inner=start, n=n)
    return start


def _condition(count: int) -> str:
    """Ands and ors within each other to the right."""
    made = "n > 0"
    for n in range(count):
        made = f"(n == Desk.twice({n}) {'and' if n % 2 else 'or'} {made})"
    return made


LEVELS = 62
DEEP = {
    "ifs": "flow F(n: Int):\n" + _nested(LEVELS, "if n > {n}:", "Desk.note(n)"),
    "waiting_ifs": "flow F(n: Int):\n" + _nested(LEVELS, "if n > {n}:", "checkpoint"),
    "loops": "flow F(n: Int):\n" + _nested(LEVELS, "while n > {n}:", "break"),
    "fors": "flow F(xs: List[Int]):\n" + _nested(LEVELS, "for x{n} in xs:", "Desk.note(x0 + x61)"),
    "waiting_fors": "flow F(xs: List[Int]):\n" + _nested(LEVELS, "for x{n} in xs:", "checkpoint"),
    "tries": "flow F():\n" + _tries(LEVELS, "throw Busy()"),
    "waiting_tries": "flow F():\n" + _tries(LEVELS, "checkpoint"),
    "sums": f"flow F(n: Int) -> Int:\n    return {_grown('n', '({inner} + {n})', 97)}\n",
    "calls": f"flow F(n: Int) -> Int:\n    return {_grown('n', 'Desk.twice({inner})', 97)}\n",
    "nots": "flow F(n: Bool) -> Bool:\n    return " + "not " * 98 + "n\n",
    "signs": "flow F(n: Int) -> Int:\n    return " + "-" * 98 + "n\n",
    "conditions": "flow F(n: Int):\n    if n == 1:\n        pass\n"
    + f"    elif {_condition(95)}:\n        Desk.note(n)\n" * 8
    + f"    while {_condition(90)}:\n        break\n",
    "many_ways": "flow F(n: Int):\n    if n == 0:\n        pass\n"
    + "".join(f"    elif n == {n}:\n        checkpoint\n" for n in range(1, 150))
    + "".join(f"    if n == {n}:\n        checkpoint\n        return\n" for n in range(150)),
    "many_breaks": "flow F(n: Int):\n    while true:\n"
    + "".join(
        f"        if n == {n}:\n            if n > 3:\n                break\n"
        f"            Desk.note({n})\n"
        for n in range(150)
    )
    + "        checkpoint\n",
    "long_texts": 'flow F(n: Int):\n    let t = "é日{n}"\n    log info '
    + " + ".join(['"aaaaaaaaaaaaaaaaaaaaaaa{t}"'] * 90)
    + '\n    log info "'
    + "{t} é" * 60
    + '"\n',
    "long_lists": "flow F(n: Int) -> List[List[Int]]:\n    let m = {"
    + ", ".join(f'"k{n}": [{n}, n]' for n in range(60))
    + "}\n    return ["
    + ", ".join(f"[{n}, n + {n}]" for n in range(100))
    + '] + [m["k1"]]\n',
}


def test_deep_and_long_sources_are_clean(tmp_path: Path) -> None:
    for name, text in DEEP.items():
        python.write(tmp_path / "project", name, generated(DESK + text, name))
    assert python.complaints(tmp_path) == ""


@pytest.mark.parametrize(
    ("name", "arguments", "returned", "noted"),
    [
        ("ifs", [100], None, [100]),
        ("ifs", [30], None, []),
        ("waiting_ifs", [100], None, []),
        ("loops", [0], None, []),
        ("fors", [(3,)], None, [6]),
        ("waiting_fors", [(3,)], None, []),
        ("tries", [], None, [61]),
        ("waiting_tries", [], None, []),
        ("sums", [1], 1 + sum(range(97)), []),
        ("nots", [True], True, []),
        ("signs", [5], 5, []),
        ("conditions", [1], None, [89]),
        ("many_ways", [120], None, []),
        ("many_breaks", [2], None, [2]),
        ("many_breaks", [70], None, []),
    ],
)
def test_deep_sources_do_what_they_say(
    imported: Any, name: str, arguments: list[Any], returned: object, noted: list[int]
) -> None:
    text = DEEP[name]
    if name == "many_breaks" and arguments == [2]:
        text = text.replace("checkpoint", "return")
    module = imported(generated(DESK + text))
    node = Recorder()
    assert node.run(module.F_v1, *arguments) == returned
    assert node.noted == noted


# --- single forms ---------------------------------------------------------------------------------


def body(text: str) -> str:
    """The cases of the first flow, without comments."""
    python_ = generated(DESK + textwrap.dedent(text))
    step = python_.partition("    def step(")[2].partition("\n\n\n")[0]
    lines = [line for line in step.split("\n")[1:] if not line.lstrip().startswith("#")]
    return textwrap.dedent("\n".join(lines)).strip()


def test_what_python_cannot_see_to_be_there_is_asserted() -> None:
    made = body("""
        flow F(a: Int?, b: Int?) -> Int:
            if a == none or b == none:
                return 0
            let sum = a + b
            checkpoint
            return sum + a
        """)
    assert "sum_: int = rt.checked(a + b)" in made
    assert "rt.checked(sum_ + rt.some(a))" in made


def test_loops_that_never_wait_are_counted() -> None:
    made = body("""
        flow F(n: Int):
            var i = 0
            while i < n:
                i = i + 1
            for x in [1, 2]:
                Desk.note(x)
            while i > 0:
                if i == 5:
                    checkpoint
                i = i - 1
            while true:
                checkpoint
        """)
    assert made.count("run.tick()") == 3


def test_values_that_nobody_reads_are_computed_only_if_that_matters() -> None:
    made = body("""
        flow F(n: Int):
            let a = n
            let b = n + 1
            let c = Desk.twice(n)
            let d = n == Desk.twice(3)
            let e = [a, n]
            Desk.note(1)
        """)
    assert made == textwrap.dedent("""\
        match at:
            case F_v1.Start():
                n = at.n
                rt.checked(n + 1)
                run.service(Desk_key).twice(run.tx, n)
                _value = n == run.service(Desk_key).twice(run.tx, 3)
                run.service(Desk_key).note(run.tx, 1)
                return rt.Return(None)
            case _:
                typing.assert_never(at)""")


def test_a_block_of_checks_blames_only_where_something_can_go_wrong() -> None:
    head = "message M:\n    n: Int\n\nflow F(s: Session):\n    receive m: M from s:\n        "
    assert "rt.Fault" not in body(head + "require m.n > 0 else Busy()\n")
    assert "except rt.Fault as fault:" in body(head + "require m.n + 1 > 0 else Busy()\n")


def test_conditions_are_negated_as_a_person_would() -> None:
    made = body("""
        flow F(n: Int, b: Bool, o: Int?, xs: List[Int]):
            require n < 1 else Busy()
            require not b else Busy()
            require o != none else Busy()
            require n in xs else Busy()
            require b == false else Busy()
            require n == 1 and b else Busy()
        """)
    tests = [line.strip() for line in made.split("\n") if line.lstrip().startswith("if ")]
    assert tests == [
        "if n >= 1:",
        "if b:",
        "if o is None:",
        "if n not in xs:",
        "if b is not False:",
        "if not (n == 1 and b):",
    ]


# --- what generated classes do --------------------------------------------------------------------


def test_a_decimal_that_is_no_number_is_refused_when_it_is_decoded(imported: Any) -> None:
    module = imported(
        generated("""
        record Prices:
            one: Decimal
            some: List[Decimal?]
            named: Map[Text, List[Decimal]]?

        flow F():
            pass
        """)
    )
    fine: list[Any] = ["1", ["2", None], {"a": ["3"]}]
    assert msgspec.convert(fine, module.Prices).one == decimal.Decimal(1)
    wrong: list[list[Any]] = [
        ["NaN", [], None],
        ["1", ["Infinity"], None],
        ["1", [], {"a": ["NaN"]}],
    ]
    for bad in wrong:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, module.Prices)


def test_an_error_says_what_it_can(imported: Any) -> None:
    module = imported(
        generated("""
        error Late(days: Int): "late by {days + 1} days"

        flow F():
            pass
        """)
    )
    assert str(module.Late(2)) == "late by 3 days"
    assert str(module.Late(rt.INT_MAX)) == "Late"
    assert module.Late(2).fields() == module.Late.Fields(2)
    assert module.F_v1.errors == {"t.Late": module.Late}


def test_a_flow_is_not_called(imported: Any) -> None:
    module = imported(generated("flow F(flow_name: Text):\n    pass\n"))
    with pytest.raises(TypeError, match=r"await node\.start\(F_v1, flow_name=…\)"):
        module.F_v1(flow_name="x")


def test_a_flow_knows_what_it_needs(imported: Any) -> None:
    module = imported(
        generated(
            DESK
            + """
function half(n: Int) -> Int = python "shop.maths:half"

flow F(n: Int) -> Int:
    \"\"\"Halves.\"\"\"
    version 4
    startable by rpc
    steps:
        HALVING "Halving" tracks G
    return subflow G(Desk.twice(half(n)))

flow G(n: Int) -> Int:
    checkpoint
    return n
"""
        )
    )
    flow = module.F_v4
    assert flow.versioned() == "t.F_v4"
    assert flow.contract == rt.CONTRACT
    assert flow.services == (module.Desk_key,)
    assert flow.functions == ("shop.maths:half",)
    assert flow.subflows == ("t.G_v1",)
    assert flow.startable == ("rpc",)
    assert flow.steps == (rt.ProgressStep("HALVING", "Halving", "t.G"),)
    assert flow.Start.__struct_config__.tag == 0
    assert flow.InG.__struct_config__.tag == 1
    assert flow.InG.place == "t.flow:16"
    assert flow.__doc__ == "Halves."
    assert [operation.result for operation in module.Desk_key.operations] == [None, rt.Int]


def test_two_types_of_one_name_are_told_apart(imported: Any) -> None:
    sources = {
        "shop.parts": Source(
            "shop/parts.flow",
            "shop.parts",
            "record Part:\n    size: Size\n\nrecord Size:\n    n: Int\n\nerror Lost(part: Part)\n",
        ),
        "t": Source(
            "t.flow",
            "t",
            "use shop.parts: Part, Lost\n\nrecord Size:\n    text: Text\n\n"
            "flow F(part: Part, own: Size) -> Size:\n"
            "    let other = part.size\n"
            "    checkpoint\n"
            "    if other.n > 3:\n"
            "        throw Lost(part)\n"
            "    return own\n",
        ),
    }
    made = compile_modules(["t"], sources.get)
    assert not made.diagnostics
    parts = imported(codegen.generate(made.modules["shop.parts"]), "shop.parts_flow")
    text = codegen.generate(made.modules["t"])
    assert "from shop.parts_flow import Lost, Part, Size as shop_parts_Size\n" in text
    module = imported(text)
    assert module.F_v1.errors == {"shop.parts.Lost": parts.Lost}
    size = module.Size("x")
    assert Recorder().run(module.F_v1, parts.Part(parts.Size(1)), size) == size


# --- the last look --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "import os\n",
        "import typing as t\n",
        "from os import system\n",
        "print(1)\n",
        "x = eval\n",
        "x = ().__class__\n",
        "x = [n for n in ()]\n",
        "x = f'{1}'\n",
        "def f(): yield\n",
        "async def f(): pass\n",
        "with x: pass\n",
        "x = (y := 1)\n",
        "@cache\ndef f(): pass\n",
        "global x\n",
        "del x\n",
        "assert x\n",
        "x = 1 if y else 2\n",
        "run.log('x')\n",
    ],
)
def test_what_is_never_generated_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must not contain"):
        verify(text, {"shop_flow"})


def test_what_is_generated_passes() -> None:
    verify("from shop_flow import X\n\nclass A(X):\n    x = 1\n", {"shop_flow"})


def test_looking_at_what_is_known_of_a_case_imports_nothing() -> None:
    """`Approved` is the case that comes second, and is known to be no other by then."""
    texts = {
        "kinds": "enum Decision:\n    Counted(n: Int)\n    Pending\n    Approved(by: Text)\n",
        "t": "use kinds: Decision\n\nflow Try(n: Int) -> Int:\n"
        "    match Decision.Counted(n):\n        case Counted(m):\n            return m\n"
        "        case Pending, Approved:\n            return 0\n",
    }
    sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}
    made = compile_modules(["t"], sources.get)
    assert not made.diagnostics
    text = codegen.generate(made.modules["t"])
    assert "Decision_Counted" in text
    assert "Decision_Approved" not in text
    assert "Decision_Pending" not in text
