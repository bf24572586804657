"""A party's node: starting flows, asking about them, and the event loop that drives its batches.

The only part of it that reads a clock.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import hashlib
import inspect
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, ParamSpec, Self, TypeVar

from flowrt.core import engine
from flowrt.core.commit import Mail
from flowrt.core.engine import Command, Outcome
from flowrt.core.flow import (
    Flow,
    Malformed,
    Message,
    SessionEnded,
    UnexpectedFlowEnd,
)
from flowrt.core.progress import ProgressEvent
from flowrt.core.registry import Registry
from flowrt.core.session import Peer
from flowrt.core.tracker import Tree, TreeView, trouble_of
from flowrt.core.values import (
    MAX_FRAME_BYTES,
    BadBytes,
    Bounce,
    Data,
    Failure,
    decode,
    decode_checkpoint,
    decode_message,
    encode,
    error_of,
    writable,
)
from flowrt.handle import (
    Bounced,
    Handle,
    Letter,
    NodeStopped,
    NotAccepted,
    NotStartable,
    StillRunning,
)
from flowrt.hospital.treatment import as_declared
from flowrt.inquiries import Inquiries
from flowrt.limits import Limits
from flowrt.loop import BATCH, Asked
from flowrt.peers.reception import Responders, Versions
from flowrt.policies import Policy
from flowrt.retention import Retention
from flowrt.services import External, Reading
from flowrt.store import SENT, Store
from flowrt.streams import PAGE
from flowrt.timers import NEAREST
from flowrt.transport import Network
from flowrt.turn import Job, Observer, Turn, Waiter
from flowrt.views import (
    FlowView,
    PeerView,
    ScheduleView,
    TaskView,
    VersionView,
    Wanted,
    dump,
    versions,
    view,
)

P = ParamSpec("P")
R = TypeVar("R")

NAP_S = 60.0
"""The longest that a node sleeps: the event loop does not notice when the clock is set."""

GREETING_S = 3600.0
"""How often a node tells its peers the last that it knows of them, though nothing is to be said: a
peer that went back, and has forgotten us, hears of it so."""

CLOSING_S = 10.0
"""How long `close` waits for external operations that are cancelled to clean up."""

_LOG = logging.getLogger("flowrt.node")


class Node(Inquiries):
    """One party's flows, durable in its store, talking over a network.

    `Node.open` runs it in the event loop; `Node.create` makes one that does only what `turn` is
    called for, which is how tests drive a whole world in one thread.
    """

    _asyncio: asyncio.AbstractEventLoop | None = None
    _scheduled = False
    _alarm: asyncio.TimerHandle | None = None
    _greeting: asyncio.TimerHandle | None = None
    _outside: set[asyncio.Task[None]]
    _over: asyncio.Event | None = None
    _threads: concurrent.futures.ThreadPoolExecutor | None = None
    observer: Observer | None = None
    """Who sees each batch that is written, such as `flowrt.tracing`."""

    @classmethod
    def create(
        cls,
        party: str,
        *,
        store: Store,
        network: Network,
        modules: Iterable[ModuleType] | Registry,
        services: Mapping[str, object] | None = None,
        clock: Callable[[], int] | None = None,
        key: bytes | None = None,
        batch: int = BATCH,
        reload: bool = False,
        policy: Policy | None = None,
        limits: Limits | None = None,
        responders: Responders | None = None,
        accepts: Versions | None = None,
        retention: Retention | None = None,
        window: int = NEAREST,
    ) -> Self:
        """A node that acts only when `turn` is called.

        `modules` may be a registry of them that was made before. `clock` gives microseconds since
        1970. `key` is 32 bytes from which ids are derived (random
        if absent). `batch` is how many events one transaction takes. With `reload` every flow is
        forgotten after its step and loaded from its bytes for the next. `policy` says what is done
        with a flow whose step fails (`flowrt.policies`), `limits` how much each peer may cost.
        `responders` names, by the name that initiators use, the class that answers instead of that
        flow; `accepts`, by an initiator's name, the versions of it that are answered; `retention`
        says how long what is over is kept. `window`
        is how many times at which flows wake are read from the store at once.

        Raises:
            NotRegistrable: a module holds no flows that this runtime can run.
            ServiceMissing: a service that a flow uses is absent or does not fit.
            StoreError: the store is another party's, of another format, or cannot be opened.
        """
        return cls(
            party,
            store,
            network,
            modules,
            services or {},
            clock or _now_us,
            key or os.urandom(32),
            batch,
            reload,
            policy,
            limits,
            responders,
            accepts,
            retention,
            window,
        )

    @classmethod
    async def open(
        cls,
        party: str,
        *,
        store: Store,
        network: Network,
        modules: Iterable[ModuleType] | Registry,
        services: Mapping[str, object] | None = None,
        clock: Callable[[], int] | None = None,
        batch: int = BATCH,
        policy: Policy | None = None,
        limits: Limits | None = None,
        responders: Responders | None = None,
        accepts: Versions | None = None,
        retention: Retention | None = None,
        observer: Observer | None = None,
    ) -> Node:
        """A node that runs in this event loop until `close`. Flows in its store go on at once.
        `observer` sees each batch that is written. Raises as `create` does."""
        node = cls.create(
            party,
            store=store,
            network=network,
            modules=modules,
            services=services,
            clock=clock,
            batch=batch,
            policy=policy,
            limits=limits,
            responders=responders,
            accepts=accepts,
            retention=retention,
        )
        node.observer = observer
        node._asyncio = asyncio.get_running_loop()
        node._outside = set()
        node._over = asyncio.Event()
        node._greet_now_and_then()
        node._wake()
        return node

    def _greet_now_and_then(self) -> None:
        self.greet()
        assert self._asyncio is not None
        self._greeting = self._asyncio.call_later(GREETING_S, self._greet_now_and_then)

    async def close(self) -> None:
        """Stop; flows rest in the store. Whoever still awaits a result gets NodeStopped."""
        self._stop(NodeStopped(f"the node of {self.party.name} was closed"))
        if self._asyncio is not None and self._outside:
            await asyncio.wait(self._outside, timeout=CLOSING_S)

    async def stopped(self) -> NodeStopped:
        """Wait until the node does nothing any more, because it was closed or because its store
        cannot go on; gives the reason. A program that serves flows ends then and is started again.
        """
        assert self._over is not None, "only a node that runs in an event loop stops by itself"
        await self._over.wait()
        assert isinstance(self._stopped, NodeStopped)
        return self._stopped

    # --- asking ---

    def find(self, flow: type[Flow[R]], key: str) -> Handle[R] | None:
        """The living flow of that kind, of whatever version, with that business key."""
        self.refuse_if_stopped()
        found = self._store.holder(flow.name, key)
        return self.handle(found) if found is not None else None

    def flows(
        self, wanted: Wanted | None = None, *, limit: int | None = None, after: int = 0
    ) -> list[FlowView]:
        """Living flows, by id: all, or those that are `wanted`, and at most `limit` of them. Those
        whose class is not installed are in the hospital. Where there are many, ask for a page, and
        then for those `after` the last one's id."""
        self.refuse_if_stopped()
        views = (view(row, self.registry) for row in self._store.flows(after))
        fitting = (one for one in views if wanted is None or wanted.fits(one))
        return list(itertools.islice(fitting, limit))

    def reading(self) -> Reading:
        """What services have committed, for the `read` operations of a service's own object, called
        from outside of steps: `vault.states(node.reading(), StateQuery())`."""
        self.refuse_if_stopped()
        return Reading(self.party, self._store, self._clock, self._incarnation)

    def versions(self) -> list[VersionView]:
        """What still needs which version of which flow."""
        self.refuse_if_stopped()
        return versions(self._store.flows(), self.registry)

    def peers(self) -> list[PeerView]:
        """What each peer that the node knows of uses of what it may, by name."""
        self.refuse_if_stopped()
        now_us, nothing = self._clock(), (0, 0)
        refused, inbound = self._quotas.refused(), self._inbound.held()
        outbox = self._outbox.waiting()
        return [
            PeerView(
                name,
                known.sessions,
                self._quotas.invitations(name, now_us),
                known.unread,
                known.unread_bytes,
                *inbound.get(name, nothing),
                *outbox.get(name, nothing),
                refused.get(name, {}),
            )
            for name in sorted({*self._peers, *inbound, *outbox, *refused})
            for known in (self._peers.get(name) or Peer(0, []),)
        ]

    def dump(self, flow_id: int) -> Mapping[str, Any]:
        """All that a living flow is at rest, as plain data for JSON. KeyError if it is none."""
        self.refuse_if_stopped()
        row = next(self._store.flows(flow_id - 1), None)
        if row is None or row.flow_id != flow_id:
            raise KeyError(flow_id)
        return dump(row, self.registry)

    def progress(self, flow_id: int) -> list[ProgressEvent]:
        """A flow's committed progress events, but for those that subflows begin and end."""
        self.refuse_if_stopped()
        events = [decode(ProgressEvent, event) for event in self._store.moves(flow_id)]
        return [event for event in events if not event.is_structure]

    def moves(self, flow_id: int, start: int, limit: int) -> list[ProgressEvent]:
        """All of them, from number `start` on, at most `limit`."""
        self.refuse_if_stopped()
        found = self._store.moves(flow_id, start, limit)
        return [decode(ProgressEvent, event) for event in found]

    def tracker(self, flow_id: int) -> TreeView:
        """Where a flow stands in the tree of its progress. KeyError if it is unknown or purged."""
        return self.tree(flow_id).view()

    def tree(self, flow_id: int, from_the_beginning: bool = False) -> Tree:
        """The same, to be moved on by the events that follow: all that are committed are in it, or
        `from_the_beginning` none is."""
        self.refuse_if_stopped()
        ended, data = self._store.outcome(flow_id), self._store.load(flow_id)
        flow, begun = "?_v0", True
        if ended is not None:
            flow = ended[0]
        elif data is not None:
            with contextlib.suppress(BadBytes):
                checkpoint = decode_checkpoint(data, lambda name: Any)
                flow, begun = checkpoint.frames[0].flow, checkpoint.steps > 0
        else:
            raise KeyError(flow_id)
        tree = Tree(flow, self.registry.classes, begun)
        if from_the_beginning:
            return tree
        while page := self.moves(flow_id, tree.number, PAGE):
            for event in page:
                tree.apply(event)
        for report in self._reports.of(flow_id):
            tree.apply(report)
        if tree.trouble is None and flow_id in self._ward:
            tree.trouble = trouble_of(self._patient(flow_id))
        return tree

    # --- owners ---

    async def command(self, flow_id: int, message: Message) -> None:
        """Send to a flow from its owner: see `Handle.send`."""
        waiter = asyncio.get_running_loop().create_future()
        self._command(flow_id, message, waiter)
        await waiter

    async def command_once(self, flow_id: int, message: Message, *, name: str, by: str) -> bool:
        """The same, under a name that its sender chooses: however often that is asked for, also at
        once and after a restart, the flow is sent one message. False if it was sent before. The
        audit trail says by whom.

        Raises as `Handle.send` does; NotAccepted also if the name was used for another message.
        """
        waiter = asyncio.get_running_loop().create_future()
        told = self._command(flow_id, message, waiter, name, by)
        if told is not None:
            await asyncio.shield(told)
        return told is waiter

    def submit_command(self, flow_id: int, message: Message) -> concurrent.futures.Future[None]:
        """Like `command`, but does not wait: `turn` does it, and the future tells."""
        told: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._command(flow_id, message, told)
        return told

    def _command(
        self, flow_id: int, message: Message, waiter: Waiter, name: str = "", by: str = ""
    ) -> asyncio.Future[None] | None:
        """Put it before the loop. Gives what tells of its end; None where it was sent before."""
        self.refuse_if_stopped()
        if not isinstance(message, Message):
            raise TypeError(f"{message!r} is not a message")
        message = as_declared(type(message).__name__, type(message), message)
        body = encode(message)
        if len(body) > MAX_FRAME_BYTES - 1024:
            raise NotAccepted(f"a message of {len(body)} bytes is larger than one may be")
        job = Job(flow_id, Command(Data(message.wire, body)), None, waiter, by=writable(by))
        told = waiter if isinstance(waiter, asyncio.Future) else None
        if name:
            client = f"{SENT}{flow_id}/{name}"
            digest = hashlib.blake2b(body, key=message.wire.encode()[:64], digest_size=16).digest()
            asked, kept = self._asked.get(client), self._store.client(client)
            before = asked.digest if asked is not None else kept and kept[1]
            if before is not None:
                if before != digest:
                    raise NotAccepted(f"{name!r} is the name of another message to flow {flow_id}")
                return asked.told if asked is not None else None
            job.client = (client, digest)
            self._asked[client] = Asked(self.handle(flow_id), digest, told)
        self._ready.append(job)
        self._wake()
        return told

    def mail(self, flow_id: int, start: int) -> tuple[int, Letter | None]:
        """What a flow said to its owner first, from number `start` on: its number, and a message,
        what is to be raised, or None if nothing is there yet."""
        self.refuse_if_stopped()
        found = self._store.mail(flow_id, start, 1)
        if not found:
            ended = self._store.outcome(flow_id) is not None or self._store.load(flow_id) is None
            return start, SessionEnded() if ended else None
        number, data = found[0]
        content = decode(Mail, data)
        if type(content) is Data:
            return number, decode_message(self._message(content.name), content.body)
        if type(content) is Bounce:
            return number, Bounced(self._own(content), content.reason)
        if type(content) is not Failure:
            return number, SessionEnded()
        error = self.registry.errors.get(content.name)
        if error is not None:
            fields = decode(error.Fields, content.fields)
            return number, error_of(error, fields, content.error_id, None)
        failed = UnexpectedFlowEnd()
        failed.error_id = content.error_id
        return number, failed

    def _own(self, content: Bounce) -> Message | None:
        """What an owner sent; None if nobody can read it any more."""
        kind = self.registry.messages.get(content.name)
        try:
            return decode_message(kind, content.body) if kind is not None else None
        except Malformed:
            return None

    def _message(self, name: str) -> type[Message]:
        found = self.registry.messages.get(name)
        if found is None:
            raise LookupError(f"{name} is not installed, so it cannot be read")
        return found

    def unpack(self, outcome: Outcome) -> Any:
        """The result in an outcome, or its error, raised."""
        flow = self.registry.classes.get(outcome.flow)
        if outcome.error is not None:
            known = flow.errors if flow and outcome.error in flow.errors else self.registry.errors
            raise engine.error_from_outcome(outcome, known)
        if flow is None:
            raise LookupError(f"{outcome.flow} is not installed, so its result cannot be read")
        return decode(flow.Result, outcome.value)

    # --- the event loop ---

    def _perform(
        self,
        work: External,
        arguments: tuple[Any, ...],
        done: Callable[[Any, Exception | None], None],
    ) -> None:
        if self._asyncio is None:
            super()._perform(work, arguments, done)
            return
        task = self._asyncio.create_task(self._run_outside(work, arguments, done))
        self._outside.add(task)
        task.add_done_callback(self._outside.discard)

    async def _run_outside(
        self,
        work: External,
        arguments: tuple[Any, ...],
        done: Callable[[Any, Exception | None], None],
    ) -> None:
        try:
            if work.is_async:
                value = work.method(*arguments)
            else:
                value = await self._in_a_thread(work, arguments)
            if inspect.isawaitable(value):
                value = await value
        except asyncio.CancelledError as error:
            if self._stopped is not None:
                raise
            done(None, RuntimeError(f"it was cancelled: {error}"))
        except Exception as error:
            done(None, error)
        else:
            done(value, None)
        self._wake()

    async def _in_a_thread(self, work: External, arguments: tuple[Any, ...]) -> Any:
        # Not asyncio's own threads: those are few, and others use them too.
        if self._threads is None:
            self._threads = concurrent.futures.ThreadPoolExecutor(
                self._quotas.limits.operations, f"{self.party.name} operations"
            )
        call = functools.partial(contextvars.copy_context().run, work.method, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _wake(self) -> None:
        if self._asyncio is not None and not self._scheduled and self._stopped is None:
            self._scheduled = True
            self._asyncio.call_soon(self._run)

    def _has_news(self) -> None:
        if self._asyncio is not None and self._stopped is None:
            with contextlib.suppress(RuntimeError):  # The loop was closed in between.
                self._asyncio.call_soon_threadsafe(self._wake)

    def _run(self) -> None:
        if self._stopped is not None:
            return
        try:
            self.turn()
        except NodeStopped as reason:
            _LOG.error("%s", reason)
            return
        except Exception as error:
            _LOG.exception("%s: the node stops", self.party.name)
            self._stop(NodeStopped(f"{self.party.name}: {type(error).__name__}: {error}"))
            return
        assert self._asyncio is not None
        due_us = self.next_due()
        if due_us == 0:
            # Once round the event loop first: what has come while this batch was made and written
            # begins there, and goes into the next one instead of waiting for its end.
            self._asyncio.call_soon(self._asyncio.call_soon, self._run)
            return
        self._scheduled = False
        if due_us is not None:
            if self._alarm is not None:
                self._alarm.cancel()
            delay = min(max(0.0, (due_us - self._clock()) / 1_000_000), NAP_S)
            self._alarm = self._asyncio.call_later(delay, self._wake)

    def _tell(self, turn: Turn) -> None:
        super()._tell(turn)
        if self.observer is not None:
            self.observer.told(turn, self._incarnation)

    def _stop(self, reason: Exception) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._greeting is not None:
            self._greeting.cancel()
        for task in self._outside if self._asyncio is not None else ():
            task.cancel()  # Its operation is begun again when the node is opened again.
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        super()._stop(reason)
        if self.observer is not None:
            self.observer.close()
        if self._over is not None:
            self._over.set()


def _now_us() -> int:
    return time.time_ns() // 1000


__all__ = [
    "Bounced",
    "FlowView",
    "Handle",
    "Node",
    "NodeStopped",
    "NotAccepted",
    "NotStartable",
    "PeerView",
    "ScheduleView",
    "StillRunning",
    "TaskView",
    "VersionView",
    "Wanted",
]
