"""Names of parties, one spelling each, and when two of them look alike. Knows no key.

A party is known by the subject of its certificate, an X.500 name. Its canonical text is the name of
its `Party`: the attributes in the order CN, OU, O, L, ST, C, as in `O=Bank A, L=London, C=GB`. A
subject that is a common name alone is written without `CN=`: `alice`. Names are ASCII, so that no
letter of another script can pass for one of ours (UTS 39); and two names of one network must not
look alike either, as `skeleton` tells.
"""

from __future__ import annotations

import functools
import re
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from flowrt.ledger.problems import LedgerError

MAX_BYTES: Final = 256
"""The longest canonical text of a name. One character is one byte."""

_ATTRIBUTES: Final = {
    # keyword: (object identifier, most characters), as X.520 bounds them, in the order of the text
    "CN": (NameOID.COMMON_NAME, 64),
    "OU": (NameOID.ORGANIZATIONAL_UNIT_NAME, 64),
    "O": (NameOID.ORGANIZATION_NAME, 64),
    "L": (NameOID.LOCALITY_NAME, 64),
    "ST": (NameOID.STATE_OR_PROVINCE_NAME, 64),
    "C": (NameOID.COUNTRY_NAME, 2),
}
_ORDER = {keyword: place for place, keyword in enumerate(_ATTRIBUTES)}
_KEYWORDS = {oid: keyword for keyword, (oid, _) in _ATTRIBUTES.items()}

# What X.500's PrintableString has, without what separates attributes, and with `_` and `&`.
_VALUE = re.compile(r"[A-Za-z0-9'()./:?&_-](?: ?[A-Za-z0-9'()./:?&_-])*")
_COUNTRY = re.compile(r"[A-Z]{2}")


_MIXED_UP = str.maketrans("01i", "oll")


class BadName(LedgerError):
    """A text or subject that is no name of a party, or not in its one spelling."""


class Name(NamedTuple):
    """A subject: its attributes as (keyword, value), in the order of the text."""

    attributes: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The canonical text: the name of the party."""
        if len(self.attributes) == 1 and self.attributes[0][0] == "CN":
            return self.attributes[0][1]
        return ", ".join(f"{keyword}={value}" for keyword, value in self.attributes)

    @property
    def subject(self) -> x509.Name:
        """The same for certificates: the widest attribute first, as DER has it."""
        return x509.Name(
            x509.NameAttribute(_ATTRIBUTES[keyword][0], value)
            for keyword, value in reversed(self.attributes)
        )

    def within(self, subtree: Name) -> bool:
        """Whether it lies in a subtree of names (RFC 5280, 4.2.1.10): begins, from the widest
        attribute on, with all of the subtree's."""
        count = len(subtree.attributes)
        return self.attributes[::-1][:count] == subtree.attributes[::-1]


def parse(text: str) -> Name:
    """The name that a text spells, in any order of attributes and with any spaces around them.
    Raises BadName."""
    if not isinstance(text, str) or not 0 < len(text) <= 2 * MAX_BYTES:
        raise BadName(f"a name has 1 to {MAX_BYTES} characters")
    if "=" not in text:
        return _made([("CN", text)])
    pairs = []
    for part in text.split(","):
        keyword, equals, value = part.partition("=")
        if not equals:
            raise BadName(f"{_shown(text)}: {_shown(part)} is no attribute such as O=Bank A")
        pairs.append((keyword.strip(" ").upper(), value.strip(" ")))
    return _made(pairs)


@functools.lru_cache(maxsize=4096)
def canonical(text: str) -> Name:
    """The name whose canonical text this is. Raises BadName for another spelling of a name too."""
    found = parse(text)
    if found.text != text:
        raise BadName(f"{_shown(text)} is written {found.text}")
    return found


def subtree(text: str) -> Name:
    """A subtree of names, such as `C=GB`: all names that have these attributes and narrower ones.
    Raises BadName."""
    pairs = [part.partition("=") for part in text.split(",")]
    return _made([(keyword.strip(" "), value) for keyword, _, value in pairs], somebody=False)


def of_subject(subject: x509.Name, *, somebody: bool = True) -> Name:
    """The name in a certificate; of a subtree, if it need not be somebody's. Raises BadName unless
    its attributes stand in the one order, each alone, and are known here."""
    pairs = []
    for rdn in subject.rdns:
        attributes = list(rdn)
        if len(attributes) != 1 or attributes[0].oid not in _KEYWORDS:
            raise BadName("a subject has CN, OU, O, L, ST, C, each once and alone")
        value = attributes[0].value
        if not isinstance(value, str):
            raise BadName("an attribute of a subject that is no text")
        pairs.append((_KEYWORDS[attributes[0].oid], value))
    found = _made(pairs, somebody)
    if list(found.attributes) != pairs[::-1]:
        raise BadName("the attributes of a subject stand from the widest to the narrowest")
    return found


def skeleton(text: str) -> str:
    """What remains of a name when everything that people mix up is taken away: two names of one
    skeleton look alike. The confusable pairs are those of ASCII in UTS 39, and case and signs."""
    folded = re.sub(r"[^a-z0-9]+", "-", text.lower())
    folded = folded.translate(_MIXED_UP)
    return folded.replace("rn", "m").replace("vv", "w").replace("cl", "d")


def _made(pairs: list[tuple[str, str]], somebody: bool = True) -> Name:
    seen = set()
    for keyword, value in pairs:
        known = _ATTRIBUTES.get(keyword)
        if known is None:
            raise BadName(f"{_shown(keyword)} is no attribute of a name: they are CN OU O L ST C")
        if keyword in seen:
            raise BadName(f"a name has one {keyword} at most")
        seen.add(keyword)
        if len(value) > known[1]:
            raise BadName(f"{keyword} has at most {known[1]} characters")
        if not (_COUNTRY if keyword == "C" else _VALUE).fullmatch(value):
            raise BadName(f"{keyword}={_shown(value)}: {_rule(keyword)}")
    if somebody and not seen & {"CN", "OU", "O"}:
        raise BadName("a name says who it is: it has a CN, OU or O")
    found = Name(tuple(sorted(pairs, key=lambda pair: _ORDER[pair[0]])))
    if len(found.text) > MAX_BYTES:
        raise BadName(f"a name has at most {MAX_BYTES} characters")
    return found


def _rule(keyword: str) -> str:
    if keyword == "C":
        return "a country is two capital letters (ISO 3166)"
    return "letters and digits of ASCII, '()./:?&_- and single spaces between them"


def _shown(text: str) -> str:
    """A text that somebody sent, as people may see it."""
    return ascii(text[:60])
