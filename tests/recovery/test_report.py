"""A journal is told whole, whoever changed it; and every change of it shows."""

import hashlib
import json
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recovery import failover, moving, naming, report
from recovery.cloud import client, errors
from recovery.cloud.tally import Tally
from recovery.engine import chain
from recovery.engine.chain import GENESIS, Record
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.journal import Journal
from recovery.reporting import journals
from recovery.reporting.text import COLUMNS
from recovery.steps.case import Accepted
from recovery.topology import encode
from recovery.verification import findings
from tests.recovery import cases
from tests.recovery.simulated import HERE, THERE, Call, Cloud, Fault, Killed

GOLDEN = Path(__file__).parent / "report.golden.txt"
ID = "failover-20261123T030405Z-ab12"
PRODUCTS = ("rlg-data", "rlg-fans")
BUCKET = "rlg-standby-1-us-west-2"
BEGAN = datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC)


def journal(*records, execution=ID):
    """Return a journal of (seconds, product, step, event, facts)."""
    lines, previous = [], GENESIS
    for number, (seconds, product, step, event, facts) in enumerate(records, start=1):
        at = (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
        record = Record(
            number=number,
            at=at,
            product=product,
            step=step,
            event=event,
            facts=facts,
            execution=execution,
            previous=previous,
        )
        lines.append(chain.sealed(record))
        previous = chain.digest(lines[-1])
    return b"".join(line + b"\n" for line in lines)


OPENED = {
    "verb": "failover",
    "region": "us-west-2",
    "site": "dr",
    "products": "rlg-data, rlg-fans",
    "operator": "arn:aws:iam::123456789012:user/ada",
    "version": "0.1.0",
    "accepted_even_if_healthy": True,
    "accepted_data_loss_seconds": 412.0,
    "accepted_outage_began": None,
    "approved_by": "grace",
}
LOOKS = "rds:DescribeDBInstances@us-west-2"
STORY = (
    (0, "", "execution", "opened", OPENED),
    (0.5, "rlg-data", "check-standby", "acting", {"saw": "the standby has not been looked at"}),
    (2.1, "rlg-data", "check-standby", "says", {"text": "replication: streaming"}),
    (
        2.5,
        "rlg-data",
        "check-standby",
        "done",
        {
            "text": "loses at most 4 s",
            "seconds": 2.1,
            "calls": f"{LOOKS} 3, elbv2:DescribeRules@us-east-1 1 failed",
        },
    ),
    (2.6, "rlg-fans", "open", "approved", {"text": "unproven fencing, by grace"}),
    (3.0, "rlg-data", "promote-database", "acting", {"saw": "rlg-data-dr-1 is a replica"}),
    (
        61.25,
        "rlg-data",
        "promote-database",
        "done",
        {
            "text": "rlg-data-dr-1 is the writer, available, and keeps its backups for 7 days",
            "seconds": 58.3,
            "calls": f"{LOOKS} 17, rds:PromoteReadReplica@us-west-2 1",
        },
    ),
    (
        62.0,
        "rlg-data",
        "verify-service",
        "deviates",
        {"text": "failed: journey: sign-in answers 500"},
    ),
    (62.5, "rlg-data", "verify-service", "done", {"text": "8 of 9", "seconds": 1.2, "calls": ""}),
    (
        63.0,
        "rlg-data",
        "execution",
        "ended",
        {
            "exit_code": 6,
            "error": None,
            "deviations": 1,
            "epoch": 2,
            "calls": "dynamodb:PutItem@us-west-2 25",
        },
    ),
    (
        63.0,
        "rlg-fans",
        "execution",
        "ended",
        {
            "exit_code": 3,
            "error": "ada is running execution failover-20261123T030000Z-0000 (lease in "
            "rlg-standby-control in us-west-2, renewed just now); follow that one, or stop it",
            "deviations": 0,
            "epoch": None,
            "calls": "dynamodb:GetItem@us-west-2 4",
        },
    ),
    (
        63.1,
        "",
        "execution",
        "closed",
        {"exit_code": 6, "seconds": 64.2, "calls": "sts:GetCallerIdentity@us-west-2 1"},
    ),
)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def kept(state):
    """Keep a journal on this machine; return its path."""

    def keep(content, execution=ID):
        path = state / "journals" / f"{execution}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    return keep


@pytest.fixture
def told(monkeypatch, capsys):
    """Run the command; return its exit code and what it printed."""

    def tell(*arguments):
        monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
        code = report.main()
        return code, capsys.readouterr().out

    return tell


def facts(told, *arguments):
    return json.loads(told(*arguments, "--json")[1])


# A small journal with fixed times.


def test_the_text_is_this(kept, told, tmp_path):
    kept(journal(*STORY))
    code, said = told()
    assert said.replace(str(tmp_path), "STATE") == GOLDEN.read_text()
    assert code == 0


@pytest.mark.parametrize("form", [(), ("--markdown",), ("--json",)], ids=["text", "md", "json"])
def test_every_form_tells_who_what_and_how_it_ended(kept, told, form):
    kept(journal(*STORY))
    said = told(*form)[1].replace("\\", "")
    for fact in (
        ID,
        "user/ada",
        "data-loss-seconds 412.0",
        "even-if-healthy",
        "grace",
        "unproven fencing",
        "sign-in answers 500",
        "finished, but it deviates",
        "refused, nothing was changed",
        "follow that one",
        "PromoteReadReplica",
        "sts:GetCallerIdentity",
    ):
        assert fact in said


def test_what_was_not_accepted_is_not_told_as_accepted(kept, told):
    kept(journal((0, "", "execution", "opened", {"accepted_even_if_healthy": False})))
    assert facts(told)["accepted"] == []


def test_the_text_fits_its_columns(kept, told, state):
    long = (5, "rlg-data", "check-standby", "says", {"text": "word " * 300})
    kept(journal(*STORY[:2], long, *STORY[2:]))
    lines = [line for line in told()[1].splitlines() if str(state) not in line]
    assert max(map(len, lines)) == COLUMNS
    assert sum("word" in line for line in lines) == 1


def test_the_times_of_steps_are_those_the_journal_gives(kept, told):
    kept(journal(*STORY))
    step = facts(told)["products"][0]["steps"][1]
    assert (step["name"], step["seconds"], step["began"]) == ("promote-database", 58.3, 2.95)


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1, 1e300, "many", None, True])
def test_a_duration_that_is_none_does_not_stop_the_report(kept, told, seconds):
    end = (3, "rlg-data", "check-standby", "done", {"seconds": seconds})
    kept(journal(*STORY[:2], end))
    assert "check-standby" in told()[1]


