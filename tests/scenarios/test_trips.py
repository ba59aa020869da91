"""A few round trips with kills on a real lab; many are one command, see bench/README.md."""

import random

import pytest

from tests.scenarios import trips
from tests.scenarios.scene import Scene

TRIPS, KILLS, SEED = 2, 3, 20261125


@pytest.mark.timeout(900)
def test_killed_round_trips_come_home_and_lose_only_what_an_outage_took(lab):
    scene, chance = Scene(lab), random.Random(SEED)
    try:
        told = [trips.tell(lab, scene, chance, KILLS) for _ in range(TRIPS)]
        assert sum(len(trip.kills) for trip in told) >= 10
        assert trips.losses(lab, told) == []
    finally:
        scene.close()
