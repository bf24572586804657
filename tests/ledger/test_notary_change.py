"""States that get another notary, on a local network: CS-219."""

from __future__ import annotations

from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity.networkmap import NotaryEntry
from flowrt.ledger.notary.changing import change, moved, new_notary
from flowrt.ledger.problems import BadStructure
from flowrt.ledger.verifying import verify
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import StateRef
from tests.ledger.market import BOB, PROGRAM, Market
from tests.ledger.notary_world import FORMER, JUDGE, NOTARY, RULES, Move, Note, issued, key_of, salt
from tests.ledger.played import program

STARTERS = program("""
use ledger.core: Signature, SignedTransaction
use ledger.notary: NotariseTransaction
use ledger.notary_change: NotaryChange
use ledger.parts: StateRef

flow Changes(refs: List[StateRef], new: Party) -> SignedTransaction:
    startable by rpc
    return subflow NotaryChange(refs, new)
""")
SECOND = Party("second")


def market(*parties: str) -> Market:
    """With one more party, which may become a notary."""
    names = (*parties, "second")
    modules = dict.fromkeys((*names, "notary"), (PROGRAM, STARTERS))
    return Market(*names, modules=modules)


def listed(here: Market, serial: int, *notaries: str) -> None:
    """From now on these are the network's notaries."""
    here.local.map = here.local.publish(serial, [NotaryEntry(name) for name in notaries])
    for name in here.local.parties:
        here.world.crash(name)


def changes(here: Market, id: bytes, new: Party = SECOND) -> Any:
    return here.do("alice", STARTERS.Changes_v1, refs=(StateRef(id, 0),), new=new)


def test_cs_219_states_leave_a_notary_that_was_struck_off_the_list() -> None:
    """All who take part sign, and learn of it; an ordinary transaction is not notarised there."""
    with market("alice", "bob") as here:
        id = here.do("alice", "Agree", others=(BOB,), words="tea")
        listed(here, 2, "second")
        with pytest.raises(core.NotaryUnknown, match="notary is no notary of this network"):
            here.do("alice", "AgreeAgain", others=(BOB,), before=StateRef(id, 0), words="milk")
        made = changes(here, id)
        assert here.has(made.id) == {"alice", "bob"}
        assert made.notary == here.local.identity("notary")
        assert new_notary(made) == here.local.identity("second")
        with pytest.raises(core.StatesUnavailable):
            changes(here, id)
        here.nothing_is_left()


def test_cs_219_a_change_leads_to_a_notary_of_the_network_alone() -> None:
    with market("alice") as here:
        id = here.do("alice", "Agree", others=(), words="tea")
        with pytest.raises(core.NotaryUnknown, match="second is no notary"):
            changes(here, id)
        with pytest.raises(core.RequestInvalid, match="is its notary already"):
            changes(here, id, Party("notary"))
        listed(here, 2, "second")
        assert here.has(changes(here, id).id) == {"alice"}


def test_cs_219_encumbrances_are_kept_and_move_together() -> None:
    alice = key_of("alice")
    builder = TransactionBuilder(NOTARY)
    for text, encumbrance in (("plain", None), ("one", 2), ("two", 1)):
        builder.make(Note(alice.public, text), encumbrance=encumbrance)
    before = builder.command(Move(), alice.public).sign([alice], salt()).transaction
    plain, one, two = (before.output(number) for number in range(3))

    def verified(*used: Any) -> Any:
        transaction = change(used, JUDGE, [alice.public], salt()).transaction
        verify(transaction, lambda ref: before.output(ref.index).output, RULES, {})
        return transaction

    assert [found.encumbrance for found in verified(two, plain, one).outputs] == [2, None, 0]
    assert verified(plain).outputs[0].notary == JUDGE
    with pytest.raises(BadStructure, match="without the one that encumbers it"):
        moved([one, plain], JUDGE)


def test_cs_219_states_of_several_notaries_are_not_moved_at_once() -> None:
    for used, to in (
        ([*issued(1), *issued(1, FORMER)], JUDGE),
        (issued(2), NOTARY),
        ([], NOTARY),
    ):
        with pytest.raises(BadStructure, match="states of one notary are moved to another one"):
            change(used, to, [key_of("alice").public], salt())
