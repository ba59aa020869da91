"""What a failover refuses, and what it says: value, rule, next action."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from recovery import names, naming, web
from recovery.cloud import errors
from recovery.cloud.databases import Database
from recovery.cloud.hosts import Group
from recovery.database.heartbeat import Heartbeat
from recovery.steps import check, loss
from recovery.steps.reach import Unseen
from tests.recovery.cases import case

NOW = datetime.now(UTC)


def dark(*_):
    raise errors.UnreachableError("any:Call", "us-east-1", "ConnectTimeoutError", "no answer")


class World:
    """The clouds as the checks see them: a dead primary, a standby that is ready."""

    def __init__(self):
        self.assigned = {"site": "primary", "epoch": 3, "claim": False, "settled": True}
        self.database = Database(
            id="rlg-data-dr-1",
            arn="arn",
            status="available",
            source="arn:primary",
            host="db",
            port=5432,
            instance_class="db.r6g.large",
            multi_az=False,
            retention_days=7,
            replication="replicating",
            engine="postgres",
            engine_version="18.1",
        )
        self.group = Group(
            name="rlg-data-dr",
            desired=1,
            minimum=1,
            maximum=4,
            in_service=frozenset({"i-1"}),
        )
        self.image = "available"
        self.quota, self.used = 64.0, 8
        self.status = 503
        self.seen_healthy = NOW - timedelta(seconds=90)
        self.beat = Heartbeat(at=NOW - timedelta(seconds=100), site="primary", epoch=3, beats=9)
        self.secret = {"username": "u", "password": "p"}

    def table(self, region, table, key):
        if region.name == "us-east-1":
            dark()
        assert key == naming.assignment_item("rlg-data")
        return self.assigned and {"execution": "x"} | self.assigned

    def install(self, patch):
        patch("recovery.cloud.tables.read", self.table)
        patch("recovery.cloud.databases.describe", lambda *_: self.database)
        patch("recovery.cloud.hosts.describe", lambda *_: self.group)
        patch("recovery.cloud.hosts.image_state", lambda *_: self.image)
        patch("recovery.cloud.hosts.vcpus", lambda *_: 2)
        patch("recovery.cloud.quotas.vcpus", lambda *_: self.quota)
        patch("recovery.cloud.quotas.vcpus_in_use", lambda *_: self.used)
        patch("recovery.cloud.secrets.read_json", lambda *_: self.secret)
        patch(
            "recovery.cloud.metrics.latest",
            lambda *_: self.seen_healthy and (NOW, self.seen_healthy.timestamp()),
        )
        patch("recovery.web.get", lambda *_, **__: SimpleNamespace(status=self.status))
        patch.setattr(loss, "ask", lambda *_, **__: self.beat)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC))
    made = World()

    class Patch:
        setattr = monkeypatch.setattr

        def __call__(self, name, value):
            monkeypatch.setattr(name, value)

    made.install(Patch())
    return made


def predicted(**accepted):
    loss = check.assess(case(**accepted)).loss
    assert loss is not None
    return loss.seconds


def refusal(**accepted):
    return check.assess(case(**accepted)).refusal or ""


def test_a_ready_standby_of_a_dead_primary_is_accepted(world):
    assert not refusal()


def test_the_dead_region_is_a_finding_and_no_obstacle(world):
    peer = next(f for f in check.assess(case()).findings if f.check == "peer")
    assert peer.verdict == "unknown"
    assert "no answer from the peer" in peer.text


def test_a_region_that_is_already_active_is_refused(world):
    world.assigned |= {"site": "dr"}
    assert "us-west-2 is already active for rlg-data (epoch 3)" in refusal()


def test_an_active_region_that_serves_is_not_told_to_be_failed_over_to_all_the_same(world):
    world.assigned |= {"site": "dr"}
    world.status = 200
    assert "--even-if-healthy" not in refusal()


def test_an_unfinished_failover_to_the_region_may_go_on(world):
    world.assigned |= {"site": "dr", "settled": False}
    assert not refusal()


def test_going_on_with_a_replica_looks_at_it_again(world):
    world.assigned |= {"site": "dr", "settled": False}
    world.database = replace(world.database, status="storage-full")
    assert "RDS promotes from available" in refusal()


def test_a_broken_resolver_or_authority_is_no_outage(world, monkeypatch):
    def unresolved(*_, **__):
        raise names.UnresolvedError("no resolver")

    monkeypatch.setattr("recovery.web.get", unresolved)
    assert "cannot tell whether customers are served: no resolver; look at --resolver" in refusal()
    assert not refusal(even_if_healthy=True)

    def untrusted(*_, **__):
        raise web.UnansweredError("self-signed") from ssl.SSLCertVerificationError()

    monkeypatch.setattr("recovery.web.get", untrusted)
    assert "look at SSL_CERT_FILE" in refusal()


def test_no_assignment_names_the_command_that_writes_it(world):
    world.assigned = None
    assert "recovery.assign --region us-east-1 --initial" in refusal()


def test_customers_that_are_served_are_not_cut_off_unless_it_is_meant(world):
    world.status = 200
    assert "add --even-if-healthy" in refusal()
    assert not refusal(even_if_healthy=True)


@pytest.mark.parametrize("status", ["creating", "modifying", "rebooting", "storage-full", "failed"])
def test_a_replica_that_rds_would_not_promote_is_refused(world, status):
    world.database = replace(world.database, status=status)
    assert f"rlg-data-dr-1 is {status}; RDS promotes from available" in refusal()


def test_a_replica_that_is_backing_up_is_waited_for(world):
    world.database = replace(world.database, status="backing-up")
    found = check.assess(case())
    assert found.refusal is None
    assert "backing-up" in (found.waits or "")


def test_a_missing_replica_is_refused(world):
    world.database = None
    assert "there is no database rlg-data-dr-1 in us-west-2" in refusal()


def test_a_writer_at_a_site_that_is_not_active_is_left_to_a_person(world):
    world.database = replace(world.database, source=None)
    assert "replicates nothing" in refusal()


def test_a_replica_that_stopped_while_its_source_is_healthy_is_refused(world):
    world.status = 200
    world.database = replace(world.database, replication="error")
    assert "is not replicating (error)" in refusal(even_if_healthy=True)


def test_loss_is_the_outages_start_minus_the_last_heartbeat_and_never_grows_afterwards(world):
    world.seen_healthy = NOW - timedelta(hours=5)
    world.beat = replace(world.beat, at=NOW - timedelta(hours=5, seconds=20))
    assert predicted() == pytest.approx(20 + 60)  # the next report was due in 60 s


def test_loss_above_the_rpo_names_the_value_the_rule_and_the_option(world):
    world.beat = replace(world.beat, at=NOW - timedelta(seconds=90 + 400 - 60))
    assert "predicted loss 400 s exceeds RPO 300 s; rerun with --accept-data-loss 400" in refusal()
    assert not refusal(data_loss_seconds=400.0)


def test_an_accepted_loss_holds_for_that_amount_and_not_more(world):
    world.beat = replace(world.beat, at=NOW - timedelta(seconds=90 + 400 - 60))
    assert "exceeds the accepted 399 s" in refusal(data_loss_seconds=399.0)


@pytest.mark.parametrize("beat", [None, Unseen("no route")])
def test_a_loss_that_nobody_can_know_is_refused(world, beat):
    world.beat = beat
    assert "predicted loss unknown" in refusal()
    assert "unknown" in refusal(data_loss_seconds=0.0)
    assert not refusal(data_loss_seconds=300.0)


def test_without_a_last_sight_the_operator_says_when_it_began(world):
    world.seen_healthy = None
    assert "give --outage-began" in refusal()
    began = world.beat.at + timedelta(seconds=7)
    assert predicted(outage_began=began) == pytest.approx(7)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"group": None}, "there is no host group rlg-data-dr"),
        ({"image": None}, "image ami-1 is missing in us-west-2"),
        ({"image": "deregistered"}, "image ami-1 is deregistered"),
        ({"quota": 9.0}, "1 more hosts need 2 vCPUs, and 8 of the quota's 9 are in use"),
    ],
)
def test_capacity_that_will_not_come_is_refused_beforehand(world, change, says):
    for name, value in change.items():
        setattr(world, name, value)
    assert says in refusal()


def test_a_host_group_that_may_not_grow_is_refused(world):
    world.group = replace(world.group, maximum=1)
    assert "may grow to 1 hosts; full scale is 2" in refusal()


def test_expired_credentials_are_said_once_per_check(world, monkeypatch):
    def expired(*_):
        raise errors.CredentialsExpiredError("rds:Describe", "us-west-2", "ExpiredToken", "expired")

    monkeypatch.setattr("recovery.cloud.databases.describe", expired)
    assert "ExpiredToken: expired; sign in again" in refusal()


def test_several_reasons_are_all_told(world):
    world.image, world.group = None, None
    world.status = 200
    assert "--even-if-healthy" in refusal()
    assert "host group" in refusal()
