"""What the commands about protocols ask of compiled modules. Reads no file and prints nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from flowlang import machine
from flowlang.diagnostics import Diagnostic
from flowlang.protocol import inferring, roles, versions
from flowlang.protocol.automaton import Automaton, Edge, Kind, Node, Spot, Step
from flowlang.protocol.check import Checked, Session, program_of, sessions_of, values_sent
from flowlang.protocol.following import TooMany, automaton
from flowlang.protocol.frames import Program
from flowlang.protocol.inferring import NotInferred
from flowlang.protocol.pairs import Misfit, Verdict, check
from flowlang.protocol.telling import Teller
from flowlang.source import Source, Span

ROUNDS = 12
"""How often what one side sends is told to the other, at most."""


@dataclasses.dataclass(frozen=True)
class Release:
    """A file as it was compiled: how it is called, its module, all that it uses."""

    file: str
    module: machine.Module
    modules: tuple[machine.Module, ...]
    sources: Mapping[str, Source]

    def flow(self, name: str) -> machine.Machine | None:
        """The flow of that short name."""
        return next((one for one in self.module.machines if _short(one.name) == name), None)


@dataclasses.dataclass(frozen=True)
class Side:
    """A flow on one of its sessions: opened at an instruction, or given in a parameter. `peer`
    names who is at the other side, `peers` says what such are."""

    flow: str
    opened: int | None
    given: str | None
    peer: str
    peers: str


def sides_of(program: Program, flow: machine.Machine) -> list[Side]:
    """The sessions of a flow."""
    found = []
    if flow.responds_to is not None:
        given = flow.parameters[-1].name
        found.append(Side(flow.name, None, given, flow.responds_to, "initiators"))
    for one in flow.plays:
        if flow.responds_to is None or one.session != flow.parameters[-1].name:
            found.append(Side(flow.name, None, one.session, one.role, "peers"))
    for number, instruction in enumerate(program.codes[flow.name].instructions):
        if isinstance(instruction.does, machine.Open):
            peer = instruction.does.flow
            found.append(Side(flow.name, number, None, peer, f"responders of `{_short(peer)}`"))
    return found


# --- infer ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Inferred:
    """A protocol as text, and the messages that it is about."""

    text: str
    messages: tuple[str, ...]


def inferred(release: Release, one: str, other: str, name: str | None) -> Inferred:
    """The protocol that two flows of a file follow, the one that opens the session first. Raises
    NotInferred."""
    program = program_of(release.modules)
    sessions = [
        session
        for left, right in ((one, other), (other, one))
        for session in sessions_of(program, [left], by_role=True)
        if session.responder == right
    ]
    if not sessions:
        raise NotInferred(
            f"neither `{_short(one)}` nor `{_short(other)}` opens a session with the other"
        )
    found: dict[tuple[str, str, str], Inferred] = {}
    for session in sessions:
        made_of = _pair(program, program, session)
        if made_of is None:
            raise NotInferred("one of the two is too large to be followed")
        left, right = made_of
        misfits = check(left, right).misfits
        if misfits:
            raise NotInferred(
                f"`{_short(session.flow)}` and `{_short(session.responder)}` do not fit:"
                f" `flowc check {release.file}` shows where"
            )
        points = inferring.infer(left, right)
        names = _roles(session)
        made = inferring.written(name or f"{_short(session.flow)}Talk", names, points)
        messages = tuple(inferring.messages_of(points))
        found.setdefault((session.flow, session.responder, made), Inferred(made, messages))
    if len(found) > 1:
        opened = (
            program.codes[session.flow].instructions[session.opened].does for session in sessions
        )
        places = ", ".join(str(one.place.line) for one in opened if isinstance(one, machine.Open))
        raise NotInferred(
            f"the sessions opened in lines {places} are different conversations; give each a flow"
            " of its own that responds"
        )
    return next(iter(found.values()))


def _pair(one: Program, other: Program, session: Session) -> tuple[Automaton, Automaton] | None:
    """Both sides of a session, each told what the other sends; None if one is too large. As in a
    check, numbers count the members of a group as long as nobody is counted twice."""
    uncounted: frozenset[int] = frozenset()
    while True:
        made = _told_each_other(one, other, session, uncounted)
        if made is None:
            return None
        wrong = check(*made).miscounts - uncounted
        if not wrong:
            return made
        uncounted |= wrong


def _told_each_other(
    one: Program, other: Program, session: Session, uncounted: frozenset[int]
) -> tuple[Automaton, Automaton] | None:
    left: Automaton | None = None
    right: Automaton | None = None
    known: dict[str, object] | None = None
    for _ in range(ROUNDS):
        variants = values_sent([left, right])
        if variants == known:
            break
        known = dict(variants)
        sides = (one, session.flow, session.opened), (other, session.responder, None)
        try:
            left, right = (
                automaton(*side, variants, frozenset(), counting=number not in uncounted)
                for number, side in enumerate(sides)
            )
        except TooMany:
            return None
    assert left is not None
    assert right is not None
    return left, right


def _roles(session: Session) -> tuple[str, str]:
    left, right = _snake(_short(session.flow)), _snake(_short(session.responder))
    return left, right if right != left else f"{right}_there"


# --- diff -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was compared, who breaks, or why nothing can be said."""

    subject: str
    breaks: tuple[versions.Break, ...]
    unknown: str | None = None


