"""Payout: one order per try, sent by a worker, decided by the channel's word alone (decision 34, faults F1–F21)."""

from __future__ import annotations

from metaloom.plugin.command import Values, Work

from .limits import use
from .loans import open_loan

DRAWDOWN, ORDER = "lending.drawdown", "lending.payment_order"
QUERY_AFTER = (10, 30, 60, 300, 1800)
"""Seconds before the next question (domain specification §7.1); the last one repeats hourly."""
HOURLY = 3600
NOT_FOUND_BEFORE_RESEND = 3


def payout(work: Work, drawdown: Values | None, input: Values) -> Values:
    """Writes the order with its reference and asks the worker to send it. Nothing leaves before this is committed."""
    assert drawdown is not None
    customer = work.get("lending.customer", drawdown["customer"])
    account = work.get("lending.bank_account", drawdown["payout_account"])
    work.require(customer["customer_status"] == "normal",
                 ("该客户在黑名单中或已注销，不能放款。", "This customer is blacklisted or closed; no payout."))
    work.require(account["status"] == "in_use", ("收款账户已停用，请换用其他账户。", "The payout account is disabled; use another one."))
    order = work.create(ORDER, {
        "biz_type": "payout", "drawdown": drawdown["id"], "customer": customer["id"], "channel": work.settings["payout_channel"],
        "amount": drawdown["amount"], "payee_name": account["account_name"], "payee_card": account["card_no"],
        "payee_bank": account["bank_code"], "company": drawdown["company"],
    })
    work.transition(DRAWDOWN, drawdown["id"], "pay")
    work.transition(ORDER, order, "send")
    work.change(ORDER, order, {"sent_at": work.now})
    row = work.get(ORDER, order)
    _send_pay(work, row)
    return {"payment_order": order, "pay_no": row["pay_no"]}


def payout_result(work: Work, order: Values | None, input: Values) -> None:
    """What the channel said. Only *succeeded* and *failed* decide; everything else is asked again."""
    assert order is not None
    if order["status"] not in ("sending", "unknown"):
        return
    work.change(ORDER, order["id"], {"channel_trade_no": input["gateway_no"] or order["channel_trade_no"]})
    if input["outcome"] == "succeeded":
        _succeed(work, order)
    elif input["outcome"] == "failed":
        _fail(work, order, str(input["text"] or input["code"] or ""))
    else:
        _ask_again(work, order, input)


def query_result(work: Work, order: Values | None, input: Values) -> None:
    """A person asks the channel now."""
    assert order is not None
    _send_query(work, order, after=0)


def _succeed(work: Work, order: Values) -> None:
    drawdown = work.lock(DRAWDOWN, order["drawdown"])
    today = work.business_date(drawdown["company"])
    work.transition(ORDER, order["id"], "succeed")
    work.change(ORDER, order["id"], {"finished_at": work.now, "success_on": today})
    use(work, drawdown, today)
    loan = open_loan(work, drawdown, today)
    work.change(DRAWDOWN, drawdown["id"], {"loan": loan})
    work.transition(DRAWDOWN, drawdown["id"], "pay_success")


def _fail(work: Work, order: Values, why: str) -> None:
    """The channel's definite word: the order is over; a new one needs finance again, the limit stays reserved."""
    work.transition(ORDER, order["id"], "fail")
    work.change(ORDER, order["id"], {"finished_at": work.now, "fail_text": why[:300]})
    work.transition(DRAWDOWN, order["drawdown"], "pay_fail")


def _ask_again(work: Work, order: Values, input: Values) -> None:
    if input["outcome"] == "unknown" and order["status"] == "sending":
        work.transition(ORDER, order["id"], "lose")
    not_found = order["not_found_count"] + (input["code"] == "not_found")
    if not_found >= NOT_FOUND_BEFORE_RESEND:
        work.change(ORDER, order["id"], {"not_found_count": 0})
        _send_pay(work, order, again=order["queries"])
        return
    work.change(ORDER, order["id"], {"not_found_count": not_found})
    place = order["queries"]
    _send_query(work, order, after=QUERY_AFTER[place] if place < len(QUERY_AFTER) else HOURLY)


def _send_pay(work: Work, order: Values, again: int | None = None) -> None:
    """The same reference for ever: a repetition is the same payment to the channel."""
    payload = {"reference": order["pay_no"], "amount": str(order["amount"]), "account_no": order["payee_card"],
               "account_name": order["payee_name"], "purpose": "payout"}
    key = f"pay:{order['pay_no']}" + ("" if again is None else f":{again}")
    work.send("payment_gateway", order["channel"], "pay", payload, key=key,
              on_result="loan_servicing.payout_result", subject=(ORDER, order["id"]))


def _send_query(work: Work, order: Values, after: int) -> None:
    number = order["queries"] + 1
    work.change(ORDER, order["id"], {"queries": number})
    work.send("payment_gateway", order["channel"], "query", {"reference": order["pay_no"]}, key=f"query:{order['pay_no']}:{number}",
              on_result="loan_servicing.payout_result", after_seconds=after, subject=(ORDER, order["id"]))
