"""Making parties, and all that keeps one from being served: said with the remedy, nothing begun."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowrt.ledger.identity.keystore import KeyStore
from flowrt.serving import checks, files, network, party, process
from flowrt.serving.config import read
from flowrt.serving.troubles import Refused
from flowrt.store.sqlite import SqliteStore
from flowrt.store.uniqueness import UniquenessFile
from tests.flowctl.conftest import Flowctl, expect

MUSEUM = Path(__file__).parents[1] / "museum" / "pieces"


# --- init and network new ---------------------------------------------------------------------


def test_a_party_is_made_private_and_says_what_to_do(flowctl: Flowctl, tmp_path: Path) -> None:
    code, out, err = flowctl("init", "bank", "--name", "O=Bank A, L=London, C=GB")
    assert (code, err) == (0, "")
    expect("init.txt", re.sub(r"\b[0-9a-f]{8}\b", "01234567", out))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("bank").iterdir()}
    open_ = {name for name, mode in modes.items() if mode & 0o077}
    assert open_ == {"node.toml", "certificate.request"}
    assert stat.S_IMODE(Path("bank").stat().st_mode) == 0o700
    assert {"passphrase", "party.keys", "tls.key", "bank-a.db"} <= set(modes)
    code, out, err = flowctl("config", "check", "bank")
    assert (code, out) == (1, "")
    expect("uncertified.txt", err)


def test_a_passphrase_of_ones_own_is_kept_nowhere(
    flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(party, "COST", 2**4)  # What it costs is the key store's to test.
    monkeypatch.setenv("FLOWRT_PASSPHRASE", "canary-in-a-mine")
    code, out, err = flowctl("init", "alice", "--name", "alice", "--no-ledger")
    assert code == 0
    for path in Path("alice").iterdir():
        assert b"canary-in-a-mine" not in path.read_bytes()
    assert "canary" not in out + err
    assert not (Path("alice") / "passphrase").exists()
    key = Path("alice/tls.key")
    assert party.tls_key(key.read_bytes(), "canary-in-a-mine", "alice", key)
    with pytest.raises(Refused, match="another passphrase"):
        party.tls_key(key.read_bytes(), "canary-in-a-mind", "alice", key)
    monkeypatch.setenv("FLOWRT_PASSPHRASE", "short")
    assert flowctl("init", "bob", "--name", "bob")[0] == 1
    assert not Path("bob").exists()


@pytest.mark.parametrize("there", ["folder", "empty", "file", "link"])
def test_nothing_that_is_there_is_written_over(flowctl: Flowctl, there: str) -> None:
    place = Path("alice")
    if there == "folder":
        place.mkdir()
        (place / "alice.db").write_text("mine")
    elif there == "empty":
        place.mkdir()
    elif there == "file":
        place.write_text("mine")
    else:
        place.symlink_to("nowhere")
    before = sorted(Path().rglob("*"))
    for arguments in (
        ("init", "alice", "--name", "alice"),
        ("network", "new", "alice", "--parties", "a"),
    ):
        code, out, err = flowctl(*arguments)
        assert (code, out) == (1, "")
        assert err == "error: alice: it is there already; name a folder that is not there yet\n"
    assert sorted(Path().rglob("*")) == before


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever write or rename it happens at."""
    real, left = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "alice"
    made = party.Party("alice", "127.0.0.1:7400")
    secret = party.new_passphrase()
    for count in range(1, 100):
        left[0] = count
        try:
            party.create(folder, made, secret, keep_passphrase=True)
        except KeyboardInterrupt:
            if not folder.exists():  # The last of all makes the name durable that is there.
                assert list(tmp_path.iterdir()) == []
                continue
        break
    assert count > 5
    names = {path.name for path in folder.iterdir()}
    assert {"node.toml", "tls.key", "party.keys", "passphrase", "alice.db"} <= names
    assert KeyStore.open(folder / "party.keys", secret)


@pytest.mark.parametrize(
    ("names", "notary"),
    [
        (["alice", "alice"], None),
        (["alice", "al1ce"], None),
        (["O=A b, C=GB", "O=A-b, C=GB"], None),
        (["operator"], None),
        (["alice"], "bob"),
        ([" "], None),
        (["álice"], None),
    ],
)
def test_names_that_will_not_do(names: list[str], notary: str | None, tmp_path: Path) -> None:
    ports = list(range(7401, 7401 + len(names)))
    with pytest.raises(Refused):
        network.create(tmp_path / "town", names, notary=notary, ports=ports, http_ports=ports)
    assert list(tmp_path.iterdir()) == []


