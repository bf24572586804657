"""A flow's progress as server-sent events: from where the reader is, then live, with a heartbeat.

What a reader has not taken is in the store, not in memory; it is sent no faster than it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import StreamingResponse

from flowrt.api.flows import Found, handle_of
from flowrt.api.routing import Call, Operation, Parameter
from flowrt.api.trouble import Refused
from flowrt.core.progress import ProgressEvent
from flowrt.handle import NodeStopped

if TYPE_CHECKING:
    from starlette.responses import Response

    from flowrt.handle import Handle

HEARTBEAT_S = 15.0
"""How often a line comes though nothing happens: who is between must not think that it is over."""


async def flow_progress(call: Call) -> Response:
    found = Found(call, call.flow_id)
    handle = handle_of(call, found.id)
    last = call.request.headers.get("last-event-id", "")
    if last and not (last.isascii() and last.isdigit() and len(last) < 19):
        raise Refused(400, "Last-Event-ID is the number of an event")
    after = int(last) if last else call.query.get("after", -1)
    source = _trees(handle) if call.query.get("tree") else _events(handle, after)
    return StreamingResponse(_with_heartbeat(source, call), media_type="text/event-stream")


async def _events(handle: Handle[Any], after: int) -> AsyncIterator[bytes]:
    async for event in handle.progress(after=after):
        yield written(event)


def written(event: ProgressEvent) -> bytes:
    """An event as it is sent. The latest are kept, because a thousand readers may wait for one."""
    kept = _KEPT.get(id(event))
    if kept is not None:
        return kept[1]
    data = msgspec.json.encode(event.plain())
    number = b"id: %d\n" % event.number if event.number >= 0 else b""
    made = b"event: progress\n%sdata: %s\n\n" % (number, data)
    # The event is kept with it, so that nothing else has its address meanwhile.
    _KEPT[id(event)] = (event, made)
    if len(_KEPT) > MOST_KEPT:
        del _KEPT[next(iter(_KEPT))]
    return made


MOST_KEPT = 256
_KEPT: dict[int, tuple[ProgressEvent, bytes]] = {}


async def _trees(handle: Handle[Any]) -> AsyncIterator[bytes]:
    async for tracked in handle.track():
        data = msgspec.json.encode(tracked.tree)
        yield b"event: tree\nid: %d\ndata: %s\n\n" % (max(tracked.tree.number - 1, 0), data)


async def _with_heartbeat(source: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
    call.app.figures.watchers += 1
    # Its answer is asked for again and again, so that waiting can be given up without losing it.
    following: asyncio.Future[bytes] | None = None
    try:
        yield b"retry: 1000\n\n"
        while True:
            following = asyncio.ensure_future(anext(source))
            while not await call.app.waited(following, HEARTBEAT_S):
                if call.app.is_closing:
                    return  # The reader comes again, with the last number that it has.
                yield b": \n\n"
            yield following.result()
    except StopAsyncIteration:
        yield b"event: over\ndata: {}\n\n"
    except NodeStopped:
        return
    finally:
        call.app.figures.watchers -= 1
        if following is not None and not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await source.aclose()  # type: ignore[attr-defined]


OPERATIONS = (
    Operation(
        "GET",
        "/v1/flows/{id}/progress",
        flow_progress,
        "A flow's progress as server-sent events, from its beginning or after Last-Event-ID.",
        {200: str},
        "view FLOW, or view own",
        query=(
            Parameter("tree", bool, "true: the whole tree after each event"),
            Parameter("after", int, "the last event that you have, as Last-Event-ID says it", -1),
        ),
        refusals=(400, 404),
        content="text/event-stream",
    ),
)
