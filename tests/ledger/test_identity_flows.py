"""Exchanging pseudonyms between nodes: what both know afterwards, and what a liar gets."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowrt.core.flow import FlowError, Party, Tx
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity.claims import Pseudonym, claim
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.identity.networkmap import NotaryEntry
from flowrt.ledger.identity.signing import Keys
from flowrt.ledger.keys import ECDSA_P256, ED25519, PublicKey
from flowrt.ledger.states import Rulebook
from flowrt.ledger.transactions import SignedTransaction
from flowrt.stdlib.ledger import identities_flow, keys_flow, network_flow
from flowrt.stdlib.ledger.core_flow import IllegalRequest, TooLarge
from flowrt.stdlib.ledger.network_flow import MapNotAccepted, PseudonymRefused
from flowrt.stdlib.ledger.parts_flow import Identity
from tests.conformance.scene import Flow, InMemory, OnDisk, Scene
from tests.ledger.played import complaints, program
from tests.ledger.test_identity_keys import Deed, Move
from tests.ledger.town import Town
from tests.runtime.conftest import tmp_path

__all__ = ["tmp_path"]

PLAY = """
use ledger.core: SignedTransaction
use ledger.identities: Pseudonyms, ReceiveIdentities, SendIdentities, SwapIdentities
use ledger.keys: Keys
use ledger.network: Network
use ledger.parts: PublicKey

flow Swap(other: Party) -> Pseudonyms:
    startable by rpc
    open Swapping with other as talk
    return subflow SwapIdentities(talk)

flow Swapping():
    responds to Swap as talk
    let made = subflow SwapIdentities(talk)
    log info "{made.ours.text} and {made.theirs.text}"

flow Show(other: Party, transaction: SignedTransaction):
    startable by rpc
    open See with other as talk
    subflow SendIdentities(transaction, talk)

flow See():
    responds to Show as talk
    subflow ReceiveIdentities(talk)

flow Make(count: Int) -> List[PublicKey]:
    startable by rpc
    var made: List[PublicKey] = []
    while made.size < count:
        made = made.append(Keys.fresh())
    return made

flow Later(notary: Party) -> List[Bool]:
    startable by rpc
    let before = Network.is_notary(notary)
    sleep 1d
    return [before, Network.is_notary(notary)]

flow Whose(key: PublicKey) -> Party?:
    startable by rpc
    return Network.party_of(key)
"""
LIAR = """
use ledger.core: SignedTransaction
use ledger.identities: PseudonymsKnown, PseudonymsOffered, PseudonymsShown, PseudonymsWanted
use ledger.keys: Keys, Pseudonym
use ledger.parts: PublicKey

flow Show(other: Party, transaction: SignedTransaction, copies: Int):
    startable by rpc
    open See with other as talk
    send PseudonymsOffered(Keys.pseudonyms_in(transaction)) to talk
    receive from talk:
        case PseudonymsKnown:
            return
        case PseudonymsWanted as wanted unchecked:
            var claims: List[Pseudonym] = []
            while claims.size < copies:
                claims = claims.append(Keys.claim(wanted.keys[0]))
            send PseudonymsShown(claims) to talk

flow See():
    responds to Show as talk
    receive offered: PseudonymsOffered from talk unchecked
    log info "{offered.keys.size}"
    send PseudonymsWanted([Keys.fresh()]) to talk
    receive shown: PseudonymsShown from talk unchecked
    log info "{shown.claims.size}"
