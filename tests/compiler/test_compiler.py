"""All passes together: which files are read, in which order, and what a mistake stops."""

from __future__ import annotations

from flowlang.compiler import MAX_MODULES, Compilation, compile_modules
from flowlang.diagnostics import Diagnostic, as_text
from flowlang.source import START, Source

FINE = "message Ask:\n    n: Int\n"


def compiled(*names: str, **texts: str) -> Compilation:
    """Files by module name, with `__` for a dot."""
    sources = {}
    for name, text in texts.items():
        module = name.replace("__", ".")
        sources[module] = Source(f"{module.replace('.', '/')}.flow", module, text)
    return compile_modules(names, sources.get, lambda: sources)


def said(made: Compilation) -> list[str]:
    return [f"{found.source}:{found.span.line} {found.message}" for found in made.diagnostics]


def test_what_is_used_comes_first_and_once() -> None:
    made = compiled(
        "shop",
        "bank__money".replace("__", "."),
        shop="use stock.parts: Part\nuse bank.money: Money\n\n"
        "flow F(p: Part, m: Money):\n    pass\n",
        stock__parts="use bank.money: Money\n\nrecord Part:\n    price: Money\n",
        bank__money="record Money:\n    units: Int\n",
    )
    assert list(made.modules) == ["bank.money", "stock.parts", "shop"]
    assert list(made.checked) == list(made.modules)
    assert set(made.sources) == {"shop.flow", "stock/parts.flow", "bank/money.flow"}
    assert not made.diagnostics


def test_a_mistake_stops_its_file_and_those_that_use_it() -> None:
    made = compiled(
        "shop",
        "other",
        shop="use parts: Part\n\nrecord Shelf:\n    part: Part\n",
        parts="record Part:\n    price: Mony\n",
        other=FINE,
    )
    assert list(made.modules) == ["other"]
    assert said(made) == ["parts.flow:2 there is no type `Mony`"]


def test_a_module_that_is_missing_is_said_at_each_use() -> None:
    made = compiled(
        "one",
        "two",
        one=f"use prices: Price\n\n{FINE}",
        two=f"use prices: Price\n\n{FINE}",
        price=FINE,
    )
    assert said(made) == [
        "one.flow:1 there is no module `prices`",
        "two.flow:1 there is no module `prices`",
    ]
    assert made.diagnostics[0].hint == "did you mean `price`?"
    assert not made.modules


def test_a_module_that_is_asked_for_may_be_missing_too() -> None:
    made = compiled("shop")
    assert said(made) == ["shop:1 there is no module `shop`"]
    assert made.diagnostics[0].hint == "a module is a file: `shop.flow`"


def test_what_is_wrong_with_a_files_bytes_is_said_once() -> None:
    wrong = Diagnostic("F002", "this is not UTF-8", "money.flow", START)
    sources: dict[str, Source | Diagnostic] = {
        "one": Source("one.flow", "one", f"use money: Money\n\n{FINE}"),
        "two": Source("two.flow", "two", f"use money: Money\n\n{FINE}"),
        "money": wrong,
    }
    made = compile_modules(["one", "two"], sources.get)
    assert made.diagnostics == (wrong,)
    assert not made.modules


def test_a_circle_is_reported_where_it_closes() -> None:
    made = compiled(
        "a",
        a="use b: B\n\nmessage A:\n    b: B\n",
        b="use c: C\n\nmessage B:\n    c: C\n",
        c=f"use a: A\n\nmessage C:\n    n: Int\n\n{FINE}",
    )
    assert said(made) == ["c.flow:1 these modules use each other in a circle: a -> b -> c -> a"]
    assert not made.modules


def test_a_long_circle_is_told_in_short() -> None:
    texts = {
        f"m{n}": f"use m{(n + 1) % 50}: A{(n + 1) % 50}\n\nmessage A{n}:\n    n: Int\n"
        for n in range(50)
    }
    [found] = compiled("m0", **texts).diagnostics
    assert found.message.endswith("in a circle: m0 -> m1 -> m2 -> … -> m49 -> m0")


def test_a_module_does_not_use_itself() -> None:
    made = compiled("shop", shop=f"use shop: Ask\n\n{FINE}")
    assert said(made) == ["shop.flow:1 a module cannot use itself"]


def test_a_chain_of_files_ends_somewhere() -> None:
    texts = {
        f"m{n}": f"use m{n + 1}: A{n + 1}\n\nmessage A{n}:\n    n: Int\n" for n in range(5_000)
    }
    made = compiled("m0", **texts)
    assert len(made.sources) == MAX_MODULES
    assert said(made) == [f"m{MAX_MODULES - 1}.flow:1 more than 200 files use each other"]


def test_a_project_may_have_more_files_than_one_file_may_use() -> None:
    """All are looked at; what is limited is how many a file depends on."""
    texts = {f"m{n}": FINE for n in range(300)}
    made = compiled(*texts, **texts)
    assert len(made.modules) == 300
    assert not made.diagnostics
    texts = {
        f"m{n}": f"use m{n + 1}: A{n + 1}\n\nmessage A{n}:\n    n: Int\n" for n in range(400)
    } | {"m400": "message A400:\n    n: Int\n"}
    made = compiled(*texts, **texts)
    assert len(made.sources) == 401
    assert said(made) == ["m200.flow:1 more than 200 files use each other"]
    assert len(made.modules) == 200


def test_a_word_of_python_is_no_folder() -> None:
    made = compiled("import.shop", import__shop=FINE)
    assert said(made) == [
        "import/shop.flow:1 `import.shop` cannot be a module: `import` is a word of Python"
    ]
    assert not made.modules
    made = compiled("shop", shop=f"use class.orders: Order\n\n{FINE}")
    assert as_text(made.diagnostics[0], made.sources) == (
        "error[F710]: `class.orders` cannot be a module: `class` is a word of Python\n"
        "  --> shop.flow:1:5\n"
        "   |\n"
        " 1 | use class.orders: Order\n"
        "   |     ^^^^^^^^^^^^\n"
        " help: rename the file or the folder\n"
    )


def test_a_digest_tells_one_text_from_another() -> None:
    digests = {compiled("shop", shop=FINE + "\n" * n).modules["shop"].digest for n in range(3)}
    assert len(digests) == 3
    assert all(len(digest) == 64 for digest in digests)
