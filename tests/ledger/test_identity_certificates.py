"""Chains of certificates: what the root vouches for, and everything that it does not."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from flowrt.ledger.identity.certificates import (
    Authority,
    BadCertificate,
    CertificateRefused,
    Certified,
    Expired,
    NameNotPermitted,
    NotYetValid,
    PathTooLong,
    Root,
    SelfSigned,
    Usage,
    WrongRoot,
    WrongUsage,
)
from flowrt.ledger.identity.names import canonical
from flowrt.ledger.keys import ECDSA_P256, ED25519, SigningKey, all_of
from tests.ledger.town import NOW, SINCE, UNTIL

DAY = datetime.timedelta(days=1)
GB = "O=Town, C=GB"


def key(number: int, scheme: int = ED25519) -> SigningKey:
    return SigningKey(scheme, number.to_bytes(32, "big"))


ROOT = Authority.root(GB, key(1), SINCE, UNTIL)
ALICE = key(7)


def chain(name: str = "alice", usage: Usage = Usage.IDENTITY) -> tuple[bytes, ...]:
    return ROOT.certify(name, ALICE.public, SINCE, UNTIL, usage)


def check(found: tuple[bytes, ...], usage: Usage = Usage.IDENTITY) -> Certified:
    return Root(ROOT.certificate).check(found, usage)


@pytest.mark.parametrize("scheme", [ED25519, ECDSA_P256])
@pytest.mark.parametrize("above", [ED25519, ECDSA_P256])
def test_the_root_vouches_for_a_party(scheme: int, above: int) -> None:
    root = Authority.root(GB, key(1, above), SINCE, UNTIL)
    party = key(7, scheme)
    made = root.certify("O=Bank A, L=London, C=GB", party.public, SINCE, UNTIL)
    found = Root(root.certificate).check(made, Usage.IDENTITY)
    assert found.name.text == "O=Bank A, L=London, C=GB"
    assert found.key == party.public


def test_the_same_certificate_is_made_again() -> None:
    assert chain() == chain()
    assert chain() != chain("bob")


def test_an_authority_in_between() -> None:
    middle = key(2)
    made = ROOT.authority("O=Doorman, C=GB", middle.public, SINCE, UNTIL)
    doorman = Authority(made, middle)
    found = check(doorman.certify("alice", ALICE.public, SINCE, UNTIL))
    assert found.name == canonical("alice")
    assert len(doorman.certify("alice", ALICE.public, SINCE, UNTIL)) == 2


def test_times_are_told_apart() -> None:
    made = ROOT.certify("alice", ALICE.public, NOW - DAY, NOW + DAY)
    found = check(made)
    found.check_time(NOW)
    found.check_time(NOW - DAY)
    with pytest.raises(NotYetValid):
        found.check_time(NOW - 2 * DAY)
    for late in (NOW + DAY, NOW + 2 * DAY):
        with pytest.raises(Expired):
            found.check_time(late)


def test_a_chain_is_good_for_as_long_as_all_of_it() -> None:
    middle = key(2)
    doorman = Authority(ROOT.authority("O=D, C=GB", middle.public, NOW - DAY, NOW + DAY), middle)
    made = doorman.certify("alice", ALICE.public, NOW - DAY / 2, NOW + DAY)
    assert (check(made).since, check(made).until) == (NOW - DAY / 2, NOW + DAY)
    with pytest.raises(BadCertificate, match="not good for longer"):
        doorman.certify("alice", ALICE.public, NOW - DAY, NOW + 2 * DAY)


def test_another_root() -> None:
    other = Authority.root(GB, key(3), SINCE, UNTIL)
    with pytest.raises(WrongRoot):
        Root(other.certificate).check(chain(), Usage.IDENTITY)
    far = Authority.root("O=Far, C=US", key(3), SINCE, UNTIL)
    with pytest.raises(WrongRoot):
        Root(far.certificate).check(chain(), Usage.IDENTITY)


def test_one_that_vouches_for_itself() -> None:
    with pytest.raises(SelfSigned):
        check((ROOT.certificate,))
    own = forged(subject="alice", issuer="alice", by=ALICE)
    with pytest.raises(SelfSigned):
        check((own,))
    with pytest.raises(WrongRoot):
        Root(chain()[0])


@pytest.mark.parametrize("given", list(Usage))
@pytest.mark.parametrize("wanted", list(Usage))
def test_a_key_for_one_thing_is_not_one_for_another(given: Usage, wanted: Usage) -> None:
    made = chain(usage=given)
    if given is wanted:
        assert check(made, wanted).key == ALICE.public
    else:
        with pytest.raises(WrongUsage):
            check(made, wanted)


def test_a_party_certifies_nobody() -> None:
    with pytest.raises(WrongUsage, match="no authority's"):
        Authority(chain(), ALICE)
    by_alice = forged(subject="bob", issuer="alice", by=ALICE)
    with pytest.raises(WrongUsage, match="not an authority's"):
        check((by_alice, *chain()))


def test_an_authority_is_no_party() -> None:
    made = ROOT.authority("alice", ALICE.public, SINCE, UNTIL)
    with pytest.raises(WrongUsage, match="an authority's"):
        check(made[:1])


def test_paths_are_as_long_as_allowed() -> None:
    first, second, third = key(2), key(3), key(4)
    one = Authority(ROOT.authority("O=1, C=GB", first.public, SINCE, UNTIL, below=1), first)
    two = Authority(one.authority("O=2, C=GB", second.public, SINCE, UNTIL), second)
    assert check(two.certify("alice", ALICE.public, SINCE, UNTIL)).key == ALICE.public
    with pytest.raises(PathTooLong):
        two.authority("O=3, C=GB", third.public, SINCE, UNTIL)
    with pytest.raises(PathTooLong):
        check(tuple([chain()[0]] * 4))
    with pytest.raises(PathTooLong):
        check(())
    under = forged(subject="O=3, C=GB", issuer="O=2, C=GB", by=second, over=third, authority=0)
    leaf = forged(subject="alice", issuer="O=3, C=GB", by=third)
    alone = forged("O=2, C=GB", GB, key(1), over=second, authority=0)
    with pytest.raises(PathTooLong):
        check((leaf, under, alone))


def test_authorities_keep_to_the_names_that_they_may_certify() -> None:
    middle = key(2)
    made = ROOT.authority(
        "O=Doorman, C=GB", middle.public, SINCE, UNTIL, permitted=["L=London, C=GB", "C=FR"]
    )
    doorman = Authority(made, middle)
    for name in ("O=Bank A, L=London, C=GB", "O=Banque, L=Paris, C=FR"):
        assert check(doorman.certify(name, ALICE.public, SINCE, UNTIL)).name.text == name
    for name in ("O=Bank A, L=Leeds, C=GB", "O=Bank, C=US", "alice"):
        with pytest.raises(NameNotPermitted):
            check(doorman.certify(name, ALICE.public, SINCE, UNTIL))


def test_a_limit_on_names_binds_all_below() -> None:
    first, second = key(2), key(3)
    limited = ROOT.authority("O=1, C=FR", first.public, SINCE, UNTIL, below=1, permitted=["C=FR"])
    one = Authority(limited, first)
    two = Authority(one.authority("O=2, C=FR", second.public, SINCE, UNTIL), second)
    assert check(two.certify("O=B, C=FR", ALICE.public, SINCE, UNTIL)).name.text == "O=B, C=FR"
    with pytest.raises(NameNotPermitted):
        check(two.certify("O=B, C=GB", ALICE.public, SINCE, UNTIL))


def test_an_excluded_subtree_is_not_understood() -> None:
    first = key(2)
    trees = [x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "FR")]))]
    limited = forged(
        "O=1, C=GB", GB, key(1), over=first, authority=0,
        extra=lambda b: b.add_extension(x509.NameConstraints(None, trees), critical=True),
    )  # fmt: skip
    with pytest.raises(BadCertificate, match="permitted"):
        check((forged("alice", "O=1, C=GB", first), limited))


def test_composite_keys_are_not_certified() -> None:
    with pytest.raises(BadCertificate, match="composite"):
        ROOT.certify("alice", all_of([key(1).public, key(2).public]), SINCE, UNTIL)


def forged(
    subject: str,
    issuer: str,
    by: SigningKey,
    over: SigningKey = ALICE,
    authority: int | None = None,
    extra: Callable[[x509.CertificateBuilder], x509.CertificateBuilder] | None = None,
    usage: bool = True,
    public: object = None,
    usages: tuple[Usage, ...] = (Usage.IDENTITY,),
    certifies: bool | None = None,
) -> bytes:
    """A certificate that nobody here would issue."""
    signs = authority is None
    certifies = not signs if certifies is None else certifies
    builder = (
        x509.CertificateBuilder()
        .subject_name(canonical(subject).subject)
        .issuer_name(canonical(issuer).subject)
        .public_key(public or over.private.public_key())  # type: ignore[arg-type]
        .serial_number(5)
        .not_valid_before(SINCE)
        .not_valid_after(UNTIL)
        .add_extension(x509.BasicConstraints(not signs, authority), critical=True)
    )
    if usage:
        builder = builder.add_extension(
            x509.KeyUsage(signs, False, False, False, False, certifies, False, False, False),
            critical=True,
        )
        if signs:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([usage.value for usage in usages]), critical=True
            )
    if extra:
        builder = extra(builder)
    return builder.sign(by.private, None).public_bytes(Encoding.DER)


def test_forms_that_are_not_issued_here() -> None:
    root = key(1)
    assert check((forged("alice", GB, root),)).key == ALICE.public
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    weak = Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))  # Of small order.
    wrong = {
        "critical": forged("alice", GB, root, extra=lambda b: b.add_extension(unknown, True)),
        "rsa": forged("alice", GB, root, public=rsa_key),
        "curve": forged("alice", GB, root, public=curve),
        "weak": forged("alice", GB, root, public=weak),
        "no usage": forged("alice", GB, root, usage=False),
    }
    for what, made in wrong.items():
        with pytest.raises(CertificateRefused):
            check((made,))
        assert what
    ignored = forged("alice", GB, root, extra=lambda b: b.add_extension(unknown, False))
    assert check((ignored,)).key == ALICE.public


def test_a_key_for_two_things_is_for_neither() -> None:
    made = forged("alice", GB, key(1), usages=(Usage.IDENTITY, Usage.TLS))
    for usage in Usage:
        with pytest.raises(WrongUsage, match="certified as"):
            check((made,), usage)


def test_an_authority_says_so_twice() -> None:
    """That it is one, and that its key certifies: one of them is not enough."""
    middle = key(2)
    leaf = forged("alice", "O=1, C=GB", middle)
    good = forged("O=1, C=GB", GB, key(1), over=middle, authority=0)
    assert check((leaf, good)).key == ALICE.public
    for half in (
        forged("O=1, C=GB", GB, key(1), over=middle, authority=0, certifies=False),
        forged("O=1, C=GB", GB, key(1), over=middle, certifies=True),
    ):
        with pytest.raises(WrongUsage, match="not an authority's"):
            check((leaf, half))
    with pytest.raises(WrongUsage, match="not certified to sign"):
        check((forged("alice", GB, key(1), certifies=True),))


def test_a_weak_hash_is_refused() -> None:
    curve = key(1, ECDSA_P256)
    root = Authority.root(GB, curve, SINCE, UNTIL)
    made = (
        x509.CertificateBuilder()
        .subject_name(canonical("alice").subject)
        .issuer_name(canonical(GB).subject)
        .public_key(ALICE.private.public_key())
        .serial_number(5)
        .not_valid_before(SINCE)
        .not_valid_after(UNTIL)
        .sign(curve.private, hashes.SHA224())  # type: ignore[arg-type]
        .public_bytes(Encoding.DER)
    )
    with pytest.raises(BadCertificate, match="SHA-256"):
        Root(root.certificate).check((made,), Usage.IDENTITY)


@pytest.mark.parametrize("scheme", [ED25519, ECDSA_P256])
def test_no_bit_of_a_chain_can_be_changed(scheme: int) -> None:
    root = Root(Authority.root(GB, key(1, scheme), SINCE, UNTIL).certificate)
    [good] = Authority([root.certificate], key(1, scheme)).certify(
        "alice", ALICE.public, SINCE, UNTIL
    )
    assert root.check((good,), Usage.IDENTITY).key == ALICE.public
    for place in range(len(good)):
        for bit in range(8):
            changed = good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]
            with pytest.raises(CertificateRefused):
                root.check((changed,), Usage.IDENTITY)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CertificateRefused):
        check((data,))
    with pytest.raises(CertificateRefused):
        Root(data)


@pytest.mark.parametrize("how", ["error", "ignore"])
def test_a_serial_number_below_zero(how: str) -> None:
    """Whether the library's warning is an exception or not."""
    [good] = chain()
    assert good[12:14] == b"\x02\x10"  # The number, of 16 bytes.
    data = good[:14] + bytes([good[14] | 0x80]) + good[15:]
    with warnings.catch_warnings():
        warnings.simplefilter(how)  # type: ignore[arg-type]
        with pytest.raises(BadCertificate):
            check((data,))


def test_a_certificate_that_is_too_large() -> None:
    with pytest.raises(BadCertificate, match="at most"):
        check((bytes(5000),))
    with pytest.raises(BadCertificate):
        check((chain()[0] + b"\x00",))
