"""The examples' generated modules, for tests of what authors test theirs with."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.examples.loaded import loaded

EXAMPLES = {
    "loan": "loan",
    "small_channel": "channel",
    "purchase": "purchase",
    "small_trade": "trade",
}


@pytest.fixture(scope="package")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SimpleNamespace]]:
    """By name of the example, its Python modules; `flow` is the generated one."""
    opened = []
    found = {}
    for example, module in EXAMPLES.items():
        context = loaded(example, module, tmp_path_factory.mktemp(example))
        found[example] = context.__enter__()
        opened.append(context)
    yield found
    for context in reversed(opened):
        context.__exit__(None, None, None)
