"""Capacity that is reserved beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.rows import tags
from lab.provision.rows.row import Change, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


def _reservation(change: Change) -> Any:
    found = change.aws.describe_capacity_reservations(CapacityReservationIds=[change.id])
    return found["CapacityReservations"][0]


def _read_reservation(change: Change) -> Properties | None:
    found = _reservation(change)
    return {"arn": found["CapacityReservationArn"], "ownerId": found["OwnerId"]}


def _find_reservation(change: Change) -> str | None:
    found = change.aws.describe_capacity_reservations()["CapacityReservations"]
    wanted = change.pick("availabilityZone", "instanceType")
    return change.one(
        (
            r["CapacityReservationId"],
            wanted.items() <= r.items() and r["State"] == "active" and tags.carries(r, change),
        )
        for r in found
    )


CAPACITY_RESERVATION = Row(
    type="aws:ec2/capacityReservation:CapacityReservation",
    service="ec2",
    source="internal/service/ec2/ec2_capacity_reservation.go",
    replace=props(
        "availabilityZone ebsOptimized ephemeralStorage instanceMatchCriteria instancePlatform "
        "instanceType tenancy"
    ),
    updates=(
        update(
            "instanceCount endDate endDateType",
            lambda c: c.aws.modify_capacity_reservation(
                CapacityReservationId=c.id, **c.pick("instanceCount", "endDate", "endDateType")
            ),
        ),
        tags.EC2_TAGS,
    ),
    create=lambda c: c.aws.create_capacity_reservation(
        **c.pick(
            "availabilityZone",
            "ebsOptimized",
            "endDate",
            "endDateType",
            "instanceCount",
            "instanceMatchCriteria",
            "instancePlatform",
            "instanceType",
            "tenancy",
        ),
        **tags.specified(c, "capacity-reservation"),
        ClientToken=c.token,
    )["CapacityReservation"]["CapacityReservationId"],
    read=_read_reservation,
    delete=lambda c: c.aws.cancel_capacity_reservation(CapacityReservationId=c.id),
    find=_find_reservation,
)

ROWS = (CAPACITY_RESERVATION,)
