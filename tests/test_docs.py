"""What the pages show is true: their programs compile, and their commands exist."""

from __future__ import annotations

import json
import os
import re
import runpy
import textwrap
from pathlib import Path

import click
import pytest

from flowlang import standard
from flowlang.cli import commands
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "examples").glob("*/README.md")),
]
FENCE = re.compile(r"^```flow ?(\w*)\n(.*?)^```$", re.M | re.S)
FENCES = [
    pytest.param(page, mark, text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, (mark, text) in enumerate(FENCE.findall(page.read_text()), 1)
]
MONEY = "record Amount:\n    units: Int\n    currency: Text\n"
"""The file `money.flow`, which examples may use."""


def library(name: str) -> Source | None:
    """A module of the library that comes with flowlang, which every program may use."""
    path = standard.text_of(name)
    if path is None or not path.is_file():
        return None
    return Source(path.name, name, path.read_text())


def complaints(text: str) -> str:
    """What the compiler says about a file; nothing if it is right."""
    sources = {"page": Source("page", "page", text), "money": Source("money", "money", MONEY)}
    made = compile_modules(
        ["page"], lambda name: sources.get(name) or library(name), lambda: sources
    )
    return "\n".join(as_text(found, made.sources) for found in made.diagnostics)


def whole(page: Path, mark: str, text: str) -> str:
    """The program that an example is part of. Unmarked, it is one. `statements` stand in a flow,
    and `declarations` in the file, of the page's first program."""
    first = FENCE.findall(page.read_text())[0][1]
    if mark == "declarations":
        return f"{first}\n{text}"
    if mark == "statements":
        head = "flow Example(order: Order, item: Item, count: Int):\n"
        return f"{first}\n{head}{textwrap.indent(text, '    ')}"
    assert not mark
    return text


@pytest.mark.parametrize(("page", "mark", "text"), FENCES)
def test_programs_in_pages_compile(page: Path, mark: str, text: str) -> None:
    if page.name == "README.md" and page.parent == ROOT:
        # It shows one flow of the project that `flowc new` makes.
        project = (ROOT / "flowlang/templates/new/greeting.flow").read_text()
        before, _, rest = project.partition("flow Greet")
        text = f"{before}{text}\nflow Answer{rest.partition('flow Answer')[2]}"
    assert complaints(whole(page, mark, text)) == ""


def test_every_program_is_marked_as_one() -> None:
    """A fence that looks like a program and is not called `flow` would escape the compiler."""
    for page in PAGES:
        for kind, text in re.findall(r"^```(.*)\n((?:.*\n)*?)```$", page.read_text(), re.M):
            if not kind.startswith("flow"):
                assert not re.search(r"^(flow|message|record|service) \w+.*:$", text, re.M)


def test_the_commands_page_has_every_command_and_option() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert set(re.findall(r"^\| `flowc (\w+)", page, re.M)) == set(commands.commands)
    for name, command in commands.commands.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `flowc {name}"))
        parts = command.commands.values() if isinstance(command, click.Group) else [command]
        options = {
            option
            for part in parts
            for parameter in part.params
            if isinstance(parameter, click.Option)
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        for option in set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row)):
            assert option in options, f"flowc {name} has no {option}"


def test_every_flowc_command_in_the_pages_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"(?:^|`|&& |\$ )flowc ([a-z]+)", page.read_text(), re.M):
            assert name in commands.commands, f"{page.name}: flowc {name}"


def test_pages_show_what_was_recorded() -> None:
    """The recorded terminal session, and the same as text; UPDATE_EXPECT=1 writes it anew."""
    recordings = ROOT / "docs" / "recordings"
    screen = runpy.run_path(str(recordings / "record.py"))["screen"]
    cast = recordings / "demo-processes.cast"
    header, *events = map(json.loads, cast.read_text("utf-8").splitlines())
    assert header["version"] == 2
    assert all(kind == "o" for _, kind, _ in events)
    times = [at for at, _, _ in events]
    assert times == sorted(times)
    shown = screen(cast)
    _shows(ROOT / "docs" / "nodes.md", "```text\n$ flowc demo --processes", shown)
    lines = shown.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("SETTLED"))
    some = [*lines[at : at + 4], "…"]
    some += [line for line in lines if line.startswith(("60 trades settled", "killed with"))]
    told = ("trade settled once", "used up twice", "are conserved", "cash is conserved")
    some += ["…", *(line for line in lines if line.endswith(told) or told[1] in line), "…"]
    command = "$ .venv/bin/flowc demo --processes\n…\n"
    _shows(ROOT / "README.md", "```console\n" + command, command + "\n".join(some) + "\n")


def _shows(page: Path, begins: str, due: str) -> None:
    """A page's fence that begins so has exactly that in it."""
    text = page.read_text("utf-8")
    start = text.index(begins) + begins.index("\n") + 1
    end = text.index("```", start)
    if "UPDATE_EXPECT" in os.environ:
        page.write_text(text[:start] + due + text[end:], "utf-8")
    else:
        assert text[start:end] == due


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", page.read_text()):
            if target and "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_language_page_names_every_word_and_limit() -> None:
    """The reference keeps up with the compiler."""
    from flowlang.checker import methods, predefined
    from flowlang.compiler import MAX_MODULES
    from flowlang.parser import mistakes

    page = (ROOT / "docs" / "language.md").read_text()
    grammar = (ROOT / "grammar" / "flow.lark").read_text()
    words = {
        word.lower()
        for row in re.findall(r"^%declare (.*)$", grammar, re.M)
        for word in row.split()
    }
    for name in (
        *(words - {"indent", "dedent", "broken", "wildcard"}),
        *methods.ALL,
        *predefined.FUNCTIONS,
        *predefined.TYPES,
        *predefined.VALUES,
        *predefined.ERRORS,
        predefined.ANY_ERROR.name,
        *predefined.ABOUT,
        *predefined.ROUNDINGS,
    ):
        assert re.search(rf"`[^`\n]*\b{name}\b", page), name
    for limit in (
        mistakes.FILE_TOKENS,
        mistakes.DECLARATIONS,
        mistakes.NAME_LENGTH,
        mistakes.BLOCK_DEPTH,
        mistakes.EXPRESSION_DEPTH,
        MAX_MODULES,
    ):
        assert f"{limit:,}" in page, limit
