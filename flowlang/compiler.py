"""Every pass in order: text to syntax to meaning to blocks to machines. Reads and writes no file.

Start reading here. A pass takes what the one before it made and gives back a new value; a user's
mistakes are collected as diagnostics on the way, and a file with a mistake goes no further.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import keyword
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from flowlang import cfg, machine, protocol, syntax
from flowlang.checker import check, unused
from flowlang.conversation import Example
from flowlang.diagnostics import Diagnostic, did_you_mean, in_order
from flowlang.parser import parse
from flowlang.source import START, Source, Span
from flowlang.types import Checked

Loader: TypeAlias = Callable[[str], Source | Diagnostic | None]
"""A module's text by its name; what is wrong with its bytes; None if there is no such module."""

MAX_MODULES = 200
"""Files that one file may depend on, itself among them: nobody writes more, and a machine that does
must not stop us. A project may have more files than that."""


@dataclasses.dataclass(frozen=True)
class Compilation:
    """What became of some modules and of all that they use.

    `sources` are by the name that diagnostics give, `checked` and `modules` by module name, used
    ones first. `modules` are those without mistakes in them or in what they use.
    """

    sources: Mapping[str, Source]
    checked: Mapping[str, Checked]
    modules: Mapping[str, machine.Module]
    diagnostics: tuple[Diagnostic, ...]


def compile_modules(
    names: Iterable[str], load: Loader, known: Callable[[], Iterable[str]] = tuple
) -> Compilation:
    """Compile these modules and what they use. `known` lists the modules that there are: it is
    asked only when one is missing, for a "did you mean"."""
    files = _Files(load, known)
    files.read(names)
    order = files.in_order()
    checked: dict[str, Checked] = {}
    modules: dict[str, machine.Module] = {}
    diagnostics = list(files.diagnostics)
    for name in order:
        file, source = files.trees[name], files.sources[name]
        imports = {use.module: checked[use.module] for use in file.uses if use.module in checked}
        checked[name] = check(file, source, imports)
        diagnostics += checked[name].diagnostics
        complete = all(use.module in modules for use in file.uses)
        wrong = {found.source for found in diagnostics if found.severity == "error"}
        if complete and source.name not in wrong:
            modules[name] = module_of(checked[name], checked)
    sources = {source.name: source for source in files.sources.values()}
    return Compilation(sources, checked, modules, tuple(in_order(diagnostics)))


def remarks(compilation: Compilation) -> list[Diagnostic]:
    """Warnings and notes about the files in which, and in what they use, there is no mistake."""
    from flowlang.codegen import words  # Loaded late, since it brings the templates along.

    found = [unused.remarks(compilation.checked[name], words.name) for name in compilation.modules]
    return in_order(itertools.chain.from_iterable(found))


def misfits(compilation: Compilation) -> list[Diagnostic]:
    """What the two sides of a session would run into, for the files without mistakes."""
    found = []
    for name in compilation.modules:
        used = [compilation.modules[one] for one in _reached(name, compilation)]
        found += protocol.findings(compilation.modules[name], used, compilation.sources)
    return in_order(found)


def conversations(compilation: Compilation) -> list[Example]:
    """Conversations that have every message of every session, for the files without mistakes."""
    found = []
    # Who answers for a role may stand in a file that nobody names.
    every = list(compilation.modules.values())
    for module in every:
        found += protocol.examples(module, every, compilation.sources)
    return found


def _reached(name: str, compilation: Compilation) -> list[str]:
    """A module and all that it uses, directly or not."""
    found: dict[str, None] = {}
    todo = [name]
    while todo:
        at = todo.pop()
        if at not in found:
            found[at] = None
            todo += [use.module for use in compilation.checked[at].file.uses]
    return list(found)


def module_of(checked: Checked, project: Mapping[str, Checked]) -> machine.Module:
    """The machines of a file without mistakes; `project` has all checked files by module."""
    declared = cfg.declarations(checked, project)
    flows = [one for one in checked.file.declarations if isinstance(one, syntax.Flow)]
    return machine.Module(
        format=machine.FORMAT,
        module=checked.source.module,
        # Not the name shown to people: a project gives the same bytes wherever it is compiled.
        source=f"{checked.source.module.replace('.', '/')}.flow",
        digest=hashlib.sha256(without_tests(checked.source, checked.file).encode()).hexdigest(),
        doc=checked.file.doc,
        uses=declared.uses,
        used_errors=declared.used_errors,
        records=declared.records,
        errors=declared.errors,
        functions=declared.functions,
        services=declared.services,
        enums=declared.enums,
        opaques=declared.opaques,
        machines=tuple(cfg.machine_of(cfg.build(flow, checked, project)) for flow in flows),
        schedules=declared.schedules,
        protocols=declared.protocols,
    )


def without_tests(source: Source, file: syntax.File) -> str:
    """The text of a file without its tests and the blank lines above each: a test that comes or
    changes does not change what is compiled."""
    if not file.tests:
        return source.text
    lines = source.text.split("\n")
    for test in reversed(file.tests):
        first = test.span.line - 1
        while first > 0 and not lines[first - 1].strip():
            first -= 1
        del lines[first : test.span.end_line]
    return "\n".join(lines)


