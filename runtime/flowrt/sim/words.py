"""Choices of a tape and events of a world, in words for people. Decides nothing.

A choice of which nothing particular is known is shown by its label and its number.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from flowrt.core.flow import Message, Party, written
from flowrt.core.values import Data, End, Failure
from flowrt.sim import faults
from flowrt.sim.history import Began, Called, Ended, Event, Received, Rested, Sent, Trouble
from flowrt.sim.network import STEPS
from flowrt.sim.tape import Choices

LONGEST = 160
"""How much of one value is shown."""


def in_words(choices: Choices, parties: Sequence[str] = ()) -> list[str]:
    """Each choice that is not 0, in a line. `parties` are those of the world, so that they can be
    called by their names."""
    names = sorted(parties)
    return [
        _choice(label, index, value, names)
        for label in sorted(choices, key=_rank)
        for index, value in sorted(choices[label].items())
    ]


_FIRST = ("flows", "flow", "party", "arguments", "time", "commands", "answer", "throw", "person")


def _rank(label: str) -> tuple[int, str]:
    """What the world is given comes first, then what goes wrong in it."""
    word = label.partition(" ")[0]
    return (_FIRST.index(word) if word in _FIRST else len(_FIRST), label)


def _choice(label: str, index: int, value: int, names: Sequence[str]) -> str:
    word, _, rest = label.partition(" ")
    if label in _WHOLE:
        return _WHOLE[label](index, value)
    if word in _WORDS and rest:
        return _WORDS[word](rest, index, value)
    if word in ("place", "other"):
        where = names[value] if value < len(names) else f"party {_nth(value)}"
        return f"{rest.removeprefix('of ')} is {'at' if word == 'place' else 'with'} {where}"
    return f"{label}, draw {index + 1}: {value}"


def _nth(index: int) -> str:
    return f"number {index + 1}"


def _kind(names: Sequence[str], value: int) -> str:
    return names[value] if value < len(names) else str(value)


def _packet(pair: str, index: int, value: int) -> str:
    sender, _, receiver = pair.partition("-")
    fate = _kind(faults.PACKETS, value)
    return f"packet {_nth(index)} from {sender} to {receiver} is {fate}"


def _delay(rest: str, index: int, value: int) -> str:
    pair, _, number = rest.removeprefix("of packet ").rpartition(" ")
    sender, _, receiver = pair.partition("-")
    return f"packet number {number} from {sender} to {receiver} is {value + 1}/{STEPS} late"


_WORDS: Mapping[str, Callable[[str, int, int], str]] = {
    "commit": lambda who, n, v: f"commit {_nth(n)} of {who}: {_kind(faults.FATES, v)}",
    "packet": _packet,
    "delay": _delay,
    "operation": lambda who, n, v: (
        f"operation {_nth(n)} outside of steps at {who}: {_kind(faults.OPERATIONS, v)}"
    ),
    "opening": lambda who, n, v: f"process {_nth(n)} of {who} dies while it opens",
    "crash": lambda who, n, v: (
        f"the process of {who.removeprefix('sending ')} dies after packet {_nth(n)} that it sends"
    ),
    "skew": lambda who, n, v: f"the clock of {who} is wrong from the beginning (choice {v})",
    "turn": lambda who, n, v: f"turn {_nth(n)} of {who} comes {5 * v} ms late",
    "restart": lambda who, n, v: f"restart {_nth(n)} of {who} takes {10**v} times as long",
    "length": lambda rest, n, v: f"{rest.removeprefix('of ')} lasts {v + 1} times as long",
    "jump": lambda rest, n, v: f"{rest.removeprefix('of ')} moves the clock far (choice {v})",
    "arguments": lambda rest, n, v: f"the arguments {rest}: choice {n + 1} is {v}",
    "answer": lambda rest, n, v: f"the answer {rest}: choice {n + 1} is {v}",
    "throw": lambda rest, n, v: f"{rest} throws its declared error {_nth(v - 1)}",
    "time": lambda rest, n, v: f"{rest.removeprefix('of ')} comes later (choice {v})",
    "party": lambda rest, n, v: f"{rest.removeprefix('of ')} is at another party (choice {v})",
    "flow": lambda rest, n, v: f"start {rest} is of another flow (choice {v})",
    "commands": lambda rest, n, v: f"what the owner says {rest}: choice {n + 1} is {v}",
    "person": lambda rest, n, v: f"the person {rest} takes another time to think (choice {v})",
}

_WHOLE: Mapping[str, Callable[[int, int], str]] = {
    "flows": lambda n, v: f"{v + 1} flows are started",
    "reload": lambda n, v: "every flow is read from its bytes for each step",
    "batch": lambda n, v: f"at most {(512, 1, 3, 16)[v % 4]} events in one commit",
    "trouble every": lambda n, v: f"trouble comes every {(0, 50, 500, 5_000)[v % 4]} ms",
    "trouble": lambda n, v: f"trouble {n + 1} is: {_kind(faults.TROUBLE, v)}",
}


# --- what happened ------------------------------------------------------------------------------


def story(history: Sequence[Event], start_us: int, *, steps: bool = False) -> Iterator[str]:
    """What happened, in lines: when (since the world began), where, what. What is sent is told when
    it is sent, and again when it is read; with `steps`, where each step led, too."""
    for event in history:
        said = _said(event) or (_moved(event) if steps and type(event) is Rested else "")
        if said:
            yield f"{_since(event.at_us - start_us):>14}  {event.party}: {said}"


def _since(us: int) -> str:
    if us < 86_400_000_000:
        return f"{us / 1_000_000:,.3f} s"
    return f"{us / 86_400_000_000:,.3f} days"


def _said(event: Event) -> str:
    match event:
        case Began(parent=0):
            return f"flow {event.flow_id} begins: {event.flow}"
        case Began():
            return f"flow {event.flow_id} begins, started by flow {event.parent}: {event.flow}"
        case Sent():
            return f"flow {event.flow_id} → {event.peer or 'its owner'}: {_content(event)}"
        case Received():
            return f"flow {event.flow_id} ← {event.peer or 'its owner'}: {_content(event)}"
        case Called():
            arguments = ", ".join(map(shown, event.arguments))
            return f"flow {event.flow_id} calls {event.operation}({arguments})"
        case Ended(error=None):
            return f"flow {event.flow_id} returns: {event.flow}"
        case Ended():
            return f"flow {event.flow_id} ends with {event.error}: {event.flow}"
        case Trouble():
            during = f" ({event.during})" if event.during else ""
            return f"!! {event.kind}{during}"
        case Rested():
            return ""


def _moved(event: Rested) -> str:
    states = " in ".join([f"{flow}.{state}" for flow, state in reversed(event.path)])
    return f"flow {event.flow_id} rests in {states}" if states else f"flow {event.flow_id} is over"


def _content(event: Sent | Received) -> str:
    content = event.content
    if type(content) is Data:
        message = event.message
        return shown(message) if message is not None else f"{content.name}, which is unreadable"
    if type(content) is Failure:
        return f"fails with {content.name}"
    return "the end" if type(content) is End else type(content).__name__


def shown(value: Any) -> str:
    """A value on one line, as an author would write it; what is long is cut."""
    text = _shown(value)
    text = "".join([c if c.isprintable() else f"\\x{ord(c):02x}" for c in text])
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _shown(value: Any) -> str:
    if isinstance(value, Message | msgspec.Struct) and not isinstance(value, Party):
        fields = [f"{name}={_shown(getattr(value, name))}" for name in value.__struct_fields__]
        return f"{type(value).__name__.rpartition('_')[2]}({', '.join(fields)})"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_shown(k)}: {_shown(v)}' for k, v in value.items())}}}"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return written(value)
