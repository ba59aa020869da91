"""Secrets with their versions, and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import existing
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


# Secret


def _secret(change: Change, id_: str) -> Any:
    return existing(lambda: change.aws.describe_secret(SecretId=id_))


def _replicas(change: Change) -> list[Properties]:
    return [change_replica(replica) for replica in change.new.get("replicas", [])]


def change_replica(replica: Properties) -> Properties:
    """Return a replica as AWS takes it."""
    key = {"KmsKeyId": replica["kmsKeyId"]} if "kmsKeyId" in replica else {}
    return {"Region": replica["region"], **key}


def _create_secret(change: Change) -> str:
    overwrite = change.new.get("forceOverwriteReplicaSecret", False)
    replicas = _replicas(change)
    return change.aws.create_secret(
        ClientRequestToken=change.token,
        **change.pick("name", "description", "kmsKeyId"),
        **({"AddReplicaRegions": replicas} if replicas else {}),
        **({"ForceOverwriteReplicaSecret": overwrite} if replicas else {}),
        **tags.given(change),
    )["ARN"]


def _replicate(change: Change) -> None:
    held = {r["Region"] for r in _secret(change, change.id).get("ReplicationStatus", [])}
    wanted = _replicas(change)
    gone = sorted(held - {replica["Region"] for replica in wanted})
    if gone:
        change.aws.remove_regions_from_replication(SecretId=change.id, RemoveReplicaRegions=gone)
    if added := [replica for replica in wanted if replica["Region"] not in held]:
        change.aws.replicate_secret_to_regions(
            SecretId=change.id,
            AddReplicaRegions=added,
            ForceOverwriteReplicaSecret=change.new.get("forceOverwriteReplicaSecret", False),
        )


def _set_secret_policy(change: Change) -> None:
    if "policy" in change.new:
        change.aws.put_resource_policy(SecretId=change.id, ResourcePolicy=change.new["policy"])
    else:
        change.aws.delete_resource_policy(SecretId=change.id)


def _delete_secret(change: Change) -> None:
    """Delete the secret; its replicas must go first."""
    held = [r["Region"] for r in _secret(change, change.id).get("ReplicationStatus", [])]
    if held:
        change.aws.remove_regions_from_replication(SecretId=change.id, RemoveReplicaRegions=held)
    days = change.new.get("recoveryWindowInDays", 30)
    how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    change.aws.delete_secret(SecretId=change.id, **how)


def _find_secret(change: Change) -> str | None:
    found = _secret(change, change.new["name"])
    return found["ARN"] if found and "DeletedDate" not in found else None


SECRET = Row(
    type="aws:secretsmanager/secret:Secret",
    service="secretsmanager",
    source="internal/service/secretsmanager/secret.go",
    replace=props("name"),
    local=props("forceOverwriteReplicaSecret recoveryWindowInDays"),
    updates=(
        update(
            "description kmsKeyId",
            lambda c: c.aws.update_secret(SecretId=c.id, **c.pick("description", "kmsKeyId")),
        ),
        update("policy", _set_secret_policy, at_creation=True),
        update("replicas", _replicate),
        tags.tagging(lambda c: {"SecretId": c.id}),
    ),
    create=_create_secret,
    read=lambda c: {"arn": c.id, "policy": c.new.get("policy", "")},
    delete=_delete_secret,
    find=_find_secret,
    naming=Naming(property="name", limit=512),
    json=props("policy"),
)


def _value(change: Change) -> Properties:
    """Return the value from whichever property gives it; the write-only one is never kept."""
    for name in ("secretStringWo", "secretString"):
        if name in change.new:
            return {"SecretString": change.new[name]}
    return change.pick("secretBinary")


def _put_value(change: Change) -> str:
    # A token of this version: the same one with another value is refused.
    version = str(change.new.get("secretStringWoVersion", 0))
    stages = {"VersionStages": change.new["versionStages"]} if "versionStages" in change.new else {}
    made = change.aws.put_secret_value(
        SecretId=change.new["secretId"],
        ClientRequestToken=f"{change.token[:28]}{version:0>4}",
        **_value(change),
        **stages,
    )
    return f"{change.new['secretId']}|{made['VersionId']}"


def _current(change: Change) -> str | None:
    found = _secret(change, change.new["secretId"])
    versions: dict[str, list[str]] = found.get("VersionIdsToStages", {}) if found else {}
    return next((v for v, stages in versions.items() if "AWSCURRENT" in stages), None)


def _read_version(change: Change) -> Properties | None:
    version = _current(change)
    if version is None:
        return None
    return {
        "arn": change.new["secretId"],
        "secretArn": change.new["secretId"],
        "versionId": version,
        "versionStages": ["AWSCURRENT"],
        "hasSecretStringWo": "secretStringWoVersion" in change.new,
    }


def _find_version(change: Change) -> str | None:
    version = _current(change)
    return f"{change.new['secretId']}|{version}" if version else None


SECRET_VERSION = Row(
    type="aws:secretsmanager/secretVersion:SecretVersion",
    service="secretsmanager",
    source="internal/service/secretsmanager/secret_version.go",
    # A value given in the open replaces the version; a write-only one, by its version, too.
    replace=props("secretBinary secretId secretString secretStringWoVersion"),
    updates=(update("versionStages", _put_value),),
    create=_put_value,
    read=_read_version,
    # A version loses its stages and fades with its secret.
    delete=lambda _c: None,
    find=_find_version,
)


# SSM parameter


def _parameter_value(change: Change) -> str:
    names = ("valueWo", "value", "insecureValue")
    return next(change.new[name] for name in names if name in change.new)


def _put_parameter(change: Change, *, overwrite: bool) -> str:
    change.aws.put_parameter(
        Name=change.new["name"],
        Value=_parameter_value(change),
        Overwrite=overwrite,
        **change.pick("type", "description", "tier", "keyId", "allowedPattern", "dataType"),
        # SSM takes tags only where it does not overwrite.
        **({} if overwrite else tags.given(change)),
    )
    return change.new["name"]


def _parameter(change: Change) -> Any:
    found = change.aws.get_parameters(Names=[change.new["name"]], WithDecryption=False)
    return next(iter(found["Parameters"]), None)


def _read_parameter(change: Change) -> Properties | None:
    found = _parameter(change)
    in_the_open = found and found["Type"] != "SecureString" and "valueWo" not in change.new
    return found and {
        "arn": found["ARN"],
        "version": found["Version"],
        "dataType": found.get("DataType", "text"),
        "tier": change.new.get("tier", "Standard"),
        "insecureValue": found["Value"] if in_the_open else None,
        "value": found["Value"] if in_the_open else None,
        "hasValueWo": "valueWoVersion" in change.new,
    }


PARAMETER = Row(
    type="aws:ssm/parameter:Parameter",
    service="ssm",
    source="internal/service/ssm/parameter.go",
    replace=props("dataType name"),
    moving=props("version"),
    local=props("overwrite"),
    updates=(
        update(
            "allowedPattern description insecureValue keyId tier type value valueWoVersion",
            lambda c: _put_parameter(c, overwrite=True),
        ),
        tags.tagging(
            lambda c: {"ResourceType": "Parameter", "ResourceId": c.id},
            tag="add_tags_to_resource",
            untag="remove_tags_from_resource",
        ),
    ),
    create=lambda c: _put_parameter(c, overwrite=c.new.get("overwrite", False)),
    read=_read_parameter,
    delete=lambda c: c.aws.delete_parameter(Name=c.id),
    find=lambda c: c.new["name"] if _parameter(c) else None,
)

ROWS = (SECRET, SECRET_VERSION, PARAMETER)
