"""An example's modules, compiled into a folder of their own and imported. Knows no example.

Beside this file are two that only tests and pages have: small_trade and small_channel do without
a ledger, so that all of a conversation is in one file.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from flowlang import standard
from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = Path(__file__).parent


def folder_of(example: str) -> Path:
    """Where the example is: among those for users, or those of the tests."""
    return (SMALL if example.startswith("small_") else EXAMPLES) / example


@contextlib.contextmanager
def loaded(example: str, module: str, folder: Path) -> Iterator[SimpleNamespace]:
    """The example's Python modules by name, `flow` being what became of `module`; copied to
    `folder`, so that nothing is written beside the sources."""
    texts = {path.stem: path.read_text("utf-8") for path in folder_of(example).glob("*.flow")}
    sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}
    made = compile_modules(
        [module], lambda name: sources.get(name) or _library(name), lambda: sources
    )
    assert not made.diagnostics, "".join(as_text(one, made.sources) for one in made.diagnostics)
    for name, compiled in made.modules.items():
        if name not in texts:
            continue
        (folder / f"{name}_flow.py").write_text(generate(compiled), "utf-8")
    own = [path for path in folder_of(example).glob("*.py") if not path.stem.endswith("_flow")]
    for path in own:
        (folder / path.name).write_text(path.read_text("utf-8"), "utf-8")
    sys.path.insert(0, str(folder))
    names = [path.stem for path in folder.glob("*.py")]
    # Another example, loaded by who knows whom, may have modules of these names.
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        found = {name: importlib.import_module(name) for name in names}
        yield SimpleNamespace(flow=found[f"{module}_flow"], folder=folder, **found)
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(others)


def _library(name: str) -> Source | None:
    path = standard.text_of(name)
    return Source(str(path), name, path.read_text("utf-8")) if path and path.is_file() else None
