"""Flows made of plain functions, for tests of one step, and the core driven without a node.

`play("t.A", first, second)` is a flow whose step number n is the n-th function; each gets the run
and its state `At`, and says where it goes on: `Receive(at(1, s=s), s)`.
"""

from __future__ import annotations

import datetime
import types
from collections.abc import Callable, Mapping
from typing import Any

from flowrt.core import engine
from flowrt.core import flow as rt
from flowrt.core.engine import RESUME, Arrival, Commit, Event, Opened, World
from flowrt.core.registry import Registry
from flowrt.core.session import invite
from flowrt.core.values import Content, Invite, Letter, decode_checkpoint, encode

NOW_US = 1_700_000_000_000_000


class At(rt.State, frozen=True, array_like=True, gc=False):
    """Where a play stands: the session that it was given or opened, its place, what it keeps."""

    s: rt.Session = rt.Session(0)
    n: rt.Int = 0
    kept: str = ""
    count: rt.Int = 0


def at(n: int, s: int = 0, kept: str = "", count: int = 0) -> At:
    return At(rt.Session(s), n, kept, count)


Part = Callable[[Any, At], Any]


def play(name: str, *parts: Part, version: int = 1, **declared: Any) -> type[rt.Flow[Any]]:
    """A flow class made of its steps."""

    def step(cls: Any, state: At, run: Any) -> Any:
        return parts[state.n](run, state)

    body = {
        "__module__": "made_flow",
        "contract": 2,
        "name": name,
        "version": version,
        "startable": ("rpc",),
        "Start": At,
        "States": At,
        "Result": int | str | None,
        "step": classmethod(step),
    }
    return type(name.rpartition(".")[2], (rt.Flow,), {**body, **declared})


def plays(*flows: type[rt.Flow[Any]]) -> types.ModuleType:
    """A module of them, as a node wants it."""
    module = types.ModuleType("made_flow")
    for flow in flows:
        setattr(module, flow.versioned(), flow)
    return module


class NoTx:
    """A transaction that nobody may use."""

    me = rt.Party("alice")
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    flow_id = 1

    def execute(self, sql: str, parameters: object = ()) -> list[tuple[Any, ...]]:
        raise AssertionError("no service here")


class Actor:
    """One flow in the core alone: its checkpoint, its world, what it did."""

    def __init__(
        self,
        flow: type[rt.Flow[Any]],
        *others: type[rt.Flow[Any]],
        start: At | None = None,
        services: Mapping[str, Any] | None = None,
        flow_id: int = 1,
        key: bytes = bytes(32),
    ) -> None:
        self.registry = Registry([plays(flow, *others)])
        self.world = World(rt.Party("alice"), self.registry, key, services or {}, NoTx())
        self.world.now_us = NOW_US
        self.flow_id = flow_id
        self.name = self.registry.names[flow]
        self.checkpoint = engine.begin(self.name, flow, start or At())
        self.invitations: list[Invite] = []

    def go(self, event: Event = RESUME, *, run: bool = True) -> Commit | None:
        """One event; invitations are numbered, as a node would, and the bytes make the round."""
        commit = engine.advance(self.checkpoint, self.flow_id, event, self.world, run=run)
        if commit is not None:
            for _, item in commit.outbox:
                if type(item) is Opened:
                    self.invitations.append(
                        invite(
                            item.session,
                            len(self.invitations),
                            b"12345678",
                            item.flow,
                            item.initiator,
                            item.version,
                            self.flow_id,
                        )
                    )
            self.reload()
        return commit

    def reload(self) -> None:
        """Forget everything but the bytes."""
        self.checkpoint = decode_checkpoint(encode(self.checkpoint), self.registry.states_of)

    def letter(
        self,
        content: Content,
        seq: int,
        session: int = 0,
        peer: str = "bob",
        secret: bytes | None = None,
    ) -> Arrival:
        """A letter for one of our sessions, as its peer would write it."""
        found = engine.find(self.checkpoint, session)
        if secret is None:
            secret = found.secret if found is not None else bytes(16)
        return Arrival(peer, Letter(self.flow_id, session, secret, seq, content))

    def get(self, content: Content, seq: int, session: int = 0, peer: str = "bob") -> Commit | None:
        """Let a letter arrive, and the flow go on if it can."""
        return self.go(self.letter(content, seq, session, peer))

    @property
    def sessions(self) -> list[int]:
        return [session.id for session in self.checkpoint.sessions]


def sent(commit: Commit | None) -> list[Content]:
    """What letters a step wrote, in order."""
    assert commit is not None
    return [item.content for _, item in commit.outbox if type(item) is Letter]
