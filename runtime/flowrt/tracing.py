"""What flows have done, told to OpenTelemetry as spans, after it was written.

Imported only by who wants it. It sees a batch when its commit is done and changes nothing: what is
lost here, with a process or by a mistake, is a span and never a flow. Knows no store and no wire.

A span tells which flow, step, operation, session and
party, and which declared error; never a label, an argument, a message or an error's text.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
    set_span_in_context,
)

from flowrt.core.engine import CallEnded
from flowrt.core.progress import (
    BEGUN,
    IN_HOSPITAL,
    OVER,
    POSITION,
    RETRYING,
    TROUBLE,
    WELL,
    ProgressEvent,
)
from flowrt.core.registry import unversioned
from flowrt.core.values import (
    BadBytes,
    Checkpoint,
    Confirm,
    End,
    Failure,
    Frame,
    Invite,
    Letter,
    Reject,
    decode_checkpoint,
    decode_frame,
)
from flowrt.events import CODE
from flowrt.peers.outbox import frame_of
from flowrt.turn import Job, Turn

MOST: Final = 10_000
"""So many flows have open spans at most; of more the one that began first is let go."""

LATELY: Final = 1_000
"""Of so many flows that have ended it is known which span was theirs."""

_LOG = logging.getLogger("flowrt.tracing")
_TYPE = re.compile(r"[A-Z]\w*(?=: |$)")
"""An exception's type, at the beginning of the cause of a step that failed."""

_BEGIN: Final = 0
assert next(kind.__name__ for kind, code in CODE.items() if code == _BEGIN) == "Begin"


def shared_context(party: str, incarnation: bytes, flow_id: int) -> SpanContext:
    """The trace of a flow that begins conversations, as both ends can work it out: from whose flow
    it is, its store's incarnation, and its number there. Every invitation tells these anyway."""
    digest = hashlib.blake2b(person=b"flowrt trace", digest_size=24)
    for part in (party.encode(), incarnation):
        digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(flow_id.to_bytes(8, "big"))
    made = digest.digest()
    trace_id = int.from_bytes(made[:16], "big") or 1
    span_id = int.from_bytes(made[16:], "big") or 1
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))


class _Flow:
    """The open spans of one flow: its own, and by depth in its call stack those of subflows and of
    the steps that they are at; by number its operations and its sessions."""

    __slots__ = ("calls", "sessions", "span", "steps", "subflows")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.subflows: dict[int, Span] = {}
        self.steps: dict[int, Span] = {}
        self.calls: dict[int, Span] = {}
        self.sessions: dict[bytes, Span] = {}

    def innermost(self, below: int | None = None) -> Span:
        """The span under which something begins now, at this depth or anywhere."""
        depths = {*self.steps, *self.subflows}
        for depth in sorted(depths, reverse=True):
            if below is None or depth < below:
                return self.steps.get(depth) or self.subflows[depth]
        return self.span

    def open_spans(self) -> Iterator[Span]:
        """All of them, the innermost first."""
        yield from self.calls.values()
        yield from self.sessions.values()
        for depth in sorted({*self.steps, *self.subflows}, reverse=True):
            yield from (known[depth] for known in (self.steps, self.subflows) if depth in known)
        yield self.span


