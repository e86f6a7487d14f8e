"""A debit that may still take money, and a prepayment or settlement that counts on it, do not meet on one loan (domain specification §4.4)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D
from time import sleep
from typing import Any

import pytest

from metaloom.base.errors import NotPossible
from metaloom.command.look_before import Seen, look_before
from metaloom_plugins.loan_payments import debits
from tests.plugins.lender import Lender
from tests.plugins.loan_payments import desk
from tests.plugins.loan_payments.differing import PENDING
from tests.plugins.loan_payments.test_payments import line
from tests.plugins.loan_payments.test_payments_together import at_once, loans_held
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.test_changes import change, propose


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    desk.channel(both_lenders, "MAIN")
    return both_lenders


def debited(shop: Lender) -> tuple[int, Any]:
    """A loan whose debit is with the channel and stays there until it is told, and the order."""
    loan = desk.running_loan(shop, card_ending=PENDING)
    shop.do("fincheck", "debit_batch", desk.batch(shop), "start")
    desk.one_call(shop)
    (order,) = shop.rows("payment_order", loan_id=loan, biz_type="collect")
    return loan, order


def quoted(shop: Lender, loan: int) -> Any:
    return shop.stage.as_user("finance").ask("lending.loan", loan, "settle_quote", {"value_date": shop.stage.today})


def seen(shop: Lender, loan: int) -> Seen:
    with shop.tenant.read() as conn:
        return look_before(shop.stage.as_user("finance")._context("look"), "lending.loan", "repay", loan, conn)


def offered(shop: Lender, loan: int) -> list[str]:
    return [one.values["kind"] for one in seen(shop, loan).fillings]


def refused(order: Any, *jobs: Callable[[], Any]) -> None:
    """Each is refused with the order's number, in both languages."""
    for job in jobs:
        with pytest.raises(NotPossible) as no:
            job()
        for tongue, words in (("zh", "代扣"), ("en", "debit")):
            assert order["pay_no"] in no.value.message.say(tongue) and words in no.value.message.say(tongue)


@pytest.mark.parametrize("state", ["sending", "unknown"])
def test_while_a_debit_has_no_result_nobody_settles_or_prepays(shop: Lender, state: str) -> None:
    loan, order = debited(shop)
    if state == "unknown":
        desk.said(shop, order["id"], outcome="unknown")
        desk.rest(shop)
    assert shop.row("payment_order", order["id"])["status"] == state
    total = quoted(shop, loan)["total"]
    shop.agree(shop.ask_settle(loan))
    shop.agree(shop.ask_prepay(loan, "3000.00"))
    receipts, legs = shop.rows("repayment", loan_id=loan), len(shop.rows("platform.ledger_leg"))
    came = line(shop, f"LS{order['id']}", amount=total)
    shop.do("officer", "bank_receipt", came, "claim", {"loan": loan})
    refused(order, lambda: shop.repay(loan, total, kind="settle"), lambda: shop.repay(loan, "9000.00", kind="prepay"),
            lambda: shop.do("fincheck", "bank_receipt", came, "post", {"kind": "settle"}))
    assert (shop.rows("repayment", loan_id=loan), len(shop.rows("platform.ledger_leg"))) == (receipts, legs)
    look = seen(shop, loan)
    assert (quoted(shop, loan)["open_debit"], look.values["open_debit"]) == (order["pay_no"],) * 2
    assert (look.values["settle"], look.values["prepay"], offered(shop, loan)) == (None, None, ["due"])
    desk.said(shop, order["id"], outcome="failed", code="INSUFFICIENT_FUNDS")
    look = seen(shop, loan)
    assert (quoted(shop, loan)["open_debit"], look.values["open_debit"], offered(shop, loan)) == (None, None, ["due", "settle", "prepay"])
    shop.do("fincheck", "bank_receipt", came, "post", {"kind": "settle"})
    assert shop.row("loan", loan)["status"] == "settled"
    books_agree(shop)


