import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recovery import assignment, naming, verify
from recovery.assignment import Assignment
from recovery.cloud import objects
from recovery.cloud.client import Region
from recovery.engine.errors import DEVIATED, FAILED, REFUSED
from recovery.topology import Request
from recovery.verification import data, files, records, service, suite
from tests.recovery.cases import case

PASSWORD = "s3cret of the probe"
JOURNEY = (
    Request(
        name="login",
        service="auth",
        method="POST",
        path="/auth/login",
        body={"username": "${username}", "password": "${password}"},
        capture={"token": "token"},
    ),
    Request(
        name="payment",
        service="api",
        method="POST",
        path="/api/payments",
        body={"amount": 1, "reference": "${nonce}"},
        status=201,
        capture={"payment": "id"},
    ),
    Request(
        name="payment-read-back",
        service="api",
        method="GET",
        path="/api/payments/${payment}",
        contains="${nonce}",
    ),
)


class Product:
    """A product's services behind one name, with one payment that it remembers."""

    def __init__(self):
        self.broken = {}
        self.reference = ""

    def handle(self, method, path, body, headers):
        if path in self.broken:
            return self.broken[path]
        if path == "/auth/login":
            return (200, {"token": "T"}) if body["password"] == PASSWORD else (401, {})
        if path == "/api/payments":
            self.reference = body["reference"]
            return (201, {"id": "a/1"}) if headers["Authorization"] == "Bearer T" else (401, {})
        if path == "/api/payments/a%2F1":
            return 200, {"reference": self.reference}
        return (200, {}) if path.endswith("/health") else (404, {})


@pytest.fixture
def product():
    return Product()


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))


@pytest.fixture
def seen(product, website, resolver, aws):
    """A case whose product answers at its public name."""
    site = website(["data.rlg.example"], product.handle)
    made = case()
    resolver.names[made.product.domain] = ["127.0.0.1"]
    resolver.names[made.deployment.load_balancer_dns] = ["127.0.0.1", "127.0.0.2"]
    aws("secretsmanager").create_secret(
        Name=made.deployment.probe_secret,
        SecretString=json.dumps({"username": "probe", "password": PASSWORD}),
    )
    return replace(
        made,
        topology=replace(made.topology, https_port=site.port),
        product=replace(made.product, journey=JOURNEY),
        resolver=resolver.address,
    )


def outcomes(findings):
    return {finding.what: finding.outcome for finding in findings}


def test_a_product_that_serves_its_customers_is_verified(seen):
    found = [service.name_leads_here(seen), *service.services(seen), *service.journey(seen)]

    assert outcomes(found) == dict.fromkeys(
        [
            "name",
            "service api",
            "service auth",
            "journey login",
            "journey payment",
            "journey payment-read-back",
        ],
        "ok",
    )


def test_a_name_that_leads_elsewhere_fails(seen, resolver):
    resolver.names[seen.product.domain] = ["127.0.0.9"]
    found = service.name_leads_here(seen)
    assert found.outcome == "failed"
    assert "leads to 127.0.0.9; the balancer in us-west-2 has" in found.detail


def test_a_service_that_is_ill_fails_alone(seen, product):
    product.broken["/auth/health"] = (503, {})
    assert outcomes(service.services(seen)) == {"service api": "ok", "service auth": "failed"}


def test_what_follows_a_failed_step_of_the_journey_is_unverified(seen, product):
    product.broken["/api/payments"] = (503, {"error": "read-only"})
    found = service.journey(seen)
    assert [finding.outcome for finding in found] == ["ok", "failed", "unverified"]
    assert "answers 503 where 201 belongs" in found[1].detail
    assert "read-only" in found[1].detail


def test_a_step_without_what_it_must_contain_fails(seen, product):
    product.broken["/api/payments/a%2F1"] = (200, {"reference": "another"})
    assert service.journey(seen)[-1].outcome == "failed"


def test_a_step_whose_answer_lacks_what_is_captured_fails(seen, product):
    product.broken["/auth/login"] = (200, b"no json")
    found = service.journey(seen)
    assert found[0].outcome == "failed"
    assert "without the key 'token'" in found[0].detail


