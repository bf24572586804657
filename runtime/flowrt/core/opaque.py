"""Values of classes that authors wrote: their own bytes, and back. Knows no class by name.

A class says `to_flow(self) -> bytes` and `from_flow(cls, data)`, and has one form for each value.
One that says `flow_never_changes = True` promises that nothing changes a value once it is made, and
that all of it is in its bytes: such a value is handed on as it is, and others as a copy.
"""

from __future__ import annotations

from typing import Any


def to_plain(value: object) -> object:
    """What an encoder writes for a value of such a class. Raises TypeError for all others."""
    write = getattr(type(value), "to_flow", None)
    if write is None:
        raise TypeError(f"{type(value).__name__} is not a value of the flow language")
    data = write(value)
    if not isinstance(data, bytes):
        raise TypeError(f"{type(value).__name__}.to_flow gave no bytes")
    return data


def never_changes(kind: object) -> bool:
    """Whether values of exactly this class may be handed on without a copy."""
    return isinstance(kind, type) and vars(kind).get("flow_never_changes") is True


def from_plain(kind: type, plain: Any) -> object:
    """The value again. Raises TypeError where `kind` is no such class, ValueError for bytes that it
    does not write itself."""
    read = getattr(kind, "from_flow", None)
    if read is None:
        raise TypeError(f"{kind.__name__} is not a type of the flow language")
    if not isinstance(plain, bytes):
        raise ValueError(f"{kind.__name__} is kept as bytes, not as {type(plain).__name__}")
    try:
        value = read(plain)
        again = to_plain(value)
    except Exception as error:
        # The author's code may throw anything at bytes that somebody else wrote.
        raise ValueError(f"{kind.__name__} cannot be read: {error}") from None
    if not isinstance(value, kind) or again != plain:
        raise ValueError(f"these are not the canonical bytes of {kind.__name__}")
    return value
