"""The questions that `checks` asks of PostgreSQL's catalogue.

They let the server itself quote names (%I) and print expressions, so that any name works. `%%` is
one `%` where a query takes parameters.
"""

LARGE_PAGES = 8192
"""Tables of more pages (of 8 KiB) than this are large: sampled, not read through."""

_OURS = """
    n.nspname <> 'information_schema' and n.nspname <> 'standby' and n.nspname !~ '^pg_'
"""

# Of the columns that hold times, those with a default of "now" come first, then those named like
# it, then the others; only the best kind is asked.
TABLES = f"""
with candidate as (
    select a.attrelid, a.attnum, a.attname,
           case when pg_get_expr(d.adbin, d.adrelid)
                     ~* '(now\\(|current_|clock_timestamp|localtime)' then 1
                when a.attname ~* '(creat|insert|update|modif|chang|writ|_at$|^at$)' then 2
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
CONSTRAINTS = f"""
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

FOREIGN_KEYS = f"""
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
SEQUENCES = f"""
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

# What lies in a temporary or unlogged table is lost with its server anyway. A partial unique index,
# or one on expressions, names no row.
KEYED_TABLES = f"""
select format('%I.%I', n.nspname, c.relname), c.relkind = 'p',
       (select array_agg(quote_ident(a.attname)::text order by k.place)
        from pg_index i
        cross join lateral unnest(i.indkey) with ordinality as k(attnum, place)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        where i.indrelid = c.oid and i.indisprimary and k.place <= i.indnkeyatts),
       (select json_agg((select json_agg(quote_ident(a.attname) order by k.place)
                         from unnest(i.indkey) with ordinality as k(attnum, place)
                         join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                         where k.place <= i.indnkeyatts))
        from pg_index i
        where i.indrelid = c.oid and i.indisunique and not i.indisprimary and i.indisvalid
          and i.indpred is null and i.indexprs is null),
       (select array_agg(distinct format('%I.%I', pn.nspname, p.relname))
        from pg_constraint con
        join pg_class p on p.oid = con.confrelid
        join pg_namespace pn on pn.oid = p.relnamespace
        where con.conrelid = c.oid and con.contype = 'f' and con.conparentid = 0),
       array_agg(quote_ident(a.attname)::text order by a.attnum),
       array_agg(format_type(a.atttypid, a.atttypmod)::text order by a.attnum),
       array_agg(a.attgenerated <> '' order by a.attnum),
       array_agg(a.attidentity = 'a' order by a.attnum),
       array_agg(a.attidentity <> '' or coalesce(
           (select starts_with(pg_get_expr(d.adbin, d.adrelid), 'nextval(') from pg_attrdef d
            where d.adrelid = a.attrelid and d.adnum = a.attnum), false) order by a.attnum)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p' and {_OURS}
group by c.oid, c.relname, c.relkind, n.nspname
order by 1
"""  # noqa: S608
