"""A program's way to a node over HTTP: `connect`, flows that are started and followed, what people
and operators do. It asks; it knows no engine and no store.
"""

from flowrt.client.client import Client, connect
from flowrt.client.errors import (
    ClientError,
    Conflict,
    FlowFailed,
    Forbidden,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreachable,
    Untrusted,
)
from flowrt.client.handle import Handle

__all__ = [
    "Client",
    "ClientError",
    "Conflict",
    "FlowFailed",
    "Forbidden",
    "Handle",
    "NotFound",
    "Rejected",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Untrusted",
    "connect",
]
