"""Arithmetic, texts and errors as generated code gets them."""

from __future__ import annotations

import datetime
import decimal
import fractions
import typing
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowrt.core import flow as rt
from flowrt.core.flow import Fault
from tests.runtime import hand_flow as hand

ints = st.integers(rt.INT_MIN, rt.INT_MAX)
decimals = st.builds(
    lambda whole, places: Decimal(whole).scaleb(-places),
    st.integers(-(10**19), 10**19),
    st.integers(0, 19),
)


# --- Int -----------------------------------------------------------------------------------------


@given(ints, ints)
def test_whole_numbers_are_exact_or_a_fault(left: int, right: int) -> None:
    for value in (left + right, left * right):
        if rt.INT_MIN <= value <= rt.INT_MAX:
            assert rt.checked(value) == value
        else:
            with pytest.raises(Fault, match="64-bit"):
                rt.checked(value)


@given(ints, ints.filter(bool))
def test_division_rounds_down_and_its_rest_has_the_divisors_sign(left: int, right: int) -> None:
    if (left, right) == (rt.INT_MIN, -1):
        with pytest.raises(Fault):
            rt.floor_div(left, right)
        return
    whole, rest = rt.floor_div(left, right), rt.modulo(left, right)
    assert whole * right + rest == left
    assert whole == fractions.Fraction(left, right).__floor__()
    assert rest == 0 or (rest < 0) == (right < 0)


@pytest.mark.parametrize("divide", [rt.floor_div, rt.modulo])
def test_division_by_zero_is_a_fault(divide: Any) -> None:
    with pytest.raises(Fault, match="division by zero"):
        divide(1, 0)


# --- Decimal -------------------------------------------------------------------------------------


@example(Decimal(10) ** 19, Decimal(10) ** 19)
@given(decimals, decimals)
def test_decimals_are_exact_or_a_fault(left: Decimal, right: Decimal) -> None:
    exact = fractions.Fraction(left), fractions.Fraction(right)
    for mine, theirs in (
        (rt.decimal_add, exact[0] + exact[1]),
        (rt.decimal_subtract, exact[0] - exact[1]),
        (rt.decimal_multiply, exact[0] * exact[1]),
    ):
        try:
            found = mine(left, right)
        except Fault:
            # Zeros after the point are not written; those of a whole number are.
            written = str(abs(theirs.numerator * 10**80 // theirs.denominator))
            zeros = min(len(written) - len(written.rstrip("0")), 80)
            assert len(written) - zeros > rt.DECIMAL_DIGITS
        else:
            assert fractions.Fraction(found) == theirs
            assert str(found) == str(rt.normal(found)), "one way to write it"


@given(decimals, decimals.filter(bool), st.integers(0, 12), st.sampled_from(list(rt.ROUNDINGS)))
def test_division_rounds_once_as_it_is_told(
    left: Decimal, right: Decimal, places: int, rounding: str
) -> None:
    wide = decimal.Context(prec=200, rounding=rt.ROUNDINGS[rounding])
    exact = fractions.Fraction(left) / fractions.Fraction(right)
    scaled = exact * 10**places
    below = scaled.__floor__()
    try:
        found = rt.divide(left, right, places, rounding)
    except Fault:
        assert abs(scaled) >= 10 ** (rt.DECIMAL_DIGITS - 1)
        return
    assert fractions.Fraction(found) * 10**places in (below, below + 1)
    expected = wide.divide(left, right).quantize(Decimal(1).scaleb(-places), context=wide)
    assert found == expected


def test_division_refuses_what_has_no_meaning() -> None:
    with pytest.raises(Fault, match="division by zero"):
        rt.divide(Decimal(1), Decimal(0), 2, "HALF_EVEN")
    for places in (-1, rt.DECIMAL_DIGITS):
        with pytest.raises(Fault, match="decimal places"):
            rt.divide(Decimal(1), Decimal(3), places, "HALF_EVEN")


@pytest.mark.parametrize(
    ("value", "written"),
    [("1.50", "1.5"), ("-0.00", "0"), ("1E+3", "1000"), ("100", "100"), ("0.10", "0.1")],
)
def test_a_decimal_has_one_way_to_be_written(value: str, written: str) -> None:
    assert str(rt.normal(Decimal(value))) == written
    assert rt.written(Decimal(value)) == written


def test_what_is_not_a_number_is_refused() -> None:
    rt.finite(None, Decimal("1.5"), Decimal(10) ** 38)
    for wrong in ("NaN", "sNaN", "Infinity", "9" * 39, "1E+39", "1E-39"):
        with pytest.raises(ValueError, match="Decimal"):
            rt.finite(Decimal(wrong))
    for other in (1, 1.5, "1"):
        with pytest.raises(TypeError, match="but Decimal is wanted"):
            rt.finite(other)  # type: ignore[arg-type]


# --- everything else -----------------------------------------------------------------------------


def test_lists_and_maps_say_what_they_do_not_have() -> None:
    assert rt.item((1, 2, 3), 2) == 3
    for index in (-1, 3, 10**9):
        with pytest.raises(Fault, match=f"index {index} is outside a list of 3"):
            rt.item((1, 2, 3), index)
    assert rt.entry({"a": 1}, "a") == 1
    with pytest.raises(Fault, match="no such key"):
        rt.entry({"a": 1}, "b")
    assert rt.frozen(n for n in range(3)) == (0, 1, 2)


def test_times_stay_in_the_calendar() -> None:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    day = datetime.timedelta(days=1)
    assert rt.shifted(lambda: moment + day).day == 2
    with pytest.raises(Fault, match="out of range"):
        rt.shifted(lambda: moment + datetime.timedelta(days=10**7))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (False, "false"),
        (None, "none"),
        (7, "7"),
        ("x", "x"),
        (b"\xca\xfe", "0xcafe"),
        (Decimal("1E+2"), "100"),
        (rt.Party("bob"), "bob"),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2026-01-02T03:04:05Z"),
        (datetime.timedelta(0), "0s"),
        (datetime.timedelta(days=2, hours=3, milliseconds=4), "2d3h4ms"),
        (-datetime.timedelta(minutes=90), "-1h30m"),
        (datetime.timedelta(microseconds=1), "0s"),
    ],
)
def test_values_in_texts(value: object, written: str) -> None:
    assert rt.written(value) == written
    assert rt.text("<", value, ">") == f"<{written}>"


