"""A line of the channel pays a part of an order, or is net of its fee: two people take parts together and book fees, never beyond what is left."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_payments.differing import (
    BANK,
    BY_CHANNEL,
    PENDING_MONEY,
    TO_CLAIM,
    begin,
    cannot,
    debited,
    fetch,
    handle,
    moved,
    open_ones,
    parked,
    paying,
    sundry,
    told,
)
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.test_invariants import changed

FEES = "6603"


def refused(shop: Lender, difference: Any, treatment: str, fee: str = "", match: str = "") -> None:
    with pytest.raises(NotPossible, match=match):
        shop.do("finance", "payment_difference", difference["id"], "propose", {"treatment": treatment, "note": "核实", **({"fee": D(fee)} if fee else {})})


def on_loan(shop: Lender, loan: int) -> list[D]:
    return [row["amount"] for row in shop.rows("repayment", loan_id=loan) if row["status"] == "posted"]


@pytest.mark.parametrize("state", ["unknown", "succeeded", "failed"])
def test_a_debit_that_came_net_of_the_fee_stays_on_its_loan_as_a_whole(shop: Lender, state: str) -> None:
    before, fees = begin(shop), shop.account(FEES)
    loan, order = debited(shop, "" if state == "unknown" else state)
    whole = order["amount"]
    run = told(shop, (order, str(whole - 6)))
    (shown,) = open_ones(shop, run)
    refused(shop, shown, "fee", "6.01", match="6.00 is left")
    with pytest.raises(NotAllowed):
        shop.do("fincheck", "payment_difference", shown["id"], "propose", {"treatment": "fee", "note": "核实"})
    handle(shop, shown, "fee")
    assert on_loan(shop, loan) == [whole] and shop.account(FEES) - fees == 6
    order = shop.row("payment_order", order["id"])
    assert (order["status"], order["taken"], order["netted"], order["recon"]) == ("succeeded", None, 6, "matched")
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-1", amount=whole - 6)
    assert not [row for row in shop.rows("payment_difference", order_id=order["id"]) if row["status"] == "open"], "the same is not told twice"
    fetch(shop, run, (order, str(whole - 10)))                # the channel corrects itself: what is not booked yet is told
    (again,) = open_ones(shop, run)
    handle(shop, again, "fee")
    assert shop.account(FEES) - fees == 10
    fetch(shop, run, (order, str(whole - 6)))
    (back,) = open_ones(shop, run)
    cannot(shop, back, "suspense", "none")
    handle(shop, back, "fee")
    assert shop.account(FEES) - fees == 6 and not shop.account(PENDING_MONEY) - before[PENDING_MONEY]
    fetch(shop, run, (order, str(whole - 6)))
    assert not open_ones(shop, run)
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: whole - 6 - 12000}
    books_agree(shop)
    with changed(shop, shop.tenant.revision().tables.of("lending.payment_order"), order["id"], {"netted": D("5.00")}):
        assert "loan_payments.settled" in broken(shop)


def test_a_payout_that_cost_its_fee_on_top_is_made_as_agreed(shop: Lender) -> None:
    before, fees = begin(shop), shop.account(FEES)
    order = paying(shop)
    run = told(shop, (order, "20006.00"))
    (shown,) = open_ones(shop, run)
    handle(shop, shown, "fee", "5.00")
    assert shop.account(FEES) - fees == 5
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: D(-20006), PENDING_MONEY: D(1)}, "what is no fee is carried"
    books_agree(shop)


def test_no_fee_where_more_came_or_the_money_is_on_no_loan(shop: Lender) -> None:
    begin(shop)
    _, order = debited(shop, "succeeded")
    run = told(shop, (order, str(order["amount"] + 6)))
    refused(shop, open_ones(shop, run)[0], "fee", match="no more than")
    with pytest.raises(Invalid):
        handle(shop, open_ones(shop, run)[0], "suspense", "1.00")
    refused(shop, open_ones(shop, run)[0], "together", match="one line")
    fetch(shop, run, (order, str(order["amount"])))
    shop.do("fincheck", "recon_run", run, "close")
    begin(shop)
    order, unallocated = parked(shop)
    run = told(shop, (order, str(order["amount"] - 6)))
    refused(shop, open_ones(shop, run)[0], "fee", match="first")
    refused(shop, unallocated, "fee")
    fetch(shop, run, (order, str(order["amount"])))
    handle(shop, unallocated, "suspense")
    shop.do("fincheck", "recon_run", run, "close")
    books_agree(shop)


@pytest.mark.parametrize("kind", ["unknown debit", "debit", "payout"])
@pytest.mark.parametrize("fee", ["", "6.00"])
def test_parts_are_taken_together_and_the_order_is_made_once(shop: Lender, kind: str, fee: str) -> None:
    before, fees = begin(shop), shop.account(FEES)
    loan, order = (None, paying(shop)) if kind == "payout" else debited(shop, "succeeded" if kind == "debit" else "")
    whole = order["amount"] + (D(fee or 0) if kind == "payout" else -D(fee or 0))
    run = told(shop, (order, "300.00"), (order, "200.00"), (order, str(whole - 500)))
    assert sorted(row["kind"] for row in open_ones(shop, run)) == ["amount", "duplicate", "duplicate"]
    amount = next(row for row in open_ones(shop, run) if row["kind"] == "amount")
    handle(shop, amount, "together", fee)
    assert not open_ones(shop, run) and shop.row("payment_difference", amount["id"])["their_amount"] == whole
    order = shop.row("payment_order", order["id"])
    assert (order["status"], order["taken"], order["in_parts"]) == ("succeeded", None, True)
    fetch(shop, run, (order, "300.00"), (order, "200.00"), (order, str(whole - 500)))
    assert not open_ones(shop, run), "the same again is nothing new"
    fetch(shop, run, (order, "300.00"), (order, str(whole - 500)))
    assert [(row["kind"], row["their_amount"]) for row in open_ones(shop, run)] == [("amount", whole - 200)], "a part that is gone is told"
    fetch(shop, run, (order, "300.00"), (order, "200.00"), (order, str(whole - 500)))
    shop.do("fincheck", "recon_run", run, "close")
    assert shop.account(FEES) - fees == D(fee or 0)
    assert moved(shop, before) == {BANK: -whole if kind == "payout" else whole - 12000}
    assert loan is None or on_loan(shop, loan) == [order["amount"]]
    books_agree(shop)


def test_parts_that_come_to_more_than_the_order_are_not_taken_together(shop: Lender) -> None:
    begin(shop)
    _, order = debited(shop, "succeeded")
    run = told(shop, (order, "600.00"), (order, str(order["amount"] - 500)))
    amount = next(row for row in open_ones(shop, run) if row["kind"] == "amount")
    refused(shop, amount, "together", match="100.00 more than the order")
    double = next(row for row in open_ones(shop, run) if row["kind"] == "duplicate")
    refused(shop, double, "together")
    handle(shop, double, "suspense")
    refused(shop, amount, "together", match="handled already")
    handle(shop, amount, "suspense")
    shop.do("fincheck", "recon_run", run, "close")
    books_agree(shop)


def test_a_part_that_comes_the_next_day_is_taken_off_what_was_carried_and_never_more(shop: Lender) -> None:
    before = begin(shop)
    loan, order = debited(shop, "succeeded")
    run = told(shop, (order, "300.00"), (order, "200.00"))
    handle(shop, next(row for row in open_ones(shop, run) if row["kind"] == "amount"), "together")
    rest = order["amount"] - 500
    assert moved(shop, before)[PENDING_MONEY] == rest
    shop.do("fincheck", "recon_run", run, "close")
    shop.day(shop.stage.today + timedelta(days=1))
    later = told(shop, (order, str(rest + 1)))
    (shown,) = open_ones(shop, later)
    assert shown["kind"] == "duplicate"
    cannot(shop, shown, "carry")
    fetch(shop, later, (order, str(rest)))
    (shown,) = open_ones(shop, later)
    handle(shop, shown, "carry")
    shop.do("fincheck", "recon_run", later, "close")
    assert moved(shop, before) == {BANK: order["amount"] - 12000} and on_loan(shop, loan) == [order["amount"]]
    shop.day(shop.stage.today + timedelta(days=1))
    third = told(shop, (order, str(rest)))
    cannot(shop, open_ones(shop, third)[0], "carry")
    handle(shop, open_ones(shop, third)[0], "suspense")
    shop.do("fincheck", "recon_run", third, "close")
    books_agree(shop)


def test_a_debit_net_of_its_fee_whose_repayment_is_reversed_is_claimed_as_a_whole(shop: Lender) -> None:
    before = begin(shop)
    _, order = debited(shop, "succeeded")
    run = told(shop, (order, str(order["amount"] - 6)))
    handle(shop, open_ones(shop, run)[0], "fee")
    shop.do("fincheck", "recon_run", run, "close")
    shop.do("fincheck", "repayment", shop.row("payment_order", order["id"])["repayment_id"], "reverse", reason="入错账")
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    handle(shop, shown, "suspense")
    assert moved(shop, before) == {BANK: order["amount"] - 6 - 12000, TO_CLAIM: -order["amount"]}
    assert BY_CHANNEL not in moved(shop, before)
    books_agree(shop)


def reverse(shop: Lender, order: Any) -> Any:
    """A person reverses the debit's repayment; what people are told then."""
    shop.do("fincheck", "repayment", shop.row("payment_order", order["id"])["repayment_id"], "reverse", reason="入错账")
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    assert shown["kind"] == "unallocated"
    cannot(shop, shown, "adopt", "carry", "none", "by_hand", "next_day")
    refund = shop.create("finance", "payment_refund", {"order": order["id"], "amount": shown["their_amount"] or D(1), "why": "wrong", "note": "误扣"})
    with pytest.raises(NotPossible):
        shop.do("fincheck", "payment_refund", refund, "pay_back")
    shop.do("finance", "payment_refund", refund, "cancel", reason="先转入待认领")
    return shown


