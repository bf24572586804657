"""What nobody checked is not signed: such a program does not compile, and the message says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowlang.compiler import compile_modules, misfits, remarks
from flowlang.source import Source
from flowrt.stdlib.ledger.finality_flow import RecoverTransaction_v1
from tests.ledger.market import BOB, PROGRAM, Market, library, program

USES = """use ledger.keys: Keys
use ledger.signatures: ReceiveProposal, SignProposal
use ledger.vault: Vault

flow Asks(whom: Party):
    startable by rpc
    open Signs with whom as talk

flow Signs():
    responds to Asks as talk
    let proposed = subflow ReceiveProposal(talk)
"""


@pytest.mark.parametrize(
    "line",
    ["    subflow SignProposal(talk, proposed)\n", "    let ignored_it = Keys.sign(proposed)\n"],
)
def test_signing_what_nobody_checked_does_not_compile(line: str) -> None:
    source = Source("page.flow", "page", USES + line)
    made = compile_modules(["page"], lambda name: source if name == "page" else library(name))
    [found] = [one for one in made.diagnostics if one.severity == "error"]
    name = "SignProposal" if "SignProposal" in line else "Keys.sign"
    assert (found.code, found.message) == (
        "F502",
        f"`proposed` was not checked yet, and `{name}` trusts its `transaction`",
    )


def test_a_node_answers_with_a_flow_of_its_own_in_place_of_the_librarys() -> None:
    house = program(
        """
use ledger.finality: RecoverTransaction, SealWanted, TransactionWanted

error HouseRule: "nothing is told by this house"

flow Closed():
    responds to RecoverTransaction as talk
    receive from talk:
        case SealWanted:
            throw HouseRule()
        case TransactionWanted:
            throw HouseRule()
""",
        "house",
    )
    options = {"bob": {"responders": {"ledger.finality.Recovering": house.Closed_v1}}}
    modules = {"alice": (PROGRAM, house), "bob": (PROGRAM, house)}
    with Market("alice", "bob", modules=modules, options=options) as market:
        with pytest.raises(house.HouseRule):
            market.do("alice", RecoverTransaction_v1, transaction=bytes(32), peer=BOB, finish=False)
        market.nothing_is_left()


def test_the_two_sides_of_these_flows_fit() -> None:
    text = (Path(__file__).parent / "deals.flow").read_text("utf-8")
    source = Source("deals.flow", "deals", text)
    made = compile_modules(["deals"], lambda name: source if name == "deals" else library(name))
    found = [*misfits(made), *remarks(made)]
    assert [one for one in found if one.severity != "note"] == []
