"""Amounts are exact, of one currency, within 64 bits, and written in one way."""

from __future__ import annotations

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.finance.currencies import (
    DECIMALS,
    NoAmount,
    decimals_of,
    in_currency,
    parse,
    read,
    shown,
)
from flowrt.ledger.amounts import BadAmount, minus, plus, total
from flowrt.stdlib.ledger.parts_flow import Amount

units = st.integers(-(2**63) + 1, 2**63 - 1)


@given(units, st.sampled_from(sorted(DECIMALS)))
def test_what_is_shown_is_read_again(count: int, currency: str) -> None:
    text = shown(Amount(count, currency))
    if count < 0:
        assert read(text) is None
    else:
        assert parse(text) == Amount(count, currency)
    assert decimal.Decimal(text.split()[0]) == in_currency(Amount(count, currency))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1000.00 EUR", Amount(100_000, "EUR")),
        ("1,000 EUR", Amount(100_000, "EUR")),
        ("0.5 EUR", Amount(50, "EUR")),
        ("5 JPY", Amount(5, "JPY")),
        ("1.234 KWD", Amount(1234, "KWD")),
        ("0.0001 CLF", Amount(1, "CLF")),
        ("92233720368547758.07 USD", Amount(2**63 - 1, "USD")),
    ],
)
def test_texts_that_are_amounts(text: str, amount: Amount) -> None:
    assert read(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "EUR",
        "5",
        "5EUR",
        "5  EUR",
        " 5 EUR",
        "5 EUR\n",
        "5 eur",
        "5 XYZ",
        "5 XAU",
        "-5 EUR",
        "+5 EUR",
        "1e3 EUR",
        "1.234 EUR",
        "5. EUR",
        ".5 EUR",
        "1.0 JPY",
        "10,00 EUR",
        "1,0000 EUR",
        "٥ EUR",
        "92233720368547758.08 USD",
        "9" * 40 + " USD",
    ],
)
def test_texts_that_are_none(text: str) -> None:
    assert read(text) is None
    with pytest.raises(NoAmount):
        parse(text)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(NoAmount, match=r"^EUR has 2 decimal places, not 3$"):
        parse("1.234 EUR")
    with pytest.raises(NoAmount, match=r"^'XYZ' is no currency of ISO 4217 that has a minor unit$"):
        parse("1 XYZ")
    with pytest.raises(NoAmount, match=r"^'a lot' is no amount: write it like '1000.00 EUR'$"):
        parse("a lot")


def test_the_table_of_currencies() -> None:
    assert (len(DECIMALS), decimals_of("EUR"), decimals_of("JPY"), decimals_of("KWD")) == (
        165,
        2,
        0,
        3,
    )
    assert all(len(code) == 3 and code.isupper() for code in DECIMALS)
    assert shown(Amount(-5, "EUR")) == "-0.05 EUR"
    assert shown(Amount(7, "BOLT")) == "7 units of BOLT"
    assert in_currency(Amount(7, "BOLT")) == 7


@given(st.lists(units, max_size=4))
def test_sums_are_exact_or_refused(counts: list[int]) -> None:
    amounts = [Amount(count, "EUR") for count in counts]
    if abs(sum(counts)) < 2**63:
        assert total(amounts, "EUR") == Amount(sum(counts), "EUR")
    else:
        with pytest.raises(BadAmount, match="no amount has"):
            total(amounts, "EUR")


def test_amounts_of_two_currencies_do_not_mix() -> None:
    one, other = Amount(5, "EUR"), Amount(3, "USD")
    for act in (plus, minus):
        with pytest.raises(BadAmount, match="USD cannot be added to EUR"):
            act(one, other)
    assert minus(one, Amount(7, "EUR")) == Amount(-2, "EUR")
    assert total([], "EUR") == Amount(0, "EUR")
