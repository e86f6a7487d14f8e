"""G10: payouts through the whole application while a third of all calls, questions and notices goes wrong. In the end the channel's books, which
share no code with ours, and ours say the same, to the cent.

Short in the suite; `-m nightly` pays out 1,000 times for each of several seeds (METALOOM_SEED moves them).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal as D
from random import Random
from typing import Any

import pytest

from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_servicing.books import books_agree

FAULTS = ("timeout_before_accept", "timeout_after_accept", "error_500", "error_500_after_accept", "garbage", "bad_signature", "reject", "slow", "fail_later",
          "query_timeout", "query_not_found", "query_500", "duplicate_notify", "late_notify", "lost_notify", "wrong_amount_notify")
SHARE = 0.3
AMOUNT = D("1000.00")
ROUNDS = 60


def paid_out(shop: Lender, count: int, seed: int) -> list[Mapping[str, Any]]:
    """So many payouts, sent while the gateway errs; then asked, told and settled until nothing is open. The orders, oldest first."""
    chance = Random(seed)
    last = max([row["id"] for row in shop.rows("payment_order")], default=0)
    limits = [shop.limit(amount=AMOUNT * 20)[1:] for _ in range(-(-count // 20))]
    for number in range(count):
        account, limit = limits[number // 20]
        drawdown = shop.to_pay(shop.drawdown(limit, account, amount=AMOUNT))
        if chance.random() < SHARE:
            shop.gateway.inject(chance.choice(FAULTS), times=chance.choice((1, 1, 2, 4)))
        shop.do("finance", "drawdown", drawdown, "payout")
        desk.one_call(shop, questions_wait=True)
        if chance.random() < SHARE:
            told_in_any_order(shop, chance)
    for _ in range(ROUNDS):
        waiting = [row for row in shop.rows("payment_order", biz_type="payout") if row["id"] > last and row["status"] in ("sending", "unknown")]
        if not waiting:
            break
        shop.gateway.settle_all()
        for row in waiting:
            if chance.random() < SHARE:
                shop.do("finance", "payment_order", row["id"], "query_result")
        desk.each_call(shop, questions_wait=True)
    told_in_any_order(shop, chance)
    return [row for row in shop.rows("payment_order", biz_type="payout") if row["id"] > last]


def told_in_any_order(shop: Lender, chance: Random) -> None:
    """Every notice that waits: out of order, some twice, some never."""
    waiting: list[tuple[Mapping[str, str], bytes]] = []
    shop.gateway.deliver(lambda headers, body: waiting.append((headers, body)) or 200)  # type: ignore[func-returns-value]
    waiting += [one for one in waiting if chance.random() < SHARE]
    chance.shuffle(waiting)
    for headers, body in waiting:
        if chance.random() >= SHARE:
            assert desk.tell(shop, headers, body) == 200


def both_books_say_the_same(shop: Lender, orders: list[Mapping[str, Any]], before: D) -> None:
    theirs = {row["pay_no"]: shop.gateway.paid_cents(row["pay_no"]) for row in orders}
    ours = {row["pay_no"]: int(row["amount"] * 100) if row["status"] == "succeeded" else 0 for row in orders}
    assert ours == theirs
    assert {row["status"] for row in orders} <= {"succeeded", "failed"}, "nothing is left open"
    loans = {row["drawdown_id"] for row in shop.rows("loan")}
    for row in orders:
        assert (row["drawdown_id"] in loans) == (row["status"] == "succeeded"), row["pay_no"]
    assert before - shop.account("1012") == D(sum(theirs.values())).scaleb(-2), "what left stands in the ledger, once"
    books_agree(shop)


@pytest.mark.parametrize("seed", [8, 14])
def test_a_third_of_faults_and_the_books_agree_in_small(lender: Lender, seed: int) -> None:
    before = lender.account("1012")
    orders = paid_out(lender, 16, seed)
    both_books_say_the_same(lender, orders, before)
    assert len(orders) == 16 and {row["status"] for row in orders} == {"succeeded", "failed"}, "the seed must bring both"
    assert sum(len(lender.gateway.calls(row["pay_no"])) > 1 for row in orders) >= 3, "faults that nobody met prove nothing"


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(int(os.environ.get("METALOOM_SEED", "0")), int(os.environ.get("METALOOM_SEED", "0")) + 3))
def test_a_thousand_payouts_and_a_third_of_faults(lender: Lender, seed: int) -> None:
    before = lender.account("1012")
    orders = paid_out(lender, 1000, seed)
    assert len(orders) == 1000
    both_books_say_the_same(lender, orders, before)
