"""What goes wrong on the way, as people see it: said in their language, nothing stored twice, nothing lost."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest

from tests.journeys.desk import Desk

pytestmark = pytest.mark.browser


def test_an_amount_outside_the_product_is_said_at_its_field_and_the_form_keeps_what_was_typed(house: Any, desk: Callable[[str], Desk]) -> None:
    lender = house.lender
    product = lender.product(amount_min=D(5000), amount_max=D(200000))
    customer, _ = lender.customer()
    name, sort = lender.row("customer", customer)["name"], lender.row("loan_product", product)["name"]
    officer = desk("officer")
    officer.go("/e/lending.credit_application/new")
    officer.fill({"customer": (name,), "product": (sort,), "apply_amount": "200000.01", "apply_term": "12", "repay_method": "等额本息",
                  "purpose": "经营周转"})
    said = officer.save_refused()
    assert "申请金额" in said and "5,000.00" in said and "200,000.00" in said
    assert officer.shown("apply_amount").replace(",", "") == "200000.01" and officer.shown("purpose") == "经营周转"
    assert not lender.rows("credit_application", customer_id=customer)
    officer.fill({"apply_amount": "200000"})
    officer.save()
    assert [row["apply_amount"] for row in lender.rows("credit_application", customer_id=customer)] == [D(200000)]


def test_a_blacklisted_customer_cannot_apply(house: Any, desk: Callable[[str], Desk]) -> None:
    lender = house.lender
    customer, _ = lender.customer()
    check = desk("check")
    check.go(f"/e/lending.customer/{customer}")
    check.act("加入黑名单", {"reason_code": "欺诈"}, reason="提供虚假材料")
    assert check.facts()["状态标签"] == "黑名单"
    officer = desk("officer")
    officer.go(f"/e/lending.customer/{customer}")
    assert not officer.offers("发起授信申请")
    officer.go(f"/e/lending.credit_application/new?customer={customer}")
    officer.fill({"product": (lender.row("loan_product", lender.product())["name"],), "apply_amount": "10000", "apply_term": "6",
                  "repay_method": "等额本息", "purpose": "医疗"})
    assert "客户" in officer.save_refused()
    assert not lender.rows("credit_application", customer_id=customer)


def test_a_gateway_that_does_not_answer_leaves_the_payout_unknown_until_it_was_asked(house: Any, desk: Callable[[str], Desk]) -> None:
    lender = house.lender
    _, account, limit = lender.limit()
    drawdown = lender.to_pay(lender.drawdown(limit, account))
    lender.gateway.inject("timeout_after_accept")
    finance = desk("finance")
    finance.go(f"/e/lending.drawdown/{drawdown}")
    finance.act("放款")
    _one_call(lender)
    finance.page.reload()
    assert finance.facts()["状态标签"] == "放款处理中" and not finance.offers("放款") and not finance.offers("出账作废")
    order = lender.rows("payment_order", drawdown_id=drawdown)[0]
    finance.go(f"/e/lending.payment_order/{order['id']}")
    assert finance.facts()["状态标签"] == "结果未知"
    finance.act("查询结果")
    lender.settle_outside()
    finance.page.reload()
    assert finance.facts()["状态标签"] == "成功"
    finance.go(f"/e/lending.drawdown/{drawdown}")
    assert finance.facts()["状态标签"] == "已放款"
    assert len(lender.rows("loan", drawdown_id=drawdown)) == 1
    assert lender.gateway.paid_cents(order["pay_no"]) == 100_000_00


def test_a_double_click_on_payout_makes_one_order(house: Any, desk: Callable[[str], Desk]) -> None:
    lender = house.lender
    _, account, limit = lender.limit()
    drawdown = lender.to_pay(lender.drawdown(limit, account))
    finance, second = desk("finance"), desk("fincheck")
    for window in (finance, second):
        window.go(f"/e/lending.drawdown/{drawdown}")
        window.open_action("放款")
        window.page.wait_for_selector("#dialog form")
    finance.page.locator("#dialog .dlg-foot button:not([data-close-dialog])").dblclick()
    finance.page.wait_for_selector("#dialog form", state="detached")
    second.page.click("#dialog .dlg-foot button:not([data-close-dialog])")
    said = second.seen(".notice.bad")
    assert "没有重复执行" in said and "放款只能发起一次" in said and "重新提交" not in said
    assert second.facts()["状态标签"] == "放款处理中"
    lender.settle_outside()
    assert len(lender.rows("payment_order", drawdown_id=drawdown)) == 1
    assert len(lender.rows("loan", drawdown_id=drawdown)) == 1


def test_what_is_paid_too_much_is_kept_and_used(house: Any, desk: Callable[[str], Desk]) -> None:
    lender = house.lender
    loan = lender.loan()
    finance = desk("finance")
    finance.go(f"/e/lending.loan/{loan}")
    finance.act("登记还款", {"amount": "9000"})
    finance.go(f"/e/lending.loan/{loan}")
    assert {"9,000.00", "7,884.88", "1,000.00", "115.12"} <= set(finance.tab("还款记录")[0])
    lender.day(date(2025, 3, 15))
    finance.log_in("finance")                          # two months later
    finance.go(f"/e/lending.loan/{loan}")
    finance.act("登记还款", {"amount": "8769.76"})
    row = lender.row("loan", loan)
    assert (row["suspense"], row["paid_periods"]) == (0, 2)


def _one_call(lender: Any) -> None:
    """The worker makes the one call that waits and stops before it asks again."""
    from metaloom.job import run_due

    assert run_due(lender.tenant, {"call": lender.stage._handlers["call"]}, limit=1) == 1
