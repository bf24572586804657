"""Questions, answers, signatures and claims that somebody makes up within honest flows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowrt.core.flow import Message
from flowrt.core.values import encode
from flowrt.ledger import backchain
from flowrt.ledger.identity import claims
from flowrt.ledger.transactions import TransactionSignature, sign
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.identities_flow import NewPseudonym
from flowrt.stdlib.ledger.network_flow import PseudonymRefused
from flowrt.stdlib.ledger.parts_flow import StateRef
from flowrt.stdlib.ledger.signatures_flow import Consent, StrangeSignature
from flowrt.stdlib.ledger.transactions_flow import Supplied, Wanted
from tests.ledger.market import ALICE, BOB, CAROL, Market
from tests.ledger.tampering import Mallory


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given before somebody asks for it, however little it is."""
    monkeypatch.setattr(backchain, "MOST_ALONG", 0)


def instead(market: Market, made: Callable[[], Message]) -> Mallory:
    """Alice says this in place of what her node would."""
    mallory = Mallory(market)

    def change(name: str, body: bytes) -> tuple[str, bytes]:
        other = made()
        return name, encode(other) if name == type(other).wire else body

    mallory.change = change
    mallory.listen()
    return mallory


def refused(mallory: Mallory, party: str = "bob") -> list[type[Exception]]:
    mallory.rest()
    return [type(end) for end in mallory.endings(party) if end is not None]


@pytest.mark.parametrize(
    ("question", "error"),
    [
        (Wanted(tuple(bytes([n]) * 32 for n in range(200)), 500, None), core.IllegalRequest),
        (Wanted(tuple(n.to_bytes(32, "big") for n in range(10_000)), 500, None), core.TooLarge),
        (Wanted((bytes(32),), 10_000, None), core.TooLarge),
        (Wanted((), 0, None), core.TooLarge),
        (Wanted((), -1, None), core.TooLarge),
        (Wanted((b"short",), 1, None), core.IllegalRequest),
        (Wanted((b"x" * 10_000,), 1, None), core.IllegalRequest),
        (Wanted((), 0, bytes(32)), core.IllegalRequest),
        (Wanted((), 0, b""), core.IllegalRequest),
    ],
    ids=lambda value: "" if isinstance(value, Wanted) else value.__name__,
)
@pytest.mark.usefixtures("asking")
def test_questions_that_nobody_may_ask(question: Wanted, error: type[Exception]) -> None:
    """Bob proposes, so alice may ask what it rests on, and asks for something else."""
    with Market("alice", "bob") as market:
        ref = StateRef(market.do("bob", "Start", words="tea"), 0)
        mallory = instead(market, lambda: question)
        before = mallory.tables("bob")
        market.start("bob", "AgreeAgain", others=(ALICE,), before=ref, words="again")
        assert refused(mallory) == [error]
        after = mallory.tables("bob")
        assert after["ledger_transaction"] == before["ledger_transaction"]
        assert after["ledger_state"] == before["ledger_state"]


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize("content", [b"another file", None, b"x" * 600_000])
def test_files_that_are_none_of_the_transaction_are_not_kept(content: bytes | None) -> None:
    """Nor are those that come first and are right."""
    with Market("alice", "bob") as market:
        last = market.do("alice", "Grow", count=3, how="attached")
        mallory = Mallory(market)
        files = 0

        def change(name: str, body: bytes) -> tuple[str, bytes]:
            nonlocal files
            if name == Supplied.wire and b"annex" in body:
                files += 1
                if files == 3:
                    return name, encode(Supplied((), content))
            return name, body

        mallory.change = change
        mallory.listen()
        market.start("alice", "Show", whom=BOB, shown=last)
        expected = core.UnknownTransaction if content is None else core.WrongTransaction
        assert refused(mallory) in ([expected], [core.TooLarge])
        assert files == 3
        assert market.rows("bob", "ledger_transaction") == 0
        assert market.rows("bob", "ledger_attachment") == 0


