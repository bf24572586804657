"""A disk in memory that writes down all that is done to it, so that its power can be cut anywhere.

A `Disk` behaves like a folder of a sound file system, and its `log` has every write, truncation,
sync, creation, removal and renaming in order, with marks in between. It can be told to fail.
Which images it may have after a loss of power, `loss` works out. Knows no SQLite.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Images = Mapping[str, bytes]
"""Files by name."""

_numbers = itertools.count(1)
DISKS: dict[str, Disk] = {}
"""The disks that are plugged in, by their folder."""


@dataclasses.dataclass(eq=False)
class Inode:
    """A file's content as every process sees it."""

    number: int
    content: bytearray


class Off(Exception):
    """The disk has no power, or who asks was killed."""


class Disk:
    """One folder. `fault` is asked before every operation, with its kind and the file's name: an
    errno lets it fail, None lets it be done.

    A write that fails leaves nothing. A sync that fails loses what it should have made durable: it
    can still be read, and no later sync makes it durable (as on Linux).
    """

    def __init__(self, images: Images | None = None) -> None:
        self.folder = Path(f"/disk-{next(_numbers)}")
        self.start = dict(images or {})
        self.log: list[tuple[Any, ...]] = []
        self.fault: Callable[[str, str], int | None] | None = None
        self.has_power = True
        self.names: dict[str, Inode] = {}
        self._inodes = itertools.count(1)
        for name, content in self.start.items():
            self.names[name] = self._inode(bytearray(content))
        DISKS[self.folder.name] = self

    def unplug(self) -> None:
        """Forget it: nobody uses it any more."""
        DISKS.pop(self.folder.name, None)

    def mark(self, *what: object) -> None:
        """Write down what happened beside the disk."""
        self.log.append(("mark", *what))

    def images(self) -> dict[str, bytes]:
        """What every process sees."""
        return {name: bytes(inode.content) for name, inode in self.names.items()}

    # --- files ---

    def open(self, name: str, *, create: bool) -> Inode | None:
        """The file, made if that is wanted; None if it is not there."""
        found = self.names.get(name)
        if found is None and create:
            self._allow("create", name)
            found = self.names[name] = self._inode(bytearray())
            self.log.append(("create", name, found.number))
        return found

    def write(self, name: str, inode: Inode, offset: int, data: bytes) -> None:
        self._allow("write", name)
        put(inode.content, offset, data)
        self.log.append(("write", inode.number, offset, data))

    def truncate(self, name: str, inode: Inode, size: int) -> None:
        self._allow("truncate", name)
        put(inode.content, size, None)
        self.log.append(("truncate", inode.number, size))

    def sync(self, name: str, inode: Inode) -> None:
        try:
            self._allow("sync", name)
        except OSError:
            self.log.append(("lost", inode.number))
            raise
        self.log.append(("sync", inode.number))

    # --- names ---

    def unlink(self, name: str) -> None:
        self._allow("unlink", name)
        del self.names[name]
        self.log.append(("unlink", name))

    def rename(self, old: str, new: str) -> None:
        self._allow("rename", old)
        self.names[new] = self.names.pop(old)
        self.log.append(("rename", old, new))

    def sync_folder(self) -> None:
        self._allow("folder", "")
        self.log.append(("folder",))

    def _allow(self, kind: str, name: str) -> None:
        if not self.has_power:
            raise Off
        found = self.fault(kind, name) if self.fault is not None else None
        if not self.has_power:
            raise Off
        if found:
            raise OSError(found, os.strerror(found), name)

    def _inode(self, content: bytearray) -> Inode:
        return Inode(next(self._inodes), content)


def put(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write at an offset, zeros before it if need be; None for the data cuts there."""
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


IO, FULL = errno.EIO, errno.ENOSPC
