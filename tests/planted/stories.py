"""Stories for the simulator, with a judge each: what must have come of it whatever went wrong.

A story says who is there and what is started; its judge counts results, rows and effects. Knows no
defect. What a judge finds has a name, like the simulator's own invariants: J1 an error that no flow
may end with, J2 a patient, J3 a flow that has not ended, J4 another result than was foretold, J5
rows, J6 an error's id, J7 what an owner sent and heard.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import msgspec
import pytest

from flowrt.core import session as sessions
from flowrt.core.commit import Mail
from flowrt.core.engine import CallEnded
from flowrt.core.flow import FlowError, Party, Tx
from flowrt.core.values import Bounce, Data, Ending, Invite, decode, encode
from flowrt.handle import StillRunning
from flowrt.limits import Limits
from flowrt.sim import Started, Violation, World
from flowrt.sim.history import Ended, Trouble
from flowrt.sim.host import Answered, Commanded
from flowrt.sim.scenario import Played, play
from flowrt.sim.strangers import Crowd
from flowrt.turn import Job
from tests.planted.program import CLOCK, ELSEWHERE, GIVING, OTHER_TALKS, ROLES, TALKS, TEXT
from tests.runtime.written import compiled

ALICE, BOB, CAROL, DAVE = (Party(name) for name in ("alice", "bob", "carol", "dave"))
UNREAD = 24
"""In these worlds so few messages may wait unread, so that who sends must wait now and then."""

LOST = 7
"""The payment of which nobody hears whether it was made."""

POLLS = 60
"""How often somebody looks whether a flow wants something of a person."""

_programs: dict[str, ModuleType] = {}


def program(text: str = TEXT) -> ModuleType:
    """The compiled program; compiled once until `forget`."""
    if text not in _programs:
        _programs[text] = compiled(text)
    return _programs[text]


def forget() -> None:
    """Compile anew what is played next."""
    _programs.clear()


# --- what the parties' Python does ----------------------------------------------------------------


class Sink:
    """The outside world: what reached it, by key. It outlives every process."""

    def __init__(self) -> None:
        self.shipped: dict[str, list[int]] = {}
        self.paid: list[tuple[str, int]] = []
        self.tripped: set[tuple[str, int, str]] = set()


class Post:
    """Ships and pays, outside of steps."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def ship(self, key: str, n: int) -> int:
        self.sink.shipped.setdefault(key, []).append(n)
        return n * 2

    def pay(self, key: str, n: int) -> int:
        self.sink.paid.append((key, n))
        if n == LOST:
            raise ConnectionError("the line is dead; nobody knows what has come of it")
        return n


class Book:
    """Writes down what it is told, in the step's transaction; breaks once where it is told so."""

    def __init__(self, sink: Sink, party: str) -> None:
        self.sink = sink
        self.party = party

    def setup(self, tx: Tx) -> None:
        tx.execute(
            "CREATE TABLE IF NOT EXISTS book (id INTEGER PRIMARY KEY, flow INTEGER, text TEXT)"
        )
        tx.execute("CREATE TABLE IF NOT EXISTS page (name TEXT PRIMARY KEY)")
        tx.execute(
            "CREATE TABLE IF NOT EXISTS footnote "
            "(page TEXT REFERENCES page DEFERRABLE INITIALLY DEFERRED)"
        )

    def put(self, tx: Tx, text: str) -> None:
        tx.execute("INSERT INTO book (flow, text) VALUES (?, ?)", (tx.flow_id, text))

    def count(self, tx: Tx, text: str) -> int:
        ((count,),) = tx.execute("SELECT count(*) FROM book WHERE text = ?", (text,))
        return int(count)

    def _is_first(self, tx: Tx, text: str) -> bool:
        known = (self.party, tx.flow_id, text)
        is_first = known not in self.sink.tripped
        self.sink.tripped.add(known)
        return is_first

    def trip(self, tx: Tx, text: str) -> None:
        """Write, and break the first time."""
        self.put(tx, text)
        if self._is_first(tx, text):
            raise ZeroDivisionError("the author's")

    def owe(self, tx: Tx, text: str) -> None:
        """Write, and the first time also what the database refuses with the commit."""
        self.put(tx, text)
        if self._is_first(tx, text):
            tx.execute("INSERT INTO footnote VALUES ('nowhere')")


