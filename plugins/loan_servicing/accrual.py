"""Daily interest of loans that pay as agreed, in whole numbers: the same amounts as the fold, without reading the history.

The rule is that of the time line: actual days from the start of the period on the base of the product, rounded once, whole on the due date,
never above the bill. What is booked on a day is the difference of two such sums, so no cent drifts whatever the number of days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

BASES: Final = {"30/360": 360, "ACT/360": 360, "ACT/365": 365}
"""Days of a year by which broken time counts (domain specification §4.1)."""
RATE_ONE: Final = 10**8


class Running(NamedTuple):
    """A bill: dates as ordinals, amounts in cents. ``base``: principal owed while its period runs; ``taken``: interest paid or waived."""

    start: int
    due: int
    base: int
    interest: int
    taken: int


def quick(bills: Sequence[Running], rate: int, day_count: str, since: int, until: int, *, flat_base: int = 0) -> Iterator[int]:
    """Interest accrued and unpaid of the bills on each day from ``since`` to ``until``, both included. ``rate``: a year's, in 10⁻⁸."""
    whole = RATE_ONE * BASES[day_count]
    for day in range(since, until + 1):
        owed = 0
        for start, due, base, interest, taken in bills:
            if day <= start:
                continue
            ran = interest
            if day < due:
                ran = min((2 * (flat_base or base) * rate * (day - start) + whole) // (2 * whole), interest)
            if ran > taken:
                owed += ran - taken
        yield owed
