from datetime import UTC, datetime, timedelta

import pytest

from recovery.cloud import (
    balancers,
    databases,
    errors,
    hosts,
    identity,
    metrics,
    network,
    objects,
    parameters,
    quotas,
    secrets,
    tables,
    topics,
)

TABLE = {
    "TableName": "control",
    "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
DATABASE = {
    "DBInstanceIdentifier": "rlg-data-dr-1",
    "DBInstanceClass": "db.m6g.large",
    "Engine": "postgres",
    "EngineVersion": "18",
    "AllocatedStorage": 20,
    "MasterUsername": "master",
    "MasterUserPassword": "a-password",
}


def test_the_caller_is_an_arn(region):
    assert identity.caller(region).startswith("arn:aws:sts::")


def test_a_database_is_described_and_a_missing_one_is_none(region, aws):
    aws("rds").create_db_instance(**DATABASE)

    found = databases.describe(region, "rlg-data-dr-1")

    assert found is not None
    assert (found.id, found.status, found.source) == ("rlg-data-dr-1", "available", None)
    assert (found.engine, found.engine_version) == ("postgres", "18")
    assert found.host
    assert found.port == 5432
    assert databases.describe(region, "nothing") is None


def test_the_replicas_of_a_database_are_found_and_no_others(region, aws):
    rds = aws("rds")
    for name in ("rlg-fans-dr-1", "rlg-fans-dr-12"):
        rds.create_db_instance(**DATABASE | {"DBInstanceIdentifier": name})
    for name, source in {"one": "rlg-fans-dr-1", "two": "rlg-fans-dr-12"}.items():
        rds.create_db_instance_read_replica(
            DBInstanceIdentifier=name, SourceDBInstanceIdentifier=source
        )
    far = aws("rds", "us-east-1").create_db_instance(**DATABASE)["DBInstance"]["DBInstanceArn"]
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier="far", SourceDBInstanceIdentifier=far, SourceRegion="us-east-1"
    )

    assert [found.id for found in databases.replicas(region, "rlg-fans-dr-1")] == ["one"]
    assert [found.id for found in databases.replicas(region, "rlg-data-dr-1")] == ["far"]
    assert databases.replicas(region, "fans-dr-1") == ()


def test_a_replica_names_its_source_and_promotion_sets_the_retention(region, aws):
    aws("rds").create_db_instance(**DATABASE)
    aws("rds").create_db_instance_read_replica(
        DBInstanceIdentifier="replica", SourceDBInstanceIdentifier="rlg-data-dr-1"
    )
    replica = databases.describe(region, "replica")
    assert replica is not None
    assert replica.source == "rlg-data-dr-1"

    databases.promote(region, "replica", 7)

    promoted = databases.describe(region, "replica")
    assert promoted is not None
    assert promoted.retention_days == 7


def test_a_second_snapshot_of_the_same_name_is_a_conflict(region, aws):
    aws("rds").create_db_instance(**DATABASE)
    assert databases.snapshot_status(region, "one") is None

    databases.create_snapshot(region, "rlg-data-dr-1", "one")

    assert databases.snapshot_status(region, "one") == "available"
    with pytest.raises(errors.ConflictError):
        databases.create_snapshot(region, "rlg-data-dr-1", "one")
    with pytest.raises(errors.NotFoundError):
        databases.create_snapshot(region, "nothing", "two")


@pytest.fixture
def image(aws):
    images = aws("ec2").describe_images(Owners=["amazon"])["Images"]
    return images[0]["ImageId"]


@pytest.fixture
def group(aws, image):
    aws("ec2").create_launch_template(
        LaunchTemplateName="hosts",
        LaunchTemplateData={"ImageId": image, "InstanceType": "m6i.large"},
    )
    aws("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="rlg-data-dr",
        LaunchTemplate={"LaunchTemplateName": "hosts"},
        MinSize=1,
        MaxSize=3,
        DesiredCapacity=1,
        AvailabilityZones=["us-west-2a"],
    )
    return "rlg-data-dr"


def test_a_group_is_described_and_scaled_with_its_minimum(region, group):
    before = hosts.describe(region, group)
    assert before is not None
    assert (before.desired, before.minimum, before.maximum) == (1, 1, 3)
    assert len(before.in_service) == 1

    hosts.scale(region, group, 2)

    after = hosts.describe(region, group)
    assert after is not None
    assert (after.desired, after.minimum, after.maximum) == (2, 2, 3)
    assert hosts.describe(region, "nothing") is None


def test_images_and_types_are_known_or_not(region, image):
    assert hosts.image_state(region, image) == "available"
    assert hosts.image_state(region, "ami-00000000000000000") is None
    assert hosts.vcpus(region, "m6i.large") == 2


