"""Protocol tests whose rules are what a flow's automaton allows: `protocol_machine(Seller_v1)`.

The flow runs for real on a node; the other side is scripted, and says whatever the flow waits for
where it rests. Knows nothing of networks that lose.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from hypothesis.strategies import DataObject, SearchStrategy

from flowrt.core import flow as rt
from flowrt.core.registry import Registry
from flowrt.testing.counterparty import Line
from flowrt.testing.mocks import Answer, Mocks
from flowrt.testing.pool import pool_of
from flowrt.testing.stage import Stage
from flowrt.testing.strategies import arguments_of, values_of

PEERS = ("peer",)

AnyFlow = type[rt.Flow[Any]]

_SOON = st.sampled_from(
    [
        datetime.timedelta(seconds=1),
        datetime.timedelta(minutes=1),
        datetime.timedelta(hours=1),
        datetime.timedelta(days=1),
        datetime.timedelta(days=30),
    ]
)


class ProtocolMachine(RuleBasedStateMachine):
    """The base of protocol machines: its rules, and what must hold after each of them.

    Subclass what `protocol_machine` returns to add rules and invariants of your own; `self.stage`
    has the node, the peers and the time, `self.mocks.asked` what the services were asked.
    """

    flow: ClassVar[AnyFlow]
    modules: ClassVar[tuple[ModuleType, ...]]
    peers: ClassVar[tuple[str, ...]] = PEERS
    answers: ClassVar[Mapping[str, Answer]] = {}
    services: ClassVar[Mapping[str, object]] = {}
    arguments: ClassVar[Mapping[str, SearchStrategy[Any]]] = {}
    given: ClassVar[Mapping[Any, SearchStrategy[Any]]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._parties = tuple(map(rt.Party, self.peers))
        self.mocks = Mocks(
            Registry(self.modules),
            _nothing_to_draw,
            answers=self.answers,
            services=self.services,
            parties=self._parties,
            given=self.given,
        )
        self.stage = Stage(self.modules, self.mocks.of("host"), self.peers)
        self.flow_id = 0
        """The flow under test; 0 until it has begun."""

    # --- the beginning ---

    @initialize(data=st.data())
    def begins(self, data: DataObject) -> None:
        """The flow starts, or is invited."""
        self._act(data, lambda: self._begin(data))

    def _begin(self, data: DataObject) -> None:
        if self.flow.responds_to is not None:
            peer = data.draw(st.sampled_from(self.peers), label="who invites")
            self.stage.peers[peer].invite(self.flow)
            self.stage.rest()
            self.flow_id = 1
            return
        arguments = data.draw(self.starting(self._parties), label="arguments")
        self.flow_id = self.stage.start(self.flow, arguments).id

    def starting(self, parties: tuple[rt.Party, ...]) -> SearchStrategy[dict[str, Any]]:
        """Arguments with which the flow starts, if these are the parties that it may talk to."""
        return arguments_of(self.flow, self.arguments, parties=parties, given=self.given)

    def _act(self, data: DataObject, act: Callable[[], object]) -> None:
        """Do something; what services answer meanwhile is drawn from `data`."""
        self.mocks.draw = data.draw
        try:
            act()
        finally:
            self.mocks.draw = _nothing_to_draw

    def values(self, kind: Any) -> SearchStrategy[Any]:
        """Values of a declared type: any, or made of what the flow itself has said before."""
        heard = pool_of(self.stage.messages())
        again = {
            one: self.given.get(one, values_of(one, parties=self._parties))
            | st.sampled_from(list(pool.values()))
            for one, pool in heard.items()
        }
        return values_of(kind, parties=self._parties, given={**again, **self.given})

    # --- what the other side does ---

    def may_send(self) -> bool:
        """Whether the flow waits for a message that a peer can send."""
        return bool(self.stage.expected())

    @precondition(may_send)
    @rule(data=st.data())
    def peer_sends_what_is_expected(self, data: DataObject) -> None:
        """A message that the automaton allows where the flow rests."""
        options = self.stage.expected()
        line, wanted = data.draw(
            st.sampled_from(options).map(_Shown), label="what the flow waits for"
        ).option
        message = data.draw(self.values(wanted.kind), label="it is sent")
        self._act(data, lambda: self._say(line, lambda: line.send(message)))

    def has_invitation(self) -> bool:
        """Whether a peer was invited and has not answered."""
        return any(line.is_pending for line in self.stage.lines)

    @precondition(has_invitation)
    @rule(data=st.data(), accepts=st.sampled_from([True, True, True, False]))
    def peer_answers_an_invitation(self, data: DataObject, accepts: bool) -> None:
        """A peer confirms the flow's invitation, or rejects it."""
        line = next(line for line in self.stage.lines if line.is_pending)
        self._act(data, lambda: self._say(line, line.accept if accepts else line.refuse))

    def has_open_line(self) -> bool:
        """Whether some peer may still speak."""
        return any(line.is_open for line in self.stage.lines)

    @precondition(has_open_line)
    @rule(data=st.data())
    def peer_stops(self, data: DataObject) -> None:
        """A peer's flow ends: well, with an error that this module declares, or with another."""
        line = self._open_line(data)
        kinds = [None, rt.UnexpectedFlowEnd, *dict.fromkeys(self.flow.errors.values())]
        kind = data.draw(st.sampled_from(kinds), label="ends with")
        if kind is None:
            self._act(data, lambda: self._say(line, line.end))
            return
        error = data.draw(self.values(kind), label="it is thrown")
        self._act(data, lambda: self._say(line, lambda: line.throw(error)))

    def _open_line(self, data: DataObject) -> Line:
        lines = [line for line in self.stage.lines if line.is_open]
        number = data.draw(st.integers(0, len(lines) - 1), label="session") if lines[1:] else 0
        return lines[number]

    def _say(self, line: Line, say: Callable[[], None]) -> None:
        say()
        self.stage.rest()

    # --- owners and people ---

    def takes_commands(self) -> bool:
        """Whether the flow lives and has an owner who can send it something."""
        return bool(self.flow.commands) and self.stage.bytes_of(self.flow_id) is not None

    @precondition(takes_commands)
    @rule(data=st.data())
    def owner_sends(self, data: DataObject) -> None:
        """A command from who started the flow."""
        kind = data.draw(st.sampled_from(self.flow.commands), label="command")
        message = data.draw(self.values(kind), label="it is sent")

        def act() -> None:
            self.stage.node.submit_command(self.flow_id, message)
            self.stage.rest()

        self._act(data, act)

    def has_task(self) -> bool:
        """Whether a person is asked something."""
        return bool(self.stage.node.tasks())

    @precondition(has_task)
    @rule(data=st.data(), by=st.sampled_from(["ann", "ben"]))
    def person_answers(self, data: DataObject, by: str) -> None:
        """Somebody answers an open question."""
        task = data.draw(st.sampled_from(self.stage.node.tasks()), label="task")
        value = data.draw(self.values(task.answer), label="answer")

        def act() -> None:
            self.stage.node.submit_answer(task.flow_id, task.number, value, by)
            self.stage.rest()

        self._act(data, act)

    # --- time and trouble ---

    @rule(data=st.data(), time=_SOON)
    def time_passes(self, data: DataObject, time: datetime.timedelta) -> None:
        """Nobody says anything for a while."""
        self._act(data, lambda: self.stage.sleep(time))

    @rule(data=st.data())
    def node_crashes(self, data: DataObject) -> None:
        """The node's process ends, and another one opens on its store."""
        before = {flow_id: self.stage.bytes_of(flow_id) for flow_id in self.stage.checkpoints()}
        ended = self.stage.outcomes().keys()
        self._act(data, self.stage.crash)
        after = self.stage.checkpoints().keys() | self.stage.outcomes().keys()
        lost = (before.keys() | ended) - after
        assert not lost, f"a crash lost what was committed: flows {sorted(lost)}"

    # --- what must hold ---

    @invariant()
    def no_flow_fails(self) -> None:
        """No flow is in the hospital, but those that went there by `hold`."""
        for patient in self.stage.failures():
            raise AssertionError(
                f"{patient.flow} is in the hospital, at {patient.place}: {patient.cause}"
            )

    @invariant()
    def the_flow_is_there(self) -> None:
        """The flow lives, or has an outcome."""
        if self.flow_id:
            lives = self.stage.bytes_of(self.flow_id) is not None
            ended = self.flow_id in self.stage.outcomes()
            # One whose outcome is written may still owe its peers the news.
            assert lives or ended, f"flow {self.flow_id} is lost"

    @property
    def outcome(self) -> Any:
        """How the flow under test ended: its result, or the error; None while it runs."""
        return self.stage.outcomes().get(self.flow_id)

    def teardown(self) -> None:
        """Let go of the node."""
        self.stage.close()
        super().teardown()


