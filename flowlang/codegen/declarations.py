"""What the templates print: each declaration of a module, worked out to the last line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flowlang import machine, types, walk
from flowlang.codegen import words
from flowlang.codegen.layout import SKIP, Unfit, item
from flowlang.codegen.page import Page
from flowlang.codegen.scope import Scope, class_name, key_name, short, union
from flowlang.codegen.steps import Steps
from flowlang.codegen.trees import UNION, Atom, Call, Dict, Tree, Tuple, call, chain, subscript
from flowlang.codegen.values import Values

CONTRACT = 2
"""The contract of the runtime for which code is made: `flowrt.core.flow.CONTRACT`."""


@dataclasses.dataclass(frozen=True)
class Block:
    """One declaration: the template that prints it, and what it prints."""

    template: str
    shown: dict[str, Any]


def blocks(module: machine.Module, scope: Scope) -> list[Block]:
    """All declarations, in an order in which Python can read them."""
    made = _Made(module, scope)
    found = [made.opaque(opaque) for opaque in module.opaques]
    found += [block for enum in module.enums for block in made.enum(enum)]
    found += [made.record(record) for record in module.records]
    found += [made.error(error) for error in _families_first(module.errors)]
    found += [made.function(function) for function in module.functions]
    found += [made.service(service) for service in module.services]
    if module.machines:
        found += made.table()
        found += [made.flow(one) for one in module.machines]
    if module.schedules:
        found.append(made.schedules())
    return found


class _Made:
    def __init__(self, module: machine.Module, scope: Scope) -> None:
        self._module = module
        self._scope = scope
        self._errors = [error.name for error in module.errors] + list(module.used_errors)

    # --- records and errors -----------------------------------------------------------------

    def record(self, record: machine.Record) -> Block:
        name = self._scope.named(record.name)
        base = "rt.Message" if record.kind == "message" else "rt.Value"
        shown = {
            "header": _class_header(0, name, base, _FROZEN),
            "doc": _doc(4, record.doc),
            "wire": self._wire(record.name) if record.kind == "message" else "",
            "fields": self._fields(4, record.fields),
            "finite": self._finite(8, record.fields),
        }
        return Block("record", shown)

    def enum(self, enum: machine.Enum) -> list[Block]:
        """A class for each case, and the type that is one of them."""
        self._scope.library("typing")
        found = []
        for case in enum.cases:
            tag = (("tag", Atom(words.text(short(case.name)))),)
            options = (*_FROZEN, *tag, ("forbid_unknown_fields", Atom("True")))
            name = self._scope.named(case.name)
            where = f"{self._module.source}:{case.place.line}  {case.place.text}"
            shown = {
                "header": _class_header(0, name, "rt.Value", options),
                "doc": _doc(4, words.cut(where, 78)),
                "wire": "",
                "fields": self._fields(4, case.fields),
                "finite": self._finite(8, case.fields),
            }
            found.append(Block("record", shown))
        cases = union([Atom(self._scope.named(case.name)) for case in enum.cases])
        page = Page(0)
        page.constant(f"{self._scope.named(enum.name)}: typing.TypeAlias = ", cases)
        return [*found, Block("lines", {"lines": _with_doc(page.lines, enum.doc)})]

    def opaque(self, opaque: machine.Opaque) -> Block:
        """A class of the author's, under its name in the language."""
        self._scope.library("typing")
        name = self._scope.named(opaque.name)
        page = Page(0)
        page.constant(f"{name}: typing.TypeAlias = ", Atom(_imported(opaque)))
        return Block("lines", {"lines": _with_doc(page.lines, opaque.doc)})

    def _wire(self, qualified: str) -> str:
        self._scope.library("typing")
        page = Page(4)
        page.put("wire: typing.ClassVar[str] = ", Atom(words.text(qualified)))
        return "\n".join(page.lines)

    def _parameters(
        self,
        parameters: Sequence[machine.Field | machine.Variable],
        name: Callable[[str], str],
    ) -> list[tuple[str, Tree, Tree | None]]:
        """Of a function that Python may call: name, type, default."""
        last = self._last_given(parameters)
        values = Values(self._scope, words.name)
        return [
            (
                name(one.name),
                self._scope.kind(one.type),
                values.of(one.default) if number > last and one.default is not None else None,
            )
            for number, one in enumerate(parameters)
        ]

    def _last_given(self, fields: Sequence[machine.Field | machine.Variable]) -> int:
        """Where one field has no default in Python, those before it cannot have one either."""
        given = (n for n, field in enumerate(fields) if not self._has_default(field))
        return max(given, default=-1)

    def _fields(
        self,
        indent: int,
        fields: Sequence[machine.Field | machine.Variable],
        name: Callable[[str], str] = words.field,
    ) -> list[str]:
        page = Page(indent)
        last = self._last_given(fields)
        values = Values(self._scope, words.name)
        for number, field in enumerate(fields):
            kind = self._scope.kind(field.type, field=True)
            written = name(field.name)
            if number > last and field.default is not None:
                page.declare_once(written, kind, values.of(field.default))
            else:
                page.annotate(written, kind)
        return page.lines

    def _has_default(self, field: machine.Field | machine.Variable) -> bool:
        """Whether Python's class gets the default too, which must be a value that cannot change.
        A flow's own `New` has every argument in any case."""
        if field.default is None:
            return False
        return all(
            isinstance(at, machine.Const | machine.Items) for at in walk.within(field.default)
        )

    def _finite(self, indent: int, fields: Sequence[machine.Field]) -> list[str]:
        page = Page(indent)
        plain = [field for field in fields if _bare(field.type) == types.DECIMAL]
        if plain:
            page.put("", call("rt.finite", *[Atom(f"self.{words.field(f.name)}") for f in plain]))
        for field in fields:
            if field not in plain:
                _refuse_infinite(page, f"self.{words.field(field.name)}", field.type)
        return page.lines

    def error(self, error: machine.Error) -> Block:
        name = self._scope.named(error.name)
        parameters = self._parameters(error.fields, words.field)
        page = Page(8)
        for written, _, _ in parameters:
            page.line(f"self.{written} = {written}")
        self._say(page, error)
        shown = {
            "header": _class_header(0, name, self._base(error), ()),
            "doc": _doc(4, _said(error)),
            "wire": "\n".join(_assigned(4, "wire", Atom(words.text(error.name)))),
            "fields": self._fields(8, error.fields),
            "finite": self._finite(12, error.fields),
            "init": _signature(4, "__init__", ["self"], parameters, Atom("None")),
            "body": page.lines,
        }
        return Block("error", shown)

    def _say(self, page: Page, error: machine.Error) -> None:
        """The text for people; if it cannot be computed, the error is still the same error."""
        text: Tree = Atom(words.text(short(error.name)))
        # Not by way of a family, which has a text of its own.
        init, given = "super().__init__", []
        if error.family is not None:
            init, given = "rt.FlowError.__init__", [Atom("self")]
        if error.text is None:
            page.put("", call(init, *given, text))
            return
        said = Values(self._scope, words.field).of(error.text)
        if not may_fault([error.text]):
            page.put("", call(init, *given, said))
            return
        page.open("try:")
        page.put("_text = ", said)
        page.close()
        page.open("except rt.Fault:")
        page.put("_text = ", text)
        page.close()
        page.put("", call(init, *given, Atom("_text")))

    def _base(self, error: machine.Error) -> str:
        return "rt.FlowError" if error.family is None else self._scope.named(error.family)

    def table(self) -> list[Block]:
        """The errors that flows of this module can name, for the engine to find them by."""
        if not self._errors:
            return []
        entries = tuple(
            (Atom(words.text(error)), Atom(self._scope.named(error))) for error in self._errors
        )
        page = Page(0)
        page.put("_ERRORS: rt.Mapping[str, type[rt.FlowError]] = ", Dict(entries))
        return [Block("lines", {"lines": page.lines})]

    def schedules(self) -> Block:
        """When which flows start by themselves, for a node to find them by."""
        values = Values(self._scope, words.name)
        listed = []
        for one in self._module.schedules:
            flow = self._scope.flow(one.flow, one.version)
            start = call(f"{flow}.Start", *[values.of(argument) for argument in one.arguments])
            texts = [Atom(words.text(text)) for text in (one.name, one.cron, one.zone)]
            listed.append(call("rt.Schedule", texts[0], Atom(flow), start, *texts[1:]))
        page = Page(0)
        page.put("SCHEDULES: tuple[rt.Schedule, ...] = ", Tuple(tuple(listed)))
        return Block("lines", {"lines": page.lines})

    # --- Python that authors write ----------------------------------------------------------

    def function(self, function: machine.Function) -> Block:
        name = self._scope.named(function.name)
        path, _, target = function.target.partition(":")
        first, _, rest = target.partition(".")
        called = "function" + (f".{words.module(rest)}" if rest else "")
        parameters = [(words.name(p.name), self._scope.kind(p.type)) for p in function.parameters]
        page = Page(4)
        page.put(
            "return ",
            call(
                "rt.typed",
                Atom(words.text(function.target)),
                self._scope.kind(function.result, field=True),
                call(called, *[Atom(written) for written, _ in parameters]),
            ),
        )
        where = f"{self._module.source}:{function.place.line}"
        shown = {
            "header": _signature(0, name, [], parameters, self._scope.kind(function.result)),
            "doc": _doc(4, f"{where}: a pure function, `{function.target}`."),
            # Imported late: that module may import this one for its types.
            "import_line": _line(
                4, f"from {words.module(path)} import {words.module(first)} as function"
            ),
            "result": "\n".join(page.lines),
        }
        return Block("function", shown)

    def service(self, service: machine.Service) -> Block:
        name = self._scope.named(service.name)
        self._scope.library("typing")
        operations = tuple(self._operation(operation) for operation in service.operations)
        page = Page(0)
        key = Call(
            f"rt.ServiceKey[{name}]",
            tuple(("", tree) for tree in (Atom(words.text(service.name)), *operations)),
        )
        page.put(f"{key_name(short(service.name))} = ", key)
        where = f"{self._module.source}:{service.place.line}"
        shown = {
            "header": _class_header(0, name, "typing.Protocol", ()),
            "doc": _doc(4, service.doc or words.cut(f"{where}  {service.place.text}", 78)),
            "methods": [self._method(operation) for operation in service.operations],
            "key": "\n".join(page.lines),
        }
        return Block("service", shown)

    def _method(self, operation: machine.Operation) -> str:
        parameters = [
            (_parameter(operation, p.name), self._scope.kind(p.type)) for p in operation.parameters
        ]
        result = self._scope.kind(operation.result or types.NONE)
        lent = ("tx", Atom("rt.Tx"))
        if operation.kind in _OUTSIDE:
            # It runs outside of any step, and may take its time.
            lent = ("key", Atom("str"))
            result = subscript("rt.Eventually", result)
        elif operation.kind == "event":
            # None until it is so.
            is_so = Atom("bool") if operation.result is None else result
            result = chain(UNION, "|", is_so, Atom("None"))
        name = words.name(operation.name)
        return _signature(4, name, ["self"], [lent, *parameters], result, body=" ...")

    def _operation(self, operation: machine.Operation) -> Tree:
        names = [Atom(words.text(_parameter(operation, one.name))) for one in operation.parameters]
        kinds: list[Tree] = []
        if operation.kind in (*_OUTSIDE, "event") and operation.parameters:
            # What it is given is kept, and read again when it is called.
            listed = [self._scope.kind(one.type, field=True) for one in operation.parameters]
            kinds = [Tuple(tuple(listed))]
        return call(
            "rt.Operation",
            Atom(words.text(words.name(operation.name))),
            Atom(words.text(operation.kind)),
            Tuple(tuple(names)) if names else Atom("()"),
            self._scope.kind(operation.result or types.NONE, field=True),
            *kinds,
        )

    # --- flows ------------------------------------------------------------------------------

    def flow(self, flow: machine.Machine) -> Block:
        scope = self._scope
        name = class_name(short(flow.name), flow.version)
        parameters = self._parameters(flow.parameters, words.state_field)
        result = flow.result or types.NONE
        resting = [state for state in flow.states if state.tag is not None]
        states = {state.name: self._state_class(state.name) for state in resting}
        steps = Steps(self._module.source, flow, scope, states, name).lines()
        page = Page(8)
        names = [words.state_field(parameter.name) for parameter in flow.parameters]
        if flow.owner is not None:
            names.pop()  # Its node opens that session.
            parameters.pop()
        given = tuple((written, Atom(written)) for written in names)
        page.put("", Call("rt.refuse_call", (("", Atom(name)), *given)))
        anything = union([Atom(states[state.name]) for state in resting])
        arguments = [("at", anything), ("run", Atom("rt.Run"))]
        returns = subscript("rt.Step", scope.kind(result))
        shown = {
            "header": _class_header(0, name, subscript("rt.Flow", scope.kind(result)), ()),
            "doc": _doc(4, flow.doc),
            "attributes": self._attributes(flow),
            "init": _signature(
                4, "__init__", ["self", "*"] if parameters else ["self"], parameters, Atom("None")
            ),
            "refusal": "\n".join(page.lines),
            "states": [self._state(flow, state, states[state.name]) for state in resting],
            "aliases": [
                *_assigned(4, "States", anything),
                *_assigned(4, "Result", scope.kind(result, field=True)),
            ],
            "key": self._key(flow),
            "step": _signature(4, "step", ["cls"], arguments, returns),
            "body": steps,
        }
        return Block("flow", shown)

    def _key(self, flow: machine.Machine) -> list[str]:
        """The method that makes the business key of a flow that is to start."""
        if flow.key is None:
            return []
        page = Page(8)
        values = Values(self._scope, lambda name: f"at.{words.state_field(name)}")
        page.put("return ", values.of(flow.key))
        head = _signature(4, "key", ["cls"], [("at", Atom("Start"))], Atom("str"))
        return [head, *page.lines]

    def _state_class(self, name: str) -> str:
        """A state's class; a type of that name, in this module, is something else."""
        return f"{words.plain(name)}_" if name in self._scope.taken else words.plain(name)

    def _attributes(self, flow: machine.Machine) -> list[str]:
        scope = self._scope
        expressions = [e for state in flow.states for e in walk.state_expressions(state)]
        nodes = [node for expression in expressions for node in walk.within(expression)]
        used = machine.CallOperation | machine.Request
        services = {node.service: None for node in nodes if isinstance(node, used)}
        starts = {
            f"{node.flow}_v{node.version}": None
            for node in nodes
            if isinstance(node, machine.StartFlow)
        }
        targets = {node.target: None for node in nodes if isinstance(node, machine.CallFunction)}
        asked = {
            name: Atom(scope.named(name))
            for node in nodes
            if isinstance(node, machine.AskFor)
            for name in (node.asked, node.answer)
        }
        waits = [state.awaits for state in flow.states]
        subflows = {
            f"{wait.flow}_v{wait.version}": None
            for wait in waits
            if isinstance(wait, machine.AwaitSubflow)
        }
        steps = [
            call("rt.ProgressStep", *[Atom(words.text(part)) for part in parts if part is not None])
            for parts in ((step.name, step.label, step.tracks) for step in flow.steps)
        ]
        place = f"{self._module.source}:{flow.place.line}"
        lists: list[tuple[str, list[Tree]]] = [
            ("startable", [Atom(words.text(by)) for by in flow.startable]),
            ("steps", list(steps)),
            ("services", [Atom(scope.key(service)) for service in services]),
            ("functions", [Atom(words.text(target)) for target in targets]),
            ("subflows", [Atom(words.text(subflow)) for subflow in subflows]),
            ("starts", [Atom(words.text(started)) for started in starts]),
        ]
        lines = [f"    contract = {CONTRACT}"]
        lines += _assigned(4, "name", Atom(words.text(flow.name)))
        lines += _assigned(4, "version", Atom(str(flow.version)))
        lines += _assigned(4, "source", Atom(words.text(place)))
        if flow.responds_to is not None:
            lines += _assigned(4, "responds_to", Atom(words.text(flow.responds_to)))
        for name, trees in lists:
            if trees:
                lines += _assigned(4, name, Tuple(tuple(trees)))
        if asked:
            tasks = tuple((Atom(words.text(name)), kind) for name, kind in asked.items())
            name = f"tasks: {scope.library('typing')}.ClassVar[rt.Mapping[str, object]]"
            lines += _assigned(4, name, Dict(tasks))
        if flow.roles:
            roles = tuple((Atom(words.text(one.name)), self._role(one)) for one in flow.roles)
            name = f"roles: {scope.library('typing')}.ClassVar[rt.Mapping[str, object]]"
            lines += _assigned(4, name, Dict(roles))
        if flow.remedies:
            said = tuple((Atom(words.text(one.cause)), _remedy(one)) for one in flow.remedies)
            name = f"remedies: {scope.library('typing')}.ClassVar[rt.Mapping[str, rt.Remedy]]"
            lines += _assigned(4, name, Dict(said))
        if self._errors:
            lines += _assigned(4, "errors", Atom("_ERRORS"))
        if flow.owner is not None:
            lines += _assigned(4, "owner", Atom("True"))
        if flow.commands:
            listed = [Atom(scope.named(message)) for message in flow.commands]
            lines += _assigned(4, "commands", Tuple(tuple(listed)))
        return lines

    def _role(self, role: machine.Role) -> Tree:
        named = self._scope.named
        sides = (role.sends, role.receives)
        return Tuple(tuple(Tuple(tuple(Atom(named(one)) for one in side)) for side in sides))

    def _state(self, flow: machine.Machine, state: machine.State, name: str) -> dict[str, Any]:
        self._scope.library("typing")
        types_ = {variable.name: variable.type for variable in flow.variables}
        page = Page(8)
        if state.awaits is None:
            page.lines += self._fields(8, flow.parameters, words.state_field)
        for kept in state.keeps if state.awaits is not None else ():
            kind = self._scope.kind(types_[kept], field=True)
            page.annotate(words.state_field(kept), kind)
        place = f"{self._module.source}:{state.place.line}"
        put = Page(8)
        put.put("place: typing.ClassVar[str] = ", Atom(words.text(place)))
        return {
            "header": _class_header(4, name, "rt.State", (*_FROZEN, ("tag", Atom(str(state.tag))))),
            "doc": _doc(8, words.cut(f"{place}  {state.place.text}", words.WIDTH - 14)),
            "place": "\n".join(put.lines),
            "fields": page.lines,
        }


