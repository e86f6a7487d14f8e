"""Values of a field that is new and computed, or has a default, for the rows that are there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from metaloom.base.clock import SystemClock
from metaloom.base.money import to_scale
from metaloom.compile import entity_scope, implicit_links, target_of
from metaloom.expression import Env, compile, to_python
from metaloom.model import Catalog, Entity, Field, FieldType
from metaloom.model.entity import EXACT_TYPES, LIST_TYPES
from metaloom.schema_change import ddl
from metaloom.storage.columns import table_name
from metaloom.storage.companions import field_address, stored_values
from metaloom.storage.engine import run_statement
from metaloom.storage.tables import Tables
from metaloom.storage.tenancy import Tenant

RANGE = 500
PLACES = {FieldType.MONEY: 2, FieldType.RATE: 8, FieldType.DECIMAL: 4}
OWNERS = {"company": "company_id", "org_unit": "org_unit_id", "owner": "owner_id"}


def fill_values(tenant: Tenant, catalog: Catalog, entity: Entity, field: Field, since: datetime | None = None) -> None:
    """Computes the field for every row, in ranges of rising ids, each a transaction of its own, so that nobody waits long and an
    interrupted run goes on where its rows are not equal yet. A default only fills what is empty. Versions of rows stay.

    ``since``: only rows written after it, or without a value. A row whose expression fails keeps none; the next save says why.
    """
    work = _Work(tenant, catalog, entity, field)
    last = 0
    while True:
        with tenant.ddl() if entity.append_only else tenant.write() as conn, _lifted(conn, tenant, entity):
            top = work.range(conn, last, since)
        if top is None:
            return
        last = top


@contextmanager
def _lifted(conn: sa.Connection, tenant: Tenant, entity: Entity) -> Iterator[None]:
    """Without the triggers of an append-only table, until the end of this transaction."""
    if not entity.append_only:
        yield
        return
    table = table_name(entity)
    kept = ddl.append_only_triggers(table, tenant.dialect)
    for name in kept:
        run_statement(conn, ddl.drop_trigger(name, table, tenant.dialect))
    yield
    for statement in kept.values():
        run_statement(conn, statement)


class _Work:
    def __init__(self, tenant: Tenant, catalog: Catalog, entity: Entity, field: Field) -> None:
        self.tenant, self.catalog, self.entity, self.field = tenant, catalog, entity, field
        self.tables = Tables(catalog)
        self.table = self.tables.of(entity.address)
        text = field.computed or field.default
        self.value = to_python(compile(text, entity_scope(catalog, entity.address), None, frozenset({"python"})))
        self.empty_only = not field.computed

    def range(self, conn: sa.Connection, last: int, since: datetime | None) -> int | None:
        """Fills the rows of one range after ``last``; the last id of the range, None at the end."""
        column = self.table.c[self.field.column]
        wanted = [self.table.c.id > last]
        if since is not None:
            wanted.append(sa.or_(column.is_(None), self.table.c.updated_at >= since))
        if self.empty_only:
            wanted.append(column.is_(None))
        locked = sa.select(self.table).where(*wanted).order_by(self.table.c.id).limit(RANGE)
        rows = conn.execute(locked.with_for_update() if self.tenant.dialect == "postgresql" else locked).mappings().all()
        now = SystemClock().now()
        zone = self.tenant.zone
        env = Env(now=now, business_date=now.astimezone(ZoneInfo(zone) if isinstance(zone, str) else zone).date())
        for row in rows:
            self._fill(conn, row, env)
        return int(rows[-1]["id"]) if rows else None

    def _fill(self, conn: sa.Connection, row: Mapping[str, Any], env: Env) -> None:
        try:
            found = self._fitted(self.value(_Row(self, conn, self.entity, row), env))
        except Exception:
            return
        was = row[self.field.column]
        if found is None or (found == was and not self.field.encrypted):
            return
        values: Mapping[str, Any] = {self.field.column: found}
        if self.field.encrypted or self.field.pinyin:
            values = stored_values(self.entity, self.field, str(found), self.tenant.secrets)
        conn.execute(self.table.update().where(self.table.c.id == row["id"]).values(**values))

    def _fitted(self, found: Any) -> Any:
        """As the field stores it: a record as its id, numbers rounded HALF_UP to its places."""
        if isinstance(found, _Row):
            return found["id"]
        if self.field.type in EXACT_TYPES and isinstance(found, (int, Decimal)) and not isinstance(found, bool):
            return to_scale(Decimal(found), PLACES[self.field.type] if self.field.scale is None else self.field.scale)
        return found


class _Row(Mapping[str, Any]):
    """A stored row as expressions see it; linked and child rows are read when they are asked for."""

    def __init__(self, work: _Work, conn: sa.Connection, entity: Entity, row: Mapping[str, Any]) -> None:
        self._work, self._conn, self._entity, self._row = work, conn, entity, row

    def __getitem__(self, name: str) -> Any:
        field = self._entity.fields.get(name)
        if field is not None and field.type is FieldType.CHILD:
            return self._children(field)
        value = self._row[field.column if field is not None else OWNERS.get(name, name)]
        target = target_of(field) if field is not None else implicit_links(self._entity).get(name, "")
        if target and value is not None and target in self._work.catalog.entities:
            return self._linked(target, value)
        if field is not None and field.encrypted and value is not None:
            return self._work.tenant.secrets.decrypt(field_address(self._entity, field), value)
        return tuple(value) if field is not None and field.type in LIST_TYPES and value is not None else value

    def _linked(self, target: str, record_id: int) -> Any:
        table = self._work.tables.of(target)
        found = self._conn.execute(sa.select(table).where(table.c.id == record_id)).mappings().one_or_none()
        return None if found is None else _Row(self._work, self._conn, self._work.catalog.entities[target], found)

    def _children(self, field: Field) -> list[Any]:
        child = self._work.catalog.entities[field.entity]
        table = self._work.tables.of(child.address)
        parent = table.c[child.fields[field.parent_field or child.parent_field].column]
        live = [table.c.archived_at.is_(None)] if "archived_at" in table.c else []
        found = self._conn.execute(sa.select(table).where(parent == self._row["id"], *live).order_by(table.c.id)).mappings()
        return [_Row(self._work, self._conn, child, row) for row in found]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entity.fields)

    def __len__(self) -> int:
        return len(self._entity.fields)