def test_what_a_terminal_would_act_on_is_shown_and_not_sent(kept, told):
    nasty = "\x1b[2J\nrlg-data: exit 0\r\u202e\ud800|"
    kept(journal((0, nasty, nasty, nasty, {"text": nasty}), execution=nasty))
    for form in ((), ("--markdown",), ("--list",)):
        said = told(*form)[1]
        assert all(each.isprintable() or each == "\n" for each in said)
        assert "\nrlg-data: exit 0" not in said


# How it ended.


def test_a_killed_execution_has_no_end_and_its_last_step_is_unfinished(kept, told):
    torn = journal(*STORY[:6])[:-20]
    kept(torn)
    code, said = told()
    assert code == 0
    assert "a last line without its end, as a kill leaves it" in said
    assert "it did not end, or its end was removed; compare with the copy:" in " ".join(
        said.split()
    )
    kept(journal(*STORY[:6]))
    product = facts(told)["products"][0]
    assert product["ending"] == "it did not end, or its end was removed"
    assert product["steps"][-1]["ending"] == "unfinished"


@pytest.mark.parametrize("content", [b"", b'{"at":', b"\n", b"\x00\xff\n\n"])
def test_a_journal_with_nothing_in_it_is_told_too(kept, told, content):
    kept(content)
    code, said = told()
    assert "it did not end" in said
    assert code == (6 if b"\n" in content else 0)


