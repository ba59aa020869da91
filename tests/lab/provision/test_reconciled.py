"""The stacks in the lab's AWS after what recovery does to it: in line again, and nothing changes.

Recovery's own calls change AWS here, its own reconciliation drives the lab's stand-in for Pulumi.
"""

from __future__ import annotations

import contextlib
import io
import json
import time

import pytest

from lab import pulumi as lab_pulumi
from lab.configuration import STACKS
from lab.provision.errors import ProvisionError
from recovery import assign, assignment, naming, opening
from recovery.assignment import Assignment
from recovery.cloud import client, databases, hosts
from recovery.cloud.databases import AVAILABLE
from recovery.reconciliation import alignment
from recovery.reconciliation.command import CommandError, Ended, Pulumi
from recovery.reconciliation.operations import BACKUPS, INSTANCE, RULES, Import
from recovery.reconciliation.wanted import wanted
from recovery.reconciliation.world import look
from recovery.steps import reverse_files
from tests.lab.provision.whole import READY_SECONDS

EAST, WEST = "us-east-1", "us-west-2"


class Story:
    """Recovery at work beside the stacks."""

    def __init__(self, lab):
        self.lab = lab
        self.pulumi = Pulumi(line="lab pulumi", run=self._run)
        for stack in STACKS:
            self.pulumi.update(stack)
        for case in self.cases(EAST):
            assign.begin(case)
        self.exports = self.exported()

    def _run(self, words):
        given = lab_pulumi._parser().parse_args(list(words[2:]))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                answers = lab_pulumi._Answers(self.lab.run_dir, given.stack)
                code, err = answers.answer(given), ""
            except ProvisionError as error:
                code, err = lab_pulumi._FAILED, str(error)
        return Ended(code=code, out=out.getvalue(), err=err)

    def cases(self, region=WEST):
        return opening.cases(region, [], execution="failover-1", resolver=None)

    def exported(self):
        return {stack: self.pulumi.export(stack).document for stack in STACKS}

    def world(self):
        return look(self.cases())

    def reconcile(self):
        return {
            each.stack: alignment.align(
                self.pulumi, each, self.world, say=lambda _: None, keep=lambda *_: "/kept"
            )
            for each in wanted(self.world())
        }

    def previews(self):
        return {stack: self.pulumi.preview(stack) for stack in STACKS}

    def move(self, region, epoch):
        """Make the site in the region the active one, as a failover or a switchover does."""
        for case in self.cases(region):
            here = case.deployment
            databases.promote(case.here, here.database, here.backup_retention_days)
            hosts.scale(case.here, here.host_group, here.hosts_active)
            await_(case.here, here.database)
            moved = Assignment(
                site=case.site.name,
                epoch=epoch,
                claim=True,
                settled=True,
                execution=case.execution,
            )
            for where, table in assign._tables(case):
                assignment.write(where, table, case.product.name, moved)

    def protect_again(self, region, epoch):
        """Make the other site the standby of the one in the region, as a reprotect does."""
        for case in self.cases(region):
            there, name = case.turned.here, case.peer_deployment.database
            aside = naming.isolated_id(name, epoch)
            databases.rename(there, name, aside)
            await_(there, aside)
            self._replicate(case, name, databases.placement(there, aside))
            await_(there, name)
            databases.keep_backups(there, name, 1)
            await_(there, name)
            reverse_files.reverse(case)
            hosts.scale(there, case.peer_deployment.host_group, case.peer_deployment.hosts_standby)

    def _replicate(self, case, name, like):
        source = databases.describe(case.here, case.deployment.database)
        assert source is not None
        self.lab.clients("rds", case.there.name).create_db_instance_read_replica(
            DBInstanceIdentifier=name,
            SourceDBInstanceIdentifier=source.arn,
            SourceRegion=case.here.name,
            DBInstanceClass=like.instance_class,
            DBSubnetGroupName=like.subnet_group,
            DBParameterGroupName=like.parameter_group,
            VpcSecurityGroupIds=list(like.security_groups),
            Port=like.port,
            StorageType=like.storage_type,
            PubliclyAccessible=False,
            CopyTagsToSnapshot=True,
            MultiAZ=False,
            DeletionProtection=True,
            KmsKeyId=like.key,
            MaxAllocatedStorage=like.storage_limit,
            Tags=[{"Key": key, "Value": value} for key, value in like.tags],
        )


