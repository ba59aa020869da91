"""What can be asked of any product's data, whatever its schema.

Every check only reads, in the order of size so that most is seen before the time runs out, and
says what it could not look at. Excluded are the system's schemas and our own, `standby`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from recovery.database.errors import DatabaseDeniedError, QueryFailedError
from recovery.database.postgres import QUERY_CANCELED

if TYPE_CHECKING:
    from datetime import datetime

    from recovery.database.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about one object of the database."""

    what: str
    """The object, quoted where SQL needs it, such as `rlg.payments_id_seq`."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check saw."""

    checked: int
    """How many objects it looked at."""
    problems: tuple[Note, ...]
    skipped: tuple[Note, ...]
    """What it could not look at, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table; partitions count for the table they belong to."""

    name: str
    """With its schema, quoted where SQL needs it."""
    rows: int | None
    """Counted; None where it was not, and `skipped` says why."""
    estimate: int
    """What the planner believes; 0 when it was never analysed."""
    newest: datetime | None
    """Latest time, up to now, in the columns that look like a row's time of writing."""
    skipped: str = ""


class Budget:
    """Seconds that a check may take, shared by its statements; counted from its making."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def slice(self) -> float:
        """Return the seconds that the next statement may take; a moment even when none is left.

        A moment is enough to ask a small table, and whatever an index answers.
        """
        return max(_MOMENT_SECONDS, self._end - time.monotonic())


_MOMENT_SECONDS = 0.02


def tables(connection: Connection, budget: Budget) -> tuple[Table, ...]:
    """Return every table with its count of rows and its newest row, smallest first."""
    return tuple(
        _count(connection, budget, _Listed(*found))
        for found in connection.rows(_TABLES, (_LARGE_PAGES,) * 2)
    )


def constraints(connection: Connection, budget: Budget) -> Result:
    """Look at the constraints and unique indexes that the server does not vouch for.

    A validated constraint holds by the server's word. One declared NOT VALID is evaluated here
    against the rows; an invalid unique index is a problem.
    """
    found = connection.rows(_CONSTRAINTS)
    tally = _Tally(connection, budget)
    for name, validated, statement in found:
        if validated:
            tally.checked += 1
        elif statement is None:
            tally.problem(name, "is an invalid index: reindex it")
        else:
            tally.look(name, statement, "is declared NOT VALID, and there are rows against it")
    return tally.result()


def foreign_keys(connection: Connection, budget: Budget) -> Result:
    """Look for rows that point to nothing: all rows of small tables, a sample of large ones.

    Triggers keep foreign keys, and whoever disables them (a restore, a replication tool) leaves
    orphans behind that no constraint reports.
    """
    tally = _Tally(connection, budget)
    for name, statement in connection.rows(_FOREIGN_KEYS, (_LARGE_PAGES,) * 2):
        tally.look(name, statement, "has rows that point to nothing")
    return tally.result()


def sequences(connection: Connection, budget: Budget) -> Result:
    """Look for sequences whose next value is already behind the unique column they feed.

    The first insert after a failover would then fail with a duplicate key.
    """
    tally = _Tally(connection, budget)
    for name, column, statement in connection.rows(_SEQUENCES):
        tally.look(name, statement, f"is not ahead of {column}: the next insert may collide")
    return tally.result()


_LARGE_PAGES = 8192
"""Tables of more pages (of 8 KiB) than this are large: sampled, not read through."""


class _Tally:
    """Collects what statements find; each returns a row where there is a problem."""

    def __init__(self, connection: Connection, budget: Budget) -> None:
        self._connection = connection
        self._budget = budget
        self.checked = 0
        self._problems: list[Note] = []
        self._skipped: list[Note] = []

    def look(self, what: str, statement: str, detail: str) -> None:
        try:
            found = self._connection.rows(statement, seconds=self._budget.slice())
        except (QueryFailedError, DatabaseDeniedError) as error:
            self._skipped.append(Note(what=what, detail=_why(error)))
            return
        self.checked += 1
        if found:
            self.problem(what, detail)

    def problem(self, what: str, detail: str) -> None:
        self._problems.append(Note(what=what, detail=detail))

    def result(self) -> Result:
        return Result(
            checked=self.checked,
            problems=tuple(self._problems),
            skipped=tuple(self._skipped),
        )


class _Listed(NamedTuple):
    """A row of _TABLES."""

    name: str
    estimate: int
    counting: str
    """Statement for the count and, in a small table, the newest time."""
    latest: str | None
    """Statement for the newest time of a large table, where an index has it."""
    unlogged: bool


def _count(connection: Connection, budget: Budget, listed: _Listed) -> Table:
    counted: tuple[Any, ...] = (None, None)
    skipped = ""
    try:
        if listed.latest is not None:
            counted = (None, *connection.rows(listed.latest, seconds=budget.slice())[0])
        rows, newest = connection.rows(listed.counting, seconds=budget.slice())[0]
        counted = (rows, newest or counted[1])
    except (QueryFailedError, DatabaseDeniedError) as error:
        skipped = "is unlogged: not replicated" if listed.unlogged else _why(error)
    return Table(
        name=listed.name,
        rows=counted[0],
        newest=counted[1],
        estimate=listed.estimate,
        skipped=skipped,
    )


def _why(error: QueryFailedError | DatabaseDeniedError) -> str:
    return "took too long" if error.code == QUERY_CANCELED else error.message


# Every query below reads the catalogue and lets the server itself quote names (%I) and print
# expressions, so that any name works. `%%` in them is one `%` where there are parameters.

_OURS = """
    n.nspname <> 'information_schema' and n.nspname <> 'standby' and n.nspname !~ '^pg_'
