"""Would a switchover work, with no outage behind it to excuse a loss? Both sites must be well.

Asked before anything is changed, and again by a run that goes on with a switchover: then customers
are not served any more, and only what is still needed is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from recovery import assignment
from recovery.assign import shown
from recovery.assignment import Assignment
from recovery.cloud import databases
from recovery.cloud.databases import Database
from recovery.database import gate, postgres
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import Asking
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
VERB = "switchover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Asks about one switchover."""

    going: Takeover

    def assess(self, case: Case) -> Assessment:
        """Run every check against the world as it is now."""
        if case.product.engine != "postgres":
            return _only(refused("engine", _no_engine(case)))
        with Asking() as asking:
            asked = {
                "assignment": asking.ask(lambda: _assigned(case, self.going)),
                "replica": asking.ask(lambda: _replica(case, resumes=self.going.resumes)),
                "source": asking.ask(lambda: _source(case)),
                "capacity": asking.ask(lambda: check.capacity(case)),
                "secrets": asking.ask(lambda: check.credentials(case)),
            }
            if not self.going.resumes:
                asked["service"] = asking.ask(lambda: _served(case))
            answers = {name: future.result() for name, future in asked.items()}
        return Assessment(
            findings=tuple(
                refused(name, str(answer)) if isinstance(answer, OutsideError) else answer
                for name, answer in answers.items()
            ),
            standing=None,
            loss=None,
        )


def _only(finding: Finding) -> Assessment:
    return Assessment(findings=(finding,), standing=None, loss=None)


def _no_engine(case: Case) -> str:
    return (
        f"{case.product.name} runs on {case.product.engine}, and a switchover can close only "
        "postgres yet; stop the product's writes by hand, see that the replica has them all, then "
        "run recovery.failover with --even-if-healthy"
    )


def _assigned(case: Case, going: Takeover) -> Finding:
    """Judge who is active: settled at the peer, or on the way here by an earlier switchover."""
    found = shown(case)
    for answer in found.values():
        if isinstance(answer, OutsideError):
            return refused("assignment", f"a switchover needs all three control tables: {answer}")
    now = assignment.newest(each for each in found.values() if isinstance(each, Assignment))
    region = case.site.region
    if now is None:
        return refused(
            "assignment",
            f"no site is assigned to {case.product.name}; once the products serve, run "
            f"python -m recovery.assign --region {case.peer.region} --initial",
        )
    said = f"{now.site} is active in epoch {now.epoch}"
    if going.resumes and going.begun.startswith(f"{VERB}-"):
        return Finding(check="assignment", verdict="ok", text=f"goes on: {said}")
    begun = now.execution.partition("-")[0]
    if going.resumes:
        return refused(
            "assignment",
            f"{going.begun} began to move {case.product.name} to {region}: go on with "
            f"python -m recovery.{begun} --region {region}",
        )
    if now.site == case.site.name:
        return refused(
            "assignment",
            f"{region} is already active for {case.product.name} (epoch {now.epoch}); "
            "recovery.verify looks at it again",
        )
    settled = any(
        isinstance(each, Assignment) and (each.epoch, each.settled) == (now.epoch, True)
        for each in found.values()
    )
    if not settled:
        return refused(
            "assignment",
            f"{said}, and {now.execution} has not settled it; end that first: "
            f"python -m recovery.{begun} --region {case.peer.region}",
        )
    return Finding(check="assignment", verdict="ok", text=said)


def _served(case: Case) -> Finding:
    if unhealthy := check.first_unhealthy(case):
        return refused(
            "service",
            f"{unhealthy}; a switchover moves what works: mend it first, or in an outage run "
            f"python -m recovery.failover --region {case.site.region}",
        )
    text = f"{case.product.name} answers its customers"
    return Finding(check="service", verdict="ok", text=text)


def _replica(case: Case, *, resumes: bool) -> Finding:
    """Judge the database that is to be promoted, and how far it is behind."""
    name, database = case.deployment.database, described(case)
    if database is None:
        return refused("replica", f"there is no database {name} in {case.site.region}; reprotect")
    if resumes and database.status in PROMOTING:
        said = f"{name} is {database.status}: a promotion under way must end first"
        return Finding(check="replica", verdict="wait", text=said)
    if database.source is None:
        return refused("replica", f"{name} replicates nothing; make a new replica: reprotect")
    if unready := _unready(database):
        return unready
    seen = ask(case, database, postgres.replication, maintenance=True)
    if isinstance(seen, Unseen):
        return refused("replica", f"{name} cannot be asked ({seen.why}); use a control host")
    if not seen.streaming:
        return refused("replica", f"{name} does not stream; repair the replica first")
    if resumes:  # no heartbeat comes through a closed gate; catch-up waits by the log itself
        return Finding(check="replica", verdict="ok", text=f"{name} streams")
    behind = predict(case, database, healthy_now=True)
    if behind.seconds is None:
        return refused("replica", behind.text)
    if behind.seconds > LAG_SECONDS:
        return refused(
            "replica",
            f"{name} is {behind.seconds:.1f} s behind, and customers would wait as long; run again "
            f"when it is less than {LAG_SECONDS:.0f} s",
        )
    text = f"{name} streams, {behind.seconds:.1f} s behind"
    return Finding(check="replica", verdict="ok", text=text)


def _source(case: Case) -> Finding:
    """Judge the database that is to be closed."""
    name, database = case.peer_deployment.database, old_site.database(case)
    if database is None:
        return refused("source", f"there is no database {name} in {case.peer.region}")
    if database.source is not None:
        return refused("source", f"{name} is a replica; the active site's database should write")
    if unready := _unready(database):
        return unready
    wanted = case.peer_deployment.database_name
    allowed = ask(case, database, lambda session: gate.may_close(session, wanted), maintenance=True)
    if isinstance(allowed, Unseen):
        return refused(
            "source",
            f"{name} cannot be asked ({allowed.why}); run on the control host in "
            f"{case.site.region}, with the peering up",
        )
    if not allowed:
        return refused(
            "source",
            f"the product's user may not close {wanted} at {name}: make it the owner of the "
            "database, and a member of pg_signal_backend and pg_read_all_stats",
        )
    return Finding(check="source", verdict="ok", text=f"{name} is available and can be closed")


def _unready(database: Database) -> Finding | None:
    """Return what holds it up, on either side, that RDS is not done with the instance."""
    if database.status == databases.AVAILABLE:
        return None
    said = f"{database.id} is {database.status}"
    if database.status == databases.BACKING_UP:
        return Finding(check="backup", verdict="wait", text=f"{said}: a switchover must wait")
    return refused("database", f"{said}; a switchover begins from {databases.AVAILABLE}")
