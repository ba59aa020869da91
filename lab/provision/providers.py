"""The explicit providers of a run: which region and which tags a resource gets."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.provision.errors import ProvisionError
from lab.provision.values import plain, unknowns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.provision.clients import Clients
    from lab.provision.sdk import Registration
    from lab.provision.values import Properties

_TYPE = "pulumi:providers:aws"
_KNOWN = frozenset(
    {
        "region",
        "defaultTags",
        "allowedAccountIds",
        "profile",
        "version",
        "s3UsePathStyle",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Where a resource goes, and the tags that it gets beside its own."""

    region: str
    default_tags: dict[str, str] = field(default_factory=dict[str, str])


class Providers:
    """The providers registered so far; the default one where configuration allows it."""

    def __init__(self, config: Mapping[str, str], clients: Clients) -> None:
        self._clients = clients
        self._lock = threading.Lock()
        self._providers: dict[str, Provider] = {}
        disabled = json.loads(config.get("pulumi:disable-default-providers", "[]"))
        region = config.get("aws:region", "")
        self._default = Provider(region=region) if region and not _off(disabled) else None

    def add(self, urn: str, registration: Registration) -> str:
        """Keep the provider and return its id, which is the same in every run."""
        if registration.type != _TYPE:
            msg = f"{registration.type} is not known; the lab stands in for {_TYPE}"
            raise ProvisionError(msg)
        inputs: Properties = plain(registration.inputs)
        if strange := sorted(inputs.keys() - _KNOWN):
            msg = f"property {', '.join(strange)} of a provider is not modelled by the lab"
            raise ProvisionError(msg)
        if not inputs.get("region") or unknowns(registration.inputs):
            msg = "a provider has no known region; give it one"
            raise ProvisionError(msg)
        self._refuse_other_accounts(inputs)
        tags = _json(inputs.get("defaultTags", {})).get("tags", {})
        with self._lock:
            self._providers[urn] = Provider(region=inputs["region"], default_tags=tags)
        return str(uuid.uuid5(uuid.NAMESPACE_URL, urn))

    def _refuse_other_accounts(self, inputs: Properties) -> None:
        allowed = _json(inputs.get("allowedAccountIds", []))
        if not allowed:
            return
        account = self._clients("sts", inputs["region"]).get_caller_identity()["Account"]
        if account not in allowed:
            msg = f"account {account} is not among {', '.join(allowed)}, which the provider allows"
            raise ProvisionError(msg)

    def of(self, urn: str, inputs: Properties) -> Provider:
        """Return the provider `urn`; a `region` among the inputs wins over its region."""
        provider = self._providers.get(urn) if urn else self._default
        region = inputs.get("region")
        if provider is None:
            msg = "no explicit provider, and default ones are disabled; give one in its options"
            raise ProvisionError(msg)
        if isinstance(region, str):
            return Provider(region=region, default_tags=provider.default_tags)
        return provider


def _off(disabled: list[str]) -> bool:
    return "aws" in disabled or "*" in disabled


def _json(value: Any) -> Any:
    """Return a provider's input, which arrives as a JSON string unless it is a string."""
    return json.loads(value) if isinstance(value, str) else value
