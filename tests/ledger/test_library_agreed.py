from __future__ import annotations
from tests.ledger.market import *

def test_agree():
    with Market("alice", "bob", "carol") as market:
        id = market.do("alice", "Agree", others=(BOB, CAROL), words="tea")
        assert market.has(id) == {"alice", "bob", "carol"}
        market.nothing_is_left()
