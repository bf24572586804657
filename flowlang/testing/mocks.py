"""The services of a test's parties: they answer as the test says, and note what they were asked.

Knows no world; it is handed the classes of the flows and what the test says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flowlang.testing import plan
from flowlang.testing.values import Unmade, fits, made
from flowrt.core.flow import Flow, FlowError, Operation
from flowrt.services import OUTSIDE
from flowrt.sim.notation import shown
from flowrt.sim.stand_in import short, stand_in


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
        return {
            name: stand_in(key, functools.partial(_method, self, party, name))
            for name, key in keys.items()
        }

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
        raise NoAnswer(f"{short(service)}.{operation} of {party} has no answer")

    def _lacks(self, party: str, service: str, operation: str, given: Sequence[Any]) -> None:
        call = f"{short(service)}.{operation}({', '.join(map(shown, given))})"
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


def _method(mocks: Mocks, party: str, service: str, operation: Operation) -> Callable[..., Any]:
    is_outside = operation.kind in OUTSIDE

    def run(_: object, *given: Any) -> Any:
        if is_outside:
            mocks.called.append((party, service, operation.name, given))
        return mocks.answer(party, service, operation.name, given)

    return run
