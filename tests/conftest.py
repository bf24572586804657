"""How hypothesis runs: new examples at every desk, the same ones for every submission.
And when garbage is looked for: seldom.
"""

from __future__ import annotations

import gc
import os

from hypothesis import settings

settings.register_profile("desk", print_blob=True, deadline=None)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_collection_finish() -> None:
    """Thousands of collected tests are looked through for garbage over and over otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
