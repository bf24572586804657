"""One operation of the interface as a value: its path, what it takes and gives, what does it; and a
request to it, read and checked.

Knows no flow and serves nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import json
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from flowrt.api.access import Caller
from flowrt.api.trouble import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from flowrt.api.app import App

MOST_BODY = 1 << 20
"""How many bytes a request's body may have."""

MOST_WAIT_S = 60

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200

B = TypeVar("B")


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One of a query: `kind` is int, bool, str or datetime; a text is one of `choices`, or of a
    `pattern`, if there are such."""

    name: str
    kind: type
    about: str
    least: int = 0
    most: int = 2**63 - 1
    choices: tuple[str, ...] = ()
    pattern: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One route and method. `body` is the struct of what it takes, `answers` the struct of each
    status. `needs` says in words who may call it; without one anybody may, unknown. `is_page` is
    one for people, whose browser comes to it from anywhere."""

    method: str
    path: str
    do: Callable[[Call], Awaitable[Response]]
    about: str
    answers: Mapping[int, Any]
    needs: str = ""
    body: Any = None
    body_optional: bool = False
    query: tuple[Parameter, ...] = ()
    refusals: tuple[int, ...] = ()
    content: str = "application/json"
    is_page: bool = False

    @property
    def name(self) -> str:
        """What the OpenAPI document calls it."""
        return self.do.__name__


class Call:
    """A request to an operation, from somebody."""

    __slots__ = ("_caller", "app", "operation", "query", "request")

    def __init__(
        self, app: App, operation: Operation, request: Request, caller: Caller | None
    ) -> None:
        self.app = app
        self.operation = operation
        self.request = request
        self._caller = caller
        self.query = _query(operation, request)

    @property
    def node(self) -> Any:
        """The node that is asked."""
        return self.app.node

    @property
    def caller(self) -> Caller:
        """Who asks; only in operations that need somebody."""
        assert self._caller is not None
        return self._caller

    @property
    def known(self) -> Caller | None:
        """Who asks, if that is known."""
        return self._caller

    @property
    def flow_id(self) -> int:
        """The flow that the path names."""
        return self._number("id")

    def _number(self, name: str) -> int:
        text = self.request.path_params[name]
        # Larger ones no store has; a text of other digits is no number here.
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise Refused(404, "there is no such thing, or it is not yours to see")
        return int(text)

    @property
    def task(self) -> tuple[int, int]:
        """The task that the path names."""
        return self._number("flow"), self._number("number")

    async def body(self, kind: type[B]) -> B:
        """What was sent. Raises Refused."""
        data = await self.app.body_of(self.request)
        if not data and self.operation.body_optional:
            return kind()
        return typed(kind, data)

    async def form(self) -> dict[str, str]:
        """What the fields of a page's form hold. Raises Refused."""
        data = await self.app.body_of(self.request, FORM)
        try:
            found = urllib.parse.parse_qsl(
                data.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=bool(data),
                errors="strict",
                max_num_fields=MOST_FIELDS,
            )
        except ValueError:
            raise Refused(400, "the body is no form in UTF-8") from None
        if len(dict(found)) < len(found):
            raise Refused(400, "a field is given twice")
        return dict(found)

    def need(self, word: str, about: str = "", client: str | None = None) -> None:
        """Refuse who may not do that."""
        if not self.caller.may(word, about, client):
            what = f"{word} {about}".strip()
            raise Refused(
                403,
                f"{self.caller.name} has no permission for `{what}`",
                f"ask who runs the node for a role with `{what}`",
            )


def _query(operation: Operation, request: Request) -> dict[str, Any]:
    known = {one.name: one for one in operation.query}
    found: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        parameter = known.get(name)
        if parameter is None:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            hint = hint or f"known are: {', '.join(known) or 'none'}"
            raise Refused(400, "there is no such query parameter here", hint)
        if name in found:
            raise Refused(400, f"`{name}` is given twice")
        found[name] = _parameter(parameter, text)
    return found


def _parameter(one: Parameter, text: str) -> Any:
    wrong = Refused(400, f"`{one.name}` is not as it should be: {one.about}")
    if one.kind is int:
        digits = text.removeprefix("-") if one.least < 0 else text
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise wrong
        if not one.least <= int(text) <= one.most:
            raise Refused(400, f"`{one.name}` is a number from {one.least} to {one.most}")
        return int(text)
    if one.kind is bool:
        if text not in ("0", "1", "true", "false"):
            raise Refused(400, f"`{one.name}` is true or false")
        return text in ("1", "true")
    if one.kind is datetime.datetime:
        try:
            return msgspec.convert(text, datetime.datetime)
        except msgspec.ValidationError:
            raise wrong from None
    if one.choices and text not in one.choices:
        raise Refused(400, f"`{one.name}` is one of {', '.join(one.choices)}")
    if len(text) > 500 or "\x00" in text or not re.fullmatch(one.pattern or "(?s:.*)", text):
        raise wrong
    return text


def typed(kind: type[B], data: bytes) -> B:
    """A body's JSON as that struct. Raises Refused."""
    try:
        # As text: given bytes, the reader would guess at their encoding.
        text = data.decode()
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_number
        )
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise Refused(400, "the body is nested too deep") from None
    except ValueError as error:
        why = str(error) if isinstance(error, _Twice) else "it cannot be read"
        raise Refused(400, f"the body is not JSON in UTF-8: {why}") from None
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise Refused(400, f"the body is not as it should be: {_place(str(error))}") from None


_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""One half of a pair of surrogates: alone it is no text."""


class _Twice(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice("a name is given twice in one object")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _number(text: str) -> Any:
    found = float(text)
    if found in (float("inf"), float("-inf")):
        raise ValueError(text)
    return found


def _place(text: str) -> str:
    """A complaint of msgspec's without what was sent: only names of ours are repeated."""
    if "unknown field" in text:
        return "it has a field that is not known here"
    return text.replace("`$.", "`").replace("Object ", "the object ")
