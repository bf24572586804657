"""What to say about a token that cannot stand where it stands. Feeds no parser.

A list of rules is asked in order, from the slips that people make when they come from another
language to the general "expected …". A rule may also mend the line, which is then read as it was
meant.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from flowlang.diagnostics import closest
from flowlang.parser import literals
from flowlang.parser.table import END
from flowlang.parser.tokens import Token
from flowlang.source import Span

OUTSIDE_OF_FLOW = "F127"


class Said(NamedTuple):
    """One mistake, and the line as it was meant, if that is known."""

    code: str
    span: Span
    message: str
    hint: str | None = None
    mended: list[Token] | None = None


@dataclasses.dataclass(frozen=True)
class Scene:
    """A logical line and the place in it where reading stopped."""

    line: Sequence[Token]
    at: int
    accepted: frozenset[str]
    """What could have come at `at`."""
    opening: frozenset[str]
    """What could have come at the start of the line."""
    reserved: frozenset[str]
    """The kinds of words that cannot be names."""
    reach: Callable[[Sequence[Token]], int]
    """How far another line would be read in this one's place."""

    @property
    def first(self) -> Token:
        return self.line[0]

    @property
    def token(self) -> Token:
        return self.line[self.at]

    @property
    def before(self) -> Token | None:
        return self.line[self.at - 1] if self.at else None

    @property
    def after(self) -> Token | None:
        return self.line[self.at + 1] if self.at + 1 < len(self.line) else None

    @property
    def room(self) -> Literal["file", "service", "flow", "record", "steps"]:
        """What the line stands in, told by what could begin it."""
        if END in self.opening:
            return "file"
        if "LPAR" in self.opening:
            return "flow"
        if "LET" not in self.opening:
            return "service"
        return "record" if "DOC" in self.opening else "steps"

    @property
    def wants_value(self) -> bool:
        return {"NUMBER", "LPAR"} <= self.accepted

    @property
    def wants_name(self) -> bool:
        return "NAME" in self.accepted and not self.wants_value

    @property
    def value_complete(self) -> bool:
        """Whether a value stands before the token, to which an operator could be added."""
        return {"PLUS", "DOT"} <= self.accepted

    def touches(self) -> bool:
        """Whether no blank is between the token and the one before it."""
        before = self.before
        return before is not None and before.start + len(before.text) == self.token.start

    def with_kind(self, index: int, kind: str) -> list[Token]:
        line = list(self.line)
        line[index] = line[index]._replace(kind=kind)
        return line


def explain(scene: Scene) -> Said:
    """The one thing to say."""
    for rule in _RULES:
        said = rule(scene)
        if said is not None:
            return said
    return _expected(scene)


# --- what the language does not have yet ------------------------------------------------------

_LATER_AT_START = frozenset(
    {"ASK", "AWAIT", "CASE", "CLOSE", "ENUM", "INCLUDE", "MATCH", "MIGRATE", "PLAYS", "PROTOCOL"}
    | {"START", "WAIT", "WITHIN"}
)
_LATER_AS_VALUE = frozenset({"ASK", "AWAIT", "PENDING", "START"})
_LATER_TOP_WORDS = frozenset({"type", "schedule"})


def _later(scene: Scene) -> Said | None:
    token, first, before = scene.token, scene.first, scene.before
    after_first = scene.line[1] if len(scene.line) > 1 else None
    if scene.at == 0 and token.kind in _LATER_AT_START:
        if after_first is not None and after_first.kind in ("EQUAL", "DOT"):
            return None
        return _not_yet(token, token.text)
    if scene.wants_value and token.kind in _LATER_AS_VALUE:
        return _not_yet(token, token.text)
    if scene.at and token.kind == "WITHIN" and not scene.wants_name:
        return _not_yet(token, "within")
    if scene.room == "file" and first.text in _LATER_TOP_WORDS and scene.at <= 1:
        return _not_yet(first, first.text)
    if first.text == "external" and scene.room == "service":
        return _not_yet(first, "external")
    if (
        first.text == "key"
        and scene.room == "flow"
        and scene.at == 1
        and token.kind in ("NAME", "TEXT")
    ):
        return _not_yet(first, "key")
    if before is not None and before.text == "each" and token.kind == "NAME":
        return _not_yet(before, "each")
    if first.kind == "RECEIVE" and (
        (scene.at == 1 and token.kind == "COLON")
        or (scene.at == 2 and before is not None and before.kind == "FROM")
    ):
        return Said(
            "F199",
            first.span,
            "a `receive` that chooses between several messages is not in the language yet",
            "write `receive x: SomeMessage from session`",
        )
    if first.kind == "STARTABLE" and token.kind == "AS":
        return _not_yet(token, "startable by … as …")
    if first.kind == "STEP" and scene.at == 2 and token.kind == "LPAR":
        return _not_yet(token, "step NAME(done, total)")
    if token.kind == "WITH" and scene.value_complete and first.kind != "OPEN":
        return _not_yet(token, "with")
    return None


