"""Sources that nobody means well: a diagnostic and nothing written, or correct code; no traceback.

Those that are refused run through `flowc compile` in a process of their own, which may use 256 MiB:
forked from one that has loaded flowc.
The slowest takes 1.2 to 1.9 s of CPU on the machine where that was measured; a slow or busy one is
no fault of the compiler, so what fails here is only what grows faster than its source: it takes
minutes.
"""

from __future__ import annotations

import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.source import Source
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.loaded import Flowc

CPU_SECONDS = 20
MEMORY_KIB = 256 * 1024
FINE = "flow Ship():\n    pass\n"


class Done(NamedTuple):
    """What a run of flowc left behind. `written` are the files that were not there before."""

    code: int
    printed: str
    written: dict[str, str]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flowc]:
    with Flowc(tmp_path_factory.mktemp("flowc"), CPU_SECONDS) as flowc:
        yield flowc


@pytest.fixture
def flowc(loaded: Flowc, tmp_path: Path) -> Callable[..., Done]:
    """Runs flowc in `tmp_path/here`, with limits, and looks at what it did."""

    def run(
        files: Mapping[str, str | bytes],
        *arguments: str,
        links: Mapping[str, str] | None = None,
    ) -> Done:
        here = tmp_path / "here"
        here.mkdir(parents=True)
        for name, content in files.items():
            path = here / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
            )
        for name, target in (links or {}).items():
            (here / name).symlink_to(target)
        before = _files(tmp_path)
        ended = loaded.run(arguments, here, {**os.environ, "NO_COLOR": "1"})
        after = _files(tmp_path)
        assert {name: after.get(name) for name in before} == before, "a file was changed or removed"
        written = {name: data.decode() for name, data in after.items() if name not in before}
        assert "Traceback" not in ended.printed
        assert "bug of flowc" not in ended.printed
        assert ended.memory_kib < MEMORY_KIB
        return Done(ended.code, ended.printed, written)

    return run


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- what cannot be right -------------------------------------------------------------------------


def _nested(depth: int) -> str:
    lines = [" " * level + "if ready:" for level in range(1, depth + 1)]
    body = "\n".join([*lines, " " * (depth + 1) + "pass"])
    return f"flow Ship(ready: Bool):\n{body}\n"


def _sum(terms: int) -> str:
    return f"flow Total() -> Int:\n    return {' + '.join(['1'] * terms)}\n"


def _within(text: str) -> str:
    return f"flow Ship(ready: Bool, net: Int) -> Int:\n    {text}\n    return net\n"


LONG = "a" * 1_000_000

