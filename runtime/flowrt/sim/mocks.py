"""Services that are made up: each operation answers a value of its type, drawn from the tape.

A step that is run again after a crash hears what it heard before. Knows no flow's meaning.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowrt.core.flow import BuiltinError, FlowError, Operation, Party, ServiceKey
from flowrt.core.registry import Registry
from flowrt.core.values import encode
from flowrt.services import OUTSIDE
from flowrt.sim.history import Called
from flowrt.sim.stand_in import stand_in
from flowrt.sim.values import Draw
from flowrt.sim.violation import Violation
from flowrt.sim.world import World

PATIENCE = 6
"""After so many equal questions a flow begins to hear other answers, so that one that waits for
something that it asks for does not ask for ever."""

THROWN = 0.06
"""How often an operation throws a declared error; nothing is thrown by default."""


class Mocks:
    """The made-up services of all parties of a world. `attempts` are how often each operation
    outside of steps was tried, by its key; `accepted` what it did, once."""

    def __init__(self, world: World, registry: Registry) -> None:
        self.attempts: Counter[str] = Counter()
        self.accepted: dict[str, tuple[str, tuple[Any, ...], Any]] = {}
        self.violations: list[Violation] = []
        self._world = world
        self._keys = registry.services()
        self._errors = {key.name: _errors(registry, key) for key in self._keys}
        self._answers: dict[tuple[Any, ...], tuple[Any, FlowError | None]] = {}
        self._called: Counter[tuple[str, int, str]] = Counter()
        self._requested: Counter[tuple[str, str]] = Counter()
        self._seen = 0
        self._made: dict[str, dict[str, object]] = {}

    def services(self, party: str) -> Mapping[str, object]:
        """A party's services, by qualified name: the same for each of its processes."""
        made = self._made.get(party)
        if made is None:
            made = self._made[party] = {k.name: self._service(party, k) for k in self._keys}
        return made

    def judge(self) -> None:
        """I3: nothing outside was done twice under one key. Raises Violation."""
        if self.violations:
            raise self.violations[0]

    def _service(self, party: str, key: ServiceKey[Any]) -> object:
        def method(operation: Operation) -> Callable[..., Any]:
            make = self._outside if operation.kind in OUTSIDE else self._inside
            return make(party, key.name, operation)

        return stand_in(key, method)

    def _inside(self, party: str, service: str, operation: Operation) -> Callable[..., Any]:
        name = f"{service}.{operation.name}"

        def run(tx: Any, *arguments: Any) -> Any:
            asked = self._count(party, tx.flow_id, name)
            said = _digest(arguments)
            label = f"answer {party} {operation.name} {said} {asked}"
            return self._answer((party, name, said, asked), label, operation, service, asked)

        return run

    def _outside(self, party: str, service: str, operation: Operation) -> Callable[..., Any]:
        name = f"{service}.{operation.name}"

        def run(key: str, *arguments: Any) -> Any:
            self.attempts[key] += 1
            known = self.accepted.get(key)
            if known is not None and known[:2] != (name, arguments):
                self._wrong(f"{key} names {known[0]}{known[1]} and {name}{arguments}")
            if operation.kind == "once" and self.attempts[key] > 1:
                self._wrong(f"{name} may run once, and runs again under {key}")
            if known is None:
                asked = self._requested[party, name]
                self._requested[party, name] += 1
                self.accepted[key] = (name, arguments, asked)
            asked = self.accepted[key][2]
            label = f"answer {party} {operation.name} {_digest(arguments)} {asked}"
            return self._answer((party, key), label, operation, service, asked)

        return run

    def _wrong(self, text: str) -> None:
        self.violations.append(Violation("I3", text))

    def _answer(
        self, key: tuple[Any, ...], label: str, operation: Operation, service: str, asked: int
    ) -> Any:
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = self._drawn(label, operation, service, asked)
        value, error = known
        if error is not None:
            # Anew each time: the engine writes its id on what is thrown.
            raise type(error)(*[getattr(error, name) for name in error.Fields.__struct_fields__])
        return value

    def _drawn(
        self, label: str, operation: Operation, service: str, asked: int
    ) -> tuple[Any, FlowError | None]:
        world = self._world
        parties = list(map(Party, world.hosts))
        draw = Draw(
            world.tape, label, parties, world.start_us, turn=asked // PATIENCE if asked else 0
        )
        errors = self._errors[service]
        thrown = world.tape.draw(f"throw {label}", len(errors) + 1, THROWN)
        if thrown:
            return None, draw.error(errors[thrown - 1])
        if operation.kind == "event" and operation.result is None:
            return True, None  # So at once, as other events are here.
        return draw.value(operation.result), None

    def _count(self, party: str, flow_id: int, name: str) -> int:
        """How often the flow has called it in steps that are committed."""
        history = self._world.history
        for event in history[self._seen :]:
            if type(event) is Called:
                self._called[event.party, event.flow_id, event.operation] += 1
        self._seen = len(history)
        return self._called[party, flow_id, name]


def _errors(registry: Registry, key: ServiceKey[Any]) -> Sequence[type[FlowError]]:
    """The declared errors that all flows know that use a service."""
    users = [
        flow
        for flow in registry.classes.values()
        if any(used.name == key.name for used in flow.services)
    ]
    names = set.intersection(*[set(flow.errors) for flow in users])
    found = [users[0].errors[name] for name in sorted(names)]
    return [one for one in found if not issubclass(one, BuiltinError)]


def _digest(arguments: tuple[Any, ...]) -> str:
    return hashlib.blake2b(encode(arguments), digest_size=3).hexdigest()
