"""Text to tokens: words, signs, and the layout of lines and blocks. Knows no rule of the grammar.

Whatever is wrong in a line's characters is reported here, once, and mended so that the grammar can
go on: `&&` becomes the token of `and`, an open text ends with its line, an open bracket before the
next statement. The lines so mended are remembered, so that nobody complains about them again.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from flowlang.parser.characters import unknown_character, wrong_name
from flowlang.parser.mistakes import (
    BLOCK_DEPTH,
    EXPRESSION_DEPTH,
    FILE_TOKENS,
    Mistakes,
    TooMany,
)
from flowlang.parser.table import END, UNKNOWN, Table
from flowlang.source import Span


class Token(NamedTuple):
    """`kind` is a terminal of the grammar; `start` is the offset in the text."""

    kind: str
    text: str
    line: int
    column: int
    end_line: int
    end_column: int
    start: int

    @property
    def span(self) -> Span:
        return Span(self.line, self.column, self.end_line, self.end_column)


# A line inside brackets that begins so is a new statement: the bracket was left open.
STATEMENT = re.compile(
    r"(?:[ \t]*(?:let|var|if|elif|else|while|for|break|continue|return|pass|open|send|receive|try"
    r"|catch|match|throw|require|step|sleep|checkpoint|hold|log|case|close|within|wait"
    r"|start|await|ask|subflow)\b(?![ \t]*=(?!=))"
    r"|(?:private[ \t]+)?"
    r"(?:flow|record|message|enum|type|error|service|function|schedule|use)[ \t]+[A-Za-z]"
    r"|test[ \t]+\")"
)
# A line inside brackets that is a field, below the field that opened them, is one as well.
_FIELD = re.compile(r"([ \t]*)\w+[ \t]*:[ \t]*[A-Z]")
_REST_IS_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_SIGNS = {"LPAR": "(", "LSQB": "[", "LBRACE": "{", "RPAR": ")", "RSQB": "]", "RBRACE": "}"}
LAYOUT = frozenset({"NEWLINE", "INDENT", "DEDENT"})
# What may stand before a `{` that was meant to open a block.
_BEFORE_BLOCK = frozenset(
    {"NAME", "RPAR", "RSQB", "TEXT", "NUMBER", "TRUE", "FALSE", "NONE", "ELSE", "TRY", "STEPS"}
)
_UNKNOWN = re.compile(
    r"&&|\|\||\\[ \t]*\r?\n|'[^'\n]*'?|`[^`\n]*`|\"\"\"|b?\"[^\n]*"
    r"|[“”„«»][^“”„«»\"\n]*[“”«»\"]|[^\x00-\x7f]+|."
)
# Reading an expression in a text takes as long as reading so many tokens.
_FRAGMENT_COST = 10
_WRITTEN = {"&&": ("AND", "and"), "||": ("OR", "or"), "!": ("NOT", "not")}


class Lexer:
    """Reads one text. `tokens` and `damaged` (the numbers of mended lines) are its results."""

    def __init__(self, table: Table, text: str, damaged: Iterable[int], mistakes: Mistakes) -> None:
        self.tokens: list[Token] = []
        self.damaged = set(damaged)
        self.unread: int | None = None
        """From which offset on nothing was read, if so."""
        self._text = text
        self._mistakes = mistakes
        self._pattern = table.pattern
        self._kinds = {word: word.upper() for word in table.names + table.reserved}
        self._kinds["_"] = "WILDCARD"
        self._budget = FILE_TOKENS
        self._line = 1
        self._line_start = 0
        self._fresh = True  # nothing of this line but blanks so far
        self._levels = [0]
        self._odd: int | None = None  # an indentation that fits nowhere and was reported
        self._too_deep: int | None = None  # lines indented further than this are not read
        self._brackets: list[Token] = []
        self._overflow = 0  # brackets beyond the depth that is read
        self._tab_reported = False
        self._braces = False  # blocks are written in braces, and that was reported
        self._special: dict[str, Callable[[re.Match[str]], bool]] = {
            "BLANK": self._blank,
            "COMMENT": lambda match: True,
            "NEWLINE": self._newline,
            "DOC": self._doc,
            "LPAR": self._opens,
            "LSQB": self._opens,
            "LBRACE": self._opens,
            "RPAR": self._closes,
            "RSQB": self._closes,
            "RBRACE": self._closes,
        }

    def read(self) -> None:
        """The whole text, with its layout."""
        self._scan(0, len(self._text))
        if self._brackets:
            self._left_open()
        self._end_line()
        while len(self._levels) > 1:
            self._dedent(len(self._text))
        self._add(END, "", len(self._text))

    def fragment(self, start: int, end: int, line: int, column: int) -> list[Token]:
        """The tokens of an expression inside a text, without layout."""
        outer = self.tokens, self._line, self._line_start, self._brackets
        self.tokens, self._line, self._line_start = [], line, start - column + 1
        self._brackets, self._fresh = [], False
        self._budget -= _FRAGMENT_COST
        self._scan(start, end)
        if self._brackets:
            self._left_open()
        self._add(END, "", end)
        found = self.tokens
        self.tokens, self._line, self._line_start, self._brackets = outer
        return found

    # --- one token after the other ------------------------------------------------------------

    def _scan(self, position: int, end: int) -> None:
        while position < end and self.unread is None:
            matches = self._pattern.finditer(self._text, position, end)
            for match in itertools.islice(matches, max(0, self._budget)):
                position = match.end()
                kind = match.lastgroup
                assert kind is not None
                if kind != "BLANK":
                    self._budget -= 1
                if kind == UNKNOWN:
                    position = self._unknown(match.start(), end)
                    break
                special = self._special.get(kind)
                if special is not None and special(match):
                    continue
                if self._fresh:
                    self._layout(match.start())
                if self._too_deep is None:
                    self._token(kind, match)
            if self._budget <= 0 and position < end:
                self._too_large(position)

    def _token(self, kind: str, match: re.Match[str]) -> None:
        text = match.group()
        start = match.start()
        column = start - self._line_start + 1
        end_column = column + len(text)
        if kind == "NAME":
            kind = self._kinds.get(text) or self._new_name(text, column)
        self.tokens.append(Token(kind, text, self._line, column, self._line, end_column, start))

    def _add(self, kind: str, text: str, start: int) -> None:
        column = start - self._line_start + 1
        end_column = column + len(text)
        self.tokens.append(Token(kind, text, self._line, column, self._line, end_column, start))

    def _insert(self, kind: str, text: str) -> None:
        """A token that is not in the text, right behind the last one."""
        if self.tokens:
            last = self.tokens[-1]
            place = (last.end_line, last.end_column, last.end_line, last.end_column)
            self.tokens.append(Token(kind, text, *place, last.start + len(last.text)))
        else:
            self._add(kind, text, 0)

    def _too_large(self, position: int) -> None:
        self._report(
            "F001",
            position,
            1,
            f"this file has more than {FILE_TOKENS:,} words and signs",
            "split it into several files and `use` one from the other",
        )
        raise TooMany

    def _stop(self, position: int) -> None:
        """Nothing is read from `position` on, nor of the line that it is in."""
        self.unread = position
        while self.tokens and self.tokens[-1].kind not in LAYOUT:
            self.tokens.pop()
        self._brackets.clear()
        self._add("BROKEN", "", position)

    def _report(
        self, code: str, start: int, length: int, message: str, hint: str | None = None
    ) -> None:
        column = start - self._line_start + 1
        self.damaged.add(self._line)
        span = Span(self._line, column, self._line, column + length)
        self._mistakes.add(code, span, message, hint)

    # --- names --------------------------------------------------------------------------------

    def _new_name(self, name: str, column: int) -> str:
        """A name seen for the first time: it is looked at once."""
        self._kinds[name] = "NAME"
        wrong = wrong_name(name)
        if wrong is not None:
            code, message, hint = wrong
            span = Span(self._line, column, self._line, column + len(name))
            self._mistakes.add(code, span, message, hint)
        return "NAME"

    # --- layout -------------------------------------------------------------------------------

    def _blank(self, match: re.Match[str]) -> bool:
        if self._fresh and not self._tab_reported and "\t" in match.group():
            if not _REST_IS_BLANK.match(self._text, match.end()):
                self._tab_reported = True
                start = match.start() + match.group().index("\t")
                column = start - self._line_start + 1
                self._mistakes.add(
                    "F012",
                    Span(self._line, column, self._line, column + 1),
                    "this line is indented with a tab",
                    "indent with spaces, four for each block",
                )
        return True

    def _newline(self, match: re.Match[str]) -> bool:
        if self._brackets and self._begins_anew(match.end()):
            self._left_open()
        if not self._brackets:
            self._end_line()
            self._fresh = True
        self._line += match.group().count("\n")
        self._line_start = match.end()
        return True

    def _begins_anew(self, position: int) -> bool:
        """Whether the line at `position` cannot go on with what the open bracket is in."""
        if STATEMENT.match(self._text, position):
            return True
        opener = self._brackets[0]
        opening = _FIELD.match(self._text, opener.start - opener.column + 1)
        field = _FIELD.match(self._text, position)
        return opening is not None and field is not None and opening[1] == field[1]

    def _end_line(self) -> None:
        if self.tokens and self.tokens[-1].kind not in LAYOUT:
            self._insert("NEWLINE", "")

    def _layout(self, start: int) -> None:
        """The first token of a line is at `start`: blocks begin or end before it."""
        self._fresh = False
        margin = self._text[self._line_start : start]
        # Four columns keep the blocks of a file together that is indented with tabs throughout.
        width = len(margin.expandtabs(4)) if "\t" in margin else len(margin)
        levels = self._levels
        if self._too_deep is not None:
            if width > self._too_deep:
                return
            self._too_deep = None
        if width == levels[-1]:
            return
        if width > levels[-1]:
            if len(levels) > BLOCK_DEPTH:
                self._blocks_too_deep(start)
            else:
                levels.append(width)
                self._add("INDENT", "", start)
            return
        while len(levels) > 1 and width <= levels[-2]:
            self._dedent(start)
        if width != levels[-1] and width != self._odd:
            self._odd = width
            self._unaligned(start, width)

    def _dedent(self, start: int) -> None:
        self._levels.pop()
        if self.tokens[-1].kind == "INDENT":  # nothing in the block was a token
            self.tokens.pop()
        else:
            self._add("DEDENT", "", start)

    def _unaligned(self, start: int, width: int) -> None:
        # The line stays in the inner block, where the line before it was.
        outer, inner = self._levels[-2:]
        self._report(
            "F108",
            start,
            1,
            f"this line is indented by {width}, which fits neither the block around it "
            f"({outer}) nor the one above ({inner})",
            f"indent it by {inner} to stay in the block, or by {outer} to end the block",
        )

    def _blocks_too_deep(self, start: int) -> None:
        self._report(
            "F030",
            start,
            1,
            f"blocks are nested more than {BLOCK_DEPTH} deep here",
            "move the inner part into a flow of its own and call it with `subflow`",
        )
        self._too_deep = self._levels[-1]
        for kind in ("INDENT", "BROKEN", "NEWLINE", "DEDENT"):
            self._add(kind, "", start)

    # --- brackets and docstrings --------------------------------------------------------------

    def _doc(self, match: re.Match[str]) -> bool:
        text = match.group()
        if self._fresh:
            self._layout(match.start())
        start = match.start()
        line, column = self._line, start - self._line_start + 1
        self._line += text.count("\n")
        if self._line != line:
            self._line_start = start + text.rindex("\n") + 1
        end_column = match.end() - self._line_start + 1
        if self._too_deep is None:
            self.tokens.append(Token("DOC", text, line, column, self._line, end_column, start))
        return True

    def _opens(self, match: re.Match[str]) -> bool:
        if self._fresh:
            self._layout(match.start())
        if self._too_deep is not None:
            return True
        kind = match.lastgroup
        assert kind is not None
        if kind == "LBRACE" and self._opens_block(match):
            return True
        if len(self._brackets) >= EXPRESSION_DEPTH:
            self._brackets_too_deep(match.start())
            return True
        self._add(kind, match.group(), match.start())
        self._brackets.append(self.tokens[-1])
        return True

    def _opens_block(self, match: re.Match[str]) -> bool:
        """Whether this `{` is another language's way to open a block; read as `:` then."""
        if self._brackets or not self.tokens or self.tokens[-1].kind not in _BEFORE_BLOCK:
            return False
        if not _REST_IS_BLANK.match(self._text, match.end()):
            return False
        if not self._braces:
            self._report(
                "F122",
                match.start(),
                1,
                "a block is not written in braces",
                "end the line with `:` and indent the lines of the block",
            )
        self._braces = True
        self._add("COLON", ":", match.start())
        return True

    def _brackets_too_deep(self, start: int) -> None:
        if not self._overflow:
            self._report(
                "F031",
                start,
                1,
                f"brackets are nested more than {EXPRESSION_DEPTH} deep here",
                "give an inner part a name with `let`, then use the name",
            )
        self._overflow += 1

    def _closes(self, match: re.Match[str]) -> bool:
        if self._fresh:
            self._layout(match.start())
        if self._too_deep is not None:
            return True
        kind = match.lastgroup
        assert kind is not None
        if self._overflow:
            self._overflow -= 1
            return True
        if not self._brackets:
            self._closes_nothing(match)
            return True
        opener = self._brackets.pop()
        wanted = _CLOSERS[opener.kind]
        if kind != wanted:
            self._mismatched(match, opener)
        self._add(wanted, _SIGNS[wanted], match.start())
        return True

    def _closes_nothing(self, match: re.Match[str]) -> None:
        sign = match.group()
        if sign == "}" and self._braces:
            return
        message = f"this `{sign}` closes nothing: no bracket is open here"
        self._report("F106", match.start(), 1, message, "remove it, or open one before")

    def _mismatched(self, match: re.Match[str], opener: Token) -> None:
        column = match.start() - self._line_start + 1
        self.damaged.update((self._line, opener.line))
        self._mistakes.add(
            "F107",
            Span(self._line, column, self._line, column + 1),
            f"this `{match.group()}` does not close the `{opener.text}` that is open",
            f"close it with `{_SIGNS[_CLOSERS[opener.kind]]}`",
            note=(f"the `{opener.text}` is here", opener.span),
        )

    def _left_open(self) -> None:
        """The line or file ends inside brackets: they are closed behind its last token."""
        opener = self._brackets[-1]
        lines = range(self._brackets[0].line, self._line + 1)
        # An open text took the closing bracket with it.
        if not self._overflow and self.damaged.isdisjoint(lines):
            closer = _SIGNS[_CLOSERS[opener.kind]]
            message = f"this `{opener.text}` is never closed"
            self._mistakes.add("F105", opener.span, message, f"close it with `{closer}`")
        self.damaged.update(lines)
        if self.tokens[-1].kind == "COMMA":
            # Something is missing, so that the call must not be blamed for having too little.
            self._insert("EQUAL", "=")
        while self._brackets:
            closer = _CLOSERS[self._brackets.pop().kind]
            self._insert(closer, _SIGNS[closer])
        self._overflow = 0

    # --- characters that begin no token -------------------------------------------------------

    def _unknown(self, position: int, end: int) -> int:
        """Reports what is at `position`, puts in its place what was meant, and returns where to
        go on."""
        match = _UNKNOWN.match(self._text, position, end)
        assert match is not None, "every character but a line's end matches"
        found = match.group()
        if self._fresh:
            self._layout(position)
        if self._too_deep is not None:
            return match.end()
        if found == '"""':
            return self._open_doc(position, end)
        if found[0] == "\\" and found[-1] == "\n":
            return self._continued(match)
        if found in _WRITTEN:
            kind, word = _WRITTEN[found]
            self._report("F120", position, len(found), f"`{found}` is written `{word}`")
            self._add(kind, found, position)
            self.tokens[-1] = self.tokens[-1]._replace(text=word)
        elif found[0] in "'`“”„«»" and len(found) > 1:
            self._other_quotes(found, position)
        elif found[0] == '"' or found.startswith('b"'):
            self._open_text(found, position)
        elif found == ";":
            self._semicolon(match)
        else:
            found = found[:1] if found.isascii() else found
            message, hint = unknown_character(found)
            self._report("F010", position, len(found), message, hint)
        return match.end()

    def _open_doc(self, position: int, end: int) -> int:
        message = "this docstring has no end"
        self._report("F014", position, 3, message, 'close it with `"""`')
        self._stop(position)
        return end

    def _continued(self, match: re.Match[str]) -> int:
        self._report(
            "F121",
            match.start(),
            1,
            "a line is not continued with a backslash",
            "put the expression in parentheses; it may then span several lines",
        )
        self._line += 1
        self._line_start = match.end()
        return match.end()

    def _other_quotes(self, found: str, position: int) -> None:
        self._report(
            "F024",
            position,
            len(found),
            'a text is written in straight double quotes: "…"',
            f'write "{found[1:].rstrip(found[0] + "”»“")}"' if len(found) < 40 else None,
        )
        self._add("TEXT", f'"{found[1:-1]}"'.replace("{", "").replace("}", ""), position)

    def _open_text(self, found: str, position: int) -> None:
        shown = found.rstrip("\r")
        self._report(
            "F013",
            position,
            len(shown),
            'this text has no closing `"` on its line',
            'close it with `"`; a line break in a text is written `\\n`',
        )
        self._add("BYTES" if found[0] == "b" else "TEXT", '""', position)

    def _semicolon(self, match: re.Match[str]) -> None:
        self._report(
            "F123",
            match.start(),
            1,
            "a statement ends with its line, without `;`",
            "write one statement on each line, and no `;`",
        )
        if not self._brackets and not _REST_IS_BLANK.match(self._text, match.end()):
            self._end_line()
