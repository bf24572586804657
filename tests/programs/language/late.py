"""Messages that may come too late: `receive … within`, `then discard`, `case timeout`.

Whoever is to speak sleeps sometimes (`dawdle`), and whoever listens has little patience. No two
limits of a program are alike, and none is a sum of what flows sleep, so that nothing happens at the
moment when one is over. A peer whose message is late still has the turn, so until that message is
there, or another one after it, the listener goes on listening.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.programs.choices import chance, pick
from tests.programs.kinds import SHOWN, Kind
from tests.programs.names import NOT_READ, SESSIONS, Variable
from tests.programs.plans import Book, Talk
from tests.programs.scripts import Item, Say

if TYPE_CHECKING:
    from tests.programs.flows import Flows


def limit(book: Book) -> str:
    """How long to wait: a time of its own."""
    book.limits += 1
    return f"{7001 + 97 * book.limits}ms"


def droppable(item: Say, rest: tuple[Item, ...]) -> bool:
    """Whether another message of the same speaker follows, so that this one may get lost."""
    following = rest[0] if rest else None
    return isinstance(following, Say) and following.sender == item.sender and not following.joined


def patience(talk: Talk, item: Say) -> int:
    """How often in percent the message is not waited for for ever."""
    return 60 if droppable(item, talk.remaining[1:]) else 20


def dawdle(flow: Flows) -> None:
    """Before a message, at some parties."""
    if chance(flow.choices, 50) and flow.indent < 7:
        flow.line(f'if me.name > "{pick(flow.choices, ("b", "c", "bz"))}":')
        flow.line("    sleep 1h")
    else:
        flow.line("sleep 1h")


def hear(flow: Flows, talk: Talk, item: Say) -> None:
    """The next message, which may be late, and then is dropped or taken all the same."""
    rest = talk.remaining[1:]
    again = droppable(item, rest)
    sort = pick(flow.choices, ("within", "case", "block", *["discard"] * (3 * again)))
    if sort == "case":
        _chosen(flow, talk, item)
    else:
        _caught(flow, talk, item, sort)
    talk.remaining = rest


def _caught(flow: Flows, talk: Talk, item: Say, sort: str) -> None:
    """The message is not there in time, and `Timeout` is thrown."""
    before = talk.remaining
    suffix = f" within {limit(flow.book)}" if sort != "block" else ""
    suffix += " then discard" if sort == "discard" else ""
    flow.line("try:")
    flow.indent += 1
    flow.names.push()
    if sort == "block":
        flow.line(f"within {limit(flow.book)}:")
        flow.indent += 1
        if chance(flow.choices, 30):
            flow.line("sleep 250ms")
    _told(flow, flow.hear(talk, item, suffix=suffix))
    if sort == "block":
        flow.indent -= 1
    flow.names.pop()
    flow.indent -= 1
    flow.line("catch Timeout:")
    talk.remaining = before
    leave = None if sort == "discard" else lambda: _at_last(flow, talk, item)
    flow.block(flow.choices.below(2), leave=leave)


def _chosen(flow: Flows, talk: Talk, item: Say) -> None:
    """The message is not there in time, and another case is."""
    kind = item.mistaken or item.message
    name = flow.name()
    flow.line(f"receive from {talk.name}:")
    flow.indent += 1
    flow.line(f"case {kind} as {name} unchecked:")
    before, talk.remaining = talk.remaining, talk.remaining[1:]

    def first() -> None:
        flow.names.declare(Variable(name, Kind(kind)))
        _told(flow, Variable(name, Kind(kind)))

    flow.block(flow.choices.below(2), first=first)
    talk.remaining = before
    flow.line(f"case timeout {limit(flow.book)}:")
    flow.block(flow.choices.below(2), leave=lambda: _at_last(flow, talk, item))
    flow.indent -= 1


def _at_last(flow: Flows, talk: Talk, item: Say) -> None:
    """The late message is the next one when it comes."""
    if item.mistaken is None:
        _told(flow, flow.hear(talk, item))
        return
    name = flow.name()
    flow.line(f"receive {name}: {item.message} from {talk.name} unchecked")


def _told(flow: Flows, variable: Variable) -> None:
    fields = [
        found.text
        for found in flow.names.readables()
        if found.root.name == variable.name and found.kind in SHOWN
    ]
    if fields:
        flow.line(f'Desk.note("{{{pick(flow.choices, fields)}}} {{now:time}}")')
    else:
        flow.line(f'Desk.note("{{{variable.name} == {variable.name}}} {{now:time}}")')


def hear_each(flow: Flows, item: Say, group: str) -> None:
    """Those of a group that are late are none, and what they say then is dropped."""
    heard, one = flow.name(), flow.names.fresh(SESSIONS)
    flow.names.declare(Variable(heard, NOT_READ, fixed=True))
    suffix = f" within {limit(flow.book)} then discard"
    flow.line(f"receive {heard}: {item.message}? from each {group}{suffix} unchecked")
    flow.line(f"for {one} in {heard}:")
    flow.line(f'    Desk.note("{{{one} == none}} {{now:time}}")')


ENTRIES = ()
