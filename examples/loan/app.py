"""The loan as an app of nodes: `apps = ["loan"]` in `node.toml`.

A lender has money in its table: `[services.Treasury]` with `units`, `most` and `rate`.
"""

from __future__ import annotations

from flowlang.examples import compiled
from flowrt.serving.apps import App


def app() -> App:
    """The flows of a loan, and a treasury."""
    compiled("loan")
    import loan_flow
    from treasury import Treasury

    return App(modules=(loan_flow,), services={"Treasury": Treasury})
