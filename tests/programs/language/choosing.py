"""What is waited for together, for so long, or no longer: choices, `within`, `close`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs import tree
from tests.programs.arithmetic import Faulted, Span
from tests.programs.choices import chance, pick
from tests.programs.entries import Maker, Statement
from tests.programs.expressions import Where
from tests.programs.kinds import Kind
from tests.programs.language.waits import pause
from tests.programs.names import NOT_READ, Variable
from tests.programs.plans import Talk
from tests.programs.scripts import RESPONDER, Say
from tests.programs.world import (
    COMMITTED,
    Begun,
    Effect,
    Frame,
    Letter,
    Session,
    Steps,
    Wait,
    built_in,
)

if TYPE_CHECKING:
    from tests.programs.flows import Flows
    from tests.programs.reference import Interpreter


# --- choices: written ---


def _choices(flow: Flows) -> Iterable[tuple[int, Maker]]:
    for talk in flow.talks:
        if talk.quota == 0 or not talk.remaining or flow.indent > 5:
            continue
        item = talk.remaining[0]
        if isinstance(item, Say) and item.sender != talk.role and flow.playable(talk):
            yield 12, lambda talk=talk, item=item: _play(flow, talk, item)  # type: ignore[misc]


def _play(flow: Flows, talk: Talk, item: Say) -> None:
    if talk.quota is not None:
        talk.quota -= 1
    hear(flow, talk, item)


def hear(flow: Flows, talk: Talk, item: Say) -> None:
    """The next message, in one case of several; the others never come, or are the peer's end."""
    talk.remaining = talk.remaining[1:]
    across = chance(flow.choices, 40)
    flow.states += 1
    state = pick(flow.choices, ("", "", f" @chosen_{flow.states}"))
    flow.line(f"receive{state}:" if across else f"receive from {talk.name}{state}:")
    place = f" from {talk.name}" if across else ""
    flow.indent += 1
    others = [name for name in flow.book.messages if name not in (item.message, item.mistaken)]
    for other in others:
        if chance(flow.choices, 50):
            flow.line(f"case {other}{_quiet(flow, talk) if across else ''}:")
            flow.line('    Desk.note("never")')
    _expected(flow, talk, item, place)
    if flow.can_throw_any(talk) and chance(flow.choices, 50):
        flow.line(f"case ended{place}:")
        flow.line(f"    throw {flow.error(pick(flow.choices, flow.book.errors))}")
    if chance(flow.choices, 20):
        flow.line("case timeout 36000d:")
        flow.line('    Desk.note("never")')
    flow.indent -= 1


def _quiet(flow: Flows, talk: Talk) -> str:
    """A session that is silent now: this one, or one whose peer waits for us and never fails."""
    silent = [t for t in flow.talks if t is not talk and t.calm and t.held() and t.remaining]
    # What left together with the message before may be there already.
    silent = [t for t in silent if not getattr(t.remaining[0], "joined", False)]
    if silent and not any(t.dropped for t in silent) and chance(flow.choices, 50):
        return f" from {pick(flow.choices, silent).name}"
    return f" from {talk.name}"


def _expected(flow: Flows, talk: Talk, item: Say, place: str) -> None:
    kind = Kind(item.mistaken or item.message)
    variable = Variable(flow.name(), kind)
    several = bool(place) and chance(flow.choices, 40)
    sender = ""
    if several:
        sender = flow.names.fresh(("speaker", "who", "from_whom"))
        place = f" from any [{talk.name}] as {variable.name} by {sender}"
    named = place if several else f"{place} as {variable.name}"
    checked = chance(flow.choices, 50)
    if not checked:
        named = named.replace(f" as {variable.name}", f" as {variable.name} unchecked")
    flow.line(f"case {kind}{named}:")

    def first() -> None:
        if checked:
            _check(flow, variable)
        flow.names.declare(variable)
        if sender:
            flow.line(f'Desk.note("{{{sender}.peer}} {{{sender}.version}}")')

    flow.block(flow.choices.below(3), first=first)


def _check(flow: Flows, variable: Variable) -> None:
    """Checks that end at a wait, so that nothing behind them is one."""
    inside = Variable(variable.name, variable.kind, untrusted=True)
    flow.names.push()
    flow.names.declare(inside)
    parts = [
        found
        for found in flow.names.readables()
        if found.root is inside
        and found.kind.name != "Map"
        and found.kind.name not in flow.book.shapes
    ]
    found = pick(flow.choices, parts)
    if flow.can_throw_any():
        condition = flow.about(found, Where(calls=0, risk=45))
    else:
        condition = flow.always(found.text, found.kind)
    flow.line(f"require {condition.text} else {flow.error(pick(flow.choices, flow.book.errors))}")
    flow.names.pop()
    flow.found_out(found, condition)
    pause(flow)


