"""Tells people. A message that cannot be sent is said, and never stops a recovery."""

from __future__ import annotations

from recovery.cloud import objects, topics
from recovery.cloud.client import Region
from recovery.engine.errors import OutsideError
from recovery.topology import Site


def was_told(region: Region, site: Site, message: str) -> bool:
    """Say whether the message with this id is known to have gone out."""
    try:
        return objects.exists(region, site.bucket, _key(message))
    except OutsideError:
        return False


def tell(region: Region, site: Site, message: str, subject: str, text: str) -> str | None:
    """Publish to the site's topic, once per message id; return why it failed, or None.

    A kill between publishing and remembering sends it twice, with the same id in the text, so
    that a reader can tell.
    """
    try:
        topics.publish(region, site.topic, subject, f"{text}\n\nMessage id: {message}", message)
        objects.write(region, site.bucket, _key(message), text.encode())
    except OutsideError as error:
        return str(error)
    return None


def _key(message: str) -> str:
    return f"notifications/{message}"
