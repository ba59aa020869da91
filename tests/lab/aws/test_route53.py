"""Records that cannot contradict each other, and health checks that read the metric's stream."""

import time

import pytest

from tests.lab.aws.asking import EAST, WEST, eventually, refusal, unique


@pytest.fixture
def zone(aws):
    return _zone(aws)


@pytest.fixture
def lab_zone(lab):
    return _zone(lab)


def _zone(aws):
    made = aws.client("route53", EAST).create_hosted_zone(
        Name=f"{unique('zone')}.example", CallerReference=unique("call")
    )
    return made["HostedZone"]["Id"], made["HostedZone"]["Name"]


def record(zone, name="www", **more):
    return {
        "Name": f"{name}.{zone[1]}",
        "Type": "A",
        "TTL": 60,
        "ResourceRecords": [{"Value": "192.0.2.1"}],
        **more,
    }


def failover(zone, role, identifier, **more):
    return record(zone, Failover=role, SetIdentifier=identifier, **more)


def change(aws, zone, *changes):
    batch = [{"Action": action, "ResourceRecordSet": found} for action, found in changes]
    aws.client("route53", EAST).change_resource_record_sets(
        HostedZoneId=zone[0], ChangeBatch={"Changes": batch}
    )


def names(aws, zone):
    found = aws.client("route53", EAST).list_resource_record_sets(HostedZoneId=zone[0])
    return {
        (one["Name"].split(".")[0], one.get("SetIdentifier"))
        for one in found["ResourceRecordSets"]
        if one["Type"] == "A"
    }


def test_there_is_one_primary(aws, zone):
    change(aws, zone, ("UPSERT", failover(zone, "PRIMARY", "a")))
    second = ("UPSERT", failover(zone, "PRIMARY", "b"))
    assert refusal(change, aws, zone, second) == "InvalidChangeBatch"


def test_policies_of_one_name_do_not_mix(aws, zone):
    change(aws, zone, ("UPSERT", failover(zone, "PRIMARY", "a")))
    assert refusal(change, aws, zone, ("UPSERT", record(zone))) == "InvalidChangeBatch"


def test_a_health_check_that_does_not_exist_guards_nothing(aws, zone):
    missing = failover(zone, "PRIMARY", "a", HealthCheckId="00000000-0000-0000-0000-000000000000")
    assert refusal(change, aws, zone, ("UPSERT", missing)) == "InvalidChangeBatch"


def test_deletion_takes_the_one_record_that_it_names(aws, zone):
    change(
        aws,
        zone,
        ("UPSERT", failover(zone, "PRIMARY", "here")),
        ("UPSERT", failover(zone, "SECONDARY", "there")),
        ("UPSERT", record(zone, "api", Failover="PRIMARY", SetIdentifier="here")),
    )
    change(aws, zone, ("DELETE", failover(zone, "PRIMARY", "here")))
    assert names(aws, zone) == {("www", "there"), ("api", "here")}


def test_a_batch_holds_altogether_or_not_at_all(aws, zone):
    good = ("UPSERT", record(zone, "good"))
    bad = ("UPSERT", {**record(zone), "Name": "www.elsewhere.example."})
    refusal(change, aws, zone, good, bad)
    assert names(aws, zone) == set()


def test_what_is_there_is_not_created_again(aws, zone):
    change(aws, zone, ("CREATE", failover(zone, "PRIMARY", "a")))
    again = ("CREATE", failover(zone, "PRIMARY", "a", TTL=5))
    assert refusal(change, aws, zone, again) == "InvalidChangeBatch"


def test_a_record_is_deleted_by_its_own_values(aws, zone):
    change(aws, zone, ("UPSERT", failover(zone, "PRIMARY", "a")))
    other = failover(zone, "PRIMARY", "a", ResourceRecords=[{"Value": "192.0.2.9"}])
    assert refusal(change, aws, zone, ("DELETE", other)) == "InvalidChangeBatch"


def alarm(aws, **more):
    name = unique("claim")
    aws.client("cloudwatch", WEST).put_metric_alarm(
        **{
            "AlarmName": name,
            "Namespace": "Standby",
            "MetricName": "TrafficClaim",
            "Dimensions": [{"Name": "Site", "Value": name}],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "ignore",
            **more,
        }
    )
    return name


def publish(aws, name, value, **more):
    datum = {
        "MetricName": "TrafficClaim",
        "Dimensions": [{"Name": "Site", "Value": name}],
        "Value": value,
        **more,
    }
    aws.client("cloudwatch", WEST).put_metric_data(Namespace="Standby", MetricData=[datum])


