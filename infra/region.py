"""One region of the account: its explicit provider, and ARNs that are computed, not looked up."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region and the one provider through which everything in it is made."""

    name: str
    account: str
    provider: aws.Provider

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of this region and account."""
        return f"arn:aws:{service}:{self.name}:{self.account}:{resource}"

    def options(self) -> pulumi.ResourceOptions:
        """Return the options that place a component, and so all its children, here."""
        return pulumi.ResourceOptions(provider=self.provider)

    def invoke_options(self) -> pulumi.InvokeOptions:
        """Return the options that ask this region."""
        return pulumi.InvokeOptions(provider=self.provider)


def connect(name: str, region: str, account: str) -> Region:
    """Return `region`, with a provider called `name` that refuses any other account."""
    provider = aws.Provider(
        name,
        region=region,
        allowed_account_ids=[account],
        default_tags={"tags": {"project": "standby", "managed-by": "pulumi"}},
    )
    return Region(name=region, account=account, provider=provider)
