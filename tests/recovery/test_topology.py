"""The document survives the trip, and one that is not right is refused with the place."""

import json

import pytest

from recovery.topology import MalformedTopologyError, decode, encode
from tests.recovery.cases import topology


def changed(**fields):
    return json.dumps(json.loads(encode(topology())) | fields).encode()


def test_a_topology_comes_back_as_it_was_written():
    assert decode(encode(topology())) == topology()


def test_equal_facts_are_equal_bytes():
    assert encode(topology()) == encode(decode(encode(topology())))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `schema_version`"),
        (changed(schema_version=2), "schema_version is 2; this program reads 1"),
        (changed(https_port="443"), r"Expected `int`, got `str` - at `\$.https_port`"),
        (changed(witness={}), r"missing required field `region` - at `\$.witness`"),
        (changed(sites={}), "exactly two are needed"),
    ],
)
def test_a_malformed_document_names_the_place_and_the_rule(document, says):
    with pytest.raises(MalformedTopologyError, match=says):
        decode(document)


def test_a_product_without_a_deployment_at_a_site_is_refused():
    document = json.loads(encode(topology()))
    del document["products"][0]["deployments"]["dr"]
    with pytest.raises(MalformedTopologyError, match="rlg-data has no deployment at"):
        decode(json.dumps(document).encode())


def test_a_document_from_before_there_was_a_fence_is_read():
    document = json.loads(encode(topology()))
    for deployment in document["products"][0]["deployments"].values():
        del deployment["fence"]
    read = decode(json.dumps(document).encode())
    assert [each.fence for each in read.products[0].deployments.values()] == [None, None]
