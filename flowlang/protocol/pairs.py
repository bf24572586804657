"""What two automata can do together: all of it, and the shortest way to where it goes wrong.

First as if every message were taken at once. If both sides never want to send at the same moment
that decides for queues of any size, since what one side has under way never meets what the other
has (half-duplex systems: Cécé and Finkel, 2005). Otherwise with queues, of one message, two, and so
on, until a longer one changes nothing (Lange and Yoshida, 2019, for two sides that each either send
or receive).
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from flowlang.protocol.automaton import Arm, Automaton, Edge, Final, Kind, Values
from flowlang.protocol.frames import TIME_OVER
from flowlang.protocol.sides import Side as _Side

LONGEST = 64
"""Messages under way in one direction, at most."""

MOST_CONFIGURATIONS = 150_000

MOST_PAST = 8
"""Messages under way at most where it is looked past what goes wrong."""

LEFT, RIGHT = 0, 1


class Move(NamedTuple):
    """One thing that happened: `side` did it. `taken` is what the other side did with a message in
    the same moment, None where it only was sent, or nothing was."""

    side: int
    edge: Edge | None
    taken: Edge | None = None
    is_dropped: bool = False


@dataclasses.dataclass(frozen=True)
class Misfit:
    """Where it goes wrong: which of the findings, `side` is the one that stands badly, the way
    there, where both are. `message` is what nobody takes, `edge` its sending. `other` is, for P210,
    another way to where the message would be taken."""

    code: str
    side: int
    way: tuple[Move, ...]
    at: tuple[int, int]
    edge: Edge | None = None
    other: tuple[Move, ...] | None = None

    @property
    def is_late(self) -> bool:
        """Whether the side that stands badly had given up waiting."""
        return any(move.side == self.side and _gives_up(move.edge) for move in self.way)

    @property
    def is_warning(self) -> bool:
        """Whether nobody is worse off: what came too late is dropped, or much piles up."""
        return self.code == "P208" or (self.code == "P204" and self.is_late)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`misfits` are at most one error, which is first, and what is only to be warned of. `longest`
    is how many messages under way were looked at, 0 where any number is covered. `used` are the
    cases that can happen, `configurations` how many were looked at, `miscounts` the sides that may
    count one of a group twice."""

    misfits: tuple[Misfit, ...]
    longest: int
    used: frozenset[Arm]
    configurations: int
    miscounts: frozenset[int] = frozenset()


Config: TypeAlias = tuple[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]]]
"""Where both are; and what is under way to each, as the numbers of the edges that sent it."""

START: Config = ((0, 0), ((), ()))


def check(left: Automaton, right: Automaton) -> Verdict:
    """Whether the two fit."""
    sides = (_Side(left), _Side(right))
    together = _Together(sides)
    found = together.explore()
    if not together.crosses:
        return together.verdict(found, 0)
    most = min(LONGEST, 1 + max(sum(map(bool, side.sends)) for side in sides))
    bound = 0
    while True:
        bound += 1
        queued = _Queued(sides, bound)
        found = queued.explore()
        if found is not None:
            return queued.verdict(found, bound)
        blocked = queued.first_blocked()
        if blocked is None:
            return queued.verdict(None, 0)
        if bound >= most or len(queued.seen) > MOST_CONFIGURATIONS:
            return queued.verdict(None, bound, queued.misfit("P208", LEFT, blocked))


def happening(left: Automaton, right: Automaton) -> frozenset[Arm] | None:
    """The cases that can happen, past what goes wrong too; None where that is not known. Who hears
    a message that it does not take, or an end that it does not expect, fails; unless it catches
    that, which is not followed."""
    sides = (_Side(left), _Side(right))
    together = _Together(sides, past=True)
    together.explore()
    if not together.crosses:
        return together.happened()
    for bound in range(1, MOST_PAST + 1):
        queued = _Queued(sides, bound, past=True)
        queued.explore()
        if queued.happened() is None:
            return None
        if queued.first_blocked() is None:
            return queued.happened()
    return None


