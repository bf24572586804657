"""Figures of a node and of its interface, in the text form of Prometheus. Their names stay.

Counts what the interface answers; asks the node for the rest when somebody looks.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from starlette.responses import Response

from flowrt.api.routing import Call, Operation

if TYPE_CHECKING:
    from flowrt.node import Node

UNNOTICED_S = 0.005
"""What may be counted whenever somebody asks."""

Wire: TypeAlias = Mapping[str, "int | float | Mapping[str, int]"]
"""What a network has counted, by name; of some things by reason."""

Notices: TypeAlias = Mapping[str, Mapping[str, int]]
"""What each notifier took, how often it failed, what waits for it."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
"""Upper bounds of the times of requests, in seconds."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Figures:
    """What the interface has answered since its node was opened."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self.watchers = 0
        self._counted = (0, 0)
        self._count_again = 0.0

    def counted(self, node: Node) -> tuple[int, int]:
        """How many flows live, and are kept. Counting looks at every row, so of many flows it is
        done less often: it takes a hundredth of the time at most, whoever asks."""
        began = time.perf_counter()
        if began >= self._count_again:
            self._counted = node.count()
            took = time.perf_counter() - began
            self._count_again = began + 100 * took if took > UNNOTICED_S else 0.0
        return self._counted

    def answered(self, operation: Operation | None, status: int, seconds: float) -> None:
        """A request was answered. Names are those of operations: a path that somebody made up
        makes no new figure."""
        name = operation.name if operation is not None else "none"
        self._answers[name, status] += 1
        times = self._times.setdefault(name, [0] * len(BUCKETS))
        for place, most in enumerate(BUCKETS):
            if seconds <= most:
                times[place] += 1
                break
        self._seconds[name] += seconds  # type: ignore[assignment]  # a counter of seconds

    def lines(self) -> Iterable[str]:
        """All of them as text."""
        yield from _head("flowrt_http_requests_total", "counter", "Requests that were answered.")
        for (name, status), count in sorted(self._answers.items()):
            labels = {"operation": name, "status": str(status)}
            yield _line("flowrt_http_requests_total", count, labels)
        name = "flowrt_http_request_seconds"
        yield from _head(name, "histogram", "Until a request was answered, or began to be.")
        for operation, times in sorted(self._times.items()):
            total = 0
            for most, count in zip(BUCKETS, times, strict=True):
                total += count
                labels = {"operation": operation, "le": "+Inf" if most == math.inf else str(most)}
                yield _line(f"{name}_bucket", total, labels)
            yield _line(f"{name}_sum", self._seconds[operation], {"operation": operation})
            yield _line(f"{name}_count", total, {"operation": operation})
        yield from _head("flowrt_http_watchers", "gauge", "Readers of progress that are connected.")
        yield _line("flowrt_http_watchers", self.watchers)


def _of_node(node: Node, figures: Figures) -> Iterable[str]:
    living, ended = figures.counted(node)
    peers = node.peers()
    for name, kind, about, value in (
        ("flows_started_total", "counter", "Flows that were ever begun here.", node.begun),
        ("flows_living", "gauge", "Flows that have not ended.", living),
        ("flows_in_hospital", "gauge", "Flows that failed and wait.", node.in_hospital),
        ("flows_kept", "gauge", "Flows that ended and are not purged.", ended),
        ("commits_total", "counter", "Batches that the store has written.", node.commits),
        ("outbox_frames", "gauge", "Frames that wait to be sent.", sum(p.outbox for p in peers)),
        ("outbox_bytes", "gauge", "Their bytes.", sum(p.outbox_bytes for p in peers)),
        ("unread_messages", "gauge", "Messages of peers not read.", sum(p.unread for p in peers)),
        ("sessions_open", "gauge", "Sessions that peers began.", sum(p.sessions for p in peers)),
        ("peers", "gauge", "Peers that the node has met.", len(peers)),
        ("draining", "gauge", "1 while the node takes nothing new.", int(node.is_draining)),
    ):
        yield from _head(f"flowrt_{name}", kind, about)
        yield _line(f"flowrt_{name}", value)

    yield from _head("flowrt_refused_total", "counter", "What was refused of peers, by reason.")
    refused: Counter[str] = Counter()
    for peer in peers:
        refused.update(peer.refused)
    for reason, count in sorted(refused.items()):
        yield _line("flowrt_refused_total", count, {"reason": reason})


AS_OF_NOW = frozenset({"connections", "handshakes", "waiting_bytes"})
"""What of the connections to peers goes up and down; the rest counts."""


def _of_network(figures: Wire) -> Iterable[str]:
    for what, value in sorted(figures.items()):
        is_now = what in AS_OF_NOW
        name = f"flowrt_wire_{what}" if is_now else f"flowrt_wire_{what}_total"
        about = f"Connections to peers: {what.replace('_', ' ')}."
        yield from _head(name, "gauge" if is_now else "counter", about)
        if isinstance(value, Mapping):
            for reason, count in sorted(value.items()):
                yield _line(name, count, {"reason": reason})
        else:
            yield _line(name, value)


def _of_notices(figures: Notices) -> Iterable[str]:
    for what, kind, about in (
        ("told", "counter", "Notices of tasks that were taken."),
        ("failed", "counter", "Notices of tasks that failed, and come again."),
        ("waiting", "gauge", "Notices of tasks that are not taken yet."),
    ):
        name = f"flowrt_notices_{what}" if kind == "gauge" else f"flowrt_notices_{what}_total"
        yield from _head(name, kind, about)
        for notifier, counts in sorted(figures.items()):
            yield _line(name, counts[what], {"notifier": notifier})


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _line(name: str, value: float, labels: Mapping[str, str] | None = None) -> str:
    said = ",".join(f'{key}="{_escaped(text)}"' for key, text in (labels or {}).items())
    return f"{name}{{{said}}} {value}" if said else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def read_metrics(call: Call) -> Response:
    call.need("metrics")
    lines = [*_of_node(call.node, call.app.figures), *call.app.figures.lines()]
    if call.app.offer.wire is not None:
        lines += _of_network(call.app.offer.wire())
    if call.app.offer.notices is not None:
        lines += _of_notices(call.app.offer.notices())
    return Response("\n".join(lines) + "\n", media_type=TEXT)


OPERATIONS = (
    Operation(
        "GET",
        "/metrics",
        read_metrics,
        "Figures in the text form of Prometheus.",
        {200: str},
        "metrics",
        content="text/plain",
    ),
)
