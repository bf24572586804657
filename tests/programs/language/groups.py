"""Groups of sessions: opened, told and heard together. Written by a flow's `crowd`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs.arithmetic import Party, Value
from tests.programs.choices import chance, pick
from tests.programs.language import late
from tests.programs.names import NOT_READ, SESSIONS, Variable
from tests.programs.plans import Responder, Talk
from tests.programs.scripts import INITIATOR, Item, Say
from tests.programs.world import Effect, Frame, Session, Thrown, Wait

if TYPE_CHECKING:
    from tests.programs.flows import Flows
    from tests.programs.reference import Interpreter


# --- written ---


def gather(flow: Flows, found: Responder) -> None:
    """A group that is opened at once; the first messages with all, the rest with each."""
    name = flow.names.fresh(("all_of_them", "group", "crowd"))
    parties = ", ".join(flow.party() for _ in range(2))
    flow.line(f"open {found.plan.name} with each [{parties}] as {name}")
    flow.names.declare(Variable(name, NOT_READ, fixed=True))
    plain = _together(found)
    items = found.script.items
    for at, item in enumerate(items[:plain]):
        assert isinstance(item, Say)
        following = items[at + 1] if at + 1 < plain else None
        if item.sender == INITIATOR:
            flow.line(f"send {flow.message(item)} to each {name}")
        elif isinstance(following, Say) and following.sender != INITIATOR:
            late.hear_each(flow, item, name)
        else:
            _hear(flow, item, name)
    rest = found.script.items[plain:]
    for number in range(2):
        talk = Talk(f"{name}[{number}]", INITIATOR, rest, None, found.script.calm)
        flow.talks.append(talk)


def _together(found: Responder) -> int:
    """How many items are said by all, or heard from all: up to our own turn, and only where nobody
    fails, since otherwise the first to fail would decide."""
    if not found.script.calm:
        return 0
    count = 0
    items = found.script.items
    for number, item in enumerate(items):
        if not isinstance(item, Say) or item.mistaken or item.flag is not None:
            break
        if _ours(items[number + 1 :]):
            count = number + 1
    return count


def _ours(rest: tuple[Item, ...]) -> bool:
    talk = Talk("", INITIATOR, rest, None, True)
    first = rest[0] if rest else None
    return talk.turn() in (None, INITIATOR) and not getattr(first, "joined", False)


def _hear(flow: Flows, item: Say, group: str) -> None:
    heard = flow.name()
    some = chance(flow.choices, 50)
    flow.line(f"receive {heard}: {item.message}{'?' if some else ''} from each {group} unchecked")
    flow.names.declare(Variable(heard, NOT_READ, fixed=True))
    one = flow.names.fresh(SESSIONS)
    flow.line(f"for {one} in {heard}:")
    flow.line(f'    Desk.note("{{{one} {pick(flow.choices, ("==", "!="))} {one}}}")')
    flow.line(f'Desk.note("{{{heard}.size}}")')


# --- run ---


def open_each(interpreter: Interpreter, frame: Frame, node: syntax.Open) -> None:
    parties = interpreter.value(frame, node.party)
    assert isinstance(parties, tuple)
    found: list[Value] = []
    for party in parties:
        assert isinstance(party, Party)
        session = Session(interpreter.run, party.name, node.flow.name)
        frame.open.append(session)
        frame.invited.append(session)
        interpreter.run.pending.append(Effect("open", session))
        found.append(session)
    frame.values[node.name] = tuple(found)


def receive_each(
    interpreter: Interpreter, frame: Frame, node: syntax.Receive
) -> Generator[Wait, None, None]:
    sessions = interpreter.value(frame, node.session)
    assert isinstance(sessions, tuple)
    some = node.type.optional
    deadline = interpreter.deadline(frame, node.deadline)
    yield Wait(
        ready=lambda: all(session.inbox for session in sessions),  # type: ignore[union-attr]
        deadline=deadline,
    )
    found: list[Value] = []
    for session in sessions:
        assert isinstance(session, Session)
        if not session.inbox:
            assert some
            interpreter.late(session, node.deadline)
            interpreter.world.counts["one of a group was late"] += 1
            found.append(None)
            continue
        try:
            found.append(interpreter.heard(session, node.type.name))
        except Thrown:
            if not some:
                raise
            found.append(None)
    frame.values[node.name] = tuple(found)
    interpreter.world.counts["heard from each"] += 1


ENTRIES = ()
