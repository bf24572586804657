"""Whether a transaction may be believed: its structure, and what the contracts say. Asks no clock.

Signatures are checked by `SignedTransaction.check_signatures`; that inputs are unspent and that the
time is right only the notary can say.
"""

from __future__ import annotations

import datetime
import types
from collections.abc import Callable, Iterable, Mapping

from flowrt.ledger import merkle
from flowrt.ledger.problems import BadStructure
from flowrt.ledger.states import Rulebook, State
from flowrt.ledger.transactions import (
    MAX_COMPONENTS,
    MAX_SIGNATURES,
    LedgerTransaction,
    Output,
    SignedCommand,
    Transaction,
)
from flowrt.stdlib.ledger.parts_flow import StateRef, TimeWindow

MAX_ATTACHMENT_BYTES = 512 * 1024
"""The largest attachment."""

Lookup = Callable[[StateRef], Output]
"""Gives the output that a reference names. Raises LedgerError where it is not known."""


def attachment_id(content: bytes) -> bytes:
    """By what an attachment is known: its SHA-256. Raises BadStructure if it is too large."""
    _require(
        len(content) <= MAX_ATTACHMENT_BYTES,
        f"an attachment has at most {MAX_ATTACHMENT_BYTES} bytes, not {len(content)}",
    )
    return merkle.sha256(content)


def is_open(window: TimeWindow | None, at: datetime.datetime) -> bool:
    """Whether a transaction may be notarised at `at`: the window's beginning is in it, its end is
    not. Without a window it always may."""
    if window is None:
        return True
    return (window.since is None or window.since <= at) and (
        window.until is None or at < window.until
    )


def check_structure(transaction: Transaction) -> None:
    """That the parts fit each other. Raises BadStructure, with the first that do not."""
    inputs, outputs, references = (
        transaction.inputs,
        transaction.outputs,
        transaction.references,
    )
    _require(bool(inputs or outputs), "a transaction has an input or an output")
    _require(bool(transaction.commands), "a transaction has a command")
    _require(len(transaction.commands) == len(transaction.signers), "each command has its signers")
    _require(
        len(inputs) + len(references) <= MAX_COMPONENTS,
        f"a transaction has at most {MAX_COMPONENTS} inputs and references",
    )
    _require(
        transaction.notary is not None or not transaction.needs_notary,
        "inputs, references and a time window need a notary",
    )
    _require(
        len(transaction.required_keys) <= MAX_SIGNATURES,
        f"at most {MAX_SIGNATURES} keys sign a transaction",
    )
    _require(
        len({*inputs, *references}) == len(inputs) + len(references),
        "a state is used twice, or used up and referred to",
    )
    _require(
        len(set(transaction.attachments)) == len(transaction.attachments),
        "a file is attached twice",
    )
    _check_encumbrances(outputs)
    if transaction.changes_notary:
        _check_notary_change(transaction)
    else:
        _require(
            all(output.notary == transaction.notary for output in outputs),
            "the outputs have the notary of the transaction",
        )


def _check_encumbrances(outputs: tuple[Output, ...]) -> None:
    """Encumbered outputs form circles, so that all of one are spent together."""
    points = {
        index: output.encumbrance
        for index, output in enumerate(outputs)
        if output.encumbrance is not None
    }
    # Each encumbered output is pointed to once, by another: a permutation, so circles.
    _require(
        set(points.values()) == points.keys()
        and all(index != number for index, number in points.items()),
        "encumbrances form circles of two outputs or more",
    )


def _check_notary_change(transaction: Transaction) -> None:
    """A transaction that moves states to another notary does nothing else."""
    _require(
        len(transaction.commands) == 1 and len(transaction.inputs) == len(transaction.outputs) > 0,
        "a change of notary has one command, and an output for each input",
    )
    _require(
        not transaction.references and not transaction.attachments,
        "a change of notary refers to nothing and attaches nothing",
    )
    notaries = {output.notary for output in transaction.outputs}
    _require(
        len(notaries) == 1 and transaction.notary not in notaries,
        "a change of notary leads to one other notary",
    )


def _check_moved(transaction: Transaction, used: Mapping[StateRef, Output]) -> None:
    """The outputs of a change of notary are its inputs, in their order, but for the notary."""
    position = {ref: index for index, ref in enumerate(used)}
    for (ref, before), after in zip(used.items(), transaction.outputs, strict=True):
        encumbrance = (
            None
            if before.encumbrance is None
            else position[StateRef(ref.transaction, before.encumbrance)]
        )
        _require(
            (after.schema, after.version, after.data, after.contract, after.encumbrance)
            == (before.schema, before.version, before.data, before.contract, encumbrance),
            "a change of notary changes something else",
        )


