"""What a condition tells about values that may be none. Knows no blocks and no order of things."""

from __future__ import annotations

from collections.abc import Mapping

from flowlang import syntax
from flowlang.checker.facts import Path
from flowlang.types import Variable


def path_of(node: syntax.Expr, variable_of: Mapping[object, Variable]) -> Path | None:
    """The variable, or the part of one, that an expression is; None if it is neither."""
    names: list[str] = []
    while isinstance(node, syntax.Attribute):
        names.append(node.name)
        node = node.value
    variable = variable_of.get(node) if isinstance(node, syntax.Name) else None
    return None if variable is None else Path(variable, tuple(reversed(names)))


def present(
    condition: syntax.Expr, truth: bool, variable_of: Mapping[object, Variable]
) -> frozenset[Path]:
    """The paths that are not none when `condition` comes out as `truth`."""
    match condition:
        case syntax.Unary(operator="not", operand=operand):
            return present(operand, not truth, variable_of)
        case syntax.Binary(operator="and" | "or" as operator, left=left, right=right):
            one = present(left, truth, variable_of)
            other = present(right, truth, variable_of)
            both_hold = truth == (operator == "and")
            return one | other if both_hold else one & other
        case syntax.Binary(operator="!=" | "==" as operator, left=left, right=right):
            if truth != (operator == "!="):
                return frozenset()
            tested = _beside_none(left, right)
            path = path_of(tested, variable_of) if tested is not None else None
            return frozenset() if path is None else frozenset((path,))
        case _:
            return frozenset()


def _beside_none(left: syntax.Expr, right: syntax.Expr) -> syntax.Expr | None:
    if is_none(right):
        return left
    return right if is_none(left) else None


def is_none(node: syntax.Expr) -> bool:
    """Whether the expression is `none`, written out."""
    return isinstance(node, syntax.Constant) and node.kind == "none"
