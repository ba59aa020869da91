"""The role under which recovery runs, and exactly what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra import access, replication
from infra.hosts import SSM_POLICY
from recovery import naming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.settings import Settings


class RecoveryRole(pulumi.ComponentResource):
    """The role under which recovery runs, with the actions that recovery's code declares.

    A control host takes it by itself; an operator who runs recovery from elsewhere assumes it,
    where IAM of the account lets them.
    """

    profile: pulumi.Output[str]

    def __init__(
        self,
        settings: Settings,
        key_arns: pulumi.Input[Sequence[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        name = naming.RECOVERY_ROLE
        super().__init__("standby:infra:RecoveryRole", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(name, name=name, assume_role_policy=_trust(settings.account), opts=own)
        aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=SSM_POLICY, opts=own)
        aws.iam.RolePolicy(
            name,
            role=role.name,
            policy=pulumi.Output.from_input(key_arns).apply(
                lambda keys: recovery_policy(settings, keys)
            ),
            opts=own,
        )
        self.profile = aws.iam.InstanceProfile(name, name=name, role=role.name, opts=own).name
        self.register_outputs({"profile": self.profile})


def _trust(account: str) -> str:
    return access.document(
        *(
            {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
            for principal in (
                {"Service": "ec2.amazonaws.com"},
                {"AWS": f"arn:aws:iam::{account}:root"},
            )
        )
    )


def recovery_policy(settings: Settings, key_arns: Sequence[str]) -> str:
    """Return what recovery may do, at both sites and the witness, and nothing beyond."""
    arns = _Arns(settings)
    return access.document(*_looks(), *_acts(arns), *_keeps(arns, key_arns))


def _looks() -> list[access.Statement]:
    """Allow reads that IAM cannot narrow or that say what is missing, and the claim."""
    return [
        access.allow(
            [
                "autoscaling:DescribeAutoScalingGroups",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:GetMetricStatistics",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeNetworkAcls",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeTargetHealth",
                "rds:DescribeDBInstanceAutomatedBackups",
                "rds:DescribeDBInstances",
                "rds:DescribeDBSnapshots",
                "servicequotas:GetServiceQuota",
            ],
            ["*"],
        ),
        access.allow(
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": naming.SWITCH_NAMESPACE}},
        ),
    ]


def _acts(arns: _Arns) -> list[access.Statement]:
    """Allow what promotes, scales and refuses."""
    databases = arns.of_products("rds", "db:{name}-*")
    snapshots = arns.of_products("rds", "snapshot:{name}-*")
    group = "autoScalingGroup:*:autoScalingGroupName/{name}"
    balancing = "elasticloadbalancing"
    return [
        access.allow(["rds:PromoteReadReplica"], databases),
        access.allow(["rds:CreateDBSnapshot"], [*databases, *snapshots]),
        access.allow(["rds:ModifyDBInstance", "rds:AddTagsToResource"], databases),
        access.allow(
            ["rds:CreateDBInstanceReadReplica"],
            [
                *databases,
                *arns.of_products("rds", "subgrp:{name}-*"),
                *arns.of_products("rds", "pg:{name}-*"),
                *arns.of_sites("rds", "og:default*"),
            ],
        ),
        access.allow(
            ["autoscaling:UpdateAutoScalingGroup"], arns.of_products("autoscaling", group)
        ),
        access.allow(
            [
                "ec2:CreateNetworkAclEntry",
                "ec2:DeleteNetworkAclEntry",
                "ec2:ReplaceNetworkAclEntry",
            ],
            arns.of_sites("ec2", "network-acl/*"),
            {"StringEquals": {"aws:ResourceTag/Name": arns.host_acls()}},
        ),
        access.allow(
            ["elasticloadbalancing:ModifyListener"],
            arns.of_products(balancing, "listener/app/{name}/*"),
        ),
        access.allow(
            ["elasticloadbalancing:ModifyRule"],
            arns.of_products(balancing, "listener-rule/app/{name}/*"),
        ),
    ]


def _keeps(arns: _Arns, key_arns: Sequence[str]) -> list[access.Statement]:
    """Allow leases, journals, the topology, secrets and messages."""
    sites, files = arns.site_buckets(), arns.file_buckets()
    topic = naming.alerts_topic(arns.settings.organisation)
    return [
        access.allow(["dynamodb:GetItem", "dynamodb:PutItem"], arns.tables()),
        access.allow(["s3:ListBucket"], [*sites, *files]),
        access.allow(["s3:GetObject"], [f"{bucket}/*" for bucket in (*sites, *files)]),
        access.allow(["s3:PutObject"], [f"{bucket}/*" for bucket in (*sites, *files)]),
        access.allow(
            ["s3:GetObjectTagging", "s3:PutObjectTagging"], [f"{bucket}/*" for bucket in files]
        ),
        access.allow(
            [
                "s3:GetEncryptionConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:PutReplicationConfiguration",
            ],
            files,
        ),
        access.allow(
            ["iam:PassRole"],
            arns.replication_roles(),
            {"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}},
        ),
        access.allow(["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"], key_arns),
        access.allow(
            ["kms:CreateGrant"], key_arns, {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        ),
        access.allow(["secretsmanager:GetSecretValue"], arns.secrets()),
        access.allow(
            ["ssm:GetParameter"], arns.of_sites("ssm", f"parameter{naming.TOPOLOGY_PARAMETER}")
        ),
        access.allow(["sns:Publish"], arns.of_sites("sns", topic)),
    ]


@dataclass(frozen=True, slots=True)
class _Arns:
    settings: Settings

    def of_sites(self, service: str, resource: str) -> list[str]:
        account = self.settings.account
        return [
            f"arn:aws:{service}:{site.region}:{account}:{resource}"
            for site in self.settings.sites.values()
        ]

    def of_products(self, service: str, resource: str) -> list[str]:
        """Return ARNs of what is named after product and site, as all such names begin alike."""
        return [
            f"arn:aws:{service}:{site.region}:{self.settings.account}:"
            + resource.format(name=naming.host_group(product.name, site.name))
            for site in self.settings.sites.values()
            for product in self.settings.products
        ]

    def host_acls(self) -> list[str]:
        """Return the names of the network ACLs that hosts are behind; AWS gives their ids."""
        return [f"{self.settings.organisation}-{site}-private" for site in self.settings.sites]

    def tables(self) -> list[str]:
        table = naming.control_table(self.settings.organisation)
        regions = [site.region for site in self.settings.sites.values()]
        return [
            f"arn:aws:dynamodb:{region}:{self.settings.account}:table/{table}"
            for region in (*regions, self.settings.witness_region)
        ]

    def site_buckets(self) -> list[str]:
        settings = self.settings
        return [
            "arn:aws:s3:::"
            + naming.site_bucket(settings.organisation, settings.account, site.region)
            for site in settings.sites.values()
        ]

    def file_buckets(self) -> list[str]:
        """Return the buckets of products: their files, and their frontend."""
        return [
            "arn:aws:s3:::" + bucket(product.name, self.settings.account, site.region)
            for site in self.settings.sites.values()
            for product in self.settings.products
            for bucket in (naming.file_bucket, naming.frontend_bucket)
        ]

    def replication_roles(self) -> list[str]:
        """Return the roles under which S3 replicates; AWS adds a random ending to their names."""
        roles = f"arn:aws:iam::{self.settings.account}:role"
        return [
            f"{roles}/{replication.role_name(product.name, kind)}-*"
            for product in self.settings.products
            for kind in naming.REPLICATED
        ]

    def secrets(self) -> list[str]:
        return [
            arn
            for product in self.settings.products
            for name in (naming.database_secret(product.name), naming.probe_secret(product.name))
            for arn in self.of_sites("secretsmanager", f"secret:{name}-??????")
        ]