def compared(
    old: Release, old_flow: str | None, new: Release, new_flow: str | None
) -> list[Comparison]:
    """Who breaks where the new file, or flow, takes the place of the old one."""
    found = []
    before, after = program_of(old.modules), program_of(new.modules)
    shapes = versions.shapes_of(old.modules), versions.shapes_of(new.modules)
    if old_flow is None:
        found += list(_protocols(old, new))
    for flow in old.module.machines:
        if old_flow not in (None, _short(flow.name)):
            continue
        sides = sides_of(before, flow)
        other = new.flow(new_flow or _short(flow.name))
        if not sides:
            continue
        if other is None:
            gone = versions.Break(f"all peers of `{_short(flow.name)}`, which is gone", None)
            found.append(Comparison(_titled(flow), (gone,)))
            continue
        mine = sides_of(after, other)
        for side in sides:
            found.append(_side(before, after, shapes, side, mine, flow, other))
    return found


def _protocols(old: Release, new: Release) -> Iterator[Comparison]:
    there = {one.name: one for one in new.module.protocols}
    for protocol in old.module.protocols:
        other = there.get(protocol.name)
        title = f"protocol {_short(protocol.name)}"
        if other is None or set(other.roles) != set(protocol.roles):
            gone = versions.Break("all flows that play its roles: they are gone", None)
            yield Comparison(title, (gone,))
            continue
        found: list[versions.Break] = []
        for role in protocol.roles:
            peer = roles.other_of(protocol, role)
            found += versions.breaks(
                roles.keeping(other, role),
                roles.keeping(protocol, peer),
                f"flows of the role `{peer}`",
            )
        yield Comparison(title, tuple(found))


def _side(
    before: Program,
    after: Program,
    shapes: tuple[versions.Shapes, versions.Shapes],
    side: Side,
    others: Sequence[Side],
    flow: machine.Machine,
    other: machine.Machine,
) -> Comparison:
    title = f"{_titled(flow)} → {_titled(other)}, with {_short(side.peer)}"
    alike = [one for one in others if one.peer == side.peer and one.peers == side.peers]
    if not alike and side.peers == "initiators":
        alike = [one for one in others if one.peers == side.peers]
    if not alike:
        gone = versions.Break(f"{side.peers}: the new version has no such session", None)
        return Comparison(title, (gone,))
    try:
        was = _followed(before, side, counting=True)
        peers = versions.peers_of(was, side.peer)
        found: dict[str, versions.Break] = {}
        for one in alike:
            made = _followed(after, one, counting=True)
            if versions.miscounts(made, peers):
                made = _followed(after, one, counting=False)
            for broken in (
                *versions.breaks(made, peers, side.peers),
                *versions.fields_that_break(made, shapes[1], was, shapes[0], side.peers),
            ):
                found.setdefault(broken.peers, broken)
    except TooMany:
        return Comparison(title, (), "one of the two is too large to be followed")
    except versions.NotCompared as why:
        return Comparison(title, (), str(why))
    return Comparison(title, tuple(found.values()))


