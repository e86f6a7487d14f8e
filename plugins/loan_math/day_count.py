"""Day count conventions: how many days lie between two dates, and which share of a year that is.

The first day counts, the last one does not (算头不算尾). Sources:

- ``30/360``  the US (NASD, "bond") rule of Securities Industry Association, *Standard Securities Calculation Methods*: (1) if both dates
  are the last of February, D2 = 30; (2) if D1 is the last of February, D1 = 30; (3) if D2 = 31 and D1 is 30 or 31, D2 = 30; (4) if
  D1 = 31, D1 = 30. Excel calls it basis 0 of YEARFRAC.
- ``30/360 ISDA``  2006 ISDA Definitions §4.16(f), Bond Basis: (3) and (4) alone; February has no rule of its own.
- ``30E/360``  2006 ISDA Definitions §4.16(g), Eurobond Basis: every 31 becomes 30. Excel's basis 4.
- ``30E/360 ISDA``  2006 ISDA Definitions §4.16(h): a 31 and the last of February become 30, the latter as end date only before
  termination (``termination`` says that the end date is the last of the contract).
- ``ACT/360``, ``ACT/365``  §4.16(e) and (d), "Actual/365 (Fixed)": actual days over 360 or 365, leap year or not.
- ``ACT/365L``  ICMA: actual days over 366 when the end date lies in a leap year.
- ``ACT/ACT``  §4.16(b), ISDA: days in leap years over 366 plus days in other years over 365.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from datetime import date
from fractions import Fraction
from typing import Final

CONVENTIONS: Final = ("30/360", "30/360 ISDA", "30E/360", "30E/360 ISDA", "ACT/360", "ACT/365", "ACT/365L", "ACT/ACT")
THIRTY: Final = frozenset(name for name in CONVENTIONS if name.startswith("30"))
_BASES: Final = {"ACT/360": 360, "ACT/365": 365}


def days_between(convention: str, start: date, end: date, *, termination: bool = False) -> int:
    """Days as the convention counts them; needs start <= end."""
    if convention not in THIRTY:
        return (end - start).days
    first, last = start.day, end.day
    if convention == "30/360":
        if _ends_february(start):
            last = 30 if _ends_february(end) else last
            first = 30
        last = 30 if last == 31 and first >= 30 else last
        first = min(first, 30)
    elif convention == "30/360 ISDA":
        first = min(first, 30)
        last = 30 if last == 31 and first == 30 else last
    elif convention == "30E/360":
        first, last = min(first, 30), min(last, 30)
    else:
        first = 30 if first == 31 or _ends_february(start) else first
        last = 30 if last == 31 or (_ends_february(end) and not termination) else last
    return 360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first


def year_fraction(convention: str, start: date, end: date, *, termination: bool = False) -> Fraction:
    """The share of a year, exact; needs start <= end."""
    if convention == "ACT/ACT":
        return _isda(start, end)
    if convention == "ACT/365L":
        return Fraction((end - start).days, 366 if isleap(end.year) else 365)
    return Fraction(days_between(convention, start, end, termination=termination), _BASES.get(convention, 360))


def actual_fraction(convention: str, start: date, end: date) -> Fraction:
    """A broken period counts actual days on the base of the product, also under 30/360 (domain specification §4.1)."""
    return Fraction((end - start).days, 360) if convention in THIRTY else year_fraction(convention, start, end)


def _isda(start: date, end: date) -> Fraction:
    if start.year == end.year:
        return Fraction((end - start).days, _year_days(start.year))
    head = Fraction((date(start.year + 1, 1, 1) - start).days, _year_days(start.year))
    tail = Fraction((end - date(end.year, 1, 1)).days, _year_days(end.year))
    return head + (end.year - start.year - 1) + tail


def _year_days(year: int) -> int:
    return 366 if isleap(year) else 365


def _ends_february(day: date) -> bool:
    return day.month == 2 and day.day == monthrange(day.year, 2)[1]
