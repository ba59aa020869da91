"""The seam to Pulumi's Python SDK: runs a program with a monitor of ours in the engine's place.

Everything of `pulumi.runtime` stays in this module, its wire format in `wire`; the rest of the
lab sees the dataclasses below. The monitor advertises few features on purpose: without alias
specs the SDK computes alias URNs itself, without resource references it sends plain ids, and
transforms, hooks and parameterised packages are refused by the SDK before they are lost.
"""

# The SDK's internals carry few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false

from __future__ import annotations

import asyncio
import contextvars
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlparse

from google.protobuf import empty_pb2
from pulumi.runtime import set_all_config, settings
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from lab.provision.wire import decode, encode, with_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.provision.values import Properties

STACK_TYPE = "pulumi:pulumi:Stack"
STACK_REFERENCE = "pulumi:pulumi:StackReference"

_FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One resource as a program declares it."""

    type: str
    name: str
    parent: str
    custom: bool
    inputs: Properties
    provider: str
    """URN of the provider; empty: none was given."""
    dependencies: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    protect: bool = False
    retain: bool | None = None
    deleted_with: str = ""
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    """Options that the program gave and the lab does not model."""
    position: str = ""
    """File and line of the declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An existing resource that a program looks up by its id."""

    type: str
    name: str
    parent: str
    id: str
    inputs: Properties
    provider: str
    position: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A provider function that a program calls."""

    token: str
    arguments: Properties
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program gets to know about a resource; an empty id is unknown."""

    urn: str
    id: str = ""
    outputs: Properties = field(default_factory=dict[str, Any])


class Engine(Protocol):
    """What the monitor asks; each call runs in a worker thread."""

    def register(self, registration: Registration) -> Answer:
        """Make the resource what it is declared to be."""
        ...

    def read(self, reading: Reading) -> Answer:
        """Return what is known of an existing resource."""
        ...

    def invoke(self, invocation: Invocation) -> Properties:
        """Return what the provider function answers."""
        ...

    def outputs(self, urn: str, outputs: Properties) -> None:
        """Take the outputs of a component or of the stack."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One run of one stack."""

    project: str
    stack: str
    organisation: str
    root: Path
    config: dict[str, str]
    preview: bool
    workers: int = 16


def run(program: Callable[[], None], deployment: Deployment, engine: Engine) -> None:
    """Run `program` as the stack's program; every registration goes to `engine`.

    When it returns, or raises the first error that surfaced, no worker thread is left. Stacks run
    one after the other: two event loops of the SDK at once hang.
    """
    contextvars.Context().run(_run, program, deployment, engine)


def _run(program: Callable[[], None], deployment: Deployment, engine: Engine) -> None:
    noise = logging.getLogger("asyncio")
    level = noise.level
    # After one failure asyncio reports every output that was never awaited; Pulumi's own
    # executor silences it in the same way.
    noise.setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(deployment.workers, "provision"))
    asyncio.set_event_loop(loop)
    try:
        settings.configure(
            settings.Settings(
                project=deployment.project,
                stack=deployment.stack,
                monitor=_Monitor(engine),
                dry_run=deployment.preview,
                organization=deployment.organisation,
                root_directory=str(deployment.root),
            )
        )
        set_all_config(deployment.config, [])
        loop.run_until_complete(run_in_stack(program))
    finally:
        _close(loop)
        noise.setLevel(level)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what the program left behind; what already runs in a worker ends by itself."""
    loop.run_until_complete(loop.shutdown_default_executor())
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    asyncio.set_event_loop(None)
    loop.close()


class _Monitor:
    """Receives the protobuf requests that the real engine would get."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        answer = self._engine.register(_registration(request))
        return resource_pb2.RegisterResourceResponse(
            urn=answer.urn,
            id=answer.id,
            object=with_secrets(encode(answer.outputs), request.object),
        )

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        answer = self._engine.read(
            Reading(
                type=request.type,
                name=request.name,
                parent=request.parent,
                id=request.id,
                inputs=decode(request.properties),
                provider=_provider(request.provider),
                position=_position(request.sourcePosition),
            )
        )
        return resource_pb2.ReadResourceResponse(urn=answer.urn, properties=encode(answer.outputs))

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        result = self._engine.invoke(
            Invocation(
                token=request.tok,
                arguments=decode(request.args),
                provider=_provider(request.provider),
            )
        )
        return resource_pb2.ResourceInvokeResponse(**{"return": encode(result)})

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        self._engine.outputs(request.urn, decode(request.outputs))
        return empty_pb2.Empty()

    def GetDeploymentInfo(self, _request: Any) -> Any:  # noqa: N802
        return resource_pb2.DeploymentInfo(supportedFeatures=_FEATURES)

    def SignalAndWaitForShutdown(self, _request: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()


def _registration(request: Any) -> Registration:
    unsupported = {
        "import_": bool(request.importId),
        "replace_with": bool(request.replace_with),
        "replacement_trigger": request.HasField("replacement_trigger")
        and request.replacement_trigger.WhichOneof("kind") not in {None, "null_value"},
        "transforms": bool(request.transforms),
        "remote component": bool(request.remote),
    }
    return Registration(
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=request.custom,
        inputs=decode(request.object),
        provider=_provider(request.provider),
        dependencies=tuple(sorted(request.dependencies)),
        aliases=tuple(request.aliasURNs),
        protect=request.protect,
        retain=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        deleted_with=request.deletedWith,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        unsupported=tuple(name for name, given in unsupported.items() if given),
        position=_position(request.sourcePosition),
    )


def _provider(reference: str) -> str:
    """Return the URN in a provider reference, which is `URN::id`."""
    return reference.rpartition("::")[0]


def _position(position: Any) -> str:
    if not position.uri:
        return ""
    path = Path(unquote(urlparse(position.uri).path))
    if path.is_relative_to(Path.cwd().parent):
        path = path.relative_to(Path.cwd().parent)
    return f"{path}:{position.line}"
