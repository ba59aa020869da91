"""What SNS has sent, in order, from all regions: the evidence that people were told."""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

import time
from typing import Any

from moto.sns import models

_sent: list[dict[str, Any]] = []


def install() -> None:
    """Note every message that a topic publishes."""
    topic: Any = models.Topic
    publish = topic.publish

    def note(self: Any, message: str, subject: str | None = None, *rest: Any, **named: Any) -> str:
        subscriptions, _ = self.sns_backend.list_subscriptions_by_topic(topic_arn=self.arn)
        number = publish(self, message, subject, *rest, **named)
        _sent.append(
            {
                "at": time.time(),
                "id": number,
                "region": self.sns_backend.region_name,
                "topic": self.arn,
                "subject": subject,
                "message": message,
                "to": [
                    {"protocol": one.protocol, "endpoint": one.endpoint} for one in subscriptions
                ],
            }
        )
        return number

    topic.publish = note


def messages() -> list[dict[str, Any]]:
    """Return every message, the oldest first."""
    return list(_sent)