# Changed journals.


def test_a_changed_line_is_named_marked_and_told_nevertheless(kept, told):
    kept(journal(*STORY).replace(b"loses at most 4 s", b"loses at most 0 s"))
    code, said = told()
    assert code == 6
    assert "CHANGED: 2 of 12 lines do not fit" in said
    assert "line 4 was changed after it was written: its seal does not fit" in said
    assert "line 5 does not follow line 4 as that is now" in said
    assert "!    +2.500" in said
    assert "loses at most 0 s" in said


def test_records_after_the_closing_one_show(kept, told):
    kept(journal(*STORY, STORY[1]))
    code, said = told()
    assert (code, "1 records follow the closing one: they were added" in said) == (6, True)


def test_a_removed_beginning_shows_even_if_all_hashes_are_made_anew(kept, told):
    kept(journal(*STORY[1:]))
    code, said = told()
    assert (code, "the first record is no opening one" in said) == (6, True)


def test_another_executions_journal_under_this_name_shows(kept, told):
    kept(journal(*STORY, execution="failover-2"))
    code, said = told()
    assert (code, f"it is the journal of failover-2, kept as that of {ID}" in said) == (6, True)


# The journal of a real failover of two products.


class CountingCloud(Cloud):
    """Counts calls where the SDK's clients would."""

    def call(self, region, function, subject, act, *, writes=False):
        failed = False
        try:
            return super().call(region, function, subject, act, writes=writes)
        except errors.CloudError as error:
            failed = not isinstance(error, errors.NotFoundError | errors.ConflictError)
            raise
        finally:
            client.tally.add(client.calling_step.get(), region.name, function, failed=failed)


SECRET = "hunter2-canary"


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.setattr(client, "tally", Tally())
    monkeypatch.delenv("STANDBY_TRACE", raising=False)
    made = CountingCloud(PRODUCTS).install(monkeypatch)
    secret = {"username": "u", "password": SECRET}
    monkeypatch.setattr("recovery.cloud.secrets.read_json", lambda *_: secret)
    return made


@pytest.fixture
def fail_over(cloud, monkeypatch, state, capsys):
    """Run the command for both products; return its exit code and its journal's path."""
    opened = []

    def keep(*arguments):
        opened.append(Journal(*arguments))
        return opened[-1]

    monkeypatch.setattr("recovery.journalling.Journal", keep)

    def once(accepted=None):
        pair = tuple(
            replace(cloud.case(name), execution=ID, accepted=accepted or Accepted())
            for name in PRODUCTS
        )
        monkeypatch.setattr("recovery.opening.cases", lambda *_, **__: pair)
        monkeypatch.setattr("recovery.opening.prepare", lambda _: None)
        monkeypatch.setattr(sys, "argv", ["failover", "--region", HERE, "--json"])
        with monkeypatch.context() as patch:
            patch.setattr(moving, "uuid", _Fixed)
            code = cloud.run(failover.main)
        capsys.readouterr()
        return code, state / "journals" / f"{ID}.jsonl"

    yield once
    for journal in opened:
        if not journal._closed:
            journal.close()  # else the mirror of a killed run would go on in the next test


class _Fixed:
    @staticmethod
    def uuid4():
        return type("Fixed", (), {"hex": "ab12"})


def test_a_failover_is_told_with_every_step_and_every_call_of_it(cloud, fail_over, told):
    cloud.dark = {THERE}
    code, path = fail_over(Accepted(even_if_healthy=True, data_loss_seconds=400.0))
    assert code == 0
    found = facts(told)
    assert (found["fits"], found["exit_code"], found["journal"]) == (True, 0, str(path))
    assert found["accepted"] == ["data-loss-seconds 400.0", "even-if-healthy"]
    assert found["opening"]["version"] == "0.1.0"
    assert [each["name"] for each in found["products"]] == list(PRODUCTS)
    counted, rest = Counter(), Counter()
    for product in found["products"]:
        assert (product["exit_code"], product["error"]) == (0, None)
        assert len(product["steps"]) == 15
        for step in product["steps"]:
            for each in step["calls"]:
                failed = each["failed"]
                assert failed == (each["region"] == THERE)
                counted[step["name"], each["region"], each["operation"]] += each["times"]
        for each in product["calls"]:
            rest[each["region"], each["operation"]] += each["times"]
    outside = {"", "open", "close"}
    assert counted == Counter(
        (call.step, call.region, call.function) for call in cloud.calls if call.step not in outside
    )
    assert rest == Counter(
        (call.region, call.function) for call in cloud.calls if call.step in {"open", "close"}
    )
    assert {each["operation"] for each in found["calls"]} == {"objects.write"}


