"""Secrets with a username and a password that no state file, output or log ever holds."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

PASSWORD_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsArgs:
    """A secret, and where its replica goes."""

    secret: str
    username: str
    version: int
    """A higher one writes a new password."""
    key_arn: pulumi.Input[str]
    peer_region: str
    peer_is_dark: bool


class Credentials(pulumi.ComponentResource):
    """A secret with a random password, replicated to the peer's region.

    The replica is encrypted with that region's `aws/secretsmanager` key: a key of the peer's
    stack does not exist yet when the first site is made. While the peer is dark the replicas are
    left as they are, neither named nor taken away.
    """

    password: pulumi.Output[str]
    """What the secret holds, for a property that is written and never kept."""

    def __init__(
        self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Credentials", name, None, opts)
        secret = aws.secretsmanager.Secret(
            name,
            name=args.secret,
            kms_key_id=args.key_arn,
            replicas=None if args.peer_is_dark else [{"region": args.peer_region}],
            recovery_window_in_days=30,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=True,
                ignore_changes=["replicas"] if args.peer_is_dark else None,
            ),
        )
        version = aws.secretsmanager.SecretVersion(
            name,
            secret_id=secret.id,
            secret_string_wo=_new_password(self).apply(
                lambda password: json.dumps({"username": args.username, "password": password})
            ),
            secret_string_wo_version=args.version,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.password = _kept_password(self, version)
        self.register_outputs({})


def _new_password(parent: pulumi.Resource) -> pulumi.Output[str]:
    answer = aws.secretsmanager.get_random_password_output(
        # RDS takes no /, @, " or space in a password; a URL has no room for more than these.
        exclude_punctuation=True,
        password_length=PASSWORD_CHARACTERS,
        opts=pulumi.InvokeOptions(parent=parent),
    )
    return pulumi.Output.secret(answer.random_password)


def _kept_password(
    parent: pulumi.Resource, version: aws.secretsmanager.SecretVersion
) -> pulumi.Output[str]:
    """Return the password that the secret holds after this run, read back from it.

    A run that wrote the secret and broke off before the database leaves an old password behind:
    a new random one would then be given to the database alone. A preview reads no password.
    """
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.secret("unread-in-a-preview")
    answer = aws.secretsmanager.get_secret_version_output(
        secret_id=version.secret_id, opts=pulumi.InvokeOptions(parent=parent)
    )
    return pulumi.Output.secret(
        answer.secret_string.apply(lambda text: str(json.loads(text)["password"]))
    )
