"""The rules of ARCHITECTURE.md and the style that a machine can check."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "flowlang": ROOT / "flowlang",
    "flowlang.grammar": ROOT / "grammar",
    "flowlang.examples": ROOT / "examples",
    "flowrt": ROOT / "runtime" / "flowrt",
}
SHELL = {"flowlang.cli", "flowlang.run", "flowlang.arguments", "flowlang.demo"}
SHELL |= {"flowlang.demo.trading"}
SHELL |= {f"flowlang.cli.{name}" for name in ("exhaust", "playing", "simulating", "worlds")}
SHELL |= {
    f"flowlang.testing.{name}"
    for name in ("mocks", "playing", "plugin", "tally", "values", "walking")
}
"""The compiler's modules that may know the runtime: they run and show flows."""

HOMES = {
    "lark": "flowlang.parser",
    "jinja2": "flowlang.codegen",
    "sqlite3": "flowrt.store",
    "hypothesis": "flowrt.testing",
}
SIDES = {
    "cronsim": {"flowlang.checker.schedules", "flowrt.schedules"},
    "click": {"flowlang.cli", "flowrt.cli"},
    "opentelemetry": {"flowrt.tracing", "flowrt.serving.traced"},
    "rich": {"flowlang.demo", "flowrt.cli.watching"},
}
"""What the compiler and the runtime each have one home for."""
CORE_MAY_IMPORT = {
    "__future__", "collections", "dataclasses", "datetime", "decimal", "enum", "functools",
    "hashlib", "hmac", "inspect", "math", "msgspec", "re", "sys", "types", "typing",
}  # fmt: skip
ROOMS = {
    # who: whom of the runtime it may import
    "flowrt.core": {"flowrt.core"},
    "flowrt.store": {"flowrt.core", "flowrt.store"},
    # Who a peer is, its certificate says.
    "flowrt.transport": {
        "flowrt.core", "flowrt.transport", "flowrt.ledger.identity", "flowrt.ledger.problems",
    },
    "flowrt.services": {"flowrt.core", "flowrt.store"},
    "flowrt.stdlib": {"flowrt.core", "flowrt.stdlib", "flowrt.ledger", "flowrt.finance"},
}  # fmt: skip
LEDGER_CORE = {
    f"flowrt.ledger.{name}"
    for name in (
        "problems", "keys", "merkle", "states", "signatures", "transactions", "filtered",
        "verifying", "builder", "reading", "amounts",
    )
}  # fmt: skip
CONTRACTS = {
    f"flowrt.finance.{name}" for name in ("groups", "cash", "paper", "obligation", "currencies")
}
"""Contracts compute as well; `desk` is the service beside them."""
"""What a transaction is, and whether it is right: computes, and knows no node, store or flow."""
LEDGER_CORE_MAY_IMPORT = {*LEDGER_CORE, "flowrt.core", "flowrt.stdlib.ledger.parts_flow"}

LIBRARY = ROOT / "runtime" / "flowrt" / "stdlib"
"""What is compiled from `flowlang/stdlib` is as long as it becomes."""
WORST_LINES = 700


def _modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if "templates" in parts or (package == "flowlang.examples" and len(parts) > 1):
                continue
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = _modules()


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            found.append(node.module)
    return tuple(found)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("name", MODULES)
def test_says_first_what_it_owns(name: str) -> None:
    doc = ast.get_docstring(ast.parse(MODULES[name].read_text()))
    assert doc, f"{name} does not open with the sentence that says what it owns"
    first = doc.split("\n\n")[0]
    assert first.endswith((".", ":")), f"{name}: {first}"


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_whom_it_may(name: str) -> None:
    imported = list(_imports(MODULES[name]))
    if name.startswith("flowrt"):
        assert not [i for i in imported if _within(i, "flowlang")]
    elif name not in SHELL:
        assert not [i for i in imported if _within(i, "flowrt")]
    for room, allowed in ROOMS.items():
        if _within(name, room):
            ours = [i for i in imported if _within(i, "flowrt")]
            assert not [i for i in ours if not any(_within(i, a) for a in allowed)]
    for dependency, home in HOMES.items():
        if not _within(name, home):
            assert not [i for i in imported if _within(i, dependency)], f"only {home} knows it"
    for dependency, homes in SIDES.items():
        if not any(_within(name, home) for home in homes):
            assert not [i for i in imported if _within(i, dependency)], f"only {homes} know it"


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_contracts_know_transactions_and_each_other(name: str) -> None:
    imported = list(_imports(MODULES[name]))
    may = {*LEDGER_CORE_MAY_IMPORT, *CONTRACTS}
    assert not [i for i in imported if _within(i, "flowrt") and not any(_within(i, m) for m in may)]
    assert not {i.partition(".")[0] for i in imported} - CORE_MAY_IMPORT - {"flowrt"}


