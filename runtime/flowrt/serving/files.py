"""Files of a party on its disk: written whole or not at all, private where they must be, locked.

Knows no format.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from flowrt.serving.troubles import refused

PRIVATE = 0o600
PUBLIC = 0o644

LOCK = ".lock"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Put a file in its place, whole: written aside, synchronised, renamed. Raises OSError."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_new(aside, data, mode)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, to be filled, that takes its name when all is written; by any
    exception it goes without a trace.

    Raises:
        Refused: `folder` is there already, whatever it holds, or its parent is not.
    """
    if os.path.lexists(folder):
        raise refused(folder, "it is there already", "name a folder that is not there yet")
    if not folder.parent.is_dir():
        raise refused(folder.parent, "there is no such folder", "create it first")
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        aside.mkdir(mode=0o700)
    except OSError as error:
        raise refused(folder, f"it cannot be made: {error.strerror}") from None
    try:
        yield aside
        for inner in (*(path for path in aside.rglob("*") if path.is_dir()), aside):
            sync_folder(inner)
        if os.path.lexists(folder):  # A rename would take the place of an empty folder.
            raise refused(folder, "somebody else has just made it")
        os.rename(aside, folder)
        sync_folder(folder.parent)
    except BaseException:
        _remove(aside)
        raise


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def fill(folder: Path, files: Mapping[str, bytes], public: frozenset[str] = frozenset()) -> None:
    """Write new files; readable by others are those that are `public`."""
    for name, data in files.items():
        _write_new(folder / name, data, PUBLIC if name in public else PRIVATE)


def exposed(path: Path) -> str:
    """Why a file that must be private is not; nothing if it is. Raises OSError."""
    found = path.stat()
    if found.st_mode & 0o077:
        return f"others may use it (mode {stat.S_IMODE(found.st_mode):o})"
    if os.geteuid() not in (found.st_uid, 0):
        return f"it belongs to user {found.st_uid}"
    return ""


def open_to_others(folder: Path) -> bool:
    """Whether anybody else may put files into a folder."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH and not mode & stat.S_ISVTX)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The party's folder, for this process alone; the lock goes when the process ends.

    Raises:
        Refused: another process has it.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise refused(folder, f"it cannot be locked: {error.strerror}") from None
    with open(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read(20).decode("ascii", "replace").strip()
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise refused(folder, f"{who} has this party", "end it first (SIGTERM)") from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def holder(folder: Path) -> int | None:
    """The process that has a party's folder locked; None if nobody has."""
    try:
        with open(folder / LOCK, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found = file.read(20).strip()
                return int(found) if found.isdigit() else 0
    except OSError:
        return None
    return None
