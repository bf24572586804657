"""The key store: what comes of a seed, what a file gives away, what a mistake does."""

from __future__ import annotations

import copy
import hashlib
import hmac
import inspect
import json
import logging
import os
import pickle
import stat
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from flowrt.ledger.identity import keystore
from flowrt.ledger.identity.keystore import KeyStore, KeyStoreError
from flowrt.ledger.keys import ECDSA_P256, ED25519

SEED = bytes(range(32))
CHEAP = 2


def by_the_book(info: bytes) -> bytes:
    """The same derivation, by a library."""
    return HKDF(hashes.SHA256(), 32, b"flowlang key store 1", info).derive(SEED)


# --- derivation -----------------------------------------------------------------------------------


def test_keys_are_derived_as_the_page_says() -> None:
    store = KeyStore(SEED)
    for purpose, key in ((b"identity", store.identity(3)), (b"fresh", store.fresh(3))):
        secret = by_the_book(purpose + b"\x00\x01" + (3).to_bytes(8, "big"))
        assert key.private.private_bytes_raw() == secret  # type: ignore[union-attr]
    assert store.salt(1, 22, 333) == by_the_book(b"salt\x001\x0022\x00333")


def test_the_page_has_the_values() -> None:
    page = (Path(__file__).parents[2] / "docs" / "identity.md").read_text()
    plain, curve = KeyStore(SEED), KeyStore(SEED, ECDSA_P256)
    for what, value in {
        "well-known key 0, Ed25519": plain.identity(0).public.encoded.hex(),
        "pseudonym 1, Ed25519": plain.fresh(1).public.encoded.hex(),
        "pseudonym 1, P-256": curve.fresh(1).public.encoded.hex(),
        "salt of 1, 22, 333": plain.salt(1, 22, 333).hex(),
        "backup, Ed25519": plain.backup(),
    }.items():
        assert f"| {what} | `{value}` |" in page


@given(st.binary(min_size=32, max_size=32), st.integers(0, keystore.MAX_NUMBER - 1))
def test_the_same_seed_has_the_same_keys(seed: bytes, number: int) -> None:
    one, other = KeyStore(seed), KeyStore(seed)
    assert one.fresh(number).public == other.fresh(number).public
    assert one.fresh(number).public != one.identity(number).public
    assert one.fresh(number).public != one.fresh(number + 1 - 2 * (number > 5)).public


def test_a_scheme_has_keys_of_its_own() -> None:
    plain, curve = KeyStore(SEED), KeyStore(SEED, ECDSA_P256)
    assert (plain.identity().public.scheme, curve.identity().public.scheme) == (ED25519, ECDSA_P256)
    signature = curve.fresh(1).sign(b"content")
    curve.fresh(1).public.verify(signature, b"content")


def test_numbers_and_seeds_have_bounds() -> None:
    for number in (-1, keystore.MAX_NUMBER):
        with pytest.raises(KeyStoreError):
            KeyStore(SEED).fresh(number)
    for seed in (b"", bytes(31), bytes(33)):
        with pytest.raises(KeyStoreError):
            KeyStore(seed)
    with pytest.raises(KeyStoreError):
        KeyStore(SEED, 3)


def test_only_so_many_private_keys_are_kept() -> None:
    store = KeyStore(SEED)
    for number in range(keystore.REMEMBERED + 10):
        store.fresh(number)
    assert len(store._recent) == keystore.REMEMBERED


def test_new_seeds_are_new() -> None:
    assert KeyStore.new().backup() != KeyStore.new().backup()


# --- the backup -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [ED25519, ECDSA_P256])
def test_a_backup_has_every_key(scheme: int) -> None:
    store = KeyStore.new(scheme)
    text = store.backup()
    assert len(text.split()) == 10
    again = KeyStore.restore(f"  {text.upper()}\n")
    assert again.fresh(9).public == store.fresh(9).public
    assert again.scheme == scheme


@given(st.data())
def test_a_mistake_in_a_backup_is_found(data: st.DataObject) -> None:
    text = KeyStore(SEED).backup().replace(" ", "")
    place = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.sampled_from("0123456789abcdef").filter(lambda s: s != text[place]))
    for wrong in (text[:place] + sign + text[place + 1 :], text[:place], text + "00"):
        with pytest.raises(KeyStoreError) as caught:
            KeyStore.restore(wrong)
        assert text[:16] not in str(caught.value)
    with pytest.raises(KeyStoreError):
        KeyStore.restore("not hex at all")


# --- the file -------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alice.keys"


def test_a_file_is_opened_with_its_passphrase_alone(path: Path) -> None:
    KeyStore(SEED, ECDSA_P256).save(path, "correct horse", cost=CHEAP)
    found = KeyStore.open(path, "correct horse")
    assert found.backup() == KeyStore(SEED, ECDSA_P256).backup()
    for wrong in ("Correct horse", "correct hors", "x", "\ud800"):
        with pytest.raises(KeyStoreError, match="wrong passphrase"):
            KeyStore.open(path, wrong)
    for store in (lambda: KeyStore.open(path, ""), lambda: found.save(path, "", cost=CHEAP)):
        with pytest.raises(KeyStoreError, match="has a passphrase"):
            store()


