"""How the principal is split over the periods: the only thing in which the methods differ. Domain specification §4.2.

Each function takes a balance in minor units and the planned interest factors of the periods that are left, and gives one
principal per period; they sum to the balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from .money import Rounding

Factor = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Level:
    """How a level payment is found: ``seek`` the one whose last payment comes closest to it, or take the formula."""

    rounding: Rounding
    seek: bool


def level_parts(balance: int, factors: Sequence[Fraction], level: int, rounding: Rounding) -> list[int]:
    """What a level payment repays, the rest in the last period. A period whose interest exceeds it repays nothing, never less."""
    parts = []
    for factor in factors[:-1]:
        part = min(max(level - rounding.whole(balance * factor.numerator, factor.denominator), 0), balance)
        parts.append(part)
        balance -= part
    return [*parts, balance]


def short_parts(balance: int, factors: Sequence[Fraction], level: int, rounding: Rounding) -> list[int]:
    """The same with the level kept: the plan ends where nothing is left (变期不变额)."""
    parts: list[int] = []
    for factor in factors[:-1]:
        part = level - rounding.whole(balance * factor.numerator, factor.denominator)
        if part >= balance:
            break
        parts.append(max(part, 0))
        balance -= parts[-1]
    return [*parts, balance]


def even_parts(balance: int, count: int, rounding: Rounding) -> list[int]:
    """Equal parts, the rest in the last one; none negative where a tiny balance is used up early."""
    return fixed_parts(balance, count, rounding.instalment(Fraction(balance, count)))


def fixed_parts(balance: int, count: int, part: int) -> list[int]:
    """The same part in every period but the last."""
    parts = []
    for _ in range(count - 1):
        parts.append(min(part, balance))
        balance -= parts[-1]
    return [*parts, balance]


def first_takes_rest(parts: list[int], last_as_planned: int) -> list[int]:
    """The rounding rest moved from the last to the first period (尾差记首期)."""
    rest = parts[-1] - last_as_planned
    if len(parts) < 2 or parts[0] + rest < 0:
        return parts
    return [parts[0] + rest, *parts[1:-1], last_as_planned]


def level_payment(balance: int, factors: Sequence[Fraction], how: Level) -> int:
    """A = P·Π(1+fⱼ) / Σₖ Π_{j>k}(1+fⱼ), which is P·i(1+i)ⁿ/((1+i)ⁿ−1) for equal periods, rounded once; sought from there if so agreed."""
    if not any(factors):
        return how.rounding.instalment(Fraction(balance, len(factors)))
    base = lcm(*(factor.denominator for factor in factors))
    whole = [factor.numerator * (base // factor.denominator) for factor in factors]
    exact = _equal_level(balance, whole[0], base, len(whole)) if len(set(whole)) == 1 else _exact_level(balance, whole, base)
    start = how.rounding.instalment(exact)
    return _sought(balance, whole, base, start, how.rounding) if how.seek else start


def _equal_level(balance: int, numerator: int, base: int, count: int) -> Fraction:
    grown, plain = (numerator + base) ** count, base**count
    return Fraction(balance * numerator * grown, base * (grown - plain))


def _exact_level(balance: int, numerators: Sequence[int], base: int) -> Fraction:
    growth = annuity = 1
    for numerator in reversed(numerators[1:]):
        growth *= base + numerator
        annuity = annuity * base + growth
    return Fraction(balance * growth * (base + numerators[0]), base * annuity)


def _sought(balance: int, numerators: Sequence[int], base: int, high: int, rounding: Rounding) -> int:
    """The last payment minus the level never rises with the level: a bracket and a bisection find the closest; of two as close the higher."""
    unit = rounding.multiple

    def over(level: int) -> int:
        return _overshoot(balance, numerators, base, level, rounding)

    step = unit
    while over(high) > 0:
        high, step = high + step, step * 2
    low, step = high - unit, unit
    while low > 0 and over(low) <= 0:
        high, low, step = low, low - step, step * 2
    while high - low > unit:
        middle = low + (high - low) // (2 * unit) * unit
        low, high = (low, middle) if over(middle) <= 0 else (middle, high)
    if low < 0:
        return high
    return low if over(low) < -over(high) else high


def _overshoot(balance: int, numerators: Sequence[int], base: int, level: int, rounding: Rounding) -> int:
    for numerator in numerators[:-1]:
        part = level - rounding.whole(balance * numerator, base)
        if part > 0:
            balance -= min(part, balance)
    return balance + rounding.whole(balance * numerators[-1], base) - level
