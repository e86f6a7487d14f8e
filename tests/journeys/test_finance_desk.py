"""What finance sees: what is owed before it is booked, and the voucher after it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.desk import Desk

pytestmark = pytest.mark.browser


def test_a_repayment_is_filled_in_booked_and_read_as_a_voucher(house: Any, desk: Callable[[str], Desk]) -> None:
    loan = house.lender.loan()
    house.lender.agree(house.lender.ask_settle(loan))
    number = house.lender.row("loan", loan)["loan_no"]
    finance = desk("finance")
    finance.go(f"/e/lending.loan/{loan}")
    _dialog_of_a_repayment(finance)
    finance.act("登记还款")
    _voucher(finance, number)


def _dialog_of_a_repayment(finance: Desk) -> None:
    """It says what is due and fills it in; a button fills in what settles the loan."""
    finance.open_action("登记还款")
    finance.page.wait_for_selector("#dialog form")
    said = finance.page.locator("#dialog .looks").inner_text()
    assert "应还合计" in said and "8,884.88" in said and "100,000.00" in said
    assert finance.page.input_value("#dialog [name=amount]") == "8884.88"
    finance.page.locator("#dialog .fillings button", has_text="结清").click()
    assert (finance.page.input_value("#dialog [name=amount]"), finance.page.input_value("#dialog [name=kind]")) == ("100000.00", "settle")
    finance.page.locator("#dialog .fillings button", has_text="还清应还").click()
    assert (finance.page.input_value("#dialog [name=amount]"), finance.page.input_value("#dialog [name=kind]")) == ("8884.88", "due")
    finance.page.locator("#dialog [data-close-dialog]").first.click()


def _voucher(finance: Desk, loan_no: str) -> None:
    """Found by the number of the loan, it reads like a voucher: accounts by name, two columns that balance, capitals, the loan."""
    finance.menu("账务中心", "会计凭证")
    finance.page.fill("[name='f.memo']", loan_no)
    finance.page.press("[name='f.memo']", "Enter")
    finance.page.wait_for_url("**f.memo=**")
    expect(finance.page.locator("#listzone tbody tr")).to_have_count(2)
    finance.page.locator("#listzone tbody tr a").first.click()
    said = finance.seen(".voucher")
    assert "1002 银行存款" in said and "6011.01 利息收入-利息" in said and "借贷平衡" in said and "捌仟捌佰捌拾肆元捌角捌分" in said
    assert [cells[2:] for cells in finance.table(".voucher table.sheet")] == [["8,884.88", ""], ["", "7,884.88"], ["", "1,000.00"]]
    assert finance.page.locator(".voucher .about a", has_text="DK").count() == 1
    finance.page.locator(".voucher .about a", has_text="HK").click()
    finance.page.wait_for_url("**/e/lending.repayment/**")
    link = finance.page.locator("main a[href*='platform.ledger_entry']").first
    assert link.inner_text() == "还款", "a link to a voucher says its event in words"
