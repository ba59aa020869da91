from __future__ import annotations

import json

from lab.provision import __main__ as command

PROGRAM = """
vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", opts=here)
subnet = aws.ec2.Subnet("a", vpc_id=vpc.id, cidr_block="10.0.0.0/24", opts=here)
topic = aws.sns.Topic("t", name="t", display_name=config.get("title") or "T", opts=here)
pulumi.export("vpc", vpc.id)
"""


def state_and_calls(shop):
    path = shop.run_dir / "provision" / "prod.json"
    ec2, sns = shop.clients("ec2", "eu-west-1"), shop.clients("sns", "eu-west-1")
    return (
        path.read_bytes() if path.exists() else None,
        [v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"]],
        [t["TopicArn"] for t in sns.list_topics()["Topics"]],
    )


def test_a_preview_of_a_new_stack_touches_nothing(shop, actions):
    before = state_and_calls(shop)
    outcome = shop.up(PROGRAM, preview=True)
    assert actions(outcome) == [("create", "a"), ("create", "net"), ("create", "t")]
    assert state_and_calls(shop) == before


def test_a_preview_of_changes_touches_nothing(shop, actions):
    shop.up(PROGRAM)
    before = state_and_calls(shop)
    changed = PROGRAM.replace("10.0.0.0/24", "10.0.1.0/24")
    outcome = shop.up(changed, preview=True, title="Titled")
    assert actions(outcome) == [("replace", "a"), ("update", "t")]
    assert state_and_calls(shop) == before


def test_what_depends_on_an_output_that_an_update_changes_is_previewed_as_changed(shop, actions):
    program = """
    size = aws.ssm.Parameter("p", name="/p", type="String", value="VALUE", opts=here)
    title = size.version.apply(lambda version: f"version {version}")
    aws.sns.Topic("t", name="t", display_name=title, opts=here)
    """
    shop.up(program.replace("VALUE", "1"))
    changed = program.replace("VALUE", "2")
    previewed = actions(shop.up(changed, preview=True))
    assert previewed == [("update", "p"), ("update", "t")]
    assert actions(shop.up(changed)) == previewed


def test_another_explicit_provider_replaces_whatever_its_region(shop, actions):
    program = """
    other = aws.Provider("there", region="eu-west-1")
    aws.sns.Topic("t", name="t", opts=pulumi.ResourceOptions(provider=CHOSEN))
    """
    shop.up(program.replace("CHOSEN", "provider"))
    turned = program.replace("CHOSEN", "other")
    assert actions(shop.up(turned, preview=True)) == [("replace", "t")]


def test_a_preview_reports_deletions(shop, actions):
    shop.up(PROGRAM)
    before = state_and_calls(shop)
    outcome = shop.up("", preview=True)
    assert actions(outcome) == [("delete", "a"), ("delete", "net"), ("delete", "t")]
    assert state_and_calls(shop) == before


def test_the_command_prints_a_plan_and_a_document_for_machines(shop, capsys):
    shop.write(PROGRAM)
    base = ["--run-dir", str(shop.run_dir), "--project", str(shop.root), "prod", "--preview"]
    assert command.main(base) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "prod + create aws:ec2/vpc:Vpc net" in lines
    assert lines[-1].startswith("prod: lab preview: 3 create")
    assert command.main([*base, "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["summary"] == {"create": 3}
    assert {change["name"] for change in document["changes"]} == {"net", "a", "t"}


def test_the_command_tells_failures_apart(shop, capsys, monkeypatch):
    shop.write("1 / 0")
    base = ["--run-dir", str(shop.run_dir), "--project", str(shop.root)]
    assert command.main([*base, "prod"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert command.main([*base, "staging"]) == 2
    assert "Pulumi.staging.yaml does not exist" in capsys.readouterr().err
    assert command.main([*base, "prod", "--config", "size=two"]) == 2
    assert "two is not JSON" in capsys.readouterr().err
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert command.main([*base, "prod"]) == 2
    assert "AWS_ENDPOINT_URL is not set" in capsys.readouterr().err
