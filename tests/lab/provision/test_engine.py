from __future__ import annotations

import pytest

from lab.provision.errors import StackFailedError

TOPIC = """
topic = aws.sns.Topic("orders", display_name="Orders", opts=here)
pulumi.export("arn", topic.arn)
"""


def test_a_resource_is_made_real_and_its_outputs_reach_the_program(shop, actions):
    outcome = shop.up(TOPIC)
    assert actions(outcome) == [("create", "orders")]
    arns = [t["TopicArn"] for t in shop.clients("sns", "eu-west-1").list_topics()["Topics"]]
    assert arns == [outcome.outputs["arn"]]
    assert ":orders-" in arns[0], "a name is given as the provider would"


def test_a_second_run_changes_nothing_and_keeps_the_automatic_name(shop, actions):
    first = shop.up(TOPIC)
    second = shop.up()
    assert actions(second) == []
    assert second.outputs == first.outputs


def test_a_change_in_place_is_made_and_touches_nothing_else(shop, actions):
    before = shop.up(TOPIC)
    outcome = shop.up(TOPIC.replace('"Orders"', '"All orders"'))
    assert actions(outcome) == [("update", "orders")]
    assert next(s.properties for s in outcome.steps) == ("displayName",)
    attributes = shop.clients("sns", "eu-west-1").get_topic_attributes(
        TopicArn=before.outputs["arn"]
    )["Attributes"]
    assert attributes["DisplayName"] == "All orders"


def test_what_aws_would_replace_is_refused_with_both_values(shop):
    shop.up('aws.sns.Topic("t", name="one", opts=here)')
    with pytest.raises(StackFailedError) as failure:
        shop.up('aws.sns.Topic("t", name="two", opts=here)')
    assert "would replace" in str(failure.value)
    assert "'one' → 'two'" in str(failure.value)
    assert "__main__.py:" in str(failure.value), "the error names the place in the program"
    names = [t["TopicArn"] for t in shop.clients("sns", "eu-west-1").list_topics()["Topics"]]
    assert [name.rpartition(":")[2] for name in names] == ["one"]


def test_a_preview_reports_a_replacement_instead_of_refusing_it(shop, actions):
    shop.up('aws.sns.Topic("t", name="one", opts=here)')
    outcome = shop.up('aws.sns.Topic("t", name="two", opts=here)', preview=True)
    assert actions(outcome) == [("replace", "t")]


def test_a_change_of_region_would_replace(shop, actions):
    shop.up('aws.sns.Topic("t", name="one", opts=here)')
    outcome = shop.up(
        'aws.sns.Topic("t", name="one", region="eu-central-1", opts=here)', preview=True
    )
    assert actions(outcome) == [("replace", "t")]
    assert next(s.properties for s in outcome.steps) == ("region",)


def test_what_is_declared_no_longer_is_deleted_after_what_depends_on_it(shop):
    shop.up(
        """
        vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", opts=here)
        subnet = aws.ec2.Subnet("a", vpc_id=vpc.id, cidr_block="10.0.0.0/24", opts=here)
        group = aws.ec2.SecurityGroup("g", vpc_id=vpc.id, opts=here)
        """
    )
    shop.up("")
    assert [(s.action, s.name) for s in shop.steps][-1] == ("delete", "net")
    assert {s.name for s in shop.steps} == {"net", "a", "g"}
    vpcs = shop.clients("ec2", "eu-west-1").describe_vpcs()["Vpcs"]
    assert [v for v in vpcs if not v["IsDefault"]] == []


def test_a_protected_resource_is_not_deleted_and_neither_is_anything_else(shop):
    shop.up(
        """
        kept = pulumi.ResourceOptions(provider=provider, protect=True)
        aws.sns.Topic("kept", name="kept", opts=kept)
        aws.sns.Topic("other", name="other", opts=here)
        """
    )
    with pytest.raises(StackFailedError, match=r"aws:sns/topic:Topic kept .*protected"):
        shop.up("")
    topics = shop.clients("sns", "eu-west-1").list_topics()["Topics"]
    assert len(topics) == 2


