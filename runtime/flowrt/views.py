"""Flows and questions as people see them: where a flow rests, for what and whom, since when.

Reads checkpoints; changes nothing and knows no node.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from flowrt.core import engine
from flowrt.core.progress import path_of
from flowrt.core.registry import Registry, unversioned
from flowrt.core.values import (
    ANY,
    EVENT,
    FLOW,
    TASK,
    BadBytes,
    CallState,
    Checkpoint,
    Data,
    OnAcceptance,
    OnAny,
    OnMessage,
    OnOperator,
    OnTime,
    SessionState,
    decode_checkpoint,
    plain,
)
from flowrt.core.waiting import call_of
from flowrt.store import Row


class TaskView(msgspec.Struct, frozen=True):
    """A question to people that is open.

    `role` is who may answer, `flow` the versioned name of the flow that asks, `question` its value.
    `answer` is the Python type of the answer. `since` and `due` are in UTC; `due` is None if there
    is no deadline. `claimed` is who alone may answer it, None if nobody has claimed it.
    """

    flow_id: int
    number: int
    role: str
    flow: str
    question: Any
    answer: Any
    since: datetime.datetime
    due: datetime.datetime | None
    claimed: str | None = None
    claimed_since: datetime.datetime | None = None


class FlowView(msgspec.Struct, frozen=True):
    """A living flow, for people: where it rests and for what.

    `flow` is the outermost flow's versioned name; `state` and `place` are the innermost frame's;
    `waits` says for what, `peer` for whom; `path` are its progress steps; `checkpoint_bytes` is its
    whole size at rest. `since` is when it came to rest, `due` when it goes on by itself if nothing
    comes; both in UTC, `due` None if it does not.
    """

    id: int
    flow: str
    state: str
    place: str
    waits: str
    peer: str | None
    path: tuple[str, ...]
    in_hospital: bool
    checkpoint_bytes: int
    since: datetime.datetime
    due: datetime.datetime | None


def _waiting(checkpoint: Checkpoint) -> tuple[str, str | None]:
    """What a flow waits for, and for whom."""
    waiting = checkpoint.waiting
    if isinstance(waiting, OnMessage):
        session = engine.find(checkpoint, waiting.session)
        return "a message", session.peer if session else None
    if isinstance(waiting, OnTime):
        return "time", None
    if isinstance(waiting, OnAny):
        return _several(checkpoint, waiting)
    if isinstance(waiting, OnOperator):
        return f"an operator: {waiting.reason}", None
    if isinstance(waiting, OnAcceptance):
        return "acceptance of its invitations", None
    return "nothing", None


def _several(checkpoint: Checkpoint, waiting: OnAny) -> tuple[str, str | None]:
    found = [engine.find(checkpoint, number) for number in waiting.sessions]
    peers = sorted({session.peer for session in found if session is not None})
    what = []
    if waiting.sessions:
        what.append("a message" if waiting.kind == ANY else "messages of each")
    what += [_call(call_of(checkpoint, number)) for number in waiting.calls]
    if waiting.due_us or not what:
        what.append("time")
    return " or ".join(what), ", ".join(peers) or None


def _call(call: CallState | None) -> str:
    if call is None or call.done is not None:
        return "nothing"
    if call.kind == TASK:
        return f"an answer by {call.what}"
    if call.kind == EVENT:
        return f"{'.'.join(call.what.split('.')[-2:])}(…)"
    return f"flow {call.target}" if call.kind == FLOW else call.what


def view(row: Row, registry: Registry) -> FlowView:
    """A living flow's view, from its row in the store."""
    flow_id, data, due_us, since_s = row
    size, since = len(data), time_of(since_s * 1_000_000)
    due = time_of(due_us) if due_us else None
    try:
        checkpoint = registry.checkpoint(data)
    except KeyError as error:
        name = str(error.args[0])
        waits = f"{name} to be installed"
        return FlowView(flow_id, name, "?", "", waits, None, (), True, size, since, due)
    except BadBytes as error:
        waits = f"unreadable: {error}"
        return FlowView(flow_id, "?", "?", "", waits, None, (), True, size, since, due)
    if not checkpoint.frames:
        waits = "confirmations"
        return FlowView(flow_id, "", "ended", "", waits, None, (), False, size, since, due)
    frame = checkpoint.frames[-1]
    waits, peer = _waiting(checkpoint)
    return FlowView(
        flow_id,
        checkpoint.frames[0].flow,
        type(frame.state).__name__,
        frame.state.place,
        waits,
        peer,
        path_of(checkpoint.frames, registry.step_names),
        checkpoint.admitted,
        size,
        since,
        due,
    )


