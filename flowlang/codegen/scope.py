"""The names of one Python module: what it declares, what it must import, and types as Python
writes them. Knows no statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from flowlang import machine, standard, types
from flowlang.codegen import words
from flowlang.codegen.trees import UNION, Atom, Tree, chain, subscript

_FIELD_TYPES = {
    "Int": "rt.Int",
    "Decimal": "decimal.Decimal",
    "Bool": "bool",
    "Text": "str",
    "Bytes": "bytes",
    "Timestamp": "rt.Timestamp",
    "Duration": "datetime.timedelta",
    "Party": "rt.Party",
    "Session": "rt.Session",
    "FlowId": "rt.Int",
}
"""With the bounds that are checked when a value is decoded."""

_TYPES = _FIELD_TYPES | {"Int": "int", "FlowId": "int", "Timestamp": "datetime.datetime"}


class Scope:
    """Gives everything outside a body its name in Python, and notes what has to be imported."""

    def __init__(self, module: machine.Module) -> None:
        self._module = module.module
        self._imports: dict[str, dict[str, str]] = {}
        self._libraries: set[str] = set()
        self.uses_library = False
        declared = [record.name for record in module.records]
        declared += [enum.name for enum in module.enums]
        declared += [opaque.name for opaque in module.opaques]
        declared += [error.name for error in module.errors]
        declared += [function.name for function in module.functions]
        declared += [service.name for service in module.services]
        self.own = {words.name(short(name)) for name in declared}
        used = {words.name(name) for names in module.uses.values() for name in names}
        self.taken = self.own | used
        self._uses = {
            (path, words.name(name)) for path, names in module.uses.items() for name in names
        }

    # --- what is declared somewhere ---------------------------------------------------------

    def named(self, qualified: str) -> str:
        """A type, case, error, function or service; a built-in error has no module."""
        path, _, name = qualified.rpartition(".")
        if is_case(qualified):
            path, _, enum = path.rpartition(".")
            return self._found(path, case_name(enum, name))
        return self._found(path, words.name(name)) if path else f"rt.{words.plain(name)}"

    def mentioned(self, case: str) -> str | None:
        """The name of an enum's case, if it was asked for before, or is this module's own: to look
        at what is known of it imports nothing."""
        path, _, name = case.rpartition(".")
        path, _, enum = path.rpartition(".")
        made = case_name(enum, name)
        return made if path == self._module else self._imports.get(path, {}).get(made)

    def computed(self, function: str) -> str:
        """A function of the runtime's library."""
        self.uses_library = True
        return f"lib.{words.plain(function)}"

    def key(self, qualified: str) -> str:
        """The key by which a service is found."""
        path, _, name = qualified.rpartition(".")
        return self._found(path, key_name(name))

    def flow(self, qualified: str, version: int) -> str:
        """The class of one version of a flow."""
        path, _, name = qualified.rpartition(".")
        return self._found(path, class_name(name, version))

    def _found(self, path: str, name: str) -> str:
        if path == self._module:
            return name
        imported = self._imports.setdefault(path, {})
        if name not in imported:
            imported[name] = self._alias(path, name)
        return imported[name]

    def _alias(self, path: str, name: str) -> str:
        """What an imported name is called here: another one if it means something else already,
        as the type of a field of a type that was used may."""
        if (path, name) in self._uses or name not in self.taken:
            alias = name
        else:
            alias = f"{path.replace('.', '_')}_{name}"
            while alias in self.taken:
                alias += "_"
        self.taken.add(alias)
        return alias

    def library(self, name: str) -> str:
        """A module of Python's own."""
        self._libraries.add(name)
        return name

    def imports(self) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """Python's own modules, and the generated ones with what is taken from each."""
        taken = []
        for path in sorted(self._imports, key=python_module):
            names = sorted(
                self._imports[path].items(), key=lambda item: (_sorting(item[0]), item[0])
            )
            listed = [name if name == alias else f"{name} as {alias}" for name, alias in names]
            taken.append((python_module(path), listed))
        return sorted(self._libraries), taken

    # --- types ------------------------------------------------------------------------------

    def kind(self, of: types.Type, *, field: bool = False) -> Tree:
        """A type: as a field of a value has it, or as a variable and a parameter have."""
        match of:
            case types.Builtin(name=name):
                written = (_FIELD_TYPES if field else _TYPES)[name]
                if written.startswith(("datetime.", "decimal.")):
                    self.library(written.partition(".")[0])
                return Atom(written)
            case types.Named(name=name):
                return Atom(self.named(name))
            case types.Caught():
                return Atom("rt.FlowError")
            case types.ListType(item=item):
                return subscript("tuple", self.kind(item, field=field), Atom("..."))
            case types.MapType(key=key, value=value):
                return subscript(
                    "rt.Mapping", self.kind(key, field=field), self.kind(value, field=field)
                )
            case types.OptionalType(item=item):
                return chain(UNION, "|", self.kind(item, field=field), Atom("None"))
            case types.FlowIdType():
                return self.kind(types.FLOW_ID, field=field)
            case types.AnswerType(value=value):
                return subscript("rt.Answer", self.kind(value, field=field))
            case types.PendingType():
                return Atom("rt.Pending")
            case types.NoneType():
                return Atom("None")
            case types.Unknown():
                raise ValueError("a type that is not known reached the code generator")
            case _:
                assert_never(of)


def _sorting(name: str) -> int:
    """Constants before classes before the rest, as import sorters have it."""
    if name.isupper() and len(name) > 1:
        return 0
    return 1 if name[0].isupper() else 2


def union(kinds: Iterable[Tree]) -> Tree:
    """One of these types."""
    first, *rest = kinds
    for kind in rest:
        first = chain(UNION, "|", first, kind)
    return first


def short(qualified: str) -> str:
    """The name without its module."""
    return qualified.rpartition(".")[2]


def python_module(path: str) -> str:
    """The Python module that a flow module becomes."""
    return words.module(standard.imported_as(path))


def class_name(name: str, version: int) -> str:
    """The class of a flow, by its short name."""
    return f"{words.plain(name)}_v{version}"


def is_case(qualified: str) -> bool:
    """Whether it names a case of an enum: only a type stands before that."""
    path = qualified.rpartition(".")[0]
    return path.rpartition(".")[2][:1].isupper()


def case_name(enum: str, case: str) -> str:
    """The class of a case, by short names. No author can write a type of that name."""
    return f"{words.plain(enum)}_{words.plain(case)}"


def key_name(name: str) -> str:
    """The key of a service, by its short name. No author can write a type of that name."""
    return f"{words.plain(name)}_key"
