"""Static figures of compiled modules: the bytes that a flow at rest keeps, and counts of what there
is. Reads machines; measures nothing that runs.

The bytes are those of MessagePack, in which the runtime writes a flow at rest. Where a type has no
longest value, the figure is that of a sample, and says so: see `SAMPLES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import assert_never

from flowlang import machine, walk
from flowlang.types import (
    AnswerType,
    Builtin,
    Caught,
    FlowIdType,
    ListType,
    MapType,
    Named,
    NoneType,
    OptionalType,
    PendingType,
    Type,
    Unknown,
    shown,
)

SAMPLES = {"Text": 20, "Bytes": 32, "Party": 10, "List": 3, "Map": 3}
"""What is taken where a type has no bound: characters, bytes, characters of a party's name, items,
entries."""

FRAME = 13
"""Bytes of a flow at rest besides its name and variables: format, counters, what it waits for."""

SESSION = 32 + SAMPLES["Party"]
"""Bytes of an open session with nothing in its inbox."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Bytes of a value: `usual` with samples where there is no bound, `most` if there is one."""

    usual: int
    most: int | None


@dataclasses.dataclass(frozen=True)
class Kept:
    """A variable that a state keeps."""

    name: str
    type: str
    size: Size


@dataclasses.dataclass(frozen=True)
class StateSize:
    """A state in which a flow rests. `size` is that of the whole checkpoint: the variables, the
    flow's own name and counters, and its open sessions, of which there are at least as many as the
    variables hold."""

    flow: str
    state: str
    line: int
    kept: tuple[Kept, ...]
    sessions: int
    size: Size


def sizes(
    module: machine.Module, project: Mapping[str, machine.Module], flow: str | None = None
) -> list[StateSize]:
    """Each resting state of a module's flows, or of one; `project` has all modules by name."""
    shapes = _shapes(project.values())
    return [
        _state_size(one, state, shapes)
        for one in module.machines
        if flow is None or one.name.rpartition(".")[2] == flow
        for state in one.states
        if state.tag is not None
    ]


_Shapes = dict[str, tuple[Type, ...]]
"""The types of the fields of everything that has fields, by its qualified name."""


def _shapes(modules: Iterable[machine.Module]) -> _Shapes:
    found: _Shapes = {}
    for module in modules:
        for record in module.records:
            found[record.name] = tuple(field.type for field in record.fields)
        for error in module.errors:
            found[error.name] = tuple(field.type for field in error.fields)
    return found


def _state_size(flow: machine.Machine, state: machine.State, shapes: _Shapes) -> StateSize:
    types = {one.name: one.type for one in (*flow.variables, *flow.parameters)}
    kept = tuple(
        Kept(name, shown(types[name]), _size(types[name], shapes, ())) for name in state.keeps
    )
    sessions = sum(_SESSIONS.get(shown(types[name]), 0) for name in state.keeps)
    if isinstance(state.awaits, machine.AwaitMessage):
        sessions = max(1, sessions)
    name = f"{flow.name}_v{flow.version}"
    fixed = FRAME + _head(len(name), 31) + len(name) + _items(len(kept) + 1) + 1
    variables = _sum(one.size for one in kept)
    most = None if variables.most is None or sessions else fixed + variables.most
    size = Size(fixed + variables.usual + sessions * SESSION, most)
    return StateSize(name.rpartition(".")[2], state.name, state.place.line, kept, sessions, size)


def _sum(sizes: Iterable[Size]) -> Size:
    usual, most = 0, 0
    bounded = True
    for size in sizes:
        usual += size.usual
        most += size.most or 0
        bounded = bounded and size.most is not None
    return Size(usual, most if bounded else None)


def _head(count: int, short: int) -> int:
    """Bytes before a text (`short` 31) or bytes (0) of this length."""
    return 1 if count <= short else 2 if count < 256 else 3 if count < 65_536 else 5


def _items(count: int) -> int:
    """Bytes before a list or map of so many items."""
    return 1 if count < 16 else 3 if count < 65_536 else 5


_BUILTIN = {
    "Int": Size(3, 9),
    "Decimal": Size(7, 2 + 46),
    "Bool": Size(1, 1),
    "Text": Size(1 + SAMPLES["Text"], None),
    "Bytes": Size(2 + SAMPLES["Bytes"], None),
    "Timestamp": Size(10, 15),
    "Duration": Size(7, 32),
    "Party": Size(2 + SAMPLES["Party"], None),
    "Session": Size(1, 5),
    "FlowId": Size(3, 9),
}
_SESSIONS = {"Session": 1, "List[Session]": SAMPLES["List"]}
_UNFORESEEN = Size(24, None)


def _size(kind: Type, shapes: _Shapes, inside: tuple[str, ...]) -> Size:
    match kind:
        case Builtin(name=name):
            return _BUILTIN.get(name, _UNFORESEEN)
        case NoneType():
            return Size(1, 1)
        case OptionalType(item=item):
            size = _size(item, shapes, inside)
            return Size(size.usual, None if size.most is None else max(1, size.most))
        case ListType(item=item):
            return Size(1 + SAMPLES["List"] * _size(item, shapes, inside).usual, None)
        case MapType(key=key, value=value):
            entry = _sum([_size(key, shapes, inside), _size(value, shapes, inside)])
            return Size(1 + SAMPLES["Map"] * entry.usual, None)
        case Named(name=name):
            return _named(kind, name, shapes, inside)
        case FlowIdType():
            return _BUILTIN["FlowId"]
        case PendingType():
            return _BUILTIN["Session"]
        case AnswerType(value=value):
            return _sum(
                [Size(1, 1), _size(value, shapes, inside), _BUILTIN["Text"], _BUILTIN["Timestamp"]]
            )
        case Caught() | Unknown():
            return _UNFORESEEN
        case _:
            assert_never(kind)


def _named(kind: Named, name: str, shapes: _Shapes, inside: tuple[str, ...]) -> Size:
    if name not in shapes and kind.kind == "error":
        fields: tuple[Type, ...] = (Builtin("Text"),)  # Built in: it has a reason.
    elif name not in shapes:
        return _UNFORESEEN
    else:
        fields = shapes[name]
    if name in inside:
        return Size(1, None)  # One in another of its kind: the sample ends here.
    size = _sum(_size(field, shapes, (*inside, name)) for field in fields)
    most = None if size.most is None else size.most + _items(len(fields))
    size = Size(size.usual + _items(len(fields)), most)
    if kind.kind == "error":
        # With the id of what happened, and the party that it came from.
        return Size(size.usual + 1 + 33 + 1 + SAMPLES["Party"], None)
    return size


# --- counts -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a module has."""

    module: str
    lines: int
    flows: int
    states: int
    waits: int
    messages: int
    records: int
    errors: int
    services: int
    functions: int
    actions: int


def counts(module: machine.Module, lines: int) -> Counts:
    """The counts of one module, whose text has so many lines."""
    states = [state for one in module.machines for state in one.states]
    resting = [state for state in states if state.tag is not None]
    return Counts(
        module.module,
        lines,
        len(module.machines),
        len(resting),
        sum(state.awaits is not None for state in resting),
        sum(one.kind == "message" for one in module.records),
        sum(one.kind == "record" for one in module.records),
        len(module.errors),
        len(module.services),
        len(module.functions),
        sum(1 for state in states for _ in walk.each(state.actions)),
    )
