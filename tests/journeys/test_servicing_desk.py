"""A late loan at the desk of finance: what it owes, a receipt that does not settle it, a waiver that a second person puts in force."""

import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest

from tests.journeys.desk import Desk

pytestmark = pytest.mark.browser


def shot(desk: Desk, name: str) -> None:
    folder = os.environ.get("METALOOM_SHOTS")
    if folder:
        desk.page.screenshot(path=f"{folder}/{name}.png")


def test_a_late_loan_is_read_refused_in_the_dialog_and_waived_by_two_people(house: Any, desk: Callable[[str], Desk]) -> None:
    lender = house.lender
    loan = lender.loan()
    lender.day(date(2025, 4, 6))
    for due in (date(2025, 2, 15),):
        lender.repay(loan, "8884.88", on=due)
    finance = desk("finance")
    finance.go(f"/e/lending.loan/{loan}")
    facts = finance.facts()
    shot(finance, "late-loan")
    assert (facts["逾期天数"], facts["逾期合计"], facts["未还罚息"]) == ("22", "8,972.48", "87.60"), facts
    said = finance.act_refused("登记还款", {"kind": "贷款结清", "amount": "50000"})
    shot(finance, "refused")
    assert "提前结清须先申请" in said and finance.page.locator("#dialog .notice.bad").count() == 1, "in the dialog"
    finance.page.locator("#dialog [data-close-dialog]").first.click()
    finance.open_action("申请变更")
    finance.page.wait_for_selector("#dialog [data-field=component]")
    shot(finance, "change")
    assert finance.page.locator("#dialog [data-field=component]").is_visible() and not finance.page.locator("#dialog [data-field=new_rate]").is_visible()
    finance.page.locator("#dialog [data-close-dialog]").first.click()
    finance.act("申请变更", {"kind": "减免", "component": "罚息", "amount": "87.60", "reason": "客户住院，已核实"})
    change = lender.rows("loan_change", loan_id=loan)[0]
    assert (change["status"], lender.row("loan", loan)["penalty_balance"]) == ("submitted", D("87.60"))
    checker = desk("fincheck")
    checker.go(f"/e/lending.loan_change/{change['id']}")
    checker.act("复核生效")
    assert checker.facts()["状态标签"] == "已生效"
    checker.go(f"/e/lending.loan/{loan}")
    assert (checker.facts()["未还罚息"], checker.facts()["逾期合计"]) == ("0.00", "8,884.88")
