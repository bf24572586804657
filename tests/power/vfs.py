"""SQLite on a simulated disk: a VFS in the very library that Python's sqlite3 uses, through ctypes.

So the store under test is the product's, with the connection and the SQLite that it has in
production. Locks and shared memory are kept here too; they end with a process (`kill`). Follows
what SQLite does on Unix (os_unix.c): which names it makes durable, what it says of missing files.
"""

from __future__ import annotations

import _sqlite3
import contextlib
import ctypes
import dataclasses
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import pytest

from flowrt.store.files import Files, Note
from tests.power.disk import DISKS, Disk, Inode, Off

NAME = "flow_power"

_OK, _BUSY, _FULL, _CANTOPEN, _NOTFOUND = 0, 5, 13, 14, 12
_IOERR = 10
_SHORT_READ, _FSYNC = 522, 1034
_DELETE_NOENT = 5898
_CREATE, _NEW_NAMES = 0x4, 0x800 | 0x4000 | 0x80000
"""Flags of opening: may create; a journal or write-ahead log."""
_POWERSAFE_OVERWRITE = 0x1000
_UNLOCK, _SHARED = 1, 4


@dataclasses.dataclass(eq=False)
class Shared:
    """The shared memory of a database and the locks in it; gone with its last user."""

    regions: dict[int, Any] = dataclasses.field(default_factory=dict)
    locks: list[dict[int, bool]] = dataclasses.field(default_factory=lambda: [{} for _ in range(8)])
    users: set[int] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(eq=False)
class Open:
    """An open file of some process. `syncs_folder`: its name is not durable yet."""

    disk: Disk
    name: str
    inode: Inode
    syncs_folder: bool
    is_temporary: bool
    is_dead: bool = False
    shared: Shared | None = None


_open: dict[int, Open] = {}
"""By the address that SQLite gave the file."""
_locks: dict[Inode, dict[int, int]] = {}
_shared: dict[Inode, Shared] = {}
SYNCS_FOLDERS = True
"""Whether a new log's first sync makes its name durable too. SQLite can be built without that."""


def kill(disk: Disk) -> None:
    """End every process that has files of the disk open: nothing is written any more, no lock
    stays."""
    for address, file in _open.items():
        if file.disk is disk and not file.is_dead:
            file.is_dead = True
            _forget(address, file)
    for inode in [inode for inode in _locks if not _locks[inode]]:
        del _locks[inode]


def _forget(address: int, file: Open) -> None:
    _locks.get(file.inode, {}).pop(address, None)
    shared = file.shared
    if shared is not None:
        for slot in shared.locks:
            slot.pop(address, None)
        shared.users.discard(address)
        if not shared.users and _shared.get(file.inode) is shared:
            del _shared[file.inode]


# --- the methods of a file ---


def _living(address: int) -> Open:
    file = _open[address]
    if file.is_dead or not file.disk.has_power:
        raise Off
    return file


def _close(address: int) -> int:
    file = _open.pop(address)
    if not file.is_dead:
        _forget(address, file)
    return _OK


def _read(address: int, target: int, amount: int, offset: int) -> int:
    file = _living(address)
    data = bytes(file.inode.content[offset : offset + amount])
    ctypes.memmove(target, data, len(data))
    if len(data) == amount:
        return _OK
    ctypes.memset(target + len(data), 0, amount - len(data))
    return _SHORT_READ


def _write(address: int, source: int, amount: int, offset: int) -> int:
    file = _living(address)
    file.disk.write(file.name, file.inode, offset, ctypes.string_at(source, amount))
    return _OK


def _truncate(address: int, size: int) -> int:
    file = _living(address)
    file.disk.truncate(file.name, file.inode, size)
    return _OK


def _sync(address: int, flags: int) -> int:
    file = _living(address)
    try:
        file.disk.sync(file.name, file.inode)
    except OSError:
        return _FSYNC
    if file.syncs_folder and SYNCS_FOLDERS:
        with contextlib.suppress(OSError):  # SQLite does not look whether it worked.
            file.disk.sync_folder()
    file.syncs_folder = False
    return _OK


def _size(address: int, answer: Any) -> int:
    answer[0] = len(_living(address).inode.content)
    return _OK


def _lock(address: int, level: int) -> int:
    held = _locks.setdefault(_living(address).inode, {})
    others = [theirs for other, theirs in held.items() if other != address]
    if held.get(address, 0) >= level:
        return _OK
    if level == 1 and any(theirs >= 3 for theirs in others):
        return _BUSY
    if level > 1 and any(theirs >= 2 for theirs in others):
        return _BUSY
    if level == 4 and any(others):
        held[address] = 3
        return _BUSY
    held[address] = level
    return _OK


