"""The pytest plugin: `.flow` files with tests are collected; worlds to test in; coverage of flows.

Loaded by every pytest, so it imports nothing of ours before it is needed. Makes no fixture that
anybody has without asking.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flowlang.testing.gathering import Workshop
    from flowlang.testing.plan import Plan
    from flowlang.testing.tally import Tally
    from flowrt.node import Node
    from flowrt.sim import World
    from flowrt.transport.memory import MemoryNetwork

_HAS_TESTS = re.compile(rb"^test[ \t]+\"", re.M)
_SENT = "flow_coverage"
"""Under this name a worker of xdist hands on what it has counted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, all beginning with `--flow-`."""
    group = parser.getgroup("flow", "flows")
    group.addoption(
        "--flow-coverage",
        action="store_true",
        help="show what of the flows no test has seen: states, ways between them, messages",
    )
    group.addoption(
        "--flow-coverage-min",
        type=_percent,
        metavar="PERCENT",
        help="fail if less than so much was seen; shows it, too",
    )
    group.addoption(
        "--flow-seed",
        type=int,
        metavar="SEED",
        help="choices of the worlds in which flows are tested; none: all in order",
    )


def _percent(text: str) -> float:
    found = float(text)
    if not 0 <= found <= 100:
        raise ValueError(text)
    return found


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count, if that is wanted."""
    if config.getoption("--flow-coverage") or config.getoption("--flow-coverage-min") is not None:
        counting = _Counting(config)
        config.pluginmanager.register(counting, "flow-coverage")


# --- tests in .flow files -----------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> FlowFile | None:
    """A `.flow` file that has tests."""
    if file_path.suffix != ".flow" or not _HAS_TESTS.search(file_path.read_bytes()):
        return None
    file: FlowFile = FlowFile.from_parent(parent, path=file_path)
    return file


class FlowFile(pytest.File):
    """One `.flow` file. It and what it uses are compiled when its tests are collected."""

    workshop: Workshop | None = None

    def collect(self) -> Iterable[pytest.Item]:
        from flowlang.diagnostics import as_text
        from flowlang.project import FileTrouble, Project
        from flowlang.testing.gathering import Workshop

        try:
            self.workshop = Workshop(Project.around(self.path), [self.path])
        except FileTrouble as trouble:
            raise self.CollectError(f"{trouble.path}: {trouble.message}") from None
        wrong = self.workshop.diagnostics
        if wrong:
            self.workshop.close()
            sources = self.workshop.sources
            raise self.CollectError("\n".join(as_text(one, sources) for one in wrong))
        counting = self.config.pluginmanager.get_plugin("flow-coverage")
        if counting is not None:
            counting.know(self.workshop)
        for test in self.workshop.tests[self.path]:
            yield FlowItem.from_parent(self, name=test.name, plan=test)

    def teardown(self) -> None:
        if self.workshop is not None:
            self.workshop.close()
            self.workshop = None


class FlowItem(pytest.Item):
    """One test of a `.flow` file."""

    def __init__(self, *, plan: Plan, **rest: Any) -> None:
        super().__init__(**rest)
        self.plan = plan

    def runtest(self) -> None:
        assert isinstance(self.parent, FlowFile)
        assert self.parent.workshop is not None
        seed = self.config.getoption("--flow-seed")
        played = self.parent.workshop.play(self.plan, seed=seed)
        if played.failure is not None:
            raise FlowFailed(played.text())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, FlowFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.plan.place.line - 1, f'test "{self.name}"'


class FlowFailed(Exception):
    """A test of a `.flow` file failed; the text is for people."""


# --- fixtures -----------------------------------------------------------------------------------


@pytest.fixture
def network() -> MemoryNetwork:
    """A network in memory, for nodes that a test opens itself."""
    from flowrt.transport.memory import MemoryNetwork

    return MemoryNetwork()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world of its own for the test: virtual time, nothing goes wrong. Closed at its end."""
    from flowrt.sim import Tape, World

    with World(Tape(request.config.getoption("--flow-seed")), reload=False, batch=512) as made:
        yield made


@pytest.fixture
def node(world: World) -> Callable[..., Node]:
    """`node("alice", [module], services={…})` opens a node in the test's `world`.

    It acts when the world goes on: `world.run()`, or `world.sleep(duration)`.
    """

    def opened(
        party: str,
        modules: Sequence[ModuleType],
        services: Mapping[str, object] | None = None,
    ) -> Node:
        world.add(party, modules, services)
        return world.node(party)

    return opened


# --- coverage -----------------------------------------------------------------------------------


class _Counting:
    """Counts what all worlds of the session have seen, and reports it in the end."""

    def __init__(self, config: pytest.Config) -> None:
        from flowlang.testing.tally import Tally
        from flowrt.sim import world

        self._config = config
        self._least: float | None = config.getoption("--flow-coverage-min")
        self._sources: set[Path] = set()
        self._worlds = world
        self.tally: Tally = Tally()
        world.watchers.append(self._see)

    def know(self, workshop: Workshop) -> None:
        """The flows of a file with tests, and of what it uses."""
        names = {one.module: one.name for one in workshop.sources.values()}
        self.tally.know(workshop.machines.values(), names)

    def _see(self, world: World) -> None:
        self.tally.see(world.history)
        for host in world.hosts.values():
            for module in host.modules:
                place = Path(getattr(module, "__file__", None) or "")
                self._sources.add(place.with_name(f"{place.stem.removesuffix('_flow')}.flow"))

    def _know_sources(self) -> None:
        """The flows of generated modules that stand beside their sources."""
        from flowlang.project import FileTrouble, Project
        from flowlang.testing.gathering import compiled

        for path in sorted(path for path in self._sources if path.is_file()):
            try:
                made = compiled(Project.around(path), [path])
            except FileTrouble:
                continue
            names = {one.module: one.name for one in made.sources.values()}
            self.tally.know(made.modules.values(), names)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand on what was counted, or judge it."""
        self._worlds.watchers.remove(self._see)
        self._know_sources()
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_SENT] = self.tally.data()
        elif self._is_short() and session.exitstatus in (0, 5):
            session.exitstatus = 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended."""
        data = getattr(node, "workeroutput", {}).get(_SENT)
        if data is not None:
            self.tally.add(data)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The report."""
        terminalreporter.write_sep("=", "coverage of flows")
        terminalreporter.write_line(self.tally.table())
        if self._is_short():
            wanted = f"{self._least:g} % are wanted (--flow-coverage-min)"
            seen = f"{self.tally.shown()} % of states, ways and messages"
            terminalreporter.write_line(f"FAILED: {seen} were seen, {wanted}", red=True)

    def _is_short(self) -> bool:
        return self._least is not None and self.tally.percent() < self._least