def protocol_machine(
    flow: AnyFlow,
    *,
    modules: Sequence[ModuleType] = (),
    peers: Sequence[str] = PEERS,
    answers: Mapping[str, Answer] | None = None,
    services: Mapping[str, object] | None = None,
    arguments: Mapping[str, SearchStrategy[Any]] | None = None,
    given: Mapping[Any, SearchStrategy[Any]] | None = None,
    base: type[ProtocolMachine] = ProtocolMachine,
) -> type[ProtocolMachine]:
    """A state machine of hypothesis that plays every counterparty of `flow`.

    `TestSeller = protocol_machine(Seller_v1).TestCase` is a test. Subclass it for more rules.

    Args:
        flow: a generated class; one that responds is invited, any other is started.
        modules: generated modules besides the flow's own.
        peers: names of the scripted parties; where the flow's arguments want a Party, one of them.
        answers: what operations of services answer, by `"Service.operation"`: a strategy, or a
            function of the arguments; any value of the declared type if nothing is said.
        services: objects that are bound as they are, by service; a class is called with the
            party's name.
        arguments: strategies for some of the flow's parameters.
        given: strategies for some types, wherever they occur.
        base: what is made a subclass of: see `hostile_machine`.

    Raises:
        InvalidArgument: the flow can neither be started nor be invited, or something is named that
            is not there.
    """
    if not (isinstance(flow, type) and issubclass(flow, rt.Flow)):
        raise InvalidArgument(f"{flow!r} is no flow; give a generated class, such as Seller_v1")
    if flow.responds_to is None and "rpc" not in flow.startable:
        raise InvalidArgument(
            f"{flow.__name__} neither responds to a flow nor is `startable by rpc`; "
            "test the flow that calls it"
        )
    if flow.responds_to is None:
        arguments_of(flow, arguments)
    attributes = {
        "__module__": _caller(),
        "__doc__": f"Plays the counterparties of {flow.versioned()}.",
        "flow": flow,
        "modules": (sys.modules[flow.__module__], *modules),
        "peers": tuple(peers),
        "answers": answers or {},
        "services": services or {},
        "arguments": arguments or {},
        "given": given or {},
    }
    return type(f"{flow.__name__}_{base.__name__}", (base,), attributes)


def _caller() -> str:
    return str(sys._getframe(2).f_globals.get("__name__", __name__))


class _Shown:
    """An option as a failing example prints it."""

    def __init__(self, option: Any) -> None:
        self.option = option

    def __repr__(self) -> str:
        line, wanted = self.option
        return f"{wanted.kind.__name__} from {line.owner.name}"


def _nothing_to_draw(strategy: SearchStrategy[Any]) -> Any:
    raise AssertionError("a service was called though nothing happened")
