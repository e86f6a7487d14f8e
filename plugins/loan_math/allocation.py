"""Which part of which bill a receipt pays (冲销). Pure: bills and an amount in, parts and a surplus out. Spec §4.6."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from .check import check_amount, check_choice, check_whole
from .errors import LoanMathError
from .exact import from_cents, to_cents

COMPONENTS: Final = ("fee", "penalty", "compound", "interest", "principal")
_PRINCIPAL_FIRST: Final = ("principal", "fee", "penalty", "compound", "interest")
ALLOCATION_RULES: Final = frozenset({"BY_PERIOD", "BY_COMPONENT", "PRINCIPAL_FIRST"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """What is still unpaid of one instalment. `no` is its number: a lower number is older and due earlier."""

    no: int
    fee: Decimal = Decimal("0.00")
    penalty: Decimal = Decimal("0.00")
    compound: Decimal = Decimal("0.00")
    interest: Decimal = Decimal("0.00")
    principal: Decimal = Decimal("0.00")

    def __post_init__(self) -> None:
        check_whole("no", self.no, 0, 10**9)
        for component in COMPONENTS:
            check_amount(component, getattr(self, component))

    @property
    def total(self) -> Decimal:
        return from_cents(sum(to_cents(getattr(self, component)) for component in COMPONENTS))


@dataclass(frozen=True, slots=True)
class Part:
    """An amount > 0 that pays one component of one bill."""

    no: int
    component: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Allocation:
    """The parts in the order in which they were paid, and what no bill could take (溢缴款, to suspense).

    Σ parts + surplus = the amount received, to the cent (invariant I8).
    """

    parts: tuple[Part, ...]
    surplus: Decimal

    def paid(self, no: int, component: str) -> Decimal:
        """What this receipt paid of one component of one bill; 0.00 if nothing."""
        cents = sum(to_cents(part.amount) for part in self.parts if (part.no, part.component) == (no, component))
        return from_cents(cents)


def allocate(bills: Sequence[Bill], amount: Decimal, rule: str = "BY_PERIOD") -> Allocation:
    """Spread a receipt over unpaid bills.

    BY_PERIOD        oldest bill first, inside a bill fee → penalty → compound → interest → principal (the default)
    BY_COMPONENT     one component across all bills, oldest first, then the next component in the same order
    PRINCIPAL_FIRST  BY_COMPONENT with the principal before all else (non-performing loans, settlements)

    The order of `bills` does not matter, their numbers do. A bill that is not yet due is paid too if it is handed in:
    leave it out. Raises LoanMathError for an unknown rule, an amount < 0 or a number that occurs twice.
    """
    check_choice("rule", rule, ALLOCATION_RULES)
    check_amount("amount", amount)
    left = to_cents(amount)
    parts: list[Part] = []
    for bill, component in _order(_oldest_first(bills), rule):
        cents = min(left, to_cents(getattr(bill, component)))
        if cents > 0:
            parts.append(Part(bill.no, component, from_cents(cents)))
            left -= cents
    return Allocation(tuple(parts), from_cents(left))


def _oldest_first(bills: Sequence[Bill]) -> list[Bill]:
    ordered = sorted(bills, key=lambda bill: bill.no)
    for earlier, later in zip(ordered, ordered[1:], strict=False):
        if earlier.no == later.no:
            raise LoanMathError("no", "conflict", found=later.no, limit=f"no={earlier.no}")
    return ordered


def _order(bills: list[Bill], rule: str) -> Iterator[tuple[Bill, str]]:
    if rule == "BY_PERIOD":
        return ((bill, component) for bill in bills for component in COMPONENTS)
    components = _PRINCIPAL_FIRST if rule == "PRINCIPAL_FIRST" else COMPONENTS
    return ((bill, component) for component in components for bill in bills)
