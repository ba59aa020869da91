"""What follows the role, and what a change of role may never touch."""

import base64
import json

from lab.provision.rows import ROWS
from tests.infra.program import Declaration, Declared, configuration, declare

BORN_WITH = {"engine", "dbName", "username"}
"""What a replica has from its source: an input that equals what is there replaces nothing."""


def changes(before: Declaration, after: Declaration) -> dict[str, set[str]]:
    """Return type → properties that differ between two runs of one stack."""
    old = {each.key: each for each in before.custom}
    found: dict[str, set[str]] = {}
    for new in after.custom:
        if new.key not in old:
            continue
        differing = {
            name
            for name in old[new.key].inputs.keys() | new.inputs.keys()
            if not name.endswith("Wo") and old[new.key].inputs.get(name) != new.inputs.get(name)
        }
        if differing:
            found.setdefault(new.type, set()).update(differing)
    return found


def replacing(found: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Return the changes that AWS would make by replacing the resource."""
    return {(kind, name) for kind, names in found.items() for name in names & ROWS[kind].replace}


def test_an_active_standby_changes_sizes_of_what_is_there_and_nothing_else(
    dr: Declaration, dr_active: Declaration
) -> None:
    assert changes(dr, dr_active) == {
        "aws:rds/instance:Instance": {"replicateSourceDb", "multiAz", "backupRetentionPeriod"},
        "aws:autoscaling/group:Group": {"minSize", "desiredCapacity"},
        "aws:cloudwatch/metricAlarm:MetricAlarm": {"treatMissingData"},
    }


def test_an_active_standby_replaces_nothing(dr: Declaration, dr_active: Declaration) -> None:
    assert replacing(changes(dr, dr_active)) == set()


def test_an_active_standby_drops_and_adds_no_resource(
    dr: Declaration, dr_active: Declaration
) -> None:
    # A reference to the other stack is read, not kept: it is no resource of AWS.
    kept, now = ({each.key for each in of.resources} for of in (dr, dr_active))
    assert kept == now


def test_a_role_change_goes_through_no_other_provider_and_keeps_protection(
    dr: Declaration, dr_active: Declaration
) -> None:
    def options(each: Declared) -> tuple:
        return each.key, each.provider, each.region, each.protect, each.retain

    assert {options(each) for each in dr.resources} == {
        options(each) for each in dr_active.resources
    }


def test_the_home_of_the_secrets_keeps_them_in_both_roles_and_replaces_nothing(
    primary: Declaration, dr_active: Declaration
) -> None:
    outputs = {"dr": dr_active.outputs}
    standby = declare("primary", config={"role": "standby"}, outputs=outputs)
    assert {each.key for each in standby.resources} == {each.key for each in primary.resources}
    for before, after in ((standby, primary), (primary, standby)):
        found = replacing(changes(before, after))
        assert {name for _, name in found} <= BORN_WITH
        assert {kind for kind, _ in found} <= {"aws:rds/instance:Instance"}


def test_a_site_that_is_not_the_home_of_the_secrets_owns_none(site: Declaration) -> None:
    # It reads their replicas, before a failover and after it.
    owned = {each.inputs["name"] for each in site.of("secretsmanager:Secret")}
    everything = {
        f"{of}/{what}" for of in ("rlg-data", "rlg-fans") for what in ("database", "probe")
    }
    assert owned == (everything if site.stack == "primary" else set())


def test_a_replica_always_has_its_source(primary: Declaration, dr: Declaration) -> None:
    dark = declare("dr", config={"peer": "dark"}, outputs={"primary": primary.outputs})
    for standby in (dr, dark):
        for product in ("rlg-data", "rlg-fans"):
            source = primary.outputs["site"]["products"][product]["database_arn"]
            replica = standby.one("rds:Instance", f"{product}-dr-1")
            assert replica.inputs["replicateSourceDb"] == source


def test_a_replica_is_a_full_database_but_for_its_source(
    primary: Declaration, dr: Declaration
) -> None:
    for product in ("rlg-data", "rlg-fans"):
        writer = primary.one("rds:Instance", f"{product}-primary-1").inputs
        replica = dr.one("rds:Instance", f"{product}-dr-1").inputs
        assert replica["instanceClass"] == writer["instanceClass"]
        assert replica["backupRetentionPeriod"] >= 1
        # AWS takes these from the source and refuses them beside one.
        assert not {"username", "dbName", "engine", "passwordWo", "allocatedStorage"} & set(replica)
        assert f"{product}-dr" in replica["dbSubnetGroupName"]
        assert f"{product}-dr" in replica["parameterGroupName"]


def test_retention_and_a_second_zone_follow_the_role(primary: Declaration, dr: Declaration) -> None:
    for database in primary.of("rds:Instance"):
        assert database.inputs["backupRetentionPeriod"] == 14
        assert database.inputs["multiAz"] is True
    for database in dr.of("rds:Instance"):
        assert database.inputs["backupRetentionPeriod"] == 1
        assert database.inputs["multiAz"] is False


def test_no_database_goes_without_a_trace_in_either_role(site: Declaration) -> None:
    for database in site.of("rds:Instance"):
        assert database.inputs["deletionProtection"] is True
        assert database.inputs["skipFinalSnapshot"] is False
        assert database.inputs["finalSnapshotIdentifier"] == f"{database.name}-final"
        assert database.inputs["deleteAutomatedBackups"] is False


def test_a_new_generation_is_a_new_database_beside_the_old_one(primary: Declaration) -> None:
    config = {"generations": {"rlg-data": 2}}
    standby = declare("dr", config=config, outputs={"primary": primary.outputs})
    assert {each.name for each in standby.of("rds:Instance")} == {"rlg-data-dr-2", "rlg-fans-dr-1"}
    assert standby.outputs["site"]["products"]["rlg-data"]["database"] == "rlg-data-dr-2"


def test_a_standby_runs_its_fleet_small_but_may_grow_to_full_scale(
    primary: Declaration, dr: Declaration
) -> None:
    for fleet in primary.of("autoscaling:Group"):
        assert (fleet.inputs["minSize"], fleet.inputs["desiredCapacity"]) == (2, 2)
    for fleet in dr.of("autoscaling:Group"):
        assert (fleet.inputs["minSize"], fleet.inputs["desiredCapacity"]) == (1, 1)
        assert fleet.inputs["maxSize"] >= 2


def test_idle_hosts_are_never_recycled_for_not_answering(site: Declaration) -> None:
    for fleet in site.of("autoscaling:Group"):
        assert fleet.inputs["healthCheckType"] == "EC2"


def test_alarms_watch_the_own_database_in_both_roles(site: Declaration) -> None:
    watched: dict[str, set[str]] = {}
    for alarm in site.of("cloudwatch:MetricAlarm"):
        database = alarm.inputs["dimensions"]["DBInstanceIdentifier"]
        watched.setdefault(database, set()).add(alarm.inputs["metricName"])
        assert alarm.inputs["alarmActions"] == [site.outputs["site"]["topic_arn"]]
    metrics = {
        "FreeStorageSpace",
        "OldestReplicationSlotLag",
        "ReplicaLag",
        "TransactionLogsDiskUsage",
    }
    assert watched == {each.name: metrics for each in site.of("rds:Instance")}


def test_silence_about_the_lag_is_an_alarm_on_a_replica_only(
    primary: Declaration, dr: Declaration
) -> None:
    def silent(declaration: Declaration) -> set[str]:
        return {
            each.inputs["treatMissingData"]
            for each in declaration.of("cloudwatch:MetricAlarm")
            if each.name.endswith("replica-lag")
        }

    assert silent(dr) == {"breaching"}
    assert silent(primary) == {"notBreaching"}


def test_a_host_learns_from_its_user_data_what_it_is(dr: Declaration) -> None:
    (template,) = [each for each in dr.of("ec2:LaunchTemplate") if "data" in each.name]
    script = base64.b64decode(template.inputs["userData"]).decode()
    block = script.partition("cat > /etc/standby/host.env <<'END'\n")[2].partition("END\n")[0]
    told = {name: value for name, _, value in (line.partition("=") for line in block.splitlines())}
    assert told.pop("STANDBY_SERVICES")
    assert told == {
        "STANDBY_PRODUCT": "rlg-data",
        "STANDBY_SITE": "dr",
        "AWS_REGION": "us-west-2",
        "STANDBY_DATABASE_HOST": "rlg-data-dr-1.rds.example",
        "STANDBY_DATABASE_NAME": "rlg_data",
        "STANDBY_DATABASE_SECRET": "rlg-data/database",
        "STANDBY_PROBE_SECRET": "rlg-data/probe",
        "STANDBY_FILES_BUCKET": "rlg-data-files-123456789012-us-west-2",
        "STANDBY_FRONTEND_BUCKET": "rlg-data-frontend-123456789012-us-west-2",
        "STANDBY_COMMAND": "/opt/standby/services",
        "PGSSLROOTCERT": "/etc/ssl/rds/global-bundle.pem",
    }


def test_capacity_for_full_scale_is_reserved_where_the_configuration_says_so(
    primary: Declaration, dr: Declaration
) -> None:
    assert dr.of("ec2:CapacityReservation") == []
    products = json.loads(_products())[:1]
    products[0]["hosts"] |= {"reserve": True, "active": 5}
    standby = declare("dr", config={"products": products}, outputs={"primary": primary.outputs})
    reserved = standby.of("ec2:CapacityReservation")
    assert {each.inputs["availabilityZone"] for each in reserved} == {"us-west-2a", "us-west-2b"}
    assert sum(each.inputs["instanceCount"] for each in reserved) >= 5


def test_a_mysql_product_gets_its_own_port_tls_and_log_alarm() -> None:
    products = json.loads(_products())[:1]
    products[0]["database"] |= {"engine": "mysql", "version": "8.4"}
    active = declare("primary", config={"products": products})
    database = active.one("rds:Instance", "rlg-data-primary-1")
    assert (database.inputs["engine"], database.inputs["port"]) == ("mysql", 3306)
    group = active.one("rds:ParameterGroup", "rlg-data-primary-mysql8-4")
    assert group.inputs["parameters"] == [{"name": "require_secure_transport", "value": "1"}]
    metrics = {each.inputs["metricName"] for each in active.of("cloudwatch:MetricAlarm")}
    assert "BinLogDiskUsage" in metrics


def test_a_third_product_is_configuration_only() -> None:
    products = json.loads(_products())
    third = json.loads(json.dumps(products[0])) | {"name": "rlg-shop", "domain": "shop.rlg.example"}
    active = declare("primary", config={"products": [*products, third]})
    assert "rlg-shop" in active.outputs["site"]["products"]
    assert len(active.of("rds:Instance")) == 3


def _products() -> str:
    return configuration("primary", {})["standby:products"]
