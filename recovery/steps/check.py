"""Would a failover to this site be right, and would it work? `failover` and `status` ask here.

Every check runs at once. None needs an answer from the peer's region: what it says is taken
where it comes within two seconds, and its silence is a finding, never an obstacle.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace

from recovery import assignment, names, web
from recovery.assignment import Assignment
from recovery.cloud import hosts, quotas, secrets
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.parallel import Asking, answers
from recovery.steps import check_tables
from recovery.steps.case import Case
from recovery.steps.check_database import about_database
from recovery.steps.finding import Finding, refused
from recovery.steps.loss import Loss
from recovery.steps.reach import described
from recovery.verification.service import health_path


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
    other. The peer's table is not asked, fencing leaves it unsettled for good. An epoch that
    neither says is settled may have been accepted alone in its own site's table, as the answer
    to a write can get lost: `alone` says so.
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
    newest = assignment.newest(told)
    return None if newest is None else replace(newest, alone=_alone(case, newest, told))


def _alone(case: Case, newest: Assignment, told: list[Assignment]) -> str:
    same = [each for each in told if (each.site, each.epoch) == (newest.site, newest.epoch)]
    if said := next((each.alone for each in same if each.alone), ""):
        return said
    if any(each.settled for each in same):
        return ""
    return case.topology.sites[newest.site].region


def assess(case: Case) -> Assessment:
    """Run every check against the world as it is now."""
    with Asking() as asking:
        asked_standing = asking.ask(lambda: standing(case))
        asked_health = asking.ask(lambda: first_unhealthy(case))
        asked_database = asking.ask(lambda: described(case))
        asked_tables = asking.ask(lambda: check_tables.ask(case))
        others = {
            "capacity": asking.ask(lambda: capacity(case)),
            "secrets": asking.ask(lambda: credentials(case)),
        }
        now_active, unhealthy = asked_standing.result(), asked_health.result()
        assigned = _assigned(case, now_active)
        findings = [assigned, _serving(case, unhealthy, meant=assigned.verdict == "ok")]
        judged, loss = about_database(
            case, asked_database.result(), now_active, healthy_now=unhealthy is None
        )
        findings += judged
        findings += check_tables.about_tables(case, now_active, asked_tables.result())
        for check, asked in others.items():
            answer = asked.result()
            failed = isinstance(answer, OutsideError)
            findings.append(refused(check, str(answer)) if failed else answer)
    return Assessment(
        findings=tuple(findings),
        standing=None if isinstance(now_active, OutsideError) else now_active,
        loss=loss,
    )


class CannotTellError(OutsideError):
    """Whether customers are served cannot be seen from here: the fault may be this machine's."""


def first_unhealthy(case: Case, at: tuple[str, ...] = ()) -> str | None:
    """Return None if every service answers its customers, else the first that does not.

    `at`: a balancer's addresses, in place of those that the product's name leads to.
    Raise CannotTellError where this machine's own resolver or authority may be at fault.
    """
    for service in case.product.services:
        try:
            answer = web.get(
                case.product.domain,
                case.topology.https_port,
                health_path(service),
                resolver=case.resolver,
                addresses=at,
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
        return refused("assignment", str(now_active))
    region = case.peer.region
    if now_active is None:
        return refused(
            "assignment",
            f"no site is assigned to {case.product.name}; once the products serve, run "
            f"python -m recovery.assign --region {region} --initial",
        )
    said = f"{now_active.site} is active in epoch {now_active.epoch}"
    if now_active.site == case.site.name and now_active.settled:
        return refused(
            "assignment",
            f"{case.site.region} is already active for {case.product.name} "
            f"(epoch {now_active.epoch}); recovery.verify looks at it again, and to leave it, "
            f"fail over to {region}",
        )
    return Finding(check="assignment", verdict="ok", text=said)


def _serving(case: Case, unhealthy: str | OutsideError | None, *, meant: bool) -> Finding:
    """Judge whether customers are served; only a move that is `meant` could interrupt them."""
    if isinstance(unhealthy, OutsideError):
        said = f"cannot tell whether customers are served: {unhealthy}"
        if case.accepted.even_if_healthy:
            return Finding(check="outage", verdict="accepted", text=said)
        return refused("outage", f"{said}, or add --even-if-healthy")
    if unhealthy is not None:
        return Finding(check="outage", verdict="ok", text=f"the outage is seen here: {unhealthy}")
    said = f"{case.product.name} answers its customers"
    if not meant:
        return Finding(check="outage", verdict="ok", text=said)
    if case.accepted.even_if_healthy:
        return Finding(check="outage", verdict="accepted", text=f"{said}; meant all the same")
    return refused(
        "outage", f"{said}: this would be an outage, not the end of one; add --even-if-healthy"
    )


def capacity(case: Case) -> Finding:
    """Look whether the target's group can grow to full scale."""
    wanted, deployment = case.deployment.hosts_active, case.deployment
    group = hosts.describe(case.here, deployment.host_group)
    if group is None:
        return refused("capacity", f"there is no host group {deployment.host_group}")
    if group.maximum < wanted:
        return refused(
            "capacity",
            f"{group.name} may grow to {group.maximum} hosts; full scale is {wanted}: "
            "raise its maximum",
        )
    image = hosts.image_state(case.here, deployment.image)
    if image != "available":
        return refused(
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
            return refused(
                "capacity",
                f"{more} more hosts need {needed} vCPUs, and {used} of the quota's {quota:.0f} "
                f"are in use in {case.site.region}; ask Service Quotas for more",
            )
    return Finding(check="capacity", verdict="ok", text=f"{wanted} hosts are within reach")


def credentials(case: Case) -> Finding:
    """Read the secrets that the target needs; raise an OutsideError where one cannot be read."""
    for name in (case.deployment.secret, case.deployment.probe_secret):
        secrets.read_json(case.here, name)
    return Finding(check="secrets", verdict="ok", text=f"readable in {case.site.region}")
