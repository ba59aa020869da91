"""A primary that products have left, and the command that brings them back to it."""

import io
import sys
from dataclasses import replace

from recovery import failback, failover, naming
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute
from tests.recovery.journeys import Journey
from tests.recovery.simulated import THERE

DATA, FANS = "rlg-data", "rlg-fans"


class Mortal(Journal):
    """A journal whose process may be killed, which closes nothing."""

    is_closed = False

    def close(self):
        self.is_closed = True
        super().close()

    def end(self):
        """Let go of what the process held."""
        if not self.is_closed:
            self.close()


class Command:
    """A command line in a simulated cloud, run as often as one likes, and killed perhaps."""

    def __init__(self, patch, folder, cloud, main):
        self._patch, self._cloud, self._main = patch, cloud, main
        self._journals = []
        patch.setenv("STANDBY_STATE", str(folder))
        patch.setattr(sys, "stdin", None)
        patch.setattr("recovery.journalling.Journal", self._opened)

    def __call__(self, *arguments):
        """Run it; return its exit code. Killed is raised."""
        self._patch.setattr(sys, "argv", list(arguments))
        try:
            return self._cloud.run(self._main)
        finally:
            while self._journals:
                self._journals.pop().end()

    def _opened(self, *told):
        self._journals.append(Mortal(*told))
        return self._journals[-1]


class Home:
    """A primary that was left, and the command that brings products back to it."""

    def __init__(self, patch, folder, products):
        self.products, self._folder = products, folder
        self.cloud = Journey(products=products).install(patch)
        self._command = Command(patch, folder, self.cloud, failback.main)
        patch.setattr("recovery.opening.cases", self._cases)
        for _ in range(9):
            self.cloud.pass_by()

    def _cases(self, region, names, *, execution, resolver):
        made = [self.case("failback", name) for name in names or self.products]
        return tuple(replace(each, execution=execution) for each in made)

    def case(self, verb, name=DATA, site="primary"):
        made = self.cloud.case_of(verb, site, name)
        return replace(made, product=replace(made.product, rto_seconds=7200))

    def execute(self, verb, procedure, site, name=DATA):
        case = self.case(verb, name, site)
        journal = Journal(self._folder, case.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return self.cloud.run(lambda: execute(case, procedure, journal, progress))
        finally:
            journal.close()

    def lose(self):
        """Fail over to dr; then the primary comes back."""
        self.cloud.strike("primary", dark=False)
        self.cloud.may_lose = True
        for name in self.products:
            assert self.execute("failover", failover.PROCEDURE, "dr", name).exit_code == 0
        self.cloud.heal()
        self.cloud.may_lose = False
        self.cloud.calls.clear()
        self.cloud.writes.clear()
        return self

    def __call__(self, *arguments):
        """Run the command; return its exit code."""
        return self._command("failback", "--region", THERE, *arguments)


def assert_home(cloud, name=DATA):
    active, standby = f"{name}-primary-1", f"{name}-dr-1"
    assert cloud.serves(name, "primary")
    assert cloud.get(f"{name}.example", 443, "/").status == 200
    told = [table[naming.assignment_item(name)] for table in cloud.tables.values()]
    assert {(each["site"], each["epoch"], each["settled"], each["claim"]) for each in told} == {
        ("primary", 3, True, False)
    }
    mine = {each.id: each.source for each in cloud.databases.values() if each.id.startswith(name)}
    assert {each: source for each, source in mine.items() if source} == {
        standby: cloud.databases[active].arn
    }
    assert (cloud.claims[name, "primary"], cloud.claims[name, "dr"]) == (0.0, 0.0)
    kept = cloud.acknowledged[name] - cloud.forgiven[name]
    assert kept <= set(cloud.rows[active]["public.entries"])
    assert not cloud.lost
    assert [each for each, _ in cloud.promoted_in if each.startswith(name)] == [standby, active]
    record = f"protections/{name}/3.json"
    assert sum(record in bucket for bucket in cloud.stored.values()) == 2