def _not_yet(token: Token, what: str) -> Said:
    hint = _INSTEAD.get(what)
    return Said("F199", token.span, f"`{what}` is not in the language yet", hint)


_INSTEAD = {
    "ask": "ask a person through a service, and `receive` the answer",
    "close": "a session ends when the block that opened it is left",
    "each": "write a `for` loop over the list",
    "enum": "use a record with a field that says which it is",
    "external": "use a `write` operation; what leaves the node cannot be undone with the step",
    "include": "use a file's declarations with `use`",
    "match": "use `if` and `elif`",
    "start": "call the flow with `subflow`",
    "step NAME(done, total)": 'say it in the label: `step NAME: "{done} of {total}"`',
    "wait": "use `sleep`",
    "with": "make a new value, with all its fields",
}


# --- words in the wrong place -----------------------------------------------------------------


def _wrong_literal(scene: Scene) -> Said | None:
    """A text cut short by a `"` inside its braces reads like a text and a stray word."""
    before = scene.before
    if before is None or before.kind != "TEXT" or not scene.touches():
        return None
    wrong = literals.parts_of(before.text)
    if not isinstance(wrong, literals.Wrong):
        return None
    column = before.column + wrong.offset
    place = Span(before.line, column, before.line, column + max(1, wrong.length))
    return Said(wrong.code, place, wrong.message, wrong.hint)


def _misspelt_first(scene: Scene) -> Said | None:
    first = scene.first
    if first.kind != "NAME":
        return None
    words = [kind.lower() for kind in scene.opening if kind.isalpha() and kind not in _NOT_WORDS]
    meant = closest(first.text, words)
    if meant is None:
        return None
    mended = scene.with_kind(0, meant.upper())
    if scene.reach(mended) <= max(scene.at, 1):
        return None
    return Said(
        "F110",
        first.span,
        f"`{first.text}` is not a word of the language",
        f"did you mean `{meant}`?",
        mended,
    )


_NOT_WORDS = frozenset({"NAME", "NUMBER", "TEXT", "BYTES", "DOC", "BROKEN", "NEWLINE"})


def _misspelt(scene: Scene) -> Said | None:
    token = scene.token
    if token.kind != "NAME" or scene.at == 0:
        return None
    words = [kind.lower() for kind in scene.accepted if kind.isalpha() and len(kind) > 1]
    meant = closest(token.text, [word for word in words if word.upper() not in _PUNCTUATION])
    if meant is None:
        return None
    mended = scene.with_kind(scene.at, meant.upper())
    if scene.reach(mended) <= scene.at + 1:
        return None
    return Said(
        "F110",
        token.span,
        f"expected {_either(_phrases(scene))}, found `{token.text}`",
        f"did you mean `{meant}`?",
        mended,
    )


_PUNCTUATION = frozenset(
    {"NAME", "NUMBER", "TEXT", "BYTES", "DOC", "NEWLINE", "COMPARE", "MULTIPLY", "ARROW", "PLUS"}
    | {"MINUS", "COLON", "EQUAL", "DOT", "COMMA", "LPAR", "RPAR", "LSQB", "RSQB", "LBRACE"}
    | {"RBRACE", "QMARK", "AT", "INDENT", "DEDENT", "BROKEN"}
)


def _reserved(scene: Scene) -> Said | None:
    """A word of the language where a name is wanted."""
    token, first, after = scene.token, scene.first, scene.after
    if scene.at == 1 and token.kind == "EQUAL" and first.kind in scene.reserved - {"LET", "VAR"}:
        return _reserved_word(scene, 0)
    assigned = scene.at == 0 and after is not None and after.kind == "EQUAL"
    if token.kind in scene.reserved and (assigned or scene.wants_name):
        return _reserved_word(scene, scene.at)
    return None


