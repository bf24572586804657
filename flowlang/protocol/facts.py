"""What a flow knows of finite values on its way: flags, cases of enums, whether there is something.

A decision that was made once is made alike afterwards; all others may go either way. A fact is kept
only as long as a test of the same value can still come.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from flowlang import machine, walk
from flowlang.protocol.code import Code, Each, Instruction, Pick, Rest, Test
from flowlang.types import Builtin, Named, Type

Path: TypeAlias = tuple[str, ...]
"""A variable and fields in it."""

Key: TypeAlias = tuple[Path, str]
"""A value, and what is known of it: "" whether it holds, "case" which case it is, "none" whether it
is none, or the constant that it is compared with."""

Facts: TypeAlias = frozenset[tuple[Key, str | bool]]

NO_FACTS: Facts = frozenset()
MOST = 6
"""Values that are followed in one flow."""


def path_of(value: machine.Expr) -> Path | None:
    """The variable or field that an expression only reads."""
    match value:
        case machine.Var(name=name):
            return (name,)
        case machine.Get(value=inner, name=name):
            below = path_of(inner)
            return None if below is None else (*below, name)
        case machine.Some(value=inner) | machine.Cased(value=inner):
            return path_of(inner)
        case _:
            return None


def _compared(condition: machine.Compare) -> Key | None:
    """What `==` and `!=` compare with a constant."""
    if condition.operator not in ("==", "!="):
        return None
    for value, other in ((condition.left, condition.right), (condition.right, condition.left)):
        path = path_of(value)
        if path is not None and isinstance(other, machine.Const):
            if other.type == "none":
                return path, "none"
            if other.type == "Bool":
                return path, ""
            return path, f"={other.value}"
    return None


def keys_of(condition: machine.Expr) -> Iterator[Key]:
    """The finite values that a condition asks for."""
    todo = [condition]
    while todo:
        match todo.pop():
            case machine.Not(value=value):
                todo.append(value)
            case machine.Logic(left=left, right=right):
                todo += [left, right]
            case machine.IsCase(value=value):
                if (path := path_of(value)) is not None:
                    yield path, "case"
            case machine.Compare() as compare:
                if (key := _compared(compare)) is not None:
                    yield key
            case value:
                if (path := path_of(value)) is not None:
                    yield path, ""


# --- what is worth knowing ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Interest:
    """By instruction: the values of which a test can still come."""

    live: list[frozenset[Path]]

    def kept(self, facts: Facts, at: int) -> Facts:
        """The facts that are still of use at an instruction."""
        if not facts:
            return facts
        live = self.live[at]
        if all(fact[0][0] in live for fact in facts):
            return facts
        return frozenset(fact for fact in facts if fact[0][0] in live)


def interest(code: Code, asked: frozenset[tuple[str, str]], most: int = MOST) -> Interest:
    """What is worth knowing in a flow. `asked` are the fields of messages by which receivers
    decide, as (message, field); a sender's value for such a field is worth knowing, too."""
    tested: Counter[Path] = Counter()
    read: list[tuple[Path, ...]] = []
    for instruction in code.instructions:
        tests = [path for path, _ in _tests(instruction)]
        tested.update(tests)
        sent = list(_sent(instruction, asked))
        tested.update(sent)
        read.append((*tests, *sent))
    known = frozenset(path for path, _ in tested.most_common(most))
    return Interest(_live(code, _with_sources(code, known), read))


def _with_sources(code: Code, paths: frozenset[Path]) -> frozenset[Path]:
    """With the paths of which these become copies."""
    found = set(paths)
    size = -1
    while len(found) > size:
        size = len(found)
        for instruction in code.instructions:
            found |= _copied(instruction, found)
    return frozenset(found)


def _tests(instruction: Instruction) -> Iterator[Key]:
    match instruction.does:
        case Test(condition=condition) | machine.Require(condition=condition):
            yield from keys_of(condition)
        case _:
            pass


def _sent(instruction: Instruction, asked: frozenset[tuple[str, str]]) -> Iterator[Path]:
    """The values that a message gets for the fields by which a receiver decides."""
    if isinstance(instruction.does, machine.Send):
        path = path_of(instruction.does.value)
        if path is not None:
            for name, field in asked:
                if name == instruction.does.type:
                    yield (*path, field)
    for value in _values(instruction):
        for part in walk.within(value):
            if isinstance(part, machine.New) and any(name == part.type for name, _ in asked):
                for argument in part.arguments:
                    if (path := path_of(argument)) is not None:
                        yield path


def _values(instruction: Instruction) -> tuple[machine.Expr, ...]:
    match instruction.does:
        case machine.Assign(value=value) | machine.Send(value=value):
            return (value,)
        case _:
            return ()


def assigned(instruction: Instruction) -> str | None:
    """The variable that an instruction gives another value to."""
    match instruction.does:
        case machine.Assign(name=name) | Each(name=name) | machine.Open(name=name):
            return name
        case Rest(wait=wait):
            return walk.delivered(wait)
        case _:
            return None


