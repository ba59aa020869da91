"""Would a failover to this site be right, and would it work? `failover` and `status` ask here.

Every check runs at once. None needs an answer from the peer's region: what it says is taken
where it comes within two seconds, and its silence is a finding, never an obstacle.
"""

from __future__ import annotations

import math
import ssl
from dataclasses import dataclass
from typing import Literal

from recovery import assignment, names, web
from recovery.assignment import Assignment
from recovery.cloud import databases, hosts, quotas, secrets
from recovery.cloud.databases import Database
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.parallel import Asking, answers
from recovery.steps.case import PEER_SECONDS, Case
from recovery.steps.loss import Loss, predict
from recovery.steps.reach import described
from recovery.verification.service import health_path

Verdict = Literal["ok", "accepted", "unknown", "wait", "refused"]
_PROMOTING = {"modifying", "rebooting"}
_BROKEN_REPLICATION = {"error", "stopped", "terminated", "replication stop point set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's answer. Only `refused` and `wait` hold a failover up."""

    check: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What all checks found about one product."""

    findings: tuple[Finding, ...]
    standing: Assignment | None
    loss: Loss | None

    @property
    def refusal(self) -> str | None:
        """Every reason against a failover in one line, or None."""
        reasons = [finding.text for finding in self.findings if finding.verdict == "refused"]
        return "; ".join(reasons) or None

    @property
    def waits(self) -> str | None:
        """What will pass by itself, or None."""
        waiting = [finding.text for finding in self.findings if finding.verdict == "wait"]
        return "; ".join(waiting) or None


def standing(case: Case) -> Assignment | None:
    """Return the newest assignment that the target's and the witness's tables hold.

    Of two of one epoch the unsettled one counts: a kill came between settling the one and the
    other. The peer's table is not asked, fencing leaves it unsettled for good.
    Raise RefusedError where neither answers: then nobody can say who is active.
    """
    product = case.product.name
    here, witness = answers(
        [
            lambda: assignment.read(case.here, case.site.control_table, product),
            lambda: assignment.read(case.witness, case.topology.witness.control_table, product),
        ]
    )
    if isinstance(here, OutsideError) and isinstance(witness, OutsideError):
        raise RefusedError(f"no control table answers: {here}; {witness}")
    told = sorted(
        (found for found in (here, witness) if isinstance(found, Assignment)),
        key=lambda found: found.settled,
    )
    return assignment.newest(told)


def assess(case: Case) -> Assessment:
    """Run every check against the world as it is now."""
    with Asking() as asking:
        asked_standing = asking.ask(lambda: standing(case))
        asked_health = asking.ask(lambda: first_unhealthy(case))
        asked_database = asking.ask(lambda: described(case))
        others = {
            "peer": asking.ask(lambda: _peer(case)),
            "capacity": asking.ask(lambda: _capacity(case)),
            "secrets": asking.ask(lambda: _credentials(case)),
        }
        now_active, unhealthy = asked_standing.result(), asked_health.result()
        findings = [_assigned(case, now_active), _serving(case, unhealthy)]
        about_database, loss = _about_database(
            case, asked_database.result(), now_active, healthy_now=unhealthy is None
        )
        findings += about_database
        for check, asked in others.items():
            answer = asked.result()
            failed = isinstance(answer, OutsideError)
            findings.append(_refused(check, str(answer)) if failed else answer)
    return Assessment(
        findings=tuple(findings),
        standing=None if isinstance(now_active, OutsideError) else now_active,
        loss=loss,
    )


class CannotTellError(OutsideError):
    """Whether customers are served cannot be seen from here: the fault may be this machine's."""


def first_unhealthy(case: Case) -> str | None:
    """Return None if every service answers its customers, else the first that does not.

    Raise CannotTellError where this machine's own resolver or authority may be at fault.
    """
    for service in case.product.services:
        try:
            answer = web.get(
                case.product.domain,
                case.topology.https_port,
                health_path(service),
                resolver=case.resolver,
                seconds=2.0,
            )
        except names.UnresolvedError as error:
            raise CannotTellError(f"{error}; look at --resolver") from error
        except web.UnansweredError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise CannotTellError(f"{error}; look at SSL_CERT_FILE") from error
            return f"{service.name}: {error}"
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            return f"{service.name}: HTTP {answer.status}"
    return None


def _assigned(case: Case, now_active: Assignment | OutsideError | None) -> Finding:
    if isinstance(now_active, OutsideError):
        return _refused("assignment", str(now_active))
    region = case.peer.region
    if now_active is None:
        return _refused(
            "assignment",
            f"no site is assigned to {case.product.name}; once the products serve, run "
            f"python -m recovery.assign --region {region} --initial",
        )
    said = f"{now_active.site} is active in epoch {now_active.epoch}"
    if now_active.site == case.site.name and now_active.settled:
        return _refused(
            "assignment",
            f"{case.site.region} is already active for {case.product.name} "
            f"(epoch {now_active.epoch}); recovery.verify looks at it again, and to leave it, "
            f"fail over to {region}",
        )
    return Finding(check="assignment", verdict="ok", text=said)


def _serving(case: Case, unhealthy: str | OutsideError | None) -> Finding:
    if isinstance(unhealthy, OutsideError):
        said = f"cannot tell whether customers are served: {unhealthy}"
        if case.accepted.even_if_healthy:
            return Finding(check="outage", verdict="accepted", text=said)
        return _refused("outage", f"{said}, or add --even-if-healthy")
    if unhealthy is not None:
        return Finding(check="outage", verdict="ok", text=f"the outage is seen here: {unhealthy}")
    said = f"{case.product.name} answers its customers"
    if case.accepted.even_if_healthy:
        return Finding(check="outage", verdict="accepted", text=f"{said}; meant all the same")
    return _refused(
        "outage", f"{said}: this would be an outage, not the end of one; add --even-if-healthy"
    )


def _about_database(
    case: Case,
    database: Database | OutsideError | None,
    now_active: Assignment | OutsideError | None,
    *,
    healthy_now: bool,
) -> tuple[list[Finding], Loss | None]:
    """Judge the database, and what its promotion would lose while it is a replica."""
    if isinstance(database, OutsideError):
        return [_refused("database", str(database))], None
    promoted = database is not None and database.source is None
    now = now_active if isinstance(now_active, Assignment) else None
    ours = now if now and now.site == case.site.name else None
    if ours and database and database.source and database.status in _PROMOTING:
        return [_promoting(database)], None
    if ours and (ours.settled or promoted):
        findings = [_writer(case, database)]
    else:
        findings = [_database(case, database, healthy_now=healthy_now)]
    if database is None or database.source is None:
        return findings, None
    try:
        loss = predict(case, database, healthy_now=healthy_now)
    except OutsideError as error:
        return [*findings, _refused("loss", str(error))], None
    return [*findings, _loss(case, loss)], loss


def _writer(case: Case, database: Database | None) -> Finding:
    """Look at the database of a site that is active, or has been promoted to become it."""
    name = case.deployment.database
    if database is None:
        return _refused("database", f"there is no database {name} in {case.site.region}")
    kind = "replicates nothing" if database.source is None else "is still a replica"
    return Finding(check="database", verdict="ok", text=f"{name} {kind}, {database.status}")


def _promoting(database: Database) -> Finding:
    """Wait for what an earlier execution of this failover asked RDS for, or may have."""
    said = f"{database.id} is {database.status}: a promotion under way must end first"
    return Finding(check="database", verdict="wait", text=said)


def _database(case: Case, database: Database | None, *, healthy_now: bool) -> Finding:
    name = case.deployment.database
    if database is None:
        return _refused(
            "database",
            f"there is no database {name} in {case.site.region}; provision the standby, or "
            "restore from a recovery point",
        )
    if database.source is None:
        return _refused(
            "database",
            f"{name} replicates nothing (status {database.status}) and its site is not active; "
            "a person must decide what it holds",
        )
    if database.status == databases.BACKING_UP:
        return Finding(
            check="database",
            verdict="wait",
            text=f"{name} is {databases.BACKING_UP}: promotion must wait",
        )
    if database.status != databases.AVAILABLE:
        return _refused(
            "database", f"{name} is {database.status}; RDS promotes from {databases.AVAILABLE}"
        )
    if healthy_now and database.replication in _BROKEN_REPLICATION:
        return _refused(
            "database",
            f"{name} is not replicating ({database.replication}) while its source is healthy; "
            "repair the replica first",
        )
    return Finding(
        check="database",
        verdict="ok",
        text=f"{name} is {database.status}, replication {database.replication or 'not reported'}",
    )


def _loss(case: Case, loss: Loss) -> Finding:
    rpo, accepted = float(case.product.rpo_seconds), case.accepted.data_loss_seconds
    if loss.seconds is None:
        if accepted is not None and accepted >= rpo:
            return Finding(check="loss", verdict="accepted", text=f"{loss.text}; accepted")
        return _refused(
            "loss", f"{loss.text}; rerun on a control host, or with --accept-data-loss {rpo:.0f}"
        )
    if loss.seconds <= rpo:
        return Finding(check="loss", verdict="ok", text=f"{loss.text} (RPO {rpo:.0f} s)")
    if accepted is not None and loss.seconds <= accepted:
        return Finding(
            check="loss", verdict="accepted", text=f"{loss.text}, accepted up to {accepted:.0f} s"
        )
    needed = math.ceil(loss.seconds)
    return _refused(
        "loss",
        f"predicted loss {loss.seconds:.0f} s exceeds "
        + (f"RPO {rpo:.0f} s" if accepted is None else f"the accepted {accepted:.0f} s")
        + f"; rerun with --accept-data-loss {needed}",
    )


def _capacity(case: Case) -> Finding:
    wanted, deployment = case.deployment.hosts_active, case.deployment
    group = hosts.describe(case.here, deployment.host_group)
    if group is None:
        return _refused("capacity", f"there is no host group {deployment.host_group}")
    if group.maximum < wanted:
        return _refused(
            "capacity",
            f"{group.name} may grow to {group.maximum} hosts; full scale is {wanted}: "
            "raise its maximum",
        )
    image = hosts.image_state(case.here, deployment.image)
    if image != "available":
        return _refused(
            "capacity",
            f"image {deployment.image} is {image or 'missing'} in {case.site.region}; "
            "copy it there",
        )
    return _quota(case, wanted - len(group.in_service), wanted)


def _quota(case: Case, more: int, wanted: int) -> Finding:
    if more > 0:
        needed = more * hosts.vcpus(case.here, case.deployment.instance_type)
        quota, used = quotas.vcpus(case.here), quotas.vcpus_in_use(case.here)
        if used + needed > quota:
            return _refused(
                "capacity",
                f"{more} more hosts need {needed} vCPUs, and {used} of the quota's {quota:.0f} "
                f"are in use in {case.site.region}; ask Service Quotas for more",
            )
    return Finding(check="capacity", verdict="ok", text=f"{wanted} hosts are within reach")


def _credentials(case: Case) -> Finding:
    for name in (case.deployment.secret, case.deployment.probe_secret):
        secrets.read_json(case.here, name)
    return Finding(check="secrets", verdict="ok", text=f"readable in {case.site.region}")


def _peer(case: Case) -> Finding:
    """Ask the peer once, and for its attempt's time only; its silence is a finding."""
    (theirs,) = answers(
        [lambda: assignment.read(case.there, case.peer.control_table, case.product.name)],
        seconds=PEER_SECONDS,
    )
    if isinstance(theirs, OutsideError):
        return Finding(check="peer", verdict="unknown", text=f"no answer from the peer: {theirs}")
    said = f"{case.peer.region} answers" + (f", epoch {theirs.epoch}" if theirs else "")
    return Finding(check="peer", verdict="ok", text=said)


def _refused(check: str, text: str) -> Finding:
    return Finding(check=check, verdict="refused", text=text)
