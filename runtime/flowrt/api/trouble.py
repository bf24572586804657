"""What is answered where something is not done: a code for programs, texts for people.

Knows no route. The sentences repeat nothing that a client sent but names that were checked.
"""

from __future__ import annotations

import msgspec

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    421: "wrong_host",
    431: "headers_too_large",
    500: "internal_error",
    503: "unavailable",
}
"""The codes that clients can rely on, by the status that comes with each."""


class Trouble(msgspec.Struct, frozen=True):
    """Why a request was not done. `code` is for programs and stays; the texts are for people."""

    code: str
    message: str
    remedy: str


class Failed(msgspec.Struct, frozen=True):
    """The body of every answer that is no success."""

    error: Trouble


class Refused(Exception):
    """A request that is answered with a status of 400 or more. `allow` are the methods that there
    are instead."""

    def __init__(self, status: int, message: str, remedy: str = "", *, allow: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.allow = allow
        self.trouble = Trouble(CODES[status], message, remedy)

    def body(self) -> bytes:
        """The answer's bytes."""
        return msgspec.json.encode(Failed(self.trouble))


def not_found(what: str) -> Refused:
    """There is no such thing, or it is not for who asks: nobody is told which."""
    return Refused(404, f"there is no such {what}, or it is not yours to see")
