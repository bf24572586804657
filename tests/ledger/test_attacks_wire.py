"""Every change of every message of the library's flows, as one sends it who means harm: the honest
side refuses it by a declared error, or it makes no difference; it believes nothing that is not
signed, nothing of it is stuck, and nothing ever puts it into the hospital."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from flowrt.core.declared import FlowError
from flowrt.stdlib.ledger.parts_flow import StateRef
from tests.ledger.market import BOB, DAY_US, Market
from tests.ledger.mutations import mutations
from tests.ledger.tampering import Mallory

_words = itertools.count()


def agree(market: Market) -> None:
    """A deal of two, from the proposal to finality."""
    ref = StateRef(market.do("alice", "Start", words=f"deal {next(_words)}"), 0)
    market.start("alice", "AgreeAgain", others=(BOB,), before=ref, words="again")


def answer(market: Market) -> None:
    """The same, proposed by the victim."""
    words = f"deal {next(_words)}"
    id = market.do("bob", "Start", words=words)
    alice = market.local.identity("alice").party
    market.start("bob", "AgreeAgain", others=(alice,), before=StateRef(id, 0), words="again")


def show(market: Market) -> None:
    """A transaction is handed over, with its history and the files of that."""
    id = market.do("alice", "Grow", count=3, wide=1 + next(_words) % 7, how="attached")
    market.start("alice", "Show", whom=BOB, shown=id)


def show_states(market: Market) -> None:
    id = market.do("alice", "Grow", count=2, wide=2 + next(_words) % 7)
    refs = (StateRef(id, 0), StateRef(id, 1))
    market.start("alice", "ShowStates", whom=BOB, refs=refs)


def swap(market: Market) -> None:
    market.start("alice", "Swap", whom=BOB)


MESSAGES = [
    (agree, "ledger.signatures.Proposal"),
    (agree, "ledger.transactions.Supplied"),
    (agree, "ledger.finality.Unsealed"),
    (agree, "ledger.notary.NotarisationRequest"),
    (agree, "ledger.finality.Sealed"),
    (answer, "ledger.transactions.Wanted"),
    (answer, "ledger.signatures.Consent"),
    (show, "ledger.transactions.SentTransaction"),
    (show, "ledger.transactions.Supplied"),
    (show_states, "ledger.transactions.SentStates"),
    (swap, "ledger.identities.NewPseudonym"),
]
IDS = [f"{scene.__name__} {name.rpartition('.')[2]}" for scene, name in MESSAGES]


class Changing:
    """Changes the first message of a name by the mutation of a number."""

    def __init__(self, name: str, choose: Callable[[list[bytes]], bytes | None]) -> None:
        self.name = name
        self.choose = choose
        self.is_done = False

    def __call__(self, name: str, body: bytes) -> tuple[str, bytes] | None:
        if name != self.name or self.is_done:
            return name, body
        self.is_done = True
        chosen = self.choose([made for _, made in mutations(body, nested=True)])
        return name, body if chosen is None else chosen


def play(scene: Callable[[Market], None], name: str, picked: Callable[[int], Iterator[int]]) -> int:
    """Play the scene once for each mutation that is picked; how many there are."""
    count = 0

    def measure(found: list[bytes]) -> None:
        nonlocal count
        count = len(found)

    with Market("alice", "bob", *(["carol"])) as market:
        mallory = Mallory(market)
        mallory.change = Changing(name, measure)
        scene(market)
        mallory.rest()
        assert count > 10, f"{name} was not said"
        for number in picked(count):
            mallory.listen()
            before = mallory.tables("bob")
            changing = Changing(name, lambda found, n=number: found[min(n, len(found) - 1)])
            mallory.change = changing
            scene(market)
            mallory.rest()
            assert changing.is_done
            ends = mallory.endings("bob")
            mallory.endings("notary")
            honest = {*mallory.believed("alice"), *mallory.believed("bob")}
            assert mallory.believed("bob") <= honest
            if name.endswith(("Proposal", "SentTransaction", "NewPseudonym")):
                refused = [end for end in ends if isinstance(end, FlowError)]
                after = mallory.tables("bob")
                if refused and name.endswith("NewPseudonym"):
                    assert after["ledger_learned"] == before["ledger_learned"], number
            market.world.now_us += DAY_US
    return count


@pytest.mark.parametrize(("scene", "name"), MESSAGES, ids=IDS)
def test_no_change_of_a_message_does_harm(scene: Callable[[Market], None], name: str) -> None:
    """A few of them, spread over the message."""
    play(scene, name, lambda count: iter(range(3, count, max(1, count // 6))))


@pytest.mark.campaign
@pytest.mark.parametrize(("scene", "name"), MESSAGES, ids=IDS)
def test_no_change_at_all_of_a_message_does_harm(
    scene: Callable[[Market], None], name: str
) -> None:
    play(scene, name, lambda count: iter(range(count)))
