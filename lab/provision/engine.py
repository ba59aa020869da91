"""Decides what each registration means - create, update, refuse, delete - and does it.

One engine serves one run of one stack. Its methods are called from worker threads; Pulumi's SDK
sees to it that a resource is registered only after those it depends on.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from lab.provision import naming, sdk
from lab.provision.diff import WRITE_ONLY, Difference, difference, ignoring, touched
from lab.provision.errors import ProvisionError
from lab.provision.rows.row import Change, Row
from lab.provision.state import Entry, State
from lab.provision.values import UNKNOWN, Properties, has_secret, plain, recorded, unknowns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from lab.provision.clients import Clients
    from lab.provision.providers import Provider, Providers
    from lab.provision.sdk import Answer, Invocation, Reading, Registration
    from lab.provision.wheel import Schema

Action = Literal["create", "adopt", "update", "replace", "delete", "retain", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was done, or in a preview would be done, with one resource."""

    action: Action
    type: str
    name: str
    urn: str
    properties: tuple[str, ...] = ()
    position: str = ""


class References(Protocol):
    """Where a StackReference is answered from."""

    def __call__(self, stack: str) -> Properties | None:
        """Return the outputs of `stack`; None: they are not known yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an engine works with."""

    rows: Mapping[str, Row]
    clients: Clients
    state: State
    schema: Callable[[str], Schema]
    references: References
    invoke: Callable[[Invocation, Provider, Clients], Properties]
    report: Callable[[Step], None]
    preview: bool = False


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
        return _Resource(self._world, self._providers, row, urn, registration, retain).settle()

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
            yield
        except BaseException as error:
            error.add_note(" ".join(part for part in (type_token, name, position) if part))
            with self._lock:
                self.errors.append(error)
            raise


