"""From a configuration to what `Node.open` is given: modules, services, policies, the ledger.

Opens no store and no door. All that does not fit is told at once.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import urllib.parse
from collections.abc import Collection, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from flowrt.core.flow import Flow
from flowrt.core.registry import NotRegistrable, Registry
from flowrt.notices.given import Wrong
from flowrt.retention import Retention
from flowrt.services import ServiceMissing, bind, find_functions
from flowrt.serving.apps import (
    App,
    AppTrouble,
    Installed,
    Place,
    add_path,
    described,
    installed,
    is_module,
    load,
    make,
    target,
)
from flowrt.serving.config import Config, dotted
from flowrt.serving.files import open_to_others
from flowrt.serving.settings import Service, age
from flowrt.serving.troubles import Refused, Trouble, nearest

if TYPE_CHECKING:
    from flowrt.ledger.node import Ledger
    from flowrt.ledger.notary.desk import Desk
    from flowrt.policies import Policy
    from flowrt.turn import Observer


_LOCAL: Final = ("localhost", "127.0.0.1", "[::1]")
"""Under which names every interface is known."""


@dataclasses.dataclass(slots=True)
class Assembly:
    """All that a node is made of, but for its store and its network."""

    apps: list[App]
    registry: Registry
    ledger: Ledger | None = None
    desk: Desk | None = None
    services: dict[str, object] = dataclasses.field(default_factory=dict)
    notifiers: dict[str, Any] = dataclasses.field(default_factory=dict)
    responders: dict[str, list[type[Flow[Any]]]] = dataclasses.field(default_factory=dict)
    policy: Policy | None = None
    observer: Observer | None = None
    warnings: list[Trouble] = dataclasses.field(default_factory=list)

    def options(self, config: Config) -> dict[str, Any]:
        """The arguments of `Node.open` that come of these and of the configuration."""
        settings = config.settings
        kept = settings.retention
        return {
            "modules": self.registry,
            "services": self.services,
            "policy": self.policy,
            "observer": self.observer,
            "limits": settings.limits,
            "responders": self.responders,
            "accepts": settings.accepts,
            "retention": Retention(
                age(kept.results) if kept.results else None, age(kept.audit) if kept.audit else None
            ),
        }

    def close(self) -> None:
        """Let go of the notary's book, if there is one."""
        if self.desk is not None:
            self.desk.book.close()


def _apps(config: Config) -> list[App]:
    """The apps of a configuration, in its order. Raises Refused."""
    settings = config.settings
    troubles = []
    folders = [config.file(name) for name in settings.path]
    for folder in folders:
        if not folder.is_dir():
            troubles.append(config.trouble("path", f"{folder} is no folder"))
        elif open_to_others(folder):
            cause = f"everybody may put Python into {folder}"
            troubles.append(config.trouble("path", cause, f"chmod o-w {folder}"))
    if troubles:
        raise Refused(troubles)
    add_path(folders)
    # Looking through all that is installed takes a good part of a start, so it is done once.
    known = {} if all(map(is_module, settings.apps)) else installed()
    apps = []
    for name in settings.apps:
        try:
            apps.append(load(name, known))
        except AppTrouble as error:
            troubles.append(config.trouble("apps", error.cause, error.remedy))
    if troubles:
        raise Refused(troubles)
    return apps


def described_apps(config: Config) -> list[Installed]:
    """What there is to say of the apps that a configuration names as modules, which are imported
    for it. Raises Refused."""
    named = zip(config.settings.apps, _apps(config), strict=True)
    return [described(name, app) for name, app in named if is_module(name)]


def loaded(config: Config) -> tuple[list[App], Registry]:
    """The apps of a configuration, and the flows in them and in the library.

    Raises:
        Refused: apps that are not there or cannot be imported, flows that do not go together.
    """
    settings = config.settings
    apps = _apps(config)
    modules = tuple(dict.fromkeys(module for app in apps for module in app.modules))
    if settings.ledger is not None:
        from flowrt.serving.ledgers import modules_of

        modules = modules_of(modules)
    try:
        return apps, Registry(modules)
    except NotRegistrable as error:
        raise Refused([config.trouble("apps", str(error))]) from None