def _followed(program: Program, side: Side, *, counting: bool) -> Automaton:
    where = program, side.flow, side.opened
    return automaton(*where, {}, frozenset(), given=side.given, counting=counting)


def _titled(flow: machine.Machine) -> str:
    return f"{_short(flow.name)} v{flow.version}"


# --- matrix ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cell:
    """How one version of an initiator and one of a responder fit; `code` is "" if they do."""

    initiator: str
    responder: str
    code: str
    found: Diagnostic | None


@dataclasses.dataclass(frozen=True)
class Matrix:
    """All versions of a pair: rows are initiators, columns responders."""

    initiators: tuple[str, ...]
    responders: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class _Live:
    """A version of a flow in a pair."""

    label: str
    release: Release
    program: Program
    side: Side


def matrices(releases: Sequence[Release]) -> list[Matrix]:
    """Every version of every initiator in these files with every version of its responder."""
    openers: dict[tuple[str, str], list[_Live]] = {}
    answering: dict[tuple[str, str], list[_Live]] = {}
    for release in releases:
        program = program_of(release.modules)
        for flow in release.module.machines:
            label = f"{_short(flow.name)}_v{flow.version}"
            for side in sides_of(program, flow):
                live = _Live(label, release, program, side)
                if side.opened is not None:
                    does = program.codes[flow.name].instructions[side.opened].does
                    assert isinstance(does, machine.Open)
                    me = does.plays if does.by_role and does.plays else flow.name
                    openers.setdefault((me, side.peer), []).append(live)
                elif side.peers == "initiators":
                    own = next(
                        (one.name for one in flow.roles if _answers(one.name, side.peer)), flow.name
                    )
                    answering.setdefault((side.peer, own), []).append(live)
    return [
        _matrix(_named(lefts), _named(answering[key]))
        for key, lefts in openers.items()
        if key in answering
    ]


def _answers(role: str, opened_by: str) -> bool:
    return role != opened_by and role.rpartition(".")[0] == opened_by.rpartition(".")[0]


def _named(found: Sequence[_Live]) -> list[_Live]:
    """Each once; versions that two files have otherwise are told by their files."""
    kept: dict[tuple[str, str, int | None], _Live] = {}
    for live in found:
        kept.setdefault((live.label, live.release.module.digest, live.side.opened), live)
    digests: dict[str, set[str]] = {}
    for label, digest, _ in kept:
        digests.setdefault(label, set()).add(digest)
    return [
        dataclasses.replace(live, label=f"{live.label} ({live.release.file})")
        if len(digests[live.label]) > 1
        else live
        for live in kept.values()
    ]


def _matrix(lefts: Sequence[_Live], rights: Sequence[_Live]) -> Matrix:
    cells: dict[tuple[str, str], Cell] = {}
    for left in lefts:
        for right in rights:
            key = left.label, right.label
            if key not in cells or not cells[key].code:
                cells[key] = _cell(left, right)
    return Matrix(
        tuple(dict.fromkeys(one.label for one in lefts)),
        tuple(dict.fromkeys(one.label for one in rights)),
        tuple(cells.values()),
    )


