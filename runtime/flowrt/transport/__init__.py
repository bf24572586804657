"""How bytes reach a peer: what every transport offers. Knows no session and no flow.

A transport may lose, repeat, delay and reorder; it must not invent, and it must know who speaks:
the name that it hands over with the bytes is authenticated by the channel, never by a message.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

Receiver: typing.TypeAlias = Callable[[str, bytes], None]
"""Called with the authenticated sender's name and the bytes."""


class Transport(typing.Protocol):
    """One party's place on a network."""

    def send(self, peer: str, data: bytes) -> None:
        """Try to bring `data` to `peer`. Returns at once; says nothing about success."""
        ...

    def close(self) -> None:
        """Leave the network."""
        ...


class Network(typing.Protocol):
    """What parties join."""

    def join(self, party: str, receive: Receiver) -> Transport:
        """Take the place `party`; whatever is sent to that name comes to `receive`."""
        ...
