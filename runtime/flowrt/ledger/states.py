"""States, commands and contracts as authors write them in Python, and the book of those installed.

A *state* is what somebody owns or what parties agreed on. It is written under the name and version
of its schema, so that it can be read as long as that is installed, and brought up to the newest
version as it is read. A *contract* is a pure function that accepts a whole transaction or raises.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import inspect
import re
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from flowrt.core.declared import Party, Value
from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import ContractRejected, LedgerError, UnknownSchema, Unreadable
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef

if TYPE_CHECKING:
    from flowrt.ledger.transactions import LedgerTransaction


class State(Value, frozen=True, array_like=True, gc=False):
    """Base of the states of a ledger: immutable fields of the flow language's types."""

    def participants(self) -> tuple[PublicKey, ...]:
        """The keys of those who must know of it."""
        raise NotImplementedError(f"{type(self).__name__} does not say who takes part in it")


class CommandData(Value, frozen=True, array_like=True, gc=False):
    """Base of what a transaction is said to do: `Move`, `Issue`, …"""


class NotaryChange(CommandData, frozen=True, array_like=True, gc=False):
    """Moves states to another notary, and changes nothing else; every node knows it."""


@runtime_checkable
class OwnableState(Protocol):
    """A state that one key owns."""

    @property
    def owner(self) -> PublicKey: ...

    def with_owner(self, owner: PublicKey) -> tuple[CommandData, State]:
        """The command that moves it, and the state as it is then."""
        ...


@runtime_checkable
class FungibleState(OwnableState, Protocol):
    """So much of something that somebody owes: any two of one issuer and kind can be merged."""

    @property
    def amount(self) -> Amount: ...

    @property
    def issuer(self) -> Issuer: ...

    def with_amount(self, amount: Amount, owner: PublicKey) -> State:
        """The same owed, another amount and owner."""
        ...


@runtime_checkable
class LinearState(Protocol):
    """One thing in its successive forms, known by an id that stays."""

    @property
    def linear_id(self) -> bytes:
        """16 bytes by chance, and after them what its parties call it, in UTF-8; may be empty."""
        ...


@dataclasses.dataclass(frozen=True)
class ScheduledActivity:
    """What a state wants done: start the flow `flow` (a qualified name) with these arguments and
    `ref`, the state's own name, at `at`, in UTC."""

    at: datetime.datetime
    flow: str
    arguments: dict[str, Any]


@runtime_checkable
class SchedulableState(Protocol):
    """A state that wants a flow started at some time, as long as it is unconsumed."""

    def next_activity(self, ref: StateRef, me: Party) -> ScheduledActivity | None:
        """What is to be done next at `me`; None for nothing."""
        ...


# --- registration -----------------------------------------------------------------------------

Contract = Callable[["LedgerTransaction"], None]
S = TypeVar("S", bound=type[State])
C = TypeVar("C", bound=type[CommandData])
F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,199}")
_VERSIONED = re.compile(r"([A-Za-z][A-Za-z0-9_.]{0,199})_v([1-9][0-9]{0,5})")


@dataclasses.dataclass(frozen=True)
class Schema:
    """Under what name and version values of a class are written; `contract` is the name, without a
    version, of the contract that a state belongs to."""

    name: str
    version: int
    contract: str = ""


def state(name: str, *, version: int = 1, contract: str) -> Callable[[S], S]:
    """Registers a class of states: `@state("finance.Cash", contract="finance.Cash")`."""

    schema = Schema(_named(name), _numbered(version), _named(contract))

    def mark(kind: S) -> S:
        for above in kind.__mro__[1:]:
            known = vars(above).get("__schema__")
            if isinstance(known, Schema) and known.contract != contract:
                # What `inputs_of(above)` finds would be judged by other rules than those of above.
                raise TypeError(f"{kind.__name__} is a {known.name}, which {known.contract} judges")
        kind.__schema__ = schema  # type: ignore[attr-defined]
        return kind

    return mark


def command(name: str, *, version: int = 1) -> Callable[[C], C]:
    """Registers a class of commands: `@command("finance.Cash.Move")`."""

    schema = Schema(_named(name), _numbered(version))

    def mark(kind: C) -> C:
        kind.__schema__ = schema  # type: ignore[attr-defined]
        return kind

    return mark


