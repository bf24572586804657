"""Spoiled programs: the compiler answers each with diagnostics, and soon. Never a traceback.

`make fuzz` tries `FLOW_FUZZ` of them (500,000 unless that says otherwise); the default suite tries
the same few each time.
"""

from __future__ import annotations

import functools
import os

import pytest

from tests.fuzz import trial
from tests.fuzz.mutations import Spoiler, corpus
from tests.test_codes import compiled

CHUNKS = 4
IN_CHUNK = 300
CAMPAIGN = int(os.environ.get("FLOW_FUZZ", "500000"))
CAMPAIGN_CHUNKS = 40
START = int(os.environ.get("FLOW_FUZZ_START", "1000000"))
"""The number of a campaign's first program, so that another campaign can try others."""


@functools.cache
def spoiler() -> Spoiler:
    return Spoiler(corpus())


def hold(start: int, count: int) -> None:
    troubles: dict[str, str] = {}
    for number in range(start, start + count):
        data = spoiler().spoiled(number)
        found = trial.judge(data)
        if found is not None and len(troubles) < 5:
            small = trial.smallest(data, found)
            troubles.setdefault(found[:60], f"--- number {number}: {found}\n{small!r}")
    assert not troubles, "\n".join(troubles.values())


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_spoiled_programs_are_answered(chunk: int) -> None:
    hold(chunk * IN_CHUNK, IN_CHUNK)


@pytest.mark.campaign
@pytest.mark.parametrize("chunk", range(CAMPAIGN_CHUNKS))
def test_many_spoiled_programs_are_answered(chunk: int) -> None:
    size = max(1, CAMPAIGN // CAMPAIGN_CHUNKS)
    hold(START + chunk * size, size)


FOUND = {
    "an empty name was looked for without end": (
        'flow F():\n    steps:\n      100:\n        log info "x"\n    else if a:\n        pass\n'
    ),
    "a colon and nothing below it": 'type Invoice = python "shop.invoices:Invoice":\n',
    "a colon, nothing below it, and more": (
        'type A = python "a:A":\ntype B = python "b:B":\n\nmessage M:\n    x: Int\n'
    ),
    "a sign that was a word of the language too": (
        "flow @() -> Int:\n    return 1\n\nrecord R:\n    @: Text\n"
    ),
}
"""Found by campaigns."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_right(name: str) -> None:
    assert trial.judge(FOUND[name].encode()) is None


def test_what_breaks_the_compiler_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a name")

    monkeypatch.setattr(trial, "compile_modules", broken)
    with pytest.raises(AssertionError, match="KeyError: 'a name'"):
        hold(0, 1)
    monkeypatch.setattr(trial, "SECONDS", -1.0)
    assert "takes" in (trial.judge(b"\xff") or "")


def test_a_sign_is_no_word() -> None:
    """Lark calls the sign `@` by the name that the word `at` had already."""
    made = compiled(
        "message M:\n    a: Int\n\nflow F(s: Session):\n    receive m: M from s at x:\n"
    )
    assert [found.code for found in made.diagnostics] == ["F100"]
    made = compiled("flow F():\n    let later = start G() @ now\n\nflow G():\n    pass\n")
    assert [found.code for found in made.diagnostics] == ["F100"]
