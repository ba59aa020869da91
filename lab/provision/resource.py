"""One registration on its way to being real: created, adopted, updated, refused or left alone."""

from __future__ import annotations

import reprlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lab.provision import naming, sdk
from lab.provision.diff import WRITE_ONLY, Difference, difference, ignoring, touched
from lab.provision.errors import ProvisionError
from lab.provision.rows.row import Change, Row, Update
from lab.provision.state import Entry
from lab.provision.values import UNKNOWN, Properties, plain, recorded
from lab.provision.world import Action, Step, World, token

if TYPE_CHECKING:
    from lab.provision.providers import Provider
    from lab.provision.sdk import Answer, Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a registration stands in its stack."""

    urn: str
    retain: bool


_SHORT = reprlib.Repr()
_SHORT.maxstring = 80


class Resource:
    """One registration on its way to being real."""

    def __init__(
        self, world: World, provider: Provider, row: Row, registration: Registration, place: Place
    ) -> None:
        self._world = world
        self._row = row
        self._urn = place.urn
        self._registration = registration
        self._retain = place.retain
        self._schema = world.schema(registration.type)
        aliases = (world.state.get(alias) for alias in registration.aliases)
        self._entry = world.state.get(place.urn) or next((e for e in aliases if e), None)
        self._region = provider.region
        self._inputs = self._effective(provider.default_tags)
        self._attempt = self._entry.attempt if self._entry else secrets.token_hex(8)

    def settle(self) -> Answer:
        """Create, adopt, update or leave the resource, and answer what is known of it."""
        entry = self._entry
        if entry and entry.pending:
            entry = None if self._world.preview else self._adopt(entry)
        if entry is None:
            return self._create()
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
        tags = inputs.get("tags", {})
        if default_tags and self._schema.taggable and isinstance(tags, dict):
            inputs["tags"] = {**default_tags, **tags}
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
        if entry.provider not in {"", self._registration.provider}:
            # The engine replaces what comes from another explicit provider, whatever its region
            # (pkg/resource/deploy/step_generator.go of pulumi/pulumi, providerChanged).
            changed |= {"provider"}
            replacing |= {"provider"}
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
            token=token(self._urn, self._attempt),
            id=entry.id if entry else "",
            new=inputs,
            old=entry.inputs if entry else {},
            outputs=entry.outputs if entry else {},
            changed=found.changed if found else frozenset(inputs),
            taken=self._world.state.ids(self._row.type),
        )

    def _create(self) -> Answer:
        if self._world.preview:
            return self._previewed("create")
        planned = self._planned(outputs={})
        self._world.state.record(planned)
        change = self._change(None)
        made, outputs = self._completed(change.of(self._row.create(change)))
        self._world.state.record(replace(planned, id=made.id, outputs=outputs, pending=False))
        self._report("create")
        return self._answer(made.id, outputs)

    def _adopt(self, pending: Entry) -> Entry | None:
        """Return the entry of what an interrupted creation has made; None: it made nothing.

        It is completed as it was planned; what the program has changed since is an update.
        """
        change = replace(self._change(None), new=pending.inputs)
        id_ = self._world.claims.find(self._row, change)
        if id_ is None:
            return None
        made, outputs = self._completed(self._change(None).of(id_))
        adopted = replace(pending, id=made.id, outputs=outputs, pending=False)
        self._world.state.record(adopted)
        self._report("adopt")
        return adopted

    def _completed(self, change: Change) -> tuple[Change, Properties]:
        """Set what creating does not cover, and read what AWS knows now."""
        for update in self._row.updates:
            if update.at_creation and update.properties & change.new.keys():
                change = self._apply(update, change)
        return change, self._read(change)

    def _update(self, entry: Entry, found: Difference) -> Answer:
        if self._world.preview:
            self._report("update", found.changed)
            kept = {k: v for k, v in entry.outputs.items() if k not in self._row.moving}
            return self._answer(entry.id, {**kept, **self._known_changes(found)})
        change = self._change(entry, found)
        for each in self._row.updates:
            if each.properties & found.changed:
                change = self._apply(each, change)
        outputs = self._read(change)
        made = replace(self._planned(outputs=outputs), id=change.id, pending=False)
        self._world.state.record(made)
        self._report("update", found.changed)
        return self._answer(change.id, outputs)

    def _apply(self, update: Update, change: Change) -> Change:
        result = update.apply(change)
        return change.of(str(result)) if update.renews else change

    def _replace(self, entry: Entry, found: Difference) -> Answer:
        if self._world.preview:
            return self._previewed("replace", found.replacing)
        old, new = entry.inputs, self._recorded()
        details = ", ".join(
            f"{key}: {_SHORT.repr(old.get(key))} → {_SHORT.repr(new.get(key))}"
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
            attempt=self._attempt,
            pending=True,
            dependencies=registration.dependencies,
            parent=registration.parent,
            provider=registration.provider,
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
