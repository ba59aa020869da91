"""The lab's report judges a failover by the customers' ledger and the record of calls."""

import pytest

from lab import ledger, report, screen
from lab.ledger import Write


def call(**given):
    return report.Call(
        **{
            "n": 1,
            "at": 0.0,
            "caller": "LABOPERATOR",
            "agent": "step#shop/promote-database",
            "region": "us-west-2",
            "service": "rds",
            "action": "PromoteReadReplica",
            "outcome": "200",
            "seconds": 0.1,
            **given,
        }
    )


def wait(at, lab_seconds, *, operation="rds:promote", aws_seconds=240.0, resource="shop-dr-1"):
    return report.Wait(
        at=at,
        operation=operation,
        resource=resource,
        region="us-west-2",
        lab_seconds=lab_seconds,
        aws_seconds=aws_seconds,
        source="a user guide",
    )


def view(
    times,
    *,
    present=None,
    waited=(),
    speed=100.0,
    last_heartbeat: float | None = 10.0,
    until: float | None = None,
    move: report.Move | None = None,
) -> report.View:
    made = [
        Write(id=f"w{n}", at=at, site="old" if at < 12 else "new") for n, at in enumerate(times)
    ]
    has = [write.id for write in made] if present is None else present
    over = times[-1] if until is None else until
    seen = ledger.experience("shop", made, failed=0, misread=0, until=over, present=has)
    return report.view(
        seen,
        killed_at=10.0,
        waited=waited,
        speed=speed,
        last_heartbeat=last_heartbeat,
        predicted_loss=0.5,
        move=move,
    )


def moved(closed_at: float | None = 10.0):
    return report.Move(left="old", closed_at=closed_at)


def test_calls_are_counted_by_step_and_region():
    made = [
        call(agent="step#shop/check-standby"),
        call(agent="step#club/check-standby", region="us-east-2"),
        call(agent="step#shop/check-standby", region="us-east-1", outcome="hang"),
        call(agent="step#shop/scale-out"),
    ]
    check, scale = report.calls_by_step(made, "us-east-1")
    assert check.by_region == {"us-west-2": 1, "us-east-2": 1, "us-east-1": 1}
    assert (check.to_dead, check.dead_answered) == (1, 0)
    assert (scale.step, scale.to_dead) == ("scale-out", 0)


def test_a_call_that_the_dead_region_answered_is_told_apart():
    (step,) = report.calls_by_step([call(region="us-east-1")], "us-east-1")
    assert (step.to_dead, step.dead_answered) == (1, 1)


@pytest.mark.parametrize("service", ["route53", "iam", "sts"])
def test_a_global_control_plane_dies_with_its_region(service):
    assert report.touches(call(service=service, region="aws-global"), "us-east-1")
    assert not report.touches(call(service=service, region="aws-global"), "us-west-2")


def test_a_regional_endpoint_elsewhere_is_not_the_dead_region():
    assert not report.touches(call(service="sts", region="us-west-2"), "us-east-1")


def test_customers_who_lost_nothing_have_no_complaint():
    seen = view([9.0, 9.9, 14.0])
    assert seen.complaints == ()
    assert (seen.outage, seen.back_after) == (pytest.approx(4.1), pytest.approx(4.0))


def test_a_loss_after_the_recovery_point_was_foreseen():
    assert view([9.0, 9.9, 14.0], present=["w0", "w2"], last_heartbeat=9.5).complaints == ()


def test_a_loss_before_the_recovery_point_is_a_complaint_that_names_it():
    (said,) = view([9.0, 9.9, 14.0], present=["w1", "w2"], last_heartbeat=9.5).complaints
    assert said.endswith("the first w0")


def test_a_loss_that_nobody_predicted_is_a_complaint():
    (said,) = view([9.0, 9.9, 14.0], present=["w0", "w2"], last_heartbeat=None).complaints
    assert said == "1 acknowledged writes are lost, and recovery predicted none"