class _Resource:
    """One registration on its way to being real."""

    def __init__(  # noqa: PLR0917
        self,
        world: World,
        providers: Providers,
        row: Row,
        urn: str,
        registration: Registration,
        retain: bool,  # noqa: FBT001
    ) -> None:
        self._world = world
        self._row = row
        self._urn = urn
        self._registration = registration
        self._retain = retain
        self._schema = world.schema(registration.type)
        aliases = (world.state.get(alias) for alias in registration.aliases)
        self._entry = world.state.get(urn) or next((e for e in aliases if e), None)
        provider = providers.of(registration.provider, registration.inputs)
        self._region = provider.region
        self._inputs = self._effective(provider.default_tags)

    def settle(self) -> Answer:
        """Create, adopt, update or leave the resource, and answer what is known of it."""
        entry = self._entry
        if entry is None or entry.pending:
            return self._create(entry)
        found = self._difference(entry)
        if refusal := self._row.refuse(self._change(entry, found)):
            raise ProvisionError(refusal)
        if found.replacing:
            return self._replace(entry, found)
        if found.changed:
            return self._update(entry, found)
        return self._leave(entry)

    def _effective(self, default_tags: dict[str, str]) -> Properties:
        """Return the inputs with the provider's tags, an automatic name and ignored changes."""
        inputs = dict(self._registration.inputs)
        if self._schema.taggable and (default_tags or "tags" in inputs):
            inputs["tags"] = {**default_tags, **inputs.get("tags", {})}
        if (auto := self._row.naming) and auto.property not in inputs:
            before = self._entry.inputs.get(auto.property) if self._entry else None
            inputs[auto.property] = before or naming.automatic(self._registration.name, auto.limit)
        if self._entry and self._registration.ignore_changes:
            inputs = ignoring(inputs, self._entry.inputs, self._registration.ignore_changes)
        return inputs

    def _difference(self, entry: Entry) -> Difference:
        found = difference(
            old=entry.inputs,
            outputs=entry.outputs,
            new=self._recorded(),
            computed=self._schema.computed,
            replace=self._row.replace,
            json_documents=self._row.json,
        )
        changed = found.changed - self._row.local - {"region"}
        replacing = (found.replacing & changed) | touched(
            changed, self._registration.replace_on_changes
        )
        if self._row.regional and entry.region != self._region:
            changed |= {"region"}
            replacing |= {"region"}
        return Difference(changed=changed, replacing=replacing)

    def _recorded(self) -> Properties:
        return {
            key: recorded(value, salt=f"{self._urn}.{key}")
            for key, value in self._inputs.items()
            if not key.endswith(WRITE_ONLY)
        }

    def _change(self, entry: Entry | None, found: Difference | None = None) -> Change:
        inputs = plain(self._inputs)
        return Change(
            clients=self._world.clients,
            service=self._row.service,
            region=self._region,
            name=self._registration.name,
            token=token(self._urn),
            id=entry.id if entry else "",
            new=inputs,
            old=entry.inputs if entry else {},
            outputs=entry.outputs if entry else {},
            changed=found.changed if found else frozenset(inputs),
            taken=self._world.state.ids(self._row.type),
        )

    def _create(self, pending: Entry | None) -> Answer:
        if self._world.preview:
            return self._previewed("create")
        planned = self._planned(outputs={})
        change = self._change(None)
        with translated():
            found = self._row.find(change) if pending else None
            if pending is None:
                self._world.state.record(planned)
            made = change.of(found or self._row.create(change))
            for each in self._row.updates:
                if (each.at_creation or found) and each.properties & change.new.keys():
                    each.apply(made)
            outputs = self._read(made)
        self._world.state.record(replace(planned, id=made.id, outputs=outputs, pending=False))
        self._report("adopt" if found else "create")
        return self._answer(made.id, outputs)

    def _update(self, entry: Entry, found: Difference) -> Answer:
        if self._world.preview:
            self._report("update", found.changed)
            return self._answer(entry.id, {**entry.outputs, **self._known_changes(found)})
        change = self._change(entry, found)
        with translated():
            for each in self._row.updates:
                if each.properties & found.changed:
                    each.apply(change)
            outputs = self._read(change)
        made = replace(self._planned(outputs=outputs), id=entry.id, pending=False)
        self._world.state.record(made)
        self._report("update", found.changed)
        return self._answer(entry.id, outputs)

    def _replace(self, entry: Entry, found: Difference) -> Answer:
        if self._world.preview:
            return self._previewed("replace", found.replacing)
        details = ", ".join(
            f"{key}: {entry.inputs.get(key)!r} → {self._recorded().get(key)!r}"
            for key in sorted(found.replacing)
        )
        msg = f"AWS would replace {entry.id} ({details}); the lab never replaces what is live"
        raise ProvisionError(msg)

    def _leave(self, entry: Entry) -> Answer:
        """Keep what is live; what only steers the provider is recorded all the same."""
        current = replace(self._planned(outputs=entry.outputs), id=entry.id, pending=False)
        if not self._world.preview and current != entry:
            self._world.state.record(current)
        self._report("same")
        return self._answer(entry.id, entry.outputs)

    def _previewed(self, action: Action, properties: frozenset[str] = frozenset()) -> Answer:
        self._report(action, properties)
        named = self._row.naming.property if self._row.naming else ""
        outputs = {named: self._inputs[named]} if named else {}
        return sdk.Answer(urn=self._urn, outputs={**self._registration.inputs, **outputs})

    def _known_changes(self, found: Difference) -> Properties:
        return {key: self._inputs[key] for key in found.changed if key in self._inputs}

    def _planned(self, *, outputs: Properties) -> Entry:
        registration = self._registration
        return Entry(
            urn=self._urn,
            type=self._row.type,
            name=registration.name,
            region=self._region,
            inputs=self._recorded(),
            outputs=outputs,
            pending=True,
            dependencies=registration.dependencies,
            parent=registration.parent,
            protect=registration.protect,
            retain=self._retain,
            deleted_with=registration.deleted_with,
        )

    def _read(self, change: Change) -> Properties:
        outputs = self._row.read(change)
        if outputs is None:
            msg = f"{change.id} was made, and AWS does not find it"
            raise ProvisionError(msg)
        return {key: value for key, value in outputs.items() if value is not None}

    def _answer(self, id_: str, outputs: Properties) -> Answer:
        """Return everything known; what a row forgets is unknown rather than silently None."""
        known = {**self._registration.inputs, **outputs}
        if self._row.naming:
            known.setdefault(self._row.naming.property, self._inputs[self._row.naming.property])
        if self._schema.taggable:
            known["tagsAll"] = self._inputs.get("tags", {})
        if self._row.regional:
            known["region"] = self._region
        forgotten = dict.fromkeys(self._schema.promised - known.keys(), UNKNOWN)
        return sdk.Answer(urn=self._urn, id=id_, outputs={**forgotten, **known})

    def _report(self, action: Action, properties: frozenset[str] = frozenset()) -> None:
        self._world.report(
            Step(
                action=action,
                type=self._row.type,
                name=self._registration.name,
                urn=self._urn,
                properties=tuple(sorted(properties)),
                position=self._registration.position,
            )
        )


def _write_only(row: Row) -> frozenset[str]:
    """Return the write-only twins of the row's versions: `passwordWo` of `passwordWoVersion`."""
    version = f"{WRITE_ONLY}Version"
    return frozenset(
        name.removesuffix("Version") for name in row.properties if name.endswith(version)
    )


def token(urn: str) -> str:
    """Return what idempotent calls for the resource `urn` carry."""
    return hashlib.sha256(urn.encode()).hexdigest()[:32]


@contextmanager
def translated() -> Generator[None]:
    """Turn what boto3 raises into one error that names operation, code and message."""
    try:
        yield
    except ClientError as error:
        fault: Any = error.response.get("Error", {})
        msg = f"{error.operation_name} was refused: {fault.get('Code')}: {fault.get('Message')}"
        raise ProvisionError(msg) from error
    except BotoCoreError as error:
        msg = f"AWS did not answer as expected: {error}"
        raise ProvisionError(msg) from error
