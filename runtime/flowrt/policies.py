"""What is done with a flow whose step failed: policies, which answer each failure with a verdict.

Looks at the failure alone; it treats nobody, keeps nothing and reads no clock.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from flowrt.core.commit import Congested
from flowrt.core.flow import Remedy
from flowrt.core.hospital import FAILED, LOST, one_line, text_of

LIMIT = 5
"""How often the default policy tries a transient failure again before it asks a person."""

FIRST_S = 1.0
"""How long it waits before the first of these; each later wait is twice as long."""

JITTER = 0.5
"""By how much of itself a wait may be longer, so that many do not come back at once."""

SOONEST_US = 10_000
"""No step is tried again sooner, whatever a policy says: others want the processor too."""

LONGEST_S = 366 * 86_400
"""How far ahead a policy may put a retry."""

_LOG = logging.getLogger("flowrt.policies")


class Transient(Exception):
    """Raise it, or a class of your own below it, from a service or function when what failed may
    well pass if it is tried again. `raise Transient(…) from error` keeps the reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class Retry:
    """Try again after so many seconds."""

    after_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """End the flow at once. Its peers, and the flow that started it, learn that it ended."""


Verdict: TypeAlias = Retry | Wait | End


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """What a policy is asked about.

    Attributes:
        flow_id, flow, state, place: which flow, its innermost versioned name, where it rests.
        kind: `"failed"`: a step raised `error`; `"lost"`: an external operation needs a person.
        cause: the error's type and text, or what is known of the operation.
        error: what was raised; None for an operation.
        once: whether that operation may run only once: then a `Retry` means `Wait`.
        tries: how often the flow was tried again by itself since it last went on.
        peer: who invited the flow, or "".
        remedies: what the flow itself says, from `on transient` and `on failure`.
        chance: a number from 0 to 1, for jitter: other for each flow and try, always the same.
    """

    flow_id: int
    flow: str
    state: str
    place: str
    kind: str
    cause: str
    error: Exception | None
    once: bool
    tries: int
    peer: str
    remedies: Mapping[str, Remedy]
    chance: float

    @property
    def is_transient(self) -> bool:
        """Whether it may well pass: so says the error, or one that it came from."""
        return self.error is not None and is_transient(self.error)


Policy: TypeAlias = Callable[[Failure], Verdict | None]
"""Answers a failure with a verdict; None leaves it to the flow's own remedy, then to `default`."""


def default(failure: Failure) -> Verdict:
    """What failed for a transient cause is tried again, up to five times, after 1, 2, 4, 8 and 16
    seconds and up to half as much again; what was put off because too much waits for a peer, for
    ever, at last every minute or so; all else waits for a person."""
    if isinstance(failure.error, Congested):
        return Retry(backed_off(failure, longest_s=60.0))
    if failure.kind == FAILED and failure.is_transient and failure.tries < LIMIT:
        return Retry(backed_off(failure))
    return Wait()


def backed_off(failure: Failure, first_s: float = FIRST_S, longest_s: float = 3600.0) -> float:
    """Seconds until the next try: `first_s`, doubled with each try, `longest_s` at most; and up to
    half of that in addition."""
    wait_s = min(first_s * 2.0 ** min(failure.tries, 60), longest_s)
    return wait_s * (1 + JITTER * failure.chance)


def own(failure: Failure) -> Verdict | None:
    """What the flow says itself; None if it says nothing of such a failure. An operation has been
    tried again before it is lost, so only what comes then counts."""
    remedy = failure.remedies.get("transient") if failure.is_transient else None
    remedy = remedy or failure.remedies.get("failure")
    if remedy is None:
        return None
    if failure.kind != LOST and failure.tries < remedy.retries:
        return Retry(remedy.every_us / 1e6 * (1 + 0.1 * failure.chance))
    return End() if remedy.ends else Wait()


def decided(policy: Policy | None, failure: Failure) -> Verdict:
    """What the node's policy says, else the flow itself, else `default`. A policy that is broken
    itself leaves it to a person, and nobody else lets an operation run again that may run once."""
    try:
        verdict = policy(failure) if policy is not None else None
        if not isinstance(verdict, Retry | Wait | End | None):
            raise TypeError(f"{verdict!r} is no verdict")
        if isinstance(verdict, Retry) and not 0 <= verdict.after_s <= LONGEST_S:
            raise ValueError(f"{verdict!r} is not within {LONGEST_S} seconds")
    except Exception as error:
        text = one_line(text_of(error))
        _LOG.exception("flow %d: the policy of the hospital failed: %s", failure.flow_id, text)
        return Wait()
    verdict = verdict or own(failure) or default(failure)
    return Wait() if failure.once and isinstance(verdict, Retry) else verdict


def is_transient(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is of a kind that passes: `Transient`, that too
    much waits for a peer (`Congested`), `ConnectionError`, `TimeoutError`, an `OSError` such as an
    unreachable network, a locked database."""
    return any(map(_passes, _chain(error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen and len(seen) < 100:
        seen.add(id(at))
        yield at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


_PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ETIMEDOUT,
    }
)
_BUSY, _LOCKED = 5, 6


def _passes(error: BaseException) -> bool:
    if isinstance(error, Transient | Congested | ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    # Of SQLite's errors those that say that somebody else is writing.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (_BUSY, _LOCKED)
