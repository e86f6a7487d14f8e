"""Due dates: decided before any amount, from the terms alone."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from .check import DATE_MAX
from .errors import LoanMathError
from .terms import Terms


def due_dates(terms: Terms) -> tuple[date, ...]:
    """One due date per period, strictly rising, each counted from the anchor: 31 → 28 → 31 does not drift (E14)."""
    shift = 1 if _first_is_too_short(terms) else 0
    return tuple(_due_date(terms, k + shift) for k in range(terms.periods))


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


def _due_date(terms: Terms, k: int) -> date:
    """The due date `k` periods after the first one, before `min_first_days` is looked at."""
    if terms.period_unit == "month":
        first = terms.first_due_date
        if first is not None:
            return add_months(first, k * terms.period_length, _anchor_day(terms))
        return add_months(terms.start_date, (k + 1) * terms.period_length, _anchor_day(terms))
    step = _period_days(terms)
    first = terms.first_due_date or _add_days(terms.start_date, step)
    return _add_days(first, k * step)


def _first_is_too_short(terms: Terms) -> bool:
    return (_due_date(terms, 0) - terms.start_date).days < terms.min_first_days


def _anchor_day(terms: Terms) -> int:
    if terms.due_day is not None:
        return terms.due_day
    return (terms.first_due_date or terms.start_date).day


def _period_days(terms: Terms) -> int:
    return terms.period_length * (7 if terms.period_unit == "week" else 1)


def _add_days(day: date, days: int) -> date:
    if days > (DATE_MAX - day).days:
        raise LoanMathError("periods", "out_of_range", found=f"{day} + {days} d", limit=f"… – {DATE_MAX}")
    return day + timedelta(days=days)