def explored(
    left: Automaton, right: Automaton
) -> tuple[dict[Config, list[tuple[Config, Move]]], Config]:
    """All that two sides can do together, by where they are, and where they begin. Where both may
    send at once, with one message under way in each direction."""
    sides = (_Side(left), _Side(right))
    together = _Together(sides)
    together.explore()
    if not together.crosses:
        return together.after, START
    queued = _Queued(sides, 1)
    queued.explore()
    return queued.after, START


class _Exploration(abc.ABC):
    """All that can happen, breadth first, so that the first way to a place is a shortest one."""

    def __init__(self, sides: tuple[_Side, _Side], *, past: bool = False) -> None:
        self.sides = sides
        self.past = past
        self._is_caught = False
        self.seen: dict[Config, tuple[Config, Move] | None] = {START: None}
        self.after: dict[Config, list[tuple[Config, Move]]] = {}
        self.order: list[Config] = [START]
        self.used: set[Arm] = set()
        self.late: dict[Config, Misfit] = {}
        """Where a message comes to a side that gave up waiting for it and has ended: a warning,
        which hides nothing that is behind it."""

    def explore(self) -> Misfit | None:
        """The first thing that is wrong."""
        seen, order = self.seen, self.order
        for config in order:
            if self.is_done(config):
                self.after[config] = []
                continue
            wrong = self.wrong(config)
            if wrong is not None and not self.past:
                return wrong
            if wrong is not None and self.catches(config):
                self._is_caught = True
                return wrong
            if self.leaves(config) or len(order) > 4 * MOST_CONFIGURATIONS:
                return None
            after = self.after[config] = list(self.moves(config))
            for target, move in after:
                if target not in seen:
                    seen[target] = (config, move)
                    order.append(target)
        return None

    def happened(self) -> frozenset[Arm] | None:
        """The cases that happened, if all that can was looked at."""
        is_all = not self._is_caught and len(self.after) == len(self.order)
        return frozenset(self.used) if is_all else None

    def verdict(
        self, found: Misfit | None, longest: int, unbounded: Misfit | None = None
    ) -> Verdict:
        if unbounded is not None:
            # With queues that long some wait only for room.
            found = unbounded
        misfits = [found] if found is not None else list(self._stuck()) or self._unread_anyway()
        misfits += list(self._too_late(misfits))
        miscounts = self._miscounts(not misfits and bool(longest))
        return Verdict(tuple(misfits), longest, frozenset(self.used), len(self.seen), miscounts)

    def _miscounts(self, is_part: bool) -> frozenset[int]:
        """The sides that may count somebody twice; where only a part was looked at, as far as is
        known."""
        found = set()
        for number, side in enumerate(self.sides):
            if Final.MISCOUNTED in side.final and (
                is_part or any(side.final[at[0][number]] is Final.MISCOUNTED for at in self.seen)
            ):
                found.add(number)
        return frozenset(found)

    def _unread(self, side: int, config: Config, sent: Edge) -> Misfit | None:
        """A message for a side that has ended; None where it only comes too late."""
        found = self.misfit("P204", side, config, sent)
        if not found.is_late:
            return found
        self.late.setdefault(config, found)
        return None

    def _unread_anyway(self) -> list[Misfit]:
        """A message that came too late on the shortest way, but nobody reads it on another one, on
        which its receiver did not give up."""
        for side in (LEFT, RIGHT):
            places = [config for config, found in self.late.items() if found.side == side]
            if not places:
                continue
            ways: dict[Config, tuple[Config, Move] | None] = {START: None}
            order = [START]
            for config in order:
                for target, move in self.after.get(config, ()):
                    patient = move.side != side or not _gives_up(move.edge)
                    if target not in ways and patient:
                        ways[target] = (config, move)
                        order.append(target)
            for config in places:
                if config in ways:
                    return [dataclasses.replace(self.late[config], way=_way(ways, config))]
        return []

    def _too_late(self, errors: Sequence[Misfit]) -> Iterator[Misfit]:
        """The first warning that is not of the same message as an error."""
        told = {error.edge.spot for error in errors if error.edge is not None}
        for found in self.late.values():
            if found.edge is not None and found.edge.spot not in told:
                yield found
                return

    @abc.abstractmethod
    def leaves(self, config: Config) -> bool:
        """Whether it is of no use to go on."""

    @abc.abstractmethod
    def moves(self, config: Config) -> Iterator[tuple[Config, Move]]:
        """What can happen next."""

    @abc.abstractmethod
    def wrong(self, config: Config) -> Misfit | None:
        """What is wrong just here."""

    @abc.abstractmethod
    def arriving(self, number: int, config: Config) -> Iterable[Edge]:
        """The messages that a side may have to read next."""

    def catches(self, config: Config) -> bool:
        """Whether a side catches that it does not take a message, and goes on."""
        for number in (LEFT, RIGHT):
            me, mine = self.sides[number], config[0][number]
            node = me.nodes[mine]
            if node.refused is not None and not node.owes:
                if any(me.takes(mine, edge) is None for edge in self.arriving(number, config)):
                    return True
        return False

    def is_done(self, config: Config) -> bool:
        """Whether a side has failed, which the other learns, or there never was a session."""
        left, right = config[0]
        finals = self.sides[LEFT].final[left], self.sides[RIGHT].final[right]
        return any(final > Final.CLOSED for final in finals)

    def misfit(self, code: str, side: int, config: Config, edge: Edge | None = None) -> Misfit:
        return Misfit(code, side, self.way(config), config[0], edge)

    def way(self, config: Config) -> tuple[Move, ...]:
        return _way(self.seen, config)

    def _silent(self, config: Config) -> Iterator[tuple[Config, Move]]:
        (left, right), queues = config
        for edge in self.sides[LEFT].silent[left]:
            yield ((edge.target, right), queues), Move(LEFT, edge)
        for edge in self.sides[RIGHT].silent[right]:
            yield ((left, edge.target), queues), Move(RIGHT, edge)

    def _ends(self, config: Config) -> Iterator[tuple[Config, Move]]:
        """A side learns that the other has ended, with nothing left to read."""
        for number in (LEFT, RIGHT):
            me, other = self.sides[number], self.sides[1 - number]
            if config[1][number] or other.final[config[0][1 - number]] not in ENDINGS:
                continue
            for edge in me.ends[config[0][number]]:
                if edge.arm is not None:
                    self.used.add(edge.arm)
                yield _moved(config, number, edge.target), Move(number, edge)

    def _both_wait(self, config: Config) -> bool:
        (left, right), queues = config
        one, other = self.sides
        return (
            one.waits[left]
            and other.waits[right]
            and queues == START[1]
            and not one.silent[left]
            and not other.silent[right]
        )

    def _is_alone(self, number: int, config: Config) -> bool:
        """Whether a side waits while the other has ended, which it does not expect."""
        me, other = self.sides[number], self.sides[1 - number]
        return (
            me.waits[config[0][number]]
            and not me.ends[config[0][number]]
            and not config[1][number]
            and other.final[config[0][1 - number]] in ENDINGS
        )

    def refused(self, receiver: int, config: Config, sent: Edge) -> Misfit:
        """A message that is not accepted. Perhaps after the very same messages it would be, had the
        receiver decided otherwise: then the sender cannot know."""
        if self.past:
            return self.misfit("P201", receiver, config, sent)
        here = self.sides[receiver].receives[config[0][receiver]]
        if any(name.rpartition(".")[2] == sent.message.rpartition(".")[2] for name in here):
            return self.misfit("P202", receiver, config, sent)
        other = self._other_way(receiver, config, sent)
        found = self.misfit("P201" if other is None else "P210", receiver, config, sent)
        return dataclasses.replace(found, other=other)

    def _other_way(self, receiver: int, config: Config, sent: Edge) -> tuple[Move, ...] | None:
        """Another way with the same messages, to where the message would be taken and its sender
        stands where it stands now."""
        side = self.sides[receiver]
        told = [seen for move in self.way(config) if (seen := _seen(move)) is not None]
        found: dict[tuple[Config, int], tuple[tuple[Config, int], Move] | None]
        found = {(START, 0): None}
        order = list(found)
        for place in order:
            at, count = place
            if (
                count == len(told)
                and at[0][1 - receiver] == config[0][1 - receiver]
                and at[1][receiver] == config[1][receiver]
                and side.waits[at[0][receiver]]
                and side.takes(at[0][receiver], sent)
            ):
                return _way(found, place)
            if len(order) > 20_000:
                return None
            for target, move in self.moves(at):
                seen = _seen(move)
                if seen is not None and (count == len(told) or seen != told[count]):
                    continue
                following = target, count + (seen is not None)
                if following not in found:
                    found[following] = (place, move)
                    order.append(following)
        return None

    # --- for ever -----------------------------------------------------------------------------

    def _stuck(self) -> Iterator[Misfit]:
        """Who waits for ever although the other side goes on, and what is never read."""
        if len(self.after) < len(self.order):
            return
        for number in (LEFT, RIGHT):
            side = self.sides[number]
            moving = self._reaching(functools.partial(_moves_side, number=number))
            for config in self.order:
                if config in moving or side.silent[config[0][number]]:
                    continue
                if side.waits[config[0][number]]:
                    yield self.misfit("P206", number, config)
                    return
                if side.sends[config[0][number]]:
                    yield self.misfit("P207", 1 - number, config, side.sends[config[0][number]][0])
                    return

    def _reaching(
        self, wanted: Callable[[Move], bool], over: Callable[[Config], bool] | None = None
    ) -> set[Config]:
        """From where such a move can still come, or where all is `over`."""
        before: dict[Config, list[Config]] = {}
        found = {config for config in self.order if (over or self.is_done)(config)}
        for config, after in self.after.items():
            for target, move in after:
                if wanted(move):
                    found.add(config)
                before.setdefault(target, []).append(config)
        todo = list(found)
        while todo:
            for config in before.get(todo.pop(), ()):
                if config not in found:
                    found.add(config)
                    todo.append(config)
        return found


