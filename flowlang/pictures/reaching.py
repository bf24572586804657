"""Which moments of a conversation are drawn, if they are too many: the nearest to what is hoped
for. Tells nothing of them.

A walk that followed the first way to its end, with all that may go wrong on it, would have nothing
left for the second one. So the moments at which somebody decides are looked at in the order of how
often another way was taken until then than the one that is hoped for.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable, Iterator
from typing import Final, NamedTuple

from flowlang import syntax
from flowlang.pictures.acting import Acting, Option
from flowlang.pictures.scene import Round, Run, Scene, Taker, Waiting
from flowlang.pictures.wording import is_endless

OTHER: Final = 1
"""How far another way leads off, and one that is not hoped for."""

ASIDE: Final = 3

LATER: Final = 0.1
"""How much further with each decision before it."""


def whose_turn(acting: Acting, scene: Scene) -> tuple[Taker | None, bool]:
    """Who goes on, and whether it must decide something. Who only leaves a subflow goes first, then
    who reads, so that the frame of a subflow ends with its last message; who answers goes before
    who asked, who need not decide before who must, so everybody is at rest when the first one
    begins a round. A responder begins when something has come to it, or nobody else can go on."""
    asleep = reading = acts = at_wait = deciding = None
    for taker in reversed(scene.takers.values()):
        match acting.readiness(scene, taker):
            case "act" if acting.is_asleep(scene, taker):
                asleep = asleep or taker
            case "act" if acting.only_leaves(taker):
                return taker, False
            case "act" if isinstance(taker.stack[-1], Waiting):
                reading = reading or taker
            case "act":
                acts = acts or taker
            case "decide" if isinstance(taker.stack[-1], Waiting):
                at_wait = at_wait or taker
            case "decide":
                deciding = deciding or taker
            case "blocked":
                pass
    if reading or acts:
        return reading or acts, False
    return (at_wait or asleep or deciding), at_wait is not None or asleep is None


class _Place(NamedTuple):
    """A moment to be looked at: how far away, how many decisions were before it, which loops were
    entered. The number makes the order a total one."""

    away: float
    number: int
    decided: int
    entered: frozenset[Hashable]
    scene: Scene


def nearest(acting: Acting, scene: Scene, most: int) -> frozenset[Hashable]:
    """The keys of the nearest moments at which somebody decides, all of them if no more than `most`
    statements are between them."""
    numbers = itertools.count()
    found: set[Hashable] = set()
    todo = [_Place(0.0, next(numbers), 0, frozenset(), scene.copy())]
    while todo and most > 0:
        place = heapq.heappop(todo)
        at = place.scene
        while True:
            taker, must_decide = whose_turn(acting, at)
            if taker is None or most <= 0:
                break
            most -= 1
            if not must_decide:
                acting.act(at, taker)
                continue
            key = at.key()
            for further, entered, follows in _ways(acting, at, taker, place, key in found):
                away = place.away + further * (1 + LATER * place.decided)
                heapq.heappush(
                    todo, _Place(away, next(numbers), place.decided + 1, entered, follows)
                )
            found.add(key)
            break
    return frozenset(found)


def _ways(
    acting: Acting, scene: Scene, taker: Taker, place: _Place, is_known: bool
) -> Iterator[tuple[float, frozenset[Hashable], Scene]]:
    """How far each way leads off, and the moment after it. A loop has a round, as hoped for, and is
    left behind it, also where that round changes nothing."""
    top = taker.stack[-1]
    if isinstance(top, Round):
        loop = (taker.key, top.node)
        is_behind = loop in place.entered
        if not is_known:
            inside = scene.copy()
            acting.enter(inside.takers[taker.key])
            yield OTHER * is_behind, place.entered | {loop}, inside
        if not (isinstance(top.node, syntax.While) and is_endless(top.node)):
            outside = scene.copy()
            outside.takers[taker.key].stack.pop()
            if is_behind or not is_known:
                yield OTHER * (not is_behind), place.entered - {loop}, outside
        return
    if is_known:
        return
    options = acting.options(scene, taker)
    hoped = [one for one in options if not one.aside and not _leaves(one, taker)]
    first = hoped[0] if hoped else options[0]
    for one in options:
        further = ASIDE if one.aside else OTHER if one is not first else 0
        yield further, place.entered, one.scene


def _leaves(option: Option, taker: Taker) -> bool:
    """Whether a way is only a way out: its block ends the flow, or the loop."""
    after = option.scene.takers.get(taker.key)
    if after is None:
        return True
    top = after.stack[-1]
    if not isinstance(top, Run) or top.at > 0 or not top.block:
        return False
    return isinstance(top.block[-1], syntax.Return | syntax.Throw | syntax.Break)