class People:
    """Operators who let patients try again, and bosses who answer; two of them answer at once."""

    def __init__(self, world: World, *, operates: bool = True, answers: bool = True) -> None:
        self.world = world
        self.operates = operates
        self.answers = answers
        self.answered: list[Answered] = []
        self._left = POLLS
        self._wait_us = 4_000_000
        world.later(self._wait_us, self._come)

    def _come(self) -> None:
        for party, host in self.world.hosts.items():
            node = host.node
            if node is None or node._stopped is not None:
                continue
            if self.operates:
                for patient in node.hospital():
                    node.submit_retry(patient.flow_id)
            if self.answers:
                for task in node.tasks():
                    for by in ("ann", "ben"):
                        value = task.answer(len(self.answered) + 1)
                        self.answered.append(self.world.answer(party, task, value, by))
        self._left -= 1
        if self._left == POLLS // 2:
            self._wait_us *= 60
        if self._left:
            self.world.later(self._wait_us, self._come)


# --- stories --------------------------------------------------------------------------------------


class Story:
    """One story. `errors` are the flows that may end with these errors."""

    name = ""
    errors: Mapping[str, tuple[str, ...]] = {}
    ill = False
    """Whether flows may be in the hospital in the end."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.flows = program()
        self.wanted: list[tuple[Started, Callable[[Any], bool]]] = []

    def people(self, world: World, *parties: Party) -> None:
        for party in parties or (ALICE, BOB):
            world.add(party.name, [self.flows], self._services(party.name))

    def _services(self, party: str) -> Callable[[], Mapping[str, object]]:
        return lambda: {"Book": Book(self.sink, party), "Post": Post(self.sink)}

    def start(
        self, world: World, party: Party, flow: str, wanted: Any, /, **arguments: Any
    ) -> Started:
        """Start a flow that must give `wanted`, or what `wanted` says."""
        started = world.start(party.name, getattr(self.flows, f"{flow}_v1"), **arguments)
        check = wanted if callable(wanted) else lambda found: bool(found == wanted)
        self.wanted.append((started, check))
        return started

    def build(self, world: World) -> None:
        raise NotImplementedError

    def judge(self, world: World) -> None:
        for started, check in self.wanted:
            self._ended(world, started, check)
        for event in world.history:
            if type(event) is Ended and event.error is not None:
                name = event.flow.rpartition(".")[2].partition("_v")[0]
                if not any(event.error.endswith(error) for error in self.errors.get(name, ())):
                    raise Violation("J1", f"{event} ended so")
        if not self.ill:
            for party, host in world.hosts.items():
                if host.disk.patients:
                    raise Violation("J2", f"patients of {party}: {list(host.disk.patients)}")

    def _ended(self, world: World, started: Started, check: Callable[[Any], bool]) -> None:
        if self.ill and started.id in world.hosts[started.party].disk.patients:
            return
        try:
            found = world.result(started)
        except (KeyError, StillRunning) as error:
            raise Violation("J3", f"{started} has not ended: {error}") from error
        except FlowError as error:
            found = error
        if not check(found):
            raise Violation("J4", f"{started} gave {found!r}")

    def rows(self, world: World, party: Party, what: str = "") -> list[tuple[int, str]]:
        """(flow, text) of a party's book, in order, that begin so."""
        sql = f"SELECT flow, text FROM book WHERE text LIKE '{what}%' ORDER BY id"
        return world.rows(party.name, sql)  # type: ignore[return-value]


def is_in_time(world: World) -> bool:
    """Whether no clock was set while the world went."""
    return not any(type(e) is Trouble and e.kind.startswith("clock") for e in world.history)