def test_the_probes_password_appears_in_no_finding(seen, product):
    product.broken["/auth/login"] = (500, {"you sent": PASSWORD})
    found = service.journey(seen)
    assert found[0].outcome == "failed"
    assert PASSWORD not in str(found)


def test_a_placeholder_that_nothing_fills_fails(seen):
    step = Request(name="odd", service="api", method="GET", path="/api/${nothing}")
    odd = replace(seen, product=replace(seen.product, journey=(step,)))
    (found,) = service.journey(odd)
    assert found.detail == "nothing gave ${nothing}"


def test_a_probe_that_cannot_sign_in_is_unverified(seen, aws):
    aws("secretsmanager").delete_secret(
        SecretId=seen.deployment.probe_secret, ForceDeleteWithoutRecovery=True
    )
    assert [finding.outcome for finding in service.journey(seen)] == ["unverified"]


def with_tests(seen, *command):
    return replace(seen, product=replace(seen.product, api_tests=command))


def test_a_product_without_tests_of_its_own_has_no_finding(seen):
    assert suite.api_tests(seen) == []


def test_the_products_own_tests_find_the_url_the_authority_and_the_resolver(seen, authority):
    script = "import os; print(os.environ['STANDBY_URL'], os.environ['STANDBY_CA'])"
    (found,) = suite.api_tests(with_tests(seen, sys.executable, "-c", script))
    assert found.outcome == "ok"
    url = f"https://data.rlg.example:{seen.topology.https_port}"
    assert f"{url} {authority.certificate}" in found.detail


def test_pytest_as_the_products_tests(seen, tmp_path):
    (tmp_path / "test_product.py").write_text("def test_it():\n    assert 1 == 2\n")
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    (found,) = suite.api_tests(with_tests(seen, *command))
    assert found.outcome == "failed"
    assert "1 failed" in found.detail
    kept = next((tmp_path / "api-tests").iterdir()).read_text()
    assert "assert 1 == 2" in kept


def test_tests_that_hang_are_ended_with_all_their_processes(seen, tmp_path):
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    began = time.monotonic()
    (found,) = suite.api_tests(with_tests(seen, "sh", "-c", script), seconds=0.5)
    assert time.monotonic() - began < 5
    assert found.outcome == "failed"
    assert "not finished after" in found.detail
    with pytest.raises(ProcessLookupError):
        until_gone(int((tmp_path / "child").read_text()))


def until_gone(pid):
    import os  # noqa: PLC0415

    for _ in range(100):
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "Z":  # dead; not every init reaps it
            raise ProcessLookupError(pid)
        time.sleep(0.05)


def test_tests_that_cannot_be_run_are_unverified(seen):
    (found,) = suite.api_tests(with_tests(seen, "/nowhere/pytest"))
    assert found.outcome == "unverified"
    assert "/nowhere/pytest cannot be run: No such file" in found.detail


def test_sound_data_is_ok_and_says_how_old_its_newest_row_is(session):
    session.execute(
        """
        create table parent (id serial primary key, at timestamptz default now());
        create table child (id int references parent);
        insert into parent default values;
        """
    )
    found = data.inspect(session)
    assert outcomes(found) == {
        "data constraints": "ok",
        "data foreign keys": "ok",
        "data sequences": "ok",
        "data rows": "ok",
    }
    assert "2 tables, 1 rows; newest row 0 s old, in public.parent" in found[-1].detail


def test_a_sequence_that_is_behind_fails_by_name(session):
    session.execute("create table t (id serial primary key); insert into t values (1)")
    (failed,) = [finding for finding in data.inspect(session) if finding.outcome != "ok"]
    assert failed.what == "data sequences"
    assert "public.t_id_seq is not ahead of public.t.id" in failed.detail


def test_a_problem_that_was_recorded_is_told_and_held_against_nobody(session):
    session.execute("create table t (id serial primary key); insert into t values (1)")
    problem = "public.t_id_seq is not ahead of public.t.id: the next insert may collide"
    known = baseline(rows={"public.t": 1}, problems=(problem,))
    found = {finding.what: finding for finding in data.inspect(session, known)}
    assert found["data sequences"].outcome == "ok"
    assert f"as it was when recorded: {problem}" in found["data sequences"].detail


