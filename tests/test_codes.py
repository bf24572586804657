"""Every diagnostic that the compiler can give: a program with its exact text, and a page.

`tests/language/F301_condition.flow` gives what `F301_condition.txt` says. What needs special bytes
or several files is made here, in `MADE`, and read through the command line. `UPDATE_EXPECT=1`
writes the texts anew, to be read in the diff.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from flowlang import cli, packages, project
from flowlang.compiler import Compilation, compile_modules, misfits, remarks
from flowlang.diagnostics import Diagnostic, as_text
from flowlang.source import Source

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "language"
PAGES = ROOT / "flowlang" / "codes"
UPDATE = bool(os.environ.get("UPDATE_EXPECT"))


MONEY = Source("money.flow", "money", "record Amount:\n    units: Int\n    currency: Text\n")
"""A file that programs and examples may use."""


def compiled(text: str, name: str = "shop.flow") -> Compilation:
    """One file, through every pass that finds mistakes."""
    sources = {"shop": Source(name, "shop", text), "money": MONEY}
    return compile_modules(["shop"], sources.get, lambda: sources)


REMARKS = {"F220", "F221", "F415", "F416", "F417", "F418", "F419", "F435"}
"""Codes of warnings and notes."""

MAY_WARN = {"F418", "F419", "P208", "P209", "P211", "P213", "P214"}
"""Codes about conversations that are warnings, or may be."""


def said(made: Compilation, code: str) -> list[Diagnostic]:
    """What is found; with remarks, if `code` is one."""
    found = list(made.diagnostics)
    if code.startswith("P"):
        found += misfits(made)
    if code in REMARKS:
        shown = ("warning", "note") if code in ("F418", "F419") else ("warning",)
        found += [one for one in remarks(made) if one.severity in shown]
    return found


def expect(name: str, text: str) -> None:
    """`text` is what the file of that name holds."""
    path = PROGRAMS / f"{name}.txt"
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text()


# --- programs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("[FP]*.flow")))
def test_a_program_and_its_one_mistake(name: str) -> None:
    path = PROGRAMS / f"{name}.flow"
    made = compiled(path.read_text(), path.name)
    all_found = said(made, name[:4])
    expect(name, "\n".join(as_text(found, made.sources) for found in all_found))
    # What nobody ever sends is often the cause of something worse.
    codes = [one.code for one in all_found if one.code == name[:4] or one.code != "P209"]
    assert codes == [name[:4]]
    if name[:4] not in MAY_WARN:
        worst = "warning" if name[:4] in REMARKS else "error"
        assert [one.severity for one in all_found if one.code == name[:4]] == [worst]


@pytest.mark.parametrize("name", sorted(path.stem for path in (PROGRAMS / "fits").glob("*.flow")))
def test_a_program_whose_two_sides_fit(name: str) -> None:
    """Each is what to write instead of something that does not fit, and nothing is said of it."""
    path = PROGRAMS / "fits" / f"{name}.flow"
    made = compiled(path.read_text(), path.name)
    warnings = [one for one in remarks(made) if one.severity == "warning"]
    assert [*made.diagnostics, *misfits(made), *warnings] == []


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("three_*.flow")))
def test_three_mistakes_are_three_diagnostics(name: str) -> None:
    path = PROGRAMS / f"{name}.flow"
    made = compiled(path.read_text(), path.name)
    expect(name, "\n".join(as_text(found, made.sources) for found in made.diagnostics))
    assert len(made.diagnostics) == 3


# --- made here ----------------------------------------------------------------------------------

Files = dict[str, bytes | str]

FINE = "flow Ship():\n    pass\n"
ORDERS = "message Order:\n    sku: Text\n\nflow Ship():\n    pass\n"


def _sum(terms: int) -> str:
    return f"flow Total() -> Int:\n    return {' + '.join(['1'] * terms)}\n"


def _blocks(depth: int) -> str:
    lines = ["flow Ship(urgent: Bool):"]
    lines += ["    " * level + "if urgent:" for level in range(1, depth)]
    return "\n".join([*lines, "    " * depth + "pass"]) + "\n"


def _brackets(depth: int) -> str:
    return f"flow Total(net: Int) -> Int:\n    return {'(' * depth}net{')' * depth}\n"


VERSIONS = """
message Order
message Paid
message Later