def _cell(one: _Live, other: _Live) -> Cell:
    session = Session(one.side.flow, one.side.opened or 0, other.side.flow)
    made = _pair(one.program, other.program, session)
    if made is None:
        return Cell(one.label, other.label, "too large", None)
    left, right = made
    found = _fields(one, left, other, right)
    if found is not None:
        return Cell(one.label, other.label, "P202", found)
    verdict = check(left, right)
    errors = [one for one in verdict.misfits if one.code != "P208"]
    if not errors:
        return Cell(one.label, other.label, "", None)
    told = _told(one, left, other, right, verdict, errors[0])
    return Cell(one.label, other.label, errors[0].code, told)


def _told(
    one: _Live, left: Automaton, other: _Live, right: Automaton, verdict: Verdict, found: Misfit
) -> Diagnostic:
    """A finding between two files, which may have modules of the same names."""
    apart = {
        f"{mark}{source.module}": source
        for mark, live in (("<", one), (">", other))
        for source in live.release.sources.values()
    }
    marked = _marked(left, "<", one.label), _marked(right, ">", other.label)
    session = Session(left.flow, one.side.opened or 0, right.flow)
    again = next(
        again
        for again in check(*marked).misfits
        if (again.code, again.at, again.side) == (found.code, found.at, found.side)
    )
    told = _Apart(one.program, apart).misfit(Checked(session, *marked, verdict), again)
    return dataclasses.replace(
        told,
        code="P212",
        message=f"`{one.label}` does not fit `{other.label}`: {told.message}",
        hint=_remedy(one, other),
    )


class _Apart(Teller):
    """Both sides stand in files of their own, which may have one module's name."""

    def place(self, spot: Spot, module: str | None = None) -> tuple[str, Span]:
        return super().place(spot)


def _remedy(one: _Live, other: _Live) -> str:
    return (
        f"drain one of them before the other is used: `{other.label}`, or `{one.label}`; or keep to"
        " what both know, and change it in a next version"
    )


def _fields(one: _Live, left: Automaton, other: _Live, right: Automaton) -> Diagnostic | None:
    """A message that one side has with other fields than the other."""
    shapes = [versions.shapes_of(live.release.modules) for live in (one, other)]
    for sender, receiver, mine, theirs in ((0, 1, left, right), (1, 0, right, left)):
        sent = versions.messages_of(mine, Kind.SEND)
        taken = versions.messages_of(theirs, Kind.RECEIVE)
        for message in sorted(set(sent) & set(taken)):
            why = versions.difference(message, shapes[sender], shapes[receiver])
            if why is not None:
                live = (one, other)[sender]
                record = next(
                    record
                    for module in live.release.modules
                    for record in module.records
                    if record.name == message
                )
                path = message.rpartition(".")[0]
                teller = Teller(live.program, _by_module(live))
                spot = Spot(path, live.side.flow, record.place, record.place)
                source, span = teller.place(spot)
                return Diagnostic(
                    "P212",
                    f"`{one.label}` does not fit `{other.label}`: the `{_short(message)}` that"
                    f" `{live.label}` sends {why}",
                    source,
                    span,
                    "a new field stands last and may be left out: give it a default",
                )
    return None


def _by_module(live: _Live) -> dict[str, Source]:
    return {source.module: source for source in live.release.sources.values()}


def _marked(made: Automaton, mark: str, label: str) -> Automaton:
    """The same, with modules and the flow called otherwise."""

    def spot(of: Spot) -> Spot:
        return of._replace(module=f"{mark}{of.module}")

    def step(of: Step) -> Step:
        return of._replace(spot=spot(of.spot))

    def edge(of: Edge) -> Edge:
        return of._replace(spot=spot(of.spot), steps=tuple(map(step, of.steps)))

    def node(of: Node) -> Node:
        return dataclasses.replace(of, edges=list(map(edge, of.edges)), spot=spot(of.spot))

    flow = f"{made.flow.rpartition('.')[0]}.{label}"
    return dataclasses.replace(
        made, flow=flow, opened=spot(made.opened), nodes=list(map(node, made.nodes))
    )


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