def test_a_debit_that_succeeded_stands_in_nobodys_way_and_what_is_due_may_always_be_paid(shop: Lender) -> None:
    loan, order = debited(shop)
    shop.repay(loan, "100.00")
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    shop.settle(loan, quoted(shop, loan)["total"])
    assert shop.row("loan", loan)["status"] == "settled"
    books_agree(shop)


def test_another_loans_debit_stands_in_nobodys_way(shop: Lender) -> None:
    mine = desk.running_loan(shop)
    loan = desk.running_loan(shop, card_ending=PENDING)
    batch = desk.batch(shop)
    shop.do("finance", "debit_item", desk.item_of(shop, batch, mine)["id"], "leave_out", reason="客户自行转账")
    shop.do("fincheck", "debit_batch", batch, "start")
    desk.one_call(shop)
    shop.settle(mine, quoted(shop, mine)["total"])
    (order,) = shop.rows("payment_order", loan_id=loan, biz_type="collect")
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])


def handle(shop: Lender, difference: Any, treatment: str = "by_hand") -> None:
    shop.do("finance", "payment_difference", difference["id"], "propose", {"treatment": treatment, "note": "渠道只扣了 500 元，已原路退回"})
    shop.do("fincheck", "payment_difference", difference["id"], "confirm")


@pytest.mark.parametrize("word", ["another amount", "silence"])
def test_a_debit_that_never_gets_a_result_is_ended_by_two_people_and_blocks_no_longer(shop: Lender, word: str) -> None:
    loan, order = debited(shop)
    if word == "silence":
        desk.said(shop, order["id"], outcome="unknown")
        assert not shop.rows("payment_difference", order_id=order["id"]), "it may still come"
        desk.rest(shop)
        shop.day(shop.stage.today + timedelta(days=2))
        for _ in range(2):
            desk.said(shop, order["id"], outcome="unknown")
    else:
        desk.said(shop, order["id"], outcome="succeeded", gateway_no="G-500", amount=D("500.00"))
    desk.rest(shop)
    (shown,) = shop.rows("payment_difference", order_id=order["id"])
    assert (shown["kind"], shown["status"]) == ("state" if word == "silence" else "amount", "open")
    total = quoted(shop, loan)["total"]
    shop.agree(shop.ask_settle(loan))
    refused(order, lambda: shop.repay(loan, total, kind="settle"))
    legs = len(shop.rows("platform.ledger_leg"))
    shop.do("finance", "payment_difference", shown["id"], "propose", {"treatment": "by_hand", "note": "已与渠道核实"})
    refused(order, lambda: shop.repay(loan, total, kind="settle"))
    assert shop.row("payment_order", order["id"])["status"] == "unknown", "a proposal does nothing"
    handle(shop, shown)
    ended, item = shop.row("payment_order", order["id"]), shop.row("debit_item", order["debit_item_id"])
    assert (ended["status"], ended["fail_text"], item["status"]) == ("failed", "渠道只扣了 500 元，已原路退回", "asking")
    assert len(shop.rows("platform.ledger_leg")) == legs and quoted(shop, loan)["open_debit"] is None
    shop.repay(loan, total, kind="settle")
    assert shop.row("loan", loan)["status"] == "settled"
    shop.do("finance", "debit_item", item["id"], "leave_out", reason="贷款已结清")
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    late = [row["kind"] for row in shop.rows("payment_difference", order_id=order["id"]) if row["status"] == "open"]
    assert (shop.row("payment_order", order["id"])["status"], late) == ("succeeded", ["unallocated"]), "money that came is never lost"
    assert shop.row("debit_item", item["id"])["status"] == "skipped"
    books_agree(shop)