ENDINGS = (Final.ENDED, Final.CLOSED)


class _Together(_Exploration):
    """As if every message were taken at once."""

    def __init__(self, sides: tuple[_Side, _Side], *, past: bool = False) -> None:
        super().__init__(sides, past=past)
        self.crosses = False

    def leaves(self, config: Config) -> bool:
        # Both may send now: what they have under way can meet.
        left, right = config[0]
        if self.sides[LEFT].sends[left] and self.sides[RIGHT].sends[right]:
            self.crosses = True
        return self.crosses

    def moves(self, config: Config) -> Iterator[tuple[Config, Move]]:
        yield from self._silent(config)
        for number in (LEFT, RIGHT):
            for edge in self.sides[number].sends[config[0][number]]:
                yield from self._sent(number, edge, config)
        yield from self._ends(config)

    def _sent(self, number: int, edge: Edge, config: Config) -> Iterator[tuple[Config, Move]]:
        other = self.sides[1 - number]
        its = config[0][1 - number]
        node = other.nodes[its]
        sent = _moved(config, number, edge.target)
        if node.final is Final.CLOSED or (
            node.final is Final.ENDED and (self.past or config in self.late)
        ):
            yield sent, Move(number, edge, None, True)
        elif node.owes:
            yield _moved(sent, 1 - number, node.minus), Move(number, edge, None, True)
        elif node.is_receiving:
            for taken in other.takes(its, edge) or ():
                if taken.arm is not None:
                    self.used.add(taken.arm)
                yield _moved(sent, 1 - number, taken.target), Move(number, edge, taken)

    def arriving(self, number: int, config: Config) -> Iterable[Edge]:
        return self.sides[1 - number].sends[config[0][1 - number]]

    def wrong(self, config: Config) -> Misfit | None:
        for number in (LEFT, RIGHT):
            me, other = self.sides[number], self.sides[1 - number]
            its = config[0][1 - number]
            node = other.nodes[its]
            for edge in me.sends[config[0][number]]:
                if node.owes:
                    continue
                if node.final is Final.ENDED:
                    unread = self._unread(1 - number, config, edge)
                    if unread is not None:
                        return unread
                if node.is_receiving and other.takes(its, edge) is None:
                    return self.refused(1 - number, config, edge)
            if self._is_alone(number, config):
                return self.misfit("P203", number, config)
        return self.misfit("P205", LEFT, config) if self._both_wait(config) else None


