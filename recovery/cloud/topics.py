"""SNS topics: how people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from recovery.cloud.client import Region

SUBJECT_CHARACTERS = 100
"""SNS takes subjects of up to 100 printable ASCII characters (its API reference)."""


@uses("sns:Publish", "kms:GenerateDataKey", "kms:Decrypt")
def publish(region: Region, topic: str, subject: str, text: str, identity: str) -> None:
    """Send the text to everybody who subscribed to the topic (an ARN).

    `identity` travels as the attribute `id`, so that a receiver can drop what comes twice.
    """
    printable = "".join(char if char.isascii() and char.isprintable() else "?" for char in subject)
    region.client("sns").publish(
        TopicArn=topic,
        Subject=printable[:SUBJECT_CHARACTERS],
        Message=text,
        MessageAttributes={"id": {"DataType": "String", "StringValue": identity}},
    )
