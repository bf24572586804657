"""A service that writes down what it is told, and misbehaves when it is told so."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

from flowrt.core.flow import Tx
from flowrt.store.statements import Refused as NotAllowed
from tests.runtime.crashes import World
from tests.runtime.hand_flow import Refused


def _bug(tx: Tx) -> None:
    raise ZeroDivisionError("the author's")


def _refuse(tx: Tx) -> None:
    raise Refused("by the service")


def _swallow(tx: Tx) -> None:
    with contextlib.suppress(NotAllowed):
        tx.execute("DELETE FROM engine_outbox")


def _roll_back_and_swallow(tx: Tx) -> None:
    with contextlib.suppress(NotAllowed, sqlite3.Error):
        tx.execute("INSERT OR ROLLBACK INTO page VALUES ('first')")
    with contextlib.suppress(NotAllowed, sqlite3.Error):
        tx.execute("INSERT INTO book (flow, text) VALUES (?, 'written alone')", (tx.flow_id,))


TRICKS: dict[str, Callable[[Tx], Any]] = {
    "bug": _bug,
    "refuse": _refuse,
    "commit": lambda tx: tx.execute("COMMIT"),
    "pragma": lambda tx: tx.execute("PRAGMA synchronous = OFF"),
    "engine": lambda tx: tx.execute("DELETE FROM engine_outbox"),
    "swallow": _swallow,
    "unique": lambda tx: tx.execute("INSERT INTO page VALUES ('first')"),
    "rollback": lambda tx: tx.execute("INSERT OR ROLLBACK INTO page VALUES ('first')"),
    "rollback!": _roll_back_and_swallow,
    "orphan": lambda tx: tx.execute("INSERT INTO footnote VALUES ('nowhere')"),
    "syntax": lambda tx: tx.execute("INSERT INTO"),
}
"""What a text's first word makes `put` do after it has written the text."""


class Book:
    """The service `Journal` of `hand_flow`. `well` are the tricks that were repaired meanwhile."""

    def __init__(self) -> None:
        self.well: set[str] = set()
        self.keeps: Tx | None = None

    def setup(self, tx: Tx) -> None:
        tx.execute(
            "CREATE TABLE IF NOT EXISTS book (id INTEGER PRIMARY KEY, flow INTEGER, text TEXT)"
        )
        tx.execute("CREATE TABLE IF NOT EXISTS page (name TEXT PRIMARY KEY)")
        tx.execute("INSERT OR IGNORE INTO page VALUES ('first')")
        tx.execute(
            "CREATE TABLE IF NOT EXISTS footnote "
            "(page TEXT REFERENCES page DEFERRABLE INITIALLY DEFERRED)"
        )

    def put(self, tx: Tx, text: str) -> None:
        self.keeps = tx
        tx.execute("INSERT INTO book (flow, text) VALUES (?, ?)", (tx.flow_id, text))
        trick = text.partition(" ")[0]
        if trick in TRICKS and trick not in self.well:
            TRICKS[trick](tx)

    def count(self, tx: Tx) -> int:
        ((count,),) = tx.execute("SELECT count(*) FROM book WHERE flow = ?", (tx.flow_id,))
        return int(count)


def written(world: World, party: str) -> list[str]:
    """What is in the party's book, in order."""
    return [text for (text,) in world.rows(party, "SELECT text FROM book ORDER BY id")]


def services() -> dict[str, object]:
    """A new book, as a world wants it."""
    return {"Journal": Book()}
