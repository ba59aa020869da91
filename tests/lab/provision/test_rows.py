from __future__ import annotations

import json

import pulumi
import pulumi_aws
import pytest
from pulumi import _types

from lab.provision.rows import ROWS
from tests.lab.provision.everything import NOT_IN_MOTO, everything


@pytest.fixture
def program(shop):
    return everything(shop.clients)


def test_every_row_makes_something_real_and_a_second_run_changes_nothing(shop, program, actions):
    first = shop.up(program)
    made = {step.type for step in first.steps}
    assert made == set(ROWS) - NOT_IN_MOTO
    second = shop.up()
    assert actions(second) == []
    assert second.outputs == first.outputs


def forget(shop, keep=lambda resource: False):
    """Leave the state as a crash right after each effect would have left it."""
    path = shop.run_dir / "provision" / "prod.json"
    document = json.loads(path.read_text())
    for resource in document["resources"]:
        if not keep(resource):
            resource.update(pending=True, id="", outputs={})
    path.write_text(json.dumps(document))
    return document


def test_after_a_crash_every_resource_is_adopted_and_none_is_made_twice(shop, program, actions):
    first = shop.up(program)
    before = {r["urn"]: r["id"] for r in json.loads(shop.state())["resources"]}
    forget(shop)
    second = shop.up()
    assert [s.type for s in second.steps if s.action not in {"adopt", "same"}] == []
    after = {r["urn"]: r["id"] for r in json.loads(shop.state())["resources"]}
    alike = {urn for urn in before if "::address-" in urn}
    assert {u: i for u, i in after.items() if u not in alike} == {
        u: i for u, i in before.items() if u not in alike
    }
    assert {before[u] for u in alike} == {after[u] for u in alike}, "each has one of its own"
    assert second.outputs == first.outputs
    assert actions(shop.up()) == []


def test_everything_is_deleted_again(shop, program):
    shop.up(program)
    shop.up("")
    assert {step.action for step in shop.steps} == {"delete"}
    assert json.loads(shop.state())["resources"] == []


def classes():
    for type_token in ROWS:
        package, name = type_token.removeprefix("aws:").split("/")
        yield type_token, getattr(getattr(pulumi_aws, package), name.partition(":")[2])


@pytest.mark.parametrize(
    ("type_token", "resource"), list(classes()), ids=lambda value: str(value)[:60]
)
def test_a_row_knows_only_properties_that_the_type_has(type_token, resource):
    assert issubclass(resource, pulumi.CustomResource)
    names = set(_types.resource_pulumi_to_py_names(resource))
    assert ROWS[type_token].properties - names <= {"region"}


@pytest.mark.parametrize("row", list(ROWS.values()), ids=lambda row: row.type)
def test_a_property_is_either_replaced_or_changed_in_place(row):
    in_place = frozenset().union(*(update.properties for update in row.updates))
    assert not row.replace & in_place
    assert not row.local & (row.replace | in_place)
    assert row.source.startswith("internal/service/")