def _reserved_word(scene: Scene, index: int) -> Said:
    token = scene.line[index]
    return Said(
        "F111",
        token.span,
        f"`{token.text}` is a word of the language, so it cannot be a name here",
        "choose another name",
        scene.with_kind(index, "NAME"),
    )


_DROPPED = ""
# Words that begin a line elsewhere: what to do here, and the word that makes the line readable.
_FOREIGN: dict[str, tuple[str, str | None]] = {
    "assert": ("write `require … else SomeError(…)`", "REQUIRE"),
    "async": ("every flow may wait; leave the word out", _DROPPED),
    "class": ("declare a `record`, a `message` or a `flow`", None),
    "const": ("write `let`", "LET"),
    "def": (
        "declare a flow with `flow Name():`; what is written in Python is declared with "
        '`function name(…) -> T = python "module:name"`',
        None,
    ),
    "do": ("write `while …:`", None),
    "elseif": ("write `elif`", "ELIF"),
    "elsif": ("write `elif`", "ELIF"),
    "except": ("write `catch SomeError:`", "CATCH"),
    "export": ("whatever is declared can be used elsewhere; leave the word out", _DROPPED),
    "finally": ("sessions end by themselves when their block is left", "CATCH"),
    "fn": ("write `flow Name():`", "FLOW"),
    "for_each": ("write `for x in xs:`", "FOR"),
    "foreach": ("write `for x in xs:`", "FOR"),
    "from": ("write `use some.module: Name`", None),
    "fun": ("write `flow Name():`", "FLOW"),
    "func": ("write `flow Name():`", "FLOW"),
    "import": ("write `use some.module: Name`", "USE"),
    "interface": ("write `service Name:`", "SERVICE"),
    "loop": ("write `while true:`", None),
    "print": ('write `log info "…"`', None),
    "private": ("leave the word out", _DROPPED),
    "pub": ("whatever is declared can be used elsewhere; leave the word out", _DROPPED),
    "public": ("whatever is declared can be used elsewhere; leave the word out", _DROPPED),
    "raise": ("write `throw SomeError(…)`", "THROW"),
    "repeat": ("write `while …:`", None),
    "static": ("leave the word out", _DROPPED),
    "struct": ("write `record Name:`", "RECORD"),
    "switch": ("use `if` and `elif`", None),
    "unless": ("write `if not …:`", None),
    "until": ("write `while not …:`", None),
    "val": ("write `let`", "LET"),
    "yield": ("a flow gives back one result, with `return`", None),
}


def _foreign(scene: Scene) -> Said | None:
    first = scene.first
    if first.kind not in ("NAME", "FROM") or scene.at > 2 or first.text not in _FOREIGN:
        return None
    if first.kind == "FROM" and scene.room != "file":
        return None
    if scene.token.kind in ("EQUAL", "DOT"):
        return None
    hint, kind = _FOREIGN[first.text]
    mended = None
    if kind == _DROPPED:
        mended = list(scene.line[1:])
    elif kind is not None:
        mended = scene.with_kind(0, kind)
    word = "from … import" if first.kind == "FROM" else first.text
    return Said("F115", first.span, f"`{word}` is not in this language", hint, mended)


def _misplaced(scene: Scene) -> Said | None:
    """A line that would be right somewhere else."""
    first = scene.first
    if first.kind in ("ELIF", "ELSE") and scene.at == 0:
        return Said("F125", first.span, f"this `{first.text}` has no `if` before it")
    if first.kind == "CATCH" and scene.at == 0:
        return Said("F125", first.span, "this `catch` has no `try` before it")
    if scene.room == "file":
        return _misplaced_statement(scene)
    if first.kind in _DECLARES and scene.at <= 1 and _declares(scene):
        return Said(
            "F126",
            first.span,
            f"a `{first.text}` is declared at the left margin, not inside something else",
            "move it out of this block, and all that belongs to it",
        )
    header = first.kind in ("STEPS", "RESPONDS", "STARTABLE") and scene.at == 0
    if header or (first.kind == "VERSION" and scene.at == 1 and scene.token.kind == "NUMBER"):
        return Said(
            "F143",
            first.span,
            f"`{first.text}` belongs at the top of a flow, before its first statement",
            "move this line there",
        )
    return None


