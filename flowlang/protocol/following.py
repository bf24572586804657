"""One session followed through a flow and all that the flow calls with it: its automaton.

What has nothing to do with the session is silent. A group's session is followed as one of many:
a loop over the group comes to it once, before or after others. Decides nothing about fitting.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from flowlang import machine
from flowlang.protocol import facts as knowledge
from flowlang.protocol.automaton import (
    NOTHING,
    Arm,
    Automaton,
    Edge,
    Final,
    Kind,
    Node,
    Spot,
    Step,
    Values,
)
from flowlang.protocol.catching import FAILS, OTHER, OURS, is_declared, is_end
from flowlang.protocol.code import Each, Go, Instruction, Operation, Pick, Rest, Stop, Test
from flowlang.protocol.counting import begins, counts, resolved
from flowlang.protocol.facts import NO_FACTS, Facts
from flowlang.protocol.frames import (
    END_CAUGHT,
    ERROR_CAUGHT,
    OTHER_ENDED,
    REFUSES,
    Frame,
    Over,
    Program,
    State,
    Way,
    Ways,
    condition,
    told,
)
from flowlang.protocol.waiting import Waiting, of_message
from flowlang.types import Named, OptionalType, Type


class TooMany(Exception):
    """The automaton grew beyond what is looked at."""


def automaton(
    program: Program,
    flow: str,
    opened: int | None,
    variants: Mapping[str, frozenset[Values]],
    dead: frozenset[Arm],
    most: int = 200_000,
    given: str | None = None,
    *,
    counting: bool = False,
) -> Automaton:
    """The automaton of a flow on the session that it opens at an instruction; of a responder, where
    that is None, or on the session that is `given` in a parameter. `variants` are the values that
    messages may come with, `dead` the cases that never happen. Where `counting` is true no member
    of a group is taken to be counted twice, and a node is `MISCOUNTED` where one would. Raises
    TooMany."""
    for followed, limit in ((knowledge.MOST, most // 10), (2, most // 5), (0, most)):
        try:
            follower = _Follower(program, flow, opened, variants, dead, followed, limit)
            follower.counting = counting
            made = follower.automaton(given)
        except TooMany:
            if not followed:
                raise
            continue
        return dataclasses.replace(made, is_whole=followed == knowledge.MOST)
    raise AssertionError


class _Follower(Waiting):
    def __init__(
        self,
        program: Program,
        flow: str,
        opened: int | None,
        variants: Mapping[str, frozenset[Values]],
        dead: frozenset[Arm],
        followed: int,
        limit: int,
    ) -> None:
        super().__init__(program, flow, opened, variants, dead, followed)
        self._limit = limit
        self._number: dict[State | Over, int] = {}
        self._nodes: list[Node] = []
        self._todo: list[tuple[int, Ways]] = []

    # --- nodes ------------------------------------------------------------------------------

    def automaton(self, given: str | None) -> Automaton:
        code = self._codes[self._flow]
        ours: frozenset[str] = frozenset()
        place = code.flow.place
        if self._root is None:
            session = given or code.flow.parameters[-1].name
            ours = frozenset({session})
        else:
            does = code.instructions[self._root].does
            assert isinstance(does, machine.Open)
            session, place = does.name, does.place
            self._block = does.block
        frame = Frame(self._flow, 0, ours, frozenset(), frozenset(), NO_FACTS)
        self._node(*self._settled(State((frame,), self._root is None, 0)))
        while self._todo:
            number, ways = self._todo.pop()
            node = self._nodes[number]
            for kind, message, values, state, steps, arm in ways.found:
                # Where a way ends without a statement of its own, it ends where it began.
                self._last = ways.spot.top
                if kind is Kind.ENDED:
                    state = state._replace(heard=True)
                after, what, told = self._settled(state)
                target = self._node(after, what, told)
                spot = ways.spot
                node.edges.append(Edge(kind, message, values, target, spot, (*steps, *told), arm))
            kinds = {edge.kind for edge in node.edges}
            node.is_receiving = ways.is_wait
            node.refused = ways.refused
            node.is_sending = Kind.SEND in kinds
        spot = Spot(code.module.module, self._flow, place, place)
        return Automaton(self._flow, session, spot, self._nodes)

    def _node(self, state: State, what: Ways | Over, told: tuple[Step, ...]) -> int:
        key: State | Over = what if isinstance(what, Over) else state
        number = self._number.get(key)
        if number is not None:
            return number
        number = self._number[key] = len(self._nodes)
        if number >= self._limit:
            raise TooMany
        if isinstance(what, Over):
            node = Node([], what.spot, what.final, what.owes)
            self._nodes.append(node)
            if what.owes:
                node.minus = self._node(state, what._replace(owes=what.owes - 1), told)
            return number
        node = Node([], what.spot, owes=state.owes)
        self._nodes.append(node)
        self._todo.append((number, what))
        if state.owes:
            fewer = state._replace(owes=state.owes - 1)
            self._last = what.spot.top
            node.minus = self._node(*self._settled(fewer))
        return number

    def _settled(self, state: State) -> tuple[State, Ways | Over, tuple[Step, ...]]:
        """The next place where something can happen, and what was decided on the way."""
        told: list[Step] = []
        seen: set[State] = set()
        count = 0
        while True:
            found = self._one(state)
            if isinstance(found, State):
                state = found
                count += 1
                if count > 100:
                    if state in seen:
                        # It goes round for ever without anything that the other side could see.
                        spot = self._spot(state)
                        way: Way = (Kind.SILENT, "", NOTHING, state, (), None)
                        return state, Ways([way], spot), tuple(told)
                    seen.add(state)
                continue
            return state, found, tuple(told)

    # --- one instruction --------------------------------------------------------------------

    def _one(self, state: State) -> State | Ways | Over:
        """What an instruction leads to: another place, several, or the end."""
        frame = state.frames[-1]
        if frame.at == FAILS:
            return Over(Final.FAILED, self._spot(state, self._last))
        if not state.opened and len(state.frames) == 1 and frame.at not in self._before:
            return Over(Final.NEVER, self._spot(state, self._last))
        instruction = self._codes[frame.code].instructions[frame.at]
        if instruction.calls and not frame.asked:
            caught = list(self._caught(state, frame.at, is_declared, ERROR_CAUGHT))
            if caught:
                asked = self._top(state, frame._replace(asked=True))
                on: Way = (Kind.SILENT, "", NOTHING, asked, (), None)
                return Ways([on, *caught], self._spot(state))
        does = instruction.does
        place = getattr(does, "place", None)
        if place is not None and len(state.frames) == 1 and not _is_unwritten(does):
            self._last = place
        match does:
            case Go():
                return self._to(state, frame, instruction.next)
            case machine.Assign():
                return self._assign(state, frame, instruction, does)
            case Test():
                return self._test(state, frame, instruction, does)
            case Rest():
                return self._rest(state, frame, instruction, does)
            case Pick():
                return self._pick(state, frame, does)
            case machine.Send():
                return self._send(state, frame, instruction, does)
            case machine.Do():
                return self._to(state, frame, instruction.next)
            case machine.Require():
                return self._require(state, frame, instruction, does)
            case machine.Open():
                return self._open(state, frame, instruction, does)
            case machine.Close(session=session):
                if state.opened and self._which(frame, session) == OURS:
                    return Over(Final.CLOSED, self._spot(state))
                return self._to(state, frame, instruction.next)
            case machine.Leave(block=block):
                if (
                    self._root is not None
                    and state.opened
                    and len(state.frames) == 1
                    and self._block > block
                ):
                    return Over(Final.ENDED, self._spot(state, self._last), state.owes)
                return self._to(state, frame, instruction.next)
            case machine.Throw(error=error):
                return self._throw(state, frame, error)
            case machine.Return(value=value):
                return self._return(state, frame, value)
            case Stop():
                return self._return(state, frame, None)
            case Each():
                return self._each(state, frame, instruction, does)

    # --- values -----------------------------------------------------------------------------

    def _assign(
        self, state: State, frame: Frame, instruction: Instruction, does: machine.Assign
    ) -> State | Ways | Over:
        name, value = does.name, does.value
        names = self._program.names(frame.code)
        if self.counting and name in names.counters:
            counted = self._counted(frame, name, value)
            if counted is None:
                return Over(Final.MISCOUNTED, self._spot(state))
            frame = counted
        if name in names.sessions:
            return self._name_session(state, frame, instruction, name, value)
        lists = frame.lists
        if name in names.lists:
            lists = lists | {name} if self._holds(frame, value) else lists - {name}
        loops = frame.loops
        if name in names.indexes and isinstance(value, machine.Const):
            loops = frozenset((*(one for one in loops if one[0] != name), (name, False)))
        known = frame.facts
        made: Facts
        if isinstance(value, machine.Received) and frame.chosen is not None:
            made = of_message(name, frame.chosen.values)
        else:
            made = knowledge.bind((name,), value, known, self._program.declared)
        known = knowledge.forget(known, name)
        if made:
            known = known | made
        sure = frame.sure - {name}
        after = frame._replace(lists=lists, loops=loops, facts=known, sure=sure)
        return self._to(state, after, instruction.next)

    def _counted(self, frame: Frame, name: str, value: machine.Expr) -> Frame | None:
        """A number gets a value that counts the members of a group; None if one is counted again.
        Where it is not clear what it counts, it is like every other number from then on."""
        counter = self._program.names(frame.code).counters[name]
        others = frozenset(one for one in frame.counts if one[0] != name)
        if begins(counter, value) and counter.group not in frame.mixed:
            if counter.down and counter.group not in frame.lists:
                return frame._replace(counts=others)
            return frame._replace(counts=others | {(name, False)})
        was = dict(frame.counts).get(name)
        credit = frame.credit
        if (
            was is None
            or not counts(name, counter, value)
            or credit is None
            or credit.group != counter.group
            or name in credit.counted
        ):
            return frame._replace(counts=others)
        if was and credit.is_ours:
            return None
        spent = credit._replace(counted=credit.counted | {name})
        return frame._replace(counts=others | {(name, was or credit.is_ours)}, credit=spent)

    def _name_session(
        self, state: State, frame: Frame, instruction: Instruction, name: str, value: machine.Expr
    ) -> State | Ways:
        def called(frame: Frame, is_ours: bool) -> State:
            ours = frame.ours | {name} if is_ours else frame.ours - {name}
            frame = frame._replace(ours=ours, gone=frame.gone - {name}, sure=frame.sure - {name})
            return self._to(state, frame, instruction.next)

        if isinstance(value, machine.Sender):
            return called(frame, frame.chosen is not None and frame.chosen.is_ours)
        if isinstance(value, machine.Item) and self._holds(frame, value.values):
            index = value.index
            loop = index.name if isinstance(index, machine.Var) else ""
            status = dict(frame.loops).get(loop)
            if status:
                return called(frame, False)
            found = frame
            if status is False:
                loops = frame.loops - {(loop, False)} | {(loop, True)}
                found = frame._replace(loops=loops)
            spot = self._spot(state)
            return Ways(
                [self._silent(called(found, True)), self._silent(called(frame, False))], spot
            )
        return called(frame, self._which(frame, value) == OURS)

    # --- decisions --------------------------------------------------------------------------

    def _test(
        self, state: State, frame: Frame, instruction: Instruction, does: Test
    ) -> State | Ways:
        ways = {True: instruction.next, False: does.otherwise}
        condition = does.condition
        if (
            isinstance(condition, machine.Compare)
            and isinstance(condition.left, machine.Var)
            and (status := dict(frame.loops).get(condition.left.name)) is not None
        ):
            if not status and self._holds(frame, condition.right):
                return self._to(state, frame, instruction.next)
            loops = frame.loops - {(condition.left.name, True)}
            out = self._to(state, frame._replace(loops=loops), does.otherwise)
            on = self._to(state, frame, instruction.next)
            return Ways([self._silent(out), self._silent(on)], self._spot(state))
        if frame.counts:
            counting = self._program.names(frame.code).counters
            uncounted = {
                name
                for name, is_counted in frame.counts
                if not is_counted and counting[name].group in frame.lists
            }
            condition = resolved(condition, counting, uncounted)
        found = knowledge.decide(condition, frame.facts)
        states = {
            outcome: self._to(state, frame._replace(facts=known), ways[outcome])
            for outcome, known in found.items()
        }
        if len(states) == 1:
            return next(iter(states.values()))
        spot = self._spot(state)
        return Ways(
            [
                self._silent(after, Step(told(does, outcome), spot))
                for outcome, after in states.items()
            ],
            spot,
        )

    def _require(
        self, state: State, frame: Frame, instruction: Instruction, does: machine.Require
    ) -> State | Ways | Over:
        found = knowledge.decide(does.condition, frame.facts)
        held = found.get(True)
        if held is None:
            return self._throw(state, frame, does.error)
        on = self._to(state, frame._replace(facts=held), instruction.next)
        if False not in found or not any(
            catch for one in state.frames for catch in self._code_at(one).catches
        ):
            return on
        thrown = self._throw(state, frame._replace(facts=found[False]), does.error)
        if isinstance(thrown, Over):
            return on  # A flow may always fail: nobody is surprised by that.
        spot = self._spot(state)
        failed = [self._silent(thrown)] if isinstance(thrown, State) else thrown.found
        step = Step(f"{REFUSES} `{condition(does.place)}` does not hold", spot)
        told = [(*way[:4], (step, *way[4]), way[5]) for way in failed]
        return Ways([self._silent(on), *told], spot)

    def _each(
        self, state: State, frame: Frame, instruction: Instruction, does: Each
    ) -> State | Ways:
        loop = f"@{frame.at}"
        if self._holds(frame, does.values):
            names = self._program.names(frame.code)
            # What was sent to all of them without an error: in this step nothing more is heard.
            group = does.values.name if isinstance(does.values, machine.Var) else ""
            sure = frame.sure - {does.name}
            all_sent = sure | {group} if group and self._sends_to(frame, does.name) else sure
            if group in sure:
                sure |= {does.name}
            frame = frame._replace(gone=frame.gone - {does.name}, sure=sure)
            another = frame._replace(ours=frame.ours - {does.name})
            theirs = self._to(state, another, instruction.next)
            if (loop, True) in frame.loops:
                loops = frame.loops - {(loop, True)}
                last = another._replace(loops=loops, sure=all_sent)
                after = self._to(state, last, does.otherwise)
            else:
                ours = frame.ours | {does.name} if does.name in names.sessions else frame.ours
                loops = frame.loops | {(loop, True)}
                after = self._to(state, frame._replace(loops=loops, ours=ours), instruction.next)
            if self._only_sends(frame):
                return after
            return Ways([self._silent(after), self._silent(theirs)], self._spot(state))
        known = knowledge.forget(frame.facts, does.name)
        turn = frame._replace(
            facts=known, gone=frame.gone - {does.name}, sure=frame.sure - {does.name}
        )
        on = self._to(state, turn, instruction.next)
        out = self._to(state, frame, does.otherwise)
        spot = self._spot(state)
        if not does.place.text.startswith("for "):
            return Ways([self._silent(out), self._silent(on)], spot)
        done = Step(f"`{condition(does.place)}` has no more", spot)
        more = Step(f"`{condition(does.place)}` has another", spot)
        return Ways([self._silent(out, done), self._silent(on, more)], spot)

    def _only_sends(self, frame: Frame) -> bool:
        """Whether a loop does nothing in the turns of others that matters to this session."""
        code = self._codes[frame.code].instructions
        inside = code[code[frame.at].next]
        while isinstance(inside.does, machine.Send) and not inside.catches and not inside.calls:
            if inside.next == frame.at:
                return True
            inside = code[inside.next]
        return False

    def _sends_to(self, frame: Frame, session: str) -> bool:
        """Whether a loop does nothing but send to each session."""
        code = self._codes[frame.code].instructions
        inside = code[code[frame.at].next]
        is_sent = False
        while isinstance(inside.does, machine.Send):
            is_sent = is_sent or inside.does.session == machine.Var(session)
            if inside.next == frame.at:
                return is_sent
            inside = code[inside.next]
        return False

    # --- sessions ---------------------------------------------------------------------------

    def _open(
        self, state: State, frame: Frame, instruction: Instruction, does: machine.Open
    ) -> State | Ways:
        other = frame._replace(
            ours=frame.ours - {does.name},
            gone=frame.gone - {does.name},
            sure=frame.sure - {does.name},
        )
        past = self._to(state, other, instruction.next)
        if frame.at != self._root or len(state.frames) > 1 or state.opened:
            return past
        ours = frame._replace(ours=frozenset({does.name}))
        here = self._to(state._replace(opened=True), ours, instruction.next)
        if instruction.next not in self._before:
            return here
        return Ways([self._silent(here), self._silent(past)], self._spot(state))

    @functools.cached_property
    def _before(self) -> frozenset[int]:
        """The instructions from which the session may still be opened."""
        made = self._codes[self._flow].instructions
        before: dict[int, list[int]] = {}
        for number, instruction in enumerate(made):
            for target in knowledge.following(instruction):
                before.setdefault(target, []).append(number)
        assert self._root is not None
        found, todo = {self._root}, [self._root]
        while todo:
            for number in before.get(todo.pop(), ()):
                if number not in found:
                    found.add(number)
                    todo.append(number)
        return frozenset(found)

    def _send(
        self, state: State, frame: Frame, instruction: Instruction, does: machine.Send
    ) -> State | Ways:
        which = self._which(frame, does.session)
        on = self._to(state, frame, instruction.next)
        spot = self._spot(state)
        # What the other side has said last is thrown at a send, if it is there.
        others: list[Way] = []
        name = does.session.name if isinstance(does.session, machine.Var) else ""
        if which != OURS and name not in frame.sure:
            others += self._others_fail(state, frame.at, frame.at, OTHER_ENDED)
        if which == OTHER:
            return Ways([self._silent(on), *others], spot) if others else on
        if which == OURS and state.heard:
            thrown = list(self._caught(state, frame.at, is_end, END_CAUGHT))
            if thrown:
                return Ways(thrown, spot)
        for field in sorted(field for name, field in self._program.asked if name == does.type):
            value = self._field(does.value, field)
            path = None if value is None else knowledge.path_of(value)
            if path is None or path not in self._interest(frame.code).live[frame.at]:
                continue
            kind = self._kind(frame.code, path)
            found = knowledge.suppose(frame.facts, path, kind, self._program.declared)
            if found:
                # Whoever receives it will know, and this side must decide alike later on.
                return Ways(
                    [
                        self._silent(
                            self._top(state, frame._replace(facts=facts)),
                            Step(f"`{'.'.join(path)}` {told}", spot),
                        )
                        for told, facts in found.items()
                    ],
                    spot,
                )
        values = self._values(does, frame.facts)
        sent: Way = (Kind.SEND, does.type, values, on, (), None)
        others += self._ended(state, frame.at, frame.at)
        return Ways([sent, *others] if which == OURS else [sent, self._silent(on), *others], spot)

    def _kind(self, flow: str, path: knowledge.Path) -> Type | None:
        """The type of what is in a variable or field."""
        kind = self._program.names(flow).kinds.get(path[0])
        for field in path[1:]:
            if isinstance(kind, OptionalType):
                kind = kind.item
            name = kind.name if isinstance(kind, Named) else ""
            kind = self._program.declared.types.get((name, field))
        return kind

    def _field(self, value: machine.Expr, field: str) -> machine.Expr | None:
        """What a message has in a field, as an expression."""
        if isinstance(value, machine.New):
            fields = self._program.declared.fields.get(value.type, ())
            if field in fields:
                return value.arguments[fields.index(field)]
            return None
        return machine.Get(value, field) if knowledge.path_of(value) is not None else None

    def _values(self, does: machine.Send, known: Facts) -> Values:
        made = knowledge.bind(("",), does.value, known, self._program.declared)
        return frozenset(
            ((path[1], about), value)
            for (path, about), value in made
            if len(path) == 2 and (does.type, path[1]) in self._program.asked
        )


def _is_unwritten(does: Operation) -> bool:
    """Whether it is the return at the end of a flow that does not say so: it is told as where the
    way came from, since its own place is just the last line."""
    return isinstance(does, machine.Return) and not does.place.text.startswith("return")
