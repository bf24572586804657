"""Questions to people over HTTP: whose they are, claiming and answering them, ending their time.

A task belongs to a role. Who may not answer tasks of that role is told that there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flowrt.api import bodies
from flowrt.api.answers import said
from flowrt.api.reading import NotFitting, Schemas, read
from flowrt.api.routing import Call, Operation, Parameter
from flowrt.api.trouble import Refused, not_found
from flowrt.core.values import plain
from flowrt.views import TaskView

if TYPE_CHECKING:
    from starlette.responses import Response

MOST_TASKS = 500

SCANNED = 2000
"""So many questions are looked at for one page."""


def _found(call: Call) -> TaskView:
    flow_id, number = call.task
    try:
        task: TaskView = call.node.task(flow_id, number)
    except KeyError:
        raise not_found("task") from None
    if not _sees(call, task):
        raise not_found("task")
    return task


def _sees(call: Call, task: TaskView) -> bool:
    return call.caller.may("answer", task.role) or call.caller.may("expire", task.role)


def _entitled(call: Call, word: str, role: str) -> Callable[[], str | None]:
    """Looks again when the change is committed: accounts and roles may change meanwhile."""
    caller = call.caller

    def look() -> str | None:
        return None if caller.still(word, role) else f"{caller.name} may not {word} {role}"

    return look


async def list_tasks(call: Call) -> Response:
    query = call.query
    role, limit = query.get("role"), query.get("limit", 100)
    flow, number = query.get("after", "0/0").split("/")
    after = (int(flow), int(number)) if "after" in query else (-1, 0)
    if "flow" in query:
        after = max(after, (query["flow"] - 1, 2**63 - 1))
    found: list[bodies.TaskInfo] = []
    for looked, task in enumerate(call.node.each_task(role, after), 1):
        if "flow" in query and task.flow_id != query["flow"]:
            break
        if _sees(call, task) and (not query.get("mine") or task.claimed == call.caller.name):
            found.append(_info(task))
        if len(found) == limit or looked == SCANNED:
            return said(bodies.Tasks(found, f"{task.flow_id}/{task.number}"))
    return said(bodies.Tasks(found))


def _info(task: TaskView) -> bodies.TaskInfo:
    schemas = Schemas()
    form = schemas.of(task.answer)
    if schemas.parts:
        form = form | {"$defs": schemas.parts}
    return bodies.TaskInfo(
        task.flow_id,
        task.number,
        task.role,
        task.flow,
        plain(task.question),
        form,
        task.since,
        task.due,
        task.claimed,
        task.claimed_since,
    )


async def show_task(call: Call) -> Response:
    return said(_info(_found(call)))


async def claim_task(call: Call) -> Response:
    task = _found(call)
    call.need("answer", task.role)
    await call.body(bodies.Why)
    entitled = _entitled(call, "answer", task.role)
    await call.node.claim(task.flow_id, task.number, by=call.caller.name, entitled=entitled)
    return said(bodies.Done())


async def release_task(call: Call) -> Response:
    task = _found(call)
    await call.body(bodies.Why)
    force = call.caller.may("expire", task.role)
    await call.node.release(task.flow_id, task.number, by=call.caller.name, force=force)
    return said(bodies.Done())


async def delegate_task(call: Call) -> Response:
    task = _found(call)
    wanted = await call.body(bodies.Delegate)
    force = call.caller.may("expire", task.role)
    to = call.app.access.caller(wanted.to)
    if to is None or not to.may("answer", task.role):
        raise Refused(409, f"there is nobody of that name who may answer {task.role}")

    def entitled() -> str | None:
        return None if to.still("answer", task.role) else f"{to.name} may not answer {task.role}"

    await call.node.delegate(
        task.flow_id,
        task.number,
        to.name,
        by=call.caller.name,
        force=force,
        entitled=entitled,
    )
    return said(bodies.Done())


async def answer_task(call: Call) -> Response:
    task = _found(call)
    call.need("answer", task.role)
    wanted = await call.body(bodies.GiveAnswer)
    try:
        answer = read(task.answer, wanted.answer, "answer")
        await call.node.answer(
            task.flow_id,
            task.number,
            answer,
            call.caller.name,
            entitled=_entitled(call, "answer", task.role),
        )
    except (NotFitting, TypeError) as wrong:
        remedy = f"GET /v1/tasks/{task.flow_id}/{task.number} has its form"
        raise Refused(400, str(wrong), remedy) from None
    return said(bodies.Done())


async def expire_task(call: Call) -> Response:
    task = _found(call)
    call.need("expire", task.role)
    why = await call.body(bodies.Because)
    await call.node.expire(
        task.flow_id,
        task.number,
        by=call.caller.name,
        reason=why.reason,
        entitled=_entitled(call, "expire", task.role),
    )
    return said(bodies.Done())


_TASK = "/v1/tasks/{flow}/{number}"
_CHANGE = (400, 404, 409, 413, 415)

OPERATIONS = (
    Operation(
        "GET",
        "/v1/tasks",
        list_tasks,
        "List the questions that you may answer, or end.",
        {200: bodies.Tasks},
        "answer ROLE, or expire ROLE",
        query=(
            Parameter("role", str, "those for this role alone"),
            Parameter("mine", bool, "true: those alone that you have claimed"),
            Parameter("flow", int, "those of this flow alone"),
            Parameter("limit", int, "how many at most, 1 to 500", 1, MOST_TASKS),
            Parameter(
                "after", str, "behind this one: what `next` said", pattern="[0-9]{1,18}/[0-9]{1,18}"
            ),
        ),
        refusals=(400,),
    ),
    Operation(
        "GET",
        _TASK,
        show_task,
        "Show one question.",
        {200: bodies.TaskInfo},
        "answer ROLE, or expire ROLE",
        refusals=(404,),
    ),
    Operation(
        "POST",
        f"{_TASK}/claim",
        claim_task,
        "Take a question for yourself: nobody else can answer it until you release it.",
        {200: bodies.Done},
        "answer ROLE",
        bodies.Why,
        body_optional=True,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        f"{_TASK}/release",
        release_task,
        "Let a question go; one that another has claimed, with `expire ROLE` alone.",
        {200: bodies.Done},
        "answer ROLE, or expire ROLE",
        bodies.Why,
        body_optional=True,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        f"{_TASK}/delegate",
        delegate_task,
        "Hand a question to another who may answer it.",
        {200: bodies.Done},
        "answer ROLE, or expire ROLE",
        bodies.Delegate,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        f"{_TASK}/answer",
        answer_task,
        "Answer a question. One answer counts.",
        {200: bodies.Done},
        "answer ROLE",
        bodies.GiveAnswer,
        refusals=_CHANGE,
    ),
    Operation(
        "POST",
        f"{_TASK}/expire",
        expire_task,
        "End a question's time: its flow goes on as if nobody had answered in time.",
        {200: bodies.Done},
        "expire ROLE",
        bodies.Because,
        refusals=_CHANGE,
    ),
)