def time_of(time_us: int) -> datetime.datetime:
    """Microseconds since 1970 as a moment in UTC; the calendar's last one if they are beyond it."""
    try:
        return _EPOCH + datetime.timedelta(microseconds=time_us)
    except OverflowError:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which flows are asked for: all that fit whatever is given.

    `flow` is a flow's name with or without its version, `state` that of its state, `peer` whom it
    waits for, `waits` a part of what it waits for, `before` that it has rested since before.
    """

    flow: str | None = None
    state: str | None = None
    peer: str | None = None
    waits: str | None = None
    before: datetime.datetime | None = None
    in_hospital: bool | None = None

    def fits(self, found: FlowView) -> bool:
        """Whether a flow is one of those."""
        return (
            self.flow in (None, found.flow, unversioned(found.flow))
            and self.state in (None, found.state)
            and (self.peer is None or self.peer in (found.peer or "").split(", "))
            and (self.waits is None or self.waits in found.waits)
            and (self.before is None or found.since < self.before)
            and self.in_hospital in (None, found.in_hospital)
        )


class ScheduleView(msgspec.Struct, frozen=True):
    """A schedule of a node: what it starts, when next, and what became of the last one.

    `last` is the flow that it started last, None if there is none or it was forgotten; `ended` is
    "" while that runs or is in the hospital, "well", or the error that ended it. The next one comes
    whatever became of the last. Of one that is paused, by whom `paused` says, `due` is None.
    """

    name: str
    flow: str
    cron: str
    zone: str
    due: datetime.datetime | None
    last: int | None
    ended: str
    paused: str | None = None


class PeerView(msgspec.Struct, frozen=True):
    """What a peer uses of what a node grants it (`flowrt.limits.Limits`, of the same names).

    Attributes:
        peer: its name.
        sessions: those that it began and that are open.
        invitations: how many of `invitations_at_once` it has used up lately; it regains
            `invitations_per_s`.
        unread, unread_bytes: its messages that flows keep without having read them.
        inbound, inbound_bytes: its packets that wait to be taken up.
        outbox, outbox_bytes: frames that wait until it acknowledges them.
        refused: what was refused since the process began, how often, by reason.
    """

    peer: str
    sessions: int
    invitations: int
    unread: int
    unread_bytes: int
    inbound: int
    inbound_bytes: int
    outbox: int
    outbox_bytes: int
    refused: dict[str, int]


class VersionView(msgspec.Struct, frozen=True):
    """What still needs one version of a flow on a node.

    `flows` are living flows that run it, be it as a subflow; `sessions` those that these have open;
    `schedules` start it. `may_be_removed` says that nothing does and that there is a newer one.
    """

    flow: str
    version: int
    is_installed: bool
    flows: int
    sessions: int
    schedules: int
    may_be_removed: bool


def versions(rows: Iterable[Row], registry: Registry) -> list[VersionView]:
    """Every version that is installed or needed, by name and version."""
    flows: Counter[str] = Counter()
    sessions: Counter[str] = Counter()
    for row in rows:
        try:
            checkpoint = decode_checkpoint(row.checkpoint, _anything)
        except BadBytes:
            continue
        for depth, frame in enumerate(checkpoint.frames):
            sessions[frame.flow] += sum(s.frame == depth for s in checkpoint.sessions)
        flows.update({frame.flow for frame in checkpoint.frames})
    schedules = Counter(registry.names[one.flow] for one in registry.schedules)
    known = {name: kind.version for name, kind in registry.classes.items()}
    for name in flows:
        known.setdefault(name, int(name.rpartition("_v")[2]))
    newest: dict[str, int] = {}
    for name in registry.classes:
        newest[unversioned(name)] = max(known[name], newest.get(unversioned(name), 0))
    found = []
    for name, version in known.items():
        needed = flows[name] + schedules[name]
        is_old = version < newest.get(unversioned(name), 0)
        found.append(
            VersionView(
                unversioned(name),
                version,
                name in registry.classes,
                flows[name],
                sessions[name],
                schedules[name],
                is_old and not needed and name in registry.classes,
            )
        )
    return sorted(found, key=lambda one: (one.flow, one.version))


def _anything(name: str) -> Any:
    return Any


# --- everything about one flow ----------------------------------------------------------------


def dump(row: Row, registry: Registry) -> Mapping[str, Any]:
    """All that a flow is at rest, as plain data for JSON: where each of its frames is, with its
    variables; its sessions, and what came and was not read; what it has begun.

    A flow that is not installed shows its variables without their names.
    """
    found = view(row, registry)
    about = plain(found)
    try:
        checkpoint = decode_checkpoint(row.checkpoint, registry.states_of)
    except KeyError:
        checkpoint = decode_checkpoint(row.checkpoint, _anything)
    except BadBytes as error:
        return {**about, "unreadable": str(error), "bytes": row.checkpoint.hex()}
    extra = checkpoint.extra
    return {
        **about,
        "steps": checkpoint.steps,
        "frames": [
            {"flow": frame.flow, **_state(frame.state)} for frame in reversed(checkpoint.frames)
        ],
        "waiting": {"for": type(checkpoint.waiting).__name__, **_fields(checkpoint.waiting)},
        "sessions": [_session(one) for one in checkpoint.sessions],
        "calls": [] if extra is None else [_fields(call, "detail", "done") for call in extra.calls],
        "parent": 0 if extra is None else extra.parent,
        "followers": [] if extra is None else list(extra.followers),
        "key": "" if extra is None else extra.key,
    }


def _state(state: Any) -> dict[str, Any]:
    if not isinstance(state, msgspec.Struct):
        return {"state": "?", "place": "", "variables": plain(state)}
    names = state.__struct_fields__
    variables = {name: plain(getattr(state, name)) for name in names}
    place = getattr(type(state), "place", "")
    return {"state": type(state).__name__, "place": place, "variables": variables}


def _session(session: SessionState) -> dict[str, Any]:
    return {
        **_fields(session, "secret", "inbox", "unsent"),
        "inbox": [
            {"number": number, "content": _content(content)} for number, content, _ in session.inbox
        ],
        "unsent": [_content(content) for content in session.unsent],
    }


def _content(content: Any) -> str:
    return content.name if type(content) is Data else type(content).__name__


def _fields(value: msgspec.Struct, *without: str) -> dict[str, Any]:
    names = [name for name in value.__struct_fields__ if name not in without]
    return {name: plain(getattr(value, name)) for name in names}
