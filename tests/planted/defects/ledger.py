"""Defects of the ledger: what a notary enters, what a vault holds and forgets, who is believed."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "ledger"
_JUDGE = "flowrt.ledger.notary.judging:_judge"
_CHECKER = "flowrt.ledger.vault.checking:Checker"
_VAULT = "flowrt.ledger.vault.service:Vault"

DEFECTS = (
    defect(
        "notary does not look",
        _ROOM,
        "what was used up is looked for before those who came first have entered it",
        "L4",
        (_JUDGE, "users = [entries.user(name) for name in names]", "users = [None for _ in names]"),
    ),
    defect(
        "signed before it is entered",
        _ROOM,
        "the notary signs, and the book does not have it when the notary is asked again",
        "L4",
        (_JUDGE, "entries.use(names, us)", "pass"),
    ),
    defect(
        "asked twice is used twice",
        _ROOM,
        "a transaction that was accepted conflicts with itself when it is asked for once more",
        "L4, L7",
        (
            _JUDGE,
            "was_accepted = users[0] == us if users else",
            "was_accepted = False if users else",
        ),
    ),
    defect(
        "soft locks outlive",
        _ROOM,
        "what a flow has reserved stays reserved when it has ended",
        "L6",
        (f"{_VAULT}.flow_ended", "locks.release(tx, flow_id)", "pass"),
    ),
    defect(
        "told before it is recorded",
        _ROOM,
        "a sealed transaction is given on and told, and not recorded",
        "L8, L7",
        (f"{_VAULT}.finalise", "self._record(tx, transaction, OURS)", "pass"),
    ),
    defect(
        "in flight is no lock",
        _ROOM,
        "a state in a transaction that waits for its notary may be spent by another flow",
        "L11",
        (
            "flowrt.ledger.vault.selection:Spender.spend",
            "locks.pick(tx, [coin.row for coin in taken])",
            "pass",
        ),
        (
            f"{_VAULT}.record_in_flight",
            "locks.await_notary(tx, [found.row for _, found in inputs], number)",
            "pass",
        ),
    ),
    defect(
        "contracts are not asked",
        _ROOM,
        "what a transaction makes is not compared with what it uses up",
        "L3",
        ("flowrt.ledger.verifying:verify", "rules.judge(name, found)", "pass"),
    ),
    defect(
        "signatures are not asked for",
        _ROOM,
        "a transaction counts that those have not signed who must",
        "L2",
        (
            f"{_CHECKER}.check_signatures",
            'raise core.SignaturesMissing(", ".join(error.missing), transaction.id) from error',
            "pass",
        ),
    ),
    defect(
        "any signature is good",
        _ROOM,
        "a transaction counts under signatures that are others' or of something else",
        "L2",
        (
            f"{_CHECKER}.check_signatures",
            "self.check_signature(transaction.id, signature)",
            "pass",
        ),
    ),
    defect(
        "any claim is believed",
        _ROOM,
        "whoever claims a pseudonym has it, without its signature",
        "L10",
        ("flowrt.ledger.identity.directory:Network._objection", "claim.check()", "pass"),
    ),
    defect(
        "more than was offered",
        _ROOM,
        "who resolves a transaction is given any other, too",
        "L12",
        (
            "flowrt.ledger.backchain:Backchain.supply",
            "raise IllegalRequest(id[:HASH_BYTES])",
            "pass",
        ),
    ),
)
