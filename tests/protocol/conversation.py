"""Pairs that fit: both sides written down together, from one conversation made up at random."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.protocol.tree import (
    FRESH,
    Body,
    Call,
    Case,
    Choose,
    Close,
    Each,
    If,
    Let,
    Pair,
    Receive,
    Send,
    Try,
    While,
    Within,
    Word,
    within,
)

LEFT, RIGHT = 0, 1
PLAIN = ("A", "B", "C")

Both = tuple[Body, Body]


class Maker:
    """Makes conversations; names and sites are never given twice."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.subflows: dict[str, Body] = {}
        self._count = 0
        self._part = 0

    def number(self) -> int:
        self._count += 1
        return self._count

    def name(self, letter: str) -> str:
        return f"{letter}{self.number()}"

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def pair(self) -> Pair:
        sort = self.random.random()
        if sort < 0.08:
            return self._group()
        if sort < 0.18:
            return self._two_sessions()
        left, right = self.talk(self.random.choice((1, 1, 2, 2, 3)), 2)
        self._farewell(left, right)
        return Pair([left, right], self.subflows)

    # --- parts of a conversation ------------------------------------------------------------

    def talk(self, size: int, depth: int) -> Both:
        left: Body = []
        right: Body = []
        for _ in range(size):
            made = self._some(depth)
            left += made[LEFT]
            right += made[RIGHT]
        return left, right

    def _some(self, depth: int) -> Both:
        parts: list[tuple[int, Callable[[int], Both]]] = [(6, self._message), (2, self._crossing)]
        parts += [(1, self._pause), (1, self._late), (1, self._aside)]
        if depth:
            parts += [(3, self._choice), (2, self._decided), (2, self._related), (2, self._loop)]
            parts += [(1, self._subflow), (1, self._rounds), (1, self._failing), (1, self._again)]
        weights = [weight for weight, _ in parts]
        made = self.random.choices([make for _, make in parts], weights)[0]
        return made(depth)

    def _sides(self, sender: int, sending: Body, receiving: Body) -> Both:
        return (sending, receiving) if sender == LEFT else (receiving, sending)

    def _sender(self) -> int:
        return self.random.randrange(2)

    def _sent(self, message: str) -> Send:
        if message == "Flag":
            return Send(message, self.random.choice(("true", "false", FRESH)), self.number())
        if message == "Mood":
            return Send(message, self.random.choice(("true", "false")))
        return Send(message)

    def _taken(self, message: str) -> Receive:
        return Receive(message, self.name("x"))

    def _plain(self) -> str:
        return self.random.choice(PLAIN)

    def _message(self, depth: int) -> Both:
        message = self.random.choice((*PLAIN, *PLAIN, "Flag", "Mood"))
        return self._sides(self._sender(), [self._sent(message)], [self._taken(message)])

    def _pause(self, depth: int) -> Both:
        left, right = self._message(depth)
        word = Word("sleep 1s")
        return ([word, *left], right) if self.chance(0.5) else (left, [word, *right])

    def _crossing(self, depth: int) -> Both:
        """Both send first."""
        there = [self._plain() for _ in range(self.random.choice((1, 1, 2)))]
        back = [self._plain() for _ in range(self.random.choice((1, 1, 2)))]
        left: Body = [*map(self._sent, there), *map(self._taken, back)]
        right: Body = [*map(self._sent, back), *map(self._taken, there)]
        return left, right

    def _late(self, depth: int) -> Both:
        """An answer for which nobody waits long."""
        message = self._plain()
        wait = Receive(message, self.name("x"), True, True)
        caught: Body = [Try([wait], (self.random.choice(("Timeout", "FlowError")),), [])]
        return self._sides(self._sender(), [Send(message)], caught)

    def _aside(self, depth: int) -> Both:
        """Waiting again after the time is over, for the same."""
        message = self._plain()
        wait = Choose([Case(message, self.name("x"), [])], None, [self._taken(message)])
        return self._sides(self._sender(), [Send(message)], [wait])

    def _two(self, depth: int) -> tuple[Both, Both]:
        size = self.random.choice((0, 1, 1, 2))
        return self.talk(size, depth - 1), self.talk(1, depth - 1)

    def _choice(self, depth: int) -> Both:
        sender = self._sender()
        other = 1 - sender
        one, two = self._two(depth)
        first, second = self.random.sample((*PLAIN, "Stop"), 2)
        sending: Body = [
            If(
                FRESH,
                self.number(),
                [Send(first), *one[sender]],
                [Send(second), *two[sender]],
                self.chance(0.3),
            )
        ]
        cases = [
            Case(first, self.name("x"), list(one[other])),
            Case(second, self.name("x"), list(two[other])),
        ]
        self.random.shuffle(cases)
        return self._sides(sender, sending, [Choose(cases)])

    def _decided(self, depth: int) -> Both:
        """The receiver decides by a field."""
        sender = self._sender()
        other = 1 - sender
        one, two = self._two(depth)
        name = self.name("x")
        if self.chance(0.5):
            flag = self.name("f")
            sending: Body = [
                Let(flag, self.number()),
                Send("Flag", flag),
                If(flag, 0, one[sender], two[sender] or [Word("sleep 1s")]),
            ]
            test = If(name, 0, one[other], two[other] or [Word("sleep 1s")], message="Flag")
            return self._sides(sender, sending, [Receive("Flag", name), test])
        sending = [
            If(
                FRESH,
                self.number(),
                [Send("Mood", "true"), *one[sender]],
                [Send("Mood", "false"), *two[sender]],
            )
        ]
        test = If(name, 0, one[other], two[other], message="Mood")
        return self._sides(sender, sending, [Receive("Mood", name), test])

    def _related(self, depth: int) -> Both:
        """One flag, tested twice."""
        sender = self._sender()
        other = 1 - sender
        one, two = self._two(depth)
        between = self.talk(1, 0), self._message(0)
        flag = self.name("f")
        first, second = self.random.sample((*PLAIN, "Stop"), 2)
        same = self._plain()
        sending: Body = [
            Let(flag, self.number()),
            If(flag, 0, [Send(first)], [Send(second)], False),
            Send(same),
            If(flag, 0, [*one[sender], *between[0][sender]], [*two[sender], *between[1][sender]]),
        ]
        cases = [
            Case(first, self.name("x"), [self._taken(same), *one[other], *between[0][other]]),
            Case(second, self.name("x"), [self._taken(same), *two[other], *between[1][other]]),
        ]
        return self._sides(sender, sending, [Choose(cases)])

    def _loop(self, depth: int) -> Both:
        sender = self._sender()
        other = 1 - sender
        inner = self.talk(self.random.choice((0, 1)), depth - 1)
        first = self._plain()
        sending: Body = [
            While(self.number(), [Send(first), *inner[sender]]),
            Send("Stop"),
        ]
        cases = [
            Case(first, self.name("x"), list(inner[other])),
            Case("Stop", self.name("x"), [Word("break")]),
        ]
        return self._sides(sender, sending, [While(0, [Choose(cases)])])

    def _rounds(self, depth: int) -> Both:
        """A loop by a subflow that calls itself last, on one side; on the other a plain one."""
        sender = self._sender()
        first = self._plain()
        name = self._new_flow()
        last = self.chance(0.5)
        if last:
            cases = [
                Case(first, self.name("x"), [Call(name, True)]),
                Case("Stop", self.name("x"), []),
            ]
            self.subflows[name] = [Choose(cases)]
            return self._sides(
                sender, [While(self.number(), [Send(first)]), Send("Stop")], [Call(name)]
            )
        self.subflows[name] = [
            If(FRESH, self.number(), [Send(first), Call(name, True)], []),
            Send("Stop"),
        ]
        cases = [
            Case(first, self.name("x"), []),
            Case("Stop", self.name("x"), [Word("break")]),
        ]
        return self._sides(sender, [Call(name)], [While(0, [Choose(cases)])])

    def _new_flow(self) -> str:
        return f"Part{self.number()}"

    def _subflow(self, depth: int) -> Both:
        made = list(self.talk(self.random.choice((1, 2)), depth - 1))
        for side in (LEFT, RIGHT):
            if self.chance(0.6):
                name = self._new_flow()
                self.subflows[name] = made[side]
                made[side] = [Call(name)]
        return made[LEFT], made[RIGHT]

    def _failing(self, depth: int) -> Both:
        """An error that is thrown sometimes; perhaps it is caught before anybody hears of it."""
        made = list(self.talk(1, depth - 1))
        side = self._sender()
        throw: Body = [If(FRESH, self.number(), [Word("throw Oops()")], [])]
        if self.chance(0.5):
            throw = [Try([*throw], (self.random.choice(("Oops", "FlowError")),), [])]
        made[side] = [*throw, *made[side]]
        return made[LEFT], made[RIGHT]

    def _again(self, depth: int) -> Both:
        """A deadline over several waits, after which the flow fails."""
        made = list(self.talk(2, depth - 1))
        side = self._sender()
        made[side] = [Within(made[side])]
        return made[LEFT], made[RIGHT]

    # --- how it ends --------------------------------------------------------------------------

    def _farewell(self, left: Body, right: Body) -> None:
        both = left, right
        sender = self._sender()
        way = self.random.random()
        message = self._plain()
        if way < 0.15:
            # Until the other side has ended.
            cases = [Case(message, self.name("x"), [])]
            both[sender].append(While(self.number(), [Send(message)]))
            both[1 - sender].append(While(0, [Choose(cases, [Word("break")])]))
        elif way < 0.25:
            both[sender].append(While(self.number(), [Send(message)]))
            caught: Body = [While(0, [self._taken(message)])]
            error = self.random.choice(("SessionEnded", "FlowError"))
            both[1 - sender].append(Try(caught, (error,), []))
        elif way < 0.35:
            # Whatever else is said is not wanted.
            both[sender].extend(
                self._sent(self._plain()) for _ in range(self.random.choice((1, 2)))
            )
            both[1 - sender].append(Close())
        elif way < 0.4:
            wait = Receive(message, self.name("x"), True, True)
            both[sender].append(Send(message))
            both[1 - sender].append(Try([wait], ("Timeout",), []))

    # --- other shapes -------------------------------------------------------------------------

    def _group(self) -> Pair:
        """A flow that opens many sessions and speaks to all of them, or to each."""
        left: Body = []
        right: Body = []
        for _ in range(self.random.choice((1, 2, 3))):
            message = self._plain()
            way = self.random.random()
            if way < 0.35:
                left.append(Send(message))
                right.append(self._taken(message))
            elif way < 0.7:
                left.append(self._taken(message))
                right.append(Send(message))
            else:
                made = self.talk(1, 1)
                left.append(Each(made[LEFT]))
                right += made[RIGHT]
        return Pair([left, right], self.subflows, True)

    def _two_sessions(self) -> Pair:
        """A flow between two others, perhaps with a choice across both sessions."""
        left: Body = []
        rights: tuple[Body, Body] = ([], [])
        for _ in range(self.random.choice((1, 2, 3))):
            number = self.random.randrange(2)
            mine, its = self.talk(1, 1 if self.chance(0.5) else 0)
            left += on_session(mine, number)
            rights[number].extend(its)
        if self.chance(0.6):
            left.append(
                While(
                    0,
                    [
                        Choose(
                            [
                                Case("A", self.name("x"), [], 0),
                                Case("B", self.name("x"), [], 1),
                                Case("Stop", self.name("x"), [Word("break")], 0),
                                Case("C", self.name("x"), self._rest(), 1),
                            ],
                            across=True,
                        )
                    ],
                )
            )
            rights[0].append(While(self.number(), [Send("A")]))
            rights[0].append(Send("Stop"))
            left.append(
                While(
                    0,
                    [
                        Choose(
                            [
                                Case("B", self.name("x"), [], 1),
                                Case("C", self.name("x"), [Word("break")], 1),
                            ],
                            session=1,
                        )
                    ],
                )
            )
            rights[1].append(While(self.number(), [Send("B")]))
            rights[1].append(Send("C"))
        return Pair([left, *rights], self.subflows)

    def _rest(self) -> Body:
        """What is left of the first session when the second is done."""
        cases = [Case("A", self.name("x"), []), Case("Stop", self.name("x"), [Word("return")])]
        return [While(0, [Choose(cases)])]


def on_session(body: Body, number: int) -> Body:
    """A body, about this session. Subflows get the first session, so they are left as they are
    only there."""
    for inner in within(body):
        for stmt in inner:
            if isinstance(stmt, Send | Receive | Choose | Close | Call):
                stmt.session = number
            if isinstance(stmt, Choose):
                for case in stmt.cases:
                    case.session = number
    return body
