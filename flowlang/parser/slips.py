"""Slips in the middle of a line, as people make them who come from another language."""

from __future__ import annotations

from collections.abc import Callable

from flowlang.parser import literals
from flowlang.parser.scene import Said, Scene
from flowlang.parser.tokens import Token
from flowlang.source import Span


def _wrong_literal(scene: Scene) -> Said | None:
    """A text cut short by a `"` inside its braces reads like a text and a stray word."""
    before = scene.before
    if before is None or before.kind != "TEXT" or not scene.touches:
        return None
    wrong = literals.parts_of(before.text)
    if not isinstance(wrong, literals.Wrong):
        return None
    column = before.column + wrong.offset
    place = Span(before.line, column, before.line, column + max(1, wrong.length))
    return Said(wrong.code, place, wrong.message, wrong.hint)


def _pairs(scene: Scene) -> Said | None:
    """Operators that other languages have, which read here as two tokens that do not fit."""
    for left in (scene.at - 1, scene.at):
        if left < 0 or left + 1 >= len(scene.line):
            continue
        first, second = scene.line[left : left + 2]
        if first.start + len(first.text) == second.start:
            said = _pair(scene, left, first, second)
            if said is not None:
                return said
    return None


def _pair(scene: Scene, left: int, first: Token, second: Token) -> Said | None:
    sign = first.text + second.text
    place = Span(first.line, first.column, second.end_line, second.end_column)
    before, after = list(scene.line[:left]), list(scene.line[left + 2 :])
    if sign in _SIGNS_MEANT:
        kind, meant = _SIGNS_MEANT[sign]
        mended = [*before, first._replace(kind=kind, text=meant), *after]
        return Said("F120", place, f"`{sign}` is written `{meant}`", None, mended)
    if sign in ("+=", "-=", "*=", "/=", "//=", "%="):
        return _augmented(scene, sign, place)
    if sign in _SIGNS_ABSENT:
        return Said("F120", place, f"there is no `{sign}`", _SIGNS_ABSENT[sign])
    if first.kind == "NAME" and first.text in ("f", "F", "r", "u") and second.kind == "TEXT":
        return Said(
            "F120",
            place,
            f"a text has no `{first.text}` before it",
            "every text may have `{expressions}` in it",
            [*before, second, *after],
        )
    if first.kind == "DOT" and second.kind == "NUMBER" and left == scene.at and scene.wants_value:
        hint = f"write `0.{second.text}`"
        mended = [*before, second._replace(text=f"0.{second.text}"), *after]
        return Said("F020", place, f"`.{second.text}` is not a number", hint, mended)
    return None


_SIGNS_ABSENT = {
    "++": "write `x = x + 1`",
    "--": "write `x = x - 1`",
    "**": "multiply, or use a function written in Python",
    "??": "test with `if x != none:`",
    "?.": "test with `if x != none:`",
}
_SIGNS_MEANT = {
    "===": ("COMPARE", "=="),
    "!==": ("COMPARE", "!="),
    "<>": ("COMPARE", "!="),
    "=<": ("COMPARE", "<="),
    "=>": ("COMPARE", ">="),
    ":=": ("EQUAL", "="),
}


def _augmented(scene: Scene, sign: str, place: Span) -> Said:
    line = scene.line
    mended = None
    hint = f"write `x = x {sign[:-1]} …`"
    if scene.at == 2 and line[0].kind == "NAME":
        name, operator, equal = line[0], line[1], scene.token
        hint = f"write `{name.text} = {name.text} {sign[:-1]} …`"
        left, right = equal._replace(kind="LPAR"), equal._replace(kind="RPAR")
        mended = [name, equal, name, operator, left, *line[3:-1], right, line[-1]]
    return Said("F120", place, f"there is no `{sign}`", hint, mended)


def _single_equal(scene: Scene) -> Said | None:
    token, first = scene.token, scene.first
    if token.kind != "EQUAL" or ("COMPARE" not in scene.accepted and not scene.value_complete):
        return None
    if first.kind in ("IF", "ELIF", "WHILE", "REQUIRE") or any(
        earlier.kind == "EQUAL" for earlier in scene.line[: scene.at]
    ):
        mended = scene.with_kind(scene.at, "COMPARE")
        return Said(
            "F114",
            token.span,
            "`=` gives a variable its value; it does not compare",
            "to compare, write `==`",
            mended if "COMPARE" in scene.accepted else None,
        )
    if "NEWLINE" in scene.accepted and first.kind == "NAME":
        return Said(
            "F116",
            Span(first.line, first.column, token.line, token.end_column),
            "this is a part of a value, and values never change",
            f"make a new value, and give that to the variable: `{first.text} = …`",
        )
    return None


