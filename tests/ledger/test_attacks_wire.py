"""Every change of every message of the library's flows, as one sends it who means harm: the honest
side refuses it by a declared error, or it makes no difference; it believes nothing that is not
signed, nothing of it is stuck, and nothing ever puts it into the hospital."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowrt.ledger import backchain
from flowrt.stdlib.ledger.parts_flow import StateRef
from tests.ledger import bazaar, mutations
from tests.ledger.market import ALICE, BOB, Market
from tests.ledger.tampering import Mallory

Begin = Callable[[], object]
Scene = Callable[[Market], Begin]

_words = itertools.count()


def agree(market: Market) -> Begin:
    """A deal of two, from the proposal to finality."""
    ref = StateRef(market.do("alice", "Start", words=f"deal {next(_words)}"), 0)
    return lambda: market.start("alice", "AgreeAgain", others=(BOB,), before=ref, words="again")


def agree_on_known(market: Market) -> Begin:
    """The same, but all that it rests on is known."""
    ref = StateRef(market.do("alice", "Start", words=f"deal {next(_words)}"), 0)
    market.do("alice", "ShowStates", whom=BOB, refs=(ref,))
    return lambda: market.start("alice", "AgreeAgain", others=(BOB,), before=ref, words="again")


def answer(market: Market) -> Begin:
    """Proposed by the victim."""
    id = market.do("bob", "Start", words=f"deal {next(_words)}")
    ref = StateRef(id, 0)
    return lambda: market.start("bob", "AgreeAgain", others=(ALICE,), before=ref, words="again")


def show(market: Market) -> Begin:
    """A transaction is handed over, with its history and the files of that."""
    id = market.do("alice", "Grow", count=3, wide=1 + next(_words) % 7, how="attached")
    return lambda: market.start("alice", "Show", whom=BOB, shown=id)


def show_known(market: Market) -> Begin:
    """One without a history."""
    id = market.do("alice", "Start", words=f"deal {next(_words)}")
    return lambda: market.start("alice", "Show", whom=BOB, shown=id)


def show_states(market: Market) -> Begin:
    id = market.do("alice", "Grow", count=2, wide=2 + next(_words) % 7)
    refs = (StateRef(id, 0), StateRef(id, 1))
    return lambda: market.start("alice", "ShowStates", whom=BOB, refs=refs)


def swap(market: Market) -> Begin:
    return lambda: market.start("alice", "Swap", whom=BOB)


def have_notarised(market: Market) -> Begin:
    """An own deal, which concerns nobody else."""
    ref = StateRef(market.do("alice", "Start", words=f"deal {next(_words)}"), 0)
    return lambda: market.start("alice", "AgreeAgain", others=(), before=ref, words="again")


MESSAGES = [
    (agree, "ledger.transactions.Supplied"),
    (agree, "ledger.signatures.Proposal"),
    (agree_on_known, "ledger.signatures.Proposal"),
    (agree_on_known, "ledger.finality.Unsealed"),
    (agree_on_known, "ledger.notary.NotarisationRequest"),
    (agree_on_known, "ledger.finality.Sealed"),
    (answer, "ledger.transactions.Wanted"),
    (answer, "ledger.signatures.Consent"),
    (show, "ledger.transactions.Supplied"),
    (show_known, "ledger.transactions.SentTransaction"),
    (show_states, "ledger.transactions.SentStates"),
    (swap, "ledger.identities.NewPseudonym"),
    (have_notarised, "ledger.notary.ValidationRequest"),
    *bazaar.MESSAGES,
]
IDS = [f"{scene.__name__} {name.rpartition('.')[2]}" for scene, name in MESSAGES]

ASKED = ("Supplied", "Wanted")
"""What is only said where what a transaction rests on is not given along with it."""

STRICT = (
    *("Proposal", "Unsealed", "SentTransaction", "NewPseudonym", "Consent"),
    *bazaar.STRICT,
)
"""If it is refused, nothing at all has changed on the victim's disk."""

SHOWN = ("Proposal", "Unsealed", "Consent")
"""Before these both have shown each other pseudonyms, where there is money."""

