"""flowc check: forms of its answer, warnings and notes, watching, and what is checked again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowlang import compiler, packages, project
from flowlang.cli import watching
from flowlang.diagnostics import Diagnostic, Note
from flowlang.reports import github, sarif
from flowlang.source import Span

Flowc = Callable[..., tuple[int, str, str]]

WARNED = "flow Total(net: Int) -> Int:\n    let tax = 1\n    return net\n"
FINE = "flow Total(net: Int) -> Int:\n    return net\n"
WAITING = """\
message Ping:
    n: Int

flow Ask(whom: Party):
    open Answer with whom as talk
    receive ping: Ping from talk unchecked

flow Answer():
    responds to Ask as talk

    send Ping(1) to talk
"""


# --- warnings and notes -----------------------------------------------------------------------


def test_warnings_do_not_fail_unless_that_is_asked_for(flowc: Flowc) -> None:
    Path("a.flow").write_text(WARNED)
    code, out, _ = flowc("check", "a.flow")
    assert code == 0
    assert "warning[F415]: `tax` is given a value, but never read\n  --> a.flow:2:9" in out
    last = "No problems, 1 warning in 1 file. More about one: flowc explain F415"
    assert out.splitlines()[-1] == last
    assert flowc("check", "a.flow") == (0, out, ""), "from the cache"
    assert flowc("check", "--strict", "a.flow") == (1, out, "")
    assert flowc("compile", "a.flow")[0] == 0, "a warning stops nothing"


def test_notes_are_shown_on_request(flowc: Flowc) -> None:
    Path("a.flow").write_text(WAITING)
    assert flowc("check", "a.flow", "--strict")[:2] == (0, "No problems in 1 file.\n")
    code, out, _ = flowc("check", "a.flow", "--notes", "--strict")
    assert code == 0
    assert "note[F418]: this waits without a time limit" in out
    assert "No problems, 1 note in 1 file." in out
    limited = [
        WAITING.replace(" unchecked", " within 1d unchecked"),
        WAITING.replace(
            "    receive ping: Ping from talk unchecked",
            "    within 1d:\n        receive ping: Ping from talk unchecked",
        ),
        WAITING.replace(
            "receive ping: Ping from talk unchecked",
            "receive from talk:\n        case Ping:\n            pass\n"
            "        case timeout 1d:\n            close talk",
        ),
    ]
    for text in limited:
        Path("a.flow").write_text(text)
        assert flowc("check", "a.flow", "--notes")[:2] == (0, "No problems in 1 file.\n")
    Path("a.flow").write_text(limited[2].replace("timeout 1d", "ended"))
    assert "note[F418]" in flowc("check", "a.flow", "--notes")[1]


# --- forms ------------------------------------------------------------------------------------


def test_json_in_two_spellings(flowc: Flowc) -> None:
    Path("a.flow").write_text(WARNED)
    short = flowc("check", "a.flow", "--json")
    assert short == flowc("check", "a.flow", "--format", "json")
    data = json.loads(short[1])
    assert (data["ok"], data["files"], len(data["diagnostics"])) == (True, ["a.flow"], 1)
    assert data["diagnostics"][0]["severity"] == "warning"
    assert json.loads(flowc("check", "a.flow", "--json", "--strict")[1])["ok"] is False


def test_github_commands(flowc: Flowc) -> None:
    Path("a.flow").write_text(WARNED.replace("return net", "return nat"))
    assert flowc("check", "a.flow", "--format", "github") == (
        1,
        "::error file=a.flow,line=3,col=12,endLine=3,title=flowc F201,endColumn=14"
        "::there is no variable `nat` here\n",
        "",
    )
    found = Diagnostic("F001", "100% of\nit: no", "a,b:c.flow", Span(1, 1, 2, 1), severity="note")
    assert github([found]) == (
        "::notice file=a%2Cb%3Ac.flow,line=1,col=1,endLine=2,title=flowc F001::100%25 of%0Ait: no\n"
    )


def test_sarif(flowc: Flowc) -> None:
    Path("a.flow").write_text(WARNED)
    code, out, _ = flowc("check", "a.flow", "--format", "sarif")
    log = json.loads(out)
    assert (code, log["version"]) == (0, "2.1.0")
    [run] = log["runs"]
    [rule] = run["tool"]["driver"]["rules"]
    [result] = run["results"]
    assert rule["id"] == result["ruleId"] == "F415"
    assert rule["shortDescription"]["text"] == "a variable is never read"
    assert (result["level"], result["ruleIndex"]) == ("warning", 0)
    [place] = result["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "a.flow"},
        "region": {"startLine": 2, "startColumn": 9, "endLine": 2, "endColumn": 12},
    }


def test_sarif_is_as_the_standard_says() -> None:
    """The parts of the schema that matter here: SARIF 2.1.0, sections 3.14 to 3.30."""
    note = Note("here", "b c.flow", Span(1, 1, 1, 2))
    found = Diagnostic("F206", "twice", "b c.flow", Span(2, 1, 2, 2), "rename", (note,))
    other = Diagnostic("F201", "absent", "a.flow", Span(1, 1, 1, 2))
    log = sarif([found, other], "1", {"F206": "two of a name"})
    [run] = log["runs"]  # type: ignore[misc]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["F201", "F206"]
    for result in run["results"]:
        assert result["level"] in {"none", "note", "warning", "error"}
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        for place in result["locations"] + result.get("relatedLocations", []):
            region = place["physicalLocation"]["region"]
            assert all(number >= 1 for number in region.values())
            assert " " not in place["physicalLocation"]["artifactLocation"]["uri"]
    assert run["results"][0]["relatedLocations"][0]["message"] == {"text": "here"}


def test_what_is_wrong_with_a_file_has_the_form_that_was_asked_for(flowc: Flowc) -> None:
    code, out, _ = flowc("check", "a.flow", "--json")
    assert (code, json.loads(out)["diagnostics"][0]["code"]) == (1, "F701")
    code, out, _ = flowc("check", "a.flow", "--format", "github")
    assert (code, out.partition("::there")[0]) == (
        1,
        "::error file=a.flow,line=1,col=1,endLine=1,title=flowc F701,endColumn=1",
    )
    assert json.loads(flowc("check", "a.flow", "--format", "sarif")[1])["runs"]


# --- watching ---------------------------------------------------------------------------------


def test_watching(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same again when a file changes, comes or goes; nothing while all is as it was."""
    Path("a.flow").write_text(FINE)

    def events() -> Iterator[None]:
        yield
        yield
        Path("a.flow").write_text(FINE.replace("net\n", "nat\n"))
        yield
        Path("b.flow").write_text(FINE)
        yield
        Path("a.flow").unlink()
        Path("b.flow").unlink()
        yield
        Path("a.flow").write_text(FINE)
        yield
        raise KeyboardInterrupt

    waits = events()
    monkeypatch.setattr(watching, "pause", lambda: next(waits))
    code, out, err = flowc("check", "--watch", ".")
    assert code == 0
    said = [line for line in out.splitlines() if "problem" in line or "error" in line]
    assert said == [
        "No problems in 1 file.",
        "error[F201]: there is no variable `nat` here",
        "1 problem in 1 file. More about one: flowc explain F201",
        "error[F201]: there is no variable `nat` here",
        "1 problem in 2 files. More about one: flowc explain F201",
        "error[F701]: there is no .flow file in this folder",
        "No problems in 1 file.",
    ]
    assert err.count("Waiting for a change; Ctrl-C ends.") == 5


