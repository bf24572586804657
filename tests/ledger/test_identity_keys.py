"""The service Keys: keys made with a step, what they sign, how they come back after a loss."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flowrt.core.flow import Party
from flowrt.core.values import encode
from flowrt.ledger import transactions as wire
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity import register
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.identity.signing import Keys
from flowrt.ledger.keys import PublicKey, all_of
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import CommandData, Rulebook, State, command, state
from flowrt.ledger.transactions import Output, SignedTransaction
from flowrt.services import StepTx
from flowrt.stdlib.ledger.core_flow import UnknownParty
from flowrt.stdlib.ledger.keys_flow import SigningRefused
from flowrt.stdlib.ledger.parts_flow import Identity
from tests.ledger.town import Desk, Town


@state("identity.Deed", contract="identity.Deed")
class Deed(State, frozen=True, array_like=True, gc=False):
    """Something with several people in it."""

    owners: tuple[PublicKey, ...]

    def participants(self) -> tuple[PublicKey, ...]:
        return self.owners


@command("identity.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    """It changes hands."""


def town() -> Town:
    return Town("alice", "bob", "notary", notaries=["notary"])


def desk() -> Desk:
    return Desk(town(), "alice")


def transaction(*signers: PublicKey, notary: Identity | None = None) -> SignedTransaction:
    built = TransactionBuilder(notary or Identity(Party("notary"), KEYS.identity().public))
    built.make(Deed(signers)).command(Move(), *signers)
    return built.sign([], bytes(32))


KEYS = KeyStore.derive(b"somebody else")


# --- keys -----------------------------------------------------------------------------------------


def test_who_we_are_is_in_the_map() -> None:
    here = desk()
    assert here.keys.me(here.tx) == here.network.identity(here.tx, Party("alice"))
    stranger = Desk(Town("alice", "bob"), "bob")
    stranger.tx.leave(True)
    stranger.tx = StepTx(Party("dora"), stranger.store)
    stranger.begin()
    with pytest.raises(UnknownParty):
        stranger.keys.me(stranger.tx)


def test_a_fresh_key_is_ours_and_nobody_elses() -> None:
    here = desk()
    one, other = here.keys.fresh(here.tx), here.keys.fresh(here.tx)
    assert one != other
    assert here.keys.is_ours(here.tx, one)
    assert here.network.party_of(here.tx, one) == Party("alice")
    assert not here.keys.is_ours(here.tx, here.town.stores["bob"].fresh(1).public)
    assert here.keys.is_ours(here.tx, here.keys.me(here.tx).key)
    assert here.network.party_of(here.tx, KEYS.fresh(1).public) is None


def test_keys_are_kept_over_a_restart() -> None:
    here = desk()
    first = here.keys.fresh(here.tx)
    here.end()
    here.restart()
    assert here.keys.is_ours(here.tx, first)
    assert here.keys.fresh(here.tx) == here.town.stores["alice"].fresh(2).public


def test_a_step_that_is_undone_made_no_key() -> None:
    here = desk()
    key = here.keys.fresh(here.tx)
    here.end(keep=False)
    assert not here.keys.is_ours(here.tx, key)
    assert here.network.party_of(here.tx, key) is None
    assert here.keys.fresh(here.tx) == key  # Nobody has seen it.


def test_the_last_number_is_found_without_looking_at_all_keys() -> None:
    here = desk()
    [(plan,)] = [
        row[-1:]
        for row in here.store._work.db.execute(  # type: ignore[union-attr]
            "EXPLAIN QUERY PLAN SELECT MAX(number) FROM ledger_keys "
            "WHERE kind = 1 AND number IS NOT NULL"
        )
    ]
    assert "SEARCH" in plan
    assert "ledger_keys_numbers" in plan


class Making(RuleBasedStateMachine):
    """Steps that make keys and salts, are undone, and restart, against a list."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = desk()
        self.kept: list[PublicKey] = []
        self.made: list[PublicKey] = []
        self.salts: set[bytes] = set()

    @rule(count=st.integers(1, 3))
    def fresh(self, count: int) -> None:
        self.made += [self.desk.keys.fresh(self.desk.tx) for _ in range(count)]

    @rule()
    def salt(self) -> None:
        salt = self.desk.keys.salt(self.desk.tx)
        assert len(salt) == 32
        assert salt not in self.salts
        self.salts.add(salt)

    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        self.desk.end(keep)
        self.kept += self.made if keep else []
        self.made = []
        # Time passes before a step that was undone is done again, or it gives the same again,
        # which nobody has seen.
        self.desk.tx.now_us += 1

    @rule()
    def restart(self) -> None:
        now_us = self.desk.tx.now_us
        self.desk.end(keep=True)
        self.kept, self.made = self.kept + self.made, []
        self.desk.restart()
        self.desk.tx.now_us = now_us

    @invariant()
    def numbers_have_no_gap(self) -> None:
        found = self.desk.rows(
            "SELECT number FROM ledger_keys WHERE kind = 1 AND number IS NOT NULL ORDER BY number"
        )
        ours = self.kept + self.made
        assert [number for (number,) in found] == list(range(1, len(ours) + 1))
        store = self.desk.town.stores["alice"]
        assert [store.fresh(n + 1).public for n in range(len(ours))] == ours


