"""Flows over HTTP: started once, watched, talked to, repaired, ended, and who sees which."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from flowrt.api.flows import shown_of
from tests.api.scene import Scene, play

LINES = [{"sku": "tea", "count": 2, "price": "1.50"}, {"sku": "milk", "count": 1, "price": None}]
ORDER: dict[str, Any] = {
    "lines": LINES,
    "by": {"tea": "1.50"},
    "day": "2026-01-31T12:00:00Z",
    "nap": "P1DT2H",
    "code": "cafe",
    "whom": "bob",
    "mood": {"Sad": {"why": "rain"}},
}


def test_a_flow_is_started_with_typed_arguments_and_gives_its_result() -> None:
    async def story(on: Scene) -> None:
        order = await on.start("tom", "Orders", **ORDER)
        answer = await on.ask("tom", "GET", f"/v1/flows/{order}/result?wait_s=5")
        assert answer.status_code == 200
        assert answer.json() == {
            "id": order,
            "flow": f"{on.name}.Orders_v1",
            "outcome": "done",
            "result": [LINES[0] | {"price": "1.5"}, LINES[1]],
            "error": None,
            "shown": None,
        }

    play(story)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": None}, "arguments.lines is missing: a list"),
        ({"lines": {}}, "arguments.lines is not a list"),
        ({"lines": [LINES[0] | {"count": "2"}]}, "arguments.lines[0].count is not a whole number"),
        ({"lines": [LINES[0] | {"count": True}]}, "arguments.lines[0].count is not a whole number"),
        (
            {"lines": [LINES[0] | {"count": 2**63}]},
            "arguments.lines[0].count is not a whole number",
        ),
        ({"lines": [LINES[0] | {"price": 1.5}]}, 'price is not a decimal as text, such as "12.50"'),
        ({"lines": [LINES[0] | {"price": "NaN"}]}, "price is not a decimal as text"),
        ({"lines": [LINES[0] | {"price": "1" * 50}]}, "price is not a decimal as text"),
        ({"lines": [LINES[0] | {"colour": "red"}]}, "has sku, count, price; `colour` is none of"),
        ({"by": {"tea": "much"}}, "arguments.by[tea] is not a decimal as text"),
        ({"day": "yesterday"}, 'arguments.day is not a time as text, such as "2026-01-31T12:00'),
        ({"day": "2026-02-31T12:00:00Z"}, "arguments.day is not a time"),
        ({"day": "2026-01-31T12:00:00"}, "arguments.day is not a time"),
        ({"nap": "1 day"}, 'arguments.nap is not a duration as text, such as "P2DT3H"'),
        ({"code": "CAFE"}, "arguments.code is not bytes as lower-case hex digits"),
        ({"whom": ""}, "arguments.whom is not a party's name"),
        ({"mood": "Angry"}, "arguments.mood is none of Glad, Sad, with its fields"),
        ({"mood": {"Glad": {}}}, "arguments.mood is none of Glad, Sad"),
        ({"mood": "Sad"}, "arguments.mood is none of Glad, Sad"),
        ({"mood": {"Sad": {}}}, "arguments.mood.Sad.why is missing: a text"),
        ({"nothing": 1}, "arguments has lines, by, day, nap, code, whom, mood; `nothing` is none"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_place(change: Any, message: str) -> None:
    async def story(on: Scene) -> None:
        body = {"flow": f"{on.name}.Orders", "arguments": ORDER | change}
        answer = await on.ask("tom", "POST", "/v1/flows", body)
        assert answer.status_code == 400
        assert message in answer.json()["error"]["message"]
        assert answer.json()["error"]["remedy"] == "GET /v1/types has the schema of its arguments"
        assert on.node.begun == 0

    play(story)


def test_one_client_name_is_one_flow() -> None:
    async def story(on: Scene) -> None:
        body = {"flow": f"{on.name}.Counts", "arguments": {"most": 7}, "client": "invoice 4711"}
        many = [on.ask("tom", "POST", "/v1/flows", body) for _ in range(5)]
        answers = await asyncio.gather(*many)
        assert {answer.json()["id"] for answer in answers} == {1}
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
        # R28: other arguments under the same name.
        other = await on.ask("tom", "POST", "/v1/flows", body | {"arguments": {"most": 8}})
        assert other.status_code == 409
        # Another user's names are his own.
        theirs = await on.ask("tim", "POST", "/v1/flows", body | {"arguments": {"most": 8}})
        assert (theirs.status_code, theirs.json()["id"]) == (201, 2)
        # A business key is everybody's.
        taken = await on.ask("tim", "POST", "/v1/flows", body | {"client": "mine"})
        assert taken.status_code == 409
        assert "counts 7 lives already: it is flow 1" in taken.json()["error"]["message"]

    play(story)


def test_an_owner_talks_to_its_flow() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Counts", most=5)
        at = f"/v1/flows/{flow}/messages"
        waiting = asyncio.ensure_future(on.ask("tom", "GET", f"{at}?wait_s=10"))
        more = {"message": "More", "fields": {"amount": 2}, "number": 1}
        assert (await on.ask("tom", "POST", at, more)).status_code == 201
        said = (await waiting).json()
        total = {"number": 0, "message": f"{on.name}.Total", "fields": {"amount": 2}}
        assert said["messages"] == [total | {"reason": None, "error": None}]
        assert (said["next"], said["over"]) == (0, False)
        again = await on.ask("tom", "POST", at, more)
        assert (again.status_code, again.json()["repeated"]) == (200, True)
        other = await on.ask("tom", "POST", at, more | {"fields": {"amount": 3}})
        assert other.status_code == 409
        much = {"message": f"{on.name}.More", "fields": {"amount": 5000}}
        assert (await on.ask("tom", "POST", at, much)).status_code == 201
        result = (await on.ask("tom", "GET", f"/v1/flows/{flow}/result?wait_s=5")).json()
        assert result["outcome"] == "failed"
        assert result["error"]["name"] == f"{on.name}.TooMuch"
        assert result["error"]["fields"] == {"amount": 5000}
        assert result["error"]["text"] == "5000 is too much"
        mail = (await on.ask("tom", "GET", f"{at}?after=0")).json()
        assert mail["over"]
        assert mail["messages"][-1]["error"]["name"] == f"{on.name}.TooMuch"
        late = await on.ask("tom", "POST", at, much)
        assert (late.status_code, "has ended" in late.text) == (409, True)

    play(story)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"message": "Less"}, 400),
        ({"message": "Total", "fields": {"amount": 1}}, 400),
        ({"message": "More", "fields": {}}, 400),
        ({"message": "More", "fields": {"amount": "1"}}, 400),
        ({"message": "More", "fields": {"amount": 1}, "number": -1}, 400),
        ({"message": "More", "fields": {"amount": 1}, "number": 2**64}, 400),
        ({"fields": {}}, 400),
        (None, 400),
    ],
)
def test_messages_that_a_flow_never_takes_are_refused(body: Any, status: int) -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Counts")
        answer = await on.ask("tom", "POST", f"/v1/flows/{flow}/messages", body)
        assert answer.status_code == status

    play(story)


def events_of(text: str) -> list[tuple[str, str, Any]]:
    """(event, id, data) of each of a stream's."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


