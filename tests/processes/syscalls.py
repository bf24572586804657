"""A process that the kernel ends at a system call of its own: between two writes, before a sync.

A seccomp filter answers the call with the end of the process. It dies there as it would of SIGKILL,
at that very instruction, and no line of it runs any more; it is said to have died of SIGSYS. Where
the system has no such filters, a thread sends SIGKILL a moment later instead. Knows no store.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

DEATHS = (signal.SIGKILL, signal.SIGSYS)
"""How a process ends that was killed from outside, or by its filter."""

A_MOMENT_S = 0.0003


class _Machine(NamedTuple):
    audit: int
    pwrite: int
    fsync: int
    fdatasync: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 18, 74, 75),
    "aarch64": _Machine(0xC00000B7, 68, 82, 83),
}

_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_CALL, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("text", ctypes.c_void_p)]


class Rule(NamedTuple):
    """A call to die at: its number, and what its first (a descriptor) and third (a size) arguments
    must be, if that matters."""

    call: int
    descriptor: int | None = None
    size: int | None = None


def machine() -> _Machine | None:
    """The numbers of this machine's system calls; None where there are no filters."""
    return _MACHINES.get(platform.machine()) if sys.platform == "linux" else None


def die_at_sync() -> None:
    """Die at the next fsync or fdatasync: what was written is not synchronised."""
    known = machine()
    _die_at([Rule(known.fsync), Rule(known.fdatasync)] if known else [])


def die_at_write(path: Path, size: int | None = None) -> None:
    """Die at the next write to the file `path`, which is open, or at the next of so many bytes."""
    known = machine()
    held = descriptors(path)
    _die_at([Rule(known.pwrite, one, size) for one in held] if known else [])


def descriptors(path: Path) -> list[int]:
    """The numbers under which this process has a file open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == str(path):
                found.append(int(name))
        except OSError:
            continue  # The one that listed the folder.
    return found


def _die_at(rules: list[Rule]) -> None:
    known = machine()
    if known is None or not rules or not _filtered(known, rules):
        threading.Thread(target=_die_soon, daemon=True).start()


def _filtered(known: _Machine, rules: list[Rule]) -> bool:
    """Whether the kernel has taken the filter. It holds for this thread alone, and for ever."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    text = b"".join(
        [
            _line(_LOAD, _ARCHITECTURE),
            _line(_JUMP_IF_EQUAL, known.audit, skip_if_equal=1),
            _line(_RETURN, _ALLOW),
            *map(_rule, rules),
            _line(_RETURN, _ALLOW),
        ]
    )
    kept = ctypes.create_string_buffer(text, len(text))
    program = _Program(len(text) // 8, ctypes.cast(kept, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    return (
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        and libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0
    )


def _rule(rule: Rule) -> bytes:
    tests = [(_CALL, rule.call)]
    if rule.descriptor is not None:
        tests.append((_ARGUMENTS, rule.descriptor))
    if rule.size is not None:
        tests.append((_ARGUMENTS + 16, rule.size))
    lines = b""
    for left, (place, wanted) in zip(range(len(tests) - 1, -1, -1), tests, strict=True):
        # Who differs goes on behind the last line of this rule.
        lines += _line(_LOAD, place)
        lines += _line(_JUMP_IF_EQUAL, wanted, skip_if_not=2 * left + 1)
    return lines + _line(_RETURN, _KILL_PROCESS)


def _line(code: int, value: int, *, skip_if_equal: int = 0, skip_if_not: int = 0) -> bytes:
    return struct.pack("HBBI", code, skip_if_equal, skip_if_not, value)


def _die_soon() -> None:
    time.sleep(A_MOMENT_S)
    os.kill(os.getpid(), signal.SIGKILL)
