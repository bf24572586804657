"""Replay files: one world, written down so that it can be played again exactly, years later.

A `*.flowtrace` file is JSON. It says which story was played (and of which sources), every choice
that was not 0, and what came of it. It holds no code: who replays has the flows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from flowrt.core.flow import CONTRACT
from flowrt.sim.history import Event
from flowrt.sim.scenario import Played, Scenario, play
from flowrt.sim.shrink import kind_of
from flowrt.sim.tape import Choices
from flowrt.sim.violation import Violation

FORMAT = 1
SUFFIX = ".flowtrace"

MOST_BYTES = 64 << 20
"""A larger file is none of ours."""


class BadTrace(Exception):
    """A file is no replay file, or not for what is here; says which, why, and what to do."""


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which scenario was played: `kind` is "generic" or "object"; `parameters` are what the one who
    plays it needs to make it again. `sources` are hashes of its files, by path."""

    kind: str
    parameters: dict[str, Any] = {}
    sources: dict[str, str] = {}


class Broken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was violated, and how it was said."""

    invariant: str
    text: str


class Trace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One world. `events` has a hash of each event, in order, so that the first difference can be
    named; `versions` are what it was played with."""

    format: int
    story: Story
    seed: int | None
    choices: dict[str, dict[int, int]]
    digest: str
    violation: Broken | None
    events: list[str]
    versions: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A world that was played again. `same`: it went exactly as the file says; otherwise
    `difference` says what is different, and `first` is the number of the first event that is,
    counted from 0, None if none is known."""

    played: Played
    same: bool
    difference: str
    first: int | None


def trace_of(played: Played, story: Story) -> Trace:
    """What a file about this world holds."""
    found = played.violation
    return Trace(
        FORMAT,
        story,
        played.seed,
        {label: dict(some) for label, some in played.choices.items()},
        played.world.digest,
        Broken(found.invariant, found.text) if found is not None else None,
        [_hash(event) for event in played.world.history],
        {"runtime": str(CONTRACT), "python": platform.python_version()},
    )


def write_trace(trace: Trace, path: Path) -> None:
    """Write the file; the same world gives the same bytes. Raises OSError."""
    plain = msgspec.to_builtins(trace, str_keys=True)
    text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_trace(path: Path) -> Trace:
    """The world in a file. Raises BadTrace."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadTrace(f"{path} is too large to be a replay file")
        data = path.read_bytes()
    except OSError as error:
        raise BadTrace(f"cannot read {path}: {error.strerror}") from None
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise BadTrace(f"{path} is not a replay file: it is not JSON") from None
    if not isinstance(plain, Mapping) or not isinstance(plain.get("format"), int):
        raise BadTrace(f"{path} is not a replay file: it does not say its format")
    if plain["format"] != FORMAT:
        raise BadTrace(
            f"{path} has format {plain['format']}, and this runtime reads format {FORMAT}; "
            "replay it with the version that wrote it"
        )
    try:
        trace = msgspec.convert(plain, Trace, strict=False)
        _check(trace.choices)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise BadTrace(f"{path} is damaged: {error}") from None
    return trace


def _check(choices: Choices) -> None:
    for label, found in choices.items():
        for index, value in found.items():
            if index < 0 or value < 1:
                raise ValueError(f"choice {index} of {label!a} is {value}")


def replay(trace: Trace, scenario: Scenario) -> Replayed:
    """Play the world again."""
    played = play(scenario, choices=trace.choices)
    first = _first_difference(trace, played)
    text = _different(trace, played, first)
    return Replayed(played, not text, text, first)


def _first_difference(trace: Trace, played: Played) -> int | None:
    history = played.world.history
    for number, wanted in enumerate(trace.events):
        if number >= len(history) or _hash(history[number]) != wanted:
            return number
    return len(trace.events) if len(history) > len(trace.events) else None


def _different(trace: Trace, played: Played, first: int | None) -> str:
    where = ""
    if first is not None:
        where = f"; it first differs at event {first + 1} of {len(trace.events)}"
    wanted, found = trace.violation, played.violation
    if wanted is not None and found is None:
        return f"{wanted.invariant} is not violated any more{where}"
    if wanted is None and found is not None:
        return f"{found} is violated, and was not before{where}"
    if wanted is not None and kind_of(Violation(wanted.invariant, wanted.text)) != kind_of(found):
        return f"{found} is violated now, and {wanted.invariant} was before{where}"
    if wanted is not None and found is not None and wanted.text != found.text:
        return f"{wanted.invariant} is violated otherwise: {found.text}{where}"
    if played.world.digest != trace.digest:
        return f"the same is violated, but the world went otherwise{where}"
    return ""


def _hash(event: Event) -> str:
    return hashlib.blake2b(repr(event).encode(), digest_size=4).hexdigest()


def source_hash(data: bytes) -> str:
    """What names a source file's content in a replay file."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
