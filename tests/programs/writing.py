"""A flow's text from its beginning to its end: header, parameters, body, result.

What stands between is the business of `flows` and `blocks`.
"""

from __future__ import annotations

from tests.programs.choices import chance, pick
from tests.programs.flows import Flows
from tests.programs.kinds import INT, SESSION
from tests.programs.language import owner
from tests.programs.language.telling import DECLARED
from tests.programs.names import SESSIONS, Variable
from tests.programs.plans import STRANGER, Book, Plan, Talk
from tests.programs.scripts import INITIATOR, Repeat, Say


def write(book: Book, plan: Plan) -> None:
    """Write one flow; flows that it calls or opens are planned in the book."""
    flow = Flows(book, plan)
    parameters = list(plan.parameters)
    if plan.counter is not None:
        # What has a default comes last.
        at = len(parameters) - len(plan.defaults)
        parameters.insert(at, (plan.counter, INT))
    for name, kind in parameters:
        flow.names.declare(Variable(name, kind, fixed=True))
    if plan.owned:
        flow.names.declare(Variable(owner.NAME, SESSION, fixed=True))
    _body(flow, plan)
    defaults = {name: f" = {value}" for name, value in plan.defaults.items()}
    shown = [
        f"{name}: {'Party' if kind == STRANGER else kind}{defaults.get(name, '')}"
        for name, kind in parameters
    ]
    if plan.crowd:
        shown.append("sessions: List[Session]")
    trust = "untrusted " if plan.untrusted else ""
    result = f" -> {trust}{plan.result}" if plan.result is not None else ""
    head = [f"flow {plan.name}({', '.join(shown)}){result}:"]
    if plan.responds_to is not None:
        assert plan.talk is not None
        head.append(f"    responds to {plan.responds_to} as {plan.talk.name}")
    if not plan.index:
        head.append(f"    startable by rpc{' as owner' if plan.owned else ''}")
    head += [f"    {line}" for line in plan.headers]
    tracks = ""
    if flow.calls and chance(flow.choices, 40):
        tracks = f" tracks {pick(flow.choices, flow.calls)}"
    head += [f"    {line}" for line in _remedies(flow)]
    if flow.steps:
        head.append("    steps:")
        head += [f"        {DECLARED[name]}{tracks}" for name in flow.steps]
    plan.text = "\n".join(head + flow.lines) + "\n"


def _remedies(flow: Flows) -> list[str]:
    """What the flow says of its failing steps: never that it ends, which would be another end than
    that of a world in which nothing fails."""
    found = []
    for cause in ("transient", "failure"):
        if chance(flow.choices, 12):
            tries, seconds = 1 + flow.choices.below(6), 1 + flow.choices.below(30)
            found.append(f"on {cause} retry {tries} every {seconds}s")
    return found


def _body(flow: Flows, plan: Plan) -> None:
    """The statements; the block that `Blocks.block` makes is the flow's own."""
    flow.indent -= 1
    if plan.serves is not None:
        served = plan.serves
        flow.block(0, first=lambda: _serve(flow, plan, served), leave=lambda: _again(flow, plan))
    elif plan.crowd:
        assert plan.talk is not None
        talk = plan.talk
        flow.block(0, first=lambda: flow.round("sessions", talk.remaining, INITIATOR))
    elif plan.name.startswith("Knock"):
        flow.block(0, first=lambda: _knock(flow))
    else:
        flow.block(plan.size, first=lambda: _begin(flow, plan), leave=lambda: _end(flow, plan))
    flow.indent += 1


def _begin(flow: Flows, plan: Plan) -> None:
    if plan.counter is not None:
        flow.line(f"if {plan.counter} <= 0:")
        flow.indent += 1
        flow.note()
        flow.return_()
        flow.indent -= 1
    if plan.talk is not None:
        _take(flow, plan.talk)


def _take(flow: Flows, talk: Talk) -> None:
    """The session that the flow responds to, or was given."""
    talk.name = "session" if talk.borrowed else flow.names.fresh(SESSIONS)
    if not talk.borrowed:
        flow.names.declare(Variable(talk.name, SESSION))
    flow.talks.append(talk)


def _end(flow: Flows, plan: Plan) -> None:
    """The rest of the script that was given, and the result."""
    talk = plan.talk
    if not plan.index and chance(flow.choices, 70):
        flow.try_(converse=True)
    if talk is not None:
        early = not talk.borrowed and flow.can_return() and chance(flow.choices, 25)
        while talk.remaining and not talk.dropped and not early:
            if chance(flow.choices, 30):
                flow.statements(1)
            if chance(flow.choices, 15) and talk.held() and flow.may_open():
                # What a third party does wrong ends this flow too, and is not told further.
                flow.converse()
            flow.settle(1)
            if talk.remaining and not talk.dropped:
                flow.play(talk)
    if chance(flow.choices, 50):
        flow.account([*flow.names.variables()])
    if plan.name.startswith("Child") and plan.may_throw and chance(flow.choices, 50):
        error = flow.error(pick(flow.choices, flow.book.errors))
        flow.line(f"require {flow.make.condition(1).text} else {error}")
    if plan.result is not None:
        flow.return_()
    elif chance(flow.choices, 20):
        flow.line("return")


def _serve(flow: Flows, plan: Plan, item: Repeat) -> None:
    assert plan.talk is not None
    talk = plan.talk
    _take(flow, talk)
    told = Say(item.chooser, item.message)
    flow.within(talk, (told, *item.body), item.chooser)
    heard = flow.hear(talk, told, safely=True)
    flow.line(f"if not {heard.name}.more:")
    flow.indent += 1
    flow.note()
    flow.return_()
    flow.indent -= 1
    while talk.remaining:
        flow.statements(flow.choices.below(2))
        flow.settle(1)
        if talk.remaining:
            flow.play(talk)
    flow.statements(flow.choices.below(2))
    flow.settle(1)


def _again(flow: Flows, plan: Plan) -> None:
    """A flow that serves a loop ends by calling itself."""
    assert plan.talk is not None
    again = f"subflow {plan.name}(session, count + 1)"
    flow.line(f"return {again}" if plan.result is not None else again)
    plan.talk.dropped = True


def _knock(flow: Flows) -> None:
    book = flow.book
    known = book.responders.get(flow.plan.name)
    found = known[0] if known else book.responder(flow.plan.name, calm=False)
    flow.knock("nobody", found, listen=False)
