"""`python -m lab failover`: the whole story of `make failover`, as a machine reads it."""

import json
from pathlib import Path

import pytest

from tests.scenarios.stage import new_lab


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    lab = new_lab(tmp_path_factory)
    done = lab.run("failover", "--json")
    assert done.stdout, done.stderr
    return lab, done, json.loads(done.stdout)


def test_both_products_are_recovered_and_no_customer_contradicts_it(told):
    _, done, story = told
    assert done.returncode == 0, done.stderr
    assert [view["complaints"] for view in story["views"]] == [[], []]


def test_customers_were_cut_off_and_came_back(told):
    _, _, story = told
    for view in story["views"]:
        assert view["experience"]["compared"]
        assert view["experience"]["acknowledged"] > 20
        assert 0.5 < view["outage"] < 60


def test_after_fencing_no_call_goes_to_the_dead_region_or_its_control_planes(told):
    _, _, story = told
    steps = [each["step"] for each in story["calls"]]
    fenced = steps.index("fence-peer")
    after = {each["step"]: each["to_dead"] for each in story["calls"][fenced + 1 :]}
    assert set(after.values()) == {0}, after


def test_no_step_was_answered_by_the_dead_region(told):
    _, _, story = told
    assert [each["step"] for each in story["calls"] if each["dead_answered"]] == []


def test_nothing_of_it_is_left(told):
    lab, _, _ = told
    assert not lab.state_file.exists()
    assert list(Path("/tmp").glob("standby-lab-*")) == []
