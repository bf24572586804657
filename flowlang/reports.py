"""Diagnostics in the forms that other programs read: SARIF, GitHub's workflow commands.

Values in, data or text out; prints nothing and reads no file.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence

from flowlang.diagnostics import Diagnostic
from flowlang.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(
    diagnostics: Sequence[Diagnostic], version: str, titles: Mapping[str, str]
) -> dict[str, object]:
    """A log in SARIF 2.1.0 of one run of flowc; `titles` are the codes' by code."""
    codes = sorted({found.code for found in diagnostics})
    driver = {
        "name": "flowc",
        "version": version,
        "rules": [
            {
                "id": code,
                "shortDescription": {"text": titles.get(code, code)},
                "help": {"text": f"flowc explain {code}"},
            }
            for code in codes
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, codes.index(found.code)) for found in diagnostics],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(found: Diagnostic, rule: int) -> dict[str, object]:
    text = found.message if found.hint is None else f"{found.message}\n{found.hint}"
    result: dict[str, object] = {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": found.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": _place(found.source, found.span)}],
    }
    if found.notes:
        result["relatedLocations"] = [
            {"physicalLocation": _place(note.source, note.span), "message": {"text": note.message}}
            for note in found.notes
        ]
    return result


def _place(name: str, span: Span) -> dict[str, object]:
    return {
        "artifactLocation": {"uri": urllib.parse.quote(name.replace(os.sep, "/"))},
        "region": {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        },
    }


def github(diagnostics: Iterable[Diagnostic]) -> str:
    """One workflow command a line, which GitHub shows beside the code."""
    return "".join(f"{_command(found)}\n" for found in diagnostics)


def _command(found: Diagnostic) -> str:
    kind = "notice" if found.severity == "note" else found.severity
    values = {
        "file": found.source,
        "line": found.span.line,
        "col": found.span.column,
        "endLine": found.span.end_line,
        "title": f"flowc {found.code}",
    }
    if found.span.end_line == found.span.line:
        # GitHub's end column is inclusive, and allowed on one line only.
        values["endColumn"] = max(found.span.column, found.span.end_column - 1)
    listed = ",".join(f"{name}={_value(str(value))}" for name, value in values.items())
    text = found.message if found.hint is None else f"{found.message} ({found.hint})"
    return f"::{kind} {listed}::{_text(text)}"


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
