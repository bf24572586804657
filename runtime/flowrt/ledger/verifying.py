"""Whether a transaction may be believed: its structure, and what the contracts say. Asks no clock.

Signatures are checked by `SignedTransaction.check_signatures`; that inputs are unspent and that the
time is right only the notary can say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from flowrt.ledger.problems import BadStructure
from flowrt.ledger.states import Rulebook, State
from flowrt.ledger.transactions import (
    COMMANDS,
    NOTARY,
    PARAMETERS,
    SIGNERS,
    WINDOW,
    LedgerTransaction,
    Output,
    SignedCommand,
    Transaction,
)
from flowrt.stdlib.ledger.parts_flow import StateRef

Lookup = Callable[[StateRef], Output]
"""Gives the output that a reference names. Raises LedgerError where it is not known."""


def check_structure(transaction: Transaction) -> None:
    """That the parts fit each other. Raises BadStructure, with the first that do not."""
    inputs, references = transaction.inputs, transaction.references
    _require(bool(inputs or transaction.outputs), "a transaction has an input or an output")
    _require(bool(transaction.commands), "a transaction has a command")
    for group, what in ((NOTARY, "notary"), (WINDOW, "time window"), (PARAMETERS, "parameters")):
        _require(len(transaction.groups.get(group, ())) <= 1, f"more than one {what}")
    _require(
        len(transaction.groups.get(COMMANDS, ())) == len(transaction.groups.get(SIGNERS, ())),
        "each command has its signers",
    )
    _require(all(transaction.signers), "each command has a signer")
    _require(
        all(list(keys) == sorted(set(keys)) for keys in transaction.signers),
        "the signers of a command stand once each, in rising order",
    )
    _require(
        transaction.notary is not None or not transaction.needs_notary,
        "inputs, references and a time window need a notary",
    )
    names = Counter((ref.transaction, ref.index) for ref in (*inputs, *references))
    _require(
        all(count == 1 for count in names.values()),
        "a state is used twice, or used up and referred to",
    )
    if inputs:
        _require(
            all(output.notary == transaction.notary for output in transaction.outputs),
            "the outputs have the notary of the transaction",
        )
    _check_encumbrances(transaction)


def _check_encumbrances(transaction: Transaction) -> None:
    """Encumbered outputs form circles, so that all of one are spent together."""
    outputs = transaction.outputs
    pointed = [output.encumbrance for output in outputs if output.encumbrance is not None]
    _require(
        all(0 <= number < len(outputs) for number in pointed)
        and len(set(pointed)) == len(pointed)
        and all(
            number != index
            for index, output in enumerate(outputs)
            if (number := output.encumbrance) is not None
        )
        and set(pointed)
        == {index for index, output in enumerate(outputs) if output.encumbrance is not None},
        "encumbrances form circles of two outputs or more",
    )


def resolved(
    transaction: Transaction, lookup: Lookup, rules: Rulebook, attachments: Mapping[bytes, bytes]
) -> LedgerTransaction:
    """The transaction with all that it names.

    Raises:
        BadStructure: an input has another notary, or lies in a circle of which others are not used.
        UnknownSchema, Unreadable: a state or command cannot be read here.
        LedgerError: what `lookup` raises.
    """
    used = {ref: lookup(ref) for ref in transaction.inputs}
    for ref, output in used.items():
        _require(output.notary == transaction.notary, "an input has another notary")
        if output.encumbrance is not None:
            with_it = StateRef(ref.transaction, output.encumbrance)
            _require(with_it in used, "an input cannot be spent without the one that encumbers it")
    referred = {ref: lookup(ref) for ref in transaction.references}
    _require(
        all(output.notary == transaction.notary for output in referred.values()),
        "a reference has another notary",
    )
    for digest in transaction.attachments:
        _require(digest in attachments, f"attachment {digest.hex()} is not here")
    return LedgerTransaction(
        id=transaction.id,
        inputs=tuple(_state(output, rules) for output in used.values()),
        outputs=tuple(_state(output, rules) for output in transaction.outputs),
        commands=tuple(
            SignedCommand(rules.read_command(raw.schema, raw.version, raw.data), signers)
            for raw, signers in zip(transaction.commands, transaction.signers, strict=True)
        ),
        references=tuple(_state(output, rules) for output in referred.values()),
        notary=transaction.notary,
        window=transaction.window,
        attachments={digest: attachments[digest] for digest in transaction.attachments},
    )


def verify(
    transaction: Transaction, lookup: Lookup, rules: Rulebook, attachments: Mapping[bytes, bytes]
) -> LedgerTransaction:
    """The resolved transaction, if its structure is right and every contract that it names accepts
    it. Each contract is asked once.

    Raises:
        BadStructure, UnknownSchema, Unreadable: see above.
        ContractRejected: which contract does not accept it, and why.
    """
    check_structure(transaction)
    found = resolved(transaction, lookup, rules, attachments)
    used = [lookup(ref) for ref in transaction.inputs]
    for name in sorted({output.contract for output in (*used, *transaction.outputs)}):
        rules.judge(name, found)
    return found


def _state(output: Output, rules: Rulebook) -> State:
    """The state of an output; it must name a contract of the family that its schema belongs to,
    else its owner could choose the rules."""
    state = rules.read_state(output.schema, output.version, output.data)
    family = rules.family_of(output.schema, output.version)
    name, _, version = output.contract.rpartition("_v")
    _require(
        name == family and version.isdecimal(),
        f"a {output.schema} is judged by {family}, not by {output.contract}",
    )
    return state


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise BadStructure(why)
