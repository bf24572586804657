"""All conversations of some flows as one sequence picture: their trees are walked side by side,
each session in lockstep. Judges nobody: where two sides do not fit, a note says what each does.

Every way is told to its end, from the moment at which somebody decides; `folding` makes of that
what is drawn. A moment that comes again is the next round of a loop.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping

from flowlang import syntax, types
from flowlang.checker.nodes import everything
from flowlang.pictures.acting import Acting, Option
from flowlang.pictures.folding import Mark, Told, Way, finished, fold, rounds, shortened, weight
from flowlang.pictures.reaching import nearest, whose_turn
from flowlang.pictures.responding import responder
from flowlang.pictures.scene import Round, Scene, Taker
from flowlang.pictures.sequence import Note, Sequence, every, named
from flowlang.pictures.wording import is_endless, listed, short

LOOKED_AT = (3_000, 2_300, 1_800, 1_400, 1_100, 850, 650, 500)
"""So many statements are looked at to find which moments are drawn, fewer if that is too much."""

MOST_STEPS = 8_000
"""Statements that are walked through then, some more than once; what is left is not drawn."""

MOST_TOLD = 600
"""Items of a picture; of more nobody sees anything."""

DEEPEST = 200
"""Decisions in each other."""

UNROLLED = 3
"""A loop that never comes to the same moment again is told so many times."""

SERVED = 6
"""A flow that serves another one's loop is taken for that so many times."""


def conversation(
    root: str, followed: Iterable[str], project: Mapping[str, types.Checked]
) -> Sequence:
    """What is said from the first statement of the flow `root` on, between it and those of
    `followed` that are opened on the way (qualified names); others are lanes whose answers come
    whenever they are waited for. `project` has the checked files by module."""
    acting = Acting(project, frozenset(followed))
    scene = Scene()
    acting.begin(scene, root)
    items = finished(_told(acting, scene))
    used = {key for item in every(items) for key in named(item)}
    lanes = acting.lanes.in_order(used)
    names = list(dict.fromkeys(lane.name for lane in lanes if lane.kind == "party"))
    title = listed(names, "and") if names else short(root)
    return Sequence(title, lanes, items, f"What is said between {title}, in every way.")


def _told(acting: Acting, scene: Scene) -> list[Told]:
    """All ways from a moment on, or as many of the nearest as a picture can have: more moments give
    a larger picture."""
    low, high = 0, len(LOOKED_AT) - 1
    told: list[Told] | None = None
    known: dict[frozenset[Hashable], bool] = {}
    while low <= high:
        # All of it first, as most conversations are short.
        at = 0 if not known else (low + high) // 2
        near = nearest(acting, scene, LOOKED_AT[at])
        if near not in known:
            walk = _Walk(acting, near)
            found = walk.walk(scene.copy(), (), {}, 0)
            known[near] = walk.is_whole and weight(found) <= MOST_TOLD
            if known[near] or told is None or at == len(LOOKED_AT) - 1:
                told = found
        low, high = (low, at - 1) if known[near] else (at + 1, high)
    assert told is not None
    return told