class Pipeline(Story):
    """Many messages in flight, in several sessions between the same parties, also to oneself."""

    name = "pipeline"

    def build(self, world: World) -> None:
        self.people(world)
        draw = world.tape.uniform
        self.counts = [4 + draw("pipeline count", 8), 5, 70 * (draw("pipeline long", 4) > 2)]
        for n, count in enumerate(self.counts):
            chunk = 1 + draw("pipeline chunk", 9)
            peer = (BOB, ALICE, BOB)[n]
            wanted = count * (count - 1) // 2
            if count:
                self.start(world, ALICE, "Pump", wanted, peer=peer, count=count, chunk=chunk)
        for peer in (BOB, ALICE):
            self.start(world, ALICE, "Left", 456, peer=peer)
        self.start(world, BOB, "Left", 456, peer=ALICE)

    def judge(self, world: World) -> None:
        super().judge(world)
        total = 0
        for party in (ALICE, BOB):
            got: dict[int, list[str]] = {}
            for flow, text in self.rows(world, party, "got"):
                got.setdefault(flow, []).append(text)
            for flow, texts in got.items():
                if texts != [f"got {n}" for n in range(len(texts))]:
                    raise Violation("J5", f"flow {flow} of {party.name} wrote {texts}")
                total += len(texts)
        if total != sum(self.counts):
            raise Violation("J5", f"{total} of {sum(self.counts)} items were written down")


class Fans(Story):
    """Groups, choices across sessions, subflows with sessions of their own."""

    name = "fans"

    def build(self, world: World) -> None:
        self.people(world, ALICE, BOB, CAROL)
        self.start(world, ALICE, "Fan", 1234, parties=(BOB, CAROL, BOB, ALICE))
        self.start(world, BOB, "Fan", 12, parties=(CAROL, ALICE))
        self.start(world, ALICE, "Deep", 1234, peer=BOB, depth=4)
        self.start(world, CAROL, "Deep", 12, peer=CAROL, depth=2)

    def judge(self, world: World) -> None:
        super().judge(world)
        for party, wanted in ((ALICE, "5678"), (BOB, "34")):
            texts = sorted(text for _, text in self.rows(world, party, "any"))
            if texts != [f"any {n}" for n in wanted]:
                raise Violation("J5", f"{party.name} took {texts}")


class Errors(Story):
    """Errors that travel one hop, rejected invitations, sessions that end early."""

    name = "errors"
    errors = {
        "OneServed": ("Bad",),
        "Link": ("Bad",),
        "LinkServed": ("Bad",),
        "Tell": ("SessionRejected",),
    }

    def build(self, world: World) -> None:
        self.people(world, ALICE, BOB, CAROL)
        world.add("dave", [program(ELSEWHERE)])
        self.start(world, ALICE, "One", "bid 5", peer=BOB, n=5)
        self.start(world, ALICE, "One", "ended", peer=BOB, n=0)
        self.start(world, ALICE, "One", "bad -3", peer=BOB, n=-3)
        self.start(world, CAROL, "One", "rejected", peer=DAVE, n=1)
        self.start(world, ALICE, "Chain", "unexpected", peer=BOB, then_to=CAROL)
        self.start(world, ALICE, "Tell", "told", peer=BOB)
        self.start(world, CAROL, "Tell", _is_rejected, peer=DAVE)
        world.start("alice", self.flows.Shut_v1, peer=CAROL)
        world.start("alice", self.flows.Tried_v1, peer=CAROL)
        world.start("alice", self.flows.Rounds_v1, peer=CAROL)

    def judge(self, world: World) -> None:
        super().judge(world)
        if len(self.rows(world, BOB, "heard")) != 1:
            raise Violation("J5", "who was told did not hear it once")
        for what, count in (("shut", 1), ("tried", 1), ("round", 2)):
            found = self.rows(world, CAROL, what)
            if len(found) != count:
                text = f"{what}: {len(found)} of {count} sessions ended at the other side"
                raise Violation("I8", text)
        ids = {_error_id(e) for e in world.history if type(e) is Ended and e.party == "bob"}
        for _, text in self.rows(world, ALICE, "id "):
            if text.removeprefix("id ") not in ids:
                raise Violation("J6", f"an error arrived as {text}, and it is one of {ids}")


