"""Python's expressions as trees, each with its text on one line. Knows no page and no flow.

Only the forms that generated code uses; each node is made with its text, so that nothing is written
twice however often its width is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeAlias, assert_never

from flowlang.codegen import words

# How tightly a form binds, loosest first.
LAMBDA, OR, AND, NOT, COMPARISON, UNION, SUM, PRODUCT, SIGN, PRIMARY = range(10)


@dataclasses.dataclass(frozen=True)
class _Node:
    text: str = dataclasses.field(init=False, repr=False)
    level: int = dataclasses.field(init=False, repr=False)
    height: int = dataclasses.field(init=False, repr=False)
    quiet: bool = dataclasses.field(init=False, repr=False)
    """Computing it does nothing and cannot fail."""
    narrowed: bool = dataclasses.field(init=False, repr=False)
    """It relies on a test that stands before it."""

    def _set(self, text: str, level: int, parts: Sequence[Tree], *, quiet: bool) -> None:
        put = object.__setattr__
        put(self, "text", text)
        put(self, "level", level)
        put(self, "height", 1 + max((part.height for part in parts), default=0))
        put(self, "quiet", quiet and all(part.quiet for part in parts))
        put(self, "narrowed", any(part.narrowed for part in parts))

    @property
    def width(self) -> int:
        return words.width(self.text)


@dataclasses.dataclass(frozen=True)
class Atom(_Node):
    """A name, a dotted name, a literal: never cut."""

    written: str

    def __post_init__(self) -> None:
        self._set(self.written, PRIMARY, (), quiet=True)


@dataclasses.dataclass(frozen=True)
class Attribute(_Node):
    value: Tree
    name: str

    def __post_init__(self) -> None:
        inner = bracketed(self.value, PRIMARY)
        self._set(f"{inner}.{self.name}", PRIMARY, (self.value,), quiet=True)


@dataclasses.dataclass(frozen=True)
class Call(_Node):
    """`head(…)`, or `head[…]` where `subscript` is true; an argument's name is empty if it has
    none."""

    head: str
    arguments: tuple[tuple[str, Tree], ...]
    subscript: bool = False

    def __post_init__(self) -> None:
        inner = ", ".join(
            [f"{name}={tree.text}" if name else tree.text for name, tree in self.arguments]
        )
        before, after = self.brackets
        parts = [tree for _, tree in self.arguments]
        self._set(f"{self.head}{before}{inner}{after}", PRIMARY, parts, quiet=self.subscript)

    @property
    def brackets(self) -> tuple[str, str]:
        return ("[", "]") if self.subscript else ("(", ")")


@dataclasses.dataclass(frozen=True)
class Method(_Node):
    """`value.name(…)`, where `value` is more than a name."""

    value: Tree
    name: str
    arguments: tuple[Tree, ...]

    def __post_init__(self) -> None:
        inner = ", ".join([argument.text for argument in self.arguments])
        text = f"{bracketed(self.value, PRIMARY)}.{self.name}({inner})"
        self._set(text, PRIMARY, (self.value, *self.arguments), quiet=False)


@dataclasses.dataclass(frozen=True)
class Known(_Node):
    """An optional value that is there: as it is where Python's type checker sees the test before
    it, otherwise through `rt.some`."""

    value: Tree
    seen: bool

    def __post_init__(self) -> None:
        if self.seen:
            self._set(self.value.text, self.value.level, (self.value,), quiet=True)
            object.__setattr__(self, "narrowed", True)
        else:
            self._set(f"rt.some({self.value.text})", PRIMARY, (self.value,), quiet=False)


@dataclasses.dataclass(frozen=True)
class Tuple(_Node):
    items: tuple[Tree, ...]

    def __post_init__(self) -> None:
        inner = ", ".join([item.text for item in self.items])
        comma = "," if len(self.items) == 1 else ""
        self._set(f"({inner}{comma})", PRIMARY, self.items, quiet=True)


@dataclasses.dataclass(frozen=True)
class Dict(_Node):
    entries: tuple[tuple[Tree, Tree], ...]

    def __post_init__(self) -> None:
        inner = ", ".join([f"{key.text}: {value.text}" for key, value in self.entries])
        parts = [part for entry in self.entries for part in entry]
        self._set("{" + inner + "}", PRIMARY, parts, quiet=True)


@dataclasses.dataclass(frozen=True)
class Chain(_Node):
    """Operands and the operators between them, all of one strength: `a + b - c`, `a and b`."""

    operands: tuple[Tree, ...]
    operators: tuple[str, ...]
    strength: int

    def __post_init__(self) -> None:
        pieces = [self.operand_text(0)]
        for at, operator in enumerate(self.operators):
            pieces += [operator, self.operand_text(at + 1)]
        self._set(" ".join(pieces), self.strength, self.operands, quiet=True)

    def operand_text(self, at: int) -> str:
        """An operand as it stands in the chain, in brackets if it needs them."""
        first = at == 0 and self.strength != COMPARISON
        return bracketed(self.operands[at], self.strength if first else self.strength + 1)

    @property
    def lazy(self) -> bool:
        """Whether an operand may be left out."""
        return self.strength in (OR, AND)


@dataclasses.dataclass(frozen=True)
class Prefix(_Node):
    """`not x` and `-x`."""

    operator: str
    operand: Tree

    def __post_init__(self) -> None:
        if self.operator == "not":
            inner = bracketed(self.operand, NOT)
            self._set(f"not {inner}", NOT, (self.operand,), quiet=True)
        else:
            inner = bracketed(self.operand, SIGN)
            self._set(f"-{inner}", SIGN, (self.operand,), quiet=True)


@dataclasses.dataclass(frozen=True)
class Lambda(_Node):
    """`lambda: body`."""

    body: Tree

    def __post_init__(self) -> None:
        self._set(f"lambda: {self.body.text}", LAMBDA, (self.body,), quiet=True)


Tree: TypeAlias = Atom | Attribute | Call | Method | Known | Tuple | Dict | Chain | Prefix | Lambda


def bracketed(tree: Tree, level: int) -> str:
    """The text of an operand, in brackets where it binds less tightly than `level`; an `and` within
    an `or` gets them too, because few people know which goes first."""
    if tree.level < level or (tree.level == AND and level in (OR, OR + 1)):
        return f"({tree.text})"
    return tree.text


def call(head: str, *arguments: Tree) -> Call:
    """`head(…)` with arguments that have no names."""
    return Call(head, tuple(("", argument) for argument in arguments))


def subscript(head: str, *items: Tree) -> Call:
    """`head[…]`."""
    return Call(head, tuple(("", item) for item in items), subscript=True)


def chain(strength: int, operator: str, left: Tree, right: Tree) -> Chain:
    """`left operator right`; what stands at the left in the same strength becomes one chain."""
    if isinstance(left, Chain) and left.strength == strength and strength != COMPARISON:
        return Chain((*left.operands, right), (*left.operators, operator), strength)
    return Chain((left, right), (operator,), strength)


def parts(tree: Tree) -> tuple[Tree, ...]:
    """The trees directly within, in the order in which they are computed."""
    match tree:
        case Atom():
            return ()
        case Attribute(value=value) | Known(value=value):
            return (value,)
        case Call(arguments=arguments):
            return tuple(argument for _, argument in arguments)
        case Method(value=value, arguments=positional):
            return (value, *positional)
        case Tuple(items=items):
            return items
        case Dict(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Chain(operands=operands):
            return operands
        case Prefix(operand=operand):
            return (operand,)
        case Lambda(body=body):
            return (body,)
        case _:
            assert_never(tree)


def rebuilt(tree: Tree, new: Iterable[Tree]) -> Tree:
    """The same form around other parts."""
    made = tuple(new)
    match tree:
        case Atom():
            return tree
        case Attribute(name=name):
            return Attribute(made[0], name)
        case Known(seen=seen):
            return Known(made[0], seen)
        case Call(head=head, arguments=arguments, subscript=is_subscript):
            named = tuple((name, part) for (name, _), part in zip(arguments, made, strict=True))
            return Call(head, named, is_subscript)
        case Method(name=name):
            return Method(made[0], name, made[1:])
        case Tuple():
            return Tuple(made)
        case Dict():
            return Dict(tuple(zip(made[::2], made[1::2], strict=True)))
        case Chain(operators=operators, strength=strength):
            return Chain(made, operators, strength)
        case Prefix(operator=operator):
            return Prefix(operator, made[0])
        case Lambda():
            return Lambda(made[0])
        case _:
            assert_never(tree)


def alone(tree: Tree) -> Tree:
    """The same where the tests that stood before it are out of sight."""
    if not tree.narrowed:
        return tree
    made = rebuilt(tree, [alone(part) for part in parts(tree)])
    return Known(made.value, False) if isinstance(made, Known) else made