def test_an_answer_with_the_same_over_and_over() -> None:
    with Market("alice", "bob") as market:
        last = market.do("alice", "Grow", count=3)
        below = market.world.rows("alice", "SELECT id FROM ledger_transaction ORDER BY number")[1]
        one = market.vault("alice", "transaction", below[0])
        mallory = instead(market, lambda: Supplied((one,) * 600, None))
        market.start("alice", "Show", whom=BOB, shown=last)
        assert refused(mallory) == [core.TooLarge]
        assert market.rows("bob", "ledger_transaction") == 0


def consents(market: Market, id: bytes) -> dict[str, tuple[TransactionSignature, ...]]:
    keys = {name: market.local.keys[name].identity() for name in ("alice", "bob", "carol")}
    good = sign(id, keys["alice"])
    return {
        "nothing": (),
        "over another id": (sign(bytes(32), keys["alice"]),),
        "by somebody else": (sign(id, keys["carol"]),),
        "by the one who asks": (sign(id, keys["bob"]),),
        "twice": (good, good),
        "many": (good,) * 129,
        "beside a good one": (good, sign(id, keys["carol"])),
        "in another's name": (TransactionSignature(keys["alice"].public, bytes(64)),),
        "by parts of no key": (
            TransactionSignature(keys["carol"].public, sign(id, keys["alice"]).data),
        ),
    }


def test_signatures_that_nobody_asked_for() -> None:
    with Market("alice", "bob", "carol") as market:
        for what in consents(market, bytes(32)):
            ref = StateRef(market.do("bob", "Start", words=what), 0)
            id = [b""]
            mallory = instead(
                market, lambda what=what, id=id: Consent(consents(market, id[0])[what])
            )
            market.said.clear()
            change = mallory.change
            assert change is not None

            def look(name: str, body: bytes, change=change, id=id) -> tuple[str, bytes] | None:
                proposals = [one for _, one in market.said if type(one).__name__ == "Proposal"]
                id[0] = proposals[-1].transaction.id if proposals else b""
                return change(name, body)

            mallory.change = look
            before = mallory.tables("bob")["ledger_state"]
            market.start("bob", "AgreeAgain", others=(ALICE,), before=ref, words="again")
            [error] = refused(mallory)
            assert error in (StrangeSignature, core.BadSignature, core.SignaturesMissing), what
            assert mallory.tables("bob")["ledger_state"] == before
            mallory.market._send = mallory._onward


def claims_of(market: Market) -> dict[str, claims.Pseudonym]:
    """What alice may claim, in place of what is true."""
    alice, carol = market.local.keys["alice"], market.local.keys["carol"]
    ours, theirs, fresh = alice.identity(), carol.identity(), alice.fresh(1_000)
    here = market.local.ledgers["bob"].network.name
    good = claims.claim(here, ALICE, ours, fresh)
    parts = (good.by_identity, good.by_key)
    return {
        "in another network": claims.claim(bytes(32), ALICE, ours, fresh),
        "carol's, by carol": claims.claim(here, CAROL, theirs, carol.fresh(1)),
        "in carol's name": claims.claim(here, CAROL, ours, fresh),
        "by a key of no party": claims.claim(here, ALICE, alice.fresh(7), fresh),
        "a key that she has not": claims.Pseudonym(
            here, ALICE, ours.public, carol.fresh(1).public, *parts
        ),
        "carol's well-known key": claims.Pseudonym(here, ALICE, ours.public, theirs.public, *parts),
        "bob's own key": claims.Pseudonym(
            here, ALICE, ours.public, market.local.key("bob"), *parts
        ),
    }


def test_claims_that_are_not_true() -> None:
    with Market("alice", "bob", "carol") as market:
        made: dict[str, claims.Pseudonym] = {}
        for what in claims_of(market):
            made = claims_of(market)
            mallory = instead(market, lambda what=what, made=made: NewPseudonym(made[what]))
            before = mallory.tables("bob")["ledger_learned"]
            market.start("alice", "Swap", whom=BOB)
            assert refused(mallory) == [PseudonymRefused], what
            assert mallory.tables("bob")["ledger_learned"] == before
            mallory.market._send = mallory._onward
        assert market.ask("bob", "network", "party_of", made["in another network"].key) is None
