"""What a transaction must be before anybody believes it: structure, inputs, contracts."""

from __future__ import annotations

import contextlib
import datetime
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.core.flow import Party
from flowrt.core.values import encode
from flowrt.ledger import merkle
from flowrt.ledger import transactions as wire
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.filtered import FilteredTransaction, filtered, for_notary
from flowrt.ledger.keys import ED25519, SigningKey, all_of, composite
from flowrt.ledger.problems import (
    BadProof,
    BadSignature,
    BadStructure,
    ContractRejected,
    LedgerError,
    SignaturesMissing,
    UnknownSchema,
    Unreadable,
)
from flowrt.ledger.states import NotaryChange, Rulebook
from flowrt.ledger.transactions import (
    Command,
    Output,
    SignedTransaction,
    StateAndRef,
    Transaction,
    component,
    sign,
    sign_all,
)
from flowrt.ledger.verifying import (
    MAX_ATTACHMENT_BYTES,
    attachment_id,
    check_structure,
    verify,
)
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, StateRef, TimeWindow
from tests.ledger import notes
from tests.ledger.notes import (
    ALICE,
    BOB,
    NOTARY,
    NOTARY_ID,
    OTHER_ID,
    OTHER_NOTARY,
    Issue,
    Move,
    Note,
    issue_builder,
    issued,
    looked_up,
    move_builder,
    moved,
)

RULES = Rulebook([notes])
AT = datetime.datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
NOTE = Note(ALICE.public, ALICE.public, Amount(100, "EUR"), "first")


def groups_of(built: Transaction) -> dict[int, list[bytes]]:
    return {group: list(components) for group, components in built.groups.items()}


def changed(built: Transaction, **groups: list[object]) -> Transaction:
    """The transaction with other values in these groups."""
    found = groups_of(built)
    for name, values in groups.items():
        found[getattr(wire, name.upper())] = [encode(value) for value in values]
    return Transaction(found, built.salt)


def judged(built: Transaction, *known: Transaction, attached: dict[bytes, bytes] | None = None):
    return verify(built, looked_up(*known), RULES, attached or {})


def output(**fields: object) -> Output:
    made = {
        "schema": "notes.Note", "version": 2, "data": encode(NOTE), "contract": "notes.Note_v1",
        "notary": NOTARY_ID, "encumbrance": None,
    }  # fmt: skip
    return Output(**{**made, **fields})


def test_an_issue_and_a_move_are_accepted() -> None:
    found = judged(issued().transaction)
    assert found.outputs_of(Note) == [NOTE]
    first = issued().transaction
    found = judged(moved().transaction, first)
    assert (len(found.inputs), len(found.outputs)) == (1, 1)
    moved().check_signatures()
    assert SignedTransaction.from_flow(moved().to_flow()) == moved()


# --- structure (corda.md 3.2, CS-235) -------------------------------------------------------------

FIRST = issued().transaction
SECOND_TX = moved().transaction
REF = StateRef(FIRST.id, 0)
SIGNERS = (ALICE.public,)
BROKEN = {
    "an input or an output": (FIRST, {"outputs": []}),
    "has a command": (FIRST, {"commands": [], "signers": []}),
    "each command has its signers": (FIRST, {"signers": []}),
    "each command has its signers ": (FIRST, {"signers": [SIGNERS, SIGNERS]}),
    "need a notary": (SECOND_TX, {"notary": []}),
    "need a notary ": (FIRST, {"notary": [], "window": [TimeWindow(AT, None)]}),
    "used twice": (SECOND_TX, {"inputs": [REF, REF]}),
    "used twice, or used up and referred to": (SECOND_TX, {"references": [REF]}),
    "have the notary": (SECOND_TX, {"outputs": [output(notary=OTHER_ID)]}),
    "have the notary ": (FIRST, {"notary": []}),
    "attached twice": (FIRST, {"attachments": [bytes(32), bytes(32)]}),
    "form circles": (FIRST, {"outputs": [output(encumbrance=0)]}),
    "form circles ": (FIRST, {"outputs": [output(encumbrance=1), output()]}),
    "form circles  ": (FIRST, {"outputs": [output(encumbrance=9), output(encumbrance=0)]}),
    "form circles   ": (
        FIRST,
        {"outputs": [output(encumbrance=1), output(encumbrance=2), output(encumbrance=1)]},
    ),
}


