"""How a loan is allotted to those who offer a part of it. Knows nothing of conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loan_flow import Accepted, Offer

from flowrt.core.flow import Party


def allot(
    wanted: int, lenders: Sequence[Party], offers: Sequence[Offer | None]
) -> Mapping[str, Accepted]:
    """The cheapest way to `wanted` units, by lender; among equals those who were asked first.

    `offers` are in the order of `lenders`. Whoever offers nothing, or nonsense, gets nothing. Empty
    if all together is not enough, or if somebody was asked twice and could be made to lend twice.
    """
    if len(set(lenders)) < len(lenders):
        return {}
    good = [
        (offer.rate, place, offer.units)
        for place, offer in enumerate(offers)
        if offer is not None and offer.units > 0 and offer.rate >= 0
    ]
    shares: dict[str, Accepted] = {}
    for rate, place, units in sorted(good):
        taken = min(units, wanted)
        if taken:
            shares[lenders[place].name] = Accepted(taken, rate)
            wanted -= taken
    return {} if wanted else shares