def test_what_people_leave_as_it_is_ends_no_debit_and_is_shown_again(shop: Lender) -> None:
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="succeeded", amount=D("500.00"))
    handle(shop, shop.rows("payment_difference", order_id=order["id"])[0], "none")
    shop.agree(shop.ask_settle(loan, shop.stage.today + timedelta(days=9)))
    refused(order, lambda: shop.repay(loan, quoted(shop, loan)["total"], kind="settle"))
    shop.do("finance", "payment_order", order["id"], "query_result")
    desk.said(shop, order["id"], outcome="succeeded", amount=D("500.00"))
    desk.rest(shop)
    again = shop.rows("payment_difference", order_id=order["id"])[-1]
    assert (again["kind"], again["status"]) == ("amount", "open")
    handle(shop, again)
    shop.repay(loan, quoted(shop, loan)["total"], kind="settle")
    assert shop.row("loan", loan)["status"] == "settled"


def test_a_payout_without_a_result_is_never_ended_by_hand(shop: Lender) -> None:
    """It would be paid out a second time."""
    _, account, limit = shop.limit(amount=D(20000))
    shop.do("finance", "drawdown", shop.to_pay(shop.drawdown(limit, account, amount=D(20000))), "payout")
    order = shop.rows("payment_order", biz_type="payout")[-1]
    desk.said(shop, order["id"], outcome="succeeded", amount=D("20000.01"))
    handle(shop, shop.rows("payment_difference", order_id=order["id"])[0])
    assert shop.row("payment_order", order["id"])["status"] == "unknown"
    shop.settle_outside()
    assert shop.row("payment_order", order["id"])["status"] == "succeeded"


@pytest.mark.parametrize("why", ["settles today", "claimed"])
def test_another_try_is_refused_for_as_long_as_money_that_was_agreed_to_is_awaited(shop: Lender, why: str) -> None:
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="failed", code="NO_RULE")
    item = order["debit_item_id"]
    today, came = shop.stage.today, 0
    shop.agree(shop.ask_settle(loan, today + timedelta(days=0 if why == "settles today" else 9)))
    if why == "claimed":
        came = line(shop, f"LA{order['id']}", amount=D("100.00"))
        shop.do("officer", "bank_receipt", came, "claim", {"loan": loan})
    with pytest.raises(NotPossible) as no:
        shop.do("finance", "debit_item", item, "debit_again")
    for tongue, words in (("zh", "当日提前结清" if why == "settles today" else "已认领"), ("en", "settled today" if why == "settles today" else "is claimed")):
        assert words in no.value.message.say(tongue)
    assert shop.row("debit_item", item)["status"] == "asking" and len(shop.rows("payment_order", loan_id=loan, biz_type="collect")) == 1
    if why == "claimed":
        shop.do("finance", "bank_receipt", came, "unclaim", reason="认错")
    else:
        shop.day(today + timedelta(days=1))
    shop.do("finance", "debit_item", item, "debit_again")
    second = shop.rows("payment_order", loan_id=loan, biz_type="collect")[-1]
    assert (shop.row("debit_item", item)["status"], second["id"] != order["id"]) == ("sending", True)
    desk.said(shop, second["id"], outcome="succeeded", amount=second["amount"])
    assert shop.row("debit_item", item)["status"] == "paid"


def test_another_try_of_what_is_not_owed_any_more_is_left_out_with_the_reason(shop: Lender) -> None:
    loan, order = debited(shop)
    desk.said(shop, order["id"], outcome="failed", code="NO_RULE")
    shop.repay(loan, "100.00")
    shop.do("finance", "debit_item", order["debit_item_id"], "debit_again")
    left = shop.row("debit_item", order["debit_item_id"])
    assert (left["status"], left["fail_text"]) == ("skipped", "欠款已减少，请重新生成批次 / less is owed now; prepare a new batch")
    shop.settle(loan, quoted(shop, loan)["total"])


