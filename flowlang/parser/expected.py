"""What could have come instead of a token, in words. Knows of no particular mistake."""

from __future__ import annotations

from flowlang.parser.scene import DECLARES, NOT_WORDS, Said, Scene, shown
from flowlang.parser.table import END

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
    "WITHIN": "a duration",
    "TIMEOUT": "a duration",
    "CLOSE": "a session",
    "EACH": "a list",
    "ANY": "a list of sessions",
    "IF": "a condition",
    "ELIF": "a condition",
    "WHILE": "a condition",
    "MATCH": "a value",
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
    "CASE": "a message",
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
    "ON": "`on` and a session",
    "COLON": "`:`",
    "TEXT": "a text",
    "UNCHECKED": "`unchecked`",
    "RPC": "`rpc`",
    "SCHEDULE": "`schedule`",
    "EVERY": "`every`",
    "RETRY": "`retry`",
    "DEBUG": "`debug`",
    "INFO": "`info`",
    "WARN": "`warn`",
    "RETURNS": "`returns`",
    "THROWS": "`throws`",
    "WAITS": "`waits`",
    "SAYS": "`says`",
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
_ALSO_NAMES = frozenset(
    {"BY", "DEBUG", "EVERY", "FROM", "INFO", "ON", "PYTHON", "RETRY", "RPC", "SCHEDULE", "WARN"}
    | {"RETURNS", "SAYS", "THROWS", "WAITS"}
)
_MOST = 4


def expected(scene: Scene) -> Said:
    """The general thing to say."""
    token, before = scene.token, scene.before
    if scene.at == 0:
        return _unexpected_line(scene)
    wanted = phrases(scene)
    message = f"expected {either(wanted)}"
    if (scene.wants_value or scene.wants_name) and before is not None and before.text:
        message += f" after {shown(before)}"
    if wanted == ["`:`"] and token.kind == "NEWLINE":
        message += " at the end of this line"
    return Said("F100", token.span, message + scene.found, _remedy(scene))


def phrases(scene: Scene) -> list[str]:
    """At most a few things that could come, the most telling first."""
    accepted, before = scene.accepted, scene.before
    kind = before.kind if before is not None else ""
    if scene.first.kind == "VERSION" and scene.at == 1:
        return ["a number"]
    if kind == "PRIVATE" and scene.at == 1 and scene.room == "file":
        return ["a declaration"]
    if kind == "EXPECT" and scene.at == 1 and scene.room == "test":
        return ["a flow that was started", "an operation", "`messages`"]
    found = []
    if scene.wants_value:
        found.append(_VALUES.get(kind, "a value"))
    elif "NAME" in accepted:
        found.append(_name_wanted(scene, kind))
    skipped: set[str] = set()
    if "NAME" in accepted:
        skipped |= _ALSO_NAMES
    if "USE" in accepted:  # any word may be a name here
        skipped |= {word for word in _WORDS if word.isalpha() and word not in NOT_WORDS}
    if scene.value_complete:
        skipped |= {"LPAR", "DOT"} | ({"IN"} if scene.first.kind != "FOR" else set())
    if scene.wants_value:
        skipped |= {"TEXT", "NUMBER", "LPAR", "COMMA", "RPAR", "RSQB", "RBRACE"}
    if "COLON" in accepted or scene.wants_value:
        skipped.add("NEWLINE")
    if scene.room == "protocol" and "NAME" in accepted:
        skipped |= {"AT", "ARROW"}  # the word before may be a role, too, but rarely is
    if scene.room not in ("test", "mocks"):
        skipped.add("DOT")  # a dot may come behind most names
    if scene.first.kind != "OPEN":
        skipped.add("WITH")  # a changed copy may come behind most values
    if scene.first.kind in ("LET", "VAR") and "EQUAL" in accepted:
        skipped.add("COLON")  # a type may be given, but nobody must
    words = _WORDS | {"COLON": _colon(scene)} | _OF_TESTS.get(scene.room, {})
    found += [words[word] for word in words if word in accepted - skipped]
    return found[:_MOST] or ["something else"]


def _colon(scene: Scene) -> str:
    """The `:` that could come, with what comes after it."""
    first = scene.first.kind
    inside = scene.open_bracket
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
    if first == "CASE":
        return "a case or a value" if kind in ("CASE", "COMMA") else "a name"
    if kind == "COMMA" and first == "CATCH":
        return "an error"
    if kind == "COLON" and first == "USE":
        return "a name"
    if kind in ("COMMA", "LPAR") and first in DECLARES | {"READ", "WRITE"}:
        return "a type" if scene.open_bracket == "LSQB" else "a parameter"
    if kind == "COMMA" and scene.open_bracket == "LSQB":
        return "a type"
    return _NAMES.get(kind, "a name")


def either(found: list[str]) -> str:
    """`a, b or c`."""
    if len(found) == 1:
        return found[0]
    return f"{', '.join(found[:-1])} or {found[-1]}"


