"""What can be wrong with keys, transactions and signatures, as Python exceptions.

They know nothing of flows: the services of a node turn them into the errors that flows declare.
"""

from __future__ import annotations

MAX_TEXT = 500
"""How long a text is at most: some of it may be a peer's."""


_NAMED = 8
"""How many missing keys a text names."""


def readable(text: str) -> str:
    """`text` on one line and of bounded length: what is not printable is written out, so that names
    which others chose cannot pass for the log's own lines."""
    shown = text[: MAX_TEXT + 1]
    if not shown.isprintable():
        shown = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown
        )
    return shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 1] + "…"


class LedgerError(Exception):
    """Base of what the ledger refuses. The text says what is wrong, for people."""

    def __init__(self, text: str = "") -> None:
        super().__init__(readable(text))


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
        named = ", ".join(missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        super().__init__(f"{transaction} lacks the signatures of {named}{more}")
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
        self.why = readable(why)
