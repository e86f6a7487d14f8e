"""Daily interest of loans that pay as agreed, reckoned by the database in whole numbers: the same amounts as the fold, without the history.

The rule is that of the time line: actual days from the start of the period on the base of the product, rounded once, whole on the due date,
never above the bill. What is booked on a day is the difference of two such sums, so no cent drifts whatever the number of days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from metaloom.plugin.mass import Lines, Reckoned, Sql, Terms, Written

CHANGE, REPAYMENT, LOAN_DAY = "lending.loan_change", "lending.repayment", "lending.loan_day"
BASES: Final = {"30/360": 360, "ACT/360": 360, "ACT/365": 365}
"""Days of a year by which broken time counts (domain specification §4.1)."""
RATE_ONE: Final = 10**8
LARGEST: Final = 4 * 10**18
"""Half of what a whole number of the database holds: a product beyond it (millions at a high rate over years) is left to the fold."""
CLEAN: Final = ("dpd", "non_accrual", "overdue_amount", "penalty_balance", "compound_balance", "book_overdue", "book_non_accrual",
                "book_interest_overdue", "book_off_interest")
BOOKED: Final = (("accrual", "interest"), ("accrual", "interest_back"), ("vat", "interest"), ("vat", "interest_back"))
"""Events and amounts of the accounting rules that time moves for such a loan."""


def as_agreed(terms: Terms, since: int, until: int) -> Reckoned:
    """Loans of which nothing is late by the day ``until``, was late, was changed, or stands in the books otherwise than as principal and running
    interest, and that are done up to ``since`` or later. ``stood``: interest accrued and unpaid on the morning of their last day, which is what
    the books say; ``owed``: on each day; ``tax_stood`` and ``tax``: value-added tax in the interest that those bills earned by then, paid or not."""
    through, due = terms.of("accrued_through"), terms.of("next_due_on")
    bill = _bill(terms, until)
    unpaid = [terms.kept(_unpaid(terms, bill, day)) for day in (through, terms.each)]
    stood, owed = map(terms.sum, unpaid)
    tax_stood, tax = (terms.sum(_tax(terms, bill, one)) for one in unpaid)
    return Reckoned(
        {"stood": stood, "owed": owed, "tax_stood": tax_stood, "tax": tax,
         **{name: terms.of(name) for name in ("principal_balance", "risk_class", "book_income_interest", "book_vat_interest")}},
        where=[terms.of("status") == "normal", due >= until, through < terms.each, through >= since,
               *(terms.nothing(name) for name in CLEAN),
               terms.none(CHANGE, "loan", {"status": "applied"}), terms.none(REPAYMENT, "loan", {"kind": ["prepay", "settle"], "status": "posted"}),
               terms.row("status").in_(["not_due", "partial", "paid"]), terms.row("due_date") >= through,
               terms.row("due_date") >= since, terms.row("start_date") < until],
        having=[terms.sum(terms.case((bill.too_large, 1), other=0)) == 0, stood == terms.of("book_interest")],
        rises={"moved": ("owed", "stood"), "tax_moved": ("tax", "tax_stood")})


def written(lines: Lines, run: int | None) -> Written:
    """The row of each day and what the last one leaves in the loan; ``sums`` as ``BOOKED`` has them."""
    owed, moved, tax_moved = lines.of("owed"), lines.of("moved"), lines.of("tax_moved")
    tax, taxed = lines.of("tax") - lines.of("tax_stood"), lines.of("book_vat_interest")
    booked = (lines.most(moved, 0), lines.most(-moved, 0), lines.most(tax_moved, 0), lines.most(-tax_moved, 0))
    return Written(
        change={"accrued_through": lines.each, "accrued_interest": owed, "book_interest": owed,
                "book_income_interest": lines.of("book_income_interest") + owed - lines.of("stood"),
                "book_vat_interest": lines.case((tax == 0, taxed), other=lines.filled(taxed, 0) + tax)},
        add={LOAN_DAY: {"loan": lines.id, "business_date": lines.each, "run": run, "accrued_interest": owed, "moved_interest": lines.unless_zero(moved),
                        "moved_income_interest": lines.unless_zero(moved), "moved_vat_interest": lines.unless_zero(tax_moved), "penalty_balance": 0, "dpd": 0,
                        "dpd_bucket": "current", **{name: lines.of(name) for name in ("principal_balance", "risk_class")}}},
        sums={f"{event} {what}": one for (event, what), one in zip(BOOKED, booked, strict=True)})


@dataclass(frozen=True)
class Bill:
    """``base``: principal owed while its period runs; ``year``: 10⁸ times the days of a year; ``tax_rate``: of value-added tax, times 10⁸;
    ``too_large``: whole numbers do not hold a product."""

    base: Sql
    year: Sql
    tax_rate: Sql
    too_large: Sql


def _bill(terms: Terms, until: int) -> Bill:
    base = terms.kept(terms.case((terms.of("repay_method") == "FLAT", terms.of("principal_amount")), other=terms.row("principal") + terms.row("balance")))
    year = terms.kept(terms.case(*((terms.of("day_count") == name, terms.number(RATE_ONE * days)) for name, days in BASES.items()),
                      other=terms.number(0)))
    too_large = terms.roughly(base) * terms.of("annual_rate") * (until - terms.row("start_date")) > LARGEST
    tax_rate = terms.filled(terms.of("vat_rate"), 0)
    taxed_too_large = terms.roughly(terms.row("interest")) * tax_rate > LARGEST // 2
    return Bill(base, year, tax_rate, terms.kept(too_large | taxed_too_large | (year == 0)))


def _unpaid(terms: Terms, bill: Bill, day: Sql) -> Sql:
    """Interest of a bill that ran by the morning of the day and was neither paid nor waived."""
    start, interest = terms.row("start_date"), terms.row("interest")
    ran = terms.case((day <= start, 0), (day >= terms.row("due_date"), interest), (bill.too_large, 0), other=terms.least(
        (2 * bill.base * terms.of("annual_rate") * (day - start) + bill.year) // (2 * bill.year), interest))
    return terms.most(ran - terms.row("paid_interest") - terms.filled(terms.row("waived_interest"), 0), 0)


def _tax(terms: Terms, bill: Bill, unpaid: Sql) -> Sql:
    """价税分离: the tax in what the bill earned by a morning, less what was waived; rounded half up, bill by bill, as ``vat_in`` does."""
    income = terms.row("paid_interest") + unpaid
    one = RATE_ONE + bill.tax_rate
    return terms.case((bill.tax_rate == 0, 0), (bill.too_large, 0), other=(2 * income * bill.tax_rate + one) // (2 * one))
