"""Flows made ready to be played in worlds: compiled in memory, imported, and let go afterwards.

It makes scenarios from words of the command line, and again from a replay file. Plays nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from flowlang.cli.compiling import compile_or_exit, generate
from flowlang.cli.printing import print_json
from flowlang.project import Project, sources_below

if TYPE_CHECKING:
    from flowrt.sim.replay import Story
    from flowrt.sim.scenario import Scenario


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be played: `files` and the flows in them, or an object `target` of the author's
    Python (`module:object`); `written` are arguments of `flow` as `key=value`. With `compare`, a
    world must end as it does undisturbed."""

    files: tuple[str, ...] = ()
    flow: str | None = None
    written: tuple[str, ...] = ()
    parties: int = 3
    most: int = 3
    services: str | None = None
    target: str | None = None
    compare: bool = False

    def story(self, sources: Mapping[str, str]) -> Story:
        """How a replay file says it."""
        from flowrt.sim.replay import Story

        kind = "object" if self.target is not None else "generic"
        parameters = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return Story(kind, parameters, dict(sources))

    @classmethod
    def again(cls, story: Story) -> Wanted:
        """What a replay file says. Raises ValueError."""
        import msgspec

        if story.kind not in ("generic", "object"):
            raise ValueError(f"it was played by a scenario `{story.kind}`, which is unknown here")
        try:
            return msgspec.convert(story.parameters, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"its parameters are damaged: {error}") from None


@dataclasses.dataclass(frozen=True)
class Ready:
    """A scenario that can be played, and the hashes of the sources that it was made from."""

    scenario: Scenario
    sources: Mapping[str, str]


@contextlib.contextmanager
def told(as_json: bool) -> Iterator[None]:
    """What cannot be played is told, and flowc ends: 1, or 2 for wrong usage."""
    from flowlang import run

    try:
        yield
    except run.CannotRun as trouble:
        if as_json:
            print_json({"ok": False, "message": str(trouble)})
        else:
            click.echo(f"error: {trouble}", err=True)
        sys.exit(2 if isinstance(trouble, run.WrongUsage) else 1)


def made(folder: Path) -> Path:
    """The folder, made if it is not there. Raises CannotRun."""
    from flowlang.run import CannotRun

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"cannot make {folder}: {error.strerror}") from None
    return folder


@contextlib.contextmanager
def ready(wanted: Wanted, as_json: bool = False) -> Iterator[Ready]:
    """The scenario; its modules can be imported within this block, and are forgotten after it.

    Raises:
        CannotRun: files, flow, arguments, services or the author's scenario do not fit.
    """
    from flowlang import run
    from flowrt.sim.replay import source_hash

    known = set(sys.modules)
    disabled = logging.root.manager.disable
    with tempfile.TemporaryDirectory() as work:
        folders = [Path(work)]
        names: list[str] = []
        own: list[str] = []
        hashes: dict[str, str] = {}
        if wanted.files:
            files = sources_below(map(Path, wanted.files))
            compilation = compile_or_exit(files, as_json)
            project = Project.around(files[0])
            own = [project.module_of(path) for path in files]
            names = own + [name for name in compilation.modules if name not in own]
            generate(compilation, Path(work))
            folders.append(project.sources)
            hashes = {
                f"{source.module.replace('.', '/')}.flow": source_hash(source.text.encode())
                for source in compilation.sources.values()
            }
        with run.importable(*folders, Path.cwd()):
            importlib.invalidate_caches()
            # Nodes log whatever goes wrong, and here everything does.
            logging.disable(logging.CRITICAL)
            try:
                yield Ready(_scenario(wanted, run.import_generated(names), len(own)), hashes)
            finally:
                logging.disable(disabled)
                for name in set(sys.modules) - known:
                    if _is_theirs(sys.modules[name], folders):
                        del sys.modules[name]


def _is_theirs(module: ModuleType, folders: Sequence[Path]) -> bool:
    """Whether a module is an author's, and may be another one the next time."""
    file = getattr(module, "__file__", None)
    if module.__name__.partition(".")[0] in ("flowlang", "flowrt"):
        return False  # Our own, which may lie in the same folder.
    return (
        file is not None
        and "site-packages" not in file
        and any(
            Path(file).is_relative_to(folder.resolve()) or Path(file).is_relative_to(folder)
            for folder in folders
        )
    )


def _scenario(wanted: Wanted, modules: Sequence[ModuleType], own: int) -> Scenario:
    from flowlang import run
    from flowrt.core.registry import NotRegistrable
    from flowrt.sim import generic
    from flowrt.sim.exhaustive import Compared

    if wanted.target is not None:
        return _object(wanted.target)
    flow = _flow(modules, own, wanted.flow) if wanted.flow is not None else None
    if wanted.written and flow is None:
        raise run.WrongUsage("arguments are those of one flow; name it with --flow")
    arguments: dict[str, Any] = {}
    if flow is not None:
        # What is missing is made up in each world.
        arguments = run.arguments_of(flow, wanted.written, modules, partly=True)
    parties = run.parties_in(arguments, generic.NAMES[0])
    parties += [name for name in generic.NAMES if name not in parties]
    for party in parties[: wanted.parties]:
        run.check_party(party)
    count = max(wanted.parties, len(run.parties_in(arguments, generic.NAMES[0])))
    try:
        scenario = generic.Generic(
            modules,
            flow=flow,
            arguments=arguments,
            parties=parties[:count],
            most=wanted.most,
            services=run.find_services(wanted.services) if wanted.services else None,
        )
        return Compared(scenario) if wanted.compare else scenario
    except (generic.NotPlayable, NotRegistrable) as error:
        raise run.CannotRun(str(error)) from None


def _flow(modules: Sequence[ModuleType], own: int, name: str) -> Any:
    """The flow of that name in one of the files that were named."""
    from flowlang import run

    trouble = None
    for module in modules[:own]:
        try:
            return run.find_flow([module], name)
        except run.WrongUsage as error:
            trouble = trouble or error
    assert trouble is not None
    raise trouble


def _object(target: str) -> Scenario:
    """The scenario `module:object`; a class is called."""
    from flowlang import run

    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise run.WrongUsage(f"--scenario {target}: {error}") from None
    scenario = found() if isinstance(found, type) else found
    for wanted in ("name", "build", "judge"):
        if not hasattr(scenario, wanted):
            raise run.WrongUsage(f"--scenario {target}: this is no scenario: it has no `{wanted}`")
    return scenario  # type: ignore[no-any-return]  # what it has was looked at above
