"""The working calendar of a company, read from its rows and kept until a row changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from metaloom.base.working_time import USUAL_HOURS, Calendar, WorkingHours
from metaloom.model import Catalog

CALENDAR_DAY = "platform.calendar_day"

_Stamp = tuple[Any, ...]
_kept: WeakKeyDictionary[Any, dict[tuple[str, int | None], tuple[_Stamp, Calendar]]] = WeakKeyDictionary()


def calendar_of(conn: sa.Connection, tables: Any, tenant: str, company_id: int | None = None) -> Calendar:
    """The calendar of a company of ``tenant`` (None: the general one): its own days before the general ones, else the plain week.

    One small statement says whether any row changed since the last reading; the rows are read only then.
    """
    if CALENDAR_DAY not in tables.catalog.entities:
        return Calendar()
    table = tables.of(CALENDAR_DAY)
    stamp: _Stamp = tuple(conn.execute(sa.select(
        sa.func.count(), sa.func.sum(table.c.row_version), sa.func.max(table.c.id), sa.func.max(table.c.updated_at))).one())
    kept, key = _kept.setdefault(tables, {}), (tenant, company_id)
    found = kept.get(key)
    if found is None or found[0] != stamp:
        found = kept[key] = (stamp, Calendar(_days(conn, table, company_id)))
    return found[1]


def hours_of(catalog: Catalog) -> WorkingHours:
    """The working hours of the tenant's settings, checked when they were compiled; the usual ones where it says nothing."""
    given = catalog.settings.get("working_hours")
    return WorkingHours.parse([str(text) for text in given]) if isinstance(given, (list, tuple)) else USUAL_HOURS


def years_known(conn: sa.Connection, tables: Any) -> frozenset[int]:
    """Years of which the general calendar has at least one day."""
    table = tables.of(CALENDAR_DAY)
    return frozenset(day.year for day in conn.scalars(sa.select(table.c.day).where(table.c.company_id.is_(None)).distinct()))


def _days(conn: sa.Connection, table: sa.Table, company_id: int | None) -> Mapping[date, Any]:
    mine = table.c.company_id.is_(None) if company_id is None else sa.or_(table.c.company_id.is_(None), table.c.company_id == company_id)
    rows = conn.execute(sa.select(table.c.day, table.c.kind, table.c.company_id).where(mine)).all()
    return {row.day: row.kind for row in sorted(rows, key=lambda row: row.company_id is not None)}
