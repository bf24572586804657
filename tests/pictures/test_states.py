"""Machines as pictures: the whole text of one, and what could break out of it."""

from __future__ import annotations

import textwrap

from flowlang import machine
from flowlang.compiler import compile_modules
from flowlang.pictures import states_mermaid, states_text
from flowlang.source import Source

TRADE = """
message Offer:
    price: Int

message Answer:
    text: Text

error TooDear(price: Int)
error Gone

flow Seller(buyer: Party, price: Int) -> Int:
    startable by rpc
    steps:
        OFFERING "Offering"
        RESTING "Resting"
    var asked = price
    while asked > 0:
        try:
            step OFFERING
            open Buyer with buyer as trade
            send Offer(asked) to trade
            receive answer: Answer from trade:
                require answer.text != "" else Gone()
            return asked
        catch TooDear, SessionEnded:
            step RESTING
        sleep 5m
        asked = subflow Less(asked)
    throw Gone()

flow Buyer():
    responds to Seller as trade
    receive offer: Offer from trade unchecked
    send Answer("done") to trade

flow Less(asked: Int) -> Int:
    checkpoint
    hold "think"
    return asked - 1
"""


def machines(text: str) -> list[machine.Machine]:
    source = Source("trade.flow", "trade", textwrap.dedent(text).strip() + "\n")
    made = compile_modules(["trade"], {"trade": source}.get)
    assert not made.diagnostics
    return list(made.modules["trade"].machines)


def test_as_text() -> None:
    seller, buyer, less = machines(TRADE)
    assert states_text.text_of(seller) == textwrap.dedent("""\
        trade.Seller_v1(buyer: Party, price: Int) -> Int
        startable by rpc

          Start        line 10  flow Seller(buyer: Party, price: Int) -> Int:
                       keeps    buyer: Party, price: Int
                       then     AwaitAnswer: step OFFERING, open Buyer, send Offer
                                the end: throw Gone
                                Asleep: catch TooDear, SessionEnded, step RESTING

          AwaitAnswer  line 21  receive answer: Answer from trade:
                       waits    for Answer from trade
                       keeps    buyer: Party, asked: Int
                       then     the end: throw Gone
                                the end: return
                                Asleep: catch TooDear, SessionEnded, step RESTING
                       catches  TooDear, SessionEnded (line 24)

          Asleep       line 26  sleep 5m
                       waits    for 5m
                       keeps    buyer: Party, asked: Int
                       then     InLess

          InLess       line 27  asked = subflow Less(asked)
                       waits    for subflow Less_v1
                       keeps    buyer: Party
                       then     AwaitAnswer: step OFFERING, open Buyer, send Offer
                                the end: throw Gone
                                Asleep: catch TooDear, SessionEnded, step RESTING
        """)
    assert states_text.text_of(buyer) == textwrap.dedent("""\
        trade.Buyer_v1(trade: Session)
        responds to trade.Seller

          Start       line 30  flow Buyer():
                      keeps    trade: Session
                      then     AwaitOffer

          AwaitOffer  line 32  receive offer: Offer from trade unchecked
                      waits    for Offer from trade
                      keeps    trade: Session
                      then     the end: send Answer, return
        """)
    assert states_text.text_of(less) == textwrap.dedent("""\
        trade.Less_v1(asked: Int) -> Int

          Start       line 35  flow Less(asked: Int) -> Int:
                      keeps    asked: Int
                      then     Checkpoint

          Checkpoint  line 36  checkpoint
                      waits    for nothing: a checkpoint
                      keeps    asked: Int
                      then     Held

          Held        line 37  hold "think"
                      waits    for an operator: think
                      keeps    asked: Int
                      then     the end: return
        """)


def test_as_mermaid() -> None:
    _, buyer, less = machines(TRADE)
    assert states_mermaid.mermaid_of(buyer) == textwrap.dedent("""\
        ---
        title: trade.Buyer_v1
        ---
        stateDiagram-v2
            [*] --> Start
            Start --> AwaitOffer
            AwaitOffer --> [*] : send Answer, return
            note right of Start
                line 30 flow Buyer():
                keeps trade
            end note
            note right of AwaitOffer
                line 32 receive offer: Offer from trade unchecked
                keeps trade
            end note
        """)
    assert states_mermaid.mermaid_of(less) == textwrap.dedent("""\
        ---
        title: trade.Less_v1
        ---
        stateDiagram-v2
            [*] --> Start
            Start --> Checkpoint
            Checkpoint --> Held
            Held --> [*] : return
            note right of Start
                line 35 flow Less(asked: Int) -#62; Int:
                keeps asked
            end note
            note right of Checkpoint
                line 36 checkpoint
                keeps asked
            end note
            note right of Held
                line 37 hold #34;think#34;
                keeps asked
            end note
        """)


def test_what_authors_write_is_only_text() -> None:
    [flow] = machines("""
        flow F(n: Int):
            hold "end note; #1 </text> {n} %% \\" \\u{202E}"
        """)
    drawn = states_mermaid.mermaid_of(flow)
    [line] = [line for line in drawn.split("\n") if "hold" in line]
    assert not set(line) & set('"<>{}%\u202e')
    assert line.count("end note") == 1
    assert line.startswith("        line 2 hold ")
    assert all(part.isprintable() for part in states_text.text_of(flow).split("\n"))


def test_a_long_way_is_told_in_short() -> None:
    steps = "".join(f'        S{n} "s"\n' for n in range(9))
    body = "".join(f"    step S{n}\n" for n in range(9))
    [flow] = machines(f"flow F():\n    steps:\n{steps}{body}    checkpoint\n")
    drawn = states_mermaid.mermaid_of(flow)
    assert "Start --> Checkpoint : step S0, step S1, step S2, …, step S8\n" in drawn
