"""A project's files: where modules are found, what was checked before, what is written and where.

It reads and writes; it parses and compiles nothing, and imports no parser.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import keyword
import os
import re
import stat
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowlang import standard

if TYPE_CHECKING:
    from flowlang.packages import Package

GENERATED = "# flowc: contract "
"""A line of every generated file; a file without it is never overwritten."""

MAX_BYTES = 1 << 20
_PART = re.compile(r"[a-z][a-z0-9_]*")
_MODULE = re.compile(rf"{_PART.pattern}(\.{_PART.pattern})*")


class FileTrouble(Exception):
    """A file cannot be read or written as asked. `code` is the diagnostic's; `hint` the remedy."""

    def __init__(self, code: str, path: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.path = path
        self.message = message
        self.hint = hint


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a module's text is: a file below `root`; `package` is what brings it, if one does;
    `standard` is what comes with flowlang."""

    file: Path
    root: Path
    package: Package | None = None
    standard: bool = False


@dataclasses.dataclass(frozen=True)
class Project:
    """Where a project's modules are: `sources` holds its own `.flow` files and `path` those of
    libraries; installed packages may bring more. `output` gets the Python."""

    sources: Path
    output: Path
    path: tuple[Path, ...] = ()
    settings: Path | None = dataclasses.field(default=None, compare=False)

    @classmethod
    def around(cls, path: Path) -> Project:
        """The project that `path` belongs to: that of the nearest `pyproject.toml` with a table
        `[tool.flowlang]` (keys `sources`, `output`, `path`), otherwise just the file's own folder.

        Raises:
            FileTrouble: the table is not what it should be.
        """
        folder = path.resolve().parent
        if folder.is_relative_to(standard.TEXTS.resolve()):
            return cls(standard.TEXTS.resolve(), standard.python_folder())
        for parent in (folder, *folder.parents):
            settings = _settings(parent / "pyproject.toml")
            if settings is None:
                continue
            sources = _folder(parent, settings, "sources")
            libraries = _libraries(parent, settings)
            if any(folder.is_relative_to(root) for root in (sources, *libraries)):
                output = _folder(parent, settings, "output", sources)
                return cls(sources, output, libraries, parent / "pyproject.toml")
        return cls(folder, folder)

    def module_of(self, path: Path) -> str:
        """The module name of a source file: `shop/orders.flow` is `shop.orders`.

        Raises:
            FileTrouble: the name is not one that others could `use`.
        """
        real = path.resolve()
        relative = real.relative_to(self._root_of(real) or real.parent)
        module = _module_at(relative)
        if path.suffix != ".flow":
            raise FileTrouble(
                "F702", str(path), "this is not a .flow file", f"rename it to `{path.stem}.flow`"
            )
        if module is None:
            raise FileTrouble(
                "F703",
                str(path),
                f"`{relative.with_suffix('')}` cannot be a module's name",
                "file and folder names are lower_snake_case, such as `order_book.flow`",
            )
        for word in filter(keyword.iskeyword, module.split(".")):
            raise FileTrouble(
                "F710",
                str(path),
                f"`{module}` cannot be a module: `{word}` is a word of Python",
                "rename the file or the folder",
            )
        return module

    @property
    def _roots(self) -> Iterable[Path]:
        """The project's own folder and those of libraries, each once."""
        return dict.fromkeys((self.sources, *self.path))

    def _root_of(self, file: Path) -> Path | None:
        """The folder that a file's module name is counted from: the innermost one."""
        roots = [root for root in self._roots if file.is_relative_to(root)]
        return max(roots, key=lambda root: len(root.parts), default=None)

    def candidates(self, module: str) -> list[Place]:
        """Where a module could be, whether or not there is a file."""
        if not _MODULE.fullmatch(module):
            return []
        parts = module.split(".")
        places = [Place(root.joinpath(*parts).with_suffix(".flow"), root) for root in self._roots]
        # What lies in a library inside the sources has its name from there.
        places = [place for place in places if self._root_of(place.file) == place.root]
        text = standard.text_of(module)
        if text is not None and all(place.file.resolve() != text.resolve() for place in places):
            places.append(Place(text, standard.TEXTS, standard=True))
        package = _packages().get(parts[0])
        if package is not None and len(parts) > 1 and package.folder is not None:
            file = package.folder.joinpath(*parts[1:]).with_suffix(".flow")
            places.append(Place(file, package.folder, package))
        return places

    def find(self, module: str) -> Place | None:
        """Where a module is; None if there is no such file in the project, its path or a package.

        Raises:
            FileTrouble: it is in two places, or a link leads out of its folder.
        """
        found = [place for place in self.candidates(module) if is_file(place.file)]
        if not found:
            self._refuse_lost_package(module)
            return None
        first = found[0]
        if len(found) > 1:
            also, hint = shown(found[1].file), "rename one of the two files, or its folder"
            if found[1].standard:
                also, hint = "the library that comes with flowlang", "rename the file or its folder"
            raise FileTrouble(
                "F714", shown(first.file), f"module `{module}` is also in {also}", hint
            )
        if not first.file.resolve().is_relative_to(first.root.resolve()):
            whole = "the project" if first.root == self.sources else shown(first.root)
            raise FileTrouble(
                "F704",
                shown(first.file),
                f"module `{module}` is a link that leads out of {whole}",
                f"copy the file into {whole}",
            )
        return first

    def _refuse_lost_package(self, module: str) -> None:
        package = _packages().get(module.partition(".")[0])
        if package is not None and package.folder is None:
            raise FileTrouble(
                "F716",
                module,
                f"an installed package says that `{package.name}` is in `{package.imported}`,"
                " but there is no such folder",
                "install it again, or ask its maker",
            )

    def read(self, module: str) -> bytes | None:
        """A module's bytes; None if there is no such file.

        Raises:
            FileTrouble: as `find`; or it is there but cannot be read.
        """
        place = self.find(module)
        return None if place is None else read(place.file)

    def modules(self) -> list[str]:
        """Every module that the project can use, by name: for "did you mean"."""
        found = []
        for root in self._roots:
            for path in sorted(root.rglob("*.flow"))[:2000]:
                if self._root_of(path) == root:
                    found.append(_module_at(path.relative_to(root)))
        if standard.TEXTS.resolve() not in self._roots:
            texts = sorted(standard.TEXTS.rglob("*.flow"))
            found += [_module_at(path.relative_to(standard.TEXTS)) for path in texts]
        for package in _packages().values():
            if package.folder is not None:
                for path in sorted(package.folder.rglob("*.flow"))[:2000]:
                    module = _module_at(path.relative_to(package.folder))
                    found.append(f"{package.name}.{module}" if module else None)
        return [module for module in found if module is not None]


@functools.cache
def _packages() -> dict[str, Package]:
    # Imported late: asking which packages are installed takes longer than an unchanged check.
    from flowlang.packages import installed

    return installed()


def _module_at(path: Path) -> str | None:
    """The module of a file below the source folder; None if others could not `use` it."""
    parts = path.with_suffix("").parts
    module = ".".join(parts)
    return module if all(map(_PART.fullmatch, parts)) and len(module) <= 200 else None


def _settings(path: Path) -> dict[str, Any] | None:
    if not is_file(path):
        return None
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileTrouble("F705", shown(path), f"this is not TOML: {error}") from None
    settings = found.get("tool", {}).get("flowlang")
    if settings is not None and not isinstance(settings, dict):
        raise FileTrouble("F705", shown(path), "`tool.flowlang` must be a table")
    return settings


def _folder(root: Path, settings: Mapping[str, Any], key: str, default: Path | None = None) -> Path:
    value = settings.get(key)
    if value is None:
        return default or root
    if not isinstance(value, str):
        raise FileTrouble(
            "F705", shown(root / "pyproject.toml"), f"`tool.flowlang.{key}` must be a folder's name"
        )
    found = (root / value).resolve()
    if not found.is_relative_to(root):
        raise FileTrouble(
            "F705",
            shown(root / "pyproject.toml"),
            f"`tool.flowlang.{key}` leads out of the project",
            "name a folder inside it",
        )
    return found


def _libraries(root: Path, settings: Mapping[str, Any]) -> tuple[Path, ...]:
    """The folders of `tool.flowlang.path`; they may be anywhere, but must be there."""
    values = settings.get("path", [])
    place = shown(root / "pyproject.toml")
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        hint = 'write `path = ["lib"]`'
        raise FileTrouble(
            "F705", place, "`tool.flowlang.path` must be a list of folders' names", hint
        )
    found = [(root / value).resolve() for value in values]
    for value, folder in zip(values, found, strict=True):
        if not folder.is_dir():
            raise FileTrouble(
                "F715",
                place,
                f"`tool.flowlang.path` names `{value}`, and there is no such folder",
                "make the folder, or remove its name",
            )
    return tuple(dict.fromkeys(found))


def shown(path: Path) -> str:
    """A path as people want to read it: relative where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:
        return str(path)
    return relative if len(relative) < len(str(path)) else str(path)


def is_file(path: Path) -> bool:
    """Whether this is a file, or a link to one. Anything else (a pipe, a device) may not end."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def read(path: Path) -> bytes:
    """A source file's bytes.

    Raises:
        FileTrouble: it cannot be read, or is larger than a source may be.
    """
    _look_at(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    return data


def _look_at(path: Path) -> int:
    """What kind of thing a path names, as `st_mode`: a file or a folder; it is not opened.

    Raises:
        FileTrouble: it is not there, is neither, or its name alone cannot be looked up.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileTrouble("F701", shown(path), "there is no such file") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise FileTrouble(
            "F701",
            shown(path),
            "this cannot be read: it is a pipe, a socket or a device, not a file",
            "copy its content into a file",
        )
    return mode


def _unreadable(path: Path, error: OSError) -> FileTrouble:
    reason = error.strerror or str(error)
    return FileTrouble("F701", shown(path), f"this file cannot be read: {reason}")


# --- what was checked before --------------------------------------------------------------------


class Cache:
    """Answers of earlier checks, by the content of every file they depended on.

    Kept per user, never in the project: what a project carries must not decide what we believe.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or _user_cache()

    def answer(self, key: str) -> dict[str, Any] | None:
        """The stored answer for `key`, if every file is as it was then and so is the compiler."""
        try:
            stored = json.loads((self.folder / f"{_digest(key.encode())}.json").read_bytes())
            if stored["compiler"] != compiler_digest():
                return None
            for path, digest in stored["files"].items():
                if digest != file_digest(Path(path)):
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        answer = stored.get("answer")
        return answer if isinstance(answer, dict) else None

    def keep(self, key: str, files: Mapping[str, str | None], answer: Mapping[str, Any]) -> None:
        """Store an answer. A cache that cannot be written is no trouble."""
        text = json.dumps({"compiler": compiler_digest(), "files": files, "answer": answer})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(self.folder / f"{_digest(key.encode())}.json", text.encode())
        except OSError:
            return


def _user_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "flowlang"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str | None:
    """The SHA-256 of a file's content; None if it cannot be read."""
    try:
        return _digest(path.read_bytes()) if is_file(path) else None
    except OSError:
        return None


@functools.cache
def compiler_digest() -> str:
    """What tells one compiler from another: the names, sizes and times of its own files."""
    home = Path(__file__).parent
    rows = [sys.version]
    for path in sorted(_own_files(home)):
        found = path.stat()
        rows.append(f"{path.name} {found.st_size} {found.st_mtime_ns}")
    return _digest("\n".join(rows).encode())


def _own_files(home: Path) -> Iterator[Path]:
    for folder in (home, home.parent / "grammar", home / "grammar"):
        for pattern in ("*.py", "*/*.py", "*.lark", "templates/*.j2", "stdlib/*/*.flow"):
            yield from folder.glob(pattern)


# --- writing --------------------------------------------------------------------------------


def write_all(files: Mapping[Path, str], below: Path | None = None) -> list[Path]:
    """Write generated files, all or none; returns those whose content changed. No link is followed
    from the folder `below` on.

    Raises:
        FileTrouble: one exists and is not ours, is a link, or a folder cannot be written.
    """
    for path in files:
        try:
            _may_write(path, below)
        except OSError as error:
            raise _unwritable(shown(path), error) from None
    aside: list[tuple[str, Path]] = []
    changed = []
    try:
        for path, text in files.items():
            data = text.encode()
            if path.is_file() and path.read_bytes() == data:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".flowc-")
            aside.append((name, path))
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.chmod(name, 0o644)
        while aside:
            name, path = aside[0]
            os.replace(name, path)
            aside.pop(0)
            changed.append(path)
    except OSError as error:
        raise _unwritable(str(error.filename or "the output folder"), error) from None
    finally:
        for name, _ in aside:
            Path(name).unlink(missing_ok=True)
    return changed


_ELSEWHERE = "move it away, or choose another output folder with `-o`"


def _may_write(path: Path, below: Path | None) -> None:
    for part in (path, *path.parents):
        inside = part == path or (below is not None and part.is_relative_to(below))
        if inside and part.is_symlink():
            raise FileTrouble(
                "F707", shown(part), "this is a link, and flowc writes through none", "remove it"
            )
        if part.exists() and part != path and not part.is_dir():
            raise FileTrouble(
                "F706", shown(part), "this is a file where a folder is needed", _ELSEWHERE
            )
    if path.exists() and not path.is_file():
        kind = "folder" if path.is_dir() else "pipe or a device"
        raise FileTrouble(
            "F706", shown(path), f"this is a {kind} where a file is needed", _ELSEWHERE
        )
    if path.exists() and GENERATED not in path.read_text("utf-8", errors="replace"):
        raise FileTrouble(
            "F707",
            shown(path),
            "this file was not made by flowc, so it is not overwritten",
            _ELSEWHERE,
        )


def replace_text(path: Path, text: str) -> None:
    """Write a file that an author owns anew, whole or not at all; it keeps its permissions, and a
    link stays one.

    Raises:
        FileTrouble: it cannot be written.
    """
    target = path.resolve()
    try:
        mode = target.stat().st_mode
        _replace(target, text.encode(), mode & 0o777)
    except OSError as error:
        raise _unwritable(shown(path), error) from None


def _unwritable(place: str, error: OSError) -> FileTrouble:
    return FileTrouble("F706", place, f"cannot write here: {error.strerror or error}")


def _replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.chmod(name, mode)
    os.replace(name, path)


def sources_below(paths: Iterable[Path]) -> list[Path]:
    """The `.flow` files that the arguments of a command name: files, and folders' contents.

    Raises:
        FileTrouble: a path does not exist or is no file, or a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        if stat.S_ISDIR(_look_at(path)):
            inside = sorted(
                p
                for p in path.rglob("*.flow")
                if not any(q.startswith(".") for q in p.relative_to(path).parts)
            )
            if not inside:
                raise FileTrouble("F701", shown(path), "there is no .flow file in this folder")
            for one in inside:
                _look_at(one)
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))
