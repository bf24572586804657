"""A project's files: what is found, what is refused, what is never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowlang import project
from flowlang.project import Cache, FileTrouble, Project, sources_below, write_all

OURS = "# flowc: contract 1, module a\n"


def test_a_file_alone_is_a_project_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.flow").write_text("x")
    found = Project.around(tmp_path / "a.flow")
    assert found == Project(tmp_path, tmp_path)
    assert found.module_of(tmp_path / "a.flow") == "a"


def test_settings_say_where_sources_and_output_are(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.flowlang]\nsources = "in"\noutput = "out"\n')
    (tmp_path / "in" / "shop").mkdir(parents=True)
    path = tmp_path / "in" / "shop" / "orders.flow"
    path.write_text("x")
    found = Project.around(path)
    assert found == Project(tmp_path / "in", tmp_path / "out")
    assert found.module_of(path) == "shop.orders"
    assert found.modules()[:1] == ["shop.orders"]
    assert found.read("shop.orders") == b"x"
    assert found.read("shop.nothing") is None
    assert found.read("../pyproject") is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("[tool.flowlang\n", "this is not TOML"),
        ("[tool]\nflowlang = 3\n", "`tool.flowlang` must be a table"),
        ("[tool.flowlang]\nsources = 3\n", "`tool.flowlang.sources` must be a folder's name"),
        ('[tool.flowlang]\nsources = "../.."\n', "`tool.flowlang.sources` leads out"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, settings: str, says: str) -> None:
    (tmp_path / "pyproject.toml").write_text(settings)
    with pytest.raises(FileTrouble, match=says):
        Project.around(tmp_path / "a.flow")


@pytest.mark.parametrize(
    "name", ["Orders.flow", "my-orders.flow", "1a.flow", "_a.flow", "a b.flow"]
)
def test_a_file_that_nobody_could_use_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileTrouble, match="cannot be a module's name") as trouble:
        Project(tmp_path, tmp_path).module_of(tmp_path / name)
    assert trouble.value.code == "F703"


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble, match=r"not a \.flow file"):
        Project(tmp_path, tmp_path).module_of(tmp_path / "a.txt")


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.flow").write_text("x")
    (inside / "a.flow").symlink_to(tmp_path / "secret.flow")
    with pytest.raises(FileTrouble, match="leads out of the project"):
        Project(inside, inside).read("a")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble, match="cannot be read"):
        project.read(tmp_path)


def test_folders_mean_their_flow_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/c.flow", "a.flow", "a.txt"):
        (tmp_path / name).write_text("x")
    assert sources_below([tmp_path, tmp_path / "a.flow"]) == [
        tmp_path / "a.flow",
        tmp_path / "b" / "c.flow",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileTrouble, match=r"no \.flow file in this folder"):
        sources_below([tmp_path / "empty"])
    with pytest.raises(FileTrouble, match="no such file"):
        sources_below([tmp_path / "absent.flow"])


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a_flow.py"
    assert write_all({path: OURS}) == [path]
    assert write_all({path: OURS}) == []
    assert write_all({path: OURS + "x = 1\n"}) == [path]
    assert path.read_text() == OURS + "x = 1\n"
    assert [p.name for p in path.parent.iterdir()] == ["a_flow.py"]


def test_foreign_files_links_and_folders_are_left_alone(tmp_path: Path) -> None:
    foreign, link, folder = (tmp_path / name for name in ("foreign.py", "link.py", "folder.py"))
    foreign.write_text("mine = 1\n")
    link.symlink_to(foreign)
    folder.mkdir()
    fine = tmp_path / "a_flow.py"
    for path in (foreign, link, folder, foreign / "a_flow.py"):
        with pytest.raises(FileTrouble):
            write_all({fine: OURS, path: OURS})
        assert not fine.exists(), "all or none"
    assert foreign.read_text() == "mine = 1\n"


def test_a_failure_in_the_middle_leaves_no_scraps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowlang.project.os.replace", refuse)
    with pytest.raises(FileTrouble, match="No space left"):
        write_all({tmp_path / "a_flow.py": OURS})
    assert list(tmp_path.iterdir()) == []


def test_the_cache_answers_while_nothing_changes(tmp_path: Path) -> None:
    source = tmp_path / "a.flow"
    source.write_text("one")
    absent = tmp_path / "b.flow"
    cache = Cache(tmp_path / "cache")
    files = {str(path): project.file_digest(path) for path in (source, absent)}
    assert cache.answer("key") is None
    cache.keep("key", files, {"diagnostics": []})
    assert cache.answer("key") == {"diagnostics": []}
    assert cache.answer("other") is None
    absent.write_text("now it is there")
    assert cache.answer("key") is None
    absent.unlink()
    assert cache.answer("key") == {"diagnostics": []}
    source.write_text("two")
    assert cache.answer("key") is None


@pytest.mark.parametrize("rubbish", ["", "[]", "{}", '{"compiler": 1}', "\x00", '{"files": 3}'])
def test_a_spoiled_cache_is_ignored(tmp_path: Path, rubbish: str) -> None:
    cache = Cache(tmp_path)
    cache.keep("key", {}, {"fine": True})
    [stored] = tmp_path.iterdir()
    stored.write_text(rubbish)
    assert cache.answer("key") is None


def test_a_cache_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Cache(tmp_path / "file").keep("key", {}, {})
