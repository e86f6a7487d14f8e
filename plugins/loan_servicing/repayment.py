"""Repayment and its allocation （冲销）, and the settlement of a loan on a day (S1-21, domain specification §4.4, §4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from metaloom.plugin.calculation import Bill, Calculation, Instalment, Part, SettleQuote
from metaloom.plugin.command import Values, Work

from .books import post
from .limits import restore
from .loans import INSTALMENT, LOAN, ZERO, add_plan, open_instalments, refresh
from .terms import SNAPSHOT, terms_of

REPAYMENT, ALLOCATION = "lending.repayment", "lending.repayment_allocation"


@dataclass(frozen=True)
class Split:
    """Where a receipt went. ``parts`` carry the instalment's id as ``no``."""

    parts: tuple[Part, ...]
    fee: Decimal
    surplus: Decimal

    def of(self, component: str) -> Decimal:
        return sum((part.amount for part in self.parts if part.component == component), ZERO)


def repay(work: Work, loan: Values | None, input: Values) -> Values:
    """Books a receipt: kind ``due`` pays the bills up to the current one, ``settle`` pays everything on the value date."""
    assert loan is not None
    today, on = work.business_date(loan["company"]), input["value_date"]
    _check_dates(work, loan, on, today)
    pool = input["amount"] + loan["suspense"]
    split = _settle(work, loan, pool, on) if input["kind"] == "settle" else _pay_due(work, loan, pool, on)
    repayment = work.create(REPAYMENT, {
        "loan": loan["id"], "customer": loan["customer"], "amount": input["amount"], "value_date": on, "booking_date": today,
        "kind": input["kind"], "source": input["source"], "bank_serial_no": input["bank_serial_no"] or None,
        "principal": split.of("principal"), "interest": split.of("interest"), "fee": split.fee,
        "from_suspense": loan["suspense"], "surplus": split.surplus,
    })
    _record_parts(work, loan, repayment, split, today)
    _mark_paid(work, split.parts, on)
    work.change(LOAN, loan["id"], {"suspense": split.surplus})
    entry = post(work, "repayment", {
        "received": input["amount"], "from_suspense": loan["suspense"], "principal": split.of("principal"),
        "interest": split.of("interest"), "fee": split.fee, "surplus": split.surplus,
    }, loan["company"], booking=today, value=on, cause=(REPAYMENT, repayment), loan=loan)
    work.change(REPAYMENT, repayment, {"voucher": entry})
    restore(work, loan, split.of("principal"), today, key=f"restore:{repayment}")
    refresh(work, work.get(LOAN, loan["id"]), on)
    return {"repayment": repayment, "receipt_no": work.get(REPAYMENT, repayment)["receipt_no"], "principal": split.of("principal"),
            "interest": split.of("interest"), "fee": split.fee, "surplus": split.surplus}


def settle_quote(work: Work, loan: Values | None, input: Values) -> Values:
    """What closes the loan on a day; changes nothing."""
    assert loan is not None
    work.require(input["value_date"] >= loan["disbursed_on"], ("结清日期早于放款日期。", "The date is before the payout."))
    quote = _quote(work, loan, open_instalments(work, loan["id"]), input["value_date"])
    return {"overdue": quote.overdue, "principal": quote.principal, "interest": quote.interest, "fee": quote.fee,
            "from_suspense": loan["suspense"], "total": max(ZERO, quote.total - loan["suspense"])}


def owed_now(work: Work, loan: Values | None, input: Values) -> Values:
    """What a receipt of today would pay: bills that are late, the current one, and what closes the loan. Reads only."""
    assert loan is not None
    on = work.business_date(loan["company"])
    rows = open_instalments(work, loan["id"], lock=False)
    billed = _billed(loan, rows, on)
    overdue = sum((row["unpaid"] for row in billed if row["due_date"] < on), ZERO)
    current = [row for row in billed if row["due_date"] >= on]
    owed = sum((row["unpaid"] for row in billed), ZERO)
    may_settle = not any(row["due_date"] > on for row in rows) or _may_prepay(work, loan)
    settle = max(ZERO, _quote(work, loan, rows, on).total - loan["suspense"]) if rows and may_settle else None
    return {"on": on, "overdue": overdue, "current": owed - overdue, "due_on": current[-1]["due_date"] if current else None,
            "from_suspense": loan["suspense"], "due": max(ZERO, owed - loan["suspense"]), "settle": settle}


def _billed(loan: Values, rows: Sequence[Values], on: date) -> list[Values]:
    """The rows whose bill has begun on ``on``: the late ones and the one whose period holds the day."""
    return [row for row in rows if row["start_date"] < on or row["start_date"] == loan["disbursed_on"]]


def _may_prepay(work: Work, loan: Values) -> bool:
    return work.get(SNAPSHOT, loan["snapshot"])["prepay_allowed"] in ("full", "both")


def _check_dates(work: Work, loan: Values, on: date, today: date) -> None:
    work.require(on <= today, ("起息日不能晚于当前业务日期。", "The value date lies after the business date."))
    work.require(on >= loan["disbursed_on"], ("起息日不能早于放款日期。", "The value date lies before the payout."))
    last = work.find(REPAYMENT, {"loan": loan["id"], "status": "posted"}, order=("-value_date",), limit=1)
    work.require(not last or on >= last[0]["value_date"],
                 ("起息日不能早于上一笔还款，请先冲正后来的还款。", "The value date lies before the last repayment; reverse that one first."))


