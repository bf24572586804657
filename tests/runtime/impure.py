"""Authors' Python that does what it must not, each in a function of its own, and some that may."""

from __future__ import annotations

import datetime
import json
import logging
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from time import time as the_time
from typing import Any
from zoneinfo import ZoneInfo

from flowrt.core.flow import FlowError

COUNTS: list[int] = []
FILE = __file__


def clock(n: int) -> int:
    return n + int(time.time()) * 0


def clock_by_another_name(n: int) -> int:
    return n + int(the_time()) * 0


def now(n: int) -> int:
    return n + datetime.datetime.now(datetime.UTC).year * 0


def today(n: int) -> int:
    return n + datetime.date.today().year * 0


def gmtime(n: int) -> int:
    return n + time.gmtime().tm_year * 0


def sleeps(n: int) -> int:
    time.sleep(0)
    return n


def chance(n: int) -> int:
    return n + random.randint(1, 6) * 0


def chance_unseeded(n: int) -> int:
    return n + random.Random().randint(1, 6) * 0


def urandom(n: int) -> int:
    return n + len(os.urandom(1)) * 0


def secret(n: int) -> int:
    return n + secrets.randbelow(9) * 0


def unique(n: int) -> int:
    return n + uuid.uuid4().int * 0


def file(n: int) -> int:
    with open(FILE) as found:
        return n + len(found.readline()) * 0


def folder(n: int) -> int:
    return n + len(os.listdir("/")) * 0


def temporary(n: int) -> int:
    with tempfile.TemporaryFile():
        return n


def network(n: int) -> int:
    with socket.socket():
        return n


def thread(n: int) -> int:
    one = threading.Thread(target=int)
    one.start()
    one.join()
    return n


def process(n: int) -> int:
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    return n


def database(n: int) -> int:
    sqlite3.connect(":memory:").close()
    return n


def by_a_helper(n: int) -> int:
    return _helper(n)


def _helper(n: int) -> int:
    return n + int(time.monotonic()) * 0


def counts(n: int) -> int:
    COUNTS.append(n)
    return n + len(COUNTS)


def sometimes(n: int) -> int:
    """Twice the same, and then another."""
    COUNTS.append(n)
    return n + (len(COUNTS) - 1) // 2


def changes(numbers: list[int]) -> int:
    numbers.append(1)
    return 1


def raises_differently(n: int) -> int:
    COUNTS.append(n)
    raise ValueError(f"{len(COUNTS)}")


# --- what may be done -----------------------------------------------------------------------------


def computes(n: int) -> int:
    seeded = random.Random(7)
    moment = datetime.datetime(2026, 1, 31, tzinfo=ZoneInfo("Europe/London"))
    time.gmtime(0)
    logging.getLogger("impure").info("computing %s", n)
    return n + int(seeded.random()) + moment.hour + len(json.dumps([n]))


def imports(n: int) -> int:
    sys.modules.pop("colorsys", None)
    import colorsys

    return n + int(colorsys.rgb_to_hsv(0, 0, 0)[0])


def refuses(n: int) -> int:
    raise Refusal


class Refusal(FlowError):
    wire = "impure.Refusal"


class Desk:
    """A service: `look` reads, `keep` writes, `ship` is external."""

    def __init__(self, misuse: Any = None, write: Any = None) -> None:
        self._misuse = misuse or (lambda n: n)
        self._write = write or (lambda n: n)

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS kept (n INTEGER)")

    def look(self, tx: Any, n: int) -> int:
        rows: int = len(tx.execute("SELECT n FROM kept"))
        found: int = self._misuse(n)
        return found + rows * 0 + tx.now.year * 0

    def keep(self, tx: Any, n: int) -> None:
        tx.execute("INSERT INTO kept VALUES (?)", (n,))
        self._write(n)

    def ship(self, key: str, n: int) -> int:
        for misuse in (clock, chance, file, network, thread, database):
            misuse(n)
        return n
