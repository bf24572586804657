"""A party's TLS files: what is wrong with them is said before anybody connects, with the remedy."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from flowrt.ledger.identity.certificates import Usage
from flowrt.transport.credentials import BadCredentials, Credentials
from flowrt.transport.peers import BadAddress, FixedDirectory, MapDirectory, parse_address
from tests.transport.certified import ECDSA_P256, UNTIL, Town, key, pem


def changed(shown: Credentials, file: str, text: str) -> Credentials:
    getattr(shown, file).write_text(text)
    return shown


def gone(shown: Credentials, file: str) -> Credentials:
    getattr(shown, file).unlink()
    return shown


def with_(shown: Credentials, passphrase: str | None) -> Credentials:
    return Credentials(shown.certificate, shown.key, shown.root, passphrase)


def others_key(town: Town) -> Credentials:
    return Credentials(town.issue("alice").certificate, town.issue("bob").key, town.root)


PAST = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
FUTURE = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
ASK = "Ask the network's operator for a TLS certificate under root.pem"

WRONG: dict[str, tuple[Callable[[Town], Credentials], str]] = {
    "no certificate": (
        lambda town: gone(town.issue("alice"), "certificate"),
        "{0}.pem cannot be read: No such file or directory",
    ),
    "no key": (
        lambda town: gone(town.issue("alice"), "key"),
        "{0}.key cannot be read: No such file or directory",
    ),
    "no root": (
        lambda town: gone(town.issue("alice"), "root"),
        "{root}.pem cannot be read: No such file or directory",
    ),
    "a certificate that is none": (
        lambda town: changed(town.issue("alice"), "certificate", "hello"),
        "{0}.pem has no certificate in PEM",
    ),
    "a key that is none": (
        lambda town: changed(town.issue("alice"), "key", "hello"),
        "{0}.key is no private key in PEM, or it is encrypted: give its passphrase",
    ),
    "two roots": (
        lambda town: changed(town.issue("alice"), "root", town.root.read_text() * 2),
        "{root}.pem has 2 certificates, a network one root",
    ),
    "a chain that is too long": (
        lambda town: changed(
            town.issue("alice"), "certificate", pem(town.authority.certify(
                "alice", key("x").public, PAST, FUTURE, Usage.TLS)) * 4,
        ),
        "{0}.pem has 4 certificates below the root: a chain has 1 to 3, the party's first",
    ),
    "encrypted, and no passphrase": (
        lambda town: with_(town.issue("alice", passphrase=b"sesame"), None),
        "{0}.key is no private key in PEM, or it is encrypted: give its passphrase",
    ),
    "another passphrase": (
        lambda town: with_(town.issue("alice", passphrase=b"sesame"), "barley"),
        "{0}.key is no private key in PEM, or the passphrase is not the one it is under",
    ),
    "another's key": (
        others_key,
        "the key in {1}.key is not that of the certificate in {0}.pem",
    ),
    "expired": (
        lambda town: town.issue("alice", until=PAST),
        "{0}.pem does not show who we are: the certificate of alice was good until "
        f"2021-01-01 00:00:00+00:00. {ASK}",
    ),
    "not valid yet": (
        lambda town: town.issue("alice", since=FUTURE),
        "{0}.pem does not show who we are: the certificate of alice is good from "
        f"2100-01-01 00:00:00+00:00 on. {ASK}",
    ),
    "for the ledger": (
        lambda town: town.issue("alice", usage=Usage.IDENTITY),
        "{0}.pem does not show who we are: the key of alice is not certified as tls. " + ASK,
    ),
    "another network's": (
        lambda town: changed(
            Town(town.folder, "O=Elsewhere, C=GB").issue("alice"),
            "root",
            pem([town.authority.certificate]),
        ),
        "{0}.pem does not show who we are: a certificate of the chain is by another issuer than "
        f"the next one. {ASK}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_files(tmp_path: Path, name: str) -> None:
    make, text = WRONG[name]
    shown = make(Town(tmp_path))
    with pytest.raises(BadCredentials) as found:
        shown.load()
    told = str(found.value).replace(f"{tmp_path}/", "")
    assert told == text.format("0", "1", root="root")


@pytest.mark.parametrize("passphrase", [None, b"sesame"])
def test_good_files(tmp_path: Path, passphrase: bytes | None) -> None:
    town = Town(tmp_path)
    shown = town.issue("O=Bank A, L=London, C=GB", scheme=ECDSA_P256, passphrase=passphrase)
    badge = shown.load()
    assert (badge.party, badge.until) == ("O=Bank A, L=London, C=GB", UNTIL)
    # The root may stand at the end of the chain.
    shown.certificate.write_text(shown.certificate.read_text() + town.root.read_text())
    assert shown.load().party == badge.party


def test_a_passphrase_is_in_no_text(tmp_path: Path) -> None:
    shown = Town(tmp_path).issue("alice", passphrase=b"canary")
    assert "canary" not in f"{shown!r} {shown} {shown.load()!r}"
    wrong = Credentials(shown.certificate, shown.key, shown.root, "canary bird")
    with pytest.raises(BadCredentials) as found:
        wrong.load()
    assert "canary" not in repr(found.value)


# --- where peers are ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:7401", ("127.0.0.1", 7401)),
        ("bank.example:1", ("bank.example", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_an_address(text: str, found: tuple[str, int]) -> None:
    assert parse_address(text) == found


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a:٣", "a:1 ", "::1:1", "[::1]",
     "http://a:1", "a/b:1", "-a:1", "a..:1", "a\n:1", "x" * 300 + ":1"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)
    with pytest.raises(BadAddress):
        FixedDirectory({"bob": [text]})


def test_a_list_of_peers() -> None:
    listed = FixedDirectory({"bob": ["a:1", "b:2"], "carol": []})
    assert [listed.knows(name) for name in ("bob", "carol", "dave")] == [True, True, False]
    found = [list(listed.addresses(name)) for name in ("bob", "carol", "dave")]
    assert found == [["a:1", "b:2"], [], []]


def test_the_newest_map_counts() -> None:
    from flowrt.ledger.identity.networkmap import Parameters, entry, publish
    from flowrt.ledger.local import LocalNetwork

    local = LocalNetwork(["alice", "bob"])
    newest = [local.map]
    mapped = MapDirectory(lambda: newest[0])
    assert mapped.knows("bob")
    assert mapped.addresses("bob") == ()
    chain = local._root.certify("bob", local.key("bob"), PAST, FUTURE)
    newest[0] = publish(
        local._root.certificate, local._certified, local._operator, 2,
        [entry(chain, ["bob.example:7400"])], Parameters(),
    )  # fmt: skip
    assert mapped.addresses("bob") == ("bob.example:7400",)
    assert not mapped.knows("alice")
    assert mapped.addresses("alice") == ()