def test_money_that_came_on_the_agreed_day_settles_though_a_debit_took_money_the_day_after(shop: Lender) -> None:
    loan, order = debited(shop)
    total, agreed, agreed_on = quoted(shop, loan)["total"], shop.ask_settle(loan), shop.stage.today
    shop.agree(agreed)
    came = line(shop, f"LD{order['id']}", amount=total)
    shop.do("officer", "bank_receipt", came, "claim", {"loan": loan})
    refused(order, lambda: shop.do("fincheck", "bank_receipt", came, "post", {"kind": "settle"}))
    shop.day(shop.stage.today + timedelta(days=1))
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    left = quoted(shop, loan)["total"]
    assert total - order["amount"] < left < total, "with a day's interest on what the debit left"
    for time in ("first", "again"):
        shop.do("fincheck", "bank_receipt", came, "post", {"kind": "settle"})
        settled = shop.row("repayment", shop.row("bank_receipt", came)["repayment_id"])
        assert (settled["kind"], settled["value_date"], settled["surplus"]) == ("settle", agreed_on, 0), "our own debit costs the borrower no interest"
        closed = shop.row("loan", loan)
        assert (closed["status"], closed["settled_on"], closed["suspense"]) == ("settled", agreed_on, order["amount"]), "what the debit took is the borrower's"
        assert shop.row("loan_change", agreed)["status"] == "used"
        books_agree(shop)
        if time == "first":
            shop.do("finance", "bank_receipt", came, "unclaim", reason="认错")
            assert (shop.row("loan", loan)["status"], shop.row("loan_change", agreed)["status"]) == ("normal", "agreed")
            shop.do("officer", "bank_receipt", came, "claim", {"loan": loan})
    change(shop, loan, "refund", amount=order["amount"])
    assert shop.row("loan", loan)["suspense"] == 0
    books_agree(shop)


def test_money_that_suffices_only_with_the_debit_settles_on_the_day_of_the_debit(shop: Lender) -> None:
    loan, order = debited(shop)
    total = quoted(shop, loan)["total"]
    shop.agree(shop.ask_settle(loan))
    came = line(shop, f"LG{order['id']}", amount=total - 1)
    shop.do("officer", "bank_receipt", came, "claim", {"loan": loan})
    shop.day(shop.stage.today + timedelta(days=1))
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    left = quoted(shop, loan)["total"]
    shop.do("fincheck", "bank_receipt", came, "post", {"kind": "settle"})
    settled = shop.row("repayment", shop.row("bank_receipt", came)["repayment_id"])
    assert (settled["kind"], settled["value_date"], settled["surplus"]) == ("settle", shop.stage.today, total - 1 - left)
    books_agree(shop)


@pytest.mark.parametrize("kind", ["settle", "prepay"])
def test_a_transfer_that_waited_for_a_debit_is_booked_on_the_day_it_came(shop: Lender, kind: str) -> None:
    """Not a claimed line, but written down by finance."""
    loan, order = debited(shop)
    came, total = shop.stage.today, quoted(shop, loan)["total"]
    shop.agree(shop.ask_settle(loan) if kind == "settle" else shop.ask_prepay(loan, "3000.00"))
    refused(order, lambda: shop.repay(loan, total, kind=kind))
    shop.day(came + timedelta(days=2))
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    booked = shop.repay(loan, total if kind == "settle" else "9000.00", kind=kind, on=came)
    assert (booked["kind"], booked["value_date"], shop.row("loan", loan)["status"]) == (kind, came, "settled" if kind == "settle" else "normal")
    books_agree(shop)


