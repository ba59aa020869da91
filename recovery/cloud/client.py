"""Clients of AWS: one session, one client per service and region, timeouts that are said.

The SDK is imported with the first client. A session is no thread's to share while it builds
clients (boto3's documentation), clients are: so they are built under one lock and kept.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from recovery.cloud import errors
from recovery.cloud.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botocore.config import Config
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

calling_step: ContextVar[str] = ContextVar("calling_step", default="")
"""`<product>/<step>` on whose behalf calls are made; they carry it in their User-Agent, where
CloudTrail shows it. A thread sees it only when started within a copy of the context."""

operation: ContextVar[str] = ContextVar("operation", default="")
"""`service:Operation` of the latest call in this context, for messages."""

tally = Tally()
"""The calls of this process, by `calling_step`."""

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
ATTEMPTS = 3
ONCE_SECONDS = 2.0

Service = Literal[
    "autoscaling",
    "cloudwatch",
    "dynamodb",
    "ec2",
    "elbv2",
    "rds",
    "s3",
    "secretsmanager",
    "service-quotas",
    "sns",
    "ssm",
    "sts",
]


@dataclass(frozen=True, slots=True)
class Region:
    """A handle of one region; cheap to make, equal handles share their clients.

    `once` is for a region that may be dead: a single attempt that gives up after 2 s without a
    connection or an answer, instead of three of 2 s to connect and 5 s to read.
    """

    name: str
    once: bool = False

    @overload
    def client(self, service: Literal["autoscaling"]) -> AutoScalingClient: ...
    @overload
    def client(self, service: Literal["cloudwatch"]) -> CloudWatchClient: ...
    @overload
    def client(self, service: Literal["dynamodb"]) -> DynamoDBClient: ...
    @overload
    def client(self, service: Literal["ec2"]) -> EC2Client: ...
    @overload
    def client(self, service: Literal["elbv2"]) -> ElasticLoadBalancingv2Client: ...
    @overload
    def client(self, service: Literal["rds"]) -> RDSClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
    @overload
    def client(self, service: Literal["service-quotas"]) -> ServiceQuotasClient: ...
    @overload
    def client(self, service: Literal["sns"]) -> SNSClient: ...
    @overload
    def client(self, service: Literal["ssm"]) -> SSMClient: ...
    @overload
    def client(self, service: Literal["sts"]) -> STSClient: ...
    def client(self, service: Service) -> Any:
        """Return the shared client of `service`, building it the first time."""
        return _pool.client(self, service)


def prepare(regions: Iterable[Region], services: Iterable[Service]) -> None:
    """Build the clients that will be needed, so that no step pays for them."""
    wanted = tuple(services)
    for region in regions:
        for service in wanted:
            _pool.client(region, service)


def known_regions() -> frozenset[str]:
    """Return the regions that the SDK knows of; a newer region may be missing."""
    return _pool.known_regions()


def sdk_errors() -> tuple[type[Exception], ...]:
    """Return every kind of error that the SDK raises for a call; no other exception."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    return (BotoCoreError, ClientError, ResponseParserError)


class _Pool:
    """One session and the clients made from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[Region, Service], Any] = {}

    def client(self, region: Region, service: Service) -> Any:
        found = self._clients.get((region, service))
        if found is not None:
            return found
        with self._lock:
            key = (region, service)
            if key not in self._clients:
                self._clients[key] = self._build(region, service)
            return self._clients[key]

    def known_regions(self) -> frozenset[str]:
        with self._lock:
            session = self._opened()
            partitions = cast("list[str]", session.get_available_partitions())
            return frozenset(
                name
                for partition in partitions
                for name in session.get_available_regions("ec2", partition_name=partition)
            )

    def _build(self, region: Region, service: Service) -> Any:
        built = self._opened().create_client(
            service, region_name=region.name, config=_config(once=region.once)
        )
        built.meta.events.register("before-call", _note_operation)
        built.meta.events.register("before-send", _name_step)
        built.meta.events.register("after-call", _count_answer)
        built.meta.events.register("after-call-error", _count_silence)
        return built

    def _opened(self) -> Any:
        if self._session is None:
            import botocore.session  # noqa: PLC0415

            from recovery.cloud import models  # noqa: PLC0415

            self._session = botocore.session.get_session()
            self._session.register_component("data_loader", models.loader())
        return self._session


def _config(*, once: bool) -> Config:
    from botocore.config import Config  # noqa: PLC0415

    return Config(
        connect_timeout=ONCE_SECONDS if once else CONNECT_SECONDS,
        read_timeout=ONCE_SECONDS if once else READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1 if once else ATTEMPTS},
        max_pool_connections=32,
        user_agent_extra="standby-recovery",
    )


def _note_operation(model: Any, **_: object) -> None:
    operation.set(f"{model.service_model.service_name}:{model.name}")


def _name_step(request: Any, **_: object) -> None:
    """Say in the User-Agent, which is not signed, on whose behalf the call is made."""
    if step := calling_step.get():
        present = request.headers["User-Agent"]
        agent = present.decode() if isinstance(present, bytes) else present
        request.headers["User-Agent"] = f"{agent} step#{step}"


def _count_answer(parsed: Any, context: Any, **_: object) -> None:
    region, failed = context["client_region"], False
    if "Error" in parsed:
        error = errors.from_answer(operation.get(), region, parsed)
        failed = not isinstance(error, errors.NotFoundError | errors.ConflictError)
    tally.add(calling_step.get(), region, operation.get(), failed=failed)


def _count_silence(context: Any, **_: object) -> None:
    tally.add(calling_step.get(), context["client_region"], operation.get(), failed=True)


_pool = _Pool()
