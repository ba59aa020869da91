"""Encryption keys and their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.rows.row import Change, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


# KMS key


def _kms_tags(change: Change) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in sorted(change.tags.items())]


def _tag_key(change: Change) -> None:
    if change.tags_removed:
        change.aws.untag_resource(KeyId=change.id, TagKeys=change.tags_removed)
    if change.tags:
        change.aws.tag_resource(KeyId=change.id, Tags=_kms_tags(change))


def _create_key(change: Change) -> str:
    return change.aws.create_key(
        **change.pick("description", "policy", "keyUsage", "multiRegion"),
        **({"Tags": _kms_tags(change)} if change.tags else {}),
    )["KeyMetadata"]["KeyId"]


def _rotate(change: Change) -> None:
    if change.new.get("enableKeyRotation"):
        change.aws.enable_key_rotation(KeyId=change.id)
    else:
        change.aws.disable_key_rotation(KeyId=change.id)


def _read_key(change: Change) -> Properties | None:
    found = change.aws.describe_key(KeyId=change.id)["KeyMetadata"]
    return {
        "arn": found["Arn"],
        "keyId": found["KeyId"],
        "description": found["Description"],
        "multiRegion": found.get("MultiRegion", False),
        "policy": change.aws.get_key_policy(KeyId=change.id, PolicyName="default")["Policy"],
        "rotationPeriodInDays": 365,
    }


def _find_key(change: Change) -> str | None:
    """Return the key of the same description and tags; keys have no name."""
    pages = change.aws.get_paginator("list_keys").paginate()
    ids = [key["KeyId"] for page in pages for key in page["Keys"]]
    return change.one((id_, id_ not in change.taken and _alike(change.of(id_))) for id_ in ids)


def _alike(change: Change) -> bool:
    found = change.aws.describe_key(KeyId=change.id)["KeyMetadata"]
    if found["KeyState"] != "Enabled" or found["Description"] != change.new.get("description", ""):
        return False
    held = change.aws.list_resource_tags(KeyId=change.id)["Tags"]
    return change.tags.items() <= {tag["TagKey"]: tag["TagValue"] for tag in held}.items()


KEY = Row(
    type="aws:kms/key:Key",
    service="kms",
    source="internal/service/kms/key.go",
    replace=props("customKeyStoreId customerMasterKeySpec keyUsage multiRegion"),
    local=props("bypassPolicyLockoutSafetyCheck deletionWindowInDays"),
    updates=(
        update(
            "description",
            lambda c: c.aws.update_key_description(
                KeyId=c.id, Description=c.new.get("description", "")
            ),
        ),
        update(
            "policy",
            lambda c: c.aws.put_key_policy(
                KeyId=c.id, PolicyName="default", Policy=c.new["policy"]
            ),
        ),
        update("enableKeyRotation", _rotate, at_creation=True),
        update("tags", _tag_key),
    ),
    create=_create_key,
    read=_read_key,
    delete=lambda c: c.aws.schedule_key_deletion(
        KeyId=c.id, PendingWindowInDays=c.new.get("deletionWindowInDays", 30)
    ),
    find=_find_key,
    json=props("policy"),
)


def _create_alias(change: Change) -> str:
    change.aws.create_alias(AliasName=change.new["name"], **change.pick("targetKeyId"))
    return change.new["name"]


def _alias(change: Change) -> Any:
    pages = change.aws.get_paginator("list_aliases").paginate()
    found = (alias for page in pages for alias in page["Aliases"])
    return next((a for a in found if a["AliasName"] == change.new["name"]), None)


def _read_alias(change: Change) -> Properties | None:
    found = _alias(change)
    key = found and change.aws.describe_key(KeyId=found["TargetKeyId"])["KeyMetadata"]
    return found and {"arn": found["AliasArn"], "targetKeyArn": key["Arn"]}


ALIAS = Row(
    type="aws:kms/alias:Alias",
    service="kms",
    source="internal/service/kms/alias.go",
    replace=props("name"),
    updates=(
        update(
            "targetKeyId",
            lambda c: c.aws.update_alias(AliasName=c.id, TargetKeyId=c.new["targetKeyId"]),
        ),
    ),
    create=_create_alias,
    read=_read_alias,
    delete=lambda c: c.aws.delete_alias(AliasName=c.id),
    find=lambda c: c.new["name"] if _alias(c) else None,
)

ROWS = (KEY, ALIAS)
