"""The loan and its plan: made when the channel has paid, kept in step with every receipt (S1-17, S1-18)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from metaloom.plugin.calculation import Calculation, Instalment
from metaloom.plugin.command import Values, Work

from .books import post
from .terms import SNAPSHOT, terms_of

LOAN, PLAN, INSTALMENT = "lending.loan", "lending.repayment_plan", "lending.instalment"
ZERO = Decimal("0.00")


def open_loan(work: Work, drawdown: Values, start: date) -> int:
    """Loan, plan version 1, instalments and the payout entry; interest begins on ``start``, the channel's success date."""
    snapshot = work.get(SNAPSHOT, drawdown["snapshot"])
    calculation: Calculation = work.provider("calculation")
    rows = calculation.schedule(terms_of(snapshot, start))
    interest = sum((row.interest for row in rows), ZERO)
    loan = work.create(LOAN, {
        "customer": drawdown["customer"], "product": drawdown["product"], "drawdown": drawdown["id"], "snapshot": snapshot["id"],
        "limit": drawdown["limit"], "principal_amount": snapshot["amount"], "principal_balance": snapshot["amount"],
        "interest_balance": interest, "annual_rate": snapshot["annual_rate"], "repay_method": snapshot["repay_method"],
        "periods": len(rows), "disbursed_on": start, "matures_on": rows[-1].due_date, "next_due_on": rows[0].due_date,
        "next_due_amount": rows[0].total, "company": drawdown["company"], "org_unit": drawdown["org_unit"],
        "owner": drawdown["owner"],
    })
    add_plan(work, work.get(LOAN, loan), "origin", rows, start)
    post(work, "payout", {"principal": snapshot["amount"]}, drawdown["company"], booking=start, value=start, cause=(LOAN, loan),
         loan=work.get(LOAN, loan))
    return loan


def add_plan(work: Work, loan: Values, reason: str, rows: Sequence[Instalment], on: date) -> int:
    """The next version of the loan's plan."""
    version = len(work.find(PLAN, {"loan": loan["id"]})) + 1
    plan = work.create(PLAN, {
        "plan_name": f"{loan['loan_no']} V{version}", "loan": loan["id"], "version": version, "reason": reason,
        "repay_method": loan["repay_method"], "annual_rate": loan["annual_rate"], "total_periods": len(rows),
        "total_principal": sum((row.principal for row in rows), ZERO), "total_interest": sum((row.interest for row in rows), ZERO),
        "made_on": on,
    })
    work.insert_many(INSTALMENT, [{
        "loan": loan["id"], "plan": plan, "period_no": row.no, "start_date": row.start_date, "due_date": row.due_date,
        "days": row.days, "principal": row.principal, "interest": row.interest, "balance": row.balance,
    } for row in rows])
    return plan


def open_instalments(work: Work, loan: int, *, lock: bool = True) -> list[Values]:
    """What is not paid yet, oldest first; locked unless it is only looked at."""
    return work.find(INSTALMENT, {"loan": loan, "status": ["not_due", "partial"]}, order=("due_date", "period_no"), lock=lock)


def refresh(work: Work, loan: Values, on: date) -> None:
    """Balance, progress and the next due date from the instalments as they are now; settles when nothing is open."""
    rows = [r for r in work.find(INSTALMENT, {"loan": loan["id"]}, order=("due_date", "period_no")) if r["status"] != "cancelled"]
    left = [r for r in rows if r["status"] != "paid"]
    following = left[0] if left else None
    work.change(LOAN, loan["id"], {
        "principal_balance": loan["principal_amount"] - sum((paid_principal(r) for r in all_rows(work, loan["id"])), ZERO),
        "interest_balance": sum((r["interest"] - r["paid_interest"] for r in left), ZERO),
        "paid_periods": len(rows) - len(left), "settled_on": None if left else on,
        "next_due_on": following["due_date"] if following else None,
        "next_due_amount": following["unpaid"] if following else None,
    })
    if not left and loan["status"] == "normal":
        work.transition(LOAN, loan["id"], "settle")
    elif left and loan["status"] == "settled":
        work.transition(LOAN, loan["id"], "reopen")


def all_rows(work: Work, loan: int) -> list[Values]:
    """Every instalment of every plan version."""
    return work.find(INSTALMENT, {"loan": loan})


def paid_principal(row: Values) -> Decimal:
    amount: Decimal = row["paid_principal"]
    return amount
