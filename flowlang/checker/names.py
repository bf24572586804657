"""The names of a file: what it declares and what it takes from other files.

Knows what kind of thing each name is and where it was declared; reads no types and no bodies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias, assert_never

from flowlang import syntax
from flowlang.checker import predefined, words
from flowlang.checker.findings import Findings
from flowlang.diagnostics import Note
from flowlang.source import Span
from flowlang.types import (
    Checked,
    EnumInfo,
    ErrorInfo,
    FieldInfo,
    FlowInfo,
    FunctionInfo,
    Info,
    OpaqueInfo,
    ParameterInfo,
    ProtocolInfo,
    RecordInfo,
    ScheduleInfo,
    ServiceInfo,
    Type,
    TypeInfo,
)

DECLARE = "declare it, or take it from another file with `use`"
"""The remedy for a name that is like none there is."""

Kind: TypeAlias = Literal[
    "record",
    "message",
    "enum",
    "type",
    "error",
    "function",
    "service",
    "flow",
    "schedule",
    "protocol",
]


@dataclasses.dataclass(frozen=True)
class Declared:
    """One name of the file. `source` is the file that declares it."""

    kind: Kind
    qualified: str
    source: str
    span: Span


class Names:
    """All names of one file. `unknown` are those of which a mistake was already reported:
    whatever they are used as, nothing more is said of them."""

    def __init__(self, findings: Findings, imports: Mapping[str, Checked]) -> None:
        self.declared: dict[str, Declared] = {}
        self.infos: dict[str, Info] = {}
        self.scope: dict[str, Info] = {}
        self.named: dict[str, TypeInfo] = {}
        self.unknown: set[str] = set()
        self._findings = findings
        self._imports = imports
        self._parts: dict[str, Mapping[str, Type]] = {}
        for used in imports.values():
            self.named.update(used.named)

    # --- filling ----------------------------------------------------------------------------

    def take(self, use: syntax.Use) -> None:
        """The names that one `use` line brings."""
        module = self._imports.get(use.module)
        for used in use.names:
            if module is None:
                self.unknown.add(used.name)
            elif self._is_free(used.name, used.span):
                self._take_one(used, use.module, module)

    def _take_one(self, used: syntax.Used, path: str, module: Checked) -> None:
        info = module.infos.get(used.name)
        if used.name in module.file.private:
            self._report_private(used, path, module, info)
            return
        if info is not None:
            declaration = info.declaration
            assert declaration is not None  # Only built-in errors have none; no file declares them.
            place = declaration.name_span
            self.declared[used.name] = Declared(kind_of(info), info.name, module.source.name, place)
            self.scope[used.name] = info
            return
        self.unknown.add(used.name)
        if used.name in module.file.broken_names or any(
            declaration.name == used.name for declaration in module.file.declarations
        ):
            return  # It is there, with a mistake that is reported in that file.
        public = module.infos.keys() - module.file.private
        hint = self._findings.did_you_mean(used.name, sorted(public))
        if used.name in module.scope:
            origin = module.scope[used.name].name.rpartition(".")[0]
            hint = f"`{path}` takes it from `{origin}` itself: write `use {origin}: {used.name}`"
        self._findings.report("F204", used.span, f"`{path}` declares no `{used.name}`", hint)

    def _report_private(
        self, used: syntax.Used, path: str, module: Checked, info: Info | None
    ) -> None:
        self.unknown.add(used.name)
        declaration = info.declaration if info is not None else None
        self._findings.report(
            "F222",
            used.span,
            f"`{used.name}` is private: only `{path}` itself may use it",
            f"remove `private` where it is declared, or let `{path}` offer something public",
            None
            if declaration is None
            else Note("it is declared here", module.source.name, declaration.name_span),
        )

    def declare(self, declaration: syntax.Declaration, module: str) -> bool:
        """Enter one declaration of this file; False when its name is not free."""
        name, span = declaration.name, declaration.name_span
        right = words.snake if isinstance(declaration, syntax.Function) else words.upper_camel
        check_casing(self._findings, words.a(_kind(declaration)), name, span, right)
        if not self._is_free(name, span):
            return False
        self.declared[name] = Declared(
            _kind(declaration), f"{module}.{name}", self._findings.source.name, span
        )
        return True

    def _is_free(self, name: str, span: Span) -> bool:
        report = self._findings.report
        if what := predefined.reserved(name) or predefined.function(name):
            report(
                "F210",
                span,
                f"`{name}` is {what} and cannot be declared again",
                "choose another name",
            )
            self.unknown.add(name)
            return False
        first = self.declared.get(name)
        if first is None:
            return name not in self.unknown
        report(
            "F206",
            span,
            f"`{name}` is already {words.a(first.kind)} in this file",
            "give one of them another name",
            Note("it is first declared here", first.source, first.span),
        )
        return False

    # --- asking -----------------------------------------------------------------------------

    def caught(self, node: syntax.Name) -> ErrorInfo | None:
        """The error that a `catch` names; None if a mistake was (now) reported."""
        if node.name == predefined.ANY_ERROR.name:
            self._findings.meaning_of[node] = predefined.ANY_ERROR
            return predefined.ANY_ERROR
        info = self.find(node, "error")
        return info if isinstance(info, ErrorInfo) else None

    def find(self, node: syntax.Name, wanted: Literal["flow", "error", "protocol"]) -> Info | None:
        """The flow, error or protocol that `node` names; None if a mistake was (now) reported."""
        info = self.scope.get(node.name)
        if info is None and wanted == "error" and node.name not in self.unknown:
            info = predefined.ERRORS.get(node.name)
        if info is not None and kind_of(info) == wanted:
            self._findings.meaning_of[node] = info
            return info
        if node.name not in self.unknown:
            self.report_missing(node.name, node.span, wanted)
        return None

    def is_missing(self, node: syntax.Name | syntax.Attribute) -> bool:
        """Whether this should be the name of a declaration, and nothing has that name."""
        if not isinstance(node, syntax.Name) or not node.name[0].isupper():
            return False
        free = predefined.reserved(node.name) is None
        return free and node.name not in self.declared and node.name not in self.unknown

    def parts(self, qualified: str) -> Mapping[str, Type]:
        """The fields of a record, message, Python type or error; an enum has none of its own. Of an
        error also what it tells of itself."""
        found = self._parts.get(qualified)
        if found is None:
            info = self.named.get(qualified) or predefined.ERRORS.get(qualified)
            fields: Sequence[FieldInfo | ParameterInfo] = ()
            if isinstance(info, ErrorInfo):
                fields = info.parameters
            elif isinstance(info, RecordInfo | OpaqueInfo):
                fields = info.fields
            found = {field.name: field.type for field in fields}
            if info is None or isinstance(info, ErrorInfo):
                found = {**predefined.ABOUT, **found}
            self._parts[qualified] = found
        return found

    def families(self, qualified: str) -> tuple[str, ...]:
        """The families of an error, the nearest first."""
        info = self.named.get(qualified)
        return info.families if isinstance(info, ErrorInfo) else ()

    def report_missing(self, name: str, span: Span, wanted: str) -> None:
        """Say that `name` is not the kind of thing that is wanted here."""
        if name == "FlowError":
            self._findings.report(
                "F205",
                span,
                "`FlowError` stands for all errors, and can only be caught",
                "name one error, or declare your own: `error Refused(reason: Text)`",
            )
            return
        hint = self._findings.did_you_mean(name, self.of_kind(wanted))
        if name in self.declared:
            what = words.a(self.declared[name].kind)
        elif reserved := predefined.reserved(name):
            what = reserved
        else:
            self._findings.report("F203", span, f"there is no {wanted} `{name}`", hint or DECLARE)
            self.settle(name, hint)
            return
        self._findings.report(
            "F205",
            span,
            f"`{name}` is {what}, but {words.a(wanted)} is wanted here",
            None,
            self.place(name),
        )

    def settle(self, name: str, hint: str | None) -> None:
        """A name with nothing like it is a missing declaration, and one report of it is enough;
        one that looks like another is a slip of the pen, and each place needs mending."""
        if hint is None:
            self.unknown.add(name)

    def of_kind(self, *kinds: str) -> Iterator[str]:
        """The names that are one of these kinds of thing."""
        for name, one in self.declared.items():
            if one.kind in kinds:
                yield name
        if "error" in kinds:
            yield from predefined.ERRORS

    def place(self, name: str) -> Note | None:
        """A note that shows where a name is declared."""
        found = self.declared.get(name)
        return Note(f"`{name}` is declared here", found.source, found.span) if found else None


def check_casing(
    findings: Findings, what: str, name: str, span: Span, right: Callable[[str], str]
) -> None:
    """Report a name that is not written as `right` writes it. `what` is "a flow", "a variable"."""
    better = right(name)
    if better == name or not _readable(name):
        return
    style = _STYLES[right]
    findings.report("F211", span, f"the name of {what} is written in {style}", f"write `{better}`")


def _readable(name: str) -> bool:
    """Whether the parser had nothing to say about the name itself: one mistake, one report."""
    return name.isascii() and len(name) <= 64 and "__" not in name and not name.startswith("_")


_STYLES: Mapping[Callable[[str], str], str] = {
    words.snake: "lower case, with `_` between words",
    words.upper: "UPPER CASE, with `_` between words",
    words.upper_camel: "UpperCamel, without `_`",
}


def kind_of(info: Info) -> Kind:
    """The kind of thing that an info describes."""
    match info:
        case RecordInfo(kind=kind):
            return kind
        case EnumInfo():
            return "enum"
        case OpaqueInfo():
            return "type"
        case ErrorInfo():
            return "error"
        case FunctionInfo():
            return "function"
        case ServiceInfo():
            return "service"
        case FlowInfo():
            return "flow"
        case ScheduleInfo():
            return "schedule"
        case ProtocolInfo():
            return "protocol"
        case _:
            assert_never(info)


def _kind(declaration: syntax.Declaration) -> Kind:
    match declaration:
        case syntax.Record(kind=kind):
            return kind
        case syntax.Enum():
            return "enum"
        case syntax.Opaque():
            return "type"
        case syntax.Error():
            return "error"
        case syntax.Function():
            return "function"
        case syntax.Service():
            return "service"
        case syntax.Flow():
            return "flow"
        case syntax.Schedule():
            return "schedule"
        case syntax.Protocol():
            return "protocol"
        case _:
            assert_never(declaration)
