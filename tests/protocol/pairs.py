"""The pairs by number, and what the protocol check says of them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

from flowlang.compiler import compile_modules
from flowlang.machine import Module
from flowlang.protocol import check
from flowlang.protocol.check import Checked
from flowlang.source import Source
from tests.protocol.conversation import Maker
from tests.protocol.mutations import spoil
from tests.protocol.tree import Pair
from tests.protocol.writing import write

NAME = "pair"
SAFETY = ("P201", "P202", "P203", "P204", "P205", "P210")


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A pair; `fits` if it was not spoiled. `modules` is empty where the compiler refuses it."""

    seed: int
    pair: Pair
    text: str
    fits: bool
    module: Module | None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]

    @functools.cached_property
    def checked(self) -> Sequence[Checked]:
        """What the check says of each session."""
        assert self.module is not None
        return checked(self.module)


def drawn(seed: int) -> Drawn:
    """The pair of that number; two of three are spoiled."""
    maker = Maker(seed)
    pair = maker.pair()
    fits = seed % 3 == 0
    if not fits:
        spoil(pair, maker)
    text = write(pair)
    return Drawn(seed, pair, text, fits, compiled(text))


def compiled(text: str) -> Module | None:
    sources = {NAME: Source(f"{NAME}.flow", NAME, text)}
    made = compile_modules([NAME], sources.get, lambda: sources)
    return made.modules.get(NAME)


def checked(module: Module) -> Sequence[Checked]:
    program = check.program_of([module])
    sessions = check.sessions_of(program, [flow.name for flow in module.machines])
    found = check.conversations(program, sessions).sessions
    return sorted(found, key=lambda one: one.session.responder)



def codes(one: Checked) -> set[str]:
    """What is wrong with a session."""
    assert one.verdict is not None
    return {misfit.code for misfit in one.verdict.misfits}


def is_safe(one: Checked) -> bool:
    return not codes(one) & set(SAFETY)
