"""The parser on programs without mistakes, on single values, and on hostile texts."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import importlib.resources
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import lark
import pytest

from flowlang import syntax
from flowlang.diagnostics import Diagnostic
from flowlang.parser import Parsed, decode, parse
from flowlang.parser import table as tables
from flowlang.parser.mistakes import FILE_TOKENS, Mistakes
from flowlang.parser.tokens import Lexer
from flowlang.source import Source, Span
from tests.work import calls

GRAMMAR = (importlib.resources.files("flowlang.grammar") / "flow.lark").read_text("utf-8")
MIB = 1024 * 1024


def read(text: str) -> Parsed:
    return parse(Source("a.flow", "a", text))


def good(text: str) -> syntax.File:
    parsed = read(text)
    assert parsed.diagnostics == ()
    return parsed.file


def flow_of(*lines: str) -> syntax.Flow:
    """The flow F with these statements."""
    body = "\n".join(f"    {line}" for line in lines)
    flow = good(f"flow F():\n{body}\n").declarations[0]
    assert isinstance(flow, syntax.Flow)
    return flow


def value_of(text: str) -> syntax.Expr:
    let = flow_of(f"let x = {text}").body[0]
    assert isinstance(let, syntax.Let)
    assert not isinstance(let.value, syntax.Subflow)
    return let.value


def shape(node: Any) -> str:
    """A tree without its places, on one line."""
    if node is None:
        return "-"
    if isinstance(node, tuple):
        return f"[{' '.join(shape(item) for item in node)}]"
    if isinstance(node, syntax.Name):
        return node.name
    if isinstance(node, syntax.Constant):
        return "none" if node.value is None else repr(node.value)
    if isinstance(node, syntax.Binary):
        return f"({shape(node.left)} {node.operator} {shape(node.right)})"
    if isinstance(node, syntax.TypeRef):
        inside = f"[{', '.join(shape(one) for one in node.arguments)}]" if node.arguments else ""
        return f"{node.name}{inside}{'?' if node.optional else ''}"
    if isinstance(node, syntax.Argument):
        return f"{node.name}={shape(node.value)}" if node.name else shape(node.value)
    if dataclasses.is_dataclass(node):
        fields = [
            shape(getattr(node, field.name))
            for field in dataclasses.fields(node)
            if not field.name.endswith("span")
        ]
        return f"{type(node).__name__}({' '.join(fields)})"
    return str(node)


def nodes(found: Any) -> Iterator[Any]:
    """Every node in a tree, the outer before the inner."""
    if isinstance(found, tuple) and not isinstance(found, Span):
        for item in found:
            yield from nodes(item)
    elif dataclasses.is_dataclass(found):
        yield found
        for field in dataclasses.fields(found):
            yield from nodes(getattr(found, field.name))


def at(text: str, span: Span) -> str:
    """The text in a place that is within one line."""
    assert span.line == span.end_line
    return text.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]


# --- the grammar and its table ----------------------------------------------------------------


def test_the_grammar_is_strict_lalr_and_its_terminals_do_not_collide() -> None:
    lark.Lark(GRAMMAR, parser="lalr", lexer="basic", strict=True, start=list(tables.STARTS))


SAMPLE = '''"""All that there is."""

use shop.orders: Order, Line

message Offer:
    """What is on offer."""
    quote: Quote
    by: Text? = none
    from: List[Map[Text, Int]?] = [{"a": 1}]

error Bad(given: Int): "bad {given + 1}"
function total(lines: List[Line], note: untrusted Text) -> Decimal = python "shop.prices:total"
service Stock:
    read on_hand(sku: Text) -> Int
    write reserve(sku: untrusted Text, n: Int)

flow Seller(buyer: Party) -> Int:
    version 2
    responds to Buyer as trade
    startable by rpc, schedule
    steps:
        ONE "One"
        TWO "Two" tracks Other
    step ONE
    open Buyer with buyer as other   # a comment
    send Offer(1, by="x",
               from=[]) to other then receive y: Offer? from other @here unchecked
    receive z: Offer from other:
        require z.price >= 1 // 2 else Bad(given=3)
    try:
        let a = subflow Other(other)
    catch SessionEnded, Bad:
        log info "ended {me.name}"
    while not true and 1 < 2 or x in [1, 2,]:
        var b: Duration = 30s
        b = (b + 5m) * 2
    return -1
'''


def test_our_tokens_are_those_of_larks_own_lexer() -> None:
    made = lark.Lark(GRAMMAR, parser="lalr", lexer="basic", start=list(tables.STARTS))
    lexer = Lexer(tables.load_table(), SAMPLE, (), Mistakes("a"))
    lexer.read()
    layout = ("NEWLINE", "INDENT", "DEDENT", tables.END)
    ours = [(t.text, t.line, t.column) for t in lexer.tokens if t.kind not in layout]
    theirs = [(str(t), t.line, t.column) for t in made.lex(SAMPLE) if t.type != "NEWLINE"]
    assert ours == theirs


def test_larks_own_parser_accepts_the_same_tokens() -> None:
    made = lark.Lark(GRAMMAR, parser="lalr", lexer="basic", start=list(tables.STARTS))
    lexer = Lexer(tables.load_table(), SAMPLE, (), Mistakes("a"))
    lexer.read()
    theirs = made.parse_interactive(start="file")
    for token in lexer.tokens:
        theirs.feed_token(lark.Token(token.kind, token.text))
    good(SAMPLE)


def test_every_declared_keyword_is_a_name_or_a_reserved_word() -> None:
    made = tables.load_table()
    declared = {
        word
        for line in GRAMMAR.split("\n")
        if line.startswith("%declare")
        for word in line.split()[1:]
    }
    words = {word.upper() for word in made.names + made.reserved}
    assert declared - {"INDENT", "DEDENT", "BROKEN", "WILDCARD"} == words


def test_the_table_is_kept_in_the_users_cache_and_lark_is_not_imported_again(
    tmp_path: pathlib.Path,
) -> None:
    program = (
        "import sys; from flowlang.parser import parse; from flowlang.source import Source\n"
        "before = 'lark' in sys.modules\n"
        "found = parse(Source('a', 'a', 'flow F():\\n    pass\\n'))\n"
        "print(before, 'lark' in sys.modules, len(found.file.declarations))"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert outputs == [["False", "True", "1"], ["False", "False", "1"]]
    assert [place.suffix for place in (tmp_path / "flowlang").iterdir()] == [".json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"states": 1}', "\0"])
def test_a_spoilt_cache_is_made_anew(
    content: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "flowlang").mkdir()
    monkeypatch.setattr(tables, "make", lambda grammar: tables.load_table())
    place = tables._cache_file(GRAMMAR)
    assert place is not None
    place.write_text(content)
    assert tables.load_table.__wrapped__() is tables.load_table()
    assert tables._cached(place) == tables.load_table()


def test_a_cache_that_cannot_be_written_is_no_mistake(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flowlang").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tables, "make", lambda grammar: tables.load_table())
    assert tables.load_table.__wrapped__() is tables.load_table()


# --- trees ------------------------------------------------------------------------------------

STATEMENTS = {
    "let x = 1": "Let(x - 1 False)",
    "var x: Decimal = 12.50": "Let(x Decimal Decimal('12.50') True)",
    "x = subflow G(s, paying=price)": "Assign(x Subflow(Call(G [s paying=price])))",
    "if a:\n        pass": "If([[a [Pass()]]] -)",
    "if a:\n        pass\n    elif b:\n        return\n    else:\n        return 1": (
        "If([[a [Pass()]] [b [Return(-)]]] [Return(1)])"
    ),
    "while a:\n        break\n        continue": "While(a [Break() Continue()])",
    "for x in xs:\n        pass": "For(x xs [Pass()])",
    "return subflow G()": "Return(Subflow(Call(G [])))",
    "open G with p.q as s": "Open(G - Attribute(p q) False s)",
    "open T.buyer with p as s": "Open(T buyer p False s)",
    "send M(1) to s": "Send(Call(M [1]) s False)",
    "receive x: M from s unchecked": "Receive(x M s False - - - -)",
    "receive x: M from s @name unchecked": "Receive(x M s False - - - name)",
    "receive x: M? from s:\n        pass": "Receive(x M? s False - [Pass()] - -)",
    "receive x: M from s @name:\n        pass": "Receive(x M s False - [Pass()] - name)",
    "send 1 to s then receive x: M from s unchecked": "Receive(x M s False - - Send(1 s False) -)",
    "send 1 to s then receive x: M from s:\n        pass": (
        "Receive(x M s False - [Pass()] Send(1 s False) -)"
    ),
    "subflow G(1)": "EffectStatement(Subflow(Call(G [1])))",
    "try:\n        pass\n    catch E, F:\n        pass\n    catch G as e:\n        throw e": (
        "Try([Pass()] [Catch([E F] - [Pass()]) Catch([G] e [Throw(e)])])"
    ),
    "require a else E(1)": "Require(a Call(E [1]))",
    "step ONE": "StepTo(ONE - [])",
    'step ONE: "x {y}"': "StepTo(ONE Interpolation([x  y]) [])",
    "sleep 5m": "Sleep(datetime.timedelta(seconds=300))",
    "checkpoint": "Checkpoint()",
    'log warn "x"': "Log(warn 'x')",
    'hold "why"': "Hold('why')",
    "Stock.reserve(1, n=2)": "CallStatement(Call(Attribute(Stock reserve) [1 n=2]))",
    "pass": "Pass()",
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_statements(text: str) -> None:
    assert shape(flow_of(text).body) == f"[{STATEMENTS[text]}]"


EXPRESSIONS = {
    "a or b and not c == d": "(a or (b and Unary(not (c == d))))",
    "a + b * -c // d - e % f": "((a + ((b * Unary(- c)) // d)) - (e % f))",
    "(a + b) * c": "((a + b) * c)",
    "a in b and c != d": "((a in b) and (c != d))",
    "not not a": "Unary(not Unary(not a))",
    "-a.b(1)[0]": "Unary(- Index(Call(Attribute(a b) [1]) 0))",
    "f(1, a=2,)": "Call(f [1 a=2])",
    "[]": "ListLiteral([])",
    "[1, [2],]": "ListLiteral([1 ListLiteral([2])])",
    "{}": "MapLiteral([])",
    '{"a": 1, b: 2,}': "MapLiteral([['a' 1] [b 2]])",
    "none": "none",
    "true == false": "(True == False)",
    "a <= b": "(a <= b)",
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text: str) -> None:
    assert shape(value_of(text)) == EXPRESSIONS[text]


DECLARATIONS = {
    "record R:\n    a: Int\n    b: List[Map[Text, Int]?] = []": (
        "Record(record R - [Field(a Int -) Field(b List[Map[Text, Int]?] ListLiteral([]))])"
    ),
    'message M:\n    """A doc."""': "Record(message M A doc. [])",
    "message M:\n    pass": "Record(message M - [])",
    "message M": "Record(message M - [])",
    "private message M  # says it all": "Record(message M - [])",
    "error E": "Error(E [] - -)",
    "error E()": "Error(E [] - -)",
    'error E(a: Int, from: Text,): "x {a}"': (
        "Error(E [Parameter(a Int False -) Parameter(from Text False -)] - Interpolation([x  a]))"
    ),
    'function f(a: untrusted Int) -> Text? = python "a.b:c"': (
        "Function(f [Parameter(a Int True -)] Text? a.b:c)"
    ),
    "service S:\n    read send() -> Int\n    write b(c: Int)": (
        "Service(S - [Operation(read False send [] Int) "
        "Operation(write False b [Parameter(c Int False -)] -)])"
    ),
    "flow F(a: Int) -> Int:\n    pass": (
        "Flow(F - [Parameter(a Int False -)] Int False 1 - [] - - [] [] [Pass()] False [])"
    ),
    (
        'flow F():\n    """D."""\n    steps:\n        A "x" tracks G\n        B "y"\n'
        "    startable by schedule, rpc\n    responds to G as s\n    version 3\n    pass"
    ): (
        "Flow(F D. [] - False 3 Responds(G - s) [schedule rpc] - - "
        "[] [ProgressStep(A [] 'x' G) ProgressStep(B [] 'y' -)] [Pass()] False [])"
    ),
    (
        "protocol P:\n    a -> b: M\n    repeat r:\n        choice at b:\n            b -> a: M\n"
        "            continue r\n        or:\n            include Q(b, a)\n            end"
    ): (
        "Protocol(P - [Exchange(a b M) Repeat(r [ProtocolChoice(b [[[Exchange(b a M) Again(r)] "
        "[4 9 4 20]] [[Include(Q [b a]) Finish()] [7 9 7 11]]])])] False)"
    ),
}


@pytest.mark.parametrize("text", DECLARATIONS)
def test_declarations(text: str) -> None:
    assert shape(good(text + "\n").declarations) == f"[{DECLARATIONS[text]}]"


def test_a_file_has_its_docstring_and_uses() -> None:
    file = good('"""Of the file."""\nuse a.from.b: X, y\nuse c: Z\nerror E\n')
    assert file.doc == "Of the file."
    assert shape(file.uses) == "[Use(a.from.b [Used(X) Used(y)]) Use(c [Used(Z)])]"


def test_docstrings_lose_their_margin() -> None:
    text = 'flow F():\n    """First.\n\n    Second,\n        deeper.\n    """\n    pass\n'
    for ends in ("\n", "\r\n"):
        flow = good(text.replace("\n", ends)).declarations[0]
        assert isinstance(flow, syntax.Flow)
        assert flow.doc == "First.\n\nSecond,\n    deeper."


# --- layout -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "flow F():\n pass\n if a:\n       pass\n pass\n",
        "flow F():\r\n    pass\r\n\r\n    if a: # c\r\n        pass\r\n    pass",
        "\n\n# c\nflow F(): # c\n\n        # deep\n    pass\n# margin\n    if a:\n        pass\n"
        "      # odd\n    pass\n    # end",
        "flow F(\n):\n    pass\n    if (a\nor\n  b) == [\n1,\n]:\n        pass\n    pass   \n",
    ],
)
def test_layout(text: str) -> None:
    body = good(text).declarations[0].body  # type: ignore[union-attr]
    assert [type(statement).__name__ for statement in body] == ["Pass", "If", "Pass"]


# --- places -----------------------------------------------------------------------------------


def test_every_place_is_that_of_the_nodes_text() -> None:
    for node in nodes(good(SAMPLE)):
        if isinstance(node, syntax.Name):
            assert at(SAMPLE, node.span) == node.name
        for field in ("name_span", "target_span", "module_span"):
            if getattr(node, field, None) is not None:
                known = field.removesuffix("_span")
                assert at(SAMPLE, getattr(node, field)).strip('"') == getattr(node, known)


def test_every_place_is_inside_that_of_the_node_around_it() -> None:
    for node in nodes(good(SAMPLE)):
        if not hasattr(node, "span"):
            continue
        for field in dataclasses.fields(node):
            for inner in nodes(getattr(node, field.name)):
                assert node.span[:2] <= inner.span[:2], (node, inner)
                assert inner.span[2:] <= node.span[2:], (node, inner)


def test_places_of_statements() -> None:
    lines = [
        "let x = (a + b) * 2",
        'send M("é", [1]) to s.t',
        "receive y: M from s @z unchecked",
        "open F with p as t",
        'step A: "{x}"',
    ]
    text = "flow F():\n" + "".join(f"    {line}  # c\n" for line in lines)
    flow = good(text).declarations[0]
    assert isinstance(flow, syntax.Flow)
    assert [at(text, statement.span) for statement in flow.body] == lines
    let = flow.body[0]
    assert isinstance(let, syntax.Let)
    assert isinstance(let.value, syntax.Binary)
    assert at(text, let.value.left.span) == "(a + b)"


def test_places_inside_of_texts() -> None:
    text = 'flow F():\n    let x = "é😀\\n{ a + foo } {bar}"\n'
    names = [n for n in nodes(good(text)) if isinstance(n, syntax.Name)]
    assert [at(text, name.span) for name in names] == ["a", "foo", "bar"]


# --- words ------------------------------------------------------------------------------------

WORDS = [*tables.load_table().names, *tables.load_table().reserved]


@pytest.mark.parametrize("word", WORDS)
def test_a_keyword_with_a_letter_glued_on_is_a_name(word: str) -> None:
    for name in (f"{word}x", f"x{word}", f"{word}_", f"{word}1", f"{word}{word}"):
        assert shape(flow_of(f"{name} = {name}", f"{name}({name})").body) == (
            f"[Assign({name} {name}) CallStatement(Call({name} [{name}]))]"
        )


@pytest.mark.parametrize("word", WORDS)
def test_any_word_may_be_a_field_an_attribute_and_a_named_argument(word: str) -> None:
    good(f"record R:\n    {word}: Int\n    {word}: Int = 1\nerror E({word}: Int)\n")
    good(f"service S:\n    read {word}({word}: Int) -> Int\n")
    assert shape(value_of(f"a.{word}.{word}")) == f"Attribute(Attribute(a {word}) {word})"
    assert shape(value_of(f"f({word}=1, {word}=2)")) == f"Call(f [{word}=1 {word}=2])"


@pytest.mark.parametrize("word", tables.load_table().names)
def test_some_keywords_may_be_variables(word: str) -> None:
    lines = (
        f"let {word} = {word} + 1",
        f"{word} = {word}.{word}[{word}]",
        f"send {word} to {word}",
        f"receive {word}: T from {word} unchecked",
        f"open F with {word} as {word}",
        f"for {word} in {word}:\n        {word}()",
        f"log info {word}",
    )
    assert len(flow_of(*lines).body) == len(lines)


@pytest.mark.parametrize("word", tables.load_table().reserved)
def test_the_others_may_not(word: str) -> None:
    found = read(f"flow F():\n    let {word} = 1\n    pass\n").diagnostics
    assert [(d.code, d.message) for d in found] == [
        ("F111", f"`{word}` is a word of the language, so it cannot be a name here")
    ]


# --- literals ---------------------------------------------------------------------------------

VALUES: dict[str, object] = {
    "0": 0,
    "1_000": 1000,
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "-(9223372036854775808)": -(2**63),
    "12.50": decimal.Decimal("12.50"),
    "1_000.000_1": decimal.Decimal("1000.0001"),
    f"0.{'1' * 38}": decimal.Decimal(f"0.{'1' * 38}"),
    "250ms": datetime.timedelta(milliseconds=250),
    "30s": datetime.timedelta(seconds=30),
    "5m": datetime.timedelta(minutes=5),
    "2h": datetime.timedelta(hours=2),
    "3d": datetime.timedelta(days=3),
    "36525d": datetime.timedelta(days=36525),
    "0xCAFE": b"\xca\xfe",
    'b"\\x00a\\n\\"\\\\"': b'\x00a\n"\\',
    'b""': b"",
    '""': "",
    '"a\\n\\t\\r\\"\\\\\\{\\}\\u{1F600}\\u{e9}"': 'a\n\t\r"\\{}😀é',
    '"😀 \u200d # é"': "😀 \u200d # é",
    "true": True,
    "none": None,
}


@pytest.mark.parametrize("text", VALUES)
def test_literals(text: str) -> None:
    value = value_of(text)
    assert isinstance(value, syntax.Constant)
    assert value.value == VALUES[text]
    assert type(value.value) is type(VALUES[text])


def test_texts_with_expressions() -> None:
    value = value_of(r'"\{a\} {b.c(1)[2]}{ d } {[{1: 2}]}!"')
    assert isinstance(value, syntax.Interpolation)
    assert [part if isinstance(part, str) else shape(part) for part in value.parts] == [
        "{a} ",
        "Index(Call(Attribute(b c) [1]) 2)",
        "d",
        " ",
        "ListLiteral([MapLiteral([[1 2]])])",
        "!",
    ]


# --- bytes ------------------------------------------------------------------------------------


def test_bytes_are_decoded() -> None:
    source = decode("a.flow", "a", b"\xef\xbb\xbferror \xc3\x89\r\n")
    assert source == Source("a.flow", "a", "error É\r\n")


@pytest.mark.parametrize(
    ("data", "code", "line", "column"),
    [
        (b"\xff\xfe\x80", "F002", 1, 1),
        (b"# \xc3\xa9\n# \xc3\xa9\x80", "F002", 2, 4),
        ("flow F".encode("utf-16"), "F002", 1, 1),
        (b"\n\nfl\0ow", "F003", 3, 3),
        (b" " * (MIB + 1), "F001", 1, 1),
    ],
)
def test_bytes_that_are_no_source(data: bytes, code: str, line: int, column: int) -> None:
    found = decode("a.flow", "a", data)
    assert isinstance(found, Diagnostic)
    assert (found.code, found.source, found.span[:2]) == (code, "a.flow", (line, column))


# --- limits and hostile texts -----------------------------------------------------------------

F = "flow F():\n"
HOSTILE: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", ["F190"]),
    "only a byte order mark": ("\ufeff", ["F190"]),
    "only comments": ("# a\n\n   # b", ["F190"]),
    "NUL in a name": (F + "    let O\0w = 1\n", ["F011"]),
    "one line of 1 MiB": ((F + "    let x = " + "a+" * MIB)[: MIB - 9], ["F001"]),
    "a list of 1 MiB": ((F + "    let x = [" + "1," * MIB)[: MIB - 9], ["F001"]),
    "a name of 10^6 letters": (F + f"    let {'a' * 10**6} = 1\n", ["F017"]),
    "600 blocks": (F + "".join(" " * i + "if a:\n" for i in range(1, 600)), ["F030"]),
    "too large": ("a" * (MIB + 1), ["F001"]),
    "100,000 parentheses": (F + f"    f({'(' * 50_000}1{')' * 50_000})\n", ["F031"]),
    "100,000 open parentheses": (F + f"    f({'(' * 10**5}", ["F031"]),
    "50,000 calls": (F + f"    f{'()' * 50_000}\n", ["F149"]),
    "50,000 times not": (F + f"    let x = {'not ' * 50_000}a\n", ["F032"]),
    "50,000 types": (f"flow F(a: {'List[' * 50_000}", ["F031"]),
    "a sum of 3,000": (F + f"    let x = {' + '.join(['a'] * 3000)}\n", ["F032"]),
    "a text without end": (F + '    let x = "abc', ["F013"]),
    "a docstring without end": (F + '    """abc\n    pass\n', ["F014"]),
    "Cyrillic": (F + "    let Оwner = 1\n    Оwner = 1\n", ["F015"]),
    "underscores": (F + "    let __init__ = 1\n    let _ = 2\n", ["F016", "F016"]),
    "right to left in a comment": (F + "    # \u202e\n    pass\n", ["F011"]),
    "right to left in a docstring": (F + '    """\n \u2066"""\n    pass\n', ["F011"]),
    "right to left in a name": (F + "    let a\u202eb = 1\n", ["F011"]),
    "an Int of 5,000 digits": (F + f"    let x = {'9' * 5000}\n", ["F021"]),
    "a Decimal of 5,000 digits": (F + f"    let x = 1.{'9' * 5000}\n", ["F022"]),
    "a long duration": (F + "    let x = 999999999999d\n", ["F023"]),
    "form feed": (F + '    let x = "a\fb"\n', ["F011"]),
    "U+2028": (F + '    let x = "a\u2028b"\n', ["F011"]),
    "carriage return": (F + '    let x = "a\rb"\n', ["F011"]),
    "half a character": (F + '    let x = "\ud800"\n', ["F011"]),
    "half a character, escaped": (F + '    let x = "\\u{D800}"\n', ["F018"]),
    "NUL, escaped": (F + '    let x = "\\x00"\n', ["F018"]),
    "a backslash at the end": (F + '    let x = "a\\"\n', ["F013"]),
    "emoji": (F + '    let x = "👩‍👩‍👧"\n', []),
    "code in a text": (F + '    let x = "x\\"; import os; y=\\"</script>{{1}}"\n', ["F100"]),
    "10,001 declarations": ("error E\n" * 10_001, ["F033"]),
    "150,000 expressions in a text": (F + f'    let x = "{"{a}" * 150_000}"\n', ["F001"]),
    "only line ends": ("\n" * MIB, ["F190"]),
    "only quotes": ("'" * MIB, ["F024"] * 100),
    "only braces": ("{" * MIB, ["F031", "F001"]),
    "Macintosh line ends": ("flow F():\r    pass\r", ["F011"]),
    "only backslashes": ("\\\n" * (MIB // 2), ["F121"] * 100),
    "30,000 bad lines": (F + "    a b\n" * 30_000, ["F100"] * 100),
    "tabs": ("\t" * (MIB - 1) + "a", ["F012", "F100", "F104"]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts(name: str) -> None:
    text, codes = HOSTILE[name]
    assert [d.code for d in read(text).diagnostics] == codes


def test_the_largest_file_takes_little_memory() -> None:
    program = (
        "from flowlang.parser import parse; from flowlang.source import Source\n"
        "text = 'flow F():\\n' + ' a(b)\\n' * 33_000\n"
        "parse(Source('a', 'a', text))\n"
        "line = next(l for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "print(int(line.split()[1]) // 1024)"
    )
    # Where a submission is judged nothing is passed over: there it runs, and fails.
    if not pathlib.Path("/proc/self/status").exists() and not os.environ.get("CI"):
        pytest.skip("no /proc here")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(done.stdout) < 256


def test_blocks_are_nested_at_most_64_deep() -> None:
    def nested(depth: int) -> str:
        lines = [" " * i + "if a:\n" for i in range(1, depth)]
        return F + "".join(lines) + " " * depth + "pass\n" + " pass\n"

    assert read(nested(64)).diagnostics == ()
    parsed = read(nested(65))
    assert [d.code for d in parsed.diagnostics] == ["F030"]
    (flow,) = parsed.file.declarations
    assert isinstance(flow, syntax.Flow)
    assert (flow.broken, len(flow.body)) == (True, 2)


def test_expressions_are_at_most_100_deep() -> None:
    assert len(list(nodes(value_of(" + ".join(["a"] * 100))))) == 199
    parsed = read(F + f"    let x = {' + '.join(['a'] * 102)}\n    pass\n")
    assert [d.code for d in parsed.diagnostics] == ["F032"]
    assert parsed.diagnostics[0].span == (2, 13, 2, 14)


def test_nothing_is_read_of_a_file_with_too_many_tokens() -> None:
    text = F + "    a()\n" * (FILE_TOKENS // 4) + "flow Late():\n    pass\n"
    parsed = read(text)
    assert [d.code for d in parsed.diagnostics] == ["F001"]
    assert parsed.file.broken_names == {"F", "Late"}


def test_four_times_the_lines_are_four_times_the_work() -> None:
    part = SAMPLE[SAMPLE.index("message") :]
    assert read(part * 16).diagnostics == ()
    assert calls(lambda: read(part * 16)) < 4.2 * calls(lambda: read(part * 4))