# --- choices: run ---


def _choose(interpreter: Interpreter, frame: Frame, node: syntax.Choice) -> Steps:
    if node.send is not None:
        interpreter.send(frame, node.send)
    sessions = {case: _sessions(interpreter, frame, node, case) for case in node.cases}
    everyone = [session for found in sessions.values() for session in found]
    waits = [case for case in node.cases if isinstance(case, syntax.TimeoutCase)]
    limit = None
    for late in waits:
        span = interpreter.value(frame, late.duration)
        assert isinstance(span, Span)
        limit = interpreter.world.now + span.microseconds
    calls = _calls(interpreter, frame, node)
    for session in everyone:
        wanted = [case.type.name for case in sessions if isinstance(case, syntax.MessageCase)]
        session.wanted = frozenset(wanted)
    yield Wait(
        ready=lambda: any(s.inbox for s in everyone) or any(begun.done() for _, begun in calls),
        due=min((begun.due for _, begun in calls if begun.due is not None), default=None),
        deadline=limit,
    )
    for session in everyone:
        session.wanted = frozenset()
    come = next((session for session in everyone if session.inbox), None)
    now = interpreter.world.now
    for done, begun in calls:
        if begun.done() or (begun.due is not None and begun.due <= now):
            return (yield from _done(interpreter, frame, done, begun))
    if come is None:
        interpreter.world.counts["chose that it was late"] += 1
        return (yield from interpreter.inner(frame, "case", waits[0].body))
    letter = come.inbox[0]
    for case, found in sessions.items():
        if come in found and _takes(case, letter):
            return (yield from _case(interpreter, frame, case, come))
    interpreter.heard(come, "")
    raise AssertionError("a message that no case takes is thrown")


def _calls(
    interpreter: Interpreter, frame: Frame, node: syntax.Choice
) -> list[tuple[syntax.DoneCase, Begun]]:
    """What is begun and was not taken yet."""
    found = []
    for case in node.cases:
        if isinstance(case, syntax.DoneCase):
            begun = interpreter.value(frame, case.pending)
            assert isinstance(begun, Begun)
            if not begun.taken:
                found.append((case, begun))
    return found


def _done(interpreter: Interpreter, frame: Frame, case: syntax.DoneCase, begun: Begun) -> Steps:
    begun.taken = True
    interpreter.world.counts[f"chose {case.kind}"] += 1
    value = begun.end()
    if case.value is not None:
        frame.values[case.value.name] = value
    return (yield from interpreter.inner(frame, "case", case.body))


def _sessions(
    interpreter: Interpreter, frame: Frame, node: syntax.Choice, case: syntax.Case
) -> list[Session]:
    if not isinstance(case, syntax.MessageCase | syntax.EndedCase):
        return []
    said = case.session or node.session
    assert said is not None
    value = interpreter.value(frame, said)
    found = list(value) if isinstance(value, tuple) else [value]
    assert all(isinstance(session, Session) for session in found)
    return found  # type: ignore[return-value]


def _takes(case: syntax.Case, letter: Letter) -> bool:
    if isinstance(case, syntax.EndedCase):
        return letter.kind == "end"
    if not isinstance(case, syntax.MessageCase) or letter.value is None:
        return False
    return letter.kind == "message" and letter.value.name == case.type.name


def _case(interpreter: Interpreter, frame: Frame, case: syntax.Case, session: Session) -> Steps:
    body = case.body
    if isinstance(case, syntax.EndedCase):
        session.inbox.popleft()
        session.heard = session.over = True
        interpreter.world.counts["chose an end"] += 1
    if isinstance(case, syntax.MessageCase):
        value = interpreter.heard(session, case.type.name)
        interpreter.world.counts["chose a message"] += 1
        if case.sender is not None:
            frame.values[case.sender.name] = session
        if case.value is not None:
            frame.values[case.value.name] = value
            if not case.unchecked:
                count = _checks(body)
                try:
                    for check in body[:count]:
                        interpreter.check(frame, check)
                except Faulted:
                    raise built_in("Malformed") from None
                body = body[count:]
    return (yield from interpreter.inner(frame, "case", body))


_LOOKS = (
    syntax.Require | syntax.Throw | syntax.Let | syntax.Assign | syntax.If | syntax.While
    | syntax.For | syntax.Pass | syntax.Log | syntax.CallStatement
)  # fmt: skip


