"""Words and lines where they do not belong: misspelt, reserved, foreign, or not yet known."""

from __future__ import annotations

from collections.abc import Callable

from flowlang.diagnostics import closest
from flowlang.parser.expected import either, phrases
from flowlang.parser.mistakes import NAME_LENGTH
from flowlang.parser.scene import DECLARES, NOT_WORDS, NOT_YET, OUTSIDE_OF_FLOW, Said, Scene
from flowlang.parser.table import END
from flowlang.parser.tokens import Token

# --- what the language does not have yet ------------------------------------------------------

_LATER_AT_START = frozenset({"MIGRATE"})


def later(scene: Scene) -> Said | None:
    """What is said about a construct that the language does not have yet."""
    token = scene.token
    after_first = scene.line[1] if len(scene.line) > 1 else None
    if scene.at == 0 and token.kind in _LATER_AT_START:
        if after_first is not None and after_first.kind in ("EQUAL", "DOT"):
            return None
        return _not_yet(token, token.text)
    return None


def _not_yet(token: Token, what: str) -> Said:
    hint = _INSTEAD.get(what)
    return Said(NOT_YET, token.span, f"`{what}` is not in the language yet", hint)


_INSTEAD: dict[str, str] = {}


# --- words from elsewhere ---------------------------------------------------------------------

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
    "export": ("what is not `private` can be used elsewhere; leave the word out", _DROPPED),
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
    "pub": ("what is not `private` can be used elsewhere; leave the word out", _DROPPED),
    "public": ("what is not `private` can be used elsewhere; leave the word out", _DROPPED),
    "raise": ("write `throw SomeError(…)`", "THROW"),
    "repeat": ("write `while …:`", None),
    "static": ("leave the word out", _DROPPED),
    "struct": ("write `record Name:`", "RECORD"),
    "switch": ("write `match …:` and `case …:`", None),
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


def _meant(word: str, known: list[str]) -> str | None:
    """The word that was meant: one like it, or, of the short ones, the same letters in disorder."""
    letters = sorted(word) if len(word) <= NAME_LENGTH else []
    return closest(word, known) or next((one for one in known if sorted(one) == letters), None)


def _misspelt_first(scene: Scene) -> Said | None:
    first = scene.first
    if first.kind != "NAME":
        return None
    words = [kind.lower() for kind in scene.opening if kind.isalpha() and kind not in NOT_WORDS]
    meant = _meant(first.text, words)
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


def _misspelt(scene: Scene) -> Said | None:
    token = scene.token
    if token.kind != "NAME" or scene.at == 0:
        return None
    words = [kind.lower() for kind in scene.accepted if kind.isalpha() and len(kind) > 1]
    meant = _meant(token.text, [word for word in words if word.upper() not in NOT_WORDS])
    if meant is None:
        return None
    mended = scene.with_kind(scene.at, meant.upper())
    if scene.reach(mended) <= scene.at + 1:
        return None
    return Said(
        "F110",
        token.span,
        f"expected {either(phrases(scene))}, found `{token.text}`",
        f"did you mean `{meant}`?",
        mended,
    )


def _reserved(scene: Scene) -> Said | None:
    """A word of the language where a name is wanted."""
    token, first, after = scene.token, scene.first, scene.after
    if scene.at == 1 and token.kind == "EQUAL" and first.kind in scene.reserved - {"LET", "VAR"}:
        return _reserved_word(scene, 0)
    assigned = scene.at == 0 and after is not None and after.kind == "EQUAL"
    shown = scene.in_a_text and after is not None and after.kind in (END, "DOT", "LSQB")
    if token.kind in scene.reserved and (assigned or shown or scene.wants_name):
        said = _reserved_word(scene, scene.at)
        # Where nothing is declared, one would be told twice.
        return said._replace(mended=None) if shown else said
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


# --- lines in the wrong place -----------------------------------------------------------------


