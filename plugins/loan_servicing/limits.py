"""Movements of a credit limit: every change of the amounts has its row (S1-12, E24)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from metaloom.plugin.command import Values, Work

LIMIT, TXN = "lending.credit_limit", "lending.limit_txn"


def release_limit(work: Work, drawdown: Values | None, input: Values) -> None:
    """What the drawdown had reserved is free again (rejected, returned, voided)."""
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
