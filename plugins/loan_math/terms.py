"""What a schedule is computed from, and what it consists of."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from .check import check_amount, check_choice, check_date, check_rate, check_whole
from .errors import LoanMathError

METHODS: Final = frozenset({"EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "BULLET", "FLAT"})
PERIOD_UNITS: Final = frozenset({"month", "week", "day"})
DAY_COUNT_BASES: Final[dict[str, int]] = {"30/360": 360, "ACT/360": 360, "ACT/365": 365}
FIRST_PERIODS: Final = frozenset({"STUB_ACTUAL", "FULL_PERIOD"})
TAIL_RULES: Final = frozenset({"last"})
PERIODS_MAX: Final = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The frozen conditions of one loan.

    principal       money, two places, > 0
    annual_rate     fraction: 0.12 is 12 % a year
    method          EQUAL_INSTALMENT 等额本息, EQUAL_PRINCIPAL 等额本金, INTEREST_ONLY 先息后本, BULLET 利随本清,
                    FLAT 等本等息
    periods         1 to 600; BULLET pays once, at the end of the last period
    start_date      first day that bears interest (算头不算尾)
    due_day         chosen day of the month, None = the day of start_date; the first due date lies in the month after
                    the start (after `period_length` months), a short month clamps it, the next one does not drift
    first_due_date  overrides the first due date; its day is then the due day
    period_unit     month, week or day; `period_length` of them make one period (3 months = a quarter)
    day_count       30/360 (a whole month is 1/12 of a year), ACT/360, ACT/365
    first_period    STUB_ACTUAL: a first period that is not whole bears interest by actual days, its principal stays as
                    planned; FULL_PERIOD: it bears the interest of a whole period
    min_first_days  a first period shorter than this moves all due dates one period later
    tail_rule       where the rounding rest of the principal goes; only `last` exists
    period_fee      charged with every instalment
    """

    principal: Decimal
    annual_rate: Decimal
    method: str
    periods: int
    start_date: date
    due_day: int | None = None
    first_due_date: date | None = None
    period_unit: str = "month"
    period_length: int = 1
    day_count: str = "30/360"
    first_period: str = "STUB_ACTUAL"
    min_first_days: int = 0
    tail_rule: str = "last"
    period_fee: Decimal = Decimal("0.00")

    def __post_init__(self) -> None:
        check_amount("principal", self.principal, zero_allowed=False)
        check_rate("annual_rate", self.annual_rate)
        check_choice("method", self.method, METHODS)
        check_whole("periods", self.periods, 1, PERIODS_MAX)
        check_date("start_date", self.start_date)
        check_choice("period_unit", self.period_unit, PERIOD_UNITS)
        check_whole("period_length", self.period_length, 1, 366)
        check_choice("day_count", self.day_count, DAY_COUNT_BASES.keys())
        check_choice("first_period", self.first_period, FIRST_PERIODS)
        check_whole("min_first_days", self.min_first_days, 0, 366)
        check_choice("tail_rule", self.tail_rule, TAIL_RULES)
        check_amount("period_fee", self.period_fee)
        self._check_first_due()

    def _check_first_due(self) -> None:
        if self.due_day is not None:
            check_whole("due_day", self.due_day, 1, 31)
            if self.period_unit != "month":
                raise LoanMathError("due_day", "conflict", found=self.due_day, limit=f"period_unit={self.period_unit}")
        if self.first_due_date is not None:
            check_date("first_due_date", self.first_due_date)
            if self.first_due_date <= self.start_date:
                raise LoanMathError(
                    "first_due_date",
                    "wrong_order",
                    found=self.first_due_date.isoformat(),
                    limit=self.start_date.isoformat(),
                )
            self._check_same_day(self.first_due_date)

    def _check_same_day(self, first: date) -> None:
        """Both given: the first due date must lie on the due day, or nobody could say which of them rules."""
        if self.due_day is not None and first.day != min(self.due_day, monthrange(first.year, first.month)[1]):
            raise LoanMathError("first_due_date", "conflict", found=first.isoformat(), limit=f"due_day={self.due_day}")


@dataclass(frozen=True, slots=True)
class Instalment:
    """One line of a schedule. `total` = principal + interest + fee; `balance` is the principal left after it.

    `days` are the actual days from start_date (counted) to due_date (not counted), also under 30/360.
    """

    no: int
    start_date: date
    due_date: date
    days: int
    principal: Decimal
    interest: Decimal
    fee: Decimal
    total: Decimal
    balance: Decimal
