"""Fees: what is charged at payout, with every instalment, and on an event; and which of it counts in the annual rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .contract import Contract, Event, Fee
from .errors import LoanMathError
from .line import Row


@dataclass(frozen=True, slots=True)
class Charges:
    """``at_payout`` is asked for beside the loan, never kept back from it (Civil Code Art. 670). ``by_row``: with each instalment, of
    which ``in_apr`` counts in the annual rate."""

    at_payout: int
    at_payout_in_apr: int
    by_row: dict[int, int]
    in_apr: dict[int, int]


def charges_of(contract: Contract, rows: Sequence[Row]) -> Charges:
    """All fees of a schedule."""
    upfront = [(fee, _worth(contract, fee, contract.principal, 0, contract.principal)) for fee in contract.fees if fee.when == "at_payout"]
    charges = Charges(sum(amount for _, amount in upfront), sum(amount for fee, amount in upfront if fee.in_apr), {}, {})
    for row in rows:
        for fee in contract.fees:
            if fee.when == "per_period":
                _add(charges, row.no, _worth(contract, fee, row.opening, row.interest, row.principal + row.interest), in_apr=fee.in_apr)
    for event in contract.events:
        if event.kind == "fee":
            _charge_event(contract, charges, rows, event)
    return charges


def _worth(contract: Contract, fee: Fee, balance: int, interest: int, instalment: int) -> int:
    if fee.amount is not None:
        return fee.amount
    base = {"principal": contract.principal, "balance": balance, "interest": interest, "instalment": instalment}[fee.basis]
    assert fee.rate is not None
    return contract.rounding.of(Fraction(base) * fee.rate)


def _charge_event(contract: Contract, charges: Charges, rows: Sequence[Row], event: Event) -> None:
    """On the instalment that was named, else on the first that falls due on the day or after it. Outside the annual rate of the plan."""
    named = event.given.get("no")
    row = next((row for row in rows if (row.no == named if named else row.due >= event.date)), None)
    if row is None:
        raise LoanMathError(f"{event.key}.no" if named else f"{event.key}.date", "conflict", found=named or event.date.isoformat(), limit="rows")
    _add(charges, row.no, _event_amount(contract, event, row), in_apr=False)


def _event_amount(contract: Contract, event: Event, row: Row) -> int:
    if "amount" in event.given:
        amount: int = event.given["amount"]
        return amount
    code = event.given.get("code")
    fee = next((fee for fee in contract.fees if fee.code == code and fee.when == "on_event"), None)
    if fee is None:
        raise LoanMathError(f"{event.key}.amount", "needs", limit="amount / code (when=on_event)")
    return _worth(contract, fee, row.opening, row.interest, row.principal + row.interest)


def _add(charges: Charges, no: int, amount: int, *, in_apr: bool) -> None:
    charges.by_row[no] = charges.by_row.get(no, 0) + amount
    if in_apr:
        charges.in_apr[no] = charges.in_apr.get(no, 0) + amount
