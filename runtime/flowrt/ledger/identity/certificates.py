"""Certificates: that a network's root vouches for a key and a name. Knows no map and no database.

A network has one root, which certifies authorities below it or parties directly. A certificate says
what its key is for: a party's identity on the ledger, the operator of the network map, or TLS. The
usages exclude each other, so a key of one kind never counts as another. Certificates are X.509
(RFC 5280) over Ed25519 or P-256 keys. A chain is checked here whole, because the verifier of
`cryptography` is for web servers.
"""

from __future__ import annotations

import datetime
import enum
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from flowrt.ledger.identity.names import BadName, Name, canonical, of_subject, subtree
from flowrt.ledger.keys import COMPOSITE, ECDSA_P256, ED25519, PublicKey, SigningKey
from flowrt.ledger.problems import BadKey, LedgerError

MAX_CHAIN: Final = 3
"""The most certificates below the root: two authorities and a party."""

MAX_CERTIFICATE_BYTES: Final = 4096

_ARC = "2.25.250271860912571180190817360172190417922"
"""Object identifiers under a UUID of our own (X.667), which nobody needs to register."""


class Usage(enum.Enum):
    """What a certified key is for."""

    IDENTITY = x509.ObjectIdentifier(f"{_ARC}.1")
    """A party on the ledger: it signs transactions and claims of pseudonyms."""
    OPERATOR = x509.ObjectIdentifier(f"{_ARC}.2")
    """Whoever signs the network map."""
    TLS = ExtendedKeyUsageOID.SERVER_AUTH
    """A party's connections, at both ends; never a signature on the ledger."""


class CertificateRefused(LedgerError):
    """A chain of certificates that does not show what it should."""


class BadCertificate(CertificateRefused):
    """Bytes that are no certificate, or one that is not of the form that is issued here."""


class WrongRoot(CertificateRefused):
    """A chain that does not begin at the network's root, or whose signatures do not hold."""


class SelfSigned(WrongRoot):
    """A certificate that vouches for itself."""


class Expired(CertificateRefused):
    """A certificate whose time is over."""


class NotYetValid(CertificateRefused):
    """A certificate whose time has not come."""


class WrongUsage(CertificateRefused):
    """A key that is certified for something else."""


class PathTooLong(CertificateRefused):
    """More authorities below each other than the one above them allows."""


class NameNotPermitted(CertificateRefused):
    """A name that an authority above may not certify."""


class Certified:
    """What a chain shows: that `key` is `name`'s, from `since` to `until`."""

    __slots__ = ("key", "name", "since", "until")

    def __init__(
        self, name: Name, key: PublicKey, since: datetime.datetime, until: datetime.datetime
    ) -> None:
        self.name = name
        self.key = key
        self.since = since
        self.until = until
        """The first moment at which a certificate of the chain is no longer good."""

    def check_time(self, at: datetime.datetime) -> None:
        """Raises Expired, NotYetValid."""
        if at < self.since:
            raise NotYetValid(f"the certificate of {self.name.text} is good from {self.since} on")
        if at >= self.until:
            raise Expired(f"the certificate of {self.name.text} was good until {self.until}")


class Authority:
    """One who certifies: the network's root, or below it. Holds the private key."""

    def __init__(self, chain: Sequence[bytes], key: SigningKey) -> None:
        """`chain` is its own certificate first, then those above it, the root last. Raises
        BadCertificate, WrongUsage unless the first is an authority's over this key."""
        if not chain:
            raise BadCertificate("an authority has a certificate")
        self.chain = tuple(chain)
        self._key = key
        self._certificate = _read(chain[0])
        if key_of(self._certificate) != key.public:
            raise BadCertificate("the authority's certificate is over another key")
        if not _constraints(self._certificate).ca:
            raise WrongUsage("this certificate is no authority's")

    @classmethod
    def root(
        cls, name: str, key: SigningKey, since: datetime.datetime, until: datetime.datetime
    ) -> Authority:
        """A new network's root, which vouches for itself."""
        subject = canonical(name)
        made = _issue(
            subject, key.public, subject, key, since, until, [], authority=MAX_CHAIN - 1, above=None
        )
        return cls([made], key)

    @property
    def certificate(self) -> bytes:
        """Its own certificate, as DER."""
        return self.chain[0]

    def authority(
        self,
        name: str,
        key: PublicKey,
        since: datetime.datetime,
        until: datetime.datetime,
        *,
        below: int = 0,
        permitted: Iterable[str] = (),
    ) -> tuple[bytes, ...]:
        """The chain of an authority below this one, which may have `below` more under it, and may
        certify names within `permitted` alone (such as `L=London, C=GB`), if any are given."""
        allowed = _constraints(self._certificate).path_length
        if allowed is not None and below >= allowed:
            raise PathTooLong(f"this authority may have {allowed} authorities below it")
        trees = [subtree(text) for text in permitted]
        issuer = of_subject(self._certificate.subject)
        made = _issue(
            canonical(name), key, issuer, self._key, since, until, [],
            authority=below, above=self._certificate, permitted=trees,
        )  # fmt: skip
        return (made, *self.chain)

    def certify(
        self,
        name: str,
        key: PublicKey,
        since: datetime.datetime,
        until: datetime.datetime,
        usage: Usage = Usage.IDENTITY,
    ) -> tuple[bytes, ...]:
        """The chain of `name`'s certificate over `key`, without the root, as a network map has it.
        Whoever asks has proved that it holds the key: that is not looked at here. Raises BadName,
        BadCertificate."""
        usages = [usage.value]
        if usage is Usage.TLS:
            usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        issuer = of_subject(self._certificate.subject)
        made = _issue(
            canonical(name), key, issuer, self._key, since, until, usages,
            authority=None, above=self._certificate,
        )  # fmt: skip
        return (made, *self.chain[:-1])


