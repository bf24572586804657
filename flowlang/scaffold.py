"""`flowc new`: a small project that checks, compiles and passes its own test. Only copies."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from flowlang.project import FileTrouble, shown

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def create(folder: Path) -> Path:
    """Make the project `folder`, whole or not at all; returns its path.

    Raises:
        FileTrouble: the name cannot be a project's, or something of that name exists.
    """
    if not _NAME.fullmatch(folder.name):
        raise FileTrouble(
            "F709",
            shown(folder),
            f"`{folder.name}` cannot be a project's name",
            "a name begins with a letter; then letters, digits, `-` and `_` follow",
        )
    if folder.exists() or folder.is_symlink():
        raise FileTrouble("F709", shown(folder), "this exists already", "choose another name")
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".flowc-") as work:
            made = Path(work) / "project"
            with as_file(files("flowlang").joinpath("templates", "new")) as template:
                # An installer may have compiled the Python files where they lie.
                shutil.copytree(template, made, ignore=shutil.ignore_patterns("__pycache__"))
            _fill_in(made, folder.name)
            made.rename(folder)
    except OSError as error:
        raise FileTrouble(
            "F706", shown(folder.parent), f"cannot write here: {error.strerror or error}"
        ) from None
    return folder


def _fill_in(made: Path, name: str) -> None:
    for template in made.glob("*.txt"):
        # Only the name is filled in, and it cannot hold a quote: no template language is needed.
        text = template.read_text().replace("{{ name }}", name)
        template.with_suffix("").write_text(text)
        template.unlink()
    (made / "gitignore").rename(made / ".gitignore")