# --- what keeps a party from being served -----------------------------------------------------


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _certify(town: Path, name: str, days: int, to: str | None = None) -> None:
    """A certificate for a party's key, which is good for so many days; `to` somebody else."""
    operator = network.Operator(town, network.passphrase_in(town))
    request = party.read_request(town / name / party.REQUEST)
    assert request.tls is not None
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    since, until = now - datetime.timedelta(minutes=30), now + datetime.timedelta(days=days)
    if days < 0:
        since, until = now - datetime.timedelta(minutes=30), now - datetime.timedelta(minutes=1)
    chain = operator._root.certify(to or name, request.tls, since, until, network.Usage.TLS)
    (town / name / "tls.pem").write_bytes(b"".join(map(network._pem, chain)))


def _other_store(town: Path) -> None:
    store = SqliteStore(town / "carol.db")
    store.open("carol")
    store.close()
    _edit(town / "alice/node.toml", "alice.db", "../carol.db")


def _foreign_database(town: Path) -> None:
    with sqlite3.connect(town / "alice/photos.db") as db:
        db.execute("CREATE TABLE photos (name TEXT)")
    db.close()
    _edit(town / "alice/node.toml", "alice.db", "photos.db")


def _newer_store(town: Path) -> None:
    with sqlite3.connect(town / "alice/alice.db") as db:
        db.execute("UPDATE engine_node SET format = 99")
    db.close()


def _later(town: Path, days: int = 400) -> None:
    """The last commit was made by a clock that was far ahead of ours."""
    at = int((time.time() + days * 86_400) * 1e6)
    with sqlite3.connect(town / "alice/alice.db") as db:
        db.execute(
            "INSERT INTO engine_audit (at, entries, digest) VALUES (?, x'', x'')",
            (at - at % 1_000_000,),
        )
    db.close()


def _book(town: Path) -> None:
    os.remove(town / "notary/book.db")
    UniquenessFile(town / "notary/book.db", "somebody").close()


def _shop(town: Path, text: str, module: str) -> None:
    (town / "python").mkdir()
    (town / "python" / f"{module}.py").write_text(text)
    _edit(town / "alice/node.toml", "apps = []", f'path = ["../python"]\napps = ["{module}:app"]')


def _toml(old: str, new: str, who: str = "alice") -> Callable[[Path], None]:
    return lambda town: _edit(town / who / "node.toml", old, new)


def _more(text: str, who: str = "alice") -> Callable[[Path], None]:
    return lambda town: _edit(
        town / who / "node.toml", "\n[users.admin]", f"\n{text}\n[users.admin]"
    )


NOTICES = """
[notices."a b"]
use = "flowrt.notices.webhook:Webhook"
[notices.none]
url = "https://desk.example/"
[notices.counter]
use = "collections:Counter"
[notices.gone]
use = "flowrt.notices.webhok:Webhook"
[notices.misspelt]
use = "flowrt.notices.webhook:Webhook"
ulr = "https://desk.example/"
[notices.inside]
use = "flowrt.notices.webhook:Webhook"
url = "https://desk.example/"
hosts = ["other.example"]
key_file = "desk.key"
[notices.key]
use = "flowrt.notices.webhook:Webhook"
url = "https://desk.example/"
hosts = ["desk.example"]
key_file = "desk.key"
[notices.clear]
use = "flowrt.notices.mail:Mail"
server = "mail.example:25"
security = "none"
sender = "alice@bank.example"
url = "https://desk.example"
to = { admin = "ann@bank.example" }
[notices.mail]
use = "flowrt.notices.mail:Mail"
server = "mail.example:587"
sender = "alice@bank.example"
url = "https://desk.example"
[notices.mail.to]
admin = "ann@bank.example"
admim = "ann@bank.example"
"""


def _open_key(town: Path) -> None:
    (town / "alice/desk.key").write_text("k" * 64)
    (town / "alice/desk.key").chmod(0o644)