flow Buy(seller: Party):
    version 1
    open Sell with seller as talk
    send Order() to talk
    receive from talk:
        case Paid:
            pass

flow Sell():
    version 1
    responds to Buy as talk
    receive order: Order from talk unchecked
    send Paid() to talk
"""

CHECK = ["check", "--no-cache", "shop.flow"]
COMPILE = ["compile", "shop.flow"]

MADE: dict[str, tuple[Files, list[str]]] = {
    "F001_too_many_bytes": ({"shop.flow": FINE + "#" * (1 << 20)}, CHECK),
    "F001_too_many_words": ({"shop.flow": _sum(2) + "# \n" + "pass\n" * 150_001}, CHECK),
    "F002_latin_1": ({"shop.flow": f"# Zürich\n{FINE}".encode("latin-1")}, CHECK),
    "F002_utf_16": ({"shop.flow": FINE.encode("utf-16")}, CHECK),
    "F003_binary": ({"shop.flow": FINE.replace("pass", "pa\0ss")}, CHECK),
    "F011_right_to_left": ({"shop.flow": f"# \u202efine\n{FINE}"}, CHECK),
    "F011_form_feed": ({"shop.flow": f"{FINE}\f"}, CHECK),
    "F011_carriage_return": ({"shop.flow": FINE.replace("\n", "\r")}, CHECK),
    "F012_tab": ({"shop.flow": "flow Ship():\n\tlog info \"1\"\n\tlog info \"2\"\n"}, CHECK),
    "F030_blocks": ({"shop.flow": _blocks(65)}, CHECK),
    "F031_brackets": ({"shop.flow": _brackets(101)}, CHECK),
    "F032_sum": ({"shop.flow": _sum(102)}, CHECK),
    "F033_errors": ({"shop.flow": "".join(f"error E{n}\n" for n in range(10_001))}, CHECK),
    "F190_empty": ({"shop.flow": ""}, CHECK),
    "F204_misspelt": ({"shop.flow": f"use orders: Oder\n{FINE}", "orders.flow": ORDERS}, CHECK),
    "F204_from_a_third_file": (
        {
            "shop.flow": f"use orders: Amount\n{FINE}",
            "orders.flow": "use money: Amount\n\nmessage Order:\n    price: Amount\n",
            "money.flow": "record Amount:\n    units: Int\n",
        },
        CHECK,
    ),
    "F206_used_and_declared": (
        {
            "shop.flow": "use orders: Ship\n\nflow Ship():\n    pass\n",
            "orders.flow": ORDERS,
        },
        CHECK,
    ),
    "F301_types_of_one_name": (
        {
            "shop.flow": "use bank: price\n\nrecord Amount:\n    units: Int\n\n"
            "flow Price() -> Amount:\n    return price()\n",
            "bank.flow": "record Amount:\n    cents: Int\n\n"
            'function price() -> Amount = python "bank:price"\n',
        },
        CHECK,
    ),
    "F222_private": (
        {
            "shop.flow": "use bank: Account\n\nflow Ship(account: Account):\n    pass\n",
            "bank.flow": "private record Account:\n    units: Int\n\n"
            "record Bank:\n    accounts: List[Account]\n",
        },
        CHECK,
    ),
    "F705_path": (
        {"shop.flow": FINE, "pyproject.toml": '[tool.flowlang]\npath = "lib"\n'},
        CHECK,
    ),
    "F714_project_and_path": (
        {
            "shop.flow": f"use bank: Account\n{FINE}",
            "bank.flow": "record Account:\n    units: Int\n",
            "lib/bank.flow": "record Account:\n    units: Int\n",
            "pyproject.toml": '[tool.flowlang]\npath = ["lib"]\n',
        },
        CHECK,
    ),
    "F715_no_folder": (
        {"shop.flow": FINE, "pyproject.toml": '[tool.flowlang]\npath = ["lib"]\n'},
        CHECK,
    ),
    "F701_no_such_file": ({}, CHECK),
    "F701_no_source_in_a_folder": ({"shop/readme.txt": ""}, ["check", "shop"]),
    "F701_a_folder_of_that_name": ({"shop.flow/a.txt": ""}, CHECK),
    "F702_text": ({"shop.txt": FINE}, ["check", "shop.txt"]),
    "F703_capital_letter": ({"Shop.flow": FINE}, ["check", "Shop.flow"]),
    "F703_hyphen": ({"book-shop/sales.flow": FINE, "pyproject.toml": "[tool.flowlang]\n"},
                    ["check", "book-shop"]),
    "F705_no_toml": ({"shop.flow": FINE, "pyproject.toml": "[tool"}, CHECK),
    "F705_a_number": (
        {"shop.flow": FINE, "pyproject.toml": "[tool.flowlang]\nsources = 3\n"},
        CHECK,
    ),
    "F705_outside": (
        {"shop.flow": FINE, "pyproject.toml": '[tool.flowlang]\noutput = "../python"\n'},
        CHECK,
    ),
    "F706_file_for_a_folder": ({"shop.flow": FINE, "python": ""}, [*COMPILE, "-o", "python"]),
    "F706_folder_for_a_file": ({"shop.flow": FINE, "shop_flow.py/a.txt": ""}, COMPILE),
    "F707_foreign_file": ({"shop.flow": FINE, "shop_flow.py": "by_hand = True\n"}, COMPILE),
    "F708_two_projects": (
        {
            "one/pyproject.toml": "[tool.flowlang]\n",
            "one/shop.flow": FINE,
            "two/pyproject.toml": "[tool.flowlang]\n",
            "two/bank.flow": FINE,
        },
        ["check", "one", "two"],
    ),
    "F709_exists": ({"shop/a.txt": ""}, ["new", "shop"]),
    "F709_name": ({}, ["new", "7up"]),
    "F711_misspelt": ({"shop.flow": f"use oders: Order\n{FINE}", "orders.flow": ORDERS}, CHECK),
    "F711_absent": ({"shop.flow": f"use bank.accounts: Account\n{FINE}"}, CHECK),
    "P202_one_name": (
        {
            "shop.flow": "use parts: Pay\n\nmessage Paid:\n    units: Int\n\n"
            "flow Buy(seller: Party):\n    open Sell with seller as talk\n"
            "    receive paid: Paid from talk unchecked\n\n"
            "flow Sell():\n    responds to Buy as talk\n    subflow Pay(talk)\n",
            "parts.flow": "message Paid:\n    cents: Int\n\n"
            "flow Pay(talk: Session):\n    send Paid(1) to talk\n",
        },
        CHECK,
    ),
    "P212_newer_responder": (
        {
            "v1/shop.flow": VERSIONS,
            "v2/shop.flow": VERSIONS.replace("version 1", "version 2").replace(
                "send Paid() to talk", "send Later() to talk"
            ),
        },
        ["protocol", "matrix", "v1/shop.flow", "v2/shop.flow"],
    ),
    "P212_new_field": (
        {
            "v1/shop.flow": VERSIONS,
            "v2/shop.flow": VERSIONS.replace("version 1", "version 2").replace(
                "message Paid", "message Paid:\n    units: Int"
            ).replace("Paid()", "Paid(1)"),
        },
        ["protocol", "matrix", "v1/shop.flow", "v2/shop.flow"],
    ),
    "F712_circle": (
        {
            "shop.flow": f"use bank: Account\n{FINE}",
            "bank.flow": "use money: Amount\n\nmessage Account:\n    total: Amount\n",
            "money.flow": "use shop: Ship\n\nrecord Amount:\n    units: Int\n",
        },
        CHECK,
    ),
    "F712_itself": ({"shop.flow": f"use shop: Ship\n{FINE}"}, CHECK),
    "F713_chain": (
        {"shop.flow": f"use m1: A1\n{FINE}"}
        | {f"m{n}.flow": f"use m{n + 1}: A{n + 1}\n\nmessage A{n}:\n    x: Int\n"
           for n in range(1, 300)}
        | {"m300.flow": "message A300:\n    x: Int\n"},
        CHECK,
    ),
}  # fmt: skip


@pytest.fixture
def flowc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], tuple[int, str]]:
    """Runs the command in a folder of its own; gives the exit code and all that it printed."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(arguments: list[str]) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out + printed.err

    return run