def _pay_due(work: Work, loan: Values, pool: Decimal, on: date) -> Split:
    """Bills up to the one whose period holds ``on`` (a due date belongs to the period it ends); later periods are touched only
    by a settlement, what is left over waits for the next bill (domain specification §4.6, E26)."""
    bills = [_bill(row) for row in _billed(loan, open_instalments(work, loan["id"]), on)]
    calculation: Calculation = work.provider("calculation")
    allocation = calculation.allocate(bills, pool, work.get(SNAPSHOT, loan["snapshot"])["allocation_rule"])
    return Split(allocation.parts, ZERO, allocation.surplus)


def _settle(work: Work, loan: Values, pool: Decimal, on: date) -> Split:
    """Overdue bills as they are; the rest of the plan is replaced by one instalment of today's principal and interest."""
    rows = open_instalments(work, loan["id"])
    quote = _quote(work, loan, rows, on)
    work.require(pool >= quote.total, (f"结清应付 {quote.total - loan['suspense']:.2f} 元，金额不足。",
                                       f"Settling takes {quote.total - loan['suspense']:.2f}; the amount is too small."))
    due = [row for row in rows if row["due_date"] <= on]
    parts = [part for row in due for part in _whole(row)]
    coming = [row for row in rows if row["due_date"] > on]
    if coming:
        work.require(_may_prepay(work, loan), ("该产品不允许提前结清。", "The product does not allow early settlement."))
        parts += _whole(_replace_rest(work, loan, coming, quote, on))
    return Split(tuple(parts), quote.fee, pool - quote.total)


def _quote(work: Work, loan: Values, rows: Sequence[Values], on: date) -> SettleQuote:
    snapshot = work.get(SNAPSHOT, loan["snapshot"])
    calculation: Calculation = work.provider("calculation")
    bills = [_bill(row) for row in rows if row["due_date"] <= on]
    coming = [row for row in rows if row["due_date"] > on]
    fee_rate = snapshot["prepay_fee_rate"] if coming else Decimal(0)
    return calculation.settle_quote(terms_of(snapshot, loan["disbursed_on"]), [_instalment(row) for row in rows], on,
                                    open_bills=bills, fee_rate=fee_rate)


def _replace_rest(work: Work, loan: Values, coming: Sequence[Values], quote: SettleQuote, on: date) -> Values:
    """Cancels what was to come and writes the settling instalment as the plan's next version; paid rows never change."""
    first = coming[0]
    for row in coming:
        work.transition(INSTALMENT, row["id"], "cancel")
    total = quote.principal + quote.interest
    settling = Instalment(first["period_no"], first["start_date"], on, quote.days, quote.principal, quote.interest, ZERO, total, ZERO)
    plan = add_plan(work, loan, "prepay", [settling], on)
    return work.find(INSTALMENT, {"plan": plan}, lock=True)[0]


def _record_parts(work: Work, loan: Values, repayment: int, split: Split, today: date) -> None:
    rows = [{"repayment": repayment, "loan": loan["id"], "instalment": part.no, "component": part.component, "amount": part.amount,
             "booking_date": today} for part in split.parts]
    for component, amount in (("fee", split.fee), ("suspense", split.surplus - loan["suspense"])):
        if amount:
            rows.append({"repayment": repayment, "loan": loan["id"], "instalment": None, "component": component, "amount": amount,
                         "booking_date": today})
    work.insert_many(ALLOCATION, rows)


def _mark_paid(work: Work, parts: Sequence[Part], on: date) -> None:
    for instalment in sorted({part.no for part in parts}):
        row = work.get(INSTALMENT, instalment)
        paid = {name: row[f"paid_{name}"] + sum((p.amount for p in parts if p.no == instalment and p.component == name), ZERO)
                for name in ("principal", "interest")}
        whole = paid["principal"] == row["principal"] and paid["interest"] == row["interest"]
        work.change(INSTALMENT, instalment, {"paid_principal": paid["principal"], "paid_interest": paid["interest"],
                                             "paid_off_on": on if whole else None})
        work.transition(INSTALMENT, instalment, "pay_off" if whole else "pay_part")


def _bill(row: Values) -> Bill:
    """What is open of an instalment; its id serves as number, ids rise with the periods."""
    return Bill(no=row["id"], interest=row["interest"] - row["paid_interest"], principal=row["principal"] - row["paid_principal"])


def _whole(row: Values) -> list[Part]:
    bill = _bill(row)
    pairs = (("interest", bill.interest), ("principal", bill.principal))
    return [Part(row["id"], name, amount) for name, amount in pairs if amount]


def _instalment(row: Values) -> Instalment:
    """The open part of a planned row, as the calculation wants it; numbered by id, as :func:`_bill` is."""
    principal, interest = row["principal"] - row["paid_principal"], row["interest"] - row["paid_interest"]
    return Instalment(row["id"], row["start_date"], row["due_date"], row["days"], principal, interest, ZERO,
                      principal + interest, row["balance"])
