"""Flows over HTTP: starting them, what they are and how they ended, talking to them as their owner,
and what operators do with one.

Whoever may not see a flow is told that there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from flowrt.api import bodies
from flowrt.api.answers import said
from flowrt.api.interface import started_by_http
from flowrt.api.reading import NotFitting, read, read_fields
from flowrt.api.routing import MOST_WAIT_S, Call, Operation, Parameter
from flowrt.api.trouble import Refused, not_found
from flowrt.core.flow import FlowError, Message
from flowrt.core.hospital import one_line
from flowrt.core.registry import unversioned
from flowrt.core.values import plain
from flowrt.handle import Bounced, Handle
from flowrt.store import Ended
from flowrt.views import FlowView, time_of

if TYPE_CHECKING:
    from starlette.responses import Response

MOST_FLOWS = 500
SCANNED = 2000
"""How many flows one request looks at: the loop does other things between two of them."""

MOST_MAIL = 100

STATES = ("living", "running", "hospital", "ended", "done", "failed")


class Found:
    """A flow that the caller may see: its name without a version, who asked for it and how."""

    __slots__ = ("client", "id", "name", "outcome", "versioned", "view")

    def __init__(self, call: Call, flow_id: int) -> None:
        node = call.node
        self.id = flow_id
        self.view: FlowView | None = None
        self.outcome: str | None = None
        try:
            self.view = node.flow(flow_id)
            self.versioned = self.view.flow
        except KeyError:
            ended = node.ended(flow_id)
            if ended is None:
                raise not_found("flow") from None
            self.versioned = ended.flow
            self.outcome = "failed" if ended.error is not None else "done"
        self.name = unversioned(self.versioned)
        self.client = node.client_of(flow_id)
        if not call.caller.may("view", self.name, self.client):
            raise not_found("flow")

    def need(self, call: Call, word: str) -> None:
        """Refuse who may not do that with it."""
        call.need(word, self.name, self.client)


# --- starting ---------------------------------------------------------------------------------


async def start_flow(call: Call) -> Response:
    wanted = await call.body(bodies.StartFlow)
    kind = started_by_http(call.node.registry, wanted.flow)
    if kind is None or not call.caller.may("start", kind.name):
        raise Refused(
            403,
            "there is no such flow that you may start",
            "GET /v1/types lists those that you may",
        )
    try:
        leaving = (kind.Start.__struct_fields__[-1],) if kind.owner else ()
        arguments = read_fields(kind.Start, wanted.arguments, "arguments", leaving=leaving)
    except NotFitting as wrong:
        raise Refused(400, str(wrong), "GET /v1/types has the schema of its arguments") from None
    own = wanted.client or secrets.token_hex(16)
    client = f"{call.caller.prefix}{own}"
    known = call.node.known_client(client)
    handle = await call.node.start_named(client, kind, arguments, by=call.caller.name)
    name = kind.versioned()
    answer = bodies.Started(handle.id, name, own, not known)
    return said(answer, 200 if known else 201)


# --- lists ------------------------------------------------------------------------------------


async def list_flows(call: Call) -> Response:
    query = call.query
    state = query.get("state", "living")
    limit, after = query.get("limit", 100), query.get("after", 0)
    if "key" in query:
        return said(bodies.FlowList(_by_key(call, query), None))
    rows = _ended(call, after) if state in ("ended", "done", "failed") else _living(call, after)
    found: list[bodies.FlowInfo] = []
    for looked, (flow_id, row) in enumerate(rows, 1):
        client = call.node.client_of(flow_id)
        is_seen = row is not None and call.caller.may("view", unversioned(row.flow), client)
        if row is not None and is_seen and _fits(row, state, query, call.node.now):
            found.append(_owned(row, client))
        if len(found) == limit or looked == SCANNED:
            return said(bodies.FlowList(found, flow_id))
    return said(bodies.FlowList(found, None))


_Rows: TypeAlias = Iterator[tuple[int, bodies.FlowInfo | None]]
"""Flows that are looked at, by id; None for those that are none of what is wanted."""


def _living(call: Call, after: int) -> _Rows:
    node = call.node
    if call.caller.sees_all():
        for view in node.each_flow(after):
            yield view.id, _info(view)
        return
    for flow_id in node.flows_of(call.caller.prefix, after, SCANNED):
        try:
            yield flow_id, _info(node.flow(flow_id))
        except KeyError:
            yield flow_id, None


def _ended(call: Call, after: int) -> _Rows:
    node = call.node
    if call.caller.sees_all():
        for one in node.outcomes(after, SCANNED):
            yield one.flow_id, _end(one)
        return
    for flow_id in node.flows_of(call.caller.prefix, after, SCANNED):
        ended = node.ended(flow_id)
        yield flow_id, _end(ended) if ended is not None else None


def _end(one: Ended) -> bodies.FlowInfo:
    outcome = "failed" if one.error is not None else "done"
    return bodies.FlowInfo(
        one.flow_id, one.flow, outcome, since=time_of(one.at_us), error=one.error
    )


def _by_key(call: Call, query: dict[str, Any]) -> list[bodies.FlowInfo]:
    found = []
    for name in sorted({kind.name for kind in call.node.registry.names}):
        flow_id = call.node.holder(name, query["key"])
        if flow_id is None or query.get("flow", name) != name:
            continue
        client = call.node.client_of(flow_id)
        if call.caller.may("view", name, client):
            with contextlib.suppress(KeyError):
                found.append(_owned(_info(call.node.flow(flow_id)), client))
    return found


def _info(view: FlowView) -> bodies.FlowInfo:
    return bodies.FlowInfo(
        view.id,
        view.flow,
        "hospital" if view.in_hospital else "running",
        view.place,
        view.waits,
        view.peer,
        view.path,
        view.since,
        view.due,
    )


def _owned(row: bodies.FlowInfo, client: str | None) -> bodies.FlowInfo:
    by, slash, own = (client or "").partition("/")
    return msgspec.structs.replace(row, by=by, client=own) if slash else row


def _fits(row: bodies.FlowInfo, state: str, query: dict[str, Any], now: datetime.datetime) -> bool:
    if state in ("running", "hospital", "done", "failed") and row.state != state:
        return False
    if query.get("flow", row.flow) not in (row.flow, unversioned(row.flow)):
        return False
    if "party" in query and query["party"] not in (row.peer or "").split(", "):
        return False
    if "waiting_longer" in query and row.since is not None:
        least: int = query["waiting_longer"]
        return (now - row.since).total_seconds() > least
    return True


# --- one flow ---------------------------------------------------------------------------------


async def show_flow(call: Call) -> Response:
    found = Found(call, call.flow_id)
    node = call.node
    tree = node.tracker(found.id)
    if found.view is None:
        ended = node.ended(found.id)
        return said(bodies.FlowDetail(_owned(_end(ended), found.client), tree, []))
    sessions = [
        bodies.SessionInfo(one.number, one.peer, one.status, one.sent, one.received, one.unread)
        for one in node.sessions(found.id)
    ]
    detail = bodies.FlowDetail(_owned(_info(found.view), found.client), tree, sessions)
    if found.view.in_hospital:
        with contextlib.suppress(KeyError):
            patient = node.patient(found.id)
            detail = msgspec.structs.replace(
                detail,
                cause=patient.cause,
                tries=patient.tries,
                next_try=patient.next_try,
                commands=patient.commands,
            )
    return said(detail)


async def flow_variables(call: Call) -> Response:
    found = Found(call, call.flow_id)
    found.need(call, "dump")
    try:
        return said(bodies.Variables(found.id, dict(call.node.dump(found.id))))
    except KeyError:
        raise Refused(409, f"flow {found.id} has ended: nothing of it is at rest") from None


async def flow_result(call: Call) -> Response:
    found = Found(call, call.flow_id)
    handle = handle_of(call, found.id)
    wait_s = call.query.get("wait_s", 0)
    if handle.outcome is None and wait_s:
        waiting = asyncio.ensure_future(_end_of(handle))
        try:
            await call.app.waited(waiting, wait_s)
        finally:
            waiting.cancel()
    if handle.outcome is None:
        return said(bodies.Result(found.id, found.versioned, None), 202)
    return said(_result(call, found, handle))


async def _end_of(handle: Handle[Any]) -> None:
    with contextlib.suppress(Exception):
        await handle.result()


def handle_of(call: Call, flow_id: int) -> Handle[Any]:
    try:
        handle: Handle[Any] = call.node.handle(flow_id)
    except KeyError:
        raise not_found("flow") from None
    return handle


def _result(call: Call, found: Found, handle: Handle[Any]) -> bodies.Result:
    try:
        value = handle.result_now()
    except FlowError as error:
        told = _error(error)
        return bodies.Result(found.id, found.versioned, "failed", error=told)
    except LookupError as error:
        told = bodies.ErrorInfo("NotInstalled", str(error.args[0]), None, "", None)
        return bodies.Result(found.id, found.versioned, "done", error=told)
    data, shown = plain(value), shown_of(value)
    shown = shown if shown != data else None
    return bodies.Result(found.id, found.versioned, "done", data, shown=shown)


def shown_of(value: Any) -> Any:
    """A value as `plain` has it, but those of Python's classes as they describe themselves in one
    line: their bytes tell people nothing."""
    if isinstance(value, msgspec.Struct):
        fields = {name: shown_of(getattr(value, name)) for name in value.__struct_fields__}
        case = type(value).__struct_config__.tag
        if isinstance(case, str):
            return {case: fields} if fields else case
        return fields
    if isinstance(value, tuple | list):
        return [shown_of(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): shown_of(one) for key, one in value.items()}
    kind = type(value)
    if not hasattr(kind, "to_flow"):
        return plain(value)
    if any("__repr__" in vars(one) for one in kind.__mro__[:-1]):
        with contextlib.suppress(Exception):  # It is the author's.
            return one_line(repr(value))[:LONGEST]
    return f"{kind.__name__}, {len(kind.to_flow(value))} bytes"


LONGEST = 200
"""So many characters of how a value describes itself are shown."""


def _error(error: FlowError) -> bodies.ErrorInfo:
    peer = error.peer.name if error.peer is not None else None
    return bodies.ErrorInfo(error.wire, str(error), plain(error.fields()), error.error_id, peer)


# --- the owner's session ----------------------------------------------------------------------


async def read_messages(call: Call) -> Response:
    found = Found(call, call.flow_id)
    _must_have_owner(call, found)
    handle = handle_of(call, found.id)
    start = call.query.get("after", -1) + 1
    mail = _mail(call, found.id, start)
    wait_s = call.query.get("wait_s", 0)
    if not mail.messages and not mail.over and wait_s:
        # Begun at once: what is said before the loop goes on must not be missed.
        waiting = handle.posted()
        try:
            await call.app.waited(waiting, wait_s)
        finally:
            if not waiting.cancel():
                waiting.exception()  # A node that has stopped says so below.
        mail = _mail(call, found.id, start)
    return said(mail)


def _mail(call: Call, flow_id: int, start: int) -> bodies.Mail:
    found: list[bodies.OwnersMail] = []
    at = start
    while len(found) < MOST_MAIL:
        number, letter = call.node.mail(flow_id, at)
        if letter is None:
            return bodies.Mail(found, at - 1, False)
        if isinstance(letter, Message):
            found.append(bodies.OwnersMail(number, letter.wire, plain(letter)))
        elif isinstance(letter, Bounced):
            own = letter.message
            name, fields = (own.wire, plain(own)) if own is not None else (None, None)
            found.append(bodies.OwnersMail(number, name, fields, reason=letter.reason))
        else:
            told = _error(letter) if isinstance(letter, FlowError) else None
            told = told or bodies.ErrorInfo("SessionEnded", str(letter), None, "", None)
            found.append(bodies.OwnersMail(number, error=told))
            return bodies.Mail(found, number, True)
        at = number + 1
    return bodies.Mail(found, at - 1, False)


def _must_have_owner(call: Call, found: Found) -> None:
    kind = call.node.registry.classes.get(found.versioned)
    if kind is None or not kind.owner:
        raise Refused(409, f"{found.name} has no session with its owner")


async def send_message(call: Call) -> Response:
    found = Found(call, call.flow_id)
    found.need(call, "send")
    wanted = await call.body(bodies.SendMessage)
    _must_have_owner(call, found)
    kinds = call.node.registry.classes[found.versioned].commands
    kind = next((one for one in kinds if wanted.message in (one.wire, one.__name__)), None)
    if kind is None:
        known = ", ".join(one.__name__ for one in kinds) or "nothing"
        raise Refused(400, f"{found.name} takes no such message from its owner, but {known}")
    try:
        message = read(kind, wanted.fields, "fields")
    except NotFitting as wrong:
        raise Refused(400, str(wrong), "GET /v1/types has the schema of its fields") from None
    repeated = False
    if wanted.number is None:
        # A name of chance: it is sent once, and the audit trail says by whom.
        name = f"{call.caller.prefix}-{secrets.token_hex(12)}"
    else:
        name = f"{call.caller.prefix}{wanted.number}"
    try:
        repeated = not await call.node.command_once(
            found.id, message, name=name, by=call.caller.name
        )
    except KeyError:
        raise not_found("flow") from None
    except TypeError as wrong:
        raise Refused(400, str(wrong)) from None
    return said(bodies.Sent(found.id, kind.wire, repeated), 200 if repeated else 201)


# --- operators --------------------------------------------------------------------------------


async def kill_flow(call: Call) -> Response:
    return await _operate(call, "kill", bodies.Because, call.node.kill)


async def pause_flow(call: Call) -> Response:
    return await _operate(call, "pause", bodies.Because, call.node.pause)


async def resume_flow(call: Call) -> Response:
    return await _operate(call, "pause", bodies.Why, call.node.resume, "is not paused")


async def retry_flow(call: Call) -> Response:
    return await _operate(call, "retry", bodies.Why, call.node.retry, _WELL)


_WELL = "is not in the hospital"


async def _operate(
    call: Call,
    word: str,
    kind: type[bodies.Because] | type[bodies.Why],
    do: Callable[..., Awaitable[None]],
    refusal: str = "is forgotten",
) -> Response:
    found = Found(call, call.flow_id)
    found.need(call, word)
    why = await call.body(kind)
    try:
        await do(found.id, by=call.caller.name, reason=why.reason)
    except KeyError:
        raise Refused(409, f"flow {found.id} {refusal}") from None
    return said(bodies.Done())


async def repair_flow(call: Call) -> Response:
    found = Found(call, call.flow_id)
    found.need(call, "repair")
    wanted = await call.body(bodies.Repair)
    try:
        kinds = call.node.variables(found.id)
        changes = {}
        for name, value in wanted.changes.items():
            if name not in kinds:
                known = ", ".join(kinds) or "none"
                raise Refused(400, "it has no such variable to be changed", f"it has: {known}")
            changes[name] = read(kinds[name], value, name)
        await call.node.retry_with(found.id, changes, by=call.caller.name, reason=wanted.reason)
    except KeyError:
        raise Refused(409, f"flow {found.id} {_WELL}") from None
    except (NotFitting, TypeError) as wrong:
        raise Refused(400, str(wrong)) from None
    return said(bodies.Done())


async def throw_error(call: Call) -> Response:
    found = Found(call, call.flow_id)
    found.need(call, "throw")
    wanted = await call.body(bodies.Throw)
    try:
        kinds = call.node.throwable(found.id)
        short = {name.rpartition(".")[2]: kind for name, kind in kinds.items()} | kinds
        kind = short.get(wanted.error)
        if kind is None:
            known = ", ".join(sorted(kinds)) or "none"
            raise Refused(400, "it knows no such error", f"it knows: {known}")
        fields = read_fields(kind.Fields, wanted.fields, "fields")
        error = kind(**fields)
        await call.node.throw(found.id, error, by=call.caller.name, reason=wanted.reason)
    except KeyError:
        raise Refused(409, f"flow {found.id} {_WELL}") from None
    except (NotFitting, TypeError) as wrong:
        raise Refused(400, str(wrong)) from None
    return said(bodies.Done())


_LIMIT = Parameter("limit", int, "how many at most, 1 to 500", 1, MOST_FLOWS)
_AFTER = Parameter("after", int, "the id after which to go on")
_WAIT = Parameter("wait_s", int, f"how many seconds to wait, at most {MOST_WAIT_S}", 0, MOST_WAIT_S)
_ONE = (404,)
_CHANGE = (400, 404, 409, 413, 415)

OPERATIONS = (
    Operation(
        "POST",
        "/v1/flows",
        start_flow,
        "Start a flow, once for each client name; 200 where it was started before.",
        {201: bodies.Started, 200: bodies.Started},
        "start FLOW",
        bodies.StartFlow,
        refusals=(400, 409, 413, 415),
    ),
    Operation(
        "GET",
        "/v1/flows",
        list_flows,
        "List flows by id: those that live, or those that have ended and are kept.",
        {200: bodies.FlowList},
        "view FLOW, or view own",
        query=(
            Parameter("state", str, f"one of {', '.join(STATES)}", choices=STATES),
            Parameter("flow", str, "a flow's name, with its version or without"),
            Parameter("party", str, "whom it waits for"),
            Parameter("key", str, "the business key of a living flow; needs no page"),
            Parameter("waiting_longer", int, "at rest, or ended, for longer than so many seconds"),
            _LIMIT,
            _AFTER,
        ),
        refusals=(400,),
    ),
    Operation(
        "GET",
        "/v1/flows/{id}",
        show_flow,
        "Show where a flow stands: its progress, what it waits for, its source line, its sessions.",
        {200: bodies.FlowDetail},
        "view FLOW, or view own",
        refusals=_ONE,
    ),
    Operation(
        "GET",
        "/v1/flows/{id}/variables",
        flow_variables,
        "All that a living flow is at rest: frames with their variables, sessions, calls.",
        {200: bodies.Variables},
        "dump FLOW",
        refusals=(404, 409),
    ),
    Operation(
        "GET",
        "/v1/flows/{id}/result",
        flow_result,
        "A flow's result or error; 202 while it runs, after waiting as long as is wanted.",
        {200: bodies.Result, 202: bodies.Result},
        "view FLOW, or view own",
        query=(_WAIT,),
        refusals=(400, 404),
    ),
    Operation(
        "GET",
        "/v1/flows/{id}/messages",
        read_messages,
        "What a flow said to its owner, in order.",
        {200: bodies.Mail},
        "view FLOW, or view own",
        query=(Parameter("after", int, "the last message that you have; -1: none", -1), _WAIT),
        refusals=(400, 404, 409),
    ),
    Operation(
        "POST",
        "/v1/flows/{id}/messages",
        send_message,
        "Send a message to a flow's owner session; with a number, once.",
        {201: bodies.Sent, 200: bodies.Sent},
        "send FLOW",
        bodies.SendMessage,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        "/v1/flows/{id}/kill",
        kill_flow,
        "End a flow, wherever it is. Its peers and who awaits it are told; it runs nothing more.",
        {200: bodies.Done},
        "kill FLOW",
        bodies.Because,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        "/v1/flows/{id}/pause",
        pause_flow,
        "Let a flow rest until it is resumed.",
        {200: bodies.Done},
        "pause FLOW",
        bodies.Because,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        "/v1/flows/{id}/resume",
        resume_flow,
        "Let a paused flow go on.",
        {200: bodies.Done},
        "pause FLOW",
        bodies.Why,
        body_optional=True,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        "/v1/flows/{id}/retry",
        retry_flow,
        "Let a flow of the hospital try again.",
        {200: bodies.Done},
        "retry FLOW",
        bodies.Why,
        body_optional=True,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        "/v1/flows/{id}/repair",
        repair_flow,
        "Change variables of a flow of the hospital, and let it try again.",
        {200: bodies.Done},
        "repair FLOW",
        bodies.Repair,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        "/v1/flows/{id}/throw",
        throw_error,
        "Throw a declared error where a flow of the hospital rests.",
        {200: bodies.Done},
        "throw FLOW",
        bodies.Throw,
        refusals=_CHANGE,
    ),
)
