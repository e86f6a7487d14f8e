"""When an amount of time is over: plain time, or working time by the calendar of a company."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.base.working_time import NoWorkingTime, add_working
from metaloom.command.unit import Unit
from metaloom.record.working_calendar import calendar_of, hours_of

register({
    "approval.no_working_time": ("工作日历中没有工作时间，无法计算时限。", "The working calendar has no working time; the limit cannot be reckoned."),
})

_PLAIN = {"seconds": timedelta(seconds=1), "minutes": timedelta(minutes=1), "hours": timedelta(hours=1), "days": timedelta(days=1)}
_WORKING: Mapping[str, Literal["hours", "days"]] = {"working_hours": "hours", "working_days": "days"}


def deadline(unit: Unit, company: int | None, limit: str, at: datetime) -> datetime:
    """``at`` plus ``2 working_days``, ``90 minutes`` …; NotPossible where the calendar has no working time."""
    amount, kind = limit.split()
    if kind in _PLAIN:
        return at + int(amount) * _PLAIN[kind]
    try:
        return add_working(at, Fraction(amount), _WORKING[kind], *working_calendar(unit, company))
    except NoWorkingTime:
        raise NotPossible(message("approval.no_working_time")) from None


def working_calendar(unit: Unit, company: int | None) -> tuple[Any, Any, Any]:
    """(calendar, hours of a working day, zone) of a company."""
    tenant = unit.ctx.tenant
    return calendar_of(unit.conn, unit.tables, tenant.name, company), hours_of(unit.catalog), tenant.zone
