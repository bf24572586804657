"""Names: one spelling each, and none that looks like another."""

from __future__ import annotations

import itertools

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from flowrt.ledger.identity.names import BadName, canonical, of_subject, parse, skeleton, subtree

SIGNS = "abcXYZ019'()./:?&_-"
VALUES = st.lists(st.text(SIGNS, min_size=1, max_size=6), min_size=1, max_size=4).map(" ".join)
ATTRIBUTES = st.fixed_dictionaries(
    {"CN": VALUES}, optional={"OU": VALUES, "O": VALUES, "L": VALUES, "C": st.just("GB")}
)


def test_a_name_has_one_spelling() -> None:
    for text in (
        "O=Bank A, L=London, C=GB",
        "C=GB,L=London,O=Bank A",
        " o = Bank A ,l=London , c=GB ",
    ):
        assert parse(text).text == "O=Bank A, L=London, C=GB"
    with pytest.raises(BadName, match="is written O=Bank A, L=London, C=GB"):
        canonical("C=GB, L=London, O=Bank A")


def test_a_common_name_alone_is_written_plain() -> None:
    assert parse("CN=alice").text == "alice"
    assert parse("alice") == parse("CN=alice")
    with pytest.raises(BadName, match="is written alice"):
        canonical("CN=alice")


@given(ATTRIBUTES, st.randoms())
def test_every_order_spells_the_same_name(attributes: dict[str, str], chance: object) -> None:
    pairs = list(attributes.items())
    chance.shuffle(pairs)  # type: ignore[attr-defined]
    name = parse(",".join(f"{keyword}={value}" for keyword, value in pairs))
    assert dict(name.attributes) == attributes
    assert canonical(name.text) == name
    assert of_subject(name.subject) == name


@pytest.mark.parametrize(
    "text",
    [
        "", " ", " alice", "alice ", "al  ice", "a\tb", "a\nb", "alice\x00", "a" * 65, "a,b", "a;b",
        'a"b', "a\\b", "a+b", "a<b", "#a", "CN=", "=alice", "CN=a, CN=b", "XX=a", "CN=a, C=gb",
        "C=GBR, O=a", "C=GB", "L=London", "CN=a, ", "CN=a,,O=b", "a=b=c", "CN=" + "a" * 65,
        # Cyrillic a, fullwidth a, ligature fi, a combining accent, right to left, zero width,
        # Greek omicron, long s, dotless i, Roman numeral, a soft hyphen
        "аlice", "ａlice", "ﬁnance", "alicé", "‮ecila", "al​ice",
        "bοb", "boſs", "alıce", "bank Ⅰ", "ali­ce", "CN=аlice", "О=Bank",
        ",".join(f"CN={'a' * 60}" for _ in range(10)),
    ],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(BadName) as caught:
        canonical(text)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@given(st.text())
def test_no_text_is_anything_but_a_name_or_refused(text: str) -> None:
    try:
        name = canonical(text)
    except BadName:
        return
    assert text.isascii()
    assert name.text == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "Alice"), ("alice", "a1ice"), ("bank", "BANK"), ("O=Bank A", "O=Bank-A"),
        ("b0b", "bob"), ("rnary", "mary"), ("vvilliam", "william"), ("clan", "dan"),
        ("alIce", "allce"), ("O=Bank A, C=GB", "O=Bank A., C=GB"),
    ],
)  # fmt: skip
def test_what_looks_alike(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


def test_what_does_not_look_alike() -> None:
    names = ["alice", "bob", "carol", "dave", "notary", "O=Bank A", "O=Bank B", "bank1", "bank2"]
    for one, other in itertools.combinations(names, 2):
        assert skeleton(one) != skeleton(other)


def test_subtrees_begin_with_the_widest_attribute() -> None:
    name = canonical("CN=desk, O=Bank A, L=London, C=GB")
    assert name.within(subtree("C=GB"))
    assert name.within(subtree("O=Bank A, L=London, C=GB"))
    assert not name.within(subtree("O=Bank A, C=GB"))
    assert not name.within(subtree("C=US"))
    assert not subtree("C=GB").within(name)


def test_subjects_of_another_form() -> None:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bank A")
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "GB")
    assert of_subject(x509.Name([country, organisation])).text == "O=Bank A, C=GB"
    for wrong in (
        x509.Name([]),
        x509.Name([organisation, country]),
        x509.Name([country, organisation, organisation]),
        x509.Name([x509.RelativeDistinguishedName([country, organisation])]),
        x509.Name([organisation, x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b")]),
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bаnk")]),
    ):
        with pytest.raises(BadName):
            of_subject(wrong)
