"""The OpenAPI document is true: whatever it allows is taken, whatever it does not is refused, and
every answer is one that it tells of. Asked by schemathesis, over a socket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowrt.api.app import OPERATIONS
from tests.api.scene import token_of
from tests.api.serving import Served, served

ROOT = Path(__file__).parents[2]
FEW = 4
MANY = int(os.environ.get("FLOW_ASKED", "150"))


def drive(on: Served, examples: int, seed: int) -> int:
    """Ask each operation what its schema allows, and what it does not; how often."""
    asking = ["-m", "tests.api.asking", on.url, token_of("ann"), str(examples), str(seed)]
    ran = subprocess.run([sys.executable, *asking], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return int(ran.stdout)


def test_every_operation_is_as_the_document_says() -> None:
    with served() as on:
        assert drive(on, FEW, 1) > FEW * len(OPERATIONS)


@pytest.mark.campaign
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(2, 5))
def test_it_stays_so_however_often_it_is_asked(seed: int) -> None:
    with served() as on:
        assert drive(on, MANY, seed) > MANY * len(OPERATIONS)
