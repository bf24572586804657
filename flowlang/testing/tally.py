"""What of the flows the tests have seen: states, ways between them, messages sent and received.

What there is comes from the machines, what was seen from the history of worlds. Counts are plain
data, so that processes can hand them to each other.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from flowlang import machine, types, walk
from flowrt.sim.history import Began, Event, Place, Rested, Said, Sent

END = "its end"
START = "Start"

Edge: TypeAlias = tuple[str, str]
Met: TypeAlias = tuple[str, str, str]
"""`sent` or `received`, the message's short name, the state."""


@dataclasses.dataclass(frozen=True)
class Known:
    """All there is of a flow: states with the lines where they are, ways, messages."""

    name: str
    file: str
    place: int
    states: Mapping[str, int]
    ways: frozenset[Edge]
    messages: frozenset[Met]
    subflows: Mapping[str, str]
    """The subflow that runs while a flow is in a state, by state."""


@dataclasses.dataclass
class Seen:
    """What was seen of a flow, as it was seen: its machine may become known later. `steps` are from
    where to where; `said` are (`sent` or `received`, message, line where the state is)."""

    states: set[str] = dataclasses.field(default_factory=set)
    steps: set[Edge] = dataclasses.field(default_factory=set)
    said: set[tuple[str, str, int]] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class _Reached:
    """What of a flow that is known was reached."""

    states: set[str] = dataclasses.field(default_factory=set)
    ways: set[Edge] = dataclasses.field(default_factory=set)
    messages: set[Met] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True)
class Line:
    """One flow in the report: how much there is, how much was seen, and what never was."""

    name: str
    place: str
    states: tuple[int, int]
    ways: tuple[int, int]
    messages: tuple[int, int]
    missing: tuple[str, ...]

    @property
    def there(self) -> int:
        """All there is."""
        return self.states[1] + self.ways[1] + self.messages[1]

    @property
    def seen(self) -> int:
        """All that was seen."""
        return self.states[0] + self.ways[0] + self.messages[0]


