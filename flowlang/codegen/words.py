"""The only way by which an author's names, texts and comments reach Python. Knows no syntax tree.

Every name is checked to be one and made safe; every text becomes a literal that means exactly it;
comments and docstrings are printable and stay within their quotes and lines.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata

from flowlang.diagnostics import printable

WIDTH = 88
"""Columns of a line of Python, as formatters count them by default."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MODULE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_KEYWORDS = _words(
    """and as assert async await break case class continue def del elif else except finally for
    from global if import in is lambda match nonlocal not or pass raise return try type while with
    yield None True False"""
)
BUILTINS = _words(
    """abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod
    compile complex copyright credits delattr dict dir divmod enumerate eval exec exit filter float
    format frozendict frozenset getattr globals hasattr hash help hex id input int isinstance
    issubclass iter len license list locals map max memoryview min next object oct open ord pow
    print property quit range repr reversed round set setattr slice sorted staticmethod str sum
    super tuple type vars zip"""
)
"""Those of any version of Python, so that the same source gives the same text everywhere."""

_OURS = _words("""at cls datetime decimal error fault function label lib rt run self tx typing""")
"""What generated code itself calls things, beside names that no author can write (`_value`)."""

_ON_VALUES = _words("""add_note args builtin error_id field fields peer wire with_traceback""")
"""What records and errors have already."""

_ON_STATES = frozenset(("place",))
_HARD_TO_READ = frozenset(("l", "I", "O"))
"""Linters refuse them: they look like digits."""

_TYPES = _words(
    """Start States Result Fields ArithmeticError AssertionError AttributeError BaseException
    BaseExceptionGroup BlockingIOError BrokenPipeError BufferError BytesWarning ChildProcessError
    ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError
    DeprecationWarning EOFError Ellipsis EncodingWarning EnvironmentError Exception ExceptionGroup
    FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit IOError
    ImportCycleError ImportError ImportWarning IndentationError IndexError InterruptedError
    IsADirectoryError KeyError KeyboardInterrupt LookupError MemoryError ModuleNotFoundError
    NameError NotADirectoryError NotImplemented NotImplementedError OSError OverflowError
    PendingDeprecationWarning PermissionError ProcessLookupError PythonFinalizationError
    RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration
    StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError TypeError
    UnboundLocalError UnicodeDecodeError UnicodeEncodeError UnicodeError UnicodeTranslateError
    UnicodeWarning UserWarning ValueError Warning ZeroDivisionError SCHEDULES"""
)
_NEVER = _KEYWORDS | BUILTINS | _OURS | _HARD_TO_READ | _TYPES
_FIELDS = _NEVER | _ON_VALUES
_STATE_FIELDS = _NEVER | _ON_STATES


def plain(written: str) -> str:
    """A name as it stands, to which something is added that makes it safe."""
    return _safe(written, frozenset())


def name(written: str) -> str:
    """A type, function, operation or variable in Python: as written, or with a `_` at its end."""
    return _safe(written, _NEVER)


def field(written: str) -> str:
    """A field of a record or an error in Python."""
    return _safe(written, _FIELDS)


def state_field(written: str) -> str:
    """A parameter, or another variable, as a field of a flow's states in Python."""
    return _safe(written, _STATE_FIELDS)


def _safe(written: str, taken: frozenset[str]) -> str:
    if not _NAME.fullmatch(written):
        raise ValueError(f"{written!r} is not a name")
    # `str` becomes `str_`, so what is written `str_` must become something else again.
    return f"{written}_" if written.rstrip("_") in taken else written


def module(path: str) -> str:
    """A dotted name of Python, as it stands."""
    parts = path.split(".")
    if not _MODULE.fullmatch(path) or not _KEYWORDS.isdisjoint(parts):
        raise ValueError(f"{path!r} is not a module's name")
    return path


def is_module(path: str) -> bool:
    """Whether Python could import a module of that name."""
    return bool(_MODULE.fullmatch(path)) and _KEYWORDS.isdisjoint(path.split("."))


def digest(value: str) -> str:
    """A digest in hexadecimal, as it stands."""
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError(f"{value!r} is not a digest")
    return value


# --- literals -----------------------------------------------------------------------------------


def text(value: str) -> str:
    """A text as a literal: in double quotes, unless single ones need fewer escapes."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join([_escaped(character, quote) for character in value]) + quote


def octets(value: bytes) -> str:
    """Bytes as a literal."""
    quote = "'" if value.count(b'"') > value.count(b"'") else '"'
    shown = [_escaped(chr(byte), quote) if byte < 128 else f"\\x{byte:02x}" for byte in value]
    return f"b{quote}{''.join(shown)}{quote}"


_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(character: str, quote: str) -> str:
    if character == quote:
        return f"\\{character}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~" or _plain(character):
        return character
    code = ord(character)
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _plain(character: str) -> bool:
    """Whether a character is shown by itself, in a number of columns that everybody agrees on."""
    if not character.isprintable() or unicodedata.category(character)[0] not in "LNPS":
        return False
    # The vowels of conjoining Hangul are letters without a width of their own.
    return not "\u1160" <= character <= "\u11ff"


def width(line: str) -> int:
    """The columns that a line takes."""
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


# --- text for people ----------------------------------------------------------------------------


def comment(indent: int, said: str) -> str:
    """A line of comment, cut to the width of a page."""
    line = f"{' ' * indent}# {_harmless(said)}".rstrip()
    return cut(line, max(WIDTH, indent + 40))


def cut(said: str, room: int) -> str:
    """The beginning of what is too long."""
    return said if len(said) <= room else said[: room - 1].rstrip() + "…"


def _harmless(said: str) -> str:
    """Text that no tool takes for an order: a second `#` might begin one."""
    return printable(_without_comment(said)).replace("#", "♯")


def _without_comment(line: str) -> str:
    """A line of the author's source without the comment at its end."""
    quoted = escaped = False
    for at, character in enumerate(line):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
        elif character == "#" and not quoted:
            return line[:at].rstrip()
    return line


def docstring(indent: int, said: str) -> list[str]:
    """A docstring's lines; `said` may have several."""
    first, *rest = said.strip().expandtabs(4).split("\n")
    lines = [_in_quotes(line) for line in (first, *textwrap.dedent("\n".join(rest)).split("\n"))]
    if not rest:
        del lines[1:]
    margin = " " * indent
    if len(lines) == 1:
        lead = " " if lines[0].startswith('"') else ""
        tail = " " if lines[0].endswith('"') else ""
        return [f'{margin}"""{lead}{lines[0]}{tail}"""']
    lead = " " if lines[0].startswith('"') else ""
    inner = [f"{margin}{line}" if line else "" for line in lines[1:]]
    return [f'{margin}"""{lead}{lines[0]}', *inner, f'{margin}"""']


def _in_quotes(line: str) -> str:
    plain = printable(line).rstrip()
    return plain.replace("\\", "\\\\").replace('"""', "'''")
