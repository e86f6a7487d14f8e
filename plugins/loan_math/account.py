"""What was really paid: bills, receipts and their allocation, waivers, penalty, suspense, and the state on a day.

The schedule is what was agreed; this is what came of it. Overdue principal leaves the interest of the time line alone: it is due, and
penalty takes the place of interest on it (domain specification §4.5). Nothing here is rounded before a segment of penalty closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from .contract import Contract, Event, Penalty
from .day_count import THIRTY
from .errors import LoanMathError
from .line import Row
from .matrix import COMPONENTS, NON_PERFORMING_AFTER, Matrix, OpenBill, Staged, spread
from .money import Rounding

ACCOUNT_EVENTS: Final = frozenset({"payment", "waive"})
_AGREED: Final = ("fee", "interest", "principal")


@dataclass(slots=True)
class Bill:
    """One instalment and what was paid and waived of it. ``cuts``: (day, component, amount) in the order they came."""

    no: int
    due: date
    agreed: dict[str, int]
    cuts: list[tuple[date, str, int]] = field(default_factory=list)

    def taken(self, component: str) -> int:
        return sum([amount for _, name, amount in self.cuts if name == component]) if self.cuts else 0

    def unpaid(self, component: str) -> int:
        return self.agreed.get(component, 0) - self.taken(component)


@dataclass(frozen=True, slots=True)
class Allocated:
    date: date
    amount: int
    parts: tuple[tuple[int, str, int], ...]
    surplus: int


@dataclass(frozen=True, slots=True)
class Waived:
    date: date
    no: int
    component: str
    amount: int


@dataclass(slots=True)
class Account:
    """The bills of a schedule and what happened to them, up to ``day``."""

    contract: Contract
    bills: list[Bill]
    suspense: int = 0
    allocations: list[Allocated] = field(default_factory=list)
    waivers: list[Waived] = field(default_factory=list)
    starts: Mapping[int, date] = field(default_factory=dict)


def keep(contract: Contract, rows: Sequence[Row], fees: Mapping[int, int], until: date | None) -> Account:
    """The account after everything up to ``until`` (None: everything)."""
    account = Account(contract, [Bill(row.no, row.due, {"fee": fees.get(row.no, 0), "interest": row.interest, "principal": row.principal}) for row in rows],
                      starts={row.no: row.start for row in rows})
    _pay_on_time(account)
    happenings: list[tuple[date, int, Event | None]] = [(event.date, 1 + event.place, event) for event in contract.events if event.kind in ACCOUNT_EVENTS]
    happenings += [(bill.due, 0, None) for bill in account.bills]
    for day, _, event in sorted(happenings, key=lambda one: one[:2]):
        if until is not None and day > until:
            break
        _offset(account, day) if event is None else _HAPPENS[event.kind](account, event)
    return account


def _pay_on_time(account: Account) -> None:
    paid = account.contract.paid_periods
    if paid > len(account.bills):
        raise LoanMathError("paid_periods", "out_of_range", found=paid, limit=f"0 – {len(account.bills)}")
    for bill in account.bills[:paid]:
        bill.cuts.extend((bill.due, component, bill.agreed[component]) for component in _AGREED)


def _offset(account: Account, day: date) -> None:
    """溢缴款 pays what falls due."""
    if account.suspense:
        amount, account.suspense = account.suspense, 0
        _receive(account, day, amount, _matrix(account, day, "suspense"))


def _payment(account: Account, event: Event) -> None:
    amount = event.given.get("amount")
    if amount is None or "principal" in event.given:
        raise LoanMathError(f"{event.key}.amount" if amount is None else f"{event.key}.principal", "required" if amount is None else "not_with",
                            limit=f"method={account.contract.method}")
    if event.date < account.contract.start_date:
        raise LoanMathError(f"{event.key}.date", "wrong_order", found=event.date.isoformat(), limit=account.contract.start_date.isoformat())
    _receive(account, event.date, amount, event.given.get("allocation") or _matrix(account, event.date, "due"))


def _matrix(account: Account, day: date, kind: str) -> Matrix | Staged:
    """The matrix of the contract's own for a receipt, else its rule."""
    contract = account.contract
    if not contract.matrices.rows:
        return contract.allocation
    late = state_on(account, day).dpd
    return contract.matrices.of(kind, "non_performing" if late > NON_PERFORMING_AFTER else "overdue" if late else "normal") or contract.allocation


def _receive(account: Account, day: date, amount: int, matrix: Matrix | Staged) -> None:
    bills = [OpenBill(bill.no, _standing(account, bill, day, matrix), open_of(account.contract, bill, day)) for bill in account.bills]
    parts, surplus = spread(matrix, bills, amount)
    by_no = {bill.no: bill for bill in account.bills}
    for no, component, paid in parts:
        by_no[no].cuts.append((day, component, paid))
    account.suspense += surplus
    account.allocations.append(Allocated(day, amount, tuple(parts), surplus))


