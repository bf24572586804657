"""A patient as people see it, and what they want done with it, checked against its declarations.

Looks at rows and checkpoints; it changes nothing itself.
"""

from __future__ import annotations

import datetime
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from flowrt.core import opaque
from flowrt.core.engine import Change, Throw
from flowrt.core.flow import FlowError, Pending, Session, State, all_finite
from flowrt.core.hospital import AGAIN, PAUSED, Patient
from flowrt.core.registry import Registry
from flowrt.core.values import BadBytes, Checkpoint, decode, encode, plain, writable
from flowrt.core.waiting import find
from flowrt.handle import NotAccepted
from flowrt.views import time_of


class FrameView(msgspec.Struct, frozen=True):
    """A flow or subflow under way: its versioned name, its state, the `.flow` line where it rests,
    and its variables by name, as JSON data; a session as the name of its peer."""

    flow: str
    state: str
    place: str
    variables: dict[str, Any]


class PatientView(msgspec.Struct, frozen=True):
    """A flow in the hospital, for people; `msgspec.json.encode` takes it as it is.

    `kind` is why it is here: `"failed"`, `"held"`, `"lost"` (an operation), `"paused"`,
    `"unloadable"`. `cause` and `trace` are what was raised, `event` what the flow was going on
    with, `peer` who invited it. `place` is the `.flow` line of the innermost of `frames`, which
    are outermost first, and `line` the one that failed, if it is known. `tries` counts retries by
    itself since the flow last went on; `next_try` is the next one (UTC), None if a person is
    needed. `commands` are the methods of the node that can be used with it, `errors` the declared
    errors that can be thrown in.
    """

    flow_id: int
    flow: str
    kind: str
    cause: str
    event: str
    place: str
    line: str
    since: datetime.datetime
    tries: int
    next_try: datetime.datetime | None
    peer: str | None
    frames: tuple[FrameView, ...]
    commands: tuple[str, ...]
    errors: tuple[str, ...]
    trace: str


def view(patient: Patient, data: bytes | None, registry: Registry) -> PatientView:
    """A patient's view, from its row and the bytes of its checkpoint."""
    frames: tuple[FrameView, ...] = ()
    errors: tuple[str, ...] = ()
    commands = ["retry", "kill"]
    try:
        checkpoint = registry.checkpoint(data) if data is not None else None
    except (BadBytes, KeyError):
        checkpoint = None
    if checkpoint is not None:
        frames = tuple(
            FrameView(
                frame.flow,
                type(frame.state).__name__,
                frame.state.place,
                _variables(frame.state, checkpoint),
            )
            for frame in checkpoint.frames
        )
        errors = tuple(sorted(_errors(checkpoint, registry)))
        if frames and _changeable(checkpoint.frames[-1].state):
            commands.append("retry_with")
        if errors and checkpoint.admitted:
            commands.append("throw")
    if patient.kind == PAUSED:
        commands.append("resume")
    elif patient.next == AGAIN:
        commands.append("pause")
    return PatientView(
        patient.flow_id,
        frames[0].flow if frames else patient.flow,
        patient.kind,
        patient.cause,
        patient.event,
        patient.place,
        patient.line,
        time_of(patient.since_us),
        patient.tries,
        time_of(patient.next_us) if patient.next == AGAIN else None,
        patient.peer or None,
        frames,
        tuple(commands),
        errors,
        patient.trace,
    )


def change(
    flow_id: int,
    data: bytes | None,
    registry: Registry,
    values: Mapping[str, object],
    by: str,
    reason: str,
) -> Change:
    """The event that changes these variables of a patient.

    Raises:
        TypeError: it has no such variable, or that is of another type, or no value at all.
        NotAccepted: its checkpoint cannot be read.
    """
    state = _checkpoint(flow_id, data, registry).frames[-1].state
    kinds = _changeable(state)
    where = f"flow {flow_id} at {state.place}"
    encoded: dict[str, bytes] = {}
    for name, value in values.items():
        if name not in kinds:
            known = ", ".join(kinds) or "none"
            raise TypeError(f"{where} has no variable {name} to be changed; it has: {known}")
        encoded[name] = encode(as_declared(f"{where}: {name}", kinds[name], value))
    shown = ", ".join(f"{name}={_shown(value)!r}" for name, value in values.items())
    return Change(by, reason, type(state).__name__, encoded, shown[:4000])


