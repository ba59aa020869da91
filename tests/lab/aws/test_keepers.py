"""Keys, secrets, parameters, certificates, tables, and who may do what."""

import json

import pytest

from recovery import naming
from tests.lab.aws.asking import EAST, WEST, eventually, refusal, unique


def test_a_parameter_holds_4_kib(aws):
    put = aws.client("ssm").put_parameter
    put(Name=unique("/fits"), Value="x" * 4096, Type="String")
    code = refusal(put, Name=unique("/bursts"), Value="x" * 4097, Type="String")
    assert code == "ValidationException"


def test_a_disabled_key_encrypts_nothing(aws):
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "DisabledException"


def test_a_secret_is_kept_under_a_key_that_exists(aws):
    missing = f"arn:aws:kms:{WEST}:123456789012:key/00000000-0000-0000-0000-000000000000"
    act = aws.client("secretsmanager").create_secret
    code = refusal(act, Name=unique("secret"), SecretString="x", KmsKeyId=missing)
    assert code == "InvalidRequestException"


def test_the_replica_of_a_secret_takes_a_key_of_its_own_region(aws):
    key = aws.client("kms", EAST).create_key()["KeyMetadata"]["Arn"]
    code = refusal(
        aws.client("secretsmanager", EAST).create_secret,
        Name=unique("secret"),
        SecretString="x",
        AddReplicaRegions=[{"Region": WEST, "KmsKeyId": key}],
    )
    assert code == "InvalidRequestException"


def test_a_replicated_secret_is_read_in_the_other_region_and_written_in_its_own(lab):
    name = unique("secret")
    lab.client("secretsmanager", EAST).create_secret(
        Name=name, SecretString="x", AddReplicaRegions=[{"Region": WEST}]
    )
    west = lab.client("secretsmanager", WEST)
    assert west.get_secret_value(SecretId=name)["SecretString"] == "x"
    code = refusal(west.put_secret_value, SecretId=name, SecretString="y")
    assert code == "InvalidParameterException"


def test_a_certificate_is_issued_once_its_record_is_there(lab):
    acm, route53 = lab.client("acm"), lab.client("route53", EAST)
    domain = f"{unique('www')}.rlg.example"
    arn = acm.request_certificate(DomainName=domain, ValidationMethod="DNS")["CertificateArn"]

    def certificate():
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]

    found = certificate()
    assert found["Status"] == "PENDING_VALIDATION"
    record = found["DomainValidationOptions"][0]["ResourceRecord"]
    zones = route53.list_hosted_zones_by_name(DNSName="rlg.example.")["HostedZones"]
    wanted = {
        "Name": record["Name"],
        "Type": record["Type"],
        "TTL": 60,
        "ResourceRecords": [{"Value": record["Value"]}],
    }
    route53.change_resource_record_sets(
        HostedZoneId=zones[0]["Id"],
        ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": wanted}]},
    )
    eventually(lambda: certificate()["Status"] == "ISSUED", 3)


def test_a_protected_table_is_not_deleted(lab):
    dynamodb, name = lab.client("dynamodb"), unique("table")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
    )
    assert refusal(dynamodb.delete_table, TableName=name) == "ValidationException"


def test_an_access_key_tells_who_calls(aws):
    found = aws.client("sts", WEST, "LABOPERATOR").get_caller_identity()
    assert found["Arn"].endswith(f":assumed-role/{naming.RECOVERY_ROLE}/operator")


def test_the_operator_may_do_what_the_recovery_role_allows_and_nothing_else(lab):
    iam = lab.client("iam", EAST)
    operator = lab.client("rds", WEST, "LABOPERATOR")
    operator.describe_db_snapshots()
    iam.create_role(RoleName=naming.RECOVERY_ROLE, AssumeRolePolicyDocument="{}")
    statement = {"Effect": "Allow", "Action": ["rds:DescribeDBInstances"], "Resource": "*"}
    iam.put_role_policy(
        RoleName=naming.RECOVERY_ROLE,
        PolicyName="recovery",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    try:
        operator.describe_db_instances()
        assert refusal(operator.describe_db_snapshots) == "AccessDenied"
        lab.client("sts", WEST, "LABOPERATOR").get_caller_identity()
        lab.client("rds", WEST).describe_db_snapshots()
        tables = lab.client("dynamodb", WEST, "LABOPERATOR")
        assert refusal(tables.list_tables) == "AccessDeniedException"
        with pytest.raises(operator.exceptions.ClientError, match="rds:PromoteReadReplica"):
            operator.promote_read_replica(DBInstanceIdentifier="any")
    finally:
        iam.delete_role_policy(RoleName=naming.RECOVERY_ROLE, PolicyName="recovery")
        iam.delete_role(RoleName=naming.RECOVERY_ROLE)
