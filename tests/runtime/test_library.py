"""What values can be asked: at the borders, where random programs seldom come."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest

from flowrt.core import library as lib
from flowrt.core.flow import Fault, InvariantBroken

D = decimal.Decimal
SECOND = datetime.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("value", "places", "grouped", "expected"),
    [
        (D("2.5"), 0, False, "2"),
        (D("3.5"), 0, False, "4"),
        (D("-0.001"), 2, False, "0.00"),
        (D("1234567.5"), 2, True, "1,234,567.50"),
        (D("-1234.5"), None, True, "-1,234.5"),
        (D("1E+5"), None, True, "100,000"),
        (-(2**63), None, True, "-9,223,372,036,854,775,808"),
        (D("9" * 38), 37, False, "9" * 38 + "." + "0" * 37),
        (999, None, True, "999"),
    ],
)
def test_numbers_are_shown(value: Any, places: int | None, grouped: bool, expected: str) -> None:
    assert lib.number_shown(value, places, grouped) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0), ("-7", -7), ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)), ("9223372036854775808", None), ("-0", None),
        ("007", None), ("1_000", None), ("+1", None), (" 1", None), ("1\n", None), ("", None),
        ("１", None), ("1.0", None), ("9" * 5000, None),
    ],
)  # fmt: skip
def test_a_text_is_an_int_or_is_none(text: str, expected: int | None) -> None:
    assert lib.int_of_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.50", D("1.5")), ("-0", D(0)), ("0.1", D("0.1")), ("9" * 38, D("9" * 38)),
        ("9" * 39, None), ("1" + "0" * 38, None), ("0." + "0" * 38 + "1", None), ("1e5", None),
        ("NaN", None), ("Infinity", None), (".5", None), ("1.", None), ("1,5", None),
        ("1" * 90, None),
    ],
)  # fmt: skip
def test_a_text_is_a_decimal_or_is_none(text: str, expected: decimal.Decimal | None) -> None:
    found = lib.decimal_of_text(text)
    assert found == expected
    assert str(found) == str(expected)


def test_a_decimal_is_an_int_only_where_it_is_the_same() -> None:
    assert lib.int_of_decimal(D("5.0")) == 5
    assert lib.int_of_decimal(D("-5.1")) is None
    assert lib.int_of_decimal(D(2**63)) is None
    assert lib.int_of_decimal(D(-(2**63))) == -(2**63)


def test_rounding_says_how_and_fits() -> None:
    assert lib.rounded(D("1.255"), 2, "HALF_EVEN") == D("1.26")
    assert lib.rounded(D("-1.255"), 2, "CEILING") == D("-1.25")
    assert str(lib.rounded(D("-0.4"), 0, "HALF_UP")) == "0"
    with pytest.raises(Fault):
        lib.rounded(D(1), 38, "UP")
    with pytest.raises(Fault):
        lib.rounded(D("1.5"), -1, "UP")


def test_parts_of_lists_and_texts_are_as_far_as_there_are_any() -> None:
    assert lib.list_slice((1, 2, 3), -5, 2) == (1, 2)
    assert lib.list_slice((1, 2, 3), 2, 1) == ()
    assert lib.list_slice((1, 2, 3), 1, 2**62) == (2, 3)
    assert lib.text_slice("abc", -1, 1) == "a"
    assert lib.list_first(()) is None
    assert lib.list_max(()) is None


def test_sums_are_checked_only_at_their_end() -> None:
    assert lib.list_sum_int((2**63 - 1, 1, -1)) == 2**63 - 1
    with pytest.raises(Fault):
        lib.list_sum_int((2**63 - 1, 1))
    with pytest.raises(Fault):
        lib.list_sum_duration((datetime.timedelta.max, SECOND))
    with pytest.raises(Fault):
        lib.abs_int(-(2**63))


def test_nothing_grows_without_end() -> None:
    long = "a" * lib.MAX_SIZE
    with pytest.raises(Fault):
        lib.text_replace(long, "a", "bb")
    with pytest.raises(Fault):
        lib.text_split(long, "a")
    with pytest.raises(Fault):
        lib.list_join((long, "b"), "")
    with pytest.raises(Fault):
        lib.text_replace("a", "", "b")
    with pytest.raises(Fault):
        lib.text_split("a", "")


@pytest.mark.parametrize(
    ("seconds", "style", "expected"),
    [
        (178205, "clock", "49:30:05"), (-90.5, "clock", "-0:01:30"), (-0.5, "clock", "0:00:00"),
        (90, "m", "2"), (150, "m", "2"), (30, "m", "0"), (-90, "m", "-2"), (0.0005, "ms", "0"),
        (129600, "d", "2"), (1.5, "s", "2"), (5400, "h", "2"),
    ],
)  # fmt: skip
def test_durations_are_shown(seconds: float, style: str, expected: str) -> None:
    assert lib.duration_shown(datetime.timedelta(seconds=seconds), style) == expected


def test_timestamps_are_shown_in_utc() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-5))
    when = datetime.datetime(2026, 1, 31, 23, 30, 5, 250_000, tzinfo=zone)
    assert lib.timestamp_shown(when, "date") == "2026-02-01"
    assert lib.timestamp_shown(when, "time") == "04:30:05"
    assert lib.timestamp_shown(when, "minute") == "2026-02-01 04:30"
    assert lib.timestamp_weekday(when) == 7


def test_a_width_is_the_least() -> None:
    assert lib.padded("abc", 2, "<", " ") == "abc"
    assert lib.padded("ab", 5, "^", " ") == " ab  "
    assert lib.padded("-5", 5, ">", "0") == "-0005"


def test_a_wrong_case_is_our_mistake() -> None:
    assert lib.cased(int, 5) == 5
    with pytest.raises(InvariantBroken):
        lib.cased(int, "5")
