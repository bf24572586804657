"""What notifiers are given in `node.toml`: how one refuses a key, and files that are secret; and
how one says that a notice was not taken. Knows no notifier.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """Where the files are that are named, and whose they are."""

    @property
    def party(self) -> str: ...
    @property
    def folder(self) -> Path: ...


class NotTaken(Exception):
    """The receiver did not take a notice, or may not be asked: it comes again. Says why, and
    nothing that is secret."""


class Wrong(ValueError):
    """A key of a notifier's table that cannot be so: which, why, and what to do."""

    def __init__(self, key: str, cause: str, remedy: str = "") -> None:
        super().__init__(f"{key}: {cause}" + (f"; {remedy}" if remedy else ""))
        self.key = key
        self.cause = cause
        self.remedy = remedy


def secret_of(key: str, path: Path, remedy: str) -> bytes:
    """The content of a file that its owner alone can read, without blanks around it. Raises Wrong,
    without a word of what is in it."""
    name = shown(path)
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Wrong(key, f"{name} is no file", remedy)
            if found.st_mode & 0o077:
                raise Wrong(key, f"{name}: others may use it", f"chmod 600 {name}")
            if os.geteuid() not in (found.st_uid, 0):
                raise Wrong(key, f"{name} belongs to user {found.st_uid}", remedy)
            return file.read(1 << 16).strip()
    except OSError as error:
        raise Wrong(key, f"{name} cannot be read: {error.strerror}", remedy) from None


def shown(path: Path) -> Path:
    """A path as people write it, where they are."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def listed(key: str, value: object) -> list[str]:
    """A list of texts, as it was given. Raises Wrong."""
    if not isinstance(value, list | tuple) or not all(type(one) is str for one in value):
        raise Wrong(key, "a list of texts is wanted", f'write `{key} = ["…"]`')
    return list(value)


def text_of(key: str, value: object) -> str:
    """A text on one line, in ASCII without blanks, as it was given. Raises Wrong."""
    if type(value) is not str or not value or any(not 32 < ord(one) < 127 for one in value):
        raise Wrong(key, "a text in ASCII without blanks is wanted")
    return value
