"""Clouds whose calls may meet a trouble, and what must hold in them, whatever happened."""

import time
from dataclasses import replace

from recovery import assign, naming
from recovery.cloud.call import uses
from recovery.cloud.client import Region
from recovery.database.errors import DatabaseUnreachableError
from tests.recovery import planned, protecting
from tests.recovery.simulated import GUARD, HERE, OURS, THERE, WITNESS, Cloud
from tests.recovery.suites.troubles import Trouble

PRODUCT, NEW = "rlg-data", "rlg-data-dr-1"
ASSIGNMENT = naming.assignment_item(PRODUCT)
RTO_SECONDS = 1
FULL_SCALE = 2


def said(lacks):
    """Return what of it is so, in one line; empty: nothing."""
    return "; ".join(text for text, is_so in lacks.items() if is_so)


@uses("sts:GetCallerIdentity")
def _translated(_region, work):
    """Do the work as recovery.cloud does a call: errors translated, throttled ones repeated."""
    return work()


class Troubled(Cloud):
    """A cloud whose calls may meet a trouble, and that remembers when what took effect."""

    trouble: Trouble | None = None

    def __init__(self, *told, **named):
        super().__init__(*told, **named)
        self.assigned_at = {}
        """Region → when its table first named the new site; by the monotonic clock."""
        self.promoted_at = None

    def case(self, name=PRODUCT, **accepted):
        made = super().case(name, **accepted)
        return replace(made, product=replace(made.product, rto_seconds=RTO_SECONDS))

    def call(self, region, function, subject, act, *, writes=False):
        def once():
            return super(Troubled, self).call(region, function, subject, act, writes=writes)

        if not isinstance(region, Region):
            return self._in_session(region, once)
        return _translated(replace(region, once=True), once)

    def _in_session(self, session, work):
        """A database knows nothing of AWS's words: what goes wrong there is a broken session."""
        try:
            return work()
        except Exception as error:
            if type(error).__module__.startswith("botocore"):
                raise DatabaseUnreachableError(session.id, str(error)) from error
            raise

    def _faulted(self, call, process, act):
        def noted():
            began, promotions = time.monotonic(), len(self.promotions)
            found = act()
            if len(self.promotions) > promotions:
                self.promoted_at = self.promoted_at or began
            item = self.tables.get(call.region, {}).get(ASSIGNMENT)
            if item and item["site"] == "dr":
                self.assigned_at.setdefault(call.region, time.monotonic())
            return found

        if self.trouble is None:
            return super()._faulted(call, process, noted)
        return self.trouble.meet(call, noted, writes=call in self.writes)

    def waited(self):
        """Say whether guards of the old site could serve no more when it was promoted."""
        if self.promoted_at is None:
            return True
        seconds = GUARD.ttl_seconds + GUARD.drift_seconds
        second = sorted(self.assigned_at.values())[1:2]
        return bool(second) and self.promoted_at >= second[0] + seconds

    # What must hold, as the story's last run has ended.

    def is_over(self):
        """Say whether the plan came to its end."""
        item = self.tables[HERE][ASSIGNMENT]
        return (item["site"], item["settled"]) == ("dr", True)

    def assignments(self):
        """Return what the three tables say."""
        return [dict(self.tables[region][ASSIGNMENT]) for region in (HERE, WITNESS, THERE)]

    def promotions_unseen(self):
        """Return how many promotions were asked for that RDS does not show yet."""
        found = self.databases[NEW]
        return 0 if found.source is None or found.status != "available" else len(self.promotions)

    def is_point_recorded(self):
        """Say whether the promotion may have been asked for."""
        return naming.recovery_point_key(PRODUCT, 2) in self.objects

    def wrong_when_taken_back(self):
        """Say what the old site lacks to serve as before."""
        if self.closed:
            return f"taken back, and closed: {self.closed}"
        found = {each["site"] for each in self.assignments()}
        return "" if found == {"primary"} else f"taken back, and assigned to {found}"

    def wrong_ever(self):
        """Say what must never be, however far a plan came."""
        if len(self.promotions) > 1:
            return f"{len(self.promotions)} promotions"
        if not self.waited():
            return "the old site may still have written when the new one was promoted"
        return ""

    def wrong_in_the_end(self):
        """Say what the right end lacks."""
        self.run(lambda: assign.complete(self.case()))
        return self.differ() or said(
            {
                f"promoted: {self.promotions}": self.promotions != [NEW],
                "the new database is closed": NEW in self.closed,
                f"claims: {self.claims}": self.claims != {(PRODUCT, "dr"): 1.0},
                "not at full scale": self.groups[HERE, f"{PRODUCT}-dr"][0] != FULL_SCALE,
                f"snapshots: {list(self.snapshots)}": len(self.snapshots) > 1,
            }
        )

    def differ(self):
        """Say that the tables do not agree, or are not settled."""
        told = {(each["site"], each["epoch"], each["settled"]) for each in self.assignments()}
        agreed = len(told) == 1 and all(settled for *_, settled in told)
        return "" if agreed else f"the tables: {self.assignments()}"


class TroubledPair(Troubled, planned.Pair):
    """Two sites that are well, and the same."""

    def waited(self):
        """Say whether nothing could write to the old database, and the new one lacked nothing."""
        return all(state == (True, 0, 0) for state in self.at_promotion)


class TroubledParted(Troubled, protecting.Parted):
    """A site that took over, and the old one, which is to be its standby."""

    def is_over(self):
        """Say whether both sites' buckets have the record."""
        record = naming.protection_key(PRODUCT, 2)
        sites = self.case().topology.sites.values()
        return all(record in self.stored.get(site.bucket, {}) for site in sites)

    def wrong_ever(self):
        """Say what must never be: a promotion, traffic that leaves, a thing done twice."""
        return said(
            {
                f"promoted: {self.promotions}": self.promotions,
                f"renamed: {self.renames}": len(self.renames) > 1,
                f"replicas asked for: {self.replicas_asked}": len(self.replicas_asked) > 1,
                f"snapshots: {self.snapshots_taken}": len(self.snapshots_taken) > 1,
                "the active database is closed": protecting.ACTIVE in self.closed,
                "the traffic left": self.resolve(f"{PRODUCT}.example") != (OURS,),
            }
        )

    def wrong_in_the_end(self):
        """Say what the right end lacks: an old database that is kept, a standby that is armed."""
        old, files = protecting.OLD, protecting.FILES
        arn = self.databases[protecting.ACTIVE].arn
        replicas = {each.id: each.source for each in self.databases.values() if each.source}
        kept = self.databases.get(protecting.ASIDE)
        bucket = self.case().site.bucket
        ledger = naming.ledger_key(PRODUCT, 2, "manifest.json")
        to = {bucket: [rule.destination for rule in rules] for bucket, rules in self.rules.items()}
        wanted = {(PRODUCT, "dr"): 1.0, (PRODUCT, "primary"): 0.0}
        return self.differ() or said(
            {
                f"replicas: {replicas}": replicas != {old: arn},
                f"the old one is {kept}": kept is None or kept.id not in self.protected,
                f"snapshots: {self.snapshots}": self.snapshots != {protecting.KEPT: "available"},
                "no loss ledger": ledger not in self.stored[bucket],
                f"files go to {to}": (to[files["dr"]], to[files["primary"]])
                != ([files["primary"]], []),
                f"claims: {self.claims}": self.claims != wanted,
                "the balancer refuses": self.refused_listeners,
                "not at the standby's scale": self.groups[THERE, f"{PRODUCT}-primary"][0] != 1,
            }
        )
