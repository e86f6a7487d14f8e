"""What is known of a loan on a day: its terms, its bills, what paid them, and what follows from these alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any, Final

from .arithmetic import COMPONENTS, Bill, Contract, Drawn, Event, Matrices, Matrix, Stretch, accrued, open_of

AGREED: Final = ("fee", "interest", "principal")
NON_ACCRUAL_AFTER: Final = 90
"""Days past due after which interest leaves the books, and after which a loan counts as non-performing."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The term snapshot as the fold reads it. ``npl``: how receipts are spread once the loan is non-performing, where that was agreed. ``own``:
    the product's own matrices, which go before the rules. ``vat_rate``: of the value-added tax that interest and fees hold."""

    contract: Contract
    prepay_fee_rate: Fraction = Fraction(0)
    npl: Matrix | None = None
    vat_rate: Fraction = Fraction(0)
    own: Matrices = field(default_factory=Matrices)


@dataclass(frozen=True, slots=True)
class Txn:
    """One transaction; never changed. ``seq``: the order in which it was booked. ``given``: what its kind needs beside the amount."""

    seq: int
    kind: str
    on: date
    amount: int = 0
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Line(Bill):
    """A bill of the plan (``seq`` 0) or of a transaction that fell due at once (prepayment, settlement). ``agreed``, ``cuts``: see Bill."""

    start: date = date.min
    seq: int = 0
    days: int = 0
    balance: int = 0
    waived: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """What is unpaid of what was agreed; penalty apart."""
        return sum(self.unpaid(component) for component in AGREED)


@dataclass(frozen=True, slots=True)
class Part:
    """An amount that paid one component of one line. ``seq`` 0: paid by 溢缴款 when it fell due, or below zero, released into it by a change."""

    seq: int
    on: date
    no: int
    line_seq: int
    component: str
    amount: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a receipt on its day. amount + from_suspense = Σ parts + surplus."""

    amount: int
    from_suspense: int
    parts: tuple[Part, ...]
    surplus: int
    as_agreed: bool = True

    def of(self, component: str) -> int:
        return sum(part.amount for part in self.parts if part.component == component)


@dataclass(slots=True)
class Life:
    """What the history came to. ``shortfall``: refunds that the history no longer covers. ``ended``: the day of a settlement.
    ``disposed``: how the loan left the books otherwise than by payment (repossess, transfer), ``left``: the principal that left with it.
    Of a loan that is written off, ``written_amount``: what was on the books on the day; ``forgiven``: what of it was waived since; ``kept``: the
    incomes and, by component, the claim that the books had then, and the number of parts paid by then."""

    agreement: Agreement
    drawn: Drawn
    lines: list[Line]
    events: list[Event] = field(default_factory=list)
    suspense: int = 0
    receipts: dict[int, Receipt] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    at: date = date.min
    max_dpd: int = 0
    non_accrual: bool = False
    shortfall: int = 0
    ended: date | None = None
    written_off: date | None = None
    written_amount: int = 0
    forgiven: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    allowance: int = 0
    impairment: int = 0
    coupons: int = 0
    asset: int = 0
    gain: int = 0
    disposed: str = ""
    left: int = 0
    unmet: set[int] = field(default_factory=set)

    @property
    def contract(self) -> Contract:
        return self.agreement.contract

    def open_of(self, line: Line, on: date) -> dict[str, int]:
        """What is unpaid of a line at the end of ``on``, penalty and compound interest as far as they ran."""
        if line.due >= on and not any(component in ("penalty", "compound") for _, component, _ in line.cuts):
            return {**{component: line.unpaid(component) for component in AGREED}, "penalty": 0, "compound": 0}
        return open_of(self.contract, line, on)

    def late(self, line: Line, on: date) -> int:
        """Days past due of one line; 0 inside the grace."""
        days = (on - line.due).days
        return days if days > self.contract.penalty.grace_days and line.open else 0

    def dpd(self, on: date) -> int:
        return max((self.late(line, on) for line in self.lines), default=0)

    def line(self, no: int, seq: int = 0) -> Line:
        return next(line for line in self.lines if (line.no, line.seq) == (no, seq))

    @property
    def recovered(self) -> int:
        """What came back of the amount that was written off; it is paid before all else, and what comes beyond it is :func:`regained`."""
        if self.written_off is None:
            return 0
        return min(sum(part.amount for part in self.parts[self.kept["parts"]:]), self.written_amount - self.forgiven)


def claim(life: Life, on: date) -> dict[str, int]:
    """What the loan owes at the end of ``on``, by component, interest as far as it ran; on the books or beside them."""
    owed = dict.fromkeys(COMPONENTS, 0)
    for line in life.lines:
        open_ = life.open_of(line, on)
        for component in COMPONENTS:
            owed[component] += max(0, ran(life, line, on) - line.taken("interest")) if component == "interest" else open_[component]
    return owed


def regained(life: Life, more: Iterable[Part] = ()) -> dict[str, int]:
    """What was paid on a loan that is written off beyond the amount written off: income now, by the component that the books did not have
    (domain specification §6, event 12). ``more``: parts paid besides."""
    paid = dict.fromkeys(COMPONENTS, 0)
    for part in (*life.parts[life.kept["parts"]:], *more):
        paid[part.component] += part.amount
    left, found = max(0, sum(paid.values()) - life.written_amount + life.forgiven), dict[str, int]()
    for component in ("penalty", "compound", "fee"):
        found[component] = min(left, max(0, paid[component] - life.kept[f"claim_{component}"]))
        left -= found[component]
    return {**found, "interest": left}


def ran(life: Life, line: Line, on: date) -> int:
    """Interest of a line as far as it ran by the end of ``on``: whole when it fell due, by the day while its period runs, never above it."""
    if line.due <= on or line.seq:
        return line.agreed["interest"]
    if on <= line.start or life.ended:
        return 0
    since = max((one.date for one in life.drawn.prepaid if line.start <= one.date <= on), default=line.start)
    found = sum((accrued(life.contract, stretch, life.drawn.pauses, on) for stretch in stretches(life, since, on)), Fraction(0))
    return min(life.contract.rounding.of(found), line.agreed["interest"])


def stretches(life: Life, since: date, on: date) -> list[Stretch]:
    """The stretches of the time line that begin from ``since`` on and before ``on``."""
    return [stretch for stretch in life.drawn.stretches if stretch.start >= since and stretch.start < on]


__all__ = ["AGREED", "COMPONENTS", "NON_ACCRUAL_AFTER", "Agreement", "Life", "Line", "Part", "Receipt", "Txn", "claim", "ran", "regained", "stretches"]
