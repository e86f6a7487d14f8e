"""The public holidays of a year, and the weekends worked for them, as rows of the working calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import chinese_calendar

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.create_record import create_in
from metaloom.command.unit import Unit, perform, permit
from metaloom.record.working_calendar import CALENDAR_DAY

register({
    "calendar.seeded": ("{year} 年的工作日历已写入 {count} 天。", "{count} days of {year} were written into the working calendar."),
    "calendar.year_unknown": (
        "尚无 {year} 年的节假日数据，请手工维护工作日历。", "The holidays of {year} are not known yet; enter them in the working calendar."),
})  # fmt: skip


def seed_calendar(ctx: Context, year: int) -> ActionDone:
    """Writes the statutory holidays of ``year``. Days that the general calendar has already stay as they are, so a second
    call writes nothing. The right is create on the calendar; NotPossible for a year that is not published yet."""
    return perform(ctx, "seed_calendar", [year], lambda unit: seed_in(unit, year))


def seed_in(unit: Unit, year: int) -> ActionDone:
    """The same inside a running unit."""
    permit(unit, CALENDAR_DAY, "create")
    if not year_is_known(year):
        raise NotPossible(message("calendar.year_unknown", year=year))
    present = {row["day"] for row in rows.find(unit, CALENDAR_DAY, {"company": None})}
    missing = [(day, kind, name) for day, kind, name in public_days(year) if day not in present]
    for day, kind, name in missing:
        create_in(unit, CALENDAR_DAY, {"day": day, "kind": kind, "name": name})
    done = message("calendar.seeded", year=year, count=len(missing))
    return ActionDone(CALENDAR_DAY, None, None, done, {"days": len(missing)})


def year_is_known(year: int) -> bool:
    """Whether the holidays of ``year`` were published when this was installed."""
    try:
        chinese_calendar.is_holiday(date(year, 1, 1))
    except (NotImplementedError, ValueError):
        return False
    return True


def public_days(year: int) -> Iterator[tuple[date, str, str]]:
    """(day, kind, name) of every statutory holiday of ``year`` and of every weekend worked in exchange."""
    day = date(year, 1, 1)
    while day.year == year:
        off, name = chinese_calendar.get_holiday_detail(day)
        if name is not None:
            chinese = chinese_calendar.Holiday(name).chinese
            yield (day, "holiday", chinese) if off else (day, "workday", f"{chinese}调休")
        day += timedelta(1)
