"""What may go wrong in a world, and how often. Does nothing itself.

The kinds of trouble that a world has are fixed numbers, so that a tape means the same whatever the
rates are.
"""

from __future__ import annotations

import dataclasses

from flowrt.sim.tape import Tape

# What may befall a commit.
CRASH_BEFORE, CRASH_AFTER, REFUSED, UNKNOWN_DONE, UNKNOWN_UNDONE = range(1, 6)
FATES = ("", "crash before", "crash after", "refused", "unknown, done", "unknown, not done")

# What may befall a packet.
LOST, REPEATED, LATE, VERY_LATE, OLD = range(1, 6)
PACKETS = ("", "lost", "repeated", "late", "very late", "repeated much later")

# What else befalls a world now and then.
(
    CRASH,
    PAUSE,
    TAKEOVER,
    CUT,
    CUT_ONE_WAY,
    CLOG,
    FULL,
    FORWARD,
    BACK,
    STRANGER,
) = range(1, 11)
TROUBLE = (
    "",
    "crash",
    "pause",
    "takeover",
    "cut",
    "cut one way",
    "clog",
    "disk full",
    "clock forward",
    "clock back",
    "stranger",
)

# What is left of a disk that is replaced by a backup of it.
MARK_LOST, MARK_KEPT = range(2)
BACKUPS = ("restored from a backup, its mark too", "restored from a backup, its mark is there")

# When an external operation's process ends.
NOT_BEGUN, NOT_TOLD, SLOW, FAILS = range(1, 5)
OPERATIONS = ("", "crash before it ran", "crash after it ran", "slow", "fails")

# What befalls a service that a step calls.
DOWN, BROKEN = range(1, 3)
SERVICES = ("", "down", "broken")


class ServiceDown(ConnectionError):
    """The world's: a service that a step called is not there for a while."""


class ServiceBroken(Exception):
    """The world's: a service that a step called has a bug, until somebody mends it."""


@dataclasses.dataclass(frozen=True)
class Faults:
    """Rates of trouble: of commits, packets and so on that go wrong. `commits`, `packets`,
    `troubles`, `operations` and `services` are which kinds of them there are; `every_us` is how
    often the world is in trouble otherwise, 0 for never; `skew` says whether clocks may differ."""

    commit: float = 0.0
    commits: tuple[int, ...] = ()
    packet: float = 0.0
    packets: tuple[int, ...] = ()
    trouble: float = 0.0
    troubles: tuple[int, ...] = ()
    every_us: int = 0
    send: float = 0.0
    opening: float = 0.0
    operation: float = 0.0
    operations: tuple[int, ...] = ()
    turn: float = 0.0
    skew: bool = False
    service: float = 0.0
    services: tuple[int, ...] = ()

    @classmethod
    def none(cls) -> Faults:
        """Nothing goes wrong."""
        return cls()

    @classmethod
    def replayed(cls, tape: Tape) -> Faults:
        """For a tape on which nothing is random: whatever it says may go wrong."""
        return cls(
            commit=1.0,
            commits=tuple(range(1, len(FATES))),
            packet=1.0,
            packets=tuple(range(1, len(PACKETS))),
            trouble=1.0,
            troubles=tuple(range(1, len(TROUBLE))),
            every_us=_EVERY_US[tape.uniform(_EVERY, len(_EVERY_US))],
            send=1.0,
            opening=1.0,
            operation=1.0,
            operations=tuple(range(1, len(OPERATIONS))),
            turn=1.0,
            skew=True,
            service=1.0,
            services=tuple(range(1, len(SERVICES))),
        )

    @classmethod
    def swarm(cls, tape: Tape) -> Faults:
        """A mix of its own for every seed: each kind is absent with probability 1/2, and how often
        the others come is drawn too. (Groce et al., Swarm Testing, ISSTA 2012.)"""
        draw = tape.swarm

        def some(count: int) -> tuple[int, ...]:
            return tuple(number for number in range(1, count) if draw(2))

        def rate(*rates: float) -> float:
            return rates[draw(len(rates))]

        return cls(
            commit=rate(0.0, 0.02, 0.1, 0.3),
            commits=some(len(FATES)),
            packet=rate(0.0, 0.05, 0.2, 0.4),
            packets=some(len(PACKETS)),
            trouble=rate(0.3, 0.7),
            troubles=some(len(TROUBLE)),
            every_us=_EVERY_US[tape.uniform(_EVERY, len(_EVERY_US))],
            send=rate(0.0, 0.0, 0.02, 0.1),
            opening=rate(0.0, 0.0, 0.1, 0.3),
            operation=rate(0.0, 0.2, 0.5),
            operations=some(len(OPERATIONS)),
            turn=rate(0.0, 0.1, 0.5),
            skew=draw(2) > 0,
            service=(0.0, 0.0, 0.02, 0.1)[draw(4, "services")],
            services=tuple(one for one in range(1, len(SERVICES)) if draw(2, "services")),
        )


_EVERY = "trouble every"
_EVERY_US = (0, 50_000, 500_000, 5_000_000)