def _misplaced(scene: Scene) -> Said | None:
    """A line that would be right somewhere else."""
    first = scene.first
    if first.kind == "ELSE" and scene.room == "match":
        hint = "in a `match`, write `case _:`, last"
        return Said("F125", first.span, "there is no `else` among cases", hint)
    if first.kind == "OR" and scene.at == 0 and scene.room == "protocol":
        hint = "`or:` comes right below the block of a `choice at …:`, indented like that"
        return Said("F125", first.span, "this `or` has no `choice` before it", hint)
    if first.kind in ("ELIF", "ELSE") and scene.at == 0:
        message = f"this `{first.text}` has no `if` before it"
        hint = f"`{first.text}` comes right below the block of an `if`, indented like that `if`"
        return Said("F125", first.span, message, hint)
    if first.kind == "CATCH" and scene.at == 0:
        message = "this `catch` has no `try` before it"
        hint = "`catch` comes right below the block of a `try`, indented like that `try`"
        return Said("F125", first.span, message, hint)
    if first.kind == "CASE" and scene.at == 0 and scene.room != "file":
        message = "this `case` has no `match` or `receive` above it"
        hint = "`case` stands in the block of one, indented by four more than it"
        return Said("F125", first.span, message, hint)
    if scene.room == "file":
        return _misplaced_statement(scene)
    if first.kind in DECLARES and scene.at <= 1 and _declares(scene):
        return Said(
            "F126",
            first.span,
            f"a `{first.text}` is declared at the left margin, not inside something else",
            "move it out of this block, and all that belongs to it",
        )
    header = first.kind in ("STEPS", "RESPONDS", "STARTABLE") and scene.at == 0
    number = first.kind == "VERSION" and scene.at == 1 and scene.token.kind == "NUMBER"
    cause = first.kind == "ON" and scene.at == 1 and scene.token.kind in ("TRANSIENT", "FAILURE")
    if header or number or cause:
        return Said(
            "F143",
            first.span,
            f"`{first.text}` belongs at the top of a flow, before its first statement",
            "move this line there",
        )
    return None


def _declares(scene: Scene) -> bool:
    """Whether the line goes on like a declaration, not like a field of that name."""
    kinds = [token.kind for token in scene.line[1:3]]
    return kinds[:1] == ["NAME"] and kinds[-1] in ("COLON", "LPAR", "DOT")


def _misplaced_statement(scene: Scene) -> Said | None:
    first = scene.first
    second = scene.line[1] if len(scene.line) > 1 else None
    if first.kind == "PRIVATE" and second is not None and second.kind == "TEST":
        message = "no other file could use a test, so it is not `private`"
        return Said("F100", first.span, message, "leave the word out", list(scene.line[1:]))
    assigned = second is not None and second.kind in ("EQUAL", "LPAR", "DOT")
    assigned = assigned and first.kind not in DECLARES
    if (scene.at == 0 and first.kind in _STATEMENTS) or (scene.at <= 1 and assigned):
        return Said(
            OUTSIDE_OF_FLOW,
            first.span,
            "a statement cannot stand at the left margin, outside of a flow",
            "indent it below the `flow …:` line that it belongs to",
        )
    return None


_STATEMENTS = frozenset(
    {"ASK", "AWAIT", "BREAK", "CASE", "CHECKPOINT", "CLOSE", "CONTINUE", "FOR", "HOLD", "IF", "LET"}
    | {"LOG", "MATCH", "OPEN", "PASS", "START", "WAIT", "WITHIN"}
    | {"RECEIVE", "REQUIRE", "RESPONDS", "RETURN", "SEND", "SLEEP", "STARTABLE", "STEP", "STEPS"}
    | {"SUBFLOW", "THROW", "TRY", "VAR", "WHILE"}
)


def _wildcard(scene: Scene) -> Said | None:
    """`_` outside of a pattern."""
    if scene.token.kind != "WILDCARD":
        return None
    return Said(
        "F016",
        scene.token.span,
        "`_` is not a name: it stands only in the patterns of a `case`",
        "give it a name",
        scene.with_kind(scene.at, "NAME") if scene.wants_name or scene.wants_value else None,
    )


RULES: tuple[Callable[[Scene], Said | None], ...] = (
    _wildcard,
    _misplaced,
    _foreign,
    _misspelt,
    _misspelt_first,
    _reserved,
)
"""Each says what is wrong if it knows; the first that does is right."""
