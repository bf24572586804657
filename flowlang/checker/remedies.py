"""What to do about a value of a wrong type: the hints, as functions of the types alone."""

from __future__ import annotations

from collections.abc import Mapping

from flowlang.checker.relations import bare, fits, printable
from flowlang.types import (
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    PARTY,
    SESSION,
    TEXT,
    TIMESTAMP,
    AnswerType,
    FlowIdType,
    ListType,
    NoneType,
    OptionalType,
    Type,
    shown,
)


def for_absent(text: str | None) -> str:
    """What to do about a value that may be none."""
    return f"test it first: `if {text} != none:`" if text else "test it for `!= none` first"


def for_mismatch(given: Type, wanted: Type, text: str | None) -> str | None:
    """How a `given` could become what is wanted; `text` is the expression as written."""
    match given, bare(wanted):
        case NoneType(), target:
            return f"declare it as `{shown(target)}?` if it may be absent"
        case OptionalType(), target if target == BOOL:
            return f"compare it: `{text or '…'} != none`"
        case _, target if target == BOOL and given in (INT, DECIMAL):
            return f"compare it: `{text or '…'} != 0`"
        case _, target if (given, target) == (INT, DECIMAL):
            if text and text.isdecimal():
                return f"write `{text}.0`"
            return f"convert it: `decimal({text or '…'})`"
        case _, target if (given, target) == (INT, DURATION):
            return f"give it a unit: `{text}s`" if text and text.isdecimal() else None
        case _, target if (given, target) == (DURATION, TIMESTAMP):
            return f"a moment that long from now is `now + {text or '…'}`"
        case _, target if (given, target) == (SESSION, PARTY):
            return f"the party at its other end is `{text or '…'}.peer`"
        case _, target if (given, target) == (PARTY, SESSION):
            return f"open a session first: `open F with {text or '…'} as s`"
        case _, target if (given, target) == (PARTY, TEXT):
            return f"its name is `{text or '…'}.name`"
        case AnswerType(value=value), target if fits(value, target):
            if text is None:
                return "give the answer a name with `let`, and take its `.value`"
            return f"what was answered is `{text}.value`"
        case FlowIdType(result=result), target if fits(result, target):
            return "this is the flow's id; what the flow gives is waited for: `await id`"
        case _, ListType(item=item) if fits(given, item):
            return f"put it into a list: `[{text or '…'}]`"
        case ListType(item=item), target if fits(item, target):
            return "take one of its items: `xs[0]`, or go through them with `for`"
        case _, target if target == TEXT and given == INT and text and text.isdecimal():
            return f'write `"{text}"`'
        case _, target if target == TEXT and printable(given):
            return f'write it into a text: `"{{{text}}}"`' if text and '"' not in text else None
        case _:
            return None


def for_operator(left: Type, operator: str, right: Type) -> str | None:
    """How two operands could be combined after all."""
    pair = (left, right)
    if set(pair) == {INT, DECIMAL}:
        return "convert the Int with `decimal(…)`; Int and Decimal do not mix by themselves"
    if operator in ("//", "%") and pair == (DECIMAL, DECIMAL):
        return "divide a Decimal with `divide(x, y, places, HALF_EVEN)`"
    if operator == "+" and TEXT in pair and all(printable(kind) for kind in pair):
        return 'put both into one text: `"{a}{b}"`'
    if operator in ("+", "*") and (right, operator, left) in _TURNED:
        return f"write the {shown(right)} first"
    if operator in ("+", "-") and INT in pair and (DURATION in pair or TIMESTAMP in pair):
        return "a length of time has a unit: `30s`, `5m`, `2h`, `3d`"
    if operator == "+" and isinstance(left, ListType) and fits(right, left.item):
        return "add a list to a list: `xs + [x]`"
    return None


_TURNED = {(TIMESTAMP, "+", DURATION), (DURATION, "*", INT)}

ATTRIBUTES: Mapping[str, str] = {
    **dict.fromkeys(("length", "len", "count"), "write `.size`"),
    **dict.fromkeys(("add", "push"), "values never change; a longer list is `xs + [x]`"),
}
"""What other languages write after a dot."""

CALLS: Mapping[str, str] = {
    **dict.fromkeys(("len", "size", "count"), "the size of a value is its `.size`"),
    **dict.fromkeys(("str", "string", "text", "repr"), 'write it into a text: `"{x}"`'),
    **dict.fromkeys(("print", "println", "puts"), 'write `log info "…"`'),
    **dict.fromkeys(("range",), "count with `while`, or go through a list with `for`"),
    **dict.fromkeys(("append", "push"), "a longer list is `xs + [x]`"),
    **dict.fromkeys(("exit", "panic"), "throw a declared error: `throw E(…)`"),
    **dict.fromkeys(("raise",), "write `throw E(…)`"),
    **dict.fromkeys(("sleep",), "write `sleep 5m`, without brackets"),
    **dict.fromkeys(("log",), 'write `log info "…"`, without brackets'),
}
"""What other languages call like a function."""
