"""flowc size and flowc stats: the figures are those of the runtime's own bytes."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flowlang import codegen, figures
from flowlang.cli import main
from flowlang.compiler import compile_modules
from flowlang.source import Source
from flowlang.types import BUILTINS, Builtin, ListType, MapType, OptionalType
from flowrt.core import values
from flowrt.core.flow import Party
from tests.programs.machine import load

Flowc = Callable[..., tuple[int, str, str]]

SHOP = """\
record Line:
    sku: Text
    count: Int

record Tree:
    below: List[Tree]
    n: Int

message Ping:
    n: Int

error Bad(n: Int, why: Text): "{why}"

flow Keep(a: Int, b: Text, c: Decimal?, line: Line, whom: Party, due: Timestamp, span: Duration):
    checkpoint
    log info "{a} {b} {line.sku} {whom} {due} {span}"
    if c != none:
        log info "{c}"

flow Small(a: Int, b: Bool, c: Decimal, due: Timestamp, span: Duration):
    checkpoint
    log info "{a} {b} {c} {due} {span}"

flow Talk(whom: Party, tree: Tree):
    open Answer with whom as talk
    receive ping: Ping from talk unchecked
    log info "{ping.n} {tree.n}"

flow Answer():
    responds to Talk as talk

    send Ping(1) to talk
"""


@pytest.fixture
def flowc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Flowc:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    Path("shop.flow").write_text(SHOP)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, printed.out, printed.err

    return run


def test_a_table_of_sizes(flowc: Flowc) -> None:
    code, out, _ = flowc("size", "shop.flow", "Small")
    assert code == 0
    assert out == (
        "Small_v1\n"
        "  state       line  keeps           bytes  at most\n"
        "  Start         20                     57      134\n"
        "                    a: Int              3        9\n"
        "                    b: Bool             1        1\n"
        "                    c: Decimal          7       48\n"
        "                    due: Timestamp     10       15\n"
        "                    span: Duration      7       32\n"
        "  Checkpoint    21                     57      134\n"
        "                    a: Int              3        9\n"
        "                    b: Bool             1        1\n"
        "                    c: Decimal          7       48\n"
        "                    due: Timestamp     10       15\n"
        "                    span: Duration      7       32\n"
        "~ is taken from samples: 20 characters of text, 32 bytes, 10 characters of a party's"
        " name,\n  3 items of a list, 3 entries of a map. Messages in an inbox are not counted.\n"
    )
    out = flowc("size", "shop.flow")[1]
    assert "  AwaitPing    26" in out
    assert "no bound" in out
    code, _, err = flowc("size", "shop.flow", "Smal")
    assert code == 2
    assert "Did you mean `Small`?" in err


def test_sizes_as_data(flowc: Flowc) -> None:
    data = json.loads(flowc("size", "shop.flow", "Talk", "--json")[1])
    assert data["samples"]["Text"] == 20
    [start, waits] = data["states"]
    assert (start["state"], start["line"], start["sessions"]) == ("Start", 24, 0)
    assert (waits["state"], waits["sessions"]) == ("AwaitPing", 1)
    assert waits["size"]["most"] is None
    assert [kept["type"] for kept in waits["kept"]] == ["Tree"]


def test_a_table_of_counts(flowc: Flowc) -> None:
    code, out, _ = flowc("stats", ".")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    [row] = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert row["module"] == "shop"
    assert (row["flows"], row["messages"], row["records"], row["errors"]) == ("4", "1", "2", "1")
    assert (row["states"], row["waits"]) == ("7", "3")
    Path("other.flow").write_text("use shop: Line\n\nrecord Box:\n    line: Line\n")
    assert flowc("stats", ".")[1].splitlines()[-1].split()[0] == "total"
    data = json.loads(flowc("stats", "other.flow", "--json")[1])
    assert [one["module"] for one in data["modules"]] == ["other", "shop"]
    assert data["total"]["records"] == 3


# --- against the runtime ------------------------------------------------------------------------

SAMPLES = {
    "Int": 1_000,
    "Decimal": decimal.Decimal("123.45"),
    "Bool": True,
    "Text": "x" * figures.SAMPLES["Text"],
    "Bytes": b"x" * figures.SAMPLES["Bytes"],
    "Timestamp": datetime.datetime(2026, 1, 1, 0, 0, 0, 5, tzinfo=datetime.UTC),
    "Duration": datetime.timedelta(minutes=5),
    "Party": Party("x" * figures.SAMPLES["Party"]),
    "Session": 3,
    "FlowId": 1_000,
}
LARGEST = {
    "Int": [2**63 - 1, -(2**63)],
    "Decimal": [decimal.Decimal("-0." + "0" * 6 + "9" * 38), decimal.Decimal("-" + "9" * 38)],
    "Bool": [False],
    "Timestamp": [datetime.datetime.max.replace(tzinfo=datetime.UTC)],
    "Duration": [datetime.timedelta.min, datetime.timedelta.max],
    "Session": [2**32 - 1],
    "FlowId": [2**63 - 1],
}


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_a_builtin_type_takes_so_many_bytes(name: str) -> None:
    size = figures._size(Builtin(name), {}, ())
    assert size.usual == len(values.encode(SAMPLES[name]))
    assert (size.most is None) == (name not in LARGEST)
    for value in LARGEST.get(name, []):
        assert len(values.encode(value)) <= (size.most or 0)


def test_made_types_take_so_many_bytes() -> None:
    def size(kind: object) -> int:
        return figures._size(kind, {}, ()).usual  # type: ignore[arg-type]

    count = figures.SAMPLES["List"]
    assert size(ListType(Builtin("Int"))) == len(values.encode([1_000] * count))
    entries = {f"{n:020}": 1_000 for n in range(figures.SAMPLES["Map"])}
    assert size(MapType(Builtin("Text"), Builtin("Int"))) == len(values.encode(entries))
    assert figures._size(OptionalType(Builtin("Bool")), {}, ()).most == 1
    assert figures._size(ListType(Builtin("Bool")), {}, ()).most is None


def test_a_checkpoint_takes_so_many_bytes() -> None:
    made = compile_modules(["shop"], {"shop": Source("shop.flow", "shop", SHOP)}.get)
    generated = load(codegen.generate(made.modules["shop"]), "measured_flow")
    kept = [
        SAMPLES["Int"],
        SAMPLES["Text"],
        SAMPLES["Decimal"],
        generated.Line(SAMPLES["Text"], 1_000),
    ]
    kept += [SAMPLES["Party"], SAMPLES["Timestamp"], SAMPLES["Duration"]]
    [found] = [
        one
        for one in figures.sizes(made.modules["shop"], made.modules, "Keep")
        if one.state == "Checkpoint"
    ]
    state = generated.Keep_v1.Checkpoint
    names = [one.name for one in found.kept]
    by_name = dict(zip(["a", "b", "c", "line", "whom", "due", "span"], kept, strict=True))
    at_rest = values.Checkpoint(
        1,
        [values.StackFrame("shop.Keep_v1", state(**{name: by_name[name] for name in names}))],
        values.OnCommit(),
        [],
        steps=1,
    )
    assert abs(found.size.usual - len(values.encode(at_rest))) <= 2
    session = values.SessionState(0, "x" * figures.SAMPLES["Party"], b"x" * 16, 1, 1, 1, 0, 0)
    assert len(values.encode(session)) == figures.SESSION
