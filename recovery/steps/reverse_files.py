"""Files and frontend flow from the active site again, and what is missing there is brought."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from recovery.cloud import objects, replication
from recovery.cloud.objects import Object
from recovery.engine.errors import StepFailedError
from recovery.engine.parallel import at_once
from recovery.engine.plan import Report, Seen
from recovery.steps.both_buckets import bucket_pairs, paired
from recovery.steps.case import Case

_AT_ONCE = 16
_SHOWN = 3


def is_reversed(case: Case) -> Seen:
    """Say whether each bucket's rule leads from the active site, and none leads to it."""
    for ours, theirs in bucket_pairs(case):
        if not any(
            rule.destination == theirs and rule.enabled
            for rule in replication.rules(case.here, ours)
        ):
            return Seen(holds=False, text=f"{ours} is not replicated to {theirs}")
        if any(rule.destination == ours for rule in replication.rules(case.turned.here, theirs)):
            return Seen(holds=False, text=f"{theirs} is still replicated to {ours}")
    return Seen(holds=True, text=f"files are replicated to {case.peer.region}")


def reverse(case: Case) -> None:
    """Turn each rule round, the new one before the old one goes.

    What lies in the old bucket only is not touched: it is in the loss ledger, and nothing is ever
    deleted. The old rule goes before anything is copied, else the copies would come back.
    """
    there = case.turned.here
    for ours, theirs in bucket_pairs(case):
        here_now = replication.rules(case.here, ours)
        there_now = replication.rules(there, theirs)
        if not any(rule.destination == theirs and rule.enabled for rule in here_now):
            model = next((rule for rule in there_now if rule.destination == ours), None)
            model = model or next((rule for rule in here_now if rule.destination == theirs), None)
            if model is None:
                raise StepFailedError(
                    f"no rule replicates {theirs} to {ours}, so there is none to turn round; "
                    "run pulumi up of the link stack"
                )
            made = replication.turned(model, theirs, replication.default_key(there, theirs))
            others = tuple(rule for rule in here_now if rule.destination != theirs)
            replication.put(case.here, ours, (*others, made))
        rest = tuple(rule for rule in there_now if rule.destination != ours)
        if len(rest) < len(there_now):
            replication.put(there, theirs, rest)


def backfill(case: Case, report: Report) -> str:
    """Copy what the old bucket lacks or has in an older state; return what was done."""
    told: list[str] = []
    for ours, theirs in bucket_pairs(case):
        copied, too_large = 0, list[str]()
        for batch in _batches(_behind(case, ours, theirs)):
            small = [each.key for each in batch if each.size <= objects.COPY_LIMIT]
            too_large += [each.key for each in batch if each.size > objects.COPY_LIMIT]
            if small:
                at_once([_copying(case, ours, theirs, key) for key in small])
                copied += len(small)
        told.append(f"{copied} objects copied to {theirs}")
        if too_large:
            report.deviate(
                f"{len(too_large)} objects of {ours} are larger than one copy takes (5 GiB), such "
                f"as {', '.join(too_large[:_SHOWN])}: aws s3 cp s3://{ours}/KEY s3://{theirs}/KEY"
            )
    return ", ".join(told)


def _behind(case: Case, ours: str, theirs: str) -> Iterator[Object]:
    """Yield what is to be copied: S3 gives a replica its source's time, a copy a later one."""
    both = paired(objects.listing(case.here, ours), objects.listing(case.turned.here, theirs))
    for one, other in both:
        if one is not None and (other is None or other.last_modified < one.last_modified):
            yield one


def _copying(case: Case, ours: str, theirs: str, key: str) -> Callable[[], None]:
    return lambda: objects.copy(case.turned.here, ours, theirs, key)


def _batches(found: Iterable[Object]) -> Iterator[list[Object]]:
    rest = iter(found)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch
