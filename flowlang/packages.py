"""Installed packages that bring `.flow` modules: which there are, and in which folders.

A package names them in the entry point group `flowlang.modules`: the entry's name is the first part
of its modules' names, its value the Python package in whose folder the files are. No package is
imported to find this out.
"""

from __future__ import annotations

import dataclasses
import importlib.machinery
import importlib.metadata
import re
import sys
from collections.abc import Iterable
from pathlib import Path

GROUP = "flowlang.modules"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Package:
    """`name` is what its modules' names begin with, `imported` how Python imports the folder;
    `folder` is None where there is no such folder."""

    name: str
    imported: str
    folder: Path | None

    @property
    def brings_python(self) -> bool:
        """Whether its modules' Python would be imported from the package itself: a name of modules
        that is the package's own name leaves no other place for them."""
        return self.name == self.imported


def installed() -> dict[str, Package]:
    """The packages by the first part of their modules' names; the first one found of a name."""
    found: dict[str, Package] = {}
    for entry in entries():
        if _NAME.fullmatch(entry.name) and entry.name not in found:
            found[entry.name] = Package(entry.name, entry.value, _folder(entry.value))
    return found


def entries() -> Iterable[importlib.metadata.EntryPoint]:
    """What the packages around flowc say."""
    return importlib.metadata.entry_points(group=GROUP)


def _folder(imported: str) -> Path | None:
    """Where Python would find a package."""
    folders = list(sys.path)
    for part in imported.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, folders)
        if spec is None or not spec.submodule_search_locations:
            return None
        folders = list(spec.submodule_search_locations)
    return Path(folders[0]).resolve()