def following(instruction: Instruction) -> Iterator[int]:
    """The instructions that may come next, errors included."""
    if instruction.next >= 0:
        yield instruction.next
    match instruction.does:
        case Test(otherwise=otherwise) | Each(otherwise=otherwise):
            yield otherwise
        case Pick(ways=ways):
            yield from ways
        case _:
            pass
    for catch in instruction.catches:
        yield catch.target


def _live(
    code: Code, known: frozenset[Path], read: list[tuple[Path, ...]]
) -> list[frozenset[Path]]:
    """By instruction, the paths in `known` that may be read before they change."""
    made = code.instructions
    before: list[list[int]] = [[] for _ in made]
    for number, instruction in enumerate(made):
        for target in following(instruction):
            before[target].append(number)
    live: list[frozenset[Path]] = [frozenset()] * len(made)
    if not known:
        return live
    todo = list(range(len(made)))
    waiting = set(todo)
    while todo:
        number = todo.pop()
        waiting.discard(number)
        instruction = made[number]
        after: set[Path] = set()
        for target in following(instruction):
            after |= live[target]
        name = assigned(instruction)
        if name is not None:
            after = {path for path in after if path[0] != name} | _copied(instruction, after)
        after.update(path for path in read[number] if path in known)
        found = frozenset(after & known)
        if found != live[number]:
            live[number] = found
            for other in before[number]:
                if other not in waiting:
                    waiting.add(other)
                    todo.append(other)
    return live


def _copied(instruction: Instruction, after: Iterable[Path]) -> set[Path]:
    """What is read where a variable that is tested later gets its value."""
    if not isinstance(instruction.does, machine.Assign):
        return set()
    wanted = [path[1:] for path in after if path[0] == instruction.does.name]
    if not wanted:
        return set()
    source = path_of(instruction.does.value)
    if source is not None:
        return {source + rest for rest in wanted}
    return {path for path, _ in keys_of(instruction.does.value)} if () in wanted else set()


# --- what is known --------------------------------------------------------------------------------


def forget(facts: Facts, name: str | None) -> Facts:
    """Without what was known of a variable that has another value now."""
    if name is None or not facts or all(fact[0][0][0] != name for fact in facts):
        return facts
    return frozenset(fact for fact in facts if fact[0][0][0] != name)


def look(facts: Facts, key: Key) -> str | bool | None:
    """What is known of a value; None if nothing is."""
    for known, value in facts:
        if known == key:
            return value
    return None


def suppose(facts: Facts, path: Path, kind: Type | None, declared: Declared) -> dict[str, Facts]:
    """What a flag or an enum may be, where nothing is known of it: in words, and what is known
    then. Empty for other types, and where something is known."""
    if kind == Builtin("Bool") and look(facts, (path, "")) is None:
        return {f"is {str(v).lower()}": _with(facts, (path, ""), v) for v in (True, False)}
    if isinstance(kind, Named) and kind.name in declared.enums:
        known = look(facts, (path, "case"))
        possible = declared.enums[kind.name] if known is None else str(known).split()
        if len(possible) > 1:
            return {
                f"is {case.rpartition('.')[2]}": _with(facts, (path, "case"), case)
                for case in possible
            }
    return {}


def _with(facts: Facts, key: Key, value: str | bool) -> Facts:
    return frozenset((*((k, v) for k, v in facts if k != key), (key, value)))


def decide(condition: machine.Expr, facts: Facts) -> dict[bool, Facts]:
    """How a condition may turn out, and what is known then. Where one outcome can come about in
    several ways, only what all of them have in common is known."""
    found: dict[bool, Facts] = {}
    for outcome, known in _outcomes(condition, facts):
        found[outcome] = found[outcome] & known if outcome in found else known
    return found


def _outcomes(condition: machine.Expr, facts: Facts) -> Iterator[tuple[bool, Facts]]:
    match condition:
        case machine.Const(type="Bool", value=value):
            yield bool(value), facts
        case machine.Not(value=inner):
            for outcome, known in decide(inner, facts).items():
                yield not outcome, known
        case machine.Logic(operator=operator, left=left, right=right):
            ends = operator == "or"
            for outcome, known in decide(left, facts).items():
                if outcome is ends:
                    yield outcome, known
                else:
                    yield from decide(right, known).items()
        case machine.IsCase(value=value, cases=cases, others=others):
            path = path_of(value)
            if path is None:
                yield from ((True, facts), (False, facts))
                return
            yield from _is_case((path, "case"), cases, others, facts)
        case _:
            yield from _holds(condition, facts)


def _is_case(
    key: Key, cases: tuple[str, ...], others: tuple[str, ...], facts: Facts
) -> Iterator[tuple[bool, Facts]]:
    """Possible cases are kept as one text, since nothing else is compared."""
    known = look(facts, key)
    possible = [*cases, *others] if known is None else str(known).split()
    inside = [case for case in possible if case in cases]
    outside = [case for case in possible if case not in cases]
    if inside:
        yield True, _with(facts, key, " ".join(sorted(inside)))
    if outside:
        yield False, _with(facts, key, " ".join(sorted(outside)))


