"""Bringing control tables up to date, so that none is enough by itself for longer than it must.

While a table is enough alone, every other one that names its epoch says so too (`alone`): whoever
takes the product away later then knows that this very table has to take the newer epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from recovery import assignment
from recovery.assignment import Assignment
from recovery.cloud.client import Region
from recovery.engine.errors import OutsideError

Answer = Assignment | OutsideError | None


def carry(
    product: str,
    wanted: Assignment,
    tables: Sequence[tuple[Region, str]],
    found: Mapping[str, Answer],
    *,
    named: bool = False,
) -> dict[str, OutsideError]:
    """Write `wanted` to every table that answered; return region → error for those without it.

    `found` says what each table holds, by region; `named`, that a table which is not among them
    names the epoch. Where `wanted.alone` is one of the tables, it is made an ordinary one once
    another names the epoch; only then do the others forget that it was not.
    RefusedError where a table has a newer epoch, or gives this one to another site.
    """
    carrying = _Carrying(product, wanted, tables, found)
    special = wanted.alone
    for region in carrying.found:
        if region != special:
            carrying.put(region, alone=special)
    if special in carrying.found:
        named = named or bool(carrying.holding)
        carrying.put(special, alone="" if named else special)
        if named and special in carrying.holding:
            for region in carrying.holding - {special}:
                carrying.put(region, alone="")
    return carrying.failed


class _Carrying:
    def __init__(
        self,
        product: str,
        wanted: Assignment,
        tables: Sequence[tuple[Region, str]],
        found: Mapping[str, Answer],
    ) -> None:
        self._product, self._wanted = product, wanted
        self._tables = {region.name: (region, table) for region, table in tables}
        self.failed = {
            region: answer for region, answer in found.items() if isinstance(answer, OutsideError)
        }
        self.found = {
            region: answer
            for region, answer in found.items()
            if not isinstance(answer, OutsideError)
        }
        self.holding = set[str]()
        """The regions whose tables are known to name the epoch."""

    def put(self, name: str, *, alone: str) -> None:
        said = replace(self._wanted, alone=alone)
        if self.found[name] != said:
            region, table = self._tables[name]
            try:
                assignment.write(region, table, self._product, said)
            except OutsideError as error:
                self.failed[name] = error
                return
            self.found[name] = said
        self.holding.add(name)