def contract(name: str, *, version: int = 1) -> Callable[[F], F]:
    """Registers a contract: a function of a `LedgerTransaction` that raises to refuse it. States
    name it together with its version, so a version that is in use never changes. Raises TypeError
    for what would only be begun when it is called, and so refuse nothing."""

    versioned = f"{_named(name)}_v{_numbered(version)}"

    def mark(function: F) -> F:
        if (
            inspect.iscoroutinefunction(function)
            or inspect.isgeneratorfunction(function)
            or inspect.isasyncgenfunction(function)
        ):
            raise TypeError(f"a contract is a plain function, {function.__name__} is not")
        function.__contract__ = versioned  # type: ignore[attr-defined]
        return function

    return mark


def upgrade(old: type[State], new: type[State]) -> Callable[[F], F]:
    """Registers a function that makes a state of the class `old` one of the class `new`, the next
    version of the same schema."""
    before, after = schema_of(old), schema_of(new)
    if before.name != after.name or after.version != before.version + 1:
        raise TypeError(f"{new.__name__} is not the next version of {old.__name__}")
    if before.contract != after.contract:
        raise TypeError(f"{new.__name__} is judged by another contract than {old.__name__}")

    def mark(function: F) -> F:
        function.__upgrade__ = (old, new)  # type: ignore[attr-defined]
        return function

    return mark


def schema_of(kind: type) -> Schema:
    """The schema of a registered class. Raises TypeError for another."""
    found = vars(kind).get("__schema__")
    if not isinstance(found, Schema):
        raise TypeError(f"{kind.__name__} is not registered: write @state or @command above it")
    return found


def _numbered(version: int) -> int:
    if type(version) is not int or not 1 <= version <= 999_999:
        raise TypeError(f"{version!r} is no version: they are whole numbers from 1 on")
    return version


def _named(name: str) -> str:
    if not _NAME.fullmatch(name) or _VERSIONED.fullmatch(name):
        raise TypeError(f"{name!r} is no name for a schema or contract; a version is given apart")
    return name


command("ledger.NotaryChange")(NotaryChange)


KNOWN = 1024
KNOWN_BYTES = 4096
"""So many states, of so many bytes at most, are read once and known by their bytes then: those of a
transaction are read in each step that looks into it."""


class Rulebook:
    """The schemas and contracts that are installed on a node."""

    def __init__(self, modules: Iterable[types.ModuleType] = ()) -> None:
        """Takes in all that the modules register. Raises TypeError where two things have one name
        and version, or an upgrade has nothing to begin or end with."""
        self._states: dict[tuple[str, int], type[State]] = {}
        self._commands: dict[tuple[str, int], type[CommandData]] = {}
        self._contracts: dict[str, Contract] = {}
        self._upgrades: dict[type[State], Callable[[Any], State]] = {}
        self._known = functools.lru_cache(maxsize=KNOWN)(self._state)
        self._known_commands = functools.lru_cache(maxsize=KNOWN)(self._command)
        self._take(NotaryChange)
        for module in modules:
            for found in vars(module).values():
                self._take(found)

    def _take(self, found: Any) -> None:
        if inspect.isclass(found) and isinstance(vars(found).get("__schema__"), Schema):
            schema = schema_of(found)
            table: dict[Any, Any] = self._states if issubclass(found, State) else self._commands
            self._put(table, (schema.name, schema.version), found)
        elif inspect.isfunction(found):
            if hasattr(found, "__contract__"):
                self._put(self._contracts, found.__contract__, found)
            if hasattr(found, "__upgrade__"):
                self._put(self._upgrades, found.__upgrade__[0], found)

    @staticmethod
    def _put(table: dict[Any, Any], key: Any, found: Any) -> None:
        if table.setdefault(key, found) is not found:
            raise TypeError(f"two things are registered as {key}")

    def contract(self, name: str) -> Contract:
        """The contract of that versioned name. Raises UnknownSchema."""
        found = self._contracts.get(name)
        if found is None:
            raise UnknownSchema(f"no contract {name} is installed")
        return found

    def family_of(self, name: str, version: int) -> str:
        """The contract, without its version, that a schema's states belong to. Raises
        UnknownSchema."""
        kind = self._states.get((name, version))
        if kind is None:
            raise UnknownSchema(f"no state {name} of version {version} is installed")
        return schema_of(kind).contract

    def newest(self, name: str, version: int) -> int:
        """The version in which states that were written in this one are read. Raises
        UnknownSchema."""
        kind = self._states.get((name, version))
        if kind is None:
            raise UnknownSchema(f"no state {name} of version {version} is installed")
        while (step := self._upgrades.get(kind)) is not None:
            kind = step.__upgrade__[1]  # type: ignore[attr-defined]
        return schema_of(kind).version

    def read_state(self, name: str, version: int, data: bytes) -> State:
        """A state from its bytes, in the newest version that is installed.

        Raises:
            UnknownSchema: no class of that name and version is installed.
            Unreadable: the bytes are not those of such a state, an upgrade failed, or the state
                cannot say who takes part in it.
        """
        return (self._known if len(data) <= KNOWN_BYTES else self._state)(name, version, data)

    def _state(self, name: str, version: int, data: bytes) -> State:
        kind = self._states.get((name, version))
        if kind is None:
            raise UnknownSchema(f"no state {name} of version {version} is installed")
        found: State = _read(kind, data)
        while (step := self._upgrades.get(type(found))) is not None:
            found = _upgraded(step, found)
        _check_participants(found)
        return found

    def read_command(self, name: str, version: int, data: bytes) -> CommandData:
        """A command from its bytes. Raises UnknownSchema, Unreadable."""
        read = self._known_commands if len(data) <= KNOWN_BYTES else self._command
        return read(name, version, data)

    def _command(self, name: str, version: int, data: bytes) -> CommandData:
        kind = self._commands.get((name, version))
        if kind is None:
            raise UnknownSchema(f"no command {name} of version {version} is installed")
        found: CommandData = _read(kind, data)
        return found

    def judge(self, name: str, transaction: LedgerTransaction) -> None:
        """Raises ContractRejected unless the contract accepts the transaction. A contract that
        fails in any other way does not accept it, nor does one that gives something back: whoever
        wrote `return False` meant to refuse."""
        check = self.contract(name)
        try:
            given: object = check(transaction)
        except (KeyboardInterrupt, MemoryError):
            raise  # These say something of this machine, nothing of the transaction.
        except BaseException as error:
            raise ContractRejected(name, _why(error)) from error
        if given is not None:
            raise ContractRejected(name, "the contract gave a value; it raises or gives nothing")