def watch(aws, name, **more):
    config = {
        "Type": "CLOUDWATCH_METRIC",
        "AlarmIdentifier": {"Region": WEST, "Name": name},
        "InsufficientDataHealthStatus": "LastKnownStatus",
        **more,
    }
    made = aws.client("route53", EAST).create_health_check(
        CallerReference=unique("call"), HealthCheckConfig=config
    )
    return made["HealthCheck"]["Id"]


def healthy(aws, check):
    found = aws.client("route53", EAST).get_health_check_status(HealthCheckId=check)
    report = found["HealthCheckObservations"][0]["StatusReport"]["Status"]
    return report.startswith("Success")


def test_a_health_check_keeps_the_alarm_it_watches(aws):
    check = watch(aws, alarm(aws))
    found = aws.client("route53", EAST).get_health_check(HealthCheckId=check)
    config = found["HealthCheck"]["HealthCheckConfig"]
    assert config.get("AlarmIdentifier", {}).get("Region") == WEST
    assert config.get("InsufficientDataHealthStatus") == "LastKnownStatus"


def test_a_health_check_follows_the_metric_and_keeps_its_last_status(aws):
    name = alarm(aws)
    check = watch(aws, name)
    assert healthy(aws, check)
    publish(aws, name, 1)
    eventually(lambda: not healthy(aws, check), 3)
    time.sleep(0.7)
    assert not healthy(aws, check)
    publish(aws, name, 0)
    eventually(lambda: healthy(aws, check), 3)


def test_setting_an_alarms_state_does_not_move_a_health_check(lab):
    name = alarm(lab)
    check = watch(lab, name)
    lab.client("cloudwatch", WEST).set_alarm_state(
        AlarmName=name, StateValue="ALARM", StateReason="by hand"
    )
    time.sleep(0.7)
    assert healthy(lab, check)


def test_editing_the_alarm_does_not_move_a_health_check(lab):
    name = alarm(lab)
    check = watch(lab, name)
    lab.client("cloudwatch", WEST).put_metric_alarm(
        AlarmName=name,
        Namespace="Standby",
        MetricName="Other",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    publish(lab, name, 1)
    eventually(lambda: not healthy(lab, check), 3)


def test_the_metric_of_a_dead_region_tells_nothing(lab):
    name = alarm(lab)
    check = watch(lab, name)
    publish(lab, name, 1)
    eventually(lambda: not healthy(lab, check), 3)
    lab.control("POST", "regions", {"region": WEST, "state": "dead", "api": "refuse"})
    time.sleep(0.5)
    assert not healthy(lab, check)


@pytest.mark.parametrize(
    "unfit",
    [
        {"Period": 10},
        {"Statistic": None, "ExtendedStatistic": "p99"},
    ],
)
def test_a_health_check_reads_standard_resolution_and_plain_statistics_only(aws, unfit):
    wanted = {key: value for key, value in unfit.items() if value is not None}
    name = unique("claim")
    base = {
        "AlarmName": name,
        "Namespace": "Standby",
        "MetricName": "TrafficClaim",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    if "ExtendedStatistic" not in wanted:
        base["Statistic"] = "Maximum"
    aws.client("cloudwatch", WEST).put_metric_alarm(**{**base, **wanted})
    assert refusal(watch, aws, name) == "InvalidInput"


def test_a_health_check_in_use_is_not_deleted(aws, zone):
    check = watch(aws, alarm(aws))
    change(aws, zone, ("UPSERT", failover(zone, "PRIMARY", "a", HealthCheckId=check)))
    act = aws.client("route53", EAST).delete_health_check
    assert refusal(act, HealthCheckId=check) == "HealthCheckInUse"


def test_the_world_tells_records_and_health(lab, lab_zone):
    name = alarm(lab)
    check = watch(lab, name)
    change(
        lab,
        lab_zone,
        ("UPSERT", failover(lab_zone, "PRIMARY", "here", HealthCheckId=check)),
        ("UPSERT", failover(lab_zone, "SECONDARY", "there")),
    )
    publish(lab, name, 1)

    def unhealthy():
        world = lab.control("GET", "world")
        known = world["health_checks"].get(check)
        return world if known and not known["healthy"] else None

    world = eventually(unhealthy)
    found = next(one for one in world["zones"] if one["name"] == lab_zone[1])
    records = {one["set_id"]: one for one in found["records"] if one["type"] == "A"}
    assert records["here"]["health_check"] == check
    assert records["here"]["failover"] == "PRIMARY"
    assert records["there"]["values"] == ["192.0.2.1"]
