"""What a notary answers to a claim, given its book and the time. Signs nothing.

The rules are Corda's (its `PersistentUniquenessProvider`) but for one: who was accepted once is
accepted again, whatever has happened since to its window and to the states that it only refers to.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from flowrt.ledger.notary.requests import Claim
from flowrt.stdlib.ledger.parts_flow import StateRef, TimeWindow
from flowrt.store.uniqueness import Book, Entries, Request


class Accepted(NamedTuple):
    """It is entered, now or since long."""


class Used(NamedTuple):
    """A state of the claim that another transaction has used up, of whose id `by` is the SHA-256;
    the claim uses it up as well, or only refers to it."""

    ref: StateRef
    by: bytes
    is_input: bool


class Conflicting(NamedTuple):
    """Others were first."""

    states: tuple[Used, ...]


class OutsideWindow(NamedTuple):
    """It is too early or too late."""

    now: datetime.datetime
    window: TimeWindow


class NotAccepted(NamedTuple):
    """It was asked whether this was accepted before; it was not, and is not now. It may be yet: if
    it never can be, it is Conflicting or OutsideWindow."""


Verdict: TypeAlias = Accepted | Conflicting | OutsideWindow | NotAccepted


def name_of(ref: StateRef) -> bytes:
    """Under what name a state stands in the book: the id and two bytes of the number."""
    return ref.transaction + ref.index.to_bytes(2, "big")


def hash_of(id: bytes) -> bytes:
    """What the book, and a conflict, tell of a transaction: enough for those who know its id."""
    return hashlib.sha256(id).digest()


def is_within(window: TimeWindow | None, now: datetime.datetime) -> bool:
    """From `since` on and before `until`."""
    if window is None:
        return True
    return (window.since is None or window.since <= now) and (
        window.until is None or now < window.until
    )


def is_over(window: TimeWindow, now: datetime.datetime) -> bool:
    """Whether it is too late for ever."""
    return window.until is not None and window.until <= now


def decide(
    book: Book, claims: Sequence[Claim], clock: Callable[[], datetime.datetime]
) -> list[Verdict]:
    """The verdict on each claim, in their order, entered in one transaction: when this returns,
    they are there for good. Each sees those before it, so of two that conflict the first is
    accepted, and equal ones have the same answer."""
    with book.transaction() as entries:
        now = clock()  # Inside: another worker's transaction may have been waited for.
        verdicts = [_judge(entries, claim, now) for claim in claims]
        at_us = (now - _EPOCH) // _MICROSECOND
        entries.log(
            Request(
                at_us,
                claim.requester,
                hash_of(claim.transaction),
                type(verdict).__name__,
                claim.proof,
            )
            for claim, verdict in zip(claims, verdicts, strict=True)
            if not claim.again  # Who only asks changes nothing, and asks often.
        )
    return verdicts


def _judge(entries: Entries, claim: Claim, now: datetime.datetime) -> Verdict:
    us = hash_of(claim.transaction)
    names = [name_of(ref) for ref in claim.inputs]
    users = [entries.user(name) for name in names]
    # All inputs of a transaction were entered together, and its id says which they are.
    was_accepted = users[0] == us if users else entries.is_accepted(us)
    if was_accepted:
        return Accepted()
    conflicts = [
        Used(ref, user, is_input=True)
        for ref, user in zip(claim.inputs, users, strict=True)
        if user is not None
    ]
    for ref in claim.references:
        user = entries.user(name_of(ref))
        if user is not None:
            conflicts.append(Used(ref, user, is_input=False))
    if conflicts:
        return Conflicting(tuple(conflicts))
    if claim.again:
        # Who only asks hears what is final, and nothing else counts.
        if claim.window is not None and is_over(claim.window, now):
            return OutsideWindow(now, claim.window)
        return NotAccepted()
    if claim.window is not None and not is_within(claim.window, now):
        return OutsideWindow(now, claim.window)
    if names:
        entries.use(names, us)
    else:
        entries.accept(us)
    return Accepted()


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
