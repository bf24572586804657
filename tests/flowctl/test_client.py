"""The Python client: types, errors, what is asked again, progress after a cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from flowrt.client import (
    Client,
    ClientError,
    Conflict,
    FlowFailed,
    Forbidden,
    NotFound,
    Rejected,
    Unauthorized,
    Unreachable,
    connect,
)
from tests.api.scene import Scene, play, program, token_of


def _on(scene: Scene, user: str = "ann", transport: Any = None) -> Client:
    """A client of the scene's node."""
    way = transport or httpx.ASGITransport(scene.app)
    return connect("http://localhost", token=token_of(user), transport=way)


class _Lossy(httpx.AsyncBaseTransport):
    """Loses the answer of every other request, which is done."""

    def __init__(self, scene: Scene) -> None:
        self.inner = httpx.ASGITransport(scene.app)
        self.count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        answer = await self.inner.handle_async_request(request)
        if self.count % 2:
            raise httpx.ReadError("the line is cut")
        return answer


def test_a_flow_started_by_its_class_has_its_types() -> None:
    flows: Any = program()

    async def story(scene: Scene) -> None:
        async with _on(scene) as client:
            handle = await client.start(flows.Counts_v1, "one", most=3)
            assert (await client.start(flows.Counts_v1, "one", most=3)).id == handle.id
            await handle.send(flows.More(amount=3))
            assert await handle.result() == 3
            said = [one.fields async for one in handle.messages() if one.message]
            assert said == [{"amount": 3}]
            other = await client.start(flows.Counts_v1, most=5)
            await other.send("More", amount=1_000)
            with pytest.raises(flows.TooMuch) as declared:
                await other.result()
            assert declared.value.amount == 1_000
            with pytest.raises(FlowFailed, match="1000 is too much"):
                await client.handle(other.id).result()
            assert [one.id async for one in client.flows(state="failed")] == [other.id]

    play(story)


def test_a_declared_error_is_raised_as_it_is() -> None:
    flows: Any = program()
    name = flows.TooMuch.wire
    told = {"name": name, "text": "5 is too much", "fields": {"amount": 5}, "id": "x", "peer": None}
    body = {"id": 1, "flow": "desk.Counts_v1", "outcome": "failed", "error": told}

    async def live(kind: Any) -> None:
        way = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
        async with connect("http://localhost", transport=way) as client:
            await client.handle(1, kind).result()

    with pytest.raises(flows.TooMuch) as declared:
        asyncio.run(live(flows.Counts_v1))
    assert declared.value.amount == 5
    told["fields"] = {"amount": "much"}
    with pytest.raises(FlowFailed, match="5 is too much"):
        asyncio.run(live(flows.Counts_v1))


def test_troubles_are_exceptions() -> None:
    async def story(scene: Scene) -> None:
        async with _on(scene) as client:
            with pytest.raises(NotFound) as found:
                await client.handle(77).show()
            assert (found.value.code, found.value.status) == ("not_found", 404)
            name = f"{scene.name}.Counts"
            await client.start(name, "one", most=1)
            with pytest.raises(Conflict):
                await client.start(name, "one", most=2)
            with pytest.raises(Rejected, match="most is not a whole number"):
                await client.start(name, most="many")
        async with _on(scene, "nil") as client:
            with pytest.raises(Forbidden):
                await client.audit()
        async with connect(
            "http://localhost", token="wrong", transport=httpx.ASGITransport(scene.app)
        ) as client:
            with pytest.raises(Unauthorized) as unknown:
                await client.node()
            assert unknown.value.remedy

    play(story)


def test_what_is_safe_is_asked_again_and_done_once() -> None:
    async def story(scene: Scene) -> None:
        async with _on(scene, transport=_Lossy(scene)) as client:
            handle = await client.start(f"{scene.name}.Counts", most=100)
            await handle.send("More", amount=5)
            await scene.rest()
            dump = await handle.dump()
            assert dump["frames"][0]["variables"]["total"] == 5
            assert [one.id async for one in client.flows()] == [handle.id]
            with pytest.raises(Unreachable) as lost:
                await handle.kill("once")
            assert lost.value.code == "connection_lost"

    play(story)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, text: str, *, cut: bool) -> None:
        self.text = text
        self.cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.text.encode()
        if self.cut:
            raise httpx.ReadError("the line is cut")


def _event(number: int) -> str:
    return f"event: progress\nid: {number}\ndata: {json.dumps({'number': number})}\n\n"


@pytest.mark.parametrize("cut", [True, False])
def test_progress_goes_on_behind_the_last_event_that_came(cut: bool) -> None:
    parts = [
        "retry: 1000\n\n" + _event(0) + _event(1) + "event: progress\nid: 2\nda",
        ": \n\n",
        _event(2) + "event: over\ndata: {}\n\n",
    ]
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id"))
        return httpx.Response(200, stream=_Stream(parts[len(asked) - 1], cut=cut))

    assert _followed(answer) == [0, 1, 2]
    assert asked == [None, "1", "1"]


def test_who_is_gone_is_not_asked_for_ever() -> None:
    count = [0]

    def answer(request: httpx.Request) -> httpx.Response:
        count[0] += 1
        raise httpx.ConnectError("refused")

    with pytest.raises(Unreachable, match="nobody answers at http://localhost"):
        _followed(answer)
    assert count == [3]


def test_what_is_no_node_is_said_so() -> None:
    for answer in (httpx.Response(200, text="hello"), httpx.Response(502, text="<html>")):
        with pytest.raises(ClientError, match="is no node") as strange:
            _asked(lambda _, found=answer: found)
        assert strange.value.code == "strange_answer"


def _followed(answer: Callable[[httpx.Request], httpx.Response]) -> list[int]:
    async def live() -> list[int]:
        async with connect(
            "http://localhost", tries=3, transport=httpx.MockTransport(answer)
        ) as client:
            return [one["number"] async for one in client.handle(1).progress()]

    return asyncio.run(live())


def _asked(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    async def live() -> None:
        async with connect("http://localhost", transport=httpx.MockTransport(answer)) as client:
            await client.node()

    asyncio.run(live())