def test_children_of_a_retained_component_are_left_alone(shop, actions):
    shop.up(
        """
        class Pair(pulumi.ComponentResource):
            def __init__(self, name, opts):
                super().__init__("shop:index:Pair", name, None, opts)
                aws.sns.Topic(name, name="left", opts=pulumi.ResourceOptions(parent=self))

        Pair("pair", pulumi.ResourceOptions(provider=provider, retain_on_delete=True))
        """
    )
    outcome = shop.up("")
    assert actions(outcome) == [("retain", "pair")]
    assert len(shop.clients("sns", "eu-west-1").list_topics()["Topics"]) == 1
    assert actions(shop.up("")) == [], "it is forgotten"


def test_a_resource_moved_under_an_alias_stays_what_it_is(shop, actions):
    shop.up('aws.sns.Topic("old", name="t", opts=here)')
    outcome = shop.up(
        """
        moved = pulumi.ResourceOptions(provider=provider, aliases=[pulumi.Alias(name="old")])
        aws.sns.Topic("new", name="t", opts=moved)
        """
    )
    assert actions(outcome) == []
    assert len(shop.clients("sns", "eu-west-1").list_topics()["Topics"]) == 1


def test_children_of_nested_components_of_one_type_do_not_collide(shop, actions):
    outcome = shop.up(
        """
        class Box(pulumi.ComponentResource):
            def __init__(self, kind, name, opts):
                super().__init__(kind, name, None, opts)
                own = pulumi.ResourceOptions(parent=self)
                aws.sns.Topic("t", name=name, opts=own)

        outer = Box("shop:index:Outer", "one", pulumi.ResourceOptions(provider=provider))
        Box("shop:index:Inner", "two", pulumi.ResourceOptions(parent=outer))
        Box("shop:index:Inner", "three", pulumi.ResourceOptions(provider=provider))
        """
    )
    assert len(actions(outcome)) == 3


def test_ignored_changes_are_no_changes(shop, actions):
    program = """
    quiet = pulumi.ResourceOptions(provider=provider, ignore_changes=["displayName", "tags.team"])
    aws.sns.Topic("t", name="t", display_name="NAME", tags={"team": "NAME"}, opts=quiet)
    """
    shop.up(program.replace("NAME", "before"))
    assert actions(shop.up(program.replace("NAME", "after"))) == []


def test_removing_what_the_provider_computes_is_no_change(shop, actions):
    program = 'aws.kms.Key("k", description="Orders", opts=here)'
    shop.up(program)
    assert actions(shop.up('aws.kms.Key("k", opts=here)')) == []


def test_declaring_what_aws_chose_is_no_change(shop, actions):
    program = """
    vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", opts=here)
    subnet = aws.ec2.Subnet("a", vpc_id=vpc.id, cidr_block="10.0.0.0/24", CHOICE opts=here)
    pulumi.export("zone", subnet.availability_zone)
    """
    zone = shop.up(program.replace("CHOICE", "")).outputs["zone"]
    chosen = program.replace("CHOICE", f'availability_zone="{zone}",')
    assert actions(shop.up(chosen)) == []
    other = program.replace("CHOICE", 'availability_zone="eu-west-1x",')
    assert actions(shop.up(other, preview=True)) == [("replace", "a")]


def test_json_documents_of_equal_meaning_are_no_change(shop, actions):
    program = """
    import json
    text = json.dumps({"Version": "2012-10-17", "Statement": []}, indent=INDENT)
    aws.iam.Role("r", name="r", assume_role_policy=text, opts=here)
    """
    shop.up(program.replace("INDENT", "None"))
    assert actions(shop.up(program.replace("INDENT", "2"))) == []


