"""Every scenario is played twice: with stores in memory and with SQLite files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol

import pytest

from tests.conformance.scene import InMemory, OnDisk, Scene, Services, program
from tests.runtime.conftest import tmp_path

__all__ = ["play", "tmp_path"]

Programs = str | Mapping[str, str | Sequence[ModuleType]]


class Play(Protocol):
    """Sets a scene: a program that all parties run, or a program (or its modules) for each."""

    def __call__(
        self,
        programs: Programs,
        parties: str = "alice bob",
        services: Services | None = None,
    ) -> Scene: ...


@pytest.fixture(params=["memory", "sqlite"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Play]:
    with contextlib.ExitStack() as over:

        def set_scene(
            programs: Programs,
            parties: str = "alice bob",
            services: Services | None = None,
        ) -> Scene:
            if isinstance(programs, str):
                programs = dict.fromkeys(parties.split(), programs)
            modules = {
                party: [program(what)] if isinstance(what, str) else list(what)
                for party, what in programs.items()
            }
            if request.param == "memory":
                scene: Scene = InMemory(modules, services)
            else:
                scene = OnDisk(modules, services, tmp_path)
            over.callback(scene.close)
            return scene

        yield set_scene
