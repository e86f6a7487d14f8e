"""Values for new columns of rows that are there already, range by range, so that nobody waits."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from metaloom.model import Catalog, Entity, Field
from metaloom.schema_change.ddl import q
from metaloom.schema_change.fill import fill_values
from metaloom.schema_change.plan import Step
from metaloom.storage.columns import sa_column, table_name
from metaloom.storage.companions import field_address, stored_values
from metaloom.storage.engine import run_statement
from metaloom.storage.layout import table_of
from metaloom.storage.tenancy import Tenant

RANGE = 500


def backfill(tenant: Tenant, catalog: Catalog, step: Step, since: datetime | None = None) -> None:
    """Carry out one backfill step; may be repeated, rows that have their value are left alone. ``since``: only rows that were
    written after it, or have no value yet."""
    if step.action == "companions":
        address, _, name = step.detail.partition("/")
        entity = catalog.entities[address]
        _companions(tenant, catalog, entity, entity.fields[name], step)
        return
    if step.action == "values":
        address, _, name = step.detail.partition("/")
        fill_values(tenant, catalog, catalog.entities[address], catalog.entities[address].fields[name], since)
        return
    last = 0
    while True:
        with tenant.write() as conn:
            top = _range_end(conn, step.table, last)
            if top is None:
                return
            for statement in step.sql:
                run_statement(conn, f"{statement} AND id > {last} AND id <= {top}")
        last = top


def _range_end(conn: sa.Connection, table: str, last: int) -> int | None:
    ids = f"SELECT id FROM {q(table)} WHERE id > {last} ORDER BY id LIMIT {RANGE}"
    return conn.exec_driver_sql(f"SELECT max(id) FROM ({ids}) part").scalar()


def _companions(tenant: Tenant, catalog: Catalog, entity: Entity, field: Field, step: Step) -> None:
    specs = table_of(catalog, entity, tenant.dialect).columns
    table = sa.Table(step.table, sa.MetaData(), *(sa_column(specs[name]) for name in ("id", field.column, step.column)))
    assert table_name(entity)
    last = 0
    while True:
        with tenant.write() as conn:
            rows = conn.execute(sa.select(table).where(
                table.c.id > last, table.c[field.column].is_not(None), table.c[step.column].is_(None)
            ).order_by(table.c.id).limit(RANGE)).mappings().all()  # fmt: skip
            if not rows:
                return
            for row in rows:
                plain = row[field.column]
                if field.encrypted:
                    plain = tenant.secrets.decrypt(field_address(entity, field), plain)
                value = stored_values(entity, field, plain, tenant.secrets)[step.column]
                conn.execute(table.update().where(table.c.id == row["id"]).values({step.column: value}))
        last = rows[-1]["id"]
