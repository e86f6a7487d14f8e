"""What is stored of a loan on a day, from its folded history: the loan's own columns, its bills, and the books that stand (``book_…``).

Both the commands and the day end write through here, so a loan looks the same whoever brought it to the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from .arithmetic import PRESETS, LoanMathError, Matrices, Penalty, Terms, contract_of
from .balances import NAMES, Books, books_of
from .fold import Agreement, Life, Line, Txn, fold, ran

Values = Mapping[str, Any]
BUCKETS: Final = ((0, "current"), (30, "m1"), (60, "m2"), (90, "m3"))
"""Days past due up to which a loan belongs to a bucket; beyond them m4."""
RATE_PLACES: Final = Decimal("0.00000001")


def money(cents: int) -> Decimal:
    """Whole cents as an amount with two places."""
    return Decimal(cents).scaleb(-2)


def cents(amount: Decimal) -> int:
    """Whole cents of an amount."""
    return int(amount.scaleb(2))


def agreement_of(snapshot: Values, start: date) -> Agreement:
    """The frozen terms of a snapshot as the fold reads them, interest beginning on ``start``. ValueError: terms without a meaning."""
    try:
        contract = contract_of(Terms(
            principal=snapshot["amount"], annual_rate=snapshot["annual_rate"], method=snapshot["repay_method"], periods=snapshot["term_months"],
            start_date=start, due_day=snapshot["due_day"], day_count=snapshot["day_count"]))
        own = _matrices(snapshot["allocation_matrices"] or "")
    except LoanMathError as refusal:
        raise ValueError(refusal.text("en")) from refusal
    penalty = Penalty(rate=Fraction(snapshot["penalty_rate"]), base=snapshot["penalty_base"], grace_days=snapshot["grace_days"],
                      retroactive=snapshot["grace_chargeback"] is not False, compound=snapshot["compound_interest"] is True)
    npl = snapshot["npl_allocation_rule"]
    return Agreement(replace(contract, penalty=penalty, allocation=PRESETS[snapshot["allocation_rule"]]), Fraction(snapshot["prepay_fee_rate"]),
                     PRESETS[npl] if npl else None, Fraction(snapshot["vat_rate"] or 0), own)


@lru_cache(maxsize=1024)
def _matrices(text: str) -> Matrices:
    """Few products, very many loans: the same text is read once."""
    return Matrices.parse(text)


def txns_of(repayments: Iterable[Values], changes: Iterable[Values], provisions: Iterable[Values] = ()) -> list[Txn]:
    """The transactions of one loan from its stored rows; what was reversed or never came into force is left out."""
    found = [_receipt_txn(row) for row in repayments if row["status"] == "posted"]
    found += [change_txn(row) for row in changes if row["status"] == "applied"]
    return found + [Txn(row["seq"], "provision", row["month_end"], cents(row["amount"])) for row in provisions]


def _receipt_txn(row: Values) -> Txn:
    given = dict[str, Any]()
    if row["kind"] == "prepay":
        given = {"principal": cents(row["prepaid_principal"] or Decimal(0)), "plan_change": row["plan_change"] or "reduce_payment"}
    elif row["kind"] == "settle" and not row["interest_net"]:
        given = {"gross": True}
    return Txn(row["seq"] or row["id"], row["kind"], row["value_date"], cents(row["amount"]), given)


def change_txn(row: Values) -> Txn:
    """One change of a loan as the fold reads it. ValueError: what its kind needs is missing."""
    kind, given = row["kind"], dict[str, Any]()
    rate = {"annual_rate": Fraction(row["new_rate"])} if row["new_rate"] is not None else {}
    if kind in ("waive", "fee"):
        given = {"component": _said(row, "component") if kind == "waive" else None, "no": row["period_no"]}
    elif kind == "rate":
        given = {"annual_rate": Fraction(_said(row, "new_rate")), "effect": _said(row, "rate_effect")}
    elif kind == "extend":
        given = {"periods": _said(row, "more_periods"), **rate}
    elif kind == "pause":
        given = {"until": _said(row, "until_date")}
    elif kind == "restructure":
        given = {"method": _said(row, "new_method"), "periods": _said(row, "more_periods"), **rate}
    return Txn(row["seq"] or row["id"], kind, row["effective_on"], cents(row["amount"] or Decimal(0)), given)


def _said(row: Values, name: str) -> Any:
    if row[name] is None:
        raise ValueError(f"{name}: a change of kind {row['kind']} needs it")
    return row[name]


def stand(agreement: Agreement, txns: Sequence[Txn], day: date) -> tuple[Life, Books]:
    """The loan and what its books should hold at the end of ``day``."""
    life = fold(agreement, txns, day)
    return life, books_of(life, day)


def loan_columns(life: Life, on: date) -> dict[str, Any]:
    """The columns of the loan that follow from its history; the books are :func:`book_columns`."""
    opened = [(line, life.open_of(line, on)) for line in sorted(life.lines, key=lambda line: (line.due, line.no, line.seq))]
    sums = {name: sum(open_[name] for _, open_ in opened) for name in ("principal", "interest", "fee", "penalty", "compound")}
    late = [(line, open_) for line, open_ in opened if life.late(line, on)]
    left = [(line, open_) for line, open_ in opened if any(open_.values())]
    dpd = life.dpd(on)
    return {
        **{f"{name}_balance": money(amount) for name, amount in sums.items()}, "suspense": money(life.suspense),
        "dpd": dpd, "max_dpd": life.max_dpd, "dpd_bucket": bucket(dpd), "overdue_since": min((line.due for line, _ in late), default=None),
        "overdue_amount": money(sum(sum(open_.values()) for line, open_ in opened if line.due < on and (life.late(line, on) or not line.open))),
        "overdue_principal": money(sum(open_["principal"] for _, open_ in late)),
        "overdue_interest": money(sum(open_["interest"] for _, open_ in late)),
        "accrued_interest": money(sum(max(0, ran(life, line, on) - line.taken("interest")) for line in life.lines)),
        "accrued_through": on, "non_accrual": life.non_accrual, "annual_rate": current_rate(life, on),
        "periods": len(life.drawn.rows), "matures_on": life.drawn.rows[-1].due,
        "paid_periods": len([line for line, open_ in opened if not any(open_.values())]),
        "next_due_on": left[0][0].due if left else None, "next_due_amount": money(sum(left[0][1].values())) if left else None,
        "principal_gone": money(life.left), "settled_by": None if left else life.disposed or ("write_off" if life.written_off is not None else "repaid"),
        "settled_on": None if left else max((when for line in life.lines for when, _, _ in line.cuts), default=on),
    }


def bucket(dpd: int) -> str:
    """The bucket of so many days past due."""
    return next((name for upto, name in BUCKETS if dpd <= upto), "m4")


def current_rate(life: Life, on: date) -> Decimal:
    """The yearly rate in force on the day."""
    rate = next((one.rate for one in life.drawn.stretches if one.start <= on < one.end),
                life.drawn.stretches[-1].rate if life.drawn.stretches and on >= life.drawn.stretches[-1].end else life.contract.annual_rate)
    return (Decimal(rate.numerator) / Decimal(rate.denominator)).quantize(RATE_PLACES)


def book_columns(books: Books) -> dict[str, Decimal]:
    """What stands in the books, as the loan keeps it."""
    return {f"book_{name}": money(getattr(books, name)) for name in NAMES}


def books_standing(loan: Values) -> Books:
    """What stands in the books of a loan by its own columns."""
    return Books(**{name: cents(loan[f"book_{name}"] or Decimal(0)) for name in NAMES})


def line_columns(life: Life, line: Line, on: date) -> dict[str, Any]:
    """The columns of a bill that change with time and money."""
    open_ = life.open_of(line, on)
    waived = line.waived
    paid = {name: line.taken(name) - waived.get(name, 0) for name in ("principal", "interest", "fee", "penalty", "compound")}
    whole = not any(open_.values())
    return {
        "fee": money(line.agreed["fee"] - waived.get("fee", 0)), "waived_interest": money(waived.get("interest", 0)),
        **{name: value if name == "dpd" else money(value) for name, value in late_columns(life, line, on).items()},
        **{f"paid_{name}": money(amount) for name, amount in paid.items()},
        "paid_off_on": max((when for when, _, _ in line.cuts), default=line.due) if whole else None,
    }


def late_columns(life: Life, line: Line, on: date) -> dict[str, int]:
    """The columns of a bill that change with time alone, amounts in cents."""
    if line.due >= on and not line.cuts:
        return {"penalty": 0, "compound": 0, "dpd": 0}
    open_ = life.open_of(line, on)
    return {**{name: open_[name] + line.taken(name) - line.waived.get(name, 0) for name in ("penalty", "compound")}, "dpd": life.late(line, on)}


def line_state(life: Life, line: Line, on: date) -> str:
    """The state of a bill."""
    if not any(life.open_of(line, on).values()):
        return "paid"
    return "partial" if any(amount for _, _, amount in line.cuts) else "not_due"


def planned_columns(line: Line) -> dict[str, Any]:
    """What of a bill is the plan: it tells one stored bill from another."""
    return {"period_no": line.no, "seq": line.seq, "start_date": line.start, "due_date": line.due, "days": line.days,
            "principal": money(line.agreed["principal"]), "interest": money(line.agreed["interest"]), "balance": money(line.balance)}