def test_an_error_knows_its_fields_and_its_text() -> None:
    error = hand.TooMuch(3, 4)
    assert error.fields() == hand.TooMuch.Fields(3, 4)
    assert (str(error), error.error_id, error.peer) == ("4 is over 3", "", None)
    built_in = rt.SessionEnded()
    assert str(built_in) == "the counterparty ended the session"
    assert str(rt.SessionRejected("why")) == "why"
    assert all(kind.wire == name for name, kind in rt.BUILTIN_ERRORS.items())


def test_a_flow_that_was_not_generated_has_no_steps() -> None:
    with pytest.raises(rt.InvariantBroken, match="Flow has no steps"):
        rt.Flow.step(None, None)  # type: ignore[arg-type]
    with pytest.raises(rt.InvariantBroken, match="so it is"):
        rt.invariant(False, "so it is")
    rt.invariant(True, "")


def test_names_of_keys_are_readable() -> None:
    assert repr(hand.JOURNAL) == "ServiceKey('hand.Journal')"


class Lot(rt.Value, frozen=True, array_like=True, gc=False):
    name: str
    counts: tuple[rt.Int, ...]
    price: Decimal

    def __post_init__(self) -> None:
        rt.finite(self.price)


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        (rt.Int, 3, 3),
        (None, None, None),
        (str | None, None, None),
        (Decimal | None, None, None),
        (tuple[Decimal, ...] | None, [Decimal(1)], (Decimal(1),)),
        (Decimal, Decimal("1.50"), Decimal("1.50")),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (tuple[str, ...], (), ()),
        (typing.Mapping[rt.Int, str], {2: "b", 1: "a"}, {1: "a", 2: "b"}),
        (rt.Party, rt.Party("bob"), rt.Party("bob")),
        (Lot, Lot("x", [1, 2], Decimal(3)), Lot("x", (1, 2), Decimal(3))),
        (rt.Timestamp, *[datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)] * 2),
        (datetime.timedelta, *[datetime.timedelta(days=2, microseconds=3)] * 2),
    ],
)
def test_what_pythons_functions_return_is_what_a_reload_will_give(
    kind: Any, value: Any, becomes: Any
) -> None:
    again = rt.typed("shop:total", kind, value)
    assert again == becomes
    assert type(again) is type(becomes)
    if isinstance(value, list | dict):
        value.clear()
        assert again == becomes, "what the author's code does with it later is its own affair"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (rt.Int, "3"),
        (rt.Int, True),
        (rt.Int, 3.0),
        (rt.Int, 2**63),
        (rt.Int, 2**70),
        (rt.Int, None),
        (None, 0),
        (str, b"x"),
        (str, "\ud800"),
        (bytes, 7),
        (Decimal, 1),
        (Decimal, 1.5),
        (Decimal, "1.5"),
        (Decimal, Decimal("NaN")),
        (Decimal | None, 1.5),
        (tuple[Decimal, ...], [Decimal(1), 1.5]),
        (typing.Mapping[str, tuple[Decimal, ...]] | None, {"a": (), "b": [Decimal("NaN")]}),
        (tuple[str, ...], ["a", 1]),
        (Lot, ("x", 1)),
        (Lot, Lot(7, (), Decimal(1))),  # type: ignore[arg-type]
        (rt.Party, "bob"),
        (rt.Timestamp, datetime.datetime(2026, 1, 1)),
        (str, object()),
    ],
)
def test_what_pythons_functions_may_not_return(kind: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"shop:total did not return what the \.flow file declares"):
        rt.typed("shop:total", kind, value)