_DECLARES = frozenset({"FLOW", "USE", "RECORD", "MESSAGE", "ERROR", "SERVICE", "FUNCTION"})


def _declares(scene: Scene) -> bool:
    return len(scene.line) > 2 and scene.line[1].kind == "NAME"


def _misplaced_statement(scene: Scene) -> Said | None:
    first = scene.first
    second = scene.line[1] if len(scene.line) > 1 else None
    assigned = second is not None and second.kind in ("EQUAL", "LPAR", "DOT")
    if (scene.at == 0 and first.kind in _STATEMENTS) or (scene.at <= 1 and assigned):
        return Said(
            OUTSIDE_OF_FLOW,
            first.span,
            "a statement cannot stand at the left margin, outside of a flow",
            "indent it below the `flow …:` line that it belongs to",
        )
    return None


_STATEMENTS = frozenset(
    {"BREAK", "CHECKPOINT", "CONTINUE", "FOR", "HOLD", "IF", "LET", "LOG", "OPEN", "PASS"}
    | {"RECEIVE", "REQUIRE", "RESPONDS", "RETURN", "SEND", "SLEEP", "STARTABLE", "STEP", "STEPS"}
    | {"SUBFLOW", "THROW", "TRY", "VAR", "WHILE"}
)


# --- slips from other languages ---------------------------------------------------------------


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
        return Said("F120", place, f"`{sign}` is written `{meant}`", f"write `{meant}`", mended)
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
        mended = [*before, second, *after]
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
        mended[scene.at] = mended[scene.at]._replace(text="==")
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
            "only a variable can be given another value: what is in a value never changes",
            "make a new value, and give it to the variable",
        )
    return None


def _conditions(scene: Scene) -> Said | None:
    """Comparisons and choices written as elsewhere."""
    token, before, at = scene.token, scene.before, scene.at
    if token.kind == "IF" and before is not None and before.kind == "ELSE":
        mended = [before._replace(kind="ELIF"), *scene.line[2:]] if at == 1 else None
        place = Span(before.line, before.column, token.end_line, token.end_column)
        return Said("F120", place, "`else if` is written `elif`", "write `elif`", mended)
    if token.kind == "THEN" and "COLON" in scene.accepted:
        ends = scene.after is not None and scene.after.kind == "NEWLINE"
        mended = scene.with_kind(at, "COLON") if ends else None
        return Said("F120", token.span, "`then` is written `:`", "write `:`", mended)
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
    return Said("F120", token.span, f"`{said}` is written `{sign}`", f"write `{sign}`", mended)


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
    elif scene.accepted >= {"NEWLINE"} and any(t.kind == "SUBFLOW" for t in scene.line[: scene.at]):
        pass
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
        f"expected `(`{_found(scene)}",
        f"write `{first.text} {name}()`",
        [*scene.line[:2], *brackets, *scene.line[2:]],
    )


def _function_with_body(scene: Scene) -> Said | None:
    if scene.first.kind != "FUNCTION" or "EQUAL" not in scene.accepted:
        return None
    return Said(
        "F129",
        scene.token.span,
        'expected `= python "module:function"`' + _found(scene),
        "a function is written in Python; what is written here says where it is",
    )


_RULES: tuple[Callable[[Scene], Said | None], ...] = (
    _later,
    _wrong_literal,
    _pairs,
    _single_equal,
    _conditions,
    _brackets,
    _block_in_line,
    _subflow_inside,
    _function_with_body,
    _misplaced,
    _foreign,
    _misspelt,
    _misspelt_first,
    _no_parameters,
    _reserved,
)


# --- what was expected ------------------------------------------------------------------------

