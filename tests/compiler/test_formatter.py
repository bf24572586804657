"""Formatting: what it writes; it says the same; twice is once; no comment is lost."""

from __future__ import annotations

import dataclasses
import os
import random
import re
from pathlib import Path

import msgspec
import pytest

from flowlang import formatter, machine
from flowlang.compiler import Compilation, compile_modules
from flowlang.formatter import formatted
from flowlang.parser.marks import marked
from flowlang.source import Source
from tests.programs.generator import LIBRARY, MODULE, seeded
from tests.work import calls

ROOT = Path(__file__).parent.parent.parent
FILES = sorted(
    path for folder in ("examples", "tests", "flowlang") for path in (ROOT / folder).rglob("*.flow")
)


def one_way(text: str) -> str:
    done = formatted(Source("a.flow", "a", text))
    assert done.text is not None, done.diagnostics
    return done.text


def comments(text: str) -> list[str]:
    return formatter.comments(marked(Source("a.flow", "a", text)))


def bare(made: Compilation) -> list[object]:
    """Machines without what tells where in the text something stands: places, digests, and the
    line in the name of a block that no wait begins."""

    def without(value: object) -> object:
        if isinstance(value, dict):
            if value.keys() == {"line", "text"}:
                return "a place"
            return {key: without(one) for key, one in value.items() if key != "digest"}
        return [without(one) for one in value] if isinstance(value, list) else value

    found = []
    for module in made.modules.values():
        numbers: dict[str, str] = {}
        text = re.sub(
            r'"[a-z_]+_\d+(_\d+)?"',
            lambda name, numbers=numbers: numbers.setdefault(name[0], f'"block {len(numbers)}"'),
            machine.to_json(module).decode(),
        )
        found.append(without(msgspec.json.decode(text)))
    return found


# --- what it writes ---------------------------------------------------------------------------

