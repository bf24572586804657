"""Planting a defect: the source of a function is changed and its code replaced, for as long as a
`with` lasts. Knows no defect.

The code is replaced inside of the function, so whoever imported it by name has the broken one too.
A defect whose text is gone fails loudly: the product has changed, and the defect must follow.
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import dataclasses
import importlib
import inspect
import textwrap
import types
from collections.abc import Iterator
from typing import Any


class CannotPlant(Exception):
    """The text that a defect changes is not there, or there more than once."""


@dataclasses.dataclass(frozen=True)
class Change:
    """In a function ("package.module:Class.method") each old text becomes a new one."""

    target: str
    edits: tuple[tuple[str, str], ...]

    def function(self) -> types.FunctionType:
        """The function that is changed."""
        module, _, path = self.target.partition(":")
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = inspect.getattr_static(found, name)
        if isinstance(found, property):
            found = found.fget
        found = getattr(found, "__func__", found)
        if not isinstance(found, types.FunctionType):
            raise CannotPlant(f"{self.target} is no function")
        return found

    def code(self) -> types.CodeType:
        """The broken function's code."""
        function = self.function()
        text = textwrap.dedent(inspect.getsource(function))
        for old, new in self.edits:
            if text.count(old) != 1:
                raise CannotPlant(f"{self.target} has {old!r} {text.count(old)} times")
            text = text.replace(old, new)
        tree = ast.parse(text)
        made = tree.body[0]
        assert isinstance(made, ast.FunctionDef)
        made.decorator_list = []
        captured = function.__code__.co_freevars
        if captured:
            # `super()` finds its class in a variable around the function.
            around = ast.parse(f"def around({', '.join(captured)}):\n    return {made.name}")
            outer = around.body[0]
            assert isinstance(outer, ast.FunctionDef)
            outer.body.insert(0, made)
            tree = around
        flags = __future__.annotations.compiler_flag
        space: dict[str, Any] = {}
        exec(
            compile(tree, f"<planted in {self.target}>", "exec", flags), function.__globals__, space
        )
        broken = space["around"](*captured) if captured else space[made.name]
        found: types.CodeType = broken.__code__
        if found.co_freevars != captured:
            raise CannotPlant(f"{self.target} needs {captured}, and its defect {found.co_freevars}")
        return found


@dataclasses.dataclass(frozen=True)
class Defect:
    """A mistake that somebody could make. `room` is where, `text` what it breaks, `sees` which
    invariant should see it; `changes` make it."""

    name: str
    room: str
    text: str
    sees: str
    changes: tuple[Change, ...]

    @property
    def is_compiled(self) -> bool:
        """Whether it shows only in what is compiled anew."""
        return any(change.target.startswith("flowlang.") for change in self.changes)

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        """The product with this defect. Raises CannotPlant if it has changed too much."""
        sound = []
        try:
            for change in self.changes:
                function, broken = change.function(), change.code()
                sound.append((function, function.__code__))
                function.__code__ = broken
            yield
        finally:
            for function, code in reversed(sound):
                function.__code__ = code


def defect(name: str, room: str, text: str, sees: str, *changes: tuple[str, str, str]) -> Defect:
    """A defect, with its changes as (function, old text, new text)."""
    edits: dict[str, tuple[tuple[str, str], ...]] = {}
    for target, old, new in changes:
        edits[target] = (*edits.get(target, ()), (old, new))
    made = tuple([Change(target, found) for target, found in edits.items()])
    return Defect(name, room, text, sees, made)