def _remedy(one: machine.Remedy) -> Tree:
    numbers = (f"{one.retries:_}", f"{one.every_us:_}", str(one.ends))
    return call("rt.Remedy", *map(Atom, numbers))


def _families_first(errors: Sequence[machine.Error]) -> list[machine.Error]:
    """The errors in an order in which Python can make classes of them."""
    by_name = {error.name: error for error in errors}
    found: dict[str, machine.Error] = {}
    for error in errors:
        way: list[machine.Error] = []
        at: machine.Error | None = error
        while at is not None and at.name not in found:
            way.append(at)
            at = by_name.get(at.family or "")
        found.update({one.name: one for one in reversed(way)})
    return list(found.values())


# --- forms --------------------------------------------------------------------------------------


def _parameter(operation: machine.Operation, name: str) -> str:
    """A parameter of a service's method, beside the one that every such method has."""
    return "key_" if operation.kind in _OUTSIDE and name == "key" else words.name(name)


_OUTSIDE = ("external", "once")
"""The operations that run outside of a step."""

_FROZEN = (("frozen", Atom("True")), ("array_like", Atom("True")), ("gc", Atom("False")))


def opaque_imports(module: machine.Module) -> list[tuple[str, list[str]]]:
    """The modules of the classes of Python that are types here, and what is taken from each."""
    found: dict[str, list[str]] = {}
    for opaque in module.opaques:
        path, _, target = opaque.target.partition(":")
        found.setdefault(words.module(path), []).append(
            f"{words.module(target)} as {_imported(opaque)}"
        )
    return [(path, sorted(names)) for path, names in sorted(found.items())]


