"""What is really in the tenant's database, read from its own catalogue, and what the engine remembers of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from metaloom.storage.columns import ColumnSpec
from metaloom.storage.engine import layout


@dataclass(frozen=True)
class Physical:
    """``columns`` by table; ``indexes``: name → (table, usable); ``checks``: names (PostgreSQL); ``triggers``: name → SQL;
    ``keys``: (table, column) → name of its foreign key (PostgreSQL); ``roomy``: tables whose pages are not filled (PostgreSQL).

    ``known``: what the engine wrote down about a column; ``former``: names that tables and columns had before.
    """

    columns: Mapping[str, frozenset[str]]
    indexes: Mapping[str, tuple[str, bool]]
    checks: Mapping[str, str]
    triggers: Mapping[str, str]
    known: Mapping[tuple[str, str], ColumnSpec]
    former: Mapping[tuple[str, str], tuple[str, ...]]
    retired: frozenset[tuple[str, str]]
    trigrams: bool = False
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)
    roomy: frozenset[str] = frozenset()


def look(conn: sa.Connection) -> Physical:
    """Read it all, in a handful of statements."""
    read = _sqlite if conn.dialect.name == "sqlite" else _postgresql
    columns, indexes, checks, triggers, trigrams, keys, roomy = read(conn)
    rows = conn.execute(sa.select(layout)).all() if "ml_layout" in columns else []
    specs = {(row.table_name, row.column_name): ColumnSpec(**row.spec) for row in rows if row.column_name and row.spec}
    former = {(row.table_name, row.column_name): tuple(row.former) for row in rows if row.former}
    retired = frozenset((row.table_name, row.column_name) for row in rows if row.retired_revision is not None)
    return Physical(columns, indexes, checks, triggers, specs, former, retired, trigrams, keys, roomy)


def spec_json(spec: ColumnSpec) -> dict[str, object]:
    """How a column is written down."""
    return dataclasses.asdict(spec)


_Read = tuple[dict[str, frozenset[str]], dict[str, tuple[str, bool]], dict[str, str], dict[str, str], bool, dict[tuple[str, str], str],
              frozenset[str]]


def _sqlite(conn: sa.Connection) -> _Read:
    columns: dict[str, set[str]] = {}
    for table, column in conn.exec_driver_sql(
        "SELECT m.name, p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'"
    ):
        columns.setdefault(table, set()).add(column)
    indexes, triggers = {}, {}
    for kind, name, table, sql in conn.exec_driver_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    ):
        if kind == "index":
            indexes[name] = (table, True)
        else:
            triggers[name] = sql
    return {table: frozenset(names) for table, names in columns.items()}, indexes, {}, triggers, False, {}, frozenset()


def _postgresql(conn: sa.Connection) -> _Read:
    columns: dict[str, set[str]] = {}
    for table, column in conn.exec_driver_sql(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
    ):
        columns.setdefault(table, set()).add(column)
    indexes = {name: (table, usable) for name, table, usable in conn.exec_driver_sql(
        "SELECT i.relname, t.relname, x.indisvalid FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid "
        "JOIN pg_class t ON t.oid = x.indrelid WHERE t.relnamespace = current_schema()::regnamespace"
    )}  # fmt: skip
    checks = {row.conname: row.relname for row in conn.exec_driver_sql(
        "SELECT k.conname, t.relname FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid "
        "WHERE k.contype = 'c' AND t.relnamespace = current_schema()::regnamespace"
    )}  # fmt: skip
    trigrams = bool(conn.scalar(sa.text("SELECT to_regtype('ext.gtrgm') IS NOT NULL")))
    triggers = {row.tgname: row.sql for row in conn.exec_driver_sql(
        "SELECT g.tgname, pg_get_triggerdef(g.oid) AS sql FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid "
        "WHERE NOT g.tgisinternal AND t.relnamespace = current_schema()::regnamespace"
    )}  # fmt: skip
    keys = {(table, column): name for table, column, name in conn.exec_driver_sql(
        "SELECT t.relname, a.attname, k.conname FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid "
        "JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.conkey[1] "
        "WHERE k.contype = 'f' AND cardinality(k.conkey) = 1 AND t.relnamespace = current_schema()::regnamespace"
    )}  # fmt: skip
    roomy = frozenset(conn.exec_driver_sql(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND array_to_string(reloptions, ' ') ~ 'fillfactor'"
        " AND relkind IN ('r', 'p')").scalars())
    return {table: frozenset(names) for table, names in columns.items()}, indexes, checks, triggers, trigrams, keys, roomy
