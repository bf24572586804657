"""What a machine does between waits. Plain data."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from flowlang.machine.expressions import Expr, Place

# --- actions: what happens between waits ---------------------------------------------------------


class Assign(msgspec.Struct, frozen=True, tag_field="node", tag="assign"):
    name: str
    value: Expr
    place: Place


class Open(msgspec.Struct, frozen=True, tag_field="node", tag="open"):
    """A session with the responder `flow` (qualified); `block` is the depth that owns it. `plays`
    is the role that this flow has in it, if it says one; where `by_role` is true, `flow` is the
    other role, and whoever answers for it there responds."""

    name: str
    flow: str
    party: Expr
    block: int
    place: Place
    plays: str | None = None
    by_role: bool = False


class Send(msgspec.Struct, frozen=True, tag_field="node", tag="send"):
    """`type` is the message's, qualified."""

    session: Expr
    value: Expr
    type: str
    place: Place


class Close(msgspec.Struct, frozen=True, tag_field="node", tag="close"):
    session: Expr
    place: Place


class Leave(msgspec.Struct, frozen=True, tag_field="node", tag="leave"):
    """End the sessions that this flow opened in blocks nested deeper than `block`."""

    block: int


class Progress(msgspec.Struct, frozen=True, tag_field="node", tag="progress"):
    """`values` are those of a step that has some, by name, in declared order."""

    step: str
    label: Expr | None
    values: tuple[tuple[str, Expr], ...]
    place: Place


class Log(msgspec.Struct, frozen=True, tag_field="node", tag="log"):
    level: str
    text: Expr
    place: Place


class Do(msgspec.Struct, frozen=True, tag_field="node", tag="do"):
    """An operation called for what it does."""

    value: Expr
    place: Place


class Require(msgspec.Struct, frozen=True, tag_field="node", tag="require"):
    condition: Expr
    error: Expr
    place: Place


class Throw(msgspec.Struct, frozen=True, tag_field="node", tag="throw"):
    """`error` is a `New` error or a variable that holds a caught one."""

    error: Expr
    place: Place


class Return(msgspec.Struct, frozen=True, tag_field="node", tag="return"):
    value: Expr | None
    place: Place


class If(msgspec.Struct, frozen=True, tag_field="node", tag="if"):
    branches: tuple[tuple[Expr, tuple[Action, ...]], ...]
    otherwise: tuple[Action, ...]
    place: Place


class While(msgspec.Struct, frozen=True, tag_field="node", tag="while"):
    condition: Expr
    body: tuple[Action, ...]
    place: Place


class For(msgspec.Struct, frozen=True, tag_field="node", tag="for"):
    """Over a list's items, or over a map's keys where `map` is true (in the keys' order)."""

    name: str
    values: Expr
    map: bool
    body: tuple[Action, ...]
    place: Place


class Break(msgspec.Struct, frozen=True, tag_field="node", tag="break"):
    place: Place


class Continue(msgspec.Struct, frozen=True, tag_field="node", tag="continue"):
    place: Place


class CatchBlock(msgspec.Struct, frozen=True):
    errors: tuple[str, ...]
    name: str | None
    body: tuple[Action, ...]
    place: Place


class Try(msgspec.Struct, frozen=True, tag_field="node", tag="try"):
    """Around actions that never wait; the body's sessions deeper than `block` end when caught."""

    body: tuple[Action, ...]
    catches: tuple[CatchBlock, ...]
    block: int
    place: Place


class Check(msgspec.Struct, frozen=True, tag_field="node", tag="check"):
    """The block of checks of a received value: a fault in it is the peer's (`Malformed`)."""

    body: tuple[Action, ...]
    place: Place


Action: TypeAlias = (
    Assign
    | Open
    | Send
    | Close
    | Leave
    | Progress
    | Log
    | Do
    | Require
    | Throw
    | Return
    | If
    | While
    | For
    | Break
    | Continue
    | Try
    | Check
)
