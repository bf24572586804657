"""Scenarios of progress: CS-007, CS-160 to CS-164."""

from __future__ import annotations

import pytest

from flowrt.core.flow import FlowError
from flowrt.core.progress import ProgressEvent
from tests.conformance.conftest import Play
from tests.conformance.scene import Begun, Scene, mistakes, program

PROGRAM = """
error Wrong

flow Four(fails: Bool) -> Int:
    startable by rpc
    steps:
        ONE "one"
        TWO "two"
        THREE "three"
        FOUR "four"
    step ONE
    checkpoint
    step TWO
    checkpoint
    step THREE
    checkpoint
    if fails:
        throw Wrong()
    step FOUR
    return 4

flow OneChild():
    startable by rpc
    steps:
        ONE "one"
        TWO "two" tracks Child
        THREE "three"
        FOUR "four"
    step ONE
    step TWO
    subflow Child()
    step THREE
    checkpoint
    step FOUR

flow Child():
    steps:
        AYY "ayy"
        BEE "bee"
        SEA "sea"
    step AYY
    checkpoint
    step BEE
    checkpoint
    step SEA

flow TwoLevels():
    startable by rpc
    steps:
        ONE "one"
        FOUR "four" tracks Between
    step ONE
    step FOUR
    subflow Between()

flow Between():
    steps:
        AYY "ayy"
        SEA "sea" tracks Deep
    step AYY
    step SEA
    subflow Deep()

flow Deep():
    steps:
        UNOS "unos"
        DOES "does"
    step UNOS
    sleep 1h
    step DOES

flow Back():
    startable by rpc
    steps:
        ONE "one"
        TWO "two" tracks Child
        THREE "three"
    step ONE
    checkpoint
    step TWO
    subflow Child()
    step THREE
    checkpoint
    step ONE
    checkpoint
    step TWO
    step TWO
"""

PLAY = program(PROGRAM)


def moves(scene: Scene, begun: Begun) -> list[ProgressEvent]:
    return scene.node(begun.party).progress(begun.id)


def test_cs_160_the_steps_in_their_order_and_no_more(play: Play) -> None:
    scene = play(PROGRAM, "alice")
    four = scene.start("alice", PLAY.Four_v1, fails=False)
    assert scene.result(four) == 4
    found = moves(scene, four)
    assert [move.label for move in found[:-1]] == ["one", "two", "three", "four"]
    assert [move.outcome for move in found] == [None] * 4 + ["done"]
    assert [move.number for move in found] == list(range(5))
    scene.crash("alice")
    assert moves(scene, four) == found, "and after a restart"


def test_cs_160_an_error_is_the_last_move(play: Play) -> None:
    scene = play(PROGRAM, "alice")
    four = scene.start("alice", PLAY.Four_v1, fails=True)
    with pytest.raises(FlowError):
        scene.result(four)
    assert [move.outcome for move in moves(scene, four)] == [None] * 3 + ["failed"]


def test_cs_007_where_a_flow_stands_is_seen_while_it_rests(play: Play) -> None:
    scene = play(PROGRAM, "alice")
    levels = scene.start("alice", PLAY.TwoLevels_v1)
    scene.until(lambda: scene.flows("alice"))
    for _ in range(2):
        [flow] = scene.flows("alice")
        assert flow.path == ("FOUR", "SEA", "UNOS")
        assert moves(scene, levels)[-1].label == "unos"
        scene.crash("alice")


def test_cs_162_a_childs_steps_hang_under_its_callers(play: Play) -> None:
    scene = play(PROGRAM, "alice")
    begun = scene.start("alice", PLAY.OneChild_v1)
    scene.result(begun)
    assert [(move.path, move.depth) for move in moves(scene, begun)[:-1]] == [
        (("ONE",), 0),
        (("TWO",), 0),
        (("TWO", "AYY"), 1),
        (("TWO", "BEE"), 1),
        (("TWO", "SEA"), 1),
        (("THREE",), 0),
        (("FOUR",), 0),
    ]


