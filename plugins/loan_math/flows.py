"""Annual rates of dated flows, by the rule of each standard. Money that reaches the borrower is positive.

``EU``     Directive 2008/48/EC (and 2014/17/EU, 2023/2225), Annex I: Σ Aₖ(1+X)^−tₖ = 0. Intervals are counted back from each date to the
           first drawdown in whole periods, the rest in days of a year of 365 or 366 days: the complete year that ends where the rest of
           the days ends (remark (c); Commission guidelines SWD(2012) 128, §5). The period is the one that the repayments keep: equal
           months of 365/12 days, weeks of 1/52, else years. So the 546 days of the first example of Directive 98/7/EC, Annex II, are
           1 + 181/365 years and its rate 12.96 %.
``US``     Regulation Z, 12 CFR 1026 Appendix J, the actuarial method: Σ A / ((1+f·i)(1+i)^t) over unit-periods, APR = i × unit-periods a year.
``XIRR``   as spreadsheets do: Σ A(1+r)^−(days/365).
``IRR_SIMPLE``, ``IRR_COMPOUND``   the internal rate of even periods i × n, or (1+i)ⁿ − 1, n periods a year.

Where several rates solve the equation, the one closest to zero is given.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import Any, Final

from .dates import add_months
from .errors import LoanMathError
from .reading import checked, day, number

PLACES: Final = Decimal("1E-10")
_MATHS: Final = Context(prec=45, rounding=ROUND_HALF_UP, traps=[DivisionByZero, InvalidOperation, Overflow])
_RATE_MAX: Final = 1e7
Flow = tuple[date, Decimal]


@dataclass(frozen=True, slots=True)
class Moment:
    """An amount after ``whole`` periods that compound and ``rest`` of one that grows simply."""

    amount: Decimal
    whole: Fraction
    rest: Fraction = Fraction(0)


def annual_rate(request: Mapping[str, Any]) -> dict[str, str]:
    """The reply to a request of ``schema/apr.schema.json``."""
    given = checked("apr", request)
    try:
        return _rate_of(given)
    except ArithmeticError:  # beyond all digits
        raise LoanMathError("flows", "no_rate") from None


def _rate_of(given: Mapping[str, Any]) -> dict[str, str]:
    amounts = [number(f"flows[{place}].amount", flow["amount"]) for place, flow in enumerate(given["flows"])]
    if min(amounts) >= 0 or max(amounts) <= 0:
        raise LoanMathError("flows", "no_rate")
    dated = [place for place, flow in enumerate(given["flows"]) if "date" in flow]
    if len(dated) != len(amounts):
        return {"apr": said(_undated(given, amounts, dated))}
    if "periods_per_year" in given:
        raise LoanMathError("periods_per_year", "not_with", limit="flows[].date")
    flows = sorted(((day(f"flows[{place}].date", flow["date"]), amounts[place]) for place, flow in enumerate(given["flows"])), key=lambda flow: flow[0])
    for key, convention in (("interval", "EU"), ("unit_period", "US")):
        if key in given and given["convention"] != convention:
            raise LoanMathError(key, "not_with", limit=f"convention={given['convention']}")
    if flows[0][0] == flows[-1][0]:
        raise LoanMathError("flows", "no_rate")
    return {"apr": said(_CONVENTIONS[given["convention"]](flows, given))}


def said(rate: Decimal) -> str:
    return format(rate.quantize(PLACES, context=_MATHS), "f")


def _undated(given: Mapping[str, Any], amounts: Sequence[Decimal], dated: Sequence[int]) -> Decimal:
    if dated or given["convention"] not in ("IRR_SIMPLE", "IRR_COMPOUND"):
        place = next(place for place in range(len(amounts)) if place not in dated)
        raise LoanMathError(f"flows[{place}].date", "required")
    if "periods_per_year" not in given:
        raise LoanMathError("periods_per_year", "required")
    rate = period_rate([Moment(amount, Fraction(place)) for place, amount in enumerate(amounts)])
    return by_the_year(rate, Fraction(given["periods_per_year"]), compound=given["convention"] == "IRR_COMPOUND")


def by_the_year(rate: Decimal, periods: Fraction, *, compound: bool) -> Decimal:
    """The rate of a period said by the year."""
    count = _MATHS.divide(Decimal(periods.numerator), Decimal(periods.denominator))
    if not compound:
        return _MATHS.multiply(rate, count)
    return _MATHS.subtract(_MATHS.power(_MATHS.add(rate, Decimal(1)), count), Decimal(1))


# -- conventions


def _eu(flows: Sequence[Flow], given: Mapping[str, Any]) -> Decimal:
    start = flows[0][0]
    unit = given.get("interval", "auto")
    unit = _rhythm([when for when, amount in flows if amount < 0]) if unit == "auto" else unit
    return period_rate([Moment(amount, eu_interval(start, when, unit)) for when, amount in flows])


def eu_interval(start: date, end: date, unit: str) -> Fraction:
    """Years between two dates: whole units back from ``end``, then days over the year that ends there."""
    if unit == "day":
        whole, part, rest = 0, Fraction(0), end
    elif unit == "week":
        whole = (end - start).days // 7
        part, rest = Fraction(whole, 52), date.fromordinal(end.toordinal() - 7 * whole)
    else:
        length = 12 if unit == "year" else 1
        whole = _months_back(start, end, end.day) // length
        part, rest = Fraction(whole * length, 12), add_months(end, -whole * length, end.day)
    year = (rest - add_months(rest, -12, rest.day)).days
    return part + Fraction((rest - start).days, year)


def _rhythm(dates: Sequence[date]) -> str:
    """The unit of the interval that most repayments keep; a year where none does (or there is but one)."""
    anchor = max(when.day for when in dates)
    kept = Counter(_interval(a, b, anchor) for a, b in pairwise(dates))
    if not kept:
        return "year"
    (unit, length), times = kept.most_common(1)[0]
    if times * 2 <= kept.total() or unit == "day":
        return "year"
    return "year" if (unit, length % 12) == ("month", 0) else unit


def _interval(start: date, end: date, anchor: int) -> tuple[str, int]:
    """An interval as (month | week | day, how many)."""
    months = _whole_months(start, end, anchor)
    if months:
        return "month", months
    days = (end - start).days
    return ("week", days // 7) if days and days % 7 == 0 else ("day", days)


def _whole_months(start: date, end: date, anchor: int) -> int:
    """Months between two dates of a series on the day ``anchor`` (a short month takes its last day); 0 when they are not whole."""
    months = 12 * (end.year - start.year) + end.month - start.month
    on_it = all(when == add_months(when, 0, anchor) for when in (start, end))
    return months if on_it or start.day == end.day else 0


def _months_back(start: date, end: date, anchor: int) -> int:
    """Whole months from ``end`` back to ``start``."""
    months = 12 * (end.year - start.year) + end.month - start.month
    return months if months <= 0 or add_months(end, -months, anchor) >= start else months - 1


def _xirr(flows: Sequence[Flow], given: Mapping[str, Any]) -> Decimal:
    start = flows[0][0]
    return period_rate([Moment(amount, Fraction((when - start).days, 365)) for when, amount in flows])


def _irr(flows: Sequence[Flow], given: Mapping[str, Any]) -> Decimal:
    """Even periods: the largest one of which all intervals are multiples; months before weeks (52 a year) before days (365)."""
    start = flows[0][0]
    anchor = max(when.day for when, _ in flows)
    months = [_whole_months(start, when, anchor) for when, _ in flows]
    if all(found or when == start for found, (when, _) in zip(months, flows, strict=True)):
        steps, year = months, 12
    else:
        steps = [(when - start).days for when, _ in flows]
        year = 365
        if all(days % 7 == 0 for days in steps):
            steps, year = [days // 7 for days in steps], 52
    length = reduce(math.gcd, steps)
    rate = period_rate([Moment(amount, Fraction(step // length)) for step, (_, amount) in zip(steps, flows, strict=True)])
    return by_the_year(rate, Fraction(year, length), compound=given["convention"] == "IRR_COMPOUND")


# -- the United States rule


@dataclass(frozen=True, slots=True)
class UnitPeriod:
    """``unit`` day | week | semimonth | month | year | term; ``length`` of them; ``per_year`` unit-periods in a year."""

    unit: str
    length: int
    per_year: Fraction


def _us(flows: Sequence[Flow], given: Mapping[str, Any]) -> Decimal:
    start = flows[0][0]
    named = given.get("unit_period")
    unit = _unit(named["unit"], named["length"]) if named else unit_period(flows)
    anchor = _anchor(flows)
    moments = [Moment(amount, *_split(unit, start, when, anchor)) for when, amount in flows]
    return by_the_year(period_rate(moments), unit.per_year, compound=False)


def _unit(unit: str, length: int) -> UnitPeriod:
    if unit == "month" and length == 12:
        unit, length = "year", 1
    year = {"day": 365, "week": 52, "semimonth": 24, "month": 12, "year": 1}[unit]
    if length > year:
        raise LoanMathError("unit_period.length", "out_of_range", found=length, limit=f"1 – {year}")
    return UnitPeriod(unit, length, Fraction(year, length))


def _anchor(flows: Sequence[Flow]) -> int:
    """The day of the month that a series of payments keeps; the last of each month counts as the 31st (b)(2)(iv)."""
    paid = [when for when, amount in flows if amount < 0]
    return max(when.day for when in paid)


def unit_period(flows: Sequence[Flow]) -> UnitPeriod:
    """Appendix J (b)(4): the common period that occurs most often, the smaller of equals, at most a year; without one the average period
    rounded to the nearest standard interval, the lower of equals; of one advance and one payment their term."""
    paid = [when for when, amount in flows if amount < 0]
    lent = [when for when, amount in flows if amount > 0]
    if len(paid) == 1 and len(lent) == 1:
        return _term(lent[0], paid[0])
    if _twice_a_month(paid):
        return _unit("semimonth", 1)
    series = [*pairwise(sorted(set(lent))), *pairwise([lent[0], *sorted(set(paid))])]
    anchor = _anchor(flows)
    found = Counter(_interval(a, b, anchor) for a, b in series if b > a)
    common = {interval: times for interval, times in found.items() if times > 1 and _length(interval) <= 366}
    if common:
        unit, length = min(common, key=lambda interval: (-common[interval], _length(interval)))
        return _unit(unit, length)
    return _average([(b - a).days for a, b in series if b > a])


def _length(interval: tuple[str, int]) -> float:
    return {"day": 1.0, "week": 7.0, "month": 365 / 12}[interval[0]] * interval[1]


def _term(start: date, end: date) -> UnitPeriod:
    """(b)(4)(ii), (b)(5)(vi) and (vii): the term itself, by months where it is whole months, else by days; a year at most."""
    months = _whole_months(start, end, max(start.day, end.day))
    if end > add_months(start, 12) or months == 12:
        return _unit("year", 1)
    if months:
        return UnitPeriod("term", 1, Fraction(12, months))
    return UnitPeriod("term", 1, Fraction(365, (end - start).days))


def _twice_a_month(dates: Sequence[date]) -> bool:
    """Every other payment a month later, and two of them within a month."""
    if len(dates) < 4:
        return False
    anchors = [max(when.day for when in dates[side::2]) for side in (0, 1)]
    alternate = all(_whole_months(a, b, anchors[place % 2]) == 1 for place, (a, b) in enumerate(zip(dates, dates[2:], strict=False)))
    return alternate and all(12 <= (b - a).days <= 19 for a, b in pairwise(dates))


def _average(days: Sequence[int]) -> UnitPeriod:
    mean = sum(days) / len(days)
    standard = [("day", 1, 1.0), ("semimonth", 1, 15.0), *(("week", k, 7.0 * k) for k in range(1, 53)), *(("month", k, 30.0 * k) for k in range(1, 12)),
                ("year", 1, 365.0)]
    unit, length, _ = min(standard, key=lambda one: (abs(one[2] - mean), one[2]))
    return _unit(unit, length)


def _split(unit: UnitPeriod, start: date, end: date, anchor: int) -> tuple[Fraction, Fraction]:
    """(whole unit-periods, fraction) between two dates, Appendix J (b)(5)."""
    if end == start:
        return Fraction(0), Fraction(0)
    if unit.unit == "term":
        return Fraction(1), Fraction(0)
    if unit.unit in ("day", "week"):
        whole, rest = divmod((end - start).days, unit.length * (7 if unit.unit == "week" else 1))
        return Fraction(whole), Fraction(rest, unit.length * (7 if unit.unit == "week" else 1))
    keeps = anchor if end == add_months(end, 0, anchor) else end.day
    months = _months_back(start, end, keeps)
    days = (add_months(end, -months, keeps) - start).days
    if unit.unit == "month" and unit.length == 1:
        return Fraction(months), Fraction(days, 30)
    if unit.unit == "year":
        years, rest = divmod(months, 12)
        if days == 0:
            return Fraction(years), Fraction(rest, 12)
        return Fraction(years), Fraction((add_months(end, -12 * years, keeps) - start).days, 365)
    size = 15 if unit.unit == "semimonth" else 30 * unit.length
    whole, rest = divmod(30 * months + days, size)
    return Fraction(whole), Fraction(rest, size)


_CONVENTIONS: Final[dict[str, Callable[[Sequence[Flow], Mapping[str, Any]], Decimal]]] = {
    "EU": _eu, "US": _us, "XIRR": _xirr, "IRR_SIMPLE": _irr, "IRR_COMPOUND": _irr,
}


# -- the solution


def period_rate(moments: Sequence[Moment]) -> Decimal:
    """The i closest to zero at which the amounts are worth nothing together: found in floats, then polished to 30 digits."""
    plain = [(float(one.amount), float(one.whole), float(one.rest)) for one in moments]
    root = _closest_root(plain)
    if root is None:
        raise LoanMathError("flows", "no_rate")
    return _polished(moments, Decimal(repr(root)))


def _worth(plain: Sequence[tuple[float, float, float]], rate: float) -> float:
    try:
        return math.fsum(amount / ((1 + rest * rate) * (1 + rate) ** whole) for amount, whole, rest in plain)
    except (OverflowError, ZeroDivisionError, ValueError):  # infinities of both signs make fsum a ValueError
        return math.nan


def _closest_root(plain: Sequence[tuple[float, float, float]]) -> float | None:
    if abs(_worth(plain, 0.0)) < 1e-12:
        return 0.0
    if _turns(plain) == 1:  # money out, then money back (or the reverse): one rate and no other
        return _first_crossing(plain, _COARSE_UP) or _first_crossing(plain, _COARSE_DOWN)
    found = [root for side in (_UPWARD, _DOWNWARD) if (root := _first_crossing(plain, side)) is not None]
    return min(found, key=abs, default=None)


def _turns(plain: Sequence[tuple[float, float, float]]) -> int:
    """How often the direction of the money changes over time."""
    signs = [amount > 0 for amount, whole, rest in sorted(plain, key=lambda one: one[1] + one[2]) if amount]
    return sum(a != b for a, b in pairwise(signs))


_COARSE_UP: Final = [0.0, *(1e-4 * 4.0**k for k in range(20))]
_COARSE_DOWN: Final = [0.0, -1e-4, -1e-3, -0.01, -0.05, -0.1, -0.2, -0.3, -0.4, -0.5, -0.6, -0.7, -0.8, -0.9, -0.95, -0.99, -0.999, -0.9999, -0.99999]
_UPWARD: Final = [0.0, *(1e-7 * 1.06**k for k in range(560)), _RATE_MAX]
_DOWNWARD: Final = [0.0, *(-1e-7 * 1.06**k for k in range(276)), -0.99, -0.999, -0.9999, -0.99999]


def _first_crossing(plain: Sequence[tuple[float, float, float]], grid: Sequence[float]) -> float | None:
    low, before = grid[0], _worth(plain, grid[0])
    for high in grid[1:]:
        after = _worth(plain, high)
        if math.isnan(after):
            return None
        if before * after <= 0:
            return _bisected(plain, low, high, before)
        low, before = high, after
    return None


def _bisected(plain: Sequence[tuple[float, float, float]], low: float, high: float, before: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _worth(plain, middle) * before > 0 else (low, middle)
    return (low + high) / 2


def _polished(moments: Sequence[Moment], rate: Decimal) -> Decimal:
    exact = [(one.amount, _decimal(one.whole), _decimal(one.rest)) for one in moments]
    for _ in range(3):
        value = slope = Decimal(0)
        for amount, whole, rest in exact:
            growth, broken = _MATHS.add(1, rate), _MATHS.fma(rest, rate, Decimal(1))
            worth = _MATHS.divide(amount, _MATHS.multiply(_MATHS.power(growth, whole), broken))
            value = _MATHS.add(value, worth)
            steep = _MATHS.add(_MATHS.divide(whole, growth), _MATHS.divide(rest, broken))
            slope = _MATHS.subtract(slope, _MATHS.multiply(worth, steep))
        if slope == 0:
            return rate
        rate = _MATHS.subtract(rate, _MATHS.divide(value, slope))
    return rate


def _decimal(number: Fraction) -> Decimal:
    return _MATHS.divide(Decimal(number.numerator), Decimal(number.denominator))
