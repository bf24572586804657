"""The parse table: Lark's LALR analysis of the grammar, as plain data. Knows no source text.

Making the table takes Lark a quarter of a second and most of that again to be imported, so the
table is kept in the user's own cache directory as JSON (plain data: a planted file can spoil a
parse, but cannot run). Once it is there, reading a `.flow` file does not import Lark at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.resources
import json
import os
import pathlib
import re
import sys
import tempfile
from typing import Any, NamedTuple

FORMAT = 1
"""Counts the shapes that the cached file has had."""

STARTS = ("file", "interpolated")
END = "$END"
UNKNOWN = "UNKNOWN"


class Rule(NamedTuple):
    """One production. `action` names the builder's method; "" passes the only part on as it is."""

    action: str
    origin: str
    size: int


class Table(NamedTuple):
    """`states[state][symbol]` is the state to go to, or `~rule` for the rule to reduce by."""

    states: list[dict[str, int]]
    rules: list[Rule]
    starts: dict[str, int]
    ends: dict[str, int]
    terminals: list[tuple[str, str]]  # name and pattern, in the order in which they are tried
    ignored: list[str]
    names: list[str]  # keywords that may name a value
    reserved: list[str]  # keywords that may not

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches one token anywhere, by the name of its group; UNKNOWN where none begins."""
        named = [f"(?P<{name}>{pattern})" for name, pattern in self.terminals]
        return re.compile("|".join([*named, f"(?P<{UNKNOWN}>.)"]), re.DOTALL)


@functools.cache
def load_table() -> Table:
    """The table, from the cache or made anew."""
    grammar = _grammar()
    place = _cache_file(grammar)
    return _cached(place) or _keep(make(grammar), place)


def make(grammar: str) -> Table:
    """Lark's table for `grammar`, as plain data."""
    from lark import Lark
    from lark.parsers.lalr_analysis import Shift

    lark = Lark(grammar, parser="lalr", lexer="basic", start=list(STARTS))
    frontend: Any = lark.parser
    made = frontend.parser.parser.parse_table
    numbers = {rule: number for number, rule in enumerate(lark.rules)}
    states: list[dict[str, int]] = [
        {
            str(symbol): argument if action is Shift else ~numbers[argument]
            for symbol, (action, argument) in made.states[state].items()
        }
        for state in range(len(made.states))
    ]
    for end in made.end_states.values():
        states[end][END] = end
    rules = []
    for rule in lark.rules:
        alone = rule.options.expand1 and not rule.alias and len(rule.expansion) == 1
        action = "" if alone else str(rule.alias or rule.origin.name)
        rules.append(Rule(action, str(rule.origin.name), len(rule.expansion)))
    return Table(
        states,
        rules,
        dict(made.start_states),
        dict(made.end_states),
        [(terminal.name, terminal.pattern.to_regexp()) for terminal in _in_order(lark.terminals)],
        [str(name) for name in lark.ignore_tokens],
        _words(lark.rules, "name"),
        _words(lark.rules, "reserved"),
    )


def _in_order(terminals: Any) -> Any:
    # Lark's own order: the longest first, so that `//` is not `/` twice.
    return sorted(
        terminals, key=lambda t: (-t.priority, -t.pattern.max_width, -len(t.pattern.value), t.name)
    )


def _words(rules: Any, origin: str) -> list[str]:
    """The keywords in the alternatives of a rule that has nothing else but NAME."""
    found = [str(rule.expansion[0].name) for rule in rules if rule.origin.name == origin]
    return sorted(name.lower() for name in found if name != "NAME")


# --- the cache --------------------------------------------------------------------------------


def _grammar() -> str:
    return (importlib.resources.files("flowlang.grammar") / "flow.lark").read_text("utf-8")


def _cache_file(grammar: str) -> pathlib.Path | None:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(root):
        return None
    # Lark's version is not in the key: asking for it costs more than reading the table, and the
    # table depends on the grammar alone.
    version = f"{FORMAT}\n{sys.version_info[:2]}\n{grammar}"
    digest = hashlib.sha256(version.encode()).hexdigest()[:24]
    return pathlib.Path(root, "flowlang", f"grammar-{digest}.json")


def _cached(place: pathlib.Path | None) -> Table | None:
    """What an earlier process kept; None if there is nothing, or nothing that we may trust."""
    if place is None:
        return None
    try:
        with open(place, encoding="utf-8") as file:
            if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            data = json.load(file)
        made = Table(**data)
        return made._replace(
            rules=[Rule(*rule) for rule in made.rules],
            terminals=[(name, pattern) for name, pattern in made.terminals],
        )
    except (OSError, ValueError, TypeError):
        return None


def _keep(made: Table, place: pathlib.Path | None) -> Table:
    """Written beside and then renamed, so that nobody reads half of it. A cache that cannot be
    written is no mistake."""
    if place is not None:
        with contextlib.suppress(OSError):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, beside = tempfile.mkstemp(dir=place.parent, prefix=".grammar-")
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(made._asdict(), file, separators=(",", ":"))
            os.replace(beside, place)
    return made
