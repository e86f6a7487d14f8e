"""随借随还: interest by the day on what is drawn, repaid at any time (domain specification §4.2, E11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Final

from .contract import Contract, Event
from .errors import LoanMathError
from .line import Row
from .periods import periods_of, share_of

EVENTS: Final = frozenset({"tranche", "payment", "rate", "pause", "waive", "fee"})
ZERO: Final = Fraction(0)


@dataclass(slots=True)
class Lot:
    """What is left of a draw, and since when it bears interest that was not paid."""

    since: date
    left: int


def draw_revolving(contract: Contract) -> tuple[tuple[Row, ...], int]:
    """One row for each repayment and one at maturity for what is left; and how many of them were repaid before it."""
    maturity = periods_of(contract)[-1]
    lots, rows, owed, balance = [Lot(contract.start_date, contract.principal)], [], ZERO, contract.principal
    repaid, since = 0, contract.start_date
    for event in contract.events:
        _check(contract, event, maturity.end)
        if event.kind == "tranche":
            lots.append(Lot(event.date, event.given["amount"]))
            balance += event.given["amount"]
        if event.kind != "payment":
            continue
        opening = balance
        principal, interest, owed = _pay(contract, event, lots, owed)
        balance -= principal
        rows.append(Row(len(rows) + 1, since, event.date, event.date, event.date, principal, interest, balance, opening, (event.date - since).days))
        repaid, since = repaid + 1, event.date
    if balance or not rows:
        exact = owed + sum((lot.left * _earned(contract, lot.since, maturity.end) for lot in lots), ZERO)
        rows.append(Row(len(rows) + 1, since, maturity.end, maturity.due, maturity.nominal, balance, contract.rounding.of(exact), 0, balance,
                        (maturity.end - since).days))
    return tuple(rows), repaid


def _check(contract: Contract, event: Event, maturity: date) -> None:
    if event.kind not in EVENTS:
        raise LoanMathError(f"{event.key}.kind", "not_with", limit=f"method={contract.method}")
    if event.kind in ("tranche", "payment"):
        if event.date < contract.start_date:
            raise LoanMathError(f"{event.key}.date", "wrong_order", found=event.date.isoformat(), limit=contract.start_date.isoformat())
        if event.date > maturity:
            raise LoanMathError(f"{event.key}.date", "too_late", found=event.date.isoformat(), limit=maturity.isoformat())
    if event.kind == "tranche" and "amount" not in event.given:
        raise LoanMathError(f"{event.key}.amount", "required")
    if event.kind == "rate" and event.given.get("effect", "immediate") != "immediate":
        raise LoanMathError(f"{event.key}.effect", "not_with", limit=f"method={contract.method}")


def _pay(contract: Contract, event: Event, lots: list[Lot], owed: Fraction) -> tuple[int, int, Fraction]:
    """(principal, interest, interest still owed) of a repayment, said as principal or as the whole amount."""
    given = event.given
    if ("amount" in given) == ("principal" in given):
        raise LoanMathError(f"{event.key}.amount", "needs" if "amount" not in given else "not_with", limit="principal")
    left = sum(lot.left for lot in lots)
    if given.get("principal", 0) > left:
        raise LoanMathError(f"{event.key}.principal", "too_much", found=contract.rounding.text(given["principal"]), limit=contract.rounding.text(left))
    all_of_it = contract.revolving_interest == "all_accrued"
    return _all_accrued(contract, event, lots, owed, left) if all_of_it else _part(contract, event, lots, left)


def _all_accrued(contract: Contract, event: Event, lots: list[Lot], owed: Fraction, left: int) -> tuple[int, int, Fraction]:
    exact = owed + sum((lot.left * _earned(contract, lot.since, event.date) for lot in lots), ZERO)
    for lot in lots:
        lot.since = event.date
    interest = contract.rounding.of(exact)
    if "principal" in event.given:
        principal = event.given["principal"]
    elif event.given["amount"] < interest:
        return 0, event.given["amount"], exact - event.given["amount"]
    else:
        principal = event.given["amount"] - interest
    if principal > left:
        raise LoanMathError(f"{event.key}.amount", "too_much", found=contract.rounding.text(principal + interest),
                            limit=contract.rounding.text(left + interest))
    _take(lots, principal)
    return principal, interest, ZERO


def _part(contract: Contract, event: Event, lots: list[Lot], left: int) -> tuple[int, int, Fraction]:
    """Interest on what is repaid alone, from the day it was drawn; the oldest draw first."""
    principal = event.given.get("principal")
    if principal is None:
        principal = _affordable(contract, event, lots, left)
    interest = contract.rounding.of(_on(contract, lots, principal, event.date))
    if "amount" in event.given and principal + interest != event.given["amount"]:
        interest = event.given["amount"] - principal
    _take(lots, principal)
    return principal, interest, ZERO


def _affordable(contract: Contract, event: Event, lots: Sequence[Lot], left: int) -> int:
    """The largest principal that the amount pays together with its interest."""
    amount, low, high = event.given["amount"], 0, left
    if left + contract.rounding.of(_on(contract, lots, left, event.date)) < amount:
        raise LoanMathError(f"{event.key}.amount", "too_much", found=contract.rounding.text(amount),
                            limit=contract.rounding.text(left + contract.rounding.of(_on(contract, lots, left, event.date))))
    while low < high:
        middle = (low + high + 1) // 2
        fits = middle + contract.rounding.of(_on(contract, lots, middle, event.date)) <= amount
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _on(contract: Contract, lots: Sequence[Lot], principal: int, day: date) -> Fraction:
    total = ZERO
    for lot in lots:
        part = min(principal, lot.left)
        total += part * _earned(contract, lot.since, day) if part else ZERO
        principal -= part
    return total


def _take(lots: list[Lot], principal: int) -> None:
    for lot in lots:
        part = min(principal, lot.left)
        lot.left, principal = lot.left - part, principal - part


def _earned(contract: Contract, start: date, end: date) -> Fraction:
    """Interest per unit of balance between two days, with the rates and pauses in between."""
    rates = [(event.date, event.given["annual_rate"]) for event in contract.events if event.kind == "rate"]
    pauses = [(event.date, event.given["until"]) for event in contract.events if event.kind == "pause"]
    cuts = sorted({start, end, *(day for day, _ in rates if start < day < end), *(day for pause in pauses for day in pause if start < day < end)})
    total = ZERO
    for a, b in pairwise(cuts):
        if not any(begin <= a < stop for begin, stop in pauses):
            rate = next((rate for day, rate in reversed(rates) if day <= a), contract.annual_rate)
            total += rate * share_of(contract, a, b)
    return total


def accrued_revolving(contract: Contract, day: date) -> Fraction:
    """Interest that ran up to ``day`` and was not paid by then."""
    lots, owed = [Lot(contract.start_date, contract.principal)], ZERO
    for event in contract.events:
        if event.date > day:
            break
        if event.kind == "tranche":
            lots.append(Lot(event.date, event.given["amount"]))
        elif event.kind == "payment":
            _, _, owed = _pay(contract, event, lots, owed)
    return owed + sum((lot.left * _earned(contract, lot.since, day) for lot in lots), ZERO)
