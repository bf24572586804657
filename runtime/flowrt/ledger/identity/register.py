"""Which keys are whose: the tables of the services Keys and Network in a node's database.

One row for each key that a node has heard of: the well-known ones of every map so far, and the
pseudonyms, our own with the number from which they are derived. Rows are never removed, so who held
a key can be told of old transactions. Judges no claim and no map.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from flowrt.core.flow import Tx
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.memory import of_table

WELL_KNOWN: Final = 0
PSEUDONYM: Final = 1

_KEYS, _LAST, _LEARNED = "ledger_keys", "ledger_keys last", "ledger_learned"
_SALTS = "ledger_salts"
"""What is remembered of the tables: who holds a key, the last numbers, how many were learned."""


class Holder(NamedTuple):
    """Who holds a key. `number` is that of our own keys, None of others."""

    party: str
    kind: int
    number: int | None


class MapRow(NamedTuple):
    """The newest network map."""

    serial: int
    digest: bytes


_TABLES = (
    """CREATE TABLE IF NOT EXISTS ledger_keys (
        key BLOB PRIMARY KEY, party TEXT NOT NULL, kind INTEGER NOT NULL, number INTEGER
    ) WITHOUT ROWID""",
    """CREATE UNIQUE INDEX IF NOT EXISTS ledger_keys_numbers ON ledger_keys (kind, number)
        WHERE number IS NOT NULL""",
    "CREATE TABLE IF NOT EXISTS ledger_salts (used INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ledger_keys_store (incarnation BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS ledger_learned (
        party TEXT PRIMARY KEY, pseudonyms INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS ledger_network_map (
        serial INTEGER NOT NULL, digest BLOB NOT NULL, received_us INTEGER NOT NULL,
        data BLOB NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS ledger_network_parameters (
        hash BLOB PRIMARY KEY, serial INTEGER NOT NULL, data BLOB NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS ledger_network_notaries (
        name TEXT PRIMARY KEY, serial INTEGER NOT NULL, data BLOB NOT NULL
    ) WITHOUT ROWID""",
)


def set_up(tx: Tx) -> None:
    """Make the tables, if they are not there."""
    for sql in _TABLES:
        tx.execute(sql)
    if not tx.execute("SELECT 1 FROM ledger_salts"):
        tx.execute("INSERT INTO ledger_salts VALUES (0)")


def went_back(tx: Tx) -> bool:
    """Whether the database was put back to an older state since this was last asked, and that was
    accepted: keys may be in use that it does not know. Writes down that it was asked."""
    rows = tx.execute("SELECT incarnation FROM ledger_keys_store")
    if rows and rows[0][0] == tx.incarnation:
        return False
    tx.execute("DELETE FROM ledger_keys_store")
    tx.execute("INSERT INTO ledger_keys_store VALUES (?)", (tx.incarnation,))
    return bool(rows)


# --- keys -------------------------------------------------------------------------------------


def holder(tx: Tx, key: PublicKey) -> Holder | None:
    """Who holds a key, as far as is known here."""
    remembered = of_table(tx, _KEYS)
    found: tuple[Holder | None] | None = remembered.get(key.encoded)
    if found is None:
        rows = tx.execute(
            "SELECT party, kind, number FROM ledger_keys WHERE key = ?", (key.encoded,)
        )
        found = (Holder(*rows[0]) if rows else None,)
        remembered.put(key.encoded, found)
    return found[0]


def last_number(tx: Tx, kind: int) -> int | None:
    """The highest number of our own keys of a kind, None if there are none."""
    remembered = of_table(tx, _LAST)
    found: tuple[int | None] | None = remembered.get(kind)
    if found is None:
        [found] = tx.execute(
            "SELECT MAX(number) FROM ledger_keys WHERE kind = ? AND number IS NOT NULL", (kind,)
        )
        remembered.put(kind, found)
    return found[0]


