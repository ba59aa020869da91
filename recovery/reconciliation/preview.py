"""What Pulumi says it would change, read strictly and judged.

`pulumi preview --json` prints a digest of steps (pkg/display/json.go of pulumi/pulumi): resources
that stay the same are left out of it, but for the stack itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from recovery.engine.errors import OutsideError
from recovery.reconciliation.checkpoint import STACK, name_of
from recovery.reconciliation.operations import BACKUPS, INSTANCE

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
_UNCHANGED = {"same", "read", "refresh"}
_KNOWN = _UNCHANGED | {
    "create",
    "create-replacement",
    "delete",
    "delete-replaced",
    "discard",
    "discard-replaced",
    "import",
    "import-replacement",
    "read-discard",
    "read-replacement",
    "remove-pending-replace",
    "replace",
    "update",
}
"""pulumi/pulumi, pkg/resource/deploy/step.go."""


class UnreadablePreviewError(OutsideError):
    """The command printed no preview, or one with errors in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One resource that an update would change."""

    op: str
    type: str
    name: str
    properties: tuple[str, ...]

    @property
    def left(self) -> str | None:
        """Why recovery leaves this change to the stack; None: it is nothing that recovery left."""
        rules = [
            each for each in LEFT_TO_THE_STACKS if (each.op, each.type) == (self.op, self.type)
        ]
        if self.op == "create":
            return next((rule.why for rule in rules), None)
        applying = [rule for rule in rules if rule.properties & set(self.properties)]
        explained = {name for rule in applying for name in rule.properties}
        if not applying or not set(self.properties) <= explained:
            return None
        return "; ".join(rule.why for rule in applying)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A change that recovery does not make itself."""

    op: str
    type: str
    properties: frozenset[str]
    why: str


LEFT_TO_THE_STACKS = (
    Left(
        op="update",
        type=INSTANCE,
        properties=frozenset({"multiAz"}),
        why="a second zone loads a writer while RDS copies it, and a replica needs none",
    ),
    Left(
        op="update",
        type=INSTANCE,
        properties=frozenset({"backupWindow", "maintenanceWindow"}),
        why="RDS chooses the windows of a new replica",
    ),
    Left(
        op="update",
        type=INSTANCE,
        properties=frozenset({"passwordWoVersion"}),
        why="the password that its secret holds is given to it once more",
    ),
    Left(
        op="update",
        type=ALARM,
        properties=frozenset({"treatMissingData"}),
        why="only a replica has a lag whose silence is an alarm",
    ),
    Left(
        op="create",
        type=BACKUPS,
        properties=frozenset(),
        why="backups of the new active are not copied to the other region yet",
    ),
)
"""All that an update may still do after recovery; whatever else a preview shows is drift."""


def parse(text: str, stack: str) -> tuple[Change, ...]:
    """Return the changes in a preview; UnreadablePreviewError where it does not say them."""
    try:
        digest = msgspec.json.decode(text, type=_Digest)
    except msgspec.DecodeError as error:
        raise UnreadablePreviewError(
            f"what the preview of stack {stack} printed is no JSON of Pulumi's: {error}"
        ) from error
    errors = [each.message.strip() for each in digest.diagnostics if each.severity == "error"]
    if errors:
        raise UnreadablePreviewError(f"the preview of stack {stack} failed: {'; '.join(errors)}")
    if digest.summary is None:
        raise UnreadablePreviewError(
            f"the preview of stack {stack} has no changeSummary: it was broken off"
        )
    for step in digest.steps:
        if step.op not in _KNOWN:
            raise UnreadablePreviewError(
                f"the preview of stack {stack} has a step {step.op!r} for {step.urn}, which this "
                "program does not know; read the preview yourself"
            )
    changes = tuple(_changes(digest.steps))
    counted = sum(n for op, n in digest.summary.items() if op not in _UNCHANGED)
    if counted and not changes:
        raise UnreadablePreviewError(
            f"the preview of stack {stack} counts {counted} changes and shows none of them"
        )
    return changes


class _Diagnostic(msgspec.Struct):
    message: str = ""
    severity: str = ""


class _Step(msgspec.Struct):
    op: str
    urn: str
    diffs: tuple[str, ...] | None = msgspec.field(name="diffReasons", default=None)
    replaces: tuple[str, ...] | None = msgspec.field(name="replaceReasons", default=None)
    detail: dict[str, Any] | None = msgspec.field(name="detailedDiff", default=None)


class _Digest(msgspec.Struct):
    summary: dict[str, int] | None = msgspec.field(name="changeSummary", default=None)
    steps: tuple[_Step, ...] = ()
    diagnostics: tuple[_Diagnostic, ...] = ()


_HEAD = re.compile(r"[^.\[]+")


def _changes(steps: Iterable[_Step]) -> Iterable[Change]:
    for step in steps:
        kind = step.urn.split("::")[2].rpartition("$")[2]
        if step.op in _UNCHANGED or kind == STACK:
            continue
        touched = {*(step.detail or ()), *(step.diffs or ()), *(step.replaces or ())}
        heads = {found.group() for each in touched if (found := _HEAD.match(each))}
        yield Change(
            op=step.op,
            type=kind,
            name=name_of(step.urn),
            properties=tuple(sorted(heads)) if step.op != "create" else (),
        )