class _Queued(_Exploration):
    """With up to `bound` messages under way to each side."""

    def __init__(self, sides: tuple[_Side, _Side], bound: int, *, past: bool = False) -> None:
        super().__init__(sides, past=past)
        self._bound = bound
        self._blocked: list[tuple[int, Config]] = []

    def leaves(self, config: Config) -> bool:
        return False

    def moves(self, config: Config) -> Iterator[tuple[Config, Move]]:
        yield from self._silent(config)
        for number in (LEFT, RIGHT):
            yield from self._sent(number, config)
            yield from self._read(number, config)
        yield from self._ends(config)

    def _sent(self, number: int, config: Config) -> Iterator[tuple[Config, Move]]:
        edges = self.sides[number].sends[config[0][number]]
        if not edges:
            return
        if self.sides[1 - number].final[config[0][1 - number]] is Final.CLOSED:
            for edge in edges:
                yield _moved(config, number, edge.target), Move(number, edge, None, True)
            return
        queue = config[1][1 - number]
        if len(queue) >= self._bound:
            self._blocked.append((number, config))
            return
        for edge, named in zip(edges, self.sides[number].numbers[config[0][number]], strict=True):
            sent = _moved(config, number, edge.target)
            yield _queued(sent, 1 - number, (*queue, named)), Move(number, edge)

    def _read(self, number: int, config: Config) -> Iterator[tuple[Config, Move]]:
        queue = config[1][number]
        if not queue:
            return
        me, mine = self.sides[number], config[0][number]
        node = me.nodes[mine]
        rest = _queued(config, number, queue[1:])
        if node.final is Final.CLOSED or (node.final is Final.ENDED and config in self.late):
            yield rest, Move(number, None, None, True)
        elif node.owes:
            yield _moved(rest, number, node.minus), Move(number, None, None, True)
        elif node.is_receiving:
            for taken in me.takes(mine, self.sides[1 - number].sent[queue[0]]) or ():
                if taken.arm is not None:
                    self.used.add(taken.arm)
                yield _moved(rest, number, taken.target), Move(number, taken)

    def arriving(self, number: int, config: Config) -> Iterable[Edge]:
        return [self.sides[1 - number].sent[one] for one in config[1][number][:1]]

    def is_done(self, config: Config) -> bool:
        # What was under way when a side failed is read before that is heard of.
        (left, right), (to_left, to_right) = config
        if to_right and self.sides[LEFT].final[left] is Final.FAILED:
            return False
        if to_left and self.sides[RIGHT].final[right] is Final.FAILED:
            return False
        return super().is_done(config)

    def wrong(self, config: Config) -> Misfit | None:
        for number in (LEFT, RIGHT):
            me, queue = self.sides[number], config[1][number]
            node = me.nodes[config[0][number]]
            if queue and not node.owes:
                first = self.sides[1 - number].sent[queue[0]]
                if node.final is Final.ENDED:
                    unread = self._unread(number, config, first)
                    if unread is not None:
                        return unread
                if node.is_receiving and me.takes(config[0][number], first) is None:
                    return self.refused(number, config, first)
            if self._is_alone(number, config):
                return self.misfit("P203", number, config)
        return self.misfit("P205", LEFT, config) if self._both_wait(config) else None

    def first_blocked(self) -> Config | None:
        """Where a sender waits for room that the other side, going on alone, never makes: longer
        queues may tell something new."""
        roomy: set[tuple[int, Config]] = set()
        for number, config in self._blocked:
            if not self._makes_room(number, config, roomy):
                return config
        return None

    def _makes_room(self, number: int, config: Config, roomy: set[tuple[int, Config]]) -> bool:
        order, seen = [config], {config}
        for at in order:
            if (
                (number, at) in roomy
                or len(at[1][1 - number]) < self._bound
                or self.is_done(at)
                or self.sides[1 - number].final[at[0][1 - number]] in ENDINGS
            ):
                roomy.add((number, config))
                return True
            for target, move in self.after.get(at, ()):
                if move.side == 1 - number and target not in seen:
                    seen.add(target)
                    order.append(target)
        return False

    def _stuck(self) -> Iterator[Misfit]:
        found = list(super()._stuck())
        yield from found
        if found or len(self.after) < len(self.order):
            return
        for number in (LEFT, RIGHT):
            # Who fails reads nothing more, and the other side hears of that.
            def over(at: Config, number: int = number) -> bool:
                return self.is_done(at) or self.sides[number].final[at[0][number]] is Final.FAILED

            reading = self._reaching(functools.partial(_reads, number=number), over)
            for config in self.order:
                if config[1][number] and config not in reading:
                    first = self.sides[1 - number].sent[config[1][number][0]]
                    yield self.misfit("P207", number, config, first)
                    return


