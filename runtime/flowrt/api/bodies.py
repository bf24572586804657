"""What requests and answers hold, as plain structs; `Any` is JSON whose type a flow declares.

The client reads answers into these. Computes nothing.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import msgspec

from flowrt.core.tracker import TreeView

Reason = Annotated[str, msgspec.Meta(max_length=1000, description="why; it is in the audit trail")]
ClientName = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what is sent."""


# --- requests ---------------------------------------------------------------------------------


class StartFlow(Request, frozen=True):
    """A flow to be started. `client` is the caller's own name for it: asked for again, with the
    same arguments, it gives the same flow."""

    flow: str
    arguments: dict[str, Any] = {}
    client: ClientName | None = None


class SendMessage(Request, frozen=True):
    """A message to a flow's owner session. `number` is the caller's own: the same message with the
    same number, sent again, is sent once."""

    message: str
    fields: dict[str, Any] = {}
    number: Number | None = None


class Why(Request, frozen=True):
    """Why something is done."""

    reason: Reason = ""


class Because(Request, frozen=True):
    """Why something is done that cannot be undone."""

    reason: Reason


class Repair(Request, frozen=True):
    """Variables of the state in which a flow rests, with their new values."""

    changes: dict[str, Any]
    reason: Reason


class Throw(Request, frozen=True):
    """A declared error to be thrown where a flow rests."""

    error: str
    reason: Reason
    fields: dict[str, Any] = {}


class GiveAnswer(Request, frozen=True):
    """The answer to a task, of the type that its form says."""

    answer: Any


class Delegate(Request, frozen=True):
    """Who is to have a task."""

    to: str
    reason: Reason = ""


class BackupTo(Request, frozen=True):
    """The name of the copy, in the folder that the node keeps copies in."""

    # In Python `$` is also before a line's end at the end.
    path: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$(?!\n)")]


# --- answers ----------------------------------------------------------------------------------


class Health(msgspec.Struct, frozen=True):
    """`ok`, or what the matter is."""

    status: str


class AppView(msgspec.Struct, frozen=True):
    """An app that is installed."""

    name: str
    version: str


class Counts(msgspec.Struct, frozen=True):
    """How many flows live, are in the hospital, have ended and are kept; what waits for peers."""

    living: int
    hospital: int
    ended: int
    outbox: int


class Document(msgspec.Struct, frozen=True):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


class NodeInfo(msgspec.Struct, frozen=True):
    """A node."""

    name: str
    version: str
    contract: int
    store_format: int
    apps: list[AppView]
    draining: bool
    counts: Counts
    user: str


class ErrorType(msgspec.Struct, frozen=True):
    """A declared error: its name, its text, and the JSON Schema of its fields."""

    name: str
    text: str
    fields: dict[str, Any]


class MessageType(msgspec.Struct, frozen=True):
    """A message that a flow takes from its owner, and the JSON Schema of its fields."""

    name: str
    fields: dict[str, Any]


class FlowType(msgspec.Struct, frozen=True):
    """A flow that can be started: JSON Schemas of its parameters and its result."""

    flow: str
    version: int
    about: str
    parameters: dict[str, Any]
    result: dict[str, Any]
    owner: bool
    messages: list[MessageType]
    errors: list[ErrorType]


class Types(msgspec.Struct, frozen=True):
    """The flows that the caller may start. `definitions` are the types that their schemas name."""

    flows: list[FlowType]
    definitions: dict[str, Any]


class Started(msgspec.Struct, frozen=True):
    """A flow that was started now, or before under the same name."""

    id: int
    flow: str
    client: str
    created: bool


class FlowInfo(msgspec.Struct, frozen=True):
    """A flow, as a list shows it. `state` is "running", "hospital", "done" or "failed"; `place` the
    `.flow` line at which it rests; `waits` for what, `peer` for whom; `since` when it came there or
    ended, `due` when it goes on by itself. `by` started it, under the name `client`."""

    id: int
    flow: str
    state: str
    place: str = ""
    waits: str = ""
    peer: str | None = None
    path: tuple[str, ...] = ()
    since: datetime.datetime | None = None
    due: datetime.datetime | None = None
    error: str | None = None
    by: str | None = None
    client: str | None = None


class FlowList(msgspec.Struct, frozen=True):
    """A page of flows, by id. Where there are more, `next` is to be asked for as `after`."""

    flows: list[FlowInfo]
    next: int | None


class SessionInfo(msgspec.Struct, frozen=True):
    """One of a flow's conversations: with whom, how many messages were sent, and read."""

    number: int
    peer: str
    status: str
    sent: int
    received: int
    unread: int