def test_a_table_that_is_gone_or_empty_since_it_was_recorded_fails(session):
    session.execute("create table kept (id int); create table lost (id int)")
    session.execute("insert into kept values (1), (2), (3)")
    grown = data.inspect(session, baseline(rows={"public.kept": 1, "public.lost": 0}))[-1]
    assert grown.outcome == "ok"
    assert "+2 since recorded" in grown.detail

    emptied = data.inspect(session, baseline(rows={"public.kept": 1, "public.lost": 9}))[-1]
    assert emptied.outcome == "failed"
    assert emptied.detail.startswith("public.lost is empty")
    gone = data.inspect(session, baseline(rows={"public.other": None}))[-1]
    assert gone.outcome == "failed"
    assert gone.detail.startswith("public.other is gone")


def baseline(*, rows, problems=()):
    return data.Baseline(taken_at=datetime.now(UTC), rows=rows, problems=problems)


def test_the_data_is_recorded_at_one_site_and_measured_at_the_other(
    seen, buckets, session, monkeypatch
):
    """The connection is given: moto has no database behind its endpoints."""
    session.execute("create table t (id int); insert into t values (1)")
    monkeypatch.setattr(data, "_asked", lambda _, question: question(session))
    assert data.record(at_the_peer(seen)).detail == "1 tables, 0 known problems"

    session.execute("delete from t")

    assert data.data(seen)[-1].outcome == "failed"


def test_an_empty_database_is_no_proof(session):
    assert outcomes(data.inspect(session))["data rows"] == "unverified"


def test_a_database_that_does_not_exist_is_unverified(seen):
    (found,) = data.data(seen)
    assert found.outcome == "unverified"


@pytest.fixture
def buckets(aws, seen):
    """The file buckets of both sites with the same three objects, and the sites' own buckets."""
    for place, site in ((seen.deployment, seen.site), (seen.peer_deployment, seen.peer)):
        s3 = aws("s3", site.region)
        for bucket in (place.file_bucket, site.bucket):
            where = {"CreateBucketConfiguration": {"LocationConstraint": site.region}}
            s3.create_bucket(Bucket=bucket, **(where if site.region != "us-east-1" else {}))
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for key in ("a", "b c", "d/é"):
            objects.write(Region(site.region), place.file_bucket, key, key.encode() * 10)
    return seen.deployment.file_bucket


def recorded(seen):
    """Record the manifest at the peer, as it was active."""
    return files.record(at_the_peer(seen))


def at_the_peer(seen):
    return replace(
        seen,
        site=seen.peer,
        peer=seen.site,
        here=Region(seen.peer.region),
        there=Region(seen.site.region, once=True),
    )


@pytest.fixture
def tables(aws, seen):
    """The control tables of the three regions, by region."""
    found = {
        seen.site.region: seen.site.control_table,
        seen.peer.region: seen.peer.control_table,
        seen.witness.name: seen.topology.witness.control_table,
    }
    for region, table in found.items():
        aws("dynamodb", region).create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": naming.CONTROL_HASH_KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": naming.CONTROL_HASH_KEY, "AttributeType": "S"}],
        )
    return found


def assign(tables, site, *, epoch=1, settled=True):
    """Write an assignment into these tables, region → table."""
    for region, table in tables.items():
        made = Assignment(site=site, epoch=epoch, claim=False, settled=settled, execution="e")
        assignment.write(Region(region), table, "rlg-data", made)


def has_manifest(seen):
    return records.kept(seen, files.manifest_key(seen.product.name), files.Manifest) is not None


def test_the_active_site_is_recorded_for_both(seen, buckets, tables, capsys):
    assign(tables, "primary")
    assert verify._record((at_the_peer(seen),)) == DEVIATED  # there is no database to look into
    assert "ok         manifest: 3 objects" in capsys.readouterr().out
    assert has_manifest(seen)
    assert has_manifest(at_the_peer(seen))


