"""What one flow of a conversation may do next: whether it goes on by itself, decides, or waits.
Chooses nobody's turn, and follows no way beyond the next decision."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Literal, NamedTuple, assert_never

from flowlang import syntax, types
from flowlang.checker.nodes import everything
from flowlang.pictures import wording
from flowlang.pictures.doing import END, Doing, trouble_of
from flowlang.pictures.folding import Told
from flowlang.pictures.scene import (
    Called,
    Catching,
    Held,
    Letter,
    Limit,
    Once,
    Round,
    Run,
    Scene,
    Taker,
    Trouble,
    Waiting,
)
from flowlang.pictures.sequence import Note
from flowlang.pictures.wording import short, written


class Option(NamedTuple):
    """One way to go on: its condition beside the others, and where it stands alone; what shows of
    it at once; the moment after it."""

    condition: str
    alone: str
    told: list[Told]
    scene: Scene
    aside: bool = False


class Acting(Doing):
    """Those who take part, where they decide and where they wait."""

    # --- whether and how it can go on -------------------------------------------------------

    def readiness(self, scene: Scene, taker: Taker) -> Literal["act", "decide", "blocked"]:
        """Whether it goes on by itself, must decide something, or waits for somebody."""
        top, checked = taker.stack[-1], taker.checked
        match top:
            case Run(block=block, at=at) if at < len(block):
                return "decide" if self._decides(scene, taker, block[at]) else "act"
            case Round(node=node):
                return "act" if self._is_silent(checked, node.body) else "decide"
            case Waiting(decided=False) if self._options_at_wait(scene, taker, top):
                return "decide"
            case Waiting():
                return self._readiness_at_wait(scene, taker, top)
            case Run() | Catching() | Limit() | Once() | Called():
                return "act"
            case _:
                assert_never(top)

    def _decides(self, scene: Scene, taker: Taker, node: syntax.Statement) -> bool:
        match node:
            case syntax.If() | syntax.Match():
                return not self._is_silent(taker.checked, node)
            case syntax.Require():
                return bool(self._caught_demands(scene, taker))
            case _:
                return self._expiring(taker, node) is not None

    def options(self, scene: Scene, taker: Taker) -> list[Option]:
        """The ways of a flow that must decide, but for the rounds of a loop."""
        top, checked = taker.stack[-1], taker.checked
        if isinstance(top, Waiting):
            return self._options_at_wait(scene, taker, top)
        assert isinstance(top, Run)
        node = top.block[top.at]
        match node:
            case syntax.If(branches=branches, otherwise=otherwise):
                return self._branches(scene, taker, branches, otherwise)
            case syntax.Match(value=value, cases=cases):
                said = written(checked, value.span)
                ways = []
                for case in cases:
                    patterns = [written(checked, pattern.span) for pattern in case.patterns]
                    condition = f"{said} is {wording.listed(patterns)}"
                    copy, own = self._copied(scene, taker)
                    self._advance(own)
                    own.stack.append(Run(case.body, 0))
                    ways.append(Option(condition, condition, [], copy))
                return ways
            case syntax.Require():
                return self._demands(scene, taker)
            case _:
                return self._expires(scene, taker, node)

    def _branches(
        self,
        scene: Scene,
        taker: Taker,
        branches: tuple[tuple[syntax.Expr, syntax.Block], ...],
        otherwise: syntax.Block | None,
    ) -> list[Option]:
        found, before = [], []
        for condition, body in branches:
            said = written(taker.checked, condition.span)
            before.append(said)
            copy, own = self._copied(scene, taker)
            self._advance(own)
            own.stack.append(Run(body, 0))
            found.append(Option(said, said, [], copy))
        copy, own = self._copied(scene, taker)
        self._advance(own)
        if otherwise is not None:
            own.stack.append(Run(otherwise, 0))
        found.append(Option("otherwise", f"unless {wording.listed(before)}", [], copy))
        return found

    def act(self, scene: Scene, taker: Taker) -> list[Told]:
        """The next thing that the flow does by itself; what shows of it."""
        top = taker.stack[-1]
        match top:
            case Waiting():
                return self._wait(scene, taker, top)
            case Run(block=block, at=at) if at < len(block):
                if isinstance(block[at], syntax.Require):
                    return self._pass(scene, taker)
                return self._statement(scene, taker, block[at])
            case _:
                return self._behind(scene, taker, top)

    def _is_silent(self, checked: types.Checked, value: object) -> bool:
        """The same as `wording.is_silent`, found out once for each part of the trees."""
        known = self._silent.get(id(value))
        if known is None:
            known = self._silent[id(value)] = (value, wording.is_silent(checked, value))
        return known[1]

    def _demands_of(self, checked: types.Checked, value: object) -> list[types.ErrorInfo]:
        known = self._demanded.get(id(value))
        if known is None:
            known = self._demanded[id(value)] = (value, wording.demanded(checked, value))
        return known[1]

    # --- checks -----------------------------------------------------------------------------

    def _run_of_demands(self, taker: Taker) -> tuple[list[types.ErrorInfo], int]:
        """The errors of the `require`s from here on, and how many statements that is."""
        top = taker.stack[-1]
        assert isinstance(top, Run)
        checked, last = taker.checked, 0
        errors: dict[str, types.ErrorInfo] = {}
        for count, node in enumerate(top.block[top.at :], 1):
            if isinstance(node, syntax.Require):
                for error in self._demands_of(checked, node):
                    errors.setdefault(error.name, error)
                last = count
            elif not self._is_silent(checked, node):
                break
        return list(errors.values()), last

    def _catchers(self, scene: Scene, taker: Taker, trouble: Trouble) -> tuple[Hashable, ...]:
        """Who goes on after an error, in the flow itself or with its peers; () if nobody does."""
        own = self._catcher(taker, trouble)
        if own is not None:
            return (own,)
        foreign = trouble._replace(foreign=True)
        found = []
        for session in scene.sessions(taker):
            peer = scene.peer(taker, session)
            if peer is not None:
                found.append(self._catcher(peer, foreign))
        return tuple(found) if any(one is not None for one in found) else ()

    def _caught_demands(
        self, scene: Scene, taker: Taker
    ) -> dict[tuple[Hashable, ...], list[types.ErrorInfo]]:
        found: dict[tuple[Hashable, ...], list[types.ErrorInfo]] = {}
        for error in self._run_of_demands(taker)[0]:
            catchers = self._catchers(scene, taker, trouble_of(error))
            if catchers:
                found.setdefault(catchers, []).append(error)
        return found

    def _demands(self, scene: Scene, taker: Taker) -> list[Option]:
        copy, own = self._copied(scene, taker)
        found = [Option("the checks hold", "the checks hold", self._pass(copy, own), copy)]
        for errors in self._caught_demands(scene, taker).values():
            copy, own = self._copied(scene, taker)
            said = wording.listed([short(error.name) for error in errors])
            told = self._throw(copy, own, trouble_of(errors[0]), said)
            found.append(Option(said, said, told, copy, aside=True))
        return found

    def _pass(self, scene: Scene, taker: Taker) -> list[Told]:
        """Past the `require`s; that the others could fail is noted."""
        errors, count = self._run_of_demands(taker)
        caught = {error.name for many in self._caught_demands(scene, taker).values()
                  for error in many}  # fmt: skip
        top = taker.stack[-1]
        assert isinstance(top, Run)
        told: list[Told] = []
        for node in top.block[top.at : top.at + count]:
            told += self._calls(taker, node)
        taker.stack[-1] = top._replace(at=top.at + count)
        left = [short(error.name) for error in errors if error.name not in caught]
        if left:
            told.append(Note((taker.lane,), f"checks, or fails with {wording.listed(left)}"))
        return told

    # --- what nobody answers ----------------------------------------------------------------

    def _expiring(self, taker: Taker, node: syntax.Statement) -> syntax.Ask | None:
        """The question of a statement whose expiry the flow catches."""
        value = getattr(node, "value", None) or getattr(node, "effect", None)
        if not isinstance(value, syntax.Ask) or value.deadline is None:
            return None
        caught = self._catcher(taker, Trouble("TaskExpired", (), False))
        return value if caught is not None else None

    def _expires(self, scene: Scene, taker: Taker, node: syntax.Statement) -> list[Option]:
        copy, own = self._copied(scene, taker)
        found = [Option("answered", "answered", self._statement(copy, own, node), copy)]
        copy, own = self._copied(scene, taker)
        ask = self._expiring(own, node)
        assert ask is not None
        told = [*self._asked(own, ask), *self._throw(copy, own, Trouble("TaskExpired", (), False))]
        said = "nobody answers in time"
        found.append(Option(said, said, told, copy, aside=True))
        return found

    # --- waits ------------------------------------------------------------------------------

    def _readiness_at_wait(
        self, scene: Scene, taker: Taker, top: Waiting
    ) -> Literal["act", "decide", "blocked"]:
        found = [one for one in self._awaited(taker, top.node) if one in scene.lines]
        if not found or any(scene.inbox(taker, one) for one in found):
            return "act"
        if any(scene.is_unknown(taker, one) for one in found):
            return "act"
        gone = all(scene.peer(taker, one) is None for one in found)
        return "act" if gone else "blocked"

    def _awaited(self, taker: Taker, node: syntax.Receive | syntax.Choice) -> list[Hashable]:
        """The sessions from which something may come, each once."""
        values: list[syntax.Expr]
        if node.session is not None:
            values = [node.session]
        elif isinstance(node, syntax.Choice):
            values = [case.session for case in node.cases
                      if isinstance(case, syntax.MessageCase | syntax.EndedCase)
                      and case.session is not None]  # fmt: skip
        found = [self._session(taker, value) for value in values]
        return list(dict.fromkeys(one for one in found if one is not None))

    def _options_at_wait(self, scene: Scene, taker: Taker, top: Waiting) -> list[Option]:
        """What may happen besides that a peer's message comes; [] if nothing may."""
        found: list[Option] = []
        node, follows = top.node, True
        if isinstance(node, syntax.Choice):
            awaited = [one for one in self._awaited(taker, node) if one in scene.lines]
            follows = any(not scene.is_unknown(taker, one) for one in awaited)
            for case in node.cases:
                found += self._case_option(scene, taker, node, case)
        found += self._troubles(scene, taker, node)
        if found and follows:
            copy, own = self._copied(scene, taker)
            own.stack[-1] = top._replace(decided=True)
            found.insert(0, Option("a message comes", "a message comes", [], copy))
        return found

    def _case_option(
        self, scene: Scene, taker: Taker, node: syntax.Choice, case: syntax.Case
    ) -> Iterator[Option]:
        checked = taker.checked
        copy, own = self._copied(scene, taker)
        told: list[Told] = []
        match case:
            case syntax.TimeoutCase(duration=duration):
                condition = f"nothing within {written(checked, duration.span)}"
            case syntax.DoneCase(kind=kind, pending=pending):
                condition = f"{kind} of {pending.name}"
            case syntax.MessageCase(type=message):
                session = self._case_session(taker, node, case)
                if session not in scene.lines or not scene.is_unknown(taker, session):
                    return
                said = types.shown(checked.type_refs[message])
                condition = f"{said} comes"
                told.append(self._arrives(copy, own, session, said))
            case syntax.EndedCase() | syntax.BrokenCase():
                return
            case _:
                assert_never(case)
        self._choose(copy, own, node, case)
        aside = isinstance(case, syntax.TimeoutCase)
        yield Option(condition, condition, told, copy, aside)

    def _troubles(
        self, scene: Scene, taker: Taker, node: syntax.Receive | syntax.Choice
    ) -> Iterator[Option]:
        """What may be thrown at the wait whatever the peer's flow says, where that is caught."""
        limited = isinstance(node, syntax.Receive) and node.deadline is not None
        taken: set[str] = set()
        for frame in reversed(taker.stack):
            if isinstance(frame, Limit):
                limited = True
            if not isinstance(frame, Catching):
                continue
            possible = [*wording.BUILT_IN, *(["Timeout"] if limited else [])]
            for catch in frame.node.catches:
                names = self._caught_names(catch)
                is_any = "FlowError" in names
                own = [name for name in (possible if is_any else names)
                       if name in possible and name not in taken]  # fmt: skip
                taken.update(own)
                if own:
                    said = "an error" if is_any else wording.listed(own)
                    said += " or the time is over" if is_any and limited else ""
                    copy, acting = self._copied(scene, taker)
                    if own != ["Timeout"]:
                        for session in self._awaited(acting, node):
                            self._vanish(copy, acting, session)
                    told = self._throw(copy, acting, Trouble(own[0], (), True))
                    yield Option(said, said, told, copy, aside=True)

    def _vanish(self, scene: Scene, taker: Taker, session: Hashable) -> None:
        """The peer of a session is gone, and the session with it."""
        if session not in scene.lines:
            return
        peer = scene.peer(taker, session)
        if peer is not None:
            for other in scene.sessions(peer):
                scene.close(peer, other, END)
            scene.leave(peer)
        scene.lines.pop(session, None)

    def _wait(self, scene: Scene, taker: Taker, top: Waiting) -> list[Told]:
        """Something is there, or nothing will ever come."""
        node = top.node
        awaited = [one for one in self._awaited(taker, node) if one in scene.lines]
        full = [one for one in awaited if scene.inbox(taker, one)]
        if isinstance(node, syntax.Receive):
            return self._receive(scene, taker, node, full[0] if full else None, awaited)
        if not full:
            ended = [case for case in node.cases if isinstance(case, syntax.EndedCase)]
            if ended:
                self._choose(scene, taker, node, ended[0])
                return []
            return self._throw(scene, taker, Trouble("SessionEnded", (), True))
        session = full[0]
        letter = scene.take(taker, session)
        for case in node.cases:
            match case:
                case syntax.MessageCase(type=message) if letter.kind == "data":
                    of = self._case_session(taker, node, case)
                    name = types.shown(taker.checked.type_refs[message])
                    if of == session and name == letter.name:
                        self._choose(scene, taker, node, case)
                        return []
                case syntax.EndedCase() if letter.kind == "end":
                    if self._case_session(taker, node, case) == session:
                        self._choose(scene, taker, node, case)
                        return []
                case _:
                    pass
        return self._unfit(scene, taker, letter)

    def _receive(
        self,
        scene: Scene,
        taker: Taker,
        node: syntax.Receive,
        session: Hashable | None,
        awaited: list[Hashable],
    ) -> list[Told]:
        message = types.shown(taker.checked.type_refs[node.type]).removesuffix("?")
        is_optional = node.each and node.type.optional
        told: list[Told] = []
        if session is not None:
            letter = scene.take(taker, session)
            if letter.kind != "data" and not is_optional:
                return self._unfit(scene, taker, letter)
            if letter.kind == "data" and letter.name != message:
                return self._unfit(scene, taker, letter)
        elif any(scene.is_unknown(taker, one) for one in awaited):
            told.append(self._arrives(scene, taker, awaited[0], message))
        elif awaited and not is_optional:
            return self._throw(scene, taker, Trouble("SessionEnded", (), True))
        taker.stack.pop()
        self._advance(taker)
        if node.checks is not None:
            taker.stack.append(Run(node.checks, 0))
        return told

    def _unfit(self, scene: Scene, taker: Taker, letter: Letter) -> list[Told]:
        """An end or an error instead of a message; or a message for which nobody waits."""
        if letter.kind == "error" and letter.trouble is not None:
            return self._throw(scene, taker, letter.trouble)
        if letter.kind == "end":
            return self._throw(scene, taker, Trouble("SessionEnded", (), True))
        told: list[Told] = []
        waits = self._waits(taker)
        lane = self.lanes.named(taker.lane)
        said = f"does not fit: {letter.name} comes, but {lane} waits for {waits}"
        told.append(Note((taker.lane,), said, "trouble", self._place(taker)))
        scene.takers.clear()
        return told

    def _waits(self, taker: Taker) -> str:
        top = taker.stack[-1]
        assert isinstance(top, Waiting)
        refs = taker.checked.type_refs
        if isinstance(top.node, syntax.Receive):
            return types.shown(refs[top.node.type])
        names = [types.shown(refs[case.type]) for case in top.node.cases
                 if isinstance(case, syntax.MessageCase)]  # fmt: skip
        return wording.listed(list(dict.fromkeys(names))) if names else "something else"

    def _place(self, taker: Taker) -> str:
        top = taker.stack[-1]
        assert isinstance(top, Waiting)
        return wording.place(taker.checked, top.node.span)

    def _case_session(
        self, taker: Taker, node: syntax.Choice, case: syntax.MessageCase | syntax.EndedCase
    ) -> Hashable | None:
        value = case.session if case.session is not None else node.session
        return None if value is None else self._session(taker, value)

    def _choose(self, scene: Scene, taker: Taker, node: syntax.Choice, case: syntax.Case) -> None:
        """On in a case."""
        taker.stack.pop()
        self._advance(taker)
        if isinstance(case, syntax.MessageCase | syntax.EndedCase) and case.sender is not None:
            session = self._case_session(taker, node, case)
            if session is not None:
                variable = taker.checked.variable_of[case.sender]
                taker.held[taker.depth, variable] = Held(session, False)
        taker.stack.append(Run(case.body, 0))

    def is_asleep(self, scene: Scene, taker: Taker) -> bool:
        """Whether a responder is before its first statement, and nothing has come to it."""
        if taker.stack[1:] != [Run(self._flow(taker.flow).declaration.body, 0)]:
            return False
        return taker.key in scene.lines and not scene.inbox(taker, taker.key)

    def only_leaves(self, taker: Taker) -> bool:
        """Whether the next thing that it does is to leave what it is in, within a subflow."""
        if taker.depth == 1:
            return False
        top = taker.stack[-1]
        if not isinstance(top, Run):
            return isinstance(top, Catching | Limit | Once | Called)
        if top.at == len(top.block):
            return True
        node = top.block[top.at]
        return isinstance(node, syntax.Return) and self._is_silent(taker.checked, node.value)

    def enter(self, taker: Taker) -> None:
        """Into the next round of the loop on top."""
        top = taker.stack[-1]
        assert isinstance(top, Round)
        taker.stack.append(Run(top.node.body, 0))

    def is_served(self, scene: Scene, taker: Taker, node: syntax.While | syntax.For) -> bool:
        """Whether an endless loop only answers to somebody who came before, and is in a loop."""
        if not isinstance(node, syntax.While) or not wording.is_endless(node):
            return False
        names = [one for one in everything(node.body) if isinstance(one, syntax.Name)]
        sessions = {self._session(taker, name) for name in names}
        older = list(scene.takers)[: list(scene.takers).index(taker.key)]
        peers = [scene.peer(taker, one) for one in sessions if one in scene.lines]
        return any(
            peer is not None
            and peer.key in older
            and any(isinstance(frame, Round) for frame in peer.stack)
            for peer in peers
        )

    def stuck(self, scene: Scene) -> list[Told]:
        """What everybody waits for where nobody can go on."""
        told: list[Told] = []
        for taker in scene.takers.values():
            name = self.lanes.named(taker.lane)
            said = f"{name} waits for {self._waits(taker)}, which nobody sends"
            told.append(Note((taker.lane,), said, "trouble", self._place(taker)))
        return told
