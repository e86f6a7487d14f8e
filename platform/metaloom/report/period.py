"""Periods: their days by the business date, the ones they are compared with, and the points of a line over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from metaloom.model.dashboard import BUCKETS

SWITCH = ("today", "this_week", "this_month", "last_30_days", "this_year")
SWITCH_AHEAD = ("today", "this_week", "this_month", "next_7_days", "next_30_days")
POINTS_MAX = 120


@dataclass(frozen=True, slots=True)
class Span:
    """The days from ``since`` to ``until``, both inside."""

    since: date
    until: date

    @property
    def days(self) -> int:
        return (self.until - self.since).days + 1


def span_of(period: str, today: date) -> Span | None:
    """The days of a period; None for ``all``. A week begins on Monday, a calendar period is whole, also its days to come."""
    return None if period == "all" else _SPANS[period](today)


def _month(today: date, months: int) -> date:
    """The first day of the month so many months away."""
    number = today.year * 12 + today.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _calendar(since: date, following: date) -> Span:
    return Span(since, following - timedelta(days=1))


def _quarter(today: date) -> Span:
    first = _month(today, -((today.month - 1) % 3))
    return _calendar(first, _month(first, 3))


def _back(days: int) -> Callable[[date], Span]:
    return lambda today: Span(today - timedelta(days=days - 1), today)


def _ahead(days: int) -> Callable[[date], Span]:
    return lambda today: Span(today, today + timedelta(days=days - 1))


_SPANS: dict[str, Callable[[date], Span]] = {
    "today": lambda today: Span(today, today),
    "this_week": lambda today: Span(today - timedelta(days=today.weekday()), today + timedelta(days=6 - today.weekday())),
    "this_month": lambda today: _calendar(_month(today, 0), _month(today, 1)),
    "this_quarter": _quarter,
    "this_year": lambda today: Span(date(today.year, 1, 1), date(today.year, 12, 31)),
    "last_7_days": _back(7), "last_30_days": _back(30), "last_90_days": _back(90),
    "last_12_months": lambda today: Span(_month(today, -11), today),
    "next_7_days": _ahead(7), "next_30_days": _ahead(30),
}


def before(period: str, today: date, how: str) -> Span | None:
    """What a period is compared with: the one before (``before``) or the same a year before (``year_before``), as many days into it.

    On the 22nd this month stands beside the first 22 days of the last one, never beside its whole.
    """
    span = span_of(period, today)
    if span is None:
        return None
    if how == "year_before":
        begun = span_of(period, _year_before(today)) or span
    elif period in ("this_week", "this_month", "this_quarter", "this_year"):
        begun = span_of(period, span.since - timedelta(days=1)) or span
    elif period == "last_12_months":
        begun = Span(_month(span.since, -12), span.since - timedelta(days=1))
    else:
        return Span(span.since - timedelta(days=span.days), span.since - timedelta(days=1))
    passed = (min(today, span.until) - span.since).days
    return Span(begun.since, min(begun.until, begun.since + timedelta(days=passed)))


def _year_before(today: date) -> date:
    """The same day a year before; 28 February stands for the 29th."""
    return today.replace(year=today.year - 1, day=28 if (today.month, today.day) == (2, 29) else today.day)


def offered(period: str) -> tuple[str, ...]:
    """The periods among which people choose where a widget begins with ``period``."""
    usual = SWITCH_AHEAD if period.startswith("next_") else SWITCH
    return usual if period in usual else (period, *usual)


def bucket_for(span: Span, wanted: str = "") -> str:
    """Day, week, month or year: the wanted one, or one that suits the span; a coarser one where the points would be too many."""
    fitting = wanted or ("day" if span.days <= 45 else "week" if span.days <= 200 else "month" if span.days <= 1200 else "year")
    for unit in BUCKETS[BUCKETS.index(fitting):]:
        if span.days // _DAYS[unit] <= POINTS_MAX:
            return unit
    return "year"


_DAYS = {"day": 1, "week": 7, "month": 28, "year": 365}


def buckets(span: Span, unit: str) -> Iterator[date]:
    """The first day of every bucket that the span touches."""
    day = begin_of(span.since, unit)
    while day <= span.until:
        yield day
        day = end_of(day, unit) + timedelta(days=1)


def begin_of(day: date, unit: str) -> date:
    """The first day of the bucket of ``day``."""
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1), "year": day.replace(month=1, day=1)}[unit]


def end_of(day: date, unit: str) -> date:
    """The last day of the bucket that begins on ``day``."""
    if unit in ("day", "week"):
        return day + timedelta(days=_DAYS[unit] - 1)
    return (_month(day, 1) if unit == "month" else date(day.year + 1, 1, 1)) - timedelta(days=1)
