"""The IAM actions that recovery needs, collected from where they are used.

The policies of the recovery role and of the hosts are tested against these sets.
"""

from recovery.cloud import (
    backups,
    balancers,
    call,
    databases,
    hosts,
    identity,
    metrics,
    network,
    objects,
    parameters,
    quotas,
    replication,
    secrets,
    tables,
    topics,
)

MODULES = (
    identity,
    parameters,
    objects,
    replication,
    databases,
    backups,
    hosts,
    balancers,
    network,
    quotas,
    tables,
    metrics,
    secrets,
    topics,
)

ACTIONS: frozenset[str] = call.declared()
"""Everything that recovery may do; nothing in it writes to IAM or Route 53."""

GUARD_ACTIONS: frozenset[str] = frozenset(
    {
        "cloudwatch:PutMetricData",
        "dynamodb:GetItem",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "s3:GetObject",
        "secretsmanager:GetSecretValue",
        "sns:Publish",
        "ssm:GetParameter",
    }
)
"""What the guard on each host needs: it reads the assignment and never writes it."""
