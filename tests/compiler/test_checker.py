"""The checker: programs, and everything that is said about them, word for word."""

# ruff: noqa: E501 — what is printed is held as it is printed, however long its lines are.

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import random
import re
from collections.abc import Iterator

import pytest

from flowlang import checker, syntax
from flowlang.checker import check, trees
from flowlang.diagnostics import as_text
from flowlang.parser import parse
from flowlang.source import Source
from flowlang.types import (
    INT,
    Checked,
    ErrorInfo,
    FlowInfo,
    Named,
    OperationInfo,
    OptionalType,
    RecordInfo,
    Unknown,
)
from tests.work import calls

FOLDER = pathlib.Path(checker.__file__).parent


def checked(text: str, module: str = "trade", **files: str) -> Checked:
    """`text` checked; `files` are the modules that it uses."""
    imports = {name: checked(other, name) for name, other in files.items()}
    source = Source(f"{module}.flow", module, inspect.cleandoc(text) + "\n")
    parsed = parse(source)
    assert [str(found) for found in parsed.diagnostics] == []
    return check(parsed.file, source, imports)


def said(text: str, **files: str) -> str:
    """All that is said about `text`."""
    result = checked(text, **files)
    sources = {result.source.name: result.source}
    for name, other in files.items():
        source = Source(f"{name}.flow", name, inspect.cleandoc(other) + "\n")
        sources[source.name] = source
    return "\n".join(as_text(found, sources) for found in result.diagnostics)


def said_of_broken(text: str) -> list[str]:
    """The codes and lines of what is said about a text of which a part cannot be read."""
    source = Source("trade.flow", "trade", inspect.cleandoc(text) + "\n")
    parsed = parse(source)
    assert parsed.diagnostics
    found = check(parsed.file, source, {}).diagnostics
    return [f"{one.code}:{one.span.line}" for one in found]


# --- every complaint ------------------------------------------------------------------------------

