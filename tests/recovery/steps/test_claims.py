"""The traffic's switch in both directions, as Route 53 reads it."""

import time

import pytest

from recovery import assignment, naming
from recovery.assignment import Assignment
from recovery.cloud import metrics
from recovery.engine.errors import StepFailedError
from recovery.steps import claims, traffic
from tests.recovery.protecting import Parted
from tests.recovery.simulated import GUARD, OURS, THEIRS, THERE

ITEM = naming.assignment_item("rlg-data")
DOMAIN = "rlg-data.example"


class Said:
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)

    deviate = say


@pytest.fixture
def cloud(monkeypatch):
    return Parted().install(monkeypatch)


def made_active(cloud, site, epoch=3):
    """Let recovery make the site active: it claims the traffic, as its peer may be dark."""
    for table in cloud.tables.values():
        table[ITEM].update(site=site, epoch=epoch, claim=True, settled=True)
    return Assignment(site=site, epoch=epoch, claim=True, settled=True, execution="failover-2")


def home(cloud):
    """The product at the primary site again, and the case of protecting it there."""
    return cloud.case().turned, made_active(cloud, "primary")


def test_a_claim_that_outlives_its_region_would_hold_the_traffic_there(cloud):
    home(cloud)
    assert cloud.resolve(DOMAIN) == (THEIRS,)
    cloud.dark.add(THERE)
    made_active(cloud, "dr", epoch=4)
    with pytest.raises(StepFailedError, match="leads elsewhere"):
        traffic.claim(cloud.case())


def test_once_armed_the_other_site_gets_the_traffic_although_the_active_one_is_dark(cloud):
    case, target = home(cloud)
    assert not claims.is_armed(case, target).holds
    claims.arm(case, target, Said())
    assert claims.is_armed(case, target).holds
    assert cloud.resolve(DOMAIN) == (THEIRS,)
    cloud.dark.add(THERE)
    made_active(cloud, "dr", epoch=4)
    traffic.claim(cloud.case())
    assert cloud.resolve(DOMAIN) == (OURS,)


def test_the_site_that_needs_its_claim_keeps_it(cloud):
    case, target = cloud.case(), made_active(cloud, "dr", epoch=2)
    claims.arm(case, target, Said())
    assert claims.is_armed(case, target).holds
    assert all(table[ITEM]["claim"] for table in cloud.tables.values())
    assert cloud.resolve(DOMAIN) == (OURS,)


def test_the_active_sites_claim_stands_until_the_standbys_is_down(cloud, monkeypatch):
    case, target = home(cloud)
    monkeypatch.setattr(cloud, "guards", lambda: None)
    monkeypatch.setattr(cloud, "publish_metric", None)
    monkeypatch.setattr("recovery.cloud.metrics.publish", lambda *_: None)
    cloud.claims = {("rlg-data", "dr"): 1.0, ("rlg-data", "primary"): 1.0}
    with pytest.raises(StepFailedError, match="dr still claims the traffic"):
        claims.arm(case, target, Said())
    assert all(table[ITEM]["claim"] for table in cloud.tables.values())
    assert cloud.resolve(DOMAIN) == (THEIRS,)


def test_it_is_not_armed_while_the_standby_claims(cloud, monkeypatch):
    case, target = cloud.case(), made_active(cloud, "dr", epoch=2)
    assert claims.is_armed(case, target).holds
    monkeypatch.setattr(cloud, "guards", lambda: None)
    cloud.claims["rlg-data", "primary"] = 1.0
    seen = claims.is_armed(case, target)
    assert (seen.holds, seen.text) == (False, "primary still claims the traffic")


def test_every_guard_has_heard_before_what_they_publish_is_looked_at(cloud, monkeypatch):
    case, target = home(cloud)
    written, looked = [], []
    put, alarming = assignment.write, metrics.is_alarming

    def writing(*arguments):
        put(*arguments)
        written.append(time.monotonic())

    def looking(*arguments):
        looked.append(time.monotonic())
        return alarming(*arguments)

    monkeypatch.setattr("recovery.assignment.write", writing)
    monkeypatch.setattr("recovery.cloud.metrics.is_alarming", looking)
    claims.arm(case, target, Said())
    after = [at for at in looked if at > written[-1]]
    assert min(after) - written[-1] >= GUARD.ttl_seconds


def test_traffic_that_leaves_without_the_claim_is_called_back(cloud, monkeypatch):
    case, target = home(cloud)
    resolve, asked = cloud.resolve, []

    def leads_away(name, resolver=None):
        if name == DOMAIN and not asked:
            asked.append(name)
            return (OURS,)
        return resolve(name)

    monkeypatch.setattr("recovery.names.resolve", leads_away)
    with pytest.raises(StepFailedError, match="it was claimed back, run again"):
        claims.arm(case, target, Said())
    assert all(table[ITEM]["claim"] for table in cloud.tables.values())
    claims.arm(case, target, Said())
    assert claims.is_armed(case, target).holds