class _Walk:
    """All ways from a moment on."""

    def __init__(self, acting: Acting, near: frozenset[Hashable]) -> None:
        """What follows moments that are not `near` is not told."""
        self._acting = acting
        self._near = near
        self._steps = 0
        self.is_whole = True
        self._known: dict[Hashable, list[Told]] = {}

    def walk(
        self, scene: Scene, heads: tuple[Hashable, ...], visits: Mapping[Hashable, int], depth: int
    ) -> list[Told]:
        """Everything from here to the ends. `heads` are the moments at which the rounds of loops
        began that this is within, `visits` how often each loop was come to."""
        acting, told = self._acting, list[Told]()
        while True:
            taker, must_decide = whose_turn(acting, scene)
            if taker is None:
                return [*told, *acting.stuck(scene)]
            self._steps += 1
            if self._steps > MOST_STEPS or depth > DEEPEST:
                self.is_whole = False
                return [*told, _rest(taker)]
            if not must_decide:
                told += acting.act(scene, taker)
                continue
            key = scene.key()
            if key not in self._near:
                return [*told, _rest(taker)]
            top = taker.stack[-1]
            if isinstance(top, Round):
                at = (taker.key, top.node)
                seen = visits.get(at, 0)
                visits = {**visits, at: seen + 1}
                if acting.is_served(scene, taker, top.node) and seen < SERVED:
                    acting.enter(taker)
                    continue
                return [*told, *self._round(scene, taker, top.node, heads, visits, depth)]
            place = (key, heads)
            if place not in self._known:
                ways = [
                    self._way(option, taker, heads, visits, depth)
                    for option in acting.options(scene, taker)
                ]
                self._known[place] = fold(ways)
            return [*told, *self._known[place]]

    def _way(
        self,
        option: Option,
        taker: Taker,
        heads: tuple[Hashable, ...],
        visits: Mapping[Hashable, int],
        depth: int,
    ) -> Way:
        told = [*option.told, *self.walk(option.scene, heads, visits, depth + 1)]
        kept = shortened(told, taker.lane) if option.aside else tuple(told)
        return Way(option.condition, option.alone, kept, option.aside)

    def _round(
        self,
        scene: Scene,
        taker: Taker,
        node: syntax.While | syntax.For,
        heads: tuple[Hashable, ...],
        visits: Mapping[Hashable, int],
        depth: int,
    ) -> list[Told]:
        key, place = scene.key(), (taker.key, node)
        if key in heads:
            return [Mark("again", key, taker.lane)]
        if visits[place] > UNROLLED + SERVED:
            return [Note((taker.lane,), "and so on")]
        said = self._acting.round_of(taker, node)
        inside, outside = scene.copy(), scene.copy()
        self._acting.enter(inside.takers[taker.key])
        told = self.walk(inside, (*heads, key), visits, depth + 1)
        if isinstance(node, syntax.While) and is_endless(node):
            return rounds(said, key, place, told, None) or told
        outside.takers[taker.key].stack.pop()
        behind = self.walk(outside, heads, visits, depth + 1)
        found = rounds(said, key, place, told, behind)
        if found is not None:
            return found
        ways = [
            Way(said, said, tuple(told)),
            Way("no more", f"not (any more): {said}", tuple(behind)),
        ]
        return fold(ways)


def _rest(taker: Taker) -> Note:
    said = "what follows is not drawn: there are too many ways"
    return Note((taker.lane,), said, "trouble")


def _is_flow(project: Mapping[str, types.Checked], name: str) -> bool:
    module, _, own = name.rpartition(".")
    return module in project and isinstance(project[module].infos.get(own), types.FlowInfo)


def opened_by(
    root: str, project: Mapping[str, types.Checked], through: Container[str] | None = None
) -> list[str]:
    """The flows with which a flow, its subflows and those that they open (of `through` alone, where
    that is given) have sessions, by their qualified names, in the order of the text."""
    opened: dict[str, None] = {}
    seen = {root}
    todo = [root]
    for name in todo:  # It grows while it is read.
        module, _, own = name.rpartition(".")
        checked = project[module]
        info = checked.infos[own]
        assert isinstance(info, types.FlowInfo)
        for node in everything(info.declaration.body):
            passes = isinstance(node, syntax.Subflow)
            if isinstance(node, syntax.Open):
                flow = responder(project, checked, node, through or ())
                if _is_flow(project, flow):
                    opened.setdefault(flow)
                passes = through is None or flow in through
            elif isinstance(node, syntax.Subflow):
                called = checked.meaning_of.get(node.call.callee)
                if not isinstance(called, types.FlowInfo):
                    continue
                flow = called.name
            else:
                continue
            if passes and flow not in seen and _is_flow(project, flow):
                seen.add(flow)
                todo.append(flow)
    return list(opened)
