"""A project checked and compiled again only where something changed.

Of each module is kept what was found in it, under a digest of its text and of all texts that it
uses, directly or not. Asks `project` for bytes and `compiler` for answers, and imports the latter
only where there is something to compile. What does not fit the simple case (a module is missing,
a circle, too many files) is compiled as a whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from flowlang import standard
from flowlang.diagnostics import Diagnostic, as_data, from_data, in_order
from flowlang.project import (
    Cache,
    FileTrouble,
    Project,
    file_digest,
    read,
    shown,
    write_all,
)
from flowlang.source import Source

if TYPE_CHECKING:
    from flowlang.compiler import Compilation

MOST_REMEMBERED = 1_000
"""Modules of which answers are kept although the last run did not ask for them."""


class Texts:
    """The modules' bytes, read once; `depends` are all files that were looked for, as they were."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.depends: dict[str, str | None] = {}
        self.files: dict[str, Path] = {}
        self._bytes: dict[str, bytes | None] = {}
        for folder in {project.sources, *((project.settings or project.sources).parents[:1])}:
            settings = folder / "pyproject.toml"
            self.depends[str(settings)] = file_digest(settings)

    def bytes_of(self, module: str) -> bytes | None:
        """None if there is no such module. Raises FileTrouble."""
        if module not in self._bytes:
            for place in self.project.candidates(module):
                self.depends[str(place.file)] = None
            place_found = self.project.find(module)
            data = None if place_found is None else read(place_found.file)
            if place_found is not None and data is not None:
                self.files[module] = place_found.file
                self.depends[str(place_found.file)] = hashlib.sha256(data).hexdigest()
            self._bytes[module] = data
        return self._bytes[module]

    def digest(self, module: str) -> str | None:
        """The digest of a module's text; None if there is no such module."""
        return None if self.bytes_of(module) is None else self.depends[str(self.files[module])]

    def load(self, module: str) -> Source | Diagnostic | None:
        """A module for the compiler."""
        from flowlang.parser import decode

        data = self.bytes_of(module)
        return None if data is None else decode(shown(self.files[module]), module, data)


@dataclasses.dataclass
class Kept:
    """What is known of one module: the digest of its text, what it uses, what was found in it, and
    once it was compiled the digests of all that it depends on (`key`) and of its Python."""

    text: str
    uses: list[str]
    found: list[dict[str, Any]]
    key: str | None = None
    python: str | None = None


@dataclasses.dataclass
class Built:
    """What is known of a project: all diagnostics, with remarks; the modules, used ones among them;
    what was compiled just now, if anything was."""

    diagnostics: list[Diagnostic]
    files: list[str]
    modules: list[str]
    texts: Texts
    kept: dict[str, Kept]
    compilation: Compilation | None


def build(project: Project, names: Sequence[str], cache: Cache | None) -> Built:
    """Check modules and all that they use. Raises FileTrouble."""
    texts = Texts(project)
    kept = _remembered(cache, project) if cache is not None else {}
    for name in _reached(names, kept):
        texts.bytes_of(name)
    changed = {name for name in _reached(names, kept) if not _is_known(name, texts, kept)}
    again = _dependents(changed, kept, names)
    if not again:
        return _from_kept(names, texts, kept, None)
    compilation = _compiled([name for name in _reached(names, kept) if name in again], texts)
    found = _by_source(compilation)
    if not _agrees(compilation, found, again, kept):
        compilation = _compiled(names, texts)
        found, kept, again = _by_source(compilation), {}, set(compilation.checked)
    if not _is_simple(compilation):
        return _whole(_compiled(names, texts), texts)
    _keep(compilation, found, again, kept, texts)
    built = _from_kept(names, texts, kept, compilation)
    if cache is not None:
        remember(built, cache)
    return built


def _compiled(names: Iterable[str], texts: Texts) -> Compilation:
    from flowlang.compiler import compile_modules

    with _unswept():
        return compile_modules(names, texts.load, texts.project.modules)


