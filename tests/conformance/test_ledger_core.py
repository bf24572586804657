"""What a transaction is, as the tests of Corda's core ask it. Nothing here needs a node."""

from __future__ import annotations

import datetime
import itertools

import pytest

from flowrt.core.values import encode
from flowrt.ledger import transactions as wire
from flowrt.ledger.filtered import FilteredTransaction, filtered
from flowrt.ledger.keys import ED25519, SigningKey, composite
from flowrt.ledger.problems import BadProof, BadStructure, LedgerError, SignaturesMissing
from flowrt.ledger.transactions import Output, SignedTransaction, Transaction
from flowrt.ledger.verifying import check_structure, is_open
from flowrt.stdlib.ledger.parts_flow import StateRef, TimeWindow
from tests.ledger.notes import ALICE, BOB, NOTARY, OTHER_ID, issue_builder, issued, moved


def with_group(built: Transaction, group: int, *values: object) -> Transaction:
    groups = {number: list(found) for number, found in built.groups.items()}
    return Transaction({**groups, group: [encode(value) for value in values]}, built.salt)


def test_cs_235_composite_keys_count_weights() -> None:
    keys = [SigningKey(ED25519, bytes([n]) * 32).public for n in range(3)]
    board = composite([(2, keys[0]), (1, keys[1]), (1, keys[2])], 3)
    for size in range(4):
        for signers in itertools.combinations(keys, size):
            assert board.is_fulfilled_by(signers) == (keys[0] in signers and size > 1)


def test_cs_235_signatures_that_are_missing_are_named() -> None:
    whole = moved()
    for size in range(3):
        for chosen in itertools.combinations(whole.signatures, size):
            part = SignedTransaction(whole.transaction, chosen)
            with pytest.raises(SignaturesMissing) as caught:
                part.check_signatures()
            missing = {ALICE.public, BOB.public, NOTARY.public} - {one.by for one in chosen}
            assert set(caught.value.missing) == {key.text for key in missing}
            part.check_signatures(missing)


def test_cs_235_a_state_is_used_once() -> None:
    ref = StateRef(issued().id, 0)
    with pytest.raises(BadStructure, match="used twice"):
        check_structure(with_group(moved().transaction, wire.INPUTS, ref, ref))
    with pytest.raises(BadStructure, match="referred to"):
        check_structure(with_group(moved().transaction, wire.REFERENCES, ref))


def test_cs_235_the_notary_is_not_changed_by_the_way() -> None:
    built = moved().transaction
    [old] = built.outputs
    new = Output(old.schema, old.version, old.data, old.contract, OTHER_ID)
    with pytest.raises(BadStructure, match="have the notary"):
        check_structure(with_group(built, wire.OUTPUTS, new))


def test_cs_235_equal_contents_have_different_ids() -> None:
    one, other = issue_builder().build(), issue_builder().build()
    assert one.groups == other.groups
    assert one.id != other.id


def test_cs_235_parts_are_proved() -> None:
    built = moved().transaction
    for size in range(len(built.groups) + 1):
        for groups in itertools.combinations(built.groups, size):
            shown = filtered(built, lambda group, _, groups=groups: group in groups)
            again = FilteredTransaction.from_flow(shown.to_flow())
            assert again.id == built.id
            for group in built.groups:
                if group in groups:
                    assert again.all_of(group) == built.parts[group]
                else:
                    with pytest.raises(BadProof):
                        again.all_of(group)
    data = filtered(built, lambda group, _: group == wire.NOTARY).to_flow()
    with pytest.raises(LedgerError):
        FilteredTransaction.from_flow(data.replace(b"Notary", b"Notabl"))


def test_cs_235_a_window_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    least = datetime.timedelta(microseconds=1)
    since = datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC)
    until = since + datetime.timedelta(minutes=1)
    window = TimeWindow(since, until)
    at = [since - least, since, until - least, until]
    assert [is_open(window, time) for time in at] == [False, True, True, False]
    assert [is_open(TimeWindow(since, None), time) for time in at] == [False, True, True, True]
    assert [is_open(TimeWindow(None, until), time) for time in at] == [True, True, True, False]
    assert is_open(None, since)
    around = issue_builder().around(since, least).build().window
    assert around == TimeWindow(since - least, since + least)
