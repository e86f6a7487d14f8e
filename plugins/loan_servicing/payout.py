"""Payout: one order per try, written and sent by the payments plugin; what the channel's word means for drawdown and loan stands here."""

from __future__ import annotations

from metaloom.plugin.command import Values, Work

from .limits import use
from .loans import open_loan

DRAWDOWN = "lending.drawdown"


def payout(work: Work, drawdown: Values | None, input: Values) -> Values:
    """Asks for the order with its reference. Nothing leaves before this is committed."""
    assert drawdown is not None
    customer = work.get("lending.customer", drawdown["customer"])
    account = work.get("lending.bank_account", drawdown["payout_account"])
    work.require(customer["customer_status"] == "normal",
                 ("该客户在黑名单中或已注销，不能放款。", "This customer is blacklisted or closed; no payout."))
    work.require(account["status"] == "in_use", ("收款账户已停用，请换用其他账户。", "The payout account is disabled; use another one."))
    work.transition(DRAWDOWN, drawdown["id"], "pay")
    return work.run("loan_payments.open_order", None, {
        "biz_type": "payout", "drawdown": drawdown["id"], "customer": customer["id"], "account": account["id"], "company": drawdown["company"],
        "amount": drawdown["amount"], "default_gateway": work.settings["payout_channel"]})


def payout_paid(work: Work, drawdown: Values | None, input: Values) -> None:
    """The channel has paid: the limit is used, the loan runs from today."""
    assert drawdown is not None
    today = work.business_date(drawdown["company"])
    use(work, drawdown, today)
    loan = open_loan(work, drawdown, today)
    work.change(DRAWDOWN, drawdown["id"], {"loan": loan})
    work.transition(DRAWDOWN, drawdown["id"], "pay_success")


def payout_failed(work: Work, drawdown: Values | None, input: Values) -> None:
    """The channel's definite word: a new order needs finance again, the limit stays reserved."""
    assert drawdown is not None
    work.transition(DRAWDOWN, drawdown["id"], "pay_fail")