def _is_rejected(found: object) -> bool:
    return type(found).__name__ == "SessionRejected"


def _error_id(event: Ended) -> str:
    if event.error is None:
        return ""
    return str(decode(tuple[msgspec.Raw, str, str | None, str], event.value)[1])


class Waits(Story):
    """Deadlines, what is dropped because it came late, groups of which not all answer in time."""

    name = "waits"
    errors = {
        f"{name}Served": ("SessionEnded",)
        for name in ("Twice", "Limited", "Some", "Either", "Fallback")
    }

    def build(self, world: World) -> None:
        self.people(world, ALICE, BOB, CAROL)
        nap = datetime.timedelta(seconds=40 * world.tape.uniform("nap", 2))
        long = datetime.timedelta(hours=10)
        short = datetime.timedelta(seconds=12 + world.tape.uniform("short nap", 2))
        self.start(world, ALICE, "Twice", _ends_with(" 2 3"), peer=BOB, nap=nap)
        self.start(world, BOB, "Twice", _ends_with(" 2 3"), peer=ALICE, nap=short)
        # Its answer and its deadline find the node asleep, and come in one batch.
        close = datetime.timedelta(seconds=30.5)
        self.start(world, ALICE, "Twice", _ends_with(" 2 3"), peer=CAROL, nap=close)
        alice = world.hosts["alice"]
        world.later(29_900_000, lambda: setattr(alice, "paused_until", world.now_us + 2_000_000))
        in_time = lambda: is_in_time(world)  # noqa: E731
        self.start(
            world, ALICE, "Limited", lambda t: t == "late" or not in_time(), peer=BOB, nap=long
        )
        self.start(world, CAROL, "Limited", _one_of("late", "fine"), peer=BOB, nap=nap / 2)
        self.start(world, ALICE, "Some", _fits_some, parties=(BOB, CAROL, BOB, BOB), nap=short)
        self.start(
            world, CAROL, "Either", lambda t: t == "late" or not in_time(), peer=BOB, nap=long
        )
        self.start(world, CAROL, "Either", _one_of("late", "bid"), peer=ALICE, nap=nap)
        self.start(world, ALICE, "Fallback", _one_of(7, 8), peer=BOB, nap=nap)
        self.start(world, BOB, "Fallback", lambda n: n == 9 or not in_time(), peer=ALICE, nap=long)


def _ends_with(text: str) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, str) and found.endswith(text)


def _one_of(*texts: str) -> Callable[[Any], bool]:
    return lambda found: found in texts


def _fits_some(found: Any) -> bool:
    return (
        isinstance(found, str)
        and len(found) == 4
        and all(one in ("-", str(n)) for n, one in enumerate(found, 1))
    )


