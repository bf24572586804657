"""What one flow of a conversation does by itself, statement by statement, and what shows of it.
Decides nothing and waits for nothing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from flowlang import syntax, types
from flowlang.pictures import wording
from flowlang.pictures.folding import Mark, Told
from flowlang.pictures.lanes import Lanes
from flowlang.pictures.responding import initiator, responder
from flowlang.pictures.scene import (
    Called,
    Catching,
    Code,
    Frame,
    Held,
    Letter,
    Limit,
    Line,
    Once,
    Round,
    Run,
    Scene,
    Taker,
    Trouble,
    Waiting,
)
from flowlang.pictures.sequence import Ending, Message, Note, Progress
from flowlang.pictures.wording import short, written

END = Letter("end", "end")


def trouble_of(error: types.ErrorInfo) -> Trouble:
    """A declared error, as the flow that throws it has it."""
    return Trouble(error.name, error.families, False)


class Doing:
    """`project` has the checked files by module, `followed` the flows that take part."""

    def __init__(self, project: Mapping[str, types.Checked], followed: frozenset[str]) -> None:
        self.lanes = Lanes()
        self._project = project
        self._followed = followed
        self._codes: dict[str, Code] = {}
        # What was found out about parts of the trees, with them: so that none comes to have the
        # number of another one.
        self._silent: dict[int, tuple[object, bool]] = {}
        self._known_calls: dict[int, tuple[object, list[tuple[str, str, str]]]] = {}
        self._demanded: dict[int, tuple[object, list[types.ErrorInfo]]] = {}

    def begin(self, scene: Scene, flow: str) -> None:
        """The first flow is at its first statement."""
        taker = self._taker(scene, "root", self.lanes.root(flow), flow)
        node = self._flow(flow).declaration
        if node.owner is not None:
            lane = self.lanes.beside(taker.lane, "owner", f"of {short(flow)}")
            scene.lines["owner"] = Line((taker.key, None), (taker.lane, lane), False)
            taker.held[1, taker.checked.variable_of[node.owner]] = Held("owner", True)
        if node.responds is not None:
            lane = self.lanes.beside(taker.lane, short(initiator(taker.checked, node.responds)))
            scene.lines["initiator"] = Line((None, taker.key), (lane, taker.lane), False)
            taker.held[1, taker.checked.variable_of[node.responds]] = Held("initiator", True)

    def _taker(self, scene: Scene, key: Hashable, lane: str, flow: str) -> Taker:
        called = Called(flow, self._code(flow), False)
        body = Run(self._flow(flow).declaration.body, 0)
        scene.takers.pop(key, None)
        scene.takers[key] = taker = Taker(key, lane, flow, [called, body], {})
        return taker

    def _checked(self, name: str) -> types.Checked:
        return self._project[name.rpartition(".")[0]]

    def _code(self, name: str) -> Code:
        module = name.rpartition(".")[0]
        return self._codes.setdefault(module, Code(self._project[module]))

    def _flow(self, name: str) -> types.FlowInfo:
        info = self._checked(name).infos[short(name)]
        assert isinstance(info, types.FlowInfo)
        return info

    def _named(self, taker: Taker, name: syntax.Expr) -> str:
        meaning = taker.checked.meaning_of[name]
        assert isinstance(meaning, types.FlowInfo)
        return meaning.name

    def _copied(self, scene: Scene, taker: Taker) -> tuple[Scene, Taker]:
        copy = scene.copy()
        return copy, copy.takers[taker.key]

    def _advance(self, taker: Taker) -> None:
        top = taker.stack[-1]
        assert isinstance(top, Run)
        taker.stack[-1] = top._replace(at=top.at + 1)

    def _catcher(self, taker: Taker, trouble: Trouble) -> Hashable | None:
        """Which `catch` in the flow takes an error."""
        for frame in reversed(taker.stack):
            if isinstance(frame, Catching):
                found = self._catch(taker, frame.node, trouble)
                if found is not None:
                    return found
        return None

    def _catch(self, taker: Taker, node: syntax.Try, trouble: Trouble) -> syntax.Catch | None:
        names = {trouble.name, *trouble.families, "FlowError"}
        for catch in node.catches:
            if names.intersection(self._caught_names(catch)):
                return catch
        return None

    def _caught_names(self, catch: syntax.Catch) -> list[str]:
        for checked in self._project.values():
            if catch.errors and catch.errors[0] in checked.meaning_of:
                return wording.caught(checked, catch)
        return []

    # --- frames that are over ---------------------------------------------------------------

    def _behind(self, scene: Scene, taker: Taker, top: Frame) -> list[Told]:
        """A block, or what was around it, is at its end."""
        match top:
            case Called():
                return self._return(scene, taker)
            case Run(block=block):
                taker.stack.pop()
                return self._close_block(scene, taker, block)
            case Once(node=node):
                taker.stack.pop()
                return [Mark("leave", (taker.key, taker.depth, node))]
            case _:
                taker.stack.pop()
                return []

    def _close_block(self, scene: Scene, taker: Taker, block: syntax.Block) -> list[Told]:
        """The sessions that a block opened end with it."""
        for node in block:
            if isinstance(node, syntax.Open):
                place = (taker.depth, taker.checked.variable_of[node])
                held = taker.held.pop(place, None)
                if isinstance(held, Held):
                    scene.close(taker, held.session, END)
        return []

    def _leave(self, scene: Scene, taker: Taker, frame: Frame) -> list[Told]:
        """What shows when a frame is left, which was popped already."""
        match frame:
            case Run(block=block):
                return self._close_block(scene, taker, block)
            case Round(node=node):
                return [Mark("out", (taker.key, node), taker.lane)]
            case Once(node=node):
                return [Mark("leave", (taker.key, taker.depth, node))]
            case Called():
                depth = taker.depth
                for place in [place for place in taker.held if place[0] > depth]:
                    del taker.held[place]
                return [Mark("leave", (taker.key, depth, frame.name))]
            case Catching() | Limit() | Waiting():
                return []

    def _return(self, scene: Scene, taker: Taker) -> list[Told]:
        """The flow, or the subflow that is on top, returns."""
        told: list[Told] = []
        while taker.stack:
            frame = taker.stack[-1]
            if isinstance(frame, Called) and taker.depth == 1:
                break
            told += self._leave(scene, taker, taker.stack.pop())
            if isinstance(frame, Called) and not frame.returns:
                return told
        for session in scene.sessions(taker):
            scene.close(taker, session, END)
        scene.leave(taker)
        return [*told, Ending(taker.lane, "returns")]

    def _throw(self, scene: Scene, taker: Taker, trouble: Trouble, said: str = "") -> list[Told]:
        """On in the `catch` that takes the error; where there is none the flow ends with it."""
        told: list[Told] = []
        is_caught = self._catcher(taker, trouble) is not None
        while is_caught:
            frame = taker.stack[-1]
            if isinstance(frame, Catching):
                catch = self._catch(taker, frame.node, trouble)
                if catch is not None:
                    taker.stack[-1] = Run(catch.body, 0)
                    if catch.name is not None:
                        place = (taker.depth, taker.checked.variable_of[catch])
                        taker.held[place] = trouble
                    return told
            told += self._leave(scene, taker, taker.stack.pop())
        reached: list[tuple[Taker, Hashable]] = []
        letter = Letter("error", trouble.name, trouble._replace(foreign=True))
        if trouble.foreign:
            # Details of an error cross one hop.
            letter = Letter("error", "UnexpectedFlowEnd", Trouble("UnexpectedFlowEnd", (), True))
        while taker.stack:
            frame = taker.stack.pop()
            if not isinstance(frame, Run):  # Its sessions hear of the error instead.
                told += self._leave(scene, taker, frame)
        name = said or short(trouble.name)
        for session in scene.sessions(taker):
            line = scene.lines[session]
            lanes = line.lanes if scene.side(taker, session) == 0 else line.lanes[::-1]
            sent = short(letter.name) if trouble.foreign else name
            peer = scene.peer(taker, session)
            if scene.close(taker, session, letter):
                told.append(Message(*lanes, sent, "error"))
                if peer is not None:
                    reached.append((peer, session))
        scene.leave(taker)
        told.append(Ending(taker.lane, f"fails with {name}", failed=True))
        for peer, session in reached:
            told += self._hear(scene, peer, session, letter)
        return told

    def _hear(self, scene: Scene, taker: Taker, session: Hashable, letter: Letter) -> list[Told]:
        """An error came to who does not catch it: how that goes on is not worth a picture."""
        assert letter.trouble is not None
        if taker.key not in scene.takers or self._catcher(taker, letter.trouble) is not None:
            return []
        top = taker.stack[-1]
        if isinstance(top, Waiting) and len(scene.inbox(taker, session)) == 1:
            return self._throw(scene, taker, scene.take(taker, session).trouble or letter.trouble)
        for other in scene.sessions(taker):
            scene.close(taker, other, END)
        scene.leave(taker)
        return [Note((taker.lane,), f"fails with {short(letter.name)} at its next wait")]

    # --- statements -------------------------------------------------------------------------

    def _statement(self, scene: Scene, taker: Taker, node: syntax.Statement) -> list[Told]:
        """One statement that decides nothing."""
        checked, lane = taker.checked, taker.lane
        match node:
            case syntax.Let(value=value) | syntax.Assign(value=value):
                return self._value(scene, taker, value, node)
            case syntax.EffectStatement(effect=effect):
                return self._value(scene, taker, effect, node)
            case syntax.Return(value=value):
                if isinstance(value, syntax.Subflow):
                    return self._value(scene, taker, value, node)
                told = [] if value is None else self._value(scene, taker, value, node)
                return [*told, *self._return(scene, taker)]
            case syntax.Open():
                return self._open(scene, taker, node)
            case syntax.Send():
                self._advance(taker)
                return self._send(scene, taker, node)
            case syntax.Receive() | syntax.Choice():
                told = self._send(scene, taker, node.send) if node.send is not None else []
                taker.stack.append(Waiting(node, False))
                return told
            case syntax.Close(session=value):
                self._advance(taker)
                return self._close(scene, taker, value)
            case syntax.Within(body=body):
                self._advance(taker)
                taker.stack += [Limit(node), Run(body, 0)]
                return []
            case syntax.Try(body=body):
                self._advance(taker)
                taker.stack += [Catching(node), Run(body, 0)]
                return []
            case syntax.While():
                self._advance(taker)
                taker.stack.append(Round(node))
                return []
            case syntax.For(values=values, body=body):
                self._advance(taker)
                session = self._session(taker, values)
                if session is None:
                    taker.stack.append(Round(node))
                    return []
                key = (taker.key, taker.depth, node)
                taker.held[taker.depth, checked.variable_of[node]] = Held(session, False)
                taker.stack += [Once(node), Run(body, 0)]
                return [Mark("enter", key, lane, self.round_of(taker, node), loop=True)]
            case syntax.Break() | syntax.Continue():
                return self._leave_round(scene, taker, ends=isinstance(node, syntax.Break))
            case syntax.Throw(error=error):
                return self._thrown(scene, taker, error)
            case syntax.StepTo(name=name, label=given):
                self._advance(taker)
                step = self._step(taker, name)
                return [Progress(lane, name, wording.label(checked, step, given))]
            case syntax.Sleep(duration=value):
                return self._note(taker, f"sleeps {written(checked, value.span)}")
            case syntax.WaitUntil(time=value):
                return self._note(taker, f"waits until {written(checked, value.span)}")
            case syntax.Hold():
                return self._note(taker, "held, until a person lets it go on")
            case syntax.CallStatement(call=call):
                self._advance(taker)
                return self._calls(taker, call)
            case _:
                # What is silent; `if`, `match` and `require` of which nothing shows are, too.
                self._advance(taker)
                return []

    def round_of(self, taker: Taker, node: syntax.While | syntax.For) -> str:
        """The head of a loop, as it is written."""
        checked = taker.checked
        if isinstance(node, syntax.While):
            return f"while {written(checked, node.condition.span)}"
        return f"for {node.name} in {written(checked, node.values.span)}"

    def _note(self, taker: Taker, said: str) -> list[Told]:
        self._advance(taker)
        return [Note((taker.lane,), said, "wait")]

    def _step(self, taker: Taker, name: str) -> syntax.ProgressStep | None:
        called = next(f for f in reversed(taker.stack) if isinstance(f, Called))
        step = self._flow(called.name).steps.get(name)
        return step.declaration if step is not None else None

    def _leave_round(self, scene: Scene, taker: Taker, *, ends: bool) -> list[Told]:
        told: list[Told] = []
        while not isinstance(taker.stack[-1], Round | Once):
            told += self._leave(scene, taker, taker.stack.pop())
        if ends:
            told += self._leave(scene, taker, taker.stack.pop())
        return told

    def _thrown(self, scene: Scene, taker: Taker, error: syntax.Expr) -> list[Told]:
        info = wording.error_of(taker.checked, error)
        if info is not None:
            return self._throw(scene, taker, trouble_of(info))
        variable = taker.checked.variable_of.get(error)
        held = taker.held.get((taker.depth, variable)) if variable is not None else None
        again = held if isinstance(held, Trouble) else Trouble("FlowError", (), False)
        return self._throw(scene, taker, again)

    # --- values and what they call ----------------------------------------------------------

    def _value(
        self, scene: Scene, taker: Taker, value: syntax.Expr | syntax.Effect, node: syntax.Statement
    ) -> list[Told]:
        checked, lane = taker.checked, taker.lane
        match value:
            case syntax.Subflow(call=call):
                self._advance(taker)
                return self._call(scene, taker, call, returns=isinstance(node, syntax.Return))
            case syntax.Start(call=call):
                self._advance(taker)
                return [Note((lane,), f"starts {short(self._named(taker, call.callee))}")]
            case syntax.Await(value=awaited, each=each):
                self._advance(taker)
                called = list(wording.calls(checked, awaited))
                if not called:
                    many = "flows" if each else "flow"
                    return [Note((lane,), f"waits for the {many} that it started", "wait")]
                return [arrow for one in called for arrow in self._called(taker, *one)]
            case syntax.Ask():
                self._advance(taker)
                people = self._asked(taker, value)
                answer = types.shown(checked.type_refs[value.answer])
                return [*people, Message(people[0].receiver, lane, answer, "answer")]
            case syntax.Pending(effect=syntax.Ask() as ask):
                self._advance(taker)
                return [*self._asked(taker, ask)]
            case _:
                if not isinstance(node, syntax.Return):
                    self._advance(taker)
                return self._calls(taker, value)

    def _asked(self, taker: Taker, ask: syntax.Ask) -> list[Message]:
        role = ask.role.value if isinstance(ask.role, syntax.Constant) else None
        name = str(role) if role is not None else written(taker.checked, ask.role.span)
        people = self.lanes.beside(taker.lane, name, f"of {self.lanes.named(taker.lane)}")
        question = wording.type_name(taker.checked, ask.question)
        return [Message(taker.lane, people, f"{question}?", "call")]

    def _calls(self, taker: Taker, value: object) -> list[Told]:
        """The operations within a value that others see."""
        found: list[Told] = []
        known = self._known_calls.get(id(value))
        if known is None:
            known = (value, list(wording.calls(taker.checked, value)))
            self._known_calls[id(value)] = known
        for service, operation, _ in known[1]:
            found += self._called(taker, service, operation)
        return found

    def _called(self, taker: Taker, service: str, operation: str, gives: str = "") -> list[Told]:
        lane = self.lanes.beside(taker.lane, service, f"of {self.lanes.named(taker.lane)}")
        call: list[Told] = [Message(taker.lane, lane, operation, "call")]
        return [*call, Message(lane, taker.lane, gives, "answer")] if gives else call

    def _call(self, scene: Scene, taker: Taker, call: syntax.Call, *, returns: bool) -> list[Told]:
        """Into a subflow."""
        name = self._named(taker, call.callee)
        own = [frame.name for frame in taker.stack if isinstance(frame, Called)]
        if name in own:
            scene.takers.clear()
            return [Note((taker.lane,), f"{short(name)} again, and so on")]
        checked, flow = self._checked(name), self._flow(name)
        given = taker.checked.calls[call]
        sessions = [None if one is None else self._session(taker, one) for one in given]
        told = self._calls(taker, call)
        key = (taker.key, taker.depth, name)
        taker.stack += [Called(name, self._code(name), returns), Run(flow.declaration.body, 0)]
        for parameter, session in zip(flow.declaration.parameters, sessions, strict=False):
            if session is not None:
                place = (taker.depth, checked.variable_of[parameter])
                taker.held[place] = Held(session, False)
        return [*told, Mark("enter", key, taker.lane, short(name))]

    # --- sessions ---------------------------------------------------------------------------

    def _session(self, taker: Taker, value: syntax.Expr) -> Hashable | None:
        """Which session an expression means; a list of them is drawn as one."""
        while True:
            match value:
                case syntax.Name():
                    variable = taker.checked.variable_of.get(value)
                    held = taker.held.get((taker.depth, variable)) if variable else None
                    return held.session if isinstance(held, Held) else None
                case syntax.Attribute(value=inner) | syntax.Index(value=inner):
                    value = inner
                case syntax.ListLiteral(items=[first, *_]):
                    value = first
                case _:
                    return None

    def _open(self, scene: Scene, taker: Taker, node: syntax.Open) -> list[Told]:
        self._advance(taker)
        flow = responder(self._project, taker.checked, node, self._followed)
        party = written(taker.checked, node.party.span)
        lane = self.lanes.opened(taker.lane, flow, party, each=node.each)
        key = (taker.key, node)
        old = scene.lines.get(key)
        if old is not None:
            scene.close(taker, key, END)
            scene.lines.pop(key, None)
        is_followed = flow in self._followed
        scene.lines[key] = Line((taker.key, key if is_followed else None), (taker.lane, lane),
                                node.each)  # fmt: skip
        taker.held[taker.depth, taker.checked.variable_of[node]] = Held(key, True)
        if is_followed:
            answering = self._taker(scene, key, lane, flow)
            responds = self._flow(flow).declaration.responds
            if responds is not None:
                place = (1, answering.checked.variable_of[responds])
                answering.held[place] = Held(key, False)
        return []

    def _send(self, scene: Scene, taker: Taker, node: syntax.Send) -> list[Told]:
        told = self._calls(taker, node.value)
        session = self._session(taker, node.session)
        said = wording.type_name(taker.checked, node.value)
        if session is None or session not in scene.lines:
            where = written(taker.checked, node.session.span)
            heard = f"to {where}" if session is None else "when nobody hears it any more"
            return [*told, Note((taker.lane,), f"sends {said} {heard}")]
        line = scene.lines[session]
        lanes = line.lanes if scene.side(taker, session) == 0 else line.lanes[::-1]
        arrives = scene.put(taker, session, Letter("data", said)) or line.each
        return [*told, Message(*lanes, said, "data" if arrives else "lost")]

    def _arrives(self, scene: Scene, taker: Taker, session: Hashable, said: str) -> Message:
        """A message of somebody who is not followed."""
        line = scene.lines[session]
        lanes = line.lanes if scene.side(taker, session) == 1 else line.lanes[::-1]
        return Message(*lanes, said)

    def _close(self, scene: Scene, taker: Taker, value: syntax.Expr) -> list[Told]:
        session = self._session(taker, value)
        if session is None or session not in scene.lines:
            return []
        line = scene.lines[session]
        lanes = line.lanes if scene.side(taker, session) == 0 else line.lanes[::-1]
        heard = scene.close(taker, session, END)
        return [Message(*lanes, "closes", "end")] if heard else []
