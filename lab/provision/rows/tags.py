"""Tags, in the shapes that AWS's services give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.rows.row import Change, Update, update

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.provision.values import Properties


def listed(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as most services take them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def given(change: Change) -> Properties:
    """Return the parameter `Tags` of a creation; nothing where there are none."""
    return {"Tags": listed(change.tags)} if change.tags else {}


def specified(change: Change, *kinds: str) -> Properties:
    """Return EC2's parameter `TagSpecifications`."""
    if not change.tags:
        return {}
    tags = listed(change.tags)
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in kinds]}


def carries(found: Any, change: Change) -> bool:
    """Return whether what EC2 describes carries every declared tag."""
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    return change.tags.items() <= tags.items()


def _ec2(change: Change) -> None:
    if change.tags_removed:
        removed = [{"Key": key} for key in change.tags_removed]
        change.aws.delete_tags(Resources=[change.id], Tags=removed)
    if change.tags:
        change.aws.create_tags(Resources=[change.id], Tags=listed(change.tags))


EC2_TAGS = update("tags", _ec2)


def tagging(
    target: Callable[[Change], Properties],
    *,
    tag: str = "tag_resource",
    untag: str = "untag_resource",
    at_creation: bool = False,
) -> Update:
    """Return the update of tags for a service with one operation to add and one to remove."""

    def apply(change: Change) -> None:
        if change.tags_removed:
            getattr(change.aws, untag)(**target(change), TagKeys=change.tags_removed)
        if change.tags:
            getattr(change.aws, tag)(**target(change), Tags=listed(change.tags))

    return update("tags", apply, at_creation=at_creation)