def _checks(body: syntax.Block) -> int:
    """How many of the first statements are checks: what only looks, to the last that throws."""
    count = 0
    for number, statement in enumerate(body):
        inside = list(tree.inside((statement,)))
        if isinstance(statement, syntax.Throw) or any(not isinstance(n, _LOOKS) for n in inside):
            break
        if any(isinstance(n, syntax.Require | syntax.Throw) for n in inside):
            count = number + 1
    return count


def _counted(node: syntax.Choice) -> Iterable[str]:
    yield "choice of one session" if node.session is not None else "choice across sessions"
    for case in node.cases:
        match case:
            case syntax.MessageCase(any=any_, value=value, unchecked=unchecked):
                yield "case any" if any_ else "case message"
                if value is not None:
                    yield "case unchecked" if unchecked else "case checked"
            case syntax.EndedCase():
                yield "case ended"
            case syntax.DoneCase(kind=kind):
                yield f"case {kind}"
            case syntax.TimeoutCase():
                yield "case timeout"


# --- within ---


def _limits(flow: Flows) -> Iterable[tuple[int, Maker]]:
    if flow.indent < 6:
        yield 4, lambda: _nap(flow)
        yield 3, lambda: _patience(flow)


def _nap(flow: Flows) -> None:
    """A wait of this flow alone, which is over in time or not."""
    short, long = pick(flow.choices, (("1m", "9m"), ("9s", "1h"), ("30s", "30d")))
    late = chance(flow.choices, 60)
    flow.line("try:")
    flow.line(f"    within {short if late else long}:")
    if chance(flow.choices, 40):
        flow.line("        within 35000d:")
        flow.line("            sleep 1s")
    flow.line('        Desk.note("before")')
    flow.line(f"        sleep {long if late else short}")
    flow.line('        Desk.note("after")')
    flow.line("catch Timeout:")
    flow.block(1)


def _patience(flow: Flows) -> None:
    """Anything at all, in more time than it takes."""
    flow.line("within 36000d:")
    flow.block(2, first=lambda: pause(flow), leave=lambda: flow.line("sleep 1s"))


def _within(interpreter: Interpreter, frame: Frame, node: syntax.Within) -> Steps:
    span = interpreter.value(frame, node.duration)
    assert isinstance(span, Span)
    world = interpreter.world
    end = world.now + span.microseconds
    steps = interpreter.inner(frame, "within", node.body)
    try:
        wait = next(steps)
        while True:
            if wait == COMMITTED or wait.person:
                yield wait
                wait = next(steps)
                continue
            yield wait._replace(deadline=end if wait.deadline is None else min(end, wait.deadline))
            times = [time for time in (wait.due, wait.deadline) if time is not None]
            own = any(time <= min(end, world.now) for time in times)
            if own or world.is_ready(wait):
                wait = next(steps)
            else:
                world.counts["was too late"] += 1
                wait = steps.throw(built_in("Timeout"))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


# --- close ---


def _closes(flow: Flows) -> Iterable[tuple[int, Maker]]:
    mark = flow.loops[-1].mark if flow.loops else 0
    for at, talk in enumerate(flow.talks):
        over = not talk.remaining and talk.after is None and talk.quota != 0
        mine = not talk.borrowed and not talk.dropped
        if over and mine and (at >= mark or (talk.role == RESPONDER and not flow.loops)):
            yield 6, lambda talk=talk: _close(flow, talk)  # type: ignore[misc]


def _close(flow: Flows, talk: Talk) -> None:
    flow.line(f"close {talk.name}")
    talk.dropped = True
    for variable in flow.names.variables():
        if variable.name == talk.name:
            variable.kind = NOT_READ


def _end(interpreter: Interpreter, frame: Frame, node: syntax.Close) -> None:
    session = interpreter.value(frame, node.session)
    assert isinstance(session, Session)
    if not session.closed:
        session.closed = True
        interpreter.run.pending.append(Effect("farewell", session, Letter("end")))


# --- known ---

ENTRIES = (
    Statement(
        syntax.Choice,
        offers=_choices,
        runs=_choose,
        counted=_counted,
        wanted=(
            "choice of one session",
            "choice across sessions",
            "case message",
            "case any",
            "case checked",
            "case unchecked",
            "case ended",
            "case timeout",
            "case answer",
            "case result",
            "chose answer",
            "chose result",
        ),
        waits=True,
    ),
    Statement(
        syntax.Within,
        offers=_limits,
        runs=_within,
        counted=lambda _: ["within"],
        wanted=("within",),
    ),
    Statement(
        syntax.Close,
        offers=_closes,
        runs=_end,
        counted=lambda _: ["close"],
        wanted=("close",),
    ),
)
