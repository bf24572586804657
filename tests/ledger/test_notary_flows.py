"""Having transactions notarised, by notaries that validate and that do not: CS-210 to CS-218.

Every scenario runs in the simulated world, whose invariants are looked at after every event; flows
are read from their bytes for every step.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from flowrt.core.flow import Party
from flowrt.core.values import Data, Invite
from flowrt.ledger.filtered import FOR_NOTARY, FilteredTransaction, filtered
from flowrt.ledger.notary import requests
from flowrt.ledger.notary.requests import (
    MAX_STATES,
    RequestProof,
    claim_of_parts,
    content,
    parts_of,
)
from flowrt.ledger.problems import BadProof, BadStructure, LedgerError
from flowrt.ledger.transactions import SignedTransaction
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import Identity
from tests.ledger.notary_world import (
    FORMER,
    JUDGE,
    MADE,
    NOTARY,
    STARTERS,
    Ledger,
    identity_of,
    issued,
    key_of,
    moving,
    signed_by,
)

BOTH = pytest.mark.parametrize("by", [NOTARY, JUDGE], ids=["shown a part", "validating"])


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with contextlib.closing(Ledger()) as found:
        yield found


def is_good(transaction: SignedTransaction, signatures: Any, by: Identity = NOTARY) -> bool:
    return requests.is_signed(transaction, signatures) and {s.by for s in signatures} == {by.key}


@BOTH
def test_cs_210_a_transaction_in_its_window_and_one_without(ledger: Ledger, by: Identity) -> None:
    now = ledger.now()
    one, other, third = issued(3, by)
    for transaction in (
        moving(one, by=by),
        moving(other, by=by, window=(now, now + datetime.timedelta(hours=3))),
        moving(third, by=by, window=(None, now + datetime.timedelta(hours=3))),
        moving(by=by, window=(now, None)),
    ):
        assert is_good(transaction, ledger.notarise(transaction), by)
    ledger.nothing_is_left()


@BOTH
def test_cs_211_a_transaction_is_signed_again_when_its_window_is_over(
    ledger: Ledger, by: Identity
) -> None:
    [note] = issued(1, by)
    until = ledger.now() + datetime.timedelta(hours=2)
    only_a_window = moving(by=by, window=(None, until))
    transaction = moving(note, by=by, window=(None, until))
    assert is_good(transaction, ledger.notarise(transaction), by)
    assert is_good(only_a_window, ledger.notarise(only_a_window), by)
    ledger.run(datetime.timedelta(days=1))
    assert is_good(transaction, ledger.notarise(transaction, "bob"), by)
    assert is_good(only_a_window, ledger.notarise(only_a_window), by)


@BOTH
def test_cs_212_outside_of_its_window(ledger: Ledger, by: Identity) -> None:
    [note] = issued(1, by)
    now = ledger.now()
    for window in ((now + datetime.timedelta(days=1), None), (None, now)):
        with pytest.raises(core.TimeWindowInvalid) as refused:
            ledger.notarise(moving(note, by=by, window=window))
        assert (refused.value.window.since, refused.value.window.until) == window
        assert now <= refused.value.time <= ledger.now()
    transaction = moving(note, by=by)
    assert is_good(transaction, ledger.notarise(transaction), by)


@BOTH
def test_cs_213_the_same_transaction_several_times(ledger: Ledger, by: Identity) -> None:
    [note] = issued(1, by)
    transaction = moving(note, by=by)
    for party in ("alice", "bob", "alice"):
        assert is_good(transaction, ledger.notarise(transaction, party), by)


@BOTH
def test_cs_214_a_conflict_names_what_was_used_up_and_a_hash_alone(
    ledger: Ledger, by: Identity
) -> None:
    one, other, third, fourth = issued(4, by)
    first = moving(one, other, by=by)
    ledger.notarise(first)
    second = moving(one, third, other, references=[fourth], by=by, text="again")
    with pytest.raises(core.NotaryConflict) as refused:
        ledger.notarise(second)
    hashed = hashlib.sha256(first.id).digest()
    assert refused.value.transaction == second.id
    assert set(refused.value.conflicts) == {
        core.Conflict(one.ref, hashed, core.Use_Input()),
        core.Conflict(other.ref, hashed, core.Use_Input()),
    }
    with pytest.raises(core.NotaryConflict) as refused:
        ledger.notarise(moving(third, references=[one], by=by, text="refers"))
    assert refused.value.conflicts == (core.Conflict(one.ref, hashed, core.Use_Reference()),)
    said = msgspec.msgpack.encode([frame for *_, frame in ledger.frames if is_answer(frame)])
    assert first.id not in said.split(hashed)[0]
    # Nothing of what was refused was used up.
    last = moving(third, by=by, text="third")
    assert is_good(last, ledger.notarise(last), by)


def is_answer(frame: Any) -> bool:
    return not isinstance(frame, Invite) and not isinstance(getattr(frame, "content", 0), Data)


def test_cs_215_a_request_that_the_requester_has_not_signed_so() -> None:
    one, other = issued(2)
    transaction, another = moving(one), moving(other)
    parts, alice = parts_of(transaction), identity_of("alice")

    def proof(by: str, *of: Any) -> RequestProof:
        return RequestProof(key_of(by).public, key_of(by).sign(content(NOTARY, *of)))

    good = proof("alice", transaction.id, [one.ref], [])
    assert claim_of_parts(parts, alice, good, False).inputs == (one.ref,)
    for wrong in (
        proof("bob", transaction.id, [one.ref], []),  # by somebody else
        RequestProof(alice.key, proof("bob", transaction.id, [one.ref], []).data),
        proof("alice", transaction.id, [other.ref], []),  # other inputs
        proof("alice", transaction.id, [one.ref], [other.ref]),
        proof("alice", another.id, [one.ref], []),  # another id
        RequestProof(
            alice.key, key_of("alice").sign(content(JUDGE, transaction.id, [one.ref], []))
        ),
        RequestProof(alice.key, b"short"),
        RequestProof(alice.key, good.data[:-1] + bytes([good.data[-1] ^ 1])),
    ):
        with pytest.raises(LedgerError, match="sign"):
            claim_of_parts(parts, alice, wrong, False)


def test_cs_215_what_a_notary_must_see_is_not_hidden() -> None:
    """It is refused, whatever of it is hidden; so a second input is not spent behind its back."""
    now = datetime.datetime(2027, 1, 15, tzinfo=datetime.UTC)
    one, other, third = issued(3)
    transaction = moving(one, other, references=[third], window=(now, None))
    proof = RequestProof(key_of("alice").public, bytes(64))
    for hidden in requests_groups():
        parts = filtered(
            transaction.transaction,
            lambda group, value, hidden=hidden: group in requests_groups() and group != hidden,
        )
        if hidden in transaction.transaction.groups:
            with pytest.raises(BadProof, match="hidden"):
                claim_of_parts(parts, identity_of("alice"), proof, False)
    half = filtered(
        transaction.transaction,
        lambda group, value: group in requests_groups() and value != other.ref,
    )
    assert isinstance(FilteredTransaction.from_flow(half.to_flow()), FilteredTransaction)
    with pytest.raises(BadProof, match="hidden"):
        claim_of_parts(half, identity_of("alice"), proof, False)


def requests_groups() -> tuple[int, ...]:
    return FOR_NOTARY


def test_cs_216_too_many_states_are_not_looked_at() -> None:
    """Before any of them is."""
    ref = issued(1)[0].ref
    many = tuple(
        msgspec.structs.replace(ref, transaction=number.to_bytes(32, "big"))
        for number in range(MAX_STATES + 1)
    )
    with pytest.raises(BadStructure, match="10000 inputs and references; at most 9999"):
        requests._claim(
            bytes(32), (many[:5000], many[5000:]), (NOTARY, None, None),
            identity_of("alice"), RequestProof(NOTARY.key, b""), False,
        )  # fmt: skip


def test_cs_216_what_a_validating_notary_finds_wrong(ledger: Ledger) -> None:
    one, other, third = issued(3, JUDGE)
    with pytest.raises(core.SignaturesMissing):
        ledger.notarise(moving(one, by=JUDGE, signer=None))
    with pytest.raises(core.TransactionInvalid, match="a note is bad"):
        ledger.notarise(moving(other, by=JUDGE, text="bad"))
    made = MADE.pop(third.ref.transaction)
    with pytest.raises(core.UnknownTransaction):
        ledger.notarise(moving(third, by=JUDGE))
    MADE[made.id] = made
    # None of them was entered.
    for note in (one, other, third):
        transaction = moving(note, by=JUDGE, text="good")
        assert is_good(transaction, ledger.notarise(transaction), JUDGE)


def test_cs_216_parameters_of_the_network() -> None:
    now = b"n" * 32
    with contextlib.closing(Ledger([now])) as ledger:
        [note] = issued(1)
        for stale in (None, b"o" * 32):
            with pytest.raises(core.RequestInvalid, match="parameters that are in force"):
                ledger.notarise(moving(note, parameters=stale))
        transaction = moving(note, parameters=now)
        assert is_good(transaction, ledger.notarise(transaction))


@BOTH
def test_cs_218_a_retry_after_a_reference_was_used_up(ledger: Ledger, by: Identity) -> None:
    """Corda's notary refuses it, which its own test shows."""
    one, reference = issued(2, by)
    refers = moving(one, references=[reference], by=by)
    only_refers = moving(references=[reference], by=by)
    for transaction in (refers, only_refers, moving(reference, by=by, text="uses it up")):
        assert is_good(transaction, ledger.notarise(transaction), by)
    assert is_good(refers, ledger.notarise(refers, "bob"), by)
    assert is_good(only_refers, ledger.notarise(only_refers), by)