"""
RULEBOOK = Rulebook([sys.modules[Deed.__module__]])
BOB = Party("bob")


class Lying(Keys):
    """Keys that claim what they are told to, and see what they are told to in transactions."""

    tell: Callable[[Keys, Tx, PublicKey], Pseudonym] | None = None
    seen: tuple[PublicKey, ...] = ()

    def claim(self, tx: Tx, key: PublicKey) -> Pseudonym:
        return type(self).tell(self, tx, key) if type(self).tell else super().claim(tx, key)  # type: ignore[misc]

    def pseudonyms_in(self, tx: Tx, transaction: SignedTransaction) -> tuple[PublicKey, ...]:
        return self.seen or super().pseudonyms_in(tx, transaction)


class Played:
    """Alice and bob in a town, on one kind of store."""

    def __init__(self, kind: str, folder: Path, town: Town, **others: Any) -> None:
        self.town = town
        here = self

        class Own:
            def _add(self, party: str, services: object) -> None:
                self.world.add(  # type: ignore[attr-defined]
                    party,
                    self.programs[party],  # type: ignore[attr-defined]
                    lambda: here.services(party, self.programs[party]),  # type: ignore[attr-defined]
                )

        class OwnInMemory(Own, InMemory):
            pass

        class OwnOnDisk(Own, OnDisk):
            pass

        self.kinds: dict[str, type[Keys]] = others.pop("keys", {})
        texts = {"alice": PLAY, "bob": PLAY, "carol": PLAY, **others.pop("programs", {})}
        modules = {
            name: [program(texts[name]), identities_flow, keys_flow, network_flow]
            for name in town.stores
        }
        self.flows: dict[str, ModuleType] = {name: found[0] for name, found in modules.items()}
        self.scene: Scene = (
            OwnInMemory(modules, None) if kind == "memory" else OwnOnDisk(modules, None, folder)
        )

    def services(self, party: str, modules: list[ModuleType]) -> dict[str, object]:
        found = self.town.services(party, RULEBOOK)
        kind = self.kinds.get(party, Keys)
        found["Keys"] = kind(self.town.stores[party], found["Network"], RULEBOOK)  # type: ignore[arg-type]
        return found

    def run(self, party: str, flow: str, **arguments: Any) -> Any:
        return self.scene.run_flow(party, getattr(self.flows[party], f"{flow}_v1"), **arguments)

    def last(self, party: str) -> int:
        """The number of the party's youngest flow."""
        self.scene.run()
        for number in itertools.count(1):
            try:
                self.scene.node(party).handle(number)
            except KeyError:
                return number - 1
        raise AssertionError

    def whose(self, party: str, key: PublicKey) -> str | None:
        found = self.run(party, "Whose", key=key)
        return found.name if found is not None else None


@pytest.fixture(params=["memory", "sqlite"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Played]]:
    made: list[Played] = []

    def begin(*parties: str, **others: Any) -> Played:
        town = others.pop("town", None) or Town(*(parties or ("alice", "bob")))
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Played(request.param, folder, town, **others))
        return made[-1]

    yield begin
    for one in made:
        one.scene.close()


def transaction(*keys: PublicKey) -> SignedTransaction:
    notary = Identity(Party("notary"), KeyStore.derive(b"n").identity().public)
    built = TransactionBuilder(notary).make(Deed(keys)).command(Move(), *keys[:1])
    return built.sign([], bytes(32))


def test_the_halves_fit() -> None:
    assert complaints(PLAY) == []


# --- swapping -------------------------------------------------------------------------------------


def test_cs_221_both_learn_a_new_key_of_the_other(play: Callable[..., Played]) -> None:
    here = play()
    made = here.run("alice", "Swap", other=BOB)
    here.scene.run()
    assert here.whose("alice", made.theirs) == here.whose("bob", made.theirs) == "bob"
    assert here.whose("alice", made.ours) == here.whose("bob", made.ours) == "alice"
    again = here.run("alice", "Swap", other=BOB)
    assert len({made.ours, made.theirs, again.ours, again.theirs}) == 4
    here.scene.nothing_is_left()


def test_a_stranger_to_the_swap_learns_nothing(play: Callable[..., Played]) -> None:
    here = play("alice", "bob", "carol")
    made = here.run("alice", "Swap", other=BOB)
    assert here.whose("carol", made.ours) is here.whose("carol", made.theirs) is None


def of_another(keys: Keys, tx: Tx, key: PublicKey) -> Pseudonym:
    """Bob shows what carol once showed him: right in all, but not bob's."""
    carol = KeyStore.derive(b"town carol")
    return claim(keys._network.name, Party("carol"), carol.identity(), carol.fresh(1))


def wrong_key(keys: Keys, tx: Tx, key: PublicKey) -> Pseudonym:
    """Bob's name, but not by bob's key."""
    store = KeyStore.derive(b"town bob")
    return claim(keys._network.name, BOB, store.identity(8), store.fresh(1))


def wrong_name(keys: Keys, tx: Tx, key: PublicKey) -> Pseudonym:
    """By bob's key, but in carol's name."""
    store = KeyStore.derive(b"town bob")
    return claim(keys._network.name, Party("carol"), store.identity(), store.fresh(1))


def another_network(keys: Keys, tx: Tx, key: PublicKey) -> Pseudonym:
    store = KeyStore.derive(b"town bob")
    return claim(bytes(32), BOB, store.identity(), store.fresh(1))


@pytest.mark.parametrize("lie", [of_another, wrong_key, wrong_name, another_network])
@pytest.mark.parametrize("liar", ["alice", "bob"])
def test_cs_221_who_lies_is_refused(
    play: Callable[..., Played], lie: Callable[..., Pseudonym], liar: str
) -> None:
    here = play("alice", "bob", "carol", keys={liar: type("Liar", (Lying,), {"tell": lie})})
    begun = here.scene.start("alice", here.flows["alice"].Swap_v1, other=BOB)
    with pytest.raises(PseudonymRefused, match="does not prove that the key is theirs"):
        here.scene.result(begun if liar == "bob" else Flow("bob", 1))
    here.scene.run()
    honest = "bob" if liar == "alice" else "alice"
    for number in (1, 2):
        for name in (liar, "carol"):
            key = KeyStore.derive(f"town {name}".encode()).fresh(number).public
            assert here.whose(honest, key) is None
    here.scene.nothing_is_left()


