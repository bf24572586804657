"""Services that answer what they are told, or by strategy, and remember what they were asked.

Knows no node: it makes objects that one can bind.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from flowrt.core import flow as rt
from flowrt.core.registry import Registry
from flowrt.services import OUTSIDE
from flowrt.sim.stand_in import short, stand_in
from flowrt.testing.strategies import values_of

Draw: TypeAlias = Callable[[SearchStrategy[Any]], Any]

Answer: TypeAlias = SearchStrategy[Any] | Callable[..., Any]
"""What an operation answers: a strategy of values and declared errors, or a function of its
arguments. A declared error is thrown."""


class Asked(msgspec.Struct, frozen=True):
    """One call of an operation: `operation` is qualified, such as `loan.Treasury.judge`."""

    party: str
    operation: str
    arguments: tuple[Any, ...]
    is_external: bool = False


class Mocks:
    """The services of one test.

    Args:
        answers: by operation, such as `"Treasury.judge"`; the others answer any value.
        services: objects that are bound as they are, by service.
        parties: who is meant where an answer names a party.
        draw: takes one value of a strategy; may be changed while the test runs.

    Raises:
        InvalidArgument: `answers` or `services` name what no flow uses.
    """

    def __init__(
        self,
        registry: Registry,
        draw: Draw,
        *,
        answers: Mapping[str, Answer],
        services: Mapping[str, object],
        parties: tuple[rt.Party, ...],
        given: Mapping[Any, SearchStrategy[Any]],
    ) -> None:
        self.draw = draw
        self.asked: list[Asked] = []
        self._keys = registry.services()
        self._answers = _by_operation(self._keys, answers)
        self._services = services
        self._parties = parties
        self._given = given
        known = {name for key in self._keys for name in (key.name, short(key.name))}
        unknown = sorted(services.keys() - known)
        if unknown:
            raise InvalidArgument(
                f"no flow uses a service {unknown[0]}; they use: "
                + (", ".join(key.name for key in self._keys) or "none")
            )

    def of(self, party: str) -> dict[str, object]:
        """The services that a node of this party is given. A service of its own is looked for
        under `"party.Service"` first."""
        return {key.name: self._service(party, key) for key in self._keys}

    def _service(self, party: str, key: rt.ServiceKey[Any]) -> object:
        for name in (key.name, short(key.name)):
            if name in self._services:
                real = self._services[name]
                # A class or function makes one for each party.
                made = real(party) if isinstance(real, type | types.FunctionType) else real
                return _Overheard(self, party, key, made)
        return stand_in(key, functools.partial(self._operation, party, key.name))

    def _operation(self, party: str, service: str, operation: rt.Operation) -> Callable[..., Any]:
        name = f"{service}.{operation.name}"
        given = self._answers.get(name)
        if given is None:
            given = values_of(operation.result, parties=self._parties, given=self._given)
        answer = given
        is_external = operation.kind in OUTSIDE
        is_bare_event = operation.kind == "event" and operation.result is None

        def run(_: object, *arguments: Any) -> Any:
            if isinstance(answer, SearchStrategy):
                value = self.draw(answer)
            else:
                value = answer(*arguments)
                if isinstance(value, SearchStrategy):
                    value = self.draw(value)
            self.asked.append(Asked(party, name, arguments, is_external))
            if isinstance(value, rt.FlowError):
                raise value
            return True if is_bare_event else value

        run.__name__ = operation.name
        run.__doc__ = f"{name}, {'outside of' if is_external else 'in'} a step"
        return run


class _Overheard:
    """A service that is somebody's own; the external operations that run are noted."""

    def __init__(self, mocks: Mocks, party: str, key: rt.ServiceKey[Any], service: object) -> None:
        self._service = service
        for operation in key.operations:
            method = getattr(service, operation.name, None)
            if operation.kind in OUTSIDE and callable(method):
                name = f"{key.name}.{operation.name}"
                setattr(self, operation.name, _noted(mocks, party, name, method))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)


def _noted(mocks: Mocks, party: str, name: str, method: Any) -> Any:
    @functools.wraps(method)
    def run(key: str, *arguments: Any) -> Any:
        mocks.asked.append(Asked(party, name, arguments, True))
        return method(key, *arguments)

    return run


def _by_operation(
    keys: Iterable[rt.ServiceKey[Any]], answers: Mapping[str, Answer]
) -> dict[str, Answer]:
    names: dict[str, str] = {}
    for key in keys:
        for operation in key.operations:
            names[f"{key.name}.{operation.name}"] = f"{key.name}.{operation.name}"
            names[f"{short(key.name)}.{operation.name}"] = f"{key.name}.{operation.name}"
    for name in answers:
        if name not in names:
            known = ", ".join(sorted(set(names.values()))) or "none"
            raise InvalidArgument(f"no flow calls an operation {name}; they call: {known}")
    return {names[name]: answer for name, answer in answers.items()}
