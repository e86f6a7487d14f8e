"""Days past due, grace, penalty and compound interest of one overdue instalment. Spec §4.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from .check import check_amount, check_choice, check_date, check_rate, check_whole
from .errors import LoanMathError
from .exact import from_cents, half_up, ratio, to_cents

RATE_PERIODS: Final[dict[str, int]] = {"day": 1, "year/360": 360, "year/365": 365}
GRACE_DAYS_MAX: Final = 366


@dataclass(frozen=True, kw_only=True, slots=True)
class PenaltyTerms:
    """How lateness is charged.

    rate, rate_per    the penalty rate as a fraction: 0.18 with "year/360", or 0.0005 with "day" (日万分之五)
    grace_days        paid at most so many days late is on time
    grace_retroactive after the grace the penalty counts from the due date (True) or from the end of the grace (False)
    """

    rate: Decimal
    rate_per: str = "year/360"
    grace_days: int = 0
    grace_retroactive: bool = True

    def __post_init__(self) -> None:
        check_rate("penalty_rate", self.rate)
        check_choice("penalty_rate_per", self.rate_per, RATE_PERIODS.keys())
        check_whole("grace_days", self.grace_days, 0, GRACE_DAYS_MAX)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of constant overdue base: `start` counted, `end` not; `amount` is its penalty, rounded as it closed."""

    start: date
    end: date
    days: int
    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Penalty:
    """days: how many days were charged; amount: the sum of the segments."""

    days: int
    segments: tuple[Segment, ...]
    amount: Decimal


def overdue_days(due_date: date, on: date, grace_days: int = 0) -> int:
    """Days past due: 0 on the due date, before it and within the grace; after the grace counted from the due date."""
    check_date("due_date", due_date)
    check_date("on", on)
    check_whole("grace_days", grace_days, 0, GRACE_DAYS_MAX)
    days = (on - due_date).days
    return days if days > grace_days else 0


def penalty_start(terms: PenaltyTerms, due_date: date) -> date:
    """First day that bears penalty once the grace is over."""
    return due_date if terms.grace_retroactive else due_date + timedelta(days=terms.grace_days)


def penalty(
    terms: PenaltyTerms,
    due_date: date,
    base: Decimal,
    on: date,
    *,
    reductions: Sequence[tuple[date, Decimal]] = (),
) -> Penalty:
    """Penalty of one instalment up to `on` (not counted), on what of `base` was still unpaid each day.

    base        what was unpaid at the end of the due date: principal, or principal + interest if the product says so;
                the unpaid interest alone gives the compound interest (复利)
    reductions  (date, amount) of each later payment of that base, in any order; a payment on the due date or before it
                lowers the base from the first day

    No penalty at all if nothing is left of the base when the grace ends. The penalty never enters a base. Each segment
    is rounded when it closes, so a daily run and a catch-up run agree as long as both close segments at payments only.
    """
    check_amount("base", base)
    days_late = overdue_days(due_date, on, terms.grace_days)
    steps = _checked_reductions(reductions, base)
    grace_end = due_date + timedelta(days=terms.grace_days)
    paid_in_grace = sum(cents for day, cents in steps if day <= grace_end)
    if days_late == 0 or paid_in_grace == to_cents(base):
        return Penalty(0, (), from_cents(0))
    segments = _segments(terms, penalty_start(terms, due_date), to_cents(base), on, steps)
    return Penalty(
        sum(segment.days for segment in segments),
        segments,
        from_cents(sum(to_cents(segment.amount) for segment in segments)),
    )


def _checked_reductions(reductions: Sequence[tuple[date, Decimal]], base: Decimal) -> list[tuple[date, int]]:
    for day, amount in reductions:
        check_date("reductions", day)
        check_amount("reductions", amount)
    steps = sorted((day, to_cents(amount)) for day, amount in reductions)
    if sum(cents for _, cents in steps) > to_cents(base):
        raise LoanMathError("reductions", "out_of_range", found="Σ > base", limit=f"0 – {base}")
    return steps


def _segments(
    terms: PenaltyTerms, start: date, base: int, on: date, steps: list[tuple[date, int]]
) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    for day, cents in [*steps, (on, 0)]:
        end = min(day, on)
        if end > start and base > 0:
            segments.append(_segment(terms, start, end, base))
        start = max(start, end)
        base -= cents if day <= on else 0
    return tuple(segments)


def _segment(terms: PenaltyTerms, start: date, end: date, base: int) -> Segment:
    numerator, denominator = ratio(terms.rate)
    days = (end - start).days
    amount = half_up(base * numerator * days, denominator * RATE_PERIODS[terms.rate_per])
    return Segment(start, end, days, from_cents(base), from_cents(amount))