def test_a_swap_outlives_every_crash(play: Callable[..., Played]) -> None:
    here = play()
    here.scene.spoil("crash before", "crash after", "refused", rate=0.3)
    made = here.run("alice", "Swap", other=BOB)
    here.scene.run()
    assert here.scene.failures > 3
    here.scene.spoil("refused", rate=0.0)
    assert here.whose("bob", made.ours) == "alice"
    assert here.whose("alice", made.theirs) == "bob"
    # A step that was undone made no key, so none is missing and none is too many.
    for party in ("alice", "bob"):
        [(count,)] = here.scene.rows(
            party, "SELECT COUNT(*) FROM ledger_keys WHERE kind = 1 AND number IS NOT NULL"
        )
        assert count == 1


# --- showing --------------------------------------------------------------------------------------


def test_the_receiver_learns_the_senders_keys_in_a_transaction(
    play: Callable[..., Played],
) -> None:
    here = play("alice", "bob", "carol")
    alices = here.run("alice", "Make", count=3)
    [carols] = here.run("carol", "Make", count=1)
    shown = transaction(alices[0], alices[1], carols)
    here.run("alice", "Show", other=BOB, transaction=shown)
    here.scene.run()
    assert [here.whose("bob", key) for key in alices] == ["alice", "alice", None]
    assert here.whose("bob", carols) is None
    said = here.scene.said("alice", "bob")
    assert any("PseudonymsShown" in line for line in said)
    # What is known is not shown again.
    here.run("alice", "Show", other=BOB, transaction=shown)
    here.scene.run()
    late = here.scene.said("alice", "bob")[len(said) :]
    assert any("PseudonymsKnown" in line for line in late)
    assert not any("PseudonymsShown" in line for line in late)
    here.scene.nothing_is_left()


def test_showing_outlives_every_crash(play: Callable[..., Played]) -> None:
    here = play()
    keys = here.run("alice", "Make", count=2)
    here.scene.spoil("crash before", "crash after", "refused", rate=0.3)
    here.run("alice", "Show", other=BOB, transaction=transaction(*keys))
    here.scene.run()
    here.scene.spoil("refused", rate=0.0)
    assert [here.whose("bob", key) for key in keys] == ["alice", "alice"]


def test_only_what_was_offered_is_shown(play: Callable[..., Played]) -> None:
    here = play(programs={"bob": LIAR})
    [key] = here.run("alice", "Make", count=1)
    with pytest.raises(IllegalRequest):
        here.run("alice", "Show", other=BOB, transaction=transaction(key))


def test_nobody_shows_what_another_holds(play: Callable[..., Played]) -> None:
    """Bob offers a key of carol's, whom alice knows: she neither believes it nor tells."""
    carols = KeyStore.derive(b"town carol").fresh(1).public
    kind = type("Liar", (Lying,), {"seen": (carols,), "tell": of_another})
    here = play("alice", "bob", "carol", keys={"bob": kind}, programs={})
    unknown = transaction(carols)
    for known in (False, True):
        if known:
            here.run("carol", "Make", count=1)
            here.run("carol", "Show", other=Party("alice"), transaction=unknown)
            here.scene.run()
            assert here.whose("alice", carols) == "carol"
        before = len(here.scene.said("alice", "bob"))
        here.run("bob", "Show", other=Party("alice"), transaction=unknown)
        with pytest.raises(PseudonymRefused, match="does not prove"):
            here.scene.result(Flow("alice", here.last("alice")))
        said = here.scene.said("alice", "bob")[before:]
        assert sum("PseudonymsWanted" in line for line in said) == 1
    assert here.whose("alice", carols) == "carol"


@pytest.mark.parametrize("copies", [0, 1, 3])
def test_what_is_shown_is_what_was_wanted(play: Callable[..., Played], copies: int) -> None:
    """Of two keys that are wanted, the liar shows none, one, or the first of them three times."""
    here = play(programs={"alice": LIAR}, keys={"alice": Lying})
    keys = here.town.stores["alice"].fresh(1).public, here.town.stores["alice"].fresh(2).public
    Lying.seen = keys
    Lying.tell = lambda own, tx, key: claim(
        own._network.name, tx.me, own._keystore.identity(), own._keystore.fresh(1)
    )
    try:
        for count, why in ((copies, "claims were wanted"), (2, "another key was wanted")):
            here.run("alice", "Show", other=BOB, transaction=transaction(*keys), copies=count)
            with pytest.raises(PseudonymRefused, match=why):
                here.scene.result(Flow("bob", here.last("bob")))
    finally:
        Lying.seen, Lying.tell = (), None
    assert here.whose("bob", keys[0]) is None