class _Files:
    """The files of a compilation, read once each: their trees, and which uses which."""

    def __init__(self, load: Loader, known: Callable[[], Iterable[str]]) -> None:
        self.sources: dict[str, Source] = {}
        self.trees: dict[str, syntax.File] = {}
        self.diagnostics: list[Diagnostic] = []
        self._load = load
        self._known = known
        self._named: dict[str, None] = {}
        self._absent: dict[str, Diagnostic | None] = {}
        self._full = False

    def read(self, names: Iterable[str]) -> None:
        """Read these modules and all that they use."""
        self._named = dict.fromkeys(names)
        todo: list[tuple[str, Source | None, Span]] = [
            (name, None, START) for name in reversed(self._named)
        ]
        while todo:
            name, user, span = todo.pop()
            if name in self.trees:
                continue
            if name not in self._absent:
                todo += reversed(self._read(name, user, span))
            elif user is not None:
                self._report_absent(name, user, span)

    def _read(
        self, name: str, user: Source | None, span: Span
    ) -> list[tuple[str, Source | None, Span]]:
        """Read one file; what it uses is to be read next."""
        if len(self.trees) >= MAX_MODULES and name not in self._named:
            self._report_full(user, span)
            return []
        source = self._load(name)
        if not isinstance(source, Source):
            self._absent[name] = source
            self._report_absent(name, user, span)
            return []
        word = _word_of_python(name)
        if word is not None:
            self._report_word(name, word, source.name, START)
        parsed = parse(source)
        self.sources[name] = source
        self.trees[name] = parsed.file
        self.diagnostics += parsed.diagnostics
        return [(use.module, source, use.module_span) for use in parsed.file.uses]

    def _report_absent(self, name: str, user: Source | None, span: Span) -> None:
        """Say at a `use` that there is nothing; what is wrong with a file's bytes is said once."""
        found, word = self._absent[name], _word_of_python(name)
        if found is not None:
            if found not in self.diagnostics:
                self.diagnostics.append(found)
        elif word is not None and user is not None:
            self._report_word(name, word, user.name, span)
        else:
            self._report_missing(name, user, span)

    def in_order(self) -> list[str]:
        """The modules, each after those that it uses; a circle is reported and cut."""
        done: dict[str, None] = {}
        for name in self._named:
            if name in self.trees:
                self._visit(name, done)
        self._limit(done)
        return list(done)

    def _limit(self, order: Iterable[str]) -> None:
        """Report the first module, of those in order, that depends on too many others."""
        reached: dict[str, frozenset[str]] = {}
        for name in order:
            uses = [use for use in self.trees[name].uses if use.module in reached]
            reached[name] = frozenset({name}).union(*(reached[use.module] for use in uses))
            if len(reached[name]) > MAX_MODULES:
                widest = max(uses, key=lambda use: len(reached[use.module]))
                self._report_full(self.sources[name], widest.module_span)
                return

    def _visit(self, start: str, done: dict[str, None]) -> None:
        if start in done:
            return
        path = [start]
        rest = [iter(self.trees[start].uses)]
        while path:
            use = next(rest[-1], None)
            if use is None:
                done[path.pop()] = None
                rest.pop()
            elif use.module in path:
                self._report_circle(path, use)
            elif use.module in self.trees and use.module not in done:
                path.append(use.module)
                rest.append(iter(self.trees[use.module].uses))

    # --- mistakes ---------------------------------------------------------------------------

    def _report_missing(self, name: str, user: Source | None, span: Span) -> None:
        hint = did_you_mean(name, self._known())
        self._report(
            "F711",
            f"there is no module `{name}`",
            user.name if user is not None else name,
            span,
            hint or f"a module is a file: `{name.replace('.', '/')}.flow`",
        )

    def _report_word(self, name: str, word: str, source: str, span: Span) -> None:
        self._report(
            "F710",
            f"`{name}` cannot be a module: `{word}` is a word of Python",
            source,
            span,
            "rename the file or the folder",
        )

    def _report_full(self, user: Source | None, span: Span) -> None:
        if not self._full and user is not None:
            self._full = True
            self._report(
                "F713",
                f"more than {MAX_MODULES} files use each other",
                user.name,
                span,
                "compile parts of the project on their own",
            )

    def _report_circle(self, path: list[str], use: syntax.Use) -> None:
        circle = [*path[path.index(use.module) :], use.module]
        shown = circle if len(circle) <= 6 else [*circle[:3], "…", *circle[-2:]]
        name = self.sources[path[-1]].name
        if len(circle) == 2:
            hint = "remove this line: its own declarations are known already"
            self._report("F712", "a module cannot use itself", name, use.module_span, hint)
        else:
            message = f"these modules use each other in a circle: {' -> '.join(shown)}"
            hint = "move what both need into a module that uses neither"
            self._report("F712", message, name, use.module_span, hint)

    def _report(self, code: str, message: str, source: str, span: Span, hint: str) -> None:
        self.diagnostics.append(Diagnostic(code, message, source, span, hint))


def _word_of_python(name: str) -> str | None:
    """The part of a module's name that Python would not take for a name."""
    return next((part for part in name.split(".") if keyword.iskeyword(part)), None)
