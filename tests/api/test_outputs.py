"""What the interface gives away besides answers: figures by names that stay, log lines that nobody
can forge; and of what is secret, nothing anywhere."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from flowrt.api import metrics
from flowrt.api.app import Offer
from flowrt.core.values import encode
from flowrt.logs import JsonLines, TextLines
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.tls import Figures
from tests.api.scene import Scene, play, token_of
from tests.api.test_flows import ORDER
from tests.api.test_matrix import BECAUSE, METHODS, TABLE

FIGURES = """\
flowrt_commits_total counter
flowrt_draining gauge
flowrt_flows_in_hospital gauge
flowrt_flows_kept gauge
flowrt_flows_living gauge
flowrt_flows_started_total counter
flowrt_http_request_seconds histogram
flowrt_http_requests_total counter
flowrt_http_watchers gauge
flowrt_notices_failed_total counter
flowrt_notices_told_total counter
flowrt_notices_waiting gauge
flowrt_outbox_bytes gauge
flowrt_outbox_frames gauge
flowrt_peers gauge
flowrt_refused_total counter
flowrt_sessions_open gauge
flowrt_unread_messages gauge
flowrt_wire_bytes_sent_total counter
flowrt_wire_connections gauge
flowrt_wire_refused_total counter
"""

OPERATIONS_PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def offer() -> Offer:
    return Offer(
        wire=lambda: {"connections": 2, "bytes_sent": 7, "refused": {"garbage": 5}},
        notices=lambda: {"desk": {"told": 3, "failed": 2, "waiting": 1}},
    )


def test_the_names_of_figures_stay() -> None:
    async def story(on: Scene) -> None:
        await on.start("ann", "Counts")
        await on.ask("ann", "GET", "/v1/flows/1")
        await on.ask("ann", "GET", "/v1/nothing")
        answer = await on.ask("vic", "GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.text.splitlines()
        kinds = sorted(line.removeprefix("# TYPE ") for line in lines if line.startswith("# TYPE"))
        assert "\n".join(kinds) + "\n" == FIGURES
        for name in (line.split()[0] for line in kinds):
            assert f"`{name}`" in OPERATIONS_PAGE.read_text(), name
        found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert found["flowrt_flows_started_total"] == "1"
        assert found["flowrt_flows_living"] == "1"
        assert found["flowrt_wire_bytes_sent_total"] == "7"
        assert found['flowrt_wire_refused_total{reason="garbage"}'] == "5"
        assert found['flowrt_notices_told_total{notifier="desk"}'] == "3"
        assert found['flowrt_notices_failed_total{notifier="desk"}'] == "2"
        assert found['flowrt_notices_waiting{notifier="desk"}'] == "1"
        of = 'operation="start_flow"'
        assert found[f'flowrt_http_requests_total{{{of},status="201"}}'] == "1"
        assert found['flowrt_http_requests_total{operation="none",status="404"}'] == "1"
        assert found[f'flowrt_http_request_seconds_bucket{{{of},le="+Inf"}}'] == "1"
        assert found[f"flowrt_http_request_seconds_count{{{of}}}"] == "1"

    play(story, offer=offer())


def test_whatever_connections_count_is_documented() -> None:
    page = OPERATIONS_PAGE.read_text()
    for field in dataclasses.fields(Figures):
        ending = "" if field.name in metrics.AS_OF_NOW else "_total"
        assert f"`flowrt_wire_{field.name}{ending}`" in page, field.name


def test_many_flows_are_not_counted_for_everybody_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1.0]
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: now[0])

    class Slow:
        counts = 0

        def count(self) -> tuple[int, int]:
            self.counts += 1
            now[0] += 0.05
            return self.counts, 0

    node: Any = Slow()
    figures = metrics.Figures()
    told = []
    for _ in range(4):
        told.append(figures.counted(node)[0])
        now[0] += 2.0
    assert told == [1, 1, 1, 2]


# --- log lines --------------------------------------------------------------------------------

NASTY = [
    "one\ntwo",
    'x", "level": "critical',
    "\x1b[2J\x1b[31mred",
    "\u202egnihton",
    "\u2028\u2029\x85",
    "\r\x08\x00",
    "\ud800",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_t22_a_record_is_one_line(text: str) -> None:
    # Not by a logger: what captures logs for pytest could not hand halves of letters on.
    try:
        raise ValueError(text)
    except ValueError:
        raised = sys.exc_info()
    where = ("tests", logging.WARNING, __file__, 1)
    record = logging.LogRecord(*where, "it said: %s", (text,), raised)
    about = {"party": text, "flow_id": 7, "session": 3, "user": text, "error_id": text}
    vars(record).update(about)
    for form in (JsonLines(), TextLines()):
        said = form.format(record)
        assert said.isprintable()
        assert len(said) < 80_000
    found = json.loads(JsonLines().format(record))
    assert found["message"] == f"it said: {text}"[:4000]
    assert (found["flow"], found["session"], found["level"]) == (7, 3, "warning")
    assert found["party"] == found["user"] == text[:4000]
    assert JsonLines().format(record).isascii()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])


def test_the_lines_of_a_flow_name_it(caplog: pytest.LogCaptureFixture) -> None:
    async def story(on: Scene) -> None:
        await on.start("ann", "Fails", text="bad\ntea")

    play(story)
    found = [json.loads(JsonLines().format(record)) for record in caplog.records]
    failed = next(one for one in found if "in the hospital" in one["message"])
    assert (failed["flow"], failed["party"], failed["level"]) == (1, "alice", "error")


# --- secrets ----------------------------------------------------------------------------------


def test_t32_nothing_that_is_secret_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything that can be asked is asked, by everybody, and failing too; then all that came of
    it is searched."""
    caplog.set_level(logging.DEBUG)
    told = [b""]
    secrets: list[bytes] = []

    async def story(on: Scene) -> None:
        secrets.extend(token_of(str(who)).encode() for who in on.users)
        digests = [str(user.token).removeprefix("sha256:") for user in on.users.values()]
        secrets.extend(digest.encode() for digest in digests)
        for secret in (on.node._world.key, on.node._store.open_secret):
            secrets.extend([secret, secret.hex().encode()])
        ended = await on.start("tom", "Orders", **ORDER)
        flow = await on.start("tom", "Counts")
        asks = await on.start("tom", "Asks")
        await on.start("ann", "Fails", text="bad tea")
        where = {"flow": flow, "ended": ended, "asks": asks, "hourly": f"{on.name}.Hourly"}
        for name, (path, body, _) in TABLE.items():
            method = METHODS[name.partition(" ")[0]]
            for who in (None, "nil", "tom", "ann"):
                said = {"flow": f"{on.name}.Counts"} if body and "flow" in body else body
                answer = await on.ask(who, method, path.format(**where), said)
                told.append(answer.content + repr(answer.headers).encode())
                # A token where none belongs.
                token = token_of(str(who))
                for wrong in (f"{path.format(**where)}?token={token}", f"/{token}"):
                    answer = await on.ask(who, method, wrong, {"token": token, **(said or {})})
                    told.append(answer.content + repr(answer.headers).encode())
        await on.ask("ann", "POST", f"/v1/flows/{flow}/kill", BECAUSE)
        told.append(repr(on.app.access).encode() + repr(on.app).encode() + repr(on.node).encode())
        told.append(encode(list(on.node._store.audit())))

    class Store(SqliteStore):
        """One that says its secret."""

        @property
        def open_secret(self) -> bytes:
            found: bytes = self._open_db.execute("SELECT secret FROM engine_node").fetchone()[0]
            return found

    play(story, store=Store(tmp_path / "alice.db"))
    form = JsonLines()
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    theirs = [record for record in caplog.records if record.name.startswith("http")]
    told += [form.format(record).encode() for record in ours]
    told += [repr(vars(record)).encode() for record in ours]
    whole = b"\n".join(told)
    assert len(secrets) == 20
    assert len(whole) > 100_000
    for secret in secrets:
        assert secret not in whole
    # The search would find it: the client that asks in this test is less discreet.
    assert token_of("ann") in "".join(record.getMessage() for record in theirs)
