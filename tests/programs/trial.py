"""One program, judged: what the reference interpreter says against what nodes do with it.

Compiles in memory; a `change` of the machines lets a test break the compiler on purpose.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import ModuleType

from flowlang import codegen, machine, syntax
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowrt.core.flow import Party as RuntimeParty
from tests.programs import arithmetic, reference
from tests.programs.constructs import Count
from tests.programs.constructs import count as contents
from tests.programs.generator import MODULE, PARTIES, Program
from tests.programs.machine import Nodes, load
from tests.programs.plans import Argument
from tests.programs.seen import Seen, differences

Change = Callable[[machine.Module], machine.Module]


class Refused(AssertionError):
    """The compiler refuses a program that is meant to be right."""


class Differs(AssertionError):
    """A program did on nodes what the reference interpreter did not do."""


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a program does, by the reference interpreter. `sure` unless it depends on when an
    acceptance arrives how much of a failed step was undone."""

    seen: Seen
    sure: bool
    counts: Count
    steps: int


# --- compiling --------------------------------------------------------------------------------


def understood(program: Program) -> tuple[syntax.File, machine.Module]:
    """The program's tree and its machines. Raises Refused."""
    source = Source(f"{MODULE}.flow", MODULE, program.text)
    result = compile_modules([MODULE], {MODULE: source}.get, lambda: [MODULE])
    if result.diagnostics:
        text = "\n".join(as_text(found, result.sources) for found in result.diagnostics)
        raise Refused(f"{text}\n{program!r}")
    return result.checked[MODULE].file, result.modules[MODULE]


def compiled(module: machine.Module, change: Change | None = None) -> ModuleType:
    """The generated Python, imported."""
    changed = module if change is None else change(module)
    return load(codegen.generate(changed), f"{MODULE}_flow")


# --- running ----------------------------------------------------------------------------------


def expected(program: Program, file: syntax.File) -> Expected:
    """Raises reference.TooLong. Both orders of running flows must agree, or the program is at
    fault, not the compiler: its outcome would depend on timing."""
    arguments = {name: _reference_value(value) for name, value in program.arguments.items()}
    arguments |= {name: arithmetic.Party(party) for name, party in PARTIES.items()}
    first, world = reference.run(file, arguments)
    second, other = reference.run(file, arguments, newest_first=True)
    sure = not (world.unsure or other.unsure)
    assert first == second or not sure, (
        f"this program's outcome depends on timing:\n{program!r}\n{differences(first, second)}"
    )
    return Expected(first, sure, contents(file) + world.counts, world.steps)


def _reference_value(value: Argument) -> arithmetic.Value:
    if isinstance(value, decimal.Decimal):
        return Fraction(value)
    if isinstance(value, datetime.timedelta):
        return arithmetic.Span(value // datetime.timedelta(microseconds=1))
    return value


def arguments_of(program: Program) -> Mapping[str, object]:
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
    file, module = understood(program)
    try:
        wanted = expected(program, file)
    except reference.TooLong:
        return None
    if not wanted.sure:
        return wanted
    generated = compiled(module, change)
    # One event in each commit, and as many as there are: which, the program's length decides.
    small = 1 + 511 * (len(program.text) % 2)
    for name, crashes, batch in (("undisturbed", False, 512), ("crashing", True, small)):
        try:
            actual = Nodes(generated, crashes=crashes, batch=batch).run(arguments_of(program))
        except Exception as error:
            raise Differs(f"{name}: {type(error).__name__}: {error}\n{program!r}") from error
        different = differences(wanted.seen, actual)
        if different:
            raise Differs(
                f"a run that was {name} differs (batches of {batch}):\n{different}\n"
                f"--- expected in full\n{wanted.seen}\n--- got in full\n{actual}\n"
                f"--- the program\n{program!r}"
            )
    return wanted
