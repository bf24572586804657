"""Signatures collected from those who must sign, and who is refused: CS-190 to CS-193."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowrt.ledger.keys import PublicKey
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger import signatures_flow as signing
from tests.ledger.market import BOB, CAROL, Market


@pytest.fixture
def market() -> Iterator[Market]:
    with Market("alice", "bob", "carol") as made:
        yield made


def keys(market: Market, *names: str) -> tuple[PublicKey, ...]:
    return tuple(market.local.key(name) for name in names)


def test_cs_190_three_sign_one_of_them_by_a_pseudonym(market: Market) -> None:
    bobs = market.do("alice", "Swap", whom=BOB)
    assert market.ask("alice", "network", "party_of", bobs) == BOB
    wanted = (*keys(market, "alice", "carol"), bobs)
    assert market.do("alice", "Ask", others=(CAROL, BOB), keys=wanted, signs=True) == 3
    market.nothing_is_left()


def test_cs_191_one_session_with_a_party_brings_both_its_signatures(market: Market) -> None:
    bobs = market.do("alice", "Swap", whom=BOB)
    wanted = (*keys(market, "alice", "bob"), bobs)
    assert market.do("alice", "Ask", others=(BOB,), keys=wanted, signs=True) == 3
    market.nothing_is_left()


def test_cs_191_two_sessions_with_a_party_that_has_two_keys(market: Market) -> None:
    bobs = market.do("alice", "Swap", whom=BOB)
    wanted = (*keys(market, "alice", "bob"), bobs)
    assert market.do("alice", "Ask", others=(BOB, BOB), keys=wanted, signs=True) == 3
    market.nothing_is_left()


def test_cs_191_where_nothing_is_to_be_collected_nobody_is_asked(market: Market) -> None:
    assert market.do("alice", "Ask", others=(), keys=keys(market, "alice"), signs=True) == 1
    assert market.said == []


@pytest.mark.parametrize(
    ("others", "signers", "signs", "error"),
    [
        ((BOB,), ("alice", "bob"), False, signing.MustSignFirst),
        ((BOB, CAROL), ("alice", "bob"), True, signing.NotASigner),
        ((BOB, BOB), ("alice", "bob"), True, signing.NotASigner),
        ((BOB,), ("alice", "bob", "carol"), True, signing.NobodyToAsk),
        ((CAROL,), ("alice",), True, signing.NotASigner),
    ],
)
def test_cs_192_193_wrong_sessions_are_refused_before_anybody_is_asked(
    market: Market,
    others: tuple[object, ...],
    signers: tuple[str, ...],
    signs: bool,
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        market.do("alice", "Ask", others=others, keys=keys(market, *signers), signs=signs)
    assert not any("Proposal" in type(what).__name__ for _, what in market.said)
    market.nothing_is_left()


def test_a_key_that_is_nobodys_cannot_be_asked_for(market: Market) -> None:
    stranger = market.local.keys["bob"].fresh(7).public
    with pytest.raises(core.UnknownParty):
        market.do(
            "alice", "Ask", others=(BOB,), keys=(*keys(market, "alice"), stranger), signs=True
        )