@pytest.mark.parametrize("kind", ["transfer", "repossess", "write_off"])
def test_nothing_takes_a_loan_off_the_books_while_a_debit_of_it_has_no_result(shop: Lender, kind: str) -> None:
    loan, order = debited(shop)
    table = shop.tenant.revision().tables.of("lending.loan")
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == loan).values(risk_class="loss"))
    if kind == "write_off":
        asked = shop.ask_write_off(loan)
        for who in ("check", "review"):
            shop.decide(who, "loan_change", asked)
        jobs = [lambda: shop.decide("approve", "loan_change", asked)]
    else:
        asked = propose(shop, loan, kind, amount=D("5000.00"))
        jobs = [lambda: shop.do("fincheck", "loan_change", asked, "apply_change")]
    legs = len(shop.rows("platform.ledger_leg"))
    refused(order, *jobs)
    assert (shop.row("loan", loan)["status"], len(shop.rows("platform.ledger_leg"))) == ("normal", legs)
    desk.said(shop, order["id"], outcome="failed", code="INSUFFICIENT_FUNDS")
    jobs[0]()
    assert shop.row("loan", loan)["status"] == ("written_off" if kind == "write_off" else "settled")
    assert shop.row("loan_change", asked)["status"] == "applied"
    books_agree(shop)


def test_claimed_money_that_does_not_suffice_or_came_too_late_pays_what_is_due_and_the_rest_is_settled_anew(shop: Lender) -> None:
    loan, order = debited(shop)
    agreed = shop.ask_settle(loan)
    shop.agree(agreed)
    came = line(shop, f"LE{order['id']}", amount=D("5000.00"))
    shop.do("officer", "bank_receipt", came, "claim", {"loan": loan})
    shop.day(shop.stage.today + timedelta(days=1))
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    late = line(shop, f"LF{order['id']}", amount=D("20000.00"))
    shop.do("officer", "bank_receipt", late, "claim", {"loan": loan})

    def no(claimed: int, *words: str) -> None:
        with pytest.raises(NotPossible) as said:
            shop.do("fincheck", "bank_receipt", claimed, "post", {"kind": "settle"})
        for tongue, words_said in zip(("zh", "en"), words, strict=True):
            assert words_said in said.value.message.say(tongue)

    no(came, f"按 {shop.stage.today} 结清应付", f"Settling on {shop.stage.today} takes")
    no(late, "批准的有效期至", "agreed to until")
    shop.do("finance", "bank_receipt", late, "unclaim", reason="认错")
    shop.repay(loan, "10.00")
    no(came, "不能早于该贷款最近一笔交易", "before the loan's last transaction")
    shop.do("fincheck", "bank_receipt", came, "post", {"kind": "due"})
    shop.do("officer", "loan_change", agreed, "cancel", {}, "有效期已过")
    shop.settle(loan, quoted(shop, loan)["total"])
    assert shop.row("loan", loan)["status"] == "settled"
    books_agree(shop)


# -- the other way round -------------------------------------------------------------------------------------------------


def test_a_batch_leaves_out_a_loan_that_is_to_be_settled_that_day_and_says_why(shop: Lender) -> None:
    settles, later, plain = (desk.running_loan(shop, card_ending=PENDING) for _ in range(3))
    shop.agree(shop.ask_settle(settles))
    shop.agree(shop.ask_settle(later, shop.stage.today + timedelta(days=1)))
    batch = desk.batch(shop)
    row, item = shop.row("debit_batch", batch), desk.item_of(shop, batch, settles)
    assert (item["status"], item["fail_text"]) == ("skipped", f"{debits.SETTLES[0]} / {debits.SETTLES[1]}")
    sums = [desk.item_of(shop, batch, loan)["amount"] for loan in (later, plain)]
    assert (row["total_count"], row["total_amount"]) == (2, sum(sums)), "what is left out is in no sum"
    shop.day(shop.stage.today + timedelta(days=1))
    shop.do("fincheck", "debit_batch", batch, "start")
    assert desk.item_of(shop, batch, later)["status"] == "skipped", "started on the day that was agreed for the other"
    assert desk.item_of(shop, batch, later)["fail_text"] == f"{debits.SETTLES[0]} / {debits.SETTLES[1]}"
    assert desk.item_of(shop, batch, plain)["status"] == "sending" and not shop.rows("payment_order", loan_id=later, biz_type="collect")
    desk.one_call(shop)
    shop.repay(later, quoted(shop, later)["total"], kind="settle")
    (order,) = shop.rows("payment_order", loan_id=plain, biz_type="collect")
    desk.said(shop, order["id"], outcome="succeeded", amount=order["amount"])
    again = desk.batch(shop)
    assert desk.item_of(shop, again, settles)["status"] == "waiting", "its day is over, nobody paid: it is debited as ever"
    shop.do("fincheck", "debit_batch", again, "cancel_batch", reason="测试")