def test_customers_who_never_came_back_are_a_complaint_and_not_back():
    seen = view([9.0, 9.9], until=40.0)
    assert seen.complaints == ("no write was acknowledged after the outage",)
    assert (seen.outage, seen.back_after) == (pytest.approx(30.1), None)


def test_a_planned_move_may_lose_nothing_however_late_the_write():
    lost = view([9.0, 9.9, 14.0], present=["w0", "w2"], last_heartbeat=9.5, move=moved())
    assert lost.complaints == (
        "1 acknowledged writes are lost in a planned move, the first w1 of old",
    )
    assert view([9.0, 9.9, 14.0], last_heartbeat=None, move=moved()).complaints == ()


def test_a_write_that_the_old_site_takes_after_its_database_was_closed_is_a_complaint():
    (said,) = view([9.0, 11.5, 14.0], move=moved()).complaints
    assert said == "old acknowledged a write 1.5 s after its database was closed"
    assert view([9.0, 10.9, 14.0], move=moved()).complaints == ()
    assert view([9.0, 11.5], move=moved(closed_at=None)).complaints == ()


def test_durations_of_aws_stretch_only_the_time_in_which_they_were_waited_for():
    seen = view([9.0, 10.0, 14.0], waited=[wait(10.5, 2.4), wait(11.0, 1.0)])
    assert seen.aws_outage == pytest.approx(4.0 + 2.4 * 99)


def test_waits_outside_the_outage_or_of_another_product_do_not_count():
    waited = [wait(2.0, 2.0), wait(15.0, 2.0), wait(11.0, 1.0, resource="club-dr-1")]
    seen = view([9.0, 10.0, 14.0], waited=waited)
    assert (seen.waited, seen.aws_outage) == ((), pytest.approx(4.0))


def test_at_speed_zero_the_longest_duration_of_each_operation_counts():
    waited = [wait(11.0, 0.0), wait(11.0, 0.0, operation="ec2:launch", aws_seconds=45.0)]
    assert view([9.0, 10.0, 14.0], waited=waited, speed=0).aws_outage == pytest.approx(4 + 285)


def test_a_story_with_complaints_did_not_succeed():
    def story(**given):
        base = {
            "killed": "us-east-1",
            "killed_at": 10.0,
            "recovery_began": 10.5,
            "recovery_exit": 0,
            "recovery_seconds": 1.0,
            "speed": 0.0,
            "views": (view([9.0, 14.0]),),
            "calls": (),
            "protection": {},
        }
        return report.Story(**base | given)

    assert story().succeeded
    assert not story(recovery_exit=6).succeeded
    assert not story(views=(view([9.0, 14.0], present=["w1"]),)).succeeded


def test_the_report_shows_every_figure_apart(capsys):
    screen.show(
        report.Story(
            killed="us-east-1",
            killed_at=10.0,
            recovery_began=10.5,
            recovery_exit=0,
            recovery_seconds=1.0,
            speed=100.0,
            views=(view([9.0, 10.0, 14.0], waited=[wait(10.5, 2.4)]),),
            calls=report.calls_by_step([call()], "us-east-1"),
            protection={},
        )
    )
    said = capsys.readouterr().out
    assert "4.0 s measured at 100 times AWS's pace; modelled: 4.0 min" in said
    assert "recovered, no unforeseen loss" in said


def test_the_report_of_a_planned_move_tells_the_longest_gap_and_what_is_left_unprotected(capsys):
    screen.show(
        report.Story(
            killed="",
            killed_at=10.0,
            recovery_began=10.5,
            recovery_exit=0,
            recovery_seconds=1.0,
            speed=100.0,
            views=(view([9.0, 10.0, 14.0], move=moved()),),
            calls=(),
            protection={"shop": "unprotected: no replica of shop-dr-1 in us-east-1"},
        )
    )
    said = capsys.readouterr().out
    row = next(line.split() for line in said.splitlines() if line.startswith("  shop"))
    assert row == ["shop", "3", "4.0", "s", "0", "0", "0"]
    assert "longest gap" in said
    assert "shop: unprotected: no replica" in said
    assert "moved, no acknowledged write lost; recovery ended with 0" in said