class Made(msgspec.Struct):
    key: Any
    parts: list[Any]
    by: dict[str, Any]


class Silent:
    def to_flow(self) -> bytes:
        return b"12345"


class Loud(Silent):
    def __repr__(self) -> str:
        return f"loud\n{'x' * 500}"


class Broken(Silent):
    def __repr__(self) -> str:
        raise ValueError("nothing to say")


def test_what_people_see_of_values_of_python_classes() -> None:
    found = shown_of(Made(Silent(), [Loud(), 5], {"a": Broken(), "b": b"\x01"}))
    assert found["key"] == "Silent, 5 bytes"
    assert found["parts"][1:] == [5]
    assert found["parts"][0].startswith("loud\\x0axxx")
    assert len(found["parts"][0]) == 200
    assert found["by"] == {"a": "Broken, 5 bytes", "b": "01"}


@pytest.mark.parametrize("flow", ["Counts", "Fails"])
def test_progress_is_over_for_who_has_all_of_it(flow: str) -> None:
    """A connection may be lost between the last event and the word that it is over."""

    async def story(on: Scene) -> None:
        made = await on.start("ann", flow, **({"most": 0} if flow == "Counts" else {"text": "x"}))
        at = f"/v1/flows/{made}/progress"
        whole = (await on.ask("ann", "GET", at)).text
        last = whole.rpartition("\nid: ")[2].partition("\n")[0]
        for number in (last, "999"):
            again = await on.ask("ann", "GET", at, headers={"Last-Event-ID": number})
            assert again.text == "retry: 1000\n\nevent: over\ndata: {}\n\n"
        tree = (await on.ask("ann", "GET", f"{at}?tree=1")).text
        assert tree.endswith("event: over\ndata: {}\n\n")

    play(story)