# --- whom is asked ------------------------------------------------------------------------------


def test_only_a_transactions_own_notary_signs_it(ledger: Ledger) -> None:
    """The key counts, not the name."""
    [note] = issued(1, Identity(Party("notary"), key_of("mallory").public))
    with pytest.raises(core.RequestInvalid, match="not notary under its key"):
        ledger.notarise(moving(note, by=note.notary))
    with pytest.raises(core.NotaryUnknown, match="bob is no notary of this network"):
        ledger.notarise(moving(*issued(1, identity_of("bob")), by=identity_of("bob")))


def test_a_notary_that_was_struck_off_the_list_is_not_asked(ledger: Ledger) -> None:
    with pytest.raises(core.NotaryUnknown, match="former is no notary of this network"):
        ledger.notarise(moving(*issued(1, FORMER), by=FORMER))


def test_a_validating_notary_wants_all_and_the_other_only_a_part(ledger: Ledger) -> None:
    """Neither takes what is meant for the other kind: who is to see less than all, sees less."""
    [note] = issued(1, JUDGE)
    transaction = moving(note, by=JUDGE)
    ledger.notarise(transaction)
    shown = [type_name(frame) for frame in sent_to(ledger, "judge")]
    assert shown == ["ledger.notary.ValidationRequest"]
    ledger.notarise(moving(*issued(1)))
    assert [type_name(frame) for frame in sent_to(ledger, "notary")] == [
        "ledger.notary.NotarisationRequest"
    ]


