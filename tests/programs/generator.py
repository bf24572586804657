"""A whole program: its text, and what its main flow is started with.

Every program that comes out is meant to be accepted by the checker, to end, and to have an outcome
that does not depend on timing; `scripts` says how the last is ensured.
"""

from __future__ import annotations

import dataclasses
import re

from tests.programs import language, writing
from tests.programs.choices import Choices, Seeded, chance, pick
from tests.programs.kinds import FUNCTIONS, PARTY, PLAIN, SERVICE
from tests.programs.plans import ARGUMENTS, STRANGER, Argument, Book

MODULE = "program"
LIBRARY = "parts.shapes"
"""The module that has the declarations of programs which are in two files."""

PARTIES = {"bob": "bob", "carol": "carol", "nobody": "zed"}
"""The main flow's parties. `bob` and `carol` run every flow, like `alice` who starts; not `zed`."""


_THROWERS = (("Picky", "picky("), ("Taken", "Desk.claim("))
_DECLARED = re.compile(r"^(?:record|message|error|function|service|enum|type) (\w+)", re.M)


@dataclasses.dataclass(frozen=True)
class Program:
    """`arguments` are those of `Main` besides its parties; `library` is what it uses, if any."""

    text: str
    arguments: dict[str, Argument]
    library: str | None = None

    def __repr__(self) -> str:
        library = f"\n# {LIBRARY}\n{self.library}" if self.library is not None else ""
        return f"{self.text}{library}\n# started with {self.arguments!r}"


def generate(choices: Choices) -> Program:
    """One program."""
    book = Book(choices)
    main = book.plan("Main", may_throw=True, size=2 + choices.below(10))
    main.parameters += [("bob", PARTY), ("carol", PARTY), ("nobody", STRANGER)]
    if chance(choices, 20):
        main.headers.append('key "{carol} of {bob.name}"')
    main.owned = chance(choices, 20)
    arguments: dict[str, Argument] = {}
    for _ in range(choices.below(4)):
        kind = pick(choices, [kind for kind in PLAIN if kind in ARGUMENTS])
        name = f"p{len(arguments) + 1}"
        main.parameters.append((name, kind))
        arguments[name] = pick(choices, ARGUMENTS[kind])
    if choices.below(4):
        main.result = pick(choices, book.kinds)
    while book.waiting:
        writing.write(book, book.waiting.pop(0))
    text = "\n".join(plan.text for plan in book.plans)
    declarations = _declarations(book, text)
    names = _DECLARED.findall(declarations)
    if not names or not chance(choices, 15):
        return Program(declarations + text, arguments)
    return Program(f"use {LIBRARY}: {', '.join(names)}\n\n{text}", arguments, declarations)


def _declarations(book: Book, text: str) -> str:
    """Only what the flows mention, so that a program that fails becomes small."""
    called = [entry for path, entry in language.called().items() if _mentions(text, path)]
    functions = [line for line in FUNCTIONS.splitlines() if _mentions(text, line.split()[1])]
    functions += [entry.line for entry in called if entry.is_function]
    head, *known = SERVICE.splitlines()
    operations = [line for line in known if _mentions(text, f"Desk.{line.split()[1]}")]
    operations += [f"    {entry.line}" for entry in called if not entry.is_function]
    tail = "".join(f"{line}\n" for line in functions)
    if operations:
        tail += "\n".join([head, *operations]) + "\n"
    thrown = [shape.name for entry in called for shape in entry.throws]
    thrown += [error for error, caller in _THROWERS if caller in text]
    mentioned = " ".join([tail, text, *thrown])
    written = book.declared | {name: shape.text() for name, shape in book.shapes.items()}
    shown: list[str] = []
    for name, declaration in reversed(written.items()):
        if _mentions(mentioned, name):
            shown.append(declaration)
            mentioned += f" {declaration}"
    return "\n".join([*reversed(shown), tail]) + "\n"


def _mentions(text: str, name: str) -> bool:
    plain = name.partition("(")[0]
    return re.search(rf"\b{re.escape(plain)}\b", text) is not None


def seeded(seed: int) -> Program:
    """The program of a seed."""
    return generate(Seeded(seed))
