"""Network ACLs: what EC2 refuses of their entries, and how it says it."""

import pytest

from tests.lab.aws.asking import refusal

ENTRY = {"Egress": True, "RuleNumber": 100, "RuleAction": "deny", "Protocol": "6"}
ENTRY |= {"CidrBlock": "10.10.64.7/32", "PortRange": {"From": 5432, "To": 5432}}


@pytest.fixture
def ec2(aws):
    return aws.client("ec2")


@pytest.fixture
def acl(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.10.0.0/16")["Vpc"]["VpcId"]
    return ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]


def entries(ec2, acl):
    found = ec2.describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"][0]["Entries"]
    return [(each["Egress"], each["RuleNumber"], each["RuleAction"]) for each in found]


def test_a_new_acl_denies_everything(ec2, acl):
    assert sorted(entries(ec2, acl)) == [(False, 32767, "deny"), (True, 32767, "deny")]


def test_an_entry_that_is_not_there_is_no_entry(ec2, acl):
    missing = {"NetworkAclId": acl, "Egress": True, "RuleNumber": 100}
    assert refusal(ec2.delete_network_acl_entry, **missing) == "InvalidNetworkAclEntry.NotFound"


def test_an_entry_that_is_not_there_is_not_replaced(ec2, acl):
    code = refusal(ec2.replace_network_acl_entry, NetworkAclId=acl, **ENTRY)
    assert code == "InvalidNetworkAclEntry.NotFound"


def test_an_acl_that_is_not_there_is_no_acl(ec2):
    code = refusal(ec2.describe_network_acls, NetworkAclIds=["acl-0123456789abcdef0"])
    assert code == "InvalidNetworkAclID.NotFound"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"RuleNumber": 32767}, "InvalidParameterValue"),
        ({"RuleNumber": 0}, "InvalidParameterValue"),
        ({"CidrBlock": "rlg-data-primary-1"}, "InvalidParameterValue"),
        ({"PortRange": {"From": 5432}}, "MissingParameter"),
    ],
    ids=str,
)
def test_what_an_entry_must_say(ec2, acl, wrong, code):
    assert refusal(ec2.create_network_acl_entry, NetworkAclId=acl, **(ENTRY | wrong)) == code


def test_an_acl_has_twenty_rules_in_one_direction(ec2, acl):
    for number in range(1, 21):
        ec2.create_network_acl_entry(NetworkAclId=acl, **(ENTRY | {"RuleNumber": number}))
    ec2.create_network_acl_entry(NetworkAclId=acl, **(ENTRY | {"Egress": False}))
    code = refusal(ec2.create_network_acl_entry, NetworkAclId=acl, **ENTRY)
    assert code == "NetworkAclEntryLimitExceeded"
