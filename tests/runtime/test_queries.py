"""Asking a node about its flows: which wait for whom and since when, which versions are needed."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal

from flowrt.core.flow import Party
from flowrt.node import VersionView, Wanted
from flowrt.sim import World
from tests.runtime.written import compiled

HOUR = datetime.timedelta(hours=1)

TRADE = """
message Order:
    price: Decimal
    note: Text

message Answer

record Memo:
    at: Timestamp
    tags: List[Text]

flow Buyer(seller: Party, price: Decimal) -> Int:
    startable by rpc
    VERSION
    let memo = Memo(now, ["a", "b"])
    open Seller with seller as line
    send Order(price, "x") to line
    subflow Wait()
    receive a: Answer from line unchecked
    log info "{a == a} {memo.tags.size}"
    return 1

flow Wait():
    sleep 2d

flow Seller():
    responds to Buyer as line
    receive order: Order from line unchecked
    receive again: Order from line unchecked
    log info "{order.note} {again.note}"
"""
OLD = compiled(TRADE.replace("VERSION", "version 1"))
BOB, CAROL = Party("bob"), Party("carol")


def world() -> World:
    made = World(reload=True)
    for party in ("alice", "bob"):
        made.add(party, [OLD])
    made.start("alice", OLD.Buyer_v1, seller=BOB, price=Decimal("1.50"))
    made.sleep(HOUR)
    made.start("alice", OLD.Buyer_v1, seller=CAROL, price=Decimal(2))
    made.sleep(HOUR)
    return made


def test_flows_are_found_by_what_they_wait_for() -> None:
    with world() as on:
        alice, bob = on.node("alice"), on.node("bob")
        assert [one.id for one in alice.flows()] == [1, 2]
        [seller] = bob.flows(Wanted(flow=OLD.Seller_v1.name, peer="alice", waits="message"))
        assert (seller.state, seller.peer, seller.due) == ("AwaitOrder2", "alice", None)
        long = alice.flows(Wanted(before=on.now - HOUR - HOUR / 2))
        assert [one.id for one in long] == [1]
        assert [one.id for one in alice.flows(limit=1)] == [1]
        [first, second] = alice.flows(Wanted(flow=OLD.Buyer_v1.versioned(), state="Asleep"))
        assert first.due == first.since + datetime.timedelta(days=2)
        assert second.since - first.since == HOUR
        assert alice.flows(Wanted(in_hospital=True)) == []
        assert alice.flows(Wanted(flow="no.Such")) == []


def test_a_flow_at_rest_as_data() -> None:
    with world() as on:
        found = json.loads(json.dumps(on.node("alice").dump(1)))
        assert [frame["flow"] for frame in found["frames"]] == [
            OLD.Wait_v1.versioned(),
            OLD.Buyer_v1.versioned(),
        ]
        variables = found["frames"][1]["variables"]
        assert variables["memo"]["tags"] == ["a", "b"]
        assert found["frames"][1]["place"].endswith(":18")
        [session] = found["sessions"]
        assert (session["peer"], session["inbox"]) == ("bob", [])
        assert "secret" not in json.dumps(found)
        assert found["waiting"]["for"] == "OnTime"


def test_what_a_version_is_still_needed_for() -> None:
    new = compiled(TRADE.replace("VERSION", "version 2"))
    # Both versions of one module, as a release leaves them side by side.
    new.Buyer_v2.name = OLD.Buyer_v1.name
    with World() as on:
        on.add("alice", [OLD, new])
        on.start("alice", OLD.Buyer_v1, seller=CAROL, price=Decimal(1))
        on.sleep(HOUR)
        found = [one for one in on.node("alice").versions() if one.flow == OLD.Buyer_v1.name]
        assert found == [
            VersionView(OLD.Buyer_v1.name, 1, True, 1, 1, 0, False),
            VersionView(OLD.Buyer_v1.name, 2, True, 0, 0, 0, False),
        ]
        on.node("alice").submit_kill(1, by="ann", reason="over")
        on.sleep(HOUR)
        found = [one for one in on.node("alice").versions() if one.flow == OLD.Buyer_v1.name]
        assert [one.may_be_removed for one in found] == [True, False]


def test_a_flow_that_is_not_installed_can_be_looked_at_and_killed() -> None:
    with world() as on:
        host = on.hosts["bob"]
        other = compiled("flow Nothing():\n    pass\n")
        host.modules, host.registry = (other,), type(host.registry)([other])
        on.registries["bob"] = host.registry
        on.crash("bob")
        on.sleep(HOUR)
        bob = on.node("bob")
        [seller] = bob.flows()
        assert (seller.flow, seller.in_hospital) == (OLD.Seller_v1.versioned(), True)
        assert bob.dump(seller.id)["frames"][0]["state"] == "?"
        assert [one.is_installed for one in bob.versions() if one.flows] == [False]
        bob.submit_kill(seller.id, by="ann", reason="gone")
        on.sleep(HOUR)
        assert on.node("bob").flows() == []
        assert on.node("bob").hospital() == []
