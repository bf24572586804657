"""TLS between two byte streams, one of them plain: bytes in, bytes out. Knows no socket, no frame.

asyncio has the same inside, but keeps 256 KiB for each connection from its first packet on, tells
little of why a handshake failed, and reads on while the party cannot take more.
"""

from __future__ import annotations

import enum
import ssl

RECORD = 1 << 14
"""The most plain bytes in a record of TLS (RFC 8446, 5.1)."""


class Refusal(enum.Enum):
    """Why a connection was refused, or cut."""

    NO_CERTIFICATE = "no certificate"
    UNTRUSTED = "certificate of another network"
    EXPIRED = "certificate expired"
    NOT_YET_VALID = "certificate not valid yet"
    WRONG_USAGE = "certificate not for connections"
    UNKNOWN_PARTY = "party not known here"
    WRONG_NAME = "certificate of another party"
    OLD_TLS = "TLS older than 1.3"
    NOT_TLS = "not TLS"
    OTHER_PROTOCOL = "another protocol"
    SLOW_HANDSHAKE = "handshake too slow"
    CROWDED = "too many connections"
    NOT_HERE = "nobody here"
    BAD_FRAME = "bad frame"
    BROKEN_RECORD = "broken TLS record"
    SLOW_FRAME = "frame too slow"
    SILENT = "no sign of life"
    STALLED = "takes nothing"
    SUPERSEDED = "replaced by a newer connection"
    BY_PEER = "refused by the peer"


_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Refusal.NO_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": Refusal.OLD_TLS,
    "NO_SHARED_CIPHER": Refusal.OLD_TLS,
    "NO_APPLICATION_PROTOCOL": Refusal.OTHER_PROTOCOL,
    "HTTP_REQUEST": Refusal.NOT_TLS,
    "HTTPS_PROXY_REQUEST": Refusal.NOT_TLS,
    "WRONG_VERSION_NUMBER": Refusal.NOT_TLS,
    "UNEXPECTED_MESSAGE": Refusal.NOT_TLS,
    "UNKNOWN_PROTOCOL": Refusal.NOT_TLS,
    "RECORD_LAYER_FAILURE": Refusal.NOT_TLS,
}
_X509_NOT_YET_VALID, _X509_EXPIRED, _X509_WRONG_PURPOSE = 9, 10, 26


def refusal_of(error: ssl.SSLError) -> Refusal:
    """What a failed handshake was refused for."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _X509_EXPIRED:
            return Refusal.EXPIRED
        if error.verify_code == _X509_NOT_YET_VALID:
            return Refusal.NOT_YET_VALID
        if error.verify_code == _X509_WRONG_PURPOSE:
            return Refusal.WRONG_USAGE
        return Refusal.UNTRUSTED
    reason = error.reason or ""
    if "ALERT" in reason:
        return Refusal.BY_PEER
    return _REASONS.get(reason, Refusal.NOT_TLS)


class Tunnel:
    """One end of a TLS connection."""

    __slots__ = ("_in", "_out", "_tls", "is_established", "is_over")

    def __init__(self, context: ssl.SSLContext, *, dials: bool) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=not dials)
        self.is_established = False
        self.is_over = False  # The peer has said that nothing more comes.

    def feed(self, data: bytes) -> None:
        """Take what came from the peer."""
        self._in.write(data)

    def leaving(self) -> bytes:
        """What is to be sent to the peer now; b"" if there is nothing."""
        return self._out.read()

    def shake(self) -> bool:
        """Go on with the handshake; True if it is done. Raises ssl.SSLError if the peer is not
        let in; then what is `leaving` tells it."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.is_established = True
        return True

    @property
    def protocol(self) -> str | None:
        """Which protocol both ends want to speak in it."""
        return self._tls.selected_alpn_protocol()

    @property
    def certificate(self) -> bytes:
        """The peer's certificate, as DER; its chain is verified."""
        return self._tls.getpeercert(True) or b""

    def read(self) -> bytes:
        """Some plain bytes of the peer; b"" if there are none now. Raises ssl.SSLError."""
        try:
            return self._tls.read(RECORD)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            self.is_over = True
            return b""

    def write(self, data: bytes) -> None:
        """Plain bytes for the peer."""
        self._tls.write(data)

    def close(self) -> None:
        """Say that nothing more comes."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            return  # It waits for the peer's goodbye; ours is written.
