"""Examples that ship with the package, as package data; a node can run them as apps.

An author's own app is a package with what `flowc compile` made in it. Here it is made when it is
first asked for, into the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
from pathlib import Path

HOME = Path(__file__).parent


class NotCompiled(Exception):
    """An example that cannot be compiled or kept; says why."""


def compiled(name: str) -> Path:
    """Let an example's modules be imported, compiled; the folder with them. Done once for each
    state of its files and of the compiler. Raises NotCompiled."""
    from flowlang.project import compiler_digest

    own = [path for end in ("flow", "py") for path in sorted((HOME / name).glob(f"*.{end}"))]
    own = [path for path in own if not path.stem.endswith("_flow")]
    digest = hashlib.sha256(compiler_digest().encode())
    for path in own:
        digest.update(b"\x00".join([path.name.encode(), path.read_bytes()]))
    cache = os.environ.get("XDG_CACHE_HOME")
    home = (Path(cache) if cache else Path.home() / ".cache") / "flowlang" / "examples"
    folder = home / f"{name}-{digest.hexdigest()[:16]}"
    try:
        if not folder.is_dir():
            _make(own, folder)
        found = folder.stat()
    except OSError as error:
        raise NotCompiled(f"{folder} cannot be written: {error.strerror}") from None
    # What is imported from here is run with all that the node has.
    if found.st_mode & 0o022 or found.st_uid not in (os.geteuid(), 0):
        raise NotCompiled(f"others may write to {folder}: remove it")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


def _make(own: list[Path], folder: Path) -> None:
    from flowlang import standard
    from flowlang.codegen import generate
    from flowlang.compiler import compile_modules
    from flowlang.diagnostics import as_text
    from flowlang.source import Source

    texts = {path.stem: path.read_text("utf-8") for path in own if path.suffix == ".flow"}
    sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}

    def find(name: str) -> Source | None:
        path = standard.text_of(name)
        if name in sources or path is None or not path.is_file():
            return sources.get(name)
        return Source(str(path), name, path.read_text("utf-8"))

    made = compile_modules(sorted(texts), find, lambda: sources)
    if made.diagnostics:
        raise NotCompiled("".join(as_text(one, made.sources) for one in made.diagnostics))
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    aside.mkdir(mode=0o700)
    try:
        for name in texts:
            (aside / f"{name}_flow.py").write_text(generate(made.modules[name]), "utf-8")
        for path in own:
            if path.suffix == ".py":
                (aside / path.name).write_text(path.read_text("utf-8"), "utf-8")
        # Several nodes may do this at one time: whoever comes second finds it done.
        try:
            os.rename(aside, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
