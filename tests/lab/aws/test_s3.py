"""Buckets as AWS has them, and what replicates."""

import json

import pytest
import requests

from tests.lab.aws.asking import EAST, WEST, eventually, refusal, unique


def bucket(aws, region, *, versioned=True):
    s3, name = aws.client("s3", region), unique("bucket")
    where = {} if region == EAST else {"LocationConstraint": region}
    arguments = {"CreateBucketConfiguration": where} if where else {}
    s3.create_bucket(Bucket=name, **arguments)
    if versioned:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def role(aws):
    name = unique("role")
    made = aws.client("iam", EAST).create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    return made["Role"]["Arn"]


def rule(target, **more):
    return {
        "ID": "files",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{target}"},
        **more,
    }


def replicate(aws, source, rules, arn=None):
    aws.client("s3", EAST).put_bucket_replication(
        Bucket=source, ReplicationConfiguration={"Role": arn or role(aws), "Rules": rules}
    )


def replicated_pair(aws, **more):
    source, target = bucket(aws, EAST), bucket(aws, WEST)
    replicate(aws, source, [rule(target, **more)])
    return source, target


def arrived(aws, target, key):
    def check():
        found = aws.client("s3", WEST).list_object_versions(Bucket=target, Prefix=key)
        return found.get("Versions") or found.get("DeleteMarkers")

    return eventually(check)


def test_a_bucket_answers_in_its_own_region_only(aws):
    name = bucket(aws, WEST)
    east = aws.client("s3", EAST)
    address = east.generate_presigned_url("list_objects_v2", {"Bucket": name})
    answer = requests.get(address, allow_redirects=False, timeout=10)
    assert answer.status_code == 301
    assert answer.headers["x-amz-bucket-region"] == WEST


def test_a_new_bucket_is_encrypted_and_closed_to_the_public(aws):
    s3, name = aws.client("s3"), bucket(aws, WEST)
    try:
        encryption = s3.get_bucket_encryption(Bucket=name)
        block = s3.get_public_access_block(Bucket=name)
    except s3.exceptions.ClientError as error:
        pytest.fail(str(error))
    rules = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert all(block["PublicAccessBlockConfiguration"].values())


def test_a_public_policy_is_refused_where_public_access_is_blocked(aws):
    s3, name = aws.client("s3"), bucket(aws, WEST)
    closed = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=closed)
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{name}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert refusal(s3.put_bucket_policy, Bucket=name, Policy=policy) == "AccessDenied"


def test_a_policy_that_demands_tls_does_not_shut_out_the_labs_own_endpoint(lab):
    s3, name = lab.client("s3"), bucket(lab, WEST)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket=name, Policy=policy)
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"] == [statement]


def test_a_body_with_another_digest_than_promised_is_refused(aws):
    s3, name = aws.client("s3"), bucket(aws, WEST)
    wrong = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="
    act = s3.put_object
    assert refusal(act, Bucket=name, Key="a", Body=b"x", ChecksumSHA256=wrong) == "BadDigest"


def test_a_presigned_url_ends(aws):
    s3, name = aws.client("s3"), bucket(aws, WEST)
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    address = s3.generate_presigned_url("get_object", {"Bucket": name, "Key": "a"}, ExpiresIn=-1)
    assert requests.get(address, timeout=10).status_code == 403


def test_an_object_replicates_with_its_version_metadata_and_tags(aws):
    source, target = replicated_pair(aws)
    made = aws.client("s3", EAST).put_object(
        Bucket=source, Key="a", Body=b"x", Metadata={"of": "ours"}, Tagging="kind=file"
    )
    arrived(aws, target, "a")
    west = aws.client("s3", WEST)
    copy = west.get_object(Bucket=target, Key="a")
    assert copy["Body"].read() == b"x"
    assert copy["VersionId"] == made["VersionId"]
    assert copy["Metadata"] == {"of": "ours"}
    assert copy["ReplicationStatus"] == "REPLICA"
    tags = west.get_object_tagging(Bucket=target, Key="a")["TagSet"]
    assert tags == [{"Key": "kind", "Value": "file"}]
    state = aws.client("s3", EAST).head_object(Bucket=source, Key="a")["ReplicationStatus"]
    assert state == "COMPLETED"


def test_replication_lags(lab):
    source, target = replicated_pair(lab)
    lab.control("POST", "speed", {"speed": 20})
    lab.client("s3", EAST).put_object(Bucket=source, Key="a", Body=b"x")
    state = lab.client("s3", EAST).head_object(Bucket=source, Key="a")["ReplicationStatus"]
    assert state == "PENDING"
    assert "Contents" not in lab.client("s3", WEST).list_objects_v2(Bucket=target)
    arrived(lab, target, "a")


def test_what_was_there_before_the_rule_stays_behind(lab):
    source, target = bucket(lab, EAST), bucket(lab, WEST)
    east = lab.client("s3", EAST)
    east.put_object(Bucket=source, Key="old", Body=b"x")
    replicate(lab, source, [rule(target)])
    east.put_object(Bucket=source, Key="young", Body=b"x")
    arrived(lab, target, "young")
    keys = lab.client("s3", WEST).list_objects_v2(Bucket=target)["Contents"]
    assert [one["Key"] for one in keys] == ["young"]
    assert "ReplicationStatus" not in east.head_object(Bucket=source, Key="old")