OWN = ("ledger_keys", "ledger_keys_numbers", "ledger_salts")
"""But for what counts the victim's own keys."""


class Changing:
    """Changes the first message of a name by the mutation of a number; none only counts them."""

    def __init__(self, name: str, number: int | None = None) -> None:
        self.name = name
        self.number = number
        self.is_done = False
        self.count = 0
        self.path = ""

    def __call__(self, name: str, body: bytes) -> tuple[str, bytes] | None:
        if name != self.name or self.is_done:
            return name, body
        self.is_done = True
        if self.number is None:
            self.count = mutations.count(body)
            return name, body
        self.path, made = mutations.mutation(body, self.number)
        return name, made


def open_for(scene: Scene, name: str) -> Market:
    if scene.__module__ == bazaar.__name__:
        return bazaar.Bazaar()
    return Market("alice", "bob", "carol", validating=name.endswith("ValidationRequest"))


def play(scene: Scene, name: str, picked: Callable[[int], Iterator[int]]) -> None:
    """Play the scene once for each mutation that is picked of so many."""
    victim = "notary" if name.endswith("ValidationRequest") else "bob"
    with open_for(scene, name) as market:
        mallory = Mallory(market)
        mallory.change = counting = Changing(name)
        scene(market)()
        mallory.rest()
        assert counting.count > 10, f"{name} was not said"
        book: Any = market.local._book
        refused = 0
        for number in picked(counting.count):
            mallory.change = None
            begin = scene(market)
            mallory.listen()
            before, used = mallory.tables(victim), dict(book.used)
            mallory.change = changing = Changing(name, number)
            started: Any = begin()
            mallory.rest()
            assert changing.is_done
            what = number, changing.path
            ended = {one: mallory.endings(one) for one in ("bob", "notary")}
            ends, at_notary = (
                [end for end in ended[one] if end is not None] for one in (victim, "notary")
            )
            refused += bool(ends or at_notary)
            # Nothing is believed but what is in order, and what the notary sealed.
            mallory.believed(victim)
            # What came along with it may be in order, and known from then on.
            if ends and name.endswith(STRICT) and scene is not agree:
                after = mallory.tables(victim)
                changed = {one for one in after if after[one] != before.get(one)}
                if name.endswith("Consent"):
                    # Its own deal may be given away by its own signature, and is in flight then.
                    changed -= {"ledger_transaction", "ledger_state"}
                if scene.__module__ == bazaar.__name__ and name.endswith(SHOWN):
                    # True claims came with an earlier message; the coins' history is recorded
                    # when it is verified, and what rests on it is looked at after that.
                    changed -= {"ledger_learned", "ledger_transaction"}
                    waits = market.vault("bob", "in_flight", 9)
                    assert not waits or name.endswith("Consent"), what
                assert changed <= set(OWN), (what, ends, changed)
            outcome = market.world.outcome(started)
            if name.endswith("Request") and at_notary and (outcome is None or outcome.error):
                assert book.used == used, what
            if name.endswith(".Sealed"):
                assert market.vault("bob", "in_flight", 9) == (), what
        assert refused or name.endswith(".Sealed")


def some(count: int) -> Iterator[int]:
    """A few of them, spread over the message."""
    return iter(range(3, count, 1 + count // 3))


@pytest.fixture(autouse=True)
def asking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.callspec.params["name"].endswith(ASKED):
        monkeypatch.setattr(backchain, "MOST_ALONG", 0)


@pytest.mark.parametrize(("scene", "name"), MESSAGES, ids=IDS)
def test_no_change_of_a_message_does_harm(scene: Scene, name: str) -> None:
    few = scene.__module__ == bazaar.__name__
    play(scene, name, (lambda count: iter((count // 4, count // 2))) if few else some)


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize(("scene", "name"), MESSAGES, ids=IDS)
def test_no_change_at_all_of_a_message_does_harm(scene: Scene, name: str, part: int) -> None:
    """All of them, in parts that each take seconds."""
    play(scene, name, lambda count: iter(range(part, count, 10)))
