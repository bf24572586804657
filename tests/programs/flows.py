"""Writes whole flows: the statements of `blocks`, and conversations that follow their scripts."""

from __future__ import annotations

import dataclasses

from tests.programs import language
from tests.programs.blocks import Blocks, Loop
from tests.programs.choices import chance, pick, weighted
from tests.programs.entries import Maker
from tests.programs.expressions import OR, Expr, Where, join
from tests.programs.kinds import INT, PARTY, SESSION, TEXT, Kind, list_of
from tests.programs.language import choosing, groups, late, owner
from tests.programs.language.telling import log
from tests.programs.names import SESSIONS, Readable, Variable
from tests.programs.plans import STRANGER, Plan, Responder, Talk
from tests.programs.scripts import INITIATOR, RESPONDER, Either, Item, Repeat, Say, speaker

MAX_FLOWS = 5


class Flows(Blocks):
    """Writes one flow whose sessions follow their scripts."""

    # --- which statements there are ---

    def options(self) -> list[tuple[int, Maker]]:
        return super().options() + language.offers(self) + [*owner.offers(self)]

    def conversations(self) -> list[tuple[int, Maker]]:
        options: list[tuple[int, Maker]] = [(8 if self.loops else 14, self.call)]
        if self.may_open():
            options.append((8 if not self.talks else 3, self.open))
            if self.indent < 7:
                options.append((6, lambda: self.try_(converse=True)))
            if not self.loops and self.can_throw_any():
                options.append((16, self.crowd))
        stranger = next((v.name for v in self.names.variables() if v.kind == STRANGER), None)
        if stranger is not None and self.can_throw_any():
            options.append((3, lambda: self.reject(stranger)))
        for talk in self.talks:
            if talk.remaining and talk.quota != 0 and self.playable(talk):
                options.append((25, lambda talk=talk: self.play(talk)))  # type: ignore[misc]
        if self.can_call_itself():
            options.append((10, self.recurse))
        return options

    def throwers(self, converse: bool) -> list[tuple[int, Maker]]:
        options: list[tuple[int, Maker]] = [(6, self.call)]
        if converse and self.may_open():
            options.append((40, self.converse))
        if self.can_throw("Picky"):
            options.append((2, self.picky))
        if self.can_throw("Taken"):
            options.append((3, self.claim))
        if any(self.can_throw(error) for error in self.book.errors):
            options.append((4, self.require_caught))
        return options

    def converse(self) -> None:
        """A whole conversation at once."""
        mark = len(self.talks)
        self.open()
        self.finish(mark)

    def require_caught(self) -> None:
        """A check that this very `try` catches."""
        error = pick(self.choices, [e for e in self.book.errors if self.can_throw(e)])
        condition = self.make.condition(1)
        self.line(f"require {condition.text} else {self.error(error)}")

    # --- whose turn it is, and whether it may be taken now ---

    def may_speak(self, talk: Talk) -> bool:
        """Speaking may pass the turn; only among calm sessions may several peers have it."""
        return all(u.held() or (u.calm and talk.calm) for u in self.talks if u is not talk)

    def may_hear(self, talk: Talk) -> bool:
        """Listening throws whatever ended the peer."""
        if talk.calm and talk.role == INITIATOR:
            return True
        if not self.others_held(talk):
            return False
        return talk.role == RESPONDER or self.can_throw_any(talk)

    def playable(self, talk: Talk) -> bool:
        if talk.dropped or not talk.remaining:
            return False
        item = talk.remaining[0]
        if not isinstance(item, Say):
            return self.may_speak(talk) and self.may_hear(talk)
        return self.may_speak(talk) if item.sender == talk.role else self.may_hear(talk)

    def play(self, talk: Talk) -> None:
        """The next item of this session's script, and what must stay together with it."""
        item = talk.remaining[0]
        assert self.playable(talk), f"{self.plan.name} may not go on with {talk.name} here"
        if talk.quota is not None:
            talk.quota -= 1
        talk.depth += 1
        match item:
            case Say():
                if item.sender == talk.role:
                    self.say(talk, item)
                elif self.indent < 6 and chance(self.choices, 20):
                    choosing.hear(self, talk, item)
                elif self.indent < 6 and chance(self.choices, late.patience(talk, item)):
                    late.hear(self, talk, item)
                else:
                    self.hear(talk, item)
            case Repeat():
                if item.chooser == talk.role:
                    self.repeat(talk, item)
                else:
                    self.follow(talk, item)
            case Either():
                if item.chooser == talk.role:
                    self.choose(talk, item)
                else:
                    self.obey(talk, item)
        talk.depth -= 1

    # --- one message ---

    def message(self, item: Say) -> str:
        kind = Kind(item.message)
        if item.flag is None:
            return self.make.of(kind, 2).text
        return self.make.construct(kind, 2, Where(), item.flag).text

    def say(self, talk: Talk, item: Say) -> None:
        """Sends, with whatever must leave in the same step."""
        talk.remaining = talk.remaining[1:]
        following = talk.remaining[0] if talk.remaining and talk.quota != 0 else None
        if not item.joined and chance(
            self.choices, 60 if late.droppable(item, talk.remaining) else 15
        ):
            late.dawdle(self)
        if isinstance(following, Say) and following.sender != talk.role and self.may_hear(talk):
            if chance(self.choices, 45):
                if talk.quota is not None:
                    talk.quota -= 1
                self.hear(talk, following, f"send {self.message(item)} to {talk.name} then ")
                return
        self.line(f"send {self.message(item)} to {talk.name}")
        if isinstance(following, Say) and following.joined:
            if chance(self.choices, 30):
                self.note()
            self.play(talk)

    def hear(
        self,
        talk: Talk,
        item: Say,
        before: str = "",
        *,
        suffix: str = "",
        safely: bool = False,
    ) -> Variable:
        """Receives, with a block of checks that fails only where a failure meets a listener."""
        talk.remaining = talk.remaining[1:]
        kind = Kind(item.mistaken or item.message)
        name = self.name()
        state = ""
        if chance(self.choices, 15):
            self.states += 1
            state = f" @wait_{self.states}"
        head = f"{before}receive {name}: {kind} from {talk.name}{state}{suffix}"
        variable = Variable(name, kind)
        if not chance(self.choices, 50):
            self.line(f"{head} unchecked")
        else:
            self.line(f"{head}:")
            self.checks(variable, may_fail=not safely and self.can_throw_any())
        self.names.declare(variable)
        return variable

    # --- a block of checks ---

    def checks(self, variable: Variable, *, may_fail: bool) -> None:
        """At least one of the checks looks at a part of what came."""
        self.indent += 1
        self.names.push()
        inside = Variable(variable.name, variable.kind, untrusted=True)
        self.names.declare(inside)
        parts = [
            found
            for found in self.names.readables()
            if found.root is inside
            and found.kind.name != "Map"
            and found.kind.name not in self.book.shapes
        ]
        if may_fail:
            for _ in range(self.choices.below(3)):
                self.extra_check()
        if chance(self.choices, 30):
            self.untrusted_let()
        found = pick(self.choices, parts)
        error = pick(self.choices, self.book.errors)
        where = Where(calls=0, risk=45 if may_fail else 0)
        if may_fail:
            condition = self.about(found, where)
            if chance(self.choices, 25):
                condition = join(OR, "or", condition, self.about(pick(self.choices, parts), where))
        else:
            condition = self.always(found.text, found.kind)
        if may_fail and chance(self.choices, 30):
            # What is thrown where the check fails.
            self.line(f"if not ({condition.text}):")
            self.line(f"    throw {self.error(error)}")
        else:
            self.line(f"require {condition.text} else {self.error(error)}")
        if chance(self.choices, 20):
            log(self)
        self.names.pop()
        self.indent -= 1
        self.found_out(found, condition)

    def found_out(self, found: Readable, condition: Expr) -> None:
        """What a check says of an optional part is known after the checks too."""
        if condition.text == f"{found.text} != none":
            self.names.narrow(found.text, found.kind.items[0])

    def always(self, path: str, kind: Kind) -> Expr:
        """A condition that looks at `path` and is true whatever it is."""
        if kind.name == "Bool":
            return Expr(f"{path} or not {path}", OR)
        if kind.name == "Optional":
            return Expr(f"{path} == none or {path} != none", OR)
        value = self.make.literal(kind, 0, Where(calls=0, risk=0)).text
        return Expr(f"{path} == {value} or {path} != {value}", OR)

    def extra_check(self) -> None:
        where = Where(untrusted=True, calls=1, risk=20)
        condition = self.make.condition(1, where)
        error = self.error(pick(self.choices, self.book.errors))
        sort = weighted(
            self.choices,
            [(3, "require"), (2, "if"), (2, "for"), (1, "let"), (1, "while"), (2, "match")],
        )
        if sort == "match":
            self.line(f"match {condition.text}:")
            self.line("    case true:")
            self.line("        pass")
            self.line("    case false:")
            self.line(f"        throw {error}")
            return
        if sort == "require":
            self.line(f"require {condition.text} else {error}")
        elif sort == "if":
            self.line(f"if {condition.text}:")
            self.line(f"    throw {error}")
            if chance(self.choices, 40):
                self.line("else:")
                self.line("    pass")
        elif sort == "for":
            values = self.make.of(list_of(INT), 1, Where(untrusted=True, calls=0))
            name = self.name()
            self.line(f"for {name} in {values.text}:")
            self.line(f"    require {name} < 70 else {error}")
        elif sort == "while":
            name = self.name()
            number = self.make.of(INT, 0, Where(untrusted=True, calls=0))
            self.line(f"var {name} = 0")
            self.line(f"while {name} < 2:")
            self.line(f"    {name} = {name} + 1")
            self.line(f"    require {name} < 90 - {number.text} % 90 else {error}")
            self.names.declare(Variable(name, INT, mutable=True, fixed=True))
        else:
            self.untrusted_let()

    def untrusted_let(self) -> None:
        kind = pick(self.choices, (INT, TEXT))
        value = self.make.of(kind, 1, Where(untrusted=True, calls=0, risk=0))
        name = self.name()
        self.line(f"let {name} = {value.text}")
        self.names.declare(Variable(name, kind, untrusted=value.untrusted))

    # --- choices and repetitions that both sides see ---

    def within(self, talk: Talk, items: tuple[Item, ...], after: int | None) -> None:
        """For a block: only these items are left, then `after` speaks."""
        talk.remaining, talk.after = items, after

    def repeat(self, talk: Talk, item: Repeat) -> None:
        rest, after = talk.remaining[1:], talk.after
        body: tuple[Item, ...] = (Say(item.chooser, item.message, flag=True), *item.body)
        last = Say(item.chooser, item.message, flag=False)
        self.within(talk, body, item.chooser)
        loop = Loop(len(self.talks), talk, len(body), talk.depth)
        first: Maker | None = None
        if chance(self.choices, 50):
            name = self.name()
            self.line(f"var {name} = 0")
            self.names.declare(Variable(name, INT, mutable=True, fixed=True))
            self.line(f"while {name} < {pick(self.choices, ('2', '1', '0', '3'))}:")
            first = lambda: self.line(f"{name} = {name} + 1")  # noqa: E731
        else:
            name = self.name()
            values = pick(self.choices, ("[1]", "[1, 2]", "[3, 2, 1]"))
            self.line(f"for {name} in {values}:")
            first = lambda: self._declare(Variable(name, INT))  # noqa: E731
        self.looping(self.choices.below(3), loop, first, (talk,))
        self.within(talk, (last, *rest), after)
        self.line(f"send {self.message(last)} to {talk.name}")
        self.within(talk, rest, after)

    def follow(self, talk: Talk, item: Repeat) -> None:
        if self.others_held(talk) and chance(self.choices, 30) and self.room_for_flow():
            self.serve(talk, item)
            return
        rest, after = talk.remaining[1:], talk.after
        told = Say(item.chooser, item.message)
        self.within(talk, item.body, item.chooser)
        loop = Loop(len(self.talks), talk, -1, talk.depth, breakable=False)
        self.line("while true:")

        def first() -> None:
            self.within(talk, (told, *item.body), item.chooser)
            heard = self.hear(talk, told, safely=True)
            self.line(f"if not {heard.name}.more:")
            self.line("    break")

        self.looping(self.choices.below(3), loop, first, (talk,))
        self.within(talk, rest, after)

    def choose(self, talk: Talk, item: Either) -> None:
        rest, after = talk.remaining[1:], talk.after
        then = dataclasses.replace(talk, remaining=rest).turn()
        for flag, items in ((True, item.left), (False, item.right)):
            self.line(f"if {self.make.condition(1).text}:" if flag else "else:")
            body: tuple[Item, ...] = (Say(item.chooser, item.message, flag=flag), *items)
            self.within(talk, body, then)
            self.block(self.choices.below(2), [(talk, len(body))])
        self.within(talk, rest, after)

    def obey(self, talk: Talk, item: Either) -> None:
        rest, after = talk.remaining[1:], talk.after
        then = dataclasses.replace(talk, remaining=rest).turn()
        self.within(talk, (Say(item.chooser, item.message),), item.chooser)
        heard = self.hear(talk, Say(item.chooser, item.message), safely=True)
        for flag, items in ((True, item.left), (False, item.right)):
            self.line(f"if {heard.name}.more:" if flag else "else:")
            self.within(talk, items, then)
            self.block(self.choices.below(2), [(talk, len(items))])
        self.within(talk, rest, after)

    # --- sessions are opened, rejected, used in crowds ---

    def room_for_flow(self) -> bool:
        return len(self.book.plans) < MAX_FLOWS

    def may_open(self) -> bool:
        if len(self.talks) >= 4:
            return False
        return all(talk.held() or talk.calm for talk in self.talks)

    def some_responder(self, *, calm: bool) -> Responder | None:
        """A responder to this flow: one that is there, or a new one."""
        known = self.book.responders.get(self.plan.name, [])
        known = [found for found in known if found.script.calm or not calm]
        if known and (chance(self.choices, 50) or not self.room_for_flow()):
            return pick(self.choices, known)
        if not self.room_for_flow():
            return None
        return self.book.responder(self.plan.name, calm=calm or chance(self.choices, 35))

    def party(self) -> str:
        if chance(self.choices, 15):
            return "me"
        return self.make.of(PARTY, 0, Where(literal=False)).text

    def open(self) -> None:
        calm = not self.can_throw_any()
        found = self.some_responder(calm=calm)
        if found is None:
            self.note()
            return
        self.open_to(found, self.party())

    def open_to(self, found: Responder, party: str) -> Talk:
        name = self.names.fresh(SESSIONS, self.choices.below(len(SESSIONS)))
        self.line(f"open {found.plan.name} with {party} as {name}")
        self.names.declare(Variable(name, SESSION))
        talk = Talk(name, INITIATOR, found.script.items, None, found.script.calm)
        self.talks.append(talk)
        return talk

    def crowd(self) -> None:
        """Two sessions of one script, in a list: a round, or a subflow, for both."""
        if self.room_for_flow() and chance(self.choices, 50):
            calm = self.book.responder(self.plan.name, calm=True)
            if self._crowd_items(calm) > 0:
                groups.gather(self, calm)
                return
        known = self.book.responders.get(self.plan.name, [])
        fitting = [r for r in known if self._crowd_items(r) > 0]
        if not fitting:
            self.open()
            return
        found = pick(self.choices, fitting)
        count = self._crowd_items(found)
        if chance(self.choices, 60):
            groups.gather(self, found)
            return
        talks = [self.open_to(found, self.party()) for _ in range(2)]
        listed = ", ".join(talk.name for talk in talks)
        if chance(self.choices, 50) and self.room_for_flow():
            plan = self.book.plan("All", may_throw=True, size=1)
            plan.crowd = count
            plan.talk = Talk("", INITIATOR, found.script.items[:count], INITIATOR, False, True)
            self.line(f"subflow {plan.name}([{listed}])")
        else:
            self.rounds(f"[{listed}]", found, count)
        for talk in talks:
            talk.remaining = talk.remaining[count:]

    def _crowd_items(self, found: Responder) -> int:
        """How many items a round may play: from our turn to our turn again."""
        items = found.script.items
        if speaker(items[0]) != INITIATOR:
            return 0
        talk = Talk("", INITIATOR, items, None, found.script.calm)
        for count in range(min(3, len(items)), 0, -1):
            split = count < len(items) and getattr(items[count], "joined", False)
            if not split and talk.rest_turn(count) in (None, INITIATOR):
                return count
        return 0

    def rounds(self, sessions: str, found: Responder, count: int) -> None:
        items = found.script.items
        after = Talk("", INITIATOR, items, None, False).rest_turn(count)
        self.round(sessions, items[:count], after)

    def round(self, sessions: str, items: tuple[Item, ...], after: int | None) -> None:
        name = self.names.fresh(SESSIONS)
        self.line(f"for {name} in {sessions}:")
        talk = Talk(name, INITIATOR, items, after, False, borrowed=True)

        def first() -> None:
            self.names.declare(Variable(name, SESSION))
            self.talks.append(talk)
            talk.quota = len(items)
            while talk.remaining:
                self.play(talk)

        # Its sessions belong to the block around it, so a round is left only by failing.
        loop = Loop(len(self.talks), talk, -1, talk.depth, breakable=False)
        self.looping(self.choices.below(2), loop, first)

    def reject(self, stranger: str) -> None:
        """A session with a party that does not run the responder."""
        found = self.some_responder(calm=False)
        if found is None or speaker(found.script.items[0]) != INITIATOR:
            self.note()
            return
        only_sent = self.room_for_flow() and chance(self.choices, 40)
        caught = chance(self.choices, 75)
        if caught:
            self.line("try:")
            self.indent += 1
            self.names.push()
        if only_sent:
            plan = self.book.plan("Knock", may_throw=True, size=0)
            plan.parameters.append(("nobody", STRANGER))
            self.line(f"subflow {plan.name}({stranger})")
        else:
            self.knock(stranger, found, listen=True)
        if caught:
            self.names.pop()
            self.indent -= 1
            self.line("catch SessionRejected:")
            self.block(1)

    def knock(self, stranger: str, found: Responder, *, listen: bool) -> None:
        name = self.names.fresh(SESSIONS)
        self.line(f"open {found.plan.name} with {stranger} as {name}")
        self.names.declare(Variable(name, SESSION))
        if chance(self.choices, 70):
            self.line(f"send {self.make.construct(Kind('Ask'), 2, Where()).text} to {name}")
        if listen:
            heard = self.name()
            self.line(f"receive {heard}: Reply from {name} unchecked")
            self.names.declare(Variable(heard, Kind("Reply")))

    def caught(self, error: str, body: Maker) -> None:
        """What may throw this error of itself, in a `try` of its own if need be."""
        if self.can_throw_any() and not chance(self.choices, 60):
            body()
            return
        self.line("try:")
        self.indent += 1
        self.names.push()
        body()
        self.names.pop()
        self.indent -= 1
        self.line(f"catch {error}:")
        self.block(1)

    # --- subflows ---

    def bind(self, value: str, kind: Kind | None, *, untrusted: bool = False) -> None:
        """What may be done with a right side that waits, such as `subflow F()`. What is untrusted
        is not kept in anything that outlives its checks."""
        variables = [v for v in self.names.assignable() if v.kind == kind]
        if value.startswith("subflow "):
            self.calls.append(value.removeprefix("subflow ").partition("(")[0])
        sort = pick(self.choices, ("alone", "let", "var", "=", "=")) if kind else "alone"
        if untrusted and sort != "alone":
            sort = "let"
        if sort == "=" and not variables:
            sort = "let"
        if sort == "alone":
            self.line(value)
        elif sort == "=":
            self.line(f"{pick(self.choices, variables).name} = {value}")
        else:
            assert kind is not None
            name = self.name()
            self.line(f"{sort} {name} = {value}")
            mutable = sort == "var"
            self.names.declare(Variable(name, kind, mutable=mutable, untrusted=untrusted))

    def call(self) -> None:
        """A subflow of its own, or one that goes on with a session."""
        passed = [talk for talk in self.talks if self.passable(talk)]
        if passed and chance(self.choices, 50) and self.room_for_flow():
            self.pass_on(pick(self.choices, passed))
            return
        throwing = self.can_throw_any()
        known = [
            plan
            for plan in self.book.plans
            if plan.name.startswith("Part")
            and plan.index > self.plan.index
            and plan.talk is None
            and (throwing or not plan.may_throw)
        ]
        if known and (chance(self.choices, 40) or not self.room_for_flow()):
            plan = pick(self.choices, known)
        elif self.room_for_flow():
            plan = self.book.subflow(may_throw=throwing and not chance(self.choices, 15))
            assignable = self.names.assignable()
            if assignable and chance(self.choices, 50):
                plan.result = pick(self.choices, assignable).kind
            if chance(self.choices, 30):
                plan.counter = "depth"
            plan.untrusted = plan.result is not None and chance(self.choices, 25)
        else:
            self.note()
            return
        call = f"subflow {plan.name}({self.arguments(plan)})"
        self.bind(call, plan.result, untrusted=plan.untrusted)

    def returned_call(self, kind: Kind) -> str | None:
        """A subflow whose result is this flow's, if there is room for one."""
        if not self.room_for_flow() or self.plan.serves is not None:
            return None
        plan = self.book.subflow(may_throw=self.can_throw_any())
        plan.result = kind
        return f"subflow {plan.name}({self.arguments(plan)})"

    def arguments(self, plan: Plan) -> str:
        values = []
        for name, kind in plan.parameters:
            if name in plan.defaults and chance(self.choices, 50):
                continue
            value = self.party() if kind == PARTY else self.make.of(kind, 1, Where(calls=1)).text
            values.append(f"{name}={value}" if name in ("party", *plan.defaults) else value)
        if plan.counter is not None:
            values.append(f"{plan.counter}={pick(self.choices, ('1', '2', '0'))}")
        return ", ".join(values)

    def passable(self, talk: Talk) -> bool:
        return (
            bool(talk.remaining)
            and talk.quota != 0
            and not talk.dropped
            and self.others_held(talk)
            and self.may_hear(talk)
        )

    def pass_on(self, talk: Talk) -> None:
        """A subflow that plays the next items of a session."""
        count = self.duty(talk)
        plan = self.book.plan("Step", may_throw=self.can_throw_any(talk), size=1)
        plan.size = self.choices.below(4)
        after = talk.rest_turn(count)
        plan.talk = Talk("", talk.role, talk.remaining[:count], after, talk.calm, borrowed=True)
        plan.parameters.append(("session", SESSION))
        for _ in range(self.choices.below(3)):
            kind = pick(self.choices, self.book.kinds)
            plan.parameters.append((f"p{len(plan.parameters)}", kind))
        if self.choices.below(3):
            plan.result = pick(self.choices, self.book.kinds)
        values = [talk.name]
        values += [self.make.of(kind, 1, Where(calls=1)).text for _, kind in plan.parameters[1:]]
        self.bind(f"subflow {plan.name}({', '.join(values)})", plan.result)
        talk.remaining = talk.remaining[count:]
        if talk.quota is not None:
            talk.quota -= count

    def serve(self, talk: Talk, item: Repeat) -> None:
        """The listener's side of a repetition as a subflow that calls itself at its end."""
        plan = self.book.plan("Serve", may_throw=self.can_throw_any(talk), size=1)
        plan.serves = item
        plan.talk = Talk("", talk.role, talk.remaining[:1], talk.rest_turn(1), talk.calm, True)
        plan.parameters += [("session", SESSION), ("count", INT)]
        plan.result = pick(self.choices, (INT, TEXT, None))
        self.bind(f"subflow {plan.name}({talk.name}, 0)", plan.result)
        talk.remaining = talk.remaining[1:]

    def can_call_itself(self) -> bool:
        return (
            self.plan.counter is not None
            and not self.called_itself
            and not self.loops
            and (self.can_throw_any() or not self.plan.may_throw)
        )

    def recurse(self) -> None:
        """The flow calls itself with a smaller counter; its start ends it at zero."""
        self.called_itself = True
        values = []
        for name, kind in self.plan.parameters:
            value = self.party() if kind == PARTY else self.make.of(kind, 1, Where(calls=1)).text
            named = name in ("party", *self.plan.defaults)
            values.append(f"{name}={value}" if named else value)
        values.append(f"{self.plan.counter}={self.plan.counter} - 1")
        call = f"subflow {self.plan.name}({', '.join(values)})"
        self.bind(call, self.plan.result, untrusted=self.plan.untrusted)