def _write(files: Files) -> None:
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", MADE)
def test_made_files_and_what_flowc_says(
    name: str, flowc: Callable[[list[str]], tuple[int, str]]
) -> None:
    files, arguments = MADE[name]
    _write(files)
    before = _contents()
    code, printed = flowc(arguments)
    expect(name, printed)
    assert code == 1
    assert re.findall(r"^error\[([FP]\d+)\]", printed, re.M) == [name[:4]]
    assert _contents() == before, "nothing is written on a mistake"


def test_a_link_out_of_the_project(flowc: Callable[[list[str]], tuple[int, str]]) -> None:
    _write({"shop.flow": f"use secret: Key\n{FINE}", "../secret.flow": ORDERS})
    Path("secret.flow").symlink_to("../secret.flow")
    code, printed = flowc(CHECK)
    expect("F704_link", printed)
    assert code == 1


def test_nothing_is_written_through_a_link(
    flowc: Callable[[list[str]], tuple[int, str]],
) -> None:
    _write({"shop.flow": FINE, "../mine.py": "by_hand = True\n"})
    Path("shop_flow.py").symlink_to("../mine.py")
    code, printed = flowc(COMPILE)
    expect("F707_link", printed)
    assert code == 1
    assert Path("../mine.py").read_text() == "by_hand = True\n"


