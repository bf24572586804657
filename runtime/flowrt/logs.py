"""Log records as lines: JSON for programs, text for people. One record is one line.

What peers, users and authors' code wrote is in these texts: nothing of it can begin a line, move a
cursor or turn the direction of writing. Configures nothing: handlers belong to the process.
"""

from __future__ import annotations

import datetime
import json
import logging
from typing import Any

MOST_TEXT = 4000
"""How many characters of a message are written."""

MOST_TRACE = 16_000
"""How many of a traceback: its end."""

FIELDS = ("party", "flow_id", "session", "peer", "error_id", "user", "status")
"""What records say beside their text, where it is known: `extra` of a logging call."""


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: `time` (UTC), `level`, `logger`, `message`, then those of
    `FIELDS` that are known (a flow's id as `flow`), and `trace` of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        said: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MOST_TEXT],
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if isinstance(value, str):
                said[_KEYS.get(name, name)] = value[:MOST_TEXT]
            elif isinstance(value, int):
                said[_KEYS.get(name, name)] = value
        trace = _trace(self, record)
        if trace:
            said["trace"] = trace
        # In ASCII: control characters, line ends and marks of direction are written out.
        return json.dumps(said)


_KEYS = {"flow_id": "flow"}


class TextLines(logging.Formatter):
    """One line of text: time, level, logger, message; a traceback in the same line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        text = record.getMessage()[:MOST_TEXT]
        trace = _trace(self, record)
        if trace:
            text = f"{text} | {trace}"
        return _escaped(f"{_time(record)} {record.levelname} {record.name}: {text}")


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    return formatter.formatException(record.exc_info)[-MOST_TRACE:]


def _escaped(text: str) -> str:
    return "".join([c if c.isprintable() else _written(c) for c in text])


def _written(sign: str) -> str:
    return json.dumps(sign)[1:-1]
