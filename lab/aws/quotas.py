"""Service quotas: running on-demand standard instances, in vCPUs, as EC2 counts them."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.servicequotas.responses import ServiceQuotasResponse

from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError
from lab.aws.patch import replace, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

STANDARD_VCPUS = "L-1216C47A"
"""Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances (Service Quotas console)."""

_STANDARD = tuple("acdhimrtz")
_DEFAULT = 256.0


class Quotas:
    """The vCPU quota of each region."""

    def __init__(self) -> None:
        self._vcpus: dict[str, float] = {}
        self.idle: Callable[[str], int] = lambda _region: 0
        """The vCPUs of a region that are reserved and idle."""

    def set(self, region: str, vcpus: float) -> None:
        """Change a region's quota."""
        self._vcpus[region] = vcpus

    def vcpus(self, region: str) -> float:
        """Return a region's quota."""
        return self._vcpus.get(region, _DEFAULT)

    def in_use(self, region: str) -> int:
        """Return the vCPUs of the region's pending and running standard instances."""
        return sum(
            vcpus_of(instance.instance_type)
            for instance in ec2_backends[ACCOUNT][region].all_instances()
            if instance.state in {"pending", "running"}
            and instance.instance_type.startswith(_STANDARD)
        )

    def refusal(
        self, region: str, instance_type: str, count: int, *, reserving: bool = False
    ) -> str | None:
        """Return why `count` more instances are not launched, or reserved; None when they are.

        Launched ones fill what is reserved and idle; reserved ones come on top of it.
        """
        if not instance_type.startswith(_STANDARD):
            return None
        more = count * vcpus_of(instance_type)
        limit = self.vcpus(region)
        idle = self.idle(region)
        taken = idle + more if reserving else max(idle, more)
        if self.in_use(region) + taken <= limit:
            return None
        return (
            f"You have requested more vCPU capacity than your current vCPU limit of {limit:.0f} "
            "allows for the instance bucket that the specified instance type belongs to."
        )


def vcpus_of(instance_type: str) -> int:
    """Return the vCPUs of an instance type; 2 for one that the lab does not know."""
    facts = INSTANCE_TYPES.get(instance_type, {})
    return int(facts.get("VCpuInfo", {}).get("DefaultVCpus", 2))


def install(quotas: Quotas) -> None:
    """Answer GetServiceQuota, and hold RunInstances to the quota."""

    def get_service_quota(response: ServiceQuotasResponse) -> ActionResult:
        service, code = response._get_param("ServiceCode"), response._get_param("QuotaCode")
        if (service, code) != ("ec2", STANDARD_VCPUS):
            msg = f"The quota {code} of {service} is not one that the lab models"
            raise RefusedError("NoSuchResourceException", msg)
        return ActionResult({"Quota": _described(quotas, response.region)})

    def run_instances(
        original: Any, backend: EC2Backend, image: str, count: int, *rest: Any, **wanted: Any
    ) -> Any:
        kind = wanted.get("instance_type") or "m1.small"
        if refusal := quotas.refusal(backend.region_name, kind, count):
            raise RefusedError("VcpuLimitExceeded", refusal)
        return original(backend, image, count, *rest, **wanted)

    replace(ServiceQuotasResponse, "get_service_quota", get_service_quota)
    wrap(EC2Backend, "run_instances", run_instances)


def _described(quotas: Quotas, region: str) -> dict[str, Any]:
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:ec2/{STANDARD_VCPUS}",
        "QuotaCode": STANDARD_VCPUS,
        "QuotaName": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        "Value": quotas.vcpus(region),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