@pytest.mark.parametrize(("markers", "follows"), [("Enabled", True), ("Disabled", False)])
def test_a_delete_marker_follows_only_where_the_rule_says_so(lab, markers, follows):
    source, target = replicated_pair(lab, DeleteMarkerReplication={"Status": markers})
    east, west = lab.client("s3", EAST), lab.client("s3", WEST)
    east.put_object(Bucket=source, Key="a", Body=b"x")
    arrived(lab, target, "a")
    east.delete_object(Bucket=source, Key="a")
    east.put_object(Bucket=source, Key="b", Body=b"x")
    arrived(lab, target, "b")
    found = west.list_object_versions(Bucket=target, Prefix="a")
    assert bool(found.get("DeleteMarkers")) is follows


def test_the_deletion_of_a_version_does_not_replicate(lab):
    source, target = replicated_pair(lab)
    east = lab.client("s3", EAST)
    version = east.put_object(Bucket=source, Key="a", Body=b"x")["VersionId"]
    arrived(lab, target, "a")
    east.delete_object(Bucket=source, Key="a", VersionId=version)
    east.put_object(Bucket=source, Key="b", Body=b"x")
    arrived(lab, target, "b")
    assert lab.client("s3", WEST).head_object(Bucket=target, Key="a")["VersionId"] == version


def test_objects_under_kms_need_a_rule_that_selects_them_and_a_key(lab):
    key = lab.client("kms", WEST).create_key()["KeyMetadata"]["Arn"]
    selected = {
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
    }
    source, target = bucket(lab, EAST), bucket(lab, WEST)
    config = {"Role": role(lab), "Rules": [rule(target, **selected)]}
    east = lab.client("s3", EAST)
    act = east.put_bucket_replication
    code = refusal(act, Bucket=source, ReplicationConfiguration=config)
    assert code == "InvalidRequest"
    replicate(lab, source, [rule(target)])
    east.put_object(Bucket=source, Key="left", Body=b"x", ServerSideEncryption="aws:kms")
    destination = {
        "Bucket": f"arn:aws:s3:::{target}",
        "EncryptionConfiguration": {"ReplicaKmsKeyID": key},
    }
    replicate(lab, source, [rule(target, **selected, Destination=destination)])
    east.put_object(Bucket=source, Key="taken", Body=b"x", ServerSideEncryption="aws:kms")
    arrived(lab, target, "taken")
    west = lab.client("s3", WEST)
    assert west.head_object(Bucket=target, Key="taken")["SSEKMSKeyId"] == key
    assert [one["Key"] for one in west.list_objects_v2(Bucket=target)["Contents"]] == ["taken"]


def test_replication_stops_with_the_link_and_goes_on_with_it(lab):
    source, target = replicated_pair(lab)
    lab.control("POST", "links", {"from": EAST, "to": WEST, "state": "cut"})
    east = lab.client("s3", EAST)
    east.put_object(Bucket=source, Key="a", Body=b"x")
    with pytest.raises(pytest.fail.Exception):
        eventually(lambda: "Contents" in lab.client("s3", WEST).list_objects_v2(Bucket=target), 1)
    assert east.head_object(Bucket=source, Key="a")["ReplicationStatus"] == "PENDING"
    lab.control("POST", "links", {"from": EAST, "to": WEST, "state": "up"})
    arrived(lab, target, "a")


def test_nothing_replicates_out_of_a_dead_region(lab):
    source, target = replicated_pair(lab)
    lab.control("POST", "links", {"from": EAST, "to": WEST, "state": "cut"})
    lab.client("s3", EAST).put_object(Bucket=source, Key="a", Body=b"x")
    lab.control("POST", "regions", {"region": EAST, "state": "dead", "api": "refuse"})
    lab.control("POST", "links", {"from": EAST, "to": WEST, "state": "up"})
    with pytest.raises(pytest.fail.Exception):
        eventually(lambda: "Contents" in lab.client("s3", WEST).list_objects_v2(Bucket=target), 1)
    lab.control("POST", "regions", {"region": EAST, "state": "up"})
    arrived(lab, target, "a")


def test_the_replication_configuration_is_returned_as_it_was_put(aws):
    source, target = bucket(aws, EAST), bucket(aws, WEST)
    wanted = rule(target, Filter={"Prefix": "files/"})
    arn = role(aws)
    replicate(aws, source, [wanted], arn)
    found = aws.client("s3", EAST).get_bucket_replication(Bucket=source)
    assert found["ReplicationConfiguration"] == {"Role": arn, "Rules": [wanted]}


def test_replication_goes_to_a_versioned_bucket_that_exists(aws):
    source = bucket(aws, EAST)
    act, arn = aws.client("s3", EAST).put_bucket_replication, role(aws)
    for target in ("no-such-bucket-anywhere", bucket(aws, WEST, versioned=False)):
        config = {"Role": arn, "Rules": [rule(target)]}
        code = refusal(act, Bucket=source, ReplicationConfiguration=config)
        assert code == "InvalidRequest"
