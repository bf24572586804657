"""A flow at a node that a client follows: its result, progress, messages; what is done with it.

Keeps nothing but its id and where to ask.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from flowrt.api import bodies
from flowrt.api.reading import NotFitting, read, read_fields
from flowrt.client.errors import ClientError, FlowFailed
from flowrt.core.flow import FlowError, Message
from flowrt.core.tracker import TreeView
from flowrt.core.values import plain

if TYPE_CHECKING:
    from flowrt.client.asking import Asking
    from flowrt.core.flow import Flow

T = TypeVar("T")

WAIT_S = 30
"""How long one request waits for a result or a message at the node."""


class Handle(Generic[T]):
    """A flow of a node. Made with the flow's class, its result has the declared type, and its
    declared errors are raised; without, both are plain data."""

    def __init__(
        self, asking: Asking, flow_id: int, kind: type[Flow[T]] | None = None, client: str = ""
    ) -> None:
        self.id = flow_id
        self.client = client
        self._asking = asking
        self._kind = kind
        self._path = f"/v1/flows/{flow_id}"

    async def show(self) -> bodies.FlowDetail:
        """Where it stands."""
        return await self._asking.get(bodies.FlowDetail, self._path)

    async def dump(self) -> dict[str, Any]:
        """All that it is at rest: frames with their variables, sessions, calls."""
        found = await self._asking.get(bodies.Variables, f"{self._path}/variables")
        return found.dump

    async def outcome(self, wait_s: int = 0) -> bodies.Result:
        """How it ended, as plain data; `outcome` is None if it runs still after so many seconds, at
        most 60."""
        return await self._asking.get(bodies.Result, f"{self._path}/result", wait_s=wait_s)

    async def result(self) -> T:
        """Wait until it ends; its result.

        Raises:
            FlowError: the declared error that it ended with, if the handle has the flow's class.
            FlowFailed: it ended with another error.
            ClientError: the node could not be asked.
        """
        while True:
            found = await self.outcome(WAIT_S)
            if found.outcome is not None:
                return self._value(found)

    def _value(self, found: bodies.Result) -> T:
        if found.error is not None:
            raise self._error(found.error)
        if self._kind is None:
            return found.result  # type: ignore[no-any-return]  # plain data
        try:
            return read(self._kind.Result, found.result, "result")  # type: ignore[no-any-return]
        except NotFitting as wrong:
            remedy = "the node runs another version of the flow"
            raise ClientError("other_type", str(wrong), remedy) from None

    def _error(self, told: bodies.ErrorInfo) -> Exception:
        known = {error.wire: error for error in self._kind.errors.values()} if self._kind else {}
        if told.name in known:
            kind: type[FlowError] = known[told.name]
            try:
                return kind(**read_fields(kind.Fields, told.fields, "fields"))
            except (NotFitting, TypeError):
                pass
        return FlowFailed(self.id, told.name, told.text, told.fields, told.id, told.peer)

    async def progress(self, after: int = -1) -> AsyncIterator[dict[str, Any]]:
        """Its events after that number, as they come, until it ends. A cut is mended: none is left
        out and none comes twice."""
        last = str(after) if after >= 0 else ""
        async for event in self._asking.events(f"{self._path}/progress", last):
            if event.name == "progress":
                yield msgspec.json.decode(event.data)

    async def trees(self) -> AsyncIterator[TreeView]:
        """Its progress as a whole, each time that it changes, until it ends."""
        async for event in self._asking.events(f"{self._path}/progress", tree=True):
            if event.name == "tree":
                yield msgspec.json.decode(event.data, type=TreeView)

    async def send(
        self, message: Message | str, number: int | None = None, /, **fields: Any
    ) -> bodies.Sent:
        """Send to its owner's session, once, also if the connection is lost meanwhile. With the
        same `number` of one's own it is sent once however often this is called."""
        if isinstance(message, Message):
            name, data = message.wire, plain(message)
        else:
            name, data = message, plain_fields(fields)
        number = secrets.randbits(62) if number is None else number
        body = {"message": name, "fields": data, "number": number}
        return await self._asking.post(bodies.Sent, f"{self._path}/messages", body, again=True)

    async def messages(self, after: int = -1) -> AsyncIterator[bodies.OwnersMail]:
        """What it says to its owner after that number, as it comes, until nothing follows."""
        while True:
            found = await self._asking.get(
                bodies.Mail, f"{self._path}/messages", after=after, wait_s=WAIT_S
            )
            for one in found.messages:
                yield one
            if found.over:
                return
            after = found.next

    async def said(self, after: int = -1) -> list[bodies.OwnersMail]:
        """What it has said to its owner after that number until now, at most a hundred."""
        found = await self._asking.get(bodies.Mail, f"{self._path}/messages", after=after)
        return found.messages

    async def kill(self, reason: str) -> None:
        """End it, wherever it is."""
        await self._do("kill", reason=reason)

    async def pause(self, reason: str) -> None:
        """Let it rest until `resume`."""
        await self._do("pause", reason=reason)

    async def resume(self, reason: str = "") -> None:
        """Let it go on."""
        await self._do("resume", reason=reason)

    async def retry(self, reason: str = "") -> None:
        """Let it try again; it is in the hospital."""
        await self._do("retry", reason=reason)

    async def repair(self, changes: Mapping[str, Any], reason: str) -> None:
        """Change variables of it, which is in the hospital, and let it try again."""
        await self._do("repair", changes=plain_fields(changes), reason=reason)

    async def throw(self, error: str, reason: str, /, **fields: Any) -> None:
        """Throw a declared error where it rests in the hospital."""
        await self._do("throw", error=error, fields=plain_fields(fields), reason=reason)

    async def _do(self, word: str, **body: Any) -> None:
        await self._asking.post(bodies.Done, f"{self._path}/{word}", body)


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name as JSON has them."""
    return {name: plain(value) for name, value in fields.items()}
