"""What a step answers: how the flow rests, and the arms of a choice. Plain data."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from flowrt.core.flow import Flow, Message, Pending, Session, State

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Receive(msgspec.Struct, frozen=True, gc=False):
    """Rest in `state` until `session` has something at the head of its inbox.

    Here and below, `until` is a deadline: when it passes first, going on throws `Timeout`. With
    `discard` one message that is owed then is dropped when it comes.
    """

    state: State
    session: Session
    until: datetime.datetime | None = None
    discard: bool = False


class ReceiveEach(msgspec.Struct, frozen=True, gc=False):
    """Rest in `state` until each session has something, or one of them an end or an error. Where
    they are `optional` an end, an error or the deadline is an answer too: none."""

    state: State
    sessions: tuple[Session, ...]
    optional: bool = False
    until: datetime.datetime | None = None
    discard: bool = False


class Choose(msgspec.Struct, frozen=True, gc=False):
    """Rest in `state` until one of the sessions has something, one of the calls is done, or
    `timeout` is over."""

    state: State
    sessions: tuple[Session, ...]
    calls: tuple[Pending, ...] = ()
    timeout: datetime.timedelta | None = None
    until: datetime.datetime | None = None


class Await(msgspec.Struct, frozen=True, gc=False):
    """Rest in `state` until all these calls are done, or one of them failed."""

    state: State
    calls: tuple[Pending, ...]
    until: datetime.datetime | None = None


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """Commit what came before, then go on from `state`."""

    state: State


class Sleep(msgspec.Struct, frozen=True, gc=False):
    """Rest in `state` for `duration`; what is due is fixed when the step commits."""

    state: State
    duration: datetime.timedelta
    until: datetime.datetime | None = None


class WaitUntil(msgspec.Struct, frozen=True, gc=False):
    """Rest in `state` until `time`."""

    state: State
    time: datetime.datetime
    until: datetime.datetime | None = None


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Rest in `state`, in the hospital, until an operator lets the flow go on."""

    state: State
    reason: str


class Call(msgspec.Struct, frozen=True):
    """Run `flow` from `start` inside this flow; `state` takes its result or its error."""

    state: State
    flow: type[Flow[Any]]
    start: State
    until: datetime.datetime | None = None


class Return(msgspec.Struct, Generic[R_co], frozen=True):
    """This flow, or this subflow, is done."""

    value: R_co


Wait: TypeAlias = (
    Receive | ReceiveEach | Choose | Await | Checkpoint | Sleep | WaitUntil | Hold | Call
)
Step: TypeAlias = Wait | Return[R]


# --- the arms of a choice -----------------------------------------------------------------------


class Came(msgspec.Struct, frozen=True, gc=False):
    """A message of this kind came, in one of the sessions."""

    sessions: Session | tuple[Session, ...]
    kind: type[Message]


class Ended(msgspec.Struct, frozen=True, gc=False):
    """One of the sessions has ended well."""

    sessions: Session | tuple[Session, ...]


class Done(msgspec.Struct, frozen=True, gc=False):
    """This call is done, well or not."""

    call: Pending


class Late(msgspec.Struct, frozen=True, gc=False):
    """The choice's own time is over."""


Arm: TypeAlias = Came | Ended | Done | Late


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """What a person answered, who it was and when."""

    value: T
    by: str
    at: datetime.datetime


def earlier(left: datetime.datetime, right: datetime.datetime) -> datetime.datetime:
    """The deadline that passes first."""
    return min(left, right)
