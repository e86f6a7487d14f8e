"""Months of the books: closed once, in order, never opened again. A correction of a closed month is booked today (decision 33)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.ledger.balance import trial_balance
from metaloom.ledger.chain import head
from metaloom.ledger.post import Cause, Entry, Leg, store
from metaloom.model import Catalog

register({
    "ledger.closed": ("该月份已月结，不能再入账。请按当前营业日期入账。",
                      "That month is closed: nothing is booked into it any more. Book at today's business date."),
    "ledger.closed_already": ("{month} 已月结。", "{month} is closed already."),
    "ledger.close_order": ("请先月结 {month}：月结须逐月进行。", "Close {month} first: months are closed one after another."),
    "ledger.nothing_booked": ("{month} 及以前没有入账，无需月结。", "Nothing was booked in {month} or before."),
    "ledger.drafts": ("有 {number} 张未入账的凭证，不能月结。", "{number} ledger entries were begun and not posted; the month cannot be closed."),
    "ledger.not_zero": ("{currency} 试算不平衡，差额 {amount}，不能月结。", "The trial balance in {currency} is off by {amount}; the month cannot be closed."),
})

CARRIED = "close_month"
"""The event of entries that hand balances over (`closes_to` of the chart)."""


@dataclass(frozen=True)
class Month:
    """A calendar month as the books name it: ``2026-03``."""

    year: int
    month: int

    @classmethod
    def of(cls, day: date) -> Month:
        return cls(day.year, day.month)

    @classmethod
    def read(cls, text: str) -> Month:
        """ValueError unless the text is a month like 2026-03."""
        day = date.fromisoformat(f"{text}-01")
        if len(text) != 7:
            raise ValueError(text)
        return cls.of(day)

    @property
    def last(self) -> date:
        return date(self.year, self.month, monthrange(self.year, self.month)[1])

    @property
    def next(self) -> Month:
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True)
class Closed:
    """What closing a month did: entries up to its end, those that handed balances over, the head of the chain then ('' before anything is sealed)."""

    month: Month
    entries: int
    carried: tuple[int, ...]
    head: str


def lock_books(conn: sa.Connection, company_id: int) -> None:
    """Waits for whoever posts for this company, and lets nobody post till the end of the transaction (SQLite has one writer)."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '/books/' || :company))"), {"company": str(company_id)})


def next_to_close(conn: sa.Connection, tables: Any, company_id: int) -> Month | None:
    """The month after the last one closed, else the month of the first entry; None when nothing was booked."""
    periods, entries = tables.engine.ledger_period, tables.engine.ledger_entry
    last = conn.scalar(sa.select(sa.func.max(periods.c.month)).where(periods.c.company_id == company_id))
    if last:
        return Month.read(last).next
    first = conn.scalar(sa.select(sa.func.min(entries.c.booking_date)).where(entries.c.company_id == company_id))
    return Month.of(first) if first else None


def open_from(conn: sa.Connection, tables: Any, company_id: int) -> date | None:
    """The first day that takes entries; None while no month was closed."""
    last = conn.scalar(sa.select(sa.func.max(tables.engine.ledger_period.c.month)).where(tables.engine.ledger_period.c.company_id == company_id))
    if not last:
        return None
    month = Month.read(last).next
    return date(month.year, month.month, 1)


def close(conn: sa.Connection, revision: Any, company_id: int, month: Month, cause: Cause, *, now: datetime) -> Closed:
    """Hands balances over and tells what the month holds; the caller writes the period row, which shuts it.

    NotPossible: not the next month, unposted entries, a trial balance that is not zero. Call :func:`lock_books` before.
    """
    tables = revision.tables
    _refuse_unless_next(conn, tables, company_id, month)
    _refuse_unfinished(conn, tables, company_id, month)
    carried = _carry(conn, revision, company_id, month, cause, now)
    entries = tables.engine.ledger_entry
    number = conn.scalar(sa.select(sa.func.count()).select_from(entries).where(
        entries.c.company_id == company_id, entries.c.booking_date <= month.last, entries.c.state == "posted")) or 0
    end = head(conn, tables)
    return Closed(month, number, carried, end.hash if end.seals else "")


def _refuse_unless_next(conn: sa.Connection, tables: Any, company_id: int, month: Month) -> None:
    wanted = next_to_close(conn, tables, company_id)
    if wanted is None:
        raise NotPossible(message("ledger.nothing_booked", month=str(month)))
    if str(month) < str(wanted):
        raise NotPossible(message("ledger.closed_already", month=str(month)) if _any_closed(conn, tables, company_id)
                          else message("ledger.nothing_booked", month=str(month)))
    if month != wanted:
        raise NotPossible(message("ledger.close_order", month=str(wanted)))


def _any_closed(conn: sa.Connection, tables: Any, company_id: int) -> bool:
    periods = tables.engine.ledger_period
    return bool(conn.scalar(sa.select(sa.func.count()).select_from(periods).where(periods.c.company_id == company_id)))


def _refuse_unfinished(conn: sa.Connection, tables: Any, company_id: int, month: Month) -> None:
    entries = tables.engine.ledger_entry
    drafts = conn.scalar(sa.select(sa.func.count()).select_from(entries).where(
        entries.c.company_id == company_id, entries.c.booking_date <= month.last, entries.c.state != "posted"))
    if drafts:
        raise NotPossible(message("ledger.drafts", number=drafts))
    off: dict[str, Decimal] = {}
    for one in trial_balance(conn, tables, company_id=company_id, on=month.last):
        off[one.currency] = off.get(one.currency, Decimal(0)) + one.balance
    for currency, amount in off.items():
        if amount:
            raise NotPossible(message("ledger.not_zero", currency=currency, amount=amount))


def _carry(conn: sa.Connection, revision: Any, company_id: int, month: Month, cause: Cause, now: datetime) -> tuple[int, ...]:
    """One entry for each currency: every account that closes is brought to zero against its target."""
    targets = closing_accounts(revision.catalog)
    legs: dict[str, list[Leg]] = {}
    for one in trial_balance(conn, revision.tables, company_id=company_id, on=month.last):
        if one.balance and one.account in targets:
            against, own = ("debit", "credit") if one.balance > 0 else ("credit", "debit")
            legs.setdefault(one.currency, []).extend(
                (Leg(one.account, own, abs(one.balance)), Leg(targets[one.account], against, abs(one.balance))))
    return tuple(store(conn, revision.tables, Entry(
        event=CARRIED, amounts={}, company_id=company_id, booking_date=month.last, value_date=month.last, cause=cause, currency=currency,
        posting_key=f"{CARRIED}:{company_id}:{month}:{currency}"), tuple(made), now) for currency, made in sorted(legs.items()))


def closing_accounts(catalog: Catalog) -> dict[str, str]:
    """Code of each account that closes → code of the account that takes it over."""
    return {account.code: account.closes_to for account in catalog.accounts.values() if account.closes_to}
