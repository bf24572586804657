"""What the messages of a role look like: told in an invitation, compared before a session begins.

Two sides that share a protocol are compiled apart, so that a message may have other fields here
than there. Knows no session and no node.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any, TypeAlias

from msgspec import inspect

Role: TypeAlias = tuple[tuple[Any, ...], tuple[Any, ...]]
"""The classes of the messages that a role may send, and of those that it may receive."""

SENT, RECEIVED = ">", "<"


@functools.cache
def told(role: Any) -> str:
    """The messages of a role as an invitation has them: of each whether it is sent or received, its
    name, and a mark for each field; one that may be left out has `?` behind its mark."""
    return " ".join(
        f"{way}{kind.wire}:{','.join(shape_of(kind))}"
        for way, kinds in ((SENT, role[0]), (RECEIVED, role[1]))
        for kind in kinds
    )


def unlike(theirs: str, role: Role) -> str | None:
    """What keeps who told `theirs` from talking to this side of the protocol; None if nothing does.

    A receiver must know every message that may be sent to it. It may know fields that the sender
    does not, if they may be left out; and need not know the last ones that its sender has.
    """
    sent, received = role
    there = _read(theirs)
    here: dict[str, Any] = {kind.wire: kind for kind in received}
    for key, marks in there.items():
        if key[:1] == SENT:
            kind = here.get(key[1:])
            if kind is None:
                return f"{key[1:]} may come from there, and is not known here"
            if (found := _difference(kind, marks, shape_of(kind))) is not None:
                return found
    for kind in sent:
        known = there.get(RECEIVED + kind.wire)
        if known is None:
            return f"{kind.wire} may be sent from here, and is not known there"
        if (found := _difference(kind, shape_of(kind), known)) is not None:
            return found
    return None


def _difference(kind: Any, sender: tuple[str, ...], receiver: tuple[str, ...]) -> str | None:
    place = _misfit(sender, receiver)
    if place is None:
        return None
    names = kind.__struct_fields__
    field = f"its field {names[place]}" if place < len(names) else "a field more"
    return f"{kind.wire} is not the same message here and there: {field}"


def _misfit(sender: tuple[str, ...], receiver: tuple[str, ...]) -> int | None:
    """The first field that a receiver does not take as its sender has it."""
    for place, (sent, known) in enumerate(zip(sender, receiver, strict=False)):
        if sent.removesuffix("?") != known.removesuffix("?"):
            return place
    more = receiver[len(sender) :]
    return next(
        (len(sender) + place for place, mark in enumerate(more) if not mark.endswith("?")), None
    )


@functools.lru_cache(maxsize=1024)
def _read(theirs: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for one in theirs.split(" "):
        name, _, marks = one.rpartition(":")
        found[name] = tuple(marks.split(",")) if marks else ()
    return found


@functools.cache
def shape_of(kind: Any) -> tuple[str, ...]:
    """A mark for each field of a message, in order."""
    return tuple(
        hashlib.blake2b(
            f"{field.name}: {_written(field.type, (kind,))}".encode(), digest_size=4
        ).hexdigest()
        + ("" if field.required else "?")
        for field in _struct(kind).fields
    )


def _struct(kind: type[Any]) -> inspect.StructType:
    found = inspect.type_info(kind)
    if not isinstance(found, inspect.StructType):
        raise TypeError(f"{kind.__name__} is no message")
    return found


def _written(found: Any, under_way: tuple[type[Any], ...]) -> str:
    """A type as text: of records and enums all that is in them, but no name that another module
    may give them; the same text in every process."""
    match found:
        case inspect.StructType(cls=kind):
            if kind in under_way:
                return f"<{len(under_way) - under_way.index(kind)}>"
            inside = ", ".join(
                f"{field.name}: {_written(field.type, (*under_way, kind))}"
                for field in found.fields
            )
            tag = "" if found.tag is None else f"{found.tag} "
            return f"{{{tag}{inside}}}"
        case inspect.UnionType(types=types):
            return " | ".join(sorted(_written(one, under_way) for one in types))
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"[{_written(item, under_way)}]"
        case inspect.DictType(key_type=key, value_type=value):
            return f"[{_written(key, under_way)}: {_written(value, under_way)}]"
        case inspect.Metadata(type=inner):
            return _written(inner, under_way)
        case inspect.CustomType(cls=kind):
            return f"{kind.__module__}.{kind.__qualname__}"
        case _:
            return _plain(found)


def _plain(found: Any) -> str:
    """A type without parts: what it is called, and its limits."""
    limits = [
        f"{name}={value}"
        for name in found.__struct_fields__
        if isinstance(value := getattr(found, name), int | str) and value is not None
    ]
    return " ".join([re.sub(r"Type\Z", "", type(found).__name__), *limits])