@contextlib.contextmanager
def _unswept() -> Iterator[None]:
    """Nothing that is made here is garbage before the end, and looking for some takes a third of
    the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _is_known(name: str, texts: Texts, kept: Mapping[str, Kept]) -> bool:
    return name in kept and texts.digest(name) == kept[name].text


def _reached(names: Iterable[str], kept: Mapping[str, Kept]) -> list[str]:
    """These modules and what they used when they were last looked at."""
    found: dict[str, None] = {}
    waiting = list(names)[::-1]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += kept[name].uses[::-1] if name in kept else []
    return list(found)


def _dependents(changed: set[str], kept: Mapping[str, Kept], names: Sequence[str]) -> set[str]:
    """What changed, and what uses that, directly or not."""
    users: dict[str, list[str]] = {}
    for name in _reached(names, kept):
        for used in kept[name].uses if name in kept else ():
            users.setdefault(used, []).append(name)
    found, waiting = set(changed), list(changed)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in found:
                found.add(user)
                waiting.append(user)
    return found


def _is_simple(compilation: Compilation) -> bool:
    """Whether each module's answer depends on what it uses and on nothing else: all are there, and
    there is no circle."""
    whole = {"F001", "F002", "F003", "F710", "F711", "F712", "F713"}
    return not any(found.code in whole for found in compilation.diagnostics)


def _agrees(
    compilation: Compilation, found: _Found, again: set[str], kept: Mapping[str, Kept]
) -> bool:
    """Whether nothing else was found in modules that did not change. Otherwise something depends
    on more than what it uses, and all must be looked at."""
    return all(
        found.get(checked.source.name, []) == kept[name].found
        for name, checked in compilation.checked.items()
        if name not in again and name in kept
    )


_Found: TypeAlias = dict[str, list[dict[str, Any]]]


def _by_source(compilation: Compilation) -> _Found:
    """What was found, by the file that it was found in."""
    from flowlang.compiler import misfits, remarks

    found: _Found = {}
    all_found = [*compilation.diagnostics, *remarks(compilation), *misfits(compilation)]
    for one in in_order(all_found):
        found.setdefault(one.source, []).append(as_data(one))
    return found


def _keep(
    compilation: Compilation, found: _Found, again: set[str], kept: dict[str, Kept], texts: Texts
) -> None:
    for name, checked in compilation.checked.items():
        if name in again or name not in kept:
            uses = list(dict.fromkeys(use.module for use in checked.file.uses))
            kept[name] = Kept(texts.digest(name) or "", uses, found.get(checked.source.name, []))


def _from_kept(
    names: Sequence[str], texts: Texts, kept: dict[str, Kept], compilation: Compilation | None
) -> Built:
    modules = _reached(names, kept)
    for name in modules:
        texts.bytes_of(name)
    found = [from_data(one) for name in modules for one in kept[name].found]
    files = sorted(shown(texts.files[name]) for name in modules)
    return Built(in_order(found), files, modules, texts, kept, compilation)


def _whole(compilation: Compilation, texts: Texts) -> Built:
    from flowlang.compiler import misfits, remarks

    found = in_order([*compilation.diagnostics, *remarks(compilation), *misfits(compilation)])
    # Of some files not even the characters could be read.
    files = sorted({*compilation.sources, *(one.source for one in found)})
    return Built(found, files, list(compilation.modules), texts, {}, compilation)


# --- Python -----------------------------------------------------------------------------------


def python_files(built: Built, path_of: Callable[[str], Path | None]) -> Iterator[tuple[Path, str]]:
    """The Python of each module that is not already at the path where it belongs; None for one
    that is not to be written. The project has no mistakes."""
    keys = _keys(built)
    stale = []
    for name in built.modules:
        path = path_of(name)
        kept = built.kept.get(name)
        if path is None:
            continue
        if kept is None or kept.key != keys[name] or kept.python != file_digest(path):
            stale.append((name, path))
    if stale:
        from flowlang.codegen import generate

        compilation = built.compilation
        if compilation is None or any(name not in compilation.modules for name, _ in stale):
            compilation = _compiled([name for name, _ in stale], built.texts)
        for name, path in stale:
            text = generate(compilation.modules[name])
            if name in built.kept:
                built.kept[name].key = keys[name]
                built.kept[name].python = hashlib.sha256(text.encode()).hexdigest()
            yield path, text


def write_python(built: Built, folder: Path | None = None) -> list[Path]:
    """Write the Python that is not as it should be, below `folder` or where the project has it;
    returns the files that changed. Raises FileTrouble."""
    root = folder or built.texts.project.output

    def path_of(module: str) -> Path | None:
        return None if _brings_python(module, built.texts) else _below(root, module)

    with _unswept():
        files = dict(python_files(built, path_of))
    return sorted(write_all(files, root))


def _brings_python(module: str, texts: Texts) -> bool:
    """Whether the module's Python is installed already, with the library or a package that has it
    beside its text. Raises FileTrouble."""
    place = texts.project.find(module)
    if place is not None and place.standard:
        return True
    if place is None or place.package is None or not place.package.brings_python:
        return False
    python = place.file.with_name(f"{place.file.stem}_flow.py")
    if not python.is_file():
        raise FileTrouble(
            "F717",
            shown(place.file),
            f"the package `{place.package.imported}` has no {python.name} for this file, and it can"
            " be nowhere else",
            "ask its maker to run `flowc compile` before the package is built",
        )
    if not any(_is_made_from(python, module, digest) for digest in _digests(module, texts)):
        raise FileTrouble(
            "F717",
            shown(python),
            f"this was made from another {place.file.name} than the one beside it",
            "ask the package's maker to run `flowc compile` before the package is built",
        )
    return True


def all_python(compilation: Compilation, folder: Path) -> dict[Path, str]:
    """The Python of compiled modules, by the files below `folder` where it belongs; what comes with
    flowlang is there already.

    Raises:
        FileTrouble: a module of the library was changed and not compiled since.
    """
    from flowlang.codegen import generate

    files = {}
    for name, module in compilation.modules.items():
        if not standard.has(name):
            files[_below(folder, name)] = generate(module)
        elif not _is_made_from(standard.python_of(name), name, module.digest):
            raise FileTrouble(
                "F717",
                shown(standard.python_of(name)),
                f"this was made from another {name.replace('.', '/')}.flow than the one that comes"
                " with flowlang",
                "install flowlang again; who changes its library runs `make stdlib`",
            )
    return files


def _below(folder: Path, module: str) -> Path:
    return folder.joinpath(*f"{module}_flow".split(".")).with_suffix(".py")


def _is_made_from(python: Path, module: str, digest: str) -> bool:
    """Whether generated Python says that it was made from the text of that digest."""
    try:
        return f"module {module}, sha256 {digest}\n" in python.read_text("utf-8", errors="replace")
    except OSError:
        return False


def _digests(module: str, texts: Texts) -> Iterator[str]:
    """What the module's Python may tell as the digest of its text: tests are not counted, and only
    a file that has some must be parsed. Raises FileTrouble."""
    yield texts.digest(module) or ""
    from flowlang.compiler import without_tests
    from flowlang.parser import parse

    source = texts.load(module)
    if isinstance(source, Source):
        text = without_tests(source, parse(source).file)
        yield hashlib.sha256(text.encode()).hexdigest()


def _keys(built: Built) -> dict[str, str]:
    """A digest for each module of its text and of all that it uses."""
    keys = {}
    for name in built.modules:
        texts = sorted((one, built.texts.digest(one)) for one in _reached([name], built.kept))
        keys[name] = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    return keys


# --- between runs -----------------------------------------------------------------------------


def _name(project: Project) -> str:
    # Answers tell files as seen from the folder that they were asked in.
    return json.dumps(["modules", shown(project.sources), str(project.sources), str(Path.cwd())])


def _remembered(cache: Cache, project: Project) -> dict[str, Kept]:
    answer = cache.answer(_name(project))
    try:
        return {name: Kept(**kept) for name, kept in (answer or {}).items()}
    except TypeError:
        return {}


def remember(built: Built, cache: Cache) -> None:
    """Keep what is known for the next run."""
    if built.kept:
        # Modules that are gone are not looked for, but not kept for ever either.
        names = built.modules if len(built.kept) > MOST_REMEMBERED else built.kept
        data = {name: dataclasses.asdict(built.kept[name]) for name in names}
        cache.keep(_name(built.texts.project), {}, data)
