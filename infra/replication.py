"""What flows from the active site to the standby beside the database itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra import access
from recovery import naming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.region import Region

_RULE = "everything"
_PROMISE_MINUTES = 15
"""S3 replication time control knows no other time (S3 user guide)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a replication: a bucket, the key of its region, and who is told there."""

    site: str
    region: Region
    bucket: pulumi.Input[str]
    arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    topic_arn: pulumi.Input[str]


class BucketReplication(pulumi.ComponentResource):
    """New objects and delete markers of the source reach the destination, under its key.

    An object that could not be copied is told to the topic of the source's site: S3 never tries
    it again. Objects that were there before the rule need a batch job; see README.

    Only the rules know a direction. `recovery.reprotect` turns them round, and then the link finds
    everything else as it was: the role serves both directions, its name and its provider tell none
    (another provider would replace it), and each end has its alarm, as where nothing is replicated
    nothing fails. The rules of one end and the other are two resources, as they are in two regions.
    """

    def __init__(
        self,
        name: str,
        product: str,
        kind: str,
        *,
        source: End,
        destination: End,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("standby:infra:BucketReplication", name, None, opts)
        role_of = role_name(product, kind)
        own = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(role_of, assume_role_policy=access.trust("s3.amazonaws.com"), opts=own)
        policy = aws.iam.RolePolicy(
            role_of,
            role=role.name,
            policy=pulumi.Output.all(
                source.arn, source.key_arn, destination.arn, destination.key_arn
            ).apply(lambda arns: replication_policy(source, destination, arns)),
            opts=own,
        )
        aws.s3.BucketReplicationConfig(
            naming.replication_from(product, kind, source.site),
            role=role.arn,
            bucket=source.bucket,
            rules=[_rule(destination)],
            opts=pulumi.ResourceOptions(
                parent=self, provider=source.region.provider, depends_on=[policy]
            ),
        )
        for one, other in ((source, destination), (destination, source)):
            _failure_alarm(naming.replication_from(product, kind, one.site), one, other, self)
        self.register_outputs({})


def _failure_alarm(name: str, source: End, destination: End, parent: pulumi.Resource) -> None:
    """Tell of failures; not of their end, as an object that failed stays behind."""
    aws.cloudwatch.MetricAlarm(
        name,
        name=f"{name}-failed",
        alarm_description=f"{name}: objects were not replicated; copy them with an S3 batch job",
        # Published in the source's region, and only when something is replicated (S3 User Guide,
        # using S3 Replication metrics).
        namespace="AWS/S3",
        metric_name="OperationsFailedReplication",
        dimensions={
            "SourceBucket": source.bucket,
            "DestinationBucket": destination.bucket,
            "RuleId": _RULE,
        },
        statistic="Sum",
        comparison_operator="GreaterThanThreshold",
        threshold=0,
        period=300,
        evaluation_periods=1,
        treat_missing_data="notBreaching",
        alarm_actions=[source.topic_arn],
        opts=pulumi.ResourceOptions(parent=parent, provider=source.region.provider),
    )


def _rule(destination: End) -> aws.s3.BucketReplicationConfigRuleArgsDict:
    return {
        "id": _RULE,
        "status": "Enabled",
        "priority": 1,
        "filter": {"prefix": ""},
        "delete_marker_replication": {"status": "Enabled"},
        # Without it S3 skips objects that are encrypted with a KMS key, which all of ours are.
        "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
        "destination": {
            "bucket": destination.arn,
            "storage_class": "STANDARD",
            "encryption_configuration": {"replica_kms_key_id": destination.key_arn},
            "replication_time": {"status": "Enabled", "time": {"minutes": _PROMISE_MINUTES}},
            "metrics": {"status": "Enabled", "event_threshold": {"minutes": _PROMISE_MINUTES}},
        },
    }


def role_name(product: str, kind: str) -> str:
    """Return how the name of the role begins that replicates these buckets of a product."""
    return f"{product}-{kind}-replication"


def replication_policy(source: End, destination: End, arns: Sequence[str]) -> str:
    """Return what S3 may do, given bucket and key of the source, then of the destination.

    It may do it in both directions; whose turn it is, the buckets' rules say.
    """
    one, other = list(arns[:2]), list(arns[2:])
    ways = [(source, destination, one + other), (destination, source, other + one)]
    # In one order whichever is active: turning the link leaves the document as it is.
    ways.sort(key=lambda way: way[0].region.name)
    return access.document(*(statement for way in ways for statement in _one_way(*way)))


def _one_way(source: End, destination: End, arns: Sequence[str]) -> list[access.Statement]:
    source_arn, source_key, destination_arn, destination_key = arns
    return [
        access.allow(["s3:GetReplicationConfiguration", "s3:ListBucket"], [source_arn]),
        access.allow(
            [
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
            ],
            [f"{source_arn}/*"],
        ),
        access.allow(
            ["s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"],
            [f"{destination_arn}/*"],
        ),
        access.allow(["kms:Decrypt"], [source_key], _via_s3(source.region)),
        access.allow(
            ["kms:Encrypt", "kms:GenerateDataKey"], [destination_key], _via_s3(destination.region)
        ),
    ]


def _via_s3(region: Region) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"kms:ViaService": f"s3.{region.name}.amazonaws.com"}}