class Work(Story):
    """What flows begin: operations, flows, questions, all of it under business keys."""

    name = "work"

    def build(self, world: World) -> None:
        self.people(world, ALICE)
        self.helpers = People(world)
        for n in (1, 2):
            self.start(world, ALICE, "Order", 2 * n * 1000 + 3 * n + 1, n=n)
        self.orders = 2
        self.questions = [self.start(world, ALICE, "Question1", self._is_decided, n=1)]
        self.questions.append(self.start(world, ALICE, "Question2", self._is_decided, n=1))
        for _ in range(3):
            self.start(world, ALICE, "Locker", lambda tries: tries >= 0, name="a")

    def _is_decided(self, found: Any) -> bool:
        return found == -1 or found in [answer.value.n for answer in self.helpers.answered]

    def judge(self, world: World) -> None:
        super().judge(world)
        wanted: Counter[int] = Counter()
        for n in range(1, self.orders + 1):
            wanted.update((n, n + 100, n + 200, n + 101, n + 201))
        found: Counter[int] = Counter()
        for key, ns in self.sink.shipped.items():
            if len(set(ns)) != 1:
                raise Violation("I3", f"{key} stands for {ns}")
            found[ns[0]] += 1
        if found != wanted:
            raise Violation("I3", f"shipped {found}, and {wanted} was wanted")
        for name, count in (("packed", 4), ("ordered", 2)):
            rows = self.rows(world, ALICE, name)
            if len(rows) != count:
                raise Violation("J5", f"{name}: {rows}")
        locks = [text.partition(" ")[0] for _, text in self.rows(world, ALICE, "%a")]
        locks = [one for one in locks if one in ("in", "out")]
        if locks != ["in", "out"] * 3:
            raise Violation("I11", f"one key was held by two: {locks}")
        self._judge_answers(world)

    def _judge_answers(self, world: World) -> None:
        accepted: dict[tuple[int, int], list[Any]] = {}
        for answer in self.helpers.answered:
            if answer.is_accepted:
                accepted.setdefault((answer.flow_id, answer.number), []).append(answer.value.n)
        for question in self.questions:
            taken = [n for (flow_id, _), n in accepted.items() if flow_id == question.id]
            if taken and len(taken[0]) > 1:
                raise Violation("I15", f"{question} was decided {len(taken[0])} times: {taken[0]}")
            result = world.result(question)
            if taken and result != taken[0][0]:
                raise Violation("I15", f"{question} heard {result}, and {taken[0]} was accepted")


class Late(Story):
    """A question whose time is over."""

    name = "late"

    def build(self, world: World) -> None:
        self.people(world, ALICE)
        People(world, answers=False)
        self.questions = [
            self.start(world, ALICE, "Question1", lambda found: found != -2, n=1) for _ in range(2)
        ]
        for n in range(6):
            world.later(3_601_000_000 + n * 4_000_000, lambda: self._answer(world))
        alice = world.hosts["alice"]
        world.later(
            3_595_000_000, lambda: setattr(alice, "paused_until", world.now_us + 30_000_000)
        )

    def _answer(self, world: World) -> None:
        node = world.hosts["alice"].node
        for question in self.questions:
            if node is None or not question.is_done or question.outcome is not None:
                continue
            # As somebody does whose form was open for long.
            value = encode(self.flows.Decision(3))
            ending = Ending(value, None, "", "ann", node._clock())
            node._ready.append(Job(question.id, CallEnded(0, ending)))
            node._wake()


class Once(Story):
    """What may run only once."""

    name = "once"
    ill = True

    def build(self, world: World) -> None:
        self.people(world, ALICE)
        for n in range(8):
            self.start(world, ALICE, "Pay", n, n=n)

    def judge(self, world: World) -> None:
        super().judge(world)
        for key, count in Counter(key for key, _ in self.sink.paid).items():
            if count > 1:
                raise Violation("I3", f"{key} was paid {count} times")
        paid = Counter(n for _, n in self.sink.paid)
        rows = self.rows(world, ALICE, "paid")
        for n, count in paid.items():
            if count > 1:
                raise Violation("I3", f"{n} was paid {count} times")
        for _, text in rows:
            if int(text.removeprefix("paid ")) not in paid:
                raise Violation("I3", f"{text}, and nobody has paid it")


