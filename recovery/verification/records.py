"""What `recovery.verify --record` leaves in both sites' buckets, to compare with later."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from recovery.cloud import objects
from recovery.cloud.errors import NotFoundError, RejectedError
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import answers

if TYPE_CHECKING:
    from recovery.steps.case import Case

T = TypeVar("T")


def keep(case: Case, key: str, record: object) -> None:
    """Leave the record in the buckets of both sites; raise the first error of either."""
    document = msgspec.json.encode(record)
    written = answers(
        [
            lambda: objects.write(case.here, case.site.bucket, key, document),
            lambda: objects.write(case.there, case.peer.bucket, key, document),
        ]
    )
    for answer in written:
        if isinstance(answer, OutsideError):
            raise answer


def kept(case: Case, key: str, kind: type[T]) -> T | None:
    """Return the record in the bucket of the case's site, or None when there never was one."""
    try:
        document = objects.read(case.here, case.site.bucket, key)
    except NotFoundError:
        return None
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        place = f"s3://{case.site.bucket}/{key}: {error}"
        raise RejectedError("s3:GetObject", case.site.region, "Malformed", place) from error
