"""Worlds after each of recovery's verbs, states as exported before them, and a Pulumi in memory."""

import copy
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from recovery import naming
from recovery.reconciliation import checkpoint
from recovery.reconciliation.command import Ended, Pulumi
from recovery.reconciliation.operations import BACKUPS, FLEET, INSTANCE, RULES
from recovery.reconciliation.world import Fleet, Placed, SiteSeen, World
from tests.recovery import cases

PRODUCT = "rlg-data"
REGIONS = {"primary": "us-east-1", "dr": "us-west-2"}
COMPONENT = "standby:infra:BucketReplication"
DEPENDENT = "aws:ec2/launchTemplate:LaunchTemplate"


def database(site):
    return naming.database_id(PRODUCT, site, 1)


def seen(site, source=None, *, resource=None, days=7, hosts=2, sends=(), receives=None):
    return SiteSeen(
        name=site,
        region=REGIONS[site],
        databases={
            PRODUCT: Placed(
                resource_id=resource or f"db-{site}", source=source, retention_days=days
            )
        },
        fleets={PRODUCT: Fleet(minimum=hosts, desired=hosts)},
        sends=frozenset((PRODUCT, kind) for kind in sends),
        receives={PRODUCT: receives} if receives else {},
    )


def world(active, *sites, epoch=2):
    return World(
        topology=cases.topology(),
        active=active,
        epoch=epoch,
        sites={site.name: site for site in sites},
    )


DARK = SiteSeen(name="primary", region="us-east-1", silence="rds:DescribeDBInstances: no answer")
OLD_PRIMARY = seen("primary", sends=naming.REPLICATED)
"""Healed, and still believing that it is the writer."""
PROMOTED = seen("dr")
BEFORE = world(
    "primary",
    seen("primary", sends=naming.REPLICATED),
    seen("dr", database("primary"), days=1, hosts=1, receives="arn:ab-primary"),
    epoch=1,
)
FAILED_OVER = world("dr", DARK, PROMOTED)
HEALED = world("dr", OLD_PRIMARY, PROMOTED)
REPROTECTED = world(
    "dr",
    seen("primary", database("dr"), resource="db-new", days=1, hosts=1),
    seen("dr", sends=naming.REPLICATED),
)
COPYING = world(
    "dr",
    replace(REPROTECTED.sites["primary"], receives={PRODUCT: "arn:ab-dr"}),
    REPROTECTED.sites["dr"],
)
"""The same, once backups of the new active arrive."""
WENT_HOME = world(
    "primary",
    seen("primary", resource="db-new", sends=naming.REPLICATED),
    seen("dr", database("primary"), resource="db-newer", days=1, hosts=1),
    epoch=3,
)


def urn(stack, kind, name, parent=""):
    chain = f"{parent.split('::')[2]}$" if parent else ""
    return f"urn:pulumi:{stack}::standby::{chain}{kind}::{name}"


def resource(stack, kind, name, *, id_="", parent="", outputs=None, **more):
    values = outputs or {}
    return {
        "urn": urn(stack, kind, name, parent),
        "custom": bool(id_),
        "type": kind,
        "id": id_,
        "parent": parent,
        "inputs": {k: v for k, v in values.items() if k != "id"},
        "outputs": values,
        "kept-as-it-is": [name],
        **more,
    }


def document(*resources):
    return {"version": 3, "deployment": {"manifest": {"time": "T"}, "resources": list(resources)}}


def of_site(site, *, role, source=None, id_=None, days=7, hosts=2):
    """Return the state of a site's stack."""
    arn = f"arn:aws:rds:region:1:db:{source}" if source else ""
    known = {"identifier": database(site), "replicateSourceDb": arn, "backupRetentionPeriod": days}
    held = resource(
        site,
        INSTANCE,
        database(site),
        id_=id_ or f"db-{site}",
        outputs={**known, "id": id_ or f"db-{site}", "passwordWoVersion": 1},
        protect=True,
    )
    group = {"minSize": hosts, "desiredCapacity": hosts}
    return document(
        resource(site, checkpoint.STACK, f"standby-{site}", outputs={"site": {"role": role}}),
        resource(site, checkpoint.PROVIDER, site, id_="p"),
        held,
        resource(site, DEPENDENT, "t", id_="lt-1", dependencies=[held["urn"]]),
        resource(site, FLEET, f"{PRODUCT}-{site}", id_="g", outputs=group),
    )


def of_link(active, *, backups=True):
    """Return the state of the link's stack."""
    made = [resource("link", checkpoint.STACK, "standby-link")]
    made += [resource("link", checkpoint.PROVIDER, site, id_="p") for site in REGIONS]
    for kind in naming.REPLICATED:
        component = resource("link", COMPONENT, naming.bucket_replication(PRODUCT, kind))
        name = naming.replication_from(PRODUCT, kind, active)
        rules = resource("link", RULES, name, id_=f"bucket-{active}", parent=component["urn"])
        made += [component, rules]
    if backups:
        name = naming.backups_from(PRODUCT, active)
        made.append(resource("link", BACKUPS, name, id_=f"arn:ab-{active}"))
    return document(*made)