_REMEDIES = {
    "MESSAGE": "write `message Name:` and, indented below it, lines such as `field: Type`",
    "RECORD": "write `record Name:` and, indented below it, lines such as `field: Type`",
    "SERVICE": "write `service Name:` and its operations, indented below it",
    "SUBFLOW": "write `subflow SomeFlow(arguments)`",
    "RECEIVE": "write `receive x: SomeMessage from session:` and a block of checks, "
    "or end it with `unchecked`",
    "CASE": "write `case SomeMessage as x:`, `case ended:` or `case timeout 30s:`",
    "WITHIN": "write `within 2d:` and a block of what must be done by then",
    "CLOSE": "write `close session`",
    "SEND": "write `send SomeMessage(…) to session`",
    "OPEN": "write `open SomeFlow with party as session`",
    "REQUIRE": "write `require condition else SomeError(…)`",
    "LET": "write `let name = value`",
    "VAR": "write `var name = value`",
    "FOR": "write `for name in list:`",
    "LOG": 'write `log info "text"`; also `debug` and `warn`',
    "STARTABLE": "write `startable by rpc`, `startable by schedule` or both, with a comma",
    "ON": "write `on transient retry 5 every 10s`, `on failure end` or "
    "`on failure retry 3 every 1m then hold`",
    "RESPONDS": "write `responds to SomeFlow as session`",
    "CATCH": "write `catch SomeError:` or `catch SomeError as e:`",
    "ENUM": "write `enum Name:` and its cases, indented below it",
    "MATCH": "write `match value:` and, indented below it, lines such as `case A:`",
    "TYPE": 'write `type Name = python "module:Class":` and, indented below it, `field: Type`',
    "FLOW": "write `flow Name(parameter: Type) -> Type:`",
    "ERROR": 'write `error Name(field: Type): "text"`',
    "FUNCTION": 'write `function name(parameter: Type) -> Type = python "module:function"`',
    "USE": "write `use some.module: Name, OtherName`",
    "STEP": 'write `step NAME` or `step NAME: "label"`',
    "VERSION": "write `version 1`",
    "READ": "write `read name(parameter: Type) -> Type`",
    "WRITE": "write `write name(parameter: Type) -> Type`",
    "PROTOCOL": "write `protocol Name:` and, indented below it, lines such as"
    " `buyer -> seller: Order`",
    "PLAYS": "write `plays SomeProtocol.role on session`",
    "TEST": 'write `test "what is shown":` and, indented below it, `parties a, b` and so on',
}
_OF_TESTS = {
    "test": {"AT": "`at` and a party", "BY": "`by` and who answers"},
    "mocks": {"ARROW": "`->` and what it answers", "THEN": "`then` and the next answer"},
    "sent": {"ARROW": "`->` and who gets it"},
    "protocol": {"ARROW": "`->` and who gets it", "AT": "`at` and who decides"},
}
_TESTS = {
    "PARTIES": "write `parties seller, buyer`",
    "AT": "write `at seller:` and, indented below it, lines such as `Desk.price(_) -> 3`",
    "START": "write `start trade = Buyer(price=3) at buyer`",
    "ANSWER": 'write `answer "role" at seller with Approval(true) by "ann"`',
    "COMMAND": "write `command trade: Cancel()`",
    "AFTER": "write `after 2d`",
    "RESTART": "write `restart seller`",
    "EXPECT": "write `expect trade returns 3`, `expect Seller at seller waits`, "
    "`expect Desk.price(_) at seller` or `expect messages:`",
}


def _remedy(scene: Scene) -> str | None:
    """How such a line is written, unless the mistake is inside one of its expressions."""
    before = scene.before
    if (before is not None and before.kind in _OPERATORS) or scene.accepted == {"NEWLINE"}:
        return None
    if scene.value_complete and "NEWLINE" in scene.accepted:
        return None
    inside = scene.open_bracket
    if scene.room in ("record", "steps", "enum", "mocks", "sent", "protocol"):
        return None if inside else _LINES[scene.room][1]
    if scene.room == "test":
        return _TESTS.get(scene.first.kind)
    if inside and scene.room == "flow":
        return None
    if scene.room == "match":
        return "write `case SomeCase(field):`, `case 5:`, `case none:` or `case _:`"
    return _REMEDIES.get(scene.first.kind)


_OPERATORS = frozenset({"PLUS", "MINUS", "MULTIPLY", "COMPARE", "AND", "OR", "NOT", "DOT"})


def _unexpected_line(scene: Scene) -> Said:
    what, hint = ("a value", None) if scene.in_a_text else _LINES[scene.room]
    return Said("F100", scene.token.span, f"expected {what}{scene.found}", hint)


_LINES = {
    "file": (
        "a declaration",
        "a file has `flow`, `message`, `record`, `enum`, `error`, `service`, `function`, `protocol`"
        " and `use`",
    ),
    "service": (
        "an operation",
        "write `read name(parameter: Type) -> Type` or `write name(parameter: Type)`",
    ),
    "flow": ("a statement", None),
    "cases": (
        "a case",
        "write `case SomeMessage as x:`, `case ended:` or `case timeout 30s:`,"
        " and below it what is done then",
    ),
    "record": ("a field", "write `name: Type`"),
    "steps": ("a step", 'write `NAME "label"`'),
    "enum": ("a case", "write `Name`, or `Name(field: Type)`"),
    "test": (
        "a line of a test",
        "a test has `parties`, `at`, `start`, `answer`, `command`, `after`, `restart`, `expect`",
    ),
    "mocks": ("what an operation answers", "write `Desk.price(_) -> 3`"),
    "sent": ("a message", "write `buyer -> seller: Order(3)`"),
    "protocol": (
        "a line of a protocol",
        "write `buyer -> seller: Order`, `choice at buyer:`, `repeat name:`, `continue name`, `end`"
        " or `include Other(buyer, seller)`",
    ),
    "match": ("a `case`", "write `case SomeCase:` and, indented below it, what happens then"),
}
