"""Schedules by the thousand: the plain ones in bare integers, equal to the cent to the time line that all others take.

For a portfolio (a forecast, a migration, a stress test) most loans are plain: whole months, 30/360, half up to the cent. For those the
factor of a month is one fraction a/b, so a schedule is one division per row; levels share (1+i)ⁿ and due dates share a calendar. Whatever is
not plain goes through :func:`metaloom_plugins.loan_math.line.draw`. A test compares both on thousands of random loans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from functools import lru_cache

from .dates import due_dates, whole_period_start
from .exact import ratio, to_cents
from .line import draw
from .schedules import contract_of
from .terms import Terms

# (due date, principal, interest, balance) in cents
Line = tuple[date, int, int, int]
_METHODS = frozenset({"EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "FLAT"})


def schedules(loans: Iterable[Terms]) -> Iterator[list[Line]]:
    """One schedule per loan, in cents, in the order of the loans."""
    for terms in loans:
        dates = _plain_dates(terms)
        yield _lines(terms, dates) if dates is not None else [(row.due, row.principal, row.interest, row.balance) for row in draw(contract_of(terms)).rows]


def _plain_dates(terms: Terms) -> tuple[date, ...] | None:
    """The due dates of a plain loan; None for any other."""
    if terms.day_count != "30/360" or terms.period_unit != "month" or terms.method not in _METHODS:
        return None
    return _calendar(terms.start_date, terms.periods, terms.period_length, terms.due_day, terms.first_due_date, terms.min_first_days,
                     terms.method == "FLAT" or terms.first_period == "FULL_PERIOD")


@lru_cache(maxsize=4096)
def _calendar(start: date, periods: int, length: int, due_day: int | None, first: date | None, least: int, any_first: bool) -> tuple[date, ...] | None:
    """Dates depend on nothing else; None where the first period is not whole and counts its days."""
    terms = Terms(principal=Decimal(1), annual_rate=Decimal(0), method="FLAT", periods=periods, start_date=start, period_length=length,
                  due_day=due_day, first_due_date=first, min_first_days=least)
    dates = due_dates(terms)
    return dates if any_first or whole_period_start(terms, dates[0]) == start else None


@lru_cache(maxsize=4096)
def _growth(numerator: int, denominator: int, periods: int) -> tuple[int, int]:
    """i·(1+i)ⁿ / ((1+i)ⁿ − 1) as a fraction."""
    grown, plain = (numerator + denominator) ** periods, denominator**periods
    return numerator * grown, denominator * (grown - plain)


def _lines(terms: Terms, dates: tuple[date, ...]) -> list[Line]:
    top, bottom = ratio(terms.annual_rate)
    a, b = top * terms.period_length, bottom * 12
    balance, count, method = to_cents(terms.principal), terms.periods, terms.method
    last = len(dates) - 1
    twice, double, half = 2 * a, 2 * b, b
    lines: list[Line] = []
    if method == "EQUAL_INSTALMENT":
        level = _level(balance, a, b, count)
        for due in dates[:last]:
            interest = (balance * twice + half) // double
            part = level - interest
            part = 0 if part < 0 else balance if part > balance else part
            balance -= part
            lines.append((due, part, interest, balance))
    elif method == "INTEREST_ONLY":
        interest = (balance * twice + half) // double
        lines = [(due, 0, interest, balance) for due in dates[:last]]
    else:
        flat = (balance * twice + half) // double
        part = (2 * balance + count) // (2 * count)
        for due in dates[:last]:
            interest = flat if method == "FLAT" else (balance * twice + half) // double
            paid = part if part < balance else balance
            balance -= paid
            lines.append((due, paid, interest, balance))
        if method == "FLAT":
            lines.append((dates[last], balance, flat, 0))
            return lines
    lines.append((dates[last], balance, (balance * twice + half) // double, 0))
    return lines


def _level(principal: int, a: int, b: int, count: int) -> int:
    if a == 0:
        return (2 * principal + count) // (2 * count)
    numerator, denominator = _growth(a, b, count)
    return (2 * principal * numerator + denominator) // (2 * denominator)
