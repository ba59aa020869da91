"""What is kept is protected and encrypted, and passwords are nowhere to be read."""

import json

import pytest

from tests.infra.program import Declaration, configuration, declare

KEEPS_DATA = {
    "dynamodb:Table",
    "kms:Key",
    "rds:Instance",
    "s3:Bucket",
    "secretsmanager:Secret",
    "secretsmanager:SecretVersion",
}
PASSWORDS = ("new-random-password", "kept-password")
WRITE_ONLY = {"passwordWo", "secretStringWo"}


def test_everything_stateful_is_protected(declaration: Declaration) -> None:
    stateful = [each for kind in KEEPS_DATA for each in declaration.of(kind)]
    assert stateful
    assert [each.name for each in stateful if not each.protect] == []


def test_no_balancer_is_deleted_by_accident_in_either_role(site: Declaration) -> None:
    balancers = site.of("lb:LoadBalancer")
    assert len(balancers) == 2
    for balancer in balancers:
        assert balancer.protect
        assert balancer.inputs["enableDeletionProtection"] is True
        assert balancer.inputs["clientKeepAlive"] == 60


def test_databases_and_secrets_are_encrypted_with_the_key_of_their_own_region(
    site: Declaration,
) -> None:
    (key,) = site.of("kms:Key")
    arn = site.outputs["site"]["key_arn"]
    assert arn.endswith(key.name)
    for database in site.of("rds:Instance"):
        assert database.inputs["storageEncrypted"] is True
        assert database.inputs["kmsKeyId"] == arn
    for secret in site.of("secretsmanager:Secret"):
        assert secret.inputs["kmsKeyId"] == arn
    for topic in site.of("sns:Topic"):
        assert topic.inputs["kmsMasterKeyId"] == arn


def test_every_bucket_keeps_versions_is_encrypted_closed_and_wants_tls(site: Declaration) -> None:
    buckets = {each.inputs["bucket"] for each in site.of("s3:Bucket")}
    assert len(buckets) == 5
    for kind, holds in {
        "s3:BucketVersioning": lambda of: of["versioningConfiguration"]["status"] == "Enabled",
        "s3:BucketPublicAccessBlock": lambda of: (
            of["blockPublicAcls"]
            and of["blockPublicPolicy"]
            and of["ignorePublicAcls"]
            and of["restrictPublicBuckets"]
        ),
        "s3:BucketPolicy": lambda of: (
            json.loads(of["policy"])["Statement"][0]["Condition"]["Bool"]["aws:SecureTransport"]
            == "false"
        ),
        "s3:BucketServerSideEncryptionConfiguration": lambda of: (
            of["rules"][0]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"]
            == site.outputs["site"]["key_arn"]
        ),
    }.items():
        assert {each.inputs["bucket"] for each in site.of(kind) if holds(each.inputs)} == buckets


def test_control_tables_in_three_regions_can_be_restored_to_any_second(link: Declaration) -> None:
    tables = link.of("dynamodb:Table")
    assert sorted(str(each.region) for each in tables) == ["us-east-1", "us-east-2", "us-west-2"]
    for table in tables:
        assert table.inputs["name"] == "rlg-standby-control"
        assert table.inputs["hashKey"] == "key"
        assert table.inputs["pointInTimeRecovery"]["enabled"] is True
        assert table.inputs["serverSideEncryption"]["enabled"] is True
        assert table.inputs["deletionProtectionEnabled"] is True


def test_disks_of_hosts_are_encrypted(site: Declaration, link: Declaration) -> None:
    for template in site.of("ec2:LaunchTemplate"):
        (disk,) = template.inputs["blockDeviceMappings"]
        assert disk["ebs"]["encrypted"] == "true"
    for host in link.of("ec2:Instance"):
        assert host.inputs["rootBlockDevice"]["encrypted"] is True


def test_metadata_of_hosts_wants_a_token(site: Declaration, link: Declaration) -> None:
    for host in [*site.of("ec2:LaunchTemplate"), *link.of("ec2:Instance")]:
        assert host.inputs["metadataOptions"]["httpTokens"] == "required"


def test_passwords_travel_only_in_write_only_properties(declaration: Declaration) -> None:
    for each in declaration.resources:
        for name, value in each.inputs.items():
            if any(password in json.dumps(value) for password in PASSWORDS):
                assert name in WRITE_ONLY, (each.name, name)
                assert name in each.secrets, (each.name, name)
                assert f"{name}Version" in each.inputs


def test_no_output_holds_a_secret(declaration: Declaration) -> None:
    assert declaration.secret_outputs == frozenset()
    assert not any(password in json.dumps(declaration.outputs) for password in PASSWORDS)


def test_a_database_gets_the_password_that_its_secret_holds_after_the_run(
    primary: Declaration,
) -> None:
    # A run that wrote the secret and broke off must not give the database another password.
    for database in primary.of("rds:Instance"):
        assert database.inputs["passwordWo"] == "kept-password"
    for version in primary.of("secretsmanager:SecretVersion"):
        assert json.loads(version.inputs["secretStringWo"])["password"] == "new-random-password"


