"""What closes a loan on a given day (提前结清): all that is due, principal not yet due, interest to the day, fee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from .allocation import Bill
from .check import check_date, check_rate
from .errors import LoanMathError
from .exact import from_cents, half_up, ratio, to_cents
from .schedules import actual_factor, interest_cents
from .terms import Instalment, Terms


@dataclass(frozen=True, slots=True)
class SettleQuote:
    """Valid for the one business date `on`.

    overdue     unpaid parts of the instalments due up to `on`, as handed in
    principal   principal of the instalments not yet due
    interest    interest on it for the actual days since the last due date
    days        those days
    fee         prepayment fee on that principal
    total       overdue + principal + interest + fee
    unearned    interest of the schedule that is not charged because of the early day
    """

    on: date
    overdue: Decimal
    principal: Decimal
    interest: Decimal
    days: int
    fee: Decimal
    total: Decimal
    unearned: Decimal


def settle_quote(
    terms: Terms,
    rows: Sequence[Instalment],
    on: date,
    *,
    open_bills: Sequence[Bill] = (),
    fee_rate: Decimal = Decimal(0),
) -> SettleQuote:
    """The amount that settles the loan on `on` (E15).

    rows        the current schedule, oldest first
    open_bills  what is unpaid of the instalments with due_date <= on, penalty computed to `on`; a paid one is left out
    fee_rate    prepayment fee as a fraction of the principal not yet due

    Interest counts actual days on the product's base, and never more than the running instalment would have charged, so
    paying early never costs more interest. Fees of instalments not yet due are not charged. Raises LoanMathError if
    `on` lies before the start, or if an open bill belongs to no instalment that is due.
    """
    check_date("on", on)
    check_rate("fee_rate", fee_rate)
    if on < terms.start_date:
        raise LoanMathError("on", "wrong_order", found=on.isoformat(), limit=terms.start_date.isoformat())
    _check_bills_are_due(rows, open_bills, on)
    future = [row for row in rows if row.due_date > on]
    principal = sum(to_cents(row.principal) for row in future)
    days, interest = _accrued(terms, future, principal, on)
    numerator, denominator = ratio(fee_rate)
    fee = half_up(principal * numerator, denominator)
    overdue = sum(to_cents(bill.total) for bill in open_bills)
    planned = sum(to_cents(row.interest) for row in future)
    return SettleQuote(
        on=on,
        overdue=from_cents(overdue),
        principal=from_cents(principal),
        interest=from_cents(interest),
        days=days,
        fee=from_cents(fee),
        total=from_cents(overdue + principal + interest + fee),
        unearned=from_cents(planned - interest),
    )


def _accrued(terms: Terms, future: Sequence[Instalment], principal: int, on: date) -> tuple[int, int]:
    """Days and interest of the running period; FLAT bears it on the original principal, as its schedule does."""
    if not future:
        return 0, 0
    running = future[0]
    if on <= running.start_date:  # the period before was paid ahead of its time: nothing runs yet
        return 0, 0
    base = to_cents(terms.principal) if terms.method == "FLAT" else principal
    interest = interest_cents(base, actual_factor(terms, running.start_date, on))
    return (on - running.start_date).days, min(interest, to_cents(running.interest))


def _check_bills_are_due(rows: Sequence[Instalment], bills: Sequence[Bill], on: date) -> None:
    due = {row.no for row in rows if row.due_date <= on}
    for bill in bills:
        if bill.no not in due:
            raise LoanMathError("open_bills", "conflict", found=bill.no, limit=f"due_date <= {on}")
