"""The purchase as an app of nodes: `apps = ["purchase"]` in `node.toml`.

A shop has its prices in a table: `[services.Warehouse]` with `prices = { drill = "249.00" }`.
"""

from __future__ import annotations

from flowlang.examples import compiled
from flowrt.serving.apps import App


def app() -> App:
    """The flows of a purchase, and a warehouse."""
    compiled("purchase")
    import purchase_flow
    from warehouse import Warehouse

    return App(modules=(purchase_flow,), services={"Warehouse": Warehouse})
