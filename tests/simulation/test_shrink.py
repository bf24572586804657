"""A failure becomes small, stays the same failure, and plays again from its file exactly."""

from __future__ import annotations

import itertools
import json
import logging
import statistics
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowrt.sim import Played, play
from flowrt.sim.generic import Generic
from flowrt.sim.replay import (
    BadTrace,
    Story,
    read_trace,
    replay,
    trace_of,
    write_trace,
)
from flowrt.sim.shrink import kind_of, nested, shrink
from flowrt.sim.tape import count
from flowrt.sim.words import in_words, story
from flowrt.store.memory import MemoryStore
from tests.simulation.order import COUNTER, compiled


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Generic:
    """Stores that forget what they had not sent when they are opened again."""
    opened = MemoryStore.open

    def forget(store: MemoryStore, party: str) -> Any:
        store.disk.outbox.clear()
        return opened(store, party)

    monkeypatch.setattr(MemoryStore, "open", forget)
    return Generic([compiled(COUNTER, "counter")])


def failures(scenario: Generic, wanted: int) -> Iterator[Played]:
    for seed in range(400):
        played = play(scenario, seed)
        if played.violation is not None:
            yield played
            wanted -= 1
            if not wanted:
                return
    raise AssertionError("the planted defect was not found often enough")


def test_a_planted_defect_becomes_small(forgetful: Generic) -> None:
    left = []
    for played in failures(forgetful, 7):
        # The clock counts worlds, so that a busy machine finds the same.
        small = shrink(forgetful, played, seconds=1000, clock=itertools.count().__next__)
        assert kind_of(small.played.violation) == kind_of(played.violation)
        assert small.is_least
        assert small.left == count(small.played.choices) <= count(played.choices)
        again = play(forgetful, choices=small.played.choices)
        assert again.world.digest == small.played.world.digest
        assert str(again.violation) == str(small.played.violation)
        left.append(small.left)
    assert statistics.median(left) <= 15


def test_no_time_is_said(forgetful: Generic) -> None:
    played = next(failures(forgetful, 1))
    ticks = iter(range(1000))
    small = shrink(forgetful, played, seconds=3, clock=lambda: float(next(ticks)))
    assert not small.is_least
    assert small.tried <= 4
    assert kind_of(small.played.violation) == kind_of(played.violation)


def test_failures_are_the_same_by_their_invariant() -> None:
    from flowrt.sim import Violation

    assert kind_of(Violation("I1", "one")) == kind_of(Violation("I1", "two"))
    assert kind_of(Violation("crash", "KeyError: 1")) == kind_of(Violation("crash", "KeyError: 2"))
    assert kind_of(Violation("crash", "KeyError: 1")) != kind_of(Violation("crash", "OSError: 1"))
    assert kind_of(None) == ""


def test_the_choices_are_told_in_words() -> None:
    choices = nested(
        [
            ("packet alice-bob", 2, 1),
            ("packet bob-alice", 0, 3),
            ("delay of packet bob-alice 1", 0, 2),
            ("commit alice", 0, 1),
            ("flows", 0, 1),
            ("trouble", 4, 1),
            ("place of trouble 5", 0, 1),
            ("something new", 6, 2),
        ]
    )
    assert in_words(choices, ["bob", "alice"]) == [
        "2 flows are started",
        "commit number 1 of alice: crash before",
        "packet number 1 from bob to alice is 3/8 late",
        "packet number 3 from alice to bob is lost",
        "packet number 1 from bob to alice is late",
        "trouble 5 is at bob",
        "something new, draw 7: 2",
        "trouble 5 is: crash",
    ]


# --- files --------------------------------------------------------------------------------------


@pytest.fixture
def found(forgetful: Generic) -> Played:
    return next(failures(forgetful, 1))


