"""Values come back from JSON as they went there; what a schema allows is read, and only that."""

from __future__ import annotations

import datetime
import decimal
import functools
import json
import sys
from types import ModuleType
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jsonschema_rs
import pytest

from flowrt.api.reading import NotFitting, Schemas, read
from flowrt.core.flow import Party
from flowrt.core.values import plain
from flowrt.testing.strategies import values_of
from tests.runtime.written import compiled

ZOO = '''
enum Mood:
    Glad
    Sad(why: Text, since: Timestamp)

type Tag = python "test_reading_tags:Tag":
    name: Text

record Animal:
    """One animal."""
    name: Text
    legs: Int
    weight: Decimal?
    mood: Mood
    born: Timestamp
    nap: Duration
    hide: Bytes
    keeper: Party
    tame: Bool
    tags: List[Text]
    feed: Map[Text, Decimal]
    by: Map[Int, Bool]
    parent: Animal?

record Tagged:
    tag: Tag
'''


class Tag:
    """A class of somebody's own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def to_flow(self) -> bytes:
        return self.name.encode()

    @classmethod
    def from_flow(cls, data: bytes) -> Tag:
        return cls(data.decode())


@pytest.fixture(scope="module")
def zoo() -> ModuleType:
    sys.modules["test_reading_tags"] = ModuleType("test_reading_tags")
    sys.modules["test_reading_tags"].Tag = Tag  # type: ignore[attr-defined]
    return compiled(ZOO)


@functools.cache
def validator(kind: Any) -> Any:
    schemas = Schemas()
    schema = schemas.of(kind) | {"$defs": schemas.parts}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def test_a_value_comes_back_from_its_json(zoo: ModuleType) -> None:
    fits = validator(zoo.Animal)

    @hypothesis.settings(max_examples=40, deadline=None, database=None)
    @hypothesis.given(values_of(zoo.Animal))
    def there_and_back(value: Any) -> None:
        data = json.loads(json.dumps(plain(value)))
        try:
            found = read(zoo.Animal, data, "it")
        except NotFitting:
            # Some of the language's values are beyond what the interface takes: then its schema
            # says so too.
            assert not fits.is_valid(data)
            return
        assert found == value
        assert fits.is_valid(data)

    there_and_back()


SEEDS: list[Any] = [
    "1",
    "-0",
    "1.",
    ".5",
    "1e3",
    "NaN",
    "00.10",
    "9" * 19 + "." + "9" * 19,
    "9" * 38,
    "9" * 39,
    "-" + "9" * 38,
    "0." + "1" * 38,
    "P1D",
    "P",
    "PT",
    "P1DT",
    "PT1H2M3.5S",
    "-P1D",
    "P1Y",
    "P1M",
    "PT1H3S",
    "2026-01-31T12:00:00Z",
    "2026-01-31 12:00:00Z",
    "2026-01-31t12:00:00z",
    "2026-01-31T12:00:00+23:59",
    "2026-01-31T12:00:00",
    "2026-01-31T12:00:60Z",
    "2026-02-30T12:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9998-12-31T23:59:59.999999-23:59",
    "cafe",
    "caf",
    "CAFE",
    "",
    "x\n",
    "cafe\n",
    "1\n",
    "P1D\n",
    "١",
    0,
    1,
    -1,
    1.0,
    1.5,
    1e300,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    True,
    False,
    None,
    [],
    [1],
    {},
    {"1": True},
    {"01": True},
    {"1": 1},
    {"-0": True},
    {"x": True},
    "Glad",
    "Sad",
    {"Glad": {}},
    {"Sad": {"why": "x", "since": "2026-01-31T12:00:00Z"}},
    {"Sad": {"why": "x"}},
]
KINDS: list[Any] = [
    str,
    int,
    bool,
    bytes,
    decimal.Decimal,
    Party,
    datetime.datetime,
    datetime.timedelta,
    tuple[int, ...],
    dict[int, bool],
    dict[str, bool],
    str | None,
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_the_schema_says_and_what_is_read_are_one(kind: Any) -> None:
    fits = validator(kind)
    for data in SEEDS:
        assert is_read(kind, data) == fits.is_valid(data), data


def test_of_enums_too(zoo: ModuleType) -> None:
    fits = validator(zoo.Mood)
    for data in SEEDS:
        assert is_read(zoo.Mood, data) == fits.is_valid(data), data
    assert fits.is_valid("Glad")


def is_read(kind: Any, data: Any) -> bool:
    try:
        read(kind, data, "it")
    except NotFitting:
        return False
    return True


@hypothesis.settings(max_examples=100, deadline=None, database=None)
@hypothesis.given(
    st.sampled_from(KINDS),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_whatever_is_sent_is_read_or_refused(kind: Any, data: Any) -> None:
    assert is_read(kind, data) == validator(kind).is_valid(data)


def test_classes_of_python_are_their_bytes(zoo: ModuleType) -> None:
    value = zoo.Tagged(Tag("fox"))
    assert plain(value) == {"tag": "666f78"}
    assert read(zoo.Tagged, {"tag": "666f78"}, "it") == value
    assert validator(zoo.Tagged).is_valid({"tag": "666f78"})
    for wrong in ("ff", "f", 5, None):
        with pytest.raises(NotFitting):
            read(zoo.Tagged, {"tag": wrong}, "it")


def test_what_hangs_too_deep_is_refused(zoo: ModuleType) -> None:
    data: Any = None
    for _ in range(60):
        data = {"parent": data}
    with pytest.raises(NotFitting, match=r"is missing|nested too deep"):
        read(zoo.Animal, data, "it")