@pytest.mark.parametrize("why", BROKEN)
def test_parts_that_do_not_fit_are_refused(why: str) -> None:
    built, groups = BROKEN[why]
    with pytest.raises(BadStructure, match=why.strip()):
        check_structure(changed(built, **groups))


def test_circles_of_encumbrances_are_accepted_and_spent_as_a_whole() -> None:
    pointers = [1, 0, None, 4, 5, 3]
    first = changed(FIRST, outputs=[output(encumbrance=to) for to in pointers])
    judged(first)
    for chosen, good in [([0, 1], True), ([2], True), ([0], False), ([3, 4], False)]:
        note = Note(ALICE.public, BOB.public, Amount(100, "EUR"), "first")
        builder = TransactionBuilder().command(Move(), ALICE.public)
        builder.use(*(first.output(index) for index in chosen))
        for _ in chosen:
            builder.make(note)
        if good:
            judged(builder.build(), first)
        else:
            with pytest.raises(BadStructure, match="encumbers"):
                judged(builder.build(), first)


def test_an_input_or_reference_with_another_notary_is_refused() -> None:
    for name in ("inputs", "references"):
        first = changed(FIRST, outputs=[output(notary=OTHER_ID)], notary=[OTHER_ID])
        built = changed(FIRST, **{name: [StateRef(first.id, 0)]})
        with pytest.raises(BadStructure, match="another notary"):
            judged(built, first)


def test_too_many_keys_are_refused() -> None:
    keys = sorted(SigningKey(ED25519, n.to_bytes(32, "big")).public for n in range(130))
    with pytest.raises(BadStructure, match="128 keys"):
        check_structure(
            changed(
                FIRST,
                commands=[Command("notes.Issue", 1, b"\x90"), Command("notes.Move", 1, b"\x90")],
                signers=[tuple(keys[:65]), tuple(keys[65:])],
            )
        )


COMPONENTS = [
    (wire.INPUTS, StateRef(bytes(31), 0)), (wire.INPUTS, StateRef(bytes(32), -1)),
    (wire.REFERENCES, StateRef(bytes(32), 10_000)), (wire.ATTACHMENTS, bytes(31)),
    (wire.PARAMETERS, b""), (wire.WINDOW, TimeWindow(None, None)),
    (wire.WINDOW, TimeWindow(AT, AT)), (wire.WINDOW, TimeWindow(AT, AT - SECOND)),
    (wire.SIGNERS, ()), (wire.SIGNERS, (ALICE.public, ALICE.public)),
    (wire.SIGNERS, tuple(sorted([ALICE.public, BOB.public], reverse=True))),
    (wire.NOTARY, Identity(Party(""), NOTARY.public)),
    (wire.NOTARY, Identity(Party("x" * 257), NOTARY.public)),
    *((wire.NOTARY, Identity(Party(f"O=Acme{c}, C=GB"), NOTARY.public))
      for c in "\x00\n\x7f\x85\u200b\u202e\u2028\u2066\ufeff\xad\u180e\U000e0041"),
    *((wire.OUTPUTS, output(schema=name))
      for name in ("", "1a", "a" * 201, "notes.Nоte", "notes.Note\n", "a b", "../x")),
    *((wire.OUTPUTS, output(contract=name))
      for name in ("", "notes.Note", "notes.Note_v0", "notes.Note_v01", "n_v1\n", "n_v1234567")),
    *((wire.OUTPUTS, output(version=version)) for version in (0, -1, 1_000_000, True, 2**63)),
    *((wire.OUTPUTS, output(encumbrance=number)) for number in (-1, 10_000, 2**40, True)),
    (wire.COMMANDS, Command("notes.Nоte", 1, b"")), (wire.COMMANDS, Command("a", 0, b"")),
]  # fmt: skip


@pytest.mark.parametrize(("group", "value"), COMPONENTS, ids=range(len(COMPONENTS)))
def test_components_that_cannot_be_are_refused(group: int, value: object) -> None:
    with pytest.raises(Unreadable) as caught:
        component(group, encode(value))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["O=Zürich Übersee, L=東京, C=CH", "O=أكمي, C=AE", "🏦", "a"])