class Tally:
    """Counts for a number of flows. `files` are the names of sources that people see."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._seen: dict[str, Seen] = {}

    def know(self, modules: Iterable[machine.Module], files: Mapping[str, str]) -> None:
        """Flows that there are. `files` names a module's source for people."""
        found = list(modules)
        owners = _owners([one for module in found for one in module.machines])
        for module in found:
            for one in module.machines:
                name = _class(one)
                file = files.get(module.module, module.source)
                self._known[name] = _known(one, file, owners[name])

    def see(self, history: Sequence[Event]) -> None:
        """What happened in a world."""
        for event in history:
            if isinstance(event, Began):
                self._of(event.flow).states.add(START)
            elif isinstance(event, Rested):
                self._rested(event)
            elif isinstance(event, Said) and event.message is not None:
                self._said(event)

    def _of(self, flow: str) -> Seen:
        return self._seen.setdefault(flow, Seen())

    def _rested(self, event: Rested) -> None:
        for before, after in itertools.pairwise((event.before, *event.places)):
            self._moved(before, after)

    def _moved(self, start: Place, end: Place) -> None:
        """Each frame has gone from a state to another, has begun or has ended."""
        for depth in range(max(len(start), len(end))):
            before = start[depth] if depth < len(start) else None
            after = end[depth] if depth < len(end) else None
            if before is not None and after is not None and before[0] == after[0]:
                self._went(before[0], _plain(before[1]), _plain(after[1]))
                continue
            if before is not None:
                self._went(before[0], _plain(before[1]), END)
            if after is not None:
                self._went(after[0], START, _plain(after[1]))

    def _went(self, flow: str, start: str, end: str) -> None:
        seen = self._of(flow)
        seen.states |= {start, end} - {END}
        seen.steps.add((start, end))

    def _said(self, event: Said) -> None:
        kind = "sent" if isinstance(event, Sent) else "received"
        line = int(event.place.rpartition(":")[2])
        self._of(event.flow).said.add((kind, _short(event.name), line))

    # --- what processes hand to each other ----------------------------------------------------

    def data(self) -> dict[str, Any]:
        """All counts as plain data."""
        return {
            "known": {
                name: [
                    one.name,
                    one.file,
                    one.place,
                    dict(one.states),
                    sorted(map(list, one.ways)),
                    sorted(map(list, one.messages)),
                    dict(one.subflows),
                ]
                for name, one in self._known.items()
            },
            "seen": {
                name: [
                    sorted(one.states),
                    sorted(map(list, one.steps)),
                    sorted(map(list, one.said)),
                ]
                for name, one in self._seen.items()
            },
        }

    def add(self, data: Mapping[str, Any]) -> None:
        """The counts of another process."""
        for name, known in data["known"].items():
            short, file, place, states, ways, messages, subflows = known
            self._known[name] = Known(
                short,
                file,
                place,
                states,
                frozenset((a, b) for a, b in ways),
                frozenset((a, b, c) for a, b, c in messages),
                subflows,
            )
        for name, (states, steps, said) in data["seen"].items():
            seen = self._of(name)
            seen.states |= set(states)
            seen.steps |= {(a, b) for a, b in steps}
            seen.said |= {(a, b, c) for a, b, c in said}

    # --- the report ---------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        """A line for each flow, in the order of files and places."""
        known = sorted(self._known.items(), key=lambda one: (one[1].file, one[1].place))
        reached = self._reached()
        return [_line(one, reached[name]) for name, one in known]

    def _reached(self) -> dict[str, _Reached]:
        """What of each known flow was seen."""
        reached = {name: _Reached() for name in self._known}
        for name, known in self._known.items():
            seen = self._seen.get(name, Seen())
            reached[name].states |= seen.states
            for kind, message, line in seen.said:
                for state, place in known.states.items():
                    if place == line and (kind, message, state) in known.messages:
                        reached[name].messages.add((kind, message, state))
                        reached[name].states.add(state)
            for start, end in seen.steps:
                self._go(reached, name, (start, end), set())
        return reached

    def _go(
        self, reached: dict[str, _Reached], name: str, step: Edge, met: set[tuple[str, Edge]]
    ) -> None:
        """A step went from one state to another, and through those on its way. `met` are steps that
        were looked at: a flow may run itself."""
        known = self._known.get(name)
        if known is None or (name, step) in met:
            return
        met.add((name, step))
        start, end = step
        way = _way(known.ways, start, end)
        for edge in itertools.pairwise(way):
            reached[name].ways.add(edge)
            reached[name].states |= {*edge} - {END}
        for state in way[1:-1]:
            # Nothing rested there, so what ran there ran to its end within the step.
            if state in known.subflows:
                self._go(reached, known.subflows[state], (START, END), met)

    def percent(self) -> float:
        """How much of all there is was seen; 100 where there is nothing."""
        lines = self.lines()
        there = sum(line.there for line in lines)
        return 100.0 * sum(line.seen for line in lines) / there if there else 100.0

    def shown(self) -> str:
        """The percentage in writing, never more than it is."""
        return f"{int(self.percent() * 10) / 10:g}"

    def table(self) -> str:
        """The report as text, with what was never reached."""
        lines = self.lines()
        width = max([len(line.name) for line in lines] + [len("flow")])
        rows = [f"{'flow':{width}}  {'states':>9}  {'ways':>9}  {'messages':>9}  where"]
        for line in lines:
            counts = (line.states, line.ways, line.messages)
            cells = "  ".join(f"{f'{seen}/{there}':>9}" for seen, there in counts)
            rows.append(f"{line.name:{width}}  {cells}  {line.place}")
        for line in lines:
            rows += [f"{line.place}: {line.name} {missing}" for missing in line.missing]
        rows.append(f"{self.shown()} % of states, ways and messages were seen")
        return "\n".join(rows)


def _line(known: Known, seen: _Reached) -> Line:
    states = seen.states & known.states.keys()
    ways, messages = seen.ways & known.ways, seen.messages & known.messages
    missing = [
        f"never rests in {state} (line {known.states[state]})"
        for state in known.states
        if state not in states
    ]
    missing += [
        f"never goes from {one} to {other}"
        for one, other in sorted(known.ways - ways)
        if one in states and (other in states or other == END)
    ]
    missing += [
        f"never {'sends' if kind == 'sent' else 'receives'} {message} in {state}"
        for kind, message, state in sorted(known.messages - messages)
        if state in states
    ]
    return Line(
        known.name,
        f"{known.file}:{known.place}",
        (len(states), len(known.states)),
        (len(ways), len(known.ways)),
        (len(messages), len(known.messages)),
        tuple(missing),
    )


def _plain(state: str) -> str:
    """A state's name; its class may have a `_` more."""
    return state.rstrip("_")


