"""The main job, clicked through as product manager, officer, reviewers and finance; the amounts of E01 on the screens."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.desk import Desk

pytestmark = pytest.mark.browser
ID_NO, BIRTHDAY = "33010619900101123X", "1990-01-01"


def test_a_borrower_goes_from_product_to_settled_loan_through_the_screens(house: Any, desk: Callable[[str], Desk]) -> None:
    lender = house.lender
    _product(desk)
    officer = desk("officer")
    customer = _customer(officer)
    _card(officer)
    _application(officer)
    lender.settle_outside()
    _reviews(desk)
    drawdown = _drawdown(officer)
    assert desk("review").decide("FK", opinion="同意放款") <= 3
    officer.go(f"/e/lending.drawdown/{drawdown}")
    assert officer.facts()["状态标签"] == "待放款"
    finance = desk("finance")
    finance.menu("借贷管理", "待放款")
    finance.page.locator("#listzone tbody a", has_text="FK").first.click()
    finance.act("放款")
    assert finance.facts()["状态标签"] == "放款处理中"
    lender.settle_outside()
    finance.page.reload()
    assert finance.facts()["状态标签"] == "已放款"
    _loan(desk, finance, officer)
    assert customer and lender.account("1303.01") == 0


def _product(desk: Callable[[str], Desk]) -> None:
    maker = desk("product")
    maker.go("/e/lending.loan_product/new")
    maker.fill({"product_code": "E01", "name": "标准等额贷", "customer_type": "个人"})
    maker.save()
    maker.go("/e/lending.loan_product_version/new")
    maker.fill({"product": ("标准等额贷",), "version_no": 1, "version_name": "标准等额贷 第1版", "guarantee_modes": ["信用"], "amount_min": "1000",
                "amount_max": "200000", "term_min": 1, "term_max": 12, "repay_methods": ["等额本息"], "annual_rate_min": "12",
                "annual_rate_max": "18"})
    version = maker.save()
    maker.act("提交审批")
    for risk in ("check", "review"):
        assert desk(risk).decide("标准等额贷 第1版") <= 3
    maker.go(f"/e/lending.loan_product_version/{version}")
    assert maker.facts()["状态标签"] == "启用"
    approver = desk("approve")
    approver.menu("产品管理", "产品配置中心")
    approver.page.locator("#listzone tbody a", has_text="E01").first.click()
    approver.act("启用")
    assert approver.facts()["状态标签"] == "启用"


def _customer(officer: Desk) -> int:
    """The ID number fills birthday and gender; a second customer with it is refused."""
    officer.go("/e/lending.customer/new")
    officer.fill({"name": "王小明", "id_no": ID_NO, "mobile": "13812345678", "monthly_income": "12000"})
    expect(officer.page.locator("[name=birthday]").last).to_have_value(BIRTHDAY)
    assert officer.shown("gender") == "男"
    customer = officer.save()
    officer.go("/e/lending.customer/new")
    officer.fill({"name": "王小明二", "id_no": ID_NO, "mobile": "13812345679"})
    assert "证件号" in officer.save_refused()
    officer.go(f"/e/lending.customer/{customer}")
    return customer


def _card(officer: Desk) -> None:
    officer.go("/e/lending.bank_account/new")
    officer.fill({"customer": ("王小明",), "account_name": "王小明", "bank_code": "中国工商银行", "card_no": "6222020200112233446",
                  "usage": ["放款", "还款"]})
    officer.save()


def _application(officer: Desk) -> int:
    officer.menu("评估授信", "授信申请")
    officer.go("/e/lending.credit_application/new")
    officer.fill({"customer": ("王小明",), "product": ("标准等额贷",), "apply_amount": "100000", "apply_term": "12", "repay_method": "等额本息",
                  "purpose": "经营周转", "consent": True})
    application = officer.save()
    officer.act("提交")
    assert officer.facts()["状态标签"] == "机审中"
    return application


def _reviews(desk: Callable[[str], Desk]) -> None:
    """Each decision is made in three clicks from the workbench; the case page shows what it is about."""
    check = desk("check")
    assert check.decide("王小明", values={"suggest_amount": "100000"}, opinion="资料齐全") <= 3
    check.menu("评估授信", "授信申请")
    expect(check.page.locator("main td", has_text="审核中").first).to_be_visible()
    review = desk("review")
    review.go("/")
    review.page.locator(".widget.k-todo .rows a, .bench .rows a", has_text="王小明").first.click()
    for words in ("授信申请 · SQ", "100,000.00", "资料齐全", "标准等额贷", "无不良记录", "建议金额"):
        expect(review.page.locator("main")).to_contain_text(words)
    assert review.decide("王小明", values={"approved_amount": "100000", "annual_rate": "12"}, opinion="同意") <= 3
    review.menu("评估授信", "授信申请")
    expect(review.page.locator("main td", has_text="通过").first).to_be_visible()


def _drawdown(officer: Desk) -> int:
    officer.go("/e/lending.drawdown/new")
    officer.fill({"limit": ("ED",), "amount": "100000", "term_months": "12", "repay_method": "等额本息", "payout_account": ("王小明",),
                  "purpose": "经营周转"})
    drawdown = officer.save()
    officer.act("提交")
    assert officer.facts()["状态标签"] == "审批中"
    return drawdown


def _loan(desk: Callable[[str], Desk], finance: Desk, officer: Desk) -> None:
    """The plan of E01 to the cent, the first receipt, early settlement as its chain agreed to it, and what the officer sees of it."""
    finance.menu("贷后业务查询", "贷款台账")
    finance.page.locator("#listzone tbody a", has_text="DK").first.click()
    loan = finance.record_id
    facts = finance.facts()
    assert (facts["贷款金额"], facts["贷款余额"], facts["状态标签"]) == ("100,000.00", "100,000.00", "还款中")
    plan = finance.tab("还款计划")
    assert len(plan) == 12
    assert {"2025-02-15", "7,884.88", "1,000.00", "8,884.88"} <= set(plan[0])
    assert {"2025-03-15", "7,963.73", "921.15", "8,884.88"} <= set(plan[1])
    assert {"2026-01-15", "8,796.88", "87.97", "8,884.85"} <= set(plan[11])
    finance.act("登记还款", {"amount": "8884.88"})
    finance.go(f"/e/lending.loan/{loan}")
    assert finance.facts()["贷款余额"] == "92,115.12"
    receipt = finance.tab("还款记录")[0]
    assert {"8,884.88", "7,884.88", "1,000.00"} <= set(receipt)
    assert "提前结清须先申请" in finance.act_refused("登记还款", {"kind": "贷款结清", "amount": "92115.12"})
    officer.go(f"/e/lending.loan/{loan}")
    officer.act("申请提前结清", {"reason": "客户资金回笼"})
    for who in ("check", "review", "approve"):
        assert desk(who).decide("提前结清", opinion="同意") <= 3
    finance.go(f"/e/lending.loan/{loan}")
    finance.act("登记还款", {"kind": "贷款结清", "amount": "92115.12"})
    finance.go(f"/e/lending.loan/{loan}")
    facts = finance.facts()
    assert (facts["贷款余额"], facts["状态标签"]) == ("0.00", "已结清")
    officer.menu("贷后业务查询", "已结清贷款查询")
    assert any("王小明" in row for row in officer.table())
