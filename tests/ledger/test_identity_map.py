"""The network map: what is a good one, what may replace it, what is remembered of older ones."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.core.flow import Party
from flowrt.core.values import encode
from flowrt.ledger.identity.certificates import Usage
from flowrt.ledger.identity.networkmap import (
    Content,
    Entry,
    MapRefused,
    NetworkMap,
    NotaryEntry,
    Parameters,
    Signed,
    entry,
    publish,
)
from flowrt.ledger.keys import SigningKey
from flowrt.ledger.problems import LedgerError
from flowrt.stdlib.ledger.core_flow import NotaryUnknown, UnknownParty
from flowrt.stdlib.ledger.network_flow import MapNotAccepted
from tests.ledger.town import NOW, SINCE, UNTIL, Desk, Town

ALICE, BOB, CAROL, NOTARY = map(Party, ("alice", "bob", "carol", "notary"))
DAY = datetime.timedelta(days=1)


def town() -> Town:
    return Town("alice", "bob", "notary", notaries=["notary"])


TOWN = town()


def resigned(content: Content, by: Town = TOWN) -> bytes:
    """A map with this content, as the operator would sign it if it did not look."""
    data = encode(content)
    signature = by.operator_key.sign(b"flowlang network map\x00" + data)
    return encode(Signed(data, by.operator, signature))


def content(town: Town = TOWN) -> Content:
    signed = msgspec.msgpack.decode(town.map.data, type=Signed)
    return msgspec.msgpack.decode(signed.content, type=Content)


def refused(data: bytes) -> str:
    with pytest.raises(MapRefused) as caught:
        NetworkMap(data, TOWN.root.certificate)
    assert len(str(caught.value)) < 400
    return str(caught.value)


# --- what is a good map ---------------------------------------------------------------------------


def test_a_map_says_who_is_there() -> None:
    found = NetworkMap(TOWN.map.data, TOWN.root.certificate)
    assert list(found.entries) == ["alice", "bob", "notary"]
    assert found.key("alice", NOW) == TOWN.stores["alice"].identity().public
    assert found.key("carol", NOW) is None
    assert found.entries["bob"].addresses == ("at bob",)
    assert found.operator.name.text == "CN=Operator, O=Town, C=GB"


def test_parameters_have_a_hash_of_their_own() -> None:
    one, other = Parameters(), Parameters(version=2)
    assert one.hash == Parameters().hash != other.hash
    assert len(one.hash) == 32


def test_it_is_the_operator_who_signs() -> None:
    good = content()
    data = encode(good)
    thief = SigningKey(1, bytes(31) + b"\x09")
    signed = thief.sign(b"flowlang network map\x00" + data)
    assert "not signed by the network's operator" in refused(
        encode(Signed(data, TOWN.operator, signed))
    )
    # A party's certificate is not an operator's, however good.
    alice = TOWN.stores["alice"].identity()
    own = alice.sign(b"flowlang network map\x00" + data)
    assert "operator" in refused(encode(Signed(data, TOWN.entry("alice").chain, own)))
    # A signature for another purpose is none.
    plain = TOWN.operator_key.sign(data)
    assert "operator" in refused(encode(Signed(data, TOWN.operator, plain)))


def test_another_network() -> None:
    other = Town("alice", seed="elsewhere")
    assert "operator" in refused(other.map.data)
    foreign = msgspec.structs.replace(content(), network=bytes(32))
    assert "another network's" in refused(resigned(foreign))


def test_a_map_has_one_encoding() -> None:
    data = TOWN.map.data
    assert data[:2] == b"\x93\xc5"  # Three fields, the first of them bytes with a short length.
    assert "one encoding" in refused(b"\x93\xc6\x00\x00" + data[2:])
    inner = encode(content())
    assert inner[0] == 0x95
    longer = b"\xdc\x00\x05" + inner[1:]
    signature = TOWN.operator_key.sign(b"flowlang network map\x00" + longer)
    assert "one encoding" in refused(encode(Signed(longer, TOWN.operator, signature)))


def test_entries_that_do_not_go_together() -> None:
    good = content()
    alice, bob, notary = good.entries
    twin = TOWN.certify("Alice", TOWN.stores["bob"].identity(5).public)
    same_key = TOWN.certify("dora", TOWN.stores["bob"].identity().public)
    tls = TOWN.root.certify("dora", TOWN.stores["bob"].identity(6).public, SINCE, UNTIL, Usage.TLS)
    cases = {
        "1 to": (),
        "twice": (alice, alice, bob, notary),
        "look alike": (entry(twin), alice, bob, notary),
        "have one key": (alice, bob, entry(same_key), notary),
        "is bob's": (msgspec.structs.replace(alice, chain=bob.chain), bob, notary),
        "is written alice": (msgspec.structs.replace(alice, name="CN=alice"), bob, notary),
        "entry of": (msgspec.structs.replace(alice, name="аlice"), bob, notary),
        "as identity": (alice, Entry("dora", tls), notary),
        "addresses": (msgspec.structs.replace(alice, addresses=("x",) * 17), bob, notary),
        "not in the map": (alice, bob),
    }
    for what, entries in cases.items():
        text = refused(resigned(msgspec.structs.replace(good, entries=entries)))
        assert what in text, (what, text)


def test_notaries_that_do_not_go_together() -> None:
    good = content()
    for notaries in (
        (NotaryEntry("carol"),),
        (NotaryEntry("notary", workers=("carol",)),),
        (NotaryEntry("notary"), NotaryEntry("notary", validating=True)),
        (NotaryEntry("notary", workers=("alice",) * 65),),
        tuple(NotaryEntry("notary") for _ in range(257)),
    ):
        changed = msgspec.structs.replace(good, parameters=Parameters(notaries=notaries))
        assert "notar" in refused(resigned(changed))


def test_maps_are_numbered_from_one() -> None:
    for number in (0, -1):
        changed = msgspec.structs.replace(content(), serial=number)
        assert "numbered" in refused(resigned(changed))
    assert "format" in refused(resigned(msgspec.structs.replace(content(), format=2)))


def test_the_operator_cannot_publish_what_nodes_refuse() -> None:
    entries = [TOWN.entry("alice"), TOWN.entry("alice")]
    with pytest.raises(MapRefused, match="twice"):
        publish(TOWN.root.certificate, TOWN.operator, TOWN.operator_key, 2, entries, Parameters())


@given(st.data())
@settings(max_examples=60)
def test_no_byte_of_a_map_can_be_changed(data: st.DataObject) -> None:
    good = TOWN.map.data
    place = data.draw(st.integers(0, len(good) - 1))
    refused(
        good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    )
    cut = data.draw(st.integers(0, len(good) - 1))
    refused(good[:cut])


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_any_bytes_are_refused(data: bytes) -> None:
    refused(data)


# --- what a node makes of it ----------------------------------------------------------------------


def test_who_is_there_and_who_is_not() -> None:
    desk = Desk(town(), "alice")
    network, tx = desk.network, desk.tx
    assert network.identity(tx, BOB).key == desk.town.stores["bob"].identity().public
    assert network.parties(tx) == (ALICE, BOB, NOTARY)
    assert network.addresses(tx, BOB) == ("at bob",)
    with pytest.raises(UnknownParty) as caught:
        network.identity(tx, CAROL)
    assert caught.value.who == "carol"
    with pytest.raises(UnknownParty):
        network.identity(tx, Party("CN=bob"))
    assert network.party_of(tx, desk.town.stores["bob"].identity().public) == BOB
    assert network.party_of(tx, desk.town.stores["bob"].fresh(1).public) is None


def test_notaries() -> None:
    here = town()
    here.map = here.publish(
        1, notaries=[NotaryEntry("notary", True, ("bob", "notary"))], max_transaction_bytes=1000
    )
    desk = Desk(here, "alice")
    network, tx = desk.network, desk.tx
    assert network.notaries(tx) == (NOTARY,)
    assert network.is_notary(tx, NOTARY)
    assert not network.is_notary(tx, BOB)
    assert network.is_validating(tx, NOTARY)
    assert network.workers(tx, NOTARY) == (BOB, NOTARY)
    for ask in (network.workers, network.is_validating):
        with pytest.raises(NotaryUnknown):
            ask(tx, BOB)
    rules = network.parameters(tx)
    assert (rules.max_transaction_bytes, rules.digest) == (1000, here.map.parameters.hash)
    assert network.knows_parameters(tx, rules.digest)
    assert not network.knows_parameters(tx, bytes(32))


def test_a_new_map_takes_the_place_of_the_old_one() -> None:
    desk = Desk(town(), "alice")
    here = desk.town
    here.stores["carol"] = here.stores["bob"].derive(b"carol")
    old = here.map.parameters.hash
    newer = here.publish(
        2, [here.entry(n) for n in ("alice", "carol", "notary")], [], minimum_platform=2
    )
    assert desk.network.accept(desk.tx, newer.data) == 2
    desk.end()
    for _ in range(2):
        network, tx = desk.network, desk.tx
        assert network.current(tx).serial == 2
        assert network.identity(tx, CAROL).party == CAROL
        with pytest.raises(UnknownParty):
            network.identity(tx, BOB)
        # Old keys and rules are still known, for old transactions.
        assert network.party_of(tx, here.stores["bob"].identity().public) == BOB
        assert network.knows_parameters(tx, old)
        # A notary that was delisted is none, but it can still be asked for a change of notary.
        assert not network.is_notary(tx, NOTARY)
        assert network.notaries(tx) == ()
        assert network.workers(tx, NOTARY) == (NOTARY,)
        assert network.is_validating(tx, NOTARY) is False
        desk.restart()


def test_a_step_that_is_undone_takes_its_map_with_it() -> None:
    desk = Desk(town(), "alice")
    newer = desk.town.publish(2, notaries=[])
    desk.network.accept(desk.tx, newer.data)
    assert desk.network.current(desk.tx).serial == 2
    desk.end(keep=False)
    assert desk.network.current(desk.tx).serial == 1
    assert desk.network.is_notary(desk.tx, NOTARY)


def test_an_old_map_does_not_come_back() -> None:
    desk = Desk(town(), "alice")
    for number in (3, 3, 2, 1):
        data = desk.town.publish(number, notaries=[]).data
        if desk.network.current(desk.tx).serial < 3:
            desk.network.accept(desk.tx, data)
        else:
            with pytest.raises(MapNotAccepted, match="does not replace"):
                desk.network.accept(desk.tx, data)
    desk.end()
    desk.restart()  # The node is opened with map 1 again, as its configuration has it.
    assert desk.network.current(desk.tx).serial == 3


def test_a_node_can_be_opened_with_a_newer_map() -> None:
    desk = Desk(town(), "alice")
    desk.town.map = desk.town.publish(4)
    desk.restart()
    assert desk.network.current(desk.tx).serial == 4


def test_another_operator_is_not_followed() -> None:
    here = town()
    desk = Desk(here, "alice")
    key = here.secrets.identity(2)
    other = here.root.certify("O=Other, C=GB", key.public, SINCE, UNTIL, Usage.OPERATOR)
    entries = list(here.map.entries.values())
    usurper = publish(here.root.certificate, other, key, 9, entries, Parameters())
    with pytest.raises(MapNotAccepted, match="signed by O=Other"):
        desk.network.accept(desk.tx, usurper.data)
    # The same operator under a new key is the same operator.
    again = here.root.certify("CN=Operator, O=Town, C=GB", key.public, SINCE, UNTIL, Usage.OPERATOR)
    newer = publish(here.root.certificate, again, key, 9, entries, Parameters())
    assert desk.network.accept(desk.tx, newer.data) == 9


def test_an_operator_whose_certificate_is_over_is_not_followed() -> None:
    here = town()
    desk = Desk(here, "alice")
    here.operator = here.root.certify(
        "CN=Operator, O=Town, C=GB", here.operator_key.public, NOW - 2 * DAY, NOW, Usage.OPERATOR
    )
    with pytest.raises(MapNotAccepted, match="was good until"):
        desk.network.accept(desk.tx, here.publish(2).data)


def test_a_certificate_that_is_over_makes_its_party_unknown() -> None:
    here = town()
    short = here.root.certify("bob", here.stores["bob"].identity().public, NOW - DAY, NOW + DAY)
    here.map = here.publish(1, [here.entry("alice"), entry(short)], [NotaryEntry("bob")])
    desk = Desk(here, "alice")
    assert desk.network.is_notary(desk.tx, BOB)
    desk.tx.now_us += 2 * 86_400_000_000
    with pytest.raises(UnknownParty):
        desk.network.identity(desk.tx, BOB)
    assert not desk.network.is_notary(desk.tx, BOB)
    assert desk.network.notaries(desk.tx) == ()
    assert desk.network.parties(desk.tx) == (ALICE,)
    assert desk.network.party_of(desk.tx, here.stores["bob"].identity().public) == BOB


def test_a_rotated_key_is_the_old_one_no_more() -> None:
    desk = Desk(town(), "alice")
    here = desk.town
    before = desk.network.identity(desk.tx, BOB)
    newer = here.publish(2, [here.entry("alice"), here.entry("bob", 1), here.entry("notary")])
    desk.network.accept(desk.tx, newer.data)
    after = desk.network.identity(desk.tx, BOB)
    assert after.key == here.stores["bob"].identity(1).public != before.key
    assert desk.network.party_of(desk.tx, before.key) == BOB
    assert desk.network.party_of(desk.tx, after.key) == BOB


def test_no_key_goes_from_one_party_to_another() -> None:
    here = town()
    desk = Desk(here, "alice")
    moved = entry(here.certify("carol", here.stores["bob"].identity().public))
    newer = here.publish(2, [here.entry("alice"), moved, here.entry("notary")])
    with pytest.raises(MapNotAccepted, match="was bob's"):
        desk.network.accept(desk.tx, newer.data)
    ours = desk.keys.fresh(desk.tx)
    stolen = entry(here.certify("carol", ours))
    newer = here.publish(2, [here.entry("alice"), stolen, here.entry("notary")])
    with pytest.raises(MapNotAccepted, match="was alice's"):
        desk.network.accept(desk.tx, newer.data)
    assert desk.network.current(desk.tx).serial == 1


def test_a_database_of_another_network_is_refused() -> None:
    desk = Desk(town(), "alice")
    desk.town = Town("alice", seed="elsewhere")
    with pytest.raises(LedgerError):
        desk.restart()


def test_a_refused_map_changes_nothing() -> None:
    desk = Desk(town(), "alice")
    before = [desk.rows(f"SELECT * FROM {table}") for table in TABLES]
    for data in (b"", b"\x00" * 100, desk.town.map.data, desk.town.map.data[:-1]):
        with pytest.raises(MapNotAccepted):
            desk.network.accept(desk.tx, data)
    assert [desk.rows(f"SELECT * FROM {table}") for table in TABLES] == before


TABLES = ("ledger_keys", "ledger_network_map", "ledger_network_parameters", "ledger_salts")
