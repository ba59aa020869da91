"""Extensions that a master user may create, as on RDS: also some that PostgreSQL does not trust.

The rest of PostgreSQL's extensions need a superuser, which no user of RDS is.
"""

from __future__ import annotations

# Of "Extensions supported for RDS for PostgreSQL", those that PostgreSQL itself does not trust.
ALLOWED = (
    "address_standardizer", "address_standardizer_data_us", "amcheck", "autoinc", "bloom",
    "dblink", "earthdistance", "hypopg", "insert_username", "intagg", "ip4r", "moddatetime",
    "pg_buffercache", "pg_freespacemap", "pg_hint_plan", "pg_prewarm", "pg_stat_statements",
    "pg_visibility", "pg_walinspect", "pgrowlocks", "pgstattuple", "postgis", "postgis_raster",
    "postgis_tiger_geocoder", "postgis_topology", "postgres_fdw", "prefix", "refint", "sslinfo",
    "uuid-ossp", "vector",
)  # fmt: skip

_NAMES = ", ".join(f"'{name}'" for name in ALLOWED)

# A function of the superuser's, so that it acts within the caller's transaction.
ALLOW = f"""
DROP SCHEMA IF EXISTS rdsadmin CASCADE;
CREATE SCHEMA rdsadmin;
GRANT USAGE ON SCHEMA rdsadmin TO rds_superuser;
CREATE FUNCTION rdsadmin.create_extension(name text, schema text, version text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name NOT IN ({_NAMES}) THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('permission denied to create extension "%s"', name);
    END IF;
    EXECUTE format('CREATE EXTENSION %I', name)
        || CASE WHEN schema <> '' THEN format(' SCHEMA %I', schema) ELSE '' END
        || CASE WHEN version <> '' THEN format(' VERSION %L', version) ELSE '' END
        || ' CASCADE';
END $$;
REVOKE EXECUTE ON FUNCTION rdsadmin.create_extension FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rdsadmin.create_extension TO rds_superuser;
"""  # names from above

DISALLOW = "DROP SCHEMA rdsadmin CASCADE"
