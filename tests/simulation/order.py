"""A small program with everything that a made-up world must fill in, and its module."""

from __future__ import annotations

import functools
import sys
from types import ModuleType

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from tests.programs.machine import load

ORDER = """\
enum Size:
    Small
    Large(count: Int)

record Line:
    sku: Text
    size: Size

message Ask:
    line: Line

message Bid:
    price: Decimal

message Cancel:
    why: Text

record Question:
    price: Decimal

record Decision:
    buy: Bool

error SoldOut(sku: Text): "{sku} is sold out"

service Stock:
    read price(sku: Text) -> Decimal?
    write take(sku: Text) -> Int
    external book(sku: Text) -> Text
    external once charge(price: Decimal) -> Text

flow Buy(seller: Party, line: Line, patience: Duration = 1d) -> Text:
    startable by rpc
    open Sell with seller as talk
    send Ask(line) to talk then receive bid: Bid from talk:
        require bid.price >= 0.0 else SoldOut(line.sku)
    if bid.price > 10.0:
        let said = ask "boss": Question(bid.price) -> Decision within patience
        if not said.value.buy:
            return "no"
    return await Stock.charge(bid.price)

flow Sell() -> Int:
    responds to Buy as talk
    receive asked: Ask from talk unchecked
    let price = Stock.price(asked.line.sku)
    if price == none:
        throw SoldOut(asked.line.sku)
    let booked = await Stock.book(asked.line.sku)
    log info "{booked}"
    send Bid(price) to talk
    return Stock.take(asked.line.sku)

flow Count(seller: Party) -> Int:
    startable by rpc as owner
    receive cancel: Cancel from owner within 3d unchecked
    log info "{cancel.why} {seller}"
    return 1
"""

COUNTER = """\
message Ping:
    n: Int

service Book:
    write take() -> Int

flow Ask(whom: Party, rounds: Int) -> Int:
    startable by rpc
    open Tell with whom as talk
    var sum = 0
    var n = 0
    while n < rounds:
        send Ping(n) to talk then receive back: Ping from talk unchecked
        sum = sum + back.n
        n = n + 1
    return sum

flow Tell():
    responds to Ask as talk
    try:
        while true:
            receive ping: Ping from talk unchecked
            send Ping(ping.n + Book.take()) to talk
    catch SessionEnded:
        log info "over"
"""


def compiled(text: str, name: str) -> ModuleType:
    """The module of a program; importable under its name from then on, whatever had that name."""
    sys.modules[f"{name}_flow"] = module = _compiled(text, name)
    return module


@functools.cache
def _compiled(text: str, name: str) -> ModuleType:
    source = Source(f"{name}.flow", name, text)
    made = compile_modules([name], {name: source}.get, lambda: [name])
    assert not made.diagnostics, "".join(as_text(one, made.sources) for one in made.diagnostics)
    return load(generate(made.modules[name]), f"{name}_flow")