Making.TestCase.settings = settings(max_examples=15, stateful_step_count=15)
TestMaking = Making.TestCase


def test_a_salt_of_an_older_database_is_another() -> None:
    """A database that was put back counts again, but time has passed."""
    one, other = desk(), desk()
    first = one.keys.salt(one.tx)
    other.tx.now_us += 1
    assert other.keys.salt(other.tx) != first
    other.end(keep=False)
    other.tx.now_us -= 1
    other.tx.flow_id += 1
    assert other.keys.salt(other.tx) != first
    other.end(keep=False)
    other.tx.flow_id -= 1
    assert other.keys.salt(other.tx) == first  # The same step again: nobody has seen it.


# --- signing --------------------------------------------------------------------------------------


def test_we_sign_with_all_required_keys_that_are_ours() -> None:
    here = desk()
    one, other, unused = (here.keys.fresh(here.tx) for _ in range(3))
    me, theirs = here.keys.me(here.tx).key, KEYS.fresh(1).public
    signed = here.keys.sign(here.tx, transaction(one, other, me, theirs))
    assert signed.signers == {one, other, me}
    assert unused not in signed.signers
    signed.check_signatures([theirs])
    assert here.keys.sign(here.tx, signed) == signed


def test_we_sign_as_a_part_of_a_composite_key() -> None:
    here = desk()
    one, theirs = here.keys.fresh(here.tx), KEYS.fresh(1).public
    assert here.keys.sign(here.tx, transaction(all_of([one, theirs]))).signers == {one}


def test_chosen_keys_sign() -> None:
    here = desk()
    one, other = here.keys.fresh(here.tx), here.keys.fresh(here.tx)
    given = transaction(one, other)
    signed = here.keys.sign_with(here.tx, given, [one])
    assert signed.signers == {one}
    assert here.keys.sign_with(here.tx, signed, [one]) == signed
    for wrong in (KEYS.fresh(1).public, all_of([one, other])):
        with pytest.raises(SigningRefused, match="not ours"):
            here.keys.sign_with(here.tx, given, [one, wrong])


def test_a_notary_does_not_notarise_by_signing_as_a_party() -> None:
    here = Desk(town(), "notary")
    me = here.keys.me(here.tx)
    own = here.keys.fresh(here.tx)
    given = transaction(own, me.key, notary=me)
    assert given.transaction.needs_notary is False
    assert here.keys.sign(here.tx, given).signers == {own}
    with pytest.raises(SigningRefused, match="sign as notary"):
        here.keys.sign_with(here.tx, given, [me.key])