def test_tags_of_the_provider_reach_what_is_tagged_and_only_that(shop):
    shop.up(
        """
        tagging = aws.Provider(
            "tagging", region="eu-west-1", default_tags={"tags": {"owner": "us", "tier": "low"}}
        )
        there = pulumi.ResourceOptions(provider=tagging)
        topic = aws.sns.Topic("t", name="t", tags={"tier": "high"}, opts=there)
        pulumi.export("all", topic.tags_all)
        pulumi.export("own", topic.tags)
        """
    )
    sns = shop.clients("sns", "eu-west-1")
    arn = sns.list_topics()["Topics"][0]["TopicArn"]
    tags = {t["Key"]: t["Value"] for t in sns.list_tags_for_resource(ResourceArn=arn)["Tags"]}
    assert tags == {"owner": "us", "tier": "high"}


def test_an_unknown_type_is_an_error_that_names_its_place(shop):
    with pytest.raises(StackFailedError, match=r"aws:sqs/queue:Queue has no row .*__main__.py:"):
        shop.up('aws.sqs.Queue("q", opts=here)')


def test_an_unknown_property_is_an_error_that_names_its_place(shop):
    with pytest.raises(StackFailedError, match=r"property tracingConfig .*t .*__main__.py:"):
        shop.up('aws.sns.Topic("t", tracing_config="Active", opts=here)')


def test_an_unknown_function_is_an_error(shop):
    with pytest.raises(StackFailedError, match=r"aws:index/getIpRanges:getIpRanges"):
        shop.up('aws.get_ip_ranges(services=["s3"], opts=pulumi.InvokeOptions(provider=provider))')


def test_a_default_provider_is_refused_where_it_is_disabled(shop):
    with pytest.raises(StackFailedError, match="no explicit provider"):
        shop.up('aws.sns.Topic("t")', **{"pulumi:disable-default-providers": ["aws"]})


def test_another_account_than_the_provider_allows_is_refused(shop):
    with pytest.raises(StackFailedError, match="account 123456789012 is not among 210987654321"):
        shop.up('aws.Provider("p", region="eu-west-1", allowed_account_ids=["210987654321"])')


def test_every_error_is_told_not_only_the_first(shop):
    with pytest.raises(StackFailedError) as failure:
        shop.up(
            """
            aws.sns.Topic("one", tracing_config="Active", opts=here)
            aws.sns.Topic("two", tracing_config="Active", opts=here)
            """
        )
    assert len(failure.value.causes) == 2


def test_what_aws_refuses_is_told_with_operation_and_code(shop):
    with pytest.raises(StackFailedError, match=r"CreateSubnet was refused: InvalidVpcID.NotFound"):
        shop.up('aws.ec2.Subnet("s", vpc_id="vpc-1", cidr_block="10.0.0.0/24", opts=here)')


def test_an_error_of_the_program_itself_is_told(shop):
    with pytest.raises(StackFailedError, match="ZeroDivisionError"):
        shop.up("1 / 0")


def test_transforms_are_refused_rather_than_lost(shop):
    with pytest.raises(StackFailedError, match="the lab runs no transforms"):
        shop.up(
            """
            changed = pulumi.ResourceOptions(provider=provider, transforms=[lambda args: None])
            aws.sns.Topic("t", opts=changed)
            """
        )


def test_numbers_are_integers_where_aws_takes_integers(shop):
    shop.up('aws.kms.Key("k", deletion_window_in_days=config.require_int("size") + 5, opts=here)')
    shop.up("")
    key = shop.clients("kms", "eu-west-1").list_keys()["Keys"][0]["KeyId"]
    found = shop.clients("kms", "eu-west-1").describe_key(KeyId=key)["KeyMetadata"]
    assert found["KeyState"] == "PendingDeletion"


def test_an_existing_resource_is_read_by_its_id(shop):
    arn = shop.clients("sns", "eu-west-1").create_topic(Name="theirs")["TopicArn"]
    outcome = shop.up(
        f"""
        topic = aws.sns.Topic.get("theirs", "{arn}", opts=here)
        pulumi.export("owner", topic.owner)
        """
    )
    assert outcome.outputs["owner"] == "123456789012"
    assert shop.steps == [], "what is only read is not ours"