def test_names_may_be_of_any_script(name: str) -> None:
    value = Identity(Party(name), NOTARY.public)
    assert component(wire.NOTARY, encode(value)) == value


EDGES = [
    datetime.datetime.min.replace(tzinfo=datetime.UTC),
    datetime.datetime.max.replace(tzinfo=datetime.UTC),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC),
    AT,
]


def test_windows_keep_microseconds_and_the_edges_of_time() -> None:
    for since in EDGES:
        for until in EDGES:
            value = TimeWindow(since, until)
            if since < until:
                assert component(wire.WINDOW, encode(value)) == value
    offset = datetime.timezone(datetime.timedelta(hours=2))
    same = TimeWindow(AT.astimezone(offset), None)
    assert encode(same) == encode(TimeWindow(AT, None))
    texts = encode([AT.isoformat(), None])
    nanoseconds = b"\x92\xc7\x0c\xff" + (1).to_bytes(4, "big") + bytes(8) + b"\xc0"
    for data in (texts, nanoseconds):
        with pytest.raises(Unreadable):
            component(wire.WINDOW, data)


@settings(max_examples=200)
@given(st.integers(0, 8), st.binary(max_size=60))
def test_any_bytes_are_a_component_or_refused(group: int, data: bytes) -> None:
    with contextlib.suppress(LedgerError):
        assert encode(component(group, data)) == data


def test_groups_are_bounded_before_their_components_are_read(monkeypatch) -> None:
    read = []
    monkeypatch.setattr(wire, "component", lambda *about: read.append(about))
    for group, most in wire._MOST.items():
        built = {group: [b"\xc0"] * (most + 1)}
        data = encode([1, bytes(32), [[group, built[group]]]])
        with pytest.raises(Unreadable, match="at most"):
            Transaction.from_bytes(data)
    with pytest.raises(Unreadable):
        Transaction.from_bytes(encode([1, bytes(32), [[9, [b"\xc0"]]]]))
    with pytest.raises(Unreadable, match="524288 at most"):
        Transaction.from_bytes(bytes(600_000))
    with pytest.raises(Unreadable, match="format 2"):
        Transaction.from_bytes(encode([2, bytes(32), []]))
    assert read == []


# --- who signs ------------------------------------------------------------------------------------


def test_missing_signatures_come_before_bad_ones() -> None:
    whole = moved()
    bad = wire.TransactionSignature(ALICE.public, bytes(64))
    with pytest.raises(SignaturesMissing) as caught:
        SignedTransaction(whole.transaction, [bad]).check_signatures()
    assert set(caught.value.missing) == {BOB.public.text, NOTARY.public.text}
    with pytest.raises(BadSignature):
        SignedTransaction(whole.transaction, [bad]).check_signatures([BOB.public, NOTARY.public])
    with pytest.raises(Unreadable):
        SignedTransaction(
            whole.transaction,
            [wire.TransactionSignature(all_of([ALICE.public, BOB.public]), bytes(64))],
        )


def test_a_signature_for_another_transaction_or_by_another_key_is_refused() -> None:
    whole, other = moved(), moved(b"3" * 32)
    for signature in other.signatures:
        with pytest.raises(BadSignature):
            signature.check(whole.id)
    taken = wire.TransactionSignature(BOB.public, sign(whole.id, ALICE).data)
    with pytest.raises(BadSignature):
        taken.check(whole.id)


def test_a_composite_owner_signs_by_enough_of_its_leaves() -> None:
    keys = [SigningKey(ED25519, bytes([n]) * 32) for n in range(3)]
    owner = composite([(1, key.public) for key in keys], 2)
    builder = TransactionBuilder(NOTARY_ID).make(NOTE).command(Issue(), owner)
    for chosen in ([], keys[:1], keys[:2], keys[1:], keys):
        signed = builder.sign(chosen, bytes(32))
        if len(chosen) >= 2:
            signed.check_signatures()
        else:
            with pytest.raises(SignaturesMissing):
                signed.check_signatures()


def test_many_missing_keys_make_no_long_text() -> None:
    keys = sorted(SigningKey(ED25519, n.to_bytes(32, "big")).public for n in range(100))
    signed = SignedTransaction(changed(FIRST, signers=[tuple(keys)]))
    with pytest.raises(SignaturesMissing, match="and 92 more") as caught:
        signed.check_signatures()
    assert len(caught.value.missing) == 100


