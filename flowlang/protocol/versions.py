"""Versions of flows and of protocols: whether a new one may stand where an old one stood.

A flow's peers are not known. But whoever fits the old version does what that version takes, and
takes what it does: one automaton stands for all of them, and the new version must fit it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from flowlang import machine
from flowlang.protocol.automaton import NOTHING, Automaton, Edge, Final, Kind, Node, Spot, Step
from flowlang.protocol.pairs import ENDINGS, OUT_OF_TURN, Misfit, in_turns
from flowlang.types import ListType, MapType, Named, OptionalType, Type, shown

MOST_NODES = 20_000


class NotCompared(Exception):
    """There is nothing that all peers of a version do; says why."""


# --- whoever fits a flow --------------------------------------------------------------------------

Places: TypeAlias = frozenset[int]


def peers_of(made: Automaton, name: str) -> Automaton:
    """Whoever fits this flow; `name` is what they are called. Raises NotCompared."""
    made = _counted_once(made)
    start = _settled(made, [0])
    numbers = {start: 0}
    order = [start]
    nodes: list[Node] = []
    ends: list[Node] = []

    def number(places: Places) -> int:
        if places not in numbers:
            numbers[places] = len(order)
            order.append(places)
        return numbers[places]

    for places in order:
        known = [made.nodes[one] for one in sorted(places)]
        sends, waits = [node for node in known if node.is_sending], _waiting(known)
        if sends and waits:
            raise NotCompared(
                f"line {waits[0].spot.place.line}: `{_short(made.flow)}` may wait or send here, and"
                " its peers cannot know which; then nothing is sure about them"
            )
        over = any(node.final in ENDINGS for node in known)
        spot = (sends or waits or known)[0].spot
        node = Node([], spot, is_sending=bool(waits), is_receiving=bool(sends))
        nodes.append(node)
        if sends:
            ways = _ways(sends, Kind.SEND)
            if over:
                ends.append(node)
            node.edges = [
                Edge(Kind.RECEIVE, message, NOTHING, number(_settled(made, targets)), at, ())
                for message, (targets, at) in ways.items()
            ]
        elif waits:
            taken = _ways(waits, Kind.RECEIVE)
            everywhere = [
                message
                for message in taken
                if all(any(edge.message == message for edge in _takes(one)) for one in waits)
            ]
            node.edges = [
                Edge(
                    Kind.SEND,
                    message,
                    NOTHING,
                    number(_settled(made, taken[message][0])),
                    taken[message][1],
                    (),
                )
                for message in everywhere
            ]
            if all(any(one.of(Kind.ENDED)) for one in waits):
                ends.append(node)
        else:
            node.final = Final.ENDED
        if len(order) > MOST_NODES:
            raise NotCompared(f"`{_short(made.flow)}` is too large to be compared")
    for node in ends:
        # Where it sends or ends, they take the end; where it takes the end, they may end.
        told = (Step("ends here", node.spot),) if node.is_sending else ()
        kind = Kind.SILENT if node.is_sending else Kind.ENDED
        node.edges.append(Edge(kind, "", NOTHING, len(nodes), node.spot, told))
        nodes.append(Node([], node.spot, Final.ENDED))
    return Automaton(name, made.session, made.opened, nodes)


def _waiting(nodes: Iterable[Node]) -> list[Node]:
    return [node for node in nodes if node.is_receiving]


def _takes(node: Node) -> Iterator[Edge]:
    return node.of(Kind.RECEIVE)


def _ways(nodes: Iterable[Node], kind: Kind) -> dict[str, tuple[list[int], Spot]]:
    found: dict[str, tuple[list[int], Spot]] = {}
    for node in nodes:
        for edge in node.of(kind):
            found.setdefault(edge.message, ([], edge.spot))[0].append(edge.target)
    return found


def _counted_once(made: Automaton) -> Automaton:
    """The same, without what only they could say who are counted already. Nobody who fits says it,
    so that is no wait for them, but one for others of the group."""
    doomed = {number for number, node in enumerate(made.nodes) if node.final is Final.MISCOUNTED}
    if not doomed:
        return made
    before = 0
    while len(doomed) > before:
        before = len(doomed)
        doomed |= {
            number
            for number, node in enumerate(made.nodes)
            if node.edges and all(edge.target in doomed for edge in node.edges)
        }
    nodes = []
    for node in made.nodes:
        edges = [
            edge
            for edge in node.edges
            if edge.kind is not Kind.RECEIVE or edge.target not in doomed
        ]
        if len(edges) < len(node.edges):
            waits = any(edge.kind in (Kind.RECEIVE, Kind.ENDED) for edge in edges)
            node = dataclasses.replace(node, edges=edges, is_receiving=waits)
        nodes.append(node)
    return dataclasses.replace(made, nodes=nodes)


def _settled(made: Automaton, starts: Iterable[int]) -> Places:
    """Where the flow may come to without a message; what it only passes through is left out."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        for edge in made.nodes[waiting.pop()].of(Kind.SILENT):
            if edge.target not in found:
                found.add(edge.target)
                waiting.append(edge.target)
    rests = {
        one
        for one in found
        if (node := made.nodes[one]).is_receiving or node.is_sending or node.final in ENDINGS
    }
    return frozenset(rests or found)


# --- what breaks ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Break:
    """Peers that a new version breaks: which they are, where it shows in the new version (None
    where it is a message's declaration)."""

    peers: str
    spot: Spot | None


