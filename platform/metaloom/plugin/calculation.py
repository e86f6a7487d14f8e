"""The calculation door: schedules, allocation of receipts, lateness, settlement quotes, annual rates.

Pure arithmetic: no method reads a clock, a file or a record, none has an effect, all may be repeated at will and no
money moves. They are called inside the transaction of a command and inside previews on screens. An input without
meaning raises a ``ValueError`` whose text names the parameter; the engine shows it to the person who asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol, runtime_checkable

from metaloom.plugin.faults import Promise

COMPONENTS = ("fee", "penalty", "compound", "interest", "principal")
ZERO = Decimal("0.00")


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The frozen conditions a schedule is computed from.

    ``annual_rate`` is a fraction (0.12 = 12 % a year). ``due_day`` None: the day of ``start_date``. ``first_due_date``
    overrides the first due date. ``period_unit`` month | week | day, ``period_length`` of them make a period.
    ``day_count`` 30/360 | ACT/360 | ACT/365. ``first_period`` STUB_ACTUAL | FULL_PERIOD. ``tail_rule``: where the rounding
    rest of the principal goes. ``period_fee`` is charged with every instalment. The provider checks the values.
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
    period_fee: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Instalment:
    """One line of a schedule. ``total`` = principal + interest + fee; ``balance`` is the principal left after it."""

    no: int
    start_date: date
    due_date: date
    days: int
    principal: Decimal
    interest: Decimal
    fee: Decimal
    total: Decimal
    balance: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """What is still unpaid of one instalment. A lower ``no`` is older."""

    no: int
    fee: Decimal = ZERO
    penalty: Decimal = ZERO
    compound: Decimal = ZERO
    interest: Decimal = ZERO
    principal: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Part:
    """An amount > 0 that pays one component of one bill."""

    no: int
    component: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Allocation:
    """The parts in the order in which they were paid, and what no bill could take. Σ parts + surplus = amount received."""

    parts: tuple[Part, ...]
    surplus: Decimal


@dataclass(frozen=True, slots=True)
class SettleQuote:
    """What closes everything on the one day ``on``. ``total`` = overdue + principal + interest + fee."""

    on: date
    overdue: Decimal
    principal: Decimal
    interest: Decimal
    days: int
    fee: Decimal
    total: Decimal
    unearned: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class PenaltyTerms:
    """``rate_per`` day | year/360 | year/365; ``grace_retroactive``: after the grace it counts from the due date."""

    rate: Decimal
    rate_per: str = "year/360"
    grace_days: int = 0
    grace_retroactive: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of constant base: ``start`` counted, ``end`` not."""

    start: date
    end: date
    days: int
    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Penalty:
    """``amount`` is the sum of the segments."""

    days: int
    segments: tuple[Segment, ...]
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Apr:
    """Fractions: 0.158545 is 15.8545 %."""

    simple: Decimal
    compound: Decimal


@runtime_checkable
class Calculation(Protocol):
    """A provider of schedules. Every method is pure: repeatable, without effect, no money moves."""

    def methods(self) -> tuple[str, ...]:
        """The names that ``Terms.method`` may take. Called when metadata is checked and when choices are shown."""

    def allocation_rules(self) -> tuple[str, ...]:
        """The names that ``rule`` of :meth:`allocate` may take."""

    def due_dates(self, terms: Terms) -> tuple[date, ...]:
        """The due dates alone, strictly rising."""

    def schedule(self, terms: Terms) -> tuple[Instalment, ...]:
        """Called before an agreement (preview) and once when it takes effect.

        After: numbers 1…n, dates strictly rising, every amount ≥ 0 with two places, the principals sum to
        ``terms.principal``, the last balance is 0.
        """

    def overdue_days(self, due_date: date, on: date, grace_days: int = 0) -> int:
        """Days past due on ``on``; 0 within the grace."""

    def penalty(self, terms: PenaltyTerms, due_date: date, base: Decimal, on: date, *,
                reductions: Sequence[tuple[date, Decimal]] = ()) -> Penalty:
        """Charge for lateness up to ``on`` (not counted). After: Σ segments = amount."""

    def allocate(self, bills: Sequence[Bill], amount: Decimal, rule: str = "BY_PERIOD") -> Allocation:
        """Called with the rows locked, before a receipt is posted. After: Σ parts + surplus = ``amount``; no part exceeds
        what its bill has open."""

    def settle_quote(self, terms: Terms, rows: Sequence[Instalment], on: date, *, open_bills: Sequence[Bill] = (),
                     fee_rate: Decimal = Decimal(0)) -> SettleQuote:
        """What settles everything on ``on``."""

    def apr(self, flows: Sequence[Decimal], periods_per_year: int = 12) -> Apr:
        """Annual rates of equally spaced flows; ``flows[0]`` < 0 is what left, the rest came in."""

    def apr_of_schedule(self, terms: Terms, rows: Sequence[Instalment]) -> Apr:
        """Annual rates of a schedule that :meth:`schedule` made for these terms, by its dates: a broken first period counts
        as long as it is. The rates that legal caps are compared with."""


