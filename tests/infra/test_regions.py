"""Each region is reached through its own provider, and a site reaches its own only."""

import json

import pytest

from tests.infra.program import Declaration, configuration, declare, is_provider

RECORD = "route53:Record"
REGIONS = {"primary": "us-east-1", "dr": "us-west-2"}


def test_nothing_uses_a_default_provider(declaration: Declaration) -> None:
    assert [each.name for each in declaration.custom if not each.provider] == []
    assert all(each.provider for each in declaration.invokes)


def test_a_site_touches_its_own_region_only(site: Declaration) -> None:
    (provider,) = [each for each in site.resources if is_provider(each)]
    assert provider.inputs["region"] == REGIONS[site.stack]
    assert {each.region for each in site.custom} == {REGIONS[site.stack]}
    # The input `region` of pulumi-aws 7 would win over the provider.
    assert not [each for each in site.custom if "region" in each.inputs]
    assert not [each for each in site.invokes if "region" in each.args]


def test_providers_refuse_another_account(declaration: Declaration) -> None:
    providers = [each for each in declaration.resources if is_provider(each)]
    assert providers
    for provider in providers:
        assert json.loads(provider.inputs["allowedAccountIds"]) == ["123456789012"]


def test_default_providers_are_disabled_in_every_stack() -> None:
    for stack in ("primary", "dr", "link"):
        assert configuration(stack, {})["pulumi:disable-default-providers"] == '["aws"]'


def test_the_active_site_names_its_peer_only_to_replicate_its_secrets(
    primary: Declaration,
) -> None:
    named = {each.type for each in primary.custom if _names(each.inputs, "us-west-2")}
    assert {"aws:secretsmanager/secret:Secret"} == named - {"aws:iam/rolePolicy:RolePolicy"}


def test_a_dark_peer_is_named_nowhere(dr: Declaration) -> None:
    dark = declare("primary", config={"peer": "dark"}, outputs={"dr": dr.outputs})
    named = {each.type for each in dark.custom if _names(each.inputs, "us-west-2")}
    # Policies say what would be allowed; IAM asks no region about it.
    assert named == {"aws:iam/rolePolicy:RolePolicy"}
    for secret in dark.of("secretsmanager:Secret"):
        # To take the replicas away would need the dark region, and lose the password there.
        assert secret.ignore_changes == ("replicas",)


def test_an_active_site_needs_no_other_stack(primary: Declaration) -> None:
    assert primary.references == []


def test_while_the_peer_is_dark_route_53_is_asked_nothing(
    dr_active: Declaration, primary: Declaration
) -> None:
    # Its control plane is in us-east-1, and may be dark with the peer.
    assert [each for each in primary.invokes if "route53" in each.token]
    assert not [each for each in dr_active.invokes if "route53" in each.token]
    zones = {of.inputs["zoneId"] for each in (primary, dr_active) for of in each.of(RECORD)}
    assert zones == {"Z0ZONE"}


def test_networks_of_the_sites_never_overlap_and_their_zones_differ(
    primary: Declaration, dr: Declaration
) -> None:
    subnets = [each.inputs["cidrBlock"] for of in (primary, dr) for each in of.of("ec2:Subnet")]
    assert len(set(subnets)) == len(subnets) == 14
    for of in (primary, dr):
        zones = {each.inputs["availabilityZone"] for each in of.of("ec2:Subnet")}
        assert zones == {f"{REGIONS[of.stack]}a", f"{REGIONS[of.stack]}b"}


@pytest.mark.parametrize("stack", ["primary", "dr"])
def test_another_pair_of_regions_is_configuration_only(stack: str) -> None:
    sites = {
        "primary": {"region": "eu-west-1", "cidr": "10.30.0.0/16"},
        "dr": {
            "region": "eu-north-1",
            "cidr": "10.40.0.0/18",
            "zones": ["eu-north-1b", "eu-north-1c"],
        },
    }
    config = {"sites": sites, "witness": {"region": "eu-central-1"}, "role": "active"}
    declaration = declare(stack, config=config)
    assert {each.region for each in declaration.custom} == {sites[stack]["region"]}
    text = json.dumps([each.inputs for each in declaration.resources])
    assert not any(region in text for region in ("us-east-1", "us-west-2", "us-east-2"))


def _names(inputs: dict, region: str) -> bool:
    return region in json.dumps(inputs)