def _holds(condition: machine.Expr, facts: Facts) -> Iterator[tuple[bool, Facts]]:
    key: Key | None
    turned = False
    if isinstance(condition, machine.Compare):
        key = _compared(condition)
        turned = condition.operator == "!="
        if key is not None and key[1] == "":
            constant = condition.left
            if not isinstance(constant, machine.Const):
                constant = condition.right
            assert isinstance(constant, machine.Const)
            turned ^= not constant.value
    else:
        path = path_of(condition)
        key = None if path is None else (path, "")
    if key is None:
        yield from ((True, facts), (False, facts))
        return
    known = look(facts, key)
    if known is None and key[1].startswith("="):
        known = _other_constant(facts, key)
    for value in (True, False) if known is None else (bool(known),):
        yield value is not turned, _with(facts, key, value)


def _other_constant(facts: Facts, key: Key) -> bool | None:
    """False where the value is known to be another constant."""
    path, _ = key
    for (at, about), value in facts:
        if at == path and about.startswith("=") and value is True:
            return False
    return None


class Declared:
    """The fields of records and messages, their types, and which names are cases of enums."""

    def __init__(self, modules: Iterable[machine.Module]) -> None:
        self.fields: dict[str, tuple[str, ...]] = {}
        self.types: dict[tuple[str, str], Type] = {}
        self.cases: set[str] = set()
        self.enums: dict[str, tuple[str, ...]] = {}
        for module in modules:
            for record in module.records:
                self.fields[record.name] = tuple(field.name for field in record.fields)
                for field in record.fields:
                    self.types[record.name, field.name] = field.type
            for kind in module.enums:
                self.enums[kind.name] = tuple(case.name for case in kind.cases)
                self.cases |= {case.name for case in kind.cases}


def bind(path: Path, value: machine.Expr, facts: Facts, declared: Declared) -> Facts:
    """What is known of `path` once it has this value, of which only `facts` are known."""
    return frozenset(_bound(path, value, facts, declared, 3))


def _bound(
    path: Path, value: machine.Expr, facts: Facts, declared: Declared, depth: int
) -> Iterator[tuple[Key, str | bool]]:
    source = path_of(value)
    if source is not None:
        size = len(source)
        for (known, about), fact in facts:
            if known[:size] == source:
                yield (path + known[size:], about), fact
        return
    match value:
        case machine.Const(type="none"):
            yield (path, "none"), True
        case machine.Const(type="Bool", value=constant):
            yield (path, ""), bool(constant)
        case machine.Const(value=constant):
            yield (path, f"={constant}"), True
            yield (path, "none"), False
        case machine.New(type=name, arguments=arguments):
            yield (path, "none"), False
            if name in declared.cases:
                yield (path, "case"), name
            elif depth:
                for field, argument in zip(declared.fields.get(name, ()), arguments, strict=False):
                    yield from _bound((*path, field), argument, facts, declared, depth - 1)
        case machine.Update(value=before, changes=changes) if depth:
            changed = dict(changes)
            for (at, about), fact in _bound(path, before, facts, declared, depth - 1):
                if len(at) <= len(path) or at[len(path)] not in changed:
                    yield (at, about), fact
            for field, change in changed.items():
                yield from _bound((*path, field), change, facts, declared, depth - 1)
        case machine.Not() | machine.Logic() | machine.Compare() | machine.IsCase():
            turned_out = decide(value, facts)
            if len(turned_out) == 1:
                yield (path, ""), next(iter(turned_out))
        case _:
            return


def asked_fields(codes: Mapping[str, Code]) -> frozenset[tuple[str, str]]:
    """The fields of messages by which some flow decides, as (message, field)."""
    tested = {
        name: {path for instruction in code.instructions for path, _ in _tests(instruction)}
        for name, code in codes.items()
    }
    size = -1
    while sum(map(len, tested.values())) > size:
        size = sum(map(len, tested.values()))
        for name, code in codes.items():
            tested[name] = set(_with_sources(code, frozenset(tested[name])))
            tested[name].update(_passed(code, codes, tested))
    found = set()
    for name, code in codes.items():
        kinds = {variable.name: variable.type for variable in code.flow.variables}
        for path in tested[name]:
            kind = kinds.get(path[0])
            if len(path) == 2 and isinstance(kind, Named) and kind.kind == "message":
                found.add((kind.name, path[1]))
    return frozenset(found)


def _passed(
    code: Code, codes: Mapping[str, Code], tested: Mapping[str, set[Path]]
) -> Iterator[Path]:
    """What a flow passes to another one, which decides by it."""
    for instruction in code.instructions:
        does = instruction.does
        if not isinstance(does, Rest) or not isinstance(does.wait, machine.AwaitSubflow):
            continue
        if does.wait.flow not in codes:
            continue
        called = codes[does.wait.flow]
        for parameter, argument in zip(called.flow.parameters, does.wait.arguments, strict=False):
            source = path_of(argument)
            if source is not None:
                for path in tested[called.flow.name]:
                    if path[0] == parameter.name:
                        yield source + path[1:]
