"""Certificates for tests of the interface: a server's, clients', of one authority."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """Who certifies; `file` is its own certificate."""

    def __init__(self, folder: Path, name: str = "root") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        made = self._builder(self._name, self._key, DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file = folder / f"{name}.pem"
        signed = made.sign(self._key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

        self.key_file = _written(folder / f"{name}.key", self._key)

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        lasts: datetime.timedelta,
        since: datetime.timedelta = -2 * DAY,
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + lasts)
        )

    def certify(
        self,
        name: str,
        lasts: datetime.timedelta = DAY,
        since: datetime.timedelta = -2 * DAY,
        usage: x509.ObjectIdentifier | None = None,
    ) -> tuple[Path, Path]:
        """The files of a certificate and its key; `usage` is all that it is for."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = self._builder(_subject(name), key, lasts, since)
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage is not None:
            made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        signed = made.sign(self._key, hashes.SHA256())
        stem = f"{self.file.stem}-{name}"
        certificate = self._folder / f"{stem}.pem"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return certificate, _written(self._folder / f"{stem}.key", key)


def _written(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
