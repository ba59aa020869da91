"""A part of each suite; the whole is one command, see bench/README.md."""

import pytest

from tests.recovery.suites import drawn
from tests.recovery.suites.planted import PLANTED
from tests.recovery.suites.troubles import KINDS

PARTS = {"faults": 250, "kills": 250, "trips": 24}
"""Stories of each suite here."""
SEED = 20261125
ENOUGH = 400
"""Stories within which a planted fault must show."""


@pytest.mark.parametrize("suite", sorted(drawn.SUITES))
def test_every_story_comes_to_the_right_end(suite):
    wrong = {name: found.wrong for name, _, tell in drawn.SUITES[suite](PARTS[suite], SEED)
             if (found := tell()).wrong}  # fmt: skip
    assert not wrong


def test_there_are_enough_kinds_of_faults():
    names = {kind.name for kind in KINDS}
    assert len(names) == len(KINDS)
    assert len(names) >= 25


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.take_away.__name__)
def test_a_defence_that_is_taken_away_is_missed(planted, monkeypatch):
    told = {"plans": (planted.plan,)} if planted.plan else {}
    told |= {"kinds": planted.kinds} if planted.kinds else {}
    stories = list(drawn.SUITES[planted.suite](ENOUGH, SEED, **told))
    planted.take_away(monkeypatch)
    assert any(tell().wrong for _, _, tell in stories)