def throw(
    flow_id: int, data: bytes | None, registry: Registry, error: FlowError, by: str, reason: str
) -> Throw:
    """The event that throws a declared error where a patient rests.

    Raises:
        TypeError: no declared error, or one that no flow under way there could name, or a field is
            of another type.
        NotAccepted: its checkpoint cannot be read.
    """
    known = _errors(_checkpoint(flow_id, data, registry), registry)
    name = getattr(error, "wire", type(error).__name__)
    if not isinstance(error, FlowError) or known.get(name) is not type(error):
        names = ", ".join(sorted(known)) or "none"
        raise TypeError(f"flow {flow_id} could never name the error {name}; it knows: {names}")
    fields = as_declared(f"the error {name}", error.Fields, error.fields())
    return Throw(by, reason, name, encode(fields), writable(f"{name}: {error}")[:4000])


def variables(flow_id: int, data: bytes | None, registry: Registry) -> Mapping[str, Any]:
    """The types of the variables of a patient that can be changed, by name. Raises NotAccepted: its
    checkpoint cannot be read."""
    return _changeable(_checkpoint(flow_id, data, registry).frames[-1].state)


def errors(flow_id: int, data: bytes | None, registry: Registry) -> Mapping[str, type[FlowError]]:
    """The declared errors that can be thrown into a patient, by name. Raises as `variables`."""
    return _errors(_checkpoint(flow_id, data, registry), registry)


def as_declared(what: str, kind: Any, value: Any) -> Any:
    """A value from outside, if it has the type that it says it has. Raises TypeError."""
    try:
        all_finite(kind, value)
        return decode(kind, encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError, BadBytes) as error:
        text = f"{what} is not what the .flow file declares: {error}"
        raise TypeError(text) from None


def _checkpoint(flow_id: int, data: bytes | None, registry: Registry) -> Checkpoint:
    try:
        if data is not None:
            checkpoint = registry.checkpoint(data)
            if checkpoint.frames:
                return checkpoint
        raise NotAccepted(f"flow {flow_id} has ended")
    except KeyError as error:
        raise NotAccepted(f"flow {flow_id}: {error.args[0]} is not installed") from None
    except BadBytes as error:
        raise NotAccepted(f"flow {flow_id}: {error}") from None


def _errors(checkpoint: Checkpoint, registry: Registry) -> dict[str, type[FlowError]]:
    """The declared errors that the flows under way can name; the innermost one's counts."""
    found: dict[str, type[FlowError]] = {}
    for frame in checkpoint.frames:
        found.update(registry.classes[frame.flow].errors)
    return {name: kind for name, kind in found.items() if not kind.builtin}


def _changeable(state: State) -> dict[str, Any]:
    """The variables that may be changed: all but sessions and what is pending, which are numbers
    that mean something only inside their flow."""
    fields = msgspec.structs.fields(state)
    return {one.name: one.type for one in fields if not _mentions(one.type, (Session, Pending))}


def _mentions(kind: Any, others: tuple[Any, ...]) -> bool:
    return kind in others or any(_mentions(part, others) for part in typing.get_args(kind))


def _variables(state: State, checkpoint: Checkpoint) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(state):
        value = getattr(state, field.name)
        if field.type is Session:
            session = find(checkpoint, value)
            value = session.peer if session is not None else None
        found[field.name] = _shown(value)
    return found


def _shown(value: Any) -> Any:
    """A value as JSON data, whatever an author's class is made of."""
    try:
        return plain(value)
    except Exception:
        pass
    try:
        return plain(opaque.to_plain(value))
    except Exception:
        return writable(f"{type(value).__name__}")
