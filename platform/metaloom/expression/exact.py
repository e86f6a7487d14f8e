"""Exact arithmetic and the text and date functions, as Python and the functions registered with SQLite use them.

Numbers have at most 12 places after an operation and no bound before the point (the checker bounds the digits of
a whole expression), so that Python, SQL and the browser can never differ by a rounding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from typing import Any

from .functions import MAX_DAYS, MAX_MONTHS, SPACES

PLACES = Decimal("1E-12")
INT_LIMIT = 2**63 - 1
DECIMAL_LIMIT = Decimal(10) ** 26
EXACT = Context(prec=4_000, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])
_UNITS = tuple(Decimal(1).scaleb(-n) for n in range(13))

Number = int | Decimal

add = EXACT.add
sub = EXACT.subtract
negative = EXACT.minus


def magnitude(x: Number) -> Number:
    """The value without its sign (the built-in `abs` would round a Decimal to 28 digits)."""
    return abs(x) if isinstance(x, int) else EXACT.abs(x)


def mul(a: Number, b: Number) -> Decimal:
    return EXACT.quantize(EXACT.multiply(a, b), PLACES)


def div(a: Number, b: Number) -> Decimal | None:
    """a / b to 12 places, half away from zero; None for b = 0.

    Rounding twice is safe: with at most 12 places each, a/b either is a tie of the 12th place or differs from
    it by more than the working precision leaves out.
    """
    if not b:
        return None
    a, b = Decimal(a), Decimal(b)
    precision = 120 + 3 * (abs(a.adjusted()) + abs(b.adjusted()))
    return EXACT.quantize(Context(prec=precision, rounding=ROUND_HALF_UP).divide(a, b), PLACES)


def mod(a: Number, b: Number) -> Number | None:
    """The remainder with the sign of `a`; None for b = 0."""
    if not b:
        return None
    if isinstance(a, int) and isinstance(b, int):
        rest = abs(a) % abs(b)
        return -rest if a < 0 else rest
    return EXACT.remainder(Decimal(a), Decimal(b))


def round_half_up(x: Number, places: int) -> Decimal:
    return EXACT.quantize(Decimal(x), _UNITS[places])


def floor(x: Number) -> int:
    return x if isinstance(x, int) else int(x.to_integral_value(ROUND_FLOOR))


def ceil(x: Number) -> int:
    return x if isinstance(x, int) else int(x.to_integral_value(ROUND_CEILING))


def in_int_range(x: int) -> int | None:
    """The result of an int expression: null outside 64 bits."""
    return x if -INT_LIMIT <= x <= INT_LIMIT else None


def in_decimal_range(x: Number) -> Decimal | None:
    """The result of a decimal expression without trailing zeros or a negative zero: null from 10^26 on."""
    x = Decimal(x)
    if not x:
        return Decimal(0)
    if EXACT.abs(x) >= DECIMAL_LIMIT:
        return None
    x = EXACT.normalize(x)
    return EXACT.quantize(x, _UNITS[0]) if x == x.to_integral_value() else x


# -- text ----------------------------------------------------------------------------------------

_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def lower(text: str) -> str:
    return text.translate(_LOWER)


def upper(text: str) -> str:
    return text.translate(_UPPER)


def trim(text: str) -> str:
    return text.strip(SPACES)


MOBILE = "^1[3-9][0-9]{9}$"
_LEAP = "((18|19|20)(0[48]|[2468][048]|[13579][26])|2000)0229"
ID_CARD = (
    "^[1-9][0-9]{5}((18|19|20)[0-9]{2}((0[13578]|1[02])(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)(0[1-9]|[12][0-9]|30)|02(0[1-9]|1[0-9]|2[0-8]))|" + _LEAP + ")[0-9]{3}[0-9Xx]$"
)
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID_CHECKS = "10X98765432"
_MOBILE, _ID_CARD = re.compile(MOBILE[:-1] + r"\Z"), re.compile(ID_CARD[:-1] + r"\Z")


def is_mobile(text: str) -> bool:
    return _MOBILE.match(text) is not None


def is_id_card(text: str) -> bool:
    """GB 11643: pattern with a real date, and check character by ISO 7064 MOD 11-2."""
    if _ID_CARD.match(text) is None:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, ID_WEIGHTS, strict=False))
    return ID_CHECKS[total % 11] == text[17].upper()


def id_card_birthday(text: str) -> date | None:
    return date(int(text[6:10]), int(text[10:12]), int(text[12:14])) if is_id_card(text) else None


def id_card_is_male(text: str) -> bool | None:
    return int(text[16]) % 2 == 1 if is_id_card(text) else None


# -- dates ---------------------------------------------------------------------------------------

def add_days(day: date, days: int) -> date | None:
    if abs(days) > MAX_DAYS:
        return None
    try:
        return day + timedelta(days)
    except OverflowError:
        return None


def add_months(day: date, months: int) -> date | None:
    """The same day `months` later, or the last day of that month when it has none."""
    if abs(months) > MAX_MONTHS:
        return None
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    return date(year, month + 1, min(day.day, _month_length(year, month + 1)))


def _month_length(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def age_years(birth: date, on: date) -> int:
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))


# -- records -------------------------------------------------------------------------------------

def record_id(value: Any) -> Any:
    """A linked record may come as its id or as a mapping that holds it."""
    return value["id"] if isinstance(value, Mapping) else value
