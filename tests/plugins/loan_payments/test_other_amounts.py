"""The channel moved another amount than the order's: what it moved is in the books once, and a confirmed day leaves nothing of it on account 1012."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import NotPossible
from metaloom_plugins.loan_payments import differences, recon
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
    nobody,
    open_ones,
    parked,
    paying,
    told,
)
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.test_invariants import changed


@pytest.fixture(scope="module")
def shop(lender: Lender) -> Lender:
    lender.way = desk.channel(lender, "MAIN")    # type: ignore[attr-defined]
    return lender


@pytest.mark.parametrize("state", ["unknown", "succeeded", "failed"])
@pytest.mark.parametrize("share", ["less", "more"])
def test_a_debit_of_another_amount_is_claimed_as_the_channel_took_it_and_counted_once(shop: Lender, state: str, share: str) -> None:
    before = begin(shop)
    loan, order = debited(shop, "" if state == "unknown" else state)
    paid_out = moved(shop, before)[BY_CHANNEL] - (order["amount"] if state == "succeeded" else 0)
    took = order["amount"] + (D("-400.00") if share == "less" else D("300.00"))
    run = told(shop, (order, str(took)))
    (shown,) = open_ones(shop, run)
    assert (shown["kind"], shown["our_amount"], shown["their_amount"]) == ("amount", order["amount"], took)
    cannot(shop, shown, "by_hand", "none", "next_day", "adopt", *(() if state == "succeeded" else ("carry",)))
    handle(shop, shown, "suspense")
    ended, (line,) = shop.row("payment_order", order["id"]), shop.rows("bank_receipt", bank_serial_no=order["pay_no"])
    assert (ended["status"], ended["taken"], line["amount"], line["through"], line["value_date"]) == ("parked", took, took, "channel", shop.stage.today)
    assert ended["fail_text"] == f"渠道实收 {took:,.2f} 元，已转入待认领 / The channel took {took:,.2f}, which waits to be claimed"
    assert not [row for row in shop.rows("repayment", loan_id=loan) if row["status"] == "posted"], "not on the loan before somebody claims it"
    assert shop.row("debit_item", order["debit_item_id"])["status"] == ("paid" if state == "succeeded" else "asking")
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: took + paid_out, TO_CLAIM: -took}, "nothing of the day is left on 1012"
    for word, difference in ((took, 0), (order["amount"], 1)):
        desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-1", amount=word)
        assert len([row for row in shop.rows("payment_difference", order_id=order["id"]) if row["status"] == "open"]) == difference
    desk.said(shop, order["id"], outcome="failed", gateway_no="G-1")
    assert shop.row("payment_order", order["id"])["status"] == "parked" and moved(shop, before)[TO_CLAIM] == -took, "late words move nothing"
    if state != "succeeded":
        with pytest.raises(NotPossible, match="not booked yet"):
            shop.do("finance", "debit_item", order["debit_item_id"], "debit_again")
    desk.claim(shop, line, loan)
    assert [row["amount"] for row in shop.rows("repayment", loan_id=loan) if row["status"] == "posted"] == [took]
    assert BY_CHANNEL not in moved(shop, before) and TO_CLAIM not in moved(shop, before)
    books_agree(shop)


def test_what_was_claimed_before_the_statement_came_agrees_with_it(shop: Lender) -> None:
    """An answer of the channel tells first; the statement of the day says the same the next morning."""
    before = begin(shop)
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-2", amount=D("500.00"))
    (shown,) = shop.rows("payment_difference", order_id=order["id"])
    run = told(shop, (order, "500.00"))
    (again,) = open_ones(shop, run)
    handle(shop, shown, "suspense")
    cannot(shop, again, "suspense")
    fetch(shop, run, (order, "500.00"))
    assert not open_ones(shop, run) and shop.row("payment_difference", again["id"])["status"] == "gone"
    assert len(shop.rows("bank_receipt", amount=D("500.00"))) == 1
    shop.do("fincheck", "recon_run", run, "close")
    assert BY_CHANNEL not in moved(shop, before)
    shop.day(shop.stage.today + timedelta(days=1))
    assert [row["kind"] for row in open_ones(shop, told(shop, (order, "900.00")))] == ["duplicate"], "taken once more, as the confirmed day has it already"
    books_agree(shop)


def test_a_debit_that_was_parked_for_people_is_parked_anew_with_what_the_channel_took(shop: Lender) -> None:
    before = begin(shop)
    loan, order = debited(shop)
    out = moved(shop, before)[BY_CHANNEL]
    quote = shop.stage.as_user("finance").ask("lending.loan", loan, "settle_quote", {"value_date": shop.stage.today})
    assert quote["open_debit"] == order["pay_no"]
    desk.said(shop, order["id"], outcome="failed", code="NO_RULE")
    shop.settle(loan, quote["total"])
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    (parked,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    assert parked["kind"] == "unallocated"
    run = told(shop, (order, "500.00"))
    (shown,) = open_ones(shop, run)
    handle(shop, shown, "suspense")
    cannot(shop, parked, "suspense")
    handle(shop, parked, "none")
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: D("500.00") + out + quote["total"], TO_CLAIM: D("-500.00")}
    books_agree(shop)


def test_a_debit_with_a_refund_keeps_its_booking_and_the_rest_is_carried(shop: Lender) -> None:
    before = begin(shop)
    _, order = debited(shop, "succeeded")
    made = shop.create("finance", "payment_refund", {"order": order["id"], "amount": D("10.00"), "why": "wrong", "note": "退十元"})
    shop.do("fincheck", "payment_refund", made, "pay_back")
    run = told(shop, (order, str(order["amount"] - D("400.00"))))
    (shown,) = open_ones(shop, run)
    cannot(shop, shown, "suspense")
    handle(shop, shown, "carry")
    (back,) = shop.rows("payment_order", refund_id=made)
    desk.said(shop, back["id"], outcome="succeeded", amount=D("10.00"))
    assert moved(shop, before)[PENDING_MONEY] == D("400.00"), "the channel owes it"
    fetch(shop, run, (order, str(order["amount"] - D("400.00"))))
    assert not open_ones(shop, run)
    shop.do("fincheck", "recon_run", run, "close")
    assert BY_CHANNEL not in moved(shop, before)
    books_agree(shop)


@pytest.mark.parametrize("state", ["sending", "succeeded", "failed"])
@pytest.mark.parametrize("over", ["0.01", "-1000.00"])
def test_a_payout_of_another_amount_opens_its_loan_once_and_the_rest_is_carried_until_it_is_cleared(shop: Lender, state: str, over: str) -> None:
    before = begin(shop)
    order = paying(shop)
    if state != "sending":
        desk.said(shop, order["id"], outcome=state, gateway_no="G-3", amount=D(20000))
    paid = D(20000) + D(over)
    run = told(shop, (order, str(paid)))
    (shown,) = open_ones(shop, run)
    cannot(shop, shown, "by_hand", "none", "next_day", "adopt", "suspense")
    handle(shop, shown, "carry")
    done = shop.row("payment_order", order["id"])
    assert (done["status"], done["taken"], len(shop.rows("loan", drawdown_id=order["drawdown_id"]))) == ("succeeded", paid, 1)
    assert shop.row("drawdown", order["drawdown_id"])["status"] == "paid" and shop.row("payment_difference", shown["id"])["carried"] == D(over)
    shop.do("fincheck", "recon_run", run, "close")
    assert shop.row("recon_run", run)["settled_amount"] == -paid
    assert moved(shop, before) == {BANK: -paid, PENDING_MONEY: D(over)}
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-3", amount=paid)
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-3", amount=D(20000))
    assert moved(shop, before) == {BANK: -paid, PENDING_MONEY: D(over)}
    cleared = {"kind": "difference_back" if D(over) > 0 else "difference_paid", "difference": shown["id"], "amount": abs(D(over))}
    for wrong in ({"kind": "difference_paid" if D(over) > 0 else "difference_back"}, {"amount": abs(D(over)) + D("0.01")}):
        bad = shop.create("finance", "other_money", {**cleared, **wrong})
        with pytest.raises(NotPossible):
            shop.do("finance", "other_money", bad, "submit_money")
        shop.do("finance", "other_money", bad, "void_money", reason="测试")
    first, second = [shop.create("finance", "other_money", cleared) for _ in range(2)]
    for one in (first, second):
        shop.do("finance", "other_money", one, "submit_money")
    shop.do("fincheck", "other_money", first, "post_money")
    assert moved(shop, before) == {BANK: D(-20000)}, "as if the channel had paid what was asked"
    with pytest.raises(NotPossible):
        shop.do("fincheck", "other_money", second, "post_money")
    shop.do("fincheck", "other_money", first, "reverse_money", reason="退汇")
    shop.do("fincheck", "other_money", second, "post_money")
    assert moved(shop, before) == {BANK: D(-20000)}
    books_agree(shop)


def test_a_payout_and_a_debit_that_the_channel_made_twice_leave_nothing_on_1012(shop: Lender) -> None:
    before = begin(shop)
    payout = paying(shop)
    desk.said(shop, payout["id"], outcome="succeeded", gateway_no="G-4", amount=D(20000))
    _, debit = debited(shop, "succeeded")
    out = moved(shop, before)[BY_CHANNEL]
    run = told(shop, (payout, "20000.00"), (payout, "20000.00"), (debit, str(debit["amount"])), (debit, str(debit["amount"])))
    paid, took = sorted(open_ones(shop, run), key=lambda row: -row["their_amount"])
    assert {paid["kind"], took["kind"]} == {"duplicate"}
    for one, wrong, right in ((paid, "suspense", "carry"), (took, "carry", "suspense")):
        cannot(shop, one, wrong, "by_hand", "none", "next_day")
        handle(shop, one, right)
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: out - D(20000) + debit["amount"], PENDING_MONEY: D(20000), TO_CLAIM: -debit["amount"]}
    assert shop.row("payment_order", debit["id"])["status"] == "succeeded"
    books_agree(shop)


def test_a_late_success_beside_another_order_is_booked_where_people_decide(shop: Lender) -> None:
    """Failed, another order made the payment, and the first one succeeded after all: money moved twice."""
    before = begin(shop)
    first = paying(shop)
    desk.said(shop, first["id"], outcome="failed", code="CLOSED")
    shop.do("fincheck", "drawdown", first["drawdown_id"], "payout")
    desk.rest(shop)
    second = shop.rows("payment_order", drawdown_id=first["drawdown_id"])[1]
    desk.said(shop, second["id"], outcome="succeeded", amount=D(20000))
    _, poor = debited(shop, "failed")
    out = moved(shop, before)[BY_CHANNEL] + D(20000)
    shop.do("finance", "debit_item", poor["debit_item_id"], "debit_again")
    desk.rest(shop)
    again = shop.rows("payment_order", debit_item_id=poor["debit_item_id"])[1]
    desk.said(shop, again["id"], outcome="succeeded", amount=again["amount"])
    for late in (first, poor):
        desk.said(shop, late["id"], outcome="succeeded", gateway_no=f"G-{late['id']}", amount=late["amount"])
        (shown,) = shop.rows("payment_difference", order_id=late["id"], status="open")
        assert shown["kind"] == "duplicate"
        cannot(shop, shown, "adopt", "suspense" if late is first else "carry")
        handle(shop, shown, "carry" if late is first else "suspense")
    run = told(shop, (first, "20000.00"), (poor, str(poor["amount"])))
    assert not open_ones(shop, run), "they agree with what was handled"
    shop.do("fincheck", "recon_run", run, "close")
    taken = again["amount"] + poor["amount"]
    assert moved(shop, before) == {BANK: out + taken - D(40000), PENDING_MONEY: D(20000), TO_CLAIM: -poor["amount"]}
    assert len(shop.rows("loan", drawdown_id=first["drawdown_id"])) == 1
    books_agree(shop)


def test_what_the_statement_does_not_have_may_be_carried_and_comes_back_with_a_later_day(shop: Lender) -> None:
    before = begin(shop)
    order = paying(shop)
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-5", amount=D(20000))
    other = paying(shop)
    desk.said(shop, other["id"], outcome="succeeded", gateway_no="G-6", amount=D(20000))
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [{"reference": other["pay_no"], "amount": "20000.00"}])
    (shown,) = open_ones(shop, run)
    assert shown["kind"] == "ours_only"
    handle(shop, shown, "carry")
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: D(-20000), PENDING_MONEY: D(-20000)}, "the customer did not get it yet"
    shop.day(shop.stage.today + timedelta(days=1))
    later = told(shop, (order, "20000.00"))
    (shown,) = open_ones(shop, later)
    handle(shop, shown, "carry")
    shop.do("fincheck", "recon_run", later, "close")
    assert moved(shop, before) == {BANK: D(-40000)}
    books_agree(shop)


# -- a statement that changes --------------------------------------------------------------------------------------------


def test_another_amount_of_the_next_fetch_is_proposed_anew(shop: Lender) -> None:
    before = begin(shop)
    _, order = debited(shop)
    run = told(shop, (order, "700.00"))
    (shown,) = open_ones(shop, run)
    shop.do("finance", "payment_difference", shown["id"], "propose", {"treatment": "suspense", "note": "已与渠道核实"})
    fetch(shop, run, (order, "700.00"))
    assert shop.row("payment_difference", shown["id"])["status"] == "proposed", "the same again changes nothing"
    fetch(shop, run, (order, "800.00"))
    (again,) = open_ones(shop, run)
    assert (again["id"], again["their_amount"], again["treatment"], again["proposed_by_id"]) == (shown["id"], D("800.00"), None, None)
    with pytest.raises(NotPossible):
        shop.do("fincheck", "payment_difference", shown["id"], "confirm")
    handle(shop, again, "suspense")
    fetch(shop, run, (order, "800.00"))
    assert not open_ones(shop, run)
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before)[TO_CLAIM] == D("-800.00") and BY_CHANNEL not in moved(shop, before)
    books_agree(shop)


def test_another_amount_after_a_difference_was_handled_is_told_anew(shop: Lender) -> None:
    before = begin(shop)
    _, order = debited(shop)
    run = told(shop, (order, "700.00"))
    handle(shop, open_ones(shop, run)[0], "suspense")
    for amount, pending in (("900.00", "-200.00"), ("700.00", "0.00"), ("650.00", "50.00")):
        fetch(shop, run, (order, amount))
        (shown,) = open_ones(shop, run)
        assert (shown["kind"], shown["their_amount"]) == ("amount", D(amount))
        with pytest.raises(NotPossible):
            shop.do("fincheck", "recon_run", run, "close")
        cannot(shop, shown, "suspense", "none", "by_hand")
        handle(shop, shown, "carry")
        assert moved(shop, before).get(PENDING_MONEY, D(0)) == D(pending)
    fetch(shop, run)
    (shown,) = open_ones(shop, run)
    assert shown["kind"] == "ours_only", "what was claimed is not on the statement any more"
    fetch(shop, run, (order, "650.00"))
    shop.do("fincheck", "recon_run", run, "close")
    assert BY_CHANNEL not in moved(shop, before) and moved(shop, before)[TO_CLAIM] == D("-700.00")
    books_agree(shop)
    with changed(shop, shop.tenant.revision().tables.of("lending.payment_order"), order["id"], {"taken": D("640.00")}):
        assert "loan_payments.settled" in broken(shop), "what the lines of a closed day say and what is booked for them agree"


def test_a_receipt_of_nobody_that_changes_is_booked_for_what_is_missing(shop: Lender) -> None:
    before = begin(shop)
    line = nobody("NOBODY-1")
    run = told(shop, (line, "700.00"))
    handle(shop, open_ones(shop, run)[0], "suspense")
    steps = (("900.00", "suspense", "-900.00", "0.00"), ("500.00", "carry", "-900.00", "400.00"), (None, "carry", "-900.00", "900.00"))
    for amount, treatment, to_claim, pending in steps:
        fetch(shop, run, *([(line, amount)] if amount else []))
        (shown,) = open_ones(shop, run)
        assert (shown["kind"], shown["their_amount"]) == ("theirs_only", D(amount or "0.00"))
        cannot(shop, shown, *({"suspense", "carry"} - {treatment}), *(["none", "by_hand"] if amount else []))
        handle(shop, shown, treatment)
        now = moved(shop, before)
        assert (now[TO_CLAIM], now.get(PENDING_MONEY, D(0))) == (D(to_claim), D(pending))
        fetch(shop, run, *([(line, amount)] if amount else []))
        assert not open_ones(shop, run)
    shop.do("fincheck", "recon_run", run, "close")
    assert BY_CHANNEL not in moved(shop, before)
    books_agree(shop)


@pytest.mark.parametrize("known", [True, False])
def test_a_payment_that_the_channel_has_three_times_under_one_number_is_claimed_line_by_line(shop: Lender, known: bool) -> None:
    before = begin(shop)
    order: Any = debited(shop, "succeeded")[1] if known else nobody("NOBODY-3")
    amount = str(order["amount"]) if known else "321.00"
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    others = [{"reference": row["pay_no"], "amount": str(row["amount"])} for row in shop.rows("payment_order", success_on=shop.stage.today, biz_type="payout")]
    for _ in range(2):
        shop.do("finance", "recon_run", run, "fetch")
        desk.statement(shop, run, [*others, *[{"reference": order["pay_no"], "kind": "collect", "amount": amount, "gateway_no": ""}] * 3])
        assert [row["kind"] for row in open_ones(shop, run)] == (["duplicate"] * 2 if known else ["theirs_only", "duplicate", "duplicate"])
    for shown in open_ones(shop, run):
        handle(shop, shown, "suspense")
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [*others, *[{"reference": order["pay_no"], "kind": "collect", "amount": amount, "gateway_no": ""}] * 3])
    assert not open_ones(shop, run)
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before)[TO_CLAIM] == -D(amount) * (2 if known else 3) and BY_CHANNEL not in moved(shop, before)
    books_agree(shop)


@pytest.mark.parametrize("amount", ["the same", "another"])
@pytest.mark.parametrize("first", ["confirmed", "compared"])
def test_a_second_payment_of_the_same_order_on_another_day_is_booked(shop: Lender, amount: str, first: str) -> None:
    before = begin(shop)
    payout = paying(shop)
    desk.said(shop, payout["id"], outcome="succeeded", gateway_no="G-7", amount=D(20000))
    _, debit = debited(shop, "succeeded")
    days = [told(shop)]
    if first == "confirmed":
        shop.do("fincheck", "recon_run", days[0], "close")
    more = D(0) if amount == "the same" else D(5)
    shop.day(shop.stage.today + timedelta(days=1))
    days.append(told(shop, (payout, str(D(20000) - more)), (debit, str(debit["amount"] + more))))
    shown = sorted(open_ones(shop, days[1]), key=lambda row: -row["their_amount"])
    assert [row["kind"] for row in shown] == ["duplicate"] * 2
    for one, wrong, right in zip(shown, ("suspense", "carry"), ("carry", "suspense"), strict=True):
        cannot(shop, one, wrong, "by_hand", "none", "next_day")
        handle(shop, one, right)
    for run in days if first == "compared" else days[1:]:
        shop.do("fincheck", "recon_run", run, "close")
    now = moved(shop, before)
    assert (now[TO_CLAIM], now[PENDING_MONEY]) == (-debit["amount"] - more, D(20000) - more) and BY_CHANNEL not in now
    books_agree(shop)


def test_the_day_that_had_a_payment_first_keeps_it(shop: Lender) -> None:
    """The later day's statement was read first, and its line settled as one of another day."""
    before = begin(shop)
    order = paying(shop)
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-8", amount=D(20000))
    day = shop.stage.today
    shop.day(day + timedelta(days=1))
    later = told(shop, (order, "20000.00"))
    (shown,) = open_ones(shop, later)
    assert shown["kind"] == "day_shift"
    handle(shop, shown, "none")
    earlier = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": day})    # type: ignore[attr-defined]
    fetch(shop, earlier, (order, "20000.00"))
    (shown,) = open_ones(shop, earlier)
    assert shown["kind"] == "duplicate"
    handle(shop, shown, "carry")
    fetch(shop, later, (order, "20000.00"))
    assert not open_ones(shop, later)
    for run in (later, earlier):
        shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: D(-40000), PENDING_MONEY: D(20000)}
    books_agree(shop)


