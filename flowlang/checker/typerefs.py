"""Written types and what they mean. Knows names; knows no expressions and no flows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Literal

from flowlang import syntax
from flowlang.checker import predefined, words
from flowlang.checker.findings import Findings
from flowlang.checker.names import DECLARE, Names
from flowlang.types import (
    BUILTINS,
    INT,
    SESSION,
    TEXT,
    UNKNOWN,
    FlowIdType,
    ListType,
    MapType,
    Named,
    OptionalType,
    Type,
    Unknown,
)

_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("int", "Integer", "integer", "Long", "long", "i64"), "Int"),
    **dict.fromkeys(("str", "string", "String", "text", "Str"), "Text"),
    **dict.fromkeys(("bool", "boolean", "Boolean"), "Bool"),
    **dict.fromkeys(("float", "Float", "double", "Double", "Number", "number"), "Decimal"),
    **dict.fromkeys(("datetime", "DateTime", "Datetime", "Date", "Time", "Instant"), "Timestamp"),
    **dict.fromkeys(("timedelta", "TimeDelta", "Timedelta"), "Duration"),
    **dict.fromkeys(("dict", "Dict"), "Map[K, V]"),
    **dict.fromkeys(("list", "Array", "Sequence", "Vec", "Tuple", "tuple"), "List[T]"),
    **dict.fromkeys(("Optional", "Option", "Maybe"), "T?"),
}
"""What other languages call our types."""


class TypeReader:
    """Reads written types, once each."""

    def __init__(self, findings: Findings, names: Names) -> None:
        self._findings = findings
        self._names = names

    def read(self, ref: syntax.TypeRef, sessions: Literal["none", "item", "all"] = "none") -> Type:
        """What `ref` means. `sessions` says whether it may be a Session ("item") or also a list of
        them ("all")."""
        allowed = "none" if ref.optional else sessions
        kind = self._read(ref, allowed)
        if ref.optional and not isinstance(kind, Unknown | OptionalType):
            kind = OptionalType(kind)
        self._findings.type_refs[ref] = kind
        return kind

    def _read(self, ref: syntax.TypeRef, sessions: Literal["none", "item", "all"]) -> Type:
        report = self._findings.report
        if ref.name in self._names.unknown:
            return UNKNOWN
        if ref.name in ("List", "Map"):
            return self._collection(ref, sessions)
        if ref.name == "FlowId" and ref.arguments:
            return self._flow_id(ref)
        if ref.name == "Session" and len(ref.arguments) == 1 and ref.arguments[0].role:
            return self._session(ref, sessions)
        if ref.role is not None:
            self._findings.report(
                "F657",
                ref.span,
                "a role is no type",
                f"only a session is of a role: `Session[{ref.name}.{ref.role.name}]`",
            )
            return UNKNOWN
        kind = BUILTINS.get(ref.name) or self._declared(ref)
        if ref.arguments and kind != UNKNOWN:
            for argument in ref.arguments:
                self.read(argument)
            report(
                "F308",
                ref.span,
                f"{ref.name} takes no types in brackets",
                "only `List[T]`, `Map[K, V]` and `FlowId[T]` do",
            )
            return UNKNOWN
        if kind == SESSION and sessions == "none":
            report(
                "F604",
                ref.span,
                "a Session cannot stand here",
                "a session stays with the flow that has it; only a flow's parameter may be"
                " `Session` or `List[Session]`",
            )
            return UNKNOWN
        return kind

    def _session(self, ref: syntax.TypeRef, sessions: Literal["none", "item", "all"]) -> Type:
        """`Session[Trade.buyer]`: whether there is that role is looked at with the flow."""
        plain = syntax.TypeRef(ref.name, (), ref.optional, ref.span)
        return self._read(plain, "none" if sessions == "item" else sessions)

    def _collection(self, ref: syntax.TypeRef, sessions: str) -> Type:
        arguments = ref.arguments
        wanted = 1 if ref.name == "List" else 2
        inner: Literal["none", "item"] = "item" if sessions == "all" and wanted == 1 else "none"
        kinds = [self.read(argument, inner) for argument in arguments]
        if len(kinds) != wanted:
            message, hint = (
                ("List takes one type, that of its items", "write `List[Text]`, for example")
                if wanted == 1
                else (
                    "Map takes two types, those of its keys and values",
                    "write `Map[Text, Int]`, for example",
                )
            )
            self._findings.report("F308", ref.span, message, hint)
            return UNKNOWN
        if wanted == 1:
            return ListType(kinds[0])
        if kinds[0] not in (INT, TEXT, UNKNOWN):
            self._findings.report(
                "F309",
                arguments[0].span,
                f"the keys of a Map are Int or Text, not {words.said(kinds[0])}",
            )
            return UNKNOWN
        return MapType(kinds[0], kinds[1])

    def _flow_id(self, ref: syntax.TypeRef) -> Type:
        kinds = [self.read(argument) for argument in ref.arguments]
        if len(kinds) == 1:
            return UNKNOWN if kinds[0] == UNKNOWN else FlowIdType(kinds[0])
        self._findings.report(
            "F308",
            ref.span,
            "FlowId takes one type, that of the flow's result",
            "write `FlowId[Text]`, for example",
        )
        return UNKNOWN

    def _declared(self, ref: syntax.TypeRef) -> Type:
        found = self._names.declared.get(ref.name)
        if found is not None:
            match found.kind:
                case "record" | "message" | "enum" | "type" as kind:
                    return Named(kind, found.qualified)
        if ref.name in predefined.ERRORS or (found is not None and found.kind == "error"):
            self._findings.report(
                "F326",
                ref.span,
                f"`{ref.name}` is an error, and a value cannot have its type",
                "take the error's fields one by one, or declare a record for them",
                self._names.place(ref.name),
            )
        elif ref.name not in self._names.unknown:
            self._report_missing(ref)
        return UNKNOWN

    def _report_missing(self, ref: syntax.TypeRef) -> None:
        if ref.name in self._names.declared:
            self._names.report_missing(ref.name, ref.span, "type")
            return
        if ours := _ELSEWHERE.get(ref.name):
            hint: str | None = f"write `{ours}`"
        else:
            known = chain(
                predefined.TYPES, self._names.of_kind("record", "message", "enum", "type")
            )
            hint = self._findings.did_you_mean(ref.name, known)
        self._findings.report("F202", ref.span, f"there is no type `{ref.name}`", hint or DECLARE)
        self._names.settle(ref.name, hint)
