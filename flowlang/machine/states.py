"""States of machines, what they wait for, and where they go on. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, assert_never

import msgspec

from flowlang.machine.actions import Action
from flowlang.machine.expressions import Expr, Place
from flowlang.types import Type

# --- states and transitions --------------------------------------------------------------------
#
# A wait's `until` is the moment at which it ends with `Timeout`; None where nothing limits it.


class AwaitMessage(msgspec.Struct, frozen=True, tag_field="node", tag="message"):
    """Rests until the session has something; `name` takes it, as the message `type`. Where
    `discard` is true, a message that comes too late is dropped."""

    session: Expr
    type: str
    name: str
    until: Expr | None = None
    discard: bool = False


class AwaitSubflow(msgspec.Struct, frozen=True, tag_field="node", tag="subflow"):
    """Runs another flow (qualified name and version) inside this one; `name` takes its result."""

    flow: str
    version: int
    arguments: tuple[Expr, ...]
    name: str | None
    until: Expr | None = None


class AwaitResult(msgspec.Struct, frozen=True, tag_field="node", tag="result"):
    """Rests until what `call` began is done; `name` takes what it gives, a `type`."""

    call: Expr
    type: Type | None
    name: str | None
    until: Expr | None = None


class AwaitResults(msgspec.Struct, frozen=True, tag_field="node", tag="results"):
    """Rests until all of the flows that `calls` follows are done; `name` takes a list of what they
    give, each a `type`."""

    calls: Expr
    type: Type | None
    name: str | None
    until: Expr | None = None


class AwaitAnswer(msgspec.Struct, frozen=True, tag_field="node", tag="answer"):
    """Rests until somebody answered; `name` takes that, with an answer of `type` (qualified)."""

    call: Expr
    type: str
    name: str | None
    until: Expr | None = None


class AwaitCheckpoint(msgspec.Struct, frozen=True, tag_field="node", tag="checkpoint"):
    pass


class AwaitTime(msgspec.Struct, frozen=True, tag_field="node", tag="sleep"):
    duration: Expr
    until: Expr | None = None


class AwaitMoment(msgspec.Struct, frozen=True, tag_field="node", tag="moment"):
    time: Expr
    until: Expr | None = None


class AwaitOperator(msgspec.Struct, frozen=True, tag_field="node", tag="hold"):
    reason: Expr


class AwaitEach(msgspec.Struct, frozen=True, tag_field="node", tag="each"):
    """Rests until each session of a list has something; `name` takes it, as a list of the message
    `type` in the sessions' order. Where it is `optional` an item may be none."""

    sessions: Expr
    type: str
    name: str
    optional: bool
    until: Expr | None = None
    discard: bool = False


class Came(msgspec.Struct, frozen=True, tag_field="arm", tag="came"):
    """A message of this type from the session, or where `any` is true from one of a list."""

    session: Expr
    any: bool
    type: str


class Ended(msgspec.Struct, frozen=True, tag_field="arm", tag="ended"):
    """The end of the session, or where `any` is true of one of a list."""

    session: Expr
    any: bool


class Done(msgspec.Struct, frozen=True, tag_field="arm", tag="done"):
    """What was begun and is pending is done, well or not."""

    call: Expr


class Late(msgspec.Struct, frozen=True, tag_field="arm", tag="late"):
    """The time that the wait allows has passed."""


Arm: TypeAlias = Came | Ended | Done | Late
"""One thing that a choice waits for."""


class AwaitChoice(msgspec.Struct, frozen=True, tag_field="node", tag="choice"):
    """Rests until one of the arms happens; `timeout` is the Duration that the arm `Late` allows.
    What happened is then told apart by the state's `Choose`."""

    arms: tuple[Arm, ...]
    timeout: Expr | None
    until: Expr | None = None


Wait: TypeAlias = (
    AwaitMessage
    | AwaitEach
    | AwaitChoice
    | AwaitSubflow
    | AwaitResult
    | AwaitResults
    | AwaitAnswer
    | AwaitCheckpoint
    | AwaitTime
    | AwaitMoment
    | AwaitOperator
)


class Goto(msgspec.Struct, frozen=True, tag_field="node", tag="goto"):
    target: str


class Branch(msgspec.Struct, frozen=True, tag_field="node", tag="branch"):
    condition: Expr
    then: str
    otherwise: str
    place: Place


class Choose(msgspec.Struct, frozen=True, tag_field="node", tag="choose"):
    """Go on where the arm that happened leads: to the target at the same place."""

    arms: tuple[Arm, ...]
    targets: tuple[str, ...]
    place: Place