REFUSED: dict[str, tuple[str | bytes, str]] = {
    # name: (source, the code that is expected)
    "empty": ("", "F190"),
    "only a byte order mark": (b"\xef\xbb\xbf", "F190"),
    "only blanks": (" \n" * 1000, "F190"),
    "invalid UTF-8": (b"\xff\xfe\x80" + FINE.encode(), "F002"),
    "UTF-16": (FINE.encode("utf-16"), "F002"),
    "UTF-8 cut off": (FINE.encode() + b"# \xe2\x82", "F002"),
    "an encoded half of a character": (FINE + "# \ud800", "F002"),
    "NUL in a name": (FINE.replace("Ship", "Sh\0ip"), "F003"),
    "NUL at the end": (FINE + "\0", "F003"),
    "too many words": (_within("let x = " + "net + " * 170_000 + "1"), "F001"),
    "too many bytes": (FINE + "#" * (1 << 20), "F001"),
    "one long line of code": (_within("let x = " + "net + " * 105_000 + "1"), "F032"),
    "one long line of brackets": (_within("let x = [" + "1, " * 300_000 + "1]"), "F001"),
    "one long line without sense": ("x" * ((1 << 20) - 1), "F017"),
    "lines outside of a flow": ("pass\n" * 105_000, "F127"),
    "too many lines outside of a flow": ("pass\n" * 200_000, "F001"),
    "lines of nonsense": ("? ! ;\n" * 150_000, "F120"),
    "lines that open a text": ('"\n' * 500_000, "F013"),
    "a name of a million letters": (f"flow {LONG}():\n    pass\n", "F017"),
    "a variable of a million letters": (_within(f"let {LONG} = 1"), "F017"),
    "600 nested ifs": (_nested(600), "F030"),
    "1,400 nested ifs": (_nested(1_400), "F030"),
    "20,000 nested blocks": (_nested(20_000)[: (1 << 20) - 1], "F030"),
    "20,000 blocks in one line": ("flow Ship():\n " + "if true: " * 20_000 + "\n", "F109"),
    "20,000 nested brackets": (_within("let x = " + "{1: [" * 10_000 + "]}" * 10_000), "F031"),
    "100,000 parentheses": (_within(f"let x = {'(' * 100_000}1{')' * 100_000}"), "F031"),
    "100,000 parentheses left open": (_within(f"let x = {'(' * 100_000}1"), "F031"),
    "100,000 closing parentheses": (_within(f"let x = 1{')' * 100_000}"), "F106"),
    "100,000 parentheses in a text": (
        _within(f'log info "{{{"(" * 100_000}1{")" * 100_000}}}"'),
        "F031",
    ),
    "100,000 nots": (_within(f"require {'not ' * 100_000}ready else Malformed()"), "F032"),
    "100,000 minus signs": (_within(f"let x = {'-' * 100_000}net"), "F032"),
    "100,000 dots": (_within(f"let x = net{'.size' * 100_000}"), "F032"),
    "100,000 calls": (_within(f"let x = net{'()' * 100_000}"), "F149"),
    "a type of types": (f"message A:\n    x: {'List[' * 5_000}Int{']' * 5_000}\n", "F031"),
    "a sum of 3,000 terms": (_sum(3_000), "F032"),
    "10,001 declarations": ("".join(f"error E{n}\n" for n in range(10_001)), "F033"),
    "10,001 flows": (
        "".join(f"flow F{n}():\n    pass\n" for n in range(10_001)),
        "F033",
    ),
    "an Int of 5,000 digits": (_within(f"let x = {'9' * 5_000}"), "F021"),
    "an Int of a million digits": (_within(f"let x = {'9' * 1_000_000}"), "F021"),
    "a Decimal of 5,000 digits": (_within(f"let x = 1.{'9' * 5_000}"), "F022"),
    "a version of 5,000 digits": (f"flow Ship():\n    version {'9' * 5_000}\n    pass\n", "F021"),
    "a duration of a billion years": (_within("sleep 999999999999d"), "F023"),
    "a duration of 5,000 digits": (_within(f"sleep {'9' * 5_000}ms"), "F023"),
    "an open text": (_within('log info "'), "F013"),
    "an open docstring": ('flow Ship():\n    """never ends\n    pass\n', "F014"),
    "a bracket open at the end": ("flow Ship(", "F105"),
    "a tab": ("flow Ship():\n\tpass\n", "F012"),
    "a form feed": ("flow Ship():\n    pass\f\n", "F011"),
    "a line separator": ("flow Ship():\n    pass\u2028    pass\n", "F011"),
    "a lone carriage return": ("flow Ship():\r    pass\r", "F011"),
    "a right-to-left override in a comment": (f"# \u202e\n{FINE}", "F011"),
    "a right-to-left override in a name": (FINE.replace("Ship", "Sh\u202eip"), "F011"),
    "an isolate in a docstring": (f'"""\u2066"""\n{FINE}', "F011"),
    "a mark in a text": (_within('log info "\u200f"'), "F011"),
    "an escape of a terminal": (f"# \x1b[2J\n{FINE}", "F011"),
    "a Cyrillic letter": (FINE.replace("Ship", "Оwner"), "F015"),
    "full-width letters": (FINE.replace("Ship", "Ｓhip"), "F015"),
    "a zero-width joiner": (FINE.replace("Ship", "Sh\u200dip"), "F010"),
    "a name with an escape": ("flow Ship\\n():\n    pass\n", "F010"),
    "half a character escaped": (_within('log info "\\u{D800}"'), "F018"),
    "a character beyond Unicode": (_within('log info "\\u{110000}"'), "F018"),
    "a generated version's name": ("flow Ship_v1():\n    pass\n\nflow Ship():\n    pass\n", "F211"),
    "a name with underscores": ("flow __init__():\n    pass\n", "F016"),
    "a value of Python as a name": ("flow None():\n    pass\n", "F113"),
    "a record in itself": ("record T:\n    t: T\n", "F321"),
    "a circle of 5,000 records": (
        "".join(f"record R{n}:\n    next: R{(n + 1) % 5_000}\n" for n in range(5_000)),
        "F321",
    ),
    "a target that runs code": (
        'function f() -> Int = python "os:system(1)"\n',
        "F720",
    ),
    "a target in another folder": ('function f() -> Int = python "../x:f"\n', "F720"),
    "use of a path": ('use "../../../etc/passwd": X\n' + FINE, "F100"),
    "use of dots": ("use ..etc.passwd: X\n" + FINE, "F100"),
    "use of a word of Python": ("use class: X\n" + FINE, "F710"),
    "use of itself": ("use shop: Ship\n" + FINE, "F712"),
    "5,000 names that do not exist": (
        _within("\n    ".join(f"log info name_{n}" for n in range(5_000))),
        "F201",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_diagnostic(name: str, flowc: Callable[..., Done]) -> None:
    source, code = REFUSED[name]
    done = flowc({"shop.flow": source}, "compile", "shop.flow")
    assert done.code == 1
    assert done.written == {}
    found = re.findall(r"^error\[(F\d{3})\]: .+\n  --> shop\.flow:\d+:\d+$", done.printed, re.M)
    assert found[0] == code
    assert len(done.printed) < 100_000
    assert done.printed.replace("\n", "").isprintable()
    longest = max(map(len, done.printed.splitlines()))
    assert longest < 300


def test_a_long_chain_of_files(flowc: Callable[..., Done]) -> None:
    files = {"shop.flow": f"use m1: A1\n{FINE}", "m300.flow": "message A300:\n    x: Int\n"}
    for n in range(1, 300):
        files[f"m{n}.flow"] = f"use m{n + 1}: A{n + 1}\n\nmessage A{n}:\n    x: Int\n"
    done = flowc(files, "compile", "shop.flow")
    assert done.code == 1
    assert done.written == {}
    assert done.printed.count("error[") == 1
    assert "F713" in done.printed


# --- where the Python goes ------------------------------------------------------------------------


def test_a_folder_further_up_is_a_folder_like_others(flowc: Callable[..., Done]) -> None:
    done = flowc({"shop.flow": FINE}, "compile", "shop.flow", "-o", "..")
    assert done.code == 0
    assert list(done.written) == ["shop_flow.py"]


@pytest.mark.parametrize(
    ("links", "output"),
    [
        ({"shop_flow.py": "../outside/mine.py"}, "."),
        ({"out": "../outside"}, "out"),
        ({"out/shop": "../../outside"}, "out"),
        ({"shop_flow.py": "../outside/nothing.py"}, "."),
    ],
)
def test_nothing_is_written_through_links(
    links: dict[str, str], output: str, flowc: Callable[..., Done]
) -> None:
    files = {
        "shop.flow": FINE,
        "shop/orders.flow": FINE,
        "../outside/mine.py": "by_hand = True\n",
        "pyproject.toml": "[tool.flowlang]\n",
    }
    if output == "out" and "out" not in links:
        files["out/readme.txt"] = ""
    done = flowc(files, "compile", ".", "-o", output, links=links)
    assert done.code == 1
    assert done.written == {}
    assert "error[F707]" in done.printed


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("class.flow", "F710"),
        ("import/orders.flow", "F710"),
        ("Shop.flow", "F703"),
        ("my shop.flow", "F703"),
        ("a.b.flow", "F703"),
        ("é.flow", "F703"),
        ("-o.flow", "F703"),
        (f"{'a' * 240}.flow", "F703"),
        ("shop.flow.txt", "F702"),
    ],
)
def test_files_of_odd_names(path: str, code: str, flowc: Callable[..., Done]) -> None:
    files = {path: FINE, "pyproject.toml": "[tool.flowlang]\n"}
    done = flowc(files, "compile", "--", path)
    assert done.code == 1
    assert done.written == {}
    assert f"error[{code}]" in done.printed


