"""Secrets Manager; values are returned to be used and appear in no message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from recovery.cloud.call import uses
from recovery.cloud.errors import RejectedError

if TYPE_CHECKING:
    from recovery.cloud.client import Region


@uses("secretsmanager:GetSecretValue", "kms:Decrypt")
def read_json(region: Region, name: str) -> dict[str, str]:
    """Return the secret, a JSON object of strings; NotFoundError when there is none."""
    text = region.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        operation = "secretsmanager:GetSecretValue"
        message = f"the value of {name} is no JSON object; write it as one"
        raise RejectedError(operation, region.name, "NotJson", message) from None
    return {key: str(value) for key, value in cast("dict[str, Any]", found).items()}
