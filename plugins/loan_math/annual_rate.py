"""综合年化: the internal rate of return of what really flowed, shown simple and compound. Spec §4.9."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from .check import check_whole
from .errors import LoanMathError

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
    growth = _MATHS.divide(Decimal(1), _discount(flows))
    simple = _MATHS.multiply(_MATHS.subtract(growth, Decimal(1)), Decimal(periods_per_year))
    compound = _MATHS.subtract(_MATHS.power(growth, Decimal(periods_per_year)), Decimal(1))
    if compound > _RATE_MAX:
        raise LoanMathError("flows", "out_of_range", found=f"{compound:.3e}", limit=f"-1 – {_RATE_MAX}")
    return Apr(_rounded(simple), _rounded(compound))


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
