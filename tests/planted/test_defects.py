"""Testing the tester: defects that are planted must be seen; a world without them must be sound."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrt.sim import Violation, World
from flowrt.sim.tape import count
from tests.planted.defects import DEFECTS
from tests.planted.events import Events
from tests.planted.hunting import APART, Hunted, hunt, hunted, summary, worlds
from tests.planted.planting import CannotPlant, Change, Defect, defect
from tests.planted.restored import Restored
from tests.planted.stories import ALICE, STORIES, Clockwork, Story, played

HANDFUL = (
    "repeat is news",
    "acknowledged before the commit",
    "memory outlives the refusal",
    "operations are not begun again",
    "key of the attempt",
    "late child begins at once",
    "second decision wins",
    "what came last counts",
    "half a batch",
    "no fence",
    "handlers end at a wait",
    "mark is not checked",
    "an end is not told",
    "soft locks outlive",
)
"""Hunted in every run of the suite: from each room, and by each sort of judge."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Worlds of trouble log all of it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _named(name: str) -> Defect:
    return next(defect for defect in DEFECTS if defect.name == name)


# --- the machinery --------------------------------------------------------------------------------


def test_there_are_enough_and_every_one_can_be_planted() -> None:
    assert len(DEFECTS) >= 36
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
    assert {
        "session",
        "engine",
        "node",
        "store",
        "events",
        "lineage",
        "ledger",
        "compiler",
        "roles",
    } == {one.room for one in DEFECTS}
    for one in DEFECTS:
        functions = [change.function() for change in one.changes]
        sound = [function.__code__ for function in functions]
        with one.planted():
            assert [function.__code__ for function in functions] != sound
        assert [function.__code__ for function in functions] == sound, one.name


def test_the_page_lists_every_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    section = page.partition("## Planted defects")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.count(" | ") == 5]
    listed = {(row[0].removeprefix("| "), row[1], row[2]) for row in rows[2:]}
    planted = {(one.name, one.room, one.text) for one in DEFECTS}
    assert listed - planted == set()
    assert planted - listed == set()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change("flowrt.core.session:take", (("no such text", ""),)), "0 times"),
        (Change("flowrt.core.session:take", (("session", ""),)), "times"),
        (Change("flowrt.core.session:WINDOW", (("", ""),)), "no function"),
    ],
)
def test_a_defect_whose_text_is_gone_fails_loudly(change: Change, text: str) -> None:
    with (
        pytest.raises(CannotPlant, match=text),
        Defect("gone", "nowhere", "", "", (change,)).planted(),
    ):
        pass


@pytest.mark.parametrize("story", [*STORIES, Events], ids=lambda story: story.name)
def test_without_a_defect_the_worlds_are_sound(story: type[Story]) -> None:
    assert played(story).violation is None
    for seed in range(7_000, 7_008):
        assert played(story, seed).violation is None, seed


def test_a_schedule_that_is_begun_again_under_an_earlier_hour_has_fired_once() -> None:
    """Its first step failed at eleven; the clock was set back by a minute before the second try."""
    found = played(Clockwork, 9188)
    assert found.violation is None


def test_without_a_defect_a_disk_may_go_back() -> None:
    """In most of these worlds somebody refuses to go on, and all ends when that is accepted."""
    accepted = 0
    for seed in range(20):
        one = played(Restored, seed)
        assert one.violation is None, seed
        accepted += sum(host.accepted for host in one.world.hosts.values())
    assert accepted > 5


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_without_a_defect_many_disks_may_go_back() -> None:
    for seed in range(1_000, 6_000):
        assert played(Restored, seed).violation is None, seed


@pytest.mark.parametrize("name", HANDFUL)
def test_a_planted_defect_is_seen_and_played_again(name: str) -> None:
    found = hunt(_named(name), 0, most=400, tries=40)
    assert found is not None
    assert found.left <= found.found


def test_shrinking_leaves_few_choices() -> None:
    # One that only a refused commit shows: others break a world in which nothing goes wrong.
    found = hunt(_named("promised ids again"), 0)
    assert found is not None
    assert 0 < found.left <= 5
    assert found.left < found.found


# --- the canary -----------------------------------------------------------------------------------


class Canary(Story):
    """In one world of a hundred a row is written that belongs to nobody."""

    name = "canary"

    def build(self, world: World) -> None:
        self.people(world, ALICE)
        self.start(world, ALICE, "Left", 456, peer=ALICE)
        if world.tape.uniform("canary", 100) == 99:
            tasks = world.hosts["alice"].disk.tasks
            world.later(1, lambda: tasks.update({(99, 0): b""}))


def test_what_happens_in_one_world_of_a_hundred_is_reported() -> None:
    found = [one for one in worlds(0, 300, (Canary,)) if one.violation is not None]
    assert 1 <= len(found) <= 15
    for one in found:
        assert one.violation is not None
        assert one.violation.invariant == "I16"
        assert "task 0 of flow 99 of alice is nobody's" in one.violation.text
        again = played(Canary, None, {"canary": one.choices["canary"]})
        assert isinstance(again.violation, Violation)
        assert count(again.choices) == 1


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize("one", DEFECTS, ids=lambda one: one.name.replace(" ", "_"))
def test_every_planted_defect_is_seen(one: Defect) -> None:
    found = hunted(one, 2, first=11 * APART)
    print(found.row())
    assert found.is_killed, found.row()


def test_the_summary_counts_what_was_not_seen() -> None:
    harmless = defect(
        "harmless",
        "session",
        "nothing",
        "nobody",
        ("flowrt.core.session:came", "return session", "return  session"),
    )
    missed = hunted(harmless, 1, most=3)
    assert not missed.is_killed
    assert "not seen" in missed.row()
    seen = Hunted(_named("no fence"), (hunt(_named("no fence"), 0, tries=0),))
    assert summary([missed, seen]).startswith("1 of 2 defects killed in each of their hunts")
