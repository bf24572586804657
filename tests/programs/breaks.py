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
    """One for each state that has handlers which others have too, so that everything can still be
    reached: the same program, where it has none."""
    for flow, state in _states(modules):
        others = {h.target for other in flow.states if other is not state for h in other.handlers}
        if state.handlers and all(handler.target in others for handler in state.handlers):
            yield _with(modules, flow, msgspec.structs.replace(state, handlers=()))


def patient(modules: Modules) -> Iterator[Modules]:
    """One for each wait that may be too late: the same program, where it never is."""
    yield from _waiting(modules, until=None)


def hoarding(modules: Modules) -> Iterator[Modules]:
    """One for each wait that drops what comes too late: the same program, where it is kept."""
    yield from _waiting(modules, discard=False)


def _waiting(modules: Modules, **change: object) -> Iterator[Modules]:
    """The same program with one of its waits changed, for each that this changes."""
    for flow, state in _states(modules):
        following = state.next
        if not isinstance(following, machine.Suspend):
            continue
        wait = following.wait
        known = {name: getattr(wait, name) for name in change if hasattr(wait, name)}
        if known and known != change:
            other = msgspec.structs.replace(following, wait=msgspec.structs.replace(wait, **change))
            yield _with(modules, flow, msgspec.structs.replace(state, next=other))


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