def sent_to(ledger: Ledger, party: str) -> list[Data]:
    firsts = [f.first for _, to, f in ledger.frames if to == party and isinstance(f, Invite)]
    return [first for first in firsts if first is not None]


def type_name(data: Data) -> str:
    return data.name


def test_the_next_worker_answers_when_one_does_not(ledger: Ledger) -> None:
    [note] = issued(1)
    transaction = moving(note)
    ledger.world.network.cut = {("alice", "notary"), ("notary", "alice")}
    assert is_good(transaction, ledger.notarise(transaction))
    with pytest.raises(core.NotaryConflict):
        ledger.notarise(moving(note, text="both workers keep one book"), "bob")


def test_who_gets_no_answer_waits_for_somebody(ledger: Ledger) -> None:
    [note] = issued(1)
    transaction = moving(note)
    ledger.cut("alice")
    begun = ledger.start("alice", STARTERS.Notarises_v1, transaction=transaction)
    ledger.until(lambda: ledger.hospital("alice"))
    [patient] = ledger.hospital("alice")
    assert "no worker of notary gives an answer" in patient.cause
    ledger.cut()
    ledger.node("alice").submit_retry(begun.id)
    assert is_good(transaction, ledger.result(begun))


# --- crashes ------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("party", ["alice", "the notary"])
def test_crashes_between_any_two_steps_change_no_answer(by: Identity, party: str) -> None:
    """The process ends before the first event, the second, …: in the end there is a signature of
    the first transaction, and the conflicting one is refused."""
    who = by.party.name if party == "the notary" else party
    for at in range(0, 40, 2):
        with contextlib.closing(Ledger()) as ledger:
            [note] = issued(1, by)
            transaction = moving(note, by=by)
            begun = ledger.start("alice", STARTERS.Notarises_v1, transaction=transaction)
            for _ in range(at):
                if not ledger.step():
                    break
            is_over = ledger.has_ended(begun)
            ledger.die(who)
            assert is_good(transaction, ledger.result(begun), by)
            with pytest.raises(core.NotaryConflict):
                ledger.notarise(moving(note, by=by, text="other"), "bob")
            if is_over:
                return
    pytest.fail("it never came to an end")


