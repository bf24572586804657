"""Worlds are played in silence, and leave no module behind."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Programs log much and fail on purpose. What stories made importable is not, afterwards."""
    logging.disable()
    known = dict(sys.modules)
    yield
    logging.disable(logging.NOTSET)
    for name in set(sys.modules) - set(known):
        if name.partition(".")[0] in ("flowlang", "flowrt", "tests"):
            continue  # Wherever this repository lies, its own modules stay.
        path = getattr(sys.modules[name], "__file__", None)
        if path is None or "/tmp" in path:
            del sys.modules[name]
