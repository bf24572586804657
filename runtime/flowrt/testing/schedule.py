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

_LATEST = 30
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
    pairs = [f"{one}-{other}" for one in parties for other in parties if one != other]
    often = [f"commit {party}" for party in parties] + [f"packet {pair}" for pair in pairs]
    seldom = [f"operation {party}" for party in parties]
    seldom += [f"crash sending {party}" for party in parties]
    seldom += [f"opening {party}" for party in parties]
    seldom += ["packet delay", "restart", "turn", "batch", "reload", "trouble every"]
    seldom += ["trouble", "trouble where", "trouble how long"]
    seldom += [f"skew {party}" for party in parties]
    choice = st.tuples(
        st.sampled_from([*often, *often, *seldom]), st.integers(0, _LATEST), st.integers(1, 10)
    )
    return st.lists(choice, max_size=most, unique_by=lambda one: one[:2]).map(_choices)


def _choices(drawn: Sequence[tuple[str, int, int]]) -> Choices:
    found: dict[str, dict[int, int]] = {}
    for label, index, value in drawn:
        # Some are drawn once in a world.
        once = label in ("batch", "reload", "trouble every") or label.startswith("skew ")
        found.setdefault(label, {})[0 if once else index] = value
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
    if names is not None and where and kind != "trouble" and label != "packet delay":
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
            return f"the {nth} restart takes {10**value} times as long"
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
