"""A second way to the same cents, written apart from the plugin: fractions.Fraction, one loop, no clever bracket.

Slow and plain on purpose. It shares nothing with the plugin but the Terms it reads.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

BASES = {"30/360": 360, "ACT/360": 360, "ACT/365": 365}
CENT = Fraction(1, 100)


def rounded(value: Fraction) -> Fraction:
    return Fraction(floor(value * 100 + Fraction(1, 2)), 100)


def month_later(day: date, months: int, anchor: int) -> date:
    year, month = day.year, day.month + months
    while month > 12:
        year, month = year + 1, month - 12
    while month < 1:
        year, month = year - 1, month + 12
    return date(year, month, min(anchor, calendar.monthrange(year, month)[1]))


def edges(terms: Any) -> tuple[list[date], date]:
    """Start and due dates, and the start of a whole first period."""
    if terms.period_unit == "month":
        anchor = terms.due_day or (terms.first_due_date or terms.start_date).day
        first = terms.first_due_date or month_later(terms.start_date, terms.period_length, anchor)
        dates = [month_later(first, k * terms.period_length, anchor) for k in range(terms.periods + 1)]
    else:
        step = timedelta(days=terms.period_length * {"day": 1, "week": 7}[terms.period_unit])
        first = terms.first_due_date or terms.start_date + step
        dates = [first + k * step for k in range(terms.periods + 1)]
    dates = dates[1:] if (dates[0] - terms.start_date).days < terms.min_first_days else dates[:-1]
    if terms.period_unit == "month":
        whole = month_later(dates[0], -terms.period_length, anchor)
    else:
        whole = dates[0] - step
    return [terms.start_date, *dates], whole


def period_rates(terms: Any, dates: list[date], whole: date) -> tuple[list[Fraction], list[Fraction]]:
    """(as the calendar says, as planned) interest per unit of balance, per period."""
    rate, base = Fraction(terms.annual_rate), BASES[terms.day_count]

    def by_days(start: date, end: date) -> Fraction:
        return rate * (end - start).days / base

    starts = [whole, *dates[1:-1]]
    if terms.day_count == "30/360" and terms.period_unit == "month":
        planned = [rate * terms.period_length / 12 for _ in starts]
    else:
        planned = [by_days(start, end) for start, end in zip(starts, dates[1:], strict=True)]
    actual = list(planned)
    if whole != dates[0] and terms.first_period == "STUB_ACTUAL":
        actual[0] = by_days(dates[0], dates[1])
    return actual, planned


def run_level(principal: Fraction, planned: list[Fraction], level: Fraction) -> list[Fraction]:
    balance, parts = principal, []
    for r in planned[:-1]:
        part = max(Fraction(0), min(balance, level - rounded(balance * r)))
        parts.append(part)
        balance -= part
    return [*parts, balance]


def level_of(terms: Any, principal: Fraction, planned: list[Fraction]) -> Fraction:
    if terms.annual_rate == 0:
        return rounded(principal / len(planned))
    if terms.day_count == "30/360":
        worth, discount = Fraction(0), Fraction(1)
        for r in planned:
            discount /= 1 + r
            worth += discount
        return rounded(principal / worth)

    def miss(level: Fraction) -> Fraction:
        parts = run_level(principal, planned, level)
        return parts[-1] + rounded(parts[-1] * planned[-1]) - level

    low, high = -1, int((principal * 100) * (1 + max(planned))) + 2
    while high - low > 1:
        middle = (low + high) // 2
        if miss(middle * CENT) <= 0:
            high = middle
        else:
            low = middle
    candidates = [c for c in (low, high) if c >= 0]
    return min((c * CENT for c in candidates), key=lambda level: (abs(miss(level)), -level))


def reference_rows(terms: Any) -> list[tuple[date, Decimal, Decimal, Decimal]]:
    """(due date, principal, interest, balance) of every instalment."""
    dates, whole = edges(terms)
    actual, planned = period_rates(terms, dates, whole)
    principal, count = Fraction(terms.principal), terms.periods
    even = rounded(principal / count)
    if terms.method == "BULLET":
        interest = rounded(principal * sum(actual))
        return [(dates[-1], money(principal), money(interest), money(Fraction(0)))]
    if terms.method == "EQUAL_INSTALMENT":
        parts = run_level(principal, planned, level_of(terms, principal, planned))
    elif terms.method == "INTEREST_ONLY":
        parts = [Fraction(0)] * (count - 1) + [principal]
    else:
        parts, left = [], principal
        for _ in range(count - 1):
            parts.append(min(even, left))
            left -= parts[-1]
        parts.append(left)
    rows, balance = [], principal
    nominal = Fraction(terms.annual_rate) * terms.period_length / 12 if terms.period_unit == "month" else planned[0]
    for due, part, r in zip(dates[1:], parts, actual, strict=True):
        interest = rounded(principal * nominal) if terms.method == "FLAT" else rounded(balance * r)
        balance -= part
        rows.append((due, money(part), money(interest), money(balance)))
    return rows


def money(value: Fraction) -> Decimal:
    cents = value * 100
    assert cents.denominator == 1
    return Decimal(f"{cents.numerator // 100}.{cents.numerator % 100:02d}")
