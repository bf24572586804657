"""A form asks for a value of any type, and what it holds is that value; a page shows what it is
given, and does nothing of it."""

from __future__ import annotations

import html
import json
import re
from types import ModuleType
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from flowrt.api import forms
from flowrt.api.reading import NotFitting, read
from flowrt.core.values import plain
from flowrt.testing.strategies import values_of
from tests.api.test_reading import zoo as zoo
from tests.runtime.written import compiled

OFFICE = """
enum Verdict:
    Approve
    Decline

record Form:
    verdict: Verdict
"""


@pytest.fixture(scope="module")
def office() -> ModuleType:
    return compiled(
        "enum Verdict:\n    Approve\n    Decline\n\nrecord Form:\n    verdict: Verdict\n"
    )


def _filled(kind: Any, value: Any) -> dict[str, str]:
    """A form, filled in by somebody who means that value."""
    data = plain(value)
    found = {}
    for field in forms.fields_of(kind):
        one = data if field.name == forms.WHOLE else data[field.name.removeprefix(forms.FIELD)]
        if one is None:
            continue
        is_text = type(one) is str and (field.choices or field.kind in forms.reading.TEXTS)
        found[field.name] = one if is_text else json.dumps(one)
    return found


def test_what_a_form_holds_is_the_value_that_was_meant(zoo: ModuleType) -> None:
    @hypothesis.settings(max_examples=60, deadline=None, database=None)
    @hypothesis.given(values_of(zoo.Animal))
    def there_and_back(value: Any) -> None:
        # A page sends ends of lines in its own way.
        hypothesis.assume("\r" not in value.name)
        try:
            wanted = read(zoo.Animal, plain(value), "it")
        except NotFitting:
            return
        data = forms.data_of(zoo.Animal, _filled(zoo.Animal, value))
        assert read(zoo.Animal, data, "it") == wanted

    there_and_back()


def test_answers_that_are_no_records(zoo: ModuleType, office: ModuleType) -> None:
    verdict, sad = office.Verdict, zoo.Mood
    [choice] = forms.fields_of(verdict)
    assert (choice.name, choice.choices) == (
        forms.WHOLE,
        (("Approve", "Approve"), ("Decline", "Decline")),
    )
    for kind, text, data in (
        (verdict, "Approve", "Approve"),
        (bool, "false", False),
        (int, " -12 ", -12),
        (str, "", ""),
        (str, "a\r\nb", "a\nb"),
        (sad, '{"Sad": {"why": "rain", "since": "2026-01-31T12:00:00Z"}}', ...),
        (sad, '"Glad"', "Glad"),
    ):
        found = forms.data_of(kind, {forms.WHOLE: text})
        assert data is ... or found == data
        read(kind, found, "answer")
    assert forms.data_of(office.Form, {"f.verdict": "Decline"}) == {"verdict": "Decline"}
    for kind, given in (
        (verdict, {forms.WHOLE: "Maybe"}),
        (verdict, {}),
        (bool, {forms.WHOLE: "1"}),
        (int, {forms.WHOLE: "²"}),
        (int, {forms.WHOLE: "9" * 5000}),
        (int, {forms.WHOLE: ""}),
        (sad, {forms.WHOLE: "{"}),
        (office.Form, {"verdict": "Decline"}),
        (office.Form, {"f.verdict": "Decline", "token": "x"}),
    ):
        with pytest.raises(NotFitting):
            read(kind, forms.data_of(kind, given), "answer")


TAGS = frozenset(
    re.findall(
        r"\S+",
        "!doctype html head meta title /title /head body h1 /h1 h2 /h2 dl dt /dt dd /dd /dl pre "
        "/pre p /p strong /strong form /form label /label small /small br textarea /textarea "
        "select option /option /select input button /button /body /html",
    )
)
NASTY = "<script>alert(1)</script>\"'&</textarea></pre>\u202e\x00"


@hypothesis.settings(max_examples=30, deadline=None, database=None)
@hypothesis.given(st.text(max_size=20).map(lambda text: text + NASTY))
def test_r35_a_page_does_nothing_of_what_it_shows(text: str) -> None:
    field = forms.Field(f"f.{text}", text, text, (), int)
    choice = field._replace(choices=((text, text),))
    shown = forms.asking(
        200, text, [(text, text)], {text: text}, [field, choice], {field.name: text}, text, True
    )
    said = forms.page(404, text, text)
    for response in (shown, said):
        page = bytes(response.body).decode()
        assert set(re.findall(r"<([^\s>]+)", page)) <= TAGS
        assert "script-src" not in response.headers["content-security-policy"]
        assert "\u202e" not in re.sub(r"<textarea.*?</textarea>", "", page, flags=re.S)
        assert html.escape("<script>alert(1)</script>\"'&") in page
