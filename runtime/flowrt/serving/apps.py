"""Apps: what a node runs. Found by name, loaded, and their services made for one node.

An app is compiled flows, their Python, and how their services are made. A package names its apps in
the entry point group `flowrt.apps`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flowrt.serving.troubles import nearest

if TYPE_CHECKING:
    from flowrt.ledger.node import Ledger

GROUP = "flowrt.apps"


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a service is made: for which party, with which folder for its files, and on a ledger's
    node with its services."""

    party: str
    folder: Path
    ledger: Ledger | None = None


Factory = Callable[..., object]
"""Makes a service. It is given the keys of its table in `node.toml` by name, and the `Place`, if it
has a parameter `place`."""


@dataclasses.dataclass(frozen=True, slots=True)
class App:
    """What a node runs.

    app = App(modules=(loan_flow,), services={"Treasury": Treasury})

    Attributes:
        modules: what `flowc compile` made.
        services: by the name that flows use, what makes them. A node may use others.
        rules: Python modules with states and contracts of the ledger.
        name, version: for people; of an app that a package brings, the package's.
    """

    modules: tuple[types.ModuleType, ...] = ()
    services: Mapping[str, Factory] = dataclasses.field(default_factory=dict)
    rules: tuple[types.ModuleType, ...] = ()
    name: str = ""
    version: str = ""


class Installed(NamedTuple):
    """An app that an installed package names; nothing of it was imported. One that a configuration
    names as a module has no package if none brings that module."""

    name: str
    target: str
    package: str
    version: str


class AppTrouble(Exception):
    """An app that cannot be used: why, and what to do."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"{cause}; {remedy}" if remedy else cause)


def installed() -> dict[str, Installed]:
    """The apps that installed packages bring, by name; of one name the first. Looks through all
    packages."""
    import importlib.metadata  # brings `email` and `zipfile`; apps given as modules need it not

    found: dict[str, Installed] = {}
    # Not `entry_points`: of a package that is there twice, as a source folder beside what was
    # installed of it, that shows the first alone, which may be old.
    for package in importlib.metadata.distributions():
        for entry in package.entry_points.select(group=GROUP):
            one = Installed(entry.name, entry.value, package.name, package.version)
            found.setdefault(entry.name, one)
    return dict(sorted(found.items()))


def is_module(name: str) -> bool:
    """Whether an app is named as `package.module:app`, so that nobody need look for it."""
    return ":" in name


def load(name: str, known: Mapping[str, Installed]) -> App:
    """The app of that name among those `known`, or that the text `package.module:app` names.

    Raises:
        AppTrouble: there is none, or its Python cannot be imported, or what is there is no app.
    """
    entry = None if is_module(name) else known.get(name)
    if entry is None and not is_module(name):
        remedy = nearest(name, known) or 'install its package, or name "package.module:app"'
        raise AppTrouble(f"no installed package brings the app `{name}`", remedy)
    found = target(entry.target if entry is not None else name)
    if callable(found) and not isinstance(found, App):
        with _blamed(name):
            found = found()
    if not isinstance(found, App):
        raise AppTrouble(f"{name} is {type(found).__name__}, not a `flowrt.serving.apps.App`")
    if entry is not None:
        return dataclasses.replace(
            found, name=found.name or name, version=found.version or entry.version
        )
    return dataclasses.replace(found, name=found.name or name)


def described(name: str, app: App) -> Installed:
    """What there is to say of an app that is named as a module: the version that it tells itself,
    or else that of the package which brings the module."""
    import importlib.metadata

    top = name.partition(":")[0].partition(".")[0]
    package = next(iter(importlib.metadata.packages_distributions().get(top, ())), "")
    version = app.version or (importlib.metadata.version(package) if package else "")
    return Installed(app.name, name, package, version)


def target(text: str) -> Any:
    """What `package.module:name` names. Raises AppTrouble."""
    module, _, name = text.partition(":")
    with _blamed(text):
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            if not hasattr(found, part):
                raise AppTrouble(f"{module} has no `{name}`", nearest(part, _public(found)))
            found = getattr(found, part)
    return found


def _public(found: object) -> list[str]:
    names = [name for name in vars(found) if not name.startswith("_")]
    return names if len(names) < 6 else []


@contextlib.contextmanager
def _blamed(name: str) -> Iterator[None]:
    """What the author's Python raises is told as the app's trouble, with the place of it."""
    try:
        yield
    except AppTrouble:
        raise
    except ModuleNotFoundError as error:
        remedy = "install it, or put its folder into `path`"
        raise AppTrouble(
            f"{name} needs Python's `{error.name}`, which is not there", remedy
        ) from None
    except Exception as error:
        raise AppTrouble(f"{name} cannot be used: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """An error of somebody's Python in one line, with the place where it arose."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    text = " ".join(str(error).split())[:300]
    place = f" ({Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno})" if at else ""
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def make(factory: Factory, place: Place, given: Mapping[str, Any]) -> object:
    """A service. Raises AppTrouble: it takes other keys, or cannot be made."""
    name = getattr(factory, "__qualname__", repr(factory))
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        signature = None
    arguments = dict(given)
    if signature is not None:
        taken = {
            key
            for key, one in signature.parameters.items()
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) and key != "place"
        }
        takes_all = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
        if "place" in signature.parameters:
            arguments["place"] = place
        for key in given:
            if key not in taken and not takes_all:
                raise AppTrouble(f"{name} takes no key `{key}`", nearest(key, taken))
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise AppTrouble(f"{name}: {error}", "give it in the service's table") from None
    with _blamed(name):
        return factory(**arguments)


def add_path(folders: Iterable[Path]) -> None:
    """Let apps be imported from these folders as well, before all others."""
    for folder in reversed([str(folder.absolute()) for folder in folders]):
        if folder not in sys.path:
            sys.path.insert(0, folder)
