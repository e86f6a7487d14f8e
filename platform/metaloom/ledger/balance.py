"""Sums over posted entries. Drafts are never counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

ZERO = Decimal("0.00")


@dataclass(frozen=True)
class AccountBalance:
    """Sums of one account; ``balance`` is debit − credit."""

    account: str
    currency: str
    debit: Decimal
    credit: Decimal

    @property
    def balance(self) -> Decimal:
        return self.debit - self.credit


def trial_balance(conn: sa.Connection, tables: Any, *, company_id: int | None = None,
                  on: date | None = None, account: str | None = None) -> tuple[AccountBalance, ...]:
    """Every account with postings (or the one ``account``), by booking date up to and with ``on``. The balances of one currency sum to zero (I4)."""
    legs, entries = tables.engine.ledger_leg, tables.engine.ledger_entry
    amount = legs.c.amount
    side = [sa.type_coerce(sa.func.coalesce(sa.func.sum(sa.case((legs.c.side == name, amount), else_=None)), 0), amount.type)
            for name in ("debit", "credit")]
    statement = (sa.select(legs.c.account, legs.c.currency, *side).join(entries, entries.c.id == legs.c.entry_id)
                 .where(entries.c.state == "posted").group_by(legs.c.account, legs.c.currency)
                 .order_by(legs.c.account, legs.c.currency))
    if company_id is not None:
        statement = statement.where(legs.c.company_id == company_id)
    if on is not None:
        statement = statement.where(legs.c.booking_date <= on)
    if account is not None:
        statement = statement.where(legs.c.account == account)
    return tuple(AccountBalance(row[0], row[1], _money(row[2]), _money(row[3])) for row in conn.execute(statement))


def account_balance(conn: sa.Connection, tables: Any, account: str, *, company_id: int | None = None,
                    on: date | None = None) -> Decimal:
    """Debit − credit of one account; zero when nothing was posted to it."""
    return sum((found.balance for found in trial_balance(conn, tables, company_id=company_id, on=on, account=account)), ZERO)


def entries_of(conn: sa.Connection, tables: Any, entity: str, record_id: int) -> tuple[tuple[str, str, str, Decimal], ...]:
    """(event, account, side, amount) of everything posted because of one record, in order."""
    legs, entries = tables.engine.ledger_leg, tables.engine.ledger_entry
    rows = conn.execute(
        sa.select(entries.c.event, legs.c.account, legs.c.side, legs.c.amount)
        .join(legs, legs.c.entry_id == entries.c.id)
        .where(entries.c.entity == entity, entries.c.record_id == record_id, entries.c.state == "posted")
        .order_by(entries.c.id, legs.c.line)
    )
    return tuple((row[0], row[1], row[2], row[3]) for row in rows)


def _money(value: Decimal) -> Decimal:
    return Decimal(value).quantize(Decimal("0.01"))
