"""What two flows say to each other, decided before either is written, so that they always fit.

At every point of a script one side has the turn: it speaks next, and the other one listens. The
rule that makes a program's outcome independent of timing is kept by whoever writes a flow from a
script: *a flow fails, ends a session or leaves its block only while it has the turn, or after the
script's last word*. So an error or an end always meets a peer that listens, never one that is about
to send. `joined` messages leave in one step with the one before, so between them the listener may
fail too. A side of a `calm` script never fails of itself before the last word, so that its peer may
wait for several calm sessions at once.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from tests.programs.choices import Choices, chance, weighted

INITIATOR, RESPONDER = 0, 1


@dataclasses.dataclass(frozen=True)
class Say:
    """One message. `flag` is what its first field, a Bool, must be, if that steers the listener;
    `mistaken` is the message that the listener wrongly expects instead."""

    sender: int
    message: str
    flag: bool | None = None
    joined: bool = False
    mistaken: str | None = None


@dataclasses.dataclass(frozen=True)
class Repeat:
    """`chooser` says with each `message` whether the body comes once more."""

    chooser: int
    message: str
    body: tuple[Item, ...]


@dataclasses.dataclass(frozen=True)
class Either:
    """`chooser` says with `message` which way it goes."""

    chooser: int
    message: str
    left: tuple[Item, ...]
    right: tuple[Item, ...]


Item: TypeAlias = Say | Repeat | Either


@dataclasses.dataclass(frozen=True)
class Script:
    items: tuple[Item, ...]
    calm: bool


def speaker(item: Item) -> int:
    """Who has the turn before this item."""
    return item.sender if isinstance(item, Say) else item.chooser


def script(choices: Choices, messages: list[str], steering: str, *, calm: bool) -> Script:
    """A new script over these messages; `steering` has a Bool as its first field."""
    first = weighted(choices, [(8, INITIATOR), (1, RESPONDER)])
    items = _items(choices, first, messages, steering, 0, calm)
    if chance(choices, 50 if calm else 25):
        # Two in a row, each in a step of its own: the first of them may be late, and even dropped.
        at = weighted(choices, [(1, 0), (3, 1)])
        who = weighted(choices, [(1, INITIATOR), (3, RESPONDER)])
        # Whoever said what nobody expected listens next: the other side fails.
        failing = at > 0 and getattr(items[at - 1], "mistaken", None) is not None
        if not failing and not getattr(items[at], "joined", False):
            items[at:at] = [Say(who, messages[choices.below(len(messages))])] * 2
    return Script(tuple(items), calm)


def _items(
    choices: Choices, sender: int, messages: list[str], steering: str, depth: int, calm: bool
) -> list[Item]:
    """A few items; the first one is spoken by `sender`, and at least one is a message."""
    count = (1 if depth else 2) + choices.below(4 if depth == 0 else 2)
    items: list[Item] = []
    joined = False
    for _ in range(count):
        message = messages[choices.below(len(messages))]
        sort = weighted(choices, [(12, "say"), (2, "repeat"), (2, "either")])
        if sort == "say" or depth >= 2 or joined:
            mistaken = next((other for other in messages if other != message), None)
            if not calm and depth == 0 and mistaken and chance(choices, 8):
                items.append(Say(sender, message, mistaken=mistaken))
                items.append(Say(1 - sender, message))
                break
            items.append(Say(sender, message, joined=joined))
        elif sort == "repeat":
            body = _items(choices, choices.below(2), messages, steering, depth + 1, calm)
            items.append(Repeat(sender, steering, tuple(body)))
        else:
            # Both ways begin with whoever; what follows the choice is spoken by `sender` below.
            left = _items(choices, choices.below(2), messages, steering, depth + 1, calm)
            right = _items(choices, choices.below(2), messages, steering, depth + 1, calm)
            items.append(Either(sender, steering, tuple(left), tuple(right)))
        again = chance(choices, 25)
        joined = again and isinstance(items[-1], Say) and chance(choices, 50)
        sender = sender if again else 1 - sender
    return items


def messages_of(items: tuple[Item, ...]) -> set[str]:
    """The names of all messages that a script uses."""
    found: set[str] = set()
    for item in items:
        found.add(item.message)
        if isinstance(item, Say) and item.mistaken:
            found.add(item.mistaken)
        elif isinstance(item, Repeat):
            found |= messages_of(item.body)
        elif isinstance(item, Either):
            found |= messages_of(item.left) | messages_of(item.right)
    return found
