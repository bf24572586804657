"""What is known of an expression that is made of written values alone. Reports nothing.

Only what sharpens a message: whoever runs the flow computes it again.
"""

from __future__ import annotations

import datetime
import decimal
from typing import TypeAlias

from flowlang import syntax

Value: TypeAlias = int | decimal.Decimal | datetime.timedelta | str | bool

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
DIGITS = 38
LONGEST = datetime.timedelta(days=999_999_999)
MAX_BITS = 20_000
"""A product of what is already wrong is not worked out any further."""

_EXACT = decimal.Context(
    prec=2 * DIGITS + 2, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow]
)


def value(node: syntax.Expr) -> Value | None:
    """The number, text, Bool or duration that it comes to, be it too large; None if that depends
    on anything, or cannot be."""
    match node:
        case syntax.Constant(
            value=int() | str() | decimal.Decimal() | datetime.timedelta() as found
        ):
            return found
        case syntax.Unary(operator="-", operand=operand):
            inner = value(operand)
            if isinstance(inner, str | bool | None):
                return None
            return -inner
        case syntax.Binary(
            operator="+" | "-" | "*" | "//" | "%" as operator, left=left, right=right
        ):
            return _computed(operator, value(left), value(right))
        case _:
            return None


def _computed(operator: str, left: Value | None, right: Value | None) -> Value | None:
    if isinstance(left, bool) or isinstance(right, bool):
        return None
    try:
        match left, right:
            case int(), int():
                return _whole(operator, left, right)
            case decimal.Decimal(), decimal.Decimal():
                return _decimal(operator, left, right)
            case datetime.timedelta(), datetime.timedelta() if operator in "+-":
                return left + right if operator == "+" else left - right
            case datetime.timedelta(), int() if operator == "*":
                return left * right
            case _:
                return None
    except (ArithmeticError, decimal.DecimalException):
        return None


def _whole(operator: str, left: int, right: int) -> int | None:
    if max(left.bit_length(), right.bit_length()) > MAX_BITS:
        return None
    if operator in ("//", "%"):
        if right == 0:
            return None
        return left // right if operator == "//" else left % right
    return left + right if operator == "+" else left - right if operator == "-" else left * right


def _decimal(
    operator: str, left: decimal.Decimal, right: decimal.Decimal
) -> decimal.Decimal | None:
    match operator:
        case "+":
            return _EXACT.add(left, right)
        case "-":
            return _EXACT.subtract(left, right)
        case "*":
            return _EXACT.multiply(left, right)
        case _:
            return None


def overflows(operator: str, left: syntax.Expr, right: syntax.Expr) -> str | None:
    """Why the result of two written values does not fit, if it does not; whether the operands
    fitted was asked before."""
    one, other = value(left), value(right)
    if isinstance(one, bool) or isinstance(other, bool):
        return None
    match one, other:
        case int(), int() if INT_MIN <= one <= INT_MAX and INT_MIN <= other <= INT_MAX:
            found = _whole(operator, one, other)
            if found is not None and not INT_MIN <= found <= INT_MAX:
                return "the result does not fit into an Int, which has 64 bits"
        case decimal.Decimal(), decimal.Decimal() if operator in ("+", "-", "*"):
            if not (_fits(one) and _fits(other)):
                return None
            try:
                exact = _decimal(operator, one, other)
            except decimal.DecimalException:
                exact = None
            if exact is None or not _fits(exact):
                return f"the result needs more than {DIGITS} decimal digits"
        case datetime.timedelta(), datetime.timedelta() | int():
            if _computed(operator, one, other) is None:
                return "the result is longer than a Duration can be"
        case _:
            pass
    return None


def _fits(number: decimal.Decimal) -> bool:
    return len(number.normalize(_EXACT).as_tuple().digits) <= DIGITS


def compared(operator: str, left: syntax.Expr, right: syntax.Expr) -> bool | None:
    """How a comparison of two written values comes out."""
    one, other = value(left), value(right)
    if one is None or other is None or type(one) is not type(other):
        return None
    if operator in ("==", "!="):
        return (one == other) == (operator == "==")
    less, same = one < other, one == other  # type: ignore[operator]
    answers = {"<": less, "<=": less or same, ">": not (less or same), ">=": not less}
    return answers.get(operator)
