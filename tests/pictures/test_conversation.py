"""All conversations of some flows: the examples look as expected, what does not fit is said, and
random programs are always drawn. UPDATE_EXPECT=1 writes the texts of `expected/` anew."""

from __future__ import annotations

import os
import re
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from flowlang.compiler import Compilation, compile_modules
from flowlang.pictures import sequence_svg, sequence_text
from flowlang.pictures.conversation import conversation, opened_by
from flowlang.pictures.sequence import Alternatives, Frame, Message, Note, Sequence, every
from flowlang.source import Source
from tests.examples.loaded import folder_of
from tests.ledger.played import compiled
from tests.programs.generator import LIBRARY, MODULE, seeded

EXPECTED = Path(__file__).parent / "expected"


def example(folder: str, name: str) -> Compilation:
    def load(module: str) -> Source:
        text = (folder_of(folder) / f"{module}.flow").read_text("utf-8")
        return Source(f"{module}.flow", module, text)

    return compile_modules([name], load)


@pytest.mark.parametrize(
    ("folder", "module", "root"),
    [
        ("small_trade", "trade", "Seller"),
        ("purchase", "purchase", "Purchase"),
    ],
)
def test_the_examples_look_as_expected(folder: str, module: str, root: str) -> None:
    made = example(folder, module)
    opened = opened_by(f"{module}.{root}", made.checked)
    drawn = sequence_text.text_of(conversation(f"{module}.{root}", opened, made.checked))
    path = EXPECTED / f"{module}.txt"
    if "UPDATE_EXPECT" in os.environ:
        path.write_text(drawn, "utf-8")
    assert drawn == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("folder", "module", "root"),
    [("small_channel", "channel", "Channel"), ("loan", "loan", "Borrow")],
)
def test_the_other_examples_are_drawn_whole(folder: str, module: str, root: str) -> None:
    made = example(folder, module)
    opened = opened_by(f"{module}.{root}", made.checked)
    picture = conversation(f"{module}.{root}", opened, made.checked)
    notes = [one.text for one in every(picture.items) if isinstance(one, Note)]
    assert "what follows is not drawn: there are too many ways" not in notes
    assert len(picture.lanes) > len(opened)


SECOND = """
use finance.trade: BuyAndSettle, SellAndAwait
use ledger.parts: Amount, StateRef

flow Offer(buyer: Party, asset: StateRef, price: Amount):
    open Take with buyer as talk
    subflow SellAndAwait(talk, asset, price)

flow Take():
    responds to Offer as talk
    subflow BuyAndSettle(talk)
"""


def outline(picture: Sequence) -> str:
    """The picture without its lanes: one line for each row, as deep as its boxes are."""
    lines, depth = [], 0
    for row in sequence_text.text_of(picture).splitlines()[2:]:
        words = " ".join(re.sub("[│┌┐└┘─╌]", " ", row).split())
        depth -= "└" in row
        if words:
            lines.append("  " * depth + words)
        depth += "┌" in row
    return "\n".join(lines) + "\n"


def test_the_second_form_of_a_trade_looks_as_expected() -> None:
    """The buyer has it notarised, the seller waits for it."""
    made = compiled(SECOND, "m")
    flows = ("m.Take", "finance.trade.RecordTrade")
    drawn = outline(conversation("m.Offer", flows, made.checked))
    path = EXPECTED / "sale.txt"
    if "UPDATE_EXPECT" in os.environ:
        path.write_text(drawn, "utf-8")
    assert drawn == path.read_text("utf-8")


def test_each_way_of_a_choice_is_drawn_however_long_the_first_one_is() -> None:
    made = compiled(SECOND, "m")
    flows = ("finance.trade.TakeOffer", "finance.trade.RecordTrade")
    picture = conversation("finance.trade.OfferTrade", flows, made.checked)
    [choice] = picture.items
    assert isinstance(choice, Alternatives)
    ways = [{one.title for one in every(way.items) if isinstance(one, Frame)}
            for way in choice.branches]  # fmt: skip
    for names, way in zip(
        (
            {"Sell", "Buy", "SignProposal", "Finality", "ReceiveFinality"},
            {"SellAndAwait", "BuyAndSettle", "SignProposal", "SettleTrade", "AwaitTrade"},
            {"SellAndSettle", "BuyAndAwait", "SignProposal", "SettleTrade", "AwaitTrade"},
        ),
        ways,
        strict=True,
    ):
        assert names <= way


def test_what_goes_wrong_leaves_what_is_hoped_for_its_room() -> None:
    """Each of many failures leads to a long conversation; the one without any is drawn to its end,
    and what is not drawn of the others is said."""
    asking = """
            try:
                send Ask({n}) to s
                receive x{n}: Tell from s unchecked
            catch FlowError:
                let done{n} = subflow Long(c)
    """
    long = "".join(
        f"""
            send Ask({n}) to t
            if n{n} == 1:
                receive m{n}: Tell from t unchecked
        """.replace(f"n{n} ==", "number ==")
        for n in range(30)
    )
    picture = said(
        f"""
        flow A(b: Party, c: Party):
            open B with b as s{"".join(asking.format(n=n) for n in range(9)).rstrip()}
            send Stop() to s

        flow B():
            responds to A as s
            while true:
                receive from s:
                    case Ask:
                        send Tell(1) to s
                    case Stop:
                        return

        flow Long(c: Party) -> Int:
            var number = 1
            open C with c as t{long.rstrip()}
            return number

        flow C():
            responds to Long as t
            while true:
                receive from t:
                    case Ask:
                        send Tell(1) to t
                    case ended:
                        return
        """
    )
    texts = [one.text for one in every(picture.items) if isinstance(one, Message)]
    assert texts[-1] == "Stop"
    assert texts.count("Tell") >= 9


