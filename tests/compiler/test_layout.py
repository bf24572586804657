"""Python statements on a page: as ruff would lay them out, and safe whatever authors write."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlang.codegen import trees, words
from flowlang.codegen.page import Page
from flowlang.codegen.trees import Atom, Attribute, Call, Dict, Known, Lambda, Method, Prefix, Tree

RUFF = Path(sys.executable).with_name("ruff")


# --- literals, names and comments -----------------------------------------------------------------

HOSTILE = [
    'x"; import os; os.system("id"); y="',
    "ends in \\",
    "two\nlines\r\x0c\u2028\x85",
    "\x00\ud800 😀 </script>",
    "{{ x }} {% y %} {x}",
    "\"\"\"'''",
    "a\u0301 \u1161 \u202e \ufeff",
]


@given(st.text(st.characters(exclude_categories=())))
def test_a_text_means_itself_and_stays_on_its_line(value: str) -> None:
    written = words.text(value)
    assert ast.literal_eval(written) == value
    assert written.isprintable()


@given(st.binary())
def test_bytes_mean_themselves(value: bytes) -> None:
    written = words.octets(value)
    assert ast.literal_eval(written) == value
    assert written.isascii()
    assert written.isprintable()


@given(st.text(st.characters(exclude_categories=())) | st.sampled_from(HOSTILE))
def test_comments_and_docstrings_hold_what_is_in_them(said: str) -> None:
    text = "\n".join([words.comment(4, said), *words.docstring(4, f"x{said}"), "    y = 1"])
    tree = ast.parse(f"class A:\n{text}\n")
    [declared] = tree.body
    assert isinstance(declared, ast.ClassDef)
    assert [type(node) for node in declared.body] == [ast.Expr, ast.Assign]
    assert text.replace("\n", "").isprintable()
    assert words.comment(4, said).count("#") == 1


def test_a_comment_of_the_source_is_not_repeated() -> None:
    assert words.comment(0, 't.flow:1  log info "a # b"  # noqa') == '# t.flow:1  log info "a ♯ b"'
    assert words.comment(0, "x" * 100) == f"# {'x' * 85}…"


@pytest.mark.parametrize(
    ("written", "name", "field", "state_field"),
    [
        ("price", "price", "price", "price"),
        ("class", "class_", "class_", "class_"),
        ("match", "match_", "match_", "match_"),
        ("str", "str_", "str_", "str_"),
        ("str_", "str__", "str__", "str__"),
        ("run", "run_", "run_", "run_"),
        ("l", "l_", "l_", "l_"),
        ("peer", "peer", "peer_", "peer"),
        ("place", "place", "place", "place_"),
        ("Start", "Start_", "Start_", "Start_"),
        ("None", "None_", "None_", "None_"),
    ],
)
def test_names_are_made_safe(written: str, name: str, field: str, state_field: str) -> None:
    made = (words.name(written), words.field(written), words.state_field(written))
    assert made == (name, field, state_field)


@pytest.mark.parametrize("bad", ["", "a b", "a;b", "1a", "_a", "__init__", "é", "a\n", "a.b"])
def test_what_is_no_name_goes_no_further(bad: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        words.name(bad)


@pytest.mark.parametrize("bad", ["", "a..b", "os; x", "a.class", "../x", "a.b\n"])
def test_what_is_no_module_goes_no_further(bad: str) -> None:
    with pytest.raises(ValueError, match="not a module"):
        words.module(bad)


# --- layout ---------------------------------------------------------------------------------------


class Trees:
    """Random expressions with names of all lengths."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def name(self) -> str:
        length = self.random.choice([1, 3, 5, 8, 12, 20, 30, 50, 64])
        return "".join(self.random.choice("zqwxkj_") for _ in range(length)).strip("_") or "x"

    def leaf(self) -> Tree:
        written = self.random.choice(
            [
                self.name(),
                f"{self.name()}.{self.name()}",
                words.text("x(" * self.random.choice([1, 10, 40])),
                words.text("é日" * self.random.choice([1, 10, 30])),
                "7",
            ]
        )
        if self.random.random() < 0.2:
            return Known(Atom(written), self.random.random() < 0.5)
        return Atom(written)

    def tree(self, depth: int) -> Tree:
        if depth <= 0 or self.random.random() < 0.15:
            return self.leaf()
        form = self.random.randrange(12)
        count = 2 if form in (5, 6, 7, 8, 11) else 1 if form == 9 else self.random.randint(1, 3)
        some = [self.tree(depth - 1) for _ in range(count)]
        one, other = some[0], some[-1]
        match form:
            case 0 | 1:
                return trees.call(self.random.choice(["rt.checked", "f", self.name()]), *some)
            case 2:
                kept = tuple((self.name(), Atom(self.name())) for _ in some)
                return Call("Seller_v1.AwaitX", kept)
            case 3:
                return trees.Tuple(tuple(some))
            case 4:
                return Dict(tuple((Atom(self.name()), value) for value in some))
            case 5:
                return trees.chain(trees.SUM, "+", one, other)
            case 6:
                operator = self.random.choice(["==", "<=", "in", "is not"])
                return trees.chain(trees.COMPARISON, operator, one, other)
            case 7:
                return trees.chain(trees.AND, "and", one, other)
            case 8:
                return trees.chain(trees.OR, "or", one, other)
            case 9:
                return Prefix(self.random.choice(["not", "-"]), one)
            case 10:
                owner = trees.call("run.service", Atom(self.name()))
                made = Method(owner, self.name(), tuple(some))
                return made if self.random.random() < 0.5 else Attribute(made, self.name())
            case _:
                return trees.call("rt.shifted", Lambda(trees.chain(trees.SUM, "+", one, other)))

    def statement(self, page: Page) -> None:
        tree = self.tree(self.random.choice([1, 2, 3, 4, 6]))
        match self.random.randrange(7):
            case 0:
                page.put(f"{self.name()} = ", tree)
            case 1:
                page.put("return ", trees.call("rt.Return", tree))
            case 2:
                page.put("raise ", trees.call(self.name(), tree))
            case 3:
                page.test(self.random.choice(["if", "while", "for x in"]), tree)
                page.close()
            case 4:
                page.put("", trees.call("run.log", tree, self.leaf()))
            case 5:
                mapping = trees.subscript("rt.Mapping", Atom("str"), Atom(self.name()))
                page.declare("x", mapping, tree)
            case _:
                optional = trees.chain(trees.UNION, "|", Atom(self.name()), Atom("None"))
                page.declare(self.name(), optional, tree)