def test_the_vcpus_in_use_are_those_of_running_standard_hosts(region, group, aws):
    assert quotas.vcpus_in_use(region) == 2

    hosts.scale(region, group, 3)

    assert quotas.vcpus_in_use(region) == 6


@pytest.fixture
def listener(aws):
    ec2, elbv2 = aws("ec2"), aws("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{n}.0/24", AvailabilityZone=zone)["Subnet"]
        for n, zone in enumerate(("us-west-2a", "us-west-2b"))
    ]
    balancer = elbv2.create_load_balancer(
        Name="b", Subnets=[subnet["SubnetId"] for subnet in subnets]
    )["LoadBalancers"][0]["LoadBalancerArn"]
    target_group = elbv2.create_target_group(Name="t", Protocol="HTTP", Port=5000, VpcId=vpc)[
        "TargetGroups"
    ][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": target_group}]
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward
    )["Listeners"][0]["ListenerArn"]
    for priority, path in enumerate(("/api/*", "/auth/*"), start=1):
        elbv2.create_rule(
            ListenerArn=listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
            Actions=forward,
        )
    return listener, target_group


def test_refusing_answers_503_for_the_default_and_for_every_rule(region, aws, listener):
    balancers.refuse(region, listener[0])

    rules = aws("elbv2").describe_rules(ListenerArn=listener[0])["Rules"]
    assert len(rules) == 3
    for rule in rules:
        (action,) = rule["Actions"]
        assert action["FixedResponseConfig"]["StatusCode"] == "503"


def test_targets_are_told_by_id(region, aws, listener, image):
    assert balancers.targets(region, listener[1]) == {}
    instance = aws("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    aws("elbv2").register_targets(
        TargetGroupArn=listener[1], Targets=[{"Id": instance["InstanceId"]}]
    )
    assert balancers.targets(region, listener[1]) == {instance["InstanceId"]: "healthy"}


@pytest.fixture
def table(aws):
    aws("dynamodb").create_table(**TABLE)
    return "control"


def test_an_item_comes_back_with_its_types(region, table):
    item = {"key": "k", "n": 3, "f": 1.5, "s": "x", "yes": True, "no": False, "big": 10**15}
    assert tables.read(region, table, "k") is None

    tables.put(region, table, item)

    found = tables.read(region, table, "k") or {}
    assert found == item
    assert [type(found[name]) for name in item] == [type(value) for value in item.values()]


def test_a_condition_that_does_not_hold_is_a_conflict_and_writes_nothing(region, table):
    first = {"key": "k", "epoch": 2, "token": "a"}
    tables.put(region, table, first, condition="attribute_not_exists(#key)")

    with pytest.raises(errors.ConflictError):
        tables.put(
            region,
            table,
            {"key": "k", "epoch": 1, "token": "b"},
            condition="epoch < :epoch AND #token = :token",
            values={"epoch": 1, "token": "a"},
        )
    assert tables.read(region, table, "k") == first


def test_our_own_write_whose_answer_was_lost_is_no_conflict(region, table):
    item = {"key": "k", "holder": "me", "number": 1}
    tables.put(region, table, item, condition="attribute_not_exists(#key)")

    tables.put(region, table, item, condition="attribute_not_exists(#key)")

    with pytest.raises(errors.ConflictError):
        tables.put(region, table, {**item, "holder": "you"}, condition="attribute_not_exists(#key)")


def test_the_latest_metric_is_the_maximum_of_the_latest_period(region, aws):
    dimensions = {"Product": "rlg-data", "Site": "dr"}
    assert metrics.latest(region, "Standby", "HealthyAt", dimensions) is None
    old = datetime.now(UTC) - timedelta(minutes=10)
    aws("cloudwatch").put_metric_data(
        Namespace="Standby",
        MetricData=[
            {
                "MetricName": "HealthyAt",
                "Dimensions": [{"Name": name, "Value": dimensions[name]} for name in dimensions],
                "Timestamp": old,
                "Value": 99.0,
            }
        ],
    )
    metrics.publish(
        region,
        "Standby",
        [("HealthyAt", dimensions, 7.0), ("HealthyAt", dimensions, 8.0), ("Other", dimensions, 9)],
    )

    found = metrics.latest(region, "Standby", "HealthyAt", dimensions)

    assert found is not None
    at, value = found
    assert value == 8.0
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=2)


