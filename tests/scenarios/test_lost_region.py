"""A region is lost under load; recovery is killed midway, and the next run finishes.

One lab for all of it, told in order: both products live through the same outage.
"""

import json
import time

import boto3

from lab import control, report
from recovery import names, naming, topology, web

DEAD, TARGET = "us-east-1", "us-west-2"


def calls_since(number):
    found = control.get(f"calls?after={number}")["calls"]
    return [call for call in report.parse_calls(found) if call.caller.startswith("LABOPERATOR")]


def last_call():
    return control.get("calls?after=0")["next"]


def product_of(lines):
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_before_the_outage_a_failover_would_be_accepted_and_none_is_needed(lab):
    seen = lab.recovery("status", "--region", TARGET, "--json")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert {each["active"] for each in json.loads(seen.stdout)} == {"primary"}


def test_a_healthy_product_is_not_failed_over(lab):
    refused = lab.recovery("failover", "--region", TARGET)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "--even-if-healthy" in refused.stdout


def test_a_dry_run_changes_nothing(lab):
    before = last_call()
    lab.recovery("failover", "--region", TARGET, "--dry-run")
    changing = ("Put", "Update", "Delete", "Create", "Promote", "Set", "Modify", "Publish")
    assert [c.action for c in calls_since(before) if c.action.startswith(changing)] == []


def test_a_recovery_killed_midway_is_finished_by_running_it_again(lab):
    assert lab.run("kill", DEAD, "--api", "hang").returncode == 0
    before = last_call()
    first = lab.recovery_process("failover", "--region", TARGET, "--product", "rlg-data")
    for line in first.stdout:
        if '"promote-database"' in line:
            break
    first.kill()
    first.communicate()
    assert first.returncode == -9
    again = lab.recovery("failover", "--region", TARGET, "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    products = json.loads(again.stdout[again.stdout.index("{\n") :])["products"]
    assert [each["ending"] for each in products] == ["recovered and verified"] * 2
    touched = [
        call
        for call in calls_since(before)
        if report.touches(call, DEAD) and call.step not in {"check-standby", "fence-peer", "open"}
    ]
    assert touched == []
    assert [c for c in calls_since(before) if report.touches(c, DEAD) and c.answered] == []


def test_customers_are_served_again_by_the_other_site(lab):
    for product in ("data", "fans"):
        assert written(lab, product) > 0


def test_running_it_once_more_finds_nothing_to_do(lab):
    again = lab.recovery("failover", "--region", TARGET)
    assert again.returncode in {0, 3}, again.stdout + again.stderr


def test_a_region_that_returns_by_itself_serves_nothing(lab, monkeypatch):
    told = lab.environment()
    for name in ("AWS_ENDPOINT_URL", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, told[name])
    assert lab.run("heal", DEAD).returncode == 0
    facts = lab_topology(told)
    for product in facts.products:
        old = product.deployments["primary"].load_balancer_dns

        def ask(path, product=product, old=old):
            return web.request(
                "GET",
                product.domain,
                facts.https_port,
                path,
                addresses=names.resolve(old, told["STANDBY_RESOLVER"]),
            )

        until = time.monotonic() + 60
        while (health := ask("/health").status) != 200:  # the idle guard, as a balancer asks it
            assert time.monotonic() < until, f"no host of {product.name} returned: {health}"
            time.sleep(0.2)
        answer = ask("/api/content")
        assert (answer.status, answer.json()["assigned"]) == (503, "dr")
    assert written(lab, "data") > 0


def lab_topology(told):
    s3 = boto3.client(
        "s3",
        region_name=TARGET,
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=told["AWS_ENDPOINT_URL"],
    )
    bucket = naming.site_bucket("rlg", "123456789012", TARGET)
    document = s3.get_object(Bucket=bucket, Key=naming.TOPOLOGY_KEY)["Body"].read()
    s3.close()
    return topology.decode(document)


def written(lab, product):
    """Return how many writes customers had acknowledged within two seconds."""

    def count():
        seen = lab.run("status").stdout
        line = next(
            each for each in seen.splitlines() if f"rlg-{product}" in each and "writes" in each
        )
        return int(line.split()[2])

    before = count()
    time.sleep(2.5)
    return count() - before
