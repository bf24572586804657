"""The interface as one ASGI application: who asks, whether he may, what he is told.

Knows no flow and no socket; the operations are in rooms of their own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from flowrt.api import events, flows, links, metrics, openapi, operations, tasks
from flowrt.api.access import Access, Caller
from flowrt.api.routing import MOST_BODY, Call, Operation
from flowrt.api.trouble import Refused
from flowrt.core.hospital import one_line
from flowrt.handle import NodeStopped, NotAccepted, NotStartable
from flowrt.store import StoreError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from flowrt.node import Node
    from flowrt.store.linkbook import Links

MOST_HEADERS = 100
MOST_HEADER_BYTES = 8192
"""How many headers a request may have, and how many bytes all of them."""

JSON = "application/json"

BODY_S = 30.0
"""How long a body may take to come."""

POLICY = "default-src 'none'; frame-ancestors 'none'"
"""What a browser may do with an answer: nothing."""

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

OPERATIONS: tuple[Operation, ...] = (
    *operations.PUBLIC,
    *flows.OPERATIONS,
    *events.OPERATIONS,
    *tasks.OPERATIONS,
    *operations.OPERATIONS,
    *metrics.OPERATIONS,
    *openapi.OPERATIONS,
)
"""Everything that can be asked."""

_LOG = logging.getLogger("flowrt.api")


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """What the interface shows and does that its node does not know. `hosts` and `origins` are
    accepted beside those of this machine. `apps` are (name, version); `backup` writes a copy of
    the store under a name, and raises FileExistsError where there is one; `wire` gives the figures
    of the connections to peers, `notices` those of each notifier; `links` are those that answer a
    question once: with them there are pages for people."""

    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    apps: Sequence[tuple[str, str]] = ()
    backup: Callable[[str], Awaitable[None]] | None = None
    wire: Callable[[], metrics.Wire] | None = None
    notices: Callable[[], metrics.Notices] | None = None
    links: Links | None = None


class App:
    """The interface of one node, for any ASGI server, and for tests without one."""

    def __init__(self, node: Node, access: Access, offer: Offer | None = None) -> None:
        self.node = node
        self.access = access
        self.offer = offer if offer is not None else Offer()
        self.operations = OPERATIONS
        self.is_closing = False
        self._waiting: set[asyncio.Future[None]] = set()
        self.figures = metrics.Figures()
        self._hosts = {host.lower() for host in (*LOOPBACK, *self.offer.hosts)}
        self._origins = set(self.offer.origins)
        by_path: dict[str, dict[str, Operation]] = {}
        pages = links.PAGES if self.offer.links is not None else ()
        for one in (*OPERATIONS, *pages):
            by_path.setdefault(one.path, {})[one.method] = one
        self._routes = [
            (Route(path, _nothing, methods=["GET"]), methods) for path, methods in by_path.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # No web sockets here: closed before they are open. No lifespan either.
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        began = time.perf_counter()
        request = Request(scope, receive)
        operation: Operation | None = None
        caller: Caller | None = None
        try:
            self._check_headers(request)
            operation, params = self._route(request)
            scope["path_params"] = params
            caller = self._caller(request)
            self._check_origin(request, operation)
            if operation.needs and caller is None:
                raise Refused(
                    401,
                    "it is not known who asks",
                    "send the header `Authorization: Bearer TOKEN` with a token that is in force, "
                    "or a client certificate",
                )
            response = await operation.do(Call(self, operation, request, caller))
        except Exception as error:
            response = self._refusal(error, request, operation, caller)
        status = response.status_code
        self.figures.answered(operation, status, time.perf_counter() - began)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Content-Security-Policy", POLICY)
        await response(scope, receive, send)

    # --- waiting ---

    async def waited(self, wanted: asyncio.Future[Any], most_s: float) -> bool:
        """Wait for something, but not longer than that, nor than the interface is open; whether it
        is there."""
        closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(closing)
        if self.is_closing:
            closing.cancel()
        try:
            await asyncio.wait(
                {wanted, closing}, timeout=most_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._waiting.discard(closing)
        return wanted.done()

    def close(self) -> None:
        """Let go of everybody who waits: the interface is about to close."""
        self.is_closing = True
        for closing in self._waiting:
            closing.cancel()

    # --- who and where ---

    def _check_headers(self, request: Request) -> None:
        headers = request.scope["headers"]
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if len(headers) > MOST_HEADERS or size > MOST_HEADER_BYTES:
            text = f"a request has at most {MOST_HEADERS} headers, of {MOST_HEADER_BYTES} bytes"
            raise Refused(431, text)
        if "content-length" in request.headers and "transfer-encoding" in request.headers:
            # Two who read the same bytes could find two different requests in them.
            raise Refused(400, "a request says in one way how long it is, not in two")
        hosts = request.headers.getlist("host")
        name = _name_of(hosts[0]) if len(hosts) == 1 else ""
        if name not in self._hosts:
            # A page of somebody else's, under a name that leads here, must get nothing.
            raise Refused(
                421,
                "this node is not known under that name",
                "use the address that it serves, or list the name in `hosts` of [http]",
            )

    def _check_origin(self, request: Request, operation: Operation) -> None:
        if operation.is_page and request.method == "GET":
            return  # A link is opened from a mail, wherever that is read; to look changes nothing.
        origin = request.headers.get("origin")
        own = {f"{request.url.scheme}://{request.headers['host']}"} if operation.is_page else set()
        if origin is not None and origin not in self._origins | own:
            raise Refused(
                403,
                "requests of pages of other origins are not taken",
                "list the origin in `origins` of [http], if it is yours",
            )
        site = request.headers.get("sec-fetch-site", "none")
        if origin is None and site not in ("none", "same-origin"):
            raise Refused(403, "requests of pages of other origins are not taken")

    def _caller(self, request: Request) -> Caller | None:
        given = request.headers.getlist("authorization")
        if given:
            scheme, _, token = given[0].partition(" ")
            if len(given) > 1 or scheme.lower() != "bearer":
                return None
            return self.access.by_token(token.strip())
        subject = request.scope.get("state", {}).get("certificate")
        return self.access.by_certificate(subject) if subject else None

    def _route(self, request: Request) -> tuple[Operation, dict[str, Any]]:
        for route, methods in self._routes:
            match, child = route.matches(request.scope)
            if match is Match.NONE:
                continue
            found = methods.get(request.method)
            if found is None:
                text = f"this can be asked by {' or '.join(methods)} alone"
                raise Refused(405, text, allow=", ".join(methods))
            return found, child["path_params"]
        raise Refused(404, "there is nothing at this path", "GET /openapi.json lists what there is")

    # --- bodies ---

    async def body_of(self, request: Request, wanted: str = JSON) -> bytes:
        """A request's body. Raises Refused: too large, too slow, or by its header not what is
        wanted."""
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > MOST_BODY:
            raise Refused(413, f"a body has at most {MOST_BODY} bytes")
        found = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for part in request.stream():
                    found += part
                    if len(found) > MOST_BODY:
                        raise Refused(413, f"a body has at most {MOST_BODY} bytes")
        except TimeoutError:
            raise Refused(408, f"the body did not come within {BODY_S:.0f} seconds") from None
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if (found or kind) and kind != wanted:
            what = "JSON" if wanted == JSON else "a form"
            raise Refused(
                415, f"a body is {what} here", f"send the header `Content-Type: {wanted}`"
            )
        return bytes(found)

    # --- what is told ---

    def _refusal(
        self,
        error: Exception,
        request: Request,
        operation: Operation | None,
        caller: Caller | None,
    ) -> Response:
        refused = self._as_refused(error)
        who = caller.name if caller is not None else "-"
        what = operation.name if operation is not None else "-"
        level = logging.ERROR if refused.status == 500 else logging.INFO
        _LOG.log(
            level,
            "%s %s for %s: %d %s",
            request.method if operation is not None else "-",
            what,
            who,
            refused.status,
            one_line(refused.trouble.message),
            extra={"party": self.node.party.name, "user": who, "status": refused.status},
            exc_info=error if refused.status == 500 else None,
        )
        response = Response(refused.body(), refused.status, media_type="application/json")
        if refused.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if refused.allow:
            response.headers["Allow"] = refused.allow
        if operation is None or refused.status in (408, 413):
            response.headers["Connection"] = "close"  # What follows is not read.
        return response

    def _as_refused(self, error: Exception) -> Refused:
        match error:
            case Refused():
                return error
            case NodeStopped():
                return Refused(503, "the node has stopped", "ask again when it serves again")
            case NotStartable() if self.node.is_draining:
                return Refused(503, "the node is draining: it takes no new flows", "undrain it")
            case NotStartable() | NotAccepted():
                return Refused(409, one_line(str(error)))
            case StoreError():
                return Refused(503, "the store cannot be asked now", "ask again later")
            case ClientDisconnect():
                return Refused(400, "the request ended before its body")
            case HTTPException():
                return Refused(400, "the request is not as it should be")
        return Refused(500, "something went wrong here; the node's log has more")


async def _nothing(request: Request) -> Response:
    raise AssertionError("routes are matched here, and asked nowhere")


def _name_of(host: str) -> str:
    """The name of a Host header without its port, in lower case."""
    name, colon, port = host.lower().rpartition(":")
    if colon and port.isdigit() and (not name.startswith("[") or name.endswith("]")):
        return name
    return host.lower()
