"""Programs that use the library, compiled for tests. Knows no scenario."""

from __future__ import annotations

import functools
import itertools
import sys
from types import ModuleType

from flowlang import standard
from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source

_numbers = itertools.count(1)


@functools.cache
def program(text: str, name: str = "play") -> ModuleType:
    """The module that a program becomes, which may `use` the library."""

    def find(wanted: str) -> Source | None:
        if wanted == name:
            return Source(f"{name}.flow", name, text)
        path = standard.text_of(wanted)
        if path is None or not path.is_file():
            return None
        return Source(str(path.relative_to(standard.TEXTS)), wanted, path.read_text())

    made = compile_modules([name], find)
    wrong = [found for found in made.diagnostics if found.severity == "error"]
    assert not wrong, "\n".join(as_text(found, made.sources) for found in wrong)
    module = ModuleType(f"starters_{next(_numbers)}_flow")
    sys.modules[module.__name__] = module
    code = generate(made.modules[name])
    exec(compile(code, f"{module.__name__}.py", "exec"), module.__dict__)
    return module