def states():
    """Return stack → state as it is while the primary is active."""
    return {
        "primary": of_site("primary", role="active"),
        "dr": of_site("dr", role="standby", source=database("primary"), days=1, hosts=1),
        "link": of_link("primary"),
    }


def parsed(of, stack="a stack"):
    return checkpoint.parse(json.dumps(of), stack)


@dataclass
class Memory:
    """A Pulumi in memory: it keeps states and values, and does what it is asked to them."""

    world: World
    states: dict = field(default_factory=states)
    values: dict = field(
        default_factory=lambda: {
            "primary": {"standby:site": "primary", "standby:role": "active", "standby:peer": "lit"},
            "dr": {"standby:site": "dr", "standby:role": "standby", "standby:peer": "lit"},
            "link": {"standby:active": "primary"},
        }
    )
    calls: list = field(default_factory=list)
    shows: dict = field(default_factory=dict)
    """Stack → steps of its preview, until it is updated."""
    fails: dict = field(default_factory=dict)
    """Begin of a command → how it ends."""

    @property
    def pulumi(self):
        return Pulumi(line="pulumi", run=self)

    @property
    def changing(self):
        quiet = ("config --json", "stack export", "preview")
        return [call for call in self.calls if not call.startswith(quiet)]

    def __call__(self, words):
        assert words[0] == "pulumi"
        assert words[-1] == "--non-interactive"
        stack = words[words.index("--stack") + 1]
        line = " ".join(words[1:-1])
        self.calls.append(line)
        for begin, ended in self.fails.items():
            if line.startswith(begin):
                return ended
        return Ended(code=0, out=self._answer(list(words[1:]), stack) or "", err="")

    def _answer(self, words, stack):
        match words:
            case ["config", "--json", *_]:
                return json.dumps({k: {"value": v} for k, v in self.values[stack].items()})
            case ["stack", "export", *_]:
                return json.dumps(self.states[stack])
            case ["preview", *_]:
                steps = self.shows.get(stack, [])
                return json.dumps({"steps": steps, "changeSummary": {"same": 9}})
        self._act(words, stack)
        return None

    def _act(self, words, stack):
        match words:
            case ["config", "set", key, value, *_]:
                self.values[stack][key] = value
            case ["stack", "import", *_]:
                self.states[stack] = given(words)
            case ["state", "delete", gone, *_]:
                self._forget(stack, gone)
            case ["import", *_]:
                self._import(stack, given(words))
            case ["refresh", *_]:
                for at in (at for at, word in enumerate(words) if word == "--target"):
                    self._refresh(stack, words[at + 1])
            case ["up", *_]:
                self._update(stack)

    def _update(self, stack):
        self.shows.pop(stack, None)
        if stack in REGIONS:
            root = self._of(stack)[0]
            root["outputs"]["site"]["role"] = self.values[stack]["standby:role"]

    def _of(self, stack):
        return self.states[stack]["deployment"]["resources"]

    def _forget(self, stack, gone):
        needed = {each for one in self._of(stack) for each in one.get("dependencies", ())}
        (found,) = [one for one in self._of(stack) if one["urn"] == gone]
        assert gone not in needed, "Pulumi deletes nothing from a state that others depend on"
        assert not found.get("protect"), "nor what is protected"
        self._of(stack).remove(found)

    def _import(self, stack, wanted):
        names = wanted["nameTable"]
        held = {one["urn"] for one in self._of(stack)}
        for each in wanted["resources"]:
            assert names[each["provider"]] in held
            parent = names[each["parent"]] if "parent" in each else ""
            made = resource(stack, each["type"], each["name"], id_=each["id"], parent=parent)
            assert made["urn"] not in held, "an import of what is there would replace it"
            self._of(stack).append(made)

    def _refresh(self, stack, target):
        (found,) = [one for one in self._of(stack) if one["urn"] == target]
        site = self.world.sites[stack]
        if found["type"] == FLEET:
            fleet = site.fleets[PRODUCT]
            assert fleet is not None
            found["outputs"] |= {"minSize": fleet.minimum, "desiredCapacity": fleet.desired}
            return
        placed = site.databases[PRODUCT]
        assert placed is not None
        assert found["id"] == placed.resource_id, "a refresh reads by the id"
        found["outputs"] |= {
            "replicateSourceDb": placed.source or "",
            "backupRetentionPeriod": placed.retention_days,
        }


def given(words):
    return copy.deepcopy(json.loads(Path(words[words.index("--file") + 1]).read_text()))
