"""From a region to the topology: its parameter, the document it points to, and its hash.

The last good document is kept on this machine, for when the region's control planes are slow to
answer just when everybody recovers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from recovery import naming, topology
from recovery.cloud import client, objects, parameters
from recovery.cloud.client import Region
from recovery.cloud.errors import NotFoundError, RejectedError, ThrottledError, UnreachableError
from recovery.engine import state
from recovery.engine.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from recovery.topology import Site, Topology

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Where the document is, as the parameter says."""

    bucket: str
    key: str
    sha256: str


def find(region: str) -> Topology:
    """Return the topology as published in `region`.

    Where the region does not answer, the copy of the last time is used and said on standard
    error. Raise RefusedError when the region is unknown, nothing is published there, or what is
    there is malformed or not what the parameter vouches for.
    """
    try:
        document = _published(Region(region))
    except (UnreachableError, ThrottledError, RejectedError) as error:
        _refuse_unknown(region)
        document = _remembered(region, error)
        return _decoded(document, f"the copy in {_copy(region)}")
    found = _decoded(document, f"the topology in {region}")
    _remember(region, document)
    return found


def site_in(found: Topology, region: str) -> Site:
    """Return the site in the region; RefusedError where there is none."""
    site = found.site_in(region)
    if site is None:
        known = ", ".join(sorted(each.region for each in found.sites.values()))
        raise RefusedError(f"{region} is no site; the topology has {known}")
    return site


def _published(region: Region) -> bytes:
    """Return the document. A link that is being updated writes it just before the parameter."""
    pointer, document = _read(region)
    for _ in range(_ATTEMPTS - 1):
        if hashlib.sha256(document).hexdigest() == pointer.sha256:
            return document
        time.sleep(_PAUSE_SECONDS)
        pointer, document = _read(region)
    digest = hashlib.sha256(document).hexdigest()
    if digest != pointer.sha256:
        msg = (
            f"s3://{pointer.bucket}/{pointer.key} has SHA-256 {digest}, and parameter "
            f"{naming.TOPOLOGY_PARAMETER} in {region.name} vouches for {pointer.sha256}; find out "
            "who changed it, then run pulumi up of the link stack"
        )
        raise RefusedError(msg)
    return document


def _read(region: Region) -> tuple[Pointer, bytes]:
    try:
        text = parameters.read(region, naming.TOPOLOGY_PARAMETER)
    except NotFoundError as error:
        _refuse_unknown(region.name)
        msg = (
            f"there is no parameter {naming.TOPOLOGY_PARAMETER} in {region.name}; give the region "
            "of a site, or run pulumi up of the link stack"
        )
        raise RefusedError(msg) from error
    try:
        pointer = msgspec.json.decode(text, type=Pointer)
    except msgspec.DecodeError as error:
        msg = (
            f"parameter {naming.TOPOLOGY_PARAMETER} in {region.name} is no pointer to a topology "
            f"({error}); run pulumi up of the link stack"
        )
        raise RefusedError(msg) from error
    try:
        return pointer, objects.read(region, pointer.bucket, pointer.key)
    except NotFoundError as error:
        msg = (
            f"s3://{pointer.bucket}/{pointer.key}, named by {naming.TOPOLOGY_PARAMETER} in "
            f"{region.name}, does not exist; run pulumi up of the link stack"
        )
        raise RefusedError(msg) from error


def _decoded(document: bytes, what: str) -> Topology:
    try:
        return topology.decode(document)
    except topology.MalformedTopologyError as error:
        msg = f"{what} is malformed: {error}; run pulumi up of the link stack with this release"
        raise RefusedError(msg) from error


def _refuse_unknown(region: str) -> None:
    known = client.known_regions()
    if region not in known:
        near = ", ".join(sorted(name for name in known if name[:3] == region[:3])) or "us-west-2"
        msg = f"{region} is no AWS region; give one of a site, such as {near}"
        raise RefusedError(msg)


def _copy(region: str) -> Path:
    return state.folder() / "topology" / f"{region}.json"


def _remember(region: str, document: bytes) -> None:
    """Keep the document, whole or not at all; a full disk must not hold recovery up."""
    path = _copy(region)
    with contextlib.suppress(OSError):
        if path.exists() and path.read_bytes() == document:
            os.utime(path)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        try:
            fresh.write_bytes(document)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def _remembered(region: str, why: Exception) -> bytes:
    path = _copy(region)
    try:
        document = path.read_bytes()
        seen = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        raise why from None
    print(f"using the topology as of {seen:%Y-%m-%d %H:%M} UTC: {why}", file=sys.stderr)
    return document
