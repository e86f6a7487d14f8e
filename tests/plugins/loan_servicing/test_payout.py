"""Money leaves once: whatever the channel answers, whoever clicks how often (domain specification §7.1, decision 34)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D

import pytest

from metaloom.base.errors import Invalid, MetaloomError, NotPossible
from tests.plugins.lender import START, Lender
from tests.plugins.loan_servicing.books import books_agree


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    return both_lenders


def waiting(shop: Lender, card_ending: str = "") -> int:
    """A drawdown that waits for its payout."""
    _, account, limit = shop.limit(card_ending=card_ending)
    return shop.to_pay(shop.drawdown(limit, account))


def one_loan_one_posting(shop: Lender, drawdown: int) -> None:
    row = shop.row("drawdown", drawdown)
    loans = shop.rows("loan", drawdown_id=drawdown)
    assert (row["status"], [loan["id"] for loan in loans]) == ("paid", [row["loan_id"]])
    entries = shop.rows("platform.ledger_entry", entity="lending.loan", record_id=loans[0]["id"])
    assert [entry["event"] for entry in entries] == ["payout"]
    order = shop.rows("payment_order", drawdown_id=drawdown)[-1]
    assert shop.gateway.paid_cents(order["pay_no"]) == 100_000_00
    limit = shop.row("credit_limit", row["limit_id"])
    assert (limit["reserved"], limit["used"]) == (0, D(100000))


def ask_until_known(shop: Lender, tries: int = 8) -> None:
    """The worker's later questions, as hours pass."""
    for _ in range(tries):
        shop.settle_outside()


def test_nothing_leaves_before_the_command_is_committed(shop: Lender) -> None:
    drawdown = waiting(shop)
    shop.do("finance", "drawdown", drawdown, "payout")
    order = shop.rows("payment_order", drawdown_id=drawdown)[0]
    assert (order["status"], shop.row("drawdown", drawdown)["status"]) == ("sending", "paying")
    assert shop.gateway.paid_cents(order["pay_no"]) == 0 and not shop.rows("loan", drawdown_id=drawdown)
    shop.settle_outside()
    one_loan_one_posting(shop, drawdown)


def test_whose_account_it_is_cannot_change_between_approval_and_payout(shop: Lender) -> None:
    """Neither the drawdown's account nor the number behind it; and an account that was switched off is not paid to."""
    drawdown = waiting(shop)
    row = shop.row("drawdown", drawdown)
    account = row["payout_account_id"]
    known = shop.row("bank_account", account)
    other = shop.create("officer", "bank_account", {"customer": known["customer_id"], "account_name": known["account_name"], "bank_code": "ICBC",
                                                    "card_no": "6222020200112233446", "usage": ["payout"]})
    for entity, id, values in (("drawdown", drawdown, {"payout_account": other}), ("bank_account", account, {"card_no": "6222020200112233446"}),
                               ("bank_account", account, {"customer": shop.customer()[0]})):
        with pytest.raises((Invalid, NotPossible)):
            shop.change("officer", entity, id, values)
    assert shop.row("drawdown", drawdown)["payout_account_id"] == account
    shop.do("officer", "bank_account", account, "disable", reason="卡片遗失")
    with pytest.raises(NotPossible):
        shop.do("finance", "drawdown", drawdown, "payout")
    assert not shop.rows("payment_order", drawdown_id=drawdown)
    shop.do("officer", "bank_account", account, "enable")
    shop.do("finance", "drawdown", drawdown, "payout")
    shop.settle_outside()
    one_loan_one_posting(shop, drawdown)


@pytest.mark.parametrize("fault", ["timeout_after_accept", "timeout_before_accept", "error_500", "error_500_after_accept", "garbage", "bad_signature"])
def test_an_unclear_answer_is_asked_again_and_ends_in_one_loan_and_one_posting(shop: Lender, fault: str) -> None:
    drawdown = waiting(shop)
    shop.gateway.inject(fault)
    shop.gateway.inject("query_timeout")
    shop.do("finance", "drawdown", drawdown, "payout")
    with pytest.raises((NotPossible, Invalid)):
        shop.do("fincheck", "drawdown", drawdown, "payout")
    ask_until_known(shop)
    one_loan_one_posting(shop, drawdown)
    order = shop.rows("payment_order", drawdown_id=drawdown)
    assert [row["status"] for row in order] == ["succeeded"] and order[0]["queries"] >= 1