def test_only_so_many_are_offered(play: Callable[..., Played]) -> None:
    store = KeyStore.derive(b"town alice")
    many = tuple(store.fresh(number).public for number in range(1001))
    kind = type("Many", (Lying,), {"seen": many})
    here = play(programs={"alice": LIAR}, keys={"alice": kind})
    with pytest.raises(FlowError):
        here.run("alice", "Show", other=BOB, transaction=transaction(many[0]), copies=0)
    with pytest.raises(TooLarge, match="1001 pseudonyms"):
        here.scene.result(Flow("bob", here.last("bob")))
    here = play(keys={"alice": kind})
    with pytest.raises(TooLarge, match="1001 pseudonyms"):
        here.run("alice", "Show", other=BOB, transaction=transaction(many[0]))


# --- a map that comes while flows sleep -----------------------------------------------------------


def test_a_map_may_come_while_flows_sleep(play: Callable[..., Played]) -> None:
    here = play()
    town = here.town
    newer = town.publish(2, [town.entry("alice"), town.entry("bob", 1)])
    # Bob's new key is not certified for alice yet: his claims by it are refused, and then not.
    kind = type(
        "New",
        (Lying,),
        {"tell": lambda own, tx, key: claim(
            own._network.name, tx.me, own._keystore.identity(1), own._keystore.fresh(1)
        )},
    )  # fmt: skip
    here = play(keys={"bob": kind})
    with pytest.raises(PseudonymRefused):
        here.run("alice", "Swap", other=BOB)
    taken = here.scene.run_flow("alice", network_flow.AcceptMap_v1, map_=newer.data)
    assert taken == 2
    made = here.run("alice", "Swap", other=BOB)
    assert here.whose("alice", made.theirs) == "bob"
    with pytest.raises(MapNotAccepted, match="does not replace"):
        here.scene.run_flow("alice", network_flow.AcceptMap_v1, map_=newer.data)


def test_a_flow_that_wakes_sees_the_map_of_then(play: Callable[..., Played]) -> None:
    town = Town("alice", "bob", "notary", notaries=["notary"])
    here = play(town=town, programs={"notary": PLAY})
    later = here.flows["alice"].Later_v1
    first = here.scene.start("alice", later, notary=Party("notary"))
    second = here.scene.start("alice", later, notary=BOB)
    here.scene.run()
    newer = town.publish(2, notaries=[NotaryEntry("bob")])
    here.scene.run_flow("alice", network_flow.AcceptMap_v1, map_=newer.data)
    here.scene.crash("alice")
    assert here.scene.result(first) == (True, False)
    assert here.scene.result(second) == (False, True)


def test_a_refused_map_leaves_the_old_one(play: Callable[..., Played]) -> None:
    here = play()
    other = Town("alice", "bob", seed="elsewhere")
    for data in (other.publish(7).data, here.town.publish(7).data[:-1], b""):
        with pytest.raises(MapNotAccepted):
            here.scene.run_flow("alice", network_flow.AcceptMap_v1, map_=data)
    assert here.scene.rows("alice", "SELECT serial FROM ledger_network_map") == [(1,)]


def test_keys_on_another_curve(play: Callable[..., Played]) -> None:
    town = Town("alice", "bob")
    town.stores["bob"] = KeyStore.derive(b"town bob", ECDSA_P256)
    town.map = town.publish(1)
    made = play(town=town).run("alice", "Swap", other=BOB)
    assert (made.ours.scheme, made.theirs.scheme) == (ED25519, ECDSA_P256)


# --- keys after a loss ----------------------------------------------------------------------------


def test_a_lost_database_is_made_good_by_the_seed(play: Callable[..., Played]) -> None:
    before = play("alice", "bob")
    keys = before.run("alice", "Make", count=3)
    rotated = before.scene.run_flow("alice", keys_flow.RotateIdentity_v1)
    town = before.town
    town.map = town.publish(2, [town.entry("alice", 1), town.entry("bob")])
    again = play("alice", "bob", town=town)
    with pytest.raises(AssertionError, match="RecoverKeys"):
        again.run("alice", "Swap", other=BOB)
    again = play("alice", "bob", town=town)
    again.scene.spoil("crash before", "crash after", "refused", rate=0.3)
    again.scene.run_flow("alice", keys_flow.RecoverKeys_v1, pseudonyms=1200, identities=2)
    again.scene.spoil("refused", rate=0.0)
    assert [again.whose("alice", key) for key in (*keys, rotated)] == ["alice"] * 4
    made = again.run("alice", "Swap", other=BOB)
    assert made.ours == town.stores["alice"].fresh(1201).public
    assert again.whose("bob", made.ours) == "alice"