def test_a_site_that_is_not_active_records_nothing(seen, buckets, tables, capsys):
    assign(tables, "primary", epoch=3)
    assert verify._record((seen,)) == REFUSED
    assert "refused    primary is active in epoch 3" in (said := capsys.readouterr().out)
    assert said.endswith("only the active site is recorded; use --region us-east-1\n")
    assert not has_manifest(seen)


def test_a_site_that_came_back_and_does_not_know_better_records_nothing(seen, buckets, tables):
    assign(tables, "primary")
    assign({"us-west-2": tables["us-west-2"]}, "dr", epoch=2)
    assert verify._record((at_the_peer(seen),)) == REFUSED
    assert not has_manifest(seen)


def test_an_unfinished_failover_keeps_what_it_is_measured_with(seen, buckets, tables, capsys):
    assign(tables, "dr", epoch=2, settled=False)
    assert verify._record((seen,)) == REFUSED
    assert "epoch 2 is not settled" in capsys.readouterr().out
    assert not has_manifest(seen)


def test_a_product_that_was_never_assigned_is_not_recorded(seen, buckets, tables, capsys):
    assert verify._record((seen,)) == REFUSED
    assert "no site is assigned to rlg-data" in capsys.readouterr().out


def test_one_table_alone_does_not_say_who_is_active(seen, buckets, tables, aws, capsys):
    assign(tables, "dr")
    for region in ("us-east-1", "us-east-2"):
        aws("dynamodb", region).delete_table(TableName=tables[region])
    assert verify._record((seen,)) == FAILED
    assert "1 of 3 control tables answer, 2 must" in capsys.readouterr().out
    assert not has_manifest(seen)


def test_the_files_of_the_manifest_are_there_and_have_their_bytes(seen, buckets):
    assert recorded(seen).detail == f"3 objects of {seen.peer_deployment.file_bucket}"
    found = files.files(seen)
    assert outcomes(found) == {"files": "ok", "files read back": "ok"}
    assert "3 have the bytes that were recorded" in found[1].detail


def test_without_a_manifest_the_files_are_unverified(seen, buckets):
    (found,) = files.files(seen)
    assert found.outcome == "unverified"
    assert "--record" in found.detail


def test_a_file_that_never_arrived_is_missing(seen, buckets, aws):
    objects.write(Region("us-east-1"), seen.peer_deployment.file_bucket, "late", b"x")
    recorded(seen)
    found = files.files(seen)
    assert found[0].outcome == "failed"
    assert "1 missing and 0 wrong" in found[0].detail
    assert found[0].detail.endswith(": late")


def test_a_file_that_a_customer_deleted_is_not_missing(seen, buckets, aws):
    recorded(seen)
    aws("s3").delete_object(Bucket=buckets, Key="a")
    found = files.files(seen)
    assert found[0].outcome == "ok"
    assert "1 deleted by customers since" in found[0].detail


def test_a_file_of_another_size_that_nobody_wrote_since_is_wrong(seen, buckets):
    objects.write(Region("us-west-2"), buckets, "a", b"cut short")
    time.sleep(1.1)  # S3 tells times in whole seconds
    recorded(seen)
    assert files.files(seen)[0].outcome == "failed"


def test_a_file_with_other_bytes_is_found_when_it_is_read_back(seen, buckets, monkeypatch):
    recorded(seen)
    read = objects.read

    def rotten(region, bucket, key):
        return b"rot" if bucket == buckets and key == "a" else read(region, bucket, key)

    monkeypatch.setattr(files.objects, "read", rotten)
    found = files.files(seen)
    assert found[1].outcome == "failed"
    assert found[1].detail == "other bytes than recorded: a"


def test_a_listing_that_takes_too_long_is_unverified_and_accuses_nobody(seen, buckets):
    recorded(seen)
    found = files.files(seen, seconds=0)
    assert found[0].outcome == "unverified"
    assert "time ran out" in found[0].detail


def test_a_verdict_is_ok_only_when_everything_was_looked_at(seen, buckets):
    recorded(seen)
    verdict = verify.verify(seen)
    assert not verdict.ok
    assert outcomes(verdict.findings)["data"] == "unverified"
    assert [f.what for f in verdict.findings if f.outcome == "failed"] == []
