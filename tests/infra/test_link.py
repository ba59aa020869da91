"""The link ties the sites: files, backups, traffic, topology, and recovery's rights."""

import hashlib
import json
from typing import Any

import pulumi
import pytest

from infra.settings import parse
from recovery import naming, topology
from recovery.cloud import permissions
from tests.infra.program import Declaration, Declared, configuration, declare

REGIONS = {"primary": "us-east-1", "dr": "us-west-2"}
PEER = {"primary": "dr", "dr": "primary"}
PRODUCT_ACTIONS = {
    "kms:GenerateDataKey",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
}
"""What a product does with its files."""


def documents(link: Declaration) -> dict[str, bytes]:
    """Return site → topology document as it lies in the site's bucket."""
    return {
        each.name.removeprefix("topology-"): each.inputs["content"].encode()
        for each in link.of("s3:BucketObjectv2")
    }


def statements(link: Declaration, name: str) -> list[dict]:
    return json.loads(link.one("iam:RolePolicy", name).inputs["policy"])["Statement"]


def test_the_topology_decodes_and_is_the_same_in_both_regions(link: Declaration) -> None:
    first, second = documents(link).values()
    assert first == second
    found = topology.decode(first)
    assert {site.name: site.region for site in found.sites.values()} == REGIONS
    assert [product.name for product in found.products] == ["rlg-data", "rlg-fans"]
    assert found.witness.region == "us-east-2"
    data = found.products[0].deployments["dr"]
    assert data.database == "rlg-data-dr-1"
    assert data.target_groups.keys() == {service.name for service in found.products[0].services}
    assert data.health_check == "route53:HealthCheck/rlg-data-dr-id"


def test_a_parameter_in_each_region_says_where_the_topology_is_and_what_it_hashes_to(
    link: Declaration,
) -> None:
    parameters = {each.region: each.inputs for each in link.of("ssm:Parameter")}
    for site, document in documents(link).items():
        parameter = parameters[REGIONS[site]]
        assert parameter["name"] == naming.TOPOLOGY_PARAMETER
        place = json.loads(parameter["value"])
        assert place == {
            "bucket": naming.site_bucket("rlg", "123456789012", REGIONS[site]),
            "key": naming.TOPOLOGY_KEY,
            "sha256": hashlib.sha256(document).hexdigest(),
        }
        assert len(parameter["value"].encode()) <= 4096


def test_the_topology_does_not_depend_on_the_order_of_outputs(
    primary: Declaration, dr: Declaration, link: Declaration
) -> None:
    turned = {"primary": _reversed(primary.outputs), "dr": _reversed(dr.outputs)}
    assert documents(declare("link", outputs=turned)) == documents(link)


def test_the_topology_holds_no_secret(link: Declaration) -> None:
    for document in documents(link).values():
        assert b"random-password" not in document
        assert b"kept-password" not in document


def test_each_record_is_unhealthy_while_the_peer_claims_in_its_own_region(
    link: Declaration,
) -> None:
    for product in ("rlg-data", "rlg-fans"):
        for site, peer in PEER.items():
            record = link.one("route53:Record", f"{product}-{site}")
            check = link.one("route53:HealthCheck", f"{product}-{site}")
            assert record.inputs["healthCheckId"] == f"route53:HealthCheck/{check.name}-id"
            assert check.inputs["type"] == "CLOUDWATCH_METRIC"
            assert check.inputs["cloudwatchAlarmRegion"] == REGIONS[peer]
            assert check.inputs["cloudwatchAlarmName"] == naming.switch_alarm(product, peer)
            assert check.inputs["insufficientDataHealthStatus"] == "LastKnownStatus"
            (alarm,) = [
                each
                for each in link.of("cloudwatch:MetricAlarm")
                if each.inputs["name"] == naming.switch_alarm(product, peer)
            ]
            assert alarm.region == REGIONS[peer]
            assert alarm.inputs["dimensions"] == naming.switch_dimensions(product, peer)