def fingerprint(certificate: bytes) -> bytes:
    """SHA-256 of a certificate. That of the root names the network."""
    return hashlib.sha256(certificate).digest()


class Root:
    """A network's root, under which chains are checked. Remembers the authorities that it has found
    good, so that a map of many parties does not check them for each."""

    def __init__(self, certificate: bytes) -> None:
        """Raises BadCertificate, WrongRoot unless the certificate vouches for itself."""
        self.certificate = certificate
        self._root = _read(certificate)
        if self._root.issuer != self._root.subject:
            raise WrongRoot("the root does not vouch for itself")
        _check_issued(self._root, self._root)
        self._above: dict[tuple[bytes, ...], list[x509.Certificate]] = {}

    @property
    def network(self) -> bytes:
        """The fingerprint by which claims and maps name the network."""
        return fingerprint(self.certificate)

    def check(self, chain: Sequence[bytes], usage: Usage) -> Certified:
        """What `chain` (the party's certificate first, without the root) shows. Its time is not
        looked at: see `Certified.check_time`.

        Raises:
            BadCertificate, WrongRoot, SelfSigned, WrongUsage, PathTooLong, NameNotPermitted.
        """
        if not 0 < len(chain) <= MAX_CHAIN:
            raise PathTooLong(f"a chain has 1 to {MAX_CHAIN} certificates below the root")
        leaf = _read(chain[0])
        if leaf.issuer == leaf.subject:
            raise SelfSigned("the certificate vouches for itself")
        above = self._authorities(tuple(chain[1:]))
        _check_issued(leaf, above[0])
        name = _checked_leaf(leaf, usage)
        all_ = [leaf, *above]
        for place, authority in enumerate(above):
            _check_names(authority, [of_subject(c.subject) for c in all_[: place + 1]])
        return Certified(
            name,
            key_of(leaf),
            max(c.not_valid_before_utc for c in all_),
            min(c.not_valid_after_utc for c in all_),
        )

    def _authorities(self, chain: tuple[bytes, ...]) -> list[x509.Certificate]:
        """Those above a party, the root last, each issued by the next."""
        found = self._above.get(chain)
        if found is None:
            found = [*map(_read, chain), self._root]
            for lower, upper in itertools.pairwise(found):
                _check_issued(lower, upper)
            for below, authority in enumerate(found):
                _check_authority(authority, below)
            self._above[chain] = found
        return found


def name_in(chain: Sequence[bytes]) -> str:
    """The name that the first certificate of a chain is for. Raises BadCertificate."""
    if not chain:
        raise BadCertificate("a chain has a certificate")
    return of_subject(_read(chain[0]).subject).text


def holder_of(certificate: bytes, usage: Usage) -> tuple[Name, datetime.datetime]:
    """Whose a certificate is, and until when, if it is of the form that is issued here and for that
    usage. Its chain and time are not looked at: for those who have had them verified, as TLS does.
    Raises BadCertificate, WrongUsage."""
    leaf = _read(certificate)
    return _checked_leaf(leaf, usage), leaf.not_valid_after_utc


def key_of(certificate: x509.Certificate) -> PublicKey:
    """The key that a certificate is over. Raises BadCertificate."""
    try:
        found = certificate.public_key()
        if isinstance(found, Ed25519PublicKey):
            return PublicKey(bytes([ED25519]) + found.public_bytes_raw())
        if isinstance(found, ec.EllipticCurvePublicKey) and found.curve.name == "secp256r1":
            point = found.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            return PublicKey(bytes([ECDSA_P256]) + point)
    except (ValueError, UnsupportedAlgorithm, BadKey) as error:
        raise BadCertificate(f"a certificate over a key that cannot be used: {error}") from None
    raise BadCertificate("a certificate is over an Ed25519 or P-256 key")


