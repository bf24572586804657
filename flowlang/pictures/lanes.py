"""The lanes of a conversation: who has one, what it is called, in which order they stand."""

from __future__ import annotations

from collections.abc import Container

from flowlang.pictures.sequence import Lane
from flowlang.pictures.wording import short


class Lanes:
    """Lanes as they come up. A flow that is opened again at the same party has the same one."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Lane] = {}
        self._beside: dict[str, list[Lane]] = {}

    def root(self, flow: str) -> str:
        return self._lane(("root", flow), Lane("p0", short(flow)))

    def opened(self, opener: str, flow: str, party: str, *, each: bool) -> str:
        """The lane of the responder `flow` at what `party` says in the opener's words."""
        detail = f"at each of {party}" if each else f"at {party}"
        key = f"p{len(self._found)}"
        return self._lane(("opened", opener, flow, detail), Lane(key, short(flow), detail))

    def beside(self, lane: str, name: str, detail: str = "") -> str:
        """The lane of a service, of people or of the owner beside that of a flow."""
        made = Lane(f"p{len(self._found)}", name, detail, "service")
        key = self._lane(("beside", lane, name), made)
        own = self._beside.setdefault(lane, [])
        if all(one.key != key for one in own):
            own.append(made)
        return key

    def named(self, key: str) -> str:
        return next(lane.name for lane in self._found.values() if lane.key == key)

    def in_order(self, used: Container[str]) -> tuple[Lane, ...]:
        """Those used: what is beside the first flow left of it, the others right of theirs."""
        found: list[Lane] = []
        for lane in self._found.values():
            if lane.kind == "service":
                continue
            beside = self._beside.get(lane.key, [])
            found += [*reversed(beside), lane] if lane.key == "p0" else [lane, *beside]
        return tuple(lane for lane in found if lane.key in used)

    def _lane(self, key: tuple[str, ...], lane: Lane) -> str:
        return self._found.setdefault(key, lane).key
