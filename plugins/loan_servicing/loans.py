"""The loan and its plan, made when the channel has paid (S1-17, S1-18); what happens to them later is written by replan.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from metaloom.plugin.calculation import Calculation, Instalment
from metaloom.plugin.command import Values, Work

from .balances import Books
from .books import post
from .replan import INSTALMENT, LOAN, PLAN, ZERO
from .standing import book_columns, cents
from .terms import SNAPSHOT, terms_of


def open_loan(work: Work, drawdown: Values, start: date) -> int:
    """Loan, plan version 1, instalments and the payout entry; interest begins on ``start``, the channel's success date."""
    snapshot = work.get(SNAPSHOT, drawdown["snapshot"])
    calculation: Calculation = work.provider("calculation")
    rows = calculation.schedule(terms_of(snapshot, start))
    interest = sum((row.interest for row in rows), ZERO)
    due = [row for row in rows if row.total]    # without interest, periods before the last may ask for nothing
    loan = work.create(LOAN, {
        "customer": drawdown["customer"], "product": drawdown["product"], "drawdown": drawdown["id"], "snapshot": snapshot["id"],
        "limit": drawdown["limit"], "principal_amount": snapshot["amount"], "principal_balance": snapshot["amount"],
        "interest_balance": interest, "annual_rate": snapshot["annual_rate"], "repay_method": snapshot["repay_method"],
        "periods": len(rows), "disbursed_on": start, "matures_on": rows[-1].due_date, "next_due_on": due[0].due_date,
        "next_due_amount": due[0].total, "paid_periods": len(rows) - len(due), "company": drawdown["company"], "org_unit": drawdown["org_unit"],
        "owner": drawdown["owner"], "accrued_through": start, "principal_gone": ZERO, **book_columns(Books(normal=cents(snapshot["amount"]))),
    })
    add_plan(work, work.get(LOAN, loan), "origin", rows, start)
    post(work, "payout", {"principal": snapshot["amount"]}, drawdown["company"], booking=start, value=start, cause=(LOAN, loan),
         loan=work.get(LOAN, loan))
    return loan


def add_plan(work: Work, loan: Values, reason: str, rows: Sequence[Instalment], on: date) -> int:
    """The next version of the loan's plan. A bill of nothing is paid from the beginning, as the fold has it."""
    version = len(work.find(PLAN, {"loan": loan["id"]})) + 1
    plan = work.create(PLAN, {
        "plan_name": f"{loan['loan_no']} V{version}", "loan": loan["id"], "version": version, "reason": reason,
        "repay_method": loan["repay_method"], "annual_rate": loan["annual_rate"], "total_periods": len(rows),
        "total_principal": sum((row.principal for row in rows), ZERO), "total_interest": sum((row.interest for row in rows), ZERO),
        "made_on": on,
    })
    ids = work.insert_many(INSTALMENT, [{
        "loan": loan["id"], "plan": plan, "period_no": row.no, "start_date": row.start_date, "due_date": row.due_date,
        "days": row.days, "principal": row.principal, "interest": row.interest, "balance": row.balance,
        "paid_off_on": None if row.total else row.due_date,
    } for row in rows])
    for number, row in zip(ids, rows, strict=True):
        if not row.total:
            work.transition(INSTALMENT, number, "pay_off")
    return plan