def test_the_pseudonyms_in_a_transaction() -> None:
    here = desk()
    own, signer, unused = (here.keys.fresh(here.tx) for _ in range(3))
    me, theirs = here.keys.me(here.tx).key, KEYS.fresh(1).public
    notary = Identity(Party("notary"), KEYS.identity().public)
    built = TransactionBuilder(notary).make(Deed((own, theirs, me))).command(Move(), signer)
    given = built.sign([], bytes(32))
    knowing = Keys(here.town.stores["alice"], here.network, Rulebook([sys.modules[__name__]]))
    assert set(knowing.pseudonyms_in(here.tx, given)) == {own, signer}
    assert set(here.keys.pseudonyms_in(here.tx, given)) == {signer}  # Deeds are not installed.
    spoilt = Output("identity.Deed", 1, b"\xc1", "identity.Deed_v1", notary)
    groups = {
        wire.OUTPUTS: [encode(spoilt)],
        wire.COMMANDS: [encode(c) for c in given.transaction.commands],
        wire.SIGNERS: [encode((signer,))],
        wire.NOTARY: [encode(notary)],
    }
    odd = SignedTransaction(wire.Transaction(groups, bytes(32)))
    assert set(knowing.pseudonyms_in(here.tx, odd)) == {signer}
    assert unused


# --- the well-known key ---------------------------------------------------------------------------


def test_a_rotated_key_counts_when_the_map_has_it() -> None:
    here = desk()
    old = here.keys.me(here.tx).key
    new = here.keys.rotate(here.tx)
    assert new == here.town.stores["alice"].identity(1).public != old
    assert here.keys.me(here.tx).key == old
    newer = here.town.publish(2, [here.town.entry("alice", 1), here.town.entry("bob")], [])
    here.network.accept(here.tx, newer.data)
    here.end()
    here.restart()
    assert here.keys.me(here.tx).key == new
    assert here.keys.identity_key(here.tx).public == new
    # What was made out to the old key can still be signed for.
    assert here.keys.is_ours(here.tx, old)
    assert here.keys.sign(here.tx, transaction(old, new)).signers == {old, new}
    pseudonym = here.keys.claim(here.tx, here.keys.fresh(here.tx))
    assert pseudonym.identity == new


def test_a_map_with_a_key_that_we_do_not_have() -> None:
    here = desk()
    newer = here.town.publish(2, [here.town.entry("alice", 5), here.town.entry("bob")], [])
    here.network.accept(here.tx, newer.data)
    with pytest.raises(LedgerError, match="RecoverKeys"):
        here.keys.identity_key(here.tx)


def test_the_database_of_another_seed_is_refused() -> None:
    here = desk()
    here.end()
    here.town.stores["alice"] = KeyStore.derive(b"another")
    with pytest.raises(LedgerError, match="not the one that alice's database was made with"):
        here.restart()


# --- after a loss ---------------------------------------------------------------------------------


def test_all_keys_come_back_from_the_seed_and_a_count() -> None:
    here = desk()
    used = [here.keys.fresh(here.tx) for _ in range(5)]
    here.keys.rotate(here.tx)
    backup = here.town.stores["alice"].backup()

    here.town.stores["alice"] = KeyStore.restore(backup)
    again = Desk(here.town, "alice")
    assert not again.keys.is_ours(again.tx, used[0])
    again.keys.recover(again.tx, 1, 8)
    again.keys.recover(again.tx, 3, 6)
    again.keys.recover_identities(again.tx, 2)
    for key in used:
        assert again.keys.is_ours(again.tx, key)
        assert again.keys.sign(again.tx, transaction(key)).signers == {key}
    assert again.keys.is_ours(again.tx, again.town.stores["alice"].identity(1).public)
    assert again.keys.fresh(again.tx) == again.town.stores["alice"].fresh(9).public


def test_what_was_learned_of_ourselves_becomes_ours() -> None:
    here = desk()
    other = Desk(here.town, "alice")  # Another place with our seed.
    key = other.keys.fresh(other.tx)
    here.network.learn(here.tx, other.keys.claim(other.tx, key))
    assert not here.keys.is_ours(here.tx, key)
    here.keys.recover(here.tx, 1, 1)
    assert here.keys.is_ours(here.tx, key)
    assert register.holder(here.tx, key) == ("alice", register.PSEUDONYM, 1)


def test_a_key_stays_ours_whatever_else_is_heard_of_it() -> None:
    here = desk()
    key = here.keys.fresh(here.tx)
    register.keep(here.tx, key, "alice", register.WELL_KNOWN)
    assert register.holder(here.tx, key) == ("alice", register.WELL_KNOWN, 1)