# -- what people did before ----------------------------------------------------------------------------------------------


def test_a_debit_whose_repayment_was_reversed_is_claimed_as_the_channel_took_it(shop: Lender) -> None:
    before = begin(shop)
    loan, order = debited(shop, "succeeded")
    out = moved(shop, before)[BY_CHANNEL] - order["amount"]
    shop.do("fincheck", "repayment", order["repayment_id"], "reverse", reason="入错账")
    assert moved(shop, before) == {BY_CHANNEL: out}
    run = told(shop, (order, "700.00"))
    (shown,) = open_ones(shop, run)
    cannot(shop, shown, "carry", "none", "by_hand")
    handle(shop, shown, "suspense")
    shop.do("fincheck", "recon_run", run, "close")
    assert moved(shop, before) == {BANK: out + D("700.00"), TO_CLAIM: D("-700.00")}
    assert len(shop.rows("repayment", loan_id=loan, status="reversed")) == 1
    books_agree(shop)


def test_a_debit_whose_repayment_was_reversed_may_be_taken_back_by_the_channel(shop: Lender) -> None:
    before = begin(shop)
    loan, order = debited(shop, "succeeded")
    shop.do("fincheck", "repayment", order["repayment_id"], "reverse", reason="渠道退票")
    (unallocated,) = shop.rows("payment_difference", order_id=order["id"], status="open")
    cannot(shop, unallocated, "none")
    desk.said(shop, order["id"], outcome="failed", gateway_no="G-1")
    (shown,) = shop.rows("payment_difference", order_id=order["id"], status="open", kind="state")
    handle(shop, shown, "adopt")
    handle(shop, unallocated, "none")
    assert shop.row("payment_order", order["id"])["status"] == "returned"
    assert moved(shop, before) == {BY_CHANNEL: D(-12000)}, "the payout alone"
    books_agree(shop)


