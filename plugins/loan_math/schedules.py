"""The repayment schedule of plain terms: the time line of a contract to which nothing has happened yet. Domain spec §4.1 to §4.3."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from .contract import Contract
from .exact import from_cents, half_up, ratio, to_cents
from .line import draw
from .parts import Level
from .parts import level_payment as level_of
from .periods import periods_of
from .terms import DAY_COUNT_BASES, Instalment, Terms

Fraction_ = tuple[int, int]


def schedule(terms: Terms) -> tuple[Instalment, ...]:
    """The instalments of a loan, oldest first.

    Holds for every result: each amount >= 0 with two places, the principals sum to terms.principal, the last balance is
    0. BULLET gives one instalment; the other methods one per period. Raises LoanMathError for dates past the year 2200.
    """
    fee_cents = to_cents(terms.period_fee)
    fee = from_cents(fee_cents)
    return tuple(
        Instalment(row.no, row.start, row.due, (row.due - row.start).days, from_cents(row.principal), from_cents(row.interest), fee,
                   from_cents(row.principal + row.interest + fee_cents), from_cents(row.balance))
        for row in draw(contract_of(terms)).rows
    )


def level_payment(terms: Terms) -> Decimal:
    """The level amount A of EQUAL_INSTALMENT (principal + interest of a whole period, no fee)."""
    contract = contract_of(terms)
    factors = [contract.annual_rate * period.planned for period in periods_of(contract)]
    return from_cents(level_of(contract.principal, factors, Level(contract.rounding, contract.level == "closest")))


def contract_of(terms: Terms) -> Contract:
    """Plain terms as a contract of the time line. Under 30/360 a whole month is 1/12 of a year, weeks and days count actual days on 360;
    flat interest looks at no date."""
    flat, thirty, by_months = terms.method == "FLAT", terms.day_count == "30/360", terms.period_unit == "month"
    return Contract(
        principal=to_cents(terms.principal),
        annual_rate=Fraction(terms.annual_rate),
        method=terms.method,
        periods=terms.periods,
        start_date=terms.start_date,
        period_unit=terms.period_unit,
        period_length=terms.period_length,
        first_due_date=terms.first_due_date,
        due_day=terms.due_day,
        day_count=terms.day_count,
        interest_basis="period" if by_months and (thirty or flat) else "actual" if thirty else "daily",
        first_period="FULL_PERIOD" if flat else terms.first_period,
        min_first_days=terms.min_first_days,
        level="formula" if thirty else "closest",
    )


def actual_factor(terms: Terms, start: date, end: date) -> Fraction_:
    """The factor of a broken period: actual days on the base of the product, also under 30/360 (spec §4.1)."""
    numerator, denominator = ratio(terms.annual_rate)
    return numerator * (end - start).days, denominator * DAY_COUNT_BASES[terms.day_count]


def interest_cents(balance: int, factor: Fraction_) -> int:
    return half_up(balance * factor[0], factor[1])