def test_a_preview_reads_no_password() -> None:
    preview = declare("primary", preview=True)
    assert not [each for each in preview.invokes if "getSecretVersion" in each.token]


def test_databases_and_balancers_speak_tls_only(site: Declaration) -> None:
    for group in site.of("rds:ParameterGroup"):
        assert {"name": "rds.force_ssl", "value": "1"} in group.inputs["parameters"]
    for listener in site.of("lb:Listener"):
        assert listener.inputs["protocol"] == "HTTPS"
        assert "TLS13" in listener.inputs["sslPolicy"]


def test_nothing_but_the_balancer_answers_the_world(site: Declaration) -> None:
    open_to_all = [
        each
        for each in site.of("vpc:SecurityGroupIngressRule")
        if each.inputs.get("cidrIpv4", "").endswith("/0")
    ]
    assert len(open_to_all) == 2
    for rule in open_to_all:
        assert "balancer" in rule.inputs["securityGroupId"]
        assert rule.inputs["fromPort"] == rule.inputs["toPort"] == 443


def test_databases_have_no_way_out_and_only_hosts_and_control_have_one_in(
    site: Declaration,
) -> None:
    assert not [
        each
        for each in site.of("vpc:SecurityGroupEgressRule")
        if each.inputs["securityGroupId"].endswith("-database-id")
    ]
    sources = {
        each.inputs.get("referencedSecurityGroupId", "").rpartition("/")[2]
        or each.inputs["cidrIpv4"]
        for each in site.of("vpc:SecurityGroupIngressRule")
        if each.inputs["securityGroupId"].endswith("-database-id")
    }
    place = site.stack
    assert sources == {
        f"rlg-data-{place}-hosts-id",
        f"rlg-fans-{place}-hosts-id",
        f"rlg-{place}-control-id",
        {"primary": "10.20.192.0/20", "dr": "10.10.192.0/20"}[place],
    }
    internet = {each.inputs["routeTableId"] for each in site.of("ec2:Route")}
    assert not [table for table in internet if "database" in table]
    for database in site.of("rds:Instance"):
        assert database.inputs["publiclyAccessible"] is False


@pytest.mark.parametrize(
    ("engine", "version", "port"), [("postgres", "18", 5432), ("mysql", "8.4", 3306)]
)
@pytest.mark.parametrize("stack", ["primary", "dr"])
def test_the_control_host_reaches_every_database_of_its_own_site(
    primary: Declaration, stack: str, engine: str, version: str, port: int
) -> None:
    products = json.loads(configuration(stack, {})["standby:products"])
    for product in products:
        product["database"] |= {"engine": engine, "version": version}
    site = declare(stack, config={"products": products}, outputs={"primary": primary.outputs})
    control = site.outputs["site"]["control_group_id"]
    databases = {
        each for one in site.of("rds:Instance") for each in one.inputs["vpcSecurityGroupIds"]
    }
    assert len(databases) == 2
    assert _passes(site, "vpc:SecurityGroupEgressRule", of={control}, to=databases, port=port)
    assert _passes(site, "vpc:SecurityGroupIngressRule", of=databases, to={control}, port=port)


def test_the_control_host_reaches_the_peers_databases_and_only_their_addresses(
    primary: Declaration, dr: Declaration
) -> None:
    for here, there in ((primary, dr), (dr, primary)):
        subnets = {each.name: each.inputs["cidrBlock"] for each in there.of("ec2:Subnet")}
        databases = {cidr for name, cidr in subnets.items() if "-database-" in name}
        control = here.outputs["site"]["control_group_id"]
        reached = [
            each.inputs["cidrIpv4"]
            for each in here.of("vpc:SecurityGroupEgressRule")
            if each.inputs["securityGroupId"] == control
            and each.inputs["fromPort"] == 5432
            and "cidrIpv4" in each.inputs
        ]
        assert sorted(reached) == sorted(databases)  # AWS takes no rule twice
        (control_subnet,) = {
            name
            for name in subnets
            if there.outputs["site"]["control_subnet_id"].endswith(f"{name}-id")
        }
        let_in = {
            each.inputs["cidrIpv4"]
            for each in here.of("vpc:SecurityGroupIngressRule")
            if each.inputs["securityGroupId"].endswith("-database-id") and "cidrIpv4" in each.inputs
        }
        assert let_in == {subnets[control_subnet]}


def _passes(site: Declaration, kind: str, *, of: set[str], to: set[str], port: int) -> bool:
    """Say whether each group of `of` has a rule of this kind for each of `to`, on that port."""
    rules = {
        (each.inputs["securityGroupId"], each.inputs.get("referencedSecurityGroupId"))
        for each in site.of(kind)
        if each.inputs["fromPort"] == each.inputs["toPort"] == port
        and each.inputs["ipProtocol"] == "tcp"
    }
    return {(one, other) for one in of for other in to} <= rules
