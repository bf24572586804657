"""The node over HTTP: health, what it is, hospital, schedules, versions, peers, draining, the audit
trail, copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from flowrt.api import bodies
from flowrt.api.answers import said
from flowrt.api.interface import startable, types_of, version
from flowrt.api.routing import Call, Operation, Parameter
from flowrt.api.trouble import Refused, not_found
from flowrt.core.flow import CONTRACT
from flowrt.core.registry import unversioned
from flowrt.handle import NodeStopped
from flowrt.store.upgrades import FORMAT
from flowrt.views import ScheduleView

if TYPE_CHECKING:
    from starlette.responses import Response

MOST_ROWS = 1000

T = TypeVar("T")


# --- without a token --------------------------------------------------------------------------


async def health(call: Call) -> Response:
    try:
        call.node.refuse_if_stopped()
    except NodeStopped:
        return said(bodies.Health("stopped"), 503)
    return said(bodies.Health("ok"))


async def ready(call: Call) -> Response:
    try:
        call.node.refuse_if_stopped()
    except NodeStopped:
        return said(bodies.Health("stopped"), 503)
    if call.node.is_draining:
        return said(bodies.Health("draining"), 503)
    return said(bodies.Health("ok"))


# --- the node ---------------------------------------------------------------------------------


async def show_node(call: Call) -> Response:
    node = call.node
    living, ended = call.app.figures.counted(node)
    outbox = sum(one.outbox for one in node.peers())
    counts = bodies.Counts(living, node.in_hospital, ended, outbox)
    return said(
        bodies.NodeInfo(
            node.party.name,
            version(),
            CONTRACT,
            FORMAT,
            [bodies.AppView(*one) for one in call.app.offer.apps],
            node.is_draining,
            counts,
            call.caller.name,
        )
    )


async def list_types(call: Call) -> Response:
    kinds = startable(call.node.registry, lambda name: call.caller.may("start", name))
    return said(types_of(kinds))


async def list_hospital(call: Call) -> Response:
    found = []
    for patient in call.node.patients():
        name = unversioned(patient.flow)
        client = call.node.client_of(patient.flow_id)
        if not call.caller.may("view", name, client):
            continue
        # Variables are shown to those alone who may dump them.
        dumps = call.caller.may("dump", name, client)
        found.append(
            bodies.PatientInfo(
                patient.flow_id,
                patient.flow,
                patient.kind,
                patient.cause,
                patient.event,
                patient.place,
                patient.line,
                patient.since,
                patient.tries,
                patient.next_try,
                patient.peer,
                patient.commands,
                patient.errors,
                msgspec.to_builtins(patient.frames) if dumps else None,
                patient.trace if dumps else None,
            )
        )
    return said(bodies.Hospital(found))


async def list_versions(call: Call) -> Response:
    call.need("metrics")
    views = call.node.versions()
    return said(bodies.VersionList([_as(bodies.VersionInfo, one) for one in views]))


async def list_peers(call: Call) -> Response:
    call.need("metrics")
    return said(bodies.PeerList([_as(bodies.PeerInfo, one) for one in call.node.peers()]))


def _as(kind: type[T], value: msgspec.Struct) -> T:
    return msgspec.convert(value, kind, from_attributes=True)


async def drain(call: Call) -> Response:
    call.need("drain")
    await call.body(bodies.Why)
    await call.node.drain(by=call.caller.name)
    return said(bodies.Done())


async def undrain(call: Call) -> Response:
    call.need("drain")
    await call.body(bodies.Why)
    await call.node.undrain(by=call.caller.name)
    return said(bodies.Done())


async def read_audit(call: Call) -> Response:
    call.need("audit")
    after, limit = call.query.get("after", 0), call.query.get("limit", 100)
    changes = call.query.get("changes", False)
    rows, last = [], after
    for row in call.node.audited(after, limit):
        last = row.number
        entries = [
            bodies.AuditEntry(one.flow, one.step, one.event, list(one.logs), *one[4:])
            for one in row.entries
            if one.by is not None or not changes
        ]
        if entries:
            rows.append(bodies.AuditRow(row.number, row.at, row.digest.hex(), entries))
    return said(bodies.AuditPage(rows, last))


async def backup(call: Call) -> Response:
    call.need("backup")
    wanted = await call.body(bodies.BackupTo)
    write = call.app.offer.backup
    if write is None:
        raise Refused(409, "this node keeps no copies", "use `flowctl backup` where it runs")
    try:
        await write(wanted.path)
    except FileExistsError:
        raise Refused(409, "there is a copy of that name already") from None
    return said(bodies.Done())


# --- schedules --------------------------------------------------------------------------------


async def list_schedules(call: Call) -> Response:
    views = (one for one in call.node.schedules() if _sees(call, one))
    return said(bodies.ScheduleList([_as(bodies.ScheduleInfo, one) for one in views]))


def _sees(call: Call, schedule: ScheduleView) -> bool:
    may = call.caller.may
    return may("schedule", schedule.name) or may("view", unversioned(schedule.flow))


def _schedule(call: Call) -> str:
    name: str = call.request.path_params["name"]
    try:
        found: ScheduleView = call.node.schedule(name)
    except KeyError:
        raise not_found("schedule") from None
    if not _sees(call, found):
        raise not_found("schedule")
    call.need("schedule", name)
    return name


async def pause_schedule(call: Call) -> Response:
    name = _schedule(call)
    why = await call.body(bodies.Why)
    await call.node.pause_schedule(name, by=call.caller.name, reason=why.reason)
    return said(bodies.Done())


async def resume_schedule(call: Call) -> Response:
    name = _schedule(call)
    why = await call.body(bodies.Why)
    await call.node.resume_schedule(name, by=call.caller.name, reason=why.reason)
    return said(bodies.Done())


async def run_schedule(call: Call) -> Response:
    name = _schedule(call)
    await call.body(bodies.Why)
    handle = await call.node.run_schedule(name, by=call.caller.name)
    flow = call.node.schedule(name).flow
    return said(bodies.Started(handle.id, flow, "", True), 201)


PUBLIC = (
    Operation(
        "GET",
        "/v1/health",
        health,
        "Whether the node runs.",
        {200: bodies.Health, 503: bodies.Health},
    ),
    Operation(
        "GET",
        "/v1/ready",
        ready,
        "Whether the node takes new flows.",
        {200: bodies.Health, 503: bodies.Health},
    ),
)

_CHANGE = (400, 413, 415)


def _control(path: str, do: object, about: str, needs: str, status: int = 200) -> Operation:
    kind = bodies.Done if status == 200 else bodies.Started
    refusals = (400, 404, 409, 413, 415) if "{" in path else _CHANGE
    return Operation(
        "POST",
        path,
        do,  # type: ignore[arg-type]  # as below
        about,
        {status: kind},
        needs,
        bodies.Why,
        body_optional=True,
        refusals=refusals,
    )


_SCHEDULE = "/v1/schedules/{name}"

OPERATIONS = (
    Operation(
        "GET",
        "/v1/node",
        show_node,
        "What the node is: its name, versions, apps, how much there is.",
        {200: bodies.NodeInfo},
        "nothing but to be known",
    ),
    Operation(
        "GET",
        "/v1/types",
        list_types,
        "The flows that you may start: JSON Schemas of parameters, messages, results, errors.",
        {200: bodies.Types},
        "start FLOW",
    ),
    Operation(
        "GET",
        "/v1/hospital",
        list_hospital,
        "The flows that failed and wait; their variables are shown to those who may dump them.",
        {200: bodies.Hospital},
        "view FLOW, or view own",
    ),
    Operation(
        "GET",
        "/v1/schedules",
        list_schedules,
        "The schedules of the node.",
        {200: bodies.ScheduleList},
        "schedule NAME, or view FLOW",
    ),
    _control(
        f"{_SCHEDULE}/pause",
        pause_schedule,
        "Start nothing by this schedule until it is resumed.",
        "schedule NAME",
    ),
    _control(
        f"{_SCHEDULE}/resume",
        resume_schedule,
        "Let a schedule go on; times that passed meanwhile are left out.",
        "schedule NAME",
    ),
    _control(
        f"{_SCHEDULE}/run",
        run_schedule,
        "Start a schedule's flow now, once more than it does by itself.",
        "schedule NAME",
        201,
    ),
    Operation(
        "GET",
        "/v1/versions",
        list_versions,
        "What still needs which version of which flow.",
        {200: bodies.VersionList},
        "metrics",
    ),
    Operation(
        "GET",
        "/v1/peers",
        list_peers,
        "The peers that this node has met, and what each has of it.",
        {200: bodies.PeerList},
        "metrics",
    ),
    _control("/v1/drain", drain, "Take nothing new; what lives goes on.", "drain"),
    _control("/v1/undrain", undrain, "Take new flows again.", "drain"),
    Operation(
        "GET",
        "/v1/audit",
        read_audit,
        "The audit trail, oldest first: everything that was committed, and who was behind it.",
        {200: bodies.AuditPage},
        "audit",
        query=(
            Parameter("after", int, "the row after which to go on"),
            Parameter("limit", int, "how many rows are looked at, at most 1000", 1, MOST_ROWS),
            Parameter("changes", bool, "true: what persons did alone"),
        ),
        refusals=(400,),
    ),
    Operation(
        "POST",
        "/v1/backup",
        backup,
        "Write a copy of the store, while the node runs, under a name in its folder of copies.",
        {200: bodies.Done},
        "backup",
        bodies.BackupTo,
        refusals=(400, 409, 413, 415),
    ),
)
