"""`node.toml`: what is wrong is said with its place, every value shown with its origin."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.serving.config import read
from flowrt.serving.lines import lines_of
from flowrt.serving.troubles import Refused
from tests.flowctl.conftest import Flowctl, expect

WRONG = {
    "empty": "",
    "no-toml": 'name = "alice"\napps = [\n',
    "no-toml-line": 'name = "alice"\nname = "bob"\n',
    "misspelt": 'name = "alice"\nstroe = "x"\n[listn]\naddress = "127.0.0.1:1"\n',
    "misspelt-within": 'name = "alice"\n[tls]\nkye = "tls.key"\n[ledger]\nnotery = "validating"\n',
    "types": """
        name = 7
        apps = "trade"
        store = ["a"]
        [listen]
        address = 7401
        [limits]
        sessions = "many"
        window = 1.5
        [users.ann]
        roles = "admin"
        disabled = "no"
        expires = 2027
        """,
    "list-of": 'name = "alice"\napps = [\n  "a",  # one\n  2,\n]\n',
    "no-table": 'name = "alice"\nlisten = "127.0.0.1:7401"\npeers = ["bob"]\nservices.Desk = 3\n',
    "addresses": """
        name = "alice"
        [listen]
        address = "7401"
        [peers.bob]
        address = "bob"
        [peers.carol]
        address = "carol:99999"
        [http]
        listen = ":8401"
        """,
    "no-address": 'name = "alice"\n[peers.bob]\n',
    "limits": 'name = "alice"\n[limits]\nsessions = 0\n[wire]\nframe_s = -1\n',
    "choice": 'name = "alice"\n[ledger]\nnotary = "sleeping"\n',
    "ages": 'name = "alice"\n[retention]\nresults = "three months"\naudit = "-1d"\n',
    "token": 'name = "alice"\n[users.ann]\nroles = []\ntoken = "hunter2"\n',
    "python": 'name = "alice"\n[hospital]\npolicy = "os.system"\n[services.X]\nuse = "a b:c"\n',
    "notices": 'name = "alice"\nnotices.x = 1\n[notices.desk]\nuse = "a b:c"\nurl = "x"\n',
    "accepts": 'name = "alice"\n[accepts]\n"trade.Seller" = ["one"]\n"trade.Buyer" = 1\n',
    "blank": 'name = " "\nstore = ""\n',
    "quoted": 'name = "alice"\n[services."my.Desk"]\nuse = 1\n["users"."ann@x"]\nrole = ["a"]\n',
    "inline": 'name = "alice"\npeers = { bob = { adress = "127.0.0.1:1" } }\n',
    "multiline": 'name = "a"\nstore = """\n a\n"""\n[tls]\nkey = \'\'\'\n[x]\n\'\'\'\nrot = 1\n',
    "deep": "a = " + "[" * 2000 + "]" * 2000 + '\nname = "alice"\n',
}


def _said(text: str, environment: dict[str, str] | None = None) -> str:
    Path("node.toml").write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")
    with pytest.raises(Refused) as refused:
        read(Path("node.toml"), environment or {})
    return f"{refused.value}\n"


def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expect("wrong.txt", "\n".join(f"--- {name}\n{_said(text)}" for name, text in WRONG.items()))


def test_a_wrong_environment_is_said_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'name = "alice"\n[listen]\naddress = "127.0.0.1:7401"\n'
    environment = {
        "FLOWRT_LISTEN_ADDRESS": "nowhere",
        "FLOWRT_LIMITS_SESSIONS": "many",
        "FLOWRT_LEDGER_NOTARY": "yes",
    }
    expect("environment.txt", _said(text, environment))


def test_files_that_are_none(
    tmp_path: Path, flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("latin.toml").write_bytes('name = "alice"\n# é\n'.encode("latin-1"))
    Path("long.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    Path("folder").mkdir()
    said = [
        flowctl("config", "show", name) for name in ("gone", "folder", "latin.toml", "long.toml")
    ]
    assert [code for code, _, _ in said] == [1, 1, 1, 1]
    expect("files.txt", "".join(err for _, _, err in said))


def test_every_value_is_shown_with_where_it_is_from(
    flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWRT_LISTEN_ADDRESS", "0.0.0.0:9000")
    monkeypatch.setenv("FLOWRT_RETENTION_RESULTS", "90d")
    monkeypatch.setenv("FLOWRT_APPS", "loan, purchase")
    monkeypatch.setenv("FLOWRT_PASSPHRASE", "canary-passphrase")
    Path("node.toml").write_text(
        textwrap.dedent(f"""\
        name = "alice"
        store = "alice.db"
        [listen]
        address = "127.0.0.1:7401"
        [services.Mail]
        use = "shop.mail:Mail"
        host = "mail.example"
        password = "canary-password"
        login = {{ user = "me", api_key = "canary-inner" }}
        [notices.desk]
        use = "shop.desk:Desk"
        token = "canary-token"
        to = {{ ann = "ann@bank.example", secret = "canary-notice" }}
        [users.ann]
        token = "sha256:{"0" * 64}"
        roles = ["viewer"]
        expires = 2027-01-01
        """)
    )
    code, out, err = flowctl("config", "show")
    assert (code, err) == (0, "")
    assert "canary" not in out
    assert "0" * 64 not in out
    shown = [line for line in out.splitlines() if not line.startswith(("limits.", "wire."))]
    expect("shown.txt", "\n".join(shown) + "\n")
    code, out, _ = flowctl("config", "show", "--json")
    assert code == 0
    assert "canary" not in out


def test_what_means_nothing_in_the_environment_is_warned_of(
    town: Path, flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49: what makes a node crash in tests does nothing, and says so."""
    monkeypatch.setenv("FLOWRT_LISTEN_ADRESS", "127.0.0.1:1")
    monkeypatch.setenv("FLOW_CRASH_AT", "commit:1")
    code, out, err = flowctl("config", "check", town / "alice")
    assert code == 0
    expect("passed-over.txt", out + err)


def test_a_variable_gives_a_table_that_the_file_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('name = "alice"\n')
    assert read(path, {}).settings.http is None
    found = read(path, {"FLOWRT_HTTP_LISTEN": "127.0.0.1:8400", "FLOWRT_LIMITS_SESSIONS": "3"})
    assert found.settings.http is not None
    assert found.settings.limits.sessions == 3


NAMES = st.text("abc.\"' \\é#=[]", min_size=1, max_size=5)
VALUES = st.one_of(
    st.integers(0, 9).map(str),
    st.text("ab#=[]{}'", max_size=5).map(lambda text: f'"{text}"'),
    st.lists(st.integers(0, 9), max_size=3).map(lambda n: "[\n" + ",\n".join(map(str, n)) + "\n]"),
    st.text("a[]=#\n\\", max_size=6).map(lambda text: f"'''\n{text}\n'''"),
)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=4), max_size=4))
def test_keys_are_found_where_they_stand(tables: dict[str, dict[str, str]]) -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines: list[str] = []
    wanted = {}
    for table, keys in tables.items():
        lines += ["# a comment [x] = 1", f"[{quoted(table)}]  # more"]
        wanted[(table,)] = len(lines)
        for key, value in keys.items():
            wanted[table, key] = len(lines) + 1
            lines += f"{quoted(key)} = {value}  # [".split("\n")
    assert lines_of("\n".join(lines)) == wanted