def _moved(config: Config, number: int, target: int) -> Config:
    (left, right), queues = config
    return ((target, right) if number == LEFT else (left, target)), queues


def _queued(config: Config, number: int, queue: tuple[int, ...]) -> Config:
    """With this under way to a side."""
    places, (to_left, to_right) = config
    return places, ((queue, to_right) if number == LEFT else (to_left, queue))


def _seen(move: Move) -> tuple[int, str, Values] | None:
    """What the other side could see."""
    if move.edge is None or move.edge.kind is not Kind.SEND:
        return None
    return move.side, move.edge.message, move.edge.values


def _moves_side(move: Move, number: int) -> bool:
    return move.side == number or move.taken is not None or move.is_dropped


def _reads(move: Move, number: int) -> bool:
    return move.side == number and (
        move.is_dropped or (move.edge is not None and move.edge.kind is Kind.RECEIVE)
    )


def _gives_up(edge: Edge | None) -> bool:
    return edge is not None and any(step.told == TIME_OVER for step in edge.steps)


_Place = TypeVar("_Place")


def _way(found: Mapping[_Place, tuple[_Place, Move] | None], place: _Place) -> tuple[Move, ...]:
    way = []
    step = found[place]
    while step is not None:
        way.append(step[1])
        step = found[step[0]]
    return tuple(reversed(way))


