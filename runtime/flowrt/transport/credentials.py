"""What a party shows to others, and by what it judges them: its TLS certificate, key, and root.

Read from files, checked before anybody connects. Knows no socket.
"""

from __future__ import annotations

import dataclasses
import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from flowrt.ledger.identity.certificates import (
    MAX_CHAIN,
    Root,
    Usage,
    holder_of,
)
from flowrt.ledger.problems import LedgerError
from flowrt.transport.framing import PROTOCOL

_MOST_BYTES = 1 << 16


class BadCredentials(Exception):
    """Files that do not make a party's end of a connection. Its text says which, and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """Where a party's TLS certificate is.

    Attributes:
        certificate: PEM: the party's certificate, and those of authorities above it, without the
            root. Its usage is TLS.
        key: PEM: the private key, encrypted under `passphrase` if there is one.
        root: PEM: the network's root.
    """

    certificate: Path
    key: Path
    root: Path
    passphrase: str | bytes | None = dataclasses.field(default=None, repr=False)

    def load(self, at: datetime.datetime | None = None) -> Badge:
        """Read and check them, as of the time `at` (now). Raises BadCredentials."""
        now = at or datetime.datetime.now(datetime.UTC)
        roots = _certificates(self.root)
        if len(roots) != 1:
            raise BadCredentials(f"{self.root} has {len(roots)} certificates, a network one root")
        chain = _certificates(self.certificate)
        if chain[-1] == roots[0]:
            del chain[-1]
        if not 0 < len(chain) <= MAX_CHAIN:
            raise BadCredentials(
                f"{self.certificate} has {len(chain)} certificates below the root: "
                f"a chain has 1 to {MAX_CHAIN}, the party's first"
            )
        try:
            found = Root(roots[0]).check(chain, Usage.TLS)
            found.check_time(now)
        except LedgerError as error:
            raise BadCredentials(
                f"{self.certificate} does not show who we are: {error}. "
                f"Ask the network's operator for a TLS certificate under {self.root.name}"
            ) from None
        pem = ssl.DER_cert_to_PEM_cert(roots[0])
        return Badge(
            found.name.text,
            found.until,
            self._context(ssl.PROTOCOL_TLS_SERVER, pem),
            self._context(ssl.PROTOCOL_TLS_CLIENT, pem),
        )

    def _context(self, side: int, root: str) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # The root of this network and no other; who a certificate names is asked of it alone, for a
        # party is no host.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=root)
        context.set_alpn_protocols([PROTOCOL])
        if side == ssl.PROTOCOL_TLS_SERVER:
            # A session that is resumed would not show its certificate again.
            context.num_tickets = 0
        try:
            # With a function, nobody is asked for a passphrase at a terminal.
            context.load_cert_chain(
                self.certificate, self.key, password=lambda: self.passphrase or ""
            )
        except (ssl.SSLError, OSError, ValueError) as error:
            raise BadCredentials(self._why_not(error)) from None
        return context

    def _why_not(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            return f"the key in {self.key} is not that of the certificate in {self.certificate}"
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            return f"{self.key} cannot be read: {error.strerror or error}"
        if self.passphrase is None:
            return f"{self.key} is no private key in PEM, or it is encrypted: give its passphrase"
        return f"{self.key} is no private key in PEM, or the passphrase is not the one it is under"


@dataclasses.dataclass(frozen=True, slots=True)
class Badge:
    """Who we are to others, until when, and how both ends of a connection are secured."""

    party: str
    until: datetime.datetime
    accepting: ssl.SSLContext
    dialing: ssl.SSLContext


def named_in(certificate: bytes) -> tuple[str, datetime.datetime]:
    """The party that a certificate of the usage TLS is for, and until when. Its chain was verified.
    Raises CertificateRefused."""
    name, until = holder_of(certificate, Usage.TLS)
    return name.text, until


def _certificates(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
        found = x509.load_pem_x509_certificates(data)
    except OSError as error:
        raise BadCredentials(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise BadCredentials(f"{path} has no certificate in PEM") from None
    return [certificate.public_bytes(Encoding.DER) for certificate in found]