"""

# Of the columns that hold times, those with a default of "now" come first, then those named like
# it, then the others; only the best kind is asked.
_TABLES = f"""
with candidate as (
    select a.attrelid, a.attnum, a.attname,
           case when pg_get_expr(d.adbin, d.adrelid)
                     ~* '(now\\(|current_|clock_timestamp|localtime)' then 1
                when a.attname ~* '(creat|insert|updat|modif|chang|writ|_at$|^at$)' then 2
                else 3 end as kind
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attnum > 0 and not a.attisdropped
      and coalesce(nullif(t.typbasetype, 0), t.oid)
          in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
), ranked as (
    select *, min(kind) over (partition by attrelid) as best,
           format('max(%%I::timestamptz) filter (where isfinite(%%I) and %%I <= now())',
                  attname, attname, attname) as of_all,
           format('(select max(%%I)::timestamptz from %%s where isfinite(%%I) and %%I <= now())',
                  attname, attrelid::regclass, attname, attname) as of_index,
           exists (select from pg_index i
                   where i.indrelid = attrelid and i.indkey[0] = attnum
                     and i.indisvalid and i.indpred is null) as indexed
    from candidate
), chosen as (
    select attrelid,
           'greatest(' || string_agg(of_all, ', ') || ')' as of_all,
           'greatest(' || string_agg(of_index, ', ') filter (where indexed) || ')' as of_index
    from ranked where kind = best
    group by attrelid
)
select format('%%I.%%I', n.nspname, c.relname),
       greatest(c.reltuples, 0)::bigint,
       format('select count(*), %%s from %%s %%I.%%I',
              case when c.relpages <= %s and chosen.of_all is not null
                   then chosen.of_all else 'null::timestamptz' end,
              case c.relkind when 'r' then 'only' else '' end, n.nspname, c.relname),
       case when c.relpages > %s then 'select ' || chosen.of_index end,
       c.relpersistence = 'u'
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join chosen on chosen.attrelid = c.oid
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't' and {_OURS}
order by c.relpages, 1
"""  # noqa: S608 - no part of it comes from outside

# A constraint that is NOT ENFORCED (PostgreSQL 18) promises nothing; a foreign key that is NOT
# VALID is looked at with the other foreign keys.
_CONSTRAINTS = f"""
select format('%I.%I %I', n.nspname, c.relname, con.conname),
       con.convalidated,
       format('select 1 from only %I.%I where not (%s) limit 1',
              n.nspname, c.relname, pg_get_expr(con.conbin, con.conrelid))
