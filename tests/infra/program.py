"""Runs the stacks' programs in the SDK's test mode and returns what they declared."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import runpy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime import mocks, rpc, set_all_config, settings
from pulumi.runtime.stack import run_in_stack

ROOT = Path(__file__).parents[2]
STACK = "pulumi:pulumi:Stack"
SECRET = "4dabf18193072939515e22adb298388d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One registration, as the engine would get it."""

    type: str
    name: str
    inputs: dict[str, Any]
    provider: str
    """Name of the provider; empty: a default one."""
    region: str | None
    """Of the provider; None for components."""
    custom: bool
    protect: bool
    retain: bool
    ignore_changes: tuple[str, ...]
    parent: str
    """Type chain and name of what it belongs to."""
    secrets: frozenset[str]
    """Inputs that travel as secrets."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What the engine tells resources apart by."""
        return self.parent, self.type, self.name


@dataclass(slots=True, kw_only=True)
class Declaration:
    """All that one run of one stack's program declared, asked and exported."""

    stack: str
    resources: list[Declared] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()
    invokes: list[mocks.MockCallArgs] = field(default_factory=list)
    references: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Declared]:
        """Return the resources of a type, given without its `aws:` and module file."""
        return [each for each in self.resources if short(each.type) == kind]

    def one(self, kind: str, name: str) -> Declared:
        """Return the one resource of that type and name."""
        (found,) = [each for each in self.of(kind) if each.name == name]
        return found

    @property
    def custom(self) -> list[Declared]:
        """Everything but components and the providers themselves."""
        return [each for each in self.resources if each.custom and not is_provider(each)]


def short(token: str) -> str:
    """`aws:rds/instance:Instance` → `rds:Instance`."""
    package, _, rest = token.partition(":")
    module, _, kind = rest.partition(":")
    return f"{module.partition('/')[0]}:{kind}" if package == "aws" else token


def is_provider(each: Declared) -> bool:
    return each.type.startswith("pulumi:providers:")


def declare(
    stack: str,
    *,
    outputs: dict[str, dict[str, Any]] | None = None,
    config: dict[str, Any] | None = None,
    preview: bool = False,
) -> Declaration:
    """Run the program of `stack`, with the outputs of other stacks and changed configuration."""
    declaration = Declaration(stack=stack)
    monitor = _Monitor(declaration, outputs or {})
    configured = configuration(stack, config or {})
    contextvars.Context().run(_run, monitor, stack, configured, dry_run=preview)
    return declaration


