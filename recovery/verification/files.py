"""The files: the bucket's listing against a manifest taken while all was well, and a read-back.

`python -m recovery.verify --record` takes the manifest of the active site's bucket and leaves it
in both sites' buckets. What customers changed or deleted since is told from what is missing.
"""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recovery.cloud import objects
from recovery.cloud.objects import Object
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import answers
from recovery.verification import records
from recovery.verification.findings import Finding, failed, ok, unverified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recovery.cloud.client import Region
    from recovery.steps.case import Case

SECONDS = 20.0
"""What the listing may take."""
SAMPLE = 8
_SAMPLE_BYTES = 1024 * 1024
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object at the time of the manifest."""

    key: str
    size: int
    etag: str
    sha256: str | None = None
    """Of the objects that were read; S3's ETag is no digest of what a key of KMS encrypts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bucket held."""

    product: str
    bucket: str
    taken_at: datetime
    objects: tuple[Entry, ...]


def manifest_key(product: str) -> str:
    """Return where a site's bucket keeps the product's manifest."""
    return f"manifests/{product}.json"


def record(case: Case) -> Finding:
    """Take the manifest of the files at the case's site, and leave it in both sites' buckets."""
    bucket = case.deployment.file_bucket
    try:
        taken_at = datetime.now(UTC)
        listed = list(objects.listing(case.here, bucket))
        digests = _digests(case.here, bucket, _chosen(listed))
    except OutsideError as error:
        return failed("manifest", str(error))
    manifest = Manifest(
        product=case.product.name,
        bucket=bucket,
        taken_at=taken_at,
        objects=tuple(
            Entry(key=each.key, size=each.size, etag=each.etag, sha256=digests.get(each.key))
            for each in listed
        ),
    )
    try:
        records.keep(case, manifest_key(case.product.name), manifest)
    except OutsideError as error:
        return failed("manifest", str(error))
    return ok("manifest", f"{len(listed)} objects of {bucket}")


def files(case: Case, seconds: float = SECONDS) -> list[Finding]:
    """Compare the site's bucket with the manifest that its bucket has, and read a sample back."""
    product, bucket = case.product.name, case.deployment.file_bucket
    try:
        manifest = records.kept(case, manifest_key(product), Manifest)
    except OutsideError as error:
        return [unverified("files", f"the manifest cannot be read: {error}")]
    if manifest is None:
        said = "no manifest was ever recorded; run python -m recovery.verify --record while healthy"
        return [unverified("files", said)]
    try:
        listed, complete = _listed(case.here, bucket, seconds)
        compared = _compared(case.here, bucket, manifest, listed, complete=complete)
        return [compared, _read_back(case.here, bucket, manifest, listed)]
    except OutsideError as error:
        return [unverified("files", str(error))]


def _listed(region: Region, bucket: str, seconds: float) -> tuple[dict[str, Object], bool]:
    """Return the bucket's objects by key, and whether that is all of them."""
    end = time.monotonic() + seconds
    found: dict[str, Object] = {}
    for each in objects.listing(region, bucket):
        found[each.key] = each
        if time.monotonic() > end:
            return found, False
    return found, True


def _compared(
    region: Region,
    bucket: str,
    manifest: Manifest,
    listed: dict[str, Object],
    *,
    complete: bool,
) -> Finding:
    reached = max(listed, default="")  # a listing comes in the order of keys
    expected = [entry for entry in manifest.objects if complete or entry.key <= reached]
    absent = [entry.key for entry in expected if entry.key not in listed]
    deleted = answers([_deleted(region, bucket, key) for key in absent])
    missing = [key for key, gone in zip(absent, deleted, strict=True) if gone is not True]
    wrong = [entry.key for entry in expected if _is_wrong(entry, listed.get(entry.key), manifest)]
    age = (datetime.now(UTC) - manifest.taken_at).total_seconds()
    said = f"of {len(expected)} in the manifest of {age:,.0f} s ago"
    if missing or wrong:
        shown = ", ".join((missing + wrong)[:_SHOWN])
        return failed("files", f"{len(missing)} missing and {len(wrong)} wrong {said}: {shown}")
    gone = f", {len(absent)} deleted by customers since" if absent else ""
    said = f"none missing {said}{gone}; {len(listed)} are there"
    return ok("files", said) if complete else unverified("files", f"{said}; time ran out")


def _deleted(region: Region, bucket: str, key: str) -> Callable[[], bool]:
    return lambda: objects.deleted(region, bucket, key)


def _is_wrong(entry: Entry, found: Object | None, manifest: Manifest) -> bool:
    """Say whether an object that nobody wrote since has another size."""
    return (
        found is not None and found.size != entry.size and found.last_modified <= manifest.taken_at
    )


def _read_back(
    region: Region, bucket: str, manifest: Manifest, listed: dict[str, Object]
) -> Finding:
    """Read the objects whose digest the manifest has, unless they were written anew since."""
    known = {
        entry.key: entry.sha256
        for entry in manifest.objects
        if entry.sha256 and entry.key in listed and listed[entry.key].etag == entry.etag
    }
    if not known:
        sample = _chosen(list(listed.values()))
        _digests(region, bucket, sample)
        return ok("files read back", f"{len(sample)} of {len(listed)} could be read")
    found = _digests(region, bucket, list(known))
    if wrong := [key for key, digest in known.items() if found[key] != digest]:
        return failed("files read back", f"other bytes than recorded: {', '.join(wrong[:_SHOWN])}")
    return ok("files read back", f"{len(known)} have the bytes that were recorded")


def _chosen(listed: Sequence[Object]) -> list[str]:
    """Choose a sample of objects that are small enough to be read whole."""
    small = [each.key for each in listed if each.size <= _SAMPLE_BYTES]
    return random.sample(small, min(SAMPLE, len(small)))


def _digests(region: Region, bucket: str, keys: Sequence[str]) -> dict[str, str]:
    """Return key → SHA-256 of the objects' bytes; the first that cannot be read is raised."""
    read = answers([_reading(region, bucket, key) for key in keys])
    digests: dict[str, str] = {}
    for key, body in zip(keys, read, strict=True):
        if isinstance(body, OutsideError):
            raise body
        digests[key] = hashlib.sha256(body).hexdigest()
    return digests


def _reading(region: Region, bucket: str, key: str) -> Callable[[], bytes]:
    return lambda: objects.read(region, bucket, key)