def test_cs_162_two_levels_of_children(play: Play) -> None:
    scene = play(PROGRAM, "alice")
    begun = scene.start("alice", PLAY.TwoLevels_v1)
    scene.result(begun)
    assert [move.path for move in moves(scene, begun)[:-1]] == [
        ("ONE",),
        ("FOUR",),
        ("FOUR", "AYY"),
        ("FOUR", "SEA"),
        ("FOUR", "SEA", "UNOS"),
        ("FOUR", "SEA", "DOES"),
    ]


def test_cs_164_going_back_drops_the_children_of_what_was_passed(play: Play) -> None:
    scene = play(PROGRAM, "alice")
    begun = scene.start("alice", PLAY.Back_v1)
    scene.result(begun)
    paths = [move.path for move in moves(scene, begun)[:-1]]
    assert paths[-3:] == [("THREE",), ("ONE",), ("TWO",)], "the same step again is no move"


def test_cs_167_a_step_of_another_flow_is_refused_by_the_compiler() -> None:
    foreign = """
flow One():
    startable by rpc
    steps:
        ONE "one"
    step ONE
    step TWO

flow Two():
    startable by rpc
    steps:
        TWO "two"
    step TWO
"""
    assert mistakes(foreign).keys() == {"F214"}


INDEX = """
flow Index():
    startable by rpc
    steps:
        ONE "one"
        TWO "two" tracks Child
        THREE "three"
        FOUR "four"
    step ONE
    step TWO
    subflow Child(true)
    step THREE
    checkpoint
    step FOUR

flow Child(skips: Bool):
    steps:
        AYY "ayy"
        BEE "bee"
        SEA "sea"
    if not skips:
        step AYY
    step BEE
    checkpoint
    if not skips:
        step SEA

flow Levels(short: Bool):
    startable by rpc
    steps:
        ONE "one"
        TWO "two"
        THREE "three"
        FOUR "four" tracks Between
    step ONE
    if not short:
        step TWO
        step THREE
    step FOUR
    subflow Between(short)

flow Between(short: Bool):
    steps:
        AYY "ayy"
        BEE "bee"
        SEA "sea" tracks Deep
    if not short:
        step AYY
        step BEE
    step SEA
    subflow Deep()

flow Deep():
    steps:
        UNOS "unos"
        DOES "does"
    sleep 1h
    step UNOS
    step DOES
"""


def indexes(scene: Scene, begun: Begun) -> list[int]:
    """The rows at which the flow stood, each once."""
    node = scene.node(begun.party)
    tree = node.tree(begun.id, from_the_beginning=True)
    found = [0]
    for event in node.moves(begun.id, 0, -1):
        tree.apply(event)
        if tree.view().index != found[-1]:
            found.append(tree.view().index)
    assert tree.view() == node.tracker(begun.id)
    return found


def test_cs_162_the_number_of_a_row_counts_the_steps_of_subflows(play: Play) -> None:
    scene = play(INDEX, "alice")
    begun = scene.start("alice", program(INDEX).Index_v1)
    scene.result(begun)
    # one, two, bee, its end, three, four, Done.
    assert indexes(scene, begun) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_cs_162_the_number_of_a_row_two_levels_deep(play: Play) -> None:
    scene = play(INDEX, "alice")
    begun = scene.start("alice", program(INDEX).Levels_v1, short=True)
    scene.until(lambda: scene.flows("alice"))
    assert indexes(scene, begun) == [0, 1, 4, 7]
    rows = scene.node("alice").tracker(begun.id).rows
    assert [(row.depth, row.label) for row in rows[4:]] == [
        (0, "four"),
        (1, "ayy"),
        (1, "bee"),
        (1, "sea"),
        (2, "unos"),
        (2, "does"),
        (0, "Done"),
    ]
