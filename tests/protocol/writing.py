"""A pair as the text of a `.flow` file. Sets the line of every statement."""

from __future__ import annotations

from tests.protocol.tree import (
    DECIDING,
    FRESH,
    Body,
    Call,
    Choose,
    Close,
    Each,
    If,
    Let,
    Pair,
    Receive,
    Send,
    Stmt,
    Try,
    While,
    Within,
    Word,
)

SHARED = "words"
"""The module of what all pairs use."""

WORDS = '''"""What is said, and who is asked."""

message A:
    n: Int

message B:
    n: Int

message C:
    n: Int

message Stop:
    n: Int

message Flag:
    on: Bool

enum Face:
    Glad
    Sad

message Mood:
    face: Face

error Oops: "oops"

service Desk:
    read says(site: Int) -> Bool
'''

HEAD = f'''"""Flows that talk, or try to."""

use {SHARED}: A, B, C, Desk, Face, Flag, Mood, Oops, Stop
'''


def write(pair: Pair) -> str:
    """The text; the flows are `Left`, `Right0`, `Right1`."""
    return _Writer(pair).text()


class _Writer:
    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._lines = HEAD.splitlines()
        self._names: list[str] = []
        self._group = False

    def text(self) -> str:
        pair = self._pair
        parties = "peers: List[Party]" if pair.group else "peer: Party"
        self._head(f"flow Left({parties}):", "    startable by rpc")
        for number in pair.sessions:
            whom = "each peers as ss" if pair.group else f"peer as s{number}"
            self._add(1, f"open Right{number} with {whom}")
        self._add(1, "checkpoint")
        self._names = ["ss"] if pair.group else ["s0", "s1"]
        self._group = pair.group
        self._block(1, pair.flows[0])
        self._group = False
        for number in pair.sessions:
            self._head(f"flow Right{number}():", f"    responds to Left as s{number}")
            self._names = ["s0", "s1"]
            if number:
                self._names = ["s1", "s1"]
            self._block(1, pair.flows[1 + number])
        for name, body in pair.subflows.items():
            self._head(f"flow {name}(s: Session):")
            self._names = ["s", "s"]
            self._block(1, body)
        return "\n".join(self._lines) + "\n"

    def _head(self, *lines: str) -> None:
        self._lines += ["", *lines]

    def _add(self, depth: int, text: str) -> int:
        self._lines.append("    " * depth + text)
        return len(self._lines)

    def _block(self, depth: int, body: Body) -> None:
        for stmt in body:
            stmt.line = len(self._lines) + 1
            self._stmt(depth, stmt)
        if not body:
            self._add(depth, "pass")

    def _stmt(self, depth: int, stmt: Stmt) -> None:
        match stmt:
            case Send(message=message, session=session):
                whom = f"each {self._names[0]}" if self._group else self._names[session]
                self._add(depth, f"send {message}({_value(stmt)}) to {whom}")
            case Receive(message=message, name=name, session=session):
                limit = " within 30s" if stmt.within else ""
                limit += " then discard" if stmt.discard else ""
                whom = f"each {self._names[0]}" if self._group else self._names[session]
                self._add(depth, f"receive {name}: {message} from {whom}{limit} unchecked")
            case Choose(across=across):
                self._add(
                    depth, "receive:" if across else f"receive from {self._names[stmt.session]}:"
                )
                for case in stmt.cases:
                    source = f" from {self._names[case.session]}" if across else ""
                    case.line = self._add(
                        depth + 1, f"case {case.message}{source} as {case.name} unchecked:"
                    )
                    self._block(depth + 2, case.body)
                if stmt.ended is not None:
                    source = f" from {self._names[stmt.session]}" if across else ""
                    self._add(depth + 1, f"case ended{source}:")
                    self._block(depth + 2, stmt.ended)
                if stmt.late is not None:
                    self._add(depth + 1, "case timeout 30s:")
                    self._block(depth + 2, stmt.late)
            case Let(name=name, site=site):
                self._add(depth, f"let {name} = Desk.says({site})")
            case If():
                self._if(depth, stmt)
            case While(site=site, body=body):
                self._add(depth, f"while Desk.says({site}):" if site else "while true:")
                self._block(depth + 1, body)
            case Word(text=text):
                self._add(depth, text)
            case Close(session=session):
                self._add(depth, f"close {self._names[session]}")
            case Try(body=body, errors=errors, handler=handler):
                self._add(depth, "try:")
                self._block(depth + 1, body)
                self._add(depth, f"catch {', '.join(errors)}:")
                self._block(depth + 1, handler)
            case Within(body=body):
                self._add(depth, "within 1h:")
                self._block(depth + 1, body)
            case Call(flow=flow, is_last=is_last, session=session):
                word = "return subflow" if is_last else "subflow"
                self._add(depth, f"{word} {flow}({self._names[session]})")
            case Each(body=body):
                self._add(depth, f"for t in {self._names[0]}:")
                names, self._names, self._group = self._names, ["t", "t"], False
                self._block(depth + 1, body)
                self._names, self._group = names, True
            case _:
                raise AssertionError(stmt)

    def _if(self, depth: int, stmt: If) -> None:
        if stmt.message == "Mood":
            self._add(depth, f"match {stmt.test}.face:")
            for word, body in (("Glad", stmt.then), ("Sad", stmt.otherwise)):
                self._add(depth + 1, f"case {word}:")
                self._block(depth + 2, body)
            return
        self._add(depth, f"if {condition(stmt)}:")
        self._block(depth + 1, stmt.then)
        if stmt.otherwise:
            self._add(depth, "else:")
            self._block(depth + 1, stmt.otherwise)


def condition(stmt: If) -> str:
    """What is tested, as it is written."""
    text = f"Desk.says({stmt.site})" if stmt.test == FRESH else stmt.test
    if stmt.message == "Flag":
        text += ".on"
    return f"not {text}" if stmt.negated else text


def _value(stmt: Send) -> str:
    if stmt.message not in DECIDING:
        return "1"
    if stmt.message == "Mood":
        return "Face.Glad" if stmt.value == "true" else "Face.Sad"
    return f"Desk.says({stmt.site})" if stmt.value == FRESH else stmt.value