def _conditions(scene: Scene) -> Said | None:
    """Comparisons and choices written as elsewhere."""
    token, before, at = scene.token, scene.before, scene.at
    if token.kind == "IF" and before is not None and before.kind == "ELSE":
        mended = [before._replace(kind="ELIF", text="elif"), *scene.line[2:]] if at == 1 else None
        place = Span(before.line, before.column, token.end_line, token.end_column)
        return Said("F120", place, "`else if` is written `elif`", None, mended)
    if token.kind == "THEN" and "COLON" in scene.accepted:
        ends = scene.after is not None and scene.after.kind == "NEWLINE"
        mended = scene.with_kind(at, "COLON") if ends else None
        return Said("F120", token.span, "`then` is written `:` here", None, mended)
    if not scene.value_complete:
        return None
    chained = token.kind in ("COMPARE", "IN") and token.kind not in scene.accepted
    if chained and "AND" in scene.accepted:
        return Said(
            "F118",
            token.span,
            "comparisons do not chain",
            "compare twice: `a < b and b < c`",
        )
    if token.kind == "NOT" and scene.after is not None and scene.after.kind == "IN":
        place = Span(token.line, token.column, scene.after.end_line, scene.after.end_column)
        return Said("F120", place, "there is no `not in`", "write `not x in xs`")
    if token.text == "is":
        return _is(scene)
    if token.kind == "IF":
        return Said(
            "F128",
            token.span,
            "there is no `if` inside an expression",
            "use an `if` statement, with a `var` that is given its value in each block",
        )
    if token.kind == "QMARK":
        return Said("F128", token.span, "there is no `?` in an expression", "use an `if` statement")
    return None


def _is(scene: Scene) -> Said:
    token, after, at = scene.token, scene.after, scene.at
    negated = after is not None and after.kind == "NOT"
    sign = "!=" if negated else "=="
    mended = list(scene.line)
    mended[at : at + (2 if negated else 1)] = [token._replace(kind="COMPARE", text=sign)]
    said = "is not" if negated else "is"
    last = after if negated and after is not None else token
    place = Span(token.line, token.column, last.end_line, last.end_column)
    return Said("F120", place, f"`{said}` is written `{sign}`", None, mended)


def _brackets(scene: Scene) -> Said | None:
    """Arguments and types written as elsewhere."""
    token, before = scene.token, scene.before
    if token.kind == "COLON" and {"EQUAL", "COMMA"} <= scene.accepted:
        mended = scene.with_kind(scene.at, "EQUAL")
        message = "the name of an argument is followed by `=`, not `:`"
        return Said("F120", token.span, message, "write `name=value`", mended)
    if token.text == "<" and "LSQB" in scene.accepted and not scene.value_complete:
        written = f"`{before.text}[…]`" if before else "`[…]`"
        message = "what a type is of is written in square brackets"
        return Said("F120", token.span, message, f"write {written}")
    return None


def _update(scene: Scene) -> Said | None:
    """`with` inside of another expression, or without its `=`."""
    token = scene.token
    if token.kind != "WITH" or not scene.value_complete:
        return None
    return Said(
        "F150",
        token.span,
        "a changed copy cannot stand here without parentheses",
        "write `(x with field = value)`",
    )


def _block_in_line(scene: Scene) -> Said | None:
    """Statements behind the `:` of a header."""
    before = scene.before
    if before is None or before.kind != "COLON" or scene.accepted != {"NEWLINE"}:
        return None
    return Said(
        "F109",
        scene.token.span,
        "a block does not stand on the line of its `:`",
        "write it on the lines below, indented",
    )


def _subflow_inside(scene: Scene) -> Said | None:
    token, before = scene.token, scene.before
    name = before is not None and before.kind == "SUBFLOW" and scene.at > 1
    if name and token.kind == "NAME":
        token = scene.line[scene.at - 1]
    elif "NEWLINE" in scene.accepted and "SUBFLOW" in [t.kind for t in scene.line[: scene.at]]:
        token = next(t for t in scene.line if t.kind == "SUBFLOW")
    elif token.kind != "SUBFLOW" or not scene.wants_value:
        return None
    return Said(
        "F124",
        token.span,
        "a subflow cannot stand inside an expression",
        "it stands alone, or right after `let x =`, `var x =`, `x =` or `return`: "
        "give its result a name first",
    )


def _no_parameters(scene: Scene) -> Said | None:
    """A flow or function without its `()`."""
    first, token = scene.first, scene.token
    if scene.at != 2 or "LPAR" not in scene.accepted or scene.room not in ("file", "service"):
        return None
    if token.kind not in ("COLON", "ARROW"):
        return None
    place = token._replace(text="")
    brackets = [place._replace(kind="LPAR"), place._replace(kind="RPAR")]
    name = scene.line[1].text
    return Said(
        "F100",
        token.span,
        f"expected `(`{scene.found}",
        f"write `{first.text} {name}()`",
        [*scene.line[:2], *brackets, *scene.line[2:]],
    )


def _function_with_body(scene: Scene) -> Said | None:
    if scene.first.kind != "FUNCTION" or "EQUAL" not in scene.accepted:
        return None
    return Said(
        "F129",
        scene.token.span,
        'expected `= python "module:function"`' + scene.found,
        "a function is written in Python; what is written here says where it is",
    )


RULES: tuple[Callable[[Scene], Said | None], ...] = (
    _wrong_literal,
    _pairs,
    _single_equal,
    _conditions,
    _brackets,
    _update,
    _block_in_line,
    _subflow_inside,
    _function_with_body,
    _no_parameters,
)
"""Each says what is wrong if it knows; the first that does is right."""
