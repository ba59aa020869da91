from __future__ import annotations

import pytest

from lab.provision.errors import StackFailedError

VERSION = """
secret = aws.secretsmanager.Secret("s", name="shop/database", opts=here)
password = aws.secretsmanager.get_random_password_output(
    exclude_punctuation=True, password_length=20, opts=pulumi.InvokeOptions(provider=provider)
).random_password
version = aws.secretsmanager.SecretVersion(
    "v",
    secret_id=secret.id,
    secret_string_wo=pulumi.Output.secret(password).apply(lambda p: "made of " + p),
    secret_string_wo_version=1,
    opts=here,
)
"""


def test_a_write_only_value_reaches_aws_and_is_kept_nowhere(shop):
    shop.up(VERSION)
    aws = shop.clients("secretsmanager", "eu-west-1")
    value = aws.get_secret_value(SecretId="shop/database")["SecretString"]
    assert value.startswith("made of ")
    assert value not in shop.state()
    assert '"secretStringWo"' not in shop.state()


def test_another_random_password_in_the_next_run_is_no_change(shop, actions):
    shop.up(VERSION)
    assert actions(shop.up()) == []


def test_a_secret_input_is_kept_by_its_digest_and_its_change_is_seen(shop, actions):
    program = """
    value = pulumi.Output.secret("VALUE")
    aws.ssm.Parameter("p", name="/p", type="SecureString", value=value, opts=here)
    """
    shop.up(program.replace("VALUE", "hush"))
    assert "hush" not in shop.state()
    assert actions(shop.up(program.replace("VALUE", "hush"))) == []
    outcome = shop.up(program.replace("VALUE", "loud"))
    assert [s.properties for s in outcome.steps] == [("value",)]
    ssm = shop.clients("ssm", "eu-west-1")
    found = ssm.get_parameter(Name="/p", WithDecryption=True)["Parameter"]
    assert found["Value"] == "loud"


def test_a_secret_output_of_the_stack_is_refused(shop):
    with pytest.raises(StackFailedError, match=r"outputs password hold a secret"):
        shop.up('pulumi.export("password", pulumi.Output.secret("hush"))')


def test_a_secret_read_back_is_a_secret_to_the_program(shop):
    with pytest.raises(StackFailedError, match=r"outputs value hold a secret"):
        shop.up(
            VERSION
            + """
read = aws.secretsmanager.get_secret_version_output(
    secret_id=version.secret_id, opts=pulumi.InvokeOptions(provider=provider)
)
pulumi.export("value", read.secret_string)
"""
        )


def test_the_state_is_for_its_owner_only(shop):
    shop.up("")
    path = shop.run_dir / "provision" / "prod.json"
    assert path.stat().st_mode & 0o777 == 0o600