class CheckedCalculation:
    """A provider behind the engine's checks: same methods, and :class:`PluginFault` where a promise is broken."""

    def __init__(self, provider: Calculation, name: str) -> None:
        self._provider, self._promise = provider, Promise(name)

    def methods(self) -> tuple[str, ...]:
        return self._names("methods", self._provider.methods())

    def allocation_rules(self) -> tuple[str, ...]:
        return self._names("allocation_rules", self._provider.allocation_rules())

    def due_dates(self, terms: Terms) -> tuple[date, ...]:
        dates = self._provider.due_dates(terms)
        self._promise.is_a("due_dates", dates, tuple)
        days = [self._promise.day("due_dates", day) for day in dates]
        self._promise.that(all(a < b for a, b in zip(days, days[1:], strict=False)), "due_dates do not rise")
        return dates

    def schedule(self, terms: Terms) -> tuple[Instalment, ...]:
        rows = self._provider.schedule(terms)
        check_schedule(self._promise, terms, rows)
        return rows

    def overdue_days(self, due_date: date, on: date, grace_days: int = 0) -> int:
        return self._promise.whole("overdue_days", self._provider.overdue_days(due_date, on, grace_days))

    def penalty(self, terms: PenaltyTerms, due_date: date, base: Decimal, on: date, *,
                reductions: Sequence[tuple[date, Decimal]] = ()) -> Penalty:
        charged = self._provider.penalty(terms, due_date, base, on, reductions=reductions)
        self._promise.is_a("penalty", charged, Penalty)
        self._promise.whole("penalty.days", charged.days)
        amounts = [self._promise.amount("penalty.segment", segment.amount) for segment in charged.segments]
        self._promise.that(sum(amounts, ZERO) == self._promise.amount("penalty", charged.amount),
                           "penalty: the segments do not sum to the amount")
        return charged

    def allocate(self, bills: Sequence[Bill], amount: Decimal, rule: str = "BY_PERIOD") -> Allocation:
        allocation = self._provider.allocate(bills, amount, rule)
        check_allocation(self._promise, bills, amount, allocation)
        return allocation

    def settle_quote(self, terms: Terms, rows: Sequence[Instalment], on: date, *, open_bills: Sequence[Bill] = (),
                     fee_rate: Decimal = Decimal(0)) -> SettleQuote:
        quote = self._provider.settle_quote(terms, rows, on, open_bills=open_bills, fee_rate=fee_rate)
        self._promise.is_a("settle_quote", quote, SettleQuote)
        parts = [self._promise.amount(key, getattr(quote, key)) for key in ("overdue", "principal", "interest", "fee")]
        self._promise.that(sum(parts, ZERO) == self._promise.amount("total", quote.total),
                           "settle_quote: the parts do not sum to the total")
        return quote

    def apr(self, flows: Sequence[Decimal], periods_per_year: int = 12) -> Apr:
        return self._rates("apr", self._provider.apr(flows, periods_per_year))

    def apr_of_schedule(self, terms: Terms, rows: Sequence[Instalment]) -> Apr:
        return self._rates("apr_of_schedule", self._provider.apr_of_schedule(terms, rows))

    def _rates(self, key: str, rates: Apr) -> Apr:
        self._promise.is_a(key, rates, Apr)
        for rate in (rates.simple, rates.compound):
            self._promise.number(key, rate, places=12)
        return rates

    def _names(self, key: str, names: tuple[str, ...]) -> tuple[str, ...]:
        self._promise.is_a(key, names, tuple)
        self._promise.that(bool(names) and all(isinstance(n, str) and n for n in names), f"{key}: no names")
        return names


def check_schedule(promise: Promise, terms: Terms, rows: tuple[Instalment, ...]) -> None:
    """Every promise of :meth:`Calculation.schedule`, on what came back."""
    promise.is_a("schedule", rows, tuple)
    promise.that(0 < len(rows) <= 2000, f"schedule: {len(rows) if isinstance(rows, tuple) else 0} rows")
    balance, earlier = terms.principal, terms.start_date
    for place, row in enumerate(rows, start=1):
        promise.is_a(f"schedule row {place}", row, Instalment)
        promise.that(promise.whole("no", row.no) == place, f"schedule row {place} is numbered {row.no}")
        promise.that(promise.day("due_date", row.due_date) > earlier, f"schedule row {place}: due dates do not rise")
        parts = [promise.amount(f"row {place} {key}", getattr(row, key)) for key in ("principal", "interest", "fee")]
        promise.that(sum(parts, ZERO) == promise.amount("total", row.total), f"schedule row {place}: parts ≠ total")
        balance -= row.principal
        promise.that(promise.amount("balance", row.balance) == balance, f"schedule row {place}: balance ≠ {balance}")
        earlier = row.due_date
    promise.that(balance == 0, f"schedule: the principals leave {balance}")


def check_allocation(promise: Promise, bills: Sequence[Bill], amount: Decimal, allocation: Allocation) -> None:
    """Every promise of :meth:`Calculation.allocate`, on what came back."""
    promise.is_a("allocation", allocation, Allocation)
    promise.is_a("allocation.parts", allocation.parts, tuple)
    left = {(bill.no, component): getattr(bill, component) for bill in bills for component in COMPONENTS}
    total = promise.amount("surplus", allocation.surplus)
    for part in allocation.parts:
        promise.is_a("part", part, Part)
        key = (part.no, promise.one_of("component", part.component, COMPONENTS))
        promise.that(key in left, f"allocation pays bill {part.no}, which was not handed in")
        left[key] -= promise.amount("part", part.amount, least=Decimal("0.01"))
        promise.that(left[key] >= 0, f"allocation pays more than bill {part.no} has open of {part.component}")
        total += part.amount
    promise.that(total == amount, f"allocation: parts and surplus are {total}, received were {amount}")
