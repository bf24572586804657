"""Which SQL a service may run in a step's transaction. Knows SQL's first words; runs nothing."""

from __future__ import annotations

import functools
import re

from flowrt.store import StoreError

_LEADING = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|;)*", re.DOTALL)
_READING = frozenset({"SELECT", "WITH", "VALUES"})
_WRITING = _READING | {"INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER"}


class Refused(StoreError):
    """A statement that a service may not run."""


@functools.lru_cache(maxsize=4096)
def check(sql: str, read_only: bool) -> str:
    """The statement's first word. Raises Refused unless it leaves the transaction and the engine's
    tables alone; that a `WITH` of a read-only operation does not write is for the store to see.
    """
    start = _LEADING.match(sql)
    rest = sql[start.end() if start else 0 :]
    word = re.match(r"[A-Za-z]*", rest)
    first = word.group().upper() if word else ""
    if first not in _WRITING:
        raise Refused(
            f"a service may not run {first or 'this'} statements: the transaction is the engine's"
        )
    if read_only and first not in _READING:
        raise Refused(f"a `read` operation may not {first}; declare the operation as `write`")
    if "engine_" in sql.lower():
        raise Refused("tables whose names begin with engine_ belong to the engine")
    return first


@functools.lru_cache(maxsize=4096)
def only_reads(sql: str) -> bool:
    """Whether a statement surely writes nothing: there is nothing to undo of it."""
    return sql.lstrip()[:6].upper() == "SELECT"
