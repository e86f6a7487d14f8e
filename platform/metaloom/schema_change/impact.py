"""Rows that a new catalog would refuse: counted before anything is changed, with the ids of some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import sqlalchemy as sa

from metaloom.model import Catalog
from metaloom.schema_change.ddl import q
from metaloom.schema_change.physical import Physical
from metaloom.storage.engine import run_statement
from metaloom.storage.layout import CheckSpec, IndexSpec, TableSpec

SAMPLES = 5


@dataclass(frozen=True)
class Impact:
    """``kind``: unique | min | max | length | required | type. ``blocking``: nothing is published while such rows exist."""

    kind: str
    place: str                    # <entity>/<field or rule>
    rows: int
    samples: tuple[int, ...]
    blocking: bool
    cure: str = ""

    def say(self) -> str:
        ids = f" (ids {', '.join(map(str, self.samples))})" if self.samples else ""
        return f"{self.place}: {self.rows} rows break {self.kind}{ids}{f'; {self.cure}' if self.cure else ''}"


def count_impacts(
    conn: sa.Connection, before: Catalog | None, after: Catalog, wanted: Mapping[str, TableSpec], there: Physical,
    renamed: Mapping[tuple[str, str], str], table_now: Mapping[str, str],
) -> Iterator[Impact]:  # fmt: skip
    """Every impact of the tables that hold rows already."""
    for table in wanted.values():
        now = table_now.get(table.name, table.name)
        if now not in there.columns:
            continue
        names = _Names(now, there.columns[now], {new: old for (owner, new), old in renamed.items() if owner == table.name})
        for index in table.indexes.values():
            if index.unique and not there.indexes.get(index.name, ("", False))[1]:
                yield from _doubles(conn, table, index, names)
        for check in table.checks.values():
            if check.name not in there.checks and not _held_by_trigger(check, there):
                yield from _broken(conn, table, check, names)
        yield from _missing(conn, before, after, table, names)


@dataclass(frozen=True)
class _Names:
    """How the table and its columns are called at present."""

    table: str
    columns: frozenset[str]
    renamed: Mapping[str, str]

    def now(self, column: str) -> str | None:
        name = self.renamed.get(column, column)
        return name if name in self.columns else None


def _doubles(conn: sa.Connection, table: TableSpec, index: IndexSpec, names: _Names) -> Iterator[Impact]:
    columns = [names.now(column) for column in index.columns]
    if not all(columns):
        return
    where = index.where
    for new, old in names.renamed.items():
        where = where.replace(q(new), q(old)) if q(new) in where else where
    quoted = ", ".join(q(column or "") for column in columns)
    filled = " AND ".join([*(f"{q(column or '')} IS NOT NULL" for column in columns), *([where] if where else [])])
    try:
        with conn.begin_nested() if conn.dialect.name == "postgresql" else nullcontext():
            found = [(int(row.rows), int(row.first)) for row in run_statement(conn, (
                f"SELECT count(*) AS rows, min(id) AS first FROM {q(names.table)} WHERE {filled} "
                f"GROUP BY {quoted} HAVING count(*) > 1 ORDER BY min(id)"
            ))]  # fmt: skip
    except sa.exc.DBAPIError:
        return          # the condition speaks of a column that does not exist yet: no row can break it
    if found:
        place = f"{table.entity}/{index.source.partition(':')[2] or index.source}"
        yield Impact("unique", place, sum(rows for rows, _ in found), tuple(first for _, first in found[:SAMPLES]), True,
                     "correct the rows that are equal")


def _held_by_trigger(check: CheckSpec, there: Physical) -> bool:
    return any(f"failed: {check.name}'" in sql for sql in there.triggers.values())


def _broken(conn: sa.Connection, table: TableSpec, check: CheckSpec, names: _Names) -> Iterator[Impact]:
    column = names.now(check.column)
    place = f"{table.entity}/{table.columns[check.column].field or check.column}"
    if column is None or check.kind == "length":
        return          # a text that gets too long is a step of the plan, with its count and its own word
    condition = check.broken.format(row="").replace(q(check.column), q(column))
    rows, samples = _count(conn, names.table, condition)
    if rows:
        yield Impact(check.kind, place, rows, samples, True, f"the limit is {check.limit}: correct these rows first")


def _missing(conn: sa.Connection, before: Catalog | None, after: Catalog, table: TableSpec, names: _Names) -> Iterator[Impact]:
    """Rows without a value that is required from now on. They stay; whoever edits one must fill it in (decision 20)."""
    entity = after.entities[table.entity]
    known = before.entities.get(table.entity) if before else None
    for field in entity.fields.values():
        was = known.fields.get(field.name) if known else None
        if not field.required or not field.stored or (was is not None and was.required):
            continue
        column = names.now(field.column)
        if was is None and known is not None and (field.default or field.computed):
            continue        # rows that are there get the value when it is published
        live = " AND archived_at IS NULL" if entity.archivable and "archived_at" in names.columns else ""
        condition = f"{q(column)} IS NULL{live}" if column else f"1 = 1{live}"
        rows, samples = _count(conn, names.table, condition)
        if rows:
            yield Impact("required", f"{entity.address}/{field.name}", rows, samples, False, "they must be filled in when edited")


def _count(conn: sa.Connection, table: str, condition: str) -> tuple[int, tuple[int, ...]]:
    rows = int(run_statement(conn, f"SELECT count(*) FROM {q(table)} WHERE {condition}").scalar() or 0)
    if not rows:
        return 0, ()
    found = run_statement(conn, f"SELECT id FROM {q(table)} WHERE {condition} ORDER BY id LIMIT {SAMPLES}")
    return rows, tuple(found.scalars())


def filled_rows(conn: sa.Connection, table: str, column: str) -> int:
    """How many rows hold a value in the column."""
    return int(run_statement(conn, f"SELECT count(*) FROM {q(table)} WHERE {q(column)} IS NOT NULL").scalar() or 0)
