"""DynamoDB items: strongly consistent reads and conditional writes.

An item is a flat mapping of strings, numbers and booleans. Numbers come back as int where they
are whole, else as float.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from recovery.cloud.client import Region

Value = str | int | float | bool
Item = dict[str, Value]


@uses("dynamodb:GetItem")
def read(region: Region, table: str, key: str) -> Item | None:
    """Return the item under the hash key `key` as it is now, or None."""
    answer = region.client("dynamodb").get_item(
        TableName=table, Key={"key": {"S": key}}, ConsistentRead=True
    )
    found = answer.get("Item")
    return None if found is None else _decode(found)


@uses("dynamodb:PutItem")
def put(
    region: Region,
    table: str,
    item: Mapping[str, Value],
    *,
    condition: str | None = None,
    values: Mapping[str, Value] | None = None,
) -> None:
    """Write the whole item, if `condition` holds for the one that is there now.

    In the condition `:name` is an entry of `values`, and an attribute whose name DynamoDB reserves
    (`key`, `token`, `ttl`) is written `#name`. `attribute_not_exists(#key)`: there is none yet.
    Raise ConflictError when it does not hold. An item equal to ours that is already there is no
    conflict: it is our own write, whose answer was lost.
    """
    request: dict[str, Any] = {"TableName": table, "Item": _encode(item)}
    if condition is not None:
        request["ConditionExpression"] = condition
        if named := re.findall(r"#(\w+)", condition):
            request["ExpressionAttributeNames"] = {f"#{name}": name for name in named}
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if values:
            request["ExpressionAttributeValues"] = {
                f":{name}": value for name, value in _encode(values).items()
            }
    dynamodb = region.client("dynamodb")
    try:
        dynamodb.put_item(**request)
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        present: Any = error.response.get("Item")
        if not present or _decode(present) != dict(item):
            raise


def _encode(item: Mapping[str, Value]) -> dict[str, AttributeValueTypeDef]:
    return {name: _attribute(value) for name, value in item.items()}


def _attribute(value: Value) -> AttributeValueTypeDef:
    match value:
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(value)}
        case str():
            return {"S": value}


def _decode(attributes: Mapping[str, Mapping[str, Any]]) -> Item:
    return {name: _value(attribute) for name, attribute in attributes.items()}


def _value(attribute: Mapping[str, Any]) -> Value:
    for kind, value in attribute.items():
        if kind == "N":
            return float(value) if set(value) & set(".eE") else int(value)
        if kind in {"S", "BOOL"}:
            return value
    msg = f"attribute of kind {', '.join(attribute)} where a string, number or boolean belongs"
    raise ValueError(msg)
