"""A party's backup, taken while it is served, and put back.

What a node makes of having gone back is the store's business, and its peers'.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

from flowrt.serving.config import Config
from flowrt.serving.files import PRIVATE, fill, locked, new_folder, sync_folder
from flowrt.serving.troubles import Refused, refused
from flowrt.store import StoreError
from flowrt.store.copies import copy, look
from flowrt.store.sqlite import SqliteStore

MANIFEST: Final = "backup.json"
_FORM: Final = "flowlang backup 1"
_MAX_BYTES: Final = 1 << 20
_ENDS: Final = ("", "-wal", "-shm", "-mark", "-step")
"""The files of a store are called so, after its name."""


_NO_BOOK: Final = (
    "the notary's book is gone, and the backup's does not know what came since",
    "find the book; or `--old-book`, if what was used up since then may be used up again",
)


class Backup(NamedTuple):
    """What a backup says of itself: whose it is, from when, and its files: for each what it is, its
    name there, and its SHA-256."""

    party: str
    at: str
    commits: int
    flows: int
    files: dict[str, tuple[str, str]]


def back_up(config: Config, folder: Path, now: datetime.datetime | None = None) -> Backup:
    """Copy what a party is into a new folder: its database as of one moment, its configuration, its
    certificates and, encrypted as they are, its keys. Nobody's passphrase or token is in it. The
    party may be served meanwhile. Raises Refused."""
    settings = config.settings
    named: dict[str, str] = {"store": settings.store, "tls.key": settings.tls.key}
    named |= {"tls.certificate": settings.tls.certificate, "tls.root": settings.tls.root}
    if settings.ledger is not None:
        named |= {"ledger.keys": settings.ledger.keys, "ledger.map": settings.ledger.map}
        if settings.ledger.notary is not None:
            named["ledger.book"] = settings.ledger.book
    at = (now or datetime.datetime.now(datetime.UTC)).isoformat(timespec="seconds")
    with new_folder(folder) as aside:
        try:
            found: dict[str, tuple[str, str]] = {}
            # The book after the store: it may know more than that, never less.
            for what, name in sorted(named.items(), key=lambda one: one[0] == "ledger.book"):
                source, to = config.file(name), aside / Path(name).name
                if to.exists():
                    raise refused(source, f"two files of the party are called {to.name}")
                if what in ("store", "ledger.book"):
                    copy(source, to)
                else:
                    fill(aside, {to.name: source.read_bytes()})
                found[what] = (to.name, _digest(to))
            fill(aside, {"node.toml": config.path.read_bytes()})
            found["config"] = ("node.toml", _digest(aside / "node.toml"))
            seen = look(aside / found["store"][0])
        except StoreError as error:
            raise refused(folder, str(error)) from None
        except OSError as error:
            where = error.filename or folder
            raise refused(where, f"it cannot be copied: {error.strerror}") from None
        made = Backup(settings.name, at, seen.commits, seen.flows, found)
        text = json.dumps({"format": _FORM, **made._asdict()}, indent=1, ensure_ascii=False)
        fill(aside, {MANIFEST: f"{text}\n".encode()})
    return made


def read(folder: Path) -> Backup:
    """What is in a backup; its files were found as they were written. Raises Refused."""
    path = folder / MANIFEST
    try:
        with open(path, "rb") as file:
            found: Any = json.loads(file.read(_MAX_BYTES))
        if found.pop("format") != _FORM:
            raise ValueError("another format")
        files = {what: (str(name), str(digest)) for what, (name, digest) in found["files"].items()}
        made = Backup(**{**found, "files": files})
        if any(name != Path(name).name for name, _ in files.values()) or "store" not in files:
            raise ValueError("names of files")
    except OSError as error:
        raise refused(path, f"it cannot be read: {error.strerror}", "name a backup") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refused(path, f"this is no backup of this version: {error}") from None
    for name, digest in files.values():
        try:
            same = _digest(folder / name) == digest
        except OSError as error:
            raise refused(folder / name, f"it cannot be read: {error.strerror}") from None
        if not same:
            raise refused(folder / name, "it is not as the backup wrote it", "take another backup")
    return made


def put_back(folder: Path, config: Config, *, old_book: bool = False) -> Path | None:
    """Put a backup's database in the place of the party's, which is kept beside: the folder with
    that, if there was one. The loss is accepted: sessions with peers end on both sides.

    A notary's book is left as it is. Where it is gone the backup's is taken only with `old_book`:
    what was used up since then could be used up once more.

    Raises:
        Refused: the party is served, or the backup is another's.
    """
    made = read(folder)
    settings = config.settings
    if made.party != settings.name:
        raise refused(folder, f"this is a backup of {made.party}, not of {settings.name}")
    with locked(config.folder):
        book = made.files.get("ledger.book")
        place = config.file(settings.ledger.book) if settings.ledger is not None else None
        takes_book = book is not None and place is not None and not place.exists()
        if takes_book and not old_book:
            cause = (
                "the notary's book is gone, and that of the backup does not know what came since"
            )
            remedy = (
                "find the book; or `--old-book`, if states that were used up since may be again"
            )
            raise refused(place, cause, remedy)
        path = config.file(settings.store)
        # Whole beside it first, so that an interruption leaves the old one or none, never a part.
        aside = path.with_name(f".{path.name}.restoring")
        for end in _ENDS:
            Path(f"{aside}{end}").unlink(missing_ok=True)
        _bring(folder / made.files["store"][0], aside)
        _accepted(aside, made.party)
        there = [Path(f"{path}{end}") for end in _ENDS if os.path.lexists(f"{path}{end}")]
        kept = None
        if there:
            kept = _free(config.folder / "before-restore")
            kept.mkdir(mode=0o700)
            for file in there:
                os.rename(file, kept / file.name)
            sync_folder(kept)
            sync_folder(path.parent)
        os.rename(aside, path)
        sync_folder(path.parent)
        if takes_book and book is not None and place is not None:
            _bring(folder / book[0], place)
    return kept


def put_anew(folder: Path, to: Path, *, old_book: bool = False) -> Backup:
    """A party's folder made again of its backup, where nothing is left of it. Raises Refused."""
    made = read(folder)
    if "ledger.book" in made.files and not old_book:
        raise refused(to, *_NO_BOOK)
    with new_folder(to) as aside:
        for name, _ in made.files.values():
            _bring(folder / name, aside / name)
        _accepted(aside / made.files["store"][0], made.party)
    return made


def _accepted(path: Path, party: str) -> None:
    try:
        SqliteStore(path).accept_restore(party)
    except StoreError as error:
        raise refused(path, str(error)) from None


def accept(config: Config) -> None:
    """Accept that the party's database has gone back. Raises Refused."""
    try:
        SqliteStore(config.file(config.settings.store)).accept_restore(config.settings.name)
    except StoreError as error:
        raise Refused([config.trouble("store", str(error))]) from None


def _bring(source: Path, to: Path) -> None:
    """Copy a file, which may be large, whole or not at all."""
    aside = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        with open(source, "rb") as old, open(descriptor, "wb") as new:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        os.replace(aside, to)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(to.parent)


def _free(path: Path) -> Path:
    number = 1
    while os.path.lexists(f"{path}-{number}"):
        number += 1
    return Path(f"{path}-{number}")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