_VALUES = {
    "SEND": "a message to send",
    "TO": "a session",
    "FROM": "a session",
    "WITH": "a party",
    "IN": "a list",
    "THROW": "an error",
    "ELSE": "an error",
    "SLEEP": "a duration",
    "HOLD": "a reason",
    "IF": "a condition",
    "ELIF": "a condition",
    "WHILE": "a condition",
    "REQUIRE": "a condition",
    "DEBUG": "a text",
    "INFO": "a text",
    "WARN": "a text",
}
_NAMES = {
    "COLON": "a type",
    "ARROW": "a type",
    "LSQB": "a type",
    "UNTRUSTED": "a type",
    "OPEN": "a flow",
    "TRACKS": "a flow",
    "SUBFLOW": "a flow",
    "CATCH": "an error",
    "STEP": "a step",
    "RECEIVE": "a name for the message",
}
# In the order of what matters most; a word is given with what comes after it.
_WORDS = {
    "TO": "`to` and a session",
    "FROM": "`from` and a session",
    "WITH": "`with` and a party",
    "IN": "`in` and a list",
    "BY": "`by` and who may start it",
    "PYTHON": '`python` and "module:function"',
    "ARROW": "`->` and the type of the result",
    "EQUAL": "`=` and a value",
    "ELSE": "`else` and an error",
    "AS": "`as` and a name",
    "COLON": "`:`",
    "TEXT": "a text",
    "UNCHECKED": "`unchecked`",
    "RPC": "`rpc`",
    "SCHEDULE": "`schedule`",
    "DEBUG": "`debug`",
    "INFO": "`info`",
    "WARN": "`warn`",
    "NUMBER": "a number",
    "RECEIVE": "`receive`",
    "LPAR": "`(`",
    "COMMA": "`,`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "RBRACE": "`}`",
    "DOT": "`.`",
    "NEWLINE": "the end of the line",
    END: "the end of the expression",
}
# Keywords that may be names too: where a name could come, they are not what is missing.
_ALSO_NAMES = frozenset({"BY", "DEBUG", "FROM", "INFO", "PYTHON", "RPC", "SCHEDULE", "WARN"})
_MOST = 4


def _expected(scene: Scene) -> Said:
    token, before = scene.token, scene.before
    if scene.at == 0:
        return _unexpected_line(scene)
    phrases = _phrases(scene)
    message = f"expected {_either(phrases)}"
    if (scene.wants_value or scene.wants_name) and before is not None and before.text:
        message += f" after {_shown(before)}"
    if phrases == ["`:`"] and token.kind == "NEWLINE":
        message += " at the end of this line"
    return Said("F100", token.span, message + _found(scene), _remedy(scene))


def _phrases(scene: Scene) -> list[str]:
    """At most a few things that could come, the most telling first."""
    accepted, before = scene.accepted, scene.before
    kind = before.kind if before is not None else ""
    if scene.first.kind == "VERSION" and scene.at == 1:
        return ["a number"]
    phrases = []
    if scene.wants_value:
        phrases.append(_VALUES.get(kind, "a value"))
    elif "NAME" in accepted:
        phrases.append(_name_wanted(scene, kind))
    skipped: set[str] = set()
    if "NAME" in accepted:
        skipped |= _ALSO_NAMES
    if "USE" in accepted:  # any word may be a name here
        skipped |= {word for word in _WORDS if word.isalpha() and word not in _PUNCTUATION}
    if scene.value_complete:
        skipped |= {"LPAR", "DOT"} | ({"IN"} if scene.first.kind != "FOR" else set())
    if scene.wants_value:
        skipped |= {"TEXT", "NUMBER", "LPAR", "COMMA", "RPAR", "RSQB", "RBRACE"}
    if "COLON" in accepted or scene.wants_value:
        skipped.add("NEWLINE")
    if scene.first.kind == "USE":
        skipped.add("DOT")
    if scene.first.kind in ("LET", "VAR") and "EQUAL" in accepted:
        skipped.add("COLON")  # a type may be given, but nobody must
    words = _WORDS | {"COLON": _colon(scene)}
    phrases += [words[word] for word in _WORDS if word in accepted - skipped]
    return phrases[:_MOST] or ["something else"]


def _colon(scene: Scene) -> str:
    """The `:` that could come, with what comes after it."""
    first = scene.first.kind
    inside = _open_bracket(scene)
    if inside == "LBRACE":
        return "`:` and a value"
    if first == "USE":
        return "`:` and the names to use"
    if (first == "ERROR" and not inside) or first == "STEP":
        return "`:` and a text"
    if inside or scene.room == "record" or (first == "RECEIVE" and scene.at == 2):
        return "`:` and a type"
    return "`:`"