def _why(error: BaseException) -> str:
    """What is said of an error that somebody else's code raised."""
    try:
        text = str(error)
    except Exception:
        text = "an error that cannot be shown"
    return text if isinstance(error, LedgerError) else f"{type(error).__name__}: {text}"


def require(condition: bool, why: str) -> None:
    """For contracts: refuse the transaction, saying why, unless the condition holds."""
    if not condition:
        raise LedgerError(why)


def _read(kind: type, data: bytes) -> Any:
    name = schema_of(kind).name
    try:
        found = decode(kind, data)
        again = encode(found)
    except BadBytes as error:
        raise Unreadable(f"not a {name}: {error}") from None
    except Exception as error:
        # A class may look at its fields itself, and raise what it likes.
        raise Unreadable(f"not a {name}: {_why(error)}") from None
    if again != data:
        raise Unreadable(f"not the canonical bytes of a {name}")
    return found


def _check_participants(found: State) -> None:
    """Whoever records a state asks it for these; it must not fail only then."""
    name = schema_of(type(found)).name
    try:
        good = all(isinstance(key, PublicKey) for key in found.participants())
    except Exception as error:
        raise Unreadable(f"this {name} cannot say who takes part in it: {_why(error)}") from None
    if not good:
        raise Unreadable(f"this {name} has participants that are no keys")


_KEPT = ("owner", "amount", "issuer", "linear_id")
"""What an upgrade leaves as it is, where both versions have it."""


def _upgraded(step: Callable[[Any], State], old: State) -> State:
    """One version on; what it must not change is compared, for others have signed the old one."""
    _, kind = step.__upgrade__  # type: ignore[attr-defined]
    name = step.__name__
    try:
        new = step(old)
    except Exception as error:
        raise Unreadable(f"{name} failed: {_why(error)}") from error
    if type(new) is not kind:
        raise Unreadable(f"{name} gave no {kind.__name__}")
    try:
        before, after = set(old.participants()), set(new.participants())
        changed = [
            field
            for field in _KEPT
            if hasattr(old, field) and hasattr(new, field)
            if getattr(old, field) != getattr(new, field)
        ]
    except Exception as error:
        raise Unreadable(f"{name}: its states cannot be compared: {_why(error)}") from error
    if before != after:
        raise Unreadable(f"{name} changed who takes part")
    if changed:
        raise Unreadable(f"{name} changed the {changed[0]}")
    # Its fields have the types that they are declared with, or it cannot be read.
    try:
        data = encode(new)
    except Exception as error:
        raise Unreadable(f"{name} gave what cannot be written: {_why(error)}") from None
    _read(kind, data)
    return new
