"""A product's buckets at both sites, and what lies in either."""

from __future__ import annotations

from collections.abc import Iterator

from recovery.cloud.objects import Object
from recovery.steps.case import Case


def bucket_pairs(case: Case) -> tuple[tuple[str, str], ...]:
    """Return the case's bucket and its peer's, for the files and for the frontend."""
    ours, theirs = case.deployment, case.peer_deployment
    return (
        (ours.file_bucket, theirs.file_bucket),
        (ours.frontend_bucket, theirs.frontend_bucket),
    )


def paired(
    ours: Iterator[Object], theirs: Iterator[Object]
) -> Iterator[tuple[Object | None, Object | None]]:
    """Yield what each listing has under a key, key by key; S3 lists in the order of UTF-8."""
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.key < other.key):
            yield one, None
            one = next(ours, None)
        elif one is None or other.key < one.key:
            yield None, other
            other = next(theirs, None)
        else:
            yield one, other
            one, other = next(ours, None), next(theirs, None)
