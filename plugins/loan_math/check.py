"""Input checks. Each returns nothing and raises LoanMathError naming the key; none repairs a value in silence."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from .errors import LoanMathError

DATE_MIN: Final = date(1900, 1, 1)
DATE_MAX: Final = date(2200, 12, 31)
AMOUNT_MAX: Final = Decimal("1000000000000.00")
RATE_MAX: Final = Decimal(10)
RATE_PLACES: Final = 12


def check_number(key: str, found: object, *, places: int) -> None:
    """A finite Decimal with at most `places` places; bool, int, float and text are refused, not converted."""
    if not isinstance(found, Decimal):
        raise LoanMathError(key, "not_decimal", found=found)
    if not found.is_finite():
        raise LoanMathError(key, "not_finite", found=str(found))
    if abs(found.adjusted()) > 40:
        raise LoanMathError(key, "out_of_range", found=str(found), limit=f"0 – {AMOUNT_MAX}")
    if not _has_places(found, places):
        raise LoanMathError(key, "too_many_places", found=str(found), limit=places)


def check_amount(key: str, found: object, *, zero_allowed: bool = True) -> None:
    """Money: at most two places, 0 (or 0.01) up to AMOUNT_MAX."""
    check_number(key, found, places=2)
    assert isinstance(found, Decimal)
    floor = Decimal("0.00") if zero_allowed else Decimal("0.01")
    if not floor <= found <= AMOUNT_MAX:
        raise LoanMathError(key, "out_of_range", found=str(found), limit=f"{floor} – {AMOUNT_MAX}")


def check_rate(key: str, found: object) -> None:
    """A rate as a fraction (0.12 is 12 %), 0 up to RATE_MAX."""
    check_number(key, found, places=RATE_PLACES)
    assert isinstance(found, Decimal)
    if not 0 <= found <= RATE_MAX:
        raise LoanMathError(key, "out_of_range", found=str(found), limit=f"0 – {RATE_MAX}")


def check_whole(key: str, found: object, least: int, most: int) -> None:
    if isinstance(found, bool) or not isinstance(found, int):
        raise LoanMathError(key, "not_whole", found=found)
    if not least <= found <= most:
        raise LoanMathError(key, "out_of_range", found=found, limit=f"{least} – {most}")


def check_date(key: str, found: object) -> None:
    """A plain date; a datetime is refused, because its day depends on a zone."""
    if isinstance(found, datetime) or not isinstance(found, date):
        raise LoanMathError(key, "not_date", found=found)
    if not DATE_MIN <= found <= DATE_MAX:
        raise LoanMathError(key, "out_of_range", found=found.isoformat(), limit=f"{DATE_MIN} – {DATE_MAX}")


def check_choice(key: str, found: object, choices: Collection[str]) -> None:
    if not isinstance(found, str) or found not in choices:
        raise LoanMathError(key, "unknown_choice", found=found, limit=", ".join(sorted(choices)))


def _has_places(number: Decimal, places: int) -> bool:
    _, denominator = number.as_integer_ratio()
    return bool(10**places % denominator == 0)
