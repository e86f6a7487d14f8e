"""Due dates: decided before any amount, from the terms alone."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta

from .check import DATE_MAX
from .errors import LoanMathError
from .terms import Terms


def due_dates(terms: Terms) -> tuple[date, ...]:
    """One due date per period, strictly rising, each counted from the anchor: 31 → 28 → 31 does not drift (E14)."""
    due_date = _counting(terms)
    shift = 1 if (due_date(0) - terms.start_date).days < terms.min_first_days else 0
    return tuple(due_date(k + shift) for k in range(terms.periods))


def whole_period_start(terms: Terms, first_due: date) -> date:
    """Where the first period would begin if it were whole; equal to start_date when it is."""
    if terms.period_unit != "month":
        return first_due - timedelta(days=_period_days(terms))
    return add_months(first_due, -terms.period_length, _anchor_day(terms))


def add_months(day: date, months: int, anchor_day: int | None = None) -> date:
    """The anchor day (default: the day itself) `months` later, clamped to the end of a short month."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    month += 1
    if not 1 <= year <= DATE_MAX.year:
        raise LoanMathError("periods", "out_of_range", found=f"{year:04d}-{month:02d}", limit=f"… – {DATE_MAX}")
    wanted = day.day if anchor_day is None else anchor_day
    return date(year, month, wanted if wanted <= 28 else min(wanted, monthrange(year, month)[1]))


def _counting(terms: Terms) -> Callable[[int], date]:
    """k → the due date k periods after the first one, before `min_first_days` is looked at."""
    anchor, ahead = (terms.first_due_date, 0) if terms.first_due_date is not None else (terms.start_date, 1)
    if terms.period_unit == "month":
        length, day = terms.period_length, _anchor_day(terms)
        return lambda k: add_months(anchor, (k + ahead) * length, day)
    step = _period_days(terms)
    return lambda k: add_days(anchor, (k + ahead) * step)


def _anchor_day(terms: Terms) -> int:
    if terms.due_day is not None:
        return terms.due_day
    return (terms.first_due_date or terms.start_date).day


def _period_days(terms: Terms) -> int:
    return terms.period_length * (7 if terms.period_unit == "week" else 1)


def add_days(day: date, days: int) -> date:
    """`days` later; LoanMathError past the last year."""
    if days > (DATE_MAX - day).days:
        raise LoanMathError("periods", "out_of_range", found=f"{day} + {days} d", limit=f"… – {DATE_MAX}")
    return day + timedelta(days=days)