def test_claim_alarms_are_of_the_kind_that_route_53_can_read(link: Declaration) -> None:
    alarms = [
        each
        for each in link.of("cloudwatch:MetricAlarm")
        if each.inputs["namespace"] == naming.SWITCH_NAMESPACE
    ]
    assert len(alarms) == 4
    for alarm in alarms:
        assert alarm.inputs["period"] == 60
        assert alarm.inputs["statistic"] == "Maximum"
        assert alarm.inputs["treatMissingData"] == "ignore"
        assert "extendedStatistic" not in alarm.inputs
        assert "metricQueries" not in alarm.inputs


def test_failover_records_are_aliases_that_do_not_look_at_targets(link: Declaration) -> None:
    for product, domain in (("rlg-data", "data.rlg.example"), ("rlg-fans", "fans.rlg.example")):
        records = {site: link.one("route53:Record", f"{product}-{site}").inputs for site in PEER}
        assert {record["name"] for record in records.values()} == {domain}
        assert len({record["setIdentifier"] for record in records.values()}) == 2
        assert records["primary"]["failoverRoutingPolicies"] == [{"type": "PRIMARY"}]
        assert records["dr"]["failoverRoutingPolicies"] == [{"type": "SECONDARY"}]
        for record in records.values():
            (alias,) = record["aliases"]
            assert alias["evaluateTargetHealth"] is False


def test_encrypted_objects_and_delete_markers_are_replicated_and_measured(
    link: Declaration,
) -> None:
    configurations = link.of("s3:BucketReplicationConfig")
    assert len(configurations) == 4
    for configuration_ in configurations:
        assert configuration_.region == "us-east-1"
        assert configuration_.inputs["bucket"].endswith("us-east-1")
        (rule,) = configuration_.inputs["rules"]
        assert rule["status"] == "Enabled"
        assert rule["deleteMarkerReplication"] == {"status": "Enabled"}
        assert rule["sourceSelectionCriteria"] == {"sseKmsEncryptedObjects": {"status": "Enabled"}}
        destination = rule["destination"]
        assert "rlg-standby-dr" in destination["encryptionConfiguration"]["replicaKmsKeyId"]
        assert destination["metrics"]["status"] == "Enabled"


def test_a_failed_replication_is_told_at_the_end_that_replicates_whichever_that_is(
    link: Declaration, primary: Declaration, dr: Declaration
) -> None:
    topics = {of.stack: of.outputs["site"]["topic_arn"] for of in (primary, dr)}
    alarms = {
        each.name: each for each in link.of("cloudwatch:MetricAlarm") if "failed" in _name(each)
    }
    configurations = link.of("s3:BucketReplicationConfig")
    assert len(configurations) == 4
    assert len(alarms) == 8
    for configuration_ in configurations:
        (rule,) = configuration_.inputs["rules"]
        here, there = (
            configuration_.inputs["bucket"],
            rule["destination"]["bucket"].rpartition("/")[2],
        )
        back = configuration_.name.replace("-from-primary", "-from-dr")
        for name, site, ends in (
            (configuration_.name, "primary", (here, there)),
            (back, "dr", (there, here)),
        ):
            alarm = alarms[name]
            assert alarm.region == REGIONS[site]
            assert alarm.inputs["namespace"] == "AWS/S3"
            assert alarm.inputs["metricName"] == "OperationsFailedReplication"
            assert alarm.inputs["dimensions"] == {
                "SourceBucket": ends[0],
                "DestinationBucket": ends[1],
                "RuleId": rule["id"],
            }
            assert (alarm.inputs["statistic"], alarm.inputs["threshold"]) == ("Sum", 0)
            # Silence is no failure: at the end that replicates nothing, there is nothing else.
            assert alarm.inputs["treatMissingData"] == "notBreaching"
            assert alarm.inputs["alarmActions"] == [topics[site]]


