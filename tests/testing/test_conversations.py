"""Conversations as examples: they run, they can be asserted about, and what they find is small."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrt.testing import Conversation, conversations
from tests.runtime.written import compiled

ORDERS = """
message Order:
    count: Int
message Receipt:
    count: Int

service Shop:
    write take(count: Int)

flow Buyer(seller: Party, count: Int) -> Int:
    startable by rpc
    var tries = 0
    while true:
        try:
            open Seller with seller as talk
            send Order(count) to talk then receive receipt: Receipt from talk within 3s unchecked
            return receipt.count
        catch Timeout:
            tries = tries + 1

flow Seller():
    responds to Buyer as talk
    receive order: Order from talk unchecked
    Shop.take(order.count)
    send Receipt(order.count) to talk
"""

orders = compiled(ORDERS)


@settings(max_examples=500, database=None, derandomize=True)
@given(conversations(orders.Buyer_v1, orders.Seller_v1))
def test_once(run: Conversation) -> None:
    run.assert_ended()
    run.assert_effect("Shop.take", times=1)