def _imported(opaque: machine.Opaque) -> str:
    """A name that no author can write, so that it hides nothing."""
    return f"_{words.plain(short(opaque.name))}"


def _class_header(
    indent: int, name: str, base: str | Tree, options: Sequence[tuple[str, Tree]]
) -> str:
    first = Atom(base) if isinstance(base, str) else base
    page = Page(indent)
    page.constant("class ", Call(name, (("", first), *options)), ":")
    return "\n".join(page.lines)


def _signature(
    indent: int,
    name: str,
    before: Sequence[str],
    parameters: Sequence[tuple[str, Tree] | tuple[str, Tree, Tree | None]],
    result: Tree,
    body: str = "",
) -> str:
    """The head of a function, as ruff lays it out."""
    named = [(one[0], one[1], one[2] if len(one) == 3 else None) for one in parameters]
    tails = ["" if default is None else f" = {default.text}" for _, _, default in named]
    shown = zip(named, tails, strict=True)
    listed = [*before, *[f"{written}: {kind.text}{tail}" for (written, kind, _), tail in shown]]
    margin = " " * indent
    opening, closing = f"{margin}def {name}(", f") -> {result.text}:{body}"
    line = f"{opening}{', '.join(listed)}{closing}"
    if words.width(line) <= words.WIDTH:
        return line
    if not listed or words.width(margin + closing) > words.WIDTH:
        return line + SKIP
    inner = f"{margin}    {', '.join(listed)}"
    if words.width(inner) <= words.WIDTH:
        return "\n".join([opening, inner, margin + closing])
    lines = [f"{margin}    {one}," for one in before]
    try:
        for (written, kind, _), tail in zip(named, tails, strict=True):
            lines += item(kind, indent + 4, f"{written}: ", f"{tail},", 0)
    except Unfit:
        return line + SKIP
    return "\n".join([opening, *lines, margin + closing])