def test_commits_that_fail_change_no_answer(ledger: Ledger) -> None:
    ledger.spoil("crash before", "crash after", "refused", rate=0.2)
    for note in issued(5):
        transaction = moving(note)
        assert is_good(transaction, ledger.notarise(transaction))


# --- who wants to be told -----------------------------------------------------------------------


@BOTH
def test_what_became_of_a_transaction_can_be_asked(ledger: Ledger, by: Identity) -> None:
    """By who knows the transaction, and without having it notarised."""
    [note] = issued(1, by)
    transaction = moving(note, by=by)
    with pytest.raises(core.NotNotarised):
        ledger.run_flow("bob", STARTERS.Recalls_v1, transaction=transaction)
    ledger.notarise(transaction)
    signatures = ledger.run_flow("bob", STARTERS.Recalls_v1, transaction=transaction)
    assert is_good(transaction, signatures, by)


@BOTH
def test_a_notary_tells_who_asked_for_it_though_the_counterparty_stops(
    ledger: Ledger, by: Identity
) -> None:
    """Bob has signed; alice has it notarised and is never heard of again."""
    [note] = issued(1, by)
    transaction = signed_by(moving(note, by=by), "bob")
    waiting = ledger.start("bob", STARTERS.Awaits_v1, transaction=transaction)
    ledger.run(datetime.timedelta(hours=5))
    assert not ledger.has_ended(waiting)
    ledger.crash(by.party.name)
    ledger.notarise(transaction)
    ledger.cut("alice")
    assert is_good(transaction, ledger.result(waiting), by)
    assert not ledger.flows(by.party.name)


def test_a_notary_does_not_wait_for_ever_with_who_is_told_nothing(ledger: Ledger) -> None:
    [note] = issued(1)
    waiting = ledger.start("bob", STARTERS.Awaits_v1, transaction=moving(note))
    ledger.run(datetime.timedelta(days=8))
    with pytest.raises(core.NotNotarised):
        ledger.result(waiting)


def test_what_nobody_signed_is_no_signature() -> None:
    [note] = issued(1)
    transaction, other = moving(note), moving(note, text="other")
    good = signed_by(transaction, "notary").signatures
    only = tuple(one for one in good if one.by == NOTARY.key)
    assert requests.is_signed(transaction, only)
    assert not requests.is_signed(transaction, ())
    assert not requests.is_signed(transaction, good)
    assert not requests.is_signed(other, only)
    assert not requests.is_signed(transaction, signed_by(transaction, "bob").signatures[:1])