class Tracing:
    """The spans of one node.

    `peers` are the parties with which traces are shared: a flow that one of them invites is in the
    trace of the flow that invites, if that party does the same. Nothing is sent for it. `clock`
    gives microseconds since 1970.
    """

    def __init__(
        self,
        party: str,
        provider: TracerProvider,
        peers: Collection[str] = (),
        *,
        clock: Callable[[], int],
        most: int = MOST,
    ) -> None:
        self._party = party
        self._tracer: Tracer = provider.get_tracer("flowrt")
        self._peers = frozenset(peers)
        self._clock = clock
        self._most = most
        self._flows: dict[int, _Flow] = {}
        self._told: dict[bytes, tuple[int, str]] = {}
        """Whose each open session is, by what both ends know it by: our flow, and its peer."""
        self._over: dict[int, SpanContext] = {}
        """Of flows that ended lately, for those that they have started."""
        self._is_broken = False

    # --- told by the node ---

    def told(self, turn: Turn, incarnation: bytes) -> None:
        """A batch is written."""
        if self._is_broken:
            return
        try:
            self._tell(turn, incarnation)
        except Exception:
            self._is_broken = True
            _LOG.exception("%s: its flows are not traced any more", self._party)

    def close(self) -> None:
        """The node closes: end what is open, and say that it is not finished."""
        if self._is_broken:
            return
        try:
            now_ns = self._clock() * 1000
            while self._flows:
                self._let_go(next(iter(self._flows)), now_ns)
        except Exception:
            # The node is told by nobody else that it has stopped.
            self._is_broken = True
            _LOG.exception("%s: its open flows are not told as unfinished", self._party)

    # --- a batch ---

    def _tell(self, turn: Turn, incarnation: bytes) -> None:
        begun_ns, now_ns = turn.batch.now_us * 1000, self._clock() * 1000
        sent = [_frame(data) for _, _, data in turn.batch.outbox]
        came = [
            (item[0], _frame(frame_of(item[1]))) for item in turn.taken if isinstance(item, tuple)
        ]
        inviting = {f.secret: (peer, f) for peer, f in came if isinstance(f, Invite)}
        invited = {
            frame.content.flow: inviting[frame.secret]
            for frame in sent
            if isinstance(frame, Letter)
            and isinstance(frame.content, Confirm)
            and frame.secret in inviting
        }
        ended = dict(turn.ended)
        for flow_id, _, code, *_ in turn.audit:
            if flow_id in self._flows:
                continue
            written = turn.batch.flows.get(flow_id)
            checkpoint = _checkpoint(written[0]) if written is not None else None
            if flow_id in ended:
                name = ended[flow_id].flow
            elif checkpoint is not None and checkpoint.frames:
                name = checkpoint.frames[0].flow
            else:
                continue  # It has ended before, and only puts its sessions away.
            extra = checkpoint.extra if checkpoint is not None else None
            parent = extra.parent if extra is not None else 0
            self._begin(
                flow_id, name, code != _BEGIN, invited.get(flow_id), parent, incarnation, begun_ns
            )
        for flow_id, move in turn.moves:
            if flow_id in self._flows:
                self._move(self._flows[flow_id], move, now_ns)
        for wanted in turn.wanted:
            flow = self._flows.get(wanted.flow_id)
            if flow is not None and wanted.number not in flow.calls:
                flow.calls[wanted.number] = self._span(
                    wanted.what, flow.innermost(), now_ns, SpanKind.CLIENT,
                    {"flowrt.operation": wanted.what},
                )  # fmt: skip
        self._end_calls(turn, now_ns)
        for (_, peer, _), frame in zip(turn.batch.outbox, sent, strict=True):
            if isinstance(frame, Invite):
                self._invite(peer, frame, incarnation, now_ns)
            elif isinstance(frame, Letter):
                self._heard(peer, frame, now_ns)
        for peer, frame in came:
            if isinstance(frame, Letter):
                self._heard(peer, frame, now_ns)
        for flow_id, outcome in turn.ended:
            self._end(flow_id, outcome.error, now_ns)

    def _begin(
        self,
        flow_id: int,
        name: str,
        is_resumed: bool,
        invited: tuple[str, Invite] | None,
        parent: int,
        incarnation: bytes,
        begun_ns: int,
    ) -> None:
        """A flow that began in this batch, or that this process has not seen yet."""
        said: dict[str, Any] = {
            "flowrt.flow.name": unversioned(name),
            "flowrt.flow.version": int(name.rpartition("_v")[2]),
            "flowrt.flow.id": flow_id,
            "flowrt.party": self._party,
        }
        kind, links = SpanKind.INTERNAL, []
        if is_resumed:
            said["flowrt.resumed"] = True
        if parent in self._flows:
            links.append(Link(self._flows[parent].span.get_span_context()))
        elif parent in self._over:
            links.append(Link(self._over[parent]))
        within = shared_context(self._party, incarnation, flow_id) if self._peers else None
        if invited is not None:
            peer, invitation = invited
            kind, said["flowrt.peer"] = SpanKind.SERVER, peer
            if peer in self._peers:
                within = shared_context(peer, invitation.incarnation, invitation.from_flow)
        if len(self._flows) >= self._most:
            self._let_go(next(iter(self._flows)), begun_ns)
        above = set_span_in_context(NonRecordingSpan(within), Context()) if within else Context()
        self._flows[flow_id] = _Flow(
            self._tracer.start_span(unversioned(name), above, kind, said, links, begun_ns)
        )

    def _move(self, flow: _Flow, move: ProgressEvent, now_ns: int) -> None:
        depth, detail = move.depth, move.detail
        if move.kind == POSITION and move.path:
            self._end_from(flow, depth, now_ns, keep=depth)
            flow.steps[depth] = self._span(
                move.path[-1], flow.subflows.get(depth) or flow.innermost(depth), now_ns
            )
        elif move.kind == BEGUN:
            assert detail is not None
            self._end_from(flow, depth, now_ns)
            said = {"flowrt.flow.name": move.flow, "flowrt.flow.version": detail.version}
            above = flow.innermost(depth)
            flow.subflows[depth] = self._span(move.flow, above, now_ns, said=said)
        elif move.kind == OVER:
            assert detail is not None
            if detail.state == "failed" and depth in flow.subflows:
                flow.subflows[depth].set_status(StatusCode.ERROR)
            self._end_from(flow, depth, now_ns)
        elif move.kind == TROUBLE:
            assert detail is not None
            told: dict[str, Any] = {"flowrt.state": detail.state, "flowrt.place": detail.place}
            found = _TYPE.match(detail.cause)
            # The causes of the other states are texts by people.
            if found is not None and detail.state in (RETRYING, IN_HOSPITAL):
                told["exception.type"] = found[0]
            flow.span.add_event("flowrt.trouble", told, now_ns)
        elif move.kind == WELL:
            flow.span.add_event("flowrt.well", None, now_ns)

    def _end_from(self, flow: _Flow, depth: int, now_ns: int, keep: int = -1) -> None:
        """End the steps from this depth on, and the subflows, but for the one at `keep`."""
        for at in sorted({*flow.steps, *flow.subflows}, reverse=True):
            if at >= depth:
                if at in flow.steps:
                    flow.steps.pop(at).end(now_ns)
                if at in flow.subflows and at != keep:
                    flow.subflows.pop(at).end(now_ns)

    def _end_calls(self, turn: Turn, now_ns: int) -> None:
        errors = {
            (item.flow_id, item.event.number): item.event.ending.error
            for item in turn.taken
            if isinstance(item, Job) and isinstance(item.event, CallEnded)
        }
        for flow_id, number in turn.settled:
            flow = self._flows.get(flow_id)
            span = flow.calls.pop(number, None) if flow is not None else None
            if span is not None:
                self._fail(span, errors.get((flow_id, number)))
                span.end(now_ns)

    def _invite(self, peer: str, frame: Invite, incarnation: bytes, now_ns: int) -> None:
        """A session that one of our flows begins, until it ends."""
        flow = self._flows.get(frame.from_flow)
        if flow is None:
            return
        links = []
        if peer in self._peers and frame.incarnation != incarnation:
            # Since that peer lost its store invitations name another incarnation.
            links.append(Link(shared_context(self._party, frame.incarnation, frame.from_flow)))
        said = {
            "flowrt.peer": peer,
            "flowrt.session": frame.from_session,
            "flowrt.responder": frame.flow,
        }
        flow.sessions[frame.secret] = self._span(
            f"session {frame.flow}", flow.innermost(), now_ns, SpanKind.CLIENT, said, links
        )
        self._told[frame.secret] = frame.from_flow, peer

    def _heard(self, peer: str, frame: Letter, now_ns: int) -> None:
        """What was said in a session, by either end."""
        flow_id, known = self._told.get(frame.secret, (0, ""))
        if known != peer or flow_id not in self._flows:
            return
        content, sessions = frame.content, self._flows[flow_id].sessions
        if isinstance(content, Confirm):
            sessions[frame.secret].set_attribute("flowrt.responder.version", content.version)
        elif isinstance(content, End | Failure | Reject):
            del self._told[frame.secret]
            span = sessions.pop(frame.secret)
            if isinstance(content, Failure):
                self._fail(span, content.name)
            elif isinstance(content, Reject):
                self._fail(span, "SessionRejected")
            span.end(now_ns)

    def _end(self, flow_id: int, error: str | None, now_ns: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        self._over[flow_id] = flow.span.get_span_context()
        if len(self._over) > LATELY:
            del self._over[next(iter(self._over))]
        self._fail(flow.span, error)
        self._forget(flow, now_ns)

    def _let_go(self, flow_id: int, now_ns: int) -> None:
        flow = self._flows.pop(flow_id)
        for span in flow.open_spans():
            span.set_attribute("flowrt.unfinished", True)
        self._forget(flow, now_ns)

    def _forget(self, flow: _Flow, now_ns: int) -> None:
        for secret in flow.sessions:
            self._told.pop(secret, None)
        for span in flow.open_spans():
            span.end(now_ns)

    # --- spans ---

    def _span(
        self,
        name: str,
        above: Span,
        now_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        said: dict[str, Any] | None = None,
        links: list[Link] | None = None,
    ) -> Span:
        within = set_span_in_context(above, Context())
        return self._tracer.start_span(name, within, kind, said, links, now_ns)

    def _fail(self, span: Span, error: str | None) -> None:
        """It ended with this error, if it did; the name alone, for a text may quote what is
        nobody's business."""
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR, error)


def _frame(data: bytes) -> Frame | None:
    try:
        return decode_frame(data)
    except BadBytes:
        return None


def _checkpoint(data: bytes) -> Checkpoint | None:
    try:
        return decode_checkpoint(data, lambda name: Any)
    except BadBytes:
        return None
