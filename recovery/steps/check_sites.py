"""Would a switchover work, with no outage behind it to excuse a loss? Both sites must be well.

Asked before anything is changed, and again by a run that goes on with a switchover: then customers
are not served any more, and only what is still needed is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recovery.cloud import databases
from recovery.cloud.databases import Database
from recovery.database import gate, postgres
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import answers
from recovery.steps import check, old_site
from recovery.steps.case import Case
from recovery.steps.check import Assessment
from recovery.steps.check_database import PROMOTING
from recovery.steps.finding import Finding, refused
from recovery.steps.loss import predict
from recovery.steps.reach import Unseen, ask, described
from recovery.steps.takeover import Takeover

LAG_SECONDS = 10.0
"""Customers wait for as long as the replica is behind: with more, a switchover is not begun."""


class AgainstError(OutsideError):
    """A reason against a switchover now; any other OutsideError in a check is one too."""


class NotYetError(OutsideError):
    """What holds a switchover up, and passes by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Asks about one switchover."""

    going: Takeover

    def assess(self, case: Case) -> Assessment:
        """Run every check against the world as it is now."""
        resumes = self.going.resumes
        checks: dict[str, Callable[[], str]] = {"engine": lambda: _engine(case)}
        if case.product.engine == "postgres":
            checks |= {
                "assignment": lambda: _assigned(case, self.going),
                "replica": lambda: _replica(case, resumes=resumes),
                "source": lambda: _source(case),
                "capacity": lambda: _plain(check.capacity(case)),
                "secrets": lambda: _plain(check.credentials(case)),
            }
            if not resumes:
                checks["service"] = lambda: _served(case)
        found = zip(checks, answers(list(checks.values())), strict=True)
        findings = tuple(_finding(name, answer) for name, answer in found)
        return Assessment(findings=findings, standing=None, loss=None)


def _finding(name: str, answer: str | OutsideError) -> Finding:
    if isinstance(answer, NotYetError):
        return Finding(check=name, verdict="wait", text=str(answer))
    if isinstance(answer, OutsideError):
        return refused(name, str(answer))
    return Finding(check=name, verdict="ok", text=answer)


def _plain(finding: Finding) -> str:
    if finding.verdict == "refused":
        raise AgainstError(finding.text)
    return finding.text


def _engine(case: Case) -> str:
    engine, name = case.product.engine, case.product.name
    if engine != "postgres":
        raise AgainstError(
            f"{name} runs on {engine}, and a switchover can close only postgres; stop the "
            "product's writes by hand, see that the replica has them all, then run "
            "recovery.failover with --even-if-healthy"
        )
    return f"{name} runs on {engine}"


def _assigned(case: Case, going: Takeover) -> str:
    """Judge who is active: settled at the peer, or on the way here by an earlier switchover."""
    now, _ = old_site.newest(case)
    region = case.site.region
    if now is None:
        raise AgainstError(
            f"no site is assigned to {case.product.name}; once the products serve, run "
            f"python -m recovery.assign --region {case.peer.region} --initial"
        )
    said = f"{now.site} is active in epoch {now.epoch}"
    if going.resumes:
        if old_site.is_planned(going):
            return f"goes on: {said}"
        begun = going.begun.partition("-")[0]
        raise AgainstError(
            f"{going.begun} began to move {case.product.name} to {region}: go on with "
            f"python -m recovery.{begun} --region {region}"
        )
    if now.site == case.site.name:
        raise AgainstError(
            f"{region} is already active for {case.product.name} (epoch {now.epoch}); "
            "recovery.verify looks at it again"
        )
    agreed = check.standing(case)
    if agreed is None or not agreed.settled:
        raise AgainstError(
            f"{said}, and {now.execution} has not settled it; end that first, by running the same "
            f"command to {case.peer.region} again"
        )
    return said


def _served(case: Case) -> str:
    if unhealthy := check.first_unhealthy(case):
        raise AgainstError(
            f"{unhealthy}; a switchover moves what works: mend it first, or in an outage run "
            f"python -m recovery.failover --region {case.site.region}"
        )
    return f"{case.product.name} answers its customers"


def _replica(case: Case, *, resumes: bool) -> str:
    """Judge the database that is to be promoted, and how far it is behind."""
    name, database = case.deployment.database, described(case)
    if database is None:
        raise AgainstError(f"there is no database {name} in {case.site.region}; make a replica")
    if resumes and database.status in PROMOTING:
        raise NotYetError(f"{name} is {database.status}: a promotion under way must end first")
    if database.source is None:
        raise AgainstError(f"{name} replicates nothing; make a new replica of the active database")
    _require_available(database)
    seen = ask(case, database, postgres.replication, maintenance=True)
    if isinstance(seen, Unseen):
        raise AgainstError(f"{name} cannot be asked ({seen.why}); use a control host")
    if not seen.streaming:
        raise AgainstError(f"{name} does not stream from its source; repair the replica first")
    if resumes:  # no heartbeat comes through a closed gate; catch-up waits by the log itself
        return f"{name} streams"
    behind = predict(case, database, healthy_now=True)
    if behind.seconds is None or behind.last_heartbeat is None:
        raise AgainstError(behind.text)
    if behind.seconds > LAG_SECONDS:
        raise AgainstError(
            f"{name} is {behind.seconds:.1f} s behind, and customers would wait as long; run again "
            f"when it is less than {LAG_SECONDS:.0f} s"
        )
    return f"{name} streams, {behind.seconds:.1f} s behind"


def _source(case: Case) -> str:
    """Judge the database that is to be closed."""
    name, database = case.peer_deployment.database, old_site.database(case)
    if database is None:
        raise AgainstError(f"there is no database {name} in {case.peer.region}")
    if database.source is not None:
        raise AgainstError(f"{name} is a replica; the active site's database should be a writer")
    _require_available(database)
    wanted = case.peer_deployment.database_name
    allowed = ask(case, database, lambda session: gate.may_close(session, wanted), maintenance=True)
    if isinstance(allowed, Unseen):
        raise AgainstError(
            f"{name} cannot be asked ({allowed.why}); run on the control host in "
            f"{case.site.region}, with the peering up"
        )
    if not allowed:
        raise AgainstError(
            f"the product's user may not close {wanted} at {name}: make it the owner of the "
            "database, and a member of pg_signal_backend and pg_read_all_stats"
        )
    return f"{name} is available and can be closed"


def _require_available(database: Database) -> None:
    """Raise where RDS is not done with an instance, on either side."""
    said = f"{database.id} is {database.status}"
    if database.status == databases.BACKING_UP:
        raise NotYetError(f"{said}: a switchover must wait")
    if database.status != databases.AVAILABLE:
        raise AgainstError(f"{said}; a switchover begins from {databases.AVAILABLE}")
