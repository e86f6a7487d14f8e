"""Closing a month of a company's books (月结)."""

from __future__ import annotations

from itertools import islice

from metaloom import ledger
from metaloom.base.errors import Invalid, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.create_record import refuse_outside_own_rows
from metaloom.command.environment import business_date
from metaloom.command.findings import SHOWN, DoesNotHold, Finding, finding
from metaloom.command.unit import Unit, perform, permit
from metaloom.plugin.invariant import checked
from metaloom.record import Survey

SAID = 3
"""Records that are named in the sentence itself; all of them have links beside it."""
PERIOD, COMPANY, ENTRY = "platform.ledger_period", "platform.company", "platform.ledger_entry"

register({
    "ledger.month": ("请填写月份，例如 2026-03。", "Enter a month, for example 2026-03."),
    "ledger.month_closed": ("{month} 已月结，共 {entries} 张凭证；该月不能再入账。",
                            "{month} is closed with {entries} entries; nothing is booked into it any more."),
    "ledger.month_open": ("{month} 还不能月结，有 {number} 项未完成。", "{month} cannot be closed yet; {number} things are open."),
    "ledger.month_open_more": ("另有更多，未全部列出。", "There is more."),
    "ledger.month_runs": ("{month} 还没有结束：营业日期是 {day}。", "{month} is not over: the business date is {day}."),
})


def close_month(ctx: Context, month: str, company_id: int | None = None) -> Saved:
    """Closes ``month`` (``2026-03``) of a company, one's own without ``company_id``: income and expense are handed over as the chart
    says (``closes_to``), and from then on the database refuses entries of that month or before.

    The right is ``create`` on ``platform.ledger_period``. Invalid: no month. NotPossible: the business date is not past it, an
    earlier month is open, something is not posted, the books do not balance; DoesNotHold, with what is open, where a plugin says that the month
    is not done (``closing`` of its invariants). There is no way back: corrections are booked
    today."""
    company = company_id if company_id is not None else ctx.actor.company_id
    return perform(ctx, "close_month", [month, company], lambda unit: close_in(unit, month, company))


def close_in(unit: Unit, text: str, company_id: int | None) -> Saved:
    """The same inside a running unit."""
    permit(unit, PERIOD, "create")
    month = _read(text)
    company = rows.fetch(unit, COMPANY, company_id, lock=True) if company_id is not None else None    # before the books, as everybody does
    if company_id is None or company is None:
        raise Invalid([Problem("company", message("field.link"))])
    ledger.lock_books(unit.conn, company_id)
    today = business_date(unit, company_id)
    if today <= month.last:
        raise NotPossible(message("ledger.month_runs", month=str(month), day=today.isoformat()))
    _refuse_undone(unit, company_id, month)
    done = ledger.close(unit.conn, unit.revision, company_id, month, _cause(unit, company_id), now=unit.now)
    values = {"company": company_id, "month": str(month), "entries": done.entries, "entry": done.carried[0] if done.carried else None,
              "head": done.head or None}
    period = rows.engine_insert(unit, PERIOD, values, {})
    refuse_outside_own_rows(unit, PERIOD, period)
    for entry in done.carried:
        unit.log(unit.entity(ENTRY), entry, None, {"event": "close_month", "booking_date": month.last})
    unit.log(unit.entity(PERIOD), period, None, {name: value for name, value in values.items() if value is not None})
    keep_month(unit, company_id, None)
    return Saved(PERIOD, period, 1, str(month), message("ledger.month_closed", month=str(month), entries=done.entries))


def keep_month(unit: Unit, company_id: int, month: str | None) -> None:
    """Keeps with the company which month of it can be closed; None once it is."""
    entity, before = unit.entity(COMPANY), rows.fetch(unit, COMPANY, company_id, lock=True)
    if before is not None and before["month_to_close"] != month:
        rows.update(unit, entity, company_id, {"month_to_close": month}, before["row_version"])
        unit.log(entity, company_id, {"month_to_close": before["month_to_close"]}, {"month_to_close": month})


def _refuse_undone(unit: Unit, company_id: int, month: ledger.Month) -> None:
    """In this transaction, in which nobody else posts."""
    if ledger.next_to_close(unit.conn, unit.tables, company_id) != month:
        return    # another month is the next, which the ledger says
    found = undone(unit, company_id, month)
    if not found:
        return
    some = [said for entity, record, said in found if record is not None and entity != COMPANY][:SAID]
    more = [message("ledger.month_open_more")] if len(found) > SAID else []
    raise DoesNotHold(message("ledger.month_open", month=str(month), number=f"{SHOWN}+" if len(found) > SHOWN else len(found)),
                      [*((COMPANY, company_id, said) for said in (*some, *more)), *found[:SHOWN]])


def undone(unit: Unit, company_id: int, month: ledger.Month) -> list[Finding]:
    """What every plugin that keeps books says is open of the month, one finding more than is shown at most; empty when it is done."""
    found: list[Finding] = []
    for said, invariant in unit.ctx.plugins.closing():
        if said.on in unit.revision.catalog.entities and len(found) <= SHOWN:
            survey = Survey(unit.conn, unit.revision, company_id, month.last)
            looked = (finding(one) for one in checked(invariant(survey), said.plugin) if not (one.entity == COMPANY and one.id != company_id))
            found += islice(looked, SHOWN + 1 - len(found))
    return found


def _read(text: str) -> ledger.Month:
    try:
        return ledger.Month.read(text.strip())
    except ValueError:
        raise Invalid([Problem("month", message("ledger.month"))]) from None


def _cause(unit: Unit, company_id: int) -> ledger.Cause:
    return ledger.Cause(COMPANY, company_id, unit.command, unit.revision.number, unit.revision.digest, unit.ctx.actor.user_id)
