"""Load of moto only what the lab uses: kept small, and imported in one place.

At import moto reads the tables of all instance types in all regions, and asks boto3 for all
regions several times over: 1.3 s and more than 80 MB (measured with 5.2.5). The lab plays in a few
regions with the current families.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Callable

_FAMILIES = re.compile(r"^(t3|t4g|m5|m6i|m6g|m7i|m7g|c5|c6i|c7i|r5|r6i|r7i)\.")
SERVICES = (
    "ec2", "sts", "iam", "dynamodb", "ssm", "secretsmanager", "sns", "cloudwatch", "kms",
    "route53", "acm", "s3", "autoscaling", "elbv2", "rds", "servicequotas",
)  # fmt: skip


def load(regions: tuple[str, ...], account: str) -> None:
    """Import the backends that the lab uses and make them for its regions.

    Must run before anything else imports moto.
    """
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    os.environ["MOTO_ACM_VALIDATION_WAIT"] = "0"
    module: Any = boto3
    plain, module.Session = module.Session, partial(_Partition, regions)
    try:
        from moto.utilities import utils  # noqa: PLC0415 - the order of imports is the point

        utils.load_resource = _lean(utils.load_resource, regions)
        from moto.backends import get_backend  # noqa: PLC0415

        _make(get_backend, regions, account)
    finally:
        module.Session = plain


class _Partition:
    """Stands for the sessions by which moto learns which regions there are, at 0.3 s each."""

    def __init__(self, regions: tuple[str, ...]) -> None:
        self._regions = list(regions)

    def get_available_partitions(self) -> list[str]:
        return ["aws"]

    def get_available_regions(
        self, service: str, partition_name: str = "aws", **_: Any
    ) -> list[str]:
        regional = partition_name == "aws" and service not in _GLOBAL
        return self._regions if regional else []


_GLOBAL = frozenset({"iam", "route53", "s3", "sts"})


def _make(get_backend: Any, regions: tuple[str, ...], account: str) -> None:
    """Make the backends, and spare each call two searches that moto repeats.

    At each call it reads the folder of its own modules, and asks the IAM of every partition whose
    access key this is, which makes them, with all of AWS's policies in each.
    """
    from moto import backends as found  # noqa: PLC0415
    from moto.iam import models  # noqa: PLC0415

    modules = tuple(found.list_of_moto_modules())
    found.list_of_moto_modules = lambda: iter(modules)
    iam: Any = models
    iam.PARTITION_NAMES = ["aws"]
    for service in SERVICES:
        backends: Any = get_backend(service)[account]
        for region in regions:
            _ = backends[region if region in backends.regions else "aws"]


def _lean(whole: Callable[[str], Any], regions: tuple[str, ...]) -> Callable[[str], Any]:
    def load_resource(resource: str) -> Any:
        name = resource.removesuffix(".gz")
        if name.startswith("ec2/resources/instance_type_offerings/"):
            region = name.rpartition("/")[2].split(".")[0]
            if region not in regions:
                return []
            return [offer for offer in whole(resource) if _FAMILIES.match(offer["InstanceType"])]
        if name == "ec2/resources/instance_types.json":
            types: dict[str, Any] = whole(resource)
            return {kind: facts for kind, facts in types.items() if _FAMILIES.match(kind)}
        return whole(resource)

    return load_resource
