"""Who may do what: every operation, every role, with an object of one's own and of another's.

What somebody may not see is not there (404); what he sees and may not do is forbidden (403): R11.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from flowrt.api.app import OPERATIONS
from tests.api.scene import Scene, play, program
from tests.api.test_flows import ORDER

WHO: tuple[str | None, ...] = ("ann", "olga", "vic", "tom", "tim", "bob", "nil", None)
"""Admin, operator, viewer, the trader whose object it is, another trader, who answers `boss`, one
with no permission at all, and nobody known."""

BECAUSE = {"reason": "so it is"}
FOR_ALL = (200,) * 7
COUNT = {"message": "More", "fields": {"amount": 1}}
REPAIR = {"changes": {"total": 1}, **BECAUSE}
ANSWER = {"answer": {"yes": True}}

# By operation: its path, its body, the status for each of WHO.
TABLE: dict[str, tuple[str, Any, tuple[int, ...]]] = {
    # An own or a foreign flow.
    "show_flow": ("/v1/flows/{flow}", None, (200, 200, 200, 200, 404, 404, 404, 401)),
    "flow_variables": (
        "/v1/flows/{flow}/variables",
        None,
        (200, 200, 403, 403, 404, 404, 404, 401),
    ),
    "flow_result": ("/v1/flows/{flow}/result", None, (202, 202, 202, 202, 404, 404, 404, 401)),
    "flow_progress": ("/v1/flows/{ended}/progress", None, (200, 200, 200, 200, 404, 404, 404, 401)),
    "read_messages": ("/v1/flows/{flow}/messages", None, (200, 200, 200, 200, 404, 404, 404, 401)),
    "send_message": ("/v1/flows/{flow}/messages", COUNT, (201, 403, 403, 201, 404, 404, 404, 401)),
    "kill_flow": ("/v1/flows/{flow}/kill", BECAUSE, (200, 200, 403, 200, 404, 404, 404, 401)),
    "pause_flow": ("/v1/flows/{flow}/pause", BECAUSE, (200, 200, 403, 403, 404, 404, 404, 401)),
    # It is not paused, nor in the hospital: who may is told that.
    "resume_flow": ("/v1/flows/{flow}/resume", BECAUSE, (409, 409, 403, 403, 404, 404, 404, 401)),
    "retry_flow": ("/v1/flows/{flow}/retry", BECAUSE, (409, 409, 403, 403, 404, 404, 404, 401)),
    "repair_flow": ("/v1/flows/{flow}/repair", REPAIR, (409, 409, 403, 403, 404, 404, 404, 401)),
    "throw_error": (
        "/v1/flows/{flow}/throw",
        {"error": "TooMuch", "fields": {"amount": 1}, **BECAUSE},
        (409, 409, 403, 403, 404, 404, 404, 401),
    ),
    # Starting.
    "start_flow": ("/v1/flows", {"flow": "{Counts}"}, (201, 403, 403, 201, 201, 403, 403, 401)),
    "start_flow 2": ("/v1/flows", {"flow": "{Waits}"}, (201, 403, 403, 403, 403, 403, 403, 401)),
    "start_flow 3": ("/v1/flows", {"flow": "{Inner}"}, (403,) * 7 + (401,)),
    "list_flows": ("/v1/flows", None, (*FOR_ALL, 401)),
    "list_types": ("/v1/types", None, (*FOR_ALL, 401)),
    # A task of tom's flow, for `boss`: it is not tom's.
    "list_tasks": ("/v1/tasks", None, (*FOR_ALL, 401)),
    "show_task": ("/v1/tasks/{asks}/0", None, (200, 200, 404, 404, 404, 200, 404, 401)),
    "claim_task": ("/v1/tasks/{asks}/0/claim", None, (200, 403, 404, 404, 404, 200, 404, 401)),
    "release_task": ("/v1/tasks/{asks}/0/release", None, (200, 200, 404, 404, 404, 200, 404, 401)),
    "delegate_task": (
        "/v1/tasks/{asks}/0/delegate",
        {"to": "bea"},
        (200, 200, 404, 404, 404, 200, 404, 401),
    ),
    "delegate_task 2": (
        "/v1/tasks/{asks}/0/delegate",
        {"to": "tim"},
        (409, 409, 404, 404, 404, 409, 404, 401),
    ),
    "answer_task": ("/v1/tasks/{asks}/0/answer", ANSWER, (200, 403, 404, 404, 404, 200, 404, 401)),
    "expire_task": ("/v1/tasks/{asks}/0/expire", BECAUSE, (200, 200, 404, 404, 404, 403, 404, 401)),
    # The node.
    "list_schedules": ("/v1/schedules", None, (*FOR_ALL, 401)),
    "pause_schedule": (
        "/v1/schedules/{hourly}/pause",
        None,
        (200, 200, 403, 404, 404, 404, 404, 401),
    ),
    "resume_schedule": (
        "/v1/schedules/{hourly}/resume",
        None,
        (200, 200, 403, 404, 404, 404, 404, 401),
    ),
    "run_schedule": (
        "/v1/schedules/{hourly}/run",
        None,
        (201, 201, 403, 404, 404, 404, 404, 401),
    ),
    "list_hospital": ("/v1/hospital", None, (*FOR_ALL, 401)),
    "show_node": ("/v1/node", None, (*FOR_ALL, 401)),
    "list_versions": ("/v1/versions", None, (200, 200, 200, 403, 403, 403, 403, 401)),
    "list_peers": ("/v1/peers", None, (200, 200, 200, 403, 403, 403, 403, 401)),
    "read_metrics": ("/metrics", None, (200, 200, 200, 403, 403, 403, 403, 401)),
    "read_audit": ("/v1/audit", None, (200, 200, 403, 403, 403, 403, 403, 401)),
    "backup": ("/v1/backup", {"path": "x.db"}, (409, 409, 403, 403, 403, 403, 403, 401)),
    "drain": ("/v1/drain", None, (200, 200, 403, 403, 403, 403, 403, 401)),
    "undrain": ("/v1/undrain", None, (200, 200, 403, 403, 403, 403, 403, 401)),
    "read_document": ("/openapi.json", None, (*FOR_ALL, 401)),
    # Without anybody.
    "health": ("/v1/health", None, (*FOR_ALL, 200)),
    "ready": ("/v1/ready", None, (*FOR_ALL, 200)),
}

# With a flow that one has started oneself, whatever roles one has since. A task belongs to its
# role: who has started the flow that asks may do no more with it than others.
OWN: dict[str, tuple[int, ...]] = {
    "show_flow": (200,) * 7,
    "flow_variables": (200, 200, 403, 403, 403, 403, 403),
    "flow_result": (202,) * 7,
    "flow_progress": (200,) * 7,
    "read_messages": (200,) * 7,
    "send_message": (201, 403, 403, 201, 201, 403, 403),
    "kill_flow": (200, 200, 403, 200, 200, 403, 403),
    "pause_flow": (200, 200, 403, 403, 403, 403, 403),
    **dict.fromkeys(
        ("resume_flow", "retry_flow", "repair_flow", "throw_error"),
        (409, 409, 403, 403, 403, 403, 403),
    ),
    **{name: row[2][:-1] for name, row in TABLE.items() if "{asks}" in row[0]},
}

METHODS = {one.name: one.method for one in OPERATIONS}
PATHS = {one.name: one.path for one in OPERATIONS}


def test_every_operation_is_in_the_table() -> None:
    """Those that the interface has: one that is added must be judged for every role."""
    assert {name.partition(" ")[0] for name in TABLE} == set(METHODS)
    for name, (path, _, statuses) in TABLE.items():
        route = PATHS[name.partition(" ")[0]]
        assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path), name
        assert len(statuses) == len(WHO), name
        public = not any(one.needs for one in OPERATIONS if one.path == route)
        assert (statuses[-1] == 401) != public, "who is not known is told nothing else"


def test_there_are_no_routes_beside_the_operations() -> None:
    async def story(on: Scene) -> None:
        routes = {(path.path, method) for path, methods in on.app._routes for method in methods}
        assert routes == {(one.path, one.method) for one in OPERATIONS}

    play(story)


def test_every_operation_on_an_object_is_asked_of_an_own_and_of_a_foreign_one() -> None:
    of_objects = {name for name, path in PATHS.items() if re.search(r"\{(id|flow)\}", path)}
    assert {name.partition(" ")[0] for name in OWN} == of_objects


def test_every_role_with_every_operation() -> None:
    async def story(on: Scene) -> None:
        numbers = itertools.count(100)
        ended = await on.start("tom", "Orders", **ORDER)
        schedule = f"{on.name}.Hourly"
        wrong = []
        for name, (path, body, statuses) in TABLE.items():
            assert len(statuses) == len(WHO), name
            for who, expected in zip(WHO, statuses, strict=True):
                where = {"ended": ended, "hourly": schedule}
                if "{flow}" in path:
                    where["flow"] = await on.start("tom", "Counts", most=next(numbers))
                if "{asks}" in path:
                    where["asks"] = await on.start("tom", "Asks")
                said = body
                if body is not None and "flow" in body:
                    said = {"flow": f"{on.name}.{body['flow'][1:-1]}"}
                    if body["flow"] == "{Counts}":
                        said["arguments"] = {"most": next(numbers)}
                method = METHODS[name.partition(" ")[0]]
                answer = await on.ask(who, method, path.format(**where), said)
                if answer.status_code != expected:
                    wrong.append((name, who, expected, answer.status_code, answer.text[:200]))
                if answer.status_code >= 400:
                    assert set(answer.json()["error"]) == {"code", "message", "remedy"}
        assert wrong == []

    play(story)


def test_every_role_with_what_it_has_started_itself() -> None:
    async def story(on: Scene) -> None:
        numbers = itertools.count(1000)

        async def start(who: str, flow: str, **arguments: Any) -> int:
            client = f"{who}/{next(numbers)}"
            kind = getattr(program(), f"{flow}_v1")
            handle = await on.node.start_once(client, kind, **arguments)
            await on.rest()
            return handle.id

        wrong = []
        for name, statuses in OWN.items():
            path, body, _ = TABLE[name]
            for who, expected in zip(WHO[:-1], statuses, strict=True):
                flow, arguments = "Counts", {"most": next(numbers)}
                if "{asks}" in path:
                    flow, arguments = "Asks", {}
                elif "{ended}" in path:
                    flow, arguments = "Ticks", {}
                own = await start(str(who), flow, **arguments)
                method = METHODS[name.partition(" ")[0]]
                answer = await on.ask(who, method, path.format(flow=own, asks=own, ended=own), body)
                if answer.status_code != expected:
                    wrong.append((name, who, expected, answer.status_code, answer.text[:200]))
        assert wrong == []

    play(story)


def test_r11_what_is_not_ones_own_and_what_is_not_there_look_alike() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Counts")
        asks = await on.start("tom", "Asks")
        for foreign, absent in (
            (f"/v1/flows/{flow}", "/v1/flows/999"),
            (f"/v1/flows/{flow}/result", "/v1/flows/999/result"),
            (f"/v1/flows/{flow}/progress", "/v1/flows/999/progress"),
            (f"/v1/tasks/{asks}/0", "/v1/tasks/999/0"),
        ):
            one, other = await on.ask("tim", "GET", foreign), await on.ask("tim", "GET", absent)
            assert (one.status_code, one.content) == (other.status_code, other.content)
            alike = {"date", "content-length"}
            assert {n: v for n, v in one.headers.items() if n not in alike} == {
                n: v for n, v in other.headers.items() if n not in alike
            }
        for foreign, absent in ((flow, 999), (flow, 998)):
            for what in ("kill", "pause", "retry"):
                one = await on.ask("tim", "POST", f"/v1/flows/{foreign}/{what}", BECAUSE)
                other = await on.ask("tim", "POST", f"/v1/flows/{absent}/{what}", BECAUSE)
                assert (one.status_code, one.content) == (other.status_code, other.content)

    play(story)


def test_what_is_listed_is_what_may_be_seen() -> None:
    async def story(on: Scene) -> None:
        await on.start("tom", "Asks")
        await on.start("tim", "Counts")
        seen: dict[str, tuple[list[int], list[int]]] = {}
        for who in WHO[:-1]:
            flows = (await on.ask(who, "GET", "/v1/flows")).json()["flows"]
            tasks = (await on.ask(who, "GET", "/v1/tasks")).json()["tasks"]
            seen[str(who)] = ([f["id"] for f in flows], [t["flow_id"] for t in tasks])
        assert seen == {
            "ann": ([1, 2], [1]),
            "olga": ([1, 2], [1]),
            "vic": ([1, 2], []),
            "tom": ([1], []),
            "tim": ([2], []),
            "bob": ([], [1]),
            "nil": ([], []),
        }

    play(story)