def test_the_copy_in_the_bucket_is_the_journal(cloud, fail_over):
    _, path = fail_over()
    assert cloud.objects[naming.journal_key(ID)] == path.read_bytes()


def test_a_deviation_is_told(cloud, fail_over, told):
    cloud.finding = findings.failed("journey", "sign-in answers 500")
    assert fail_over()[0] == 6
    found = facts(told)
    assert (found["exit_code"], found["fits"]) == (6, True)
    for product in found["products"]:
        assert product["deviations"] == ["verify-service: failed: journey: sign-in answers 500"]
        assert product["exit_code"] == 6


def test_a_refusal_is_told(cloud, fail_over, told):
    fail_over()[1].unlink()
    assert fail_over()[0] == 3
    found = facts(told)
    assert (found["exit_code"], found["fits"]) == (3, True)
    for product in found["products"]:
        assert product["exit_code"] == 3
        assert "already active" in product["error"]


def test_a_killed_failover_has_no_end(cloud, fail_over, told):
    cloud.fault = Fault(Call("shift-traffic", HERE, "metrics.publish", "rlg-data", 1), "kill-after")
    with pytest.raises(Killed):
        fail_over()
    found = facts(told)
    assert (found["exit_code"], found["fits"]) == (None, True)
    killed = found["products"][0]["steps"][-1]
    assert (killed["name"], killed["ending"]) == ("shift-traffic", "unfinished")


def test_no_secret_gets_into_a_journal(cloud, fail_over, monkeypatch):
    def bug(*_):
        raise KeyError(SECRET)

    monkeypatch.setattr("recovery.database.heartbeat.read", bug)
    code, path = fail_over()
    assert code == 1
    content = path.read_text()
    assert '"error": "a bug: KeyError"' in content
    assert SECRET not in content
    assert '"password"' not in content


@pytest.fixture
def real(fail_over):
    """The lines of a real journal."""
    return fail_over()[1].read_bytes().splitlines()