def said(text: str, root: str = "m.A", followed: tuple[str, ...] = ("m.B",)) -> Sequence:
    declared = (
        "message Ask:\n    n: Int\n\nmessage Tell:\n    n: Int\n\nmessage Stop\n\nerror No\n\n"
    )
    source = Source("m.flow", "m", declared + textwrap.dedent(text).strip() + "\n")
    made = compile_modules(["m"], {"m": source}.get)
    assert not made.diagnostics, made.diagnostics
    return conversation(root, followed, made.checked)


def shown(picture: Sequence) -> list[str]:
    """The picture without its lanes: what is in each row."""
    rows = sequence_text.text_of(picture).splitlines()[3:]
    return [" ".join(row.replace("│", " ").split()) for row in rows]


def test_a_choice_is_drawn_with_its_condition() -> None:
    picture = said("""
        flow A(b: Party, n: Int):
            open B with b as s
            if n > 3:
                send Ask(n) to s
            else:
                send Tell(n) to s
            receive x: Tell from s unchecked

        flow B():
            responds to A as s
            receive from s:
                case Ask as ignored:
                    pass
                case Tell as ignored:
                    pass
            send Tell(1) to s
        """)
    rows = shown(picture)
    assert any("alt n > 3" in row for row in rows)
    assert any("or otherwise" in row for row in rows)
    # What follows is drawn once, behind the choice.
    assert len([row for row in rows if "Tell" in row]) == 2
    assert not [one for one in every(picture.items) if isinstance(one, Note)]


def test_a_loop_that_is_served_is_one_loop() -> None:
    picture = said("""
        flow A(b: Party, n: Int):
            open B with b as s
            var left = n
            while left > 0:
                send Ask(left) to s then receive x: Tell from s unchecked
                left = left - 1
            send Stop() to s

        flow B():
            responds to A as s
            while true:
                receive from s:
                    case Ask as asked unchecked:
                        send Tell(asked.n) to s
                    case Stop:
                        break
        """)
    rows = shown(picture)
    assert len([row for row in rows if "loop" in row]) == 1
    assert any("loop while left > 0" in row for row in rows)
    assert [one.text for one in every(picture.items) if isinstance(one, Message)] == [
        "Ask",
        "Tell",
        "Stop",
    ]


def test_an_error_that_the_peer_catches_is_drawn() -> None:
    picture = said("""
        flow A(b: Party):
            open B with b as s
            try:
                send Ask(1) to s then receive x: Tell from s unchecked
            catch No:
                sleep 5m

        flow B():
            responds to A as s
            receive asked: Ask from s:
                require asked.n > 0 else No()
            send Tell(1) to s
        """)
    rows = shown(picture)
    assert any("instead No" in row for row in rows)
    assert any("✗ No" in row for row in rows)
    assert any("sleeps 5m" in row for row in rows)


def test_what_does_not_fit_is_said_where_it_is() -> None:
    picture = said("""
        flow A(b: Party):
            open B with b as s
            send Ask(1) to s

        flow B():
            responds to A as s
            receive x: Tell from s unchecked
        """)
    [note] = [one for one in every(picture.items) if isinstance(one, Note)]
    assert note.text == "does not fit: Ask comes, but B waits for Tell"
    assert note.tone == "trouble"
    assert note.place.startswith("m.flow:")


def test_two_who_wait_for_each_other_are_shown() -> None:
    picture = said("""
        flow A(b: Party):
            open B with b as s
            receive x: Tell from s unchecked

        flow B():
            responds to A as s
            receive x: Tell from s unchecked
        """)
    notes = [one.text for one in every(picture.items) if isinstance(one, Note)]
    assert notes == [
        "A waits for Tell, which nobody sends",
        "B waits for Tell, which nobody sends",
    ]


def test_who_is_not_followed_answers_whatever_is_waited_for() -> None:
    picture = said(
        """
        flow A(b: Party):
            open B with b as s
            send Ask(1) to s then receive x: Tell from s unchecked

        flow B():
            responds to A as s
            receive x: Stop from s unchecked
        """,
        followed=(),
    )
    assert [one.text for one in every(picture.items) if isinstance(one, Message)] == ["Ask", "Tell"]


def test_conversations_of_random_programs_are_drawn() -> None:
    drawn = 0
    for seed in range(3):
        program = seeded(seed)
        files = {MODULE: Source("program.flow", MODULE, program.text)}
        if program.library is not None:
            files[LIBRARY] = Source("shapes.flow", LIBRARY, program.library)
        made = compile_modules([MODULE], files.get)
        root = f"{MODULE}.Main"
        picture = conversation(root, opened_by(root, made.checked), made.checked)
        ET.fromstring(sequence_svg.svg_of(picture))
        assert picture == conversation(root, opened_by(root, made.checked), made.checked)
        drawn += bool(picture.items)
    assert drawn
