"""What a notifier may ask of its node: tasks, who may answer them, and links that let one person
answer one of them, once.

Sends nothing, and answers nothing.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING, Final

from flowrt.core.values import encode
from flowrt.store.linkbook import Link, Links
from flowrt.views import TaskView

if TYPE_CHECKING:
    from flowrt.api.access import Access
    from flowrt.node import Node

PATH: Final = "/answer/"
"""Where links lead, under the interface's own address: a token follows."""


class Desk:
    """What a notifier is given that has `attach`, before it is told of anything."""

    def __init__(self, node: Node, access: Access, links: Links) -> None:
        self._node = node
        self._access = access
        self.links = links

    @property
    def now(self) -> datetime.datetime:
        """What the node's clock says, in UTC."""
        return self._node.now

    def task(self, flow_id: int, number: int) -> TaskView | None:
        """A task that is open; None if it is not, any more."""
        try:
            return self._node.task(flow_id, number)
        except KeyError:
            return None

    def may_answer(self, user: str, role: str) -> bool:
        """Whether he may answer questions to that role today."""
        found = self._access.caller(user)
        return found is not None and found.may("answer", role)

    def link(self, task: TaskView, user: str, until: datetime.datetime, identify: bool) -> str:
        """A new token that lets him answer that task until then. For a thread."""
        until_us = micros(until)
        made = Link(task.flow_id, task.number, version_of(task), user, until_us, identify)
        return self.links.give(made, micros(self.now))


def micros(at: datetime.datetime) -> int:
    """Microseconds since 1970."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (at - epoch) // datetime.timedelta(microseconds=1)


def version_of(task: TaskView) -> bytes:
    """Of what is asked, by whom, and when: another question under the same number, as a store may
    have that was restored, has another one."""
    kind = f"{task.answer!r}"
    due = micros(task.due) if task.due is not None else 0
    asked = (task.role, task.flow, kind, micros(task.since), due)
    return hashlib.blake2b(encode((*asked, task.question)), digest_size=16).digest()