REFUSED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "key that others may read": ("alice", lambda t: os.chmod(t / "alice/tls.key", 0o640)),
    "keys that others may read": ("alice", lambda t: os.chmod(t / "alice/party.keys", 0o604)),
    "passphrase that others may read": ("alice", lambda t: os.chmod(t / "alice/passphrase", 0o644)),
    "no passphrase": ("alice", lambda t: os.remove(t / "alice/passphrase")),
    "wrong passphrase": ("alice", lambda t: (t / "alice/passphrase").write_text("a" * 64)),
    "key is gone": ("alice", lambda t: os.remove(t / "alice/tls.key")),
    "certificate of another": ("alice", lambda t: _certify(t, "alice", 300, "bob")),
    "certificate over another key": (
        "alice",
        lambda t: shutil.copy(t / "bob/tls.pem", t / "alice/tls.pem"),
    ),
    "certificate is none": ("alice", lambda t: (t / "alice/tls.pem").write_text("tls")),
    "certificate is over": ("alice", lambda t: _certify(t, "alice", -1)),
    "root of another": (
        "alice",
        lambda t: (
            network.create(t / "x", ["a"], ports=[1], http_ports=[2])
            and shutil.copy(t / "x/a/root.pem", t / "alice/root.pem")
        ),
    ),
    "map is none": ("alice", lambda t: (t / "alice/network.map").write_bytes(b"map")),
    "map does not have us": (
        "alice",
        lambda t: (
            network.Operator(t, network.passphrase_in(t)).remove("alice")
            or shutil.copy(t / "network.map", t / "alice/network.map")
        ),
    ),
    "keys of another": (
        "alice",
        lambda t: KeyStore.new().save(
            t / "alice/party.keys", (t / "alice/passphrase").read_text().strip(), cost=2**4
        ),
    ),
    "a notary by itself alone": ("alice", _toml("[ledger]\n", '[ledger]\nnotary = "validating"\n')),
    "a notary by the map alone": ("notary", _toml('notary = "validating"\n', "", "notary")),
    "another kind of notary": ("notary", _toml('"validating"', '"non-validating"', "notary")),
    "book of another": ("notary", _book),
    "book is gone": ("notary", lambda t: os.remove(t / "notary/book.db")),
    "book is the store": ("notary", _toml('book = "book.db"', 'book = "notary.db"', "notary")),
    "http in the clear": ("alice", _toml("127.0.0.1:8401", "0.0.0.0:8401")),
    "roles and users": (
        "alice",
        _more(
            '[roles.admin]\nmay = []\n[roles.clerk]\nmay = ["strat *", "view"]\n'
            '[users.ann]\nroles = ["clark"]\n[users.bob]\nroles = []\ncertificate = "CN=bob"\n'
        ),
    ),
    "no such app": ("alice", _toml("apps = []", 'apps = ["lone", "shop:app", "os:sep"]')),
    "app that does not load": (
        "alice",
        lambda t: _shop(t, "import json\n\n1 / 0\n", "corner_shop"),
    ),
    "app that needs more": ("alice", lambda t: _shop(t, "import no_such_thing\n", "side_shop")),
    "python that others may write": (
        "alice",
        lambda t: (_shop(t, "", "open_shop"), os.chmod(t / "python", 0o777)),
    ),
    "services": (
        "alice",
        lambda t: (
            _toml("apps = []", 'apps = ["loan"]')(t),
            _more(
                "[services.Treasurry]\nunits = 1\n[services.Treasury]\nunit = 3\n"
                '[services."ledger.keys.Keys"]\nuse = "os:sep"\n'
            )(t),
        ),
    ),
    "service that does not fit": (
        "alice",
        lambda t: (
            _toml("apps = []", 'apps = ["loan"]')(t),
            _more('[services.Treasury]\nuse = "collections:Counter"\n')(t),
        ),
    ),
    "responders and versions": (
        "alice",
        _more(
            '[responders]\n"loan.Lend" = "os:sep"\n"x" = "no_such:Flow"\n'
            '[accepts]\n"ledger.finalty" = [1]\n[hospital]\npolicy = "os:no_such"\n'
        ),
    ),
    "notices": ("alice", lambda t: (_more(NOTICES)(t), _open_key(t))),
    "notices without an interface": (
        "alice",
        lambda t: (
            _toml('[http]\nlisten = "127.0.0.1:8401"\n', "")(t),
            _more(
                '[notices.mail]\nuse = "flowrt.notices.mail:Mail"\nserver = "mail.example:587"\n'
                'sender = "a@b.example"\nto = { admin = "a@b.example" }\nurl = "https://x"\n'
            )(t),
        ),
    ),
    "peers": (
        "alice",
        _more('[peers.alice]\naddress = "127.0.0.1:1"\n[peers.b]\naddress = "x y:1"\n'),
    ),
    # R50, R52: stores
    "store of another party": ("alice", _other_store),
    "store is a folder": ("alice", _toml('"alice.db"', '"../alice"')),
    "store is another program's": ("alice", _foreign_database),
    "store is no database": ("alice", lambda t: (t / "alice/alice.db").write_text("photos" * 999)),
    "store is a notary's book": (
        "notary",
        lambda t: (
            UniquenessFile(t / "notary/old.db", "notary").close(),
            _toml('"notary.db"', '"old.db"', "notary")(t),
        ),
    ),
    "store is newer": ("alice", _newer_store),
    "store is gone": ("alice", lambda t: [os.remove(p) for p in (t / "alice").glob("alice.db*")]),
    "store is gone, its mark is there": ("alice", lambda t: os.remove(t / "alice/alice.db")),
    "store in no folder": ("alice", _toml('"alice.db"', '"stores/alice.db"')),
    "clock went back a year": ("alice", _later),
}