def _assigned(indent: int, name: str, tree: Tree) -> list[str]:
    page = Page(indent)
    page.constant(f"{name} = ", tree)
    return page.lines


def _line(indent: int, text: str) -> str:
    page = Page(indent)
    page.line(text)
    return "\n".join(page.lines)


def _doc(indent: int, said: str | None) -> str:
    return "\n".join(words.docstring(indent, said)) if said and said.strip() else ""


def _with_doc(lines: list[str], said: str | None) -> list[str]:
    doc = _doc(0, said)
    return [*lines, doc] if doc else lines


def _said(error: machine.Error) -> str:
    """What the error says, with its fields in braces."""
    match error.text:
        case machine.Const(value=str() as text) if text.strip():
            return text
        case machine.Text(parts=parts):
            shown = [
                str(part.value) if isinstance(part, machine.Const) else f"{{{_path(part)}}}"
                for part in parts
            ]
            return "".join(shown)
        case _:
            return short(error.name)


def _path(node: machine.Expr) -> str:
    match node:
        case machine.Var(name=name):
            return name
        case machine.Get(value=value, name=name):
            return f"{_path(value)}.{name}"
        case machine.Some(value=value) | machine.Compute(arguments=(value, *_)):
            return _path(value)
        case _:
            return "…"


def _bare(kind: types.Type) -> types.Type:
    return kind.item if isinstance(kind, types.OptionalType) else kind