def test_a_parked_debit_that_the_channel_did_not_take_is_neither_claimed_nor_refunded(shop: Lender) -> None:
    before = begin(shop)
    order, unallocated = parked(shop)
    shop.do("finance", "payment_difference", unallocated["id"], "propose", {"treatment": "suspense", "note": "待认领"})
    others = [{"reference": row["pay_no"], "amount": str(row["amount"])} for row in shop.rows("payment_order", success_on=shop.stage.today, biz_type="payout")]
    run = shop.create("finance", "recon_run", {"pay_channel": shop.way, "day": shop.stage.today})    # type: ignore[attr-defined]
    shop.do("finance", "recon_run", run, "fetch")
    failed = {"reference": order["pay_no"], "kind": "collect", "amount": str(order["amount"]), "outcome": "failed"}
    desk.statement(shop, run, [*others, failed])
    (shown,) = open_ones(shop, run)
    cannot(shop, shown, "suspense", "adopt")
    handle(shop, shown, "carry")
    assert shop.row("payment_order", order["id"])["taken"] == 0
    assert shop.row("payment_difference", unallocated["id"])["status"] == "gone", "it ends with the money that it was about"
    with pytest.raises(NotPossible):
        shop.do("fincheck", "payment_difference", unallocated["id"], "confirm")
    made = shop.create("finance", "payment_refund", {"order": order["id"], "amount": order["amount"], "why": "wrong", "note": "退款"})
    with pytest.raises(NotPossible, match="0.00"):
        shop.do("fincheck", "payment_refund", made, "pay_back")
    shop.do("fincheck", "recon_run", run, "close")
    assert not {BY_CHANNEL, TO_CLAIM, PENDING_MONEY} & set(moved(shop, before)), "nothing came, nothing waits to be claimed"
    books_agree(shop)


