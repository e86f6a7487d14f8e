"""Rounding as a contract says it: a mode, a number of places, and a multiple for instalments. Integers of minor units in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from typing import Final

_EXACT: Final = Context(prec=80, traps=[Inexact])


def _half_up(whole: int, twice: int, den: int) -> int:
    return whole + (twice >= den)


def _half_down(whole: int, twice: int, den: int) -> int:
    return whole + (twice > den)


def _half_even(whole: int, twice: int, den: int) -> int:
    return whole + (twice > den or (twice == den and whole & 1 == 1))


def _up(whole: int, twice: int, den: int) -> int:
    return whole + (twice > 0)


def _down(whole: int, twice: int, den: int) -> int:
    return whole


# mode → (for a magnitude, for the magnitude of a negative number); twice = 2 × rest, den = what the rest is a share of
MODES: Final[dict[str, tuple[Callable[[int, int, int], int], Callable[[int, int, int], int]]]] = {
    "HALF_UP": (_half_up, _half_up),
    "HALF_EVEN": (_half_even, _half_even),
    "HALF_DOWN": (_half_down, _half_down),
    "UP": (_up, _up),
    "DOWN": (_down, _down),
    "CEILING": (_up, _down),
    "FLOOR": (_down, _up),
}


@dataclass(frozen=True, slots=True)
class Rounding:
    """``scale``: places of the currency (2 = cents). ``multiple``: instalments are whole multiples of so many minor units; 1 = none."""

    mode: str = "HALF_UP"
    scale: int = 2
    multiple: int = 1

    def whole(self, numerator: int, denominator: int) -> int:
        """numerator / denominator as a whole number of minor units. denominator > 0; HALF_UP rounds a half away from zero."""
        if numerator >= 0:
            if self.mode == "HALF_UP":
                return (2 * numerator + denominator) // (2 * denominator)
            whole, rest = divmod(numerator, denominator)
            return MODES[self.mode][0](whole, 2 * rest, denominator)
        whole, rest = divmod(-numerator, denominator)
        return -MODES[self.mode][1](whole, 2 * rest, denominator)

    def of(self, amount: Fraction) -> int:
        return self.whole(amount.numerator, amount.denominator)

    def instalment(self, amount: Fraction) -> int:
        """The same, to the contract's multiple."""
        return self.whole(amount.numerator, amount.denominator * self.multiple) * self.multiple

    def minor(self, amount: Decimal) -> int:
        """Minor units of an amount that is already known to have no more places."""
        return int(_EXACT.scaleb(amount, self.scale))

    def text(self, minor: int) -> str:
        """The amount as a reply says it: exactly ``scale`` places."""
        return format(_EXACT.scaleb(minor, -self.scale), "f")


CENTS: Final = Rounding()