def keep(tx: Tx, key: PublicKey, party: str, kind: int, number: int | None = None) -> None:
    """Write down who holds a key, in place of what was known. What makes a key ours stays."""
    tx.execute(
        "INSERT INTO ledger_keys (key, party, kind, number) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET party = excluded.party, kind = excluded.kind, "
        "number = COALESCE(excluded.number, number)",
        (key.encoded, party, kind, number),
    )
    remembered = of_table(tx, _KEYS)
    before: tuple[Holder | None] | None = remembered.get(key.encoded)
    if number is None and before is not None and before[0] is None:
        remembered.put(key.encoded, (Holder(party, kind, None),))
        return
    if number is not None:
        remembered.put(key.encoded, (Holder(party, kind, number),))
    else:
        remembered.drop(key.encoded)
    _count(tx, kind, number)


def _count(tx: Tx, kind: int, number: int | None) -> None:
    """A key of ours may have been written; one that changed its kind took its number along."""
    remembered = of_table(tx, _LAST)
    before: tuple[int | None] | None = remembered.get(kind)
    remembered.drop(WELL_KNOWN)
    remembered.drop(PSEUDONYM)
    if before is not None and number is not None:
        remembered.put(kind, (max(number, before[0] or 0),))


def next_salt(tx: Tx) -> int:
    """How many salts were made before, counting this one from now on."""
    used: int | None = tx.known.get(_SALTS)
    if used is None:
        [(used,)] = tx.execute("SELECT used FROM ledger_salts")
    tx.execute("UPDATE ledger_salts SET used = ?", (used + 1,))
    tx.known[_SALTS] = used + 1
    return used + 1


def learned(tx: Tx, party: str) -> int:
    """How many pseudonyms of a party were learned."""
    remembered = of_table(tx, _LEARNED)
    found: int | None = remembered.get(party)
    if found is None:
        rows = tx.execute("SELECT pseudonyms FROM ledger_learned WHERE party = ?", (party,))
        found = rows[0][0] if rows else 0
        remembered.put(party, found)
    return found


def count_learned(tx: Tx, party: str) -> None:
    """One more."""
    before = learned(tx, party)
    tx.execute(
        "INSERT INTO ledger_learned VALUES (?, 1) "
        "ON CONFLICT (party) DO UPDATE SET pseudonyms = pseudonyms + 1",
        (party,),
    )
    of_table(tx, _LEARNED).put(party, before + 1)


# --- the network map --------------------------------------------------------------------------


def newest_map(tx: Tx) -> MapRow | None:
    """Serial number and digest of the newest map."""
    rows = tx.execute("SELECT serial, digest FROM ledger_network_map")
    return MapRow(*rows[0]) if rows else None


def map_bytes(tx: Tx) -> bytes:
    """The newest map, whole."""
    [(data,)] = tx.execute("SELECT data FROM ledger_network_map")
    found: bytes = data
    return found


def replace_map(tx: Tx, serial: int, digest: bytes, received_us: int, data: bytes) -> None:
    """Put a map in the place of the one that is there."""
    tx.execute("DELETE FROM ledger_network_map")
    tx.execute(
        "INSERT INTO ledger_network_map VALUES (?, ?, ?, ?)", (serial, digest, received_us, data)
    )


def keep_parameters(tx: Tx, hash_: bytes, serial: int, data: bytes) -> None:
    """Remember parameters under which transactions may have been made."""
    tx.execute(
        "INSERT INTO ledger_network_parameters VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING",
        (hash_, serial, data),
    )


def parameters(tx: Tx, hash_: bytes) -> bytes | None:
    """The parameters of that hash, of whatever map."""
    rows = tx.execute("SELECT data FROM ledger_network_parameters WHERE hash = ?", (hash_,))
    return rows[0][0] if rows else None


def keep_notary(tx: Tx, name: str, serial: int, data: bytes) -> None:
    """Remember how a notary works, for when it is no longer listed."""
    tx.execute(
        "INSERT INTO ledger_network_notaries VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET serial = excluded.serial, data = excluded.data",
        (name, serial, data),
    )


def notary(tx: Tx, name: str) -> bytes | None:
    """How a notary worked when it was listed last."""
    rows = tx.execute("SELECT data FROM ledger_network_notaries WHERE name = ?", (name,))
    return rows[0][0] if rows else None
