"""The examples' flows in worlds where everything goes wrong, judged by the examples' own rules.

What is judged after every commit is what nobody may ever see broken: nothing is sold twice, no
money appears or is lost. What is judged at the end is what the flows promise once all is well
again. Knows nothing of seeds and of how many worlds there are.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flowrt.core.flow import FlowError, Party
from flowrt.handle import StillRunning
from flowrt.sim import Host, Started, Violation, World
from flowrt.store import Batch
from tests.examples.loaded import loaded

_open = contextlib.ExitStack()
_apps: dict[str, SimpleNamespace] = {}


def app(example: str, module: str) -> SimpleNamespace:
    """An example's modules, compiled once for this process."""
    if example not in _apps:
        folder = _open.enter_context(tempfile.TemporaryDirectory())
        with loaded(example, module, Path(folder)) as found:
            _apps[example] = found
    return _apps[example]


def rows(host: Host, sql: str) -> list[tuple[Any, ...]]:
    """What is on a party's disk now, whether its process lives or not."""
    tables = host.disk.tables
    return tables.execute(sql).fetchall() if tables is not None else []


def ended(world: World, started: Started) -> Any:
    """What a flow came to: its result, the error that ended it, or StillRunning."""
    try:
        return world.result(started)
    except (FlowError, StillRunning) as error:
        return error


def require(condition: object, rule: str, text: str) -> None:
    if not condition:
        raise Violation(rule, text)
