"""Spoiled arguments of `flowc run`: read as the language writes them, or refused with a reason."""

from __future__ import annotations

import random
import time
import typing

import msgspec

from flowlang.arguments import NotAValue, value_of
from flowlang.run import CannotRun, arguments_of
from flowrt.core.values import decode, encode
from tests.fuzz import fair
from tests.fuzz.findings import Findings, described

SLOW_S = 2.0
"""For one argument; the parser reads it, whose tables take their time the first time."""

GOOD = [
    "true", "7", "-3", "12.50", '"a text"', "bob", 'Party("bob")', 'b"00ff"', "2h", "30s", "none",
    "2026-01-31T12:00:00Z", 'timestamp("2026-01-31T12:00:00Z")', "[1, 2]", "[]", "{}",
    '{"a": 1, "b": 2}', "{1: \"x\"}", "Loud(3)", "Mood.Calm", "Calm", 'Item("tea", 3.0, none)',
    'Item(name="tea", price=1.5, note="x")', '[Item("a", 1.0, none), Item("b", 2.0, none)]',
    'All(true, 7, "x", 1.5, b"00", timestamp("2026-01-31T12:00:00Z"), 2h, Party("x"), Loud(1), [],'
    ' {"a": 1}, {1: "x"}, none)',
    '{"flag":true,"count":7,"text":"x"}', '[1,2.5e3,null,"\\u0000"]', "rounds=3", "host=bob",
]  # fmt: skip
ODD = [
    "", " ", "\n", "\x00", "\ud800", "\u202e", "é", '"', '"""', "'", "\\", "(", ")" * 50, "[" * 300,
    "{" * 300, "-" * 300, "not " * 200, "9" * 5000, "1e999999", "NaN", "sNaN", "0.0000000001", "=",
    "==", ",", ":", ".", "::", "__class__", "eval(1)", "Item", "Item(", "F()", "me", "now", "#",
    '"{now}"', '"{', "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "99999d", "-1d",
    "9" * 20, "1.5.5", "0x1F", "true false", "return 1", "\n    return 2", "subflow F()", "[[]]",
    "null", '{"a":', "[1," * 200, '{"a":1,"a":2}', "\ufeff1", "Σ", "٣", "１", "x" * 20_000,
]  # fmt: skip


def one(number: int) -> str:
    choose = random.Random(f"argument {number}")
    text = choose.choice(GOOD)
    for _ in range(choose.choice((0, 1, 1, 2, 3))):
        at = choose.randrange(len(text) + 1)
        to = min(len(text), at + choose.choice((0, 0, 1, 2, 5, 20)))
        match choose.randrange(4):
            case 0:
                text = text[:at] + choose.choice(ODD) + text[to:]
            case 1:
                text = text[:at] + text[to:]
            case 2:
                text = text[:at] + choose.choice(GOOD) + text[to:]
            case _:
                text = text[:at] + text[at:to] * choose.choice((2, 3)) + text[to:]
    return text


def kinds() -> list[object]:
    """The type of every field of the message that has one of each."""
    module = fair.module()
    hints = typing.get_type_hints(module.All, include_extras=True)
    fields = [hints[field.name] for field in msgspec.structs.fields(module.All)]
    return [*fields, module.All, module.Said, module.Item]


def judge(text: str, kind: object) -> str | None:
    """What is wrong with how a text is read as a value of that type."""
    begun = time.process_time()
    try:
        value = value_of(text, kind, [fair.module()])
        if decode(kind, encode(value)) != value:
            return "it is another value when written again"
    except NotAValue as why:
        if not str(why):
            return "no reason is given"
    except BaseException as error:
        return described(error)
    return _slow(begun)


def judge_word(text: str) -> str | None:
    """What is wrong with how `key=value` is read as the flow's argument."""
    begun = time.process_time()
    module = fair.module()
    for key in ("about", "rounds", "host"):
        words = ["host=bob", "rounds=1", f"about={GOOD[24]}"]
        words = [word for word in words if not word.startswith(key)] + [f"{key}={text}"]
        try:
            arguments_of(module.Visit_v1, words, [module])
        except CannotRun as why:
            if not str(why):
                return "no reason is given"
        except BaseException as error:
            return described(error)
    return _slow(begun)


def _slow(begun: float) -> str | None:
    seconds = time.process_time() - begun
    return f"takes {seconds:.1f} s" if seconds > SLOW_S else None


def reading(first: int, count: int) -> Findings:
    """So many arguments, each as one or two types."""
    found = Findings("arguments read")
    every = kinds()
    judge("1", int)
    for number in range(first, first + count):
        text = one(number)
        trouble = judge(text, random.Random(number).choice(every))
        if trouble is None and number % 4 == 0:
            trouble = judge_word(text)
        found.add(number, trouble, text.encode("utf-8", "surrogatepass"))
    return found.done()
