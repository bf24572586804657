"""The disk that a SQLite store lies on: its connection, and what it does to files itself.

The machine's own, unless a store is given another one. Knows no schema and no flow.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sqlite3
from pathlib import Path

from flowrt.store.marks import Page


class Note:
    """A file of a few bytes, which are written again and again, in place."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def read(self) -> bytes:
        return os.pread(self._file, CHUNK, 0)

    def write(self, data: bytes) -> None:
        """Write from the beginning. Outlives the process; the machine's power only once synced."""
        os.pwrite(self._file, data, 0)

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


class Files:
    """The machine's disk. A subclass can be any other, such as one that loses its power."""

    checkpoint_pages = 4000
    """How many pages the write-ahead log has before its content is copied into the database."""

    def connect(
        self, path: Path, busy_seconds: float, any_thread: bool = False
    ) -> sqlite3.Connection:
        """A connection to a database, which is created if it is not there; for the thread that asks
        or, one at a time, for any."""
        return sqlite3.connect(
            path,
            isolation_level=None,
            timeout=busy_seconds,
            cached_statements=512,
            check_same_thread=not any_thread,
        )

    def exists(self, path: Path) -> bool:
        return path.exists()

    def is_folder(self, path: Path) -> bool:
        return path.is_dir()

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def sync(self, path: Path) -> None:
        """Make a file, or the names in a folder, durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def note(self, path: Path) -> Note:
        """A small file that is kept open, made if it is not there."""
        return Note(path)

    def rewrite(self, path: Path) -> None:
        """Write the same content again and make it durable, if the file is there.

        After a sync that failed, Linux shows what was written and takes it for durable: no later
        sync writes it. Writing it again does.
        """
        with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
            while chunk := file.read(CHUNK):
                file.seek(-len(chunk), os.SEEK_CUR)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())

    def page(self, path: Path, size: int) -> Page:
        """So many bytes of a file, which is made if it is not there, as memory that outlives the
        process; its own memory where the disk has no such thing."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if os.fstat(descriptor).st_size != size:
                    os.ftruncate(descriptor, size)
                return mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        except (OSError, ValueError):
            return bytearray(size)


CHUNK = 1 << 20

MACHINE = Files()