def test_what_keeps_a_party_from_being_served(
    made: Path, flowctl: Flowctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R50, R52, and whatever else is insecure or does not fit: exit code 1, the remedy, and nothing
    in the folder is another than before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(made.parent / "cache"))
    said = []
    for number, (name, (who, spoil)) in enumerate(REFUSED.items()):
        place = tmp_path / str(number)
        place.mkdir()
        shutil.copytree(made, place / "town")
        monkeypatch.chdir(place)
        spoil(Path("town"))
        before = _state(Path("town"))
        code, out, err = _run(flowctl, "up", Path("town") / who)
        assert (code, out) == (1, ""), name
        assert _state(Path("town")) == before, name
        said.append(f"--- {name}\n{err}")
    text = re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?(Z|\+00:00)", "TIME", "\n".join(said))
    expect("refused.txt", text.replace(str(tmp_path), "TMP"))


def _run(flowctl: Flowctl, *arguments: object) -> tuple[int, str, str]:
    here = os.getcwd()
    try:
        return flowctl(*arguments)
    finally:
        os.chdir(here)


def _state(folder: Path) -> dict[str, object]:
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        # SQLite's shared memory comes and goes with who looks.
        if not path.name.endswith(("-shm", "-wal", ".lock", ".pyc", "__pycache__"))
    }


def test_a_store_on_a_disk_that_is_read_only(
    town: Path, flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R50. The tests' user may write to everything, so the disk is said to be what it would be."""
    real = os.statvfs

    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(
        os, "statvfs", lambda path: ReadOnly() if Path(path).name == "alice" else real(path)
    )
    code, _, err = flowctl("config", "check", "town/alice")
    assert code == 1
    assert "town/alice/alice.db cannot be written: the disk is read-only, or not ours" in err


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "ext4"), ("/data/a.db", "nfs4"), ("/data/local/a.db", "xfs"), ("/my disk/a", "cifs")],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    """R50: a store on NFS is refused; what a path is on, Linux says so."""
    mounts = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:40 / /data rw shared:2 master:1 - nfs4 server:/data rw
23 22 8:2 / /data/local rw - xfs /dev/sdb rw
24 21 0:41 / /my\\040disk rw - cifs //server/disk rw
nonsense
"""
    assert checks.file_system(Path(path), mounts) == kind
    assert (kind in checks.REMOTE) == (kind in {"nfs4", "cifs"})


def test_what_is_warned_of(town: Path, flowctl: Flowctl) -> None:
    _certify(town, "alice", 3)
    _edit(town / "alice/node.toml", "127.0.0.1:7401", "127.0.0.1:7999")
    _edit(town / "alice/node.toml", "[users.admin]\n", "[users.admin]\ndisabled = true\n")
    os.chmod(town / "alice/alice.db", 0o644)
    code, out, err = flowctl("config", "check", town / "alice")
    assert code == 0
    expect("warned.txt", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\dZ", "TIME", out + err))


def test_a_clock_that_is_right_is_accepted(town: Path) -> None:
    """R52, the other way round: the clock was ahead, and has been set right."""
    _later(town)
    config = read(town / "alice", {})
    assert process.inspected(config)[0] is None
    assert process.inspected(config, accept_clock=True)[0] is not None


def test_a_party_is_served_once(town: Path, flowctl: Flowctl) -> None:
    with files.locked(town / "alice"):
        assert files.holder(town / "alice") == os.getpid()
        code, _, err = flowctl("up", town / "alice")
    assert code == 1
    remedy = "end it first (SIGTERM)"
    assert err == f"error: town/alice: process {os.getpid()} has this party; {remedy}\n"
    assert files.holder(town / "alice") is None


# --- users ------------------------------------------------------------------------------------


def test_users_are_added_disabled_and_listed(town: Path, flowctl: Flowctl) -> None:
    text = (town / "alice/node.toml").read_text()
    code, token, err = flowctl(
        "user", "add", "ann", "--at", town / "alice", "--role", "viewer", "--expires", "2099-01-01"
    )
    assert (code, err) == (0, "")
    after = (town / "alice/node.toml").read_text()
    assert after.startswith(text)
    assert token.strip() not in after
    assert flowctl("user", "add", "ann", "--at", town / "alice", "--role", "viewer")[0] == 1
    assert flowctl("user", "add", "eve", "--at", town / "alice", "--role", "vewer")[0] == 1
    assert flowctl("user", "add", "e\nve", "--at", town / "alice", "--role", "viewer")[0] == 1
    assert (town / "alice/node.toml").read_text() == after
    assert flowctl("user", "disable", "ann", "--at", town / "alice")[0] == 0
    assert flowctl("user", "disable", "admin", "--at", town / "alice")[0] == 0
    assert flowctl("user", "enable", "admin", "--at", town / "alice")[0] == 0
    code, out, err = flowctl("user", "list", town / "alice")
    assert (code, err) == (0, "")
    expect("users.txt", out)
    found = read(town / "alice", {}).settings.users
    assert found["ann"].disabled
    assert not found["admin"].disabled