def test_one_passphrase_in_two_encodings_is_one(path: Path) -> None:
    KeyStore(SEED).save(path, "caf\u00e9", cost=CHEAP)
    assert KeyStore.open(path, "cafe\u0301").backup() == KeyStore(SEED).backup()


def test_nobody_else_may_read_the_file(path: Path) -> None:
    before = os.umask(0)
    try:
        KeyStore(SEED).save(path, "x", cost=CHEAP)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(KeyStoreError, match="may be read by others"):
        KeyStore.open(path, "x")


def test_the_file_does_not_hold_the_seed(path: Path) -> None:
    KeyStore(SEED).save(path, "x", cost=CHEAP)
    one = path.read_text()
    assert SEED.hex() not in one
    assert KeyStore(SEED).backup()[:8] not in one
    KeyStore(SEED).save(path, "x", cost=CHEAP)
    fields = [json.loads(text) for text in (one, path.read_text())]
    assert fields[0]["sealed"] != fields[1]["sealed"]
    assert fields[0]["kdf"]["salt"] != fields[1]["kdf"]["salt"]
    assert fields[0]["cipher"]["nonce"] != fields[1]["cipher"]["nonce"]


def test_files_made_by_default_cost_a_guess_something() -> None:
    assert inspect.signature(KeyStore.save).parameters["cost"].default == 2**17


@pytest.mark.parametrize("at", ["write", "fsync", "replace"])
def test_what_fails_while_saving_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    KeyStore(SEED).save(path, "old", cost=CHEAP)

    def fail(*arguments: object, **named: object) -> None:
        raise OSError("no space left")

    where = {"write": (json, "dump"), "fsync": (os, "fsync"), "replace": (os, "replace")}[at]
    with monkeypatch.context() as patch:
        patch.setattr(*where, fail)
        with pytest.raises(OSError, match="no space"):
            KeyStore.new().save(path, "new", cost=CHEAP)
    assert KeyStore.open(path, "old").backup() == KeyStore(SEED).backup()
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_passphrase_is_changed_by_saving_again(path: Path) -> None:
    KeyStore(SEED).save(path, "old", cost=CHEAP)
    KeyStore.open(path, "old").save(path, "new", cost=CHEAP)
    assert KeyStore.open(path, "new").backup() == KeyStore(SEED).backup()
    with pytest.raises(KeyStoreError):
        KeyStore.open(path, "old")


def _leaves(tree: object, way: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict):
        return [way]
    return [way, *(leaf for name, part in tree.items() for leaf in _leaves(part, (*way, name)))]


def test_every_change_of_the_file_is_refused(path: Path) -> None:
    KeyStore(SEED).save(path, "x", cost=CHEAP)
    plain = json.loads(path.read_text())
    changes: list[object] = [None, 0, -1, 1, 3, 2**40, True, "", "00", "zz", [], {}, 1.5, "é"]
    tried = 0
    for way in _leaves(plain):
        for change in changes:
            tree = copy.deepcopy(plain)
            if not way:
                tree = change
            else:
                part = tree
                for name in way[:-1]:
                    part = part[name]
                if part[way[-1]] == change:
                    continue
                part[way[-1]] = change
            if tree == plain and json.dumps(tree) == json.dumps(plain):
                continue
            path.write_text(json.dumps(tree))
            with pytest.raises(KeyStoreError):
                KeyStore.open(path, "x")
            tried += 1
    assert tried > 100
    for name in ("sealed",):
        for place in range(0, len(plain[name]), 7):
            digit = "0" if plain[name][place] != "0" else "1"
            text = plain[name][:place] + digit + plain[name][place + 1 :]
            path.write_text(json.dumps({**plain, name: text}))
            with pytest.raises(KeyStoreError, match="wrong passphrase, or the file was changed"):
                KeyStore.open(path, "x")


@pytest.mark.parametrize("data", [b"", b"\x00", b"{", b"[" * 4000, b"{}" * 4000, b"\xff\xfe", b"1"])
def test_files_that_are_no_key_stores(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(KeyStoreError, match="no key store"):
        KeyStore.open(path, "x")


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(KeyStoreError, match="cannot be read"):
        KeyStore.open(path, "x")


# --- never shown ----------------------------------------------------------------------------------


def test_nothing_shows_the_seed(caplog: pytest.LogCaptureFixture) -> None:
    store = KeyStore(SEED)
    key = store.identity()
    secret = key.private.private_bytes_raw()  # type: ignore[union-attr]
    root = hmac.digest(b"flowlang key store 1", SEED, hashlib.sha256)
    shown = [repr(store), str(store), f"{store}", repr(key), str(key), repr([store, key])]
    logging.getLogger("t").error("%s %r", store, store)
    shown += caplog.messages
    for act in (
        lambda: pickle.dumps(store),
        lambda: copy.copy(store),
        lambda: copy.deepcopy(store),
        lambda: vars(store),
        lambda: store.fresh(-1),
        lambda: KeyStore(SEED + b"\x00"),
        lambda: KeyStore(SEED, 9),
    ):
        with pytest.raises((TypeError, KeyStoreError)) as caught:
            act()
        shown.append("".join(traceback.format_exception(caught.value)))
    for text in shown:
        for hidden in (SEED, secret, root):
            assert hidden.hex() not in text
            assert repr(hidden)[2:-1] not in text