def taken_at_once(left: Automaton, right: Automaton) -> _Together:
    """All that the two can do together where every message is taken at once, not yet explored."""
    return _Together((_Side(left), _Side(right)))


# --- against a protocol -------------------------------------------------------------------------

OUT_OF_TURN = "turn"
"""The code of a misfit where the left side sends although it is the other's turn."""


def in_turns(left: Automaton, right: Automaton) -> Verdict:
    """Whether the left side fits all that keep to a protocol as `right` does, which is any of them:
    it sends whatever may be sent, and takes whatever may come. All places where it goes wrong."""
    return _InTurns((_Side(left), _Side(right))).all()


class _InTurns(_Together):
    """Nobody sends but in turn, so that what was found for one that keeps to the protocol holds for
    every other."""

    def leaves(self, config: Config) -> bool:
        return False

    def all(self) -> Verdict:
        """Goes on beside what is wrong, as far as there is a way around it."""
        found: dict[tuple[str, int, str, tuple[int, int]], Misfit] = {}
        for config in self.order:
            self.after[config] = []
            if self.is_done(config):
                continue
            for wrong in self._wrongs(config):
                sent = wrong.edge.message if wrong.edge is not None else ""
                found.setdefault((wrong.code, wrong.side, sent, wrong.at), wrong)
            self.after[config] = list(self.moves(config))
            for target, move in self.after[config]:
                if target not in self.seen:
                    self.seen[target] = (config, move)
                    self.order.append(target)
            if len(self.order) > MOST_CONFIGURATIONS:
                break
        misfits = list(found.values()) or list(self._stuck())
        miscounts = self._miscounts(len(self.after) < len(self.order))
        return Verdict(tuple(misfits), 0, frozenset(self.used), len(self.seen), miscounts)

    def _wrongs(self, config: Config) -> Iterator[Misfit]:
        """All that is wrong at a place, one for each message."""
        left, right = config[0]
        mine = self.sides[LEFT].sends[left]
        if mine and self.sides[RIGHT].sends[right]:
            yield self.misfit(OUT_OF_TURN, RIGHT, config, mine[0])
            return
        is_refused = False
        for number in (LEFT, RIGHT):
            other, its = self.sides[1 - number], config[0][1 - number]
            node = other.nodes[its]
            for edge in self.sides[number].sends[config[0][number]]:
                if node.owes:
                    continue
                if node.final is Final.ENDED:
                    yield self.misfit("P204", 1 - number, config, edge)
                elif node.is_receiving and other.takes(its, edge) is None:
                    yield self.refused(1 - number, config, edge)
                else:
                    continue
                is_refused = True
        found = None if is_refused else self.wrong(config)
        if found is not None:
            yield found
