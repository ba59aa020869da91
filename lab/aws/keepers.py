"""The services that keep keys, secrets, parameters and certificates: what AWS refuses of them."""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.acm import models as acm
from moto.kms import models as kms
from moto.route53.models import route53_backends
from moto.secretsmanager import models as secrets
from moto.ssm import models as ssm

from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable


def install() -> None:
    """Put the rules in front of moto's operations."""
    _install_ssm()
    _install_kms()
    _install_secrets()
    _install_acm()


_STANDARD_BYTES, _ADVANCED_BYTES = 4096, 8192
_VALUE = 2
"""Its position among the arguments of moto's put_parameter."""


def _install_ssm() -> None:
    backend: Any = ssm.SimpleSystemManagerBackend
    put = backend.put_parameter

    def put_parameter(self: Any, *arguments: Any, **named: Any) -> Any:
        """Refuse a value above its tier's size (PutParameter, AWS Systems Manager API)."""
        value, tier = arguments[_VALUE] or "", named.get("tier") or "Standard"
        limit = _STANDARD_BYTES if tier == "Standard" else _ADVANCED_BYTES
        if len(value.encode()) > limit:
            msg = f"{tier} tier parameters support a maximum parameter value of {limit} characters."
            if tier == "Standard":
                msg += " To create a larger parameter value, upgrade the parameter to use the "
                msg += "advanced-parameter tier."
            raise RefusedError("ValidationException", msg)
        return put(self, *arguments, **named)

    backend.put_parameter = put_parameter


def _install_kms() -> None:
    backend: Any = kms.KmsBackend

    def guarded(act: Callable[..., Any], at: int | str) -> Callable[..., Any]:
        def method(self: Any, *arguments: Any, **named: Any) -> Any:
            name = arguments[at] if isinstance(at, int) and arguments else named.get("key_id")
            if name:
                _check_enabled(self, str(name))
            return act(self, *arguments, **named)

        return method

    for name in ("encrypt", "generate_data_key"):
        setattr(backend, name, guarded(getattr(backend, name), 0))


def _check_enabled(backend: Any, name: str) -> None:
    """Refuse to work with a key that is disabled or pending deletion; moto lets it."""
    key = backend.keys.get(backend.any_id_to_key_id(name))
    if key is None or key.key_state == "Enabled":
        return
    if key.key_state == "PendingDeletion":
        raise RefusedError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    raise RefusedError("DisabledException", f"{key.arn} is disabled.")


def usable_key(region: str, name: str) -> bool:
    """Return whether a region has the key; an alias of AWS's own always exists."""
    if name.rpartition(":")[2].startswith("alias/aws/"):
        return True
    if name.startswith("arn:") and name.split(":")[3] != region:
        return False
    backend: Any = kms.kms_backends[ACCOUNT][region]
    key = backend.keys.get(backend.any_id_to_key_id(name))
    return key is not None and key.key_state == "Enabled"


def _install_secrets() -> None:
    backend: Any = secrets.SecretsManagerBackend
    create = backend.create_secret
    replicate = backend.replicate_secret_to_regions

    def check(region: str, key: str | None) -> None:
        if key and not usable_key(region, key):
            msg = f"The KMS key {key} does not exist in {region} or cannot be used"
            raise RefusedError("InvalidRequestException", msg)

    def create_secret(self: Any, **wanted: Any) -> Any:
        check(self.region_name, wanted.get("kms_key_id"))
        for replica in wanted.get("replica_regions") or []:
            check(replica["Region"], replica.get("KmsKeyId"))
        return create(self, **wanted)

    def replicate_to(self: Any, secret_id: str, replica_regions: Any, **named: Any) -> Any:
        for replica in replica_regions:
            check(replica["Region"], replica.get("KmsKeyId"))
        return replicate(self, secret_id, replica_regions, **named)

    backend.create_secret = create_secret
    backend.replicate_secret_to_regions = replicate_to


def _install_acm() -> None:
    bundle: Any = acm.CertBundle

    def check(self: Any) -> None:
        """Issue a certificate once its validation record is in a public zone, as ACM does."""
        if self.type != "AMAZON_ISSUED" or self.status != "PENDING_VALIDATION":
            return
        options = self.describe()["Certificate"].get("DomainValidationOptions", [])
        wanted = [one["ResourceRecord"] for one in options if "ResourceRecord" in one]
        zones: Any = route53_backends[ACCOUNT]["aws"].zones.values()
        present = {
            (record.name.rstrip("."), str(value).rstrip("."))
            for zone in zones
            for record in zone.rrsets
            if record.type == "CNAME"
            for value in record.records or []
        }
        if all((one["Name"].rstrip("."), one["Value"].rstrip(".")) in present for one in wanted):
            self.status = "ISSUED"

    bundle.check = check
