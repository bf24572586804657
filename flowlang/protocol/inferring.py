"""The protocol that two flows follow, worked out from what they do together. Compares nothing.

What both may do after the same messages becomes one turn; turns from which the same may follow are
one; then the turns are written down as lines, with a choice where there are several ways and a
repeat where one leads back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from flowlang import machine
from flowlang.protocol import roles
from flowlang.protocol.automaton import Automaton, Kind
from flowlang.protocol.pairs import ENDINGS, START, Config, in_turns, taken_at_once

MOST_TURNS = 2_000
MOST_LINES = 2_000
"""A protocol that would be longer helps nobody."""


class NotInferred(Exception):
    """There is no protocol that says what the two do; says why, and what can be done."""


Together: TypeAlias = frozenset[Config]
"""Where both may be after the same messages."""


@dataclasses.dataclass(frozen=True)
class Point:
    """A turn: whose it is (0 or 1; None: nobody's), where each message leads, whether it may be
    over here."""

    side: int | None
    ways: Mapping[str, int]
    over: bool


def infer(left: Automaton, right: Automaton) -> list[Point]:
    """The turns that two flows take, which fit. Raises NotInferred."""
    points = _smallest(_turns(left, right))
    protocol = protocol_of("talk.Talk", ("one", "other"), points)
    if any(
        in_turns(side, roles.keeping(protocol, peer)).misfits
        for side, peer in ((left, "other"), (right, "one"))
        if any(point.ways for point in points)
    ):
        # What holds for every peer says nothing of the values in messages.
        raise NotInferred(
            f"`{_short(left.flow)}` or `{_short(right.flow)}` decides by what is in a message, and"
            " a protocol knows messages only by their names: send another message for each way"
        )
    return points


def _turns(left: Automaton, right: Automaton) -> list[Point]:
    both = taken_at_once(left, right)

    def settled(configs: Iterable[Config]) -> Together:
        found = set(configs)
        waiting = list(found)
        while waiting:
            config = waiting.pop()
            if both.is_done(config):
                continue
            for target, move in both.moves(config):
                if move.edge is not None and move.edge.kind is Kind.SEND:
                    continue
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return frozenset(found)

    start = settled([START])
    numbers = {start: 0}
    order = [start]
    points = []
    for at in order:
        ways: dict[tuple[int, str], set[Config]] = {}
        over = False
        for config in at:
            over = over or _is_over(left, right, config)
            if both.is_done(config):
                continue
            for target, move in both.moves(config):
                if move.edge is not None and move.edge.kind is Kind.SEND:
                    ways.setdefault((move.side, move.edge.message), set()).add(target)
        sides = {side for side, _ in ways}
        if len(sides) > 1:
            raise NotInferred(_mixed(left, right, [message for _, message in ways]))
        named = {}
        for (_, message), targets in sorted(ways.items(), key=lambda way: way[0]):
            following = settled(targets)
            if following not in numbers:
                numbers[following] = len(order)
                order.append(following)
            named[message] = numbers[following]
        points.append(Point(next(iter(sides), None), named, over))
        if len(order) > MOST_TURNS:
            raise NotInferred("what they say has too many turns to be written down")
    return points


def _is_over(left: Automaton, right: Automaton, config: Config) -> bool:
    one, other = config[0]
    return left.nodes[one].final in ENDINGS and right.nodes[other].final in ENDINGS


def _mixed(left: Automaton, right: Automaton, messages: Sequence[str]) -> str:
    names = " and ".join(f"`{_short(one.flow)}`" for one in (left, right))
    sent = ", ".join(f"`{_short(message)}`" for message in sorted(set(messages)))
    return (
        f"after the same messages either of {names} may send next ({sent}): a protocol has turns;"
        " let the message that decides have a name of its own for each way"
    )


def _smallest(points: Sequence[Point]) -> list[Point]:
    """The same with turns as one from which the same may follow."""
    group = dict(enumerate(_kinds(points)))
    while True:
        kinds = [
            (group[number], tuple((message, group[way]) for message, way in point.ways.items()))
            for number, point in enumerate(points)
        ]
        known: dict[object, int] = {}
        finer = {number: known.setdefault(kind, len(known)) for number, kind in enumerate(kinds)}
        if len(known) == len(set(group.values())):
            break
        group = finer
    order = [0]
    places = {group[0]: 0}
    found = []
    for number in order:
        point = points[number]
        ways = {}
        for message, way in point.ways.items():
            if group[way] not in places:
                places[group[way]] = len(order)
                order.append(way)
            ways[message] = places[group[way]]
        found.append(Point(point.side, ways, point.over))
    return found


def _kinds(points: Sequence[Point]) -> Iterator[int]:
    known: dict[object, int] = {}
    for point in points:
        yield known.setdefault((point.side, tuple(point.ways), point.over), len(known))


def protocol_of(name: str, called: tuple[str, str], points: Sequence[Point]) -> machine.Protocol:
    """The turns as a protocol that stands nowhere."""
    turns = tuple(
        machine.Turn(
            "" if point.side is None else called[point.side],
            tuple(machine.Said(message, way, "", 1, "") for message, way in point.ways.items()),
            point.over,
            "",
            1,
            "",
        )
        for point in points
    )
    return machine.Protocol(name, None, called, turns, machine.Place(1, ""))


# --- as text --------------------------------------------------------------------------------------


def written(name: str, called: tuple[str, str], points: Sequence[Point]) -> str:
    """The turns as a declaration. Raises NotInferred."""
    if not any(point.ways for point in points):
        raise NotInferred("they say nothing to each other, so there is nothing to write down")
    short: dict[str, str] = {}
    for point in points:
        for message in point.ways:
            if short.setdefault(_short(message), message) != message:
                raise NotInferred(
                    f"`{short[_short(message)]}` and `{message}` have one name, and a file can use"
                    " only one of them: rename one"
                )
    return f"protocol {name}:\n" + "\n".join(_Writer(called, points).lines()) + "\n"


def messages_of(points: Iterable[Point]) -> list[str]:
    """The messages, qualified, in the order of the protocol."""
    return list(dict.fromkeys(message for point in points for message in point.ways))


class _Writer:
    """Writes turns down. A turn that a line below it leads back to is the head of a repeat."""

    def __init__(self, roles: tuple[str, str], points: Sequence[Point]) -> None:
        self._roles = roles
        self._points = points
        self._names: dict[int, str] = {}
        self._count = 0

    def lines(self) -> list[str]:
        return self._from(0, None, (), 1)

    def _from(self, at: int, stop: int | None, path: tuple[int, ...], depth: int) -> list[str]:
        """The lines from a turn on, as far as the turn `stop`, which stands below them all."""
        self._count += 1
        if self._count > MOST_LINES:
            raise NotInferred("the protocol would be too long to be read")
        indent = "    " * depth
        if at in path:
            name = self._names.setdefault(at, _name(len(self._names)))
            return [f"{indent}continue {name}"]
        if at == stop:
            return []
        point = self._points[at]
        if point.side is None:
            return [f"{indent}end"]
        is_head = self._leads_back(at)
        found = self._said(at, stop, (*path, at), depth + is_head)
        if at in self._names:
            return [f"{indent}repeat {self._names[at]}:", *found]
        return [line.removeprefix("    ") for line in found] if is_head else found

    def _said(self, at: int, stop: int | None, path: tuple[int, ...], depth: int) -> list[str]:
        point = self._points[at]
        assert point.side is not None
        indent = "    " * depth
        sender, receiver = self._roles[point.side], self._roles[1 - point.side]
        ways = [(f"{sender} -> {receiver}: {_short(one)}", to) for one, to in point.ways.items()]
        if len(ways) == 1 and not point.over:
            return [f"{indent}{ways[0][0]}", *self._from(ways[0][1], stop, path, depth)]
        join = self._join([to for _, to in ways], point.over, path)
        if join is None:
            join = stop
        found = []
        for number, (line, to) in enumerate(ways):
            found.append(f"{indent}or:" if number else f"{indent}choice at {sender}:")
            found.append(f"{indent}    {line}")
            found += self._from(to, join, path, depth + 1)
        if point.over:
            found += [f"{indent}or:", f"{indent}    end"]
        if join is None or join == stop:
            return found
        return [*found, *self._from(join, stop, path, depth)]

    def _leads_back(self, at: int) -> bool:
        return at in self._after(self._points[at].ways.values())

    def _after(self, starts: Iterable[int], without: tuple[int, ...] = ()) -> list[int]:
        """The turns that come after these, nearest first, themselves among them."""
        order = [one for one in dict.fromkeys(starts) if one not in without]
        for number in order:
            for way in self._points[number].ways.values():
                if way not in order and way not in without:
                    order.append(way)
        return order

    def _join(self, starts: Sequence[int], over: bool, path: tuple[int, ...]) -> int | None:
        """The nearest turn at which ways that do not end or go back meet again; None if they do
        not, or only at the end."""
        after = [self._after([start], path) for start in starts if start not in path]
        if len(after) < 2:
            return None
        return next(
            (
                one
                for one in after[0]
                if self._points[one].side is not None and all(one in others for others in after)
            ),
            None,
        )


def _name(number: int) -> str:
    return "again" if number == 0 else f"again_{number + 1}"


def _short(name: str) -> str:
    return name.rpartition(".")[2]