def test_a_timeout_is_unknown_and_a_person_may_ask_but_not_pay_again(shop: Lender) -> None:
    drawdown = waiting(shop, card_ending="9997")
    shop.stage.clock.day = START - timedelta(days=1)   # played in the past: the worker's next question would be due at once
    shop.stage.clock.day = START
    shop.do("finance", "drawdown", drawdown, "payout")
    from metaloom.job import run_due
    assert run_due(shop.tenant, {"call": shop.stage._handlers["call"]}, limit=1) == 1
    order = shop.rows("payment_order", drawdown_id=drawdown)[0]
    assert (order["status"], shop.row("drawdown", drawdown)["status"]) == ("unknown", "paying")
    for action in ("payout", "void"):
        with pytest.raises(NotPossible):
            shop.do("finance", "drawdown", drawdown, action, {}, "再付一次")
    assert not shop.rows("loan", drawdown_id=drawdown) and shop.gateway.paid_cents(order["pay_no"]) == 0
    shop.do("finance", "payment_order", order["id"], "query_result")
    assert shop.row("payment_order", order["id"])["queries"] == 2
    for row in shop.outbox():                          # the sandbox never answers for this card: let it rest
        if row["state"] == "pending" and row["kind"] == "call":
            with shop.tenant.write() as conn:
                table = shop.tenant.revision().tables.engine.outbox
                conn.execute(table.update().where(table.c.id == row["id"]).values(state="dead"))


def test_a_definite_failure_frees_the_way_for_a_new_order_and_the_limit_stays_reserved(shop: Lender) -> None:
    drawdown = waiting(shop)
    shop.gateway.inject("reject")
    shop.do("finance", "drawdown", drawdown, "payout")
    shop.settle_outside()
    row = shop.row("drawdown", drawdown)
    assert (row["status"], shop.row("credit_limit", row["limit_id"])["reserved"]) == ("pay_failed", D(100000))
    failed = shop.rows("payment_order", drawdown_id=drawdown)[0]
    assert failed["status"] == "failed" and failed["fail_text"] and not shop.rows("loan", drawdown_id=drawdown)
    shop.do("fincheck", "drawdown", drawdown, "payout")
    shop.settle_outside()
    first, second = shop.rows("payment_order", drawdown_id=drawdown)
    assert first["pay_no"] != second["pay_no"] and second["status"] == "succeeded"
    one_loan_one_posting(shop, drawdown)


def test_a_second_answer_about_the_same_order_changes_nothing(shop: Lender) -> None:
    from metaloom.command import run_command, system_context

    drawdown = waiting(shop)
    shop.do("finance", "drawdown", drawdown, "payout")
    shop.settle_outside()
    order = shop.rows("payment_order", drawdown_id=drawdown)[0]
    ctx = system_context(shop.tenant, plugins=shop.plugins, clock=shop.stage.clock)
    for outcome in ("succeeded", "failed", "unknown"):
        run_command(ctx, "loan_payments.result", order["id"], {"outcome": outcome, "gateway_no": "G2"})
    one_loan_one_posting(shop, drawdown)
    assert shop.row("payment_order", order["id"])["channel_trade_no"] != "G2"


def test_a_worker_that_dies_after_the_money_left_pays_once(shop: Lender) -> None:
    from metaloom.command import handle_call

    drawdown = waiting(shop)
    shop.do("finance", "drawdown", drawdown, "payout")
    row = next(row for row in shop.outbox() if row["state"] == "pending" and row["kind"] == "call")
    for _ in range(3):                                 # the lease ran out twice: others took over
        handle_call(shop.tenant, row, plugins=shop.plugins, clock=shop.stage.clock)
    shop.settle_outside()
    one_loan_one_posting(shop, drawdown)


def test_a_double_click_with_the_same_version_makes_one_order(shop: Lender) -> None:
    drawdown = waiting(shop)
    version = shop.row("drawdown", drawdown)["row_version"]
    shop.run("finance", "drawdown", drawdown, "payout", version)
    with pytest.raises(NotPossible):
        shop.run("finance", "drawdown", drawdown, "payout", version)
    shop.settle_outside()
    assert len(shop.rows("payment_order", drawdown_id=drawdown)) == 1
    one_loan_one_posting(shop, drawdown)


def test_twenty_people_at_once_make_one_order(shop: Lender) -> None:
    drawdown = waiting(shop)
    version = shop.row("drawdown", drawdown)["row_version"]

    def click(number: int) -> str:
        try:
            shop.run(("finance", "fincheck")[number % 2], "drawdown", drawdown, "payout", version)
            return "done"
        except MetaloomError as refusal:
            return refusal.code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(click, range(20)))
    assert answers.count("done") == 1, answers
    shop.settle_outside()
    assert len(shop.rows("payment_order", drawdown_id=drawdown)) == 1
    one_loan_one_posting(shop, drawdown)


def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(shop: Lender) -> None:
    drawdown = waiting(shop)
    version = shop.row("drawdown", drawdown)["row_version"]
    first = shop.run("finance", "drawdown", drawdown, "payout", version, key=f"pay-{drawdown}")
    again = shop.run("finance", "drawdown", drawdown, "payout", version, key=f"pay-{drawdown}")
    assert again.replayed and again.results == first.results
    with pytest.raises(MetaloomError) as refused:
        shop.run("finance", "drawdown", drawdown, "payout", version + 1, key=f"pay-{drawdown}")
    assert refused.value.status == 422
    shop.settle_outside()
    one_loan_one_posting(shop, drawdown)


def test_all_that_was_paid_is_in_the_books(shop: Lender) -> None:
    books_agree(shop)
    assert sum(shop.gateway.balances().values()) == 0
    assert shop.account("1012") == -sum((loan["principal_amount"] for loan in shop.rows("loan")), D(0))
