"""How bytes reach a peer: what every transport offers. Knows no session and no flow.

A transport may lose, repeat, delay and reorder; it must not invent, and it must know who speaks:
the name that it hands over with the bytes is authenticated by the channel, never by a message.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

Receiver: typing.TypeAlias = Callable[[str, bytes], object]
"""Called with the authenticated sender's name and the bytes. It gives False if it cannot take them
now: a transport that can hold the sender back offers them again, another one loses them."""


class Transport(typing.Protocol):
    """One party's place on a network.

    Attributes:
        up: to be set by who has joined. Called with a peer's name when that can be reached, and
            something that was sent to it before may be lost: now is the time to send it again.
    """

    up: Callable[[str], None] | None

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