def miscounts(new: Automaton, old: Automaton) -> bool:
    """Whether the new version may count one of a group twice among these peers."""
    return 0 in in_turns(new, old).miscounts


def breaks(new: Automaton, old: Automaton, peers: str) -> list[Break]:
    """Who breaks where `new` stands for a flow whose peers are like `old`; `peers` is what they
    are called: "initiators"."""
    found: dict[str, Break] = {}
    for misfit in in_turns(new, old).misfits:
        text = _who(new, old, misfit)
        found.setdefault(text, Break(f"{peers} that {text}", new.nodes[misfit.at[0]].spot))
    return list(found.values())


def _who(new: Automaton, old: Automaton, misfit: Misfit) -> str:
    """The peers that go wrong, by what they do."""
    sent = "" if misfit.edge is None else _short(misfit.edge.message)
    there = old.nodes[misfit.at[1]]
    taken = list(dict.fromkeys(_short(edge.message) for edge in there.of(Kind.RECEIVE)))
    offered = list(dict.fromkeys(_short(edge.message) for edge in there.of(Kind.SEND)))
    of_new = misfit.side == 1
    if misfit.edge is not None and misfit.code != OUT_OF_TURN:
        if not of_new:
            return f"still send `{sent}`"
        if there.final is not Final.NOT:
            return f"have ended where the new version sends `{sent}`"
        return f"take only {_or(taken)} where the new version sends `{sent}`"
    if misfit.code == OUT_OF_TURN:
        return f"send {_or(offered)} where the new version sends `{sent}` at the same time"
    if misfit.code == "P203":
        if of_new:
            return f"wait for {_or(taken)} where the new version ends"
        return "end where the new version still waits"
    if taken:
        return f"wait for {_or(taken)} where the new version waits, too"
    return f"send {_or(offered)} where the new version does not read"


# --- messages -------------------------------------------------------------------------------------

Shapes: TypeAlias = Mapping[str, tuple[tuple[str, str, bool], ...]]
"""Of each message its fields: name, type with all that is in it, whether it may be left out."""


def shapes_of(modules: Iterable[machine.Module]) -> Shapes:
    """The messages of these modules."""
    known = list(modules)
    records = {one.name: one.fields for module in known for one in module.records}
    cases = {
        enum.name: [(case.name.rpartition(".")[2], case.fields) for case in enum.cases]
        for module in known
        for enum in module.enums
    }

    def said(kind: Type, under_way: tuple[str, ...]) -> str:
        match kind:
            case OptionalType(item=item):
                return f"{said(item, under_way)}?"
            case ListType(item=item):
                return f"[{said(item, under_way)}]"
            case MapType(key=key, value=value):
                return f"[{said(key, under_way)}: {said(value, under_way)}]"
            case Named(name=name) if name in under_way:
                return f"<{len(under_way) - under_way.index(name)}>"
            case Named(name=name) if name in records:
                return f"{{{fields(records[name], (*under_way, name))}}}"
            case Named(name=name) if name in cases:
                inside = (*under_way, name)
                ways = [f"{case}({fields(some, inside)})" for case, some in cases[name]]
                return f"<{' | '.join(ways)}>"
            case _:
                return shown(kind)

    def fields(some: Sequence[machine.Field], under_way: tuple[str, ...]) -> str:
        return ", ".join(f"{one.name}: {said(one.type, under_way)}" for one in some)

    return {
        record.name: tuple(
            (one.name, said(one.type, (record.name,)), one.default is not None)
            for one in record.fields
        )
        for module in known
        for record in module.records
        if record.kind == "message"
    }


def difference(message: str, sender: Shapes, receiver: Shapes) -> str | None:
    """Why a receiver does not take a message as its sender has it; None if it does. Fields that
    may be left out may be new to it; the last ones of the sender need not be known to it."""
    sent, known = sender.get(message), receiver.get(message)
    if sent is None or known is None:
        return None
    for (name, kind, _), (other, wanted, _) in zip(sent, known, strict=False):
        if name != other:
            return f"has `{name}` where `{other}` is wanted"
        if kind != wanted:
            return f"has another type for `{name}`"
    for name, _, optional in known[len(sent) :]:
        if not optional:
            return f"is without the field `{name}`"
    return None


def messages_of(made: Automaton, kind: Kind) -> list[str]:
    """The messages that a side sends, or takes."""
    return sorted({edge.message for node in made.nodes for edge in node.of(kind)})


def fields_that_break(
    new: Automaton, news: Shapes, old: Automaton, olds: Shapes, peers: str
) -> list[Break]:
    """Peers that know a message otherwise than a new version of a flow does; `old` is the one
    before."""
    found = []
    both = set(messages_of(old, Kind.RECEIVE)) & set(messages_of(new, Kind.RECEIVE))
    for message in sorted(both):
        why = difference(message, olds, news)
        if why is not None:
            found.append(Break(f"{peers} whose `{_short(message)}` {why}", None))
    both = set(messages_of(old, Kind.SEND)) & set(messages_of(new, Kind.SEND))
    for message in sorted(both):
        why = difference(message, news, olds)
        if why is not None:
            text = f"{peers} that take the old `{_short(message)}`: the new one {why}"
            found.append(Break(text, None))
    return found


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _or(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    if len(quoted) < 2:
        return quoted[0] if quoted else "nothing"
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
