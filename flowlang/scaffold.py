"""`flowc new`: a small project that checks, compiles and passes its own test. Only copies."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from flowlang.project import FileTrouble, shown

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_OURS = {"flowlang", "flowrt"}
_PYTHONS = sys.stdlib_module_names | {"test"}  # Its own tests, which that list leaves out.


def create(name: str) -> Path:
    """Make the project `name` in the current folder, whole or not at all; returns its path.

    Raises:
        FileTrouble: the name cannot be a project's, or something of that name exists.
    """
    _refuse(name)
    folder = Path(name)
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


def _refuse(name: str) -> None:
    """Whatever is no name, and names under which Python would find the project instead of what it
    needs itself, or could not import it."""
    if not _NAME.fullmatch(name):
        raise FileTrouble(
            "F709",
            name,
            f"`{name}` cannot be a project's name",
            "a name begins with a letter; then letters, digits, `-` and `_` follow; the project is"
            " made in this folder",
        )
    module = name.replace("-", "_").lower()
    if keyword.iskeyword(module) or module in ("none", "true", "false"):
        what = "is a word of Python"
    elif module in _PYTHONS:
        what = "is a module that comes with Python"
    elif module in _OURS:
        what = "is a module that flows need"
    else:
        return
    raise FileTrouble(
        "F709",
        name,
        f"`{name}` cannot be a project's name: `{module}` {what}",
        f"choose another name, such as `my_{module}`",
    )


def _fill_in(made: Path, name: str) -> None:
    for template in made.glob("*.txt"):
        # Only the name is filled in, and it cannot hold a quote: no template language is needed.
        text = template.read_text().replace("{{ name }}", name)
        template.with_suffix("").write_text(text)
        template.unlink()
    (made / "gitignore").rename(made / ".gitignore")
