"""One flow of a pair as a graph, read from the generator's tree: what SPIN is told of it.

Written for these tests, from the language's rules, and apart from `flowlang.protocol`. With a
`view` only that session is seen: all others may do as they like, but what `never` happens there,
which is known from looking at them in the same way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tests.protocol.tree import (
    DECIDING,
    FRESH,
    Body,
    Call,
    Choose,
    Close,
    Each,
    If,
    Let,
    Pair,
    Receive,
    Send,
    Stmt,
    Try,
    While,
    Within,
    Word,
    bodies,
)

ENDED, CLOSED, FAILED = "ended", "closed", "failed"

Fact: TypeAlias = tuple[int, str]
"""Something that happens at a statement, by its line: a message is taken, or one of these."""

END, CASE_ENDED, REFUSED = "end", "case ended", "refused"


@dataclasses.dataclass
class Go:
    """Any of these may be next."""

    ways: list[int]


@dataclasses.dataclass
class Set:
    """The variable gets this value: "0", "1"."""

    name: str
    value: str
    next: int


@dataclasses.dataclass
class Test:
    name: str
    yes: int
    no: int


@dataclasses.dataclass
class Say:
    """`thrown` is where the flow goes on if the other side has ended, which it knows."""

    session: int
    message: str
    value: str
    next: int
    thrown: int | None
    line: int


@dataclasses.dataclass
class Hear:
    """`takes`: by session and message, the variable that gets what it says and what is next.
    `ended`: by session, what is next if the other side has ended. `ways` are open all the while,
    with whether a message is dropped then when it comes. `facts`: what is seen where a message is
    taken, by session and message, or an end is heard, by session. `refused` is what is seen where a
    message is not taken, which is caught."""

    takes: dict[int, dict[str, tuple[str, int]]]
    ended: dict[int, int]
    ways: list[tuple[int, bool]]
    facts: dict[tuple[int, str], Fact]
    refused: Fact | None


@dataclasses.dataclass
class Shut:
    """A session is closed by this side."""

    session: int
    next: int


@dataclasses.dataclass
class Over:
    how: str


Node = Go | Set | Test | Say | Hear | Shut | Over


@dataclasses.dataclass(frozen=True)
class Around:
    """What stands around a statement. `catches` are innermost first; `session` is the one that a
    subflow or a responder has, None in the flow that opens them; `is_ours` is false in a loop
    over a group, when it is another's turn. `outer` is how many catches are of flows that run this
    one."""

    end: int
    leave: int | None
    catches: tuple[tuple[tuple[str, ...], int], ...]
    limited: bool
    session: int | None
    is_ours: bool
    group: bool
    begin: dict[str, int]
    outer: int = 0


class Graph:
    """A flow of a pair. `view` is the only session that is seen; None for all. `never` is what does
    not happen in the others."""

    def __init__(
        self, pair: Pair, flow: int, view: int | None, never: frozenset[Fact] = frozenset()
    ) -> None:
        self.nodes: list[Node] = []
        self.names: set[str] = set()
        self._never = never
        self._throws = any(_may_throw(pair, body) for body in pair.flows[1:])
        self._pair = pair
        self._view = view
        self.is_alone = view is not None
        end = self._add(Over(ENDED))
        session = flow - 1 if flow else None
        around = Around(end, None, (), False, session, True, pair.group and not flow, {})
        start = self._add(Go([self._body(pair.flows[flow], end, around)]))
        self._shorten(start)

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _shorten(self, start: int) -> None:
        """Leave out what is never reached, and places that lead to only one."""
        old = self.nodes
        known: dict[int, int] = {}
        self.nodes = []
        todo: list[tuple[int, Node]] = []

        def number(at: int) -> int:
            seen = set()
            while True:
                node = old[at]
                if not isinstance(node, Go) or len(set(node.ways)) != 1 or at in seen:
                    break
                seen.add(at)
                at = node.ways[0]
            if at not in known:
                known[at] = self._add(node)
                todo.append((known[at], node))
            return known[at]

        self.start = number(start)
        while todo:
            place, node = todo.pop()
            self.nodes[place] = moved(node, number)

    def facts(self) -> Iterator[Fact]:
        """What can be seen here."""
        for node in self.nodes:
            if isinstance(node, Hear):
                yield from node.facts.values()
                if node.refused is not None:
                    yield node.refused
            if isinstance(node, Say) and node.thrown is not None:
                yield node.line, END

    # --- errors -----------------------------------------------------------------------------

    def _set(self, name: str, value: str, then: int) -> int:
        self.names.add(name)
        return self._add(Set(name, value, then))

    def _others(
        self, around: Around, line: int, make: Callable[[list[int]], int], only: int | None = None
    ) -> int:
        """A node with ways on which an error of another session is caught. It may be killed at any
        time, and what is asked of it then throws its end; but else that is heard only where it may
        come, and Oops only if somebody throws it. `only` is the one session that is waited for."""
        ways = []
        errors = ["Oops", "another"] if self._throws else ["another"]
        for error in errors:
            target = self._caught(around, line, error, only)
            if target is not None:
                ways.append(self._set("trouble", "1", target))
        ended = self._caught(around, line, "SessionEnded", only)
        if ended is None:
            return make(ways)
        if (line, END) not in self._never:
            return make([*ways, ended])
        self.names.add("trouble")
        return self._add(Test("trouble", make([*ways, ended]), make(ways)))

    def _caught(self, around: Around, line: int, error: str, only: int | None) -> int | None:
        target = self._catch(around, error)
        if target is None or only is None:
            return target
        errors = next(errors for errors, where in around.catches if where == target)
        place = [where for _, where in around.catches].index(target)
        is_here = place < len(around.catches) - around.outer
        if is_here and ("FlowError" not in errors or (line, REFUSED) in self._never):
            return self._set(f"gone{only}", "1", target)
        return target

    def _unless_gone(self, session: int, on: int, over: int) -> int:
        """One or the other, by whether a session may still say something."""
        self.names.add(f"gone{session}")
        return self._add(Test(f"gone{session}", over, on))

    def _refused(self, around: Around, line: int) -> Fact | None:
        return (line, REFUSED) if self._catch(around, "another") is not None else None

    def _rests(self, around: Around, then: int) -> int:
        """What others have said is heard of after that."""
        return self._set("sure", "0", then) if self._pair.group and around.session is None else then

    @staticmethod
    def _catch(around: Around, error: str) -> int | None:
        """Who catches this error."""
        for errors, target in around.catches:
            if error in errors or "FlowError" in errors:
                return target
        return None

    def _any_error(self, around: Around, *errors: str) -> list[int]:
        """Who may catch, where any of these is thrown, or one that only FlowError catches."""
        found = [self._catch(around, error) for error in (*errors, "another")]
        return list(dict.fromkeys(one for one in found if one is not None))

    def _asking(self, around: Around, then: int) -> int:
        """The service is asked: it may throw what authors declare."""
        found = self._any_error(around, "Oops")
        return self._add(Go([then, *found])) if found else then

    # --- statements -------------------------------------------------------------------------

    def _body(self, body: Sequence[Stmt], then: int, around: Around) -> int:
        for stmt in reversed(body):
            then = self._stmt(stmt, then, around)
        return then

    def _number(self, stated: int, around: Around) -> int:
        return stated if around.session is None else around.session

    def _is_seen(self, session: int, around: Around) -> bool:
        return around.is_ours and self._view in (None, session)

    def _stmt(self, stmt: Stmt, then: int, around: Around) -> int:
        match stmt:
            case Send():
                return self._send(stmt, then, around)
            case Receive():
                return self._receive(stmt, then, around)
            case Choose():
                return self._choose(stmt, then, around)
            case Let(name=name):
                return self._asking(around, self._any_value(name, then))
            case If():
                return self._if(stmt, then, around)
            case While(site=site, body=body):
                head = self._add(Go([]))
                inner = dataclasses.replace(around, leave=then)
                ways = [self._body(body, head, inner)]
                if site:
                    ways = [self._asking(around, self._add(Go([*ways, then])))]
                self.nodes[head] = Go(ways)
                return head
            case Word(text=text):
                return self._word(text, then, around)
            case Close(session=session):
                number = self._number(session, around)
                if not self._is_seen(number, around):
                    return then
                # What comes after that is of no interest to this session.
                rest = then if self._view is None else self._add(Over(CLOSED))
                return self._add(Shut(number, rest))
            case Try(body=body, errors=errors, handler=handler):
                target = self._body(handler, then, around)
                catches = ((errors, target), *around.catches)
                return self._body(body, then, dataclasses.replace(around, catches=catches))
            case Within(body=body):
                return self._body(body, then, dataclasses.replace(around, limited=True))
            case Call():
                return self._call(stmt, then, around)
            case Each(body=body):
                return self._each(body, then, around)
        raise AssertionError(stmt)

    def _word(self, text: str, then: int, around: Around) -> int:
        match text:
            case "break":
                assert around.leave is not None
                return around.leave
            case "return":
                return around.end
            case "throw Oops()":
                target = self._catch(around, "Oops")
                return self._add(Over(FAILED)) if target is None else target
            case _:
                # It sleeps; the deadline over it may be over first.
                then = self._rests(around, then)
                if not around.limited:
                    return then
                return self._add(Go([then, self._late(around)]))

    def _late(self, around: Around) -> int:
        target = self._catch(around, "Timeout")
        return self._add(Over(FAILED)) if target is None else target

    def _any_value(self, name: str, then: int) -> int:
        self.names.add(name)
        return self._add(Go([self._add(Set(name, value, then)) for value in "01"]))

    def _if(self, stmt: If, then: int, around: Around) -> int:
        yes = self._body(stmt.then, then, around)
        no = self._body(stmt.otherwise, then, around)
        if stmt.test == FRESH:
            return self._asking(around, self._add(Go([yes, no])))
        if stmt.negated:
            yes, no = no, yes
        self.names.add(stmt.test)
        return self._add(Test(stmt.test, yes, no))

    def _send(self, stmt: Send, then: int, around: Around) -> int:
        number = self._number(stmt.session, around)
        fresh = stmt.message == "Flag" and stmt.value == FRESH
        if not self._is_seen(number, around):
            made = self._others(around, stmt.line, lambda ways: self._add(Go([then, *ways])))
            made = self._if_unsure(around, then, made)
            return self._asking(around, made) if fresh else made
        if around.group and around.session is None:
            # In the same step nothing more is heard of those that were sent to.
            then = self._set("sure", "1", then)
        thrown_to = self._catch(around, "SessionEnded")
        values = ["0"]
        if stmt.message in DECIDING:
            words = {"true": ["1"], "false": ["0"], FRESH: ["0", "1"]}
            values = words.get(stmt.value, [stmt.value])
        if stmt.value and stmt.value not in ("true", "false", FRESH):
            self.names.add(stmt.value)
        found = [
            self._add(Say(number, stmt.message, value, then, thrown_to, stmt.line))
            for value in values
        ]
        made = found[0] if len(found) == 1 else self._add(Go(found))
        if around.group and around.is_ours and around.session is None:
            # Another of the group may have ended, which is thrown before this one is sent to.
            sent = made
            either = self._others(around, stmt.line, lambda ways: self._add(Go([sent, *ways])))
            made = self._if_unsure(around, sent, either)
        return self._asking(around, made) if fresh else made

    def _if_unsure(self, around: Around, sure: int, unsure: int) -> int:
        if not self._pair.group or around.session is not None:
            return unsure
        self.names.add("sure")
        return self._add(Test("sure", sure, unsure))

    def _receive(self, stmt: Receive, then: int, around: Around) -> int:
        number = self._number(stmt.session, around)
        ways = []
        if stmt.within or around.limited:
            ways.append((self._late(around), stmt.discard))
        if not self._is_seen(number, around):
            if stmt.message in DECIDING:
                then = self._any_value(stmt.name, then)
            late = [way for way, _ in ways]
            never = (stmt.line, stmt.message) in self._never

            def made(comes: bool) -> int:
                on = [then] if comes and not never else []
                return self._others(
                    around,
                    stmt.line,
                    lambda ways: self._add(Go([*on, *ways, *late] or [self._fails()])),
                    number,
                )

            return self._rests(around, self._unless_gone(number, made(True), made(False)))
        name = stmt.name if stmt.message in DECIDING else ""
        if name:
            self.names.add(name)
        target = self._catch(around, "SessionEnded")
        ended = {} if target is None else {number: target}
        facts = {(number, stmt.message): (stmt.line, stmt.message), (number, END): (stmt.line, END)}
        takes = {number: {stmt.message: (name, then)}}
        refused = self._refused(around, stmt.line)

        def hear(others: list[int]) -> int:
            all_ways = [*ways, *((way, False) for way in others)]
            return self._add(Hear(takes, ended, all_ways, facts, refused))

        if around.group and around.session is None:
            return self._rests(around, self._others(around, stmt.line, hear))
        return self._rests(around, hear([]))

    def _fails(self) -> int:
        return self._add(Over(FAILED))

    def _choose(self, stmt: Choose, then: int, around: Around) -> int:
        targets = {id(case): self._body(case.body, then, around) for case in stmt.cases}
        ended = None if stmt.ended is None else self._body(stmt.ended, then, around)
        late = None if stmt.late is None else self._body(stmt.late, then, around)
        about = self._number(stmt.session, around)
        numbers = {self._number(case.session, around) for case in stmt.cases}
        if stmt.ended is not None or not numbers:
            numbers.add(about)
        unseen = sorted(number for number in numbers if not self._is_seen(number, around))
        only = unseen[0] if len(numbers) == 1 and unseen else None

        def made(gone: frozenset[int]) -> int:
            def hear(others: list[int]) -> int:
                return self._hearing(stmt, around, targets, (ended, late), others, gone)

            return self._others(around, stmt.line, hear, only) if unseen else hear([])

        found = made(frozenset())
        if unseen:
            over = made(frozenset(unseen[:1]))
            found = self._unless_gone(unseen[0], found, over)
        return self._rests(around, found)

    def _hearing(
        self,
        stmt: Choose,
        around: Around,
        targets: dict[int, int],
        others_first: tuple[int | None, int | None],
        others: list[int],
        gone: frozenset[int],
    ) -> int:
        takes: dict[int, dict[str, tuple[str, int]]] = {}
        ways: list[tuple[int, bool]] = []
        facts: dict[tuple[int, str], Fact] = {}
        for case in stmt.cases:
            number = self._number(case.session, around)
            target = targets[id(case)]
            if not self._is_seen(number, around):
                # Of a group with something wrong all cases are told: none is left out.
                never = (case.line, case.message) in self._never and not self._pair.group
                if number in gone or never:
                    continue
                if case.message in DECIDING:
                    target = self._any_value(case.name, target)
                ways.append((target, False))
                continue
            name = case.name if case.message in DECIDING else ""
            if name:
                self.names.add(name)
            takes.setdefault(number, {}).setdefault(case.message, (name, target))
            facts[number, case.message] = (case.line, case.message)
        ended: dict[int, int] = {}
        about = self._number(stmt.session, around)
        at_end, late = others_first
        if at_end is not None:
            if self._is_seen(about, around):
                ended[about] = at_end
                takes.setdefault(about, {})
                facts[about, END] = (stmt.line, CASE_ENDED)
            elif (stmt.line, CASE_ENDED) not in self._never or self._pair.group:
                ways.append((at_end, False))
        caught = self._catch(around, "SessionEnded")
        if caught is not None:
            for number in takes:
                if number not in ended:
                    ended[number] = caught
                    facts[number, END] = (stmt.line, END)
        if late is not None:
            ways.append((late, False))
        if around.limited:
            ways.append((self._late(around), False))
        ways += [(way, False) for way in others]
        if not takes:
            return self._add(Go([way for way, _ in ways] or [self._fails()]))
        return self._add(Hear(takes, ended, ways, facts, self._refused(around, stmt.line)))

    def _call(self, stmt: Call, then: int, around: Around) -> int:
        """A subflow: its statements here. One that runs itself last begins anew."""
        back = around.end if stmt.is_last else then
        if stmt.flow in around.begin:
            assert stmt.is_last
            return around.begin[stmt.flow]
        head = self._add(Go([]))
        inner = dataclasses.replace(
            around,
            end=back,
            leave=None,
            session=self._number(stmt.session, around),
            begin={**around.begin, stmt.flow: head},
            outer=len(around.catches),
        )
        self.nodes[head] = Go([self._body(self._pair.subflows[stmt.flow], back, inner)])
        return head

    def _each(self, body: Body, then: int, around: Around) -> int:
        """Others come before and after the session that is looked at, which comes once."""
        last = self._add(Go([]))
        first = self._add(Go([]))
        single = dataclasses.replace(around, group=False)
        others = dataclasses.replace(single, is_ours=False)

        def theirs(back: int) -> int:
            turn = self._body(body, back, dataclasses.replace(others, leave=then))
            return self._set("gone0", "0", turn)

        done = then
        if all(isinstance(stmt, Send) for stmt in body):
            done = self._set("sure", "1", then)
        self.nodes[last] = Go([done, theirs(last)])
        self.nodes[first] = Go(
            [self._body(body, last, dataclasses.replace(single, leave=then)), theirs(first)]
        )
        return first


def moved(node: Node, number: Callable[[int], int]) -> Node:
    """The node, with other numbers for what comes next."""
    match node:
        case Go(ways=ways):
            return Go(list(dict.fromkeys(map(number, ways))))
        case Set(name=name, value=value, next=then):
            return Set(name, value, number(then))
        case Test(name=name, yes=yes, no=no):
            return Test(name, number(yes), number(no))
        case Say(next=then, thrown=thrown):
            return dataclasses.replace(
                node, next=number(then), thrown=None if thrown is None else number(thrown)
            )
        case Shut(session=session, next=then):
            return Shut(session, number(then))
        case Hear(takes=takes, ended=ended, ways=ways):
            return dataclasses.replace(
                node,
                takes={
                    session: {
                        message: (name, number(then)) for message, (name, then) in some.items()
                    }
                    for session, some in takes.items()
                },
                ended={session: number(then) for session, then in ended.items()},
                ways=[(number(way), discard) for way, discard in ways],
            )
        case _:
            return node


def _may_throw(pair: Pair, body: Body) -> bool:
    """Whether a flow of statements, or one that it runs, throws Oops or asks its service, which may
    throw it."""
    todo, seen = [body], set()
    while todo:
        for stmt in todo.pop():
            if isinstance(stmt, Word) and stmt.text == "throw Oops()":
                return True
            if getattr(stmt, "site", 0):
                return True
            if isinstance(stmt, Call) and stmt.flow not in seen:
                seen.add(stmt.flow)
                todo.append(pair.subflows[stmt.flow])
            todo += bodies(stmt)
    return False