def test_the_replication_role_serves_both_directions_so_that_recovery_can_turn_the_rule(
    link: Declaration,
) -> None:
    allowed: dict[str, list[str]] = {}
    for statement in statements(link, "rlg-data-files-replication"):
        for action in statement["Action"]:
            allowed.setdefault(action, []).extend(statement["Resource"])
    for action in (
        "s3:GetObjectVersionForReplication",
        "s3:ListBucket",
        "s3:ReplicateDelete",
        "s3:ReplicateObject",
    ):
        east, west = allowed[action]
        assert ("us-east-1" in east + west, "us-west-2" in east + west) == (True, True)
        assert all("rlg-data-files" in each for each in (east, west))
    for action in ("kms:Decrypt", "kms:Encrypt"):
        assert len(set(allowed[action])) == 2


def test_turning_the_link_changes_rules_and_backups_alone(
    link: Declaration, dr_active: Declaration
) -> None:
    turned = _turned(dr_active)
    directed = {"aws:s3/bucketReplicationConfig:BucketReplicationConfig"} | {
        "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication"
    }

    def others(of: Declaration) -> dict[object, object]:
        # Another provider replaces a resource, whatever its inputs say.
        return {
            each.key: (each.provider, each.inputs)
            for each in of.resources
            if each.type not in directed
        }

    assert others(link) == others(turned)
    for kind in directed:
        before, after = (
            {each.name for each in of.resources if each.type == kind} for of in (link, turned)
        )
        assert {each.replace("-from-primary", "-from-dr") for each in before} == after


def test_recovery_hands_only_the_replication_roles_to_s3_alone(link: Declaration) -> None:
    (statement,) = (
        each for each in statements(link, naming.RECOVERY_ROLE) if "iam:PassRole" in each["Action"]
    )
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}}
    patterns = [each.rpartition("/")[2] for each in statement["Resource"]]
    roles = {each.name for each in link.of("iam:Role") if each.name.endswith("-replication")}
    assert {f"{role}-*" for role in roles} == set(patterns)


def test_backups_are_replicated_under_the_key_of_the_region_that_receives_them(
    link: Declaration,
) -> None:
    replications = link.of("rds:InstanceAutomatedBackupsReplication")
    assert len(replications) == 2
    for each in replications:
        assert each.region == "us-west-2"
        assert "primary-1" in each.inputs["sourceDbInstanceArn"]
        assert "rlg-standby-dr" in each.inputs["kmsKeyId"]


def test_everything_flows_the_other_way_when_the_other_site_is_active(
    dr_active: Declaration,
) -> None:
    turned = _turned(dr_active)
    assert {each.region for each in turned.of("s3:BucketReplicationConfig")} == {"us-west-2"}
    assert {each.region for each in turned.of("rds:InstanceAutomatedBackupsReplication")} == {
        "us-east-1"
    }
    # The records stay: what is there decides by claims, not by edits.
    assert {
        each.name: each.inputs["failoverRoutingPolicies"] for each in turned.of("route53:Record")
    } == {
        f"{product}-{site}": [{"type": kind}]
        for product in ("rlg-data", "rlg-fans")
        for site, kind in (("primary", "PRIMARY"), ("dr", "SECONDARY"))
    }


def _turned(dr_active: Declaration) -> Declaration:
    """Return the link with the other site active."""
    primary = declare("primary", config={"role": "standby"}, outputs={"dr": dr_active.outputs})
    return declare(
        "link",
        config={"active": "dr"},
        outputs={"primary": primary.outputs, "dr": dr_active.outputs},
    )


def test_the_link_refuses_sites_whose_roles_disagree_with_its_configuration(
    primary: Declaration, dr: Declaration
) -> None:
    with pytest.raises(pulumi.RunError, match="active is dr, but the stack primary exports"):
        declare(
            "link",
            config={"active": "dr"},
            outputs={"primary": primary.outputs, "dr": dr.outputs},
        )


