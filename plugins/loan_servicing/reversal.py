"""冲正: a repayment is taken back by mirror rows; nothing that was written is changed but its state (S1-21, I12)."""

from __future__ import annotations

from decimal import Decimal

from metaloom.plugin.command import Values, Work

from .books import about
from .limits import take_back
from .loans import INSTALMENT, LOAN, PLAN, ZERO, refresh
from .repayment import ALLOCATION, REPAYMENT


def reverse(work: Work, repayment: Values | None, input: Values) -> Values:
    """Restores loan, plan, limit and books to what they were before. Only the last standing repayment can be reversed."""
    assert repayment is not None
    loan = work.lock(LOAN, repayment["loan"])
    today = work.business_date(loan["company"])
    last = work.find(REPAYMENT, {"loan": loan["id"], "status": "posted"}, order=("-id",), limit=1)
    work.require(last[0]["id"] == repayment["id"],
                 ("请先冲正该贷款后来的还款。", "Reverse the later repayments of this loan first."))
    entry = work.post("repayment", {}, about(work, loan), loan["company"], today, repayment["value_date"], (REPAYMENT, repayment["id"]),
                      reversal_of=repayment["voucher"])
    _take_back_parts(work, repayment, today)
    if repayment["kind"] == "settle":
        _restore_plan(work, loan)
    work.change(LOAN, loan["id"], {"suspense": repayment["from_suspense"]})
    work.transition(REPAYMENT, repayment["id"], "reverse")
    work.change(REPAYMENT, repayment["id"], {"reversed_on": today})
    take_back(work, loan, repayment["principal"], today, key=f"reverse:{repayment['id']}")
    refresh(work, work.get(LOAN, loan["id"]), today)
    return {"voucher": entry}


def _take_back_parts(work: Work, repayment: Values, today: object) -> None:
    rows = work.find(ALLOCATION, {"repayment": repayment["id"]}, order=("id",))
    work.insert_many(ALLOCATION, [{
        "repayment": repayment["id"], "loan": row["loan"], "instalment": row["instalment"], "component": row["component"],
        "amount": -row["amount"], "booking_date": today,
    } for row in rows])
    for instalment in sorted({row["instalment"] for row in rows if row["instalment"]}):
        back = {name: sum((r["amount"] for r in rows if r["instalment"] == instalment and r["component"] == name), ZERO)
                for name in ("principal", "interest")}
        _reopen(work, instalment, back)


def _reopen(work: Work, instalment: int, back: dict[str, Decimal]) -> None:
    row = work.get(INSTALMENT, instalment)
    principal, interest = row["paid_principal"] - back["principal"], row["paid_interest"] - back["interest"]
    work.change(INSTALMENT, instalment, {"paid_principal": principal, "paid_interest": interest, "paid_off_on": None})
    work.transition(INSTALMENT, instalment, "pay_part" if principal or interest else "reopen")


def _restore_plan(work: Work, loan: Values) -> None:
    """The settling version of the plan is cancelled and the original one stands again."""
    plans = work.find(PLAN, {"loan": loan["id"]}, order=("version",))
    origin, settling = plans[0], plans[-1]
    if settling["reason"] != "prepay":
        return
    for row in work.find(INSTALMENT, {"plan": settling["id"], "status": "not_due"}):
        work.transition(INSTALMENT, row["id"], "cancel")
    for row in work.find(INSTALMENT, {"plan": origin["id"], "status": "cancelled"}, order=("period_no",)):
        work.transition(INSTALMENT, row["id"], "pay_part" if row["paid_principal"] or row["paid_interest"] else "reopen")