def test_watching_a_compilation(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.flow").write_text(FINE)

    def events() -> Iterator[None]:
        yield
        Path("a.flow").write_text(WARNED)
        yield
        raise KeyboardInterrupt

    waits = events()
    monkeypatch.setattr(watching, "pause", lambda: next(waits))
    code, out, _ = flowc("compile", "--watch", "a.flow")
    assert code == 0
    assert out == 2 * "wrote a_flow.py\n1 module compiled, 1 changed.\n"


# --- what is checked again --------------------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The modules that the compiler was asked for, each time it was."""
    asked: list[set[str]] = []
    original = compiler.compile_modules

    def spy(names, *rest):  # type: ignore[no-untyped-def]
        names = list(names)
        asked.append(set(names))
        return original(names, *rest)

    monkeypatch.setattr(compiler, "compile_modules", spy)
    return asked


MONEY = "record Amount:\n    units: Int\n"
ORDERS = "use money: Amount\n\nmessage Order:\n    price: Amount\n"
SHOP = "use orders: Order\n\nflow Sum(order: Order) -> Int:\n    return order.price.units\n"


def test_only_what_changed_is_checked_again(flowc: Flowc, compiled: list[set[str]]) -> None:
    texts = {"money": MONEY, "orders": ORDERS, "shop": SHOP, "other": FINE}
    for name, text in texts.items():
        Path(f"{name}.flow").write_text(text)
    assert flowc("check", ".")[0] == 0
    assert compiled.pop() == set(texts)
    for name, again in (("shop", {"shop"}), ("orders", {"orders", "shop"}), ("other", {"other"})):
        Path(f"{name}.flow").write_text(f"# changed\n{texts[name]}")
        assert flowc("check", ".")[:2] == (0, "No problems in 4 files.\n")
        assert compiled.pop() == again
    assert not compiled
    Path("money.flow").write_text(MONEY.replace("units", "cents"))
    code, out, _ = flowc("check", ".")
    assert (code, compiled.pop()) == (1, {"money", "orders", "shop"})
    assert "Amount has no `units`" in out
    assert flowc("check", ".", "--no-cache")[1] == out
    compiled.clear()
    Path("other.flow").write_text(WARNED)
    assert flowc("check", ".")[1].count("error[") == 1, "what is known is said again"
    assert compiled == [{"other"}]


def test_a_file_that_comes_or_goes(flowc: Flowc, compiled: list[set[str]]) -> None:
    Path("shop.flow").write_text(SHOP)
    assert "F711" in flowc("check", "shop.flow")[1]
    Path("orders.flow").write_text(ORDERS)
    Path("money.flow").write_text(MONEY)
    assert flowc("check", "shop.flow")[0] == 0
    Path("orders.flow").unlink()
    assert "F711" in flowc("check", "shop.flow")[1]
    Path("orders.flow").write_text(SHOP.replace("use orders: Order", "use shop: Sum"))
    assert "F712" in flowc("check", "shop.flow")[1]


def test_only_what_changed_is_compiled_again(flowc: Flowc, compiled: list[set[str]]) -> None:
    texts = {"money": MONEY, "orders": ORDERS, "shop": SHOP, "other": FINE}
    for name, text in texts.items():
        Path(f"{name}.flow").write_text(text)
    assert flowc("compile", ".")[1].endswith("4 modules compiled, 4 changed.\n")
    compiled.clear()
    assert flowc("compile", ".")[1] == "4 modules compiled, 0 changed.\n"
    assert not compiled
    Path("shop.flow").write_text(SHOP.replace("units", "units + 1"))
    assert flowc("compile", ".")[1] == "wrote shop_flow.py\n4 modules compiled, 1 changed.\n"
    assert compiled == [{"shop"}]
    compiled.clear()
    written = Path("other_flow.py").read_text()
    Path("other_flow.py").unlink()
    assert flowc("compile", ".")[1] == "wrote other_flow.py\n4 modules compiled, 1 changed.\n"
    assert compiled == [{"other"}]
    assert Path("other_flow.py").read_text() == written
    assert flowc("compile", ".", "-o", "out")[1].endswith("4 modules compiled, 4 changed.\n")
    assert flowc("compile", ".")[1] == "4 modules compiled, 0 changed.\n"


# --- libraries and packages -------------------------------------------------------------------

LIBRARY = {
    "pyproject.toml": '[tool.flowlang]\nsources = "flows"\noutput = "out"\npath = ["../lib"]\n',
    "../lib/money.flow": MONEY,
    "../lib/book/orders.flow": ORDERS,
    "flows/shop.flow": SHOP.replace("orders:", "book.orders:"),
}


def _write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


@pytest.fixture
def inner(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> Flowc:
    Path("project").mkdir()
    monkeypatch.chdir("project")
    return flowc


def test_a_library_is_found_by_the_path(inner: Flowc) -> None:
    _write(LIBRARY)
    assert inner("compile", "flows")[1].splitlines() == [
        "wrote out/book/orders_flow.py",
        "wrote out/money_flow.py",
        "wrote out/shop_flow.py",
        "3 modules compiled, 3 changed.",
    ]
    Path("flows/shop.flow").write_text("use monye: Amount\n\n" + FINE)
    assert "did you mean `money`?" in inner("check", "flows")[1]


def test_settings_that_are_mended_are_seen(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> None:
    _write({"a.flow": FINE, "pyproject.toml": "[tool"})

    def events() -> Iterator[None]:
        Path("pyproject.toml").write_text("[tool.flowlang]\npath = ['.']\n")
        yield
        raise KeyboardInterrupt

    waits = events()
    monkeypatch.setattr(watching, "pause", lambda: next(waits))
    out = flowc("check", "--watch", ".")[1]
    assert "error[F705]: this is not TOML" in out
    assert out.endswith("No problems in 1 file.\n"), "the sources may be in the path, too"


def test_a_library_inside_the_sources_has_its_own_names(flowc: Flowc) -> None:
    _write(
        {
            "pyproject.toml": '[tool.flowlang]\npath = ["lib"]\n',
            "lib/money.flow": MONEY,
            "orders.flow": ORDERS,
        }
    )
    assert flowc("check", ".")[:2] == (0, "No problems in 2 files.\n")
    Path("orders.flow").write_text(ORDERS.replace("money", "lib.money"))
    assert "there is no module `lib.money`" in flowc("check", ".")[1]


@pytest.mark.parametrize("module", ["secret", "deep.secret"])
def test_a_link_out_of_a_library(inner: Flowc, module: str) -> None:
    _write({**LIBRARY, "../secret/secret.flow": MONEY})
    Path("../lib/secret.flow").symlink_to("../secret/secret.flow")
    Path("../lib/deep").symlink_to("../secret")
    Path("flows/shop.flow").write_text(f"use {module}: Amount\n\n{FINE}")
    code, out, _ = inner("check", "flows")
    assert code == 1
    assert f"module `{module}` is a link that leads out of ../lib" in out


class Entry:
    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value


@pytest.fixture
def install(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a package with flows: (name of its modules, Python package, its files)."""
    entries: list[Entry] = []
    monkeypatch.setattr(project, "_packages", packages.installed)
    monkeypatch.setattr(packages, "entries", lambda: entries)
    monkeypatch.setattr(sys, "path", [str(Path("site").resolve()), *sys.path])

    def add(name: str, imported: str, files: dict[str, str]) -> None:
        entries.append(Entry(name, imported))
        folder = imported.replace(".", "/")
        _write({f"site/{folder}/{file}": text for file, text in files.items()})
        for part in Path("site", folder).parents:
            if part.is_relative_to("site") and part != Path("site"):
                (part / "__init__.py").touch()
        Path("site", folder, "__init__.py").touch()

    return add


def test_modules_of_a_package_are_compiled_with_the_project(
    flowc: Flowc, install: Callable[..., None]
) -> None:
    install("cash", "acme.flows", {"money.flow": MONEY, "deep/coins.flow": MONEY})
    _write({"shop.flow": "use cash.money: Amount\n\nrecord Bill:\n    total: Amount\n"})
    assert flowc("compile", "shop.flow")[1].splitlines() == [
        "wrote cash/money_flow.py",
        "wrote shop_flow.py",
        "2 modules compiled, 2 changed.",
    ]
    _write({"shop.flow": "use cash.deep.coin: Amount\n\nrecord Bill:\n    total: Amount\n"})
    assert "did you mean `cash.deep.coins`?" in flowc("check", "shop.flow")[1]


def test_a_package_may_bring_its_python(flowc: Flowc, install: Callable[..., None]) -> None:
    install("cash", "cash", {"money.flow": MONEY})
    Path("build").mkdir()
    _write({"build/pyproject.toml": "[tool.flowlang]\n", "build/cash/money.flow": MONEY})
    assert flowc("compile", "build/cash/money.flow")[0] == 1, "its name is taken by the package"
    Path("site/pyproject.toml").write_text("[tool.flowlang]\n")
    made = compiler.compile_modules(["cash.money"], project_texts({"cash.money": MONEY}).get)
    from flowlang.codegen import generate

    Path("site/cash/money_flow.py").write_text(generate(made.modules["cash.money"]))
    _write({"shop.flow": "use cash.money: Amount\n\nrecord Bill:\n    total: Amount\n"})
    assert flowc("compile", "shop.flow")[1].splitlines() == [
        "wrote shop_flow.py",
        "2 modules compiled, 1 changed.",
    ]
    assert "from cash.money_flow import" in Path("shop_flow.py").read_text()


def project_texts(texts: dict[str, str]):  # type: ignore[no-untyped-def]
    from flowlang.source import Source

    return {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}


def test_a_link_out_of_a_package(flowc: Flowc, install: Callable[..., None]) -> None:
    install("cash", "acme.flows", {"money.flow": MONEY})
    _write({"secret.flow": MONEY})
    Path("site/acme/flows/secret.flow").symlink_to(Path("secret.flow").resolve())
    _write({"shop.flow": "use cash.secret: Amount\n\nrecord Bill:\n    total: Amount\n"})
    assert "is a link that leads out of site/acme/flows" in flowc("check", "shop.flow")[1]


def test_a_package_and_the_project_with_one_name(
    flowc: Flowc, install: Callable[..., None]
) -> None:
    install("cash", "acme.flows", {"money.flow": MONEY})
    _write(
        {
            "pyproject.toml": "[tool.flowlang]\n",
            "cash/money.flow": MONEY,
            "shop.flow": "use cash.money: Amount\n\nrecord Bill:\n    total: Amount\n",
        }
    )
    out = flowc("check", "shop.flow")[1]
    assert "error[F714]: module `cash.money` is also in site/acme/flows/money.flow" in out
    assert "  --> cash/money.flow" in out
