"""The pairs by number, and what the protocol check says of them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence

from flowlang.compiler import compile_modules
from flowlang.machine import Module
from flowlang.protocol import check
from flowlang.protocol.check import Checked, Session
from flowlang.protocol.pairs import Misfit
from flowlang.source import Source
from tests.protocol.conversation import Maker
from tests.protocol.mutations import spoil
from tests.protocol.tree import Pair
from tests.protocol.writing import SHARED, WORDS, write

SAFETY = ("P201", "P202", "P203", "P204", "P205", "P210")


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A pair; `fits` if it was not spoiled. `modules` are what all pairs use and the pair; None
    where the compiler refuses it."""

    seed: int
    pair: Pair
    text: str
    fits: bool
    modules: Sequence[Module] | None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]

    @functools.cached_property
    def checked(self) -> Sequence[Checked]:
        """What the check says of each session."""
        assert self.modules is not None
        return checked(self.modules)


def drawn(seeds: Iterable[int]) -> list[Drawn]:
    """The pairs of these numbers; two of three are spoiled."""
    made = {seed: _made(seed) for seed in seeds}
    texts = {seed: write(pair) for seed, pair in made.items()}
    sources = {SHARED: Source(f"{SHARED}.flow", SHARED, WORDS)}
    for seed, text in texts.items():
        sources[f"pair{seed}"] = Source(f"pair{seed}.flow", f"pair{seed}", text)
    modules = compile_modules(list(sources), sources.get, lambda: sources).modules
    shared = modules[SHARED]
    found = []
    for seed, text in texts.items():
        module = modules.get(f"pair{seed}")
        both = None if module is None else (shared, module)
        found.append(Drawn(seed, made[seed], text, not seed % 3, both))
    return found


def _made(seed: int) -> Pair:
    maker = Maker(seed)
    pair = maker.pair()
    if seed % 3:
        spoil(pair, maker)
    return pair


def compiled(text: str) -> Sequence[Module]:
    """A text of a pair, as modules."""
    sources = {
        SHARED: Source(f"{SHARED}.flow", SHARED, WORDS),
        "pair": Source("pair.flow", "pair", text),
    }
    made = compile_modules(list(sources), sources.get, lambda: sources)
    assert not made.diagnostics, made.diagnostics[0]
    return list(made.modules.values())


def checked(modules: Sequence[Module]) -> Sequence[Checked]:
    """Every session of the last module, in the order of the flows that respond."""
    program = check.program_of(modules)
    sessions = check.sessions_of(program, [flow.name for flow in modules[-1].machines])
    found = check.conversations(program, sessions).sessions
    return sorted(found, key=lambda one: one.session.responder)


def codes(one: Checked) -> set[str]:
    """What is wrong with a session."""
    assert one.verdict is not None
    return {misfit.code for misfit in one.verdict.misfits}


def is_safe(one: Checked) -> bool:
    return not codes(one) & set(SAFETY)


def faults(one: Drawn) -> list[tuple[Session, Misfit]]:
    """What is wrong with a pair's sessions and must not happen, whatever else does."""
    return [
        (session.session, misfit)
        for session in one.checked
        if session.verdict is not None
        for misfit in session.verdict.misfits
        if misfit.code in SAFETY
    ]