from pg_constraint con
join pg_class c on c.oid = con.conrelid
join pg_namespace n on n.oid = c.relnamespace
where con.contype in ('c', 'p', 'u', 'x')
  and coalesce((to_jsonb(con) ->> 'conenforced')::boolean, true) and {_OURS}
union all
select format('%I.%I', n.nspname, c.relname), i.indisvalid and i.indisready, null
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace
where i.indisunique and c.relkind = 'i' and {_OURS}
  and not exists (select from pg_constraint con where con.conindid = i.indexrelid)
order by 1
"""  # noqa: S608

_FOREIGN_KEYS = f"""
select format('%%I.%%I %%I', n.nspname, c.relname, con.conname),
       format('select 1 from %%s %%I.%%I c %%s where %%s and not exists '
              '(select from %%s %%I.%%I p where %%s) limit 1',
              case c.relkind when 'r' then 'only' else '' end, n.nspname, c.relname,
              case when c.relpages > %s
                   then format('tablesample system (%%s)', round(100.0 * %s / c.relpages, 4))
                   else '' end,
              keys.present,
              case p.relkind when 'r' then 'only' else '' end, pn.nspname, p.relname,
              keys.equal)
from pg_constraint con
join pg_class c on c.oid = con.conrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_class p on p.oid = con.confrelid
join pg_namespace pn on pn.oid = p.relnamespace
cross join lateral (
    select string_agg(format('c.%%I is not null', ca.attname), ' and ') as present,
           string_agg(format('p.%%I operator(%%I.%%s) c.%%I',
                             pa.attname, opn.nspname, op.oprname, ca.attname), ' and ') as equal
    from unnest(con.conkey, con.confkey, con.conpfeqop) as key (child, parent, operator)
    join pg_attribute ca on ca.attrelid = con.conrelid and ca.attnum = key.child
    join pg_attribute pa on pa.attrelid = con.confrelid and pa.attnum = key.parent
    join pg_operator op on op.oid = key.operator
    join pg_namespace opn on opn.oid = op.oprnamespace
) keys
where con.contype = 'f' and con.conparentid = 0
  and not coalesce((to_jsonb(con) ->> 'conperiod')::boolean, false)
  and coalesce((to_jsonb(con) ->> 'conenforced')::boolean, true) and {_OURS}
order by c.relpages, 1
"""  # noqa: S608

# A sequence belongs to a column (serial, identity) or is named in its default. Only columns that
# are alone in a unique index can collide, and there the greatest value is found at once.
_SEQUENCES = f"""
with feeds as (
    select d.objid as sequence, d.refobjid as relation, d.refobjsubid as attribute
    from pg_depend d
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
      and d.deptype in ('a', 'i') and d.refobjsubid > 0
    union
    select d.refobjid, def.adrelid, def.adnum
    from pg_depend d
    join pg_attrdef def on def.oid = d.objid
    where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass
)
select format('%I.%I', sn.nspname, s.relname),
       format('%I.%I.%I', n.nspname, c.relname, a.attname),
       format('select 1 from (select %s(%I) as edge from %I.%I) used, %I.%I s '
              'where case when s.is_called then s.last_value::numeric + %s else s.last_value end '
              '%s used.edge',
              case when seq.seqincrement > 0 then 'max' else 'min' end, a.attname,
              n.nspname, c.relname, sn.nspname, s.relname, seq.seqincrement,
              case when seq.seqincrement > 0 then '<=' else '>=' end)
from feeds
join pg_class s on s.oid = feeds.sequence and s.relkind = 'S' and s.relpersistence <> 't'
join pg_namespace sn on sn.oid = s.relnamespace
join pg_sequence seq on seq.seqrelid = s.oid and not seq.seqcycle
join pg_class c on c.oid = feeds.relation and not c.relispartition
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = feeds.attribute and not a.attisdropped
join pg_type t on t.oid = a.atttypid
where coalesce(nullif(t.typbasetype, 0), t.oid)
      in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
  and exists (select from pg_index i
              where i.indrelid = c.oid and i.indisunique and i.indnkeyatts = 1
                and i.indkey[0] = a.attnum and i.indpred is null)
  and {_OURS}
order by 1, 2
"""  # noqa: S608