COMPLAINTS = {
    "F201 a variable that nobody declared": (
        """
        flow F(price: Int) -> Int:
            return prise + prise
        """,
        """
        error[F201]: there is no variable `prise` here
          --> trade.flow:2:12
           |
         2 |     return prise + prise
           |            ^^^^^
         help: did you mean `price`?
        """,
    ),
    "F201 a variable whose block has ended": (
        """
        flow F(price: Int) -> Int:
            if price > 3:
                let tax = 1
            return tax
        """,
        """
        error[F201]: there is no variable `tax` here
          --> trade.flow:4:12
           |
         4 |     return tax
           |            ^^^
         note: this `tax` lived only until the end of its block
          --> trade.flow:3:13
           |
         3 |         let tax = 1
           |             ^^^
         help: declare it before the block, with `var`, and assign to it inside
        """,
    ),
    "F202 a type that nobody declared": (
        """
        message Offer:
            price: Mony
            tax: Mony
            name: Texd
            note: string
        """,
        """
        error[F202]: there is no type `Mony`
          --> trade.flow:2:12
           |
         2 |     price: Mony
           |            ^^^^
         help: declare it, or take it from another file with `use`

        error[F202]: there is no type `Texd`
          --> trade.flow:4:11
           |
         4 |     name: Texd
           |           ^^^^
         help: did you mean `Text`?

        error[F202]: there is no type `string`
          --> trade.flow:5:11
           |
         5 |     note: string
           |           ^^^^^^
         help: write `Text`
        """,
    ),
    "F203 flows, errors and functions that nobody declared": (
        """
        error Refused: "refused"
        function total(x: Int) -> Int = python "shop.prices:total"
        flow F(bob: Party) -> Int:
            open Buyer with bob as s
            try:
                pass
            catch Refuse:
                pass
            return totl(1) + len(1)
        """,
        """
        error[F203]: there is no flow `Buyer`
          --> trade.flow:4:10
           |
         4 |     open Buyer with bob as s
           |          ^^^^^
         help: declare it, or take it from another file with `use`

        error[F203]: there is no error `Refuse`
          --> trade.flow:7:11
           |
         7 |     catch Refuse:
           |           ^^^^^^
         help: did you mean `Refused`?

        error[F203]: there is no function `totl`
          --> trade.flow:9:12
           |
         9 |     return totl(1) + len(1)
           |            ^^^^
         help: did you mean `total`?

        error[F203]: there is no function `len`
          --> trade.flow:9:22
           |
         9 |     return totl(1) + len(1)
           |                      ^^^
         help: the size of a value is its `.size`
        """,
    ),
    "F205 another kind of thing": (
        """
        record Line:
            sku: Text
        flow F(bob: Party, of: F) -> Int:
            try:
                open Line with bob as s
            catch Line:
                return F
            return Text
        """,
        """
        error[F205]: `F` is a flow, but a type is wanted here
          --> trade.flow:3:24
           |
         3 | flow F(bob: Party, of: F) -> Int:
           |                        ^
         note: `F` is declared here
          --> trade.flow:3:6
           |
         3 | flow F(bob: Party, of: F) -> Int:
           |      ^

        error[F205]: `Line` is a record, but a flow is wanted here
          --> trade.flow:5:14
           |
         5 |         open Line with bob as s
           |              ^^^^
         note: `Line` is declared here
          --> trade.flow:1:8
           |
         1 | record Line:
           |        ^^^^

        error[F205]: `Line` is a record, but an error is wanted here
          --> trade.flow:6:11
           |
         6 |     catch Line:
           |           ^^^^
         note: `Line` is declared here
          --> trade.flow:1:8
           |
         1 | record Line:
           |        ^^^^

        error[F205]: `F` is a flow, but a value is wanted here
          --> trade.flow:7:16
           |
         7 |         return F
           |                ^
         note: `F` is declared here
          --> trade.flow:3:6
           |
         3 | flow F(bob: Party, of: F) -> Int:
           |      ^
         help: run it: `subflow F(…)`

        error[F205]: `Text` is a built-in type, but a value is wanted here
          --> trade.flow:8:12
           |
         8 |     return Text
           |            ^^^^
        """,
    ),
    "F206 two declarations of one name": (
        """
        record Order:
            sku: Text
        flow Order():
            pass
        """,
        """
        error[F206]: `Order` is already a record in this file
          --> trade.flow:3:6
           |
         3 | flow Order():
           |      ^^^^^
         note: it is first declared here
          --> trade.flow:1:8
           |
         1 | record Order:
           |        ^^^^^
         help: give one of them another name
        """,
    ),
    "F207 two fields, parameters, operations, steps and states of one name": (
        """
        message Line:
            sku: Text
            sku: Int
        service Desk:
            read limit(x: Int, x: Int) -> Int
            write limit()
            write it()
            write it()
        error Refused(why: Text, why: Text): "{why}"
        flow F(a: Party, a: Party, s: Session):
            steps:
                ASKING "Asking"
                ASKING "Asking again"
            receive x: Line from s @offer unchecked
            receive y: Line from s @offer unchecked
        """,
        """
        error[F207]: `sku` is declared twice
          --> trade.flow:3:5
           |
         3 |     sku: Int
           |     ^^^
         note: it is first declared here
          --> trade.flow:2:5
           |
         2 |     sku: Text
           |     ^^^
         help: rename or remove one of the two

        error[F207]: `x` is declared twice
          --> trade.flow:5:24
           |
         5 |     read limit(x: Int, x: Int) -> Int
           |                        ^
         note: it is first declared here
          --> trade.flow:5:16
           |
         5 |     read limit(x: Int, x: Int) -> Int
           |                ^
         help: rename or remove one of the two

        error[F207]: `limit` is declared twice
          --> trade.flow:6:11
           |
         6 |     write limit()
           |           ^^^^^
         note: it is first declared here
          --> trade.flow:5:10
           |
         5 |     read limit(x: Int, x: Int) -> Int
           |          ^^^^^
         help: rename or remove one of the two

        error[F207]: `it` is declared twice
          --> trade.flow:8:11
           |
         8 |     write it()
           |           ^^
         note: it is first declared here
          --> trade.flow:7:11
           |
         7 |     write it()
           |           ^^
         help: rename or remove one of the two

        error[F207]: `why` is declared twice
          --> trade.flow:9:26
           |
         9 | error Refused(why: Text, why: Text): "{why}"
           |                          ^^^
         note: it is first declared here
          --> trade.flow:9:15
           |
         9 | error Refused(why: Text, why: Text): "{why}"
           |               ^^^
         help: rename or remove one of the two

        error[F207]: `a` is declared twice
          --> trade.flow:10:18
            |
         10 | flow F(a: Party, a: Party, s: Session):
            |                  ^
         note: it is first declared here
          --> trade.flow:10:8
            |
         10 | flow F(a: Party, a: Party, s: Session):
            |        ^
         help: rename or remove one of the two

        error[F207]: `ASKING` is declared twice
          --> trade.flow:13:9
            |
         13 |         ASKING "Asking again"
            |         ^^^^^^
         note: it is first declared here
          --> trade.flow:12:9
            |
         12 |         ASKING "Asking"
            |         ^^^^^^
         help: rename or remove one of the two

        error[F207]: `@offer` is declared twice
          --> trade.flow:15:29
            |
         15 |     receive y: Line from s @offer unchecked
            |                             ^^^^^
         note: it is first declared here
          --> trade.flow:14:29
            |
         14 |     receive x: Line from s @offer unchecked
            |                             ^^^^^
         help: rename one of the two
        """,
    ),
    "F208 a name that is still alive": (
        """
        flow F(price: Int):
            var tax = 1
            if price > 3:
                let tax = 2
            for price in [1, 2]:
                pass
        """,
        """
        error[F208]: `tax` is already a variable here
          --> trade.flow:4:13
           |
         4 |         let tax = 2
           |             ^^^
         note: `tax` is declared here
          --> trade.flow:2:9
           |
         2 |     var tax = 1
           |         ^^^
         help: to give it a new value, write `tax = …`

        error[F208]: `price` is already a parameter here
          --> trade.flow:5:9
           |
         5 |     for price in [1, 2]:
           |         ^^^^^
         note: `price` is declared here
          --> trade.flow:1:8
           |
         1 | flow F(price: Int):
           |        ^^^^^
         help: choose another name; a name means one thing as long as it lives
        """,
    ),
    "F208 not for blocks side by side": (
        """
        flow F(price: Int):
            if price > 3:
                let tax = 1
            else:
                let tax = "none"
            let tax = 2.5
        """,
        """
        """,
    ),
    "F209 a variable named like a declaration": (
        """
        function total(x: Int) -> Int = python "shop.prices:total"
        flow F() -> Int:
            let total = total(3)
            return total
        """,
        """
        error[F209]: `total` is already a function
          --> trade.flow:3:9
           |
         3 |     let total = total(3)
           |         ^^^^^
         note: `total` is declared here
          --> trade.flow:1:10
           |
         1 | function total(x: Int) -> Int = python "shop.prices:total"
           |          ^^^^^
         help: choose another name for the variable
        """,
    ),
    "F210 names that every file has": (
        """
        record Int:
            x: Text
        error Malformed: "no"
        flow F(me: Party, s: Session):
            let now = 3
            let divide = 4
        """,
        """
        error[F210]: `Int` is a built-in type and cannot be declared again
          --> trade.flow:1:8
           |
         1 | record Int:
           |        ^^^
         help: choose another name

        error[F210]: `Malformed` is a built-in error and cannot be declared again
          --> trade.flow:3:7
           |
         3 | error Malformed: "no"
           |       ^^^^^^^^^
         help: choose another name

        error[F210]: `me` is a built-in value and cannot be declared again
          --> trade.flow:4:8
           |
         4 | flow F(me: Party, s: Session):
           |        ^^
         help: choose another name

        error[F210]: `now` is a built-in value and cannot be declared again
          --> trade.flow:5:9
           |
         5 |     let now = 3
           |         ^^^
         help: choose another name

        error[F210]: `divide` is a built-in function and cannot be declared again
          --> trade.flow:6:9
           |
         6 |     let divide = 4
           |         ^^^^^^
         help: choose another name
        """,
    ),
    "F210 states that every flow has": (
        """
        message Ping:
            n: Int
        flow F(s: Session):
            receive x: Ping from s @result unchecked
        """,
        """
        error[F210]: `@result` would become the state `Result`, which every flow has already
          --> trade.flow:4:29
           |
         4 |     receive x: Ping from s @result unchecked
           |                             ^^^^^^
         help: choose another name
        """,
    ),
    "F211 how names are written": (
        """
        record order_line:
            unitPrice: Decimal
        error notFound: "not found"
        function Total(x: Int) -> Int = python "shop.prices:total"
        service desk:
            read onHand(Sku: Text) -> Int
        message Ping:
            n: Int
        flow buy_it(s: Session):
            steps:
                Asking "Asking"
            step ASKING
            let lastPrice = 3
            let tax_ = lastPrice
            receive aPing: Ping from s @lastPing unchecked
        """,
        """
        error[F211]: the name of a record is written in UpperCamel, without `_`
          --> trade.flow:1:8
           |
         1 | record order_line:
           |        ^^^^^^^^^^
         help: write `OrderLine`

        error[F211]: the name of a field is written in lower case, with `_` between words
          --> trade.flow:2:5
           |
         2 |     unitPrice: Decimal
           |     ^^^^^^^^^
         help: write `unit_price`

        error[F211]: the name of an error is written in UpperCamel, without `_`
          --> trade.flow:3:7
           |
         3 | error notFound: "not found"
           |       ^^^^^^^^
         help: write `NotFound`

        error[F211]: the name of a function is written in lower case, with `_` between words
          --> trade.flow:4:10
           |
         4 | function Total(x: Int) -> Int = python "shop.prices:total"
           |          ^^^^^
         help: write `total`

        error[F211]: the name of a service is written in UpperCamel, without `_`
          --> trade.flow:5:9
           |
         5 | service desk:
           |         ^^^^
         help: write `Desk`

        error[F211]: the name of an operation is written in lower case, with `_` between words
          --> trade.flow:6:10
           |
         6 |     read onHand(Sku: Text) -> Int
           |          ^^^^^^
         help: write `on_hand`

        error[F211]: the name of a parameter is written in lower case, with `_` between words
          --> trade.flow:6:17
           |
         6 |     read onHand(Sku: Text) -> Int
           |                 ^^^
         help: write `sku`

        error[F211]: the name of a flow is written in UpperCamel, without `_`
          --> trade.flow:9:6
           |
         9 | flow buy_it(s: Session):
           |      ^^^^^^
         help: write `BuyIt`

        error[F211]: the name of a progress step is written in UPPER CASE, with `_` between words
          --> trade.flow:11:9
            |
         11 |         Asking "Asking"
            |         ^^^^^^
         help: write `ASKING`

        error[F211]: the name of a variable is written in lower case, with `_` between words
          --> trade.flow:13:9
            |
         13 |     let lastPrice = 3
            |         ^^^^^^^^^
         help: write `last_price`

        error[F211]: the name of a variable is written in lower case, with `_` between words
          --> trade.flow:14:9
            |
         14 |     let tax_ = lastPrice
            |         ^^^^
         help: write `tax`

        error[F211]: the name of a received message is written in lower case, with `_` between words
          --> trade.flow:15:13
            |
         15 |     receive aPing: Ping from s @lastPing unchecked
            |             ^^^^^
         help: write `a_ping`

        error[F211]: the name of a state is written in lower case, with `_` between words
          --> trade.flow:15:33
            |
         15 |     receive aPing: Ping from s @lastPing unchecked
            |                                 ^^^^^^^^
         help: write `last_ping`
        """,
    ),
    "F212 parts that a value does not have": (
        """
        record Line:
            sku: Text
            count: Int
        flow F(line: Line, lines: List[Line], bob: Party):
            log info "{line.sky} {line.price} {lines.length} {bob.address} {line.count.size}"
        """,
        """
        error[F212]: Line has no `sky`
          --> trade.flow:5:21
           |
         5 |     log info "{line.sky} {line.price} {lines.length} {bob.address} {line.count.size}"
           |                     ^^^
         note: `Line` is declared here
          --> trade.flow:1:8
           |
         1 | record Line:
           |        ^^^^
         help: it has `sku` and `count`

        error[F212]: Line has no `price`
          --> trade.flow:5:32
           |
         5 |     log info "{line.sky} {line.price} {lines.length} {bob.address} {line.count.size}"
           |                                ^^^^^
         note: `Line` is declared here
          --> trade.flow:1:8
           |
         1 | record Line:
           |        ^^^^
         help: it has `sku` and `count`

        error[F212]: List[Line] has no `length`
          --> trade.flow:5:46
           |
         5 |     log info "{line.sky} {line.price} {lines.length} {bob.address} {line.count.size}"
           |                                              ^^^^^^
         help: write `.size`

        error[F212]: Party has no `address`
          --> trade.flow:5:59
           |
         5 |     log info "{line.sky} {line.price} {lines.length} {bob.address} {line.count.size}"
           |                                                           ^^^^^^^
         help: it has `name`

        error[F212]: Int has no `size`
          --> trade.flow:5:80
           |
         5 |     log info "{line.sky} {line.price} {lines.length} {bob.address} {line.count.size}"
           |                                                                                ^^^^
        """,
    ),
    "F213 an operation that a service does not have": (
        """
        service Desk:
            read limit(sku: Text) -> Int
            write note(line: Text)
        flow F() -> Int:
            Desk.not("x")
            return Desk.lowest("a")
        """,
        """
        error[F213]: `Desk` has no operation `not`
          --> trade.flow:5:10
           |
         5 |     Desk.not("x")
           |          ^^^
         note: `Desk` is declared here
          --> trade.flow:1:9
           |
         1 | service Desk:
           |         ^^^^
         help: did you mean `note`?

        error[F213]: `Desk` has no operation `lowest`
          --> trade.flow:6:17
           |
         6 |     return Desk.lowest("a")
           |                 ^^^^^^
         note: `Desk` is declared here
          --> trade.flow:1:9
           |
         1 | service Desk:
           |         ^^^^
         help: it has `limit` and `note`
        """,
    ),
    "F214 a progress step that the flow does not have": (
        """
        flow F():
            steps:
                ASKING "Asking"
            step ASKNG
        flow G():
            step ASKING
        """,
        """
        error[F214]: this flow has no progress step `ASKNG`
          --> trade.flow:4:10
           |
         4 |     step ASKNG
           |          ^^^^^
         help: did you mean `ASKING`?

        error[F214]: this flow has no progress step `ASKING`
          --> trade.flow:6:10
           |
         6 |     step ASKING
           |          ^^^^^^
         help: declare it at the top of the flow, under `steps:`: `ASKING "…"`
        """,
    ),
    "F215 ways of rounding": (
        """
        flow F(x: Decimal) -> Decimal:
            let mode = HALF_UP
            let y = divide(x, 3.0, 2, HALF_EVN)
            return divide(x, y, 2, "x")
        """,
        """
        error[F215]: `HALF_UP` is a way of rounding, which only `divide` takes
          --> trade.flow:2:16
           |
         2 |     let mode = HALF_UP
           |                ^^^^^^^
         help: write `divide(x, y, places, HALF_UP)`

        error[F215]: the name of a way of rounding is wanted here
          --> trade.flow:3:31
           |
         3 |     let y = divide(x, 3.0, 2, HALF_EVN)
           |                               ^^^^^^^^
         help: did you mean `HALF_EVEN`?

        error[F215]: the name of a way of rounding is wanted here
          --> trade.flow:4:28
           |
         4 |     return divide(x, y, 2, "x")
           |                            ^^^
         help: one of `UP`, `DOWN`, `HALF_UP`, `HALF_DOWN`, `HALF_EVEN`, `CEILING` or `FLOOR`
        """,
    ),
    "F301 a value of another type": (
        """
        record Line:
            sku: Text
            price: Decimal
        function total(lines: List[Line]) -> Decimal = python "shop.prices:total"
        flow F(bob: Party, line: Line, s: Session) -> Int:
            let count: Int = bob
            if count:
                log info count
            while "yes":
                sleep 5
            let other = Line(bob, 5)
            let sum = total(line)
            send 1 to bob
            open G with s as t
            return sum
        message Ping:
            n: Int
        flow G():
            responds to F as f
            return
        """,
        """
        error[F301]: this is Party, but Int is wanted
          --> trade.flow:6:22
           |
         6 |     let count: Int = bob
           |                      ^^^
         note: `bob` is declared here, as Party
          --> trade.flow:5:8
           |
         5 | flow F(bob: Party, line: Line, s: Session) -> Int:
           |        ^^^

        error[F301]: this is Int, but Bool is wanted
          --> trade.flow:7:8
           |
         7 |     if count:
           |        ^^^^^
         note: `count` is declared here, as Int
          --> trade.flow:6:9
           |
         6 |     let count: Int = bob
           |         ^^^^^
         help: compare it: `count != 0`

        error[F301]: this is Int, but Text is wanted
          --> trade.flow:8:18
           |
         8 |         log info count
           |                  ^^^^^
         note: `count` is declared here, as Int
          --> trade.flow:6:9
           |
         6 |     let count: Int = bob
           |         ^^^^^
         help: write it into a text: `"{count}"`

        error[F301]: this is Text, but Bool is wanted
          --> trade.flow:9:11
           |
         9 |     while "yes":
           |           ^^^^^

        error[F301]: this is Int, but Duration is wanted
          --> trade.flow:10:15
            |
         10 |         sleep 5
            |               ^
         help: give it a unit: `5s`

        error[F301]: this is Party, but Text is wanted
          --> trade.flow:11:22
            |
         11 |     let other = Line(bob, 5)
            |                      ^^^
         note: `sku` is declared here
          --> trade.flow:2:5
           |
         2 |     sku: Text
           |     ^^^^^^^^^
         help: its name is `bob.name`

        error[F301]: this is Int, but Decimal is wanted
          --> trade.flow:11:27
            |
         11 |     let other = Line(bob, 5)
            |                           ^
         note: `price` is declared here
          --> trade.flow:3:5
           |
         3 |     price: Decimal
           |     ^^^^^^^^^^^^^^
         help: write `5.0`

        error[F301]: this is Line, but List[Line] is wanted
          --> trade.flow:12:21
            |
         12 |     let sum = total(line)
            |                     ^^^^
         note: `lines` is declared here
          --> trade.flow:4:16
           |
         4 | function total(lines: List[Line]) -> Decimal = python "shop.prices:total"
           |                ^^^^^^^^^^^^^^^^^
         help: put it into a list: `[line]`

        error[F601]: this is Int, and only messages can be sent
          --> trade.flow:13:10
            |
         13 |     send 1 to bob
            |          ^
         help: declare a message with a field for it, such as `value: Int`, and use that

        error[F301]: this is Party, but Session is wanted
          --> trade.flow:13:15
            |
         13 |     send 1 to bob
            |               ^^^
         note: `bob` is declared here, as Party
          --> trade.flow:5:8
           |
         5 | flow F(bob: Party, line: Line, s: Session) -> Int:
           |        ^^^
         help: open a session first: `open F with bob as s`

        error[F301]: this is Session, but Party is wanted
          --> trade.flow:14:17
            |
         14 |     open G with s as t
            |                 ^
         note: `s` is declared here, as Session
          --> trade.flow:5:32
           |
         5 | flow F(bob: Party, line: Line, s: Session) -> Int:
           |                                ^
         help: the party at its other end is `s.peer`

        error[F301]: this is Decimal, but Int is wanted
          --> trade.flow:15:12
            |
         15 |     return sum
            |            ^^^
         note: the result is declared here
          --> trade.flow:5:47
           |
         5 | flow F(bob: Party, line: Line, s: Session) -> Int:
           |                                               ^^^
        """,
    ),
    "F302 operators that do not apply": (
        """
        flow F(n: Int, d: Decimal, t: Text, at: Timestamp, xs: List[Int]):
            let a = n + d
            let b = t + n
            let c = d // d
            let e = at + 5
            let f = 5m + at
            let g = xs + 1
            let h = -t
            let i = "a" in t
            let j = true + true
        """,
        """
        error[F302]: `+` does not apply to Int and Decimal
          --> trade.flow:2:13
           |
         2 |     let a = n + d
           |             ^^^^^
         help: convert the Int with `decimal(…)`; Int and Decimal do not mix by themselves

        error[F302]: `+` does not apply to Text and Int
          --> trade.flow:3:13
           |
         3 |     let b = t + n
           |             ^^^^^
         help: put both into one text: `"{a}{b}"`

        error[F302]: `//` does not apply to Decimal
          --> trade.flow:4:13
           |
         4 |     let c = d // d
           |             ^^^^^^
         help: divide a Decimal with `divide(x, y, places, HALF_EVEN)`

        error[F302]: `+` does not apply to Timestamp and Int
          --> trade.flow:5:13
           |
         5 |     let e = at + 5
           |             ^^^^^^
         help: a length of time has a unit: `30s`, `5m`, `2h`, `3d`

        error[F302]: `+` does not apply to Duration and Timestamp
          --> trade.flow:6:13
           |
         6 |     let f = 5m + at
           |             ^^^^^^^
         help: write the Timestamp first

        error[F302]: `+` does not apply to List[Int] and Int
          --> trade.flow:7:13
           |
         7 |     let g = xs + 1
           |             ^^^^^^
         help: add a list to a list: `xs + [x]`

        error[F302]: `-` does not apply to Text
          --> trade.flow:8:13
           |
         8 |     let h = -t
           |             ^^

        error[F302]: `in` looks into a List or among a Map's keys, but this is Text
          --> trade.flow:9:20
           |
         9 |     let i = "a" in t
           |                    ^

        error[F302]: `+` does not apply to Bool
          --> trade.flow:10:13
            |
         10 |     let j = true + true
            |             ^^^^^^^^^^^
        """,
    ),
    "F303 the slash": (
        """
        flow F(n: Int, d: Decimal):
            let a = n / 2
            let b = d / 2.0
            let c = n / d
        """,
        """
        error[F303]: `/` does not say how to round
          --> trade.flow:2:13
           |
         2 |     let a = n / 2
           |             ^^^^^
         help: write `n // 2`, which rounds down

        error[F303]: `/` does not say how to round
          --> trade.flow:3:13
           |
         3 |     let b = d / 2.0
           |             ^^^^^^^
         help: write `divide(d, 2.0, places, HALF_EVEN)`

        error[F303]: `/` does not say how to round
          --> trade.flow:4:13
           |
         4 |     let c = n / d
           |             ^^^^^
         help: for Int write `n // d`; for Decimal `divide(n, d, places, HALF_EVEN)`
        """,
    ),
    "F304 comparisons that make no sense": (
        """
        record Line:
            sku: Text
        flow F(n: Int, t: Text, line: Line, me_too: Party):
            if n == t or n == none:
                pass
            if n < t or line < line or me < me_too:
                pass
            if 1 == 1.0:
                pass
        """,
        """
        error[F304]: Int and Text are never equal
          --> trade.flow:4:8
           |
         4 |     if n == t or n == none:
           |        ^^^^^^

        error[F304]: this is Int, which is never none
          --> trade.flow:4:18
           |
         4 |     if n == t or n == none:
           |                  ^^^^^^^^^
         note: `n` is declared here, as Int
          --> trade.flow:3:8
           |
         3 | flow F(n: Int, t: Text, line: Line, me_too: Party):
           |        ^
         help: remove the comparison

        error[F304]: Int and Text cannot be put in order
          --> trade.flow:6:8
           |
         6 |     if n < t or line < line or me < me_too:
           |        ^^^^^

        error[F304]: Line has no order
          --> trade.flow:6:17
           |
         6 |     if n < t or line < line or me < me_too:
           |                 ^^^^^^^^^^^

        error[F304]: Party has no order
          --> trade.flow:6:32
           |
         6 |     if n < t or line < line or me < me_too:
           |                                ^^^^^^^^^^^

        error[F304]: Int and Decimal are never equal
          --> trade.flow:8:8
           |
         8 |     if 1 == 1.0:
           |        ^^^^^^^^
         help: convert the Int with `decimal(…)`; Int and Decimal do not mix by themselves
        """,
    ),
    "F305 what may be none": (
        """
        record Line:
            sku: Text?
            next: Line?
        flow F(line: Line, n: Int?, xs: List[Int]?) -> Int:
            let a = n + 1
            let b: Text = line.sku
            let c = line.next.sku
            let d = xs[0]
            for x in xs:
                pass
            if n:
                pass
            return n
        """,
        """
        error[F305]: this is Int?, which may be none
          --> trade.flow:5:13
           |
         5 |     let a = n + 1
           |             ^
         note: `n` is declared here, as Int?
          --> trade.flow:4:20
           |
         4 | flow F(line: Line, n: Int?, xs: List[Int]?) -> Int:
           |                    ^
         help: test it first: `if n != none:`

        error[F305]: this is Text?, which may be none, but Text is wanted
          --> trade.flow:6:19
           |
         6 |     let b: Text = line.sku
           |                   ^^^^^^^^
         help: test it first: `if line.sku != none:`

        error[F305]: this is Line?, which may be none
          --> trade.flow:7:13
           |
         7 |     let c = line.next.sku
           |             ^^^^^^^^^
         help: test it first: `if line.next != none:`

        error[F305]: this is List[Int]?, which may be none
          --> trade.flow:8:13
           |
         8 |     let d = xs[0]
           |             ^^
         note: `xs` is declared here, as List[Int]?
          --> trade.flow:4:29
           |
         4 | flow F(line: Line, n: Int?, xs: List[Int]?) -> Int:
           |                             ^^
         help: test it first: `if xs != none:`

        error[F305]: this is List[Int]?, which may be none
          --> trade.flow:9:14
           |
         9 |     for x in xs:
           |              ^^
         note: `xs` is declared here, as List[Int]?
          --> trade.flow:4:29
           |
         4 | flow F(line: Line, n: Int?, xs: List[Int]?) -> Int:
           |                             ^^
         help: test it first: `if xs != none:`

        error[F301]: this is Int?, but Bool is wanted
          --> trade.flow:11:8
            |
         11 |     if n:
            |        ^
         note: `n` is declared here, as Int?
          --> trade.flow:4:20
           |
         4 | flow F(line: Line, n: Int?, xs: List[Int]?) -> Int:
           |                    ^
         help: compare it: `n != none`

        error[F305]: this is Int?, which may be none, but Int is wanted
          --> trade.flow:13:12
            |
         13 |     return n
            |            ^
         note: `n` is declared here, as Int?
          --> trade.flow:4:20
           |
         4 | flow F(line: Line, n: Int?, xs: List[Int]?) -> Int:
           |                    ^
         help: test it first: `if n != none:`
        """,
    ),
    "F306 values without a type": (
        """
        flow F():
            let a = none
            var b = []
            let c = {}
            let d = [none]
            for x in []:
                pass
        """,
        """
        error[F306]: the type of this `none` is not known here
          --> trade.flow:2:13
           |
         2 |     let a = none
           |             ^^^^
         help: give it one: `let a: Int? = none`

        error[F306]: the type of this empty list is not known here
          --> trade.flow:3:13
           |
         3 |     var b = []
           |             ^^
         help: give it one: `let x: List[Text] = …`

        error[F306]: the type of this empty map is not known here
          --> trade.flow:4:13
           |
         4 |     let c = {}
           |             ^^
         help: give it one: `let x: Map[Text, Int] = …`

        error[F306]: the type of this list is not known here
          --> trade.flow:5:13
           |
         5 |     let d = [none]
           |             ^^^^^^
         help: give it one: `let x: List[Int?] = …`

        error[F306]: the type of this empty list is not known here
          --> trade.flow:6:14
           |
         6 |     for x in []:
           |              ^^
         help: give it one: `let x: List[Text] = …`
        """,
    ),
    "F307 lists and maps of different things": (
        """
        flow F(n: Int):
            let a = [1, 2, "three", 4.0]
            let b = {"a": 1, 2: 2, "c": "three"}
        """,
        """
        error[F307]: the items of a list have one type: this is Text, but Int came before
          --> trade.flow:2:20
           |
         2 |     let a = [1, 2, "three", 4.0]
           |                    ^^^^^^^
         note: the first one is here
          --> trade.flow:2:14
           |
         2 |     let a = [1, 2, "three", 4.0]
           |              ^

        error[F307]: the keys of a map have one type: this is Int, but Text came before
          --> trade.flow:3:22
           |
         3 |     let b = {"a": 1, 2: 2, "c": "three"}
           |                      ^
         note: the first one is here
          --> trade.flow:3:14
           |
         3 |     let b = {"a": 1, 2: 2, "c": "three"}
           |              ^^^

        error[F307]: the values of a map have one type: this is Text, but Int came before
          --> trade.flow:3:33
           |
         3 |     let b = {"a": 1, 2: 2, "c": "three"}
           |                                 ^^^^^^^
         note: the first one is here
          --> trade.flow:3:19
           |
         3 |     let b = {"a": 1, 2: 2, "c": "three"}
           |                   ^
        """,
    ),
    "F308 types in brackets": (
        """
        record Line:
            a: List
            b: Map[Text]
            c: Int[Text]
            d: List[Text, Int]
        """,
        """
        error[F308]: List takes one type, that of its items
          --> trade.flow:2:8
           |
         2 |     a: List
           |        ^^^^
         help: write `List[Text]`, for example

        error[F308]: Map takes two types, those of its keys and values
          --> trade.flow:3:8
           |
         3 |     b: Map[Text]
           |        ^^^^^^^^^
         help: write `Map[Text, Int]`, for example

        error[F308]: Int takes no types in brackets
          --> trade.flow:4:8
           |
         4 |     c: Int[Text]
           |        ^^^^^^^^^
         help: only `List[T]`, `Map[K, V]` and `FlowId[T]` do

        error[F308]: List takes one type, that of its items
          --> trade.flow:5:8
           |
         5 |     d: List[Text, Int]
           |        ^^^^^^^^^^^^^^^
         help: write `List[Text]`, for example
        """,
    ),
    "F309 keys of maps": (
        """
        record Line:
            a: Map[Bool, Int]
        flow F(bob: Party):
            let b = {bob: 1}
        """,
        """
        error[F309]: the keys of a Map are Int or Text, not Bool
          --> trade.flow:2:12
           |
         2 |     a: Map[Bool, Int]
           |            ^^^^

        error[F309]: the keys of a Map are Int or Text, not Party
          --> trade.flow:4:14
           |
         4 |     let b = {bob: 1}
           |              ^^^
        """,
    ),
    "F310 a key that is given twice": (
        """
        flow F():
            let a = {"x": 1, "y": 2, "x": 3}
        """,
        """
        error[F310]: this key is in the map already
          --> trade.flow:2:30
           |
         2 |     let a = {"x": 1, "y": 2, "x": 3}
           |                              ^^^
         note: it is first given here
          --> trade.flow:2:14
           |
         2 |     let a = {"x": 1, "y": 2, "x": 3}
           |              ^^^
         help: remove one of the two
        """,
    ),
    "F311 F312 F313 F314 F315 arguments": (
        """
        record Line:
            sku: Text
            count: Int = 1
            price: Decimal = 1.0
        flow F():
            let a = Line()
            let b = Line(skew="a")
            let c = Line("a", 1, 1.0, 4, 5)
            let d = Line("a", sku="a")
            let e = Line(count=1, "a")
            let f = Line("a", cuont=2)
        """,
        """
        error[F311]: `Line` needs `sku`
          --> trade.flow:6:13
           |
         6 |     let a = Line()
           |             ^^^^^^
         help: its form is `Line(sku: Text, count: Int = …, price: Decimal = …)`

        error[F312]: `Line` has no `skew`
          --> trade.flow:7:18
           |
         7 |     let b = Line(skew="a")
           |                  ^^^^
         help: its form is `Line(sku: Text, count: Int = …, price: Decimal = …)`

        error[F313]: `Line` takes 3 arguments, and this is one more
          --> trade.flow:8:31
           |
         8 |     let c = Line("a", 1, 1.0, 4, 5)
           |                               ^
         help: its form is `Line(sku: Text, count: Int = …, price: Decimal = …)`

        error[F314]: `sku` is given twice
          --> trade.flow:9:23
           |
         9 |     let d = Line("a", sku="a")
           |                       ^^^^^^^
         note: it is first given here
          --> trade.flow:9:18
           |
         9 |     let d = Line("a", sku="a")
           |                  ^^^
         help: remove one of the two

        error[F315]: an argument without a name cannot follow one with a name
          --> trade.flow:10:27
            |
         10 |     let e = Line(count=1, "a")
            |                           ^^^
         help: give it its name, as in `name=value`

        error[F312]: `Line` has no `cuont`
          --> trade.flow:11:23
            |
         11 |     let f = Line("a", cuont=2)
            |                       ^^^^^
         help: did you mean `count`?
        """,
    ),
    "F316 what cannot be called": (
        """
        service Desk:
            read limit() -> Int
        flow F(n: Int, xs: List[Int]):
            let a = n(1)
            let b = Desk()
            let c = Text(n)
            let d = xs.size()
            let e = n.next(3)
        """,
        """
        error[F316]: `n` is a parameter, and cannot be called
          --> trade.flow:4:13
           |
         4 |     let a = n(1)
           |             ^
         note: it is declared here
          --> trade.flow:3:8
           |
         3 | flow F(n: Int, xs: List[Int]):
           |        ^

        error[F316]: `Desk` is a service; what is called is one of its operations
          --> trade.flow:5:13
           |
         5 |     let b = Desk()
           |             ^^^^
         help: write `Desk.limit(…)`, for example

        error[F316]: Text is a built-in type, and cannot be called
          --> trade.flow:6:13
           |
         6 |     let c = Text(n)
           |             ^^^^
         help: write a value into a text: `"{x}"`

        error[F316]: `.size` is not called
          --> trade.flow:7:16
           |
         7 |     let d = xs.size()
           |                ^^^^
         help: leave the brackets out

        error[F212]: Int has no `next`
          --> trade.flow:8:15
           |
         8 |     let e = n.next(3)
           |               ^^^^
        """,
    ),
    "F317 F318 results that are missing or lost": (
        """
        record Line:
            sku: Text
        error Refused: "refused"
        function total(x: Int) -> Int = python "shop.prices:total"
        service Desk:
            write note(line: Text)
            write take(n: Int) -> Int
        flow Quiet():
            pass
        flow F():
            let a = Desk.note("x")
            let b = subflow Quiet()
            Desk.take(1)
            total(1)
            Line("x")
            Refused()
        """,
        """
        error[F317]: `Desk.note` gives no result
          --> trade.flow:11:13
            |
         11 |     let a = Desk.note("x")
            |             ^^^^^^^^^^^^^^
         help: let it stand alone on its line

        error[F317]: `Quiet` gives no result
          --> trade.flow:12:13
            |
         12 |     let b = subflow Quiet()
            |             ^^^^^^^^^^^^^^^
         help: let it stand alone on its line

        error[F318]: `total(…)` only gives a result, and nothing takes it
          --> trade.flow:14:5
            |
         14 |     total(1)
            |     ^^^^^^^^
         help: keep it: `let x = total(…)`, or remove the line

        error[F318]: `Line(…)` only gives a result, and nothing takes it
          --> trade.flow:15:5
            |
         15 |     Line("x")
            |     ^^^^^^^^^
         help: keep it: `let x = Line(…)`, or remove the line

        error[F318]: this makes an error, but does not throw it
          --> trade.flow:16:5
            |
         16 |     Refused()
            |     ^^^^^^^^^
         help: write `throw Refused(…)`
        """,
    ),
    "F320 what a text cannot show": (
        """
        record Line:
            sku: Text
        flow F(line: Line, lines: List[Line], s: Session, n: Int?):
            log info "{line} {lines} {s} {n}"
        """,
        """
        error[F320]: a text cannot show Line
          --> trade.flow:4:16
           |
         4 |     log info "{line} {lines} {s} {n}"
           |                ^^^^
         help: show its fields: `{line.sku}`, for example

        error[F320]: a text cannot show List[Line]
          --> trade.flow:4:23
           |
         4 |     log info "{line} {lines} {s} {n}"
           |                       ^^^^^
         help: show its size, `{lines.size}`, or its items one by one

        error[F320]: a text cannot show Session
          --> trade.flow:4:31
           |
         4 |     log info "{line} {lines} {s} {n}"
           |                               ^
         help: show the party at its other end: `{s.peer}`
        """,
    ),
    "F321 records without end": (
        """
        record Tree:
            left: Tree
            right: Tree?
        message Order:
            line: Line
        record Line:
            sku: Text
            order: Order
        record Chain:
            links: List[Chain]
            by_name: Map[Text, Chain]
        """,
        """
        error[F321]: every `Tree` would contain another `Tree`, without end
          --> trade.flow:2:5
           |
         2 |     left: Tree
           |     ^^^^^^^^^^
         help: make it optional, `Tree?`, or a list

        error[F321]: every `Order` would contain another `Order`, without end
          --> trade.flow:5:5
           |
         5 |     line: Line
           |     ^^^^^^^^^^
         note: the circle is `Order` → `Line` → `Order`
          --> trade.flow:4:9
           |
         4 | message Order:
           |         ^^^^^
         help: make it optional, `Line?`, or a list
        """,
    ),
    "F322 F323 defaults": (
        """
        record Line:
            count: Int = 1 + 1
            at: Timestamp = now
            price: Decimal = 1
            tags: List[Text] = ["a"]
            late: Text
            by: Map[Text, Int] = {}
            note: Text? = none
            low: Int = -5
        """,
        """
        error[F322]: a default is a value written out: a literal, or a list or map of such
          --> trade.flow:2:18
           |
         2 |     count: Int = 1 + 1
           |                  ^^^^^
         help: declare `count` without a default, or as optional with `= none`

        error[F322]: a default is a value written out: a literal, or a list or map of such
          --> trade.flow:3:21
           |
         3 |     at: Timestamp = now
           |                     ^^^
         help: declare `at` without a default, or as optional with `= none`

        error[F301]: this is Int, but Decimal is wanted
          --> trade.flow:4:22
           |
         4 |     price: Decimal = 1
           |                      ^
         note: `price` is declared here
          --> trade.flow:4:12
           |
         4 |     price: Decimal = 1
           |            ^^^^^^^
         help: write `1.0`

        error[F323]: `late` must be given, but stands after a field that may be left out
          --> trade.flow:6:5
           |
         6 |     late: Text
           |     ^^^^
         help: move it above `tags`, or give it a default too
        """,
    ),
    "F324 F325 numbers that cannot work": (
        """
        flow F(n: Int, x: Decimal) -> Decimal:
            let a = n // 0
            let b = n % 0
            let c = 9223372036854775807 + 1
            let d = divide(x, 0.0, 40, UP)
            return d
        """,
        """
        error[F324]: this divides by zero
          --> trade.flow:2:18
           |
         2 |     let a = n // 0
           |                  ^

        error[F324]: this divides by zero
          --> trade.flow:3:17
           |
         3 |     let b = n % 0
           |                 ^

        error[F325]: the result does not fit into an Int, which has 64 bits
          --> trade.flow:4:13
           |
         4 |     let c = 9223372036854775807 + 1
           |             ^^^^^^^^^^^^^^^^^^^^^^^

        error[F324]: this divides by zero
          --> trade.flow:5:23
           |
         5 |     let d = divide(x, 0.0, 40, UP)
           |                       ^^^

        error[F324]: a Decimal has 0 to 37 decimal places
          --> trade.flow:5:28
           |
         5 |     let d = divide(x, 0.0, 40, UP)
           |                            ^^
        """,
    ),
    "F326 F327 errors are not values": (
        """
        error Refused(why: Text): "{why}"
        record Line:
            why: Refused
        flow F() -> Int:
            try:
                pass
            catch Refused as e:
                let kept = e
                let all = [Refused("x")]
                return e
            return 1
        """,
        """
        error[F326]: `Refused` is an error, and a value cannot have its type
          --> trade.flow:3:10
           |
         3 |     why: Refused
           |          ^^^^^^^
         note: `Refused` is declared here
          --> trade.flow:1:7
           |
         1 | error Refused(why: Text): "{why}"
           |       ^^^^^^^
         help: take the error's fields one by one, or declare a record for them

        error[F327]: an error is not a value: it can only be thrown
          --> trade.flow:8:20
           |
         8 |         let kept = e
           |                    ^
         help: read its fields, or write `throw …`

        error[F327]: an error is not a value: it can only be thrown
          --> trade.flow:9:19
           |
         9 |         let all = [Refused("x")]
           |                   ^^^^^^^^^^^^^^
         help: read its fields, or write `throw …`

        error[F301]: this is Refused, but Int is wanted
          --> trade.flow:10:16
            |
         10 |         return e
            |                ^
         note: the result is declared here
          --> trade.flow:4:13
           |
         4 | flow F() -> Int:
           |             ^^^
        """,
    ),
    "F328 F329 items": (
        """
        flow F(n: Int, xs: List[Int], m: Map[Text, Int]):
            let a = n[0]
            let b = xs[-1]
            let c = m[1]
            for x in n:
                pass
            for k in m:
                log info k
        """,
        """
        error[F328]: this is Int; only a List or a Map has items
          --> trade.flow:2:13
           |
         2 |     let a = n[0]
           |             ^^^^
         note: `n` is declared here, as Int
          --> trade.flow:1:8
           |
         1 | flow F(n: Int, xs: List[Int], m: Map[Text, Int]):
           |        ^

        error[F328]: the items of a list are counted from 0, so this one never exists
          --> trade.flow:3:16
           |
         3 |     let b = xs[-1]
           |                ^^
         help: the last one is `xs[xs.size - 1]`

        error[F301]: this is Int, but Text is wanted
          --> trade.flow:4:15
           |
         4 |     let c = m[1]
           |               ^
         help: write `"1"`

        error[F329]: `for` goes through a List or a Map's keys, but this is Int
          --> trade.flow:5:14
           |
         5 |     for x in n:
           |              ^
         help: count with `while`
        """,
    ),
    "F330 flows and what is not one": (
        """
        function total(x: Int) -> Int = python "shop.prices:total"
        flow G() -> Int:
            return 1
        flow F() -> Int:
            let a = G()
            let b = subflow total(1)
            G()
            return subflow H()
        """,
        """
        error[F330]: `G` is a flow, and running it may wait
          --> trade.flow:5:13
           |
         5 |     let a = G()
           |             ^^^
         note: `G` is declared here
          --> trade.flow:2:6
           |
         2 | flow G() -> Int:
           |      ^
         help: write `let x = subflow G(…)` on a line of its own

        error[F330]: `total` is a function, but only a flow runs as a subflow
          --> trade.flow:6:21
           |
         6 |     let b = subflow total(1)
           |                     ^^^^^
         help: leave `subflow` out: `total(…)`

        error[F330]: `G` is a flow, and running it may wait
          --> trade.flow:7:5
           |
         7 |     G()
           |     ^^^
         note: `G` is declared here
          --> trade.flow:2:6
           |
         2 | flow G() -> Int:
           |      ^
         help: write `subflow G(…)`

        error[F203]: there is no flow `H`
          --> trade.flow:8:20
           |
         8 |     return subflow H()
           |                    ^
         help: declare it, or take it from another file with `use`
        """,
    ),
    "F331 what is not thrown": (
        """
        record Line:
            sku: Text
        error Refused: "refused"
        flow F(n: Int):
            require n > 1 else Refused
            require n > 2 else Line("x")
            require n > 3 else Malformed("too small")
            throw "refused"
        """,
        """
        error[F331]: `Refused` is the name of an error, not an error that can be thrown
          --> trade.flow:5:24
           |
         5 |     require n > 1 else Refused
           |                        ^^^^^^^
         note: `Refused` is declared here
          --> trade.flow:3:7
           |
         3 | error Refused: "refused"
           |       ^^^^^^^
         help: make one: `Refused(…)`

        error[F331]: this is Line, but only an error can be thrown
          --> trade.flow:6:24
           |
         6 |     require n > 2 else Line("x")
           |                        ^^^^^^^^^
         help: declare one, such as `error Refused(reason: Text)`, and throw that

        error[F331]: this is Text, but only an error can be thrown
          --> trade.flow:8:11
           |
         8 |     throw "refused"
           |           ^^^^^^^^^
         help: declare one, such as `error Refused(reason: Text)`, and throw that
        """,
    ),
    "F332 an operation without brackets": (
        """
        service Desk:
            read limit() -> Int
        flow F() -> Int:
            return Desk.limit
        """,
        """
        error[F332]: `Desk.limit` is an operation, and is called with brackets
          --> trade.flow:4:12
           |
         4 |     return Desk.limit
           |            ^^^^^^^^^^
         help: write `Desk.limit(…)`
        """,
    ),
    "F333 what an error can say": (
        """
        function total(x: Int) -> Int = python "shop.prices:total"
        error Refused(n: Int): "refused by {me} {total(n)} {n + 1}"
        """,
        """
        error[F333]: the text of an error can show the error's fields, and nothing else
          --> trade.flow:2:37
           |
         2 | error Refused(n: Int): "refused by {me} {total(n)} {n + 1}"
           |                                     ^^
         help: give the error one more field, and fill it where the error is thrown

        error[F333]: the text of an error can show the error's fields, and nothing else
          --> trade.flow:2:42
           |
         2 | error Refused(n: Int): "refused by {me} {total(n)} {n + 1}"
           |                                          ^^^^^^^^
         help: give the error one more field, and fill it where the error is thrown
        """,
    ),
    "F401 what keeps its value": (
        """
        message Ping:
            n: Int
        error Refused: "refused"
        flow F(price: Int, s: Session):
            let tax = 1
            tax = 2
            price = 3
            for x in [1]:
                x = 2
            receive p: Ping from s unchecked
            p = Ping(1)
            try:
                pass
            catch Refused as e:
                e = e
        """,
        """
        error[F401]: `tax` is declared with `let`, and keeps its value
          --> trade.flow:6:5
           |
         6 |     tax = 2
           |     ^^^
         note: it is declared here
          --> trade.flow:5:9
           |
         5 |     let tax = 1
           |         ^^^
         help: declare it with `var tax = …` instead of `let`

        error[F401]: `price` is a parameter, and keeps its value
          --> trade.flow:7:5
           |
         7 |     price = 3
           |     ^^^^^
         note: it is declared here
          --> trade.flow:4:8
           |
         4 | flow F(price: Int, s: Session):
           |        ^^^^^
         help: copy it, under another name: `var other = price`

        error[F401]: `x` is a loop variable, and keeps its value
          --> trade.flow:9:9
           |
         9 |         x = 2
           |         ^
         note: it is declared here
          --> trade.flow:8:9
           |
         8 |     for x in [1]:
           |         ^
         help: copy it, under another name: `var other = x`

        error[F401]: `p` is a received message, and keeps its value
          --> trade.flow:11:5
            |
         11 |     p = Ping(1)
            |     ^
         note: it is declared here
          --> trade.flow:10:13
            |
         10 |     receive p: Ping from s unchecked
            |             ^
         help: copy it, under another name: `var other = p`

        error[F401]: `e` is a caught error, and keeps its value
          --> trade.flow:15:9
            |
         15 |         e = e
            |         ^
         note: it is declared here
          --> trade.flow:14:22
            |
         14 |     catch Refused as e:
            |                      ^
         help: choose another name
        """,
    ),
    "F402 nothing to give a value to": (
        """
        function total(x: Int) -> Int = python "shop.prices:total"
        flow F(price: Int):
            var tax = 1
            if price > 1:
                var sum = 1
            tx = 2
            sum = 3
            fresh = 4
            fresh = 5
            total = 6
        """,
        """
        error[F402]: there is no variable `tx` to give a new value to
          --> trade.flow:6:5
           |
         6 |     tx = 2
           |     ^^
         help: did you mean `tax`?

        error[F402]: there is no variable `sum` to give a new value to
          --> trade.flow:7:5
           |
         7 |     sum = 3
           |     ^^^
         note: this `sum` lived only until the end of its block
          --> trade.flow:5:13
           |
         5 |         var sum = 1
           |             ^^^
         help: declare it before the block, with `var`

        error[F402]: there is no variable `fresh` to give a new value to
          --> trade.flow:8:5
           |
         8 |     fresh = 4
           |     ^^^^^
         help: declare it: `let fresh = …`, or `var` if it will change

        error[F205]: `total` is a function, but a variable is wanted here
          --> trade.flow:10:5
            |
         10 |     total = 6
            |     ^^^^^
         note: `total` is declared here
          --> trade.flow:1:10
           |
         1 | function total(x: Int) -> Int = python "shop.prices:total"
           |          ^^^^^
        """,
    ),
    "F403 a result that is missing": (
        """
        flow F(n: Int) -> Int:
            if n > 1:
                return 1
            elif n > 0:
                log info "none"
            else:
                return 2
        flow G(n: Int) -> Int:
            if n > 1:
                return 1
        flow H(n: Int) -> Int:
            try:
                return n
            catch SessionEnded:
                while n > 1:
                    return 2
        """,
        """
        error[F403]: `F` promises a result, but its end can be reached without `return`
          --> trade.flow:1:19
           |
         1 | flow F(n: Int) -> Int:
           |                   ^^^
         note: after this, nothing is returned
          --> trade.flow:5:9
           |
         5 |         log info "none"
           |         ^^^^^^^^^^^^^^^
         help: return a value on every way through the flow, or throw an error

        error[F403]: `G` promises a result, but its end can be reached without `return`
          --> trade.flow:8:19
           |
         8 | flow G(n: Int) -> Int:
           |                   ^^^
         note: when this condition does not hold, nothing is returned
          --> trade.flow:9:5
           |
         9 |     if n > 1:
           |     ^^^^^^^^^
         help: return a value on every way through the flow, or throw an error

        error[F403]: `H` promises a result, but its end can be reached without `return`
          --> trade.flow:11:19
            |
         11 | flow H(n: Int) -> Int:
            |                   ^^^
         note: after this loop, nothing is returned
          --> trade.flow:15:9
            |
         15 |         while n > 1:
            |         ^^^^^^^^^^^^
         help: return a value on every way through the flow, or throw an error
        """,
    ),
    "F404 F405 return": (
        """
        flow F(n: Int) -> Int:
            if n > 1:
                return
            return 1
        flow G():
            return 1
        flow H():
            return subflow G()
        """,
        """
        error[F404]: `return` needs a value here: this flow promises Int
          --> trade.flow:3:9
           |
         3 |         return
           |         ^^^^^^
         note: the result is declared here
          --> trade.flow:1:19
           |
         1 | flow F(n: Int) -> Int:
           |                   ^^^

        error[F405]: this flow promises no result, so nothing can be returned
          --> trade.flow:6:12
           |
         6 |     return 1
           |            ^
         note: the flow begins here
          --> trade.flow:5:6
           |
         5 | flow G():
           |      ^
         help: add `-> Int` to its first line, or write `return` alone
        """,
    ),
    "F406 what is never reached": (
        """
        error Refused: "refused"
        flow F(n: Int) -> Int:
            while n > 1:
                continue
                log info "a"
            if n > 1:
                return 1
            else:
                throw Refused()
            log info "b"
            log info "c"
        flow G():
            while true:
                checkpoint
            log info "d"
        flow H():
            while true:
                break
            log info "e"
        """,
        """
        error[F406]: this is never reached
          --> trade.flow:5:9
           |
         5 |         log info "a"
           |         ^^^^^^^^^^^^
         note: the loop goes on elsewhere from here
          --> trade.flow:4:9
           |
         4 |         continue
           |         ^^^^^^^^
         help: remove it, or move it up

        error[F406]: this is never reached
          --> trade.flow:10:5
            |
         10 |     log info "b"
            |     ^^^^^^^^^^^^
         note: every way through this leaves
          --> trade.flow:6:5
           |
         6 |     if n > 1:
           |     ^^^^^^^^^
         help: remove it, or move it up

        error[F406]: this is never reached
          --> trade.flow:15:5
            |
         15 |     log info "d"
            |     ^^^^^^^^^^^^
         note: this loop never ends
          --> trade.flow:13:5
            |
         13 |     while true:
            |     ^^^^^^^^^^^
         help: remove it, or move it up
        """,
    ),
    "F407 loops that are not there": (
        """
        flow F(n: Int):
            if n > 1:
                break
            while n > 1:
                if n > 2:
                    break
            continue
            log info "a"
        """,
        """
        error[F407]: there is no loop here to `break`
          --> trade.flow:3:9
           |
         3 |         break
           |         ^^^^^
         help: to end the flow, write `return`

        error[F407]: there is no loop here to `continue`
          --> trade.flow:7:5
           |
         7 |     continue
           |     ^^^^^^^^
        """,
    ),
    "F408 F409 catching": (
        """
        error Refused: "refused"
        error Late: "late"
        flow F():
            try:
                pass
            catch Refused, Refused:
                pass
            catch Late as e:
                throw e
            catch Late:
                pass
            catch SessionEnded, SessionRejected, Missing as f:
                log info "{f.text} {f.reason}"
        error Missing(what: Text)
        """,
        """
        error[F408]: `Refused` is caught already, so it never gets here
          --> trade.flow:6:20
           |
         6 |     catch Refused, Refused:
           |                    ^^^^^^^
         note: it is caught here
          --> trade.flow:6:11
           |
         6 |     catch Refused, Refused:
           |           ^^^^^^^
         help: remove one of the two

        error[F408]: `Late` is caught already, so it never gets here
          --> trade.flow:10:11
            |
         10 |     catch Late:
            |           ^^^^
         note: it is caught here
          --> trade.flow:8:11
           |
         8 |     catch Late as e:
           |           ^^^^
         help: remove one of the two

        error[F409]: not all errors that are caught here have a `reason`
          --> trade.flow:13:31
            |
         13 |         log info "{f.text} {f.reason}"
            |                               ^^^^^^
         help: it is one of `SessionEnded`, `SessionRejected` or `Missing`; catch one alone to use its own fields
        """,
    ),
    "F410 what a step tracks": (
        """
        flow G():
            pass
        flow F():
            steps:
                ASKING "Asking" tracks G
                WAITING "Waiting" tracks H
            step ASKING
        """,
        """
        error[F410]: this flow never runs `G`, so there is nothing to track
          --> trade.flow:5:32
           |
         5 |         ASKING "Asking" tracks G
           |                                ^
         help: run it with `subflow G(…)`, or remove `tracks`

        error[F203]: there is no flow `H`
          --> trade.flow:6:34
           |
         6 |         WAITING "Waiting" tracks H
           |                                  ^
         help: declare it, or take it from another file with `use`
        """,
    ),
    "F501 unchecked data in use": (
        """
        message Ping:
            n: Int
            to: Text
        error Refused(n: Int): "refused"
        flow F(s: Session, p: untrusted Ping) -> Ping:
            steps:
                ASKING "Asking"
            let n = p.n + 1
            send Ping(n, "x") to s
            sleep 1s * p.n
            step ASKING: "asking {p.to}"
            var last = 0
            try:
                pass
            catch Refused as e:
                last = e.n
            return Ping(p.n + 1, p.to)
        """,
        """
        error[F501]: `n` was not checked yet, so it cannot be sent
          --> trade.flow:9:15
           |
         9 |     send Ping(n, "x") to s
           |               ^
         note: `p` is declared `untrusted` here
          --> trade.flow:5:20
           |
         5 | flow F(s: Session, p: untrusted Ping) -> Ping:
           |                    ^
         help: check it first, with a `require` about `n`

        error[F501]: `p.n` was not checked yet, so it cannot be used as a time to sleep
          --> trade.flow:10:16
            |
         10 |     sleep 1s * p.n
            |                ^^^
         note: `p` is declared `untrusted` here
          --> trade.flow:5:20
           |
         5 | flow F(s: Session, p: untrusted Ping) -> Ping:
           |                    ^
         help: check it first, with a `require` about `p.n`

        error[F501]: `p.to` was not checked yet, so it cannot be shown as progress
          --> trade.flow:11:27
            |
         11 |     step ASKING: "asking {p.to}"
            |                           ^^^^
         note: `p` is declared `untrusted` here
          --> trade.flow:5:20
           |
         5 | flow F(s: Session, p: untrusted Ping) -> Ping:
           |                    ^
         help: check it first, with a `require` about `p.to`

        error[F501]: `e.n` was not checked yet, so it cannot be kept in `last`, which lives on after it
          --> trade.flow:16:16
            |
         16 |         last = e.n
            |                ^^^
         note: `e` was thrown, maybe by another party, and is caught here
          --> trade.flow:15:22
            |
         15 |     catch Refused as e:
            |                      ^
         help: check it first, with a `require` about `e.n`
        """,
    ),
    "F502 unchecked data for code that trusts": (
        """
        message Ping:
            n: Int
            to: Text
        error Refused(n: Int): "refused"
        function total(x: Int, y: untrusted Int) -> Int = python "shop.prices:total"
        service Desk:
            read knows(name: Text) -> Bool
        flow G(n: Int):
            pass
        flow F(s: Session):
            receive ping: Ping from s:
                let n = ping.n
                require total(n, n) > 1 else Refused(ping.n)
                require Desk.knows(ping.to) else Refused(ping.n)
            try:
                pass
            catch Refused as e:
                subflow G(e.n)
        """,
        """
        error[F502]: `n` was not checked yet, and `total` trusts its `x`
          --> trade.flow:13:23
            |
         13 |         require total(n, n) > 1 else Refused(ping.n)
            |                       ^
         note: `ping` is what the other side sent
          --> trade.flow:11:13
            |
         11 |     receive ping: Ping from s:
            |             ^^^^
         help: check it first, with a `require` about `n`; or declare `x: untrusted …` if `total` is made for such data

        error[F502]: `ping.to` was not checked yet, and `Desk.knows` trusts its `name`
          --> trade.flow:14:28
            |
         14 |         require Desk.knows(ping.to) else Refused(ping.n)
            |                            ^^^^^^^
         note: `ping` is what the other side sent
          --> trade.flow:11:13
            |
         11 |     receive ping: Ping from s:
            |             ^^^^
         help: check it first, with a `require` about `ping.to`; or declare `name: untrusted …` if `Desk.knows` is made for such data

        error[F502]: `e.n` was not checked yet, and `G` trusts its `n`
          --> trade.flow:18:19
            |
         18 |         subflow G(e.n)
            |                   ^^^
         note: `e` was thrown, maybe by another party, and is caught here
          --> trade.flow:17:22
            |
         17 |     catch Refused as e:
            |                      ^
         help: check it first, with a `require` about `e.n`; or declare `n: untrusted …` if `G` is made for such data
        """,
    ),
    "F503 checks that check nothing": (
        """
        message Ping:
            n: Int
            to: Text
        message Empty:
            pass
        error Refused: "refused"
        flow F(s: Session, n: Int):
            receive a: Ping from s:
                pass
            receive b: Ping from s:
                require b == b and n == n else Refused()
            receive c: Ping from s:
                require true or c.n > 1 else Refused()
            receive d: Ping from s:
                if d.n > 1:
                    log info "large"
        """,
        """
        error[F503]: nothing here checks `a`
          --> trade.flow:8:13
           |
         8 |     receive a: Ping from s:
           |             ^
         help: say what must hold: `require a.… else …`; or write `unchecked` instead of the checks, to take it as it comes

        error[F503]: nothing here checks `b`
          --> trade.flow:10:13
            |
         10 |     receive b: Ping from s:
            |             ^
         help: say what must hold: `require b.… else …`; or write `unchecked` instead of the checks, to take it as it comes

        error[F503]: nothing here checks `c`
          --> trade.flow:12:13
            |
         12 |     receive c: Ping from s:
            |             ^
         help: say what must hold: `require c.… else …`; or write `unchecked` instead of the checks, to take it as it comes

        error[F503]: nothing here checks `d`
          --> trade.flow:14:13
            |
         14 |     receive d: Ping from s:
            |             ^
         help: say what must hold: `require d.… else …`; or write `unchecked` instead of the checks, to take it as it comes
        """,
    ),
    "F504 F505 what checks may not do": (
        """
        message Ping:
            n: Int
        error Refused: "refused"
        service Desk:
            write take(n: untrusted Int) -> Int
        flow G():
            pass
        flow F(s: Session):
            receive a: Ping from s:
                require Desk.take(a.n) > 1 else Refused()
                send a to s
                subflow G()
                for x in [1]:
                    break
                try:
                    pass
                catch Refused:
                    pass
                return
            log info "done"
        """,
        """
        error[F505]: `Desk.take` writes, and checks only look
          --> trade.flow:10:17
            |
         10 |         require Desk.take(a.n) > 1 else Refused()
            |                 ^^^^^^^^^^^^^^
         help: call it below the checks

        error[F504]: `send` cannot stand among the checks of `a`
          --> trade.flow:11:9
            |
         11 |         send a to s
            |         ^^^^^^^^^^^
         help: checks only look at `a` and throw; move this below them

        error[F504]: `subflow` cannot stand among the checks of `a`
          --> trade.flow:12:9
            |
         12 |         subflow G()
            |         ^^^^^^^^^^^
         help: checks only look at `a` and throw; move this below them

        error[F504]: `break` cannot stand among the checks of `a`
          --> trade.flow:14:13
            |
         14 |             break
            |             ^^^^^
         help: checks only look at `a` and throw; move this below them

        error[F504]: `try` cannot stand among the checks of `a`
          --> trade.flow:15:9
            |
         15 |         try:
            |         ^^^^
         help: checks only look at `a` and throw; move this below them

        error[F504]: `return` cannot stand among the checks of `a`
          --> trade.flow:19:9
            |
         19 |         return
            |         ^^^^^^
         help: checks only look at `a` and throw; move this below them
        """,
    ),
    "F601 F602 what crosses the wire": (
        """
        record Line:
            sku: Text
        flow F(s: Session, line: Line):
            send line to s
            send "x" to s
            send s to s
            receive a: Line from s unchecked
            receive b: List[Int] from s unchecked
        """,
        """
        error[F601]: this is Line, and only messages can be sent
          --> trade.flow:4:10
           |
         4 |     send line to s
           |          ^^^^
         note: `Line` is declared here
          --> trade.flow:1:8
           |
         1 | record Line:
           |        ^^^^
         help: declare it with `message Line:` instead of `record Line:`

        error[F601]: this is Text, and only messages can be sent
          --> trade.flow:5:10
           |
         5 |     send "x" to s
           |          ^^^
         help: declare a message with a field for it, such as `value: Text`, and use that

        error[F601]: this is Session, and only messages can be sent
          --> trade.flow:6:10
           |
         6 |     send s to s
           |          ^
         help: a session stays here; whoever should talk to the other side opens another one

        error[F602]: Line cannot be received: only messages cross the wire
          --> trade.flow:7:16
           |
         7 |     receive a: Line from s unchecked
           |                ^^^^
         note: `Line` is declared here
          --> trade.flow:1:8
           |
         1 | record Line:
           |        ^^^^
         help: declare it with `message Line:` instead of `record Line:`

        error[F602]: List[Int] cannot be received: only messages cross the wire
          --> trade.flow:8:16
           |
         8 |     receive b: List[Int] from s unchecked
           |                ^^^^^^^^^
         help: declare a message with a field for it, such as `value: List[Int]`, and use that
        """,
    ),
    "F603 F604 sessions are not values": (
        """
        record Line:
            s: Session
        flow F(s: Session, ss: List[Session], maybe: Session?) -> Session:
            let t = s
            let all = [s]
            var one = ss[0]
            if s == ss[1]:
                pass
            return s
        """,
        """
        error[F604]: a Session cannot stand here
          --> trade.flow:2:8
           |
         2 |     s: Session
           |        ^^^^^^^
         help: a session stays with the flow that has it; only a flow's parameter may be `Session` or `List[Session]`

        error[F604]: a Session cannot stand here
          --> trade.flow:3:46
           |
         3 | flow F(s: Session, ss: List[Session], maybe: Session?) -> Session:
           |                                              ^^^^^^^^
         help: a session stays with the flow that has it; only a flow's parameter may be `Session` or `List[Session]`

        error[F604]: a Session cannot stand here
          --> trade.flow:3:59
           |
         3 | flow F(s: Session, ss: List[Session], maybe: Session?) -> Session:
           |                                                           ^^^^^^^
         help: a session stays with the flow that has it; only a flow's parameter may be `Session` or `List[Session]`

        error[F603]: a session is not a value: it can be neither kept, compared nor handed back
          --> trade.flow:4:13
           |
         4 |     let t = s
           |             ^
         help: send to it, receive from it, or pass it to a subflow

        error[F603]: a session is not a value: it can be neither kept, compared nor handed back
          --> trade.flow:5:15
           |
         5 |     let all = [s]
           |               ^^^
         help: send to it, receive from it, or pass it to a subflow

        error[F603]: a session is not a value: it can be neither kept, compared nor handed back
          --> trade.flow:6:15
           |
         6 |     var one = ss[0]
           |               ^^^^^
         help: send to it, receive from it, or pass it to a subflow

        error[F603]: a session is not a value: it can be neither kept, compared nor handed back
          --> trade.flow:7:8
           |
         7 |     if s == ss[1]:
           |        ^
         help: send to it, receive from it, or pass it to a subflow
        """,
    ),
    "F605 F606 who responds to whom": (
        """
        flow F(bob: Party):
            open G with bob as g
            open H with bob as h
            open K with bob as k
        flow G():
            responds to F as f
            return
        flow H():
            responds to G as g
            return
        flow K():
            return
        flow L():
            responds to L as l
            return
        """,
        """
        error[F605]: `H` responds to `G`, not to `F`
          --> trade.flow:3:10
           |
         3 |     open H with bob as h
           |          ^
         note: `H` is declared here
          --> trade.flow:8:6
           |
         8 | flow H():
           |      ^
         help: the flow that responds to `F` is `G`

        error[F605]: `K` does not respond to `F`
          --> trade.flow:4:10
           |
         4 |     open K with bob as k
           |          ^
         note: `K` is declared here
          --> trade.flow:11:6
            |
         11 | flow K():
            |      ^
         help: the flow that responds to `F` is `G`

        error[F606]: a flow cannot respond to itself
          --> trade.flow:14:17
            |
         14 |     responds to L as l
            |                 ^
         help: write a second flow for the other side
        """,
    ),
    "F607 F608 F610 how a flow comes to run": (
        """
        flow F(bob: Party):
            open G with bob as g
            subflow G()
        flow G(n: Int):
            responds to F as f
            startable by rpc
            return
        flow H(s: Session):
            startable by rpc
            return
        """,
        """
        error[F608]: `G` responds to a counterparty, so it cannot run as a subflow
          --> trade.flow:3:13
           |
         3 |     subflow G()
           |             ^
         note: `G` is declared here
          --> trade.flow:4:6
           |
         4 | flow G(n: Int):
           |      ^
         help: move what both need into a flow that takes the session as a parameter

        error[F610]: `G` is started by its counterparty, and cannot be startable as well
          --> trade.flow:4:6
           |
         4 | flow G(n: Int):
           |      ^
         note: it responds here
          --> trade.flow:5:5
           |
         5 |     responds to F as f
           |     ^^^^^^^^^^^^^^^^^^
         help: remove one of `responds to` and `startable by`

        error[F607]: a flow that responds is started by its counterparty, so it takes no parameters
          --> trade.flow:4:8
           |
         4 | flow G(n: Int):
           |        ^^^^^^
         note: it responds here
          --> trade.flow:5:5
           |
         5 |     responds to F as f
           |     ^^^^^^^^^^^^^^^^^^
         help: receive what it needs: `receive x: T from f:`

        error[F610]: nobody outside has a session to give for `s`
          --> trade.flow:8:8
           |
         8 | flow H(s: Session):
           |        ^^^^^^^^^^
         help: open the session inside the flow, or remove `startable by`
        """,
    ),
    "F609 circles with a session": (
        """
        message Ping:
            n: Int
        flow F(s: Session, n: Int):
            if n > 3:
                return
            try:
                return subflow F(s, n + 1)
            catch SessionEnded:
                subflow F(s, n)
        flow G(s: Session):
            subflow H(s)
            log info "back"
        flow H(s: Session):
            return subflow G(s)
        flow K(n: Int):
            subflow K(n - 1)
            log info "no session, no harm"
        """,
        """
        error[F609]: `F` leads back to this flow with a session, so running it must be the last thing that is done
          --> trade.flow:7:16
           |
         7 |         return subflow F(s, n + 1)
           |                ^^^^^^^^^^^^^^^^^^^
         help: write `return subflow F(…)`, outside of any `try` or `within`

        error[F609]: `H` leads back to this flow with a session, so running it must be the last thing that is done
          --> trade.flow:11:5
            |
         11 |     subflow H(s)
            |     ^^^^^^^^^^^^
         help: write `return subflow H(…)`, outside of any `try` or `within`
        """,
    ),
    "F611 a deadline over nothing": (
        """
        message Offer:
            price: Int
        flow F(s: Session):
            within 2d:
                send Offer(1) to s
                checkpoint
            within 2d:
                within 1:
                    sleep 5s
            receive offer: Offer from s within "soon" unchecked
        """,
        """
        error[F611]: nothing in this block waits, so there is nothing that could take too long
          --> trade.flow:4:5
           |
         4 |     within 2d:
           |     ^^^^^^^^^^
         help: remove `within`, or move what waits into its block

        error[F301]: this is Int, but Duration is wanted
          --> trade.flow:8:16
           |
         8 |         within 1:
           |                ^
         help: give it a unit: `1s`

        error[F301]: this is Text, but Duration is wanted
          --> trade.flow:10:40
            |
         10 |     receive offer: Offer from s within "soon" unchecked
            |                                        ^^^^^^
        """,
    ),
    "F612 F613 F614 F615 F602 F301 cases": (
        """
        message Offer:
            price: Int
        message Refusal:
            reason: Text
        record Line:
            sku: Text
        flow F(s: Session, ss: List[Session]):
            receive from s:
                case Offer from s:
                    pass
                case Line:
                    pass
                case timeout 5:
                    pass
            receive:
                case Offer:
                    pass
                case ended:
                    pass
                case Offer from any s as offer by from_whom:
                    log info "{from_whom.peer}: {offer.price}"
                case ended from ss:
                    pass
                case ended from any ss:
                    pass
            receive from s:
                case Offer as offer:
                    pass
                case Refusal:
                    pass
                case Offer as offer:
                    pass
                case ended:
                    pass
                case ended:
                    pass
            receive:
                case timeout 5s:
                    pass
            receive:
                case Offer from s:
                    pass
                case Offer from any ss:
                    pass
                case Offer from any ss:
                    pass
                case timeout 1h:
                    pass
                case timeout 2h:
                    pass
        """,
        """
        error[F612]: the `receive` above says already from whom this comes
          --> trade.flow:9:25
           |
         9 |         case Offer from s:
           |                         ^
         note: it is said here
          --> trade.flow:8:18
           |
         8 |     receive from s:
           |                  ^
         help: leave `from …` out here, or above, where `receive:` takes cases of several sessions

        error[F602]: Line cannot be received: only messages cross the wire
          --> trade.flow:11:14
            |
         11 |         case Line:
            |              ^^^^
         note: `Line` is declared here
          --> trade.flow:5:8
           |
         5 | record Line:
           |        ^^^^
         help: declare it with `message Line:` instead of `record Line:`

        error[F301]: this is Int, but Duration is wanted
          --> trade.flow:13:22
            |
         13 |         case timeout 5:
            |                      ^
         help: give it a unit: `5s`

        error[F613]: this case does not say from which session
          --> trade.flow:16:9
            |
         16 |         case Offer:
            |         ^^^^^^^^^^^
         help: write `case Offer from s`; or `receive from s:` above, for cases of one session

        error[F613]: this case does not say from which session
          --> trade.flow:18:9
            |
         18 |         case ended:
            |         ^^^^^^^^^^^
         help: write `case ended from s`; or `receive from s:` above, for cases of one session

        error[F301]: this is Session, but List[Session] is wanted
          --> trade.flow:20:29
            |
         20 |         case Offer from any s as offer by from_whom:
            |                             ^
         note: `s` is declared here, as Session
          --> trade.flow:7:8
           |
         7 | flow F(s: Session, ss: List[Session]):
           |        ^
         help: leave `any` or `each` out

        error[F301]: this is List[Session], but Session is wanted
          --> trade.flow:22:25
            |
         22 |         case ended from ss:
            |                         ^^
         note: `ss` is declared here, as List[Session]
          --> trade.flow:7:20
           |
         7 | flow F(s: Session, ss: List[Session]):
           |                    ^^
         help: write `any ss`

        error[F614]: an earlier case takes this already, so it never gets here
          --> trade.flow:31:9
            |
         31 |         case Offer as offer:
            |         ^^^^^^^^^^^^^^^^^^^^
         note: it is taken here
          --> trade.flow:27:9
            |
         27 |         case Offer as offer:
            |         ^^^^^^^^^^^^^^^^^^^^
         help: remove one of the two

        error[F614]: an earlier case takes this already, so it never gets here
          --> trade.flow:35:9
            |
         35 |         case ended:
            |         ^^^^^^^^^^^
         note: it is taken here
          --> trade.flow:33:9
            |
         33 |         case ended:
            |         ^^^^^^^^^^^
         help: remove one of the two

        error[F615]: this waits for nothing but the time to pass
          --> trade.flow:37:5
            |
         37 |     receive:
            |     ^^^^^^^^
         help: add a case for a message, or write `sleep` instead

        error[F614]: an earlier case takes this already, so it never gets here
          --> trade.flow:45:9
            |
         45 |         case Offer from any ss:
            |         ^^^^^^^^^^^^^^^^^^^^^^^
         note: it is taken here
          --> trade.flow:43:9
            |
         43 |         case Offer from any ss:
            |         ^^^^^^^^^^^^^^^^^^^^^^^
         help: remove one of the two

        error[F614]: an earlier case takes this already, so it never gets here
          --> trade.flow:49:9
            |
         49 |         case timeout 2h:
            |         ^^^^^^^^^^^^^^^^
         note: it is taken here
          --> trade.flow:47:9
            |
         47 |         case timeout 1h:
            |         ^^^^^^^^^^^^^^^^
         help: remove one of the two
        """,
    ),
    "F207 F208 F201 F403 F406 names and ways of cases": (
        """
        message Offer:
            price: Int
        flow F(s: Session, ss: List[Session]) -> Int:
            receive from s @first_one:
                case Offer as offer unchecked:
                    let price = offer.price
                case ended:
                    log info "{offer.price}"
                case timeout 1h:
                    return 1
            let price = 1
            receive @first_one:
                case Offer from any ss as s by offer:
                    pass
                case Offer from s as price:
                    pass
            log info "{price} {offer.peer}"
            while true:
                receive from s:
                    case Offer:
                        continue
                    case ended:
                        break
                log info "never"
            receive from s:
                case Offer:
                    return 1
                case ended:
                    log info "no return"
        """,
        """
        error[F403]: `F` promises a result, but its end can be reached without `return`
          --> trade.flow:3:42
           |
         3 | flow F(s: Session, ss: List[Session]) -> Int:
           |                                          ^^^
         note: after this, nothing is returned
          --> trade.flow:29:13
            |
         29 |             log info "no return"
            |             ^^^^^^^^^^^^^^^^^^^^
         help: return a value on every way through the flow, or throw an error

        error[F201]: there is no variable `offer` here
          --> trade.flow:8:24
           |
         8 |             log info "{offer.price}"
           |                        ^^^^^
         note: this `offer` lived only until the end of its block
          --> trade.flow:5:23
           |
         5 |         case Offer as offer unchecked:
           |                       ^^^^^
         help: declare it before the block, with `var`, and assign to it inside

        error[F207]: `@first_one` is declared twice
          --> trade.flow:12:14
            |
         12 |     receive @first_one:
            |              ^^^^^^^^^
         note: it is first declared here
          --> trade.flow:4:21
           |
         4 |     receive from s @first_one:
           |                     ^^^^^^^^^
         help: rename one of the two

        error[F208]: `s` is already a parameter here
          --> trade.flow:13:35
            |
         13 |         case Offer from any ss as s by offer:
            |                                   ^
         note: `s` is declared here
          --> trade.flow:3:8
           |
         3 | flow F(s: Session, ss: List[Session]) -> Int:
           |        ^
         help: choose another name; a name means one thing as long as it lives

        error[F208]: `price` is already a variable here
          --> trade.flow:15:30
            |
         15 |         case Offer from s as price:
            |                              ^^^^^
         note: `price` is declared here
          --> trade.flow:11:9
            |
         11 |     let price = 1
            |         ^^^^^
         help: choose another name; a name means one thing as long as it lives

        error[F406]: this is never reached
          --> trade.flow:24:9
            |
         24 |         log info "never"
            |         ^^^^^^^^^^^^^^^^
         note: every way through this leaves
          --> trade.flow:19:9
            |
         19 |         receive from s:
            |         ^^^^^^^^^^^^^^^
         help: remove it, or move it up
        """,
    ),
    "F501 F502 F505 F406 cases are not trusted": (
        """
        message Offer:
            price: Int
            note: Text
        error Dear: "too dear"
        error Said(text: Text): "{text}"
        service Desk:
            write note(price: Int)
            read fair(price: Int) -> Bool
        flow F(s: Session) -> Int:
            var kept = 0
            receive from s:
                case Offer as offer:
                    let twice = offer.price * 2
                    Desk.note(twice)
                    require twice < 5 else Dear()
                    kept = offer.price
                case ended:
                    throw Dear()
            receive from s:
                case Offer as offer:
                    if offer.price > 3:
                        throw Said(offer.note)
                    Desk.note(offer.price)
                    send offer to s
                case timeout 5m:
                    pass
            receive from s:
                case Offer as offer:
                    log info "not checked: {offer.price}"
                    send offer to s
                case timeout 5m:
                    pass
            receive from s:
                case Offer as offer:
                    checkpoint
                    require offer.price > 3 else Dear()
                    Desk.note(offer.price)
                    send offer to s
                case timeout 5m:
                    pass
            receive from s:
                case Offer as offer unchecked:
                    return offer.price
                case ended:
                    throw Dear()
        """,
        """
        error[F505]: `Desk.note` writes, and checks only look
          --> trade.flow:14:13
            |
         14 |             Desk.note(twice)
            |             ^^^^^^^^^^^^^^^^
         help: call it below the checks

        error[F502]: `twice` was not checked yet, and `Desk.note` trusts its `price`
          --> trade.flow:14:23
            |
         14 |             Desk.note(twice)
            |                       ^^^^^
         note: `offer` is what the other side sent
          --> trade.flow:12:23
            |
         12 |         case Offer as offer:
            |                       ^^^^^
         help: check it first, with a `require` about `twice`; or declare `price: untrusted …` if `Desk.note` is made for such data

        error[F501]: `offer` was not checked yet, so it cannot be sent
          --> trade.flow:30:18
            |
         30 |             send offer to s
            |                  ^^^^^
         note: `offer` is what the other side sent
          --> trade.flow:28:23
            |
         28 |         case Offer as offer:
            |                       ^^^^^
         help: begin the case with its checks, such as `require offer.… else …`; or write `as offer unchecked`, to take it as it comes

        error[F501]: `offer` was not checked yet, so it cannot be sent
          --> trade.flow:38:18
            |
         38 |             send offer to s
            |                  ^^^^^
         note: `offer` is what the other side sent
          --> trade.flow:34:23
            |
         34 |         case Offer as offer:
            |                       ^^^^^
         help: begin the case with its checks, such as `require offer.… else …`; or write `as offer unchecked`, to take it as it comes
        """,
    ),
    "F616 perhaps one message": (
        """
        message Offer:
            price: Int
        flow F(s: Session):
            receive offer: Offer? from s unchecked
            log info "{offer.price}"
        """,
        """
        error[F616]: a message of one session is never none: it comes, or an error is thrown
          --> trade.flow:4:20
           |
         4 |     receive offer: Offer? from s unchecked
           |                    ^^^^^^
         help: write `Offer`, and catch `Timeout` or `SessionEnded`
        """,
    ),
    "F617 F618 closed sessions": (
        """
        message Offer:
            price: Int
        flow Buy(shop: Party, given: Session, all: List[Session], parties: List[Party]) -> Int:
            open Sell with shop as s
            open Sell with shop as t
            open Sell with each parties as ss
            close given
            close all[0]
            for one in ss:
                close one
            if parties.size > 3:
                close s
            else:
                close s
                close t
            send Offer(1) to t
            log info "{s.peer}"
            send Offer(1) to s then receive offer: Offer from t unchecked
            while offer.price > 3:
                subflow Use(s, [t, s])
                close t
                break
            receive:
                case Offer from t:
                    close t
                case timeout 5s:
                    return 1
            try:
                close s
            catch SessionEnded:
                close t
            receive from t:
                case Offer:
                    return 2
                case ended:
                    return 3
        flow Use(s: Session, ss: List[Session]):
            send Offer(1) to each ss
        flow Sell():
            responds to Buy as talk
            close talk
        """,
        """
        error[F618]: this session belongs to the flow that passed it on, and is not closed here
          --> trade.flow:7:11
           |
         7 |     close given
           |           ^^^^^
         note: it is passed in here
          --> trade.flow:3:23
           |
         3 | flow Buy(shop: Party, given: Session, all: List[Session], parties: List[Party]) -> Int:
           |                       ^^^^^
         help: return, and let that flow close it

        error[F618]: this session belongs to the flow that passed it on, and is not closed here
          --> trade.flow:8:11
           |
         8 |     close all[0]
           |           ^^^^^^
         note: it is passed in here
          --> trade.flow:3:39
           |
         3 | flow Buy(shop: Party, given: Session, all: List[Session], parties: List[Party]) -> Int:
           |                                       ^^^
         help: return, and let that flow close it

        error[F617]: `s` is closed already
          --> trade.flow:18:22
            |
         18 |     send Offer(1) to s then receive offer: Offer from t unchecked
            |                      ^
         note: it is closed here
          --> trade.flow:12:9
            |
         12 |         close s
            |         ^^^^^^^
         help: move this above `close`, or remove `close`: a session ends with its block

        error[F617]: `s` is closed already
          --> trade.flow:20:21
            |
         20 |         subflow Use(s, [t, s])
            |                     ^
         note: it is closed here
          --> trade.flow:12:9
            |
         12 |         close s
            |         ^^^^^^^
         help: move this above `close`, or remove `close`: a session ends with its block

        error[F617]: `s` is closed already
          --> trade.flow:20:28
            |
         20 |         subflow Use(s, [t, s])
            |                            ^
         note: it is closed here
          --> trade.flow:12:9
            |
         12 |         close s
            |         ^^^^^^^
         help: move this above `close`, or remove `close`: a session ends with its block

        error[F617]: `s` is closed already
          --> trade.flow:29:15
            |
         29 |         close s
            |               ^
         note: it is closed here
          --> trade.flow:12:9
            |
         12 |         close s
            |         ^^^^^^^
         help: move this above `close`, or remove `close`: a session ends with its block

        error[F617]: `t` is closed already
          --> trade.flow:31:15
            |
         31 |         close t
            |               ^
         note: it is closed here
          --> trade.flow:25:13
            |
         25 |             close t
            |             ^^^^^^^
         help: move this above `close`, or remove `close`: a session ends with its block

        error[F617]: `t` is closed already
          --> trade.flow:32:18
            |
         32 |     receive from t:
            |                  ^
         note: it is closed here
          --> trade.flow:25:13
            |
         25 |             close t
            |             ^^^^^^^
         help: move this above `close`, or remove `close`: a session ends with its block
        """,
    ),
    "F301 F329 F501 F503 F602 F603 groups": (
        """
        message Offer:
            price: Int
        error Dear: "too dear"
        service Desk:
            write note(price: Int)
        flow Buy(shop: Party, parties: List[Party]) -> Int:
            open Sell with each shop as ss
            open Sell with parties as s
            open Sell with each parties as all
            send Offer(1) to each s
            send Offer(1) to all
            send 5 to each all
            receive one: Offer from each s unchecked
            receive xs: Offer from all unchecked
            receive texts: Text from each all unchecked
            receive each_of: Offer? from each all within 1d then discard:
                log info "{each_of.size}"
            receive offers: Offer from each all:
                for offer in offers:
                    Desk.note(offer.price)
            receive some: Offer? from each all:
                for offer in some:
                    if offer != none:
                        require offer.price > 0 else Dear()
            for offer in some:
                if offer != none:
                    Desk.note(offer.price)
                log info "{offer.price}"
            let kept = all
            return offers[0].price
        flow Sell():
            responds to Buy as talk
            receive x: Offer from talk unchecked
            send x to talk
        """,
        """
        error[F301]: this is Party, but List[Party] is wanted
          --> trade.flow:7:25
           |
         7 |     open Sell with each shop as ss
           |                         ^^^^
         note: `shop` is declared here, as Party
          --> trade.flow:6:10
           |
         6 | flow Buy(shop: Party, parties: List[Party]) -> Int:
           |          ^^^^
         help: leave `any` or `each` out

        error[F301]: this is List[Party], but Party is wanted
          --> trade.flow:8:20
           |
         8 |     open Sell with parties as s
           |                    ^^^^^^^
         note: `parties` is declared here, as List[Party]
          --> trade.flow:6:23
           |
         6 | flow Buy(shop: Party, parties: List[Party]) -> Int:
           |                       ^^^^^^^
         help: write `with each parties`

        error[F301]: this is Session, but List[Session] is wanted
          --> trade.flow:10:27
            |
         10 |     send Offer(1) to each s
            |                           ^
         note: `s` is declared here, as Session
          --> trade.flow:8:31
           |
         8 |     open Sell with parties as s
           |                               ^
         help: leave `any` or `each` out

        error[F301]: this is List[Session], but Session is wanted
          --> trade.flow:11:22
            |
         11 |     send Offer(1) to all
            |                      ^^^
         note: `all` is declared here, as List[Session]
          --> trade.flow:9:36
           |
         9 |     open Sell with each parties as all
           |                                    ^^^
         help: write `each all`

        error[F601]: this is Int, and only messages can be sent
          --> trade.flow:12:10
            |
         12 |     send 5 to each all
            |          ^
         help: declare a message with a field for it, such as `value: Int`, and use that

        error[F301]: this is Session, but List[Session] is wanted
          --> trade.flow:13:34
            |
         13 |     receive one: Offer from each s unchecked
            |                                  ^
         note: `s` is declared here, as Session
          --> trade.flow:8:31
           |
         8 |     open Sell with parties as s
           |                               ^
         help: leave `any` or `each` out

        error[F301]: this is List[Session], but Session is wanted
          --> trade.flow:14:28
            |
         14 |     receive xs: Offer from all unchecked
            |                            ^^^
         note: `all` is declared here, as List[Session]
          --> trade.flow:9:36
           |
         9 |     open Sell with each parties as all
           |                                    ^^^
         help: write `each all`

        error[F602]: Text cannot be received: only messages cross the wire
          --> trade.flow:15:20
            |
         15 |     receive texts: Text from each all unchecked
            |                    ^^^^
         help: declare a message with a field for it, such as `value: Text`, and use that

        error[F503]: nothing here checks `each_of`
          --> trade.flow:16:13
            |
         16 |     receive each_of: Offer? from each all within 1d then discard:
            |             ^^^^^^^
         help: say what must hold: `for one in each_of:` and below it `require one.… else …`; or write `unchecked` instead of the checks, to take it as it comes

        error[F505]: `Desk.note` writes, and checks only look
          --> trade.flow:20:13
            |
         20 |             Desk.note(offer.price)
            |             ^^^^^^^^^^^^^^^^^^^^^^
         help: call it below the checks

        error[F502]: `offer.price` was not checked yet, and `Desk.note` trusts its `price`
          --> trade.flow:20:23
            |
         20 |             Desk.note(offer.price)
            |                       ^^^^^^^^^^^
         note: `offers` is what the other side sent
          --> trade.flow:18:13
            |
         18 |     receive offers: Offer from each all:
            |             ^^^^^^
         help: check it first, with a `require` about `offer.price`; or declare `price: untrusted …` if `Desk.note` is made for such data

        error[F305]: this is Offer?, which may be none
          --> trade.flow:28:20
            |
         28 |         log info "{offer.price}"
            |                    ^^^^^
         note: `offer` is declared here, as Offer?
          --> trade.flow:25:9
            |
         25 |     for offer in some:
            |         ^^^^^
         help: test it first: `if offer != none:`

        error[F603]: a session is not a value: it can be neither kept, compared nor handed back
          --> trade.flow:29:16
            |
         29 |     let kept = all
            |                ^^^
         help: send to it, receive from it, or pass it to a subflow
        """,
    ),
    "F370 F371 F372 F373 F317 F330 what is awaited": (
        """
        service Carrier:
            read rate(order: Text) -> Decimal
            write note(order: Text)
            external ship(order: Text) -> Text
            external once tell(order: Text)
        flow G() -> Int:
            return 1
        flow H():
            log info "h"
        flow F(xs: List[Text], maybe: FlowId[Int]?) -> Int:
            Carrier.tell("a")
            log info Carrier.ship("a")
            let a = await Carrier.rate("a")
            await Carrier.note("a")
            let b = await Carrier.tell("a")
            let c: Int = await Carrier.ship("a")
            await each Carrier.ship("a")
            await xs
            await each xs[0]
            await maybe
            await G()
            let g = start G()
            let h = start H()
            let d = await h
            let e = await each [g, h]
            await each g
            await Carrier.shop("a")
            await Carrier.ship()
            await flow_id
            return await h
        """,
        """
        error[F370]: `Carrier.tell` leaves the node, and the flow waits for what comes of it
          --> trade.flow:11:5
            |
         11 |     Carrier.tell("a")
            |     ^^^^^^^^^^^^^^^^^
         help: write `await Carrier.tell("a")` on a line of its own, or right of `let x =`

        error[F370]: `Carrier.ship` leaves the node, and the flow waits for what comes of it
          --> trade.flow:12:14
            |
         12 |     log info Carrier.ship("a")
            |              ^^^^^^^^^^^^^^^^^
         help: write `await Carrier.ship("a")` on a line of its own, or right of `let x =`

        error[F371]: `Carrier.rate` is a `read` operation, which answers at once
          --> trade.flow:13:13
            |
         13 |     let a = await Carrier.rate("a")
            |             ^^^^^^^^^^^^^^^^^^^^^^^
         note: `Carrier` is declared here
          --> trade.flow:1:9
           |
         1 | service Carrier:
           |         ^^^^^^^
         help: leave `await` out; or declare it `external` if it leaves the node

        error[F371]: `Carrier.note` is a `write` operation, which answers at once
          --> trade.flow:14:5
            |
         14 |     await Carrier.note("a")
            |     ^^^^^^^^^^^^^^^^^^^^^^^
         note: `Carrier` is declared here
          --> trade.flow:1:9
           |
         1 | service Carrier:
           |         ^^^^^^^
         help: leave `await` out; or declare it `external` if it leaves the node

        error[F317]: `Carrier.tell` gives no result
          --> trade.flow:15:13
            |
         15 |     let b = await Carrier.tell("a")
            |             ^^^^^^^^^^^^^^^^^^^^^^^
         help: let it stand alone on its line

        error[F301]: this is Text, but Int is wanted
          --> trade.flow:16:18
            |
         16 |     let c: Int = await Carrier.ship("a")
            |                  ^^^^^^^^^^^^^^^^^^^^^^^

        error[F372]: `Carrier.ship` is one operation, and `each` waits for every flow of a list
          --> trade.flow:17:5
            |
         17 |     await each Carrier.ship("a")
            |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
         help: leave `each` out

        error[F372]: this is List[Text], and `await` takes the id of a flow, an external operation or an event
          --> trade.flow:18:11
            |
         18 |     await xs
            |           ^^
         note: `xs` is declared here, as List[Text]
          --> trade.flow:10:8
            |
         10 | flow F(xs: List[Text], maybe: FlowId[Int]?) -> Int:
            |        ^^
         help: what is waited for begins with `start F(…)`, or is external or an event

        error[F372]: this is Text, and `await each` takes a list of ids of flows
          --> trade.flow:19:16
            |
         19 |     await each xs[0]
            |                ^^^^^
         help: what is waited for begins with `start F(…)`, or is external or an event

        error[F305]: this is FlowId[Int]?, which may be none
          --> trade.flow:20:11
            |
         20 |     await maybe
            |           ^^^^^
         note: `maybe` is declared here, as FlowId[Int]?
          --> trade.flow:10:24
            |
         10 | flow F(xs: List[Text], maybe: FlowId[Int]?) -> Int:
            |                        ^^^^^
         help: test it first: `if maybe != none:`

        error[F330]: `G` is a flow; what is waited for is the id of one that was started
          --> trade.flow:21:11
            |
         21 |     await G()
            |           ^^^
         note: `G` is declared here
          --> trade.flow:6:6
           |
         6 | flow G() -> Int:
           |      ^
         help: run it here with `subflow G(…)`; or write `let id = start G(…)` and then `await id`

        error[F317]: flows of which nothing but the id is known give no result
          --> trade.flow:24:13
            |
         24 |     let d = await h
            |             ^^^^^^^
         help: let it stand alone on its line

        error[F317]: flows of which nothing but the id is known give no result
          --> trade.flow:25:13
            |
         25 |     let e = await each [g, h]
            |             ^^^^^^^^^^^^^^^^^
         help: let it stand alone on its line

        error[F372]: this is FlowId[Int], and `await each` takes a list of ids of flows
          --> trade.flow:26:16
            |
         26 |     await each g
            |                ^
         note: `g` is declared here, as FlowId[Int]
          --> trade.flow:22:9
            |
         22 |     let g = start G()
            |         ^
         help: leave `each` out

        error[F213]: `Carrier` has no operation `shop`
          --> trade.flow:27:19
            |
         27 |     await Carrier.shop("a")
            |                   ^^^^
         note: `Carrier` is declared here
          --> trade.flow:1:9
           |
         1 | service Carrier:
           |         ^^^^^^^
         help: did you mean `ship`?

        error[F311]: `Carrier.ship` needs `order`
          --> trade.flow:28:11
            |
         28 |     await Carrier.ship()
            |           ^^^^^^^^^^^^^^
         help: its form is `Carrier.ship(order: Text)`

        error[F373]: a flow that waits for its own end waits for ever
          --> trade.flow:29:11
            |
         29 |     await flow_id
            |           ^^^^^^^
         help: wait for a flow that was started here: `let id = start F(…)`, then `await id`

        error[F317]: flows of which nothing but the id is known give no result
          --> trade.flow:30:12
            |
         30 |     return await h
            |            ^^^^^^^
         help: let it stand alone on its line
        """,
    ),
    "F374 F375 F301 people": (
        """
        record Q:
            a: Int
        record A:
            at: Int
            value: Text
            ok: Bool
        record B:
            ok: Bool
        error Bad(n: Int)
        flow F(role: Party) -> B:
            let a = ask role: 5 -> Text within 3
            let b = ask "r": Q(1) -> A
            let c = ask "r": Q(1) -> B?
            let d = ask "r": Q(1) -> Missing
            let e = ask "r": Bad(1) -> B within now
            let f = ask "r": Q(1) -> B
            log info "{f.no}"
            let g: B = f
            return ask "r": Q(1) -> B
        """,
        """
        error[F301]: this is Party, but Text is wanted
          --> trade.flow:11:17
            |
         11 |     let a = ask role: 5 -> Text within 3
            |                 ^^^^
         note: `role` is declared here, as Party
          --> trade.flow:10:8
            |
         10 | flow F(role: Party) -> B:
            |        ^^^^
         help: its name is `role.name`

        error[F374]: this is Int, but people are asked with a record or a message
          --> trade.flow:11:23
            |
         11 |     let a = ask role: 5 -> Text within 3
            |                       ^
         help: declare a record whose fields are what they must see, and make one here

        error[F374]: this is Text, but people answer with a record or a message
          --> trade.flow:11:28
            |
         11 |     let a = ask role: 5 -> Text within 3
            |                            ^^^^
         help: declare a record whose fields are what they fill in

        error[F301]: this is Int, but Duration is wanted
          --> trade.flow:11:40
            |
         11 |     let a = ask role: 5 -> Text within 3
            |                                        ^
         help: give it a unit: `3s`

        error[F375]: `A` has a field `value`, and so has every answer by itself
          --> trade.flow:12:30
            |
         12 |     let b = ask "r": Q(1) -> A
            |                              ^
         note: `A` is declared here
          --> trade.flow:3:8
           |
         3 | record A:
           |        ^
         help: give the field of `A` another name

        error[F374]: this is B?, but people answer with a record or a message
          --> trade.flow:13:30
            |
         13 |     let c = ask "r": Q(1) -> B?
            |                              ^^
         help: declare a record whose fields are what they fill in

        error[F202]: there is no type `Missing`
          --> trade.flow:14:30
            |
         14 |     let d = ask "r": Q(1) -> Missing
            |                              ^^^^^^^
         help: declare it, or take it from another file with `use`

        error[F327]: an error is not a value: it can only be thrown
          --> trade.flow:15:22
            |
         15 |     let e = ask "r": Bad(1) -> B within now
            |                      ^^^^^^
         help: read its fields, or write `throw …`

        error[F301]: this is Timestamp, but Duration is wanted
          --> trade.flow:15:41
            |
         15 |     let e = ask "r": Bad(1) -> B within now
            |                                         ^^^

        error[F212]: the answer B has no `no`
          --> trade.flow:17:18
            |
         17 |     log info "{f.no}"
            |                  ^^
         help: it has `ok`, `value`, `by` and `at`

        error[F301]: this is the answer B, but B is wanted
          --> trade.flow:18:16
            |
         18 |     let g: B = f
            |                ^
         note: `f` is declared here, as the answer B
          --> trade.flow:16:9
            |
         16 |     let f = ask "r": Q(1) -> B
            |         ^
         help: what was answered is `f.value`

        error[F301]: this is the answer B, but B is wanted
          --> trade.flow:19:12
            |
         19 |     return ask "r": Q(1) -> B
            |            ^^^^^^^^^^^^^^^^^^
         note: the result is declared here
          --> trade.flow:10:24
            |
         10 | flow F(role: Party) -> B:
            |                        ^
         help: give the answer a name with `let`, and take its `.value`
        """,
    ),
    "F376 F377 F425 F426 F427 F317 F614 pending": (
        """
        message M:
            n: Int
        record Q:
            a: Int
        record A:
            ok: Bool
        service Carrier:
            external ship(order: Text) -> Text
            external tell(order: Text)
        flow G():
            log info "g"
        flow F(x: Int) -> Text:
            pending ask "r": Q(1) -> A
            var a = pending ask "r": Q(1) -> A
            a = pending ask "r": Q(1) -> A
            let b: Text = pending await Carrier.ship("a")
            let g = start G()
            let c = pending await each [g]
            let never = pending await g
            let label = pending await Carrier.ship("a")
            let told = pending await Carrier.tell("a")
            let asked = pending ask "r": Q(1) -> A
            let copy = label
            await label
            receive:
                case result label as l:
                    log info l
                case result label as m:
                    log info m
                case result told as t:
                    pass
                case result asked as t:
                    pass
                case answer label:
                    pass
                case answer x as t:
                    pass
                case answer nothing as t:
                    pass
            return pending await Carrier.ship("a")
        """,
        """
        error[F376]: what is pending needs a name of its own, by which it is taken later
          --> trade.flow:13:5
            |
         13 |     pending ask "r": Q(1) -> A
            |     ^^^^^^^^^^^^^^^^^^^^^^^^^^
         help: write `let x = pending …`

        error[F376]: what is pending needs a name of its own, by which it is taken later
          --> trade.flow:14:13
            |
         14 |     var a = pending ask "r": Q(1) -> A
            |             ^^^^^^^^^^^^^^^^^^^^^^^^^^
         help: write `let x = pending …`

        error[F376]: what is pending needs a name of its own, by which it is taken later
          --> trade.flow:15:9
            |
         15 |     a = pending ask "r": Q(1) -> A
            |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
         help: write `let x = pending …`

        error[F376]: what is pending needs a name of its own, by which it is taken later
          --> trade.flow:16:19
            |
         16 |     let b: Text = pending await Carrier.ship("a")
            |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
         help: write `let x = pending …`

        error[F376]: `each` waits for several at once, and what is pending is one
          --> trade.flow:18:13
            |
         18 |     let c = pending await each [g]
            |             ^^^^^^^^^^^^^^^^^^^^^^
         help: begin each of them with a `let` of its own

        error[F425]: nothing ever takes what becomes of `never`
          --> trade.flow:19:17
            |
         19 |     let never = pending await g
            |                 ^^^^^^^^^^^^^^^
         help: take it in a later `receive:`, with `case result never as x:`; or wait for it here, without `pending`

        error[F377]: `label` is pending: its result is not there yet
          --> trade.flow:23:16
            |
         23 |     let copy = label
            |                ^^^^^
         note: `label` is declared here, as pending Text
          --> trade.flow:20:9
            |
         20 |     let label = pending await Carrier.ship("a")
            |         ^^^^^
         help: wait for it in a `receive:`, with `case result label as x:`

        error[F377]: `label` is pending: its result is not there yet
          --> trade.flow:24:11
            |
         24 |     await label
            |           ^^^^^
         note: `label` is declared here, as pending Text
          --> trade.flow:20:9
            |
         20 |     let label = pending await Carrier.ship("a")
            |         ^^^^^
         help: wait for it in a `receive:`, with `case result label as x:`

        error[F614]: an earlier case takes this already, so it never gets here
          --> trade.flow:28:9
            |
         28 |         case result label as m:
            |         ^^^^^^^^^^^^^^^^^^^^^^^
         note: it is taken here
          --> trade.flow:26:9
            |
         26 |         case result label as l:
            |         ^^^^^^^^^^^^^^^^^^^^^^^
         help: remove one of the two

        error[F317]: `told` gives no result, so there is nothing to name
          --> trade.flow:30:29
            |
         30 |         case result told as t:
            |                             ^
         note: `told` is declared here
          --> trade.flow:21:9
            |
         21 |     let told = pending await Carrier.tell("a")
            |         ^^^^
         help: leave `as t` out

        error[F426]: `asked` is a question to people, so no result comes of it, but an answer
          --> trade.flow:32:21
            |
         32 |         case result asked as t:
            |                     ^^^^^
         note: `asked` is declared here
          --> trade.flow:22:9
            |
         22 |     let asked = pending ask "r": Q(1) -> A
            |         ^^^^^
         help: write `case answer asked`

        error[F426]: `label` is no question to people, so no answer comes of it, but a result
          --> trade.flow:34:21
            |
         34 |         case answer label:
            |                     ^^^^^
         note: `label` is declared here
          --> trade.flow:20:9
            |
         20 |     let label = pending await Carrier.ship("a")
            |         ^^^^^
         help: write `case result label`

        error[F427]: `x` is Int, and not pending
          --> trade.flow:36:21
            |
         36 |         case answer x as t:
            |                     ^
         note: `x` is declared here
          --> trade.flow:12:8
            |
         12 | flow F(x: Int) -> Text:
            |        ^
         help: begin it before, with `let x = pending …`

        error[F201]: there is no variable `nothing` here
          --> trade.flow:38:21
            |
         38 |         case answer nothing as t:
            |                     ^^^^^^^

        error[F376]: what is pending needs a name of its own, by which it is taken later
          --> trade.flow:40:12
            |
         40 |     return pending await Carrier.ship("a")
            |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
         help: write `let x = pending …`
        """,
    ),
    "F380 F381 F382 F383 F316 F301 F311 schedules": (
        """
        flow F(book: Text, xs: List[Int]):
            startable by schedule
            let a = Odd
            Odd()
        flow G():
            startable by rpc
            log info "g"
        schedule Odd = F("a", [1, -2]) every "0 4 * *" in "Mars"
        schedule Never = F("a", []) every "0 4 31 4 *" in "Europe/Londn"
        schedule Wrong = F(book=5) every "*/0 4 * * *" in ""
        schedule Open = F("a{now}", [1 + 1]) every "0 4 * * MON#6" in "UTC"
        schedule Other = G() every "0 4 * JUNE *" in "UTC"
        schedule lower = H() every "0 4 * JUN *" in "UTC"
        """,
        """
        error[F205]: `Odd` is a schedule, but a value is wanted here
          --> trade.flow:3:13
           |
         3 |     let a = Odd
           |             ^^^
         note: `Odd` is declared here
          --> trade.flow:8:10
           |
         8 | schedule Odd = F("a", [1, -2]) every "0 4 * *" in "Mars"
           |          ^^^
         help: what it starts, it starts by itself

        error[F316]: `Odd` is a schedule, and cannot be called
          --> trade.flow:4:5
           |
         4 |     Odd()
           |     ^^^
         note: `Odd` is declared here
          --> trade.flow:8:10
           |
         8 | schedule Odd = F("a", [1, -2]) every "0 4 * *" in "Mars"
           |          ^^^

        error[F380]: the times of a schedule have five parts: minute, hour, day of the month, month and day of the week
          --> trade.flow:8:38
           |
         8 | schedule Odd = F("a", [1, -2]) every "0 4 * *" in "Mars"
           |                                      ^^^^^^^^^
         help: `"0 18 * * MON-FRI"` is at 18:00 from Monday to Friday

        error[F381]: there is no time zone of this name
          --> trade.flow:8:51
           |
         8 | schedule Odd = F("a", [1, -2]) every "0 4 * *" in "Mars"
           |                                                   ^^^^^^
         help: write a region and a city, such as "Europe/London", or "UTC"

        error[F380]: there is no such day of the month
          --> trade.flow:9:35
           |
         9 | schedule Never = F("a", []) every "0 4 31 4 *" in "Europe/Londn"
           |                                   ^^^^^^^^^^^^
         help: `"0 18 * * MON-FRI"` is at 18:00 from Monday to Friday

        error[F381]: there is no time zone of this name
          --> trade.flow:9:51
           |
         9 | schedule Never = F("a", []) every "0 4 31 4 *" in "Europe/Londn"
           |                                                   ^^^^^^^^^^^^^^
         help: did you mean "Europe/London"?

        error[F311]: `F` needs `xs`
          --> trade.flow:10:18
            |
         10 | schedule Wrong = F(book=5) every "*/0 4 * * *" in ""
            |                  ^^^^^^^^^
         help: its form is `F(book: Text, xs: List[Int])`

        error[F301]: this is Int, but Text is wanted
          --> trade.flow:10:25
            |
         10 | schedule Wrong = F(book=5) every "*/0 4 * * *" in ""
            |                         ^
         note: `book` is declared here
          --> trade.flow:1:8
           |
         1 | flow F(book: Text, xs: List[Int]):
           |        ^^^^^^^^^^
         help: write `"5"`

        error[F380]: there is no such minute
          --> trade.flow:10:34
            |
         10 | schedule Wrong = F(book=5) every "*/0 4 * * *" in ""
            |                                  ^^^^^^^^^^^^^
         help: `"0 18 * * MON-FRI"` is at 18:00 from Monday to Friday

        error[F381]: there is no time zone of this name
          --> trade.flow:10:51
            |
         10 | schedule Wrong = F(book=5) every "*/0 4 * * *" in ""
            |                                                   ^^
         help: write a region and a city, such as "Europe/London", or "UTC"

        error[F382]: what a schedule gives to its flow is written out: a literal, or a list or map of such
          --> trade.flow:11:19
            |
         11 | schedule Open = F("a{now}", [1 + 1]) every "0 4 * * MON#6" in "UTC"
            |                   ^^^^^^^^
         help: let the flow work it out when it starts

        error[F382]: what a schedule gives to its flow is written out: a literal, or a list or map of such
          --> trade.flow:11:29
            |
         11 | schedule Open = F("a{now}", [1 + 1]) every "0 4 * * MON#6" in "UTC"
            |                             ^^^^^^^
         help: let the flow work it out when it starts

        error[F380]: there is no such day of the week
          --> trade.flow:11:44
            |
         11 | schedule Open = F("a{now}", [1 + 1]) every "0 4 * * MON#6" in "UTC"
            |                                            ^^^^^^^^^^^^^^^
         help: `"0 18 * * MON-FRI"` is at 18:00 from Monday to Friday

        error[F383]: `G` cannot be started by a schedule
          --> trade.flow:12:18
            |
         12 | schedule Other = G() every "0 4 * JUNE *" in "UTC"
            |                  ^
         note: `G` is declared here
          --> trade.flow:5:6
           |
         5 | flow G():
           |      ^
         help: declare in it that it may be: `startable by schedule`

        error[F380]: there is no such month
          --> trade.flow:12:28
            |
         12 | schedule Other = G() every "0 4 * JUNE *" in "UTC"
            |                            ^^^^^^^^^^^^^^
         help: `"0 18 * * MON-FRI"` is at 18:00 from Monday to Friday

        error[F211]: the name of a schedule is written in UpperCamel, without `_`
          --> trade.flow:13:10
            |
         13 | schedule lower = H() every "0 4 * JUN *" in "UTC"
            |          ^^^^^
         help: write `Lower`

        error[F203]: there is no flow `H`
          --> trade.flow:13:18
            |
         13 | schedule lower = H() every "0 4 * JUN *" in "UTC"
            |                  ^
         help: declare it, or take it from another file with `use`
        """,
    ),
    "F640 F641 F642 F330 F301 what is started": (
        """
        record Inner:
            ids: Map[Text, List[FlowId[Int]]]
        message M:
            n: Int
            inner: Inner?
        error Gone(id: FlowId)
        function total(n: Int) -> Int = python "a:b"
        flow F(party: Party) -> Int:
            open R with party as s
            start R()
            let a = start Uses(s, 1)
            let b = start total(1)
            let c = start Plain("x") at 5m
            let d: FlowId[Text] = start Plain(1)
            let e: FlowId = start Plain(n=1)
            let f: FlowId[Int, Text] = start Plain(1)
            return start Plain(1)
        flow R():
            responds to F as s
            log info "r"
        flow Uses(s: Session, n: Int):
            log info "{n}"
        flow Plain(n: Int) -> Int:
            return n
        """,
        """
        error[F642]: `inner` would carry the id of a flow to another node, where it means nothing
          --> trade.flow:5:12
           |
         5 |     inner: Inner?
           |            ^^^^^^
         help: keep it out of the message; what may be shown to people is its text: `Text`

        error[F642]: `id` would carry the id of a flow to another node, where it means nothing
          --> trade.flow:6:16
           |
         6 | error Gone(id: FlowId)
           |                ^^^^^^
         help: keep it out of the error; what may be shown to people is its text: `Text`

        error[F640]: `R` responds to a counterparty, so it cannot be started here
          --> trade.flow:10:11
            |
         10 |     start R()
            |           ^
         note: `R` is declared here
          --> trade.flow:18:6
            |
         18 | flow R():
            |      ^
         help: start a flow that opens a session with `R`

        error[F641]: `Uses` takes a session as `s`, and no session leaves the flow that has it
          --> trade.flow:11:19
            |
         11 |     let a = start Uses(s, 1)
            |                   ^^^^
         note: `Uses` is declared here
          --> trade.flow:21:6
            |
         21 | flow Uses(s: Session, n: Int):
            |      ^^^^
         help: run it here with `subflow Uses(…)`, or let it open a session of its own

        error[F330]: `total` is a function, but only a flow can be started
          --> trade.flow:12:19
            |
         12 |     let b = start total(1)
            |                   ^^^^^
         help: leave `start` out: `total(…)`

        error[F301]: this is Text, but Int is wanted
          --> trade.flow:13:25
            |
         13 |     let c = start Plain("x") at 5m
            |                         ^^^
         note: `n` is declared here
          --> trade.flow:23:12
            |
         23 | flow Plain(n: Int) -> Int:
            |            ^^^^^^

        error[F301]: this is Duration, but Timestamp is wanted
          --> trade.flow:13:33
            |
         13 |     let c = start Plain("x") at 5m
            |                                 ^^
         help: a moment that long from now is `now + 5m`

        error[F301]: this is FlowId[Int], but FlowId[Text] is wanted
          --> trade.flow:14:27
            |
         14 |     let d: FlowId[Text] = start Plain(1)
            |                           ^^^^^^^^^^^^^^

        error[F308]: FlowId takes one type, that of the flow's result
          --> trade.flow:16:12
            |
         16 |     let f: FlowId[Int, Text] = start Plain(1)
            |            ^^^^^^^^^^^^^^^^^
         help: write `FlowId[Text]`, for example

        error[F301]: this is FlowId[Int], but Int is wanted
          --> trade.flow:17:12
            |
         17 |     return start Plain(1)
            |            ^^^^^^^^^^^^^^
         note: the result is declared here
          --> trade.flow:8:25
           |
         8 | flow F(party: Party) -> Int:
           |                         ^^^
         help: this is the flow's id; what the flow gives is waited for: `await id`
        """,
    ),
    "F387 what is a family": (
        """
        error TooLate is FlowError
        """,
        """
        error[F387]: `FlowError` is built in, and cannot be a family
          --> trade.flow:1:18
           |
         1 | error TooLate is FlowError
           |                  ^^^^^^^^^
         help: leave this `is` out: `catch FlowError` takes every error
        """,
    ),
    "F388 families in each other": (
        """
        error Refusal is Trouble
        error Trouble is Mishap
        error Mishap is Refusal
        """,
        """
        error[F388]: these families lead in a circle: `Refusal` is `Trouble` is `Mishap` is `Refusal`
          --> trade.flow:1:18
           |
         1 | error Refusal is Trouble
           |                  ^^^^^^^
         help: leave one `is` out
        """,
    ),
    "F513 results that nobody checked": (
        """
        flow Echo(said: untrusted Text) -> untrusted Text:
            return said

        flow Repeat(said: Text) -> Int:
            var last = ""
            while last.size < 10:
                last = subflow Echo(said)
                checkpoint
            return 1
        """,
        """
        error[F513]: what `Echo` gives back was not checked, so it cannot be kept in `last`
          --> trade.flow:7:16
           |
         7 |         last = subflow Echo(said)
           |                ^^^^^^^^^^^^^^^^^^
         help: write `let result = subflow Echo(…)`, and check `result` with `require`
        """,
    ),
    "F660 flows with an owner": (
        """
        message Stop:
            reason: Text

        flow Serve(n: Int):
            startable by rpc as owner
            receive stop: Stop from owner unchecked

        flow Main():
            start Serve(3)
        """,
        """
        error[F660]: `Serve` has an owner, who starts it from outside, so no flow can run it
          --> trade.flow:9:11
           |
         9 |     start Serve(3)
           |           ^^^^^
         note: `Serve` is declared here
          --> trade.flow:4:6
           |
         4 | flow Serve(n: Int):
           |      ^^^^^
         help: move what both need into a flow that takes the session as a parameter
        """,
    ),
    "F661 owners and schedules": (
        """
        message Stop:
            reason: Text

        flow Serve(n: Int):
            startable by schedule as boss
            receive stop: Stop from boss unchecked
        """,
        """
        error[F661]: only who starts a flow by rpc can be its owner: a schedule hears nothing
          --> trade.flow:5:30
           |
         5 |     startable by schedule as boss
           |                              ^^^^
         help: write `startable by rpc as boss`
        """,
    ),
    "F385 a label of a step with values": (
        """
        flow Load(total: Int):
            steps:
                LOADING(done: Int, total: Int) "{done} of {total}"
            step LOADING: "0 of {total}"
        """,
        """
        error[F385]: the label of `LOADING` is made of its values
          --> trade.flow:4:19
           |
         4 |     step LOADING: "0 of {total}"
           |                   ^^^^^^^^^^^^^^
         note: `LOADING` is declared here
          --> trade.flow:3:9
           |
         3 |         LOADING(done: Int, total: Int) "{done} of {total}"
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
         help: give these: `step LOADING(done, total)`
        """,
    ),
    "F386 what a label shows": (
        """
        flow Load(total: Int):
            steps:
                LOADING(done: Int) "{done} done at {now}"
            step LOADING(0)
        """,
        """
        error[F386]: the label of a step can show the step's values, and nothing else
          --> trade.flow:3:45
           |
         3 |         LOADING(done: Int) "{done} done at {now}"
           |                                             ^^^
         help: give `LOADING` one more value, and fill it where the step begins
        """,
    ),
    "F389 what a key is made of": (
        """
        flow Deliver(order: Text):
            startable by rpc
            key "{order} at {now}"
            pass
        """,
        """
        error[F389]: a key is made of the flow's parameters, and of nothing else
          --> trade.flow:3:22
           |
         3 |     key "{order} at {now}"
           |                      ^^^
         help: give the flow one more parameter, and fill it where the flow is started
        """,
    ),
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_complaint(name: str) -> None:
    program, expected = COMPLAINTS[name]
    wanted = inspect.cleandoc(expected).strip()
    assert said(program) == (wanted + "\n" if wanted else "")


def test_every_code_has_a_program() -> None:
    """No code without its text above or among tests/language; F204 stands below, with the files
    that it needs, and F222 with other diagnostics of several files. Remarks are no complaints."""
    here = {code for name in COMPLAINTS for code in name.split() if code[1:].isdecimal()}
    written = set()
    for path in FOLDER.glob("*.py"):
        if path.name != "unused.py":
            written |= set(re.findall(r'"(F[2-6]\d\d)"', path.read_text("utf-8")))
    listed = {path.name[:4] for path in (FOLDER.parent.parent / "tests/language").glob("F*.flow")}
    assert written - here - listed == {"F204", "F222"} - listed
    assert here - written == set()


# --- what is right, and stays unremarked ------------------------------------------------------------

FIRST_EXAMPLE = '''
    """Delivery versus payment: an asset for cash, in one transaction."""

    record PublicKey:
        key: Bytes

    record StateAndRef:
        kind: Text
        hash: Bytes

    record SignedTransaction:
        id: Bytes

    service Keys:
        write fresh() -> PublicKey

    flow Finality(tx: SignedTransaction, sessions: List[Session]) -> SignedTransaction:
        return tx

    flow ReceiveFinality(from_them: Session, expected: Bytes) -> SignedTransaction:
        return SignedTransaction(expected)

    flow CollectSignatures(tx: SignedTransaction, sessions: List[Session]) -> SignedTransaction:
        return tx

    flow SignTransaction(from_them: Session, paying: Decimal) -> SignedTransaction:
        return SignedTransaction(0xCAFE)

    message TradeInfo:
        """What is for sale, and for how much."""
        asset: StateAndRef
        price: Decimal
        pay_to: PublicKey

    error UnacceptablePrice(given: Decimal): "unacceptable price: {given}"
    error AssetMismatch(expected: Text, actual: Text): "wanted a {expected}, was offered a {actual}"

    service Desk:
        """What a node's owner decides, bound to a Python object when the node starts."""
        read acceptable_price(kind: Text) -> Decimal
        write propose(info: TradeInfo) -> SignedTransaction

    flow Seller(buyer: Party, asset: StateAndRef, price: Decimal) -> SignedTransaction:
        """Offer `asset` to `buyer` for `price`; ends with the notarised transaction."""
        version 1
        startable by rpc
        steps:
            OFFERING "Offering the asset"
            SIGNING "Checking and signing the proposal" tracks SignTransaction
            RECORDING "Waiting for the notarised transaction" tracks ReceiveFinality

        step OFFERING
        open Buyer with buyer as trade
        send TradeInfo(asset, price, Keys.fresh()) to trade
        step SIGNING
        let signed = subflow SignTransaction(trade, paying=price)
        step RECORDING
        return subflow ReceiveFinality(trade, expected=signed.id)

    flow Buyer() -> SignedTransaction:
        version 1
        responds to Seller as trade
        steps:
            RECEIVING "Waiting for the offer"
            PROPOSING "Building and signing the proposal"
            COLLECTING "Collecting the seller's signature" tracks CollectSignatures
            FINALISING "Notarising and recording" tracks Finality

        step RECEIVING
        receive info: TradeInfo from trade:
            require info.asset.kind == "CommercialPaper" else AssetMismatch("CommercialPaper", info.asset.kind)
            require info.price <= Desk.acceptable_price(info.asset.kind) else UnacceptablePrice(info.price)
        step PROPOSING
        let proposal = Desk.propose(info)
        step COLLECTING
        let signed = subflow CollectSignatures(proposal, [trade])
        step FINALISING
        return subflow Finality(signed, [trade])
'''

EVERYTHING = """
    record Line:
        sku: Text
        count: Int = 1
        tags: List[Text] = []
        note: Text? = none

    message Order:
        lines: List[Line]
        by_name: Map[Text, Int]
        at: Timestamp
        parent: Order? = none

    message Done:
        pass

    error Refused(why: Text, line: Line?): "refused: {why}"
    error Late: "late"

    function total(lines: untrusted List[Line]) -> Decimal = python "shop.prices:total"

    service Stock:
        read on_hand(sku: untrusted Text) -> Int
        write reserve(sku: Text, count: Int)

    flow Shop(bob: Party, lines: List[Line], patience: Duration) -> Decimal?:
        startable by rpc, schedule
        steps:
            ASKING "Asking" tracks Talk
        let empty: Map[Text, Int] = {}
        var tries = 0
        var best: Decimal? = none
        while true:
            tries = tries + 1
            try:
                open Warehouse with bob as s
                step ASKING: "try {tries} of {lines.size} at {now}"
                let price = subflow Talk([s], Order(lines, {"a": 1, "b": 2}, at=now + patience))
                if best == none or price < best:
                    best = price
                if "a" in empty and empty["a"] > 2 or not (tries in [1, 2]):
                    break
            catch Refused as e:
                require e.why != "" and tries < 5 else Refused("no reason, {me.name} {flow_id}", none)
                log warn "{bob} refused: {e.why}"
                throw e
            catch SessionEnded, UnexpectedFlowEnd:
                sleep patience * 2
                continue
            hold "tired after {tries}"
            checkpoint
            return best
        return divide(2.0, 3.0, 2, HALF_EVEN) + decimal(tries // 2) - 1.5

    flow Talk(sessions: List[Session], order: Order) -> Decimal:
        for s in sessions:
            send order to s then receive done: Done from s @done unchecked
            log debug "{done == Done()} {s.peer.name} {0xCA + 0xFE == 0xCAFE}"
        for name in order.by_name:
            log info name + "!"
        return total(order.lines)

    flow Warehouse():
        responds to Shop as them
        receive order: Order from them @order:
            for line in order.lines:
                require line.count > 0 and Stock.on_hand(line.sku) >= line.count else Refused("stock", line)
            if order.at < now:
                throw Late()
        for line in order.lines:
            Stock.reserve(line.sku, line.count)
        send Done() to them
"""


@pytest.mark.parametrize("program", [FIRST_EXAMPLE, EVERYTHING])
def test_right_programs_are_not_remarked_on(program: str) -> None:
    assert said(program) == ""


@pytest.mark.parametrize("program", [FIRST_EXAMPLE, EVERYTHING])
def test_answers_are_complete(program: str) -> None:
    """What the next pass relies on, for every node of every flow."""
    result = checked(program)
    for info in result.infos.values():
        if isinstance(info, FlowInfo):
            for node in parts(info.declaration):
                assert_answered(result, node)
        elif isinstance(info, RecordInfo):
            for field in info.declaration.fields:
                assert result.type_refs[field.type]
                for node in trees.everything(field.default) if field.default else ():
                    assert_answered(result, node)
        elif isinstance(info, ErrorInfo) and info.declaration is not None:
            assert all(node in result.variable_of for node in info.declaration.parameters)
            for node in trees.everything(info.declaration.text) if info.declaration.text else ():
                assert_answered(result, node)
    assert not any(isinstance(kind, Unknown) for kind in result.type_of.values())


def assert_answered(result: Checked, node: object) -> None:
    match node:
        case syntax.Call():
            assert node in result.type_of
            assert node in result.calls
            name = node.callee.name
            assert (node.callee in result.meaning_of) == (name not in ("divide", "decimal"))
            # The only parameter here that may be left out is the last one of a message.
            given = [value is not None for value in result.calls[node]]
            assert all(given[:-1] if name == "Order" else given)
        case syntax.Name(name="me" | "now" | "flow_id"):
            assert node in result.type_of
            assert node not in result.variable_of
        case syntax.Name(name="HALF_EVEN"):
            pass
        case syntax.Name():
            assert result.type_of[node]
            assert result.variable_of[node].name == node.name
        case syntax.Let() | syntax.For() | syntax.Open() | syntax.Receive() | syntax.Assign():
            assert result.variable_of[node].name == node.name
        case syntax.Responds() | syntax.Parameter():
            assert result.variable_of[node].name == node.name
        case syntax.Catch(name=str(name)):
            assert result.variable_of[node].name == name
        case syntax.TypeRef():
            assert node in result.type_refs
        case (
            syntax.Constant()
            | syntax.Interpolation()
            | syntax.Attribute()
            | syntax.Index()
            | syntax.Unary()
            | syntax.Binary()
            | syntax.ListLiteral()
            | syntax.MapLiteral()
        ):
            assert node in result.type_of


def parts(node: object) -> Iterator[object]:
    """Every node below a flow that carries an answer; names of declarations are left out."""
    match node:
        case syntax.Call(arguments=arguments):
            yield node
            for argument in arguments:
                yield from parts(argument.value)
            return
        case syntax.ProgressStep() | syntax.TypeRef(arguments=()):
            yield node
            return
        case tuple():
            for inner in node:
                yield from parts(inner)
            return
    if not hasattr(node, "__dataclass_fields__"):
        return
    yield node
    skipped = {"flow", "errors"} if isinstance(node, NAMING) else set()
    for name in node.__dataclass_fields__:
        if name not in skipped:
            yield from parts(getattr(node, name))


NAMING = (syntax.Open, syntax.Responds, syntax.Catch)


def test_builtin_values_and_calls_have_no_meaning() -> None:
    result = checked("""
        service Desk:
            read ask(a: Int, b: Text) -> Int
        flow F() -> Int:
            return Desk.ask(b=me.name, a=3)
    """)
    [(call, arguments)] = result.calls.items()
    assert [type(argument) for argument in arguments] == [syntax.Constant, syntax.Attribute]
    assert isinstance(result.meaning_of[call.callee], OperationInfo)
    assert isinstance(call.callee, syntax.Attribute)
    assert result.meaning_of[call.callee.value] is result.infos["Desk"]


def test_types_after_narrowing() -> None:
    result = checked("""
        flow F(n: Int?) -> Int:
            if n == none:
                return 0
            return n
    """)
    names = [node for node in result.type_of if isinstance(node, syntax.Name)]
    assert [result.type_of[node] for node in names] == [OptionalType(INT), INT]
    assert len({result.variable_of[node] for node in names}) == 1


# --- what may be none -----------------------------------------------------------------------------

SHAPES = """
        record Line:
            note: Text?
            next: Line?
        error Refused: "refused"
        function text_of(x: Text) -> Text = python "shop.texts:text_of"
        function found(x: Int) -> Text? = python "shop.texts:found"
"""

NARROWED = {
    "if": """
        if x != none:
            log info x
    """,
    "if, the other way round": """
        if none == x:
            pass
        else:
            log info x
    """,
    "a part, and a part of that": """
        if line.next != none and line.next.note != none:
            log info line.next.note
    """,
    "and": """
        if x != none and text_of(x) == "a":
            pass
    """,
    "or": """
        if x == none or text_of(x) == "a":
            pass
    """,
    "not": """
        if not (x == none or line.note == none):
            log info x + line.note
    """,
    "require": """
        require x != none else Refused()
        log info x
    """,
    "leaving": """
        if x == none:
            return
        log info x
    """,
    "leaving a loop's round": """
        while true:
            if x == none:
                break
            log info x
    """,
    "elif": """
        if x == none:
            pass
        elif line.note == none:
            log info x
        else:
            log info x + line.note
    """,
    "both ways": """
        if x == none:
            return
        elif line.note == none:
            require line.note != none else Refused()
        else:
            pass
        log info x + line.note
    """,
    "assigned": """
        var y = x
        y = "a"
        log info y
        y = none
        if y == none:
            y = "b"
        log info y
    """,
    "tested again": """
        if x != none:
            if x == none:
                pass
            log info x
    """,
    "a loop that fetches": """
        var y: Text? = none
        while y == none:
            y = x
        log info y
    """,
    "assigned in a try and wherever it is left": """
        var y = x
        if y == none:
            y = "a"
        try:
            y = found(1)
            checkpoint
            y = "b"
        catch SessionEnded:
            y = "c"
        catch Malformed:
            return
        log info y
    """,
    "after a try": """
        try:
            require x != none else Refused()
        catch SessionEnded:
            return
        log info x
    """,
}


@pytest.mark.parametrize("name", NARROWED)
def test_narrowing(name: str) -> None:
    assert said(flow_of(SHAPES, "x: Text?, line: Line", NARROWED[name])) == ""


NOT_NARROWED = {
    "the other branch": """
        if x != none:
            pass
        log info x
    """,
    "or": """
        if x != none or line.note != none:
            log info x
    """,
    "not and": """
        if x == none and line.note == none:
            return
        log info x
    """,
    "assigned since": """
        var y = x
        if y != none:
            y = line.note
            log info y
    """,
    "assigned in the loop's last round": """
        var y = x
        if y != none:
            while true:
                log info y
                y = line.note
    """,
    "assigned before it was caught": """
        var y = x
        if y != none:
            try:
                y = line.note
            catch SessionEnded:
                log info y
    """,
    "assigned in a try, and left as it was found": """
        var y = x
        if y == none:
            y = "a"
        try:
            y = found(1)
            checkpoint
            y = "b"
        catch SessionEnded:
            pass
        log info y
    """,
    "a loop that is left early": """
        var y: Text? = none
        while y == none:
            break
        log info y
    """,
    "another part": """
        if line.next != none:
            log info line.note
    """,
    "assigned on one of several ways": """
        var y = x
        if y == none:
            return
        elif line.note == none:
            pass
        else:
            y = found(1)
        log info y
    """,
    "only one way": """
        if line.note != none:
            require x != none else Refused()
        log info x
    """,
}


@pytest.mark.parametrize("name", NOT_NARROWED)
def test_no_narrowing(name: str) -> None:
    result = checked(flow_of(SHAPES, "x: Text?, line: Line", NOT_NARROWED[name]))
    assert [found.code for found in result.diagnostics] == ["F305"]


def flow_of(declarations: str, parameters: str, body: str) -> str:
    lines = inspect.cleandoc(body).splitlines()
    indented = "\n".join(f"    {line}" for line in lines)
    return f"{inspect.cleandoc(declarations)}\nflow F({parameters}):\n{indented}\n"


# --- data that is not to be trusted ---------------------------------------------------------------

FOREIGN = """
        record Item:
            sku: Text
            count: Int
        message Offer:
            price: Int
            name: Text
            note: Text?
            item: Item
            items: List[Item]
        error Refused(n: Int): "refused"
        function fine(x: untrusted Offer) -> Bool = python "shop.checks:fine"
        service Desk:
            read sure(x: Int) -> Bool
            read ask(x: untrusted Int) -> Int
        flow Take(n: Int):
            pass
"""

TRUSTED = {
    "after the block, all of it": """
        receive x: Offer from s:
            require x.price > 1 else Refused(x.price)
        send x to s
        subflow Take(x.item.count)
    """,
    "a part that was required": """
        receive x: Offer from s:
            require x.price > 1 else Refused(x.item.count)
            require Desk.sure(x.price) else Refused(1)
    """,
    "a part of a part that was required": """
        receive x: Offer from s:
            require x.item != o.item else Refused(1)
            require Desk.sure(x.item.count) else Refused(1)
    """,
    "an if that throws": """
        receive x: Offer from s:
            if x.price < 1:
                throw Refused(x.price)
            let sure = Desk.sure(x.price)
    """,
    "the second half of an and": """
        receive x: Offer from s:
            require x.price > 1 and Desk.sure(x.price) else Refused(1)
    """,
    "either of two": """
        receive x: Offer from s:
            require x.price == 1 or x.price == 2 else Refused(1)
            require Desk.sure(x.price) else Refused(1)
    """,
    "a second name": """
        receive x: Offer from s:
            let price = x.price
            require price > 1 else Refused(1)
            require Desk.sure(x.price) and Desk.sure(price) else Refused(1)
    """,
    "what a value was made of": """
        receive x: Offer from s:
            let sum = x.price + x.item.count
            require sum > 1 else Refused(sum)
            require Desk.sure(x.price) and Desk.sure(sum) else Refused(1)
    """,
    "what the parts were required for": """
        receive x: Offer from s:
            let sum = x.price + x.item.count
            require x.price > 1 and x.item.count > 1 else Refused(sum)
            require Desk.sure(sum) else Refused(1)
    """,
    "a function for such data": """
        receive x: Offer from s:
            require fine(x) else Refused(1)
            require Desk.sure(x.price) else Refused(1)
    """,
    "what Python gives back": """
        receive x: Offer from s:
            let limit = Desk.ask(x.item.count)
            require Desk.sure(limit) and x.price < limit else Refused(1)
    """,
    "one item after the other": """
        receive x: Offer from s:
            for item in x.items:
                require item.count > 0 else Refused(1)
                require Desk.sure(item.count) else Refused(1)
    """,
    "an item by its number": """
        receive x: Offer from s:
            require x.items[0].count > 0 else Refused(1)
            require Desk.sure(x.items[0].count) else Refused(1)
    """,
    "counting in the block": """
        receive x: Offer from s:
            var sum = 0
            var rounds = 0
            for item in x.items:
                sum = sum + item.count
                rounds = rounds + 1
            require sum < x.price else Refused(sum)
            require Desk.sure(rounds) else Refused(rounds)
    """,
    "a parameter that was required": """
        require p.price > 1 else Refused(1)
        subflow Take(p.price)
    """,
    "an old value, again and again": """
        var sum = 0
        while sum < 10:
            let more = p.price
            sum = sum + 1
        subflow Take(sum)
    """,
    "a new value wherever a try is left": """
        var sum = p.price
        try:
            checkpoint
            sum = 1
        catch SessionEnded:
            sum = 2
        subflow Take(sum)
    """,
    "a caught error, in logs and errors": """
        try:
            pass
        catch Refused as e:
            log info "{e.n}"
            if e.n > 3:
                throw e
            throw Refused(e.n)
    """,
    "a caught error that was looked at": """
        var last = 0
        while true:
            try:
                checkpoint
            catch Refused as e:
                require e.n > 0 else Refused(1)
                last = e.n
            subflow Take(last)
    """,
    "an error's reason in the hospital": """
        try:
            pass
        catch SessionEnded as e:
            hold "ended: {e.reason}"
    """,
}


@pytest.mark.parametrize("name", TRUSTED)
def test_examined_data_is_trusted(name: str) -> None:
    assert said(flow_of(FOREIGN, "s: Session, o: Offer, p: untrusted Offer", TRUSTED[name])) == ""


UNTRUSTED = {
    "F502 the size is not the content": """
        receive x: Offer from s:
            require x.items.size > 1 else Refused(1)
            for item in x.items:
                require Desk.sure(item.count) else Refused(1)
    """,
    "F502 before it is required": """
        receive x: Offer from s:
            require Desk.sure(x.price) and x.price > 1 else Refused(1)
    """,
    "F502 another part": """
        receive x: Offer from s:
            require x.price > 1 else Refused(1)
            require Desk.sure(x.item.count) else Refused(1)
    """,
    "F502 compared with itself": """
        receive x: Offer from s:
            let price = x.price
            require price == x.price and x.name != "" else Refused(1)
            require Desk.sure(x.price) else Refused(1)
    """,
    "F502 or something that always holds": """
        receive x: Offer from s:
            require x.price > 1 or true else Refused(1)
            require x.name != "" else Refused(1)
            require Desk.sure(x.price) else Refused(1)
    """,
    "F502 a part of some item": """
        receive x: Offer from s:
            require x.items[o.price].count > 1 else Refused(1)
            require Desk.sure(x.items[0].count) else Refused(1)
    """,
    "F502 a part of a sum": """
        receive x: Offer from s:
            require (x.items + o.items).size > 1 else Refused(1)
            require Desk.sure(x.items[0].count) else Refused(1)
    """,
    "F502 and no second complaint that nothing is checked": """
        receive x: Offer from s:
            let sure = Desk.sure(x.price)
    """,
    "F212 and no second complaint that nothing is checked": """
        receive x: Offer from s:
            require x.prise > 1 else Refused(1)
    """,
    "F502 an if that goes on": """
        receive x: Offer from s:
            require x.name != "" else Refused(1)
            if x.price > 1:
                let sure = Desk.sure(x.price)
    """,
    "F502 on one way only": """
        receive x: Offer from s:
            if o.price > 1:
                require x.price > 1 else Refused(1)
            let sure = Desk.sure(x.price)
    """,
    "F502 perhaps never, in a loop": """
        receive x: Offer from s:
            for item in x.items:
                require x.price > item.count else Refused(1)
            let sure = Desk.sure(x.price)
    """,
    "F502 made of it": """
        subflow Take(Item("x", p.price).count)
    """,
    "F502 out of the last round": """
        var sum = 0
        while sum < 10:
            subflow Take(sum)
            sum = sum + p.price
    """,
    "F502 by way of another variable": """
        var one = 0
        var two = 0
        var three = 0
        while one < 10:
            subflow Take(three)
            three = two
            two = one
            one = p.price
    """,
    "F502 out of a try": """
        var sum = 0
        try:
            sum = p.price
            checkpoint
            sum = 1
        catch SessionEnded:
            pass
        subflow Take(sum)
    """,
    "F501 the key of a known list": """
        send Offer(o.items[p.price].count, "x", none, o.item, []) to s
    """,
    "F501 returned by way of a loop": """
        for item in p.items:
            sleep 1s * item.count
    """,
    "F501 kept outside": """
        var last = 0
        receive x: Offer from s:
            require x.name != "" else Refused(1)
            last = x.price
        subflow Take(last)
    """,
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_unexamined_data_is_refused(name: str) -> None:
    program = flow_of(FOREIGN, "s: Session, o: Offer, p: untrusted Offer", UNTRUSTED[name])
    assert [found.code for found in checked(program).diagnostics] == [name[:4]]


# --- several files --------------------------------------------------------------------------------

LEDGER = """
        use base: Money
        record Coin:
            worth: Money
        error NotMine(coin: Coin): "not mine"
        flow Pay(coin: Coin):
            pass
"""

BASE = """
        record Money:
            units: Int
        flow Settle():
            pass
"""


def two_files(text: str) -> Checked:
    base = checked(BASE, "base")
    source = Source("ledger.flow", "ledger", inspect.cleandoc(LEDGER))
    ledger = check(parse(source).file, source, {"base": base})
    source = Source("trade.flow", "trade", inspect.cleandoc(text))
    return check(parse(source).file, source, {"ledger": ledger})


def test_used_names_mean_what_the_other_file_says() -> None:
    result = two_files("""
        use ledger: Coin, Pay, NotMine
        flow F(coin: Coin) -> Int:
            try:
                subflow Pay(coin)
            catch NotMine:
                pass
            return coin.worth.units
    """)
    assert result.diagnostics == ()
    assert list(result.infos) == ["F"]
    assert sorted(result.scope) == ["Coin", "F", "NotMine", "Pay"]
    assert result.scope["Pay"].name == "ledger.Pay"
    assert {"ledger.Coin", "base.Money", "ledger.NotMine"} <= result.named.keys()
    assert Named("record", "base.Money") in result.type_of.values()


def test_names_that_the_other_file_does_not_have() -> None:
    result = two_files("""
        use ledger: Coyn, Money, Pay
        use ledger: Pay
        record Pay:
            pass
        flow F(a: Coyn, b: Money):
            pass
    """)
    sources = {result.source.name: result.source}
    base = checked(BASE, "base").source
    ledger = Source("ledger.flow", "ledger", inspect.cleandoc(LEDGER))
    sources |= {base.name: base, ledger.name: ledger}
    assert (
        "\n".join(as_text(found, sources) for found in result.diagnostics)
        == inspect.cleandoc("""
        error[F204]: `ledger` declares no `Coyn`
          --> trade.flow:1:13
           |
         1 | use ledger: Coyn, Money, Pay
           |             ^^^^
         help: did you mean `Coin`?

        error[F204]: `ledger` declares no `Money`
          --> trade.flow:1:19
           |
         1 | use ledger: Coyn, Money, Pay
           |                   ^^^^^
         help: `ledger` takes it from `base` itself: write `use base: Money`

        error[F206]: `Pay` is already a flow in this file
          --> trade.flow:2:13
           |
         2 | use ledger: Pay
           |             ^^^
         note: it is first declared here
          --> ledger.flow:5:6
           |
         5 | flow Pay(coin: Coin):
           |      ^^^
         help: give one of them another name

        error[F206]: `Pay` is already a flow in this file
          --> trade.flow:3:8
           |
         3 | record Pay:
           |        ^^^
         note: it is first declared here
          --> ledger.flow:5:6
           |
         5 | flow Pay(coin: Coin):
           |      ^^^
         help: give one of them another name
    """)
        + "\n"
    )


def test_declarations_of_the_other_file_that_cannot_be_read() -> None:
    text = 'use nowhere: Coin\nrecord Coin:\n    n: Int\nerror Late(by Duration): "late"\n'
    source = Source("ledger.flow", "ledger", text)
    ledger = check(parse(source).file, source, {})
    text = "use ledger: Coin, Late\nflow F(coin: Coin):\n    throw Late(coin.n)\n"
    source = Source("trade.flow", "trade", text)
    result = check(parse(source).file, source, {"ledger": ledger})
    assert result.diagnostics == ()


def test_a_module_that_is_missing_was_reported_by_others() -> None:
    result = checked("""
        use nowhere: Coin, Pay, Refused, Desk, total
        message Offer:
            coin: Coin
            coins: Map[Text, Coin?]
        flow F(coin: Coin, bob: Party) -> Coin:
            let x = Desk.price(coin.worth, total(coin)) + 3
            open Pay with bob as s
            send coin to s
            receive y: Coin from s:
                require y.price > 1 else Refused(y)
            try:
                let z = subflow Pay(coin, x)
                if z == 3 and z > x:
                    return z
            catch Refused as e:
                throw e
            for each_one in Desk.coins():
                log info "{each_one}"
            return Coin(x[0], x.size, -x)
        flow G():
            responds to Pay as s
            steps:
                PAYING "Paying" tracks Pay
            subflow Pay(s)
    """)
    assert result.diagnostics == ()


# --- parts that cannot be read --------------------------------------------------------------------


def test_what_follows_from_a_gap_is_not_reported() -> None:
    assert said_of_broken("""
        message Ping:
            n: Int
        flow F(s: Session) -> Int:
            let price = = 5
            log info "{price}"
            price = 6
            let price = 7
            receive x Ping from s:
                require x.n > 1 else Refused(x.n)
            receive y: Ping from s:
                requir y.n > 1 else else Refused(y.n)
            while @ price:
                break
            log info "{x}"
        error Refused(n: Int): "refused"
    """) == []  # fmt: skip


def test_the_rest_of_a_broken_flow_is_checked() -> None:
    assert said_of_broken("""
        flow F(s: Session) -> Int:
            let price = = 5
            let count: Text = 3
            return prise
    """) == ["F301:3", "F201:4"]  # fmt: skip


def test_broken_declarations_are_known_by_name() -> None:
    assert said_of_broken("""
        flow Buyer( -> Int
            return 1
        error Late(by Duration): "late"
        flow Seller(bob: Party) -> Int:
            open Buyer with bob as s
            try:
                return subflow Buyer(s, 3)
            catch Late:
                throw Late(3)
    """) == []  # fmt: skip


def test_a_declaration_with_a_gap_is_known_by_name_alone() -> None:
    source = Source(
        "trade.flow",
        "trade",
        "record Line:\n    sku: Text\n    to: Mony\n"
        "flow F(line: Line) -> Line:\n    return Line(line.count, 5)\n",
    )
    file = dataclasses.replace(parse(source).file, broken_names=frozenset({"Line"}))
    assert [found.code for found in check(file, source, {}).diagnostics] == ["F202"]


def test_each_of_several_mistakes_is_reported_once() -> None:
    result = checked("""
        message Offer:
            price: Int
        flow Seller(bob: Party, price: Int) -> Int:
            open Byer with bob as trade
            send Offer(prise) to trade
            receive answer: Offer from trade:
                pass
            let more = answer.price + "1"
            let most = more + 1
            most = most * 2
            return most.size
            log info "done"
        flow Buyer():
            responds to Seller as trade
            send 5 to trade
    """)
    codes = [f"{found.code}:{found.span.line}" for found in result.diagnostics]
    assert codes == ["F203:4", "F201:5", "F503:6", "F302:8", "F401:10", "F406:12", "F601:15"]


# --- limits ---------------------------------------------------------------------------------------


def test_deep_programs() -> None:
    head = 'function f(x: Int) -> Int = python "a:f"\nflow F(n: Int, xs: List[Int]) -> Int:\n'
    blocks = ["if n > 1:", "while n > 2:", "for x{0} in xs:", "try:"]
    lines, tails = [], []
    for depth in range(1, 60):
        indent = "    " * depth
        lines.append(indent + blocks[depth % 4].format(depth))
        if depth % 4 == 3:
            tails.append(f"{indent}catch SessionEnded:\n{indent}    pass")
    inner = "    " * 60
    deep = f"{inner}let y = " + "f(" * 90 + "n" + ")" * 90
    text = head + "\n".join([*lines, deep, *reversed(tails)]) + "\n    return n\n"
    assert said(text) == ""


def test_many_mistakes_take_no_time() -> None:
    """Four times the mistakes are four times the work."""

    def work(many: int) -> int:
        unknown = "".join(f"record R{n}x:\n    f: Q{n}y\n" for n in range(many))
        chain = "".join(f"flow F{n}(a: Int):\n    subflow F{n + 1}(q{n}r)\n" for n in range(many))
        source = Source("trade.flow", "trade", unknown + chain)
        file = parse(source).file
        assert len(check(file, source, {}).diagnostics) == 2 * many + 1
        return calls(lambda: check(file, source, {}))

    assert work(1000) < 5 * work(250)


def test_damaged_programs_are_only_reported() -> None:
    """Words of right programs deleted, doubled and swapped: whatever the tree is, no exception."""
    chance = random.Random(20)
    for number in range(150):
        pieces = re.findall(
            r"\w+|\s+|[^\w\s]", inspect.cleandoc([FIRST_EXAMPLE, EVERYTHING][number % 2])
        )
        for _ in range(chance.randint(1, 5)):
            one, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
            damage = chance.choice(["delete", "double", "swap"])
            if damage == "delete":
                del pieces[one]
            elif damage == "double":
                pieces.insert(one, pieces[other])
            else:
                pieces[one], pieces[other] = pieces[other], pieces[one]
        source = Source("trade.flow", "trade", "".join(pieces))
        for found in check(parse(source).file, source, {}).diagnostics:
            assert as_text(found, {"trade.flow": source})


def test_the_answers_are_the_same_every_time() -> None:
    program = "\n".join(program for program, _ in list(COMPLAINTS.values())[:1])
    assert [said(program) for _ in range(3)] == [said(program)] * 3
