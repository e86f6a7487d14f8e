"""The repayment schedule: due dates first, amounts second, every interest amount by one formula.

interest of a period = balance × annual_rate × share of a year, rounded HALF_UP to the cent once. The methods differ
only in how much principal each period repays. Source: domain spec §4.1 to §4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import Final

from .dates import due_dates, whole_period_start
from .exact import from_cents, half_up, ratio, to_cents
from .terms import DAY_COUNT_BASES, Instalment, Terms

Fraction_ = tuple[int, int]


def schedule(terms: Terms) -> tuple[Instalment, ...]:
    """The instalments of a loan, oldest first.

    Holds for every result: each amount >= 0 with two places, the principals sum to terms.principal, the last balance is
    0. BULLET gives one instalment; the other methods one per period. Raises LoanMathError for dates past the year 2200.
    """
    plan = _plan(terms)
    principals, interests = _AMOUNTS[terms.method](plan)
    return _instalments(plan, principals, interests, terms.period_fee)


def level_payment(terms: Terms) -> Decimal:
    """The level amount A of EQUAL_INSTALMENT (principal + interest of a whole period, no fee)."""
    return from_cents(_level(_plan(terms)))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A loan in integers: cents, and per period the factor (numerator, denominator) that turns a balance into interest.

    `factors` follow the calendar; `planned` are the same with a whole first period, for the split into principals;
    `flat` is the factor of a nominal period, the same for all.
    """

    principal: int
    edges: tuple[date, ...]
    factors: tuple[Fraction_, ...]
    planned: tuple[Fraction_, ...]
    flat: Fraction_
    is_level_rate: bool


def _plan(terms: Terms) -> _Plan:
    dates = due_dates(terms)
    whole_start = whole_period_start(terms, dates[0])
    rate = ratio(terms.annual_rate)
    planned = _whole_factors(terms, (whole_start, *dates), rate)
    factors = planned
    if whole_start != terms.start_date and terms.first_period == "STUB_ACTUAL":
        factors = (actual_factor(terms, terms.start_date, dates[0]), *planned[1:])
    return _Plan(
        principal=to_cents(terms.principal),
        edges=(terms.start_date, *dates),
        factors=factors,
        planned=planned,
        flat=_month_factor(terms, rate) if terms.period_unit == "month" else planned[0],
        is_level_rate=terms.day_count == "30/360",
    )


def _whole_factors(terms: Terms, edges: Sequence[date], rate: Fraction_) -> tuple[Fraction_, ...]:
    if terms.day_count == "30/360" and terms.period_unit == "month":
        return (_month_factor(terms, rate),) * terms.periods
    numerator, denominator = rate[0], rate[1] * DAY_COUNT_BASES[terms.day_count]
    return tuple((numerator * (end - start).days, denominator) for start, end in zip(edges, edges[1:], strict=False))


def _month_factor(terms: Terms, rate: Fraction_) -> Fraction_:
    return rate[0] * terms.period_length, rate[1] * 12


def actual_factor(terms: Terms, start: date, end: date) -> Fraction_:
    """The factor of a broken period: actual days on the base of the product, also under 30/360 (spec §4.1)."""
    numerator, denominator = ratio(terms.annual_rate)
    return numerator * (end - start).days, denominator * DAY_COUNT_BASES[terms.day_count]


def interest_cents(balance: int, factor: Fraction_) -> int:
    return half_up(balance * factor[0], factor[1])


Amounts = tuple[list[int], list[int]]


def _equal_instalment(plan: _Plan) -> Amounts:
    """Level A; principal = A − planned interest. A month whose interest exceeds A repays no principal, never less."""
    level = _level(plan)
    principals: list[int] = []
    balance = plan.principal
    for factor in plan.planned[:-1]:
        part = min(max(level - interest_cents(balance, factor), 0), balance)
        principals.append(part)
        balance -= part
    principals.append(balance)
    return principals, _interests(plan, principals)


def _equal_principal(plan: _Plan) -> Amounts:
    principals = _even_parts(plan)
    return principals, _interests(plan, principals)


def _interest_only(plan: _Plan) -> Amounts:
    principals = [0] * (len(plan.factors) - 1) + [plan.principal]
    return principals, _interests(plan, principals)


def _bullet(plan: _Plan) -> Amounts:
    """One payment; the whole time is added up exactly and rounded once."""
    first, first_base = plan.factors[0]
    base = plan.planned[0][1]
    rest = sum(numerator for numerator, _ in plan.factors[1:])
    return [plan.principal], [half_up(plan.principal * (first * base + rest * first_base), first_base * base)]