def flipped(lines, at):
    changed = bytearray(lines[at])
    changed[len(changed) // 3] ^= 1
    return [*lines[:at], bytes(changed), *lines[at + 1 :]]


def removed(lines, at):
    return lines[:at] + lines[at + 1 :]


def swapped(lines, at):
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def inserted(lines, at):
    (record,) = chain.examine(lines[at] + b"\n").records
    own = replace(record, number=record.number + 1, previous=chain.digest(lines[at]))
    return [*lines[: at + 1], chain.sealed(own), *lines[at + 1 :]]


def resealed(lines, at):
    (record,) = chain.examine(lines[at] + b"\n").records
    own = replace(record, facts=dict(record.facts) | {"text": "nothing happened"})
    return [*lines[:at], chain.sealed(own), *lines[at + 1 :]]


@pytest.mark.parametrize("tamper", [flipped, removed, swapped, inserted, resealed])
def test_every_tampering_at_every_line_of_a_real_journal_shows(real, told, tmp_path, tamper):
    path = tmp_path / "changed.jsonl"
    last = len(real) - (1 if tamper is flipped else 2)
    assert len(real) > 60
    for at in range(last + 1):
        path.write_bytes(b"".join(line + b"\n" for line in tamper(real, at)))
        code, said = told("--file", path)
        named = {f"line {at + n} " in said for n in (1, 2)}
        if tamper is inserted and at == len(real) - 1:
            named = {"records follow the closing one" in said}
        assert (code, "CHANGED" in said, True in named) == (6, True, True), at


@pytest.mark.parametrize("tamper", [removed, resealed])
def test_a_tampered_end_shows_beside_the_copy(real, tamper):
    whole = b"".join(line + b"\n" for line in real)
    changed = b"".join(line + b"\n" for line in tamper(real, len(real) - 1))
    assert not journals.compared(whole, changed).fits
    assert journals.compared(whole, whole).fits


# Which one is meant.


def test_the_newest_is_told_whatever_its_verb(kept, told):
    for execution in ("switchover-20261124T000000Z-0000", "failover-20261125T000000Z-0000"):
        kept(journal(*STORY, execution=execution), execution)
    kept(b"", "zzz")
    assert facts(told)["execution"] == "failover-20261125T000000Z-0000"


def test_a_beginning_that_one_has_will_do(kept, told):
    for execution in (ID, "failover-20261125T000000Z-0000"):
        kept(journal(*STORY, execution=execution), execution)
    assert facts(told, "failover-20261123")["execution"] == ID


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("failover-2026112", "several executions begin with failover-2026112; "),
        ("failover-2025", "no execution 'failover-2025' is known; "),
        ("../../etc/passwd", "no execution '../../etc/passwd' is known; "),
    ],
)
def test_what_is_unknown_or_ambiguous_is_refused_with_those_known(kept, told, asked, why):
    for execution in (ID, "failover-20261125T000000Z-0000"):
        kept(journal(*STORY), execution)
    with pytest.raises(RefusedError) as caught:
        told(asked)
    said = str(caught.value)
    assert said.startswith(why)
    assert said.endswith(f"journals) has failover-20261125T000000Z-0000, {ID}")
    assert caught.value.exit_code == 3


def test_of_many_known_the_newest_are_named_on_one_line(kept, told):
    for day in range(10, 24):
        kept(b"", f"failover-202611{day}T000000Z")
    with pytest.raises(RefusedError) as caught:
        told("nothing")
    said = str(caught.value)
    assert "has failover-20261123T000000Z, failover-20261122" in said
    assert said.endswith("failover-20261114T000000Z and 4 more (--list)")
    assert "\n" not in said


def test_an_id_that_another_begins_with_is_meant_itself(kept, told):
    kept(journal(*STORY))
    kept(journal(*STORY, execution=f"{ID}-2"), f"{ID}-2")
    assert facts(told, ID)["execution"] == ID


def test_a_machine_without_journals_is_refused_with_where_to_look(told):
    with pytest.raises(RefusedError, match="has no journal; look elsewhere with --region"):
        told()
    assert told("--list")[0] == 0


def test_a_file_that_is_not_there_is_refused(told, tmp_path):
    with pytest.raises(RefusedError, match=r"none\.jsonl cannot be read \(No such file"):
        told("--file", tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "arguments",
    [("--file", "a", "b"), ("--list", "a"), ("--list", "--markdown"), ("--json", "--markdown")],
)
def test_what_does_not_go_together_is_wrong_usage(told, arguments):
    with pytest.raises(SystemExit) as caught:
        told(*arguments)
    assert caught.value.code == 2


def test_the_list_has_every_execution_the_newest_first(kept, told):
    kept(journal(*STORY))
    kept(
        journal(*STORY[:3], execution="failover-20261125T000000Z-0000"), "failover-20261125T000000Z"
    )
    code, said = told("--list")
    newest, oldest = said.splitlines()
    assert code == 6
    assert newest.startswith("failover-20261125T000000Z  2026-11-23 03:04:05.000 UTC  rlg-data, ")
    assert newest.endswith("CHANGED; it did not end, or its end was removed")
    assert oldest.endswith("  exit 6: finished, but it deviates")
    assert [row["fits"] for row in json.loads(told("--list", "--json")[1])] == [False, True]


# In the bucket.


