"""Whatever goes wrong, one site's services write: many stories, and bugs that they must find."""

import pytest

from tests.recovery.model import planted
from tests.recovery.model.story import tell

STORIES = 150
FOUND_WITHIN = {
    planted.the_guard_ignores_the_ttl: 10,
    planted.the_ttl_counts_from_the_answer: 30,
    planted.one_vote_is_enough: 10,
    planted.the_latest_vote_counts: 10,
    planted.recovery_waits_for_nothing: 10,
    planted.recovery_forgets_the_drift: 150,
    planted.recovery_waits_for_one_table: 30,
    planted.writes_have_no_condition: 100,
    planted.a_stale_token_promotes: 50,
    planted.an_overtaken_epoch_is_gone_on_with: 100,
    planted.a_table_is_enough_alone_for_ever: 60,
}


def test_no_story_has_two_writers():
    contested = 0
    for seed in range(STORIES):
        told = tell(seed)
        assert not told.violations, told.text()
        contested += bool(told.contested)
    assert contested > STORIES / 2


@pytest.mark.parametrize("bug", planted.ALL, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found_within_so_many_stories(bug):
    assert any(tell(seed, planted=bug).violations for seed in range(FOUND_WITHIN[bug]))


def test_a_story_is_the_same_each_time_it_is_told():
    assert tell(7).text() == tell(7).text()
