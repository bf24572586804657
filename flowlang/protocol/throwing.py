"""Which declared errors a flow may fail with, as far as its code and that of others tells.

Whatever a peer does not declare, and that it is killed or refuses the session, is possible always.
Follows no conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowlang import machine
from flowlang.protocol.code import Code, Rest
from flowlang.types import Builtin, ListType

_SESSIONS = (Builtin("Session"), ListType(Builtin("Session")))


class Throwing:
    """By flow, what its peers may throw; None for any error."""

    def __init__(self, codes: Mapping[str, Code]) -> None:
        self._codes = codes
        self._of_peers: dict[str, frozenset[str] | None] = {}

    def by_peers(self, flow: str) -> frozenset[str] | None:
        """The declared errors, with their families, that a flow may hear from those that it has
        sessions with: they are thrown by those, or by flows that these run or open. None where they
        may be any."""
        if flow not in self._of_peers:
            self._of_peers[flow] = self._union(self._peers(flow))
        return self._of_peers[flow]

    def opens(self, flow: str) -> list[tuple[str, int]]:
        """Where a flow, or one that it runs, opens a session: the flow, the instruction."""
        return [
            (name, number)
            for name in self._run(flow)
            for number, instruction in enumerate(self._codes[name].instructions)
            if isinstance(instruction.does, machine.Open)
        ]

    def _peers(self, flow: str) -> Iterator[str | None]:
        code = self._codes[flow]
        if code.flow.responds_to is not None:
            yield code.flow.responds_to
        elif is_lent(code):
            yield None
        for name, number in self.opens(flow):
            does = self._codes[name].instructions[number].does
            assert isinstance(does, machine.Open)
            yield None if does.by_role else does.flow

    def _run(self, flow: str) -> list[str]:
        """A flow and all that it runs."""
        found = {flow: None}
        todo = [flow]
        while todo:
            for instruction in self._codes[todo.pop()].instructions:
                does = instruction.does
                if isinstance(does, Rest) and isinstance(does.wait, machine.AwaitSubflow):
                    name = does.wait.flow
                    if name in self._codes and name not in found:
                        found[name] = None
                        todo.append(name)
        return list(found)

    def _union(self, peers: Iterator[str | None]) -> frozenset[str] | None:
        found: set[str] = set()
        seen: set[str] = set()
        todo = list(peers)
        while todo:
            peer = todo.pop()
            if peer is None or peer not in self._codes:
                return None
            if peer in seen:
                continue
            seen.add(peer)
            for instruction in self._codes[peer].instructions:
                thrown = self._thrown(self._codes[peer], instruction.does, instruction.calls)
                if thrown is None:
                    return None
                found |= thrown
                match instruction.does:
                    case machine.Open(flow=flow, by_role=by_role):
                        todo.append(None if by_role else flow)
                    case Rest(wait=machine.AwaitSubflow(flow=flow)):
                        todo.append(flow)
                    case _:
                        pass
        return frozenset(found)

    @staticmethod
    def _thrown(code: Code, does: object, calls: bool) -> set[str] | None:
        if calls:
            return None
        match does:
            case machine.Throw(error=error) | machine.Require(error=error):
                if isinstance(error, machine.New):
                    return {error.type, *code.flow.families.get(error.type, ())}
                return None
            case Rest(wait=wait):
                return set() if _throws_no_more(wait) else None
            case _:
                return set()


def is_lent(code: Code) -> bool:
    """Whether a flow is handed sessions by who runs it."""
    return code.flow.responds_to is None and any(
        one.type in _SESSIONS for one in code.flow.parameters
    )


def _throws_no_more(wait: machine.Wait) -> bool:
    """Whether what a wait throws is a peer's or a subflow's error, or none that is declared."""
    match wait:
        case (
            machine.AwaitCheckpoint()
            | machine.AwaitTime()
            | machine.AwaitMoment()
            | machine.AwaitOperator()
            | machine.AwaitMessage()
            | machine.AwaitEach()
            | machine.AwaitSubflow()
        ):
            return True
        case machine.AwaitChoice(arms=arms):
            return all(isinstance(arm, machine.Came | machine.Ended | machine.Late) for arm in arms)
        case _:
            return False