def test_progress_is_told_and_goes_on_where_a_reader_was() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Counts", most=3)
        at = f"/v1/flows/{flow}/progress"
        watching = asyncio.ensure_future(on.ask("tom", "GET", at))
        trees = asyncio.ensure_future(on.ask("tom", "GET", f"{at}?tree=1"))
        for _ in range(3):
            more = {"message": "More", "fields": {"amount": 1}}
            await on.ask("tom", "POST", f"/v1/flows/{flow}/messages", more)
        whole = await watching
        assert whole.headers["content-type"].startswith("text/event-stream")
        events = events_of(whole.text)
        labels = [data["label"] for _, _, data in events[:-1]]
        assert labels == ["At 0", "At 1", "At 2", ""]
        assert [number for _, number, _ in events] == ["0", "1", "2", "3", ""]
        assert events[-1] == ("over", "", {})
        assert on.app.figures.watchers == 0
        for headers, path in (({"Last-Event-ID": "1"}, at), ({}, f"{at}?after=1")):
            later = await on.ask("tom", "GET", path, headers=headers)
            assert events_of(later.text) == events[2:]
        assert events_of((await trees).text)[-2][2]["outcome"] == "done"
        wrong = await on.ask("tom", "GET", at, headers={"Last-Event-ID": "yesterday"})
        assert wrong.status_code == 400

    play(story)


def test_operators_repair_what_failed() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("ann", "Fails", text="bad tea")
        at = f"/v1/flows/{flow}"
        (patient,) = (await on.ask("olga", "GET", "/v1/hospital")).json()["patients"]
        assert (patient["id"], patient["errors"]) == (flow, [f"{on.name}.TooMuch"])
        assert patient["frames"][-1]["variables"] == {"text": "bad tea"}
        (seen,) = (await on.ask("vic", "GET", "/v1/hospital")).json()["patients"]
        assert (seen["frames"], seen["trace"]) == (None, None), "variables are for who may dump"
        shown = (await on.ask("vic", "GET", at)).json()
        assert shown["flow"]["state"] == "hospital"
        assert "cannot take bad tea" in shown["cause"]
        dump = (await on.ask("olga", "GET", f"{at}/variables")).json()["dump"]
        assert dump["frames"][0]["variables"] == {"text": "bad tea"}
        tried = await on.ask("olga", "POST", f"{at}/retry", {"reason": "once more"})
        assert tried.status_code == 200
        for changes in ({"texts": "x"}, {"text": 5}, {}):
            wrong = await on.ask("olga", "POST", f"{at}/repair", {"changes": changes})
            assert wrong.status_code == 400
        good = {"changes": {"text": "tea"}, "reason": "a slip of the pen"}
        assert (await on.ask("olga", "POST", f"{at}/repair", good)).status_code == 200
        ended = (await on.ask("ann", "GET", f"{at}/result?wait_s=5")).json()
        assert (ended["outcome"], ended["result"]) == ("done", 3)
        for what in ("retry", "resume"):
            assert (await on.ask("olga", "POST", f"{at}/{what}")).status_code == 409
        rows = (await on.ask("olga", "GET", "/v1/audit?changes=1")).json()["rows"]
        said = [(e["event"], e["by"], e["reason"], e["said"]) for r in rows for e in r["entries"]]
        assert said == [
            ("Begin", "ann", "", ""),
            ("Retry", "olga", "once more", ""),
            ("Change", "olga", "a slip of the pen", "text='tea'"),
        ]

    play(story)


def test_operators_throw_a_declared_error() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("ann", "Fails", text="bad tea")
        at = f"/v1/flows/{flow}/throw"
        for wrong in ({"error": "TooMuch", "fields": {"amount": "1"}}, {"error": "Nothing"}):
            assert (await on.ask("olga", "POST", at, wrong | {"reason": "x"})).status_code == 400
        body = {"error": "TooMuch", "fields": {"amount": 7}, "reason": "it burnt down"}
        assert (await on.ask("olga", "POST", at, body)).status_code == 200
        ended = (await on.ask("ann", "GET", f"/v1/flows/{flow}/result?wait_s=5")).json()
        assert (ended["outcome"], ended["result"]) == ("done", -1)

    play(story)


def test_flows_are_paused_go_on_and_are_killed() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("ann", "Waits")
        at = f"/v1/flows/{flow}"
        because = {"reason": "asked the lawyers"}
        assert (await on.ask("olga", "POST", f"{at}/pause", {})).status_code == 400
        assert (await on.ask("olga", "POST", f"{at}/pause", because)).status_code == 200
        shown = (await on.ask("olga", "GET", at)).json()
        assert (shown["flow"]["state"], "resume" in shown["commands"]) == ("hospital", True)
        assert (await on.ask("olga", "POST", f"{at}/resume")).status_code == 200
        assert (await on.ask("olga", "GET", at)).json()["flow"]["state"] == "running"
        assert (await on.ask("olga", "GET", f"{at}/result")).status_code == 202
        assert (await on.ask("olga", "POST", f"{at}/kill", because)).status_code == 200
        ended = (await on.ask("olga", "GET", f"{at}/result")).json()
        assert ended["error"]["name"] == "FlowKilled"
        assert ended["error"]["text"] == "killed by olga: asked the lawyers"

    play(story)