def test_a_page_is_as_ruff_would_lay_it_out(tmp_path: Path) -> None:
    lines = []
    for seed in range(500):
        made = Trees(seed)
        page = Page(0)
        page.open("def f():")
        for _ in range(made.random.randrange(12)):
            page.open("if x:")
        made.statement(page)
        lines += [*page.lines, "", ""]
    path = tmp_path / "page.py"
    path.write_text("\n".join(lines).rstrip() + "\n")
    done = subprocess.run(
        [RUFF, "format", "--isolated", "--diff", path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[:3000]


class Calls:
    """In which order calls are computed."""

    def __init__(self) -> None:
        self.called: list[int] = []

    def f(self, number: int, *_: object) -> int:
        self.called.append(number)
        return number


def _numbered(count: int, long: str) -> Tree:
    """A deep expression whose calls are numbered in the order in which they are computed."""
    tree: Tree = trees.call("f", Atom("0"))
    for number in range(1, count):
        following = trees.call("f", Atom(str(number)), Atom(words.text(long)))
        match number % 4:
            case 0:
                tree = trees.chain(trees.SUM, "+", tree, following)
            case 1:
                tree = trees.call("max", tree, following)
            case 2:
                tree = trees.chain(trees.OR, "or", tree, following)
            case _:
                tree = trees.chain(trees.AND, "and", tree, following)
    return tree


@pytest.mark.parametrize("count", [2, 5, 9, 20, 40])
@pytest.mark.parametrize("length", [1, 40, 80])
def test_what_is_computed_before_keeps_its_order(count: int, length: int) -> None:
    tree = _numbered(count, "x" * length)
    plain, cut = Calls(), Calls()
    wanted = eval(tree.text, {"f": plain.f})
    page = Page(0)
    page.put("result = ", tree)
    scope: dict[str, object] = {"f": cut.f}
    exec("\n".join(page.lines), scope)
    assert scope["result"] == wanted
    assert cut.called == plain.called
