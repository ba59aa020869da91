"""Configuration that cannot work is refused with key, value and rule."""

import copy
import json
from typing import Any

import pulumi
import pytest

from infra.reading import InvalidSettingError
from infra.settings import Settings, parse
from tests.infra.program import configuration, declare

KEYS = ("organisation", "zone", "account", "secrets_home")
STRUCTURED = ("sites", "witness", "https_port", "guard", "products")


def values() -> dict[str, Any]:
    """Return the project's own configuration."""
    given = configuration("primary", {})
    texts = {key: given[f"standby:{key}"] for key in KEYS}
    return texts | {key: json.loads(given[f"standby:{key}"]) for key in STRUCTURED}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the configuration with one value changed; None takes the key away."""
    found = copy.deepcopy(values())
    *steps, last = path.split(".")
    at: Any = found
    for step in steps:
        at = at[int(step)] if step.isdigit() else at[step]
    if value is None:
        del at[last]
    elif last.isdigit():
        at[int(last)] = value
    else:
        at[last] = value
    return found


def test_the_projects_own_configuration_is_accepted() -> None:
    settings = parse(values())
    assert isinstance(settings, Settings)
    assert [product.name for product in settings.products] == ["rlg-data", "rlg-fans"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("organisation", "RLG", "organisation is 'RLG'; it must be lower-case letters"),
        ("account", "1234", "account is '1234'; it must be an AWS account of 12 digits"),
        ("zone", "rlg.example.", "zone is 'rlg.example.'; it must be a domain in lower case"),
        ("zone", None, "zone is missing; it must be a domain"),
        ("https_port", 0, "https_port is 0; it must be a whole number from 1 to 65535"),
        ("https_port", True, "https_port is True; it must be a whole number"),
        ("secrets_home", "tertiary", "secrets_home is 'tertiary'; it must be one of primary, dr"),
        ("sites.dr.region", "us-east-1", "sites.dr.region is 'us-east-1'; it must be one of three"),
        ("witness.region", "us-west-2", "witness.region is 'us-west-2'; it must be one of three"),
        ("sites.dr.cidr", "10.10.128.0/17", "sites.dr.cidr is '10.10.128.0/17'; it must be apart"),
        ("sites.dr.cidr", "8.8.0.0/16", "sites.dr.cidr is '8.8.0.0/16'; it must be a private"),
        ("sites.dr.cidr", "10.20.0.0/24", "it must be a private IPv4 network from /16 to /22"),
        ("sites.dr.zones", ["us-west-2a"], "it must be two different availability zones"),
        ("sites.dr.zones", ["us-west-1a"], "sites.dr.zones[0] is 'us-west-1a'; it must be a zone"),
        ("sites.third", {}, "sites.third is {}; it must be left out: this key is unknown"),
        ("guard.ttl_seconds", 0, "guard.ttl_seconds is 0; it must be a number from 1 to 3600"),
        ("guard.drift_seconds", 60, "guard.drift_seconds is 60; it must be below ttl_seconds"),
        ("guard.switch_seconds", 90, "guard.switch_seconds is 90; it must be a number from"),
        (
            "guard.tll_seconds",
            5,
            "guard.tll_seconds is 5; it must be left out: this key is unknown",
        ),
        ("products", [], "products is []; it must be a list of at least 1"),
        ("products", {}, "products is {}; it must be a list of at least 1"),
        ("products.0", 7, "products[0] is 7; it must be a mapping"),
        ("products.1.name", "rlg-data", "products[1].name is 'rlg-data'; it must be different"),
        ("products.0.name", "a-very-long-product", "products[0].name is 'a-very-long-product'"),
        ("products.0.name", "rlg--data", "it must be lower-case letters, digits and single"),
        ("products.0.domain", "data.example.com", "it must be a name below rlg.example"),
        ("products.0.contacts", [], "products[0].contacts is []; it must be a list of at least 1"),
        ("products.0.contacts", ["me"], "contacts[0] is 'me'; it must be an email address"),
        ("products.0.objectives.rto_minutes", 0, "objectives.rto_minutes is 0; it must be"),
        ("products.0.services.1.port", 5000, "services[1].port is 5000; it must be different"),
        ("products.0.services.1.path", "auth", "services[1].path is 'auth'; it must be a path"),
        ("products.0.hosts.standby", 3, "products[0].hosts.standby is 3; it must be at most"),
        ("products.0.hosts.reserve", "yes", "hosts.reserve is 'yes'; it must be true or false"),
        ("products.0.hosts.type", "large", "hosts.type is 'large'; it must be an instance type"),
        ("products.0.hosts.command", "services", "hosts.command is 'services'; it must be a comm"),
        ("products.0.hosts.command", "/run 'all", "it must be a command that starts with an abso"),
        ("products.0.hosts.command", "/run $ALL", "no shell reads it: no line break"),
        ("products.0.hosts.command", "/run\nEND", "no shell reads it: no line break"),
        ("products.0.hosts.image", "ami-1", "hosts.image is 'ami-1'; it must be the name of an"),
        ("products.0.database.engine", "oracle", "it must be one of postgres, mysql"),
        ("products.0.database.version", "14", "database.version is '14'; it must be a PostgreSQL"),
        ("products.0.database.version", 18, "database.version is 18; it must be a PostgreSQL"),
        (
            "products.0.database.class",
            "m6g.large",
            "database.class is 'm6g.large'; it must be such",
        ),
        ("products.0.database.retention_days", 0, "it must be a whole number from 1 to 35"),
        ("products.0.database.storage_gib", 10, "it must be a whole number from 20 to 32768"),
        ("products.0.journey.0.service", "web", "journey[0].service is 'web'; it must be one of"),
        ("products.0.journey.0.status", 42, "journey[0].status is 42; it must be a whole number"),
        ("products.0.journey.1.body", {"a": [1]}, "journey[1].body.a is [1]; it must be a text"),
        ("products.0.journey.1.capture", {"token": 1}, "capture.token is 1; it must be a key"),
        ("products.0.api_tests", "pytest", "api_tests is 'pytest'; it must be a list"),
    ],
)
def test_a_wrong_value_is_refused_with_key_value_and_rule(
    path: str, value: object, message: str
) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        parse(changed(path, value))
    assert message in str(refused.value)


def test_a_service_whose_target_group_would_have_too_long_a_name_is_refused() -> None:
    named = changed("products.0.services.3.name", "notification-senders")
    named["products"][0]["journey"] = []
    with pytest.raises(InvalidSettingError) as refused:
        parse(named)
    assert "services[3].name is 'notification-senders'" in str(refused.value)
    assert "rlg-data-primary-notification-senders would exceed 32 characters" in str(refused.value)


def test_the_command_of_hosts_may_have_quoted_words() -> None:
    settings = parse(changed("products.0.hosts.command", "/srv/run --title 'RLG Data'"))
    assert settings.products[0].hosts.command == "/srv/run --title 'RLG Data'"
    assert settings.products[1].hosts.command == "/opt/standby/services"


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(InvalidSettingError) as refused:
        parse(changed("organisation", "X" * 500))
    assert len(str(refused.value)) < 300


def test_a_stack_whose_configuration_says_another_site_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="site is 'dr'; it must be primary, the name of"):
        declare("primary", config={"site": "dr"})


def test_a_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="role is 'passive'; it must be one of active"):
        declare("primary", config={"role": "passive"})


def test_a_generation_of_an_unknown_product_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="generations.rlg-shop is 2; it must be left out"):
        declare("primary", config={"generations": {"rlg-shop": 2}})


def test_a_key_that_no_program_reads_is_refused() -> None:
    with pytest.raises(
        InvalidSettingError, match="standby:htps_port is '8443'; it must be left out"
    ):
        declare("primary", config={"htps_port": 8443})


def test_pulumi_prints_a_refusal_without_a_trace() -> None:
    assert issubclass(InvalidSettingError, pulumi.RunError)


def test_an_account_keeps_its_leading_zeros() -> None:
    declaration = declare("primary", config={"account": "000000000042"})
    assert declaration.outputs["site"]["bucket"] == "rlg-standby-000000000042-us-east-1"
