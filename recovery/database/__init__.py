"""The products' own databases: the only importer of database drivers.

Modules take an open `postgres.Connection`; drivers are imported when one is opened, and what they
raise becomes one of `errors`.
"""
