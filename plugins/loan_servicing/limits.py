"""Movements of a credit limit: every change of the amounts has its row (S1-12, E24)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from metaloom.plugin.command import Values, Work

LIMIT, TXN = "lending.credit_limit", "lending.limit_txn"


def reserve_limit(work: Work, drawdown: Values | None, input: Values) -> None:
    """Holds the amount of a drawdown that is handed in, as often as it is; refused where limit, customer or account do not allow it."""
    assert drawdown is not None
    limit = work.lock(LIMIT, drawdown["limit"])
    today = work.business_date(drawdown["company"])
    work.require(limit["status"] == "active", ("额度已冻结或终止。", "The limit is frozen or has ended."))
    work.require(limit["valid_to"] >= today, ("额度已到期。", "The limit has expired."))
    work.require(work.get("lending.customer", limit["customer"])["customer_status"] == "normal",
                 ("该客户在黑名单中或已注销，不能放款。", "This customer is blacklisted or closed; no payout."))
    work.require(work.get("lending.bank_account", drawdown["payout_account"])["status"] == "in_use",
                 ("收款账户已停用。", "The payout account is disabled."))
    work.require(limit["available"] >= drawdown["amount"], ("可用额度不足。", "Not enough available limit."))
    work.change(LIMIT, limit["id"], {"reserved": limit["reserved"] + drawdown["amount"]})
    move(work, limit["id"], "reserve", drawdown["amount"], today, drawdown["id"])


def release_limit(work: Work, drawdown: Values | None, input: Values) -> None:
    """What the drawdown had reserved is free again (rejected, returned, withdrawn, voided)."""
    assert drawdown is not None
    limit = work.lock(LIMIT, drawdown["limit"])
    work.change(LIMIT, limit["id"], {"reserved": limit["reserved"] - drawdown["amount"]})
    move(work, limit["id"], "release", drawdown["amount"], work.business_date(drawdown["company"]), drawdown["id"])


def use(work: Work, drawdown: Values, on: date) -> None:
    """The payout succeeded: reserved becomes used."""
    limit = work.lock(LIMIT, drawdown["limit"])
    work.change(LIMIT, limit["id"], {
        "reserved": limit["reserved"] - drawdown["amount"], "used": limit["used"] + drawdown["amount"],
    })
    move(work, limit["id"], "use", drawdown["amount"], on, drawdown["id"], key=f"use:{drawdown['draw_no']}")


def restore(work: Work, loan: Values, principal: Decimal, on: date, key: str) -> None:
    """Repaid principal comes back to a revolving limit; a one-off limit never restores."""
    limit = work.lock(LIMIT, loan["limit"])
    if limit["mode"] != "revolving" or not principal:
        return
    work.change(LIMIT, limit["id"], {"used": limit["used"] - principal})
    move(work, limit["id"], "restore", principal, on, loan["drawdown"], key=key)


def take_back(work: Work, loan: Values, principal: Decimal, on: date, key: str) -> None:
    """A reversed repayment uses the limit again; refused when the customer has drawn it meanwhile."""
    limit = work.lock(LIMIT, loan["limit"])
    if limit["mode"] != "revolving" or not principal:
        return
    work.require(limit["available"] >= principal,
                 ("恢复的额度已被再次使用，不能冲正。", "The restored limit has been drawn again; this cannot be reversed."))
    work.change(LIMIT, limit["id"], {"used": limit["used"] + principal})
    move(work, limit["id"], "use", principal, on, loan["drawdown"], key=key)


def move(work: Work, limit: int, kind: str, amount: Decimal, on: date, drawdown: int | None, key: str | None = None) -> None:
    """One row of the limit's journal."""
    work.create(TXN, {"limit": limit, "type": kind, "amount": amount, "occurred_on": on, "drawdown": drawdown, "txn_key": key})