def test_a_parked_debit_of_another_amount_is_claimed_and_one_that_comes_later_waits(shop: Lender) -> None:
    begin(shop)
    order, unallocated = parked(shop)
    run = told(shop, (order, "500.00"))
    cannot(shop, open_ones(shop, run)[0], "carry")
    shop.do("finance", "recon_run", run, "fetch")
    others = [{"reference": row["pay_no"], "amount": str(row["amount"])} for row in shop.rows("payment_order", success_on=shop.stage.today, biz_type="payout")]
    desk.statement(shop, run, others)
    (shown,) = open_ones(shop, run)
    assert shown["kind"] == "ours_only"
    handle(shop, shown, "carry")
    cannot(shop, unallocated, "suspense")
    shop.do("fincheck", "recon_run", run, "close")
    shop.day(shop.stage.today + timedelta(days=1))
    later = told(shop, (order, str(order["amount"])))
    handle(shop, open_ones(shop, later)[0], "carry")
    handle(shop, unallocated, "suspense")
    shop.do("fincheck", "recon_run", later, "close")
    assert [row["amount"] for row in shop.rows("bank_receipt", bank_serial_no=order["pay_no"])] == [order["amount"]]
    books_agree(shop)


# -- who waits for whom --------------------------------------------------------------------------------------------------


