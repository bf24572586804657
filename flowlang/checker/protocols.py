"""Protocols: their roles, their turns, and what cannot be meant. Knows no flow's statements.

A protocol becomes a graph of turns; what is wrong with it is wrong with that graph: a turn that
would be anybody's, two ways that begin alike, a round in which nothing is said.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, assert_never

from flowlang import syntax
from flowlang.checker import words
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names, check_casing
from flowlang.source import Span
from flowlang.types import PlaysInfo, ProtocolInfo, Said, Turn

MOST_TURNS = 2_000
"""Turns of a protocol, included ones among them: those that include others twice grow fast."""

OVER = 0
"""The number of the turn in which nothing more is said."""


def roles_of(lines: syntax.Lines) -> Iterator[syntax.Name]:
    """Every mention of a role, in the order of the text."""
    for line in lines:
        match line:
            case syntax.Exchange(sender=sender, receiver=receiver):
                yield sender
                yield receiver
            case syntax.ProtocolChoice(at=at, branches=branches):
                yield at
                for body, _ in branches:
                    yield from roles_of(body)
            case syntax.Repeat(body=body):
                yield from roles_of(body)
            case syntax.Include(roles=roles):
                yield from roles
            case _:
                pass


def plays(names: Names, flow: syntax.Flow) -> tuple[PlaysInfo, ...]:
    """The roles that a flow says it plays on sessions which it has, whether they exist or not."""
    found: list[tuple[str, syntax.Name, syntax.Name, object]] = []
    for node in flow.plays:
        found.append((node.session.name, node.protocol, node.role, node))
    for parameter in flow.parameters:
        one = parameter.type.arguments[0] if len(parameter.type.arguments) == 1 else None
        if parameter.type.name == "Session" and one is not None and one.role is not None:
            protocol = syntax.Name(one.name, one.span)
            found.append((parameter.name, protocol, one.role, parameter))
    return tuple(
        PlaysInfo(session, declared.qualified, role.name, node, role.span)
        for session, protocol, role, node in found
        if (declared := names.declared.get(protocol.name)) and declared.kind == "protocol"
    )


@dataclasses.dataclass(slots=True)
class _Draft:
    """A turn while it is being written: what may be sent, or the turns of which it is one."""

    place: Span
    module: str
    text: str
    said: list[tuple[str, Said]] = dataclasses.field(default_factory=list)
    ways: list[tuple[int, Span]] = dataclasses.field(default_factory=list)
    over: bool = False


class Protocols:
    """Reads the protocols of one file, each once."""

    def __init__(
        self,
        findings: Findings,
        names: Names,
        module: str,
        declarations: Sequence[syntax.Declaration],
    ) -> None:
        self._findings = findings
        self._names = names
        self.module = module
        self._here: dict[str, syntax.Protocol] = {}
        for one in declarations:
            if isinstance(one, syntax.Protocol):
                self._here.setdefault(one.name, one)
        self._made: dict[syntax.Protocol, ProtocolInfo] = {}
        self._under_way: list[syntax.Protocol] = []

    def read(self, declaration: syntax.Protocol) -> ProtocolInfo:
        """The protocol; its turns are missing where something is wrong with it."""
        known = self._made.get(declaration)
        if known is None:
            self._under_way.append(declaration)
            known = self._made[declaration] = self._read(declaration)
            self._under_way.pop()
        return known

    def _read(self, declaration: syntax.Protocol) -> ProtocolInfo:
        qualified = f"{self.module}.{declaration.name}"
        before = len(self._findings.diagnostics)
        roles = self._roles(declaration)
        graph = _Graph(self, declaration, roles)
        turns = graph.turns()
        if declaration.broken or len(self._findings.diagnostics) > before:
            turns = ()
        return ProtocolInfo(qualified, roles, turns, declaration)

    def _roles(self, declaration: syntax.Protocol) -> tuple[str, ...]:
        found: dict[str, Span] = {}
        for role in roles_of(declaration.lines):
            if role.name not in found:
                check_casing(self._findings, "a role", role.name, role.span, words.snake)
            found.setdefault(role.name, role.span)
        names = tuple(found)
        if len(names) > 2:
            near = self._findings.did_you_mean(names[2], names[:2])
            self._findings.report(
                "F650",
                found[names[2]],
                f"`{declaration.name}` is between `{names[0]}` and `{names[1]}`, and has no third"
                " role",
                near or f"declare another protocol for what `{names[2]}` says and hears",
                self._findings.note(f"`{names[1]}` is first named here", found[names[1]]),
            )
        elif len(names) < 2 and not declaration.broken:
            self._findings.report(
                "F650",
                declaration.name_span,
                f"`{declaration.name}` has not two roles",
                "write who sends what to whom: `buyer -> seller: Order`",
            )
        return names[:2]

    # --- what the graph asks ------------------------------------------------------------------

    def message(self, node: syntax.Name) -> str | None:
        """The qualified name of a message; None if a mistake was (now) reported."""
        found = self._names.declared.get(node.name)
        if found is not None and found.kind == "message":
            return found.qualified
        if node.name not in self._names.unknown:
            self._names.report_missing(node.name, node.span, "message")
        return None

    def included(self, node: syntax.Include) -> ProtocolInfo | None:
        """The protocol of an `include`; None if a mistake was (now) reported."""
        name = node.protocol.name
        here = self._here.get(name)
        known = self._names.scope.get(name)
        if here is not None and (known is None or known.declaration is here):
            if here in self._under_way:
                circle = [*self._under_way[self._under_way.index(here) :], here]
                self._findings.report(
                    "F656",
                    node.protocol.span,
                    "this protocol would include itself, without end",
                    "say it again with `repeat name:` and `continue name`",
                    None
                    if len(circle) == 2
                    else self._findings.note(
                        "the circle is " + " → ".join(f"`{one.name}`" for one in circle),
                        circle[-2].name_span,
                    ),
                )
                return None
            info: ProtocolInfo | None = self.read(here)
        else:
            found = self._names.find(node.protocol, "protocol")
            info = found if isinstance(found, ProtocolInfo) else None
        if info is None or not info.turns:
            return None
        if len(node.roles) != 2 or node.roles[0].name == node.roles[1].name:
            self._findings.report(
                "F656",
                node.span,
                f"`{name}` is between two roles, `{info.roles[0]}` and `{info.roles[1]}`, in this"
                " order",
                f"say who is who: `include {name}({info.roles[0]}, {info.roles[1]})`",
            )
            return None
        return info

    def report(self, code: str, span: Span, message: str, hint: str, note: object = None) -> None:
        if isinstance(note, tuple):
            self._findings.report(code, span, message, hint, self._findings.note(*note))
        else:
            self._findings.report(code, span, message, hint)

    def did_you_mean(self, name: str, known: Iterable[str]) -> str | None:
        return self._findings.did_you_mean(name, known)

    def text(self, span: Span) -> str:
        return self._findings.source.line(span.line).strip()


_Firsts: TypeAlias = "list[tuple[tuple[str, Said] | None, int]]"


class _Graph:
    """The turns of one protocol. What a block leads to is known before the block is read, so its
    lines are read from the last to the first."""

    def __init__(
        self, file: Protocols, declaration: syntax.Protocol, roles: tuple[str, ...]
    ) -> None:
        self._file = file
        self._declaration = declaration
        self._roles = roles
        self._drafts: list[_Draft] = []
        self._is_full = False
        self._decided: list[tuple[str, int, Span]] = []
        self._add(declaration.name_span)
        self._drafts[OVER].over = True

    def turns(self) -> tuple[Turn, ...]:
        start = self._block(self._declaration.lines, OVER, {})
        self._unreachable(self._declaration.lines)
        if not self._goes_round():
            self._check_choices()
        ways = {number: [one for one, _ in self._firsts(number)] for number in self._reached(start)}
        place = {number: at for at, number in enumerate(ways)}
        turns = []
        for number, firsts in ways.items():
            said = [one for one in firsts if one is not None]
            draft = self._drafts[number]
            for _ in self._drafts:  # A repeat stands where its first line does.
                if len(draft.ways) == 1 and not draft.said:
                    draft = self._drafts[draft.ways[0][0]]
            turns.append(
                Turn(
                    said[0][0] if said else "",
                    tuple(_aimed(one, place[one.target]) for _, one in said),
                    None in firsts,
                    draft.module,
                    draft.place.line,
                    draft.text,
                )
            )
        return tuple(turns)

    def _reached(self, start: int) -> list[int]:
        """The turns that something leads to, in order."""
        order, seen = [start], {start}
        for number in order:
            for first, _ in self._firsts(number):
                if first is not None and first[1].target not in seen:
                    seen.add(first[1].target)
                    order.append(first[1].target)
        return order

    def _add(self, place: Span, module: str = "", text: str = "") -> int:
        module = module or self._file.module
        self._drafts.append(_Draft(place, module, text or self._file.text(place)))
        return len(self._drafts) - 1

    # --- lines --------------------------------------------------------------------------------

    def _block(
        self, lines: syntax.Lines, then: int, repeats: Mapping[str, tuple[int, Span]]
    ) -> int:
        for line in reversed(lines):
            then = self._line(line, then, repeats)
        return then

    def _line(
        self, line: syntax.ProtocolLine, then: int, repeats: Mapping[str, tuple[int, Span]]
    ) -> int:
        match line:
            case syntax.Exchange():
                return self._exchange(line, then)
            case syntax.ProtocolChoice():
                ways = [(self._block(body, then, repeats), at) for body, at in line.branches]
                number = self._add(line.branches[0][1])
                self._drafts[number].ways = ways
                self._decided.append((line.at.name, number, line.at.span))
                return number
            case syntax.Repeat(name=name, name_span=span, body=body):
                if name in repeats:
                    self._file.report(
                        "F655",
                        span,
                        f"`{name}` is the name of a repeat around this one",
                        "choose another name",
                        ("it is named here", repeats[name][1]),
                    )
                head = self._add(span)
                start = self._block(body, then, {**repeats, name: (head, span)})
                self._drafts[head].ways = [(start, span)]
                return head
            case syntax.Again(repeat=repeat):
                if repeat.name in repeats:
                    return repeats[repeat.name][0]
                near = self._file.did_you_mean(repeat.name, repeats)
                self._file.report(
                    "F655",
                    repeat.span,
                    f"no `repeat {repeat.name}:` is around this line",
                    near or "name one that is, or indent the line below it",
                )
                return OVER
            case syntax.Finish():
                number = self._add(line.span)
                self._drafts[number].over = True
                return number
            case syntax.Include():
                return self._include(line, then)
            case _:
                assert_never(line)

    def _exchange(self, line: syntax.Exchange, then: int) -> int:
        if line.sender.name == line.receiver.name:
            self._file.report(
                "F650",
                line.receiver.span,
                f"`{line.sender.name}` would send this to itself",
                "name the other role behind the arrow",
            )
        message = self._file.message(line.message)
        number = self._add(line.span)
        draft = self._drafts[number]
        said = Said(message or "", then, draft.module, line.span.line, draft.text)
        draft.said = [(line.sender.name, said)]
        return number

    def _include(self, line: syntax.Include, then: int) -> int:
        info = self._file.included(line)
        if info is None:
            return then
        if len(self._drafts) + len(info.turns) > MOST_TURNS:
            if not self._is_full:
                self._is_full = True
                self._file.report(
                    "F656",
                    line.span,
                    f"with this, `{self._declaration.name}` has more than {MOST_TURNS:,} turns",
                    "say it again with `repeat name:` and `continue name`",
                )
            return then
        role = dict(zip(info.roles, (one.name for one in line.roles), strict=True))
        first = len(self._drafts)
        for turn in info.turns:
            number = self._add(line.span, turn.module, turn.text)
            draft = self._drafts[number]
            draft.said = [(role[turn.sender], _aimed(one, first + one.target)) for one in turn.said]
            if turn.over:
                draft.ways.append((then, line.span))
                if turn.said:
                    self._decided.append((role[turn.sender], number, line.span))
        return first

    # --- turns --------------------------------------------------------------------------------

    def _firsts(self, start: int) -> _Firsts:
        """What may come first from here on: what is sent, and None where it may be over."""
        found: _Firsts = []
        waiting, seen = [start], {start}
        while waiting:
            number = waiting.pop()
            draft = self._drafts[number]
            found += [(one, number) for one in draft.said]
            if draft.over:
                found.append((None, number))
            for way, _ in reversed(draft.ways):
                if way not in seen:
                    seen.add(way)
                    waiting.append(way)
        return found

    def _check_choices(self) -> None:
        """A choice is made by one role, and the first message tells the other which it was."""
        for at, number, span in self._decided:
            draft = self._drafts[number]
            ways = [(self._firsts(way), place) for way, place in draft.ways]
            if draft.said:
                ways.insert(0, ([(one, number) for one in draft.said], span))
            seen: dict[str | None, Span] = {}
            for firsts, place in ways:
                self._check_way(at, firsts, place, span, seen)

    def _check_way(
        self, at: str, firsts: _Firsts, place: Span, span: Span, seen: dict[str | None, Span]
    ) -> None:
        """One way of a choice; `seen` is what other ways begin with."""
        for first, _ in firsts:
            message = first[1].message if first is not None else None
            if first is not None and first[0] != at:
                self._file.report(
                    "F651",
                    place,
                    f"`{at}` decides here, but this way begins with a message of `{first[0]}`:"
                    f" `{words.short(first[1].message)}`",
                    f"let each way begin with a message of `{at}`, so that `{first[0]}` learns"
                    " which it is",
                    ("it is decided here", span),
                )
                return
            if message in seen:
                what = "the end" if message is None else f"`{words.short(message)}`"
                self._file.report(
                    "F652",
                    place,
                    f"two ways of this choice begin with {what}, so the other side cannot tell"
                    " them apart",
                    "let each way begin with another message; or send it first, and decide after"
                    " it",
                    ("the other way begins here", seen[message]),
                )
                return
        for first, _ in firsts:
            seen[None if first is None else first[1].message] = place

    def _goes_round(self) -> bool:
        """Whether a repeat may go round without a message, which says nothing."""
        done: set[int] = set()
        for number, draft in enumerate(self._drafts):
            if len(draft.ways) != 1 or draft.said or number in done:
                continue
            waiting = [way for way, _ in draft.ways]
            seen: set[int] = set()
            while waiting:
                at = waiting.pop()
                if at not in seen:
                    seen.add(at)
                    waiting += [way for way, _ in self._drafts[at].ways]
            if number in seen:
                done |= seen
                self._file.report(
                    "F653",
                    draft.place,
                    "this may go round for ever without a message",
                    "let a message stand before each `continue`",
                )
        return bool(done)

    def _unreachable(self, lines: syntax.Lines) -> None:
        for line, after in itertools.pairwise(lines):
            if not _goes_on(line):
                self._file.report(
                    "F654",
                    after.span,
                    "nothing leads to this line",
                    "remove it; or let a way before it come to its end without `end` or `continue`",
                    ("no way goes on behind this one", line.span),
                )
                break
        for line in lines:
            for body in _inside(line):
                self._unreachable(body)


def _aimed(said: Said, target: int) -> Said:
    return Said(said.message, target, said.module, said.line, said.text)


def _inside(line: syntax.ProtocolLine) -> tuple[syntax.Lines, ...]:
    match line:
        case syntax.ProtocolChoice(branches=branches):
            return tuple(body for body, _ in branches)
        case syntax.Repeat(body=body):
            return (body,)
        case _:
            return ()


def _goes_on(line: syntax.ProtocolLine) -> bool:
    """Whether a way leads behind a line."""
    if isinstance(line, syntax.Finish | syntax.Again):
        return False
    bodies = _inside(line)
    return not bodies or any(not body or _goes_on(body[-1]) for body in bodies)
