"""From all ways through a conversation, each told to its end, to a picture that tells once what
they share. Knows no flow.

While the ways are told, `Mark`s stand among the items: where a subflow or a loop is entered and
left, and where a way comes again to a moment that it has seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from collections.abc import Sequence as Items
from typing import Literal, NamedTuple, TypeAlias

from flowlang.pictures.sequence import (
    Alternatives,
    Branch,
    Ending,
    Frame,
    Instead,
    Item,
    Loop,
    Note,
)


@dataclasses.dataclass(frozen=True)
class Mark:
    """`enter` and `leave` a subflow or a loop that runs once, `out` of a loop, `again` at the
    moment `key`."""

    kind: Literal["enter", "leave", "out", "again"]
    key: Hashable
    lane: str = ""
    title: str = ""
    loop: bool = False


Told: TypeAlias = "Item | Mark | Fork | Rounds"


class Way(NamedTuple):
    """One way of several: its condition beside the others, and where it stands alone. `aside` says
    that it is not what is hoped for, so it never is the main one."""

    condition: str
    alone: str
    told: tuple[Told, ...]
    aside: bool = False


@dataclasses.dataclass(frozen=True)
class Fork:
    """Several ways after all of which the same goes on; `instead` is one that leads elsewhere."""

    ways: tuple[Way, ...]
    instead: bool = False


@dataclasses.dataclass(frozen=True)
class Rounds:
    """A loop with what happens in one round."""

    condition: str
    key: Hashable
    told: tuple[Told, ...]


SHORT = 14
"""Items of a way that is drawn beside others even if what follows them is not the same."""


ASIDE = 10
"""Items of a way that is not what is hoped for; of a longer one the beginning is drawn."""


LITTLE = 8
"""Items behind a subflow that may stand in its box, where its ways part."""


def fold(ways: Items[Way]) -> list[Told]:
    """What the ways share at their ends is told once, behind them; a short one that shares nothing
    is told as what happens instead."""
    distinct: list[Way] = []
    for way in ways:
        same = next((n for n, other in enumerate(distinct) if way.told == other.told), None)
        if same is None:
            distinct.append(way)
        elif way.aside and distinct[same].aside:
            alone = f"{distinct[same].alone}; or {way.alone}"
            distinct[same] = distinct[same]._replace(alone=alone)
    if len(distinct) == 1:
        return list(distinct[0].told)
    weights = [-1 if way.aside else weight(way.told) for way in distinct]
    main = distinct[weights.index(max(weights))]
    joined, apart = [], []
    shared = len(main.told)
    for way in distinct:
        common = _common(way.told, main.told)
        if way is main or not _is_trivial(way.told[len(way.told) - common :]):
            joined.append(way)
            shared = min(shared, common)
        else:
            apart.append(way)
    most = max(8, max(weights) // 2)
    is_short = max(weights) <= SHORT  # Then it is no trouble to see it beside the others.
    small = [way for way in apart if way.aside or (not is_short and weight(way.told) <= most)]
    if len(small) < len(apart):
        small = [way for way in apart if way.aside]
        joined, shared = [way for way in distinct if way not in small], 0
    found: list[Told] = [Fork((way,), instead=True) for way in small]
    if len(joined) == 1:
        return [*found, *main.told]
    heads = [way._replace(told=way.told[: len(way.told) - shared]) for way in joined]
    return [*found, Fork(tuple(heads)), *(main.told[len(main.told) - shared :] if shared else ())]


def rounds(condition: str, key: Hashable, loop: Hashable, told: Items[Told],
           behind: Items[Told] | None) -> list[Told] | None:  # fmt: skip
    """A loop that comes again to the moment `key`, and what is `behind` it (None where it ends only
    from within); None if it never comes there again."""
    if not _comes_again(told, key):
        return None
    after: list[tuple[Told, ...]] = []
    _collect(told, loop, after)
    if behind is None:
        # Failures and mere ends are told where they happen.
        good = [one for one in after if not _is_trivial(one) and not _fails(one)]
        behind = max(good, key=weight) if good else ()
    inside = _without(told, loop, tuple(behind))
    return [Rounds(condition, key, tuple(inside)), *behind]


def weight(told: Items[Told]) -> int:
    """How many items there are, those within others too."""
    total = 0
    for one in told:
        match one:
            case Fork(ways=ways):
                total += 1 + sum(weight(way.told) for way in ways)
            case Rounds(told=inside):
                total += 1 + weight(inside)
            case Mark() | Ending():
                pass
            case _:
                total += 1
    return total


def _common(one: Items[Told], other: Items[Told]) -> int:
    """How many things at the ends are the same."""
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count


def _is_trivial(told: Items[Told]) -> bool:
    """Whether it tells only that flows end."""
    return all(
        isinstance(one, Ending) or (isinstance(one, Mark) and one.kind != "again") for one in told
    )


def _fails(told: Items[Told]) -> bool:
    return any(isinstance(one, Ending) and one.failed for one in told)


def shortened(told: Items[Told], lane: str) -> tuple[Told, ...]:
    """The beginning of a way that is not what is hoped for, where it is long."""
    if weight(told) <= ASIDE:
        return tuple(told)
    found: list[Told] = []
    for one in told:
        if weight([*found, one]) > ASIDE - 4:
            break
        found.append(one)
    return (*found, Note((lane,), "what follows is not drawn"))


def _comes_again(told: Items[Told], key: Hashable) -> bool:
    return any(
        (isinstance(one, Mark) and one.kind == "again" and one.key == key)
        or (isinstance(one, Fork) and any(_comes_again(way.told, key) for way in one.ways))
        or (isinstance(one, Rounds) and _comes_again(one.told, key))
        for one in told
    )


def _is_out(one: Told, loop: Hashable) -> bool:
    return isinstance(one, Mark) and one.kind == "out" and one.key == loop


def _collect(told: Items[Told], loop: Hashable, found: list[tuple[Told, ...]]) -> None:
    """What comes behind each place at which the loop is left."""
    for number, one in enumerate(told):
        if _is_out(one, loop):
            found.append(tuple(told[number + 1 :]))
            return
        if isinstance(one, Fork) and not one.instead:
            for way in one.ways:
                _collect(way.told, loop, found)


def _without(told: Items[Told], loop: Hashable, behind: tuple[Told, ...]) -> list[Told]:
    """The same, without what is told behind the loop."""
    found: list[Told] = []
    for number, one in enumerate(told):
        if behind and _is_out(one, loop) and tuple(told[number + 1 :]) == behind:
            return [*found, one]
        if isinstance(one, Fork):
            ways = [way._replace(told=tuple(_without(way.told, loop, behind))) for way in one.ways]
            one = dataclasses.replace(one, ways=tuple(ways))
        found.append(one)
    return found


# --- the picture ----------------------------------------------------------------------------------


def finished(told: Items[Told], *, at_end: bool = False) -> tuple[Item, ...]:
    """The items of the picture. `at_end` says that behind these a next round begins."""
    found: list[Item] = []
    number = 0
    while number < len(told):
        one = told[number]
        is_last = at_end and number == len(told) - 1
        match one:
            case Mark(kind="enter"):
                end = _leaving(told, number)
                if end is None:
                    found.append(Note((one.lane,), _titled(one)))
                else:
                    within = finished(told[number + 1 : end])
                    if within:
                        found.append(
                            Loop(one.title, within)
                            if one.loop
                            else Frame(one.lane, one.title, within)
                        )
                    number = end
            case Mark(kind="out", lane=lane) if number == len(told) - 1:
                found.append(Note((lane,), "leaves the loop"))
            case Mark(kind="again", lane=lane) if not is_last:
                found.append(Note((lane,), "goes on with the next round"))
            case Mark():
                pass
            case Rounds(condition=condition, told=inside):
                found.append(Loop(condition, finished(inside, at_end=True)))
            case Fork(ways=[way], instead=True):
                found.append(Instead(way.alone, finished(way.told)))
            case Fork(ways=ways):
                found += _alternatives(ways, is_last)
            case _:
                found.append(one)
        if len(found) > 1 and isinstance(found[-1], Note) and found[-1] == found[-2]:
            found.pop()
        number += 1
    return tuple(found)


def _alternatives(ways: Items[Way], is_last: bool) -> list[Item]:
    drawn = [(way, finished(way.told, at_end=is_last)) for way in ways]
    if len([one for one in drawn if one[1]]) == 1 and len(drawn) == 2:
        [(way, items)] = [one for one in drawn if one[1]]
        return [Alternatives((Branch(way.alone, items),))]
    if not any(items for _, items in drawn):
        return []
    return [Alternatives(tuple(Branch(way.condition, items) for way, items in drawn))]


def _leaving(told: Items[Told], start: int) -> int | None:
    """Where the subflow that is entered at `start` is left; the end of all where hardly anything
    comes behind it anyhow; None if the ways part before."""
    mark = told[start]
    assert isinstance(mark, Mark)
    for number in range(start + 1, len(told)):
        one = told[number]
        if isinstance(one, Mark) and one.kind == "leave" and one.key == mark.key:
            return number
    behind: list[tuple[Told, ...]] = []
    _behind(told[start + 1 :], mark.key, behind)
    # Where the ways part within a subflow, its box holds the little that comes behind it, too.
    return len(told) if all(weight(one) <= LITTLE for one in behind) else None


def _behind(told: Items[Told], key: Hashable, found: list[tuple[Told, ...]]) -> None:
    for number, one in enumerate(told):
        if isinstance(one, Mark) and one.kind == "leave" and one.key == key:
            found.append(tuple(told[number + 1 :]))
            return
        if isinstance(one, Fork) and not one.instead:
            for way in one.ways:
                _behind(way.told, key, found)


def _titled(mark: Mark) -> str:
    return mark.title if mark.loop else f"subflow {mark.title}"