def test_batches_of_one_and_of_none() -> None:
    assert sign_all([], NOTARY) == []
    assert sign_all([FIRST.id], NOTARY) == [sign(FIRST.id, NOTARY)]
    alone = wire.BatchProof(0, 1, ())
    one = wire.TransactionSignature(NOTARY.public, sign(FIRST.id, NOTARY).data, 1, alone)
    with pytest.raises(BadProof):
        one.check(FIRST.id)
    for proof in ((0, 2**40, ()), (5, 2, (bytes(32),)), (-1, 2, (bytes(32),))):
        with pytest.raises(BadProof):
            wire.TransactionSignature(NOTARY.public, bytes(64), 1, wire.BatchProof(*proof)).check(
                FIRST.id
            )


# --- what is shown --------------------------------------------------------------------------------


def test_a_notary_sees_what_it_must_and_nothing_else() -> None:
    whole = moved().transaction
    shown = FilteredTransaction.from_flow(for_notary(whole).to_flow())
    assert shown.id == whole.id
    assert shown.all_of(wire.INPUTS) == whole.inputs
    assert shown.all_of(wire.NOTARY) == (NOTARY_ID,)
    assert shown.all_of(wire.WINDOW) == shown.all_of(wire.REFERENCES) == ()
    for group in (wire.OUTPUTS, wire.COMMANDS, wire.SIGNERS):
        with pytest.raises(BadProof, match="hidden"):
            shown.all_of(group)
    data = for_notary(whole).to_flow()
    assert whole.salt not in data
    assert encode(Amount(100, "EUR")) not in data


def test_a_group_of_which_some_is_hidden_is_not_all_of_it() -> None:
    many = changed(FIRST, outputs=[output(), output(contract="notes.Note_v2"), output()])
    shown = filtered(many, lambda group, value: getattr(value, "contract", "")[-1:] == "2")
    assert list(shown.groups[wire.OUTPUTS]) == [1]
    with pytest.raises(BadProof, match="hidden"):
        shown.all_of(wire.OUTPUTS)
    assert FilteredTransaction.from_flow(shown.to_flow()) == shown


# --- contracts ------------------------------------------------------------------------------------


def rules_with(check) -> Rulebook:
    module = ModuleType("other")
    check.__contract__ = "notes.Note_v3"
    module.check = check
    return Rulebook([notes, module])


def raising(error: BaseException):
    def check(tx: object) -> None:
        raise error

    return check


class Unshowable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"), SystemExit(0), GeneratorExit(), StopIteration(), RecursionError(),
        BaseException("any"), Unshowable(), LedgerError("x" * 10_000), ValueError("\x1b[31m\n"),
        AssertionError(), ContractRejected("another", "no"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_contract_that_raises_anything_refuses(error: BaseException) -> None:
    built = changed(FIRST, outputs=[output(contract="notes.Note_v3")])
    with pytest.raises(ContractRejected) as caught:
        verify(built, looked_up(), rules_with(raising(error)), {})
    assert caught.value.contract == "notes.Note_v3"
    assert len(str(caught.value)) <= 500
    assert caught.value.why.isprintable()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()], ids=repr)
def test_what_says_nothing_of_the_transaction_is_no_refusal(error: BaseException) -> None:
    built = changed(FIRST, outputs=[output(contract="notes.Note_v3")])
    with pytest.raises(type(error)):
        verify(built, looked_up(), rules_with(raising(error)), {})


@pytest.mark.parametrize("given", [False, True, 0, "refused", NotImplemented])
def test_a_contract_that_gives_something_refuses(given: object) -> None:
    built = changed(FIRST, outputs=[output(contract="notes.Note_v3")])
    with pytest.raises(ContractRejected, match="gave a value"):
        verify(built, looked_up(), rules_with(lambda tx: given), {})