class FlowDetail(msgspec.Struct, frozen=True):
    """All that is shown of a flow."""

    flow: FlowInfo
    progress: TreeView
    sessions: list[SessionInfo]
    cause: str | None = None
    tries: int = 0
    next_try: datetime.datetime | None = None
    commands: tuple[str, ...] = ()


class Variables(msgspec.Struct, frozen=True):
    """All that a flow is at rest: its frames with their variables, sessions, calls."""

    id: int
    dump: dict[str, Any]


class ErrorInfo(msgspec.Struct, frozen=True):
    """The error that ended a flow."""

    name: str
    text: str
    fields: Any
    id: str
    peer: str | None


class Result(msgspec.Struct, frozen=True):
    """How a flow ended: `outcome` is "done" or "failed"; None while it runs. `shown` is `result`
    for people, if there are values of Python's classes in it: they say themselves what they are."""

    id: int
    flow: str
    outcome: str | None
    result: Any = None
    error: ErrorInfo | None = None
    shown: Any = None


class OwnersMail(msgspec.Struct, frozen=True):
    """What a flow said to its owner: a message; or, with a `reason`, one of the owner's that it
    could not take; or, with an `error`, how it ended ("" if it ended well)."""

    number: int
    message: str | None = None
    fields: Any = None
    reason: str | None = None
    error: ErrorInfo | None = None


class Mail(msgspec.Struct, frozen=True):
    """What a flow said to its owner. `next` is to be asked for as `after`; `over` says that nothing
    follows."""

    messages: list[OwnersMail]
    next: int
    over: bool


class Sent(msgspec.Struct, frozen=True):
    """A message is committed; `repeated` if that was so before."""

    id: int
    message: str
    repeated: bool


class Done(msgspec.Struct, frozen=True):
    """It is done, and committed."""

    done: bool = True


class PatientInfo(msgspec.Struct, frozen=True):
    """A flow in the hospital."""

    id: int
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
    commands: tuple[str, ...]
    errors: tuple[str, ...]
    frames: Any = None
    trace: str | None = None


class Hospital(msgspec.Struct, frozen=True):
    """The flows that failed and wait."""

    patients: list[PatientInfo]


class TaskInfo(msgspec.Struct, frozen=True):
    """A question to people. `form` is the JSON Schema of its answer."""

    flow_id: int
    number: int
    role: str
    flow: str
    question: Any
    form: dict[str, Any]
    since: datetime.datetime
    due: datetime.datetime | None
    claimed: str | None
    claimed_since: datetime.datetime | None


class Tasks(msgspec.Struct, frozen=True):
    """A page of the questions to people that are open, by flow and number. Where there are more,
    `next` is to be asked for as `after`."""

    tasks: list[TaskInfo]
    next: str | None = None


class ScheduleInfo(msgspec.Struct, frozen=True):
    """A schedule; `due` is None while it is paused, by whom `paused` says. `last` is the flow that
    it started last; `ended` is "" while that runs, "well", or the error that ended it."""

    name: str
    flow: str
    cron: str
    zone: str
    due: datetime.datetime | None
    last: int | None
    ended: str
    paused: str | None


class ScheduleList(msgspec.Struct, frozen=True):
    """The schedules of a node."""

    schedules: list[ScheduleInfo]


class VersionInfo(msgspec.Struct, frozen=True):
    """What still needs one version of a flow."""

    flow: str
    version: int
    is_installed: bool
    flows: int
    sessions: int
    schedules: int
    may_be_removed: bool


class VersionList(msgspec.Struct, frozen=True):
    """Every version that is installed or needed."""

    versions: list[VersionInfo]


class PeerInfo(msgspec.Struct, frozen=True):
    """What a peer uses of what the node grants it: open sessions that it began, invitations lately,
    messages that nobody has read, packets that wait to be taken up, frames that wait to be sent to
    it; what of it was refused, how often, by reason."""

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


class PeerList(msgspec.Struct, frozen=True):
    """The peers that this node has met."""

    peers: list[PeerInfo]


class AuditEntry(msgspec.Struct, frozen=True):
    """One thing that happened. `flow` is 0 where it is no flow's; `event` says what kind it is."""

    flow: int
    step: int
    event: str
    logs: list[str] = []
    by: str | None = None
    reason: str | None = None
    said: str | None = None


class AuditRow(msgspec.Struct, frozen=True):
    """What was committed together, with the row's digest."""

    number: int
    at: datetime.datetime
    digest: str
    entries: list[AuditEntry]


class AuditPage(msgspec.Struct, frozen=True):
    """Rows of the audit trail, oldest first; `next` is to be asked for as `after`."""

    rows: list[AuditRow]
    next: int
