"""The OpenAPI document is true: whatever it allows is taken, whatever it does not is refused, and
every answer is one that it tells of. Asked by schemathesis, over a socket."""

from __future__ import annotations

import os
import warnings
from typing import Any

import hypothesis
import pytest

from flowrt.api.app import OPERATIONS
from tests.api.scene import token_of
from tests.api.serving import Served, served

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import requests
    import schemathesis
    from schemathesis.generation import GenerationMode

FEW = 4
MANY = int(os.environ.get("FLOW_ASKED", "150"))

HEADERS = {"Authorization": f"Bearer {token_of('ann')}"}


def drive(on: Served, operations: set[str] | None, examples: int, seed: int) -> int:
    """Ask each operation what its schema allows, and what it does not; how often."""
    document = requests.get(f"{on.url}/openapi.json", headers=HEADERS, timeout=10).json()
    schema = schemathesis.openapi.from_dict(document)
    asked = [0]
    for found in schema.get_all_operations():
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        if operations is not None and name not in operations:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)
            _ask(on, strategy, examples, seed, asked)
    return asked[0]


def _ask(on: Served, strategy: Any, examples: int, seed: int, asked: list[int]) -> None:
    living = range(1_000_000)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(case=strategy)
    def ask(case: Any) -> None:
        asked[0] += 1
        # Waiting as long as is allowed is not what is looked at.
        if "wait_s" in (case.query or {}):
            case.query["wait_s"] = 0
        # A stream of a flow that lives has no end.
        if case.operation.path.endswith("/progress") and case.path_parameters.get("id") in living:
            case.path_parameters["id"] = 10**9
        case.call_and_validate(base_url=on.url, headers=HEADERS)

    try:
        ask()
    except hypothesis.errors.Unsatisfiable:
        return


def test_every_operation_is_as_the_document_says() -> None:
    with served() as on:
        assert drive(on, None, FEW, 1) > FEW * len(OPERATIONS)


@pytest.mark.campaign
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(2, 5))
def test_it_stays_so_however_often_it_is_asked(seed: int) -> None:
    with served() as on:
        assert drive(on, None, MANY, seed) > MANY * len(OPERATIONS)
