"""Sessions that are opened by role, in the commands about conversations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Flowc

TALK = """\
message Offer:
    price: Int

message Yes

message No

protocol Haggling:
    seller -> buyer: Offer
    choice at buyer:
        buyer -> seller: Yes
    or:
        buyer -> seller: No
"""
SELL = """\
flow Sell(who: Party) -> Bool:
    open Haggling.buyer with who as talk
    send Offer(5) to talk
    receive from talk:
        case Yes:
            return true
        case No:
            return false
"""
BUY = """\
flow Buy():
    responds to Haggling.seller as talk
    receive offer: Offer from talk unchecked
    if offer.price < 9:
        send Yes() to talk
    else:
        send No() to talk
"""
NAMES = "use talk: Haggling, No, Offer, Yes\n\n"
DRAWN = """\
Sell and Buy

  Sell           Buy
               at who
    │─── Offer ──▶│
┌── alt offer.price < 9 ──────────────────┐
│   │◀─── Yes ────│                       │
│   │             ■ returns               │
│   ■ returns     │                       │
├╌╌ or otherwise ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤
│   │◀─── No ─────│                       │
│   │             ■ returns               │
│   ■ returns     │                       │
└─────────────────────────────────────────┘
"""
INFERRED = """\
protocol SellTalk:
    sell -> buy: Offer
    choice at buy:
        buy -> sell: No
        end
    or:
        buy -> sell: Yes
        end
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "one.flow").write_text(f"{TALK}\n{SELL}\n{BUY}")
    apart = tmp_path / "apart"
    apart.mkdir()
    (apart / "talk.flow").write_text(TALK)
    (apart / "sell.flow").write_text(NAMES + SELL)
    (apart / "buy.flow").write_text(NAMES + BUY)


@pytest.mark.parametrize("where", ["one.flow", "apart"])
def test_their_conversations_are_listed(flowc: Flowc, where: str) -> None:
    """Though neither side's file names the other's."""
    code, printed, _ = flowc("check", "--tests", where)
    assert code == 0
    assert "Sell ── Offer ───▶ Buy" in printed
    assert printed.endswith("2 conversations of 1 pair of flows.\n")


def test_the_protocol_that_both_follow(flowc: Flowc) -> None:
    assert flowc("protocol", "infer", "one.flow:Sell", "Buy") == (0, INFERRED, "")


def test_they_are_drawn(flowc: Flowc) -> None:
    for flows in (("Sell",), ("Sell", "Buy")):
        assert flowc("graph", "one.flow", *flows, "--conversation") == (0, DRAWN, "")


def test_who_plays_the_other_role_may_be_unknown(flowc: Flowc) -> None:
    code, printed, _ = flowc("graph", "apart/sell.flow", "Sell", "--conversation")
    assert code == 0
    assert printed.startswith("Sell and buyer\n")
    assert "│◀─── Yes ────│" in printed
    code, printed, _ = flowc("graph", "apart/buy.flow", "Buy", "--conversation")
    assert code == 0
    assert "seller" in printed.splitlines()[2]
