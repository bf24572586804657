"""Questions over HTTP: shown with a form, claimed, handed on, answered once, ended."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from flowrt.api import tasks
from tests.api.scene import Scene, play

YES = {"answer": {"yes": True}}


def test_a_question_is_claimed_and_answered_by_who_has_it() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Asks", text="may tom?")
        at = f"/v1/tasks/{flow}/0"
        (task,) = (await on.ask("bob", "GET", "/v1/tasks?role=boss")).json()["tasks"]
        assert task["question"] == {"text": "may tom?"}
        verdict = task["form"]["$defs"]["Verdict"]
        assert (verdict["required"], set(verdict["properties"])) == (["yes"], {"yes", "mood"})
        assert (await on.ask("bob", "POST", f"{at}/claim")).status_code == 200
        assert (await on.ask("bob", "GET", at)).json()["claimed"] == "bob"
        for what, body in (("claim", None), ("release", None), ("answer", YES)):
            refused = await on.ask("bea", "POST", f"{at}/{what}", body)
            assert refused.status_code == 409
            assert refused.json()["error"]["message"].startswith("bob has claimed question 0 of")
        (mine,) = (await on.ask("bob", "GET", "/v1/tasks?mine=1")).json()["tasks"]
        assert mine["flow_id"] == flow
        assert (await on.ask("bea", "GET", "/v1/tasks?mine=1")).json()["tasks"] == []
        assert (await on.ask("bob", "GET", "/v1/tasks?role=clerk")).json()["tasks"] == []
        handed = await on.ask("bob", "POST", f"{at}/delegate", {"to": "bea"})
        assert handed.status_code == 200
        assert (await on.ask("bob", "POST", f"{at}/answer", YES)).status_code == 409
        # An operator may take it away.
        assert (await on.ask("olga", "POST", f"{at}/release")).status_code == 200
        assert (await on.ask("bob", "POST", f"{at}/answer", YES)).status_code == 200
        result = (await on.ask("tom", "GET", f"/v1/flows/{flow}/result?wait_s=5")).json()
        assert result["result"] == "bob said true"
        rows = (await on.ask("olga", "GET", "/v1/audit?changes=1")).json()["rows"]
        said = [(e["event"], e["by"], e["said"]) for r in rows for e in r["entries"]]
        assert said == [
            ("Begin", "tom", ""),
            ("Claimed", "bob", "question 0 is claimed by bob"),
            ("Claimed", "bob", "question 0 is claimed by bea"),
            ("Claimed", "olga", "question 0 is free"),
            ("CallEnded", "bob", ""),
        ]

    play(story)


def test_questions_come_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(on: Scene) -> None:
        flows = [await on.start("tom", "Asks", text=f"may {n}?") for n in range(5)]
        for user, query, limit, scanned in (
            ("bob", "", 2, 2000),
            ("bob", "&role=boss", 1, 2000),
            ("bob", "", 500, 2),
            ("ann", "", 500, 1),
            ("bob", f"&flow={flows[2]}", 1, 2000),
        ):
            monkeypatch.setattr(tasks, "SCANNED", scanned)
            found, after = [], ""
            while after is not None:
                cursor = f"&after={after}" if after else ""
                answer = await on.ask(user, "GET", f"/v1/tasks?limit={limit}{query}{cursor}")
                page = answer.json()
                assert len(page["tasks"]) <= limit
                found += [task["flow_id"] for task in page["tasks"]]
                after = page["next"]
            assert found == ([flows[2]] if "flow" in query else flows)
        for wrong in ("7", "1/2/3", "-1/0", "1/x"):
            refused = await on.ask("bob", "GET", f"/v1/tasks?after={wrong}")
            assert refused.status_code == 400

    play(story)


def test_t33_two_answers_at_once_are_one() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Asks")
        at = f"/v1/tasks/{flow}/0/answer"
        answers = await asyncio.gather(*[on.ask("bob", "POST", at, YES) for _ in range(5)])
        assert sorted(one.status_code for one in answers) == [200, *[409] * 4]
        late = await on.ask("bea", "POST", at, YES)
        assert late.status_code == 404, "it is no task any more"

    play(story)


def test_t33_who_asks_may_not_answer_by_that() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Asks")
        assert (await on.ask("tom", "POST", f"/v1/tasks/{flow}/0/answer", YES)).status_code == 404

    play(story)


def test_t33_an_account_that_was_closed_meanwhile_answers_nothing() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Asks")
        asked = asyncio.ensure_future(on.ask("bob", "POST", f"/v1/tasks/{flow}/0/answer", YES))
        while not any(job.waiter for job in on.node._ready if hasattr(job, "waiter")):
            await asyncio.sleep(0)
        on.app.access._users["bob"] = dataclasses.replace(on.users["bob"], disabled=True)
        refused = await asked
        assert (refused.status_code, "may not answer boss" in refused.text) == (409, True)
        assert on.node.task(flow, 0).claimed is None
        assert (await on.ask("bob", "GET", "/v1/tasks")).status_code == 401

    play(story)


def test_an_answer_that_does_not_fit_is_refused() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Asks")
        at = f"/v1/tasks/{flow}/0/answer"
        for answer in ({}, {"yes": 1}, {"yes": None}, {"yes": True, "no": 1}, "yes", [], None):
            refused = await on.ask("bob", "POST", at, {"answer": answer})
            assert refused.status_code == 400, answer
            assert refused.json()["error"]["remedy"] == f"GET /v1/tasks/{flow}/0 has its form"
        assert len(on.node.tasks()) == 1

    play(story)


def test_an_operator_ends_a_questions_time() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("tom", "Asks")
        at = f"/v1/tasks/{flow}/0/expire"
        done = await on.ask("olga", "POST", at, {"reason": "nobody is there"})
        assert done.status_code == 200
        result = (await on.ask("tom", "GET", f"/v1/flows/{flow}/result?wait_s=5")).json()
        assert result["result"] == "nobody"
        on.now_us += 1
        again = await on.start("tom", "Asks", text="once more?")
        on.now_us += 3_600_000_000
        for what, body in (("answer", YES), ("claim", None)):
            late = await on.ask("bob", "POST", f"/v1/tasks/{again}/0/{what}", body)
            assert late.status_code == 404, "its time is over"

    play(story)