def _read(data: bytes) -> x509.Certificate:
    """A certificate of the form that is issued here: its names, its extensions, its algorithm."""
    if not isinstance(data, bytes) or not 0 < len(data) <= MAX_CERTIFICATE_BYTES:
        raise BadCertificate(f"a certificate has at most {MAX_CERTIFICATE_BYTES} bytes")
    try:
        found = x509.load_der_x509_certificate(data)
        if found.version != x509.Version.v3 or found.public_bytes(Encoding.DER) != data:
            raise BadCertificate("not an X.509 certificate of version 3, in DER")
        if not data.endswith(b"\x00" + found.signature):
            # The library takes a signature whose last bits are said to be unused.
            raise BadCertificate("a certificate's signature is whole bytes")
        if found.serial_number <= 0:
            raise BadCertificate("a certificate's serial number is positive")
        if found.signature_algorithm_oid not in _ALGORITHMS:
            raise BadCertificate("a certificate is signed with Ed25519, or ECDSA and SHA-256")
        for extension in found.extensions:
            if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
                raise BadCertificate(f"extension {extension.oid.dotted_string} is not understood")
        of_subject(found.subject)
        of_subject(found.issuer)
    except BadCertificate:
        raise
    except Exception as error:
        # The library has many exceptions, and warnings that a program may turn into exceptions, for
        # bytes that somebody else wrote.
        raise BadCertificate(f"not a certificate: {str(error)[:200]}") from None
    return found


_ALGORITHMS = {SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ECDSA_WITH_SHA256}
_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.NameConstraints)


def _check_issued(lower: x509.Certificate, upper: x509.Certificate) -> None:
    if lower.issuer != upper.subject:
        raise WrongRoot("a certificate of the chain is by another issuer than the next one")
    try:
        lower.verify_directly_issued_by(upper)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        raise WrongRoot("a signature of the chain is not by the key above it") from None


def _checked_leaf(leaf: x509.Certificate, usage: Usage) -> Name:
    name = of_subject(leaf.subject)
    if _constraints(leaf).ca:
        raise WrongUsage(f"the certificate of {name.text} is an authority's")
    signs = _key_usage(leaf)
    if not signs.digital_signature or signs.key_cert_sign:
        raise WrongUsage(f"the key of {name.text} is not certified to sign")
    try:
        usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = set()
    wanted = {usage.value}
    if usage is Usage.TLS:
        wanted.add(ExtendedKeyUsageOID.CLIENT_AUTH)
    if usages != wanted:
        raise WrongUsage(f"the key of {name.text} is not certified as {usage.name.lower()}")
    return name


def _check_authority(authority: x509.Certificate, below: int) -> None:
    constraints = _constraints(authority)
    if not constraints.ca or not _key_usage(authority).key_cert_sign:
        raise WrongUsage("a certificate of the chain is not an authority's")
    if constraints.path_length is not None and below > constraints.path_length:
        raise PathTooLong(f"an authority may have {constraints.path_length} below it, not {below}")


def _check_names(authority: x509.Certificate, below: list[Name]) -> None:
    try:
        found = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return
    if found.excluded_subtrees or not found.permitted_subtrees:
        raise BadCertificate("an authority's names are limited by what is permitted")
    trees = []
    for tree in found.permitted_subtrees:
        if not isinstance(tree, x509.DirectoryName):
            raise BadCertificate("an authority's names are limited by X.500 names")
        trees.append(_subtree(tree.value))
    for name in below:
        if not any(name.within(tree) for tree in trees):
            raise NameNotPermitted(f"an authority above {name.text} may not certify that name")


def _subtree(value: x509.Name) -> Name:
    try:
        return of_subject(value, somebody=False)
    except BadName as error:
        raise BadCertificate(f"an authority's permitted names: {error}") from None


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise WrongUsage("a certificate that does not say whether it is an authority's") from None


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise WrongUsage("a certificate that does not say what its key may do") from None


def _issue(
    subject: Name,
    key: PublicKey,
    issuer: Name,
    by: SigningKey,
    since: datetime.datetime,
    until: datetime.datetime,
    usages: list[x509.ObjectIdentifier],
    *,
    authority: int | None,
    above: x509.Certificate | None,
    permitted: Sequence[Name] = (),
) -> bytes:
    if key.scheme == COMPOSITE:
        raise BadCertificate("a composite key is not certified; its leaves are")
    if above is not None and not (
        above.not_valid_before_utc <= since < until <= above.not_valid_after_utc
    ):
        raise BadCertificate("a certificate is not good for longer than the one above it")
    # A number that nobody can choose, and the same again for the same certificate.
    content = b"\x00".join(
        [subject.text.encode(), key.encoded, str(since).encode(), str(until).encode()]
        + [usage.dotted_string.encode() for usage in usages]
    )
    number = int.from_bytes(hashlib.sha256(by.public.encoded + content).digest()[:16], "big") >> 1
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject.subject)
        .issuer_name(issuer.subject)
        .public_key(_loaded(key))
        .serial_number(max(number, 1))
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(authority is not None, authority), critical=True)
        .add_extension(_usage(authority is not None), critical=True)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=True)
    if permitted:
        trees = [x509.DirectoryName(name.subject) for name in permitted]
        builder = builder.add_extension(x509.NameConstraints(trees, None), critical=True)
    private = by.private
    algorithm = None if isinstance(private, Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(private, algorithm).public_bytes(Encoding.DER)


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _loaded(key: PublicKey) -> Ed25519PublicKey | ec.EllipticCurvePublicKey:
    try:
        if key.scheme == ED25519:
            return Ed25519PublicKey.from_public_bytes(key.encoded[1:])
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.encoded[1:])
    except ValueError:
        raise BadCertificate(f"{key.text} is no point of its curve") from None
