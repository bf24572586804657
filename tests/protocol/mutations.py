"""A pair with something changed in it, as authors get it wrong. It may fit all the same."""

from __future__ import annotations

import random

from tests.protocol.conversation import Maker
from tests.protocol.tree import (
    FRESH,
    Body,
    Case,
    Choose,
    Close,
    If,
    Pair,
    Receive,
    Send,
    Try,
    Within,
    Word,
    within,
)

ERRORS = (("SessionEnded",), ("Timeout",), ("FlowError",), ("Oops",), ("SessionEnded", "Timeout"))


def spoil(pair: Pair, maker: Maker) -> None:
    """Change one thing, perhaps two."""
    for _ in range(maker.random.choice((1, 1, 2))):
        _Spoiler(pair, maker).once()


class _Spoiler:
    def __init__(self, pair: Pair, maker: Maker) -> None:
        self._maker = maker
        self._random: random.Random = maker.random
        roots = [*pair.flows, *pair.subflows.values()]
        self._bodies = [body for root in roots for body in within(root)]

    def once(self) -> None:
        ways = [
            self._delete,
            self._delete,
            self._swap,
            self._swap,
            self._double,
            self._rename,
            self._rename,
            self._insert,
            self._insert,
            self._leave,
            self._wrap,
            self._wrap,
            self._wrap,
            self._case,
            self._time,
            self._decide,
        ]
        for _ in range(20):
            if self._random.choice(ways)():
                return

    def _body(self, least: int = 1) -> Body | None:
        found = [body for body in self._bodies if len(body) >= least]
        return self._random.choice(found) if found else None

    def _delete(self) -> bool:
        body = self._body()
        if body is None:
            return False
        del body[self._random.randrange(len(body))]
        return True

    def _swap(self) -> bool:
        body = self._body(2)
        if body is None:
            return False
        at = self._random.randrange(len(body) - 1)
        body[at], body[at + 1] = body[at + 1], body[at]
        return True

    def _double(self) -> bool:
        body = self._body()
        if body is None:
            return False
        at = self._random.randrange(len(body))
        stmt = body[at]
        if not isinstance(stmt, Send):
            return False
        body.insert(at, Send(stmt.message, stmt.value, self._maker.number(), stmt.session))
        return True

    def _all(self, kind: type) -> list[object]:
        return [stmt for body in self._bodies for stmt in body if isinstance(stmt, kind)]

    def _rename(self) -> bool:
        cases = [case for stmt in self._all(Choose) for case in stmt.cases]  # type: ignore[attr-defined]
        found = [
            stmt
            for stmt in (*self._all(Send), *self._all(Receive), *cases)
            if stmt.message in ("A", "B", "C", "Stop")  # type: ignore[attr-defined]
        ]
        if not found:
            return False
        self._random.choice(found).message = self._random.choice(("A", "B", "C", "Stop"))  # type: ignore[attr-defined]
        return True

    def _insert(self) -> bool:
        body = self._body(0)
        assert body is not None
        message = self._random.choice(("A", "B", "C"))
        name = self._maker.name("x")
        new = self._random.choice((Send(message), Receive(message, name)))
        body.insert(self._random.randrange(len(body) + 1), new)
        return True

    def _leave(self) -> bool:
        body = self._body(0)
        assert body is not None
        new = self._random.choice((Word("return"), Close(), Word("throw Oops()"), Word("break")))
        at = self._random.randrange(len(body) + 1)
        body.insert(at, If(FRESH, self._maker.number(), [new], []))
        return True

    def _wrap(self) -> bool:
        body = self._body()
        if body is None:
            return False
        at = self._random.randrange(len(body))
        end = self._random.randrange(at, len(body)) + 1
        inner = body[at:end]
        way = self._random.random()
        if way < 0.65:
            if self._random.random() < 0.3:
                inner = [Try(inner, self._random.choice(ERRORS), [])]
            after: Body = [Send("Stop")] if self._random.random() < 0.3 else []
            body[at:end] = [Try(inner, self._random.choice(ERRORS), after)]
        elif way < 0.85:
            body[at:end] = [Within(inner)]
        else:
            body[at:end] = [If(FRESH, self._maker.number(), inner, [])]
        return True

    def _case(self) -> bool:
        found = self._all(Choose)
        if not found:
            return False
        stmt = self._random.choice(found)
        assert isinstance(stmt, Choose)
        way = self._random.random()
        if way < 0.3 and stmt.ended is not None:
            stmt.ended = None
        elif way < 0.4 and not stmt.across:
            stmt.ended = []
        elif way < 0.5:
            stmt.late = [] if stmt.late is None else None
        elif way < 0.75 and len(stmt.cases) > 1:
            del stmt.cases[self._random.randrange(len(stmt.cases))]
        else:
            message = self._random.choice(("A", "B", "C", "Stop"))
            stmt.cases.append(Case(message, self._maker.name("x"), [], stmt.session))
        return True

    def _time(self) -> bool:
        found = self._all(Receive)
        if not found:
            return False
        stmt = self._random.choice(found)
        assert isinstance(stmt, Receive)
        if stmt.within:
            stmt.discard = not stmt.discard
        else:
            stmt.within = True
        return True

    def _decide(self) -> bool:
        """A decision becomes another one, or is turned round."""
        found = [stmt for stmt in self._all(If) if isinstance(stmt, If) and stmt.message != "Mood"]
        if not found:
            return False
        stmt = self._random.choice(found)
        if self._random.random() < 0.5:
            stmt.negated = not stmt.negated
        else:
            stmt.test, stmt.message, stmt.site = FRESH, "", self._maker.number()
        return True