def test_a_contract_cannot_change_what_the_next_one_sees() -> None:
    content = b"terms"
    tried = []

    def check(tx) -> None:
        for change in (
            lambda: setattr(tx, "outputs", ()),
            lambda: setattr(tx.outputs[0], "amount", None),
            lambda: tx.attachments.update(x=b""),
            lambda: tx.attachments.__setitem__(b"x", b""),
            lambda: tx.outputs.append(None),
            lambda: setattr(tx.commands[0], "signers", ()),
        ):
            with pytest.raises((AttributeError, TypeError)):
                change()
            tried.append(1)

    built = changed(
        FIRST,
        outputs=[output(contract="notes.Note_v3")],
        attachments=[attachment_id(content)],
    )
    verify(built, looked_up(), rules_with(check), {attachment_id(content): content})
    assert len(tried) == 6


def test_each_contract_is_asked_once_also_if_it_looks_at_thousands_of_states() -> None:
    asked = []

    def check(tx) -> None:
        asked.append(len(tx.outputs_of(Note)))
        for state in tx.outputs:
            assert state.amount.units > 0

    built = changed(FIRST, outputs=[output(contract="notes.Note_v3")] * 1000)
    verify(built, looked_up(), rules_with(check), {})
    assert asked == [1000]


def test_an_owner_cannot_choose_the_rules() -> None:
    other = ModuleType("other")

    def lax(tx: object) -> None:
        pass

    lax.__contract__ = "lax.Any_v1"
    other.lax = lax
    rules = Rulebook([notes, other])
    built = changed(FIRST, outputs=[output(contract="lax.Any_v1")])
    with pytest.raises(BadStructure, match=r"judged by notes\.Note, not by lax\.Any_v1"):
        verify(built, looked_up(), rules, {})
    with pytest.raises(UnknownSchema):
        judged(changed(FIRST, outputs=[output(contract="notes.Note_v9")]))
    with pytest.raises(UnknownSchema):
        judged(changed(FIRST, outputs=[output(schema="notes.None")]))
    with pytest.raises(UnknownSchema):
        judged(changed(FIRST, commands=[Command("notes.None", 1, b"\x90")]))


def test_nobody_goes_back_to_older_rules() -> None:
    first = changed(FIRST, outputs=[output(contract="notes.Note_v2")])
    for version, good in ((1, False), (2, True)):
        note = Note(ALICE.public, BOB.public, Amount(100, "EUR"), "first")
        builder = TransactionBuilder().use(first.output(0)).command(Move(), ALICE.public)
        built = builder.make(note, contract_version=version).build()
        if good:
            judged(built, first)
        else:
            with pytest.raises(BadStructure, match="input by version 2"):
                judged(built, first)


@pytest.mark.parametrize("units", [0, -1, -(2**63)])
def test_the_contract_sees_amounts_that_are_worth_nothing(units: int) -> None:
    with pytest.raises(ContractRejected, match="worth something"):
        judged(issue_builder(units).build())


def test_amounts_have_64_bits() -> None:
    judged(issue_builder(2**63 - 1).build())
    for units in (2**63, -(2**63) - 1):
        try:
            built = issue_builder(units).build()
        except BadStructure:
            continue
        with pytest.raises(Unreadable):
            judged(built)


def test_texts_that_cannot_be_written_are_refused_as_they_are_built() -> None:
    with pytest.raises(BadStructure, match="cannot be written"):
        TransactionBuilder(NOTARY_ID).make(
            Note(ALICE.public, ALICE.public, Amount(1, "\ud800"), "")
        )


# --- attachments ----------------------------------------------------------------------------------


def test_attachments_are_known_by_their_hash() -> None:
    content = b"general terms"
    digest = attachment_id(content)
    assert digest == merkle.sha256(content)
    built = issue_builder().attach(digest).attach(digest).build()
    assert built.attachments == (digest,)
    assert judged(built, attached={digest: content}).attachments == {digest: content}
    with pytest.raises(BadStructure, match="not here"):
        judged(built)
    with pytest.raises(BadStructure, match="another file"):
        judged(built, attached={digest: b"other terms"})
    with pytest.raises(BadStructure, match="at most"):
        judged(built, attached={digest: bytes(MAX_ATTACHMENT_BYTES + 1)})
    with pytest.raises(BadStructure):
        issue_builder().attach(b"short")


# --- a change of notary ---------------------------------------------------------------------------


