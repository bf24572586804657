"""Pages and forms in HTML, without a script: a value of a declared type is asked for, and read back
as the JSON data that writes it. Everything is escaped; knows no route, no flow and no link.
"""

from __future__ import annotations

import html
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from flowrt.api import reading
from flowrt.api.reading import NotFitting, bare, is_case, wanted

POLICY = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
FIELD = "f."
"""With what the names begin of the fields of a form that are a record's."""

WHOLE = "answer"
"""The field of a form whose answer is no record."""

_EMPTY = (str, bytes)
"""Types of which an empty text is a value."""

_YES_NO = (("true", "yes"), ("false", "no"))


class Field(NamedTuple):
    """One field of a form: its name there, what it is called, what is wanted; among what is chosen
    (as it is sent, as it is shown), if it is a choice; whether it may be left out, or be None."""

    name: str
    label: str
    about: str
    choices: tuple[tuple[str, str], ...]
    kind: Any
    has_default: bool = False
    may_be_none: bool = False

    @property
    def optional(self) -> bool:
        """Whether it may stay empty."""
        return self.has_default or self.may_be_none


def fields_of(kind: Any) -> list[Field]:
    """The fields of the form that asks for a value of this type."""
    inner, _ = bare(kind)
    if _is_record(inner):
        return [
            _field(f"{FIELD}{one.name}", one.name, one.type, not one.required)
            for one in reading.fields_of(inner)
        ]
    return [_field(WHOLE, "The answer", kind)]


def data_of(kind: Any, given: Mapping[str, str]) -> Any:
    """The JSON data that a form's fields hold. Raises NotFitting."""
    found: dict[str, Any] = {}
    fields = fields_of(kind)
    unknown = set(given) - {field.name for field in fields}
    if unknown:
        raise NotFitting("the form has fields that were not asked for")
    for field in fields:
        text = given.get(field.name, "").replace("\r\n", "\n")
        if text or (field.kind in _EMPTY and not field.optional):
            found[field.name] = _data(field, text)
        elif field.may_be_none and not field.has_default:
            found[field.name] = None
    if _is_record(bare(kind)[0]):
        return {name.removeprefix(FIELD): value for name, value in found.items()}
    return found.get(WHOLE)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct) and not is_case(kind)


def _field(name: str, label: str, declared: Any, has_default: bool = False) -> Field:
    kind, may_be_none = bare(declared)
    choices: tuple[tuple[str, str], ...] = ()
    about = wanted(kind)
    if kind is bool:
        choices, about = _YES_NO, ""
    elif (cases := _plain_cases(kind)) is not None:
        choices, about = tuple((one, one) for one in cases), ""
    elif not _is_text(kind) and kind is not int:
        about = f"{about}, as JSON"
    return Field(name, label, about, choices, kind, has_default, may_be_none)


def _plain_cases(kind: Any) -> list[str] | None:
    """The names of an enum's cases, if none of them has fields."""
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    cases = typing.get_args(kind) if is_union else (kind,)
    if not all(is_case(one) and not one.__struct_fields__ for one in cases):
        return None
    return [str(one.__struct_config__.tag) for one in cases]


def _is_text(kind: Any) -> bool:
    return kind in reading.TEXTS


def _data(field: Field, text: str) -> Any:
    if field.choices:
        found = text if text in dict(field.choices) else None
        return found == "true" if field.kind is bool and found is not None else found
    if _is_text(field.kind):
        return text
    if field.kind is int:
        digits = text.strip()
        is_whole = digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit()
        return int(digits) if is_whole and len(digits) < 21 else text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotFitting(f"{field.label} is no JSON") from None


# --- pages ------------------------------------------------------------------------------------


def page(status: int, title: str, *texts: str) -> Response:
    """A page that says something."""
    return _response(status, title, "".join(f"<p>{shown(text)}</p>\n" for text in texts))


def asking(
    status: int,
    title: str,
    facts: Sequence[tuple[str, str]],
    question: Any,
    fields: Iterable[Field],
    given: Mapping[str, str],
    wrong: str,
    wants_token: bool,
) -> Response:
    """A page with a question (None: it is not shown) and a form that is sent to where it is."""
    rows = "".join(f"<dt>{shown(name)}</dt><dd>{shown(text)}</dd>\n" for name, text in facts)
    parts = [f"<dl>\n{rows}</dl>\n"]
    if question is not None:
        text = json.dumps(question, ensure_ascii=False, indent=2)
        parts.append(f"<h2>The question</h2>\n<pre>{shown(text)}</pre>\n")
    if wrong:
        parts.append(f'<p role="alert"><strong>{shown(wrong)}</strong></p>\n')
    parts.append('<form method="post">\n')
    parts += [_input(field, given.get(field.name, "")) for field in fields]
    if wants_token:
        parts.append(
            '<p><label>Your token<br><input type="password" name="token" required '
            'autocomplete="off"></label></p>\n'
        )
    parts.append('<p><button type="submit">Answer</button></p>\n</form>\n')
    return _response(status, title, "".join(parts))


def _input(field: Field, value: str) -> str:
    name, needed = shown(field.name), "" if field.optional else " required"
    label = shown(field.label)
    about = f" <small>({shown(field.about)})</small>" if field.about else ""
    if field.choices:
        options = "".join(
            f'<option value="{shown(one)}"{" selected" if one == value else ""}>{shown(text)}'
            "</option>"
            for one, text in (("", ""), *field.choices)
        )
        control = f'<select name="{name}"{needed}>{options}</select>'
    else:
        needed = "" if field.kind in _EMPTY else needed
        control = f'<textarea name="{name}" rows="2" cols="60"{needed}>\n{_kept(value)}</textarea>'
    return f"<p><label>{label}{about}<br>{control}</label></p>\n"


def _response(status: int, title: str, content: str) -> Response:
    whole = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{shown(title)}</title></head>\n'
        f"<body>\n<h1>{shown(title)}</h1>\n{content}</body>\n</html>\n"
    )
    response = Response(whole.encode(), status, media_type="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    # The address is a secret; the form's own request says from where it comes.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def shown(text: str) -> str:
    """A text in HTML, with whatever cannot be seen written out."""
    return html.escape(
        "".join(one if one.isprintable() or one == "\n" else f"\\u{ord(one):04x}" for one in text)
    )


def _kept(text: str) -> str:
    """What somebody wrote, as it was."""
    return html.escape(text.encode("utf-8", "replace").decode())
