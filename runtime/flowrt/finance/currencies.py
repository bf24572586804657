"""Amounts as people write them: `1000.00 EUR`. Knows the minor units of currencies, and no ledger.

The table is ISO 4217 as its maintenance agency published it on 2026-01-01: active codes that have a
minor unit. Contracts never ask it, for a list that changes must not change what was agreed.
"""

from __future__ import annotations

import decimal
import re
from typing import Final

from flowrt.core.flow import INT_MAX
from flowrt.ledger.problems import LedgerError
from flowrt.stdlib.ledger.parts_flow import Amount

_BY_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
        CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
        GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
        LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
        PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
        SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW
        ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

DECIMALS: Final = {
    code: decimals for decimals, codes in _BY_DECIMALS.items() for code in codes.split()
}
"""How many decimal places each currency has."""

# No sign, no exponent, no spaces inside: one way to write an amount is one less to be cheated by.
_WRITTEN = re.compile(r"([0-9]{1,19}|[0-9]{1,3}(?:,[0-9]{3}){1,6})(?:\.([0-9]{1,4}))? ([A-Z]{3})")


_EXACT = decimal.Context(prec=38)


class NoAmount(LedgerError):
    """A text that is no amount of a known currency."""


def decimals_of(currency: str) -> int:
    """How many decimal places the currency has. Raises NoAmount for one that is not in ISO 4217."""
    found = DECIMALS.get(currency)
    if found is None:
        raise NoAmount(f"{currency[:20]!r} is no currency of ISO 4217 that has a minor unit")
    return found


def parse(text: str) -> Amount:
    """The amount that a text like `1000.00 EUR`, `1,000 EUR` or `5 JPY` is exactly.

    Raises:
        NoAmount: another text, an unknown currency, more decimal places than it has, or too much.
    """
    # Every digit is ASCII, so a text of another script is none.
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise NoAmount(f"{text[:40]!r} is no amount: write it like '1000.00 EUR'")
    whole, part, currency = found[1].replace(",", ""), found[2] or "", found[3]
    decimals = decimals_of(currency)
    if len(part) > decimals:
        raise NoAmount(f"{currency} has {decimals} decimal places, not {len(part)}")
    units = int(whole + part.ljust(decimals, "0"))
    if units > INT_MAX:
        raise NoAmount(f"{text[:40]} is more than an amount can be")
    return Amount(units, currency)


def shown(amount: Amount) -> str:
    """The amount for people, with all its decimal places: `1000.00 EUR`. Of a currency that is not
    known, its units: `5 units of BOLT`."""
    decimals = DECIMALS.get(amount.currency)
    if decimals is None:
        return f"{amount.units} units of {amount.currency}"
    sign, digits = "-" if amount.units < 0 else "", str(abs(amount.units)).rjust(decimals + 1, "0")
    cut = len(digits) - decimals
    written = f"{digits[:cut]}.{digits[cut:]}" if decimals else digits
    return f"{sign}{written} {amount.currency}"


# --- for flows --------------------------------------------------------------------------------


def read(text: str) -> Amount | None:
    """The amount that a text is, or None: see `parse`."""
    try:
        return parse(text)
    except NoAmount:
        return None


def in_currency(amount: Amount) -> decimal.Decimal:
    """How much it is in the currency itself: 10.50 of 1050 cents; of a currency that is not known,
    its units."""
    return decimal.Decimal(amount.units).scaleb(-DECIMALS.get(amount.currency, 0), _EXACT)
