"""Sessions that are gone on with although the error that was caught has ended them.

What a peer fails with, and its end, are the last that a session brings: whatever is sent there or
waited for afterwards throws `SessionEnded`. Says so only of a `catch` that nothing but one session
leads to. Follows no conversation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from flowlang import machine
from flowlang.protocol.code import Catch, Code, Instruction, Pick, Rest, Test
from flowlang.protocol.code import Each as Loop
from flowlang.protocol.frames import Program, place_of

ENDS = frozenset({"SessionEnded", "UnexpectedFlowEnd", "SessionRejected"})
"""What nothing but a session throws."""

LIVES = frozenset({"Timeout", "UnexpectedMessage", "Malformed"})
"""What a wait for a session throws, and the session goes on."""


@dataclasses.dataclass(frozen=True)
class Spent:
    """A statement about a session that is over: where, and where the error came from that was
    caught; `errors` as the `catch` names them."""

    flow: str
    session: str
    used: machine.Place
    ended: machine.Place
    errors: tuple[str, ...]


def spent(program: Program, flow: str) -> Iterator[Spent]:
    """The statements of a flow about sessions that are over for certain."""
    code = program.codes[flow]
    seen: set[machine.Place] = set()
    for catch in dict.fromkeys(one for made in code.instructions for one in made.catches):
        found = _only_session(code, catch)
        if found is None:
            continue
        session, ended = found
        for used in _used_from(code, catch.target, session):
            if used not in seen:
                seen.add(used)
                yield Spent(flow, session, used, ended, catch.errors)


# --- where an error comes from --------------------------------------------------------------------


def _only_session(code: Code, catch: Catch) -> tuple[str, machine.Place] | None:
    """The session whose end is all that a `catch` can take, and where it may be heard of."""
    if not LIVES.isdisjoint(catch.errors):
        return None
    found: dict[str, machine.Place] = {}
    for instruction in code.instructions:
        if catch not in _catching(code, instruction):
            continue
        for source in _sources(instruction, catch):
            place = place_of(instruction)
            if source is None or place is None:
                return None
            # A deadline over this flow as a whole may be what is caught.
            if "FlowError" in catch.errors and _is_lent(code, source):
                return None
            found.setdefault(source, place)
    if len(found) != 1:
        return None
    return next(iter(found.items()))


def _catching(code: Code, instruction: Instruction) -> tuple[Catch, ...]:
    """Who catches what an instruction throws: what a wait brings is thrown behind it."""
    if isinstance(instruction.does, Rest):
        return code.instructions[instruction.next].catches
    return instruction.catches


def _sources(instruction: Instruction, catch: Catch) -> Iterator[str | None]:
    """The sessions whose end an instruction may throw to a `catch`; None for anything else."""
    if instruction.calls and not ENDS.issuperset(catch.errors):
        yield None
    match instruction.does:
        case machine.Send(session=session):
            yield _name(session)
        case machine.Throw(error=error) | machine.Require(error=error):
            if not (isinstance(error, machine.New) and ENDS.issuperset(catch.errors)):
                yield None
        case Rest(wait=wait):
            yield from _of_wait(wait, catch)
        case _:
            return


def _of_wait(wait: machine.Wait, catch: Catch) -> Iterator[str | None]:
    # Where time may be over too, the session need not be.
    if getattr(wait, "until", None) is not None and "FlowError" in catch.errors:
        yield None
    match wait:
        case (
            machine.AwaitCheckpoint()
            | machine.AwaitTime()
            | machine.AwaitMoment()
            | machine.AwaitOperator()
        ):
            return
        case machine.AwaitMessage(session=session):
            yield _name(session)
        case machine.AwaitChoice(arms=arms):
            for arm in arms:
                if isinstance(arm, machine.Came | machine.Ended):
                    yield _name(arm.session)
                elif not isinstance(arm, machine.Late):
                    yield None
        case _:
            yield None


def _is_lent(code: Code, session: str) -> bool:
    """Whether a session is one that a caller hands in."""
    flow = code.flow
    return flow.responds_to is None and any(one.name == session for one in flow.parameters)


def _name(session: machine.Expr) -> str | None:
    return session.name if isinstance(session, machine.Var) else None


# --- what comes then ------------------------------------------------------------------------------


def _used_from(code: Code, start: int, session: str) -> Iterator[machine.Place]:
    """The first statements about a session on each way from an instruction on."""
    todo, seen = [start], {start}
    while todo:
        instruction = code.instructions[todo.pop()]
        used = _use(instruction, session)
        if used is not None:
            yield used
            continue
        match instruction.does:
            case machine.Assign(name=name) | machine.Open(name=name) | Loop(name=name):
                if name == session:
                    continue
            case _:
                pass
        for target in _next(instruction):
            if target not in seen:
                seen.add(target)
                todo.append(target)


def _next(instruction: Instruction) -> Iterator[int]:
    if instruction.next >= 0:
        yield instruction.next
    match instruction.does:
        case Test(otherwise=otherwise) | Loop(otherwise=otherwise):
            yield otherwise
        case Pick(ways=ways):
            yield from ways
        case _:
            return


def _use(instruction: Instruction, session: str) -> machine.Place | None:
    match instruction.does:
        case machine.Send(session=machine.Var(name=name), place=place) if name == session:
            return place
        case Rest(wait=machine.AwaitMessage(session=machine.Var(name=name)), place=place):
            return place if name == session else None
        case _:
            return None
