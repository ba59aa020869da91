from __future__ import annotations

import json

import pytest

from lab.provision.config import parse_override, project, stack_config
from lab.provision.errors import UsageError

PROJECT = """
name: shop
main: stacks/
config:
  zone: shop.example
  size: {type: integer, default: 2}
  guard: {type: object, default: {ttl: 60, beat: 1}}
  secret: {type: string}
  aws:region: {value: eu-west-1}
  products:
    type: array
    items: {type: object}
    default: [{name: a, database: {version: "17", class: small}}, {name: b, database: {}}]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "Pulumi.dr.yaml").write_text("config:\n  shop:role: standby\n  guard: {ttl: 30}\n")
    return tmp_path


def config(folder, **overrides):
    return stack_config(project(folder), "dr", overrides)


def test_defaults_and_stack_values_become_qualified_strings(folder):
    found = config(folder)
    assert found["shop:zone"] == "shop.example"
    assert found["shop:size"] == "2"
    assert found["shop:role"] == "standby"
    assert found["aws:region"] == "eu-west-1"
    assert "shop:secret" not in found


def test_a_value_of_the_stack_replaces_the_default_whole_as_with_the_cli(folder):
    assert json.loads(config(folder)["shop:guard"]) == {"ttl": 30}


def test_an_override_that_is_an_object_is_merged(folder):
    found = config(folder, guard={"beat": 2})
    assert json.loads(found["shop:guard"]) == {"ttl": 30, "beat": 2}


def test_a_path_reaches_into_every_item_or_into_one(folder):
    found = config(
        folder, **{"products[*].database.version": "18", "shop:products[1].database.class": "big"}
    )
    first, second = json.loads(found["shop:products"])
    assert first == {"name": "a", "database": {"version": "18", "class": "small"}}
    assert second == {"name": "b", "database": {"version": "18", "class": "big"}}


def test_an_override_of_one_stack_leaves_the_next_alone(folder):
    described = project(folder)
    stack_config(described, "dr", {"products[*].name": "x"})
    assert json.loads(stack_config(described, "dr")["shop:products"])[0]["name"] == "a"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("role=active", "active is not JSON"),
        ("role", "KEY=JSON is needed"),
    ],
)
def test_a_wrong_override_is_told(text, told):
    with pytest.raises(UsageError, match=told):
        parse_override(text)


def test_an_index_that_does_not_exist_is_told(folder):
    with pytest.raises(UsageError, match=r"\[7\] is not in a list of 2"):
        config(folder, **{"products[7].name": "x"})


def test_an_encrypted_value_is_refused(folder):
    (folder / "Pulumi.dr.yaml").write_text("config:\n  shop:key: {secure: abc}\n")
    with pytest.raises(UsageError, match="key is encrypted"):
        config(folder)


def test_a_missing_stack_is_told(folder):
    with pytest.raises(UsageError, match=r"Pulumi.staging.yaml does not exist"):
        stack_config(project(folder), "staging")