def _refuse_infinite(page: Page, path: str, kind: types.Type, depth: int = 0) -> None:
    """Look at every Decimal inside lists, maps and optional ones."""
    if not _has_decimal(kind):
        return
    match kind:
        case types.OptionalType(item=item):
            page.open(f"if {path} is not None:")
            _refuse_infinite(page, path, item, depth)
            page.close()
        case types.ListType(item=item) | types.MapType(value=item):
            values = f"{path}.values()" if isinstance(kind, types.MapType) else path
            if _bare(item) == types.DECIMAL:
                page.put("", call("rt.finite", Atom(f"*{values}")))
                return
            inner = f"item_{depth + 1}" if depth else "item"
            page.open(f"for {inner} in {values}:")
            _refuse_infinite(page, inner, item, depth + 1)
            page.close()
        case _:
            page.put("", call("rt.finite", Atom(path)))


def _has_decimal(kind: types.Type) -> bool:
    match kind:
        case types.OptionalType(item=item) | types.ListType(item=item) | types.MapType(value=item):
            return _has_decimal(item)
        case _:
            return kind == types.DECIMAL


def may_fault(expressions: Iterable[machine.Expr]) -> bool:
    """Whether arithmetic or an index could go wrong in them."""
    faulty = machine.Arithmetic | machine.Negate | machine.Item | machine.Divide | machine.Compute
    return any(isinstance(at, faulty) for one in expressions for at in walk.within(one))
