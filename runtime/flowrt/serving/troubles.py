"""What keeps a node from being served: where, why, and what to do about it. Finds none itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Trouble(NamedTuple):
    """One thing that is wrong. `place` is a file, or a file and its line; `key` is what there it is
    about, or empty; `remedy` is what to do, as an order, or empty where `cause` says it all."""

    place: str
    key: str
    cause: str
    remedy: str = ""
    warns: bool = False
    """Whether it is served all the same."""

    @property
    def text(self) -> str:
        """It in one line: place, key, cause, remedy."""
        begin = ": ".join(part for part in (self.place, self.key) if part)
        return f"{begin}: {self.cause}" + (f"; {self.remedy}" if self.remedy else "")


class Refused(Exception):
    """Something is wrong, so nothing was begun."""

    def __init__(self, troubles: Sequence[Trouble]) -> None:
        self.troubles = tuple(troubles)
        super().__init__("\n".join(trouble.text for trouble in troubles))


def refused(place: object, cause: str, remedy: str = "", key: str = "") -> Refused:
    """One trouble, to be raised."""
    return Refused([Trouble(str(place), key, cause, remedy)])


def nearest(text: str, known: Iterable[str]) -> str:
    """` did you mean …?` as a remedy, if one of those known is near; else those that there are."""
    names = sorted(known)
    near = difflib.get_close_matches(text, names, 1, 0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if not names:
        return ""
    return "there is " + ", ".join(f"`{name}`" for name in names)
