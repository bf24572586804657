"""A run of one session, completed by all that it leaves open: what services answer or throw, what
the other sessions do and when, who is killed. Knows how to look for it; a node says if it is one.

The runtime is played from the start again and again. Where it could go on in several ways, the way
that the finding tells is tried first, then everything that differs from it once, then twice. A play
that says or reads something else on the session than the finding tells is given up at once. Where
all nodes do at once what they can there may be none: then one of them takes its time, so that what
others send arrives between two of its events.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import re
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from flowlang.protocol.automaton import Kind
from flowlang.protocol.check import Session
from flowlang.protocol.pairs import Misfit
from tests.protocol.following import ANOTHER, LATE, THROWS, NotPlayable
from tests.protocol.playing import LEFT, RIGHT, SIDES, Stage, TooLong, Wrong, replay
from tests.protocol.tree import Let, Pair, bodies

FIRST_PLAYS = 300
MOST_PLAYS = 4_000
MOST_CHOICES = 80
DECISION = re.compile(r"`(not )?(?:match )?([\w.()]+)`.* (holds|does not hold)$")


class _Otherwise(Exception):
    """This play is not the run that is told."""


def played(pair: Pair, modules: Sequence[ModuleType], session: Session, misfit: Misfit) -> str:
    """Play the run of a misfit, as it is told where that is all that happens; what it ended in.
    Raises Wrong, following.Spurious."""
    if len(pair.sessions) == 1:
        with contextlib.suppress(NotPlayable):
            return replay(pair, modules, misfit)
    return complete(pair, modules, session, misfit)[0]


def complete(
    pair: Pair, modules: Sequence[ModuleType], session: Session, misfit: Misfit
) -> tuple[str, int]:
    """What the run ended in, and after how many plays. Raises Wrong if no play is that run."""
    told = _Told(pair, misfit)
    plays = 0
    is_all = False
    for most, slow in itertools.product((FIRST_PLAYS, MOST_PLAYS), ("", LEFT, RIGHT)):
        ended, count, is_all = _complete(pair, modules, session, misfit, told, slow, most)
        plays += count
        if ended is not None:
            return ended, plays
    responder = session.responder.rpartition(".")[2]
    how = "all that there are" if is_all else "given up"
    raise Wrong(f"{misfit.code} of {responder}: no play is that run, of {plays}, {how}")


def _complete(
    pair: Pair,
    modules: Sequence[ModuleType],
    session: Session,
    misfit: Misfit,
    told: _Told,
    slow: str,
    most: int = MOST_PLAYS,
) -> tuple[str | None, int, bool]:
    """The same where all nodes do at once whatever they can but one, which takes its time: what it
    ended in, after how many plays, and whether these were all."""
    order = itertools.count()
    todo: list[tuple[int, int, tuple[int, ...]]] = [(0, next(order), ())]
    responder = session.responder.rpartition(".")[2]
    plays = 0
    while todo and plays < most:
        cost, _, script = heapq.heappop(todo)
        plays += 1
        play = _Play(pair, modules, responder, misfit, told, script, slow)
        ended = play.run()
        if ended is not None:
            return ended, plays, False
        for at in range(len(script), len(play.made)):
            taken = tuple(one for one, _ in play.made[:at])
            for other in range(1, play.made[at][1]):
                heapq.heappush(todo, (cost + 1, next(order), (*taken, other)))
    return None, plays, not todo


class _Told:
    """What a finding tells: by side what is said, what is read, whose time is over, what services
    answered."""

    def __init__(self, pair: Pair, misfit: Misfit) -> None:
        self.said: tuple[list[str], list[str]] = ([], [])
        self.read: tuple[list[str], list[str]] = ([], [])
        self.acts: list[tuple[int, str]] = []
        self.answers: dict[int, list[bool]] = {}
        self._sites = dict(_sites(pair))
        under_way: tuple[list[str], list[str]] = ([], [])
        for move in misfit.way:
            for side, edge in ((move.side, move.edge), (1 - move.side, move.taken)):
                if edge is None:
                    continue
                for step in edge.steps:
                    self._step(side, step.told)
                if edge.kind is Kind.SEND:
                    self.said[side].append(edge.message)
                    under_way[1 - side].append(edge.message)
                elif edge.kind is Kind.RECEIVE:
                    self.read[side].append(under_way[side].pop(0))
                if edge.kind in (Kind.RECEIVE, Kind.ENDED):
                    self.acts.append((side, "take"))
            if move.is_dropped:
                side = move.side if move.edge is None else 1 - move.side
                self.read[side].append(under_way[side].pop(0))
                self.acts.append((side, "take"))
        if misfit.edge is not None and misfit.code in ("P201", "P202", "P210", "P204"):
            sender = 1 - misfit.side
            if not under_way[misfit.side]:
                self.said[sender].append(misfit.edge.message)

    def _step(self, side: int, told: str) -> None:
        if told == LATE:
            self.acts.append((side, "late"))
        found = DECISION.match(told)
        if found is None:
            return
        negated, what, how = found.groups()
        site = int(what[10:-1]) if what.startswith("Desk.says(") else self._sites.get(what)
        if site is not None:
            self.answers.setdefault(site, []).append((how == "holds") is (not negated))


def _sites(pair: Pair) -> Iterator[tuple[str, int]]:
    todo = [*pair.flows, *pair.subflows.values()]
    while todo:
        for stmt in todo.pop():
            if isinstance(stmt, Let):
                yield stmt.name, stmt.site
            todo += bodies(stmt)


class _Play:
    """One play. `made` are the choices, each with how many there were."""

    def __init__(
        self,
        pair: Pair,
        modules: Sequence[ModuleType],
        responder: str,
        misfit: Misfit,
        told: _Told,
        script: tuple[int, ...],
        slow: str,
    ) -> None:
        self.made: list[tuple[int, int]] = []
        self._script = script
        self._misfit = misfit
        self._told = told
        self._answers = {site: list(some) for site, some in told.answers.items()}
        self._acts = list(told.acts)
        # Of a group the other members are the same flow, at another party.
        self._stage = Stage(pair, modules, self._answer, 2 if pair.group else 1)
        self._stage.wakes = False
        self._stage.slow = slow
        self._responder = responder
        self._is_group = pair.group
        self._others_first = False

    def run(self) -> str | None:
        """What it ended in; None if it is not the run that is told."""
        stage = self._stage
        try:
            with stage.watched():
                self._others_first = bool(self._choose(2))
                first = self._choose(2) if self._is_group else 0
                refused = self._choose(2) if self._is_group and stage.slow else 0
                stage.start(backwards=bool(first), refused=bool(refused))
                while True:
                    self._compare()
                    ended = self._claimed()
                    if ended is not None:
                        return ended
                    acts = list(self._possible())
                    if not acts:
                        return None
                    do, what = acts[self._choose(len(acts))]
                    if self._acts and do in ("deliver", "late"):
                        side, how = self._acts[0]
                        mine = what if do == "late" else what[0]
                        if SIDES[side] == mine and (how == "late") is (do == "late"):
                            del self._acts[0]
                    getattr(stage, do)(what)
        except (_Otherwise, TooLong):
            return None

    def _choose(self, count: int) -> int:
        at = len(self.made)
        if at >= MOST_CHOICES:
            raise _Otherwise
        number = self._script[at] if at < len(self._script) else 0
        if number >= count:
            raise _Otherwise
        self.made.append((number, count))
        return number

    def _answer(self, party: str, site: int) -> Any:
        told = self._answers.get(site)
        first = told.pop(0) if told else False
        return (first, not first, THROWS, ANOTHER)[self._choose(4)]

    # --- what happened ---

    def _secret(self) -> bytes | None:
        for secret, flow in self._stage.net.opened.items():
            if flow == self._responder and self._stage.net.invited[secret] == RIGHT:
                return secret
        return None

    def _compare(self) -> None:
        secret = self._secret()
        if secret is None:
            return
        for side, party in enumerate(SIDES):
            other = SIDES[1 - side]
            said = self._stage.net.names.get((other, secret), [])
            if any(a != b for a, b in zip(said, self._told.said[side], strict=False)):
                raise _Otherwise
            read = self._stage.names.get((party, secret), [])
            if any(a != b for a, b in zip(read, self._told.read[side], strict=False)):
                raise _Otherwise

    def _is_told(self, secret: bytes) -> bool:
        """Whether all that is told has happened."""
        return all(
            len(self._stage.net.names.get((SIDES[1 - side], secret), []))
            >= len(self._told.said[side])
            and len(self._stage.names.get((SIDES[side], secret), [])) >= len(self._told.read[side])
            for side in (0, 1)
        )

    def _claimed(self) -> str | None:
        secret = self._secret()
        if secret is None or not self._is_told(secret):
            return None
        stage, code, side = self._stage, self._misfit.code, self._misfit.side
        party, other = SIDES[side], SIDES[1 - side]
        thrown = {error for at, error, secrets in stage.threw if at == party and secret in secrets}
        if code in ("P201", "P202", "P210") and "UnexpectedMessage" in thrown:
            return "a message was not taken"
        if code == "P203" and "SessionEnded" in thrown:
            return "the other side had ended"
        if code == "P204":
            is_over = stage.is_over(party, secret)
            if is_over and stage.net.said.get((party, secret), 0) > stage.read.get(
                (party, secret), 0
            ):
                return "nobody read it"
            if is_over and (other, "SessionEnded") in stage.failed():
                return "the sender heard of the end first"
        if code == "P205" and stage.rests_on(LEFT, secret) and stage.rests_on(RIGHT, secret):
            if not any(key[1] == secret for key in stage.net.waiting()):
                return "both wait"
        return None

    # --- what can happen ---

    def _possible(self) -> Iterator[tuple[str, Any]]:
        stage = self._stage
        secret = self._secret()
        wanted = self._acts[0] if self._acts else None
        keys = stage.net.waiting()
        mine = [key for key in keys if key[1] == secret]
        others = [("deliver", key) for key in keys if key[1] != secret]
        acts: list[tuple[str, Any]] = []
        if stage.slow and stage.is_ready(stage.slow):
            acts += [*others, ("take", stage.slow), ("step", stage.slow)]
        if wanted is not None and wanted[1] == "late" and stage.is_limited(SIDES[wanted[0]]):
            acts.append(("late", SIDES[wanted[0]]))
        acts += [("wake", party) for party in stage.sleeping()]
        ours = [
            ("deliver", key)
            for key in sorted(mine, key=lambda key: wanted is None or key[0] != SIDES[wanted[0]])
        ]
        acts += [*others, *ours] if self._others_first else [*ours, *others]
        acts += [("late", party) for party in stage.nodes if stage.is_limited(party)]
        acts += [("slip", key) for key in keys]
        if self._is_group:
            acts.append(("kill", "carol"))
        seen: list[tuple[str, Any]] = []
        for act in acts:
            if act not in seen:
                seen.append(act)
        yield from seen