class Owners(Story):
    """What owners send: taken, or given back."""

    name = "owners"

    def build(self, world: World) -> None:
        self.people(world, ALICE)
        flows = self.flows
        self.adder = self.start(world, ALICE, "Adder", lambda n: isinstance(n, int))
        self.fussy = self.start(world, ALICE, "Fussy", 1)
        self.sent: list[tuple[Started, list[Commanded]]] = [
            (
                self.adder,
                [world.command(self.adder, flows.Add(n)) for n in (1, 2, 3, 4)]
                + [world.command(self.adder, flows.Stop())],
            ),
            (
                self.fussy,
                [world.command(self.fussy, flows.Add(n)) for n in (1, 2)],
            ),
        ]
        world.later(8_000_000, lambda: self._stop(world))

    def _stop(self, world: World) -> None:
        self.sent[1][1].append(world.command(self.fussy, self.flows.Stop()))
        self.sent[0][1].append(world.command(self.adder, self.flows.Add(5)))

    def judge(self, world: World) -> None:
        super().judge(world)
        for started, commands in self.sent:
            letters = [decode(Mail, data) for _, data in world.hosts["alice"].disk.mail[started.id]]
            taken = [one for one in letters if type(one) is Data]
            bounced = [one for one in letters if type(one) is Bounce]
            refused = [one for one in commands if one.refused is not None]
            if not all(one.is_done for one in commands):
                raise Violation("J3", f"a command to {started} was never told")
            # The one more is the `Stop` that it took.
            if len(taken) + len(bounced) + len(refused) + 1 != len(commands):
                raise Violation(
                    "J7",
                    f"{started} was told {len(commands)} things, took {taken}, gave back {bounced}"
                    f" and refused {len(refused)}",
                )
        numbers = [number for number, _ in world.hosts["alice"].disk.mail[self.adder.id]]
        if numbers != list(range(len(numbers))):
            raise Violation("J7", f"the owner's mail has the numbers {numbers}")
        added = [m for m in world.mail(self.adder) if type(m).__name__ == "Added"]
        if [(m.n, m.sum_) for m in added] != [(1, 1), (2, 3), (3, 6), (4, 10)][: len(added)]:
            raise Violation("J7", f"the owner was told {added}")
        if added and world.result(self.adder) != added[-1].sum_:
            raise Violation("J7", f"{world.result(self.adder)} after {added}")


class Ward(Story):
    """Steps that fail, batches that the database refuses, operators who let flows try again."""

    name = "ward"

    def build(self, world: World) -> None:
        self.people(world)
        self.helpers = People(world, answers=False)
        self.start(world, ALICE, "Shaky", 3, peer=BOB, owing=False)
        self.start(world, ALICE, "Shaky", 3, peer=BOB, owing=True)
        self.start(world, BOB, "Shaky", 3, peer=ALICE, owing=True)
        self.start(world, ALICE, "Pump", 45, peer=BOB, count=10, chunk=2)

    def judge(self, world: World) -> None:
        super().judge(world)
        for party, count in ((ALICE, 2), (BOB, 1)):
            texts = sorted(text for _, text in self.rows(world, party, "shaky"))
            if texts != sorted([f"shaky {n}" for n in (1, 2, 3)] * count):
                raise Violation("J5", f"{party.name} wrote {texts}")


