"""Pages for people who open a link from a mail: the question, and a form that answers it once.

To look changes nothing, however often a mail scanner looks; only the form answers. Whatever is
wrong with a link is told alike. Gives no link: notifiers do.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from flowrt.api import forms
from flowrt.api.access import Caller
from flowrt.api.forms import page
from flowrt.api.reading import NotFitting, read
from flowrt.api.routing import Call, Operation
from flowrt.core.hospital import one_line
from flowrt.core.values import plain
from flowrt.handle import NotAccepted
from flowrt.notices.links import PATH, micros, version_of
from flowrt.store.linkbook import Link, Links
from flowrt.views import TaskView

if TYPE_CHECKING:
    from starlette.responses import Response

_LOG = logging.getLogger("flowrt.api")

GONE = (
    "This link is good no more",
    "It was used, or its time is over, or the question is answered, or it is not yours to answer.",
)
TOKEN = "token"  # the name of a field
ANSWER = "answer"


class _Found(NamedTuple):
    """A link that is good: its token, what it says, who answers by it, and what."""

    token: str
    link: Link
    caller: Caller
    task: TaskView


async def show_link(call: Call) -> Response:
    found = await _found(call)
    if found is None:
        return page(404, *GONE)
    if _is_other(call, found):
        return _other(call, found)
    return _asking(call, found, 200, {}, "")


async def answer_link(call: Call) -> Response:
    given = await call.form()
    found = await _found(call)
    if found is None:
        return page(404, *GONE)
    if _is_other(call, found):
        return _other(call, found)
    if not _is_known(call, found):
        who = call.app.access.by_token(given.pop(TOKEN, "").strip())
        if who is None or who.name != found.link.user:
            return _asking(call, found, 403, given, f"This is not a token of {found.link.user}.")
    try:
        data = forms.data_of(found.task.answer, given)
        answer = read(found.task.answer, data, ANSWER)
    except NotFitting as wrong:
        return _asking(call, found, 400, given, str(wrong))
    links = _links(call)
    # Used up before anything is answered: of two clicks one comes here.
    if not await asyncio.to_thread(links.take, found.token):
        return page(404, *GONE)
    task, user = found.task, found.link.user

    def entitled() -> str | None:
        return None if found.caller.still("answer", task.role) else f"{user} may not answer it"

    try:
        await call.node.answer(task.flow_id, task.number, answer, user, entitled=entitled)
    except BaseException as error:
        await asyncio.to_thread(links.put_back, found.token, found.link)
        if isinstance(error, TypeError):
            return _asking(call, found, 400, given, str(error))
        if isinstance(error, NotAccepted):
            return page(409, "Your answer is not taken", one_line(str(error)))
        raise
    about = {"party": call.node.party.name, "user": user, "flow_id": task.flow_id}
    _LOG.info("question %d is answered by a link of %s", task.number, user, extra=about)
    return page(200, "Your answer is taken", "This link is used, and good no more.")


async def _found(call: Call) -> _Found | None:
    """The link, if it is good now for what is asked now, and its user may answer that."""
    token = call.request.path_params["token"]
    now_us = micros(call.node.now)
    link = await asyncio.to_thread(_links(call).find, token, now_us)
    caller = call.app.access.caller(link.user) if link is not None else None
    if link is None or caller is None:
        return None
    try:
        task: TaskView = call.node.task(link.flow_id, link.number)
    except KeyError:
        return None
    if version_of(task) != link.version or not caller.may("answer", task.role):
        return None
    return _Found(token, link, caller, task)


def _links(call: Call) -> Links:
    links = call.app.offer.links
    assert links is not None
    return links


def _is_other(call: Call, found: _Found) -> bool:
    """Whether it is known that somebody else has opened it."""
    return call.known is not None and call.known.name != found.link.user


def _is_known(call: Call, found: _Found) -> bool:
    return not found.link.identify or call.known is not None


def _other(call: Call, found: _Found) -> Response:
    text = "It was given to somebody else. Look at the questions that you may answer yourself."
    return page(403, "This link is not yours", text)


def _asking(call: Call, found: _Found, status: int, given: dict[str, str], wrong: str) -> Response:
    """The question and its form, with what was given before and what was wrong with it."""
    task, user = found.task, found.link.user
    is_known = _is_known(call, found)
    facts = [
        ("Asked by", f"{task.flow}, flow {task.flow_id} of {call.node.party.name}"),
        ("Asked of", task.role),
        ("Since", f"{task.since:%Y-%m-%d %H:%M} UTC"),
    ]
    if task.due is not None:
        facts.append(("Until", f"{task.due:%Y-%m-%d %H:%M} UTC"))
    if task.claimed and task.claimed != user:
        wrong = wrong or f"{task.claimed} has claimed this question: nobody else can answer it now."
    question = plain(task.question) if is_known else None
    fields = forms.fields_of(task.answer)
    return forms.asking(
        status, f"Answer as {user}", facts, question, fields, given, wrong, not is_known
    )


PAGES = (
    Operation(
        "GET",
        f"{PATH}{{token}}",
        show_link,
        "Show a question, and a form to answer it.",
        {200: str},
        is_page=True,
        content="text/html",
    ),
    Operation(
        "POST",
        f"{PATH}{{token}}",
        answer_link,
        "Answer it, by that form. One answer counts.",
        {200: str},
        is_page=True,
        content="text/html",
    ),
)
"""What there is where links are given."""