@pytest.fixture
def bucket(aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="files", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_bucket_versioning(Bucket="files", VersioningConfiguration={"Status": "Enabled"})
    return "files"


def test_objects_are_written_read_and_missed(region, bucket):
    assert not objects.exists(region, bucket, "a/b c+é")
    version = objects.write(region, bucket, "a/b c+é", b"bytes")

    assert version
    assert objects.exists(region, bucket, "a/b c+é")
    assert objects.read(region, bucket, "a/b c+é") == b"bytes"
    with pytest.raises(errors.NotFoundError):
        objects.read(region, bucket, "nothing")
    with pytest.raises(errors.NotFoundError):
        objects.read(region, "no-such-bucket", "nothing")


def test_an_object_that_must_be_new_is_not_overwritten(region, bucket):
    objects.write(region, bucket, "k", b"one", only_new=True)
    with pytest.raises(errors.ConflictError):
        objects.write(region, bucket, "k", b"two", only_new=True)
    assert objects.read(region, bucket, "k") == b"one"


def test_a_listing_goes_on_over_its_pages(region, bucket, monkeypatch):
    monkeypatch.setattr(objects, "PAGE", 3)
    keys = [f"p/{number}" for number in range(7)]
    for key in [*keys, "other"]:
        objects.write(region, bucket, key, b"x")

    found = list(objects.listing(region, bucket, "p/"))

    assert [each.key for each in found] == keys
    assert {each.size for each in found} == {1}
    assert found[0].etag == "9dd4e461268c8034f5c8564e155c67a6"
    assert list(objects.listing(region, bucket, "none/")) == []


def test_a_deleted_object_is_told_from_one_that_never_was(region, bucket, aws):
    objects.write(region, bucket, "k", b"x")
    assert not objects.deleted(region, bucket, "k")
    aws("s3").delete_object(Bucket=bucket, Key="k")

    assert objects.deleted(region, bucket, "k")
    assert not objects.deleted(region, bucket, "never")


def test_a_parameter_is_read_or_not_found(region, aws):
    with pytest.raises(errors.NotFoundError, match="ssm:GetParameter in us-west-2"):
        parameters.read(region, "/standby/topology")
    aws("ssm").put_parameter(Name="/standby/topology", Value="{}", Type="String")
    assert parameters.read(region, "/standby/topology") == "{}"


def test_a_secret_is_read_and_appears_in_no_message(region, aws):
    aws("secretsmanager").create_secret(
        Name="good", SecretString='{"username": "u", "password": "p", "port": 1}'
    )
    aws("secretsmanager").create_secret(Name="bad", SecretString="open sesame")

    assert secrets.read_json(region, "good") == {"username": "u", "password": "p", "port": "1"}
    with pytest.raises(errors.RejectedError) as caught:
        secrets.read_json(region, "bad")
    assert "sesame" not in str(caught.value)
    with pytest.raises(errors.NotFoundError):
        secrets.read_json(region, "nothing")


def test_people_are_told_with_a_subject_that_sns_takes(region, aws):
    topic = aws("sns").create_topic(Name="alerts")["TopicArn"]

    topics.publish(region, topic, "é" + "x" * 200 + "\n", "text", "id-1")

    with pytest.raises(errors.NotFoundError):
        topics.publish(region, topic + "-none", "s", "t", "id-2")


@pytest.fixture
def acl(aws):
    vpc = aws("ec2").create_vpc(CidrBlock="10.10.0.0/16")["Vpc"]["VpcId"]
    return aws("ec2").create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]


def entries(aws, acl):
    found = aws("ec2").describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"][0]["Entries"]
    return [each for each in found if each["RuleNumber"] == 100]


def test_an_address_is_denied_to_what_leaves_and_a_second_time_under_its_new_address(
    region, aws, acl
):
    network.deny(region, acl, 100, address="10.10.64.7", port=5432)
    network.deny(region, acl, 100, address="10.10.64.7", port=5432)
    network.deny(region, acl, 100, address="10.10.80.9", port=5432)

    (entry,) = entries(aws, acl)
    assert (entry["Egress"], entry["Protocol"], entry["RuleAction"]) == (True, "6", "deny")
    assert entry["CidrBlock"] == "10.10.80.9/32"
    assert entry["PortRange"] == {"From": 5432, "To": 5432}
    assert network.is_denied(region, acl, 100)


def test_what_enters_is_no_entry_of_ours(region, aws, acl):
    aws("ec2").create_network_acl_entry(
        NetworkAclId=acl,
        RuleNumber=100,
        Egress=False,
        Protocol="-1",
        RuleAction="allow",
        CidrBlock="0.0.0.0/0",
    )
    assert not network.is_denied(region, acl, 100)


def test_allowing_takes_the_entry_away(region, aws, acl):
    network.deny(region, acl, 100, address="10.10.64.7", port=5432)
    network.allow(region, acl, 100)
    assert entries(aws, acl) == []
    assert not network.is_denied(region, acl, 100)


def test_an_entry_of_an_acl_that_is_gone_is_told(region):
    with pytest.raises(errors.NotFoundError):
        network.deny(region, "acl-0123456789abcdef0", 100, address="10.10.64.7", port=5432)