def _way(ways: frozenset[Edge], start: str, end: str) -> list[str]:
    """The shortest way from one state to another: a step may pass through states without resting
    there, because what they wait for had come already."""
    waiting = [[start]]
    met = {start}
    while waiting:
        way = waiting.pop(0)
        for one, other in sorted(ways):
            if one == way[-1]:
                if other == end:
                    return [*way, other]
                if other not in met and other != END:
                    met.add(other)
                    waiting.append([*way, other])
    return [start, end]


# --- what there is of a machine -----------------------------------------------------------------


def _class(one: machine.Machine) -> str:
    return f"{one.name}_v{one.version}"


def _owners(machines: Sequence[machine.Machine]) -> dict[str, set[str]]:
    """The variables of each flow that are sessions with its owner: what is said there is no message
    between parties. A subflow may have been given one."""
    known = {_class(one): one for one in machines}
    owners = {name: {one.owner} if one.owner else set() for name, one in known.items()}
    grows = True
    while grows:
        before = sum(map(len, owners.values()))
        for name, one in known.items():
            for state in one.states:
                if isinstance(state.awaits, machine.AwaitSubflow):
                    called = f"{state.awaits.flow}_v{state.awaits.version}"
                    if called in known:
                        given = zip(known[called].parameters, state.awaits.arguments, strict=False)
                        owners[called] |= {
                            parameter.name
                            for parameter, argument in given
                            if isinstance(argument, machine.Var) and argument.name in owners[name]
                        }
        grows = sum(map(len, owners.values())) > before
    return owners


def _is_owner(session: machine.Expr, owners: set[str]) -> bool:
    return isinstance(session, machine.Var) and session.name in owners


def _known(one: machine.Machine, file: str, owners: set[str]) -> Known:
    blocks = {state.name: state for state in one.states}
    kinds = {variable.name: variable.type for variable in (*one.parameters, *one.variables)}
    resting = [state for state in one.states if state.tag is not None]
    ways: set[Edge] = set()
    messages: set[Met] = set()
    for state in resting:
        messages |= {("received", _short(name), state.name) for name in _awaited(state, owners)}
        for block in _reached(state, blocks):
            ways |= {(state.name, target) for target in _targets(block)}
            for action in walk.each(block.actions):
                if isinstance(action, machine.Return):
                    ways.add((state.name, END))
                if isinstance(action, machine.Send) and not _is_owner(action.session, owners):
                    name = _message(action.value, kinds)
                    if name is not None:
                        messages.add(("sent", _short(name), state.name))
    states = {state.name: state.place.line for state in resting}
    short = _short(one.name)
    subflows = {
        state.name: f"{state.awaits.flow}_v{state.awaits.version}"
        for state in resting
        if isinstance(state.awaits, machine.AwaitSubflow)
    }
    line = one.place.line
    return Known(short, file, line, states, frozenset(ways), frozenset(messages), subflows)


def _reached(start: machine.State, blocks: Mapping[str, machine.State]) -> Iterator[machine.State]:
    """The blocks that a step from this state may run through."""
    waiting, met = [start.name], {start.name}
    while waiting:
        block = blocks[waiting.pop()]
        yield block
        match block.next:
            case machine.Goto(target=target):
                following = [target]
            case machine.Branch(then=then, otherwise=otherwise):
                following = [then, otherwise]
            case machine.Choose(targets=targets):
                following = list(targets)
            case _:
                following = []
        following += [handler.target for handler in block.handlers]
        for name in following:
            if name not in met:
                met.add(name)
                waiting.append(name)


def _targets(block: machine.State) -> list[str]:
    match block.next:
        case machine.Suspend(target=target):
            return [target]
        case machine.End():
            return [END]
        case _:
            return []


def _awaited(state: machine.State, owners: set[str]) -> Iterator[str]:
    """The messages that a state waits for, but those of the flow's owner."""
    match state.awaits:
        case machine.AwaitMessage(session=session, type=name):
            if not _is_owner(session, owners):
                yield name
        case machine.AwaitEach(type=name):
            yield name
        case machine.AwaitChoice(arms=arms):
            for arm in arms:
                if isinstance(arm, machine.Came) and not _is_owner(arm.session, owners):
                    yield arm.type
        case _:
            pass


def _message(value: machine.Expr, kinds: Mapping[str, types.Type]) -> str | None:
    """The message that an expression is, if that can be told."""
    match value:
        case machine.New(type=name):
            return name
        case machine.Var(name=name):
            kind = kinds.get(name)
            return kind.name if isinstance(kind, types.Named) else None
        case _:
            return None


def _short(name: str) -> str:
    return name.rpartition(".")[2]
