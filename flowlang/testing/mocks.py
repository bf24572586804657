"""The services of a test's parties: they answer as the test says, and note what they were asked.

Knows no world; it is handed the classes of the flows and what the test says.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowlang.testing import plan
from flowlang.testing.values import Unmade, fits, made, shown
from flowrt.core.flow import Flow, FlowError, Operation, ServiceKey

OUTSIDE = ("external", "once")


class NoAnswer(Exception):
    """An operation was called, and the test does not say what it answers."""


class Mocks:
    """What all parties of a test answer. `called` has (party, service, operation, arguments) of
    operations that run outside of steps; `unanswered` is what the test lacks, as texts."""

    def __init__(self, said: Iterable[plan.Mock]) -> None:
        self.called: list[tuple[str, str, str, tuple[Any, ...]]] = []
        self.unanswered: list[str] = []
        self._said = list(said)
        self._used: dict[int, int] = {}

    def services(self, party: str, flows: Iterable[type[Flow[Any]]]) -> Mapping[str, object]:
        """An object for each service that the flows use, by qualified name."""
        keys = {key.name: key for flow in flows for key in flow.services}
        return {name: _service(self, party, key) for name, key in keys.items()}

    def answer(self, party: str, service: str, operation: str, given: Sequence[Any]) -> Any:
        """What an operation answers. Raises the error that it throws."""
        for number, mock in enumerate(self._said):
            wanted = mock.operation
            if (mock.party, wanted.service, wanted.name) != (party, service, operation):
                continue
            if wanted.arguments is not None and not all(map(fits, wanted.arguments, given)):
                continue
            turn = self._used.get(number, 0)
            self._used[number] = turn + 1
            throws, value = mock.answers[min(turn, len(mock.answers) - 1)]
            found = _made(value)
            if throws:
                assert isinstance(found, FlowError)
                raise found
            return found
        self._lacks(party, service, operation, given)
        raise NoAnswer(f"{_short(service)}.{operation} of {party} has no answer")

    def _lacks(self, party: str, service: str, operation: str, given: Sequence[Any]) -> None:
        call = f"{_short(service)}.{operation}({', '.join(map(shown, given))})"
        text = (
            f"a flow of {party} calls {call}, and the test does not say what that answers\n"
            f"add to the test:\n    at {party}:\n        {call} -> …"
        )
        if text not in self.unanswered:
            self.unanswered.append(text)


def _made(value: plan.Value) -> Any:
    if isinstance(value, plan.Made) and value.fields is None:
        try:
            return made(value)
        except TypeError:
            raise Unmade(f"`throws {value.name}` lacks its fields") from None
    return made(value)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


class _Service:
    """One party's stand-in for a service."""


def _service(mocks: Mocks, party: str, key: ServiceKey[Any]) -> _Service:
    service = _Service()
    for operation in key.operations:
        setattr(service, operation.name, _method(mocks, party, key.name, operation))
    return service


def _method(mocks: Mocks, party: str, service: str, operation: Operation) -> Any:
    outside = operation.kind in OUTSIDE

    def run(first: Any, *given: Any) -> Any:
        if outside:
            mocks.called.append((party, service, operation.name, given))
        return mocks.answer(party, service, operation.name, given)

    # A node looks at the parameters when it opens.
    names = ("first_", *operation.parameters)
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
