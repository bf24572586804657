"""What is said of a misfit: the sentence, both places, the run, and one thing to do about it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

from flowlang import machine
from flowlang.conversation import Conversation, Stand
from flowlang.diagnostics import Diagnostic, Note
from flowlang.protocol.automaton import Arm, Edge, Final, Kind, Node, Spot
from flowlang.protocol.check import Checked, Session
from flowlang.protocol.code import Rest
from flowlang.protocol.frames import Program
from flowlang.protocol.pairs import Misfit, Move
from flowlang.protocol.retelling import Retelling
from flowlang.protocol.spent import Spent
from flowlang.source import Source, Span


@dataclasses.dataclass(frozen=True)
class Teller:
    """Makes diagnostics about the sessions of one program; `sources` are by module."""

    program: Program
    sources: Mapping[str, Source]

    def misfit(self, checked: Checked, found: Misfit) -> Diagnostic:
        """One finding."""
        return _Story(self, checked, found).told()

    def dead(self, arm: Arm, sender: str) -> Diagnostic:
        """A case to which nothing ever leads."""
        code = self.program.codes[arm.flow]
        does = code.instructions[arm.at].does
        assert isinstance(does, Rest)
        spot = Spot(code.module.module, arm.flow, does.place, does.place)
        waited = getattr(does.wait, "arms", ())[arm.number]
        name = _short(getattr(waited, "type", ""))
        source, span = self.place(self._case(spot, name))
        return Diagnostic(
            "P209",
            f"`{sender}` never sends `{name}` here, so the case for it is never taken",
            source,
            span,
            f"leave `case {name}` out, or let `{sender}` send it",
            severity="warning",
        )

    def _case(self, spot: Spot, name: str) -> Spot:
        """The line of a case, below the line at which its receive begins."""
        source = self.sources[spot.module]
        for line in range(spot.place.line + 1, source.text.count("\n") + 2):
            text = source.line(line).strip()
            if re.match(rf"case {name}\b", text):
                place = machine.Place(line, text)
                return spot._replace(place=place, top=place)
        return spot

    def circle(self, session: Session, names: Sequence[str]) -> Diagnostic:
        """A session by which flows come back to where they began."""
        code = self.program.codes[session.flow]
        does = code.instructions[session.opened].does
        assert isinstance(does, machine.Open)
        source, span = self.place(Spot(code.module.module, session.flow, does.place, does.place))
        way = " → ".join(f"`{_short(name)}`" for name in names)
        return Diagnostic(
            "P213",
            f"this conversation may lead to another one of its own kind, and so on: {way}",
            source,
            span,
            "give the way back an end of its own, such as a number of rounds that counts down",
            severity="warning",
        )

    def spent(self, found: Spent) -> Diagnostic:
        """A statement about a session that the error which was caught has ended."""
        module = self.program.codes[found.flow].module.module
        source, span = self.place(Spot(module, found.flow, found.used, found.used))
        where, ended = self.place(Spot(module, found.flow, found.ended, found.ended))
        caught = ", ".join(map(_short, found.errors))
        return Diagnostic(
            "P214",
            f"`{found.session}` is over here: the error that was caught has ended it",
            source,
            span,
            f"leave `{found.session}` out behind `catch {caught}`: return, throw an error of this"
            " flow, or open a new session",
            (Note(f"`catch {caught}` takes the last that comes from here", where, ended),),
            "warning",
        )

    def file(self, spot: Spot) -> str:
        """The file of a statement, as diagnostics call it."""
        return self.sources[spot.module].name

    def place(self, spot: Spot, module: str | None = None) -> tuple[str, Span]:
        """A statement in the source; in this module, where it was called from another."""
        at = spot.place if module in (None, spot.module) else spot.top
        source = self.sources[spot.module if module is None else module]
        text = source.line(at.line)
        start = len(text) - len(text.lstrip())
        end = len(text.split("#")[0].rstrip()) or len(text)
        return source.name, Span(at.line, start + 1, at.line, max(end, start + 1) + 1)


class _Story:
    def __init__(self, teller: Teller, checked: Checked, found: Misfit) -> None:
        assert checked.left is not None
        assert checked.right is not None
        assert checked.verdict is not None
        self._teller = teller
        self._found = found
        self._sides = (checked.left, checked.right)
        self._names = (_short(checked.left.flow), _short(checked.right.flow))
        self._module = checked.left.opened.module
        # A run that goes wrong is one, whatever else was looked at.
        self._longest = checked.verdict.longest if found.code == "P208" else 0
        self._side = found.side
        self._nodes = (checked.left.nodes[found.at[0]], checked.right.nodes[found.at[1]])

    def told(self) -> Diagnostic:
        code = self._code()
        message, first, notes, hint = _TELL[code](self)
        run = self._run()
        hint = _asked_twice(run) or self._uncounted() or hint
        source, span = self._teller.place(first, self._module)
        return Diagnostic(
            code,
            message,
            source,
            span,
            hint,
            tuple(self._note(text, spot) for text, spot in notes),
            "warning" if self._found.is_warning else "error",
            run,
        )

    def _code(self) -> str:
        """A message that is not taken because its receiver has stopped waiting is a late one."""
        code = self._found.code
        return "P211" if code in ("P201", "P204") and self._found.is_late else code

    def _uncounted(self) -> str | None:
        """What to do where a loop over what a group says is left before all have said it."""
        if self._found.code not in ("P201", "P204", "P210"):
            return None
        for side, names in enumerate(self._names):
            if not self._is_group(side):
                continue
            spots = (
                step.spot
                for move in self._found.way
                if move.edge is not None and move.side == side
                for step in move.edge.steps
                if step.spot.place.text.startswith("while ")
                and step.told.endswith(" does not hold")
            )
            spot = next(spots, None)
            if spot is not None:
                group = self._session(side)
                return (
                    f"nothing says that the loop in line {spot.place.line} goes on until all of"
                    f" `{group}` were heard: begin with `var left = {group}.size`, take one off in"
                    " each case that takes the last message of one or its end, once on every way,"
                    f" and go on `while left > 0`; or let `{names}` `close each {group}` behind it"
                )
        return None

    def _note(self, text: str, spot: Spot) -> Note:
        source, span = self._teller.place(spot)
        return Note(text, source, span)

    # --- who is where -------------------------------------------------------------------------

    @property
    def _me(self) -> str:
        return self._names[self._side]

    @property
    def _other(self) -> str:
        return self._names[1 - self._side]

    @property
    def _here(self) -> Spot:
        return self._nodes[self._side].spot

    @property
    def _there(self) -> Spot:
        return self._nodes[1 - self._side].spot

    @property
    def _sent(self) -> str:
        return _short(self._found.edge.message) if self._found.edge is not None else ""

    @property
    def _sending(self) -> Spot:
        assert self._found.edge is not None
        return self._found.edge.spot

    def _session(self, side: int) -> str:
        """What the author calls the session, or the group that it is one of."""
        made = self._sides[side]
        _, found, name = made.opened.place.text.partition(" as ")
        return name.split()[0].rstrip(":") if found else made.session

    def _closing(self, side: int) -> str:
        """How a side closes the session: each of a group, or of a list that was passed on."""
        name = self._session(side)
        return f"`close each {name}`" if self._is_group(side) else f"`close {name}`"

    def _is_group(self, side: int) -> bool:
        return " with each " in self._sides[side].opened.place.text

    def _receiving(self) -> str:
        """How a receive with cases begins, where one is."""
        if self._is_group(self._side):
            return "`receive:`"
        return f"`receive from {self._session(self._side)}:`"

    def _awaited(self, side: int) -> list[str]:
        """What a side would take where it is."""
        edges = self._nodes[side].of(Kind.RECEIVE)
        return list(dict.fromkeys(_short(edge.message) for edge in edges))

    def _later(self, side: int, wanted: Callable[[Edge], bool]) -> Edge | None:
        """The next edge of a side, after where it is, that is wanted."""
        nodes = self._sides[side].nodes
        order, seen = [self._found.at[side]], {self._found.at[side]}
        for number in order:
            for edge in nodes[number].edges:
                if wanted(edge):
                    return edge
                if edge.target not in seen:
                    seen.add(edge.target)
                    order.append(edge.target)
        return None

    # --- the run ------------------------------------------------------------------------------

    def _run(self) -> Conversation:
        retelling = Retelling(self._names, self._teller.file)
        here, there = self._nodes[0].spot, self._nodes[1].spot
        steps = retelling.steps(self._found.way, (here, there))
        refused = ""
        edge = self._found.edge
        if edge is not None and self._found.code not in ("P207", "P208"):
            # Unless it was sent on the way already, and lies there.
            if not any(move.edge == edge and move.taken is None for move in self._found.way):
                steps += retelling.send(1 - self._side, edge)
                refused = "✗"
        left, right = (self._stand(side) for side in (0, 1))
        return Conversation(*self._names, tuple(steps), (left, right), refused, self._longest)

    def _stand(self, side: int) -> Stand:
        node = self._nodes[side]
        return Stand(self._teller.file(node.spot), node.spot.place.line, self._doing(node))

    def _doing(self, node: Node) -> str:
        if node.final is Final.CLOSED:
            return "has closed the session"
        if node.final is not Final.NOT:
            return "has ended"
        if node.is_receiving:
            names = list(dict.fromkeys(_short(edge.message) for edge in node.of(Kind.RECEIVE)))
            return f"waits for {_or(names)}"
        if node.is_sending:
            names = list(dict.fromkeys(_short(edge.message) for edge in node.of(Kind.SEND)))
            return f"sends {_or(names)}"
        return "goes on without this session"

    # --- the findings -------------------------------------------------------------------------

    def unexpected(self) -> Told:
        awaited = _or(self._awaited(self._side))
        later = self._later(
            self._side,
            lambda edge: edge.kind is Kind.RECEIVE and _short(edge.message) == self._sent,
        )
        if later is not None:
            hint = (
                f"`{self._me}` takes `{self._sent}` only later, in line"
                f" {later.spot.place.line}: let both sides have the same order"
            )
        elif len(self._nodes[self._side].edges) > 1:
            hint = f"add `case {self._sent}` to the receive of `{self._me}`"
        else:
            hint = (
                f"let `{self._other}` send {awaited} here; or let `{self._me}` take both:"
                f" {self._receiving()} with a case for {awaited} and one for `{self._sent}`"
            )
        return (
            f"`{self._other}` sends `{self._sent}`, but `{self._me}` is waiting for {awaited}",
            self._sending,
            [(f"`{self._me}` takes only {awaited} here", self._here)],
            hint,
        )

    def payload(self) -> Told:
        assert self._found.edge is not None
        sent = self._found.edge.message
        other = next(
            edge.message
            for edge in self._nodes[self._side].of(Kind.RECEIVE)
            if _short(edge.message) == self._sent
        )
        return (
            f"`{self._other}` sends `{sent}`, but `{self._me}` is waiting for `{other}`",
            self._sending,
            [(f"another message of the same name is taken here: `{other}`", self._here)],
            "use the same declaration on both sides",
        )

    def alone(self) -> Told:
        awaited = _or(self._awaited(self._side))
        there = self._nodes[1 - self._side]
        how = "closes the session" if there.final is Final.CLOSED else "ends"
        return (
            f"`{self._other}` may {'close the session' if how != 'ends' else 'end'} while"
            f" `{self._me}` is still waiting for {awaited}",
            self._here,
            [(f"`{self._other}` {how} here, and has not sent it", self._there)],
            self._before_the_end(awaited),
        )

    def _before_the_end(self, awaited: str) -> str:
        """What to do where one waits and the other has ended."""
        ended = "case ended"
        if self._is_group(self._side):
            ended = f"case ended from any {self._session(self._side)}"
        taking = f"let `{self._me}` take the end, too: {self._receiving()} with `{ended}:`"
        at = self._found.at[self._side]
        if self._later(self._side, lambda edge: edge.target == at) is not None:
            return (
                f"`{self._me}` waits for one more round: {taking}; or let `{self._other}` send a"
                f" message of its own {_around(self._there)} that says it was the last one"
            )
        return f"let `{self._other}` send {awaited} {_around(self._there)}; or {taking}"

    def unread(self) -> Told:
        return (
            f"nobody reads the `{self._sent}` that `{self._other}` sends",
            self._sending,
            [(f"`{self._me}` may have ended here by then", self._here)],
            f"let `{self._me}` receive `{self._sent}` {_around(self._here)}, or leave the send out;"
            f" if `{self._me}` does not mind what still comes, it can say so:"
            f" {self._closing(self._side)}",
        )

    def both_wait(self) -> Told:
        names, hints, never = self._names, [], []
        for side in (0, 1):
            wanted = self._awaited(1 - side)
            sends = self._later(
                side,
                lambda edge, wanted=wanted: (  # type: ignore[misc]
                    edge.kind is Kind.SEND and _short(edge.message) in wanted
                ),
            )
            if sends is not None:
                hints.append(
                    f"`{names[side]}` sends `{_short(sends.message)}` only in line"
                    f" {sends.spot.place.line}, after this wait"
                )
            else:
                never.append(f"`{names[side]}` never sends {_or(wanted)}")
        hint = f"let one of them send first: {_or(self._awaited(0))} or {_or(self._awaited(1))}"
        if hints and never:
            hint = f"{never[0]}: let it do so first; {hints[0]}, so moving that up would do, too"
        elif hints:
            hint = f"{'; '.join(hints)}: move one of these sends up"
        return (
            f"`{names[0]}` and `{names[1]}` wait for each other",
            self._nodes[0].spot,
            [(f"and `{names[1]}` waits here for {_or(self._awaited(1))}", self._nodes[1].spot)],
            hint,
        )

    def starved(self) -> Told:
        awaited = _or(self._awaited(self._side))
        return (
            f"`{self._me}` may wait for {awaited} for ever",
            self._here,
            [(f"`{self._other}` goes on from here, but never sends it", self._there)],
            f"let `{self._other}` send {awaited} on this way, too, or end the session",
        )

    def never_read(self) -> Told:
        return (
            f"`{self._me}` never comes to read the `{self._sent}` that `{self._other}` sends",
            self._sending,
            [(f"`{self._me}` goes on from here without reading", self._here)],
            f"let `{self._me}` receive `{self._sent}`, or leave the send out",
        )

    def unbounded(self) -> Told:
        return (
            f"what `{self._names[0]}` and `{self._names[1]}` send each other may pile up without"
            " bound",
            self._nodes[0].spot,
            [(f"both may go on sending: `{self._names[1]}` here", self._nodes[1].spot)],
            "let one side wait for an answer before it sends the next message",
        )

    def invisible(self) -> Told:
        other_way = self._found.other or ()
        mine = _branch(self._found.way, other_way, self._side)
        notes = [(f"`{self._me}` takes only {_or(self._awaited(self._side))} here", self._here)]
        how = ""
        if mine is not None:
            told, spot = mine
            how = f" where {told}"
            notes.append((f"this is where the ways of `{self._me}` part", spot))
            if _is_loop(spot):
                return (
                    f"`{self._other}` cannot tell when the loop of `{self._me}` ends, and sends"
                    f" `{self._sent}`",
                    self._sending,
                    notes,
                    f"let a message of its own end the loop ({self._receiving()} with one case for"
                    f" a round and one for the end), or let `{self._other}` say first how many"
                    " rounds there are",
                )
        return (
            f"`{self._other}` cannot tell which way `{self._me}` went, and sends `{self._sent}`",
            self._sending,
            notes,
            f"`{self._me}` takes `{self._sent}` on another way, but not{how or ' on this one'}: let"
            f" a message say which it is, such as a Bool in what `{self._me}` sends before, and let"
            f" `{self._other}` decide by it",
        )

    def late(self) -> Told:
        if self._found.code == "P204":
            end = f"`{self._me}` may have given up waiting, and ended here"
        else:
            end = f"`{self._me}` has given up waiting, and takes only other messages here"
        return (
            f"the `{self._sent}` that `{self._other}` sends may come too late",
            self._sending,
            [(end, self._here)],
            f"say what becomes of it: `within … then discard` where `{self._me}` waits for it,"
            f" {self._closing(self._side)} once the time is over, or go on in a receive that still"
            " takes it",
        )


Told = tuple[str, Spot, list[tuple[str, Spot]], str]

_TELL: dict[str, Callable[[_Story], Told]] = {
    "P201": _Story.unexpected,
    "P202": _Story.payload,
    "P203": _Story.alone,
    "P204": _Story.unread,
    "P205": _Story.both_wait,
    "P206": _Story.starved,
    "P207": _Story.never_read,
    "P208": _Story.unbounded,
    "P210": _Story.invisible,
    "P211": _Story.late,
}


def _branch(way: Sequence[Move], other: Sequence[Move], side: int) -> tuple[str, Spot] | None:
    """The first decision of a side that the other way does not share."""
    mine, theirs = (
        [
            step
            for move in moves
            for edge, who in ((move.edge, move.side), (move.taken, 1 - move.side))
            if edge is not None and who == side
            for step in edge.steps
        ]
        for moves in (way, other)
    )
    for number, step in enumerate(mine):
        if number >= len(theirs) or theirs[number] != step:
            return step.told, step.spot
    return None


def _asked_twice(run: Conversation) -> str | None:
    """What to do where a run has both answers of one question, which may be what is wrong."""
    answers: dict[tuple[int, str], tuple[bool, int]] = {}
    for step in run.steps:
        asked, _, rest = step.text.rpartition("` ")
        if step.kind != "decides" or rest not in ("holds", "does not hold"):
            continue
        before = answers.setdefault((step.side, asked), (rest == "holds", step.line))
        if before[0] != (rest == "holds") and before[1] != step.line:
            return (
                f"{asked}` is asked in line {before[1]} and again in line {step.line}, and nothing"
                f" says that the answer is the same: keep the first one, `let … = {asked[1:]}`, and"
                " ask for that in both places; or put what is done in the second under the first"
            )
    return None


def _around(end: Spot) -> str:
    """Where something is still to be done, at the end of a way."""
    word = end.place.text.split()[0].rstrip(":")
    if _is_loop(end):
        return f"after the loop in line {end.place.line}"
    if word in ("return", "break", "close", "throw"):
        return f"before line {end.place.line}"
    if word in ("if", "elif", "match"):
        return f"on the way that leads from line {end.place.line} to the end"
    return f"after line {end.place.line}"


def _is_loop(spot: Spot) -> bool:
    return spot.place.text.startswith(("for ", "while "))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _or(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    if not quoted:
        return "nothing"
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
