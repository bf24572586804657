"""`python -m tests.processes STORY FOLDER [SETTINGS]`: one story, told as JSON.

A process of its own, because it forks: a test's process has threads. STORY is `campaign`, `flood`
or one of `scenarios`; SETTINGS is a JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from tests.processes import campaign, flood, points, scenarios
from tests.processes.campaign import Campaign
from tests.runtime.written import compiled


def _campaign(
    folder: Path,
    module: ModuleType,
    *,
    worlds: int = 1,
    times: int = 1,
    seed: int = 1,
    among: list[str] | None = None,
    born: bool = True,
    plant: str = "",
    patience_s: float = 15.0,
    enough: str = "",
) -> campaign.Report:
    """`worlds` worlds, each of which meets every point `times` times; no more of them when a
    finding of the kind `enough` was made."""
    begun = time.monotonic()
    held, findings = [], []
    for number in range(worlds):
        place = folder / str(number)
        place.mkdir()
        due = campaign.agenda(times, seed + number, among or campaign.EVERY)
        births = points.CREATING if born else ()
        one = Campaign(place, module, due, seed=seed + number, born=births, plant=plant)
        held.append(one)
        findings.append(one.hold(patience_s))
        if any(finding.kind == enough and finding.order for finding in findings[-1]):
            break
    found = campaign.report(held, findings, time.monotonic() - begun)
    found.table = campaign.as_table(found)
    return found


STORIES: dict[str, Any] = {
    "campaign": _campaign,
    "flood": flood.flood,
    "full_disk": scenarios.full_disk,
    "no_room_to_create": scenarios.no_room_to_create,
    "held": scenarios.held,
}


def main(story: str, folder: str, settings: str = "{}") -> None:
    module = compiled(Path(__file__).with_name("orders.flow").read_text())
    found = STORIES[story](scenarios.folder_of(folder), module, **json.loads(settings))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