def test_a_foreign_file_stays(flowc: Callable[..., Done]) -> None:
    files = {"shop.flow": FINE, "bank.flow": FINE, "shop_flow.py": "by_hand = True\n"}
    done = flowc(files, "compile", ".")
    assert done.code == 1
    assert done.written == {}
    assert "error[F707]" in done.printed


# --- what must be right: names and texts that mean something in Python ----------------------------


class World:
    """Compiled text as an imported module, and a node that runs its flows."""

    def __init__(self, text: str, services: Mapping[str, object] | None = None) -> None:
        source = Source("shop.flow", "shop", text)
        made = compile_modules(["shop"], {"shop": source}.get, list)
        self.codes = {found.code for found in made.diagnostics}
        if self.codes:
            return
        self.python = generate(made.modules["shop"])
        self.module = types.ModuleType("shop_flow")
        sys.modules["shop_flow"] = self.module
        exec(compile(self.python, "shop_flow.py", "exec"), vars(self.module))
        self.network = MemoryNetwork()
        self.node = Node.create(
            "alice",
            store=MemoryStore(),
            network=self.network,
            modules=[self.module],
            services=services or {},
            reload=True,
        )

    def run(self, flow: str, **arguments: object) -> object:
        handle = self.node.submit(getattr(self.module, f"{flow}_v1"), **arguments)
        while self.node.turn() or self.network.pump():
            pass
        assert not self.node.hospital()
        return handle.result_now()


