"""The tests of a project: found in its files, compiled, and their Python imported for a while.

Knows neither pytest nor the command line. Several projects may have modules of one name, so what
was imported for one is put away when another's turn comes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from flowlang import standard
from flowlang.build import Texts, all_python
from flowlang.compiler import Compilation, compile_modules
from flowlang.diagnostics import Diagnostic
from flowlang.machine import Module
from flowlang.project import Project, read, write_all
from flowlang.source import Source
from flowlang.testing.plan import Plan
from flowlang.testing.playing import Failure, Played, play
from flowlang.testing.reading import plans

HAS_TESTS = re.compile(rb"^test[ \t]+\"", re.M)
"""Only a file that looks like that is compiled for its tests."""


def has_tests(path: Path) -> bool:
    """Whether a file may have tests, told by its text alone."""
    return HAS_TESTS.search(read(path)) is not None


class Workshop:
    """One project: its tests, its machines, and its Python while a test runs.

    `diagnostics` are the mistakes of its files; where there are some, there are no tests.
    """

    def __init__(self, project: Project, files: Sequence[Path]) -> None:
        self.project = project
        names = [project.module_of(path) for path in files]
        made = compiled(project, files)
        self.compilation = made
        self.diagnostics: Sequence[Diagnostic] = made.diagnostics
        self.sources: Mapping[str, Source] = made.sources
        self.machines: Mapping[str, Module] = made.modules
        self.tests: dict[Path, tuple[Plan, ...]] = {
            path: plans(made.checked[name]) if name in made.modules else ()
            for path, name in zip(files, names, strict=True)
        }
        self._folder = tempfile.TemporaryDirectory(prefix="flowtest-")
        self._imported: dict[str, ModuleType] = {}
        folder = Path(self._folder.name)
        try:
            write_all(all_python(made, folder), folder)
        except BaseException:
            self._folder.cleanup()
            raise
        importlib.invalidate_caches()

    def close(self) -> None:
        """Remove what was generated."""
        self._folder.cleanup()

    def play(self, test: Plan, *, seed: int | None = None) -> Played:
        """Run a test. What its Python cannot do is its failure."""
        with self.importable():
            try:
                modules = self.python_of(self._uses(test))
            except Exception as error:
                happened = f"{type(error).__name__}: {error}"
                failure = Failure(test.place, "the Python of this file can be imported", happened)
                return Played(test, failure, (), ())
            return play(test, modules, seed=seed)

    def _uses(self, test: Plan) -> list[str]:
        """The module of a test and all that it uses."""
        found: dict[str, None] = {}
        waiting = [test.module]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = None
                waiting += self.machines[name].uses
        return list(found)

    def python_of(self, names: Iterable[str]) -> list[ModuleType]:
        """The generated Python of modules, where it is importable. Raises what they raise."""
        return [importlib.import_module(standard.imported_as(name)) for name in names]

    @contextlib.contextmanager
    def importable(self) -> Iterator[None]:
        """The project's own Python, and nobody else's of that name."""
        folders = [self._folder.name, str(self.project.sources)]
        outside = {name: sys.modules.pop(name) for name in self._foreign()}
        sys.modules.update(self._imported)
        sys.path[:0] = folders
        before = set(sys.modules) - set(self._imported)
        try:
            yield
        finally:
            for folder in folders:
                sys.path.remove(folder)
            for name in [name for name in sys.modules if name not in before]:
                if _is_below(sys.modules[name], folders):
                    self._imported[name] = sys.modules.pop(name)
            sys.modules.update(outside)

    def _foreign(self) -> list[str]:
        """Modules that are there already under names of this project."""
        tops = {path.name.partition(".")[0] for path in self.project.sources.iterdir()}
        tops |= {path.name.partition(".")[0] for path in Path(self._folder.name).iterdir()}
        taken = [name for name in sys.modules if name.partition(".")[0] in tops]
        return [name for name in taken if not _is_library(sys.modules[name])]


def compiled(project: Project, files: Sequence[Path]) -> Compilation:
    """Files of a project and all that they use. Raises FileTrouble."""
    names = [project.module_of(path) for path in files]
    return compile_modules(names, Texts(project).load, project.modules)


@dataclasses.dataclass(frozen=True)
class _Group:
    project: Project
    files: list[Path]


def workshops(files: Iterable[Path], *, with_all: bool = False) -> list[Workshop]:
    """Files with tests, or all of them, by project. Raises FileTrouble."""
    groups: dict[Path, _Group] = {}
    for path in files:
        if with_all or has_tests(path):
            project = Project.around(path)
            group = groups.setdefault(project.sources.resolve(), _Group(project, []))
            group.files.append(path)
    return [Workshop(group.project, group.files) for group in groups.values()]


def _is_below(module: ModuleType, folders: Sequence[str]) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and Path(place).is_relative_to(f) for place in places for f in folders)


def _is_library(module: ModuleType) -> bool:
    """What Python itself or an installed package brings is never put away."""
    place = getattr(module, "__file__", None)
    if place is None:
        return not hasattr(module, "__path__")
    return "site-packages" in place or place.startswith(sys.base_prefix + "/lib")
