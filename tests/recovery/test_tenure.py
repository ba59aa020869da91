from dataclasses import replace

import pytest

from recovery.assignment import Assignment
from recovery.tenure import Held, Refused, Tenure


def assigned(site="dr", epoch=3, *, claim=False):
    return Assignment(site=site, epoch=epoch, claim=claim, settled=True, execution="x")


@pytest.fixture
def tenure():
    return Tenure("dr", 60.0)


def test_nothing_read_is_nothing_held(tenure):
    assert tenure.at(0.0) == Refused(why="0 of the 2 votes needed; 0 tables answer")


def test_one_table_is_not_enough(tenure):
    tenure.hear("a", assigned(), asked=0.0)
    assert isinstance(tenure.at(1.0), Refused)


def test_two_tables_hold_until_the_earlier_read_is_a_ttl_old(tenure):
    tenure.hear("a", assigned(), asked=10.0)
    tenure.hear("b", assigned(), asked=20.0)

    assert tenure.at(69.9) == Held(epoch=3, claim=False, until=70.0)
    assert isinstance(tenure.at(70.0), Refused)


def test_of_three_tables_the_two_latest_count(tenure):
    tenure.hear("a", assigned(), asked=10.0)
    tenure.hear("b", assigned(), asked=20.0)
    tenure.hear("c", assigned(), asked=30.0)

    assert tenure.at(75.0) == Held(epoch=3, claim=False, until=80.0)


def test_a_missing_item_gives_no_vote_and_takes_its_tables_back(tenure):
    tenure.hear("a", assigned(), asked=0.0)
    tenure.hear("b", assigned(), asked=0.0)
    tenure.hear("b", None, asked=1.0)
    assert isinstance(tenure.at(2.0), Refused)


def test_two_tables_that_name_the_peer_are_told(tenure):
    tenure.hear("a", assigned("primary"), asked=0.0)
    tenure.hear("b", assigned("primary"), asked=0.0)
    assert tenure.at(1.0) == Refused(why="primary is assigned in epoch 3")


def test_one_table_with_a_higher_epoch_ends_the_tenure_even_when_it_falls_silent(tenure):
    tenure.hear("a", assigned(), asked=0.0)
    tenure.hear("b", assigned(), asked=0.0)
    assert isinstance(tenure.at(1.0), Held)

    tenure.hear("c", assigned("primary", 4), asked=1.0)

    assert isinstance(tenure.at(2.0), Refused)
    tenure.hear("a", assigned(), asked=100.0)
    tenure.hear("b", assigned(), asked=100.0)
    assert isinstance(tenure.at(101.0), Refused)


def test_votes_of_different_epochs_do_not_add_up(tenure):
    tenure.hear("a", assigned(epoch=3), asked=0.0)
    tenure.hear("b", assigned(epoch=4), asked=0.0)
    assert isinstance(tenure.at(1.0), Refused)
    tenure.hear("a", assigned(epoch=4), asked=1.0)
    assert isinstance(tenure.at(2.0), Held)


def test_the_claim_is_taken_from_the_votes(tenure):
    tenure.hear("a", assigned(claim=True), asked=0.0)
    tenure.hear("b", assigned(claim=True), asked=0.0)
    held = tenure.at(1.0)
    assert isinstance(held, Held)
    assert held.claim


def test_one_table_is_enough_where_a_person_accepted_that(tenure):
    tenure.hear("a", replace(assigned(), alone="a"), asked=10.0)
    assert tenure.at(69.9) == Held(epoch=3, claim=False, until=70.0)
    assert isinstance(tenure.at(70.0), Refused)


def test_an_accepted_table_of_an_older_epoch_is_not_enough(tenure):
    tenure.hear("a", replace(assigned(), alone="a"), asked=10.0)
    tenure.hear("b", assigned("primary", 4), asked=11.0)
    assert isinstance(tenure.at(12.0), Refused)


def test_a_table_that_only_tells_that_another_is_enough_is_one_vote(tenure):
    tenure.hear("b", replace(assigned(), alone="a"), asked=10.0)
    assert isinstance(tenure.at(11.0), Refused)


def test_a_table_beside_an_accepted_one_does_not_prolong_it_alone(tenure):
    tenure.hear("a", replace(assigned(), alone="a"), asked=10.0)
    tenure.hear("b", assigned(), asked=50.0)
    held = tenure.at(51.0)
    assert isinstance(held, Held)
    assert held.until == 70.0
