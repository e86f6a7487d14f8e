"""One business date of one loan: what a morning finds, and what moves in the books since the morning before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from .balances import Books, Entry, Uneven, books_of, difference, entries
from .fold import Life, ran
from .standing import bucket

CLASSES: Final = ("normal", "attention", "substandard", "doubtful", "loss")
"""The five levels, from good to bad."""
DAY_COLUMNS: Final = ("normal", "overdue", "non_accrual", "interest", "interest_overdue", "income_interest", "income_penalty", "income_compound",
                      "vat_interest", "vat_penalty", "vat_compound", "off_interest")
"""The balances of a loan that time alone moves; the others move with money and decisions."""


def a_day(life: Life, books: Books, day: date) -> tuple[Books, Mapping[str, int], list[Entry]]:
    """The books on the morning of the day, what moved in them, and the entries that say so. Uneven: what moved is no work of time."""
    wanted = books_of(life, day)
    moved = difference(books, wanted)
    if not set(moved) <= set(DAY_COLUMNS):
        raise Uneven(", ".join(f"{name} {amount}" for name, amount in moved.items()))
    return wanted, moved, entries(books, wanted)


def snapshot_of(life: Life, day: date) -> dict[str, Any]:
    """What the day's row says of the loan, in cents."""
    opened = [life.open_of(line, day) for line in life.lines]
    dpd = life.dpd(day)
    return {"principal_balance": sum(one["principal"] for one in opened), "penalty_balance": sum(one["penalty"] + one["compound"] for one in opened),
            "accrued_interest": sum(max(0, ran(life, line, day) - line.taken("interest")) for line in life.lines), "dpd": dpd, "dpd_bucket": bucket(dpd)}


def class_of(dpd: int, limits: Sequence[int]) -> str:
    """The five-level class of so many days past due (domain specification §5). ``limits``: the days after which each next level begins."""
    return CLASSES[sum(dpd > limit for limit in limits)]


def worse(one: str, other: str) -> str:
    """The worse of two classes: time makes a loan worse by itself, better it becomes by three people's word."""
    return max(one, other, key=CLASSES.index)
