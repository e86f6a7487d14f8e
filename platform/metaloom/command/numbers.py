"""Human keys from number series: gapless (the counter row stays locked until commit) or fast (blocks of 50)."""

from __future__ import annotations

import re
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.command.environment import business_date
from metaloom.model import NumberSeries

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

BLOCK = 50
_SLOT = re.compile(r"\{([a-zA-Z]+)(?::([0-9]+))?\}")
_DATES = {"yyyyMMdd": "%Y%m%d", "yyyyMM": "%Y%m", "yyyy": "%Y", "yy": "%y", "yyMMdd": "%y%m%d", "MMdd": "%m%d", "MM": "%m", "dd": "%d"}

_blocks: dict[tuple[str, str, str], list[int]] = {}
_guard = Lock()


def next_number(unit: Unit, address: str, company_id: int | None = None) -> str:
    """The next number of the series, for the company's business date. NotPossible when its digits are used up."""
    series = unit.catalog.series.get(address)
    if series is None:
        raise NotPossible(message("command.no_series", series=address))
    company = company_id if company_id is not None else unit.ctx.actor.company_id
    day = business_date(unit, company)
    period = _period(series, company, day)
    if series.mode == "fast" and unit.revision.dialect == "postgresql":
        return _spelled(series, _from_block(unit, address, period), day, company)
    return _spelled(series, _count(unit.conn, unit.tables, address, period, 1), day, company)


def _period(series: NumberSeries, company: int | None, day: date) -> str:
    """What the counter starts anew for: ``company=3/day=2026-01-31``."""
    parts = {"company": str(company or 0), "year": f"{day:%Y}", "month": f"{day:%Y-%m}", "day": f"{day:%Y-%m-%d}"}
    return "/".join(f"{part}={parts[part]}" for part in series.per)


def _count(conn: sa.Connection, tables: Any, series: str, period: str, step: int) -> int:
    """Raises the counter by ``step`` and returns its new value; the row is locked from here to the end of the transaction."""
    table = tables.engine.number_counter
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(table)
    raised = insert.values(series=series, period=period, value=step).on_conflict_do_update(
        index_elements=["series", "period"], set_={"value": table.c.value + step}).returning(table.c.value)
    return int(conn.execute(raised).scalar_one())


def _from_block(unit: Unit, series: str, period: str) -> int:
    """A number of this process's block; a new block is taken in a transaction of its own, so nobody waits for us."""
    key = (unit.ctx.tenant.name, series, period)
    with _guard:
        block = _blocks.setdefault(key, [])
        if not block:
            with unit.ctx.tenant.write() as conn:
                top = _count(conn, unit.tables, series, period, BLOCK)
            block.extend(range(top, top - BLOCK, -1))
        return block.pop()


def _spelled(series: NumberSeries, value: int, day: date, company: int | None) -> str:
    def filled(slot: re.Match[str]) -> str:
        name, width = slot[1], slot[2]
        if name == "seq":
            digits = str(value).zfill(int(width or 1))
            if width and len(digits) > int(width):
                raise NotPossible(message("command.series_full", series=series.label or series.address))
            return digits
        if name == "company":
            return str(company or 0).zfill(int(width or 1))
        return day.strftime(_DATES[name])
    return _SLOT.sub(filled, series.pattern)