def _waive(account: Account, event: Event) -> None:
    given = event.given
    if ("amount" in given) == ("rate" in given):
        raise LoanMathError(f"{event.key}.amount", "needs" if "amount" not in given else "not_with", limit="rate")
    chosen = [bill for bill in account.bills if bill.no == given.get("no", bill.no) and bill.due <= event.date]
    if not chosen:
        raise LoanMathError(f"{event.key}.no", "conflict", found=given.get("no"), limit=f"due_date <= {event.date.isoformat()}")
    left = given.get("amount")
    for bill in chosen:
        unpaid = open_of(account.contract, bill, event.date)[given["component"]]
        amount = min(left, unpaid) if left is not None else account.contract.rounding.of(unpaid * given["rate"])
        if amount > unpaid:
            raise LoanMathError(f"{event.key}.rate", "out_of_range", found=str(float(given["rate"])), limit="0 – 1")
        left = None if left is None else left - amount
        if amount:
            bill.cuts.append((event.date, given["component"], amount))
            account.waivers.append(Waived(event.date, bill.no, given["component"], amount))
    if left:
        raise LoanMathError(f"{event.key}.amount", "too_much", found=account.contract.rounding.text(given["amount"]),
                            limit=account.contract.rounding.text(given["amount"] - left))


_HAPPENS: Final = {"payment": _payment, "waive": _waive}


def _standing(account: Account, bill: Bill, day: date, matrix: Matrix | Staged) -> str:
    if bill.due <= day:
        return "past_due" if bill.due < day else "due"
    start = account.starts[bill.no]
    return "running" if isinstance(matrix, Staged) and (start < day or start == account.contract.start_date) else "in_advance"


def open_of(contract: Contract, bill: Bill, day: date) -> dict[str, int]:
    """What is unpaid of a bill on ``day``, by component; penalty and compound interest as far as they ran by then."""
    found = {component: bill.unpaid(component) for component in _AGREED}
    penalty, compound = charged(contract, bill, day)
    found["penalty"] = penalty - bill.taken("penalty")
    found["compound"] = compound - bill.taken("compound")
    return found


def charged(contract: Contract, bill: Bill, day: date) -> tuple[int, int]:
    """(penalty, compound interest) that ran on a bill up to ``day``, paid or not."""
    terms = contract.penalty
    if terms.rate is None:
        return 0, 0
    on = ("principal",) if terms.base == "principal" else ("principal", "interest")
    factor = _daily(contract, terms)
    compound = _ran(terms, factor, bill, ("interest",), day, contract.rounding) if terms.compound and terms.base == "principal" else 0
    return _ran(terms, factor, bill, on, day, contract.rounding), compound


def _daily(contract: Contract, terms: Penalty) -> Fraction:
    assert terms.rate is not None
    if terms.rate_per == "day":
        return terms.rate
    return terms.rate / (360 if contract.day_count in THIRTY or contract.day_count == "ACT/360" else 365)


def _ran(terms: Penalty, factor: Fraction, bill: Bill, components: tuple[str, ...], day: date, rounding: Rounding) -> int:
    """Σ of the segments of constant base, each rounded as it closes. Nothing if all was paid within the grace; after it the days count
    from the due date, or from its end where the contract says so (E18, E30)."""
    if (day - bill.due).days <= terms.grace_days:
        return 0
    base = sum(bill.agreed.get(component, 0) for component in components)
    cuts = sorted((when, amount) for when, component, amount in bill.cuts if component in components)
    grace_end = bill.due + timedelta(days=terms.grace_days)
    if sum(amount for when, amount in cuts if when <= grace_end) >= base:
        return 0
    at, total = (bill.due if terms.retroactive else grace_end), 0
    for when, amount in [*cuts, (day, 0)]:
        end = min(when, day)
        if end > at and base > 0:
            total += rounding.of(base * factor * (end - at).days)
            at = end
        base -= amount if when <= day else 0
    return total


@dataclass(frozen=True, slots=True)
class State:
    """How a loan stands on a day. ``billed``: unpaid up to the running bill; ``unbilled``: of later ones (账单结转, E23)."""

    by_bill: Mapping[int, Mapping[str, int]]
    dpd_by_bill: Mapping[int, int]
    dpd: int
    overdue: int
    principal_overdue: int
    interest_overdue: int
    billed: int
    unbilled: int
    due: Mapping[str, int]


def state_on(account: Account, day: date) -> State:
    """The state at the end of ``day``."""
    contract = account.contract
    by_bill = {bill.no: open_of(contract, bill, day) for bill in account.bills}
    dpd, billed, unbilled = {}, 0, 0
    due = dict.fromkeys(COMPONENTS, 0)
    overdue = dict.fromkeys(COMPONENTS, 0)
    running = next((bill.no for bill in account.bills if bill.due >= day), None)
    for bill in account.bills:
        unpaid = by_bill[bill.no]
        late = (day - bill.due).days if any(unpaid[component] for component in _AGREED) else 0
        dpd[bill.no] = late if late > contract.penalty.grace_days else 0
        total = sum(unpaid.values())
        billed += total if bill.due < day or bill.no == running else 0
        unbilled += total if bill.due >= day and bill.no != running else 0
        for component, amount in unpaid.items():
            due[component] += amount if bill.due <= day else 0
            overdue[component] += amount if bill.due < day else 0
    return State(by_bill, dpd, max(dpd.values(), default=0), sum(overdue.values()), overdue["principal"], overdue["interest"], billed, unbilled, due)