def test_lists_have_filters_and_pages() -> None:
    async def story(on: Scene) -> None:
        for number in range(5):
            await on.start("tom", "Counts", most=number + 1)
        await on.start("ann", "Waits")
        await on.start("ann", "Orders", **ORDER)

        async def ids(user: str, query: str = "") -> list[int]:
            answer = await on.ask(user, "GET", f"/v1/flows?{query}")
            assert answer.status_code == 200, answer.text
            return [row["id"] for row in answer.json()["flows"]]

        assert await ids("ann") == [1, 2, 3, 4, 5, 6]
        assert await ids("tom") == [1, 2, 3, 4, 5]
        assert await ids("tim") == []
        assert await ids("ann", "limit=2&after=3") == [4, 5]
        assert await ids("tom", "limit=2&after=3") == [4, 5]
        assert await ids("ann", f"flow={on.name}.Waits") == [6]
        assert await ids("ann", f"flow={on.name}.Waits_v1") == [6]
        assert await ids("ann", "state=done") == await ids("ann", "state=ended") == [7]
        assert await ids("ann", "state=failed") == await ids("tom", "state=ended") == []
        assert await ids("ann", "key=counts 3") == [3]
        assert await ids("tim", "key=counts 3") == []
        assert await ids("ann", "waiting_longer=100000000") == []
        page = (await on.ask("ann", "GET", "/v1/flows?limit=6")).json()
        assert page["next"] == 6
        assert (page["flows"][0]["by"], page["flows"][0]["flow"]) == ("tom", f"{on.name}.Counts_v1")

    play(story)


def test_the_types_of_what_may_be_started_are_told() -> None:
    async def story(on: Scene) -> None:
        told = (await on.ask("tom", "GET", "/v1/types")).json()
        names = [flow["flow"].partition(".")[2] for flow in told["flows"]]
        assert names == ["Asks", "Counts", "Orders"]
        counts = told["flows"][1]
        assert counts["about"] == "Count what the owner says."
        assert counts["messages"][0]["name"] == f"{on.name}.More"
        assert counts["errors"][0]["name"] == f"{on.name}.TooMuch"
        assert set(told["definitions"]) >= {"Line", "Mood", "More"}
        every = (await on.ask("ann", "GET", "/v1/types")).json()["flows"]
        assert "Inner" not in [flow["flow"].partition(".")[2] for flow in every]

    play(story)


def test_schedules_are_paused_and_run() -> None:
    async def story(on: Scene) -> None:
        (hourly,) = (await on.ask("olga", "GET", "/v1/schedules")).json()["schedules"]
        at = f"/v1/schedules/{hourly['name']}"
        assert (await on.ask("olga", "POST", f"{at}/pause", {"reason": "x"})).status_code == 200
        (paused,) = (await on.ask("vic", "GET", "/v1/schedules")).json()["schedules"]
        assert (paused["paused"], paused["due"]) == ("olga", None)
        run = await on.ask("olga", "POST", f"{at}/run")
        assert run.status_code == 201
        assert (await on.ask("olga", "GET", f"/v1/flows/{run.json()['id']}")).status_code == 200
        assert (await on.ask("olga", "POST", f"{at}/resume")).status_code == 200
        assert (await on.ask("vic", "POST", f"{at}/pause")).status_code == 403
        assert (await on.ask("tom", "POST", f"{at}/pause")).status_code == 404
        assert (await on.ask("olga", "POST", "/v1/schedules/none/run")).status_code == 404

    play(story)


def test_a_draining_node_takes_nothing_new() -> None:
    async def story(on: Scene) -> None:
        assert (await on.ask(None, "GET", "/v1/ready")).status_code == 200
        assert (await on.ask("olga", "POST", "/v1/drain")).status_code == 200
        ready = await on.ask(None, "GET", "/v1/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        assert (await on.ask(None, "GET", "/v1/health")).status_code == 200
        body = {"flow": f"{on.name}.Counts"}
        assert (await on.ask("tom", "POST", "/v1/flows", body)).status_code == 503
        assert (await on.ask("olga", "GET", "/v1/node")).json()["draining"]
        assert (await on.ask("olga", "POST", "/v1/undrain")).status_code == 200
        assert (await on.ask("tom", "POST", "/v1/flows", body)).status_code == 201

    play(story)


def test_a_node_that_has_stopped_says_so() -> None:
    async def story(on: Scene) -> None:
        await on.node.close()
        for path in ("/v1/health", "/v1/ready"):
            answer = await on.ask(None, "GET", path)
            assert (answer.status_code, answer.json()) == (503, {"status": "stopped"})
        answer = await on.ask("ann", "GET", "/v1/flows")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")

    play(story)
