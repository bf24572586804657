"""The life of a party: backed up while it is served, put back, upgraded, its keys rotated."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from flowrt.node import Node
from flowrt.serving import backups, network, party, process, rotation
from flowrt.serving.assembly import assemble
from flowrt.serving.config import Config, read
from flowrt.serving.troubles import Refused
from flowrt.stdlib.ledger.keys_flow import RecoverKeys_v1
from flowrt.store import RestoredFromBackup
from flowrt.store.copies import copy, look
from flowrt.store.sqlite import SqliteStore
from flowrt.store.uniqueness import UniquenessFile
from flowrt.store.upgrades import FORMAT
from flowrt.transport.memory import MemoryNetwork
from tests.flowctl.conftest import Flowctl, expect


async def _open(config: Config) -> Node:
    made = assemble(config, party.passphrase_of(config, {}))
    store = SqliteStore(config.file(config.settings.store))
    return await Node.open(
        config.settings.name, store=store, network=MemoryNetwork(), **made.options(config)
    )


async def _act(node: Node, count: int = 1) -> None:
    for _ in range(count):
        await (await node.start(RecoverKeys_v1, pseudonyms=1)).result()


def _ended(path: Path) -> int:
    db = sqlite3.connect(path)
    [(count,)] = db.execute("SELECT count(*) FROM engine_outcome")
    db.close()
    return count


def test_a_party_is_backed_up_while_it_is_served_and_put_back(
    town: Path, flowctl: Flowctl, tmp_path: Path
) -> None:
    config = read(town / "alice", {})

    async def live() -> None:
        node = await _open(config)
        await _act(node, 3)
        code, out, err = await asyncio.to_thread(flowctl, "backup", "town/alice", "save")
        assert (code, err) == (0, "")
        expect("backup.txt", re.sub(r"\d{4}-\S+|\d+ commits", "…", out))
        await _act(node, 2)
        await node.close()

    asyncio.run(live())
    saved = {path.name for path in Path("save").iterdir()}
    assert saved == {
        "alice.db", "backup.json", "network.map", "node.toml", "party.keys", "root.pem", "tls.key",
        "tls.pem",
    }  # fmt: skip
    assert _ended(Path("save/alice.db")) == 3
    assert not [path for path in Path("save").iterdir() if path.stat().st_mode & 0o077]

    # Put in its place by hand it is recognised.
    shutil.copytree(town, tmp_path / "by-hand")
    shutil.copy("save/alice.db", "by-hand/alice/alice.db")
    by_hand = read(Path("by-hand/alice"), {})
    with pytest.raises(RestoredFromBackup):
        asyncio.run(_open(by_hand))
    backups.accept(by_hand)
    asyncio.run(_lives(by_hand))

    # Put in its place by `restore` it goes on, and what was there is kept.
    code, _, err = flowctl("restore", "town/alice")
    assert code == 2, err
    code, _, err = flowctl("restore", "town/alice", "save", "--yes")
    assert (code, err) == (0, "")
    assert _ended(Path("town/alice/alice.db")) == 3
    assert _ended(Path("town/alice/before-restore-1/alice.db")) == 5
    asyncio.run(_lives(config))

    # Where nothing is left, it is made anew.
    code, _, err = flowctl("restore", "anew", "save", "--yes")
    assert (code, err) == (0, "")
    shutil.copy("town/alice/passphrase", "anew/passphrase")
    asyncio.run(_lives(read(Path("anew"), {})))


async def _lives(config: Config) -> None:
    node = await _open(config)
    try:
        await _act(node)
    finally:
        await node.close()


def test_what_is_no_backup_is_not_put_back(town: Path, flowctl: Flowctl) -> None:
    config = read(town / "alice", {})
    backups.back_up(config, Path("save"))
    before = (town / "alice/alice.db").read_bytes()
    backups.back_up(read(town / "bob", {}), Path("bobs"))
    shutil.copytree("save", "spoilt")
    with open("spoilt/alice.db", "r+b") as file:
        file.seek(5000)
        file.write(b"spoilt")
    shutil.copytree("save", "other")
    Path("other/backup.json").write_text('{"format": "flowlang backup 9"}')
    shutil.copytree("save", "named")
    text = Path("named/backup.json").read_text()
    Path("named/backup.json").write_text(text.replace('"alice.db"', '"../save/alice.db"'))
    said = [
        flowctl("restore", "town/alice", name, "--yes")
        for name in ("gone", "bobs", "spoilt", "other", "named")
    ]
    assert [code for code, _, _ in said] == [1] * 5
    expect("no-backup.txt", "".join(err for _, _, err in said))
    assert (town / "alice/alice.db").read_bytes() == before


def test_a_notarys_old_book_is_not_put_back_unasked(town: Path) -> None:
    """What was used up since would be free again."""
    config = read(town / "notary", {})
    backups.back_up(config, Path("save"))
    book = town / "notary/book.db"
    with UniquenessFile(book, "notary").transaction() as entries:
        entries.use([b"since"], b"by")
    for end in ("-wal", "-shm"):
        Path(f"{book}{end}").unlink(missing_ok=True)
    newer = book.read_bytes()
    backups.put_back(Path("save"), config)
    assert book.read_bytes() == newer
    os.remove(book)
    with pytest.raises(Refused, match="old-book"):
        backups.put_back(Path("save"), config)
    with pytest.raises(Refused, match="old-book"):
        backups.put_anew(Path("save"), Path("anew"))
    backups.put_back(Path("save"), config, old_book=True)
    assert book.exists()


def test_a_copy_is_of_one_moment_though_others_write(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE pair (a INTEGER, b BLOB)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO pair VALUES (?, ?)", [(0, b"x" * 4000) for _ in range(6000)])
    db.execute("COMMIT")
    times = iter(range(1, 1_000))

    def write() -> None:
        db.execute("UPDATE pair SET a = ? WHERE rowid IN (1, 6000)", (next(times),))

    copy(path, tmp_path / "b.db", between=write)
    assert next(times) > 2
    made = sqlite3.connect(tmp_path / "b.db")
    assert made.execute("SELECT DISTINCT a FROM pair").fetchall() == [(0,)]
    made.close()
    db.close()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_an_older_store_is_upgraded_and_kept_aside(town: Path) -> None:
    piece = Path(__file__).parents[1] / "museum" / "pieces" / "0.1.0-format4"
    for path in (town / "alice").glob("alice.db*"):
        path.unlink()
    (town / "alice/alice.db").write_bytes(gzip.decompress((piece / "alice.db.gz").read_bytes()))
    before = (town / "alice/alice.db").read_bytes()
    config = read(town / "alice", {})
    found = look(town / "alice/alice.db")
    assert found.is_old
    told = process.keep_aside(config, found)
    assert told == (
        f"town/alice/alice.db is upgraded from format 4 to {FORMAT}; "
        "as it was it is kept as alice.db.format4"
    )
    assert look(town / "alice/alice.db.format4") == found
    assert (town / "alice/alice.db").read_bytes() == before
    assert process.keep_aside(config, found) == told  # Once more after a crash: kept already.


# --- keys -------------------------------------------------------------------------------------


def test_keys_are_rotated_and_the_network_follows(town: Path, flowctl: Flowctl) -> None:
    old = (town / "alice/tls.key").read_bytes(), (town / "alice/tls.pem").read_bytes()
    code, out, err = flowctl("keys", "rotate", town / "alice", "--network", town)
    assert (code, err) == (0, "")
    expect("rotated.txt", out)
    assert (town / "alice/tls.key").read_bytes() != old[0]
    assert (town / "alice/tls.pem").read_bytes() != old[1]
    operator = network.Operator(town, network.passphrase_in(town))
    identity = operator.map.certified("alice")
    assert identity is not None
    code, out, err = flowctl("keys", "rotate", town / "alice", "--identity", "--network", town)
    assert (code, err) == (0, "")
    operator = network.Operator(town, network.passphrase_in(town))
    certified = operator.map.certified("alice")
    assert certified is not None
    assert certified.key != identity.key
    assert flowctl("config", "check", town / "alice")[:2] == (
        0,
        "town/alice/node.toml: alice can be served\n",
    )
    asyncio.run(_lives(read(town / "alice", {})))
    code, _, err = flowctl("keys", "rotate", town / "notary", "--identity")
    assert code == 1
    assert "a notary's key is in every state that it watches over" in err


def test_who_is_in_the_network_vouches_for_his_request(town: Path, flowctl: Flowctl) -> None:
    config = read(town / "alice", {})
    request = rotation.rotate_tls(config, party.passphrase_of(config, {}))
    operator = network.Operator(town, network.passphrase_in(town))
    asked = party.read_request(request)
    assert operator.vouches(asked)
    text = request.read_text()
    for wrong in (
        text.replace('"alice"', '"bob"'),
        text.replace("127.0.0.1:7401", "127.0.0.1:6666"),
        text.replace('"format": "f', '"format": "g'),
        text[:-20],
        "{}",
        "[" * 5000,
    ):
        request.write_text(wrong)
        with pytest.raises(Refused):
            party.read_request(request)
    # Somebody's own request under alice's name is good, and not vouched for.
    secret = party.new_passphrase()
    party.create(Path("eve"), party.Party("alice", "127.0.0.1:1"), secret, keep_passphrase=True)
    assert not operator.vouches(party.read_request(Path("eve/certificate.request")))


def test_what_another_operator_gives_is_not_installed(town: Path, flowctl: Flowctl) -> None:
    network.create(Path("other"), ["alice"], ports=[1], http_ports=[2])
    before = (town / "alice/tls.pem").read_bytes()
    code, _, err = flowctl("keys", "install", town / "alice", Path("other/alice"))
    assert (code, err) == (
        1,
        "error: other/alice/root.pem: this is another network's root than ours; "
        "make sure of it with the operator; then remove the old one first\n",
    )
    code, _, err = flowctl("keys", "install", town / "alice", town / "bob")
    assert (code, err) == (
        1,
        "error: town/bob/tls.pem: it is the certificate of bob, not of alice\n",
    )
    assert flowctl("keys", "install", town / "alice", town / "operator")[0] == 0  # The root alone.
    assert (town / "alice/tls.pem").read_bytes() == before


def test_a_newcomer_is_admitted_and_removed(town: Path, flowctl: Flowctl) -> None:
    assert flowctl("init", "carol", "--name", "carol", "--listen", "127.0.0.1:7409")[0] == 0
    said = [
        flowctl("network", "admit", town, "carol/certificate.request", "--yes"),
        flowctl("keys", "install", "carol", town / "admitted" / "carol"),
        flowctl("config", "check", "carol"),
        flowctl("network", "show", town),
        flowctl("network", "remove", town, "carol"),
        flowctl("network", "remove", town, "carol"),
        flowctl("network", "publish", town),
    ]
    assert [code for code, _, _ in said] == [0, 0, 0, 0, 0, 1, 0]
    text = "".join(out + err for _, out, err in said)
    text = re.sub(r"01[0-9a-f]{20}", "KEY", text)
    expect("admitted.txt", re.sub(r"20\d\d-\d\d-\d\d", "DAY", text))
    assert (town / "bob/network.map").read_bytes() == (town / "network.map").read_bytes()


def test_a_party_without_a_ledger_has_a_certificate_alone(town: Path, flowctl: Flowctl) -> None:
    before = (town / "network.map").read_bytes()
    assert flowctl("init", "dave", "--name", "dave", "--no-ledger")[0] == 0
    code, out, _ = flowctl(
        "network", "admit", town, "dave/certificate.request", "--yes", "--into", "dave"
    )
    assert code == 0
    assert out.endswith("dave has no key on the ledger: list it under [peers] of its peers\n")
    assert (town / "network.map").read_bytes() == before
    code, out, err = flowctl("config", "check", "dave")
    assert (code, out) == (0, "dave/node.toml: dave can be served\n")
    assert "nobody can be reached; write [peers.bob] with an address" in err