def change_of_notary(first: Transaction, **groups: list[object]) -> Transaction:
    outputs = [
        Output(o.schema, o.version, o.data, o.contract, OTHER_ID, o.encumbrance)
        for o in first.outputs
    ]
    made = {
        "inputs": [StateRef(first.id, index) for index in range(len(outputs))],
        "outputs": outputs,
        "commands": [Command("ledger.NotaryChange", 1, encode(NotaryChange()))],
        "signers": [(ALICE.public,)],
        "notary": [NOTARY_ID],
        **groups,
    }
    return changed(Transaction({}, bytes(32)), **made)


def test_a_change_of_notary_moves_states_as_they_are() -> None:
    first = changed(FIRST, outputs=[output(), output(encumbrance=2), output(encumbrance=1)])
    built = change_of_notary(first)
    assert built.changes_notary
    assert built.required_keys == {ALICE.public, NOTARY.public}
    judged(built, first)
    refs = [StateRef(first.id, index) for index in (2, 0, 1)]
    turned = [output(encumbrance=2), output(), output(encumbrance=0)]
    turned = [Output(*[*encodable(o)[:4], OTHER_ID, o.encumbrance]) for o in turned]
    judged(change_of_notary(first, inputs=refs, outputs=turned), first)


def encodable(of: Output) -> list[object]:
    return [getattr(of, name) for name in of.__struct_fields__]


BOBS = encode(Note(ALICE.public, BOB.public, Amount(100, "EUR"), "first"))


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ({"outputs": [output(notary=OTHER_ID, data=BOBS)]}, "something else"),
        ({"outputs": [output(notary=OTHER_ID, contract="notes.Note_v2")]}, "something else"),
        ({"outputs": [output()]}, "one other notary"),
        ({"outputs": [output(notary=OTHER_ID)] * 2}, "an output for each input"),
        ({"signers": [(BOB.public,)]}, "all who take part"),
        ({"references": [StateRef(bytes(32), 1)]}, "refers to nothing"),
        ({"inputs": [], "outputs": [output(notary=OTHER_ID)]}, "an output for each input"),
        ({"notary": [OTHER_ID]}, "one other notary"),
        (
            {
                "commands": [
                    Command("ledger.NotaryChange", 1, encode(NotaryChange())),
                    Command("notes.Move", 1, b"\x90"),
                ],
                "signers": [(ALICE.public,), (ALICE.public,)],
            },
            "one command",
        ),
    ],
)
def test_a_change_of_notary_changes_nothing_else(groups: dict, why: str) -> None:
    with pytest.raises(BadStructure, match=why):
        judged(change_of_notary(FIRST, **groups), FIRST)


# --- the builder ----------------------------------------------------------------------------------


def test_the_builder_refuses_what_cannot_be() -> None:
    here, there = FIRST.output(0), StateAndRef(REF, output(notary=OTHER_ID))
    naive = AT.replace(tzinfo=None)
    for wrong in (
        lambda: TransactionBuilder().make(NOTE),
        lambda: TransactionBuilder(OTHER_ID).use(here),
        lambda: TransactionBuilder(NOTARY_ID).refer_to(there),
        lambda: TransactionBuilder().use(here).refer_to(here),
        lambda: TransactionBuilder().refer_to(here).use(here),
        lambda: TransactionBuilder().command(Issue()),
        lambda: TransactionBuilder().within(None, None),
        lambda: TransactionBuilder().within(naive, None),
        lambda: TransactionBuilder().within(AT, AT),
        lambda: TransactionBuilder().around(AT, -SECOND),
    ):
        with pytest.raises(BadStructure):
            wrong()


def test_what_the_builder_makes_can_be_read_and_is_the_same() -> None:
    builder = move_builder(FIRST.output(0)).around(AT, SECOND).attach(bytes(32)).under(bytes(32))
    builder.command(Move(), NOTARY.public)
    built = builder.build()
    again = Transaction.from_bytes(built.encoded)
    assert (again, again.id) == (built, built.id)
    assert built.window == TimeWindow(AT - SECOND, AT + SECOND)
    assert built.signers == (tuple(sorted([ALICE.public, BOB.public, NOTARY.public])),)
    assert built.dependencies == (FIRST.id,)
    assert built.parameters == bytes(32)
    check_structure(built)
    assert builder.build().id != built.id, "every salt is another"
    assert OTHER_NOTARY.public not in built.required_keys
