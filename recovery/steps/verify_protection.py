"""Is the product protected: do rows and files arrive, and could the standby take over."""

from __future__ import annotations

from dataclasses import replace

from recovery import naming
from recovery.assignment import Assignment
from recovery.cloud import objects, secrets
from recovery.cloud.errors import NotFoundError
from recovery.database import heartbeat
from recovery.database.heartbeat import Heartbeat
from recovery.engine import wait
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import answers
from recovery.steps import check, new_replica, reach
from recovery.steps.case import Case
from recovery.steps.finding import Finding, refused
from recovery.steps.old_database import look
from recovery.steps.reach import Unseen

BEAT_SECONDS = 60.0
FILE_SECONDS = 900.0
"""S3 promises 15 minutes with replication time control (S3 user guide)."""


def verify(case: Case, standing: Assignment) -> list[Finding]:
    """Return a finding for each proof; each that is not `ok` is something to look at."""
    questions = {
        "replica": lambda: _replica(case, standing),
        "heartbeat": lambda: _heartbeat(case, standing),
        "files": lambda: _files(case),
        "secrets": lambda: _secrets(case),
        "failover": lambda: _failover(case),
    }
    found = answers(list(questions.values()))
    return [
        refused(check, str(answer)) if isinstance(answer, OutsideError) else answer
        for check, answer in zip(questions, found, strict=True)
    ]


def _replica(case: Case, standing: Assignment) -> Finding:
    seen = new_replica.is_streaming(case, standing.epoch)
    return Finding(check="replica", verdict="ok" if seen.holds else "refused", text=seen.text)


def _heartbeat(case: Case, standing: Assignment) -> Finding:
    """See a heartbeat of this epoch arrive that is newer than the first one seen."""
    replica = look(case, standing.epoch).replica
    if replica is None:
        return refused("heartbeat", "there is no replica to look for it")
    first: Heartbeat | None = None

    def arrived() -> Finding | None:
        nonlocal first
        beat = reach.ask(case.turned, replica, heartbeat.read)
        if isinstance(beat, Unseen):
            return refused("heartbeat", f"the replica cannot be asked: {beat.why}")
        if beat is None or (beat.site, beat.epoch) != (case.site.name, standing.epoch):
            return None
        if first is None:
            first = beat
        if beat.beats == first.beats:
            return None
        text = f"{beat.site}'s heartbeats arrive, the last of {beat.at:%H:%M:%S} UTC"
        return Finding(check="heartbeat", verdict="ok", text=text)

    found = wait.until(arrived, seconds=BEAT_SECONDS)
    return found or refused(
        "heartbeat", f"no new heartbeat of {case.site.name} arrived within {BEAT_SECONDS:.0f} s"
    )


def _files(case: Case) -> Finding:
    """Write the probe object, always the same one, and see it arrive."""
    key, body = naming.REPLICATION_PROBE, case.execution.encode()
    ours, theirs = case.deployment.file_bucket, case.peer_deployment.file_bucket
    objects.write(case.here, ours, key, body)

    def arrived() -> bool | None:
        try:
            return objects.read(case.turned.here, theirs, key) == body or None
        except NotFoundError:
            return None

    if wait.until(arrived, seconds=FILE_SECONDS):
        return Finding(check="files", verdict="ok", text=f"a new object of {ours} arrives")
    return refused("files", f"{key} of {ours} did not reach {theirs} in {FILE_SECONDS:.0f} s")


def _secrets(case: Case) -> Finding:
    """Compare what both sites would sign in with; whose secret is the origin does not matter."""
    for name in (case.deployment.secret, case.deployment.probe_secret):
        ours, theirs = (secrets.read_json(region, name) for region in (case.here, case.turned.here))
        if ours != theirs:
            return refused(
                "secrets",
                f"{name} is not the same in {case.peer.region} as in {case.site.region}: see its "
                "replication in Secrets Manager",
            )
    return Finding(check="secrets", verdict="ok", text="both sites have the same")


def _failover(case: Case) -> Finding:
    """Ask what a failover back would be told, by its own checks."""
    back = case.turned
    meant = replace(back, accepted=replace(back.accepted, even_if_healthy=True))
    assessed = check.assess(meant)
    against = assessed.refusal or assessed.waits
    if against:
        return refused("failover", f"to {case.peer.region} it would be refused: {against}")
    loss = assessed.loss.text if assessed.loss else "nothing known of its loss"
    return Finding(
        check="failover", verdict="ok", text=f"to {case.peer.region} it would be accepted, {loss}"
    )
