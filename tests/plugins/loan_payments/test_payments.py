"""Orders, debits, notices, receipts, reconciliation and refunds of the payments plugin (domain specification §7.1, S1-16 … S1-20, S1-28)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom import command
from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotPossible
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.days import end_day, tick
from tests.plugins.loan_servicing.test_changes import change
from tests.plugins.loan_servicing.test_invariants import changed


@pytest.fixture(scope="module")
def shop(lender: Lender) -> Lender:
    return lender


def order_of(shop: Lender, loan: int, **where: object) -> dict:
    return dict(shop.rows("payment_order", loan_id=loan, **where)[-1])


# -- routes --------------------------------------------------------------------------------------------------------------


def test_the_cheaper_of_equal_channels_carries_a_payout_and_its_limits_move_it_on_before_sending(shop: Lender) -> None:
    dear = desk.channel(shop, "DEAR", fee_fixed=D(5))
    cheap = desk.channel(shop, "CHEAP", fee_fixed=D("0.20"), fee_rate=D("0.0001"), day_count_max=1)
    small = desk.channel(shop, "SMALL", priority=1, amount_max=D(100))
    _, account, limit = shop.limit(amount=D(30000))
    draws = [shop.drawdown(limit, account, amount=D(10000)) for _ in range(2)]
    for drawdown in draws:
        shop.paid(drawdown)
    orders = [shop.rows("payment_order", drawdown_id=drawdown)[0] for drawdown in draws]
    assert [order["pay_channel_id"] for order in orders] == [cheap, dear] and small not in {order["pay_channel_id"] for order in orders}
    assert [order["fee"] for order in orders] == [D("1.20"), D("5.00")]
    desk.pause_all(shop)
    third = shop.to_pay(shop.drawdown(limit, account, amount=D(10000)))
    with pytest.raises(NotPossible) as refused:
        shop.do("finance", "drawdown", third, "payout")
    assert "没有可用的支付渠道" in refused.value.message.say("zh") and not shop.rows("payment_order", drawdown_id=third)
    desk.channel(shop, "MAIN")
    shop.do("finance", "drawdown", third, "payout")
    shop.settle_outside()
    assert shop.row("drawdown", third)["status"] == "paid"


def test_who_wrote_a_channel_does_not_switch_it_on(shop: Lender) -> None:
    made = shop.create("finance", "payment_channel", {**desk.CHANNEL, "code": "OWN", "name": "自己的"})
    with pytest.raises(NotAllowed):
        shop.do("finance", "payment_channel", made, "enable")
    with pytest.raises(Invalid):
        shop.create("finance", "payment_channel", {**desk.CHANNEL, "code": "ODD", "name": "上下限", "amount_min": D(10), "amount_max": D(9)})


# -- what a channel says ---------------------------------------------------------------------------------------------------


def under_way(shop: Lender) -> dict:
    """A payout that the gateway keeps in process for an hour."""
    _, account, limit = shop.limit(amount=D(20000), card_ending="9995")
    drawdown = shop.to_pay(shop.drawdown(limit, account, amount=D(20000)))
    shop.do("finance", "drawdown", drawdown, "payout")
    desk.one_call(shop)
    return dict(shop.rows("payment_order", drawdown_id=drawdown)[0])


def test_a_signed_notice_ends_the_order_once_and_a_forged_one_never(shop: Lender) -> None:
    order = under_way(shop)
    shop.gateway.settle_all()
    sent: list[tuple[dict, bytes, int]] = []

    def forward(headers: dict, body: bytes) -> int:
        forged = {**headers, "X-Signature": "0" * 64}
        assert desk.tell(shop, forged, body) == 401 and desk.tell(shop, {}, body) == 401
        assert desk.tell(shop, headers, body.replace(b'"SUCCESS"', b'"FAILED"')) == 401
        if order["pay_no"].encode() in body:
            assert shop.row("payment_order", order["id"])["status"] == "sending"
        sent.append((dict(headers), body, desk.tell(shop, headers, body)))
        return sent[-1][2]

    assert shop.gateway.deliver(forward) >= 1 and {status for *_, status in sent} == {200}
    assert shop.row("payment_order", order["id"])["status"] == "succeeded"
    assert [desk.tell(shop, headers, body) for headers, body, _ in sent] == [200] * len(sent)
    notices = shop.rows("payment_notice", order_id=order["id"])
    assert [(row["verdict"], row["outcome"]) for row in notices] == [("applied", "succeeded")]
    assert len(shop.rows("loan", drawdown_id=order["drawdown_id"])) == 1
    assert desk.tell(shop, sent[-1][0], sent[-1][1], "no_such_gateway") == 401


def test_another_amount_is_no_result(shop: Lender) -> None:
    order = under_way(shop)
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G1", amount=D("20000.01"))
    assert shop.row("payment_order", order["id"])["status"] == "unknown" and not shop.rows("loan", drawdown_id=order["drawdown_id"])
    found = shop.rows("payment_difference", order_id=order["id"])
    assert [(row["kind"], row["our_amount"], row["their_amount"]) for row in found] == [("amount", D(20000), D("20000.01"))]
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G1", amount=D(20000))
    assert shop.row("payment_order", order["id"])["status"] == "succeeded"


def test_failed_then_succeeded_is_booked_and_succeeded_then_failed_is_shown_to_people(shop: Lender) -> None:
    order = under_way(shop)
    desk.said(shop, order["id"], outcome="failed", code="CLOSED", amount=D(20000))
    assert shop.row("drawdown", order["drawdown_id"])["status"] == "pay_failed"
    desk.said(shop, order["id"], outcome="succeeded", gateway_no="G9", amount=D(20000))
    assert shop.row("drawdown", order["drawdown_id"])["status"] == "paid" and len(shop.rows("loan", drawdown_id=order["drawdown_id"])) == 1
    desk.said(shop, order["id"], outcome="failed", code="RETURNED", amount=D(20000))
    assert shop.row("payment_order", order["id"])["status"] == "succeeded"
    assert [row["kind"] for row in shop.rows("payment_difference", order_id=order["id"])] == ["state"]


def test_a_late_success_beside_a_second_order_is_a_double_payment_for_people(shop: Lender) -> None:
    first = under_way(shop)
    desk.said(shop, first["id"], outcome="failed", code="CLOSED")
    shop.do("fincheck", "drawdown", first["drawdown_id"], "payout")
    desk.said(shop, first["id"], outcome="succeeded", amount=D(20000))
    assert shop.row("payment_order", first["id"])["status"] == "failed"
    assert [row["kind"] for row in shop.rows("payment_difference", order_id=first["id"])] == ["duplicate"]
    second = shop.rows("payment_order", drawdown_id=first["drawdown_id"])[1]
    desk.said(shop, second["id"], outcome="succeeded", amount=D(20000))
    assert len(shop.rows("loan", drawdown_id=first["drawdown_id"])) == 1


def test_an_unknown_order_is_not_sent_again_before_three_answers_that_it_is_not_there(shop: Lender) -> None:
    order = under_way(shop)
    for number in range(3):
        pays = [row for row in shop.outbox() if row["key"].startswith(f"call:pay:{order['pay_no']}")]
        assert len(pays) == 1, number
        desk.said(shop, order["id"], outcome="unknown", code="not_found")
    assert [row["key"] for row in shop.outbox() if row["key"].startswith(f"call:pay:{order['pay_no']}")][1:], "F21: same reference, after three"
    desk.said(shop, order["id"], outcome="succeeded", amount=D(20000))


def questions(shop: Lender, order: Any, state: str = "pending") -> list[Any]:
    return [row for row in shop.outbox() if row["key"].startswith(f"call:query:{order['pay_no']}:") and row["state"] == state]


def answered(shop: Lender, rows: list[Any]) -> None:
    """The worker puts these questions; the channel has the order in process."""
    table = shop.tenant.revision().tables.engine.outbox
    for row in rows:
        command.handle_call(shop.tenant, row, plugins=shop.plugins, clock=shop.stage.clock)
        with shop.tenant.write() as conn:
            conn.execute(table.update().where(table.c.id == row["id"]).values(state="done"))


def in_process(shop: Lender) -> dict:
    """A debit that the channel keeps in process, whose first question waits."""
    loan = desk.running_loan(shop, card_ending="9995")
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    order = order_of(shop, loan)
    answered(shop, [row for row in shop.outbox() if row["key"] == f"call:pay:{order['pay_no']}"])
    assert len(questions(shop, order)) == 1
    return order


def test_an_order_has_one_chain_of_questions_however_often_people_ask(shop: Lender) -> None:
    order = in_process(shop)
    (own,) = questions(shop, order)
    for _ in range(3):
        shop.do("finance", "payment_order", order["id"], "query_result")
    answered(shop, [row for row in questions(shop, order) if row["id"] != own["id"]])
    assert [row["id"] for row in questions(shop, order)] == [own["id"]], "what people ask begins no chain of its own"
    shop.do("finance", "payment_order", order["id"], "query_result")
    pressed = questions(shop, order)[-1]
    answered(shop, [own])
    answered(shop, [pressed])
    (own,) = questions(shop, order)
    assert own["run_after"] > shop.row("payment_order", order["id"])["sent_at"], "the chain goes on"
    shop.settle_outside()
    assert not questions(shop, order) and shop.row("payment_order", order["id"])["status"] == "sending", "the helper does not ask for ever"
    shop.day(shop.stage.today + timedelta(days=1))
    ctx = command.system_context(shop.tenant, plugins=shop.plugins, clock=shop.stage.clock)
    for _ in range(2):
        command.run_command(ctx, "loan_payments.asked", order["id"], {"outcome": "accepted"})
    assert len(questions(shop, order)) == 1, "a chain that had stopped, as when the worker gave a call up, goes on as one"
    desk.rest(shop)
    desk.said(shop, order["id"], outcome="failed", code="CLOSED")


def test_three_presses_that_find_no_order_do_not_send_it_again(shop: Lender) -> None:
    order = in_process(shop)
    ctx = command.system_context(shop.tenant, plugins=shop.plugins, clock=shop.stage.clock)
    for _ in range(4):
        command.run_command(ctx, "loan_payments.asked", order["id"], {"outcome": "unknown", "code": "not_found"})
    assert shop.row("payment_order", order["id"])["not_found_count"] == 0
    assert len([row for row in shop.outbox() if row["key"].startswith(f"call:pay:{order['pay_no']}")]) == 1
    command.run_command(ctx, "loan_payments.asked", order["id"], {"outcome": "failed", "code": "CLOSED"})
    assert shop.row("payment_order", order["id"])["status"] == "failed", "a definite word counts whoever asked"


# -- debits --------------------------------------------------------------------------------------------------------------


def test_a_batch_takes_what_is_due_and_books_every_receipt_once(shop: Lender) -> None:
    good, poor, gone = desk.running_loan(shop), desk.running_loan(shop, card_ending="9991"), desk.running_loan(shop, card_ending="9993")
    desk.running_loan(shop, card_ending="9992")
    for code, verdict in (("INSUFFICIENT_FUNDS", "retry"), ("ACCOUNT_CLOSED", "stop")):
        shop.create("fincheck", "debit_rule", {"gateway": "sandbox", "fail_code": code, "verdict": verdict, "after_days": 2, "tries_max": 2})
    made = desk.batch(shop)
    with pytest.raises((NotAllowed, NotPossible)):
        shop.do("finance", "debit_batch", made, "start")
    before = shop.account("1012"), shop.account("1002")
    shop.do("fincheck", "debit_batch", made, "start")
    assert not shop.rows("repayment", loan_id=good), "nothing is booked before the channel said so"
    shop.settle_outside()
    item, order = desk.item_of(shop, made, good), order_of(shop, good)
    receipt = shop.rows("repayment", loan_id=good)
    assert (item["status"], order["status"], len(receipt)) == ("paid", "succeeded", 1)
    assert receipt[0]["amount"] == order["amount"] == item["amount"] and receipt[0]["source"] == "debit"
    assert (shop.account("1012"), shop.account("1002")) == (before[0] + order["amount"], before[1]), "the channel has it, not yet the bank"
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    assert len(shop.rows("repayment", loan_id=good)) == 1
    waits, stopped = desk.item_of(shop, made, poor), desk.item_of(shop, made, gone)
    assert (waits["status"], waits["next_on"]) == ("retrying", shop.stage.today + timedelta(days=2))
    assert stopped["status"] == "stopped" and shop.row("debit_agreement", stopped["agreement_id"])["status"] == "stopped"
    asked = [row for row in shop.rows("debit_item", batch_id=made) if row["status"] == "asking"]
    assert [row["fail_code"] for row in asked] == ["ACCOUNT_FROZEN"], "no rule: a person is asked"
    shop.do("finance", "debit_item", waits["id"], "debit_again")
    shop.settle_outside()
    again = desk.item_of(shop, made, poor)
    tried = shop.rows("payment_order", loan_id=poor)
    assert (again["status"], again["tries"]) == ("asking", 2) and len({row["pay_no"] for row in tried}) == 2
    shop.do("finance", "debit_item", again["id"], "leave_out", reason="客户自行转账")
    shop.do("finance", "debit_item", asked[0]["id"], "leave_out", reason="账户冻结")
    done = shop.row("debit_batch", made)
    assert (done["status"], done["paid_count"], done["paid_amount"], done["total_count"]) == ("done", 1, item["amount"], 4)


def test_a_debit_that_succeeds_after_its_loan_was_settled_has_its_money_parked(shop: Lender) -> None:
    loan = desk.running_loan(shop, card_ending="9995")
    made = desk.batch(shop)
    shop.do("fincheck", "debit_batch", made, "start")
    desk.one_call(shop)
    order, before = order_of(shop, loan), shop.account("2241.02")
    desk.said(shop, order["id"], outcome="failed", code="NO_RULE")
    change(shop, loan, "transfer", amount=D("12000.00"))     # sold before the channel corrects itself: nothing is sold beside an open debit
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    assert shop.row("payment_order", order["id"])["status"] == "succeeded" and desk.item_of(shop, made, loan)["status"] == "paid"
    assert shop.account("2241.02") - before == -order["amount"]
    assert [(row["kind"], row["note"]) for row in shop.rows("payment_difference", order_id=order["id"])] == [
        ("unallocated", "该贷款已结清 / The loan is settled")]


def test_a_debit_of_a_loan_that_the_day_end_holds_back_is_parked_with_the_reason(shop: Lender) -> None:
    ill = desk.running_loan(shop, card_ending="9995")
    table = shop.tenant.revision().tables.of("lending.loan")
    tick(shop)
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    desk.one_call(shop)
    with changed(shop, table, ill, {"book_interest": shop.row("loan", ill)["book_interest"] + 7}):
        end_day(shop)
        order, before = order_of(shop, ill), (shop.account("1012"), shop.account("2241.02"))
        desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
        assert shop.row("payment_order", order["id"])["status"] == "succeeded" and not shop.rows("repayment", loan_id=ill)
        assert (shop.account("1012"), shop.account("2241.02")) == (before[0] + order["amount"], before[1] - order["amount"])
    (told,) = shop.rows("payment_difference", order_id=order["id"])
    assert told["kind"] == "unallocated" and "隔离" in told["note"] and "差额 -7.00" in told["note"]
    assert "The day end holds the loan back: " in told["note"] and "difference -7.00" in told["note"]
    with pytest.raises(NotPossible):
        desk.batch(shop)                               # nothing else is due, and what stands parked is not taken once more
    refund = shop.create("service", "payment_refund", {"order": order["id"], "amount": order["amount"], "why": "wrong", "note": "先不退"})
    with pytest.raises(NotPossible):
        shop.do("finance", "payment_difference", told["id"], "propose", {"treatment": "suspense", "note": "等贷款修复"})
    shop.do("service", "payment_refund", refund, "cancel", reason="改为认领")
    shop.do("finance", "payment_difference", told["id"], "propose", {"treatment": "suspense", "note": "等贷款修复"})
    shop.do("fincheck", "payment_difference", told["id"], "confirm")
    (line,) = shop.rows("bank_receipt", bank_serial_no=order["pay_no"])
    assert (line["status"], line["loan_id"], shop.account("2241.02")) == ("proposed", ill, before[1] - order["amount"]), "parked once"
    refund = shop.create("service", "payment_refund", {"order": order["id"], "amount": order["amount"], "why": "wrong", "note": "再退"})
    with pytest.raises(NotPossible):
        shop.do("fincheck", "payment_refund", refund, "pay_back")
    with pytest.raises(NotPossible):
        desk.batch(shop)
    end_day(shop)                                      # the loan is mended
    shop.do("officer", "bank_receipt", line["id"], "claim", {"loan": ill})
    shop.do("fincheck", "bank_receipt", line["id"], "post", {"kind": "due"})
    assert [(row["amount"], row["source"]) for row in shop.rows("repayment", loan_id=ill)] == [(order["amount"], "debit")]
    assert (shop.account("1012"), shop.account("2241.02")) == (before[0] + order["amount"], before[1])
    shop.day(shop.stage.today + timedelta(days=1))     # behind for a day, but held back no more
    shop.do("fincheck", "debit_batch", desk.batch(shop, shop.stage.today + timedelta(days=60)), "start")
    desk.one_call(shop)
    again = order_of(shop, ill)
    desk.said(shop, again["id"], outcome="succeeded", amount=again["amount"])
    assert shop.row("payment_order", again["id"])["repayment_id"] and again["id"] != order["id"]


def test_a_refund_reverses_the_repayment_and_gives_the_money_back_the_way_it_came(shop: Lender) -> None:
    loan = desk.running_loan(shop)
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    shop.settle_outside()
    debit, owed, held = order_of(shop, loan), shop.account("2241.02"), shop.account("1012")
    made = shop.create("service", "payment_refund", {"order": debit["id"], "amount": debit["amount"], "why": "wrong", "note": "客户已转账"})
    with pytest.raises(Invalid):
        shop.create("finance", "payment_refund", {"order": debit["id"], "amount": debit["amount"] + D("0.01"), "why": "wrong", "note": "退多一分"})
    twice = shop.create("finance", "payment_refund", {"order": debit["id"], "amount": debit["amount"], "why": "wrong", "note": "再退一次"})
    shop.gateway.inject("reject")
    shop.do("fincheck", "payment_refund", made, "pay_back")
    assert shop.rows("repayment", loan_id=loan)[0]["status"] == "reversed" and shop.account("2241.02") - owed == -debit["amount"]
    shop.settle_outside()
    assert shop.row("payment_refund", made)["status"] == "failed"
    with pytest.raises(NotPossible, match="left of the debit"):
        shop.do("fincheck", "payment_refund", twice, "pay_back")
    shop.do("fincheck", "payment_refund", made, "pay_back")
    shop.settle_outside()
    orders = shop.rows("payment_order", refund_id=made)
    assert shop.row("payment_refund", made)["status"] == "done" and [o["status"] for o in orders] == ["failed", "succeeded"]
    assert shop.account("2241.02") == owed and shop.account("1012") == held - debit["amount"]


def debited(shop: Lender) -> tuple[int, dict]:
    """A loan, and its debit that succeeded."""
    loan = desk.running_loan(shop)
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    shop.settle_outside()
    return loan, order_of(shop, loan)


def test_a_debit_goes_back_in_parts_the_loan_keeps_the_rest_and_the_channel_agrees(shop: Lender) -> None:
    loan, debit = debited(shop)
    owed, held = shop.account("2241.02"), shop.account("1012")
    given = [D("100.00"), D("33.33"), debit["amount"] - D("133.33")]
    for number, amount in enumerate(given, 1):
        shop.do("finance", "payment_order", debit["id"], "give_back", {"refund_amount": amount, "why": "wrong", "note": f"第 {number} 次"})
        made = shop.rows("payment_refund", order_id=debit["id"])[-1]["id"]
        shop.do("fincheck", "payment_refund", made, "pay_back")
        shop.settle_outside()
        assert shop.row("payment_refund", made)["status"] == "done"
        kept = debit["amount"] - sum(given[:number])
        standing = [row["amount"] for row in shop.rows("repayment", loan_id=loan) if row["status"] == "posted"]
        assert standing == ([kept] if kept else [])
        assert shop.row("payment_order", debit["id"])["refunded"] == sum(given[:number])
        assert (shop.account("2241.02"), shop.account("1012")) == (owed, held - sum(given[:number]))
    books_agree(shop)
    with pytest.raises(NotPossible):
        shop.do("finance", "payment_order", debit["id"], "give_back", {"refund_amount": D("0.01"), "why": "wrong", "note": "没有了"})
    refunds = [(row["cents"], row["state"]) for row in shop.gateway.statement(shop.gateway.today()) if row["kind"] == "refund" and row["state"] == "SUCCESS"]
    assert [cents for cents, _ in refunds][-3:] and {int(amount * 100) for amount in given} <= {cents for cents, _ in refunds}


def test_a_refund_whose_result_is_unknown_keeps_the_next_one_waiting(shop: Lender) -> None:
    loan, debit = debited(shop)
    first, second = [shop.create("finance", "payment_refund", {"order": debit["id"], "amount": D(50), "why": "wrong", "note": "分两次"}) for _ in range(2)]
    shop.gateway.inject("timeout_after_accept")
    shop.do("fincheck", "payment_refund", first, "pay_back")
    desk.one_call(shop)
    (order,) = shop.rows("payment_order", refund_id=first)
    assert order["status"] == "unknown"
    with pytest.raises(NotPossible, match="under way or its result unknown"):
        shop.do("fincheck", "payment_refund", second, "pay_back")
    desk.said(shop, order["id"], outcome="succeeded", amount=D(50))
    shop.do("fincheck", "payment_refund", second, "pay_back")
    desk.one_call(shop)
    (order,) = shop.rows("payment_order", refund_id=second)
    desk.said(shop, order["id"], outcome="succeeded", amount=D(50))
    assert shop.row("payment_order", debit["id"])["refunded"] == D(100)
    books_agree(shop)


def test_whoever_approves_a_refund_cannot_first_write_another_amount_into_it(shop: Lender) -> None:
    """A person with both roles would pay alone what somebody else began."""
    _, debit = debited(shop)
    made = shop.create("finance", "payment_refund", {"order": debit["id"], "amount": D(10), "why": "wrong", "note": "十元"})
    with pytest.raises(Invalid):
        shop.change("finance", "payment_refund", made, {"amount": debit["amount"]})
    shop.change("finance", "payment_refund", made, {"note": "十元整"})
    assert shop.row("payment_refund", made)["amount"] == D(10)
    shop.do("finance", "payment_refund", made, "cancel", reason="测试")


def test_a_refund_line_of_the_statement_is_compared_with_its_own_amount(shop: Lender) -> None:
    main = desk.channel(shop, "REFUNDS", priority=1)
    loan, debit = debited(shop)
    made = shop.create("finance", "payment_refund", {"order": debit["id"], "amount": D("60.00"), "why": "wrong", "note": "部分"})
    shop.do("fincheck", "payment_refund", made, "pay_back")
    shop.settle_outside()
    (back,) = shop.rows("payment_order", refund_id=made)
    run = shop.create("finance", "recon_run", {"pay_channel": main, "day": shop.stage.today})
    shop.do("finance", "recon_run", run, "fetch")
    lines = [{"reference": debit["pay_no"], "amount": str(debit["amount"]), "kind": "collect"},
             {"reference": back["pay_no"], "amount": "60.00", "kind": "refund"}]
    desk.statement(shop, run, lines)
    mine = {debit["pay_no"], back["pay_no"]}
    assert not [row for row in shop.rows("payment_difference", recon_id=run) if row["reference"] in mine]
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, [lines[0], {**lines[1], "amount": str(debit["amount"])}])
    assert [row["kind"] for row in shop.rows("payment_difference", recon_id=run) if row["reference"] in mine] == ["amount"]
    shop.do("finance", "payment_channel", main, "pause", reason="测试")


# -- receipts ------------------------------------------------------------------------------------------------------------


def line(shop: Lender, number: str, **values: object) -> int:
    return shop.create("finance", "bank_receipt", {"bank_serial_no": number, "our_account": "0200000000000001", "payer_name": "张三",
                                                   "amount": D("500.00"), "value_date": shop.stage.today, **values})


def test_a_line_is_parked_proposed_claimed_and_posted_by_two_people(shop: Lender) -> None:
    loan = desk.running_loan(shop)
    number, before = shop.row("loan", loan)["loan_no"], shop.account("2241.02")
    made = line(shop, "B-1", postscript=f"还款 {number} 谢谢")
    shop.do("finance", "bank_receipt", made, "find_loan")
    row = shop.row("bank_receipt", made)
    assert (row["status"], row["loan_id"], row["matched_by"]) == ("proposed", loan, "reference")
    assert shop.account("2241.02") - before == D(-500)
    shop.do("officer", "bank_receipt", made, "claim", {"loan": loan})
    with pytest.raises(NotAllowed):
        shop.do("officer", "bank_receipt", made, "post", {"kind": "due"})
    shop.do("fincheck", "bank_receipt", made, "post", {"kind": "due"})
    assert [r["bank_serial_no"] for r in shop.rows("repayment", loan_id=loan)] == ["B-1"] and shop.account("2241.02") == before
    with pytest.raises(MetaloomError):
        shop.do("fincheck", "bank_receipt", made, "unclaim", reason="错认")
    shop.do("finance", "bank_receipt", made, "unclaim", reason="错认")
    assert shop.rows("repayment", loan_id=loan)[0]["status"] == "reversed" and shop.account("2241.02") - before == D(-500)
    shop.do("finance", "bank_receipt", made, "claim", {"loan": loan})
    shop.do("fincheck", "bank_receipt", made, "post", {"kind": "due"})
    assert [r["bank_serial_no"] for r in shop.rows("repayment", loan_id=loan)] == ["B-1", "B-1#2"]
    with pytest.raises(Invalid):
        line(shop, "B-1")


def test_the_price_of_a_loan_that_was_sold_stands_in_the_bank_once(shop: Lender) -> None:
    """Only as it comes: the buyer owes the price (1221.02) until his lines are claimed by two people, in parts, never beyond the price."""
    loan = desk.running_loan(shop)
    bank, parked, owed = shop.account("1002"), shop.account("2241.02"), shop.account("1221.02")

    def moved() -> tuple[D, D, D]:
        return shop.account("1002") - bank, shop.account("2241.02") - parked, shop.account("1221.02") - owed

    change(shop, loan, "transfer", amount=D("9000.00"))
    assert moved() == (0, 0, D(9000))
    lines = [line(shop, f"T-{amount}", payer_name="资产管理公司", amount=D(amount)) for amount in (6000, 4000, 3000)]
    for made in lines:
        shop.do("finance", "bank_receipt", made, "find_loan")
        shop.do("officer", "bank_receipt", made, "claim", {"loan": loan})
    assert moved() == (D(13000), D(-13000), D(9000))
    shop.do("fincheck", "bank_receipt", lines[0], "post", {"kind": "due"})
    with pytest.raises(NotPossible, match=r"3,000\.00"):
        shop.do("fincheck", "bank_receipt", lines[1], "post", {"kind": "due"})
    shop.do("fincheck", "bank_receipt", lines[2], "post", {"kind": "due"})
    shop.do("finance", "bank_receipt", lines[1], "unclaim", reason="错认")
    shop.do("finance", "bank_receipt", lines[1], "reject", reason="退汇")
    assert moved() == (D(9000), 0, 0)
    assert shop.row("loan", loan)["settled_by"] == "transfer" and not shop.rows("repayment", loan_id=loan)
    books_agree(shop)
    shop.do("finance", "bank_receipt", lines[2], "unclaim", reason="错认")
    assert moved() == (D(9000), D(-3000), D(3000))
    shop.do("officer", "bank_receipt", lines[2], "claim", {"loan": loan})
    shop.do("fincheck", "bank_receipt", lines[2], "post", {"kind": "due"})
    assert moved() == (D(9000), 0, 0)


def test_the_line_of_a_sale_that_stands_in_the_bank_by_itself_is_not_booked_again(shop: Lender) -> None:
    """Sales of before had their price on 1002; whatever else an entry of a sale debits, its line is the money."""
    loan = desk.running_loan(shop)
    sale = change(shop, loan, "transfer", amount=D("9000.00"))
    made = line(shop, "T-before", payer_name="资产管理公司", amount=D("9000.00"))
    shop.do("finance", "bank_receipt", made, "find_loan")
    shop.do("officer", "bank_receipt", made, "claim", {"loan": loan})
    bank, owed = shop.account("1002"), shop.account("1221.02")
    table = shop.tenant.revision().tables.of("lending.loan_change")
    with changed(shop, table, sale, {"voucher_id": shop.row("bank_receipt", made)["parked_id"]}):
        shop.do("fincheck", "bank_receipt", made, "post", {"kind": "due"})
        assert (shop.row("bank_receipt", made)["status"], shop.row("bank_receipt", made)["proceeds_id"]) == ("posted", None)
        assert (shop.account("1002") - bank, shop.account("1221.02") - owed) == (D("-9000.00"), 0), "out of 2241.02, and nothing in its place"
        shop.do("finance", "bank_receipt", made, "unclaim", reason="错认")
    shop.do("officer", "bank_receipt", made, "claim", {"loan": loan})
    shop.do("fincheck", "bank_receipt", made, "post", {"kind": "due"})
    assert (shop.account("1002") - bank, shop.account("1221.02") - owed) == (0, D("-9000.00"))
    books_agree(shop)


def test_name_and_amount_due_find_the_loan_and_two_that_fit_find_none(shop: Lender) -> None:
    loan = desk.running_loan(shop, amount=D(24000))
    name = shop.row("customer", shop.row("loan", loan)["customer_id"])["name"]
    due = shop.plan(loan)[0]
    made = line(shop, "B-2", payer_name=name, amount=sum(due))
    shop.do("finance", "bank_receipt", made, "find_loan")
    assert (shop.row("bank_receipt", made)["loan_id"], shop.row("bank_receipt", made)["matched_by"]) in ((loan, "name_amount"), (loan, "name"))
    stranger = line(shop, "B-3", payer_name="查无此人")
    shop.do("finance", "bank_receipt", stranger, "find_loan")
    assert (shop.row("bank_receipt", stranger)["status"], shop.row("bank_receipt", stranger)["loan_id"]) == ("unclaimed", None)
    shop.do("finance", "bank_receipt", stranger, "reject", reason="退汇")
    assert shop.row("bank_receipt", stranger)["status"] == "rejected" and shop.row("bank_receipt", stranger)["parked_id"] is None


# -- reconciliation ------------------------------------------------------------------------------------------------------


def test_every_class_of_difference_is_found_and_none_corrects_itself(shop: Lender) -> None:
    desk.pause_all(shop)
    way = desk.channel(shop, "RECON")
    shop.day(shop.stage.today + timedelta(days=1))
    orders = []
    for _ in range(6):
        _, account, limit = shop.limit(amount=D(20000))
        drawdown = shop.drawdown(limit, account, amount=D(20000))
        shop.paid(drawdown)
        orders.append(dict(shop.rows("payment_order", drawdown_id=drawdown)[0]))
    lost = under_way(shop)
    same, alone, other, twice, failed, shifted = orders
    run = shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today})
    shop.do("finance", "recon_run", run, "fetch")
    lines = [{"reference": same["pay_no"], "amount": "20000.00"}, {"reference": other["pay_no"], "amount": "20000.01"},
             {"reference": twice["pay_no"], "amount": "20000.00"}, {"reference": twice["pay_no"], "amount": "20000.00"},
             {"reference": failed["pay_no"], "amount": "20000.00", "outcome": "failed"}, {"reference": lost["pay_no"], "amount": "20000.00"},
             {"reference": "ZF-NOT-OURS", "amount": "77.00", "kind": "collect", "fee": "1.50"},
             {"reference": "ZF-REFUSED", "amount": "1.00", "outcome": "failed"}]
    desk.statement(shop, run, [], outcome="unknown")
    assert shop.row("recon_run", run)["status"] == "open", "a statement that did not come whole is none"
    shop.do("finance", "recon_run", run, "fetch")
    desk.statement(shop, run, lines)
    got = {(row["kind"], row["reference"]) for row in shop.rows("payment_difference", recon_id=run)}
    wanted = {("ours_only", alone["pay_no"]), ("amount", other["pay_no"]), ("duplicate", twice["pay_no"]), ("state", failed["pay_no"]),
              ("state", lost["pay_no"]), ("theirs_only", "ZF-NOT-OURS"), ("ours_only", shifted["pay_no"])}
    assert got == wanted
    assert shop.row("payment_order", lost["id"])["status"] == "sending" and shop.row("payment_order", same["id"])["recon"] == "matched"
    with pytest.raises(NotPossible):
        shop.do("fincheck", "recon_run", run, "close")
    shop.day(shop.stage.today + timedelta(days=1))     # the channel's day ended later than ours
    after = shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today})
    shop.do("finance", "recon_run", after, "fetch")
    desk.statement(shop, after, [{"reference": shifted["pay_no"], "amount": "20000.00"}])
    assert [(row["kind"], row["reference"]) for row in shop.rows("payment_difference", recon_id=after)] == [("day_shift", shifted["pay_no"])]
    shop.do("finance", "recon_run", run, "fetch")      # once more: the same differences, and the one that the next day explains
    desk.statement(shop, run, lines)
    standing = [row for row in shop.rows("payment_difference", recon_id=run) if row["status"] == "open"]
    assert {(row["kind"], row["reference"]) for row in standing} == wanted - {("ours_only", shifted["pay_no"])} | {("day_shift", shifted["pay_no"])}
    handle(shop, standing, lost, failed)
    bank, held = shop.account("1002"), shop.account("1012")
    shop.do("fincheck", "recon_run", run, "close")
    closed = shop.row("recon_run", run)
    moved = D("77.00") - D("20000.00") * 4 - D("20000.01") - D("1.50")
    assert (closed["status"], closed["settled_amount"]) == ("closed", moved)
    assert (shop.account("1002") - bank, shop.account("1012") - held, shop.account("6603")) == (moved, -moved - D("1.50"), D("1.50"))


def test_a_channel_is_reconciled_in_its_own_company(shop: Lender) -> None:
    other = shop.stage.company("YF08", {"name": "又一家小额贷款有限公司"})
    way = shop.create("finance", "payment_channel", {**desk.CHANNEL, "code": "FAR", "name": "本公司的"})
    ctx = command.system_context(shop.tenant, plugins=shop.plugins, clock=shop.stage.clock)
    with pytest.raises(Invalid) as refused:
        command.create_record(ctx, "lending.recon_run", {"pay_channel": way, "day": shop.stage.today - timedelta(days=9), "company": other})
    assert [problem.field for problem in refused.value.problems] == ["pay_channel"]
    assert "须属于对账单的公司" in refused.value.problems[0].message.say("zh")


def test_a_day_begun_for_another_company_is_confirmed_and_settles_where_its_channel_stands(shop: Lender) -> None:
    """Rows from before the rule: they could be fetched and never confirmed."""
    other, way = shop.stage.company("YF09", {"name": "第三家小额贷款有限公司"}), desk.channel(shop, "ASTRAY", priority=90)
    run = shop.create("finance", "recon_run", {"pay_channel": way, "day": shop.stage.today - timedelta(days=12)})
    table = shop.tenant.revision().tables.of("lending.recon_run")
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == run).values(company_id=other))
    ctx = command.system_context(shop.tenant, plugins=shop.plugins, clock=shop.stage.clock)
    command.run_command(ctx, "loan_payments.fetch", run, {})
    desk.statement(shop, run, [{"reference": "ZF-ASTRAY", "amount": "10.00", "kind": "collect"}])
    (told,) = shop.rows("payment_difference", recon_id=run)
    command.run_command(ctx, "loan_payments.propose", told["id"], {"treatment": "suspense", "note": "已核实"})
    command.run_command(ctx, "loan_payments.confirm", told["id"], {})
    command.run_command(ctx, "loan_payments.close", run, {})
    row, home = shop.row("recon_run", run), shop.row("payment_channel", way)["company_id"]
    (entry,) = [one for one in shop.rows("platform.ledger_entry") if one["id"] == row["settled_id"]]
    assert (row["status"], row["company_id"], entry["company_id"]) == ("closed", other, home) and home != other
    assert [one["company_id"] for one in shop.rows("bank_receipt", postscript="ZF-ASTRAY")] == [home], "where the channel's money stands"
    shop.do("finance", "payment_channel", way, "pause", reason="测试")


def handle(shop: Lender, standing: list, lost: dict, failed: dict) -> None:
    """Two people, difference by difference."""
    for row in standing:
        adopt = row["reference"] == lost["pay_no"]
        park = row["kind"] == "theirs_only"
        if row["reference"] == failed["pay_no"]:
            with pytest.raises(NotPossible):
                shop.do("finance", "payment_difference", row["id"], "propose", {"treatment": "adopt", "note": "渠道说失败"})
        treatment = "adopt" if adopt else "suspense" if park else "carry" if row["kind"] in ("amount", "duplicate", "state") else "by_hand"
        shop.do("finance", "payment_difference", row["id"], "propose", {"treatment": treatment, "note": "已与渠道核实"})
        with pytest.raises(MetaloomError):
            shop.do("finance", "payment_difference", row["id"], "confirm")
        if adopt:
            assert shop.row("payment_order", lost["id"])["status"] == "sending", "a proposal does nothing"
        shop.do("fincheck", "payment_difference", row["id"], "confirm")
    assert shop.row("payment_order", lost["id"])["status"] == "succeeded" and len(shop.rows("loan", drawdown_id=lost["drawdown_id"])) == 1
    assert [row["amount"] for row in shop.rows("bank_receipt", through="channel", postscript="ZF-NOT-OURS")] == [D("77.00")]


def test_the_books_agree_after_all_of_this_and_a_day_settled_otherwise_than_stated_is_found(shop: Lender) -> None:
    books_agree(shop)
    names = {row["name"] for row in shop.rows("customer")}
    memos = [row["memo"] or "" for row in shop.rows("platform.ledger_entry")]
    assert len(memos) > 20 and not [memo for memo in memos if any(name in memo for name in names)], "no name stands in the books"
    orders, debit = shop.tenant.revision().tables.of("lending.payment_order"), [row for row in shop.rows("payment_order") if row["refunded"]][0]
    for told, named in ((D(1), {"loan_payments.refunded"}), (debit["refunded"], set())):
        with shop.tenant.write() as conn:
            conn.execute(orders.update().where(orders.c.id == debit["id"]).values(refunded=told))
        assert set(broken(shop)) - {"outbox"} == named
    table, closed = shop.tenant.revision().tables.of("lending.recon_run"), shop.rows("recon_run", status="closed")[0]
    for takes, status in ((closed["takes"], "compared"), (closed["takes"] + 1, "closed")):
        with shop.tenant.write() as conn:
            conn.execute(table.update().where(table.c.id == closed["id"]).values(status=status, takes=takes))
        assert set(broken(shop)) - {"outbox"} == {"loan_payments.settled"}