def resolved(
    transaction: Transaction, lookup: Lookup, rules: Rulebook, attachments: Mapping[bytes, bytes]
) -> LedgerTransaction:
    """The transaction, whose structure was checked, with all that it names.

    Raises:
        BadStructure: an input has another notary, or lies in a circle of which others are not used;
            an attachment is not here, too large or another.
        UnknownSchema, Unreadable: a state or command cannot be read here.
        LedgerError: what `lookup` raises.
    """
    return _resolved(transaction, _inputs(transaction, lookup), lookup, rules, attachments)


def verify(
    transaction: Transaction, lookup: Lookup, rules: Rulebook, attachments: Mapping[bytes, bytes]
) -> LedgerTransaction:
    """The resolved transaction, if its structure is right and every contract that it names accepts
    it. Each contract is asked once. A change of notary is judged by the rules here alone, and must
    be signed by all who take part in its states.

    Raises:
        BadStructure, UnknownSchema, Unreadable: see above.
        ContractRejected: which contract does not accept it, and why.
    """
    check_structure(transaction)
    used = _inputs(transaction, lookup)
    found = _resolved(transaction, used, lookup, rules, attachments)
    if transaction.changes_notary:
        _check_moved(transaction, used)
        _require(
            {key for state in found.inputs for key in state.participants()}
            <= set(found.commands[0].signers),
            "a change of notary is signed by all who take part in the states",
        )
        return found
    _check_versions(used.values(), transaction.outputs)
    for name in sorted({output.contract for output in (*used.values(), *transaction.outputs)}):
        rules.judge(name, found)
    return found


def _inputs(transaction: Transaction, lookup: Lookup) -> dict[StateRef, Output]:
    used = {ref: lookup(ref) for ref in transaction.inputs}
    for ref, output in used.items():
        _require(output.notary == transaction.notary, "an input has another notary")
        if output.encumbrance is not None:
            with_it = StateRef(ref.transaction, output.encumbrance)
            _require(with_it in used, "an input cannot be spent without the one that encumbers it")
    return used


def _resolved(
    transaction: Transaction,
    used: Mapping[StateRef, Output],
    lookup: Lookup,
    rules: Rulebook,
    attachments: Mapping[bytes, bytes],
) -> LedgerTransaction:
    referred = [lookup(ref) for ref in transaction.references]
    _require(
        all(output.notary == transaction.notary for output in referred),
        "a reference has another notary",
    )
    attached: dict[bytes, bytes] = {}
    for digest in transaction.attachments:
        _require(digest in attachments, f"attachment {digest.hex()} is not here")
        attached[digest] = attachments[digest]
        _require(
            attachment_id(attached[digest]) == digest, f"attachment {digest.hex()} is another file"
        )
    return LedgerTransaction(
        id=transaction.id,
        inputs=tuple(_state(output, rules) for output in used.values()),
        outputs=tuple(_state(output, rules) for output in transaction.outputs),
        commands=tuple(
            SignedCommand(rules.read_command(raw.schema, raw.version, raw.data), signers)
            for raw, signers in zip(transaction.commands, transaction.signers, strict=True)
        ),
        references=tuple(_state(output, rules) for output in referred),
        notary=transaction.notary,
        window=transaction.window,
        # Every contract sees the same: none can change it for the next.
        attachments=types.MappingProxyType(attached),
    )


def _check_versions(inputs: Iterable[Output], outputs: Iterable[Output]) -> None:
    """No output names an older version of a contract than an input of it does: its owner could
    go back to rules that were given up."""
    newest: dict[str, int] = {}
    for output in inputs:
        name, version = output.contract_version
        newest[name] = max(version, newest.get(name, 0))
    for output in outputs:
        name, version = output.contract_version
        _require(
            version >= newest.get(name, 0),
            f"an output is judged by {output.contract}, an input by version {newest.get(name)}",
        )


def _state(output: Output, rules: Rulebook) -> State:
    """The state of an output; it must name a contract of the family that its schema belongs to,
    else its owner could choose the rules."""
    state = rules.read_state(output.schema, output.version, output.data)
    family = rules.family_of(output.schema, output.version)
    _require(
        output.contract_version[0] == family,
        f"a {output.schema} is judged by {family}, not by {output.contract}",
    )
    return state


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise BadStructure(why)