WRITTEN = {
    "spaces": (
        'flow   F ( a:Int ,b : List [ Int ]? )->Int :\n  let x=-a+b [ 0 ]*( a- -1 )\n  return  x\n',
        "flow F(a: Int, b: List[Int]?) -> Int:\n    let x = -a + b[0] * (a - -1)\n    return x\n",
    ),
    "words_as_names": (
        "flow F(order: Order):\n  let x = order . step+1\n  Desk.log( step = x )\n  if(x>1):\n"
        "    return(x)\n\nservice Desk:\n   read   log ( if :Int)\n",
        "flow F(order: Order):\n    let x = order.step + 1\n    Desk.log(step=x)\n    if (x > 1):\n"
        "        return (x)\n\nservice Desk:\n    read log(if: Int)\n",
    ),
    "state_names": (
        "flow F(s: Session):\n    receive x : Ping from s  @ here unchecked\n",
        "flow F(s: Session):\n    receive x: Ping from s @here unchecked\n",
    ),
    "blank_lines": (
        '"""Doc."""\nuse a: B\nrecord C:\n\n\n    x: Int\n\n\n\n    y: Int\nerror E\nerror F\n\n\n'
        "# of the flow\nflow G():\n    if true:\n\n        pass\n\n    else:\n        pass\n",
        '"""Doc."""\n\nuse a: B\n\nrecord C:\n    x: Int\n\n    y: Int\n\nerror E\nerror F\n\n'
        "# of the flow\nflow G():\n    if true:\n        pass\n    else:\n        pass\n",
    ),
    "a_long_header": (
        "flow Settle(the_first_of_the_parties: Party, the_second_of_them: Party, amount: Amount)"
        " -> List[Receipt]:\n    pass\n",
        "flow Settle(\n    the_first_of_the_parties: Party,\n    the_second_of_them: Party,\n"
        "    amount: Amount,\n) -> List[Receipt]:\n    pass\n",
    ),
    "a_long_condition": (
        "flow F():\n    require (the_first_value == the_second_value and the_third_value > 12 or"
        " not the_fourth_one) else Bad()\n",
        "flow F():\n    require (\n        the_first_value == the_second_value and the_third_value"
        " > 12 or not the_fourth_one\n    ) else Bad()\n",
    ),
    "no_longer_long": (
        "flow F():\n    let x = g(\n        1,\n        2,\n    )\n    let y = [1,]\n",
        "flow F():\n    let x = g(1, 2)\n    let y = [1]\n",
    ),
    "comments": (
        "#top\nflow F():  # of the flow\n  # first\n  let x = 1 # one\n  let long_name = 2 # two\n"
        "  if true:\n    pass\n    # inner\n  # outer\n# none\n",
        "#top\nflow F():  # of the flow\n    # first\n    let x = 1          # one\n"
        "    let long_name = 2  # two\n    if true:\n        pass\n        # inner\n    # outer\n\n"
        "# none\n",
    ),
    "comments_in_brackets": (
        "flow F():\n  let x = g(  # open\n    1, # one\n    # above\n    2 + # plus\n"
        "    3 # three\n    , # comma\n    # last\n  )  # end\n",
        "flow F():\n    let x = g(\n        # open\n        1,  # one\n        # above\n"
        "        2 +  # plus\n            3,  # three\n        # comma\n        # last\n"
        "    )  # end\n",
    ),
    "docstrings": (
        'flow F():\n  """One.\n\n    more\n  less\n  """\n  pass\n',
        'flow F():\n    """One.\n\n      more\n    less\n    """\n    pass\n',
    ),
    "line_ends": ("\ufeffflow F():\r\n    pass", "flow F():\n    pass\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written(name: str) -> None:
    before, after = WRITTEN[name]
    assert one_way(before) == after
    assert one_way(after) == after


def test_what_may_not_begin_a_row_stays_in_its_row() -> None:
    """A parameter that is called like a statement, in a header that is too long."""
    operation = f"read f(step: Int, {', '.join(f'parameter_number_{n}: Int' for n in range(5))})"
    assert one_way(f"service F:\n    {operation}\n") == f"service F:\n    {operation}\n"
    text = "service F:\n    read f(a: Int # one\n , step: Int # two\n)\n"
    assert comments(one_way(text)) == ["# one", "# two"]
    assert one_way(one_way(text)) == one_way(text)


def test_mistakes_are_told_and_nothing_is_written() -> None:
    done = formatted(Source("a.flow", "a", "flow F(:\n    pass\n"))
    assert done.text is None
    assert [found.code for found in done.diagnostics]


# --- every program ------------------------------------------------------------------------------


def keeps_its_meaning(sources: dict[str, Source]) -> None:
    """Twice is once, comments stay, and the machines are the same."""
    changed = {}
    for name, source in sources.items():
        text = one_way(source.text)
        assert one_way(text) == text
        assert comments(text) == comments(source.text.replace("\r\n", "\n"))
        changed[name] = dataclasses.replace(source, text=text)
    if changed == sources:
        return  # The same texts have the same machines.
    before, after = (compile_modules(list(one), one.get) for one in (sources, changed))
    assert [found.code for found in before.diagnostics] == [one.code for one in after.diagnostics]
    assert bare(before) == bare(after)


def test_all_files_of_the_repository() -> None:
    count = 0
    for path in FILES:
        text = path.read_bytes().decode("utf-8", errors="replace")
        if formatted(Source("a.flow", "a", text)).text is not None:
            neighbours = {one.stem: one for one in path.parent.glob("*.flow")}
            names = [path.stem, *re.findall(r"(?m)^use (\w+):", text)]
            keeps_its_meaning(
                {
                    name: Source(f"{name}.flow", name, neighbours[name].read_text())
                    for name in names
                    if name in neighbours
                }
            )
            count += 1
    assert count > 100


@pytest.mark.parametrize("number", range(16))
def test_generated_programs_in_any_layout(number: int) -> None:
    in_any_layout(number)


@pytest.mark.campaign
@pytest.mark.parametrize("chunk", range(20))
def test_many_generated_programs_in_any_layout(chunk: int) -> None:
    size = int(os.environ.get("FLOW_PROGRAMS", "5000")) // 20
    for number in range(chunk * size, (chunk + 1) * size):
        in_any_layout(1000 + number)


def in_any_layout(number: int) -> None:
    """However a program is laid out, it is written in one way, with all of its comments."""
    program = seeded(number)
    texts = {MODULE: program.text}
    if program.library is not None:
        texts[LIBRARY] = program.library
    choose = random.Random(number)
    for name, text in texts.items():
        tidy = one_way(re.sub(r"\n\n+", "\n", text))
        assert one_way(mangled(text, choose)) == tidy, name
        noted = mangled(text, choose, comments=True)
        written = one_way(noted)
        assert comments(written) == comments(noted)
        assert one_way(written) == written
    keeps_its_meaning({name: Source(f"{name}.flow", name, text) for name, text in texts.items()})


def mangled(text: str, choose: random.Random, *, comments: bool = False) -> str:
    """The same program in another layout, with comments strewn in."""
    found = marked(Source("a.flow", "a", text)).tokens
    margins, depth, parts, fresh, noted = [""], 0, [], True, 0

    def note() -> str:
        nonlocal noted
        noted += 1
        return f"# note {noted}" if comments and choose.random() < 0.2 else ""

    for token in found:
        if token.kind == "INDENT":
            margins.append(margins[-1] + " " * choose.randint(1, 5))
        elif token.kind == "DEDENT":
            margins.pop()
        elif token.kind == "NEWLINE":
            parts.append(f" {note()}".rstrip() + "\n")
            fresh = True
        elif token.text:
            if fresh:
                above = note()
                parts.append(f"{choose.choice(margins)}{above}\n" if above else "")
                parts.append(margins[-1])
            elif depth and choose.random() < 0.3 and token.kind not in ("STEP", "LOG"):
                parts.append(f" {note()}\n{' ' * choose.randint(9, 30)}")
            else:
                parts.append(" " * choose.randint(1, 3))
            fresh = False
            depth += (token.text in "([{") - (token.text in ")]}")
            parts.append(token.text)
    return "".join(parts)


@pytest.mark.parametrize("folder", ["examples", "flowlang/templates"])
def test_what_authors_learn_from_is_written_so(folder: str) -> None:
    """`flowc fmt examples` writes them so."""
    for path in (ROOT / folder).rglob("*.flow"):
        assert one_way(path.read_text()) == path.read_text(), path


def test_four_times_the_lines_are_four_times_the_work() -> None:
    flow = (ROOT / "tests" / "benchmarks" / "bench.flow").read_text()
    flow = re.sub(r'(?m)^(use .*|""".*""")$', "", flow)
    part = flow * (500 // flow.count("\n"))
    assert calls(lambda: one_way(part * 4)) < 4.2 * calls(lambda: one_way(part))


def test_deep_nesting_is_laid_out() -> None:
    deep = "(" * 99 + "value" + ")" * 99
    wide = ", ".join(f"call_number_{n}({'x' * 20}, [{n}, {n}])" for n in range(50))
    for value in (deep, f"[{wide}]", "[" * 90 + wide + "]" * 90):
        text = f"flow F():\n    let x = {value}\n"
        assert one_way(one_way(text)) == one_way(text)
