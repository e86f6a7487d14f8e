"""Exact money arithmetic on integers: cents in, cents out, one division, one rounding.

Why not Decimal all the way: `balance * (rate / 12)` rounds rate/12 first, and an exact half such as 354.815 then
becomes 354.81 instead of 354.82 (about one loan in 20,000). Here every product is an exact integer and the only
division is the rounding itself. Nothing depends on the caller's decimal context.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from typing import Final

PLACES: Final = 2
_EXACT: Final = Context(prec=60, traps=[Inexact])


def half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded HALF_UP to an integer. Needs numerator >= 0 and denominator > 0."""
    return (2 * numerator + denominator) // (2 * denominator)


def to_cents(amount: Decimal) -> int:
    """Exact cents of an amount that is already known to have at most two places."""
    return int(_EXACT.scaleb(amount, PLACES))


def from_cents(cents: int) -> Decimal:
    """The Decimal with exactly two places, whatever the caller's context."""
    return _EXACT.scaleb(cents, -PLACES)


def ratio(number: Decimal) -> tuple[int, int]:
    """A rate as an exact fraction in lowest terms."""
    return number.as_integer_ratio()
