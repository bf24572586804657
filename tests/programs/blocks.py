"""Blocks and the statements in them that concern one flow alone. Conversations are added on top."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tests.programs.choices import chance, pick, weighted
from tests.programs.entries import Maker
from tests.programs.expressions import (
    AND,
    NOT,
    OR,
    PRODUCT,
    Expr,
    Expressions,
    Where,
    compare,
    join,
)
from tests.programs.kinds import (
    BOOL,
    CASES,
    DECISION,
    INT,
    PAIR,
    SHOWN,
    TEXT,
    TIMESTAMP,
    Kind,
    Shape,
    list_of,
    map_of,
    optional,
)
from tests.programs.language.waits import pause
from tests.programs.names import POOL, Names, Readable, Variable
from tests.programs.plans import Book, Plan, Talk
from tests.programs.scripts import RESPONDER


@dataclasses.dataclass
class Guard:
    """A `try` around what is being written: its errors, and the sessions that its catching ends."""

    errors: frozenset[str]
    mark: int
    duties: tuple[Talk, ...]


@dataclasses.dataclass
class Loop:
    """A loop around what is being written. With a `talk` it plays a part of a script each round,
    and may be left or begun anew only where the peer expects that."""

    mark: int
    talk: Talk | None = None
    whole: int = 0
    depth: int = 0
    breakable: bool = True


WIDE = ("Trouble", "Mischief", "FlowError")
"""Families of errors, each after those that it may take."""


def _fields_of(shape: Shape) -> list[str]:
    return [field.name for field in shape.fields]


class Blocks:
    """Writes one flow, line by line."""

    def __init__(self, book: Book, plan: Plan) -> None:
        self.book = book
        self.plan = plan
        self.choices = book.choices
        self.names = Names(book.shapes)
        self.make = Expressions(book.choices, self.names)
        self.lines: list[str] = []
        self.indent = 1
        self.talks: list[Talk] = []
        self.guards: list[Guard] = []
        self.loops: list[Loop] = []
        self.steps: list[str] = []
        self.calls: list[str] = []
        self.states = 0
        self.called_itself = False

    # --- lines and blocks ---

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def block(
        self,
        size: int,
        duties: Iterable[tuple[Talk, int]] = (),
        *,
        first: Maker | None = None,
        leave: Maker | None = None,
    ) -> None:
        """An indented block of about `size` statements that plays `duties` (sessions from outside,
        and how many items of each), and ends every session of its own where its peer listens."""
        quotas = [(talk, talk.quota) for talk in self.talks]
        for talk in self.talks:
            talk.quota = 0
        duties = list(duties)
        for talk, count in duties:
            talk.quota = count
        mark, start = len(self.talks), len(self.lines)
        self.indent += 1
        self.names.push()
        if first is not None:
            first()
        self.statements(size)
        if chance(self.choices, 80):
            self.finish(mark)
        self.settle(mark)
        for talk, _ in duties:
            while talk.quota and not talk.dropped:
                self.play(talk)
        if chance(self.choices, 35):
            self.account(self.names.scopes[-1].variables)
        if leave is not None:
            leave()
        if len(self.lines) == start:
            self.line("pass")
        self.names.pop()
        self.indent -= 1
        del self.talks[mark:]
        for talk, quota in quotas:
            talk.quota = quota

    def settle(self, mark: int) -> None:
        """Go on with the sessions opened since `mark` until each may be ended."""
        for talk in reversed(self.talks[mark:]):
            # The session that the flow responds to comes last: it hears only when all others rest.
            while talk.remaining and not talk.held():
                self.play(talk)

    def finish(self, mark: int) -> None:
        """Go on with the sessions opened since `mark` to the ends of their scripts."""
        for talk in reversed(self.talks[mark:]):
            while talk.remaining and self.playable(talk) and talk is not self.plan.talk:
                if chance(self.choices, 30):
                    self.statements(1)
                else:
                    self.play(talk)

    def play(self, talk: Talk) -> None:
        raise NotImplementedError

    def playable(self, talk: Talk) -> bool:
        raise NotImplementedError

    def throwers(self, converse: bool) -> list[tuple[int, Maker]]:
        raise NotImplementedError

    def returned_call(self, kind: Kind) -> str | None:
        raise NotImplementedError

    def conversations(self) -> list[tuple[int, Maker]]:
        raise NotImplementedError

    def statements(self, size: int) -> None:
        """About so many statements, fewer when the program has no room left."""
        for _ in range(size):
            if self.book.room <= 0:
                return
            self.book.room -= 1
            weighted(self.choices, self.options())()

    def options(self) -> list[tuple[int, Maker]]:
        """What may be written here, the simplest first."""
        options: list[tuple[int, Maker]] = [
            (12, self.note),
            (12, self.let),
            (12 if self.names.assignable() else 0, self.assign),
        ]
        if self.indent < 7:
            options += [
                (10, self.if_),
                (9, self.match),
                (13, self.try_),
            ]
            if len(self.loops) < 2:
                options += [(5, self.for_), (5, self.while_)]
        if self.can_throw_any():
            options.append((4 if self.guards else 2, self.require))
        options.append((self.guarded("Picky"), self.picky))
        options.append((self.guarded("Taken"), self.claim))
        options.append((5, self.fault))
        return options + self.conversations()

    # --- may it fail, may it leave? ---

    def others_held(self, talk: Talk | None = None) -> bool:
        return all(other.held() for other in self.talks if other is not talk)

    def can_throw(self, error: str) -> bool:
        """Whether this error may be thrown here: it must meet only peers that listen."""
        for guard in reversed(self.guards):
            if any(talk.role == RESPONDER and talk.calm for talk in guard.duties):
                return False
            if error in guard.errors:
                ended = (*self.talks[guard.mark :], *guard.duties)
                return all(talk.held() for talk in ended)
        return self.plan.may_throw and self.others_held()

    def guarded(self, error: str) -> int:
        """How much to throw this error here: little where it would end the flow."""
        caught = any(error in guard.errors for guard in self.guards)
        return (4 if caught else 1) if self.can_throw(error) else 0

    def can_throw_any(self, talk: Talk | None = None) -> bool:
        """Whether any error may be thrown here, `talk` being over by then."""
        calm = any(t.role == RESPONDER and t.calm for g in self.guards for t in g.duties)
        return self.plan.may_throw and not calm and self.others_held(talk)

    def can_return(self) -> bool:
        """Whether the flow may end here."""
        own = self.plan.talk
        if not self.others_held():
            return False
        if own is None or not own.remaining or (own.dropped and not own.borrowed):
            return not (own and own.borrowed and own.dropped)
        return self.plan.may_throw and not own.borrowed

    def can_break(self) -> bool:
        return self.can_continue() and self.loops[-1].breakable

    def can_continue(self) -> bool:
        if not self.loops:
            return False
        loop = self.loops[-1]
        if not all(talk.held() for talk in self.talks[loop.mark :]):
            return False
        talk = loop.talk
        if talk is None:
            return True
        return talk.depth == loop.depth and len(talk.remaining) in (0, loop.whole)

    def leaves(self) -> list[tuple[int, Maker]]:
        """The ways in which a block may be left for good here."""
        options: list[tuple[int, Maker]] = []
        if self.can_break():
            options.append((4, lambda: self.line("break")))
        if self.can_continue():
            options.append((4, lambda: self.line("continue")))
        if self.can_return():
            options.append((8 if self.loops else 2, self.return_))
        thrown = [error for error in self.book.errors if self.can_throw(error)]
        if thrown:
            # An error that nothing here catches ends most of the program: not too often.
            caught = any(error in guard.errors for guard in self.guards for error in thrown)
            options.append((6 if caught else 1, lambda: self.throw(pick(self.choices, thrown))))
        return options

    # --- simple statements ---

    def note(self) -> None:
        """Writes down what variables hold: the better half of what a run can be judged by."""
        text = self.make.interpolation(Where(untrusted=True))
        self.line(f"Desk.note({text.text})")

    def account(self, variables: Sequence[Variable]) -> None:
        """Writes down what these variables hold, as far as it can be shown."""
        shown = [v.name for v in variables if v.kind in SHOWN]
        if shown:
            self.line(f'Desk.note("{" ".join(f"{{{name}}}" for name in shown)}")')

    def name(self) -> str:
        return self.names.fresh(POOL, self.choices.below(len(POOL)))

    def let(self) -> None:
        kind = pick(self.choices, (INT, TEXT, BOOL, *self.book.kinds, TIMESTAMP))
        mutable = chance(self.choices, 65) and kind != TIMESTAMP
        untrusted = not mutable and kind in (INT, TEXT, BOOL) and chance(self.choices, 20)
        value = self.make.of(kind, 2, Where(untrusted=untrusted))
        # An optional's type cannot be seen from its value; others are written down now and then.
        typed = kind.name == "Optional" or chance(self.choices, 15)
        name = self.name()
        annotation = f": {kind}" if typed else ""
        self.line(f"{'var' if mutable else 'let'} {name}{annotation} = {value.text}")
        self.names.declare(Variable(name, kind, mutable, value.untrusted))

    def assign(self) -> None:
        variables = self.names.assignable()
        if not variables:
            self.note()
            return
        variable = pick(self.choices, variables)
        value = self.make.of(variable.kind, 2)
        self.line(f"{variable.name} = {value.text}")

    def fault(self) -> None:
        """Divides by zero, or overflows, for some numbers: the flow's own fault."""
        numbers = self.make.readable(INT, Where())
        if not numbers:
            self.line("checkpoint")
            return
        text = pick(self.choices, ("10 // ({} % 4)", "9_223_372_036_854_775_805 + {} % 5"))
        name = self.name()
        self.line(f"let {name} = {text.format(pick(self.choices, numbers).text)}")
        self.names.declare(Variable(name, INT))

    def picky(self) -> None:
        """A Python function that throws a declared error for some numbers."""
        number = self.make.of(INT, 1)
        name = self.name()
        self.line(f"let {name} = picky({number.text})")
        self.names.declare(Variable(name, INT))

    def claim(self) -> None:
        """An operation that throws a declared error for some numbers."""
        number = self.make.of(INT, 1)
        name = self.name()
        self.line(f"let {name} = Desk.claim({number.text})")
        self.names.declare(Variable(name, PAIR))

    # --- errors ---

    def error(self, name: str, where: Where | None = None) -> str:
        where = where or Where(untrusted=True, calls=1)
        return self.make.construct(Kind(name), 2, dataclasses.replace(where, calls=1)).text

    def throw(self, name: str) -> None:
        self.line(f"throw {self.error(name)}")

    def require(self) -> None:
        """Often about something untrusted, which it makes trusted."""
        name = pick(self.choices, self.book.errors)
        dirty = [r for r in self.names.readables() if r.untrusted and self.examinable(r)]
        if dirty and chance(self.choices, 80):
            found = pick(self.choices, dirty)
            condition = self.about(found)
            self.line(f"require {condition.text} else {self.error(name)}")
            self.names.trust(found.text)
            return
        options = [r for r in self.names.readables() if self.narrowable(r)]
        if options and chance(self.choices, 50):
            found = pick(self.choices, options)
            self.line(f"require {found.text} != none else {self.error(name)}")
            self.names.narrow(found.text, found.kind.items[0])
            return
        condition = self.make.condition(1)
        if not chance(self.choices, 30):
            number = self.make.moving(INT, Where())
            condition = join(OR, "or", compare("<", number, Expr("90")), condition)
        self.line(f"require {condition.text} else {self.error(name)}")

    def narrowable(self, found: Readable) -> bool:
        """Optionals whose variable stays as it is, so that what was found out of it stays true."""
        return (
            found.kind.name == "Optional"
            and not found.untrusted
            and (not found.root.mutable or found.root.fixed)
        )

    def examinable(self, found: Readable) -> bool:
        return found.kind in (INT, TEXT, BOOL) and not found.text.endswith(".size")

    def about(self, found: Readable, where: Where | None = None) -> Expr:
        """A condition that really looks at `found`, true more often than not."""
        where = where or Where(calls=0, risk=0)
        read = Expr(found.text, untrusted=found.untrusted)
        match found.kind:
            case Kind("Int"):
                left = read
                if where.risk and chance(self.choices, where.risk):
                    risky = pick(self.choices, ("[7, 60][{}]", "60 // {}", "[7, 60, -2][{} - 1]"))
                    left = Expr(risky.format(found.text), PRODUCT, found.untrusted)
                operator = pick(self.choices, ("<", "!=", ">=", "<="))
                limit = Expr(pick(self.choices, ("50", "3", "(-1)", "1_000")))
                return compare(operator, left, limit)
            case Kind("Bool"):
                return pick(self.choices, (read, Expr(f"not {found.text}", NOT, found.untrusted)))
            case Kind("Text"):
                return compare(pick(self.choices, ("!=", ">=")), read, Expr('"a"'))
            case Kind("List", (Kind("Int"),)) if chance(self.choices, where.risk):
                return compare("<", Expr(f"{found.text}[1]"), Expr("9"))
            case Kind("List") | Kind("Map") | Kind("Bytes"):
                return compare("<", Expr(f"{found.text}.size"), Expr("9"))
            case Kind("Optional"):
                return compare(pick(self.choices, ("!=", "==")), read, Expr("none"))
        other = self.make.literal(found.kind, 1, Where(calls=0, risk=0))
        return compare("!=", read, other)

    # --- if ---

    def if_(self) -> None:
        leave = 12 if self.loops else 4
        sorts = [(5, "plain"), (2, "narrow"), (leave, "leave"), (4, "both")]
        sort = weighted(self.choices, sorts)
        if sort == "leave" and self.leaves():
            self.leave_if()
            return
        talk = self.duty_talk() if sort == "both" else None
        narrow = [r for r in self.names.readables() if self.narrowable(r)]
        if sort == "narrow" and narrow:
            self.narrowing(pick(self.choices, narrow))
            return
        if talk is not None:
            self.both(talk, self.duty(talk))
            return
        self.line(f"if {self.make.condition(2).text}:")
        self.block(1 + self.choices.below(3))
        if chance(self.choices, 25):
            self.line(f"elif {self.make.condition(1).text}:")
            self.block(1 + self.choices.below(2))
        if chance(self.choices, 60):
            self.line("else:")
            self.block(1 + self.choices.below(3))

    # --- match ---

    def match(self) -> None:
        """Over the enum, an optional, a Bool, or numbers and texts that are written out."""
        kinds = (DECISION, optional(DECISION), INT, TEXT, BOOL, optional(INT))
        kind = pick(self.choices, kinds)
        found = [
            r
            for r in self.make.readable(kind, Where())
            if r.kind == kind and (kind.name != "Optional" or self.perhaps_none(r))
        ]
        if found:
            subject = pick(self.choices, found).text
        else:
            kind, subject = DECISION, self.make.of(DECISION, 2).text
        self.line(f"match {subject}:")
        self.indent += 1
        patterns = self.patterns(kind)
        ends = self.leaves()
        none = False
        for at, (written, parts) in enumerate(patterns):
            self.line(f"case {written}:")
            last = at == len(patterns) - 1
            leave = None
            if ends and not last and chance(self.choices, 35):
                leave = lambda: weighted(self.choices, self.leaves())()  # noqa: E731
            self.block(
                self.choices.below(3),
                first=lambda p=parts, known=none or written not in ("none", "_"): self.matched(
                    p, subject if known and kind.name == "Optional" else None, kind
                ),
                leave=leave,  # type: ignore[misc]
            )
            none = none or written == "none"
        self.indent -= 1

    def perhaps_none(self, found: Readable) -> bool:
        """A `let` of an optional knows what it was given: a parameter or a field does not."""
        return self.narrowable(found) and (found.root.fixed or "." in found.text)

    def matched(self, parts: list[tuple[str, Kind]], known: str | None, kind: Kind) -> None:
        """What a pattern gives names to, and sometimes what it held after a wait. What is matched
        is `known` not to be none."""
        if known is not None:
            self.names.narrow(known, kind.items[0])
        for name, kind in parts:
            self.names.declare(Variable(name, kind))
        if parts and chance(self.choices, 50):
            if chance(self.choices, 50):
                self.line("checkpoint")
            self.line(f'Desk.note("{{{parts[-1][0]}}}")')

    def patterns(self, kind: Kind) -> list[tuple[str, list[tuple[str, Kind]]]]:
        """Patterns that leave nothing out, with what each gives names to."""
        match kind:
            case Kind("Optional", (item,)):
                rest = self.patterns(item) if chance(self.choices, 60) else [("_", [])]
                none: tuple[str, list[tuple[str, Kind]]] = ("none", [])
                return (
                    [none, *rest]
                    if rest[-1][0] == "_" or chance(self.choices, 50)
                    else [
                        *rest,
                        none,
                    ]
                )
            case Kind("Bool"):
                return [("true", []), ("false", [])]
            case Kind("Int"):
                return [("1", []), ("2, -3", []), ("_", [])][self.choices.below(2) :]
            case Kind("Text"):
                return [('"a"', []), ('"", "é☃"', []), ("_", [])][self.choices.below(2) :]
        found = [self.case_of(name) for name in CASES]
        start = self.choices.below(len(found))
        found = found[start:] + found[:start]
        if chance(self.choices, 25):
            found[-1] = ("_", [])
        elif chance(self.choices, 20):
            names = [name.partition("(")[0] for name, _ in found[1:]]
            found[1:] = [(", ".join(names), [])]
        return found

    def case_of(self, case: str) -> tuple[str, list[tuple[str, Kind]]]:
        """A pattern of one case, with names for its parts or without."""
        fields = CASES[case]
        if not fields or chance(self.choices, 25):
            return case, []
        slots: list[str] = []
        parts: list[tuple[str, Kind]] = []
        other = {field.name for field in fields}
        for field in fields:
            name = self.name()
            taken = {one for one, _ in parts} | (other - {field.name})
            if chance(self.choices, 20) or name in taken:
                slots.append("_")
            else:
                slots.append(name)
                parts.append((name, field.kind))
        return f"{case}({', '.join(slots)})", parts

    def both(self, talk: Talk, count: int) -> None:
        """Two branches that say the same things in a session from outside."""
        before = talk.remaining
        self.line(f"if {self.make.condition(2).text}:")
        self.block(self.choices.below(3), [(talk, count)])
        after, talk.remaining = talk.remaining, before
        self.line("else:")
        self.block(self.choices.below(3), [(talk, count)])
        assert talk.remaining == after
        if talk.quota is not None:
            talk.quota -= count

    def narrowing(self, found: Readable) -> None:
        item = found.kind.items[0]
        swapped = chance(self.choices, 30)
        self.line(f"if {found.text} {'==' if swapped else '!='} none:")
        narrow = lambda: self.names.narrow(found.text, item)  # noqa: E731
        self.block(1 + self.choices.below(2), first=None if swapped else narrow)
        if swapped or chance(self.choices, 40):
            self.line("else:")
            self.block(1 + self.choices.below(2), first=narrow if swapped else None)

    def leave_if(self) -> None:
        """`if …: return` and the like; what it tested may be narrowed or trusted from then on."""
        readables = self.names.readables()
        dirty = [r for r in readables if r.untrusted and self.examinable(r)]
        narrow = [r for r in readables if self.narrowable(r)]
        found: Readable | None = None
        if dirty and chance(self.choices, 60):
            found = pick(self.choices, dirty)
            condition = self.about(found)
        elif narrow and chance(self.choices, 60):
            found = pick(self.choices, narrow)
            condition = compare("==", Expr(found.text), Expr("none"))
        else:
            condition = self.make.condition(1)
        self.line(f"if {condition.text}:")
        self.block(self.choices.below(2), leave=lambda: weighted(self.choices, self.leaves())())
        if found is not None and found.untrusted:
            self.names.trust(found.text)
        elif found is not None:
            self.names.narrow(found.text, found.kind.items[0])

    # --- sessions from outside that a block goes on with ---

    def passable(self, talk: Talk) -> bool:
        raise NotImplementedError

    def duty_talk(self) -> Talk | None:
        """A session that a block may go on with."""
        fitting = [talk for talk in self.talks if self.passable(talk)]
        return pick(self.choices, fitting) if fitting else None

    def duty(self, talk: Talk) -> int:
        """How many items, so that messages which leave together stay together."""
        most = len(talk.remaining) if talk.quota is None else talk.quota
        count = 1 + self.choices.below(min(most, 3))
        while count < most and getattr(talk.remaining[count], "joined", False):
            count += 1
        return count

    # --- loops ---

    def looping(
        self, size: int, loop: Loop, first: Maker | None = None, duties: tuple[Talk, ...] = ()
    ) -> None:
        self.loops.append(loop)
        self.block(size, [(talk, len(talk.remaining)) for talk in duties], first=first)
        self.loops.pop()

    def new_loop(self) -> Loop:
        return Loop(len(self.talks))

    def for_(self) -> None:
        kind = pick(self.choices, (list_of(INT), list_of(TEXT), list_of(PAIR), map_of(TEXT, INT)))
        values = self.make.of(kind, 1)
        name = self.name()
        self.line(f"for {name} in {values.text}:")
        variable = Variable(name, kind.items[0])
        self.looping(1 + self.choices.below(4), self.new_loop(), lambda: self._declare(variable))

    def _declare(self, variable: Variable) -> None:
        self.names.declare(variable)

    def while_(self) -> None:
        """Always with a counter, so that it ends."""
        name = self.name()
        self.line(f"var {name} = 0")
        self.names.declare(Variable(name, INT, mutable=True, fixed=True))
        limit = pick(self.choices, ("2", "1", "3"))
        sort = weighted(self.choices, [(4, "counted"), (3, "condition"), (2, "endless")])
        if sort == "endless":
            self.line("while true:")
        elif sort == "condition":
            condition = self.make.condition(1)
            other = compare("<", Expr(name), Expr(limit))
            self.line(f"while {join(AND, 'and', other, condition).text}:")
        else:
            self.line(f"while {name} < {limit}:")

        def first() -> None:
            self.line(f"{name} = {name} + 1")
            if sort == "endless":
                self.line(f"if {name} > {limit}:")
                self.line("    break")

        self.looping(1 + self.choices.below(4), self.new_loop(), first)

    # --- try ---

    def try_(self, *, converse: bool = False) -> None:
        """A session that the body goes on with is not used again afterwards, unless every catch
        leaves: nobody knows how far it came."""
        talk = self.duty_talk() if not converse and chance(self.choices, 60) else None
        count = self.duty(talk) if talk is not None else 0
        must_leave = False
        if talk is not None:
            stays = talk.rest_turn(count) in (None, talk.role)
            must_leave = talk.quota is not None or talk.borrowed or not stays
            if not must_leave:
                must_leave = chance(self.choices, 30)
            if must_leave and not self.can_throw_any(talk):
                talk, count, must_leave = None, 0, False
        converse = converse or (talk is None and chance(self.choices, 50))
        clauses = self.clauses(talking=converse or talk is not None)
        wide = [error for clause in clauses for error in clause]
        narrow = (*self.book.errors, *WIDE, "Picky", "Taken")
        caught = frozenset(
            [*wide, *[e for e in narrow if any(self.book.in_family(e, w) for w in wide)]]
        )
        duties = (talk,) if talk is not None else ()
        self.line("try:")
        self.guards.append(Guard(caught, len(self.talks), duties))
        lone = [error for error in self.book.errors if error in caught and not duties]
        ending = None
        if lone and chance(self.choices, 20):
            ending = lambda: self.throw_if_possible(pick(self.choices, lone))  # noqa: E731
        self.block(
            1 + self.choices.below(3),
            [(t, count) for t in duties],
            first=None if duties else lambda: self.try_something(converse),
            leave=ending,
        )
        self.guards.pop()
        if talk is not None:
            talk.dropped = True
        for at, clause in enumerate(clauses):
            # Where the body always throws, one catch goes on, or nothing after it could be reached.
            self.catch(clause, must_leave, may_leave=ending is None or at > 0)
        if talk is not None and must_leave:
            talk.dropped = False
            if talk.quota is not None:
                talk.quota -= count

    def try_something(self, converse: bool) -> None:
        """What a `try` is for: something that may throw, often after a wait."""
        self.book.room -= 1
        if chance(self.choices, 30) and self.names.assignable():
            self.assign()
        makers: list[tuple[int, Maker]] = [(1, lambda: self.line("checkpoint"))]
        weighted(self.choices, makers + self.throwers(converse))()

    def throw_if_possible(self, name: str) -> None:
        if self.can_throw(name):
            self.throw(name)

    def clauses(self, *, talking: bool) -> list[tuple[str, ...]]:
        """What the catches catch: every error at most once; where peers are listened to, also what
        they may end with."""
        ends = ["SessionEnded", "Malformed", "UnexpectedFlowEnd", "UnexpectedMessage"]
        rare = ["Taken", "Picky", "SessionRejected"]
        left = list(self.book.errors) + (ends if talking else rare)
        clauses = []
        for _ in range(1 + self.choices.below(3) + talking):
            count = weighted(self.choices, [(5, 1), (3, 2), (1, 3)])
            clause = [left.pop(self.choices.below(len(left))) for _ in range(min(count, len(left)))]
            if clause:
                clauses.append(tuple(clause))
        # What takes more comes after what takes less, or the second could take nothing.
        clauses += [(family,) for family in WIDE if chance(self.choices, 12)]
        return clauses

    def catch(self, errors: tuple[str, ...], must_leave: bool, *, may_leave: bool) -> None:
        variable: Variable | None = None
        if not chance(self.choices, 20 if len(errors) == 1 else 50):
            variable = Variable(
                self.names.fresh(("e", "error", "e_2", "fault")),
                self.one_of(errors),
                untrusted=True,
            )
        suffix = f" as {variable.name}" if variable is not None else ""
        self.line(f"catch {', '.join(errors)}{suffix}:")

        def first() -> None:
            if variable is not None:
                self.names.declare(variable)
                if chance(self.choices, 50):
                    self.remember(variable)
                if chance(self.choices, 30):
                    self.about_error(variable, errors)

        def leave() -> None:
            if variable is not None and chance(self.choices, 85) and self.can_throw_any():
                self.line(f"throw {variable.name}")
            else:
                self.throw(pick(self.choices, self.book.errors))

        wanted = must_leave or (may_leave and self.can_throw_any() and chance(self.choices, 35))
        self.block(
            1 + self.choices.below(3) if not wanted else self.choices.below(3),
            first=first,
            leave=leave if wanted else None,
        )

    def one_of(self, errors: tuple[str, ...]) -> Kind:
        """The kind of a caught error: it has the fields that all of these have."""
        shapes = [self.book.shapes[error] for error in errors if error in self.book.shapes]
        if len(shapes) < len(errors):
            return Kind(errors[0] if len(errors) == 1 else "FlowError")
        if len(shapes) == 1:
            return shapes[0].kind
        alike = [
            field._replace(default=None)
            for field in shapes[0].fields
            if all((field.name, field.kind) in [f[:2] for f in s.fields] for s in shapes[1:])
        ]
        name = "+".join(errors)
        self.book.shapes[name] = Shape("error", name, tuple(alike))
        return Kind(name)

    def about_error(self, variable: Variable, errors: tuple[str, ...]) -> None:
        """What any error can be asked, where nothing of the same name is among its fields."""
        declared = all(error in self.book.shapes for error in errors)
        if declared and all("text" not in _fields_of(self.book.shapes[e]) for e in errors):
            self.line(f'Desk.note("{{{variable.name}.text}}")')
        else:
            self.line(f'Desk.note("{{{variable.name}.peer == none}}")')
            self.line(f"if {variable.name}.peer != none:")
            self.line(f'    Desk.note("{{{variable.name}.peer.name}}")')

    def remember(self, variable: Variable) -> None:
        """What an error said, after a wait."""
        fields = [
            found.text
            for found in self.names.readables()
            if found.root is variable and found.kind in SHOWN
        ]
        pause(self)
        if fields:
            self.line(f'Desk.note("{{{pick(self.choices, fields)}}}")')

    # --- ends ---

    def return_(self) -> None:
        if self.plan.result is None:
            self.line("return")
            return
        call = self.returned_call(self.plan.result) if chance(self.choices, 15) else None
        if call is not None:
            self.line(f"return {call}")
            return
        value = self.make.of(self.plan.result, 2, Where(untrusted=self.plan.untrusted))
        self.line(f"return {value.text}")