LOWER = """
    abs add_note args as_ async at builtin case cls class count datetime decimal def del dict entry
    error error_id eval exec except fault field fields finally float fromkeys function global id
    import index int is item items keys l label lambda len list match me2 message name next none2
    nonlocal object open order_by peer place print property pump python raise range read record
    repr result rt run self send service set start state states step str sum super text tuple tx
    type typing value vars wire with_traceback write yield
""".replace("as_", "as").replace("me2", "divide").replace("none2", "none").split()  # fmt: skip

FIELDS = """
record Box:
    {name}: Int
    other: Int = 1

message Letter:
    {name}: Box?

error Wrong({name}: Int): "wrong"

service Desk:
    read {name}({name}: Int) -> Int

flow Try(box: Box) -> Int:
    startable by rpc
    var sum_up = box.{name}
    checkpoint
    let letter = Letter({name}=Box(sum_up))
    checkpoint
    if letter.{name} != none:
        sum_up = sum_up + letter.{name}.{name}
    try:
        throw Wrong({name}=sum_up)
    catch Wrong as wrong:
        checkpoint
        log info "{{wrong.{name}}}"
    return sum_up + Desk.{name}({name}=1)
"""

VARIABLES = """
message Note:
    words: Text

error Wrong(words: Text)

function nothing({name}: Int) -> Int = python "operator:pos"

flow Try({name}: Int) -> Int:
    startable by rpc
    checkpoint
    let a = subflow Keep({name})
    let b = subflow Loop([{name}, {name}])
    let c = subflow Catch()
    return nothing({name}) + a + b + c

flow Keep(given: Int) -> Int:
    var {name} = given
    checkpoint
    {name} = {name} + 1
    checkpoint
    return {name}

flow Loop(many: List[Int]) -> Int:
    var sum_up = 0
    for {name} in many:
        checkpoint
        sum_up = sum_up + {name}
    return sum_up

flow Catch() -> Int:
    try:
        checkpoint
        throw Wrong("so")
    catch Wrong as {name}:
        checkpoint
        log info "{{{name}.words}}"
    open Answer with me as talk
    receive {name}: Note from talk @{name} unchecked
    checkpoint
    return {name}.words.size

flow Answer():
    responds to Catch as {name}
    checkpoint
    send Note("four") to {name}
"""


@pytest.mark.parametrize("name", LOWER)
def test_a_field_may_have_any_name(name: str) -> None:
    def called(_: object, tx: object, number: int) -> int:
        return number

    desk = type("Desk", (), {f"{name}{under}": called for under in ("", "_")})()
    world = World(FIELDS.format(name=name), {"shop.Desk": desk})
    if name in ("decimal", "divide"):
        # The text of an error sees the error's fields beside what is built in.
        assert world.codes == {"F210"}
        return
    assert world.codes == set()
    box = world.module.Box(3)
    assert world.run("Try", box=box) == 7


@pytest.mark.parametrize("name", LOWER)
def test_a_variable_is_refused_or_right(name: str) -> None:
    world = World(VARIABLES.format(name=name))
    if world.codes:
        # Words of the language, and what is built in.
        assert world.codes & {"F111", "F210"}
        return
    [parameter] = world.module.Try_v1.Start.__struct_fields__
    assert parameter.rstrip("_") == name
    assert world.run("Try", **{parameter: 3}) == 3 + 4 + 6 + 4


FUNCTIONS = """
function {name}(x: Int) -> Int = python "operator:pos"

flow Try(given: Int) -> Int:
    startable by rpc
    steps:
        {upper} "at work"
    step {upper}
    checkpoint
    step {upper}: "at work on {{given}}"
    checkpoint
    return {name}(given) + {name}(x=4)
"""


