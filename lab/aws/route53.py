"""Route 53's records as AWS has them: batches that hold altogether, records that agree."""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from moto.route53 import models

from lab.aws.errors import RefusedError
from lab.aws.patch import wrap

if TYPE_CHECKING:
    from moto.route53.models import FakeZone, Route53Backend


def install() -> None:
    """Put the lab's changes in place of moto's."""
    wrap(models.Route53Backend, "change_resource_record_sets", _change)


def _change(
    original: Any, backend: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]
) -> None:
    """Make all changes of a batch or none."""
    zone = backend.get_hosted_zone(zoneid)
    before = list(zone.rrsets), copy.copy(zone.rr_changes)
    try:
        _check_changes(zone, change_list)
        _apply(backend, zone, change_list, original)
        _check_records(zone, backend)
    except BaseException:
        zone.rrsets, zone.rr_changes = before
        raise


def _apply(
    backend: Route53Backend, zone: FakeZone, changes: list[dict[str, Any]], original: Any
) -> None:
    """Make the changes; a DELETE takes the one record with that name, type and identifier."""
    for change in changes:
        if change["Action"] != "DELETE":
            original(backend, zone.resource_id, [change])
            continue
        wanted = _key(change["ResourceRecordSet"])
        zone.rrsets = [record for record in zone.rrsets if _key_of(record) != wanted]


def _key(record: dict[str, Any]) -> tuple[str, str, str | None]:
    return record["Name"].rstrip(".").lower(), record["Type"], record.get("SetIdentifier") or None


def _key_of(record: Any) -> tuple[str, str, str | None]:
    return record.name.rstrip(".").lower(), record.type, record.set_identifier or None


def _invalid(message: str) -> RefusedError:
    return RefusedError("InvalidChangeBatch", f"[{message}]")


def _check_changes(zone: FakeZone, changes: list[dict[str, Any]]) -> None:
    """Refuse to create what is there, and to delete what is not or is different."""
    present: dict[tuple[str, str, str | None], Any] = {
        _key_of(record): record for record in zone.rrsets
    }
    for change in changes:
        wanted = change["ResourceRecordSet"]
        key = _key(wanted)
        text = f"name='{key[0]}.', type='{key[1]}'"
        text += f", set-identifier='{key[2]}'" if key[2] else ""
        if change["Action"] == "CREATE":
            if key in present:
                msg = f"Tried to create resource record set [{text}] but it already exists"
                raise _invalid(msg)
            present[key] = None
        elif change["Action"] == "DELETE":
            found = present.pop(key, None)
            if found is None:
                msg = f"Tried to delete resource record set [{text}] but it was not found"
                raise _invalid(msg)
            values = {one["Value"] for one in wanted.get("ResourceRecords") or []}
            if values != {str(value) for value in found.records or []}:
                msg = f"Tried to delete resource record set [{text}] but the values provided "
                raise _invalid(msg + "do not match the current values")
        else:
            present[key] = present.get(key)


def _check_records(zone: FakeZone, backend: Route53Backend) -> None:
    """Refuse record sets of one name and type that contradict each other."""
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    kinds: dict[str, set[str]] = defaultdict(set)
    for record in zone.rrsets:
        if record.health_check_id and record.health_check_id not in backend.health_checks:
            msg = f"The specified health check does not exist: {record.health_check_id}"
            raise _invalid(msg)
        name, kind, _ = _key_of(record)
        groups[name, kind].append(record)
        kinds[name].add(kind)
    for (name, kind), records in groups.items():
        _check_group(f"RRSet with DNS name {name}., type {kind}", records)
    for name, found in kinds.items():
        if "CNAME" in found and len(found) > 1:
            msg = f"RRSet of type CNAME with DNS name {name}. is not permitted as other RRSets "
            raise _invalid(msg + "exist with the same name")


def _check_group(what: str, records: list[Any]) -> None:
    """Refuse records of one name and type with two policies, or twice in one role."""
    policies = {_policy(record) for record in records}
    if len(policies) > 1:
        msg = f"{what} cannot be created as other RRSets exist with the same name and type and "
        raise _invalid(msg + "another policy")
    if policies == {"failover"}:
        roles = [record.failover for record in records]
        if len(roles) != len(set(roles)):
            twice = max(roles, key=roles.count)
            msg = f"{what} cannot be created: more than one {twice} failover record"
            raise _invalid(msg)
    if len(records) > 1 and policies == {"simple"}:
        msg = f"{what} exists more than once"
        raise _invalid(msg)


def _policy(record: Any) -> str:
    if record.failover:
        return "failover"
    if record.weight is not None:
        return "weighted"
    if record.region:
        return "latency"
    if record.geo_location:
        return "geolocation"
    if record.multi_value_answer:
        return "multivalue"
    return "simple"
