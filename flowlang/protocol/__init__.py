"""Whether the two sides of a conversation fit: machines in, findings out. Prints nothing.

`check.py` is where to start: `code` flattens a machine, `following` walks one session through it,
which gives an `automaton`; `pairs` looks at what two automata can do together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowlang import machine, walk
from flowlang.conversation import Example
from flowlang.diagnostics import Diagnostic
from flowlang.protocol import check, circles, holding, roles, spent
from flowlang.protocol.covering import covering
from flowlang.protocol.retelling import Retelling
from flowlang.protocol.telling import Teller
from flowlang.source import Source


def findings(
    module: machine.Module, modules: Iterable[machine.Module], sources: Mapping[str, Source]
) -> list[Diagnostic]:
    """What is wrong with the sessions that the flows of a module open, and with the roles that they
    play. `modules` are that one and all that it uses, `sources` their texts, by the name that
    diagnostics give."""
    if not _talks(module):
        return []
    known = list(modules)
    program = check.program_of(known)
    flows = [flow.name for flow in module.machines]
    sessions = check.sessions_of(program, flows)
    made = check.conversations(program, sessions)
    teller = Teller(program, {source.module: source for source in sources.values()})
    found = [
        teller.misfit(checked, misfit)
        for checked in made.sessions
        if checked.verdict is not None
        for misfit in checked.verdict.misfits
    ]
    found += [
        teller.dead(arm, sender)
        for arm, sender in sorted(made.senders.items())
        if arm.flow in flows
    ]
    wrong = {
        name
        for one in made.sessions
        if one.verdict is not None and one.verdict.misfits
        for name in (one.session.flow, one.session.responder)
    }
    for flow in flows:
        if flow not in wrong:
            found += [teller.spent(one) for one in spent.spent(program, flow)]
    protocols = [one for used in known for one in used.protocols]
    for played in roles.played_by(program, flows):
        held = roles.held(program, protocols, played)
        if held is not None:
            found += holding.findings(teller, held)
    found += [teller.circle(*circle) for circle in circles.endless(program, sessions)]
    return found


def examples(
    module: machine.Module, modules: Iterable[machine.Module], sources: Mapping[str, Source]
) -> list[Example]:
    """Conversations of the flows of a module with those that respond to them: few, with every
    message that either side can send. For sessions in which nothing is wrong."""
    if not _opens(module):
        return []
    program = check.program_of(modules)
    flows = [flow.name for flow in module.machines]
    sessions = check.sessions_of(program, flows, by_role=True)
    teller = Teller(program, {source.module: source for source in sources.values()})
    found: dict[Example, None] = {}
    for one in check.conversations(program, sessions).sessions:
        if one.verdict is None or one.verdict.misfits or one.left is None or one.right is None:
            continue
        names = (one.left.flow.rpartition(".")[2], one.right.flow.rpartition(".")[2])
        retelling = Retelling(names, teller.file)
        spots = one.left.opened, one.right.opened
        for way in covering(one.left, one.right).conversations:
            steps = tuple(retelling.steps(way, spots))
            found.setdefault(Example(one.left.flow, one.right.flow, steps))
    return list(found)


def _talks(module: machine.Module) -> bool:
    return any(flow.plays for flow in module.machines) or _opens(module)


def _opens(module: machine.Module) -> bool:
    return any(
        isinstance(action, machine.Open)
        for flow in module.machines
        for state in flow.states
        for action in walk.each(state.actions)
    )