@pytest.fixture
def bucket(aws, monkeypatch):
    """The standby's bucket, with a topology; returns what puts a journal into it."""
    s3, document = aws("s3"), encode(cases.topology())
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": HERE})
    s3.put_object(Bucket=BUCKET, Key=naming.TOPOLOGY_KEY, Body=document)
    pointer = {
        "bucket": BUCKET,
        "key": naming.TOPOLOGY_KEY,
        "sha256": hashlib.sha256(document).hexdigest(),
    }
    aws("ssm").put_parameter(
        Name=naming.TOPOLOGY_PARAMETER, Value=json.dumps(pointer), Type="String"
    )

    def put(content, execution=ID):
        s3.put_object(Bucket=BUCKET, Key=naming.journal_key(execution), Body=content)

    return put


WHOLE = journal(*STORY)


@pytest.mark.parametrize(
    ("local", "copy", "verdict", "code"),
    [
        (None, WHOLE, "alone", 0),
        (WHOLE, WHOLE, "whole", 0),
        (WHOLE, journal(*STORY[:5]), "prefix", 0),
        (journal(*STORY[:5]), WHOLE, "ahead", 6),
        (journal(*STORY[:-1], STORY[1]), WHOLE, "differs", 6),
    ],
    ids=["alone", "whole", "prefix", "ahead", "differs"],
)
def test_a_copy_is_told_and_compared_with_this_machines_journal(  # noqa: PLR0917
    bucket, kept, told, local, copy, verdict, code
):
    bucket(copy)
    if local is not None:
        kept(local)
    ended, said = told("--region", HERE, "--json")
    found = json.loads(said)
    assert (ended, found["copy"]["verdict"]) == (code, verdict)
    assert found["lines"] == copy.count(b"\n")
    assert found["journal"] == f"s3://{BUCKET}/journals/{ID}.jsonl"
    assert ("CHANGED" in told("--region", HERE)[1]) == (code == 6)


@pytest.mark.parametrize(
    ("copy", "original", "said"),
    [
        (
            WHOLE,
            journal(*STORY[:5]),
            "only the first 5 of the copy's 12 lines: its end was removed",
        ),
        (journal(*STORY[:5]), WHOLE, "a prefix: the first 5 of this machine's 12 lines"),
        (journal(*STORY[:3], *STORY[4:]), WHOLE, "from line 4 on"),
        (WHOLE + b"{}\n", WHOLE + b"[]\n", "from line 13 on"),
    ],
)
def test_what_a_comparison_says(copy, original, said):
    assert said in journals.compared(copy, original).text


def test_the_list_and_the_newest_are_those_of_the_bucket(bucket, kept, told):
    kept(journal(*STORY, execution="failover-20270101T000000Z-0000"), "failover-20270101T000000Z")
    bucket(WHOLE)
    bucket(journal(*STORY, execution="failover-20261122T000000Z"), "failover-20261122T000000Z")
    rows = json.loads(told("--region", HERE, "--list", "--json")[1])
    assert [row["execution"] for row in rows] == [ID, "failover-20261122T000000Z"]
    assert facts(told, "--region", HERE)["execution"] == ID


def test_a_copy_that_cannot_be_read_does_not_hide_the_others(bucket, told, monkeypatch):
    bucket(WHOLE)
    bucket(WHOLE, "failover-20261125T000000Z-0000")
    real = journals.Bucket.read

    def read(shelf, execution):
        if execution != ID:
            raise OutsideError("s3:GetObject in us-west-2: reset")
        return real(shelf, execution)

    monkeypatch.setattr(journals.Bucket, "read", read)
    code, said = told("--region", HERE, "--list")
    assert [line.rpartition("  ")[2] for line in said.splitlines()] == [
        "s3:GetObject in us-west-2: reset",
        "exit 6: finished, but it deviates",
    ]
    assert code == 0


def test_a_region_that_is_no_site_is_refused(bucket, told, aws, monkeypatch):
    made = cases.topology()
    monkeypatch.setattr("recovery.discovery.find", lambda _: made)
    with pytest.raises(RefusedError, match="us-east-2 is no site; the topology has us-east-1, us-"):
        told("--region", "us-east-2")
