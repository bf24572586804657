"""A small SQLite file beside a node's store, which its owner alone may read. Knows no table."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def opened(path: Path) -> sqlite3.Connection:
    """The file, made if it is not there; what is committed outlives a loss of power. For any
    thread, one at a time. Raises sqlite3.Error, OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db
