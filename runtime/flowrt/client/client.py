"""A node as a client sees it: flows are started and found, people answer, operators operate.

Each method is one route of docs/http.md; who may do what is the node's to say.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload
from urllib.parse import quote

from flowrt.api import bodies
from flowrt.client.asking import Asking
from flowrt.client.handle import Handle, plain_fields
from flowrt.core.values import plain

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

    from flowrt.core.flow import Flow

PAGE = 500
"""How many questions a node gives at once, at most."""

T = TypeVar("T")


def connect(
    url: str,
    *,
    token: str | None = None,
    certificate: Path | str | None = None,
    root: Path | str | None = None,
    tries: int = 6,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Client:
    """A client of the node at `url`; nothing is asked yet. It shows its token, or the certificate
    of that file (PEM, with its key); `root` certifies the node, instead of those that the machine
    trusts. What may be asked twice is asked up to `tries` times when a connection is lost. To be
    used with `async with`, or closed. `transport` is httpx's, for tests.

    Raises ClientError: the address or a file cannot be used.
    """
    own = Path(certificate) if certificate is not None else None
    trusted = Path(root) if root is not None else None
    return Client(Asking(url, token, own, trusted, tries, transport))


class Client:
    """A node. All methods raise ClientError."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. What was begun goes on at the node."""
        await self._asking.close()

    # --- flows --------------------------------------------------------------------------------

    @overload
    async def start(
        self, flow: type[Flow[T]], client: str | None = None, /, **arguments: Any
    ) -> Handle[T]: ...

    @overload
    async def start(
        self, flow: str, client: str | None = None, /, **arguments: Any
    ) -> Handle[Any]: ...

    async def start(
        self, flow: type[Flow[Any]] | str, client: str | None = None, /, **arguments: Any
    ) -> Handle[Any]:
        """Start a flow by its name or its class. `client` is one's own name for it: the same name
        and arguments give the same flow, at any time. It is made by chance if none is given, so a
        lost answer starts no second flow."""
        kind = None if isinstance(flow, str) else flow
        name = flow if isinstance(flow, str) else flow.versioned()
        own = client or secrets.token_hex(16)
        body = {"flow": name, "arguments": plain_fields(arguments), "client": own}
        found = await self._asking.post(bodies.Started, "/v1/flows", body, again=True)
        return Handle(self._asking, found.id, kind, own)

    @overload
    def handle(self, flow_id: int, kind: type[Flow[T]]) -> Handle[T]: ...

    @overload
    def handle(self, flow_id: int) -> Handle[Any]: ...

    def handle(self, flow_id: int, kind: type[Flow[Any]] | None = None) -> Handle[Any]:
        """A flow that was started before. Asks nothing."""
        return Handle(self._asking, flow_id, kind)

    async def flows(self, **filters: Any) -> AsyncIterator[bodies.FlowInfo]:
        """Flows by id, page for page: `state`, `flow`, `party`, `key`, `waiting_longer` (seconds)
        choose among them."""
        after: int | None = None
        while True:
            page = await self._asking.get(bodies.FlowList, "/v1/flows", after=after, **filters)
            for one in page.flows:
                yield one
            if page.next is None:
                return
            after = page.next

    async def types(self) -> bodies.Types:
        """The flows that one may start, with their types."""
        return await self._asking.get(bodies.Types, "/v1/types")

    # --- people -------------------------------------------------------------------------------

    async def tasks(self, *, limit: int | None = None, **filters: Any) -> list[bodies.TaskInfo]:
        """Questions that one may answer, or end, page for page: `role`, `mine`, `flow` choose; all
        of them, or at most `limit`."""
        found: list[bodies.TaskInfo] = []
        after: str | None = None
        while True:
            most = min(limit - len(found), PAGE) if limit is not None else None
            page = await self._asking.get(
                bodies.Tasks, "/v1/tasks", limit=most, after=after, **filters
            )
            found += page.tasks
            if page.next is None or len(found) == limit:
                return found
            after = page.next

    async def task(self, flow_id: int, number: int) -> bodies.TaskInfo:
        """One question, with the form of its answer."""
        return await self._asking.get(bodies.TaskInfo, f"/v1/tasks/{flow_id}/{number}")

    async def claim(self, flow_id: int, number: int) -> None:
        """Take it for oneself."""
        await self._task(flow_id, number, "claim")

    async def release(self, flow_id: int, number: int) -> None:
        """Let it go."""
        await self._task(flow_id, number, "release")

    async def delegate(self, flow_id: int, number: int, to: str) -> None:
        """Hand it to another."""
        await self._task(flow_id, number, "delegate", to=to)

    async def answer(self, flow_id: int, number: int, answer: Any) -> None:
        """Answer it."""
        await self._task(flow_id, number, "answer", answer=plain(answer))

    async def expire(self, flow_id: int, number: int, reason: str) -> None:
        """End its time."""
        await self._task(flow_id, number, "expire", reason=reason)

    async def _task(self, flow_id: int, number: int, word: str, **body: Any) -> None:
        await self._asking.post(bodies.Done, f"/v1/tasks/{flow_id}/{number}/{word}", body)

    # --- the node -----------------------------------------------------------------------------

    async def node(self) -> bodies.NodeInfo:
        """What it is."""
        return await self._asking.get(bodies.NodeInfo, "/v1/node")

    async def hospital(self) -> list[bodies.PatientInfo]:
        """The flows that failed and wait."""
        return (await self._asking.get(bodies.Hospital, "/v1/hospital")).patients

    async def schedules(self) -> list[bodies.ScheduleInfo]:
        """Its schedules."""
        return (await self._asking.get(bodies.ScheduleList, "/v1/schedules")).schedules

    async def pause_schedule(self, name: str, reason: str = "") -> None:
        """Start nothing by it until it is resumed."""
        await self._schedule(bodies.Done, name, "pause", reason)

    async def resume_schedule(self, name: str, reason: str = "") -> None:
        """Let it go on."""
        await self._schedule(bodies.Done, name, "resume", reason)

    async def run_schedule(self, name: str) -> Handle[Any]:
        """Start its flow now, once more."""
        found = await self._schedule(bodies.Started, name, "run", "")
        return Handle(self._asking, found.id)

    async def _schedule(self, kind: type[T], name: str, word: str, reason: str) -> T:
        path = f"/v1/schedules/{quote(name, safe='')}/{word}"
        return await self._asking.post(kind, path, {"reason": reason})

    async def versions(self) -> list[bodies.VersionInfo]:
        """What needs which version of which flow."""
        return (await self._asking.get(bodies.VersionList, "/v1/versions")).versions

    async def peers(self) -> list[bodies.PeerInfo]:
        """The peers that it has met."""
        return (await self._asking.get(bodies.PeerList, "/v1/peers")).peers

    async def drain(self) -> None:
        """Let it take nothing new."""
        await self._asking.post(bodies.Done, "/v1/drain", {}, again=True)

    async def undrain(self) -> None:
        """Let it take new flows again."""
        await self._asking.post(bodies.Done, "/v1/undrain", {}, again=True)

    async def audit(
        self, after: int = 0, limit: int = 100, *, changes: bool = False
    ) -> bodies.AuditPage:
        """Rows of the audit trail after that one, oldest first; `changes`: what people did."""
        return await self._asking.get(
            bodies.AuditPage, "/v1/audit", after=after, limit=limit, changes=changes
        )

    async def backup(self, name: str) -> None:
        """Write a copy of the store under that name."""
        await self._asking.post(bodies.Done, "/v1/backup", {"path": name})
