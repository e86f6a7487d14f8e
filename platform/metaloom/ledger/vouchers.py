"""Posted entries as vouchers, in the order of their ids, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

import sqlalchemy as sa

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """``side`` debit | credit; ``amount`` is below zero in a reversal only (红字)."""

    account: str
    side: str
    amount: Decimal
    memo: str

    @property
    def signed(self) -> Decimal:
        """Debit above zero, credit below."""
        return self.amount if self.side == "debit" else -self.amount


@dataclass(frozen=True, slots=True)
class Voucher:
    """A posted entry with its legs. ``author``: the login of who posted it, '' for the machine."""

    id: int
    event: str
    memo: str
    booking_date: date
    value_date: date
    currency: str
    reversal_of: int | None
    author: str
    lines: tuple[Line, ...]


def vouchers(conn: sa.Connection, tables: Any, *, company_id: int | None = None, since: date | None = None, until: date | None = None) -> Iterator[Voucher]:
    """Every posted voucher booked from ``since`` to ``until``, both included, of one company or of all."""
    entry, leg, user = tables.engine.ledger_entry, tables.engine.ledger_leg, tables.engine.user
    conditions = [entry.c.state == "posted"]
    conditions += [entry.c.company_id == company_id] if company_id is not None else []
    conditions += [entry.c.booking_date >= since] if since is not None else []
    conditions += [entry.c.booking_date <= until] if until is not None else []
    wanted = sa.select(entry.c.id).where(*conditions).order_by(entry.c.id).limit(PAGE)
    last = 0
    while ids := conn.scalars(wanted.where(entry.c.id > last)).all():
        last = ids[-1]
        rows = conn.execute(
            sa.select(entry.c.id, entry.c.event, entry.c.memo, entry.c.booking_date, entry.c.value_date, entry.c.currency, entry.c.reversal_of,
                      user.c.username, leg.c.account, leg.c.side, leg.c.amount, leg.c.memo.label("leg_memo"))
            .join(leg, leg.c.entry_id == entry.c.id).outerjoin(user, user.c.id == entry.c.created_by)
            .where(entry.c.id.in_(ids)).order_by(entry.c.id, leg.c.line)).all()
        for _, group in groupby(rows, key=lambda row: row.id):
            legs = list(group)
            head = legs[0]
            yield Voucher(head.id, head.event, head.memo or "", head.booking_date, head.value_date, head.currency, head.reversal_of, head.username or "",
                          tuple(Line(one.account, one.side, one.amount, one.leg_memo or "") for one in legs))
