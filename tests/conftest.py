"""How hypothesis runs: new examples at every desk, the same ones for every submission."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("desk", print_blob=True, deadline=None)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
