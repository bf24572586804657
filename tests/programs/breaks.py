"""Ways to break a compiled program on purpose, so that a test can show that it would be noticed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from flowlang import machine

Modules = Sequence[machine.Module]


def forgetful(modules: Modules) -> Iterator[Modules]:
    """One for each variable that a waiting state keeps: the same program without that."""
    for flow, state in _states(modules):
        if state.awaits is None:
            continue
        for at in range(len(state.keeps)):
            keeps = state.keeps[:at] + state.keeps[at + 1 :]
            yield _with(modules, flow, msgspec.structs.replace(state, keeps=keeps))


def careless(modules: Modules) -> Iterator[Modules]:
    """One for each state that has handlers: the same program, where it has none."""
    for flow, state in _states(modules):
        if state.handlers:
            yield _with(modules, flow, msgspec.structs.replace(state, handlers=()))


def _states(modules: Modules) -> Iterator[tuple[machine.Machine, machine.State]]:
    for module in modules:
        for flow in module.machines:
            for state in flow.states:
                yield flow, state


def _with(modules: Modules, flow: machine.Machine, changed: machine.State) -> Modules:
    states = tuple([changed if s.name == changed.name else s for s in flow.states])
    other = msgspec.structs.replace(flow, states=states)
    return [
        msgspec.structs.replace(
            module, machines=tuple([other if m is flow else m for m in module.machines])
        )
        for module in modules
    ]
