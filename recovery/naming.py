"""Names that the Pulumi programs give and recovery finds again, in one place for both.

A name is computed, never looked up, so that either side works while the other is dark and no
order of creation is needed. Lengths: a load balancer's or target group's name holds 32
characters, a bucket's 63, a database identifier's 63 (AWS service quotas).
"""

CONTROL_HASH_KEY = "key"
"""Hash key (a string) of the control tables."""

TOPOLOGY_PARAMETER = "/standby/topology"
"""SSM parameter, in both sites' regions: JSON with bucket, key and sha256 of the topology."""

TOPOLOGY_KEY = "topology.json"

SWITCH_NAMESPACE = "Standby"
CLAIM_METRIC = "TrafficClaim"
"""1: the site of the dimension `Site` takes the product's traffic away from its peer; else 0.

Published in the region of that site. The alarm on it there feeds the health check of the
*peer's* failover record.
"""

UNCLAIMED_SITE = "primary"
"""The site whose failover record answers where neither site claims the traffic, or both do."""

HEALTHY_METRIC = "HealthyAt"
"""Unix time at which the product was last seen healthy; published in the peer's region."""

RECOVERY_ROLE = "standby-recovery"


def switch_dimensions(product: str, site: str) -> dict[str, str]:
    """Return the dimensions of the claim and healthy metrics."""
    return {"Product": product, "Site": site}


def switch_alarm(product: str, site: str) -> str:
    """Return the name of the alarm, in the region of `site`, on its traffic claim."""
    return f"{product}-{site}-traffic-claim"


def control_table(organisation: str) -> str:
    """Return the control table's name, the same in the three regions."""
    return f"{organisation}-standby-control"


def site_bucket(organisation: str, account: str, region: str) -> str:
    """Return the bucket of a site that holds topology, journals and recovery points."""
    return f"{organisation}-standby-{account}-{region}"


def file_bucket(product: str, account: str, region: str) -> str:
    """Return the bucket of a product's files in a region."""
    return f"{product}-files-{account}-{region}"


def frontend_bucket(product: str, account: str, region: str) -> str:
    """Return the bucket of a product's built frontend in a region."""
    return f"{product}-frontend-{account}-{region}"


def database_id(product: str, site: str, generation: int) -> str:
    """Return the RDS identifier; the generation grows because an old primary never rejoins."""
    return f"{product}-{site}-{generation}"


def snapshot_id(database: str, epoch: int) -> str:
    """Return the identifier of the snapshot taken when `database` became active in `epoch`."""
    return f"{database}-active-{epoch}"


def kept_snapshot_id(database: str, epoch: int) -> str:
    """Return the identifier of the snapshot that keeps what `database` held before `epoch`."""
    return f"{database}-kept-{epoch}"


def isolated_id(database: str, epoch: int) -> str:
    """Return what a database is called once it is put aside, having lost its role in `epoch`."""
    return f"{database}-old-{epoch}"


REPLICATED = ("files", "frontend")
"""What S3 replicates of a product, beside its database."""


def bucket_replication(product: str, kind: str) -> str:
    """Return the name, in the link's stack, of what replicates a kind of objects either way."""
    return f"{product}-{kind}"


def replication_from(product: str, kind: str, site: str) -> str:
    """Return the name, in the link's stack, of the rules of the bucket at `site`."""
    return f"{product}-{kind}-from-{site}"


def backups_from(product: str, site: str) -> str:
    """Return the name, in the link's stack, of the replication of the backups made at `site`."""
    return f"{product}-backups-from-{site}"


def database_secret(product: str) -> str:
    """Return the name of the secret with the database's username and password (JSON)."""
    return f"{product}/database"


def probe_secret(product: str) -> str:
    """Return the name of the secret with the probe user's username and password (JSON)."""
    return f"{product}/probe"


def host_group(product: str, site: str) -> str:
    """Return the Auto Scaling group's name."""
    return f"{product}-{site}"


def load_balancer(product: str, site: str) -> str:
    """Return the balancer's name."""
    return f"{product}-{site}"


def target_group(product: str, site: str, service: str) -> str:
    """Return a service's target group's name."""
    return f"{product}-{site}-{service}"


def alerts_topic(organisation: str) -> str:
    """Return the name of the SNS topic, in each site, that tells people."""
    return f"{organisation}-standby-alerts"


def assignment_item(product: str) -> str:
    """Return the key of the active assignment in the control tables."""
    return f"assignment#{product}"


def execution_item(product: str) -> str:
    """Return the key of the execution lease in the control tables."""
    return f"execution#{product}"


def recovery_point_key(product: str, epoch: int) -> str:
    """Return the key, in the standby's site bucket, of the recovery point of a failover."""
    return f"recovery-points/{product}/{epoch}.json"


def ledger_key(product: str, epoch: int, name: str) -> str:
    """Return the key, in the active's site bucket, of a file of an epoch's loss ledger."""
    return f"loss-ledgers/{product}/{epoch}/{name}"


def protection_key(product: str, epoch: int) -> str:
    """Return the key, in both sites' buckets, of what restored the protection in an epoch."""
    return f"protections/{product}/{epoch}.json"


REPLICATION_PROBE = ".standby/replication-probe"
"""Key, in a product's file bucket, of the object whose arrival shows that files replicate."""

JOURNALS = "journals/"
"""Begins the keys of journals."""


def journal_key(execution: str) -> str:
    """Return the key, in the standby's site bucket, of an execution's journal."""
    return f"{JOURNALS}{execution}.jsonl"


def approval_key(execution: str, product: str, step: str) -> str:
    """Return the key, in the standby's site bucket, of a person's go for a step."""
    return f"approvals/{execution}/{product}/{step}"
