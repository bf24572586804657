"""A flow against a protocol: the role that it says it plays, compared with what it does.

The other side is whoever keeps to the protocol. One automaton stands for all of them: it may send
whatever the protocol lets it send, and takes no more than the protocol lets come.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from flowlang import machine
from flowlang.machine import Place
from flowlang.protocol.automaton import NOTHING, Automaton, Edge, Final, Kind, Node, Spot, Step
from flowlang.protocol.following import TooMany, automaton
from flowlang.protocol.frames import Program
from flowlang.protocol.pairs import Verdict, in_turns


@dataclasses.dataclass(frozen=True)
class Played:
    """A flow on one of its sessions, and the role of a protocol that it plays there. `said` is
    where it says so."""

    flow: str
    opened: int | None
    given: str | None
    role: str
    said: Spot


@dataclasses.dataclass(frozen=True)
class Held:
    """What became of the comparison: the flow, whoever keeps to the protocol, and how they fit."""

    played: Played
    flow: Automaton
    other: Automaton
    verdict: Verdict


def played_by(program: Program, flows: Iterable[str]) -> Iterator[Played]:
    """The roles that these flows say they play."""
    for flow in flows:
        code = program.codes[flow]
        module = code.module.module
        for one in code.flow.plays:
            spot = Spot(module, flow, one.place, one.place)
            yield Played(flow, None, one.session, one.role, spot)
        for number, instruction in enumerate(code.instructions):
            does = instruction.does
            if isinstance(does, machine.Open) and does.plays is not None:
                spot = Spot(module, flow, does.place, does.place)
                yield Played(flow, number, None, does.plays, spot)


def held(program: Program, protocols: Iterable[machine.Protocol], played: Played) -> Held | None:
    """A flow compared with its role; None if it is too large to be followed."""
    name, _, role = played.role.rpartition(".")
    protocol = next(one for one in protocols if one.name == name)
    other = keeping(protocol, other_of(protocol, role))
    where = program, played.flow, played.opened
    # What a group is counted by is understood as long as nobody in it is counted twice.
    for counting in (True, False):
        try:
            made = automaton(*where, {}, frozenset(), given=played.given, counting=counting)
        except TooMany:
            return None
        verdict = in_turns(made, other)
        if not verdict.miscounts:
            break
    return Held(played, made, other, verdict)


def other_of(protocol: machine.Protocol, role: str) -> str:
    """The role that one talks to."""
    return next(one for one in protocol.roles if one != role)


def keeping(protocol: machine.Protocol, role: str) -> Automaton:
    """Whoever keeps to a protocol in a role."""
    flow = f"{protocol.name}.{role}"
    nodes: list[Node] = []
    over: list[tuple[Node, Spot]] = []
    for turn in protocol.turns:
        place = Place(turn.line, turn.text)
        spot = Spot(turn.module, flow, place, place)
        sends = turn.sender == role
        node = Node([], spot)
        if not turn.sender:
            node.final = Final.ENDED
        node.is_sending, node.is_receiving = sends, bool(turn.sender) and not sends
        for said in turn.said:
            there = Place(said.line, said.text)
            at = Spot(said.module, flow, there, there)
            kind = Kind.SEND if sends else Kind.RECEIVE
            node.edges.append(Edge(kind, said.message, NOTHING, said.target, at, ()))
        if turn.over and turn.sender:
            over.append((node, spot))
        nodes.append(node)
    for node, spot in over:
        kind = Kind.SILENT if node.is_sending else Kind.ENDED
        steps = (Step("ends here", spot),) if node.is_sending else ()
        node.edges.append(Edge(kind, "", NOTHING, len(nodes), spot, steps))
        nodes.append(Node([], spot, Final.ENDED))
    place = Place(protocol.turns[0].line, protocol.turns[0].text)
    module = protocol.turns[0].module
    return Automaton(flow, role, Spot(module, flow, place, place), nodes)