def test_a_file_holds_the_world(forgetful: Generic, found: Played, tmp_path: Path) -> None:
    trace = trace_of(found, Story("generic", {"parties": 3}, {"counter.flow": "1234"}))
    path = tmp_path / "one.flowtrace"
    write_trace(trace, path)
    assert read_trace(path) == trace
    write_trace(read_trace(path), tmp_path / "two.flowtrace")
    assert path.read_bytes() == (tmp_path / "two.flowtrace").read_bytes()
    again = replay(read_trace(path), forgetful)
    assert (again.same, again.difference, again.first) == (True, "", None)


def test_a_repair_is_seen(
    forgetful: Generic, found: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = trace_of(found, Story("generic"))
    monkeypatch.undo()
    again = replay(trace, forgetful)
    assert not again.same
    assert found.violation is not None
    assert again.difference.startswith(f"{found.violation.invariant} is not violated any more")
    assert again.first is not None
    assert f"differs at event {again.first + 1} of {len(trace.events)}" in again.difference
    before = list(story(found.world.history, found.world.start_us, steps=True))[: again.first]
    after = list(story(again.played.world.history, found.world.start_us, steps=True))
    assert before == after[: again.first]


def test_another_world_is_seen(forgetful: Generic, found: Played) -> None:
    trace = trace_of(found, Story("generic"))
    other = trace.__class__(
        **{name: getattr(trace, name) for name in trace.__struct_fields__ if name != "digest"},
        digest="0" * 16,
    )
    assert (
        replay(other, forgetful).difference == "the same is violated, but the world went otherwise"
    )


GOOD = {
    "format": 1,
    "story": {"kind": "generic", "parameters": {}, "sources": {}},
    "seed": 1,
    "choices": {"commit alice": {"0": 1}},
    "digest": "00",
    "violation": None,
    "events": [],
    "versions": {},
}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", "is not a replay file: it is not JSON"),
        ("[1]", "is not a replay file: it does not say its format"),
        (GOOD | {"format": "one"}, "is not a replay file: it does not say its format"),
        (GOOD | {"format": 9}, "has format 9, and this runtime reads format 1"),
        (GOOD | {"choices": {"commit alice": {"x": 1}}}, "is damaged: Expected `int`"),
        (GOOD | {"choices": {"commit alice": [1]}}, "is damaged: Expected `object`"),
        (GOOD | {"choices": {"commit alice": {"0": 0}}}, "is damaged: choice 0 of 'commit alice'"),
        (GOOD | {"choices": {"commit alice": {"-1": 1}}}, "is damaged: choice -1 of 'commit"),
        (GOOD | {"surprise": 1}, "is damaged: Object contains unknown field `surprise`"),
        ({k: v for k, v in GOOD.items() if k != "digest"}, "missing required field `digest`"),
        ("[" * 100_000, "is not a replay file: it is not JSON"),
    ],
)
def test_what_is_no_replay_file_is_said(data: Any, says: str, tmp_path: Path) -> None:
    """R46."""
    path = tmp_path / "bad.flowtrace"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    with pytest.raises(BadTrace) as error:
        read_trace(path)
    assert str(error.value).startswith(str(path))
    assert says in str(error.value)


@pytest.mark.parametrize("kind", ["zip", "tar", "10 GB"])
def test_r46_a_replay_file_is_no_archive_and_of_bounded_size(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.flowtrace"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../outside", bytes(10**7))
    elif kind == "tar":
        with tarfile.open(path, "w:gz") as archive:
            link = tarfile.TarInfo("../outside")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    else:
        with path.open("wb") as file:
            file.truncate(10 * 10**9)
    with pytest.raises(BadTrace, match="too large to be" if kind == "10 GB" else "is not JSON"):
        read_trace(path)
    assert [one.name for one in tmp_path.parent.glob("outside")] == []


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadTrace, match=r"cannot read .*: No such file or directory"):
        read_trace(tmp_path / "none.flowtrace")


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.flowtrace"
    path.write_text(json.dumps(GOOD))
    assert read_trace(path).choices == {"commit alice": {0: 1}}
