"""Asks an interface whatever its OpenAPI document allows, and what it does not, by schemathesis:
`python -m tests.api.asking URL TOKEN EXAMPLES SEED` prints how often, or what was not so.

A program of its own: schemathesis changes hypothesis for the whole process, whose other tests would
print no examples any more.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import hypothesis

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import requests
    import schemathesis
    from schemathesis.generation import GenerationMode


def drive(url: str, token: str, examples: int, seed: int) -> int:
    """Ask each operation what its schema allows, and what it does not; how often."""
    headers = {"Authorization": f"Bearer {token}"}
    document = requests.get(f"{url}/openapi.json", headers=headers, timeout=10).json()
    schema = schemathesis.openapi.from_dict(document)
    asked = [0]
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)
            _ask(url, headers, strategy, examples, seed, asked)
    return asked[0]


def _ask(
    url: str,
    headers: dict[str, str],
    strategy: Any,
    examples: int,
    seed: int,
    asked: list[int],
) -> None:
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
        case.call_and_validate(base_url=url, headers=headers)

    try:
        ask()
    except hypothesis.errors.Unsatisfiable:
        return


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(drive(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
