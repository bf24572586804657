"""One statement of Python laid out on a page of 88 columns, as ruff would. Knows no flow.

Only forms whose layout is certain are cut into lines. Where an expression has another form, `Unfit`
names the part that has to be computed on a line of its own first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from flowlang.codegen.trees import (
    NOT,
    UNION,
    Atom,
    Attribute,
    Call,
    Chain,
    Dict,
    Known,
    Lambda,
    Method,
    Prefix,
    Tree,
    Tuple,
    parts,
)
from flowlang.codegen.words import WIDTH, width

MAX_HEIGHT = 12
"""Of an expression that is higher a part is computed before, however short it is."""

MAX_CUTS = 5
"""Calls within calls that are cut into lines; deeper ones are computed before."""

SKIP = "  # fmt: skip"
"""On a line that nobody could lay out, such as one with three names of 60 letters."""


class Unfit(Exception):
    """`part` must be computed on a line of its own; it may be the whole."""

    def __init__(self, part: Tree) -> None:
        super().__init__(part.text)
        self.part = part


def statement(indent: int, prefix: str, tree: Tree, suffix: str = "") -> list[str]:
    """`prefix tree suffix`, such as `x = …`, `return …` or `if …:`. Raises `Unfit`."""
    if tree.height > MAX_HEIGHT:
        raise Unfit(_lower_half(tree))
    if _flat(tree, WIDTH - indent - width(prefix) - width(suffix)):
        return [f"{' ' * indent}{prefix}{tree.text}{suffix}"]
    if not parts(tree):
        return _in_brackets_or_long(indent, prefix, tree, suffix)
    match tree:
        case Known(value=value, seen=True):
            return statement(indent, prefix, value, suffix)
        case Chain():
            return _chain_statement(indent, prefix, tree, suffix)
        case Prefix(operator="not", operand=Chain() as operand) if operand.level < NOT:
            return _cut(indent, f"{prefix}not (", [("", operand)], f"){suffix}", 0)
        case Prefix(operand=part) | Attribute(value=part) | Lambda(body=part):
            raise Unfit(part if _worth_it(part) else tree)
        case Method(value=value) if not isinstance(value, Atom):
            raise Unfit(value)
        case Atom() | Call() | Method() | Known() | Tuple() | Dict():
            if indent + width(prefix + _opening(tree)) > WIDTH >= indent + width(prefix) + 1:
                return _in_brackets(indent, prefix, tree, suffix)
            return item(tree, indent, prefix, suffix, 0)
        case _:
            assert_never(tree)


def annotation(indent: int, prefix: str, tree: Tree, suffix: str = "") -> list[str]:
    """`name: tree` or `name: tree = …`: a union is cut in brackets, whatever it ends with."""
    if isinstance(tree, Chain) and not _flat(tree, WIDTH - indent - width(prefix + suffix)):
        return _cut(indent, f"{prefix}(", [("", tree)], f"){suffix}", 0)
    return statement(indent, prefix, tree, suffix)


def long(indent: int, prefix: str, tree: Tree, suffix: str = "") -> list[str]:
    """The statement on one line, whatever its length."""
    line = f"{' ' * indent}{prefix}{tree.text}{suffix}"
    return [line if width(line) <= WIDTH else line + SKIP]


def _in_brackets_or_long(indent: int, prefix: str, tree: Tree, suffix: str) -> list[str]:
    """What cannot be cut goes into brackets if that makes it fit."""
    if not prefix.endswith("= ") or max(width(prefix) + 1, 4 + tree.width) + indent > WIDTH:
        return long(indent, prefix, tree, suffix)
    return _in_brackets(indent, prefix, tree, suffix)


def _in_brackets(indent: int, prefix: str, tree: Tree, suffix: str) -> list[str]:
    if not _flat(tree, WIDTH - indent - 4):
        raise Unfit(tree)
    margin = " " * indent
    return [f"{margin}{prefix}(", f"{margin}    {tree.text}", f"{margin}){suffix}"]


def _chain_statement(indent: int, prefix: str, tree: Chain, suffix: str) -> list[str]:
    """Operands below each other, in brackets; or the last operand cut, if it has brackets and is
    the only one after the first."""
    if len(tree.operators) == 1:
        left, right = tree.operand_text(0), tree.operand_text(1)
        if _has_brackets(left):
            raise Unfit(tree.operands[0])
        if _has_brackets(right):
            lead = f"{prefix}{left} {tree.operators[0]} "
            return _last_cut(indent, lead, tree, suffix)
    return _cut(indent, f"{prefix}(", [("", tree)], f"){suffix}", 0)


def _last_cut(indent: int, lead: str, tree: Chain, suffix: str) -> list[str]:
    operand = tree.operands[1]
    unfit = Unfit(tree if tree.lazy else operand)
    if tree.operand_text(1) != operand.text:
        if indent + width(lead) + 1 > WIDTH:
            raise unfit
        try:
            return _cut(indent, f"{lead}(", [("", operand)], f"){suffix}", 0)
        except Unfit:
            raise unfit from None
    match operand:
        case Call() | Tuple() | Dict() if parts(operand):
            if indent + width(lead + _opening(operand)) <= WIDTH:
                try:
                    return item(operand, indent, lead, suffix, 0)
                except Unfit:
                    raise unfit from None
        case _:
            pass  # Where others would be cut is not certain.
    raise unfit


def _has_brackets(text: str) -> bool:
    return "(" in text or "[" in text or "{" in text


def item(tree: Tree, indent: int, lead: str, tail: str, cuts: int) -> list[str]:
    """One item within brackets, `lead` before it and `tail` after it. Raises `Unfit`."""
    if _flat(tree, WIDTH - indent - width(lead) - width(tail)):
        return [f"{' ' * indent}{lead}{tree.text}{tail}"]
    if not parts(tree):
        return [f"{' ' * indent}{lead}{tree.text}{tail}"]
    match tree:
        case Known(value=value, seen=True):
            return item(value, indent, lead, tail, cuts)
        case Chain():
            return _operands(tree, indent, lead, tail, cuts)
        case Prefix(operator="not", operand=Chain() as operand) if operand.level < NOT:
            return _cut(indent, f"{lead}not (", [("", operand)], f"){tail}", cuts + 1)
        case Prefix(operand=part) | Attribute(value=part):
            raise Unfit(part if _worth_it(part) else tree)
        case Lambda():
            raise Unfit(_longest(tree))
        case Method(value=value) if not isinstance(value, Atom):
            raise Unfit(value)
    if cuts >= MAX_CUTS:
        raise Unfit(tree)
    match tree:
        case Call(arguments=arguments):
            inside = [(f"{name}=" if name else "", argument) for name, argument in arguments]
            return _cut(
                indent, lead + _opening(tree), inside, tree.brackets[1] + tail, cuts + 1, call=True
            )
        case Method(arguments=positional):
            inside = [("", argument) for argument in positional]
            return _cut(indent, lead + _opening(tree), inside, ")" + tail, cuts + 1, call=True)
        case Known(value=value):
            return _cut(indent, f"{lead}rt.some(", [("", value)], ")" + tail, cuts + 1, call=True)
        case Tuple(items=items):
            inside = [("", one) for one in items]
            comma = len(items) == 1
            return _cut(indent, f"{lead}(", inside, ")" + tail, cuts + 1, comma=comma)
        case Dict(entries=entries):
            inside = []
            for key, value in entries:
                if not isinstance(key, Atom):
                    raise Unfit(key)
                inside.append((f"{key.text}: ", value))
            return _cut(indent, f"{lead}{{", inside, "}" + tail, cuts + 1)
        case Atom():
            raise Unfit(tree)
        case _:
            assert_never(tree)


def _opening(tree: Atom | Call | Method | Known | Tuple | Dict) -> str:
    match tree:
        case Atom():
            return tree.text
        case Call(head=head):
            return head + tree.brackets[0]
        case Method(value=value, name=name):
            return f"{value.text}.{name}("
        case Known():
            return "rt.some("
        case Tuple():
            return "("
        case Dict():
            return "{"
        case _:
            assert_never(tree)


def _cut(
    indent: int,
    opening: str,
    inside: Sequence[tuple[str, Tree]],
    closing: str,
    cuts: int,
    *,
    call: bool = False,
    comma: bool = False,
) -> list[str]:
    """A pair of brackets with its contents below: those of a call on one line if they fit."""
    margin = " " * indent
    if call or len(inside) == 1:
        line = ", ".join([lead + tree.text for lead, tree in inside]) + ("," if comma else "")
        if indent + 4 + width(line) <= WIDTH:
            return [margin + opening, f"{margin}    {line}", margin + closing]
    tail = "," if len(inside) > 1 or comma else ""
    lines = [margin + opening]
    for lead, tree in inside:
        lines += item(tree, indent + 4, lead, tail, cuts)
    return [*lines, margin + closing]


def _operands(tree: Chain, indent: int, lead: str, tail: str, cuts: int) -> list[str]:
    """A chain within brackets: each operand on its own line, its operator before it."""
    if lead and not (tree.strength == UNION and lead.endswith(": ")):
        raise Unfit(tree)
    lines: list[str] = []
    last = len(tree.operands) - 1
    for at, operand in enumerate(tree.operands):
        before = f"{tree.operators[at - 1]} " if at else lead
        after = tail if at == last else ""
        try:
            lines += _operand(operand, tree.operand_text(at), indent, before, after, cuts)
        except Unfit as unfit:
            # What may not be computed at all must not be computed before.
            raise Unfit(tree if tree.lazy and at else unfit.part) from None
    return lines


def _operand(
    operand: Tree, text: str, indent: int, before: str, after: str, cuts: int
) -> list[str]:
    if text != operand.text:
        if indent + width(before + text + after) <= WIDTH:
            return [f"{' ' * indent}{before}{text}{after}"]
        raise Unfit(operand)
    if isinstance(operand, Chain) and not _flat(operand, WIDTH - indent - width(before + after)):
        raise Unfit(operand)
    return item(operand, indent, before, after, cuts)


def _flat(tree: Tree, room: int) -> bool:
    return tree.width <= room


def _lower_half(tree: Tree) -> Tree:
    """What to compute before an expression that is too high: the lower half of its highest part,
    or a part in which something may not be computed at all."""
    while tree.height > MAX_HEIGHT // 2:
        within = parts(tree)
        at = max(range(len(within)), key=lambda number: within[number].height)
        if isinstance(tree, Chain) and tree.lazy and at:
            break
        tree = within[at]
    return tree


def _worth_it(tree: Tree) -> bool:
    """Whether computing it before makes the line shorter."""
    return not (isinstance(tree, Atom) or (isinstance(tree, Known) and tree.seen))


def _longest(tree: Lambda) -> Tree:
    """What to compute before a lambda; the lambda itself when nothing in it is left to gain."""
    found = [part for part in parts(tree.body) if _worth_it(part)]
    return max(found, key=lambda part: part.width, default=tree)
