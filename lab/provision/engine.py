"""Decides what each registration means - create, update, refuse, delete - and does it.

One engine serves one run of one stack. Its methods are called from worker threads; Pulumi's SDK
sees to it that a resource is registered only after those it depends on.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provision import naming, sdk
from lab.provision.diff import WRITE_ONLY
from lab.provision.errors import ProvisionError
from lab.provision.resource import Place, Resource
from lab.provision.rows.row import Change, Row
from lab.provision.values import Properties, has_secret, plain, unknowns
from lab.provision.world import World, token, translated

if TYPE_CHECKING:
    from collections.abc import Generator

    from lab.provision.providers import Providers
    from lab.provision.sdk import Answer, Invocation, Reading, Registration


class Engine:
    """The monitor's other half, for one run of one stack."""

    def __init__(self, world: World, providers: Providers, *, project: str, stack: str) -> None:
        self._world = world
        self._providers = providers
        self._project = project
        self._stack = stack
        self._lock = threading.Lock()
        self._declared: dict[str, bool] = {}
        self.exports: Properties = {}
        self.errors: list[BaseException] = []

    @property
    def declared(self) -> frozenset[str]:
        """URNs that the program has registered in this run."""
        return frozenset(self._declared)

    def register(self, registration: Registration) -> Answer:
        """Make the resource what it is declared to be; errors name where it is declared."""
        with self._noting(registration.type, registration.name, registration.position):
            return self._register(registration)

    def read(self, reading: Reading) -> Answer:
        """Return an existing resource, or the outputs of another stack."""
        with self._noting(reading.type, reading.name, reading.position):
            urn = naming.urn(self._stack, self._project, reading)
            if reading.type == sdk.STACK_REFERENCE:
                return sdk.Answer(urn=urn, id=reading.id, outputs=self._reference(reading))
            row = self._row(reading.type)
            provider = self._providers.of(reading.provider, reading.inputs)
            change = Change(
                clients=self._world.clients,
                service=row.service,
                region=provider.region,
                name=reading.name,
                token=token(urn),
                id=reading.id,
            )
            outputs = row.read(change)
            if outputs is None:
                msg = f"there is no {reading.type} with the id {reading.id} in {provider.region}"
                raise ProvisionError(msg)
            return sdk.Answer(urn=urn, id=reading.id, outputs=outputs)

    def invoke(self, invocation: Invocation) -> Properties:
        """Return what a provider function answers, from AWS."""
        with self._noting(invocation.token, "", ""):
            arguments = plain(invocation.arguments)
            provider = self._providers.of(invocation.provider, arguments)
            asked = replace(invocation, arguments=arguments)
            return self._world.invoke(asked, provider, self._world.clients)

    def outputs(self, urn: str, outputs: Properties) -> None:
        """Keep the stack's own outputs; components' are not kept."""
        if f"::{sdk.STACK_TYPE}::" not in urn:
            return
        with self._noting("stack", self._stack, ""):
            secret = sorted(name for name, value in outputs.items() if has_secret(value))
            if secret:
                msg = (
                    f"outputs {', '.join(secret)} hold a secret; the lab's state holds none, "
                    f"so export a secret's name and read it from Secrets Manager"
                )
                raise ProvisionError(msg)
            missing = [] if self._world.preview else unknowns(outputs)
            if missing:
                msg = f"outputs {', '.join(missing)} are not known; a row's read lacks them"
                raise ProvisionError(msg)
            self.exports = outputs

    def _register(self, registration: Registration) -> Answer:
        urn = naming.urn(self._stack, self._project, registration)
        retain = self._claim(urn, registration)
        if registration.unsupported:
            msg = f"option {', '.join(registration.unsupported)} is not modelled by the lab"
            raise ProvisionError(msg)
        if registration.type.startswith("pulumi:providers:"):
            return sdk.Answer(urn=urn, id=self._providers.add(urn, registration))
        if not registration.custom:
            return sdk.Answer(urn=urn)
        return self._resource(urn, registration, retain=retain)

    def _claim(self, urn: str, registration: Registration) -> bool:
        """Mark the URN as declared; return whether the resource is retained when it goes.

        `retain_on_delete` of a component does not reach its children by itself, as `protect` does.
        """
        with self._lock:
            if urn in self._declared:
                msg = "declared twice under the same name and parent; give one another name"
                raise ProvisionError(msg)
            inherited = self._declared.get(registration.parent, False)
            retain = inherited if registration.retain is None else registration.retain
            self._declared[urn] = retain
            self._consume_aliases(urn, registration.aliases)
            return retain

    def _consume_aliases(self, urn: str, aliases: tuple[str, ...]) -> None:
        """Let a renamed resource keep its entry: else the live one would be deleted."""
        state = self._world.state
        old = next((alias for alias in aliases if state.get(alias)), None)
        if old is None or state.get(urn):
            return
        if self._world.preview:
            self._declared[old] = False
        else:
            state.rename(old, urn)

    def _resource(self, urn: str, registration: Registration, *, retain: bool) -> Answer:
        row = self._row(registration.type)
        strange = sorted(registration.inputs.keys() - row.properties - _write_only(row))
        if strange:
            msg = (
                f"property {', '.join(strange)} is not in the lab's row of this type; "
                f"add it to lab/provision/rows"
            )
            raise ProvisionError(msg)
        missing = [] if self._world.preview else unknowns(registration.inputs)
        if missing:
            msg = f"input {', '.join(p.lstrip('.') for p in missing)} is not known; the row that "
            raise ProvisionError(msg + "it comes from does not read it")
        provider = self._providers.of(registration.provider, registration.inputs)
        place = Place(urn=urn, retain=retain)
        return Resource(self._world, provider, row, registration, place).settle()

    def _row(self, type_token: str) -> Row:
        row = self._world.rows.get(type_token)
        if row is None:
            msg = f"{type_token} has no row in lab/provision/rows; add one to provision it"
            raise ProvisionError(msg)
        return row

    def _reference(self, reading: Reading) -> Properties:
        outputs = self._world.references(reading.id.rpartition("/")[2])
        if outputs is not None:
            return {"name": reading.id, "outputs": outputs, "secretOutputNames": []}
        if self._world.preview:
            return {"name": reading.id}
        msg = f"stack {reading.id} has no outputs yet; provision it first"
        raise ProvisionError(msg)

    @contextmanager
    def _noting(self, type_token: str, name: str, position: str) -> Generator[None]:
        """Collect every error with the place in the program that it belongs to.

        The SDK lets only one error surface, and not always the first.
        """
        try:
            with translated():
                yield
        except BaseException as error:
            error.add_note(" ".join(part for part in (type_token, name, position) if part))
            with self._lock:
                self.errors.append(error)
            raise


def _write_only(row: Row) -> frozenset[str]:
    """Return the write-only twins of the row's versions: `passwordWo` of `passwordWoVersion`."""
    version = f"{WRITE_ONLY}Version"
    return frozenset(
        name.removesuffix("Version") for name in row.properties if name.endswith(version)
    )
