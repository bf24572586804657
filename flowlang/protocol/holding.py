"""What is said of a flow that does not keep to its role: the line of the protocol, the line of the
flow, the shortest run. Compares nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from flowlang.conversation import Conversation, Happening, Stand
from flowlang.diagnostics import Diagnostic, Note
from flowlang.protocol.automaton import Edge, Final, Kind, Node, Spot, Step
from flowlang.protocol.frames import TIME_OVER
from flowlang.protocol.pairs import OUT_OF_TURN, Misfit, Move
from flowlang.protocol.roles import Held
from flowlang.protocol.telling import Teller

Side: TypeAlias = Literal[0, 1]

FLOW: Side = 0
PEER: Side = 1


def findings(teller: Teller, held: Held) -> list[Diagnostic]:
    """What a flow does that its role does not; the shortest run of each kind."""
    found: dict[tuple[str, str], Diagnostic] = {}
    for misfit in held.verdict.misfits:
        story = _Story(teller, held, misfit)
        found.setdefault((story.code, story.sent), story.told())
    return list(found.values())


class _Story:
    """One finding. The flow is the left side, whoever keeps to the protocol the right one."""

    def __init__(self, teller: Teller, held: Held, found: Misfit) -> None:
        self._teller = teller
        self._held = held
        self._found = found
        self._sides = (held.flow, held.other)
        name, _, role = held.played.role.rpartition(".")
        self._protocol = _short(name)
        self._role = role
        self._peer = _short(held.other.flow)
        self._flow = _short(held.flow.flow)
        self._nodes = tuple(side.nodes[at] for side, at in zip(self._sides, found.at, strict=True))
        self.sent = _short(found.edge.message) if found.edge is not None else ""
        self.code = self._code()

    def _code(self) -> str:
        sent_by_flow = self._found.side == PEER
        match self._found.code:
            case "P201" | "P202" | "P210" | "P204" | "P207" if sent_by_flow:
                return "P221"
            case code if code == OUT_OF_TURN:
                return "P221"
            case "P201" | "P202" | "P210" | "P207":
                return "P222"
            case "P204":
                return "P223"
            case "P203":
                return "P223" if sent_by_flow else "P224"
            case _:
                return "P224"

    def told(self) -> Diagnostic:
        message, first, notes, hint = _TELL[self.code](self)
        source, span = self._teller.place(first, self._held.played.said.module)
        return Diagnostic(
            self.code,
            message,
            source,
            span,
            hint,
            tuple(map(self._note, notes)),
            "error",
            self._run(),
        )

    def _note(self, note: tuple[str, Spot]) -> Note:
        source, span = self._teller.place(note[1])
        return Note(note[0], source, span)

    # --- words --------------------------------------------------------------------------------

    def _played(self) -> tuple[str, Spot]:
        text = f"`{self._flow}` plays `{self._role}` of `{self._protocol}` here"
        return text, self._held.played.said

    def _sends_otherwise(self) -> Told:
        assert self._found.edge is not None
        node = self._nodes[PEER]
        allowed = _names(node, Kind.RECEIVE)
        if node.final is not Final.NOT:
            there, hint = "all is said by then", "leave the send out"
        elif node.is_sending:
            turn = _or(_names(node, Kind.SEND))
            there = f"`{self._peer}` sends first: {turn}"
            hint = f"let `{self._flow}` receive {turn} before it sends `{self.sent}`"
            if self._gave_up():
                hint = (
                    "a time that is over does not change whose turn it is: `close` the session or"
                    " fail then; or let the protocol have no such wait"
                )
        else:
            there = f"only {_or(allowed)} may be sent"
            hint = f"send {_or(allowed)}; or let the protocol have `{self.sent}` here, too"
        message = f"`{self._flow}` sends `{self.sent}`, but by `{self._protocol}` {there}"
        if self._found.code == "P202":
            hint = "two messages have this name: use the one that the protocol uses"
        return message, self._found.edge.spot, [self._there(), self._played()], hint

    def _refuses(self) -> Told:
        assert self._found.edge is not None
        awaited = _names(self._nodes[FLOW], Kind.RECEIVE)
        hint = f"add `case {self.sent}` to the receive of `{self._flow}`"
        if len(self._nodes[FLOW].edges) <= 1:
            hint = (
                f"let `{self._flow}` take both: `receive from …:` with a case for {_or(awaited)}"
                f" and one for `{self.sent}`"
            )
        if self._found.code == "P202":
            hint = "two messages have this name: use the one that the protocol uses"
        message = (
            f"`{self._protocol}` lets `{self._peer}` send `{self.sent}` here, and `{self._flow}`"
            f" takes only {_or(awaited)}"
        )
        if not awaited:
            message = (
                f"`{self._protocol}` lets `{self._peer}` send `{self.sent}` here, and"
                f" `{self._flow}` never comes to read it"
            )
            hint = f"let `{self._flow}` receive `{self.sent}` here"
        return message, self._here(), [self._said(), self._played()], hint

    def _ends(self) -> Told:
        node = self._nodes[PEER]
        wanted = _names(node, Kind.RECEIVE)
        how = "closes the session" if self._nodes[FLOW].final is Final.CLOSED else "ends"
        if self._found.edge is not None:
            there = f"`{self._peer}` may still send `{self.sent}`"
            hint = (
                f"let `{self._flow}` receive `{self.sent}`, or say that it does not mind: `close`"
            )
            if self._gave_up():
                hint = "close the session where the time is over: `close …`"
            note = self._said()
        else:
            there = f"`{self._role}` still has to send {_or(wanted)}"
            hint = (
                f"send {_or(wanted)} first; failing with an error is fine, too, and so is a"
                f" protocol that lets `{self._role}` end here: a choice with a way that only says"
                " `end`"
            )
            note = self._there()
        message = f"`{self._flow}` {how}, but by `{self._protocol}` {there}"
        return message, self._here(), [note, self._played()], hint

    def _waits(self) -> Told:
        node = self._nodes[PEER]
        awaited = _names(self._nodes[FLOW], Kind.RECEIVE)
        what = f"waits for {_or(awaited)}" if awaited else "goes on without this session"
        if node.final is not Final.NOT:
            return (
                f"`{self._flow}` {what}, but `{self._protocol}` is over here",
                self._here(),
                [self._there(), self._played()],
                "leave the receive out; or let it take the end, too: `case ended:`",
            )
        wanted = _names(node, Kind.RECEIVE)
        if not wanted:
            return (
                f"`{self._flow}` may wait here for ever for {_or(awaited)}",
                self._here(),
                [self._there(), self._played()],
                f"let `{self._flow}` take {_or(_names(node, Kind.SEND))}",
            )
        later = self._later(wanted)
        hint = f"let `{self._flow}` send {_or(wanted)} here"
        if later is not None:
            hint = (
                f"it sends `{_short(later.message)}` only in line {later.spot.place.line}: move"
                " that up"
            )
        return (
            f"`{self._flow}` {what}, but by `{self._protocol}` it has to send {_or(wanted)} now",
            self._here(),
            [self._there(), self._played()],
            hint,
        )

    def _here(self) -> Spot:
        return self._nodes[FLOW].spot

    def _there(self) -> tuple[str, Spot]:
        return f"`{self._protocol}` is here then", self._nodes[PEER].spot

    def _said(self) -> tuple[str, Spot]:
        assert self._found.edge is not None
        return f"`{self._protocol}` says so here", self._found.edge.spot

    def _gave_up(self) -> bool:
        edges = (move.edge for move in self._found.way if move.side == FLOW)
        steps = [step for edge in edges if edge is not None for step in edge.steps]
        return any(step.told == TIME_OVER for step in steps)

    def _later(self, wanted: Sequence[str]) -> Edge | None:
        order = [self._found.at[FLOW]]
        for number in order:
            for edge in self._sides[FLOW].nodes[number].edges:
                if edge.kind is Kind.SEND and _short(edge.message) in wanted:
                    return edge
                if edge.target not in order:
                    order.append(edge.target)
        return None

    # --- the run ------------------------------------------------------------------------------

    def _run(self) -> Conversation:
        steps = [happening for move in self._found.way for happening in self._happenings(move)]
        refused = ""
        if self._found.edge is not None and self._found.code != "P207":
            edge = self._found.edge
            side: Side = FLOW if self.code == "P221" else PEER
            steps += self._decided(side, edge.steps)
            steps.append(self._happening("sends", side, self.sent, edge.spot))
            refused = "✗"
        left, right = (self._stand(node) for node in self._nodes)
        return Conversation(self._flow, self._peer, tuple(steps), (left, right), refused, 0)

    def _happenings(self, move: Move) -> list[Happening]:
        side: Side = FLOW if move.side == FLOW else PEER
        other: Side = PEER if side == FLOW else FLOW
        edge = move.edge
        if edge is None:
            return []
        found = []
        if edge.kind is Kind.SEND:
            found.append(self._happening("sends", side, _short(edge.message), edge.spot))
            if move.is_dropped:
                spot = self._nodes[other].spot
                found.append(self._happening("drops", other, "drops it", spot))
        elif edge.kind is Kind.ENDED:
            name = (self._flow, self._peer)[other]
            found.append(
                self._happening("learns", side, f"learns that {name} has ended", edge.spot)
            )
        found += self._decided(side, edge.steps)
        if move.taken is not None:
            found += self._decided(other, move.taken.steps)
        return found

    def _decided(self, side: Side, steps: Iterable[Step]) -> list[Happening]:
        return [self._happening("decides", side, step.told, step.spot) for step in steps]

    def _happening(
        self,
        kind: Literal["sends", "decides", "drops", "learns", "takes"],
        side: Side,
        text: str,
        spot: Spot,
    ) -> Happening:
        source, _ = self._teller.place(spot)
        return Happening(kind, side, text, source, spot.place.line)

    def _stand(self, node: Node) -> Stand:
        source, _ = self._teller.place(node.spot)
        return Stand(source, node.spot.place.line, doing(node))


Told = tuple[str, Spot, list[tuple[str, Spot]], str]

_TELL: dict[str, Callable[[_Story], Told]] = {
    "P221": _Story._sends_otherwise,
    "P222": _Story._refuses,
    "P223": _Story._ends,
    "P224": _Story._waits,
}


def doing(node: Node) -> str:
    """What a side does where it is."""
    if node.final is Final.CLOSED:
        return "has closed the session"
    if node.final is not Final.NOT:
        return "has ended"
    if node.is_receiving:
        return f"waits for {_or(_names(node, Kind.RECEIVE))}"
    if node.is_sending:
        return f"sends {_or(_names(node, Kind.SEND))}"
    return "goes on without this session"


def _names(node: Node, kind: Kind) -> list[str]:
    """The messages that a side sends or takes where it is."""
    return list(dict.fromkeys(_short(edge.message) for edge in node.of(kind)))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _or(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    if len(quoted) < 2:
        return quoted[0] if quoted else "nothing"
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
