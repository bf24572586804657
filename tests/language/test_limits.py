"""The language's limits: what is just within them compiles, and one more is refused in words.

Links and paths that would lead out of the folders are in tests/cli; what no generated text may have
is in tests/compiler/test_codegen.py.
"""

from __future__ import annotations

import pytest

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import Diagnostic
from flowlang.parser import decode
from flowlang.source import Source

MIB = 1024 * 1024
FLOW = "flow F(a: Int):\n    pass\n"


def filled(size: int) -> str:
    return FLOW + "#" * (size - len(FLOW))


def blocks(depth: int) -> str:
    lines = [f"{'    ' * n}if a > {n}:\n" for n in range(1, depth)]
    return "flow F(a: Int):\n" + "".join(lines) + "    " * depth + "pass\n"


def operations(depth: int) -> str:
    return f"flow F(a: Int) -> Int:\n    return {'a + ' * depth}a\n"


def brackets(depth: int) -> str:
    return f"flow F(a: Int) -> Int:\n    return {'(' * depth}a{')' * depth}\n"


def name(size: int) -> str:
    return f"flow F(a: Int) -> Int:\n    let {'x' * size} = a\n    return {'x' * size}\n"


LIMITS = {
    "bytes of a file": (filled, MIB, "F001", "1,048,576 is the most"),
    "blocks": (blocks, 64, "F030", "more than 64 deep"),
    "operations": (operations, 100, "F032", "more than 100 operations"),
    "brackets": (brackets, 100, "F031", "more than 100 deep"),
    "letters of a name": (name, 64, "F017", "64"),
}


@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_and_one_more(what: str) -> None:
    make, most, code, said = LIMITS[what]

    def found(text: str) -> list[Diagnostic]:
        source = decode("shop.flow", "shop", text.encode())
        if isinstance(source, Diagnostic):
            return [source]
        made = compile_modules(["shop"], {"shop": source}.get)
        for module in made.modules.values():
            generate(module)
        return list(made.diagnostics)

    assert found(make(most)) == []
    [refused] = found(make(most + 1))
    assert refused.code == code
    assert said in refused.message


@pytest.mark.parametrize("count", [200, 201])
def test_a_file_depends_on_at_most_200(count: int) -> None:
    texts = {
        f"m{n}": (f"use m{n + 1}: R{n + 1}\n\nrecord R{n}:\n    a: R{n + 1}\n")
        for n in range(count - 1)
    }
    texts[f"m{count - 1}"] = f"record R{count - 1}:\n    a: Int\n"
    sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}
    made = compile_modules(["m0"], sources.get)
    codes = [one.code for one in made.diagnostics]
    assert codes == ([] if count == 200 else ["F713"])


@pytest.mark.parametrize("module", ["..shop", "../shop", "/etc/shop", ".shop", '"shop"', "a..b"])
def test_a_use_names_no_path(module: str) -> None:
    asked: list[str] = []
    source = Source("shop.flow", "shop", f"use {module}: Thing\n\n{FLOW}")

    def load(name: str) -> Source | None:
        asked.append(name)
        return source if name == "shop" else None

    made = compile_modules(["shop"], load)
    assert made.diagnostics
    assert all(part.isidentifier() for one in asked for part in one.split("."))
