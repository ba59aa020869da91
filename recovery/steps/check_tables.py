"""What the control tables mean for a takeover: can one writer be proven, is no epoch newer."""

from __future__ import annotations

from recovery import assignment
from recovery.assignment import Assignment
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.parallel import answers
from recovery.steps.case import PEER_SECONDS, Case
from recovery.steps.finding import Finding, refused

Answer = Assignment | OutsideError | None


def ask(case: Case) -> tuple[Answer, Answer]:
    """Ask the peer's table and the witness's once, and for an attempt's time only."""
    theirs, third = answers([lambda: _peers(case), lambda: _witness(case)], seconds=PEER_SECONDS)
    return theirs, third


def about_tables(
    case: Case, now: Answer, answered: tuple[Answer, Answer] | OutsideError
) -> list[Finding]:
    """Judge what the peer's table and the witness's say, beside `now`, the newest known here.

    Silence of the peer is what is to be expected; with the witness silent too, nothing can prove
    that the old site stops.
    """
    if isinstance(answered, OutsideError):
        return [refused("tables", str(answered))]
    theirs, third = answered
    peer = _about_peer(case, now, theirs, is_witnessed=isinstance(third, Assignment))
    if not isinstance(third, OutsideError):
        said = f"{case.topology.witness.region} answers"
        return [peer, Finding(check="witness", verdict="ok", text=said)]
    said = f"no answer from the witness: {third}"
    if not isinstance(theirs, OutsideError):
        return [peer, Finding(check="witness", verdict="unknown", text=said)]
    said = f"one of three control tables answers, which cannot prove one writer ({said})"
    if case.accepted.split_brain is not None:
        said = f"{said}; accepted by {case.accepted.split_brain}"
        return [peer, Finding(check="witness", verdict="accepted", text=said)]
    return [
        peer,
        refused(
            "witness",
            f"{said}; see that {case.peer.region} is off, then add "
            "--accept-split-brain 'NAME: reason'",
        ),
    ]


def confirm_newest(case: Case, now: Assignment) -> None:
    """Raise RefusedError where the unfinished epoch of this site is not the newest any more.

    Only the peer's table may tell what happened since. It is asked once; its silence changes
    nothing.
    """
    theirs, third = ask(case)
    finding = _about_peer(case, now, theirs, is_witnessed=isinstance(third, Assignment))
    if finding.verdict == "refused":
        raise RefusedError(finding.text)


def _about_peer(case: Case, now: Answer, theirs: Answer, *, is_witnessed: bool) -> Finding:
    if isinstance(theirs, OutsideError):
        said = f"no answer from the peer: {theirs}"
        return Finding(check="peer", verdict="unknown", text=said)
    if theirs and isinstance(now, Assignment):
        said = _overtaken(case, now, theirs, is_witnessed=is_witnessed)
        if said:
            return refused("peer", said)
    said = f"{case.peer.region} answers" + (f", epoch {theirs.epoch}" if theirs else "")
    return Finding(check="peer", verdict="ok", text=said)


def _overtaken(
    case: Case, now: Assignment, theirs: Assignment, *, is_witnessed: bool
) -> str | None:
    """Say why no epoch may follow from `now`: the peer's table names a newer one, or a rival."""
    if theirs.epoch < now.epoch or (theirs.epoch, theirs.site) == (now.epoch, now.site):
        return None
    if theirs.epoch == now.epoch and is_witnessed:
        return None  # whoever has the witness's table has two of three
    peer, here = case.peer.region, case.site.region
    if theirs.epoch == now.epoch:
        return (
            f"epoch {now.epoch} is {now.site}'s here and {theirs.site}'s in {peer} (by "
            f"{theirs.execution}); an epoch has one site: run this again when the witness answers"
        )
    return (
        f"the table in {peer} gives epoch {theirs.epoch} to {theirs.site} (by {theirs.execution}), "
        f"and {here} knows of epoch {now.epoch} at most; no site is taken over by an older epoch: "
        f"run python -m recovery.assign --region {here} --complete, then this again"
    )


def _peers(case: Case) -> Assignment | None:
    return assignment.read(case.there, case.peer.control_table, case.product.name)


def _witness(case: Case) -> Assignment | None:
    witness = case.topology.witness
    return assignment.read(case.witness, witness.control_table, case.product.name)
