"""Programs that are right, and the same with mistakes planted in them at known lines. Knows what
may be written where, and nothing of how the compiler finds out."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from flowlang import syntax
from flowlang.checker import trees
from flowlang.parser import parse
from flowlang.source import Source

STATEMENTS = {
    "unknown name": "let {n} = {n}un + 1",
    "unknown name in a text": 'log info "it is {{{n}un}}"',
    "unknown name assigned": "{n}un = 3",
    "unknown function": "let {n} = {n}fun(1)",
    "unknown type": 'let {n}: Strin{n} = "x"',
    "unknown member": "let {n} = now.{n}size",
    "text for an Int": 'let {n}: Int = "x"',
    "Int for a condition": "if 3:\n    pass",
    "text for a condition": 'while "x":\n    pass',
    "Int and Text": 'let {n} = 1 + "x"',
    "division": "let {n} = 1 / 2",
    "different types compared": 'let {n} = 1 == "x"',
    "loop over an Int": "for {n} in 3:\n    pass",
    "minus Text": 'let {n} = -"x"',
    "too few arguments": "let {n} = max(1)",
    "name declared twice": "let {n} = 1\nlet {n} = 2",
    "constant assigned": "let {n} = 1\n{n} = 2",
    "built-in redeclared": "let me = 3",
    "capital letter": "let {N} = 3",
    "empty list": "let {n} = []",
    "none alone": "let {n} = none",
    "no value": "let {n} =",
    "no expression": "let {n} = 1 +",
    "no operator": "let {n} = 1 2",
    "no name": "let = 1",
    "bracket open": "let {n} = (1 + 2",
    "bracket too many": "let {n} = 1 + 2)",
    "other bracket": "let {n} = (1 + 2]",
    "list open": "let {n} = [1, 2",
    "brace open": 'let {n} = "it is {{now"',
    "quote open": 'let {n} = "it is',
    "odd character": "let {n} = 1 $ 2",
    "odd number": "let {n} = 09",
    "odd escape": 'let {n} = "a\\q"',
    "other quotes": "let {n} = 'a'",
    "no colon": "if now == now\n    pass",
    "no block": "if now == now:",
    "misspelt let": "lte {n} = 1",
    "misspelt log": 'lgo info "x"',
    "misspelt while": "whiel now < now:\n    pass",
    "misspelt require": 'reqiure now == now else Timeout("x")',
    "other language": 'if now < now:\n    raise Timeout("x")',
    "log level": 'log loud "x"',
    "log of a number": "log info 3",
    "stray word": "{n} {n} {n}",
    "increment": "var {n} = 1\n{n} += 1",
    "semicolon": "let {n} = 1;",
    "case alone": "case {N}:\n    pass",
    "indented": "let {n} = 1\n    let {n}b = 2",
    "if as a value": "let {n} = 1 if now == now else 2",
    "long name": "let " + "x" * 70 + " = 1",
    "large number": "let {n} = 99999999999999999999",
    "break alone": "if now < now:\n    breka",
    "discarded": "1 + 2",
    "record in a flow": "record {N}:\n    x: Int",
    "version below": 'version "a"',
}  # fmt: skip
"""Lines that may stand in front of any statement, but for one mistake."""

DECLARATIONS = {
    "unknown type of a field": "record {N}:\n    a: Strin{n}",
    "field without type": "message {N}:\n    a",
    "field with two": "message {N}:\n    a: Int Int",
    "field twice": "record {N}:\n    a: Int\n    a: Int",
    "record with small letter": "record {n}:\n    a: Int",
    "record without fields": "record {N}:",
    "record without colon": "record {N}\n    a: Int",
    "record without name": "record:\n    a: Int",
    "endless record": "record {N}:\n    a: {N}",
    "session in a record": "record {N}:\n    a: Session",
    "default of another type": 'record {N}:\n    a: Int = "x"',
    "required field late": "record {N}:\n    a: Int = 1\n    b: Int",
    "error of an unknown type": "error {N}(a: Intt{n})",
    "error without bracket": "error {N}(a: Int",
    "error that tells of no field": 'error {N}(a: Int): "{{b}}"',
    "function without result": 'function {n}() = python "a:b"',
    "function of an unknown type": 'function {n}() -> Intt{n} = python "a:b"',
    "function without Python": "function {n}() -> Int",
    "function with odd target": 'function {n}() -> Int = python "a b"',
    "service of an unknown type": "service {N}:\n    read a() -> Intt{n}",
    "operation without kind": "service {N}:\n    a() -> Int",
    "enum without case": "enum {N}:",
    "enum with a small case": "enum {N}:\n    small",
    "enum with a case twice": "enum {N}:\n    Big\n    Big",
    "type without target": "type {N}",
    "misspelt flow": "flwo {N}():\n    pass",
    "flow without name": "flow ():\n    pass",
    "flow without brackets": "flow {N}:\n    pass",
    "flow without body": "flow {N}():",
    "flow without return": "flow {N}() -> Int:\n    pass",
    "flow with unknown parameter": "flow {N}(a: Intt{n}):\n    pass",
    "parameter twice": "flow {N}(a: Int, a: Int):\n    pass",
    "return of something": "flow {N}():\n    return 3",
    "return of a Text": 'flow {N}() -> Int:\n    return "x"',
    "break outside": "flow {N}():\n    break",
    "unreachable": "flow {N}():\n    return\n    pass",
    "no such step": "flow {N}():\n    step NOWHERE",
    "no such responder": "flow {N}(p: Party):\n    open {N}Un with p as talk",
    "send of a text": 'flow {N}(s: Session):\n    send "x" to s',
    "receive of a text": "flow {N}(s: Session):\n    receive x: Text from s unchecked",
    "sleep for a number": "flow {N}():\n    sleep 3",
    "unknown error caught": "flow {N}():\n    try:\n        pass\n    catch {N}Un:\n        pass",
    "division": "flow {N}() -> Int:\n    return 1 / 2",
    "statement outside": "let {n} = 1",
    "call outside": "{n}(1, 2)",
    "stray": "{n} {n}",
    "class": "class {N}:\n    a: Int",
    "twice": "record {N}:\n    a: Int\n\nrecord {N}:\n    a: Int",
    "odd character": "record {N}:\n    a: $Int",
    "protocol": "protocol {N}:\n    a",
}
"""What may stand before any declaration, but for one mistake."""


class Planted(NamedTuple):
    """`places` are the first and last line of each mistake, by what it is."""

    text: str
    places: dict[str, tuple[int, int]]


class _Site(NamedTuple):
    """Where mistakes can be planted: new lines before line `before`, or line `before` changed.
    Lines are numbered from 0."""

    before: int
    new: bool
    choices: dict[str, str]
    margin: str = ""


def planted(text: str, choose: random.Random, count: int = 3) -> Planted | None:
    """A right program with so many independent mistakes; None if there is no room for them."""
    lines = text.rstrip("\n").split("\n")
    sites = sorted(_sites(text, lines))
    chosen: dict[int, _Site] = {}
    for site in choose.sample(sites, len(sites)):
        if len(chosen) < count and all(abs(site.before - other) > 1 for other in chosen):
            chosen[site.before] = site
    if len(chosen) < count:
        return None
    found: dict[str, tuple[int, int]] = {}
    shift = 0
    for number, (before, site) in enumerate(sorted(chosen.items())):
        what = choose.choice(sorted(site.choices))
        name = f"zz{'abc'[number]}"
        filled = site.choices[what]
        if site.new:
            filled = filled.format(n=name, N=f"Zz{'abc'[number]}")
        new = [site.margin + line for line in filled.split("\n")]
        at = before + shift
        lines[at : at if site.new else at + 1] = new
        found[f"{number}: {what}"] = (at + 1, at + len(new))
        shift += len(new) if site.new else 0
    return Planted("\n".join(lines) + "\n", found)


def _sites(text: str, lines: list[str]) -> Iterator[_Site]:
    file = parse(Source("shop.flow", "shop", text)).file
    for declaration in file.declarations:
        first = declaration.span.line - 1
        if declaration.name not in file.private:
            while first and lines[first - 1].startswith("#"):
                first -= 1
            yield _Site(first, True, DECLARATIONS)
        if isinstance(declaration, syntax.Flow):
            for statement in trees.statements(declaration.body):
                yield from _around(statement, lines)


def _around(statement: syntax.Statement, lines: list[str]) -> Iterator[_Site]:
    at = statement.span.line - 1
    line = lines[at]
    margin = line[: len(line) - len(line.lstrip())]
    if len(margin) + 1 == statement.span.column:
        yield _Site(at, True, STATEMENTS, margin)
        changes = dict(_changed(line, statement.span.end_line > at + 1))
        if changes:
            yield _Site(at, False, changes)


_HEADER = re.compile(r"\s*(if|while|for|try|within|match)\b.*:$")
_KEYWORD = re.compile(
    r"(\s*)(let|var|send|sleep|log|open|step|throw|return|checkpoint|require)\b(.*)"
)


def _changed(line: str, more: bool) -> Iterator[tuple[str, str]]:
    """The line with one mistake in it. `more` says that the statement goes on below it."""
    if "#" in line or '"""' in line:
        return
    if more:
        if _HEADER.match(line):
            yield f"colon lost in `{line.strip()}`", line[:-1]
        return
    word = _KEYWORD.fullmatch(line)
    if word is None:
        return
    margin, keyword, rest = word.groups()
    yield f"misspelt {keyword}", f"{margin}{keyword[:-2]}{keyword[-1]}{keyword[-2]}{rest}"
    if keyword in ("let", "var", "log", "send") and "{" not in line:
        yield "bracket added", f"{line})"
        yield "operator added", f"{line} *"
        cut = re.sub(r"\S+$", "", line).rstrip()
        if all(cut.count(a) == cut.count(b) for a, b in ("()", "[]")):
            yield "end lost", cut
    if rest.endswith(")") and not rest.endswith("()"):
        yield "bracket lost", line[:-1]