@pytest.mark.parametrize("name", sorted(LEDGER_CORE))
def test_what_a_transaction_is_hangs_on_nothing_around_it(name: str) -> None:
    imported = [i for i in _imports(MODULES[name]) if i != "flowrt.ledger"]
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "flowrt.ledger":
            imported += [f"flowrt.ledger.{alias.name}" for alias in node.names]
    ours = [i for i in imported if _within(i, "flowrt")]
    assert not [i for i in ours if not any(_within(i, may) for may in LEDGER_CORE_MAY_IMPORT)]
    outside = {i.partition(".")[0] for i in imported} - {"flowrt"}
    allowed = CORE_MAY_IMPORT | {"bisect", "itertools"}
    # By chance are only salts of those who build without a node; keys alone know the cryptography.
    allowed |= {"flowrt.ledger.builder": {"secrets"}, "flowrt.ledger.keys": {"cryptography"}}.get(
        name, set()
    )
    assert outside <= allowed, outside - allowed


@pytest.mark.parametrize("name", [n for n in MODULES if _within(n, "flowrt.core")])
def test_the_core_only_computes(name: str) -> None:
    outside = {i.partition(".")[0] for i in _imports(MODULES[name])} - {"flowrt"}
    assert outside <= CORE_MAY_IMPORT
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in {"utcnow", "today", "urandom", "import_module"}
            receiver = ast.unparse(node.func.value)
            assert not (node.func.attr == "now" and receiver.startswith("datetime"))
        assert not (isinstance(node, ast.Name) and node.id in {"open", "print", "input"})


@pytest.mark.parametrize("name", MODULES)
def test_never_runs_data_and_stays_small(name: str) -> None:
    text = MODULES[name].read_text()
    tree = ast.parse(text)
    assert not set(_imports(MODULES[name])) & {"pickle", "marshal", "shelve", "yaml"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile"}
        if isinstance(node, ast.Assert) and _within(name, "flowrt.core"):
            isinstance_ = isinstance(node.test, ast.Call) or "is not None" in ast.unparse(node.test)
            assert isinstance_, (
                "an invariant stays on under -O; assert is only for the type checker"
            )
    lines = text.count("\n")
    made = MODULES[name].is_relative_to(LIBRARY)
    assert made or lines <= WORST_LINES, f"{name} has {lines} lines: find its seam"
    assert name.rpartition(".")[2] not in {"utils", "util", "common", "helpers", "models", "base"}


def _settings() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_folder_is_listed() -> None:
    folders = {
        ".".join((package, *path.parent.relative_to(folder).parts))
        for package, folder in PACKAGES.items()
        for path in folder.rglob("__init__.py")
        if "templates" not in path.parts
    }
    assert set(_settings()["packages"]) == folders


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names inside a wheel built from the files that git tracks, and new ones."""
    work = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            target = work / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(work)]
    subprocess.run([*command, str(work / "source")], check=True, capture_output=True)
    [built] = work.glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_the_wheel_holds_the_tree(wheel: set[str]) -> None:
    tracked = {
        "/".join((package.replace(".", "/"), *path.relative_to(folder).parts))
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and "editors" not in path.parts
        and (not path.name.endswith("_flow.py") or path.is_relative_to(LIBRARY))
        and path.suffix in {".py", ".lark", ".flow", ".sql", ".j2", ".md", ".txt", ".typed"}
    }
    inside = {name for name in wheel if ".dist-info/" not in name}
    inside -= {"flowlang/templates/new/gitignore"}
    assert inside == tracked


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import flowlang.cli", {"lark", "jinja2", "rich", "cryptography", "msgspec"}),
        ("import flowrt.node", {"lark", "jinja2", "rich", "cryptography", "click", "flowlang"}),
        ("import flowrt.testing.register", {"hypothesis", "flowrt.node", "flowlang"}),
        ("import flowrt.store.sqlite", {"lark", "jinja2", "rich", "click", "flowlang"}),
    ],
)
def test_slow_imports_wait(statement: str, absent: set[str]) -> None:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not absent & set(done.stdout.split())


def test_a_start_of_flowc_loads_no_runtime() -> None:
    """Of flowrt, only what both commands are made of."""
    code = "import sys; import flowlang.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name for name in done.stdout.split() if _within(name, "flowrt")}
    assert loaded == {"flowrt", "flowrt.cli", "flowrt.cli.group", "flowrt.cli.printing"}
