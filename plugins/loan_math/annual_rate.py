"""综合年化: the internal rate of return of what really flowed, shown simple and compound. Spec §4.9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from .check import check_whole
from .dates import due_dates, whole_period_start
from .errors import LoanMathError
from .terms import Instalment, Terms

_MATHS: Final = Context(prec=40, rounding=ROUND_HALF_UP)
_PLACES: Final = Decimal("0.000001")
_RATE_MAX: Final = Decimal(1_000_000)
_CLOSE_ENOUGH: Final = Decimal("1E-25")


@dataclass(frozen=True, slots=True)
class Apr:
    """Fractions with six places: 0.158545 is 15.8545 %. `simple` is compared with the legal caps; show both."""

    simple: Decimal
    compound: Decimal


def apr(flows: Sequence[Decimal], periods_per_year: int = 12) -> Apr:
    """Annual rates of equally spaced flows, seen by the lender.

    flows[0] is what really left at payout, negative (−principal + fees kept back at payout); the rest are receipts
    >= 0, fees included, one per period. simple = i × periods_per_year, compound = (1 + i)^periods_per_year − 1, both
    of the unrounded period rate i. Raises LoanMathError where no rate exists: no outflow, no receipt, a later outflow.
    """
    check_whole("periods_per_year", periods_per_year, 1, 366)
    _check_flows(flows)
    return _annual(_MATHS.divide(Decimal(1), _discount(flows)), periods_per_year)


def _annual(growth: Decimal, periods_per_year: int) -> Apr:
    """Both ways to say the growth of one period by the year."""
    simple = _MATHS.multiply(_MATHS.subtract(growth, Decimal(1)), Decimal(periods_per_year))
    compound = _MATHS.subtract(_MATHS.power(growth, Decimal(periods_per_year)), Decimal(1))
    if compound > _RATE_MAX:
        raise LoanMathError("flows", "out_of_range", found=f"{compound:.3e}", limit=f"-1 – {_RATE_MAX}")
    return Apr(_rounded(simple), _rounded(compound))


def apr_of_schedule(terms: Terms, rows: Sequence[Instalment]) -> Apr:
    """Annual rates of a schedule from its dates: what comes in over the principal really occupied until then.

    Time runs in months. Under 30/360 a whole month is one, and a broken first period counts its days by 30; under ACT/360
    and ACT/365 every period counts its days by 365/12, so that a year of 360 days shows as the dearer year that it is. Whole
    months compound, the rest of a period grows simply (the actuarial method), as the interest in it does: 24 % a year is
    24 % however short the first period. Equal to :func:`apr` where every period is a whole month.
    """
    payments = [Decimal(0)] * (terms.periods - len(rows)) + [row.total for row in rows]
    _check_flows([-terms.principal, *payments])
    months = _months_between(terms)

    def present(rate: Decimal) -> Decimal:
        value, discount = Decimal(0), Decimal(1)
        for payment, (whole, rest) in zip(payments, months, strict=True):
            growth = _MATHS.power(1 + rate, whole) * _MATHS.fma(rest, rate, Decimal(1))
            discount = _MATHS.divide(discount, growth)
            value = _MATHS.fma(payment, discount, value)
        return value

    return _annual(_MATHS.add(_rate_at(present, terms.principal), Decimal(1)), 12)


def _months_between(terms: Terms) -> list[tuple[int, Decimal]]:
    """How long each period is, as (whole months, what is left of a month)."""
    dates = due_dates(terms)
    if terms.day_count != "30/360" or terms.period_unit != "month":
        edges = (terms.start_date, *dates)
        return [_split((end - start).days, _MATHS.divide(Decimal(365), Decimal(12))) for start, end in zip(edges, dates, strict=False)]
    whole = (terms.period_length, Decimal(0))
    broken = whole_period_start(terms, dates[0]) != terms.start_date
    first = _split((dates[0] - terms.start_date).days, Decimal(30)) if broken else whole
    return [first, *[whole] * (terms.periods - 1)]


def _split(days: int, month: Decimal) -> tuple[int, Decimal]:
    months = _MATHS.divide(Decimal(days), month)
    return int(months), months - int(months)


def _rate_at(present: Callable[[Decimal], Decimal], principal: Decimal) -> Decimal:
    """The rate of a month at which the payments are worth the principal: present value falls as the rate rises."""
    low, high = Decimal(0), Decimal("0.01")
    if present(low) < principal:
        raise LoanMathError("flows", "no_rate")
    while present(high) > principal:
        low, high = high, high * 2
    while high - low > _CLOSE_ENOUGH * (1 + high):
        middle = _MATHS.divide(low + high, Decimal(2))
        low, high = (middle, high) if present(middle) > principal else (low, middle)
    return high




def _discount(flows: Sequence[Decimal]) -> Decimal:
    """The v > 0 with Σ flows[k]·vᵏ = 0.

    The sum rises and is convex in v (all later flows >= 0): Newton from the right of the root closes in from one side.
    """
    v = Decimal(1)
    while _value_and_slope(flows, v)[0] < 0:
        v = _MATHS.multiply(v, Decimal(2))
    for _ in range(2000):
        value, slope = _value_and_slope(flows, v)
        step = _MATHS.divide(value, slope)
        v = _MATHS.subtract(v, step)
        if abs(step) <= _MATHS.multiply(v, _CLOSE_ENOUGH):
            return v
    raise LoanMathError("flows", "no_rate")


def _value_and_slope(flows: Sequence[Decimal], v: Decimal) -> tuple[Decimal, Decimal]:
    value = slope = Decimal(0)
    for flow in reversed(flows):
        slope = _MATHS.fma(slope, v, value)
        value = _MATHS.fma(value, v, flow)
    return value, slope


def _check_flows(flows: Sequence[Decimal]) -> None:
    for flow in flows:
        if not isinstance(flow, Decimal):
            raise LoanMathError("flows", "not_decimal", found=flow)
        if not flow.is_finite() or abs(flow) > Decimal("1E15"):
            raise LoanMathError("flows", "not_finite", found=str(flow))
    if len(flows) < 2 or flows[0] >= 0 or min(flows[1:]) < 0 or max(flows[1:]) == 0:
        raise LoanMathError("flows", "no_rate")


def _rounded(rate: Decimal) -> Decimal:
    return rate.quantize(_PLACES, context=_MATHS)
