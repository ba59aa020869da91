"""What RDS takes, refuses and goes through."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.aws.asking import EAST, WEST, eventually, refusal, unique


def network(aws, region):
    """Make what a database needs in a region: a subnet group over two zones, and a key."""
    ec2 = aws.client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.60.{number}.0/24", AvailabilityZone=f"{region}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    group = unique("group")
    aws.client("rds", region).create_db_subnet_group(
        DBSubnetGroupName=group, DBSubnetGroupDescription="test", SubnetIds=subnets
    )
    key = aws.client("kms", region).create_key()["KeyMetadata"]["Arn"]
    return group, key


def status(aws, region, name):
    found = aws.client("rds", region).describe_db_instances(DBInstanceIdentifier=name)
    return found["DBInstances"][0]


def available(aws, region, name):
    def check():
        found = status(aws, region, name)
        return found if found["DBInstanceStatus"] == "available" else None

    return eventually(check)


def primary(aws, **wanted):
    name = unique("db")
    group, key = network(aws, EAST)
    aws.client("rds", EAST).create_db_instance(
        **{
            "DBInstanceIdentifier": name,
            "Engine": "postgres",
            "EngineVersion": "18",
            "DBInstanceClass": "db.m6i.large",
            "AllocatedStorage": 20,
            "MasterUsername": "standby",
            "MasterUserPassword": "a-long-password",
            "DBSubnetGroupName": group,
            "StorageEncrypted": True,
            "KmsKeyId": key,
            "BackupRetentionPeriod": 7,
            **wanted,
        }
    )
    return available(aws, EAST, name)


def replica(aws, source, **wanted):
    name = unique("dr")
    group, key = network(aws, WEST)
    aws.client("rds", WEST).create_db_instance_read_replica(
        **{
            "DBInstanceIdentifier": name,
            "SourceDBInstanceIdentifier": source["DBInstanceArn"],
            "SourceRegion": EAST,
            "KmsKeyId": key,
            "DBSubnetGroupName": group,
            **wanted,
        }
    )
    return available(aws, WEST, name)


def test_a_replica_stands_in_a_subnet_group_of_its_own_region(lab):
    made = replica(lab, primary(lab))
    assert made["AvailabilityZone"].startswith(WEST)
    assert made["Endpoint"]["Address"].split(".")[2] == WEST


def test_an_encrypted_replica_abroad_needs_a_key(aws):
    source = primary(aws)
    code = refusal(
        aws.client("rds", WEST).create_db_instance_read_replica,
        DBInstanceIdentifier=unique("dr"),
        SourceDBInstanceIdentifier=source["DBInstanceArn"],
        SourceRegion=EAST,
    )
    assert code == "InvalidParameterCombination"


def test_the_key_of_a_replica_must_be_of_its_region(aws):
    source = primary(aws)
    code = refusal(
        aws.client("rds", WEST).create_db_instance_read_replica,
        DBInstanceIdentifier=unique("dr"),
        SourceDBInstanceIdentifier=source["DBInstanceArn"],
        SourceRegion=EAST,
        KmsKeyId=source["KmsKeyId"],
    )
    assert code == "KMSKeyNotAccessibleFault"


def test_a_key_that_does_not_exist_encrypts_nothing(aws):
    missing = f"arn:aws:kms:{EAST}:123456789012:key/00000000-0000-0000-0000-000000000000"
    assert refusal(primary, aws, KmsKeyId=missing) == "KMSKeyNotAccessibleFault"


def test_a_source_without_backups_has_no_replica(aws):
    source = primary(aws, BackupRetentionPeriod=0, StorageEncrypted=False)
    code = refusal(
        aws.client("rds", WEST).create_db_instance_read_replica,
        DBInstanceIdentifier=unique("dr"),
        SourceDBInstanceIdentifier=source["DBInstanceArn"],
        SourceRegion=EAST,
    )
    assert code == "InvalidDBInstanceState"


def test_a_replica_inherits_neither_protection_nor_backups_nor_a_second_zone(lab):
    source = primary(lab, DeletionProtection=True, MultiAZ=True)
    made = replica(lab, source)
    assert not made["DeletionProtection"]
    assert not made["MultiAZ"]
    assert made["BackupRetentionPeriod"] == 0


def test_two_instances_have_two_resource_ids(aws):
    assert primary(aws)["DbiResourceId"] != primary(aws)["DbiResourceId"]


def test_what_is_no_replica_is_not_promoted(aws):
    source = primary(aws)
    act = aws.client("rds", EAST).promote_read_replica
    name = source["DBInstanceIdentifier"]
    assert refusal(act, DBInstanceIdentifier=name) == "InvalidDBInstanceState"


def test_what_does_not_exist_is_not_promoted(aws):
    code = refusal(aws.client("rds").promote_read_replica, DBInstanceIdentifier="nobody")
    assert code == "DBInstanceNotFound"


def test_promotion_detaches_both_ends_and_keeps_the_retention_it_is_given(lab):
    source = primary(lab)
    made = replica(lab, source)
    name = made["DBInstanceIdentifier"]
    lab.client("rds").promote_read_replica(DBInstanceIdentifier=name, BackupRetentionPeriod=9)
    promoted = available(lab, WEST, name)
    assert "ReadReplicaSourceDBInstanceIdentifier" not in promoted
    assert promoted["BackupRetentionPeriod"] == 9
    assert not promoted.get("StatusInfos")
    left = status(lab, EAST, source["DBInstanceIdentifier"])
    assert left["ReadReplicaDBInstanceIdentifiers"] == []


def test_promotion_takes_time_and_is_refused_while_the_replica_is_backing_up(lab):
    made = replica(lab, primary(lab))
    rds, name = lab.client("rds"), made["DBInstanceIdentifier"]
    lab.control("POST", "speed", {"speed": 400})
    rds.modify_db_instance(
        DBInstanceIdentifier=name, BackupRetentionPeriod=7, ApplyImmediately=True
    )
    eventually(lambda: status(lab, WEST, name)["DBInstanceStatus"] == "backing-up")
    assert refusal(rds.promote_read_replica, DBInstanceIdentifier=name) == "InvalidDBInstanceState"
    available(lab, WEST, name)
    answer = rds.promote_read_replica(DBInstanceIdentifier=name, BackupRetentionPeriod=7)
    assert answer["DBInstance"]["DBInstanceStatus"] == "modifying"
    eventually(lambda: status(lab, WEST, name)["DBInstanceStatus"] == "rebooting")
    available(lab, WEST, name)
    waits = [wait["operation"] for wait in lab.control("GET", "waits") if wait["resource"] == name]
    assert waits[-2:] == ["rds:promote", "rds:reboot"]


def test_a_replica_says_that_it_is_replicating_until_its_source_is_gone(lab):
    source = primary(lab)
    made = replica(lab, source)
    name = made["DBInstanceIdentifier"]

    def replication():
        infos = status(lab, WEST, name).get("StatusInfos") or [{}]
        return infos[0].get("Status")

    eventually(lambda: replication() == "replicating")


def test_the_lag_of_a_replica_and_the_space_of_both_are_metrics(lab):
    made = replica(lab, primary(lab))

    def newest(metric):
        now = datetime.now(UTC)
        found = lab.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/RDS",
            MetricName=metric,
            Dimensions=[{"Name": "DBInstanceIdentifier", "Value": made["DBInstanceIdentifier"]}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return found[-1] if found else None

    assert eventually(lambda: newest("ReplicaLag"))["Maximum"] == 0.25
    assert 19 << 30 < eventually(lambda: newest("FreeStorageSpace"))["Maximum"] <= 20 << 30


def test_a_password_reaches_the_server_and_no_answer(lab, lab_run):
    made = primary(lab, MasterUserPassword="only-the-server-knows")
    assert "only-the-server-knows" not in json.dumps(made, default=str)
    folder = lab_run[1] / "pg" / f"{EAST}.{made['DBInstanceIdentifier']}"
    assert (folder / "password").read_text() == "only-the-server-knows"


def test_a_replica_is_deleted_and_its_source_forgets_it(aws):
    source = primary(aws)
    name = unique("dr")
    rds = aws.client("rds")
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier=name,
        SourceDBInstanceIdentifier=source["DBInstanceArn"],
        SourceRegion=EAST,
        KmsKeyId=key,
    )
    available(aws, WEST, name)
    try:
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    except Exception as error:  # noqa: BLE001 - plain moto answers with HTML
        pytest.fail(str(error))

    def forgotten():
        found = status(aws, EAST, source["DBInstanceIdentifier"])
        return found["ReadReplicaDBInstanceIdentifiers"] == []

    eventually(forgotten)


def test_a_replica_has_no_final_snapshot(lab):
    made = replica(lab, primary(lab))
    code = refusal(
        lab.client("rds").delete_db_instance,
        DBInstanceIdentifier=made["DBInstanceIdentifier"],
        FinalDBSnapshotIdentifier="last",
    )
    assert code == "InvalidParameterCombination"


def test_a_protected_instance_is_not_deleted(lab):
    made = primary(lab, DeletionProtection=True)
    code = refusal(
        lab.client("rds", EAST).delete_db_instance,
        DBInstanceIdentifier=made["DBInstanceIdentifier"],
        SkipFinalSnapshot=True,
    )
    assert code == "InvalidParameterCombination"


def test_deletion_says_what_becomes_of_the_data(aws):
    made = primary(aws)
    code = refusal(
        aws.client("rds", EAST).delete_db_instance,
        DBInstanceIdentifier=made["DBInstanceIdentifier"],
    )
    assert code == "InvalidParameterCombination"


def test_what_waits_for_the_maintenance_window_waits(aws):
    made = primary(aws)
    name = made["DBInstanceIdentifier"]
    aws.client("rds", EAST).modify_db_instance(
        DBInstanceIdentifier=name, DBInstanceClass="db.m6i.xlarge", ApplyImmediately=False
    )
    after = available(aws, EAST, name)
    assert after["DBInstanceClass"] == "db.m6i.large"
    assert after["PendingModifiedValues"]["DBInstanceClass"] == "db.m6i.xlarge"


def test_a_snapshot_takes_time_and_its_instance_is_backing_up(aws):
    made = primary(aws)
    name, snapshot = made["DBInstanceIdentifier"], unique("snapshot")
    rds = aws.client("rds", EAST)
    if aws.kind == "lab":
        aws.control("POST", "speed", {"speed": 400})
    answer = rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=snapshot)
    assert answer["DBSnapshot"]["Status"] == "creating"
    assert status(aws, EAST, name)["DBInstanceStatus"] == "backing-up"
    available(aws, EAST, name)
    found = rds.describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"][0]
    assert (found["Status"], found["PercentProgress"]) == ("available", 100)


def test_a_subnet_group_covers_two_zones(aws):
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.61.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.61.0.0/24", AvailabilityZone=f"{WEST}a")[
        "Subnet"
    ]["SubnetId"]
    code = refusal(
        aws.client("rds").create_db_subnet_group,
        DBSubnetGroupName=unique("group"),
        DBSubnetGroupDescription="test",
        SubnetIds=[subnet],
    )
    assert code == "DBSubnetGroupDoesNotCoverEnoughAZs"


@pytest.mark.parametrize(
    ("name", "method", "code"),
    [
        ("max_connections", "immediate", "InvalidParameterCombination"),
        ("no_such_parameter", "pending-reboot", "InvalidParameterValue"),
    ],
)
def test_parameters_exist_and_apply_when_they_can(aws, name, method, code):
    rds, group = aws.client("rds"), unique("parameters")
    rds.create_db_parameter_group(
        DBParameterGroupName=group, DBParameterGroupFamily="postgres18", Description="test"
    )
    parameter = {"ParameterName": name, "ParameterValue": "50", "ApplyMethod": method}
    act = rds.modify_db_parameter_group
    assert refusal(act, DBParameterGroupName=group, Parameters=[parameter]) == code


def test_a_parameter_group_is_of_the_engines_version(aws):
    rds, group = aws.client("rds", EAST), unique("parameters")
    rds.create_db_parameter_group(
        DBParameterGroupName=group, DBParameterGroupFamily="postgres16", Description="test"
    )
    code = refusal(
        rds.create_db_instance,
        DBInstanceIdentifier=unique("db"),
        Engine="postgres",
        EngineVersion="18",
        DBInstanceClass="db.m6i.large",
        AllocatedStorage=20,
        MasterUsername="standby",
        MasterUserPassword="a-long-password",
        DBParameterGroupName=group,
    )
    assert code == "InvalidParameterCombination"


def test_automated_backups_are_replicated_under_a_key_of_the_other_region(aws):
    source = primary(aws)
    act = aws.client("rds").start_db_instance_automated_backups_replication
    arn = source["DBInstanceArn"]
    assert refusal(act, SourceDBInstanceArn=arn) == "InvalidParameterCombination"
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    made = act(SourceDBInstanceArn=arn, KmsKeyId=key)["DBInstanceAutomatedBackup"]
    assert made["Status"] == "replicating"


def test_a_rename_takes_its_time_and_ends_the_old_name_and_endpoint(aws):
    made, rds, name = primary(aws), aws.client("rds", EAST), unique("aside")
    old = made["DBInstanceIdentifier"]
    answer = rds.modify_db_instance(
        DBInstanceIdentifier=old, NewDBInstanceIdentifier=name, ApplyImmediately=True
    )["DBInstance"]
    assert (answer["DBInstanceIdentifier"], answer["DBInstanceStatus"]) == (old, "renaming")
    found = eventually(lambda: _named(rds, name))
    renamed = available(aws, EAST, name)
    assert found["DBInstanceArn"].endswith(f":db:{name}")
    assert renamed["Endpoint"]["Address"].startswith(f"{name}.")
    assert renamed["DbiResourceId"] == made["DbiResourceId"]
    assert _named(rds, old) is None


def _named(rds, name):
    try:
        return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    except rds.exceptions.DBInstanceNotFoundFault:
        return None


def test_a_rename_without_apply_immediately_waits_for_the_window(aws):
    made, rds = primary(aws), aws.client("rds", EAST)
    old, name = made["DBInstanceIdentifier"], unique("later")
    rds.modify_db_instance(DBInstanceIdentifier=old, NewDBInstanceIdentifier=name)
    found = _named(rds, old)
    assert found is not None
    assert found["PendingModifiedValues"] == {"DBInstanceIdentifier": name}


def test_a_name_that_is_taken_renames_nothing(aws):
    one, other, rds = primary(aws), primary(aws), aws.client("rds", EAST)
    code = refusal(
        rds.modify_db_instance,
        DBInstanceIdentifier=one["DBInstanceIdentifier"],
        NewDBInstanceIdentifier=other["DBInstanceIdentifier"],
        ApplyImmediately=True,
    )
    assert code == "DBInstanceAlreadyExists"


def test_a_replica_takes_the_name_that_its_region_put_aside_and_follows_a_renamed_source(lab):
    source = primary(lab)
    west = replica(lab, source)
    east, rds = lab.client("rds", EAST), lab.client("rds", WEST)
    old, name = source["DBInstanceIdentifier"], unique("aside")
    east.modify_db_instance(
        DBInstanceIdentifier=old, NewDBInstanceIdentifier=name, ApplyImmediately=True
    )
    eventually(lambda: _named(east, name))
    renamed = available(lab, EAST, name)
    follower = _named(rds, west["DBInstanceIdentifier"])
    assert follower is not None
    assert follower["ReadReplicaSourceDBInstanceIdentifier"] == renamed["DBInstanceArn"]
    rds.modify_db_instance(
        DBInstanceIdentifier=follower["DBInstanceIdentifier"],
        BackupRetentionPeriod=1,
        ApplyImmediately=True,
    )
    available(lab, WEST, follower["DBInstanceIdentifier"])
    rds.promote_read_replica(DBInstanceIdentifier=follower["DBInstanceIdentifier"])
    writer = eventually(
        lambda: (
            (found := _named(rds, follower["DBInstanceIdentifier"]))
            and found["DBInstanceStatus"] == "available"
            and not found.get("ReadReplicaSourceDBInstanceIdentifier")
            and found
        )
    )
    east.create_db_instance_read_replica(
        DBInstanceIdentifier=old,
        SourceDBInstanceIdentifier=writer["DBInstanceArn"],
        SourceRegion=WEST,
        KmsKeyId=renamed["KmsKeyId"],
        DBSubnetGroupName=renamed["DBSubnetGroup"]["DBSubnetGroupName"],
    )
    home = available(lab, EAST, old)
    assert home["Endpoint"]["Address"] == source["Endpoint"]["Address"]
    assert home["ReadReplicaSourceDBInstanceIdentifier"] == writer["DBInstanceArn"]
    assert home["DbiResourceId"] != renamed["DbiResourceId"]
