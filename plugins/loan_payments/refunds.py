"""渠道退款 (S1-28): a debit that should not have been goes back the way it came."""

from __future__ import annotations

from decimal import Decimal

from metaloom.plugin.command import Values, Work

from .orders import ORDER, REFUND, about

RECEIPT = "lending.bank_receipt"
ZERO = Decimal("0.00")


def pay_back(work: Work, refund: Values | None, input: Values) -> Values:
    """Approved by a second person: the repayment is reversed, the money is owed to the customer on 2241.02, the channel gives it back.

    After a refund that failed for good the same again, without the booking that stands already.
    """
    assert refund is not None
    debit = work.lock(ORDER, refund["order"])
    work.require(not work.find(RECEIPT, {"bank_serial_no": debit["pay_no"]}, limit=1), ("该笔扣款已转入待认领，请在银行流水中处理。",
                                                                                       "This debit waits to be claimed; handle it among the bank lines."))
    work.require(debit["status"] == "succeeded", ("原支付单不是成功状态。", "The debit has not succeeded."))
    if not refund["parked"]:
        _owe(work, refund, debit)
    work.change(REFUND, refund["id"], {"approved_by": work.actor.user_id})
    work.transition(REFUND, refund["id"], "pay")
    account = work.get("lending.debit_agreement", debit["agreement"])["account"] if debit["agreement"] else None
    work.require(account is not None, ("原支付单没有代扣账户。", "The debit has no account."))
    sent = work.run("loan_payments.open_order", None, {
        "biz_type": "refund", "customer": debit["customer"], "amount": debit["amount"], "account": account, "company": debit["company"],
        "refund": refund["id"], "original": debit["id"], "loan": debit["loan"], "gateway": debit["channel"], "default_gateway": debit["channel"]})
    return {"payment_order": sent["payment_order"], "pay_no": sent["pay_no"]}


def _owe(work: Work, refund: Values, debit: Values) -> None:
    today = work.business_date(debit["company"])
    if debit["repayment"]:
        work.run("loan_servicing.reverse", debit["repayment"])
        entry = work.post("receipt_parked", {"bank": ZERO, "channel": debit["amount"], "received": debit["amount"]}, about(work, debit), debit["company"],
                          today, today, (REFUND, refund["id"]))
    else:                                      # parked when it came: it stands there already
        parked = work.find("platform.ledger_entry", {"entity": ORDER, "record_id": debit["id"], "event": "receipt_parked"}, limit=1)
        work.require(parked, ("原支付单没有入账记录。", "The debit is not in the books."))
        entry = parked[0]["id"]
    work.change(REFUND, refund["id"], {"parked": entry})
