"""The worked values of docs/wire-format.md, made from fixed secrets by the ledger itself."""

from __future__ import annotations

import datetime
from typing import Any

from flowrt.core.flow import Party
from flowrt.core.values import encode
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.filtered import for_notary
from flowrt.ledger.keys import ECDSA_P256, ED25519, SigningKey, composite
from flowrt.ledger.transactions import (
    GROUPS,
    Output,
    SignedTransaction,
    StateAndRef,
    nonce,
    sign,
    sign_all,
)
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, StateRef
from tests.ledger.notes import Move, Note

SECRETS = {"notary": (ED25519, b"n" * 32), "seller": (ED25519, b"s" * 32)}
SECRETS["buyer"] = (ECDSA_P256, b"b" * 32)
AT = datetime.datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=datetime.UTC)


def vectors() -> dict[str, Any]:
    keys = {name: SigningKey(*secret) for name, secret in SECRETS.items()}
    seller, buyer = keys["seller"].public, keys["buyer"].public
    notary = Identity(Party("O=Notary, L=Zürich, C=CH"), keys["notary"].public)
    both = composite([(1, seller), (2, buyer)], 2)
    note = Note(seller, seller, Amount(120_000, "EUR"), "paper")
    given = Output("notes.Note", 2, encode(note), "notes.Note_v1", notary)
    sold = StateAndRef(StateRef(bytes(range(32)), 7), given)
    builder = TransactionBuilder().use(sold).make(Note(seller, both, note.amount, "paper"))
    builder.command(Move(), seller, buyer).around(AT, datetime.timedelta(seconds=30))
    built = builder.build(b"salt" * 8)
    batch = sign_all([bytes(32), built.id, b"\xff" * 32], keys["notary"])
    signatures = [sign(built.id, keys["seller"]), sign(built.id, keys["buyer"]), batch[1]]
    return {
        "keys": {
            name: {"scheme": scheme, "secret": secret.hex(), "key": keys[name].public.encoded.hex()}
            for name, (scheme, secret) in SECRETS.items()
        },
        "composite": {
            "threshold": 2,
            "weights": {"seller": 1, "buyer": 2},
            "key": both.encoded.hex(),
        },
        "transaction": {
            "salt": built.salt.hex(),
            "components": {
                str(group): [data.hex() for data in components]
                for group, components in built.groups.items()
            },
            "nonce of the output": nonce(built.salt, 1, 0).hex(),
            "groups": [built.group_leaf(group).hex() for group in range(GROUPS)],
            "id": built.id.hex(),
            "encoded": built.encoded.hex(),
        },
        "signatures": {
            name: signature.data.hex()
            for name, signature in zip(("seller", "buyer", "notary"), signatures, strict=True)
        },
        "batch": {
            "ids": [bytes(32).hex(), built.id.hex(), (b"\xff" * 32).hex()],
            "index": 1,
            "hashes": [one.hex() for one in batch[1].batch.hashes],
        },
        "signed": SignedTransaction(built, signatures).to_flow().hex(),
        "filtered": for_notary(built).to_flow().hex(),
    }