def assemble(config: Config, passphrase: str) -> Assembly:
    """All of it, with the services made; on a ledger's node its keys are opened with the
    passphrase. A notary's book is not opened. Raises Refused."""
    apps, registry = loaded(config)
    made = Assembly(apps, registry)
    if config.settings.ledger is not None:
        from flowrt.serving.ledgers import ledger_of

        rules = tuple(dict.fromkeys(module for app in apps for module in app.rules))
        made.ledger, made.desk = ledger_of(config, passphrase, rules)
    _fill(config, made)
    if config.settings.tracing is not None:
        from flowrt.serving.traced import tracing_of

        made.observer, made.warnings = tracing_of(config)
    return made


def _fill(config: Config, made: Assembly) -> None:
    settings = config.settings
    troubles = [*_services(config, made), *_notifiers(config, made)]
    for name, text in settings.responders.items():
        flow = _found(config, ("responders", name), text, troubles)
        if flow is not None and not (isinstance(flow, type) and issubclass(flow, Flow)):
            cause = f"{text} is no flow"
            troubles.append(_at(config, ("responders", name), cause))
        elif flow is not None:
            home = _module_of(flow)
            if home is not None:
                try:
                    made.registry.add_module(home)
                except NotRegistrable as error:
                    troubles.append(_at(config, ("responders", name), str(error)))
            made.responders[name] = [flow]
    for name in settings.accepts:
        names = {kind.name for kind in made.registry.classes.values()}
        if name not in names:
            cause, remedy = f"there is no flow `{name}`", _near(name, names)
            troubles.append(_at(config, ("accepts", name), cause, remedy))
    if settings.hospital.policy is not None:
        made.policy = _found(config, ("hospital", "policy"), settings.hospital.policy, troubles)
    if troubles:
        raise Refused(troubles)


def _services(config: Config, made: Assembly) -> Iterable[Trouble]:
    """Make the services that flows use; what is wrong with them."""
    settings = config.settings
    try:
        wanted = {key.name for key in made.registry.services()}
    except NotRegistrable as error:
        yield config.trouble("apps", str(error))
        return
    place = Place(settings.name, config.folder.absolute(), made.ledger)
    factories: dict[str, Any] = {}
    if made.ledger is not None:
        from flowrt.serving.ledgers import FACTORIES

        made.services.update(made.ledger.services(made.registry))
        factories.update({name: one for name, one in FACTORIES.items() if name in wanted})
    library = set(factories)
    for app in made.apps:
        for name, brought in app.services.items():
            full = _full(name, wanted, library)
            if full is None:
                cause = f"{app.name}: no flow uses its service `{name}`"
                yield config.trouble("apps", cause, _near(name, wanted))
            else:
                factories[full] = brought
    fixed = set(made.services)
    tables: dict[str, Service] = {}
    written: dict[str, str] = {}
    for name, service in settings.services.items():
        full = _full(name, wanted, library)
        if full is None:
            cause, remedy = f"no flow uses a service `{name}`", _near(name, wanted - fixed)
            yield _at(config, ("services", name), cause, remedy)
        elif full in fixed:
            yield _at(config, ("services", name), "this is the ledger's own service", "remove it")
        else:
            tables[full], written[full] = service, name
    missing = False
    for name in sorted(wanted - fixed):
        table = tables.get(name)
        factory: Any = factories.get(name)
        try:
            if table is not None and table.use is not None:
                factory = target(table.use)
            if factory is None:
                missing = True
                cause = f"flows use the service `{name}`, and no app brings it"
                remedy = f'write [services.{_quoted(name)}] with `use = "package.module:Class"`'
                yield config.trouble("services", cause, remedy)
                continue
            made.services[name] = make(factory, place, table.given if table else {})
        except AppTrouble as error:
            missing = True
            key = written.get(name)
            if key is None:
                yield config.trouble("apps", error.cause, error.remedy)
            else:
                yield _at(config, ("services", key), error.cause, error.remedy)
    if not missing:
        try:
            bind(made.registry.services(), made.services)
            find_functions(made.registry.classes.values())
        except ServiceMissing as error:
            for line in str(error).splitlines():
                named = re.match(r"service ([\w.]+): (.*)", line)
                key = written.get(named[1]) if named is not None else None
                if named is None or key is None:
                    yield config.trouble("services", line)
                else:
                    yield _at(config, ("services", key), named[2])