@pytest.mark.parametrize("kind", ["settle", "prepay"])
def test_a_batch_leaves_out_a_loan_whose_agreed_money_is_claimed(shop: Lender, kind: str) -> None:
    loan, _ = desk.running_loan(shop), desk.running_loan(shop)
    until = shop.stage.today + timedelta(days=9)
    shop.agree(shop.ask_settle(loan, until) if kind == "settle" else shop.ask_prepay(loan, "3000.00", valid_until=until))
    came = line(shop, f"LS-{kind}", amount=D("12000.00"))
    shop.do("officer", "bank_receipt", came, "claim", {"loan": loan})
    batch = desk.batch(shop)
    item = desk.item_of(shop, batch, loan)
    assert (item["status"], item["fail_text"]) == ("skipped", f"{debits.CLAIMED[0]} / {debits.CLAIMED[1]}")
    shop.do("fincheck", "debit_batch", batch, "cancel_batch", reason="测试")
    shop.do("finance", "bank_receipt", came, "unclaim", reason="认错")
    batch = desk.batch(shop)
    assert desk.item_of(shop, batch, loan)["status"] == "waiting", "no money is there, and its day is to come"
    shop.do("fincheck", "debit_batch", batch, "cancel_batch", reason="测试")


def test_a_batch_in_which_every_loan_is_to_be_settled_is_refused(shop: Lender) -> None:
    for row in shop.rows("loan", status="normal"):
        for agreed in shop.rows("loan_change", loan_id=row["id"], kind="settle", status="agreed"):
            shop.do("officer", "loan_change", agreed["id"], "cancel", {}, "改期")
        shop.agree(shop.ask_settle(row["id"]))
    with pytest.raises(NotPossible, match="settled"):
        desk.batch(shop)


@pytest.mark.parametrize("first", ["batch", "settlement"])
def test_a_batch_and_a_settlement_at_once_never_both_take_the_loan(shop: Lender, first: str) -> None:
    """Both stand before the loan while somebody else holds it; on PostgreSQL they get it in the order in which they came."""
    loan = desk.running_loan(shop, card_ending=PENDING)
    batch = desk.batch(shop)                       # before it is agreed to, so only the start looks
    shop.agree(shop.ask_settle(loan, shop.stage.today + timedelta(days=3)))
    total = quoted(shop, loan)["total"]
    jobs = [lambda: shop.do("fincheck", "debit_batch", batch, "start"), lambda: shop.repay(loan, total, kind="settle")]
    with ThreadPoolExecutor(2) as pool:
        with loans_held(shop, 2):
            came = []
            for job in jobs if first == "batch" else reversed(jobs):
                came.append(pool.submit(at_once, job))
                sleep(0.7)
        said = [one.result(timeout=60)[0] for one in came]
    desk.rest(shop)
    said = said if first == "batch" else said[::-1]
    orders, settled = shop.rows("payment_order", loan_id=loan, biz_type="collect"), shop.row("loan", loan)["status"] == "settled"
    assert said[0] == "done" and settled == (said[1] == "done") and bool(orders) != settled, (said, orders)
    if orders:
        desk.said(shop, orders[0]["id"], outcome="failed", code="INSUFFICIENT_FUNDS")
        shop.repay(loan, total, kind="settle")
    books_agree(shop)