def test_both_networks_route_to_each_other(link: Declaration) -> None:
    routes: dict[str, set[str]] = {}
    for route in link.of("ec2:Route"):
        routes.setdefault(str(route.region), set()).add(route.inputs["destinationCidrBlock"])
    assert routes == {"us-east-1": {"10.20.0.0/16"}, "us-west-2": {"10.10.0.0/16"}}
    assert len(link.of("ec2:Route")) == 6


def test_recovery_may_do_exactly_what_its_code_declares(link: Declaration) -> None:
    allowed = {
        action
        for statement in statements(link, naming.RECOVERY_ROLE)
        for action in statement["Action"]
    }
    assert allowed == permissions.ACTIONS


def test_recovery_may_write_only_to_what_is_named(link: Declaration) -> None:
    for statement in statements(link, naming.RECOVERY_ROLE):
        if statement["Resource"] == ["*"]:
            verbs = {action.partition(":")[2] for action in statement["Action"]}
            assert all(verb.startswith(("Describe", "Get")) for verb in verbs - {"PutMetricData"})
            if "PutMetricData" in verbs:
                assert statement["Condition"] == {
                    "StringEquals": {"cloudwatch:namespace": naming.SWITCH_NAMESPACE}
                }


def test_hosts_may_do_exactly_what_their_guard_and_their_product_need(
    site: Declaration,
) -> None:
    policies = [each for each in site.of("iam:RolePolicy") if each.name.startswith("rlg-data-")]
    (policy,) = policies
    allowed = {
        action
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        for action in statement["Action"]
    }
    assert allowed == permissions.GUARD_ACTIONS | PRODUCT_ACTIONS
    assert "dynamodb:PutItem" not in allowed
    (told,) = [
        statement["Resource"]
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        if statement["Action"] == ["sns:Publish"]
    ]
    assert told == [f"arn:aws:sns:{REGIONS[site.stack]}:123456789012:rlg-standby-alerts"]
    assert "rlg-fans" not in policy.inputs["policy"]


def test_a_control_host_stands_in_each_site_and_ssm_alone_reaches_it(
    primary: Declaration, dr: Declaration, link: Declaration
) -> None:
    hosts = {str(each.region): each.inputs for each in link.of("ec2:Instance")}
    for of in (primary, dr):
        site = of.outputs["site"]
        host = hosts[REGIONS[of.stack]]
        assert host["subnetId"] == site["control_subnet_id"]
        assert host["vpcSecurityGroupIds"] == [site["control_group_id"]]
        assert host["subnetId"].endswith("-control-id")
        assert not [
            each
            for each in of.of("vpc:SecurityGroupIngressRule")
            if each.inputs["securityGroupId"] == site["control_group_id"]
        ]
    attached = {each.inputs["policyArn"] for each in link.of("iam:RolePolicyAttachment")}
    assert attached == {"arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"}


def test_every_name_that_recovery_computes_is_the_one_that_was_given(
    primary: Declaration, link: Declaration
) -> None:
    settings = parse(
        {
            key.removeprefix("standby:"): _value(value)
            for key, value in configuration("link", {}).items()
            if key.startswith("standby:") and key != "standby:active"
        }
    )
    found = topology.decode(documents(link)["dr"])
    for product in found.products:
        here = product.deployments["primary"]
        assert here.host_group == naming.host_group(product.name, "primary")
        assert here.secret in _names(primary.of("secretsmanager:Secret"), "name")
        assert here.file_bucket in _names(primary.of("s3:Bucket"), "bucket")
        assert here.database in _names(primary.of("rds:Instance"), "identifier")
    assert found.organisation == settings.organisation
    topic = naming.alerts_topic(settings.organisation)
    assert _names(primary.of("sns:Topic"), "name") == {topic}


def _name(declared: Declared) -> str:
    return declared.inputs["name"]


def _names(declared: list[Declared], property_: str) -> set[str]:
    return {each.inputs[property_] for each in declared}


def _value(text: str) -> object:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return text if text.isdigit() and len(text) == 12 else value


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(list(value))}
    return value