@pytest.mark.parametrize("name", LOWER)
def test_a_function_is_refused_or_right(name: str) -> None:
    world = World(FUNCTIONS.format(name=name, upper=name.upper()))
    if world.codes:
        assert world.codes & {"F111", "F210"}
        # `none` and `start` mean something where they are called, too.
        assert len(world.codes) == 1 or name in ("none", "start")
        return
    assert world.run("Try", given=3) == 7


UPPER = """
    Annotated Any Base Bool Call Checkpoint ClassVar Contract Decimal Ellipsis Exception False Fault
    Fields Flow FlowError Generic Hold I Int KeyboardInterrupt List Literal M Malformed Mapping
    Message NONE None NotImplemented O Operation Party Protocol R Receive Result Return Run S Self
    ServiceKey Session Sleep Start State States Step Struct SystemExit T True Tx Type TypeError
    Union Value ValueError V1
""".split()  # noqa: SIM905

TYPES = {
    "record": """
record {name}:
    x: Int

flow Try(given: {name}) -> Int:
    startable by rpc
    checkpoint
    let many: List[{name}] = [given, {name}(4)]
    checkpoint
    return many[0].x + many[1].x
""",
    "message": """
message {name}:
    x: Int

flow Try(given: {name}) -> Int:
    startable by rpc
    open Answer with me as talk
    send given to talk then receive other: {name} from talk unchecked
    return other.x

flow Answer():
    responds to Try as talk
    receive given: {name} from talk unchecked
    send {name}(given.x + 4) to talk
""",
    "error": """
record Box:
    x: Int

error {name}(x: Int): "x is {{x}}"

flow Try(given: Box) -> Int:
    startable by rpc
    try:
        subflow Fail(given.x + 4)
    catch {name} as trouble:
        checkpoint
        log info "{{trouble.x}}"
        require trouble.x > 0 else {name}(0)
        return trouble.x
    return 0

flow Fail(x: Int):
    checkpoint
    throw {name}(x)
""",
    "flow": """
record Box:
    x: Int

flow Try(given: Box) -> Int:
    startable by rpc
    return subflow {name}(given.x)

flow {name}(x: Int) -> Int:
    checkpoint
    return x + 4
""",
    "service": """
record Box:
    x: Int

service {name}:
    read more(x: Int) -> Int

flow Try(given: Box) -> Int:
    startable by rpc
    checkpoint
    return {name}.more(given.x)
""",
}


class More:
    """A service that adds four."""

    def more(self, tx: object, x: int) -> int:
        return x + 4


@pytest.mark.parametrize("name", UPPER)
@pytest.mark.parametrize("kind", TYPES)
def test_a_type_is_refused_or_right(kind: str, name: str) -> None:
    more = {f"shop.{name}": More()} if kind == "service" else None
    world = World(TYPES[kind].format(name=name), more)
    if world.codes:
        assert world.codes in ({"F210"}, {"F210", "F212"}) or "F113" in world.codes
        return
    start = world.module.Try_v1.Start
    [box] = {typing.get_type_hints(start)["given"]}
    assert world.run("Try", given=box(3)) == 7


TEXTS = {
    "quotes": 'it\'s "so" or \'\'\'so\'\'\' or """so"""',
    "a statement": '"; import os; os.system("id"); PWNED = 1; y="',
    "a statement below": '\nPWNED = 1\n"',
    "a backslash at the end": "\\",
    "two backslashes and a quote": '\\\\"',
    "template": "{{ 7 * 7 }} {% raw %} {# x #} ${x} #{x} %s %(x)s {0} {x!r:>10}",
    "braces": "{}{{}}}{",
    "f-string": '{__import__("os").getcwd()}',
    "escapes": "\\n \\x41 \\N{BELL} \\u0041 \\101",
    "line ends": "a\nb\rc\r\nd\x0be\x0cf\x85g\u2028h\u2029i",
    "controls": "".join(map(chr, range(32))) + "\x7f\x9f",
    "NUL": "a\0b",
    "direction": "\u202eabc\u2066def\u200f",
    "emoji": "👩‍👩‍👧 🇪🇺 \U0001f600",
    "beyond": "\U0010ffff \ufeff \ufffe \ue000",
    "script": "</script><!--<img src=x onerror=alert(1)>",
    "comment": "# type: ignore  # noqa",
    "long": "x" * 5_000,
    "lines": "line\n" * 500,
    "wide": "漢字" * 200,
    "conjoining": "\u1112\u1161\u11ab e\u0301",
    "spaces": " \t \u00a0 \u3000 ",
    "nothing": "",
}


