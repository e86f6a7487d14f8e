"""What must hold of a lender's books whatever happened; raises with the rows that break it."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tests.plugins.lender import Lender

ZERO = Decimal("0.00")


def balanced(lender: Lender) -> None:
    """Every entry is posted and balances; the trial balance is zero."""
    tables = lender.tenant.revision().tables.engine
    entry, leg = tables.ledger_entry, tables.ledger_leg
    with lender.tenant.read() as conn:
        drafts = conn.scalars(sa.select(entry.c.id).where(entry.c.state != "posted")).all()
        legs = conn.execute(sa.select(leg.c.entry_id, leg.c.side, leg.c.amount)).all()
    assert not drafts
    sums: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for row in legs:
        sums[row.entry_id] += row.amount if row.side == "debit" else -row.amount
    assert legs
    assert not {number: off for number, off in sums.items() if off}


def books_agree(lender: Lender) -> None:
    """Sub-ledger = general ledger, limits = their journal, instalments = allocations, one loan per paid drawdown."""
    balanced(lender)
    loans = lender.rows("loan")
    assert sum((loan["principal_balance"] for loan in loans), ZERO) == lender.account("1303.01")
    assert sum((loan["suspense"] for loan in loans), ZERO) == -lender.account("2241.01")
    assert -lender.account("6011.01") == sum((row["amount"] for row in lender.rows("repayment_allocation", component="interest")), ZERO)
    for loan in loans:
        _loan_agrees(lender, loan)
    for limit in lender.rows("credit_limit"):
        _limit_agrees(lender, limit)
    paid = [row for row in lender.rows("drawdown") if row["status"] == "paid"]
    assert sorted(row["loan_id"] for row in paid) == sorted(loan["id"] for loan in loans)


def _loan_agrees(lender: Lender, loan: Any) -> None:
    rows = lender.rows("instalment", loan_id=loan["id"])
    parts = lender.rows("repayment_allocation", loan_id=loan["id"])
    for component in ("principal", "interest"):
        allocated: dict[int, Decimal] = defaultdict(lambda: ZERO)
        for part in parts:
            if part["component"] == component:
                allocated[part["instalment_id"]] += part["amount"]
        assert {row["id"]: row[f"paid_{component}"] for row in rows if row[f"paid_{component}"]} == {k: v for k, v in allocated.items() if v}
    paid = sum((row["paid_principal"] for row in rows), ZERO)
    assert loan["principal_balance"] == loan["principal_amount"] - paid
    standing = [row for row in rows if row["status"] != "cancelled"]
    cancelled = sum((row["paid_principal"] for row in rows if row["status"] == "cancelled"), ZERO)
    assert sum((row["principal"] for row in standing), ZERO) + cancelled == loan["principal_amount"]
    assert (loan["status"] == "settled") == all(row["status"] == "paid" for row in standing)


def _limit_agrees(lender: Lender, limit: Any) -> None:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in lender.rows("limit_txn", limit_id=limit["id"]):
        sums[row["type"]] += row["amount"]
    assert limit["used"] == sums["use"] - sums["restore"]
    assert limit["reserved"] == sums["reserve"] - sums["release"] - _first_uses(lender, limit["id"])
    assert limit["available"] == limit["total"] - limit["used"] - limit["reserved"] - limit["frozen"] >= 0


def _first_uses(lender: Lender, limit: int) -> Decimal:
    """Uses that came out of a reservation (a reversed repayment uses the limit without one)."""
    rows = lender.rows("limit_txn", limit_id=limit, type="use")
    return sum((row["amount"] for row in rows if str(row["txn_key"]).startswith("use:")), ZERO)
