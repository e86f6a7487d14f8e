"""Due dates first: the periods of a contract, decided before any amount and from its terms alone (domain specification §4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import count, islice
from typing import Final

import chinese_calendar

from .contract import DAYS, MONTHS, Contract, Holidays
from .dates import add_days, add_months
from .day_count import THIRTY, actual_fraction, year_fraction
from .errors import LoanMathError

_YEARS_KNOWN: Final = frozenset(day.year for day in chinese_calendar.holidays)
_SHIFT_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Period:
    """One period: ``start`` counted, ``end`` not. ``due`` is the day it is to be paid, moved off holidays where the contract says so.

    ``share`` of a year a whole period bears; ``broken``: it is not whole and counts its days. ``planned``: the share that the
    principal is split by (the whole period, also where the first one is broken).
    """

    start: date
    end: date
    due: date
    nominal: date
    share: Fraction
    planned: Fraction
    broken: bool


def periods_of(contract: Contract, extra: int = 0) -> tuple[Period, ...]:
    """The periods of a contract and ``extra`` more in the same rhythm."""
    return tuple(islice(_periods(contract), contract.periods + extra))


def share_of(contract: Contract, start: date, end: date) -> Fraction:
    """The share of a year that a broken stretch counts."""
    count_days = year_fraction if contract.interest_basis == "daily" else actual_fraction
    return count_days(contract.day_count, start, end)


def _periods(contract: Contract) -> Iterator[Period]:
    whole_start, nominal = _dates(contract)
    start, earlier = contract.start_date, contract.start_date
    for place, day in enumerate(nominal):
        due = shifted(contract.holidays, day)
        end = due if contract.holidays.adjust_interest else day
        if end <= start or due <= earlier:
            raise LoanMathError("due_dates" if contract.due_dates else "holidays", "wrong_order", found=due.isoformat(), limit=earlier.isoformat())
        whole_from = whole_start if place == 0 else start
        broken = place == 0 and whole_start != contract.start_date and _looks_at_days(contract)
        planned = _whole_share(contract, whole_from, end)
        actual = share_of(contract, start, end) if broken else planned
        yield Period(start, end, due, day, actual, actual if contract.first_period == "LEVEL" else planned, broken)
        start, earlier = end, due


def _looks_at_days(contract: Contract) -> bool:
    """Whether an odd first period counts its days; flat interest by period looks at no date at all."""
    return contract.first_period != "FULL_PERIOD" and not (contract.method == "FLAT" and contract.interest_basis == "period")


def _whole_share(contract: Contract, start: date, end: date) -> Fraction:
    """A whole period: its nominal share of the year, or its days."""
    if contract.interest_basis != "period":
        return share_of(contract, start, end)
    if contract.period_unit in MONTHS:
        return Fraction(contract.months, 12)
    if contract.period_unit == "week":
        return Fraction(contract.period_length, 52)
    return Fraction(contract.period_length, 360 if contract.day_count in THIRTY or contract.day_count == "ACT/360" else 365)


# -- nominal dates


def _dates(contract: Contract) -> tuple[date, Iterator[date]]:
    """Where the first period would begin if it were whole, and the due dates without end."""
    if contract.due_dates:
        return contract.start_date, _given(contract)
    due = _rhythm(contract)
    shift = 1 if (due(0) - contract.start_date).days < contract.min_first_days else 0
    return _whole_start(contract, due(shift)), (due(k + shift) for k in count())


def _given(contract: Contract) -> Iterator[date]:
    """The dates of the request, then on in the rhythm of the contract from the last of them."""
    yield from contract.due_dates
    last = contract.due_dates[-1]
    step = _step(contract, last, last.day)
    for k in count(1):
        yield step(k)


def _rhythm(contract: Contract) -> Callable[[int], date]:
    """k → the due date k periods after the first one, before ``min_first_days`` is looked at; each from the anchor, so 31 does not drift."""
    first = contract.first_due_date
    if first is not None and first <= contract.start_date:
        raise LoanMathError("first_due_date", "wrong_order", found=first.isoformat(), limit=contract.start_date.isoformat())
    anchor, ahead = (first, 0) if first is not None else (contract.start_date, 1)
    day = contract.due_day if contract.due_day is not None else anchor.day
    if first is not None and contract.due_day is not None and _month_later(contract, first, 0, day) != first:
        raise LoanMathError("first_due_date", "conflict", found=first.isoformat(), limit=f"due_day={contract.due_day}")
    step = _step(contract, anchor, day)
    return lambda k: step(k + ahead)


def _step(contract: Contract, anchor: date, day: int) -> Callable[[int], date]:
    if contract.period_unit in MONTHS:
        return lambda k: _month_later(contract, anchor, k * contract.months, day)
    length = DAYS[contract.period_unit] * contract.period_length
    return lambda k: add_days(anchor, k * length)


def _month_later(contract: Contract, anchor: date, months: int, day: int) -> date:
    found = add_months(anchor, months, day)
    return found + timedelta(days=1) if contract.month_end == "first_of_next" and found.day < day else found


def _whole_start(contract: Contract, first: date) -> date:
    if contract.period_unit in MONTHS:
        return _month_later(contract, first, -contract.months, contract.due_day or (contract.first_due_date or contract.start_date).day)
    return first - timedelta(days=DAYS[contract.period_unit] * contract.period_length)


# -- holidays


def shifted(holidays: Holidays, day: date) -> date:
    """The day itself, or the nearest working day after or before it."""
    if holidays.rule == "none":
        return day
    step = timedelta(days=1 if holidays.rule == "next_workday" else -1)
    for _ in range(_SHIFT_MAX):
        if is_workday(holidays, day):
            return day
        day += step
    raise LoanMathError("holidays.dates", "out_of_range", found=day.isoformat(), limit=f"{_SHIFT_MAX} d")


def is_workday(holidays: Holidays, day: date) -> bool:
    """Listed days first; then the published Chinese calendar with its working weekends (调休), where the year is known; else the week."""
    if day in holidays.workdays:
        return True
    if day in holidays.dates:
        return False
    if holidays.calendar == "CN" and day.year in _YEARS_KNOWN:
        return bool(chinese_calendar.is_workday(day))
    return day.weekday() < 5
