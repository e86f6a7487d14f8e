"""The day the books of a company are at: moved forward by command, never by the clock (P7)."""

from __future__ import annotations

from datetime import date

from metaloom.base.errors import NotFound, NotPossible
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.environment import COMPANY
from metaloom.command.run_command import refuse_unless_admin
from metaloom.command.store import title_of
from metaloom.command.unit import Unit, perform

register({
    "day.moved": ("{name}的营业日期是 {day}。", "The business date of {name} is {day}."),
    "day.backwards": ("营业日期不能后退：当前是 {day}。", "The business date cannot go back: it is {day}."),
})


def move_business_date(ctx: Context, company_id: int, day: date) -> Saved:
    """Moves the company's business date to ``day``. Administrators and jobs; NotPossible backwards; the same day is no change."""
    return perform(ctx, "move_business_date", [company_id, day], lambda unit: move_in(unit, company_id, day))


def move_in(unit: Unit, company_id: int, day: date) -> Saved:
    """The same inside a running unit."""
    refuse_unless_admin(unit)
    entity = unit.entity(COMPANY)
    before = rows.fetch(unit, COMPANY, company_id, lock=True)
    if before is None:
        raise NotFound()
    today, version = before["business_date"], before["row_version"]
    if today is not None and day < today:
        raise NotPossible(message("day.backwards", day=today.isoformat()))
    if day != today:
        version = rows.update(unit, entity, company_id, {"business_date": day}, version)
        unit.log(entity, company_id, {"business_date": today}, {"business_date": day})
    title = title_of(unit, entity, before)
    return Saved(COMPANY, company_id, version, title, message("day.moved", name=title, day=day.isoformat()))
