"""Short verbs for the tests of payments whose amount is another one with the channel: a day, its statement, and what differs."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import NotPossible
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk

BY_CHANNEL, BANK, TO_CLAIM, PENDING_MONEY = "1012", "1002", "2241.02", "1901"
PENDING = "9995"    # a card of this ending stays in process with the sandbox


def begin(shop: Lender) -> dict[str, D]:
    """A day of its own, and how the accounts stood before anything moved on it."""
    shop.day(shop.stage.today + timedelta(days=1))
    return {name: shop.account(name) for name in (BY_CHANNEL, BANK, TO_CLAIM, PENDING_MONEY)}


def moved(shop: Lender, before: dict[str, D]) -> dict[str, D]:
    return {name: now for name, was in before.items() if (now := shop.account(name) - was)}


def debited(shop: Lender, result: str = "") -> tuple[int, Any]:
    """A loan with a debit that waits for its result, or has one."""
    loan = desk.running_loan(shop, card_ending=PENDING)
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    desk.one_call(shop)
    (order,) = shop.rows("payment_order", loan_id=loan, biz_type="collect")
    if result:
        desk.said(shop, order["id"], outcome=result, gateway_no="G-1", amount=order["amount"])
    return loan, shop.row("payment_order", order["id"])


def paying(shop: Lender) -> Any:
    """A payout whose call waits."""
    _, account, limit = shop.limit(amount=D(20000))
    drawdown = shop.to_pay(shop.drawdown(limit, account, amount=D(20000)))
    shop.do("finance", "drawdown", drawdown, "payout")
    desk.rest(shop)
    return shop.rows("payment_order", drawdown_id=drawdown)[-1]


def told(shop: Lender, *lines: tuple[Any, str]) -> int:
    """Today's statement: these orders' lines with these amounts, beside whatever else succeeded today, as it stands with us."""
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    fetch(shop, run, *lines)
    return run


def fetch(shop: Lender, run: int, *lines: tuple[Any, str]) -> None:
    named = {order["pay_no"] for order, _ in lines}
    others = [row for row in shop.rows("payment_order", pay_channel_id=shop.way, success_on=shop.stage.today)    # type: ignore[attr-defined]
              if row["status"] == "succeeded" and row["pay_no"] not in named]
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [{"reference": order["pay_no"], "kind": order["biz_type"], "amount": amount}
                               for order, amount in (*((row, str(row["amount"])) for row in others), *lines)])


def open_ones(shop: Lender, run: int) -> list[Any]:
    return [row for row in shop.rows("payment_difference", recon_id=run) if row["status"] == "open"]


def cannot(shop: Lender, difference: Any, *treatments: str) -> None:
    for treatment in treatments:
        with pytest.raises(NotPossible):
            shop.do("finance", "payment_difference", difference["id"], "propose", {"treatment": treatment, "note": "已核实"})


def handle(shop: Lender, difference: Any, treatment: str, fee: str = "") -> None:
    """One person proposes, another one confirms."""
    given = {"treatment": treatment, "note": "已与渠道核实", **({"fee": D(fee)} if fee else {})}
    shop.do("finance", "payment_difference", difference["id"], "propose", given)
    shop.do("fincheck", "payment_difference", difference["id"], "confirm")


def nobody(reference: str) -> dict[str, str]:
    """A receipt that no order of ours is for, to name in a statement."""
    return {"pay_no": reference, "biz_type": "collect"}


def parked(shop: Lender) -> tuple[Any, Any]:
    """A debit that failed, whose loan was settled, and that succeeded after all; with the difference that tells of it."""
    loan, order = debited(shop, "failed")
    quote = shop.stage.as_user("finance").ask("lending.loan", loan, "settle_quote", {"value_date": shop.stage.today})
    shop.settle(loan, quote["total"])
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    assert shown["kind"] == "unallocated"
    return shop.row("payment_order", order["id"]), shown


def sundry(shop: Lender, **values: Any) -> int:
    made = shop.create("finance", "other_money", values)
    shop.do("finance", "other_money", made, "submit_money")
    return made