class Clockwork(Story):
    """Schedules, while clocks are set."""

    name = "clockwork"

    def build(self, world: World) -> None:
        self.flows = program(CLOCK)
        world.add("alice", [self.flows], lambda: {"Book": Book(self.sink, "alice")})
        for _ in range(5):
            self.start(world, ALICE, "Nap", 3)
        self.turns = world.tape.uniform("set back after", 8)
        world.later(10_800_000_000, lambda: self._set_back(world))
        world.sleep(datetime.timedelta(hours=5, minutes=1))

    def _set_back(self, world: World) -> None:
        """Set the clock back by a minute, in the middle of what wakes now."""
        if self.turns > 0:
            self.turns -= 1
            world.later(0, lambda: self._set_back(world))
            return
        alice = world.hosts["alice"]
        alice.set_clock(alice.skew_us - 60_000_000)

    def judge(self, world: World) -> None:
        super().judge(world)
        ticks = {flow_id for flow_id, _ in self.rows(world, ALICE, "tick")}
        # When it was begun: a step that failed is tried again, perhaps with the clock set back.
        begun = [
            datetime.datetime.fromtimestamp(at_us // 1_000_000, datetime.UTC)
            for at_us, data in world.hosts["alice"].disk.audit
            for flow_id, step, *_ in decode(list[tuple[Any, ...]], data)
            if flow_id in ticks and step == 1
        ]
        hours = [f"{at:%Y-%m-%dT%H}" for at in begun]
        for hour, count in Counter(hours).items():
            if count > 1:
                raise Violation("I13", f"the schedule of {hour} fired {count} times")
        awake = len(self.rows(world, ALICE, "awake"))
        if awake != 5:
            raise Violation("J5", f"{awake} of 5 sleepers wrote that they are awake")
        if is_in_time(world) and len(hours) < 3:
            raise Violation("L", f"five hours, and the hourly schedule fired at {hours}")


@functools.cache
def _apart(text: str, talks: str) -> ModuleType:
    """One side of a protocol, compiled with the protocol as that side has it."""
    return compiled(text, talks=talks)


class Roles(Story):
    """Sides of a protocol that were compiled apart. Dave has another message of one name."""

    name = "roles"
    errors = {"Asking": ("SessionRejected",)}

    def __init__(self) -> None:
        super().__init__()
        self.flows = _apart(ROLES, TALKS)

    def build(self, world: World) -> None:
        world.add("alice", [self.flows])
        world.add("bob", [_apart(GIVING, TALKS)])
        world.add("dave", [_apart(GIVING, OTHER_TALKS)])
        self.start(world, ALICE, "Asking", 10, peer=BOB, n=5)
        self.start(world, ALICE, "Asking", 0, peer=BOB, n=1)
        self.start(world, ALICE, "Asking", _is_rejected, peer=DAVE, n=5)

    def judge(self, world: World) -> None:
        super().judge(world)
        rejected = [one for one in world.history if type(one) is Ended and one.error is not None]
        if any(one.flow.endswith("Giving_v1") for one in rejected):
            raise Violation("J1", "a flow was begun for a message that it cannot read")


class Crowded(Story):
    """A peer who wants more than it may have, and honest ones beside it."""

    name = "crowd"
    errors = {"TwiceServed": ("SessionEnded",)}
    limits = Limits(
        sessions=3,
        unread=8,
        invitations_per_s=1,
        invitations_at_once=4,
        inbound=6,
        window=3,
        operations=1,
    )
    wishes, words = 8, 12

    def build(self, world: World) -> None:
        world.limits = self.limits
        self.people(world)
        self.start(world, ALICE, "Pump", 66, peer=BOB, count=12, chunk=3)
        self.start(world, ALICE, "One", "bid 5", peer=BOB, n=5)
        self.start(world, BOB, "Left", 456, peer=ALICE)
        ask = self.flows.Ask
        nap = Data(ask.wire, encode(ask(n=1, nap=datetime.timedelta(seconds=20))))
        word = Data(ask.wire, encode(ask(n=1, nap=datetime.timedelta())))

        def invitation(number: int) -> Invite:
            served, asks = self.flows.TwiceServed_v1.name, self.flows.Twice_v1.name
            secret = number.to_bytes(16, "big")
            return Invite(number, b"mallorys", served, asks, 1, number, 0, secret, nap)

        self.crowd = Crowd(world, "mallory", "bob", invitation, self.wishes, [word] * self.words)
        for n in range(20):  # The world is never quiet as long as patients read nothing.
            world.later(10_000_000 << n, lambda: [host.mend() for host in world.hosts.values()])

    def judge(self, world: World) -> None:
        super().judge(world)
        crowd = self.crowd
        if not crowd.is_done:
            raise Violation("L", "mallory never heard of all that it said")
        if crowd.admitted < self.limits.sessions:
            raise Violation("J3", f"only {crowd.admitted} sessions were admitted")
        bids = len(self.rows(world, BOB, "bid 1"))
        if bids != crowd.admitted * (1 + self.words):
            raise Violation("J5", f"{crowd.admitted} sessions, and {bids} bids")


STORIES: tuple[type[Story], ...] = (
    Pipeline,
    Fans,
    Errors,
    Waits,
    Work,
    Once,
    Owners,
    Ward,
    Clockwork,
    Late,
    Crowded,
    Roles,
)


@contextlib.contextmanager
def small_inboxes() -> Iterator[None]:
    """As long as this lasts, few messages may wait unread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "UNREAD", UNREAD)
        yield


def played(kind: type[Any], seed: int | None = None, choices: Any = None) -> Played:
    """One world of a story."""
    with small_inboxes():
        return play(kind(), seed, choices)