def _notifiers(config: Config, made: Assembly) -> Iterable[Trouble]:
    """Make who is told of tasks; what is wrong with them."""
    place = Place(config.settings.name, config.folder.absolute(), made.ledger)
    for name, table in config.settings.notices.items():
        keys = ("notices", name)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
            cause = "its name has other characters than letters, digits, _ and -"
            yield _at(config, keys, cause, "rename it")
            continue
        if table.use is None:
            remedy = 'write `use = "flowrt.notices.webhook:Webhook"`'
            yield _at(config, (*keys, "use"), "this key is missing", remedy)
            continue
        try:
            found = make(target(table.use), place, table.given)
        except AppTrouble as error:
            wrong = error.__cause__
            if isinstance(wrong, Wrong):
                yield _at(config, (*keys, wrong.key), wrong.cause, wrong.remedy)
            else:
                yield _at(config, keys, error.cause, error.remedy)
            continue
        if not hasattr(found, "tell"):
            cause = f"what {table.use} makes has no `tell`"
            yield _at(config, (*keys, "use"), cause, "name a class of notifiers")
            continue
        made.notifiers[name] = found
        yield from _reached(config, keys, found)


def _reached(config: Config, keys: tuple[str, ...], notifier: Any) -> Iterable[Trouble]:
    """What keeps the people whom a notifier writes to from the interface that it leads them to."""
    settings = config.settings
    if hasattr(notifier, "attach") and settings.http is None:
        cause = "its links lead to the HTTP interface, and there is none"
        yield _at(config, keys, cause, "write [http]")
        return
    for user in getattr(notifier, "users", ()):
        if user not in settings.users:
            cause, remedy = f"there is no user `{user}`", _near(user, settings.users)
            yield _at(config, (*keys, "to", user), cause, remedy or f"flowctl user add {user}")
    host = urllib.parse.urlsplit(getattr(notifier, "url", "")).hostname
    if host and settings.http is not None and hasattr(notifier, "attach"):
        host = f"[{host}]" if ":" in host else host
        if host not in (*_LOCAL, *(one.lower() for one in settings.http.hosts)):
            cause = f"the interface is not known as {host}: who follows a link is refused"
            yield _at(config, (*keys, "url"), cause, "list it in `hosts` of [http]")


def _found(config: Config, keys: tuple[str, ...], text: str, troubles: list[Trouble]) -> Any:
    try:
        return target(text)
    except AppTrouble as error:
        troubles.append(_at(config, keys, error.cause, error.remedy))
        return None


def _full(name: str, wanted: Collection[str], library: Collection[str]) -> str | None:
    """The qualified name of a service, which may be given by its last part where that is clear; an
    app's own come before the library's."""
    if name in wanted:
        return name
    found = [full for full in wanted if full.rpartition(".")[2] == name]
    if len(found) > 1:
        found = [full for full in found if full not in library]
    return found[0] if len(found) == 1 else None


def _module_of(flow: type) -> ModuleType | None:
    return sys.modules.get(flow.__module__)


def _at(config: Config, keys: tuple[str, ...], cause: str, remedy: str = "") -> Trouble:
    return Trouble(config.place(*keys), dotted(keys), cause, remedy)


def _near(name: str, known: Iterable[str]) -> str:
    found = nearest(name, known)
    return found if found.startswith("did") or found.count("`") <= 12 else ""


def _quoted(name: str) -> str:
    return dotted((name,))
