"""Which few things go wrong in a world: as a strategy, as a tape, in words. Runs nothing.

A schedule is what a tape keeps: by label and number of the draw the choices that are not 0. Drawn
as a short list it shrinks to few of them, and to none where none is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from flowrt.sim.faults import FATES, OPERATIONS, PACKETS, TROUBLE
from flowrt.sim.tape import Choices, Tape

MOST = 6
"""So many things go wrong in one conversation at most."""

_KINDS = {"commit": FATES, "packet": PACKETS, "operation": OPERATIONS, "trouble": TROUBLE}


class DrawnTape(Tape):
    """A tape that says what a schedule says. What is drawn without knowing how many ways there are
    counts as one of those that there are."""

    def pick(self, label: str, allowed: range | tuple[int, ...], rate: float = 1.0) -> int:
        given = self._given.get(label)
        index = self._counts.get(label, 0)
        if given is not None and index in given and given[index] not in allowed:
            given[index] = allowed[given[index] % len(allowed)] if allowed else 0
        return super().pick(label, allowed, rate)


def schedules(parties: Sequence[str], most: int = MOST) -> SearchStrategy[Choices]:
    """Schedules for a world of these parties: at most `most` things go wrong, none at the least."""
    who = st.sampled_from(list(parties))
    pairs = [(one, other) for one in parties for other in parties if one != other]
    kinds = [
        st.builds(_commit, who, _index, st.integers(1, len(FATES) - 1), st.integers(0, 3)),
        st.builds(_ending, who, _index, st.integers(0, 3)),
        st.builds(_operation, who, st.integers(0, 3), st.integers(1, len(OPERATIONS) - 1)),
        st.builds(_settings, who, st.integers(0, 3), st.integers(0, 1), st.integers(0, 6)),
        st.builds(_trouble, st.integers(0, 12), st.integers(1, 9), who.map(list(parties).index)),
    ]
    if pairs:
        between = st.sampled_from(pairs)
        kind = st.integers(1, len(PACKETS) - 1)
        # Losing one packet only delays: several in a row are what a flow's own clock notices.
        kinds.insert(1, st.builds(_packets, between, _index, kind, st.integers(1, 4), _delay))
    return st.lists(st.one_of(kinds), max_size=most).map(_joined)


_index = st.integers(0, 9)
_delay = st.integers(0, 7)

Trouble = list[tuple[str, int, int]]
"""(label, number of the draw, choice); the number -1 is the next one of its label."""


def _commit(party: str, index: int, fate: int, slow: int) -> Trouble:
    return [(f"commit {party}", index, fate), (f"restart {party}", -1, slow)]


def _packets(pair: tuple[str, str], index: int, kind: int, count: int, delay: int) -> Trouble:
    label = f"packet {pair[0]}-{pair[1]}"
    numbers = range(index, index + count)
    found = [(label, number, kind) for number in numbers]
    return [*found, *[(f"delay of {label} {number + 1}", 0, delay) for number in numbers]]


def _ending(party: str, index: int, slow: int) -> Trouble:
    return [(f"crash sending {party}", index, 1), (f"restart {party}", -1, slow)]


def _operation(party: str, index: int, kind: int) -> Trouble:
    return [(f"operation {party}", index, kind)]


def _settings(party: str, batch: int, reload: int, skew: int) -> Trouble:
    return [("batch", 0, batch), ("reload", 0, reload), (f"skew {party}", 0, skew)]


def _trouble(index: int, kind: int, where: int) -> Trouble:
    return [
        ("trouble every", 0, 1),
        ("trouble", index, kind),
        (f"place of trouble {index + 1}", 0, where),
    ]


def _joined(drawn: Sequence[Trouble]) -> Choices:
    found: dict[str, dict[int, int]] = {}
    following: dict[str, int] = {}
    for label, number, value in (one for trouble in drawn for one in trouble):
        if number < 0:
            number = following.get(label, 0)
            following[label] = number + 1
        if value:
            found.setdefault(label, {}).setdefault(number, value)
    return found


def words(choices: Choices) -> list[str]:
    """Each choice that is not 0, in words, such as `the 3rd commit of seller: crash before`."""
    return [
        _worded(label, index, value)
        for label, found in sorted(choices.items())
        for index, value in sorted(found.items())
        if value
    ]


def _worded(label: str, index: int, value: int) -> str:
    kind, _, where = label.partition(" ")
    nth = _ordinal(index + 1)
    names = _KINDS.get(kind)
    if label == "trouble":
        return f"the {nth} trouble: {TROUBLE[value]}"
    if names is not None and where and kind != "trouble":
        told = names[value] if value < len(names) else str(value)
        if kind == "packet":
            sender, _, receiver = where.partition("-")
            return f"the {nth} packet from {sender} to {receiver}: {told}"
        return f"the {nth} {kind} of {where}: {told}"
    match kind:
        case "crash":
            return f"{where.removeprefix('sending ')} crashes while it sends its {nth} packet"
        case "opening":
            return f"{where} crashes when it opens its store, the {nth} time"
        case "restart":
            return f"the {nth} restart of {where} takes {10**value} times as long"
        case "skew":
            return f"the clock of {where} is wrong (choice {value})"
        case "reload":
            return "nodes forget every flow after its step"
        case "batch":
            return f"batches are of another size (choice {value})"
    return f"{label}, the {nth} time: choice {value}"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