class Suspend(msgspec.Struct, frozen=True, tag_field="node", tag="suspend"):
    """Rest until `wait` is over; then the state `target` goes on."""

    wait: Wait
    target: str
    place: Place


class End(msgspec.Struct, frozen=True, tag_field="node", tag="end"):
    """The actions before it already returned or threw."""


Next: TypeAlias = Goto | Branch | Choose | Suspend | End


def targets(following: Next) -> tuple[str, ...]:
    """The states to which it leads; for a wait, the one that goes on afterwards."""
    match following:
        case Goto(target=target) | Suspend(target=target):
            return (target,)
        case Branch(then=then, otherwise=otherwise):
            return (then, otherwise)
        case Choose(targets=found):
            return found
        case End():
            return ()
        case _:
            assert_never(following)


def retargeted(following: Next, names: Mapping[str, str]) -> Next:
    """The same with other names of the targets; a target that `names` does not have stays."""
    match following:
        case Goto(target=target) | Suspend(target=target):
            return msgspec.structs.replace(following, target=names.get(target, target))
        case Branch(then=then, otherwise=otherwise):
            return msgspec.structs.replace(
                following, then=names.get(then, then), otherwise=names.get(otherwise, otherwise)
            )
        case Choose(targets=found):
            return msgspec.structs.replace(
                following, targets=tuple(names.get(target, target) for target in found)
            )
        case End():
            return following
        case _:
            assert_never(following)


class Handler(msgspec.Struct, frozen=True):
    """Where an error thrown in a block goes: to the block `target`, with the error in `name`."""

    errors: tuple[str, ...]
    name: str | None
    target: str


class State(msgspec.Struct, frozen=True):
    """A stretch of the flow that runs without waiting.

    Where `awaits` is given the flow rests here, its variables `keeps` in the checkpoint, until that
    wait is over (`tag` is the state's number in the checkpoint); otherwise it is only a place where
    ways meet. The state "Start" keeps the parameters. `handlers` are tried in order, innermost
    first. Where `checks` is true the stretch belongs to a block of checks, as in `Check`. `place`
    is the statement that waits, or with which the stretch begins.
    """

    name: str
    tag: int | None
    awaits: Wait | None
    keeps: tuple[str, ...]
    actions: tuple[Action, ...]
    next: Next
    handlers: tuple[Handler, ...]
    place: Place
    checks: bool = False


class Variable(msgspec.Struct, frozen=True):
    """A variable or parameter; only a parameter has a default, and only some do."""

    name: str
    type: Type
    default: Expr | None = None


class ProgressStep(msgspec.Struct, frozen=True):
    """`values` are what a move to the step shows; `label` then has their names in braces."""

    name: str
    label: str
    tracks: str | None
    values: tuple[Variable, ...] = ()


class Remedy(msgspec.Struct, frozen=True):
    """What is done when a step fails for a `cause` ("transient", or any "failure"): it is tried
    again `retries` times, `every_us` microseconds apart; then it waits for a person, or its flow
    ends."""

    cause: str
    retries: int
    every_us: int
    ends: bool


class Role(msgspec.Struct, frozen=True):
    """The flow meets whoever has the other role of a protocol: the messages of its own (qualified),
    in the order of the protocol."""

    name: str
    sends: tuple[str, ...]
    receives: tuple[str, ...]


class Plays(msgspec.Struct, frozen=True):
    """The flow has a role (`shop.Trade.buyer`) in a session that it was given."""

    session: str
    role: str
    place: Place


class Machine(msgspec.Struct, frozen=True):
    """One flow. `parameters` includes the session of a responder or with the `owner`, last;
    `commands` are the messages that it may receive from its owner; `key` is its business key, made
    of the parameters. `variables` has the type of
    every name in it; `block` of a session counts from 0, the flow's own body. `families` has, for
    each error of a family that the file knows, its families, the nearest first."""

    name: str
    version: int
    doc: str | None
    parameters: tuple[Variable, ...]
    result: Type | None
    responds_to: str | None
    startable: tuple[str, ...]
    steps: tuple[ProgressStep, ...]
    variables: tuple[Variable, ...]
    states: tuple[State, ...]
    place: Place
    families: dict[str, tuple[str, ...]] = {}
    owner: str | None = None
    commands: tuple[str, ...] = ()
    key: Expr | None = None
    remedies: tuple[Remedy, ...] = ()
    plays: tuple[Plays, ...] = ()
    roles: tuple[Role, ...] = ()

    def state(self, name: str) -> State:
        """The state of that name; KeyError if there is none."""
        for state in self.states:
            if state.name == name:
                return state
        raise KeyError(name)
