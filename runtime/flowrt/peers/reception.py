"""Who answers an invitation at one node, or why nobody does. Starts nothing.

The initiator names the responder. A node may have another one stand in for it, and may answer only
some versions of an initiator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from flowrt.core.registry import AnyFlow, NotRegistrable, Registry
from flowrt.core.shapes import unlike
from flowrt.core.values import MAX_VERSIONS, NO_RESPONDER, UNKNOWN_FLOW, VERSION, Invite, Reject

Responders: TypeAlias = Mapping[str, AnyFlow | Sequence[AnyFlow]]
"""By the name that initiators use: the class, or the versions of one flow, that answers instead."""

Versions: TypeAlias = Mapping[str, Collection[int]]
"""By an initiator's name: the versions of it that are answered. Of the others all are."""


class Reception:
    """Finds the responder of each invitation.

    Raises:
        NotRegistrable: a stand-in is not registered, does not respond to what the flow that it
            stands in for responds to, or there are two.
    """

    def __init__(
        self,
        registry: Registry,
        responders: Responders | None = None,
        accepts: Versions | None = None,
    ) -> None:
        self._registry = registry
        self._accepts = {name: tuple(sorted(set(some))) for name, some in (accepts or {}).items()}
        self._instead: dict[str, str] = {}
        for name, found in (responders or {}).items():
            self._instead[name] = self._stand_in(
                name, tuple(found) if isinstance(found, Sequence) else (found,)
            )
        registry.check_roles(self._instead)
        for name, some in self._accepts.items():
            if not some or len(some) > MAX_VERSIONS:
                raise NotRegistrable(
                    f"of {name} {len(some)} versions are accepted; name 1 to {MAX_VERSIONS}"
                )

    def _stand_in(self, name: str, candidates: tuple[AnyFlow, ...]) -> str:
        known = self._registry
        for flow in candidates:
            if flow not in known.names:
                raise NotRegistrable(
                    f"{flow.__name__} is to answer as {name}, and is not registered; "
                    "pass its module to the node as well"
                )
            if flow.responds_to is None:
                raise NotRegistrable(
                    f"{flow.__name__} is to answer as {name}, and responds to nobody; "
                    "give it a header line `responds to … as …`"
                )
        _must_be_one(name, {flow.name: flow for flow in candidates}.values())
        flow = candidates[0]
        wanted = known.initiators(name)
        if wanted and flow.responds_to not in wanted:
            raise NotRegistrable(
                f"{flow.__name__} responds to {flow.responds_to}, and is to answer as {name}, "
                f"which responds to {' and '.join(sorted(wanted))}"
            )
        return flow.name

    def answer(self, invitation: Invite) -> AnyFlow | Reject:
        """The class that runs for an invitation, or the rejection, without its error id."""
        asked, initiator = invitation.flow, invitation.initiator
        name = self._instead.get(asked, asked)
        found = self._registry.responder(name, initiator)
        if found is None:
            if not self._registry.initiators(name):
                return Reject(f"there is no flow {asked} here", "", UNKNOWN_FLOW)
            return Reject(f"{asked} does not respond to {initiator} here", "", NO_RESPONDER)
        versions = self._accepts.get(initiator)
        if versions is not None and invitation.version not in versions:
            known = " and ".join(map(str, versions))
            text = (
                f"{asked} talks to version{'s' * (len(versions) > 1)} {known} of {initiator} here, "
                f"not to version {invitation.version}"
            )
            return Reject(text, "", VERSION, versions)
        if asked in found.roles:
            why = unlike(invitation.messages, found.roles[asked])
            if why is not None:
                return Reject(why, "", NO_RESPONDER)
        return found


def _must_be_one(name: str, flows: Collection[AnyFlow] | Iterable[AnyFlow]) -> None:
    found = list(flows)
    if not found:
        raise NotRegistrable(f"nobody is to answer as {name}; name a class, or leave {name} out")
    if len(found) > 1:
        one, two = found[:2]
        raise NotRegistrable(
            f"two flows are to answer as {name}: {one.versioned()} of {one.__module__} and "
            f"{two.versioned()} of {two.__module__}; name one of them"
        )
