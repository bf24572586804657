"""What a client raises: a class for each kind of trouble, with code, message and remedy. Asks
nothing.
"""

from __future__ import annotations

from typing import Any, Final


class ClientError(Exception):
    """A node did not do what it was asked. `code` is for programs and stays (docs/http.md); the
    message and the remedy are for people; `status` is HTTP's, 0 where there was no answer."""

    def __init__(self, code: str, message: str, remedy: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.status = status


class Unreachable(ClientError):
    """Nobody answers there, or the connection was lost. What is not safe to be asked twice may have
    been done."""


class Untrusted(ClientError):
    """TLS does not come about: whoever answers has no certificate that we trust, or takes ours
    not."""


class Unauthorized(ClientError):
    """The node does not know who is asking."""


class Forbidden(ClientError):
    """A permission is missing."""


class NotFound(ClientError):
    """It is not there, or not for who asks."""


class Conflict(ClientError):
    """It cannot be done as things are."""


class Rejected(ClientError):
    """The request is not as it should be."""


class Unavailable(ClientError):
    """The node has stopped, or drains, or its store cannot be asked."""


class FlowFailed(Exception):  # as the state of such a flow is called
    """A flow has ended with an error: its qualified `name`, its `fields` as plain data, its id, and
    the peer that it came from, if it did."""

    def __init__(
        self, flow_id: int, name: str, text: str, fields: Any, error_id: str, peer: str | None
    ) -> None:
        super().__init__(text or name)
        self.flow_id = flow_id
        self.name = name
        self.fields = fields
        self.error_id = error_id
        self.peer = peer


_KINDS: Final[dict[int, type[ClientError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    503: Unavailable,
}


def of_status(status: int, code: str, message: str, remedy: str) -> ClientError:
    """The error of an answer that is no success."""
    kind = _KINDS.get(status, Rejected if status < 500 else ClientError)
    return kind(code, message, remedy, status)