class Watched:
    """The work of a command, with the entities whose rows it locks, in turn."""

    def __init__(self, work: Any, locked: list[str]) -> None:
        self._work, self._locked = work, locked

    def __getattr__(self, name: str) -> Any:
        def call(entity: Any, *args: Any, **options: Any) -> Any:
            if name in ("lock", "change", "transition") or options.get("lock"):
                self._locked.append(entity)
            return getattr(self._work, name)(entity, *args, **options)
        return call


def test_comparing_locks_differences_before_orders_as_confirming_does(shop: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(shop)
    _, order = debited(shop)
    run = told(shop, (order, "700.00"))
    locked, compare = list[str](), recon._compare
    monkeypatch.setattr(recon, "_compare", lambda work, *rest: compare(Watched(work, locked), *rest))    # type: ignore[arg-type]
    fetch(shop, run, (order, "800.00"))
    assert locked.index(recon.DIFFERENCE) < locked.index(recon.ORDER)


def test_ending_a_parked_debit_locks_both_differences_before_the_order_as_refunding_it_does(shop: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(shop)
    order, unallocated = parked(shop)
    run = told(shop)
    others = [{"reference": row["pay_no"], "amount": str(row["amount"])} for row in shop.rows("payment_order", success_on=shop.stage.today, biz_type="payout")]
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [*others, {"reference": order["pay_no"], "kind": "collect", "amount": str(order["amount"]), "outcome": "failed"}])
    (shown,) = open_ones(shop, run)
    shop.do("finance", "payment_difference", shown["id"], "propose", {"treatment": "carry", "note": "已核实"})
    locked = list[tuple[str, int | None]]()
    plugin, confirm = shop.plugins.plugins["loan_payments"], differences.confirm
    monkeypatch.setitem(plugin.handlers, "confirm", lambda work, *rest: confirm(WatchedRows(work, locked), *rest))    # type: ignore[arg-type]
    shop.do("fincheck", "payment_difference", shown["id"], "confirm")
    assert shop.row("payment_difference", unallocated["id"])["status"] == "gone"
    at = [entity for entity, _ in locked].index(recon.ORDER)
    assert {id for entity, id in locked[at:] if entity == recon.DIFFERENCE} <= {id for entity, id in locked[:at] if entity == recon.DIFFERENCE} | {shown["id"]}


class WatchedRows(Watched):
    """The same with the ids of the rows."""

    def __getattr__(self, name: str) -> Any:
        if name not in ("lock", "change", "transition", "find"):
            return getattr(self._work, name)

        def call(entity: Any, *args: Any, **options: Any) -> Any:
            found = getattr(self._work, name)(entity, *args, **options)
            if name in ("lock", "change", "transition"):
                self._locked.append((entity, args[0]))    # type: ignore[arg-type]
            elif options.get("lock"):
                self._locked.extend((entity, row["id"]) for row in found)    # type: ignore[misc]
            return found
        return call