class Entry:
    """What an installed package says of itself."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value


@pytest.mark.parametrize(
    ("name", "value", "files"),
    [
        ("F716_no_package", "acme_books", {}),
        ("F717_no_python", "books", {}),
        ("F717_old_python", "books", {"core_flow.py": "# flowc: contract 1, module books.core"}),
    ],
)
def test_a_package_that_is_not_as_it_should_be(
    name: str,
    value: str,
    files: Files,
    flowc: Callable[[list[str]], tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(project, "_packages", packages.installed)
    monkeypatch.setattr(packages, "entries", lambda: [Entry("books", value)])
    monkeypatch.syspath_prepend("site")
    core = {"__init__.py": "", "core.flow": "record Account:\n    units: Int\n"}
    _write({f"site/books/{file}": text for file, text in {**core, **files}.items()})
    _write({"shop.flow": "use books.core: Account\n\nflow Ship(a: Account):\n    pass\n"})
    code, printed = flowc(COMPILE)
    expect(name, printed)
    assert code == 1
    assert not list(Path().glob("*_flow.py"))


def _contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


# --- pages --------------------------------------------------------------------------------------

FENCE = re.compile(r"^```flow (\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_and_its_examples(page: Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {page.stem}: [a-z`].*[^.]\n\n", text)
    assert max(map(len, text.splitlines())) <= 140
    fences = FENCE.findall(text)
    assert len(fences) == text.count("```flow"), "every example is marked wrong or right"
    for mark, example in fences:
        made = compiled(example)
        found = {one.code for one in said(made, page.stem)}
        if mark == "right":
            found |= {one.code for one in misfits(made)}
        assert found == ({page.stem} if mark == "wrong" else set())
    marks = [mark for mark, _ in fences]
    assert set(marks) <= {"wrong", "right"}
    assert "right" in marks or "wrong" not in marks


def test_every_code_has_a_program_and_a_page() -> None:
    sources = set()
    for path in (ROOT / "flowlang").rglob("*.py"):
        sources |= set(re.findall(r'"([FP]\d{3})"', path.read_text()))
    assert sources == {path.name[:4] for path in PROGRAMS.glob("[FP]*.txt")}
    assert sources == {path.stem for path in PAGES.glob("*.md")}


def test_every_text_belongs_to_a_program() -> None:
    programs = {path.stem for path in PROGRAMS.glob("*.flow")}
    texts = {path.stem for path in PROGRAMS.glob("*.txt")}
    elsewhere = {"F704_link", "F707_link", "F716_no_package", "F717_no_python", "F717_old_python"}
    assert texts == programs | set(MADE) | elsewhere


def test_sentences_have_one_form() -> None:
    """No full stop, no words that only the parser knows, and code in pairs of backticks."""
    for path in PROGRAMS.glob("*.txt"):
        sentences = re.findall(
            r"^(?:(?:error|warning|note)\[[FP]\d+\]| note| help): (.*)$", path.read_text(), re.M
        )
        assert sentences
        for sentence in sentences:
            assert not sentence.endswith((".", "!")), sentence
            assert not re.search(r"\b(NEWLINE|INDENT|DEDENT|RPAR|LPAR|EOF)\b", sentence)
            assert sentence.count("`") % 2 == 0, sentence
