"""Property values on the SDK's wire: protobuf structs with signatures for what JSON lacks."""

# The SDK's internals carry few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from lab.provision.values import UNKNOWN, Asset, Properties, Secret, Unknown, has_secret

# Signatures of the SDK's wire format (sdk/python/lib/pulumi/runtime/rpc.py).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_ASSET = "c44067f5952c0a294b673a41bacd8c17"


def decode(struct: Any) -> Properties:
    """Return a protobuf struct as plain values; what is null does not exist."""
    decoded = {key: _decode(value) for key, value in struct.fields.items()}
    return {key: value for key, value in decoded.items() if value is not None}


def _decode(value: Any) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            # Every number is a float on the wire; boto3 wants integers where AWS does.
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            return _decode_struct(value.struct_value)
        case _:
            return None


def _decode_struct(struct: Any) -> Any:
    signature = struct.fields[_SIGNATURE].string_value if _SIGNATURE in struct.fields else ""
    match signature:
        case "":
            return decode(struct)
        case s if s == _SECRET:
            return Secret(_decode(struct.fields["value"]))
        case s if s == _ASSET:
            fields = decode(struct)
            return Asset(text=fields.get("text"), path=fields.get("path"))
        case _:
            msg = f"a property has the wire signature {signature}, which the lab does not know"
            raise TypeError(msg)


def encode(properties: Properties) -> Any:
    """Return plain values as a protobuf struct."""
    struct = struct_pb2.Struct()
    struct.update({key: _encode(value) for key, value in properties.items()})
    return struct


def _encode(value: Any) -> Any:
    match value:
        case Unknown():
            return rpc.UNKNOWN
        case Secret():
            return {_SIGNATURE: _SECRET, "value": _encode(value.value)}
        case dict():
            return {key: _encode(item) for key, item in value.items()}
        case list() | tuple():
            return [_encode(item) for item in value]
        case _:
            return value


def with_secrets(answer: Any, given: Any) -> Any:
    """Return the answer with each input that holds a secret or an asset as it was given."""
    for key, value in given.fields.items():
        decoded = _decode(value)
        if has_secret(decoded) or isinstance(decoded, Asset):
            answer.fields[key].CopyFrom(value)
    return answer
