"""States are read as long as their schema is installed, and brought up to the newest; an upgrade
that fails or cheats is refused."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from flowrt.core.values import encode
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import UnknownSchema, Unreadable
from flowrt.ledger.states import (
    Rulebook,
    State,
    command,
    contract,
    schema_of,
    state,
    upgrade,
)
from flowrt.ledger.transactions import SignedTransaction
from flowrt.ledger.verifying import verify
from flowrt.stdlib.ledger.parts_flow import Amount
from tests.ledger import notes
from tests.ledger.notes import (
    ALICE,
    BOB,
    NOTARY_ID,
    Issue,
    Note,
    OldNote,
    looked_up,
    move_builder,
)

OLD = Path(__file__).parent / "old" / "vault.txt"
"""Signed transactions in hex, one a line, as they were when notes had their first schema."""


def of(*things: object) -> Rulebook:
    module = ModuleType("made")
    for number, thing in enumerate(things):
        setattr(module, f"thing_{number}", thing)
    return Rulebook([module])


def old_vault() -> list[SignedTransaction]:
    if os.environ.get("FLOW_WRITE_OLD_VAULT"):
        # Only ever once for a format: what is written then must be read for good.
        from flowrt.ledger.builder import TransactionBuilder

        OLD.write_text(
            "".join(
                TransactionBuilder(NOTARY_ID)
                .make(OldNote(ALICE.public, ALICE.public, Amount(100, "EUR")))
                .command(Issue(), ALICE.public)
                .sign([ALICE], bytes([n]) * 32)
                .to_flow()
                .hex()
                + "\n"
                for n in range(3)
            )
        )
    return [SignedTransaction.from_flow(bytes.fromhex(line)) for line in OLD.read_text().split()]


def test_an_old_vault_is_read_with_the_newest_classes() -> None:
    rules = Rulebook([notes])
    kept = old_vault()
    assert len(kept) == 3
    for signed in kept:
        signed.check_signatures()
        found = verify(signed.transaction, looked_up(), rules, {})
        assert found.outputs == (Note(ALICE.public, ALICE.public, Amount(100, "EUR"), ""),)
        assert signed.transaction.outputs[0].version == 1, "what was signed stays as it is"


def test_an_old_state_is_moved_as_a_new_one() -> None:
    first = old_vault()[0].transaction
    note = Note(ALICE.public, BOB.public, Amount(100, "EUR"), "now with a remark")
    built = move_builder(first.output(0))
    built._outputs.clear()
    found = verify(built.make(note).build(), looked_up(first), Rulebook([notes]), {})
    assert found.outputs == (note,)


def test_without_the_class_of_its_version_a_state_is_unknown() -> None:
    data = old_vault()[0].transaction.outputs[0].data
    with pytest.raises(UnknownSchema, match=r"notes\.Note of version 1"):
        of(Note).read_state("notes.Note", 1, data)
    assert isinstance(of(OldNote).read_state("notes.Note", 1, data), OldNote)


OLDER = OldNote(ALICE.public, BOB.public, Amount(100, "EUR"))
CHEATS = {
    "who takes part": lambda old: Note(old.issuer, old.issuer, old.amount, ""),
    "the owner": lambda old: Note(old.owner, old.issuer, old.amount, ""),
    "the amount": lambda old: Note(old.issuer, old.owner, Amount(1_000, "EUR"), ""),
    "gave no Note": lambda old: old,
    "gave no Note ": lambda old: None,
    "failed: ZeroDivisionError": lambda old: 1 // 0,
    "failed: AttributeError": lambda old: old.nothing,
    "not a notes.Note": lambda old: Note(old.issuer, old.owner, old.amount, 7),
    "cannot be written": lambda old: Note(old.issuer, old.owner, old.amount, object()),
}


@pytest.mark.parametrize("why", CHEATS)
def test_an_upgrade_that_fails_or_cheats_is_refused(why: str) -> None:
    def step(old: OldNote) -> Note:
        return CHEATS[why](old)

    rules = of(OldNote, Note, upgrade(OldNote, Note)(step))
    with pytest.raises(Unreadable, match=why.strip()):
        rules.read_state("notes.Note", 1, encode(OLDER))


def test_what_cannot_be_registered() -> None:
    def declared(name: str, version: object = 1, contract: str = "a.C", base: type = State):
        return state(name, version=version, contract=contract)(  # type: ignore[type-var]
            type("Made", (base,), {"__annotations__": {}})
        )

    for wrong in (
        lambda: declared(""),
        lambda: declared("a.Thing_v1"),
        lambda: declared("ä.Thing"),
        lambda: declared("a.Thing\n"),
        lambda: declared("a.Thing", 0),
        lambda: declared("a.Thing", True),
        lambda: declared("a.Thing", contract="a.C_v1"),
        lambda: declared("a.Thing", base=Note),
        lambda: command("a.Do", version=-1),
        lambda: contract("a.C", version=0)(lambda tx: None),
        lambda: upgrade(Note, OldNote),
        lambda: upgrade(declared("a.T", 1), declared("a.T", 2, contract="b.C")),
        lambda: of(declared("a.T"), declared("a.T")),
        lambda: schema_of(State),
    ):
        with pytest.raises(TypeError):
            wrong()


async def begun_later(tx: object) -> None:
    raise AssertionError


def begun_by_asking(tx: object):
    yield tx


async def both(tx: object):
    yield tx


@pytest.mark.parametrize("function", [begun_later, begun_by_asking, both])
def test_a_contract_that_calling_would_only_begin_is_none(function) -> None:
    with pytest.raises(TypeError, match="plain function"):
        contract("a.C")(function)


@state("picky.State", contract="picky.State")
class Picky(State, frozen=True, array_like=True, gc=False):
    owner: PublicKey

    def __post_init__(self) -> None:
        raise KeyError(self.owner)

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)


def test_a_class_that_raises_as_it_is_read_is_unreadable() -> None:
    data = encode([ALICE.public.encoded])
    with pytest.raises(Unreadable, match="KeyError"):
        of(Picky).read_state("picky.State", 1, data)


@state("silent.State", contract="silent.State")
class Silent(State, frozen=True, array_like=True, gc=False):
    owners: tuple[str, ...]

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owners[0],)


def test_a_state_that_cannot_say_who_takes_part_is_unreadable() -> None:
    rules = of(Silent)
    with pytest.raises(Unreadable, match="IndexError"):
        rules.read_state("silent.State", 1, encode([[]]))
    with pytest.raises(Unreadable, match="no keys"):
        rules.read_state("silent.State", 1, encode([["Alice"]]))


@pytest.mark.parametrize(
    "data", [b"", b"\x90", b"\xc0", b"\x91" * 5_000, b"\x94" + b"\xc0" * 4, b"\xc1", b"\xff" * 99]
)
def test_bytes_that_are_no_state_are_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable, match=r"notes\.Note"):
        Rulebook([notes]).read_state("notes.Note", 2, data)
    with pytest.raises(Unreadable):
        Rulebook([notes]).read_command("notes.Issue", 1, data + b"\x00")


def test_a_state_has_one_encoding() -> None:
    data = encode(Note(ALICE.public, ALICE.public, Amount(100, "EUR"), "first"))
    rules = Rulebook([notes])
    rules.read_state("notes.Note", 2, data)
    longer_list = b"\xdc\x00\x04" + data[1:]
    longer_number = data.replace(b"\x92\x64\xa3EUR", b"\x92\xcc\x64\xa3EUR")
    one_more_field = b"\x95" + data[1:] + b"\xc0"
    for other in (longer_list, longer_number, one_more_field):
        assert other != data
        with pytest.raises(Unreadable, match="canonical"):
            rules.read_state("notes.Note", 2, other)
