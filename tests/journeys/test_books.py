"""Finance reads the balances of the books, goes down to the legs, takes the table along, and closes a month."""

import csv
import io
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.plugins.loan_servicing.days import end_day, tick

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lent(house):
    lender = house.lender
    loan = lender.loan()
    lender.day(date(2025, 2, 15))
    lender.repay(loan, "8884.88")
    lender.day(date(2025, 3, 3))
    return loan


def cells(page):
    rows = page.locator("table.books tbody tr").all()
    return {row.locator("td").nth(0).inner_text().strip(): [row.locator("td").nth(n).inner_text().strip() for n in range(1, 6)] for row in rows}


def shot(page, name):
    folder = os.environ.get("METALOOM_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_balances_lead_to_their_legs_and_a_closed_month_takes_no_entry(house, desk, lent):
    finance = desk("fincheck")
    page = finance.page
    finance.menu("账务中心", "科目余额表")
    page.wait_for_selector("text=科目余额表")
    finance.go("/books/balance?since=2025-02-01&until=2025-02-28")
    assert page.locator(".pagehead .tag").inner_text() == "试算平衡"
    found = cells(page)
    assert found["1303.01"][1] == "借 100,000.00" and found["1303.01"][2] == "-"
    assert found["1002"][2] == "8,884.88"
    assert found["1012"][1] == "贷 100,000.00"
    assert (found["1303.01"][3], found["6011.01"][3]) == ("7,884.88", "466.67"), "the interest of the 14 days of February; 533.33 is January's"
    shot(page, "balance")
    page.set_viewport_size({"width": 390, "height": 800})
    csv_button, print_button = page.locator(".btnset .btn").all()
    assert csv_button.bounding_box()["y"] == print_button.bounding_box()["y"], "the two stand in one line on a phone"
    shot(page, "balance-phone")
    page.set_viewport_size({"width": 1440, "height": 900})

    with page.expect_download() as download:
        page.click("text=CSV")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    assert {row["科目编码"] for row in rows} == set(found)
    lowest = [row for row in rows if not any(other["科目编码"].startswith(row["科目编码"] + ".") for other in rows)]
    assert len(lowest) == len(rows) - 3, "1132, 1303 and 6011 stand above their accounts"
    assert sum(Decimal(row["本期借方"]) - Decimal(row["本期贷方"]) for row in lowest) == 0

    page.locator("table.books a", has_text="1002").first.click()
    page.wait_for_selector("#listzone table.sheet tbody tr")
    assert len(page.locator("#listzone table.sheet tbody tr").all()) == 1

    finance.go("/e/platform.ledger_period/new")
    finance.fill({"month": "2025-01"})
    number = house.lender.row("loan", lent)["loan_no"]
    assert f"贷款 {number} 未计提 2025-01-31 的准备金" in finance.save_refused()
    assert page.locator("#problems ul.found a", has_text=number).get_attribute("href").endswith(f"/e/lending.loan/{lent}")
    tick(house.lender)
    end_day(house.lender)
    finance.log_in("fincheck")      # a night has passed: the session is over
    for month, said in (("2025-02", "先月结 2025-01"), ("2025-13", "请填写月份"), ("2025-03", "没有结束|先月结")):
        finance.go("/e/platform.ledger_period/new")
        finance.fill({"month": month})
        told = finance.save_refused()
        assert any(words in told for words in said.split("|")), told
    for month in ("2025-01", "2025-02"):
        finance.go("/e/platform.ledger_period/new")
        finance.fill({"month": month})
        finance.save()
    shot(page, "period")
    finance.go("/books/balance?since=2025-03-01&until=2025-03-03")
    assert "6011.01" not in cells(page) or cells(page)["6011.01"][1] == "平"
    assert cells(page)["4103"][1].startswith("贷")
    with pytest.raises(sa.exc.DBAPIError, match="closed"), house.lender.tenant.write() as conn:
        tables = house.lender.tenant.revision().tables.engine
        made = conn.execute(tables.ledger_entry.insert().values(event="x", booking_date=date(2025, 2, 1), value_date=date(2025, 2, 1),
                                                                company_id=house.lender.company).returning(tables.ledger_entry.c.id)).scalar_one()
        conn.execute(tables.ledger_leg.insert(), [{"entry_id": made, "line": n, "account": "1002", "side": side, "amount": Decimal("1.00"),
                                                   "booking_date": date(2025, 2, 1), "value_date": date(2025, 2, 1)}
                                                  for n, side in enumerate(("debit", "credit"), 1)])
        conn.execute(tables.ledger_entry.update().where(tables.ledger_entry.c.id == made).values(state="posted"))


def test_balances_are_for_those_who_may_list_legs_and_nonsense_is_told(house, desk, lent):
    officer = desk("officer")
    officer.go("/books/balance")
    assert "科目编码" not in officer.page.content()
    finance = desk("finance")
    for query, said in (("since=nonsense", "请填写日期"), ("since=2025-03-01&until=2025-01-01", "不能早于"), ("company=999999", "没有入账")):
        finance.go(f"/books/balance?{query}")
        assert said in finance.page.content()
    assert not finance.page.locator(".pagehead a.btn:not(.quiet)").count(), "who may not close is not offered it"