def _flat(plan: _Plan) -> Amounts:
    """Interest on the original principal, the same in every period: neither a stub nor a long month is looked at."""
    return _even_parts(plan), [interest_cents(plan.principal, plan.flat)] * len(plan.factors)


_AMOUNTS: Final[dict[str, Callable[[_Plan], Amounts]]] = {
    "EQUAL_INSTALMENT": _equal_instalment,
    "EQUAL_PRINCIPAL": _equal_principal,
    "INTEREST_ONLY": _interest_only,
    "BULLET": _bullet,
    "FLAT": _flat,
}


def _even_parts(plan: _Plan) -> list[int]:
    """P/n rounded, the rest in the last period. Rounding up may use a tiny principal up early: then zeros follow."""
    count = len(plan.factors)
    part = half_up(plan.principal, count)
    left = plan.principal
    parts: list[int] = []
    for _ in range(count - 1):
        parts.append(min(part, left))
        left -= parts[-1]
    return [*parts, left]


def _interests(plan: _Plan, principals: list[int]) -> list[int]:
    balances = accumulate(principals, lambda balance, part: balance - part, initial=plan.principal)
    return [interest_cents(balance, factor) for balance, factor in zip(balances, plan.factors, strict=False)]


def _level(plan: _Plan) -> int:
    if plan.planned[0][0] == 0:
        return half_up(plan.principal, len(plan.planned))
    if plan.is_level_rate:
        return _annuity(plan.principal, plan.planned[0], len(plan.planned))
    return _sought_level(plan)


def _annuity(principal: int, factor: Fraction_, count: int) -> int:
    """A = P·i·(1+i)ⁿ / ((1+i)ⁿ − 1) with i = a/b, in integers and rounded once."""
    a, b = factor
    grown, plain = (a + b) ** count, b**count
    return half_up(principal * a * grown, b * (grown - plain))


def _sought_level(plan: _Plan) -> int:
    """The level whose last payment comes closest to it, for periods of unequal length (E02).

    The overshoot last − level never rises with the level, so a bracket around the exact annuity and a bisection find
    it. Equal distance: the higher level, whose last payment is the smaller one.
    """
    high = _exact_level(plan)
    step = 1
    while _overshoot(plan, high) > 0:
        high, step = high + step, step * 2
    low, step = high - 1, 1
    while low > 0 and _overshoot(plan, low) <= 0:
        high, low, step = low, low - step, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _overshoot(plan, middle) <= 0 else (middle, high)
    if low < 0:
        return high
    return low if _overshoot(plan, low) < -_overshoot(plan, high) else high


def _exact_level(plan: _Plan) -> int:
    """The level without rounding on the way: P·Π(1+rⱼ) / Σₖ Π_{j>k}(1+rⱼ), in integers on the common denominator."""
    base = plan.planned[0][1]
    growth = annuity = 1
    for numerator, _ in reversed(plan.planned[1:]):
        growth *= base + numerator
        annuity = annuity * base + growth
    return half_up(plan.principal * growth * (base + plan.planned[0][0]), base * annuity)


def _overshoot(plan: _Plan, level: int) -> int:
    """Last payment minus level, when every earlier payment is `level`."""
    balance = plan.principal
    for numerator, denominator in plan.planned[:-1]:
        part = level - (2 * balance * numerator + denominator) // (2 * denominator)
        if part > 0:
            balance -= part if part < balance else balance
    return balance + interest_cents(balance, plan.planned[-1]) - level


def _instalments(plan: _Plan, principals: list[int], interests: list[int], fee: Decimal) -> tuple[Instalment, ...]:
    edges = plan.edges if len(principals) > 1 else (plan.edges[0], plan.edges[-1])
    fee_cents, fee = to_cents(fee), from_cents(to_cents(fee))
    balance = plan.principal
    rows: list[Instalment] = []
    for no, (principal, interest) in enumerate(zip(principals, interests, strict=True), start=1):
        start, due = edges[no - 1], edges[no]
        balance -= principal
        rows.append(
            Instalment(
                no,
                start,
                due,
                (due - start).days,
                from_cents(principal),
                from_cents(interest),
                fee,
                from_cents(principal + interest + fee_cents),
                from_cents(balance),
            )
        )
    return tuple(rows)
