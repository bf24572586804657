"""Claims of pseudonyms: what proves one, and everything that does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.core.flow import Party
from flowrt.core.values import encode
from flowrt.ledger.identity.claims import Pseudonym, claim
from flowrt.ledger.keys import PublicKey, all_of
from flowrt.ledger.problems import LedgerError
from flowrt.stdlib.ledger.core_flow import TooLarge
from flowrt.stdlib.ledger.keys_flow import SigningRefused
from flowrt.stdlib.ledger.network_flow import PseudonymRefused
from tests.ledger.town import Desk, Town

ALICE, BOB = Party("alice"), Party("bob")


def two(**limits: int) -> tuple[Desk, Desk]:
    town = Town("alice", "bob")
    return Desk(town, "alice", **limits), Desk(town, "bob", **limits)


def made(desk: Desk) -> Pseudonym:
    return desk.keys.claim(desk.tx, desk.keys.fresh(desk.tx))


def refused(desk: Desk, wrong: Pseudonym, why: str) -> None:
    before = desk.rows("SELECT * FROM ledger_keys")
    assert not desk.network.proves(desk.tx, wrong, wrong.party)
    with pytest.raises(PseudonymRefused) as caught:
        desk.network.learn(desk.tx, wrong)
    assert why in str(caught.value)
    assert desk.rows("SELECT * FROM ledger_keys") == before


def test_a_claim_proves_whose_a_key_is() -> None:
    alice, bob = two()
    told = made(bob)
    assert alice.network.party_of(alice.tx, told.key) is None
    assert alice.network.proves(alice.tx, told, BOB)
    assert not alice.network.proves(alice.tx, told, ALICE)
    alice.network.learn(alice.tx, told)
    alice.network.learn(alice.tx, told)
    assert alice.network.party_of(alice.tx, told.key) == BOB
    assert alice.network.unproven(alice.tx, [told.key], BOB) == ()
    alice.end()
    alice.restart()
    assert alice.network.party_of(alice.tx, told.key) == BOB
    assert not alice.keys.is_ours(alice.tx, told.key)


def test_only_our_pseudonyms_are_claimed() -> None:
    alice, bob = two()
    for key in (bob.keys.fresh(bob.tx), alice.keys.me(alice.tx).key):
        with pytest.raises(SigningRefused, match="no pseudonym of ours"):
            alice.keys.claim(alice.tx, key)
    told = made(bob)
    alice.network.learn(alice.tx, told)
    with pytest.raises(SigningRefused, match="no pseudonym of ours"):
        alice.keys.claim(alice.tx, told.key)


def test_nobody_claims_for_another() -> None:
    alice, _bob = two()
    stores = alice.town.stores
    network = alice.network.name
    identity, key = stores["bob"].identity(), stores["bob"].fresh(1)
    theirs, other = stores["alice"].identity(), stores["alice"].fresh(1)
    good = claim(network, BOB, identity, key)
    # Bob's name under alice's key, and the other way round.
    refused(alice, claim(network, BOB, theirs, key), "not by the party's key")
    refused(alice, claim(network, ALICE, identity, key), "not by the party's key")
    # The claimed key did not sign, or the party did not.
    stolen = claim(network, BOB, identity, other)
    wrong = Pseudonym(network, BOB, identity.public, key.public, good.by_identity, stolen.by_key)
    refused(alice, wrong, "signature")
    wrong = Pseudonym(network, BOB, identity.public, key.public, stolen.by_identity, good.by_key)
    refused(alice, wrong, "signature")
    # Who is in no map claims nothing.
    nobody = Party("dora")
    refused(alice, claim(network, nobody, stores["bob"].identity(9), key), "not by the party's key")


def test_a_claim_of_another_network_is_none() -> None:
    alice, _bob = two()
    stores = alice.town.stores
    wrong = claim(bytes(32), BOB, stores["bob"].identity(), stores["bob"].fresh(1))
    refused(alice, wrong, "another network")
    # Nor does it become one by writing our network on it.
    moved = Pseudonym(
        alice.network.name, BOB, wrong.identity, wrong.key, wrong.by_identity, wrong.by_key
    )
    refused(alice, moved, "signature")


def test_a_key_stays_with_whom_it_is_known_of() -> None:
    """Even where one party gave its private key to another."""
    town = Town("alice", "bob", "carol")
    alice = Desk(town, "alice")
    network, stores = alice.network.name, town.stores
    shared = stores["bob"].fresh(1)
    alice.network.learn(alice.tx, claim(network, BOB, stores["bob"].identity(), shared))
    carol = claim(network, Party("carol"), stores["carol"].identity(), shared)
    refused(alice, carol, "somebody else's")
    ours = alice.keys.fresh(alice.tx)
    mine = stores["alice"].fresh(1)
    assert mine.public == ours
    refused(alice, claim(network, BOB, stores["bob"].identity(), mine), "somebody else's")
    well_known = stores["carol"].identity()
    refused(alice, claim(network, BOB, stores["bob"].identity(), well_known), "somebody else's")


def test_an_old_key_claims_nothing_new() -> None:
    alice, bob = two()
    told, late = made(bob), made(bob)
    alice.network.learn(alice.tx, told)
    town = alice.town
    newer = town.publish(2, [town.entry("alice"), town.entry("bob", 1)])
    alice.network.accept(alice.tx, newer.data)
    refused(alice, late, "not by the party's key")
    assert alice.network.party_of(alice.tx, told.key) == BOB


def test_the_map_is_believed_before_a_claim() -> None:
    """A party cannot keep a map from being taken by claiming a key of it before."""
    town = Town("alice", "bob", "carol")
    alice = Desk(town, "alice")
    shared = town.stores["carol"].identity(1)
    told = claim(alice.network.name, BOB, town.stores["bob"].identity(), shared)
    alice.network.learn(alice.tx, told)
    newer = town.publish(2, [town.entry("alice"), town.entry("bob"), town.entry("carol", 1)])
    assert alice.network.accept(alice.tx, newer.data) == 2
    assert alice.network.party_of(alice.tx, shared.public) == Party("carol")


def test_a_party_claims_only_so_many() -> None:
    town = Town("alice", "bob", "carol")
    alice = Desk(town, "alice", most_pseudonyms=3)
    bob, carol = Desk(town, "bob"), Desk(town, "carol")
    told = [made(bob) for _ in range(4)]
    for one in told[:3]:
        alice.network.learn(alice.tx, one)
    with pytest.raises(TooLarge, match="more than 3 pseudonyms of bob"):
        alice.network.learn(alice.tx, told[3])
    alice.network.learn(alice.tx, told[0])
    alice.network.learn(alice.tx, made(carol))


def test_a_claim_that_was_looked_at_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = two()
    told = made(bob)
    checks = []
    monkeypatch.setattr(PublicKey, "verify", lambda *a: checks.append(a))
    assert alice.network.proves(alice.tx, told, BOB)
    alice.network.learn(alice.tx, told)
    assert len(checks) == 2


def test_what_is_unproven_tells_nothing_of_others() -> None:
    town = Town("alice", "bob", "carol")
    alice, bob, carol = (Desk(town, name) for name in ("alice", "bob", "carol"))
    known, theirs, new = made(bob), made(carol), bob.keys.fresh(bob.tx)
    alice.network.learn(alice.tx, known)
    alice.network.learn(alice.tx, theirs)
    ours = alice.keys.fresh(alice.tx)
    asked = [known.key, theirs.key, new, ours]
    assert alice.network.unproven(alice.tx, asked, BOB) == (theirs.key, new, ours)


def test_a_claim_of_what_is_no_key() -> None:
    """Bytes that are no point of the curve can be named; nothing can be signed by them."""
    alice, bob = two()
    good = made(bob)
    for number in range(2, 40):
        nothing = PublicKey(b"\x01" + bytes([number]) + bytes(31))
        wrong = Pseudonym(good.network, BOB, good.identity, nothing, good.by_identity, good.by_key)
        refused(alice, wrong, "signature")


# --- bytes ----------------------------------------------------------------------------------------


def test_a_claim_has_one_form() -> None:
    alice, _ = two()
    good = made(alice)
    assert Pseudonym.from_flow(good.to_flow()) == good
    assert hash(Pseudonym.from_flow(good.to_flow())) == hash(good)
    assert repr(good) == f"Pseudonym(alice, {good.key.text})"


GOOD = made(two()[0])


@given(st.data())
@settings(max_examples=150)
def test_no_byte_of_a_claim_can_be_changed(data: st.DataObject) -> None:
    good = GOOD.to_flow()
    place = data.draw(st.integers(0, len(good) - 1))
    changed = (
        good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    )
    try:
        found = Pseudonym.from_flow(changed)
    except LedgerError:
        return
    if found.to_flow() != changed:
        return  # `opaque` refuses what is not written again.
    with pytest.raises(LedgerError):
        found.check()


@given(st.binary(max_size=1200))
@settings(max_examples=60)
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(LedgerError):
        Pseudonym.from_flow(data)


def test_claims_that_cannot_be() -> None:
    network, key, other = bytes(32), GOOD.key, GOOD.identity
    both = all_of([key, other])
    signature = bytes(64)
    for parts in (
        (b"", "bob", other, key, signature, signature),
        (network, "bob", other, other, signature, signature),
        (network, "bob", both, key, signature, signature),
        (network, "bob", other, both, signature, signature),
        (network, "bob", other, key, signature[1:], signature),
        (network, "bob", other, key, signature, signature + b"\x00"),
        (network, "CN=bob", other, key, signature, signature),
        (network, "bоb", other, key, signature, signature),
        (network, "b" * 2000, other, key, signature, signature),
    ):
        with pytest.raises(LedgerError):
            Pseudonym.from_flow(encode(list(parts)))