def configuration(stack: str, changes: dict[str, Any]) -> dict[str, str]:
    """Return the stack's configuration as the CLI hands it over, with `changes` on top."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    own = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    values = {key: declared["default"] for key, declared in project["config"].items()}
    values = {f"standby:{key}": value for key, value in values.items()} | own
    values |= {f"standby:{key}": value for key, value in changes.items()}
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }


def _run(monitor: _Monitor, stack: str, config: dict[str, str], *, dry_run: bool) -> None:
    noise = logging.getLogger("asyncio")
    level = noise.level
    # After an error asyncio reports every output that nobody awaited.
    noise.setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    asyncio.set_event_loop(loop)
    try:
        settings.configure(
            settings.Settings(
                project="standby",
                stack=stack,
                monitor=monitor,
                engine=mocks.MockEngine(logging.getLogger("program")),
                dry_run=dry_run,
                organization="organization",
                root_directory=str(ROOT),
            )
        )
        set_all_config(config, [])
        loop.run_until_complete(run_in_stack(_program))
    finally:
        _close(loop)
        noise.setLevel(level)


def _program() -> None:
    runpy.run_path(str(ROOT / "stacks" / "__main__.py"), run_name="__main__")


def _close(loop: asyncio.AbstractEventLoop) -> None:
    # The mock monitor gives each worker thread a loop of its own, and there is one thread.
    loop.run_until_complete(loop.run_in_executor(None, _close_loop_of_this_thread))
    loop.run_until_complete(loop.shutdown_default_executor())
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    asyncio.set_event_loop(None)
    loop.close()
    gc.collect()  # what nobody awaited reports itself here, while asyncio's logger is silent


def _close_loop_of_this_thread() -> None:
    own = asyncio.get_event_loop_policy()._local._loop  # type: ignore[attr-defined]
    if own is not None:
        own.close()


class _Monitor(mocks.MockMonitor):
    """The SDK's own mock, which also keeps what it hides: protection, provider, parent."""

    def __init__(self, declaration: Declaration, outputs: dict[str, dict[str, Any]]) -> None:
        super().__init__(_Answers(declaration, outputs))
        self._declaration = declaration
        self._regions: dict[str, str] = {}

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Keep the whole chain of parents, as the engine does."""
        chain = parent.split("::")[2] + "$" if parent and STACK not in parent else ""
        return f"urn:pulumi:{settings.get_stack()}::standby::{chain}{type_}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        answer = super().RegisterResource(request)
        if request.type == STACK:
            return answer
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        if request.type == "pulumi:providers:aws":
            self._regions[answer.urn] = inputs["region"]
        provider = request.provider.rpartition("::")[0]
        self._declaration.resources.append(
            Declared(
                type=request.type,
                name=request.name,
                inputs=_plain(inputs),
                provider=provider.rpartition("::")[2],
                region=self._regions.get(provider),
                custom=request.custom,
                protect=request.protect,
                retain=request.retainOnDelete,
                ignore_changes=tuple(request.ignoreChanges),
                parent="::".join(request.parent.split("::")[2:]),
                secrets=frozenset(
                    key
                    for key, value in request.object.fields.items()
                    if SECRET in value.struct_value.fields
                ),
            )
        )
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if STACK in request.urn:
            outputs = rpc.deserialize_properties(request.outputs)
            self._declaration.outputs = _plain(outputs)
            self._declaration.secret_outputs = frozenset(
                key for key in outputs if _holds_secret(outputs[key])
            )
        return super().RegisterResourceOutputs(request)


class _Answers(mocks.Mocks):
    """What AWS would answer: the inputs, and a made-up value for what it computes."""

    def __init__(self, declaration: Declaration, outputs: dict[str, dict[str, Any]]) -> None:
        self._declaration = declaration
        self._outputs = outputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        self._declaration.invokes.append(args)
        match short(args.token):
            case "route53:getZone":
                return {"zoneId": "Z0ZONE", "name": args.args["name"]}
            case "ssm:getParameter":
                return {"value": "ami-0123456789abcdef0"}
            case "secretsmanager:getRandomPassword":
                return {"randomPassword": "new-random-password"}
            case "secretsmanager:getSecretVersion":
                return {"secretString": json.dumps({"username": "u", "password": "kept-password"})}
            case token:
                raise AssertionError(token)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = _plain(args.inputs)
        if args.typ == "pulumi:pulumi:StackReference":
            self._declaration.references.append(args.name)
            outputs = self._outputs[args.name.rpartition("/")[2]]
            return args.name, {"name": args.name, "outputs": outputs, "secretOutputNames": []}
        kind, name = short(args.typ), args.name
        arn = f"arn:aws:{kind.partition(':')[0]}:region:account:{kind}/{name}"
        return f"{kind}/{name}-id", {
            "arn": arn,
            "name": f"{name}-1234567",
            **inputs,
            **_COMPUTED.get(kind, lambda _: {})(name),
        }


_COMPUTED: dict[str, Any] = {
    "kms:Key": lambda name: {"keyId": f"key-{name}"},
    "ec2:LaunchTemplate": lambda _: {"latestVersion": 1},
    "lb:LoadBalancer": lambda name: {"dnsName": f"{name}.elb.example", "zoneId": "Z0ELB"},
    "acm:Certificate": lambda name: {
        "domainValidationOptions": [
            {
                "domainName": name,
                "resourceRecordName": f"_v.{name}",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": f"_w.{name}.acm.example",
            }
        ]
    },
    "route53:Record": lambda name: {"fqdn": f"{name}.example"},
    "rds:Instance": lambda name: {"address": f"{name}.rds.example", "engine": "postgres"},
}


def _plain(value: Any) -> Any:
    """Return the value without the wrappers of secrets."""
    if isinstance(value, dict):
        if SECRET in value:
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return SECRET in value or any(_holds_secret(item) for item in value.values())
    return isinstance(value, list) and any(_holds_secret(item) for item in value)
