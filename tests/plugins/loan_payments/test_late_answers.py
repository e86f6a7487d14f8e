"""What a channel says twice, or after people ended the order: booked once, asked about no more, never lost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import NotPossible
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_payments.test_open_debits import debited, handle, quoted
from tests.plugins.loan_payments.test_payments import answered, questions
from tests.plugins.loan_payments.test_payments_together import callback
from tests.plugins.loan_servicing.books import books_agree


@pytest.fixture(scope="module")
def shop(lender: Lender) -> Lender:
    desk.channel(lender, "MAIN")
    return lender


def ended(shop: Lender) -> tuple[int, Any]:
    """A debit that took another amount by the channel's word, was given back as people found out, and was ended by them."""
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="succeeded", amount=D("500.00"))
    handle(shop, shop.rows("payment_difference", order_id=order["id"])[0])
    assert shop.row("payment_order", order["id"])["status"] == "failed"
    return loan, shop.row("payment_order", order["id"])


def receipts(shop: Lender, loan: int) -> list[D]:
    return [row["amount"] for row in shop.rows("repayment", loan_id=loan) if row["status"] == "posted"]


def open_ones(shop: Lender, order: Any) -> list[Any]:
    return [row for row in shop.rows("payment_difference", order_id=order["id"]) if row["status"] == "open"]


def test_an_answer_that_decides_nothing_or_says_failed_changes_nothing_after_the_end(shop: Lender) -> None:
    loan, order = ended(shop)
    legs, calls = len(shop.rows("platform.ledger_leg")), len(shop.outbox())
    for word in ({"outcome": "accepted"}, {"outcome": "unknown", "code": "not_found"}, {"outcome": "failed", "code": "INSUFFICIENT_FUNDS"}):
        for _ in range(3):
            desk.said(shop, order["id"], **word)
    after = shop.row("payment_order", order["id"])
    assert (after["status"], after["fail_text"], after["repayment_id"]) == ("failed", order["fail_text"], None)
    assert shop.row("debit_item", order["debit_item_id"])["status"] == "asking" and not open_ones(shop, order)
    assert (len(shop.rows("platform.ledger_leg")), len(shop.outbox())) == (legs, calls), "nobody is asked, and nothing is sent again"
    with pytest.raises(NotPossible):
        shop.do("finance", "payment_order", order["id"], "query_result")


def test_the_question_that_was_under_way_when_people_ended_it_is_the_last(shop: Lender) -> None:
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="accepted")
    (asked,) = questions(shop, order)
    desk.said(shop, order["id"], outcome="succeeded", amount=D("500.00"))
    handle(shop, open_ones(shop, order)[0])
    answered(shop, [asked])
    assert not questions(shop, order) and shop.row("payment_order", order["id"])["status"] == "failed"


@pytest.mark.parametrize("again", ["the same notice", "another number", "an answer"])
def test_a_late_success_is_booked_once_however_often_it_is_told(shop: Lender, again: str) -> None:
    loan, order = ended(shop)
    said = [callback(shop, order, "SUCCESS", number) for number in (1, 1 if again == "the same notice" else 2)]
    assert desk.tell(shop, *said[0]) == 200
    if again == "an answer":
        desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    else:
        assert desk.tell(shop, *said[1]) == 200
    assert receipts(shop, loan) == [order["amount"]] and shop.row("debit_item", order["debit_item_id"])["status"] == "paid"
    verdicts = [row["verdict"] for row in shop.rows("payment_notice", order_id=order["id"])]
    assert verdicts == ["applied", *(["no_change"] if again == "another number" else [])]
    assert shop.row("payment_order", order["id"])["status"] == "succeeded" and not open_ones(shop, order)
    books_agree(shop)


def test_a_late_other_amount_is_shown_claimed_and_counted_once(shop: Lender) -> None:
    loan, order = ended(shop)
    for number in (1, 2):
        assert desk.tell(shop, *callback(shop, order, "SUCCESS", number, cents=-10000)) == 200
    (shown,) = open_ones(shop, order)
    handle(shop, shown, "suspense")
    took = order["amount"] - 100
    (line,) = shop.rows("bank_receipt", bank_serial_no=order["pay_no"])
    assert (line["amount"], line["value_date"] <= shop.stage.today, receipts(shop, loan)) == (took, True, [])
    assert desk.tell(shop, *callback(shop, order, "SUCCESS", 3, cents=-10000)) == 200
    assert desk.tell(shop, *callback(shop, order, "SUCCESS", 4)) == 200
    assert [row["verdict"] for row in shop.rows("payment_notice", order_id=order["id"])] == ["amount_differs", "amount_differs", "no_change", "amount_differs"]
    assert len(shop.rows("bank_receipt", bank_serial_no=order["pay_no"])) == 1 and receipts(shop, loan) == []
    desk.claim(shop, line, loan)
    assert receipts(shop, loan) == [took]
    books_agree(shop)


def test_a_line_that_was_sent_back_is_parked_under_a_number_of_its_own_the_next_time(shop: Lender) -> None:
    """A debit of a settled loan was parked, claimed among the bank lines and sent back; then the statement has another amount."""
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="failed", code="NO_RULE")
    shop.settle(loan, quoted(shop, loan)["total"])
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    handle(shop, open_ones(shop, order)[0], "suspense")
    (first,) = shop.rows("bank_receipt", bank_serial_no=order["pay_no"])
    way = shop.rows("payment_channel", code="MAIN")[0]["id"]
    run = shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today})
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [{"reference": order["pay_no"], "kind": "collect", "amount": "500.00"}])
    shown = next(row for row in shop.rows("payment_difference", recon_id=run) if row["kind"] == "amount")
    with pytest.raises(NotPossible, match="send the line back"):
        handle(shop, shown, "suspense")
    shop.do("finance", "bank_receipt", first["id"], "reject", reason="金额有误")
    handle(shop, shown, "suspense")
    (second,) = shop.rows("bank_receipt", bank_serial_no=f"{order['pay_no']}#2")
    assert (second["amount"], shop.row("payment_order", order["id"])["taken"]) == (D("500.00"), D("500.00"))
    books_agree(shop)


def test_a_difference_whose_order_the_channel_confirmed_since_books_nothing(shop: Lender) -> None:
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="succeeded", amount=D("500.00"))
    shown = open_ones(shop, order)[0]
    shop.do("finance", "payment_difference", shown["id"], "propose", {"treatment": "suspense", "note": "渠道只扣了 500 元"})
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    with pytest.raises(NotPossible, match="confirmed the order's own amount"):
        shop.do("fincheck", "payment_difference", shown["id"], "confirm")
    assert receipts(shop, loan) == [order["amount"]]
    handle(shop, shown, "none")
    shop.day(shop.stage.today + timedelta(days=1))
    books_agree(shop)
