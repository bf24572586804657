"""One program, judged: what the reference interpreter says against what nodes do with it.

Compiles in memory; a `change` of the machines lets a test break the compiler on purpose.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import ModuleType

from flowlang import codegen, machine, syntax
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowrt.core.flow import Party as RuntimeParty
from tests.programs import arithmetic, language, reference
from tests.programs.constructs import Count
from tests.programs.generator import LIBRARY, MODULE, PARTIES, Program
from tests.programs.kinds import PAIR_SHAPE, PYTHON_ERRORS
from tests.programs.machine import Nodes, load
from tests.programs.plans import Argument
from tests.programs.seen import Seen, differences
from tests.programs.smaller import smaller
from tests.programs.world import TooLong

Change = Callable[[Sequence[machine.Module]], Sequence[machine.Module]]


class Refused(AssertionError):
    """The compiler refuses a program that is meant to be right."""


class Differs(AssertionError):
    """A program did on nodes what the reference interpreter did not do. `sort` tells in which run,
    and whether by an exception."""

    def __init__(self, sort: str, text: str) -> None:
        super().__init__(f"{sort}: {text}")
        self.sort = sort


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a program does, by the reference interpreter. `sure` unless it depends on when an
    acceptance arrives how much of a failed step was undone. `happened` are counts of what did;
    `now` is when nothing more did."""

    seen: Seen
    sure: bool
    happened: Count
    steps: int
    now: int


# --- compiling --------------------------------------------------------------------------------


def understood(
    program: Program, name: str = MODULE, library: str = LIBRARY
) -> tuple[Sequence[syntax.File], Sequence[machine.Module]]:
    """The program's trees and machines under these names, used modules first. Raises Refused."""
    sources = {name: Source(f"{name}.flow", name, program.text)}
    if program.library is not None:
        path = library.replace(".", "/")
        sources[library] = Source(f"{path}.flow", library, program.library)
    result = compile_modules([name], sources.get, lambda: sources)
    if result.diagnostics:
        text = "\n".join(as_text(found, result.sources) for found in result.diagnostics)
        raise Refused(f"{text}\n{program!r}")
    files = [checked.file for checked in result.checked.values()]
    return files, list(result.modules.values())


def compiled(modules: Sequence[machine.Module]) -> list[ModuleType]:
    """The generated Python, imported."""
    return [load(codegen.generate(module), f"{module.module}_flow") for module in modules]


# --- running ----------------------------------------------------------------------------------


def expected(program: Program, files: Sequence[syntax.File]) -> Expected:
    """Raises TooLong. Both orders of running flows must agree, or the program is at
    fault, not the compiler: its outcome would depend on timing."""
    arguments = {name: _reference_value(value) for name, value in program.arguments.items()}
    arguments |= {name: arithmetic.Party(party) for name, party in PARTIES.items()}
    first, world = reference.run(files, arguments)
    second, other = reference.run(files, arguments, newest_first=True)
    sure = not (world.unsure or other.unsure)
    assert first == second or not sure, (
        f"this program's outcome depends on timing:\n{program!r}\n{differences(first, second)}"
    )
    return Expected(first, sure, world.counts, world.steps, max(world.now, other.now))


def _reference_value(value: Argument) -> arithmetic.Value:
    if isinstance(value, decimal.Decimal):
        return Fraction(value)
    if isinstance(value, datetime.timedelta):
        return arithmetic.Span(value // datetime.timedelta(microseconds=1))
    return value


def arguments_of(program: Program) -> Mapping[str, object]:
    """What nodes start `Main` with."""
    parties = {name: RuntimeParty(party) for name, party in PARTIES.items()}
    return {**program.arguments, **parties}


# --- judging ----------------------------------------------------------------------------------


def judge(program: Program, change: Change | None = None) -> Expected | None:
    """Compile and run the program: undisturbed, and with a crash before and after every commit.

    Returns what was expected, or None if the program takes too long to be tried.

    Raises:
        Refused: the compiler has something against it.
        Differs: a run on nodes showed something else than the reference interpreter.
    """
    files, modules = understood(program)
    try:
        wanted = expected(program, files)
    except TooLong:
        return None
    if not wanted.sure:
        return wanted
    generated = compiled(modules if change is None else change(modules))
    # One event in each commit, and as many as there are: which, the program's length decides.
    small = 1 + 511 * (len(program.text) % 2)
    for name, crashes, batch in (("undisturbed", False, 512), ("crashing", True, small)):
        try:
            actual = Nodes(generated, text=program.text, crashes=crashes, batch=batch).run(
                arguments_of(program)
            )
        except Exception as error:
            sort = f"{name} run fails with {type(error).__name__}"
            raise Differs(sort, f"{error}\n{program!r}") from error
        different = differences(wanted.seen, actual)
        if different:
            raise Differs(
                f"{name} run differs",
                f"in batches of {batch}\n{different}\n"
                f"--- expected in full\n{wanted.seen}\n--- got in full\n{actual}\n"
                f"--- the program\n{program!r}",
            )
    return wanted


def needed_by_python() -> list[str]:
    """The declarations whose classes the Python of the nodes makes."""
    thrown = [shape for called in language.called().values() for shape in called.throws]
    return [shape.text() for shape in (PAIR_SHAPE, *PYTHON_ERRORS, *thrown)]


def smallest(program: Program, found: Differs, change: Change | None = None) -> Differs:
    """The same failure of a smaller program, as far as a minute's search finds one."""
    best = found
    kept = [text for text in needed_by_python() if text in program.text]

    def fails(text: str) -> bool:
        nonlocal best
        if not all(declaration in text for declaration in kept):
            return False  # The nodes' Python would fail for want of it: another failure.
        try:
            judge(dataclasses.replace(program, text=text), change)
        except Differs as error:
            if error.sort == found.sort:
                best = error
                return True
        except Exception:
            # Cut so that it is no program any more, or one whose outcome depends on timing.
            return False
        return False

    smaller(program.text, fails)
    return best