def _written(text: str) -> str:
    """A text as an author writes it."""
    escaped = []
    for character in text:
        if character in '\\"{}':
            escaped.append(f"\\{character}")
        elif character in "\n\r\t":
            escaped.append({"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character])
        elif character.isprintable():
            escaped.append(character)
        else:
            escaped.append(f"\\u{{{ord(character):X}}}")
    return f'"{"".join(escaped)}"'


def _in_bytes(text: str) -> str:
    return 'b"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_means_itself(name: str) -> None:
    text = TEXTS[name]
    written = _written(text)
    label = written if len(text) < 400 else '"long"'
    world = World(
        f"""
record Box:
    words: Text = {written}
    other: Map[Text, Text] = {{{written}: {written}}}

error Wrong(words: Text): {written}

flow Try(number: Int) -> List[Text]:
    startable by rpc
    steps:
        WORKING {label}
    step WORKING
    step WORKING: {written}
    log info {written}
    var found = [{written}, Box().words]
    checkpoint
    let box = Box()
    let bytes = {_in_bytes(text)}
    if bytes.size >= 0 and {written} == box.words:
        found = found + [box.other[{written}], "{{number}}" + {written}]
    try:
        throw Wrong({written})
    catch Wrong as wrong:
        if wrong.words == {written}:
            found = found + [{written}]
    return found
"""
    )
    assert world.codes == set()
    assert world.run("Try", number=7) == (text, text, text, "7" + text, text)
    assert str(world.module.Wrong("x")) == text
    assert not hasattr(world.module, "PWNED")
    assert max(map(len, world.python.splitlines())) < 6_000 + len(text) * 10


DOCS = [
    'He said "yes".',
    'It ends with a quote" ',
    "It ends with a backslash \\",
    "\\N{BELL} \\x00 \\u12 \\",
    "''' {{ x }} {% for %} {# #} # comment",
    "first\n\n        PWNED = 1\n    ",
    "PWNED = 1; '''\nPWNED = 1",
    "</script> 漢字 👩‍👩‍👧",
    "x" * 3_000,
    "",
]


@pytest.mark.parametrize("doc", DOCS, ids=range(len(DOCS)))
def test_a_docstring_stays_one(doc: str) -> None:
    world = World(
        f'''"""{doc}"""

record Box:
    """{doc}"""
    x: Int      # {doc.splitlines()[0] if doc else ""}

message Letter:
    """{doc}"""
    x: Int

service Desk:
    """{doc}"""
    read more(x: Int) -> Int

flow Try(box: Box) -> Int:
    """{doc}"""
    startable by rpc
    checkpoint      # {doc.splitlines()[0] if doc else ""}
    return Desk.more(box.x)
''',
        {"shop.Desk": More()},
    )
    assert world.codes == set()
    assert world.run("Try", box=world.module.Box(3)) == 7
    assert not hasattr(world.module, "PWNED")


@pytest.mark.parametrize("depth", [20, 21, 40, 62])
def test_deep_blocks_are_right(depth: int) -> None:
    """Python has its own limits: twenty loops, a hundred levels of indentation."""
    lines = ["flow Try(number: Int) -> Int:", "    startable by rpc", "    var found = number"]
    for level in range(1, depth + 1):
        head = ("if number == 3:", "for _x in [1]:", "while found == 3:")[level % 3]
        lines.append("    " * level + head.replace("_x", f"x{level}"))
    lines.append("    " * (depth + 1) + "found = found + 4")
    waiting = [*lines[:-1], "    " * (depth + 1) + "checkpoint", lines[-1]]
    for body in (lines, waiting):
        world = World("\n".join([*body, "    return found"]) + "\n")
        assert world.codes == set()
        assert world.run("Try", number=3) == 7


@pytest.mark.parametrize("depth", [50, 99])
def test_deep_expressions_are_right(depth: int) -> None:
    shapes = {
        "number" + " + 1" * depth: 3 + depth,
        "(" * depth + "number" + ")" * depth: 3,
        "(1 + " * depth + "number" + ")" * depth: 3 + depth,
        "-" * depth + "number": 3 if depth % 2 == 0 else -3,
    }
    for expression, expected in shapes.items():
        world = World(
            f"flow Try(number: Int) -> Int:\n    startable by rpc\n    return {expression}\n"
        )
        assert world.codes == set()
        assert world.run("Try", number=3) == expected