def _unlock(address: int, level: int) -> int:
    held = _locks.setdefault(_living(address).inode, {})
    if level:
        held[address] = level
    else:
        held.pop(address, None)
    return _OK


def _is_reserved(address: int, answer: Any) -> int:
    held = _locks.get(_living(address).inode, {})
    answer[0] = any(level >= 2 for level in held.values())
    return _OK


def _control(address: int, operation: int, argument: int) -> int:
    return _NOTFOUND


def _sector(address: int) -> int:
    return 4096


def _characteristics(address: int) -> int:
    return _POWERSAFE_OVERWRITE


def _map(address: int, region: int, size: int, extend: int, answer: Any) -> int:
    file = _living(address)
    if file.shared is None:
        file.shared = _shared.setdefault(file.inode, Shared())
        file.shared.users.add(address)
    memory = file.shared.regions.get(region)
    if memory is None and extend:
        memory = file.shared.regions[region] = (c_uint64 * (size // 8))()
    answer[0] = ctypes.addressof(memory) if memory is not None else None
    return _OK


def _lock_shared(address: int, offset: int, count: int, flags: int) -> int:
    shared = _living(address).shared
    assert shared is not None
    slots = shared.locks[offset : offset + count]
    if flags & _UNLOCK:
        for slot in slots:
            slot.pop(address, None)
        return _OK
    exclusive = not flags & _SHARED
    for slot in slots:
        if any(other != address and (exclusive or theirs) for other, theirs in slot.items()):
            return _BUSY
    for slot in slots:
        slot[address] = exclusive
    return _OK


def _barrier(address: int) -> None:
    return None


def _unmap(address: int, delete: int) -> int:
    file = _open[address]
    if not file.is_dead:
        _forget(address, file)
    file.shared = None
    return _OK


# --- the methods of the file system ---


def _open_file(vfs: int, name: bytes | None, address: int, flags: int, answer: Any) -> int:
    ctypes.cast(address, POINTER(c_void_p))[0] = None
    if name is None:
        disk, inode, plain = Disk(), Inode(0, bytearray()), ""
        disk.unplug()
        _open[address] = Open(disk, plain, inode, False, True)
    else:
        path = Path(name.decode())
        disk, plain = DISKS[path.parent.name], path.name
        is_new = plain not in disk.names
        found = disk.open(plain, create=bool(flags & _CREATE))
        if found is None:
            return _CANTOPEN
        _open[address] = Open(disk, plain, found, is_new and bool(flags & _NEW_NAMES), False)
    if answer:
        answer[0] = flags
    ctypes.cast(address, POINTER(c_void_p))[0] = ctypes.addressof(_methods)
    return _OK


def _delete(vfs: int, name: bytes, sync: int) -> int:
    path = Path(name.decode())
    disk = DISKS[path.parent.name]
    if path.name not in disk.names:
        return _DELETE_NOENT
    disk.unlink(path.name)
    if sync:
        disk.sync_folder()
    return _OK


def _access(vfs: int, name: bytes, flags: int, answer: Any) -> int:
    path = Path(name.decode())
    found = DISKS[path.parent.name].names.get(path.name)
    answer[0] = found is not None and (flags != 0 or len(found.content) > 0)
    return _OK


def _full_path(vfs: int, name: bytes, size: int, answer: int) -> int:
    ctypes.memmove(answer, name + b"\0", len(name) + 1)
    return _OK


def _sleep(vfs: int, microseconds: int) -> int:
    return microseconds


class _Methods(Structure):
    pass


class _Vfs(Structure):
    pass


_keep: list[Any] = []


def _safe(function: Callable[..., int]) -> Callable[..., int]:
    """What C may call: trouble with the disk becomes SQLite's codes."""

    def run(*arguments: Any) -> int:
        try:
            return function(*arguments)
        except Off:
            return _IOERR
        except OSError as error:
            return _FULL if error.errno == errno.ENOSPC else _IOERR

    return run


def _field(name: str, function: Callable[..., Any], *types: Any) -> tuple[str, Any, Any]:
    kind = CFUNCTYPE(None if function is _barrier else c_int, c_void_p, *types)
    made = kind(function if function is _barrier else _safe(function))
    _keep.append(made)
    return name, kind, made


_INT, _INT64 = POINTER(c_int), POINTER(c_int64)
_file_fields = [
    _field("xClose", _close),
    _field("xRead", _read, c_void_p, c_int, c_int64),
    _field("xWrite", _write, c_void_p, c_int, c_int64),
    _field("xTruncate", _truncate, c_int64),
    _field("xSync", _sync, c_int),
    _field("xFileSize", _size, _INT64),
    _field("xLock", _lock, c_int),
    _field("xUnlock", _unlock, c_int),
    _field("xCheckReservedLock", _is_reserved, _INT),
    _field("xFileControl", _control, c_int, c_void_p),
    _field("xSectorSize", _sector),
    _field("xDeviceCharacteristics", _characteristics),
    _field("xShmMap", _map, c_int, c_int, c_int, POINTER(c_void_p)),
    _field("xShmLock", _lock_shared, c_int, c_int, c_int),
    _field("xShmBarrier", _barrier),
    _field("xShmUnmap", _unmap, c_int),
]
_Methods._fields_ = [("iVersion", c_int), *((name, kind) for name, kind, _ in _file_fields)]
_methods = _Methods(2, *(made for *_, made in _file_fields))

_vfs_fields = [
    _field("xOpen", _open_file, c_char_p, c_void_p, c_int, _INT),
    _field("xDelete", _delete, c_char_p, c_int),
    _field("xAccess", _access, c_char_p, c_int, _INT),
    _field("xFullPathname", _full_path, c_char_p, c_int, c_void_p),
]
_BORROWED = ("xDlOpen", "xDlError", "xDlSym", "xDlClose", "xRandomness")
_sleeping = _field("xSleep", _sleep, c_int)
_Vfs._fields_ = [
    ("iVersion", c_int),
    ("szOsFile", c_int),
    ("mxPathname", c_int),
    ("pNext", c_void_p),
    ("zName", c_char_p),
    ("pAppData", c_void_p),
    *((name, kind) for name, kind, _ in _vfs_fields),
    *((name, c_void_p) for name in _BORROWED),
    ("xSleep", _sleeping[1]),
    ("xCurrentTime", c_void_p),
    ("xGetLastError", c_void_p),
]


def _register() -> str | None:
    """Why SQLite cannot be given a VFS here; None if it has it now."""
    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        system = library.sqlite3_vfs_find(None).contents
        vfs = _Vfs(1, 16, 512, None, NAME.encode(), None, *(made for *_, made in _vfs_fields))
        for name in (*_BORROWED, "xCurrentTime", "xGetLastError"):
            setattr(vfs, name, getattr(system, name))
        vfs.xSleep = _sleeping[2]
        _keep.append(vfs)
        assert library.sqlite3_vfs_register(ctypes.byref(vfs), 0) == 0
    except (AttributeError, OSError) as error:
        return f"Python's sqlite3 keeps its library to itself here: {error}"
    return None


UNUSABLE = _register()
"""Why there is no simulated disk on this machine; None if there is."""

# Where a submission is judged nothing is passed over: there the tests run, and fail.
NEEDED = pytest.mark.skipif(UNUSABLE is not None and not os.environ.get("CI"), reason=str(UNUSABLE))


class _Note(Note):
    def __init__(self, disk: Disk, name: str) -> None:
        self._disk, self._name = disk, name
        found = disk.open(name, create=True)
        assert found is not None
        self._inode = found

    def read(self) -> bytes:
        return bytes(self._inode.content)

    def write(self, data: bytes) -> None:
        with _as_the_system_says():
            self._disk.write(self._name, self._inode, 0, data)

    def sync(self) -> None:
        with _as_the_system_says():
            self._disk.sync(self._name, self._inode)

    def close(self) -> None: ...


class SimulatedFiles(Files):
    """A store's files on a simulated disk."""

    checkpoint_pages = 24

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def connect(
        self, path: Path, busy_seconds: float, any_thread: bool = False
    ) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{path}?vfs={NAME}",
            uri=True,
            isolation_level=None,
            timeout=busy_seconds,
            cached_statements=512,
        )

    def page(self, path: Path, size: int) -> bytearray:
        return bytearray(size)

    def exists(self, path: Path) -> bool:
        return path.name in self.disk.names

    def is_folder(self, path: Path) -> bool:
        return path == self.disk.folder

    def remove(self, path: Path) -> None:
        with _as_the_system_says():
            if path.name in self.disk.names:
                self.disk.unlink(path.name)

    def rename(self, old: Path, new: Path) -> None:
        with _as_the_system_says():
            self.disk.rename(old.name, new.name)

    def sync(self, path: Path) -> None:
        with _as_the_system_says():
            if path == self.disk.folder:
                self.disk.sync_folder()
            else:
                self.disk.sync(path.name, self.disk.names[path.name])

    def note(self, path: Path) -> Note:
        with _as_the_system_says():
            return _Note(self.disk, path.name)

    def rewrite(self, path: Path) -> None:
        with _as_the_system_says():
            found = self.disk.names.get(path.name)
            if found is not None and found.content:
                self.disk.write(path.name, found, 0, bytes(found.content))
                self.disk.sync(path.name, found)


@contextlib.contextmanager
def _as_the_system_says() -> Iterator[None]:
    try:
        yield
    except Off:
        raise OSError(errno.EIO, "no power") from None
