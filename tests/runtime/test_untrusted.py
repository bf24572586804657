"""Results that nobody checked: the compiler's rule costs nothing when the flow runs."""

from __future__ import annotations

import pytest

from flowlang.compiler import compile_modules
from flowlang.source import Source
from tests.runtime.written import ALICE, BOB, Stage, compiled

HEAD = """
message Offer:
    price: Int
    notes: List[Text]

error Wrong

flow Ask(of: Party) -> Int:
    startable by rpc
    open Tell with of as talk
{body}

flow Listen(talk: Session) -> untrusted Offer:
    receive offer: Offer from talk:
        require offer.price != 0 else Wrong()
    return offer

flow Tell():
    responds to Ask as talk
    send Offer(7, ["one"]) to talk

function twice(n: Int) -> Int = python "shop:twice"
function sure(offer: untrusted Offer) -> Bool = python "shop:sure"
"""

CHECKED = """
    let offer = subflow Listen(talk)
    require offer.price < 10 else Wrong()
    return offer.price
"""


@pytest.mark.parametrize("crashes", [False, True])
def test_a_checked_result_is_used(crashes: bool) -> None:
    program = compiled(HEAD.replace("{body}", CHECKED))
    assert Stage(program, ALICE, BOB, crashes=crashes).run(program.Ask_v1, of=BOB) == 7


RIGHT = {
    "part by part": "let offer = subflow Listen(talk)\nrequire offer.price > 1 else Wrong()\n"
    "return twice(offer.price)",
    "as a whole": "let offer = subflow Listen(talk)\nrequire sure(offer) else Wrong()\n"
    "return offer.price + offer.notes.size",
    "each round": "var sum = 0\nwhile sum < 10:\n    let offer = subflow Listen(talk)\n"
    "    require offer.price > 1 else Wrong()\n    sum = sum + offer.price\nreturn sum",
}

WRONG = {
    "at once": "let offer = subflow Listen(talk)\nreturn offer.price",
    "another part": "let offer = subflow Listen(talk)\nrequire offer.notes.size > 1 else Wrong()\n"
    "return offer.price",
    "in a record": "let offer = subflow Listen(talk)\nlet other = Offer(offer.price, [])\n"
    "return other.price",
    "in a list": "let offer = subflow Listen(talk)\nlet all = [1, offer.price]\nreturn all[1]",
    "in a map": "let offer = subflow Listen(talk)\nlet all = {1: offer.price}\nreturn all[1]",
    "as a key": "let offer = subflow Listen(talk)\nlet all = {offer.price: 1}\nreturn all[1]",
    "in a text": 'let offer = subflow Listen(talk)\nlet told = "{offer.price}"\nreturn told.size',
    "in a loop": "let offer = subflow Listen(talk)\nfor note in offer.notes:\n"
    "    return note.size\nreturn 0",
    "given on": "let offer = subflow Listen(talk)\nreturn twice(offer.price)",
    "in a var": "let offer = subflow Listen(talk)\nvar price = offer.price\nreturn price",
    "the next one": "var offer = subflow Listen(talk)\nrequire offer.price > 1 else Wrong()\n"
    "var n = 0\nwhile n < 2:\n    n = n + 1\n    let more = subflow Listen(talk)\n"
    "    if more.notes.size > 3:\n        return more.price\nreturn offer.price",
    "sent": "let offer = subflow Listen(talk)\nsend offer to talk\nreturn 1",
    "after a catch": "var n = 0\ntry:\n    let offer = subflow Listen(talk)\n    n = offer.price\n"
    "catch Wrong:\n    pass\nreturn n",
}


def codes(body: str) -> list[str]:
    text = HEAD.replace("{body}", "\n".join(f"    {line}" for line in body.split("\n")))
    source = Source("a.flow", "a", text)
    return [found.code for found in compile_modules(["a"], {"a": source}.get).diagnostics]


@pytest.mark.parametrize("name", RIGHT)
def test_what_was_checked_may_be_used(name: str) -> None:
    assert codes(RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_was_not_checked_may_not(name: str) -> None:
    found = codes(WRONG[name])
    assert found
    assert set(found) <= {"F501", "F502", "F513"}
