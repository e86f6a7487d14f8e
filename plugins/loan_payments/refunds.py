"""渠道退款 (S1-28): a debit that should not have been goes back the way it came, in whole or in part, once or several times."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from metaloom.plugin.command import Values, Work

from .orders import DIFFERENCE, ORDER, REFUND, about, amount_moved, owed_back, unbook, unheld

RECEIPT, REPAYMENT = "lending.bank_receipt", "lending.repayment"
ZERO = Decimal("0.00")


def pay_back(work: Work, refund: Values | None, input: Values) -> Values:
    """Approved by a second person: the repayment is reversed, what is kept of the debit is booked anew on the same value date, the rest is owed
    to the customer on 2241.02, and the channel gives it back. One refund of a debit at a time: while the result of one is open nobody knows what
    is left.

    After a refund that failed for good the same again, without the booking that stands already.
    """
    assert refund is not None
    told = work.find(DIFFERENCE, {"order": refund["order"], "kind": "unallocated", "status": ["open", "proposed"]}, lock=True)     # before the order
    debit = work.lock(ORDER, refund["order"])
    work.require(not work.find(RECEIPT, {"bank_serial_no": debit["pay_no"]}, limit=1), ("该笔扣款已转入待认领，请在银行流水中处理。",
                                                                                       "This debit waits to be claimed; handle it among the bank lines."))
    work.require(debit["status"] == "succeeded", ("原支付单不是成功状态。", "The debit has not succeeded."))
    _leaves_enough(work, refund, debit)
    if not refund["parked"]:
        _owe(work, refund, debit, told)
    work.change(REFUND, refund["id"], {"approved_by": work.actor.user_id})
    work.transition(REFUND, refund["id"], "pay")
    account = work.get("lending.debit_agreement", debit["agreement"])["account"] if debit["agreement"] else None
    work.require(account is not None, ("原支付单没有代扣账户。", "The debit has no account."))
    sent = work.run("loan_payments.open_order", None, {
        "biz_type": "refund", "customer": debit["customer"], "amount": refund["amount"], "account": account, "company": debit["company"],
        "refund": refund["id"], "original": debit["id"], "loan": debit["loan"], "gateway": debit["channel"], "default_gateway": debit["channel"]})
    return {"payment_order": sent["payment_order"], "pay_no": sent["pay_no"]}


def _leaves_enough(work: Work, refund: Values, debit: Values) -> None:
    """Refunds that were approved, given back or not yet, together never exceed the debit."""
    others = [one for one in work.find(REFUND, {"order": debit["id"], "status": ["paying", "failed", "done"]}) if one["id"] != refund["id"]]
    work.require(all(one["status"] != "paying" for one in others), ("该支付单有退款在途或结果未知，须等其有结果。",
                                                                   "A refund of this debit is under way or its result unknown; that comes first."))
    took = min(amount_moved(debit), debit["amount"])
    left = took - sum((one["amount"] for one in others), ZERO)
    work.require(refund["amount"] <= left, (f"超过可退金额 {left:.2f} 元（扣款 {took:.2f} 元，减已批准的退款）。",
                                            f"More than the {left:.2f} that is left of the debit after the refunds that were approved."))


def _owe(work: Work, refund: Values, debit: Values, told: Sequence[Values]) -> None:
    """Moves the refund to 2241.02, from the loan or from wherever the debit stands. ``told``: the differences that say it is booked nowhere."""
    today = work.business_date(debit["company"])
    if debit["repayment"]:
        if unheld(work, [debit]):          # a person took it off the loan already: all of it goes back
            work.require(debit["taken"] is None, ("该笔扣款有挂账的差额，请先将已收款项转入待认领，再退回该流水。",
                                                  "A part of this debit is carried: park what came for claiming first, and send that line back."))
            rest = debit["amount"] - owed_back(work, debit)
            work.require(refund["amount"] == rest, (f"该笔还款已被冲正，只能全额退款（{rest:,.2f} 元）；部分退款请先转入待认领并入账。",
                                                    f"Its repayment was reversed: refund it as a whole ({rest:,.2f}), or park it for claiming."))
            for row in told:
                work.transition(DIFFERENCE, row["id"], "vanish")
        else:
            _take_off_the_loan(work, debit, refund["amount"])
        entry = work.post("receipt_parked", {"bank": ZERO, "channel": refund["amount"], "received": refund["amount"]}, about(work, debit), debit["company"],
                          today, today, (REFUND, refund["id"]))
    else:                                      # parked when it came: it stands there already
        parked = work.find("platform.ledger_entry", {"entity": ORDER, "record_id": debit["id"], "event": "receipt_parked"}, limit=1)
        work.require(parked, ("原支付单没有入账记录。", "The debit is not in the books."))
        work.require(refund["amount"] == debit["amount"], ("该笔扣款尚未入账，只能全额退款；部分退款请先转入待认领并入账。",
                                                           "This debit is not booked; it is refunded as a whole, or parked for claiming and booked first."))
        entry = parked[0]["id"]
    work.change(REFUND, refund["id"], {"parked": entry})


def _take_off_the_loan(work: Work, debit: Values, amount: Decimal) -> None:
    """The loan keeps what is not given back, as if only that had been debited."""
    booked = work.get(REPAYMENT, debit["repayment"])
    work.require(booked["status"] == "posted", ("该笔还款已被冲正，不能从渠道退款。", "The repayment was reversed already."))
    unbook(work, debit)
    kept = booked["amount"] - amount
    if kept <= 0:
        work.change(ORDER, debit["id"], {"repayment": booked["id"]})
        return
    number = len(work.find(REFUND, {"order": debit["id"], "status": ["failed", "done"]})) + 2
    again = work.run("loan_servicing.repay", debit["loan"], {
        "kind": booked["kind"], "amount": kept, "value_date": booked["value_date"], "source": booked["source"],
        "bank_serial_no": f"{debit['pay_no']}#{number}"})
    work.change(ORDER, debit["id"], {"repayment": again["repayment"]})
