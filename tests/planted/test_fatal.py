"""Steps that end their process, in worlds; and the defects that let them do so for ever."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.planted.fatal import DEFECTS, Fatal
from tests.planted.hunting import worlds
from tests.planted.planting import Defect

SOUND = 12
"""So many worlds without a defect must be sound, and in so many each defect is seen."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_a_world_of_deadly_steps_is_sound() -> None:
    assert [str(one.violation) for one in worlds(1, SOUND, [Fatal]) if one.violation] == []


@pytest.mark.parametrize("planted", DEFECTS, ids=lambda one: one.name)
def test_each_defect_is_seen(planted: Defect) -> None:
    with planted.planted():
        assert any(one.violation is not None for one in worlds(1, SOUND * 4, [Fatal]))


@pytest.mark.campaign
def test_a_thousand_worlds_of_deadly_steps_are_sound() -> None:
    assert [str(one.violation) for one in worlds(1000, 1000, [Fatal]) if one.violation] == []
