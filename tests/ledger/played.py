"""Programs that use the library of flows, compiled for tests. Knows no test."""

from __future__ import annotations

import functools
import itertools
import sys
from types import ModuleType

from flowlang import standard
from flowlang.codegen import generate
from flowlang.compiler import Compilation, compile_modules, misfits, remarks
from flowlang.diagnostics import as_text
from flowlang.source import Source

_numbers = itertools.count(1)


def library(module: str) -> Source | None:
    """The text of a module of the library."""
    path = standard.text_of(module)
    if path is None or not path.is_file():
        return None
    return Source(str(path.relative_to(standard.TEXTS)), module, path.read_text())


@functools.cache
def compiled(text: str, name: str = "play") -> Compilation:
    """A program and what it uses. That it has no mistakes is asserted."""
    own = Source(f"{name}.flow", name, text)
    made = compile_modules([name], lambda module: own if module == name else library(module))
    wrong = [one for one in made.diagnostics if one.severity == "error"]
    assert not wrong, "\n".join(as_text(one, made.sources) for one in wrong)
    return made


def complaints(text: str) -> list[str]:
    """What else the compiler has to say of a program and what it uses: whether its flows fit each
    other, above all. Notes apart."""
    made = compiled(text)
    found = [*made.diagnostics, *misfits(made), *remarks(made)]
    return [one.message for one in found if one.severity != "note"]


@functools.cache
def program(text: str, name: str = "play") -> ModuleType:
    """The Python module that a program becomes; its flows are called `name`.…"""
    module = ModuleType(f"played_{next(_numbers)}_flow")
    sys.modules[module.__name__] = module
    code = generate(compiled(text, name).modules[name])
    exec(compile(code, f"{module.__name__}.py", "exec"), module.__dict__)
    return module