def _name_wanted(scene: Scene, kind: str) -> str:
    first = scene.first.kind
    if kind == "COMMA" and first == "CATCH":
        return "an error"
    if kind == "COLON" and first == "USE":
        return "a name"
    if kind in ("COMMA", "LPAR") and first in _DECLARES | {"READ", "WRITE"}:
        return "a type" if _open_bracket(scene) == "LSQB" else "a parameter"
    if kind == "COMMA" and _open_bracket(scene) == "LSQB":
        return "a type"
    return _NAMES.get(kind, "a name")


def _open_bracket(scene: Scene) -> str:
    """The kind of the innermost bracket that is open before the token; "" if none is."""
    opened = []
    for token in scene.line[: scene.at]:
        if token.kind in ("LPAR", "LSQB", "LBRACE"):
            opened.append(token.kind)
        elif token.kind in ("RPAR", "RSQB", "RBRACE"):
            opened.pop()
    return opened[-1] if opened else ""


def _either(phrases: list[str]) -> str:
    if len(phrases) == 1:
        return phrases[0]
    return f"{', '.join(phrases[:-1])} or {phrases[-1]}"


def _found(scene: Scene) -> str:
    if scene.token.kind in ("NEWLINE", END):
        return ""
    return f", found {_shown(scene.token)}"


def _shown(token: Token) -> str:
    text = re.sub(r"\s+", " ", token.text)
    return f"`{text}`" if len(text) <= 30 else f"`{text[:20]}…`"


_REMEDIES = {
    "MESSAGE": "write `message Name:` and, indented below it, lines such as `field: Type`",
    "RECORD": "write `record Name:` and, indented below it, lines such as `field: Type`",
    "SERVICE": "write `service Name:` and its operations, indented below it",
    "SUBFLOW": "write `subflow SomeFlow(arguments)`",
    "RECEIVE": "write `receive x: SomeMessage from session:` and a block of checks, "
    "or end it with `unchecked`",
    "SEND": "write `send SomeMessage(…) to session`",
    "OPEN": "write `open SomeFlow with party as session`",
    "REQUIRE": "write `require condition else SomeError(…)`",
    "LET": "write `let name = value`",
    "VAR": "write `var name = value`",
    "FOR": "write `for name in list:`",
    "LOG": 'write `log info "text"`; also `debug` and `warn`',
    "STARTABLE": "write `startable by rpc`, `startable by schedule` or both, with a comma",
    "RESPONDS": "write `responds to SomeFlow as session`",
    "CATCH": "write `catch SomeError:` or `catch SomeError as e:`",
    "FLOW": "write `flow Name(parameter: Type) -> Type:`",
    "ERROR": 'write `error Name(field: Type): "text"`',
    "FUNCTION": 'write `function name(parameter: Type) -> Type = python "module:function"`',
    "USE": "write `use some.module: Name, OtherName`",
    "STEP": 'write `step NAME` or `step NAME: "label"`',
    "VERSION": "write `version 1`",
    "READ": "write `read name(parameter: Type) -> Type`",
    "WRITE": "write `write name(parameter: Type) -> Type`",
}


def _remedy(scene: Scene) -> str | None:
    """How such a line is written, unless the mistake is inside one of its expressions."""
    before = scene.before
    if (before is not None and before.kind in _OPERATORS) or scene.accepted == {"NEWLINE"}:
        return None
    if scene.value_complete and "NEWLINE" in scene.accepted:
        return None
    inside = _open_bracket(scene)
    if scene.room in ("record", "steps"):
        return None if inside else _LINES[scene.room][1]
    if inside and scene.room == "flow":
        return None
    return _REMEDIES.get(scene.first.kind)


_OPERATORS = frozenset({"PLUS", "MINUS", "MULTIPLY", "COMPARE", "AND", "OR", "NOT", "DOT"})


def _unexpected_line(scene: Scene) -> Said:
    what, hint = _LINES[scene.room]
    return Said("F100", scene.token.span, f"expected {what}{_found(scene)}", hint)


_LINES = {
    "file": (
        "a declaration",
        "a file has `flow`, `message`, `record`, `error`, `service`, `function` and `use`",
    ),
    "service": (
        "an operation",
        "write `read name(parameter: Type) -> Type` or `write name(parameter: Type)`",
    ),
    "flow": ("a statement", None),
    "record": ("a field", "write `name: Type`"),
    "steps": ("a step", 'write `NAME "label"`'),
}
