"""What can be seen of a run, by whatever means the program was run. Runs nothing."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple


class Ending(NamedTuple):
    """How a flow ended: "returned" with its result, "failed" with its error and the `peer` who
    sent that, if it came from one; or not at all: "hospital" or "waiting"."""

    how: str
    value: object = None
    peer: str | None = None

    def __str__(self) -> str:
        value = "" if self.value is None else f" {self.value!r}"
        peer = "" if self.peer is None else f" (from {self.peer})"
        return f"{self.how}{value}{peer}"


class Conversation(NamedTuple):
    """One session: who was invited to run what, and the messages of each side in order."""

    peer: str
    responder: str
    from_initiator: tuple[object, ...]
    from_responder: tuple[object, ...]


class Flown(NamedTuple):
    """One flow of one party, from the outside."""

    party: str
    flow: str
    ending: Ending
    journal: tuple[str, ...]
    logs: tuple[tuple[str, str], ...]
    moves: tuple[tuple[str, tuple[str, ...], str], ...]
    """Progress: the flow or subflow that moved, the path of steps, the label."""
    conversations: tuple[Conversation, ...]


@dataclasses.dataclass(frozen=True)
class Seen:
    """All flows of a run. Which of several alike came first says nothing, so they are sorted."""

    flows: tuple[Flown, ...]

    @property
    def main(self) -> Flown:
        return next(flown for flown in self.flows if flown.flow == "Main")

    def __str__(self) -> str:
        lines = []
        for flown in self.flows:
            lines.append(f"{flown.party} ran {flown.flow}: {flown.ending}")
            lines += [f"    journal {line!r}" for line in flown.journal]
            lines += [f"    log {level} {line!r}" for level, line in flown.logs]
            lines += [
                f"    step {flow} {'/'.join(path)} {label!r}" for flow, path, label in flown.moves
            ]
            for talk in flown.conversations:
                lines.append(f"    session with {talk.responder} at {talk.peer}")
                lines += [f"        -> {message!r}" for message in talk.from_initiator]
                lines += [f"        <- {message!r}" for message in talk.from_responder]
        return "\n".join(lines)


def seen(flows: list[Flown]) -> Seen:
    return Seen(tuple(sorted(flows, key=repr)))


def differences(expected: Seen, actual: Seen) -> str:
    """The flows in which two runs differ, as a person compares them; empty if they are equal."""
    if expected == actual:
        return ""
    missing = [flown for flown in expected.flows if flown not in actual.flows]
    surplus = [flown for flown in actual.flows if flown not in expected.flows]
    return (
        f"--- only in the expected run\n{Seen(tuple(missing))}\n"
        f"--- only in the actual run\n{Seen(tuple(surplus))}"
    )