def left(found):
    """Return what is not in line, and why."""
    return {
        stack: (each.wanted.why, each.settings, each.operations, each.publishes, each.changes)
        for stack, each in found.items()
        if not each.is_in_line
    }


def await_(region, name):
    deadline = time.monotonic() + READY_SECONDS
    while (found := databases.describe(region, name)) is None or found.status != AVAILABLE:
        assert time.monotonic() < deadline, f"{name} is {found and found.status}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def story(fresh):
    lab = fresh()
    patch = pytest.MonkeyPatch()
    patch.setattr(client, "_pool", client._Pool())
    patch.setenv("AWS_ACCESS_KEY_ID", "LABOPERATOR000000000")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    patch.setenv("AWS_DEFAULT_REGION", WEST)
    patch.setenv("STANDBY_STATE", str(lab.run_dir / "operator"))
    yield Story(lab)
    patch.undo()


@pytest.mark.timeout(600)  # some twenty runs of the programs, one after the other
def test_the_stacks_stay_in_line_from_a_failover_to_the_return_home(story):
    assert left(story.reconcile()) == {}
    assert story.exported() == story.exports, "nothing was done where nothing is to be done"

    story.move(WEST, 2)
    after_failover = story.reconcile()
    assert after_failover["dr"].is_in_line
    assert {after_failover[stack].wanted.standing for stack in ("primary", "link")} == {"waits"}
    assert story.pulumi.preview("dr") == ()

    story.protect_again(WEST, 2)
    assert left(story.reconcile()) == {}
    assert story.previews() == dict.fromkeys(STACKS, ())
    aside = story.world().topology.products[0].deployments["primary"].database
    kept = databases.describe(client.Region(EAST), naming.isolated_id(aside, 2))
    assert kept is not None, "what was put aside is in no stack, and is still there"
    assert kept.resource_id not in json.dumps(story.exported())

    # As from a checkpoint of long ago: the same command, and all is well again.
    for stack, document in story.exports.items():
        story.pulumi.restore(stack, document)
    assert left(story.reconcile()) == {}
    assert story.previews() == dict.fromkeys(STACKS, ())

    story.move(EAST, 3)
    story.protect_again(EAST, 3)
    assert left(story.reconcile()) == {}
    assert story.previews() == dict.fromkeys(STACKS, ())


def test_what_pulumi_refuses_the_lab_refuses(story):
    state = story.pulumi.export("primary")
    database = next(each for each in state.resources if each.type == INSTANCE)
    rules = next(
        each for each in story.pulumi.export("link").resources if each.type in {RULES, BACKUPS}
    )
    with pytest.raises(CommandError, match="can't be safely deleted: it is protected"):
        story.pulumi.forget("primary", database)  # type: ignore[arg-type]
    table = next(each for each in state.resources if each.type.endswith(":SubnetGroup"))
    with pytest.raises(CommandError, match="can't be safely deleted: these depend on it"):
        story.pulumi.forget("primary", table)  # type: ignore[arg-type]

    provider = next(
        each
        for each in story.pulumi.export("link").resources
        if each.type == "pulumi:providers:aws" and each.name == "dr"
    )

    def take_in(name, id_):
        wanted_ = Import(
            type=rules.type,
            name=name,
            id=id_,
            provider=provider.urn,
            parent=rules.parent if rules.type == RULES else None,
            why="",
        )
        story.pulumi.take_in("link", wanted_)

    with pytest.raises(CommandError, match="does not exist"):
        take_in("another", "nothing-of-that-name")
    with pytest.raises(CommandError, match="exists already, as"):
        take_in(rules.name, "nothing-of-that-name")
