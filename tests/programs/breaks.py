"""Ways to break a compiled program on purpose, so that a test can show that it would be noticed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from flowlang import machine


def forgetful(module: machine.Module) -> Iterator[machine.Module]:
    """One for each variable that a waiting state keeps: the same program without that."""
    for flow, state in _states(module):
        if state.awaits is None:
            continue
        for at in range(len(state.keeps)):
            keeps = state.keeps[:at] + state.keeps[at + 1 :]
            yield _with(module, flow, msgspec.structs.replace(state, keeps=keeps))


def careless(module: machine.Module) -> Iterator[machine.Module]:
    """One for each state that has handlers: the same program, where it has none."""
    for flow, state in _states(module):
        if state.handlers:
            yield _with(module, flow, msgspec.structs.replace(state, handlers=()))


def _states(module: machine.Module) -> Iterator[tuple[machine.Machine, machine.State]]:
    for flow in module.machines:
        for state in flow.states:
            yield flow, state


def _with(module: machine.Module, flow: machine.Machine, changed: machine.State) -> machine.Module:
    states = tuple([changed if s.name == changed.name else s for s in flow.states])
    other = msgspec.structs.replace(flow, states=states)
    machines = tuple([other if m is flow else m for m in module.machines])
    return msgspec.structs.replace(module, machines=machines)
