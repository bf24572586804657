"""Parties on a local network, driven by hand: memory or files, crashes where they are wanted.

Flows are read from their bytes for every step. Knows no flow.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from flowlang import standard
from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowrt.core.flow import Message, Party
from flowrt.core.registry import Registry
from flowrt.core.values import Data, Invite, decode_frame, decode_message
from flowrt.handle import StillRunning
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.peers.outbox import unpack
from tests.ledger import deals
from tests.runtime.crashes import Power, Start, World

ALICE, BOB, CAROL = Party("alice"), Party("bob"), Party("carol")
DAY_US = 86_400_000_000

_numbers = itertools.count(1)


def library(module: str) -> Source | None:
    """A module of the library that comes with flowlang."""
    path = standard.text_of(module)
    if path is None or not path.is_file():
        return None
    return Source(str(path), module, path.read_text("utf-8"))


@functools.cache
def program(text: str, name: str = "deals") -> ModuleType:
    """The module that a program becomes, which may use the library."""

    def source(module: str) -> Source | None:
        return Source(f"{name}.flow", name, text) if module == name else library(module)

    made = compile_modules([name], source)
    assert not made.diagnostics, "\n".join(as_text(one, made.sources) for one in made.diagnostics)
    module = ModuleType(f"ledger_test_{next(_numbers)}_flow")
    sys.modules[module.__name__] = module
    exec(compile(generate(made.modules[name]), module.__name__, "exec"), module.__dict__)
    return module


PROGRAM = program((Path(__file__).parent / "deals.flow").read_text("utf-8"))


class Market:
    """Some parties and a notary, each with the library and `PROGRAM`, or modules of its own."""

    def __init__(
        self,
        *parties: str,
        folder: Path | None = None,
        power: Power | None = None,
        modules: Mapping[str, tuple[ModuleType, ...]] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        own: Callable[[Ledger], Mapping[str, object]] | None = None,
        believing: str = "",
        rules: Iterable[ModuleType] = (),
        **network: Any,
    ) -> None:
        """The vault of the `believing` one believes everything. `rules` are installed beside those
        of deals."""
        self.world = World(power=power, folder=folder, reload=True)
        self._believing = believing
        self.local = LocalNetwork(
            parties,
            [deals.RULES, *rules],
            folder=folder,
            clock=lambda: self.world.now_us,
            **network,
        )
        self.said: list[tuple[str, Message]] = []
        """What was said, by whom, in order; each message once."""
        self._heard: set[tuple[str, int]] = set()
        self._kinds: dict[str, type[Message]] = {}
        self._send, self.world.network._send = self.world.network._send, self._listen  # type: ignore[method-assign]
        for name in self.local.parties:
            installed = Ledger.modules(*(modules or {}).get(name, (PROGRAM,)))
            self._kinds |= Registry(installed).messages
            self.world.add(
                name,
                installed,
                functools.partial(self.local.services, name, installed, own or self._own),
                **(options or {}).get(name, {}),
            )

    def _own(self, ledger: Ledger) -> dict[str, object]:
        notary = self.local.notary.name
        if ledger is self.local.ledgers.get(self._believing):
            checker: Any = ledger.vault._checker
            checker.check_signatures = checker.check = lambda *_: ()
        seal = self.local.keys[notary].identity()
        return {"Deals": deals.Deals(ledger, self.local.identity(notary), seal)}

    def _listen(self, sender: str, receiver: str, data: bytes) -> None:
        packet = unpack(data)
        assert packet is not None
        number, content = packet
        frame = decode_frame(content)
        said = frame.first if isinstance(frame, Invite) else getattr(frame, "content", None)
        if isinstance(said, Data) and (sender, number) not in self._heard:
            self._heard.add((sender, number))
            kind = self._kinds[said.name]
            self.said.append((sender, decode_message(kind, said.body)))
        self._send(sender, receiver, data)

    def start(self, party: str, flow: str | type, /, **arguments: Any) -> Start:
        kind = getattr(PROGRAM, f"{flow}_v1") if isinstance(flow, str) else flow
        return self.world.start(party, kind, **arguments)

    def do(self, party: str, flow: str | type, /, **arguments: Any) -> Any:
        """Run a flow to its end; its result, or its error, raised."""
        return self.end(self.start(party, flow, **arguments))

    def end(self, start: Start) -> Any:
        for _ in range(60):
            self.world.run()
            try:
                return self.world.result(start)
            except StillRunning:
                wards = {name: self.world.node(name).hospital() for name in self.world.members}
                assert not any(wards.values()), wards
                self.world.now_us += DAY_US
        raise AssertionError("the flow waits for ever")

    def ended(self, party: str, flow: str) -> Exception | None:
        """How the latest flow of that name ended that nobody started from outside: its error."""
        self.world.run()
        node = self.world.node(party)
        for id in range(20, 0, -1):
            outcome = node.handle(id).outcome if node._store.outcome(id) is not None else None
            if outcome is not None and outcome.flow.startswith(f"{flow}_v"):
                try:
                    node.unpack(outcome)
                except Exception as error:
                    return error
                return None
        raise AssertionError(f"no {flow} has ended")

    def vault(self, party: str, operation: str, *arguments: Any) -> Any:
        """Ask a party's vault, between steps."""
        return self.ask(party, "vault", operation, *arguments)

    def ask(self, party: str, service: str, operation: str, *arguments: Any) -> Any:
        node = self.world.node(party)
        found = getattr(self.local.ledgers[party], service)
        return getattr(found, operation)(node.reading(), *arguments)

    def has(self, id: bytes) -> set[str]:
        """Who has recorded a transaction."""
        return {name for name in self.local.parties if self.vault(name, "has", id)}

    def rows(self, party: str, table: str) -> int:
        [(count,)] = self.world.rows(party, f"SELECT count(*) FROM {table}")
        return int(count)

    def nothing_is_left(self) -> None:
        """Assert that all flows have ended, and keep nothing."""
        self.world.run()
        for name, left in self.world.residue().items():
            assert left == (0, 0, 0), (name, left)
            for table in ("ledger_asked", "ledger_offered", "ledger_kept"):
                assert self.rows(name, table) == 0, (name, table)
            assert not self.vault(name, "in_flight", 100), name

    def close(self) -> None:
        self.world.close()

    def __enter__(self) -> Market:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
