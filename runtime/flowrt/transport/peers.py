"""Who is where: the names that may connect, and the addresses at which they are reached.

Knows no socket and no certificate.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence

if typing.TYPE_CHECKING:
    from flowrt.ledger.identity.networkmap import NetworkMap

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_SIX = re.compile(r"\[([0-9A-Fa-f:.]+)\]")


class BadAddress(ValueError):
    """A text that is no address."""


def parse_address(text: str, *, any_port: bool = False) -> tuple[str, int]:
    """Host and port of `host:port`, where a host is a name, an IPv4 address, or an IPv6 address in
    brackets. With `any_port` the port may be 0, which a listener takes as it comes. Raises
    BadAddress."""
    host, colon, port = text.rpartition(":")
    six = _SIX.fullmatch(host)
    if not colon or not (six or _HOST.fullmatch(host)) or len(host) > 253:
        raise BadAddress(f"{text[:80]!a} is no address such as 127.0.0.1:7401 or bank.example:7401")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise BadAddress(f"{text[:80]!a}: the port is a number up to 65535")
    if int(port) == 0 and not any_port:
        raise BadAddress(f"{text[:80]!a}: nobody is reached at port 0")
    return (six[1] if six else host), int(port)


class Directory(typing.Protocol):
    """Whom a party knows. Asked whenever somebody connects or is to be reached, so what it answers
    may change at any time; who is not known any more is disconnected."""

    def knows(self, name: str) -> bool:
        """Whether this party may connect, and be reached."""
        ...

    def addresses(self, name: str) -> Sequence[str]:
        """Where it is reached, `host:port`, the best first; nothing if it can only come to us."""
        ...


class FixedDirectory:
    """A list of peers, as a configuration has it."""

    def __init__(self, peers: Mapping[str, Iterable[str]]) -> None:
        """`peers`: names, and for each the addresses. Raises BadAddress."""
        self._peers = {name: tuple(addresses) for name, addresses in peers.items()}
        for addresses in self._peers.values():
            for address in addresses:
                parse_address(address)

    def knows(self, name: str) -> bool:
        return name in self._peers

    def addresses(self, name: str) -> Sequence[str]:
        return self._peers.get(name, ())


class MapDirectory:
    """The parties of the newest network map."""

    def __init__(self, newest: Callable[[], NetworkMap]) -> None:
        """`newest` is asked each time, so it must be quick: whoever takes a new map keeps it."""
        self._newest = newest

    def knows(self, name: str) -> bool:
        return name in self._newest().entries

    def addresses(self, name: str) -> Sequence[str]:
        entry = self._newest().entries.get(name)
        return entry.addresses if entry is not None else ()
