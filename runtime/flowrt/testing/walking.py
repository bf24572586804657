"""Walks a listed conversation with the real flow on one side, and tells where it leaves it.

The other side is scripted, and says the conversation's messages with contents that are made up, as
is all that services and people answer. It is tried again and again until the flow follows. Judges
no conversation: `flowc check --tests --json` lists those that there are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import decimal
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import hypothesis
import msgspec
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, InvalidArgument
from hypothesis.strategies import DataObject, SearchStrategy

from flowrt.core import flow as rt
from flowrt.core.registry import Registry
from flowrt.core.values import Data, Failure, Reject
from flowrt.testing.counterparty import BrokenPeer, Line
from flowrt.testing.machine import AnyFlow
from flowrt.testing.mocks import Answer, Mocks
from flowrt.testing.pool import pool_of
from flowrt.testing.stage import HOST, START_US, Stage
from flowrt.testing.strategies import arguments_of, values_of

TRIES = 400
"""So often a conversation is tried, if nothing else is said."""

_DAY = datetime.timedelta(days=1)

PEER = rt.Party("peer")
PARTIES = ((PEER,), (PEER,), (PEER, rt.Party(HOST)), (PEER, rt.Party("second"), rt.Party("third")))
"""Who is meant where a Party is wanted: flows often ask whether two are one."""

NEAR: Mapping[Any, SearchStrategy[Any]] = {
    str: st.sampled_from(["a", "a", "b"]),
    bytes: st.sampled_from([b"a", b"a", b"b"]),
    rt.Int: st.integers(0, 9),
    decimal.Decimal: st.integers(0, 9).map(decimal.Decimal),
    rt.Timestamp: st.integers(0, 60).map(
        lambda days: datetime.datetime.fromtimestamp(START_US / 1e6, datetime.UTC) + _DAY * days
    ),
}
"""Few texts, so that many are equal; numbers and times as people have them. Three tries in four are
made of these."""

MOST_ASIDE = 40
"""So much may happen besides the conversation."""

LEFT, RIGHT = 0, 1


@dataclasses.dataclass(frozen=True)
class Walk:
    """What came of it. `side` is that of the real flow: 0 opened the session, 1 responds.

    `said` of the `wanted` messages were said on the best of `tries` ways, and `left` tells how it
    went on instead. The same `seed` comes to the same.
    """

    flow: str
    side: int
    walked: bool
    said: int
    wanted: int
    left: str
    tries: int
    seed: int

    def __str__(self) -> str:
        if self.walked:
            return f"{self.flow} walked"
        return (
            f"{self.flow} not walked: after {self.said} of {self.wanted} messages {self.left}"
            f" ({self.tries} tries, seed {self.seed})"
        )


class _Left(Exception):
    """The flow does something else than the conversation says."""


class _SaysOtherwise(_Left):
    """It says something else, which tells more than that it ends: contents may be to blame for an
    end."""


class _Followed(Exception):
    """It was walked to its end."""


def walk(
    conversation: Mapping[str, Any],
    side: int,
    *,
    modules: Sequence[ModuleType],
    answers: Mapping[str, Answer] | None = None,
    arguments: Mapping[str, SearchStrategy[Any]] | None = None,
    given: Mapping[Any, SearchStrategy[Any]] | None = None,
    tries: int = TRIES,
    seed: int = 0,
) -> Walk:
    """Try to walk a conversation with the real flow of one side.

    Args:
        conversation: one of those that `flowc check --tests --json` lists.
        side: 0 for the flow that opens the session, 1 for the one that responds.
        modules: the generated modules of both.
        answers: what operations answer, by `"Service.operation"`, where made up answers do not do.
        arguments: strategies for some parameters of the flow that is started.
        given: strategies for some types, wherever they occur.
        tries: how often it is tried at most.
        seed: of all that is made up.

    Raises:
        InvalidArgument: no module has the flow, or it cannot be started in any way.
    """
    registry = Registry(modules)
    flow = _flow(registry, conversation["right" if side else "left"])
    talk = [(one["side"], one["text"]) for one in conversation["steps"] if one["kind"] == "sends"]
    starter = flow if side else _starter(registry, flow)
    plan = _Plan(
        flow, starter, side, talk, conversation["right"], tuple(modules), answers or {},
        arguments or {}, given or {}
    )  # fmt: skip
    return _tried(plan, registry, tries, seed)


def _flow(registry: Registry, name: str) -> AnyFlow:
    found = [one for one in registry.classes.values() if one.name == name]
    if not found:
        raise InvalidArgument(f"no module has a flow {name}")
    return max(found, key=lambda one: one.version)


def _starter(registry: Registry, flow: AnyFlow) -> AnyFlow:
    """The flow that can be started so that this one runs: itself, or the nearest that calls it."""
    todo, seen = [flow], {flow}
    for one in todo:
        sessions = sum(f.type is rt.Session for f in msgspec.structs.fields(one.Start)) - one.owner
        if not sessions or one.responds_to is not None:
            return one
        callers = [
            other for other in registry.classes.values() if one.versioned() in other.subflows
        ]
        todo += [other for other in callers if other not in seen]
        seen.update(callers)
    raise InvalidArgument(f"no flow that can be started calls {flow.versioned()}")


@dataclasses.dataclass(frozen=True)
class _Plan:
    flow: AnyFlow
    starter: AnyFlow
    side: int
    talk: Sequence[tuple[int, str]]
    responder: str
    modules: tuple[ModuleType, ...]
    answers: Mapping[str, Answer]
    arguments: Mapping[str, SearchStrategy[Any]]
    given: Mapping[Any, SearchStrategy[Any]]


def _tried(plan: _Plan, registry: Registry, tries: int, number: int) -> Walk:
    count = 0
    best = (-1, False, "nothing was tried")
    is_walked = False

    def once(data: DataObject) -> None:
        nonlocal count, best, is_walked
        count += not is_walked
        one = _Try(plan, registry, data)
        try:
            one.go()
        except (_Left, BrokenPeer) as left:
            reached = one.at, isinstance(left, _SaysOtherwise), str(left)
            best = max(best, reached, key=lambda found: found[:2])
        else:
            is_walked = True
            raise _Followed
        finally:
            if Phase.target in phases:
                hypothesis.target(float(one.at))
            one.stage.close()

    # First anything; then what came far is tried again with a few other contents, which may lead
    # nowhere.
    for phases, most in (
        ((Phase.generate,), -(-tries // 2)),
        ((Phase.generate, Phase.target), tries // 2),
    ):
        if is_walked or not most:
            break
        run = hypothesis.given(st.data())(once)
        run = hypothesis.seed(number)(
            settings(
                max_examples=most,
                phases=phases,
                database=None,
                deadline=None,
                derandomize=False,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.quiet,
            )(run)
        )
        with contextlib.suppress(_Followed, Flaky), _startable(plan.starter):
            run()
    wanted = len(plan.talk)
    name = plan.flow.__name__
    if is_walked:
        return Walk(name, plan.side, True, wanted, wanted, "", count, number)
    # What hypothesis tried without coming to an end counts for it, and not for us.
    count = min(count, tries)
    return Walk(name, plan.side, False, max(best[0], 0), wanted, best[2], count, number)


@contextlib.contextmanager
def _startable(flow: AnyFlow) -> Iterator[None]:
    """A flow that others call is started here as if anybody could."""
    before = flow.startable
    flow.startable = ("rpc", *before)
    try:
        yield
    finally:
        flow.startable = before


class _Try:
    """One way through it. `at` counts the messages that were said as they should be."""

    def __init__(self, plan: _Plan, registry: Registry, data: DataObject) -> None:
        self.at = 0
        self._plan = plan
        self._registry = registry
        self._draw = data.draw
        self._lean = data.draw(st.booleans())
        self._parties = data.draw(st.sampled_from(PARTIES))
        self._near = NEAR if data.draw(st.integers(0, 3)) else {}
        self._seen: list[object] = []
        self._heard = 0
        self._line: Line | None = None
        self._mocks = Mocks(
            registry,
            data.draw,
            answers=self._answers(),
            services={},
            parties=self._parties,
            given=plan.given,
        )
        names = [one.name for one in self._parties if one.name != HOST]
        self.stage = Stage(plan.modules, self._mocks.of("host"), names)

    # --- what is made up ----------------------------------------------------------------------

    def _answers(self) -> dict[str, Answer]:
        made: dict[str, Answer] = {
            f"{key.name}.{operation.name}": self._answer(operation.result)
            for key in self._registry.services()
            for operation in key.operations
        }
        for name, answer in self._plan.answers.items():
            full = [one for one in made if one == name or one.endswith(f".{name}")]
            if not full:
                raise InvalidArgument(f"no flow calls an operation {name}")
            made.update(dict.fromkeys(full, answer))
        return made

    def _answer(self, kind: Any) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            self._seen.extend(arguments)
            found = self._draw(self._values(kind))
            self._seen.append(found)
            return found

        return run

    def _values(self, kind: Any) -> SearchStrategy[Any]:
        """Values of a type; much of what was seen comes again, and answers lean one way."""
        pool = pool_of([*self._seen, *self.stage.messages()])
        likely = {bool: st.sampled_from([self._lean] * 5 + [not self._lean]), **self._near}
        again = {
            one: self._mixed(one, list(values.values()), likely) for one, values in pool.items()
        }
        return values_of(kind, parties=self._parties, given={**likely, **again, **self._plan.given})

    def _mixed(
        self, kind: Any, seen: list[object], likely: Mapping[Any, SearchStrategy[Any]]
    ) -> SearchStrategy[Any]:
        """What was seen, three times as often as what is new."""
        fresh = values_of(kind, parties=self._parties, given=likely)
        return st.one_of(*[st.sampled_from(seen)] * 3, fresh)

    # --- the conversation ---------------------------------------------------------------------

    def go(self) -> None:
        """Walk it. Raises _Left where the flow leaves it."""
        self._begin()
        aside = 0
        while True:
            self._look()
            if self._line is not None and self._line.is_pending:
                self._line.accept()
                self.stage.rest()
            elif self.at == len(self._plan.talk):
                break
            elif self._line is not None and self._is_ours():
                self._say(self._line)
            else:
                if self._line is not None and self._line.is_over:
                    raise _Left(f"{self._plan.flow.__name__} ends ({self._outcome()})")
                aside += 1
                if aside > MOST_ASIDE or not self._aside():
                    raise _Left(f"{self._plan.flow.__name__} {self._resting()}")
        if self._line is not None and self._line.is_open and not self._line.is_over:
            self._line.end()
            self.stage.rest()
            self._look()

    def _begin(self) -> None:
        plan = self._plan
        if plan.starter.responds_to is not None:
            line = self.stage.peers[PEER.name].invite(plan.starter)
            self.stage.rest()
            if plan.side == RIGHT:
                self._line = line
            return
        strategy = arguments_of(
            plan.starter, plan.arguments, parties=self._parties, given=plan.given
        )
        arguments = self._draw(strategy)
        self._seen.extend(arguments.values())
        self.stage.start(plan.starter, arguments)

    def _is_ours(self) -> bool:
        return self._plan.talk[self.at][0] != self._plan.side

    def _look(self) -> None:
        """What the flow has said since: it must be what comes next."""
        for patient in self.stage.failures():
            raise _Left(f"{patient.flow} goes to the hospital: {patient.cause}")
        if self._line is None:
            found = [one for one in self.stage.lines if one.flow == self._plan.responder]
            self._line = found[0] if found else None
        if self._line is None:
            return
        for content in self._line.heard[self._heard :]:
            self._heard += 1
            if isinstance(content, Reject):
                raise _Left(f"{self._plan.flow.__name__} rejects the session")
            if isinstance(content, Failure) and self.at < len(self._plan.talk):
                raise _Left(f"{self._plan.flow.__name__} ends ({self._outcome()})")
            if not isinstance(content, Data):
                continue
            name = content.name.rpartition(".")[2]
            if self.at == len(self._plan.talk) or self._is_ours():
                raise _SaysOtherwise(f"{self._plan.flow.__name__} sends {name} besides")
            wanted = self._plan.talk[self.at][1]
            if name != wanted:
                raise _SaysOtherwise(f"{self._plan.flow.__name__} sends {name} instead of {wanted}")
            self.at += 1

    def _say(self, line: Line) -> None:
        """The other side's next message."""
        name = self._plan.talk[self.at][1]
        expected = [one.kind for where, one in self.stage.expected() if where is line]
        known = [*expected, *self._registry.messages.values()]
        kind = next(one for one in known if one.__name__ == name)
        message = self._draw(self._values(kind))
        self._seen.append(message)
        if not line.is_open:
            raise _Left(f"{self._plan.flow.__name__} has rejected the session")
        self.at += 1
        line.send(message)
        self.stage.rest()

    # --- what happens besides -----------------------------------------------------------------

    def _aside(self) -> bool:
        """Something that is not of this conversation; False if there is nothing."""
        stage = self.stage
        acts: list[Callable[[], object]] = []
        for line in stage.lines:
            if line.is_pending and line is not self._line:
                acts.append(line.accept)
        for line, one in stage.expected():
            if line is not self._line:
                acts.append(lambda line=line, kind=one.kind: line.send(self._made(kind)))  # type: ignore[misc]
        for task in stage.node.tasks():
            acts.append(
                lambda task=task: stage.node.submit_answer(  # type: ignore[misc]
                    task.flow_id, task.number, self._made(task.answer), "ann"
                )
            )
        for flow_id, checkpoint in stage.checkpoints().items():
            commands = self._registry.classes[checkpoint.frames[0].flow].commands
            acts += [
                lambda flow_id=flow_id, kind=kind: stage.node.submit_command(  # type: ignore[misc]
                    flow_id, self._made(kind)
                )
                for kind in commands
            ]
        if not stage.checkpoints():
            return False
        # Time passes seldom while there is something else to do.
        number = self._draw(st.integers(0, 4 * len(acts)))
        if number and acts:
            acts[(number - 1) % len(acts)]()
            stage.rest()
        else:
            due = stage.node.next_due()
            ahead = datetime.timedelta(microseconds=max(0, (due or 0) - stage.now_us))
            stage.sleep(max(ahead, datetime.timedelta(seconds=1)) if due else _DAY)
        return True

    def _made(self, kind: Any) -> Any:
        found = self._draw(self._values(kind))
        self._seen.append(found)
        return found

    # --- how it went ----------------------------------------------------------------------------

    def _outcome(self) -> str:
        for outcome in self.stage.outcomes().values():
            if isinstance(outcome, rt.FlowError):
                return f"throws {type(outcome).__name__}"
        return "returns"

    def _resting(self) -> str:
        if not self.stage.checkpoints():
            return f"ends ({self._outcome()})"
        views = self.stage.node.flows()
        return f"rests at {views[-1].place}" if views else "rests"
