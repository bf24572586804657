"""Every single change of a valid transaction, signature or proof is refused by name, or is another
transaction; nothing else is ever raised."""

from __future__ import annotations

import pytest

from flowrt.ledger import keys, merkle
from flowrt.ledger.filtered import FilteredTransaction, filtered, for_notary
from flowrt.ledger.keys import PublicKey, composite
from flowrt.ledger.problems import BadKey, LedgerError
from flowrt.ledger.transactions import (
    OUTPUTS,
    GoodSignatures,
    SignedTransaction,
    Transaction,
    TransactionSignature,
    sign_all,
)
from tests.ledger.mutations import flips, mutations, tree_of
from tests.ledger.notes import ALICE, BOB, NOTARY, issue_builder, issued, moved


def in_a_batch() -> SignedTransaction:
    """The notary signed it together with four others."""
    plain = moved()
    ids = [merkle.sha256(bytes([n])) for n in range(4)]
    [*_, signature] = sign_all([*ids, plain.id], NOTARY)
    others = [one for one in plain.signatures if one.by != NOTARY.public]
    return SignedTransaction(plain.transaction, [*others, signature])


def survives(data: bytes, id: bytes, memory: GoodSignatures | None = None) -> bool:
    """Whether the bytes pass for the transaction `id` with all its signatures."""
    try:
        found = SignedTransaction.from_flow(data)
        if found.id != id:
            with pytest.raises(LedgerError):
                found.check_signatures((), memory)
            return False
        found.check_signatures((), memory)
    except LedgerError as error:
        return not is_for_people(str(error))
    return True


def is_for_people(text: str) -> bool:
    return 0 < len(text) <= 500 and text.isprintable()


@pytest.mark.parametrize("make", [moved, in_a_batch])
def test_no_change_of_a_signed_transaction_passes(make) -> None:
    whole = make()
    data = whole.to_flow()
    assert survives(data, whole.id)
    seen = 0
    for what, changed in mutations(data):
        seen += 1
        assert not survives(changed, whole.id), what
    assert seen > 500


def test_no_turned_bit_of_a_signed_transaction_passes() -> None:
    whole = in_a_batch()
    memory = GoodSignatures()
    assert survives(whole.to_flow(), whole.id, memory)
    for changed in flips(whole.to_flow()):
        assert not survives(changed, whole.id, memory)


def test_no_cut_of_a_signed_transaction_passes() -> None:
    data = moved().to_flow()
    for end in range(len(data)):
        assert not survives(data[:end], moved().id)
    assert not survives(data + b"\x00", moved().id)


def test_no_other_size_of_a_batch_has_the_same_proof() -> None:
    ids = [merkle.sha256(bytes([n])) for n in range(7)]
    for size in range(2, 8):
        for index, signature in enumerate(sign_all(ids[:size], NOTARY)):
            signature.check(ids[index])
            for other in range(2, 12):
                for place in range(other):
                    if (other, place) == (size, index):
                        continue
                    proof = type(signature.batch)(place, other, signature.batch.hashes)
                    changed = TransactionSignature(signature.by, signature.data, 1, proof)
                    with pytest.raises(LedgerError):
                        changed.check(ids[index])


SHOWN = {
    "to a notary": for_notary,
    "one output": lambda built: filtered(built, lambda group, _: group == OUTPUTS),
    "nothing": lambda built: filtered(built, lambda group, _: False),
}


@pytest.mark.parametrize("shown", SHOWN)
def test_no_change_of_a_filtered_transaction_passes(shown: str) -> None:
    built = moved().transaction
    whole = SHOWN[shown](built)
    data = whole.to_flow()
    assert FilteredTransaction.from_flow(data) == whole
    changes = [*(made for _, made in mutations(data)), *flips(data)]
    for changed in changes:
        try:
            found = FilteredTransaction.from_flow(changed)
        except LedgerError:
            continue
        assert found.id != built.id


def test_no_change_of_a_composite_key_is_the_same_key() -> None:
    inner = composite([(1, ALICE.public), (2, BOB.public)], 2)
    whole = composite([(3, inner), (1, NOTARY.public)], 3)
    made = [b"\x03" + other for _, other in mutations(whole.encoded[1:], nested=False)]
    for changed in [*made, *flips(whole.encoded)]:
        try:
            assert PublicKey(changed) != whole
        except BadKey:
            continue


def test_the_mutations_reach_every_leaf() -> None:
    data = moved().to_flow()
    paths = {path.partition("=")[0] for path, _ in mutations(data) if "=" in path}
    count = 0

    def leaves(node: object) -> None:
        nonlocal count
        node = getattr(node, "tree", node)
        if isinstance(node, list):
            for item in node:
                leaves(item)
        else:
            count += 1

    leaves(tree_of(data))
    assert len(paths) > count > 30


HOSTILE = [
    b"", b"\x00", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, b"\x93\x01\xc4\x00\x90",
    b"\xdc\xff\xff" + b"\x90" * 65_535, b"\x92\xc4\x01\x00\x90", b"\x92\xc6\xff\xff\xff\xff",
    b"\xc4\x20" + bytes(32), b"\xd6\xff\x00\x00\x00\x00", b"\x81\x00\x00", b"\x92\xc4\x00" * 1_000,
    bytes(1 << 20), b"\x92" * 400,
]  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_hostile_bytes_are_refused_by_name(data: bytes) -> None:
    for read in (SignedTransaction.from_flow, FilteredTransaction.from_flow, PublicKey.from_flow):
        with pytest.raises(LedgerError):
            read(data)


def test_too_many_signatures_are_refused_before_any_key_is_read(monkeypatch) -> None:
    one = b"\x93\xc4\x21" + ALICE.public.encoded + b"\xc4\x40" + bytes(64) + b"\x01"
    tx = issued().transaction.encoded
    data = b"\x92\xc5" + len(tx).to_bytes(2, "big") + tx + b"\xdc\x01\x00" + one * 256
    read = []
    monkeypatch.setattr(keys, "_check", read.append)
    with pytest.raises(LedgerError, match="128"):
        SignedTransaction.from_flow(data)
    assert read == []


def test_a_salt_is_part_of_the_id() -> None:
    ids = {issue_builder().build(bytes([n]) * 32).id for n in range(20)}
    assert len(ids) == 20


def test_no_change_of_a_transactions_bytes_is_the_same_transaction() -> None:
    whole = moved().transaction
    for what, changed in mutations(whole.encoded):
        try:
            found = Transaction.from_bytes(changed)
        except LedgerError:
            continue
        assert found.id != whole.id, what
    longer = b"\xdc\x00\x03" + whole.encoded[1:]
    with pytest.raises(LedgerError, match="canonical"):
        Transaction.from_bytes(longer)


def test_the_fuzz_target_sees_what_is_no_ledger_error_and_what_nobody_signed(monkeypatch) -> None:
    from tests.fuzz import shared

    data = moved().to_flow()
    assert shared.judge(data) is None
    with monkeypatch.context() as patch:
        patch.setattr(SignedTransaction, "check_signatures", lambda self: None)
        other = SignedTransaction(issue_builder(7).build(bytes(32))).to_flow()
        assert "nobody signed" in str(shared.judge(other))

    def broken(data: bytes) -> None:
        raise KeyError("a name")

    monkeypatch.setattr(Transaction, "from_bytes", broken)
    # One that was not read before: that is known by its bytes.
    unread = SignedTransaction(issue_builder(8).build(bytes(32))).to_flow()
    assert "KeyError" in str(shared.judge(unread))
