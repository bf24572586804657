"""What can be wrong with keys, transactions and signatures, as Python exceptions.

They know nothing of flows: the services of a node turn them into the errors that flows declare.
"""

from __future__ import annotations


class LedgerError(Exception):
    """Base of what the ledger refuses. The text says what is wrong, for people."""


class BadKey(LedgerError):
    """Bytes that are no public key, or a key that nobody may use."""


class BadSignature(LedgerError):
    """A signature that its key did not make over this content."""


class Unreadable(LedgerError):
    """Bytes that are no transaction, proof or state in canonical form, or exceed a limit."""


class BadProof(LedgerError):
    """A proof does not lead to the id that it claims, or leaves out what it must show."""


class SignaturesMissing(LedgerError):
    """Keys that must sign have not. `missing` has them as texts for people, in order."""

    def __init__(self, missing: tuple[str, ...], transaction: str) -> None:
        super().__init__(f"{transaction} lacks the signatures of {', '.join(missing)}")
        self.missing = missing
        self.transaction = transaction


class BadStructure(LedgerError):
    """A transaction whose parts do not fit each other, whatever contracts say."""


class UnknownSchema(LedgerError):
    """A state, command or contract of a name or version that is not installed here."""


class ContractRejected(LedgerError):
    """A contract does not accept a transaction: which one, and why."""

    def __init__(self, contract: str, why: str) -> None:
        super().__init__(f"{contract}: {why}")
        self.contract = contract
        self.why = why