def debits(shop: Lender, loan: int) -> bool:
    """Whether a batch would debit the loan once more."""
    try:
        batch = desk.batch(shop)
    except NotPossible:
        return False
    lines = shop.rows("debit_item", batch_id=batch)
    shop.do("finance", "debit_batch", batch, "cancel_batch", reason="测试")
    return loan in {row["loan_id"] for row in lines}


@pytest.mark.parametrize("rest", ["missing", "came", "lost"])
def test_a_debit_in_parts_whose_repayment_is_reversed_is_claimed_as_it_came(shop: Lender, rest: str) -> None:
    """Of 1,066.19 the channel brought 500.00 and the rest is carried; then it came, or was written off, or neither."""
    before = begin(shop)
    loan, order = debited(shop, "succeeded")
    run = told(shop, (order, "300.00"), (order, "200.00"))
    amount = next(row for row in open_ones(shop, run) if row["kind"] == "amount")
    handle(shop, amount, "together")
    shop.do("fincheck", "recon_run", run, "close")
    missing, came = order["amount"] - 500, D(500)
    if rest == "lost":
        shop.do("fincheck", "other_money", sundry(shop, kind="difference_lost", difference=amount["id"], amount=missing), "post_money")
        came = order["amount"]
    if rest == "came":
        shop.day(shop.stage.today + timedelta(days=1))
        later = told(shop, (order, str(missing)))
        handle(shop, open_ones(shop, later)[0], "carry")
        shop.do("fincheck", "recon_run", later, "close")
        came = order["amount"]
    in_bank = moved(shop, before)[BANK]
    shown = reverse(shop, order)
    assert shown["their_amount"] == came and "loan_payments.settled" in broken(shop)
    assert not debits(shop, loan)
    handle(shop, shown, "suspense")
    assert moved(shop, before) == {BANK: in_bank, TO_CLAIM: -came}
    ended, (line,) = shop.row("payment_order", order["id"]), shop.rows("bank_receipt", bank_serial_no=order["pay_no"])
    assert (ended["status"], ended["taken"], line["amount"]) == ("parked", 500, came)
    desk.claim(shop, line, loan)
    assert on_loan(shop, loan) == [came] and moved(shop, before) == {BANK: in_bank}
    shop.day(shop.stage.today + timedelta(days=1))
    again = told(shop, (order, str(missing)))
    cannot(shop, open_ones(shop, again)[0], "carry")
    handle(shop, open_ones(shop, again)[0], "suspense")
    shop.do("fincheck", "recon_run", again, "close")
    assert moved(shop, before) == {BANK: in_bank + missing, TO_CLAIM: -missing}, "what comes after all is claimed"
    books_agree(shop)


def test_a_debit_that_never_came_is_off_the_books_once_its_repayment_is_reversed(shop: Lender) -> None:
    before = begin(shop)
    loan, order = debited(shop, "succeeded")
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    shop.do("finance", "recon_run", run, "fetch")
    others = [row for row in shop.rows("payment_order", pay_channel_id=shop.way, success_on=shop.stage.today) if row["id"] != order["id"]]    # type: ignore[attr-defined]
    desk.statement(shop, run, [{"reference": row["pay_no"], "kind": row["biz_type"], "amount": str(row["amount"])} for row in others])
    (gone,) = open_ones(shop, run)
    handle(shop, gone, "carry")
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: D(-12000), PENDING_MONEY: order["amount"]}
    shown = reverse(shop, order)
    assert shown["their_amount"] == 0
    handle(shop, shown, "suspense")
    assert moved(shop, before) == {BANK: D(-12000)} and not shop.rows("bank_receipt", bank_serial_no=order["pay_no"])
    ended = shop.row("payment_order", order["id"])
    assert (ended["status"], ended["taken"], ended["fail_text"]) == ("parked", 0, "渠道未收到该笔扣款 / The channel took nothing of this debit")
    assert debits(shop, loan)
    books_agree(shop)
